--- What nodes that wait for a worker wait for: which workers there are, and what keeps them busy.
local core = require "orrery.core"
local pools = require "orrery.worker.pools"

local waiting = {}

local MOST_BUSY, MOST_ITEMS = 4, 256 -- that are named

---@class orrery.WaitForWorker what `run:why` says of a node that waits for a worker
---@field kind "worker"|nil nil of a node some of whose items wait
---@field count integer workers that are busy
---@field limit integer workers that there may be
---@field busy { node: string, item: integer|nil, run: string|nil }[] what some of them do; `run` where it is another
---@field items integer[]|nil items of the node that wait, at most 256 of them, in order
---@field waiting integer|nil how many of them wait

---@type table<orrery.WorkerCall, userdata>
local calls = setmetatable({}, { __mode = "k" }) -- -> its pool; a job that is not over keeps its call
local explaining = false

-- What workers do; a worker that has several handlers, of which one runs at a time, counts once.
local function add_busy(said, pool, run)
  local seen, busy = {}, {}
  for call, of in pairs(calls) do
    local number = of == pool and call.job:worker()
    if number and not seen[number] then
      seen[number], said.count = true, said.count + 1
      busy[#busy + 1] = { node = call.task.node, item = call.task.index, number = number,
        run = call.run ~= run and call.run or nil }
    end
  end
  table.sort(busy, function(a, b) return a.number < b.number end)
  for i = 1, math.min(#busy, MOST_BUSY) do
    busy[i].number = nil
    said.busy[i] = busy[i]
  end
end

local function explain(run, node, item)
  local items, single, pool = {}, false, nil
  for call, of in pairs(calls) do
    local task = call.task
    local fits = call.run == run and task.node == node and (not item or task.index == item)
    if fits and not call.job:worker() then
      pool = of
      if task.index and not item then items[#items + 1] = task.index else single = true end
    end
  end
  if not pool then return nil end
  local said = { count = 0, limit = pool:stats().max, busy = {} }
  add_busy(said, pool, run)
  if single then
    said.kind = "worker"
    return said
  end
  table.sort(items)
  return { worker = { count = said.count, limit = said.limit, busy = said.busy, waiting = #items,
    items = table.move(items, 1, math.min(#items, MOST_ITEMS), 1, {}) } }
end

--- A handler has been given to a pool.
---@param call orrery.WorkerCall
---@param pool userdata
---@param rt orrery.Runtime
function waiting.enter(call, pool, rt)
  if not explaining then core.set_explainer(explain, pools.report) end
  explaining, calls[call] = true, pool
  rt:notice_later()
end

--- It has ended.
---@param call orrery.WorkerCall
function waiting.leave(call) calls[call] = nil end

return waiting
