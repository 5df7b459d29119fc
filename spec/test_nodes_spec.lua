-- Tests as nodes: cases that are commands, functions and workflows, suites of them, and reports
-- that are read and written.
local flow = require "orrery"
local one = require "spec.support.one_node"
local patience = require "spec.support.patience"
local place = require "spec.support.place"
local uv = require "luv"

local function output(node, options) return one.output(node, options) end

local function failure(code, node)
  local e = one.failure(node)
  assert.equal(code, e.code)
  return e
end

-- "passed a; failed b (message)" of the cases of an output, or of the details of an error.
local function shown(made)
  local parts = {}
  for i, case in ipairs(made.cases) do
    parts[i] = case.status .. " " .. case.name .. (case.message and (" (%s)"):format(case.message) or "")
  end
  return table.concat(parts, "; ")
end

local function counts(made)
  return { made.total, made.passed, made.failed, made.errors, made.skipped, made.flaky }
end

describe("test.case", function()
  it("passes or fails by the exit code of a command", function()
    local out = output(flow.test.case { "true" })
    assert.same({ "it", "passed", 1 }, { out.name, out.status, out.tries })
    local e = failure("test_failed", flow.test.case { name = "smoke",
      shell = "echo said; echo '  why it failed  ' >&2; exit 3" })
    assert.equal("smoke: exited with code 3:   why it failed  ", e.message)
    assert.same({ "failed", "exit_status", "said\n\n  why it failed  \n" },
      { e.details.status, e.details.type, e.details.output })
    assert.equal("skipped", output(flow.test.case { shell = "exit 77", skip_code = 77 }).status)
    assert.same({ "skipped", "too slow" }, { output(flow.test.case { "false", skip = "too slow" }).status,
      output(flow.test.case { "false", skip = "too slow" }).message })
    assert.equal("passed", output(flow.test.case { "true", skip = false }).status)
  end)

  it("has no verdict of a command that cannot be run, that is killed, or that takes too long", function()
    local function verdict(node)
      local d = failure("test_failed", node).details
      return d.status .. " " .. d.type .. ": " .. d.message
    end
    one.contains(verdict(flow.test.case { "/no/such/program" }), "error exec_")
    assert.equal("error signal: was ended by SIGKILL: half", verdict(flow.test.case {
      shell = "echo half; kill -9 $$" }))
    patience.with(0.2, function(seconds)
      local e = failure("test_failed", flow.test.case { timeout = seconds,
        shell = "echo begun; sleep 1000" })
      local said = ("it: took longer than %gs: begun"):format(seconds)
      return e.message == said and e.details.output == "begun\n", e.message
    end)
  end)

  it("passes where a function returns, unless that is false", function()
    output(flow.test.case { test = function() end })
    one.contains(failure("test_failed", flow.test.case { test = function() error "boom" end }).message,
      "test_nodes_spec.lua:")
    local d = failure("test_failed", flow.test.case { test = function() return false, "not yet" end }).details
    assert.same({ "failed", "not yet" }, { d.status, d.message })
    d = failure("test_failed", flow.test.case { test = function() assert.equal(1, 2) end }).details
    one.contains(d.message, "Expected objects to be equal")
    d = failure("test_failed", flow.test.case { test = function()
      flow.error { code = "odd", message = "one is odd" }
    end }).details
    assert.same({ "odd", "one is odd" }, { d.type, d.message })
    assert.equal("not here", output(flow.test.case { test = function()
      flow.error { code = "test_skipped", message = "not here" }
    end }).message)
    local w = flow.workflow { name = "w", output = "${nodes.t}" }
    w.a = flow.const { value = 7 }
    w.t = flow.test.case { after = "a", test = function(_, inputs) assert(inputs.a == 7) end }
    assert.equal("completed", flow.run(w).state)
  end)

  it("ends a function that takes too long where it waits", function()
    local ended = false
    local e = failure("test_failed", flow.test.case { timeout = "100ms", test = function()
      local _ <close> = setmetatable({}, { __close = function() ended = true end })
      flow.sleep(1000)
    end })
    assert.same({ "it: took longer than 0.1s", "error", true }, { e.message, e.details.status, ended })
    assert.equal("passed", output(flow.test.case { timeout = "1000s",
      test = function() flow.sleep(0.001) end }).status)
  end)

  it("is a workflow that completes", function()
    local child = flow.workflow { name = "child" }
    child.a = { run = function(ctx) assert(ctx.input == 5, "input is " .. tostring(ctx.input)) end }
    output(flow.test.case { workflow = child, input = 5 })
    one.contains(failure("test_failed", flow.test.case { workflow = child, input = 6 }).message, "input is 6")
  end)

  it("tries again, and tells that it did", function()
    local tries = 0
    local node = flow.test.case { retries = 3, test = function()
      tries = tries + 1
      assert(tries == 3, "not yet")
    end }
    local out = output(node)
    assert.same({ "passed", 3, true }, { out.status, out.tries, out.flaky })
    assert.equal(2, failure("test_failed", flow.test.case { "false", retries = 1 }).details.tries)
  end)

  it("gives references to what it runs", function()
    local seen = {}
    local child = flow.workflow { name = "child" }
    child.a = { run = function(ctx) seen.child = ctx.context end }
    local w = flow.workflow { name = "w", output = "${nodes.s}" }
    w.s = flow.test.suite { each = { "x", "y" }, item_name = "${item}", name = "suite ${item}", cases = {
      flow.test.case { name = "fn", test = function(ctx)
        seen.fn = ctx.context
        ctx:call(child)
        assert(ctx.node == "s" and ctx.item and ctx:now() > 0)
        assert(not pcall(function() ctx.context = 1 end))
      end },
      flow.test.case { name = "cmd", items = { { name = "i", n = 1 } },
        shell = 'test "$ORRERY_SUITE $ORRERY_CASE $ORRERY_TRY" = "suite $WANTED cmd[i] 1" '
          .. '&& test "$ORRERY_ITEM" = \'{"n":1,"name":"i"}\'', env = { WANTED = "${item}" } },
    } }
    local run = flow.run(w, { context = { tenant = "t" } })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ "t", "suite y", "s", "y", "fn", 1, "y" }, { seen.fn.tenant, seen.fn.suite.name,
      seen.fn.suite.node, seen.fn.suite.item, seen.fn.case.name, seen.fn.case.try, seen.fn.item })
    assert.same(seen.fn, seen.child)
  end)

  it("is cancelled with its run, and has no verdict then", function()
    local p <close> = place.new()
    local calls
    local function test()
      calls = calls + 1
      p:write("pid", "")
      flow.sleep(1000)
    end
    for _, case in ipairs {
      { shell = "echo $$ >pid; exec sleep 1000", cwd = p.folder },
      { timeout = "1000s", test = test },
      { test = test },
    } do
      calls = 0
      os.remove(p.folder .. "/pid")
      local w = flow.workflow { name = "w" }
      w.it = flow.test.case { retries = 5, with = case }
      local run = flow.start(w)
      p:until_true(function() return uv.fs_stat(p.folder .. "/pid") end)
      run:cancel()
      flow.runtime():wait(run)
      assert.equal("cancelled", run:states().it)
      assert.equal(case.test and 1 or 0, calls) -- and it is not tried again
      local pid = tonumber(p:read "pid")
      if pid then
        p:until_true(function() return not uv.kill(pid, 0) or not uv.fs_stat("/proc/" .. pid) end)
      end
    end
  end)

  it("says what is wrong with its config", function()
    local function problem(node)
      local w = flow.workflow { name = "w" }
      w.it = node
      return flow.check(w)[1].message
    end
    one.contains(problem(flow.test.case {}), "give it one thing to do: a command (argv or shell), test or")
    one.contains(problem(flow.test.case { "true", shell = "true" }), "it has argv and shell")
    one.contains(problem(flow.test.suite { flow.const { 1 }, flow.test.case { "true", retry = 2 } }),
      '"retry" is a key of a node')
    one.contains(problem(flow.test.suite {}), "it has no tests: give it cases, a command (argv or shell)")
    one.contains(problem(flow.test.suite { flow.test.case { "true" }, shell = "true" }), "not both")
    one.contains(problem(flow.test.suite { shell = "true", filter = "a" }), "filter is for cases")
    one.contains(problem(flow.test.suite { cases = "${input.list}" }), "by its items")
    one.contains(failure("config_error", flow.test.suite { flow.const { 1 } }).message, "and one is const")
    failure("config_error", flow.test.case { "true", items = { 1 } })
  end)
end)

describe("test.suite", function()
  it("runs its cases and counts them", function()
    local n = 0
    local out = output(flow.test.suite { name = "unit", check = false, retries = 1,
      flow.test.case { name = "a", test = function() end },
      flow.test.case { name = "b", test = function() error("no", 0) end },
      flow.test.case { name = "c", test = function()
        n = n + 1
        assert(n > 1)
      end },
      flow.test.case { name = "d", "/no/such/program" },
      flow.test.case { name = "e", "true", skip = true },
      flow.test.case { name = "f", items = { 1, "x", { name = "y" }, { z = 1 } }, test = function() end },
    })
    assert.same({ 9, 6, 1, 1, 1, 1 }, counts(out))
    one.contains(shown(out), "passed a; failed b (no); passed c; error d (")
    one.contains(shown(out), "; skipped e; passed f[1]; passed f[x]; passed f[y]; passed f[4]")
    assert.is_true(out.seconds >= 0 and out.cases[1].seconds >= 0)
  end)

  it("fails where a case did, with what failed, and after its report is written", function()
    local p <close> = place.new()
    local report = p.folder .. "/out/unit.xml"
    local e = failure("tests_failed", flow.test.suite { name = "unit", report = report,
      properties = { os = "x" },
      flow.test.case { name = "a", "true" },
      flow.test.case { name = "b", test = function() error("no\nmore", 0) end },
      flow.test.case { name = "c", "false" } })
    assert.equal("unit: 2 of 3 cases failed: b (no); c (exited with code 1); the report is " .. report,
      e.message)
    assert.same({ 3, 1, 2, 0, 0, 0 }, counts(e.details))
    assert.equal("failed b (no\nmore); failed c (exited with code 1)", shown(e.details))
    local cases = output(flow.test.suite { results = report, check = false }).cases
    assert.same({ "a", "passed", "b", "failed", "c", "failed" }, { cases[1].name, cases[1].status,
      cases[2].name, cases[2].status, cases[3].name, cases[3].status })
    one.contains(p:read "out/unit.xml", '<property name="os" value="x"/>')
  end)

  it("tells of a report that cannot be written", function()
    local function suite(argv)
      return flow.test.suite { report = "/dev/full", flow.test.case { argv = argv } }
    end
    if not io.open "/dev/full" then return pending "there is no /dev/full here" end
    assert.equal("ENOSPC", failure("file_error", suite { "true" }).details.errno)
    one.contains(failure("tests_failed", suite { "false" }).message,
      "; and its report could not be written: ")
  end)

  it("runs so many cases at a time, in their order", function()
    local now, most, order = 0, 0, {}
    local function case(i)
      return flow.test.case { name = tostring(i), test = function(ctx)
        order[#order + 1] = ctx.context.case.name
        now = now + 1
        most = math.max(most, now)
        ctx:sleep(0.005)
        now = now - 1
      end }
    end
    for _, parallel in ipairs { 1, 3 } do
      local list = {}
      for i = 1, 9 do list[i] = case(i) end
      most, order = 0, {}
      assert.equal(9, output(flow.test.suite { cases = list, parallel = parallel }).passed)
      assert.same({ parallel, "1 2 3 4 5 6 7 8 9" }, { most, table.concat(order, " ") })
    end
  end)

  it("begins no further case after a failure where that is asked for", function()
    local e = failure("tests_failed", flow.test.suite { fail_fast = true,
      flow.test.case { name = "a", "true" }, flow.test.case { name = "b", "false" },
      flow.test.case { name = "c", test = function() error "ran" end } })
    assert.same({ 3, 1, 1, 0, 1, 0 }, counts(e.details))
  end)

  it("runs those whose names fit", function()
    local function names(filter)
      local out = output(flow.test.suite { filter = filter, allow_empty = true,
        flow.test.case { name = "http get", "true" }, flow.test.case { name = "http put", "true" },
        flow.test.case { name = "file", items = { "a", "b" }, shell = "true" } })
      return shown(out)
    end
    assert.equal("passed http get; passed http put", names "http*")
    assert.equal("passed http put; passed file[b]", names { "*put", "*b*" })
    assert.equal("passed http get; passed file[a]", names { "!*put", "!*[b]" })
    assert.equal("", names "none")
    local e = failure("no_tests", flow.test.suite { filter = "none", flow.test.case { name = "a", "true" } })
    assert.equal("it: there was no test to run; filter leaves none", e.message)
    failure("config_error", flow.test.suite { filter = ("x"):rep(300), flow.test.case { name = "a",
      "true" } })
  end)

  it("bounds a case, and the whole, and reports all the same", function()
    local p <close> = place.new()
    local e = failure("tests_failed", flow.test.suite { case_timeout = "100ms",
      flow.test.case { name = "a", test = function() flow.sleep(1000) end },
      flow.test.case { name = "b", "true", timeout = "100s" } })
    assert.equal("error a (took longer than 0.1s)", shown(e.details))
    patience.with(0.2, function(seconds)
      e = failure("tests_failed", flow.test.suite { timeout = seconds, report = p.folder .. "/r.xml",
        flow.test.case { name = "a", test = function() flow.sleep(1000) end, retries = 3 },
        flow.test.case { name = "b", "true" } })
      return shown(e.details) == "error a (it had not ended when the time of the suite was over); "
        .. "error b (not run: the time of the suite is over)", shown(e.details)
    end)
    one.contains(p:read "r.xml", 'errors="2"')
  end)

  it("does not run again, after a crash, what had ended", function()
    local p <close> = place.new { ["w.lua"] = [[
      local flow, uv = require "orrery", require "luv"
      local w = flow.workflow { name = "w", output = "${nodes.t}" }
      w.t = flow.test.suite { report = "r.xml",
        flow.test.case { name = "a", shell = "echo a >>did" },
        flow.test.case { name = "b", shell = "echo b >>did; exit 1", retries = 1 },
        flow.test.case { name = "c", test = function(ctx)
          ctx:step("note", function() os.execute "echo c >>did" end)
          if not io.open "crashed" then
            io.open("crashed", "w"):close()
            uv.kill(uv.os_getpid(), "sigkill")
          end
        end },
        flow.test.case { name = "d", shell = "echo d >>did" },
        flow.test.case { name = "e", workflow = "child.lua" } }
      return w]], ["child.lua"] = [[
      local flow, uv = require "orrery", require "luv"
      local w = flow.workflow { name = "child" }
      w.a = { run = function()
        if io.open "crashed again" then return end
        io.open("crashed again", "w"):close()
        uv.kill(uv.os_getpid(), "sigkill")
      end }
      w.b = { after = "a", run = function(ctx) os.execute("echo " .. ctx.context.case.name .. " >>did") end }
      return w]] }
    assert.equal(137, p:orrery("run", "--store", "sqlite:" .. p.db, "w.lua").code)
    local id = p:newest()
    assert.equal(137, p:orrery("resume", "--store", "sqlite:" .. p.db, id).code)
    local result = p:orrery("resume", "--store", "sqlite:" .. p.db, id)
    one.contains(result.err, "1 of 5 cases failed: b (exited with code 1)")
    assert.same({ a = 1, b = 2, c = 1, d = 1, e = 1 }, p:counts())
    one.contains(p:read "r.xml", 'failures="1"')
  end)

  it("is made once for each item of a matrix", function()
    local p <close> = place.new()
    local w = flow.workflow { name = "w" }
    w.t = flow.test.suite { each = { "5.3", "5.4" }, item_name = "lua ${item}", each_on_failure = "continue",
      report = p.folder .. "/${item}.xml", flow.test.case { name = "runs", shell = "test ${item} = 5.4" } }
    w.all = flow.test.suite { after = "t", join = "done", results = p.folder .. "/*.xml", check = false,
      report = p.folder .. "/all/report.xml" }
    local run = flow.run(w)
    assert.equal("failed", run.state)
    assert.same({ 2, 1, 1, 0, 0, 0 }, counts(run:outputs().all))
    one.contains(p:read "all/report.xml", 'name="t[lua 5.3]"')
    one.contains(p:read "all/report.xml", 'name="t[lua 5.4]"')
  end)
end)

describe("test.suite of a command", function()
  local function tap(text, rest) return flow.test.suite { shell = ("printf '%s'%s"):format(text,
    rest or "") } end

  it("takes TAP from stdout", function()
    assert.same({ 3, 2, 0, 0, 1, 0 }, counts(output(tap "1..3\\nok 1 - a\\nok 2 - b # SKIP x\\nok 3 - c\\n")))
    local e = failure("tests_failed", tap("1..2\\nok 1 - a\\nnot ok 2 - b\\n", "; exit 1"))
    assert.same({ 2, 1, 1, 0, 0, 0 }, counts(e.details))
    assert.equal("failed b", shown(e.details))
    assert.equal("from env", output(flow.test.suite { name = "s x", argv = { "sh", "-c",
      'test "$ORRERY_SUITE" = "s x" && echo "1..1\nok - from env"' } }).cases[1].name)
  end)

  it("says where the command failed and its tests did not", function()
    one.contains(failure("tests_failed", tap("1..1\\nok 1 - a\\n", "; echo oops >&2; exit 4")).message,
      "1 of 2 cases failed: printf")
    local e = failure("tests_failed", tap("1..3\\nok 1 - a\\n", "; kill -9 $$"))
    one.contains(shown(e.details), "(it planned 3 tests, and 1 ran); error printf")
    one.contains(shown(e.details), "(was ended by SIGKILL: ok 1 - a)")
    one.contains(failure("tests_failed", flow.test.suite { argv = { "/no/such/program" } }).message,
      "it: 1 of 1 cases failed: /no/such/program (")
    one.contains(failure("tests_failed", flow.test.suite { shell = "echo hello" }).message,
      "there are no tests in it")
  end)

  it("keeps what was reported when its time is over", function()
    patience.with(0.2, function(seconds)
      local e = failure("tests_failed", flow.test.suite { timeout = seconds,
        shell = "echo ok 1 - a; echo not ok 2 - b; sleep 1000" })
      if e.details.total ~= 4 then return false, shown(e.details) end
      assert.same({ 4, 1, 1, 2, 0, 0 }, counts(e.details))
      one.contains(shown(e.details), "failed b; error")
      one.contains(shown(e.details), ("(took longer than %gs: not ok 2 - b)"):format(seconds))
      return true
    end)
  end)

  it("takes the reports that it writes, and none that are older", function()
    local p <close> = place.new {
      ["ok.xml"] = '<testsuite name="s"><testcase name="a" time="1"/></testsuite>' }
    local function suite(shell, results)
      return flow.test.suite { shell = shell, cwd = p.folder, results = results or "out/*.xml" }
    end
    assert.equal("passed a", shown(output(suite "mkdir -p out; cp ok.xml out/a.xml")))
    assert(uv.fs_utime(p.folder .. "/out/a.xml", 1000, 1000))
    local e = failure("tests_failed", suite "true")
    assert.equal("error out/*.xml (the command wrote no report; 1 that it finds are older than its start)",
      shown(e.details))
    e = failure("tests_failed", suite("true", "none.xml"))
    one.contains(shown(e.details), "error none.xml (there is no report: no file has such a name)")
    e = failure("tests_failed", suite "cp ok.xml out/b.xml; head -c 40 ok.xml >out/c.xml; exit 1")
    assert.same({ 2, 1, 0, 1, 0, 0 }, counts(e.details))
    one.contains(shown(e.details), "/out/c.xml (1:21: unclosed token)")
    assert.equal(2, output(suite("touch out/a.xml; cp ok.xml d.xml; rm out/c.xml", { "d.xml", p.folder
      .. "/out/a.xml" })).total)
    p:write("t.tap", "1..1\nnot ok 1 - x\n")
    one.contains(failure("tests_failed", flow.test.suite { results = p.folder .. "/*.*" }).message,
      "1 of 3 cases failed: x")
    one.contains(failure("tests_failed", flow.test.suite { results = p.folder .. "/t.tap",
      max_size = 3 }).message,
      "larger than 3 bytes")
  end)

  it("reads a large report within its time", function()
    local p <close> = place.new()
    local parts = { '<testsuites><testsuite name="s">' }
    for i = 1, 20000 do
      parts[#parts + 1] = ('<testcase classname="c" name="n%d" time="0.1"/>\n'):format(i)
    end
    p:write("a.xml", table.concat(parts) .. "</testsuite></testsuites>")
    assert.equal(20000, output(flow.test.suite { results = p.folder .. "/a.xml" }).passed)
  end)
end)

describe("tests in a definition that is data", function()
  local function code(node, allowed)
    local options = { source = flow.json.encode { name = "d", nodes = { node } }, types = { "test.*" } }
    for key, value in pairs(allowed) do options[key] = value end
    local run = flow.run(flow.load(options))
    return run.error and run.error.code
  end

  it("reach what its loader allows", function()
    local p <close> = place.new { ["a.tap"] = "1..1\nok 1\n" }
    local function suite(with) return { id = "t", type = "test.suite", with = with } end
    local case = { type = "test.case", with = { argv = { "true" } } }
    assert.is_nil(code(suite { cases = { case } }, { commands = { "true" } }))
    assert.equal("not_allowed", code(suite { cases = { case } }, { commands = { "false" } }))
    assert.equal("not_allowed", code({ id = "t", type = "test.case", with = { shell = "true" } }, {}))
    assert.is_nil(code(suite { results = p.folder .. "/*.tap" }, { paths = { p.folder } }))
    assert.equal("not_allowed", code(suite { results = "/etc/*.tap" }, { paths = { p.folder } }))
    assert.equal("not_allowed", code(suite { results = p.folder .. "/*.tap", report = "/etc/x" },
      { paths = { p.folder } }))
    assert.equal("not_allowed", code({ id = "t", type = "test.case", with = { workflow = "x.lua" } }, {}))
  end)
end)
