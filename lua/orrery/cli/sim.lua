--- `orrery sim FILE`: histories of a workflow under faults that seeds decide; the first that breaks
--- something is shrunk and printed.
local files = require "orrery.cli.shared.files"
local out = require "orrery.cli.shared.out"
local term = require "orrery.cli.display.term"
local uv = require "luv"

local sim = {}

local function quoted(text)
  if text:find "^[%w_@%%+=:,./-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command that plays the same history again.
local function again(args, seed)
  local words = { "orrery sim", quoted(args.file), ("--seed%s%d"):format(seed < 0 and "=" or " ", seed) }
  for _, word in ipairs(args.input or {}) do
    words[#words + 1] = "--input " .. quoted(word)
  end
  for _, module in ipairs(args.require or {}) do words[#words + 1] = "-l " .. quoted(module) end
  if args.durability then words[#words + 1] = "--durability " .. args.durability end
  if args.faults then words[#words + 1] = "--faults " .. quoted(args.faults) end
  if args.learn then words[#words + 1] = "--learn " .. quoted(args.learn) end
  return table.concat(words, " ")
end

local function sorted(counts)
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  return names
end

local function counted(counts)
  local parts = {}
  for i, name in ipairs(sorted(counts)) do parts[i] = ("%s %s"):format(term.count(counts[name]), name) end
  return table.concat(parts, ", ")
end

local function at(list, fraction) return list[math.max(1, math.ceil(#list * fraction))] or 0 end

-- ---- broken -------------------------------------------------------------------------------------

local function faults_of(broken)
  local trace, texts = require "orrery.sim.trace", {}
  for i, fault in ipairs(broken.history.faults) do texts[i] = term.clean(trace.fault(fault)) end
  return texts
end

local function print_broken(args, broken)
  local texts = faults_of(broken)
  out.write(("seed %d breaks \"%s\": %s\n"):format(broken.seed, term.clean(broken.name),
    term.clean(broken.text)))
  local of = broken.faults > #texts and (" (of %d)"):format(broken.faults) or ""
  if #texts == 0 then
    out.write("  without any fault\n")
  else
    out.write(("  with %s%s: %s\n"):format(term.plural(#texts, "fault"), of, table.concat(texts, "; ")))
  end
  for _, line in ipairs(require "orrery.sim.trace".lines(broken.history)) do
    out.write("  ", term.clean(line), "\n")
  end
  out.write("again: ", again(args, broken.seed), "\n")
end

-- ---- the report ---------------------------------------------------------------------------------

local function print_report(report, used)
  local rate = used > 0 and report.seeds / used or 0
  out.write(("%s in %s (%s a second), %s of virtual time at the median, %s at 95%%, %s at 99%%\n"):format(
    term.plural(report.seeds, "history", "histories"), term.duration(used), term.count(rate // 1 | 0),
    term.duration(at(report.seconds, 0.5)), term.duration(at(report.seconds, 0.95)),
    term.duration(at(report.seconds, 0.99))))
  out.write("runs: ", counted(report.states), "\n")
  if next(report.faults) then out.write("faults: ", counted(report.faults), "\n") end
end

local function as_data(args, report, used)
  local data = { seeds = report.seeds, seconds = used, runs = report.states, faults = report.faults,
    starts = report.starts, lives = report.lives,
    virtual = { p50 = at(report.seconds, 0.5), p95 = at(report.seconds, 0.95),
      p99 = at(report.seconds, 0.99) } }
  local broken = report.broken
  if broken then
    local array = require("orrery.core").json.array
    data.broken = { seed = broken.seed, name = broken.name, text = broken.text,
      faults = array(faults_of(broken)), trace = array(require "orrery.sim.trace".lines(broken.history)),
      again = again(args, broken.seed) }
  end
  return data
end

-- ---- the command --------------------------------------------------------------------------------

-- The workflow of the file, compiled with the handlers of its models; nil after its mistakes were
-- written.
local function compiled_of(file)
  local flow, simulation = require "orrery", require "orrery.sim"
  require("orrery.simulated").clear()
  local ok, compiled, problems = pcall(function() return simulation.compile(flow.load(file)) end)
  if ok and compiled then return compiled end
  if not ok then
    problems = require("orrery.errors").problems_of(compiled) or { { message = tostring(compiled) } }
  end
  for _, problem in ipairs(problems) do out.err(files.sentence(problem, file), "\n") end
  return nil
end

local function options_of(args, compiled)
  local problem
  local json = require("orrery.core").json
  local ok, input = require("orrery.cli.shared.input").parse(args.input, json, compiled.input)
  if not ok then return nil, input end
  ok, input = pcall(require("orrery.definition.prepare").input, compiled, input)
  if not ok then return nil, tostring(input) end
  local learned
  if args.learn then
    ok, learned = pcall(require("orrery.sim.learned"), args.learn, compiled.name)
    if not ok then return nil, ("--learn %s: %s"):format(args.learn, tostring(learned)) end
  end
  local kinds
  if args.faults then
    kinds = {}
    for kind in args.faults:gmatch "[^,%s]+" do kinds[#kinds + 1] = kind end
    ok, problem = pcall(require("orrery.sim.faults").kinds, kinds)
    if not ok or #kinds == 0 then return nil, "--faults: " .. (ok and "name a kind of fault" or problem) end
  end
  return { input = input, faults = kinds, durability = args.durability, seed = args.seed, learned = learned,
    seeds = args.seeds or args.seed and 1 or nil }
end

function sim.main(args)
  local compiled = compiled_of(args.file)
  if not compiled then return 2 end
  local options, problem = options_of(args, compiled)
  if not options then
    out.err("orrery sim: ", problem, "\n")
    return 2
  end
  local release = require "orrery.cli.shared.interrupts".catch(function()
    out.err "orrery sim: interrupted\n"
    os.exit(130)
  end)
  local since = uv.hrtime()
  local played, report = pcall(require("orrery.sim").run, compiled, options)
  local used = (uv.hrtime() - since) / 1e9
  release()
  if not played then -- by a model of a signal, or by what no history can go on without
    out.err("orrery sim: ", term.clean(tostring(report)), "\n")
    return 2
  end
  if args.json then
    files.json(as_data(args, report, used))
  else
    if report.broken then print_broken(args, report.broken) end
    if not args.quiet then print_report(report, used) end
  end
  return report.broken and 1 or 0
end

return sim
