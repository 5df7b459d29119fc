--- From a workflow to a definition and a plan, with all mistakes at once.
local core = require "orrery.core"
local deps = require "orrery.deps"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local groups = require "orrery.groups"
local Builder = require "orrery.node"
local workflow = require "orrery.workflow"

local compile = {}

---@class orrery.Compiled
---@field def table the definition, as `core.plan` takes it
---@field plan orrery.Plan
---@field workflow table
---@field name string
---@field input orrery.Schema|nil
---@field groups table<string, string[]> members by group
---@field env string[] names of the environment variables that may be read

-- ---- options of the workflow ----------------------------------------------------------------------------

---@class orrery.OptionReader
---@field state orrery.WorkflowState
---@field def table
---@field compiled orrery.Compiled
---@field problems orrery.Problem[]

local function say(r, field, kind, message)
  local place = r.state.place
  if r.state.paths then place = place .. ": " .. field end
  r.problems[#r.problems + 1] = { kind = kind, field = field, where = place, order = 0,
    message = ('workflow "%s": %s'):format(r.state.name, message) }
end

local function expected(r, field, what, value)
  say(r, field, "wrong_type", ("%s: expected %s, got %s"):format(field, what, errors.show(value)))
end

local function read_duration(r, value, key)
  local seconds, message = duration.parse(value)
  if seconds then r.def[key] = seconds else say(r, key, "bad_value", key .. ": " .. message) end
end

local ON_ERROR = { "stop", "drain", "continue" }
local ON_ERROR_SET = { stop = true, drain = true, continue = true }

local function read_env(r, value)
  if type(value) ~= "table" then return expected(r, "env", 'a list of names, { "HOME" }', value) end
  for _, name in ipairs(value) do
    if type(name) == "string" then
      r.allowed[name] = true
      table.insert(r.compiled.env, name)
    else
      expected(r, "env", "names of environment variables", name)
    end
  end
end

local function read_input(r, value)
  if type(value) ~= "table" then return expected(r, "input", "a schema, flow.schema { … }", value) end
  local made, problems = require("orrery.schema").compile(value)
  r.compiled.input = made
  for _, problem in ipairs(problems or {}) do say(r, "input", "bad_schema", "input: " .. problem.message) end
end

local function read_output(r, value)
  if type(value) == "function" then
    r.def.output = value
    return
  end
  local compiled, mistakes = require("orrery.template").compile(value, { where = r.state.place, field = "output" })
  for _, mistake in ipairs(mistakes or {}) do say(r, mistake.field, "bad_template", Builder.template_words(mistake)) end
  if not compiled then return end
  r.output_mentions = compiled.mentions
  r.def.output = compiled.fn
end

local MOST = 4294967294 -- the runtime counts in 32 bits, of which the last value means none

local OPTIONS = {
  name = function(r, value)
    if type(value) ~= "string" or value == "" then return expected(r, "name", "a name", value) end
    if not utf8.len(value) or value:find "%c" then expected(r, "name", "a name in UTF-8 without control characters", value) end
  end,
  doc = function(r, value)
    if type(value) == "string" then r.def.doc = value else expected(r, "doc", "a string", value) end
  end,
  on_error = function(r, value)
    if ON_ERROR_SET[value] then
      r.def.on_error = value
    else
      say(r, "on_error", "bad_value", ("on_error: expected %s, got %s%s"):format(errors.list(ON_ERROR, "or"),
        errors.show(value), errors.did_you_mean(value, ON_ERROR)))
    end
  end,
  concurrency = function(r, value)
    if math.type(value) == "integer" and value >= 1 and value <= MOST then
      r.def.concurrency = value
    elseif math.type(value) == "integer" and value > MOST then
      expected(r, "concurrency", ("at most %d"):format(MOST), value)
    else
      expected(r, "concurrency", "a whole number of at least 1", value)
    end
  end,
  timeout = read_duration, cleanup_timeout = read_duration, env = read_env, input = read_input, output = read_output,
}

local OPTION_NAMES = {}
for name in pairs(OPTIONS) do OPTION_NAMES[#OPTION_NAMES + 1] = name end

local function read_options(state, def, compiled, problems)
  local r = { state = state, def = def, compiled = compiled, problems = problems, allowed = {} }
  for key, value in pairs(state.options) do
    local read = OPTIONS[key]
    if read then
      read(r, value, key)
    elseif key == 1 then
      say(r, "1", "unknown_key", "nodes are not listed in flow.workflow { … }; assign them to the workflow it returns")
    else
      say(r, tostring(key), "unknown_key", ('unknown option "%s"%s'):format(tostring(key),
        errors.suggest(key, OPTION_NAMES)))
    end
  end
  return r
end

-- What `output` mentions must be there; it is evaluated when the run has ended, so it adds no dependency.
local function check_output(r, flat, b)
  local found = r.output_mentions
  if not found then return end
  r.def.output_nodes = {}
  for _, name in ipairs(found.list) do
    table.insert(r.def.output_nodes, flat.index[name])
    if not flat.index[name] then
      say(r, "output", "unknown_node", ("output mentions nodes.%s, but there is no such node%s"):format(name,
        b:nearest_node(name)))
    end
  end
  for _, name in ipairs(found.env_list) do
    if not r.allowed[name] then
      say(r, "output", "env", ('output: env.%s may not be read here; allow it with env = { "%s" }'):format(name, name))
    end
  end
end

-- ---- edges of JSON files --------------------------------------------------------------------------------

local function read_edge(state, flat, b, resolver, edge)
  local i = flat.index[edge.to]
  b.i, b.name, b.with = i or 1, edge.to, nil
  local first = #b.problems
  local j, port
  if not i then
    b:bad("to", "unknown_node", ('to: there is no node "%s"%s'):format(tostring(edge.to), b:nearest_node(edge.to)))
  end
  if type(edge.from) == "string" then
    j, port = resolver:find(edge.from, "from")
  else
    b:bad("from", "wrong_type", "from: expected a node's name, got " .. errors.show(edge.from))
  end
  b.mentions = nil
  local when = edge.when ~= nil and b:condition("when", edge.when) or nil
  for k = first + 1, #b.problems do
    b.problems[k].where = ("%s: %s.%s"):format(state.place, edge.path, b.problems[k].field)
    b.problems[k].node = i and edge.to or nil
    b.problems[k].message = ("edge: " .. b.problems[k].message:gsub('^node ".-": ', ""))
  end
  return i, j and { node = j, port = port, when = when }
end

-- Edges by the node they lead to. An edge's condition is evaluated when `from` settles, so what else it mentions is
-- not waited for.
local function edges_by_node(state, flat, b, resolver)
  local by_node = {}
  for _, edge in ipairs(state.edges) do
    local i, dep = read_edge(state, flat, b, resolver, edge)
    if i and dep then
      by_node[i] = by_node[i] or {}
      table.insert(by_node[i], dep)
    end
  end
  return by_node
end

-- ---- the whole --------------------------------------------------------------------------------------------

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

local function build_nodes(state, flat, def, b)
  local resolver = deps.new(b)
  local edges = edges_by_node(state, flat, b, resolver)
  local nodes = def.nodes
  for i = 1, flat.count do
    local out = b:build(i)
    resolver:resolve(i, out, edges[i])
    nodes[i] = out
  end
end

local function make_plan(def, problems)
  local spoiled = {}
  for _, problem in ipairs(problems) do
    if problem.node then spoiled[problem.node] = true end
  end
  local ok, plan, found = pcall(core.plan, def)
  if not ok then
    -- what is wrong with the nodes has been said already, each with its place
    plan, found = nil, #problems == 0 and { { kind = "refused", message = tostring(plan) } } or {}
  end
  for _, problem in ipairs(plan and {} or require "orrery.plan_problems"(found, def, spoiled)) do
    problems[#problems + 1] = problem
  end
  return plan
end

local MANY = 10000 -- nodes, from which on the collector is held: everything made here is kept, so it would look in vain

local function hold_collector(count)
  if count < MANY or not collectgarbage "isrunning" then return nil end
  collectgarbage "stop"
  return setmetatable({}, { __close = function() collectgarbage "restart" end })
end

local cache = setmetatable({}, { __mode = "k" }) -- workflow -> { version, compiled }

local function compile_now(w, state)
  local _ <close> = hold_collector(state.count)
  local problems = table.move(state.problems, 1, #state.problems, 1, {})
  local def = { name = state.name, on_error = "stop", nodes = {} }
  local compiled = { def = def, workflow = w, name = state.name, env = {} }
  local reader = read_options(state, def, compiled, problems)
  local flat = groups.flatten(state)
  table.move(flat.problems, 1, #flat.problems, #problems + 1, problems)
  local b = Builder.new(flat, problems, { env = reader.allowed, json = state.paths ~= nil })
  build_nodes(state, flat, def, b)
  check_output(reader, flat, b)
  compiled.groups = flat.groups
  local no_node_made_it = flat.count == 0 and #problems > 0
  compiled.plan = not no_node_made_it and make_plan(def, problems) or nil
  if #problems > 0 then return nil, by_order(problems) end
  b.compilation.compiled = compiled
  return compiled
end

--- Compiles a workflow. Compiling it again without having assigned to it gives the same result.
---@param w orrery.Workflow
---@return orrery.Compiled|nil
---@return orrery.Problem[]|nil problems all there are, in the order of the nodes
function compile.workflow(w)
  local state = workflow.state(w)
  if not state then
    return nil, { { kind = "not_a_workflow", message = "expected a workflow (flow.workflow { … }), got " .. errors.show(w) } }
  end
  local known = cache[w]
  if known and known.version == workflow.version(state) then return known.compiled end
  local compiled, problems = compile_now(w, state)
  if not compiled then return nil, problems end
  cache[w] = { version = workflow.version(state), compiled = compiled }
  return compiled
end

return compile
