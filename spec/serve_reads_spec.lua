-- What `orrery serve` says of runs: each answer by the OpenAPI document, pages that are the whole
-- together, tokens that are bound to workflows; and streams over HTTP that outlive the server.
local core = require "orrery.core"
local place = require "spec.support.place"
local served = require "spec.support.served"
local uv = require "luv"

local json = core.json

local ETL = [[
local flow = require "orrery"
local w = flow.workflow { name = "etl", input = { fail = "boolean?" }, on_error = "continue" }
w.list = { run = function(ctx) ctx:log("info", "Begins", { n = 3 }) return { "x", "y", "z" } end }
w.fetch = { each = "${nodes.list}", item_name = "${item}", run = function(ctx)
  ctx:step("look", function() return 1 end)
  if ctx.input.fail and ctx.item == "y" then flow.error { code = "gone", message = "it is not there" } end
  return ctx.item
end }
w.wide = { run = function() return ("w"):rep(20000) end }
w.after = { after = "fetch", run = function(ctx) ctx:log("warn", "ends") end }
return w
]]

local WAITS = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits" }
w.go = flow.wait { signal = "go", timeout = "1h" }
w.then_this = { after = "go", run = function() end }
return w
]]

local function start(s, token, body)
  return s:expect(201, "POST", "/api/v1/runs", { token = token, body = body }).id
end

-- All rows of the pages of a list.
local function all_of(s, token, path, name)
  local rows, cursor = {}, nil
  repeat
    local page = s:expect(200, "GET", path .. (cursor and "&cursor=" .. cursor or ""), { token = token })
    table.move(page[name], 1, #page[name], #rows + 1, rows)
    cursor = page.next
  until not cursor
  return rows
end

local function names(list, field)
  local made = {}
  for i, each in ipairs(list) do made[i] = each[field or "name"] end
  return made
end

describe("the API of runs", function()
  it("says of a run what it is, its parts, its log, and why", function()
    local s <close> = served.new { ["etl.lua"] = ETL }
    local run, read = s:token "run", s:token "read"
    local good = start(s, run, { workflow = "etl", labels = { team = "x" }, input = { fail = false } })
    s:until_state(good, "completed")
    local bad = start(s, run, { workflow = "etl", input = { fail = true } })
    s:until_state(bad, "failed")
    local base = "/api/v1/runs/" .. bad
    local function get(path) return s:expect(200, "GET", path, { token = read }) end
    local shown = get(base)
    assert.same({ bad, "failed", "etl", 4 }, { shown.id, shown.state, shown.workflow, shown.nodes })
    assert.same({ fail = true }, shown.input)
    assert.equal(#s.store:records(bad, 0, 1000), shown.seq)
    assert.equal(bad, get("/api/v1/runs/" .. bad:sub(1, 30)).id)
    assert.equal(bad, get "/api/v1/runs/@last".id)
    assert.same({ "list", "fetch", "wide", "after" },
      names(all_of(s, read, base .. "/nodes?limit=3", "nodes")))
    assert.same({ "fetch" }, names(get(base .. "/nodes?state=failed").nodes))
    assert.same({ "x", "y", "z" },
      names(all_of(s, read, base .. "/nodes/fetch/items?limit=2", "items"), "item_name"))
    local wide = get(base .. "/nodes").nodes[3]
    assert.same({ nil, 20002 }, { wide.output, wide.output_bytes })
    assert.equal(20000, #get(base .. "/nodes/wide").output)
    local item = get(base .. "/nodes/fetch[y]")
    assert.same({ 2, "y", "failed", "gone" }, { item.item, item.item_name, item.state, item.error.code })
    local whole = get(base .. "/nodes/fetch")
    assert.same({ 3, 3, 3, 1 }, { whole.items, whole.begun, whole.settled, whole.failed })
    assert.is_true(#all_of(s, read, base .. "/attempts?limit=2", "attempts") >= 5)
    assert.equal(1, #get(base .. "/attempts?node=fetch[z]").attempts)
    assert.same({ "look", "look", "look" }, names(all_of(s, read, base .. "/steps?limit=1", "steps")))
    assert.same({}, get(base .. "/signals").signals)
    local lines = get("/api/v1/runs/" .. good .. "/logs").lines
    assert.same({ "Begins", "ends" }, names(lines, "message"))
    assert.same({ n = 3 }, lines[1].fields)
    assert.same({ "ends" }, names(get("/api/v1/runs/" .. good .. "/logs?level=warn").lines, "message"))
    assert.same({ "Begins" }, names(get("/api/v1/runs/" .. good .. "/logs?search=BEG").lines, "message"))
    assert.same({ "ends" }, names(get("/api/v1/runs/" .. good .. "/logs?tail=1").lines, "message"))
    local rest = get(("/api/v1/runs/%s/logs?after=%d"):format(good, lines[1].id))
    assert.same({ "ends" }, names(rest.lines, "message"))
    local why = get(base .. "/why")
    assert.same({ "fetch", "fetch", "after" }, names(why.nodes, "node"))
    assert.equal("retry", why.nodes[1].help.act)
    assert.equal("upstream_failed", get(base .. "/why/after").skip)
    assert.same({ good }, names(get "/api/v1/runs?label=team=x".runs, "id"))
    assert.same({ bad, good },
      names(get "/api/v1/runs?state=failed,completed&workflow=etl&since=1h".runs, "id"))
    assert.same({ bad, good }, names(all_of(s, read, "/api/v1/runs?limit=1", "runs"), "id"))
    local stats = get "/api/v1/statistics?workflow=etl"
    local row = stats.workflows[1]
    assert.same({ 2, 1, 1 }, { row.runs, row.completed, row.failed })
    assert.equal(4, #stats.nodes)
  end)

  it("says what a run waits for, and what helps", function()
    local s <close> = served.new { ["waits.lua"] = WAITS }
    local run = s:token "run"
    local id = start(s, run, { workflow = "waits" })
    s:until_state(id, "waiting")
    local shown = s:expect(200, "GET", "/api/v1/runs/" .. id, { token = run })
    assert.same({ "go" }, names(shown.awaits))
    assert.is_true(shown.owner.alive)
    local why = s:expect(200, "GET", ("/api/v1/runs/%s/why/go"):format(id), { token = run })
    assert.same({ "signal", "go" }, { why.kind, why.name })
    assert.same({ act = "signal", signal = "go" }, why.help)
    why = s:expect(200, "GET", ("/api/v1/runs/%s/why/then_this"):format(id), { token = run })
    assert.same({ "dependency", { act = "see", run = id, node = "go" } }, { why.kind, why.help })
  end)

  it("refuses what is not there, or is asked for wrongly", function()
    local s <close> = served.new { ["etl.lua"] = ETL }
    local token = s:token "run"
    local id = start(s, token, { workflow = "etl" })
    s:until_state(id, "completed")
    for _, case in ipairs {
      { 404, "run_not_found", "/runs/ffffffff" }, { 404, "run_not_found", "/runs/zzz/nodes" },
      { 404, "node_not_found", "/runs/" .. id .. "/nodes/nope" },
      { 404, "node_not_found", "/runs/" .. id .. "/why/x[9]" },
      { 404, "node_not_found", "/runs/" .. id .. "/attempts?node=nope" },
      { 400, "bad_request", "/runs?state=nonsense" }, { 400, "bad_request", "/runs?cursor=x" },
      { 400, "bad_request", "/runs?limit=0" }, { 400, "bad_request", "/runs?limit=1001" },
      { 400, "bad_request", "/runs?workflow=nope" }, { 400, "bad_request", "/runs?since=never" },
      { 400, "bad_request", "/runs/" .. id .. "/nodes?cursor=x" },
      { 404, "run_not_found", "/runs/" .. id .. "/compare/00000000" },
      { 400, "bad_request", "/runs/" .. id .. "/compare/" .. id .. "/nodes?cursor=x" },
      { 400, "bad_request", "/runs/" .. id .. "/compare/" .. id .. "/nodes?cursor=ax" },
      { 400, "bad_request", "/runs/" .. id .. "/steps?cursor=zz" },
      { 400, "bad_request", "/runs/" .. id .. "/logs?level=loud" },
      { 400, "bad_request", "/runs/" .. id .. "/events?after=x" }, { 400, "bad_request", "/events?after=1" },
    } do
      local answer = s:ask("GET", "/api/v1" .. case[3], { token = token })
      assert.same({ case[1], case[2] }, { answer.status, answer.json.code }, case[3])
      assert.is_nil(served.unlike("GET", "/api/v1" .. case[3], answer))
    end
  end)

  it("keeps a token to the runs of its workflows", function()
    local s <close> = served.new { ["etl.lua"] = ETL, ["waits.lua"] = WAITS }
    local run = s:token "run"
    local etl, waits = start(s, run, { workflow = "etl" }), start(s, run, { workflow = "waits" })
    s:until_state(etl, "completed")
    s:until_state(waits, "waiting")
    local bound = s:token("read", { workflows = { "etl" } })
    assert.same({ etl }, names(s:expect(200, "GET", "/api/v1/runs", { token = bound }).runs, "id"))
    assert.same({ "etl" },
      names(s:expect(200, "GET", "/api/v1/statistics", { token = bound }).workflows, "workflow"))
    for _, path in ipairs { "/runs?workflow=waits", "/runs/" .. waits, "/runs/" .. waits .. "/nodes",
      "/runs/" .. waits .. "/events", "/runs/" .. waits .. "/logs/stream", "/statistics?workflow=waits",
      "/runs/" .. etl .. "/compare/" .. waits, "/runs/" .. etl .. "/compare/" .. waits .. "/nodes" } do
      assert.equal(403, s:ask("GET", "/api/v1" .. path, { token = bound }).status, path)
    end
    s:expect(200, "GET", "/api/v1/runs/" .. etl, { token = bound })
  end)
end)

-- ---- streams over HTTP --------------------------------------------------------------------------

local SLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "slow" }
for i = 1, 12 do
  w["n" .. i] = { after = i > 1 and "n" .. i - 1 or nil, run = function(ctx)
    ctx:log("info", "line " .. i)
    ctx:sleep("100ms")
  end }
end
return w
]]

local function serve(here, at)
  local process = here:start { "serve", "flows", "--listen", "127.0.0.1:" .. (at or 0) }
  local url = here:until_true(function()
    return process.code or here:read(process.err):match "listening at (http%S+)"
  end, "listening")
  assert(type(url) == "string", here:read(process.err))
  return process, url
end

-- Begins to read a stream; its events are there as they come.
local function follow(here, url, token, last)
  local n = #here.processes + 1
  local out = ("%s/%d.sse"):format(here.folder, n)
  local fd = assert(uv.fs_open(out, "w", 420))
  local made = { last = last }
  local argv = { "-sSN", "-H", "Authorization: Bearer " .. token }
  if last then table.move({ "-H", "Last-Event-ID: " .. last }, 1, 2, #argv + 1, argv) end
  argv[#argv + 1] = url
  local process = { out = n .. ".sse", err = n .. ".sse" }
  process.handle = assert(uv.spawn("curl", { args = argv, stdio = { nil, fd, nil } }, function(code)
    process.code = code
    process.handle:close()
  end))
  uv.fs_close(fd)
  here.processes[n] = process
  function made.read()
    local events = {}
    for id, rest in here:read(n .. ".sse"):gmatch "id: ([^\n]+)\n([^\n]*)\n" do
      made.last = id
      if rest:find "^data: " then events[#events + 1] = json.decode(rest:sub(7)) end
    end
    return events
  end
  function made.stop()
    if not process.code then process.handle:kill "sigkill" end
    here:until_true(function() return process.code end)
    return made.read()
  end
  return made
end

local function place_of(files)
  local here = place.new()
  uv.fs_mkdir(here.folder .. "/flows", 493)
  for name, text in pairs(files) do here:write("flows/" .. name, text) end
  return here
end

local function token_of(here)
  return (here:ends(0, "token", "create", "--scope", "run").out:gsub("%s+$", ""))
end

describe("a stream over HTTP", function()
  it("goes on without a gap after its server was killed, and shows runs of other processes", function()
    local here <close> = place_of { ["slow.lua"] = SLOW }
    local process, url = serve(here)
    local token = token_of(here)
    local all = follow(here, url .. "/api/v1/events", token)
    here:until_true(function() all.read() return all.last end, "the place where a stream begins")
    local other = here:start { "run", "flows/slow.lua", "--json" }
    local id = here:until_true(function()
      return here:read(other.out):match '"run":"([%x-]+)"'
    end, "the id of the run")
    local one, lines = follow(here, url .. "/api/v1/runs/" .. id .. "/events", token),
      follow(here, url .. "/api/v1/runs/" .. id .. "/logs/stream", token)
    here:until_true(function() return #one.read() > 4 and #lines.read() > 1 and #all.read() > 4 end, "events")
    process.handle:kill "sigkill"
    here:until_true(function() return process.code end)
    local streams = { one.stop(), lines.stop(), all.stop() }
    local port = url:match ":(%d+)$"
    process, url = serve(here, port)
    local again = { follow(here, url .. "/api/v1/runs/" .. id .. "/events", token, one.last),
      follow(here, url .. "/api/v1/runs/" .. id .. "/logs/stream", token, lines.last),
      follow(here, url .. "/api/v1/events", token, all.last) }
    here:finish(other)
    local db <close> = core.store("sqlite:" .. here.db)
    local n = #db:records(id, 0, 100000)
    local wanted = { n, 12, n }
    for i, stream in ipairs(again) do
      here:until_true(function() return #streams[i] + #stream.read() >= wanted[i] end,
        "the rest of stream " .. i)
      table.move(stream.stop(), 1, 100000, #streams[i] + 1, streams[i])
    end
    for _, i in ipairs { 1, 3 } do
      assert.equal(n, #streams[i])
      for seq, event in ipairs(streams[i]) do assert.same({ id, seq }, { event.run, event.seq }) end
      assert.equal("run_ended", streams[i][n].kind)
    end
    for i = 1, 12 do assert.equal("line " .. i, streams[2][i].message) end
    assert.equal(12, #streams[2])
    process.handle:kill "sigterm"
    here:finish(process)
  end)

  it("of a long log is read to its end, as fast as its reader reads", function()
    local here <close> = place_of { ["long.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "long" }
      w.a = { run = function(ctx)
        for i = 1, 3000 do ctx:log("info", i .. (" "):rep(1000)) end
      end }
      return w]] }
    here:ends(0, "run", "flows/long.lua", "-q")
    local process, url = serve(here)
    local lines = follow(here, url .. "/api/v1/runs/@last/logs/stream", token_of(here))
    here:until_true(function() return #lines.read() == 3000 end, "all lines")
    for i, line in ipairs(lines.stop()) do assert.equal(tostring(i), line.message:match "^%d+") end
    process.handle:kill "sigterm"
    here:finish(process)
  end)
end)
