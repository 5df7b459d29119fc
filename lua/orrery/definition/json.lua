--- Workflow definitions in JSON: data, of which nothing is ever run as code.
---
--- { "$schema", "require": [ module … ],
---   "name", "doc", "input", "output", "timeout", "on_error", "concurrency", "cleanup_timeout",
---   "env", "pools", "singleton", "on_conflict", "estimates",
---   "nodes": [ { "id", "type", "with": {…}, "after", "when", … the other keys of a node } ],
---   "edges": [ { "from", "to", "when" } ] }
---
--- `from` may name an outcome, "route:gold". Places in mistakes count from 0, as JSON paths do, and
--- get line and column where they are reported: "flow.json:12:30: nodes[3].with.url".
---
--- `$schema` is for editors and means nothing here; `require` names modules that declare node
--- types.
local core = require "orrery.core"
local errors = require "orrery.errors"
local workflow = require "orrery.definition.workflow"

local definition_json = {}

local is_array, null = core.json.is_array, core.json.null

local TOP = { "name", "doc", "input", "output", "timeout", "on_error", "concurrency", "cleanup_timeout",
  "env", "pools", "singleton", "on_conflict", "estimates", "triggers", "nodes", "edges", "require",
  "$schema" }
-- what is no option of the workflow
local OWN = { nodes = true, edges = true, require = true, ["$schema"] = true }
local EDGE = { "from", "to", "when" }
local TOP_SET, EDGE_SET = {}, {}

--- What may stand in a definition, and in an edge of it.
definition_json.TOP, definition_json.EDGE = TOP, EDGE
for _, name in ipairs(TOP) do TOP_SET[name] = true end
for _, name in ipairs(EDGE) do EDGE_SET[name] = true end

---@class orrery.JsonReader
---@field state orrery.WorkflowState
---@field name string the file
---@field positions table<integer, integer> by node: where it stands in the file's list, from 0, if not where
--- the nodes do

local function note(r, path, kind, message)
  table.insert(r.state.problems,
    { kind = kind, field = path, where = ("%s: %s"):format(r.name, path), message = message })
end

local function is_object(value)
  return type(value) == "table" and not is_array(value)
end

local function is_list(value)
  return type(value) == "table" and (is_array(value) or next(value) == nil)
end

-- null means the same as an absent key.
local function present(value)
  if value == null then return nil end
  return value
end

local function path_of(k) return ("nodes[%d]"):format(k - 1) end

-- The node as it would be assigned: the very table that was read, which nobody else has.
local function node_spec(r, node, k)
  if node.run ~= nil then
    note(r, path_of(k) .. ".run", "lua_in_json",
      "a JSON definition is data and holds no Lua code; name a node type instead")
    node.run = nil
  end
  node.id = nil
  for key, value in next, node do
    if value == null then node[key] = nil end
  end
  if node.type == nil then
    note(r, path_of(k) .. ".type", "missing", "type is missing; name the node type, such as \"http.get\"")
    node.type = "const"
    node.with = { value = "" }
  end
  return node
end

local function read_node(r, k, node)
  if not is_object(node) then
    return note(r, path_of(k), "wrong_type",
      "expected a node { \"id\", \"type\", … }, got " .. errors.show(node))
  end
  local id = present(node.id)
  if id == nil then
    return note(r, path_of(k) .. ".id", "missing", "id is missing; it is the node's name")
  end
  local state = r.state
  local before = #state.problems
  local spec = node_spec(r, node, k)
  if workflow.add(state, id, spec, r.name, -1) then
    if state.count ~= k then r.positions[state.count] = k - 1 end
  else
    for i = before + 1, #state.problems do
      if state.problems[i].where == r.name then
        state.problems[i].where = ("%s: %s.id"):format(r.name, path_of(k))
      end
    end
  end
end

local function read_edge(r, k, edge)
  local path = ("edges[%d]"):format(k - 1)
  if not is_object(edge) then
    return note(r, path, "wrong_type", "expected an edge { \"from\", \"to\" }, got " .. errors.show(edge))
  end
  for key in pairs(edge) do
    if not EDGE_SET[key] then
      note(r, path .. "." .. key, "unknown_key",
        ('unknown field "%s"%s'):format(key, errors.suggest(key, EDGE)))
    end
  end
  local complete = true
  for _, key in ipairs { "from", "to" } do
    if type(edge[key]) ~= "string" then
      complete = false
      note(r, path .. "." .. key, "missing", ("%s: expected a node's id, got %s"):format(key,
        errors.show((present(edge[key])))))
    end
  end
  if complete then
    table.insert(r.state.edges, { from = edge.from, to = edge.to, when = present(edge.when), path = path })
  end
end

local function read_list(r, definition, key, read, required)
  local list = present(definition[key])
  if list == nil and not required then return end
  if not is_list(list) then
    return note(r, key, list == nil and "missing" or "wrong_type", ("%s: expected a list, got %s"):format(key,
      errors.show(list)))
  end
  for k, value in ipairs(list) do read(r, k, value) end
end

local function read_schema(r, schema)
  if schema == nil or type(schema) == "string" then return end
  note(r, "$schema", "wrong_type",
    "$schema: expected the address of a JSON schema, for editors, got " .. errors.show(schema))
end

local function read_modules(r, definition, world)
  local list = present(definition.require)
  if list == nil then return end
  if not is_list(list) then
    return note(r, "require", "wrong_type",
      'require: expected a list of modules, [ "types.words" ], got ' .. errors.show(list))
  end
  require("orrery.definition.json_modules").load(list,
    { name = r.name, limits = r.state.limits, world = world },
    function(...) note(r, ...) end)
end

local function options_of(definition)
  local options = {}
  for key, value in pairs(definition) do
    if TOP_SET[key] and not OWN[key] then options[key] = present(value) end
  end
  return options
end

--- Makes a workflow of a JSON text. Raises where the text is not a JSON object; mistakes in what it
--- says are noted and reported when it is compiled.
---@param text string
---@param name string the file, for messages
---@param limits orrery.Limits what it may do
---@param world table globals, of which `require` and `package` load the modules that it requires
---@return orrery.Workflow
function definition_json.read(text, name, limits, world)
  local ok, definition = pcall(core.json.decode, text, { name = name })
  if not ok then
    local place, rest = tostring(definition):match "^(.-:%d+:%d+): (.*)$"
    errors.raise { { kind = "bad_json", where = place or name,
      message = "not valid JSON: " .. (rest or tostring(definition)) } }
  end
  if not is_object(definition) then
    errors.raise { { kind = "bad_json", where = name,
      message = 'a definition is a JSON object { "name", "nodes", … }, got ' .. errors.show(definition) } }
  end
  local w, state = workflow.make(options_of(definition), name, -1)
  state.limits, state.text = limits, text
  local r = { state = state, name = name, positions = {} }
  state.paths = function(i)
    -- none where an edge is wrong and there is no node
    local at = r.positions[i] or i <= state.count and i - 1
    return at and ("%s: nodes[%d]"):format(name, at) or name
  end
  for key in pairs(definition) do
    if not TOP_SET[key] then
      note(r, key, "unknown_key", ('unknown field "%s"%s'):format(key, errors.suggest(key, TOP)))
    end
  end
  read_schema(r, present(definition["$schema"]))
  read_modules(r, definition, world)
  read_list(r, definition, "nodes", read_node, true)
  read_list(r, definition, "edges", read_edge, false)
  return w
end

return definition_json
