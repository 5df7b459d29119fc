-- Steps of every kind in one handler, and in one that is tried again.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "steps", output = { a = "${nodes.a}", b = "${nodes.b}" } }

w.a = { run = did.run(function(ctx)
  local first = did.step(ctx, "first", function() return { did.work(), ctx.input.n } end)
  local began, chance, id = ctx:now(), ctx:random(1000), ctx:uuid()
  local _, bad = pcall(did.step, ctx, "bad", function() flow.error { code = "bad", message = "as it is" } end)
  ctx:sleep "5ms"
  local told = did.step(ctx, "told", function(...) return { ... } end, first[2], "x")
  local both = flow.gather {
    function()
      local one = did.step(ctx, "left 1", did.work)
      ctx:sleep "2ms"
      return one + did.step(ctx, "left 2", did.work)
    end,
    function() return did.step(ctx, "right", function() return "r" end) end,
    function() ctx:sleep "1ms" return did.step(ctx, "far right", function() return "f" end) end }
  local ended = ctx:now()
  return { first, chance, id, bad.code, told, both, ended >= began + 0.005 }
end) }

w.b = { after = "a", retry = { max = 2, strategy = "fixed", delay = "2ms", jitter = "none" },
  run = did.run(function(ctx)
  local kept = did.step(ctx, "kept", function() return "kept" end)
  local again = did.step(ctx, "again", function()
    if ctx.attempt < 2 then flow.error { code = "once", message = "first try" } end
    return ctx.attempt
  end)
  return { kept, again, did.step(ctx, "last", did.work) }
end) }
return w
