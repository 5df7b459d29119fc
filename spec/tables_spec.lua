-- The tables that people query, written while runs of every kind come and go, are those that are
-- made anew from their journals.
local core = require "orrery.core"
local flow = require "orrery"
local place = require "spec.support.place"

local SEED = tonumber(os.getenv "TABLES_SEED") or os.time()
local RUNS = 400

local FLOW = [[
local w = require("orrery").workflow { name = "mixture", output = "${input.n}" }
w.zero = { run = function(ctx)
  if ctx.input.sleep > 0 then ctx:sleep(ctx.input.sleep) end
  return ctx.input
end }
w.list = { after = "zero", run = function(ctx)
  local items = {}
  for i = 1, ctx.input.n % 5 do items[i] = ctx:step("s" .. i, function() return i end) end
  return items
end }
w.a10 = { after = "list", each = "${nodes.list}", each_on_failure = "continue", run = function(ctx)
  if ctx.input.n % 7 == 0 and ctx.item == 2 then error "no second one" end
  return ctx.item
end }
w.a9 = { after = "zero", retry = { max = 2, delay = 0.002, jitter = "none" }, run = function(ctx)
  if ctx.attempt <= ctx.input.n % 4 then error "again" end
end }
w.a1 = { after = "a9", when = "input.n % 2 == 0", compensate = function() end, run = function() return "odd" end }
w.b = { after = "zero", loop = { times = 3 }, run = function() end }
w.c = { after = "a1", run = function(ctx) if ctx.input.waits then return ctx:wait("go") end end }
w.last = { after = { "c", "b", "a10" }, run = function(ctx) if ctx.input.n % 11 == 0 then error "at last" end end }
return w
]]

-- A table with all rows of what the projector makes, as one text.
local TABLES = {
  "SELECT * FROM runs ORDER BY number", "SELECT * FROM nodes ORDER BY run, idx, item",
  "SELECT * FROM attempts ORDER BY run, node, item, iteration, attempt, phase",
  "SELECT * FROM steps ORDER BY run, node, item, iteration, path, ordinal, name",
  "SELECT * FROM signals ORDER BY run, seq", "SELECT * FROM timers ORDER BY run, node, item, kind",
}

local function text_of(row)
  local words = {}
  for name, value in pairs(row) do words[#words + 1] = name .. "=" .. tostring(value) end
  table.sort(words)
  return table.concat(words, "|")
end

local function dump(db)
  local lines = {}
  for _, sql in ipairs(TABLES) do
    for _, row in ipairs(db:query(sql)) do lines[#lines + 1] = text_of(row) end
  end
  return lines
end

local FORGET = {
  "DELETE FROM nodes", "DELETE FROM attempts", "DELETE FROM steps", "DELETE FROM signals",
  "DELETE FROM timers",
  [[UPDATE runs SET state = 'pending', input = NULL, output = NULL, error = NULL, started = NULL,
    ended = NULL, seq = 0, nodes = 0, completed = 0, failed = 0, skipped = 0, cancelled = 0, running = 0, waiting = 0]],
  "UPDATE meta SET value = 0 WHERE name = 'projected'",
}

local function made_anew(db)
  local changes = {}
  for i, sql in ipairs(FORGET) do changes[i] = { sql } end
  db:change(changes)
  assert.equal(0, db:query("SELECT count(*) AS n FROM nodes")[1].n)
  db:project()
  return dump(db)
end

-- Some runs are over at once, others go on for longer than the tables wait for any.
local function play(url, path)
  local rts, runs = { flow.runtime { store = url }, flow.runtime { store = url } }, {}
  local plan = flow.compile(flow.load(path))
  for n = 1, RUNS do
    local input = { n = n, waits = math.random(5) == 1, sleep = 0 }
    if math.random(4) == 1 then input.sleep = math.random(150) / 1000 end
    runs[n] = flow.start(plan, { runtime = rts[math.random(2)], input = input })
    if math.random(20) == 1 then flow.sleep(math.random(30) / 1000) end
    local other = runs[math.random(n)]
    if math.random(40) == 1 and not other.ended then other:cancel() end
    if input.waits and not runs[n].ended then
      local ok, problem = pcall(runs[n].signal, runs[n], "go", n)
      assert(ok or problem.code == "run_ended", problem) -- by the cancel before, and not over yet
    end
  end
  for n, run in ipairs(runs) do
    if not run.ended then (n % 2 == 0 and rts[1] or rts[2]):wait(run) end
  end
  for _, rt in ipairs(rts) do rt:close() end
end

describe("the tables", function()
  it("are the same made anew", function()
    math.randomseed(SEED)
    local here <close> = place.new { ["mixture.lua"] = FLOW }
    local url = "sqlite:" .. here.folder .. "/runs.db"
    play(url, here.folder .. "/mixture.lua")
    local db <close> = core.store(url)
    db:project()
    local live = dump(db)
    assert.equal(RUNS, db:query("SELECT count(*) AS n FROM runs WHERE ended IS NOT NULL")[1].n)
    local anew = made_anew(db)
    for i = 1, math.max(#live, #anew) do
      if live[i] ~= anew[i] then
        error(("TABLES_SEED=%d: row %d is\n%s\nand made anew\n%s")
          :format(SEED, i, tostring(live[i]), tostring(anew[i])))
      end
    end
  end)
end)
