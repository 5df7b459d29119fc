--- What there is to say of a store as a whole: whether its file is sound, who has it, what waits in
--- it.
local owners = require "orrery.history.owners"
local retention = require "orrery.store.retention"

local health = {}

--- Adds to `p` what is found within: `schema`, `sqlite`, `check`, `owners`, `owned`, `unowned`,
--- `paused`, `retention`.
---@param p table with `size`, the bytes of the file
---@param db orrery.Store
---@param most integer bytes of a file that is read whole
function health.look_into(p, db, most)
  p.schema = db:row("store_schema").n
  p.sqlite = db:row("store_engine").version
  if p.size <= most then p.check = db:row("store_check").text end
  p.owners, p.owned, p.unowned, p.paused = 0, 0, 0, {}
  local alive = owners.living(db)
  for _ in pairs(alive) do p.owners = p.owners + 1 end
  for row in db:each_row "runs_by_owner" do
    local field = row.owner and alive[row.owner] and "owned" or "unowned"
    p[field] = p[field] + row.n
  end
  for _, kind in ipairs { "workflow", "pool" } do
    for row in db:each_row(kind .. "s_paused") do p.paused[#p.paused + 1] = kind .. " " .. row.name end
  end
  p.retention = retention.setting(db)
end

return health
