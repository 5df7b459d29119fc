--- `barrier`: waits until as many as are needed have arrived. `sync` is another name for it.
local flow = require "orrery"

return flow.type {
  name = "barrier",
  errors = { "barrier_timeout" },
  doc = "Waits until `count` nodes, items or runs have arrived at the barrier of that name, then lets all of "
    .. "them go on. Outputs { place, count }: its place in the order of arrival. One that is cancelled or "
    .. "whose timeout passes leaves, and the others wait on.",
  own_timeout = true,
  config = flow.schema {
    name = { type = "string", optional = true, min = 1,
      doc = "of the barrier; the node's unless given, across runs behind that of the workflow" },
    count = { type = "integer", min = 1, doc = "how many have to arrive; all of them say the same" },
    across = { enum = { "branches", "runs" }, default = "branches",
      doc = "branches: nodes and items of this run; runs: also of other runs of the store" },
    timeout = { type = "duration", optional = true, doc = "how long it waits for the others" },
    on_timeout = { enum = { "fail", "continue" }, default = "fail",
      doc = "continue: the output is { timed_out = true }" },
  },
  examples = {
    [[flow.barrier { after = "load", name = "loaded", count = 3, timeout = "1h" }]],
    [[flow.barrier { name = "nightly", count = "${input.shards}", across = "runs" }]],
  },
  run = function(ctx, config)
    local name = config.name
      or config.across == "runs" and ("%s.%s"):format(ctx.run.workflow, ctx.node) or ctx.node
    local ok, result = pcall(flow.arrive, name,
      { count = config.count, across = config.across, timeout = config.timeout })
    if ok then return result end
    if config.on_timeout == "continue" and type(result) == "table" and result.code == "barrier_timeout" then
      return { timed_out = true }
    end
    error(result, 0)
  end,
}
