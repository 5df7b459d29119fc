--- Watchers of a run: what `orrery run` shows while it goes on and when it has ended. One of three, by where the
--- output goes: a live region, plain lines, JSON lines. Each has take(event), stop() and finish(run).
local events = require "orrery.events"
local printable = require "orrery.cli.printable"
local progress = require "orrery.cli.progress"
local summary = require "orrery.cli.summary"
local term = require "orrery.cli.term"

local watch = {}

-- Lines are gathered and written by the kilobyte where many come at once; a lone line is not held back longer
-- than one turn of the loop.
local GATHER = 8192

-- Returns put(line) and flush(). Without `later` every line is written at once.
local function gather(write, later)
  local held, size = {}, 0
  local function flush()
    if size > 0 then
      write(table.concat(held))
      held, size = {}, 0
    end
  end
  local function put(line)
    if size == 0 and later then later(flush) end
    held[#held + 1] = line .. "\n"
    size = size + #line + 1
    if size > GATHER or not later then flush() end
  end
  return put, flush
end

-- ---- JSON lines ------------------------------------------------------------------------------------------------------

--- One event a line on the standard output; the last one is written by finish, with the run's output or error.
---@param board table
---@param encode fun(value: any): string
---@param write fun(text: string)
---@param later? fun(fn: function) calls fn at the next turn of the loop
function watch.json(board, encode, write, later)
  local self, last = {}, nil
  local put, flush = gather(write, later)
  function self.take(e)
    board:take(e)
    board.notes = {}
    local ends = events.ENDS[e.event] and e.run == board.run and not e.node -- with a node it is an event of a handler
    if ends then last = e else put(printable.encode(encode, e)) end
  end
  self.stop = flush
  function self.finish(run, info)
    local e = last or {}
    local state = info.state or run.state
    e.event = e.event or "run_" .. state
    e.run, e.workflow, e.state, e.resume, e.signals = run.id, e.workflow or info.name, state, info.resume, info.signals
    e.time = e.time or info.now()
    if state == "completed" then
      e.output = run.output
      if e.output == nil then e.output = info.null end
      if info.unprintable then e.output, e.output_error = info.null, info.unprintable end
    else
      e.error = run.error
      if summary.UNDONE[state] then e.compensations = e.compensations or run:compensations() end
    end
    put(printable.encode(encode, e))
    flush()
  end
  return self
end

-- ---- lines -----------------------------------------------------------------------------------------------------------

--- Plain lines on the standard error.
---@param board table
---@param write fun(text: string)
---@param later? fun(fn: function) calls fn at the next turn of the loop
function watch.lines(board, write, later)
  local self = {}
  local put, flush = gather(write, later)
  function self.take(e)
    board:take(e)
    board.notes = {}
    local line = progress.line(e, board.started or e.time, e.run ~= board.run)
    if line then put(line) end
  end
  self.stop = flush
  function self.finish(run, info)
    flush()
    write(summary.sentence(board, { state = info.state or run.state, now = info.now(), paint = info.paint }) .. "\n")
  end
  return self
end

-- ---- live and quiet ----------------------------------------------------------------------------------------------------

--- The live region.
---@param board table
---@param region table see `orrery.cli.live`
function watch.live(board, region)
  local self = {}
  function self.take(e) board:take(e) end
  function self.stop() region:stop() end
  function self.finish(run, info) region:finish(info.state or run.state) end
  return self
end

--- One line of counts a second, for very large workflows.
---@param board table
---@param options { write: fun(text: string), now: fun(): number, sample: fun() }
function watch.counts(board, options)
  local timer
  local function line()
    options.sample()
    options.write(("%8.3f  %s  %s of %s settled, %s running, %s failed\n"):format(options.now() - board.started,
      term.clean(board.name), term.count(board.settled), term.count(board.total), term.count(board.running),
      term.count(board.counts.failed)))
  end
  local self = {}
  function self.start()
    timer = require("luv").new_timer()
    timer:start(1000, 1000, line)
    timer:unref()
  end
  function self.stop()
    if timer and not timer:is_closing() then timer:close() end
  end
  function self.finish(run, info)
    self.stop()
    options.sample()
    options.write(summary.sentence(board, { state = info.state or run.state, now = info.now(), paint = info.paint }) .. "\n")
  end
  return self
end

--- Nothing but what failures need, and what the store has to say: that it cannot be written is why nothing goes on.
---@param board table
---@param write fun(text: string)
function watch.quiet(board, write)
  return {
    take = function(e)
      if e.event == "log" and not e.run then write(("orrery: %s\n"):format(term.clean(e.message))) end
      board:take(e)
      board.notes = {}
    end,
    stop = function() end,
    finish = function() end,
  }
end

--- Prints failures in full, why nodes were skipped, and what was undone.
---@param board table
---@param info { def: table, error: table|nil, compensations: table[]|nil, write: fun(text: string), paint: function }
function watch.failures(board, info)
  local by_name = {}
  if #board.failures > 0 or info.error then
    for _, node in ipairs(info.def.nodes) do by_name[node.name or ""] = node end
  end
  local lines, seen = {}, false
  local function add(failure)
    local node = by_name[failure.node] or {}
    local more = summary.failure(failure, { where = node.where, type = node.type, paint = info.paint })
    table.move(more, 1, #more, #lines + 1, lines)
  end
  for _, failure in ipairs(board.failures) do
    seen = seen or (info.error and failure.node == info.error.node)
    add(failure)
  end
  local shown = #board.failures
  if info.error and not seen then -- it failed in an earlier life of the run
    add { node = info.error.node, error = info.error }
    if info.error.node then shown = shown + 1 end
  end
  local hidden = board.counts.failed - shown
  if hidden > 0 then lines[#lines + 1] = ("and %s more failed"):format(term.plural(hidden, "node")) end
  if #lines > 0 or info.error then
    local skips = summary.skips(board, info.paint)
    table.move(skips, 1, #skips, #lines + 1, lines)
  end
  if info.compensations then
    local undone = summary.undone(info.compensations, info.paint)
    table.move(undone, 1, #undone, #lines + 1, lines)
  end
  if #lines > 0 then info.write(table.concat(lines, "\n") .. "\n") end
end


return watch
