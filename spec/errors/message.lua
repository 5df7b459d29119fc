-- What a message's expression says, as parts: a text, HOLE for what is known only at run time, or
-- the name of a parameter.
local words = require "spec.errors.words"

local message = {}

local HOLE = { hole = true }
message.HOLE = HOLE

local read

-- The terms of `a .. b .. c`; one that is no sum is returned whole.
local function terms_of(list, part)
  local terms, depth, from = {}, 0, part.from
  for i = part.from, part.to do
    local text = list[i].kind == "sign" and list[i].text
    if text == "(" or text == "{" or text == "[" then depth = depth + 1 end
    if text == ")" or text == "}" or text == "]" then depth = depth - 1 end
    if text == ".." and depth == 0 then
      terms[#terms + 1] = { from = from, to = i - 1 }
      from = i + 1
    end
  end
  terms[#terms + 1] = { from = from, to = part.to }
  return terms
end

local function append(into, parts)
  for _, part in ipairs(parts) do into[#into + 1] = part end
end

-- Puts the parts of the arguments where the format has `%s`.
local function fill(parts, arguments)
  local filled, n = {}, 0
  for _, part in ipairs(parts) do
    if not part.text then
      filled[#filled + 1] = part
    else
      local at = 1
      for from, sign, to in part.text:gmatch "()%%[%d.%-]*([%%%a])()" do
        filled[#filled + 1] = { text = part.text:sub(at, from - 1) }
        n = sign == "%" and n or n + 1
        append(filled, sign == "%" and { { text = "%" } } or arguments[n] or { HOLE })
        at = to
      end
      filled[#filled + 1] = { text = part.text:sub(at) }
    end
  end
  return filled
end

local function read_term(list, term, params)
  local first = list[term.from]
  if term.from == term.to then
    if first.kind == "string" then return { { text = first.text } } end
    return params[first.text] and { { param = first.text } } or { HOLE }
  end
  -- ("…"):format(…), message:format(…), ("…")
  local inner, after
  if first.kind == "sign" and first.text == "(" then
    local _, close = words.parts(list, term.from)
    inner, after = { from = term.from + 1, to = close - 1 }, close + 1
  elseif words.follow(list, term.from + 1, ":", "format") then
    inner, after = { from = term.from, to = term.from }, term.from + 1
  end
  if not inner then return { HOLE } end
  local parts = read(list, inner, params)
  if after > term.to then return parts end
  if not words.follow(list, after, ":", "format", "(") then return { HOLE } end
  local arguments, close = words.parts(list, after + 2)
  if close ~= term.to then return { HOLE } end
  for k, argument in ipairs(arguments) do arguments[k] = read(list, argument, params) end
  return fill(parts, arguments)
end

function read(list, part, params)
  local parts = {}
  for _, term in ipairs(terms_of(list, part)) do append(parts, read_term(list, term, params)) end
  return parts
end

--- @param list table[] words
--- @param part {from: integer, to: integer}
--- @param params table<string, any> names of the parameters of the function around it
--- @return table[] parts
message.read = read

--- Puts what a call gives for the parameters in their place.
--- @param parts table[]
--- @param given table<string, table[]> parameter -> parts
function message.with(parts, given)
  local made = {}
  for _, part in ipairs(parts) do append(made, part.param and (given[part.param] or { HOLE }) or { part }) end
  return made
end

local PLACES = { '^node "…": ', '^workflow "…": ', "^node type …: " } -- what a message begins with

--- The parts as a pattern for people, with … for what differs and without the place; nil where it
--- has no words of its own.
function message.text(parts)
  local list = {}
  for k, part in ipairs(parts) do
    list[k] = part.text and part.text:gsub("%%[%d.%-]*%a", "…"):gsub("%%%%", "%%") or "…"
  end
  local text = table.concat(list):gsub("\n", " ")
  repeat
    local shorter = text:gsub("……", "…")
    local done = shorter == text
    text = shorter
  until done
  for _, place in ipairs(PLACES) do text = text:gsub(place, "") end
  return text:gsub("…", ""):find "%a%a" and text or nil
end

return message
