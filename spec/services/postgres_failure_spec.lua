-- What can go wrong between postgres.query, postgres.load and a real server.
local command = require "spec.support.command"
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"
local postgres = require "spec.support.postgres"
local uv = require "luv"

local server, plain
local NAME, PASSWORD = "ORRERY_SPEC_POSTGRES", "pass/word" -- as spec/support/postgres.lua sets it
uv.os_setenv(NAME, PASSWORD)

setup(function()
  server, plain = postgres.start { tls = true }, postgres.start()
end)
teardown(function()
  server.remove()
  plain.remove()
end)

-- Over TCP, as a program on another machine would.
local function over_tcp(config, of)
  config.host, config.password = config.host or "127.0.0.1", config.password or flow.secret(NAME)
  return flow.postgres.query((of or server).fields(config))
end

local function failure(node, code, words)
  local e = one.failure(node)
  assert.equal(code, e.code, e.message)
  assert.equal(code == "database_connection", e.retryable, e.message)
  one.contains(e.message, words)
  assert.is_nil(flow.json.encode { e.message, e.details }:find("pass.word"))
  return e
end

local TLS = "SELECT ssl AS v FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

describe("a connection to PostgreSQL", function()
  it("is made by a URL, by a name, and to the first of several hosts that answers", function()
    local function value(config)
      config.sql = config.sql or "SELECT current_user AS v"
      return one.output(flow.postgres.query(config)).rows[1].v
    end
    local url = ("postgres://orrery:pass%%2Fword@127.0.0.1:%d/orrery"):format(server.port)
    assert.equal("orrery", value { url = url })
    assert.equal("orrery", value { url = url:gsub("pass%%2Fword", "wrong"), password = flow.secret(NAME) })
    assert.equal("orrery", value { url = ("postgresql://orrery@/orrery?application_name=x"),
      host = server.folder,
      port = server.port })
    assert.equal("orrery", value(server.fields { host = "localhost", password = flow.secret(NAME) }))
    assert.equal("orrery", value { url = url:gsub("127.0.0.1", "127.0.0.1:1,127.0.0.1") })
  end)

  it("that is refused, or has no address, is worth another try; one that is denied is not", function()
    local socket = uv.new_tcp()
    socket:bind("127.0.0.1", 0)
    local port = socket:getsockname().port
    socket:close()
    local nobody = flow.postgres.query { host = "127.0.0.1", port = port, database = "x", sql = "SELECT 1" }
    failure(nobody, "database_connection", ("127.0.0.1:%d/x: "):format(port))
    failure(flow.postgres.query { host = "no-such-host.invalid", sql = "SELECT 1" }, "database_connection",
      "no-such-host.invalid has no address")
    failure(flow.postgres.query { host = ("x"):rep(5000), sql = "SELECT 1" }, "database_connection",
      "has no address")
    failure(flow.postgres.query { host = "/nowhere", sql = "SELECT 1" }, "database_connection", "/nowhere: ")
    failure(over_tcp { sql = "SELECT 1", password = "wrong" }, "database_denied",
      "password authentication failed")
    failure(flow.postgres.query { host = "127.0.0.1", port = server.port, user = "orrery",
      database = "orrery",
      sql = "SELECT 1" }, "database_denied", "no password supplied")
    failure(over_tcp { sql = "SELECT 1", database = "nowhere" }, "database_denied",
      'database "nowhere" does not exist')
  end)

  it("is encrypted as sslmode says", function()
    local function encrypted(config)
      config.sql = TLS
      return one.output(over_tcp(config)).rows[1].v
    end
    assert.is_true(encrypted {})
    assert.is_false(encrypted { sslmode = "disable" })
    assert.is_true(encrypted { sslmode = "verify-full", sslrootcert = server.ca })
    assert.is_true(encrypted { sslmode = "verify-full", sslrootcert = server.ca, host = "localhost" })
    local other = os.tmpname()
    os.execute(([[openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x \
      -keyout /dev/null -out %s 2>/dev/null]]):format(other))
    failure(over_tcp { sql = TLS, sslmode = "verify-full", sslrootcert = other }, "database_denied",
      "certificate verify failed")
    os.remove(other)
    failure(over_tcp { sql = TLS, sslmode = "verify-full", sslrootcert = "/nowhere.pem" }, "database_denied",
      'root certificate file "/nowhere.pem" does not exist')
    failure(over_tcp({ sql = TLS, sslmode = "require" }, plain), "database_denied", "does not support SSL")
  end)

  it("is made anew where the one that was kept has been ended", function()
    local function pid()
      return one.output(over_tcp { sql = "SELECT pg_backend_pid() AS v" }).rows[1].v
    end
    local first = pid()
    assert.equal(first, pid())
    server.sql(("SELECT pg_terminate_backend(%d)"):format(first))
    server.until_says(("SELECT count(*) FROM pg_stat_activity WHERE pid = %d"):format(first), "0")
    assert.are_not.equal(first, pid())
  end)

  it("is closed when nobody has used it for a while", function()
    local count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orrery idle'"
    local function use(keep)
      one.output(flow.postgres.query { url = "postgres:///orrery?application_name=orrery%20idle",
        host = server.folder,
        port = server.port, user = "orrery", sql = "SELECT 1", keep = keep })
    end
    use "1h"
    assert.equal("1", server.sql(count))
    use "100ms"
    server.until_says(count, "0")
    use(0)
    server.until_says(count, "0")
  end)

  it("that is lost in a statement fails it, and another try finds the server again", function()
    local w, tries = flow.workflow { name = "w" }, 0
    w.it = over_tcp({ retry = { max = 20, delay = "100ms", max_delay = "1s" },
      sql = "SELECT pg_sleep(CASE WHEN pg_postmaster_start_time() = $1::timestamptz THEN 1000 ELSE 0 END), "
        .. "5 AS v /* killed */",
      params = { plain.sql "SELECT pg_postmaster_start_time()" } }, plain)
    local off = flow.on("node_retrying", function() tries = tries + 1 end)
    local run = flow.start(w)
    plain.until_running("killed", 1)
    plain.stop "immediate"
    plain.go()
    run = flow.runtime():wait(run)
    off()
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.equal(5, run:outputs().it.rows[1].v)
  end)

  it("that is lost in a statement is told as such, with nothing half done", function()
    plain.sql "CREATE TABLE t (i int)"
    local stopped
    local rows = flow.type { name = "spec.rows", source = true, config = {}, stage = function()
      local n = 0
      return function()
        n = n + 1
        if n == 5 then
          plain.stop "immediate"
          stopped = true
        end
        if n > 10 then return nil end
        local list = {}
        for i = 1, 3000 do list[i] = { i = i } end
        return list
      end
    end }
    failure(flow.pipe { rows {}, flow.postgres.load(plain.fields { table = "t" }) }, "database_connection",
      plain.folder)
    assert.is_true(stopped)
    failure(over_tcp({ sql = "SELECT 1 AS v" }, plain), "database_connection", "refused")
    plain.go()
    assert.equal("0", plain.sql "SELECT count(*) FROM t")
    local w = flow.workflow { name = "w" }
    w.it = over_tcp({ sql = "SELECT pg_sleep(1000) /* lost */" }, plain)
    local run = flow.start(w)
    plain.until_running("lost", 1)
    plain.stop "immediate"
    run = flow.runtime():wait(run)
    assert.same({ "database_connection", true }, { run.error.code, run.error.retryable })
    plain.go()
  end)

  it("gives up on an answer that has no end", function()
    local sql = "SELECT generate_series(1, 1000000000) AS i /* endless */"
    assert.equal("too_many_rows", one.failure(over_tcp { sql = sql, max_rows = 5000 }).code)
    local endless = flow.pipe { timeout = "500ms", over_tcp { sql = sql }, flow.data.filter "row.i < 0" }
    assert.equal("timeout", one.failure(endless).code)
    server.until_running("endless", 0)
  end)

  it("has too many beside it", function()
    local held, e = {}, nil
    for i = 1, 40 do
      held[i] = flow.rows.postgres(server.fields { connections = 100, keep = 0 })
      local ok, why = pcall(held[i].query, held[i], "SELECT 1")
      if not ok then
        e = why
        break
      end
    end
    for _, database in ipairs(held) do database:close() end
    assert.same({ "database_connection", true }, { e.code, e.retryable })
    one.contains(e.message, "too many clients")
  end)

  it("works in a worker, too", function()
    local p <close> = place.new()
    p:write("w.lua", ([[local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.it.rows[1].v}" }
      w.it = flow.postgres.query { strategy = "thread", host = %q, port = %d, user = "orrery", database = "orrery",
        sql = "SELECT $1::int + 1 AS v", params = { 41 } }
      return w]]):format(server.folder, server.port))
    local process = p:start { "run", "w.lua", "--store", "memory:" }
    p:until_true(function() return process.code end)
    assert.equal("42\n", p:read(process.out), p:read(process.err))
  end)
end)

describe("the password of a PostgreSQL database", function()
  it("stands in no store, log, output or error", function()
    local p <close> = place.new()
    p:write("w.lua", ([[local flow = require "orrery"
      local w = flow.workflow { name = "w", on_error = "continue" }
      local at = { host = "127.0.0.1", port = %d, user = "orrery", password = flow.secret "PG_SECRET" }
      local function query(more)
        for key, value in pairs(at) do more[key] = value end
        return flow.postgres.query(more)
      end
      w.good = query { database = "orrery", sql = "SELECT $1 AS shown", params = { flow.secret "PG_SECRET" } }
      w.bad = query { database = "orrery", sql = "SELECT $1::int", params = { flow.secret "PG_SECRET" } }
      w.wrong = query { database = "nowhere", sql = "SELECT 1" }
      w.url = flow.postgres.query { sql = "SELECT 1",
        url = "postgres://orrery:" .. flow.secret "PG_SECRET" .. "@127.0.0.1:%d,x:y:z/orrery" }
      return w]]):format(server.port, server.port))
    server.sql "ALTER USER orrery PASSWORD 'unlikely-to-be-elsewhere'"
    local env = { PG_SECRET = "unlikely-to-be-elsewhere" }
    local process = p:start({ "run", "w.lua", "--json" }, env)
    p:until_true(function() return process.code end)
    local out = p:read(process.out) .. p:read(process.err)
    one.contains(out, 'invalid input syntax for type integer: \\"•••\\"')
    one.contains(out, "nowhere")
    local show = p:start({ "show", out:match '"run":"([-%x]+)"', "--outputs" }, env)
    p:until_true(function() return show.code end)
    one.contains(p:read(show.out), '"•••"')
    local found = command.shell(("grep -rla unlikely-to %s; true"):format(p.folder)).out
    assert.equal("", found)
    server.sql("ALTER USER orrery PASSWORD 'pass/word'")
  end)
end)
