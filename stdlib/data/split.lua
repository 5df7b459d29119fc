--- `data.split`: one list as several.
local flow = require "orrery"
local sorted_names = require "orrery.stdlib.shared.sorted_names"

local json = flow.json

local TAKEN = { rest = true, rejects = true } -- names in the output

-- Lists of neighbours whose lengths differ by one at most.
local function into_parts(lists, list, count)
  local parts, at = {}, 1
  for i = 1, count do
    local size = #list // count + (i <= #list % count and 1 or 0)
    local part = lists:new()
    for k = at, at + size - 1 do part:push(list[k]) end
    lists:turn()
    parts[i] = part:finish()
    at = at + size
  end
  return json.array(parts)
end

-- The name of the first list whose expression holds.
local function place_of(ctx, row, names, into)
  for i = 1, #names do
    local test = into[names[i]]
    local value = test
    if type(test) == "function" then value = test(ctx, row) end
    if value and value ~= json.null then return names[i] end
  end
  return "rest"
end

local function by_expressions(ctx, lists, list, into)
  local names, made, out = sorted_names(into), { rest = lists:new(), rejects = lists:new() }, {}
  for _, name in ipairs(names) do made[name] = lists:new() end
  for _, row in ipairs(list) do
    local ok, place = pcall(place_of, ctx, row, names, into)
    if ok then
      made[place]:push(row)
    elseif type(place) == "table" and place.code == "config_error" then
      made.rejects:push { row = row, reason = place.message }
    else
      error(place, 0)
    end
    lists:turn()
  end
  for name, each in pairs(made) do out[name] = each:finish() end
  return out
end

return flow.type {
  name = "data.split",
  doc = "Splits a list. parts = N: N lists of neighbours, as equal in length as can be. into = { name = "
    .. "expression }: an object with a list for each name, of the rows for which its expression holds and "
    .. "none of a name before it in the alphabet; rest has those that no list takes, and rejects those, "
    .. "with the reason, on which an expression fails.",
  config = flow.schema { parts = { type = "integer", min = 1, max = 1000000, optional = true },
    into = "object?", rows = "array?" },
  expressions = { into = "row" },
  check = function(config)
    if (config.parts == nil) == (config.into == nil) then
      return "give it parts = N, or into = { name = expression }", "into"
    end
    for name in pairs(type(config.into) == "table" and config.into or {}) do
      if TAKEN[name] then return ("%s is in the output anyway; take another name"):format(name), "into" end
    end
  end,
  examples = { [[flow.data.split { rows = "${nodes.people}", parts = 4 }]],
    [[flow.data.split { rows = "${nodes.people}", into = { adults = "row.age >= 18", children = "row.age < 18" } }]] },
  run = function(ctx, config, inputs)
    local list = flow.rows.list("data.split", config, inputs)
    local lists <close> = flow.rows.lists(ctx, "data.split")
    local out = config.parts and into_parts(lists, list, config.parts)
      or by_expressions(ctx, lists, list, config.into)
    lists:keep()
    return out
  end,
}
