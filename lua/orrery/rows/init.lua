--- `flow.rows`: what stages are made of, for stages of one's own.
local core = require "orrery.core"

local rows = core.rows()

--- Runs stages, each of which pulls the rows of the one before it, and puts the files that they
--- write in their places. Waits.
---@param ctx orrery.Context
---@param list {type: orrery.NodeType, config: table}[] the first reads, or has `rows` in its config
---@return table report counts and paths; `rows` where the last stage writes nothing
function rows.run(ctx, list)
  local report = require "orrery.rows.report"
  local stream <close> = require "orrery.rows.stage".stream(ctx)
  local first, last, source = list[1], list[#list].type, nil
  if not first.type.source then
    source = require "orrery.rows.chunks"(require "orrery.rows.list"(first.type.name, first.config))
  end
  local pull, collected = stream:join(list, source), nil
  if last.sink then
    while pull() do end -- luacheck: ignore 542
    stream:commit()
  else
    collected = require "orrery.rows.spool".collect(stream, pull, last.name)
  end
  local made = report.of_stream(stream)
  made.rows = collected
  return made
end

--- A stage as a node of its own, for a type with a handler beside its stage: takes `rows` of the
--- config, or the output of the only node before it. Waits.
---@param T orrery.NodeType
---@param ctx orrery.Context
---@param config table
---@param inputs table<string, any>
---@return any output a list, or the counts of a stage that writes
function rows.alone(T, ctx, config, inputs)
  local output = require "orrery.rows.alone"(T, ctx, config, inputs)
  return output
end

--- The list that a node takes: `rows` of its config, or the output of the only node before it.
--- See `orrery.rows.list`.
---@param name string the node type's, for messages
---@param config table
---@param inputs? table<string, any>
---@return any[]
function rows.list(name, config, inputs)
  local list = require "orrery.rows.list"(name, config, inputs)
  return list
end

--- Lists that a handler makes row by row, which may be larger than memory; a to-be-closed value.
--- `lists:new()` begins one (*waits*), which takes `push(row)` and `add(rows)` (may wait) and whose
--- `finish()` gives it, not to be changed (*waits*); `lists:keep()` once all is well, else their
--- files are removed (*waits*).
---@param ctx orrery.Context
---@param what string who gives the rows, for errors
---@return orrery.rows.Lists
function rows.lists(ctx, what)
  return require "orrery.rows.stage".lists(ctx, what)
end

--- A database in SQLite. See `orrery.rows.database`.
---@param path string
---@param options? table
---@return orrery.rows.Database
function rows.database(path, options)
  local made = require("orrery.rows.database").new(path, options)
  return made
end

--- A database in PostgreSQL. See `orrery.rows.postgres`.
---@param settings orrery.rows.postgres.Given
---@return orrery.rows.Postgres
function rows.postgres(settings)
  local made = require("orrery.rows.postgres").new(settings)
  return made
end

return rows
