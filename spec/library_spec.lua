-- The annotations for editors name what there is, and nothing else.
local flow = require "orrery"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local notes = read "lua/orrery/library/orrery.lua"

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

-- The fields and functions of an annotated class.
local function noted(class, variable)
  local set = {}
  local block = assert(notes:match("\n%-%-%-@class " .. class:gsub("%.", "%%.") .. "([ \n:].-)\n[^%-]"),
    class)
  for name in block:gmatch "\n%-%-%-@field ([%w_]+)" do set[name] = true end
  for name in notes:gmatch("\nfunction " .. variable .. "[.:]([%a_]+)") do set[name] = true end
  return set
end

-- The names in a table of a C file: {"name", function}.
local function names_in(path, pattern)
  local list = {}
  for name in assert(read(path):match(pattern), pattern):gmatch '{"([%a_]+)"' do list[#list + 1] = name end
  return set_of(list)
end

local function union(...)
  local set = {}
  for _, each in ipairs { ... } do
    for name in pairs(each) do set[name] = true end
  end
  return set
end

describe("the annotations for editors", function()
  local FIELDS, METHODS = "} fields%[%] = {(.-)\n};", "methods%[%] = {(.-)};"
  -- What the rooms above `run` add.
  local OF_RUNS, OF_RUNTIMES = "of_runs%[%] = {(.-)};", "of_runtimes%[%] = {(.-)};"

  it("name what ctx has", function()
    local path = "runtime/run/ctx.c"
    assert.same(union(names_in(path, FIELDS), names_in(path, METHODS)), noted("orrery.Context", "Context"))
  end)

  it("name what a run has", function()
    local path = "runtime/run/inspect.c"
    local added = names_in("runtime/durable/keeper.c", OF_RUNS)
    assert.same(union(names_in(path, FIELDS), names_in(path, METHODS), added), noted("orrery.Run", "Run"))
  end)

  it("name what a runtime and a plan have", function()
    local added = union(names_in("runtime/durable/keeper.c", OF_RUNTIMES),
      names_in("runtime/bind/module.c", OF_RUNTIMES), names_in("runtime/run/pools.c", METHODS))
    assert.same(union(names_in("runtime/run/runtime.c", METHODS), added), noted("orrery.Runtime", "Runtime"))
    assert.same(names_in("runtime/run/plan.c", METHODS), noted("orrery.Plan", "Plan"))
  end)

  it("name what a store has", function()
    local fields = set_of { "url", "kind" }
    assert.same(union(fields, names_in("runtime/bind/store.c", METHODS)), noted("orrery.Store", "Store"))
  end)

  it("name what flow and flow.json have", function()
    -- what comes when it is looked at
    local real = { retries = true, connector = true, sync = true, url = true, duration = true, pool = true,
      now = true, resp = true, invariant = true, model = true, effect = true, schedule = true, watch = true,
      after_run = true, hook = true, alert = true, webhook_headers = true }
    for name in pairs(flow) do real[name] = true end
    for line in assert(io.popen "ls stdlib"):lines() do
      -- a folder where each type has a file of its own, but for what they share
      local word = line:match "^(.*)%.lua$" or line ~= "shared" and line
      if word then real[word == "workflow" and "call" or word] = true end
    end
    for word in ("dedupe filter map merge normalize validate"):gmatch "%S+" do
      real[flow[word] == flow.data[word] and word] = true -- second names
    end
    assert.same(real, noted("orrery", "flow"))
    local json = {}
    for name in pairs(flow.json) do json[name] = true end
    assert.same(json, noted("orrery.Json", "json"))
  end)

  it("name a node's keys", function()
    local keys = set_of(require("orrery.definition.node_keys").NAMES)
    local written = union(noted("orrery.NodeKeys", "NodeKeys"), noted("orrery.LuaNode", "-"),
      noted("orrery.TypedNode", "-"))
    for name in pairs(written) do assert.is_true(keys[name] or name == "type", name) end
    for name in pairs(keys) do
      local reserved = name == "strategy"
      assert.is_true(reserved or written[name], name)
    end
  end)

  it("are Lua", function() assert.is_function(load(notes)) end)
end)
