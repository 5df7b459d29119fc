-- Nodes that name the files they read and make: when they are not run, and what they leave behind
-- where they fail.
local flow = require "orrery"
local core = require "orrery.core"
local fileset = require "orrery.fileset"
local command = require "spec.support.command"
local contains = require("spec.support.one_node").contains
local uv = require "luv"

local folder

local function write(name, text)
  local file <close> = assert(io.open(folder .. "/" .. name, "w"))
  file:write(text)
end

local function read(name)
  local file <close> = io.open(folder .. "/" .. name)
  return file and file:read "a"
end

-- So old that its times tell that it was not changed.
local function age(name)
  local path = command.quote(folder .. "/" .. name)
  assert(os.execute(("touch -d '1 hour ago' %s"):format(path)))
end

before_each(function()
  folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/orrery-up-XXXXXX"))
end)
after_each(function() os.execute("rm -r " .. command.quote(folder)) end)

-- Runs a node in the folder, and returns how the run ended, whether it took its output from the
-- cache, and why it did not.
local function runner(config, options)
  options = options or {}
  config.cwd = folder
  local w = flow.workflow { name = "up_to_date", env = options.env }
  w.it = flow.exec(config)
  local rt = options.runtime or flow.runtime { clock = "virtual" }
  return function(input)
    local r = flow.run(w, { runtime = rt, input = input })
    local why = r:why "it"
    return r, why.cache, why.cache_reason
  end
end

-- What is said of each of some runs: "hit", or the reason of the miss.
local function said(run, input)
  local r, how, reason = run(input)
  assert.equal("completed", r.state, r.error and r.error.message)
  return how == "hit" and "hit" or reason
end

local COPY = "echo ran >>log; cat *.c >all"

describe("a command with inputs and outputs", function()
  it("runs once, and then completes with what it output", function()
    write("a.c", "one\n")
    local run = runner { shell = COPY .. "; wc -l <all", inputs = { "*.c" }, outputs = { "all" } }
    local cached = {}
    assert.equal("nothing matches all", said(run))
    local r, how = run()
    assert.equal("hit", how)
    assert.same({ code = 0, stdout = "1\n", stderr = "" }, r:outputs().it)
    assert.equal("ran\n", read "log")
    local w = flow.workflow {}
    w.it = flow.exec { "true", cwd = folder, inputs = { "*.c" } }
    w.after = { after = "it", run = function(_, inputs) return inputs.it.code end }
    local rt = flow.runtime { clock = "virtual" }
    for _ = 1, 2 do
      local done = flow.run(w, { runtime = rt, on_event = function(e)
        if e.event == "node_completed" and e.node == "it" then cached[#cached + 1] = e.cached or false end
      end })
      assert.equal(0, done:outputs().after)
    end
    assert.same({ false, true }, cached)
  end)

  it("runs again where an input has changed, come or gone, and says which", function()
    write("a.c", "one\n")
    local run = runner { shell = COPY, inputs = { "*.c" }, outputs = { "all" } }
    said(run)
    write("a.c", "two\n")
    assert.equal("a.c has changed", said(run))
    write("b.c", "three\n")
    assert.equal("b.c is new", said(run))
    os.remove(folder .. "/a.c")
    assert.equal("a.c is gone", said(run))
    assert.equal("hit", said(run))
    assert.equal("three\n", read "all")
  end)

  it("goes by what is in a file, not by its time", function()
    write("a.c", "one\n")
    local run = runner { shell = COPY, inputs = { "a.c" }, outputs = { "all" } }
    said(run)
    age "a.c"
    age "all"
    assert.equal("hit", said(run))
    write("a.c", "two\n") -- as long, and as old
    age "a.c"
    assert.equal("a.c has changed", said(run))
  end)

  it("runs again where an output is gone or somebody has changed it", function()
    write("a.c", "one\n")
    local run = runner { shell = COPY .. "; echo >more", inputs = { "*.c" }, outputs = { "all", "mor?" } }
    said(run)
    os.remove(folder .. "/more")
    assert.equal("nothing matches mor?", said(run))
    write("all", "mine\n")
    assert.equal("all has changed", said(run))
    write("mort", "")
    assert.equal("mort is new", said(run))
    assert.equal("one\n", read "all")
  end)

  it("runs again with another command or config", function()
    write("a.c", "one\n")
    local run = runner { shell = "echo ${input} >all", inputs = { "a.c" }, outputs = { "all" } }
    said(run, "x")
    assert.equal("hit", said(run, "x"))
    assert.equal("no entry", said(run, "y"))
    assert.equal("all has changed", said(run, "x"))
    assert.equal("x\n", read "all")
  end)

  it("is looked after when the watchdog has ended a look as it began", function()
    local function run(timeout)
      local w = flow.workflow { name = "slow" }
      w.it = flow.exec { shell = COPY, cwd = folder, inputs = { "*.c" }, outputs = { "all" },
        timeout = timeout }
      return flow.run(w)
    end
    for _, name in ipairs { "scandir", "lstat", "open" } do
      write("a.c", name)
      local fs = core.fs
      core.fs = function(what, ...)
        local sent = fs(what, ...)
        while what == name do end -- luacheck: ignore
        return sent
      end
      local ok, r = pcall(run, "20ms")
      core.fs = fs
      assert(ok, r)
      assert.equal("timeout", r.error and r.error.code)
      r = run()
      assert.equal("completed", r.state, r.error and r.error.message)
    end
  end)

  it("needs no outputs, and no inputs", function()
    write("a.c", "one\n")
    local run = runner { shell = "echo ran >>log", inputs = { "*.c" } }
    assert.same({ "no entry", "hit" }, { said(run), said(run) })
    run = runner { shell = "echo >all", outputs = { "all" } }
    assert.same({ "nothing matches all", "hit" }, { said(run), said(run) })
  end)

  it("runs until it leaves a file that is both as it was", function()
    write("a.txt", "b\na\n")
    local run = runner { shell = "echo ran >>log; sort -o a.txt a.txt", inputs = { "a.txt" },
      outputs = { "a.txt" } }
    assert.same({ "no entry", "a.txt has changed", "hit" }, { said(run), said(run), said(run) })
    assert.equal("a\nb\n", read "a.txt")
  end)

  it("notices an input that is changed while it runs", function()
    write("a.c", "one\n")
    local run = runner { shell = "cat a.c >all; echo two >a.c", inputs = { "a.c" }, outputs = { "all" } }
    said(run)
    assert.equal("a.c has changed", said(run))
  end)

  it("is never up to date where a pattern finds nothing, and warns of that", function()
    write("a.c", "one\n")
    local w, warned = flow.workflow {}, {}
    w.it = flow.exec { shell = COPY, cwd = folder, inputs = { "*.c", "*.h" }, outputs = { "all" } }
    local rt = flow.runtime { clock = "virtual" }
    for _ = 1, 2 do
      local r = flow.run(w, { runtime = rt, on_event = function(e)
        if e.level == "warn" then warned[#warned + 1] = e.message end
      end })
      assert.equal("nothing matches *.h", r:why("it").cache_reason)
    end
    assert.equal("ran\nran\n", read "log")
    assert.same({ "nothing matches *.h, so it is never up to date",
      "nothing matches *.h, so it is never up to date" }, warned)
  end)

  it("is never up to date where an input cannot be read", function()
    if uv.getuid() == 0 then
      -- root may read everything, but no link that leads to itself
      assert(uv.fs_symlink("loop.c", folder .. "/loop.c"))
    else
      write("loop.c", "")
      assert(uv.fs_chmod(folder .. "/loop.c", 0))
    end
    local run = runner { shell = "true", inputs = { "*.c" } }
    said(run)
    contains(said(run), "loop.c cannot be read: ")
  end)

  it("takes what a link leads to for the file", function()
    write("real", "one\n")
    write("other", "two\n")
    assert(uv.fs_symlink("real", folder .. "/a.c"))
    assert(uv.fs_symlink("nowhere", folder .. "/b.c"))
    local run = runner { shell = "echo ran >>log; ln -sf real all", inputs = { "*.c" }, outputs = { "all" } }
    assert.same({ "nothing matches all", "hit" }, { said(run), said(run) })
    write("real", "three\n")
    assert.equal("a.c has changed", said(run))
    os.remove(folder .. "/a.c")
    assert(uv.fs_symlink("other", folder .. "/a.c"))
    assert.equal("a.c has changed", said(run))
    write("nowhere", "x")
    assert.equal("b.c is new", said(run))
  end)

  it("is found in a store by later processes", function()
    write("a.c", "one\n")
    write("w.lua", [[
      local flow = require "orrery"
      local w = flow.workflow { name = "kept", output = "${nodes.it.stdout}" }
      w.it = flow.exec { shell = "cat *.c | tee all", inputs = { "*.c" }, outputs = { "all" } }
      w.says = { run = function() end } -- VERSION
      return w]])
    local function run()
      local result = command.run({ "run", "--store", "sqlite:runs.db", "w.lua" }, nil,
        ("cd %s;"):format(command.quote(folder)))
      assert.equal(0, result.code, result.err)
      return result.out, result.err:find("it  completed from the cache", 1, true) ~= nil
    end
    assert.same({ '"one\\n"\n', false }, { run() })
    assert.same({ '"one\\n"\n', true }, { run() })
    write("w.lua", (read("w.lua"):gsub("VERSION", "another")))
    assert.same({ '"one\\n"\n', true }, { run() }) -- its command is the same
    write("a.c", "two\n")
    assert.same({ '"two\\n"\n', false }, { run() })
    assert.same({ '"two\\n"\n', true }, { run() })
    local cleared = command.run { "cache", "clear", "--node", "it", "--store",
      "sqlite:" .. folder .. "/runs.db" }
    assert.equal(0, cleared.code, cleared.err)
    assert.same({ '"two\\n"\n', false }, { run() })
  end)

  it("keeps names that are no UTF-8", function()
    write("\xff.c", "one\n")
    local run = runner { shell = COPY, inputs = { "*.c" }, outputs = { "all" } }
    said(run)
    assert.equal("hit", said(run))
  end)

  it("is not kept where its config has what may be a secret, and cleans up all the same", function()
    write("a.c", "one\n")
    local run = runner({ shell = "echo half >all; exit 1", env = { HOME = "${env.HOME}" }, inputs = { "a.c" },
      outputs = { "all" } }, { env = { "HOME" } })
    local r, _, reason = run()
    assert.equal("failed", r.state)
    assert.equal("its config reads env.HOME, which may be a secret", reason)
    assert.is_nil(read "all")
    run = runner { shell = "true", env = { TOKEN = flow.secret "HOME" }, inputs = { "a.c" } }
    said(run)
    assert.equal("its config has a secret", said(run))
  end)

  it("works inside a handler, without a word of the node", function()
    write("a.c", "one\n")
    local w = flow.workflow {}
    w.it = { run = function()
      local config = { shell = COPY .. "; echo 1", cwd = folder, inputs = { "a.c" }, outputs = { "all" } }
      return flow.exec(config).stdout .. flow.exec(config).stdout
    end }
    local r = flow.run(w, { runtime = flow.runtime { clock = "virtual" } })
    assert.equal("1\n1\n", r:outputs().it)
    assert.equal("ran\n", read "log")
    assert.is_nil(r:why("it").cache)
  end)

  it("finds with `cache` what it output for the same content", function()
    local run = runner { shell = "echo ran >>log; cat a.c", inputs = { "a.c" }, cache = true }
    for i, text in ipairs { "one", "two", "one", "two" } do
      write("a.c", text)
      local r, how = run()
      assert.equal(text, r:outputs().it.stdout)
      assert.equal(i < 3 and "miss" or "hit", how)
    end
    write("a.c", "one")
    run = runner { shell = "cp a.c all", inputs = { "a.c" }, outputs = { "all" },
      cache = { key = "${input}" } }
    assert.same({ "nothing matches all", "hit", "no entry", "hit" },
      { said(run, 1), said(run, 1), said(run, 2), said(run, 1) })
    os.remove(folder .. "/all")
    assert.equal("nothing matches all", said(run, 1))
    assert.equal("key is nil", said(run))
  end)
end)

describe("a command that fails", function()
  local PARTS = { inputs = { "in*" }, outputs = { "out*", "in*", "deep/**", "folder" } }

  local function prepare()
    write("in", "input\n")
    write("out-old", "old\n")
    write("out-changed", "old\n")
    write("out-linked", "old\n")
    write("other", "old\n")
    assert(uv.fs_mkdir(folder .. "/deep", 448))
    assert(uv.fs_symlink("other", folder .. "/out-link"))
  end

  -- Changes or makes one file of each kind.
  local DOES = [[echo half >out-new; echo half >out-changed; echo half >in; echo half >in-new; echo half >other
    mkdir folder deep/er; echo half >deep/er/new; echo half >folder/new; ln -s other out-new-link; ln in out-in;
    mv out-linked moved && ln moved out-linked]]

  local function check()
    assert.is_nil(read "out-new")
    assert.is_nil(read "out-changed")
    assert.is_nil(read "deep/er/new")
    assert.equal("old\n", read "out-old")
    assert.equal("half\n", read "in")
    assert.equal("half\n", read "in-new") -- it is an input as well
    assert.equal("half\n", read "out-in") -- and this is another name of one
    assert.equal("half\n", read "other")
    assert.equal("half\n", read "folder/new") -- a folder matches, not what is in it
    assert.equal("half\n", read "out-link")
    assert.equal("half\n", read "out-new-link")
    assert.equal("directory", uv.fs_lstat(folder .. "/deep/er").type)
  end

  it("leaves none of the outputs that it has made, and nothing else is touched", function()
    prepare()
    local r = runner { shell = DOES .. "; exit 3", inputs = PARTS.inputs, outputs = PARTS.outputs } ()
    assert.equal("failed", r.state)
    assert.equal("exit_status", r.error.code)
    check()
  end)

  it("and one that is cancelled, as soon as it is gone", function()
    prepare()
    local w = flow.workflow { name = "cancelled" }
    w.it = flow.exec { cwd = folder, inputs = PARTS.inputs, outputs = PARTS.outputs,
      shell = "trap 'echo late >out-late; exit' TERM; " .. DOES
        .. "; echo >ready; while :; do sleep 0.01; done" }
    local r = flow.start(w)
    for _ = 1, 1000 do
      if read "ready" then break end
      flow.await(function(resume)
        local timer = uv.new_timer()
        timer:start(10, 0, function() timer:close() resume() end)
      end)
    end
    r:cancel()
    flow.runtime():wait(r)
    assert.equal("cancelled", r.state)
    check()
    assert.is_nil(read "out-late")
  end)

  it("and so does each try of it, before the next", function()
    write("in", "")
    local r = runner { shell = "ls out*; echo half >out; [ -e tried ] || { echo >tried; exit 1; }",
      inputs = { "in" }, outputs = { "out*" }, retry = { max = 1, delay = 0 } } ()
    assert.equal("completed", r.state, r.error and r.error.message)
    assert.equal(2, r:stats().attempts)
    assert.equal("", r:outputs().it.stdout)
  end)

  it("is run again, whatever was known of it", function()
    write("a.c", "one\n")
    local run = runner { shell = "cp a.c all; ! grep two a.c", inputs = { "a.c" }, outputs = { "all" } }
    said(run)
    write("a.c", "two\n")
    assert.equal("failed", run().state)
    assert.is_nil(read "all")
    write("a.c", "one\n")
    assert.equal("nothing matches all", said(run))
    assert.equal("hit", said(run))
  end)
end)

describe("files that are known", function()
  local opened, fs, clock

  before_each(function()
    opened, fs, clock = 0, core.fs, uv.gettimeofday
    core.fs = function(name, ...)
      if name == "open" then opened = opened + 1 end
      return fs(name, ...)
    end
  end)
  after_each(function() core.fs, uv.gettimeofday = fs, clock end) -- luacheck: ignore

  -- The clock stands still from now on, so many seconds from here.
  local function stand(seconds)
    local now = clock() + seconds
    uv.gettimeofday = function() return now, 0 end -- luacheck: ignore
  end

  it("are not read again while size, times and inode are the same", function()
    stand(0)
    for i = 1, 20 do write(i .. ".c", "text " .. i) end
    local run = runner { shell = "cp 1.c all", inputs = { "*.c" }, outputs = { "all" } }
    said(run)
    assert.equal(21, opened)
    local function opened_in_a_run()
      opened = 0
      assert.equal("hit", said(run))
      return opened
    end
    assert.equal(21, opened_in_a_run()) -- too young to be trusted
    stand(3600)
    assert.equal(21, opened_in_a_run())
    assert.equal(0, opened_in_a_run())
    write("7.c", "text 8")
    assert.equal("7.c has changed", said(run))
    assert.equal(2, opened) -- it and the output
  end)

  it("are read again where only the time of the last change of anything tells", function()
    local function dated(text) -- as an archive does that keeps dates
      write("a.c", text)
      uv.fs_utime(folder .. "/a.c", 1e9, 1e9)
    end
    dated "one\n"
    local run = runner { shell = COPY, inputs = { "a.c" }, outputs = { "all" } }
    stand(0)
    said(run)
    opened = 0
    assert.equal("hit", said(run))
    assert.equal(2, opened) -- it was touched a moment ago
    stand(3600)
    said(run)
    flow.sleep(0.05) -- another moment, also where the clock of files is coarse
    dated "two\n"
    assert.equal("a.c has changed", said(run))
  end)

  it("are closed when they have been read", function()
    local function n_open()
      local n, listing = 0, assert(uv.fs_scandir "/proc/self/fd")
      while uv.fs_scandir_next(listing) do n = n + 1 end
      return n
    end
    for i = 1, 20 do write(i .. ".c", "text " .. i) end
    local run = runner { shell = "cp 1.c all", inputs = { "*.c" }, outputs = { "all" } }
    said(run)
    local before = n_open()
    write("7.c", "text")
    said(run)
    assert.equal(before, n_open())
  end)

  it("are read in slices, between which others go on", function()
    local file <close> = assert(io.open(folder .. "/large", "w"))
    for _ = 1, 24 do file:write(("x"):rep(1 << 20)) end
    file:close()
    local w, turns, ended = flow.workflow { concurrency = 2 }, 0, false
    w.it = flow.exec { "true", cwd = folder, inputs = { "large" } }
    w.ends = { after = "it", run = function() ended = true end }
    w.beside = { run = function()
      while not ended do
        turns = turns + 1
        flow.await(function(resume)
          local idle = uv.new_idle()
          idle:start(function() idle:close() resume() end)
        end)
      end
    end }
    assert.equal("completed", flow.run(w).state)
    assert.is_true(turns > 24, turns .. " turns")
  end)
end)

describe("a pattern of files", function()
  local function found(...)
    local patterns = {}
    for i, text in ipairs { ... } do patterns[i] = assert(fileset.pattern(text)) end
    local names, result = {}, fileset.find(patterns, folder, { links = true })
    for path in pairs(result.files) do names[#names + 1] = path end
    table.sort(names)
    local at_once = fileset.find(patterns, folder, { links = true, at_once = true })
    for _, path in ipairs(names) do at_once.files[path] = nil end
    assert.is_nil(next(at_once.files))
    assert.equal(result.problem, at_once.problem)
    return table.concat(names, " "), result.problem
  end

  it("finds files by names, stars and any depth", function()
    for _, name in ipairs { "a", "a/b", "a/b/c", "z", ".git" } do
      assert(uv.fs_mkdir(folder .. "/" .. name, 448))
    end
    for _, name in ipairs { "x.c", "y.h", "a/x.c", "a/b/x.c", "a/b/c/x.c", "a/b/c/.x.c", "z/q.c", ".git/x.c",
      "*.c" } do
      write(name, "")
    end
    assert(uv.fs_symlink("a", folder .. "/linked"))
    assert(uv.fs_symlink("x.c", folder .. "/l.c"))
    assert(uv.fs_symlink(".", folder .. "/round"))
    assert(uv.fs_symlink("../z", folder .. "/a/away"))
    for _, row in ipairs {
      { "x.c", "x.c" }, { "./a//x.c", "a/x.c" }, { "*.c", "*.c l.c x.c" }, { "?.h", "y.h" },
      { "**/x.c", "a/b/c/x.c a/b/x.c a/x.c x.c" }, { "a/**", "a/b/c/x.c a/b/x.c a/x.c" },
      { "a/**/c/*.c", "a/b/c/x.c" }, { "a/**/**/b/*", "a/b/x.c" }, { "*/*.c", "a/x.c z/q.c" },
      { "*/b/x.c", "a/b/x.c" }, { "linked/x.c", "linked/x.c" }, { "linked/*.c", "linked/x.c" },
      { "*/away/q.c", "", "nothing matches */away/q.c" }, { "a/away/q.c", "a/away/q.c" },
      { "**/.x.c", "a/b/c/.x.c" }, { ".git/*", ".git/x.c" }, { "a/../y.h", "a/../y.h" },
      { "a/b/c/.*", "a/b/c/.x.c" },
      { "none", "", "nothing matches none" }, { "a", "", "nothing matches a" }, { "n*/x", "",
        "nothing matches n*/x" },
      { "x.c/y", "", "nothing matches x.c/y" }, { "?/**/b", "", "nothing matches ?/**/b" },
      { folder .. "/y.*", folder .. "/y.h" },
    } do
      assert.same({ row[2], row[3] }, { found(row[1]) }, row[1])
    end
    assert.same({ "x.c y.h", "nothing matches w" }, { found("x.c", "w", "y.h") })
  end)

  it("is checked", function()
    for _, row in ipairs {
      { "", "expected a path or a pattern" }, { 3, "expected a path or a pattern" }, { "a\0b",
        "expected a path" },
      { "a/", 'is a folder; name files, such as "a/**"' }, { "..", "is a folder" }, { "/", 'such as "/**"' },
      { "a*/../b", "goes up again behind a star" }, { ("*"):rep(256), "255 is the most" },
    } do
      local pattern, message = fileset.pattern(row[1])
      assert.is_nil(pattern)
      contains(message, row[2])
    end
    local w = flow.workflow {}
    w.a = flow.exec { "true", inputs = { "src/" } }
    w.b = flow.exec { "true", outputs = { "${input.name}", "*/.." } }
    w.c = flow.exec { "true", outputs = "x" }
    w.d = flow.exec { "true", inputs = { "${input.name}/" } }
    local lines = {}
    for i, problem in ipairs(flow.check(w)) do lines[i] = problem.message end
    local text = table.concat(lines, "\n")
    contains(text, 'node "a": inputs: "src/" is a folder')
    contains(text, 'node "b": outputs: "*/.." goes up again')
    contains(text, 'node "c": exec: ')
    assert.equal(3, #lines, text)
    w = flow.workflow {}
    w.d = flow.exec { "true", inputs = { "${input}/" } }
    local r = flow.run(w, { input = "x" })
    assert.equal("config_error", r.error.code)
    contains(r.error.message, 'exec: inputs: "x/" is a folder')
  end)

  it("stays where a definition that is data may go", function()
    assert(uv.fs_mkdir(folder .. "/in", 448))
    assert(uv.fs_symlink("..", folder .. "/in/up"))
    write("secret", "")
    write("in/a", "")
    local function state(pattern, which)
      local text = flow.json.encode { name = "data", nodes = { { id = "it", type = "exec",
        with = { argv = { "true" }, cwd = folder .. "/in", [which] = { pattern } } } } }
      local w = flow.load { source = text, types = { "exec" }, commands = { "true" },
        paths = { folder .. "/in" } }
      local r = flow.run(w)
      return r.error and r.error.code or r.state
    end
    for _, which in ipairs { "inputs", "outputs" } do
      for _, pattern in ipairs { "../secret", "../*", "up/*", folder .. "/*", "/etc/hostname",
        "up/secret" } do
        assert.equal("not_allowed", state(pattern, which), pattern)
      end
      for _, pattern in ipairs { "a", "*", "./**", folder .. "/in/*" } do
        assert.equal("completed", state(pattern, which), pattern)
      end
    end
  end)
end)

describe("a node type that says which files it reads and makes", function()
  it("is up to date as long as its code is the same as well", function()
    write("a", "one")
    local calls = 0
    local T = flow.type { name = "updated.copy", config = flow.schema { from = "string[]", to = "string[]",
      at = "string" },
      files = { inputs = "from", outputs = "to", folder = "at" },
      run = function(_, config)
        calls = calls + 1
        write(config.to[1], "copy")
        return calls
      end }
    local rt = flow.runtime { clock = "virtual" }
    local function new()
      local w = flow.workflow {}
      w.it = T { from = { "a" }, to = { "b" }, at = folder }
      return function() return flow.run(w, { runtime = rt }):outputs().it end
    end
    local run, other = new(), new()
    assert.same({ 1, 1, 2, 2 }, { run(), run(), other(), other() })
  end)

  it("names keys of its config", function()
    local ok, e = pcall(flow.type, { name = "updated.bad", config = { from = "string[]" },
      files = { inputs = "form", output = "from" }, run = function() end })
    assert.is_false(ok)
    contains(tostring(e), "files.inputs: expected a key of its config")
    contains(tostring(e), 'files: unknown field "output"')
  end)
end)
