-- Lines that are too long to be read side by side: `lua5.4 spec/support/widths.lua FILE…`, for C,
-- Lua and makefiles. Code has at most 110 columns, a line that is a comment at most 100; columns
-- are characters. In Lua, lines with a part of a long string ([[ … ]]) and annotations (---@) may
-- be longer: what they say cannot be broken. Exit code 1 where a line is longer.
local CODE, COMMENT = 110, 100

-- How the lines of comments begin, by what a file's name ends with; in makefiles with a #.
local C = { "^%s*/%*", "^%s*%*[ /]" }
local COMMENTS = { c = C, h = C, lua = { "^%s*%-%-" }, rockspec = { "^%s*%-%-" } }
local LUA = { lua = true, rockspec = true }

local function is_comment(ends, line)
  if line:match "\\$" then return false end -- inside a macro, or a recipe
  for _, pattern in ipairs(COMMENTS[ends] or { "^%s*#" }) do
    if line:match(pattern) then return true end
  end
  return false
end

-- Where the token of Lua that begins at `at` ends, and whether it is a long string.
local function token(text, at)
  local first = text:sub(at, at)
  local level = text:match("^%[(=*)%[", at)
  if level then return select(2, text:find("]" .. level .. "]", at, true)) or #text, true end
  if text:find("^%-%-", at) then
    level = text:match("^%-%-%[(=*)%[", at)
    if level then return select(2, text:find("]" .. level .. "]", at, true)) or #text end
    return (text:find("\n", at, true) or #text + 1) - 1
  end
  if first == '"' or first == "'" then
    local stop = at + 1
    while stop <= #text and text:sub(stop, stop) ~= first do
      stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
    end
    return stop
  end
  return (text:find("[%[%-\"']", at + 1) or #text + 1) - 1
end

-- The lines of a Lua text in which a part of a long string stands: a set of their numbers.
local function long_strings(text)
  local found, line, at = {}, 1, 1
  while at <= #text do
    local stop, is_long = token(text, at)
    local _, breaks = text:sub(at, stop):gsub("\n", "")
    if is_long then
      for i = line, line + breaks do found[i] = true end
    end
    line, at = line + breaks, stop + 1
  end
  return found
end

local found = 0
for _, path in ipairs(arg) do
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  local ends, n = path:match "%.(%a+)$", 0
  local free = LUA[ends] and long_strings(text) or {}
  for line in text:gmatch "([^\n]*)\n?" do
    n = n + 1
    local width = utf8.len(line) or #line
    local most = is_comment(ends, line) and COMMENT or CODE
    if width > most and not free[n] and not (LUA[ends] and line:find "^%s*%-%-%-@") then
      print(("%s:%d: %d columns; at most %d"):format(path, n, width, most))
      found = found + 1
    end
  end
end
os.exit(found == 0)
