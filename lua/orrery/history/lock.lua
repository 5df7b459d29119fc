--- The lock of a run, as the store knows it: whether it has it, and who is in its way.
local lock = {}

---@class orrery.Lock
---@field value string
---@field held boolean
---@field holder? string id of the run that has it, or is before this one in line
---@field has_it? boolean the holder has begun; otherwise it is only before this one
---@field alive? boolean a process runs the holder

-- The first in the way: who has the lock, else the first before it that a process runs.
local function in_way(db, number)
  for row in db:each_row("lock_before", { run = number }) do
    local alive = row.owner ~= nil and db:owner(row.owner) ~= "gone"
    if row.begun == 1 or alive then return row, alive end
  end
end

--- The lock that a run has or is in line for; nil for a run without one, or that has ended.
---@param db orrery.Store
---@param number integer of the run
---@return orrery.Lock|nil
function lock.of(db, number)
  local own = db:row("lock_of_run", { run = number })
  if not own then return nil end
  local made = { value = own.value, held = own.begun == 1 }
  if made.held then return made end
  local row, alive = in_way(db, number)
  if row then made.holder, made.has_it, made.alive = row.id, row.begun == 1, alive end
  return made
end

return lock
