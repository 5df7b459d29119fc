--- Tries a workflow out with a kill after each of its records: what was recorded must be enough to
--- end as if nothing had happened.
local Run = require "orrery.testing.run"
local errors = require "orrery.errors"

local crashes = {}

local MOST = 10000 -- records after which it is given up: the workflow hardly ends

local function options_of(options)
  local given = options
  if type(given) == "function" then given = given() end
  local made = { durable = true, resumes = true }
  if given ~= nil and type(given) ~= "table" then
    error("testing.crashes: expected the options of testing.start, { input = … }, or a function that makes "
      .. "them, got " .. errors.show(given), 0)
  end
  for key, value in pairs(given or {}) do made[key] = value end
  return made
end

local function finish(run) run:finish() end

-- What the journal says of a record, for a message.
local function record_text(run, n)
  local record = run:journal()[n]
  if not record then return "" end
  local attempt = record.attempt and "#" .. record.attempt or ""
  local node = record.node and (" of %s%s"):format(record.node, attempt) or ""
  return (" (%s%s)"):format(record.kind, node)
end

-- One try, killed after n records. Whether it was killed.
local function try(compiled, options, n, check)
  local given = options_of(options)
  given.kill_after = n
  local drive = given.drive or finish
  given.drive = nil
  local run = Run.start(compiled, given)
  local after = ""
  local ok, problem = pcall(function()
    local was_killed = #run:events "run_recovered" > 0
    drive(run)
    was_killed = was_killed or #run:events "run_recovered" > 0
    after = was_killed and ("killed after record %d%s: "):format(n, record_text(run, n)) or ""
    if not was_killed then after = "not killed at all: " end
    check(run, was_killed and n or nil)
    return was_killed
  end)
  run:close()
  if ok then return problem end
  if after == "" then after = ("killed after record %d: "):format(n) end
  if type(problem) == "table" and rawget(problem, "message") then
    problem.message = after .. tostring(problem.message)
    error(problem, 0)
  end
  error(after .. tostring(problem), 0)
end

--- Runs a workflow again and again, killed after its first record, after its second, and so on,
--- each time resumed and brought to its end, and at last without a kill; calls `check` for each.
---@param compiled orrery.Compiled
---@param options table|fun(): table of `testing.start`; a function makes them anew for each try. `drive(run)` brings
--- a run to its end, in place of `run:finish()`
---@param check fun(run: orrery.testing.Run, killed: integer|nil)
---@return integer n how many kills were tried
function crashes.each(compiled, options, check)
  if type(check) ~= "function" then
    error("testing.crashes: expected a function(run) that looks at each run, got " .. errors.show(check), 0)
  end
  for n = 1, MOST do
    if not try(compiled, options, n, check) then return n - 1 end
  end
  error(("testing.crashes: the run has more than %d records"):format(MOST), 0)
end

return crashes
