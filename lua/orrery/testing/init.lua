--- Testing workflows: `local testing = require "orrery.testing"`, in files that `orrery test` runs
--- and in specs of busted. A run is tried out in virtual time, with functions in place of node
--- types and nodes.
---
--- Require it before workflows are compiled (run, checked): what is compiled before cannot be
--- replaced.
local Run = require "orrery.testing.run"
local World = require "orrery.testing.world"
local doubles = require "orrery.testing.doubles"
local prepare = require "orrery.definition.prepare"
local uv = require "luv"

local testing = {
  fails = doubles.fails,
  after = doubles.after,
  hangs = doubles.hangs,
  sequence = doubles.sequence,
  real = doubles.real,
}

-- For modules that tests share: in files of tests `assert` is it already.
testing.assert = require "orrery.testing.assert"

--- The folder that paths of workflows are looked for in first; a runner of tests sets it.
---@type string|nil
testing.folder = nil

-- The folder of the file whose code calls, for those that no runner tells.
local function callers_folder()
  for level = 3, 12 do
    local info = debug.getinfo(level, "S")
    if not info then return nil end
    local path = info.what ~= "C" and info.source:match "^@(.*)$"
    if path and not path:find("orrery/testing/", 1, true) then return path:match "^(.*)/[^/]*$" end
  end
end

-- A path is looked for beside the test first, then from the present folder.
local function found(what)
  if type(what) ~= "string" or what:sub(1, 1) == "/" then return what end
  local folder = testing.folder or callers_folder()
  local beside = folder and folder .. "/" .. what
  return beside and uv.fs_access(beside, "R") and beside or what
end

--- Starts a run in virtual time. Its clock stands: what is due at once has happened when this
--- returns. *Waits.* Raises mistakes of the definition, of the input and of the options.
---@param what orrery.Workflow|string a workflow or the path of its file, from the test's folder or the present one
---@param options? orrery.testing.Options
---@return orrery.testing.Run
function testing.start(what, options)
  return Run.start(prepare.compiled(found(what)), options or {})
end

--- Starts a run and brings it to its end. *Waits.*
---@param what orrery.Workflow|string
---@param options? orrery.testing.Options
---@return orrery.testing.Run
function testing.run(what, options)
  return testing.start(what, options):finish()
end

--- Runs a workflow once for each of its records, killed after it and resumed, and calls `check`
--- with each run that has ended. *Waits.*
---@param what orrery.Workflow|string
---@param options table|fun(): table of `testing.start`, made anew for each run by a function; `drive`: function(run)
--- that brings a run to its end, in place of run:finish()
---@param check fun(run: orrery.testing.Run, killed: integer|nil) killed: the record after which it was killed
---@return integer kills how many were tried
function testing.crashes(what, options, check)
  return require("orrery.testing.crashes").each(prepare.compiled(found(what)), options, check)
end

--- Ends the tests of all runs that were started: what is under way is given up, stores are removed.
--- `orrery test` does it after each test; in busted call it in after_each.
function testing.close() World.close_from(0) end

-- In busted its `assert` gets the assertions about runs.
if package.loaded["luassert"] then require "orrery.testing.busted".register(package.loaded["luassert"]) end

---@class orrery.testing.Options
---@field input? any
---@field context? any
---@field only? string|string[]
---@field from? string|string[]
---@field concurrency? integer
---@field seed? integer
---@field labels? table
---@field trigger? table
---@field nodes? table<string, any> doubles by node, "workflow/node" for nodes of workflows that it calls
---@field types? table<string, any> doubles by node type; * and ? in a name stand for anything
---@field failures? table<string, any> by node: true, a code or an error for every attempt, a table of these by attempt, or
--- function(ctx)
---@field compensations? table<string, any> doubles of what undoes a node
---@field env? table<string, string|false> variables of the environment, for as long as the run is tested
---@field now? number seconds since 1970 at the start; 1000000000
---@field sealed? boolean node types of the library that reach beyond the process and have no double fail
---@field durable? boolean it is kept in a store, and can be killed and resumed
---@field kill_after? integer the run is killed when it has so many records
---@field limit? number real seconds that a control may take (10)

return testing
