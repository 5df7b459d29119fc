-- data.join: two lists by key, in memory and beyond it.
local flow = require "orrery"
local one = require "spec.support.one_node"

local MEMORY = { 16 << 20, 20000, 3000 } -- all of it, some runs, many runs

local people = { { id = 1, name = "Ada" }, { id = 2, name = "Tim" }, { name = "Eva" },
  { id = 4, name = "Max" } }
local orders = { { person = 4, what = "tea", name = "x" }, { person = 1, what = "ink" },
  { person = 1, what = "pen" }, { person = 9, what = "cup" }, { what = "hat" },
  { person = flow.json.null, what = "cap" } }

local function joined(how)
  return one.output(flow.data.join { rows = people, right = orders, by = "id", right_by = "person",
    how = how })
end

-- The same by looking at each pair.
local function expected(left, right, how)
  local pairs_of, used = {}, {}
  for i, l in ipairs(left) do
    local found = false
    for j, r in ipairs(right) do
      if l.k ~= nil and l.k == r.k then
        found, used[j] = true, true
        if how ~= "anti" then pairs_of[#pairs_of + 1] = ("%d-%d"):format(i, j) end
      end
    end
    if not found and how ~= "inner" then pairs_of[#pairs_of + 1] = ("%d-"):format(i) end
  end
  for j in ipairs(right) do
    if how == "outer" and not used[j] then pairs_of[#pairs_of + 1] = ("-%d"):format(j) end
  end
  table.sort(pairs_of)
  return pairs_of
end

describe("data.join", function()
  it("joins rows whose keys are equal, in the order of the keys", function()
    assert.same({ { id = 1, name = "Ada", what = "ink" }, { id = 1, name = "Ada", what = "pen" },
      { id = 4, name = "Max", what = "tea", right_name = "x" } }, joined "inner")
  end)

  it("keeps rows that find none, and those of the right, as it is told", function()
    assert.same({ { name = "Eva" }, { id = 1, name = "Ada", what = "ink" },
      { id = 1, name = "Ada", what = "pen" }, { id = 2, name = "Tim" },
      { id = 4, name = "Max", what = "tea", right_name = "x" } }, joined "left")
    assert.same({ { name = "Eva" }, { id = 2, name = "Tim" } }, joined "anti")
    local all = joined "outer"
    assert.equal(8, #all)
    assert.same({ { name = "Eva" }, { what = "hat" }, { what = "cap", id = flow.json.null } },
      { all[1], all[2], all[3] })
    assert.same({ id = 9, what = "cup" }, all[8])
  end)

  it("calls a field of the right alike in all rows, also where no left one was found", function()
    local out = one.output(flow.data.join { rows = { { k = 1, v = "l" } }, how = "outer", by = "k",
      prefix = "r.", right = { { k = 1, v = "r" }, { k = 2, v = "s", w = 1 } } })
    assert.same({ { k = 1, v = "l", ["r.v"] = "r" }, { k = 2, ["r.v"] = "s", w = 1 } }, out)
  end)

  it("gives the pairs that looking at each pair gives, in memory and beyond it, for all keys", function()
    math.randomseed(11)
    local function rows_of(n)
      local rows = {}
      for i = 1, n do
        local kind = math.random(4)
        rows[i] = { i = i, k = kind == 1 and math.random(20) or kind == 2 and "k" .. math.random(20)
          or kind == 3 and math.random(20) + 0.0 or nil }
      end
      return rows
    end
    local left, right = rows_of(400), rows_of(300)
    for _, how in ipairs { "inner", "left", "outer", "anti" } do
      local want = expected(left, right, how)
      for _, memory in ipairs(MEMORY) do
        local got = {}
        for n, row in ipairs(one.output(flow.data.join { rows = left, right = right, by = "k", how = how,
          memory = memory, prefix = "r_" })) do
          local is_right = row.i == nil
          got[n] = ("%s-%s"):format(is_right and "" or row.i, row.r_i or "")
        end
        table.sort(got)
        assert.same(want, got)
      end
    end
  end)

  it("joins many rows with many of one key, and by several fields", function()
    local left, right = {}, {}
    for i = 1, 1200 do left[i] = { a = 1, b = i % 2, i = i } end
    for j = 1, 3 do right[j] = { a = 1, b = 0, j = j } end
    local out = one.output(flow.data.join { rows = left, right = right, by = { "a", "b" } })
    assert.equal(1800, #out)
    assert.same({ a = 1, b = 0, i = 2, j = 1 }, out[1])
    assert.same({ a = 1, b = 0, i = 1200, j = 3 }, out[1800])
  end)

  it("is a stage of a pipe, and knows the columns", function()
    local w = flow.workflow { name = "w", output = "${nodes.p}" }
    local path = os.tmpname()
    w.f = flow.file.write { path = path, content = "id,name\n2,Tim\n1,Ada\n" }
    w.p = flow.pipe { after = "f", flow.csv.read { path = path, types = { id = "integer" } },
      flow.data.join { by = "id", how = "left",
        right = { { id = 1, town = "Rome" }, { id = 2, age = 9, name = "T." } } },
      flow.csv.write { path = path .. ".out" } }
    local run = flow.run(w)
    assert.equal("completed", run.state, run.error and run.error.message)
    local file <close> = io.open(path .. ".out")
    assert.equal("id,name,age,right_name,town\n1,Ada,,,Rome\n2,Tim,9,T.,\n", file:read "a")
    os.remove(path)
    os.remove(path .. ".out")
  end)

  it("says what is wrong with its config and with keys", function()
    local w = flow.workflow { name = "w" }
    w.it = flow.data.join { by = { "a", "b" }, right_by = "c", right = {} }
    one.contains(flow.check(w)[1].message, "by and right_by name as many fields")
    one.contains(one.failure(flow.data.join { rows = { { a = {} } }, right = {}, by = "a" }).message,
      "a table is no key")
    one.contains(one.failure(flow.data.join { rows = { { a = 1 } }, right = { 5 }, by = "a" }).message,
      "right: expected a list of objects")
  end)
end)
