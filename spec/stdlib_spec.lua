-- The node types that come along, run for real; time is virtual where there is any to wait for.
local flow = require "orrery"
local command = require "spec.support.command"
local uv = require "luv"

local function folder()
  return assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/orrery-spec-XXXXXX"))
end

local function remove(path)
  local request = uv.fs_scandir(path)
  while request do
    local name, kind = uv.fs_scandir_next(request)
    if not name then break end
    if kind == "directory" then remove(path .. "/" .. name) else uv.fs_unlink(path .. "/" .. name) end
  end
  uv.fs_rmdir(path)
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- Runs one node and returns its run.
local function run_node(node, options)
  local w = flow.workflow { name = "one", output = "${nodes.it}" }
  w.it = node
  return flow.run(w, options)
end

local function output_of(node, options)
  local run = run_node(node, options)
  assert.equal("completed", run.state, run.error and run.error.message)
  return run.output
end

local function error_of(node, options)
  local run = run_node(node, options)
  assert.equal("failed", run.state)
  return run.error
end

describe("const", function()
  it("outputs a literal or what templates give", function()
    assert.same({ a = { 1, "two" } }, output_of(flow.const { value = { a = { 1, "two" } } }))
    assert.equal(5, output_of(flow.const { "${input.n}" }, { input = { n = 5 } }))
    assert.is_false(output_of(flow.const { value = false }))
  end)
end)

describe("delay", function()
  it("waits for exactly its duration", function()
    local rt = flow.runtime { clock = "virtual" }
    local began = rt:now()
    output_of(flow.delay { "1h30m" }, { runtime = rt })
    assert.equal(5400, rt:now() - began)
  end)

  it("takes its duration from a template, and says what is wrong with one", function()
    local rt = flow.runtime { clock = "virtual" }
    local began = rt:now()
    output_of(flow.delay { "${input.pause}" }, { runtime = rt, input = { pause = "3d" } })
    assert.equal(259200, rt:now() - began)
    local e = error_of(flow.delay { "${input.pause}" }, { input = { pause = "soon" } })
    assert.equal("config_error", e.code)
    assert.matches("duration", e.message)
  end)
end)

describe("log", function()
  it("writes an event of its level", function()
    local seen
    output_of(flow.log { message = "Storm in ${input.city}", level = "warn", fields = { wind = 120 } },
      { input = { city = "Ulm" },
        on_event = function(event) if event.event == "log" then seen = event end end })
    assert.equal("Storm in Ulm", seen.message)
    assert.equal("warn", seen.level)
    assert.same({ wind = 120 }, seen.fields)
  end)
end)

describe("condition and switch", function()
  local function taken(route, input)
    local w = flow.workflow { name = "ways" }
    w.route = route
    for _, name in ipairs { "gold", "silver", "plain", "true", "false" } do
      local known = pcall(function()
        local try = flow.workflow {}
        try.route = route
        try.x = { after = "route:" .. name, run = function() end }
        assert(flow.compile(try))
      end)
      if known then w["on_" .. name] = { after = "route:" .. name, run = function() return name end } end
    end
    local run = flow.run(w, { input = input })
    assert.equal("completed", run.state, run.error and run.error.message)
    local names = {}
    for name in pairs(run:outputs()) do
      if name ~= "route" then names[#names + 1] = name end
    end
    table.sort(names)
    return table.concat(names, " "), run:outputs().route
  end

  it("take one way", function()
    local function check() return flow.condition { "input.n > 1" } end
    assert.equal("on_true", (taken(check(), { n = 2 })))
    assert.equal("on_false", (taken(check(), { n = 1 })))
    assert.equal("on_false", (taken(flow.condition { "input.flag" }, {})))
  end)

  it("try cases in their order, then the default", function()
    local function cases()
      return flow.switch { cases = { { silver = "input.total > 50" }, { gold = "input.total > 100" } },
        default = "plain" }
    end
    local way, output = taken(cases(), { total = 200 })
    assert.same({ "on_silver", "silver" }, { way, output })
    assert.equal("on_plain", (taken(cases(), { total = 5 })))
  end)

  it("take no way where nothing fits and there is no default", function()
    assert.equal("", (taken(flow.switch { cases = { gold = "input.x" } }, {})))
  end)

  it("choose by value", function()
    local function by_value()
      return flow.switch { value = "${input.c}", map = { DE = "gold", FR = "silver" }, default = "plain" }
    end
    assert.equal("on_gold", (taken(by_value(), { c = "DE" })))
    assert.equal("on_plain", (taken(by_value(), { c = "XX" })))
    local by_number = flow.switch { value = "${input.c}", map = { ["1"] = "gold" }, default = "plain" }
    assert.equal("on_gold", (taken(by_number, { c = 1 })))
  end)
end)

describe("merge", function()
  local function merged(node)
    local w = flow.workflow { output = "${nodes.m}" }
    w.a = flow.const { value = node.a }
    w.b = flow.const { value = node.b }
    w.m = flow.merge { after = { "b", "a" }, as = node.as, values = node.values }
    local run = flow.run(w)
    return run.output, run.error
  end

  it("makes one object, array or list", function()
    assert.same({ x = 1, y = 3, z = 4 },
      (merged { a = { x = 1, y = 2 }, b = { y = 3, z = 4 }, as = "object" }))
    assert.same({ 1, 2, 3 }, (merged { a = { 1, 2 }, b = { 3 }, as = "array" }))
    assert.same({ 5, "x" }, (merged { a = 5, b = "x", as = "list" }))
    assert.same({ "x", 5 }, (merged { a = 5, b = "x", as = "list", values = { "${nodes.b}", "${nodes.a}" } }))
  end)

  it("says what does not fit", function()
    local _, e = merged { a = { 1 }, b = { y = 1 }, as = "object" }
    assert.equal("merge_error", e.code)
    assert.matches('as = "%l+" joins %l+s, and one of the values is of type %l+; as = "list"', e.message)
  end)
end)

describe("files", function()
  local dir

  before_each(function() dir = folder() end)
  after_each(function() remove(dir) end)

  it("are read as text, lines and JSON", function()
    write(dir .. "/a.txt", "one\r\ntwo\n\nfour")
    assert.equal("one\r\ntwo\n\nfour", output_of(flow.file.read { path = dir .. "/a.txt" }))
    assert.same({ "one", "two", "", "four" },
      output_of(flow.file.read { path = dir .. "/a.txt", as = "lines" }))
    write(dir .. "/a.json", '{"n": [1, 2.0, null]}')
    assert.same({ n = { 1, 2.0, flow.json.null } },
      output_of(flow.file.read { path = dir .. "/a.json", as = "json" }))
    write(dir .. "/empty", "")
    assert.equal("", output_of(flow.file.read { dir .. "/empty" }))
    assert.same({}, output_of(flow.file.read { path = dir .. "/empty", as = "lines" }))
  end)

  it("that are missing or too large fail the node", function()
    local e = error_of(flow.file.read { path = dir .. "/none" })
    assert.equal("file_error", e.code)
    assert.equal("ENOENT", e.details.errno)
    assert.equal(("cannot open %s/none: no such file or directory"):format(dir), e.message)
    write(dir .. "/big", ("x"):rep(2000))
    e = error_of(flow.file.read { path = dir .. "/big", max_size = 1000 })
    assert.equal("file_too_large", e.code)
    assert.equal("file_error", error_of(flow.file.read { path = dir }).code)
  end)

  it("are written whole, with the folders they need", function()
    local path = dir .. "/deep/er/report.json"
    assert.same({ path = path, bytes = 13 },
      output_of(flow.file.write { path = path, content = { n = 1 }, mkdirs = true }))
    assert.equal('{\n  "n": 1\n}\n', read(path):gsub("\n+$", "\n"))
    assert.same({ "report.json" }, (function()
      local names, request = {}, uv.fs_scandir(dir .. "/deep/er")
      for name in function() return (uv.fs_scandir_next(request)) end do names[#names + 1] = name end
      return names
    end)())
  end)

  it("are read up to max_size, and no byte more", function()
    write(dir .. "/five", "12345")
    assert.equal("12345", output_of(flow.file.read { path = dir .. "/five", max_size = 5 }))
    assert.equal("file_too_large", error_of(flow.file.read { path = dir .. "/five", max_size = 4 }).code)
  end)

  it("are written into a folder that is there with mkdirs, and listed with parts of a second", function()
    for _ = 1, 2 do
      output_of(flow.file.write { path = dir .. "/in/it/a", content = "x", mkdirs = true })
      output_of(flow.file.write { path = dir .. "/in/b", content = "x", mkdirs = true })
    end
    uv.fs_utime(dir .. "/in/b", 1000.5, 1000.5)
    assert.equal(1000.5, output_of(flow.file.list { path = dir .. "/in" })[1].modified)
  end)

  it("keep a mode that the umask forbids, are on the disk first, and leave nothing where it fails", function()
    write(dir .. "/open", "old")
    uv.fs_chmod(dir .. "/open", 438)
    local fs, done, refused = flow.fs, {}, false
    function flow.fs(name, ...)
      if name == "fsync" or name == "rename" then done[#done + 1] = name end
      if name == "rename" and refused then return fs(name, (...), "/proc/none", select(3, ...)) end
      return fs(name, ...)
    end
    local ok, problem = pcall(function()
      output_of(flow.file.write { path = dir .. "/open", content = "new" })
      assert.same({ "fsync", "rename" }, done)
      assert.equal(438, uv.fs_stat(dir .. "/open").mode & 511)
      refused = true
      assert.equal("file_error", error_of(flow.file.write { path = dir .. "/open", content = "newer" }).code)
      assert.equal("new", read(dir .. "/open"))
      assert.equal(1, #output_of(flow.file.list { path = dir, hidden = true }))
    end)
    flow.fs = fs
    assert(ok, problem)
  end)

  it("keep their mode and their links when they are replaced", function()
    write(dir .. "/script", "old")
    uv.fs_chmod(dir .. "/script", 448) -- 0700
    uv.fs_symlink("script", dir .. "/link")
    output_of(flow.file.write { path = dir .. "/link", content = "new" })
    assert.equal("new", read(dir .. "/script"))
    assert.equal("link", uv.fs_lstat(dir .. "/link").type)
    assert.equal(448, uv.fs_stat(dir .. "/script").mode & 511)
  end)

  it("are added to, and not touched where writing fails", function()
    write(dir .. "/log", "a\n")
    output_of(flow.file.write { path = dir .. "/log", content = "b\n", append = true })
    assert.equal("a\nb\n", read(dir .. "/log"))
    local e = error_of(flow.file.write { path = dir .. "/no/such/folder", content = "x" })
    assert.equal("ENOENT", e.details.errno)
  end)

  local function fifo(name)
    assert(os.execute(("mkfifo '%s/%s'"):format(dir, name)))
    return dir .. "/" .. name
  end

  it("that are FIFOs are read until their writers have closed them", function()
    local pipe = fifo "pipe"
    os.execute(("(sleep 0.05; echo one; sleep 0.05; echo two) > '%s' &"):format(pipe))
    assert.same({ "one", "two" }, output_of(flow.file.read { path = pipe, as = "lines" }))
  end)

  it("that are FIFOs without a writer take no thread from others, and end with their timeout", function()
    local w = flow.workflow { name = "fifos", on_error = "continue" }
    for i = 1, 8 do
      w["f" .. i] = flow.file.read { path = fifo("pipe" .. i), timeout = 0.2 }
    end
    write(dir .. "/small", "read")
    w.other = flow.file.read { path = dir .. "/small" }
    local start = uv.hrtime()
    local run = flow.run(w, { runtime = flow.runtime { grace = 120 } })
    assert.is_true(uv.hrtime() - start < 60e9) -- nothing has needed its grace
    assert.equal("completed", run:states().other)
    for i = 1, 8 do assert.equal("timeout", run:errors()["f" .. i].code) end
  end)

  -- What stands for a mount that does not answer: a thread that opens a FIFO nobody writes to.
  local DEAD = [[
    local flow, uv = require "orrery", require "luv"
    local w = flow.workflow { name = "dead", on_error = "continue" }
    local function stuck()
      return flow.await(function(resume)
        local handle = flow.fs("open", "fifo", uv.constants.O_RDONLY, 0, resume)
        return function() handle:unref() return true end
      end)
    end
    for i = 1, 20 do w["f" .. i] = { timeout = 0.3, run = stuck } end
    w.read = flow.file.read { path = "small" }
    w.write = flow.file.write { path = "new", content = "x" }
    w.list = flow.file.list { path = "." }
  ]]

  local function with_dead(code, arguments)
    local start = uv.hrtime()
    local files = { ["w.lua"] = DEAD .. code, small = "read" }
    local result = command.run_with(files, arguments, nil, "mkfifo fifo;")
    assert.is_true(uv.hrtime() - start < 60e9)
    return result
  end

  it("go on being read where many others do not answer, and the process ends", function()
    local result = with_dead([[
      local r = flow.run(w, { runtime = flow.runtime { grace = 0.1 } })
      print(r:states().read, r:states().write, r:states().list, r:errors().f20.code)
    ]], { "w.lua" })
    assert.equal("completed\tcompleted\tcompleted\ttimeout\n", result.out, result.err)
    assert.equal(0, result.code)
    result = with_dead("return w", { "run", "--store", "memory:", "w.lua" })
    assert.equal(1, result.code)
    assert.truthy(result.err:find("3 completed", 1, true), result.err)
  end)

  it("go on where they are given up at once, in virtual time too", function()
    local result = with_dead([[
      local v = flow.workflow { name = "v" }
      v.a = { run = function(ctx)
        flow.fs("open", "fifo", 0, 0, print):unref()
        ctx:sleep "1h"
        return flow.file.read "small"
      end }
      print(flow.run(v, { clock = "virtual" }):outputs().a)
    ]], { "w.lua" })
    assert.equal("read\n", result.out, result.err)
  end)

  it("are closed once a request that may use them is over", function()
    local pipe = fifo "late"
    local fd = uv.fs_open(dir, "r", 0)
    local function is_open() return uv.fs_readlink("/proc/self/fd/" .. fd) == uv.fs_realpath(dir) end
    local opened
    local handle = flow.fs("open", pipe, uv.constants.O_RDONLY, 0, function(_, result) opened = result end)
    handle:close_after(fd)
    flow.sleep(0.05)
    assert.is_true(is_open())
    local writer = uv.fs_open(pipe, uv.constants.O_RDWR, 0)
    for _ = 1, 3000 do
      if not is_open() then break end
      flow.sleep(0.01)
    end
    assert.is_false(is_open())
    uv.fs_close(opened)
    uv.fs_close(writer)
  end)

  it("that are FIFOs or devices are written to, and never replaced", function()
    local pipe = fifo "pipe"
    for _, append in ipairs { false, true } do
      local e = error_of(flow.file.write { path = pipe, content = "x", append = append })
      assert.equal("ENXIO", e.details.errno)
      assert.truthy(e.message:find("nobody reads it", 1, true), e.message)
      os.execute(("cat '%s' > '%s/copy' && : > '%s/done' &"):format(pipe, dir, dir))
      local text = ("0123456789"):rep(30000)
      output_of { retry = { max = 100, delay = 0.02, jitter = "none", strategy = "fixed" },
        run = function() return flow.file.write { path = pipe, content = text, append = append } end }
      while not uv.fs_stat(dir .. "/done") do flow.sleep(0.01) end
      uv.fs_unlink(dir .. "/done")
      assert.equal(text, read(dir .. "/copy"))
    end
    assert.equal("fifo", uv.fs_lstat(pipe).type)
    uv.fs_symlink("pipe", dir .. "/link")
    error_of(flow.file.write { path = dir .. "/link", content = "x" })
    assert.equal("fifo", uv.fs_lstat(pipe).type)
    if not os.execute(("mknod '%s/null' c 1 3 2>/dev/null"):format(dir)) then return end
    output_of(flow.file.write { path = dir .. "/null", content = "x" })
    output_of(flow.file.write { path = dir .. "/null", content = "x", append = true })
    assert.equal("char", uv.fs_lstat(dir .. "/null").type)
    assert.equal("", output_of(flow.file.read { path = dir .. "/null" }))
  end)

  it("that stand for the standard output are written after what is there", function()
    local result = command.run_with({ ["w.lua"] = [[
      local flow = require "orrery"
      print "first"
      io.flush()
      flow.now(flow.file.write { path = "/dev/stdout", content = "second\n" })
      print "third"
    ]] }, { "w.lua" })
    assert.equal(0, result.code, result.err)
    assert.truthy(result.out:find "^first\nsecond\nthird\n", result.out)
  end)

  it("are listed by pattern, kind and depth", function()
    write(dir .. "/b.txt", "12345")
    write(dir .. "/a.txt", "1")
    write(dir .. "/c.lua", "")
    write(dir .. "/.hidden.txt", "")
    uv.fs_mkdir(dir .. "/sub", 493)
    write(dir .. "/sub/d.txt", "")
    local function names(config)
      config.path = dir
      local list = {}
      for i, entry in ipairs(output_of(flow.file.list(config))) do list[i] = entry.path:sub(#dir + 2) end
      return table.concat(list, " ")
    end
    assert.equal("a.txt b.txt c.lua", names {})
    assert.equal("a.txt b.txt", names { pattern = "*.txt" })
    assert.equal("a.txt b.txt sub/d.txt", names { pattern = "?.txt", recursive = true })
    assert.equal("sub", names { kind = "directory" })
    assert.equal(".hidden.txt a.txt b.txt", names { pattern = "*.txt", hidden = true })
    local entry = output_of(flow.file.list { path = dir, pattern = "b.*" })[1]
    assert.same({ "b.txt", "file", 5 }, { entry.name, entry.type, entry.size })
    assert.is_true(math.abs(entry.modified - os.time()) < 60)
    assert.equal("file_error", error_of(flow.file.list { path = dir .. "/none" }).code)
  end)

  it("are listed in the order of the names at every depth, links not followed", function()
    local expected = {}
    for i = 10, 29 do
      uv.fs_mkdir(("%s/f%d"):format(dir, i), 493)
      expected[#expected + 1] = ("f%d"):format(i)
      for j = 10, 40 do
        write(("%s/f%d/%d"):format(dir, i, j), "")
        expected[#expected + 1] = ("f%d/%d"):format(i, j)
      end
      uv.fs_symlink(dir, ("%s/f%d/up"):format(dir, i))
      expected[#expected + 1] = ("f%d/up"):format(i)
    end
    local got = {}
    for i, entry in ipairs(output_of(flow.file.list { path = dir, recursive = true, kind = "any" })) do
      got[i] = entry.path:sub(#dir + 2)
    end
    assert.same(expected, got)
    assert.equal(20, #output_of(flow.file.list { path = dir, recursive = true, kind = "link" }))
  end)

  it("that may not be read are left out of a list where that is asked for", function()
    write(dir .. "/a", "")
    uv.fs_mkdir(dir .. "/shut", 493)
    write(dir .. "/shut/b", "")
    -- A refusal of the system itself, as whoever runs the specs may be allowed everything.
    local fs = flow.fs
    local denied = { EACCES = "permission denied", EPERM = "operation not permitted" }
    for errno, words in pairs(denied) do
      local refused = dir .. "/shut"
      function flow.fs(name, path, callback)
        if name ~= "scandir" or path ~= refused then return fs(name, path, callback) end
        return fs(name, path, function() callback(("%s: %s: %s"):format(errno, words, path)) end)
      end
      local ok, problem = pcall(function()
        local e = error_of(flow.file.list { path = dir, recursive = true })
        assert.same({ "file_error", errno, refused }, { e.code, e.details.errno, e.details.path })
        local found = output_of(flow.file.list { path = dir, recursive = true, kind = "any",
          on_denied = "skip" })
        assert.same({ "a", "shut" }, { found[1].name, found[2].name })
        assert.equal(2, #found)
        refused = dir
        assert.equal(errno, error_of(flow.file.list { path = dir, on_denied = "skip" }).details.errno)
      end)
      flow.fs = fs
      assert(ok, problem)
    end
  end)

  it("are not written where JSON cannot hold the content, and what was there stays", function()
    write(dir .. "/kept", "old")
    local e = error_of { retry = { max = 3, delay = "1h" },
      run = function() return flow.file.write { path = dir .. "/kept", content = { n = { print } } } end }
    assert.same({ "invalid_content", dir .. "/kept", false }, { e.code, e.details.path, e.retryable })
    assert.is_nil(e.traceback)
    assert.matches("^cannot write .*/kept: as JSON, content%.n%[1%]", e.message)
    assert.equal("old", read(dir .. "/kept"))
  end)

  it("have their types under one word, which names the nearest", function()
    local ok, message = pcall(function() return flow.file.lsit end)
    assert.is_false(ok)
    assert.matches('flow.file has no "lsit"; did you mean "list"%?$', message)
    ok, message = pcall(function() return flow.http.putt end)
    assert.is_false(ok)
    assert.matches('stdlib_spec.lua:%d+: flow.http has no "putt"; did you mean "put"%?$', message)
  end)

  it("are left in the middle of a long list where it is cancelled", function()
    for i = 1, 300 do write(("%s/%d"):format(dir, i), "") end
    local e = error_of(flow.file.list { path = dir, timeout = 1e-9 })
    assert.equal("timeout", e.code)
    assert.equal(300, #output_of(flow.file.list { path = dir }))
  end)

  -- The request that was sent has nobody who waits for it, and must not be taken for another's.
  it("are listed after the watchdog has ended a list as it began", function()
    write(dir .. "/a", "")
    local fs, answered, problem = flow.fs, nil, nil
    function flow.fs(name, path, done)
      fs(name, path, function(...) answered, problem = pcall(done, ...) end)
      while true do end
    end
    local ok, e = pcall(error_of, flow.file.list { path = dir, kind = "link", timeout = "20ms" })
    flow.fs = fs
    assert(ok, e)
    assert.equal("timeout", e.code)
    repeat assert.equal(1, #output_of(flow.file.list { path = dir })) until answered ~= nil
    assert(answered, problem)
  end)

  it("may be called inside a handler", function()
    write(dir .. "/a", "inside")
    assert.equal("inside", output_of { run = function() return flow.file.read { path = dir .. "/a" } end })
  end)
end)

describe("another workflow as a node", function()
  local function child()
    local w = flow.workflow { name = "child", input = flow.schema { n = "integer" },
      output = "${nodes.double}" }
    w.double = { run = function(ctx) return ctx.input.n * 2 end }
    return w
  end

  it("outputs what it outputs", function()
    assert.equal(10, output_of(flow.call { workflow = child(), input = { n = "${input.k}" } },
      { input = { k = 5 } }))
    assert.equal(8, output_of { run = function(ctx) return ctx:call(child(), { n = 4 }) end })
  end)

  it("runs once for each item", function()
    assert.same({ 2, 4, 6 },
      output_of(flow.call { each = { 1, 2, 3 }, workflow = child(), input = { n = "${item}" } }))
  end)

  it("is loaded from a file", function()
    local dir = folder()
    write(dir .. "/child.lua", [[
      local flow = require "orrery"
      local w = flow.workflow { name = "file", output = "${nodes.a}" }
      w.a = flow.const { value = "from ${input.who}" }
      return w]])
    assert.equal("from me", output_of(flow.call { workflow = dir .. "/child.lua", input = { who = "me" } }))
    remove(dir)
  end)

  it("does not call itself without end", function()
    local n, w = 0, flow.workflow { name = "self" }
    w.a = { run = function(ctx)
      n = n + 1
      if n > 300 then error "no end" end
      return ctx:call(w)
    end }
    local run = flow.run(w)
    assert.equal("failed", run.state)
    assert.equal(101, n)
  end)

  it("fails its node where its input does not fit", function()
    local e = error_of(flow.call { workflow = child(), input = { n = "x" } })
    assert.matches("input%.n", e.message)
  end)
end)

describe("groups, run", function()
  it("give arrays, objects and last outputs", function()
    local w = flow.workflow { name = "groups",
      output = { list = "${nodes.list}", named = "${nodes.named}", steps = "${nodes.steps}" } }
    w.list = flow.parallel { flow.const { 1 }, flow.const { 2 } }
    w.named = flow.parallel { after = "list", a = flow.const { "x" },
      b = { run = function() return "y" end } }
    w.steps = flow.sequence { { first = flow.const { 20 } },
      { run = function(_, inputs) return inputs.steps_first + 1 end } }
    local run = flow.run(w)
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ list = { 1, 2 }, named = { a = "x", b = "y" }, steps = 21 }, run.output)
  end)

  it("let a failure inside be handled outside", function()
    local w = flow.workflow { name = "handled", on_error = "continue", output = "${nodes.alarm}" }
    w.g = flow.sequence { { run = function() error "no" end }, { run = function() end } }
    w.alarm = { after = "g", join = "failed", run = function() return "alarm" end }
    local run = flow.run(w)
    assert.equal("completed", run.state)
    assert.equal("alarm", run.output)
  end)
end)

describe("a run", function()
  it("of a part leaves the rest out", function()
    local w = flow.workflow { name = "part" }
    w.a = flow.const { 1 }
    w.b = { after = "a", run = function(_, inputs) return inputs.a end }
    w.c = { after = "b", run = function(ctx) return ctx.nodes.b == nil and "no b" or "b" end }
    assert.same({ a = 1, b = 1 }, flow.run(w, { only = "b" }):outputs())
    assert.same({ c = "no b" }, flow.run(w, { from = "c" }):outputs())
  end)

  it("fills in defaults of its input", function()
    local w = flow.workflow { input = flow.schema { n = { type = "integer", default = 3 } },
      output = "${input.n}" }
    w.a = flow.const { 1 }
    assert.equal(3, flow.run(w).output)
  end)

  it("reports its events from first to last", function()
    local w = flow.workflow { name = "told" }
    w.a = flow.const { 1 }
    local names = {}
    flow.run(w, { on_event = function(event) names[#names + 1] = event.event end })
    assert.equal("run_started", names[1])
    assert.equal("run_completed", names[#names])
  end)

  it("lets expressions read what is allowed of the environment", function()
    local w = flow.workflow { env = { "PATH" }, output = "${env.PATH}" }
    w.a = flow.const { "${env.PATH}" }
    local run = flow.run(w)
    assert.equal(os.getenv "PATH", run.output)
    assert.equal(os.getenv "PATH", run:outputs().a)
  end)

  it("fails with the code that a handler gives", function()
    local e = error_of { run = function()
      flow.error { code = "too_wet", message = "it rains", details = { mm = 5 } }
    end }
    assert.equal("too_wet", e.code)
    assert.equal("it rains", e.message)
    assert.same({ mm = 5 }, e.details)
  end)
end)

describe("the plan of the runtime", function()
  it("prints a cycle as the path that closes it", function()
    local w = flow.workflow { name = "round" }
    w.a = { after = "c", run = print }
    w.b = { after = "a", run = print }
    w.c = { after = "b", run = print }
    local problems = flow.check(w)
    assert.equal(1, #problems)
    assert.matches("cycle: %a %-> %a %-> %a %-> %a;", problems[1].message)
    local path = problems[1].message:match "cycle: (.-);"
    assert.is_true(path == "a -> b -> c -> a" or path == "b -> c -> a -> b" or path == "c -> a -> b -> c",
      path)
  end)

  it("agrees with the words for what is wrong with edges", function()
    local w = flow.workflow { name = "edges" }
    w.a = { run = print }
    w.twice = { after = { "a", "a" }, run = print }
    w.s = flow.condition { "true" }
    w.mixed = { after = { "s", "s:true" }, run = print }
    w.self = { after = "self", run = print }
    w.need = { after = "a", join = { need = 2 }, run = print }
    local lines = {}
    for i, problem in ipairs(flow.check(w)) do lines[i] = problem.message end
    assert.same({
      'node "twice": it depends on "a" twice; keep one',
      'node "mixed": it depends on "s" both as a whole and by an outcome; keep one',
      'node "self": it depends on itself; remove it from its own `after` and expressions',
      'node "need": join.need is 2, but it has one dependency; lower it, or give it more to come after',
    }, lines)
  end)
end)
