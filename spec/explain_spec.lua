-- `orrery run -d explain` and what a store tells of itself. Runs have virtual time, so that every
-- line has its exact one.
local board_of = require "orrery.cli.display.board"
local command = require "spec.support.command"
local compile = require "orrery.definition.compile"
local explain = require "orrery.cli.display.explain"
local flow = require "orrery"
local golden = require "spec.golden.compare"
local term = require "orrery.cli.display.term"

local runtime -- of the run that is explained

local function silent() return {}, 0 end

-- Calls fn when the turn of the loop is over, as the command does.
local function later(fn)
  local idle = require("luv").new_idle()
  idle:unref()
  idle:start(function()
    idle:close()
    fn()
  end)
end

-- Lets the workflow run to its end and returns what was explained.
local function explained(w)
  local rt = flow.runtime { clock = "virtual" }
  runtime = rt
  local compiled, text, run = assert(compile.workflow(w)), {}, nil
  local board = board_of.new { nodes = #compiled.plan, name = compiled.name }
  local watcher = explain.new(board, { def = compiled.def, run = function() return run end,
    now = function() return rt:now() end, write = function(line) text[#text + 1] = line end,
    traced = silent, later = later })
  run = flow.start(w, { runtime = rt, on_event = watcher.take })
  rt:wait(run)
  watcher.finish(run, { now = function() return rt:now() end, paint = term.painter(false) })
  return table.concat(text), run
end

-- A node that keeps its places while it takes so long.
local function long(duration, keys)
  local other = flow.workflow { name = "other" }
  other.nap = flow.delay { duration }
  local node = { run = function() runtime:wait(flow.start(other, { runtime = runtime })) end }
  for key, value in pairs(keys or {}) do node[key] = value end
  return node
end

local function nothing() end

local function has(text, part) assert.truthy(text:find(part, 1, true), text) end

describe("an explained run", function()
  it("says which dependency made each join hold", function()
    local w = flow.workflow { name = "joins", on_error = "continue" }
    w.quick = { run = function(ctx) ctx:sleep(1) end }
    w.slow = { run = function(ctx) ctx:sleep(2) end }
    w.bad = { after = "quick", run = function() error("it broke", 0) end,
      retry = { max = 2, delay = "500ms", jitter = "none" } }
    w.both = { after = { "slow", "quick" }, run = nothing }
    w.first = { after = { "slow", "quick" }, join = "any", run = nothing }
    w.two = { after = { "slow", "quick", "bad" }, join = { need = 2 }, run = nothing }
    w.mend = { after = "bad", join = "failed", run = nothing }
    w.useless = { after = "slow", join = "failed", run = nothing }
    w.tidy = { after = { "bad", "both" }, join = "done", run = nothing }
    w.never = { after = "slow", when = "${false}", run = nothing }
    w.after_never = { after = "never", run = nothing }
    w.items = { after = "slow", each = { "a", "b" }, run = nothing }
    w.rounds = { after = "slow", loop = { max = 3, ["until"] = "output == 2" },
      run = function(ctx) return ctx.iteration end }
    w.other = { run = function() error("no", 0) end, fallback = function() end }
    golden("explain_joins.txt", (explained(w)))
  end)

  it("says what a node waits for, as the engine does", function()
    local w = flow.workflow { name = "waits", concurrency = 2, on_error = "continue" }
    flow.pool("slots", { max = 1 })
    flow.pool("rated", { rate = "1/2s" })
    flow.pool("closed", { max = 0 })
    w.holder = long("3s", { pool = "slots" })
    w.next = long("1s", { pool = "slots" })
    w.hop = { run = nothing, pool = "rated" }
    w.step = { run = nothing, pool = "rated" }
    w.asks = flow.wait { signal = "go", timeout = "10s" }
    w.nobody = { run = nothing, pool = "closed" }
    golden("explain_waits.txt", (explained(w)))
  end)

  it("says when the run has no place, and which breaker is open", function()
    local w = flow.workflow { name = "limits", concurrency = 1, on_error = "continue" }
    w.a = long "1s"
    w.b = { run = nothing, priority = "low" }
    local text = explained(w)
    has(text, "b  waits for a place: the run's concurrency is 1, and so many run\n")
    has(text, "b  started: it depends on nothing; was ready for ")
    has(text, ", waiting for a place in the run\n")
    local x = flow.workflow { name = "guarded", on_error = "continue" }
    x.breaks = { retry = { max = 2, delay = "1s", jitter = "none" },
      breaker = { name = "mirror", threshold = 1, cooldown = "5s" }, run = function() error("down", 0) end }
    text = explained(x)
    has(text, "breaker mirror  opened, for 5.0 s")
    has(text, "breaks  waits for breaker mirror, 4.0 s\n")
    has(text, "breaks  started, attempt 2: breaker 'mirror' lets it through after 4.0 s\n")
  end)

  it("says why nodes are cancelled", function()
    local w = flow.workflow { name = "stopped" }
    w.fails = { run = function(ctx)
      ctx:sleep(1)
      error("it broke", 0)
    end }
    w.beside = { run = function(ctx) ctx:sleep(60) end }
    local text, run = explained(w)
    assert.equal("failed", run.state)
    has(text, "stopped  stops: failure: a node failed\n")
    has(text, "beside  cancelled: the run is ending, because a node failed\n")
  end)

  it("puts what a store did where it belongs", function()
    local board, text, flush = board_of.new { nodes = 1, name = "w" }, {}, nil
    local lines = { { time = 11, topic = "store", text = "commit to ticket 1, of run r1, 2 ms" } }
    local watcher = explain.new(board, { def = { nodes = { { name = "a" } } }, run = function() end,
      now = function() return 12 end, write = function(line) text[#text + 1] = line end,
      later = function(fn) flush = fn end,
      traced = function()
        local told = lines
        lines = {}
        return told, #told > 0 and 3 or 0
      end })
    watcher.take { event = "run_started", run = "r1", workflow = "w", time = 10, nodes = 1 }
    watcher.take { event = "node_ready", run = "r1", workflow = "w", node = "a", time = 10 }
    watcher.take { event = "node_started", run = "r1", workflow = "w", node = "a", time = 10.5, attempt = 1 }
    watcher.take { event = "node_completed", run = "r1", workflow = "w", node = "a",
      time = 11.5, seconds = 1 }
    watcher.take { event = "node_started", run = "r2", workflow = "child", node = "b",
      time = 11.6, attempt = 1 }
    assert.same({}, text)
    flush()
    assert.equal([[
   0.000  w  started: 1 node
   0.500  a  started: it depends on nothing
   1.000  store  3 lines were lost
   1.000  store  commit to ticket 1, of this run, 2 ms
   1.500  a  completed in 1.0 s
   1.600  child/b  started
]], table.concat(text))
    watcher.rest()
    assert.equal(1, #text)
  end)
end)

local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "pair", output = "${nodes.b}" }
w.a = { run = function() return 1 end }
w.b = { after = "a", run = function() return 2 end }
return w]]

local WAITS = [[
local flow = require "orrery"
local w = flow.workflow { name = "w" }
w.ask = flow.wait { signal = "go" }
return w]]
local PATH = command.path:match "^/" and command.path or '"$OLD"/' .. command.path

-- `orrery run pair.lua` with these arguments.
local function pair(...) return command.run_with({ ["pair.lua"] = FLOW }, { "run", "pair.lua", ... }) end

describe("orrery run -d", function()
  it("explains on the standard error, and prints the output alone", function()
    local done = pair("-d", "explain", "--store", "memory:")
    assert.equal(0, done.code, done.err)
    assert.equal("2\n", done.out)
    has(done.err, "a  started: it depends on nothing\n")
    has(done.err, "b  started: a completed\n")
    assert.falsy(done.err:find("store  ", 1, true), done.err)
    assert.falsy(done.err:find "\27")
  end)

  it("shows the commits of the store", function()
    local done = pair("--debug", "explain", "--store", "sqlite:r.db")
    assert.equal(0, done.code, done.err)
    local pattern = "store  commit to ticket %d+: %d+ bytes, %d+ records?[^\n]*, "
      .. "1 new run, of this run, [%d.]+ ms\n"
    assert.truthy(done.err:find(pattern), done.err)
    has(done.err, "1 run let go, of this run")
  end)

  it("shows that it takes a run over", function()
    local done = command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir; run=%s
      printf '%%s' %s >w.lua; $run run w.lua --store r.db --key k --no-wait -q 2>first
      $run run w.lua --store r.db --key k --no-wait -d explain]]):format(PATH, command.quote(WAITS)))
    assert.equal(5, done.code, done.err)
    assert.truthy(done.err:find "store  claim of this run, [%d.]+ ms\n", done.err)
    has(done.err, "w  goes on: 1 node\n")
  end)

  for _, case in ipairs {
    { { "-d", "everything" }, "no topic is called 'everything'; expected explain" },
    { { "-d", "explain", "--json" }, "-d explain cannot be had here: --json" },
    { { "-d", "explain", "-q" }, "-d explain cannot be had here: -q" },
    { { "-d", "explain", "--dry" }, "-d explain cannot be had here: --dry" },
  } do
    it("refuses " .. table.concat(case[1], " "), function()
      local done = pair(table.unpack(case[1]))
      assert.equal(2, done.code)
      assert.equal("", done.out)
      has(done.err, case[2])
    end)
  end
end)

describe("ORRERY_TRACE=store", function()
  local function traced()
    return command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir
      printf '%%s' %s >w.lua; unset ORRERY_STORE; id=0193f0e2-0000-7000-8000-000000000001; run=%s
      $run run w.lua --store r.db --id $id --no-wait -q 2>first; export ORRERY_TRACE=store
      $run signal $id go --store r.db; $run resume $id --store r.db -q]]):format(command.quote(WAITS), PATH))
  end

  it("tells of commits, claims and messages, a line each", function()
    local done = traced()
    assert.equal(0, done.code, done.err)
    local run = "run 0193f0e2%-0000%-7000%-8000%-000000000001"
    for _, pattern in ipairs { "store message '[^']+' sent to " .. run .. ", [%d.]+ ms\n",
      "store claim of " .. run .. ", [%d.]+ ms\n", "store message 1 is taken with the next commit\n",
      "store commit to ticket %d+: %d+ bytes, %d+ records[^\n]*, [%d.]+ ms\n",
      "store commit[^\n]* 1 run let go, of " .. run } do
      assert.truthy(done.err:find(pattern), pattern .. "\n" .. done.err)
    end
  end)

  it("goes on beside -d explain", function()
    local done = command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir; run=%s
      printf '%%s' %s >pair.lua; ORRERY_TRACE=store,core $run run pair.lua -d explain --store r.db]]):format(
      PATH, command.quote(FLOW)))
    assert.equal(0, done.code, done.err)
    assert.truthy(done.err:find "\nstore commit ", done.err)
    assert.truthy(done.err:find " store  commit ", done.err)
    assert.truthy(done.err:find "\ncore run ", done.err)
    assert.falsy(done.err:find " core  ", done.err)
  end)
end)

describe("core.trace", function()
  local function script(text) return command.run_with({ ["s.lua"] = text }, { "s.lua" }) end

  it("keeps the latest lines, and counts those that were lost", function()
    local done = script [[
      local core, flow = require "orrery.core", require "orrery"
      assert(#core.traced() == 0)
      core.trace "core"
      local w = flow.workflow { name = "w" }
      for i = 1, 600 do w["n" .. i] = { run = function() end } end
      local before = os.time()
      flow.run(w)
      local lines, lost = core.traced()
      assert(#lines == 512 and lost == 601 - 512, #lines .. " and " .. lost)
      for i, line in ipairs(lines) do
        assert(line.topic == "core" and line.time >= before and line.time < before + 600, line.text)
        assert(line.text:find(i < 512 and ": start node n" .. i + 89 .. "," or ": end"), line.text)
      end
      lines, lost = core.traced()
      assert(#lines == 0 and lost == 0)
      print(pcall(core.trace, "core,nothing"))]]
    assert.equal(0, done.code, done.err)
    assert.equal("false\tno topic of a trace is called nothing\n", done.out)
    assert.equal("", done.err)
  end)
end)
