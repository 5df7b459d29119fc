-- The calls of a function of Lua, as far as its name shows.
local functions = require "spec.errors.functions"

local calls = {}

-- Of several local functions of one name in a file: the one in the same function as the call, or
-- else the first, which the others of the file are given.
local function in_scope(file, i, fn)
  local first
  for _, other in ipairs(file.functions) do
    if other.is_local and other.name == fn.name then
      first = first or other
      local outer = functions.around(file.functions, other.at)
      if outer and outer.from <= i and i <= outer.to then return other == fn end
    end
  end
  return first == fn
end

local function has_method(file, name)
  for _, fn in ipairs(file.functions) do if fn.name == name and fn.mark then return true end end
  return false
end

-- Whether a call by this name, in this file, is one of the function `fn` of the file `home`.
local function is_of(file, i, fn, home)
  local list = file.words
  local before, owner = list[i - 1].text, list[i - 2].text
  if fn.is_local then
    local plain = before ~= "." and before ~= ":" and before ~= "function"
    return file == home and plain and in_scope(file, i, fn)
  end
  if list[i - 3] and list[i - 3].text == "function" then return false end -- the declaration itself
  if before == "." then return fn.mark == "." and owner == fn.owner end
  if before ~= ":" then return false end
  if owner == "self" and has_method(file, fn.name) or fn.mark == "." then return file == home end
  return true
end

--- Calls `visit(file, i)` for each call of a function, i being the word with its name.
--- @param files table[] { path, words, functions }
--- @param fn table of `spec.errors.functions`
--- @param home table the file with the function
--- @param visit fun(file: table, i: integer)
function calls.each(files, fn, home, visit)
  for _, file in ipairs(files) do
    local list = file.words
    for i = 3, #list - 1 do
      local named = list[i].kind == "name" and list[i].text == fn.name and list[i + 1].text == "("
      if named and is_of(file, i, fn, home) then visit(file, i) end
    end
  end
end

return calls
