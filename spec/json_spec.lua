local core = require "orrery.core"
local json = core.json

local CORPUS = "../shared/corpus/json-parsing/"

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function files(folder)
  local list = {}
  local pipe = assert(io.popen("ls " .. folder .. " 2>/dev/null"))
  for name in pipe:lines() do list[#list + 1] = name end
  pipe:close()
  return list
end

local function refused(text, options)
  local good, message = pcall(json.decode, text, options)
  assert.is_false(good, "was accepted: " .. text:sub(1, 60))
  return message
end

local function unwritable(value, options)
  local good, message = pcall(json.encode, value, options)
  assert.is_false(good, "was written")
  return message
end

describe("the JSON test suite", function()
  for _, name in ipairs(files(CORPUS .. "test_parsing")) do
    local kind = name:sub(1, 2)
    it(name, function()
      local text = read(CORPUS .. "test_parsing/" .. name)
      local good, result = pcall(json.decode, text, { duplicates = "last", name = name })
      if kind == "y_" then
        assert.is_true(good, tostring(result))
        assert.are.equal(json.encode(result), json.encode(json.decode(json.encode(result))))
      elseif kind == "n_" then
        assert.is_false(good)
        assert.is_truthy(result:find("^" .. name:gsub("%p", "%%%0") .. ":%d+:%d+: "), result)
      elseif not good then
        assert.is_string(result)
      end
    end)
  end

  it("is there", function()
    if not read(CORPUS .. "README") then
      pending("../shared/corpus/json-parsing is absent")
      return
    end
    assert.is_true(#files(CORPUS .. "test_parsing") > 300)
  end)

  it("its transformations keep their numbers apart", function()
    local function number(name)
      local text = read(CORPUS .. "test_transform/number_" .. name .. ".json")
      return text and json.decode(text)[1]
    end
    if not number("1.0") then
      pending("../shared/corpus/json-parsing is absent")
      return
    end
    assert.are.equal("1.0", json.encode(number("1.0")))
    assert.are.equal(math.mininteger, number("-9223372036854775808"))
    assert.are.equal(math.maxinteger, number("9223372036854775807"))
    assert.are.equal("float", math.type(number("9223372036854775808")))
    assert.are.equal("float", math.type(number("10000000000000000999")))
  end)
end)

describe("decode", function()
  it("keeps integers and floats apart", function()
    assert.are.equal("integer", math.type(json.decode("1")))
    assert.are.equal("float", math.type(json.decode("1.0")))
    assert.are.equal("float", math.type(json.decode("1e2")))
    assert.are.equal(9007199254740993, json.decode("9007199254740993"))
    assert.are.equal("float", math.type(json.decode("9223372036854775808")))
    assert.are.equal("-inf", tostring(1 / json.decode("-0.0")))
  end)

  it("keeps [] and {} apart, also when an array is emptied later", function()
    assert.are.equal('[[],{}]', json.encode(json.decode("[[],{}]")))
    local list = json.decode("[1]")
    list[1] = nil
    assert.are.equal("[]", json.encode(list))
    assert.is_true(json.is_array(list))
    assert.is_false(json.is_array(json.decode("{}")))
  end)

  it("has a value for null", function()
    local value = json.decode('{"a":null,"b":[null]}')
    assert.are.equal(json.null, value.a)
    assert.are.equal(json.null, value.b[1])
    assert.are.equal('{"a":null,"b":[null]}', json.encode(value))
  end)

  it("joins surrogates and refuses single ones", function()
    assert.are.equal("😀", json.decode('"\\ud83d\\ude00"'))
    for _, text in ipairs { '"\\ud83d"', '"\\ude00"', '"\\ud83dx"', '"\\ud83d\\n"', '"\\ud83d\\ud83d"' } do
      assert.is_truthy(refused(text):find("JSON:1:2: the surrogate \\ud", 1, true))
    end
  end)

  local PLACES = {
    { "", "JSON:1:1: expected a value, got an empty text" },
    { '{"a":1,\n "a":2}', 'JSON:2:2: the key "a" stands twice in one object' },
    { '{"é":1,"x":nul}', "JSON:1:12: expected a value, got 'n'" },
    { '[1,2', "JSON:1:5: expected ',' or ']' after an item, got the end of the text" },
    { '{"a":1', "JSON:1:7: expected ',' or '}' after a field, got the end of the text" },
    { '{"a"', "JSON:1:5: expected ':' after a key, got the end of the text" },
    { '{"a":1,}', "JSON:1:7: a comma stands before the closing '}'; take it out" },
    { '"abc', "JSON:1:1: this string is not closed before the end of the text" },
    { '[1] 2', "JSON:1:5: expected the end of the text after the value, got '2'" },
    { '[NaN]', "JSON:1:2: NaN is not JSON; write null, or a string" },
    { '[-Infinity]', "JSON:1:2: Infinity is not JSON; write null, or a string" },
    { "{'a':1}", "JSON:1:2: strings stand in double quotes in JSON" },
    { '// x\n1', "JSON:1:1: JSON has no comments; take them out" },
    { '[1e999]', "JSON:1:2: the number is too large: the largest there is has 309 digits" },
    { '[01]', "JSON:1:2: a number has no leading zero in JSON" },
    { '"a\tb"', "JSON:1:3: a control character (byte 9) stands in a string; write it as \\u0009" },
    { '"\\x41"', "JSON:1:2: unknown escape: after a backslash stands one of \" \\ / b f n r t u, got 'x'" },
    { '"\255"', "JSON:1:2: the text is not UTF-8 here (byte 255)" },
  }
  for _, case in ipairs(PLACES) do
    it("says where in " .. ("%q"):format(case[1]), function()
      assert.are.equal(case[2], refused(case[1]))
    end)
  end

  it("names the text and takes the last of two keys where asked", function()
    assert.are.equal("a.json:1:2: expected a value, got 'x'", refused("[x", { name = "a.json" }))
    assert.are.equal(2, json.decode('{"a":1,"a":2}', { duplicates = "last" }).a)
  end)

  it("refuses every prefix of a document", function()
    local text = '{"a":[1,2.5,"x\\n",true,null,{}],"b":"é"}'
    for n = 0, #text - 1 do refused(text:sub(1, n)) end
    assert.is_table(json.decode(text))
  end)

  it("bounds the depth", function()
    assert.are.equal("JSON:1:1001: nested deeper than 1000 levels", refused(("["):rep(100000)))
    assert.is_truthy(refused(('{"a":'):rep(100000)):find("nested deeper than 1000 levels", 1, true))
    assert.are.equal("JSON:1:3: nested deeper than 2 levels", refused("[[[]]]", { depth = 2 }))
    assert.is_table(json.decode(("["):rep(5000) .. ("]"):rep(5000), { depth = 5000 }))
    assert.is_truthy(refused("[]", { depth = 5001 })
      :find("option 'depth' is an integer from 1 to 5000", 1, true))
  end)

  it("refuses an unknown option", function()
    assert.is_truthy(refused("[]", { deep = 2 }):find("unknown option 'deep'", 1, true))
  end)
end)

describe("encode", function()
  it("sorts keys and indents", function()
    assert.are.equal('{"a":1,"b":[true,"x"],"c":{}}', json.encode { c = {}, b = { true, "x" }, a = 1 })
    assert.are.equal('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}',
      json.encode({ a = { 1, {} }, b = json.array() }, { indent = 2 }))
  end)

  it("sorts by bytes however many keys there are", function()
    for _, n in ipairs { 3, 64, 65, 1000 } do
      local object, keys = {}, {}
      for i = 1, n do
        keys[i] = ("k%d"):format(i * 7919 % 1009)
        object[keys[i]] = i
      end
      table.sort(keys)
      for i, key in ipairs(keys) do keys[i] = ('"%s":%d'):format(key, object[key]) end
      assert.are.equal("{" .. table.concat(keys, ",") .. "}", json.encode(object))
    end
  end)

  it("writes what is unsorted in the table's own order", function()
    local object = { a = 1, b = 2, c = 3 }
    local parts = {}
    for key, value in pairs(object) do parts[#parts + 1] = ('"%s":%d'):format(key, value) end
    assert.are.equal("{" .. table.concat(parts, ",") .. "}", json.encode(object, { sort = false }))
  end)

  it("writes the shortest float that reads back", function()
    for _, case in ipairs { { 1.0, "1.0" }, { 0.1, "0.1" }, { 1e100, "1e+100" },
      { 1 / 3, "0.3333333333333333" },
      { 5e-324, "5e-324" }, { 2.0 ^ 53, "9007199254740992.0" },
      { 1.7976931348623157e308, "1.7976931348623157e+308" } } do
      local value, text = case[1], case[2]
      assert.are.equal(text, json.encode(value))
      assert.are.equal(value, json.decode(text))
      assert.are.equal("float", math.type(json.decode(text)))
    end
  end)

  it("writes floats of every size as printf would", function()
    local seed = tonumber(os.getenv "JSON_SEED") or os.time()
    math.randomseed(seed)
    local function reference(value)
      local least = value > 0 and value < 0x1p-1022 and 1 or 15 -- below it doubles have fewer digits
      for digits = least, 17 do
        local text = ("%." .. digits .. "g"):format(value)
        if tonumber(text) == value then return text:find "[.e]" and text or text .. ".0" end
      end
    end
    local function compare(value)
      local want, got, minus = reference(value), json.encode(value), json.encode(-value)
      if got ~= want or minus ~= "-" .. want then
        error(("%s, got %s and %s, JSON_SEED=%d"):format(want, got, minus, seed))
      end
    end
    for _, value in ipairs { 0.0, 1e-4, 0.00010000000000000002, 9.999999999999999e-5, 999999999999999.9, 1e15,
      0.5, 1e14, 2.0 ^ 52, 2.0 ^ 52 + 0.5, 4503599627370495.5 / 1e6, 1e-5, 123456.0 } do compare(value) end
    for _ = 1, 3000 do
      local bits = math.random(0) & 0x7fefffffffffffff
      compare((string.unpack("<d", string.pack("<i8", bits))))
      compare(math.random(0, 1 << 53) / 10.0 ^ math.random(0, 18)) -- few digits
      compare(math.random(0, 99999) / 10.0 ^ math.random(0, 9))
      compare(math.random() * 10.0 ^ math.random(-6, 17))
    end
  end)

  it("escapes", function()
    assert.are.equal([["\"\\\b\f\n\r\t\u0000\u001f/é]] .. "\127\"", json.encode("\"\\\b\f\n\r\t\0\31/é\127"))
    for i = 0, 40 do -- every distance from the boundaries of the words that are tested at once
      local text = ("a"):rep(i) .. "\n" .. ("é"):rep(i) .. '"' .. ("b"):rep(i)
      assert.are.equal(text, json.decode(json.encode(text)))
    end
  end)

  it("does not call metamethods", function()
    local trap = setmetatable({ a = 1 },
      { __pairs = error, __index = error, __len = error, __tostring = error })
    assert.are.equal('{"a":1}', json.encode(trap))
  end)

  local cyclic = { list = { {} } }
  cyclic.list[1].up = cyclic.list
  local REFUSED = {
    { print, "value is a function; JSON holds nil, boolean, number, string, array or table of those" },
    { { a = { print } }, "value.a[1] is a function; JSON holds nil, boolean, number, string, array or table "
      .. "of those" },
    { { [1] = 1, a = 2 }, "value mixes array items with named fields; use either the keys 1 to n or names" },
    { { x = { 1, nil, 3 } }, "value.x is an array with a hole at item 2; put null where there is no value" },
    { { [0] = 1 }, "value has the key 0; the items of an array have the keys 1 to n" },
    { { [1.5] = 1 }, "value has the key 1.5; keys are strings, or 1 to n in an array" },
    { { [true] = 1 }, "value has a boolean as a key; keys are strings, or 1 to n in an array" },
    { { ["a-b"] = 0 / 0 }, 'value["a-b"] is NaN; JSON has finite numbers only' },
    { { math.huge }, "value[1] is an infinite number; JSON has finite numbers only" },
    { cyclic, "value.list[1].up is a cyclic table: it is value.list again" },
    { json.object { 1 }, "value is marked as an object and has array items; use strings as keys" },
    { { t = setmetatable({ a = 1 }, json.array_mt) },
      "value.t is marked as an array and has named fields; make a new table for an object" },
    { { t = "ab\255" }, "value.t is not UTF-8 text (byte 255 at position 3); JSON holds only text, so encode "
      .. "binary "
      .. "data first, for instance as base64 or hex" },
  }
  for _, case in ipairs(REFUSED) do
    it("refuses: " .. case[2]:sub(1, 50), function()
      assert.are.equal(case[2], unwritable(case[1]))
    end)
  end

  it("names the value and bounds the text", function()
    assert.is_truthy(unwritable({ f = print }, { root = "output" }):find("output.f is a function", 1, true))
    assert.are.equal("value[2] does not fit: the JSON text would be longer than the limit of 10 bytes",
      unwritable({ "abcd", "efgh" }, { limit = 10 }))
    assert.are.equal('["abcd"]', json.encode({ "abcd" }, { limit = 8 }))
  end)

  it("says where in a path of any length", function()
    local deep = print
    for _ = 1, 500 do deep = { x = deep } end
    local message = unwritable(deep)
    assert.is_truthy(message:find("^value%.x%.x%.x%.x%.x%.x%.x%.x%.%.%.%.x%.x%.x%.x is a function"), message)
    assert.is_truthy(unwritable({ [("k"):rep(1e6)] = print }):find("^value%[\"k+%.%.%.\"%] is a function"))
  end)
end)

describe("check", function()
  it("takes plain data", function()
    for _, value in ipairs { 1, 1.5, "x", "\255", true, {}, { 1, { a = json.null } }, json.array(),
        json.null } do
      assert.is_true(json.check(value))
    end
    assert.is_true(json.check(nil))
  end)

  it("says what is no plain data, and where", function()
    local value, message = json.check({ items = { 1, 2, { cb = print } } }, "output")
    assert.is_nil(value)
    assert.are.equal("output.items[3].cb is a function; a handler returns plain data: nil, boolean, number, "
      .. "string, "
      .. "array or table of those", message)
    local t = {}
    t.self = t
    for _, bad in ipairs { t, { 1, a = 1 }, { 1, nil, 3 }, 0 / 0, -1 / 0, coroutine.create(print), io.stdout,
      { [io.stdout] = 1 }, { { { math.huge } } } } do
      assert.is_nil((json.check(bad)))
    end
  end)

  it("is not misled by a shared table", function()
    local shared = { 1 }
    assert.is_true(json.check { shared, shared, { shared } })
    local many = { {}, {} }
    for i = 1, 20000 do many[i] = { shared } end
    many[20001] = { { print } }
    local _, message = json.check(many)
    assert.is_truthy(message:find("^value%[20001%]%[1%]%[1%] is a function"))
  end)
end)

describe("marks", function()
  it("make arrays and objects", function()
    assert.are.equal("[]", json.encode(json.array()))
    assert.are.equal("{}", json.encode(json.object()))
    local t = { 1 }
    assert.are.equal(t, json.array(t))
    assert.are.equal(json.array_mt, getmetatable(t))
    assert.are.equal("{}", json.encode(json.object(json.array())))
    assert.has_error(function() json.array(setmetatable({}, {})) end)
    assert.has_error(function() json.array("x") end)
  end)

  it("tell arrays", function()
    assert.is_true(json.is_array { 1 })
    assert.is_true(json.is_array(json.array()))
    assert.is_false(json.is_array {})
    assert.is_false(json.is_array { a = 1 })
    assert.is_false(json.is_array("x"))
  end)
end)

describe("against dkjson", function()
  local ok, dkjson = pcall(require, "dkjson")

  local function random_text()
    local parts = {}
    for i = 1, math.random(0, 12) do
      local pick = math.random(6)
      parts[i] = pick == 1 and utf8.char(math.random(0x80, 0xD7FF))
        or pick == 2 and utf8.char(math.random(0x10000, 0x10FFFF))
        or pick == 3 and string.char(math.random(0, 31)) or string.char(math.random(32, 126))
    end
    return table.concat(parts)
  end

  -- What a journal has to give back as it was: bytes that are no text, and keys that look like
  -- forms of ours.
  local FORMS = { "$bytes", "$object", "$blob", "$", "$bytes\0", "" }

  local function random_bytes()
    local bytes = {}
    for i = 1, math.random(0, 9) do bytes[i] = string.char(math.random(0, 255)) end
    return table.concat(bytes)
  end

  local function random_kept(depth)
    local pick = math.random(depth > 6 and 4 or 7)
    if pick == 1 then return random_bytes() end
    if pick == 2 then return FORMS[math.random(#FORMS)] end
    if pick == 3 then return math.random(0) >> math.random(0, 63) end
    if pick == 4 then return random_text() end
    if pick == 5 then
      local list = {}
      for i = 1, math.random(0, 4) do list[i] = random_kept(depth + 1) end
      return #list > 0 and list or json.array(list)
    end
    local object = {}
    for _ = 1, math.random(1, pick == 6 and 1 or 4) do
      object[math.random(3) == 1 and random_text() .. "k" or FORMS[math.random(#FORMS)]] =
        random_kept(depth + 1)
    end
    return object
  end

  it("what is written for a journal comes back as it was", function()
    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    for round = 1, 20000 do
      local value = random_kept(1)
      local label = ("SEED=%d, round %d"):format(seed, round)
      local text = json.encode(value, { binary = true })
      local back = json.decode(text, { binary = true })
      assert.are.same(value, back, label)
      assert.are.equal(text, json.encode(back, { binary = true }), label)
      assert.is_true(utf8.len(text) ~= nil, label)
    end
  end)

  it("is as deep when it is read for a journal as when it was written", function()
    for _, key in ipairs { "a", "$a", "$object", "$bytes", "$blob" } do
      for _, leaf in ipairs { 1, "text" } do
        local value = leaf
        for _ = 1, 1000 do value = { [key] = value } end
        local back = json.decode(json.encode(value, { binary = true }), { binary = true })
        for _ = 1, 1000 do back = back[key] end
        assert.are.equal(leaf, back)
      end
    end
  end)

  local function random_value(depth)
    local pick = math.random(depth > 4 and 5 or 7)
    if pick == 1 then return math.random(0) >> math.random(0, 63) end
    if pick == 2 then return (math.random() - 0.5) * 10.0 ^ math.random(-20, 20) end
    if pick == 3 then return random_text() end
    if pick == 4 then return math.random(2) == 1 end
    if pick == 5 then return math.random(-9, 9) end
    local t = {}
    for i = 1, math.random(1, 6) do t[pick == 6 and i or random_text() .. "k"] = random_value(depth + 1) end
    return t
  end

  it("random values come back equal through either codec", function()
    if not ok then
      pending("dkjson is not installed")
      return
    end
    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    for round = 1, 2000 do
      local value = random_value(1)
      local label = ("SEED=%d, round %d"):format(seed, round)
      local text = json.encode(value)
      assert.are.same(value, json.decode(text), label)
      assert.are.same(value, (dkjson.decode(text)), label)
      assert.are.same(value, json.decode(json.encode(value, { indent = 2 })), label)
      local theirs = dkjson.encode(value)
      assert.are.same(dkjson.decode(theirs), json.decode(theirs), label)
    end
  end)
end)
