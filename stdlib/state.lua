--- `state.get`, `state.set`, `state.update`: values that outlive runs.
---
--- They are what `ctx:state()` gives a handler, as nodes.
local flow = require "orrery"

local KEY = { type = "string", doc = "1 to 512 bytes of UTF-8, without control characters" }
local SHARED = { type = "boolean", default = false,
  doc = "the value is that of all workflows of the store, in place of this one's" }
local TTL = { type = "duration", optional = true, doc = "how long it is kept; for ever without it" }

local function of(ctx, config) return ctx:state { shared = config.shared } end

-- The version comes from another node, so another attempt would find the same.
local function conflict(config)
  local found = config.version == "" and "there is a value of %q already"
    or "the value of %q is no longer the one that was read"
  flow.error { code = "state_conflict", retryable = false,
    details = { key = config.key, version = config.version },
    message = (found .. ": another run has written it; let `change` make the new value of whatever is there, "
      .. "or run what read it again"):format(config.key) }
end

flow.type {
  name = "state.get",
  errors = { "invalid_state" },
  doc = [[Reads a value that earlier runs have kept: outputs { value, found, version }. It is one of this
workflow, or with shared = true one of all workflows of the store. Where there is none, or its time to live
is over, value is `default`. What was read is recorded: a run that is resumed sees the same. version is
another one after each write, and "" where there is no value; state.update takes it.]],
  config = flow.schema { key = KEY, default = "any?", shared = SHARED },
  output = { value = "any?", found = "boolean", version = "string" },
  positional = "key",
  examples = { [[flow.state.get { "watermark", default = 0 }]],
    [[flow.state.get { key = "rates", shared = true }]] },
  run = function(ctx, config)
    local value, version = of(ctx, config):get(config.key)
    if not version then return { value = config.default, found = false, version = "" } end
    return { value = value, found = true, version = version }
  end,
}

flow.type {
  name = "state.set",
  errors = { "invalid_state", "state_too_large" },
  doc = [[Keeps a value for later runs, whatever was there: outputs { value, version }. It is one of this
workflow, or with shared = true one of all workflows of the store, and may have 1 MiB as JSON. What is
recorded of the write is committed with it, so that a node which runs again after a crash does not write
again. `ttl` is how long it is kept; `orrery state` shows what there is.]],
  config = flow.schema { key = KEY, value = "any", ttl = TTL, shared = SHARED },
  output = { value = "any", version = "string" },
  examples = { [[flow.state.set { key = "watermark", value = "${nodes.fetch.newest}" }]],
    [[flow.state.set { key = "token", value = "${nodes.login.id}", ttl = "50m" }]] },
  run = function(ctx, config)
    local version = of(ctx, config):set(config.key, config.value, { ttl = config.ttl })
    return { value = config.value, version = version }
  end,
}

local function changed(ctx, config)
  local change = config.change
  local value, version = of(ctx, config):update(config.key, function(value)
    if type(change) ~= "function" then return change end
    local made = change(ctx, value)
    if made == flow.json.null then return nil end
    return made
  end, { ttl = config.ttl })
  return { value = value, version = version }
end

flow.type {
  name = "state.update",
  errors = { "state_conflict", "invalid_state", "state_too_large" },
  doc = [[Changes a value that runs share, by compare and set: of two that write at once, in whatever
processes, neither undoes what the other did. `change` makes the new value of the present one, which it calls
`value` (nil where there is none): an expression, or function(ctx, value); where another run has written
meanwhile, it is asked again. Or `value` with the `version` that state.get gave ("": there must be none):
where another one is there, the node fails with state_conflict. Outputs { value, version }.]],
  config = flow.schema { key = KEY, change = "any?", value = "any?", version = "string?", ttl = TTL,
    shared = SHARED },
  output = { value = "any?", version = "string" },
  expressions = { change = "value" },
  check = function(config)
    if (config.change == nil) == (config.version == nil) then
      return "either change, or value and version, say what is to be kept", "change"
    end
    if config.change ~= nil and config.value ~= nil then
      return "change makes the new value; leave value out", "value"
    end
    if config.version ~= nil and config.value == nil then return "value is what is to be kept", "value" end
  end,
  examples = { [[flow.state.update { key = "runs", change = "(value or 0) + 1" }]],
    [[flow.state.update { key = "plan", value = "${nodes.new}", version = "${nodes.plan.version}" }]] },
  run = function(ctx, config)
    if config.change ~= nil then return changed(ctx, config) end
    local version = of(ctx, config):set(config.key, config.value,
      { ttl = config.ttl, version = config.version })
    if not version then conflict(config) end
    return { value = config.value, version = version }
  end,
}
