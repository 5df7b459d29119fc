-- The functions of a Lua file and where each of them ends, from its words.
local words = require "spec.errors.words"

local functions = {}

local OPENS = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true }

local function is_block(word, set) return word.kind == "name" and set[word.text] end

local function end_of(list, from)
  local depth = 0
  for i = from, #list do
    if is_block(list[i], OPENS) then depth = depth + 1 end
    if is_block(list[i], CLOSES) then
      depth = depth - 1
      if depth == 0 then return i end
    end
  end
  return #list
end

-- `function Builder:bad(…)`, `local function bad(…)`, `local bad = function(…)`: its name, where
-- its parameters open, whether it is local, and what stands before its name. One with another name,
-- or none, is called through a value, so it has no name here.
local function name_of(list, i)
  if list[i + 1].text == "(" then
    local named = i > 3 and list[i - 1].text == "=" and list[i - 3].text == "local"
    return named and list[i - 2].text or nil, i + 1, named, nil, nil
  end
  local k = i + 1
  while list[k + 1].text == "." or list[k + 1].text == ":" do k = k + 2 end
  if k == i + 1 then return list[k].text, k + 1, true, nil, nil end
  return list[k].text, k + 1, false, list[k - 1].text, list[k - 2].text
end

--- @param list table[] words of a Lua file
--- @return table[] functions
---   { name, field, params, position, is_local, mark, owner, at, from, to },
---   in the order in which they begin; `field` is the key of a table whose value it is, `mark` the
---   "." or ":" before the name, `owner` the table before that
function functions.of(list)
  local found = {}
  for i = 1, #list do
    if list[i].kind == "name" and list[i].text == "function" then
      local name, open, is_local, mark, owner = name_of(list, i)
      local parts, close = words.parts(list, open)
      local params, position = {}, {}
      for k, part in ipairs(parts) do
        params[k] = list[part.from].text
        position[params[k]] = k
      end
      local field = not name and i > 2 and list[i - 1].text == "=" and list[i - 2].text or nil
      found[#found + 1] = { name = name, field = field, at = i, params = params, position = position,
        is_local = is_local or false, mark = mark, owner = owner, from = close + 1, to = end_of(list, i) }
    end
  end
  return found
end

--- The innermost of these functions around a word that fits, or nil.
function functions.around(found, i, fits)
  local inner
  for _, fn in ipairs(found) do
    if fn.from <= i and i <= fn.to and (not fits or fits(fn)) then inner = fn end
  end
  return inner
end

return functions
