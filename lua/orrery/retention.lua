--- Removing what is no longer wanted from a store: runs that ended long ago with all that belongs to them, and code, large values,
--- cache entries and processes that nothing refers to any more. In slices, each a transaction of its own, so that runs go on meanwhile.
local core = require "orrery.core"

local retention = {}

--- The states of a run that has ended.
retention.ENDED = { "completed", "failed", "cancelled", "compensated", "compensation_failed" }

local SLICE = 200           -- runs of one transaction
local SETTING = "retention" -- its name in `meta`

-- ---- processes ----------------------------------------------------------------------------------------------------

--- Whether a process that owns runs still lives, as far as can be seen from here: one of another machine is taken to.
---@param owner { pid: integer, host?: string, ended?: number, lost?: integer } row of `owners`
---@return boolean
function retention.alive(owner)
  if owner.ended or owner.lost == 1 then return false end
  local uv = require "luv"
  if owner.host and owner.host ~= uv.os_gethostname() then return true end
  local _, _, problem = uv.kill(owner.pid, 0)
  return problem ~= "ESRCH"
end

-- The ids of owners that have gone, and of this process, as JSON.
local function gone(db)
  local ids, own = {}, require("luv").os_getpid()
  for _, owner in ipairs(db:query "SELECT id, pid, host, ended, lost FROM owners") do
    if owner.pid == own or not retention.alive(owner) then ids[#ids + 1] = owner.id end
  end
  return core.json.encode(core.json.array(ids))
end

-- ---- runs -----------------------------------------------------------------------------------------------------------

-- Runs that may go: ended before, and not those whose caller still runs, which may ask for them again. A run that ended is owned no
-- longer, unless its process died right then or somebody has just taken it to retry it.
local CHOSEN = [[FROM runs WHERE ended IS NOT NULL AND ended < ?1
  AND state IN (SELECT value FROM json_each(?2)) AND (?3 IS NULL OR workflow = ?3)
  AND (owner IS NULL OR owner IN (SELECT value FROM json_each(?4)))
  AND NOT EXISTS (SELECT 1 FROM runs AS p WHERE p.number = runs.parent AND p.ended IS NULL)]]

-- The condition is asked again where they are removed: meanwhile one may have been taken to be retried.
local DOOMED = "(SELECT number " .. CHOSEN .. " AND number IN (SELECT value FROM json_each(?5)))"

-- Every table with a column `run`; a row of the cache outlives the run that made it.
local PARTS = { "nodes", "attempts", "steps", "signals", "timers", "logs", "inbox", "journal" }

local function changes_for(parameters)
  local changes = {}
  for i, name in ipairs(PARTS) do
    changes[i] = { "DELETE FROM " .. name .. " WHERE run IN " .. DOOMED, table.unpack(parameters, 1, 5) }
    changes[i].n = 5
  end
  changes[#changes + 1] = { "DELETE FROM runs WHERE number IN " .. DOOMED, table.unpack(parameters, 1, 5) }
  changes[#changes].n = 5
  return changes
end

local function numbers_of(rows)
  local numbers = {}
  for i, row in ipairs(rows) do numbers[i] = row.number end
  return core.json.encode(core.json.array(numbers))
end

-- How many of these runs are still there.
local function left_of(db, numbers)
  return db:query("SELECT count(*) AS n FROM runs WHERE number IN (SELECT value FROM json_each(?))", numbers)[1].n
end

-- Removes the chosen runs, or only counts them.
local function prune_runs(db, options, dead)
  local parameters = { options.now - options.older, core.json.encode(core.json.array(options.states)), options.workflow, dead }
  local total, last = 0, 0
  while true do
    local rows = db:query("SELECT number " .. CHOSEN .. " AND number > ?5 ORDER BY number LIMIT ?6", parameters[1], parameters[2],
      parameters[3], parameters[4], last, SLICE)
    if #rows == 0 then return total end
    last = rows[#rows].number
    parameters[5] = numbers_of(rows)
    if not options.dry then db:change(changes_for(parameters)) end
    total = total + #rows - (options.dry and 0 or left_of(db, parameters[5]))
  end
end

-- ---- what nothing refers to ------------------------------------------------------------------------------------------

local MARK = '{"$blob":"'

-- Collects the hashes that a text refers to.
local function collect(text, into)
  for hash in text:gmatch '{"%$blob":"(%x+)"' do into[hash] = true end
end

-- The hashes of blobs that the journal or the cache refer to, and the last row of the journal that was looked at. The journal is the
-- truth: what a node has put out stands there, and so does what no other table shows.
local function referred(db)
  local hashes, last = {}, 0
  repeat
    local rows = db:query("SELECT id, CASE WHEN instr(records, CAST(? AS BLOB)) > 0 THEN records END AS records FROM journal "
      .. "WHERE id > ? ORDER BY id LIMIT 5000", MARK, last)
    for _, row in ipairs(rows) do
      if row.records then collect(row.records, hashes) end
      last = row.id
    end
  until #rows == 0
  for row in db:each("SELECT output FROM cache WHERE instr(output, ?) > 0", MARK) do collect(row.output, hashes) end
  return hashes, last
end

-- Nobody refers to it still: what came into the journal or the cache since they were read, and what is on its way there, is looked at
-- in the same transaction.
local UNREFERRED = [[hash IN (SELECT value FROM json_each(?1))
  AND NOT EXISTS (SELECT 1 FROM journal WHERE id > ?2 AND instr(records, CAST(blobs.hash AS BLOB)) > 0)
  AND NOT EXISTS (SELECT 1 FROM commits WHERE instr(records, CAST(blobs.hash AS BLOB)) > 0)
  AND NOT EXISTS (SELECT 1 FROM cache WHERE instr(output, blobs.hash) > 0)]]

local function prune_blobs(db, options)
  local sizes = {}
  for row in db:each "SELECT hash, size FROM blobs" do sizes[row.hash] = row.size end
  if not next(sizes) then return 0, 0 end
  local used, last = referred(db)
  local free, bytes = {}, 0
  for hash, size in pairs(sizes) do
    if not used[hash] then
      free[#free + 1] = hash
      bytes = bytes + size
    end
  end
  if #free == 0 or options.dry then return #free, bytes end
  table.sort(free)
  return db:change { { "DELETE FROM blobs WHERE " .. UNREFERRED, core.json.encode(core.json.array(free)), last } }, bytes
end

-- Code that no run was started with. A process keeps in mind what it has put there, so none that lives may have one open: it would not
-- put it there a second time.
local BUNDLES = [[FROM bundles WHERE hash NOT IN (SELECT bundle FROM runs WHERE bundle IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM owners WHERE ended IS NULL AND lost = 0 AND id NOT IN (SELECT value FROM json_each(?1)))]]
local MODULES = "FROM modules WHERE bundle NOT IN (SELECT hash FROM bundles)"
local CACHE = "FROM cache WHERE expires IS NOT NULL AND expires <= ?1"
-- The newest stays, so that numbers go on from it.
local OWNERS = [[FROM owners WHERE id IN (SELECT value FROM json_each(?1)) AND started < ?2 AND pid <> ?3
  AND id < (SELECT max(id) FROM owners) AND id NOT IN (SELECT owner FROM runs WHERE owner IS NOT NULL)]]

-- Removes what a FROM clause names, or only counts it.
local function drop(db, options, from, ...)
  if options.dry then return db:query("SELECT count(*) AS n " .. from, ...)[1].n end
  return db:change { { "DELETE " .. from, ... } }
end

-- ---- pruning ---------------------------------------------------------------------------------------------------------

---@class orrery.Pruned what was removed, or would be
---@field runs integer
---@field blobs integer
---@field bytes integer of the blobs
---@field bundles integer
---@field modules integer
---@field cache integer entries that had expired
---@field owners integer rows of processes that have gone

--- Removes runs that ended more than `older` seconds ago, then what nothing refers to any more. Waits for the disk, slice by slice.
--- Raises what the store raises.
---@param db orrery.Store
---@param options { older: number, states?: string[], workflow?: string, dry?: boolean, now?: number }
---@return orrery.Pruned
function retention.prune(db, options)
  local o = { older = options.older, workflow = options.workflow, dry = options.dry, now = options.now or core.time(),
    states = options.states and #options.states > 0 and options.states or retention.ENDED }
  local dead = gone(db)
  local made = { runs = prune_runs(db, o, dead) }
  made.cache = drop(db, o, CACHE, o.now)
  made.blobs, made.bytes = prune_blobs(db, o)
  made.bundles = drop(db, o, BUNDLES, dead)
  made.modules = drop(db, o, MODULES)
  made.owners = drop(db, o, OWNERS, dead, o.now - o.older, require("luv").os_getpid())
  return made
end

-- ---- the setting -----------------------------------------------------------------------------------------------------

---@class orrery.Retention
---@field older number seconds
---@field states? string[]
---@field workflow? string

--- What the store is set to keep, or nil: everything.
---@param db orrery.Store
---@return orrery.Retention|nil
function retention.setting(db)
  local row = db:query("SELECT value FROM meta WHERE name = ?", SETTING)[1]
  return row and core.json.decode(row.value) or nil
end

--- Sets it; nil keeps everything from now on.
---@param db orrery.Store
---@param setting orrery.Retention|nil
function retention.keep(db, setting)
  if setting then
    db:change { { "INSERT OR REPLACE INTO meta(name, value) VALUES(?, ?)", SETTING, core.json.encode(setting) } }
  else
    db:change { { "DELETE FROM meta WHERE name = ?", SETTING } }
  end
end

--- Prunes by the store's own setting, where it has one. For hosts, at their start, before they put a bundle into the store.
---@param db orrery.Store
---@return orrery.Pruned|nil
function retention.apply(db)
  local setting = retention.setting(db)
  return setting and retention.prune(db, setting) or nil
end

return retention
