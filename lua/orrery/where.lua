--- Where something was written: "file:line" of a call into this library, kept as cheaply as
--- possible.
---
--- A place is kept as two values, the chunk's name and a line, because a workflow may have a
--- million nodes; the text is made when somebody asks, once for each place.
local where = {}

local getinfo = debug.getinfo

local texts = {} -- chunk name -> line -> "file:line"

--- The place of a call: the chunk's name, shortened by Lua where it is long, and the line, -1 where
--- it is not known (stripped code). Level 1 is the function that calls `here`, 2 its caller, …
--- Where it came through C (a `pcall`), that is the nearest Lua function above.
---@type fun(level: integer): string, integer
where.here = require("orrery.core").here

-- The line of an assignment of a multi-line table is that of its closing brace. Where the table
-- holds a function that was written right there, the line on which that function begins is nearer
-- to what a reader looks for.
local function first_line(source, line, spec)
  local run = type(spec) == "table" and rawget(spec, "run")
  if type(run) ~= "function" then return line end
  local info = getinfo(run, "S")
  local inside = info.short_src == source and info.linedefined > 0 and info.linedefined < line
    and info.lastlinedefined >= line - 1 and info.lastlinedefined <= line
  return inside and info.linedefined or line
end

--- The text of a place.
---@param source string
---@param line integer
---@param spec? table the node that was assigned there, see above
---@return string "file:line", or the file alone where the line is not known
function where.text(source, line, spec)
  if line < 0 then return source end
  local lines = texts[source]
  if not lines then
    lines = {}
    texts[source] = lines
  end
  local text = lines[line]
  if not text then
    text = source .. ":" .. first_line(source, line, spec)
    lines[line] = text
  end
  return text
end

return where
