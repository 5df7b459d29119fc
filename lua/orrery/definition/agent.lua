--- `flow.agent`: the agents that nodes of type `agent` ask, by their names, and the node types
--- `agent`, `agent.extract` and `agent.classify` themselves.
---
--- An agent is a model behind a chat endpoint, or a function of Lua. Names are the process's: one
--- that is declared again is the later one from then on.
local errors = require "orrery.errors"
local types = require "orrery.definition.type"
local where = require "orrery.where"

local agent = {}

--- What an agent behind an endpoint may have; a node's config has the same keys and comes first.
---@class orrery.Agent
---@field url string the endpoint, up to "/chat/completions": "https://openrouter.ai/api/v1"
---@field model string
---@field key? string|orrery.Secret sent as a bearer token
---@field headers? table<string, string>
---@field system? string what it is told before every conversation
---@field temperature? number
---@field max_tokens? integer
---@field options? table further fields of the request
---@field format? "json_schema"|"json_object"|"none" how it is asked for JSON
---@field prices? {input: number, output: number} of a million tokens
---@field max_time? orrery.Duration of one request
---@field ca? string a file of trusted certificates
local FIELDS = { url = "string", model = "string", key = "string", headers = "table", system = "string",
  temperature = "number", max_tokens = "number", options = "table", format = "string", prices = "table",
  max_time = "any", ca = "string" }

local SECRETS = { key = true, headers = true, url = true }

local declared = {} -- name -> table or function

local function refuse(place, message)
  errors.raise { { kind = "bad_value", where = place, message = "flow.agent: " .. message } }
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function check_fields(place, definition)
  local secret = require "orrery.secret"
  for key, value in pairs(definition) do
    local expected = FIELDS[key]
    if not expected then
      refuse(place, ("unknown field %q%s"):format(tostring(key), errors.suggest(key, names_of(FIELDS))))
    end
    local fits = expected == "any" or type(value) == expected or SECRETS[key] and secret.is(value)
    if not fits then
      refuse(place, ("%s: expected a %s, got %s"):format(key, expected, errors.show(value)))
    end
  end
  if not definition.url or not definition.model then
    refuse(place, 'url and model are missing: { url = "https://openrouter.ai/api/v1", model = "…" }')
  end
end

local function declare(place, name, definition)
  if not name:find "^[%a_][%w_.-]*$" then
    refuse(place, 'a name is a word of letters, digits and _ . -, such as "writer"; got '
      .. errors.show(name))
  end
  if type(definition) == "table" then
    check_fields(place, definition)
  elseif type(definition) ~= "function" then
    refuse(place, "an agent is a table with url and model, or a function(request, ctx); got "
      .. errors.show(definition))
  end
  declared[name] = definition
end

--- The agent of a name, with the values of its secrets.
---@param name string
---@return table|function|nil definition
---@return string hint in place of an agent: what there is, as the end of a sentence
function agent.named(name)
  local found = declared[name]
  if found == nil then
    local names = names_of(declared)
    return nil, #names == 0 and "" or errors.suggest(name, names)
  end
  if type(found) == "function" then return found, "" end
  return require("orrery.secret").resolve(found), ""
end

-- flow.agent("name", definition) declares one; flow.agent { … } is the node type of that name.
local function call(_, first, second)
  if type(first) == "string" and second ~= nil then
    return declare(where.text(where.here(2)), first, second)
  end
  return types.find "agent"(first)
end

return setmetatable(agent, {
  __call = call,
  __index = function(_, word)
    if type(word) ~= "string" or word:find "^_" then return nil end
    local T = types.find("agent." .. word)
    if T then return T end
    error(("flow.agent has no %q%s"):format(word,
      errors.suggest(word, { "classify", "extract", "named" })), 2)
  end,
})
