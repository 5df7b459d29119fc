-- XML: read into values and rows, written, and what strangers send, on real files and by xmllint as
-- a second opinion.
local command = require "spec.support.command"
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"
local uv = require "luv"

local null = flow.json.null

local function decode(text, config)
  config = config or {}
  config.text = text
  return one.output(flow.xml.decode(config))
end

local function refusal(text, config)
  config = config or {}
  config.text = text
  local e = one.failure(flow.xml.decode(config))
  assert.same({ "xml_error", false }, { e.code, e.retryable })
  return e.message
end

local function encode(value, config)
  config = config or {}
  config.value, config.declaration = value, config.declaration or false
  return one.output(flow.xml.encode(config))
end

local function cannot(value, part, config)
  config = config or {}
  config.value = value
  local e = one.failure(flow.xml.encode(config))
  assert.same({ "invalid_content", false }, { e.code, e.retryable })
  one.contains(e.message, part)
end

describe("xml.decode", function()
  it("makes objects of attributes, elements and texts", function()
    assert.same({ a = "" }, decode "<a/>")
    assert.same({ a = " b & c " }, decode "<a> b &amp; <![CDATA[c]]> </a>")
    assert.same({ a = { ["@x"] = "1", ["#text"] = "t" } }, decode "<a x='1'>t</a>")
    assert.same({ order = { ["@id"] = "7", item = { "pen", { ["@n"] = "2", ["#text"] = "ink" }, "" },
      note = "soon" } },
      decode('<order id="7">\n  <item>pen</item>\n  <note>soon</note><item n="2">ink</item><item/>\n'
        .. "</order>\n"))
    assert.same({ p = { b = { "x", "y" }, ["#text"] = "one  two" } },
      decode "<p>one <b>x</b><b>y</b> two</p>")
  end)

  it("makes a list of one element where that is asked for", function()
    assert.same({ a = { b = { "1" }, c = "2" } }, decode("<a><b>1</b><c>2</c></a>", { lists = { "b" } }))
    assert.same({ a = { b = { { c = "1" }, { c = "2" } } } },
      decode("<a><b><c>1</c></b><b><c>2</c></b></a>", { lists = { "b" } }))
  end)

  it("makes trees, which lose no text and no order", function()
    assert.same({ name = "p", attributes = { k = "v" }, content = { "one ",
      { name = "b", attributes = {}, content = { "x" } }, "\n",
      { name = "x:i", attributes = {}, content = {} }, " two" } },
      decode("<!-- no --><p k='v'>one <b>x</b>\n<x:i/><?pi no?> two</p>", { form = "tree" }))
    assert.equal('{"attributes":{},"content":[],"name":"a"}',
      flow.json.encode(decode("<a/>", { form = "tree" }), { sort = true }))
  end)

  it("is called in a handler", function()
    assert.equal("1", one.output { run = function()
      return flow.xml.decode("<a><b>1</b></a>").a.b
    end })
  end)

  it("reads the encodings that a document may say, and another where that is told", function()
    assert.same({ a = "ä€" }, decode "\xEF\xBB\xBF<a>ä€</a>")
    assert.same({ a = "ä" }, decode "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE4</a>")
    assert.same({ a = "ä€" }, decode "<?xml version='1.0' encoding='Windows-1252'?><a>\xE4\x80</a>")
    assert.same({ a = "ä" }, decode("<a>\xE4</a>", { encoding = "iso-8859-1" }))
    local wide = ("<a>x</a>"):gsub(".", "%0\0")
    assert.same({ a = "x" }, decode("\xFF\xFE" .. wide))
    one.contains(refusal "<?xml version='1.0' encoding='KOI8-R'?><a/>",
      "XML:1:1: the encoding KOI8-R is not known here; known are UTF-8")
    one.contains(refusal "<a>\xE4</a>", "XML:1:4: not well-formed")
    one.contains(refusal "<?xml version='1.0' encoding='Windows-1252'?><a>\x81</a>", "not well-formed")
  end)

  it("says what is wrong, with line and column", function()
    one.contains(refusal("<a>\n  <b>ä</c>\n</a>", { name = "feed.xml" }), "feed.xml:2:9: mismatched tag")
    one.contains(refusal "", "XML:1:1: no element found")
    one.contains(refusal "<a><b>", "XML:1:7: the text ends before all elements are closed")
    one.contains(refusal "<a x='1' x='2'/>", "duplicate attribute")
    one.contains(refusal "<a>&b;</a>", "undefined entity")
    one.contains(refusal "<a/><b/>", "junk after document element")
    one.contains(refusal "<a>\0</a>", "not well-formed")
    assert.same({ path = "XML", line = 1, column = 4 }, one.failure(flow.xml.decode "<a><").details)
  end)

  it("bounds depth and size", function()
    local function nested(n) return ("<a>"):rep(n) .. ("</a>"):rep(n) end
    assert.equal("table", type(decode(nested(100)).a))
    one.contains(refusal(nested(101)), "XML:1:301: elements are nested deeper than max_depth = 100")
    assert.equal("table", type(decode(nested(400), { max_depth = 400, form = "tree" })))
    one.contains(refusal(nested(100000), { max_depth = 400 }), "deeper than max_depth = 400")
    one.contains(refusal("<a>" .. ("x"):rep(2000) .. "</a>", { max_size = 1000 }),
      "the document is larger than max_size = 1000 bytes")
    one.contains(refusal("<a>" .. ("<b/>"):rep(2000) .. "</a>", { max_size = 1000 }), "max_size = 1000")
  end)
end)

describe("an XML document of a stranger", function()
  it("may use entities of its own, within bounds", function()
    assert.same({ a = { ["@k"] = "A & B", ["#text"] = "x A & B" } },
      decode '<!DOCTYPE a [<!ENTITY co "A &#38;amp; B">]><a k="&co;">x &co;</a>')
    local laughs = { "<!DOCTYPE a [<!ENTITY l0 'lol'>" }
    for i = 1, 30 do laughs[#laughs + 1] = ("<!ENTITY l%d '%s'>"):format(i, ("&l%d;"):rep(10):format(
      i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1)) end
    local bomb = table.concat(laughs) .. "]>"
    one.contains(refusal(bomb .. "<a>&l30;</a>"), "its entities make it more than 10 times as large")
    one.contains(refusal(bomb .. "<a b='&l30;'/>"), "more than 10 times as large")
    one.contains(refusal("<!DOCTYPE a [<!ENTITY x '" .. ("y"):rep(100000) .. "'>]><a>" .. ("&x;"):rep(100000)
      .. "</a>"), "more than 10 times as large")
    one.contains(refusal "<!DOCTYPE a [<!ENTITY x '&y;'><!ENTITY y '&x;'>]><a>&x;</a>", "recursive entity")
  end)

  it("reads nothing outside of itself", function()
    local p <close> = place.new { secret = "top secret", ["e.dtd"] = "<!ENTITY e 'from outside'>" }
    local outside = ("'file://%s/secret'"):format(p.folder)
    one.contains(refusal("<!DOCTYPE a [<!ENTITY x SYSTEM " .. outside .. ">]><a>&x;</a>"),
      "it refers to an external entity, and nothing outside of the document is ever read")
    one.contains(refusal("<!DOCTYPE a [<!ENTITY x SYSTEM " .. outside .. ">]><a b='&x;'/>"),
      "external entity")
    local dtd = ("'file://%s/e.dtd'"):format(p.folder)
    one.contains(refusal("<!DOCTYPE a SYSTEM " .. dtd .. "><a>&e;</a>"),
      "the entity &e; is declared outside of the document, and nothing outside is ever read")
    one.contains(refusal("<!DOCTYPE a [<!ENTITY % p SYSTEM " .. dtd .. "> %p;]><a>&e;</a>"),
      "declared outside")
    assert.same({ a = "x" }, decode("<!DOCTYPE a SYSTEM " .. dtd .. "><a>x</a>"))
  end)

  it("declares at most so much, and what that adds is bounded", function()
    local function declared(n)
      local list = { "<!DOCTYPE a [" }
      for i = 1, n do list[#list + 1] = ("<!ATTLIST b a%d CDATA ''>"):format(i) end
      return table.concat(list) .. "]>"
    end
    one.contains(refusal(declared(1001) .. "<a/>"), "declares more than 1000 attributes")
    one.contains(refusal(declared(900) .. "<a>" .. ("<b/>"):rep(50000) .. "</a>"),
      "the attributes that its document type adds make it more than 10 times as large")
    assert.same({ a = { b = { { ["@a1"] = "" }, { ["@a1"] = "x" } } } },
      decode(declared(1) .. "<a><b/><b a1='x'/></a>"))
  end)

  it("costs linear time where a token does not end", function()
    local function looks(pieces)
      local reader = flow.rows.xml_reader { max_size = 1 << 30 }
      local begun, piece = os.clock(), ("x"):rep(65536)
      reader:read "<a b='"
      for _ = 1, pieces do assert(reader:read(piece)) end
      local value = reader:read "'/>"[1] or reader:read()[1] -- at the end it waits for no more
      assert.equal(pieces * 65536, #value.a["@b"])
      return os.clock() - begun
    end
    local reader = flow.rows.xml_reader { max_size = 1 << 20 }
    reader:read "<!--"
    local going, problem
    for _ = 1, 64 do
      going, problem = reader:read(("x"):rep(65536))
      if not going then break end
    end
    one.contains(problem.reason, "a tag, comment or declaration is longer than 1048576 bytes")
    assert.is_true(looks(384) < 24 * (looks(48) + 0.01)) -- 64 times where each piece is looked at anew
  end)
end)

describe("xml.read", function()
  local FEED = '<?xml version="1.0"?>\n<feed><title>t</title>\n<entry id="1"><name>a</name></entry>'
    .. '<x><entry id="2"><entry id="3"/></entry></x>\n<entry id="4">d</entry></feed>\n'

  it("outputs a document, or the elements of a path", function()
    local p <close> = place.new { ["a.xml"] = FEED }
    local path = p.folder .. "/a.xml"
    assert.equal("t", one.output(flow.xml.read(path)).feed.title)
    local function ids(rows)
      local list = {}
      for i, row in ipairs(one.output(flow.xml.read { path = path, rows = rows })) do
        list[i] = type(row) == "table" and row["@id"] or row
      end
      return table.concat(list, " ")
    end
    assert.equal("1 4", ids "feed/entry")
    assert.equal("1 4", ids "/feed/entry")
    assert.equal("1 2 4", ids "//entry")
    assert.equal("2", ids "feed/*/entry")
    assert.equal("t", ids "feed/title")
    assert.equal("", ids "feed/none")
    assert.same({ { name = "title", attributes = {}, content = { "t" } } },
      one.output(flow.xml.read { path = path, rows = "*/title", form = "tree" }))
  end)

  it("refuses a path that is none, and one that begins with another element", function()
    local p <close> = place.new { ["a.xml"] = FEED }
    for path, part in pairs { ["a//b"] = "it names elements", ["//a/b"] = "after // it has one name",
      [""] = "it names elements", [("a/"):rep(40) .. "b"] = "too many names" } do
      local e = one.failure(flow.xml.read { path = p.folder .. "/a.xml", rows = path })
      assert.equal("config_error", e.code)
      one.contains(e.message, part)
    end
    local e = one.failure(flow.xml.read { path = p.folder .. "/a.xml", rows = "rss/item" })
    one.contains(e.message, 'a.xml:2:1: its outermost element is <feed>, and the path begins with "rss"')
  end)

  it("reads a text the same wherever it is cut into pieces", function()
    local text = '<!DOCTYPE f [<!ENTITY e "x<i/>y">]><f>\r\n<r a="ä&amp;">1&e;2</r><r><![CDATA[<]]>&#228;</r>'
      .. '<q><r/></q><!-- <r/> --><r>\n z\r</r></f>'
    local function all(size, options)
      local reader, list = flow.rows.xml_reader(options), {}
      for at = 1, #text + size, size do
        local some = assert(reader:read(at <= #text and text:sub(at, at + size - 1) or nil))
        table.move(some, 1, #some, #list + 1, list)
      end
      return list
    end
    for _, options in ipairs { { rows = "f/r" }, { rows = "//r", form = "tree" }, {}, { form = "tree" } } do
      local whole = all(#text, options)
      assert.equal(options.rows == "f/r" and 3 or options.rows and 4 or 1, #whole)
      for size = 1, #text do assert.same(whole, all(size, options)) end
    end
  end)

  it("is the source of a pipe over a file of any size, and fails in its middle with the line", function()
    local parts = { "<list>\n" }
    for i = 1, 50000 do parts[#parts + 1] = ("<p><id>%d</id><name>n %d</name></p>\n"):format(i, i % 7) end
    local p <close> = place.new { ["a.xml"] = table.concat(parts) .. "</list>",
      ["bad.xml"] = table.concat(parts) .. "<p><id>5</p>\n" .. table.concat(parts, "", 2) .. "</list>" }
    local function pipe(name)
      return flow.pipe { flow.xml.read { path = p.folder .. "/" .. name, rows = "list/p" },
        flow.data.dedupe { by = "name" }, flow.csv.write { path = p.folder .. "/o.csv" } }
    end
    local out = one.output(pipe "a.xml")
    assert.same({ 50000, 7 }, { out.rows_in, out.rows_out })
    assert.equal("id,name\n1,n 1\n", p:read("o.csv"):match "^.-\n.-\n")
    p:write("o.csv", "former")
    one.contains(one.failure(pipe "bad.xml").message, "bad.xml:50002:")
    assert.equal("former", p:read "o.csv")
  end)

  it("bounds a row", function()
    local p <close> = place.new { ["a.xml"] = "<l><r>1</r>\n<r>" .. ("x"):rep(5000) .. "</r></l>" }
    local e = one.failure(flow.xml.read { path = p.folder .. "/a.xml", rows = "l/r", max_row = 1000 })
    one.contains(e.message, "a row is larger than max_row = 1000 bytes")
    assert.equal("ENOENT", one.failure(flow.xml.read "/nowhere.xml").details.errno)
  end)
end)

describe("xml.encode", function()
  it("writes what xml.decode reads again", function()
    for _, value in ipairs {
      { a = "" }, { a = " b & <c> ]]> \"' \r\n\t ä€" },
      { a = { ["@x"] = " 1 & \"<\t\r\n'", ["#text"] = "t" } },
      { order = { ["@id"] = "7", item = { "pen", { ["@n"] = "2", ["#text"] = "ink" }, "" }, ["x:y"] = "é" } },
      { p = { b = { "x", "y" }, ["#text"] = "one two" } },
    } do
      for _, indent in ipairs { 0, 2 } do
        assert.same(value, decode(encode(value, { indent = indent, declaration = true })))
      end
    end
    local tree = { name = "p", attributes = { k = "v" }, content = { "one ", { name = "b", attributes = {},
      content = { { name = "c", attributes = {}, content = { "x" } } } }, " two\n" } }
    assert.same(tree, decode(encode(tree, { form = "tree", indent = 0 }), { form = "tree" }))
  end)

  it("writes numbers, true and false, lists and null, in the order of names", function()
    assert.equal('<a y="1.5">\n  <b>1</b>\n  <b>true</b>\n  <c/>\n  <d>\n    <e>2.0</e>\n  </d>\n</a>\n',
      encode { a = { d = { e = 2.0 }, c = null, b = { 1, true }, ["@y"] = 1.5, ["@z"] = null } })
    assert.equal("<a/>\n", encode { a = flow.json.array() and {} })
    assert.equal('<a><b/><b>x<c/>y</b></a>\n', encode({ name = "a", content = { { name = "b" },
      { name = "b", content = { "x", { name = "c" }, "y" } } } }, { form = "tree", indent = 0 }))
    one.contains(one.output(flow.xml.encode { value = { a = 1 } }),
      '<?xml version="1.0" encoding="UTF-8"?>\n<a>')
  end)

  it("lets nothing in data become markup", function()
    local evil = "</a><b x='1' y=\"2\">&c;<!--]]>"
    assert.equal('<a><q x="&lt;/a&gt;&lt;b x=\'1\' y=&quot;2&quot;&gt;&amp;c;&lt;!--]]&gt;">'
      .. "&lt;/a&gt;&lt;b x='1' y=\"2\"&gt;&amp;c;&lt;!--]]&gt;</q></a>\n",
      encode({ a = { q = { ["@x"] = evil, ["#text"] = evil } } }, { indent = 0 }))
    for _, name in ipairs { "a b", "", "1a", "-a", "a>", "a/", "a=\"", "×", "a\xFF", "\u{37E}" } do
      cannot({ a = { [name] = 1 } }, "is no name of an element")
      cannot({ a = { ["@" .. name] = 1 } }, "is no name of an attribute")
    end
    assert.equal("<é:ü-1.·/>\n", encode { ["é:ü-1.·"] = "" })
  end)

  it("refuses what XML cannot hold, with its place", function()
    cannot({ a = { b = "x\0y" } }, "cannot write XML: a/b: it holds the control character 0x00")
    cannot({ a = { b = { ["@c"] = "\27" } } }, "a/b: @c holds the control character 0x1B")
    cannot({ a = "\xE4" }, "it holds the byte 0xE4, which is no UTF-8")
    cannot({ a = "\xED\xA0\x80" }, "which is no UTF-8")
    cannot({ a = "\u{FFFE}" }, "the character U+FFFE")
    cannot({ a = { b = { { 1 }, { 2 } } } }, "a: b is a list in a list")
    cannot({ a = 1, b = 2 }, "a document is { root = value }, with one name; got 2 names")
    cannot("x", "got a string")
    cannot({ name = "a", contents = {} }, "and no contents", { form = "tree" })
    cannot({ name = "a", content = { { name = "b", content = "x" } } }, "a: content is no table",
      { form = "tree" })
    local deep = "x"
    for _ = 1, 401 do deep = { a = deep } end
    local e = one.failure { run = function() return flow.xml.encode { value = { a = deep } } end }
    one.contains(e.message, "nested deeper than 400 levels")
  end)
end)

describe("xml.write", function()
  it("writes a document, or rows in the order of their columns", function()
    local p <close> = place.new { ["a.csv"] = "name,age\nAda,36\nTim & Tom,9\n" }
    local path = p.folder .. "/o.xml"
    local wrote = one.output(flow.xml.write { path = path, value = { a = { b = 1 } } })
    assert.same({ path = path, bytes = #p:read "o.xml" }, wrote)
    assert.same({ a = { b = "1" } }, one.output(flow.xml.read(path)))
    local out = one.output(flow.pipe { flow.csv.read(p.folder .. "/a.csv"),
      flow.xml.write { path = path, root = "people", row = "person" } })
    assert.equal(2, out.rows_out)
    assert.equal('<?xml version="1.0" encoding="UTF-8"?>\n<people>\n  <person>\n    <name>Ada</name>\n'
      .. "    <age>36</age>\n  </person>\n  <person>\n    <name>Tim &amp; Tom</name>\n    <age>9</age>\n"
      .. "  </person>\n</people>\n", p:read "o.xml")
    assert.same({ { name = "Ada", age = "36" }, { name = "Tim & Tom", age = "9" } },
      one.output(flow.xml.read { path = path, rows = "people/person" }))
    one.output(flow.xml.write { path = path, rows = {}, indent = 0 })
    assert.equal('<?xml version="1.0" encoding="UTF-8"?>\n<rows></rows>\n', p:read "o.xml")
    one.output(flow.xml.write { path = path, indent = 0, columns = { "z", "a" },
      rows = { { a = 1, z = 2, b = 3 }, "x" } })
    one.contains(p:read "o.xml", "<row><z>2</z><a>1</a><b>3</b></row><row>x</row>")
  end)

  it("keeps the former file where a row cannot be written, and tells of a full disk", function()
    local p <close> = place.new { ["o.xml"] = "former" }
    local path = p.folder .. "/o.xml"
    local e = one.failure(flow.xml.write { path = path, rows = { { a = "1" }, { ["first name"] = "x" } } })
    assert.equal("invalid_content", e.code)
    one.contains(e.message, 'o.xml: row: "first name" is no name of an element')
    assert.equal("invalid_content", one.failure(flow.xml.write { path = path, value = { a = "\1" } }).code)
    assert.equal("former", p:read "o.xml")
    e = one.run(flow.xml.write { path = path, root = "${input.x}", rows = {} },
      { input = { x = "a><b" } }).error
    assert.equal("config_error", e.code)
    one.contains(e.message, 'root: "a><b" is no name of an element')
    if not io.open "/dev/full" then return pending "there is no /dev/full here" end
    assert.equal("ENOSPC", one.failure(flow.xml.write { path = "/dev/full", rows = { "x" } }).details.errno)
  end)

  it("writes what xmllint takes for well-formed", function()
    local p <close> = place.new()
    local path = p.folder .. "/o.xml"
    one.output(flow.xml.write { path = path, rows = {
      { ["@k"] = "\"<&\n", a = "]]>\r<", ["é:ü"] = { 1, "" } }, "ä\u{1F600}" } })
    local said = io.popen(("xmllint --noout %s 2>&1"):format(path)):read "a"
    assert.equal("", (said:gsub("namespace error[^\n]*\n[^\n]*\n[^\n]*\n", ""):gsub("^[^\n]*: $", "")))
  end)
end)

describe("a definition that is data", function()
  it("reads and writes XML only in the folders that its loader allows", function()
    local p <close> = place.new { ["a.xml"] = "<a>1</a>" }
    local function code(type, path, value)
      local source = flow.json.encode { name = "d", nodes = { { id = "x", type = type,
        with = { path = path, value = value } } } }
      local run = flow.run(flow.load { source = source, types = { "xml.*" }, paths = { p.folder } })
      return run.error and run.error.code
    end
    assert.is_nil(code("xml.read", p.folder .. "/a.xml"))
    assert.is_nil(code("xml.write", p.folder .. "/b.xml", { a = 1 }))
    assert.equal("not_allowed", code("xml.read", "/etc/fonts/fonts.conf"))
    assert.equal("not_allowed", code("xml.write", p.folder .. "/../b.xml", { a = 1 }))
  end)
end)

describe("XML without libexpat", function()
  it("says what is missing, and only where it is used", function()
    if uv.getuid() ~= 0 then return pending "only root can hide a library" end
    local p <close> = place.new { ["s.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.xml.decode "<a/>"
      local e = flow.run(w).error
      print(e.code, e.retryable, e.message)]] }
    local pipe <close> = io.popen(([[cd %s; lib=$(ldconfig -p | sed -n 's/.*libexpat.so.1 .*=> //p' | head -1)
      unshare -m true 2>/dev/null || echo "no mount"
      lib=$(readlink -f $lib) unshare -m sh -c 'mount --bind /dev/null $lib && %s s.lua || echo "no mount"' 2>&1]])
      :format(p.folder, uv.fs_realpath(command.path)))
    local said = pipe:read "a"
    if said:find "no mount" then return pending "no file system can be mounted here" end
    one.contains(said, "xml_unavailable\tfalse\t")
    one.contains(said, "XML needs libexpat.so.1 (Debian's package libexpat1)")
  end)
end)
