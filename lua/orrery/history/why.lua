--- Why a node has not settled, as data: by what the engine said of it, and by the tables where it
--- said nothing.
local column = require "orrery.history.column"
local inbox = require "orrery.history.inbox"
local lock = require "orrery.history.lock"
local items = require "orrery.history.items"
local nodes = require "orrery.history.nodes"
local pauses = require "orrery.history.pauses"
local reasons = require "orrery.history.reasons"

local why = {}

--- The states of a node in which nothing more happens to it.
why.SETTLED = {
  completed = true, failed = true, skipped = true, cancelled = true, compensated = true,
  compensation_failed = true,
}

--- What the engine said of a node last.
---@param node table row of `nodes`
---@return table said an `orrery.Why`, empty where it said nothing
function why.said(node)
  local said = column.plain(node.why)
  return type(said) == "table" and said or {}
end

--- What keeps the whole run, before anything of the node's own does.
---@param db orrery.Store
---@param run table row of `find.one`
---@param node table row of `nodes`
---@return "ended"|"workflow_paused"|"run_paused"|nil
function why.held(db, run, node)
  if run.ended then return "ended" end
  if node.state == "waiting" or node.state == "retrying" or nodes.at_work(db, node) then return nil end
  if pauses.of_workflow(db, run.workflow) then return "workflow_paused" end -- which pauses its runs as well
  return run.state == "paused" and "run_paused" or nil
end

-- The lock that the whole run waits for; nil where it does not.
local function waits_for_lock(db, run)
  if run.started or run.ended then return nil end
  local own = lock.of(db, run.number)
  if not own or own.held then return nil end
  return { kind = "lock", name = own.value, by_run = own.holder, alive = own.alive }
end

-- Of an item its owner speaks at its node: those that wait for a worker.
local function item_in_line(db, run, node)
  if node.item == 0 then return nil end
  local whole = nodes.find(db, run, node.node)
  local worker = whole and why.said(whole).worker
  for _, item in ipairs(worker and worker.items or {}) do
    if item == node.item then
      return { kind = "worker", count = worker.count, limit = worker.limit, busy = worker.busy }
    end
  end
end

-- What is missing where no owner has said it: which dependencies have not settled.
local function derived(db, run, node)
  if node.state == "running" and (node.items or 0) > 0 then
    return { kind = "items", limit = node.items,
      count = db:row("node_items", { run = node.run, node = node.node }).ended }
  end
  local item = node.state == "running" and item_in_line(db, run, node)
  if item then return item end
  if node.state == "running" then return { kind = "running", count = node.attempts, since = node.started } end
  if node.state == "retrying" then return { kind = "backoff", due = node.due } end
  if node.state == "waiting" then
    return reasons.of_open_step(db, node) or { kind = node.due and "timer" or "signal", due = node.due }
  end
  if node.state ~= "pending" then return { kind = "priority" } end
  if node.item > 0 then
    return { kind = "parallel", limit = items.bounds(db, run)[node.idx],
      count = db:row("node_items", { run = node.run, node = node.node }).live }
  end
  local open = {}
  for _, name in ipairs(nodes.after(db, run, node)) do
    if not why.SETTLED[nodes.state(db, run, name)] then open[#open + 1] = name end
  end
  return { kind = "dependency", by = open[1], count = math.max(1, #open) }
end

--- Why a node that has not settled is where it is.
---@param db orrery.Store
---@param run table row of `find.one`
---@param node table row of `nodes`
---@param said table of `why.said`
---@return orrery.Why with `approval` where one is waited for; a limit of 0: the pool is paused
function why.unsettled(db, run, node, said)
  local locked = waits_for_lock(db, run)
  if locked then return locked end
  local unsaid = not said.kind or said.kind == "settled" or said.kind == "running"
  if unsaid then said = derived(db, run, node) end
  if said.kind == "signal" then
    said.approval = reasons.approval(db, node)
    if not said.name and not said.child then
      said.child = (reasons.of_open_step(db, node) or said).child
    end
  end
  if said.kind == "pool" and pauses.of_pool(db, said.name) then said.limit = 0 end
  return run.state == "paused" and reasons.in_pause(said) or said
end

--- Whether the signal that a node waits for was sent already, to a run that nobody runs now.
---@param db orrery.Store
---@param run table row of `find.one`
---@param said orrery.Why
---@return boolean
function why.is_left(db, run, said)
  return said.kind == "signal" and said.name ~= nil and not run.owned and inbox.has_signal(db, run, said.name)
end

return why
