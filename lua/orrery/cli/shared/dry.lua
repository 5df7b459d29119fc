--- `orrery run --dry`: the plan runs on the real engine in virtual time with handlers that return
--- nil at once, so that joins, gates and skips are the engine's own. What depends on outputs is run
--- both ways; nodes that end differently are reported as decided at run time.
local out = require "orrery.cli.shared.out"
local term = require "orrery.cli.display.term"

local dry = {}

-- ---- what can be known before the run -----------------------------------------------------------

local UNKNOWN = setmetatable({}, { __tostring = function() return "not known before the run" end })

local unknown = setmetatable({}, { __index = function() error(UNKNOWN, 0) end })

-- The environment of expressions as far as it is known: input, context, env; outputs are not.
local function context_of(input, env)
  return {
    input = input, context = {}, run = { id = "dry" }, attempt = 1, env = env or {},
    nodes = unknown, states = unknown, errors = unknown,
  }
end

-- Calls an expression's function. Its value is known if it was computed without an output.
local function known(fn, ...)
  local results = table.pack(pcall(fn, ...))
  if not results[1] then return false end
  return true, table.unpack(results, 2, results.n)
end

-- Types whose handlers do nothing but choose an outcome, so that they may be called.
local CHOOSERS = { switch = true, condition = true }

local function always() return true end
local function never() return false end

-- What is known of each node: facts[i] = { when = true|false|nil, asks = true|nil, items = n|nil,
-- choice = {…}|nil }
local function facts_of(def, input)
  local facts = {}
  for i, node in ipairs(def.nodes) do
    local fact, ctx = {}, context_of(input, def.env)
    if node.when then
      local ok, value = known(node.when, ctx)
      if ok then fact.when = value and true or false else fact.asks = true end
    end
    if node.each then
      local ok, list = known(node.each, ctx)
      if ok and type(list) == "table" then fact.items = #list else fact.unknown_items = true end
    end
    if CHOOSERS[node.type] then
      fact.chooser = true
      local results = table.pack(known(node.run, ctx, unknown))
      if results[1] then fact.choice = table.move(results, 2, results.n, 1, { n = results.n - 1 }) end
    end
    facts[i] = fact
  end
  return facts
end

-- ---- the stubbed definition ---------------------------------------------------------------------

local function nothing() return nil end

local function stub_deps(node, facts, open, ctx)
  local deps = {}
  for d, dep in ipairs(node.deps or {}) do
    local copy = { node = dep.node, port = dep.port }
    local from = facts[dep.node]
    if dep.port and not (from.chooser and from.choice) then
      copy.port, copy.when = nil, open and always or never
    end
    if dep.when then
      local ok, value = known(dep.when, ctx)
      local truth = value
      if not ok then truth = open end
      copy.when = truth and copy.when or truth and always or never
    end
    deps[d] = copy
  end
  return #deps > 0 and deps or nil
end

-- The definition with handlers that do nothing. `open` is the answer to what is not known.
local function stub(def, facts, open, input)
  local ctx, nodes = context_of(input, def.env), {}
  for i, node in ipairs(def.nodes) do
    local fact = facts[i]
    local when = fact.when
    if fact.asks then when = open end
    local choice = fact.choice
    nodes[i] = {
      name = node.name, type = node.type, join = node.join, need = node.need, cancel_rest = node.cancel_rest,
      deps = stub_deps(node, facts, open, ctx),
      when = node.when and (when and always or never) or nil,
      run = choice and function() return table.unpack(choice, 1, choice.n) end or nothing,
    }
  end
  return { name = def.name, on_error = def.on_error, nodes = nodes }
end

--- Runs a stubbed definition.
---@param def table
---@return table<string, string> states by node
---@return table<string, table> skips the node_skipped events by node
local function play(def)
  local core, flow = require "orrery.core", require "orrery"
  local plan, problems = core.plan(def)
  if not plan then
    error("the plan cannot be made: " .. tostring(problems and problems[1] and problems[1].kind))
  end
  local runtime, skips = flow.runtime { clock = "virtual" }, {}
  local off = runtime:on(function(e)
    if e.event == "node_skipped" then skips[e.node] = e end
  end)
  local run = runtime:start(plan, {})
  runtime:wait(run)
  off()
  return run:states(), skips
end

-- ---- the verdicts -------------------------------------------------------------------------------

local function own_question(node, fact, facts)
  if fact.asks then return "its `when` depends on outputs" end
  for _, dep in ipairs(node.deps or {}) do
    local from = facts[dep.node]
    if dep.port and from.chooser and not from.choice then return "the outcome", dep.node end
    if dep.port and not from.chooser then return "the outcome", dep.node end
  end
end

local function skip_text(node, event)
  if node.join == "failed" then return "it runs only when a dependency fails" end
  if not event then return "" end
  return require("orrery.cli.display.progress").reason(event)
end

--- What a run would do with each node.
---@param def table compiled definition
---@param input any
---@param player? fun(def: table): table, table for tests
---@return { node: string, type: string, verdict: "run"|"skip"|"undecided", reason: string|nil, items: integer|nil }[]
function dry.assess(def, input, player)
  player = player or play
  local facts = facts_of(def, input)
  local open, open_skips = player(stub(def, facts, true, input))
  local shut, shut_skips = player(stub(def, facts, false, input))
  local verdicts = {}
  for i, node in ipairs(def.nodes) do
    local name, fact = node.name, facts[i]
    local verdict = { node = name, type = node.type or "lua", items = fact.items,
      unknown_items = fact.unknown_items }
    if open[name] == "completed" and shut[name] == "completed" then
      verdict.verdict = "run"
    elseif open[name] ~= "completed" and shut[name] ~= "completed" then
      verdict.verdict, verdict.reason = "skip", skip_text(node, open_skips[name])
    else
      local text, by = own_question(node, fact, facts)
      local skip = shut_skips[name] or open_skips[name] or {}
      verdict.verdict = "undecided"
      verdict.reason = by and ("%s of %s depends on outputs"):format(text, def.nodes[by].name) or text
        or "depends on " .. (skip.by or "what comes before")
    end
    verdicts[i] = verdict
  end
  return verdicts
end

local WORDS = {
  run = { "would run", "green" }, skip = { "would be skipped", "dim" },
  undecided = { "decided at run time", "yellow" },
}

--- The verdicts for people.
---@param name string
---@param verdicts table[]
---@param layers integer[] layer per node
---@param paint function
---@return string
function dry.text(name, verdicts, layers, paint)
  local order, names, types = {}, 4, 3
  for i, v in ipairs(verdicts) do
    order[i] = i
    names, types = math.max(names, math.min(32, term.width(v.node))),
      math.max(types, math.min(20, term.width(v.type)))
  end
  table.sort(order, function(a, b)
    if layers[a] ~= layers[b] then return layers[a] < layers[b] end
    return a < b
  end)
  local lines, counts = { ("%s: a dry run, no handler is called"):format(name), "" },
    { run = 0, skip = 0, undecided = 0 }
  local digits = #tostring(layers[order[#order]] or 1)
  for _, i in ipairs(order) do
    local v = verdicts[i]
    counts[v.verdict] = counts[v.verdict] + 1
    local word = WORDS[v.verdict]
    local items = v.verdict ~= "skip" and (v.items and ", once for each of " .. term.plural(v.items, "item")
      or v.unknown_items and ", once for each item of a list known at run time") or ""
    lines[#lines + 1] = ("%" .. digits .. "d  %s  %s  %s%s%s")
      :format(layers[i], term.fit(v.node, names), term.fit(v.type, types),
      paint(word[2], word[1]), v.reason and v.reason ~= "" and ": " .. v.reason or "", items)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = ("%d would run, %d would be skipped, %d decided at run time")
    :format(counts.run, counts.skip, counts.undecided)
  return table.concat(lines, "\n") .. "\n"
end

-- The part of the definition that --only and --from leave, and its plan.
local function part_of(args, compiled)
  if not args.only and not args.from then return compiled.def, compiled.plan end
  local prune, def = require "orrery.definition.only", compiled.def
  if args.only then def = prune.only(def, args.only, compiled.groups) end
  if args.from then def = prune.from(def, args.from, compiled.groups) end
  return def, require("orrery.core").plan(def)
end

local function refuse(problems)
  for line in tostring(problems):gmatch("[^\n]+") do out.err("orrery run: ", line, "\n") end
  return 2
end

function dry.main(args, compiled, input)
  local ok, checked = pcall(require("orrery.definition.prepare").input, compiled, input)
  if not ok then return refuse(checked) end
  local made, def, plan = pcall(part_of, args, compiled)
  if not made then return refuse(def) end
  input = checked
  local verdicts = dry.assess(def, input)
  if args.json then
    require("orrery.cli.shared.files").json { workflow = def.name, dry = true, nodes = verdicts }
    return 0
  end
  local tty = require("orrery.cli.display.term").is_tty(out.fd)
  out.write(dry.text(def.name, verdicts, plan:layers(),
    term.painter(term.wants_colour(tty))))
  return 0
end

return dry
