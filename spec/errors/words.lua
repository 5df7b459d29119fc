-- Source text as a list of words: what the scanners for C and Lua read. A word is { kind, text,
-- line }; kind is "string" (text is what stands between the quotes, escapes undone), "name",
-- "number" or "sign". Comments are left out.
local words = {}

local ESCAPES = { n = "\n", t = "\t", r = "\r", ['"'] = '"', ["'"] = "'", ["\\"] = "\\" }

local function undo_escapes(text)
  return (text:gsub("\\\r?\n", ""):gsub("\\(.)", ESCAPES))
end

-- What is skipped in each language: pattern of the beginning -> pattern of the end.
local COMMENTS = {
  c = { { "^/%*", "%*/" }, { "^//", "\n" } },
  lua = { { "^%-%-%[%[", "%]%]" }, { "^%-%-", "\n" } },
}
local LONG_SIGNS = {}
for sign in ("... .. == ~= != <= >= -> :: //"):gmatch "%S+" do LONG_SIGNS[sign] = true end

-- The place after a comment at `at`, or nil where none begins there.
local function after_comment(text, at, language)
  for _, comment in ipairs(COMMENTS[language]) do
    local _, opened = text:find(comment[1], at)
    if opened then
      local _, closed = text:find(comment[2], opened + 1)
      return (closed or #text) + 1
    end
  end
end

-- The text of a string at `at` and the place after it, or nil where none begins there.
local function read_string(text, at, language)
  local quote = text:sub(at, at)
  if language == "lua" and text:find("^%[%[", at) then
    local from, to = text:find("]]", at, true)
    return text:sub(at + 2, from - 1), to + 1
  end
  if quote ~= '"' and quote ~= "'" then return nil end
  local i = at + 1
  while text:sub(i, i) ~= quote do i = i + (text:sub(i, i) == "\\" and 2 or 1) end
  return undo_escapes(text:sub(at + 1, i - 1)), i + 1
end

local function read_word(text, at, language)
  local string, after = read_string(text, at, language)
  if string then return "string", string, after end
  local name = text:match("^[%a_][%w_]*", at)
  if name then return "name", name, at + #name end
  local number = text:match("^%d[%w.]*", at)
  if number then return "number", number, at + #number end
  for length = 3, 2, -1 do
    local sign = text:sub(at, at + length - 1)
    if LONG_SIGNS[sign] then return "sign", sign, at + length end
  end
  return "sign", text:sub(at, at), at + 1
end

--- @param text string a source file
--- @param language "c"|"lua"
--- @return table[] words { kind, text, line }
function words.of(text, language)
  local list, at, line, counted = {}, 1, 1, 1
  while true do
    at = text:find("%S", at)
    if not at then return list end
    local after = after_comment(text, at, language)
    if after then
      at = after
    else
      local _, lines = text:sub(counted, at - 1):gsub("\n", "")
      line, counted = line + lines, at
      local kind, word
      kind, word, at = read_word(text, at, language)
      list[#list + 1] = { kind = kind, text = word, line = line }
    end
  end
end

local OPEN, CLOSE = { ["("] = true, ["["] = true, ["{"] = true }, { [")"] = true, ["]"] = true, ["}"] = true }

local function is_sign(word, set) return word and word.kind == "sign" and set[word.text] end

--- The parts between the bracket at `open` and the one that closes it, cut at commas.
--- @param list table[] words
--- @param open integer the index of the opening bracket
--- @return {from: integer, to: integer}[] parts the first and last word of each
--- @return integer close the index of the closing bracket
function words.parts(list, open)
  local parts, depth, from = {}, 0, open + 1
  for i = open, #list do
    local word = list[i]
    if is_sign(word, OPEN) then depth = depth + 1 end
    if is_sign(word, CLOSE) then depth = depth - 1 end
    local ends = depth == 0 or depth == 1 and is_sign(word, { [","] = true })
    if ends and i > open then
      if i > from then parts[#parts + 1] = { from = from, to = i - 1 } end
      from = i + 1
    end
    if depth == 0 then return parts, i end
  end
  return parts, #list
end

--- Whether the words from `i` on are these.
function words.follow(list, i, ...)
  for k = 1, select("#", ...) do
    local word = list[i + k - 1]
    if not word or word.kind == "string" or word.text ~= select(k, ...) then return false end
  end
  return true
end

--- Whether a string can be a code or the kind of a mistake: one lower-case word.
function words.is_code(word)
  return word ~= nil and word.kind == "string" and word.text:find "^%l[%l%d_]+$" ~= nil
end

--- Adds all strings of a part that can be codes: `late ? "deadline" : "timeout"` has two.
function words.each_code(list, part, fn)
  for i = part.from, part.to do
    local before = list[i - 1]
    local compared = before and (before.text == "==" or before.text == "~=" or before.text == "!=")
    if words.is_code(list[i]) and not compared then fn(list[i].text, list[i].line) end
  end
end

return words
