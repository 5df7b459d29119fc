--- `orrery types [NAME]`: the node types, or one in full; with `--schema` the JSON Schema of
--- definitions that use them.
local out = require "orrery.cli.shared.out"
local files = require "orrery.cli.shared.files"
local term = require "orrery.cli.display.term"
local type_groups = require "orrery.cli.shared.type_groups"

local types = {}

-- The first sentence of a text.
local function first_sentence(text)
  local line = (text or ""):gsub("%s+", " ")
  return line:match("^(.-[%.!?])%s") or line
end

-- Where a sentence may end early, the nearest to its whole first.
local BREAKS = { "; ", ": ", " (", ", ", " and " }

-- Whether no bracket stays open.
local function is_closed(text)
  local _, opened = text:gsub("[%(%[{]", "")
  local _, closed = text:gsub("[%)%]}]", "")
  return opened == closed
end

-- A text that fits: the first sentence, or its beginning up to where that may end.
local function fitting(text, width)
  local line = first_sentence(text)
  if term.width(line) <= width then return line end
  local best = ""
  for _, stop in ipairs(BREAKS) do
    local at = line:find(stop, 1, true)
    while at do
      local part = line:sub(1, at - 1)
      if #part > #best and term.width(part) < width and is_closed(part) then best = part end
      at = line:find(stop, at + 1, true)
    end
    if best ~= "" then return best .. "." end
  end
  return term.cut(line, width)
end

local function default_text(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "table" then return require("orrery.core").json.encode(value) end
  return tostring(value)
end

--- The table of all types, in groups.
---@param list { name: string, doc?: string }[]
---@param width integer
---@return string
function types.table(list, width)
  local names, lines = 4, {}
  for _, entry in ipairs(list) do names = math.max(names, term.width(entry.name)) end
  for _, group in ipairs(type_groups.of(list)) do
    lines[#lines + 1] = group.title
    for _, entry in ipairs(group.types) do
      lines[#lines + 1] = "  " .. term.fit(entry.name, names) .. "  "
        .. fitting(entry.doc, math.max(20, width - names - 4))
    end
    lines[#lines + 1] = ""
  end
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

local function add_output(lines, output)
  if not output then return end
  lines[#lines + 1] = "\nOutput"
  for _, field in ipairs(output) do
    lines[#lines + 1] = ("  %s: %s%s"):format(field.name, field.type, field.required and "" or ", optional")
  end
end

--- One type in full.
---@param entry { name: string, doc?: string, config?: table[], output?: table[], outcomes?: string, errors?: string[], examples: string[] }
---@param width integer
---@return string
function types.full(entry, width)
  local lines = { entry.name }
  table.move(wrap(entry.doc or "", width, "  "), 1, 100, 2, lines)
  if entry.config and #entry.config > 0 then
    lines[#lines + 1] = "\nConfiguration"
    for _, field in ipairs(entry.config) do
      local need = field.required and "required"
        or field.default ~= nil and "default " .. default_text(field.default) or "optional"
      local bounds = (field.min and ", at least " .. field.min or "")
        .. (field.max and ", at most " .. field.max or "")
      lines[#lines + 1] = ("  %s: %s, %s%s"):format(field.name, field.type, need, bounds)
      for _, line in ipairs(wrap(field.doc or "", width, "      ")) do lines[#lines + 1] = line end
    end
  end
  add_output(lines, entry.output)
  if entry.outcomes then lines[#lines + 1] = "\nOutcomes\n  " .. entry.outcomes end
  if #(entry.errors or {}) > 0 then
    lines[#lines + 1] = "\nError codes"
    table.move(wrap(table.concat(entry.errors, " "), width, "  "), 1, 20, #lines + 1, lines)
  end
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

-- The fields of what a type outputs; nil where it does not say.
local function output_of(entry)
  local shape = require("orrery.definition.fields").output_of(entry)
  if not shape or shape.kind ~= "object" then return nil end
  local list = {}
  for i, field in ipairs(shape.order) do
    list[i] = { name = field.name, type = field.text, required = field.required, doc = field.doc }
  end
  return require("orrery.core").json.array(list)
end

--- A type as plain data.
---@param entry orrery.NodeType
---@return table
function types.described(entry)
  local fields = {}
  for i, field in ipairs(entry.config:fields()) do
    fields[i] = { name = field.name, type = field.type, doc = field.doc, required = field.required,
      default = field.default,
      min = field.min, max = field.max }
  end
  local outcomes = entry.outcomes
  if type(outcomes) == "table" then outcomes = table.concat(outcomes, ", ") end
  if type(outcomes) == "function" then outcomes = "named by its configuration" end
  return { name = entry.name, doc = entry.doc, config = require("orrery.core").json.array(fields),
    outcomes = outcomes, output = output_of(entry),
    errors = require("orrery.core").json.array(entry.errors or {}),
    examples = require("orrery.core").json.array(examples_of(entry)) }
end

function types.main(args)
  if args.schema then
    files.json(require("orrery.definition.json_schema").make(), nil, true)
    return 0
  end
  local list = all()
  if not args.name then
    if args.json then
      local described = {}
      for i, entry in ipairs(list) do described[i] = types.described(entry) end
      files.json(described)
    else
      out.write(types.table(list, 100))
    end
    return 0
  end
  local names = {}
  for i, entry in ipairs(list) do
    names[i] = entry.name
    if entry.name == args.name then
      local full = types.described(entry)
      if args.json then files.json(full) else out.write(types.full(full, 90)) end
      return 0
    end
  end
  local nearest = require "orrery.nearest"(args.name, names)
  out.err(("orrery types: there is no node type '%s'%s\n"):format(args.name,
    nearest and ("; did you mean '%s'?"):format(nearest) or "; `orrery types` lists them all."))
  return 2
end

return types
