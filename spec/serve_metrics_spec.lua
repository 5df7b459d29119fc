-- What `orrery serve` measures: the values, both forms of the text, and who may ask.
local core = require "orrery.core"
local families = require "orrery.serve.metrics.families"
local openmetrics = require "spec.support.openmetrics"
local served = require "spec.support.served"
local text = require "orrery.serve.metrics.text"

local CASES = "../shared/corpus/validators/openmetrics/tests/testdata/parsers/"
local OPEN = { accept = "application/openmetrics-text; version=1.0.0" }

local FLOW = [[
local flow = require "orrery"
flow.pool("metered", { max = 3 })
local w = flow.workflow { name = "meter", output = "${nodes.first}" }
w.first = { run = function() return 1 end, pool = "metered" }
w.second = { after = "first", run = function() error "no" end, retry = { max = 2, delay = 0 } }
return w
]]

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

-- A host of which one run has failed, and what it says of itself.
local function measured()
  local s = served.new { ["meter.lua"] = FLOW }
  local run = s:token "run"
  local made = s:expect(201, "POST", "/api/v1/runs", { token = run, body = { workflow = "meter" } })
  s:until_state(made.id, "failed")
  return s, run, made.id
end

local function value_of(found, name, labels)
  for _, one in ipairs(found[name].samples) do
    local same = true
    for key, value in pairs(labels) do same = same and one.labels[key] == value end
    if same then return one.value end
  end
end

describe("the metrics", function()
  it("say what runs, nodes, attempts and requests there were", function()
    local s <close>, run, id = measured()
    local answer = s:ask("GET", "/metrics", { token = run, headers = OPEN })
    assert.same({ 200, text.OPEN }, { answer.status, answer.headers["content-type"] })
    assert.is_nil(served.unlike("GET", "/metrics", answer))
    local found = openmetrics.read(answer.body)
    local of = { workflow = "meter" }
    local failed = { workflow = "meter", state = "failed" }
    assert.equal(1, value_of(found, "orrery_runs_started", of))
    assert.equal(1, value_of(found, "orrery_runs_ended", failed))
    assert.equal(0, value_of(found, "orrery_runs_ended", { workflow = "meter", state = "completed" }))
    assert.equal(1, value_of(found, "orrery_nodes_ended", failed))
    assert.equal(4, value_of(found, "orrery_attempts_started", of)) -- one, and one with two retries
    assert.equal(2, value_of(found, "orrery_retries", of))
    assert.equal(3, value_of(found, "orrery_failures", { code = "handler_error" }))
    assert.equal(4, value_of(found, "orrery_attempt_seconds", { workflow = "meter", le = "+Inf" }))
    assert.equal(2, value_of(found, "orrery_waits", { workflow = "meter", reason = "backoff" }))
    assert.equal(3, value_of(found, "orrery_pool_places", { pool = "metered" }))
    assert.equal(1, value_of(found, "orrery_store_runs", failed))
    assert.is_true(value_of(found, "orrery_store_commits", {}) > 0)
    assert.equal(1, value_of(found, "orrery_http_requests", { route = "run.start", code = "201" }))
    assert.is_nil(answer.body:find(id, 1, true))
  end)

  it("have a classic form that promtool reads", function()
    local s <close>, run = measured()
    local answer = s:expect(200, "GET", "/metrics", { token = run })
    assert.equal(text.CLASSIC, answer.headers["content-type"])
    assert.matches('\norrery_runs_started_total{workflow="meter"} 1\n', answer.body)
    assert.is_nil(answer.body:find("# EOF", 1, true))
    if not os.execute "command -v promtool >/dev/null" then return pending "promtool is not installed" end
    local path = s.folder .. "/metrics.txt"
    do
      local file <close> = assert(io.open(path, "wb"))
      file:write(answer.body)
    end
    local pipe <close> = io.popen(("timeout 60 promtool check metrics <%s 2>&1; echo $?"):format(path))
    assert.equal("0\n", pipe:read "a")
  end)

  it("are for those who may read everything", function()
    local s <close> = served.new {}
    assert.equal(401, s:ask("GET", "/metrics").status)
    assert.equal(403, s:ask("GET", "/metrics", { token = s:token("read", { workflows = { "a" } }) }).status)
    assert.equal(200, s:ask("GET", "/metrics", { token = s:token "read" }).status)
    local found = openmetrics.read(s:ask("GET", "/metrics", { token = s:token "read", headers = OPEN }).body)
    assert.equal(1, value_of(found, "orrery_http_requests", { route = "none", code = "401" }))
  end)

  it("are OpenMetrics only where that is asked for", function()
    for accept, open in pairs { ["application/openmetrics-text;version=1.0.0,text/plain;q=0.5"] = true,
      ["text/plain, application/openmetrics-text;q=0"] = false, ["*/*"] = false, [""] = false } do
      assert.equal(open, text.wants_open(accept))
    end
  end)

  it("write whatever a name has in it", function()
    local family = { name = "a", type = "gauge", labels = { "x" }, words = "A.",
      of = function(_, add)
        add(1, 'q"\\\nend')
        add(2, "\xff")
      end }
    local found = openmetrics.read(text.write({ family }, {}, true))
    assert.equal('q"\\\nend', found.a.samples[1].labels.x)
    assert.equal("?", found.a.samples[2].labels.x)
  end)

  it("stand in the docs as they are in the code", function()
    local page = read "docs/serve.md"
    assert.is_truthy(page:find(families.markdown(), 1, true),
      "the table of metrics in docs/serve.md is not that of families.markdown()")
  end)
end)

describe("the reader of OpenMetrics", function()
  it("refuses what the parser cases refuse", function()
    if not read(CASES .. "bad_blank_line/test.json") then
      return pending "../shared/corpus/validators is absent"
    end
    local refused, accepted = 0, 0
    local pipe <close> = io.popen("ls " .. CASES)
    for name in pipe:lines() do
      local case = core.json.decode(read(CASES .. name .. "/test.json"))
      local ok = pcall(openmetrics.read, read(CASES .. name .. "/" .. case.file))
      if not case.shouldParse then
        refused = refused + 1
        assert.is_false(ok, name)
      elseif ok then
        accepted = accepted + 1
      end
    end
    assert.same({ 167, 23 }, { refused, accepted }) -- the other 21 have what we do not write
  end)
end)
