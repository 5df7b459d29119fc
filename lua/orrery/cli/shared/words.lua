--- The words of the command line as data, for what is made from it beside the parser and the help:
--- completions of shells, and the manual page. All of it comes from the one table of options.
local options = require "orrery.cli.shared.options"
local states = require "orrery.history.filter".STATES

local words = {}

---@class orrery.cli.Word
---@field name string of an argument; the longest name of an option
---@field names string[] of an option, each with its dashes
---@field help string
---@field value string|nil what the value is called; nil: an option without one
---@field kind "file"|"choices"|"run"|"command"|"type"|nil what the value is, as far as it can be completed
---@field choices string[]|nil
---@field many boolean more than one may be given

local KINDS = { file = "file", path = "file", run = "run", command = "command" }
local VALUES = { FILE = "file", URL = "file" }
local CHOICES = { STATE = states } -- of which several may be given, with commas

local function kind_of(command, entry, name, value)
  if entry.choices or CHOICES[value] then return "choices" end
  if command == "types" and name == "name" then return "type" end
  return KINDS[name] or VALUES[value]
end

local function argument(command, entry)
  return { name = entry[1], help = entry[2], value = entry[1]:upper(), choices = entry.choices,
    kind = kind_of(command, entry, entry[1]),
    many = entry.each == "*" or entry.each == "+" or false,
      optional = entry.each == "?" or entry.each == "*" }
end

local function option(command, entry)
  local names = {}
  for name in entry[1]:gmatch "%S+" do names[#names + 1] = name end
  local value = not entry.flag and (entry.argname or names[#names]:gsub("^%-+", ""):upper()) or nil
  return { name = names[#names], names = names, help = entry[2], value = value,
    choices = entry.choices or CHOICES[value],
    kind = value and kind_of(command, entry, nil, value), many = entry.many or false }
end

local HELP = { "-h --help", "Show this help.", flag = true }

--- The words of one command.
---@param name string
---@return { name: string, summary: string, options: orrery.cli.Word[], arguments: orrery.cli.Word[],
---  examples: string[], exits: boolean, epilog: string|nil }
function words.of(name)
  local entry = options.commands[name]
  local made = { name = name, summary = entry.summary, options = {}, arguments = {},
    examples = entry.examples, exits = entry.exits or false, epilog = entry.epilog }
  local function add(each)
    if each[1]:sub(1, 1) == "-" then
      made.options[#made.options + 1] = option(name, each)
    else
      made.arguments[#made.arguments + 1] = argument(name, each)
    end
  end
  for _, each in ipairs(entry) do add(each) end
  for _, each in ipairs(entry.filtered and require("orrery.cli.shared.chosen").options or {}) do add(each) end
  add(HELP)
  return made
end

--- The words of all commands, in the order in which they are shown.
---@return table[]
function words.all()
  local list = {}
  for i, name in ipairs(options.names()) do list[i] = words.of(name) end
  return list
end

--- The names of all options of a command, with their dashes.
---@param command table of `words.of`
---@return string[]
function words.option_names(command)
  local list = {}
  for _, each in ipairs(command.options) do
    for _, name in ipairs(each.names) do list[#list + 1] = name end
  end
  return list
end

--- The first sentence of a help text, without its dot.
---@param text string
---@return string
function words.short(text)
  return ((text:match "^(.-[^.])%.%s" or text):gsub("%.$", ""))
end

return words
