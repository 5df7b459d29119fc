-- patrol.lua: what a guard does, stepped inside a game's frame by game.c
local flow = require "orrery"

local w = flow.workflow {
  name   = "patrol",
  input  = flow.schema { posts = "integer", alarm = "boolean?" },
  output = "${nodes.report}",
}

-- `guard.walk` is a node type of the game, written in C
w.walk = flow.guard.walk { each = function(ctx)
  local posts = {}
  for i = 1, ctx.input.posts do posts[i] = i end
  return posts
end, to = "${item}", timeout = "10s" }

w.look = { after = "walk", run = function(ctx, inputs)
  ctx:sleep("50ms")
  local steps = 0
  for _, walked in ipairs(inputs.walk) do steps = steps + walked.steps end
  return { steps = steps }
end }

w.shout = { after = "look", when = "input.alarm", run = function() return "Halt!" end }

w.report = { after = { "look", "shout" }, run = function(_, inputs)
  return { steps = inputs.look.steps, said = inputs.shout }
end }

return w
