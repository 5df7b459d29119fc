-- One action on many runs by the API: the preview, the action, and what each run comes to.
local audit = require "orrery.serve.audit"
local core = require "orrery.core"
local place = require "spec.support.place"
local previews = require "orrery.serve.previews"
local served = require "spec.support.served"
local uv = require "luv"

local WAITS = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits", output = "${nodes.go}" }
w.go = flow.wait { signal = "go", timeout = "1h" }
return w
]]

local FAILS = [[
local flow = require "orrery"
local w = flow.workflow { name = "fails" }
w.only = { run = function() error "no" end }
return w
]]

local FILES = { ["waits.lua"] = WAITS, ["fails.lua"] = FAILS }

local function start(s, token, workflow, labels, state)
  local body = { workflow = workflow, labels = labels }
  local id = s:expect(201, "POST", "/api/v1/runs", { token = token, body = body }).id
  s:until_state(id, state or "waiting")
  return id
end

local function preview(s, token, body)
  return s:expect(200, "POST", "/api/v1/bulk/preview", { token = token, body = body })
end

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = core.json.decode(line) end
  return list
end

-- Does what was previewed; its results by id, and the last line.
local function act(s, token, body, leaves)
  local answer = s:ask("POST", "/api/v1/bulk", { token = token, body = body, leaves = leaves })
  assert.equal(200, answer.status, answer.body)
  assert.is_nil(served.unlike("POST", "/api/v1/bulk", answer))
  local list, by_id = lines_of(answer.body), {}
  local last = list[#list]["end"] and table.remove(list) or nil
  for _, result in ipairs(list) do by_id[result.id] = result end
  return by_id, last, list
end

describe("a bulk action", function()
  it("is done to the runs of the moment of its preview, once, each with a line of the audit", function()
    local s <close> = served.new(FILES)
    local token = s:token("operate", { name = "ada" })
    local a, b = start(s, token, "waits", { suite = "x" }), start(s, token, "waits", { suite = "x" })
    local other = start(s, token, "waits")
    local seen = preview(s, token, { action = "cancel", label = { "suite=x" } })
    assert.same({ "cancel", 2, false }, { seen.action, seen.count, seen.more })
    assert.same({ 2, b }, { #seen.examples, seen.examples[1].id })
    local later = start(s, token, "waits", { suite = "x" })
    s:expect(202, "POST", "/api/v1/runs/" .. a .. "/cancel", { token = token })
    s:until_state(a, "cancelled")
    local lines = #audit.list(s.store, nil, 100)
    local results, last = act(s, token, { token = seen.token })
    assert.same({ ["end"] = true, done = 1, failed = 1 }, last)
    assert.same({ true, 202 }, { results[b].done, results[b].status })
    assert.same({ false, 409, "run_ended" }, { results[a].done, results[a].status, results[a].code })
    s:until_state(b, "cancelled")
    for _, id in ipairs { other, later } do assert.equal("waiting", s.store:row("run", { id = id }).state) end
    local written = audit.list(s.store, nil, 100)
    assert.equal(lines + 2, #written)
    local of = { [written[1].target] = written[1], [written[2].target] = written[2] }
    assert.same({ "run.cancel", 202, "ada" }, { of[b].action, of[b].status, of[b].who })
    assert.same({ "run.cancel", 409, "ada" }, { of[a].action, of[a].status, of[a].who })
    assert.is_nil(audit.verify(s.store).wrong)
    local again = s:ask("POST", "/api/v1/bulk", { token = token, body = { token = seen.token } })
    assert.same({ 404, "not_found" }, { again.status, again.json.code })
  end)

  it("chooses what the action can be done to", function()
    local s <close> = served.new(FILES)
    local token = s:token "operate"
    local waiting, failed = start(s, token, "waits"), start(s, token, "fails", nil, "failed")
    local paused = start(s, token, "waits")
    s:expect(202, "POST", "/api/v1/runs/" .. paused .. "/pause", { token = token })
    s:until_state(paused, "paused")
    local function ids(body)
      local list = {}
      for i, run in ipairs(preview(s, token, body).examples) do list[i] = run.id end
      return list
    end
    assert.same({ paused, waiting }, ids { action = "cancel" })
    assert.same({ waiting }, ids { action = "pause" })
    assert.same({ paused }, ids { action = "resume" })
    assert.same({ failed }, ids { action = "retry" })
    assert.same({}, ids { action = "retry", state = { "paused" } })
    for _, case in ipairs { { 400, { action = "cancel", workflow = "wait" } },
      { 422, { action = "explode" } }, { 422, { action = "cancel", stat = "failed" } },
      { 400, { action = "cancel", state = { "lost" } } } } do
      s:expect(case[1], "POST", "/api/v1/bulk/preview", { token = token, body = case[2] })
    end
    local again = preview(s, token, { action = "retry" })
    assert.is_true(act(s, token, { token = again.token })[failed].done)
    local resumed = preview(s, token, { action = "resume" })
    act(s, token, { token = resumed.token })
    s:until_state(paused, "waiting")
  end)

  it("sends a signal to all, which has a name", function()
    local s <close> = served.new(FILES)
    local token = s:token "operate"
    local ids = {}
    for i = 1, 60 do ids[i] = start(s, token, "waits") end
    local seen = preview(s, token, { action = "signal", workflow = "waits" })
    assert.same({ 60, 20 }, { seen.count, #seen.examples })
    s:expect(400, "POST", "/api/v1/bulk", { token = token, body = { token = seen.token } })
    local _, last, list = act(s, token, { token = seen.token, signal = { name = "go", data = 7 } })
    assert.same({ 60, 0, 60 }, { last.done, last.failed, #list })
    for _, id in ipairs(ids) do assert.equal("7", s:until_state(id, "completed").output) end
  end)

  it("stops where its client leaves", function()
    local s <close> = served.new(FILES)
    local token = s:token "operate"
    for _ = 1, 60 do start(s, token, "waits") end
    local seen = preview(s, token, { action = "pause" })
    local _, last, list = act(s, token, { token = seen.token }, 1)
    assert.is_nil(last)
    assert.is_true(#list < 60)
    local lines = 0
    for _, line in ipairs(audit.list(s.store, nil, 200)) do
      if line.action == "run.pause" then lines = lines + 1 end
    end
    assert.equal(#list, lines)
  end)

  it("is for who previewed it, and for the workflows that the token is bound to", function()
    local s <close> = served.new(FILES)
    local token, other = s:token "operate", s:token "operate"
    local bound = s:token("operate", { workflows = { "fails" } })
    start(s, token, "waits")
    local failed = start(s, token, "fails", nil, "failed")
    assert.equal(0, preview(s, bound, { action = "cancel" }).count)
    s:expect(403, "POST", "/api/v1/bulk/preview",
      { token = bound, body = { action = "cancel", workflow = "waits" } })
    local seen = preview(s, bound, { action = "retry" })
    assert.equal(failed, seen.examples[1].id)
    s:expect(404, "POST", "/api/v1/bulk", { token = other, body = { token = seen.token } })
    assert.is_true(act(s, bound, { token = seen.token })[failed].done)
  end)

  it("is forgotten after ten minutes, and where others need the memory", function()
    local now, ada = 1000, { name = "ada", via = "token" }
    local kept = previews.new(function() return now end)
    local function keep(bytes)
      return (kept:keep { action = "cancel", ids = ("x"):rep(bytes), count = 1, who = "ada", via = "token" })
    end
    local first = keep(36)
    assert.is_nil(kept:find(first, { name = "ada", via = "session" }))
    now = 1599
    assert.is_truthy(kept:find(first, ada))
    now = 1600
    assert.is_nil(kept:find(first, ada))
    local large = keep(3 << 20)
    assert.is_truthy(kept:find(large, ada))
    local second = keep(3 << 20)
    assert.is_nil(kept:find(large, ada))
    kept:take(assert(kept:find(second, ada)))
    assert.equal(0, kept.bytes)
  end)
end)

describe("a bulk action over HTTP", function()
  it("is answered line by line", function()
    local here <close> = place.new()
    uv.fs_mkdir(here.folder .. "/flows", 493)
    here:write("flows/waits.lua", WAITS)
    local server = here:start { "serve", "flows", "--listen", "127.0.0.1:0" }
    local url = here:until_true(function()
      return server.code or here:read(server.err):match "listening at (http%S+)"
    end, "listening")
    local token = here:ends(0, "token", "create", "--scope", "operate").out:gsub("%s+$", "")
    local function post(path, body)
      local pipe <close> = assert(io.popen(("curl -sS -H 'Authorization: Bearer %s' "
        .. "-H 'Content-Type: application/json' -d '%s' %s/api/v1%s"):format(token, core.json.encode(body),
        url, path)))
      return pipe:read "a"
    end
    for _ = 1, 3 do assert.is_truthy(post("/runs", { workflow = "waits" }):find '"id"') end
    local seen = core.json.decode(post("/bulk/preview", { action = "cancel", workflow = "waits" }))
    assert.equal(3, seen.count)
    local list = lines_of(post("/bulk", { token = seen.token }))
    assert.same({ ["end"] = true, done = 3, failed = 0 }, list[4])
  end)
end)
