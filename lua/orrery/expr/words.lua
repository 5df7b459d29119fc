--- The words of the expression language: names, numbers, strings and operators as Lua spells them.
--- Loaded where an expression is more than a path; see lex.lua.
local lpeg = require "lpeg"
local C, Cc, Cp, Cs, P, R, S = lpeg.C, lpeg.Cc, lpeg.Cp, lpeg.Cs, lpeg.P, lpeg.R, lpeg.S

local words = {}

local digit, hex = R "09", R("09", "af", "AF")
local letter = R("az", "AZ") + "_"
local word = letter + digit
local sign = S "+-" ^ -1

local decimal = (digit ^ 1 * ("." * digit ^ 0) ^ -1 + "." * digit ^ 1) * (S "eE" * sign * digit ^ 1) ^ -1
local hexadecimal = P "0" * S "xX" * (hex ^ 1 * ("." * hex ^ 0) ^ -1 + "." * hex ^ 1)
  * (S "pP" * sign * digit ^ 1) ^ -1
local number = hexadecimal + decimal

local function quoted(quote)
  return quote * (P "\\" * 1 + (1 - S("\\\n" .. quote))) ^ 0 * quote
end
local text = quoted '"' + quoted "'"

-- Longer operators first. Operators of other languages are words too, so that the message can name
-- the right one.
local operator = P "..." + P "//" + P ".." + P "==" + P "~=" + P "<=" + P ">=" + P "!=" + P "&&" + P "||"
  + P "<<" + P ">>"
  + P "=>" + P "->" + P "??" + P "?." + S "+-*/%^#<>()[]{},.:;=&|~!?"

local token = Cp() * (
  Cc "number" * C(number) * -(word + ".")
  + Cc "malformed" * C((digit + P "." * digit) * (word + ".") ^ 0)
  + Cc "name" * C(letter * word ^ 0)
  + Cc "string" * C(text)
  + Cc "unclosed" * C(S "\"'")
  + Cc "operator" * C(operator)
  + Cc "unknown" * C(R "\0\127" + R "\192\255" * R "\128\191" ^ 0 + 1)
) * Cp() * S " \t\r\n" ^ 0

local space = S " \t\r\n" ^ 0 * Cp()

--- Splits a source into words. A string that is not closed is the last word: what follows may be
--- part of it, and looking for its end again from each quote in it would take the square of the
--- length.
---@param source string
---@return orrery.expr.Tokens
function words.split(source)
  local kinds, values, starts, stops = {}, {}, {}, {}
  local n, at = 0, space:match(source)
  while at <= #source do
    local start, kind, value, stop = token:match(source, at)
    n = n + 1
    kinds[n], values[n], starts[n], stops[n] = kind, value, start, stop - 1
    if kind == "unclosed" then break end
    at = space:match(source, stop)
  end
  n = n + 1
  kinds[n], values[n], starts[n], stops[n] = "end", "", #source + 1, #source
  return { kinds = kinds, values = values, starts = starts, stops = stops }
end

-- ---- escapes ------------------------------------------------------------------------------------

local LETTERS = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v", ["\\"] = "\\",
  ['"'] = '"',
  ["'"] = "'", ["\n"] = "\n" }

local function byte(base)
  return function(digits) return string.char(tonumber(digits, base)) end
end

-- The patterns take only codes that are in range, so that what follows a good beginning is a bad
-- escape. A decimal code takes three digits where there are three.
local decimal_code = C(R "01" * digit * digit + "2" * (R "04" * digit + "5" * R "05") + digit * digit * -digit
  + digit * -digit)
local code_point = P "0" ^ 0 * C("10" * hex * hex * hex * hex + hex * hex ^ -4 + "")
local function drop(pattern) return P(pattern) / "" end
local escape = drop(P "\\") * (
  C(S "abfnrtv\\\"'\n") / LETTERS
  + drop "x" * (C(hex * hex) / byte(16))
  + drop "u{" * #hex * (code_point / function(digits) return utf8.char(tonumber("0" .. digits, 16)) end)
    * drop "}"
  + decimal_code / byte(10)
  + drop("z" * S " \t\r\n" ^ 0)
)
local unescaped = Cs((escape + (1 - P "\\")) ^ 0) * Cp()

--- The text that the inside of a string of the source stands for.
---@param inner string
---@return string|nil text
---@return integer|nil offset where in the string stands a backslash that begins no escape
function words.unescape(inner)
  local made, stop = unescaped:match(inner)
  if stop <= #inner then return nil, stop + 1 end
  return made
end

return words
