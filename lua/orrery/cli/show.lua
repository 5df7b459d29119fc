--- `orrery show RUN`: one run, as far as it came.
local out = require "orrery.cli.shared.out"
local chosen = require "orrery.cli.shared.chosen"
local columns = require "orrery.cli.display.columns"
local plain_run = require "orrery.history.plain_run"
local session = require "orrery.cli.shared.session"
local shown = require "orrery.cli.display.shown"
local summary = require "orrery.cli.display.summary"
local term = require "orrery.cli.display.term"

local show = {}

local MOST = 60   -- rows of nodes
local LINES = 20  -- rows of steps, signals, children
local VALUE = 400 -- characters of a value

local function text_of(value)
  return term.clean(require("orrery.cli.display.printable").encode(require("orrery.core").json.encode, value))
end

local function shortened(value, most)
  local text = text_of(value)
  return term.width(text) > most and term.cut(text, most) or text
end

-- ---- head ---------------------------------------------------------------------------------------

local function owner_text(run)
  local owner = run.owner
  if run.ended then return nil end
  local go_on = ("`%s` lets it go on"):format(session.typed("resume " .. run.short))
  if not owner then return "nobody: " .. go_on end
  local process = ("process %d%s")
    :format(owner.pid, owner.command and ", " .. term.clean(owner.command) or "")
  return owner.alive and process or process .. ", which is gone: " .. go_on
end

local function created_text(run, now)
  return shown.time(run.created)
    .. (run.ended and "" or (", %s ago"):format(term.duration(now - (run.started or run.created))))
end

local function ended_text(run)
  if not run.ended then return nil end
  return ("%s, took %s"):format(shown.time(run.ended),
    term.duration(run.ended - (run.started or run.created)))
end

local function lock_text(run)
  local lock = run.lock
  if not lock then return nil end
  local value = "'" .. term.clean(lock.value) .. "'"
  if lock.held then return value .. ", which it has" end
  if not lock.holder then return value .. ", for which it waits" end
  local text = ("%s, for which it waits: run %s %s"):format(value, lock.holder,
    lock.has_it and "has it" or "is before it")
  return lock.alive and text or text .. (", and nobody runs that: `%s` lets it go on")
    :format(session.typed("resume " .. lock.holder))
end

local function inbox_text(run)
  local words = {}
  for i, m in ipairs(run.inbox) do words[i] = m.signal and "signal " .. term.clean(m.signal) or m.message end
  return #words > 0 and table.concat(words, ", ") .. " (not taken yet)" or nil
end

-- "1,200 tokens, 0.12 usd"
local function costs_text(costs)
  local names, parts = {}, {}
  for name in pairs(costs or {}) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    parts[i] = require "orrery.cli.display.forecast_text".number(costs[name]) .. " " .. term.clean(name)
  end
  return table.concat(parts, ", ")
end

local function head(run, row, options)
  local state = plain_run.state(run)
  local lines = { ("%s %s  %s"):format(options.paint("bold", term.clean(run.workflow)),
    options.paint(shown.style(state) or "bold", state), run.id) }
  local function add(name, text)
    if text and text ~= "" then
      lines[#lines + 1] = "  " .. options.paint("dim", term.fit(name, math.max(9, #name))) .. " " .. text
    end
  end
  add("created", created_text(run, options.now))
  add("ended", ended_text(run))
  add("labels", term.clean(shown.labels(row.labels)))
  add("key", run.key and term.clean(run.key))
  add("parent", run.parent)
  add("forked from", run.forked_from)
  add("context", run.context ~= nil and shortened(run.context, VALUE) or nil)
  add("input", run.input ~= nil and shortened(run.input, VALUE) or nil)
  add("lock", lock_text(run))
  add("cost", costs_text(run.costs))
  add("owner", owner_text(run))
  add("inbox", inbox_text(run))
  return lines
end

-- ---- nodes --------------------------------------------------------------------------------------

local function items_text(node)
  if not node.items then return nil end
  local counts, parts = {}, {}
  for _, item in ipairs(node.items) do
    local state = item.interrupted and "cut off"
      or item.state == "pending" and node.parallel and ("waiting for one of %s")
        :format(term.plural(node.parallel, "place"))
      or item.state
    counts[state] = (counts[state] or 0) + 1
  end
  for state, n in pairs(counts) do parts[#parts + 1] = n .. " " .. state end
  table.sort(parts)
  return ("%s: %s"):format(term.plural(#node.items, "item"), table.concat(parts, ", "))
end

local function interrupted_text(node)
  local n = 0
  if node.interrupted then
    return ("cut off: %s again when the run goes on")
      :format(node.state == "compensating" and "is undone" or "runs")
  end
  for _, try in ipairs(node.tries or {}) do n = n + (try.interrupted or 0) end
  return n > 0 and ("interrupted %s"):format(n == 1 and "once" or n .. " times") or nil
end

local SOURCES = { cache = "from the cache", fork = "from the run it was forked of" }

-- Which node failed, of those that were skipped because of a failure.
local function first_failure(list)
  local by_name = {}
  for _, node in ipairs(list) do by_name[node.name] = node end
  return require "orrery.history.first_failure"(function(name)
    local node = by_name[name]
    local said = node and type(node.why) == "table" and node.why or {}
    return node and node.state, said.skip == "upstream_failed" and said.by or nil
  end)
end

-- The remarks about a node.
local function note_of(node, now, failure_before)
  local parts = {}
  local function add(text) if text then parts[#parts + 1] = text end end
  add(node.outcome and "as " .. node.outcome)
  add(SOURCES[node.source])
  add(node.iteration and "iteration " .. node.iteration)
  add(items_text(node))
  add(interrupted_text(node))
  add(node.costs and costs_text(node.costs))
  local said = type(node.why) == "table" and node.why or {}
  add(node.due and not node.ended and not said.due
    and (node.due > now and "due in " .. term.duration(node.due - now) or "due now"))
  if node.state == "skipped" then
    add(require("orrery.cli.display.progress").reason { reason = said.skip, by = said.by,
      failed = said.skip == "upstream_failed" and failure_before(said.by) or nil })
  elseif not node.ended then
    said.approval = node.approval
    add(require("orrery.cli.display.reasons").short(said, now))
  end
  return term.clean(table.concat(parts, "; "))
end

-- How long an interrupted node took is not known.
local function node_cells(node, now, failure_before)
  local seconds = node.started and not node.interrupted and (node.ended or now) - node.started
  local state = node.interrupted and "interrupted" or node.state
  return { term.clean(node.name), { state, style = shown.style(state) },
    node.attempts > 1 and tostring(node.attempts) or "",
    seconds and term.duration(seconds) or "", note_of(node, now, failure_before) }
end

-- The nodes that are shown of many: first those that did not simply complete.
local function notable(nodes)
  if #nodes <= MOST then return nodes end
  local list = {}
  for _, rest in ipairs { false, true } do
    for _, node in ipairs(nodes) do
      local plain = node.state == "completed" or node.state == "pending"
      if plain == rest and #list < MOST then list[#list + 1] = node end
    end
  end
  return list
end

local function node_lines(run, options)
  local nodes, rows = notable(run.nodes), {}
  if #nodes == 0 then return {} end
  local failure_before = first_failure(run.nodes)
  for i, node in ipairs(nodes) do rows[i] = node_cells(node, options.now, failure_before) end
  local lines = columns.draw({ "NODE", "STATE", ">ATTEMPTS", ">TOOK", "" }, rows,
    { paint = options.paint, width = options.width, indent = "  " })
  if #nodes < #run.nodes then
    lines[#lines + 1] = options.paint("dim",
      ("  and %s more, see --json"):format(term.count(#run.nodes - #nodes)))
  end
  return lines
end

-- ---- chart --------------------------------------------------------------------------------------

local function segments_of(node, now)
  local segments, retries = {}, 0
  for _, try in ipairs(node.tries or {}) do
    if try.started and not try.item then
      segments[#segments + 1] = { from = try.started, to = try.ended or now,
        failed = try.state == "failed" or nil,
        undoing = try.phase == "compensate" or nil }
    end
    if try.phase == "run" and try.attempt > 1 then retries = retries + 1 end
  end
  return segments, retries
end

-- The run as a board of `orrery run`, for its chart.
local function board_of(run, now)
  local board = require("orrery.cli.display.board").new { nodes = #run.nodes, name = run.workflow }
  board.started, board.ended = run.started or run.created, run.ended or now
  board.counts.skipped, board.settled = run.skipped, 0
  for _, node in ipairs(run.nodes) do
    if node.started then
      local segments, retries = segments_of(node, now)
      local ended = node.ended or now
      board.slowest[#board.slowest + 1] = { name = node.name, started = node.started, ended = ended,
        seconds = ended - node.started,
        segments = segments, retries = retries, items = node.items and #node.items,
        result = node.interrupted and "interrupted" or node.state }
      board.settled = board.settled + 1
    elseif node.state == "skipped" then
      -- what was taken over, or cancelled before it began, is no part of the chart
      board.settled = board.settled + 1
    end
  end
  return board
end

local function chart_lines(run, options)
  if not run.started then return {} end
  return summary.chart(board_of(run, options.now), { width = options.width or 100, paint = options.paint })
end

-- ---- critical path ------------------------------------------------------------------------------

local WAIT = 0.001 -- seconds ready, from which on they are told

local function path_step(step)
  local waited = step.waited >= WAIT and ("(waited %s) "):format(term.duration(step.waited)) or ""
  return ("%s%s %s"):format(waited, term.clean(step.name), term.duration(step.took))
end

local function path_lines(run, options)
  local path = run.critical_path
  if not path or #path.nodes < 2 then return {} end
  local steps = {}
  for i, step in ipairs(path.nodes) do steps[i] = path_step(step) end
  local waited = path.waited >= WAIT and (", of which %s waiting to start"):format(term.duration(path.waited))
    or ""
  return { ("%s %s, %s%s"):format(options.paint("bold", "critical path"), term.plural(#steps, "node"),
    term.duration(path.seconds), waited), "  " .. require "orrery.cli.display.forecast_text".chain(steps) }
end

-- ---- what went wrong, and what was undone -------------------------------------------------------

-- Each node that failed, and each item, also where its node completed without it.
local function failures_of(run)
  local failures = {}
  for _, node in ipairs(run.nodes) do
    if node.state == "failed" and node.error then
      failures[#failures + 1] = { node = node.name, error = node.error, attempts = node.attempts }
    end
    for _, item in ipairs(node.items or {}) do
      if item.state == "failed" and item.error then
        failures[#failures + 1] = { node = node.name, item = item.item, item_name = item.item_name,
          error = item.error, attempts = item.attempts, allowed = node.state == "completed" }
      end
    end
  end
  return failures
end

local function failure_lines(run, options)
  local failures, lines, shown_failures, allowed = failures_of(run), {}, 0, false
  for i, failure in ipairs(failures) do
    allowed = allowed or failure.allowed
    if i <= LINES then
      shown_failures = i
      table.move(summary.failure(failure, { paint = options.paint }), 1, 100, #lines + 1, lines)
    end
  end
  if #failures > LINES then
    lines[#lines + 1] = options.paint("dim",
      ("  and %s more, see --json"):format(term.count(#failures - LINES)))
  end
  if run.error and shown_failures == 0 then
    table.move(summary.failure({ error = run.error }, { paint = options.paint }), 1, 100, 1, lines)
  end
  if run.state == "failed" then
    lines[#lines + 1] = "  run what failed again: " .. session.typed("retry " .. run.short)
  end
  if allowed and run.ended and (run.state == "failed" or run.state == "completed") then
    lines[#lines + 1] = "  run the items again that were allowed to fail: "
      .. session.typed("retry --items " .. run.short)
  end
  return lines
end

local function where_of(entry)
  return term.task(entry.node, entry.item, entry.item_name)
end

-- "undone: charge, reserve"; what a compensation returned stands behind the name, and each such has
-- a line of its own.
local function undone_lines(title, list)
  local names, returned = {}, false
  for i, entry in ipairs(list) do
    names[i] = where_of(entry) .. (entry.output ~= nil and ": " .. shortened(entry.output, VALUE) or "")
    returned = returned or entry.output ~= nil
  end
  if not returned then return #names > 0 and { title .. table.concat(names, ", ") } or {} end
  for i, name in ipairs(names) do names[i] = title .. name end
  return names
end

local function compensation_lines(run, options)
  local c, lines = run.compensations, {}
  if not c then return lines end
  local function add(more) table.move(more, 1, #more, #lines + 1, lines) end
  add(undone_lines(options.paint("green", "undone: "), c.undone))
  add(undone_lines("being undone: ", c.under_way))
  for _, entry in ipairs(c.failed) do
    local e = type(entry.error) == "table" and entry.error or {}
    add { ("%s%s: %s%s"):format(options.paint("red", "could not be undone: "), where_of(entry),
      term.clean(e.message or "the compensation failed"),
      e.code and " [" .. term.clean(e.code) .. "]" or "") }
  end
  return lines
end

-- ---- lists --------------------------------------------------------------------------------------

-- A titled table of the first rows of a list.
local function section(title, titles, list, cells, options)
  if #list == 0 then return {} end
  local rows = {}
  for i = 1, math.min(#list, LINES) do rows[i] = cells(list[i]) end
  local lines = { options.paint("bold", title) }
  table.move(columns.draw(titles, rows, { paint = options.paint, width = options.width, indent = "  " }), 1,
    LINES + 1, 2, lines)
  if #list > LINES then
    lines[#lines + 1] = options.paint("dim", ("  and %s more, see --json"):format(term.count(#list - LINES)))
  end
  return lines
end

local function result_of(step)
  if step.error ~= nil then
    local e = step.error
    return { "failed: " .. term.clean(type(e) == "table" and (e.message or e.code) or e), style = "red" }
  end
  return step.value ~= nil and shortened(step.value, VALUE) or ""
end

local function step_cells(step)
  return { shown.clock(step.time), where_of(step), step.kind or "step", term.clean(step.name),
    result_of(step) }
end

local function signal_cells(signal)
  return { shown.clock(signal.received or signal.sent), term.clean(signal.name),
    signal.taken and "taken " .. shown.clock(signal.taken) or "kept",
    signal.data ~= nil and shortened(signal.data, VALUE) or "" }
end

local function published_cells(one)
  return { term.clean(one.name), shortened(one.value, VALUE), one.node and where_of(one) or "",
    shown.clock(one.time) }
end

local function child_cells(child)
  return { child.id, term.clean(child.workflow), { child.state, style = shown.style(child.state) },
    child.ended and term.duration(child.ended - child.created) or "" }
end

local function output_lines(run, args, options)
  local lines, encode = {}, require("orrery.core").json.encode
  local function add(title, value)
    lines[#lines + 1] = options.paint("bold", title)
    lines[#lines + 1] = require("orrery.cli.display.printable").encode(
      function(v) return encode(v, { indent = 2, sort = true }) end, value)
  end
  if args.outputs then
    for _, node in ipairs(run.nodes) do
      if node.output ~= nil then add("output of " .. term.clean(node.name), node.output) end
    end
  end
  if run.output ~= require("orrery.core").json.null then add("output", run.output) end
  return lines
end

--- A run in words.
---@param run table of `record.of`
---@param row table of `filter.one`
---@param args table
---@param options { now: number, paint: function, width: integer|nil }
---@return string
function show.text(run, row, args, options)
  local parts = {
    head(run, row, options), node_lines(run, options), chart_lines(run, options), path_lines(run, options),
    failure_lines(run, options), compensation_lines(run, options),
    section("published", { "NAME", "VALUE", "NODE", "TIME" }, run.published, published_cells, options),
    section("steps", { "TIME", "NODE", "KIND", "NAME", "RESULT" }, run.steps, step_cells, options),
    section("signals", { "TIME", "NAME", "", "DATA" }, run.signals, signal_cells, options),
    section("child runs", { "RUN", "WORKFLOW", "STATE", ">TOOK" }, run.children, child_cells, options),
    output_lines(run, args, options),
  }
  local blocks = {}
  for _, lines in ipairs(parts) do
    if #lines > 0 then blocks[#blocks + 1] = table.concat(lines, "\n") end
  end
  return table.concat(blocks, "\n\n") .. "\n"
end

-- The run as one page of HTML.
local function write_page(db, args, row, run)
  local data = require("orrery.cli.display.report").of(db, row, run, session.now())
  local text = require("orrery.cli.display.printable").encode(require("orrery.core").json.encode, data)
  local title = term.clean(("%s %s"):format(run.workflow, run.id))
  local html = require("orrery.page.document").of(title, text)
  if args.html == "-" then
    out.write(html)
    return
  end
  local file, problem = io.open(args.html, "wb")
  local ok = file and file:write(html)
  if file and not file:close() then ok = nil end
  if ok then return end
  session.stop(file and 1 or 2, ("cannot write %s; give --html a path in a folder that exists and is yours")
    :format(problem or args.html .. ": the disk took not all of it"))
end

show.main = session.command("show", function(db, args)
  local row = chosen.run(db, args.run)
  local run = require("orrery.history.details").of(db, row, args.outputs)
  if args.json then
    session.json(run)
    return
  end
  run.short = row.short
  if args.html then return write_page(db, args, row, run) end
  local width, paint = session.screen()
  out.write(show.text(run, row, args, { now = session.now(), width = width, paint = paint }))
end)

return show
