--- Splitting an expression into words. Most expressions are paths, `nodes.fetch.city`: those are
--- split here, and the patterns for all others (words.lua) are made with the first of them, which
--- would be a sixth of what it takes to start.
local lex = {}

---@class orrery.expr.Tokens parallel arrays, with an "end" word last
---@field kinds string[] "name" "number" "string" "operator" "end", or what is wrong: "malformed" "unclosed" "unknown"
---@field values string[] as written
---@field starts integer[] the first byte
---@field stops integer[] the last byte

-- Names joined by dots; nil where there is anything else.
local function path(source)
  if not source:find "^[%a_][%w_.]*$" or source:find "%.[^%a_]" or source:find "%.$" then return nil end
  local kinds, values, starts, stops, n = {}, {}, {}, {}, 0
  for start, value, stop in source:gmatch "()([%w_]+)()" do
    if n > 0 then
      n = n + 1
      kinds[n], values[n], starts[n], stops[n] = "operator", ".", start - 1, start - 1
    end
    n = n + 1
    kinds[n], values[n], starts[n], stops[n] = "name", value, start, stop - 1
  end
  n = n + 1
  kinds[n], values[n], starts[n], stops[n] = "end", "", #source + 1, #source
  return { kinds = kinds, values = values, starts = starts, stops = stops }
end

--- Splits a source into words. A string that is not closed is the last word.
---@param source string
---@return orrery.expr.Tokens
function lex.words(source)
  return path(source) or require "orrery.expr.words".split(source)
end

--- The text that a string of the source stands for.
---@param raw string with its quotes
---@return string|nil text
---@return integer|nil offset where in `raw` stands a backslash that begins no escape
function lex.unescape(raw)
  local inner = raw:sub(2, -2)
  if not inner:find("\\", 1, true) then return inner end
  return require "orrery.expr.words".unescape(inner)
end

return lex
