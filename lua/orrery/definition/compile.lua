--- From a workflow to a definition and a plan, with all mistakes at once.
local core = require "orrery.core"
local errors = require "orrery.errors"
local groups = require "orrery.definition.groups"
local nodes = require "orrery.definition.nodes"
local output_path = require "orrery.expr.output_path"
local Builder = require "orrery.definition.node"
local types = require "orrery.definition.type"
local workflow = require "orrery.definition.workflow"

local compile = {}

local function unknown() return nil end
local asked_identity = unknown

-- Nodes with `cache` ask when they run, which may be long after they were compiled.
local function identity(compiled) return asked_identity(compiled) end

--- Sets the function that gives the hash of a compiled workflow's code, by which cache entries are
--- found again. A room above this one knows it.
---@param fn fun(compiled: orrery.Compiled|nil): string|nil nil: it has no source to compare
function compile.set_identity(fn) asked_identity = fn end

local asked_work

-- What runs in place of the handlers of nodes with `strategy = "thread"`.
local function work(compilation, ...) return asked_work(compilation.compiled, ...) end

--- Sets the function that has a worker do a node's handler; a room above this one knows it.
---@param fn fun(compiled: orrery.Compiled, how: table, ctx: orrery.Context, config: table|nil, inputs: table|nil): any
function compile.set_work(fn) asked_work = fn end

---@class orrery.Compiled
---@field def table the definition, as `core.plan` takes it
---@field plan orrery.Plan
---@field workflow table
---@field name string
---@field input orrery.Schema|nil
---@field groups table<string, string[]> members by group
---@field env string[] names of the environment variables that may be read

-- ---- options of the workflow --------------------------------------------------------------------

local function others() return require "orrery.definition.options" end

-- Reads an option as it usually is, so that a start loads no more for it.
local function read_usual(r, key, value)
  if key == "name" then return type(value) == "string" and value:find "^[%w_.-]+$" ~= nil end
  local compiled = key == "output" and output_path(value)
  if not compiled then return false end
  r.def.output, r.output_mentions, r.output_paths = compiled.fn, compiled.mentions, compiled.paths
  return true
end

local function read_options(state, def, compiled, problems, reloads)
  local r = { state = state, def = def, compiled = compiled, problems = problems, allowed = {},
    reloads = reloads }
  for key, value in pairs(state.options) do
    if not read_usual(r, key, value) then others().read(r, key, value) end
  end
  return r
end

-- Looks for the nodes that `output` mentions. It is evaluated when the run has ended, so it adds no
-- dependency.
local function find_output(r, flat, b)
  local found = r.output_mentions
  if not found then return end
  local list = {}
  for _, name in ipairs(found.list) do list[#list + 1] = flat.index[name] end
  r.def.output_nodes = list
  if #list < #found.list or found.env_list[1] or r.output_paths[1] then others().check_output(r, flat, b) end
end

-- ---- the whole ----------------------------------------------------------------------------------

local function by_order(problems)
  for k, problem in ipairs(problems) do problem.noted = k end
  table.sort(problems, function(a, b)
    local x, y = a.order or 0, b.order or 0
    if x ~= y then return x < y end
    if a.order and b.order and a.field ~= b.field then return (a.field or "") < (b.field or "") end
    return a.noted < b.noted
  end)
  for _, problem in ipairs(problems) do problem.order, problem.noted = nil, nil end
  return problems
end

local NO_EDGES = {}

-- Builds one node of each kind; what is like it is only looked at.
local function build_nodes(state, flat, def, b)
  local resolver -- made for the first node that depends on something
  local function dependencies()
    resolver = resolver or require("orrery.definition.deps").new(b)
    return resolver
  end
  local edges = state.edges[1]
    and require "orrery.definition.json_edges"(state, flat, b, dependencies()) or NO_EDGES
  flat.edges, flat.reserved = next(edges) and edges or nil, types.RESERVED
  local built = def.nodes
  local function build(i)
    local before = #b.problems
    local out = b:build(i)
    local depends = rawget(flat.specs[i], "after") or edges[i] or b.mentions
    if depends then dependencies():resolve(i, out, edges[i]) end
    built[i] = out
    return #b.problems == before
  end
  if types.around then -- each handler gets something around it
    for i = 1, flat.count do build(i) end
    return nil
  end
  local alike = core.alike(flat, build, function(i) return b:run_like(i) end,
    function(i) return b:scalars_of(i) end)
  nodes.lazy(built, flat, alike)
  return alike
end

local function make_plan(def, problems, alike)
  local spoiled = {}
  for _, problem in ipairs(problems) do
    if problem.node then spoiled[problem.node] = true end
  end
  local ok, plan, found = pcall(core.plan, def, alike)
  if not ok then
    -- mistakes of the nodes have been noted already, each with its place
    plan, found = nil, #problems == 0 and { { kind = "refused", message = tostring(plan) } } or {}
  end
  for _, problem in ipairs(plan and {} or require "orrery.definition.plan_problems"(found, def, spoiled)) do
    problems[#problems + 1] = problem
  end
  return plan
end

-- nodes, from which on the collector is stopped: everything made here is kept, so it would find
-- nothing
local MANY = 10000

local function hold_collector(count)
  if count < MANY or not collectgarbage "isrunning" then return nil end
  collectgarbage "stop"
  return setmetatable({}, { __close = function() collectgarbage "restart" end })
end

local cache = setmetatable({}, { __mode = "k" }) -- workflow -> { version, compiled }

local compile_now

function compile_now(w, state, options)
  local _ <close> = hold_collector(state.count)
  local problems = table.move(state.problems, 1, #state.problems, 1, {})
  local def = { name = state.name, on_error = "stop", nodes = {} }
  local compiled = { def = def, workflow = w, name = state.name, env = {} }
  local reader = read_options(state, def, compiled, problems, options and options.reloads)
  local rewrites = types.any_rewriting()
  local flat = groups.flatten(state)
  if rewrites then
    flat = require("orrery.definition.sugar").open(flat, state)
    flat = require("orrery.definition.cleanups").add(flat)
    def.ends = flat.ends
  end
  table.move(flat.problems, 1, #flat.problems, #problems + 1, problems)
  local b = Builder.new(flat, problems, { env = reader.allowed, json = state.paths ~= nil,
    limits = state.limits, input = compiled.input, any_field = options and options.any_field,
    identity = identity, work = work, types = types })
  local alike = build_nodes(state, flat, def, b)
  local loaded_one = types.any_rewriting() and not rewrites -- by its name
  if loaded_one then return compile_now(w, state, options) end
  find_output(reader, flat, b)
  if def.singleton then others().check_singleton(reader, def.singleton, b) end
  compiled.groups = flat.groups
  local no_node_made_it = flat.count == 0 and #problems > 0
  compiled.plan = not no_node_made_it and make_plan(def, problems, alike) or nil
  if #problems > 0 then
    by_order(problems)
    if state.text then require("orrery.definition.json_places").add(problems, state.text, state.place) end
    return nil, problems
  end
  b.compilation.compiled, compiled.threaded = compiled, b.compilation.threaded
  return compiled
end

--- Compiles a workflow. Compiling it again without having assigned to it gives the same result.
---@param w orrery.Workflow
---@param options? {any_field: boolean?, reloads: boolean?} any_field: expressions may read fields that
--- cannot be there, as those of older versions may; reloads: for a run that began with it
---@return orrery.Compiled|nil
---@return orrery.Problem[]|nil problems all there are, in the order of the nodes
function compile.workflow(w, options)
  local state = workflow.state(w)
  if not state then
    return nil, { { kind = "not_a_workflow",
      message = "expected a workflow (flow.workflow { … }), got " .. errors.show(w) } }
  end
  local known = cache[w]
  if known and known.version == workflow.version(state) then return known.compiled end
  local compiled, problems = compile_now(w, state, options)
  if not compiled then return nil, problems end
  cache[w] = { version = workflow.version(state), compiled = compiled }
  return compiled
end

return compile
