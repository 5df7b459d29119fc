--- `data.normalize`: fields in one form.
local flow = require "orrery"
local refuse = require "orrery.stdlib.shared.refuse"

local null = flow.json.null

-- ---- steps --------------------------------------------------------------------------------------

-- A step is a function(argument) that gives a function(value), or nil and a mistake. That gives the
-- new value, or nil and why there is none.

local function trim(text) return text:match "^%s*(.*%S)" or "" end

local function squeeze(text) return (trim(text):gsub("%s+", " ")) end

-- What is no text stays as it is.
local function of_texts(fn)
  return function()
    return function(value)
      if type(value) ~= "string" then return value end
      return fn(value)
    end
  end
end

local function unicode(form)
  return of_texts(function(text) return flow.rows.unicode(text, form) end)
end

-- Modules are loaded where they are used.
local function shared(name) return require("orrery.stdlib.shared." .. name) end

local function read_number(name)
  return function(decimal)
    local numbers = shared "numbers"
    local mistake = numbers.mistake(decimal)
    if mistake then return nil, mistake end
    return function(value)
      if type(value) == "string" then return numbers[name](value, decimal) end
      local fits = type(value) == "number" and (name == "read" or math.tointeger(value))
      if not fits then return nil, name == "read" and "it is no number" or "it is no whole number" end
      return name == "read" and value or math.tointeger(value)
    end
  end
end

local function date(text)
  local dates = shared "dates"
  local formats, mistake = dates.formats(text)
  if not formats then return nil, mistake end
  return function(value)
    if type(value) ~= "string" then return nil, "it is no date" end
    return dates.normal(value, formats)
  end
end

local function phone(region)
  local phones = shared "phones"
  local mistake = phones.mistake(region)
  if mistake then return nil, mistake end
  return function(value)
    if math.type(value) == "integer" then value = tostring(value) end
    if type(value) ~= "string" then return nil, "it is no phone number" end
    return phones.normal(value, region)
  end
end

local function email()
  local addresses = shared "addresses"
  return function(value)
    if type(value) ~= "string" then return nil, "it is no e-mail address" end
    return addresses.normal(value)
  end
end

local STEPS = {
  trim = of_texts(trim), squeeze = of_texts(squeeze),
  empty = of_texts(function(text) if text ~= "" then return text end end),
  nfc = unicode "nfc", lower = unicode "lower", upper = unicode "upper",
  number = read_number "read", integer = read_number "whole", date = date, email = email, phone = phone,
}
local TAKES = { number = true, integer = true, date = true, phone = true } -- an argument

local NAMES = {}
for name in pairs(STEPS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

-- ---- fields -------------------------------------------------------------------------------------

-- One step as it is written, "date DD.MM.YYYY".
local function read_step(text)
  local name, argument = tostring(text):match "^%s*(%S*)%s*(.-)%s*$"
  if argument == "" then argument = nil end
  if not STEPS[name] then
    return nil, ("there is no step %q; there are %s"):format(name, table.concat(NAMES, ", "))
  end
  if argument and not TAKES[name] then return nil, ("%s takes nothing, got %q"):format(name, argument) end
  local fn, mistake = STEPS[name](argument)
  if not fn then return nil, ("%s: %s"):format(name, mistake) end
  return { name = name, fn = fn }
end

local function read_steps(list)
  local steps = {}
  for i, text in ipairs(type(list) == "table" and list or { list }) do
    local step, mistake = read_step(text)
    if not step then return nil, mistake end
    steps[i] = step
  end
  return steps
end

-- Names of fields in their order with their steps; nil, a mistake and its key.
local function read_fields(config)
  local fields = {}
  for name, list in pairs(config.fields or {}) do
    local steps, mistake = read_steps(list)
    if not steps then return nil, ("fields.%s: %s"):format(name, mistake), "fields" end
    fields[#fields + 1] = { name = name, steps = steps }
  end
  table.sort(fields, function(a, b) return a.name < b.name end)
  return fields
end

-- Whether a text in it is known only when the node runs.
local function is_template(value)
  if type(value) == "string" then return value:find("${", 1, true) ~= nil end
  for _, inner in pairs(type(value) == "table" and value or {}) do
    if is_template(inner) then return true end
  end
  return false
end

-- A value after all steps; nil and why there is none. What is missing stays so.
local function apply(value, steps)
  for i = 1, #steps do
    if value == nil or value == null then return value end
    local reason
    value, reason = steps[i].fn(value)
    if value == nil and reason then return nil, ("%s: %s"):format(steps[i].name, reason) end
  end
  return value
end

local function shown(value)
  local text = tostring(value)
  return #text > 60 and text:sub(1, 57) .. "..." or text
end

-- The row in its new form; nil and what is wrong.
local function normalized(row, fields, texts)
  local made = flow.rows.copy(row)
  if #texts > 0 then
    for name, value in next, row do
      if type(value) == "string" then
        local new, reason = apply(value, texts)
        if reason then return nil, ("%s = %q: %s"):format(name, shown(value), reason) end
        made[name] = new
      end
    end
  end
  for i = 1, #fields do
    local name = fields[i].name
    local new, reason = apply(made[name], fields[i].steps)
    if reason then return nil, ("%s = %q: %s"):format(name, shown(row[name]), reason) end
    made[name] = new
  end
  return made
end

return flow.type {
  name = "data.normalize",
  errors = { "invalid_data", "unicode_unavailable", "file_error" },
  doc = "Puts fields into one form: fields = { name = step }, or a list of steps. Steps are trim, squeeze "
    .. "(and one blank for all white space inside), empty (an empty text is a missing field), nfc "
    .. "(Unicode), lower, upper; number and integer, with \",\" behind it where that is the decimal mark; "
    .. "date, to ISO 8601, with other formats behind it, \"date DD.MM.YYYY|D MMM YYYY\"; email; phone, to "
    .. "E.164, with the region behind it of numbers without a calling code, \"phone DE\". texts are steps "
    .. "for all texts, before those. What is missing stays so. A row that has no such form is rejected "
    .. "where rejects says so, a file or true, and fails the node with \"invalid_data\" otherwise.",
  config = flow.schema { fields = "object?", texts = "string|string[]?", rows = "array?",
    rejects = "string|boolean?" },
  check = function(config)
    if config.fields == nil and config.texts == nil then
      return "it has no steps; give it fields = { name = \"trim\" }, or texts = \"trim\"", "fields"
    end
    local _, mistake, key
    if not is_template(config.fields) then _, mistake, key = read_fields(config) end
    if mistake then return mistake, key end
    if config.texts ~= nil and not is_template(config.texts) then
      _, mistake = read_steps(config.texts)
      if mistake then return "texts: " .. mistake, "texts" end
    end
  end,
  examples = {
    [[flow.data.normalize { rows = "${nodes.people}", texts = { "nfc", "squeeze" }, rejects = true,
  fields = { mail = { "email", "lower" }, phone = "phone DE", born = "date DD.MM.YYYY", price = "number ," } }]],
  },
  stage = function(config, rows, stage)
    local fields, texts = read_fields(config), read_steps(config.texts or {})
    return function()
      local chunk = rows()
      if not chunk then return nil end
      local made = {}
      for i = 1, #chunk do
        local row, reason = normalized(chunk[i], fields, texts)
        if row then made[#made + 1] = row
        else refuse(stage, chunk[i], reason) end
      end
      return made
    end
  end,
}
