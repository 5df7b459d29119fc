-- The API of `orrery serve` without a network: every answer is compared with the OpenAPI document.
local audit = require "orrery.serve.audit"
local core = require "orrery.core"
local flow = require "orrery"
local gate = require "orrery.serve.gate"
local routes = require "orrery.serve.routes"
local served = require "spec.support.served"

local HELLO = [[
local flow = require "orrery"
local w = flow.workflow { name = "hello", input = { name = { type = "string", default = "world" } },
  output = "${nodes.greet}" }
w.greet = { run = function(ctx) return "Hello, " .. ctx.input.name end }
return w
]]

local WAITS = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits", output = "${nodes.go}" }
w.go = flow.wait { signal = "go", timeout = "1h" }
return w
]]

local FAILS = [[
local flow = require "orrery"
local w = flow.workflow { name = "fails", output = "${nodes.second}" }
w.first = { run = function() return 1 end }
w.second = { after = "first", run = function() error "no" end }
return w
]]

local function code_of(answer) return answer.json and answer.json.code end

describe("the API", function()
  it("starts runs, once for a key, each answered when it is in the store", function()
    local s <close> = served.new { ["hello.lua"] = HELLO }
    local run = s:token "run"
    local made = s:expect(201, "POST", "/api/v1/runs", { token = run, body = { workflow = "hello",
      input = { name = "Ada" }, labels = { suite = "x" } } })
    assert.is_false(made.existing)
    local row = s:until_state(made.id, "completed")
    assert.equal('"Hello, Ada"', row.output)
    local body = { workflow = "hello", input = { name = "Bob" } }
    local key = { ["idempotency-key"] = "k1" }
    local first = s:expect(201, "POST", "/api/v1/runs", { token = run, body = body, headers = key })
    local again = s:ask("POST", "/api/v1/runs", { token = run, body = body, headers = key })
    assert.same({ 200, first.id, true }, { again.status, again.json.id, again.json.existing })
    assert.is_nil(served.unlike("POST", "/api/v1/runs", again))
    assert.equal("/api/v1/runs/" .. first.id, again.headers.location)
    body.input.name = "Eve"
    local other = s:ask("POST", "/api/v1/runs", { token = run, body = body, headers = key })
    assert.same({ 422, "key_conflict" }, { other.status, code_of(other) })
    s:until_state(first.id, "completed")
    other = s:ask("POST", "/api/v1/runs", { token = run, body = body, headers = key })
    assert.same({ 422, "key_conflict" }, { other.status, code_of(other) })
    assert.equal(2, s.store:row("store_runs").runs)
  end)

  it("starts one run for a key that many ask with at once", function()
    local s <close> = served.new { ["hello.lua"] = HELLO }
    local run, ids, asks = s:token "run", {}, {}
    for i = 1, 20 do
      asks[i] = function()
        local answer = s:ask("POST", "/api/v1/runs", { token = run, headers = { ["idempotency-key"] = "k" },
          body = { workflow = "hello" } })
        ids[answer.json.id or answer.body] = (ids[answer.json.id] or 0) + (answer.status == 201 and 1 or 0)
      end
    end
    flow.gather(asks)
    local n, first = 0, 0
    for _, made in pairs(ids) do n, first = n + 1, first + made end
    assert.same({ 1, 1 }, { n, first })
    assert.equal(1, s.store:row("store_runs").runs)
  end)

  it("refuses what is wrong with a start", function()
    local s <close> = served.new { ["hello.lua"] = HELLO, ["broken.lua"] = "return 1" }
    local run = s:token "run"
    for _, case in ipairs {
      { 422, "validation_error", { workflow = "hello", input = { name = 1 } } },
      { 422, "validation_error", { workflow = "hello", inptu = {} } },
      { 422, "validation_error", {} },
      { 404, "not_found", { workflow = "helo" } },
      { 409, "workflow_broken", { workflow = "broken.lua" } },
      { 400, "bad_request", "{", { ["content-type"] = "application/json" } },
      { 415, "wrong_type_of_body", "{}", { ["content-type"] = "text/plain" } },
      { 400, "bad_request", { workflow = "hello" }, { ["idempotency-key"] = "" } },
      { 422, "definition_error", { workflow = "hello", only = { "nowhere" } } },
    } do
      local answer = s:ask("POST", "/api/v1/runs", { token = run, body = case[3], headers = case[4] })
      assert.same({ case[1], case[2] }, { answer.status, code_of(answer) }, answer.body)
      assert.is_nil(served.unlike("POST", "/api/v1/runs", answer))
    end
    local near = s:ask("POST", "/api/v1/runs", { token = run, body = { workflow = "helo" } })
    assert.is_truthy(near.json.detail:find "did you mean 'hello'")
    assert.equal(0, s.store:row("store_runs").runs)
  end)

  it("signals, pauses, resumes and cancels runs", function()
    local s <close> = served.new { ["waits.lua"] = WAITS }
    local run, operate = s:token "run", s:token "operate"
    local function start()
      local made = s:expect(201, "POST", "/api/v1/runs", { token = run, body = { workflow = "waits" } })
      s:until_state(made.id, "waiting")
      return made.id
    end
    local id = start()
    local at = "/api/v1/runs/" .. id
    s:expect(202, "POST", at .. "/pause", { token = operate })
    s:until_state(id, "paused")
    s:expect(202, "POST", at .. "/resume", { token = operate })
    s:until_state(id, "waiting")
    local sent = s:expect(202, "POST", at .. "/signal", { token = run, body = { name = "go",
      data = { n = 1 }, id = "a" } })
    assert.is_true(sent.owned)
    assert.equal('{"n":1}', s:until_state(id, "completed").output)
    local late = s:ask("POST", at .. "/signal", { token = run, body = { name = "go" } })
    assert.same({ 409, "run_ended" }, { late.status, code_of(late) })
    id = start()
    s:expect(202, "POST", "/api/v1/runs/" .. id .. "/cancel", { token = operate })
    s:until_state(id, "cancelled")
    for _, case in ipairs { { 404, "/api/v1/runs/01930000-0000-7000-8000-000000000000/cancel" },
      { 400, "/api/v1/runs/nothing/cancel" } } do
      local answer = s:expect(case[1], "POST", case[2], { token = operate })
      assert.is_truthy(answer.code)
    end
  end)

  it("takes decisions only from who may decide, in their own name", function()
    local s <close> = served.new { ["asks.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "asks", output = "${nodes.ask}" }
      w.ask = flow.wait { signal = "release", approval = { message = "Release?", by = { "ada" } } }
      return w ]] }
    local ada, bob = s:token("run", { name = "ada" }), s:token("run", { name = "bob" })
    local id = s:expect(201, "POST", "/api/v1/runs", { token = bob, body = { workflow = "asks" } }).id
    s:until_state(id, "waiting")
    local at = "/api/v1/runs/" .. id
    for _, case in ipairs {
      { 403, bob, "/approve", { approved = true } },
      { 403, bob, "/signal", { name = "release", data = { approved = true, by = "ada" } } },
      { 403, bob, "/signal", { name = "release", data = { approved = true } } },
      { 403, bob, "/signal", { name = "elsewhere", data = { approved = true, by = "ada" } } },
      { 409, ada, "/approve", { approved = true, name = "other" } },
    } do s:expect(case[1], "POST", at .. case[3], { token = case[2], body = case[4] }) end
    s:expect(202, "POST", at .. "/approve", { token = ada, body = { approved = true, why = "green" } })
    local output = core.json.decode(s:until_state(id, "completed").output)
    assert.same({ true, "ada" }, { output.approved, output.by })
  end)

  it("retries and forks runs", function()
    local s <close> = served.new { ["fails.lua"] = FAILS }
    local operate = s:token "operate"
    local id = s:expect(201, "POST", "/api/v1/runs", { token = operate, body = { workflow = "fails" } }).id
    s:until_state(id, "failed")
    s:expect(202, "POST", "/api/v1/runs/" .. id .. "/retry", { token = operate })
    local before = s.store:row("run", { id = id }).seq
    s:until_state(id, "failed")
    assert.is_truthy(before)
    local fork = s:expect(201, "POST", "/api/v1/runs/" .. id .. "/fork", { token = operate,
      body = { set = { second = 2 } } })
    assert.same({ id, 2 }, { fork.forked_from, fork.taken_over })
    assert.equal("2", s:until_state(fork.id, "completed").output)
    local wrong = s:ask("POST", "/api/v1/runs/" .. id .. "/fork", { token = operate,
      body = { from = { "secnd" } } })
    assert.equal(422, wrong.status)
  end)

  it("tells of workflows, and of those that do not load", function()
    local s <close> = served.new { ["hello.lua"] = HELLO, ["broken.lua"] = "return {", ["twice.lua"] = HELLO,
      ["leaves.lua"] = "os.exit(0)",
        ["plain.json"] = '{"name":"plain","nodes":[{"id":"a","type":"delay","with":{"duration":"1ms"}}]}' }
    local read = s:token "read"
    local list = s:expect(200, "GET", "/api/v1/workflows", { token = read }).workflows
    local states = {}
    for _, each in ipairs(list) do states[each.file:match "[^/]*$"] = each.state end
    assert.same({ ["hello.lua"] = "ready", ["broken.lua"] = "broken", ["twice.lua"] = "broken",
      ["leaves.lua"] = "broken", ["plain.json"] = "ready" }, states)
    local one = s:expect(200, "GET", "/api/v1/workflows/hello", { token = read })
    assert.same({ 1, 64 }, { one.nodes, #one.hash })
    assert.equal(HELLO, s:expect(200, "GET", "/api/v1/workflows/hello/source", { token = read }).text)
    local form = s:expect(200, "GET", "/api/v1/workflows/hello/form", { token = read })
    assert.same({ "string", "world" }, { form.properties.name.type, form.properties.name.default })
    s:expect(404, "GET", "/api/v1/workflows/nowhere", { token = read })
    local operate = s:token "operate"
    s:ask("POST", "/api/v1/runs", { token = operate, body = { workflow = "hello" } })
    assert.is_true(s:expect(200, "POST", "/api/v1/workflows/hello/pause", { token = operate }).changed)
    assert.is_true(s:expect(200, "GET", "/api/v1/workflows/hello", { token = read }).paused)
    assert.is_true(s:expect(200, "POST", "/api/v1/workflows/hello/resume", { token = operate }).changed)
  end)

  it("gives new runs new code and leaves live ones theirs", function()
    local function version(n)
      return ([[local flow = require "orrery"
        local w = flow.workflow { name = "v", output = "${nodes.say}" }
        w.go = flow.wait { signal = "go" }
        w.say = { after = "go", run = function() return %d end }
        return w]]):format(n)
    end
    local s <close> = served.new { ["v.lua"] = version(1) }
    local run, operate = s:token "run", s:token "operate"
    local function start()
      local id = s:expect(201, "POST", "/api/v1/runs", { token = run, body = { workflow = "v" } }).id
      s:until_state(id, "waiting")
      return id
    end
    local old = start()
    s:write("v.lua", version(2))
    assert.equal(1, #s:expect(200, "POST", "/api/v1/workflows/reload", { token = operate }).changed)
    assert.equal(0, #s:expect(200, "POST", "/api/v1/workflows/reload", { token = operate }).changed)
    local new = start()
    s:write("v.lua", "return (")
    s:expect(200, "POST", "/api/v1/workflows/reload", { token = operate })
    assert.equal("broken", s:expect(200, "GET", "/api/v1/workflows/v", { token = run }).state)
    local third = start() -- the last code that loaded is still served
    for _, id in ipairs { old, new, third } do
      s:expect(202, "POST", "/api/v1/runs/" .. id .. "/signal", { token = run, body = { name = "go" } })
    end
    assert.equal("1", s:until_state(old, "completed").output)
    assert.equal("2", s:until_state(new, "completed").output)
    assert.equal("2", s:until_state(third, "completed").output)
  end)

  it("checks definitions and runs nothing", function()
    local s <close> = served.new {}
    local run, admin = s:token "run", s:token "admin"
    local good = '{"name":"x","nodes":[{"id":"a","type":"delay","with":{"duration":"1ms"}}]}'
    assert.equal(0, s:expect(200, "POST", "/api/v1/check", { token = run, body = good }).count)
    local bad = s:expect(200, "POST", "/api/v1/check", { token = run,
      body = '{"name":"x","nodes":[{"id":"a","type":"dely"}]}' })
    assert.equal(1, bad.count)
    assert.equal(1, s:expect(200, "POST", "/api/v1/check", { token = run, body = "return 1" }).count)
    local lua = { ["content-type"] = "application/x-lua" }
    s:expect(403, "POST", "/api/v1/check", { token = run, body = HELLO, headers = lua })
    assert.equal(0, s:expect(200, "POST", "/api/v1/check", { token = admin, body = HELLO,
      headers = lua }).count)
    assert.equal(1, s:expect(200, "POST", "/api/v1/check", { token = admin, body = "while",
      headers = lua }).count)
  end)

  it("tends pools, breakers, the store, tokens and the audit", function()
    local s <close> = served.new { ["b.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "b", pools = { db = { max = 2 } }, on_error = "continue" }
      w.a = { pool = "db", breaker = { name = "there", threshold = 1, cooldown = "1h" }, run = function() error "x" end }
      return w ]] }
    local read, operate, admin = s:token "read", s:token "operate", s:token "admin"
    local function pool()
      for _, each in ipairs(s:expect(200, "GET", "/api/v1/pools", { token = read }).pools) do
        if each.name == "db" then return each end
      end
    end
    assert.same({ 2, false }, { pool().max, pool().paused })
    assert.is_true(s:expect(200, "POST", "/api/v1/pools/db/pause", { token = operate }).changed)
    assert.is_false(s:expect(200, "POST", "/api/v1/pools/db/pause", { token = operate }).changed)
    assert.is_true(pool().paused)
    s:expect(200, "POST", "/api/v1/pools/db/resume", { token = operate })
    local id = s:expect(201, "POST", "/api/v1/runs", { token = operate, body = { workflow = "b" } }).id
    s:until_state(id, "failed")
    local function breaker() return s:expect(200, "GET", "/api/v1/breakers", { token = read }).breakers[1] end
    assert.same({ "there", "open" }, { breaker().name, breaker().state })
    s:expect(200, "POST", "/api/v1/breakers/there/reset", { token = operate })
    assert.equal("closed", breaker().state)
    s:expect(404, "POST", "/api/v1/breakers/elsewhere/reset", { token = operate })
    assert.equal(1, s:expect(200, "GET", "/api/v1/store", { token = read }).runs)
    assert.equal(1, s:expect(200, "POST", "/api/v1/store/prune", { token = admin, body = { older = "0s",
      dry = true } }).runs)
    s:expect(400, "POST", "/api/v1/store/prune", { token = admin, body = { older = "often" } })
    local made = s:expect(201, "POST", "/api/v1/tokens", { token = admin, body = { scope = "read",
      name = "new" } })
    s:expect(200, "GET", "/api/v1/me", { token = made.token })
    s:expect(200, "DELETE", "/api/v1/tokens/" .. made.id, { token = admin })
    s:expect(401, "GET", "/api/v1/me", { token = made.token })
    assert.equal(4, #s:expect(200, "GET", "/api/v1/tokens", { token = admin }).tokens)
    local first = s:expect(200, "GET", "/api/v1/audit?limit=2", { token = admin })
    assert.same({ "token.revoke", "token.create" }, { first.entries[1].action, first.entries[2].action })
    local rest = s:expect(200, "GET", "/api/v1/audit?before=" .. first.next, { token = admin })
    assert.equal("pool.pause", rest.entries[#rest.entries].action)
    assert.same({ paused = false }, rest.entries[#rest.entries].before)
    assert.is_nil(audit.verify(s.store).wrong)
    local report = s:expect(200, "GET", "/api/v1/audit/verify", { token = admin })
    assert.same({ first.entries[1].id, first.entries[1].hash }, { report.lines, report.last })
    s:expect(400, "GET", "/api/v1/audit?limit=0", { token = admin })
    s:expect(400, "GET", "/api/v1/audit?lmit=1", { token = admin })
  end)

  it("makes, changes, pauses and removes schedules, and asks them for runs", function()
    local s <close> = served.new { ["hello.lua"] = HELLO, ["often.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "often", triggers = { flow.schedule { cron = "30 2 * * *" } } }
      w.a = { run = function() return 1 end }
      return w ]] }
    local operate, read = s:token "operate", s:token "read"
    local at = "/api/v1/schedules"
    assert.equal("often:schedule", s:expect(200, "GET", at, { token = read }).schedules[1].id)
    local made = s:expect(201, "POST", at, { token = operate, body = { workflow = "hello", cron = "0 4 * * *",
      zone = "Europe/Berlin", input = { name = "Ada" } } })
    assert.same({ "hello:schedule", false }, { made.id, made.declared })
    assert.is_truthy(made.next > core.time())
    local one = at .. "/hello:schedule"
    s:expect(409, "POST", at, { token = operate, body = { workflow = "hello", cron = "0 4 * * *" } })
    s:expect(422, "POST", at, { token = operate, body = { workflow = "hello", name = "x",
      cron = "0 25 * * *" } })
    s:expect(404, "POST", at, { token = operate, body = { workflow = "helo", cron = "0 4 * * *" } })
    s:expect(409, "DELETE", at .. "/often:schedule", { token = operate })
    s:expect(404, "GET", at .. "/nowhere", { token = read })
    assert.equal("0 5 * * *", s:expect(200, "PATCH", one, { token = operate, body = { cron = "0 5 * * *" } })
      .definition.cron)
    assert.equal(3, #s:expect(200, "GET", one .. "/next?count=3", { token = read }).times)
    assert.is_true(s:expect(200, "POST", one .. "/pause", { token = operate,
      body = { reason = "x" } }).changed)
    assert.is_true(s:expect(200, "GET", one, { token = read }).paused)
    assert.is_true(s:expect(200, "POST", one .. "/resume", { token = operate }).changed)
    local asked = s:expect(202, "POST", one .. "/backfill", { token = operate, body = { from = "2026-01-01",
      to = "2026-01-03T12:00" } })
    assert.same({ 3, 3 }, { #asked.times, asked.asked })
    local key = s:expect(202, "POST", one .. "/trigger", { token = operate }).key
    for _ = 1, 6000 do
      s.store:project()
      if s.store:row("run_by_key", { workflow = "hello", key = key }) then break end
      flow.sleep(0.01)
    end
    assert.is_truthy(s.store:row("run_by_key", { workflow = "hello", key = key }))
    assert.is_true(s:expect(200, "DELETE", one, { token = operate }).removed)
    local bound = s:token("operate", { workflows = { "hello" } })
    s:expect(403, "GET", at .. "/often:schedule", { token = bound })
    assert.equal(0, #s:expect(200, "GET", at, { token = bound }).schedules)
  end)

  it("describes itself", function()
    local s <close> = served.new {}
    local document = s:expect(200, "GET", "/api/v1/openapi.json", { token = s:token "read" })
    local n = 0
    for _, methods in pairs(document.paths) do for _ in pairs(methods) do n = n + 1 end end
    assert.equal(#routes.ROWS, n)
    assert.equal("3.1.0", document.openapi)
  end)
end)

-- A path of each row that exists, or may.
local function path_of(row)
  return (row.path:gsub("{id}", "01930000-0000-7000-8000-000000000000"):gsub("{.-}", "hello"))
end

describe("each route", function()
  it("wants a token that is good, and a scope that is enough", function()
    local s <close> = served.new { ["hello.lua"] = HELLO }
    local by_scope = { none = s:token "none" }
    for _, scope in ipairs(gate.SCOPES) do by_scope[scope] = s:token(scope) end
    local bound = s:token("admin", { workflows = { "other" } })
    for _, row in ipairs(routes.ROWS) do
      if row.scope then
        local path = path_of(row)
        for _, headers in ipairs { {}, { authorization = "Bearer orr_wrong" }, { authorization = "Basic x" },
          { cookie = "orrery_session_7750=" .. by_scope.admin } } do
          local answer = s:ask(row.method, path, { headers = headers })
          assert.equal(401, answer.status, row.does)
          assert.equal("unauthorized", code_of(answer))
          assert.is_truthy(answer.headers["www-authenticate"])
        end
        local lesser = "none"
        for _, scope in ipairs(gate.SCOPES) do
          if scope == row.scope then break end
          lesser = scope
        end
        assert.equal(403, s:ask(row.method, path, { token = by_scope[lesser] }).status, row.does)
        if row.of == "workflow" or not row.of then
          assert.equal(403, s:ask(row.method, path, { token = bound }).status, row.does)
        end
        for _, headers in ipairs { { host = "evil.example" }, { origin = "http://evil.example" } } do
          local answer = s:ask(row.method, path, { token = by_scope.admin, headers = headers })
          assert.equal(headers.host and 421 or 403, answer.status, row.does)
        end
      end
    end
    for _, path in ipairs { "/nowhere", "/api/v1/nowhere", "/health", "/health/live/", "/login/x" } do
      assert.equal(401, s:ask("GET", path).status, path)
      assert.equal(404, s:ask("GET", path, { token = by_scope.read }).status, path)
    end
    local put = s:ask("PUT", "/api/v1/runs", { token = by_scope.admin })
    assert.equal(405, put.status)
    assert.is_truthy(put.headers.allow:find "POST")
  end)

  it("has the headers that harden it", function()
    local s <close> = served.new {}
    for _, path in ipairs { "/health/live", "/login", "/nowhere" } do
      local headers = s:ask("GET", path).headers
      assert.is_truthy(headers["content-security-policy"]:find("script-src 'self'", 1, true))
      assert.is_nil(headers["content-security-policy"]:find "unsafe")
      assert.equal("nosniff", headers["x-content-type-options"])
      assert.equal("no-store", headers["cache-control"])
    end
  end)

  it("changes nothing where the server only shows", function()
    local s <close> = served.new({ ["hello.lua"] = HELLO }, { read_only = true })
    local admin = s:token "admin"
    for _, row in ipairs(routes.ROWS) do
      if row.scope and row.method ~= "GET" and not row.silent then
        local answer = s:ask(row.method, path_of(row), { token = admin })
        assert.same({ 403, "read_only" }, { answer.status, code_of(answer) }, row.does)
      end
    end
    s:expect(200, "GET", "/api/v1/workflows", { token = admin })
    assert.same({}, audit.list(s.store, nil, 10))
  end)

  it("keeps a token to the workflows it is bound to", function()
    local s <close> = served.new { ["hello.lua"] = HELLO, ["waits.lua"] = WAITS }
    local bound, run = s:token("operate", { workflows = { "hello" } }), s:token "run"
    s:expect(403, "POST", "/api/v1/runs", { token = bound, body = { workflow = "waits" } })
    s:expect(201, "POST", "/api/v1/runs", { token = bound, body = { workflow = "hello" } })
    local id = s:expect(201, "POST", "/api/v1/runs", { token = run, body = { workflow = "waits" } }).id
    s:expect(403, "POST", "/api/v1/runs/" .. id .. "/cancel", { token = bound })
    local list = s:expect(200, "GET", "/api/v1/workflows", { token = bound }).workflows
    assert.same({ 1, "hello" }, { #list, list[1].name })
  end)
end)

describe("the page", function()
  it("is entered by a link that is good once, or by a token", function()
    local s <close> = served.new {}
    local link = s.host:login_link():match "^http://[^/]*(.*)$"
    assert.equal(401, s:ask("GET", "/login?code=wrong").status)
    local entered = s:ask("GET", link)
    assert.equal(303, entered.status)
    local cookie = entered.headers["set-cookie"]
    assert.is_truthy(cookie:find("HttpOnly", 1, true) and cookie:find("SameSite=Strict", 1, true))
    assert.equal(401, s:ask("GET", link).status)
    local session = { cookie = cookie:match "^[^;]*" }
    assert.equal("admin", s:ask("GET", "/api/v1/me", { headers = session }).json.scope)
    local other = { cookie = session.cookie:gsub("_7750", "_7751") }
    assert.equal(401, s:ask("GET", "/api/v1/me", { headers = other }).status)
    local left = s:ask("POST", "/logout", { headers = session })
    assert.equal(303, left.status)
    assert.equal(401, s:ask("GET", "/api/v1/me", { headers = session }).status)

    local token = s:token("run", { name = "ada" })
    local form = { ["content-type"] = "application/x-www-form-urlencoded" }
    assert.equal(401, s:ask("POST", "/login", { body = "token=wrong", headers = form }).status)
    entered = s:ask("POST", "/login", { body = "x=1&token=" .. token, headers = form })
    assert.equal(303, entered.status)
    session = { cookie = entered.headers["set-cookie"]:match "^[^;]*" }
    local me = s:ask("GET", "/api/v1/me", { headers = session }).json
    assert.same({ "ada", "run", "session" }, { me.name, me.scope, me.via })
    local form_page = s:ask("GET", "/", { headers = { accept = "text/html" } })
    assert.equal(401, form_page.status)
    assert.is_truthy(form_page.body:find "<form")
    require("orrery.serve.tokens").revoke(s.store, "ada")
    assert.equal(401, s:ask("GET", "/api/v1/me", { headers = session }).status)
    assert.is_nil(audit.verify(s.store).wrong)
  end)
end)
