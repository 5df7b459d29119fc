-- run.lua: runs busted specs inside the command, `orrery spec/support/run.lua [--filter=PATTERN]
-- [FILE|FOLDER...]`.
--
-- The whole run is the main fiber, so that a test may wait as a script may. One line a file, every
-- failure in full, and at the end 'N passed, N failed' alone on a line; the exit code is 1 where
-- anything failed or no test ran.

package.path = "./?.lua;" .. package.path

local busted = require "busted.core"()
require "busted"(busted)
-- By default busted forgets the modules that a file has loaded. There is one engine in a Lua state,
-- and one copy of its modules does not know what another has made.
busted.register("file", "file", {})

local files, filters = {}, {}
for _, word in ipairs(arg) do
  local filter = word:match("^%-%-filter=(.+)$")
  if filter then
    filters[#filters + 1] = filter
  else
    files[#files + 1] = word
  end
end
if #files == 0 then files[1] = "spec" end

local total = { passed = 0, failed = 0, skipped = 0 }
local file = { passed = 0, failed = 0, skipped = 0 }
local complaints, skips = {}, {}

local function full_name(element)
  local names = {}
  while element and element.descriptor ~= "file" and element.descriptor ~= "suite" do
    table.insert(names, 1, element.name or element.descriptor)
    element = busted.context.parent(element)
  end
  return table.concat(names, " ")
end

local function complain(element, message, trace)
  complaints[#complaints + 1] = ("FAILED %s\n%s\n%s"):format(full_name(element), tostring(message),
    trace and trace.traceback or "")
end

local function count(what)
  file[what] = file[what] + 1
  total[what] = total[what] + 1
end

-- A test's failure comes with its end; what fails outside a test (a file that does not load, a
-- setup) has none.
local RESULT = { success = "passed", pending = "skipped", failure = "failed", error = "failed" }
busted.subscribe({ "test", "end" }, function(_, _, status)
  count(RESULT[status])
  return nil, true
end)
for _, kind in ipairs { "failure", "error" } do
  busted.subscribe({ kind }, function(element, _, message, trace)
    if element.descriptor ~= "it" then count("failed") end
    complain(element, message, trace)
    return nil, true
  end)
end
busted.subscribe({ "pending" }, function(element, _, message)
  local reason = tostring(message or "pending"):gsub("^[^:%s]+:%d+: ", "") -- without the place of the call
  skips[#skips + 1] = ("skipped %s: %s"):format(full_name(element), reason)
  return nil, true
end)

local function summary(counts)
  local text = ("%d passed, %d failed"):format(counts.passed, counts.failed)
  return counts.skipped > 0 and ("%s, %d skipped"):format(text, counts.skipped) or text
end

local began
busted.subscribe({ "file", "start" }, function()
  began = busted.monotime()
  file = { passed = 0, failed = 0, skipped = 0 }
  return nil, true
end)
busted.subscribe({ "file", "end" }, function(element)
  print(("%-32s %s (%.2f s)"):format(element.name, summary(file), busted.monotime() - began))
  for _, text in ipairs(complaints) do print(text) end
  for _, text in ipairs(skips) do print(text) end
  complaints, skips = {}, {}
  io.stdout:flush()
  return nil, true
end)

require "busted.modules.filter_loader"() (busted, {
  tags = {}, excludeTags = {}, filter = filters, filterOut = {}, list = false, nokeepgoing = false,
})
require "busted.modules.test_file_loader"(busted, { "lua" })(files, { "_spec" }, {
  excludes = {}, verbose = false, recursive = true,
})
require "busted.execute"(busted)(1, { sort = true })

for _, text in ipairs(complaints) do print(text) end

-- What was accepted was not tested.
local accepted = (package.loaded["spec.golden.compare"] or {}).accepted or {}
for _, path in ipairs(accepted) do
  print(("FAILED UPDATE_GOLDEN: %s was written anew; look at it, and test without UPDATE_GOLDEN")
    :format(path))
  count "failed"
end

print(summary(total))
local found = total.passed + total.skipped > 0 -- a pattern that no test has
os.exit(total.failed == 0 and found and 0 or 1, true)
