--- What was left for runs and nobody has taken yet: signals, and messages to cancel, pause and
--- resume.
local inbox = {}

--- Whether a signal of that name was left.
---@param db orrery.Store
---@param run { number: integer }
---@param name string
---@return boolean
function inbox.has_signal(db, run, name)
  return db:row("inbox_signal", { run = run.number, name = name }) ~= nil
end

--- Whether anything was left for the run.
---@param db orrery.Store
---@param id string of the run
---@return boolean
function inbox.has_any(db, id) return db:row("inbox_any", { id = id }) ~= nil end

--- Whether one with this id was sent to the run before.
---@param db orrery.Store
---@param run { number: integer }
---@param dedup string|nil what the sender calls it; nil: it has no such id
---@return boolean
function inbox.is_known(db, run, dedup)
  return dedup ~= nil and db:row("inbox_sent", { run = run.number, dedup = dedup }) ~= nil
end

return inbox
