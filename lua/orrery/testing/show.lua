--- Values as texts: on one line for a sentence, on several for comparing two of them.
local json = require "orrery.core".json
local escaped = require "orrery.text".escaped

local show = {}

local DEEPEST = 12
local WIDTH = 72 -- columns of a value that stands on one line

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key end
  return "[" .. (type(key) == "string" and ("%q"):format(key) or tostring(key)) .. "]"
end

local function scalar(value)
  if type(value) == "string" then return '"' .. escaped(value) .. '"' end
  if value == json.null then return "null" end
  local ok, shown = pcall(tostring, value)
  return ok and shown or "(" .. type(value) .. ")"
end

-- A table that says itself how it is shown is not opened.
local function is_open(value)
  if type(value) ~= "table" or value == json.null then return false end
  local mark = getmetatable(value)
  return type(mark) ~= "table" or rawget(mark, "__tostring") == nil
end

local RANK = { string = 1, number = 2 }

local function before(a, b)
  local x, y = RANK[type(a)] or 3, RANK[type(b)] or 3
  if x ~= y then return x < y end
  if x < 3 then return a < b end
  return tostring(a) < tostring(b)
end

-- Its elements, then its other fields in the order of their names: { key text or false, value }.
local function entries(value)
  local list, keys, n = {}, {}, #value
  for i = 1, n do list[i] = { false, value[i] } end
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  for _, key in ipairs(keys) do list[#list + 1] = { key_text(key), value[key] } end
  return list
end

local write

local function write_table(lines, indent, head, value, tail, above)
  if above[value] or above.depth > DEEPEST then
    lines[#lines + 1] = indent .. head .. (above[value] and "(itself)" or "{ … }") .. tail
    return
  end
  local list = entries(value)
  if #list == 0 then
    lines[#lines + 1] = indent .. head .. "{}" .. tail
    return
  end
  above[value], above.depth = true, above.depth + 1
  lines[#lines + 1] = indent .. head .. "{"
  for _, entry in ipairs(list) do
    write(lines, indent .. "  ", entry[1] and entry[1] .. " = " or "", entry[2], ",", above)
  end
  lines[#lines + 1] = indent .. "}" .. tail
  above[value], above.depth = nil, above.depth - 1
end

function write(lines, indent, head, value, tail, above)
  if is_open(value) then return write_table(lines, indent, head, value, tail, above) end
  lines[#lines + 1] = indent .. head .. scalar(value) .. tail
end

--- A value on as many lines as it has entries. A text of several lines is its lines.
---@param value any
---@return string[]
function show.lines(value)
  local lines = {}
  if type(value) == "string" and value:find "\n" then
    for line in (value:gsub("\n$", "") .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
    return lines
  end
  write(lines, "", "", value, "", { depth = 1 })
  return lines
end

--- The same as one text.
---@param value any
---@return string
function show.text(value) return table.concat(show.lines(value), "\n") end

--- A value on one line, cut where it is long.
---@param value any
---@param width? integer
---@return string
function show.line(value, width)
  width = width or WIDTH
  local parts = {}
  write(parts, "", "", value, "", { depth = 1 })
  for i, part in ipairs(parts) do parts[i] = part:match "^%s*(.*)$" end
  local text = table.concat(parts, " "):gsub(", }", " }")
  if #text <= width then return text end
  return text:sub(1, (utf8.offset(text, 0, width) or width) - 1) .. "…"
end

--- Whether two values are the same: equal, or tables with the same entries.
---@param a any
---@param b any
---@param seen? table<table, table>
---@return boolean
function show.same(a, b, seen)
  if rawequal(a, b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  local mark = getmetatable(a)
  if type(mark) == "table" and mark.__eq and mark == getmetatable(b) then return a == b end
  seen = seen or {}
  if seen[a] == b then return true end
  seen[a] = b
  for key, value in next, a do
    if not show.same(value, rawget(b, key), seen) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

return show
