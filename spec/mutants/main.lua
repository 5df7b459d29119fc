-- Plants faults, one at a time, and sees whether the tests catch them.
--
--   lua5.4 spec/mutants/main.lua [--only PATTERN] [--sample N --seed S] [--list]
--
-- Each fault is a row of a file in spec/mutants/faults: a text of a source file (`from`, which
-- occurs there once), what takes its place (`to`), and the tests that are to catch it (`by`: names
-- of C tests, or of specs). The tree is copied to build/mutants/1, 2, …, one copy a processor; in a
-- copy a fault is planted, what it touches is built, its tests are run, and it is taken out again.
-- A fault that no test catches survives: then a test is missing. One whose text is not in the file
-- any more, or whose test is gone, is stale; one that does not build is no fault; and a test that
-- fails without a fault catches none. All count as survivors, so that nobody believes in a table
-- that says nothing. Exit code 1 where any survived.
-- --list only names the faults, within a second; its exit code is 1 where one is stale, so that a
-- renamed word is noticed at once.

local ROOT = "build/mutants"
local SECONDS = 240 -- a test that takes longer has caught the fault: it hangs
local PLANTED = "/build/planted" -- of a copy: the file in which a fault is now

-- "" where there is no such file: a fault of a file that has gone is stale.
local function read(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function run(format, ...) return os.execute(format:format(...)) == true end

-- ---- which faults -------------------------------------------------------------------------------

local function all_faults()
  local list = {}
  local pipe = assert(io.popen "ls spec/mutants/faults/*.lua")
  for path in pipe:lines() do
    for _, fault in ipairs(dofile(path)) do list[#list + 1] = fault end
  end
  pipe:close()
  return list
end

-- `n` of them, others for another seed.
local function sample(list, n, seed)
  math.randomseed(seed)
  for i = #list, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
  return table.move(list, 1, math.min(n, #list), 1, {})
end

local function chosen(options)
  local list = all_faults()
  if options.only then
    local kept = {}
    for _, fault in ipairs(list) do
      if (fault.file .. " " .. fault.name):find(options.only) then kept[#kept + 1] = fault end
    end
    list = kept
  end
  if options.sample then list = sample(list, tonumber(options.sample), tonumber(options.seed or 1)) end
  return list
end

-- ---- one fault ----------------------------------------------------------------------------------

local function count(text, piece)
  local n, at = 0, 1
  while true do
    local from, to = text:find(piece, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end

local function tests_of(fault) return type(fault.by) == "table" and fault.by or { fault.by } end

-- What makes it stale, nil where nothing does.
local function stale(fault)
  local n = count(read(fault.file), fault.from)
  if n ~= 1 then return ("its text occurs %d times in %s"):format(n, fault.file) end
  for _, test in ipairs(tests_of(fault)) do
    local path = (test:match "_spec$" and "spec/%s.lua" or "spec/c/%s.c"):format(test)
    if read(path) == "" then return "there is no test " .. test end
  end
end

-- The command that builds what the test needs, and the one that runs it.
local function commands(test)
  if test:match "_spec$" then
    return "build/orrery", ("ORRERY_STORE=memory: build/orrery spec/support/run.lua spec/%s.lua"):format(test)
  end
  return "build/spec/" .. test, "build/spec/" .. test
end

local function builds(copy, test)
  return run("cd %s && env -u MAKEFLAGS make -s %s >build/mutant.log 2>&1", copy, (commands(test)))
end

local function passes(copy, test)
  local _, command = commands(test)
  return run("cd %s && timeout -k 5 %d sh -c '%s' >build/mutant.log 2>&1", copy, SECONDS, command)
end

-- Whether a test passes where no fault is planted; otherwise it would catch anything.
local sound = {}
local function is_sound(copy, test)
  if sound[test] == nil then sound[test] = builds(copy, test) and passes(copy, test) end
  return sound[test]
end

-- "caught by TEST", or nil and what is wrong.
local function try(copy, fault)
  local path = copy .. "/" .. fault.file
  local before, why = read(path), stale(fault)
  if why then return nil, "stale: " .. why end
  for _, test in ipairs(tests_of(fault)) do
    if not is_sound(copy, test) then return nil, test .. " fails without a fault" end
  end
  local from, to = before:find(fault.from, 1, true)
  write(copy .. PLANTED, fault.file)
  write(path, before:sub(1, from - 1) .. fault.to .. before:sub(to + 1))
  local verdict, wrong
  for _, test in ipairs(tests_of(fault)) do
    if not builds(copy, test) then
      wrong = "it does not build: see " .. copy .. "/build/mutant.log"
      break
    end
    if not passes(copy, test) then
      verdict = "caught by " .. test
      break
    end
  end
  write(path, before)
  os.remove(copy .. PLANTED)
  return verdict, wrong or "survived " .. table.concat(tests_of(fault), ", ")
end

-- ---- all ----------------------------------------------------------------------------------------

-- A copy of the tree with everything built, so that a fault costs only what it touches. Where a
-- worker was killed its fault is in what was built, and the copy of its file is older than that.
local function prepare(copy)
  local left = read(copy .. PLANTED)
  return run("mkdir -p %s && git ls-files -z | xargs -0 cp -a --parents -t %s", copy, copy)
    and (left == "" or run("touch %s/%s && rm %s%s", copy, left, copy, PLANTED))
    and run("cd %s && env -u MAKEFLAGS make -s test-build >/dev/null", copy)
end

local function work(copy, faults, first, step, results)
  for i = first, #faults, step do
    local verdict, wrong = try(copy, faults[i])
    -- closed between the faults: tests that count descriptors would have it
    local out <close> = assert(io.open(results, "a"))
    out:write(("%s\t%s: %s\t%s\n"):format(verdict and "caught" or "SURVIVED", faults[i].file, faults[i].name,
      verdict or wrong))
  end
end

local function report(results, total)
  local caught, survived = 0, {}
  for _, path in ipairs(results) do
    for line in io.lines(path) do
      if line:match "^caught" then caught = caught + 1
      else survived[#survived + 1] = (line:gsub("\t", "  ")) end
    end
  end
  for _, line in ipairs(survived) do print(line) end
  print(("%d faults planted, %d caught, %d survived"):format(total, caught, total - caught))
  return caught == total
end

-- What an option takes: a pattern of Lua's where it is text.
local TAKES = { only = ".", sample = "^%d+$", seed = "^%-?%d+$", worker = "^%d+/%d+$",
  list = false, help = false }

local USAGE = [=[
usage: lua5.4 spec/mutants/main.lua [--only PATTERN] [--sample N [--seed S]] [--list]

Plants faults, one at a time, and sees whether the tests catch them.

  --only PATTERN  those whose file and name fit a pattern of Lua's
  --sample N      so many of them, chosen by chance
  --seed S        others by another seed; 1
  --list          only names them; exit code 1 where one is stale
  --help          this text
]=]

local function usage(problem)
  io.stderr:write(problem, "\n", USAGE:match "[^\n]*\n")
  os.exit(2)
end

-- A wrong word is refused: to plant every fault takes hours.
local function read_options(words)
  local options, i = {}, 1
  while words[i] do
    local name = words[i]:match "^%-%-(%a+)$"
    local takes = TAKES[name]
    if takes == nil then usage(("unknown word '%s'"):format(words[i])) end
    if takes and not (words[i + 1] or ""):find(takes) then
      usage(("--%s: expected %s, got '%s'"):format(name, name == "only" and "a pattern" or "a number",
        words[i + 1] or "nothing"))
    end
    options[name] = takes and words[i + 1] or true
    i = i + (takes and 2 or 1)
  end
  if options.seed and not (options.sample or options.worker) then usage "--seed is of --sample" end
  return options
end

local options = read_options(arg)
if options.help then
  io.write(USAGE)
  os.exit(0)
end
local faults = chosen(options)
if #faults == 0 then usage "no fault is chosen" end
if options.list then
  local n = 0
  for _, fault in ipairs(faults) do
    local why = stale(fault)
    if why then n = n + 1 end
    print(("%-40s %s%s"):format(fault.file, fault.name, why and (" (STALE: %s)"):format(why) or ""))
  end
  os.exit(n == 0)
elseif options.worker then
  local n, of = options.worker:match "(%d+)/(%d+)"
  local copy = ROOT .. "/" .. n
  assert(prepare(copy), copy .. " cannot be built")
  work(copy, faults, tonumber(n), tonumber(of), ROOT .. "/results." .. n)
else
  -- Each processor runs this script once more, as a worker.
  local jobs = tonumber(io.popen("nproc"):read "l") or 1
  local words, parts, results = {}, {}, {}
  for _, word in ipairs(arg) do words[#words + 1] = "'" .. word .. "'" end
  os.execute("mkdir -p " .. ROOT)
  for n = 1, jobs do
    results[n] = ROOT .. "/results." .. n
    assert(io.open(results[n], "w")):close()
    parts[n] = ("%s %s %s --worker %d/%d & p%d=$!")
      :format(arg[-1], arg[0], table.concat(words, " "), n, jobs, n)
  end
  for n = 1, jobs do parts[#parts + 1] = ("wait $p%d || code=1"):format(n) end
  local ok = os.execute("code=0\n" .. table.concat(parts, "\n") .. "\nexit $code")
  os.exit(ok == true and report(results, #faults))
end
