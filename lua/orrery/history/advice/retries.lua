--- What retries have helped with, and the policy that follows from it.
---
--- A policy that is learned gives, for a code with enough figures, more retries than `standard` or
--- as many, over as long a time or a longer one: so it succeeds wherever `standard` would have,
--- whether what failed comes back after a time or after a number of attempts. Only where retries
--- never helped with a code it makes none. Whatever else fails is tried as `standard` says.
local durations = require "orrery.history.durations"

local retries = {}

local FEW = 10      -- retries after a code, below which nothing is said of it
local NEVER = 30    -- tasks that no retry has helped, from which on none is made
local MOST = 10     -- retries
local CODES = 7     -- that have a policy of their own; the eighth is for the rest
local FACTOR = 2

--- As `standard` is (see orrery.definition.retry_policy, of which this room knows nothing).
retries.STANDARD = { max = 3, strategy = "exponential", delay = 1, factor = 2, max_delay = 30,
  jitter = "equal" }
retries.FEW = FEW

-- ---- what happened ------------------------------------------------------------------------------

---@class orrery.Task attempts of a node, or of an item of it, in one iteration
---@field node string
---@field attempts { started: number, ended: number, code: string|nil }[] code: it failed

--- The tasks of rows of `attempts_of_workflow`, those that were cut off or cancelled left out.
---@param rows fun(): table|nil
---@return orrery.Task[]
function retries.tasks(rows)
  local tasks, last = {}, nil
  for row in rows do
    local key = ("%d %d %d %s"):format(row.run, row.item or 0, row.iteration, row.node)
    if not last or last.key ~= key then
      last = { key = key, node = row.node, attempts = {} }
      tasks[#tasks + 1] = last
    end
    local failed = row.state == "failed"
    if row.started and row.ended and (failed or row.state == "completed") then
      table.insert(last.attempts, { started = row.started, ended = math.max(row.started, row.ended),
        code = failed and (row.code or "error") or nil, run = row.run })
    end
  end
  return tasks
end

-- Waits before a retry, from one to below the next.
local EDGES = { 0, 0.5, 2, 8, 30, 120 }

local function bucket_of(wait)
  local k = #EDGES
  while k > 1 and wait < EDGES[k] do k = k - 1 end
  return k
end

---@class orrery.RetryFigures of a code of a node
---@field code string
---@field tries integer attempts that were made after one that failed with it
---@field helped integer of them that completed
---@field last integer the highest number of a retry that helped
---@field first_tries integer the same of the first retries alone
---@field first_helped integer

local function new_figures(code)
  local f = { code = code, tries = 0, helped = 0, last = 0, first_tries = 0, first_helped = 0, waits = {},
    back = {} }
  for k in ipairs(EDGES) do f.waits[k] = { tries = 0, helped = 0, list = {} } end
  return f
end

local function add_task(by_code, list, task)
  local attempts = task.attempts
  for k = 1, #attempts - 1 do
    local code, ok = attempts[k].code, not attempts[k + 1].code
    if code then
      local f = by_code[code]
      if not f then
        f, list[#list + 1] = new_figures(code), code
        by_code[code] = f
      end
      local wait = math.max(0, attempts[k + 1].started - attempts[k].ended)
      local bucket = f.waits[bucket_of(wait)]
      f.tries, bucket.tries = f.tries + 1, bucket.tries + 1
      bucket.list[#bucket.list + 1] = wait
      if k == 1 then f.first_tries, f.first_helped = f.first_tries + 1, f.first_helped + (ok and 1 or 0) end
      if ok then
        f.helped, bucket.helped, f.last = f.helped + 1, bucket.helped + 1, math.max(f.last, k)
        f.back[#f.back + 1] = attempts[k + 1].started - attempts[1].ended
      end
    end
  end
end

--- The figures of tasks by code, the most frequent first.
---@param tasks orrery.Task[]
---@return orrery.RetryFigures[]
function retries.figures(tasks)
  local by_code, list = {}, {}
  for _, task in ipairs(tasks) do add_task(by_code, list, task) end
  for i, code in ipairs(list) do list[i] = by_code[code] end
  table.sort(list, function(a, b)
    if a.tries ~= b.tries then return a.tries > b.tries end
    return a.code < b.code
  end)
  return list
end

-- ---- what would have happened -------------------------------------------------------------------

local MEAN = { none = 1, equal = 0.75, full = 0.5 }

local function wait_of(policy, k)
  local delay = policy.delay
  if policy.strategy == "exponential" then delay = delay * policy.factor ^ (k - 1)
  elseif policy.strategy == "linear" then delay = delay * k end
  return math.min(delay, policy.max_delay or delay) * (MEAN[policy.jitter] or 1)
end

-- How long after the first failure the last retry is made.
local function reach(policy)
  local sum = 0
  for k = 1, policy.max do sum = sum + wait_of(policy, k) end
  return sum
end

retries.reach = reach

local function policy_for(policies, code)
  for _, policy in ipairs(policies) do
    if not policy.on then return policy end
    for _, known in ipairs(policy.on) do
      if known == code then return policy end
    end
  end
  return { max = 0, delay = 0 }
end

-- When what failed was there again: after the last attempt that failed, before the first that did
-- not; from then on each attempt works (`time`). Or attempts work by their number (`count`).
local function back_of(task)
  local attempts, failures = task.attempts, 0
  while attempts[failures + 1] and attempts[failures + 1].code do failures = failures + 1 end
  local works = attempts[failures + 1]
  if not works then return math.huge, math.huge end
  local origin = attempts[1].ended
  return (attempts[failures].started + works.started) / 2 - origin, failures
end

---@class orrery.Replay
---@field completed integer tasks
---@field attempts integer
---@field seconds number waited and tried again, over all tasks

--- Plays recorded failures under policies.
---@param tasks orrery.Task[]
---@param policies table[] as a definition has them; of each code the first that fits
---@param model "time"|"count"
---@return orrery.Replay
function retries.replay(tasks, policies, model)
  local made = { completed = 0, attempts = 0, seconds = 0 }
  for _, task in ipairs(tasks) do
    local first = task.attempts[1]
    if first and first.code then
      local policy, took = policy_for(policies, first.code), first.ended - first.started
      local back, failures = back_of(task)
      local at, k, works = 0, 0, false
      while not works and k < policy.max do
        k = k + 1
        at = at + wait_of(policy, k)
        if model == "time" then works = at >= back else works = k >= failures end
        at = at + took
      end
      made.attempts, made.seconds = made.attempts + k, made.seconds + at
      made.completed = made.completed + (works and 1 or 0)
    end
  end
  return made
end

-- ---- the policy ---------------------------------------------------------------------------------

-- One digit, so that a policy seldom changes.
local function rounded(seconds)
  if seconds < 0.05 then return 0.05 end
  local unit = 10 ^ math.floor(math.log(seconds, 10) + 1e-9)
  local digit = math.floor(seconds / unit + 0.5)
  return tonumber(("%.6g"):format(digit * unit))
end

-- The shortest wait after which retries helped about as often as after any.
local function best_wait(f)
  local best, chosen = 0, nil
  for _, bucket in ipairs(f.waits) do
    if bucket.tries >= 5 then best = math.max(best, bucket.helped / bucket.tries) end
  end
  for _, bucket in ipairs(f.waits) do
    if not chosen and best > 0 and bucket.tries >= 5 and bucket.helped / bucket.tries >= best / 2 then
      table.sort(bucket.list)
      chosen = durations.percentile(bucket.list, 0.5)
    end
  end
  return chosen
end

local function policy_of(f)
  if f.first_tries >= NEVER and f.helped == 0 then
    return { on = { f.code }, max = 0, strategy = "fixed", delay = 0, factor = 1, max_delay = 0,
      jitter = "none" }
  end
  local wait = f.tries >= FEW and f.helped > 0 and best_wait(f)
  if not wait then return nil end
  table.sort(f.back)
  -- nominal delays are longer than what is waited at the mean
  local delay = rounded(wait / MEAN.equal)
  local policy = { on = { f.code }, max = math.max(retries.STANDARD.max, f.last), strategy = "exponential",
    delay = delay, factor = FACTOR, max_delay = math.max(30, delay), jitter = "equal" }
  local far = math.max(reach(retries.STANDARD), durations.percentile(f.back, 0.95))
  policy.max = math.min(policy.max, MOST)
  while reach(policy) < far and policy.max < MOST do policy.max = policy.max + 1 end
  return reach(policy) >= reach(retries.STANDARD) and policy or nil
end

local MODELS = { "time", "count" }

-- Whether it completes more tasks than `standard`, or as many in no longer a time, however what
-- failed comes back.
local function is_better(policy, tasks)
  local more, longer = false, false
  for _, model in ipairs(MODELS) do
    local own = retries.replay(tasks, { policy, retries.STANDARD }, model)
    local usual = retries.replay(tasks, { retries.STANDARD }, model)
    if own.completed < usual.completed then return false end
    more = more or own.completed > usual.completed
    longer = longer or own.seconds > usual.seconds
  end
  return more or not longer
end

--- The policies for a node's tasks: those of codes with figures enough, then `standard`.
---@param tasks orrery.Task[]
---@return table[] policies as a definition has them, the last one for all codes
---@return orrery.RetryFigures[] figures of all codes; `policy` is set where it has one of its own
function retries.learn(tasks)
  local policies, figures = {}, retries.figures(tasks)
  for _, f in ipairs(figures) do
    local policy = #policies < CODES and policy_of(f)
    if policy and is_better(policy, tasks) then
      f.policy = policy
      policies[#policies + 1] = policy
    end
  end
  policies[#policies + 1] = retries.STANDARD
  return policies, figures
end

return retries
