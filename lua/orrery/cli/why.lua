--- `orrery why RUN [NODE]`: what a node waits for, or how it ended, in one sentence, and the
--- remedy. Without a node, all that did not simply complete, and the items that failed.
local out = require "orrery.cli.shared.out"
local chosen = require "orrery.cli.shared.chosen"
local column = require "orrery.history.column"
local facts = require "orrery.history.why"
local items = require "orrery.history.items"
local names_run = require "orrery.history.find".names
local nodes = require "orrery.history.nodes"
local owners = require "orrery.history.owners"
local reasons = require "orrery.cli.display.reasons"
local reasons_of_runs = require "orrery.history.reasons"
local session = require "orrery.cli.shared.session"
local term = require "orrery.cli.display.term"

local why = {}

local ITEMS = 10 -- of one node that failed

-- The row of a node or item.
local function find(db, run, word)
  local name, item = items.parts(word)
  local row = nodes.find(db, run, name, item)
  if row then return row end
  local names = nodes.names(db, run)
  local near = require "orrery.nearest"(name, names)
  for _, known in ipairs(names) do
    if item and known == name then
      session.stop(2, ("node %s of run %s has no item %s"):format(name, run.id,
        math.type(item) and item or "'" .. term.clean(item) .. "'"))
    end
  end
  session.stop(2, ("run %s has no node '%s'%s")
    :format(run.id, word, near and ("; did you mean '%s'?"):format(near)
    or #names > 0 and "; its nodes are " .. table.concat(names, ", ", 1, math.min(#names, 20))
      or " yet: nothing of it was recorded"))
end

-- ---- settled ------------------------------------------------------------------------------------

local function took(node)
  return node.started and node.ended and " in " .. term.duration(node.ended - node.started) or ""
end

local function failure(node, word, attempts)
  local e = column.plain(node.error)
  e = type(e) == "table" and e or { message = tostring(node.error or "the reason was not recorded") }
  return ("%s%s: %s%s"):format(word, attempts > 1 and (" after %d attempts"):format(attempts) or "",
    term.clean((tostring(e.message or e.code):match "^[^\n]*")),
    e.code and " [" .. term.clean(e.code) .. "]" or "")
end

-- The `why` of a node with `cache` says whether it was a hit or a miss.
local function cache_text(said)
  if said.cache ~= "miss" then return "" end
  return "; the cache was missed: " .. term.clean(said.cache_reason or "no entry")
end

local function see_why(run, name)
  return "see why of that: " .. session.typed(("why %s %s"):format(run.short, name))
end

-- What failed by such an error fails again until its file is corrected, and a retry goes on with
-- the code that the run began with.
local CODE = { config_error = true, handler_error = true }

local function again(run, node)
  if run.state ~= "failed" and run.state ~= "cancelled" then return nil end
  local text = "run it again, and what follows: " .. session.typed("retry " .. run.short)
  local e = node and column.plain(node.error)
  if type(e) ~= "table" or not CODE[e.code] then return text end
  return text .. "; with --with-current-code once the workflow is corrected"
end

-- Of a node that has settled: which of its items failed. Where they are told of one by one, only
-- how many.
local function failed_items(db, node, told)
  local known = items.failed(db, node)
  if not known then return "" end
  if told then return (", without %d of %d items, which failed"):format(known.failed, known.items) end
  local parts = {}
  for i, one in ipairs(known.first) do
    local e = type(one.error) == "table" and one.error or {}
    parts[i] = ("%s: %s"):format(term.task(node.node, one.item, one.item_name),
      term.clean((tostring(e.message or e.code or "the reason was not recorded"):match "^[^\n]*")))
  end
  local more = known.failed - #parts
  return (", without %d of %d items, which failed: %s%s"):format(known.failed, known.items,
    table.concat(parts, "; "), more > 0 and ("; and %d more"):format(more) or "")
end

-- To a node that was skipped with another.
local ENOUGH = "; under join = \"all\" one node in its `after` that completes is enough"

-- Which node failed, of those that were skipped because of a failure; one for a run.
local function first_failure(db, run)
  run.first_failure = run.first_failure or require "orrery.history.first_failure"(function(name)
    local row = nodes.find(db, run, name)
    local said = row and facts.said(row) or {}
    return row and row.state, said.skip == "upstream_failed" and said.by or nil
  end)
  return run.first_failure
end

local SETTLED = {
  completed = function(node, said)
    if node.source == "cache" then return "completed without running: its output came from the cache" end
    if node.source == "fork" then
      return "completed without running: its output was taken over from the run it was forked of"
    end
    return ("completed%s%s%s%s")
      :format(node.attempts > 1 and " at attempt " .. node.attempts or "", took(node),
      node.outcome and ", with the outcome " .. term.clean(node.outcome) or "", cache_text(said))
  end,
  failed = function(node, _, run)
    return failure(node, "failed", node.attempts), again(run, node)
  end,
  skipped = function(_, said, run, db)
    local failed = said.skip == "upstream_failed" and first_failure(db, run)(said.by) or nil
    local text = require("orrery.cli.display.progress").reason { reason = said.skip, by = said.by,
      failed = failed }
    text = "was skipped" .. (text ~= "" and ": " .. term.clean(text) or "")
    if not said.by or said.skip ~= "upstream" and said.skip ~= "upstream_failed" then return text end
    local enough = said.skip == "upstream" and nodes.state(db, run, said.by) == "skipped" and ENOUGH or ""
    return text, see_why(run, failed or said.by) .. enough
  end,
  cancelled = function(_, _, run) return "was cancelled", again(run) end,
  compensated = function() return "was undone by its compensation" end,
  compensation_failed = function(node) return failure(node, "could not be undone", 1) end,
}

-- Of a node that was tried again by a policy that was learned: which one it was.
local function learned_text(db, run, node)
  if node.attempts < 2 and node.state ~= "retrying" and node.state ~= "failed" then return "" end
  local row = db:row("node_retry", { bundle = run.bundle, node = node.node })
  if not row or not row.learned or row.learned == 0 then return "" end
  local e, parts = column.plain(node.error), {}
  local code = type(e) == "table" and e.code
  local policies = column.plain(row.retry)
  for _, policy in ipairs(type(policies) == "table" and policies or {}) do
    local of = policy.on and table.concat(policy.on, ", ")
    if of and (not code or of == code) then
      parts[#parts + 1] = policy.max == 0 and ("after %s none, since none has helped"):format(term.clean(of))
        or ("after %s at most %d, the first after about %s"):format(term.clean(of), policy.max,
          term.duration(policy.delay))
    end
  end
  return "; its retries were learned from earlier runs when this one was created: "
    .. (parts[1] and table.concat(parts, "; ") or "there was too little to tell, so as \"standard\" says")
end

-- ---- not settled --------------------------------------------------------------------------------

local function go_on(run) return "let it go on: " .. session.typed("resume " .. run.short) end

-- What keeps the whole run from going on, in words.
local HELD = {
  ended = function(run) return ("did not get so far: the run is %s"):format(run.state) end,
  workflow_paused = function(run)
    return ("waits because workflow %s is paused"):format(run.workflow),
      "let it go on: " .. session.typed("resume --workflow " .. session.word(run.workflow))
  end,
  run_paused = function(run) return "waits because its run is paused", go_on(run) end,
}

local function held(db, run, node)
  local say = HELD[facts.held(db, run, node)]
  if say then return say(run) end
end

-- Added where no process runs the run, with the remedy.
local function abandoned(db, run)
  local owner = owners.of(db, run)
  if run.ended or owner and owner.alive then return nil end
  return owner and ("; nobody runs its run, since process %d is gone"):format(owner.pid)
    or "; nobody runs its run now",
    go_on(run)
end

-- The remedy that needs the run's id.
local function remedy_of(db, kind, said, run)
  if kind == "signal" and said.child then
    local child = reasons_of_runs.child_run(db, run, said.child)
    return child and "see why of that: " .. session.typed("why " .. child)
  end
  if kind == "signal" and said.name then
    return (said.approval and "decide, --approve or --reject: " or "send it: ")
      .. session.typed(reasons.to_send(run.short, said) .. (said.approval and " --why TEXT" or ""))
  end
  if kind == "dependency" and said.by then return see_why(run, said.by) end
  if kind == "paused" or said.left or said.held then return go_on(run) end
end

local CUT_OFF = {
  running = "was cut off while it ran, and runs again when its run goes on",
  compensating = "was cut off while it was undone, and is undone again when its run goes on",
}

-- Of a node with items an item is cut off, and the node only where one was.
local function waits_for_items(db, node)
  if node.item > 0 or (node.items or 0) == 0 or node.state ~= "running" then return false end
  return db:row("node_items_running", { run = node.run, node = node.node }) == nil
end

local function unsettled(db, run, node, said)
  if not run.owned and CUT_OFF[node.state] and not waits_for_items(db, node) then
    return CUT_OFF[node.state], nil, { kind = "interrupted", count = node.attempts, since = node.started }
  end
  said = facts.unsettled(db, run, node, said)
  local text, remedy = reasons.say(said, session.now())
  if node.state == "retrying" then
    text = failure(node, "failed", node.attempts) .. "; it " .. (text or "is tried again")
      .. learned_text(db, run, node)
  end
  if facts.is_left(db, run, said) then
    return text .. "; one was left for it and is taken when the run goes on", nil, said
  end
  return text or "is " .. node.state, remedy or remedy_of(db, said.kind, said, run), said
end

--- Why a node is where it is.
---@param db orrery.Store
---@param run table row of `filter.one`
---@param node table row of `nodes`
---@param told? boolean its items that failed are told of one by one
---@return string text what is said after its name
---@return string|nil remedy
---@return table said what the engine knows
function why.of(db, run, node, told)
  local said = facts.said(node)
  local settled = SETTLED[node.state]
  if settled then
    local text, remedy = settled(node, said, run, db)
    local lacking = node.state == "completed" and failed_items(db, node, told) or ""
    if lacking ~= "" then
      remedy = remedy or "run those again, and what follows: " .. session.typed("retry --items " .. run.short)
    end
    return text .. lacking .. learned_text(db, run, node), remedy, said
  end
  local text, remedy = held(db, run, node)
  if not text then text, remedy, said = unsettled(db, run, node, said) end
  local alone, resume = abandoned(db, run)
  if not alone then return text, remedy, said end
  -- a signal is kept until the run goes on; nothing else helps before that
  if said.kind ~= "signal" or said.child then remedy = nil end
  return text .. alone, remedy and remedy .. "; then " .. resume or resume, said
end

-- Prints it for one node; of an item of one that was told of before (`told`), its remedy stands
-- there. False where the reader of the output has gone.
local function print_why(db, args, run, node, told)
  local text, remedy, said = why.of(db, run, node, told)
  local name = term.task(node.node, node.item, node.item_name)
  if args.json then
    said.run, said.node, said.item, said.state = run.id, node.node, node.item > 0 and node.item or nil,
      node.state
    said.item_name = node.item_name
    said.sentence, said.remedy = name .. " " .. text, remedy
    said.attempts, said.error, said.source = node.attempts, column.plain(node.error), node.source
    said.kind = said.kind or SETTLED[node.state] and "settled" or nil
    return session.json(said)
  end
  if told and node.item > 0 then remedy = nil end
  return out.write(name, " ", text, "\n", remedy and "  " .. remedy .. "\n" or "") ~= nil
end

-- Of the items of a node that failed only the first are told of, and how many more there are; in
-- JSON all.
local function print_all(db, args, run)
  local last, failed, any = nil, 0, false
  local names = items.names(db, run)
  local function rest()
    if failed > ITEMS and not args.json then
      out.line(("and %s of %s"):format(term.plural(failed - ITEMS, "further item"), term.clean(last)))
    end
  end
  for node in nodes.notable(db, run) do
    if node.node ~= last then
      rest()
      last, failed = node.node, 0
    end
    failed, any = failed + (node.item > 0 and 1 or 0), true
    node.item_name = names[node.node][node.item]
    local shown = args.json or failed <= ITEMS
    if shown and not print_why(db, args, run, node, not args.json) then return true end
  end
  rest()
  return any
end

why.main = session.command("why", function(db, args)
  if args.run and not args.node and not names_run(args.run) then -- a node of the newest run
    args.run, args.node = nil, args.run
  end
  local run = chosen.run(db, args.run)
  if args.node then
    print_why(db, args, run, find(db, run, args.node))
  elseif not print_all(db, args, run) and not args.json then
    session.note(("run %s is %s: no node of it waits, and none ended otherwise than it should")
      :format(run.id, run.state))
  end
end)

return why
