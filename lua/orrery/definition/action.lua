--- Actions: functions of a script that have a name. Each is a node type `action.NAME`, so that it
--- belongs to the code that declares it, is found in workers, and needs to be allowed by who loads
--- data, as any other type.
local errors = require "orrery.errors"
local types = require "orrery.definition.type"
local where = require "orrery.where"

local action = {}

-- What a function takes that says nothing about it.
local ANY = { ["..."] = "any" }

local function place_of(what)
  local run = type(what) == "table" and what.run or what
  local info = type(run) == "function" and debug.getinfo(run, "S")
  if info and info.linedefined > 0 then return where.text(info.short_src, info.linedefined) end
  return where.text(where.here(4))
end

local function refuse(place, message)
  errors.raise { { kind = "bad_value", where = place, message = "flow.action: " .. message } }
end

--- Declares `action.NAME`. Raises what is wrong with the declaration.
---@param name string
---@param what fun(ctx: orrery.Context, input: table, inputs: table): any or the fields of a node type
---@return orrery.NodeType
function action.declare(name, what)
  local place = place_of(what)
  if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
    refuse(place, 'expected a name of letters, digits and _, such as "resize", got ' .. errors.show(name))
  end
  if type(what) == "function" then what = { run = what, config = ANY } end
  if type(what) ~= "table" then
    refuse(place, ('%s: expected a function(ctx, input), or a table with `run`, got %s'):format(name,
      errors.show(what)))
  end
  local made = { name = "action." .. name }
  for key, value in next, what do
    if key == "name" then refuse(place, ('%s: its name stands before the table'):format(name)) end
    made[key] = value
  end
  types.space "action" -- the library's, which nodes name
  return types.declare(made, place)
end

return action
