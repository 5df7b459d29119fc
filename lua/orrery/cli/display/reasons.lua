--- What a node waits for, in words, made from `run:why` or the column `why` of `nodes`.
local session = require "orrery.cli.shared.session"
local term = require "orrery.cli.display.term"

local reasons = {}

-- When it is due; while its run is paused, in how long after that.
local function due_text(why, now)
  if why.left then return ("%s after its paused run goes on"):format(term.duration(why.left)) end
  if why.held then return "its paused run has gone on" end
  if not why.due then return nil end
  local time = os.date(math.abs(why.due - now) < 86400 and "%H:%M:%S" or "%Y-%m-%d %H:%M:%S",
    math.floor(why.due))
  return why.due <= now and time .. ", which is over"
    or ("%s, in %s"):format(time, term.duration(why.due - now))
end

local function named(why, kind) return ("%s '%s'"):format(kind, term.clean(why.name or "?")) end

local CAUSES = {
  failure = "a node failed", cancel = "it is being cancelled", timeout = "its `timeout` is over",
  stall = "nothing is left that could happen",
}

--- Why a run ends before its nodes have, in words; nil for a cause that is not known here.
---@param cause string|nil
---@return string|nil
function reasons.cause(cause) return CAUSES[cause] end

local MOST_BUSY = 4 -- tasks that are named

-- What keeps the workers busy.
local function worker_text(why)
  local names = {}
  for i, one in ipairs(type(why.busy) == "table" and why.busy or {}) do
    if i > MOST_BUSY then break end
    names[i] = term.task(one.node, one.item or 0) .. (one.run and " of run " .. term.clean(one.run) or "")
  end
  local rest = (why.count or 0) - #names
  if rest > 0 and #names > 0 then names[#names + 1] = ("%d more"):format(rest) end
  local last = table.remove(names)
  local list = #names > 0 and table.concat(names, ", ") .. " and " .. last or last
  return ("a worker: %d of %d %s busy%s"):format(why.count or 0, why.limit or 0,
    why.count == 1 and "is" or "are", list and " with " .. list or "")
end

-- By what a ready node stands in its line, where nodes have estimates.
local function path_text(why)
  return why.remaining and ("; by the estimates its longest path to the end takes %s"):format(
    term.duration(why.remaining)) or ""
end

local MORE_WORKERS = "raise `workers.max` of the runtime, or wait"

-- kind -> what is said after the node's name, and the remedy where there is one.
local SAY = {
  dependency = function(why)
    local more = (why.count or 1) - 1
    return "waits for " .. (why.by and term.clean(why.by) or "what it depends on")
      .. (more > 0 and (" and %d more"):format(more) or "")
  end,
  run_limit = function(why)
    return ("waits for a place: the run's concurrency is %d, and so many run%s"):format(why.limit or 0,
      path_text(why)), "raise `concurrency`"
  end,
  pool = function(why)
    if (why.limit or 0) == 0 then
      return ("waits for %s, which gives no places"):format(named(why, "pool")),
        ("let the pool go on with `orrery resume --pool %s`, or raise its `max`")
          :format(term.clean(why.name or "NAME"))
    end
    return ("waits for %s, of which %d of %d places are taken%s%s")
      :format(named(why, "pool"), why.count or 0, why.limit,
      why.by and (", one by %s%s"):format(term.clean(why.by), why.by_run and " of run " .. why.by_run or "")
        or "", path_text(why)),
      "raise the pool's `max`, or wait"
  end,
  rate = function(why, now)
    return ("waits for the rate of %s, until %s")
      :format(named(why, "pool"), due_text(why, now) or "its next token")
  end,
  breaker = function(why, now)
    return ("waits for %s, open until %s")
      :format(named(why, "breaker"), due_text(why, now) or "its cooldown is over"),
      "mend what the breaker protects"
  end,
  backoff = function(why, now)
    return "is tried again: the next attempt is due " .. (why.held and "when its paused run has gone on"
      or due_text(why, now) or "soon")
  end,
  timer = function(why, now) return "sleeps until " .. (due_text(why, now) or "it is woken") end,
  signal = function(why, now)
    local due = due_text(why, now)
    local what = why.approval and reasons.approval(why.approval) or why.name and named(why, "signal")
      or why.child and "its child run of " .. term.clean(why.child) or "a signal"
    return "waits for " .. what .. (due and ", until " .. due or "")
  end,
  parallel = function(why)
    return ("waits for a place among the items: %d of %d are under way")
      :format(why.count or 0, why.limit or 0)
  end,
  lock = function(why)
    local what = ("waits because its run waits for the %s"):format(named(why, "lock"))
    if not why.by_run then return what end
    if why.alive ~= false then return what .. ", which run " .. why.by_run .. " has" end
    return what .. ", which run " .. why.by_run .. " has, and no process runs that",
      "let that go on: " .. session.typed("resume " .. why.by_run)
  end,
  priority = function(why)
    local n = why.count or 0
    return (n == 0 and "is ready and starts next"
      or ("is ready; %s before it"):format(n == 1 and "one is" or n .. " are")) .. path_text(why)
  end,
  paused = function() return "waits because its run is paused" end,
  compensation = function(why)
    return "will not start: the run is being undone"
      .. (why.by and ", now its node " .. term.clean(why.by) or "")
  end,
  stopped = function(why)
    return "will not start: the run is ending"
      .. (CAUSES[why.cause] and ", because " .. CAUSES[why.cause] or "")
      .. (why.reason and ": " .. term.clean(why.reason) or "")
  end,
  items = function(why)
    local text, worker = ("has %d of %d items done"):format(why.count or 0, why.limit or 0), why.worker
    if type(worker) ~= "table" then return text end
    return ("%s; %d of them wait%s for %s"):format(text, worker.waiting or 0,
      worker.waiting == 1 and "s" or "", worker_text(worker)), MORE_WORKERS
  end,
  worker = function(why) return "waits for " .. worker_text(why), MORE_WORKERS end,
  running = function(why, now)
    return ("is running%s%s"):format((why.count or 1) > 1 and ", attempt " .. why.count or "",
      why.since and ", for " .. term.duration(now - why.since) or "")
  end,
}

--- What an approval is asked for, and whom.
---@param approval { message: string|nil, by: string[]|nil }
---@return string
function reasons.approval(approval)
  local by = reasons.deciders(approval)
  return "approval" .. (approval.message and (" (%s)"):format(term.clean(approval.message)) or "")
    .. (by and " by " .. by or "")
end

--- Who may decide, in words; nil where anybody may.
---@param approval { by: string[]|nil }
---@return string|nil
function reasons.deciders(approval)
  local by = {}
  for i, name in ipairs(type(approval.by) == "table" and approval.by or {}) do by[i] = term.clean(name) end
  return #by > 0 and table.concat(by, " or ") or nil
end

--- What is said after the node's name; nil for a kind that has no words here.
---@param why orrery.Why
---@param now number seconds since the epoch
---@return string|nil text
---@return string|nil remedy
function reasons.say(why, now)
  local say = SAY[why.kind]
  if not say then return nil end
  return say(why, now)
end

--- The `orrery signal` command to type for a wait: who may not decide has to name who does.
---@param run string its id, or a beginning of it
---@param wait { name: string, approval: { by: string[]|nil }|nil }
---@return string words behind `orrery`
function reasons.to_send(run, wait)
  local data = wait.approval and "--approve" .. (wait.approval.by and " --by WHO" or "") or "[JSON]"
  return ("signal %s %s %s"):format(run, session.word(wait.name), data)
end

--- The same in few words, for a table.
---@param why orrery.Why
---@param now number
---@return string|nil
function reasons.short(why, now)
  if why.kind == "running" or why.kind == "settled" then return nil end
  return (reasons.say(why, now))
end

return reasons
