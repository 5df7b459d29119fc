--- `trigger`: what has started the run.
local flow = require "orrery"

return flow.type {
  name = "trigger",
  doc = "Outputs what has started the run: { kind, time, payload }. kind is command, script, c_api, child "
    .. "(with run and node), fork (with run), retry, schedule, watch, after_run or alert (with "
    .. "schedule, the trigger's id), hook, or what a program gave flow.run as trigger.",
  config = flow.schema {},
  output = flow.schema {
    kind = "string", time = { type = "number", doc = "seconds since 1970" },
    payload = { type = "any", optional = true, doc = "what it brought; otherwise the run's input" },
    run = { type = "string", optional = true,
      doc = "the run that has called this one, or that it was forked from" },
    node = { type = "string", optional = true, doc = "of a child: the node that has called it" },
    ["..."] = "any",
  },
  examples = { [[flow.trigger {}]], [[flow.log { "started by ${nodes.trigger.kind}" }]] },
  run = function(ctx)
    local output = {}
    for key, value in pairs(ctx.run.trigger) do output[key] = value end
    if output.payload == nil then output.payload = ctx.input end
    return output
  end,
}
