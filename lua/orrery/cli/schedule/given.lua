--- The fields of a schedule as the options of the command say them.
local core = require "orrery.core"
local session = require "orrery.cli.shared.session"
local triggers = require "orrery.definition.triggers"

local given = {}

local SAME = { "cron", "every", "zone", "start", "end", "missed", "overlap", "jitter", "name", "anchor",
  "pause_on_failure" }

local function input_of(text)
  local ok, value = pcall(core.json.decode, text)
  if not ok then session.stop(2, "--input is no JSON: " .. tostring(value)) end
  return value
end

--- The fields that were said.
---@param args table
---@return table
function given.fields(args)
  local fields = { type = "schedule" }
  for _, name in ipairs(SAME) do fields[name] = args[name] end
  if args.except and #args.except > 0 then fields.except = args.except end
  if args.input then fields.input = input_of(args.input) end
  return fields
end

--- A schedule of these fields; ends the command with all that is wrong with it.
---@param fields table
---@param workflow string
---@return orrery.Trigger
function given.trigger(fields, workflow)
  local wrong = {}
  local trigger = triggers.read(fields, workflow, "--input", function(_, _, message)
    wrong[#wrong + 1] = message
  end)
  if #wrong > 0 then session.stop(2, table.concat(wrong, "\n")) end
  return trigger
end

--- The compiled workflow of a file; ends the command with its mistakes.
---@param file string
---@return orrery.Compiled
function given.workflow(file)
  local ok, compiled = pcall(function()
    return require("orrery.definition.prepare").compiled(file)
  end)
  if not ok then session.stop(2, type(compiled) == "table" and compiled.message or tostring(compiled)) end
  return compiled
end

return given
