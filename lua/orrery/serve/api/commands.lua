--- What is asked of runs: messages for whoever runs them, here or elsewhere; those that nobody runs
--- are taken over.
local core = require "orrery.core"
local owners = require "orrery.history.owners"
local problem = require "orrery.serve.problem"
local resume_runs = require "orrery.store.resume"

local commands = {}

local function must_be_live(row)
  if not row.ended then return end
  problem.raise("run_ended", ("run %s has ended: it is %s"):format(row.id, row.state))
end

local function is_owned(store, row)
  local owner = owners.of(store, row)
  return owner ~= nil and owner.alive
end

local function answer(call, row, message, more)
  local made = { id = row.id, workflow = row.workflow, message = message, state = row.state }
  for name, value in pairs(more or {}) do made[name] = value end
  call.target, call.before = row.id, { state = row.state }
  return made
end

-- Leaves a message; where no process runs the run, it goes on here and finds it.
local function send(call, row, name, text, dedup, take)
  local store = call.host.store
  store:send(row.id, name, text, dedup)
  local owned = is_owned(store, row)
  if not owned and take then
    call.host:must_start()
    local ok, problem_of_it = pcall(resume_runs.resume, row.id, take)
    if not ok and not (type(problem_of_it) == "table" and problem_of_it.code == "run_owned") then
      error(problem_of_it, 0)
    end
  end
  return owned or take ~= nil
end

function commands.cancel(call)
  local row = call:run()
  must_be_live(row)
  local owned = send(call, row, "cancel", "{}", nil, { runtime = call.host.rt, cancel = true })
  return answer(call, row, "cancel", { owned = owned })
end

function commands.pause(call)
  local row = call:run()
  must_be_live(row)
  return answer(call, row, "pause", { owned = send(call, row, "pause", "{}") })
end

function commands.resume(call)
  local row = call:run()
  must_be_live(row)
  return answer(call, row, "resume",
    { owned = send(call, row, "resume", "{}", nil, { runtime = call.host.rt }) })
end

function commands.retry(call)
  local row = call:run()
  call.host:must_start()
  if not row.ended then
    problem.raise("run_not_ended", ("run %s has not ended: it is %s"):format(row.id, row.state))
  end
  local started = resume_runs.retry(row.id, { runtime = call.host.rt, items = call.body and call.body.items })
  call.host.rt:flushed()
  local made = answer(call, row, "retry", { owned = true })
  made.state = started.state
  return made
end

function commands.fork(call)
  local row, body = call:run(), call.body
  call.host:must_start()
  local started, _, taken = require("orrery.store.fork").fork(row.id, { runtime = call.host.rt,
    from = body.from,
    input = body.input, set = body.set })
  call.host.rt:flushed()
  if started.error and started.error.code == "conflict" then error(started.error, 0) end
  call.target, call.after = row.id, { run = started.id }
  return { id = started.id, workflow = row.workflow, state = started.state, existing = false,
    skipped = started.skipped, forked_from = row.id, taken_over = taken },
    { headers = { location = "/api/v1/runs/" .. started.id } }
end

-- ---- signals ------------------------------------------------------------------------------------

local function may_decide(call, approval)
  if not approval.by then return true end
  for _, name in ipairs(approval.by) do
    if name == call.who.name then return true end
  end
  return false
end

-- A decision is by who sends it: nobody decides in another's name.
local function decision(call, approval, data)
  if data.by ~= nil and data.by ~= call.who.name then
    problem.raise("not_approver",
      ("the decision says it is by '%s', but '%s' sends it"):format(tostring(data.by),
      call.who.name))
  end
  if approval and not may_decide(call, approval) then
    problem.raise("not_approver", ("only %s may decide, and this is by '%s'"):format(
      table.concat(approval.by, ", "), call.who.name))
  end
  data.by = call.who.name
  return data
end

local function is_decision(data) return type(data) == "table" and type(data.approved) == "boolean" end

local function leave(call, row, name, data, id)
  local store = call.host.store
  local known = require("orrery.history.inbox").is_known(store, row, id)
  local passed = not known and store:row("signal_passed", { run = row.number, name = name }) or nil
  local text = core.json.encode({ name = name, data = data, sent = core.time() }, { binary = true })
  local owned = send(call, row, "signal", text, id, { runtime = call.host.rt, keep_pauses = true })
  call.after = { signal = name, data = data }
  return answer(call, row, "signal", { owned = owned, duplicate = known, late = passed ~= nil })
end

local function awaited(call, row) return require("orrery.history.reasons").awaited(call.host.store,
  row.number) end

function commands.signal(call)
  local row, body = call:run(), call.body
  must_be_live(row)
  if body.name == "" then problem.raise("bad_request", "a signal has a name") end
  local data, approval = body.data, nil
  for _, wait in ipairs(awaited(call, row)) do
    if wait.name == body.name then approval = wait.approval end
  end
  if approval or is_decision(data) then data = decision(call, approval, is_decision(data) and data or {}) end
  if approval and not is_decision(data) then
    problem.raise("bad_request", "this signal is a decision: its data is { \"approved\": true or false }")
  end
  return leave(call, row, body.name, data, body.id)
end

-- The one approval that is meant.
local function approval_of(call, row, name)
  local found = {}
  for _, wait in ipairs(awaited(call, row)) do
    if wait.approval and (name == nil or wait.name == name) then found[#found + 1] = wait end
  end
  if #found == 1 then return found[1] end
  local names = {}
  for i, wait in ipairs(found) do names[i] = wait.name end
  problem.raise("no_approval", #found == 0
    and ("run %s waits for no approval%s"):format(row.id, name and (" called '%s'"):format(name) or "")
    or ("run %s waits for several: give the name of one, %s"):format(row.id, table.concat(names, ", ")))
end

function commands.approve(call)
  local row, body = call:run(), call.body
  must_be_live(row)
  local wait = approval_of(call, row, body.name)
  local data = decision(call, wait.approval, { approved = body.approved, why = body.why })
  return leave(call, row, wait.name, data, body.id)
end

return commands
