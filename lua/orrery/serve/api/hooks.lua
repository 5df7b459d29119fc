--- Hooks: what comes to them, and what they are.
local core = require "orrery.core"
local problem = require "orrery.serve.problem"

local hooks = {}

local array = core.json.array

-- ---- what comes ---------------------------------------------------------------------------------

-- What the sender is told: at once, or once the run has ended or the time is over.
local function answer(call, hook, delivery, result)
  local made = { hook = hook.trigger.name, workflow = hook.trigger.workflow, delivery = delivery.id or nil,
    outcome = result.outcome, run = result.run }
  local wait = hook.trigger.wait
  if not wait or not result.run then return made, { status = result.status } end
  local ended = call.host.ends:of(result.run, wait)
  if not ended then return made, { status = result.status } end
  made.state, made.output, made.error = ended.state, ended.output, ended.error
  return made, { status = 200 }
end

--- Takes a delivery.
function hooks.receive(call)
  local host = call.host
  local hook = host.hooks:get(call.params.name)
  if host.read_only then
    problem.raise("read_only", "this server only shows: it was started with --read-only")
  end
  host:must_start()
  local delivery = host.hooks:verified(hook, call.request)
  return answer(call, hook, delivery, host.hooks:deliver(host, hook, delivery))
end

-- ---- what they are ------------------------------------------------------------------------------

local function described(trigger)
  return { name = trigger.name, workflow = trigger.workflow, path = "/hooks/" .. trigger.name,
    verify = trigger.verify, does = trigger.signal and "signal" or "start", wait = trigger.wait }
end

local function with_figures(made, hook, seen)
  made.kept, made.last = seen and seen.n or 0, seen and seen.last
  made.refused, made.refused_last, made.refused_why = hook.refused, hook.refused_last, hook.refused_why
  return made
end

local function seen_of(call)
  local by_name = {}
  for _, row in ipairs(call.host.reads:value("orrery.serve.hooks.log", "seen")) do by_name[row.hook] = row end
  return by_name
end

function hooks.list(call)
  local seen, list = seen_of(call), {}
  local served, others = call.host.hooks:list()
  for _, hook in ipairs(served) do
    local trigger = hook.trigger
    if call:may(trigger.workflow) then
      list[#list + 1] = with_figures(described(trigger), hook, seen[trigger.name])
    end
  end
  for text, trigger in pairs(others) do
    if call:may(trigger.workflow) then
      local made = with_figures(described(trigger), { refused = 0 })
      made.problem = text
      list[#list + 1] = made
    end
  end
  return { hooks = array(list) }
end

-- The hook in the path, of a workflow that who asks may see.
local function hook_of(call)
  local hook = call.host.hooks:get(call.params.name)
  if not hook then problem.raise("not_found", ("no hook '%s' is served here"):format(call.params.name)) end
  call:must(hook.trigger.workflow)
  return hook
end

function hooks.deliveries(call)
  local hook, query = hook_of(call), call.query
  local rows = call.host.reads:value("orrery.serve.hooks.log", "list", hook.trigger.name, query.limit,
    query.before or math.maxinteger)
  return { deliveries = array(rows), next = #rows == query.limit and rows[#rows].id or nil }
end

local function kept(call, hook)
  local id = math.tointeger(tonumber(call.params.delivery))
  local row = id and call.host.reads:value("orrery.serve.hooks.log", "one", hook.trigger.name, id)
  if row then return row end
  problem.raise("not_found", ("the log of hook '%s' has no delivery %s"):format(hook.trigger.name,
    call.params.delivery:sub(1, 40)))
end

--- One delivery, with its headers and its body.
function hooks.delivery(call) return kept(call, hook_of(call)) end

--- Does once more what a delivery was for. What it has done already is not done again.
function hooks.redeliver(call)
  local hook = hook_of(call)
  local row = kept(call, hook)
  call.host:must_start()
  if not row.body then
    problem.raise("conflict", ("delivery %d had %d bytes, which are not kept: its sender may send it again")
      :format(row.id, row.bytes))
  end
  local delivery = { id = row.delivery or false, headers = row.headers, body = row.body, query = row.query,
    received = core.time(), again = row.id }
  call.target, call.after = hook.trigger.name, { delivery = row.id }
  local result = call.host.hooks:deliver(call.host, hook, delivery)
  return { hook = hook.trigger.name, workflow = hook.trigger.workflow, delivery = delivery.id or nil,
    outcome = result.outcome, run = result.run }, { status = result.status }
end

return hooks
