--- Watchers of a run: what `orrery run` shows while it goes on and when it has ended. One of three,
--- by where the output goes: a live region, plain lines, JSON lines (`json_lines.lua`). Each has
--- take(event), stop() and finish(run).
local gather = require "orrery.cli.display.gather"

local watch = {}

-- Loaded where something is drawn or said: JSON lines need none of them.
local function progress() return require "orrery.cli.display.progress" end
local function summary() return require "orrery.cli.display.summary" end
local function term() return require "orrery.cli.display.term" end

-- ---- lines --------------------------------------------------------------------------------------

--- Plain lines on the standard error.
---@param board table
---@param write fun(text: string)
---@param later? fun(fn: function) calls fn at the next turn of the loop
function watch.lines(board, write, later)
  local self = {}
  local put, flush = gather(write, later)
  local line_of = progress().line
  function self.take(e)
    board:take(e)
    board.notes = {}
    local line = line_of(e, board.started or e.time, e.run ~= board.run)
    if line then put(line) end
  end
  self.stop = flush
  function self.finish(run, info)
    flush()
    write(summary().sentence(board, { state = info.state or run.state, now = info.now(), paint = info.paint })
      .. "\n")
  end
  return self
end

-- ---- live and quiet -----------------------------------------------------------------------------

--- The live region.
---@param board table
---@param region table see `orrery.cli.display.live`
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
  local clean, count = term().clean, term().count
  local function line()
    options.sample()
    options.write(("%8.3f  %s  %s of %s settled, %s running, %s failed\n")
      :format(options.now() - board.started,
      clean(board.name), count(board.settled), count(board.total), count(board.running),
      count(board.counts.failed)))
  end
  local self = {}
  function self.start()
    timer = require("orrery.core").hide(require("luv").new_timer())
    timer:start(1000, 1000, line)
    timer:unref()
  end
  function self.stop()
    if timer and not timer:is_closing() then timer:close() end
  end
  function self.finish(run, info)
    self.stop()
    options.sample()
    options.write(summary().sentence(board,
      { state = info.state or run.state, now = info.now(), paint = info.paint }) .. "\n")
  end
  return self
end

--- Prints failures only, and messages of the store: if it cannot be written, nothing goes on.
---@param board table
---@param write fun(text: string)
function watch.quiet(board, write)
  return {
    take = function(e)
      if e.event == "log" and not e.run then write(("orrery: %s\n"):format(term().clean(e.message))) end
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
    local more = summary().failure(failure, { where = node.where, type = node.type, paint = info.paint })
    table.move(more, 1, #more, #lines + 1, lines)
  end
  for _, failure in ipairs(board.failures) do
    seen = seen or (info.error and failure.node == info.error.node)
    add(failure)
  end
  local shown = #board.failures
  if info.error and not seen then -- it failed in a process before this one
    add { node = info.error.node, error = info.error }
    if info.error.node then shown = shown + 1 end
  end
  local hidden = board.counts.failed - shown
  if hidden > 0 then lines[#lines + 1] = ("and %s more failed"):format(term().plural(hidden, "node")) end
  if #lines > 0 or info.error then
    local skips = summary().skips(board, info.paint)
    table.move(skips, 1, #skips, #lines + 1, lines)
  end
  if info.compensations then
    local undone = summary().undone(info.compensations, info.paint)
    table.move(undone, 1, #undone, #lines + 1, lines)
  end
  if #lines > 0 then info.write(table.concat(lines, "\n") .. "\n") end
end


return watch
