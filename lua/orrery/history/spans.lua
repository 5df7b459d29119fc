--- What each node of a run did when, from its journal: when it ran, waited, and was to be tried
--- again. The tables keep when attempts began and ended, but not the waits within them.
local spans = {}

local PAGE = 2000 -- records

-- What a node does after a record of that kind; `false`: nothing any more.
local NEXT = {
  attempt_started = "run", expanded = "run", woken = "run", waiting = "wait", iterated = "wait",
  attempt_failed = "retry", interrupted = "off", compensating = "undo",
  completed = false, failed = false, skipped = false, cancelled = false, compensated = false,
  compensation_failed = false,
}
local FAILED = { attempt_failed = true, failed = true, compensation_failed = true }

-- Ends what a node does and begins the next.
local function go(task, kind, time)
  local last, next_one = task[#task], NEXT[kind]
  if task.undoing and next_one == "run" then next_one = "undo" end
  if last and not last.to then
    if last.kind == next_one then return end
    last.to = time
    if last.kind == "run" or last.kind == "undo" then last.failed = FAILED[kind] end
  end
  if next_one == "undo" then task.undoing = true end
  if next_one then task[#task + 1] = { kind = next_one, from = time } end
end

---@class orrery.Span
---@field kind "run"|"wait"|"retry"|"off"|"undo" off: its process was gone
---@field from number seconds since the epoch
---@field to? number nil: it goes on
---@field failed? true

--- Reads the spans of nodes as a whole; the items of one are not told apart. They end where a
--- journal is damaged.
---@param db orrery.Store
---@param run { id: string }
---@return table<integer, orrery.Span[]> by the node's place in the definition, from 1
function spans.of(db, run)
  local tasks, after = {}, 0
  repeat
    local whole, records = pcall(db.records, db, run.id, after, PAGE)
    if not whole or not records then break end
    for _, record in ipairs(records) do
      local node = record.index
      if node and not record.item and NEXT[record.kind] ~= nil then
        tasks[node] = tasks[node] or {}
        go(tasks[node], record.kind, record.time)
      end
      after = record.seq
    end
  until #records < PAGE
  return tasks
end

return spans
