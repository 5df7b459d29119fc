--- Node types whose work is done by the program that embeds Orrery (`orr_register` of the C API).
local core = require "orrery.core"
local schema = require "orrery.schema"
local types = require "orrery.definition.type"
local where = require "orrery.where"

local encode = core.json.encode

local native_type = {}

local declared = setmetatable({}, { __mode = "k" }) -- what stands for it in the host -> type

--- Declares a native node type. Any config is accepted; C gets it as it is, like the inputs, and
--- as JSON where it asks for that.
---@param name string
---@param doc string?
---@param start fun(resume: function, ctx: orrery.Context, config: table, inputs: table, attempt: integer, ...: string?): integer, integer
---@param cancel fun(slot: integer, generation: integer): boolean whether the attempt still answers
---@param native userdata what stands for it in the host's runtime
---@param json boolean whether it asks for JSON
function native_type.declare(name, doc, start, cancel, native, json)
  local there = types.find(name)
  if there and there.name == name then
    error(("orr_register: there is a node type %q already; give this one another name"):format(name), 0)
  end
  local T = types.declare({
    name = name,
    doc = doc or "A node type of the program that runs this.",
    config = schema.new { ["..."] = "any" },
    run = function(ctx, config, inputs)
      pairs(inputs) -- large ones are read by that: C sees what is there
      local config_json = json and encode(config) or nil
      local inputs_json = json and encode(inputs) or nil
      local ok, value = core.await(function(resume)
        local slot, generation = start(resume, ctx, config, inputs, ctx.attempt, config_json, inputs_json)
        return function() return cancel(slot, generation) end
      end)
      if not ok then error(setmetatable(value, core.error_mt), 0) end
      return value
    end,
  }, where.text(where.here(1)))
  T.native = true -- the program that resumes a run declares it, as Orrery its own types
  declared[native] = T
end

--- Takes back what was declared: the host's runtime is closed, and another one may declare the
--- names anew.
---@param natives userdata[] some of them may not have been declared
function native_type.undeclare(natives)
  for _, native in ipairs(natives) do
    if declared[native] then types.remove(declared[native]) end
  end
end

--- Takes one back by its name.
---@param natives userdata[]
---@param name string
---@return boolean whether one of them was declared with it
function native_type.take_back(natives, name)
  for _, native in ipairs(natives) do
    local T = declared[native]
    if T and T.name == name then
      types.remove(T)
      declared[native] = nil
      return true
    end
  end
  return false
end

return native_type
