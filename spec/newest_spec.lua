-- The newest run is meant where none is named, and a run may be tried out by a clock that jumps.
local command = require "spec.support.command"

local FLOW = [[local flow = require "orrery"
local w = flow.workflow { name = "w", input = { n = "string" } }
w.first = { run = function(ctx)
  ctx:log("info", "log of " .. ctx.input.n)
  if ctx.input.n == "two" then error "no" end
end }
w.child = { after = "first", run = function(ctx) return ctx:call("child.lua") end }
return w
]]
local CHILD = [[local flow = require "orrery"
local w = flow.workflow { name = "child" }
w.only = { run = function() return 1 end }
return w
]]

local function try(lines)
  local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
  return command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir; unset ORRERY_STORE
    printf '%%s' %s >w.lua; printf '%%s' %s >child.lua; orrery=%s
    %s]]):format(command.quote(FLOW), command.quote(CHILD), path, lines)).out
end

describe("the newest run", function()
  it("is meant by show, logs and why without an id, and by @last", function()
    local out = try [[
      $orrery run w.lua -q -i n=one >/dev/null; $orrery run w.lua -q -i n=two >/dev/null 2>&1
      for words in show "show @last" logs "logs @last" why "why first" "why @last first"; do
        echo "== $words"; $orrery $words 2>&1; done; echo "=="]]
    local count = 0
    for words, text in (out .. "\n"):gmatch "== ([^\n]+)\n(.-)%f[=\0]" do
      count = count + 1
      assert.is_true(text:find(words:find "logs" and "log of two" or "first", 1, true) ~= nil, words .. text)
    end
    assert.equal(7, count)
    assert.is_nil(out:find("log of one", 1, true))
    assert.equal(2, select(2, out:gsub("log of two", "")), out)
  end)

  it("is no child of another", function()
    local out = try [[$orrery run w.lua -q -i n=one >/dev/null; $orrery show --json]]
    assert.is_true(out:find('"workflow":"w"', 1, true) ~= nil, out)
  end)

  it("is run again by retry", function()
    local out = try [[
      $orrery run w.lua -q -i n=one >/dev/null; $orrery run w.lua -q -i n=two >/dev/null 2>&1
      $orrery retry 2>&1; echo "code $?"; $orrery retry @last 2>&1; echo "code $?"; $orrery logs]]
    assert.is_true(out:find("code 1\n.*code 1\n") ~= nil, out)
    assert.equal(5, select(2, out:gsub("info: log of two", "")), out)
  end)

  it("is told to be missing where there is none", function()
    local out = try [[$orrery run w.lua -q -i n=one >/dev/null; $orrery prune --before 0s --yes >/dev/null 2>&1
      $orrery show @lost 2>&1; echo "code $?"]]
    assert.is_true(out:find("'@lost' is no id of a run", 1, true) ~= nil, out)
  end)
end)

describe("run --clock virtual", function()
  it("takes no time for waits, and keeps nothing", function()
    local out = try [[
      echo 'local flow = require "orrery" local w = flow.workflow { name = "v", output = "${nodes.b}" }
        w.a = flow.delay { "30d" } w.b = { after = "a", run = function() return "late" end } return w' >v.lua
      $orrery run v.lua --clock virtual -q; echo "code $?"; test -e .orrery; echo "kept $?"
      $orrery run v.lua --clock virtual 2>&1; $orrery run v.lua --clock odd 2>&1]]
    assert.is_true(out:find('^"late"\ncode 0\nkept 1\n') ~= nil, out)
    assert.is_true(out:find("v completed in 30d", 1, true) ~= nil, out)
  end)
end)

describe("the store of a command that only reads", function()
  local nearest = require("orrery.store.open").nearest

  local function found(cwd, ...)
    local there = {}
    for _, path in ipairs { ... } do there[path] = true end
    return (nearest({}, { cwd = cwd, home = "/home/me", getenv = function() end,
      exists = function(path) return there[path] or false end }))
  end

  it("is the nearest above, not past a project's root or the home folder", function()
    local here, above = "sqlite:./.orrery/runs.db", "/home/me/p/.orrery/runs.db"
    assert.equal(here, found("/home/me/p/a/b"))
    assert.equal("sqlite:" .. above, found("/home/me/p/a/b", above))
    assert.equal("sqlite:" .. above, found("/home/me/p/a/b", above, "/home/me/p/.git"))
    assert.equal(here, found("/home/me/p/a/b", above, "/home/me/p/a/.git"))
    assert.equal(here, found("/home/me/p", above))
    assert.equal("sqlite:/home/me/.orrery/runs.db", found("/home/me/p", "/home/me/.orrery/runs.db"))
    assert.equal(here, found("/home/me/p", "/home/.orrery/runs.db"))
    assert.equal(here, found("/", "/.orrery/runs.db"))
    assert.equal("sqlite:named.db", (nearest { store = "sqlite:named.db" }))
  end)

  it("is looked for by the command, and `run` makes one here", function()
    local out = try [[
      mkdir -p .git a/b; $orrery run w.lua -q -i n=one >/dev/null; cd a/b
      $orrery logs; cp ../../*.lua .; $orrery run w.lua -q -i n=two >/dev/null 2>&1; $orrery logs; ls -d .orrery]]
    assert.is_true(out:find("log of one\n.*log of two\n%.orrery\n$") ~= nil, out)
  end)
end)
