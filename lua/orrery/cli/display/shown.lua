--- Times, states and labels of runs as a person is shown them.
local column = require "orrery.history.column"

local shown = {}

--- A time for people, in this machine's zone.
---@param seconds number|nil since the epoch
---@return string
function shown.time(seconds)
  return seconds and os.date("%Y-%m-%d %H:%M:%S", math.floor(seconds)) --[[@as string]] or ""
end

--- The time of day, with milliseconds.
---@param seconds number|nil since the epoch
---@return string
function shown.clock(seconds)
  if not seconds then return "" end
  local ms = math.floor(seconds * 1000 + 0.5)
  return os.date("%H:%M:%S", ms // 1000) .. (".%03d"):format(ms % 1000)
end

--- When something stops to hold, as a cell of a table.
---@param expires number|nil since the epoch; nil: never
---@param now number
---@return string|table
function shown.expiry(expires, now)
  if not expires then return "" end
  if expires <= now then return { "expired", style = "yellow" } end
  return "in " .. require("orrery.cli.display.term").duration(expires - now)
end

--- A size, with a unit that fits it.
---@param bytes integer
---@return string
function shown.size(bytes)
  if bytes < 1024 then return bytes .. " B" end
  return bytes < 1024 * 1024 and ("%.1f KiB"):format(bytes / 1024) or ("%.1f MiB"):format(bytes / 1024 / 1024)
end

local STYLES = {
  completed = "green", compensated = "green", failed = "red", compensation_failed = "red",
  cancelled = "yellow",
  paused = "yellow", waiting = "cyan", running = "cyan", compensating = "cyan", retrying = "yellow",
  skipped = "dim", pending = "dim", interrupted = "yellow",
}

--- The colour of a state.
---@param state string
---@return string|nil
function shown.style(state) return STYLES[state] end

--- "a=b c=d", in the order of the names.
---@param labels string|nil JSON object
---@return string
function shown.labels(labels)
  local value, parts = column.plain(labels), {}
  if type(value) ~= "table" then return "" end
  for name, label in pairs(value) do
    local text = type(label) == "table" and require("orrery.core").json.encode(label) or tostring(label)
    parts[#parts + 1] = name .. "=" .. text
  end
  table.sort(parts)
  return table.concat(parts, " ")
end

return shown
