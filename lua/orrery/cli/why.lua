--- `orrery why RUN [NODE]`: what a node waits for, or how it ended, in one sentence; and what helps. Without a node, of all that did not
--- simply complete.
local filter = require "orrery.cli.filter"
local history = require "orrery.cli.history"
local reasons = require "orrery.cli.reasons"
local term = require "orrery.cli.term"

local why = {}

local function names_of(db, run)
  local names = {}
  for i, row in ipairs(db:query("SELECT DISTINCT node FROM nodes WHERE run = ? LIMIT 5000", run.number)) do names[i] = row.node end
  return names
end

-- The node's row, and the number of its item.
local function find(db, run, word)
  local sql = "SELECT * FROM nodes WHERE run = ? AND node = ? AND item = ?"
  local name, item = word:match "^(.-)%[(%d+)%]$"
  local row = db:query(sql, run.number, name or word, tonumber(item) or 0)[1]
  if row then return row end
  local names = names_of(db, run)
  local near = require "orrery.nearest"(name or word, names)
  for _, known in ipairs(names) do
    if known == name then history.stop(2, ("node %s of run %s has no item %s yet"):format(name, run.id, item)) end
  end
  history.stop(2, ("run %s has no node '%s'%s"):format(run.id, word, near and ("; did you mean '%s'?"):format(near)
    or #names > 0 and "; its nodes are " .. table.concat(names, ", ", 1, math.min(#names, 20)) or " yet: nothing of it was recorded"))
end

-- ---- settled ------------------------------------------------------------------------------------------------------

local function took(node) return node.started and node.ended and " in " .. term.duration(node.ended - node.started) or "" end

local function failure(node, word, attempts)
  local e = history.value(node.error)
  e = type(e) == "table" and e or { message = tostring(node.error or "the reason was not recorded") }
  return ("%s%s: %s%s"):format(word, attempts > 1 and (" after %d attempts"):format(attempts) or "",
    term.clean((tostring(e.message or e.code):match "^[^\n]*")), e.code and " [" .. e.code .. "]" or "")
end

-- The `why` of a node with `cache` tells a hit from a miss.
local function cache_text(said)
  if said.cache ~= "miss" then return "" end
  return "; the cache was missed: " .. term.clean(said.cache_reason or "no entry")
end

local function see_why(run, name) return "see why of that: " .. history.typed(("why %s %s"):format(run.short, name)) end

local function again(run)
  return (run.state == "failed" or run.state == "cancelled") and "run it again, and what follows: " .. history.typed("retry " .. run.short)
    or nil
end

local SETTLED = {
  completed = function(node, said)
    if node.source == "cache" then return "completed without running: its output came from the cache" end
    if node.source == "fork" then return "completed without running: its output was taken over from the run it was forked of" end
    return ("completed%s%s%s%s"):format(node.attempts > 1 and " at attempt " .. node.attempts or "", took(node),
      node.outcome and ", with the outcome " .. term.clean(node.outcome) or "", cache_text(said))
  end,
  failed = function(node, _, run)
    return failure(node, "failed", node.attempts), again(run)
  end,
  skipped = function(_, said, run)
    local text = require("orrery.cli.progress").reason { reason = said.skip, by = said.by }
    return "was skipped" .. (text ~= "" and ": " .. term.clean(text) or ""),
      said.skip == "upstream" and said.by and see_why(run, said.by) or nil
  end,
  cancelled = function(_, _, run) return "was cancelled", again(run) end,
  compensated = function() return "was undone by its compensation" end,
  compensation_failed = function(node) return failure(node, "could not be undone", 1) end,
}

-- ---- not settled --------------------------------------------------------------------------------------------------

local function paused(db, sql, name) return name ~= nil and #db:query(sql, name) > 0 end

local function go_on(run) return "let it go on: " .. history.typed("resume " .. run.short) end

local ITEMS = [[SELECT count(*) AS begun, total(state IN ('running', 'waiting', 'retrying')) AS live FROM nodes
  WHERE run = ? AND node = ? AND item > 0]]

-- A node with `each` is running until its last item has ended, also while none of them does anything.
local function at_work(db, run, node)
  if node.state ~= "running" then return false end
  local items = db:query(ITEMS, run.number, node.node)[1]
  return node.item > 0 or items.begun == 0 or items.live > 0
end

-- What keeps the whole run, before anything of the node's own does.
local function held(db, run, node)
  if run.ended then return ("did not get so far: the run is %s"):format(run.state) end
  if node.state == "waiting" or at_work(db, run, node) then return nil end
  if paused(db, "SELECT 1 FROM workflows WHERE name = ? AND paused = 1", run.workflow) then -- which pauses its runs as well
    return ("waits because workflow %s is paused"):format(run.workflow),
      "let it go on: " .. history.typed("resume --workflow " .. history.word(run.workflow))
  end
  if run.state == "paused" then return "waits because its run is paused", go_on(run) end
end

-- Nobody runs the run: said after what the node waits for, with what helps.
local function abandoned(db, run)
  local owner = history.owner(db, run)
  if run.ended or owner and owner.alive then return nil end
  return owner and ("; nobody runs its run, since process %d is gone"):format(owner.pid) or "; nobody runs its run now",
    go_on(run)
end

-- What a node of the definition names, as `after` writes it: a name, or a table with the node and an outcome or condition.
local function after_of(db, run, node)
  local text = db:query("SELECT json_extract(definition, '$.nodes[' || ? || '].after') AS after FROM bundles WHERE hash = ?", node.idx,
    run.bundle)[1]
  local after, names = text and history.value(text.after), {}
  for i, entry in ipairs(type(after) == "table" and after or {}) do names[i] = type(entry) == "table" and entry.node or entry end
  return names
end

-- What is missing where no owner has said it: which dependencies have not settled.
local function derived(db, run, node)
  if node.state == "running" then return { kind = "running", count = node.attempts, since = node.started } end
  if node.state == "retrying" then return { kind = "backoff", due = node.due } end
  if node.state == "waiting" then
    local step = db:query(reasons.OPEN_STEP, run.number, node.node, node.item)[1]
    return step and reasons.of_step(step.kind, step.name, node.due) or { kind = node.due and "timer" or "signal", due = node.due }
  end
  if node.state ~= "pending" then return { kind = "priority" } end
  local open = {}
  for _, name in ipairs(after_of(db, run, node)) do
    local state = db:query("SELECT state FROM nodes WHERE run = ? AND node = ? AND item = 0", run.number, name)[1]
    if not state or not SETTLED[state.state] then open[#open + 1] = name end
  end
  return { kind = "dependency", by = open[1], count = math.max(1, #open) }
end

-- The remedy that needs the run's id.
local function remedy_of(kind, said, run)
  if kind == "signal" and said.name then
    return (said.approval and "decide, --approve or --reject: " or "send it: ")
      .. history.typed(reasons.to_send(run.short, said) .. (said.approval and " --why TEXT" or ""))
  end
  if kind == "dependency" and said.by then return see_why(run, said.by) end
  if kind == "paused" then return go_on(run) end
end

local CUT_OFF = {
  running = "was cut off while it ran, and runs again when its run goes on",
  compensating = "was cut off while it was undone, and is undone again when its run goes on",
}

local LEFT = [[SELECT 1 FROM inbox WHERE run = ? AND taken IS NULL AND name = 'signal' AND json_extract(text, '$.name') = ? LIMIT 1]]

-- A signal that was sent while nobody has the run is not to be sent once more.
local function is_left(db, run, said)
  return said.kind == "signal" and said.name ~= nil and not run.owned and #db:query(LEFT, run.number, said.name) > 0
end

local function unsettled(db, run, node, said)
  if not run.owned and CUT_OFF[node.state] then
    return CUT_OFF[node.state], nil, { kind = "interrupted", count = node.attempts, since = node.started }
  end
  if not said.kind or said.kind == "settled" then said = derived(db, run, node) end
  if said.kind == "signal" then
    local asked = db:query(reasons.APPROVAL_STEP, run.number, node.node, node.item)[1]
    said.approval = asked and history.value(asked.value)
  end
  if said.kind == "pool" and paused(db, "SELECT 1 FROM pools WHERE name = ? AND paused = 1", said.name) then said.limit = 0 end
  local text, remedy = reasons.say(said, history.now())
  if node.state == "retrying" then text = failure(node, "failed", node.attempts) .. "; it " .. (text or "is tried again") end
  if is_left(db, run, said) then return text .. "; one was left for it and is taken when the run goes on", nil, said end
  return text or "is " .. node.state, remedy or remedy_of(said.kind, said, run), said
end

--- Why a node is where it is.
---@param db orrery.Store
---@param run table row of `filter.one`
---@param node table row of `nodes`
---@return string text what is said after its name
---@return string|nil remedy
---@return table said what the engine knows
function why.of(db, run, node)
  local said = history.value(node.why)
  said = type(said) == "table" and said or {}
  local settled = SETTLED[node.state]
  if settled then
    local text, remedy = settled(node, said, run)
    return text, remedy, said
  end
  local text, remedy = held(db, run, node)
  if not text then text, remedy, said = unsettled(db, run, node, said) end
  local alone, resume = abandoned(db, run)
  if not alone then return text, remedy, said end
  if said.kind ~= "signal" then remedy = nil end -- a signal is kept for when it goes on; nothing else helps before
  return text .. alone, remedy and remedy .. "; then " .. resume or resume, said
end

local TO_EXPLAIN = "SELECT * FROM nodes WHERE run = ? AND item = 0 AND state NOT IN ('completed', 'compensated') ORDER BY idx"

-- Says it of one node. False where nobody reads any more.
local function tell(db, args, run, node)
  local text, remedy, said = why.of(db, run, node)
  local name = node.node .. (node.item > 0 and ("[%d]"):format(node.item) or "")
  if args.json then
    said.run, said.node, said.item, said.state = run.id, node.node, node.item > 0 and node.item or nil, node.state
    said.sentence, said.remedy = name .. " " .. text, remedy
    said.attempts, said.error, said.source = node.attempts, history.value(node.error), node.source
    said.kind = said.kind or SETTLED[node.state] and "settled" or nil
    return history.json(said)
  end
  return io.stdout:write(term.clean(name), " ", text, "\n", remedy and "  " .. remedy .. "\n" or "") ~= nil
end

why.main = history.command("why", function(db, args)
  local run = filter.run(db, args.run)
  if args.node then
    tell(db, args, run, find(db, run, args.node))
    return
  end
  local any
  for node in db:each(TO_EXPLAIN, run.number) do
    any = true
    if not tell(db, args, run, node) then return end
  end
  if not any and not args.json then
    history.note(("run %s is %s: no node of it waits, and none ended otherwise than it should"):format(run.id, run.state))
  end
end)

return why
