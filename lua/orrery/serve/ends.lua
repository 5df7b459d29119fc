--- Waiting for the end of runs, for whoever has asked the server for one: by events where the run
--- goes on here, by the store where another process has it.
local core = require "orrery.core"
local events = require "orrery.events"
local launch = require "orrery.runtime.launch"
local uv = require "luv"

local ends = {}

---@class orrery.serve.Ends
local Ends = {}
Ends.__index = Ends

--- Makes what waits for the ends of a host's runs; it listens only while somebody waits.
---@param rt orrery.Runtime
---@param reads orrery.serve.Reads
---@return orrery.serve.Ends
function ends.new(rt, reads) return setmetatable({ rt = rt, reads = reads, waiting = {}, n = 0 }, Ends) end

local function leave(self, wait)
  local all = self.waiting[wait.id]
  if not all or not all[wait] then return end
  all[wait] = nil
  if not next(all) then self.waiting[wait.id] = nil end
  self.n = self.n - 1
  wait.timer:close()
  if self.n > 0 then return end
  self.off()
  self.off = nil
end

local function listen(self)
  self.off = self.off or self.rt:on(function(event)
    if event.node or not events.ENDS[event.event] then return end
    for wait in pairs(self.waiting[event.run] or {}) do
      leave(self, wait)
      wait.resume()
    end
  end)
end

-- Waits for a run of this process, so long at most.
local function by_event(self, id, seconds)
  core.await(function(resume)
    local wait = { id = id, resume = resume, timer = uv.new_timer() }
    self.waiting[id] = self.waiting[id] or {}
    self.waiting[id][wait], self.n = true, self.n + 1
    listen(self)
    wait.timer:start(math.ceil(seconds * 1000), 0, function()
      leave(self, wait)
      resume()
    end)
    return function() leave(self, wait) end
  end)
end

local function error_of(e)
  return type(e) == "table" and { code = e.code, message = e.message } or e
end

local function of_run(run)
  return run.ended and { state = run.state, output = run.output, error = error_of(run.error) } or nil
end

-- Of a run that another process has.
local function by_store(self, id, due)
  while true do
    local since, left = self.reads:value("orrery.serve.reads", "change"), due - core.hrtime() / 1e9
    local found = self.reads:value("orrery.serve.ends", "stored", id)
    if found.ended or left <= 0 or self.closed then return found.ended and found or nil end
    self.reads:changed(since, left)
  end
end

--- How a run is by the store. Called on the thread of those who read.
---@param db orrery.Store
---@param id string
---@return { ended: boolean, state: string|nil, output: any, error: any }
function ends.stored(db, id)
  return db:snapshot(function()
    local rows = require "orrery.history.run_row"
    local row = rows.find(db, id)
    if not row or not rows.ENDED[row.state] then return { ended = false, state = row and row.state } end
    return { ended = true, state = row.state, output = rows.value(db, row.output),
      error = error_of(rows.value(db, row.error)) }
  end)
end

--- Waits for the end of a run, so long at most.
---@param id string
---@param seconds number
---@return { state: string, output: any, error: { code: string, message: string }|nil }|nil ended nil: it has not
function Ends:of(id, seconds)
  local due = core.hrtime() / 1e9 + seconds
  local run = launch.live(id)
  if not run then return by_store(self, id, due) end
  if not run.ended and not self.closed then by_event(self, id, seconds) end
  return of_run(run)
end

--- Nobody waits any more: who does goes on at once, and so does who comes later.
function Ends:close()
  self.closed = true
  local all = {}
  for _, waits in pairs(self.waiting) do
    for wait in pairs(waits) do all[#all + 1] = wait end
  end
  for _, wait in ipairs(all) do
    leave(self, wait)
    wait.resume()
  end
end

return ends
