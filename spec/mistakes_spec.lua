-- Every mistake in a definition and the words it gets: place, what was expected, the remedy or the
-- nearest right name.
local fake = require "spec.support.fake_core"

-- Each case: what it is about, the body of a file after `local flow = require "orrery"; local w =
-- flow.workflow {…}`, the lines that `check` says. The body begins on line 3.
local HEAD = 'local flow = require "orrery"\nlocal w = flow.workflow { name = "bad" }\n'

local CASES = {
  -- the workflow
  { "an empty workflow", "", {
    "the workflow has no node; assign one: w.hello = { run = function(ctx) … end }" } },
  { "an unknown node in after", 'w.fetch = { run = print }\nw.parse = { after = "fecth", run = print }', {
    'bad.lua:4: node "parse": after: there is no node "fecth"; did you mean "fetch"?' } },
  { "an unknown node in a list, and one in a port",
    'w.fetch = { run = print }\nw.a = { after = { "fetch", "nope" }, run = print }\n'
    .. 'w.b = { after = "nope:x", run = print }', {
    'bad.lua:4: node "a": after: there is no node "nope"',
    'bad.lua:5: node "b": after: there is no node "nope"' } },
  { "an unknown type", 'w.a = { type = "http.gett", with = { url = "x" } }', {
    'bad.lua:3: node "a": type: there is no node type "http.gett"; did you mean "http.get"?; a type of your '
      .. 'own is known once '
    .. "the module that declares it has been required (`orrery … -l MODULE`)" } },
  { "an unknown config key", 'w.a = flow.file.read { pth = "x" }', {
    'bad.lua:3: node "a": file.read: path is missing, expected string',
    'bad.lua:3: node "a": file.read: pth is not known; did you mean "path"?' } },
  { "a key of the node that is mistyped beside config, or stands in with",
    'w.a = flow.exec { "true", timeot = "1s" }\n'
    .. 'w.b = { type = "exec", with = { argv = { "true" }, retry = 3 }, aftr = "a", arvg = 1 }', {
    'bad.lua:3: node "a": exec: timeot is not known; did you mean "timeout"?',
    'bad.lua:4: node "b": exec: aftr is not known; did you mean "after"?',
    'bad.lua:4: node "b": exec: arvg is not known; did you mean "argv"?',
    'bad.lua:4: node "b": exec: retry is not known; it is a key of the node: write it beside `with`' } },
  { "a missing config key", "w.a = flow.delay {}", {
      'bad.lua:3: node "a": delay: duration is missing, expected duration',
    } },
  { "a wrong type of config", 'w.a = flow.file.write { path = 5, content = "x", append = "yes" }', {
      'bad.lua:3: node "a": file.write: append is wrong, expected boolean, got the string "yes"',
      'bad.lua:3: node "a": file.write: path is wrong, expected string, got integer 5',
    } },
  { "an unknown key of a Lua node", 'w.a = { run = print, retyr = 3 }', {
    'bad.lua:3: node "a": unknown key "retyr"; did you mean "retry"?' } },
  { "a strategy that there is not", "w.a = { run = print, strategy = 'process' }", {
    'bad.lua:3: node "a": strategy: expected "direct" (the default) or "thread" (in a worker), got the '
      .. 'string "process"' } },
  { "no handler", "w.a = { after = {} }", {
    'bad.lua:3: node "a": it does nothing: give it run = function(ctx, inputs) … end, or call a node '
      .. 'type' } },
  { "a handler that is no function", 'w.a = { run = "print" }', {
    'bad.lua:3: node "a": run: expected a function(ctx, inputs), got the string "print"' } },
  { "a handler for a typed node", 'w.a = flow.delay { "1s", run = print }', {
    'bad.lua:3: node "a": run: delay brings its own handler; a Lua node is a plain table with `run`' } },
  { "config of a Lua node", "w.a = { run = print, with = {} }", {
    'bad.lua:3: node "a": with: a Lua node takes no config; its function sees the values around it' } },
  { "config twice", 'w.a = flow.file.read { path = "x", with = { path = "y" } }', {
    'bad.lua:3: node "a": path stands both in the node and in its `with`; keep one' } },
  { "config that is no table", "w.a = flow.file.list(5)\nw.b = flow.merge(true)", {
      'bad.lua:3: node "a": file.list: path is wrong, expected string, got integer 5',
      'bad.lua:4: node "b": data.merge takes a table, data.merge { … }, got true',
    } },

  -- assignments
  { "two nodes of one name", "w.a = { run = print }\nw.a = { run = print }", {
    'bad.lua:4: node "a" is already there, assigned at bad.lua:3; a node is assigned once, give this one '
      .. 'another name' } },
  { "one table for two nodes", "local t = { run = print }\nw.a = t\nw.b = t", {
    'bad.lua:5: node "b": the same table is already node "a"; make a table of its own for each node' } },
  { "names that are none",
    'w["9a"] = { run = print }\nw[1] = { run = print }\nw["a b"] = { run = print }\nw.ok = { run = print }', {
    'bad.lua:3: "9a" is not a node\'s name; a name is a letter or _, then letters, digits, _ and -',
    'bad.lua:4: a node\'s name is a string, got 1; assign with w.name = … or w["name"] = …',
    'bad.lua:5: "a b" is not a node\'s name; a name is a letter or _, then letters, digits, _ and -' } },
  { "nodes that are none",
    "w.a = nil\nw.b = print\nw.c = 5\nw.d = flow.delay\nw.e = w\nw.ok = { run = print }", {
    'bad.lua:3: node "a": nil is no node; a node cannot be removed, build the workflow without it',
    'bad.lua:4: node "b": a function is no node; write { run = function(ctx, inputs) … end }',
    'bad.lua:5: node "c": expected a node (a table with `run`, or a call of a node type), got 5',
    'bad.lua:6: node "d": delay is a node type, not a node; call it: delay { … }',
    'bad.lua:7: node "e": a workflow is no node; run it from one: flow.call { workflow = … }' } },
  { "a node of nowhere in after", "w.a = { after = flow.delay { '1s' }, run = print }", {
    'bad.lua:3: node "a": after: the node made at bad.lua:3 is not part of this workflow; assign it '
      .. 'first' } },
  { "things that are no nodes in after",
    "w.a = { after = 5, run = print }\nw.b = { after = { a = true }, run = print }", {
    'bad.lua:3: node "a": after: expected a node, its name, or a list of these, got 5',
    'bad.lua:4: node "b": after: a list of nodes has no field "a"; write { "a" }' } },
  { "a list within itself", "local l = {}\nl[1] = l\nw.a = { after = l, run = print }", {
    'bad.lua:5: node "a": after: lists are nested too deep; write the names in one list' } },

  -- the graph
  { "a cycle", 'w.a = { after = "c", run = print }\nw.b = { after = "a", run = print }\nw.c = { after = "b", '
    .. 'run = print }', {
      "bad.lua:4: the nodes wait for each other in a cycle: b -> c -> a -> b; remove one of these "
        .. "dependencies",
    } },
  { "a node after itself", 'w.a = { after = "a", run = print }', {
    'bad.lua:3: node "a": it depends on itself; remove it from its own `after` and expressions' } },
  { "a dependency twice", 'w.a = { run = print }\nw.b = { after = { "a", "a" }, run = print }', {
    'bad.lua:4: node "b": it depends on "a" twice; keep one' } },
  { "more needed than there are",
    'w.a = { run = print }\nw.b = { after = "a", join = { need = 2 }, run = print }', {
    'bad.lua:4: node "b": join.need is 2, but it has one dependency; lower it, or give it more to come '
      .. 'after' } },
  { "an outcome that the switch has not",
    'w.s = flow.switch { cases = { gold = "input.x > 1" }, default = "plain" }\nw.a = { after = "s:glod", '
      .. 'run = print }', {
    'bad.lua:4: node "a": after: "s" has no outcome "glod"; did you mean "gold"?' } },
  { "an outcome of a node without", 'w.s = { run = print }\nw.a = { after = "s:gold", run = print }', {
    'bad.lua:4: node "a": after: "s" has no outcomes, only nodes like switch and condition have; write '
      .. '"s"' } },
  { "a mention outside of after",
    'w.x = { run = print }\nw.y = { run = print }\nw.a = { after = "x", join = "any", when = "nodes.y.ok", '
      .. 'run = print }', {
    'bad.lua:5: node "a": when mentions nodes.y; under join = "any" only what stands in `after` is waited '
      .. 'for, so add "y" to it' } },
  { "a mention of no node", 'w.a = { when = "nodes.fetsh.ok", run = print }\nw.fetch = { run = print }', {
    'bad.lua:3: node "a": when mentions nodes.fetsh, but there is no such node; did you mean "fetch"?' } },

  -- engine keys
  { "retry", 'w.a = { run = print, retry = "standrd" }\nw.b = { run = print, retry = -1 }\n'
    .. 'w.c = { run = print, retry = { max = "x", strateg = "fixed", strategy = "linaer", jitter = 1, on = '
      .. '{}, factor = 0 } }', {
    'bad.lua:3: node "a": retry: expected a number of retries, a table, or one of "quick", "standard", '
      .. '"aggressive" and '
    .. '"conservative", got the string "standrd"; did you mean "standard"?',
    'bad.lua:4: node "b": retry: expected a whole number of retries, at most 32766, got -1',
    'bad.lua:5: node "c": retry.factor: expected a number from 1 to 1,000,000, got 0',
    'bad.lua:5: node "c": retry.jitter: expected "none", "full" or "equal", got 1',
    'bad.lua:5: node "c": retry.max: expected a whole number of retries, at most 32766, got the string "x"',
    'bad.lua:5: node "c": retry.on: expected a list of error codes, { "timeout", … }, got a table',
    'bad.lua:5: node "c": retry.strateg: unknown field "strateg"; did you mean "strategy"?',
    'bad.lua:5: node "c": retry.strategy: expected "fixed", "linear", "exponential" or "random", got the '
      .. 'string "linaer"; '
    .. 'did you mean "linear"?' } },
  { "join", 'w.a = { run = print, join = "alll" }\nw.b = { run = print, join = {} }\nw.c = { run = print, '
    .. 'join = { need = 1, x = 2 } }', {
      'bad.lua:3: node "a": join: expected "all", "all_completed", "any", "done" or "failed", or { need = n '
        .. '}, got '
      .. 'the string "alll"; did you mean "all"?',
      'bad.lua:4: node "b": join.need: expected a whole number of at least 1, got nothing',
      'bad.lua:5: node "c": join: unknown field "x"; expected "cancel_rest" or "need"',
    } },
  { "durations", 'w.a = { run = print, timeout = "5 parsecs", deadline = -1, heartbeat = true }', {
      'bad.lua:3: node "a": deadline: -1 is negative; a duration is zero or more',
      'bad.lua:3: node "a": heartbeat: expected a duration such as "250ms", "5s", "1h30m", "3d" or "PT5S", '
        .. 'or a '
      .. 'number of seconds, got a boolean',
      'bad.lua:3: node "a": timeout: "5 parsecs" is not a duration: 5 has no unit; write "5s" for seconds, '
        .. 'or one '
      .. 'of ms s m h d w y',
    } },
  { "priority and on_error", 'w.a = { run = print, priority = "hihg", on_error = "ignored" }', {
    'bad.lua:3: node "a": on_error: expected "ignore" or "stop", got the string "ignored"; '
      .. 'did you mean "ignore"?',
    'bad.lua:3: node "a": priority: expected "critical", "high", "normal", "low" or "background", got the '
      .. 'string "hihg"; '
    .. 'did you mean "high"?' } },
  { "an undeclared pool", 'flow.pool("database", { max = 2 })\nw.a = { run = print, pool = "databse" }', {
    'bad.lua:4: node "a": pool: no pool "databse" is declared; did you mean "database"?; declare it with '
      .. 'the workflow, pools = { databse = 4 }, or with flow.pool("databse", { max = 4 }) before it is '
      .. "loaded" } },
  { "a pool's own fields", 'w.a = { run = print, pool = { nmae = "x", hold = 1 } }', {
    'bad.lua:3: node "a": pool: unknown field "nmae"; did you mean "name"?',
    'bad.lua:3: node "a": pool.hold: expected true or false, got 1',
    'bad.lua:3: node "a": pool.name is missing; it names the pool' } },
  { "a breaker", 'w.a = { run = print, breaker = { thresold = 1, window = "x", probes = 0 } }', {
      'bad.lua:3: node "a": breaker: unknown field "thresold"; did you mean "threshold"?',
      'bad.lua:3: node "a": breaker.name is missing; nodes with the same name share one breaker',
      'bad.lua:3: node "a": breaker.probes: expected a whole number of at least 1, got 0',
      'bad.lua:3: node "a": breaker.window: "x" is not a duration: expected a duration such as "250ms", '
        .. '"5s", '
      .. '"1h30m", "3d" or "PT5S"',
    } },
  { "each", 'w.a = { run = print, each = 5, each_failures = "lots" }', {
      'bad.lua:3: node "a": each: expected a list, a template like "${nodes.list}" or a function(ctx), got 5',
      'bad.lua:3: node "a": each_failures: expected a whole number of items or a percentage like "10%", got '
        .. 'the '
      .. 'string "lots"',
    } },
  { "a loop", 'w.a = { run = print, loop = {} }\nw.b = { run = print, loop = { ["until"] = "output ==", max '
    .. '= 0, dlay = 1 } }', {
      'bad.lua:3: node "a": loop: it needs an end; '
        .. 'give it ["until"] = "…", or times = n where it only counts',
      'bad.lua:4: node "b": loop: unknown field "dlay"; did you mean "delay"?',
      'bad.lua:4: node "b": loop.max: expected a whole number of at least 1, got 0',
      'bad.lua:4: node "b": loop.until: column 10: expected a value, got the end',
    } },
  { "numbers of a retry that would not be used", 'w.a = { run = print, retry = { strategy = "fixed", '
    .. 'factor = 3 } }\nw.b = { run = print, retry = { delay = "1m", max_delay = "1s" } }\n'
    .. 'w.c = { run = print, retry = { { max = 1 }, { on = "x" }, 3 } }', {
      'bad.lua:3: node "a": retry.factor: the strategy "fixed" has no use for it; '
        .. 'leave it out, or say strategy = "exponential"',
      'bad.lua:4: node "b": retry.max_delay: it is shorter than the delay, which would never be waited; '
        .. "raise it",
      'bad.lua:5: node "c": retry[2]: policy 1 takes every error, so this one is never asked; put it first',
      'bad.lua:5: node "c": retry[3]: expected a policy, { on = { … }, max = … }, got 3',
    } },
  { "a loop that only counts", 'w.a = { run = print, loop = { max = 3 } }\nw.b = { run = print, '
    .. 'loop = { times = 3, max = 4 } }\nw.c = { run = print, loop = { times = 0 } }', {
      'bad.lua:3: node "a": loop: max bounds an ["until"], and there is none; '
        .. 'to repeat it 3 times say times = 3',
      'bad.lua:4: node "b": loop: times says how often, whatever comes of it; '
        .. 'leave out until and max, or times',
      "bad.lua:5: node \"c\": loop.times: expected a whole number of at least 1, got 0",
    } },
  { "when", 'w.a = { run = print, when = 5 }', {
    'bad.lua:3: node "a": when: expected an expression, true, false or a function(ctx), got 5' } },

  -- expressions and templates
  { "an expression that does not parse", 'w.a = { run = print, when = "input.x >" }', {
      'bad.lua:3: node "a": when: column 10: expected a value, got the end',
    } },
  { "an unknown function", 'w.a = { run = print, when = "lenght(input.x) > 1" }', {
      'bad.lua:3: node "a": when: column 1: there is no function "lenght"; did you mean "len"?',
    } },
  { "an expression 10,000 levels deep",
    'w.a = { run = print, when = ("("):rep(10000) .. "1" .. (")"):rep(10000) }', {
      'bad.lua:3: node "a": when: column 201: nested deeper than 200 levels; compute a part of it in a node '
        .. 'of its own',
    } },
  { "a template that never closes", 'w.a = flow.log { message = "Hello ${input.name" }', {
      'bad.lua:3: node "a": message: column 7: this "${" is not closed; end it with "}", or write "$${" for '
        .. 'a literal "${"',
    } },
  { "a variable of the environment", 'w.a = flow.log { message = "${env.HOME}" }', {
    'bad.lua:3: node "a": message: env.HOME may not be read here; allow it with flow.workflow { env = { '
      .. '"HOME" } }' } },

  -- groups
  { "an empty group", "w.g = flow.sequence {}", {
      'bad.lua:3: group "g": flow.sequence has no member; give it a node, or leave it out',
    } },
  { "keys that a group has not", 'w.g = flow.parallel { timeout = "1s", { run = print } }', {
    'bad.lua:3: group "g": a group takes after, when, join, priority, pool and doc; put timeout on its '
      .. 'members' } },
  { "named steps without order", 'w.g = flow.sequence { fetch = { run = print } }', {
      'bad.lua:3: group "g": the order of named fields is not kept; write the step as { fetch = … }',
    } },
  { "a member that is no node", "w.g = flow.parallel { 5 }", {
      'bad.lua:3: node "g_1": expected a node (a table with `run`, or a call of a node type), got 5',
    } },
  { "a group within itself", "local g = flow.sequence { { run = print } }\nw.g = g\ng[2] = g\ng[3] = g", {
    'bad.lua:4: node "g_2": the same table is already node "g"; make a table of its own for each node',
    'bad.lua:4: node "g_3": the same table is already node "g"; make a table of its own for each node',
  } },
  { "groups without end", "local g = { run = print }\nfor _ = 1, 5000 do g = flow.sequence { g } end\nw.g = "
    .. "g", {
    'bad.lua:4: group "g": groups are nested deeper than 50 levels; put some of them into a workflow of '
      .. 'their own',
  } },
  { "a table that is a member twice", "local t = { run = print }\nw.g = flow.parallel { t, t }", {
    'bad.lua:4: node "g_2": the same table is already node "g_1"; make a table of its own for each node',
  } },
  { "a switch by nothing", "w.s = flow.switch { default = 'x' }", {
    'bad.lua:3: node "s": switch: it has nothing to choose by; give it cases, or value and map',
  } },
  { "a member with the name of a node", "w.g = flow.parallel { { run = print } }\nw.g_1 = { run = print }", {
    'bad.lua:3: node "g_1": a member of a group would bear the name of another node; rename one of them' } },
}

-- Files that give no workflow at all.
local FILES = {
  { "a syntax error", "local x = = 1\n", { "bad.lua:1: not valid Lua: unexpected symbol near '='" } },
  { "nothing returned", "local x = 1\n", {
    "bad.lua: the file returns nothing; end it with `return w`, where w is its one workflow" } },
  { "something else returned", "return 'x'\n", {
    'bad.lua: the file returns the string "x"; end it with `return w`, where w is its one workflow' } },
  { "several returned", "local flow = require 'orrery'\nreturn flow.workflow {}, flow.workflow {}\n", {
    "bad.lua: the file returns 2 values; end it with `return w`, where w is its one workflow" } },
  { "an error while loading", "\nlocal x = nil + 1\n", {
    "bad.lua:2: attempt to perform arithmetic on a nil value" } },
  { "an unknown field of flow", "local flow = require 'orrery'\nlocal w = flow.worklow {}\n", {
    'bad.lua:2: flow has no "worklow"; did you mean "workflow"?' } },
}

local OPTIONS = {
  { 'flow.workflow { nam = "x" }',
    { 'bad.lua:2: workflow "bad": unknown option "nam"; did you mean "name"?' } },
  { 'flow.workflow { on_error = "halt", concurrency = 0, timeout = "x" }', {
      'bad.lua:2: workflow "bad": concurrency: expected a whole number of at least 1, got 0',
      'bad.lua:2: workflow "bad": on_error: expected "stop", "drain" or "continue", got the string "halt"',
      'bad.lua:2: workflow "bad": timeout: "x" is not a duration: expected a duration such as "250ms", "5s", '
      .. '"1h30m", "3d" or "PT5S"',
    } },
  { 'flow.workflow { name = 5, env = "HOME", doc = 1 }', {
      'bad.lua:2: workflow "bad": doc: expected a string, got 1',
      'bad.lua:2: workflow "bad": env: expected a list of names, { "HOME" }, got the string "HOME"',
      'bad.lua:2: workflow "bad": name: expected a name, got 5',
    } },
  { 'flow.workflow { { run = print } }', {
    'bad.lua:2: workflow "bad": nodes are not listed in flow.workflow { … }; assign them to the workflow it '
      .. 'returns' } },
  { 'flow.workflow { output = "${nodes.b}" }',
    { 'bad.lua:2: workflow "bad": output mentions nodes.b, but there is no such node' } },
  { 'flow.workflow "x"', {
    'bad.lua:2: flow.workflow takes a table of options, { name = … }, got the string "x"' } },
}

describe("the mistake", function()
  local flow, saved

  before_each(function()
    flow = fake.load()
    saved = package.loaded.orrery
    package.loaded.orrery = flow
  end)
  after_each(function() package.loaded.orrery = saved end)

  local function sentences(source)
    local lines = {}
    for i, problem in ipairs(flow.check { source = source, name = "bad.lua" }) do
      lines[i] = (problem.where and problem.where .. ": " or "") .. problem.message
    end
    return lines
  end

  for _, case in ipairs(CASES) do
    it(case[1], function() assert.same(case[3], sentences(HEAD .. case[2] .. "\nreturn w\n")) end)
  end
  for _, case in ipairs(FILES) do
    it(case[1], function() assert.same(case[3], sentences(case[2])) end)
  end
  for _, case in ipairs(OPTIONS) do
    it("in " .. case[1], function()
      assert.same(case[2], sentences('local flow = require "orrery"\nlocal w = ' .. case[1]
        .. "\nw.a = { run = print }\nreturn w\n"))
    end)
  end

  it("is one of many: all are found at once, in the order of the nodes", function()
    assert.equal(5, #sentences(HEAD .. [[
      w.a = { after = "nope", run = print, retry = "x", timeout = "x" }
      w.b = { run = print, when = "(((" }
      w.c = flow.delay { "1s", whatever = 1 }
      return w]]))
  end)

  it("of a file that is not there names the path", function()
    local problems = flow.check "no/such/file.lua"
    assert.equal("cannot read the workflow no/such/file.lua: No such file or directory; give the path of a "
      .. "Lua or JSON file",
      problems[1].message)
  end)

  it("raised by flow.run has one line for each", function()
    local w = flow.workflow { name = "two" }
    w.a = { after = "x", run = print }
    w.b = { after = "y", run = print }
    local ok, e = pcall(flow.run, w)
    assert.is_false(ok)
    assert.equal("definition_error", e.code)
    local _, breaks = tostring(e):gsub("\n", "")
    assert.equal(1, breaks)
  end)
end)
