--- Fields that expressions read of values whose fields are known: the workflow's input, and the
--- output of nodes whose type declares it.
local errors = require "orrery.errors"
local types = require "orrery.definition.type"

local fields = {}

local function names_of(shape)
  local names = {}
  for i, field in ipairs(shape.order) do names[i] = field.name end
  return names
end

-- What a key leads to in a shape; nil where anything may be there, and false where nothing can be.
local function inner(shape, key)
  if shape.kind == "json" then shape = shape.outline end
  if shape.kind == "array" then return type(key) ~= "string" and shape.items or nil end
  if shape.kind ~= "object" or type(key) ~= "string" then return nil end
  local field = shape.fields[key]
  if field then return field.shape end
  if shape.rest == nil then return false end -- nil otherwise: anything may be there
end

local function written(root, keys, last)
  local text = root
  for i = 1, last do
    local key = keys[i]
    if type(key) == "string" then
      text = text .. (key:find "^[%a_][%w_]*$" and "." .. key or ('["%s"]'):format(key))
    else
      text = ("%s[%s]"):format(text, type(key) == "table" and "…" or tostring(key))
    end
  end
  return text
end

--- What is wrong with a path, as the rest of a sentence; nil where nothing is, or nothing is known.
---@param shape table|nil of what the keys before `from` lead to
---@param root string
---@param keys any[] names and numbers; a table where the key is known only in the run
---@param from integer the first key to look at
---@return string|nil message
function fields.wrong(shape, root, keys, from)
  for i = from, #keys do
    local found = shape and inner(shape, keys[i])
    if found == false then
      return ('%s has no field "%s"%s'):format(written(root, keys, i - 1), keys[i],
        errors.suggest(keys[i], names_of(shape)))
    end
    shape = found
  end
end

local run_shape

--- The shape of `run`.
---@return table
function fields.of_run()
  run_shape = run_shape or require("orrery.schema").compile {
    id = "string", workflow = "string", started = "number", trigger = "any", state = "string",
    cause = "string",
    error = { code = "string", message = "string", node = "string?", retryable = "boolean?", details = "any?",
      ["..."] = "any" } }.shape
  return run_shape
end

local shapes = setmetatable({}, { __mode = "k" }) -- node type -> shape of its output, false: not known

local function compiled(output)
  if type(output) ~= "table" then return false end
  local made = require("orrery.schema").compile(output)
  return made and (made.shape.outline or made.shape) or false
end

--- The shape of what a node type outputs, as far as its `output` is a schema.
---@param T orrery.NodeType
---@return table|nil
function fields.output_of(T)
  if shapes[T] == nil then shapes[T] = compiled(T.output) end
  return shapes[T] or nil
end

--- The shape of a node's output; nil where it is not known. That of `each` is a list, and a
--- fallback or the code of an outcome may give anything.
---@param spec table the node as it was written
---@return table|nil
function fields.of_node(spec)
  local T = types.of(spec) or types.named(spec)
  local shape = T and rawget(spec, "fallback") == nil and fields.output_of(T) or nil
  if not shape or rawget(spec, "each") == nil then return shape end
  return { kind = "array", items = shape }
end

return fields
