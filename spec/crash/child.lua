-- Starts the runs of a list on a store, each by its key, and waits for all of them. Run again, it
-- resumes the runs that are there. Arguments: the store, the list as JSON, [{ "file", "key", "id",
-- "seed", "n" }, …], and how often an attempt may be cut off.
local flow = require "orrery"

local store, list = arg[1], flow.json.decode(arg[2])
local rt = flow.runtime { store = store, crash_limit = math.tointeger(arg[3]) }

local TAKEN = { duplicate_key = true, duplicate_id = true }

-- False where another process has made the run since it was looked for.
local function run(one)
  local options = { runtime = rt, key = one.key, id = one.id, seed = one.seed, input = { n = one.n } }
  local ok, started = pcall(flow.start, one.file, options)
  if not ok then
    if type(started) == "table" and TAKEN[started.code] then return false end
    error(started, 0)
  end
  if type(started) == "userdata" then rt:wait(started) end
  return not (started.error and TAKEN[started.error.code])
end

local jobs = {}
for i, one in ipairs(list) do
  jobs[i] = function()
    while not run(one) do flow.sleep(0.01) end
  end
end
flow.gather(jobs)
rt:close()
