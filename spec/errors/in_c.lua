-- The codes of errors in C, found by what the code is called: a parameter, a member or a variable
-- whose name ends with `code`.
--
--   orr_push_error(L, s, "store_error", …)         an argument for a parameter `const char *code`
--   (orr_error){late ? "deadline" : "timeout", …}  a struct that begins with `const char *code`
--   {"cancelled", "the run is being cancelled"}    a word, then a sentence, beside such a struct
--   X(TIMEOUT, "http_timeout", true)               a row of codes and whether they are retried
--   const char *code = … "run_owned" …;            a variable or member
--   lua_pushliteral(L, "script_error")             where the message is pushed next
local words = require "spec.errors.words"

local in_c = {}

local LEVELS = { debug = true, info = true, warn = true, error = true } -- of a log, pushed with its message

local function is_name(word, ending)
  return word and word.kind == "name" and word.text:sub(-#ending) == ending
end

-- Where in its arguments a function takes a code: name -> set of positions. Declarations and
-- pointers to functions count.
local function learn_functions(list, takes)
  for i = 2, #list do
    if list[i].text == "(" and list[i].kind == "sign" then
      local before = list[i - 1]
      local name = before.kind == "name" and before.text or before.text == ")" and list[i - 2].text
      for position, part in ipairs(name and words.parts(list, i) or {}) do
        local last, stars = list[part.to], list[part.to - 1]
        if is_name(last, "code") and stars.text == "*" and list[part.to - 2].text == "char" then
          takes[name] = takes[name] or {}
          takes[name][position] = true
        end
      end
    end
  end
end

-- Structs that begin with a code.
local function learn_structs(list, structs)
  for i = 1, #list do
    if words.follow(list, i, "typedef", "struct") then
      local open = list[i + 2].text == "{" and i + 2 or i + 3
      if words.follow(list, open, "{", "const", "char", "*", "code") then
        local _, close = words.parts(list, open)
        structs[list[close + 1].text] = true
      end
    end
  end
end

local function from_call(list, i, takes, found)
  local positions = list[i].kind == "name" and takes[list[i].text]
  if not positions or list[i + 1].text ~= "(" then return end
  local parts = words.parts(list, i + 1)
  for position in pairs(positions) do
    if parts[position] then words.each_code(list, parts[position], found) end
  end
end

-- Whether a brace opens a value of one of the structs: `(orr_error){`, `orr_error late = {`.
local function opens_struct(list, i, structs)
  if list[i - 1].text == ")" then return structs[list[i - 2].text] and list[i - 3].text == "(" end
  return list[i - 1].text == "=" and i > 3 and structs[list[i - 3].text]
end

-- Whether a file has structs with a code, which need not have names.
local function has_tables(list)
  for i = 1, #list - 4 do
    local after = list[i + 4].text
    local ends = after == "," or after == ";"
    if ends and words.follow(list, i, "const", "char", "*", "code") then return true end
  end
  return false
end

local function from_brace(list, i, structs, found)
  if list[i].text ~= "{" or list[i].kind ~= "sign" or i == 1 then return end
  local first, second = list[i + 1], list[i + 3]
  local sentence = second and second.kind == "string" and second.text:find " "
  if list.has_tables and words.is_code(first) and list[i + 2].text == "," and sentence then
    return found(first.text, first.line)
  end
  if not opens_struct(list, i, structs) then return end
  local part = words.parts(list, i)[1]
  if part and list[part.from].text ~= "." then words.each_code(list, part, found) end
end

local function from_row(list, i, found)
  if words.follow(list, i, "X", "(") and words.is_code(list[i + 4]) and list[i + 5].text == ","
    and (list[i + 6].text == "true" or list[i + 6].text == "false") then
    found(list[i + 4].text, list[i + 4].line)
  end
end

-- The words up to the end of the value that is assigned.
local function value_after(list, i)
  local depth = 0
  for k = i, #list do
    local text = list[k].kind == "sign" and list[k].text
    if text == "(" or text == "{" then depth = depth + 1 end
    if text == ")" or text == "}" then depth = depth - 1 end
    if text == ";" or depth < 0 or depth == 0 and text == "," then return { from = i, to = k - 1 } end
  end
  return { from = i, to = #list }
end

local function from_assignment(list, i, found)
  if is_name(list[i], "code") and list[i + 1] and list[i + 1].text == "=" and list[i + 1].kind == "sign" then
    words.each_code(list, value_after(list, i + 2), found)
  end
end

-- `lua_pushliteral(L, "script_error"); luaL_tolstring(…)`: a code, and then at once its message.
local function from_push(list, i, found)
  if list[i].text ~= "lua_pushliteral" and list[i].text ~= "lua_pushstring" then return end
  if not words.is_code(list[i + 4]) or LEVELS[list[i + 4].text] then return end
  if not words.follow(list, i + 5, ")", ";") then return end
  local next = list[i + 7]
  if next and (next.text == "luaL_tolstring" or next.text == "lua_pushfstring") then
    found(list[i + 4].text, list[i + 4].line)
  end
end

--- @param files {path: string, text: string}[] C files and headers
--- @param found fun(code: string, path: string, line: integer)
function in_c.scan(files, found)
  local takes, structs, lists = {}, {}, {}
  for k, file in ipairs(files) do
    lists[k] = words.of(file.text, "c")
    learn_functions(lists[k], takes)
    learn_structs(lists[k], structs)
    lists[k].has_tables = has_tables(lists[k])
  end
  for k, file in ipairs(files) do
    local list = lists[k]
    local function note(code, line) found(code, file.path, line) end
    for i = 1, #list - 1 do
      from_call(list, i, takes, note)
      from_brace(list, i, structs, note)
      from_row(list, i, note)
      from_assignment(list, i, note)
      from_push(list, i, note)
    end
  end
end

return in_c
