--- What a delivery does that was let in: it starts a run, or signals one. Whatever is done is on
--- the disk when it returns, and done once for the id of a delivery.
local core = require "orrery.core"
local errors = require "orrery.errors"
local problem = require "orrery.serve.problem"
local run_row = require "orrery.history.run_row"
local unescape = require("orrery.text").unescape

local act = {}

---@class orrery.serve.Delivery
---@field id string|false by which its sender tells it from others; false: it has none
---@field headers table<string, string> without what it was verified by
---@field body string
---@field query string
---@field received number
---@field again integer|nil the delivery of the log that it repeats

---@class orrery.serve.HookResult
---@field outcome "started"|"signalled"|"existing"|"skipped"|"ignored"|"failed"
---@field status integer
---@field run? string
---@field message? string why it failed
---@field problem? any what was raised then

-- ---- what expressions read ----------------------------------------------------------------------

local function plain(coded) return unescape((coded:gsub("+", " "))) end

local function fields_of(text)
  local made = core.json.object()
  for part in text:gmatch "[^&]+" do
    local name, value = part:match "^([^=]*)=?(.*)$"
    made[plain(name)] = plain(value)
  end
  return made
end

local function decoded(text)
  local ok, value = pcall(core.json.decode, text, { name = "body" })
  if ok then return value end
  problem.raise("bad_request", "the body is not JSON: " .. tostring(value))
end

-- The body as its type says: JSON, a form (GitHub's has JSON in the field `payload`), or a text.
local function body_of(delivery)
  local kind = (delivery.headers["content-type"] or "application/json"):match "^[^;%s]*":lower()
  if delivery.body == "" then return nil end
  if kind == "application/json" or kind:find "%+json$" then return decoded(delivery.body) end
  if kind ~= "application/x-www-form-urlencoded" then return delivery.body end
  local fields = fields_of(delivery.body)
  if delivery.headers["x-github-event"] and fields.payload then return decoded(fields.payload) end
  return fields
end

local function shown(trigger, delivery)
  return { name = trigger.name, id = delivery.id or nil, body = body_of(delivery), headers = delivery.headers,
    query = fields_of(delivery.query), time = delivery.received }
end

local LONGEST = 255 -- bytes of a key

-- The text that a field of the hook gives.
local function text_of(trigger, field, value)
  local text = trigger[field].fn({}, value)
  if type(text) == "number" then text = tostring(text) end
  if type(text) == "string" and text ~= "" and #text <= LONGEST then return text end
  problem.raise("bad_request", ("%s of the hook: expected a text of 1 to %d bytes, got %s")
    :format(field, LONGEST, errors.show(text)))
end

-- What tells the delivery from all others, for keys of runs and ids of signals.
local function mark_of(trigger, delivery)
  local id = delivery.id
  if not id then return nil end
  if #id > LONGEST - 64 then id = core.sha256(id) end
  return ("hook:%s@%s"):format(trigger.name, id)
end

local function input_of(trigger, value)
  if trigger.input then return trigger.input.fn({}, value) end
  return value.body
end

-- ---- starting -----------------------------------------------------------------------------------

local function existing(id) return { outcome = "existing", status = 202, run = id } end

-- What came of a start that is on the disk now.
local function outcome_of(run)
  local err = run.error
  if run.skipped then return { outcome = "skipped", status = 202, run = run.id } end
  if run.existing then return existing(run.id) end
  if err and err.code == "duplicate_key" and err.details then return existing(err.details.run) end
  if err and (err.code == "conflict" or err.code == "store_error") then error(err, 0) end
  return { outcome = "started", status = 202, run = run.id }
end

-- Deliveries with one key that come at the same time: the first starts the run, the others get it.
local function start_with(host, entry, options)
  local slot = options.key and entry.name .. "\0" .. options.key
  local other = slot and host.starting[slot]
  if other then
    host.rt:flushed()
    return existing(other.id)
  end
  local run = require("orrery").start(entry.compiled, options)
  if run.existing or run.skipped then return outcome_of(run) end
  if slot then host.starting[slot] = { id = run.id, digest = "" } end
  local _ <close> = setmetatable({}, { __close = function()
    if slot then host.starting[slot] = nil end
  end })
  host.rt:flushed()
  return outcome_of(run)
end

local function start(host, trigger, delivery, value)
  if trigger.start and not trigger.start.fn({}, value) then return { outcome = "ignored", status = 202 } end
  local entry = host.workflows:get(trigger.workflow)
  local options = { runtime = host.rt, input = input_of(trigger, value), labels = { hook = trigger.name },
    key = trigger.key and text_of(trigger, "key", value) or mark_of(trigger, delivery),
    trigger = { kind = "hook", hook = trigger.name, delivery = delivery.id or nil, time = delivery.received,
      payload = { body = value.body, headers = value.headers, query = value.query } } }
  return start_with(host, entry, options)
end

-- ---- signalling ---------------------------------------------------------------------------------

-- The run that a signal is for: one of the hook's workflow, whatever the body says.
local function run_of(host, trigger, value)
  local row
  if trigger.run then row = run_row.find(host.store, text_of(trigger, "run", value):lower())
  else row = run_row.of_key(host.store, trigger.workflow, text_of(trigger, "key", value)) end
  if row and row.workflow == trigger.workflow then return row end
  problem.raise("run_not_found", ("no run of %s has the %s that this delivery gives"):format(trigger.workflow,
    trigger.run and "id" or "key"))
end

-- As `POST /runs/{id}/signal` does it; a decision is by the hook.
local function signal(host, trigger, delivery, value)
  local name = trigger.signal.fn({}, value)
  if name == nil or name == false or name == core.json.null then return { outcome = "ignored",
    status = 202 } end
  name = text_of(trigger, "signal", value)
  host.store:project()
  local row, mark = run_of(host, trigger, value), mark_of(trigger, delivery)
  if require("orrery.history.inbox").is_known(host.store, row, mark) then return existing(row.id) end
  local call = require("orrery.serve.call").new { host = host, params = { id = row.id },
    who = { name = "hook:" .. trigger.name, scope = "run" }, request = {},
    body = { name = name, data = input_of(trigger, value), id = mark } }
  require("orrery.serve.api.commands").signal(call)
  return { outcome = "signalled", status = 202, run = row.id }
end

-- ---- both ---------------------------------------------------------------------------------------

local function failure_of(e)
  local document = problem.of(e)
  return { outcome = "failed", status = document.status, message = document.detail, problem = e }
end

--- Does what a delivery is for. Waits. What fails by the delivery is a result; what fails for
--- another reason, after which its sender should try again, is raised.
---@param host orrery.serve.Host
---@param trigger orrery.Trigger
---@param delivery orrery.serve.Delivery
---@return orrery.serve.HookResult
function act.on(host, trigger, delivery)
  local ok, result = pcall(function()
    local value = shown(trigger, delivery)
    return (trigger.signal and signal or start)(host, trigger, delivery, value)
  end)
  if ok then return result end
  local failed = failure_of(result)
  if failed.status >= 500 then error(result, 0) end
  return failed
end

return act
