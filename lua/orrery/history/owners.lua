--- The processes that run runs, and which of them live.
local owners = {}

--- Whether a process that owns runs still lives, by its lock.
---@param db orrery.Store
---@param owner integer owners.id
---@return boolean
function owners.alive(db, owner)
  local state = db:owner(owner)
  return state == "lives" or state == "self"
end

--- The ids of the owners that live.
---@param db orrery.Store
---@return table<integer, true>
function owners.living(db)
  local living = {}
  for row in db:each_row "owners_open" do
    if owners.alive(db, row.id) then living[row.id] = true end
  end
  return living
end

--- The process that runs a run, and whether it lives.
---@param db orrery.Store
---@param row { owner?: integer }
---@return { pid: integer, host?: string, command?: string, started: number, alive: boolean }|nil
function owners.of(db, row)
  if not row.owner then return nil end
  local owner = db:row("owner", { owner = row.owner })
  if owner then owner.alive = owners.alive(db, row.owner) end
  return owner
end

return owners
