--- What becomes of a row that a stage cannot take.
local flow = require "orrery"

--- Rejects it where the config says so, and fails otherwise, with `invalid_data`. May wait.
---@param stage table
---@param row any
---@param reason string
return function(stage, row, reason)
  if stage.config.rejects then return stage:reject(row, reason) end
  flow.error { code = "invalid_data", retryable = false, details = { row = row },
    message = ("%s: %s; rejects = true, or a file, keeps such rows and goes on"):format(stage.type, reason) }
end
