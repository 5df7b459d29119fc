-- Outputs above a size are handles: a run that hands on much needs memory for a few of them.
local command = require "spec.support.command"
local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"

local MIB = 1024 * 1024

-- Nodes that hand on SIZE MiB, one after the other or all to one, and as much as that in each.
local CHAIN = [[
local flow = require "orrery"
local N, SIZE = %d, %d * 1024 * 1024
local w = flow.workflow { name = "chain", output = "${nodes.last}" }
w.n0 = { run = function() return ("x"):rep(SIZE) .. "000" end }
for i = 1, N do
  local before = "n" .. (i - 1)
  w["n" .. i] = { after = before, run = function(_, inputs)
    return inputs[before]:sub(1, -4) .. ("%%03d"):format(i)
  end }
end
w.last = { after = "n" .. N, run = function(_, inputs) return inputs["n" .. N]:sub(-3) end }
return w
]]
local FAN = [[
local flow = require "orrery"
local N, SIZE = %d, %d * 1024 * 1024
local w, after = flow.workflow { name = "fan", output = "${nodes.last}", pools = { two = 2 } }, {}
for i = 1, N do
  after[i] = "n" .. i
  w["n" .. i] = { pool = "two", run = function() return { text = ("x"):rep(SIZE), i = i } end }
end
w.last = { after = after, run = function(_, inputs)
  local sum = 0
  for i = 1, N do sum = sum + inputs["n" .. i].i + #inputs["n" .. i].text end
  return sum
end }
return w
]]
-- As FAN, all at once.
local ALL = FAN:gsub('pool = "two", ', "")
-- Items of one node, and who reads them.
local ITEMS = [[
local flow = require "orrery"
local N, SIZE = %d, %d * 1024 * 1024
local list = {}
for i = 1, N do list[i] = i end
local w = flow.workflow { name = "items", output = "${nodes.last}" }
w.each = { each = list, run = function(ctx) return { text = ("x"):rep(SIZE), i = ctx.item } end }
w.last = { after = "each", run = function(_, inputs)
  local sum = 0
  for i, item in ipairs(inputs.each) do sum = sum + item.i + #item.text end
  return sum
end }
return w
]]
local IN_MEMORY = [[
local flow = require "orrery"
local run = flow.run(flow.load(arg[1]), { runtime = flow.runtime {} })
print(flow.json.encode(run.output))
]]

describe("a run that hands on much", function()
  -- Its output and the most that it had in memory, in MiB.
  local function measured(here, ...)
    local result = here:orrery("peak.lua", ...)
    assert.equal(0, result.code, result.err)
    return result.out:match "^(.-)\n", tonumber(result.err:match "peak (%d+)") / 1024
  end

  -- Runs the rest of its arguments as the command would, and tells its peak.
  local PEAK = [[
    local uv = require "luv"
    local code
    local handle = assert(uv.spawn(arg[1], { args = table.move(arg, 2, #arg, 1, {}), stdio = { 0, 1, 2 } },
      function(c) code = c end))
    local pid, peak = handle:get_pid(), 0
    while not code do
      local file = io.open("/proc/" .. pid .. "/status")
      local text = file and file:read "a" or ""
      if file then file:close() end
      peak = math.max(peak, tonumber(text:match "VmHWM:%s*(%d+)" or 0))
      require("orrery").sleep(0.02)
    end
    io.stderr:write("peak ", peak, "\n")
    os.exit(code)
  ]]

  local function files(text, n, size)
    return { ["w.lua"] = text:format(n, size), ["memory.lua"] = IN_MEMORY, ["peak.lua"] = PEAK }
  end

  local N, SIZE = 50, 2 -- 100 MiB together

  -- The sanitizers keep what was freed.
  local test = command.sanitized and pending or it

  for name, text in pairs { chain = CHAIN, fan = FAN } do
    local expected = name == "chain" and '"050"' or ("%d"):format(N * SIZE * MIB + N * (N + 1) // 2)

    test("needs memory for a few of them: a " .. name .. " in memory", function()
      local here <close> = place.new(files(text, N, SIZE))
      local output, peak = measured(here, place.orrery_path, "memory.lua", "w.lua")
      assert.equal(expected, output)
      assert.is_true(peak < 70, ("%.0f MiB"):format(peak))
    end)

  end

  for name, text in pairs { ["nodes that end together"] = ALL, items = ITEMS } do
    test("needs memory for a few of them: " .. name .. " in a store", function()
      local here <close> = place.new(files(text, N, SIZE))
      local output, peak = measured(here, place.orrery_path, "run", "w.lua", "--store", "s.db")
      assert.equal(("%d"):format(N * SIZE * MIB + N * (N + 1) // 2), output)
      assert.is_true(peak < 150, ("%.0f MiB"):format(peak)) -- all of them, once each as text, are 200
    end)
  end

  test("needs memory for a few of them: items in memory", function()
    local here <close> = place.new(files(ITEMS, N, SIZE))
    local output, peak = measured(here, place.orrery_path, "memory.lua", "w.lua")
    assert.equal(("%d"):format(N * SIZE * MIB + N * (N + 1) // 2), output)
    assert.is_true(peak < 70, ("%.0f MiB"):format(peak))
  end)

  test("needs memory for a few of them: a chain in a store", function()
    local here <close> = place.new(files(CHAIN, N, SIZE))
    local output, peak = measured(here, place.orrery_path, "run", "w.lua", "--store", "s.db")
    assert.equal('"050"', output)
    assert.is_true(peak < 70, ("%.0f MiB"):format(peak))
  end)
end)

describe("an output above the size", function()
  local function run_of(rt, n, size)
    local w = flow.workflow { name = "w" }
    local after = {}
    for i = 1, n do
      after[i] = "n" .. i
      w["n" .. i] = { run = function()
        return { i = i, float = 1.0, text = ("\xFF"):rep(size), list = flow.json.array {},
          ["$k"] = flow.json.null }
      end }
    end
    w.one = { after = after, run = function(ctx, inputs)
      return { inputs.n1.i, ctx.nodes.n2.i, math.type(inputs.n1.float), #inputs.n3.text,
        flow.json.is_array(inputs.n4.list),
        inputs.n5["$k"] == flow.json.null }
    end }
    w.all = { after = after, run = function(_, inputs)
      local sum, count = 0, 0
      for name, value in pairs(inputs) do
        assert(name == "n" .. value.i)
        sum, count = sum + value.i, count + 1
      end
      return { sum, count }
    end }
    w.other = { after = after, run = function(_, inputs) return inputs.none end }
    w.loop = { loop = { times = 7 }, run = function(ctx)
      return { i = ctx.iteration, before = ctx.previous and ctx.previous.i, text = ("y"):rep(size) }
    end }
    w.expression = flow.const { value = "${nodes.n6.i + nodes.n7.i}" }
    w.other.on_error = "ignore"
    return flow.run(w, { runtime = rt })
  end

  local function judge(run, size)
    assert.equal("completed", run.state, run.error and run.error.message)
    local outputs = run:outputs()
    assert.same({ 1, 2, "float", size, true, true }, outputs.one)
    assert.same({ 55, 10 }, outputs.all)
    assert.equal(13, outputs.expression)
    assert.same({ 7, 6 }, { outputs.loop.i, outputs.loop.before })
    for i = 1, 10 do assert.same({ i, size }, { outputs["n" .. i].i, #outputs["n" .. i].text }) end
    assert.truthy(run:errors().other.message:find("does not depend on it", 1, true))
  end

  it("is read back as it was, where it is used", function()
    judge(run_of(flow.runtime { large_output = 1000 }, 10, 5000), 5000)
    judge(run_of(flow.runtime {}, 10, 2 * MIB), 2 * MIB)
    local here <close> = place.new()
    judge(run_of(flow.runtime { large_output = 1000, store = here.folder .. "/s.db" }, 10, 40000), 40000)
    judge(run_of(flow.runtime { large_output = 1000, store = "memory:" }, 10, 40000), 40000)
  end)

  local function items_of(rt, size)
    local w = flow.workflow { name = "items", output = "${nodes.each}" }
    w.each = { each = { 1, 2, 3, 4, 5 }, each_failures = 1, run = function(ctx)
      if ctx.item == 2 then error "no" end
      if ctx.item == 3 then return nil end
      return { i = ctx.item, text = ctx.item == 4 and "short" or ("\xFF"):rep(size), ["$k"] = flow.json.null }
    end }
    w.loop = { each = { 1, 2 }, loop = { times = 3 }, run = function(ctx)
      return { i = ctx.item, n = ctx.iteration, before = ctx.previous and ctx.previous.n,
        text = ("y"):rep(size) }
    end }
    w.again = { each = "${nodes.each}", when = "count(nodes.each) == 5", run = function(ctx)
      return type(ctx.item) == "table" and ctx.item.i or 0
    end }
    w.sum = { after = { "each", "loop" }, run = function(_, inputs)
      local sum, n = 0, 0
      for _, item in pairs(inputs.each) do sum, n = sum + (type(item) == "table" and item.i or 0), n + 1 end
      return { sum, n, #inputs.each, inputs.each[1].i, inputs.each[5].i, inputs.each[6] == nil,
        #inputs.each[1].text,
        inputs.loop[2].n, inputs.loop[2].before, #flow.json.encode(inputs.loop) }
    end }
    return flow.run(w, { runtime = rt })
  end

  it("of an item is read back as it was, where it is used", function()
    local here <close> = place.new()
    local texts = {}
    for i, rt in ipairs { flow.runtime { large_output = 1 << 30 }, flow.runtime { large_output = 1000 },
      flow.runtime { large_output = 1000, store = here.folder .. "/s.db" },
      flow.runtime { large_output = 1000, store = "memory:" } } do
      local run = items_of(rt, 5000)
      assert.equal("completed", run.state, run.error and run.error.message)
      assert.same({ 1, 0, 0, 4, 5 }, run:outputs().again)
      texts[i] = flow.json.encode({ run:outputs().sum, run.output, run:outputs().loop }, { binary = true })
    end
    for i = 2, 4 do assert.equal(texts[1], texts[i]) end
  end)

  it("of an item is there for a retry, a fork and who looks, and goes with its run", function()
    local here <close> = place.new { ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "items", output = "${nodes.last}" }
      w.each = { each = { 1, 2, 3, 4, 5, 6 }, run = function(ctx)
        io.open("did", "a"):write(ctx.item, "\n"):close()
        if ctx.item == 5 and not io.open "go" then error "no" end
        return ctx.item % 2 == 0 and ctx.item or { text = ("x"):rep(2000000), i = ctx.item }
      end }
      w.last = { after = "each", run = function(_, inputs)
        local parts = {}
        for i, item in ipairs(inputs.each) do parts[i] = type(item) == "table" and item.i + #item.text or item end
        return parts
      end }
      return w]] }
    local expected = { 2000001, 2, 2000003, 4, 2000005, 6 }
    assert.equal(1, here:orrery("run", "w.lua", "--quiet").code)
    here:write("go", "")
    local result = here:orrery("retry", "@last", "--items", "--quiet")
    assert.equal(0, result.code, result.err)
    assert.equal(1, here:counts()["1"])
    assert.equal(2, here:counts()["5"])
    local function shown(name)
      local made = flow.json.decode(here:orrery("show", "@last", "--outputs", "--json").out)
      for _, node in ipairs(made.nodes) do
        if node.name == name then return node.output end
      end
    end
    assert.same(expected, shown "last")
    assert.same({ 6, 2000000, 4, 5 }, { #shown "each", #shown "each"[1].text, shown "each"[4],
      shown "each"[5].i })
    result = here:orrery("fork", "@last", "--from", "last", "--quiet")
    assert.same(expected, flow.json.decode(result.out))
    result = here:orrery("prune", "--older", "0s")
    assert.matches("4 large values", result.out)
  end)

  it("stays in memory where there is no room for it elsewhere", function()
    local before = uv.os_getenv "TMPDIR"
    uv.os_setenv("TMPDIR", "/no/such/folder")
    local run = run_of(flow.runtime { large_output = 1000 }, 10, 5000)
    if before then uv.os_setenv("TMPDIR", before) else uv.os_unsetenv "TMPDIR" end
    judge(run, 5000)
  end)

  it("is an error that says so where it is damaged or gone from the store", function()
    for said, sql in pairs { ["there is no such thing"] = "DELETE FROM blobs",
      ["damaged"] = "UPDATE blobs SET data = zeroblob(length(data))" } do
      local here <close> = place.new()
      local db = here.folder .. "/s.db"
      local w = flow.workflow { name = "w" }
      w.a = { run = function() return ("x"):rep(2 * MIB) end }
      local rt = flow.runtime { store = db }
      local run = flow.run(w, { runtime = rt })
      assert.equal("completed", run.state)
      assert(os.execute(("sqlite3 -cmd '.timeout 60000' %s '%s' >/dev/null"):format(db, sql)))
      local ok, e = pcall(run.outputs, run)
      assert.is_false(ok)
      for _, part in ipairs { "the output of node a cannot be read back from the store: ", said,
        "orrery fork " .. run.id .. " --from a" } do
        assert.truthy(tostring(e):find(part, 1, true), tostring(e))
      end
    end
  end)
end)
