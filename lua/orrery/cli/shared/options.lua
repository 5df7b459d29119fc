--- The options of every subcommand, as data, and the one function that parses with them.
local options = {}

local FILE = { "file", "A workflow: a Lua file that returns it, or a JSON definition." }
local REQUIRE = { "-l --require", "Require this module first, such as one that declares node types.",
  many = true,
  argname = "MODULE" }
local STORE = { "--store",
  "Where runs are kept: sqlite:PATH or memory:. Otherwise ORRERY_STORE, or sqlite:./.orrery/runs.db.",
  argname = "URL" }
local BUS = { "--bus",
  "Where the bus of its runs is: redis://HOST:PORT, unix:///PATH, or memory: (in this process). Otherwise "
  .. "ORRERY_BUS, where a password is better kept.", argname = "URL" }
local QUIET = { "-q --quiet", "No progress: only the output and errors.", flag = true }
local FORCE = { "--force",
  "Also a run that a living process owns, which then can write nothing more, and attempts that were"
  .. " interrupted too often.", flag = true }
local TRUST = { "--trust", "Also from a store of another user, whose code then runs as you.", flag = true }
local CURRENT = { "--with-current-code",
  "Go on with today's code where the journal fits it; says where it does not.", flag = true }
local CODE = { "--code", "The file of today's code, where it has moved.", argname = "FILE" }
local LIMIT = { "--output-limit", "At most so many bytes of JSON for each output; 16 MiB otherwise.",
  number = true, least = 1,
  argname = "BYTES" }
local MEMORY = { "--memory-limit",
  "At most about so many bytes in memory for the outputs of a run; 1 GiB otherwise.",
  number = true, least = 1, argname = "BYTES" }
local LARGE = { "--large-output",
  "An output of more memory than that is read back when it is used, rows from a file; 1M otherwise.",
  size = true, argname = "SIZE" }
local NO_WAIT = { "--no-wait", "Leave when all that is left waits for a time or a signal (exit code 5).",
  flag = true }
local JSON = { "--json", "Print the result as JSON.", flag = true }

--- name -> { summary, arguments and options, examples }. An entry is { names, help, … } with flag =
--- true (no value), many = true (may be repeated), each = "+" | "*" | "?" (number of values),
--- values = n (so many values),
--- number = true, least = n, size = true (bytes, as 64K), choices = {…}. filtered = true: it also
--- has the options that choose runs (`orrery.cli.shared.chosen`).
---@type table<string, table>
options.commands = {
  run = {
    summary = "Runs a workflow and prints its output.",
    { "file", FILE[2] },
    { "-i --input", "Input: name=text, name:=json, or @file.json for all of it, @- for stdin.", many = true,
      argname = "NAME=VALUE" },
    { "--only", "Run only these nodes.", each = "+", many = true, argname = "NODE" },
    { "--from", "Run only this node and all that depend on it.", each = "+", many = true, argname = "NODE" },
    { "--dry", "Run nothing: show what would run, what would not, and why.", flag = true },
    { "-j --concurrency",
      "At most so many nodes at a time, and as many commands (exec) where that is more than processors.",
      number = true, least = 1, argname = "N" },
    { "--clock", "virtual: waits take no time, and nothing is kept unless --store names a place.",
      choices = { "real", "virtual" } },
    { "--seed", "Seed of every chance in the run (retry jitter).", number = true, argname = "N" },
    STORE, BUS, TRUST,
    { "--durability", "strict (each result is on disk before what depends on it starts), relaxed (within 50 "
      .. "ms), none.",
      choices = { "strict", "relaxed", "none" } },
    LIMIT, MEMORY, LARGE,
    { "--key", "Idempotency key: the same key never starts two runs of a workflow.", argname = "TEXT" },
    { "--id", "The id of the new run, a UUID.", argname = "UUID" },
    { "--label", "A label to find the run by.", many = true, argname = "NAME=VALUE" },
    { "--context", "What expressions and handlers see as context, as JSON.", argname = "JSON" },
    NO_WAIT,
    { "--json", "Print one event a line as JSON; the last one says how the run ended.", flag = true },
    REQUIRE,
    QUIET,
    { "-d --debug", "explain: say why each node starts, waits or is skipped, and what the store does.",
      argname = "TOPIC" },
    examples = {
      "orrery run etl.lua",
      "orrery run etl.lua --input city=Oslo --input days:=3",
      "orrery run etl.lua --input @input.json --concurrency 4",
      "orrery run etl.lua --only fetch parse --dry",
      "orrery run etl.lua -d explain",
    },
    exits = true,
  },
  resume = {
    summary = "Lets runs go on whose process is gone: one, several, or all that are unfinished.",
    { "run", "A run's id, its unique beginning, or @last; without one all unfinished runs.", each = "*" },
    STORE, BUS, FORCE, TRUST, CURRENT, CODE, LIMIT, MEMORY, LARGE,
    { "--jobs", "At most so many runs at a time.", number = true, least = 1, argname = "N" },
    { "--pool", "Let a paused pool give places again.", argname = "POOL" },
    { "--crash-limit", "Fail a node whose attempt the ends of processes have interrupted so often (3).",
      number = true, least = 1,
      argname = "N" },
    NO_WAIT,
    REQUIRE, JSON, QUIET, filtered = true,
    examples = { "orrery resume", "orrery resume 0192f3", "orrery resume 0192f3 --with-current-code",
      "orrery resume --workflow etl" },
    exits = true,
  },
  retry = {
    summary = "Runs what failed or was cancelled in an ended run again, and all that follows from it.",
    { "run", "A run's id, or its unique beginning; the newest without one, or with @last.", each = "*" },
    { "--items", "Also the items that failed and that each_failures allowed to, of completed runs, too.",
      flag = true },
    STORE, BUS, TRUST, CURRENT, CODE, LIMIT, MEMORY, LARGE,
    { "--jobs", "At most so many runs at a time.", number = true, least = 1, argname = "N" },
    NO_WAIT, REQUIRE, JSON, QUIET, filtered = true,
    examples = { "orrery retry", "orrery retry 0192f3", "orrery retry --items",
      "orrery retry --workflow etl --state failed --since 1d" },
    exits = true,
  },
  fork = {
    summary = "Starts a new run that takes over what another has completed.",
    { "run", "A run's id, or its unique beginning." },
    { "--from", "Run these nodes again, and all that follows from them.", each = "+", many = true,
      argname = "NODE" },
    { "-i --input", "Laid over the old input: name=text, name:=json, or @file.json.", many = true,
      argname = "NAME=VALUE" },
    { "--set", "The output of a node instead of running it: nodes.NAME=JSON.", many = true,
      argname = "NODE=VALUE" },
    STORE, BUS, TRUST, CURRENT, CODE, LIMIT, MEMORY, LARGE, NO_WAIT, REQUIRE, JSON, QUIET,
    examples = { "orrery fork 0192f3 --from parse", "orrery fork 0192f3 --from report --input month:=7",
      "orrery fork 0192f3 --set nodes.fetch='{\"rows\":[]}'" },
    exits = true,
  },
  check = {
    summary = "Finds all mistakes in workflows without running them.",
    { "file", "Workflows to check.", each = "+" }, REQUIRE, JSON,
    examples = { "orrery check etl.lua", "orrery check flows/*.lua --json" },
  },
  plan = {
    summary = "Shows the layers of a workflow, its widest layer and its critical path; how long it may take.",
    FILE,
    { "--estimate", "Also how long it takes on so many slots, and what it costs, by the runs of the store "
      .. "and by the nodes' estimates.", flag = true },
    { "--slots", "How many nodes run at a time, one number or several with commas; 1,2,4,8,16 otherwise.",
      many = true, argname = "N" },
    { "--store", "The store whose runs are asked: sqlite:PATH or a path; ORRERY_STORE without it, else "
      .. "./.orrery/runs.db.", argname = "URL" },
    REQUIRE, JSON,
    examples = { "orrery plan etl.lua", "orrery plan etl.lua --estimate --slots 4,8",
      "orrery plan etl.lua --json" },
  },
  graph = {
    summary = "Draws a workflow.",
    FILE, REQUIRE,
    { "-f --format", "text, dot, mermaid or svg; by default what the name of the output ends with; text "
      .. "without an output.",
      choices = { "text", "dot", "mermaid", "svg" } },
    { "-o --output", "Write here instead of to the standard output.", argname = "FILE" },
    examples = { "orrery graph etl.lua", "orrery graph etl.lua -o etl.svg",
      "orrery graph etl.lua -f dot | dot -Tpng > etl.png" },
  },
  types = {
    summary = "Lists the node types, or shows one with its configuration.",
    { "name", "A node type; without one all are listed.", each = "?" },
    { "--schema", "Print the JSON Schema of definitions with these types, for editors.", flag = true },
    REQUIRE, JSON,
    examples = { "orrery types", "orrery types exec", "orrery types -l types.words text.words",
      "orrery types --json", "orrery types --schema -l types.words > orrery.schema.json" },
  },
  test = {
    summary = "Runs tests of workflows: files that end in _test.lua.",
    { "path", "Files of tests, or folders that are searched for them; this folder without one.", each = "*" },
    { "--filter", "Only tests whose names fit this pattern of Lua.", many = true, argname = "PATTERN" },
    { "--exclude", "Not those whose names fit this pattern.", many = true, argname = "PATTERN" },
    { "--list", "Run nothing: print the place and name of each test.", flag = true },
    { "--update", "Write snapshots anew that differ, and remove those that no test asks for.", flag = true },
    { "--fail-fast", "Stop at the first test that fails.", flag = true },
    { "--jobs", "At most so many files at a time; the number of processors otherwise.", number = true,
      least = 1, argname = "N" },
    { "-v --verbose", "A line for each test.", flag = true },
    { "--json", "Print one event a line as JSON; the last one has the counts.", flag = true },
    { "--tap", "Print TAP, the Test Anything Protocol.", flag = true },
    { "--junit", "Also write the results there, in JUnit's XML.", argname = "FILE" },
    REQUIRE,
    examples = { "orrery test", "orrery test flows/orders_test.lua --filter refund",
      "orrery test --junit reports/unit.xml", "orrery test --update" },
    epilog = [[
Exit codes:
   0  all tests passed   1  a test failed   2  bad usage, or no test]],
  },
  sim = {
    summary = "Plays a workflow thousands of times against crashes, failures and races; prints what broke.",
    FILE,
    { "--seed", "The first seed; alone: only this history, as when it was found.", number = true,
      argname = "S" },
    { "--seeds", "How many histories are played; 1000 otherwise.", number = true, least = 1, argname = "N" },
    { "-i --input", "Input: name=text, name:=json, or @file.json for all of it, @- for stdin.", many = true,
      argname = "NAME=VALUE" },
    { "--faults", "Only these kinds of faults, with commas: crash, fail, fail_after, slow, slow_after, hang,"
      .. " late, twice, commit_slow, commit_fails, commit_unsure, cancel, pause, skip, stall, signal,"
      .. " hold_back.",
      argname = "KINDS" },
    { "--learn", "A store: nodes without a model take as long, and fail as often, as its runs say.",
      argname = "URL" },
    { "--durability", "strict or relaxed: what a crash may lose.", choices = { "strict", "relaxed" } },
    REQUIRE, JSON, QUIET,
    examples = { "orrery sim order.lua", "orrery sim order.lua --seeds 20000",
      "orrery sim order.lua --seed 417", "orrery sim order.lua --learn sqlite:runs.db" },
    epilog = [[
Exit codes:
   0  nothing broke             2  bad usage or definition
   1  something broke]],
  },
  new = {
    summary = "Writes a small workflow that runs, to start from. Never overwrites a file.",
    { "name", "Name of the workflow, or a path for its file." },
    { "--json", "Write a JSON definition instead of Lua.", flag = true },
    examples = { "orrery new report", "orrery new flows/report --json" },
  },
  import = {
    summary = "Turns a recorded workflow into a JSON definition whose nodes sleep their recorded time.",
    { "format", "wfformat: WfFormat 1.5, as in wfcommons.org's recorded scientific workflows.",
      choices = { "wfformat" } },
    { "file", "The recorded workflow." },
    { "-o --output", "Write here instead of to the standard output.", argname = "FILE" },
    { "--slots", "How many nodes sleep at a time: the places of the pool that they share; 8 otherwise.",
      number = true, least = 1, argname = "N" },
    examples = { "orrery import wfformat montage.json -o montage_flow.json",
      "orrery import wfformat montage.json --slots 32 > montage_flow.json" },
  },
  doctor = {
    summary = "Says what is installed, what is missing, and what is wrong with this machine and the store.",
    { "--store", "The store: sqlite:PATH or a path; ORRERY_STORE without it, else ./.orrery/runs.db.",
      argname = "URL" },
    JSON,
    examples = { "orrery doctor", "orrery doctor --store sqlite:/srv/runs.db" },
  },
  help = {
    summary = "Shows this overview, or the help of one command.",
    { "command", "A command.", each = "?" },
    { "--man", "Print the manual page, for man.", flag = true },
    examples = { "orrery help run", "orrery help --man | man -l -" },
  },
  completions = {
    summary = "Prints a script by which a shell completes what is typed.",
    { "shell", "bash, zsh or fish.", choices = { "bash", "zsh", "fish" } },
    examples = { "source <(orrery completions bash)",
      "orrery completions fish > ~/.config/fish/completions/orrery.fish" },
  },
  version = {
    summary = "Prints the version.",
    JSON,
    examples = { "orrery version" },
  },
}

options.order = { "run", "resume", "retry", "fork", "check", "plan", "graph", "sim", "types", "test", "new",
  "import", "doctor",
  "completions", "help", "version" }

-- The commands that look at a store are many, and starting a run does not need them: their options
-- are loaded when one of them, or the whole list, is asked for.
local function complete(commands)
  setmetatable(commands, nil)
  local more = require "orrery.cli.shared.options_history"
  for name, entry in pairs(more.commands) do commands[name] = entry end
end

setmetatable(options.commands, {
  __index = function(commands, name)
    complete(commands)
    return commands[name]
  end,
  __pairs = function(commands)
    complete(commands)
    return next, commands
  end,
})

--- The names of all commands, in the order in which they are shown.
---@return string[]
function options.names()
  local last = #options.order - 3 -- doctor, completions, help and version come last
  local names = table.move(options.order, 1, last - 1, 1, {})
  for _, name in ipairs(require("orrery.cli.shared.options_history").order) do names[#names + 1] = name end
  return table.move(options.order, last, #options.order, #names + 1, names)
end

options.exits = [[
Exit codes:
   0  the run completed         3  it was cancelled
   1  it failed                 4  its own timeout ended it
   2  bad usage or definition   5  it was left waiting]]

local function integer(least)
  return function(text)
    local n = math.tointeger(tonumber(text))
    if not n then return nil, ("'%s' is not a whole number"):format(text) end
    if least and n < least then return nil, ("%s is too small, expected at least %d"):format(text, least) end
    return n
  end
end

local UNITS = { [""] = 1, k = 1 << 10, m = 1 << 20, g = 1 << 30 }

local function bytes(text)
  local number, unit = text:lower():match "^(%d+)([kmg]?)i?b?$"
  local n = math.tointeger(tonumber(number))
  if not n or n < 1 or n > (1 << 50) then
    return nil, ("'%s' is no size such as 500000, 64K, 8M or 1G"):format(text)
  end
  return n * UNITS[unit]
end

local function one_of(choices)
  return function(text)
    for _, choice in ipairs(choices) do
      if choice == text then return text end
    end
    return nil, ("'%s' is none of %s"):format(text, table.concat(choices, ", "))
  end
end

local function add(parser, entry)
  local names = entry[1]
  local is_option = names:sub(1, 1) == "-"
  if entry.flag then return parser:flag(names, entry[2]) end
  local element = is_option and parser:option(names, entry[2]) or parser:argument(names, entry[2])
  if entry.each or entry.values then element:args(entry.each or entry.values) end
  if entry.many then element:count("*") end
  if entry.number then element:convert(integer(entry.least)) end
  if entry.size then element:convert(bytes) end
  if entry.choices then element:convert(one_of(entry.choices)) end
  if entry.argname then element:argname(entry.argname) end
  return element
end

local function build(name)
  local command = options.commands[name]
  local parser = require("argparse")("orrery " .. name, command.summary):add_help(false)
    :help_description_margin(30)
  for _, entry in ipairs(command) do add(parser, entry) end
  for _, entry in ipairs(command.filtered and require("orrery.cli.shared.chosen").options or {}) do
    add(parser, entry)
  end
  -- takes what is left, for argparse does not say what that is
  parser:argument("surplus"):args("*"):hidden(true):action(function(_, _, words)
    if #words > 0 then error { usage = ("too many arguments: '%s' is not expected"):format(words[1]) } end
  end)
  -- The help flag leaves the parser by an error, so that required arguments are not asked for.
  parser:flag("-h --help", "Show this help."):action(function() error({ help = true }) end)
  local epilog = "Examples:\n   " .. table.concat(command.examples, "\n   ")
  if command.epilog then epilog = epilog .. "\n\n" .. command.epilog end
  if command.exits then epilog = epilog .. "\n\n" .. options.exits end
  parser:epilog(epilog)
  parser.error = function(_, message) error({ usage = message }) end
  return parser
end

--- The help of a subcommand.
---@param name string
---@return string
function options.help(name) return build(name):get_help() .. "\n" end

-- Repeated options with several values come as lists of lists; a value may be several names with
-- commas.
local function flatten(args)
  for _, key in ipairs { "only", "from" } do
    local lists = args[key]
    if type(lists) == "string" then -- of a command with another option of that name
      args[key] = lists
    elseif lists and #lists > 0 then
      local all = {}
      for _, list in ipairs(lists) do
        for name in table.concat(list, ","):gmatch("[^,]+") do all[#all + 1] = name end
      end
      args[key] = all
    else
      args[key] = nil
    end
  end
  return args
end

-- What to say where a file may have been taken for a name of these options.
local function swallowed(argv)
  for _, word in ipairs(argv) do
    local option = word:match "^%-%-only" or word:match "^%-%-from"
    if option then
      return (" %s takes all words up to the next option; give FILE before it."):format(option)
    end
  end
  return ""
end

-- argparse looks for an option that nearly has this name among all texts that nearly are it, which
-- for a name of 40 KB takes seconds and a gigabyte.
local LONGEST_NAME = 64

local function refuse_long_names(argv)
  for _, word in ipairs(argv) do
    if word == "--" then return end
    local name = word:match "^%-%-[^=]*"
    if name and #name > LONGEST_NAME then
      error { usage = ("unknown option '%s...'"):format(name:sub(1, LONGEST_NAME)) }
    end
  end
end

--- Parses the arguments of a subcommand.
---@param name string a key of `options.commands`
---@param argv string[] without the subcommand
---@return table|nil args by the names of arguments and options
---@return { help?: string, usage?: string }|nil stop what to print instead: help asked for, or a mistake
function options.parse(name, argv)
  local parser = build(name)
  local ok, result = pcall(function()
    refuse_long_names(argv)
    return parser:parse(argv)
  end)
  if ok then return flatten(result) end
  if type(result) ~= "table" then error(result, 0) end
  if result.help then return nil, { help = parser:get_help() .. "\n" } end
  local sentence = result.usage:gsub("\n", ". "):gsub("([^?])$", "%1.")
  if result.usage:find("missing argument 'file'", 1, true) then sentence = sentence .. swallowed(argv) end
  return nil, { usage = ("orrery %s: %s\n%s\nMore: orrery %s --help\n")
    :format(name, sentence, parser:get_usage(), name) }
end

return options
