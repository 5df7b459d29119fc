-- Sorting, grouping, aggregating, and the best of each key: in memory and beyond it.
local flow = require "orrery"
local one = require "spec.support.one_node"

local function shuffled(list, seed)
  math.randomseed(seed)
  for i = #list, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

local MEMORY = { 16 << 20, 20000, 3000 } -- all of it, some runs, many runs

describe("sort_key", function()
  it("sorts values as one would, and tells integers apart that floats do not", function()
    local null = flow.json.null
    local order = { null, false, true, -math.huge, math.mininteger, -1e18, -2.5, -2, -1, 0, 0.5, 1, 1.5,
      2 ^ 53 | 0,
      (2 ^ 53 | 0) + 1, math.maxinteger - 1, math.maxinteger, 2.0 ^ 63, math.huge, "", "\0", "\0a", "a",
        "a\0", "a\0b", "ab", "b",
      "\u{e9}" }
    local keys = {}
    for i, value in ipairs(order) do keys[i] = flow.rows.sort_key({ value }, { 1 }) end
    for i = 2, #keys do assert.is_true(keys[i - 1] < keys[i], "value " .. i) end
    for i, value in ipairs(order) do keys[i] = flow.rows.sort_key({ value, i }, { 1, 2 }, { true, false }) end
    for i = 2, #keys do assert.is_true(keys[i - 1] > keys[i], "value " .. i) end
    assert.equal(flow.rows.sort_key({ 1 }, { 1 }), flow.rows.sort_key({ 1.0 }, { 1 }))
    assert.equal(flow.rows.sort_key({ 0.0 }, { 1 }), flow.rows.sort_key({ -0.0 }, { 1 }))
    assert.equal(flow.rows.sort_key({}, { "x" }), flow.rows.sort_key({ x = null }, { "x" }))
  end)
end)

describe("data.sort", function()
  it("sorts by several fields, either way, and keeps the order of equal rows, in memory and beyond",
    function()
    local rows = {}
    for i = 1, 2000 do
      rows[i] = { a = i % 7, b = ("x"):rep(i % 3), i = i, deep = { m = { 1.5, flow.json.null }, k = {},
        l = flow.json.array {} } }
    end
    shuffled(rows, 3)
    for i, row in ipairs(rows) do row.at = i end
    for _, memory in ipairs(MEMORY) do
      local out = one.output(flow.data.sort { rows = rows, by = { "a", "b" }, descending = { "a" },
        memory = memory })
      assert.equal(2000, #out)
      for k = 2, #out do
        local x, y = out[k - 1], out[k]
        assert.is_true(x.a > y.a or x.a == y.a and (x.b < y.b or x.b == y.b and x.at < y.at))
      end
      assert.same(rows[out[5].at], out[5])
      assert.equal('{"k":{},"l":[],"m":[1.5,null]}', flow.json.encode(out[5].deep, { sort = true }))
    end
  end)

  it("puts missing fields first, and refuses keys that are lists", function()
    local rows = { { a = 2 }, { b = 1 }, { a = 1 }, { a = flow.json.null } }
    assert.same({ rows[2], rows[4], rows[3], rows[1] }, one.output(flow.data.sort { rows = rows, by = "a" }))
    one.contains(one.failure(flow.data.sort { rows = { { a = {} } }, by = "a" }).message, "a table is no key")
  end)
end)

describe("data.dedupe", function()
  it("keeps the last or the best row of each key, in the order of the rows", function()
    for _, memory in ipairs(MEMORY) do
      local rows = {}
      for i = 1, 3000 do rows[i] = { id = i % 1000, v = (i * 7919) % 3001, i = i } end
      local last = one.output(flow.data.dedupe { rows = rows, by = "id", keep = "last", memory = memory })
      assert.equal(1000, #last)
      for k, row in ipairs(last) do assert.equal(2000 + k, row.i) end
      local best, most = one.output(flow.data.dedupe { rows = rows, by = "id", keep = "best", best = "v",
        memory = memory }), {}
      for _, row in ipairs(rows) do most[row.id] = math.max(most[row.id] or 0, row.v) end
      assert.equal(1000, #best)
      for k, row in ipairs(best) do
        assert.equal(most[row.id], row.v)
        assert.is_true(k == 1 or best[k - 1].i < row.i)
      end
    end
    local w = flow.workflow { name = "w" }
    w.it = flow.data.dedupe { by = "a", keep = "best" }
    one.contains(flow.check(w)[1].message, 'keep = "best" and best = FIELD stand together')
  end)
end)

describe("data.group", function()
  it("puts rows with one key together, by the order of keys", function()
    for _, memory in ipairs(MEMORY) do
      local rows = {}
      for i = 1, 1000 do rows[i] = { k = (i * 37) % 100, i = i } end
      local out = one.output(flow.data.group { rows = rows, by = "k", as = "all", memory = memory })
      assert.equal(100, #out)
      for n, group in ipairs(out) do
        assert.equal(n - 1, group.k)
        assert.equal(10, #group.all)
        for j = 2, 10 do assert.is_true(group.all[j - 1].i < group.all[j].i) end
      end
    end
    assert.same({}, one.output(flow.data.group { rows = {}, by = "k" }))
  end)
end)

describe("data.aggregate", function()
  local figures = { n = "count", has = "count v", total = "sum v", mean = "mean v", low = "min v",
    high = "max v",
    middle = "median v", p90 = "p90 v" }

  it("gives figures for each key, in memory and beyond", function()
    local rows, all = {}, {}
    for i = 1, 5000 do rows[i] = { k = "k" .. i % 50, v = i % 11 > 0 and (i * 7919) % 1009 or nil } end
    for _, row in ipairs(rows) do
      all[row.k] = all[row.k] or { n = 0 }
      local mine = all[row.k]
      mine.n = mine.n + 1
      if row.v then mine[#mine + 1] = row.v end
    end
    for _, memory in ipairs { 16 << 20, 20000, 3000, 0 } do
      local out = one.output(flow.data.aggregate { rows = rows, by = "k", figures = figures,
        memory = memory })
      assert.equal(50, #out)
      for n, row in ipairs(out) do
        local mine, sum = all[row.k], 0
        table.sort(mine)
        for _, v in ipairs(mine) do sum = sum + v end
        assert.is_true(n == 1 or out[n - 1].k < row.k)
        assert.same({ mine.n, #mine, sum, mine[1], mine[#mine] }, { row.n, row.has, row.total, row.low,
          row.high })
        assert.is_true(math.abs(row.mean - sum / #mine) < 1e-9)
        local place = 1 + (#mine - 1) * 0.9
        local low = math.floor(place)
        local p90 = mine[low] + ((mine[low + 1] or mine[low]) - mine[low]) * (place - low)
        assert.is_true(math.abs(p90 - row.p90) < 1e-9)
      end
    end
  end)

  it("gives one row for all where there is no key, also of no rows", function()
    local out = one.output(flow.data.aggregate { rows = { { v = 1 }, { v = 2 }, { v = 11 } },
      figures = figures })
    assert.same({ { n = 3, has = 3, total = 14, mean = 14 / 3, low = 1, high = 11, middle = 2.0,
      p90 = 2 + 9 * 0.8 } }, out)
    assert.same({ { n = 0, has = 0, total = 0 } }, one.output(flow.data.aggregate { rows = {},
      figures = figures }))
    assert.same({ { total = 2.0 ^ 63 } }, one.output(flow.data.aggregate {
      rows = { { v = math.maxinteger }, { v = 1 } }, figures = { total = "sum v" } }))
  end)

  it("says what is wrong with figures and with values", function()
    for _, text in ipairs { "total v", "sum", "p101 v", "" } do
      local w = flow.workflow { name = "w" }
      w.it = flow.data.aggregate { figures = { x = text } }
      one.contains(flow.check(w)[1].message, "figures.x: expected")
    end
    local e = one.failure(flow.data.aggregate { rows = { { v = "5" } }, figures = { x = "sum v" } })
    assert.equal("aggregate_error", e.code)
    one.contains(e.message, 'x = sum of v: expected numbers, got "5"')
  end)
end)
