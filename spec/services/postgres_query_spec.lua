-- postgres.query on a real server; psql looks at what it leaves.
local flow = require "orrery"
local one = require "spec.support.one_node"
local postgres = require "spec.support.postgres"

local server

setup(function() server = postgres.start() end)
teardown(function() server.remove() end)

local function query(config) return flow.postgres.query(server.fields(config)) end

local function value(sql, params, config)
  config = config or {}
  config.sql, config.params = sql, params
  return one.output(query(config)).rows[1].v
end

describe("postgres.query", function()
  it("gives rows as data of Lua, exactly", function()
    local out = one.output(query { sql = [[SELECT 1::smallint AS small, 9223372036854775807 AS big,
      -9223372036854775808 AS least, 0.1::float8 AS r, 1::float8 AS whole, 12345678901234567890.123456789 AS n,
      true AS yes, false AS no, 'é''"\' AS s, NULL::int AS nothing, '\x00ff5c'::bytea AS b,
      '{"a": [1, 1.5, null, {"b": 9223372036854775807}]}'::jsonb AS j, '[ ]'::json AS e,
      timestamptz '2026-01-02 03:04:05.678+00' AT TIME ZONE 'UTC' AS t, date '2026-01-02' AS d,
      'NaN'::float8 AS nan, uuid '00000000-0000-4000-8000-000000000001' AS u]] })
    assert.same({ { small = 1, big = math.maxinteger, least = math.mininteger, r = 0.1, whole = 1.0,
      n = "12345678901234567890.123456789", yes = true, no = false, s = "é'\"\\", b = "\0\255\\",
      j = { a = { 1, 1.5, flow.json.null, { b = math.maxinteger } } }, e = {}, t = "2026-01-02 03:04:05.678",
      d = "2026-01-02", nan = "NaN", u = "00000000-0000-4000-8000-000000000001" } }, out.rows)
    assert.equal("float", math.type(out.rows[1].whole))
    assert.equal("integer", math.type(out.rows[1].small))
    assert.same({ "small", "big", "least" }, table.move(out.columns, 1, 3, 1, {}))
    assert.equal(0, out.changes)
    assert.equal(1.5, value("SELECT 1.5 AS v", nil, { numeric = "float" }))
    assert.same({}, one.output(query { sql = "SELECT 1 AS v WHERE false" }).rows)
    assert.same({ "v" }, one.output(query { sql = "SELECT 1 AS v WHERE false" }).columns)
  end)

  it("gives arrays as lists", function()
    assert.same({ 1, flow.json.null, 3 }, value "SELECT '{1,NULL,3}'::int8[] AS v")
    assert.same({ { 1, 2 }, { 3, 4 } }, value "SELECT '[2:3][0:1]={{1,2},{3,4}}'::int[] AS v")
    assert.same({ 'a"b', "c\\d", "", "NULL", "e,f", "{g}", "h" },
      value [[SELECT ARRAY['a"b', 'c\d', '', 'NULL', 'e,f', '{g}', 'h'] AS v]])
    assert.same({ true, false }, value "SELECT ARRAY[true, false] AS v")
    assert.same({ { a = 1 }, { 2 } }, value [[SELECT ARRAY['{"a":1}', '[2]']::jsonb[] AS v]])
    assert.same({ "\1\2" }, value [[SELECT ARRAY['\x0102']::bytea[] AS v]])
    assert.same({}, value "SELECT '{}'::text[] AS v")
  end)

  it("takes values as parameters of the types that the server takes them for", function()
    assert.equal(math.maxinteger, value("SELECT $1::int8 AS v", { math.maxinteger }))
    assert.equal("0.1", value("SELECT $1::numeric AS v", { 0.1 }))
    assert.equal(3, value("SELECT $1::int AS v", { 3.0 }))
    assert.equal("' OR 1 --", value("SELECT $1 AS v", { "' OR 1 --" }))
    assert.equal(true, value("SELECT $1::bool AS v", { true }))
    assert.equal("\0\\x41\255", value("SELECT $1::bytea AS v", { "\0\\x41\255" }))
    assert.equal(1, value("SELECT 1 AS v WHERE $1::int IS NULL", { flow.json.null }))
    local data = { a = { 1, 2.5, "x", { b = flow.json.null } }, e = flow.json.array {} }
    assert.same(data, value("SELECT $1::jsonb AS v", { data }))
    assert.same({ { 1 } }, value("SELECT $1::json AS v", { { { 1 } } }))
    assert.equal("text", value("SELECT $1::jsonb AS v", { "text" }))
    local texts = { 'a"b', "c\\d", "", "NULL", "e,f", "{g}", flow.json.null }
    assert.same(texts, value("SELECT $1::text[] AS v", { texts }))
    assert.same({ { 1, 2 }, { 3, 4 } }, value("SELECT $1::int[] AS v", { { { 1, 2 }, { 3, 4 } } }))
    assert.same({ "\0\1" }, value("SELECT $1::bytea[] AS v", { { "\0\1" } }))
    assert.same({ data }, value("SELECT $1::jsonb[] AS v", { { data } }))
    assert.equal(2, value("SELECT count(*) AS v FROM generate_series(1, 9) AS n WHERE n = ANY ($1)",
      { { 2, 4, 40 } }))
    server.sql "CREATE TYPE mood AS ENUM ('sad', 'glad')"
    assert.equal("{sad,glad}", value("SELECT $1::mood[] AS v", { { "sad", "glad" } }))
  end)

  it("tells what is no value, and where SQL is wrong", function()
    local function fails(config, code, words)
      local e = one.failure(query(config))
      assert.equal(code, e.code, e.message)
      assert.is_false(e.retryable)
      one.contains(e.message, words)
      return e
    end
    local e = fails({ sql = "SELECT 1,\n  é FORM x" }, "database_error",
      'syntax error at or near "x" (line 2, column 10 of sql)')
    assert.same({ "42601", 20 }, { e.details.sqlstate, e.details.position })
    e = fails({ sql = "SELECT nmae FROM (SELECT 1 AS name) t" }, "database_error",
      'column "nmae" does not exist')
    assert.equal('Perhaps you meant to reference the column "t.name".', e.details.hint)
    fails({ sql = "SELECT 1; DROP TABLE t" }, "database_error", "multiple commands")
    fails({ sql = "SELECT $1::int, $2::int", params = { 1 } }, "database_error",
      "sql has 2 parameters, and params 1 values")
    fails({ sql = "SELECT $1::int" }, "database_error", "requires 1")
    fails({ sql = "SELECT $1::int", params = { "x" } }, "invalid_content",
      'invalid input syntax for type integer: "x"')
    fails({ sql = "SELECT $1::text", params = { "a\0b" } }, "invalid_content", "$1 is text with a NUL byte")
    fails({ sql = "SELECT $1::int", params = { { a = 1 } } }, "invalid_content", "$1 is an object")
    fails({ sql = "COPY (SELECT 1) TO STDOUT" }, "database_error", "COPY is not taken")
    fails({ sql = "CREATE TABLE x (a int)", read_only = true }, "database_error", "read-only transaction")
    assert.equal(1, value "SELECT 1 AS v")
    local w = flow.workflow { name = "w" }
    w.it = query { sql = "SELECT '${input.x}'" }
    one.contains(flow.check(w)[1].message, "sql takes no templates")
    w = flow.workflow { name = "w" }
    w.it = query { sql = "SELECT 1", statements = {} }
    one.contains(flow.check(w)[1].message, "give it one statement")
  end)

  it("changes rows, all statements in one transaction or none", function()
    server.sql "CREATE TABLE stock (id int PRIMARY KEY, n int CHECK (n >= 0))"
    assert.equal(2, one.output(query { sql = "INSERT INTO stock VALUES ($1, 1), ($2, 2)", params = { 1,
      2 } }).changes)
    local out = one.output(query { statements = { { sql = "UPDATE stock SET n = n + 1" },
      { sql = "SELECT n FROM stock WHERE id = $1", params = { 2 } } } })
    assert.same({ 2, 3 }, { out[1].changes, out[2].rows[1].n })
    assert.equal(9, value "UPDATE stock SET n = 9 WHERE id = 1 RETURNING n AS v")
    local e = one.failure(query { statements = { { sql = "DELETE FROM stock WHERE id = 1" },
      { sql = "UPDATE stock SET n = -1" } } })
    assert.equal("database_constraint", e.code)
    assert.same({ "23514", "stock", "stock_n_check" }, { e.details.sqlstate, e.details.table,
      e.details.constraint })
    assert.equal("2", server.sql "SELECT count(*) FROM stock")
    one.output(query { sql = "VACUUM stock", transaction = false })
  end)

  it("bounds its output, having changed nothing, and streams through a pipe", function()
    local sql = "SELECT i, 'row ' || i AS s FROM generate_series(1, 30000) AS i"
    assert.equal("too_many_rows", one.failure(query { sql = sql, max_rows = 20000 }).code)
    assert.equal(30000, #one.output(query { sql = sql }).rows)
    server.sql "CREATE TABLE many (i int)"
    assert.equal("too_many_rows", one.failure(query { max_rows = 10,
      sql = "INSERT INTO many SELECT generate_series(1, 5000) RETURNING i" }).code)
    assert.equal("0", server.sql "SELECT count(*) FROM many")
    local path = os.tmpname()
    local out = one.output(flow.pipe { query { sql = sql }, flow.data.filter "row.i % 2 == 0",
      flow.csv.write { path = path } })
    assert.same({ 30000, 15000 }, { out.rows_in, out.rows_out })
    local file <close> = io.open(path)
    assert.equal("i,s\n2,row 2\n", file:read(12))
    os.remove(path)
    one.contains(one.failure(flow.pipe { query { sql = "INSERT INTO many VALUES (1) RETURNING i" },
      flow.csv.write { path = path } }).message, "read-only")
  end)

  it("drops what is left of a statement when another one comes", function()
    local database = flow.rows.postgres(server.fields {})
    local first = database:query("SELECT generate_series(1, 3000) AS v", {}, { most = 10 })
    assert.same({ 10, true, { "v" } }, { #first.rows, first.more, first.columns })
    assert.equal(5, #database:more(5).rows)
    assert.same({ { v = 2 } }, database:query("SELECT $1::int AS v", { 2 }).rows)
    database:close()
    assert.is_false(pcall(database.query, database, "SELECT 1"))
  end)

  it("keeps connections for the next, and nothing of what was set on them", function()
    local w = flow.workflow { name = "w" }
    w.set = query { sql = [[SELECT set_config('search_path', 'pg_catalog', false), pg_advisory_lock(7),
      pg_backend_pid() AS pid]] }
    w.get = query { after = "set", sql = [[SELECT current_setting('search_path') AS path,
      pg_backend_pid() AS pid]] }
    local run = flow.run(w)
    assert.equal("completed", run.state)
    local one_pid, two = run:outputs().set.rows[1].pid, run:outputs().get.rows[1]
    assert.equal(one_pid, two.pid)
    assert.equal('"$user", public', two.path)
    server.until_says("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0")
  end)

  it("opens no more connections than it may, and gives them in turn", function()
    local w = flow.workflow { name = "w" }
    for i = 1, 12 do
      w["q" .. i] = query { connections = 3, database = "postgres",
        sql = "SELECT pg_sleep(0.02), pg_backend_pid() AS pid" }
    end
    local run, pids, n = flow.run(w), {}, 0
    assert.equal("completed", run.state, run.error and run.error.message)
    for i = 1, 12 do pids[run:outputs()["q" .. i].rows[1].pid] = true end
    for _ in pairs(pids) do n = n + 1 end
    assert.is_true(n <= 3)
    -- a pipe needs two, and has them though only one may be open
    server.sql "CREATE TABLE copied (i int)"
    local p = flow.workflow { name = "p" }
    for i = 1, 3 do
      p["p" .. i] = flow.pipe { query { connections = 1, sql = "SELECT generate_series(1, 5000) AS i" },
        flow.postgres.load(server.fields { connections = 1, table = "copied" }) }
    end
    run = flow.run(p)
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.equal("15000", server.sql "SELECT count(*) FROM copied")
  end)

  it("does not hold up the loop, and cancels its statement at the server", function()
    local w, beats = flow.workflow { name = "w" }, 0
    w.long = query { timeout = "300ms", sql = "SELECT pg_sleep(1000) /* long */" }
    w.beat = { run = function(ctx)
      for _ = 1, 10 do ctx:sleep(0.01) beats = beats + 1 end
    end }
    local run = flow.run(w)
    assert.equal("timeout", run.error.code)
    assert.equal(10, beats)
    server.until_running("long", 0)
    -- a statement that waits for a lock, in a run that is cancelled
    server.sql "CREATE TABLE locked (a int)"
    local other = flow.rows.postgres(server.fields {})
    other:query "BEGIN"
    other:query "LOCK TABLE locked"
    w = flow.workflow { name = "w" }
    w.waits = query { sql = "INSERT INTO locked VALUES (1) /* waits */" }
    local going = flow.start(w)
    local waiting = [[SELECT count(*) FROM pg_stat_activity
      WHERE query LIKE '%/* waits%' AND wait_event_type = 'Lock']]
    server.until_says(waiting, "1")
    going:cancel()
    assert.equal("cancelled", flow.runtime():wait(going).state)
    server.until_says(waiting, "0")
    other:query "ROLLBACK"
    other:close()
  end)

  it("tells what another try may mend: a deadlock, a conflict of transactions, a lock", function()
    server.sql "CREATE TABLE two (id int PRIMARY KEY, n int); INSERT INTO two VALUES (1, 0), (2, 0)"
    local a, b = flow.rows.postgres(server.fields {}), flow.rows.postgres(server.fields {})
    local function try(fn, ...)
      local ok, e = pcall(fn, ...)
      return ok and {} or e
    end
    for _, db in ipairs { a, b } do
      db:query "BEGIN ISOLATION LEVEL SERIALIZABLE"
      db:query "SELECT sum(n) FROM two"
    end
    a:query "UPDATE two SET n = n + 1 WHERE id = 1"
    a:query "COMMIT"
    local e = try(b.query, b, "UPDATE two SET n = n + 1 WHERE id = 1")
    assert.same({ "database_busy", "40001", true }, { e.code, e.details.sqlstate, e.retryable })
    b:query "ROLLBACK"
    a:query "BEGIN"
    b:query "BEGIN"
    a:query "UPDATE two SET n = 1 WHERE id = 1"
    b:query "UPDATE two SET n = 1 WHERE id = 2"
    local results = flow.gather { function() return try(a.query, a, "UPDATE two SET n = 2 WHERE id = 2") end,
      function() return try(b.query, b, "UPDATE two SET n = 2 WHERE id = 1") end }
    e = results[1].code and results[1] or results[2]
    assert.same({ "database_busy", "40P01", true }, { e.code, e.details.sqlstate, e.retryable })
    a:close()
    b:close()
  end)
end)
