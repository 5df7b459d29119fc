-- Handlers in workers, `strategy = "thread"`: real threads of the command itself.
local story = require "spec.support.story"

local HEAD = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = "${nodes.a}" }
]]

local function output(body, lines)
  local done = story.tell(HEAD .. body .. "\nreturn w",
    lines or [[orrery run w.lua -q --store memory:; echo "code $?"]])
  return done.out:gsub("%s", ""), done
end

describe("a handler in a worker", function()
  it("runs in another thread than the loop, and gets what it would get there", function()
    local out = output [[
      w.here = { run = function() return io.open("/proc/thread-self/stat"):read("n") end }
      w.a = { after = "here", strategy = "thread", run = function(ctx, inputs)
        local own = io.open("/proc/thread-self/stat"):read("n")
        return { own ~= inputs.here, ctx.node, ctx.attempt, ctx.run.workflow, ctx.nodes.here == inputs.here,
          ctx.input == nil, ctx.states.here, pairs(ctx.states) and (function()
            local names = {}
            for name, state in pairs(ctx.states) do names[#names + 1] = name .. state end
            table.sort(names)
            return table.concat(names, ",")
          end)(), ctx.inputs.here == own }
      end }]]
    assert.equal('[true,"a",1,"w",true,true,"completed","arunning,herecompleted",false]code0', out)
  end)

  it("takes and returns any plain data as it is", function()
    local out = output [[
      w.x = { run = function() return { i = 1, f = 1.0, b = "\xff\0", n = flow.json.null, e = {},
        a = flow.json.array {}, big = math.mininteger } end }
      w.y = { after = "x", strategy = "thread", run = function(_, inputs) return inputs.x end }
      w.a = { after = { "x", "y" }, run = function(_, inputs)
        local function text(v) return flow.json.encode(v, { binary = true }) end
        return text(inputs.x) == text(inputs.y)
      end }]]
    assert.equal("truecode0", out)
  end)

  it("is told the item, and so is each of many", function()
    local out = output [[
      w.a = { each = { 3, 1, 2 }, strategy = "thread", run = function(ctx) return ctx.item * 10 + ctx.index end }]]
    assert.equal("[31,12,23]code0", out)
  end)

  it("may be of a node type, whose config has been resolved", function()
    local out = output [[
      local twice = flow.type { name = "test.twice", config = flow.schema { text = "string" }, strategy = "thread",
        run = function(ctx, config, inputs) return config.text .. config.text .. inputs.x end }
      w.x = { run = function() return "x" end }
      w.a = twice { text = "<${nodes.x}>" }]]
    assert.equal('"<x><x>x"code0', out)
  end)

  it("chooses an outcome", function()
    local out = output [[
      local way = flow.type { name = "test.way", config = flow.schema { to = "string" }, outcomes = { "l", "r" },
        run = function(_, config) return flow.outcome(config.to, 1) end }
      w.way = way { to = "r", strategy = "thread" }
      w.l = { after = "way:l", run = function() return "l" end }
      w.r = { after = "way:r", run = function() return "r" end }
      w.a = { after = { "l", "r" }, join = "any", run = function(_, inputs) return inputs.r end }]]
    assert.equal('"r"code0', out)
  end)

  it("logs, reports progress and emits by way of the loop", function()
    local _, done = output([[
      w.a = { strategy = "thread", run = function(ctx)
        ctx:log("warn", "careful", { n = 1 }) ctx:progress(0.5, "half") ctx:emit("mine", { 2 }) ctx:heartbeat()
      end }]], "orrery run w.lua --store memory: --json")
    story.has(done, '"fields":{"n":1},"level":"warn","message":"careful"', '"fraction":0.5,"message":"half"',
      '"data":[2],"event":"mine"')
  end)

  it("waits for signals, and keeps its steps over a kill", function()
    local _, done = output([[
      w.a = { strategy = "thread", run = function(ctx)
        local n = ctx:step("count", function() io.open("did", "a"):write("x\n"):close() return 20 end)
        local got = ctx:wait("go")
        return { n + got.n, ctx:step("last", function(more) return more end, 7), ctx:now() > 0 }
      end }]], [[orrery run w.lua --store sqlite:s.db >out 2>&1 & await out 'waits'; kill -9 $(pid_of s.db)
        wait 2>/dev/null; id=$(orrery runs --json --store s.db | grep -o '"id":"[^"]*"' | cut -d'"' -f4)
        orrery signal $id go '{"n": 1}' --store sqlite:s.db
        resume s.db; orrery show --store sqlite:s.db --json | grep -o '"output":\[.*\]'; wc -l <did]])
    story.has(done, "[21,7,true]", "\n1\n")
  end)

  it("gathers, and each function has steps and waits of its own", function()
    local out = output [[
      w.a = { strategy = "thread", run = function(ctx)
        local order = {}
        local r = flow.gather {
          function() ctx:sleep(0.2) order[#order + 1] = 1 return ctx:step("s", function() return 1 end) end,
          function() order[#order + 1] = 2 return ctx:step("s", function() return 2 end) end,
        }
        local ok, e = pcall(flow.gather, { function() ctx:sleep(60) end, function() error { code = "x", message = "y" } end })
        return { r, order, ok, e.code }
      end }]]
    assert.equal('[[1,2],[2,1],false,"x"]code0', out)
  end)

  it("fails as it would on the loop", function()
    local _, done = output([[
      w.a = { strategy = "thread", retry = { max = 1, delay = 0 }, run = function(ctx)
        if ctx.attempt == 1 then flow.error { code = "mine", message = "no", details = { n = 1 }, retryable = true } end
        local t; return t.x
      end }]], "orrery run w.lua --store memory: --json")
    story.has(done, '"code":"mine","details":{"n":1},"message":"no"', '"code":"handler_error"',
      "w.lua:5: attempt to index a nil value (local 't')", "w.lua:5: in function")
  end)

  it("calls workflows that are values of its file", function()
    local out = output [[
      local c = flow.workflow { name = "child", input = { n = "integer" }, output = "${nodes.x}" }
      c.x = { run = function(ctx) return ctx.input.n * 2 end }
      local same = flow.workflow { name = "child", output = "${nodes.x}" }
      same.x = { strategy = "thread", run = function() return "the other" end }
      w.a = { strategy = "thread", run = function(ctx)
        return { ctx:call(c, { n = 21 }), ctx:call(same), ctx:call("path.lua") }
      end }
      local file = io.open("path.lua", "w")
      file:write "local w = require 'orrery'.workflow { name = 'p', output = '${nodes.x}' }\n"
      file:write "w.x = { run = function() return 3 end } return w"
      file:close()]]
    assert.equal('[42,"theother",3]code0', out)
  end)

  it("calls no workflow that it has made itself, which the loop does not have", function()
    local _, done = output [[
      w.a = { strategy = "thread", run = function(ctx) return ctx:call(flow.workflow { name = "own" }) end }]]
    story.has(done, 'ctx:call in a worker: workflow "own" was made by the handler itself; make it where '
      .. "the file is loaded, or write it to a file and give its path")
    _, done = output [[w.a = { strategy = "thread", run = function(ctx) return ctx:call(1) end }]]
    story.has(done, "ctx:call in a worker: it is no workflow and no path of one")
  end)

  it("that asks its inputs for what is no dependency fails as on the loop", function()
    local body = [[
      w.x = { run = function() end }
      w.y = { run = function() return 1 end }
      w.a = { after = { "x", "y" }, strategy = "%s", run = function(ctx, inputs)
        local nope = select(2, pcall(function() return inputs.nope end))
        local more = select(2, pcall(function() return ctx.inputs.more end))
        return { tostring(nope), tostring(more), inputs.x == nil, inputs.y, ctx.inputs.x == nil, ctx.inputs.y }
      end }]]
    local out = output(body:format "thread")
    assert.equal('["w.lua:6:inputs.nope:nodeadoesnotdependonit;itsdependenciesarex,y",'
      .. '"w.lua:7:inputs.more:nodeadoesnotdependonit;itsdependenciesarex,y",true,1,true,1]code0', out)
    assert.equal(out, (output(body:format "direct")))
  end)

  it("has its warnings in the log of its run, those of its file's loading as well", function()
    local _, done = output([[
      warn("read ", "again")
      w.a = { strategy = "thread", run = function()
        warn "@off" warn "not this" warn "@on"
        setmetatable({}, { __gc = function() error "in a finalizer" end })
        collectgarbage()
        warn("by ", "hand")
      end }]], "orrery run w.lua -q --store sqlite:s.db; orrery logs --store sqlite:s.db")
    story.has(done, "warn", "read again", "in a finalizer", "by hand")
    assert.falsy(done.out:find("not this", 1, true))
  end)

  it("gets secrets, and neither those nor what it looks up itself is kept or shown", function()
    local _, done = output([[
      local typed = flow.type { name = "test.typed", config = flow.schema { token = "string" }, strategy = "thread",
        run = function(ctx, config)
          ctx:log("info", "given " .. config.token)
          return { #config.token, config.token }
        end }
      w.typed = typed { token = flow.secret "GIVEN" }
      w.own = { after = "typed", strategy = "thread", run = function(ctx)
        local own = flow.secret("OWN"):value()
        ctx:log("info", "own", { own = own }) ctx:progress(0.5, own) ctx:emit("mine", own)
        warn(own)
        local step = ctx:step("keep", function() return own end)
        local ok, e = pcall(ctx.step, ctx, "fail", function() error(own, 0) end)
        return { own, step == own, #own, e.message ~= nil }
      end }
      w.a = { after = "own", strategy = "thread", on_error = "ignore", run = function()
        error(flow.secret("OWN"):value())
      end }]], [=[export GIVEN=given-s3cr3t-of-nine OWN=own-s3cr3t-of-them
        orrery run w.lua --store sqlite:s.db --json >out 2>&1; orrery show --store sqlite:s.db --json >>out 2>&1
        grep -c 's3cr3t' out; cat s.db* | grep -ac 's3cr3t-of'; grep -o '"output":\[[^]]*\]' out | sort -u]=])
    assert.equal('0\n0\n"output":["•••",true,18,true]\n"output":[20,"•••"]\n', done.out, done.err)
  end)

  it("fails where the function of its step does", function()
    local out = output [[
      w.a = { strategy = "thread", run = function(ctx)
        local ok, e = pcall(ctx.step, ctx, "fails", function() flow.error { code = "mine", message = "x" } end)
        return { ok, e.code }
      end }]]
    assert.equal('[false,"mine"]code0', out)
  end)

  it("is handed large values, and hands them back", function()
    local out = output [[
      w.big = { run = function() return { text = ("x"):rep(5e6), list = { ("y"):rep(100):byte(1, -1) } } end }
      w.on = { strategy = "thread", run = function(_, inputs) return inputs.big end, after = "big" }
      w.a = { after = "on", strategy = "thread", run = function(ctx, inputs)
        local again = ctx.nodes.big
        return { #inputs.on.text, inputs.on.text == again.text, #again.list, again.list[100] }
      end }]]
    assert.equal("[5000000,true,100,121]code0", out)
  end)

  it("that returns no plain data fails its node", function()
    local _, done = output "w.a = { strategy = 'thread', run = function() return print end }"
    story.has(done, "output is a function; a node's output is plain data", "invalid_output")
  end)
end)

describe("a worker", function()
  it("whose handler runs away fails that node only, however it was written", function()
    local _, done = output [[
      w.plain = { strategy = "thread", timeout = 0.3, on_error = "ignore", run = function() while true do end end }
      w.caught = { strategy = "thread", timeout = 0.3, on_error = "ignore", run = function()
        while true do pcall(function() while true do end end) end
      end }
      w.a = { after = { "plain", "caught" }, strategy = "thread", run = function(ctx)
        return { ctx.errors.plain.code, ctx.errors.caught.code }
      end }]]
    assert.equal('["timeout","timeout"]code0', (done.out:gsub("%s", "")))
  end)

  it("whose handler runs away is stopped by a cancel", function()
    local _, done = output([[
      w.a = { strategy = "thread", run = function(ctx) io.open("did", "w"):write "x" :close() while true do end end }]],
      [[env --default-signal=INT timeout 60 "$command" run w.lua --store memory: >out 2>&1 & pid=$!
        await did x; pkill -INT -P $pid; wait $pid; echo "code $?"; cat out]])
    story.has(done, "code 3", "1 cancelled")
  end)

  it("that has used up its memory fails that node only", function()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.a}" }
      w.eats = { strategy = "thread", on_error = "ignore", run = function()
        local t = {}
        for i = 1, 1e8 do t[i] = ("x"):rep(100) .. i end
      end }
      w.a = { after = "eats", strategy = "thread", run = function(ctx) return ctx.errors.eats.code end }
      return w]], [[cat >m.lua <<'END'
      local flow = require "orrery"
      local rt = flow.runtime { workers = { max = 1, memory = 16 * 1024 * 1024 } }
      local ran = flow.run(flow.load "w.lua", { runtime = rt })
      print(ran.output, rt:workers().done, rt:workers().failed)
END
      orrery m.lua]])
    assert.equal('out_of_memory\t1\t1\n', done.out, done.err)
  end)

  it("is one of several that run side by side", function()
    -- each goes on only once the other has begun: on one thread neither would end
    local out = output [[
      local function meet(own, other)
        return function()
          io.open(own, "w"):close()
          while not io.open(other) do end
          return own
        end
      end
      w.x = { strategy = "thread", timeout = 60, run = meet("x", "y") }
      w.y = { strategy = "thread", timeout = 60, run = meet("y", "x") }
      w.a = { after = { "x", "y" }, run = function(_, inputs) return inputs.x .. inputs.y end }]]
    assert.equal('"xy"code0', out)
  end)

  it("leaves the loop free", function()
    local out = output [[
      w.busy = { strategy = "thread", run = function() while not io.open "go" do end return 1 end }
      w.free = { run = function(ctx) ctx:sleep(0.05) io.open("go", "w"):close() return 2 end }
      w.a = { after = { "busy", "free" }, run = function(_, inputs) return inputs.busy + inputs.free end }]]
    assert.equal("3code0", out)
  end)

  it("ends when it has had nothing to do for a while, and another comes when there is something", function()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.a = { each = { 1, 2, 3 }, strategy = "thread", run = function() return 1 end }
      return w]], [[cat >m.lua <<'END'
      local flow = require "orrery"
      local rt = flow.runtime { workers = { min = 1, max = 3, idle = 0.05 } }
      local w = flow.load "w.lua"
      for round = 1, 2 do
        assert(flow.run(w, { runtime = rt }).state == "completed")
        for _ = 1, 6000 do
          if rt:workers().threads == 1 then break end
          flow.sleep(0.01)
        end
        local s = rt:workers()
        print(s.threads, s.done, s.failed, s.queued, s.live, s.min, s.max, s.most_threads <= 3)
      end
END
      orrery m.lua]])
    assert.equal("1\t3\t0\t0\t0\t1\t3\ttrue\n1\t6\t0\t0\t0\t1\t3\ttrue\n", done.out, done.err)
  end)

  it("loads a workflow's file, so one that a script has made has none", function()
    local done = story.tell("", [[cat >m.lua <<'END'
      local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.a = { strategy = "thread", run = function() return 1 end }
      print(flow.run(w).error.message)
END
      orrery m.lua]])
    assert.matches('a worker loads the workflow\'s file, workflow "w" was made by a script',
      done.out, 1, true)
  end)

  it("waits on the run's clock, which is virtual where the run's is", function()
    local _, done = output([[
      w.a = { strategy = "thread", run = function(ctx) local t = ctx:now() ctx:sleep("1d") return ctx:now() - t end }]],
      [[orrery run w.lua -q --clock virtual --store memory:; echo "code $?"]])
    assert.matches("^86400%.?%d*\ncode 0\n$", done.out)
  end)

  it("is asked for by words that are checked", function()
    local _, done = output([[w.a = { strategy = "fork", run = print }]], "orrery check w.lua")
    story.has(done, 'node "a": strategy: expected "direct" (the default) or "thread" (in a worker), '
      .. 'got the string "fork"')
  end)
end)
