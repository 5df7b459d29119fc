--- `orrery advise [WORKFLOW]`: what the runs of a store suggest, with the figures behind it.
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local term = require "orrery.cli.display.term"

local advise = {}

local d, count = term.duration, term.count

local function plural(n, noun) return term.plural(n, noun) end

local function code_text(code)
  if code.few then
    return ("%s: %s, too few to tell"):format(code.code, term.plural(code.tries, "retry", "retries"))
  end
  local first = code.first_tries > 0 and ("; the first retry helped %s of %s times")
    :format(count(code.first_helped), count(code.first_tries)) or ""
  return ("%s: %s of %s retries helped, the last that did was number %d%s"):format(code.code,
    count(code.helped), count(code.tries), code.last, first)
end

-- kind -> the figures, in one or more sentences
local FIGURES = {
  timeout = function(f)
    return ("%s took %s at the median, %s at 95 %%, %s at 99 %%, %s at most; %s"):format(
      plural(f.n, "attempt"), d(f.p50), d(f.p95), d(f.p99), d(f.most),
      f.timeout and ("its timeout of %s ended %s of %s"):format(d(f.timeout), count(f.timed_out),
        count(f.attempts)) or "it has none")
  end,
  retry = function(f)
    if not f.codes then
      return ("%s of %s failed with %s, and none of them was tried again"):format(count(f.failures),
        plural(f.tasks, "time"):gsub("^1 time$", "1"), f.code)
    end
    local parts = {}
    for i, code in ipairs(f.codes) do parts[i] = code_text(code) end
    parts[#parts + 1] = 'retry = "learned" takes such a policy for each run by itself'
    return table.concat(parts, "\n    ")
  end,
  breaker = function(f)
    return ("%s of %s failures in %s came within a minute after five others and no success")
      :format(count(f.futile), count(f.failures), plural(f.attempts, "attempt"))
  end,
  cache = function(f)
    return ("%s gave %s, and took %s each at the mean"):format(plural(f.runs, "run"),
      f.outputs == 1 and "one output" or ("%s different outputs"):format(count(f.outputs)), d(f.seconds))
  end,
  pool = function(f)
    return ("%s waited %s at the median, %s at 95 %%; of one run up to %d wanted a place at a time, "
      .. "and there are %d"):format(plural(f.n, "node"), d(f.p50), d(f.p95), f.demand, f.max)
  end,
  priority = function(f)
    return ("it is on the longest path (%s, %s), and waited %s at the median, %s at 95 %%"):format(
      plural(#f.path, "node"), d(f.seconds), d(f.p50), d(f.p95))
  end,
  estimate = function(f)
    local parts = {}
    for i, name in ipairs(f.nodes) do
      if i > 10 then break end
      parts[i] = ("%s %s"):format(name, d(f.estimates[name].estimate))
    end
    return ("medians of %s: %s%s"):format(plural(#f.nodes, "node"), table.concat(parts, ", "),
      #f.nodes > 10 and ", …" or "")
  end,
}
FIGURES.concurrency = FIGURES.pool

local function print_few(few)
  if #few == 0 then return end
  local parts = {}
  for i, one in ipairs(few) do
    if i > 10 then break end
    parts[i] = ("%s %d"):format(term.clean(one.node), one.attempts)
  end
  out.write(("  too few runs of a node to tell its percentiles (20 are enough): %s%s\n"):format(
    table.concat(parts, ", "), #few > 10 and ", …" or ""))
end

local function print_one(made, paint)
  local name = paint("bold", term.clean(made.workflow))
  if made.too_few then
    out.write(("%s: %s, too few to tell\n"):format(name, plural(made.runs, "run")))
    return
  end
  out.write(("%s: its newest %s\n"):format(name, plural(made.runs, "run")))
  for _, one in ipairs(made.advice) do
    out.write(("  %s%s\n    %s\n"):format(one.node and term.clean(one.node) .. ": " or "",
      term.clean(one.proposal), (FIGURES[one.kind](one.figures):gsub("[^\n]+", term.clean))))
  end
  if #made.advice == 0 then out.write("  nothing to propose\n") end
  print_few(made.few)
end

local function workflows_of(db, args)
  if args.workflow then
    require("orrery.history.filter").check_workflow(db, args.workflow)
    return { args.workflow }
  end
  local names = {}
  for i, row in ipairs(require("orrery.history.statistics").workflows(db)) do names[i] = row.workflow end
  return names
end

advise.main = session.command("advise", function(db, args)
  local advice, json = require "orrery.history.advice", require("orrery.core").json
  local names, list = workflows_of(db, args), {}
  for i, name in ipairs(names) do list[i] = advice.of(db, name) end
  if args.json then
    for _, made in ipairs(list) do made.advice, made.few = json.array(made.advice), json.array(made.few) end
    return session.json { workflows = json.array(list) } and 0 or 1
  end
  if #list == 0 then session.note "no runs yet: `orrery run FILE` makes one" end
  local _, paint = session.screen()
  for i, made in ipairs(list) do
    if i > 1 then out.write "\n" end
    print_one(made, paint)
  end
end, session.lists)

return advise
