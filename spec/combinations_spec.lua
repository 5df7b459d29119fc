-- Every pair of keys of a node and of a workflow, and some triples, each with right, odd and
-- extreme values, from Lua and from JSON: nothing crashes, `check` and a run agree on what is a
-- definition, and a run ends the same way whoever looks on. COMBINATIONS_SEED=n draws other values,
-- COMBINATIONS=n tries so many triples; COMBINATIONS_TRACE=1 prints each before it is tried.
local flow = require "orrery"
local keys = require "orrery.definition.node_keys"

local SEED = tonumber(os.getenv "COMBINATIONS_SEED") or 1
local TRIPLES = tonumber(os.getenv "COMBINATIONS") or 1000
local TRACE = os.getenv "COMBINATIONS_TRACE"

flow.pool("combinations", { max = 1 })

local null = flow.json.null

-- What no key expects, and what none may choke on.
local ODD = {
  true, false, 0, -1, 1, 0.5, -0.5, 2 ^ 31, 2 ^ 32, 2 ^ 53, 1e18, 1e308, -1e308, math.huge, -math.huge,
  0 / 0,
  math.maxinteger, math.mininteger, "", " ", "x", "0", "-1s", "9999999999d", "${", "${}", "${input.none}",
  "${nodes.a}", "${nodes.x}", "$${", "nodes.a", "a..", ("("):rep(300), ("x"):rep(5000), "a\0b", "\255", {},
  { {} },
  { 1, 2, 3 }, { "a", "a" }, { x = 1 }, { [1.5] = 1 }, { max = -1 }, { max = 0 }, { name = "" }, null,
  function() end, function() error "no" end, function(ctx) return ctx.item end, math.max,
}

-- Right ones, and those at the edge of what is right.
local RIGHT = {
  after = { "a", { "a", "b" }, {}, "b", "s:yes", "s:no" },
  when = { "true", "false", "nodes.a[1] == 1", "input.n > 5", "states.b == 'failed'",
    function() return true end },
  join = { "all", "all_completed", "any", "done", "failed", { need = 1 }, { need = 2, cancel_rest = true },
    { need = 99 } },
  retry = { 0, 1, 3, "quick", "standard", { max = 2, strategy = "random", delay = "1s", jitter = "full" },
    { max = 3, delay = 0, factor = 1e300 }, { max = 40, delay = "1d", factor = 10, strategy = "exponential" },
    { max = 1, on = { "other" } } },
  timeout = { "1s", 0.5, "1000d", 1e9 },
  deadline = { "1s", 0.5, "1000d", 1e9 },
  heartbeat = { "1s", "1000d" },
  estimate = { 0, "1s", 1e9 },
  on_error = { "ignore", "stop" },
  fallback = { 1, false, { a = 1 }, "${nodes.a}", function() return 2 end, function() error "fallback" end },
  compensate = { function() end, function() error "undo" end,
    { run = function() return 1 end, timeout = "1s", retry = 2 }, { type = "const", with = { value = 1 } } },
  pool = { "combinations", "${input.pool}", "combinations:${input.n}", function() return "combinations" end,
    { name = "combinations", hold = true }, { name = "combinations:${input.n}", hold = true } },
  priority = { "critical", "high", "normal", "low", "background" },
  breaker = { "b", { name = "c", threshold = 1, window = "1s", cooldown = "1h", probes = 1 } },
  cache = { true, { key = "k" }, { key = "${nodes.a}", ttl = "1h" }, { ttl = "1h" } },
  each = { "${nodes.a}", "${input.list}", { 1, 2, 3 }, {}, { 1 }, function() return { 4, 5 } end },
  each_failures = { 0, 1, 2, "10%", "100%", "0%" },
  loop = { { max = 3, ["until"] = "false" }, { ["until"] = "true" },
    { ["until"] = "true", max = 2 ^ 40 // 1 | 0 },
    { ["until"] = "nodes.a", delay = "1d" }, { times = 2 }, { times = 3, delay = "1d" } },
  each_on_failure = { "stop", "drain", "continue" },
  each_parallel = { 1, 2, 2 ^ 31 | 0 },
  item_name = { "${item}", "i${item}", "same", "", function(ctx) return "i" .. ctx.index end },
  handles = { true, false },
  doc = { "", "text" },
  strategy = { "thread" },
}

local OF_WORKFLOW = {
  doc = { "text" },
  input = { { list = "array", n = "integer", pool = "string" }, { list = "string" },
    { pool = "string", n = "any" } },
  output = { "${nodes.a}", "${nodes.x}", "${nodes.b}", "text" },
  timeout = { "1s", "10m", 1e9, 0.5 },
  on_error = { "stop", "drain", "continue" },
  concurrency = { 1, 2, 2 ^ 31 | 0 },
  cleanup_timeout = { "1s", 0.5, "1000d" },
  env = { true, { "HOME" } },
  name = { "g", "x-y_z" },
  pools = { { combinations = 2 } }, singleton = { "s" }, on_conflict = { "wait" }, triggers = { {} },
}

-- ---- drawing ------------------------------------------------------------------------------------

local state = SEED
local function draw(n)
  state = (state * 6364136223846793005 + 1442695040888963407)
  return (state >> 33) % n + 1
end

local function value_of(right)
  if right and draw(3) > 1 then return right[draw(#right)] end
  return ODD[draw(#ODD)]
end

local NODE = {}
for _, name in ipairs(keys.NAMES) do
  if name ~= "run" and name ~= "with" then NODE[#NODE + 1] = { key = name, right = RIGHT[name] } end
end
NODE[#NODE + 1] = { key = "strategy", right = RIGHT.strategy }
table.sort(NODE, function(p, q) return p.key < q.key end)
local ALL = table.move(NODE, 1, #NODE, 1, {})
for key, right in pairs(OF_WORKFLOW) do ALL[#ALL + 1] = { key = key, right = right, of_workflow = true } end
table.sort(ALL, function(p, q)
  if p.key ~= q.key then return p.key < q.key end
  return not p.of_workflow and q.of_workflow
end)

local function show(value)
  if type(value) == "string" then return ("%q"):format(value:sub(1, 60)) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for k, v in pairs(value) do parts[#parts + 1] = tostring(k) .. " = " .. show(v) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function describe_case(case)
  local parts = {}
  for _, one in ipairs(case) do
    parts[#parts + 1] = ("%s%s = %s"):format(one.of_workflow and "workflow." or "", one.key, show(one.value))
  end
  return ("seed %d: %s%s"):format(SEED, table.concat(parts, ", "), case.fails and ", and it fails" or "")
end

-- ---- trying -------------------------------------------------------------------------------------

local function fill(case, workflow, node)
  for _, one in ipairs(case) do
    if one.of_workflow then workflow[one.key] = one.value else node[one.key] = one.value end
  end
end

local function from_lua(case)
  local options, x = { name = "combined" }, {}
  fill(case, options, x)
  local w = flow.workflow(options)
  w.a = { run = function() return { 1, 2, 3 } end }
  w.b = { run = function() error "b fails" end, on_error = "ignore" }
  local n = 0
  x.run = function()
    n = n + 1
    if case.fails then error("fails " .. n % 2) end
    return n
  end
  w.x = x
  w.z = { after = "x", join = "done", run = function() return "z" end }
  return w
end

local function from_json(case)
  local top, x = { name = "combined" }, { id = "x", type = "const", with = { value = 1 } }
  fill(case, top, x)
  if case.fails then x.with = { value = "not a value: ${input.none}" } end
  top.nodes = {
    { id = "a", type = "const", with = { value = { 1, 2, 3 } } },
    { id = "b", type = "const", with = { value = "not a value: ${input.none}" }, on_error = "ignore" },
    x, { id = "z", type = "const", with = { value = "z" }, after = "x", join = "done" },
  }
  local encoded, text = pcall(flow.json.encode, top)
  if not encoded then return nil end
  return flow.load { source = text, name = "combined.json" }
end

local ENDS = { completed = true, failed = true, cancelled = true, compensated = true,
  compensation_failed = true }
local SETTLED = { completed = true, failed = true, skipped = true, cancelled = true, compensated = true,
  compensation_failed = true }
local OURS = { internal_error = true, stall = true }

local INPUT = { list = { 1, 2, 3 }, n = 2, pool = "combinations" }

local function ended(w, options)
  options.clock, options.input = "virtual", INPUT
  local ok, run = pcall(flow.run, w, options)
  local code = not ok and type(run) == "table" and run.code
  if code == "validation_error" then return "refuses its input" end
  if not ok then return nil, tostring(run) end
  assert(ENDS[run.state], "ended as " .. tostring(run.state))
  local err = run.error
  assert(not (err and OURS[err.code]), err and err.code .. ": " .. tostring(err.message))
  local parts = { run.state, run.error and run.error.code or "" }
  local states = run:states()
  for _, name in ipairs { "a", "b", "x", "z" } do
    assert(SETTLED[states[name]], name .. " is left " .. tostring(states[name]))
    parts[#parts + 1] = states[name]
  end
  return table.concat(parts, " ")
end

-- nil, or what is wrong.
local function try(case, make)
  if TRACE then io.stderr:write(describe_case(case), "\n") end
  local made, w = pcall(make, case)
  if not made then -- refused at once, with a place and words
    local text = tostring(w)
    if type(w) == "table" and w.code or text:find "combined" or text:find "%.lua:%d+:" then return end
    return "the error is " .. tostring(w)
  end
  if not w then return end
  local checked, problems = pcall(flow.check, w)
  if not checked then return "check raised " .. tostring(problems) end
  local same, plain, why = pcall(ended, w, {})
  if not same then return plain end
  if (#problems == 0) ~= (plain ~= nil) then
    return #problems > 0 and "check finds: " .. problems[1].message .. ", and it runs: " .. tostring(plain)
      or "check finds nothing, and a run is refused: " .. tostring(why)
  end
  if not plain then return end
  local watched, other, refused = pcall(ended, w, { journal = true, on_event = function() end })
  if not watched then return "watched: " .. other end
  if plain == other then return end
  return ("%s, but with a journal and a listener %s"):format(plain, other or refused)
end

local function try_both(case)
  case.fails = draw(3) == 1
  for name, make in pairs { Lua = from_lua, JSON = from_json } do
    local wrong = try(case, make)
    if wrong then error(("%s, from %s: %s"):format(describe_case(case), name, wrong), 0) end
  end
end

local function with_value(one)
  return { key = one.key, of_workflow = one.of_workflow, value = value_of(one.right) }
end

describe("every combination of keys", function()
  it("one at a time, with each value", function()
    for _, one in ipairs(ALL) do
      for _, list in ipairs { one.right or {}, ODD } do
        for _, value in ipairs(list) do
          try_both { { key = one.key, of_workflow = one.of_workflow, value = value } }
        end
      end
    end
  end)

  it("in pairs", function()
    for i = 1, #ALL do
      for j = i + 1, #ALL do
        for _ = 1, 3 do try_both { with_value(ALL[i]), with_value(ALL[j]) } end
      end
    end
  end)

  it("in threes, some of them", function()
    for _ = 1, TRIPLES do
      try_both { with_value(ALL[draw(#ALL)]), with_value(ALL[draw(#ALL)]), with_value(ALL[draw(#ALL)]) }
    end
  end)
end)
