--- Reading the store without the loop waiting for it: functions are called on a thread with a Lua
--- state and a connection to the store of its own, and the coroutine that asks waits. What may take
--- long has another one.
---
--- A store in memory is there on the loop alone: what is asked of one is done at once, there.
local core = require "orrery.core"
local uv = require "luv"
local message = require "orrery.worker.message"
local thread = require "orrery.serve.reads.thread"

local reads = {}

local Reads = {}
Reads.__index = Reads

---@class orrery.serve.Reads
---@field waiting integer that were asked for and not answered

---@class orrery.serve.ReadsOptions
---@field most? integer (1000) questions that may wait; further ones are refused
---@field bytes? integer (8 MiB) of an answer
---@field memory? integer (256 MiB) of the state of a thread
---@field idle? number (60) seconds without a question after which a thread ends

--- Makes what reads a store; its threads are started when they are needed.
---@param store orrery.Store
---@param options? orrery.serve.ReadsOptions
---@return orrery.serve.Reads
function reads.open(store, options)
  local o = options or {}
  local self = setmetatable({ store = store, url = store.path and "sqlite:" .. store.path, waiting = 0,
    most = o.most or 1000, bytes = o.bytes or 8 << 20, watchers = {} }, Reads)
  local function lane()
    return core.workers { min = 0, max = 1, budget = o.memory or 256 << 20, patience = o.idle or 60 }
  end
  if self.url then self.pool, self.slow = lane(), lane() end
  return self
end

local function raise(problem)
  if not problem.code then error(problem.message, 0) end -- a fault of ours, with its traceback
  error(setmetatable({ code = problem.code, message = problem.message, retryable = false }, core.error_mt), 0)
end

local ENDS = { ended = true, failed = true }

-- Runs a job and waits for its end.
local function wait(pool, text)
  return core.await(function(resume)
    local job = pool:start(text, function(kind, said, why)
      if ENDS[kind] then resume(kind, said, why) end
    end)
    return function()
      job:cancel()
      return true -- until its end comes
    end
  end)
end

local function plain(asked)
  return { module = asked.module, name = asked.name, args = asked.args, n = asked.n, most = asked.most,
    raw = asked.raw }
end

local function job_of(self, asked)
  return message.encode { module = "orrery.serve.reads.thread", name = "call",
    args = message.pack(self.url, plain(asked)) }
end

local function ask(self, asked)
  if not self.pool then return thread.answer(self.store, asked) end
  local kind, said, why = wait(asked.lane or self.pool, job_of(self, asked))
  if kind == "failed" then return { problem = { code = said, message = why } } end
  local answer = message.decode(said)
  return answer.value or { problem = answer.error }
end

local function counted(self, asked)
  if self.closed then raise { code = "draining", message = "the server is shutting down" } end
  if self.waiting >= self.most then
    raise { code = "too_busy",
      message = ("%d readers wait already: ask again in a moment"):format(self.waiting) }
  end
  self.waiting = self.waiting + 1
  local ok, answer = pcall(ask, self, asked)
  self.waiting = self.waiting - 1
  if not ok then error(answer, 0) end
  if answer.problem then raise(answer.problem) end
  return answer
end

local function question(self, module, name, ...)
  return { module = module, name = name, args = core.json.array { ... }, n = select("#", ...),
    most = self.bytes }
end

--- Calls a function with the store before the arguments, and gives its result as JSON. Raises what
--- it raises: an error with a code (`bad_request` for a mistake), or, as a string, a fault. May
--- wait.
---@param module string
---@param name string of a function of that module
---@param ... any plain data, not nil
---@return string json
function Reads:text(module, name, ...) return counted(self, question(self, module, name, ...)).text end

--- The same of what may take long: on another thread, so that nobody else waits for it.
---@return string json
function Reads:slowly(module, name, ...)
  local asked = question(self, module, name, ...)
  asked.lane = self.slow
  return counted(self, asked).text
end

--- The same as `text`, with the result as it is: plain data.
---@return any
function Reads:value(module, name, ...)
  local asked = question(self, module, name, ...)
  asked.raw = true
  return counted(self, asked).value
end

-- ---- changes ------------------------------------------------------------------------------------

local EVERY = 100 -- ms between two looks, while somebody waits

--- What the store is at: another number each time that anybody else has changed it.
---@param db orrery.Store
---@return integer
function reads.change(db) return db:row("store_change").n end

local function wake(self, by)
  for resume, wanted in pairs(self.watchers) do
    if by(wanted) then
      self.watchers[resume] = nil
      resume(true)
    end
  end
  if next(self.watchers) or not self.timer then return end
  self.timer:close()
  self.timer = nil
end

-- The answer to a look: what the store is at; nothing where it cannot be read, which who waits
-- finds out.
local function seen(self, kind, said)
  self.looks = false
  local answer = kind == "ended" and message.decode(said).value
  local now, at = answer and answer.value, uv.now()
  wake(self, function(wanted) return wanted.since ~= now or at >= wanted.due end)
end

-- One looks for all that wait.
local function look(self)
  if self.looks then return end
  self.looks = true
  local asked = question(self, "orrery.serve.reads", "change")
  asked.raw = true
  self.pool:start(job_of(self, asked), function(kind, said)
    if ENDS[kind] then seen(self, kind, said) end
  end)
end

--- Waits until the store is at something else than this number, or so long. While anybody waits,
--- one looks for all of them, ten times a second.
---@param since integer of `reads.change`, as it was before what was read last
---@param seconds number
function Reads:changed(since, seconds)
  if self.closed or not self.pool then return end
  if not self.timer then
    self.timer = uv.new_timer()
    self.timer:start(EVERY, EVERY, function() look(self) end)
  end
  core.await(function(resume)
    self.watchers[resume] = { since = since, due = uv.now() + seconds * 1000 }
    return function() self.watchers[resume] = nil end
  end)
end

--- Ends the threads. Who waits for an answer gets an error.
function Reads:close()
  self.closed = true
  wake(self, function() return true end)
  if self.pool then
    self.pool:close()
    self.slow:close()
  end
end

return reads
