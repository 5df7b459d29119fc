-- A run that fails, with what is skipped because of it.
local flow = require "orrery"

local w = flow.workflow { name = "failed", input = flow.schema { city = "string?" } }

w.fetch = { run = function(ctx)
  ctx:log("info", "asks for the weather", { city = ctx.input.city })
  return { status = 200 }
end }
w.parse = { after = "fetch", run = function(_, inputs)
  local body = inputs.fetch.body
  return body.rows
end }
w.store = { after = "parse", run = function() end }
w.tidy = { after = { "parse" }, join = "done", handles = false, run = function() return "tidied" end }

return w
