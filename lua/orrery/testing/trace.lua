--- What happened in a run as a text that is the same each time: one line an event, with its time
--- since the start; ids and other chance are left out.
local show = require "orrery.testing.show"

local trace = {}

-- What is said of an event beside its name, node and time, in this order.
local SHOWN = { "outcome", "due", "delay", "reason", "by", "lock", "items", "cached", "fallback", "breaker",
  "cause", "state", "level", "message", "fraction", "data", "output", "error" }

-- What only repeats what others say.
local USUAL = { layer_completed = true, node_ready = true, progress = true }

local WIDTH = 160 -- of what is said of one value

local function seconds_text(seconds)
  local text = ("%.3f"):format(seconds):gsub("0+$", ""):gsub("%.$", "")
  return text .. "s"
end

local function task_text(event)
  if not event.node then return nil end
  local item = event.item and ("[%s]"):format(event.item) or ""
  local iteration = event.iteration and event.iteration > 1 and ("~%d"):format(event.iteration) or ""
  local attempt = event.attempt and ("#%d"):format(event.attempt) or ""
  return event.node .. item .. iteration .. attempt
end

local function error_text(e)
  if type(e) ~= "table" then return show.line(e, WIDTH) end
  local line = tostring(e.message or ""):match "[^\r\n]*"
  return ("%s: %s"):format(tostring(e.code), line)
end

local SAY = {
  due = function(value, run) return seconds_text(value - run.began) end,
  delay = function(value) return seconds_text(value) end,
  error = error_text,
  state = function(value, _, event) return not event.event:find(value, 1, true) and value or nil end,
}

local function details(run, event)
  local parts = {}
  for _, key in ipairs(SHOWN) do
    local value = event[key]
    if value ~= nil then
      local text
      if SAY[key] then text = SAY[key](value, run, event) else text = show.line(value, WIDTH) end
      if text then parts[#parts + 1] = key .. "=" .. text end
    end
  end
  return table.concat(parts, " ")
end

--- One event as a line: "1.5s fetch#2 node_failed error=http_status: 503".
---@param run { id: string, began: number }
---@param event table
---@return string
function trace.line(run, event)
  local other = event.run and event.run ~= run.id and event.workflow and event.workflow .. ":" or ""
  local words = { seconds_text(event.at) }
  local task = task_text(event)
  words[#words + 1] = task and other .. task or other ~= "" and other or nil
  words[#words + 1] = event.event
  local more = details(run, event)
  if more ~= "" then words[#words + 1] = more end
  return table.concat(words, " ")
end

---@class orrery.testing.TraceOptions
---@field all? boolean also events that only repeat what others say: layer_completed, node_ready, progress
---@field events? string[] only of these kinds

--- What happened in a run, one line an event.
---@param run orrery.testing.Run
---@param options? orrery.testing.TraceOptions
---@return string
function trace.text(run, options)
  options = options or {}
  local only
  for _, name in ipairs(options.events or {}) do
    only = only or {}
    only[name] = true
  end
  local lines, about = {}, { id = run.id, began = rawget(run, "world").began }
  for _, event in ipairs(run:events()) do
    local wanted = only and only[event.event] or not only and (options.all or not USUAL[event.event])
    if wanted then lines[#lines + 1] = trace.line(about, event) end
  end
  return table.concat(lines, "\n") .. "\n"
end

return trace
