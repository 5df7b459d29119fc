--- `switch`: one of several named outcomes.
---
--- By conditions, `cases = { { gold = "input.total > 100" }, { silver = "input.total > 50" } }`:
--- the first that holds, in the order of the list. Where only one can hold,
--- `cases = { gold = "…", silver = "…" }` is enough; those are tried in alphabetical order.
--- By value, `value = "${input.country}", map = { DE = "europe", FR = "europe" }`.
local flow = require "orrery"

-- The cases as a list of {name, test}.
local function case_list(cases)
  local list = {}
  if type(cases) ~= "table" then return list end
  for i, case in ipairs(cases) do
    if type(case) == "table" then
      for name, test in pairs(case) do list[#list + 1] = { name = name, test = test, at = i } end
    end
  end
  for name, test in pairs(cases) do
    if type(name) == "string" then list[#list + 1] = { name = name, test = test, at = #cases + 1 } end
  end
  table.sort(list, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return tostring(a.name) < tostring(b.name)
  end)
  return list
end

local TESTS = { string = true, boolean = true, ["function"] = true }

-- What is wrong with the conditions or with the map, and the key it is about.
local function mistake(config)
  if config.cases == nil and config.map == nil then
    return "it has nothing to choose by; give it cases, or value and map"
  elseif config.cases ~= nil and config.map ~= nil then
    return "it has both cases and map; keep one of them", "map"
  elseif config.cases ~= nil and #case_list(config.cases) == 0 then
    return 'cases: expected conditions by outcome, { { gold = "input.total > 100" }, … }', "cases"
  end
  for _, case in ipairs(case_list(config.cases)) do
    if type(case.name) ~= "string" or not TESTS[type(case.test)] then
      return ("cases: expected an outcome's name and its condition, { gold = \"input.total > 100\" }, got %s "
        .. "and a %s"):format(
        tostring(case.name), type(case.test)), "cases"
    end
  end
  for key, name in pairs(type(config.map) == "table" and config.map or {}) do
    if type(name) ~= "string" then
      return ("map: expected an outcome's name for %s, got a %s"):format(tostring(key), type(name)), "map"
    end
  end
end

local function outcomes(config)
  local names, seen = {}, {}
  local function add(name)
    if type(name) == "string" and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  for _, case in ipairs(case_list(config.cases)) do add(case.name) end
  for _, name in pairs(type(config.map) == "table" and config.map or {}) do add(name) end
  add(config.default)
  table.sort(names)
  return names
end

local function by_cases(ctx, cases)
  for _, case in ipairs(case_list(cases)) do
    local test = case.test
    if type(test) == "function" then test = test(ctx) end
    if test then return case.name end
  end
end

local function choose(ctx, config)
  if config.cases ~= nil then return by_cases(ctx, config.cases) end
  local name = config.map[config.value]
  if name == nil and config.value ~= nil then name = config.map[tostring(config.value)] end
  return name
end

return flow.type {
  name = "switch",
  doc = 'Chooses one of its named outcomes, which others depend on with after = "route:gold". Its output is '
    .. 'the name. '
    .. "Where nothing fits and there is no default, no outcome is taken and all that depend on one are "
      .. "skipped.",
  config = flow.schema { cases = "any?", value = "any?", map = "object?", default = "string?" },
  expressions = { "cases" },
  outcomes = outcomes,
  check = mistake,
  examples = {
    [[flow.switch { cases = { { gold = "input.total > 100" }, { silver = "input.total > 50" } }, default = "plain" }]],
    [[flow.switch { value = "${input.country}", map = { DE = "europe", FR = "europe" }, default = "world" }]],
  },
  run = function(ctx, config)
    local name = choose(ctx, config) or config.default
    if name ~= nil then return flow.outcome(name, name) end
  end,
}
