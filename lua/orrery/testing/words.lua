--- The words of an assertion as busted has them: those that only make a sentence of it are left
--- out, `not` and `no` turn it round.
local LINKS = { is = true, are = true, was = true, were = true, has = true, have = true, does = true,
  be = true, been = true, a = true, an = true, the = true }
local NEGATIONS = { ["not"] = true, no = true }

---@class orrery.testing.Words
---@field name string what is left, joined by _
---@field negated boolean

--- Adds words to those that were read.
---@param before orrery.testing.Words
---@param text string "is_not_nil"
---@return orrery.testing.Words
local function read(before, text)
  local name, negated = before.name, before.negated
  for word in text:gmatch "[^_]+" do
    if NEGATIONS[word] then
      negated = not negated
    elseif not LINKS[word] then
      name = name == "" and word or name .. "_" .. word
    end
  end
  return { name = name, negated = negated }
end

return read
