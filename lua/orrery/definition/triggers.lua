--- What starts the runs of a workflow by itself: `triggers = { flow.schedule { … }, flow.hook { …
--- }, flow.watch { … }, flow.after_run { … }, flow.alert { … } }`, and in JSON objects with a
--- `type`. Here they are read and checked; `orrery.schedule.ticker` acts on them, and
--- `orrery.serve.hooks` on hooks.
local alerts = require "orrery.definition.alerts"
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"

local triggers = {}

---@class orrery.Trigger
---@field id string WORKFLOW:NAME
---@field type "schedule"|"hook"|"watch"|"after_run"|"alert"
---@field name string
---@field workflow string
---@field fields table as it was written
---@field times? orrery.Times of a schedule
---@field jitter? number seconds
---@field pause_on_failure? integer failures in a row
---@field input? orrery.template.Compiled
---@field verify? "none"|"standard"|"github"|"stripe"|"token" of a hook, as the fields below
---@field secrets? orrery.Secret[]
---@field start? orrery.template.Compiled whether a delivery starts a run
---@field signal? orrery.template.Compiled the name of the signal that it is
---@field run? orrery.template.Compiled the id of the run that it is for
---@field key? orrery.template.Compiled the key of the run that it starts or is for
---@field wait? number seconds that its sender waits for the run's end
---@field on? string what an alert is about, as the fields below
---@field limit? orrery.AlertLimit
---@field window? number seconds
---@field least? integer runs in the window, below which nothing is said
---@field every? number seconds between two looks
---@field remind? number seconds between two messages while it lasts

---@class orrery.TriggerReader
---@field made orrery.Trigger
---@field secret? fun(name: string): any, string? whether a secret may be used, and why not
---@field where string
---@field say fun(field: string, kind: string, message: string)

local function choice(values)
  return function(r, field, value)
    for _, each in ipairs(values) do
      if each == value then return value end
    end
    r.say(field, "bad_value", ("%s: expected %s, got %s%s"):format(field, errors.list(values, "or"),
      errors.show(value), errors.did_you_mean(value, values)))
  end
end

local function text(r, field, value)
  if type(value) == "string" and value ~= "" then return value end
  r.say(field, "wrong_type", ("%s: expected a text, got %s"):format(field, errors.show(value)))
end

local function seconds(r, field, value)
  local n, message = duration.parse(value)
  if n then return n end
  r.say(field, "bad_value", ("%s: %s"):format(field, message))
end

local function failures(r, field, value)
  if value == true then return 1 end
  if value == false or math.type(value) == "integer" and value >= 1 then return value or nil end
  r.say(field, "bad_value",
    ("%s: expected true, or after how many failures in a row, got %s"):format(field, errors.show(value)))
end

-- A value with templates, which may read what starts the run by one name.
local function template(root)
  return function(r, field, value)
    local compiled, mistakes = require("orrery.expr.template").compile(value,
      { where = r.where, field = field, extra = root })
    for _, mistake in ipairs(mistakes or {}) do
      r.say(mistake.field or field, "bad_template", ("%s: %s"):format(field, mistake.reason
        or mistake.message))
    end
    for name in pairs(compiled and compiled.roots or {}) do
      if name ~= root then
        r.say(field, "bad_value",
          ("%s: it is made before the run begins, so it may use %s, not %s"):format(field,
          root, name))
      end
    end
    return compiled
  end
end

-- A secret. What was given in its place may be one, and is not shown.
local function secret(r, field, value)
  local secrets = require "orrery.secret"
  if secrets.is(value) then return value end
  local name = type(value) == "string" and value:match "^%${%s*secret%.([%a_][%w_]*)%s*}$"
  local good, why = name ~= nil, nil
  if name and r.secret then good, why = r.secret(name) end
  if name and good then return secrets.new(name) end
  if name then return r.say(field, "not_allowed", ("%s: %s"):format(field, why)) end
  r.say(field, "bad_value", ('%s: expected flow.secret "NAME" (in JSON "${secret.NAME}"), whose value is '
    .. "kept nowhere, got a %s"):format(field, type(value)))
end

local MOST_SECRETS = 4 -- two while one takes the place of another; each costs a hash of the body

local function secrets(r, field, value)
  local list, made = value, {}
  if require("orrery.secret").is(value) or type(value) ~= "table" then list = { value } end
  if #list < 1 or #list > MOST_SECRETS then
    r.say(field, "bad_value", ("%s: expected one to %d secrets, got %d"):format(field, MOST_SECRETS, #list))
  end
  for i, each in ipairs(list) do made[i] = secret(r, field, each) end
  return made
end

local function least(r, field, value)
  if math.type(value) == "integer" and value >= 1 then return value end
  r.say(field, "bad_value", ("%s: expected how many runs, got %s"):format(field, errors.show(value)))
end

local STATES = { "completed", "failed", "cancelled", "compensated", "compensation_failed" }

local function states(r, field, value)
  local list = type(value) == "table" and value or { value }
  for _, state in ipairs(list) do choice(STATES)(r, field, state) end
  return list
end

-- kind -> field -> its reader; "!" before a name: it has to be there. `times`: those of
-- `orrery.calendar.times` as well.
local KINDS = {
  schedule = { times = true,
    missed = choice { "none", "last", "all" },
    overlap = choice { "skip", "queue_one", "queue_all", "cancel", "terminate", "allow" },
    jitter = seconds, pause_on_failure = failures, input = template "schedule", },
  hook = {
    verify = choice { "none", "standard", "github", "stripe", "token" }, secrets = secrets,
    start = template "hook", signal = template "hook", run = template "hook", key = template "hook",
    wait = seconds, input = template "hook", },
  watch = { ["!path"] = text, pattern = text, on = choice { "change", "create", "remove" }, settle = seconds,
    overlap = choice { "skip", "queue_one", "allow" }, input = template "trigger", },
  after_run = { ["!workflow"] = text, state = states, input = template "trigger" },
  alert = { ["!on"] = choice(alerts.ON), workflow = text, schedule = text, window = seconds, every = seconds,
    remind = seconds, least = least, input = template "alert" },
}

--- The kinds, in the order in which they are told.
triggers.KINDS = { "schedule", "hook", "watch", "after_run", "alert" }

local function names_of(kind)
  local names = { "name", "type" }
  for field in pairs(KINDS[kind]) do
    if field ~= "times" then names[#names + 1] = (field:gsub("!", "")) end
  end
  if kind == "alert" then names[#names + 1] = "limit" end
  if KINDS[kind].times then
    table.move(require("orrery.calendar.times").FIELDS, 1, 7, #names + 1, names)
  end
  table.sort(names)
  return names
end

--- The fields of a kind, by name.
---@param kind string
---@return string[]
triggers.fields = names_of

--- Makes a trigger: `flow.schedule { … }` and the others.
---@param kind string
---@return fun(fields: table): table
function triggers.maker(kind)
  return function(fields)
    if type(fields) ~= "table" then
      error(("flow.%s takes a table, got %s"):format(kind, errors.show(fields)), 2)
    end
    local made = {}
    for key, value in pairs(fields) do made[key] = value end
    made.type = kind
    return made
  end
end

local function read_times(r, fields)
  local made, problems = require("orrery.calendar.times").read(fields, r.made.id)
  r.made.times = made
  for _, problem in ipairs(problems or {}) do r.say(problem.field, "bad_value", problem.message) end
end

local function a(kind) return (kind:find "^a" and "an " or "a ") .. kind end

local function check_fields(r, kind, fields)
  local known = {}
  for _, name in ipairs(names_of(kind)) do known[name] = true end
  for field in pairs(fields) do
    if not known[field] then
      r.say(tostring(field), "unknown_key", ("%s has no field %q%s"):format(a(kind), tostring(field),
        errors.suggest(field, names_of(kind))))
    end
  end
  for field in pairs(KINDS[kind]) do
    local name = field:match "^!(.*)$"
    if name and fields[name] == nil then
      r.say(name, "missing", ("%s needs %s"):format(a(kind), name))
    end
  end
end

local function check_hook(made, fields, say)
  made.verify = made.verify or "standard"
  if fields.name == nil then say("name", "missing", "a hook needs a name, of which its path is made") end
  if made.verify ~= "none" and fields.secrets == nil then
    say("secrets", "missing", 'a hook needs secrets = flow.secret "NAME", by which it knows its sender; '
      .. 'verify = "none" lets anybody in')
  end
  if made.verify == "none" and fields.secrets ~= nil then
    say("secrets", "bad_value", 'secrets: nothing is verified by them with verify = "none"')
  end
  if fields.start ~= nil and fields.signal ~= nil then
    say("signal", "bad_value", "a hook starts runs or signals one: give start or signal, not both")
  end
  if fields.signal ~= nil and (fields.run == nil) == (fields.key == nil) then
    say("signal", "missing", 'signal: say for which run it is: run = "${hook.body.run}", its id, or key = '
      .. '"${hook.body.order}", its key')
  end
  if fields.run ~= nil and fields.signal == nil then
    say("run", "missing", "run: it is whom a signal is for; give signal as well")
  end
end

--- Reads one trigger. What is wrong with it goes to `say(field, kind, message)`.
---@param fields table with `type`
---@param workflow string
---@param where string
---@param say fun(field: string, kind: string, message: string)
---@param may? fun(name: string): any, string? whether the definition may use a secret; nil: any
---@return orrery.Trigger
function triggers.read(fields, workflow, where, say, may)
  local kind = fields.type
  local name = type(fields.name) == "string" and fields.name or kind
  local made = { type = kind, name = name, workflow = workflow, id = workflow .. ":" .. name,
    fields = fields }
  local r = { made = made, where = where, say = say, secret = may }
  if fields.name ~= nil and not (type(fields.name) == "string" and fields.name:find "^[%w_.-]+$") then
    say("name", "bad_value", "name: expected letters, digits, _, . and -, got " .. errors.show(fields.name))
  end
  check_fields(r, kind, fields)
  for field, read in pairs(KINDS[kind]) do
    local plain = field:gsub("!", "")
    if field ~= "times" and fields[plain] ~= nil then made[plain] = read(r, plain, fields[plain]) end
  end
  if KINDS[kind].times then read_times(r, fields) end
  if kind == "after_run" then
    made.after, made.workflow = fields.workflow, workflow
    made.state = made.state or { "completed" }
    if made.after == workflow then
      say("workflow", "bad_value", "workflow: a run after each of its own runs would never end; name another")
    end
  end
  if kind == "hook" then check_hook(made, fields, say) end
  if kind == "alert" then alerts.read(made, fields, say) end
  return made
end

-- The kind of an entry, or nil after a mistake.
local function kind_of(entry, say)
  if type(entry) ~= "table" or core.json.is_array(entry) then
    say("", "wrong_type", "expected flow.schedule { … } or another trigger, got " .. errors.show(entry))
  elseif not KINDS[entry.type] then
    say(".type", "bad_value", ("type: expected %s, got %s%s"):format(errors.list(triggers.KINDS, "or"),
      errors.show(entry.type), errors.did_you_mean(entry.type, triggers.KINDS)))
  else
    return entry.type
  end
end

-- In JSON null is the same as nothing.
local function without_null(entry)
  local made = {}
  for key, value in pairs(entry) do
    if value ~= core.json.null then made[key] = value end
  end
  return made
end

--- Reads the list of a workflow's triggers.
---@param list any
---@param workflow string
---@param where string
---@param options { json: boolean?, stranger: boolean?, secret: function?, say: fun(field: string, kind: string, message: string) } json:
--- places count from 0; stranger: the definition comes from anybody, and reaches no files;
--- secret: as that of `triggers.read`
---@return orrery.Trigger[]
function triggers.read_all(list, workflow, where, options)
  local made, seen, say = {}, {}, options.say
  if type(list) ~= "table" or not core.json.is_array(list) and #list == 0 and next(list) ~= nil then
    say("triggers", "wrong_type", "triggers: expected a list, { flow.schedule { … } }, got "
      .. errors.show(list))
    return made
  end
  for i, entry in ipairs(list) do
    local place = ("triggers[%d]"):format(options.json and i - 1 or i)
    local function note(field, kind, message)
      local dot = (field == "" or field:find "^[.%[]") and "" or "."
      say(place .. dot .. field, kind, ("%s: %s"):format(place, message))
    end
    local kind = kind_of(entry, note)
    if kind == "watch" and options.stranger then
      note(".path", "not_allowed", "a definition that is data watches no files")
    elseif kind then
      local trigger = triggers.read(without_null(entry), workflow, where, note, options.secret)
      if seen[trigger.id] then
        note("name", "bad_value",
          ('another trigger is called "%s" as well; give each a name'):format(trigger.name))
      end
      seen[trigger.id] = true
      made[#made + 1] = trigger
    end
  end
  return made
end

return triggers
