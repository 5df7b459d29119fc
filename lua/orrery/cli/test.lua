--- `orrery test [PATH…]`: runs the tests of files that end in _test.lua.
---
--- Of several files each runs in a process of its own, a few at once: what one leaves behind
--- (globals, modules, node types, pools) or breaks is nothing to the others. The processes report
--- as `--json` does, and their reports are shown in the order of the files.
local out = require "orrery.cli.shared.out"

local test = {}

local exit = os.exit -- while tests run theirs is another

-- ---- which files and tests ----------------------------------------------------------------------

local SKIPPED = { node_modules = true, snapshots = true }

local function scan(folder, list)
  local uv = require "luv"
  local entries, problem = uv.fs_scandir(folder)
  if not entries then return problem end
  local names = {}
  for name, kind in function() return uv.fs_scandir_next(entries) end do
    names[#names + 1] = { name = name, kind = kind }
  end
  table.sort(names, function(a, b) return a.name < b.name end)
  for _, entry in ipairs(names) do
    local path = folder == "." and entry.name or folder .. "/" .. entry.name
    if entry.kind == "directory" and not SKIPPED[entry.name] and entry.name:sub(1, 1) ~= "." then
      scan(path, list)
    elseif entry.kind ~= "directory" and entry.name:find "_test%.lua$" then
      list[#list + 1] = path
    end
  end
end

-- The files that are meant: those that are named, and in folders those whose names say that they
-- are tests. Nil and the reason where one is not there.
local function find(paths)
  local uv, list, known = require "luv", {}, {}
  for _, path in ipairs(#paths > 0 and paths or { "." }) do
    local clean = path:gsub("^%./+(.)", "%1"):gsub("(.)/+$", "%1")
    local stat, problem = uv.fs_stat(clean)
    if not stat then return nil, ("cannot read %s: %s"):format(path, problem) end
    local found = { clean }
    if stat.type == "directory" then
      found = {}
      problem = scan(clean, found)
      if problem then return nil, ("cannot read %s: %s"):format(path, problem) end
    end
    for _, file in ipairs(found) do
      if not known[file] then
        known[file], list[#list + 1] = true, file
      end
    end
  end
  return list
end

local function any(patterns, name)
  for _, pattern in ipairs(patterns) do
    if name:find(pattern) then return true end
  end
  return false
end

local function pattern_problem(args)
  for _, key in ipairs { "filter", "exclude" } do
    for _, pattern in ipairs(args[key] or {}) do
      local ok, problem = pcall(string.find, "", pattern)
      if not ok then
        return ("--%s '%s' is no pattern of Lua: %s"):format(key, pattern,
          (tostring(problem):gsub("^[^:]+:%d+: ", "")))
      end
    end
  end
end

---@return orrery.testing.Choice
local function choice_of(args)
  local filters, excludes = args.filter or {}, args.exclude or {}
  return {
    update = args.update, fail_fast = args.fail_fast, whole = #filters == 0 and #excludes == 0,
    wants = function(each)
      return (#filters == 0 or any(filters, each.name)) and not any(excludes, each.name)
    end,
  }
end

-- ---- running ------------------------------------------------------------------------------------

-- The command line by which a process of its own runs one file.
local function command_for(file, args)
  local argv = { require("luv").exepath(), "test", "--json" }
  local function add(...) for _, word in ipairs { ... } do argv[#argv + 1] = word end end
  for _, name in ipairs(args.require or {}) do add("-l", name) end
  for _, pattern in ipairs(args.filter or {}) do add("--filter=" .. pattern) end
  for _, pattern in ipairs(args.exclude or {}) do add("--exclude=" .. pattern) end
  if args.update then add "--update" end
  if args.fail_fast then add "--fail-fast" end
  add("--", file)
  return argv
end

-- Calls `fn` for each whole line of a text that comes in pieces.
local function by_lines(fn)
  local rest = ""
  return function(piece)
    rest = rest .. piece
    for line in rest:gmatch "([^\n]*)\n" do fn(line) end
    rest = rest:match "[^\n]*$"
  end
end

-- Runs a file in a process of its own.
local function apart(file, args, shared, report)
  local core, ended = require "orrery.core", false
  local function take(line)
    local ok, event = pcall(core.json.decode, line)
    if not ok or type(event) ~= "table" then return end
    if event.event == "end" then ended = true else report(event) end
  end
  local feed = by_lines(take)
  local problem, result = core.await(function(resume)
    local process = core.spawn({ argv = command_for(file, args), stdout = "stream", stderr = "inherit",
      env = { [require "orrery.testing.folder".VARIABLE] = shared },
      on_chunk = function(_, text) feed(text) end }, resume)
    return function() process:terminate() end
  end)
  if ended then return end
  local how = problem and ": " .. tostring(problem)
    or result.signal and " by the signal " .. tostring(result.signal)
    or " with exit code " .. tostring(result.code)
  report { event = "problem", file = file, message = "its process ended before its tests had" .. how }
end

-- Reports in the order of the files, whichever comes first: what comes early is kept.
local function in_order(files, report)
  local kept, over, now = {}, {}, 1
  local function advance()
    while over[now] do
      now = now + 1
      for _, event in ipairs(kept[now] or {}) do report(event) end
      kept[now] = nil
    end
  end
  return function(i)
    return function(event)
      if i == now then return report(event) end
      kept[i] = kept[i] or {}
      table.insert(kept[i], event)
    end, function()
      over[i] = true
      if now <= #files then advance() end
    end
  end
end

local function run_apart(files, args, shared, report, stopped)
  local core, uv = require "orrery.core", require "luv"
  local at, place_of = 0, in_order(files, report)
  local function work()
    while at < #files and not stopped() do
      at = at + 1
      local own, over = place_of(at)
      apart(files[at], args, shared, own)
      over()
    end
  end
  local workers = {}
  for i = 1, math.min(args.jobs or uv.available_parallelism(), #files) do workers[i] = work end
  core.gather(workers)
end

-- ---- reports ------------------------------------------------------------------------------------

local FORMS = { json = "test_json", tap = "test_tap" }

local function reporter_of(args)
  for _, option in ipairs { "json", "tap" } do
    local module = FORMS[option]
    if args[option] then return require("orrery.cli.display." .. module) end
  end
  return require "orrery.cli.display.test_report"
end

local COUNTS = { passed = "passed", failed = "failed", error = "failed", skipped = "skipped" }

local function count(total, event)
  if event.event == "test" then
    local key = COUNTS[event.status]
    total[key] = total[key] + 1
    total.results[#total.results + 1] = event
  elseif event.event == "problem" then
    total.failed = total.failed + 1
    total.results[#total.results + 1] = event
  else
    for _, key in ipairs { "written", "updated", "unused" } do
      table.move(event[key], 1, #event[key], #total[key] + 1, total[key])
    end
  end
end

local function write_junit(path, total)
  local ok, problem = pcall(require "orrery.cli.display.test_junit".write, path, total)
  if ok then return true end
  out.err(("orrery test: the report could not be written to %s: %s\n"):format(path, tostring(problem)))
  return false
end

local function refuse(message)
  out.err("orrery test: ", message, "\n")
  return 2
end

-- Removes snapshots that no test has asked for, where it was asked to bring them up to date.
local function tidy(args, total)
  if not args.update then return end
  for _, path in ipairs(total.unused) do os.remove(path) end
  total.removed, total.unused = total.unused, {}
end

local function list(files, args)
  local execute, choice, n = require "orrery.testing.execute", choice_of(args), 0
  for _, file in ipairs(files) do
    local tests, problem = execute.list(file, choice)
    if not tests then return refuse(problem) end
    for _, each in ipairs(tests) do
      n = n + 1
      if args.json then
        require("orrery.cli.shared.files").json { file = each.file, line = each.line, name = each.name }
      else
        out.line(("%s:%d: %s"):format(each.file, each.line, each.name))
      end
    end
  end
  return n > 0 and 0 or 2
end

-- Ctrl-C ends all of it; runs under test leave no folders behind. Files that have a process of
-- their own are waited for; a second Ctrl-C does not.
local function catch_interrupts(total)
  local signals = require "orrery.cli.shared.interrupts"
  return signals.catch(function()
    local testing = package.loaded["orrery.testing"]
    if testing then pcall(testing.close) end
    if testing or total.stopping then
      signals.kill_children()
      if total.folder then require "orrery.testing.folder".remove(total.folder) end
      exit(1)
    end
    total.stopping = true
    signals.end_children()
  end)
end

-- Runs the tests of one file in this process. An exit in the middle would end them without a
-- report.
local function run_here(file, args, report, finish)
  local function refused(code)
    rawset(os, "exit", exit)
    local name = require "orrery.testing.snapshot".now.name
    report { event = "problem", file = file, message = ("os.exit(%s) was called %s: no test after it has "
      .. "run; let the test fail, or give what calls it to a process of its own, flow.exec"):format(
        code == nil and "" or tostring(code), name and ("in the test %q"):format(name) or "by the file") }
    pcall(require "orrery.testing".close)
    finish()
    io.stdout:flush()
    exit(1)
  end
  rawset(os, "exit", refused)
  require "orrery.testing.execute".file(file, choice_of(args), report)
  rawset(os, "exit", exit)
end

local function run(files, args)
  local uv, began = require "luv", require("luv").hrtime()
  local total = { passed = 0, failed = 0, skipped = 0, results = {}, written = {}, updated = {}, unused = {},
    began = os.time() }
  local reporter = reporter_of(args).new(args)
  local function report(event)
    count(total, event)
    reporter.report(event)
  end
  local function stopped() return total.stopping or args.fail_fast and total.failed > 0 end
  local function finish()
    total.seconds = (uv.hrtime() - began) / 1e9
    reporter.finish(total)
    return not args.junit or write_junit(args.junit, total)
  end
  local release = catch_interrupts(total)
  if #files == 1 then
    run_here(files[1], args, report, finish)
  else
    local folder = require "orrery.testing.folder"
    total.folder = folder.new()
    run_apart(files, args, total.folder, report, stopped)
    folder.remove(total.folder)
  end
  release()
  tidy(args, total)
  local written = finish()
  if total.passed + total.failed + total.skipped == 0 then
    local chosen = args.filter or args.exclude
    return args.json and 2 or refuse(chosen
      and "no test has a name that fits; orrery test --list shows them all"
      or "these files have no tests: it(\"does something\", function() … end) is one")
  end
  return total.failed == 0 and written and 0 or 1
end

function test.main(args)
  local files, problem = find(args.path)
  problem = problem or pattern_problem(args)
  if problem then return refuse(problem) end
  if #files == 0 then
    return refuse "there are no tests here: no file has a name that ends in _test.lua"
  end
  if args.json and args.tap then return refuse "--json and --tap exclude each other" end
  if args.list then return list(files, args) end
  if args.tap then out.claim() end
  return run(files, args)
end

return test
