-- postgres.load on a real server; psql looks at what it leaves.
local flow = require "orrery"
local one = require "spec.support.one_node"
local postgres = require "spec.support.postgres"

local server

setup(function() server = postgres.start() end)
teardown(function() server.remove() end)

local function load(config)
  config.table = config.table or "t"
  return flow.postgres.load(server.fields(config))
end

local function file_of(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

describe("postgres.load", function()
  before_each(function() server.sql "DROP TABLE IF EXISTS t" end)

  it("makes the table and loads the rows of a pipe", function()
    local path = file_of 'id,"a ""b""",n\n1,"x\ty\\N",5\n2,,\n3,"two\nlines\r",0.5\n'
    local out = one.output(flow.pipe { flow.csv.read { path = path, types = { id = "integer",
      n = "number" } },
      load { create = true, key = { "id" }, types = { id = "bigint", n = "numeric(10, 2)" } } })
    os.remove(path)
    assert.equal(3, out.stages[2].inserted)
    assert.equal("1|x\ty\\N|5.00\n2||\n3|two\nlines\r|0.50", server.sql "SELECT * FROM t ORDER BY id")
    assert.equal("bigint,text,numeric", server.sql [[SELECT string_agg(data_type, ',' ORDER BY ordinal_position)
      FROM information_schema.columns WHERE table_name = 't']])
  end)

  it("writes every value as the column's type has it", function()
    server.sql [[CREATE TABLE t (i bigint, f float8, n numeric, b bool, s text, j jsonb, a text[], m int[], y bytea, d date)]]
    local row = { i = math.mininteger, f = 0.1, n = "123456789012345678901234567890.5", b = false, s = "\\.",
      j = { a = { "\t\n\\" } }, a = { "x,y", 'q"', flow.json.null }, m = { { 1, 2 }, { 3, 4 } },
        y = "\0\\\255\n",
      d = "2026-02-03" }
    assert.equal(2, one.output(load { rows = { row, { i = 3.0 } } }).inserted)
    local rows = one.output(flow.postgres.query(server.fields { sql = "SELECT * FROM t ORDER BY i" })).rows
    assert.same({ row, { i = 3 } }, rows)
  end)

  it("loads many rows, and passes them on", function()
    local rows = {}
    for i = 1, 50000 do rows[i] = { id = i, s = ("text %d"):format(i) } end
    local out = one.output(load { rows = rows, create = true, types = { id = "integer" } })
    assert.same({ 50000, 50000, 50000 }, { out.inserted, out.rows_in, out.rows_out })
    assert.equal("50000|1250025000", server.sql "SELECT count(*), sum(id) FROM t")
    rows = {}
    for i = 1, 40 do rows[i] = { s = ("x"):rep(300000) } end -- more than fits in the socket's buffers
    one.output(load { rows = rows, empty = true })
    assert.equal("40|12000000", server.sql "SELECT count(*), sum(length(s)) FROM t")
  end)

  it("fails with nothing loaded where a row is malformed, in the middle of many", function()
    server.sql [[CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, CHECK (n < 100));
      INSERT INTO t VALUES (7, 7)]]
    local function rows(i, bad)
      local list = {}
      for k = 1, 9000 do list[k] = { id = k + 10, n = 1 } end
      list[i] = bad
      return list
    end
    local function fails(bad, code, words)
      local e = one.failure(load { rows = rows(5000, bad) })
      assert.equal(code, e.code, e.message)
      assert.is_false(e.retryable)
      one.contains(e.message, words)
      assert.same(bad, e.details.row)
      assert.equal("7", server.sql "SELECT string_agg(id::text, ',') FROM t")
    end
    fails({ id = 1, n = "old" }, "invalid_content", 'invalid input syntax for type integer: "old"')
    fails({ id = 7, n = 1 }, "database_constraint", "Key (id)=(7) already exists")
    fails({ id = 1 }, "database_constraint", 'null value in column "n"')
    fails({ id = 1, n = 100 }, "database_constraint", "t_n_check")
    fails({ id = 1, n = { a = 1 } }, "invalid_content", "n: an object")
    fails({ id = 1, n = "a\0" }, "invalid_content", "n: text with a NUL byte")
  end)

  it("keeps refused rows apart with the reason, and loads the others", function()
    server.sql "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL); INSERT INTO t VALUES (7, 7)"
    local rows = {}
    for i = 1, 5000 do rows[i] = { id = i, n = 1 } end
    rows[1].n, rows[2500].n, rows[5000].n = "x", nil, 99999999999
    local out = one.output(load { rows = rows, rejects = true })
    assert.equal(4996, out.inserted)
    assert.equal(4, out.rejected)
    local ids = {}
    for i, reject in ipairs(out.rejects) do ids[i] = reject.row.id end
    assert.same({ 1, 7, 2500, 5000 }, ids)
    one.contains(out.rejects[1].reason, 'invalid input syntax for type integer: "x"')
    one.contains(out.rejects[2].reason, "already exists")
    assert.equal("4997", server.sql "SELECT count(*) FROM t")
  end)

  it("rejects what a trigger raises", function()
    server.sql [[CREATE TABLE t (id int);
      CREATE OR REPLACE FUNCTION no_three() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.id = 3 THEN RAISE 'no three here'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no_three()]]
    local out = one.output(load { rows = { { id = 1 }, { id = 3 }, { id = 4 } }, rejects = true })
    assert.same({ 2, "no three here" }, { out.inserted, out.rejects[1].reason:match "no three here" })
  end)

  it("ignores or replaces rows that are there, or empties the table first", function()
    server.sql [[CREATE TABLE t (id int PRIMARY KEY, s text, other text DEFAULT 'd');
      INSERT INTO t VALUES (1, 'old', 'o'), (9, 'old', 'd')]]
    local shown = "SELECT string_agg(concat(id, ' ', s, ' ', other), ',' ORDER BY id) FROM t"
    local rows = { { id = 1, s = "new" }, { id = 2, s = "first" }, { id = 2, s = "last" } }
    assert.equal(1, one.output(load { rows = rows, on_conflict = "ignore" }).inserted)
    assert.equal("1 old o,2 first d,9 old d", server.sql(shown))
    assert.equal(2, one.output(load { rows = rows, on_conflict = "replace", key = "id" }).inserted)
    assert.equal("1 new o,2 last d,9 old d", server.sql(shown))
    one.output(load { rows = { { id = 5, s = "z" } }, empty = true })
    assert.equal("5 z d", server.sql(shown))
    local many = {}
    for i = 1, 5000 do many[i] = { id = i % 3000, s = "m" .. i } end
    many[4000].id = "bad"
    local out = one.output(load { rows = many, on_conflict = "replace", key = { "id" }, rejects = true })
    assert.equal(1, out.rejected)
    assert.equal("3000|m4999", server.sql "SELECT count(*), (SELECT s FROM t WHERE id = 1999) FROM t")
    local w = flow.workflow { name = "w" }
    w.it = load { rows = many, on_conflict = "replace" }
    one.contains(flow.check(w)[1].message, "takes key")
  end)

  it("takes names and values as they are, never as SQL", function()
    local name = 'x"; DROP TABLE t; --'
    server.sql "CREATE SCHEMA IF NOT EXISTS apart"
    one.output(load { schema = "apart", table = name, create = true,
      rows = { { ['c")'] = "'); DROP TABLE t" } } })
    assert.equal("1", server.sql "SELECT count(*) FROM pg_tables WHERE schemaname = 'apart'")
    local w = flow.workflow { name = "w" }
    w.it = load { types = { a = "int); DROP TABLE t; --" }, rows = {} }
    one.contains(flow.check(w)[1].message, "types.a: expected a type such as")
  end)

  it("loads nothing where another stage fails after it", function()
    server.sql "CREATE TABLE t (a text)"
    local path = file_of("a\n" .. ("1\n"):rep(50000) .. '"2"x\n')
    assert.equal("csv_error", one.failure(flow.pipe { flow.csv.read(path), load {} }).code)
    os.remove(path)
    assert.equal("0", server.sql "SELECT count(*) FROM t")
  end)

  it("tells what keeps it from beginning", function()
    one.contains(one.failure(load { table = "nowhere", rows = { { a = 1 } } }).message,
      'relation "nowhere" does not exist')
    server.sql "CREATE TABLE t (a int)"
    one.contains(one.failure(load { rows = { { b = 1 } } }).message,
      'column "b" of relation "t" does not exist')
    assert.equal(0, one.output(load { rows = {} }).inserted)
  end)
end)
