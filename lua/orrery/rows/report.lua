--- What a stream tells when it has ended: counts and paths, and the rows where nobody took them.
local core = require "orrery.core"

local report = {}

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
  if stage.config.rejects == true then made.rejects = stage.rejects end
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
