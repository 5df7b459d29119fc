--- Loading a workflow from a file, Lua or JSON.
local definition_json = require "orrery.definition_json"
local errors = require "orrery.errors"
local types = require "orrery.type"
local workflow = require "orrery.workflow"

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

-- "file.lua:3: message" as Lua words it, taken apart.
local function split_place(message)
  local place, rest = tostring(message):match "^(.-:%d+): (.*)$"
  return place, rest or tostring(message)
end

local function what_came(n, value)
  if n == 0 then return "nothing" end
  if n > 1 then return ("%d values"):format(n) end
  return errors.show(value)
end

-- What was raised, as text, whatever it is.
local function raised_text(e)
  local ok, text = pcall(tostring, e)
  if not ok then return "it raises an error whose __tostring fails" end
  local meta = getmetatable(e)
  if type(e) == "string" or type(e) == "number" or type(meta) == "table" and meta.__tostring then return text end
  return "it raises " .. (e == nil and "nil" or errors.show(e)) .. ", which says nothing; raise a message"
end

-- `left` is the place in the file that was left last, for errors that do not name one.
local function raise_from(name, e, left)
  local problems = errors.problems_of(e)
  for _, problem in ipairs(problems or {}) do problem.where = problem.where or left end
  if problems then error(e, 0) end
  if type(e) == "table" and type(rawget(e, "code")) == "string" and rawget(e, "message") ~= nil then
    fail("load_error", left or name, ("%s: %s"):format(e.code, tostring(e.message)))
  end
  local text = raised_text(e)
  local place, rest = split_place(text)
  if not place then place, rest = left or name, text end
  fail("load_error", place, rest)
end

-- What the chunk did: whether it ended well, how many values it returned, the first of them (or the error), the second (or
-- the place it was left at).
local function outcome(ok, ...)
  return ok, select("#", ...), ...
end

-- Without the byte order mark that some editors write, and without a first line for the system, as `lua` takes files.
local function code_of(text, name)
  if text:find "^\xFF\xFE" or text:find "^\xFE\xFF" then
    fail("syntax", name, "the file is UTF-16 text; save it as UTF-8")
  end
  return (text:gsub("^\xEF\xBB\xBF", "", 1):gsub("^#[^\n]*", "", 1))
end

local function load_lua(text, name, env)
  local chunk, message = load(code_of(text, name), "@" .. name, "t", env or _G)
  if not chunk then
    local place, rest = split_place(message)
    fail("syntax", place or name, "not valid Lua: " .. rest)
  end
  local made <close> = workflow.note_made()
  local ok, n, value, place = outcome(types.build(chunk))
  if not ok then raise_from(name, value, place) end
  if n ~= 1 or not workflow.state(value) then
    fail("not_a_workflow", name, ("the file returns %s; end it with `return w`, where w is its one workflow"):format(
      what_came(n, value)))
  end
  return value, made
end

local function is_json(name, text)
  if name:find "%.json$" then return true end
  return not name:find "%.lua$" and text:find "^%s*{" ~= nil
end

-- ---- where workflows come from -----------------------------------------------------------------------------

---@class orrery.Origin
---@field name string what the text was called in messages
---@field path string|nil nil for a text that was given as such
---@field text string
---@field modules table[] the files of the modules it required, see orrery.bundle_sources
---@field missing string[] modules it asked for that were not there
---@field first string[] modules that were loaded before it, for the node types they declare
---@field part orrery.Part|nil which of the workflows the file makes it is, where it is not the one that the file returns

---@class orrery.Part
---@field name string
---@field place string
---@field n integer which of those that are made there under the name, from 1

---@type table<table, orrery.Origin>
local origins = setmetatable({}, { __mode = "k" })

-- Whether a text may load modules that are not ours. Most workflows do not, and then nothing needs to be watched.
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
  return package.loaded["orrery.bundle_sources"] or may_require(text) and require "orrery.bundle_sources" or nil
end

--- Where a workflow was loaded from; nil for one that a script made.
---@param w orrery.Workflow
---@return orrery.Origin|nil
function load_file.origin(w) return origins[w] end

--- Makes a workflow of a text. Raises as `load` does.
---@param text string
---@param name string what to call it; decides whether it is Lua or JSON
---@param env? table the globals of a Lua text; those of everybody where it is left out
---@return orrery.Workflow
---@return orrery.Workflow[] made all that were made meanwhile
function load_file.read(text, name, env)
  if is_json(name, text) then return definition_json.read(text, name), {} end
  return load_lua(text, name, env)
end

--- The workflows that a file made besides the one it returns, each with what tells it from the others.
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

--- Notes where the workflows of a file come from: the one it returns, and those it makes besides.
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

--- Loads a workflow. Raises all that is wrong with the file itself; mistakes of the workflow are found by
--- compiling it.
---@param from string|{source: string, name: string?} a path, or the text and what to call it
---@return orrery.Workflow
function load_file.load(from)
  local text, name, path
  if type(from) == "table" and type(from.source) == "string" then
    text, name = from.source, from.name or "source"
  elseif type(from) == "string" then
    text, name, path = read_source(from), from, from
  else
    fail("wrong_type", nil, "flow.load takes a path or { source = text, name = … }, got " .. errors.show(from))
  end
  local sources = sources_for(text)
  if sources then sources.begin(name) end
  local w, made = load_file.read(text, name)
  local used = sources and sources.used_by(name)
  load_file.note({ name = name, path = path, text = text, modules = used and used.modules or {}, missing = used and used.missing or {},
    first = used and used.first or {} }, made, w)
  return w
end

--- The same, with mistakes returned.
---@param from string|{source: string, name: string?}
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
