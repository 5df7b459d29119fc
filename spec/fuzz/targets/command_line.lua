-- Command lines: words between NULs. They are refused with a sentence and code 2, or, for commands
-- that only look, run on a store with one run: they never raise.
local driver = require "spec.fuzz.driver"
local flow = require "orrery"
local options = require "orrery.cli.shared.options"
local plain = require "orrery.cli.shared.plain"
local out = require "orrery.cli.shared.out"
local uv = require "luv"

local LOOKS = { runs = true, show = true, why = true, logs = true, stats = true, types = true,
  version = true, help = true }

local folder = uv.fs_mkdtemp "/tmp/orrery-fuzz-XXXXXX"
local url = "sqlite:" .. folder .. "/runs.db"
local rt = flow.runtime { store = url }
local file = assert(io.open(folder .. "/w.lua", "w"))
file:write [[
local flow = require "orrery"
local w = flow.workflow { name = "looked_at" }
w.one = { run = function() return 1 end }
w.two = { after = "one", run = function() error(flow.error { code = "no", message = "no" }) end }
return w
]]
file:close()
rt:wait(flow.start(flow.load(folder .. "/w.lua"), { runtime = rt, labels = { a = "b" } }))
rt:sync()
rt:close()

local said
local function listen(...) said = said .. table.concat { ... } end

-- What the command would write goes to `said`.
local function quietly(fn, ...)
  said = ""
  local kept = {}
  for _, name in ipairs { "write", "line", "json", "lines_of_json", "err", "show" } do
    kept[name], out[name] = out[name], listen
  end
  local ok, code = pcall(fn, ...)
  for name, value in pairs(kept) do out[name] = value end
  if not ok then error(code, 0) end
  return code
end

local function words_of(line)
  local words = {}
  for word in (line .. "\0"):gmatch "([^\0]*)\0" do words[#words + 1] = word end
  return words
end

return {
  removed = setmetatable({}, { __gc = function() os.execute("rm -rf " .. folder) end }),
  seeds = { "run\0w.lua\0-i\0a=1\0--only\0x\0-j\0002", "runs\0--json\0--limit\0003\0--state\0failed",
    "show\0@last\0--json",
    "why\0@last\0two", "logs\0@last\0--level\0warn\0-n\0005", "types\0http.get", "help\0run", "version",
    "stats\0looked_at",
    "signal\0@last\0go\0{\"a\":1}", "prune\0--older\00030d\0--dry", "runs\0--label\0a=b\0--since\0001h",
    "graph\0w.lua\0--format\0dot",
    "retry\0@last\0--from\0x", "--help", "show\0--store\0sqlite:x" },
  words = { "\0", "--", "-", "=", "--json", "--limit", "--store", "--state", "--label", "--since",
    "--until", "--workflow",
    "@last", "-i", "-q", "--help", "run", "runs", "show", "why", "logs", "two", "0", "-1", "9e99", "1h",
    "failed", "\xff",
    "\27[", "%", "'", "\"", "{", "[", "*", ".", "/" },
  run = function(line)
    local argv = words_of(line)
    local name = table.remove(argv, 1)
    if not options.commands[name] then return "no command" end
    local args, stop = plain(name, argv), nil
    if not args then args, stop = options.parse(name, argv) end
    if not args then
      driver.told(stop.help or stop.usage)
      return name .. (stop.help and " help" or ": " .. driver.kind(stop.usage))
    end
    if not LOOKS[name] or args.require then return name .. " parsed" end
    args.store = url
    args.follow = nil
    local code = quietly(require("orrery.cli." .. name).main, args)
    driver.told(said)
    assert(math.type(code) == "integer" and code >= 0 and code <= 5, "no exit code: " .. tostring(code))
    return ("%s ends with %d"):format(name, code)
  end,
}
