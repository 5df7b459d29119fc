-- `orrery types --schema`: the JSON Schema of definitions, for editors. What `check` takes, it
-- takes; what people mistype, it refuses.
local command = require "spec.support.command"
local definition_json = require "orrery.definition.json"
local flow = require "orrery"
local json = require("orrery.core").json
local json_schema = require "spec.support.json_schema"
local keys = require "orrery.definition.node_keys"
local retry = require "orrery.definition.retry_policy"

local made = command.run { "types", "--schema" }
local schema = json.decode(made.out)

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function fits(text) return json_schema.fits(schema, json.decode(text)) end

-- Whether `check` finds nothing.
local function right(text)
  local ok, problems = pcall(flow.check, { source = text, name = "x.json", types = { "*" }, env = { "*" },
    paths = { "*" }, hosts = { "*" }, commands = { "*" }, modules = { "*" } })
  return ok and #problems == 0
end

local function with_node(more)
  local node = { id = "x", type = "const", with = { value = 1 } }
  for key, value in pairs(more) do node[key] = value end
  return json.encode { name = "n",
    nodes = { { id = "a", type = "const", with = { value = json.array { 1, 2 } } }, node } }
end

local function with_option(more)
  local definition = { nodes = { { id = "a", type = "const", with = { value = 1 } } } }
  for key, value in pairs(more) do definition[key] = value end
  return json.encode(definition)
end

describe("the patterns of the checker", function()
  for _, case in ipairs { { "^a+b?$", "aab", true }, { "^a+b?$", "aabb", false },
    { "^(x|yz)*$", "xyzx", true },
    { "^(x|yz)*$", "xy", false }, { "\\$\\{", "a ${b}", true }, { "\\$\\{", "a $b", false },
    { "^[0-9]+%$", "10%", true }, { "^(a?)*$", "b", false } } do
    it(("find %s in %q: %s"):format(table.unpack(case)), function()
      assert.equal(case[3], json_schema.matches(case[1], case[2]))
    end)
  end
end)

describe("the schema of definitions", function()
  it("is printed alone, and knows every key that the readers know", function()
    assert.same({ 0, "" }, { made.code, made.err })
    local function names(list, except)
      local set = {}
      for _, name in ipairs(list) do set[name] = name ~= except or nil end
      return set
    end
    local function described(properties)
      local set = {}
      for name, shape in pairs(properties) do
        assert(next(shape) ~= nil, name .. ": what may stand there is not said")
        set[name] = true
      end
      return set
    end
    local node = names(keys.NAMES, "run")
    node.id, node.type = true, true
    local parts = schema.definitions
    assert.same(node, described(parts.node.properties))
    assert.same(names(definition_json.TOP), described(schema.properties))
    assert.same(names(definition_json.EDGE), described(parts.edge.properties))
    assert.same(names(retry.FIELDS), described(parts.retry.anyOf[3].properties))
    for key, fields in pairs(keys.FIELDS) do
      local shape
      for _, each in ipairs(parts.node.properties[key].anyOf or { parts.node.properties[key] }) do
        shape = each.properties and each or shape
      end
      assert.same(names(fields, "run"), described(shape.properties))
    end
  end)

  it("takes the definitions of the manual, of the examples and of `orrery new`", function()
    local taken = 0
    local function take(text, where)
      assert.truthy(fits(text), where)
      taken = taken + 1
    end
    take(read "examples/definition.json", "examples/definition.json")
    for block in read("docs/json-definitions.md"):gmatch "```json file: %S+\n(.-)\n```" do
      take(block, block)
    end
    local new = command.shell('cd "$(mktemp -d)" && ' .. (command.path:match "^/" and "" or '"$OLD"/')
      .. command.path .. " new --json some >/dev/null && cat some.json")
    take(new.out, "orrery new --json")
    assert.truthy(taken >= 4)
  end)

  local RIGHT = {
    after = { "a", { "a" }, json.array {} }, when = { "nodes.a[1] == 1", true },
    join = { "all", "failed", { need = 1 }, { need = 1, cancel_rest = true } },
    retry = { 0, 3, "quick", { max = 2, strategy = "random", delay = "1s", jitter = "full" },
      { { max = 1, on = { "x" } }, { max = 2, unless = "y", delay = 1.5, max_delay = "PT5S" } },
      { factor = 1.5 } },
    timeout = { "1s", 0.5, "1h30m", "P1DT2H", "250ms", "0y1ms" }, deadline = { "3d" }, heartbeat = { "1w" },
    estimate = { 0, "2s" }, on_error = { "ignore", "stop" }, handles = { true, false },
    fallback = { 1, "${nodes.a}", { a = 1 }, false }, priority = { "high" },
    breaker = { "b", { name = "b", threshold = 5, window = "60s", cooldown = 30, probes = 1 } },
    each = { "${nodes.a}", { 1, 2 }, json.array {} }, doc = { "" },
    loop = { { ["until"] = "output > 1", max = 3, delay = "1s" }, { times = 3 }, { ["until"] = true } },
    cache = { true, false, "1h", 60, { key = "${nodes.a[1]}", ttl = "1h" }, json.object {} },
    compensate = { { type = "log", with = { message = "undone" }, retry = 3, timeout = "1s" } },
    with = { { value = "${nodes.a}" }, { value = { 1 } }, { 5 } },
  }
  local ALSO = { each_failures = { 2, "10%", "99.5%" }, each_on_failure = { "continue" },
    each_parallel = { 4 },
    item_name = { "i${item}" } }

  it("takes each key of a node and of the workflow as it may be", function()
    for key, values in pairs(RIGHT) do
      for _, value in ipairs { json.null, table.unpack(values) } do
        if value ~= json.null or key ~= "with" then
          local text = with_node { after = "a", [key] = value }
          assert.truthy(right(text), text)
          assert.truthy(fits(text), text)
        end
      end
    end
    for key, values in pairs(ALSO) do
      for _, value in ipairs(values) do
        local text = with_node { each = { 1, 2 }, [key] = value }
        assert.truthy(right(text) and fits(text), text)
      end
    end
    for _, more in ipairs { { ["$schema"] = "x.json" }, { doc = "", name = "n" },
      { output = { a = "${nodes.a}" } },
      { timeout = "1h", cleanup_timeout = 3, on_error = "drain", concurrency = 4 }, { env = { "HOME" } },
      { pools = { p = 4, q = { max = 0 }, r = { rate = "10/s", burst = 5 },
        s = { max = 1, rate = 0.5 }, t = json.null } },
      { edges = json.array {} }, { input = {
        a = "string", b = "integer?", c = "string[][]", d = " string | integer[] ?", e = { "x", 2, true },
        f = { type = "duration", default = "1s", doc = "d" },
        g = { street = "string", no = { enum = { 1 } } },
        h = { type = "array", items = { x = "any" }, min = 1 },
        i = { type = "object", fields = { type = "string" } },
        ["..."] = "any" } }, { input = json.null },
      { input = { ["$schema"] = "http://json-schema.org/draft-07/schema#", minProperties = 1 } },
      { input = { type = "object", properties = { a = { type = "string" }, b = true } } },
      { input = { a = { ["$ref"] = "#/$defs/x", ["$defs"] = { x = { type = { "null", "string" } } } } } } } do
      local text = with_option(more)
      assert.truthy(right(text), text)
      assert.truthy(fits(text), text)
    end
  end)

  -- Drawn at random: what `check` takes.
  it("refuses nothing that `check` takes", function()
    local ODD = { true, false, 0, -1, 1, 0.5, 1e18, "", "x", "0", "1s", "P1D", "-1s", "${nodes.a}", "nodes.a",
      { 1 }, { "a" }, { x = 1 }, { max = 1 }, { name = "b" }, { need = 1 }, json.null, { json.null },
      { type = "log", with = { message = "m" } }, { ["until"] = "true" }, { times = 1e9 // 1 | 0 } }
    local names = { "with" }
    for name in pairs(RIGHT) do names[#names + 1] = name end
    for name in pairs(ALSO) do names[#names + 1] = name end
    table.sort(names)
    local checked = 0
    for _, name in ipairs(names) do
      for i, value in ipairs(ODD) do
        local other = names[(i * 7 + #name) % #names + 1]
        local text = with_node { [name] = value, [other] = (RIGHT[other] or ALSO[other])[1] }
        if right(text) and not (name == "after" and value == false) then -- of use in Lua only
          checked = checked + 1
          assert.truthy(fits(text), text)
        end
      end
    end
    assert.truthy(checked > 100, checked)
  end)

  it("takes config in `with`, beside the other keys, as a list, with templates", function()
    for _, node in ipairs {
      '{"id":"x","type":"http.get","url":"http://h/${nodes.a}","max_time":"5s","retry":"quick"}',
      '{"id":"x","type":"exec","with":["true","${nodes.a[1]}"]}',
      '{"id":"x","type":"exec","with":{"argv":"${nodes.a}","check":"${nodes.a[1] == 1}"},"pool":null}',
      '{"id":"x","type":"delay","with":{"duration":"${nodes.a[1]}"}}',
      '{"id":"x","type":"wait","signal":"go","timeout":"${nodes.a[1]}","on_timeout":"continue"}',
      '{"id":"x","type":"wait","with":{"approval":true,"timeout":"2d"}}',
      '{"id":"x","type":"condition","test":"nodes.a[1] > 0"}' } do
      local text = '{"nodes":[{"id":"a","type":"const","with":{"value":[1]}},' .. node .. "]}"
      assert.truthy(right(text), text)
      assert.truthy(fits(text), text)
    end
  end)

  it("takes a pool by its name, also one that is held", function()
    for _, pool in ipairs { '"p"', '"${input.pool}"', '{"name":"p","hold":true}' } do
      local text = '{"pools":{"p":1},"nodes":[{"id":"a","type":"const","with":{"value":1},"pool":'
        .. pool .. "}]}"
      assert.truthy(right(text), text)
      assert.truthy(fits(text), text)
    end
  end)

  for what, text in pairs {
    ["a pool that nothing bounds"] = '{"pools":{"p":"4"},"nodes":[]}',
    ["a field of a pool that is mistyped"] = '{"pools":{"p":{"mx":4}},"nodes":[]}',
    ["a pool of a node without its name"] = with_node { pool = { hold = true } },
    ["a key of the workflow that is mistyped"] = '{"nmae":"n","nodes":[]}',
    ["a workflow without nodes"] = '{"name":"n"}',
    ["an unknown word of on_error"] = '{"on_error":"contineu","nodes":[]}',
    ["a type of the input that there is not"] = '{"input":{"a":"strng"},"nodes":[]}',
    ["a node without an id"] = '{"nodes":[{"type":"const","with":{"value":1}}]}',
    ["a node without a type"] = '{"nodes":[{"id":"a","with":{"value":1}}]}',
    ["an id with a blank"] = '{"nodes":[{"id":"a b","type":"const","with":{"value":1}}]}',
    ["a type that is mistyped"] = '{"nodes":[{"id":"a","type":"cosnt","with":{"value":1}}]}',
    ["a key of a node that is mistyped"] = with_node { retires = 3 },
    ["config that is mistyped"] =
      '{"nodes":[{"id":"a","type":"http.get","with":{"url":"http://h","haeders":{}}}]}',
    ["config that is missing"] = '{"nodes":[{"id":"a","type":"delay"}]}',
    ["config of the wrong type"] = '{"nodes":[{"id":"a","type":"exec","with":{"argv":"true"}}]}',
    ["a word that config does not take"] =
      '{"nodes":[{"id":"a","type":"log","with":{"message":"m","level":"wran"}}]}',
    ["code"] = with_node { run = "return 1" },
    ["a duration without a unit"] = with_node { timeout = "5" },
    ["a duration with an unknown unit"] = with_node { deadline = "5 parsecs" },
    ["a join that there is not"] = with_node { join = "some" },
    ["a join that needs nothing"] = with_node { join = { cancel_rest = true } },
    ["a preset that there is not"] = with_node { retry = "often" },
    ["a field of a retry policy that is mistyped"] = with_node { retry = { max = 1, jiter = "full" } },
    ["a part of a retry"] = with_node { retry = 1.5 },
    ["a loop with a wrong field"] = with_node { loop = { untill = "true" } },
    ["a breaker without a name"] = with_node { breaker = { threshold = 3 } },
    ["a place in a pool without a name"] = with_node { pool = { hold = true } },
    ["a place that is held by a word"] = '{"pools":{"p":1},"nodes":[{"id":"a","type":"const",'
      .. '"with":{"value":1},"pool":{"name":"p","hold":"yes"}}]}',
    ["a pool with a wrong field"] = with_option { pools = { p = { max = 1, brust = 2 } } },
    ["a pool of less than no place"] = with_option { pools = { p = -1 } },
    ["pools in a list"] = '{"pools":[4],"nodes":[]}',
    ["a percentage without a sign"] = with_node { each = { 1 }, each_failures = "10" },
    ["an edge without an end"] = '{"nodes":[],"edges":[{"from":"a"}]}',
    ["an edge with a wrong field"] = '{"nodes":[],"edges":[{"from":"a","to":"b","if":"x"}]}',
  } do
    it("refuses " .. what, function()
      assert.is_false(right(text), "it is no mistake: " .. text)
      assert.is_false(fits(text), text)
    end)
  end

  it("has the types of modules as well, and takes others where a definition requires modules", function()
    local text = [[{"require":["types.words"],"nodes":[{"id":"a","type":"text.words","with":{"txt":"b"}}]}]]
    assert.truthy(fits(text))
    local own = command.run_with({ ["words.lua"] = [[
return require "orrery".type { name = "text.words", config = { text = "string" }, run = function() end }]] },
      { "types", "--schema", "-l", "words" })
    local larger = json.decode(own.out)
    assert.is_false(json_schema.fits(larger, json.decode(text)))
    assert.truthy(json_schema.fits(larger, json.decode((text:gsub("txt", "text")))))
  end)
end)
