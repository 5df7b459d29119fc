-- sqlite.query and sqlite.load, on real databases; the sqlite3 command looks at what they leave.
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"

local function shell(p, sql)
  local pipe <close> = assert(io.popen(("sqlite3 %s/a.db \"%s\" 2>&1"):format(p.folder, sql)))
  return (pipe:read "a":gsub("\n$", ""))
end

local function query(p, config)
  config.database = p.folder .. "/a.db"
  return flow.sqlite.query(config)
end

local function load(p, config)
  config.database = p.folder .. "/a.db"
  config.table = config.table or "t"
  return flow.sqlite.load(config)
end

describe("sqlite.query", function()
  it("gives rows as data, and takes parameters by place and by name", function()
    local p <close> = place.new()
    shell(p, "CREATE TABLE t (i, r, s, n, big); INSERT INTO t VALUES (1, 1.0, 'x', NULL, "
      .. "9223372036854775807), (2, 0.5, 'y''s', 7, -1)")
    local out = one.output(query(p, { sql = "SELECT * FROM t WHERE i >= ? ORDER BY i", params = { 1 } }))
    assert.same({ { i = 1, r = 1.0, s = "x", big = math.maxinteger }, { i = 2, r = 0.5, s = "y's", n = 7,
      big = -1 } },
      out.rows)
    assert.equal("float", math.type(out.rows[1].r))
    assert.same({ "i", "r", "s", "n", "big" }, out.columns)
    assert.same({ { i = 2 } }, one.output(query(p, { sql = "SELECT i FROM t WHERE s = :s AND n = $n",
      params = { s = "y's", n = 7 } })).rows)
    assert.same({}, one.output(query(p, { sql = "SELECT i FROM t WHERE s = ?",
      params = { "' OR 1 --" } })).rows)
  end)

  it("changes rows, all statements in one transaction or none", function()
    local p <close> = place.new()
    shell(p, "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)")
    local out = one.output(query(p, { sql = "INSERT INTO t (s) VALUES (?), (?)", params = { "a",
      flow.json.null } }))
    assert.same({ 2, 2 }, { out.changes, out.last_id })
    out = one.output(query(p, { statements = { { sql = "UPDATE t SET s = :s", params = { s = "é" } },
      { sql = "SELECT count(*) AS n FROM t WHERE s = 'é'" } } }))
    assert.same({ 2, 2 }, { out[1].changes, out[2].rows[1].n })
    local e = one.failure(query(p, { statements = { { sql = "DELETE FROM t" },
      { sql = "INSERT INTO t (id) VALUES (1), (1)" } } }))
    assert.equal("database_constraint", e.code)
    assert.is_false(e.retryable)
    assert.equal("2", shell(p, "SELECT count(*) FROM t"))
  end)

  it("takes no text put together, one statement at a time, and values for all parameters", function()
    local w = flow.workflow { name = "w" }
    w.it = flow.sqlite.query { database = "x.db", sql = "SELECT '${input.x}'" }
    one.contains(flow.check(w)[1].message, "sql takes no templates")
    local p <close> = place.new()
    shell(p, "CREATE TABLE t (a)")
    one.contains(one.failure(query(p, { sql = "SELECT 1; DROP TABLE t" })).message, "more than one statement")
    one.contains(one.failure(query(p, { sql = "SELECT ?, ?", params = { 1 } })).message,
      "sql has 2 parameters, and params 1 values")
    one.contains(one.failure(query(p, { sql = "SELECT :a", params = { b = 1 } })).message, "no parameter :b")
    one.contains(one.failure(query(p, { sql = "SELECT ?", params = { { 1 } } })).message,
      "is no value for a database")
    one.contains(one.failure(query(p, { sql = "SELECT * FROM nowhere" })).message,
      "a.db: no such table: nowhere")
    one.contains(one.failure(query(p, { sql = "ATTACH ? AS other", params = { "/etc/passwd" } })).message,
      "attached")
    one.contains(one.failure(query(p, { sql = "  " })).message, "there is no statement")
  end)

  it("bounds its output, and streams through a pipe", function()
    local p <close> = place.new()
    local sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT i, "
      .. "'row ' || i AS s FROM n"
    local e = one.failure(query(p, { sql = sql, max_rows = 20000 }))
    assert.equal("too_many_rows", e.code)
    assert.equal(30000, #one.output(query(p, { sql = sql })).rows)
    local out = one.output(flow.pipe { query(p, { sql = sql }), flow.data.filter "row.i % 2 == 0",
      flow.csv.write { path = p.folder .. "/o.csv" } })
    assert.same({ 30000, 15000 }, { out.rows_in, out.rows_out })
    assert.equal("i,s\n2,row 2\n", p:read "o.csv":sub(1, 12))
  end)

  it("does not hold up the loop, and can be cancelled", function()
    local p <close> = place.new()
    local w = flow.workflow { name = "w" }
    local ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    w.long = query(p, { timeout = "10m", sql = ENDLESS })
    w.beat = { run = function(ctx)
      for _ = 1, 10 do ctx:sleep(0.01) end
      flow.error { code = "ten_beats", message = "the loop has turned meanwhile" }
    end }
    local run = flow.run(w)
    assert.equal("ten_beats", run.error.code)
    assert.equal("cancelled", run:states().long)
    assert.equal("timeout", one.failure(query(p, { timeout = "200ms", sql = ENDLESS })).code)
  end)

  it("does not open a store of runs, a file that is no database, or one that has to be there", function()
    local p <close> = place.new { ["w.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "w" } w.a = flow.const { 1 } return w]] }
    p:ends(0, "run", "w.lua")
    local e = one.failure(flow.sqlite.query { database = p.db, sql = "DELETE FROM runs" })
    assert.equal("database_is_store", e.code)
    p:write("a.db", ("no database "):rep(1000))
    e = one.failure(query(p, { sql = "SELECT 1 FROM x" }))
    assert.equal("database_error", e.code)
    one.contains(e.message, "not a database")
    e = one.failure(flow.sqlite.query { database = p.folder .. "/none.db", sql = "SELECT 1",
      read_only = true })
    one.contains(e.message, "none.db: unable to open database file")
  end)

  it("waits for the lock of another, for so long", function()
    local p <close> = place.new()
    shell(p, "CREATE TABLE t (a)")
    local other = flow.rows.database(p.folder .. "/a.db", { write = true })
    other:query "BEGIN IMMEDIATE"
    local e = one.failure(query(p, { sql = "INSERT INTO t VALUES (1)", busy = "50ms" }))
    assert.equal("database_busy", e.code)
    assert.is_true(e.retryable)
    other:query "ROLLBACK"
    other:close()
    one.output(query(p, { sql = "INSERT INTO t VALUES (1)" }))
  end)
end)

describe("sqlite.load", function()
  it("makes the table and loads the rows of a pipe in one transaction", function()
    local p <close> = place.new { ["a.csv"] = 'id,"a ""b""",n\n1,x,5\n2,,\n' }
    local out = one.output(flow.pipe { flow.csv.read { path = p.folder .. "/a.csv", types = { id = "integer",
      n = "number" } },
      load(p, { create = true, key = "id", types = { id = "INTEGER", n = "REAL" } }) })
    assert.equal(2, out.stages[2].inserted)
    assert.equal("1|x|5.0\n2||", shell(p, "SELECT * FROM t"))
    assert.equal('CREATE TABLE "t" ("id" INTEGER, "a ""b""", "n" REAL, PRIMARY KEY ("id"))',
      shell(p, "SELECT sql FROM sqlite_schema WHERE type = 'table'"))
  end)

  it("keeps rows apart that break a rule, or fails with nothing loaded", function()
    local p <close> = place.new()
    shell(p, "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT NOT NULL); INSERT INTO t VALUES (7, 'here')")
    local rows = {}
    for i = 1, 3000 do rows[i] = { id = i, s = "x" } end
    rows[2000].s = nil
    local e = one.failure(load(p, { rows = rows }))
    assert.equal("database_constraint", e.code)
    assert.equal("1", shell(p, "SELECT count(*) FROM t"))
    local out = one.output(load(p, { rows = rows, rejects = true }))
    assert.equal(2998, out.inserted)
    assert.same({ { row = { id = 7, s = "x" }, reason = "UNIQUE constraint failed: t.id" },
      { row = { id = 2000 }, reason = "NOT NULL constraint failed: t.s" } }, out.rejects)
    assert.equal("2999|here", shell(p, "SELECT count(*), (SELECT s FROM t WHERE id = 7) FROM t"))
  end)

  it("ignores or replaces rows that are there, or empties the table first", function()
    local p <close> = place.new()
    local rows = { { id = 1, s = "new" }, { id = 2, s = "new" } }
    shell(p, "CREATE TABLE t (id INTEGER PRIMARY KEY, s); INSERT INTO t VALUES (1, 'old'), (9, 'old')")
    assert.equal(1, one.output(load(p, { rows = rows, on_conflict = "ignore" })).inserted)
    assert.equal("1 old,2 new,9 old", shell(p, "SELECT group_concat(id || ' ' || s) FROM t"))
    one.output(load(p, { rows = rows, on_conflict = "replace" }))
    assert.equal("1 new,2 new,9 old", shell(p, "SELECT group_concat(id || ' ' || s) FROM t"))
    one.output(load(p, { rows = { { id = 5, s = "z" } }, empty = true }))
    assert.equal("5 z", shell(p, "SELECT group_concat(id || ' ' || s) FROM t"))
  end)

  it("takes names and values as they are, never as SQL", function()
    local p <close> = place.new()
    local name = 'x"; DROP TABLE t; --'
    one.output(load(p, { table = name, create = true, rows = { { ['c")'] = "'); DROP TABLE t" } } }))
    assert.equal("1", shell(p, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'x%'"))
    local w = flow.workflow { name = "w" }
    w.it = flow.sqlite.load { database = "x.db", table = "t", types = { a = "INT); DROP" } }
    one.contains(flow.check(w)[1].message, "types.a: expected a type such as")
    local e = one.failure(load(p, { table = name, rows = { { ['c")'] = { 1 } } } }))
    assert.equal("invalid_content", e.code)
  end)

  it("loads nothing where another stage fails after it", function()
    local p <close> = place.new { ["a.csv"] = "a\n" .. ("1\n"):rep(50000) .. '"2"x\n' }
    shell(p, "CREATE TABLE t (a)")
    assert.equal("csv_error", one.failure(flow.pipe { flow.csv.read(p.folder .. "/a.csv"), load(p,
      {}) }).code)
    assert.equal("0", shell(p, "SELECT count(*) FROM t"))
  end)

  it("tells of a disk that is full", function()
    local p <close> = place.new()
    shell(p, "CREATE TABLE t (a)")
    p:write("w.lua", [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      local rows = {}
      for i = 1, 20000 do rows[i] = { a = ("x"):rep(100) } end
      w.it = flow.sqlite.load { database = "a.db", table = "t", rows = rows }
      print(flow.run(w).error.code)]])
    os.execute(("cd %s && ( ulimit -f 200; %s w.lua ) >out 2>&1"):format(p.folder, place.orrery_path))
    one.contains("database_full\ndatabase_error\n", p:read "out")
    assert.equal("0", shell(p, "SELECT count(*) FROM t"))
  end)
end)
