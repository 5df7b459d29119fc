--- What is wrong with the declaration of a node type. Loaded with the first one: a start that
--- declares none pays nothing for it.
local errors = require "orrery.errors"

local type_problems = {}

local FIELDS = {
  name = "string", doc = "string", config = "table", run = "function", pool = "string", outcomes = "any",
  expressions = "table", positional = "string", examples = "any", output = "any", check = "function",
  files = "table", own_timeout = "boolean", cleanup = "function", stage = "function", source = "boolean",
  sink = "boolean", nodes = "string", strategy = "string", becomes = "function", place = "string",
  errors = "table", retry = "any",
}
local FIELD_NAMES = {}
for name in pairs(FIELDS) do FIELD_NAMES[#FIELD_NAMES + 1] = name end

local NAME = "^[A-Za-z_][A-Za-z0-9_]*$"

local function valid_name(name)
  if name == "" then return false end
  for word in (name .. "."):gmatch "(.-)%." do
    if not word:find(NAME) then return false end
  end
  return true
end

---@alias orrery.SayProblem fun(field: string, kind: string, message: string)

--- What is wrong with its fields, each by itself.
---@param t table
---@param say orrery.SayProblem
function type_problems.fields(t, say)
  for key, value in pairs(t) do
    local expected = FIELDS[key]
    if not expected then
      say(tostring(key), "unknown_key",
        ("unknown field %q%s"):format(tostring(key), errors.suggest(key, FIELD_NAMES)))
    elseif expected ~= "any" and type(value) ~= expected then
      say(key, "wrong_type", ("%s is a %s, got %s"):format(key, expected, errors.show(value)))
    end
  end
  if t.name == nil then say("name", "missing", 'name is missing; give it one like "slack.post"') end
  if t.run == nil and t.stage == nil then
    say("run", "missing", "run is missing; it is the function(ctx, config, inputs) that does the work")
  end
  if type(t.name) == "string" and not valid_name(t.name) then
    say("name", "bad_name", ("%q is not a type's name; it is words of letters, digits and _ joined by dots")
      :format(t.name))
  end
  if type(t.strategy) == "string" and t.strategy ~= "direct" and t.strategy ~= "thread" then
    say("strategy", "bad_value", ('strategy is "direct" or "thread", got %s'):format(errors.show(t.strategy)))
  end
  if t.retry ~= nil then
    require("orrery.definition.retry_policy").read(t.retry, function(field, kind, message)
      say("retry" .. field, kind, ("retry%s: %s"):format(field, message))
    end)
  end
  if type(t.place) == "string" and (t.becomes == nil or t.place ~= "first" and t.place ~= "last") then
    say("place", "bad_value", ('place is "first" or "last", of a type with `becomes`, got %s')
      :format(errors.show(t.place)))
  end
  local outcomes = type(t.outcomes)
  if t.outcomes ~= nil and outcomes ~= "table" and outcomes ~= "function" then
    say("outcomes", "wrong_type", "outcomes is a list of names or a function(config) that returns one, got "
      .. errors.show(t.outcomes))
  end
end

local FILE_KEYS = { "inputs", "outputs", "folder" }

--- What is wrong with `files`, which names keys of the config.
---@param t table
---@param config orrery.Schema|nil
---@param say orrery.SayProblem
function type_problems.files(t, config, say)
  if type(t.files) ~= "table" then return end
  local known = {}
  for _, field in ipairs(config and config:fields() or {}) do known[field.name] = true end
  for what, key in pairs(t.files) do
    if what ~= "inputs" and what ~= "outputs" and what ~= "folder" then
      say("files", "unknown_key",
        ("files: unknown field %q%s"):format(tostring(what), errors.suggest(what, FILE_KEYS)))
    elseif config and not known[key] then
      say("files", "bad_value", ("files.%s: expected a key of its config, got %s"):format(what,
        errors.show(key)))
    end
  end
end

return type_problems
