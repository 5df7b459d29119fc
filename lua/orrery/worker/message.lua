--- What goes between the loop and a worker: a value as text and back. Exact, as in a journal: texts
--- that are not UTF-8 and objects with a `$` key come back as they were.
local core = require "orrery.core"

local message = {}

local WRITING, READING = { binary = true, sort = false }, { binary = true }

---@param value any plain data; a field that is nil is not there afterwards
---@return string
function message.encode(value) return core.json.encode(value, WRITING) end

---@param text string
---@return any
function message.decode(text) return core.json.decode(text, READING) end

-- Rows that are in a file stay there.
local function with_spools(options, folder)
  local made = { spools = folder or nil }
  for key, value in pairs(options) do made[key] = value end
  return made
end

--- The end of a job as text; to be decoded once.
---@param value any
---@param folder string|false|nil of rows; see core.spools
---@return string
function message.encode_end(value, folder) return core.json.encode(value, with_spools(WRITING, folder)) end

---@param text string
---@param folder string|false|nil
---@return any
function message.decode_end(text, folder) return core.json.decode(text, with_spools(READING, folder)) end

--- Values in a row, nil among them, as one value.
---@return table
function message.pack(...)
  local packed = { n = select("#", ...) }
  for i = 1, packed.n do packed[tostring(i)] = (select(i, ...)) end
  return packed
end

---@param packed table
function message.unpack(packed, i)
  i = i or 1
  if i > packed.n then return end
  return packed[tostring(i)], message.unpack(packed, i + 1)
end

local FIELDS = { "code", "message", "retryable", "retry_after", "details", "node" }

--- An error as plain data.
---@param e any what was raised
---@param traceback? string
---@return table
function message.of_error(e, traceback)
  if e == "not enough memory" then
    return { code = "out_of_memory", message = "the worker's memory is used up", retryable = true }
  end
  if type(e) ~= "table" or e.code == nil then
    return { code = "handler_error", message = tostring(e), traceback = traceback }
  end
  local made = { traceback = e.traceback or traceback }
  for _, field in ipairs(FIELDS) do
    if core.json.check(e[field]) then made[field] = e[field] end
  end
  made.message = tostring(e.message)
  return made
end

--- Raises an error: a structured one where it is a table with a code.
---@param e any
function message.raise(e)
  if type(e) == "table" and e.code ~= nil and getmetatable(e) == nil then setmetatable(e, core.error_mt) end
  error(e, 0)
end

return message
