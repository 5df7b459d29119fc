-- Rows that a node alone outputs beyond a size: in a file, and read from there by whoever uses
-- them.
local flow = require "orrery"
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

-- A list of the rows that is read from a file.
local function spooled(rows)
  local w = flow.workflow { name = "spooled", output = "${nodes.rows}" }
  w.rows = flow.data.map { rows = rows }
  local run = flow.run(w, { runtime = flow.runtime { large_output = 1 } })
  assert.equal("completed", run.state, run.error and run.error.message)
  return run.output
end

-- One in three holds bytes that are no text, unless `plain`.
local function some(n, plain)
  local rows = {}
  for i = 1, n do rows[i] = { id = i, name = "name " .. i, part = i % 7, note = not plain and i % 3 == 0
    and "\xff" or nil } end
  return rows
end

-- One workflow with all that takes rows.
local function everything(folder)
  local data, csv = flow.data, flow.csv
  local w = flow.workflow { name = "everything", output = "${nodes.all}" }
  w.source = { run = function() return some(500, true) end }
  w.rows = data.map { rows = "${nodes.source}", set = { twice = "row.id * 2" } }
  local rows = "${nodes.rows}"
  w.filter = data.filter { rows = rows, where = "row.part > 3" }
  w.rejected = data.filter { rows = rows, where = "row.part > 3", rejects = true }
  w.sort = data.sort { rows = rows, by = { "part", "id" }, descending = true }
  w.group = data.group { rows = rows, by = "part" }
  w.dedupe = data.dedupe { rows = rows, by = "part" }
  w.aggregate = data.aggregate { rows = rows, by = "part", figures = { n = "count", total = "sum id" } }
  w.join = data.join { rows = "${nodes.dedupe}", by = "part", right = rows, right_by = "part" }
  w.normalize = data.normalize { rows = rows, fields = { name = "upper" } }
  w.validate = data.validate { rows = rows, rules = { low = "row.id < 400" } }
  w.flatten = data.flatten { rows = "${nodes.group}", unnest = "rows" }
  w.batch = data.batch { rows = rows, size = 70 }
  w.split = data.split { rows = rows, parts = 3 }
  w.into = data.split { rows = rows, into = { low = "row.part < 3" } }
  w.diff = data.diff { old = rows, new = "${nodes.normalize}", by = "id" }
  w.merge = data.merge { values = { rows, "${nodes.dedupe}" }, as = "append" }
  w.key = data.merge { values = { rows, "${nodes.dedupe}" }, as = "key", by = "id" }
  w.letter = data.template { "${for i, x in nodes.dedupe}${i} ${x.name}\n${end}" }
  w.few = flow.const { value = { count = "${count(nodes.rows)}", len = "${len(nodes.rows)}",
    n = "${#nodes.rows}",
    first = "${first(nodes.rows)}", last = "${last(nodes.rows).id}", third = "${nodes.rows[3].id}",
    missing = "${nodes.rows[501]}" } }
  w.write = csv.write { rows = "${nodes.filter}", path = folder .. "/out.csv" }
  w.read = csv.read { after = "write", path = folder .. "/out.csv" }
  w.lines = flow.jsonl.write { rows = rows, path = folder .. "/out.jsonl" }
  w.again = flow.jsonl.read { after = "lines", path = folder .. "/out.jsonl" }
  w.load = flow.sqlite.load { rows = "${nodes.filter}", database = folder .. "/d.db", table = "t",
    create = true,
    columns = { "id", "name" } }
  w.query = flow.sqlite.query { after = "load", database = folder .. "/d.db",
    sql = "SELECT * FROM t ORDER BY id" }
  w.file = flow.file.write { path = folder .. "/all.json", content = "${nodes.dedupe}" }
  w.piped = flow.pipe { csv.read { path = folder .. "/out.csv" }, data.sort { by = "id" }, after = "write" }
  w.large = { each = "${nodes.dedupe}", run = function(ctx) return { row = ctx.item, rows = { ctx.item,
    ctx.item } } end }
  w.large_rows = data.flatten { rows = "${nodes.large}", unnest = "rows" }
  w.each = { after = "dedupe", each = "${nodes.dedupe}", run = function(ctx) return ctx.item.id end }
  w.handler = { after = "rows", run = function(_, inputs)
    local sum, n = 0, 0
    for _, row in ipairs(inputs.rows) do sum = sum + row.id end
    for i, row in pairs(inputs.rows) do n = n + (row.id == i and 1 or 0) end
    return { sum = sum, n = n, copy = table.move(inputs.rows, 1, #inputs.rows, 1, {}), whole = inputs.rows }
  end }
  local after = {}
  for _, name in ipairs { "rows", "filter", "rejected", "sort", "group", "dedupe", "aggregate", "join",
    "normalize",
    "validate", "flatten", "batch", "split", "into", "diff", "merge", "key", "letter", "few", "write", "read",
    "lines", "again", "load", "query", "file", "piped", "each", "large", "large_rows",
    "handler" } do
    after[#after + 1] = name
  end
  w.all = { after = after, run = function(_, inputs)
    local all = {}
    for name, value in pairs(inputs) do all[name] = value end
    return all
  end }
  return w
end

describe("rows beyond a size", function()
  it("are for all that takes rows what a list is, in memory and in a store", function()
    local texts = {}
    for i, how in ipairs { {}, { large_output = 1 }, { large_output = 1, store = true },
      { large_output = 1, journal = true } } do
      local here <close> = place.new()
      local journal = how.journal
      if how.store then how.store = here.folder .. "/s.db" end
      how.journal = nil
      local run = flow.run(everything(here.folder), { runtime = flow.runtime(how), journal = journal })
      assert.equal("completed", run.state, run.error and run.error.node .. ": " .. run.error.message)
      texts[i] = json.encode(run.output, { sort = true, binary = true }):gsub(here.folder, "FOLDER")
      if how.store then assert.is_true(#names(how.store .. "-rows") > 10) end
    end
    assert.equal(texts[1], texts[2])
    assert.equal(texts[1], texts[3])
    assert.equal(texts[1], texts[4])
  end)

  -- Which lists of an output are no tables in memory.
  local function in_files(value, path, found)
    found = found or {}
    if type(value) ~= "table" then return found end
    if json.is_array(value) and rawlen(value) == 0 and #value > 0 then
      found[path] = #value
      return found
    end
    for key, inner in next, value do in_files(inner, path == "" and key or path .. "." .. key, found) end
    return found
  end

  it("are in files whatever makes them: rejects, parts, what is merged or different", function()
    for _, how in ipairs { { large_output = 20000 }, { large_output = 20000, store = true },
      { large_output = 20000, journal = true } } do
      local here <close> = place.new()
      local data, journal = flow.data, how.journal
      if how.store then how.store = here.folder .. "/s.db" end
      how.journal = nil
      local w, rows = flow.workflow { name = "made" }, some(2000)
      w.filter = data.filter { rows = rows, where = "row.part > 3", rejects = true }
      w.validate = data.validate { rows = rows, rules = { low = "row.id < 400" } }
      w.split = data.split { rows = rows, parts = 2 }
      w.into = data.split { rows = rows, into = { low = "row.part < 3" } }
      w.merge = data.merge { values = { rows, rows }, as = "array" }
      w.zip = data.merge { values = { rows, rows }, as = "zip" }
      w.diff = data.diff { old = rows, new = some(1000), by = "id" }
      local found = {}
      local after = { "filter", "validate", "split", "into", "merge", "zip", "diff" }
      w.look = { after = after, run = function(_, inputs)
        for name, value in pairs(inputs) do in_files(value, name, found) end
      end }
      local run = flow.run(w, { runtime = flow.runtime(how), journal = journal })
      assert.equal("completed", run.state, run.error and run.error.message)
      assert.same({ 857, 1143 }, { found["filter.rows"], found["filter.rejects"] })
      assert.same({ 399, 1601 }, { found["validate.rows"], found["validate.rejects"] })
      assert.same({ 1000, 1000 }, { found["split.1"], found["split.2"] })
      assert.same({ 857, 1143 }, { found["into.low"], found["into.rest"] })
      assert.same({ 4000, 2000, 1000 }, { found.merge, found.zip, found["diff.removed"] })
      if how.store then assert.equal(11, #names(how.store .. "-rows")) end
    end
  end)

  it("of a worker's handler are in a file too, and are handed over with it", function()
    local here <close> = place.new { ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.look}" }
      w.source = { run = function()
        local rows = {}
        for i = 1, 30000 do rows[i] = { id = i, text = ("x"):rep(50) } end
        return rows
      end }
      w.rows = flow.data.sort { rows = "${nodes.source}", by = "id", descending = true, strategy = "thread" }
      w.split = flow.data.split { rows = "${nodes.rows}", parts = 2, strategy = "thread" }
      w.look = { after = { "rows", "split" }, run = function(_, inputs)
        local sum, second = 0, inputs.split[2]
        for _, row in ipairs(inputs.rows) do sum = sum + row.id end
        return { sum, rawlen(inputs.rows), #inputs.rows, rawlen(second), #second, second[15000].id }
      end }
      return w]] }
    for _, store in ipairs { "sqlite:s.db", "memory:" } do
      local done = here:ends(0, "run", "w.lua", "-q", "--store", store)
      assert.equal("[450015000,0,30000,0,15000,1]", (done.out:gsub("%s", "")))
    end
    assert.equal(3, #names(here.folder .. "/s.db-rows"))
  end)

  it("are read anywhere, in any order", function()
    local rows = some(20000)
    local list = spooled(rows)
    assert.equal(20000, #list)
    math.randomseed(7)
    for _ = 1, 300 do
      local i = math.random(20000)
      assert.same(rows[i], list[i])
    end
    for _, i in ipairs { 1, 20000, 10000, 2, 19999 } do assert.same(rows[i], list[i]) end
    for _, i in ipairs { 0, -1, 20001, 1.5, "1", "id", math.huge } do assert.is_nil(list[i]) end
    assert.equal(rows[5].id, list[5.0].id)
    assert.is_true(json.is_array(list))
    assert.is_not_nil(next(list))
    assert.equal(json.encode(rows, { binary = true }), json.encode(list, { binary = true }))
    assert.has_error(function() list[1] = {} end)
    assert.has_error(function() list.x = 1 end)
  end)

  it("may be longer than a piece of the file each", function()
    local rows = {}
    for i = 1, 6 do rows[i] = { text = ("x"):rep(i * 50000), i = i } end
    local list = spooled(rows)
    for i = 6, 1, -1 do assert.same(rows[i], list[i]) end
  end)

  it("have a file without a name in a run in memory", function()
    local here <close> = place.new { ["a.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "a", output = "${#nodes.rows}" }
      local rows = {}
      for i = 1, 30000 do rows[i] = { id = i, text = ("x"):rep(50) } end
      w.rows = flow.data.map { rows = rows }
      return w]] }
    local result = here:orrery("run", "a.lua", "--store", "memory:")
    assert.equal(0, result.code, result.err)
    assert.is_nil(table.concat(names(here.folder), " "):find "jsonl")
  end)

  it("leave nothing where the node fails, and what was there before", function()
    local here <close> = place.new()
    local w = flow.workflow { name = "fails", on_error = "continue" }
    w.bad = flow.data.map { rows = some(3000), set = { x = "row.id > 2990 and row.name + 1 or 1" } }
    w.unfit = flow.type { name = "spool.unfit", stage = function()
      local n = 0
      return function()
        n = n + 1
        if n < 5 then return some(10) end
        return n == 5 and { { x = 0 / 0 } } or nil
      end
    end, source = true, run = function(ctx, config, inputs)
      return flow.rows.alone(flow.type_of { type = "spool.unfit" }, ctx, config, inputs)
    end } {}
    w.late = flow.type { name = "spool.late", stage = function(_, _, stage)
      stage:on_commit(function() flow.error { code = "too_late", message = "x" } end)
      local given = false
      return function()
        if given then return nil end
        given = true
        return some(100)
      end
    end, source = true, run = function(ctx, config, inputs)
      return flow.rows.alone(flow.type_of { type = "spool.late" }, ctx, config, inputs)
    end } {}
    local run = flow.run(w, { runtime = flow.runtime { large_output = 1, store = here.folder .. "/s.db" } })
    assert.equal("failed", run.state)
    assert.equal("too_late", run:errors().late.code)
    assert.equal("invalid_output", run:errors().unfit.code)
    assert.same({}, names(here.folder .. "/s.db-rows"))
  end)

  it("do not reach beyond their folder, whatever a journal says", function()
    for _, name in ipairs { "../x", "/etc/passwd", ".x", "", "a/b" } do
      local text = json.encode { ["$rows"] = { file = name, rows = 1, bytes = 1 } }
      local value = json.decode(text, { binary = true, spools = "/tmp" })
      assert.is_not_nil(value["$rows"], name)
    end
    local value = json.decode('{"$rows":{"file":"no-such","rows":1,"bytes":2}}', { binary = true,
      spools = "/tmp" })
    assert.equal(1, #value)
    local ok, e = pcall(function() return value[1] end)
    assert.is_false(ok)
    assert.equal("spool_error", e.code)
    assert.matches("/tmp/no%-such: No such file", e.message)
  end)

  it("hide secrets in the file too", function()
    local here <close> = place.new { ["b.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "b", output = "${#nodes.rows}" }
      local rows = {}
      for i = 1, 30000 do rows[i] = { id = i, text = "hush-" .. "hush " .. i, part = "hush-" } end
      w.look = { run = function() return #flow.secret("SPOOL_TOKEN"):value() end }
      w.rows = flow.data.map { after = "look", rows = rows, set = { made = "row.part .. 'hush'" } }
      return w]] }
    local result = here:finish(here:start({ "run", "b.lua" }, { SPOOL_TOKEN = "hush-hush" }))
    assert.equal(0, result.code, result.err)
    local pipe <close> = io.popen(("grep -rl hush-hush %s/.orrery; grep -rlc '•••' %s/.orrery/runs.db-rows")
      :format(here.folder, here.folder))
    local found = pipe:read "a"
    assert.not_matches("runs%.db\n", found)
    assert.matches("rows/", found)
    assert.is_nil(found:find "hush%-hush")
  end)
end)
