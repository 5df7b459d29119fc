-- JSON Lines, on real files.
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"

describe("jsonl.read", function()
  it("reads a value from each line, with blank lines and without a last line end", function()
    local p <close> = place.new { ["a.jsonl"] = '{"a":1}\n\n[2]\r\n"three"\nnull\n 4.5' }
    assert.same({ { a = 1 }, { 2 }, "three", flow.json.null, 4.5 }, one.output(flow.jsonl.read(p.folder
      .. "/a.jsonl")))
  end)

  it("puts lines together that are cut by the pieces in which a file is read", function()
    local lines, sum = {}, 0
    for i = 1, 20000 do
      lines[i] = flow.json.encode { id = i, text = ("ä"):rep(i % 40) }
      sum = sum + i
    end
    lines[10000] = flow.json.encode { id = 10000, text = ("x"):rep(300000) }
    local p <close> = place.new { ["a.jsonl"] = table.concat(lines, "\n") .. "\n" }
    local rows = one.output(flow.jsonl.read(p.folder .. "/a.jsonl"))
    assert.equal(20000, #rows)
    for _, row in ipairs(rows) do sum = sum - row.id end
    assert.equal(0, sum)
    assert.equal(300000, #rows[10000].text)
  end)

  it("fails at a line that is no JSON, or keeps it apart with its number", function()
    local p <close> = place.new { ["a.jsonl"] = '1\n{"a":}\n' .. ("5"):rep(200) .. "x" .. "\n2\n"
      .. ("[1]\n"):rep(50000) }
    local e = one.failure(flow.jsonl.read(p.folder .. "/a.jsonl"))
    assert.equal("jsonl_error", e.code)
    one.contains(e.message, "a.jsonl:2: column 6: ")
    local out = one.output(flow.pipe { flow.jsonl.read { path = p.folder .. "/a.jsonl", rejects = true,
      max_row = 150000 },
      flow.jsonl.write(p.folder .. "/o.jsonl") })
    assert.same({ 50004, 50002 }, { out.rows_in, out.rows_out })
    assert.same({ 2, 3 }, { out.stages[1].rejects[1].line, out.stages[1].rejects[2].line })
  end)

  it("bounds a line", function()
    local p <close> = place.new { ["a.jsonl"] = '1\n"' .. ("x"):rep(500000) .. '"\n2\n' }
    local out = one.output(flow.jsonl.read { path = p.folder .. "/a.jsonl", rejects = true,
      max_row = 100000 })
    assert.same({ 1, 2 }, out.rows)
    assert.equal(1, #out.rejects)
    assert.equal(2, out.rejects[1].line)
    one.contains(out.rejects[1].reason, "longer than max_row")
  end)

  it("says that a file is not there", function()
    assert.equal("ENOENT", one.failure(flow.jsonl.read "/nowhere.jsonl").details.errno)
  end)
end)

describe("jsonl.write", function()
  it("writes what jsonl.read reads again", function()
    local p <close> = place.new()
    local rows = { { a = 1, b = { 1.0, "x\ny" } }, "z", 5 }
    local out = one.output(flow.jsonl.write { path = p.folder .. "/o.jsonl", rows = rows })
    assert.equal(3, out.rows_out)
    assert.same(rows, one.output(flow.jsonl.read(p.folder .. "/o.jsonl")))
    assert.equal("", one.output(flow.jsonl.write { path = p.folder .. "/o.jsonl", rows = {} })
      and p:read "o.jsonl")
  end)

  it("refuses what JSON cannot hold, and tells of a full disk", function()
    local p <close> = place.new()
    local e = one.failure(flow.jsonl.write { path = p.folder .. "/o.jsonl", rows = { "\xff" } })
    assert.equal("invalid_content", e.code)
    if not io.open "/dev/full" then return pending "there is no /dev/full here" end
    assert.equal("ENOSPC", one.failure(flow.jsonl.write { path = "/dev/full", rows = { 1 } }).details.errno)
  end)
end)
