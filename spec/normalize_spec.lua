-- data.normalize: fields in one form; and flow.rows.unicode.
local command = require "spec.support.command"
local flow = require "orrery"
local one = require "spec.support.one_node"
local uv = require "luv"

local unicode = flow.rows.unicode

-- What a step makes of values: the new ones, and "-" for those it rejects.
local function results(step, values)
  local rows = {}
  for i, value in ipairs(values) do rows[i] = { i = i, v = value } end
  local out, made = one.output(flow.data.normalize { rows = rows, fields = { v = step }, rejects = true }), {}
  for i = 1, #values do made[i] = "-" end
  for _, row in ipairs(out.rows) do made[row.i] = row.v end
  return made
end

local function check(step, pairs_of)
  local values, expected = {}, {}
  for i, pair in ipairs(pairs_of) do values[i], expected[i] = pair[1], pair[2] end
  assert.same(expected, results(step, values))
end

describe("flow.rows.unicode", function()
  it("composes, and changes case, beyond ASCII too", function()
    assert.equal("\u{E9}", unicode("e\u{301}", "nfc"))
    assert.equal("\u{1E69}", unicode("s\u{307}\u{323}", "nfc")) -- marks in another order
    assert.equal("\u{AC00}", unicode("\u{1100}\u{1161}", "nfc"))
    assert.equal("plain", unicode("plain", "nfc"))
    assert.equal("\u{E0}b\u{3C9}", unicode("\u{C0}B\u{3A9}", "lower"))
    assert.equal("\u{C0}B\u{3A9}", unicode("\u{E0}b\u{3C9}", "upper"))
    assert.equal("az@[`{09", unicode("AZ@[`{09", "lower"))
    assert.equal("AZ@[`{09", unicode("az@[`{09", "upper"))
    assert.equal("", unicode("", "nfc"))
    assert.equal("\u{E9}\0x", unicode("e\u{301}\0x", "nfc"))
  end)

  it("says what is wrong with a text, and costs linear time", function()
    assert.same({ nil, "it is not UTF-8" }, { unicode("a\xFFb", "nfc") })
    assert.same({ nil, "it is not UTF-8" }, { unicode("\u{E9}\xC3", "lower") })
    local marks = ("\u{301}\u{323}"):rep(15)
    assert.is_string(unicode("a" .. marks, "nfc"))
    assert.same({ nil, "it has more than 30 marks on one letter" }, { unicode("a" .. marks .. "\u{301}",
      "nfc") })
    assert.same({ nil, "it has more than 30 marks on one letter" }, { unicode(("\u{F73}"):rep(1000000),
      "nfc") })
    assert.equal(("\u{E9}"):rep(1000000), unicode(("e\u{301}"):rep(1000000), "nfc"))
    assert.is_false((pcall(unicode, "x", "nfd")))
  end)

  it("needs utf8proc only where a text is not ASCII, and says so where it is absent", function()
    if uv.getuid() ~= 0 then return pending "only root can hide a library" end
    local script = command.file([[local flow = require "orrery"
      print(flow.rows.unicode("Ab", "lower"))
      print(flow.now(flow.data.normalize { rows = { { a = "X" } }, texts = "lower" })[1].a)
      local w = flow.workflow { name = "w" }
      w.it = flow.data.normalize { rows = { { a = "\u{C9}" } }, texts = "lower" }
      local e = flow.run(w).error
      print(e.code, e.retryable, e.message)]], ".lua")
    local said = command.shell(([[lib=$(ldconfig -p | sed -n 's/.*libutf8proc.so.2 .*=> //p' | head -1)
      unshare -m true 2>/dev/null || echo "no mount"
      lib=$(readlink -f $lib) unshare -m sh -c 'mount --bind /dev/null $lib && %s %s || echo "no mount"']])
      :format(uv.fs_realpath(command.path), script))
    os.remove(script)
    if said.out:find "no mount" then return pending "no file system can be mounted here" end
    assert.matches("ab\nx\nunicode_unavailable\tfalse\tforms of Unicode need libutf8proc.so.2 "
      .. "(Debian's package libutf8proc2)", said.out, 1, true)
  end)
end)

describe("data.normalize", function()
  it("changes texts and leaves other values", function()
    check("trim", { { "  a b\t\n", "a b" }, { "", "" }, { "   ", "" }, { 5, 5 } })
    check("squeeze", { { "  a \n b  ", "a b" } })
    check({ "trim", "empty" }, { { " ", nil }, { "x", "x" } })
    check({ "nfc", "lower" }, { { "E\u{301}", "\u{E9}" }, { "\xFF", "-" } })
    local out = one.output(flow.data.normalize { rows = { { a = " X ", b = { " " }, c = 1,
      d = flow.json.null } },
      texts = { "trim", "lower" }, fields = { a = "upper", z = "trim" } })
    assert.same({ { a = "X", b = { " " }, c = 1, d = flow.json.null } }, out)
  end)

  it("reads numbers as people write them", function()
    check("number", { { "1,234.50", 1234.5 }, { " -7 ", -7 }, { "+1 234 567", 1234567 }, { "1'234", 1234 },
      { ".5", 0.5 }, { "5.", 5 }, { "1e3", 1000.0 }, { "1,23", "-" }, { "1,234,56", "-" }, { "1.2.3", "-" },
      { "", "-" },
      { "abc", "-" }, { "12 345,6", "-" }, { "0x10", "-" }, { "nan", "-" }, { "1e999", "-" }, { 3.5, 3.5 },
      { true, "-" }, { ("1"):rep(61), "-" }, { "1\u{202F}000", 1000 }, { "\u{2212}5", -5 }, { "-", "-" },
      { ".", "-" } })
    check("number ,", { { "1.234,50", 1234.5 }, { "1 234", 1234 }, { "1,5", 1.5 }, { "1.5", "-" } })
    check("integer", { { "1,234", 1234 }, { "5.0", 5 }, { "5.5", "-" }, { 7.0, 7 }, { 7.5, "-" } })
    assert.equal("integer", math.type(results("number", { "1,234" })[1]))
    assert.equal("integer", math.type(results("integer", { 7.0 })[1]))
  end)

  it("reads dates, and checks them", function()
    check("date", { { "2024-02-29", "2024-02-29" }, { "2023-02-29", "-" }, { "2024-13-01", "-" },
      { "31.01.2024", "-" },
      { " 2024-01-31T10:00:05Z ", "2024-01-31T10:00:05Z" }, { "2024-01-31 10:00", "2024-01-31T10:00:00" },
      { "2024-01-01T00:30:00+02:00", "2023-12-31T22:30:00Z" }, { "2024-01-01T00:30:00.250-0530",
      "2024-01-01T06:00:00.250Z" },
      { "1969-12-31t23:59:59z", "1969-12-31T23:59:59Z" }, { "2024-01-31T24:00:00Z", "-" },
      { "2024-01-31T10:61", "-" },
      { "2024-01-31x", "-" }, { 20240131, "-" }, { "2000-02-29", "2000-02-29" }, { "1900-02-29", "-" } })
    check("date DD.MM.YYYY|D MMM YY|MMMM D, YYYY|YYYYMMDDhhmmss", { { "31.01.2024", "2024-01-31" },
      { "1.1.2024", "-" }, { "3 Feb 68", "2068-02-03" }, { "3 feb 69", "1969-02-03" }, { "March 4, 2024",
      "2024-03-04" },
      { "Smarch 4, 2024", "-" }, { "20240131235958", "2024-01-31T23:59:58" }, { "2024-01-31", "2024-01-31" },
      { "31.04.2024", "-" } })
  end)

  it("reads e-mail addresses", function()
    check("email", { { " Ada.L@Example.ORG. ", "Ada.L@example.org" }, { "a+b@x-y.co", "a+b@x-y.co" },
      { "\u{F6}@B\u{DC}cher.de", "\u{F6}@b\u{FC}cher.de" }, { "a@b", "-" }, { "@b.c", "-" }, { "a@@b.c",
      "-" },
      { "a b@c.de", "-" }, { ".a@b.de", "-" }, { "a..b@c.de", "-" }, { "a@-b.de", "-" }, { "a@b-.de", "-" },
      { "a@b..de", "-" }, { "a@1.2.3.4", "-" }, { ("a"):rep(65) .. "@b.de", "-" },
      { "a@" .. ("b"):rep(64) .. ".de", "-" },
      { 5, "-" }, { ("a"):rep(64) .. "@" .. ("b."):rep(100) .. "de", "-" } })
  end)

  it("reads phone numbers in the form of E.164", function()
    check("phone", { { "+49 (0)30 / 12 34 56", "+4930123456" }, { "0049-30-123456", "+4930123456" },
      { "tel:+1-212-555-0123",
      "+12125550123" }, { "+1 212 555 012", "-" }, { "030 123456", "-" }, { "+999 12345", "-" },
        { "+49 030 123456",
      "+4930123456" }, { "+39 06 698 12345", "+390669812345" }, { "+7 800 555 35 35", "+78005553535" },
      { "+3\u{2011}906\u{A0}69812345", "+390669812345" }, { "call me", "-" }, { "", "-" }, { "+", "-" },
      { 4930123456, "-" }, { "+49 30 1234567890123", "-" }, { "+441234567890 x5", "-" }, { 1.5, "-" } })
    check("phone DE", { { "030 123456", "+4930123456" }, { "(030) 123456", "+4930123456" },
      { "00 44 20 7946 0123",
      "+442079460123" }, { "30123456", "+4930123456" } })
    check("phone US", { { "(212) 555-0123", "+12125550123" }, { "1 212 555 0123", "+12125550123" },
      { "011 49 30 123456",
      "+4930123456" }, { 2125550123, "+12125550123" } })
    check("phone RU", { { "8 (800) 555-35-35", "+78005553535" }, { "800 555 35 35", "+78005553535" },
      { "810 49 30 123456",
      "+4930123456" } })
    check("phone HU", { { "06 1 234 5678", "+3612345678" } })
    check("phone BY", { { "8 029 123-45-67", "+375291234567" } })
  end)

  it("knows a plausible plan for each calling code and region", function()
    local calling, codes = require "orrery.stdlib.shared.calling_codes", 0
    for code, plan in pairs(calling.by_code) do
      codes = codes + 1
      assert.is_true(plan.least >= 4 and plan.least <= plan.most and #code + plan.most <= 15, code)
      for i = 1, #code - 1 do assert.is_nil(calling.by_code[code:sub(1, i)], code) end
    end
    assert.is_true(codes > 200)
    for region in ("DE US GB FR IT ES PL CH AT NL IN CN JP BR AU ZA KZ VA CX GG"):gmatch "%u%u" do
      assert.is_table(calling.by_region[region], region)
    end
  end)

  it("rejects rows with the reason, or fails", function()
    local rows = { { tel = "+49 30 123456" }, { tel = "x" }, {}, { tel = "+49 1" } }
    local out = one.output(flow.data.normalize { rows = rows, fields = { tel = "phone" }, rejects = true })
    assert.same({ { tel = "+4930123456" }, {} }, out.rows)
    assert.same({ { row = rows[2], reason = 'tel = "x": phone: it is no phone number' }, { row = rows[4],
      reason = 'tel = "+49 1": phone: 1 digits follow the calling code +49, expected 4 to 13' } },
        out.rejects)
    local e = one.failure(flow.data.normalize { rows = rows, fields = { tel = "phone" } })
    assert.same({ "invalid_data", false }, { e.code, e.retryable })
    one.contains(e.message, 'data.normalize: tel = "x": phone: it is no phone number; rejects = true')
  end)

  it("is a stage of a pipe that keeps its rejects in a file", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(uv.fs_mkdir(dir, 448))
    local w = flow.workflow { name = "w", output = "${nodes.p}" }
    w.f = flow.file.write { path = dir .. "/a.csv", content = "n,v\n1,\"1,5\"\n2,x\n" }
    w.p = flow.pipe { after = "f", flow.csv.read { path = dir .. "/a.csv" },
      flow.data.normalize { fields = { v = "number ,", n = "integer" }, rejects = dir .. "/bad.jsonl" } }
    local r = flow.run(w)
    assert.equal("completed", r.state, r.error and r.error.message)
    assert.same({ { n = 1, v = 1.5 } }, r.output.rows)
    assert.equal(1, r.output.rejected)
    local file <close> = io.open(dir .. "/bad.jsonl")
    assert.same({ row = { n = "2", v = "x" }, reason = 'v = "x": number: it is no number' },
      flow.json.decode(file:read "l"))
    os.execute("rm -r " .. dir)
  end)

  it("says what is wrong with steps", function()
    for message, config in pairs {
      ["it has no steps"] = {},
        ['fields.a: there is no step "trmi"; there are date, email'] = { fields = { a = "trmi" } },
      ['texts: trim takes nothing, got "x"'] = { texts = "trim x" },
      ['fields.a: phone: there is no region "XX"'] = { fields = { a = { "trim", "phone XX" } } },
      ['fields.a: number: the decimal mark is "." or ",", got ";"'] = { fields = { a = "number ;" } },
      ['fields.a: date: "DD/MM" is no format of a date'] = { fields = { a = "date DD/MM" } },
    } do
      local w = flow.workflow { name = "w" }
      w.it = flow.data.normalize(config)
      one.contains(flow.check(w)[1].message, message)
    end
  end)
end)
