-- Compensations and sagas: what is undone, in which order, with what at hand, and what is reported.
local flow = require "orrery"
local command = require "spec.support.command"
local uv = require "luv"

local function fail(code) flow.error { code = code or "no_stock", message = "gone" } end

local function quiet() end

-- Runs in virtual time; returns the run and its events.
local function run(w, options)
  local reported = {}
  options = options or {}
  options.runtime = options.runtime or flow.runtime { clock = "virtual" }
  function options.on_event(event) reported[#reported + 1] = event end
  return flow.run(w, options), reported
end

local function names(reported, pattern)
  local list = {}
  for _, event in ipairs(reported) do
    if event.event:find(pattern) then
      list[#list + 1] = event.event .. (event.node and " " .. event.node or "")
    end
  end
  return list
end

local function summary(the_run)
  local list = {}
  for i, one in ipairs(the_run:compensations()) do
    list[i] = ("%s%s %s%s"):format(one.node, one.item and "[" .. one.item .. "]" or "", one.state,
      one.error and " " .. one.error.code or "")
  end
  return list
end

local function problems(w)
  local list = {}
  for i, problem in ipairs(flow.check(w)) do list[i] = ("%s: %s"):format(problem.where, problem.message) end
  return list
end

describe("compensate", function()
  it("undoes what completed, from the last to the first, with output, inputs, input and error at hand",
    function()
    local seen = {}
    local w = flow.workflow { name = "order" }
    w.reserve = { run = function() return { id = 7 } end, compensate = function(ctx, inputs)
      seen[#seen + 1] = { ctx.node, ctx.output.id, ctx.uncertain, ctx.error.code, ctx.error.node,
        ctx.input.who, ctx.attempt,
        next(inputs) }
      return "released"
    end }
    w.charge = { after = "reserve", run = function() return 12.5 end,
      compensate = { run = function(ctx, inputs)
      seen[#seen + 1] = { ctx.node, ctx.output, inputs.reserve.id, ctx.nodes.reserve.id }
    end } }
    w.ship = { after = "charge", run = function() fail() end,
      compensate = function() error "it did nothing" end }
    local done, reported = run(w, { input = { who = "ada" } })
    assert.equal("compensated", done.state)
    assert.equal("no_stock", done.error.code)
    assert.equal("ship", done.error.node)
    assert.same({ { "charge", 12.5, 7, 7 }, { "reserve", 7, false, "no_stock", "ship", "ada", 1 } }, seen)
    assert.same({ "charge compensated", "reserve compensated" }, summary(done))
    assert.equal("released", done:compensations()[2].value)
    assert.same({ reserve = "compensated", charge = "compensated", ship = "failed" }, done:states())
    assert.same({ "run_compensating", "node_compensating charge", "node_compensated charge",
      "node_compensating reserve",
      "node_compensated reserve", "run_compensated" }, names(reported, "compensat"))
    assert.same(done:compensations(), reported[#reported].compensations)
    assert.equal("compensated", reported[#reported].state)
  end)

  it("keeps the output of a node apart from what undoing it returned", function()
    local w = flow.workflow {}
    w.a = { run = function() return "made" end, compensate = function() return "unmade" end }
    w.b = { after = "a", run = function() fail() end }
    w.clean = { after = "b", join = "done", run = function(ctx) return ctx.nodes.a end }
    local done = run(w)
    assert.equal("made", done:outputs().clean)
    assert.equal("unmade", done:compensations()[1].value)
  end)

  it("is tried again by its own retry, with attempts of its own and one key for all of them", function()
    local tries, keys, run_key = {}, {}, nil
    local w = flow.workflow {}
    w.a = { run = function(ctx) run_key = ctx.idempotency_key end,
      compensate = { retry = { max = 3, delay = "10s", jitter = "none" },
      run = function(ctx)
        tries[#tries + 1] = ctx.attempt
        keys[ctx.idempotency_key] = true
        if ctx.attempt < 3 then error "busy" end
      end } }
    w.b = { after = "a", run = function() fail() end }
    local done, reported = run(w)
    assert.equal("compensated", done.state)
    assert.same({ 1, 2, 3 }, tries)
    local first, second = next(keys)
    assert.equal(true, second)
    assert.is_nil(next(keys, first))
    assert.not_equal(run_key, first)
    for _, event in ipairs(reported) do
      if event.event == "node_retrying" then assert.is_true(event.compensation) end
    end
  end)

  it("is tried again by the policy for its error, where there is a list", function()
    local function undone(codes)
      local tries, w = 0, flow.workflow {}
      w.a = { run = quiet, compensate = {
        retry = { { on = "busy", max = 2, delay = "10s", jitter = "none", strategy = "fixed" },
          { on = { "gone" }, max = 1, delay = "1s", jitter = "none", strategy = "fixed" } },
        run = function()
          tries = tries + 1
          if codes[tries] then flow.error { code = codes[tries], message = "not now" } end
        end,
      } }
      w.b = { after = "a", run = function() fail() end }
      local done, reported = run(w)
      local policies = {}
      for _, event in ipairs(reported) do
        if event.event == "node_retrying" then policies[#policies + 1] = event.policy end
      end
      return done.state, tries, policies
    end
    local state, tries, policies = undone { "busy", "gone", "busy" }
    assert.same({ "compensated", 4, { 1, 2, 1 } }, { state, tries, policies })
    state, tries = undone { "gone", "busy", "gone" }
    assert.same({ "compensation_failed", 3 }, { state, tries })
    state, tries = undone { "lost" }
    assert.same({ "compensation_failed", 1 }, { state, tries })
  end)

  it("that fails does not stop the others, and is reported with its error", function()
    local w = flow.workflow {}
    w.a = { run = quiet, compensate = function() return "done" end }
    w.b = { after = "a", run = quiet,
      compensate = function() flow.error { code = "closed", message = "no refunds" } end }
    w.c = { after = "b", run = quiet,
      compensate = { timeout = "50ms", run = function() flow.await(quiet) end } }
    w.d = { after = "c", run = function() fail() end }
    local done = run(w, { runtime = flow.runtime() })
    assert.equal("compensation_failed", done.state)
    assert.equal("no_stock", done.error.code)
    assert.same({ "c compensation_failed timeout", "b compensation_failed closed", "a compensated" },
      summary(done))
    assert.equal("no refunds", done:compensations()[2].error.message)
    assert.same({ "d" }, (function()
      local list = {}
      for name in pairs(done:errors()) do list[#list + 1] = name end
      return list
    end)())
  end)

  it("may wait and take steps", function()
    local w = flow.workflow {}
    w.a = { run = function(ctx) return ctx:step("make", function() return "m" end) end,
      compensate = function(ctx)
      ctx:sleep "1d"
      return ctx:step("make", function() return "u" end)
    end }
    w.b = { after = "a", run = function() fail() end }
    local done = run(w, { journal = true })
    assert.equal("compensated", done.state)
    assert.equal("u", done:compensations()[1].value)
  end)

  it("undoes what may have happened: an attempt that timed out", function()
    local seen
    local w = flow.workflow {}
    w.a = { timeout = "50ms", run = function() flow.await(quiet) end, compensate = function(ctx)
      seen = { ctx.uncertain, ctx.output, ctx.error.code }
    end }
    local done = run(w, { runtime = flow.runtime() })
    assert.equal("compensated", done.state)
    assert.same({ true, nil, "timeout" }, seen)
    assert.is_true(done:compensations()[1].uncertain)
  end)

  it("undoes items one by one", function()
    local undone = {}
    local w = flow.workflow {}
    w.list = { each = { "a", "b", "c" }, run = function(ctx) return ctx.item .. "!" end,
      compensate = function(ctx)
      undone[#undone + 1] = ctx.item .. " " .. ctx.output
      if ctx.item == "b" then fail "stuck" end
    end }
    w.last = { after = "list", run = function() fail() end }
    local done = run(w)
    assert.equal("compensation_failed", done.state)
    assert.same({ "c c!", "b b!", "a a!" }, undone)
    assert.same({ "list[3] compensated", "list[2] compensation_failed stuck", "list[1] compensated" },
      summary(done))
  end)

  it("follows a cancel, before the cleanup nodes", function()
    local order = {}
    local w = flow.workflow {}
    w.a = { run = quiet, compensate = function() order[#order + 1] = "undo" end }
    w.b = { after = "a", run = function(ctx) ctx:sleep "1h" end }
    w.clean = { after = "b", join = "done", run = function() order[#order + 1] = "clean" end }
    local rt = flow.runtime { clock = "virtual" }
    local started
    started = flow.start(w, { runtime = rt, on_event = function(event)
      if event.event == "node_waiting" then started:cancel() end
    end })
    rt:wait(started)
    assert.equal("compensated", started.state)
    assert.equal("cancelled", started.error.code)
    assert.same({ "undo", "clean" }, order)
  end)

  it("has nothing to do in a run that completes or undid nothing", function()
    local w = flow.workflow {}
    w.a = { run = function() return 1 end, compensate = fail }
    local done = run(w)
    assert.equal("completed", done.state)
    assert.same({}, done:compensations())
    local v = flow.workflow {}
    v.a = { run = function() fail() end, compensate = fail }
    assert.equal("failed", run(v).state)
  end)

  it("fails for a value that is not plain data", function()
    local w = flow.workflow {}
    w.a = { run = quiet, compensate = function() return print end }
    w.b = { after = "a", run = function() fail() end }
    assert.same({ "a compensation_failed invalid_output" }, summary((run(w))))
  end)

  it("goes with node types too", function()
    local undone
    local w = flow.workflow {}
    w.a = flow.const { value = "paid", compensate = function(ctx) undone = ctx.output end }
    w.b = { after = "a", run = function() fail() end }
    assert.equal("compensated", (run(w)).state)
    assert.equal("paid", undone)
  end)

  it("may be a node type with its config, which may mention the node's own output", function()
    local w = flow.workflow { input = { to = "string" } }
    w.other = flow.const { value = "x" }
    w.a = { run = function() return { id = 7 } end, compensate = { type = "const", retry = 1,
      with = { value = "${nodes.a.id} ${nodes.other} ${input.to}" } } }
    w.b = { after = "a", run = function() fail() end }
    local compiled = assert(flow.compile(w))
    -- what it mentions beside itself comes before it
    assert.same({ { node = 1 } }, compiled.def.nodes[2].deps)
    local done = run(w, { input = { to = "y" } })
    assert.equal("compensated", done.state)
    assert.equal("7 x y", done:compensations()[1].value)
  end)

  it("by a node type has what the node returned as output, of an item its own", function()
    local w = flow.workflow { name = "w" }
    local undone = {}
    local undo = flow.type { name = "spec.undo", config = { id = "any", more = "any?" },
      run = function(_, config) undone[#undone + 1] = config.id .. (config.more or "") end }
    w.made = { run = function() return { id = "m" } end,
      compensate = { type = undo.name, with = { id = "${output.id}", more = "${nodes.made.id}" } } }
    w.each = { after = "made", each = { "a", "b" }, run = function(ctx) return { id = ctx.item } end,
      compensate = { type = undo.name, with = { id = "${output.id} of ${item}" } } }
    w.bad = { after = "each", run = function() error "no" end }
    assert.equal("compensated", flow.run(w).state)
    assert.same({ "b of b", "a of a", "mm" }, undone)
    w = flow.workflow { name = "w" }
    w.a = flow.const { value = "${output.id}" }
    assert.matches('there is no name "output"', flow.check(w)[1].message)
  end)

  it("is data in a JSON definition", function()
    local text = [[{ "name": "j", "nodes": [
      { "id": "a", "type": "const", "with": { "value": { "id": 3 } },
        "compensate": { "type": "const", "with": { "value": "${nodes.a.id}" }, "timeout": "1m" } },
      { "id": "b", "type": "condition", "after": "a", "with": { "test": "1 .. nil" } } ] }]]
    local w = require("orrery.definition.json").read(text, "j.json")
    local done = run(w)
    assert.equal("compensated", done.state)
    assert.equal(3, done:compensations()[1].value)
    local bad = require("orrery.definition.json").read([[{ "name": "j", "nodes": [
      { "id": "a", "type": "const", "with": { "value": 1 }, "compensate": { "type": "cnost" } },
      { "id": "b", "type": "const", "with": { "value": 1 }, "compensate": { "type": "const", "with": { "vaule": "${nodes.c}" } } },
      { "id": "c", "type": "const", "with": { "value": 1 }, "compensate": { "with": {} } },
      { "id": "d", "type": "const", "with": { "value": 1 }, "compensate": { "type": "const", "with": 3 } },
      { "id": "e", "type": "const", "with": { "value": 1 }, "compensate": "x" } ] }]], "j.json")
    local found = table.concat(problems(bad), "\n")
    for _, part in ipairs {
      'nodes[0].compensate.type: node "a": compensate: type: there is no node type "cnost"; did you mean '
        .. '"const"?',
      'nodes[1].compensate.with.vaule: node "b": compensate: const: vaule is not known; did you mean '
        .. '"value"?',
      'nodes[2].compensate.with: node "c": compensate.with is the config of a node type',
      'nodes[3].compensate.with: node "d": compensate: with: expected a table of config, got 3',
      'nodes[4].compensate: node "e": compensate: expected an object { "type": …, "with": { … } }, got the '
        .. 'string "x"',
    } do
      assert.truthy(found:find(part, 1, true), part .. "\n\nin\n\n" .. found)
    end
  end)

  it("is checked when the workflow is compiled", function()
    local w = flow.workflow {}
    w.d = { run = quiet, compensate = flow.const { value = 1 } }
    w.e = { run = quiet, compensate = { run = quiet, type = "const", with = { value = 1 } } }
    w.a = { run = quiet, compensate = "undo" }
    w.b = { run = quiet, compensate = { fn = quiet } }
    w.c = { run = quiet, compensate = { run = quiet, retry = { max = -1 }, timeout = 0 } }
    local found = table.concat(problems(w), "\n")
    for _, part in ipairs {
      'node "a": compensate: expected a function(ctx, inputs) or a table { run = …, retry = 3, timeout = '
        .. '"1m" }, got the string "undo"',
      'node "b": compensate: unknown field "fn"',
      'node "b": compensate.run is missing; it is the function(ctx, inputs) that undoes',
      'node "c": compensate.retry.max:', 'node "c": compensate.timeout: nothing can be undone in no time',
      'node "d": compensate: what undoes a node is no node of its own; write { type = "const", with = { … } '
        .. '}',
      'node "e": compensate.run: a node type brings its own handler; keep run or type',
    } do
      assert.truthy(found:find(part, 1, true), part .. "\n\nin\n\n" .. found)
    end
  end)
end)

describe("flow.saga", function()
  it("is a workflow of steps in sequence, each with what undoes it", function()
    local order = {}
    local saga = flow.saga("order", { input = { n = "integer" }, output = "${nodes.charge}" })
      :step("reserve", function(ctx) return ctx.input.n end, function() order[#order + 1] = "release" end)
      :step("charge", function(ctx, inputs) return inputs.reserve + ctx.nodes.reserve end,
        { run = function() order[#order + 1] = "refund" end, retry = 2 }, { timeout = "5s", retry = 1 })
      :step("mail", flow.const { value = "sent" })
    local compiled = assert(flow.compile(saga))
    assert.equal("order", compiled.name)
    assert.equal(5, compiled.def.nodes[2].timeout)
    assert.equal(2, compiled.def.nodes[2].compensate.retry.max)
    assert.equal("const", compiled.def.nodes[3].type)
    assert.equal(2, compiled.def.nodes[3].deps[1].node)
    assert.equal('workflow "order" (3 nodes)', tostring(saga))
    assert.equal(3, #saga)
    local done = run(saga, { input = { n = 4 } })
    assert.equal("completed", done.state)
    assert.equal(8, done.output)
    assert.same({}, order)
  end)

  it("goes on growing, and undoes what it did when a step fails", function()
    local order = {}
    local saga = flow.saga "order" :step("a", quiet, function() order[#order + 1] = "a" end)
    assert.equal("completed", (run(saga)).state)
    saga:step("b", quiet, function() order[#order + 1] = "b" end):step("c", function() fail() end)
    assert.equal("compensated", (run(saga)).state)
    assert.same({ "b", "a" }, order)
  end)

  it("is called by a parent and loaded from a file like any workflow", function()
    local saga = flow.saga("inner", { output = "${nodes.a}" }):step("a", function() return 3 end)
    local w = flow.workflow { output = "${nodes.it}" }
    w.it = flow.call { workflow = saga }
    assert.equal(3, (run(w)).output)
    local loaded = flow.load { name = "s.lua", source = [[
      local flow = require "orrery"
      return flow.saga "filed" :step("a", function() return 1 end)]] }
    assert.equal("completed", (run(loaded)).state)
  end)

  it("says where a mistaken step stands", function()
    local line = debug.getinfo(1, "l").currentline
    local saga = flow.saga("order", { output = "${nodes.a}" })
    saga:step("a", "charge")
    saga:step("a", { run = quiet, after = "b" })
    saga:step("a", quiet, "refund")
    saga:step("b", quiet, quiet, { timeut = "1s" })
    saga:step("b", quiet)
    saga:step("9", quiet)
    saga:step("c", { run = quiet, compensate = quiet }, quiet)
    saga:step("d", quiet, quiet, 3)
    saga:step("e", quiet, quiet, { after = "a", compensate = quiet })
    local here = debug.getinfo(1, "S").short_src
    local expected = {
      'step "a": expected a function(ctx, inputs) or a node as what it does, got the string "charge"',
      'step "a": a step comes after the one before it; leave `after` out of its node',
      'step "a": expected a function(ctx, inputs), or a table { run = …, retry = 3 }, as what undoes it, got '
        .. 'the string "refund"',
      'step "b": unknown option "timeut"; did you mean "timeout"?',
      'node "b" is already there',
      '"9" is not a node\'s name',
      'step "c": its node has a `compensate` already',
      'step "d": expected a table of the node\'s keys, { retry = 3 }, as the fourth argument, got 3',
      'step "e": ',
    }
    local found = problems(saga)
    for i, text in ipairs(expected) do
      local place = ("%s:%d: "):format(here, line + 1 + i)
      local seen = false
      for _, problem in ipairs(found) do
        seen = seen or problem:find(place, 1, true) == 1 and problem:find(text, 1, true) ~= nil
      end
      assert.is_true(seen, place .. text .. "\n\nin\n\n" .. table.concat(found, "\n"))
    end
    assert.truthy(table.concat(problems(flow.saga()), "\n")
      :find('flow.saga takes a name, flow.saga("order", { … })', 1, true))
    assert.has_error(function() flow.saga("x").step({}, "a", quiet) end)
  end)
end)

describe("a saga in a store", function()
  local folder, rt

  before_each(function()
    folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/orrery-saga-XXXXXX"))
    rt = flow.runtime { store = "sqlite:" .. folder .. "/runs.db" }
  end)

  after_each(function()
    rt:close()
    os.execute("rm -r " .. command.quote(folder))
  end)

  local SOURCE = [[
    local flow = require "orrery"
    local log = ...
    return flow.saga "order"
      :step("a", function() return { id = 1 } end, function(ctx) saga_log[#saga_log + 1] = "a " .. ctx.output.id return "undone a" end)
      :step("b", function() return { id = 2 } end, function(ctx)
        saga_log[#saga_log + 1] = "b begins"
        ctx:wait "go"
        saga_log[#saga_log + 1] = "b " .. ctx.output.id .. " " .. ctx.error.code
        return "undone b"
      end)
      :step("c", function() return { id = 3 } end, function(ctx) saga_log[#saga_log + 1] = "c " .. ctx.output.id return "undone c" end)
      :step("d", function() flow.error { code = "no_stock", message = "gone" } end)
  ]]

  it("that was left in the middle of undoing goes on there", function()
    rawset(_G, "saga_log", {})
    local path = folder .. "/saga.lua"
    local file = assert(io.open(path, "w"))
    file:write(SOURCE)
    file:close()
    local started
    started = flow.start(path, { runtime = rt, on_event = function(event)
      if event.event == "node_waiting" then started:suspend() end
    end })
    rt:wait(started)
    assert.same({ "c 3", "b begins" }, _G.saga_log)
    local again = flow.resume(started.id, { runtime = rt })
    again:signal "go"
    rt:wait(again)
    assert.equal("compensated", again.state)
    assert.equal("no_stock", again.error.code)
    assert.same({ "c 3", "b begins", "b begins", "b 2 no_stock", "a 1" }, _G.saga_log)
    assert.same({ "c compensated", "b compensated", "a compensated" }, summary(again))
    local values = {}
    for i, one in ipairs(again:compensations()) do values[i] = one.value end
    assert.same({ "undone c", "undone b", "undone a" }, values)
    rawset(_G, "saga_log", nil)
  end)

  it("has outputs and items at hand that have left memory, of a node that failed in the end as well",
    function()
    local undone = {}
    local function undo(ctx) undone[#undone + 1] = ("%s %s %s"):format(ctx.node, ctx.item, ctx.output) end
    local w = flow.workflow {}
    w.first = { run = function() return "f" end, compensate = undo }
    w.list = { after = "first", each = { "a", "b", "c" }, run = function(ctx)
      if ctx.item == "c" then fail() end
      return ctx.item .. "!"
    end, compensate = undo }
    w.last = { after = "list", run = quiet }
    local done = flow.run(w, { runtime = rt })
    assert.equal("compensated", done.state)
    assert.same({ "list b b!", "list a a!", "first nil f" }, undone)
  end)
end)

describe("orrery run of a saga", function()
  local FILE = [[
    local flow = require "orrery"
    return flow.saga "order"
      :step("reserve", function() return 1 end, function() return "released" end)
      :step("charge", function() return 2 end, function() error "bank closed" end)
      :step("ship", function() flow.error { code = "no_stock", message = "nothing left" } end)
  ]]

  it("exits with 1 and says what was undone and what could not be", function()
    local result = command.run_with({ ["saga.lua"] = FILE }, { "run", "--store", "memory:", "saga.lua" })
    assert.equal(1, result.code)
    for _, text in ipairs { "order failed, and could not be undone entirely in ", "1 undone, 1 not undone",
      "undone, in this order: reserve", "charge could not be undone: ",
      "node ship failed: nothing left [no_stock]",
      "charge  is undone", "reserve  was undone in " } do
      assert.truthy(result.err:find(text, 1, true), text .. "\n\nin\n\n" .. result.err)
    end
  end)

  it("reports it in the last JSON line", function()
    local result = command.run_with({ ["saga.lua"] = FILE },
      { "run", "--json", "--store", "memory:", "saga.lua" })
    assert.equal(1, result.code)
    local last = flow.json.decode(result.out:match "([^\n]+)\n$")
    assert.equal("run_compensation_failed", last.event)
    assert.equal("compensation_failed", last.state)
    assert.equal("no_stock", last.error.code)
    assert.equal("charge", last.compensations[1].node)
    assert.equal("handler_error", last.compensations[1].error.code)
    assert.equal("released", last.compensations[2].value)
  end)
end)
