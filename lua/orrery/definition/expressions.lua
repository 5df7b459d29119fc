--- Expressions in the config of a type that is called inside a handler, where no definition was
--- compiled: strings become functions here as they do there.
local template = require "orrery.expr.template"
local errors = require "orrery.errors"
local json = require "orrery.core".json

local expressions = {}

local MOST_LEVELS = 10

--- What a handler is given of an expression in its config: function(ctx, extra) -> value, with
--- `names` also the paths that it reads, each { text, fn }, and its own text.
---@param compiled orrery.expr.Compiled
---@return fun(ctx: table, extra: any): any, table?, string?
function expressions.given(compiled)
  local fn, named, source = compiled.fn, compiled.named, compiled.source
  if not named then return fn end
  return function(ctx, extra) return fn(ctx, extra), named, source end
end

local function compile(T, value, field, root, depth)
  if type(value) == "string" then
    local compiled, mistake = template.expression(value,
      { field = field, extra = root.extra, names = root.names })
    if compiled then return expressions.given(compiled) end
    errors.error { code = "config_error", retryable = false,
      message = ("%s: %s: column %d: %s"):format(T.name, field, mistake.column, mistake.reason) }
  end
  if type(value) ~= "table" or depth > MOST_LEVELS or getmetatable(value) and not json.is_array(value) then
    return value
  end
  local made = {}
  for key, inner in next, value do
    made[key] = compile(T, inner, ("%s.%s"):format(field, key), root, depth + 1)
  end
  return made
end

--- The config with functions(ctx, extra) in the place of its expressions.
---@param T orrery.NodeType
---@param config table is not changed
---@return table
function expressions.of(T, config)
  local made = {}
  for key, value in next, config do
    local root = T.expressions[key]
    made[key] = root and compile(T, value, key, root, 1) or value
    if made[key] == nil then made[key] = value end
  end
  return made
end

return expressions
