--- Runs that are in a store already: letting one go on, retrying it, forking it, and finding it by its key.
---
--- A run goes on with the code it began with, from its bundle. Everything here reads the tables of the store (docs/store.md);
--- the journal itself is read by the runtime.
local bundle = require "orrery.bundle"
local core = require "orrery.core"
local errors = require "orrery.errors"
local run = require "orrery.run"
local stored = require "orrery.store"

local resume = {}

local json = core.json
local function store_of(rt) return rt:store() end

local runtimes = setmetatable({}, { __mode = "k" }) -- record -> where it is waited for

local function raise(code, message)
  error(setmetatable({ code = code, message = message, retryable = false }, core.error_mt), 0)
end

--- The states in which a run is over.
resume.ENDED = { completed = true, failed = true, cancelled = true, compensated = true, compensation_failed = true }

-- ---- a run as a row ---------------------------------------------------------------------------------------

local COLUMNS = "id, number, workflow, bundle, state, owner, parent, output, error, key, seq"

--- The row of a run by its id, or nil.
---@param store orrery.Store
---@param id string
---@return table|nil
function resume.row(store, id)
  return store:query("SELECT " .. COLUMNS .. " FROM runs WHERE id = ?", id)[1]
end

local function decode(text)
  if text == nil then return nil end
  return json.decode(text, { binary = true })
end

--- A value as a column of the store has it; one that is kept among the blobs comes from there. Raises where it is there no more.
---@param store orrery.Store
---@param text string|nil
---@return any
function resume.value(store, text)
  local value, missing = stored.value(store, text)
  if missing then
    raise("store_error", ("a value of %d bytes is missing in the store: it has no blob %s"):format(missing.size, missing["$blob"]))
  end
  return value
end

-- A run that this process does not run.
local Record = {}
Record.__index = Record
Record.__name = "orrery.run_record"

local function record(rt, row)
  local store = store_of(rt)
  local made = setmetatable({ id = row.id, workflow = row.workflow, state = row.state, output = resume.value(store, row.output),
    error = resume.value(store, row.error), ended = resume.ENDED[row.state] or false, existing = true }, Record)
  runtimes[made] = rt
  return made
end

--- Waits for the end of the run, and goes on with it here where its process is gone.
---@return orrery.RunRecord record as it is then
function Record:wait()
  if self.ended then return self end
  return resume.finished(runtimes[self], self.id)
end

-- ---- the code of a run ------------------------------------------------------------------------------------

local loaded = setmetatable({}, { __mode = "v" }) -- hash -> compiled, so that runs of one bundle share it

local function from_bundle(store, row)
  if not row.bundle then
    raise("no_bundle", ("run %s cannot be resumed: its workflow was made by a script, prompt or program and has no source in the"
      .. " store"):format(row.id))
  end
  local compiled = loaded[row.bundle]
  if compiled then return compiled end
  local kept = store:get("bundle", row.bundle)
  if not kept then raise("no_bundle", ("run %s cannot be resumed: its bundle is not in the store"):format(row.id)) end
  compiled = bundle.load(kept, store:get("module", row.bundle))
  loaded[row.bundle] = compiled
  return compiled
end

--- The code that a run began with, where the store has it.
---@param rt orrery.Runtime
---@param id string
---@return orrery.Compiled|nil
function resume.begun_code(rt, id)
  local store = store_of(rt)
  if not store then return nil end
  local row = resume.row(store, id)
  if not row then -- the tables may be a moment behind
    store:project()
    row = resume.row(store, id)
  end
  return row and row.bundle and from_bundle(store, row) or nil
end

local function touched_nodes(store, row)
  local touched = {}
  for _, node in ipairs(store:query("SELECT node, state FROM nodes WHERE run = ? AND item = 0", row.number)) do
    if node.state ~= "pending" then touched[node.node] = node.state end
  end
  return touched
end

-- Today's code for a run that began with other code, where its journal fits it.
local function current_code(store, row, path)
  local kept = row.bundle and store:get("bundle", row.bundle)
  if not kept then raise("no_bundle", ("run %s has no bundle in the store to compare today's code with"):format(row.id)) end
  path = path or (decode(kept.arguments) or {}).path
  if not path then raise("no_source", ("run %s was not loaded from a file; name the file of today's code"):format(row.id)) end
  local compiled = run.compiled(path)
  store:project()
  local problems = bundle.fits(kept.definition, bundle.definition(compiled), touched_nodes(store, row))
  if #problems == 0 then return compiled end
  local found = {}
  for i, problem in ipairs(problems) do
    found[i] = { kind = "definition_changed", node = problem.node,
      message = ("the journal does not fit %s: %s"):format(path, problem.message) }
  end
  errors.raise(found, "definition_changed")
end

local function move_to(store, row, compiled)
  local made = bundle.of(compiled)
  if not made or made.hash == row.bundle then return end
  store:change {
    { "INSERT OR IGNORE INTO bundles (hash, workflow, definition, sources, arguments, engine, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
      made.hash, made.workflow, made.definition, made.sources, made.arguments, made.engine, core.time() },
    { "UPDATE runs SET bundle = ? WHERE number = ?", made.hash, row.number },
  }
end

-- ---- going on ---------------------------------------------------------------------------------------------

---@class orrery.ResumeOptions
---@field store? string the store's URL; ORRERY_STORE where it is left out
---@field runtime? orrery.Runtime
---@field force? boolean also a run that a living process owns, or whose attempts were interrupted too often
---@field code? boolean|string with today's code: true for the file it began with, or another file
---@field compiled? orrery.Compiled what resume.code_of gave for the run and these options
---@field orphan_of? orrery.Run the run that called it and waits for it no more
---@field keep_pauses? boolean nobody asked for this run: one that is paused, or whose workflow is, stays so
---@field on_event? fun(event: table)

--- The runtime that the options name.
---@param options orrery.ResumeOptions
---@return orrery.Runtime
function resume.runtime_of(options)
  if options.runtime then return options.runtime end
  local url = options.store or os.getenv "ORRERY_STORE"
  if not url or url == "" then error("name the store that the run is in, { store = \"sqlite:PATH\" }", 0) end
  return run.runtime_of_store(url)
end

--- A run's row, and the code it goes on with.
---@param rt orrery.Runtime
---@param id string
---@param options orrery.ResumeOptions
---@return orrery.Store
---@return table row
---@return orrery.Compiled
function resume.code_of(rt, id, options)
  local store = store_of(rt)
  if not store then
    raise("no_store", "this runtime has no store to find runs in; open it with flow.runtime { store = \"sqlite:PATH\" }")
  end
  if type(id) ~= "string" then error("expected the id of a run, got " .. errors.show(id), 0) end
  local row = resume.row(store, id)
  if not row then raise("run_not_found", ("there is no run %s in %s"):format(tostring(id), rt:url())) end
  if options.compiled then return store, row, options.compiled end
  local compiled = options.code and current_code(store, row, options.code ~= true and options.code or nil)
    or from_bundle(store, row)
  return store, row, compiled
end

-- Who asked for a pause before has been overruled: his message is still to be read, so ours comes after it.
local function let_go_on(store, row, started)
  if started.state == "paused" then started:resume() end
  local asked = store:query("SELECT 1 FROM inbox WHERE run = ? AND name = 'pause' AND taken IS NULL LIMIT 1", row.number)[1]
  if asked then store:send(row.id, "resume", "{}") end
end

--- Whether a run is paused as far as the store knows: it was when its process ended, or was asked to since, and nobody let it go on.
---@param store orrery.Store
---@param row table of `resume.row`
---@return boolean
function resume.is_held(store, row)
  local asked = store:query([[SELECT name FROM inbox WHERE run = ? AND name IN ('pause', 'resume', 'cancel') AND taken IS NULL
    ORDER BY name = 'cancel' DESC, id DESC LIMIT 1]], row.number)[1]
  if asked then return asked.name == "pause" end
  return row.state == "paused"
end

local SETTLED = { run_not_found = true, run_not_begun = true, run_owned = true, run_ended = true }

--- Children that were begun by a run, which goes on, and that it is not going to wait for again: they are cancelled, and end
--- before it is over.
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
  local parent = row.parent and store:query("SELECT state FROM runs WHERE number = ?", row.parent)[1]
  return parent ~= nil and resume.ENDED[parent.state] or false
end

local function go_on(rt, id, mode, options)
  local store, row, compiled = resume.code_of(rt, id, options)
  local started = run.launch(rt, compiled, options.on_event, function()
    return rt:restore(compiled.plan, id, { force = options.force, mode = mode, env = compiled.env, orphan_of = options.orphan_of,
      orphan = options.orphan_of ~= nil or mode == "recover" and is_orphan(store, row) })
  end)
  if options.code then move_to(store, row, compiled) end
  if not options.keep_pauses then
    let_go_on(store, row, started)
  elseif resume.is_paused(rt, row.workflow) then
    started:pause()
  end
  return started, compiled
end

--- Lets a run go on whose process is gone: completed nodes and steps keep what they gave, what was interrupted runs again.
--- Returns at once. Raises `run_not_found`, `run_not_begun`, `run_owned`, `no_bundle`, `definition_changed`, and for a run that has
--- ended.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
---@return orrery.Compiled
function resume.resume(id, options)
  options = options or {}
  return go_on(resume.runtime_of(options), id, "recover", options)
end

--- Runs what failed or was cancelled in an ended run, and all that follows from it, again. Returns at once. Raises as resume.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
---@return orrery.Compiled
function resume.retry(id, options)
  options = options or {}
  return go_on(resume.runtime_of(options), id, "retry", options)
end

--- Runs that are not over and that no living process owns, oldest first; children come with their parents, unless those have
--- ended without them. An iterator, which reads the store in slices.
---@param store orrery.Store
---@return fun(): table|nil
function resume.unfinished(store)
  local last, slice, i = 0, {}, 0
  return function()
    i = i + 1
    if not slice[i] then
      slice = store:query("SELECT " .. COLUMNS .. [[ FROM runs WHERE number > ? AND bundle IS NOT NULL AND (parent IS NULL OR EXISTS
          (SELECT 1 FROM runs AS p WHERE p.number = runs.parent
            AND p.state IN ('completed', 'failed', 'cancelled', 'compensated', 'compensation_failed')))
        AND state NOT IN ('completed', 'failed', 'cancelled', 'compensated', 'compensation_failed')
        ORDER BY number LIMIT 256]], last)
      i = 1
    end
    if slice[i] then last = slice[i].number end
    return slice[i]
  end
end

-- ---- keys and pauses --------------------------------------------------------------------------------------

local LOOK, CLAIM = 0.1, 10 -- seconds between two looks; looks between two attempts to take the run over

local ELSEWHERE = { run_owned = true, run_ended = true }

-- Whether a run does not go on here because another process runs it, or has ended it since it was looked at.
local function is_elsewhere(problem) return type(problem) == "table" and ELSEWHERE[problem.code] or false end

--- How a run ended that another process runs: waits for it, and goes on with the run where that process is gone.
---@param rt orrery.Runtime
---@param id string
---@return orrery.RunRecord
function resume.finished(rt, id)
  local store, looks = store_of(rt), 0
  while true do
    local row = resume.row(store, id)
    if not row then raise("run_not_found", ("run %s is in the store no more"):format(id)) end
    if resume.ENDED[row.state] then return record(rt, row) end
    if looks % CLAIM == CLAIM - 1 then
      local ok, run_or_error = pcall(resume.resume, id, { runtime = rt })
      if ok then rt:wait(run_or_error)
      elseif not is_elsewhere(run_or_error) then error(run_or_error, 0) end
      store:project()
    end
    looks = looks + 1
    core.sleep(LOOK)
  end
end

--- The run of that workflow that has the key of `options`, or nil. One that is over, and one that another process runs, is
--- returned as a record; one whose process is gone goes on here.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param options table
---@return orrery.Run|table|nil
function resume.by_key(rt, compiled, options)
  if type(options.key) ~= "string" or options.key == "" then error("key: expected a text, got " .. errors.show(options.key), 0) end
  if not rt:durable() then error("key: this runtime has no store that could know other runs with that key", 0) end
  local store = store_of(rt)
  local row = store:query("SELECT " .. COLUMNS .. " FROM runs WHERE workflow = ? AND key = ?", compiled.name, options.key)[1]
  if not row then return nil end
  local live = run.live(row.id)
  if live then return live end
  if not resume.ENDED[row.state] then -- the tables may be a moment behind
    store:project()
    row = resume.row(store, row.id)
  end
  if resume.ENDED[row.state] then return record(rt, row) end
  local ok, started = pcall(resume.resume, row.id, { runtime = rt, on_event = options.on_event })
  if ok then return started end
  if type(started) == "table" and started.code == "run_not_begun" then return nil end -- its key is free again
  if not is_elsewhere(started) then error(started, 0) end
  store:project() -- it may have ended there meanwhile
  return record(rt, resume.row(store, row.id) or row)
end

local paused = setmetatable({}, { __mode = "k" }) -- runtime -> { at, names }
local FRESH = 0.1 -- seconds

--- Whether runs of that workflow are to begin paused. What the store says is believed for a tenth of a second.
---@param rt orrery.Runtime
---@param name string
---@return boolean
function resume.is_paused(rt, name)
  local known, now = paused[rt], core.hrtime() / 1e9
  if not known or now - known.at > FRESH then
    known = { at = now, names = {} }
    paused[rt] = known
    for _, row in ipairs(store_of(rt):query "SELECT name FROM workflows WHERE paused = 1") do known.names[row.name] = true end
  end
  return known.names[name] or false
end

return resume
