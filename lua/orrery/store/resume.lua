--- Runs that are in a store already: letting one go on, and retrying what failed in it.
---
--- A run goes on with the code it began with, from its bundle. Everything here reads the tables of
--- the store (docs/store.md); the journal itself is read by the runtime.
local core = require "orrery.core"
local folder = require "orrery.store.folder"
local launch = require "orrery.runtime.launch"
local of_store = require "orrery.runtime.of_store"
local pauses = require "orrery.history.pauses"
local run_code = require "orrery.store.run_code"
local run_row = require "orrery.history.run_row"

local resume = {}

---@class orrery.ResumeOptions
---@field store? string the store's URL; ORRERY_STORE where it is left out
---@field runtime? orrery.Runtime
---@field force? boolean also a run that a living process owns, or that was interrupted too often
---@field code? boolean|string with today's code: true for the file it began with, or another file
---@field items? boolean of a retry: also the items that failed and were allowed to, of a run that completed, too
---@field trust? boolean the store may belong to another user, whose code it runs
---@field compiled? orrery.Compiled what run_code.of gave for the run and these options
---@field orphan_of? orrery.Run the run that called it and waits for it no more
---@field cancel? boolean it goes on only to be cancelled
---@field keep_pauses? boolean nobody asked for it: where it or its workflow is paused, it stays so
---@field on_event? fun(event: table)

--- The runtime that the options name.
---@param options orrery.ResumeOptions
---@return orrery.Runtime
function resume.runtime_of(options)
  if options.runtime then return options.runtime end
  local hosted = not options.store and core.host_runtime()
  if hosted and hosted:durable() then return hosted end
  local url = options.store or os.getenv "ORRERY_STORE"
  if not url or url == "" then error("name the store that the run is in, { store = \"sqlite:PATH\" }", 0) end
  return of_store(url)
end

-- Who asked for a pause before has been overruled: his message is still to be read, so ours comes
-- after it.
local function let_go_on(store, row, started)
  if started.state == "paused" then started:resume() end
  local asked = store:row("inbox_pause", { run = row.number })
  if asked then store:send(row.id, "resume", "{}") end
end

--- Whether a run is paused as far as the store knows: it was when its process ended, or was asked
--- to since, and nobody let it go on.
---@param store orrery.Store
---@param row table of `run_row.find`
---@return boolean
function resume.is_held(store, row)
  local asked = store:row("inbox_control", { run = row.number })
  if asked then return asked.name == "pause" end
  return row.state == "paused"
end

local SETTLED = { run_not_found = true, run_not_begun = true, run_owned = true, run_ended = true }

--- Children that were begun by a run, which goes on, and that it is not going to wait for again:
--- they are cancelled, and end before it is over.
---@param rt orrery.Runtime
---@param caller orrery.Run
---@param ids string[]
---@param force boolean
function resume.take_orphans(rt, caller, ids, force)
  for _, id in ipairs(ids) do
    local ok, problem = pcall(resume.resume, id, { runtime = rt, force = force, orphan_of = caller })
    if not ok and not (type(problem) == "table" and SETTLED[problem.code]) then
      warn(("orrery: run %s, which %s had called, cannot go on: %s"):format(id, caller.id, tostring(problem)))
    end
  end
end

-- Whether the run that called it has ended without it.
local function is_orphan(store, row)
  local parent = row.parent and store:row("run_state", { run = row.parent })
  return parent ~= nil and run_row.ENDED[parent.state] or false
end

local function go_on(rt, id, mode, options)
  local store, row, compiled = run_code.of(rt, id, options)
  if options.force then store:unblock(row.id) end
  local started = launch.with(rt, compiled, options.on_event, function()
    return rt:restore(compiled.plan, id, { force = options.force, mode = mode, items = options.items,
      env = compiled.env,
      orphan_of = options.orphan_of,
      orphan = options.orphan_of ~= nil or options.cancel or mode == "recover" and is_orphan(store, row) })
  end)
  local elsewhere = folder.difference(rt, id)
  if elsewhere then warn("orrery: " .. elsewhere) end
  if options.code then run_code.move_to(store, row, compiled) end
  if not options.keep_pauses then
    let_go_on(store, row, started)
  elseif pauses.holds(rt, row.workflow) then
    started:pause()
  end
  return started, compiled
end

--- Lets a run go on whose process is gone: completed nodes and steps keep what they gave, what was
--- interrupted runs again. Returns at once. Raises `run_not_found`, `run_not_begun`, `run_owned`,
--- `no_bundle`, `definition_changed`, and for a run that has ended.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
---@return orrery.Compiled
function resume.resume(id, options)
  options = options or {}
  return go_on(resume.runtime_of(options), id, "recover", options)
end

--- Runs what failed or was cancelled in an ended run, and all that follows from it, again; with
--- `items` also the failed items of nodes that completed. Returns at once. Raises as resume.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
---@return orrery.Compiled
function resume.retry(id, options)
  options = options or {}
  return go_on(resume.runtime_of(options), id, "retry", options)
end

--- Runs that are not over and that no living process owns, oldest first; children come with their
--- parents, unless those have ended without them. An iterator, which reads the store in slices.
---@param store orrery.Store
---@return fun(): table|nil
function resume.unfinished(store)
  local last, slice, i = 0, {}, 0
  return function()
    i = i + 1
    if not slice[i] then
      slice = store:rows("runs_unfinished", { after = last, limit = 256 })
      i = 1
    end
    if slice[i] then last = slice[i].number end
    return slice[i]
  end
end

return resume
