--- What a stream tells when it has ended: counts and paths, and the rows where nobody took them.
local core = require "orrery.core"
local errors = require "orrery.errors"

local report = {}

local MOST = 1000000 -- rows that an output may hold

--- All rows as one list. Waits. Raises `too_many_rows`.
---@param rows fun(): any[]?
---@param what string who gives them, for the error
---@return any[]
function report.collect(rows, what)
  local list, n = {}, 0
  for chunk in rows do
    n = n + #chunk
    if n > MOST then
      errors.error { code = "too_many_rows", retryable = false,
        message = ("%s gives more than %d rows, too many for an output; end the pipe with a stage that "
          .. "writes them, such as csv.write"):format(what, MOST) }
    end
    table.move(chunk, 1, #chunk, #list + 1, list)
  end
  return core.json.array(list)
end

local function files_of(stage)
  local list = {}
  for i, output in ipairs(stage.files) do list[i] = { path = output.path, bytes = output.bytes } end
  return #list > 0 and core.json.array(list) or nil
end

--- The counts of one stage.
---@param stage orrery.rows.Stage
---@return table
function report.of_stage(stage)
  local rows_in = stage.source and stage.rows_out + stage.rejected or stage.rows_in
  local made = { type = stage.type, rows_in = rows_in, rows_out = stage.rows_out,
    rejected = stage.rejected, files = files_of(stage) }
  for key, value in next, stage.report do made[key] = value end
  if stage.config.rejects == true then made.rejects = core.json.array(stage.rejects) end
  return made
end

--- The counts of all, and of the whole.
---@param stream orrery.rows.Stream
---@return table
function report.of_stream(stream)
  local stages, rejected, paths = {}, 0, {}
  for i, stage in ipairs(stream.stages) do
    stages[i], rejected = report.of_stage(stage), rejected + stage.rejected
    for _, output in ipairs(stage.files) do paths[#paths + 1] = output.path end
  end
  local last = stream.stages[#stream.stages]
  return { rows_in = stages[1].rows_in, rows_out = last.rows_out, rejected = rejected,
    files = core.json.array(paths), stages = core.json.array(stages) }
end

return report
