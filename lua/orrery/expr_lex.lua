--- The words of the expression language: names, numbers, strings and operators as Lua spells them.
local lpeg = require "lpeg"
local C, Cc, Cp, Cs, P, R, S = lpeg.C, lpeg.Cc, lpeg.Cp, lpeg.Cs, lpeg.P, lpeg.R, lpeg.S

local lex = {}

local digit, hex = R "09", R("09", "af", "AF")
local letter = R("az", "AZ") + "_"
local word = letter + digit
local sign = S "+-" ^ -1

local decimal = (digit ^ 1 * ("." * digit ^ 0) ^ -1 + "." * digit ^ 1) * (S "eE" * sign * digit ^ 1) ^ -1
local hexadecimal = P "0" * S "xX" * (hex ^ 1 * ("." * hex ^ 0) ^ -1 + "." * hex ^ 1) * (S "pP" * sign * digit ^ 1) ^ -1
local number = hexadecimal + decimal

local function quoted(quote)
  return quote * (P "\\" * 1 + (1 - S("\\\n" .. quote))) ^ 0 * quote
end
local text = quoted '"' + quoted "'"

-- Longer operators first. Those that Lua's expressions do not have are words too, so that they can be answered.
local operator = P "..." + P "//" + P ".." + P "==" + P "~=" + P "<=" + P ">=" + P "!=" + P "&&" + P "||" + P "<<" + P ">>"
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

---@class orrery.expr.Tokens parallel arrays, with an "end" word last
---@field kinds string[] "name" "number" "string" "operator" "end", or what is wrong: "malformed" "unclosed" "unknown"
---@field values string[] as written
---@field starts integer[] the first byte
---@field stops integer[] the last byte

--- Splits a source into words.
---@param source string
---@return orrery.expr.Tokens
function lex.words(source)
  local kinds, values, starts, stops = {}, {}, {}, {}
  local n, at = 0, space:match(source)
  while at <= #source do
    local start, kind, value, stop = token:match(source, at)
    n = n + 1
    kinds[n], values[n], starts[n], stops[n] = kind, value, start, stop - 1
    at = space:match(source, stop)
  end
  n = n + 1
  kinds[n], values[n], starts[n], stops[n] = "end", "", #source + 1, #source
  return { kinds = kinds, values = values, starts = starts, stops = stops }
end

-- ---- escapes --------------------------------------------------------------------------------------------

local LETTERS = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v", ["\\"] = "\\", ['"'] = '"',
  ["'"] = "'", ["\n"] = "\n" }

local function byte(base)
  return function(digits) return string.char(tonumber(digits, base)) end
end

-- The patterns take only codes that are in range, so that what follows a good beginning is a bad escape. A decimal code
-- takes three digits where there are three.
local decimal_code = C(R "01" * digit * digit + "2" * (R "04" * digit + "5" * R "05") + digit * digit * -digit
  + digit * -digit)
local code_point = P "0" ^ 0 * C("10" * hex * hex * hex * hex + hex * hex ^ -4 + "")
local function drop(pattern) return P(pattern) / "" end
local escape = drop(P "\\") * (
  C(S "abfnrtv\\\"'\n") / LETTERS
  + drop "x" * (C(hex * hex) / byte(16))
  + drop "u{" * #hex * (code_point / function(digits) return utf8.char(tonumber("0" .. digits, 16)) end) * drop "}"
  + decimal_code / byte(10)
  + drop("z" * S " \t\r\n" ^ 0)
)
local unescaped = Cs((escape + (1 - P "\\")) ^ 0) * Cp()

--- The text that a string of the source stands for.
---@param raw string with its quotes
---@return string|nil text
---@return integer|nil offset where in `raw` stands a backslash that begins no escape
function lex.unescape(raw)
  local inner = raw:sub(2, -2)
  if not inner:find("\\", 1, true) then return inner end
  local made, stop = unescaped:match(inner)
  if stop <= #inner then return nil, stop + 1 end
  return made
end

return lex
