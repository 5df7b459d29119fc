-- JSON Schemas where workflows use them: input, config and output of types, JSON definitions, and
-- data.validate.
local flow = require "orrery"
local command = require "spec.support.command"
local json = flow.json
local uv = require "luv"

local TWENTY = "https://json-schema.org/draft/2020-12/schema"

local function messages_of(what)
  local list = {}
  for i, problem in ipairs(flow.check(what)) do list[i] = problem.message end
  return list
end

describe("an input", function()
  local function workflow()
    local w = flow.workflow { name = "order", output = "${input}",
      input = { ["$schema"] = TWENTY, type = "object",
      properties = { item = { enum = { "book", "pen" } },
        count = { type = "integer", default = 1, minimum = 1 } },
      required = { "item" }, additionalProperties = false } }
    w.nothing = { run = function() end }
    return w
  end

  it("is checked and filled in", function()
    assert.same({ item = "pen", count = 1 }, flow.run(workflow(), { input = { item = "pen" } }).output)
  end)

  it("that does not fit is told before anything runs", function()
    local good, e = pcall(flow.run, workflow(), { input = { itme = "pen", count = 0 } })
    assert.is_false(good)
    assert.equal("validation_error", e.code)
    assert.equal(table.concat({
      'workflow "order": input.item is missing; is "itme" meant to be it? (#/required)',
      "workflow \"order\": input.count is out of range, expected at least 1, got integer 0 "
        .. "(#/properties/count/minimum)",
      'workflow "order": input.itme is not known; did you mean "item"? (#/additionalProperties)',
    }, "\n"), e.message)
  end)

  it("a field that it cannot have is told where it is read", function()
    local w = workflow()
    w.say = flow.log { message = "${input.conut}" }
    assert.same({ 'node "say": message: input has no field "conut"; did you mean "count"?' }, messages_of(w))
  end)

  it("with a mistake in the schema is told by `check`", function()
    local w = flow.workflow { name = "order",
      input = { ["$schema"] = TWENTY, properties = { a = { ["$ref"] = "#/$defs/x" } } } }
    w.nothing = { run = function() end }
    assert.same({ 'workflow "order": input: schema: #/properties/a/$ref: "#/$defs/x" leads to nothing: # '
      .. 'has no "$defs"' }, messages_of(w))
  end)
end)

describe("a JSON definition", function()
  local function definition(input)
    return { name = "d.json", source = json.encode { name = "d", input = input, output = "${input}",
      nodes = json.array { { id = "a", type = "const", with = { value = 1 } } } } }
  end

  it("takes a JSON Schema as its input", function()
    local w = flow.load(definition { type = "object",
      properties = { n = { type = "integer", default = 2 } } })
    assert.same({ n = 2 }, flow.run(w, { input = {} }).output)
    assert.equal("validation_error", select(2, pcall(flow.run, w, { input = { n = "x" } })).code)
  end)

  it("says what is wrong with it", function()
    local said = messages_of(definition { ["$schema"] = TWENTY, properties = { n = { type = "integr" } } })
    assert.equal(1, #said)
    assert.matches('input: schema: #/properties/n/type: there is no type "integr"; did you mean "integer"%?',
      said[1])
  end)
end)

describe("a node type", function()
  local T = flow.type { name = "test_json_schema.send", doc = "Sends.",
    config = { ["$schema"] = TWENTY, type = "object", additionalProperties = false, required = { "to" },
      properties = { to = { type = "string", pattern = "^[^@]+@[^@]+$", description = "an address" },
        times = { type = "integer", default = 1, maximum = 3 },
          tags = { type = "array", items = { type = "string" } } } },
    output = { type = "object", properties = { sent = { type = "integer" } }, additionalProperties = false },
    examples = 'flow.test_json_schema.send { to = "a@b" }',
    run = function(_, config) return { sent = config.times, to = config.to } end }

  it("gets its config checked and filled in", function()
    local w = flow.workflow { name = "w", output = "${nodes.a.sent}" }
    w.a = T { to = "${'x' .. '@y'}", tags = { "a" } }
    assert.equal(1, flow.run(w).output)
  end)

  it("config with mistakes is told by `check`, and templates wait until they are known", function()
    local w = flow.workflow { name = "w", output = "${nodes.a.snet}" }
    w.a = T { to = "nobody", tmies = 2, times = "${input.n}", tags = { 1 } }
    local said = messages_of(w)
    table.sort(said)
    assert.same({
      'node "a": test_json_schema.send: tags[1] is wrong, expected a string, got integer 1 '
        .. '(#/properties/tags/items/type)',
      'node "a": test_json_schema.send: tmies is not known; did you mean "times"?',
      'node "a": test_json_schema.send: to is wrong, expected a text that matches ^[^@]+@[^@]+$, got the '
        .. 'string "nobody" '
        .. "(#/properties/to/pattern)",
      'workflow "w": output: nodes.a has no field "snet"; did you mean "sent"?',
    }, said)
    local v = flow.workflow { name = "v" }
    v.a = T { to = "a@b", times = "${2 + 2}" }
    local run = flow.run(v)
    assert.equal("config_error", run.error.code)
    assert.matches("times is out of range, expected at most 3, got integer 4", run.error.message)
  end)

  it("is described, and has its place in the schema of definitions", function()
    local described = require "orrery.cli.types".described(T)
    assert.equal("tags times to", ("%s %s %s"):format(described.config[1].name, described.config[2].name,
      described.config[3].name))
    assert.equal("an address", described.config[3].doc)
    assert.is_true(described.config[3].required)
    local fields = require "orrery.definition.config_schema".fields(T.config)
    assert.same({ "to" }, { table.unpack(fields.required) })
    assert.is_false(fields.rest)
    assert.is_truthy(fields.properties.tags)
  end)
end)

describe("data.validate", function()
  local PERSON = { type = "object", required = { "name" }, additionalProperties = false,
    properties = { name = { type = "string", minLength = 1 }, age = { type = "integer" },
      kind = { default = "person" } } }
  local PEOPLE = { { name = "a", age = 3 }, { nmae = "b" }, { name = "c", age = "x" } }

  local function run(config, options)
    local w = flow.workflow { name = "w", output = "${nodes.check}" }
    w.read = flow.const { value = config.value or PEOPLE }
    config.value = nil
    config.after = config.rows == nil and "read" or nil
    w.check = flow.data.validate(config)
    local made = flow.run(w, options)
    return made.output, made.error
  end

  it("keeps the items that fit, and says of each other why not", function()
    local made = run { schema = PERSON }
    assert.same({ { name = "a", age = 3, kind = "person" } }, made.rows)
    assert.equal(2, #made.rejects)
    assert.equal(2, made.rejects[1].index)
    assert.same({ nmae = "b" }, made.rejects[1].row)
    assert.equal('name is missing; is "nmae" meant to be it? (#/required); nmae is not known; did you '
      .. 'mean "name"? '
      .. "(#/additionalProperties)", made.rejects[1].reason)
    assert.same({ path = "age", kind = "type", schema = "#/properties/age/type",
      message = 'age is wrong, expected an integer, got the string "x" (#/properties/age/type)' },
      made.rejects[2].problems[1])
  end)

  it("takes the shorthand, a schema made before, and a list that is given", function()
    for _, schema in ipairs { { name = "string", age = "integer?" },
      flow.schema { name = "string", age = "integer?" } } do
      local made = run { schema = schema, rows = "${nodes.read}" }
      assert.same({ { name = "a", age = 3 } }, made.rows)
      assert.equal("name is missing, expected string; nmae is not known; did you mean \"name\"?",
        made.rejects[1].reason)
    end
    assert.same({ 1, 2 }, run({ schema = { ["$schema"] = TWENTY, type = "integer" },
      value = { rows = { 1, "x", 2 } } }).rows)
    assert.same({}, run({ schema = PERSON, value = json.array {} }).rows)
  end)

  it("asks rules after the schema", function()
    local made = run { schema = { name = "string", age = "integer?" },
      value = { { name = "a", age = 3 }, { name = "b" },
      { name = 1 }, { name = "c", age = 20 } }, rules = {
        adult = function(_, row) return (row.age or 0) >= 18, "is too young" end,
        named = function(_, row) return row.name ~= "b" end } }
    assert.same({ { name = "c", age = 20 } }, made.rows)
    assert.equal("is too young", made.rejects[1].reason)
    assert.equal("adult", made.rejects[1].problems[1].rule)
    assert.equal('is too young; the rule "named" does not hold', made.rejects[2].reason)
    assert.equal("name is wrong, expected string, got integer 1", made.rejects[3].reason)
  end)

  it("takes expressions as rules, and rejects what one fails on", function()
    local made = run { value = { { age = 20 }, { age = 3 }, { age = "x" } },
      rules = { adult = "row.age >= 18" } }
    assert.same({ { age = 20 } }, made.rows)
    assert.equal('the rule "adult" does not hold', made.rejects[1].reason)
    assert.matches('row.age is the string "x"', made.rejects[2].reason, 1, true)
    local _, e = run { value = { 1 }, rules = { r = function() error "broken" end } }
    assert.equal("handler_error", e.code)
  end)

  it("is a stage of a pipe, keeps rejects in a file, and says what columns defaults add", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(uv.fs_mkdir(folder, 448))
    local w = flow.workflow { name = "w", output = "${nodes.p}" }
    w.f = flow.file.write { path = folder .. "/in.csv", content = "name,age\na,3\n,4\nb,x\n" }
    w.p = flow.pipe { after = "f", flow.csv.read { path = folder .. "/in.csv" },
      flow.data.map { set = { age = "tonumber(row.age)" } },
      flow.data.validate { schema = PERSON, rules = { known = "row.age" }, rejects = folder .. "/bad.jsonl" },
      flow.csv.write { path = folder .. "/out.csv" } }
    w.alone = flow.data.validate { after = "p", rows = { 1, "x" }, schema = { ["$schema"] = TWENTY,
      type = "integer" },
      rejects = folder .. "/alone.jsonl" }
    local made = flow.run(w)
    assert.equal("completed", made.state, made.error and made.error.message)
    local function read(name)
      local file <close> = assert(io.open(folder .. "/" .. name))
      return file:read "a"
    end
    assert.equal("name,age,kind\na,3,person\n", read "out.csv")
    local first, second = read "bad.jsonl":match "^(.-)\n(.-)\n$"
    assert.same({ 2, "" }, { json.decode(first).index, json.decode(first).row.name })
    assert.same({ 3, "known" }, { json.decode(second).index, json.decode(second).problems[1].rule })
    assert.equal(2, made.output.stages[3].rejected)
    assert.equal("x", json.decode(read "alone.jsonl").row)
    os.execute("rm -r " .. folder)
  end)

  it("fails at the first one where rejects are not wanted", function()
    local _, e = run { schema = PERSON, rejects = false }
    assert.equal("invalid_data", e.code)
    assert.equal(2, e.details.index)
    assert.matches('item 2 does not fit: name is missing; is "nmae" meant to be it%?', e.message)
    assert.is_false(e.retryable)
  end)

  it("asserts formats where it is told to", function()
    local schema = { ["$schema"] = TWENTY, format = "date" }
    assert.equal(0, #run({ schema = schema, value = { "no date" } }).rejects)
    assert.equal(1, #run({ schema = schema, value = { "no date", "2024-02-29" }, formats = true }).rejects)
  end)

  it("lets others go on in a long list", function()
    local list = {}
    for i = 1, 3000 do list[i] = i end
    local w, seen = flow.workflow { name = "w", output = "${nodes.check}" }, {}
    w.check = flow.data.validate { rows = list, rules = { r = function(_, i)
      if i % 1000 == 1 then
        seen[#seen + 1] = i
        local from = uv.hrtime()
        while uv.hrtime() - from < 15000000 do end -- work that takes longer than one may have in a turn
      end
      return true
    end } }
    w.other = { run = function(ctx)
      for _ = 1, 3 do
        seen[#seen + 1] = "other"
        ctx:sleep(0)
      end
    end }
    assert.equal(3000, #flow.run(w).output.rows)
    local at = {}
    for place, what in ipairs(seen) do at[what] = at[what] or place end
    assert.is_true(at.other < at[2001])
  end)

  it("mistakes are told by `check`", function()
    local function said(config)
      local w = flow.workflow { name = "w" }
      w.check = flow.data.validate(config)
      return table.concat(messages_of(w), "\n")
    end
    assert.equal('node "check": data.validate: it has nothing to judge by; give it a schema or rules',
      said { rows = {} })
    assert.equal('node "check": data.validate: schema: #/items/type: there is no type "strnig"; did you '
      .. 'mean "string"?',
      said { schema = { ["$schema"] = TWENTY, items = { type = "strnig" } } })
    assert.equal('node "check": data.validate: schema: a: there is no type "strnig"; did you mean "string"?',
      said { schema = { a = "strnig" } })
    assert.equal('node "check": data.validate: rules: expected an expression or a function for r, got a '
      .. "number", said { rules = { r = 1 } })
  end)

  it("what is no list is refused", function()
    local _, e = run { schema = PERSON, value = { a = 1 } }
    assert.equal("config_error", e.code)
    assert.matches("data.validate: the output of read: expected a list of rows, got a table", e.message)
    local w = flow.workflow { name = "w" }
    w.check = flow.data.validate { schema = PERSON }
    assert.matches("rows is missing; give it a list", flow.run(w).error.message)
  end)
end)

describe("a program that uses no JSON Schema", function()
  it("loads nothing of it", function()
    local path = os.tmpname() .. ".lua"
    local file <close> = assert(io.open(path, "wb"))
    file:write [[local flow = require "orrery"
      local w = flow.workflow { name = "w", input = { a = "string?" }, output = "${nodes.b}" }
      w.a = flow.log { message = "x" }
      w.b = { run = function()
        local list = {}
        for name in pairs(package.loaded) do list[#list + 1] = name:match "^orrery%.schema%..*" end
        table.sort(list)
        return list
      end }
      return w]]
    file:close()
    local done = command.run { "run", path, "--json", "--store", "memory:" }
    os.remove(path)
    assert.is_truthy(done.out:find "orrery.schema.shorthand", done.out .. done.err)
    assert.is_nil(done.out:find("orrery.schema.json", 1, true))
    assert.is_nil(done.out:find("orrery.schema.regex", 1, true))
  end)
end)
