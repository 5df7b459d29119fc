--- `merge`: several values as one.
local flow = require "orrery"

-- What is merged: the given values in their order, or the outputs of all dependencies in the order of their names.
local function sources(config, inputs)
  if config.values ~= nil then
    local n = 0
    for k in pairs(config.values) do n = math.max(n, k) end
    return config.values, n
  end
  local names, values = {}, {}
  for name in pairs(inputs) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do values[i] = inputs[name] end
  return values, #names
end

local function present(value) return value ~= nil and value ~= flow.json.null end

local function expect(value, what, is)
  if is then return end
  flow.error { code = "merge_error", retryable = false,
    message = ("merge: expected only %ss, got a %s; choose another `as`"):format(what, type(value)) }
end

local MODES = {
  object = function(values, n)
    local merged = {}
    for i = 1, n do
      local value = values[i]
      if present(value) then
        expect(value, "object", type(value) == "table" and not flow.json.is_array(value))
        for key, inner in pairs(value) do merged[key] = inner end
      end
    end
    return flow.json.object(merged)
  end,
  array = function(values, n)
    local merged = {}
    for i = 1, n do
      local value = values[i]
      if present(value) then
        expect(value, "array", flow.json.is_array(value))
        table.move(value, 1, #value, #merged + 1, merged)
      end
    end
    return flow.json.array(merged)
  end,
  list = function(values, n)
    local merged = {}
    for i = 1, n do
      if present(values[i]) then merged[#merged + 1] = values[i] end
    end
    return flow.json.array(merged)
  end,
}

return flow.type {
  name = "merge",
  doc = "Merges values, or the outputs of its dependencies in the order of their names. as = \"object\": one object, later keys "
    .. 'win. "array": the arrays joined. "list": an array with one element for each value. Absent ones are left out.',
  config = flow.schema { values = "array?", as = { enum = { "object", "array", "list" }, default = "object" } },
  examples = {
    [[flow.merge { after = { "user", "orders" } }]],
    [[flow.merge { as = "array", values = { "${nodes.first}", "${nodes.second}" } }]],
  },
  run = function(_, config, inputs)
    local values, n = sources(config, inputs)
    return MODES[config.as](values, n)
  end,
}
