--- `orrery types [NAME]`: the node types, or one in full.
local files = require "orrery.cli.files"
local term = require "orrery.cli.term"

local types = {}

-- The first sentence of a text.
local function first_sentence(text)
  local line = (text or ""):gsub("%s+", " ")
  return line:match("^(.-[%.!?])%s") or line
end

local function default_text(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "table" then return require("orrery.core").json.encode(value) end
  return tostring(value)
end

--- The table of all types.
---@param list { name: string, doc?: string }[]
---@param width integer
---@return string
function types.table(list, width)
  local names = 4
  for _, entry in ipairs(list) do names = math.max(names, term.width(entry.name)) end
  local lines = {}
  for i, entry in ipairs(list) do
    lines[i] = term.fit(entry.name, names) .. "  " .. term.cut(first_sentence(entry.doc), math.max(20, width - names - 3))
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "One in full: orrery types NAME"
  return table.concat(lines, "\n") .. "\n"
end

local function wrap(text, width, indent)
  local lines, line = {}, indent
  for word in text:gmatch("%S+") do
    if term.width(line) + term.width(word) + 1 > width and line ~= indent then
      lines[#lines + 1], line = line, indent
    end
    line = line == indent and indent .. word or line .. " " .. word
  end
  if line ~= indent then lines[#lines + 1] = line end
  return lines
end

--- One type in full.
---@param entry { name: string, doc?: string, config?: table[], outcomes?: string, examples: string[] }
---@param width integer
---@return string
function types.full(entry, width)
  local lines = { entry.name }
  table.move(wrap(entry.doc or "", width, "  "), 1, 100, 2, lines)
  if entry.config and #entry.config > 0 then
    lines[#lines + 1] = "\nConfiguration"
    for _, field in ipairs(entry.config) do
      local need = field.required and "required" or field.default ~= nil and "default " .. default_text(field.default) or "optional"
      local bounds = (field.min and ", at least " .. field.min or "") .. (field.max and ", at most " .. field.max or "")
      lines[#lines + 1] = ("  %s: %s, %s%s"):format(field.name, field.type, need, bounds)
      for _, line in ipairs(wrap(field.doc or "", width, "      ")) do lines[#lines + 1] = line end
    end
  end
  if entry.outcomes then lines[#lines + 1] = "\nOutcomes\n  " .. entry.outcomes end
  if #entry.examples > 0 then
    lines[#lines + 1] = #entry.examples == 1 and "\nExample" or "\nExamples"
    for _, example in ipairs(entry.examples) do
      for line in (example .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = "  " .. line end
    end
  end
  while lines[#lines]:match("^%s*$") do lines[#lines] = nil end
  return table.concat(lines, "\n") .. "\n"
end

local function all()
  local list = {}
  for _, entry in ipairs(require("orrery").types()) do list[#list + 1] = entry end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function examples_of(entry)
  if type(entry.examples) == "table" then return entry.examples end
  return { entry.examples }
end

--- A type as plain data.
---@param entry orrery.NodeType
---@return table
function types.described(entry)
  local fields = {}
  for i, field in ipairs(entry.config:fields()) do
    fields[i] = { name = field.name, type = field.type, doc = field.doc, required = field.required, default = field.default,
      min = field.min, max = field.max }
  end
  local outcomes = entry.outcomes
  if type(outcomes) == "table" then outcomes = table.concat(outcomes, ", ") end
  if type(outcomes) == "function" then outcomes = "named by its configuration" end
  return { name = entry.name, doc = entry.doc, config = require("orrery.core").json.array(fields), outcomes = outcomes,
    examples = require("orrery.core").json.array(examples_of(entry)) }
end

function types.main(args)
  local list = all()
  if not args.name then
    if args.json then
      local out = {}
      for i, entry in ipairs(list) do out[i] = types.described(entry) end
      files.json(out)
    else
      io.stdout:write(types.table(list, 100))
    end
    return 0
  end
  local names = {}
  for i, entry in ipairs(list) do
    names[i] = entry.name
    if entry.name == args.name then
      local full = types.described(entry)
      if args.json then files.json(full) else io.stdout:write(types.full(full, 90)) end
      return 0
    end
  end
  local nearest = require "orrery.nearest"(args.name, names)
  io.stderr:write(("orrery types: there is no node type '%s'%s\n"):format(args.name,
    nearest and ("; did you mean '%s'?"):format(nearest) or "; `orrery types` lists them all."))
  return 2
end

return types
