--- The promises, checked against the journal and the log of side effects while processes are
--- killed.
---
--- Lines of the log and commits of the journal are put in order by marks. A mark is a line that the
--- harness appends; just before it reads the journal, and just after it again. What had been read
--- before the mark was committed before any line after the mark; and what a line before the mark
--- needed must be there in the second reading.
local facts = require "spec.crash.facts"

local check = {}
check.__index = check

--- A watch over a store and a log.
---@param store orrery.Store
---@param path string of the log
function check.new(store, path)
  return setmetatable({ facts = facts.new(store), path = path, at = 0, sure = 0, broken = {}, lines = 0,
    counts = {}, keys = {}, tasks = {},
    repeated = 0, steps_repeated = 0, ahead = 0, last_undone = {}, step_lines = {} }, check)
end

--- Notes a broken promise.
function check:complain(...) self.broken[#self.broken + 1] = string.format(...) end

local function parse(text)
  local line = {}
  line.what, line.run, line.node, line.item, line.iteration, line.attempt, line.key, line.name,
    line.pid = text:match "^(%a+)\t(%x[%x-]+)\t([%w_]+)\t(%d+)\t(%d+)\t(%d+)\t([%x-]+)\t([^\t]+)\t(%d+)$"
  if not line.what then return nil end
  line.item, line.iteration, line.attempt = tonumber(line.item), tonumber(line.iteration),
    tonumber(line.attempt)
  line.pid = tonumber(line.pid)
  line.task = facts.task(line.node, line.item)
  line.id = facts.attempt(line.node, line.item, line.iteration, line.attempt)
  return line
end

-- How often this has been seen with these words, this time included.
local function count(self, ...)
  local name = table.concat({ ... }, "\t")
  self.counts[name] = (self.counts[name] or 0) + 1
  return self.counts[name]
end

-- One key for all attempts of a task or of its compensation, and another for every other.
local function check_key(self, line, undoing)
  local owner = ("%s %s/%d %s"):format(line.run, line.task, line.iteration, undoing and "undo" or "run")
  self.keys[line.key] = self.keys[line.key] or owner
  self.tasks[owner] = self.tasks[owner] or line.key
  if self.keys[line.key] ~= owner then
    self:complain("%s and %s share an idempotency key", self.keys[line.key], owner)
  end
  if self.tasks[owner] ~= line.key then self:complain("%s has two idempotency keys", owner) end
end

local function need(self, line, row, what)
  if not row then
    self:complain("run %s: %s %s before %s was committed", line.run, line.what, line.id, what)
  end
end

local function forbid(self, line, row, what)
  if row and row <= self.sure then
    self:complain("run %s: %s %s again after %s was committed", line.run, line.what, line.id, what)
  end
end

local JOINS = { any = 1 }
local ALONE = { alone = true } -- pools with one place

local function check_dependencies(self, run, line)
  local node = run.definition.nodes[line.node]
  local settled, completed = 0, 0
  for _, dependency in ipairs(node.after or {}) do
    local name = type(dependency) == "table" and dependency.node or dependency
    local fact = run.settled[facts.task(name, 0)]
    if fact then settled = settled + 1 end
    if fact and fact.kind == "completed" then completed = completed + 1 end
  end
  local enough
  if JOINS[node.join] then
    enough = completed >= JOINS[node.join]
  else
    enough = settled == #(node.after or {})
  end
  if not enough then
    self:complain("run %s: %s %s before what it depends on was committed", line.run, line.what, line.id)
  end
end

-- Whether an attempt may begin before its own start was committed: only in the process that made
-- the run, and only where nothing more is at stake than that it is made again.
local function may_be_ahead(run, line)
  local definition = run.definition
  local node = definition.nodes[line.node]
  local alone = definition.concurrency == 1 or node.pool_hold or ALONE[node.pool]
  local drains = definition.on_error == "drain" or (node.each and node.each_on_failure == "drain")
  return line.pid == run.maker and not (node.compensate or node.when or node.deadline or alone or drains)
end

-- What made it ready was committed: the list of its items, the attempt or the iteration before.
local function check_made_ready(self, run, line)
  if line.item > 0 then need(self, line, run.expanded[line.node], "its list") end
  if line.attempt > 1 then
    need(self, line, run.ended[facts.attempt(line.node, line.item, line.iteration, line.attempt - 1)],
      "the attempt before it")
  end
  if line.iteration > 1 then
    need(self, line, run.iterated[("%s/%d"):format(line.task, line.iteration - 1)], "the iteration before it")
  end
end

-- An attempt that was ahead of its record was lost with it, where that was made by another process.
local function lost(run, line)
  return run.ahead[line.id] and run.started_by[line.id] ~= run.made_by and 1 or 0
end

local function check_start(self, run, line)
  if run.started[line.id] then return end
  if not may_be_ahead(run, line) then return need(self, line, nil, "its start") end
  run.ahead[line.id] = true
  self.ahead = self.ahead + 1
end

local on = {}

function on.begin(self, run, line)
  check_start(self, run, line)
  check_made_ready(self, run, line)
  forbid(self, line, run.ended[line.id], "its end")
  forbid(self, line, run.settled[line.task] and run.settled[line.task].row, "its node")
  forbid(self, line, run.over and run.over.row, "the end of the run")
  check_dependencies(self, run, line)
  check_key(self, line, false)
  local times = count(self, "begin", line.run, line.id)
  if times > 1 then self.repeated = self.repeated + 1 end
  if times > 1 + (run.interrupted[line.id] or 0) + lost(run, line) then
    self:complain("run %s: %s began %d times and was interrupted %d times", line.run, line.id, times,
      run.interrupted[line.id] or 0)
  end
end

on["end"] = function(self, _, line) count(self, "end", line.run, line.id) end

-- In a compensation attempts are counted from 1, in the journal they go on from those of the node.
local function place_of(line) return ("%s/%d"):format(line.task, line.iteration) end

local function recorded(run, line, undoing)
  for _, step in ipairs(run.steps[place_of(line)] or {}) do
    local same = (step.path:find "^compensate" ~= nil) == undoing
      and (step.attempt == line.attempt or undoing or step.ok)
    if same and step.name == line.name then return step end
  end
end

function on.step(self, run, line)
  local undoing = (self.keys[line.key] or ""):find " undo$" ~= nil -- a compensation has a key of its own
  local step = recorded(run, line, undoing)
  forbid(self, line, step and step.row, ("its step '%s'"):format(line.name))
  forbid(self, line, undoing and run.undone[line.task] or not undoing and run.ended[line.id], "its end")
  local times = count(self, "step", line.run, line.id, line.name)
  if times > 1 then self.steps_repeated = self.steps_repeated + 1 end
  table.insert(self.step_lines, { line = line, run = run, rows = self.facts.last, undoing = undoing })
end

function on.stepped() end

function on.undo(self, run, line)
  forbid(self, line, run.undone[line.task], "its compensation")
  need(self, line, (run.undoing[line.task] or {})[line.attempt], "the start of its compensation")
  check_key(self, line, true)
  if run.undo_now ~= line.task and run.undo_now and not run.undone[run.undo_now] then
    self:complain("run %s: %s is undone while %s is", line.run, line.task, run.undo_now)
  end
  run.undo_now = line.task
  if count(self, "undo", line.run, line.id) > 1 then self.repeated = self.repeated + 1 end
end

function on.undone(self, _, line) count(self, "undone", line.run, line.task) end

local function new_lines(self)
  local file <close> = assert(io.open(self.path, "rb"))
  file:seek("set", self.at)
  local text = file:read "a":match "^.*\n" or "" -- a line may be on its way
  self.at = self.at + #text
  return text
end

local function set_mark(path)
  local file <close> = assert(io.open(path, "ab"))
  file:write("mark\n")
end

--- Sets a mark and checks what was done since the last one.
function check:mark()
  local before = self.facts:read()
  set_mark(self.path)
  local text = new_lines(self)
  self.facts:read()
  for part in text:gmatch "([^\n]*)\n" do
    local line = parse(part)
    if line then
      local run = self.facts.runs[line.run]
      if run then on[line.what](self, run, line)
      else self:complain("run %s: %s %s before the run was committed", line.run, line.what, line.id) end
      self.lines = self.lines + 1
    elseif part ~= "mark" then
      self:complain("a line of the log is not whole: %q", part)
    end
  end
  self.sure = before
end

return check
