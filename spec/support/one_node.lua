-- one_node.lua: for specs of node types: runs a node in a workflow of its own.

local assert = require "luassert"
local flow = require "orrery"

local one_node = {}

--- Runs it to the end, however that is.
---@param node table what a node type made, or a table with `run`
---@param options? table as for flow.run
function one_node.run(node, options)
  local w = flow.workflow { name = "one_node", output = "${nodes.it}" }
  w.it = node
  return flow.run(w, options)
end

--- Its output; it has to complete.
function one_node.output(node, options)
  local r = one_node.run(node, options)
  assert.are.equal("completed", r.state, r.error and r.error.message)
  return r.output
end

--- Its error; it has to fail.
function one_node.failure(node)
  local r = one_node.run(node)
  assert.are.equal("failed", r.state)
  return r.error
end

--- Asserts that a text contains another.
function one_node.contains(text, part)
  assert.is_truthy(text:find(part, 1, true), ("expected %q in %q"):format(part, text))
end

return one_node
