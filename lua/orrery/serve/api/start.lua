--- Starting runs. An answer says that the run is in the store, on the disk.
local core = require "orrery.core"
local problem = require "orrery.serve.problem"
local run_row = require "orrery.history.run_row"

local start = {}

local ANSWER = "/api/v1/runs/"

-- ---- keys ---------------------------------------------------------------------------------------

-- What the request asks for, as a text that is the same for the same.
local function digest_of(body)
  local asked = {}
  for name, value in pairs(body) do asked[name] = value end
  asked.key, asked.id = nil, nil
  return core.sha256(core.json.encode(asked, { sort = true, binary = true }))
end

local function key_of(call)
  local header = call.request.headers["idempotency-key"]
  if not header then return call.body.key end
  local key = header:match '^"(.*)"$' or header -- a string of structured headers, or the bare text
  if key == "" or #key > 255 then
    problem.raise("bad_request", "Idempotency-Key: expected a text of 1 to 255 bytes")
  end
  if call.body.key and call.body.key ~= key then
    problem.raise("bad_request", "the header Idempotency-Key and the body's key are not the same")
  end
  return key
end

local function same_request(digest, other, key)
  if other and other ~= digest then
    problem.raise("key_conflict",
      ("the key '%s' was used for another request: send the same, or another key"):format(key))
  end
end

-- What the run that has the key was asked for; nil where a command or a script has begun it.
local function digest_of_run(rt, id)
  local created = rt:created(id)
  local trigger = created and created.trigger
  return type(trigger) == "table" and trigger.request or nil
end

-- ---- the run ------------------------------------------------------------------------------------

local function options_of(call, key, digest)
  local body = call.body
  return { runtime = call.host.rt, input = body.input, context = body.context, labels = body.labels,
    durability = body.durability, only = body.only, from = body.from, concurrency = body.concurrency,
    id = body.id, key = key,
    trigger = { kind = "api", by = call.who.name, request = key and digest or nil } }
end

-- The run that was there already: by its id, as things stand.
local function existing(call, id, digest, key)
  local rt = call.host.rt
  same_request(digest, digest_of_run(rt, id), key)
  local live = require("orrery.runtime.launch").live(id)
  local state = live and live.state
  if not state then
    call.host.store:project()
    local row = run_row.find(call.host.store, id)
    state = row and row.state or "pending"
  end
  return { id = id, workflow = call.body.workflow, state = state, existing = true },
    { status = 200, headers = { location = ANSWER .. id } }
end

-- The run whose key, id or lock this one wanted, and which another process began meanwhile.
local TAKEN = { duplicate_key = true, duplicate_id = true, conflict = true }

local function answer(call, started, digest, key)
  if started.skipped then
    return { id = started.id, workflow = started.workflow, state = "skipped", existing = true,
      skipped = true },
      { status = 200, headers = { location = ANSWER .. started.id } }
  end
  call.host.rt:flushed()
  local err = started.error
  if err and err.code == "duplicate_key" and err.details then return existing(call, err.details.run, digest,
    key) end
  if err and TAKEN[err.code] then error(err, 0) end
  call.target, call.after = started.id, { workflow = started.workflow, key = key }
  return { id = started.id, workflow = started.workflow, state = started.state, existing = false },
    { headers = { location = ANSWER .. started.id } }
end

-- Requests with one key that come at the same time: the first starts the run, the others get it.
local function with_key(call, entry, key)
  local host, digest = call.host, digest_of(call.body)
  local slot = entry.name .. "\0" .. key
  local other = host.starting[slot]
  if other then
    same_request(digest, other.digest, key)
    host.rt:flushed()
    return existing(call, other.id, digest, key)
  end
  local row = run_row.of_key(host.store, entry.name, key)
  if row then same_request(digest, digest_of_run(host.rt, row.id), key) end
  local started = require("orrery").start(entry.compiled, options_of(call, key, digest))
  if row then return existing(call, started.id, digest, key) end
  host.starting[slot] = { id = started.id, digest = digest }
  local _ <close> = setmetatable({}, { __close = function() host.starting[slot] = nil end })
  return answer(call, started, digest, key)
end

local LONGEST = 600 -- seconds that an answer may wait; a client that stays longer asks again

-- How long the answer waits for the end of the run; nil: not at all.
local function wait_of(call)
  local text = call.query.wait
  if not text then return nil end
  local seconds, message = require("orrery.duration").parse(text)
  if not seconds then problem.raise("bad_request", "wait: " .. message) end
  return math.min(seconds, LONGEST)
end

local function begin(call, name)
  call.host:must_start()
  local entry = require("orrery.serve.api.workflows").runnable(call, name)
  local key = key_of(call)
  if key then return with_key(call, entry, key) end
  return answer(call, require("orrery").start(entry.compiled, options_of(call)))
end

--- Starts a run of a served workflow.
function start.start(call)
  local name, wait = call.body.workflow, wait_of(call)
  call:must(name)
  local made, options = begin(call, name)
  options.wait = wait and function(value)
    local ended = call.host.ends:of(value.id, wait)
    if ended then value.state, value.output, value.error = ended.state, ended.output, ended.error end
  end
  return made, options
end

return start
