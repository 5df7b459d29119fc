--- Loading a workflow from a file, Lua or JSON. What only JSON needs is required with the first
--- such text: a script should not start later for it.
local errors = require "orrery.errors"
local types = require "orrery.definition.type"
local workflow = require "orrery.definition.workflow"

local load_file = {}

local function fail(kind, place, message)
  errors.raise { { kind = kind, where = place, message = message } }
end

local function read_source(path)
  local file, message = io.open(path, "rb")
  local text
  if file then
    text, message = file:read "a"
    file:close()
  end
  if not text then
    fail("no_file", nil, ("cannot read the workflow %s: %s; give the path of a Lua or JSON file"):format(path,
      (tostring(message):gsub("^.*: ", ""))))
  end
  return text
end

-- What the chunk did: whether it ended well, how many values it returned, the first of them (or the
-- error), the second (or the place it was left at).
local function outcome(ok, ...)
  return ok, select("#", ...), ...
end

-- Without the byte order mark that some editors write, and without a first line for the system, as
-- `lua` takes files.
local function code_of(text, name)
  if text:find "^\xFF\xFE" or text:find "^\xFE\xFF" then
    fail("syntax", name, "the file is UTF-16 text; save it as UTF-8")
  end
  return (text:gsub("^\xEF\xBB\xBF", "", 1):gsub("^#[^\n]*", "", 1))
end

-- How a text that is no workflow is refused.
local function refuse() return require "orrery.definition.load_problems" end

local function load_lua(text, name, env)
  local chunk, message = load(code_of(text, name), "@" .. name, "t", env or _G)
  if not chunk then refuse().syntax(name, message) end
  local made <close> = workflow.note_made()
  local ok, n, value, place = outcome(types.build(chunk))
  if not ok then refuse().raised(name, value, place) end
  if n ~= 1 or not workflow.state(value) then refuse().returned(name, n, value) end
  return value, made
end

-- A file's language, by its name or, where that has neither ending, by its beginning.
local function is_json(name, text)
  if name:find "%.json$" then return true end
  return not name:find "%.lua$" and text:find "^%s*{" ~= nil
end

-- A text that a program gives is JSON unless the program says that it is Lua: it may come from
-- anybody, and Lua may do anything.
local function format_of(from)
  local format = from.format
  if format == nil then
    return type(from.name) == "string" and from.name:find "%.lua$" and "lua" or "json"
  end
  if format ~= "json" and format ~= "lua" then
    fail("bad_value", nil, 'flow.load: format is "json" or "lua", got ' .. errors.show(format))
  end
  return format
end

local KEYS = { "source", "name", "format", "types", "env", "secrets", "paths", "hosts", "commands",
  "modules" }
local KNOWN = {}
for _, key in ipairs(KEYS) do KNOWN[key] = true end

local function check_keys(from)
  for key in pairs(from) do
    if not KNOWN[key] then
      fail("unknown_key", nil, ("flow.load: unknown field %q%s"):format(tostring(key),
        errors.suggest(key, KEYS)))
    end
  end
end

-- ---- where workflows come from ------------------------------------------------------------------

---@class orrery.Origin
---@field name string what the text was called in messages
---@field path string|nil nil for a text that was given as such
---@field text string
---@field modules table[] the files of the modules it required, see orrery.definition.sources
---@field reads {path: string, where: string?}[]|nil other files that it read while it was loaded
---@field missing string[] modules it asked for that were not there
---@field first string[] modules that were loaded before it, for the node types they declare
---@field format "json"|"lua"
---@field limits orrery.Limits|nil what it may do, where it is data
---@field part orrery.Part|nil which of the workflows the file makes it is, where it is not the one that the file returns

---@class orrery.Part
---@field name string
---@field place string
---@field n integer which of those that are made there under the name, from 1

---@type table<table, orrery.Origin>
local origins = setmetatable({}, { __mode = "k" })

-- Whether a text may load modules that are not Orrery's. Most workflows do not, and then `require`
-- need not be watched.
local function may_require(text)
  local at = 1
  while true do
    local _, stop = text:find("require", at, true)
    if not stop then return false end
    if not text:find("^%s*%(?%s*[\"']orrery[\"'.]", stop + 1) then return true end
    at = stop + 1
  end
end

local function sources_for(text)
  return package.loaded["orrery.definition.sources"]
    or may_require(text) and require "orrery.definition.sources" or nil
end

--- Where a workflow was loaded from; nil for one that a script made.
---@param w orrery.Workflow
---@return orrery.Origin|nil
function load_file.origin(w) return origins[w] end

--- All workflows that were loaded and are still there, with where they were loaded from.
---@return fun(all: table, last: orrery.Workflow?): orrery.Workflow, orrery.Origin
---@return table<orrery.Workflow, orrery.Origin> all
function load_file.origins() return next, origins end

--- Makes a workflow of a text. Raises as `load` does.
---@param text string
---@param name string what to call it
---@param how {format: "json"|"lua"|nil, limits: orrery.Limits?} without a format the name and the text decide
---@param env? table the globals of a Lua text, and of the modules that are required; those of everybody where it is left
--- out
---@return orrery.Workflow
---@return orrery.Workflow[] made all that were made meanwhile
function load_file.read(text, name, how, env)
  local json = how.format == "json" or not how.format and is_json(name, text)
  if json then
    local limits = how.limits or require("orrery.definition.limits").FILE
    return require("orrery.definition.json").read(text, name, limits, env or _G), {}
  end
  return load_lua(text, name, env)
end

--- The workflows that a file made beside the one it returns, each with what distinguishes it from
--- the others.
---@param made orrery.Workflow[]
---@param returned orrery.Workflow
---@return {workflow: orrery.Workflow, part: orrery.Part}[]
function load_file.parts(made, returned)
  local list, seen = {}, {}
  for _, w in ipairs(made) do
    local state = workflow.state(w)
    local key = state.name .. "\n" .. state.place
    seen[key] = (seen[key] or 0) + 1
    if w ~= returned then
      list[#list + 1] = { workflow = w, part = { name = state.name, place = state.place, n = seen[key] } }
    end
  end
  return list
end

--- Notes where the workflows of a file come from: the one it returns, and the others.
---@param origin orrery.Origin without `part`
---@param made orrery.Workflow[]
---@param returned orrery.Workflow
function load_file.note(origin, made, returned)
  origins[returned] = origin
  for _, each in ipairs(load_file.parts(made, returned)) do
    if not origins[each.workflow] then
      local own = { part = each.part }
      for key, value in pairs(origin) do own[key] = value end
      origins[each.workflow] = own
    end
  end
end

---@class orrery.LoadOptions: orrery.Limits
---@field source string the text
---@field name? string what to call it in messages; one that ends in .lua says that it is Lua
---@field format? "json"|"lua" JSON unless the name says otherwise

local function given(from)
  if type(from) == "string" then
    local text = read_source(from)
    return text, from, from, { format = is_json(from, text) and "json" or "lua" }
  end
  if type(from) ~= "table" or type(from.source) ~= "string" or from.name and type(from.name) ~= "string" then
    fail("wrong_type", nil, "flow.load takes a path or { source = text, name = … }, got "
      .. errors.show(from))
  end
  check_keys(from)
  local how = { format = format_of(from) }
  if how.format == "json" then how.limits = require("orrery.definition.limits").read(from) end
  return from.source, from.name or "source", nil, how
end

--- Loads a workflow. Raises all that is wrong with the file itself; mistakes of the workflow are
--- found by compiling it.
---@param from string|orrery.LoadOptions a path, or the text, what to call it and what it may do
---@return orrery.Workflow
function load_file.load(from)
  return load_file.take(given(from))
end

--- The workflow of a JSON file, for a node of one that is data.
---@param path string
---@param limit orrery.Limits its parent's
---@return orrery.Workflow
function load_file.child(path, limit)
  return load_file.take(read_source(path), path, path, { format = "json", limits = limit })
end

-- Whether a text may read other files while it is loaded. What it requires may as well.
local function may_read(text)
  return text:find("dofile", 1, true) or text:find("loadfile", 1, true) or text:find "%f[%w_]io%f[^%w_]"
end

-- The workflow, all that were made meanwhile, and the files that were read.
local function read_noting(text, name, how)
  local read, w, made = require("orrery.definition.files_read").during(function()
    return load_file.read(text, name, how)
  end)
  return w, made, read
end

--- Makes a workflow of a text and notes where it comes from.
---@param text string
---@param name string
---@param path string|nil
---@param how {format: "json"|"lua", limits: orrery.Limits?}
---@return orrery.Workflow
function load_file.take(text, name, path, how)
  local sources = sources_for(text)
  if sources then sources.begin(name) end
  local reads = how.format ~= "json" and (sources or may_read(text)) and read_noting or load_file.read
  local w, made, read = reads(text, name, how)
  local used = sources and sources.used_by(name)
  local modules = used and used.modules or {}
  if read then table.move(read.code, 1, #read.code, #modules + 1, modules) end
  load_file.note({ name = name, path = path, text = text, format = how.format,
    limits = how.limits, modules = modules, reads = read and #read.reads > 0 and read.reads or nil,
    missing = used and used.missing or {},
    first = used and used.first or {} }, made, w)
  return w
end

--- The same, with mistakes returned.
---@param from string|orrery.LoadOptions
---@return orrery.Workflow|nil
---@return orrery.Problem[]|nil
function load_file.try(from)
  local ok, result = pcall(load_file.load, from)
  if ok then return result end
  local problems = errors.problems_of(result)
  if problems then return nil, problems end
  error(result, 0)
end

return load_file
