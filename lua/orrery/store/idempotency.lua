--- Idempotency keys: a workflow has one run for each key, wherever that runs.
local elsewhere = require "orrery.store.elsewhere"
local errors = require "orrery.errors"
local launch = require "orrery.runtime.launch"
local resume = require "orrery.store.resume"
local run_row = require "orrery.history.run_row"

--- The run of that workflow that has the key of `options`, or nil. One that is over, and one that
--- another process runs, is returned as a record; one whose process is gone goes on here.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param options table
---@return orrery.Run|table|nil
local function by_key(rt, compiled, options)
  if type(options.key) ~= "string" or options.key == "" then
    error("key: expected a text, got " .. errors.show(options.key), 0)
  end
  if not rt:durable() then
    error("key: this runtime has no store that could know other runs with that key", 0)
  end
  local store = rt:store()
  local row = run_row.of_key(store, compiled.name, options.key)
  if not row then return nil end
  local live = launch.live(row.id)
  if live then return live end
  if not run_row.ENDED[row.state] then -- the tables may be a moment behind
    store:project()
    row = run_row.find(store, row.id)
  end
  if run_row.ENDED[row.state] then return elsewhere.record(rt, row) end
  local ok, started = pcall(resume.resume, row.id, { runtime = rt, on_event = options.on_event })
  if ok then return started end
  if type(started) == "table" and started.code == "run_not_begun" then return nil end -- its key is free again
  if not elsewhere.is(started) then error(started, 0) end
  store:project() -- it may have ended there meanwhile
  return elsewhere.record(rt, run_row.find(store, row.id) or row)
end

return by_key
