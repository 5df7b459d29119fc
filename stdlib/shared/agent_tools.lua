--- What a model may call while it answers: functions, node types and workflows.
local flow = require "orrery"

local agent_tools = {}

-- Errors that end the handler and are told to nobody else.
local ENDING = { cancelled = true, timeout = true, deadline = true, heartbeat = true, nondeterminism = true,
  out_of_memory = true, memory_limit = true, journal_error = true, ownership_lost = true }

local LONGEST = 65536 -- bytes of a result; what is longer is cut

local FIELDS = { doc = true, parameters = true, run = true, type = true, with = true, workflow = true }

-- What is wrong with a tool, or nothing.
local function mistake(name, tool)
  if not name:find "^[%w_-]+$" or #name > 64 then
    return "its name has letters, digits, _ and -, at most 64 of them"
  end
  if type(tool) ~= "table" then return "expected a table, got a " .. type(tool) end
  for key in pairs(tool) do
    if not FIELDS[key] then
      return ("it has no key %q; it takes doc, parameters and one of run, type and workflow")
        :format(tostring(key))
    end
  end
  local ways = (tool.run and 1 or 0) + (tool.type and 1 or 0) + (tool.workflow and 1 or 0)
  if ways ~= 1 then return "give it one of run (a function), type (a node type's name) and workflow" end
  if tool.run and type(tool.run) ~= "function" then return "run: expected a function(ctx, arguments)" end
  if tool.type and not flow.type_of { type = tool.type } then
    return ("there is no node type %q"):format(tostring(tool.type))
  end
  local good, message = pcall(flow.schema, tool.parameters or {})
  if not good then return "parameters: " .. tostring(message) end
end

--- What is wrong with the tools of a config, as a sentence; nil where nothing is.
---@param tools any
---@return string|nil
function agent_tools.mistake(tools)
  for name, tool in pairs(type(tools) == "table" and tools or {}) do
    local found = type(name) ~= "string" and "each tool has a name" or mistake(name, tool)
    if found then return ("tools.%s: %s"):format(tostring(name), found) end
  end
end

-- ---- calling one --------------------------------------------------------------------------------

local function with_fixed(arguments, fixed)
  local all = {}
  for key, value in pairs(arguments) do all[key] = value end
  for key, value in pairs(fixed or {}) do all[key] = value end -- which a model cannot change
  return all
end

-- Makes what calls a tool: a function of ctx, a step's name and the arguments. Workflows are
-- children with records of their own; all else is a step.
local function caller_of(tool)
  if tool.workflow then
    return function(ctx, _, arguments) return ctx:call(tool.workflow, arguments) end
  end
  local T = tool.type and flow.type_of { type = tool.type }
  local run = tool.run or function(_, arguments) return T(with_fixed(arguments, tool.with)) end
  return function(ctx, name, arguments) return ctx:step(name, run, ctx, arguments) end
end

--- Compiles the tools of a config.
---@param tools table<string, table>|nil
---@return table[] list what a model is told: { name, doc, parameters } each, by their names
---@return table<string, table> by_name with `call` and `schema`
function agent_tools.compile(tools)
  local list, by_name = {}, {}
  for name, tool in pairs(tools or {}) do
    local schema = flow.schema(tool.parameters or {})
    list[#list + 1] = { name = name, doc = tool.doc, parameters = schema:json_schema() }
    by_name[name] = { call = caller_of(tool), schema = schema }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list, by_name
end

local function text_of(value)
  if type(value) == "string" then return value end
  if value == nil then return "done" end
  local ok, text = pcall(flow.json.encode, value)
  return ok and text or tostring(value)
end

local function sentence_of(problems)
  local words = {}
  for i = 1, math.min(#problems, 5) do words[i] = problems[i].message end
  return table.concat(words, "; ")
end

local function arguments_of(tool, text)
  local ok, value = pcall(flow.json.decode, text == "" and "{}" or text)
  if not ok then return nil, "the arguments are not JSON: " .. tostring(value) end
  local checked, problems = tool.schema:check(value)
  if problems then return nil, "the arguments do not fit: " .. sentence_of(problems) end
  return checked
end

--- Calls what a model wants called. What goes wrong is told to it, as it may know what to do about
--- that; what ends the node is raised.
---@param ctx orrery.Context
---@param by_name table<string, table>
---@param wanted {id: string, name: string, arguments: string}
---@param step string the name of the step
---@return string result what the model is told
---@return string|nil failure
function agent_tools.call(ctx, by_name, wanted, step)
  local tool = by_name[wanted.name]
  if not tool then return "error: there is no such tool", "there is no such tool" end
  local arguments, why = arguments_of(tool, wanted.arguments)
  if not arguments then return "error: " .. why, why end
  local ok, value = pcall(tool.call, ctx, step, arguments)
  if ok then
    local text = text_of(value)
    return #text > LONGEST and text:sub(1, LONGEST) .. "… (cut)" or text
  end
  if type(value) == "table" and ENDING[value.code] then error(value, 0) end
  local message = type(value) == "table" and value.message or tostring(value)
  return "error: " .. message, message
end

return agent_tools
