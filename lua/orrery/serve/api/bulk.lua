--- One action on many runs: first a preview, which says how many a filter chooses and gives a token
--- for the runs of that moment; then the action on these, run by run, each with its own result.
local calls = require "orrery.serve.call"
local commands = require "orrery.serve.api.commands"
local core = require "orrery.core"
local flow = require "orrery"
local paced = require "orrery.serve.paced"
local problem = require "orrery.serve.problem"
local uv = require "luv"

local bulk = {}

local MOST = 50000                -- runs of a preview
local ID = 36                     -- bytes of a run's id
local BATCH, SOON = 50, 500       -- results that are sent at once at most; ms after which fewer are
local RUN = { of = "run" }

--- What would be done.
---@param call orrery.serve.Call
---@return table
function bulk.preview(call)
  local args, own = call.body, call.who.workflows
  if args.workflow then call:must(args.workflow)
  elseif own then args.workflows = core.json.array(own) end
  args.most = MOST
  local found = core.json.decode(call.host.reads:slowly("orrery.serve.reads.chosen", "runs", args))
  local token, expires = call.host.previews:keep { action = args.action, ids = found.ids, count = found.count,
    who = call.who.name, via = call.who.via }
  return { action = args.action, token = token, expires = expires, count = found.count, more = found.more,
    examples = found.examples }
end

-- ---- the action ---------------------------------------------------------------------------------

-- The same as a request for one run.
local function call_for(call, action, id)
  return calls.new { host = call.host, request = call.request, who = call.who, row = RUN, headers = {},
    params = { id = id }, query = {}, body = action == "signal" and call.body.signal or {} }
end

local function attempt(one, action)
  one:must(one:run_workflow())
  return commands[action](one)
end

local function refused(host, id, e)
  if problem.is_bug(e) then host.say(("bulk action on run %s: %s"):format(id, tostring(e))) end
  local document = problem.of(e)
  return { id = id, done = false, status = document.status, code = document.code, detail = document.detail }
end

-- Does it to one run. Its result, and its line of the audit.
local function act(call, action, id)
  local one = call_for(call, action, id)
  local ok, made = pcall(attempt, one, action)
  local result = ok and { id = id, done = true, status = 202, state = made.state, owned = made.owned }
    or refused(call.host, id, made)
  return result, { action = "run." .. action, target = id, status = result.status, before = one.before,
    after = one.after }
end

local function lines_of(results)
  local lines = {}
  for i, result in ipairs(results) do
    lines[i] = core.json.encode(result, { binary = true, sort = true }) .. "\n"
  end
  return table.concat(lines)
end

-- Writes the lines of the audit together: they wait for the disk once.
local function record_all(call, entries)
  local writes = {}
  for i, entry in ipairs(entries) do writes[i] = function() call.host:record(call, entry) end end
  flow.gather(writes)
end

-- The next results, from the run at a place on. Others have their turn after each run.
local function batch(call, preview, from)
  local results, entries, due = {}, {}, uv.now() + SOON
  for i = from, math.min(from + BATCH, preview.count + 1) - 1 do
    local id = preview.ids:sub((i - 1) * ID + 1, i * ID)
    results[#results + 1], entries[#entries + 1] = act(call, preview.action, id)
    flow.sleep(0)
    if uv.now() >= due then break end
  end
  record_all(call, entries)
  return results
end

local function taken(call)
  local preview = call.host.previews:find(call.body.token, call.who)
  if not preview then
    problem.raise("not_found", "there is no preview with this token: each is good once, for ten minutes, "
      .. "for who asked for it; ask for another one")
  end
  if preview.action == "signal" and type((call.body.signal or {}).name) ~= "string" then
    problem.raise("bad_request", "signals are to be sent, so name one: \"signal\": { \"name\": \"go\" }")
  end
  call.host.previews:take(preview)
  return preview
end

--- Does what was previewed. Answers by lines of JSON: one for each run, when its line of the audit
--- is on the disk, and a last one with `end`. Stops where who asked leaves, or the server drains.
---@param call orrery.serve.Call
function bulk.act(call)
  local preview = taken(call)
  local headers = { ["content-type"] = call.row.type }
  for name, value in pairs(call.headers) do headers[name] = value end
  local stream, open, at, done = call.request:stream(200, headers), true, 1, 0
  stream:on_close(function() open = false end)
  local function is_open() return open end
  while open and at <= preview.count and not call.host.draining do
    local results = batch(call, preview, at)
    at = at + #results
    for _, result in ipairs(results) do done = done + (result.done and 1 or 0) end
    if not paced.write(stream, lines_of(results), is_open) then break end
  end
  if not open then return end
  if at > preview.count then
    stream:write(lines_of { { ["end"] = true, done = done, failed = preview.count - done } })
  end
  stream:close()
end

return bulk
