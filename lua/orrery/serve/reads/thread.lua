--- The thread's side of reading: calls a function with a connection of the thread's own, and makes
--- text of what it gives.
local core = require "orrery.core"
local mistake = require "orrery.history.mistake"

local thread = {}

local json = core.json

-- One store for each URL; they are closed with the state.
local stores = {}

local function store_of(url)
  stores[url] = stores[url] or core.store(url, "look")
  return stores[url]
end

local function caught(e)
  if mistake.is(e) then return { code = "bad_request", message = e.message } end
  if type(e) == "table" and e.code then return { code = e.code, message = tostring(e.message) } end
  local text = tostring(e)
  local bug = text:find "^[^\n]-%.lua:%d+: " or text:find "^%[string " or text:find "^not enough memory"
  if not bug then return { code = "store_error", message = text } end
  return { message = debug.traceback(text, 2) }
end

-- What is no text comes as {"$bytes": …}, as everywhere in the store.
local function encode(value, most)
  local ok, text = pcall(json.encode, value, { limit = most })
  if ok then return text end
  ok, text = pcall(json.encode, value, { limit = most, binary = true })
  if ok then return text end
  error(setmetatable({ code = "answer_too_large", message = ("the answer has more than %d MiB: ask for a "
    .. "smaller page, or for a part"):format(most >> 20), retryable = false }, core.error_mt), 0)
end

--- Calls a function of a module with a store.
---@param db orrery.Store
---@param asked { module: string, name: string, args: any[], n: integer, most: integer, raw: boolean|nil }
---@return { text: string|nil, value: any, problem: table|nil } `raw`: the value as it is, not as text
function thread.answer(db, asked)
  local ok, result = xpcall(function()
    local value = require(asked.module)[asked.name](db, table.unpack(asked.args, 1, asked.n))
    return asked.raw and { value = value } or { text = encode(value, asked.most) }
  end, caught)
  return ok and result or { problem = result }
end

--- The same as a job of a worker.
---@param url string
---@param asked table
---@return table
function thread.call(url, asked)
  local ok, db = xpcall(store_of, caught, url)
  if not ok then return { problem = db } end
  return thread.answer(db, asked)
end

return thread
