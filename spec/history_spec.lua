-- The commands that show what runs have left: what they print where, their JSON, how they exit.
local command = require "spec.support.command"
local core = require "orrery.core"
local details = require "orrery.history.details"
local filter = require "orrery.history.filter"
local find = require "orrery.history.find"
local golden = require "spec.golden.compare"
local plain_run = require "orrery.history.plain_run"
local store = require "orrery.store.open"
local past = require "spec.support.history"

local json = core.json
local T, DONE, BAD, WAITS, SAGA, OLD = past.T, past.DONE, past.BAD, past.WAITS, past.SAGA, past.OLD
local ok, has, refused, lines_of = past.ok, past.has, past.refused, past.lines_of

local function each_test() past.each_test { before_each = before_each, after_each = after_each } end

local function url() return select(2, past.place()) end

local function ids_of(...)
  local ids = {}
  for i, row in ipairs(lines_of(ok("runs", "--json", ...).out)) do ids[i] = row.id end
  return ids
end

-- ---- the store as Lua sees it -------------------------------------------------------------------

describe("core.store", function()
  each_test()

  it("gives rows by column, with integers, floats, text and nil as they are", function()
    local db <close> = core.store(url())
    local rows = db:query("SELECT ? AS i, ? AS f, ? AS t, ? AS n, ? AS b, x'00ff' AS blob", 3, 2.0, "é\0x",
      nil, true)
    assert.are.same({ { i = 3, f = 2.0, t = "é\0x", b = 1, blob = "\0\255" } }, rows)
    assert.are.equal("integer", math.type(rows[1].i))
    assert.are.equal("float", math.type(rows[1].f))
    assert.are.equal(url(), db.url)
    assert.are.equal("sqlite", db.kind)
  end)

  it("gives rows to a loop that changes the store", function()
    local db <close> = core.store(url())
    local n = 0
    for row in db:each "SELECT name FROM workflows ORDER BY name" do
      n = n + db:change { { "UPDATE workflows SET paused = 1 WHERE name = ?", row.name } }
    end
    assert.are.equal(2, n)
    assert.are.equal(2, db:query("SELECT sum(paused) AS n FROM workflows")[1].n)
  end)

  it("changes all or nothing, and takes nil where `n` says how many", function()
    local db <close> = core.store(url())
    local n = db:change { { "INSERT INTO pools VALUES(?, ?)", "a", 1 },
      { "UPDATE runs SET key = ? WHERE number = 2", nil, n = 1 } }
    assert.are.equal(2, n)
    assert.is_false((pcall(db.change, db, { { "DELETE FROM pools" }, { "DELETE FROM nowhere" } })))
    assert.are.equal(1, #db:query "SELECT 1 FROM pools")
    assert.is_nil(db:query("SELECT key FROM runs WHERE number = 2")[1].key)
  end)

  it("finds rows by their key, and a large value", function()
    local db <close> = core.store(url())
    assert.are.equal('"x"', db:get("blob", "aaaa").data)
    assert.is_nil(db:get("blob", "zzzz"))
    assert.are.equal("etl", db:get("bundle", "b1").workflow)
    assert.are.same({ { bundle = "b0", name = "m", path = "m.lua", source = "return 1" } },
      db:get("module", "b0"))
    assert.are.same({}, db:get("module", "none"))
  end)

  local function raises(part, fn, ...)
    local good, message = pcall(fn, ...)
    assert.is_false(good)
    assert.are.equal("string", type(message))
    has(message, part)
  end

  it("raises sentences", function()
    local db = core.store(url())
    raises("syntax error", db.query, db, "SELEC 1")
    raises("one SELECT", db.query, db, "DELETE FROM runs RETURNING number")
    raises("one SELECT", db.query, db, "PRAGMA journal_mode = DELETE")
    raises("parameter 1 is a table", db.query, db, "SELECT ?", {})
    raises("change 1 is no {sql, parameters...}", db.change, db, { 3 })
    raises("parameter 1 of change 2 is a function", db.change, db,
      { { "DELETE FROM pools" }, { "DELETE FROM pools WHERE name = ?", print } })
    raises("no id of a run", db.send, db, "12", "cancel", "{}")
    raises("no run", db.send, db, "0193f0e2-0000-7000-8000-0000000000ff", "cancel", "{}")
    raises("invalid option", db.get, db, "run", "x")
    db:close()
    db:close()
    raises("the store is closed", db.query, db, "SELECT 1")
    raises("/nowhere/", core.store, "sqlite:/nowhere/at/all.db")
  end)

  it("sends a message with the same dedup once", function()
    local db <close> = core.store(url())
    db:send(WAITS, "signal", '{"name":"a"}', "one")
    db:send(WAITS, "signal", '{"name":"b"}', "one")
    assert.are.same({ { text = '{"name":"a"}' } }, db:query "SELECT text FROM inbox")
  end)
end)

describe("which store is meant", function()
  local function env(value) return function(name) return name == "ORRERY_STORE" and value or nil end end

  it("is said by --store, else by ORRERY_STORE, else it is below this folder", function()
    assert.are.same({ "sqlite:a.db", true }, { store.url({ store = "sqlite:a.db" }, env "b.db") })
    assert.are.same({ "b.db", true }, { store.url({}, env "b.db") })
    assert.are.same({ "sqlite:./.orrery/runs.db", false }, { store.url({}, env "") })
    assert.are.same({ "sqlite:./.orrery/runs.db", false }, { store.url(nil, env(nil)) })
  end)

  it("has a file, or none", function()
    assert.are.equal("./a.db", store.path "sqlite:./a.db")
    assert.are.equal("a:b.db", store.path "./a:b.db" and "a:b.db")
    assert.are.equal("/x/runs.db", store.path "/x/runs.db")
    assert.is_nil(store.path "memory:")
  end)
end)

-- ---- choosing -----------------------------------------------------------------------------------

describe("a point in time", function()
  local NOW = 1790000000

  it("is so long ago, a date or a time", function()
    assert.are.equal(NOW - 86400, filter.time("1d", NOW))
    assert.are.equal(NOW - 9000, filter.time("2h30m", NOW))
    assert.are.equal(NOW, filter.time("2026-09-21T14:13:20Z", NOW))
    assert.are.equal(NOW - 20, filter.time("2026-09-21 14:13Z", NOW))
    assert.are.equal(951868799, filter.time("2000-02-29T23:59:59Z", NOW))
    assert.are.equal(os.time { year = 2026, month = 3, day = 1, hour = 0 }, filter.time("2026-03-01", NOW))
  end)

  it("with a Z is in UTC, wherever one is", function()
    local uv = require "luv"
    local before = os.getenv "TZ"
    uv.os_setenv("TZ", "JST-9")
    os.time() -- takes note of it
    local utc, here = filter.time("2026-09-21T14:13:20Z", NOW), filter.time("2026-09-21T14:13:20", NOW)
    if before then uv.os_setenv("TZ", before) else uv.os_unsetenv "TZ" end
    os.time { year = 2026, month = 1, day = 1 }
    assert.are.equal(NOW, utc)
    assert.are.equal(NOW - 9 * 3600, here)
  end)

  it("is refused where it is none, with what would be one", function()
    for _, text in ipairs { "2026-13-01", "2026-03-01T25:00", "2026-03-01T24:00", "2026-03-01T23:60",
        "2026-03-01T", "2026-03-01 9:30", "2026-03-32" } do
      local seconds, message = filter.time(text, NOW)
      assert.is_nil(seconds, text)
      has(message, "2026-03-01T09:30")
    end
    local _, message = filter.time("1x", NOW)
    has(message, "unknown unit")
  end)
end)

describe("the short form of an id", function()
  it("is as long as it must be, and never ends in a dash", function()
    assert.are.equal("0193f0e2", plain_run.short(DONE, nil, nil))
    assert.are.equal("0193f0e3-1", plain_run.short(WAITS, BAD, SAGA))
    assert.are.equal("0193f0e2-0", plain_run.short(DONE, "0193f0e2-1", nil))
    assert.are.equal(DONE, plain_run.short(DONE, nil, BAD))
  end)
end)

describe("the state that a person is told", function()
  it("is that the process has left what it was to do", function()
    local function told(state, owned, owner)
      return plain_run.state { state = state, owned = owned, owner = owner }
    end
    for _, state in ipairs { "pending", "running", "compensating" } do
      assert.are.equal("interrupted", told(state, false, 1))
      assert.are.equal(state, told(state, true, 1))
    end
    for _, state in ipairs { "paused", "completed", "failed" } do
      assert.are.equal(state, told(state, false, 1))
    end
    assert.are.equal("interrupted", told("waiting", false, 1))
    assert.are.equal("waiting", told("waiting", false, nil))
  end)
end)

describe("what is known of a run", function()
  each_test()

  local RUN = [[INSERT INTO runs(number, id, workflow, state, durability, created, owner)
    VALUES(?, ?, 'etl', ?, 'strict', 5, ?)]]
  local NODES = "INSERT INTO nodes(run, node, item, idx, state, attempts, iteration) VALUES"
  local ID = "0199aaaa-0000-7000-8000-000000000000"

  it("is that nothing was cut off where its process lives, and which of its steps it waits in", function()
    local db <close> = core.store(url())
    local owner, rt = past.live()
    db:change { { RUN, 200, ID, "running", owner },
      { NODES .. "(200, 'a', 0, 0, 'running', 1, 1), (200, 'b', 0, 1, 'waiting', 1, 1)" },
      { [[INSERT INTO steps VALUES(200, 'b', 0, 1, '', 1, 'first', 'wait', 1, '1', NULL, 5),
        (200, 'b', 0, 1, '', 2, 'second', 'wait', 1, NULL, NULL, 6)]] } }
    local nodes = details.of(db, assert(find.one(db, ID))).nodes
    assert.is_nil(nodes[1].interrupted)
    has(json.encode(nodes[2].why), "second")
    rt:close()
    assert.is_true(details.of(db, assert(find.one(db, ID))).nodes[1].interrupted)
  end)

  it("is in which order it was undone", function()
    local db <close> = core.store(url())
    db:change { { RUN, 200, ID, "compensated", nil, n = 4 },
      { NODES .. "(200, 'a', 0, 0, 'compensated', 1, 1), (200, 'b', 0, 1, 'compensated', 1, 1)" },
      { [[INSERT INTO attempts(run, node, item, iteration, attempt, phase, state, started, ended, interrupted)
        VALUES(200, 'a', 0, 1, 2, 'compensate', 'completed', 7, 8, 0),
        (200, 'b', 0, 1, 2, 'compensate', 'completed', 6, 7, 0)]] } }
    local undone = details.of(db, assert(find.one(db, ID))).compensations.undone
    assert.are.same({ "b", "a" }, { undone[1].node, undone[2].node })
  end)

  it("is all of its log, page by page, and items to which nothing has happened", function()
    local db <close> = core.store(url())
    db:change { { [[INSERT INTO logs(run, node, item, iteration, attempt, time, level, message)
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
      SELECT 1, 'fetch', 0, 1, 1, i, 'info', i FROM n]] } }
    local n = 0
    for _ in require("orrery.history.logs").each(db, { number = 1 }, {}, 0) do n = n + 1 end
    assert.are.equal(2000, n)
    local idle = require("orrery.history.items").idle
    local node = { run = 1, node = "fetch", idx = 0, items = 3 }
    assert.are.equal("ready", idle(db, { bundle = "b1" }, node, 3).state)
    assert.is_nil(idle(db, { bundle = "b1" }, node, 4))
    assert.is_nil(idle(db, { bundle = "b1" }, node, 0))
  end)
end)

describe("orrery runs", function()
  each_test()

  it("lists the newest first", function()
    golden("history_runs.txt", ok("runs", "--state", "completed,failed,compensation_failed").out)
    assert.are.same({ SAGA, WAITS, BAD, DONE, OLD }, ids_of())
  end)

  it("puts what does not fit beside the others below them", function()
    local db <close> = core.store(url())
    local paint = require("orrery.cli.display.term").painter(false)
    for _, width in ipairs { 100, 60, 40 } do
      local lines = require("orrery.cli.runs").table(filter.select(db, { state = { "completed" } }),
        { now = past.T + 5000, paint = paint, width = width })
      golden(("history_runs_%d.txt"):format(width), (table.concat(lines, "\n") .. "\n"):gsub(
        "%d+%-%d+%-%d+ %d+:%d+:%d+", "YYYY-MM-DD hh:mm:ss") .. "") -- of any zone
      for i, line in ipairs(lines) do
        assert.is_true(utf8.len(line) <= math.max(width, 46), ("%d: %d: %s"):format(width, i, line))
      end
    end
  end)

  it("chooses by each state alone, and by pairs of them, as the tables have them", function()
    local db <close> = core.store(url())
    local owner, rt = past.live()
    local states = {}
    for i, state in ipairs(filter.STATES) do
      if state ~= "interrupted" then
        states[#states + 1] = state
        db:change { { [[INSERT INTO runs(number, id, workflow, state, durability, created, seq, ended, owner)
          VALUES(?, ?, 'etl', ?, 'strict', 5, 1, ?, ?)]], 100 + i,
            ("0195%04d-0000-7000-8000-000000000000"):format(i), state,
          i > 5 and 6 or nil, i <= 5 and owner or nil, n = 5 } }
      end
    end
    local function numbers(...)
      local list = {}
      for i, row in ipairs(filter.select(db, { state = { ... } })) do list[i] = row.number end
      return list
    end
    local function expected(...)
      local list = {}
      for i, row in ipairs(db:query("SELECT number FROM runs WHERE state IN (?, ?) "
        .. "ORDER BY created DESC, number DESC", ...)) do
        list[i] = row.number
      end
      return list
    end
    for i, state in ipairs(states) do
      assert.are.same(expected(state, state), numbers(state), state)
      assert.are.same(expected(state, states[i + 1] or "completed"),
        numbers(state, states[i + 1] or "completed"), state)
    end
    assert.are.same({ 4 }, numbers "interrupted") -- it waits, and was not let go
    db:change { { "UPDATE runs SET owner = NULL WHERE number = 101" },
      { "UPDATE runs SET owner = 1 WHERE number IN (102, 103, 104, 105)" } }
    assert.are.same({ 4, 105, 103, 102 }, numbers "interrupted") -- 101 waits for its lock, and was let go
    assert.are.same({ 4, 3, 107, 105, 103, 102 }, numbers("interrupted", "failed"))
    rt:close()
  end)

  it("chooses by workflow, state, time and labels", function()
    assert.are.same({ SAGA }, ids_of("--workflow", "order"))
    assert.are.same({ WAITS, BAD }, ids_of("--state", "failed", "--state", "waiting,running"))
    assert.are.same({ SAGA, WAITS }, ids_of("--since", "2026-09-21T14:20:00Z"))
    assert.are.same({ WAITS, BAD },
      ids_of("--since", "2026-09-21T14:15:00Z", "--until", "2026-09-21T14:38:20Z"))
    assert.are.same({ DONE }, ids_of("--label", "suite=nightly", "--label", "n=3", "--label", "ok=true"))
    assert.are.same({ WAITS, DONE }, ids_of("--label", "suite"))
    assert.are.same({}, ids_of("--label", "suite=nightl"))
    local db <close> = core.store(url())
    assert.are.same({ { name = "url", value = "a=b" }, { name = "x", value = "" } },
      filter.chosen_by(db, { label = { "url=a=b", "x=" } }).labels)
    assert.are.same({ SAGA, WAITS }, ids_of("--limit", "2"))
    assert.are.same({ SAGA, WAITS, BAD, DONE, OLD }, ids_of("--limit", "0"))
  end)

  it("prints an object a line: id, workflow, state, times, labels", function()
    local row = lines_of(ok("runs", "--json", "--label", "n=3").out)[1]
    assert.are.equal(DONE, row.id)
    assert.are.equal("etl", row.workflow)
    assert.are.equal("completed", row.state)
    assert.are.same({ T, T + 0.5, T + 2.25 }, { row.created, row.started, row.ended })
    assert.are.same({ suite = "nightly", n = 3, ok = true }, row.labels)
    assert.are.equal("k1", row.key)
    assert.are.equal(4, row.nodes)
    assert.are.equal(DONE, lines_of(ok("runs", "--json", "--state", "waiting").out)[1].parent)
    assert.are.equal("declined", lines_of(ok("runs", "--json", "--workflow", "order").out)[1].error.code)
  end)

  it("says that there are more, on the standard error", function()
    has(ok("runs", "--limit", "1").err, "--limit 0")
    assert.are.equal("", ok("runs").err)
  end)

  it("names the nearest of what is not there", function()
    refused(2, "did you mean 'etl'?", "runs", "--workflow", "elt")
    refused(2, "did you mean 'failed'?", "runs", "--state", "fialed")
    refused(2, "unknown unit", "runs", "--since", "3x")
    refused(2, "is no label", "runs", "--label", "=3")
    assert.are.same({ "", "no such runs\n" },
      { ok("runs", "--label", "nothing").out, ok("runs", "--label", "nothing").err })
  end)

  it("reads many in pages, each once", function()
    local db = core.store(url())
    db:change { { [[WITH RECURSIVE c(n) AS (SELECT 6 UNION ALL SELECT n + 1 FROM c WHERE n < 1205)
      INSERT INTO runs(number, id, workflow, state, durability, created)
      SELECT n, printf('0194%04d-0000-7000-8000-000000000000', n), 'etl', 'pending', 'strict', ? FROM c]],
        T } }
    db:close()
    local ids, seen = ids_of("--state", "pending"), {}
    for _, id in ipairs(ids) do seen[id] = true end
    local n = 0
    for _ in pairs(seen) do n = n + 1 end
    assert.are.same({ 1200, 1200 }, { #ids, n })
    assert.are.equal(1001, #ids_of("--state", "pending", "--limit", "1001"))
  end)
end)

describe("a store that is not there", function()
  -- nothing in the environment names one either
  local function missing(arguments)
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local result = command.run(arguments, nil, ("cd %s; unset ORRERY_STORE;"):format(folder))
    os.execute("rm -r " .. folder)
    return result
  end

  it("is simply empty where nobody named it, and says how one is made", function()
    for _, name in ipairs { "runs", "stats", "cache" } do
      local result = missing { name }
      assert.are.equal(0, result.code)
      assert.are.equal("", result.out)
      has(result.err, "no runs yet: ./.orrery/runs.db does not exist; `orrery run FILE` makes it")
    end
  end)

  it("is a mistake where it was named, or where a run of it is wanted", function()
    assert.are.equal(2, missing({ "runs", "--store", "sqlite:other.db" }).code)
    has(missing({ "runs", "--store", "other.db" }).err, "other.db does not exist")
    for _, words in ipairs { "show 0193", "why 0193 a", "logs 0193", "cancel 0193", "signal 0193 a",
      "backup b.db", "prune --keep 3d",
      "cache clear" } do
      local arguments = {}
      for word in words:gmatch "%S+" do arguments[#arguments + 1] = word end
      assert.are.equal(2, missing(arguments).code)
    end
    local result = missing { "runs", "--store", "memory:" }
    assert.are.equal(2, result.code)
    has(result.err, "--store sqlite:PATH")
  end)

  it("is refused where it is something else, or broken", function()
    local result = command.run_with({ ["x.db"] = ("no database "):rep(100) }, { "runs", "--store", "x.db" })
    assert.are.equal(1, result.code)
    has(result.err, "x.db")
    assert.are.equal(2, missing({ "runs", "--store", "redis:x" }).code)
    assert.are.equal(2, missing({ "runs", "--store", "." }).code)
  end)
end)

describe("the beginning of an id", function()
  each_test()

  it("names a run where no other begins so, with or without dashes, in any case", function()
    for _, prefix in ipairs { "0193F0E3-1", "0193f0e31", WAITS, "0193f0e3-1111",
        WAITS:gsub("-", ""):upper() } do
      assert.are.equal(WAITS, json.decode(ok("show", prefix, "--json").out).id)
    end
  end)

  it("that several have lists them", function()
    local result = refused(2, "2 runs begin with '0193f0e2'", "show", "0193f0e2")
    has(result.err, DONE .. " (etl, completed)")
    has(result.err, BAD .. " (etl, failed)")
    refused(2, "5 runs begin with '019'", "show", "019")
    local db <close> = core.store(url())
    db:change { { [[INSERT INTO runs(number, id, workflow, state, durability, created)
      VALUES(99, '0194ffff-0000-7000-8000-000000000000', 'etl', 'completed', 'strict', 5)]] } }
    has(refused(2, "6 runs begin with '019'", "show", "019").err, ", and 1 more; give more of the id")
  end)

  it("that none has names the nearest run, or the newest", function()
    refused(2, "the nearest is " .. SAGA, "show", "0193f0e3-3")
    refused(2, "the newest is " .. SAGA, "show", "ffff")
    refused(2, "is no id of a run: it is the beginning of a UUID", "show", "latest")
    refused(2, "'@lst' is no id of a run; the newest is @last", "show", "@lst")
    refused(2, "'etl' is no id of a run, but of a workflow, whose newest is 0193f0e3-1", "why", "etl",
      "fetch")
  end)
end)

-- ---- one run ------------------------------------------------------------------------------------

describe("orrery show", function()
  each_test()

  it("shows states, attempts, times, errors, a chart and the output", function()
    golden("history_show.txt", ok("show", DONE).out)
    golden("history_show_failed.txt", ok("show", BAD).out)
  end)

  it("shows what was undone and what could not be", function()
    golden("history_show_saga.txt", ok("show", SAGA).out)
    local c = json.decode(ok("show", SAGA, "--json").out).compensations
    assert.are.same({ { node = "reserve", ended = T + 1504 } }, c.undone)
    assert.are.equal("ship", c.failed[1].node)
    assert.are.equal("gone", c.failed[1].error.code)
  end)

  it("shows what a compensation returned", function()
    local db = core.store(url())
    db:change { { [[UPDATE attempts SET output = '{"refund":7}' WHERE run = 5 AND node = 'reserve' AND phase = 'compensate']] } }
    db:close()
    has(ok("show", SAGA).out, 'undone: reserve: {"refund":7}\ncould not be undone: ship')
    assert.are.same({ refund = 7 },
      json.decode(ok("show", SAGA, "--json").out).compensations.undone[1].output)
  end)

  it("shows what an unfinished run waits for, and that nobody runs it", function()
    local text = ok("show", "0193f0e3-1").out
    has(text, "waits for signal 'release'")
    has(text, "process 999999999, orrery run etl.lua, which is gone: `orrery resume 0193f0e3-1`")
    has(text, " ago\n")
    assert.is_nil(text:find("running", 1, true))
  end)

  it("prints one object with nodes and output", function()
    local r = json.decode(ok("show", DONE, "--json").out)
    assert.are.same({ rows = { 1, 2 } }, r.output)
    assert.are.same({ city = "Oslo" }, r.input)
    assert.are.same({ "fetch", "parse", "load", "route" },
      { r.nodes[1].name, r.nodes[2].name, r.nodes[3].name, r.nodes[4].name })
    assert.are.equal(2, #r.nodes[1].tries)
    assert.are.equal("x", r.nodes[1].tries[1].error.code)
    assert.are.equal("cache", r.nodes[2].source)
    assert.are.equal(2, #r.nodes[3].items)
    assert.are.equal("aaaa", r.nodes[3].output["$blob"])
    assert.are.equal("gold", r.nodes[4].outcome)
    assert.are.equal("token", r.steps[1].name)
    assert.are.equal(WAITS, r.children[1].id)
    assert.are.equal("x", json.decode(ok("show", DONE, "--json", "--outputs").out).nodes[3].output)
    assert.are.equal(json.null, json.decode(ok("show", BAD, "--json").out).output)
  end)

  it("prints every output where it is asked to", function()
    local text = ok("show", DONE, "--outputs").out
    has(text, 'output of load\n"x"')
    has(text, 'output of fetch\n{\n  "a": 1\n}')
  end)
end)

describe("orrery logs", function()
  each_test()

  it("prints lines with their fields, by node, item and level", function()
    golden("history_logs.txt", ok("logs", DONE).out)
    assert.are.equal(1, #lines_of(ok("logs", DONE, "--level", "warn", "--json").out))
    assert.are.equal(2, #lines_of(ok("logs", DONE, "--node", "fetch", "--json").out))
    assert.are.equal("item", lines_of(ok("logs", DONE, "--node", "load[2]", "--json").out)[1].message)
    assert.are.equal("", ok("logs", DONE, "--node", "load[99]", "--json").out)
    assert.are.same({ a = 1, b = { 1 } }, lines_of(ok("logs", DONE, "--json").out)[1].fields)
  end)

  it("ends where the run has, also with --follow", function()
    assert.are.equal(3, #lines_of(ok("logs", DONE, "--follow", "--json").out))
  end)

  it("says that there is nothing, and names the nearest of what is not there", function()
    has(ok("logs", BAD).err, "has logged nothing")
    refused(2, "did you mean 'load'?", "logs", DONE, "--node", "laod")
    refused(2, "did you mean 'warn'?", "logs", DONE, "--level", "wrn")
  end)
end)

describe("orrery why", function()
  each_test()

  local function why(id, name) return ok("why", id, name).out end

  it("says how a node ended, and what helps", function()
    assert.are.equal("fetch completed at attempt 2 in 1.0 s\n", why(DONE, "fetch"))
    assert.are.equal("parse completed without running: its output came from the cache\n", why(DONE, "parse"))
    assert.are.equal("load[2] completed in 500 ms\n", why(DONE, "load[2]"))
    assert.are.equal("route completed in 100 ms, with the outcome gold\n", why(DONE, "route"))
    assert.are.equal("fetch failed after 2 attempts: 503 from api [http_status]\n  run it again, and what "
      .. "follows: orrery retry "
      .. BAD .. "\n", why(BAD, "fetch"))
    assert.are.equal("parse was skipped: fetch did not complete\n  see why of that: orrery why " .. BAD
      .. " fetch\n", why(BAD, "parse"))
    has(why(SAGA, "reserve"), "was undone")
    assert.are.equal("ship could not be undone: the parcel has left [gone]\n", why(SAGA, "ship"))
  end)

  it("says what a node waits for, from its steps and its dependencies, and that nobody runs the run",
    function()
    has(why(WAITS, "approve"),
      "approve waits for signal 'release'; nobody runs its run, since process 999999999 is gone\n")
    has(why(WAITS, "approve"), "orrery signal 0193f0e3-1 release")
    has(why(WAITS, "approve"), "orrery resume 0193f0e3-1")
    has(why(WAITS, "load"), "load waits for approve;")
  end)

  -- What the owner has published of a node, in a run that this process keeps alive.
  local function published(said, state)
    local db <close> = core.store(url())
    local owner, rt = past.live()
    db:change {
      { "UPDATE runs SET owner = ? WHERE number = 4", owner },
      { "UPDATE nodes SET why = ?, state = ? WHERE run = 4 AND node = 'load'", json.encode(said), state },
    }
    return why(WAITS, "load"), rt
  end

  it("says what the engine says of every kind of wait", function()
    local cases = {
      { { kind = "dependency", by = "parse", count = 3 }, "pending",
        "waits for parse and 2 more\n  see why of that: orrery why 0193f0e3-1 parse" },
      { { kind = "run_limit", limit = 4, count = 4 }, "ready", "the run's concurrency is 4" },
      { { kind = "pool", name = "db", count = 2, limit = 2, by = "fetch", by_run = BAD }, "ready",
        "waits for pool 'db', of which 2 of 2 places are taken, one by fetch of run " .. BAD },
      { { kind = "pool", name = "db", count = 0, limit = 0 }, "ready",
        "gives no places\n  let the pool go on with `orrery resume --pool db`" },
      { { kind = "rate", name = "db" }, "ready", "waits for the rate of pool 'db'" },
      { { kind = "breaker", name = "api" }, "waiting", "waits for breaker 'api', open until" },
      { { kind = "timer", due = 1 }, "waiting",
        "sleeps until " .. os.date("%Y-%m-%d %H:%M:%S", 1) .. ", which is over" },
      { { kind = "signal", name = "go" }, "waiting",
        "waits for signal 'go'\n  send it: orrery signal 0193f0e3-1 go" },
      { { kind = "lock", name = "x" }, "pending", "waits because its run waits for the lock 'x'" },
      { { kind = "lock", name = "x", by_run = BAD, alive = true }, "pending",
        "waits because its run waits for the lock 'x', which run " .. BAD .. " has\n" },
      { { kind = "lock", name = "x", by_run = BAD, alive = false }, "pending",
        "has, and no process runs that\n  let that go on: orrery resume " .. BAD },
      { { kind = "priority", count = 2 }, "ready", "is ready; 2 are before it" },
      { { kind = "items", count = 2, limit = 5 }, "running", "has 2 of 5 items done" },
      { { kind = "stopped", cause = "failure" }, "pending",
        "will not start: the run is ending, because a node failed" },
    }
    for _, case in ipairs(cases) do
      local text, rt = published(case[1], case[2])
      has(text, case[3])
      rt:close()
    end
  end)

  it("says what is left of a wait while its run is paused", function()
    local cases = {
      { { kind = "timer", left = 3 }, "waiting", "sleeps until 3.0 s after its paused run goes on" },
      { { kind = "backoff", left = 3 }, "retrying", "attempt is due 3.0 s after its paused run goes on" },
      { { kind = "signal", name = "go", left = 3 }, "waiting", "'go', until 3.0 s after its paused run" },
      -- its process ended before it could say how much is left
      { { kind = "timer", due = 1 }, "waiting", "sleeps until its paused run has gone on" },
      { { kind = "backoff", due = 1 }, "retrying", "attempt is due when its paused run has gone on" },
    }
    for _, case in ipairs(cases) do
      local _, rt = published(case[1], case[2])
      local db = core.store(url())
      db:change { { "UPDATE runs SET state = 'paused' WHERE number = 4" },
        { "UPDATE nodes SET due = 1 WHERE run = 4 AND node = 'load'" } }
      local text = why(WAITS, "load")
      has(text, case[3])
      if case[1].kind ~= "signal" then has(text, "let it go on: orrery resume 0193f0e3-1") end
      local shown = ok("show", WAITS).out
      assert.is_nil(shown:find("due now", 1, true))
      assert.is_nil(shown:find("which is over", 1, true))
      db:close()
      rt:close()
    end
  end)

  it("names what holds the whole run", function()
    local _, rt = published({ kind = "priority" }, "ready")
    local db = core.store(url())
    db:change { { "UPDATE workflows SET paused = 1 WHERE name = 'etl'" } }
    has(why(WAITS, "load"), "workflow etl is paused\n  let it go on: orrery resume --workflow etl")
    db:change { { "UPDATE runs SET state = 'paused' WHERE number = 4" } } -- as whoever runs it does then
    has(why(WAITS, "load"), "workflow etl is paused\n  let it go on: orrery resume --workflow etl")
    db:change { { "UPDATE workflows SET paused = 0 WHERE name = 'etl'" } }
    has(why(WAITS, "load"), "its run is paused\n  let it go on: orrery resume 0193f0e3-1")
    db:change { { "UPDATE nodes SET state = 'running' WHERE run = 4 AND node = 'load'" } }
    assert.is_nil(why(WAITS, "load"):find "paused")
    db:change { { [[INSERT INTO nodes (run, idx, item, node, state, attempts, iteration)
      SELECT run, idx, 1, node, 'completed', 1, 1 FROM nodes WHERE run = 4 AND node = 'load']] } }
    has(why(WAITS, "load"), "its run is paused") -- its next item cannot begin
    db:close()
    rt:close()
  end)

  it("is one object with --json", function()
    local said = json.decode(ok("why", BAD, "parse", "--json").out)
    assert.are.same({ run = BAD, node = "parse", state = "skipped", kind = "settled", skip = "upstream",
      by = "fetch", attempts = 0,
      sentence = "parse was skipped: fetch did not complete",
      remedy = "see why of that: orrery why " .. BAD .. " fetch" }, said)
  end)

  it("names the nearest node", function()
    refused(2, "did you mean 'fetch'?", "why", DONE, "fetc")
    refused(2, "its nodes are fetch, parse, load, route", "why", DONE, "zzz")
    refused(2, "has no item 9", "why", DONE, "load[9]")
  end)
end)

describe("orrery stats", function()
  each_test()

  it("shows figures by workflow, and by node of one", function()
    golden("history_stats.txt", ok("stats").out .. "\n" .. ok("stats", "--workflow", "etl").out)
    local all = json.decode(ok("stats", "--json").out)
    assert.are.same({ "etl", "order" }, { all.workflows[1].workflow, all.workflows[2].workflow })
    assert.are.same({ 4, 2, 1 },
      { all.workflows[1].runs, all.workflows[1].completed, all.workflows[1].failed })
    assert.is_nil(all.nodes)
    local one = json.decode(ok("stats", "--workflow", "etl", "--json").out)
    for _, row in ipairs(one.nodes) do
      if row.node == "fetch" then
        assert.are.same({ 4, 3, 1, 1, 1.0 }, { row.runs, row.completed, row.failed, row.retries, row.p50 })
      end
    end
  end)
end)
