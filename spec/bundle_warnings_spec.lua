-- What `orrery check` warns of: handlers that assign variables from outside of them.
local command = require "spec.support.command"
local json = require("orrery.core").json

local function workflow(body)
  return ('local flow = require "orrery"\nlocal w = flow.workflow { name = "x" }\n%s\nreturn w\n')
    :format(body)
end

describe("orrery check", function()
  local function warnings(body, files)
    files = files or {}
    files["w.lua"] = workflow(body)
    local result = command.run_with(files, { "check", "--json", "w.lua" })
    assert.equal(0, result.code, result.err)
    local list = {}
    for i, each in ipairs(json.decode(result.out).warnings) do
      list[i] = ("%s %s %s"):format(each.where, each.node, each.field)
    end
    return list
  end

  it("warns where a handler assigns a variable from outside, and goes on", function()
    local files = { ["w.lua"] = workflow "local n = 0\nw.a = { run = function()\n  n = n + 1\nend }" }
    local result = command.run_with(files, { "check", "w.lua" })
    assert.same({ 0, "w.lua: no mistakes\n" }, { result.code, result.out })
    assert.equal('w.lua:5: warning: node "a": run assigns the variable `n` from outside of it; a resumed run '
      .. 'starts with the value '
      .. "the file gives it, so keep what must survive in the node's output\n", result.err)
  end)

  it("finds it in inner functions, and in every function of a node", function()
    assert.same({ "w.lua:6 a run", "w.lua:11 b fallback", "w.lua:11 b loop.until", "w.lua:10 b when" }, warnings [[
local n, m, k = 0, 0, 0
w.a = { run = function()
  local function deep() return function()
    n = n + 1 end end
  deep()()
end }

w.b = { after = "a", run = print, when = function() m = 1 return true end,
  fallback = function() n = 2 end, loop = { max = 2, ["until"] = function() k = 3 return true end } }]])
  end)

  it("leaves alone what a handler keeps for itself", function()
    assert.same({}, warnings [[
local constant, table_of_mine = 1, {}
w.a = { run = function(ctx)
  local n, list = 0, {}
  local function add(by) n = n + by; list[#list + 1] = n end
  for i = 1, 3 do add(i) end
  local co = coroutine.wrap(function() n = n + constant end)
  co()
  table_of_mine.last = ctx.node
  some_global = n
  goto done
  ::done::
  return list
end }]])
  end)

  it("counts the lines of long functions right", function()
    local filler = {}
    for i = 1, 400 do filler[i] = ("  local _%d <const> = { %d,\n\n}"):format(i, i) end
    local long = "w.a = { run = function()\n  do\n" .. table.concat(filler, "\n", 1, 150) .. "\n  end\n  do\n"
      .. table.concat(filler, "\n", 151, 300) .. ("\n"):rep(300) .. "  end\n  n = 5\nend }"
    local _, lines = long:match("^(.*)n = 5"):gsub("\n", "")
    assert.same({ ("w.lua:%d a run"):format(lines + 4) }, warnings("local n\n" .. long))
  end)

  it("warns once of a function that nodes share, and looks into types of one's own", function()
    assert.same({ "./mine.lua:2 a run", "w.lua:5 b run" }, warnings([[
local mine, n = require "mine", 0
w.a = mine {}
local function bump() n = n + 1 end
w.b = { run = bump }
w.c = { run = bump }]], { ["mine.lua"] = [[
local count = 0; return require("orrery").type { name = "check_spec.mine", run = function()
  count = count + 1 end }]] }))
  end)

  it("warns of none of the examples", function()
    local arguments = { "check", "--json" }
    for path in assert(io.popen "grep -l '^return w$' examples/*.lua"):lines() do
      arguments[#arguments + 1] = path
    end
    assert.is_true(#arguments > 5)
    local result = command.run(arguments)
    assert.same({ 0, {} }, { result.code, json.decode(result.out).warnings })
  end)
end)
