--- What is printed when a run has ended: counts, the time chart, failures with their remedies.
local events = require "orrery.events"
local term = require "orrery.cli.display.term"
local trim_end = require "orrery.text".trim_end
local progress = require "orrery.cli.display.progress"
local remedies = require "orrery.history.remedies"

local summary = {}

local ROWS = 20
local LEAST = 8   -- columns of the bars
local NARROW = 12 -- columns of the names where there are few
local MOST_UNDONE = 20 -- names of nodes that were undone

local STATES = { { "completed", "green" }, { "failed", "red" }, { "skipped", "dim" },
  { "cancelled", "yellow" } }

local function state_words(state, was_cancelled)
  local undone = events.UNDONE[state]
  if not undone then return state end
  return (was_cancelled and "cancelled, and " or "failed, and ") .. undone
end

local function style_of(state, was_cancelled)
  if state == "completed" then return "green" end
  if state == "suspended" then return "yellow" end
  return was_cancelled and state ~= "compensation_failed" and "yellow" or "red"
end

--- "weather completed in 1.2 s: 3 completed, 1 skipped".
---@param board table
---@param options { state: string, now: number, paint: function }
---@return string
function summary.sentence(board, options)
  local paint, parts = options.paint, {}
  for _, entry in ipairs(STATES) do
    local n = board.counts[entry[1]]
    if n > 0 then parts[#parts + 1] = paint(entry[2], term.count(n) .. " " .. entry[1]) end
  end
  if board.items_failed > 0 then -- also those that were allowed to, of a node that completed
    parts[#parts + 1] = paint("red", term.plural(board.items_failed, "item") .. " failed")
  end
  if board.adopted > 0 then parts[#parts + 1] = paint("dim", term.count(board.adopted) .. " taken over") end
  local left = board.total - board.settled
  if left > 0 then
    parts[#parts + 1] = term.count(left) .. (options.state == "suspended" and " left" or " not started")
  end
  if board.retries > 0 then
    parts[#parts + 1] = paint("yellow", term.plural(board.retries, "retry", "retries"))
  end
  if board.undone > 0 then parts[#parts + 1] = paint("yellow", term.count(board.undone) .. " undone") end
  if board.not_undone > 0 then
    parts[#parts + 1] = paint("red", term.count(board.not_undone) .. " not undone")
  end
  local was_cancelled = options.state == "cancelled" or board.stopping == "cancel"
  return ("%s %s in %s%s"):format(paint("bold", term.clean(board.name)),
    paint(style_of(options.state, was_cancelled), state_words(options.state, was_cancelled)),
    term.duration((board.ended or options.now) - (board.started or options.now)),
    #parts > 0 and ": " .. table.concat(parts, ", ") or "")
end

-- A row of the chart as cells: what stands in each column of the time axis.
local function cells_of(row, from, per_column, columns)
  local cells = {}
  local function column(time)
    return math.max(1, math.min(columns, math.floor((time - from) / per_column) + 1))
  end
  for c = column(row.started), column(row.ended) do cells[c] = "wait" end
  for _, segment in ipairs(row.segments) do
    local first, last = column(segment.from), column(segment.to or row.ended)
    for c = first, last do cells[c] = segment.undoing and "undo" or "run" end
    if segment.failed then cells[last] = "failed" end
  end
  if #row.segments == 0 then
    for c = column(row.started), column(row.ended) do cells[c] = "run" end
  end
  return cells
end

local GLYPHS = {
  run = { "█", "green" }, wait = { "░", "dim" }, failed = { "✗", "red" }, undo = { "▒", "yellow" },
}

local function draw(cells, columns, paint)
  local parts, c = {}, 1
  while c <= columns do
    local kind, n = cells[c], 1
    while c + n <= columns and cells[c + n] == kind do n = n + 1 end
    local glyph = GLYPHS[kind]
    parts[#parts + 1] = glyph and paint(glyph[2], glyph[1]:rep(n)) or (" "):rep(n)
    c = c + n
  end
  return trim_end(table.concat(parts))
end

local function note(row)
  local parts = {}
  if row.items then parts[#parts + 1] = term.plural(row.items, "item") end
  if row.retries > 0 then parts[#parts + 1] = term.plural(row.retries, "retry", "retries") end
  if row.result ~= "completed" then parts[#parts + 1] = row.result end
  return #parts > 0 and "  " .. table.concat(parts, ", ") or ""
end

--- The time chart: one bar per node, for the longest nodes, in order of start.
---@param board table
---@param options { width: integer, paint: function }
---@return string[]
function summary.chart(board, options)
  local rows = board:top(ROWS)
  if #rows == 0 or not board.ended then return {} end
  local from, to = board.started, board.ended
  for _, row in ipairs(rows) do from, to = math.min(from, row.started), math.max(to, row.ended) end
  table.sort(rows, function(a, b)
    if a.started ~= b.started then return a.started < b.started end
    if a.ended ~= b.ended then return a.ended < b.ended end
    return a.name < b.name
  end)
  local names, notes = 4, 0
  for _, row in ipairs(rows) do
    names = math.max(names, math.min(24, term.width(term.clean(row.name))))
    notes = math.max(notes, term.width(note(row)))
  end
  local function columns_beside() return math.min(72, options.width - 1 - names - 2 - 9 - notes) end
  local columns, note_of = columns_beside(), note
  if columns < LEAST then -- the bars matter more than the words beside them
    names, notes, note_of = math.min(names, NARROW), 0, function() return "" end
    columns = columns_beside()
  end
  if columns < LEAST then return {} end
  local per_column = math.max((to - from) / columns, 1e-9)
  local lines = {}
  for i, row in ipairs(rows) do
    local bar = draw(cells_of(row, from, per_column, columns), columns, options.paint)
    local free = columns - term.width((bar:gsub("\27%[[%d;]*m", "")))
    lines[i] = "  " .. term.fit(term.clean(row.name), names) .. " " .. bar .. (" "):rep(free)
      .. " " .. term.right(term.duration(row.seconds), 7) .. options.paint("yellow", note_of(row))
  end
  local hidden = board.settled - board.counts.skipped - board.adopted - #rows
  if hidden > 0 then
    lines[#lines + 1] = options.paint("dim",
      ("  the %d slowest; %s more ran"):format(#rows, term.count(hidden)))
  end
  return lines
end

--- One failure in full.
---@param failure { node: string|nil, item: integer|nil, error: table, attempts: integer|nil }
---@param options { where?: string, type?: string, retry?: boolean, paint: function }
---@return string[]
function summary.failure(failure, options)
  local err = type(failure.error) == "table" and failure.error
    or { code = "error", message = tostring(failure.error) }
  local paint = options.paint
  local who = failure.node
    and ("node %s failed"):format(term.task(failure.node, failure.item, failure.item_name))
    or "the run failed"
  local tries = failure.attempts and failure.attempts > 1 and (" after %d attempts"):format(failure.attempts)
    or ""
  local message = tostring(err.message or err.code)
  local first, rest = message:match("^([^\n]*)\n?(.*)$")
  local lines = { paint("red", "✗ ") .. paint("bold", who) .. tries .. ": " .. term.clean(first)
    .. (err.code and paint("dim", " [" .. term.clean(err.code) .. "]") or "") }
  if options.where then lines[#lines + 1] = "    defined at " .. term.clean(options.where) end
  for line in rest:gmatch("[^\n]+") do lines[#lines + 1] = "    " .. term.clean(line) end
  if err.traceback then
    for _, line in ipairs(remedies.lines(err)) do
      lines[#lines + 1] = paint("dim", "      " .. term.clean(line))
    end
  end
  local remedy = remedies.of(err, failure.attempts)
  if remedy then lines[#lines + 1] = "    try: " .. remedy end
  return lines
end

--- What was undone, in that order, and what could not be.
---@param compensations { node: string, item: integer|nil, state: string, error: table|nil }[] see run:compensations()
---@param paint function
---@return string[]
function summary.undone(compensations, paint)
  local lines, names = {}, {}
  for _, one in ipairs(compensations) do
    local who = term.task(one.node, one.item, one.item_name)
    local err = one.error or {}
    if one.state == "compensated" then
      names[#names + 1] = who
    elseif one.state == "compensation_failed" then
      local message = term.clean(tostring(err.message or "its compensation failed"):match "^[^\n]*")
      lines[#lines + 1] = ("%s%s: %s%s")
        :format(paint("red", "✗ "), paint("bold", who .. " could not be undone"), message,
        paint("dim", (" [%s]"):format(term.clean(err.code or "error"))))
    end
  end
  if #names > 0 then
    local more = #names > MOST_UNDONE and (" and %d more"):format(#names - MOST_UNDONE) or ""
    local shown = table.concat(names, ", ", 1, math.min(MOST_UNDONE, #names))
    table.insert(lines, 1, paint("dim", ("  undone, in this order: %s%s"):format(shown, more)))
  end
  return lines
end

--- Why nodes were skipped.
---@param board table
---@param paint function
---@return string[]
function summary.skips(board, paint)
  local lines = {}
  for i, skip in ipairs(board.skips) do
    if i > 10 then break end
    lines[i] = paint("dim", ("  skipped %s: %s"):format(term.clean(skip.node), progress.reason(skip)))
  end
  local more = board.counts.skipped - #lines
  if #lines > 0 and more > 0 then
    lines[#lines + 1] = paint("dim", ("  and %s more"):format(term.count(more)))
  end
  return lines
end

return summary
