--- `flow.on`: functions that are called for events, chosen by the events' names.
local errors = require "orrery.errors"

local events = {}

--- The events that are a run's last.
events.ENDS = {
  run_completed = true, run_failed = true, run_cancelled = true, run_compensated = true,
  run_compensation_failed = true,
}

--- States of runs that were undone, in words.
events.UNDONE = { compensated = "was undone", compensation_failed = "could not be undone entirely" }

local listeners = {} -- in order of registration: { pattern, match, fn }

local function deliver(event)
  local name = event.event
  for _, listener in ipairs(listeners) do
    if listener.fn and listener.match(name) then listener.fn(event) end
  end
end

local attached = setmetatable({}, { __mode = "k" }) -- runtime -> off()

--- Passes a runtime's events to the listeners, as long as there are any: an event nobody asked for
--- costs nothing.
---@param rt orrery.Runtime
function events.attach(rt)
  if #listeners > 0 and not attached[rt] then attached[rt] = rt:on(deliver) end
end

local function detach_all()
  for rt, off in pairs(attached) do
    off()
    attached[rt] = nil
  end
end

--- Calls `fn(event)` for every event whose name fits, of every run.
---@param pattern string an event's name, in which * stands for anything: "node_*", "run_failed", "*"
---@param fn fun(event: table) may not wait
---@param rt orrery.Runtime the runtime to listen to at once; others are joined when a run starts on them
---@return fun() off stops it
function events.on(pattern, fn, rt)
  if type(pattern) ~= "string" then
    error("flow.on: expected an event's name or a pattern like \"node_*\", got " .. errors.show(pattern), 3)
  end
  local match, message = require("orrery.glob")(pattern)
  if not match then error("flow.on: " .. message, 3) end
  if type(fn) ~= "function" then error("flow.on: expected a function(event), got " .. errors.show(fn), 3) end
  local listener = { match = match, fn = fn }
  listeners[#listeners + 1] = listener
  events.attach(rt)
  return function()
    listener.fn = nil
    for i, other in ipairs(listeners) do
      if other == listener then
        local rest = table.move(listeners, 1, #listeners, 1, {})
        table.remove(rest, i)
        listeners = rest
        break
      end
    end
    if #listeners == 0 then detach_all() end
  end
end

return events
