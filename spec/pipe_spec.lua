-- Pipes, their stages, and stages alone, on real files: large ones, broken ones, and full disks.
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"

local function files_in(folder)
  local names = {}
  local pipe <close> = io.popen(("ls -A %s | LC_ALL=C sort"):format(folder))
  for name in pipe:lines() do names[#names + 1] = name end
  return table.concat(names, " ")
end

local function read_csv(text, config)
  local p <close> = place.new { ["a.csv"] = text }
  config = config or {}
  config.path = p.folder .. "/a.csv"
  return one.output(flow.csv.read(config)), p.folder
end

describe("csv.read", function()
  it("reads what RFC 4180 allows: quotes, quotes in them, line ends in fields, CRLF, no last line end",
    function()
    assert.same({
      { name = 'Smith, "J"', note = "two\r\nlines", n = "1" }, { name = "", note = 'a"b', n = "" },
      { name = "x", note = "", n = " 3 " },
    }, (read_csv '\xEF\xBB\xBFname,note,n\r\n"Smith, ""J""","two\r\nlines",1\r\n,a"b,\n\nx,"", 3 '))
  end)

  it("takes another separator and quote, names for a file without header, or gives lists", function()
    local text = "a;'b;c'\n1;''''\n"
    assert.same({ { x = "a", y = "b;c" }, { x = "1", y = "'" } },
      (read_csv(text, { separator = ";", quote = "'", columns = { "x", "y" } })))
    assert.same({ { "a", "'b", "c'" }, { "1", "''''" } },
      (read_csv(text, { separator = ";", quote = "", header = false })))
    assert.same({}, (read_csv ""))
  end)

  it("gives columns their types", function()
    assert.same({ { i = 5, n = 1e3, b = true, s = "05" }, { i = -7, n = 0.5, b = false, s = "" },
      { s = "z" } },
      (read_csv("i,n,b,s\n5,1e3,true,05\n-7,.5,0,\n,,,z\n",
        { types = { i = "integer", n = "number", b = "boolean" } })))
  end)

  it("refuses what is no number of the column's type, as Lua's own reading would not", function()
    for _, bad in ipairs { "0x10", " 5", "5 ", "nan", "inf", "1e999999x", "5.5", "1_000" } do
      local p <close> = place.new { ["a.csv"] = "i\n" .. bad .. "\n" }
      local e = one.failure(flow.csv.read { path = p.folder .. "/a.csv", types = { i = "integer" } })
      assert.equal("csv_error", e.code)
      one.contains(e.message, ('a.csv:2: i: expected an integer, got "%s"'):format(bad))
    end
  end)

  it("fails at a broken row in the middle of a large file with its line", function()
    local lines = { "id,name" }
    for i = 1, 50000 do lines[#lines + 1] = i .. ",\"name\n" .. i .. "\"" end
    lines[#lines + 1] = '50001,"a"b'
    for i = 50002, 60000 do lines[#lines + 1] = i .. ",x" end
    local p <close> = place.new { ["a.csv"] = table.concat(lines, "\n") }
    local e = one.failure(flow.csv.read { path = p.folder .. "/a.csv" })
    assert.equal("csv_error", e.code)
    assert.is_false(e.retryable)
    one.contains(e.message, "a.csv:100002: there is text after the quote that ends a field")
    local out = one.output(flow.csv.read { path = p.folder .. "/a.csv", rejects = true })
    assert.equal(59999, #out.rows)
    assert.same({ { row = '50001,"a"b', line = 100002,
      reason = "there is text after the quote that ends a field" } }, out.rejects)
  end)

  it("loses one line to a quote that is not closed", function()
    local out = read_csv('a,b\n1,2\n3,"4\n5,6\n7,8', { rejects = true })
    assert.same({ { a = "1", b = "2" }, { a = "5", b = "6" }, { a = "7", b = "8" } }, out.rows)
    assert.same({ { row = '3,"4', line = 3, reason = "a quote is not closed" } }, out.rejects)
    local long = "a,b\n1,\"" .. ("x"):rep(300000) .. "\n2,3\n" .. ("4,5\n"):rep(100000)
    out = read_csv(long, { rejects = true, max_row = 100000 })
    assert.equal(100001, #out.rows)
    assert.equal(1, #out.rejects)
    one.contains(out.rejects[1].reason, "longer than max_row")
  end)

  it("reads a file the same wherever it is cut into pieces", function()
    local text = 'a,b\r\n"x ""1""",y\r\n\r\n"p\r\nq",\r\n"u"bad,v\r\nz\r\n,"end"'
    local function all(size)
      local reader = flow.rows.csv_reader {}
      local rows, rejects = {}, {}
      for at = 1, #text + size, size do
        local some, bad = reader:read(at <= #text and text:sub(at, at + size - 1) or nil)
        table.move(some, 1, #some, #rows + 1, rows)
        table.move(bad or {}, 1, #(bad or {}), #rejects + 1, rejects)
      end
      return { rows, rejects, reader:line(), reader:columns() }
    end
    local whole = all(#text)
    assert.equal(3, #whole[1])
    assert.equal(2, #whole[2])
    assert.same({ 6, 7 }, { whole[2][1].line, whole[2][2].line })
    for size = 1, #text do assert.same(whole, all(size)) end
  end)

  it("says what is wrong with a header, a column's type, and a file that is not there", function()
    local p <close> = place.new { ["a.csv"] = "a,b,a\n1,2,3\n", ["b.csv"] = "a,b\n" }
    one.contains(one.failure(flow.csv.read { path = p.folder .. "/a.csv" }).message,
      'a.csv:1: columns 1 and 3 are both called "a"')
    one.contains(one.failure(flow.csv.read { path = p.folder .. "/b.csv",
      types = { c = "integer" } }).message,
      'b.csv has no column "c", which types names; it has a, b')
    local e = one.failure(flow.csv.read { path = p.folder .. "/none.csv" })
    assert.equal("file_error", e.code)
    assert.equal("ENOENT", e.details.errno)
  end)
end)

describe("csv.write", function()
  it("writes what csv.read reads again", function()
    local p <close> = place.new()
    local rows = { { a = 'x "1", y', b = "two\nlines", c = 1.5 }, { a = "", b = true, c = 0.1 + 0.2 },
      { a = " z ", c = 2.0 }, { a = "q", b = flow.json.null, c = math.maxinteger } }
    local out = one.output(flow.csv.write { path = p.folder .. "/o.csv", rows = rows })
    assert.equal(p:read "o.csv",
      'a,b,c\n"x ""1"", y","two\nlines",1.5\n,true,0.30000000000000004\n z ,,2.0\nq,,9223372036854775807\n')
    assert.equal(4, out.rows_out)
    assert.same({ { path = p.folder .. "/o.csv", bytes = #p:read "o.csv" } }, out.files)
    local again = one.output(flow.csv.read { path = p.folder .. "/o.csv", types = { c = "number" } })
    for i, row in ipairs(again) do assert.equal(rows[i].c, row.c) end
  end)

  it("writes a header alone where there are no rows, and a line of one empty field as a quoted one",
    function()
    local p <close> = place.new()
    one.output(flow.csv.write { path = p.folder .. "/o.csv", rows = {}, columns = { "a", "b" } })
    assert.equal("a,b\n", p:read "o.csv")
    one.output(flow.csv.write { path = p.folder .. "/o.csv", rows = { { a = "" }, { a = "1" } } })
    assert.equal('a\n""\n1\n', p:read "o.csv")
  end)

  it("keeps the former file, and leaves nothing beside it, where it fails", function()
    local p <close> = place.new { ["o.csv"] = "former\n" }
    local e = one.failure(flow.csv.write { path = p.folder .. "/o.csv", rows = { { a = 1 }, { a = { 1 } } } })
    assert.equal("invalid_content", e.code)
    one.contains(e.message, "a is a table")
    p:until_true(function() return files_in(p.folder) == "o.csv" end)
    assert.equal("former\n", p:read "o.csv")
  end)

  it("tells of a disk that is full", function()
    if not io.open "/dev/full" then return pending "there is no /dev/full here" end
    local e = one.failure(flow.csv.write { path = "/dev/full", rows = { { a = 1 } } })
    assert.equal("file_error", e.code)
    assert.equal("ENOSPC", e.details.errno)
  end)
end)

describe("a pipe", function()
  it("streams rows through its stages and tells what each has done", function()
    local p <close> = place.new { ["in.csv"] = [[
name,email,age
Ann,ann@x.org,31
Bob,bob@x.org,17
Eve,ann@x.org,40
Kay,kay@x.org,old
Max,max@x.org,55
]] }
    local w = flow.workflow { name = "p", output = "${nodes.it}" }
    w.it = flow.pipe {
      flow.csv.read { path = "${input.folder}/in.csv", types = { age = "integer" },
        rejects = "${input.folder}/bad.jsonl" },
      flow.data.filter { where = "row.age >= input.least", rejects = true },
      flow.data.dedupe { by = "email" },
      flow.data.map { rename = { name = "who" }, set = { decade = "row.age // 10 * 10" },
        drop = { "email" } },
      flow.csv.write { path = "${input.folder}/out.csv" },
    }
    local run = flow.run(w, { input = { least = 18, folder = p.folder } })
    assert.equal("completed", run.state, run.error and run.error.message)
    local out = run.output
    assert.equal("who,age,decade\nAnn,31,30\nMax,55,50\n", p:read "out.csv")
    assert.same({ line = 5, row = "Kay,kay@x.org,old", reason = 'age: expected an integer, got "old"' },
      flow.json.decode(p:read "bad.jsonl"))
    assert.same({ 5, 2, 2 }, { out.rows_in, out.rows_out, out.rejected })
    assert.same({ p.folder .. "/bad.jsonl", p.folder .. "/out.csv" }, out.files)
    local counts = {}
    for i, s in ipairs(out.stages) do counts[i] = { s.type, s.rows_in, s.rows_out, s.rejected } end
    assert.same({ { "csv.read", 5, 4, 1 }, { "data.filter", 4, 3, 1 }, { "data.dedupe", 3, 2, 0 },
      { "data.map", 2, 2, 0 }, { "csv.write", 2, 2, 0 } }, counts)
    assert.equal(1, out.stages[3].duplicates)
    assert.equal("bob@x.org", out.stages[2].rejects[1].row.email)
    assert.is_nil(out.rows)
  end)

  it("outputs the rows where its last stage writes nothing", function()
    local p <close> = place.new { ["in.csv"] = "a\n1\n2\n" }
    local out = one.output(flow.pipe { flow.csv.read(p.folder .. "/in.csv"),
      flow.data.filter "row.a ~= '1'" })
    assert.same({ { a = "2" } }, out.rows)
  end)

  it("puts no file into its place where a stage fails", function()
    local p <close> = place.new { ["in.csv"] = "a,b\n1,2\n3\n", ["out.csv"] = "former" }
    local e = one.failure(flow.pipe { flow.csv.read(p.folder .. "/in.csv"),
      flow.csv.write { path = p.folder .. "/out.csv" } })
    one.contains(e.message, "in.csv:3: it has 1 field, and there are 2 columns; rejects =")
    p:until_true(function() return files_in(p.folder) == "in.csv out.csv" end)
    assert.equal("former", p:read "out.csv")
    e = one.failure(flow.pipe { flow.csv.read(p.folder .. "/in.csv"),
      flow.csv.write { path = p.folder .. "/out.csv" }, flow.csv.write { path = p.folder .. "/out.csv" } })
    one.contains(e.message, "two stages write")
  end)

  it("makes the folders of the files that it writes, those of rejects, too", function()
    local p <close> = place.new { ["in.csv"] = "a\n1\n2\n" }
    one.output(flow.pipe { flow.csv.read(p.folder .. "/in.csv"),
      flow.data.filter { "row.a == '1'", rejects = p.folder .. "/bad/of/today.jsonl" },
      flow.csv.write { path = p.folder .. "/out//new/a.csv" } })
    assert.equal("a\n1\n", p:read "out/new/a.csv")
    one.contains(p:read "bad/of/today.jsonl", '"row":{"a":"2"}')
    local e = one.failure(flow.pipe { flow.csv.read(p.folder .. "/in.csv"),
      flow.csv.write { path = p.folder .. "/in.csv/a.csv" } })
    assert.same({ "file_error", "ENOTDIR" }, { e.code, e.details.errno })
  end)

  it("is checked with its stages before it runs", function()
    local function mistakes(stages)
      local w = flow.workflow { name = "w" }
      w.it = flow.pipe(stages)
      local list = {}
      for i, problem in ipairs(flow.check(w)) do list[i] = problem.message end
      return table.concat(list, "\n")
    end
    one.contains(mistakes {}, "stages is missing")
    one.contains(mistakes { stages = {} }, "it has no stages")
    one.contains(mistakes { flow.data.filter "row.a" }, "data.filter takes rows, and is the first")
    one.contains(mistakes { flow.csv.read "in.csv", flow.data.filter { "row.a", rows = { {} } } },
      "stages[2]: data.filter is given rows, and takes those of the stage before it")
    one.contains(mistakes { flow.csv.read "a", flow.exec { "true" } }, "stages[2]: exec is no stage")
    one.contains(mistakes { flow.csv.read "a", flow.csv.read "b" }, "stages[2]: csv.read reads and takes no "
      .. "rows")
    one.contains(mistakes { flow.csv.read { "a", retry = 3 } },
      '"retry" is a key of a node; write it beside the list')
    one.contains(mistakes { flow.csv.read { "a", sepparator = ";" } }, 'did you mean "separator"')
    one.contains(mistakes { flow.csv.read "a", flow.data.filter "row.a +" }, "stages[2]: where: column 8")
    one.contains(mistakes { flow.csv.read "${nodes.nobody}" }, 'stages[1].path mentions nodes.nobody')
    one.contains(mistakes { { type = "csv.reed", path = "a" } }, 'did you mean "csv.read"')
    one.contains(mistakes { "csv.read" }, "stages[1]: expected a node")
    assert.equal("", mistakes { { type = "csv.read", path = "a" }, { type = "data.filter",
      with = { where = "true" } } })
  end)

  it("waits for the nodes that its stages mention", function()
    local p <close> = place.new { ["in.csv"] = "a\n1\n2\n" }
    local w = flow.workflow { name = "w", output = "${nodes.it.rows}" }
    w.it = flow.pipe { flow.csv.read { path = "${nodes.where}" }, flow.data.filter "row.a == nodes.which" }
    w.where = flow.const { value = p.folder .. "/in.csv" }
    w.which = flow.const { value = "2" }
    assert.same({ { a = "2" } }, flow.run(w).output)
  end)

  it("does what a JSON definition says, within what its loader allows", function()
    local p <close> = place.new { ["in.csv"] = "a\n1\n2\n" }
    local source = flow.json.encode { name = "j", output = "${nodes.it}", nodes = { { id = "it",
      type = "pipe",
      with = { stages = { { type = "csv.read", with = { path = p.folder .. "/in.csv" } },
        { type = "csv.write", path = p.folder .. "/out.csv" } } } } } }
    local types = { "pipe", "csv.*" }
    local run = flow.run(flow.load { source = source, types = types, paths = { p.folder } })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.equal("a\n1\n2\n", p:read "out.csv")
    run = flow.run(flow.load { source = source, types = types, paths = { "/nowhere" } })
    assert.equal("not_allowed", run.error.code)
    one.contains(flow.check(flow.load { source = source, types = { "pipe", "csv.read" } })[1].message,
      'the type "csv.write" is not allowed here')
  end)

  it("takes stages of one's own", function()
    local number = flow.type {
      name = "spec.number", config = { from = { type = "integer", default = 1 }, rows = "array?" },
      stage = function(config, rows, stage)
        local n = config.from - 1
        return function()
          local chunk = rows()
          for i, row in ipairs(chunk or {}) do
            n = n + 1
            chunk[i] = flow.rows.copy(row)
            chunk[i].n = n
          end
          stage.report.last = n
          return chunk
        end
      end,
    }
    local p <close> = place.new { ["in.csv"] = "a\nx\ny\n" }
    local out = one.output(flow.pipe { flow.csv.read(p.folder .. "/in.csv"), number { from = 7 } })
    assert.same({ { a = "x", n = 7 }, { a = "y", n = 8 } }, out.rows)
    assert.equal(8, out.stages[2].last)
    local rows = flow.json.array { { a = 1 } }
    assert.same({ { a = 1, n = 1 } }, one.output(number { rows = rows }))
    assert.is_nil(rows[1].n)
  end)

  it("starts over after a kill, and leaves nothing of the attempt that was cut off", function()
    local p <close> = place.new { ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.pipe { flow.csv.read "in.csv", flow.data.dedupe { "a", memory = 0 }, flow.csv.write { path = "out.csv" } }
      return w]] }
    os.execute(("mkfifo %s/in.csv"):format(p.folder))
    local process = p:start { "run", "w.lua" }
    local fifo = io.open(p.folder .. "/in.csv", "wb") -- once it is being read
    fifo:write("a\n", ("x\n"):rep(100), ("y\n"):rep(100000))
    fifo:flush()
    p:until_true(function() return files_in(p.folder):find("out%.csv%.%x+%.tmp") end)
    process.handle:kill "sigkill"
    p:finish(process)
    fifo:close()
    os.remove(p.folder .. "/in.csv")
    p:write("in.csv", "a\nx\ny\nx\n")
    p:ends(0, "resume", p:newest())
    assert.equal("a\nx\ny\n", p:read "out.csv")
    assert.is_nil(files_in(p.folder):find "tmp")
  end)

  it("begins with a list that its first stage has in rows, which stays as it is", function()
    local list = flow.json.array {}
    for i = 1, 2500 do list[i] = { n = i } end
    local w = flow.workflow { name = "list", output = { "${nodes.it}", "${nodes.none}", "${nodes.called}" } }
    w.list = { run = function() return { rows = list } end }
    w.it = flow.pipe { flow.data.filter { rows = "${nodes.list.rows}", where = "row.n % 2 == 0" },
      flow.data.map { set = { n = "row.n * 10" } } }
    w.none = flow.pipe { flow.data.filter { rows = {}, where = "true" } }
    w.called = { run = function()
      local stages = { { type = "data.filter", rows = { { n = 1 }, { n = 2 } }, where = "row.n > 1" } }
      local ok, e = pcall(flow.pipe, stages)
      assert(not ok and e.message:find('write flow.now { type = "pipe", stages = {', 1, true), e.message)
      return flow.now { type = "pipe", stages = stages }
    end }
    local run = flow.run(w)
    assert.equal("completed", run.state, run.error and run.error.message)
    local it, none, called = table.unpack(run.output)
    assert.same({ 2500, 1250, { n = 20 }, { n = 25000 } },
      { it.rows_in, it.rows_out, it.rows[1], it.rows[1250] })
    assert.same({ n = 2500 }, list[2500])
    assert.same({ 0, {} }, { none.rows_in, none.rows })
    assert.same({ { n = 2 } }, called.rows)
    local e = one.failure(flow.pipe { flow.data.filter { rows = "${input.none}", where = "true" } })
    assert.equal("config_error", e.code)
    one.contains(e.message, "rows")
  end)
end)

describe("data.filter and data.map", function()
  local rows = { { a = 1, s = "x" }, { a = 5, s = "y" }, { s = "z" } }

  it("take a list and output a list; what is rejected is a second output", function()
    assert.same({ rows[2] }, one.output(flow.data.filter { rows = rows,
      where = "row.a ~= nil and row.a > 2" }))
    local out = one.output(flow.data.filter { rows = rows, where = "row.a > 2", rejects = true })
    assert.same({ rows[2] }, out.rows)
    assert.same({ row = rows[1], reason = "the condition does not hold" }, out.rejects[1])
    assert.same(rows[3], out.rejects[2].row)
    one.contains(out.rejects[2].reason, "row.a is nil; '>' compares two numbers")
  end)

  it("take the output of the only node before them", function()
    local w = flow.workflow { name = "w", output = "${nodes.few}" }
    w.all = flow.const { value = rows }
    w.few = flow.data.filter { after = "all", where = "row.s == 'z'" }
    assert.same({ { s = "z" } }, flow.run(w).output)
    one.contains(one.failure(flow.data.filter { where = "true" }).message, "rows is missing")
    one.contains(one.failure(flow.data.filter { rows = "${1}", where = "true" }).message, "rows")
  end)

  it("work inside a handler", function()
    assert.same({ { a = 2, s = "x" } }, one.output { run = function()
      return flow.data.map { rows = flow.data.filter { rows = rows, where = "row.a == 1" },
        set = { a = "row.a * 2" } }
    end })
  end)

  it("map rows to other fields and leave the given ones alone", function()
    assert.same({ { t = "x1" }, { t = "y5" } }, one.output(flow.data.map {
      rows = { rows[1], rows[2] }, fields = { t = "row.s .. row.a" } }))
    assert.same({ { a = 2, kind = "n" }, { a = 6, kind = "n" } }, one.output(flow.data.map {
      rows = { rows[1], rows[2] }, set = { a = "row.a + 1", kind = "'n'" }, keep = { "a", "kind" } }))
    assert.same({ { b = 1, s = "x" } }, one.output(flow.data.map { rows = { rows[1] },
      rename = { a = "b" } }))
    assert.same({ a = 1, s = "x" }, rows[1])
    assert.equal("config_error", one.failure(flow.data.map { rows = rows, set = { b = "row.a + 1" } }).code)
    local out = one.output(flow.data.map { rows = rows, set = { b = "row.a + 1" }, rejects = true })
    assert.same({ 2, 1 }, { #out.rows, #out.rejects })
  end)
end)

describe("data.dedupe", function()
  it("keeps the first row of each key, by one field or several", function()
    local rows = { { a = 1, b = "x" }, { a = 1, b = "y" }, { a = "1", b = "x" }, { a = 1.0, b = "z" },
      { b = "x" },
      { a = flow.json.null, b = "q" } }
    assert.same({ rows[1], rows[3], rows[5] }, one.output(flow.data.dedupe { rows = rows, by = "a" }))
    assert.same({ rows[1], rows[2], rows[3], rows[4], rows[5], rows[6] },
      one.output(flow.data.dedupe { rows = rows, by = { "a", "b" } }))
    local odd = { { a = "x", b = "y z" }, { a = "x y", b = "z" }, { a = "x", b = "y z" } }
    assert.equal(2, #one.output(flow.data.dedupe { rows = odd, by = { "a", "b" } }))
  end)

  it("tells keys apart exactly, in memory and in a file, and where their hashes are equal", function()
    for _, options in ipairs { { memory = 16 << 20 }, { memory = 0 }, { memory = 16 << 20, weak = 4 },
      { memory = 9000, weak = 10 } } do
      options.folder = os.getenv "TMPDIR" or "/tmp"
      local set, seen, n = flow.rows.keys(options), {}, 0
      math.randomseed(11)
      for _ = 1, 6000 do
        local long = math.random(3) == 1 and 40000 or 3000
        local key = math.random() < 0.01 and ("k"):rep(math.random(long)) or "key" .. math.random(3000)
        assert.equal(not seen[key], set:add(key))
        if not seen[key] then n = n + 1 end
        seen[key] = true
      end
      assert.equal(n, set:count())
    end
  end)

  it("says what is wrong with the folder for what does not fit in memory", function()
    local set = flow.rows.keys { memory = 0, folder = "/nowhere/at/all" }
    local ok, e = pcall(set.add, set, "x")
    assert.is_false(ok)
    assert.equal("spool_error", e.code)
    one.contains(e.message, "cannot keep rows in a file in /nowhere/at/all: No such file or directory; "
      .. "TMPDIR names")
  end)
end)
