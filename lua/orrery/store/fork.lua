--- Forks: a new run that shares what another one has completed, up to the nodes it is to begin
--- from.
local errors = require "orrery.errors"
local launch = require "orrery.runtime.launch"
local prepare = require "orrery.definition.prepare"
local resume = require "orrery.store.resume"
local run_code = require "orrery.store.run_code"
local run_row = require "orrery.history.run_row"

local fork = {}

local function raise(message)
  errors.raise { { kind = "bad_fork", message = message } }
end

local function index_of(def)
  local index = {}
  for i, node in ipairs(def.nodes) do index[node.name] = i end
  return index
end

local function known_node(index, name, option)
  if index[name] then return end
  local names = {}
  for other in pairs(index) do names[#names + 1] = other end
  raise(("%s: the workflow has no node %q%s")
    :format(option, tostring(name), errors.did_you_mean(name, names)))
end

-- An output alone does not say which way a node went.
local function no_outcomes(def, at, name)
  for _, node in ipairs(def.nodes) do
    for _, dep in ipairs(node.deps or {}) do
      if dep.node == at and dep.port then
        raise(("set: node %q goes one of several ways (%q is after \"%s:%s\"); set the outputs that it "
          .. "decides by"):format(name, node.name, name, dep.port))
      end
    end
  end
end

-- Nodes in an order in which dependencies come first.
local function in_order(def)
  local order, state = {}, {}
  local function visit(first)
    local stack = { { first, 0 } }
    while #stack > 0 do
      local top = stack[#stack]
      local deps = def.nodes[top[1]].deps or {}
      top[2] = top[2] + 1
      local dep = deps[top[2]]
      if dep and not state[dep.node] then
        state[dep.node] = true
        stack[#stack + 1] = { dep.node, 0 }
      elseif not dep then
        order[#order + 1] = top[1]
        stack[#stack] = nil
      end
    end
  end
  for i = 1, #def.nodes do
    if not state[i] then
      state[i] = true
      visit(i)
    end
  end
  return order
end

-- What of the old run the new one takes over: completed nodes that do not come after one that runs
-- again. A skipped node is decided anew, and so are nodes that were never reached; what follows
-- from a skip alone is kept.
local function adopted(store, def, rows, again, set)
  local list, fresh = {}, {}
  for _, i in ipairs(in_order(def)) do
    local node = def.nodes[i]
    local row, given = rows[node.name], set[node.name]
    local kept = given ~= nil or row and row.state == "completed" and not again[node.name]
    for _, dep in ipairs(node.deps or {}) do kept = kept and (given ~= nil or not fresh[dep.node]) end
    if given ~= nil then fresh[i] = true end -- what follows saw another output
    if kept then
      local output = given and given.value
      if not given then output = run_row.value(store, row.output) end
      list[#list + 1] = { node = node.name, output = output, outcome = not given and row.outcome or nil }
    elseif not (row and row.state == "skipped" and not again[node.name]) then
      fresh[i] = true
    end
  end
  return list
end

local function merged(old, new)
  if new == nil then return old end
  if type(old) ~= "table" or type(new) ~= "table" then return new end
  local all = {}
  for key, value in pairs(old) do all[key] = value end
  for key, value in pairs(new) do all[key] = value end
  return all
end

---@class orrery.ForkOptions: orrery.ResumeOptions
---@field from? string|string[] these nodes run again, and all that follows from them
---@field input? any laid over the old run's input, field by field
---@field set? table<string, any> outputs by node, which the new run takes instead of running it

--- Starts a new run that takes over what another has completed. Returns at once. Raises as resume,
--- and for nodes that are not there.
---@param id string
---@param options? orrery.ForkOptions
---@return orrery.Run
---@return orrery.Compiled
---@return integer taken how many nodes were taken over
function fork.fork(id, options)
  options = options or {}
  local rt = resume.runtime_of(options)
  local store, row, compiled = run_code.of(rt, id, options)
  store:project()
  local def, rows, again, set = compiled.def, {}, {}, {}
  local index = index_of(def)
  for _, name in ipairs(type(options.from) == "string" and { options.from } or options.from or {}) do
    known_node(index, name, "from")
    again[name] = true
  end
  for name, value in pairs(options.set or {}) do
    known_node(index, name, "set")
    no_outcomes(def, index[name], name)
    set[name] = { value = value }
  end
  for _, node in ipairs(store:rows("node_outputs", { run = row.number })) do
    rows[node.node] = node
  end
  local old = store:row("run_start", { run = row.number })
  local taken = adopted(store, def, rows, again, set)
  local input = prepare.input(compiled, merged(run_row.value(store, old.input), options.input))
  local begin = def.singleton and require("orrery.store.singleton").begin or launch.begin
  local started = begin(rt, compiled, input, {
    context = run_row.value(store, old.context), labels = run_row.value(store, old.labels), adopt = taken,
    forked_from = id, trigger = { kind = "fork", run = id }, on_event = options.on_event,
  })
  return started, compiled, #taken
end

return fork
