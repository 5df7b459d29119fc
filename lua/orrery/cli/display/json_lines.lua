--- A watcher for programs.
local events = require "orrery.events"
local gather = require "orrery.cli.display.gather"
local printable = require "orrery.cli.display.printable"

--- One event a line on the standard output; the last one is written by finish, with the run's
--- output or error.
---@param board table
---@param encode fun(value: any): string
---@param write fun(text: string) makes it printable, many lines at once
---@param later? fun(fn: function) calls fn at the next turn of the loop
---@return table watcher see `orrery.cli.display.watch`
return function(board, encode, write, later)
  local self, last = {}, nil
  local put, flush = gather(write, later)
  function self.take(e)
    board:count(e)
    if board.notes[1] then board.notes = {} end
    -- with a node it is an event of a handler
    local ends = events.ENDS[e.event] and e.run == board.run and not e.node
    if ends then last = e else put(printable.encoded(encode, e)) end
  end
  self.stop = flush
  function self.finish(run, info)
    local e = last or {}
    local state = info.state or run.state
    e.event = e.event or "run_" .. state
    e.run, e.workflow, e.state, e.resume, e.signals = run.id, e.workflow or info.name, state, info.resume,
      info.signals
    e.time = e.time or info.now()
    if state == "completed" then
      e.output = run.output
      if e.output == nil then e.output = info.null end
      if info.unprintable then e.output, e.output_error = info.null, info.unprintable end
    else
      e.error = run.error
      if events.UNDONE[state] then e.compensations = e.compensations or run:compensations() end
    end
    put(printable.encoded(encode, e))
    flush()
  end
  return self
end
