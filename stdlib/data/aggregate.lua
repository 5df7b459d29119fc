--- `data.aggregate`: counts, sums and other figures of rows, for each key or for all.
local flow = require "orrery"

local SIZE = 500      -- groups of a chunk
local KNOWN = 20000   -- groups that are summed up as rows come; the rows of others are sorted first

-- ---- figures ------------------------------------------------------------------------------------

local function is_there(value) return value ~= nil and value ~= flow.json.null end

local function number_of(row, spec)
  local value = row[spec.field]
  if not is_there(value) then return nil end
  if type(value) == "number" then return value end
  flow.error { code = "aggregate_error", retryable = false, details = { row = row },
    message = ("data.aggregate: %s = %s of %s: expected numbers, got %s; csv.read gives columns types")
      :format(spec.name, spec.kind, spec.field, flow.json.encode(value)) }
end

local function sum_of(a, b)
  local sum = a + b
  if math.type(sum) == "integer" and (a ~ sum) & (b ~ sum) < 0 then return a + 0.0 + b end -- it does not fit
  return sum
end

-- kind -> { a new state, with a row, the figure }. What is missing does not count.
local KINDS = {
  count = {
    take = function(state, row, spec)
      if not spec.field or is_there(row[spec.field]) then state.n = state.n + 1 end
    end,
    value = function(state) return state.n end,
  },
  sum = {
    take = function(state, row, spec)
      local value = number_of(row, spec)
      if not value then return end
      state.sum = sum_of(state.sum or 0, value)
    end,
    value = function(state) return state.sum or 0 end,
  },
  mean = {
    take = function(state, row, spec)
      local value = number_of(row, spec)
      if value then state.n, state.sum = state.n + 1, (state.sum or 0.0) + value end
    end,
    value = function(state) return state.n > 0 and state.sum / state.n or nil end,
  },
  min = {
    take = function(state, row, spec)
      local value = row[spec.field]
      if not is_there(value) then return end
      local key = flow.rows.sort_key(row, spec.names)
      if not state.key or key < state.key then state.key, state.best = key, value end
    end,
    value = function(state) return state.best end,
  },
  max = {
    take = function(state, row, spec)
      local value = row[spec.field]
      if not is_there(value) then return end
      local key = flow.rows.sort_key(row, spec.names)
      if not state.key or key > state.key then state.key, state.best = key, value end
    end,
    value = function(state) return state.best end,
  },
}

-- The figures of config: name -> "count", "sum FIELD", "p95 FIELD", in the order of their names.
local function read_specs(figures)
  local specs = {}
  for name, text in pairs(figures) do
    local kind, field = tostring(text):match "^%s*(%S+)%s*(.-)%s*$"
    local percent = kind and tonumber(kind:match "^p(%d+%.?%d*)$")
    if kind == "median" then percent = 50 end
    if not (KINDS[kind] or percent and percent <= 100) or field == "" and kind ~= "count" then
      return nil, ('figures.%s: expected "count", or sum, mean, min, max, median or p0 to p100 and a field, '
        .. 'such as '
        .. '"p95 seconds", got %q'):format(name, tostring(text))
    end
    specs[#specs + 1] = { name = name, kind = kind, field = field ~= "" and field or nil, percent = percent,
      names = { field } }
  end
  table.sort(specs, function(a, b) return a.name < b.name end)
  return specs
end

-- ---- percentiles --------------------------------------------------------------------------------

-- The values of one field by group and size, from which groups take theirs in the order of their
-- keys.
-- Between two values it is interpolated, as spreadsheets and NumPy do.
local function new_percentiles(stage, config, spec)
  local self, sort_key = { sorter = stage:sorter(config.memory) }, flow.rows.sort_key
  function self.take(key, row)
    local value = number_of(row, spec)
    if value then self.sorter:add(key .. sort_key(row, spec.names), value) end
  end
  local items, keys, at = {}, {}, 1
  local function peek()
    if items and at > #items then
      items, keys = self.sorter:next(SIZE)
      at = 1
    end
    return items and keys[at]
  end
  -- All values of a group, sorted: their keys begin with the group's, which begins no other's.
  function self.values(key)
    local values = {}
    local item = peek()
    while item and item:sub(1, #key) == key do
      values[#values + 1] = items[at]
      at = at + 1
      item = peek()
    end
    return values
  end
  return self
end

local function percentile(values, percent)
  if #values == 0 then return nil end
  local place = 1 + (#values - 1) * percent / 100
  local low = math.floor(place)
  local a, b = values[low], values[math.min(low + 1, #values)]
  return a + (b - a) * (place - low)
end

-- ---- groups -------------------------------------------------------------------------------------

local function new_states(row, by, specs)
  local states = { key = {} }
  for i, name in ipairs(by) do states.key[i] = row[name] end
  for i = 1, #specs do states[i] = { n = 0 } end
  return states
end

local function add(states, row, specs)
  for i = 1, #specs do
    local kind = KINDS[specs[i].kind]
    if kind then kind.take(states[i], row, specs[i]) end
  end
end

local function finished(states, key, by, specs, percentiles)
  local made, cache = {}, {}
  for i, name in ipairs(by) do made[name] = states.key[i] end
  for i, spec in ipairs(specs) do
    if spec.percent then
      cache[spec.field] = cache[spec.field] or percentiles[spec.field].values(key)
      made[spec.name] = percentile(cache[spec.field], spec.percent)
    else
      made[spec.name] = KINDS[spec.kind].value(states[i])
    end
  end
  return made
end

-- The groups in the order of their keys: those that are known, and between them those of the rows
-- that were sorted.
local function merged(known, overflow, by, specs)
  local keys = {}
  for key in pairs(known) do keys[#keys + 1] = key end
  table.sort(keys)
  local at, items, item_keys, i = 1, {}, {}, 1
  local function peek()
    if overflow and items and i > #items then items, item_keys = overflow:next(SIZE) i = 1 end
    return overflow and items and item_keys[i]
  end
  return function()
    local key = peek()
    if keys[at] and (not key or keys[at] < key) then
      at = at + 1
      return keys[at - 1], known[keys[at - 1]]
    end
    if not key then return nil end
    local states = new_states(items[i], by, specs)
    while peek() == key do
      add(states, items[i], specs)
      i = i + 1
    end
    return key, states
  end
end

return flow.type {
  name = "data.aggregate",
  errors = { "aggregate_error" },
  doc = "Sums rows up: figures = { n = \"count\", total = \"sum amount\", slow = \"p95 seconds\" }, with "
    .. "count, sum, mean, min, max, median, and percentiles from p0 to p100, for all rows, or for each key "
    .. "that by names, in the order of the keys. Fields that are missing do not count. What does not fit "
    .. "in 16 MiB of memory lies in a file. Fails with \"aggregate_error\" where a figure needs numbers "
    .. "and gets others.",
  config = flow.schema { by = "string|string[]?", figures = "object", rows = "array?",
    memory = { type = "integer", default = 16 * 1024 * 1024, min = 0, doc = "bytes" } },
  examples = {
    [[flow.data.aggregate { by = "country", figures = { people = "count", oldest = "max age", middle = "median age" } }]],
  },
  check = function(config)
    if type(config.figures) == "string" then return nil end -- a template
    local specs, message = read_specs(config.figures)
    if not specs then return message, "figures" end
  end,
  stage = function(config, rows, stage)
    local by = config.by == nil and {} or type(config.by) == "table" and config.by or { config.by }
    local specs, percentiles = read_specs(config.figures), {}
    for _, spec in ipairs(specs) do
      if spec.percent and not percentiles[spec.field] then
        percentiles[spec.field] = new_percentiles(stage, config, spec)
      end
    end
    local known, count, overflow = {}, 0, nil

    local function take(row)
      local key = flow.rows.sort_key(row, by)
      for _, values in pairs(percentiles) do values.take(key, row) end
      local states = known[key]
      if not states then
        if count >= math.min(KNOWN, config.memory // 256) then
          overflow = overflow or stage:sorter(config.memory)
          return overflow:add(key, row)
        end
        states, count = new_states(row, by, specs), count + 1
        known[key] = states
      end
      add(states, row, specs)
    end

    local next_group
    local function begin()
      for chunk in rows do
        for i = 1, #chunk do take(chunk[i]) end
      end
      if #by == 0 and count == 0 and not overflow then
        known[flow.rows.sort_key({}, by)] = new_states({}, by, specs)
      end
      next_group = merged(known, overflow, by, specs)
      local names = table.move(by, 1, #by, 1, {})
      for _, spec in ipairs(specs) do names[#names + 1] = spec.name end
      stage:columns(names)
    end

    return function()
      if not next_group then begin() end
      local chunk = {}
      while #chunk < SIZE do
        local key, states = next_group()
        if not key then break end
        chunk[#chunk + 1] = finished(states, key, by, specs, percentiles)
      end
      return #chunk > 0 and chunk or nil
    end
  end,
}
