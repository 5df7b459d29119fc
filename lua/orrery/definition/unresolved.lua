--- Where a value of config that does not fit has come from: the template that gave it, and the
--- nodes in it that have no output, which is what most often is missing.
local site = require "orrery.expr.site"

local LONGEST = 80 -- bytes of a template that is shown

local PATTERNS = { "nodes%.([%a_][%w_]*)", 'nodes%["([^"]+)"%]', "nodes%['([^']+)'%]" }

local ENDS = { skipped = "was skipped", failed = "has failed", cancelled = "was cancelled" }

-- "upload was skipped", of the nodes that a template names and that have not completed.
local function without_output(text, ctx)
  local list, seen = {}, {}
  for _, pattern in ipairs(PATTERNS) do
    for name in text:gmatch(pattern) do
      local ok, state = pcall(function() return ctx.states[name] end)
      if ok and state and state ~= "completed" and not seen[name] then
        list[#list + 1] = ("%s %s"):format(name, ENDS[state] or "has no output yet")
      end
      seen[name] = true
    end
  end
  return table.concat(list, ", ")
end

--- The end of the sentence that says what is wrong with a value; empty where it is of no template.
---@param texts table<string, string> what is written, by key of config
---@param problem orrery.schema.Problem
---@param ctx orrery.Context
---@return string
return function(texts, problem, ctx)
  local text = texts[problem.field:match "^[^.%[]+"]
  if not text then return "" end
  local nodes = without_output(text, ctx)
  return (', from "%s"%s'):format(site.short(text, LONGEST), nodes ~= "" and ", where " .. nodes or "")
end
