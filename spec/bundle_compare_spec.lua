-- Two definitions beside each other: differences in words, and whether a journal fits.
local flow = require "orrery"
local bundle = require "orrery.bundle"

describe("comparing definitions", function()
  local function definition(body, options)
    local source = ('local flow = require "orrery"\nlocal w = flow.workflow { name = "x", %s }\n%s\nreturn '
      .. 'w\n'):format(options or "", body)
    return bundle.definition(assert(flow.compile(flow.load { source = source, name = "d.lua" })))
  end

  it("reports every difference in words", function()
    local old = definition('w.a = { run = print }\nw.b = { after = "a", timeout = 5, run = print }\nw.c = { '
      .. 'run = print }')
    assert.same({}, bundle.compare(old, old))
    local new = definition([[
w.a = { retry = 1, run = print }
w.d = { run = print }
w.b = { after = { "a", "d" }, timeout = 6, run = print }]], 'on_error = "drain"')
    assert.same({
      'workflow: on_error was "stop", is now "drain"',
      'node "a": retry was nothing, is now '
        .. '{"delay":1,"factor":2,"jitter":"equal","max":1,"max_delay":30,"strategy":"exponential"}',
      'node "b": it was node 2, is now node 3',
      'node "b": after was ["a"], is now ["a","d"]',
      'node "b": timeout was 5, is now 6',
      'node "c" is gone',
      'node "d" is new',
    }, bundle.compare(old, new))
  end)

  it("takes a type of the library for the same that has got another name", function()
    local now = definition 'w.a = flow.merge { values = {} }\nw.b = flow.data.map { rows = {} }'
    local former = now:gsub('"data.merge"', '"merge"')
    assert.not_equal(now, former)
    assert.same({}, bundle.compare(former, now))
    assert.same({ 'node "b": type was "filter", is now "data.map"' },
      bundle.compare(now:gsub('"data.map"', '"filter"'), now))
  end)

  it("says of a policy what was written, and not what follows from that", function()
    local text = definition [[
w.a = { retry = { max = 2, max_delay = "5s" }, run = print }
w.b = { compensate = { run = print, retry = { max = 2, max_delay = "5s" } }, run = print }]]
    assert.equal(2, select(2, text:gsub('"max_delay":5', "")))
    assert.is_nil(text:find("after_max", 1, true))
  end)

  local OLD = [[
w.a = { run = print }
w.b = { after = "a", each = "${nodes.a}", run = print }
w.route = flow.switch { after = "b", cases = { gold = "true" }, default = "rest" }
w.c = { after = "route:gold", run = print }
w.d = { after = "route:rest", run = print }
w.e = { after = { "c", "d" }, join = "any", loop = { times = 2 }, run = print }]]

  local function fits(new, touched)
    local list = {}
    for i, problem in ipairs(bundle.fits(definition(OLD), definition(new), touched)) do
      list[i] = problem.message
    end
    return list
  end

  local UP_TO_C = { a = "completed", b = "completed", route = "completed", c = "running" }

  it("lets a journal fit where only code, policies and untouched nodes changed", function()
    assert.same({}, fits(OLD, UP_TO_C))
    assert.same({}, fits(OLD:gsub('after = "a",', 'after = "a", retry = 3, timeout = 9,'), UP_TO_C))
    assert.same({}, fits(OLD:gsub("\nw.e.*$", "\nw.new = { after = 'c', run = print }"), UP_TO_C))
    assert.same({}, fits(OLD .. "\nw.f = { after = 'e', run = print }", { a = "completed", e = "pending" }))
  end)

  it("says exactly where it does not", function()
    assert.same({ 'node "b" (completed): it had `each` in the journal and has no `each` now' },
      fits(OLD:gsub('each = "[^"]*", ', ""), UP_TO_C))
    assert.same({ 'node "c" (running): it is gone' },
      fits(OLD:gsub("\nw.c = [^\n]*", ""):gsub('{ "c", "d" }', '"d"'),
      { a = "completed", c = "running" }))
    assert.same({ 'node "b" (completed): it was node 2 and is now node 3; add new nodes after it' },
      fits("w.a = { run = print }\nw.zero = { run = print }" .. OLD:match "\nw.b = [^\n]*",
        { b = "completed" }))
    assert.same({ 'node "e" (waiting): join was "any" and is now nothing' },
      fits(OLD:gsub('join = "any", ', ""), { e = "waiting" }))
    assert.same({ 'node "e" (waiting): it had `loop` in the journal and has no `loop` now' },
      fits(OLD:gsub("loop = { times = 2 }, ", ""), { e = "waiting" }))
  end)

  it("looks at what stands before a touched node too", function()
    assert.same({ 'node "d" (before a node that ran): after was [{"node":"route","port":"rest"}] and is now '
      .. '["route"]' },
      fits(OLD:gsub("route:rest", "route"), { a = "completed", c = "completed", e = "running" }))
  end)

  it("watches the numbers of outcomes and of conditional edges", function()
    local found = fits(OLD:gsub("w.c = { after = [^\n]*", 'w.c = { after = "route:rest", run = print }')
      :gsub("w.d = { after = [^\n]*", 'w.d = { after = "route:gold", run = print }'), { route = "completed" })
    assert.same({ 'node "route": its outcome "gold" was outcome 1 of the workflow, which is now "rest"' },
      found)
    local function with_edges(first)
      local w = flow.load { name = "e.json", source = ([[{ "nodes": [ { "id": "a", "type": "const", "with": { "value": 1 } },
        { "id": "b", "type": "const", "with": { "value": 1 }, %s }, { "id": "c", "type": "const", "with": { "value": 2 } } ],
        "edges": [ { "from": "a", "to": "c", "when": "nodes.a > 0" } ] }]]):format(first) }
      return bundle.definition(assert(flow.compile(w)))
    end
    local old, new = with_edges '"doc": "alone"', with_edges '"after": "a"'
    local problems = bundle.fits(old, new, { a = "completed", c = "running" })
    assert.equal(1, #problems)
    assert.equal("c", problems[1].node)
    assert.matches("the numbers from 1 on and have those from 2 on now", problems[1].message)
    assert.same({}, bundle.fits(old, new, { a = "completed" }))
  end)
end)
