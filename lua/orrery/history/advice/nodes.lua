--- What is proposed for a node by itself: a timeout, retries, a breaker, a cache.
local durations = require "orrery.history.durations"
local numbers = require "orrery.history.advice.numbers"
local retries = require "orrery.history.advice.retries"

-- ---- timeouts -----------------------------------------------------------------------------------

local SHORTEST = 0.05 -- seconds at 99 %, below which a timeout is of little use
local SPARE = 2       -- times the 99th percentile

local function timed_out(node)
  local n, all = 0, 0
  for _, task in ipairs(node.tasks) do
    for _, attempt in ipairs(task.attempts) do
      all, n = all + 1, n + (attempt.code == "timeout" and 1 or 0)
    end
  end
  return n, all
end

-- Types that only wait, while which the timeout of an attempt stands still.
local WAITS = { delay = true, wait = true, approval = true, workflow = true }

local function advise_timeout(node, say)
  local list, own = node.attempts, node.definition.timeout
  if #list < numbers.ENOUGH or WAITS[node.definition.type] then return end
  local figures = numbers.spread(list)
  if figures.p99 < SHORTEST then return end
  local wanted = numbers.up(math.max(SPARE * figures.p99, 1.2 * figures.most))
  figures.timed_out, figures.attempts = timed_out(node)
  figures.timeout = own
  local often = own and figures.timed_out >= 5 and figures.timed_out >= figures.attempts / 20
  if not own or often and wanted > own or own > 20 * wanted then
    if often then wanted = math.max(wanted, numbers.up(2 * own)) end
    say("timeout", "timeout = " .. numbers.written(wanted), figures)
  end
end

-- ---- retries ------------------------------------------------------------------------------------

-- Failures that nobody tried again, by code.
local function left_alone(node)
  local counts, most = {}, nil
  for _, task in ipairs(node.tasks) do
    local last = task.attempts[#task.attempts]
    if #task.attempts == 1 and last.code then
      counts[last.code] = (counts[last.code] or 0) + 1
      if not most or counts[last.code] > counts[most] then most = last.code end
    end
  end
  return most, most and counts[most]
end

local FINAL = { config_error = true, validation_error = true, cancelled = true, deadlock = true }

-- What a learned list says in short.
local function policies_text(policies)
  local parts = {}
  for i, policy in ipairs(policies) do
    if policy.on then
      parts[i] = policy.max == 0 and ("{ on = { %q }, max = 0 }"):format(policy.on[1])
        or ('{ on = { %q }, max = %d, strategy = "exponential", delay = %s }')
          :format(policy.on[1], policy.max, numbers.written(policy.delay))
    else
      parts[i] = "{ max = 3 }"
    end
  end
  return ("retry = { %s }"):format(table.concat(parts, ", "))
end

local function advise_retry(node, say)
  local policies, figures = retries.learn(node.tasks)
  local plain = {}
  for _, f in ipairs(figures) do
    plain[#plain + 1] = { code = f.code, tries = f.tries, helped = f.helped, last = f.last,
      first_tries = f.first_tries, first_helped = f.first_helped, few = f.tries < retries.FEW or nil }
  end
  if #policies > 1 then
    if node.definition.learned then return end
    return say("retry", policies_text(policies), { codes = plain, policies = policies })
  end
  local code, n = left_alone(node)
  if #figures == 0 and code and n >= 5 and not FINAL[code] and not node.definition.retry then
    say("retry", 'retry = "standard"', { code = code, failures = n, tasks = #node.tasks })
  end
end

-- ---- breakers -----------------------------------------------------------------------------------

local WINDOW, THRESHOLD = 60, 5

-- Tasks that failed for good.
local function lost_of(node)
  local lost = 0
  for _, task in ipairs(node.tasks) do
    local last = task.attempts[#task.attempts]
    if last and last.code and not FINAL[last.code] then lost = lost + 1 end
  end
  return lost
end

-- Failures that came within a minute after so many others without a success between them.
local function advise_breaker(node, say)
  if node.definition.breaker then return end
  local events = {}
  for _, task in ipairs(node.tasks) do
    for _, attempt in ipairs(task.attempts) do
      events[#events + 1] = { at = attempt.ended, failed = attempt.code ~= nil and not FINAL[attempt.code] }
    end
  end
  table.sort(events, function(a, b) return a.at < b.at end)
  local streak, futile, failures = {}, 0, 0
  if lost_of(node) < THRESHOLD then return end -- retries help with what comes back by itself
  for _, event in ipairs(events) do
    if not event.failed then
      streak = {}
    else
      failures = failures + 1
      local fifth = streak[#streak - THRESHOLD + 1]
      if fifth and event.at - fifth <= WINDOW then futile = futile + 1 end
      streak[#streak + 1] = event.at
    end
  end
  if futile < THRESHOLD then return end
  say("breaker", ("breaker = { name = %q, threshold = %d, window = \"60s\" }"):format(node.name, THRESHOLD),
    { failures = failures, futile = futile, attempts = #events })
end

-- ---- caches -------------------------------------------------------------------------------------

local function advise_cache(node, say, facts)
  local of = facts.outputs[node.name]
  local mean = durations.mean(node.seconds)
  if node.definition.cache or not of or not mean or of.runs < 10 or of.outputs * 4 > of.runs or mean < 1 then
    return
  end
  say("cache", "cache = true", { runs = of.runs, outputs = of.outputs, seconds = mean })
end

return { advise_timeout, advise_retry, advise_breaker, advise_cache }
