--- The results of tests that others have run: texts and files in TAP or JUnit's XML, as cases. What
--- is wrong with them is a case as well, so that no report is lost for another.
local flow = require "orrery"
local junit = require "orrery.stdlib.test.shared.junit"
local program = require "orrery.stdlib.test.shared.program"
local tap = require "orrery.stdlib.test.shared.tap"
local uv = require "luv"

local results = {}

local UNREADABLE = { file_error = true, file_too_large = true }
local SLACK = 0.1 -- seconds by which a file system's clock may be behind

-- ---- texts --------------------------------------------------------------------------------------

local function read_junit(text, name)
  local ok, tree = pcall(flow.xml.decode, { text = text, form = "tree", name = name, max_size = 1 << 30 })
  if ok then return junit.read(tree) end
  if type(tree) ~= "table" or tree.code ~= "xml_error" then error(tree, 0) end
  return {}, { tree.message:sub(#name + 2) } -- the case has the name already
end

local FORMATS = { tap = tap.read, junit = read_junit }

local function format_of(text) return text:find "^[\xEF\xBB\xBF]*%s*<" and "junit" or "tap" end

-- A case that stands for what is wrong with a report, or with what should have made it.
local function add_problem(list, name, message, rest)
  local case = { name = name, status = "error", type = "report", message = message }
  for key, value in pairs(rest or {}) do case[key] = value end
  list[#list + 1] = case
end

-- Adds the cases of a text, which `name` gave.
local function add_text(list, text, format, name)
  if format == "auto" then format = format_of(text) end
  local cases, problems = FORMATS[format](text, name)
  table.move(cases, 1, #cases, #list + 1, list)
  for _, message in ipairs(problems) do add_problem(list, name, message) end
end

-- ---- files --------------------------------------------------------------------------------------

-- Patterns by the folder in which they are looked for.
local function find(patterns, folder)
  local list, seen = {}, {}
  for _, pattern in ipairs(patterns) do
    local base = folder or "."
    if pattern:sub(1, 1) == "/" then base, pattern = "/", pattern:sub(2) end
    for _, entry in ipairs(flow.file.find { pattern, path = base }) do
      if not seen[entry.path] then list[#list + 1] = entry end
      seen[entry.path] = true
    end
  end
  table.sort(list, function(a, b) return a.path < b.path end)
  return list
end

-- Those that are not older than the command that should have written them.
local function fresh(entries, since)
  local list = {}
  for _, entry in ipairs(entries) do
    if not since or entry.modified >= since - SLACK then list[#list + 1] = entry end
  end
  return list, #entries - #list
end

local function read_file(list, path, config)
  local ok, text = pcall(flow.file.read, { path = path, max_size = config.max_size })
  if ok then return add_text(list, text, config.format, path) end
  if type(text) ~= "table" or not UNREADABLE[text.code] then error(text, 0) end
  add_problem(list, path, text.message)
end

-- Seconds since 1970 by the system's clock, which files are dated by.
local function now()
  local seconds, micro = uv.gettimeofday()
  return seconds + micro / 1e6
end

-- Adds what is in the files that patterns find.
local function add_files(list, ctx, config, since)
  local entries, old = fresh(find(config.results, config.cwd), since)
  for i, entry in ipairs(entries) do
    read_file(list, entry.path, config)
    ctx:progress(i / #entries, ("%d of %d reports read"):format(i, #entries))
  end
  if #entries == 0 then
    add_problem(list, table.concat(config.results, " "), old > 0
      and ("the command wrote no report; %d that it finds are older than its start"):format(old)
      or "there is no report: no file has such a name")
  end
end

-- ---- commands -----------------------------------------------------------------------------------

local function any_failed(list)
  for _, case in ipairs(list) do
    if case.status == "failed" or case.status == "error" then return true end
  end
  return false
end

local function shown(config)
  local text = config.shell or table.concat(config.argv, " ")
  text = text:gsub("%s+", " ")
  return #text > 80 and text:sub(1, 77) .. "..." or text
end

-- A command that fails says so of the tests that it ran; where none of them has failed, or it was
-- ended, something else is wrong.
local function judge_command(list, config, ran, seconds)
  local message, kind = program.complaint(ran, seconds)
  if not message or kind == "exit_status" and any_failed(list) then return end
  add_problem(list, shown(config), message, { type = kind, output = program.output(ran) })
end

--- Runs a command, and reads what it says of its tests on stdout, or in files.
---@param ctx orrery.Context
---@param config table of `test.suite`
---@param env table<string, string> further variables
---@param seconds? number its time
---@return table[] cases
function results.of_command(ctx, config, env, seconds)
  return ctx:step("command", function()
    local list, since = {}, now()
    local ran = program.run(config, env, seconds)
    if ran.error then
      judge_command(list, config, ran, seconds)
      return flow.json.array(list)
    end
    if config.results then add_files(list, ctx, config, since)
    else add_text(list, ran.stdout, config.format, shown(config)) end
    judge_command(list, config, ran, seconds)
    return flow.json.array(list)
  end)
end

--- Reads files.
---@param ctx orrery.Context
---@param config table of `test.suite`
---@return table[] cases
function results.of_files(ctx, config)
  local list = {}
  add_files(list, ctx, config)
  return list
end

return results
