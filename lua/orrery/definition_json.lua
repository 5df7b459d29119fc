--- Workflow definitions in JSON: data, of which nothing is ever run as code.
---
--- { "name", "doc", "input", "output", "timeout", "on_error", "concurrency", "cleanup_timeout", "env",
---   "nodes": [ { "id", "type", "with": {…}, "after", "when", … the other keys of a node } ],
---   "edges": [ { "from", "to", "when" } ] }
---
--- `from` may name an outcome, "route:gold". Places in mistakes count from 0, as JSON paths do: "flow.json: nodes[3].with.url".
local core = require "orrery.core"
local errors = require "orrery.errors"
local workflow = require "orrery.workflow"

local definition_json = {}

local TOP = { "name", "doc", "input", "output", "timeout", "on_error", "concurrency", "cleanup_timeout", "env", "nodes", "edges" }
local EDGE = { "from", "to", "when" }
local TOP_SET, EDGE_SET = {}, {}
for _, name in ipairs(TOP) do TOP_SET[name] = true end
for _, name in ipairs(EDGE) do EDGE_SET[name] = true end

---@class orrery.JsonReader
---@field state orrery.WorkflowState
---@field name string the file
---@field positions integer[] by node: where it stands in the file's list

local function note(r, path, kind, message)
  table.insert(r.state.problems, { kind = kind, field = path, where = ("%s: %s"):format(r.name, path), message = message })
end

local function is_object(value)
  return type(value) == "table" and not core.json.is_array(value)
end

local function is_list(value)
  return type(value) == "table" and (core.json.is_array(value) or next(value) == nil)
end

-- null says nothing, as an absent key does.
local function present(value)
  if value == core.json.null then return nil end
  return value
end

local function node_spec(r, node, path)
  local spec = {}
  for key, value in pairs(node) do
    if key == "run" then
      note(r, path .. ".run", "lua_in_json", "a JSON definition is data and holds no Lua code; name a node type instead")
    elseif key ~= "id" then
      spec[key] = present(value)
    end
  end
  if spec.type == nil then
    note(r, path .. ".type", "missing", "type is missing; name the node type, such as \"http.get\"")
    spec.type = "const"
    spec.with = { value = "" }
  end
  return spec
end

local function read_node(r, k, node)
  local path = ("nodes[%d]"):format(k - 1)
  if not is_object(node) then
    return note(r, path, "wrong_type", "expected a node { \"id\", \"type\", … }, got " .. errors.show(node))
  end
  if present(node.id) == nil then
    return note(r, path .. ".id", "missing", "id is missing; it is the node's name")
  end
  local state = r.state
  local before = #state.problems
  local spec = node_spec(r, node, path)
  if workflow.add(state, node.id, spec, r.name, -1) then
    r.positions[state.count] = k - 1
  else
    for i = before + 1, #state.problems do
      if state.problems[i].where == r.name then state.problems[i].where = ("%s: %s.id"):format(r.name, path) end
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
      note(r, path .. "." .. key, "unknown_key", ('unknown field "%s"%s'):format(key, errors.suggest(key, EDGE)))
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

local function options_of(definition)
  local options = {}
  for key, value in pairs(definition) do
    if TOP_SET[key] and key ~= "nodes" and key ~= "edges" then options[key] = present(value) end
  end
  return options
end

--- Makes a workflow of a JSON text. Raises where the text is not a JSON object; mistakes in what it says are noted and
--- reported when it is compiled.
---@param text string
---@param name string the file, for messages
---@return orrery.Workflow
function definition_json.read(text, name)
  local ok, definition = pcall(core.json.decode, text, { name = name })
  if not ok then
    local place, rest = tostring(definition):match "^(.-:%d+:%d+): (.*)$"
    errors.raise { { kind = "bad_json", where = place or name, message = "not valid JSON: " .. (rest or tostring(definition)) } }
  end
  if not is_object(definition) then
    errors.raise { { kind = "bad_json", where = name,
      message = 'a definition is a JSON object { "name", "nodes", … }, got ' .. errors.show(definition) } }
  end
  local w, state = workflow.make(options_of(definition), name, -1)
  local r = { state = state, name = name, positions = {} }
  state.paths = function(i)
    local at = r.positions[i] -- none where an edge is wrong and there is no node
    return at and ("%s: nodes[%d]"):format(name, at) or name
  end
  for key in pairs(definition) do
    if not TOP_SET[key] then note(r, key, "unknown_key", ('unknown field "%s"%s'):format(key, errors.suggest(key, TOP))) end
  end
  read_list(r, definition, "nodes", read_node, true)
  read_list(r, definition, "edges", read_edge, false)
  return w
end

return definition_json
