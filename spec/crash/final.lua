--- What must hold once all runs have ended: checked in the journals, in the log as a whole, in the
--- tables, and against runs that nobody disturbed.
local facts = require "spec.crash.facts"

local final = {}

local ENDED = { [4] = "completed", [5] = "failed", [6] = "cancelled", [8] = "compensated",
  [9] = "compensation_failed" }

-- ---- one run: its journal and its log -----------------------------------------------------------

-- A step began only after those before it in its coroutine were on disk.
local function check_step_order(watch)
  for _, seen in ipairs(watch.step_lines) do
    local line, mine = seen.line, nil
    local steps = seen.run.steps[("%s/%d"):format(line.task, line.iteration)] or {}
    local function same_phase(step) return (step.path:find "^compensate" ~= nil) == seen.undoing end
    for _, step in ipairs(steps) do
      if step.name == line.name and same_phase(step) then mine = mine or step end
    end
    for _, step in ipairs(mine and steps or {}) do
      if same_phase(step) and step.path == mine.path and step.ordinal < mine.ordinal and step.kind ~= "wait"
        and step.row > seen.rows
        and (step.ok or step.attempt == line.attempt) then
        watch:complain("run %s: step '%s' of %s began before '%s' was committed", line.run, line.name,
          line.id, step.name)
      end
    end
  end
end

local function check_once(watch, run)
  local completed, undone = {}, {}
  for _, record in ipairs(run.records) do
    local task = record.name and facts.task(record.name, record.item)
    if record.kind == "completed" then
      if completed[task] then watch:complain("run %s: %s completed twice", run.id, task) end
      completed[task] = record.seq
    elseif record.kind == "compensated" then
      if undone[task] then watch:complain("run %s: %s was compensated twice", run.id, task) end
      undone[task] = record.seq
    end
  end
end

-- What has `compensate` and completed is undone, from the last that completed to the first.
local function check_undone(watch, run)
  local undone = {}
  for i, one in ipairs(run.undone_list) do undone[one.task] = { i = i, seq = one.seq } end
  if #run.undone_list == 0 and not (run.over and run.over.state == 8) then return end
  local before
  for i = #run.records, 1, -1 do
    local record = run.records[i]
    local node = record.name and run.definition.nodes[record.name]
    local task = node and facts.task(record.name, record.item)
    local whole = node and node.each and record.item == 0
    if record.kind == "completed" and node.compensate and not whole then
      if not undone[task] then watch:complain("run %s: %s completed and was not undone", run.id, task)
      elseif before and undone[task].i < before then watch:complain("run %s: %s was undone too early", run.id,
        task) end
      before = undone[task] and undone[task].i or before
    end
  end
end

local function check_signals(watch, run, sent)
  local got, names, taken, consumed, all = {}, {}, {}, 0, 0
  for _, record in ipairs(run.records) do
    if record.kind == "signal" then
      local v = record.value
      if got[v.m] then watch:complain("run %s: message %s was taken twice", run.id, v.m) end
      got[v.m] = true
      names[v.n] = (names[v.n] or 0) + 1
    elseif record.kind == "step" and record.value.k == "wait" and record.value.s ~= nil then
      local s = ("%s #%d"):format(record.value.s, record.value.v.n)
      if taken[s] then watch:complain("run %s: signal %s was consumed twice", run.id, s) end
      taken[s], consumed = true, consumed + 1
    end
  end
  for name, n in pairs(sent or {}) do
    all = all + n
    if names[name] ~= n then
      watch:complain("run %s: %d signals '%s' were sent, %d came", run.id, n, name, names[name] or 0)
    end
  end
  if consumed ~= all then
    watch:complain("run %s: %d signals were sent, %d consumed", run.id, all, consumed)
  end
end

-- What handlers wrote to the file agrees with the journal: each that completed has written its end.
local function check_told(watch, run)
  for _, record in ipairs(run.records) do
    if record.kind == "completed" and record.reason == 0 and record.attempt > 0 then
      local id = facts.attempt(record.name, record.item, record.iteration + 1, record.attempt)
      local began = watch.counts[table.concat({ "begin", run.id, id }, "\t")]
      local ended = watch.counts[table.concat({ "end", run.id, id }, "\t")]
      if began and not ended then
        watch:complain("run %s: %s is committed as completed and had not ended", run.id, id)
      end
    elseif record.kind == "compensated"
        and not (run.definition.nodes[record.name].each and record.item == 0) then
      if not watch.counts[table.concat({ "undone", run.id, facts.task(record.name, record.item) }, "\t")] then
        watch:complain("run %s: %s is committed as compensated and had not ended", run.id, record.name)
      end
    end
  end
end

-- ---- the tables ---------------------------------------------------------------------------------

local function check_tables(watch, store)
  for _, run in ipairs(watch.facts.list) do
    local row = store:query("SELECT state, seq FROM runs WHERE id = ?", run.id)[1]
    local state = run.over and ENDED[run.over.state]
    if not state then watch:complain("run %s (%s) has not ended: the tables say %s", run.id, run.workflow,
      row.state)
    elseif row.state ~= state then watch:complain("run %s is %s by its journal, %s by the tables", run.id,
      state, row.state) end
    if row.seq ~= #run.records then
      watch:complain("run %s: the tables show %d of %d records", run.id, row.seq, #run.records)
    end
  end
  -- A message to go on may come after the run's end.
  local left = store:query("SELECT count(*) AS n FROM inbox WHERE taken IS NULL AND name = 'signal'")[1].n
  if left ~= 0 then watch:complain("%d signals were left in the inbox", left) end
  local lost = store:query("SELECT count(*) AS n FROM runs WHERE state = 'pending' AND seq = 0")[1].n
  if lost ~= 0 then watch:complain("%d runs have no journal", lost) end
end

-- ---- against runs that nobody disturbed ---------------------------------------------------------

local NODES = [[SELECT node, item, state, attempts, iteration, output, json_extract(error, '$.code') AS code, outcome, source
  FROM nodes WHERE run = ? ORDER BY idx, item]]

local function children(store, number)
  return store:query("SELECT number, id, workflow, state, input, output FROM runs WHERE parent = ? ORDER BY "
    .. "input", number)
end

local compare

local function compare_children(watch, store, row, other, was)
  local here, there = children(store, row.number), children(other, was.number)
  if #here ~= #there then
    watch:complain("run %s has %d children, undisturbed it has %d", row.id, #here, #there)
  end
  for i = 1, math.min(#here, #there) do compare(watch, store, here[i], other, there[i]) end
end

local function compare_nodes(watch, store, row, other, was)
  local here, there = store:query(NODES, row.number), other:query(NODES, was.number)
  if #here ~= #there then
    watch:complain("run %s has %d nodes and items, undisturbed %d", row.id, #here, #there)
  end
  for i = 1, math.min(#here, #there) do
    for key, value in pairs(there[i]) do
      if here[i][key] ~= value then
        watch:complain("run %s (%s): %s[%d].%s is %s, undisturbed %s", row.id, row.workflow, there[i].node,
          there[i].item, key,
          here[i][key], value)
      end
    end
  end
end

-- What these have to undo depends on the moment of the failure.
local BY_THE_MOMENT = { undo = true, tree = true }

--- Compares a run with its undisturbed twin: state, output, nodes, children.
---@param watch table
---@param store orrery.Store
---@param row table of `runs`
---@param other orrery.Store
---@param was table of `runs` there
function compare(watch, store, row, other, was)
  for _, key in ipairs { "workflow", "state", "output" } do
    if row[key] ~= was[key] then
      watch:complain("run %s (%s): its %s is %s, undisturbed %s", row.id, row.workflow, key, row[key],
        was[key])
    end
  end
  if BY_THE_MOMENT[row.workflow] then return end
  compare_nodes(watch, store, row, other, was)
  compare_children(watch, store, row, other, was)
end

local TOP = "SELECT number, id, workflow, state, input, output FROM runs WHERE key = ? AND parent IS NULL"

--- All of it. `plan`: the runs that were to be there, with their keys and the signals that they
--- were sent; `other`: the store of their undisturbed twins, which have the keys of `twin`.
---@param watch table
---@param store orrery.Store
---@param other orrery.Store
---@param plan table[]
function final.check(watch, store, other, plan)
  watch:mark()
  store:project()
  check_tables(watch, store)
  check_step_order(watch)
  local tops = store:query("SELECT count(*) AS n FROM runs WHERE parent IS NULL")[1].n
  if tops ~= #plan then watch:complain("%d runs were asked for, there are %d", #plan, tops) end
  for _, one in ipairs(plan) do
    local row, was = store:query(TOP, one.key)[1], other:query(TOP, one.twin)[1]
    if row then
      compare(watch, store, row, other, was)
      check_signals(watch, watch.facts.runs[row.id], one.sent)
    else
      watch:complain("the run with the key %s is missing", one.key)
    end
  end
  for _, run in ipairs(watch.facts.list) do
    check_once(watch, run)
    check_undone(watch, run)
    check_told(watch, run)
  end
end

return final
