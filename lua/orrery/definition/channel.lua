--- Channels of `notify`: each is a node type `notify.NAME` that takes a message and what the
--- channel
--- itself needs. The library's own are declared with it, and so are a user's.
local errors = require "orrery.errors"
local types = require "orrery.definition.type"
local where = require "orrery.where"

local channel = {}

local LEVELS = { "debug", "info", "warn", "error" }

-- What every channel takes.
local COMMON = {
  message = { type = "any", doc = "a text; any other value is sent as JSON" },
  title = "string?",
  level = { enum = LEVELS, default = "info" },
  fields = { type = "object", optional = true, doc = "names and values beside the message" },
}

local FIELDS = { name = "string", doc = "string", config = "table", send = "function", like = "string",
  with = "table", check = "function", examples = "table", errors = "table" }

local declared = {} -- name -> what was given for it

local function names_of(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function refuse(place, message)
  errors.raise { { kind = "bad_value", where = place, message = "flow.channel: " .. message } }
end

local function check(t, place)
  if type(t) ~= "table" then refuse(place, "expected a table, got " .. errors.show(t)) end
  for key, value in pairs(t) do
    local expected = FIELDS[key]
    if type(value) ~= expected then
      refuse(place, expected and ("%s is a %s, got %s"):format(key, expected, errors.show(value))
        or ("unknown field %q%s"):format(tostring(key), errors.suggest(key, names_of(FIELDS))))
    end
  end
  if not (t.name or ""):find "^[%a_][%w_]*$" then
    refuse(place, 'name is a word of letters, digits and _, such as "pager"; got ' .. errors.show(t.name))
  end
  if (t.send == nil) == (t.like == nil) then
    refuse(place, "give either send, a function(ctx, config), or like, the name of another channel")
  end
end

-- The channel that another one is made of, with a part of its config given once and for all.
local function made_of(t, place)
  local base = declared[t.like]
  if not base then
    refuse(place, ("there is no channel %q%s"):format(t.like, errors.suggest(t.like, names_of(declared))))
  end
  local given, config = t.with or {}, {}
  for name, kind in pairs(base.config or {}) do config[name] = given[name] == nil and kind or nil end
  for name in pairs(given) do
    if (base.config or {})[name] == nil then
      refuse(place, ("with: channel %q has no key %q%s"):format(t.like, name,
        errors.suggest(name, names_of(base.config or {}))))
    end
  end
  local fixed = given.url or given.server or given.host -- where it goes
  local made = { doc = t.doc or base.doc, errors = base.errors, config = config, open = not fixed }
  function made.send(ctx, values)
    local all = {}
    for name, value in pairs(values) do all[name] = value end
    for name, value in pairs(given) do all[name] = value end
    -- as a node's own config is: with defaults, and with the values of secrets
    return base.send(ctx, types.check(base.type, require("orrery.secret").resolve(all)))
  end
  return made
end

local function config_of(own, place)
  local config = {}
  for name, kind in pairs(COMMON) do config[name] = kind end
  for name, kind in pairs(own or {}) do
    if COMMON[name] ~= nil then refuse(place,
      ("config: every channel has the key %q already"):format(name)) end
    config[name] = kind
  end
  return config
end

-- In `return flow.channel { … }` the call leaves no trace of where it stood; its function does.
local function place_of(t)
  local info = type(t) == "table" and type(t.send) == "function" and debug.getinfo(t.send, "S")
  if info and info.linedefined > 0 then return where.text(info.short_src, info.linedefined) end
  return where.text(where.here(4))
end

--- Declares `notify.NAME`. Raises what is wrong with the declaration.
---@param t {name: string, send: (fun(ctx: orrery.Context, config: table): any)?, like: string?, with: table?, config: table?, doc: string?}
---  either `send`, which gets message (a text), title, level, fields and what stands in `config`;
--- or
---  `like`, another channel, and `with`, what it is given of that one's config
---@return orrery.NodeType
function channel.declare(t)
  local place = place_of(t)
  types.space "notify" -- the library's, so that a user's do not hide them
  check(t, place)
  local made = t.like and made_of(t, place) or t
  local send = made.send
  local T = types.declare({
    name = "notify." .. t.name, doc = made.doc, config = config_of(made.config, place), check = made.check,
    positional = "message", examples = t.examples, errors = made.errors,
    run = function(ctx, config)
      if type(config.message) == "string" then return send(ctx, config) end
      local values = {}
      for name, value in pairs(config) do values[name] = value end
      values.message = require("orrery.core").json.encode(config.message)
      return send(ctx, values)
    end,
  }, place)
  declared[t.name] = { doc = made.doc, errors = made.errors, config = made.config, send = send, type = T }
  if t.like then
    require("orrery.definition.limits").alike("notify." .. t.name, made.open and "notify." .. t.like)
  end
  return T
end

return channel
