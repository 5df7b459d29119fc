-- The section `durable`: durable workflows beside the limits of SQLite and the disk, all in one
-- folder, and the recovery of unfinished runs.

local harness = require "harness"
local workloads = require "workloads"

local section = {}

section.MODES = { "strict", "relaxed" }

-- A file system in memory has no durability to measure.
local VOLATILE = { tmpfs = true, ramfs = true }

---The limits: name, arguments of disk_limits, and what the report calls them. %d: see `scale`.
section.LIMITS = {
  { id = "commit1", arguments = "commits %d 1", scale = 5000, label = "SQLite, one commit a step" },
  { id = "commit1000", arguments = "commits %d 1000", scale = 500000,
    label = "SQLite, 1,000 steps a commit" },
  { id = "append", arguments = "append %d", scale = 2000, label = "4 KiB appended and `fdatasync`" },
  { id = "overwrite", arguments = "overwrite %d", scale = 2000, label = "4 KiB overwritten and `fdatasync`" },
}

---The file system and the device of a folder, which is made where it is missing. Raises where it is
---kept in memory.
---@param folder string
---@return string
function section.disk(folder)
  local text = harness.output(("mkdir -p '%s' && df --output=fstype,source '%s' | tail -1")
    :format(folder, folder))
  local kind, device = text:match "^(%S+)%s+(%S+)"
  assert(kind, "the file system of " .. folder .. " cannot be told")
  assert(not VOLATILE[kind], folder .. " is in memory (" .. kind .. "); durable runs are measured on a disk")
  return kind .. " on " .. device
end

local function contestants(list, programs)
  local found = {}
  for _, workload in ipairs(list) do
    for _, mode in ipairs(section.MODES) do
      found[#found + 1] = { id = workload.id .. "." .. mode,
        command = workloads.command(programs.orrery, workload, mode, programs.folder .. "/runs.db") }
    end
  end
  for _, limit in ipairs(section.LIMITS) do
    found[#found + 1] = { id = limit.id,
      command = ("%s/disk_limits %s/limit %s"):format(programs.bench, programs.folder,
      limit.arguments:format(programs.quick and limit.scale // 10 or limit.scale)) }
  end
  return found
end

---Runs the workloads and the limits in turn.
---@param size { rounds: integer, quick: boolean }
---@param programs { bench: string, orrery: string, folder: string, quick: boolean }
function section.durable(size, programs)
  local list = contestants(workloads.list(size.quick), programs)
  for round = 1, size.rounds do
    io.stderr:write(("bench: durable runs, round %d of %d\n"):format(round, size.rounds))
    for _, contestant in ipairs(list) do harness.measure("durable." .. contestant.id, contestant.command) end
  end
end

---Recovers stores of two sizes, so that it shows what memory is in proportion to.
---@param size { rounds: integer, quick: boolean }
---@param programs { orrery: string, folder: string }
function section.recovery(size, programs)
  local few, many = section.recovered(size.quick)
  for round = 1, size.rounds do
    io.stderr:write(("bench: recovery, round %d of %d\n"):format(round, size.rounds))
    for id, runs in pairs { few = few, many = many } do
      local command = ("%s bench/recovery.lua %%s %s/unfinished.db %d")
        :format(programs.orrery, programs.folder, runs)
      harness.measure("unfinished." .. id, command:format "make")
      harness.measure("recovery." .. id, command:format "recover")
    end
  end
end

---Opens a large store whose process was killed, with the file in memory and without.
---@param size { rounds: integer, quick: boolean }
---@param programs { orrery: string, folder: string }
function section.opening(size, programs)
  local command = ("%s bench/opening.lua %%s %s/large.db"):format(programs.orrery, programs.folder)
  harness.measure("opening.make", ("%s %d"):format(command:format "make", size.quick and 64 or 1024))
  for round = 1, size.rounds do
    io.stderr:write(("bench: a large store, round %d of %d\n"):format(round, size.rounds))
    harness.measure("opening.warm", command:format "open")
    harness.measure("opening.cold", command:format "open" .. " cold")
  end
  os.execute(("rm -f %s/large.db*"):format(programs.folder))
end

---Lists runs of a large store by each filter and every pair of filters.
---@param size { rounds: integer, quick: boolean }
---@param programs { orrery: string, folder: string }
function section.lists(size, programs)
  io.stderr:write("bench: lists of runs\n")
  local command = ("%s bench/lists.lua %%s %s/lists.db"):format(programs.orrery, programs.folder)
  harness.measure("lists.make", ("%s %d"):format(command:format "make", size.quick and 100000 or 1000000))
  for _ = 1, size.rounds do harness.measure("lists", command:format "measure") end
  os.execute(("rm -f %s/lists.db*"):format(programs.folder))
end

---How many runs are recovered: few, and many.
---@param quick boolean
---@return integer few
---@return integer many
function section.recovered(quick)
  if quick then return 100, 1000 end
  return 1000, 10000
end

return section
