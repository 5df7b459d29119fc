-- Where a JSON definition is wrong, in lines and columns; and the modules that it requires.
local command = require "spec.support.command"
local flow = require "orrery"
local places = require "orrery.definition.json_places"
local place = require "spec.support.place"

local SEED = tonumber(os.getenv "SEED") or os.time()

-- A random JSON text, and where each path of it begins, as { line, column }.
local Writer = {}
Writer.__index = Writer

function Writer:put(text)
  self.text[#self.text + 1] = text
  for _, code in utf8.codes(text) do
    if code == 10 then
      self.line, self.column = self.line + 1, 1
    else
      self.column = self.column + 1
    end
  end
end

function Writer:gap()
  for _ = 1, math.random(0, 3) do self:put(({ " ", "\n", "\t", "" })[math.random(4)]) end
end

function Writer:note(path) self.found[path] = { self.line, self.column } end

local KEYS = { "a", "b", "nodes", "with", "ü", "no no" }
local SCALARS = { "1", "-2.5e3", "true", "null", '"x"', '"\\"{["', '"\\\\"', '"é\\u0041]"', "[]", "{ }" }

function Writer:value(path, depth)
  local kind = depth > 4 and 3 or math.random(depth == 0 and 1 or 3)
  if kind == 3 then return self:put(SCALARS[math.random(#SCALARS)]) end
  local n, used = math.random(0, 4), {}
  self:put(kind == 1 and "{" or "[")
  for i = 1, n do
    local key = kind == 1 and KEYS[math.random(#KEYS)]
    while key and used[key] do key = key .. "x" end
    self:gap()
    local inner
    if key then
      used[key] = true
      inner = path .. (key:find " " and ('["%s"]'):format(key) or (path == "" and "" or ".") .. key)
      self:note(inner)
      self:put('"' .. key .. '"')
      self:gap()
      self:put ":"
      self:gap()
    else
      inner = ("%s[%d]"):format(path, depth == 1 and i - 1 or i)
      self:note(inner)
    end
    self:value(inner, depth + 1)
    self:gap()
    if i < n then self:put "," end
  end
  self:gap()
  self:put(kind == 1 and "}" or "]")
end

describe("the place of a path", function()
  it("is found in any text", function()
    math.randomseed(SEED)
    for _ = 1, 300 do
      local w = setmetatable({ text = {}, found = {}, line = 1, column = 1 }, Writer)
      w:gap()
      w:value("", 0)
      local text, problems = table.concat(w.text), {}
      assert.is_true(pcall(flow.json.decode, text), text)
      for path in pairs(w.found) do problems[#problems + 1] = { where = "f.json: " .. path, path = path } end
      places.add(problems, text, "f.json")
      for _, problem in ipairs(problems) do
        assert.same(w.found[problem.path], { problem.line, problem.column },
          ("seed %d: %s in\n%s"):format(SEED, problem.path, text))
        assert.equal(("f.json:%d:%d: %s"):format(problem.line, problem.column, problem.path), problem.where)
      end
    end
  end)

  it("is that of what surrounds it where it is not there itself", function()
    local problems = { { where = "f: nodes[1].id" }, { where = "f: nodes[7]" }, { where = "f: nope" },
      { where = "f" },
      { where = "g: nodes" }, {} }
    places.add(problems, '\xEF\xBB\xBF{ "nodes": [ { "id": 1 },\n  { } ] }', "f")
    local list = {}
    for i, problem in ipairs(problems) do list[i] = problem.where or "none" end
    assert.same({ "f:2:3: nodes[1].id", "f:1:4: nodes[7]", "f:1:2: nope", "f:1:2", "g: nodes", "none" }, list)
  end)
end)

local DEFINITION = [[
{
  "$schema": "https://example.org/definition.json",
  "require": [ "types.words" ],
  "name": "d", "input": { "text": "string" }, "output": "${nodes.w.n}",
  "nodes": [
    { "id": "go", "type": "wait", "with": { "signal": "go" } },
    { "id": "w", "type": "text.words", "after": "go",
      "with": { "text": "${input.text}" } }
  ]
}
]]

local WORDS = [[
local flow = require "orrery"
return flow.type { name = "text.words", config = { text = "string" }, output = { n = "integer" },
  run = function(_, config) return { n = select(2, config.text:gsub("%S+", "")) } end }
]]

local function sentences(text, more)
  local from = { source = text, name = "f.json" }
  for key, value in pairs(more or {}) do from[key] = value end
  local list = {}
  for i, problem in ipairs(flow.check(from)) do list[i] = problem.where .. ": " .. problem.message end
  return list
end

describe("a JSON definition", function()
  it("is told of every mistake with line and column", function()
    assert.same({
      'f.json:2:2: outptu: unknown field "outptu"; did you mean "output"?',
      'f.json:4:14: edges[0].from: edge: from: there is no node "b"',
      'f.json:3:24: nodes[0].with.mesage: node "a": log: mesage is not known; did you mean "message"?',
      'f.json:3:41: nodes[0].with.message: node "a": message: input has no field "cty"; did you mean "city"?',
    }, sentences [[
{"name": "é", "input": {"city": "string"},
 "outptu": 1, "nodes": [ {"id": "a", "type": "log",
   "é": null, "with": {"mesage": "ä",   "message": "${input.cty}"}}],
 "edges": [ {"from": "b", "to": "a" }]}]])
  end)

  it("is told of what is missing in `with` at that", function()
    assert.same({ 'f.json:2:3: nodes[0].with.message: node "a": log: message is missing, expected a value' },
      sentences '{"nodes": [ {"id": "a", "type": "log",\n  "with": {}} ]}')
  end)

  it("takes $schema as a text, and require as a list of what its loader allows", function()
    local text = '{"$schema": %s, "require": %s, "nodes": [{"id": "a", "type": "const", "with": {"value": '
      .. '1}}]}'
    assert.same({}, sentences(text:format("null", "[]")))
    assert.same({ "f.json:1:2: $schema: $schema: expected the address of a JSON schema, for editors, got 3",
      'f.json:1:16: require: require: expected a list of modules, [ "types.words" ], got the string "x"' },
      sentences(text:format("3", '"x"')))
    assert.same({ 'f.json:1:32: require[0]: require: the module "lpeg" is not allowed here: the loader '
      .. 'allows none; '
      .. "add it to its `modules`" }, sentences(text:format('"s"', '  ["lpeg"]')))
    assert.same({}, sentences(text:format('"s"', '["lpeg"]'), { modules = { "lpeg" } }))
    assert.same({ 'f.json:1:30: require[0]: require: the module "os" is not allowed here: the loader '
      .. 'allows "lp*"; '
      .. "add it to its `modules`",
      'f.json:1:36: require[1]: require: there is no module "lp.none" beside the definition or in '
      .. 'package.path; '
      .. 'write its name as `require` takes it, "types.words"',
      "f.json:1:47: require[2]: require: expected the name of a module, got true" },
      sentences(text:format('"s"', '["os", "lp.none", true]'), { modules = { "lp*" } }))
  end)

  it("finds its modules beside it, and keeps them with its runs", function()
    local here <close> = place.new { ["d.json"] = DEFINITION }
    assert.is_true(os.execute("mkdir " .. here.folder .. "/types"))
    here:write("types/words.lua", WORDS)
    here:ends(5, "run", "d.json", "-i", "text=one two three", "--no-wait")
    os.remove(here.folder .. "/types/words.lua")
    here:ends(0, "signal", "@last", "go")
    assert.equal("3\n", here:ends(0, "resume", "@last").out)
    place.has(here:ends(2, "check", "d.json").err, 'd.json:3:16: require[0]: require: there is no module '
      .. '"types.words"')
    here:write("types/words.lua", "error 'it is raining'")
    place.has(here:ends(2, "run", "d.json").err,
      'd.json:3:16: require[0]: require: the module "types.words" cannot be loaded: ')
  end)

  it("finds them from any folder", function()
    local here <close> = place.new { ["d.json"] = DEFINITION }
    assert.is_true(os.execute("mkdir " .. here.folder .. "/types"))
    here:write("types/words.lua", WORDS)
    local result = command.run({ "check", here.folder .. "/d.json" })
    assert.equal(here.folder .. "/d.json: no mistakes\n", result.out, result.err)
  end)
end)
