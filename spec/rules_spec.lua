-- What happens to a failure: it reaches what depends on it by way of others, is handled by what
-- starts because of it and by nothing else, and is seen by what cleans up. Virtual time.
local flow = require "orrery"

local did

local function does(name)
  return function() did[#did + 1] = name end
end

local function fails(code)
  return function() flow.error { code = code or "broken", message = "it broke" } end
end

local function run(fill, options)
  did = {}
  local w = flow.workflow(options or {})
  fill(w)
  local r = flow.run(w, { clock = "virtual" })
  return r, r:states()
end

describe("a failure", function()
  it("skips what depends on it by way of others, and says so", function()
    local r, states = run(function(w)
      w.a = { run = fails() }
      w.b = { after = "a", run = does "b" }
      w.c = { run = does "c" }
      w.d = { after = { "b", "c" }, run = does "d" }
      w.see = { after = "d", join = "done", run = function(ctx)
        did[#did + 1] = ctx.errors.d.code .. " " .. ctx.errors.d.node .. " " .. ctx.errors.b.node
      end }
    end, { on_error = "continue" })
    assert.equal("failed", r.state)
    assert.same({ "skipped", "skipped" }, { states.b, states.d })
    assert.same({ "c", "upstream_failed b a" }, did)
    local why = r:why("d")
    assert.same({ "upstream_failed", "b" }, { why.skip, why.by })
    local e = r:errors().b
    assert.same({ "upstream_failed", "a", "it was skipped: a failed" }, { e.code, e.node, e.message })
    assert.matches("b was skipped because of a failure before it", r:errors().d.message)
  end)

  it("is told apart from a skip that has nothing to do with one", function()
    local r, states = run(function(w)
      w.off = { when = "false", run = does "off" }
      w.after_off = { after = "off", run = does "after_off" }
      w.also = { run = does "also" }
      w.last = { after = { "after_off", "also" }, run = does "last" }
    end)
    assert.equal("completed", r.state)
    assert.same({ "upstream", "off" }, { r:why("after_off").skip, r:why("after_off").by })
    assert.is_nil(r:errors().after_off)
    assert.equal("completed", states.last)
  end)

  it("counts for every join, be it ever so far away", function()
    local r, states = run(function(w)
      w.a = { run = fails() }
      w.b = { after = "a", run = does "b" }
      w.c = { after = "b", join = "failed", run = does "c" }
      w.d = { after = "b", join = "done", run = does "d" }
      w.e = { after = "b", join = "any", run = does "e" }
    end, { on_error = "continue" })
    assert.same({ "completed", "completed", "skipped" }, { states.c, states.d, states.e })
    assert.equal("upstream_failed", r:why("e").skip)
    assert.same({ "failed", "a" }, { r.state, r.error.node }) -- c does not depend on a itself
  end)

  it("is not handled by a node whose `when` is false", function()
    local r = run(function(w)
      w.a = { run = fails "hard" }
      w.b = { after = "a", join = "failed", when = "errors.a.code == 'soft'", run = does "b" }
      w.other = { run = function(ctx) ctx:sleep(5) did[1] = "other" end }
    end)
    assert.same({ "failed", "hard" }, { r.state, r.error.code })
    assert.same({}, did) -- on_error acted at once
    r = run(function(w)
      w.a = { run = fails "soft" }
      w.b = { after = "a", join = "failed", when = "errors.a.code == 'soft'", run = does "b" }
    end)
    assert.equal("completed", r.state)
    assert.same({ "b" }, did)
  end)

  it("is not handled by a node whose `when` cannot be evaluated, or that is cancelled first", function()
    local r = run(function(w)
      w.a = { run = fails() }
      w.b = { after = "a", join = "failed", when = function() error "no" end, run = does "b" }
    end)
    assert.same({ "failed", "a" }, { r.state, r.error.node })
    r = run(function(w)
      w.a = { run = fails() }
      w.slow = { run = function(ctx) ctx:sleep(1) end }
      w.b = { after = { "a", "slow" }, join = "failed", run = does "b" }
      w.late = { run = function(ctx) ctx:sleep "500ms" fails "late" () end }
    end)
    -- the failure of `late` stops the run before b can start: a is nobody's, and was the first
    assert.same({ "failed", "a" }, { r.state, r.error.node })
    assert.same({}, did)
  end)

  it("is handled for good once a node has started because of it", function()
    local r = run(function(w)
      w.a = { run = fails() }
      w.b = { after = "a", join = "failed", on_error = "ignore", run = fails "second" }
    end)
    assert.equal("completed", r.state)
  end)

  it("is handled as long as one of several may", function()
    local r = run(function(w)
      w.a = { run = fails() }
      w.slow = { run = function(ctx) ctx:sleep(1) return 1 end }
      w.soft = { after = "a", join = "failed", when = "errors.a.code == 'soft'", run = does "soft" }
      w.one = { after = { "a", "slow" }, join = "any", run = does "one" }
    end)
    assert.equal("completed", r.state)
    assert.same({ "one" }, did)
  end)
end)

describe("handles = false", function()
  it("hides no failure, and runs after the stop", function()
    local r, states = run(function(w)
      w.tests = { run = fails() }
      w.lint = { run = function(ctx) ctx:sleep "1ms" end }
      w.deploy = { after = "lint", run = does "deploy" }
      w.tell = { after = "tests", join = "failed", handles = false, run = function(ctx)
        did[#did + 1] = ("%s %s"):format(ctx.run.state, ctx.run.cause)
      end }
      w.told = { after = "tell", run = does "told" }
    end)
    assert.same({ "failed", "tests" }, { r.state, r.error.node })
    assert.same({ "failed failure" }, did)
    assert.same({ "skipped", "completed", "cancelled" }, { states.deploy, states.tell, states.told })
  end)

  it("runs while the run drains, and in a run that goes on what follows it runs as well", function()
    for _, on_error in ipairs { "drain", "continue" } do
      local r = run(function(w)
        w.a = { run = fails() }
        w.tell = { after = "a", join = "failed", handles = false, run = does "tell" }
        w.told = { after = "tell", run = does "told" }
      end, { on_error = on_error })
      assert.equal("failed", r.state)
      assert.same(on_error == "drain" and { "tell" } or { "tell", "told" }, did)
    end
  end)

  it("is bounded by cleanup_timeout", function()
    local r, states = run(function(w)
      w.a = { run = fails() }
      w.tell = { after = "a", join = "failed", handles = false, run = function(ctx) ctx:sleep "1h" end }
    end, { cleanup_timeout = "5s" })
    assert.same({ "failed", "cancelled" }, { r.state, states.tell })
    assert.is_true(r:stats().ended - r:stats().started < 20)
  end)

  it("is true or false", function()
    local problems = flow.check((function()
      local w = flow.workflow {}
      w.a = { handles = "no", run = does "a" }
      return w
    end)())
    assert.matches("handles: expected true or false, got the string \"no\"", problems[1].message)
  end)
end)

describe("a cleanup node", function()
  local function cleanup(fill, options, meanwhile)
    did = {}
    local w = flow.workflow(options or {})
    fill(w)
    w.clean = { after = "last", join = "done", run = function(ctx)
      did[#did + 1] = ctx.run.state .. " " .. tostring(ctx.run.cause)
    end }
    local rt = flow.runtime { clock = "virtual" }
    local r = flow.start(w, { runtime = rt })
    if meanwhile then meanwhile(r) end
    rt:wait(r)
    rt:close()
    return did[1]
  end

  it("knows how the run ends, and why", function()
    local function sleeps(w) w.last = { run = function(ctx) ctx:sleep(60) end } end
    local function breaks(w) w.last = { run = fails() } end
    assert.equal("running nil", cleanup(sleeps))
    assert.equal("failed failure", cleanup(breaks))
    assert.equal("failed failure", cleanup(breaks, { on_error = "continue" }))
    assert.equal("failed timeout", cleanup(sleeps, { timeout = "5s" }))
    assert.equal("cancelled cancel", cleanup(sleeps, {}, function(r) r:cancel() end))
    assert.equal("compensated failure", cleanup(function(w)
      w.a = { run = function() return 1 end, compensate = { run = function() end } }
      w.last = { after = "a", run = fails() }
    end))
  end)

  it("may ask for it in `when`", function()
    run(function(w)
      w.a = { run = fails() }
      w.good = { after = "a", join = "done", when = "run.state == 'running'", run = does "good" }
      w.bad = { after = "a", join = "done", when = "run.cause == 'failure'", run = does "bad" }
    end)
    assert.same({ "bad" }, did)
  end)

  it("have the error with which the run ends, whichever node has failed", function()
    local failed = {}
    for _, how in ipairs { "stop", "continue" } do
      local w = flow.workflow { name = "failing", on_error = how }
      w.ok = { run = function() return 1 end }
      w.handled = { run = function() error "handled" end }
      w.handler = { after = "handled", join = "failed",
        run = function(ctx) failed[#failed + 1] = ctx.run.error or "none" end }
      w.bad = flow.fail { after = "handler", code = "no_luck", message = "it is gone" }
      w.tell = flow.log { after = { "ok", "bad" }, join = "failed", handles = false,
        message = "${run.workflow}: ${run.error.node} ${run.error.message} [${run.error.code}]" }
      local r = flow.run(w, { clock = "virtual", on_event = function(e)
        if e.event == "log" then failed[#failed + 1] = e.message end
      end })
      assert.equal("no_luck", r.error.code)
    end
    local told = "failing: bad it is gone [no_luck]"
    assert.same({ "none", told, "none", told }, failed)
  end)

  it("are checked for fields that a run does not have", function()
    local w = flow.workflow { name = "w" }
    w.a = flow.log { message = "${run.eror.message} ${run.error.mesage}" }
    local list = {}
    for i, problem in ipairs(flow.check(w)) do list[i] = problem.message end
    assert.same({ 'node "a": message: run has no field "eror"; did you mean "error"?' }, list)
  end)
end)

describe("on_error = \"stop\" of a node", function()
  it("ends a run that continues after other failures", function()
    for own, want in pairs { stop = "cancelled", none = "completed" } do
      for handled, state in pairs { [true] = "completed", [false] = want } do
        local w = flow.workflow { name = "w", on_error = "continue" }
        w.other = { run = function() error "no matter" end }
        w.slow = { run = function(ctx) ctx:sleep "1h" end }
        w.tidy = { after = "slow", join = "done", run = function() end }
        w.bad = flow.fail { message = "it is over", on_error = own ~= "none" and own or nil }
        if handled then w.handler = { after = "bad", join = "failed", run = function() end } end
        local r = flow.run(w, { clock = "virtual" })
        local states = r:states()
        assert.same({ "failed", state, "completed" }, { r.state, states.slow, states.tidy },
          ("%s, handled %s"):format(own, handled))
        assert.equal("no matter", r.error.message:match "no matter")
      end
    end
  end)
end)

describe("an outcome", function()
  local function optional(size)
    return function(w)
      w.choice = flow.switch { cases = { { big = "input.size > 1" } }, default = "small" }
      w.extra = { after = "choice:big", run = does "extra" }
      w.done = { after = { "choice:small", "extra" }, join = "any", run = does "done" }
    end, { input = { size = size } }
  end

  it("is a dependency like others under any and need", function()
    for size, want in pairs { { "done" }, { "extra", "done" } } do
      did = {}
      local w = flow.workflow {}
      optional()(w)
      local r = flow.run(w, { clock = "virtual", input = { size = size } })
      assert.same({ "completed", want }, { r.state, did })
    end
    local _, states = run(function(w)
      w.choice = flow.switch { cases = { { gold = "true" } }, default = "silver" }
      w.x = { run = does "x" }
      w.both = { after = { "choice:gold", "x" }, join = { need = 2 }, run = does "both" }
      w.neither = { after = { "choice:silver", "x" }, join = { need = 2 }, run = does "neither" }
    end)
    assert.same({ "completed", "skipped" }, { states.both, states.neither })
  end)

  it("is a gate under every other join, and says why it is shut", function()
    local r, states = run(function(w)
      w.choice = flow.switch { cases = { { gold = "true" } }, default = "silver" }
      w.x = { run = does "x" }
      w.all = { after = { "choice:silver", "x" }, run = does "all" }
      w.done = { after = { "choice:silver", "x" }, join = "done", run = does "done" }
    end)
    assert.same({ "skipped", "skipped" }, { states.all, states.done })
    assert.same({ "outcome", "choice" }, { r:why("all").skip, r:why("all").by })
    r, states = run(function(w)
      w.choice = flow.switch { cases = { { gold = fails() } }, default = "silver" }
      w.all = { after = "choice:gold", run = does "all" }
      w.next = { after = "all", run = does "next" }
    end, { on_error = "continue" })
    assert.same({ "skipped", "skipped" }, { states.all, states.next })
    assert.same({ "upstream_failed", "choice" }, { r:why("all").skip, r:why("all").by })
    assert.same({ "upstream_failed", "all" }, { r:why("next").skip, r:why("next").by })
  end)
end)

describe("items", function()
  -- Item n takes n seconds; those in `bad` fail then.
  local function list(keys, bad, count)
    local active, most, order = 0, 0, {}
    local r = run(function(w)
      w.a = { each = function()
        local items = flow.json.array {}
        for i = 1, count or 5 do items[i] = i end
        return items
      end, run = function(ctx)
        active = active + 1
        most = math.max(most, active)
        local ok, e = pcall(ctx.sleep, ctx, ctx.item)
        active = active - 1
        if not ok then error(e, 0) end
        if bad and bad[ctx.item] then fails() () end
        order[#order + 1] = ctx.item
        return ctx.item
      end, each_parallel = keys.each_parallel, each_on_failure = keys.each_on_failure,
        deadline = keys.deadline }
    end)
    return r, order, most
  end

  it("run as many at a time as each_parallel says, waits included", function()
    local r, order, most = list { each_parallel = 2 }
    assert.same({ "completed", 2 }, { r.state, most })
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert.equal(9, r:stats().ended - r:stats().started) -- 1 + 3 + 5 beside 2 + 4
  end)

  it("have their deadline from when they get their place", function()
    local r = list { each_parallel = 1, deadline = "6s" }
    assert.equal("completed", r.state)
    r = list { each_parallel = 1, deadline = "4500ms" }
    assert.same({ "failed", "each_failed" }, { r.state, r.error.code })
  end)

  it("are cancelled, go on or all run where too many have failed", function()
    local r, order = list({ each_parallel = 3 }, { true })
    assert.same({ "failed", {} }, { r.state, order })
    r, order = list({ each_parallel = 3, each_on_failure = "drain" }, { true })
    assert.same({ "failed", { 2, 3 } }, { r.state, order })
    r, order = list({ each_parallel = 3, each_on_failure = "continue" }, { true })
    assert.same({ "failed", { 2, 3, 4, 5 } }, { r.state, order })
    assert.matches("1 of 5 items failed, 0 may; the first is item 1", r.error.message)
    r, order = list({ each_on_failure = "drain" }, { true })
    assert.same({ "failed", { 2, 3, 4, 5 } }, { r.state, order }) -- all of them had begun
  end)

  it("say what they wait for", function()
    local w = flow.workflow {}
    w.a = { each = { 1, 2, 3 }, each_parallel = 1, run = function(ctx) ctx:sleep(5) end }
    local rt = flow.runtime { clock = "virtual" }
    local r = flow.start(w, { runtime = rt })
    local look = flow.workflow {}
    look.a = { run = function(ctx) ctx:sleep(1) end }
    flow.run(look, { runtime = rt })
    local said = r:why("a", 3)
    assert.same({ "parallel", 1, 1 }, { said.kind, said.count, said.limit })
    rt:wait(r)
    assert.equal("completed", r.state)
    rt:close()
  end)
end)

describe("a loop", function()
  it("counts with times, and sees the output before", function()
    local seen = {}
    local r = run(function(w)
      w.a = { loop = { times = 3 }, run = function(ctx)
        seen[#seen + 1] = tostring(ctx.previous)
        return ctx.iteration * 10
      end }
      w.b = { loop = { times = 1 }, run = does "b" }
    end, { output = "${nodes.a}" })
    assert.same({ "completed", 30 }, { r.state, r.output })
    assert.same({ "nil", "10", "20" }, seen)
    assert.same({ "b" }, did)
  end)

  it("shows it in every attempt, to templates, and to until beside the new one", function()
    local r = run(function(w)
      w.root = { loop = { ["until"] = "previous and abs(output - previous) < 0.001", max = 50 },
        retry = { max = 60, delay = 0, strategy = "fixed" }, run = function(ctx)
          local x = ctx.previous or 2
          if ctx.attempt == 1 then fails() () end
          return (x + 2 / x) / 2
        end }
      w.text = flow.const { loop = { times = 3 }, value = "${default(previous, 'a')}b" }
    end, { output = { root = "${nodes.root}", text = "${nodes.text}" } })
    assert.equal("completed", r.state)
    assert.is_true(math.abs(r.output.root - math.sqrt(2)) < 0.001)
    assert.equal("abbb", r.output.text)
  end)

  it("keeps that of each item, and nil where there was none", function()
    local r = run(function(w)
      w.a = { each = { 1, 2 }, loop = { times = 3 }, run = function(ctx)
        if ctx.iteration == 1 and ctx.item == 2 then return nil end
        return (ctx.previous or 100) + ctx.item
      end }
    end, { output = "${nodes.a}" })
    assert.same({ 103, 104 }, r.output)
  end)
end)

describe("a list of retry policies", function()
  -- A node whose attempts fail with these errors, one after another, then completes.
  local function tries(retry, list, keys)
    local waits, policies, options = {}, {}, { name = "tries" }
    local w = flow.workflow(options)
    w.a = { retry = retry, deadline = keys and keys.deadline, run = function(ctx)
      if list[ctx.attempt] then flow.error(list[ctx.attempt]) end
      return ctx.attempt
    end }
    local rt = flow.runtime { clock = "virtual" }
    rt:on(function(e)
      if e.event ~= "node_retrying" then return end
      waits[#waits + 1], policies[#policies + 1] = e.delay, e.policy or false
    end)
    local r = flow.start(w, { runtime = rt, journal = true })
    rt:wait(r)
    local recorded = {}
    for _, record in ipairs(r:journal()) do recorded[#recorded + 1] = record.policy end
    rt:close()
    return r, waits, policies, recorded
  end

  local function fixed(t)
    t.strategy, t.jitter = "fixed", "none"
    return t
  end

  local function errors_of(text)
    local list = {}
    for code in text:gmatch "%S+" do list[#list + 1] = { code = code, message = code } end
    return list
  end

  local POLICIES = {
    fixed { on = "busy", max = 2, delay = 5 },
    { on = { "lost", "slow" }, max = 3, delay = 1, factor = 3, jitter = "none" },
    fixed { max = 1, delay = 60 },
  }

  it("counts and waits by the first that fits the error, and says which", function()
    local r, waits, policies, recorded = tries(POLICIES, errors_of "busy lost busy slow other")
    assert.equal("completed", r.state)
    assert.same({ 5, 1, 5, 3, 60 }, waits)
    assert.same({ 1, 2, 1, 2, 3 }, policies)
    assert.same(policies, recorded)
  end)

  it("gives up where that one is used up, though another would take the error", function()
    local r, waits = tries(POLICIES, errors_of "busy busy busy")
    assert.same({ "failed", "busy" }, { r.state, r.error.code })
    assert.same({ 5, 5 }, waits)
    r, waits = tries(POLICIES, errors_of "other busy other")
    assert.same({ "failed", "other" }, { r.state, r.error.code })
    assert.same({ 60, 5 }, waits)
  end)

  it("retries nothing that none of them takes", function()
    local r, waits = tries({ POLICIES[1], POLICIES[2] }, errors_of "other")
    assert.same({ "failed", {} }, { r.state, waits })
  end)

  it("begins anew in every iteration", function()
    local w = flow.workflow {}
    w.a = { loop = { times = 3 },
      retry = { fixed { on = "busy", max = 1, delay = 1 }, fixed { on = "x", max = 1 } },
      run = function(ctx) if ctx.attempt == 1 then fails "busy" () end end }
    assert.equal("completed", flow.run(w, { clock = "virtual" }).state)
  end)

  it("heeds retry_after, bounded by an explicit max_delay, else by an hour", function()
    local function after(seconds) return { { code = "x", message = "x", retry_after = seconds } } end
    local _, waits = tries({ max = 1 }, after(90000))
    assert.same({ 3600 }, waits)
    _, waits = tries({ max = 1, max_delay = 60 }, after(90000))
    assert.same({ 60 }, waits)
    _, waits = tries({ fixed { max = 1, delay = 1, max_delay = 100 } }, after(90000))
    assert.same({ 100 }, waits)
    _, waits = tries("quick", after(20))
    assert.same({ 20 }, waits)
    local r
    r, waits = tries({ max = 1 }, after(500), { deadline = 400 })
    assert.same({ "failed", "deadline", {} }, { r.state, r.error.code, waits })
  end)
end)

-- What the manual says of other tools, over all combinations of two and three dependencies.
describe("what says the same as", function()
  local NAMES = { "a", "b", "c" }

  -- Nodes so that the dependency ends as that.
  local ENDS = {
    C = function(w, name) w[name] = { run = does(name) } end,
    F = function(w, name) w[name] = { run = fails() } end,
    U = function(w, name)
      w["before_" .. name] = { run = fails() }
      w[name] = { after = "before_" .. name, run = does(name) }
    end,
    S = function(w, name) w[name] = { when = "false", run = does(name) } end,
    X = function(w, name)
      w["quick_" .. name] = { run = function() return 1 end }
      w[name] = { run = function(ctx) ctx:sleep(60) end }
      w["cancels_" .. name] = { after = { "quick_" .. name, name }, join = { need = 1, cancel_rest = true },
        run = function() return 1 end }
    end,
  }

  local function each_combination(n, kinds, fn, sofar)
    sofar = sofar or ""
    if #sofar == n then return fn(sofar) end
    for kind in kinds:gmatch "." do each_combination(n, kinds, fn, sofar .. kind) end
  end

  -- `text` with % for the name of each dependency, joined by `word`.
  local function all(text, word)
    return function(n)
      local parts = {}
      for i = 1, n do parts[i] = "(" .. text:gsub("%%", NAMES[i]) .. ")" end
      return table.concat(parts, word)
    end
  end

  local function runs(ends, join, when)
    local w = flow.workflow { on_error = "continue" }
    for i = 1, #ends do ENDS[ends:sub(i, i)](w, NAMES[i]) end
    w.it = { after = table.move(NAMES, 1, #ends, 1, {}), join = join, when = when and when(#ends),
      run = function() return 1 end }
    return flow.run(w, { clock = "virtual" }):states().it == "completed"
  end

  -- n of those that ended so
  local function count(ends, kinds) return select(2, ends:gsub("[" .. kinds .. "]", "")) end

  local function agrees(rules, kinds)
    did = {}
    for name, rule in pairs(rules) do
      for n = 2, 3 do
        each_combination(n, kinds, function(ends)
          local want = rule.want(function(k) return count(ends, k) end, n)
          assert.equal(want, runs(ends, rule.join, rule.when), name .. " of " .. ends)
        end)
      end
    end
  end

  it("Airflow's trigger rules", function()
    agrees({
      all_success = { join = "all_completed", want = function(c, n) return c "C" == n end },
      none_failed_min_one_success = { join = "all",
        want = function(c) return c "FU" == 0 and c "C" > 0 end },
      none_failed = { join = "done", when = all("not errors.%", " and "),
        want = function(c) return c "FU" == 0 end },
      all_failed = { join = "failed", when = all("errors.%", " and "),
        want = function(c, n) return c "FU" == n end },
      one_failed = { join = "failed", want = function(c) return c "FU" > 0 end },
      one_success = { join = "any", want = function(c) return c "C" > 0 end },
      one_done = { join = "done", when = all("states.% ~= 'skipped'", " or "),
        want = function(c) return c "CF" > 0 end },
      all_done = { join = "done", want = function() return true end },
      all_skipped = { join = "done", when = all("states.% == 'skipped' and not errors.%", " and "),
        want = function(c, n) return c "S" == n end },
      none_skipped = { join = "done", when = all("states.% ~= 'skipped' or errors.%", " and "),
        want = function(c) return c "S" == 0 end },
    }, "CFUS")
  end)

  it("the functions of GitHub Actions", function()
    agrees({
      success = { join = "all_completed", want = function(c, n) return c "C" == n end },
      failure = { join = "failed", want = function(c) return c "FUX" > 0 end },
      always = { join = "done", want = function() return true end },
      cancelled = { join = "done", when = function() return "run.cause == 'cancel'" end,
        want = function() return false end }, -- of the run; see below
      not_cancelled = { join = "done", when = function() return "run.cause ~= 'cancel'" end,
        want = function() return true end },
    }, "CFUSX")
    did = {}
    local w = flow.workflow {}
    w.a = { run = function(ctx) ctx:sleep(60) end }
    w.cancelled = { after = "a", join = "done", when = "run.cause == 'cancel'", run = does "cancelled" }
    w.other = { after = "a", join = "done", when = "run.cause ~= 'cancel'", run = does "other" }
    local rt = flow.runtime { clock = "virtual" }
    local r = flow.start(w, { runtime = rt })
    r:cancel()
    rt:wait(r)
    rt:close()
    assert.same({ "cancelled" }, did)
  end)

  it("make, with and without -k", function()
    local function build(on_error)
      did = {}
      local w = flow.workflow { on_error = on_error }
      w.lib = { run = function(ctx) ctx:sleep "1ms" fails() () end }
      w.slow = { run = function(ctx) ctx:sleep(1) did[#did + 1] = "slow" end }
      w.app = { after = { "lib", "slow" }, run = does "app" }
      w.docs = { after = "slow", run = does "docs" }
      w.all = { after = { "app", "docs" }, run = does "all" }
      assert.equal("failed", flow.run(w, { clock = "virtual" }).state)
      return did
    end
    assert.same({ "slow" }, build "drain")
    assert.same({ "slow", "docs" }, build "continue")
    assert.same({}, build "stop")
  end)
end)
