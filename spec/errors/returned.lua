-- Mistakes whose sentence a function returns, for whoever asked it to report.
local functions = require "spec.errors.functions"
local message = require "spec.errors.message"
local words = require "spec.errors.words"

local returned = {}

-- The kind that is added to it, by file and function. The message is the last value of a `return`.
local KINDS = {
  ["lua/orrery/definition/workflow_problems.lua"] = { name_problem = "bad_name",
    spec_problem = "not_a_node" },
  ["lua/orrery/definition/pool_fields.lua"] = { read = "bad_value" },
  ["lua/orrery/definition/saga.lua"] = { node_of = "bad_step" },
  ["lua/orrery/definition/retry_policy.lua"] = { one_of = "bad_value", count = "bad_value",
    factor = "bad_value", codes = "bad_value" },
}
-- Files with a table of functions by kind. The message is the first value of a `return`.
local TABLES = { ["lua/orrery/definition/plan_problems.lua"] = true }

local ENDS = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

-- The values of the `return` at i.
local function values_at(list, i)
  local parts, depth, from = {}, 0, i + 1
  for k = i + 1, #list do
    local word = list[k]
    local sign = word.kind == "sign" and word.text
    if sign == "(" or sign == "{" or sign == "[" then depth = depth + 1 end
    if sign == ")" or sign == "}" or sign == "]" then depth = depth - 1 end
    local over = depth == 0 and word.kind == "name" and ENDS[word.text]
    if over or depth == 0 and sign == "," then
      if k > from then parts[#parts + 1] = { from = from, to = k - 1 } end
      from = k + 1
    end
    if over then return parts end
  end
  return parts
end

local function kind_at(file, i)
  local of_file = KINDS[file.path]
  if not of_file and not TABLES[file.path] then return nil end
  local fn = functions.around(file.functions, i, function(fn)
    return of_file and of_file[fn.name] or not of_file and fn.field
  end)
  return fn and (of_file and of_file[fn.name] or fn.field)
end

--- The mistake that a `return` at word i hands back, or nil.
--- @param file table { path, words, functions }
--- @param i integer
--- @return table|nil report
function returned.at(file, i)
  local kind = words.follow(file.words, i, "return") and kind_at(file, i)
  if not kind then return nil end
  local values = values_at(file.words, i)
  local value = values[TABLES[file.path] and 1 or #values]
  local parts = value and message.read(file.words, value, {})
  if not parts or not message.text(parts) then return nil end
  return { what = "kind", names = { { text = kind } }, parts = parts, line = file.words[i].line }
end

return returned
