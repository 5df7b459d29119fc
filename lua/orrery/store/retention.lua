--- Removing what is no longer wanted from a store: runs that ended long ago with all that belongs
--- to them, code, large values and processes that nothing refers to any more, and what has expired
--- of the cache and of state. In slices, each a transaction of its own, so that runs go on
--- meanwhile.
local core = require "orrery.core"
local references = require "orrery.store.references"
local spools = require "orrery.store.spools"

local retention = {}

--- The states of a run that has ended.
retention.ENDED = { "completed", "failed", "cancelled", "compensated", "compensation_failed" }

local SLICE = 200           -- runs of one transaction
local SETTING = "retention" -- its name among the settings

-- ---- processes ----------------------------------------------------------------------------------

-- The ids of owners that have gone, and the same with those of this process.
local function gone(db)
  local ids, own = {}, {}
  for owner in db:each_row "owners" do
    local state = db:owner(owner.id)
    if state == "gone" then ids[#ids + 1] = owner.id end
    if state ~= "lives" then own[#own + 1] = owner.id end
  end
  return ids, own
end

-- ---- runs ---------------------------------------------------------------------------------------

local function numbers_of(rows)
  local numbers = {}
  for i, row in ipairs(rows) do numbers[i] = row.number end
  return numbers
end

-- Removes those of the runs that may still go; how many that were.
local function remove_runs(db, chosen, runs)
  db:perform("runs_prune", { ended_before = chosen.ended_before, states = chosen.states,
    workflow = chosen.workflow, gone = chosen.gone, runs = runs })
  return #runs - db:row("runs_left", { runs = runs }).n
end

-- Removes the chosen runs, or only counts them; their ids become keys of `removed`.
local function prune_runs(db, options, dead, removed)
  local chosen = { ended_before = options.now - options.older, states = options.states,
    workflow = options.workflow, gone = dead, after = 0, limit = SLICE }
  local total = 0
  while true do
    local rows = db:rows("runs_to_prune", chosen)
    if #rows == 0 then return total end
    chosen.after = rows[#rows].number
    for _, row in ipairs(rows) do removed[row.id] = true end
    total = total + (options.dry and #rows or remove_runs(db, chosen, numbers_of(rows)))
  end
end

-- ---- what nothing refers to ---------------------------------------------------------------------

local MARK = '{"$blob":"'
local HASH = '{"%$blob":"(%x+)"'

local function prune_blobs(db, options)
  local sizes = {}
  for row in db:each_row "blobs" do sizes[row.hash] = row.size end
  if not next(sizes) then return 0, 0 end
  local used, last = references.find(db, MARK, HASH)
  for row in db:each_row("blobs_with", { text = MARK }) do -- a list whose items are large values
    if used[row.hash] then references.collect(row.data, HASH, used) end
  end
  local free, bytes = {}, 0
  for hash, size in pairs(sizes) do
    if not used[hash] then
      free[#free + 1] = hash
      bytes = bytes + size
    end
  end
  if #free == 0 or options.dry then return #free, bytes end
  table.sort(free)
  return db:perform("blobs_prune", { blobs = free, journal = last }), bytes
end

-- What is counted, or removed, and by what name.
local UNUSED = {
  cache = { count = "cache_expired", prune = "cache_prune" },
  state = { count = "state_expired", prune = "state_prune" },
  bundles = { count = "bundles_unused", prune = "bundles_prune" },
  modules = { count = "modules_unused", prune = "modules_prune" },
  owners = { count = "owners_unused", prune = "owners_prune" },
}

local function prune_unused(db, options, kind, parameters)
  local names = UNUSED[kind]
  if options.dry then return db:row(names.count, parameters).n end
  return db:perform(names.prune, parameters)
end

-- ---- pruning ------------------------------------------------------------------------------------

---@class orrery.PruneOptions
---@field older number seconds since its end that a run has to be older than
---@field states? string[] only runs that ended so
---@field workflow? string only its runs
---@field dry? boolean count what would be removed, and remove nothing
---@field now? number

---@class orrery.Pruned what was removed, or would be
---@field runs integer
---@field blobs integer
---@field bytes integer of the blobs
---@field spools integer files of rows
---@field spool_bytes integer of those
---@field bundles integer
---@field modules integer
---@field cache integer entries that had expired
---@field state integer values of `ctx:state()` that had expired
---@field owners integer rows of processes that have gone

--- Removes runs that ended more than `older` seconds ago, then what nothing refers to any more.
--- Waits for the disk, slice by slice. Raises what the store raises.
---@param db orrery.Store
---@param options orrery.PruneOptions
---@return orrery.Pruned
function retention.prune(db, options)
  local o = { older = options.older, workflow = options.workflow, dry = options.dry,
    now = options.now or core.time(),
    states = options.states and #options.states > 0 and options.states or retention.ENDED }
  local dead, ours = gone(db)
  local files, removed = spools.by_run(db), {}
  local made = { runs = prune_runs(db, o, ours, removed) }
  made.cache = prune_unused(db, o, "cache", { now = o.now })
  made.state = prune_unused(db, o, "state", { now = o.now })
  made.blobs, made.bytes = prune_blobs(db, o)
  made.spools, made.spool_bytes = spools.prune(db, files, removed, o.dry)
  made.bundles = prune_unused(db, o, "bundles", { gone = ours })
  made.modules = prune_unused(db, o, "modules")
  made.owners = prune_unused(db, o, "owners", { gone = dead, before = o.now - o.older })
  return made
end

-- ---- the setting --------------------------------------------------------------------------------

---@class orrery.Retention
---@field older number seconds
---@field states? string[]
---@field workflow? string

--- What the store is set to keep, or nil: everything.
---@param db orrery.Store
---@return orrery.Retention|nil
function retention.setting(db)
  local row = db:row("setting", { name = SETTING })
  return row and core.json.decode(row.value) or nil
end

--- Sets it; nil keeps everything from now on.
---@param db orrery.Store
---@param setting orrery.Retention|nil
function retention.keep(db, setting)
  if setting then
    db:perform("setting_keep", { name = SETTING, value = core.json.encode(setting) })
  else
    db:perform("setting_remove", { name = SETTING })
  end
end

--- Prunes by the store's own setting, where it has one. For hosts, at their start, before they put
--- a bundle into the store.
---@param db orrery.Store
---@return orrery.Pruned|nil
function retention.apply(db)
  local setting = retention.setting(db)
  return setting and retention.prune(db, setting) or nil
end

return retention
