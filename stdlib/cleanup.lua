--- `cleanup`: what is done after all other nodes of the workflow, however the run has gone.
local flow = require "orrery"
local ends = require "orrery.stdlib.shared.ends"

return flow.type {
  name = "cleanup",
  doc = "Always runs, when all other nodes have ended (or those of its `after`): also after a failure, a "
    .. "cancel or a timeout, within cleanup_timeout. ctx.run.state and ctx.run.cause say how the run has "
    .. "gone.",
  config = flow.schema { node = ends.NODE },
  positional = "node",
  place = "last",
  becomes = function(config) return ends.node_of(config), { join = "done", handles = false } end,
  check = ends.check,
  examples = {
    [[flow.cleanup { flow.exec { "docker", "rm", "-f", "db" } }]],
    [[flow.cleanup { function(ctx) ctx:log("info", "over", { state = ctx.run.state, cause = ctx.run.cause }) end }]],
  },
  run = ends.refuse "cleanup",
}
