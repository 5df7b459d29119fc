-- Hooks of a host in this process: what deliveries do, and what is told of them.
local core = require "orrery.core"
local flow = require "orrery"
local served = require "spec.support.served"

local ORDERS = [[
local flow = require "orrery"
local w = flow.workflow { name = "orders", input = { n = "integer" }, output = "${nodes.it}",
  triggers = {
    flow.hook { name = "order", verify = "none", start = "${hook.body.action == 'opened'}",
      input = { n = "${hook.body.n}" } },
    flow.hook { name = "keyed", verify = "none", key = "${hook.body.order}",
      input = { n = "${hook.body.n}" } },
    flow.hook { name = "answers", verify = "none", wait = "30s", input = { n = "${hook.body.n}" } },
    flow.hook { name = "told", verify = "token", secrets = flow.secret { file = "@FOLDER@/secret" },
      input = { n = 1 } },
  } }
w.it = { run = function(ctx)
  if ctx.input.n < 0 then error "no" end
  local given = ctx.trigger.payload or {}
  return { n = ctx.input.n * 2, kind = ctx.trigger.kind, hook = ctx.trigger.hook,
    delivery = ctx.trigger.delivery, body = given.body,
    proof = (given.headers or {}).authorization }
end }
return w
]]

local WAITS = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits", output = "${nodes.go}",
  triggers = {
    flow.hook { name = "paid", verify = "none", signal = "paid", key = "${hook.body.order}" },
    flow.hook { name = "event", verify = "none", signal = "${hook.headers['x-kind']}",
      run = "${hook.body.run}",
      input = "${hook.body.data}", wait = "30s" },
  } }
w.go = flow.wait { signal = "paid", timeout = "1h" }
return w
]]

local ASKS = [[
local flow = require "orrery"
local w = flow.workflow { name = "asks", output = "${nodes.ask}",
  triggers = { flow.hook { name = "decide", verify = "none", signal = "release", key = "k" } } }
w.ask = flow.wait { signal = "release", approval = { message = "Release?", by = { "ada" } } }
return w
]]

local function new(options)
  local s = served.new({ ["waits.lua"] = WAITS, ["asks.lua"] = ASKS }, options)
  local file <close> = assert(io.open(s.folder .. "/secret", "w"))
  file:write "s3cret-token\n"
  s:write("orders.lua", (ORDERS:gsub("@FOLDER@", s.folder)))
  s.host:reload()
  return s
end

local function post(s, name, body, headers)
  return s:ask("POST", "/hooks/" .. name, { body = body, headers = headers })
end

local function runs(s) return s.store:row("store_runs").runs end

describe("hooks", function()
  it("start runs, one for each delivery, which its runs know", function()
    local s <close> = new()
    local first = post(s, "order", { action = "opened", n = 4 }, { ["webhook-id"] = "d1" })
    assert.same({ 202, "started", "d1" }, { first.status, first.json.outcome, first.json.delivery })
    local row = s:until_state(first.json.run, "completed")
    local output = core.json.decode(row.output)
    assert.same({ 8, "hook", "order", "d1", "opened" }, { output.n, output.kind, output.hook, output.delivery,
      output.body.action })
    local again = post(s, "order", { action = "opened", n = 4 }, { ["webhook-id"] = "d1" })
    assert.same({ 202, "existing", first.json.run }, { again.status, again.json.outcome, again.json.run })
    assert.equal("ignored", post(s, "order", { action = "closed", n = 4 }).json.outcome)
    assert.equal(1, runs(s))
    post(s, "order", { action = "opened", n = 1 })
    post(s, "order", { action = "opened", n = 1 })
    assert.equal(3, runs(s)) -- without an id each is another
  end)

  it("start one run for a delivery that comes many times at once, or a key", function()
    local s <close> = new()
    local ids, asks = {}, {}
    for i = 1, 20 do
      asks[i] = function()
        local answer = post(s, "keyed", { order = "o-7", n = i }, { ["webhook-id"] = "d" .. i })
        ids[answer.json.run] = (ids[answer.json.run] or 0) + (answer.json.outcome == "started" and 1 or 0)
      end
    end
    flow.gather(asks)
    local n, started = 0, 0
    for _, made in pairs(ids) do n, started = n + 1, started + made end
    assert.same({ 1, 1, 1 }, { n, started, runs(s) })
  end)

  it("answer with the output where they wait", function()
    local s <close> = new()
    local answer = post(s, "answers", { n = 21 })
    assert.same({ 200, "completed", 42 }, { answer.status, answer.json.state, answer.json.output.n })
    answer = post(s, "answers", { n = -1 })
    assert.same({ 200, "failed", "handler_error" }, { answer.status, answer.json.state,
      answer.json.error.code })
  end)

  it("signal the run of a key or an id, once for each delivery", function()
    local s <close> = new()
    local token = s:token "run"
    local id = s:expect(201, "POST", "/api/v1/runs", { token = token, body = { workflow = "waits",
      key = "o-1" } }).id
    s:until_state(id, "waiting")
    local lost = post(s, "paid", { order = "o-2" })
    assert.same({ 404, "run_not_found" }, { lost.status, lost.json.code })
    local told = post(s, "paid", { order = "o-1", sum = 3 }, { ["webhook-id"] = "d1" })
    assert.same({ 202, "signalled", id }, { told.status, told.json.outcome, told.json.run })
    local output = s:until_state(id, "completed").output
    assert.equal(3, core.json.decode(output).sum)
    local again = post(s, "paid", { order = "o-1", sum = 3 }, { ["webhook-id"] = "d1" })
    assert.same({ 202, "existing", id }, { again.status, again.json.outcome, again.json.run })
    local late = post(s, "paid", { order = "o-1" }, { ["webhook-id"] = "d2" })
    assert.same({ 409, "run_ended" }, { late.status, late.json.code })
    id = s:expect(201, "POST", "/api/v1/runs", { token = token, body = { workflow = "waits" } }).id
    s:until_state(id, "waiting")
    assert.equal("ignored", post(s, "event", { run = id }).json.outcome)
    local answer = post(s, "event", { run = id, data = { ok = true } }, { ["x-kind"] = "paid" })
    assert.same({ 200, "completed", true }, { answer.status, answer.json.state, answer.json.output.ok })
  end)

  it("reach no run of another workflow, and decide in nobody's name", function()
    local s <close> = new()
    local id = s:expect(201, "POST", "/api/v1/runs", { token = s:token "run", body = { workflow = "asks",
      key = "k" } }).id
    s:until_state(id, "waiting")
    assert.equal(404, post(s, "event", { run = id }, { ["x-kind"] = "release" }).status)
    local forged = post(s, "decide", { approved = true, by = "ada" })
    assert.same({ 403, "not_approver" }, { forged.status, forged.json.code })
    assert.equal(403, post(s, "decide", { approved = true }).status)
    s.store:project()
    assert.equal("waiting", s.store:row("run", { id = id }).state)
  end)

  it("let in who has the token, tell nobody why not, and keep no proof", function()
    local s <close> = new()
    local no = post(s, "told", { n = 1 }, { authorization = "Bearer wrong" })
    assert.same({ 401, "hook_unverified", "the delivery could not be verified" }, { no.status, no.json.code,
      no.json.detail })
    assert.equal(401, post(s, "told", { n = 1 }).status)
    assert.equal(0, runs(s))
    local yes = post(s, "told", { n = 1 }, { authorization = "Bearer s3cret-token", ["webhook-id"] = "d" })
    assert.equal(202, yes.status)
    assert.is_nil(core.json.decode(s:until_state(yes.json.run, "completed").output).proof)
    local read = s:token "read"
    local hook
    for _, each in ipairs(s:expect(200, "GET", "/api/v1/hooks", { token = read }).hooks) do
      if each.name == "told" then hook = each end
    end
    assert.same({ 2, 1, "its header Authorization has not the token of the hook" }, { hook.refused, hook.kept,
      hook.refused_why })
    local list = s:expect(200, "GET", "/api/v1/hooks/told/deliveries", { token = read }).deliveries
    local one = s:ask("GET", "/api/v1/hooks/told/deliveries/" .. list[1].id, { token = read })
    assert.is_nil(one.body:find("s3cret", 1, true))
    assert.is_nil(table.concat(s.said, "\n"):find("s3cret", 1, true))
  end)

  it("are exempt from tokens by their very paths alone", function()
    local s <close> = new()
    for _, case in ipairs { { "POST", "/hooks/nothing" }, { "POST", "/hooks/order/" }, { "POST", "/hooks" },
      { "GET", "/hooks/order" }, { "POST", "/hooks/order/x" }, { "POST", "/hooks/Order" } } do
      assert.equal(401, s:ask(case[1], case[2], { body = "{}" }).status, case[2])
    end
    assert.equal(421, post(s, "order", {}, { host = "evil.example" }).status)
    assert.equal(403, post(s, "order", {}, { origin = "http://evil.example" }).status)
    assert.equal(0, runs(s))
  end)

  it("refuse what is no delivery, and keep why", function()
    local s <close> = new()
    for _, case in ipairs {
      { 413, "body_too_large", "keyed", ("x"):rep((1 << 20) + 1) },
      { 400, "bad_request", "keyed", "{" },
      { 400, "bad_request", "keyed", "{}" },
      { 400, "bad_request", "keyed", { order = "", n = 1 } },
      { 422, "validation_error", "keyed", { order = "o", n = "x" } },
    } do
      local answer = post(s, case[3], case[4])
      assert.same({ case[1], case[2] }, { answer.status, answer.json.code }, answer.body)
    end
    local list = s:expect(200, "GET", "/api/v1/hooks/keyed/deliveries", { token = s:token "read" }).deliveries
    assert.equal(4, #list) -- what is too large was not looked at
    assert.same({ "failed", 422 }, { list[1].outcome, list[1].status })
    assert.equal("string", type(list[1].message))
  end)

  it("keep the last deliveries, page by page, which can be repeated", function()
    local s <close> = new()
    local operate = s:token "operate"
    for i = 1, 5 do post(s, "order", { action = "opened", n = i }, { ["webhook-id"] = "d" .. i }) end
    local page = s:expect(200, "GET", "/api/v1/hooks/order/deliveries?limit=2", { token = operate })
    assert.same({ "d5", "d4" }, { page.deliveries[1].delivery, page.deliveries[2].delivery })
    page = s:expect(200, "GET", "/api/v1/hooks/order/deliveries?limit=2&before=" .. page.next,
      { token = operate })
    assert.same({ "d3", "d2" }, { page.deliveries[1].delivery, page.deliveries[2].delivery })
    local third = page.deliveries[1]
    local at = "/api/v1/hooks/order/deliveries/" .. third.id
    local whole = s:expect(200, "GET", at, { token = operate })
    assert.equal(3, core.json.decode(whole.body).n)
    local again = s:expect(202, "POST", at .. "/redeliver", { token = operate })
    assert.same({ "existing", third.run }, { again.outcome, again.run })
    assert.equal(403, s:ask("POST", at .. "/redeliver", { token = s:token "read" }).status)
    assert.equal(404, s:ask("POST", "/api/v1/hooks/keyed/deliveries/" .. third.id .. "/redeliver",
      { token = operate }).status)
    assert.equal(5, runs(s))
    -- one that failed is done by being repeated, once what was wrong is mended
    post(s, "paid", { order = "o-9" }, { ["webhook-id"] = "p" })
    local id = s:expect(201, "POST", "/api/v1/runs", { token = operate, body = { workflow = "waits",
      key = "o-9" } }).id
    s:until_state(id, "waiting")
    local failed = s:expect(200, "GET", "/api/v1/hooks/paid/deliveries", { token = operate }).deliveries[1]
    s:expect(202, "POST", "/api/v1/hooks/paid/deliveries/" .. failed.id .. "/redeliver", { token = operate })
    s:until_state(id, "completed")
  end)

  it("keep no more than their bound", function()
    local s <close> = new()
    local entries = {}
    for i = 1, 1200 do
      entries[i] = { hook = i % 2 == 0 and "a" or "b", received = i, outcome = "ignored", status = 202,
        headers = "{}",
        query = "", bytes = 0 }
    end
    require("orrery.serve.hooks.log").write(s.store, entries)
    for _, row in ipairs(s.store:rows "hooks_seen") do assert.equal(500, row.n) end
    assert.equal(1200, s.store:rows("hook_deliveries", { hook = "a", before = 5000, limit = 1 })[1].received)
  end)

  it("of one name belong to the first workflow, and go with their files", function()
    local s <close> = new()
    s:write("other.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "zebra", output = 1, triggers = { flow.hook { name = "order",
  verify = "none" } } }
w.it = { run = function() return 1 end }
return w
]])
    s.host:reload()
    local problems = {}
    for _, each in ipairs(s:expect(200, "GET", "/api/v1/hooks", { token = s:token "read" }).hooks) do
      problems[#problems + 1] = each.problem
    end
    assert.same({ "hook order: the workflow orders has it; give that of zebra another name" }, problems)
    os.remove(s.folder .. "/flows/orders.lua")
    s.host:reload()
    local answer = post(s, "order", { action = "opened" })
    s:until_state(answer.json.run, "completed")
    assert.equal("zebra", answer.json.workflow)
    assert.equal(401, post(s, "keyed", {}).status)
  end)

  it("are shown to a token that is bound only where it is", function()
    local s <close> = new()
    local bound = s:token("operate", { workflows = { "waits" } })
    local names = {}
    for _, each in ipairs(s:expect(200, "GET", "/api/v1/hooks", { token = bound }).hooks) do
      names[#names + 1] = each.name
    end
    assert.same({ "event", "paid" }, names)
    assert.equal(403, s:ask("GET", "/api/v1/hooks/order/deliveries", { token = bound }).status)
  end)

  it("take nothing where the server only shows or stops, or has not the secret", function()
    local shows <close> = new { read_only = true }
    assert.equal("read_only", post(shows, "order", { action = "opened" }).json.code)
    local s <close> = new()
    os.remove(s.folder .. "/secret")
    local answer = post(s, "told", {}, { authorization = "Bearer s3cret-token" })
    assert.same({ 503, "5" }, { answer.status, answer.headers["retry-after"] })
    s.host.draining = true
    assert.equal("draining", post(s, "order", { action = "opened" }).json.code)
  end)

  it("know JSON, forms and texts by their type", function()
    local s <close> = new()
    s:write("forms.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "forms", output = "${nodes.it}",
  triggers = { flow.hook { name = "form", verify = "none", wait = "30s", input = "${hook}" } } }
w.it = { run = function(ctx) return { body = ctx.input.body, query = ctx.input.query } end }
return w
]])
    s.host:reload()
    local function body(text, kind, more)
      local headers = { ["content-type"] = kind }
      for name, value in pairs(more or {}) do headers[name] = value end
      return post(s, "form?a=b+c", text, headers).json.output
    end
    assert.same({ body = { x = "1 2" }, query = { a = "b c" } },
      body("x=1%202", "application/x-www-form-urlencoded"))
    assert.equal(7, body("payload=%7B%22n%22%3A7%7D", "application/x-www-form-urlencoded",
      { ["x-github-event"] = "push" }).body.n)
    assert.equal("a\n", body("a\n", "text/plain; charset=utf-8").body)
    assert.same({ 1 }, body("[1]", "application/cloudevents+json").body)
  end)
end)

describe("starts that wait", function()
  it("are answered with how the run has ended, or when the time is over", function()
    local s <close> = new()
    local token = s:token "run"
    local made = s:expect(201, "POST", "/api/v1/runs?wait=30s", { token = token, body = { workflow = "orders",
      input = { n = 2 } } })
    assert.same({ "completed", 4 }, { made.state, made.output and made.output.n }, core.json.encode(made))
    made = s:expect(201, "POST", "/api/v1/runs?wait=30s", { token = token, body = { workflow = "orders",
      input = { n = -2 } } })
    assert.same({ "failed", "handler_error" }, { made.state, made.error.code })
    made = s:expect(201, "POST", "/api/v1/runs?wait=50ms", { token = token, body = { workflow = "waits" } })
    assert.is_nil(made.output)
    -- it is in the audit before anybody waits
    local asked = false
    flow.gather { function()
      s:ask("POST", "/api/v1/runs?wait=30s", { token = token, body = { workflow = "waits",
        key = "audited" } })
      asked = true
    end, function()
      local line
      for _ = 1, 3000 do
        line = require("orrery.serve.audit").list(s.store, nil, 1)[1]
        if line and line.after and line.after.key == "audited" then break end
        flow.sleep(0.01)
      end
      assert.same({ "audited", false }, { line.after.key, asked })
      s.host.ends:close()
    end }
    assert.is_true(asked)
    assert.same({ 0, 400 }, { s.host.ends.n, s:ask("POST", "/api/v1/runs?wait=soon", { token = token,
      body = { workflow = "waits" } }).status })
  end)

  it("get the end of a run that has ended before", function()
    local s <close> = new()
    local token = s:token "run"
    local options = { token = token, body = { workflow = "orders", input = { n = 2 }, key = "k" } }
    local first = s:expect(201, "POST", "/api/v1/runs?wait=30s", options)
    local again = s:expect(200, "POST", "/api/v1/runs?wait=30s", options)
    assert.same({ first.id, "completed", 4, true }, { again.id, again.state, again.output.n, again.existing })
  end)
end)
