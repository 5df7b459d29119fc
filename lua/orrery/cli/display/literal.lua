--- Tables as Lua would have them written, for people at the prompt: lists first, then fields in the
--- order of their names, on one line where they fit, and never without end.
local json = require("orrery.core").json
local printable = require "orrery.cli.display.printable"
local escaped = require "orrery.text".escaped

local literal = {}

local WIDTH = 78  -- columns of what stands on one line
local DEEPEST = 8 -- tables in tables
local MOST = 60   -- entries of one table
local LINES = 200 -- of all
local LONGEST = 500 -- bytes of a string in a table

local WORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return
  then true until while]]):gmatch "%l+" do
  WORDS[word] = true
end

--- Whether a value is shown by what is in it: a table that does not say itself how it is shown.
---@param value any
---@return boolean
function literal.is_plain(value)
  if type(value) ~= "table" then return false end
  local mark = getmetatable(value)
  if mark == nil or mark == json.array_mt or mark == json.object_mt then return true end
  return type(mark) == "table" and rawget(mark, "__tostring") == nil and rawget(mark, "__name") == nil
end

local function quoted(s)
  local cut = #s > LONGEST
  if cut then s = s:sub(1, (utf8.offset(s, 0, LONGEST + 1) or LONGEST + 1) - 1) end
  return '"' .. escaped(s) .. (cut and '"…' or '"')
end

local function scalar(value)
  if type(value) == "string" then return quoted(value) end
  if value == json.null then return "null" end
  local ok, shown = pcall(tostring, value)
  return ok and shown or "(" .. type(value) .. ")"
end

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and not WORDS[key] then return key .. " = " end
  return "[" .. scalar(key) .. "] = "
end

-- Names first, then numbers, then the rest.
local RANK = { string = 1, number = 2 }
local function before(a, b)
  local x, y = RANK[type(a)] or 3, RANK[type(b)] or 3
  if x ~= y then return x < y end
  if x < 3 then return a < b end
  return scalar(a) < scalar(b)
end

local function fields_of(value, n)
  local keys = {}
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys
end

local text_of

-- The entries of a table as texts, and how many of them are of its list.
local function entries_of(w, value, depth)
  local list, n = {}, 0
  while rawget(value, n + 1) ~= nil do n = n + 1 end
  local keys = fields_of(value, n)
  for i = 1, math.min(n, MOST) do list[i] = text_of(w, rawget(value, i), depth, "") end
  for i = 1, math.min(#keys, MOST - #list) do
    list[#list + 1] = text_of(w, rawget(value, keys[i]), depth, key_text(keys[i]))
  end
  local more = n + #keys - #list
  for i = 1, #list - (more > 0 and 0 or 1) do list[i] = list[i] .. "," end
  if more > 0 then list[#list + 1] = ("… %d more"):format(more) end
  return list, math.min(n, MOST)
end

local function width(text) return utf8.len(text) or #text end

-- Lines of entries: as many of a list as fit on one, and each field on its own.
local function lines_of(list, n, room)
  local lines, used = {}, room
  for i, entry in ipairs(list) do
    local size = entry:find("\n", 1, true) and room or width(entry) + 1
    if i <= n and used + size <= room then
      lines[#lines], used = lines[#lines] .. " " .. entry, used + size
    else
      lines[#lines + 1], used = entry, size
    end
  end
  return lines
end

local function is_short(list, room)
  local used = 3
  for _, entry in ipairs(list) do
    if entry:find("\n", 1, true) then return false end
    used = used + width(entry) + 1
  end
  return used <= room
end

-- A value with what stands before it; the lines of a table are indented by its depth.
function text_of(w, value, depth, lead)
  if not literal.is_plain(value) then return lead .. scalar(value) end
  if next(value) == nil then return lead .. "{}" end
  if w.open[value] then return lead .. "(the same table again)" end
  if depth >= DEEPEST or w.lines > LINES then return lead .. "{ … }" end
  w.open[value] = true
  local list, n = entries_of(w, value, depth + 1)
  w.open[value] = nil
  local room = WIDTH - 2 * depth
  if is_short(list, room - width(lead) - 1) then -- a comma may follow
    return lead .. "{ " .. table.concat(list, " ") .. " }"
  end
  local lines, indent = lines_of(list, n, room - 2), ("  "):rep(depth + 1)
  w.lines = w.lines + #lines
  return ("%s{\n%s%s\n%s}"):format(lead, indent, table.concat(lines, "\n" .. indent), ("  "):rep(depth))
end

--- A table as text. What does not end, or is very much, is cut, with "…" in its place.
---@param value table
---@return string
function literal.text(value)
  return printable.text(text_of({ open = {}, lines = 0 }, value, 0, ""))
end

--- Values as the prompt prints them: tables as their text, all others as they are.
---@param ... any
---@return any ...
function literal.shown(...)
  local values = table.pack(...)
  for i = 1, values.n do
    if literal.is_plain(values[i]) then values[i] = literal.text(values[i]) end
  end
  return table.unpack(values, 1, values.n)
end

return literal
