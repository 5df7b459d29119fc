--- The one table of routes. The router, the gate, the checks of what is sent and the OpenAPI
--- document are all made from it.
---
--- A row is `{ METHOD, PATH, does = , scope = , … }`:
---
---   does      what it is called, in OpenAPI (operationId) and in the audit: "run.cancel"
---   scope     the least that who asks must have: "read", "run", "operate", "admin"; nil: nothing
---             (exempt from the gate; such a path has no parameters)
---   of        what it concerns, for tokens that are bound to workflows: "run" ({id} is one, whose
---             workflow is looked up before), "workflow" ({name} is one), "some" (the handler gives
---             only what `call:may(workflow)` allows, or asks it); nil: everything, so a bound
---             token is refused
---   calls     "module.function": the function of `orrery.serve.api.<module>` that answers. It gets
---             a call (see `orrery.serve.call`) and returns a value, which is sent as JSON, and
---             options `{ status, headers, type, wait }` (with `type` the value is the text;
---             `wait(value)` is called once the audit has its line, and may wait); it raises
---             `problem.raise` or an error of the engine. A row with `streams` answers by
---             `call.request` itself, with `call.headers` among its headers
---   query     schema of the query's parameters, in the shorthand of `flow.schema`; their texts are
---             read as integers, numbers, booleans, or lists (`"string[]"`: repeated, or with
---             commas)
---   body      schema of the JSON body, or the name of a shape. `text`: the body is taken as it is
---   answer    schema of the answer, or the name of a shape in `orrery.serve.shapes`
---   status    of an answer that is well: 200 where it is left out
---   words     what it does, one sentence
---   streams   true: text/event-stream, or what the row calls `type`
---   type      the media type of an answer that is no JSON; `also`: another one that it may have
---   silent    true: changes nothing that belongs in the audit
local routes = {}

---@class orrery.serve.Route
---@field method string
---@field path string
---@field does string
---@field scope? "read"|"run"|"operate"|"admin"
---@field of? "run"|"workflow"|"some"
---@field calls string
---@field query? table
---@field body? table|string
---@field text? boolean
---@field answer? table|string
---@field status? integer
---@field words string
---@field streams? boolean
---@field type? string
---@field also? string
---@field silent? boolean

local PREFIX = "/api/v1"

local CHOOSING = { workflow = "string?", state = "string[]?", label = "string[]?", since = "string?",
  ["until"] = "string?" }

local function with(fields, more)
  local made = {}
  for name, field in pairs(fields) do made[name] = field end
  for name, field in pairs(more) do made[name] = field end
  return made
end

local PAGE = { limit = { type = "integer", default = 100, min = 1, max = 1000 }, cursor = "string?" }

-- ---- outside of the API -------------------------------------------------------------------------

local PLAIN = {
  { "GET", "/health/live", does = "health.live", calls = "health.live", answer = { status = "string" },
    words = "The server answers." },
  { "GET", "/health/ready", does = "health.ready", calls = "health.ready", answer = "Ready",
    words = "The server takes runs: 503 while it starts or drains." },
  { "GET", "/login", does = "login.page", calls = "login.page", type = "text/html; charset=utf-8",
    query = { code = "string?" }, words = "Logs in by the one-time link, or asks for a token." },
  { "POST", "/login", does = "login.enter", calls = "login.enter", text = true, silent = true,
    type = "text/html; charset=utf-8", status = 303,
      words = "Logs in by a token: a form with the field `token`." },
  { "GET", "/", does = "page.show", scope = "read", of = "some", calls = "page.index",
    type = "text/html; charset=utf-8", words = "The page." },
  { "GET", "/page/{file}", does = "page.file", scope = "read", of = "some", calls = "page.file",
    type = "text/javascript; charset=utf-8", words = "A file of the page, of the type that it has." },
  { "POST", "/logout", does = "login.leave", scope = "read", of = "some", calls = "login.leave",
    type = "text/html; charset=utf-8", status = 303, words = "Ends the session." },
}

-- ---- what changes, and what is said of the server -----------------------------------------------

local COMMAND = { "RunCommand", 202 }

local function command(name, scope, body, words)
  return { "POST", "/runs/{id}/" .. name, does = "run." .. name, scope = scope, of = "run",
    calls = "commands." .. name, body = body, answer = COMMAND[1], status = COMMAND[2], words = words }
end

local CHANGES = {
  { "GET", "/openapi.json", does = "openapi", scope = "read", of = "some", calls = "meta.openapi",
    answer = { ["..."] = "any" }, words = "This description." },
  { "GET", "/me", does = "me", scope = "read", of = "some", calls = "meta.me", answer = "Me",
    words = "Who asks, and what they may." },

  { "GET", "/workflows", does = "workflow.list", scope = "read", of = "some", calls = "workflows.list",
    answer = { workflows = { type = "array", items = "Workflow" } },
    words = "The workflows that are served, and those that do not load, with their mistakes." },
  { "GET", "/workflows/{name}", does = "workflow.show", scope = "read", of = "workflow",
    calls = "workflows.show", answer = "Workflow", words = "One of them." },
  { "GET", "/workflows/{name}/source", does = "workflow.source", scope = "read", of = "workflow",
    calls = "workflows.source", answer = "Source", words = "Its text, and those of its modules." },
  { "GET", "/workflows/{name}/form", does = "workflow.form", scope = "read", of = "workflow",
    calls = "workflows.form", answer = { ["..."] = "any" }, words = "The JSON Schema of its input." },
  { "GET", "/workflows/{name}/graph", does = "workflow.graph", scope = "read", of = "workflow",
    calls = "workflows.graph", answer = { ["..."] = "any" }, words = "Its graph with coordinates." },
  { "POST", "/workflows/{name}/pause", does = "workflow.pause", scope = "operate", of = "workflow",
    calls = "workflows.pause", answer = "Paused", words = "Pauses a workflow with all its runs." },
  { "POST", "/workflows/{name}/resume", does = "workflow.resume", scope = "operate", of = "workflow",
    calls = "workflows.resume", answer = "Paused", words = "Lets it go on." },
  { "POST", "/workflows/reload", does = "workflow.reload", scope = "operate", calls = "workflows.reload",
    answer = { changed = "string[]" }, words = "Looks at the files again, as SIGHUP does." },
  { "POST", "/check", does = "check", scope = "run", of = "some", calls = "workflows.check", text = true,
    silent = true, answer = "Check",
    words = "All mistakes of a definition, JSON (or Lua, with the type application/x-lua, for admins); "
      .. "nothing runs." },

  { "POST", "/runs", does = "run.start", scope = "run", of = "some", calls = "start.start", body = "Start",
    answer = "Started", status = 201, query = { wait = "string?" },
    words = "Starts a run. With the header Idempotency-Key the same request starts it once. With `wait`, a "
      .. "duration, it is answered when the run has ended, or that time is over." },
  command("cancel", "operate", nil, "Asks for a run to be cancelled."),
  command("pause", "operate", nil, "Asks for a run to be paused: what runs goes on, nothing more starts."),
  command("resume", "operate", nil, "Lets a paused run go on, or one whose process is gone."),
  command("retry", "operate", { items = "boolean?" },
    "Runs what failed in an ended run again, and what follows."),
  command("signal", "run", "Signal", "Leaves a signal for a run."),
  command("approve", "run", "Approval", "Approves or rejects what a run waits for, where who asks may."),
  { "POST", "/runs/{id}/fork", does = "run.fork", scope = "operate", of = "run", calls = "commands.fork",
    body = "Fork", answer = "Started", status = 201,
    words = "Starts a new run that takes over what this one has completed." },

  { "GET", "/pools", does = "pool.list", scope = "read", calls = "tend.pools",
    answer = { pools = { type = "array", items = "Pool" } }, words = "The pools of the server." },
  { "POST", "/pools/{name}/pause", does = "pool.pause", scope = "operate", calls = "tend.pause_pool",
    answer = "Paused", words = "Pauses a pool: it gives no more places." },
  { "POST", "/pools/{name}/resume", does = "pool.resume", scope = "operate", calls = "tend.resume_pool",
    answer = "Paused", words = "Lets it give places again." },
  { "GET", "/breakers", does = "breaker.list", scope = "read", calls = "tend.breakers",
    answer = { breakers = { type = "array", items = "Breaker" } },
    words = "The breakers of the served workflows." },
  { "POST", "/breakers/{name}/reset", does = "breaker.reset", scope = "operate", calls = "tend.reset_breaker",
    answer = "Breaker", words = "Closes a breaker; what it held back tries again." },
  { "GET", "/store", does = "store.show", scope = "read", calls = "tend.store", answer = "Store",
    words = "What is said of the store." },
  { "POST", "/store/prune", does = "store.prune", scope = "admin", calls = "tend.prune", body = "Prune",
    answer = { ["..."] = "any" },
      words = "Removes old runs that have ended; with `dry` only says what it would." },
  { "GET", "/tokens", does = "token.list", scope = "admin", calls = "access.tokens",
    answer = { tokens = { type = "array", items = "Token" } },
      words = "Tokens and sessions, without what is secret." },
  { "POST", "/tokens", does = "token.create", scope = "admin", calls = "access.create_token",
    body = "NewToken",
    answer = "CreatedToken", status = 201, words = "Makes a token, which is told this once." },
  { "DELETE", "/tokens/{id}", does = "token.revoke", scope = "admin", calls = "access.revoke_token",
    answer = { revoked = "integer" }, words = "Revokes a token, and the sessions that were begun with it." },
  { "GET", "/audit", does = "audit.list", scope = "admin", calls = "access.audit",
    query = { limit = PAGE.limit, before = "integer?" },
    answer = { entries = { type = "array", items = "AuditEntry" }, next = "integer?" },
    words = "What was changed, newest first." },
  { "GET", "/audit/verify", does = "audit.verify", scope = "admin", calls = "access.verify_audit",
    answer = { lines = "integer", last = "string?", wrong = "integer?" },
    words = "Whether each line of the audit has the hash that it should; `wrong` is the first without." },
}

-- ---- what starts runs by itself -----------------------------------------------------------------

local function schedule(method, path, does, scope, row)
  row.words, row.answer = row.words or row[2], row.answer or row[1]
  row[1], row[2] = method, "/schedules" .. path
  row.does, row.scope, row.of, row.calls = "schedule." .. does, scope, "some", "schedules." .. does
  return row
end

local TOGGLED = { id = "string", paused = "boolean", changed = "boolean" }

local SCHEDULES = {
  schedule("GET", "", "list", "read", { { schedules = { type = "array", items = "Schedule" } },
    "What starts runs by itself." }),
  schedule("POST", "", "create", "operate", { "Schedule", "Makes a schedule of a served workflow.",
    body = { workflow = "string", ["..."] = "any" }, status = 201 }),
  schedule("GET", "/{id}", "show", "read", { "ScheduleDetails",
    "One of them, with its last runs, what was skipped and what is asked for." }),
  schedule("PATCH", "/{id}", "change", "operate", { "Schedule",
    "Changes fields of one that no workflow declares; null takes a field away.",
      body = { ["..."] = "any" } }),
  schedule("DELETE", "/{id}", "remove", "operate", { { id = "string", removed = "boolean" },
    "Removes one that no workflow declares." }),
  schedule("GET", "/{id}/next", "next", "read", { { times = { type = "array",
    items = { time = "number", text = "string" } } }, "Its next times.",
    query = { count = { type = "integer", default = 10, min = 1, max = 1000 } } }),
  schedule("POST", "/{id}/pause", "pause", "operate", { TOGGLED, "Pauses one.",
    body = { reason = "string?" } }),
  schedule("POST", "/{id}/resume", "resume", "operate", { TOGGLED, "Lets one go on." }),
  schedule("POST", "/{id}/trigger", "trigger", "run", { { id = "string", time = "number", key = "string" },
    "Asks for a run of it now.", status = 202 }),
  schedule("POST", "/{id}/backfill", "backfill", "operate", { { id = "string", times = { type = "array",
    items = "number" }, asked = "integer", dry = "boolean" }, "Asks for runs of times that have passed.",
    body = { from = "string", to = "string", dry = "boolean?" }, status = 202 }),
}

-- ---- many runs at once --------------------------------------------------------------------------

local BULK = {
  { "POST", "/bulk/preview", does = "bulk.preview", scope = "operate", of = "some", calls = "bulk.preview",
    silent = true, body = "BulkFilter", answer = "BulkPreview",
    words = "How many runs a filter chooses for an action, some of them, and a token for those of now." },
  { "POST", "/bulk", does = "bulk.act", scope = "operate", of = "some", calls = "bulk.act", body = "Bulk",
    streams = true, type = "application/x-ndjson",
    words = "Does what was previewed: a line of JSON for each run and its result, and one with `end`." },
}

-- ---- what only reads runs -----------------------------------------------------------------------

local PART = with(PAGE, { node = "string?" })

local function of_run(path, name, query, answer, words, more)
  local row = { "GET", "/runs/{id}" .. path, does = "run." .. name, scope = "read", of = "run",
    calls = "runs." .. name, query = query, answer = answer, words = words }
  return with(row, more or {})
end

local EVENTS = { after = "string?" }
local STREAM = { calls = "events.run", streams = true, type = "text/event-stream" }

local READS = {
  { "GET", "/runs", does = "run.list", scope = "read", of = "some", calls = "runs.list",
    query = with(CHOOSING, PAGE), answer = "RunPage",
    words = "Runs, newest first, a page at a time: whatever comes and goes, none is given twice and "
      .. "none left out." },
  of_run("", "show", nil, "RunDetails",
    "One run, without its parts; `seq` is where a stream of its events goes on."),
  of_run("/nodes", "nodes", with(PAGE, { state = "string?" }), "NodePage",
    "Its nodes, in the order of the definition, without their items."),
  of_run("/nodes/{node}", "node", nil, "Node", "One node, or an item: fetch, fetch[3], fetch[Oslo]."),
  of_run("/nodes/{node}/items", "items", with(PAGE, { state = "string?" }), "ItemPage",
    "The items of a node that have begun."),
  of_run("/attempts", "attempts", PART,
    { attempts = { type = "array", items = "Attempt" }, next = "string?" },
    "Its attempts, by node, item, iteration and number."),
  of_run("/steps", "steps", PART, { steps = { type = "array", items = "Step" }, next = "string?" },
    "Its steps, by node, item, iteration and place."),
  of_run("/signals", "signals", PAGE,
    { signals = { type = "array", items = "ReceivedSignal" }, next = "string?" },
    "The signals that it has received."),
  of_run("/published", "published", nil, { published = { type = "array", items = "Published" } },
    "What its handlers have published, the last value of each name."),
  of_run("/logs", "logs", { after = "integer?", tail = "integer?", limit = PAGE.limit, node = "string?",
    level = "string?", search = "string?" }, "LogPage",
    "Its log after a line, or from the end; a page of a search may have few lines and not be the last."),
  of_run("/logs/stream", "log_stream",
    with(EVENTS, { node = "string?", level = "string?", search = "string?" }), nil,
    "Its log, line by line as it comes.", with(STREAM, { calls = "events.logs" })),
  of_run("/events", "events", EVENTS, nil,
    "What happens to it, record by record of its journal; Last-Event-ID goes on without a gap.", STREAM),
  of_run("/graph", "graph", nil, { ["..."] = "any" },
    "Its graph with coordinates, and the same with groups and nodes that are alike as one."),
  of_run("/timeline", "timeline", nil, { ["..."] = "any" },
    "When each node was queued, ran, waited and was to be tried again; and the measured critical path."),
  of_run("/compare/{other}", "compare", nil, "Comparison",
    "It and another run: whether input, context and output are the same, and how their code differs."),
  of_run("/compare/{other}/nodes", "compare_nodes", PAGE,
    { nodes = { type = "array", items = "ComparedNode" }, next = "string?" },
    "The nodes of both by name; a page may have few and not be the last.", { calls = "runs.compare_nodes" }),
  of_run("/why", "why", nil, { run = "string", state = "string", nodes = { type = "array", items = "Why" },
    more = "boolean" }, "Why its nodes are where they are, and what helps."),
  of_run("/why/{node}", "why_node", nil, "Why", "The same of one node or item.", { calls = "runs.why" }),
  { "GET", "/events", does = "events", scope = "read", of = "some", calls = "events.all",
    query = with(EVENTS, { runs = "boolean?" }), streams = true, type = "text/event-stream",
    words = "What happens to all runs from now on; with `runs` only what concerns whole runs." },
  { "GET", "/statistics", does = "statistics", scope = "read", of = "some", calls = "runs.statistics",
    query = { workflow = "string?" }, answer = { ["..."] = "any" }, words = "Figures over all runs." },
}

-- ---- what comes from outside --------------------------------------------------------------------

local function hook(method, path, does, scope, row)
  row.words, row.answer = row[2], row[1]
  row[1], row[2] = method, "/hooks" .. path
  row.does, row.scope, row.of, row.calls = "hook." .. does, scope, "some", "hooks." .. does
  return row
end

local HOOKS = {
  hook("GET", "", "list", "read", { { hooks = { type = "array", items = "Hook" } },
    "The hooks that are served, and what came to them." }),
  hook("GET", "/{name}/deliveries", "deliveries", "read", { { deliveries = { type = "array",
    items = "Delivery" }, next = "integer?" }, "Deliveries to one, newest first.",
    query = { limit = PAGE.limit, before = "integer?" } }),
  hook("GET", "/{name}/deliveries/{delivery}", "delivery", "read", { "WholeDelivery",
    "One of them, with its headers and its body." }),
  hook("POST", "/{name}/deliveries/{delivery}/redeliver", "redeliver", "operate", { "HookAnswer",
    "Does once more what a delivery was for; what it has done already is not done again.", status = 202 }),
}

-- ---- what is measured ---------------------------------------------------------------------------

local MEASURED = {
  { "GET", "/metrics", does = "metrics", scope = "read", calls = "metrics.show",
    type = "text/plain; version=0.0.4; charset=utf-8",
    also = "application/openmetrics-text; version=1.0.0; charset=utf-8",
    words = "What the server measures, as Prometheus reads it; as OpenMetrics where Accept asks for it." },
}

-- ---- the table ----------------------------------------------------------------------------------

local function take(into, rows, prefix)
  for _, row in ipairs(rows) do
    row.method, row.path = row[1], prefix .. row[2]
    row[1], row[2] = nil, nil
    into[#into + 1] = row
  end
end

---@type orrery.serve.Route[]
routes.ROWS = {}
take(routes.ROWS, PLAIN, "")
take(routes.ROWS, MEASURED, "")
take(routes.ROWS, CHANGES, PREFIX)
take(routes.ROWS, SCHEDULES, PREFIX)
take(routes.ROWS, HOOKS, PREFIX)
take(routes.ROWS, BULK, PREFIX)
take(routes.ROWS, READS, PREFIX)

--- What chooses runs in a query, and what asks for a page of a list.
routes.CHOOSING, routes.PAGE, routes.with = CHOOSING, PAGE, with

return routes
