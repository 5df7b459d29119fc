-- Where the output of programs goes: into the log, above a live region, and never among what is
-- printed for programs.
local command = require "spec.support.command"
local flow = require "orrery"
local one_node = require "spec.support.one_node"
local contains = one_node.contains

-- What a node logs: "stream: line".
local function logged(node, options)
  local lines = {}
  options = options or {}
  options.on_event = function(e)
    if e.event == "log" then lines[#lines + 1] = e.fields.stream .. ": " .. e.message end
  end
  local r = one_node.run(node, options)
  table.sort(lines)
  return lines, r
end

describe('output = "log"', function()
  it("puts each line of both streams into the log", function()
    local lines, r = logged(flow.exec { output = "log",
      shell = "echo one; echo two >&2; echo; printf 'three\\r\\nno end'; printf 'x\\377' >&2" })
    assert.same({ "stderr: two", "stderr: x\xff", "stdout: ", "stdout: no end", "stdout: one",
      "stdout: three" },
      lines)
    assert.same({ code = 0 }, r.output)
  end)

  it("is whole, however much it is", function()
    local lines = logged(flow.exec { output = "log", limit = 10,
      shell = "seq 3000; head -c 200000 /dev/zero | tr '\\0' x >&2" })
    local n, long = 0, 0
    for _, line in ipairs(lines) do
      if line:find "^stdout: %d+$" then n = n + 1 else long = long + #line:match "^stderr: (x+)$" end
    end
    assert.same({ 3000, 200000 }, { n, long })
    lines, long = logged(flow.exec { output = "log",
      shell = "printf x; sleep 0.2; head -c 200000 /dev/zero | tr '\\0' x" }), 0
    for _, line in ipairs(lines) do long = long + #line:match "^stdout: (x+)$" end
    assert.equal(200001, long)
  end)

  it("tells the error of a command as ever", function()
    local lines, r = logged(flow.exec { output = "log",
      shell = "echo 'a.c:1: error: no'; seq 10; echo 'make: stopped' >&2; exit 2" })
    assert.equal(12, #lines)
    contains(r.error.message,
      "stderr ends: make: stopped; the first error on stdout: a.c:1: error: no; stdout ends: "
      .. "8 | 9 | 10")
    contains(r.error.details.stdout, "9\n10\n")
  end)

  it("tells the first of several errors", function()
    local _, r = logged(flow.exec { output = "log",
      shell = "echo 'a.c:1: error: no'; echo 'b.c:1: error: no'; seq 10; exit 2" })
    contains(r.error.message, "the first error on stdout: a.c:1: error: no; stdout ends: 8 | 9 | 10")
  end)

  it("has the last words of a command that is cancelled", function()
    local lines, r = logged(flow.exec { output = "log", timeout = 0.5,
      shell = "printf 'half a line'; exec sleep 60" })
    assert.equal("timeout", r.error.code)
    assert.same({ "stdout: half a line" }, lines)
  end)

  it("is shown by orrery logs", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local file <close> = assert(io.open(folder .. "/w.lua", "w"))
    file:write [[local flow = require "orrery"
      local w = flow.workflow { name = "logs" }
      w.it = flow.exec { shell = "echo hello; echo oops >&2", output = "log" }
      return w]]
    file:close()
    local path = command.path:match "^/" and command.path or '"$OLD"/' .. command.path
    local result = command.shell((
      "cd %s; export ORRERY_STORE=sqlite:runs.db; %s run -q w.lua; %s logs --json")
      :format(folder, path, path))
    os.execute("rm -r " .. folder)
    assert.equal("", result.err)
    contains(result.out, '"fields":{"stream":"stdout"},"iteration":1,"level":"info","message":"hello"')
    contains(result.out, '"fields":{"stream":"stderr"},"iteration":1,"level":"info","message":"oops"')
  end)
end)

local LOUD = { ["w.lua"] = [[
  local flow = require "orrery"
  print "a script"
  io.write "writes\n"
  os.execute "echo a program of the script"
  flow.now(flow.exec { "echo", "a node of the script", output = "inherit" })
  local w = flow.workflow { name = "loud", output = "${nodes.after}" }
  w.it = flow.exec { shell = "echo one; echo two >&2", output = "inherit" }
  w.written = flow.file.write { path = "/dev/stdout", content = "a file\n" }
  w.after = { after = { "it", "written" }, run = function()
    print "a handler"
    os.execute "echo a program of the handler"
    return 1
  end }
  return w]] }

describe("what is printed for programs", function()
  local SCRIPT = { "a script", "writes", "a program of the script", "a node of the script" }
  local RUN = { "one", "two", "a file", "a handler", "a program of the handler" }

  local function said(arguments, ...)
    local result = command.run_with(LOUD, arguments)
    assert.equal(0, result.code, result.err)
    for _, texts in ipairs { ... } do
      for _, text in ipairs(texts) do contains("\n" .. result.err, "\n" .. text .. "\n") end
    end
    return result.out
  end

  it("is JSON alone with --json", function()
    local n = 0
    for line in said({ "run", "--json", "w.lua" }, SCRIPT, RUN):gmatch "[^\n]+" do
      assert.equal("string", type(flow.json.decode(line).event), line)
      n = n + 1
    end
    assert.is_true(n > 8)
    assert.equal("loud", flow.json.decode(said({ "plan", "--json", "w.lua" }, SCRIPT)).name)
    assert.equal(0, flow.json.decode(said({ "check", "--json", "w.lua" }, SCRIPT)).count)
  end)

  it("is the graph or the plan alone", function()
    assert.truthy(said({ "plan", "w.lua" }, SCRIPT):find "^loud: 3 nodes")
    assert.truthy(said({ "graph", "w.lua" }, SCRIPT):find "^loud: 3 nodes")
    assert.truthy(said({ "graph", "-f", "dot", "w.lua" }, SCRIPT):find "^digraph")
  end)

  it("may be closed, and that is told", function()
    local result = command.shell(("%s plan --json examples/hello.lua >&-"):format(command.path))
    assert.equal(1, result.code)
    contains(result.err, "the output could not be written")
    result = command.shell(("%s plan examples/hello.lua 2>&-"):format(command.path))
    assert.equal(0, result.code)
    contains(result.out, "hello: ")
  end)

  it("without --json has what a program inherits on the output that it names", function()
    local result = command.run_with(LOUD, { "run", "w.lua" })
    for _, text in ipairs { "one", "a file", "a handler", "a program of the handler" } do
      contains("\n" .. result.out, "\n" .. text .. "\n")
    end
    contains("\n" .. result.err, "\ntwo\n")
  end)
end)

describe("a program that inherits its output beside a live region", function()
  local programs = require "orrery.cli.display.programs"

  local function shown(config, streams)
    local text = {}
    local restore = programs.divert(streams or { "stdout", "stderr" },
      function(line) text[#text + 1] = line end)
    local ok, value = pcall(one_node.output, flow.exec(config))
    restore()
    assert.is_true(ok, tostring(value))
    return table.concat(text), value
  end

  it("is shown line by line, and nothing of it moves a cursor", function()
    assert.equal("one\ntwo\n", (shown { output = "inherit",
      shell = "printf on; sleep 0.05; printf 'e\\ntwo'" }))
    assert.equal("100 %\nred\n?x\n", (shown { output = "inherit",
      shell = [[printf '1 %%\r50 %%\r100 %%\r\n\033[31mred\033[0m\033[2K\n\033]0;title\007\033x\n']] }))
    assert.equal(200000, #shown({ output = "inherit",
      shell = "head -c 200000 /dev/zero | tr '\\0' x" }):gsub("\n", ""))
  end)

  it("keeps what is not shown there, and what goes on alone", function()
    local text, value = shown({ shell = "echo one; echo two >&2", output = "text" })
    assert.same({ "", "one\n", "two\n" }, { text, value.stdout, value.stderr })
    local result = command.shell(("%s -e %s"):format(command.path, command.quote [[
      local flow, programs = require "orrery", require "orrery.cli.display.programs"
      programs.divert({ "stderr" }, function(line) io.stdout:write("[", line, "]\n") end)
      flow.now(flow.exec { shell = "echo one; echo two >&2", output = "inherit" })
      flow.now(flow.exec { shell = "echo three >&2", output = "inherit", detach = true })]]))
    assert.equal("three\n", result.err)
    local lines = {}
    for line in result.out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({ "[two", "]", "one" }, lines)
  end)

  it("does not break the bar of a terminal", function()
    if not os.execute "script -qec true /dev/null >/dev/null 2>&1 </dev/null" then
      return pending "script(1) finds no terminal to give here"
    end
    local path = command.path:match "^/" and command.path or '"$OLD"/' .. command.path
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local file <close> = assert(io.open(folder .. "/w.lua", "w"))
    file:write [[local flow = require "orrery"
      local w = flow.workflow { name = "bar" }
      w.it = flow.exec { shell = "echo out; echo err >&2; sleep 0.5; printf end", output = "inherit" }
      return w]]
    file:close()
    local result = command.shell(
      ("cd %s; export TERM=xterm; script -qec \"%s run --store memory: w.lua\" /dev/null")
      :format(folder, path))
    os.execute("rm -r " .. folder)
    assert.equal(0, result.code)
    -- each line of the program stands behind an erased frame, or before the first, and not within
    -- one
    for _, line in ipairs { "out", "err", "end" } do
      local before = result.out:match("^(.-)" .. line .. "\r\n")
      assert.is_truthy(before, result.out)
      local rest = before:match ".*\27%[J(.-)$" or before:match "^.*\27%[%?25l(.-)$"
      assert.is_truthy(rest and not rest:find "bar" and not rest:find "\27", before)
    end
  end)
end)
