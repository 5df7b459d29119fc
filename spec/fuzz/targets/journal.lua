-- Journals: the bytes of a run's records in a store. They are read back, or said to be damaged, and
-- the run is nobody's afterwards.
local core = require "orrery.core"
local driver = require "spec.fuzz.driver"
local uv = require "luv"

local function plan_of()
  return core.plan { name = "fuzzed", on_error = "continue", nodes = {
    { name = "list", run = function() return { 1, 2 } end },
    { name = "each", each = function(ctx) return ctx.nodes.list end, deps = { { node = 1 } },
      run = function(ctx) return ctx.item end },
    { name = "fails", retry = { max = 1, delay = 0 }, run = function() error { code = "broken",
    message = "no" } end },
    { name = "steps", deps = { { node = 2 } }, run = function(ctx)
      ctx:step("one", function() return { n = 1 } end)
      return ctx:wait "go"
    end },
  } }
end

-- In memory where the system has such a folder: nothing here is to survive.
local folder = uv.fs_mkdtemp((uv.fs_stat "/dev/shm" and "/dev/shm" or "/tmp") .. "/orrery-fuzz-XXXXXX")
local path = folder .. "/runs.db"
local rt = core.runtime { store = path, clock = "virtual", durability = "relaxed" }
local store, plan = rt:store(), plan_of()
local run = rt:start(plan, { input = { n = 1 } })
while run:why("steps").kind ~= "signal" do core.sleep(0.001) end
local id = run.id
run:suspend()
rt:sync()
store:project()
local number = store:query("SELECT number FROM runs WHERE id = ?", id)[1].number
local kept = {}
for _, row in ipairs(store:query("SELECT records FROM journal WHERE run = ? ORDER BY first", number)) do
  kept[#kept + 1] = row.records
end

local removed = setmetatable({}, { __gc = function() os.execute("rm -rf " .. folder) end })

return {
  removed = removed,
  seeds = { table.concat(kept), kept[1], "" },
  words = { "\0", "\1", "\2", "\127", "\128\1", "\255", "\255\255\255\255\15", "go", "list", "{}", "null",
    "[1,2]", '"' },
  run = function(bytes)
    store:change { { "DELETE FROM journal WHERE run = ?", number },
      { "INSERT INTO journal (run, first, fence, records) VALUES (?, 1, 1, CAST(? AS BLOB))", number,
      bytes } }
    local ok, restored = pcall(rt.restore, rt, plan, id, {})
    if not ok then return driver.kind(restored) end
    local readable, journal = pcall(restored.journal, restored)
    if not readable then driver.told(journal) end
    for _ = 1, 3 do core.sleep(0) end
    local state = restored.state
    if not restored.ended then restored:suspend() end
    rt:sync()
    store:project()
    return ("%s, %s"):format(state, readable and #journal or "unreadable")
  end,
}
