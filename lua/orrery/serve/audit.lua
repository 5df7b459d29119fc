--- The audit: a line for each change that somebody made by the server or by `orrery token`. Each
--- line has the hash of its text and of the hash before it, so that none can be changed or taken
--- away in between without all that follow being written anew.
local core = require "orrery.core"

local audit = {}

---@class orrery.serve.AuditEntry
---@field time number
---@field who string
---@field via string "token", "session", "header", "command"
---@field origin string the address it came from; "unix", or a process's command
---@field action string
---@field target? string
---@field status? integer of the answer
---@field before? any
---@field after? any

local function encode(entry) return core.json.encode(entry, { sort = true, binary = true }) end

--- The hash of a line.
---@param previous string|nil the hash of the line before it
---@param text string
---@return string
function audit.hash(previous, text) return core.sha256((previous or "") .. "\n" .. text) end

local TRIES = 50 -- another process may write between our look and our write

--- Writes lines; they are on the disk when it returns. Raises the store's errors.
---@param store orrery.Store
---@param entries orrery.serve.AuditEntry[]
function audit.write(store, entries)
  local texts = {}
  for i, entry in ipairs(entries) do texts[i] = encode(entry) end
  for _ = 1, TRIES do
    local last = store:row "audit_last"
    local previous, lines = last and last.hash, {}
    for i, text in ipairs(texts) do
      previous = audit.hash(previous, text)
      lines[i] = { entry = text, hash = previous }
    end
    local after = last and last.id or 0
    if store:perform("audit_add", { after = after, lines = lines }) > 0 then return end
  end
  error("the audit could not be written: other processes write to it without end", 0)
end

--- A line as plain data.
---@param row { id: integer, entry: string, hash: string }
---@return table
function audit.plain(row)
  local made = core.json.decode(row.entry)
  made.id, made.hash = row.id, row.hash
  return made
end

--- Lines below one, newest first.
---@param store orrery.Store
---@param before integer|nil
---@param limit integer
---@return table[]
function audit.list(store, before, limit)
  local rows = store:rows("audit_before", { before = before or math.maxinteger, limit = limit })
  for i, row in ipairs(rows) do rows[i] = audit.plain(row) end
  return rows
end

local SLICE = 500

--- Looks whether every line has the hash that it should.
---@param store orrery.Store
---@return { lines: integer, last: string|nil, wrong: integer|nil } report `wrong`: the id of the first that has not
function audit.verify(store)
  local previous, lines, at = nil, 0, 0
  while true do
    local rows = store:rows("audit_after", { after = at, limit = SLICE })
    for _, row in ipairs(rows) do
      if row.id ~= at + 1 or row.hash ~= audit.hash(previous, row.entry) then
        return { lines = lines, last = previous, wrong = row.id }
      end
      previous, lines, at = row.hash, lines + 1, row.id
    end
    if #rows < SLICE then return { lines = lines, last = previous } end
  end
end

-- ---- many at a time -----------------------------------------------------------------------------

---@class orrery.serve.Journal what is left while a write is under way shares the next one
local Journal = {}
Journal.__index = Journal

--- Makes a place where requests leave their lines. They are written on a thread of their own: the
--- disk keeps neither the loop waiting, nor those who read.
---@param thread orrery.serve.Reads
---@param module? string whose `write(store, entries)` writes them; nil: that of the audit
---@return orrery.serve.Journal
function audit.journal(thread, module)
  return setmetatable({ thread = thread, waiting = {}, module = module or "orrery.serve.audit" }, Journal)
end

-- Writes what is left here, for all who have left it; the first who came meanwhile writes next.
local function write_all(self)
  local waiting, entries = self.waiting, {}
  self.waiting, self.busy = {}, true
  for i, each in ipairs(waiting) do entries[i] = each.entry end
  local ok, problem = pcall(self.thread.value, self.thread, self.module, "write", entries)
  for _, each in ipairs(waiting) do
    each.done, each.ok, each.problem = true, ok, problem
    if each.resume then each.resume() end
  end
  local next_one = self.waiting[1]
  self.busy = next_one ~= nil
  if next_one then next_one.resume() end
end

--- Writes a line and waits until it is on the disk. Raises where it is not.
---@param entry orrery.serve.AuditEntry
function Journal:write(entry)
  local own = { entry = entry }
  table.insert(self.waiting, own)
  if self.busy then core.await(function(resume) own.resume = resume end) end
  if not own.done then
    own.resume = nil
    write_all(self)
  end
  if not own.ok then error(own.problem, 0) end
end

--- Ends the thread.
function Journal:close() self.thread:close() end

return audit
