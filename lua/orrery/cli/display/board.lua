--- What a watcher of one run knows: a fold over its events. Pure: no clock, no output, so that what
--- people see can be tested. Memory is bounded by what runs now plus a constant, however large the
--- workflow.
local events = require "orrery.events"

local board = {}
board.__index = board

local SLOWEST = 40   -- finished rows kept for the time chart
local FAILURES = 20  -- failures kept to be printed in full
local SEGMENTS = 12  -- attempts drawn of one node

---@class orrery.cli.Row one node (or the whole of a node with `each`) that has started
---@field name string
---@field state "running"|"waiting"|"retrying"
---@field started number seconds; of the first attempt
---@field since number of the present state
---@field attempt integer
---@field retries integer
---@field fallback boolean|nil its fallback is under way
---@field segments { from: number, to: number|nil, failed: boolean|nil }[] its attempts

---@param options { nodes: integer, name: string, layers?: integer }
function board.new(options)
  local self = setmetatable({
    name = options.name, total = options.nodes, layers = options.layers,
    counts = { completed = 0, failed = 0, skipped = 0, cancelled = 0 },
    settled = 0, items_failed = 0, adopted = 0, retries = 0, running = 0, undone = 0, not_undone = 0,
    rows = {}, head = nil, tail = nil, active = 0,
    slowest = {}, failures = {}, skips = {}, notes = {},
    failed = {}, -- node -> the node that failed: itself, or the one because of which it was skipped
    handlers = {},
  }, board)
  return self
end

-- ---- rows -------------------------------------------------------------------------------------

-- A doubly linked list in order of start, so that the oldest few are found without a search.
local function link(self, row)
  row.before, row.after = self.tail, nil
  if self.tail then self.tail.after = row else self.head = row end
  self.tail, self.active = row, self.active + 1
  self.rows[row.name] = row
end

local function unlink(self, row)
  if row.before then row.before.after = row.after else self.head = row.after end
  if row.after then row.after.before = row.before else self.tail = row.before end
  self.rows[row.name], self.active = nil, self.active - 1
end

-- Keeps the longest rows; `slowest` is unordered until it is full, its shortest entry is at
-- `self.shortest`.
local function keep(self, row)
  local list = self.slowest
  if #list < SLOWEST then
    list[#list + 1] = row
    if #list < SLOWEST then return end
  else
    if row.seconds <= list[self.shortest].seconds then return end
    list[self.shortest] = row
  end
  local at = 1
  for i = 2, #list do
    if list[i].seconds < list[at].seconds then at = i end
  end
  self.shortest = at
end

local function row_of(self, e)
  local row = self.rows[e.node]
  if row then return row end
  row = { name = e.node, state = "running", started = e.time, since = e.time, attempt = 1, retries = 0,
    segments = {} }
  link(self, row)
  return row
end

local function close_segment(row, time, failed)
  local last = row.segments[#row.segments]
  if last and not last.to then last.to, last.failed = time, failed end
end

local function count_settled(self, e, state)
  if e.item then
    local row = self.rows[e.node]
    if row and row.items then row.items_done = (row.items_done or 0) + 1 end
    return
  end
  self.counts[state] = self.counts[state] + 1
  self.settled = self.settled + 1
  local row = self.rows[e.node]
  if not row then return end
  close_segment(row, e.time, state == "failed")
  row.ended, row.seconds, row.result, row.outcome = e.time, e.time - row.started, state, e.outcome
  unlink(self, row)
  keep(self, row)
end

-- ---- one function per kind of event -------------------------------------------------------------

local on = {}

function on.run_waiting(self, e) self.holder = e.holder end

function on.run_started(self, e)
  self.started, self.holder = e.time, nil
  self.total, self.layers = e.nodes or self.total, e.layers or self.layers
end

-- What another process did is known by its counts only.
function on.run_recovered(self, e)
  self.started, self.layers = e.time, e.layers or self.layers
  if e.stats then self:sample(e.stats) end
end

function on.node_expanded(self, e)
  local row = row_of(self, e)
  row.items, row.items_done = e.items, 0
end

function on.node_started(self, e)
  local row = row_of(self, e)
  if e.item then return end
  if row.state ~= "running" then row.state, row.since = "running", e.time end
  row.attempt, row.fallback = e.attempt or row.attempt, e.fallback
  row.fraction, row.message, row.due = nil, nil, nil
  if #row.segments < SEGMENTS then row.segments[#row.segments + 1] = { from = e.time } end
end

function on.node_waiting(self, e)
  local row = row_of(self, e)
  if e.item then return end
  row.state, row.since, row.due, row.breaker = "waiting", e.time, e.due, e.breaker
end

function on.node_resumed(self, e)
  local row = row_of(self, e)
  if not e.item then row.state, row.since, row.due = "running", e.time, nil end
end

function on.node_retrying(self, e)
  local row = row_of(self, e)
  if not (e.fallback or e.compensation) then self.retries, row.retries = self.retries + 1, row.retries + 1 end
  if e.item then return end
  row.fallback = e.fallback
  close_segment(row, e.time, true)
  row.state, row.since, row.due, row.error = "retrying", e.time, e.due or (e.delay and e.time + e.delay),
    e.error
end

function on.node_completed(self, e) count_settled(self, e, "completed") end
function on.node_cancelled(self, e) count_settled(self, e, "cancelled") end

function on.node_failed(self, e)
  local row = self.rows[e.node]
  local attempts = not e.item and row and row.attempt - (row.fallback and 1 or 0) or e.attempt
  count_settled(self, e, "failed")
  if e.item then self.items_failed = self.items_failed + 1 else self.failed[e.node] = e.node end
  if #self.failures < FAILURES then
    self.failures[#self.failures + 1] = { node = e.node, item = e.item, item_name = e.item_name,
      error = e.error, attempts = attempts }
  end
end

function on.node_skipped(self, e)
  count_settled(self, e, "skipped")
  local failed = e.reason == "upstream_failed" and self.failed[e.by] or nil
  self.failed[e.node] = failed
  if not e.item and #self.skips < FAILURES then
    self.skips[#self.skips + 1] = { node = e.node, reason = e.reason, by = e.by, failed = failed }
  end
end

-- Compensations are shown as rows of their own; the bar and the counts show how nodes ended.
function on.node_compensating(self, e)
  local row = row_of(self, e)
  row.state, row.since, row.undoing, row.due = "running", e.time, true, nil
  row.attempt = e.attempt or row.attempt
end

local function undone(count)
  return function(self, e)
    local row = self.rows[e.node]
    if row and row.undoing then unlink(self, row) end
    if not e.item then self[count] = self[count] + 1 end
  end
end

on.node_compensated, on.node_compensation_failed = undone "undone", undone "not_undone"
function on.run_compensating(self, e) self.stopping, self.compensating = e.cause or self.stopping, true end

function on.progress(self, e)
  local row = self.rows[e.node]
  if row then row.fraction, row.message = e.fraction, e.message or row.message end
end

function on.approval_requested(self, e)
  local row = self.rows[e.node]
  if row then row.message = require("orrery.cli.display.progress").asked(e) end
end

function on.log(self, e) self.notes[#self.notes + 1] = e end

function on.run_stopping(self, e) self.stopping = e.cause or "failure" end
function on.run_paused(self) self.paused = true end
function on.run_resumed(self) self.paused = nil end

local function ended(self, e)
  self.ended, self.state, self.error = e.time, e.state, e.error
end
for name in pairs(events.ENDS) do on[name] = ended end

--- Takes one event. Events of child runs are skipped.
---@param e table
function board:take(e)
  if e.run ~= self.run then
    if self.run then return end
    self.run = e.run
  end
  local handler = on[e.event]
  if handler then handler(self, e) end
end

--- Takes one event for who asks for counts and failures only, and draws no rows: a node of which
--- the first attempt is all there is gets none.
---@param e table
function board:count(e)
  local plain = e.event == "node_started" and e.attempt == 1 and not e.fallback
  if plain and not self.rows[e.node] then return end
  self:take(e)
end

--- Takes the nodes that the run took over from another: they have settled, and no event comes for
--- them.
---@param n integer
function board:adopt(n)
  self.adopted, self.settled = n, self.settled + n
end

--- Workflows of more nodes than this are watched by their counts alone: an event for each node
--- would cost more than the node.
board.LARGE = 20000

--- Takes the counts of a run's statistics instead of single events.
---@param stats { by_state: table<string, integer>, retries: integer }
function board:sample(stats)
  local settled, total = 0, 0
  for _, n in pairs(stats.by_state) do total = total + n end
  if total > 0 then self.total = total end
  for state in pairs(self.counts) do
    self.counts[state] = stats.by_state[state] or 0
    settled = settled + self.counts[state]
  end
  self.undone, self.not_undone = stats.by_state.compensated or 0, stats.by_state.compensation_failed or 0
  settled = settled + self.undone + self.not_undone + (stats.by_state.compensating or 0)
  self.counts.completed = math.max(0, self.counts.completed - self.adopted)
  self.settled, self.retries, self.running = settled, stats.retries or 0, stats.by_state.running or 0
end

--- The slowest finished rows, longest first.
---@param n integer
---@return orrery.cli.Row[]
function board:top(n)
  local list = table.move(self.slowest, 1, #self.slowest, 1, {})
  table.sort(list, function(a, b)
    if a.seconds ~= b.seconds then return a.seconds > b.seconds end
    return a.name < b.name
  end)
  return table.move(list, 1, math.min(n, #list), 1, {})
end

return board
