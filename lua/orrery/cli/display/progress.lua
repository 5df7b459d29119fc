--- The live region of a terminal: frames drawn from a board. Pure text in, text out; `live.lua`
--- puts them on the screen.
local core = require "orrery.core"
local printable = require "orrery.cli.display.printable"
local term = require "orrery.cli.display.term"
local trim_end = require "orrery.text".trim_end

local progress = {}

local MARKS = { running = { "▶", "cyan" }, retrying = { "↻", "yellow" }, waiting = { "…", "dim" } }
local NAME = 24 -- columns for a node's name, where there is room

local function counts_of(board, paint)
  local parts = {}
  local function add(n, word, style)
    if n > 0 then parts[#parts + 1] = paint(style, term.count(n) .. " " .. word) end
  end
  add(board.counts.failed, "failed", "red")
  add(board.counts.skipped, "skipped", "dim")
  add(board.counts.cancelled, "cancelled", "yellow")
  add(board.retries, board.retries == 1 and "retry" or "retries", "yellow")
  return parts
end

local function head(board, now, width, paint)
  local started = board.started or now
  local numbers = ("%s/%s"):format(term.count(board.settled), term.count(board.total))
  local tail = "  " .. numbers .. "  " .. term.duration((board.ended or now) - started)
  local parts = counts_of(board, function(_, text) return text end)
  local plain = #parts > 0 and ("  " .. table.concat(parts, ", ")) or ""
  local state = board.paused and "  paused" or board.holder and "  waits for its lock"
    or board.compensating and "  undoing"
    or board.stopping and "  stopping" or ""
  local name = term.cut(term.clean(board.name), math.min(NAME, width // 3))
  local room = width - term.width(name) - 2 - term.width(tail) - term.width(plain) - term.width(state)
  if room < 6 then
    plain, room = "", width - term.width(name) - 2 - term.width(tail) - term.width(state)
  else
    plain = #parts > 0 and "  " .. table.concat(counts_of(board, paint), ", ") or ""
  end
  local fraction = board.total > 0 and board.settled / board.total or 1
  local style = board.counts.failed > 0 and "red" or board.stopping and "yellow" or "green"
  local bar = room >= 6 and paint(style, term.bar(fraction, math.min(room, 40))) or ""
  if bar == "" then return term.cut(name .. tail, width) end
  return paint("bold", name) .. "  " .. bar .. tail .. plain .. paint("yellow", state)
end

local function remaining(row, now)
  if not row.due or row.due < 0 then return "" end
  return " " .. (row.due > now and "in " .. term.duration(row.due - now) or "now")
end

-- What is said about a row after its name and time.
local function details(row, now)
  local parts = {}
  if row.items then
    parts[#parts + 1] = ("%s/%s items"):format(term.count(row.items_done or 0), term.count(row.items))
  end
  if row.undoing then parts[#parts + 1] = "is undone" end
  if row.fallback then
    parts[#parts + 1] = "fallback"
    local e = row.error
    if e then parts[#parts + 1] = "after: " .. term.clean(e.message or e.code) end
  elseif row.state == "retrying" then
    parts[#parts + 1] = ("attempt %d%s"):format(row.attempt + 1, remaining(row, now))
    local e = row.error
    if e then parts[#parts + 1] = "after: " .. term.clean(e.message or e.code) end
  elseif row.state == "waiting" then
    parts[#parts + 1] = row.breaker and "waits for breaker " .. term.clean(row.breaker) .. remaining(row, now)
      or "waits" .. remaining(row, now):gsub("^ in ", " for ")
  elseif row.attempt > 1 then
    parts[#parts + 1] = "attempt " .. row.attempt
  end
  if row.fraction and row.state == "running" then
    parts[#parts + 1] = ("%3.0f %%"):format(row.fraction * 100)
  end
  if row.message then parts[#parts + 1] = term.clean(row.message) end
  return table.concat(parts, "  ")
end

local function row_line(row, now, width, paint)
  local mark = MARKS[row.state]
  local name = math.max(4, math.min(NAME, width - 14))
  local left = "  " .. term.fit(term.clean(row.name), name) .. " "
    .. term.fit(term.duration(now - row.started), 7)
  local bar = ""
  local fraction = row.fraction or (row.items and row.items > 0 and (row.items_done or 0) / row.items)
  if width >= 60 then bar = " " .. (fraction and term.bar(fraction, 10) or (" "):rep(10)) end
  local room = width - 1 - term.width(left) - term.width(bar) - 2
  local text = term.cut(details(row, now), room)
  local marked = term.cut(left, width - 1):gsub("^ ", function() return paint(mark[2], mark[1]) end, 1)
  if text == "" then return trim_end(marked .. bar) end
  return marked .. bar .. "  " .. paint(row.state == "running" and "dim" or mark[2], text)
end

--- The lines of one frame.
---@param board table see `orrery.cli.display.board`
---@param options { now: number, width: integer, height: integer, paint: function }
---@return string[] lines none wider than `width`
function progress.frame(board, options)
  local width, paint = math.max(10, options.width - 1), options.paint
  local lines = { head(board, options.now, width, paint) }
  local room = math.max(1, math.min(options.height - 3, 10))
  local row, shown = board.head, 0
  while row and shown < room do
    lines[#lines + 1] = row_line(row, options.now, width, paint)
    row, shown = row.after, shown + 1
  end
  local more = math.max(board.active, board.running) - shown
  if more > 0 and shown + 1 <= options.height - 2 then
    local text = shown > 0 and "  … and %s more" or "  %s running"
    lines[#lines + 1] = paint("dim", term.cut(text:format(term.count(more)), width))
  end
  return lines
end

local LEVELS = { error = "red", warn = "yellow", warning = "yellow", info = "cyan", debug = "dim" }

local function encode_sorted(value) return core.json.encode(value, { sort = true }) end

-- " k=v k=v" in the order of the keys; a value that is a table is shown as JSON.
local function fields_text(fields)
  if type(fields) ~= "table" then return "" end
  local parts = {}
  for key, value in pairs(fields) do
    if type(value) == "table" then value = printable.encode(encode_sorted, value) end
    parts[#parts + 1] = (" %s=%s"):format(term.clean(key), term.clean(value))
  end
  table.sort(parts)
  return table.concat(parts)
end

--- The fields of a log line as text that follows its message.
---@param fields table|nil
---@return string
function progress.fields(fields) return fields_text(fields) end

--- A node's log message as one line.
---@param e table the `log` event
---@param paint function
---@return string
function progress.log_line(e, paint)
  local level = term.clean(e.level or "info")
  local parts = { paint(LEVELS[level] or "cyan", level), " ", paint("dim", term.clean(e.node or "")), "  ",
    term.clean(e.message) }
  local fields = fields_text(e.fields)
  if fields ~= "" then parts[#parts + 1] = paint("dim", fields) end
  return table.concat(parts)
end

-- ---- one line per event, for pipes and logs -----------------------------------------------------

local function error_text(e)
  local err = e.error
  if type(err) ~= "table" then return err and ": " .. term.clean(err) or "" end
  return (": %s [%s]"):format(term.clean(err.message or ""), term.clean(err.code or "error"))
end

local REASONS = {
  when = function() return "its `when` is false" end,
  outcome = function(by)
    return by and ("%s took another outcome"):format(by) or "another outcome was taken"
  end,
  upstream = function(by)
    return by and ("%s did not complete"):format(by) or "nothing before it failed"
  end,
  upstream_failed = function(by, failed)
    if failed and failed ~= by then return ("%s failed, which %s depends on"):format(failed, by) end
    if failed then return failed .. " failed" end
    return by and ("%s failed, or something before it did"):format(by) or "something before it failed"
  end,
}

--- Why a node was skipped, in words.
---@param e { reason: string|nil, by: string|nil, failed: string|nil } `failed`: the node because of
---  whose failure it was, where that is known
---@return string
function progress.reason(e)
  local words = REASONS[e.reason]
  return words and words(e.by, e.failed) or tostring(e.reason or "")
end

-- What a node of the type `wait` asks for; a handler may emit an event of that name with anything
-- in it.
local function asked_text(e)
  local data = type(e.data) == "table" and e.data or {}
  return "asks for " .. require("orrery.cli.display.reasons").approval(data)
    .. (data.signal and (", signal '%s'"):format(term.clean(data.signal)) or "")
end

-- Another run has the lock of this one.
local function lock_text(e)
  local text = ("waits for the lock '%s', which run %s has"):format(term.clean(e.lock), e.holder)
  return e.alive and text or text .. ", and no process runs that: "
    .. require("orrery.cli.shared.session").typed("resume " .. e.holder)
end

local LINES = {
  run_waiting = lock_text,
  run_started = function(e) return ("started: %s"):format(term.plural(e.nodes or 0, "node")) end,
  run_recovered = function(e) return ("goes on: %s"):format(term.plural(e.nodes or 0, "node")) end,
  node_started = function(e)
    if e.fallback then return "started its fallback" end
    return (e.attempt or 1) > 1 and "started, attempt " .. e.attempt or "started"
  end,
  node_waiting = function(e)
    local left = e.due and e.due > e.time and term.duration(e.due - e.time)
    if e.breaker then
      return "waits for breaker " .. term.clean(e.breaker) .. (left and ", " .. left or "")
    end
    return left and "waits for " .. left or "waits"
  end,
  node_retrying = function(e)
    if e.fallback then return "takes its fallback" .. error_text(e) end
    return (e.compensation and "is undone again in " or "retries in ") .. term.duration(e.delay or 0)
      .. error_text(e)
  end,
  node_expanded = function(e) return "has " .. term.plural(e.items, "item") end,
  node_completed = function(e)
    return "completed" .. (e.outcome and " as " .. term.clean(e.outcome) or "")
      .. (e.cached and " from the cache" or "")
      .. (e.seconds and " in " .. term.duration(e.seconds) or "")
  end,
  node_failed = function(e) return "failed" .. error_text(e) end,
  node_skipped = function(e) return "skipped: " .. progress.reason(e) end,
  node_cancelled = function() return "cancelled" end,
  node_compensating = function(e)
    return (e.attempt or 1) > 1 and "is undone, attempt " .. e.attempt or "is undone"
  end,
  node_compensated = function(e)
    return "was undone" .. (e.seconds and " in " .. term.duration(e.seconds) or "")
  end,
  node_compensation_failed = function(e) return "could not be undone" .. error_text(e) end,
  run_compensating = function(e)
    return ("undoes what it did: %s"):format(term.plural(e.nodes or 0, "node"))
  end,
  approval_requested = asked_text,
  node_silent = function() return "gives no sign of life" end,
  progress = function(e)
    return "progress" .. (e.fraction and (" %.0f %%"):format(e.fraction * 100) or "")
      .. (e.message and ": " .. term.clean(e.message) or "")
  end,
  run_stopping = function(e) return "stops" .. (e.cause and ": " .. term.clean(e.cause) or "") end,
  run_paused = function() return "paused" end,
  run_resumed = function() return "resumed" end,
  run_stalled = function() return "stalled" end,
  breaker_opened = function(e)
    return "opened" .. (e.cooldown and ", for " .. term.duration(e.cooldown) or "")
  end,
  breaker_half_open = function() return "lets a probe through" end,
  breaker_closed = function() return "closed" end,
}

--- What an `approval_requested` asks for, in words.
---@param e table
---@return string
function progress.asked(e) return asked_text(e) end

--- One event in words, without its time: whose it is, and what; nil for one that says nothing to a
--- reader.
---@param e table
---@param child boolean|nil whether it is an event of a child run, whose name then stands before the node's
---@return string|nil
function progress.text(e, child)
  local what
  if e.event == "log" then
    what = ("%s: %s%s"):format(term.clean(e.level or "info"), term.clean(e.message), fields_text(e.fields))
  else
    local words = LINES[e.event]
    if not words then return nil end
    what = words(e)
  end
  local who = e.node and term.task(e.node, e.item, e.item_name)
    or term.clean(e.workflow or e.run and "run" or "store")
  if e.breaker and not e.node then who = "breaker " .. term.clean(e.breaker) end
  if child and e.node then who = term.clean(e.workflow or "child") .. "/" .. who end
  return who .. "  " .. what
end

--- One event as one plain line, or nil for an event that says nothing to a reader.
---@param e table
---@param started number time of the run's start
---@param child boolean|nil as with `progress.text`
---@return string|nil
function progress.line(e, started, child)
  local text = progress.text(e, child)
  return text and ("%8.3f  %s"):format(e.time - started, text)
end

return progress
