--- Declaring node types.
local core = require "orrery.core"
local errors = require "orrery.errors"
local types = require "orrery.definition.type"
local where = require "orrery.where"
require "orrery.definition.type_call"
require "orrery.definition.type_registry"

local function config_schema(t, say)
  local made, problems = require("orrery.schema").compile(t.config or {})
  for _, problem in ipairs(problems or {}) do say("config", "bad_schema", "config: " .. problem.message) end
  for _, field in ipairs(made and made:fields() or {}) do
    if types.is_reserved(t, field.name) then
      say("config", "reserved_key",
        ("config key %q is a key of every node; give the config another name"):format(
        field.name))
    end
  end
  return made
end

-- `{ "test" }`, `{ where = "row" }`, `{ test = { names = true } }`: what further root the
-- expressions of a key may read, and whether the handler is told what they read.
local function expression_keys(given)
  local set = {}
  for key, value in next, given or {} do
    if type(key) ~= "string" then set[value] = {}
    else set[key] = type(value) == "string" and { extra = value } or value end
  end
  return set
end

-- Where a type is declared. In `return flow.type { … }` the call leaves no trace of where it stood;
-- its function does.
local function place_of_declaration(t)
  local run = debug.getinfo(3, "t").istailcall and type(t) == "table" and (t.run or t.stage)
  local info = type(run) == "function" and debug.getinfo(run, "S")
  if info and info.linedefined > 0 then return where.text(info.short_src, info.linedefined) end
  return where.text(where.here(4))
end

--- Declares a node type: `return flow.type { name = "slack.post", config = flow.schema { … }, run =
--- function … end }`. Raises all that is wrong with it.
---@param t table see the class above
---@param at? string where it stands; without it, `flow.type` is what calls this
---@return orrery.NodeType
function types.declare(t, at)
  local place, problems = at or place_of_declaration(t), {}
  if type(t) ~= "table" then
    errors.raise { { kind = "wrong_type", where = place,
      message = "flow.type takes a table, got " .. errors.show(t) } }
  end
  local function say(field, kind, message)
    problems[#problems + 1] = { kind = kind, where = place, field = field,
      message = ("node type %s: %s")
        :format(type(t.name) == "string" and ("%q"):format(t.name) or "without a name", message) }
  end
  local problems_of = require "orrery.definition.type_problems"
  problems_of.fields(t, say)
  local config = config_schema(t, say)
  problems_of.files(t, config, say)
  local earlier = type(t.name) == "string" and types.other(t.name, place)
  if earlier then
    say("name", "duplicate_name",
      ("it is already declared at %s; give this one another name"):format(earlier.where))
  end
  if #problems > 0 then
    table.sort(problems, function(a, b) return a.message < b.message end)
    errors.raise(problems)
  end
  local T = core.copy(t, types.META)
  T.config, T.where, T.expressions = config, place, expression_keys(t.expressions)
  if t.stage and not t.run then T.run = function(...) return require("orrery.rows.alone")(T, ...) end end
  T.positional_key = (t.positional or ""):match "^[^%[]+"
  T.positional_list = T.positional_key and T.positional_key ~= t.positional
  T.node_meta = { __name = "orrery.node", orrery_type = T, orrery_places = {}, __tostring = function()
    return ("orrery.node: %s (flow.now(node) runs it here)"):format(T.name)
  end }
  types.add(T)
  return T
end

return types
