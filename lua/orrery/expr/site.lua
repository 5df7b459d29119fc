--- What the evaluation of an expression has in common: how it fails, what it calls things, and what
--- it may cost.
local null = require "orrery.core".json.null

local site = {}

local STEPS = 1000000     -- items looked at, or blocks of BLOCK bytes of text, in one evaluation
local BLOCK = 64
local LONGEST = 1024 * 1024 -- bytes of a text that an expression makes

site.LONGEST = LONGEST

local left, budget = STEPS, STEPS

---@class orrery.expr.Site one expression, for messages
---@field source string
---@field field? string
---@field where? string

local function short(text, most)
  text = text:gsub("%s+", " ")
  if #text > most then text = text:sub(1, most - 3) .. "..." end
  return text
end
site.short = short

--- Fails the evaluation with a `config_error`, which is never retried: what is evaluated is fixed
--- for the run.
---@param at orrery.expr.Site
---@param message string a sentence without its end
function site.fail(at, message)
  local field = at.field and at.field .. " = " or ""
  require "orrery.errors".error {
    code = "config_error", retryable = false,
    message = ('%s, in %s"%s"%s')
      :format(message, field, short(at.source, 80), at.where and (" (%s)"):format(at.where) or ""),
  }
end

--- What a value is, for messages.
---@param value any
---@return string
function site.describe(value)
  local kind = type(value)
  if value == nil then return "nil" end
  if value == null then return "null" end
  if kind == "string" then
    local mask = package.loaded["orrery.mask"] -- before a part is cut off, which would not be known
    return ('the string "%s"'):format(short(mask and mask.text(value) or value, 30))
  end
  if kind == "table" then return require "orrery.core".json.is_array(value) and "an array" or "an object" end
  if kind == "number" or kind == "boolean" then return ("the %s %s"):format(kind, value) end
  return "a " .. kind
end

--- What an operand is that does not fit: `nodes.parse.wind is nil`, or for a literal
--- `the number 3`.
---@param text string the operand as it is written
---@param value any
---@return string
function site.operand(text, value)
  if text:find "^[\"']" or text == tostring(value) then return site.describe(value) end
  return ("%s is %s"):format(short(text, 60), site.describe(value))
end

--- Starts an evaluation: all steps are there again. Evaluations never wait, so one count is enough.
---@param times? integer for so many expressions together; 1 unless another number is given
function site.begin(times)
  budget = STEPS * (times or 1)
  left = budget
end

--- Counts the cost of `items` items.
---@param at orrery.expr.Site
---@param items number
function site.spend(at, items)
  left = left - items
  if left < 0 then
    site.fail(at, ("the expression would look at more than %d items; compute it in a node of its own")
      :format(budget))
  end
end

--- Counts the cost of reading `bytes` of text.
---@param at orrery.expr.Site
---@param bytes number
function site.spend_text(at, bytes)
  site.spend(at, 1 + bytes // BLOCK)
end

--- Refuses to make a text of `bytes`.
---@param at orrery.expr.Site
---@param bytes number
function site.fits(at, bytes)
  if bytes > LONGEST then
    site.fail(at, "the expression would make a text longer than 1 MiB; compute it in a node of its own")
  end
  site.spend_text(at, bytes)
end

return site
