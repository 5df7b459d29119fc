--- `setup`: what is done before all other nodes of the workflow.
local flow = require "orrery"
local ends = require "orrery.stdlib.shared.ends"

return flow.type {
  name = "setup",
  doc = "Prepares what the other nodes need: all of them come after it, unless it has an `after` of its own. "
    .. "Where it fails nothing else begins, but for cleanup nodes.",
  config = flow.schema { node = ends.NODE },
  positional = "node",
  place = "first",
  becomes = ends.node_of,
  check = ends.check,
  examples = {
    [[flow.setup { flow.exec { "docker", "run", "-d", "--name", "db", "postgres" } }]],
    [[flow.setup { function(ctx) return connect(ctx.input.url) end }]],
  },
  run = ends.refuse "setup",
}
