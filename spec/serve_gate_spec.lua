-- The rules of `orrery serve` that need no network: the gate, the router, addresses, tokens, the
-- audit.
local audit = require "orrery.serve.audit"
local core = require "orrery.core"
local gate = require "orrery.serve.gate"
local listen = require "orrery.serve.listen"
local router = require "orrery.serve.router"
local routes = require "orrery.serve.routes"
local tokens = require "orrery.serve.tokens"

local function code_of(fn, ...)
  local ok, e = pcall(fn, ...)
  return ok and "ok" or type(e) == "table" and e.code or tostring(e)
end

local KNOWN = { good = { id = "1", name = "ci", scope = "run" } }

local function gate_of(options)
  options = options or {}
  options.find = function(text, kind)
    local row = KNOWN[text]
    if row and (kind == "token" or text == "good") then return row end
    return nil, "there is no such " .. kind
  end
  return gate.new(options)
end

local function request(fields)
  local made = { method = "GET", path = "/api/v1/runs", peer = "127.0.0.1:4000",
    headers = { host = "127.0.0.1:7750" } }
  for name, value in pairs(fields.headers or {}) do made.headers[name] = value or nil end
  for name, value in pairs(fields) do if name ~= "headers" then made[name] = value end end
  return made
end

describe("the gate", function()
  it("takes only hosts that no name service can point here", function()
    for host, expected in pairs {
      ["127.0.0.1:7750"] = "ok", ["127.0.0.1"] = "ok", ["localhost"] = "ok", ["LOCALHOST:1"] = "ok",
        ["[::1]:7750"] = "ok",
      ["192.168.1.2:80"] = "ok", ["flows.example.org"] = "ok", ["flows.example.org:443"] = "ok",
        ["localhost."] = "ok",
      ["evil.example"] = "wrong_host", ["127.0.0.1.evil.example"] = "wrong_host",
        ["localhost.evil.example"] = "wrong_host",
      [""] = "wrong_host", ["a b"] = "bad_request", ["127.0.0.1, evil"] = "bad_request",
        ["u@127.0.0.1"] = "bad_request",
      ["0x7f.1"] = "wrong_host", ["[evil]"] = "wrong_host",
    } do
      local g = gate_of { hosts = { "Flows.example.org" } }
      assert.equal(expected, code_of(g.check, g, request { headers = { host = host } }), host)
    end
    local g = gate_of()
    assert.equal("bad_request", code_of(g.check, g, request { headers = { host = false } }))
    assert.equal("ok", code_of(g.check, g, request { peer = "unix", headers = { host = "evil.example" } }))
  end)

  it("takes nothing from pages of other origins", function()
    local g = gate_of()
    for _, case in ipairs {
      { "ok", "POST", { origin = "http://127.0.0.1:7750" } },
      { "ok", "POST", { origin = "https://127.0.0.1:7750" } },
      { "forged_request", "POST", { origin = "http://127.0.0.1:7751" } },
      { "forged_request", "GET", { origin = "http://evil.example" } },
      { "forged_request", "POST", { origin = "null" } },
      { "forged_request", "POST", { origin = "http://127.0.0.1:7750.evil.example" } },
      { "ok", "POST", { ["sec-fetch-site"] = "same-origin" } },
      { "ok", "POST", { ["sec-fetch-site"] = "none" } },
      { "forged_request", "POST", { ["sec-fetch-site"] = "cross-site" } },
      { "forged_request", "POST", { ["sec-fetch-site"] = "same-site" } },
      { "forged_request", "GET", { ["sec-fetch-site"] = "cross-site", ["sec-fetch-mode"] = "no-cors" } },
      { "forged_request", "POST", { ["sec-fetch-site"] = "cross-site", ["sec-fetch-mode"] = "navigate" } },
      { "forged_request", "GET", { ["sec-fetch-site"] = "cross-site", ["sec-fetch-mode"] = "navigate",
        ["sec-fetch-dest"] = "iframe" } },
      { "ok", "GET", { ["sec-fetch-site"] = "cross-site", ["sec-fetch-mode"] = "navigate",
        ["sec-fetch-dest"] = "document" } },
    } do
      assert.equal(case[1], code_of(g.check, g, request { method = case[2], headers = case[3] }),
        core.json.encode(case, { sort = true }))
    end
  end)

  it("knows who asks by a token, a session, or a header of a proxy on this machine", function()
    local plain, proxied = gate_of(), gate_of { user_header = "X-User", user_scope = "read" }
    for _, case in ipairs {
      { plain, "unauthorized", {} },
      { plain, "ci run token", { authorization = "Bearer good" } },
      { plain, "ci run token", { authorization = "bearer  good" } },
      { plain, "unauthorized", { authorization = "Bearer bad" } },
      { plain, "unauthorized", { authorization = "Basic good" } },
      { plain, "unauthorized", { authorization = "Bearer" } },
      { plain, "ci run session", { cookie = "a=b; orrery_session_7750=good" } },
      { plain, "unauthorized", { cookie = "orrery_session_7751=good" } },
      { plain, "unauthorized", { cookie = "orrery_session_7750=bad" } },
      { plain, "unauthorized", { authorization = "Bearer bad", cookie = "orrery_session_7750=good" } },
      { plain, "unauthorized", { ["x-user"] = "ada" } },
      { proxied, "ada read header", { ["x-user"] = "ada" } },
      { proxied, "ada read header", { ["x-user"] = "ada" }, "unix" },
      { proxied, "unauthorized", { ["x-user"] = "ada" }, "192.168.1.7:1234" },
      { proxied, "bad_request", { ["x-user"] = "ada, bob" } },
      { proxied, "ci run token", { ["x-user"] = "ada", authorization = "Bearer good" } },
    } do
      local asked = request { headers = case[3], peer = case[4] }
      local ok, who = pcall(case[1].identify, case[1], asked)
      assert.equal(case[2], ok and ("%s %s %s"):format(who.name, who.scope, who.via) or who.code,
        core.json.encode(case[3], { sort = true }))
    end
  end)

  it("lets each scope do what those before it may", function()
    for i, scope in ipairs(gate.SCOPES) do
      for k, needed in ipairs(gate.SCOPES) do assert.equal(k <= i, gate.covers(scope, needed)) end
    end
    assert.is_false(gate.covers("none", "read"))
    assert.is_false(gate.covers("admin", "unknown"))
    local g = gate_of()
    local bound = { name = "ci", scope = "admin", workflows = { "etl" } }
    assert.equal("forbidden", code_of(g.authorize, g, bound, { scope = "read" }))
    assert.equal("ok", code_of(g.authorize, g, bound, { scope = "read", of = "run" }))
    assert.equal("forbidden", code_of(g.authorize, g, { name = "x", scope = "read" }, { scope = "run",
      of = "run" }))
  end)
end)

describe("the table of routes", function()
  it("has for each row a handler, a name of its own, and words", function()
    local seen = {}
    for _, row in ipairs(routes.ROWS) do
      local module, name = row.calls:match "^(.*)%.([^.]*)$"
      assert.equal("function", type(require("orrery.serve.api." .. module)[name]), row.calls)
      assert.is_nil(seen[row.does], row.does)
      seen[row.does] = true
      assert.is_truthy(row.words:find "%.$", row.does)
      assert.is_truthy(row.scope or not row.path:find "[{]", row.path)
      if row.of == "run" then assert.is_truthy(row.path:find "{id}") end
      if row.of == "workflow" then assert.is_truthy(row.path:find "{name}") end
    end
  end)

  it("exempts only health and login", function()
    local exempt = {}
    for _, row in ipairs(routes.ROWS) do
      if not row.scope then exempt[#exempt + 1] = row.method .. " " .. row.path end
    end
    table.sort(exempt)
    assert.same({ "GET /health/live", "GET /health/ready", "GET /login", "POST /login" }, exempt)
  end)

  it("is found by method and path", function()
    local r = router.new(routes.ROWS)
    local function found(method, path)
      local row, params, allowed = r:find(method, path)
      return row and row.does, params, allowed
    end
    assert.equal("run.cancel", (found("POST", "/api/v1/runs/0193/cancel")))
    assert.same({ id = "0193" }, (select(2, found("POST", "/api/v1/runs/0193/cancel"))))
    assert.equal("workflow.reload", (found("POST", "/api/v1/workflows/reload")))
    assert.equal("workflow.show", (found("GET", "/api/v1/workflows/etl")))
    assert.equal("workflow.show", (found("HEAD", "/api/v1/workflows/etl")))
    assert.same({ "POST" }, (select(3, found("GET", "/api/v1/workflows/etl/pause"))))
    for _, path in ipairs { "", "/api", "/api/v1/workflows/etl/", "//api/v1/workflows",
      "/api/v1/workflows//etl",
      "/api/v2/workflows", ("/a"):rep(500) } do
      assert.is_nil((found("GET", path)), path)
    end
  end)
end)

describe("an address to listen at", function()
  it("is read, or refused with what is expected", function()
    for text, expected in pairs {
      ["127.0.0.1:80"] = "127.0.0.1 80", ["localhost:7750"] = "127.0.0.1 7750", ["[::1]:0"] = "::1 0",
      ["0.0.0.0:443"] = "0.0.0.0 443", ["unix:/run/x.sock"] = "unix /run/x.sock",
    } do
      local a = assert(listen.read(text))
      assert.equal(expected, a.unix and "unix " .. a.unix or a.host .. " " .. a.port)
    end
    for _, text in ipairs { "", "80", ":80", "host", "host:", "host:x", "host:70000", "::1:80", "unix:",
      "unix:/" .. ("x"):rep(200), "host:-1" } do
      local a, message = listen.read(text)
      assert.is_nil(a, text)
      assert.is_truthy(message, text)
    end
  end)

  it("that strangers reach needs a token or TLS", function()
    for text, refused in pairs { ["127.0.0.1:1"] = false, ["127.9.9.9:1"] = false, ["[::1]:1"] = false,
      ["unix:x"] = false,
      ["0.0.0.0:1"] = true, ["[::]:1"] = true, ["192.168.0.1:1"] = true, ["example.org:1"] = true,
      ["127.0.0.1.example.org:1"] = true } do
      assert.equal(refused, listen.refusal({ listen.read(text) }, false) ~= nil, text)
      assert.is_nil(listen.refusal({ listen.read(text) }, true))
    end
  end)

  it("comes from systemd only where it means this process", function()
    local env, unset = { LISTEN_FDS = "2", LISTEN_PID = "7" }, {}
    local function of(pid)
      return listen.activated { pid = pid, get = function(name) return env[name] end,
        unset = function(name) unset[name] = true end }
    end
    assert.same({ { fd = 3 }, { fd = 4 } }, of(7))
    assert.is_true(unset.LISTEN_FDS and unset.LISTEN_PID and unset.LISTEN_FDNAMES)
    assert.same({}, of(8))
    env = {}
    assert.same({}, of(7))
  end)
end)

describe("in a store", function()
  local path, store

  before_each(function()
    path = os.tmpname()
    os.remove(path)
    store = core.store("sqlite:" .. path, "own")
  end)
  after_each(function()
    store:close()
    os.execute("rm -f " .. path .. "*")
  end)

  it("tokens are kept hashed, and good until they expire or are revoked", function()
    local text, row = tokens.create(store, { scope = "run", name = "ci", workflows = { "etl" } })
    assert.is_truthy(text:find "^orr_%x+$" and #text == 4 + 64)
    local file <close> = assert(io.open(path, "rb"))
    assert.is_nil(file:read("a"):find(text, 1, true))
    for _, kept in ipairs(store:query "SELECT * FROM tokens") do
      for _, value in pairs(kept) do assert.not_equal(text, value) end
    end
    assert.same({ "etl" }, tokens.find(store, text, "token").workflows)
    assert.is_nil(tokens.find(store, text, "session"))
    assert.is_nil(tokens.find(store, text .. "0", "token"))
    assert.is_nil(tokens.find(store, ("x"):rep(10000), "token"))
    local session = tokens.create(store, { kind = "session", scope = "run", parent = row.id })
    assert.is_truthy(tokens.find(store, session, "session"))
    assert.is_true(tokens.any(store))
    local _, n = tokens.revoke(store, "ci")
    assert.equal(2, n)
    assert.is_nil(tokens.find(store, text, "token"))
    assert.is_nil(tokens.find(store, session, "session"))
    assert.is_false(tokens.any(store))
    local late = tokens.create(store, { scope = "read", expires = core.time() - 1 })
    assert.same({ n = 2, nil, "this token has expired" }, table.pack(tokens.find(store, late, "token")))
    assert.equal("not_found", code_of(tokens.revoke, store, "nobody"))
    store:perform("sessions_prune", { now = core.time() })
    assert.equal(2, #tokens.list(store))
  end)

  it("the audit is a chain that shows what was changed in it", function()
    local other = core.store("sqlite:" .. path, "look")
    for i = 1, 5 do
      audit.write(i % 2 == 0 and other or store, { { time = i + 0.5, who = "ada", via = "token",
        origin = "unix",
        action = "run.start", target = "r" .. i }, { time = i, who = "bob", via = "token", origin = "unix",
        action = "run.cancel", after = { bytes = "\255", ["ü"] = 1.0 } } })
    end
    other:close()
    local report = audit.verify(store)
    assert.same({ 10, nil }, { report.lines, report.wrong })
    assert.equal(10, audit.list(store, nil, 100)[1].id)
    assert.equal("r5", audit.list(store, 10, 1)[1].target)
    assert.equal("r1", store:query("SELECT entry ->> 'target' AS target FROM audit WHERE id = 1")[1].target)
    for sql, wrong in pairs {
      ["UPDATE audit SET entry = replace(entry, 'bob', 'eve') WHERE id = 4"] = 4,
      ["UPDATE audit SET hash = 'x' WHERE id = 6"] = 6,
      ["DELETE FROM audit WHERE id = 7"] = 8,
      ["DELETE FROM audit WHERE id = 1"] = 2,
    } do
      local kept = store:query "SELECT id, entry, hash FROM audit"
      store:change { { sql } }
      assert.equal(wrong, audit.verify(store).wrong, sql)
      store:change { { "DELETE FROM audit" } }
      for _, row in ipairs(kept) do
        store:change { { "INSERT INTO audit (id, entry, hash) VALUES (?, ?, ?)", row.id, row.entry,
          row.hash } }
      end
      assert.is_nil(audit.verify(store).wrong)
    end
  end)
end)
