-- docs/nodes.md, from what the node types of the library say of themselves.
local described = require "orrery.cli.types".described
local type_groups = require "orrery.cli.shared.type_groups"
local types = require "orrery.definition.type"

local page = {}

page.PATH = "docs/nodes.md"

local HEAD = [[
# Node types

All node types of the library. This page is made from the types themselves by `make nodes`; `orrery types NAME` shows each in the
terminal, with those of your own. Every node also takes the [keys of a node](lua-api.md#nodes) (`after`, `when`, `retry`, `each`, …) and
may fail with the [codes of the engine](errors.md), such as `timeout` and `config_error`; below stand the codes of the type itself.

]]

local function cell(text) return (text:gsub("|", "\\|"):gsub("%s*\n%s*", " ")) end

-- A text as code: in as many backquotes as it does not have itself.
local function quoted(text) return text:find "`" and ("`` %s ``"):format(text) or ("`%s`"):format(text) end

local function default_of(value)
  if type(value) == "table" then return require("orrery.core").json.encode(value) end
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function bounds_of(field)
  local parts = {}
  if field.min then parts[#parts + 1] = "at least " .. field.min end
  if field.max then parts[#parts + 1] = "at most " .. field.max end
  return table.concat(parts, ", ")
end

-- What a field is for, and within which bounds.
local function words_of(field)
  local bounds = bounds_of(field)
  if not field.doc or bounds == "" then return field.doc or bounds end
  return ("%s; %s"):format(field.doc, bounds)
end

local function config_lines(lines, fields)
  if #fields == 0 then return end
  lines[#lines + 1] = "| config | type | default | |\n|---|---|---|---|"
  for _, field in ipairs(fields) do
    local default = field.required and "required"
      or field.default ~= nil and quoted(default_of(field.default)) or ""
    lines[#lines + 1] = ("| %s | %s | %s | %s |"):format(quoted(field.name), cell(quoted(field.type)),
      cell(default), cell(words_of(field)))
  end
  lines[#lines + 1] = ""
end

local function output_line(lines, entry)
  if not entry.output then return end
  local parts = {}
  for i, field in ipairs(entry.output) do
    parts[i] = ("%s (%s%s)"):format(quoted(field.name), field.type, field.required and "" or ", optional")
  end
  if #parts > 0 then lines[#lines + 1] = "Output: " .. table.concat(parts, ", ") .. "\n" end
end

local function section(entry)
  local lines = { ("### %s\n"):format(entry.name), (entry.doc or ""):gsub("%s+", " ") .. "\n" }
  config_lines(lines, entry.config)
  output_line(lines, entry)
  if entry.outcomes then lines[#lines + 1] = ("Outcomes: %s\n"):format(entry.outcomes) end
  if #entry.errors > 0 then
    lines[#lines + 1] = ("Error codes: `%s`\n"):format(table.concat(entry.errors, "` `"))
  end
  lines[#lines + 1] = ("```lua\n%s\n```\n"):format(table.concat(entry.examples, "\n"))
  return table.concat(lines, "\n")
end

-- As the page's links lead to it: the heading without what is no letter, digit, `-` or `_`.
local function anchor(name) return (name:lower():gsub("[^%w_-]", "")) end

local function overview(groups)
  local lines = { "| | |\n|---|---|" }
  for _, group in ipairs(groups) do
    local links = {}
    for i, T in ipairs(group.types) do links[i] = ("[`%s`](#%s)"):format(T.name, anchor(T.name)) end
    lines[#lines + 1] = ("| %s | %s |"):format(group.title, table.concat(links, " "))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function standard()
  local list = {}
  for _, T in ipairs(types.all()) do
    if types.is_standard(T) then list[#list + 1] = T end
  end
  return list
end

--- The library's types, in groups.
function page.groups() return type_groups.of(standard()) end

--- The page.
---@return string
function page.text()
  local groups = page.groups()
  local parts = { HEAD, overview(groups) }
  for _, group in ipairs(groups) do
    parts[#parts + 1] = ("\n## %s\n"):format(group.title)
    for _, T in ipairs(group.types) do parts[#parts + 1] = "\n" .. section(described(T)) end
  end
  return table.concat(parts)
end

return page
