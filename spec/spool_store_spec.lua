-- Files of rows beside a store: after a kill, with forks, copies and pruned runs, and in how much
-- memory rows go through them.
local flow = require "orrery"
local command = require "spec.support.command"
local place = require "spec.support.place"
local uv = require "luv"

local json = flow.json

local function names(folder)
  local list = {}
  local scan = uv.fs_scandir(folder)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

-- Rows of a type that waits in the middle of them until there is a file `go`.
local FLOW = [[
local flow = require "orrery"
local uv = require "luv"
local slow = flow.type {
  name = "slow.rows", doc = "Gives rows.", source = true, config = flow.schema {},
  stage = function(_, _, stage)
    local n = 0
    return function()
      n = n + 1
      if n > 60 then return nil end
      if n == 40 then
        io.open("began", "a"):write("x\n"):close()
        while not uv.fs_stat "go" do flow.sleep(0.01) end
      end
      local rows = {}
      for i = 1, 1000 do rows[i] = { id = (n - 1) * 1000 + i, text = ("x"):rep(40) } end
      return rows
    end
  end,
}
local w = flow.workflow { name = "slow", output = { n = "${nodes.use.n}", sum = "${nodes.use.sum}" } }
w.rows = slow {}
w.even = flow.data.filter { rows = "${nodes.rows}", where = "row.id % 2 == 0" }
w.use = { after = "even", run = function(_, inputs)
  local sum = 0
  for _, row in ipairs(inputs.even) do sum = sum + row.id end
  return { n = #inputs.even, sum = sum }
end }
return w
]]
local OUTPUT = { n = 30000, sum = 900030000 }

describe("files of rows beside a store", function()
  local function ran(here)
    here:write("go", "")
    local result = here:orrery("run", "slow.lua", "--quiet")
    assert.equal(0, result.code, result.err)
    assert.same(OUTPUT, json.decode(result.out))
    return here.db .. "-rows"
  end

  local function outputs(here, run, ...)
    local result = here:orrery("show", run, "--outputs", "--json", ...)
    assert.equal(0, result.code, result.err)
    local made = {}
    for _, node in ipairs(json.decode(result.out).nodes) do made[node.name] = node.output end
    return made
  end

  it("are written anew after a kill in the middle, and nothing else is left", function()
    local here <close> = place.new { ["slow.lua"] = FLOW }
    local process = here:start { "run", "slow.lua" }
    here:until_true(function() return #here:did "began" == 1 end, "the middle")
    local left = names(here.db .. "-rows")
    assert.equal(1, #left)
    assert.matches("%.part%.tmp$", left[1])
    process.handle:kill "sigkill"
    here:until_true(function() return process.code end)
    here:write("go", "")
    local result = here:orrery("resume", "--quiet")
    assert.equal(0, result.code, result.err)
    assert.equal(2, #here:did "began", result.out .. result.err)
    local files = names(here.db .. "-rows")
    assert.equal(2, #files)
    for _, name in ipairs(files) do assert.matches("^[-%x]+%.jsonl$", name) end
    assert.same(OUTPUT, outputs(here, "@last").use)
  end)

  it("serve a fork, and outlive their run for it", function()
    local here <close> = place.new { ["slow.lua"] = FLOW }
    local folder = ran(here)
    local first = json.decode(here:orrery("runs", "--json").out).id
    local result = here:orrery("fork", first, "--from", "use", "--quiet")
    assert.equal(0, result.code, result.err)
    assert.same(OUTPUT, json.decode(result.out))
    assert.equal(2, #names(folder))
    local fork = outputs(here, "@last")
    assert.same(60000, #fork.rows)
    assert.same({ id = 60000, text = ("x"):rep(40) }, fork.even[30000])
  end)

  it("are removed with the last run that needs them", function()
    local here <close> = place.new { ["slow.lua"] = FLOW }
    local folder = ran(here)
    here:write(".orrery/runs.db-rows/other.jsonl", "")
    local dry = here:orrery("prune", "--older", "0s", "--dry")
    assert.matches("2 files of rows %(%d+%.%d MiB%)", dry.out)
    assert.equal(3, #names(folder))
    local result = here:orrery("prune", "--older", "0s")
    assert.equal(0, result.code, result.err)
    assert.matches("removed 1 run.* 2 files of rows", result.out)
    assert.same({ "other.jsonl" }, names(folder))
  end)

  it("stay where the journal of another run refers to them", function()
    local here <close> = place.new { ["slow.lua"] = FLOW }
    local folder = ran(here)
    local first = json.decode(here:orrery("runs", "--json").out).id
    assert.equal(0, here:orrery("fork", first, "--from", "use", "--quiet").code)
    local pipe <close> = io.popen(("sqlite3 %s \"UPDATE runs SET ended = ended - 1000 WHERE id = '%s'\" 2>&1")
      :format(here.db, first))
    assert.equal("", pipe:read "a")
    local result = here:orrery("prune", "--older", "500s")
    assert.matches("removed 1 run", result.out)
    assert.equal(2, #names(folder))
    assert.same(30000, #outputs(here, "@last").even)
  end)

  it("go with a backup, and come back with it", function()
    local here <close> = place.new { ["slow.lua"] = FLOW }
    local folder = ran(here)
    assert.equal(0, here:orrery("backup", "copy.db").code)
    assert.same(names(folder), names(here.folder .. "/copy.db-rows"))
    local again = here:orrery("backup", "copy.db")
    assert.equal(2, again.code)
    os.remove(here.folder .. "/copy2.db")
    assert(uv.fs_mkdir(here.folder .. "/copy2.db-rows", 448))
    again = here:orrery("backup", "copy2.db")
    assert.equal(2, again.code)
    assert.matches("copy2.db%-rows exists", again.err)
    assert.equal(60000, #outputs(here, "@last", "--store", "copy.db").rows)
    assert.equal(0, here:orrery("restore", "copy.db", "--store", "other.db").code)
    assert.equal(60000, #outputs(here, "@last", "--store", "other.db").rows)
    for _, name in ipairs(names(folder)) do assert(uv.fs_unlink(folder .. "/" .. name)) end
    assert.equal(0, here:orrery("restore", "copy.db", "--overwrite").code)
    assert.equal(60000, #outputs(here, "@last").rows)
  end)

  it("are missed with a sentence that says what helps", function()
    local here <close> = place.new { ["slow.lua"] = FLOW }
    local folder = ran(here)
    for _, name in ipairs(names(folder)) do
      local file <close> = io.open(folder .. "/" .. name, "a")
      file:write "{}\n"
    end
    local result = here:orrery("fork", "@last", "--from", "use")
    assert.equal(1, result.code)
    assert.matches("it has %d+ bytes instead of %d+; restore a backup with its folder, or make them anew",
      result.err)
    assert.matches("spool_error", result.err)
  end)

  it("are used by each, by children and through the cache", function()
    local here <close> = place.new { ["a.lua"] = [[
      local flow = require "orrery"
      local rows = {}
      for i = 1, 20000 do rows[i] = { id = i, text = ("y"):rep(60) } end
      local child = flow.workflow { name = "child", output = "${nodes.rows}",
        input = flow.schema { given = "array" } }
      child.rows = flow.data.filter { rows = "${input.given}", where = "row.id % 2 == 1" }
      local w = flow.workflow { name = "a", output = { n = "${#nodes.call}", last = "${nodes.call[10000].id}",
        each = "${nodes.sum}", cached = "${#nodes.cached}" } }
      w.rows = flow.data.map { rows = rows }
      w.cached = flow.data.map { rows = "${nodes.rows}", set = { x = 1 }, cache = true }
      w.call = { after = "rows", run = function(ctx, inputs) return ctx:call(child, { given = inputs.rows }) end }
      w.few = flow.data.split { rows = "${nodes.call}", parts = 20 }
      w.some = flow.data.filter { rows = "${nodes.rows}", where = "row.id % 2000 == 0 or row.id > 18000" }
      w.every = { each = "${nodes.some}", run = function(ctx) return ctx.item.id end }
      w.sum = { after = "every", run = function(_, inputs)
        local sum = 0
        for _, id in ipairs(inputs.every) do sum = sum + id end
        return sum
      end }
      return w]] }
    local sum = 0
    for i = 1, 20000 do if i % 2000 == 0 or i > 18000 then sum = sum + i end end
    for _ = 1, 2 do
      local result = here:orrery("run", "a.lua", "--quiet")
      assert.equal(0, result.code, result.err)
      assert.same({ n = 10000, last = 19999, each = sum, cached = 20000 }, json.decode(result.out))
    end
    assert.equal("cache", (function()
      for _, node in ipairs(json.decode(here:orrery("show", "@last", "--json").out).nodes) do
        if node.name == "cached" then return node.source end
      end
    end)())
  end)

  it("let any number of rows through little memory", function()
    local here <close> = place.new { ["big.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "big", output = "${nodes.use}" }
      w.read = flow.csv.read { path = "big.csv", types = { id = "integer" } }
      w.map = flow.data.map { rows = "${nodes.read}", set = { twice = "row.id * 2" } }
      w.use = { after = "map", run = function(ctx, inputs)
        local sum = 0
        for _, row in ipairs(inputs.map) do sum = sum + row.twice end
        local status = io.open "/proc/self/status":read "a"
        return { sum = sum, kb = tonumber(status:match "VmHWM:%s*(%d+)") }
      end }
      return w]] }
    local lines = { "id,name,note" }
    for i = 1, 150000 do lines[#lines + 1] = ("%d,name %d,some text that goes with row %d"):format(i, i,
      i) end
    here:write("big.csv", table.concat(lines, "\n"))
    for _, store in ipairs { "memory:", "s.db" } do
      local result = here:orrery("run", "big.lua", "--quiet", "--store", store)
      assert.equal(0, result.code, result.err)
      local made = json.decode(result.out)
      assert.equal(150000 * 150001, made.sum)
      -- as lists each node's rows take 40 MB and more
      -- (a sanitizer's runtime needs memory of its own)
      assert.is_true(made.kb < 40000 or command.sanitized, store .. ": " .. made.kb .. " KB")
    end
  end)
end)
