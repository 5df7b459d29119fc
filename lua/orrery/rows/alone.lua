--- A stage as a node of its own: it takes a list and outputs a list. A source takes none; a sink
--- outputs what it has counted and written.
local chunks_of = require "orrery.rows.chunks"
local list_of = require "orrery.rows.list"
local report = require "orrery.rows.report"
local spool = require "orrery.rows.spool"
local stage = require "orrery.rows.stage"

---@param T orrery.NodeType
---@param ctx orrery.Context
---@param config table
---@param inputs? table<string, any>
---@return any output
return function(T, ctx, config, inputs)
  local stream <close> = stage.stream(ctx)
  local source = not T.source and chunks_of(list_of(T.name, config, inputs)) or nil
  local rows = stream:join({ { type = T, config = config } }, source)
  if T.sink then
    while rows() do end -- luacheck: ignore 542
    stream:commit()
    return report.of_stage(stream.stages[1])
  end
  local list = spool.collect(stream, rows, T.name)
  if config.rejects ~= true then return list end
  return { rows = list, rejects = stream.stages[1].rejects }
end
