--- `flow.now(node)`: performs one node where the call stands.
---
--- The node becomes the only one of a workflow that is run at once, so its keys (retry, timeout,
--- pool, fallback) mean what they mean in any other. Inside a handler that workflow is a child run,
--- cancelled with the handler's own.
local core = require "orrery.core"
local groups = require "orrery.definition.groups"
local start = require "orrery.start"
local types = require "orrery.definition.type"
local where = require "orrery.where"
local workflow = require "orrery.definition.workflow"

local now = {}

-- Whether the value is an output already: inside a handler a call of a node type returns its
-- output. Outputs hold no functions.
local function is_node(value)
  if type(value) ~= "table" then return false end
  if types.of(value) or groups.kind(value) then return true end
  for _, field in next, value do
    if type(field) == "function" then return true end
  end
  local named = rawget(value, "type")
  return type(named) == "string" and types.find(named) ~= nil
end

local function name_of(node)
  local T = types.of(node)
  local name = T and T.name or type(node) == "table" and groups.kind(node) or "now"
  return (name:gsub("%.", "_"))
end

local function alone(node, source, line)
  local name = name_of(node)
  local w, state = workflow.make({ name = "now", output = function(ctx) return ctx.nodes[name] end }, source,
    line)
  workflow.add(state, name, node, source, line)
  return w
end

local function raise(e)
  error(getmetatable(e) and e or setmetatable(e, core.error_mt), 0)
end

local function inside(ctx, w)
  local ok, value = pcall(ctx.call, ctx, w)
  if ok then return value end
  local details = type(value) == "table" and value.code == "child_failed" and value.details
  if type(details) == "table" and type(details.error) == "table" then raise(details.error) end
  error(value, 0)
end

--- Performs a node and returns its output; waits. Raises the error it fails with, and mistakes in
--- it. Inside a handler, where calling a node type has done the work already, the output of such a
--- call is returned as it is.
---@param node table what a call of a node type makes, a table with `run` or `type`, a group
---@return any output
function now.perform(node)
  local ctx = core.running()
  if ctx and not is_node(node) then return node end
  local source, line = where.here(2)
  local w = alone(node, source, line)
  if ctx then return inside(ctx, w) end
  local done = start.run(w)
  if done.state ~= "completed" then raise(done.error) end
  return done.output
end

return now
