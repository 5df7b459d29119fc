--- Pools, breakers and the store.
local core = require "orrery.core"
local declared = require "orrery.definition.pools"
local problem = require "orrery.serve.problem"
local retention = require "orrery.store.retention"

local tend = {}

local array = core.json.array

function tend.pools(call)
  local paused, list = {}, {}
  for _, row in ipairs(call.host.store:rows "pools_paused") do paused[row.name] = true end
  for _, name in ipairs(declared.names()) do
    local pool = declared.declared(name)
    list[#list + 1] = { name = name, max = pool.max, rate = pool.rate, per = pool.per,
      paused = paused[name] or false }
    paused[name] = nil
  end
  for name in pairs(paused) do list[#list + 1] = { name = name, paused = true } end
  table.sort(list, function(a, b) return a.name < b.name end)
  return { pools = array(list) }
end

local function set_paused(call, paused)
  local name = call.params.name
  local changed = require("orrery.store.pause").pool(call.host.store, name, paused)
  local rt = call.host.rt
  if rt:has_pool(name) then rt:pause_pool(name, paused) end -- also where no run is live that would hear of it
  call.before, call.after = { paused = paused ~= changed }, { paused = paused }
  return { name = name, paused = paused, changed = changed }
end

function tend.pause_pool(call) return set_paused(call, true) end
function tend.resume_pool(call) return set_paused(call, false) end

function tend.breakers(call)
  local list, seen = {}, {}
  for _, entry in ipairs(call.host.workflows:list()) do
    for _, node in require("orrery.definition.nodes").built(entry.compiled and entry.compiled.def
      or { nodes = {} }) do
      local breaker = node.breaker
      if breaker and not seen[breaker.name] then
        seen[breaker.name] = true
        local state, till = call.host.rt:breaker_state(breaker.name)
        list[#list + 1] = { name = breaker.name, state = state or "closed",
          ["until"] = state == "open" and till or nil,
          threshold = breaker.threshold, window = breaker.window, cooldown = breaker.cooldown }
      end
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return { breakers = array(list) }
end

function tend.reset_breaker(call)
  local name, rt = call.params.name, call.host.rt
  local before = rt:breaker_state(name)
  if not before then problem.raise("not_found", ("no breaker '%s' has been asked yet"):format(name)) end
  rt:reset_breaker(name)
  call.before, call.after = { state = before }, { state = "closed" }
  return { name = name, state = "closed" }
end

local function size(path)
  local stat = path and require("luv").fs_stat(path)
  return stat and stat.size
end

function tend.store(call)
  local store = call.host.store
  local counts, path = store:row "store_runs", require("orrery.store.open").path(store.url)
  return { url = store.url, schema = store:row("store_schema").n, engine = store:row("store_engine").version,
    runs = counts.runs, unfinished = counts.unfinished, bytes = size(path), log_bytes = size(path and path
      .. "-wal"),
    keep = retention.setting(store) }
end

local function states_of(words)
  if not words or #words == 0 then return nil end
  local known = {}
  for _, state in ipairs(retention.ENDED) do known[state] = true end
  for _, state in ipairs(words) do
    if not known[state] then
      problem.raise("bad_request", ("'%s' is no state of a run that has ended: they are %s"):format(state,
        table.concat(retention.ENDED, ", ")))
    end
  end
  return words
end

function tend.prune(call)
  local body = call.body
  local seconds, message = require("orrery.duration").parse(body.older)
  if not seconds then problem.raise("bad_request", "older: " .. message) end
  local made = retention.prune(call.host.store, { older = seconds, states = states_of(body.state),
    workflow = body.workflow, dry = body.dry or false })
  call.after = made
  made.dry = body.dry or false
  return made
end

return tend
