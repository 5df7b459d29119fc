--- The engine's own promises, looked at in the journal of a history and in what its handlers saw.
local check = {}

local function place(start)
  return start.item and ("%s[%d]"):format(start.node, start.item) or start.node
end

-- ---- what the journal says ----------------------------------------------------------------------

local SETTLES = { completed = "run", failed = "run", cancelled = "run", skipped = "run",
  compensated = "undo", compensation_failed = "undo" }

local function cell(node, item, phase) return node .. "\0" .. (item or "") .. "\0" .. phase end

-- cell -> the number of the record that settled it first
local function settled(h)
  local at = {}
  for _, record in ipairs(h.journal) do
    local phase = record.node and SETTLES[record.kind]
    local key = phase and cell(record.node, record.item, phase)
    if key and not at[key] then at[key] = record.seq end
  end
  return at
end

-- ---- the promises -------------------------------------------------------------------------------

local function ends(h)
  if h.ended then return nil end
  if h.endless then return ("it began %d attempts and went on"):format(#h.starts) end
  if h.hung then return "after five years of virtual time it had not ended" end
  return ("the run had not ended after %d lives of its process"):format(h.lives)
end

local function nothing_again(h, at)
  for _, start in ipairs(h.starts) do
    if start.run == h.id then
      local seq = at[cell(start.node, start.item, start.phase)] or at[cell(start.node, nil, start.phase)]
      if seq and seq <= start.committed then
        return ("%s started again though record %d had settled it"):format(place(start), seq)
      end
    end
  end
end

-- How many of its dependencies must have settled before a node starts.
local function needed(node)
  if node.join == "need" then return node.need end
  return node.join == "any" and 1 or #node.deps
end

local function after_commit(h, at)
  if h.options.durability == "relaxed" then return nil end
  for _, start in ipairs(h.starts) do
    local node = start.run == h.id and start.phase == "run" and h.subject.by_name[start.node]
    if node and node.deps and #node.deps > 0 then
      local n = 0
      for _, dep in ipairs(node.deps) do
        local seq = at[cell(h.subject.nodes[dep.node].name, nil, "run")]
        if seq and seq <= start.committed then n = n + 1 end
      end
      if n < needed(node) then
        return ("%s started when only %d of the %d nodes that it needs had ended on the disk")
          :format(place(start), n, needed(node))
      end
    end
  end
end

local function most_attempts(retry)
  if not retry then return 1 end
  if retry.max then return 1 + retry.max end
  local n = 1
  for _, policy in ipairs(retry) do n = n + policy.max end
  return n
end

local function attempts(h)
  local counts, seen = {}, {}
  for _, start in ipairs(h.starts) do
    local node = start.run == h.id and start.phase == "run" and h.subject.by_name[start.node]
    if node then
      local task = cell(start.node, start.item, tostring(start.iteration))
      local try = task .. "\0" .. start.attempt
      if not seen[try] then
        seen[try] = true
        counts[task] = (counts[task] or 0) + 1
        if counts[task] > most_attempts(node.retry) then
          return ("%s began attempt %d of at most %d"):format(place(start), counts[task],
            most_attempts(node.retry))
        end
      end
    end
  end
end

local function steps(h)
  local done = {}
  for _, record in ipairs(h.journal) do
    local step = record.kind == "step" and record.value
    if type(step) == "table" and step.k == "step" and step.e == nil then
      local key = table.concat({ record.node, record.item or "", record.iteration or "",
        step.p and tostring(step.p) or "", step.o, step.n }, "\0")
      if done[key] then return ("step %s of %s was done twice"):format(step.n, record.node) end
      done[key] = true
    end
  end
end

local function undone(h)
  if h.state ~= "compensated" and h.state ~= "compensation_failed" then return nil end
  local completed, last, begun = {}, math.huge, false
  for _, record in ipairs(h.journal) do
    begun = begun or record.kind == "compensating" -- cleanup nodes come after it
    local task = record.node and cell(record.node, record.item, "run")
    if record.kind == "completed" and not begun then completed[task] = record.seq end
    local whole = task and not record.item and h.subject.by_name[record.node].each -- after its items
    local seq = SETTLES[record.kind] == "undo" and not whole and completed[task]
    if seq and seq > last then
      return ("%s was undone after what had completed before it"):format(record.node)
    end
    last = seq or last
  end
  for _, node in ipairs(h.subject.nodes) do
    local undo = node.compensate and not node.each and completed[cell(node.name, nil, "run")]
    if undo and h.states[node.name] ~= "compensated" and h.states[node.name] ~= "compensation_failed" then
      return ("%s completed and was not undone"):format(node.name)
    end
  end
end

local function same_course(h)
  for name, problem in pairs(h.errors) do
    if problem and problem.code == "nondeterminism" then return ("%s: %s"):format(name, problem.message) end
  end
end

local PROMISES = {
  { "every run ends", ends },
  { "limits are kept", function(h) return h.exceeded end },
  { "the engine agrees with itself", function(h) return h.disagrees end },
  { "nothing that is committed is done again", nothing_again },
  { "dependents start after the commit", after_commit },
  { "no more attempts than allowed", attempts },
  { "a step is done once", steps },
  { "what completed is undone, in order", undone },
  { "a replay takes the same course", same_course },
}

--- The first promise that the history breaks.
---@param h orrery.sim.History
---@return string|nil name
---@return string|nil text
function check.engine(h)
  local at = settled(h)
  for _, promise in ipairs(PROMISES) do
    local text = promise[2](h, at)
    if text then return promise[1], text end
  end
end

--- The first of the user's invariants that it breaks.
---@param h orrery.sim.History
---@param invariants { name: string, fn: function }[]
---@return string|nil name
---@return string|nil text
function check.user(h, invariants)
  local seen
  for _, invariant in ipairs(invariants) do
    seen = seen or require("orrery.sim.ending").of(h)
    local ok, holds, text = pcall(invariant.fn, seen)
    if not ok then return invariant.name, "the invariant itself failed: " .. tostring(holds) end
    if holds == false then return invariant.name, text or "it does not hold" end
  end
end

return check
