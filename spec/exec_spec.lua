-- The node type `exec`: what it runs, what it outputs, what it says when it fails, and that nothing
-- of it stays behind. The programs are real and short; where a test waits, it is for a process of
-- its own.
local flow = require "orrery"
local core = require "orrery.core"
local uv = require "luv"

local command = require "spec.support.command"
local patience = require "spec.support.patience"
local one_node = require "spec.support.one_node"
local run, output, failure, contains = one_node.run, one_node.output, one_node.failure, one_node.contains

local function is_gone(pid)
  for _ = 1, 3000 do
    if not command.runs(pid) then return true end
    local co = flow.await(function(resume)
      local timer = uv.new_timer()
      timer:start(10, 0, function() timer:close() resume() end)
    end)
    assert.is_nil(co)
  end
  return false
end

describe("exec", function()
  it("runs a program with its arguments as they are", function()
    local out = output(flow.exec { argv = { "printf", "%s|", "a  b", "$HOME", "*", "", 7 } })
    assert.are.same({ code = 0, stdout = "a  b|$HOME|*||7|", stderr = "" }, out)
  end)

  it("runs a shell's line where asked to", function()
    local out = output(flow.exec { shell = "echo one; echo two >&2" })
    assert.are.same({ code = 0, stdout = "one\n", stderr = "two\n" }, out)
  end)

  it("takes the command without a key", function()
    assert.are.equal(0, output(flow.exec { "true" }).code)
    assert.are.equal(0, output(flow.exec "true").code)
    assert.are.equal("a b X\n",
      output(flow.exec { "echo", "a b", "${input.x}", check = true }, { input = { x = "X" } }).stdout)
  end)

  it("resolves templates in every word", function()
    local node = flow.exec { argv = { "echo", "${input.word}", "x${input.word}" },
      env = { WORD = "${input.word}" } }
    assert.are.equal("moon xmoon\n", output(node, { input = { word = "moon" } }).stdout)
  end)

  it("sets the directory and the environment", function()
    local out = output(flow.exec { shell = 'pwd; echo "$ONE,$HOME,$${PATH:+path}"', cwd = "/usr",
      env = { ONE = "1", HOME = false } })
    assert.are.equal("/usr\n1,,path\n", out.stdout)
    out = output(flow.exec { argv = { "/usr/bin/env" }, env = { ONLY = "this" }, clean_env = true,
      output = "lines" })
    assert.are.same({ "ONLY=this" }, out.stdout)
  end)

  it("feeds standard input, and otherwise leaves it empty", function()
    local text = ("0123456789\n"):rep(20000)
    assert.are.equal(text, output(flow.exec { argv = { "cat" }, stdin = text }).stdout)
    assert.are.equal("", output(flow.exec { argv = { "cat" } }).stdout)
  end)

  it("outputs lines, JSON, or nothing", function()
    assert.are.same({ "a", "b", "c" },
      output(flow.exec { shell = "printf 'a\\nb\\r\\nc'", output = "lines" }).stdout)
    local none = output(flow.exec { shell = "true", output = "lines" }).stdout
    assert.are.equal("[]", flow.json.encode(none))
    assert.are.same({ a = { 1, 2 } },
      output(flow.exec { shell = [[echo '{"a":[1,2]}']], output = "json" }).stdout)
    assert.are.same({ code = 0 }, output(flow.exec { shell = "echo lost; echo lost >&2", output = "none" }))
  end)

  it("says so where the output is not the JSON it should be", function()
    local e = failure(flow.exec { shell = "echo '{\"a\":'", output = "json" })
    assert.are.equal("exec_output", e.code)
    contains(e.message, "its output is not JSON")
    e = failure(flow.exec { shell = "echo '[1,2,3]'", output = "json", limit = 4 })
    contains(e.message, "limit = 4 bytes")
  end)

  it("keeps only the limit and counts the rest", function()
    local out = output(flow.exec { shell = "head -c 1000 /dev/zero", limit = 100 })
    assert.are.equal(("\0"):rep(100), out.stdout)
    assert.is_true(out.truncated)
    assert.are.equal(900, out.dropped)
    out = output(flow.exec { shell = "head -c 1000 /dev/zero; head -c 300 /dev/zero >&2", limit = 100 })
    assert.are.equal(("\0"):rep(100), out.stderr)
    assert.are.equal(1100, out.dropped)
    for _, limit in ipairs { 999, 1000, 1001 } do
      out = output(flow.exec { shell = "head -c 1000 /dev/zero", limit = limit })
      assert.are.equal(math.min(limit, 1000), #out.stdout)
      assert.are.equal(limit == 999 and 1 or nil, out.dropped)
    end
  end)

  it("fails on an exit code, with the command, the code and the last lines of stderr", function()
    local e = failure(flow.exec { shell = "echo first >&2; echo; echo 'gcc: no x.c' >&2; exit 3" })
    assert.are.equal("exit_status", e.code)
    contains(e.message, "exited with code 3")
    contains(e.message, "stderr ends: first | gcc: no x.c")
    assert.are.equal(3, e.details.code)
    contains(e.details.stderr, "gcc: no x.c")
    contains(failure(flow.exec { shell = "echo 'only here'; exit 1" }).message, "stdout ends: only here")
  end)

  it("tells the last lines of both streams and the first that looks like an error", function()
    local e = failure(flow.exec { shell = [[echo '0 errors so far'; echo 'a.c:3: error: no such type'; seq 10 20
      echo 'make: *** [all] Error 1' >&2; exit 2]] })
    contains(e.message, "the first error on stdout: a.c:3: error: no such type; stdout ends: 18 | 19 | 20")
    contains(e.message, "stderr ends: make: *** [all] Error 1")
    contains(e.details.stdout, "19\n20\n")
    e = failure(flow.exec { shell = "echo 'a.c:3: error: no' >&2; exit 1" })
    contains(e.message, "; stderr ends: a.c:3: error: no")
    assert.is_nil(e.message:find("first error", 1, true))
    e = failure(flow.exec { shell = "seq 9000; exit 1" })
    assert.are.equal("9000\n", e.details.stdout:sub(-5))
    contains(failure(flow.exec { shell = "echo why not >&2; exit 1", output = "none", limit = 1 }).message,
      "stderr ends: why not")
    e = failure(flow.exec { shell = "echo terrors; echo no errors; seq 5; exit 1" })
    assert.is_nil(e.message:find("first error", 1, true))
    e = failure(flow.exec { shell = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; exit 1" })
    assert.is_true(#e.message < 3000)
  end)

  it("names the signal that ended a command", function()
    local e = failure(flow.exec { shell = "kill -KILL $$" })
    contains(e.message, "was ended by SIGKILL")
    assert.are.equal("SIGKILL", e.details.signal)
    assert.are.equal(137, e.details.code)
  end)

  it("passes an exit code on with check = false", function()
    assert.are.equal(3, output(flow.exec { shell = "exit 3", check = false }).code)
  end)

  it("tells a missing program, a missing directory and a file that cannot be run apart", function()
    local e = failure(flow.exec { argv = { "orrery-no-such-program", "x" } })
    assert.are.equal("exec_not_found", e.code)
    contains(e.message, "orrery-no-such-program")
    contains(e.message, "PATH")
    e = failure(flow.exec { argv = { "/no/such/program" } })
    assert.are.equal("exec_not_found", e.code)
    e = failure(flow.exec { argv = { "true" }, cwd = "/no/such/folder" })
    assert.are.equal("exec_cwd", e.code)
    assert.is_false(e.retryable)
    contains(e.message, "cwd")
    e = failure(flow.exec { argv = { "/etc/passwd" } })
    assert.are.equal("exec_permission", e.code)
    assert.is_false(e.retryable)
  end)

  it("says of a command that is given too much what to do instead", function()
    local large = ("x"):rep(200000)
    for _, config in ipairs { { argv = { "true", large } }, { shell = "true", env = { A = large } } } do
      local e = failure(flow.exec(config))
      assert.are.equal("exec_too_large", e.code)
      assert.is_false(e.retryable)
      contains(e.message, "the system bounds")
    end
  end)

  it("does not retry what another try cannot mend", function()
    local r = run(flow.exec { argv = { "orrery-no-such-program" }, retry = 3 })
    assert.are.equal(1, r:stats().attempts)
    r = run(flow.exec { shell = "exit 1", retry = { max = 2, delay = 0.001 } })
    assert.are.equal(3, r:stats().attempts)
  end)

  it("refuses a config that is no command", function()
    for _, config in ipairs { { argv = { "a\0b" } }, { argv = { "" } },
      { argv = { {} } }, { shell = "true", env = { ["A=B"] = "x" } },
      { shell = "true", env = { A = {} } } } do
      assert.are.equal("config_error", failure(flow.exec(config)).code)
    end
  end)

  it("finds without running what is no command at all, and leaves templates to the run", function()
    local function mistake(config)
      local w = flow.workflow { name = "exec_spec" }
      w.it = flow.exec(config)
      local problems = flow.check(w)
      return problems[1] and problems[1].message or ""
    end
    for _, config in ipairs { {}, { "true", shell = "true" } } do
      contains(mistake(config), "give the command either as a list")
    end
    contains(mistake { argv = {} }, "argv is empty")
    assert.are.equal("", mistake { argv = "${input.words}" })
    assert.are.equal("", mistake { shell = "${input.line}" })
    local w = flow.workflow { name = "exec_spec" }
    w.it = flow.exec { argv = "${input.words}" }
    assert.are.equal("config_error", flow.run(w, { input = { words = flow.json.array {} } }).error.code)
    local r = run { run = function() return flow.exec {} end }
    assert.are.equal("config_error", r.error.code)
  end)

  it("can be called inside a handler", function()
    local r = run { run = function() return flow.exec({ shell = "echo in" }).stdout end }
    assert.are.equal("in\n", r.output)
  end)

  it("lets others run meanwhile", function()
    local w = flow.workflow { name = "side_by_side", concurrency = 8 }
    local order = {}
    w.slow = flow.exec { shell = "sleep 0.2" }
    w.quick = { run = function() order[#order + 1] = "quick" end }
    w.after_slow = { after = "slow", run = function() order[#order + 1] = "slow" end }
    assert.are.equal("completed", flow.run(w).state)
    assert.are.same({ "quick", "slow" }, order)
  end)
end)

-- The numbers that commands write to a file, which are waited for until there are `n`; none where
-- there are fewer after half a minute.
local function numbers(path, n)
  for _ = 1, 3000 do
    local file <close> = io.open(path)
    local ids = {}
    for id in (file and file:read "a" or ""):gmatch "(%d+)%s" do ids[#ids + 1] = tonumber(id) end
    if #ids >= n then return table.unpack(ids) end
    flow.sleep(0.01)
  end
end

-- A command that writes down two processes and is ended by its node's timeout.
local function times_out(path, options)
  patience.with(0.3, function(seconds)
    options.timeout = seconds
    assert(io.open(path, "w")):close()
    local began = uv.hrtime()
    local e = failure(flow.exec(options))
    assert.are.equal("timeout", e.code)
    assert.is_true((uv.hrtime() - began) / 1e9 < seconds + 40)
    local file <close> = io.open(path)
    if select(2, file:read "a":gsub("%d+%s", "")) < 2 then return false, "the command had not started" end
    local one, other = numbers(path, 2)
    assert.is_true(is_gone(one))
    assert.is_true(is_gone(other))
    return true
  end)
end

describe("a command that is cancelled", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("is gone with all it started, by its node's timeout", function()
    times_out(path, { shell = ("sleep 60 & echo $$ $! >%s; wait"):format(path) })
  end)

  it("is killed where it ignores TERM", function()
    times_out(path, { grace = 0.1,
      shell = ("trap '' TERM; sleep 60 & echo $$ $! >%s; while :; do sleep 0.01; done"):format(path) })
  end)

  it("is ended by the run's cancel, and the run waits for that", function()
    local w = flow.workflow { name = "cancelled" }
    w.it = flow.exec { shell = (
      "sleep 60 & echo $$ $! >%s; trap 'sleep 0.1; echo late >>%s; exit' TERM; wait"):format(path, path) }
    local r = flow.start(w)
    local shell = numbers(path, 2)
    r:cancel()
    flow.runtime():wait(r)
    assert.are.equal("cancelled", r.state)
    local file <close> = io.open(path)
    contains(file:read "a", "late") -- already
    assert.is_true(is_gone(shell))
  end)
end)

describe("what a command starts", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("ends with it in a session of its own too", function()
    times_out(path, {
      shell = ("echo $$ >>%s; setsid sh -c 'echo $$ >>%s; exec sleep 60' & wait"):format(path, path) })
  end)

  it("ends after it, and is told", function()
    local logged = {}
    local w = flow.workflow { name = "left" }
    w.it = flow.exec { shell = ("setsid sh -c 'exec sleep 60' >/dev/null 2>&1 & echo $! >%s"):format(path) }
    local r = flow.run(w, { on_event = function(e) logged[#logged + 1] = e.message end })
    assert.are.equal("completed", r.state)
    contains(table.concat(logged, "\n"), "left a process running, which was ended; detach = true")
    assert.is_true(is_gone((numbers(path, 1))))
  end)

  it("goes on with detach = true", function()
    output(flow.exec { detach = true,
      shell = ("setsid sh -c 'echo $$ >%s; exec sleep 60' >/dev/null 2>&1 &"):format(path) })
    local pid = numbers(path, 1)
    uv.sleep(50)
    assert.are.equal(0, uv.kill(pid, 0))
    uv.kill(pid, "sigkill")
  end)

  it("gets no descriptor of ours", function()
    local file <close> = io.open("/etc/hostname")
    assert.is_truthy(file)
    local out = output(flow.exec { shell = "ls /proc/$$/fd; true", output = "lines" })
    assert.are.same({ "0", "1", "2" }, out.stdout)
  end)
end)

describe("core.spawn", function()
  local function spawned(options)
    return flow.await(function(resume) core.spawn(options, resume) end)
  end

  it("streams chunks as they come", function()
    local seen = {}
    local err, result = spawned { shell = "echo a; sleep 0.05; echo b; echo c >&2", stdout = "stream",
      stderr = "stream",
      on_chunk = function(name, text) seen[name] = (seen[name] or "") .. text end }
    assert.is_nil(err)
    assert.are.same({ stdout = "a\nb\n", stderr = "c\n" }, seen)
    assert.is_nil(result.stdout)
  end)

  it("gives a handle that sends signals and ends the group", function()
    local handle
    local _, result = flow.await(function(resume)
      handle = core.spawn({ shell = "trap 'exit 5' USR1; echo up; while :; do sleep 0.01; done",
        stdout = "stream",
        on_chunk = function() handle:kill "USR1" end }, resume)
    end)
    assert.are.equal(5, result.code)
    assert.are.equal(handle:pid(), result.pid)
    assert.is_false(handle:kill "TERM")
    handle:terminate()
    contains(tostring(handle), "ended")
    assert.has_error(function() handle:kill "NOPE" end)
  end)

  it("does not wait for others that hold the pipe", function()
    local began = uv.hrtime()
    local _, result = spawned { shell = "echo before; sleep 60 & echo $!", linger = 0.1 }
    assert.is_true((uv.hrtime() - began) / 1e9 < 40)
    assert.is_true(result.held)
    contains(result.stdout, "before\n")
    uv.kill(tonumber(result.stdout:match "(%d+)\n$"), "sigkill")
  end)

  it("refuses options that make no sense", function()
    for _, options in ipairs { {}, { argv = "true" }, { argv = {} }, { argv = { 1, {} } },
      { shell = "x", stdout = "file" },
      { shell = "x", limit = -1 }, { shell = "x", grace = "1" .. "s" }, { shell = "x", env = 1 },
      { shell = "x", cwd = {} } } do
      assert.has_error(function() core.spawn(options, print) end)
    end
    assert.has_error(function() core.spawn { shell = "true" } end)
  end)

  it("survives many at once", function()
    local done = 0
    flow.await(function(resume)
      for _ = 1, 60 do
        core.spawn({ argv = { "true" }, stdout = "discard", stderr = "discard" }, function(err, result)
          assert(not err and result.code == 0)
          done = done + 1
          if done == 60 then resume() end
        end)
      end
    end)
    assert.are.equal(60, done)
  end)
end)
