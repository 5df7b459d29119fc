-- The command as an interpreter: what the manual of Lua 5.4 says of `lua` (section 7), and what we
-- add.

local command = require "spec.support.command"
local run = command.run

local function script(text, ...)
  local path = command.file(text)
  local result = run({ path, ... })
  os.remove(path)
  return result, path
end

describe("a script", function()
  it("gets its arguments as ... and in arg, with what stood before at negative numbers", function()
    local result, path = script('print(..., #arg, arg[0], arg[2], arg[-1] ~= nil)', "a", "b c")
    assert.are.equal(("a\tb c\t2\t%s\tb c\ttrue\n"):format(path):gsub("a\tb c\t2", "a\t2", 1), result.out)
    assert.are.equal(0, result.code)
  end)

  it("ends with 1 and shows the message and the traceback on stderr when it raises", function()
    local result, path = script("local function f()\n  error('no luck')\nend\nf()")
    assert.are.equal(1, result.code)
    assert.are.equal("", result.out)
    assert.truthy(result.err:find("orrery: " .. path .. ":2: no luck\nstack traceback:", 1, true))
  end)

  it("shows an error that is not text, by its __tostring where it has one", function()
    assert.truthy(script("error(setmetatable({}, {__tostring = function() return 'mine' end}))").err:find(
      "^orrery: mine\n"))
    assert.truthy(script("error({})").err:find("error object is a table value", 1, true))
  end)

  it("shows an error without what a terminal obeys, or hides", function()
    local result = script([[error("a\27[31m\194\155b\226\128\174c\239\187\191d\127é€", 0)]])
    assert.truthy(result.err:find("^orrery: a%?%[31m%?b%?c%?d%?é€\n"), result.err)
    result = script([[warn "@on" warn "x\27]0;t\7"]])
    assert.are.equal("Lua warning: x?]0;t?\n", result.err)
  end)

  it("says where a syntax error is", function()
    local result, path = script("print(1)\nx y")
    assert.are.equal(1, result.code)
    assert.are.equal(("orrery: %s:2: syntax error near 'y'\n"):format(path), result.err)
  end)

  it("may start with a line for the shell", function()
    assert.are.equal("ok\n", script("#!/usr/bin/env orrery\nprint 'ok'").out)
  end)

  it("may end the process with a code", function()
    assert.are.equal(7, script("os.exit(7)").code)
  end)

  it("is looked for under its name, and a missing one is named", function()
    local result = run { "no/such/file.lua" }
    assert.are.equal(1, result.code)
    assert.are.equal("orrery: no such file: no/such/file.lua\n", result.err)
  end)

  it("comes from the standard input where the name is - or nothing is named", function()
    assert.are.equal("in\tx\n", run({ "-", "x" }, "print('in', ...)").out)
    assert.are.equal("in\n", run({}, "print('in')").out)
  end)

  it("may begin with - after --", function()
    local result = command.run_with({ ["-dash.lua"] = "print(1)" }, { "--", "-dash.lua" })
    assert.are.equal("1\n", result.out)
  end)
end)

describe("options", function()
  it("run code and require modules in their order", function()
    local result = run { "-e", "print(lpeg)", "-l", "lpeg", "-lp=lpeg", "-eprint(p == lpeg, type(lpeg.P))" }
    assert.are.equal("nil\ntrue\tfunction\n", result.out)
  end)

  it("stop at the first failure", function()
    local result = run { "-e", "error('one', 0)", "-e", "print 'two'" }
    assert.are.equal(1, result.code)
    assert.are.equal("", result.out)
    assert.truthy(result.err:find("^orrery: one\n"))
  end)

  for _, case in ipairs {
    { { "-x" }, "'-x' is not an option" },
    { { "-vv" }, "'-vv' is not an option" },
    { { "--nonsense" }, "'--nonsense' is not an option" },
    { { "-e" }, "'-e' needs code after it" },
    { { "-l" }, "'-l' needs a module's name after it" },
  } do
    it(("that are wrong are refused with the right ones: %s"):format(table.concat(case[1], " ")), function()
      local result = run(case[1])
      assert.are.equal(2, result.code)
      assert.are.equal("", result.out)
      assert.truthy(result.err:find("orrery: " .. case[2] .. "\nusage:", 1, true))
    end)
  end

  it("-v prints the version and goes on", function()
    assert.truthy(run({ "-v", "-e", "print(1)" }).out:find("^Orrery [%d.]+ %(Lua 5%.4%.%d+%)\n1\n$"))
  end)

  it("-W turns warnings on", function()
    assert.are.equal("", run({ "-e", "warn 'careful'" }).err)
    assert.are.equal("Lua warning: careful\n", run({ "-W", "-e", "warn 'careful'" }).err)
  end)

  it("-E ignores LUA_INIT and LUA_PATH, which count otherwise", function()
    local before = [[export LUA_INIT="print 'init'" LUA_PATH=/nowhere/?.lua;]]
    assert.are.equal("init\n/nowhere/?.lua\n", run({ "-e", "print(package.path)" }, nil, before).out)
    local result = run({ "-E", "-e", "print(package.path)" }, nil, before)
    assert.is_nil(result.out:find("init\n", 1, true))
    assert.is_nil(result.out:find("/nowhere", 1, true))
  end)

  it("LUA_INIT may name a file, and LUA_INIT_5_4 comes first", function()
    local path = command.file("print 'from file'")
    local before = ("export LUA_INIT='error(1)' LUA_INIT_5_4=@%s;"):format(path)
    assert.are.equal("from file\n1\n", run({ "-e", "print(1)" }, nil, before).out)
    os.remove(path)
  end)
end)

describe("the prompt", function()
  local function prompt(input, ...)
    return run({ "-i", "-e", "_PROMPT, _PROMPT2 = '', '+'", ... }, input)
  end
  local function shown(input)
    return (prompt(input).out:gsub("^[^\n]*\n", ""))
  end

  it("prints the values of an expression and nothing for a statement", function()
    assert.are.equal("2\tnil\tx\n\n", shown "1 + 1, nil, 'x'\nlocal y = 1\n")
  end)

  it("goes on reading while a statement is not complete", function()
    assert.are.equal("++1\n2\n\n", shown "for i = 1, 2 do\nprint(i)\nend\n")
  end)

  it("survives errors, also of __tostring and of print, and shows them on stderr", function()
    local result = prompt("error 'one'\nx y\nsetmetatable({}, {__tostring = function() error 'two' end})\n"
      .. "function print() error 'three' end\n4\n")
    assert.are.equal(0, result.code)
    for _, part in ipairs { "one\nstack traceback", "syntax error near 'y'", "two", "three" } do
      assert.truthy(result.err:find(part, 1, true), part)
    end
  end)

  it("takes =x for x, as lua does, also over several lines", function()
    assert.are.equal("5\n\n", shown "=2 + 3\n")
    assert.are.equal("+3\n\n", shown "=1 +\n2\n")
  end)

  it("says what is missing where the input ends within a statement", function()
    assert.truthy(prompt("for").err:find("<name> expected near <eof>", 1, true))
  end)

  it("comes after the script that was named with -i", function()
    local path = command.file("x = 41")
    assert.are.equal("42\n\n", (run({ "-i", path }, "_PROMPT = ''\nx + 1\n").out:gsub("^[^\n]*\n> ", "")))
    os.remove(path)
  end)
end)

describe("the prompt on a terminal", function()
  it("has history and completes names", function()
    if command.shell("script -qec true /dev/null").code ~= 0 then
      pending("script(1) finds no terminal to give here")
    end
    local keys = "40 + 2\n\27[A\nstrin\t.upp\t('x')\nos.exit()\n"
    -- script(1) gives the command a terminal; what is typed is echoed among what is printed.
    local path = command.path:match("^/") and command.path or "$OLD/" .. command.path
    local out = command.shell(('TERM=xterm script -qec "%s" /dev/null'):format(path), keys).out
    local _, answers = out:gsub("\r\n42\r\n", "")
    assert.are.equal(2, answers)
    assert.truthy(out:find("\r\nX\r\n", 1, true))
  end)
end)

describe("modules", function()
  it("of ours are compiled in, and no file of that name comes before them", function()
    local files, names = {}, { "lpeg", "luv", "re", "argparse", "orrery" }
    for _, name in ipairs(names) do files[name .. ".lua"] = "error 'shadow'" end
    local result = command.run_with(files,
      { "-e", "for _, n in ipairs(arg) do require(n) end print 'ok'", "-", table.unpack(names) })
    assert.are.equal("ok\n", result.out .. result.err)
  end)

  it("of the user are found where Lua looks for them", function()
    local result = command.run_with({ ["cli.lua"] = "return 'mine'" }, { "-e", "print((require 'cli'))" })
    assert.are.equal("mine\n", result.out)
  end)

  it("in C that the system has find Lua in the command", function()
    assert.are.equal("string\n", run({ "-e", "print(type(require('lfs').currentdir()))" }).out)
  end)

  it("luv is not loaded by a run that does not require it", function()
    local text = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = { "${nodes.a}", "${nodes.b}", "${nodes.c}" } }
      w.a = { run = function() return package.loaded.luv ~= nil end }
      w.b = { after = "a", run = function() return require "luv" == require "luv" end }
      w.c = { after = "b", run = function() return package.loaded.luv ~= nil end }
      return w]]
    for _, store in ipairs { "memory:", "sqlite:runs.db" } do
      local result = command.run_with({ ["w.lua"] = text }, { "run", "--json", "--store", store, "w.lua" })
      assert.are.equal(0, result.code, result.err)
      assert.truthy(result.out:find('"output":[false,true,true]', 1, true), result.out)
    end
  end)

  it("luv that is required late is on the loop of the runs, and its callbacks fail as others do", function()
    local result = script [[
      warn "@on"
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.late}" }
      w.late = { run = function()
        local uv = require "luv"
        local bad = uv.new_timer()
        bad:start(1, 0, function()
          bad:close()
          error "no luck"
        end)
        return flow.await(function(resume)
          local timer = uv.new_timer()
          timer:start(20, 0, function()
            timer:close()
            resume "rung"
          end)
        end)
      end }
      print(flow.run(w).output, flow.run(w, { clock = "virtual" }).output)]]
    assert.are.equal("rung\trung\n", result.out)
    assert.truthy(result.err:find("no luck", 1, true), result.err)
    assert.are.equal(0, result.code)
  end)

  it("that are missing are named with the places that were searched", function()
    local err = run({ "-e", "require 'no.such'" }).err
    assert.truthy(err:find("module 'no.such' not found:", 1, true))
    assert.truthy(err:find("no embedded module 'no.such'", 1, true))
  end)

  it("orrery.host says what is inside", function()
    local host = require "orrery.host"
    local names = host.embedded()
    local sorted = table.move(names, 1, #names, 1, {})
    table.sort(sorted)
    assert.are.same(sorted, names)
    assert.truthy(table.concat(names, "\n"):find("argparse", 1, true))
    assert.are.equal(require("orrery").version, host.version)
    assert.is_boolean(host.isatty(0))
  end)
end)

-- Says that what follows is to be interrupted.
local BEGUN = "do local f = io.open(os.getenv 'BEGUN', 'w') "
  .. "f:write(require 'luv'.os_getpid(), '\\n') f:close() end "

-- Runs the command and sends it Ctrl-C a moment after it has said that it has begun; again after
-- two seconds where that was too early, and kills it after a minute.
local function interrupted(arguments, input)
  local begun = os.tmpname()
  local result = run(arguments, input, ([[
    (i=0; until [ -s %s ]; do sleep 0.01; [ $((i += 1)) -lt 6000 ] || exit; done; read -r pid <%s
    for i in $(seq 30); do
      sleep 0.1; kill -INT $pid; for k in $(seq 20); do sleep 0.1; kill -0 $pid || exit; done
    done; kill -KILL $pid) >/dev/null 2>&1 & BEGUN=%s]]):format(begun, begun, begun))
  os.remove(begun)
  return result
end

describe("Ctrl-C", function()
  it("raises in a script that runs on and on, so that it ends with a traceback", function()
    local result = interrupted { "-e", BEGUN ..
      "local done <close> = setmetatable({}, {__close = function() print 'closed' end})\n"
      .. "while true do end" }
    assert.are.equal(1, result.code)
    assert.are.equal("closed\n", result.out)
    assert.truthy(result.err:find("orrery: interrupted!\nstack traceback:", 1, true))
  end)

  it("at the prompt ends what runs and not the prompt", function()
    local result = interrupted({ "-i" }, BEGUN .. "while true do end\n'next'\n")
    assert.are.equal(0, result.code)
    assert.truthy(result.err:find("interrupted!", 1, true))
    assert.truthy(result.out:find("next\n", 1, true))
  end)
end)

describe("Ctrl-C at the prompt", function()
  local WAITS = {
    "flow.sleep '60s'",
    "flow.await(function(go) t = uv.new_timer() t:start(60000, 0, go) return function() t:close() end end)",
    "flow.gather { function() flow.sleep(60) end, function() flow.sleep(60) end }",
    "flow.now { run = function() flow.sleep(60) end }",
    "flow.now { run = function() while true do end end }",
    "flow.now { run = function() while true do pcall(function() while true do end end) end end }",
    "coroutine.wrap(function() while true do end end)()",
    "coroutine.wrap(function() flow.sleep(60) end)()",
    "t = uv.new_timer() t:start(60000, 0, print) uv.run() t:close()",
    "while true do pcall(flow.sleep, 60) end",
  }
  for _, line in ipairs(WAITS) do
    it("ends " .. line .. ", and the prompt comes back", function()
      local result = interrupted({ "-i" },
        "flow, uv = require 'orrery', require 'luv'\n" .. BEGUN .. line .. "\n'still' .. 'here'\n")
      assert.are.equal(0, result.code, result.err)
      assert.truthy(result.out:find("stillhere\n", 1, true), result.out)
    end)
  end
end)

describe("a word", function()
  it("that is neither a command nor a file is answered with the nearest command", function()
    local result = run { "rnu" }
    assert.are.equal(2, result.code)
    assert.truthy(result.err:find("'rnu'.*did you mean 'run'%?"))
  end)

  it("that is both a command and a file is the command", function()
    local result = command.run_with({ version = "print 'file'" }, { "version" })
    assert.are.equal(0, result.code)
    assert.is_nil(result.out:find("file", 1, true))
  end)

  it("that is a file only is the script", function()
    local result = command.run_with({ hello = "print 'file'" }, { "hello" })
    assert.are.equal("file\n", result.out)
  end)
end)
