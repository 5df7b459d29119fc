-- Journals that are damaged: each change to the records of a real run in a real store is either
-- reported in a clear sentence, with its place, or the run goes on with the values that the journal
-- gives it; and afterwards the run is nobody's, so that the journal as it was goes on as if nothing
-- had happened. SEED= repeats a round; ROUNDS= makes more of them.
local core = require "orrery.core"
local uv = require "luv"

local ROUNDS = tonumber(os.getenv "ROUNDS") or 250
local SEED = tonumber(os.getenv "SEED") or os.time()

-- ---- a run with records of many kinds -----------------------------------------------------------

local function plan_of()
  return core.plan { name = "fuzzed", on_error = "continue",
    output = function(ctx) return { ctx.nodes.list, ctx.nodes.last } end, nodes = {
    { name = "list", run = function() return { 1, 2, 3 } end },
    { name = "each", each = function(ctx) return ctx.nodes.list end, deps = { { node = 1 } },
      run = function(ctx) return { item = ctx.item, bytes = "\xff" } end },
    { name = "fails", retry = { max = 1, delay = 1 },
      run = function() error { code = "broken", message = "no", details = { 1 } } end },
    { name = "steps", deps = { { node = 2 } }, run = function(ctx)
      local one = ctx:step("one", function() return { n = 1 } end)
      pcall(ctx.step, ctx, "bad", function() error "bad" end)
      core.gather { function() return ctx:step("g", function() return 1 end) end,
        function() ctx:sleep(1) end }
      return one.n + #ctx:wait "first"
    end },
    { name = "big", deps = { { node = 1 } }, run = function() return ("x"):rep(1100000) end },
    { name = "last", deps = { { node = 4 }, { node = 5 } }, run = function(ctx) return ctx:wait "go" end },
  } }
end

-- ---- records ------------------------------------------------------------------------------------

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

-- Those that change bytes within records: what they make of one may be another record, as good as
-- the first.
local BYTES = { flip = true, noise = true, flip_record = true, cut_record = true, truncate = true }

local names = {}
for name in pairs(MUTATIONS) do names[#names + 1] = name end
table.sort(names)

-- The rows of a journal whose run was written in small commits.
local function in_fours(rows)
  local small = {}
  for _, row in ipairs(rows) do
    local records = split(row.records)
    for i = 1, #records, 4 do
      small[#small + 1] = { first = row.first + i - 1,
        records = join { table.unpack(records, i, math.min(i + 3, #records)) } }
    end
  end
  return small
end

-- ---- what must be true afterwards ---------------------------------------------------------------

-- What the nodes of the plan give, whatever was lost from the end of the journal.
local EXPECTED = { list = { 1, 2, 3 }, each = {}, steps = 4, big = ("x"):rep(1100000) }
for i = 1, 3 do EXPECTED.each[i] = { item = i, bytes = "\xff" } end

-- Whose value follows from whose. A record that is not a node's may be a signal, for which `steps`
-- waits.
local FOLLOWERS = { list = { "list", "each", "steps", "big" }, each = { "each", "steps" },
  steps = { "steps" }, fails = { "fails" },
  big = { "big" }, last = { "last" }, none = { "steps" } }

-- The sentences in which damage is reported. One that names a record names it as it calls itself.
local SENTENCES = {
  "record (%d+) %([%l_]+%) does not fit the workflow: the journal is another definition's, or damaged",
  "a record cannot be read: it is damaged, or a newer version of orrery wrote it",
  "its journal cannot be read: the store cannot be read or written",
  "its journal is empty: restore a backup of the store",
  "its first record is damaged", "its first record says nothing of how it was started",
  "journal:%d+:%d+: .", -- the value in a record
  "a value that stands in the table of blobs is not named",
  "the value .- cannot be read from the table of blobs: .",
  "record (%d+) %([%l_]+%) is empty", "a signal's record has no name",
  "the journal of this run is incomplete: ",
  "the store '.-' cannot be read: the file is damaged: restore a backup",
}
-- The same, but it names the last record that could be read.
local CANNOT_BE_READ_AFTER =
  "the store '.-' is damaged: the journal of run %S+ cannot be read after record (%d+): restore a backup"

-- The records of rows whose numbers follow each other from 1 on; nil where they do not, or a row is
-- no list of records.
local function flatten(rows)
  local all = {}
  local sorted = { table.unpack(rows) }
  table.sort(sorted, function(a, b) return a.first < b.first end)
  for _, row in ipairs(sorted) do
    local ok, records = pcall(split, row.bytes)
    if not ok or row.first ~= #all + 1 or #records == 0 or join(records) ~= row.bytes then return nil end
    table.move(records, 1, #records, #all + 1, all)
  end
  return all
end

-- Where two lists of records begin to differ.
local function first_change(a, b)
  local i = 1
  while a[i] == b[i] and a[i] ~= nil do i = i + 1 end
  return i
end

-- ---- the rounds ---------------------------------------------------------------------------------

describe("a damaged journal", function()
  local folder = os.tmpname()
  os.remove(folder)
  local path = folder .. ".db"
  local rt = core.runtime { store = path, clock = "virtual" }
  local store, plan = rt:store(), plan_of()

  local run = rt:start(plan, { input = { n = 1 }, labels = { a = "b" } })
  run:signal("first", "abc")
  for _ = 1, 60000 do
    if run:why("last").kind == "signal" then break end
    core.sleep(0.001)
  end
  local id = run.id
  local entries = run:journal()
  run:suspend()
  rt:sync()
  store:project() -- all that was committed is in the journal
  local number = store:query("SELECT number FROM runs WHERE id = ?", id)[1].number
  local kept = in_fours(store:query("SELECT first, records FROM journal WHERE run = ? ORDER BY first",
    number))

  local function put(rows)
    rt:sync()
    store:project()
    local changes = { { "DELETE FROM journal WHERE run = ?", number } }
    local seen = {}
    for _, row in ipairs(rows) do
      if not seen[row.first] then
        changes[#changes + 1] = {
          "INSERT INTO journal (run, first, fence, records) VALUES (?, ?, 1, CAST(? AS BLOB))", number,
          row.first,
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

  local whole = flatten(original())
  local told_by = {} -- names of nodes by number of record
  for _, entry in ipairs(entries) do told_by[entry.seq] = entry.node or "none" end

  -- The run as far as it comes without its last signal: until `last` waits for that, or that is not
  -- to be expected any more.
  local function settle(restored, patience)
    local deadline, sent = uv.hrtime() + patience * 1e9, false
    while not restored.ended and uv.hrtime() < deadline and restored:why("last").kind ~= "signal" do
      if not sent and restored:why("steps").kind == "signal" then
        restored:signal("first", "abc")
        sent = true
      end
      core.sleep(0.001)
    end
  end

  -- Why it does not go on; nil where it does, with its outputs and the nodes that its journal says
  -- of from a record on.
  local function outcome(from, exact)
    local ok, restored = pcall(rt.restore, rt, plan, id, {})
    if not ok then return type(restored) == "table" and restored.message or restored end
    local readable, journal = pcall(restored.journal, restored)
    -- a record that followed from damaged ones could not be kept: it is dropped in this turn
    if not readable then
      for _ = 1, 3 do core.sleep(0) end
      if not restored.ended then restored:suspend() end
      return ("run %s: %s"):format(id, journal)
    end
    local nodes = {}
    for _, entry in ipairs(journal) do
      if entry.seq >= from and entry.seq <= #whole then nodes[entry.node or "none"] = true end
    end
    settle(restored, exact and 60 or 0.1)
    local outputs, waits = restored:outputs(), not restored.ended and restored:why("last").kind == "signal"
    local broken = restored:errors().fails
    if not restored.ended then restored:suspend() end
    return nil, { outputs = outputs, waits = waits, nodes = nodes, broken = broken }
  end

  -- Told, and no record that stands before the damage is blamed. What has other bytes may call
  -- itself anything.
  local function assert_told(why, from, label)
    assert.is_true(why:find(id, 1, true) ~= nil or why:find("store", 1, true) ~= nil, label .. ": " .. why)
    for _, sentence in ipairs(SENTENCES) do
      local found, _, named = why:find(sentence)
      if found then
        assert.is_true(named == nil or tonumber(named) >= from, label .. ": " .. why)
        return
      end
    end
    local last = why:match(CANNOT_BE_READ_AFTER)
    if not last then error(label .. ": it is in none of the sentences: " .. why) end
    assert.is_true(tonumber(last) + 1 >= from, label .. ": " .. why)
  end

  -- Nothing but the end of the journal is lost: it goes on, and every value is the one that it
  -- would have been.
  local function assert_exact(seen, label)
    assert.is_true(seen.waits, label .. ": it does not come to the last node")
    for name, value in pairs(EXPECTED) do assert.same(value, seen.outputs[name], label .. ": " .. name) end
    assert.same({ "broken", "no", { 1 } }, { seen.broken.code, seen.broken.message, seen.broken.details },
      label)
  end

  -- Bytes of records are others: what does not follow from these records has the value that it had.
  local function assert_rest(seen, from, label)
    local touched = {}
    for i = from, #whole do seen.nodes[told_by[i] or "none"] = true end
    for node in pairs(seen.nodes) do
      for _, name in ipairs(FOLLOWERS[node]) do touched[name] = true end
    end
    for name, value in pairs(EXPECTED) do
      if not touched[name] then assert.same(value, seen.outputs[name], label .. ": " .. name) end
    end
  end

  it("has several rows and kinds of records", function()
    local n = 0
    for _, row in ipairs(kept) do n = n + #split(row.records) end
    assert.is_true(#kept > 3, #kept)
    assert.is_true(n > 20, n)
    for _, row in ipairs(kept) do assert.equal(row.records, join(split(row.records))) end
  end)

  it(("is reported, and the run stays nobody's (SEED=%d, %d rounds)"):format(SEED, ROUNDS), function()
    math.randomseed(SEED)
    local reported = 0
    for round = 1, ROUNDS do
      local rows, name = original(), names[pick(names)]
      MUTATIONS[name](rows, rows[pick(rows)])
      local label = ("SEED=%d, round %d, %s"):format(SEED, round, name)
      local seen_first, kept_rows = {}, {} -- as `put` puts them
      for _, row in ipairs(rows) do
        if not seen_first[row.first] then kept_rows[#kept_rows + 1] = row end
        seen_first[row.first] = true
      end
      local records = flatten(kept_rows)
      local from = records and first_change(records, whole) or 1
      local exact = records ~= nil and #records > 0 and from > #records
      put(rows)
      local why, seen = outcome(from, exact)
      if exact then
        assert.is_nil(why, label)
        assert_exact(seen, label)
      elseif why then
        reported = reported + 1
        assert_told(why, BYTES[name] and 0 or name == "repeat_record" and from - 1 or from, label)
      else
        assert.is_true(BYTES[name], label .. ": nobody noticed")
        assert_rest(seen, from, label)
      end
      rt:sync()
      assert.is_nil(store:query("SELECT owner FROM runs WHERE id = ?", id)[1].owner, label)
    end
    assert.is_true(reported > ROUNDS / 3, reported)
  end)

  it("that lost its end goes on with the same values, wherever it ends", function()
    for n = 1, #whole do
      put { { first = 1, bytes = join { table.unpack(whole, 1, n) } } }
      local why, seen = outcome(n + 1, true)
      assert.is_nil(why, n)
      assert_exact(seen, ("the first %d records"):format(n))
      rt:sync()
    end
  end)

  it("goes on as it was when it is whole again", function()
    put(original())
    local restored = rt:restore(plan, id, {})
    restored:signal("go", "on")
    rt:wait(restored)
    assert.equal("failed", restored.state) -- as a node of it did
    assert.equal("on", restored:outputs().last)
    assert.equal(1100000, #restored:outputs().big)
    for i, output in ipairs(restored:outputs().each) do
      assert.are.same({ item = i, bytes = "\xff" }, output)
    end
    assert.equal(3, #restored:outputs().each)
    rt:close()
    os.execute("rm -f " .. path .. "*")
  end)
end)
