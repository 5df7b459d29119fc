-- history.lua: a store for the specs of the commands that look at one. It is made by its tables, so
-- that every state, error and time in it is known.
local command = require "spec.support.command"
local core = require "orrery.core"

local past = {}

local json = core.json

past.T = 1790000000 -- 2026-09-21 14:13:20 UTC

-- Ids that share beginnings of several lengths.
past.DONE = "0193f0e2-0000-7000-8000-000000000001"
past.BAD = "0193f0e2-0000-7000-8000-00000000000a"
past.WAITS = "0193f0e3-1111-7000-8000-000000000003"
past.SAGA = "0193f0e3-2222-7000-8000-000000000004"
past.OLD = "01920000-0000-7000-8000-000000000005"

local T, DONE, BAD, WAITS, SAGA, OLD = past.T, past.DONE, past.BAD, past.WAITS, past.SAGA, past.OLD

local function rows_of(name, columns, rows)
  local changes, marks = {}, ("?, "):rep(#columns - 1) .. "?"
  for i, row in ipairs(rows) do
    local change = { ("INSERT INTO %s(%s) VALUES(%s)"):format(name, table.concat(columns, ", "), marks),
      n = #columns }
    for c, column in ipairs(columns) do change[c + 1] = row[column] end
    changes[i] = change
  end
  return changes
end

local RUN = { "number", "id", "workflow", "bundle", "key", "parent", "state", "owner", "durability", "input",
  "labels", "output", "error",
  "created", "started", "ended", "seq", "nodes", "completed", "failed", "skipped", "cancelled", "waiting" }

local function run(fields)
  local row = { durability = "strict", seq = 1, nodes = 4, completed = 0, failed = 0, skipped = 0,
    cancelled = 0, waiting = 0 }
  for key, value in pairs(fields) do row[key] = value end
  row.started = row.started or row.created
  return row
end

local RUNS = {
  run { number = 1, id = OLD, workflow = "etl", state = "completed", created = T - 90 * 86400,
    ended = T - 90 * 86400 + 60, completed = 4,
    bundle = "b0" },
  run { number = 2, id = DONE, workflow = "etl", bundle = "b1", key = "k1", state = "completed",
    input = '{"city":"Oslo"}',
    labels = '{"suite":"nightly","n":3,"ok":true}', output = '{"rows":[1,2]}', created = T, started = T + 0.5,
    ended = T + 2.25,
    completed = 4 },
  run { number = 3, id = BAD, workflow = "etl", bundle = "b1", state = "failed", input = '{"city":"Rome"}',
    labels = "{}",
    error = '{"code":"http_status","message":"503 from api"}', created = T + 100, ended = T + 103,
    completed = 1, failed = 1, skipped = 2 },
  run { number = 4, id = WAITS, workflow = "etl", bundle = "b1", parent = 2, state = "waiting", owner = 1,
    labels = '{"suite":"x"}',
    created = T + 1000, completed = 2, waiting = 1 },
  run { number = 5, id = SAGA, workflow = "order", state = "compensation_failed", created = T + 1500,
    ended = T + 1504, nodes = 3,
    failed = 1, error = '{"code":"declined","message":"card declined"}' },
}

local NODE = { "run", "node", "item", "idx", "state", "attempts", "iteration", "started", "ended", "due",
  "output", "error", "source",
  "outcome", "why" }

local function node(number, idx, name, state, fields)
  local row = { run = number, node = name, item = 0, idx = idx, state = state, attempts = 1, iteration = 1 }
  if state == "completed" then row.source = "run" end
  for key, value in pairs(fields or {}) do row[key] = value end
  return row
end

local DECLINED = '{"code":"declined","message":"card declined"}'

local NODES = {
  node(1, 0, "fetch", "completed", { started = T - 90 * 86400, ended = T - 90 * 86400 + 60 }),
  node(2, 0, "fetch", "completed", { attempts = 2, started = T + 0.5, ended = T + 1.5, output = '{"a":1}' }),
  node(2, 1, "parse", "completed",
    { started = T + 1.5, ended = T + 1.5, output = "[1,2]", source = "cache" }),
  node(2, 2, "load", "completed",
    { attempts = 0, started = T + 1.5, ended = T + 2.25, output = '{"$blob":"aaaa","size":3}' }),
  node(2, 2, "load", "completed", { item = 1, started = T + 1.5, ended = T + 2.25, output = "1" }),
  node(2, 2, "load", "completed", { item = 2, started = T + 1.5, ended = T + 2, output = "1" }),
  node(2, 3, "route", "completed", { started = T + 2, ended = T + 2.1, outcome = "gold" }),
  node(3, 0, "fetch", "failed", { attempts = 2, started = T + 100, ended = T + 103,
    error = '{"code":"http_status","message":"503 from api","retryable":true}' }),
  node(3, 1, "parse", "skipped",
    { attempts = 0, ended = T + 103, why = '{"kind":"settled","skip":"upstream","by":"fetch"}' }),
  node(4, 0, "fetch", "completed", { started = T + 1000, ended = T + 1001 }),
  node(4, 1, "parse", "completed", { started = T + 1001, ended = T + 1002 }),
  node(4, 2, "load", "pending", { attempts = 0 }),
  node(4, 3, "approve", "waiting", { started = T + 1002 }),
  node(5, 0, "reserve", "compensated", { started = T + 1500, ended = T + 1501, source = "run" }),
  node(5, 1, "ship", "compensation_failed", { started = T + 1501, ended = T + 1502, source = "run",
    error = '{"code":"gone","message":"the parcel has left"}' }),
  node(5, 2, "charge", "failed", { started = T + 1502, ended = T + 1503, error = DECLINED }),
}

past.nodes = #NODES

local ATTEMPT = { "run", "node", "item", "iteration", "attempt", "phase", "state", "started", "ended",
  "error", "interrupted" }

local function attempt(number, name, n, phase, state, from, to, fields)
  local row = { run = number, node = name, item = 0, iteration = 1, attempt = n, phase = phase, state = state,
    started = T + from,
    ended = T + to, interrupted = 0 }
  for key, value in pairs(fields or {}) do row[key] = value end
  return row
end

local ATTEMPTS = {
  attempt(2, "fetch", 1, "run", "failed", 0.5, 0.8,
    { error = '{"code":"x","message":"y"}', interrupted = 1 }),
  attempt(2, "fetch", 2, "run", "completed", 1, 1.5),
  attempt(5, "reserve", 1, "run", "completed", 1500, 1501),
  attempt(5, "ship", 1, "run", "completed", 1501, 1502),
  attempt(5, "charge", 1, "run", "failed", 1502, 1503, { error = DECLINED }),
  attempt(5, "ship", 1, "compensate", "failed", 1503, 1503.5, { error = '{"code":"gone"}' }),
  attempt(5, "reserve", 1, "compensate", "completed", 1503.5, 1504),
}

local DEFINITION = json.encode { name = "etl",
  nodes = json.array { { name = "fetch" }, { name = "parse", after = { "fetch" } },
  { name = "load", after = { "parse", { node = "approve", port = "yes" } } },
  { name = "approve", after = { "parse" } } } }

local REST = {
  { "INSERT INTO workflows VALUES('etl', 0, ?, ?), ('order', 0, ?2, ?2)", T - 90 * 86400, T + 1500 },
  -- A process that is gone: no pid is as high as this.
  { "INSERT INTO owners(id, pid, host, command, started) VALUES(1, 999999999, NULL, 'orrery run etl.lua', ?)",
    T + 1000 },
  { "INSERT INTO bundles(hash, workflow, definition, created) VALUES('b1', 'etl', ?, 1), ('b0', 'etl', ?1, "
    .. "1)", DEFINITION },
  { "INSERT INTO modules(bundle, name, path, source) VALUES('b0', 'm', 'm.lua', 'return 1')" },
  { "INSERT INTO steps VALUES(2, 'fetch', 0, 1, '', 1, 'token', 'step', 1, '{\"t\":1}', NULL, ?)", T + 0.6 },
  { "INSERT INTO steps VALUES(4, 'approve', 0, 1, '', 1, 'release', 'wait', 1, NULL, NULL, ?)", T + 1002 },
  -- labels are taken up when a run is first shown
  { "UPDATE runs SET seq = 0" },
  { "UPDATE runs SET seq = 1, state = state" },
  { "INSERT INTO signals VALUES(4, 7, 'other', '{\"x\":1}', ?, ?1, NULL)", T + 1002.5 },
  { "INSERT INTO blobs VALUES('aaaa', 3, '\"x\"'), ('bbbb', 5, '\"gone\"'), ('cccc', 7, '\"kept\"')" },
  { "INSERT INTO journal(id, run, first, fence, records) VALUES(1, 2, 1, 1, CAST(? AS BLOB))",
    'x\0{"$blob":"aaaa","size":3}' },
  { "UPDATE meta SET value = 1 WHERE name = 'projected'" },
  { "INSERT INTO cache(key, workflow, node, type, run, output, created, expires) VALUES('k-1', 'etl', "
    .. "'fetch', 'http.get', 2, "
    .. "'{\"$blob\":\"cccc\",\"size\":7}', ?, NULL), ('k-2', 'etl', 'parse', 'lua', 2, '[1]', ?1, ?1 + 1)",
    T },
  { "INSERT INTO logs(run, node, item, iteration, attempt, time, level, message, fields) VALUES(2, 'fetch', "
    .. "0, 1, 1, ?, 'info', 'hello', "
    .. "'{\"a\":1,\"b\":[1]}'), (2, 'fetch', 0, 1, 1, ?1 + 0.1, 'warn', 'slow', NULL), (2, 'load', 2, 1, 1, "
      .. "?1 + 1, 'debug', 'item', NULL)",
    T + 0.6 },
}

local folder, path, quoted

local function fill()
  folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  path = folder .. "/runs.db"
  quoted = "sqlite:" .. path
  local db <close> = core.store(quoted, "own")
  local changes = {}
  local function add(list) table.move(list, 1, #list, #changes + 1, changes) end
  add(rows_of("runs", RUN, RUNS))
  add(rows_of("nodes", NODE, NODES))
  add(rows_of("attempts", ATTEMPT, ATTEMPTS))
  -- The store has made a row for this process, which is not one of those of this history.
  db:change { { "DELETE FROM owners" } }
  add(REST)
  assert(db:change(changes) >= #changes)
end

local NOTHING_OF_IT = { "DELETE FROM runs WHERE workflow = 'alive'",
  "DELETE FROM workflows WHERE name = 'alive'",
  "DELETE FROM nodes WHERE run NOT IN (SELECT number FROM runs)",
  "DELETE FROM attempts WHERE run NOT IN (SELECT number FROM runs)",
  "DELETE FROM journal WHERE run NOT IN (SELECT number FROM runs)" }

--- Makes this process an owner that lives, which has no run.
---@return integer id in `owners`
---@return orrery.Runtime rt it lives until this is closed
function past.live()
  local flow = require "orrery"
  local rt = flow.runtime { store = quoted }
  local w = flow.workflow { name = "alive" }
  w.a = { run = function() end }
  rt:wait(flow.start(w, { runtime = rt }))
  local db = rt:store()
  db:project()
  local changes = {}
  for i, sql in ipairs(NOTHING_OF_IT) do changes[i] = { sql } end
  db:change(changes)
  return db:query("SELECT max(id) AS id FROM owners")[1].id, rt
end

--- The folder and the URL of the store of this test.
---@return string, string
function past.place() return folder, quoted end

--- Runs the command on the store, in UTC and without colours.
---@return command.Result
function past.orrery(...)
  return command.run({ ... }, nil, ("TZ=UTC ORRERY_STORE=%s NO_COLOR=1"):format(command.quote(quoted)))
end

--- The same, which must do well.
---@return command.Result
function past.ok(...)
  local result = past.orrery(...)
  assert(result.code == 0, result.err)
  return result
end

--- The text has this part.
---@param text string
---@param part string
function past.has(text, part) assert(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text)) end

--- The command fails with this code, says this on the standard error and nothing on the other.
---@param code integer
---@param part string
---@return command.Result
function past.refused(code, part, ...)
  local result = past.orrery(...)
  assert(result.code == code and result.out == "",
    ("exit %d\n%s%s"):format(result.code, result.out, result.err))
  past.has(result.err, part)
  return result
end

--- The values of lines of JSON.
---@param text string
---@return table[]
function past.lines_of(text)
  local values = {}
  for line in text:gmatch "[^\n]+" do values[#values + 1] = json.decode(line) end
  return values
end

--- Rows of the store.
---@param sql string
---@return table[]
function past.query(sql, ...)
  local db <close> = core.store(quoted)
  return db:query(sql, ...)
end

--- Makes the store anew for each test of a `describe`.
---@param hooks { before_each: function, after_each: function }
function past.each_test(hooks)
  hooks.before_each(fill)
  hooks.after_each(function() os.execute("rm -r " .. folder) end)
end

return past
