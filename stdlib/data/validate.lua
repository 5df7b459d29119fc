--- `data.validate`: which items of a list fit a schema and rules.
local flow = require "orrery"
local sorted_names = require "orrery.stdlib.shared.sorted_names"

local MOST_TOLD = 3   -- problems of an item in the message of an error

-- ---- one item -----------------------------------------------------------------------------------

-- What a rule says of an item: nothing, or a problem. An expression that fails does not hold.
local function broken(name, rule, ctx, item)
  local good, holds, why = pcall(rule, ctx, item)
  if not good then
    if type(holds) ~= "table" or holds.code ~= "config_error" then error(holds, 0) end
    holds, why = false, holds.message
  end
  if holds and holds ~= flow.json.null then return nil end
  return { kind = "rule", path = "", rule = name,
    message = type(why) == "string" and why or ("the rule %q does not hold"):format(name) }
end

--- A function of an item that returns it, with the defaults of the schema, or nil and what is wrong
--- with it, { path, message, kind } each.
local function judge_of(ctx, config)
  local schema = config.schema ~= nil and flow.schema(config.schema, { formats = config.formats }) or nil
  local rules, names = config.rules or {}, sorted_names(config.rules)
  return function(item)
    local value, problems = item, nil
    if schema then value, problems = schema:check(item) end
    if problems then return nil, problems end
    for i = 1, #names do
      local problem = broken(names[i], rules[names[i]], ctx, value)
      if problem then
        problems = problems or {}
        problems[#problems + 1] = problem
      end
    end
    if problems then return nil, problems end
    return value
  end
end

local function reason_of(problems)
  local words = {}
  for i = 1, math.min(#problems, MOST_TOLD) do words[i] = problems[i].message end
  local more = #problems > MOST_TOLD and ("; and %d more"):format(#problems - MOST_TOLD) or ""
  return table.concat(words, "; ") .. more
end

local function plain(problems)
  local list = {}
  for k, each in ipairs(problems) do
    list[k] = { path = each.path, message = each.message, kind = each.kind, schema = each.schema,
      rule = each.rule }
  end
  return flow.json.array(list)
end

-- ---- rows ---------------------------------------------------------------------------------------

local function refuse(stage, index, row, problems)
  local reason, told = reason_of(problems), plain(problems)
  if stage.config.rejects then
    return stage:reject(row, reason, nil, { index = index, problems = told })
  end
  flow.error { code = "invalid_data", retryable = false, details = { index = index, problems = told },
    message = ("item %d does not fit: %s"):format(index, reason) }
end

-- The columns with those that defaults have added to a row.
local function add_columns(stage, row)
  local known, added = stage:columns(), {}
  if not known or type(row) ~= "table" then return end
  local seen = {}
  for _, name in ipairs(known) do seen[name] = true end
  for name in pairs(row) do
    if not seen[name] then added[#added + 1] = name end
  end
  if #added == 0 then return end
  table.sort(added)
  stage:columns(table.move(added, 1, #added, #known + 1, table.move(known, 1, #known, 1, {})))
end

local function mistake(config)
  if config.schema == nil and config.rules == nil then
    return "it has nothing to judge by; give it a schema or rules"
  end
  if config.schema ~= nil then
    local good, message = pcall(flow.schema, config.schema, { formats = config.formats })
    if not good then return "schema: " .. tostring(message):gsub("^.-schema: ", ""), "schema" end
  end
  for name, rule in pairs(type(config.rules) == "table" and config.rules or {}) do
    if type(rule) ~= "function" and type(rule) ~= "string" then
      return ("rules: expected an expression or a function for %s, got a %s"):format(tostring(name),
        type(rule)),
        "rules"
    end
  end
end

return flow.type {
  name = "data.validate",
  errors = { "invalid_data" },
  doc = "Judges rows, or items of any kind, by a schema (a JSON Schema, or the shorthand of flow.schema) "
    .. "and by rules, expressions that read row or functions. Outputs { rows, rejects }: the items that "
    .. "fit, with the schema's defaults, and of each other one { index, row, reason, problems }. With "
    .. "rejects = FILE those are kept there, and the output is the list. With rejects = false the first "
    .. "item that does not fit fails the node with \"invalid_data\".",
  config = flow.schema {
    rows = { type = "array", optional = true,
      doc = "the items; the output of the only node before it, where it is not given" },
    schema = { type = "any", optional = true, doc = "what an item looks like" },
    rules = { type = "object", optional = true,
      doc = "name -> expression, or function(ctx, item), which returns whether it holds, and a reason" },
    formats = { type = "boolean", default = false, doc = "whether `format` in a JSON Schema is asserted" },
    rejects = { type = "string|boolean", default = true },
  },
  expressions = { rules = "row" },
  check = mistake,
  output = { rows = "array", rejects = { type = "array",
    items = { index = "integer", row = "any", reason = "string",
    problems = "object[]" } } },
  examples = {
    [[flow.data.validate { rows = "${nodes.people}", schema = { name = "string", age = "integer?" } }]],
    [[flow.data.validate { after = "read", formats = true, rules = { adult = "row.age >= 18" }, schema = {
  ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
  type = "object", required = { "email" }, properties = { email = { format = "email" } } } }]],
  },
  stage = function(config, rows, stage)
    local judge, index, begun = judge_of(stage.ctx, config), 0, false
    return function()
      local chunk = rows()
      if not chunk then return nil end
      local fit, n = {}, 0
      for i = 1, #chunk do
        index = index + 1
        local value, problems = judge(chunk[i])
        if problems then
          refuse(stage, index, chunk[i], problems)
        else
          n = n + 1
          fit[n] = value
        end
      end
      if n > 0 and not begun then
        begun = true
        add_columns(stage, fit[1])
      end
      return fit
    end
  end,
}
