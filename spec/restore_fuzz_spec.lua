-- Journals that are damaged: each change to the records of a real run in a real store is either told in a clear sentence, or it is harmless
-- and the run goes on; and afterwards the run is nobody's, so that the journal as it was goes on as if nothing had happened.
-- SEED= repeats a round; ROUNDS= makes more of them.
local core = require "orrery.core"

local ROUNDS = tonumber(os.getenv "ROUNDS") or 250
local SEED = tonumber(os.getenv "SEED") or os.time()

-- ---- a run with records of many kinds ---------------------------------------------------------------------

local function plan_of()
  return core.plan { name = "fuzzed", on_error = "continue", output = function(ctx) return { ctx.nodes.list, ctx.nodes.last } end, nodes = {
    { name = "list", run = function() return { 1, 2, 3 } end },
    { name = "each", each = function(ctx) return ctx.nodes.list end, deps = { { node = 1 } },
      run = function(ctx) return { item = ctx.item, bytes = "\xff" } end },
    { name = "fails", retry = { max = 1, delay = 1 }, run = function() error { code = "broken", message = "no", details = { 1 } } end },
    { name = "steps", deps = { { node = 2 } }, run = function(ctx)
      local one = ctx:step("one", function() return { n = 1 } end)
      pcall(ctx.step, ctx, "bad", function() error "bad" end)
      core.gather { function() return ctx:step("g", function() return 1 end) end, function() ctx:sleep(1) end }
      return one.n + #ctx:wait "first"
    end },
    { name = "big", deps = { { node = 1 } }, run = function() return ("x"):rep(1100000) end },
    { name = "last", deps = { { node = 4 }, { node = 5 } }, run = function(ctx) return ctx:wait "go" end },
  } }
end

-- ---- records ------------------------------------------------------------------------------------------------

-- What a row of the journal holds: sizes as LEB128, each before its record.
local function split(bytes)
  local records, at = {}, 1
  while at <= #bytes do
    local size, shift = 0, 0
    repeat
      local byte = bytes:byte(at)
      at, size, shift = at + 1, size | (byte & 127) << shift, shift + 7
    until byte < 128
    records[#records + 1] = bytes:sub(at, at + size - 1)
    at = at + size
  end
  return records
end

local function join(records)
  local parts = {}
  for _, record in ipairs(records) do
    local size = #record
    while size >= 128 do
      parts[#parts + 1] = string.char(size & 127 | 128)
      size = size >> 7
    end
    parts[#parts + 1] = string.char(size) .. record
  end
  return table.concat(parts)
end

local function pick(list) return math.random(#list) end

local function flipped(text)
  if #text == 0 then return "\0" end
  local at = math.random(#text)
  return text:sub(1, at - 1) .. string.char(text:byte(at) ~ 1 << math.random(0, 7)) .. text:sub(at + 1)
end

-- Each changes a row { first =, bytes = } or the list of rows.
local MUTATIONS = {
  flip = function(_, row) row.bytes = flipped(row.bytes) end,
  truncate = function(_, row) row.bytes = row.bytes:sub(1, math.random(0, #row.bytes)) end,
  noise = function(_, row)
    local at = math.random(0, #row.bytes)
    local noise = string.char(math.random(0, 255), math.random(0, 255), math.random(0, 255))
    row.bytes = row.bytes:sub(1, at) .. noise .. row.bytes:sub(at + 4)
  end,
  flip_record = function(_, row)
    local records = split(row.bytes)
    local i = pick(records)
    for _ = 1, math.random(3) do records[i] = flipped(records[i]) end
    row.bytes = join(records)
  end,
  drop_record = function(_, row)
    local records = split(row.bytes)
    table.remove(records, pick(records))
    row.bytes = join(records)
  end,
  repeat_record = function(_, row)
    local records = split(row.bytes)
    local i = pick(records)
    table.insert(records, i, records[i])
    row.bytes = join(records)
  end,
  swap_records = function(_, row)
    local records = split(row.bytes)
    local i, k = pick(records), pick(records)
    records[i], records[k] = records[k], records[i]
    row.bytes = join(records)
  end,
  cut_record = function(_, row)
    local records = split(row.bytes)
    local i = pick(records)
    records[i] = records[i]:sub(1, math.random(0, #records[i]))
    row.bytes = join(records)
  end,
  other_first = function(_, row) row.first = row.first + math.random(-2, 2) end,
  drop_row = function(rows) table.remove(rows, pick(rows)) end,
  end_early = function(rows) for i = #rows, pick(rows), -1 do rows[i] = nil end end,
  mix_rows = function(rows, row)
    local other = rows[pick(rows)]
    row.bytes, other.bytes = other.bytes, row.bytes
  end,
}

local names = {}
for name in pairs(MUTATIONS) do names[#names + 1] = name end
table.sort(names)

-- The rows of a journal whose run was written in small commits.
local function in_fours(rows)
  local small = {}
  for _, row in ipairs(rows) do
    local records = split(row.records)
    for i = 1, #records, 4 do
      small[#small + 1] = { first = row.first + i - 1, records = join { table.unpack(records, i, math.min(i + 3, #records)) } }
    end
  end
  return small
end

-- ---- the rounds ---------------------------------------------------------------------------------------------

describe("a damaged journal", function()
  local folder = os.tmpname()
  os.remove(folder)
  local path = folder .. ".db"
  local rt = core.runtime { store = path, clock = "virtual" }
  local store, plan = rt:store(), plan_of()

  local run = rt:start(plan, { input = { n = 1 }, labels = { a = "b" } })
  run:signal("first", "abc")
  for _ = 1, 1000 do
    if run:why("last").kind == "signal" then break end
    core.sleep(0.001)
  end
  local id = run.id
  run:suspend()
  rt:sync()
  store:project() -- all that was committed is in the journal
  local number = store:query("SELECT number FROM runs WHERE id = ?", id)[1].number
  local kept = in_fours(store:query("SELECT first, records FROM journal WHERE run = ? ORDER BY first", number))

  local function put(rows)
    rt:sync()
    store:project()
    local changes = { { "DELETE FROM journal WHERE run = ?", number } }
    local seen = {}
    for _, row in ipairs(rows) do
      if not seen[row.first] then
        changes[#changes + 1] = { "INSERT INTO journal (run, first, fence, records) VALUES (?, ?, 1, CAST(? AS BLOB))", number, row.first,
          row.bytes }
      end
      seen[row.first] = true
    end
    store:change(changes)
  end

  local function original()
    local rows = {}
    for i, row in ipairs(kept) do rows[i] = { first = row.first, bytes = row.records } end
    return rows
  end

  -- "harmless" where it goes on, or why it does not.
  local function outcome()
    local ok, restored = pcall(rt.restore, rt, plan, id, {})
    if not ok then return type(restored) == "table" and restored.message or restored end
    for _ = 1, 3 do core.sleep(0) end
    if not restored.ended then restored:suspend() end
    return "harmless"
  end

  it("has several rows and kinds of records", function()
    local n = 0
    for _, row in ipairs(kept) do n = n + #split(row.records) end
    assert.is_true(#kept > 3, #kept)
    assert.is_true(n > 20, n)
    for _, row in ipairs(kept) do assert.equal(row.records, join(split(row.records))) end
  end)

  it(("is told, and the run stays nobody's (SEED=%d, %d rounds)"):format(SEED, ROUNDS), function()
    math.randomseed(SEED)
    local told = 0
    for round = 1, ROUNDS do
      local rows, name = original(), names[pick(names)]
      MUTATIONS[name](rows, rows[pick(rows)])
      local label = ("SEED=%d, round %d, %s"):format(SEED, round, name)
      put(rows)
      local why = outcome()
      assert.equal("string", type(why), label)
      if why ~= "harmless" then
        told = told + 1
        assert.is_true(why:find(id, 1, true) ~= nil or why:find("store", 1, true) ~= nil, label .. ": " .. why)
        assert.is_nil(why:find("attempt to", 1, true), label .. ": " .. why) -- an error of Lua's own says nothing to anybody
      end
      rt:sync()
      assert.is_nil(store:query("SELECT owner FROM runs WHERE id = ?", id)[1].owner, label)
    end
    assert.is_true(told > ROUNDS / 3, told)
  end)

  it("goes on as it was when it is whole again", function()
    put(original())
    local restored = rt:restore(plan, id, {})
    restored:signal("go", "on")
    rt:wait(restored)
    assert.equal("failed", restored.state) -- as a node of it did
    assert.equal("on", restored:outputs().last)
    assert.equal(1100000, #restored:outputs().big)
    for i, output in ipairs(restored:outputs().each) do assert.are.same({ item = i, bytes = "\xff" }, output) end
    assert.equal(3, #restored:outputs().each)
    rt:close()
    os.execute("rm -f " .. path .. "*")
  end)
end)
