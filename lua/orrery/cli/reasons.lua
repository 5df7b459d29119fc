--- What a node waits for, in words: from what the engine says of it (`run:why`, and the column `why` of `nodes`).
local history = require "orrery.cli.history"
local term = require "orrery.cli.term"

local reasons = {}

---@class orrery.Why see `run:why`
---@field kind string
---@field by? string
---@field by_run? string
---@field name? string
---@field count? integer
---@field limit? integer
---@field due? number
---@field since? number
---@field cause? string
---@field approval? { message: string|nil, by: string[]|nil } what the signal is to decide

local function due_text(why, now)
  if not why.due then return nil end
  local time = os.date(math.abs(why.due - now) < 86400 and "%H:%M:%S" or "%Y-%m-%d %H:%M:%S", math.floor(why.due))
  return why.due <= now and time .. ", which is over" or ("%s, in %s"):format(time, term.duration(why.due - now))
end

local function named(why, kind) return ("%s '%s'"):format(kind, term.clean(why.name or "?")) end

local CAUSES = {
  failure = "a node failed", cancel = "it is being cancelled", timeout = "its `timeout` is over",
  stall = "nothing is left that could happen",
}

-- kind -> what is said after the node's name, and the remedy where there is one.
local SAY = {
  dependency = function(why)
    local more = (why.count or 1) - 1
    return "waits for " .. (why.by and term.clean(why.by) or "what it depends on")
      .. (more > 0 and (" and %d more"):format(more) or "")
  end,
  run_limit = function(why)
    return ("waits for a place: the run's concurrency is %d, and so many run"):format(why.limit or 0), "raise `concurrency`"
  end,
  pool = function(why)
    if (why.limit or 0) == 0 then
      return ("waits for %s, which gives no places"):format(named(why, "pool")),
        ("let the pool go on with `orrery resume --pool %s`, or raise its `max`"):format(term.clean(why.name or "NAME"))
    end
    return ("waits for %s, of which %d of %d places are taken%s"):format(named(why, "pool"), why.count or 0, why.limit,
      why.by and (", one by %s%s"):format(term.clean(why.by), why.by_run and " of run " .. why.by_run or "") or ""),
      "raise the pool's `max`, or wait"
  end,
  rate = function(why, now)
    return ("waits for the rate of %s, until %s"):format(named(why, "pool"), due_text(why, now) or "its next token")
  end,
  breaker = function(why, now)
    return ("waits for %s, open until %s"):format(named(why, "breaker"), due_text(why, now) or "its cooldown is over"),
      "mend what the breaker protects"
  end,
  backoff = function(why, now) return "is tried again: the next attempt is due " .. (due_text(why, now) or "soon") end,
  timer = function(why, now) return "sleeps until " .. (due_text(why, now) or "it is woken") end,
  signal = function(why, now)
    local due = due_text(why, now)
    local what = why.approval and reasons.approval(why.approval) or why.name and named(why, "signal") or "a signal"
    return "waits for " .. what .. (due and ", until " .. due or "")
  end,
  priority = function(why)
    local n = why.count or 0
    return n == 0 and "is ready and starts next" or ("is ready; %s before it"):format(n == 1 and "one is" or n .. " are")
  end,
  paused = function() return "waits because its run is paused" end,
  compensation = function(why)
    return "will not start: the run is being undone" .. (why.by and ", now its node " .. term.clean(why.by) or "")
  end,
  stopped = function(why) return "will not start: the run is ending" .. (CAUSES[why.cause] and ", because " .. CAUSES[why.cause] or "") end,
  items = function(why) return ("has %d of %d items done"):format(why.count or 0, why.limit or 0) end,
  running = function(why, now)
    return ("is running%s%s"):format((why.count or 1) > 1 and ", attempt " .. why.count or "",
      why.since and ", for " .. term.duration(now - why.since) or "")
  end,
}

--- The step in which a node of the type `wait` keeps what it asks for, and whom: `{ message, by }`.
reasons.APPROVAL = "approval_requested"

--- What an approval is asked for, and whom.
---@param approval { message: string|nil, by: string[]|nil }
---@return string
function reasons.approval(approval)
  local by = reasons.deciders(approval)
  return "approval" .. (approval.message and (" (%s)"):format(term.clean(approval.message)) or "") .. (by and " by " .. by or "")
end

--- Who may decide, in words; nil where anybody may.
---@param approval { by: string[]|nil }
---@return string|nil
function reasons.deciders(approval)
  local by = {}
  for i, name in ipairs(type(approval.by) == "table" and approval.by or {}) do by[i] = term.clean(name) end
  return #by > 0 and table.concat(by, " or ") or nil
end

--- What is said after the node's name; nil for a kind that says nothing here.
---@param why orrery.Why
---@param now number seconds since the epoch
---@return string|nil text
---@return string|nil remedy
function reasons.say(why, now)
  local say = SAY[why.kind]
  if not say then return nil end
  return say(why, now)
end

-- Steps that wait, and what a node waits for meanwhile.
local WAITS = { wait = "signal", sleep = "timer" }

--- What the open step of a node says of its wait, where its owner has said nothing yet.
---@param kind string of the step
---@param name string
---@param due number|nil
---@return orrery.Why|nil
function reasons.of_step(kind, name, due)
  return WAITS[kind] and { kind = WAITS[kind], name = kind == "wait" and name or nil, due = due }
end

--- What the approval is asked for that a node waits for.
reasons.APPROVAL_STEP = "SELECT value FROM steps WHERE run = ? AND node = ? AND item = ? AND name = '" .. reasons.APPROVAL
  .. "' AND value IS NOT NULL ORDER BY iteration DESC, time DESC LIMIT 1"

local function decoded(text)
  local value = history.value(text)
  return type(value) == "table" and value or {}
end

local AWAITED = [[SELECT json_extract(why, '$.name') AS name FROM nodes WHERE run = ?1 AND state = 'waiting'
    AND json_extract(why, '$.kind') = 'signal' AND json_extract(why, '$.name') IS NOT NULL
  UNION SELECT s.name FROM steps AS s JOIN nodes AS n ON n.run = s.run AND n.node = s.node AND n.item = s.item
    WHERE s.run = ?1 AND s.kind = 'wait' AND s.value IS NULL AND s.error IS NULL AND n.state = 'waiting' ORDER BY 1]]

local ASKED = [[SELECT a.value FROM steps AS w JOIN steps AS a ON a.run = w.run AND a.node = w.node AND a.item = w.item
  WHERE w.run = ?1 AND w.kind = 'wait' AND w.name = ?2 AND w.value IS NULL AND a.name = ?3
    AND a.value IS NOT NULL ORDER BY a.time DESC LIMIT 1]]

--- The signals that nodes of the run wait for now: as their owner last said, or in a step that is open.
---@param db orrery.Store
---@param number integer of the run
---@return { name: string, approval: { message: string|nil, by: string[]|nil }|nil }[] in the order of their names; `approval`: what
---  is to be decided, and by whom
function reasons.awaited(db, number)
  local waits = {}
  for row in db:each(AWAITED, number) do
    local asked = db:query(ASKED, number, row.name, reasons.APPROVAL)[1]
    waits[#waits + 1] = { name = row.name, approval = asked and decoded(asked.value) }
  end
  return waits
end

--- The signal to type for a wait: whoever may not decide has to say for whom it is.
---@param run string its id, or a beginning of it
---@param wait { name: string, approval: { by: string[]|nil }|nil }
---@return string words behind `orrery`
function reasons.to_send(run, wait)
  local data = wait.approval and "--approve" .. (wait.approval.by and " --by WHO" or "") or "[JSON]"
  return ("signal %s %s %s"):format(run, history.word(wait.name), data)
end

--- The last step of a node or item that was begun and has no result: what it waits in.
reasons.OPEN_STEP = [[SELECT kind, name FROM steps WHERE run = ? AND node = ? AND item = ? AND value IS NULL AND error IS NULL
  AND kind IN ('wait', 'sleep') ORDER BY time DESC, ordinal DESC LIMIT 1]]

--- The same in few words, for a table.
---@param why orrery.Why
---@param now number
---@return string|nil
function reasons.short(why, now)
  if why.kind == "running" or why.kind == "settled" then return nil end
  return (reasons.say(why, now))
end

return reasons
