-- Lists in other shapes: data.batch, data.split, data.flatten, data.merge, data.diff.
local flow = require "orrery"
local one = require "spec.support.one_node"

local null = flow.json.null

local function encoded(value) return flow.json.encode(value, { sort = true }) end

describe("data.batch", function()
  it("makes lists of so many rows, and data.flatten undoes it", function()
    local rows = {}
    for i = 1, 2503 do rows[i] = { i = i } end
    local out = one.output(flow.data.batch { rows = rows, size = 100 })
    assert.equal(26, #out)
    assert.same({ 100, 100, 3 }, { #out[1], #out[25], #out[26] })
    assert.same(rows, one.output(flow.data.flatten { rows = out }))
    assert.same({}, one.output(flow.data.batch { rows = {}, size = 5 }))
    assert.equal("[[1,2],[3,4]]", encoded(one.output(flow.data.batch { rows = { 1, 2, 3, 4 }, size = 2 })))
  end)

  it("feeds a node with each, and is a stage", function()
    local w = flow.workflow { name = "w", output = "${nodes.sums}" }
    w.batches = flow.data.batch { rows = { { n = 1 }, { n = 2 }, { n = 3 } }, size = 2 }
    w.sums = { each = "${nodes.batches}", run = function(ctx)
      local sum = 0
      for _, row in ipairs(ctx.item) do sum = sum + row.n end
      return sum
    end }
    assert.same({ 3, 3 }, flow.run(w).output)
  end)
end)

describe("data.split", function()
  it("makes parts of neighbours that are as long as each other", function()
    assert.equal("[[1,2],[3,4],[5]]",
      encoded(one.output(flow.data.split { rows = { 1, 2, 3, 4, 5 }, parts = 3 })))
    assert.equal("[[1],[],[]]", encoded(one.output(flow.data.split { rows = { 1 }, parts = 3 })))
  end)

  it("puts each row into the first list that takes it, and keeps what an expression fails on", function()
    local rows = { { age = 3 }, { age = 30 }, { age = 17 }, { age = "x" }, {}, { age = null } }
    local out = one.output(flow.data.split { rows = rows, into = { a_child = "row.age and row.age < 18",
      b_small = "row.age and row.age < 5" } })
    assert.same({ rows[1], rows[3] }, out.a_child)
    assert.equal("[]", encoded(out.b_small))
    assert.same({ rows[2], rows[5], rows[6] }, out.rest)
    assert.same({ rows[4] }, { out.rejects[1].row })
    one.contains(out.rejects[1].reason, 'row.age is the string "x"')
  end)

  it("says what is wrong with its config", function()
    for config, message in pairs { [{ rows = {} }] = "give it parts = N",
      [{ rows = {}, into = { rest = "true" } }] = "rest is in the output anyway",
      [{ rows = {}, parts = 0 }] = "parts" } do
      local w = flow.workflow { name = "w" }
      w.it = flow.data.split(config)
      one.contains(flow.check(w)[1].message, message)
    end
    one.contains(one.failure(flow.data.split { parts = 2 }).message, "data.split: rows is missing")
  end)
end)

describe("data.flatten", function()
  local function flat(config) return one.output(flow.data.flatten(config)) end

  it("names fields by their paths, down to a depth, with lists and without", function()
    local row = { a = 1, b = { c = 2, d = { e = 3, f = {} } }, n = null,
      g = flow.json.array { 5, { h = 6 } } }
    assert.same({ { a = 1, ["b.c"] = 2, ["b.d.e"] = 3, ["b.d.f"] = {}, g = { 5, { h = 6 } }, n = null } },
      flat { rows = { row } })
    assert.same({ { a = 1, ["b_c"] = 2, ["b_d"] = { e = 3, f = {} }, g = { 5, { h = 6 } }, n = null } },
      flat { rows = { row }, depth = 1, separator = "_" })
    assert.same({ { a = 1, ["b.c"] = 2, ["b.d.e"] = 3, ["b.d.f"] = {}, ["g.1"] = 5, ["g.2.h"] = 6,
      n = null } }, flat { rows = { row }, lists = true })
  end)

  it("makes a row for each item of a list, and keeps rows that have none", function()
    assert.same({ { id = 1, ["items.x"] = 1 }, { id = 1, ["items.x"] = 2 }, { id = 2 }, { id = 3 },
      { id = 4, items = 7 } },
      flat { unnest = "items", rows = { { id = 1, items = { { x = 1 }, { x = 2 } } },
        { id = 2, items = flow.json.array {} }, { id = 3 }, { id = 4, items = { 7 } } } })
  end)

  it("opens lists in lists, and passes on what is neither", function()
    assert.equal('[1,2,3,"x",null]', encoded(flat { rows = { { 1, { 2, { 3 } } }, "x", null } }))
    assert.equal('[1,2,[3]]', encoded(flat { rows = { { 1, { 2, { 3 } } } }, depth = 2 }))
  end)

  it("rejects a row of which two fields would have one name, and one that would become too much", function()
    local rows = { { a = { b = 1 }, ["a.b"] = 2 }, { c = 1 } }
    local e = one.failure(flow.data.flatten { rows = rows })
    assert.equal("invalid_data", e.code)
    one.contains(e.message, 'data.flatten: two fields would be called "a.b"; rejects = true')
    local out = flat { rows = rows, rejects = true }
    assert.same({ { c = 1 } }, out.rows)
    assert.equal('two fields would be called "a.b"', out.rejects[1].reason)
    local large = { items = {} }
    for i = 1, 4000 do large.items[i], large["f" .. i] = i, i end
    one.contains(one.failure(flow.data.flatten { rows = { large }, unnest = "items" }).message,
      "more than ten million fields")
  end)
end)

describe("data.merge", function()
  local function merged(as, values, more)
    local config = { as = as, values = values }
    for key, value in pairs(more or {}) do config[key] = value end
    return one.output(flow.data.merge(config))
  end

  it("is the type merge", function()
    assert.equal(flow.merge, flow.data.merge)
    assert.same({ x = 1, y = 3 }, merged(nil, { { x = 1, y = 2 }, null, { y = 3 } }))
  end)

  it("merges objects at every level, and leaves what it was given as it is", function()
    local a = { x = { p = 1, q = { r = 1 } }, l = { 1 }, s = 1 }
    local b = { x = { q = { t = 2 } }, l = { 2 }, s = { u = 1 } }
    assert.same({ x = { p = 1, q = { r = 1, t = 2 } }, l = { 2 }, s = { u = 1 } }, merged("deep", { a, b }))
    assert.same({ x = { p = 1, q = { r = 1, t = 2 } }, l = { 1, 2 }, s = { u = 1 } },
      merged("deep", { a, b }, { lists = "append" }))
    assert.same({ p = 1, q = { r = 1 } }, a.x)
    assert.same({ 1 }, a.l)
  end)

  it("appends lists and values, and puts lists side by side", function()
    assert.equal('[1,2,3,{"a":1}]', encoded(merged("append", { { 1, 2 }, 3, { a = 1 }, flow.json.array {} })))
    assert.equal('[{"a":1,"b":2},{"a":3}]',
      encoded(merged("zip", { { { a = 1 }, { a = 3 } }, { { b = 2 } } })))
    assert.equal('[[1,"a"],[2,null]]', encoded(merged("zip", { { 1, 2 }, { "a" } })))
    assert.equal("[]", encoded(merged("zip", { {}, flow.json.array {} })))
  end)

  it("merges the objects of lists that have one key, and leaves those without one alone", function()
    assert.same({ { id = 1, a = 1, b = 2 }, { id = 2, a = 5 }, { a = 0 }, { b = 0 }, { id = 3, b = 1 } },
      merged("key", { { { id = 1, a = 1 }, { id = 2, a = 5 }, { a = 0 } },
        { { b = 0 }, { id = 1, b = 2 }, { id = 3, b = 1 } } }, { by = "id" }))
  end)

  it("says what does not fit", function()
    for as, value in pairs { deep = 5, zip = { a = 1 }, array = "x", object = { 1 }, key = { 1 } } do
      local e = one.failure(flow.data.merge { as = as, values = { value }, by = as == "key" and "id" or nil })
      assert.equal("merge_error", e.code)
      one.contains(e.message, ('as = "%s" joins'):format(as))
    end
    local w = flow.workflow { name = "w" }
    w.it = flow.data.merge { as = "key", values = {} }
    one.contains(flow.check(w)[1].message, 'as = "key" and by = FIELD stand together')
  end)
end)

describe("data.diff", function()
  local function diff(config) return one.output(flow.data.diff(config)) end

  it("compares lists by key", function()
    local old = { { id = 1, a = 1, n = null }, { id = 2, a = 2 }, { id = 3, a = { 1 } }, { id = 5 } }
    local new = { { id = 3, a = { 2 } }, { id = 4 }, { id = 1, a = 1.0 }, { id = 5 }, { id = 5 } }
    assert.same({ added = { { id = 4 }, { id = 5 } }, removed = { { id = 2, a = 2 } },
      changed = { { old = old[3], new = new[1], fields = { "a" } } }, same = 2, equal = false },
      diff { old = old, new = new, by = "id" })
    local same = diff { old = { rows = old }, new = old, by = { "id", "n" } }
    assert.same({ same = 4, equal = true, added = {}, removed = {}, changed = {} }, same)
    assert.equal("[]", encoded(same.added))
  end)

  it("compares whole items without a key", function()
    assert.same({ added = { "c" }, removed = { "a" }, changed = {}, same = 2, equal = false },
      diff { old = { "a", "b", "b" }, new = { "b", "c", "b" } })
  end)

  it("compares objects at every level", function()
    local out = diff { old = { a = 1, b = { c = { 1, 2 }, ["x/~"] = 1 }, d = null, e = 1 },
      new = { a = 1, b = { c = { 1, 3, 4 } }, f = { g = 1 }, e = { 1 } } }
    assert.same({ added = { { path = "/b/c/2", value = 4 }, { path = "/f", value = { g = 1 } } },
      removed = { { path = "/b/x~1~0", value = 1 } },
      changed = { { path = "/b/c/1", old = 2, new = 3 }, { path = "/e", old = 1, new = { 1 } } },
      same = 2, equal = false }, out)
  end)

  it("says what it cannot compare", function()
    one.contains(one.failure(flow.data.diff { old = { a = 1 }, new = { 1 } }).message,
      "old is an object and new a list")
    one.contains(one.failure(flow.data.diff { old = { 1 }, new = { 1 }, by = "id" }).message, "is no object")
    one.contains(one.failure(flow.data.diff { old = { a = 1 }, new = { a = 1 }, by = "id" }).message,
      "by is for lists of rows")
  end)
end)
