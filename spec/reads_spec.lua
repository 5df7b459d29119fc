-- What the server reads: on a thread of its own, so that the loop never waits for a query; and
-- streams of events that go on without a gap.
local core = require "orrery.core"
local flow = require "orrery"
local place = require "spec.support.place"
local reads = require "orrery.serve.reads"
local api = require "orrery.serve.api.events"

local json = core.json

local SEED = math.tointeger(tonumber(os.getenv "READS_SEED" or "")) or os.time()

local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "%s" }
for i = 1, %d do
  w["n" .. i] = { run = function(ctx)
    ctx:log("info", "line " .. i)
    ctx:sleep("%dms")
    return i
  end }
end
return w
]]

-- A folder with a workflow that has run once.
local function ran(nodes)
  local here = place.new { ["a.lua"] = FLOW:format("a", nodes or 3, 1), ["b.lua"] = FLOW:format("b", 4, 30) }
  here:ends(0, "run", "a.lua")
  return here
end

local function open(here, options)
  local db = core.store("sqlite:" .. here.db, "own")
  local made = reads.open(db, options)
  return made, db
end

local function fails(code, fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal(code, type(problem) == "table" and problem.code or problem)
  return problem
end

describe("the thread that reads", function()
  local ASKS, TEST = "orrery.serve.reads.asks", "spec.support.reading"

  it("gives what a function gives, as text or as a value, and its errors", function()
    local here <close> = ran()
    local r, db = open(here)
    local page = json.decode(r:text(ASKS, "runs", {}))
    assert.equal(1, #page.runs)
    local id = page.runs[1].id
    local run = r:value(ASKS, "run", id:sub(1, 10))
    assert.equal(id, run.id)
    assert.equal("completed", run.state)
    assert.equal(3, #json.decode(r:text(ASKS, "nodes", id, {})).nodes)
    assert.equal(3, #json.decode(r:text(ASKS, "logs", id, {})).lines)
    fails("run_not_found", r.value, r, ASKS, "run", "ffffffff")
    fails("bad_request", r.text, r, ASKS, "runs", { state = { "nonsense" } })
    fails("bad_request", r.text, r, ASKS, "runs", { cursor = "x" })
    fails("node_not_found", r.text, r, ASKS, "node", id, { node = "n9" })
    fails("store_error", r.text, r, TEST, "wrong")
    assert.equal("answer_too_large", fails("answer_too_large", r.text, r, TEST, "many", 9 << 20).code)
    local ok, fault = pcall(r.text, r, TEST, "fault")
    assert.is_false(ok)
    assert.equal("string", type(fault))
    assert.matches("arithmetic", fault)
    assert.equal('{"text":{"$bytes":"/w=="}}', r:text(TEST, "bytes"))
    r:close()
    db:close()
  end)

  it("does not hold up the loop", function()
    local here <close> = ran()
    local r, db = open(here)
    r:value(TEST, "slow", 1)
    -- a fixed number of rows, more of them until the loop had time for something else meanwhile
    local n, ticks = 100000, 0
    repeat
      local over, before = false, ticks
      n = n * 4
      flow.gather {
        function() r:value(TEST, "slow", n) over = true end,
        function()
          repeat
            flow.sleep(0.001)
            ticks = ticks + 1
          until over
        end,
      }
      ticks = ticks - before
    until ticks > 20 or n > 1e9
    assert.is_true(ticks > 20)
    r:close()
    db:close()
  end)

  it("answers others while one question takes long, where that was asked so", function()
    local here <close> = ran()
    local r, db = open(here)
    r:value(TEST, "slow", 1)
    local n, quick = 100000, 0
    repeat
      local over, before = false, quick
      n = n * 4
      flow.gather {
        function() r:slowly(TEST, "slow", n) over = true end,
        function()
          repeat
            r:value(ASKS, "runs", {})
            quick = quick + 1
          until over
        end,
      }
      quick = quick - before
    until quick > 5 or n > 1e9
    assert.is_true(quick > 5)
    r:close()
    db:close()
  end)

  it("refuses what is too much to wait, and what comes after the end", function()
    local here <close> = ran()
    local r, db = open(here, { most = 2 })
    local refused = 0
    local function one()
      local ok, problem = pcall(r.value, r, TEST, "slow", 100000)
      if not ok then
        assert.equal("too_busy", problem.code)
        refused = refused + 1
      end
    end
    flow.gather { one, one, one, one, one }
    assert.equal(3, refused)
    assert.equal(100000, r:value(TEST, "slow", 100000))
    r:close()
    fails("draining", r.value, r, TEST, "slow", 1)
    db:close()
  end)

  it("reads a store in memory on the loop, which alone has it", function()
    local rt = flow.runtime { store = "memory:" }
    local db = core.store("memory:", "own")
    local r = reads.open(db)
    assert.is_nil(r.pool)
    assert.equal('"xx"', r:text(TEST, "many", 2))
    fails("store_error", r.text, r, ASKS, "runs", {})
    r:close()
    db:close()
    rt:close()
  end)

  it("notices what others change", function()
    local here <close> = ran()
    local r, db = open(here)
    local at, woken = r:value("orrery.serve.reads", "change"), false
    flow.gather {
      function() r:changed(at, 60) woken = true end,
      function()
        assert.is_false(woken)
        here:ends(0, "run", "a.lua")
        here:until_true(function() return woken end)
      end,
    }
    assert.is_true(r:value("orrery.serve.reads", "change") ~= at)
    r:close()
    db:close()
  end)
end)

-- ---- streams ------------------------------------------------------------------------------------

-- A request whose client reads until it has had enough, or leaves.
local function client(last, on_event)
  local made = { events = {}, comments = 0, last = last, closed = false }
  local leave
  made.request = { headers = { ["last-event-id"] = last }, stream = function(_, status, headers)
    assert.equal(200, status)
    assert.equal("text/event-stream", headers["content-type"])
    local stream = {}
    function stream.on_close(_, fn) leave = fn end
    function stream.write(_, text)
      for id, data in text:gmatch "id: ([^\n]+)\n(.-)\n" do
        made.last = id
        local event = data:match "^data: (.*)$"
        if event then made.events[#made.events + 1] = json.decode(event) end
      end
      if on_event(made) then
        leave()
        return false
      end
      return true
    end
    function stream.waiting() return 0 end
    function stream.close() made.closed = true end
    return stream
  end }
  return made
end

local function journal_of(db, id)
  return db:records(id, 0, 1000000)
end

local function last_kind(list) return #list > 0 and list[#list].kind end

describe("a stream of events", function()
  local function call(r, made, id, query)
    return { host = { reads = r }, request = made.request, params = { id = id }, query = query or {},
      who = {}, headers = {} }
  end

  it("of a run has each record once, however often its client goes and comes", function()
    local here <close> = ran(60)
    local r, db = open(here)
    local process = here:start { "run", "b.lua" }
    local id
    here:until_true(function()
      local page = r:value("orrery.serve.reads.asks", "runs", {})
      id = #page.runs == 2 and page.runs[1].id
      return id
    end)
    for round = 1, 6 do
      math.randomseed(SEED + round)
      local all, last = {}, nil
      repeat
        local most = math.random(1, 9)
        local made = client(last, function(c)
          return #c.events >= most or last_kind(c.events) == "run_ended"
        end)
        api.run(call(r, made, id))
        table.move(made.events, 1, #made.events, #all + 1, all)
        -- what came in one piece after the client had enough, it has not seen
        last = made.last
      until last_kind(all) == "run_ended"
      for i, event in ipairs(all) do
        assert.equal(i, event.seq, "READS_SEED=" .. SEED)
        assert.equal(id, event.run)
        assert.equal("b", event.workflow)
      end
      assert.equal(#journal_of(db, id), #all)
      assert.matches("^n%d$", all[2].node)
    end
    here:finish(process)
    r:close()
    db:close()
  end)

  it("of all runs has the records of several processes, each once and in the order of its run", function()
    local here <close> = ran()
    local r, db = open(here)
    local from = r:value("orrery.serve.reads.streams", "all", "", {}).place
    local processes = { here:start { "run", "b.lua" }, here:start { "run", "a.lua" },
      here:start { "run", "b.lua" } }
    math.randomseed(SEED)
    local all, ended, last = {}, 0, from
    repeat
      local most = math.random(1, 20)
      local made = client(last, function(c)
        return #c.events >= most or last_kind(c.events) == "run_ended"
      end)
      api.all(call(r, made))
      for _, event in ipairs(made.events) do
        all[event.run] = all[event.run] or {}
        table.insert(all[event.run], event)
        assert.equal(#all[event.run], event.seq, "READS_SEED=" .. SEED)
        ended = ended + (event.kind == "run_ended" and 1 or 0)
      end
      last = made.last
    until ended == 3
    for id, list in pairs(all) do assert.equal(#journal_of(db, id), #list) end
    -- only of whole runs, only of one workflow, once more from there
    local seen = {}
    local made = client(from, function(c)
      seen = c.events
      return last_kind(seen) == "run_ended"
    end)
    local asked = call(r, made, nil, { runs = true })
    asked.who.workflows = { "a" }
    api.all(asked)
    for _, event in ipairs(seen) do
      assert.is_nil(event.node)
      assert.equal("a", event.workflow)
    end
    assert.equal("run_created", seen[1].kind)
    for _, process in ipairs(processes) do here:finish(process) end
    r:close()
    db:close()
  end)

  it("is a problem where its place is none, and ends with its run", function()
    local here <close> = ran()
    local r, db = open(here)
    local id = r:value("orrery.serve.reads.asks", "runs", {}).runs[1].id
    for _, wrong in ipairs { "x", "-1", "1.5", ("9"):rep(40) } do
      fails("bad_request", api.run, call(r, client(wrong), id))
    end
    for _, wrong in ipairs { "1", "x:1", "1:", ":", "1:-1" } do
      fails("bad_request", api.all, call(r, client(wrong)))
    end
    fails("run_not_found", api.run, call(r, client(), "ffff"))
    local made = client(nil, function(c)
      if last_kind(c.events) == "run_ended" then db:change { { "DELETE FROM runs" } } end
    end)
    api.run(call(r, made, id))
    assert.is_true(made.closed)
    r:close()
    db:close()
  end)
end)

describe("a snapshot of a store", function()
  it("shows one moment, whatever others write meanwhile, and ends also where its function fails", function()
    local here <close> = ran()
    local db <close> = core.store("sqlite:" .. here.db)
    local other <close> = core.store("sqlite:" .. here.db)
    local function runs() return db:row("store_runs").runs end
    local a, b, c, d = db:snapshot(function(x, ...)
      local before = runs()
      other:change { { "DELETE FROM runs" } }
      return before, db:snapshot(runs), x, ...
    end, "x", nil, 3)
    assert.same({ 1, 1, "x", nil }, { a, b, c, d })
    assert.equal(0, runs())
    local ok, problem = pcall(db.snapshot, db, function() error { code = "mine" } end)
    assert.same({ false, "mine" }, { ok, problem.code })
    assert.equal(0, db:snapshot(runs))
    assert.is_nil(db:records("0193f0e2-0000-7000-8000-000000000001", 0, 1))
    assert.is_nil(db:records("no id", 0, 1))
  end)
end)
