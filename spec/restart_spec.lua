-- ctx:restart: a handler ends and begins anew, without its steps.

local command = require "spec.support.command"
local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"

local KINDS = {
  ["in memory"] = {}, ["with a journal"] = { journal = true, clock = "virtual" },
}

local function once(run, options, keys)
  local w = flow.workflow { name = "anew", output = "${nodes.a}" }
  local node = { run = run }
  for key, value in pairs(keys or {}) do node[key] = value end
  w.a = node
  return flow.run(w, options)
end

local function message_of(run)
  assert.equal("failed", run.state)
  return run.error.message
end

for kind, options in pairs(KINDS) do
  describe("ctx:restart " .. kind, function()
    it("begins the handler anew with the value, in the same attempt", function()
      local seen, keys = {}, {}
      local run = once(function(ctx)
        seen[#seen + 1] = { ctx.restarted or false, ctx.attempt }
        keys[ctx.idempotency_key] = true
        local n = ctx:step("count", function() return #seen end)
        ctx:sleep(0.001)
        if n == 3 then return "done" end
        ctx:restart { n = n }
      end, options)
      assert.equal("done", run.output)
      assert.same({ { false, 1 }, { { n = 1 }, 1 }, { { n = 2 }, 1 } }, seen)
      assert.is_nil(next(keys, (next(keys))))
    end)

    it("gives nil where it is called without a value, and a copy of one", function()
      local value, n = { list = { 1 } }, 0
      local run = once(function(ctx)
        n = n + 1
        if n == 1 then ctx:restart(value) end
        if n == 2 then
          assert.are_not.equal(value, ctx.restarted)
          ctx.restarted.list[1] = 2
          assert.same({ list = { 1 } }, ctx.restarted)
          ctx:restart()
        end
        return ctx.restarted == nil
      end, options)
      assert.is_true(run.output)
    end)

    it("begins anew where the handler catches what it raises", function()
      local caught
      local run = once(function(ctx)
        if ctx.restarted then return "anew" end
        caught = select(2, pcall(ctx.restart, ctx, 1))
        return "not this"
      end, options)
      assert.equal("anew", run.output)
      assert.equal("cancelled", caught.code)
      assert.matches("begins anew", caught.message)
    end)

    it("is where the next attempt begins, and not the next iteration", function()
      local seen = {}
      once(function(ctx)
        seen[#seen + 1] = { ctx.iteration, ctx.attempt, ctx.restarted or 0 }
        if not ctx.restarted then ctx:restart(ctx.iteration * 10) end
        if ctx.attempt == 1 then error("again", 0) end
      end, options, { retry = { max = 1, delay = "1ms", jitter = "none" }, loop = { times = 2 } })
      assert.same({ { 1, 1, 0 }, { 1, 1, 10 }, { 1, 2, 10 } }, { seen[1], seen[2], seen[3] })
      assert.same({ { 2, 1, 0 }, { 2, 1, 20 }, { 2, 2, 20 } }, { seen[4], seen[5], seen[6] })
    end)

    it("goes on with chance and children of its own", function()
      local child = flow.workflow { name = "child", output = "${nodes.c}" }
      child.c = { run = function(ctx) return ctx.run.id end }
      local chances, ids = {}, {}
      once(function(ctx)
        chances[ctx:random(1 << 40)], ids[ctx:call(child)] = true, true
        if (ctx.restarted or 0) < 4 then ctx:restart((ctx.restarted or 0) + 1) end
      end, options)
      local function count(t)
        local n = 0
        for _ in pairs(t) do n = n + 1 end
        return n
      end
      assert.same({ 5, 5 }, { count(chances), count(ids) })
    end)

    it("is refused inside a step, a gather, a fallback, and with what is no data", function()
      assert.matches("cannot be used inside ctx:step", message_of(once(function(ctx)
        ctx:step("s", function() ctx:restart(1) end)
      end, options)))
      assert.matches("inside flow.gather", message_of(once(function(ctx)
        flow.gather { function() ctx:restart(1) end }
      end, options)))
      assert.matches("not in its fallback", message_of(once(function() error("no", 0) end, options,
        { fallback = function(ctx) ctx:restart(1) end })))
      assert.matches("plain data", message_of(once(function(ctx) ctx:restart { print } end, options)))
    end)

    it("keeps memory flat over 10,000 times", function()
      local early, late
      local run = once(function(ctx)
        local n = ctx.restarted or 0
        if n == 2000 or n == 10000 then
          collectgarbage()
          collectgarbage()
          early, late = early or collectgarbage "count", collectgarbage "count"
        end
        ctx:step("one", function() return n end)
        ctx:step("two", function() return ("x"):rep(200) end)
        if n == 10000 then return n end
        ctx:restart(n + 1)
      end, options)
      assert.equal(10000, run.output, run.error and run.error.message)
      -- a step that is kept would take some hundred bytes: more than a megabyte for these
      assert.is_true(late - early < 500, ("%.0f KiB more"):format(late - early))
    end)
  end)
end

describe("ctx:restart", function()
  it("keeps the node's timeout counting", function()
    local n = 0
    local run = once(function(ctx)
      n = n + 1
      flow.await(function(resume) uv.new_timer():start(1000, 0, resume) end)
      if n < 20 then ctx:restart(n) end
    end, { clock = "virtual", journal = true }, { timeout = "5s" })
    assert.equal("failed", run.state)
    assert.equal("timeout", run.error.code)
    assert.is_true(n >= 5 and n <= 6, n)
  end)

  it("is one record of the journal", function()
    local run = once(function(ctx)
      if not ctx.restarted then ctx:restart { 1 } end
    end, { clock = "virtual", journal = true })
    local found = {}
    for _, record in ipairs(run:journal()) do
      if record.kind == "step" then found[#found + 1] = record.value end
    end
    assert.same({ { k = "restart", o = 1, n = "restart", v = { 1 } } }, found)
  end)
end)

local PLACES = { "at its beginning", "after a step", "after a sleep", "while its record is written" }

describe("a handler that began anew", function()
  local function run_one(here, at, last)
    local line = "{ timeout 120 %s spec/support/restarting.lua sqlite:%s %s/did %s %d; } 2>/dev/null"
    local pipe <close> = assert(io.popen(line:format(command.quote(command.path), here.db, here.folder,
      command.quote(at), last or 5)))
    return pipe:read "a"
  end

  for _, at in ipairs(PLACES) do
    it("goes on from its last beginning where the process is killed " .. at, function()
      local here <close> = place.new {}
      assert.equal("", run_one(here, at))
      local before = here:read "did"
      assert.equal("completed\t[15,1]\n", (run_one(here, "nowhere"):gsub("15,2", "15,1")))
      local after = here:read("did"):sub(#before + 1)
      assert.is_nil(after:find "begins [012]\n")
      assert.is_nil(after:find "adds [012]\n")
      local _, added = here:read("did"):gsub("adds 3\n", "")
      assert.equal(1, added)
    end)
  end

  it("has no steps of its lives before in the store, however many they were", function()
    local here <close> = place.new {}
    assert.equal("", run_one(here, "after a step", 1002))
    assert.same({ { ordinal = 2000, name = "restart" }, { ordinal = 2001, name = "add" } },
      here:query("SELECT ordinal, name FROM steps ORDER BY ordinal"))
    local before = here:read "did"
    assert.matches("^completed\t%[502503,%d%]\n$", run_one(here, "nowhere", 1002))
    assert.equal("begins 1000\nbegins 1001\nadds 1001\nbegins 1002\nadds 1002\n",
      here:read("did"):sub(#before + 1))
  end)
end)
