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

local function load_lua(text, name)
  local chunk, message = load(code_of(text, name), "@" .. name, "t")
  if not chunk then
    local place, rest = split_place(message)
    fail("syntax", place or name, "not valid Lua: " .. rest)
  end
  local ok, n, value, place = outcome(types.build(chunk))
  if not ok then raise_from(name, value, place) end
  if n ~= 1 or not workflow.state(value) then
    fail("not_a_workflow", name, ("the file returns %s; end it with `return w`, where w is its one workflow"):format(
      what_came(n, value)))
  end
  return value
end

local function is_json(name, text)
  if name:find "%.json$" then return true end
  return not name:find "%.lua$" and text:find "^%s*{" ~= nil
end

--- Loads a workflow. Raises all that is wrong with the file itself; mistakes of the workflow are found by
--- compiling it.
---@param from string|{source: string, name: string?} a path, or the text and what to call it
---@return orrery.Workflow
function load_file.load(from)
  local text, name
  if type(from) == "table" and type(from.source) == "string" then
    text, name = from.source, from.name or "source"
  elseif type(from) == "string" then
    text, name = read_source(from), from
  else
    fail("wrong_type", nil, "flow.load takes a path or { source = text, name = … }, got " .. errors.show(from))
  end
  if is_json(name, text) then return definition_json.read(text, name) end
  return load_lua(text, name)
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
