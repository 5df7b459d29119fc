--- The workflows that are served: what they are, and whether they go on.
local core = require "orrery.core"
local errors = require "orrery.errors"
local problem = require "orrery.serve.problem"

local workflows = {}

local array = core.json.array

local function bundle_hash(compiled)
  local bundle = require("orrery.bundle").of(compiled)
  return bundle and bundle.hash
end

local function problems_of(entry)
  if not entry.other then return problem.mistakes(entry.problems) end
  return problem.mistakes { { kind = "duplicate_name",
    message = ("%s makes a workflow of the name \"%s\" as well, and has it: give this one another"):format(
      entry.other, entry.name) } }
end

local function described(call, entry)
  local compiled = entry.compiled
  local made = { name = entry.name, file = entry.path, loaded = entry.loaded, problems = problems_of(entry),
    warnings = problem.mistakes(entry.warnings),
    state = #entry.problems > 0 or entry.other and "broken" or "ready" }
  made.state = (#entry.problems > 0 or entry.other) and "broken" or "ready"
  if not compiled then return made end
  made.hash, made.nodes = bundle_hash(compiled), #compiled.plan
  made.paused = require("orrery.history.pauses").of_workflow(call.host.store, entry.name)
  return made
end

--- The entry of a workflow that is served. Raises `not_found`, with the nearest name.
---@param call orrery.serve.Call
---@param name string
---@return orrery.serve.Entry
function workflows.entry(call, name)
  local set = call.host.workflows
  local entry = set:get(name)
  if entry then return entry end
  local names = {}
  for _, other in ipairs(set:list()) do
    if other.name == name and #other.problems > 0 then return other end
    if call:may(other.name) then names[#names + 1] = other.name end
  end
  local near = require "orrery.nearest"(name, names)
  problem.raise("not_found", ("no workflow '%s' is served here%s"):format(name,
    near and ("; did you mean '%s'?"):format(near) or ""))
end

-- The same, which can be run. Raises `workflow_broken`.
function workflows.runnable(call, name)
  local entry = workflows.entry(call, name)
  if entry.compiled then return entry end
  problem.raise("workflow_broken", ("the workflow of %s does not load: %s"):format(entry.path,
    errors.sentence(entry.problems[1])), { problems = problem.mistakes(entry.problems) })
end

function workflows.list(call)
  local list = {}
  for _, entry in ipairs(call.host.workflows:list()) do
    if call:may(entry.name) then list[#list + 1] = described(call, entry) end
  end
  return { workflows = array(list) }
end

function workflows.show(call) return described(call, workflows.entry(call, call.params.name)) end

function workflows.source(call)
  local entry = workflows.entry(call, call.params.name)
  local origin = entry.origin
  local modules = {}
  for i, module in ipairs(origin and origin.modules or {}) do
    modules[i] = { name = module.name, path = module.path, text = module.text }
  end
  local text = origin and origin.text
  if not text then
    local file <close> = io.open(entry.path, "rb")
    text = file and file:read "a" or ""
  end
  if not utf8.len(text) then problem.raise("workflow_broken", entry.path .. " is not UTF-8") end
  return { name = entry.name, file = entry.path, text = text, modules = array(modules) }
end

--- Its graph, laid out on the thread that reads.
---@param call orrery.serve.Call
---@return string json
---@return table options
function workflows.graph(call)
  local compiled = workflows.runnable(call, call.params.name).compiled
  local view = require("orrery.history.graph.view").of(compiled.def, compiled.plan:layers())
  return call.host.reads:text("orrery.serve.reads.drawings", "of_view", view), { type = "application/json" }
end

--- The JSON Schema of the input; where the workflow declares none, anything.
function workflows.form(call)
  local entry = workflows.runnable(call, call.params.name)
  local schema = entry.compiled.input
  return schema and schema:json_schema() or core.json.object {}
end

local function set_paused(call, paused)
  local name = call.params.name
  workflows.entry(call, name)
  require("orrery.history.filter").check_workflow(call.host.store, name) -- one without runs has no row yet
  local changed = require("orrery.store.pause").workflow(call.host.store, name, paused)
  call.before, call.after = { paused = not paused == changed }, { paused = paused }
  return { name = name, paused = paused, changed = changed }
end

function workflows.pause(call) return set_paused(call, true) end
function workflows.resume(call) return set_paused(call, false) end

function workflows.reload(call)
  return { changed = array(call.host:reload()) }
end

-- ---- check --------------------------------------------------------------------------------------

local function report(problems, warnings)
  return { problems = problem.mistakes(problems), warnings = problem.mistakes(warnings), count = #problems }
end

local function check_json(text)
  local flow = require "orrery"
  local loaded, problems = require("orrery.definition.load").try { source = text, name = "body.json" }
  if not loaded then return report(problems, {}) end
  local compiled, mistakes = flow.compile(loaded)
  if not compiled then return report(mistakes, {}) end
  return report(require "orrery.bundle.children"(compiled), require "orrery.bundle.warnings"(compiled))
end

-- To load Lua is to run it, so that is for those who may do anything, and in a process of its own.
local function check_lua(call, text)
  if call.who.scope ~= "admin" then
    problem.raise("forbidden",
      "to check Lua is to run it, which needs the scope 'admin'; JSON definitions need 'run'")
  end
  local path = os.tmpname()
  local named = path .. ".lua"
  os.remove(path)
  local file <close> = assert(io.open(named, "wb"))
  file:write(text)
  file:close()
  local _ <close> = setmetatable({}, { __close = function() os.remove(named) end })
  return report(require("orrery.serve.folder").check(named))
end

function workflows.check(call)
  local kind = (call.request.headers["content-type"] or ""):match "^[^;%s]*"
  if kind == "application/x-lua" or kind == "text/x-lua" then return check_lua(call, call.body) end
  return check_json(call.body)
end

return workflows
