-- Tables at the prompt: what Lua reads again as the same, where nothing is cut.
local command = require "spec.support.command"
local flow = require "orrery"
local literal = require "orrery.cli.display.literal"

local SEED = tonumber(os.getenv "SEED") or os.time()

local function random_value(depth)
  local kind = math.random(depth > 3 and 5 or 7)
  if kind == 1 then return math.random(-1000, 1000) end
  if kind == 2 then return math.random() < 0.5 end
  if kind == 3 then return math.random(100) / 8 end
  if kind <= 5 then
    local words = { "", "a", "end", "two words", 'with "quotes" and \\', "line\nend\t\r\27", "ä€",
      ("x"):rep(90) }
    return words[math.random(#words)]
  end
  local made = {}
  for i = 1, math.random(0, 8) do made[i] = random_value(depth + 1) end
  for _ = 1, math.random(0, 4) do
    local keys = { "a", "b_1", "nil", "two words", 2.5, -1, 100, true, "ä" }
    made[keys[math.random(#keys)]] = random_value(depth + 1)
  end
  return made
end

describe("a table at the prompt", function()
  it("is a literal of the same value, in lines of the terminal's width", function()
    math.randomseed(SEED)
    for _ = 1, 300 do
      local value = { random_value(1), x = random_value(1) }
      local text = literal.text(value)
      local chunk, problem = load("return " .. text)
      assert.is_truthy(chunk, ("seed %d: %s in\n%s"):format(SEED, tostring(problem), text))
      assert.same(value, chunk(), ("seed %d:\n%s"):format(SEED, text))
      for line in text:gmatch "[^\n]+" do
        assert.is_true(utf8.len(line) <= 78 or not line:find "[,{].-[,{].", line)
      end
    end
  end)

  it("is short where it is, long where not, and ends", function()
    assert.equal("{}", literal.text {})
    assert.equal('{ 1, 2, a = "x", ["end"] = 3, [true] = {} }',
      literal.text { 1, 2, a = "x", ["end"] = 3, [true] = {} })
    local itself = { 1 }
    itself.me = itself
    assert.equal("{ 1, me = (the same table again) }", literal.text(itself))
    local deep = {}
    for _ = 1, 50 do deep = { deep } end
    assert.equal(("{ "):rep(8) .. "{ … }" .. (" }"):rep(8), literal.text(deep))
    local long, wide = {}, {}
    for i = 1, 1000 do long[i] = i end
    for i = 1, 1000 do wide[i] = { a = long, b = long } end
    assert.truthy(literal.text(long):find(" 60,\n  … 940 more\n}$"))
    assert.is_true(#literal.text(wide) < 100000)
    assert.equal('{\n  "' .. ("x"):rep(500) .. '"…\n}', literal.text { ("x"):rep(501) })
  end)

  it("shows what says itself how it is shown as that, and anything else by its fields", function()
    local speaks = setmetatable({}, { __tostring = function() return "spoken" end })
    local fails = setmetatable({}, { __tostring = function() error "no" end })
    assert.equal("{ spoken, (table), null, { a = 1 } }",
      literal.text { speaks, fails, flow.json.null, setmetatable({ a = 1 }, { __index = error,
        __pairs = error }) })
    assert.equal("{ 1, { x = 2 } }", literal.text(flow.json.decode '[1, {"x": 2}]'))
    assert.equal(speaks, (literal.shown(speaks)))
    assert.same({ n = 3, "{ 1 }", nil, 5 }, table.pack(literal.shown({ 1 }, nil, 5)))
  end)

  it("obeys nothing that is in it", function()
    assert.equal('{ "a?b\\027[31m" }', literal.text { "a\u{202E}b\27[31m" })
  end)
end)

describe("the prompt", function()
  local function prompt(input, ...)
    return command.run({ "-i", "-e", "_PROMPT, _PROMPT2 = '', ''", ... }, input)
  end
  local function shown(input) return (prompt(input).out:gsub("^[^\n]*\n", "")) end

  it("prints tables, and values beside them as they are", function()
    assert.equal("{ 1, a = { 2 } }\tnil\tx\n\n", shown "{ 1, a = { 2 } }, nil, 'x'\n")
    assert.equal('{ code = 0, stderr = "", stdout = "hello\\n" }\n\n',
      shown "require 'orrery'.now(require 'orrery'.exec { 'echo', 'hello' })\n")
    assert.equal("mine\t{ 1 }\n\n", shown "p = print function print(x) p('mine', x) end\n{ 1 }\n")
  end)

  it("comes also where the script has left something on the loop, which goes on in its waits", function()
    local path = command.file [[
flow, uv = require "orrery", require "luv"
timer = uv.new_timer()
timer:start(1, 1, function() n = (n or 0) + 1 end)]]
    local result = command.run({ "-i", path }, "_PROMPT = ''\nn\nwhile not n do flow.sleep(0.01) end\nn > 0\n"
      .. "timer:close()\n")
    os.remove(path)
    assert.equal("nil\ntrue\n\n", (result.out:gsub("^[^\n]*\n> ", "")))
  end)

  it("waits as a script on the standard input does, which runs to its end what it leaves", function()
    local code = 'flow = require "orrery"\nflow.sleep(0.01)\nprint "slept"\n'
      .. 'require "luv".new_timer():start(10, 0, function() print "rang" end)\n'
    assert.equal("slept\nrang\n", command.run({ "-" }, code).out)
    assert.equal("slept\nrang\n", command.run({}, code).out)
    assert.equal("slept\n\n", (command.run({ "-i" }, code).out:gsub("^[^\n]*\n", ""):gsub("> ", ""):gsub(
      "[^\n]*uv_timer[^\n]*\n", ""):gsub("0\n", "")))
  end)
end)
