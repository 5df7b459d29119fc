-- Node types of the flow itself: what started a run, actions, setup and cleanup, fail and assert.
local flow = require "orrery"
local place = require "spec.support.place"

local function run_of(node, options)
  local w = flow.workflow { name = "one", output = "${nodes.it}", env = { "HOME" } }
  w.it = node
  return flow.run(w, options)
end

local function messages(w)
  local list = {}
  for i, problem in ipairs(flow.check(w)) do list[i] = problem.message end
  return list
end

describe("fail", function()
  it("fails its node with code, message and details", function()
    local run = run_of(flow.fail { code = "bad_country", message = "no carrier for ${input.to}",
      details = { to = "${input.to}" } }, { input = { to = "XX" } })
    assert.equal("failed", run.state)
    assert.equal("bad_country", run.error.code)
    assert.equal("no carrier for XX", run.error.message)
    assert.same({ to = "XX" }, run.error.details)
    assert.is_false(run.error.retryable)
    assert.equal("failed", run_of(flow.fail { "no" }).error.code)
  end)

  it("is tried again only where it says so", function()
    local run = run_of(flow.fail { message = "busy", retry = 2 })
    assert.equal(0, run:stats().retries)
    run = run_of(flow.fail { message = "busy", retryable = true, retry_after = "5s", retry = 2 },
      { clock = "virtual" })
    assert.equal(2, run:stats().retries)
    assert.equal(10, math.floor(run:stats().ended - run:stats().started + 0.5))
  end)

  it("is handled as any failure is", function()
    local w = flow.workflow { name = "w", output = "${nodes.told}" }
    w.route = flow.switch { value = "${input.to}", map = { DE = "known" }, default = "unknown" }
    w.no = flow.fail { after = "route:unknown", code = "unknown", message = "no" }
    w.told = { after = "no", join = "failed", run = function(ctx) return ctx.errors.no.code end }
    local run = flow.run(w, { input = { to = "XX" } })
    assert.equal("completed", run.state)
    assert.equal("unknown", run.output)
    assert.equal("completed", flow.run(w, { input = { to = "DE" } }).state)
  end)
end)

describe("assert", function()
  it("completes with true where its expression holds", function()
    assert.is_true(run_of(flow.assert { "input.n > 1" }, { input = { n = 2 } }).output)
    assert.is_true(run_of(flow.assert { test = function(ctx) return ctx.input.n end },
      { input = { n = 0 } }).output)
    assert.is_true(run_of(flow.assert { true }).output)
  end)

  it("shows the values of what the expression names", function()
    local run = run_of(flow.assert { "input.n > input.least and #input.rows == 2 and input.on" },
      { input = { n = 1, least = 5, rows = { "a", "b" } } })
    assert.equal("assertion_failed", run.error.code)
    assert.equal("input.n > input.least and #input.rows == 2 and input.on does not hold: input.n is 1, "
      .. 'input.least is 5, input.rows is ["a","b"], input.on is nil', run.error.message)
    local details = run.error.details
    assert.equal(1, details.values["input.n"])
    assert.same({ "a", "b" }, details.values["input.rows"])
    assert.equal(flow.json.null, details.values["input.on"])
  end)

  it("takes a code, a message and details of its own", function()
    local run = run_of(flow.assert { test = "${input.rows[1] == 2}", code = "first",
      message = "it is ${input.rows[1]}", details = { file = "x.csv" } }, { input = { rows = { 1 } } })
    assert.equal("first", run.error.code)
    assert.equal("it is 1", run.error.message)
    assert.equal("x.csv", run.error.details.file)
    assert.equal(1, run.error.details.values["input.rows[1]"])
  end)

  it("keeps long values short, and shows nothing of the environment", function()
    local run = run_of(flow.assert { "input.text == env.HOME" }, { input = { text = ("ä"):rep(5000) } })
    assert.is_true(#run.error.message < 400)
    assert.is_truthy(utf8.len(run.error.message))
    local values = run.error.details.values
    assert.is_true(#values["input.text"] <= 1030)
    assert.is_nil(values["env.HOME"])
  end)

  it("takes a function, which names nothing", function()
    local run = run_of(flow.assert { function() return false, 1, "x" end })
    assert.equal("the assertion does not hold", run.error.message)
    assert.same({}, run.error.details.values)
  end)

  it("works inside a handler", function()
    local run = run_of({ run = function() return flow.assert { "input.n == 1" } end },
      { input = { n = 2 } })
    assert.equal("input.n == 1 does not hold: input.n is 2", run.error.message)
  end)

  it("waits for what it mentions, and says what is wrong with it", function()
    local w = flow.workflow { name = "w" }
    w.b = flow.assert { "nodes.a == 1" }
    w.a = flow.const { 1 }
    assert.equal("completed", flow.run(w).state)
    local v = flow.workflow { name = "v" }
    v.a = flow.assert { "nodes.a ==" }
    v.b = flow.assert { { 1 } }
    assert.equal(2, #messages(v))
    assert.matches("expected an expression, got a table", messages(v)[2], 1, true)
  end)
end)

describe("action", function()
  flow.action("spec_double", function(_, input, inputs) return { input.n * 2, inputs.first } end)
  local typed = flow.action("spec_typed", { config = flow.schema { n = "integer" }, doc = "Adds one.",
    run = function(_, config) return config.n + 1 end })

  it("calls a function by its name", function()
    local w = flow.workflow { name = "w" }
    w.first = flow.const { "x" }
    w.a = flow.action { name = "spec_double", input = { n = "${input.n}" }, after = "first", retry = 2 }
    w.b = typed { n = "${input.n}" }
    w.c = { type = "action.spec_typed", with = { n = 1 } }
    w.d = { run = function() return flow.action { name = "spec_typed", input = { n = 7 } } end }
    local outputs = flow.run(w, { input = { n = 21 } }):outputs()
    assert.same({ 42, "x" }, outputs.a)
    assert.equal(22, outputs.b)
    assert.equal(2, outputs.c)
    assert.equal(8, outputs.d)
  end)

  it("says what is wrong when the workflow is checked", function()
    local w = flow.workflow { name = "w" }
    w.a = flow.action "spec_duoble"
    w.b = flow.action { name = "a b" }
    w.c = flow.action { name = "spec_typed", input = { m = 1 } }
    w.d = flow.action {}
    local list = messages(w)
    assert.matches('there is no node type "action.spec_duoble"; did you mean "action.spec_double"?',
      list[1], 1, true)
    assert.matches("expected the name that flow.action has declared", list[2], 1, true)
    assert.matches("action.spec_typed: m is not known", table.concat(list, "\n"), 1, true)
    assert.matches("action: name is missing", table.concat(list, "\n"), 1, true)
    assert.has_error(function() flow.action("a b", print) end)
    assert.has_error(function() flow.action("spec_x", 7) end)
    assert.has_error(function() flow.action("spec_x", { name = "y", run = print }) end)
  end)

  it("is used by JSON where its loader allows it", function()
    local source = [[{ "name": "j", "output": "${nodes.a}", "nodes": [
      { "id": "a", "type": "action", "retry": 1, "with": { "name": "spec_typed", "input": { "n": 4 } } },
      { "id": "z", "type": "cleanup", "with": { "node":
        { "type": "action", "with": { "name": "spec_typed", "input": { "n": 1 } } } } } ] }]]
    local run = flow.run(flow.load { source = source, types = { "action.spec_typed" } })
    assert.equal(5, run.output)
    assert.equal("completed", run:states().z)
    for _, types in ipairs { { "action" }, { "action", "cleanup", "action.spec_double" } } do
      local refused = messages(flow.load { source = source, types = types })
      assert.matches('the type "action.spec_typed" is not allowed here', refused[1], 1, true)
      assert.equal(2, #refused)
    end
    assert.equal("completed", flow.run(flow.load { source = source, types = { "action.*" } }).state)
  end)

  it("belongs to the code that a run began with", function()
    local function file(times)
      return ([[
        local flow = require "orrery"
        flow.action("times", function(_, input) return input.n * %d end)
        local w = flow.workflow { name = "w", output = "${nodes.a}" }
        w.go = flow.wait { signal = "go" }
        w.a = flow.action { name = "times", input = { n = 2 }, after = "go" }
        return w]]):format(times)
    end
    local here <close> = place.new { ["w.lua"] = file(10) }
    here:ends(5, "run", "w.lua", "--no-wait")
    here:write("w.lua", file(1000))
    here:ends(0, "signal", here:newest(), "go")
    place.has(here:ends(0, "resume", here:newest()).out, "20")
  end)

  it("runs in a worker", function()
    local here <close> = place.new { ["w.lua"] = [[
      local flow = require "orrery"
      flow.action("where", function(_, input) return { input.n, coroutine.isyieldable() } end)
      local w = flow.workflow { name = "w", output = "${nodes.a[1]}" }
      w.a = flow.action { name = "where", input = { n = 42 }, strategy = "thread" }
      return w]] }
    place.has(here:ends(0, "run", "w.lua").out, "42")
  end)
end)

describe("setup and cleanup", function()
  -- A workflow that notes in `order` what it does.
  local function noting(options)
    local order, w = {}, flow.workflow(options or { name = "w" })
    return w, order, function(name, act)
      return function(ctx)
        order[#order + 1] = name
        return act and act(ctx)
      end
    end
  end

  local function state(ctx) return ("%s %s"):format(ctx.run.state, ctx.run.cause) end

  it("stand before and after all other nodes", function()
    local w, order, note = noting()
    w.down = flow.cleanup { note("down") }
    w.a = { run = note "a" }
    w.b = { after = "a", run = note "b" }
    w.pair = flow.parallel { x = { run = note "x" } }
    w.up = flow.setup { note("up") }
    local run = flow.run(w)
    assert.equal("completed", run.state)
    assert.equal("up", order[1])
    assert.equal("down", order[5])
    assert.equal(5, #order)
  end)

  it("keep the keys of the node, and take nodes of any type", function()
    local w = flow.workflow { name = "w", output = "${nodes.up}" }
    w.up = flow.setup { flow.const { { n = 1 } }, doc = "x", timeout = "5s" }
    w.a = flow.assert { "nodes.up.n == 1" }
    w.down = flow.cleanup { flow.log { "it is ${run.state}" }, when = "states.a == 'completed'", retry = 1 }
    local run = flow.run(w)
    assert.equal("completed", run.state)
    assert.equal("it is running", run:outputs().down)
  end)

  it("clean up after a failure, a timeout and a cancel, knowing which it was", function()
    local w, _, note = noting { name = "w" }
    w.up = flow.setup { note "up" }
    w.bad = { run = function() error "no" end }
    w.down = flow.cleanup { note("down", state) }
    local run = flow.run(w)
    assert.equal("failed failure", run:outputs().down)

    local order
    w, order, note = noting { name = "w", timeout = "5s" }
    w.long = flow.delay { "1h" }
    w.down = flow.cleanup { note("down", state) }
    run = flow.run(w, { clock = "virtual" })
    assert.equal("failed timeout", run:outputs().down)
    assert.same({ "down" }, order)

    w = flow.workflow { name = "w" }
    w.long = { run = function(ctx)
      run:cancel()
      ctx:sleep("1h")
    end }
    w.down = flow.cleanup { function(ctx) return state(ctx) end }
    run = flow.start(w)
    flow.runtime():wait(run)
    assert.equal("cancelled cancel", run:outputs().down)
  end)

  it("begin nothing else where the setup fails, and clean up all the same", function()
    local w, order, note = noting()
    w.up = flow.setup { flow.fail { code = "no_database", message = "no" } }
    w.a = { run = note "a" }
    w.down = flow.cleanup { note "down" }
    local run = flow.run(w)
    assert.equal("no_database", run.error.code)
    assert.same({ "down" }, order)
  end)

  it("stay where only a part of the workflow runs", function()
    for _, part in ipairs { { only = "a" }, { from = "a" } } do
      local w, order, note = noting()
      w.up = flow.setup { note "up" }
      w.a = { run = note "a" }
      w.b = { run = note "b" }
      w.down = flow.cleanup { note "down" }
      w.after_b = flow.cleanup { note "after b", after = "b" }
      flow.run(w, part)
      assert.same({ "up", "a", "down" }, order)
    end
  end)

  it("are placed by an `after` of their own", function()
    local w, order, note = noting()
    w.a = { run = note "a" }
    w.mid = flow.setup { note "mid", after = "a" }
    w.done = flow.cleanup { note "done", after = "a" }
    w.z = { after = { "mid", "done" }, run = note "z" }
    assert.equal("completed", flow.run(w).state)
    assert.equal("a", order[1])
    assert.equal("z", order[4])
  end)

  it("work in JSON, where edges say what comes after what", function()
    local w = flow.load { types = { "const", "delay", "log" }, source = [[{ "name": "j", "nodes": [
      { "id": "up", "type": "setup", "with": { "node": { "type": "const", "with": { "value": 1 } } } },
      { "id": "a", "type": "delay", "with": { "duration": "1s" } },
      { "id": "b", "type": "const", "join": "any", "with": { "value": 3 } },
      { "id": "down", "type": "cleanup", "with": { "node":
        { "type": "log", "doc": null, "with": { "message": "${nodes.up} ${run.state}" } } } } ],
      "edges": [ { "from": "a", "to": "b" } ] }]] }
    local order = {}
    local run = flow.run(w, { clock = "virtual", on_event = function(e)
      if e.event == "node_started" or e.event == "node_completed" then
        order[#order + 1] = e.event:sub(6) .. " " .. e.node
      end
    end })
    assert.equal("1 running", run:outputs().down)
    assert.same({ "started up", "completed up", "started a", "completed a", "started b", "completed b",
      "started down", "completed down" }, order)
  end)

  it("say what is wrong with them", function()
    local w = flow.workflow { name = "w" }
    w.a = flow.setup { "x" }
    w.b = flow.cleanup { flow.parallel { flow.const { 1 } } }
    w.c = flow.cleanup {}
    w.d = flow.cleanup { flow.exec {} }
    w.e = flow.cleanup { flow.workflow { name = "x" } }
    local all = table.concat(messages(w), "\n")
    assert.matches("setup: node: expected a node, such as flow.exec { … }, or a function(ctx), got a string",
      all, 1, true)
    assert.matches('node "b": cleanup takes one node, not a group', all, 1, true)
    assert.matches("cleanup: node is missing", all, 1, true)
    assert.matches('node "d": exec: give the command', all, 1, true)
    assert.matches('node "e": a workflow is no node', all, 1, true)
    assert.matches("has its place among the nodes of a workflow",
      run_of { run = function() flow.cleanup { print } end }.error.message, 1, true)
  end)
end)

describe("other names of types", function()
  it("mean the same in JSON, and are allowed by the type's own", function()
    local source = [[{ "name": "j", "nodes": [ { "id": "a", "type": "sync", "with": { "count": 1 } } ] }]]
    assert.equal("completed", flow.run(flow.load { source = source, types = { "barrier" } }).state)
    assert.matches('the type "barrier" is not allowed here',
      messages(flow.load { source = source, types = { "sync" } })[1], 1, true)
    local schema = require "orrery.definition.json_schema".make()
    assert.is_true(flow.schema(schema):check(flow.json.decode(source)) ~= nil)
  end)
end)

describe("trigger", function()
  local function file(body)
    return ([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.t}" }
      w.t = flow.trigger {}
      %s
      return w]]):format(body or "")
  end

  it("says that a script has started the run, and when", function()
    local before = os.time()
    local output = run_of(flow.trigger {}, { input = { a = 1 } }).output
    assert.equal("script", output.kind)
    assert.same({ a = 1 }, output.payload)
    assert.is_true(output.time >= before - 1 and output.time <= os.time() + 1)
  end)

  it("says what a program has given", function()
    local run = run_of(flow.trigger {}, { input = 1,
      trigger = { kind = "webhook", time = 5, payload = { x = 1 }, from = "10.0.0.1" } })
    assert.same({ kind = "webhook", time = 5, payload = { x = 1 }, from = "10.0.0.1" }, run.output)
    for _, wrong in ipairs { "x", { payload = 1 } } do
      assert.has_error(function() run_of(flow.trigger {}, { trigger = wrong }) end)
    end
  end)

  it("names the caller of a child", function()
    local child = flow.workflow { name = "child", output = "${nodes.t}" }
    child.t = flow.trigger {}
    local run = run_of(flow.call { workflow = child, input = { b = 2 } })
    assert.equal("child", run.output.kind)
    assert.equal(run.id, run.output.run)
    assert.equal("it", run.output.node)
    assert.same({ b = 2 }, run.output.payload)
  end)

  it("tells a command, a fork and a retry apart, after a restart too", function()
    local here <close> = place.new { ["w.lua"] = file [[
      w.wait = flow.wait { signal = "go" }
      w.late = { after = "wait", run = function(ctx) return ctx.run.trigger.kind end }
      w.fails = { after = "late", run = function(ctx)
        if ctx.run.trigger.kind ~= "retry" then error "no" end
        return ctx.run.trigger.kind
      end }]] }
    local function value(node, id)
      return here:query("SELECT nodes.output FROM nodes JOIN runs ON runs.number = nodes.run "
        .. "WHERE node = ? AND id = ?", node, id)[1].output
    end
    here:ends(5, "run", "w.lua", "--no-wait", "--input", "a=1")
    local id = here:newest()
    place.has(value("t", id), '"kind":"command"')
    place.has(value("t", id), '"a":"1"')
    here:ends(0, "signal", id, "go")
    here:ends(1, "resume", id)
    assert.equal('"command"', value("late", id))
    here:ends(0, "retry", id)
    assert.equal('"retry"', value("fails", id))
    here:ends(0, "fork", id, "--from", "t")
    local fork = here:newest()
    place.has(value("t", fork), '"kind":"fork"')
    place.has(value("t", fork), id)
  end)
end)

describe("config that a template leaves without a value", function()
  local function failure_of(node)
    local w = flow.workflow { name = "w", on_error = "continue" }
    w.yes = flow.const { value = { b = 2 } }
    w["not-run"] = flow.const { when = "false", value = 1 }
    w.broken = { on_error = "ignore", run = function() error "x" end }
    w.it = node
    return flow.run(w):errors().it.message
  end

  it("is told with the template, and with the nodes in it that have no output", function()
    local read = flow.file.read
    assert.equal('file.read: path is missing, expected string, from "${nodes["not-run"].x}", where not-run '
      .. "was skipped",
      failure_of(read { after = "yes", path = '${nodes["not-run"].x}' }))
    assert.equal('file.read: path is missing, expected string, from "${nodes.broken.x or nodes.yes.a}", '
      .. "where broken has failed", failure_of(read { path = "${nodes.broken.x or nodes.yes.a}" }))
    assert.equal('file.read: path is wrong, expected string, got integer 2, from "${nodes.yes.b}"',
      failure_of(read { path = "${nodes.yes.b}" }))
  end)
end)
