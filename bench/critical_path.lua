-- How near recorded workflows come to the least time that is possible, max(critical path, work /
-- slots), when ready nodes start by their longest remaining path, and in plain order beside it. In
-- virtual time: the figures are the same on every machine.
--
--   build/orrery bench/critical_path.lua FILE...      recorded workflows, WfFormat 1.5
local flow = require "orrery"
local json = require("orrery.core").json
local wfformat = require "orrery.cli.import.wfformat"

local SLOTS = { 2, 4, 8, 16, 32, 64 }

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- Each number of slots is a pool of its own, for there is one of a name in a process.
local function variant(definition, slots, ranked)
  local pool = "slots_" .. slots
  local made = json.decode(definition)
  made.pools = { [pool] = { max = slots } }
  for _, node in ipairs(made.nodes) do
    node.pool.name = pool
    if not ranked then node.estimate = nil end
  end
  return json.encode(made)
end

local function makespan(text)
  local run = flow.run(flow.load { source = text, name = "recorded.json" }, { clock = "virtual" })
  assert(run.state == "completed", run.error and run.error.message)
  local stats = run:stats()
  return stats.ended - stats.started
end

local function least(definition, slots)
  local compiled = assert(flow.compile(flow.load { source = variant(definition, slots, true),
    name = "recorded.json" }))
  local work = 0
  for i = 1, #compiled.def.nodes do work = work + compiled.def.nodes[i].estimate end
  local _, path = compiled.plan:critical(0)
  return math.max(path, work / slots)
end

local function row(name, cells) print(("%-44s"):format(name:sub(-44)) .. table.concat(cells)) end

local titles = {}
for i, slots in ipairs(SLOTS) do titles[i] = ("%15s"):format(slots .. " slots") end
row("makespan / least: by path, plain", titles)

local sums, files = {}, 0
for _, path in ipairs(arg) do
  local definition = wfformat.definition(read(path), path, 1)
  local cells = {}
  for i, slots in ipairs(SLOTS) do
    local bound = least(definition, slots)
    local ranked, plain = makespan(variant(definition, slots, true)) / bound,
      makespan(variant(definition, slots, false)) / bound
    cells[i] = ("%8.3f %6.3f"):format(ranked, plain)
    sums[i] = sums[i] or { 0, 0 }
    sums[i][1], sums[i][2] = sums[i][1] + math.log(ranked), sums[i][2] + math.log(plain)
  end
  files = files + 1
  row(path:match "[^/]*$", cells)
end

if files > 0 then
  local cells = {}
  for i in ipairs(SLOTS) do
    cells[i] = ("%8.3f %6.3f"):format(math.exp(sums[i][1] / files), math.exp(sums[i][2] / files))
  end
  row(("geometric mean of %d"):format(files), cells)
end
