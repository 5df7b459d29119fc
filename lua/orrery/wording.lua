--- Words for the sentences of mistakes: values, lists of names, the nearest right name. Loaded with
--- the first mistake.
local errors = require "orrery.errors"

--- An ending for a sentence: `; did you mean "x"?`, or nothing where no name is near.
---@param wrong any
---@param names string[]
---@return string
function errors.did_you_mean(wrong, names)
  local nearest = type(wrong) == "string" and require("orrery.nearest")(wrong, names)
  return nearest and ('; did you mean "%s"?'):format(nearest) or ""
end

--- The same, but where nothing is near and there are few names, all of them.
---@param wrong any
---@param names string[]
---@return string
function errors.suggest(wrong, names)
  local ending = errors.did_you_mean(wrong, names)
  if ending ~= "" or #names == 0 or #names > 12 then return ending end
  local sorted = table.move(names, 1, #names, 1, {})
  table.sort(sorted)
  return "; expected " .. errors.list(sorted, "or")
end

--- `"a", "b" or "c"`.
---@param names string[]
---@param word string
---@return string
function errors.list(names, word)
  local quoted = {}
  for i, name in ipairs(names) do quoted[i] = '"' .. name .. '"' end
  if #quoted < 2 then return quoted[1] or "nothing" end
  return table.concat(quoted, ", ", 1, #quoted - 1) .. " " .. word .. " " .. quoted[#quoted]
end

local function article(word) return (word:find "^[aeio]" and "an " or "a ") .. word end

--- What a value is, for the end of "expected …, got …": `the string "x"`, `42`, `a table`.
---@param value any
---@return string
function errors.show(value)
  local kind = math.type(value) or type(value)
  if kind == "string" then
    local mask = package.loaded["orrery.mask"] -- before a part is cut off, which would not be known
    if mask then value = mask.text(value) end
    local short = #value > 40 and value:sub(1, 37) .. "..." or value
    return (("the string %q"):format(short):gsub("\\\n", "\\n"))
  end
  if kind == "integer" or kind == "float" or kind == "boolean" then return tostring(value) end
  if kind == "nil" then return "nothing" end
  if value == require("orrery.core").json.null then return "null" end
  return article(kind)
end

return errors
