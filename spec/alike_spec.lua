-- Nodes that are like others are not built one by one. Whatever a workflow holds, its definition,
-- plan, mistakes and runs are those that it has where every node is built: random workflows are
-- compiled both ways. SEED=n tries those of another seed.
local canonical = require "orrery.bundle.canonical"
local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"
local load_file = require "orrery.definition.load"
local prune = require "orrery.definition.only"

local SEED = tonumber(os.getenv "SEED") or os.time()
local WORKFLOWS = 300

flow.pool("alike", { max = 2 })

local function itself(_, config) return config end
flow.type { name = "alike_plain", run = itself, positional = "a", config = flow.schema { s = "string?",
  i = "integer?", n = "number?", b = "boolean?", a = "any?", list = "any[]?", t = "duration?" } }
flow.type { name = "alike_bound", run = itself, config = flow.schema { s = "string",
  d = { type = "integer", default = 3 }, m = { type = "integer", min = 1, optional = true },
  e = { enum = { "x", "y" }, optional = true } } }
flow.type { name = "alike_meant", run = itself, expressions = { "x" }, check = function(config)
  if config.n == 3 then return "three is too many", "n" end
end, config = flow.schema { x = "string?", n = "integer?" } }

-- ---- both ways ----------------------------------------------------------------------------------

local function every_node_built(flat, build)
  for i = 1, flat.count do build(i) end
end

-- Calls fn with core.alike as it is, then where it takes no node to be like another.
local function both_ways(fn)
  local first, real = fn(), core.alike
  core.alike = every_node_built
  local ok, second = pcall(fn)
  core.alike = real
  assert(ok, second)
  return first, second
end

-- ---- random workflows, as texts -----------------------------------------------------------------

local function pick(list) return list[math.random(#list)] end

local GOOD = {
  "retry = 1", "retry = 2", "retry = { max = 2, delay = 0.5 }", "retry = { delay = 0.5, max = 2 }",
  'retry = { max = 1, on = { "other", "handler_error" } }',
  'retry = { { max = 1, on = { "other" } }, { max = 2 } }',
  'timeout = "5s"', "timeout = 5", "timeout = 5.0", 'deadline = "1m"', 'heartbeat = "1s"', "estimate = 0",
  'estimate = "2s"', 'on_error = "ignore"', "handles = false", 'pool = "alike"',
  'pool = { name = "alike", hold = true }', 'pool = { name = "${input.pool}" }', 'priority = "high"',
  'priority = "low"', 'doc = "text"', 'join = "done"', 'join = "any"', "when = \"states.n1 == 'completed'\"",
  "fallback = 7", "each = { 1, 2 }", "loop = { times = 2 }",
}
local BAD = {
  "retry = -1", "retry = { max = 2, dely = 1 }", 'timeout = "0s"', 'timeout = "5 sec"', 'pool = "nowhere"',
  'priority = "highest"', "handles = 1", "with = {}", "unknown = 1", '[1] = "x"', "on_error = true",
  'pool = "${nodes.none}"', "retry = print", "estimate = {}",
}
local BODIES = {
  "run = f", "run = g", "run = function() end", "run = function(ctx, inputs) return inputs end",
  "run = function()\n  return 1\nend",
}

-- Earlier nodes for the most part, so that not all graphs have cycles.
local function name_before(i, wild)
  return "n" .. (wild and math.random(i + 2) or math.max(1, i - math.random(4)))
end

local function after_of(i, wild)
  local kind = math.random(wild and 12 or 6)
  local name = name_before(i, wild and math.random(10) == 1)
  if kind == 1 or i == 1 and not wild then return nil end
  if kind == 2 then return ('after = "%s"'):format(name) end
  if kind == 3 and i > 1 then return ("after = w.n%d"):format(i - 1) end
  if kind == 4 then return "after = {}" end
  if kind == 5 then return ('after = { "%s" }'):format(name) end
  if kind == 6 then return ('after = { "n%d", "n%d" }'):format(i > 1 and i - 1 or 1, i > 3 and i - 3 or 2) end
  if kind == 7 then return ('after = { { "%s" } }'):format(name) end
  if kind == 8 then return ('after = { "%s", x = 1 }'):format(name) end
  if kind == 9 then return ('after = { [1] = "n1", [3] = "%s" }'):format(name) end
  if kind == 10 then return ('after = "%s:yes"'):format(name) end
  if kind == 11 then return ('after = { "%s", false }'):format(name) end
  return 'after = "nowhere"'
end

local TYPED = {
  "flow.const { %d%s }", 'flow.const { "text"%s }', "flow.const { value = { %d, x = { 1 } }%s }",
  'flow.const { "${input.x}"%s }', 'flow.const { "${nodes.n1}"%s }', 'flow.delay { "1s"%s }',
  'flow.delay { duration = 2%s }', '{ type = "const", with = { value = %d }%s }',
  '{ type = "const", value = %d%s }',
  'flow.log { "said"%s }', 'flow.switch { "${input.x}", cases = { a = 1 }%s }',
  "flow.alike_plain { i = %d, n = 0.5, b = false%s }", "flow.alike_plain { i = 2.0, n = 1 / 3%s }",
  'flow.alike_plain { s = "x", with = { a = 1.0, b = true }%s }', 'flow.alike_plain { "$", n = %d%s }',
  '{ type = "alike_plain", a = "${input.x}"%s }', '{ type = "alike_plain", with = { t = "5s", n = %d }%s }',
  "flow.alike_plain { list = { %d }, a = flow.json.null, s = flow.json.null%s }",
  "flow.alike_plain { 0 / 0%s }",
  'flow.alike_bound { s = "y", d = %d%s }', 'flow.alike_bound { s = "y", m = %d%s }',
  'flow.alike_bound { s = "y", e = "x"%s }', "flow.alike_meant { x = \"input.x == 'a'\", n = 1%s }",
  'flow.wait { "go", timeout = "1s"%s }', '{ type = "wait", with = { name = "go", timeout = 1 }%s }',
}
local WRONG = {
  'flow.delay { "soon"%s }', "flow.const { valu = %d%s }", 'flow.const { 1, with = { value = 2 }%s }',
  "flow.const(%d)",
  '{ type = "cnst", with = { value = 1 }%s }', '{ type = "const", run = f%s }', 'flow.delay { %d, x = 1%s }',
  "flow.alike_plain { n = 1 / 0%s }", "flow.alike_plain { n = 0 / 0%s }", 'flow.alike_plain { s = %d%s }',
  "flow.alike_plain { a = 1, with = { a = 2 }%s }", "flow.alike_plain { a = 1, with = { retry = 2 }%s }",
  'flow.alike_plain { with = { with = 2, type = "x" }%s }', "flow.alike_plain { with = 7%s }",
  "flow.alike_bound { d = %d%s }", 'flow.alike_bound { s = "x", m = 0%s }',
  'flow.alike_bound { s = "x", e = "z"%s }', "flow.alike_meant { n = %d%s }",
  "flow.alike_plain { type = 1%s }", "flow.alike_plain { [1] = 1, [2] = 2%s }",
  '{ type = "const", with = 3%s }', '{ type = 7%s }', 'flow.const { "${nodes.nobody}"%s }',
  "flow.const { %d, retry = -1%s }",
}

local function typed_text(i, wild)
  local keys = { after_of(i, wild) or nil }
  if math.random(3) == 1 then keys[#keys + 1] = pick(GOOD) end
  local rest = #keys > 0 and ", " .. table.concat(keys, ", ") or ""
  local text = pick(wild and math.random(5) == 1 and WRONG or TYPED)
  return text:find("%d", 1, true) and text:format(math.random(3), rest) or text:format(rest)
end

local function node_text(i, wild)
  if math.random(3) == 1 then return typed_text(i, wild) end
  if math.random(25) == 1 then return "flow.parallel { { run = f }, { run = g, retry = 1 } }" end
  local parts = { pick(BODIES), after_of(i, wild) or nil }
  if math.random(3) > 1 then parts[#parts + 1] = pick(GOOD) end
  if math.random(3) == 1 then parts[#parts + 1] = pick(GOOD) end
  if wild and math.random(15) == 1 then parts[#parts + 1] = pick(BAD) end
  return "{ " .. table.concat(parts, ", ") .. (wild and math.random(40) == 1 and ", run = 1 }" or " }")
end

local function text_of(wild)
  local lines = { 'local flow = require "orrery"',
    ('local w = flow.workflow { name = "random"%s }')
      :format(math.random(5) == 1 and ', timeout = "1h"' or ""),
    "local f, g = function() end, function(ctx) error { code = \"other\" } end" }
  for i = 1, math.random(30) do
    local name = wild and math.random(40) == 1 and pick { "n1", "a b", "", "1a", "-b" } or "n" .. i
    lines[#lines + 1] = ('w["%s"] = %s'):format(name, node_text(i, wild))
      .. (math.random(6) == 1 and "; " or "\n")
  end
  lines[#lines + 1] = "return w\n"
  return table.concat(lines, "\n", 1, 3) .. "\n" .. table.concat(lines, "", 4)
end

-- ---- what is compared ---------------------------------------------------------------------------

local function without_code(value)
  if type(value) == "function" then return "function of " .. debug.getinfo(value, "S").linedefined end
  if type(value) ~= "table" then return value end
  local made = {}
  for key, inner in next, value do made[key] = without_code(inner) end
  return made
end

local function definition_of(compiled)
  local nodes = {}
  for i, node in ipairs(compiled.def.nodes) do
    nodes[i] = without_code(node)
    nodes[i].run = type(node.run)
  end
  return nodes
end

local function facts_of(text)
  local loaded, w = pcall(load_file.read, text, "random", {})
  if not loaded then return { problems = w } end
  local compiled, problems = flow.compile(w)
  if not compiled then return { problems = problems } end
  local facts = { nodes = definition_of(compiled), count = #compiled.def.nodes, text = canonical(compiled),
    layers = compiled.plan:layers(), critical = { compiled.plan:critical() }, bytes = compiled.plan:bytes() }
  local part = prune.compiled(compiled, { only = compiled.def.nodes[#compiled.def.nodes].name }, core.plan)
  facts.part = definition_of(part)
  facts.events = {}
  local input = { x = "a", pool = "alike" }
  local run = flow.run(w, { clock = "virtual", seed = 1, input = input, on_event = function(event)
    table.insert(facts.events, ("%s %s %s %s"):format(event.event, event.node, event.attempt, event.delay))
  end })
  facts.states, facts.outputs = run:states(), run:outputs()
  return facts
end

local function compare(text)
  local ours, wanted = both_ways(function() return facts_of(text) end)
  local same, why = pcall(assert.same, wanted, ours)
  if not same then error(("SEED=%d: %s\n%s"):format(SEED, text, why), 0) end
  return ours
end

describe("nodes that are alike", function()
  setup(function() math.randomseed(SEED) end)

  it("give the definition, plan and run that they give one by one", function()
    local ran = 0
    for _ = 1, WORKFLOWS do
      if not compare(text_of(false)).problems then ran = ran + 1 end
    end
    assert(ran > WORKFLOWS // 10, ran)
  end)

  it("have the mistakes that they have one by one", function()
    local wrong = 0
    for _ = 1, WORKFLOWS do
      if compare(text_of(true)).problems then wrong = wrong + 1 end
    end
    assert(wrong > WORKFLOWS // 2, wrong)
  end)

  it("are read from JSON as they are one by one", function()
    local wrong, right = 0, 0
    for _ = 1, WORKFLOWS do
      local nodes, bad = {}, math.random(2) == 1
      for i = 1, math.random(20) do
        local node = { id = bad and math.random(20) == 1 and pick { "n1", 7, "" } or "n" .. i, type = "const",
          with = { value = pick { 1, 2, "text", { 1 }, "${nodes.n1}", true, 0.5, flow.json.null } } }
        if math.random(2) == 1 and i > 1 then node.after = pick { "n1", { "n1" }, { "n" .. i - 1 } } end
        if math.random(4) == 1 then node.retry = pick { 1, 2, flow.json.null } end
        if math.random(4) == 1 then node.timeout = pick { "1s", 5, "2s" } end
        if bad and math.random(8) == 1 then
          node[pick { "x", "run", "priority", "with" }] = pick { 1, "x", {} }
        end
        nodes[i] = node
      end
      local text = flow.json.encode { name = "random", nodes = nodes }
      local ours, wanted = both_ways(function() return facts_of(text) end)
      local same, why = pcall(assert.same, wanted, ours)
      if not same then error(("SEED=%d: %s\n%s"):format(SEED, text, why), 0) end
      if ours.problems then wrong = wrong + 1 else right = right + 1 end
    end
    assert(wrong > 30 and right > 30, wrong .. " wrong, " .. right .. " right")
  end)

  it("say each for itself what is wrong with it", function()
    local w = flow.workflow { name = "wrong" }
    for i = 1, 3 do w["n" .. i] = { run = function() end, retry = -1, timeout = "5s" } end
    local _, problems = flow.compile(w)
    assert.same({ "n1", "n2", "n3" }, { problems[1].node, problems[2].node, problems[3].node })
    assert.equal(3, #problems)
  end)

  -- The first node of a line says where the line's nodes stand, in the order of the nodes.
  it("stand where they stand one by one, several in a line as well", function()
    local ours, wanted = both_ways(function()
      local w = load_file.read([[
local w = require "orrery".workflow { name = "lines" }
w.a = { run = function() end }
w.b = { run = function()
end }; w.c = { run = print, retry = "none" }
return w
]], "lines.lua", { format = "lua" })
      return select(2, flow.compile(w))
    end)
    assert.same(wanted, ours)
    assert.equal("lines.lua:3", ours[1].where)
  end)

  it("stand on their own line, however many are assigned on one", function()
    local w = load_file.read([[
local w = require "orrery".workflow { name = "lines" }
for i = 1, 200 do w["a" .. i] = { run = print, retry = i > 63 and i < 67 and -1 or nil } end
for i = 1, 200 do
  w["b" .. i] = { run = print }
  w["c" .. i] = { run = print, retry = i % 50 == 0 and -1 or nil }
end
local other = load("local w, i = ... w['d' .. i] = { run = print }", "=other")
for i = 1, 2 do w["e" .. i] = { run = print, retry = -1 }; other(w, i) end
return w
]], "lines.lua", { format = "lua" })
    local places = {}
    for i, problem in ipairs(select(2, flow.compile(w))) do
      places[i] = problem.node .. " " .. problem.where
    end
    assert.same({ "a64 lines.lua:2", "a65 lines.lua:2", "a66 lines.lua:2", "c50 lines.lua:5",
      "c100 lines.lua:5", "c150 lines.lua:5", "c200 lines.lua:5", "e1 lines.lua:8", "e2 lines.lua:8" },
      places)
  end)

  it("are found by their tables, in any number of them", function()
    local w, tables = flow.workflow { name = "tables" }, {}
    for i = 1, 5000 do
      tables[i] = { run = print, after = i > 1 and tables[i * 7 % (i - 1) + 1] or nil }
      w["n" .. i] = tables[i]
    end
    w.again = tables[4321]
    w.n0 = { run = print, after = { run = print } }
    local _, problems = flow.compile(w)
    assert.matches('the same table is already node "n4321"', problems[1].message)
    assert.matches("after: the node made at another place is not part of this workflow", problems[2].message)
    w = flow.workflow { name = "tables" }
    for i = 1, 5000 do w["n" .. i] = tables[i] end
    local nodes = assert(flow.compile(w)).def.nodes
    for i = 2, 5000 do assert.equal(i * 7 % (i - 1) + 1, nodes[i].deps[1].node) end
  end)

  it("have config that is checked, whatever the first of them has", function()
    local function told(first, second)
      return both_ways(function()
        local w = flow.workflow { name = "config" }
        w.first, w.second = first(), second()
        local _, problems = flow.compile(w)
        return problems and problems[1].node .. ": " .. problems[1].field or flow.run(w):outputs().second
      end)
    end
    local function plain(config) return function() return flow.alike_plain(config) end end
    local function bound(config) return function() return flow.alike_bound(config) end end
    for _, case in ipairs {
      { plain { a = 1 }, plain { a = 1, with = { retry = 2 } }, "second: retry" },
      { plain { a = 1, with = { b = true } }, plain { a = 1, with = { retry = 2 } }, "second: retry" },
      { plain { a = 1 }, plain { with = { with = 1 } }, "second: with" },
      { plain { a = 1 }, plain { a = 1, with = { a = 2 } }, "second: a" },
      { plain { n = 1 }, plain { n = 1 / 0 }, "second: n" },
      { plain { n = 1 }, plain { n = "1" }, "second: n" },
      { plain { i = 1 }, plain { i = 2.0, b = false }, { i = 2, b = false } },
      { plain { i = 1 }, plain { s = "$", with = { b = true } }, { s = "$", b = true } },
      { bound { s = "x", d = 1 }, bound { s = "x" }, { s = "x", d = 3 } },
      { bound { s = "x", d = 1 }, bound { d = 1 }, "second: s" },
      { bound { s = "x", d = 1 }, bound { s = "x", d = 1, m = 0 }, "second: m" },
    } do
      local ours, wanted = told(case[1], case[2])
      assert.same(case[3], wanted)
      assert.same(wanted, ours)
    end
  end)

  it("are stopped after their time", function()
    local w = flow.workflow { name = "slow", on_error = "continue" }
    for i = 1, 2 do
      w["n" .. i] = { timeout = 0.05, run = function() while i > 1 do end end }
    end
    local states = flow.run(w):states()
    assert.same({ "completed", "failed" }, { states.n1, states.n2 })
  end)

  it("have secrets and expressions of their own", function()
    require("luv").os_setenv("ALIKE_SECRET", "not to be seen")
    local w = flow.workflow { name = "own", input = { x = "string" } }
    for i = 1, 3 do
      w["s" .. i] = flow.const { flow.secret "ALIKE_SECRET" }
      w["c" .. i] = flow.condition { ("input.x == 'x%d'"):format(i) }
    end
    local run = flow.run(w, { input = { x = "x2" } })
    assert.equal("completed", run.state)
    local outputs = run:outputs()
    assert.same({ false, true, false }, { outputs.c1, outputs.c2, outputs.c3 })
    assert.same({ "•••", "•••" }, { outputs.s1, outputs.s3 })
  end)

  it("are built once a kind", function()
    local w, built = flow.workflow { name = "kinds" }, {}
    for i = 1, 100 do
      w["n" .. i] = { run = function() end, after = i > 1 and "n" .. i - 1 or nil, retry = i % 2 + 1,
        timeout = "5s" }
    end
    local def = assert(flow.compile(w)).def
    for i in require("orrery.definition.nodes").built(def) do built[#built + 1] = i end
    assert(#built <= 6, #built)
    assert.equal(100, #def.nodes)
    assert.same({ "n77", 2, 5, 76 }, { def.nodes[77].name, def.nodes[77].retry.max, def.nodes[77].timeout,
      def.nodes[77].deps[1].node })
    assert.is_nil(def.nodes[101])
    assert.is_nil(def.nodes.x)
  end)

  it("may be of more kinds than are remembered", function()
    local w = flow.workflow { name = "many" }
    for i = 1, 1000 do w["n" .. i] = { run = function() end, timeout = i % 500 + 1 } end
    local nodes = assert(flow.compile(w)).def.nodes
    for i = 1, 1000 do assert.equal(i % 500 + 1, nodes[i].timeout) end
  end)

  it("keep their places and names when nodes are added later", function()
    local w = flow.workflow { name = "grows" }
    for i = 1, 3 do w["n" .. i] = { run = function() end } end
    local nodes = assert(flow.compile(w)).def.nodes
    w.late = { run = function() end }
    assert.same({ 3, "n3" }, { #nodes, nodes[3].name })
    assert.is_nil(nodes[4])
    assert.equal(4, #assert(flow.compile(w)).def.nodes)
  end)

  it("cost few bytes", function()
    local w = flow.workflow { name = "large" }
    local work = function() end
    for i = 1, 20000 do w["n" .. i] = { run = work, after = i > 1 and "n" .. i - 1 or nil, retry = 2 } end
    collectgarbage()
    local before = collectgarbage "count"
    local compiled = assert(flow.compile(w))
    collectgarbage()
    local bytes = (collectgarbage "count" - before) * 1024 / 20000
    assert(bytes < 8, bytes .. " bytes of Lua a node")
    assert.equal(20000, #compiled.plan)
  end)
end)

describe("the collector", function()
  -- What a process of its own prints: there nothing was built before.
  local function said_by(code)
    local result = command.run { "-e", [[
      local flow = require "orrery"
      local function build(count)
        local w = flow.workflow { name = "large" }
        for i = 1, count do w["n" .. i] = { run = function() return i end } end
        return w
      end
    ]] .. code }
    assert.equal("", result.err)
    return tonumber(result.out)
  end

  it("goes through a workflow that is larger than any before it seldom while that is built", function()
    local cycles = said_by [[
      local n = 0
      local function arm()
        setmetatable({}, { __gc = function()
          n = n + 1
          arm()
        end })
      end
      arm()
      build(100000)
      local found = n
      print(found)
    ]]
    assert.is_true(cycles <= 5, cycles .. " times; without credit it is 8")
  end)

  it("finds workflows that nobody has any more", function()
    local most = said_by [[
      local w = build(20000)
      local one, most = collectgarbage "count", 0
      w = nil
      for _ = 1, 40 do
        build(20000)
        most = math.max(most, collectgarbage "count")
      end
      print(most / one)
    ]]
    assert.is_true(most < 16, tostring(most))
  end)
end)
