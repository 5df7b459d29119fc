-- The commands that send messages to runs and maintain the store: signal, cancel, pause, prune,
-- backup, cache; and what real runs leave.
local command = require "spec.support.command"
local core = require "orrery.core"
local golden = require "spec.golden.compare"
local owners = require "orrery.history.owners"
local retention = require "orrery.store.retention"
local past = require "spec.support.history"

local json = core.json
local T, DONE, WAITS = past.T, past.DONE, past.WAITS
local ok, has, refused, lines_of, query = past.ok, past.has, past.refused, past.lines_of, past.query

local function each_test() past.each_test { before_each = before_each, after_each = after_each } end

local orrery = past.orrery

local function url() return select(2, past.place()) end

-- ---- telling runs something ---------------------------------------------------------------------

describe("orrery signal", function()
  each_test()

  local function inbox()
    return json.decode(query("SELECT text FROM inbox ORDER BY id DESC LIMIT 1")[1].text)
  end

  it("leaves a message with its data", function()
    local result = ok("signal", "0193f0e3-1", "release", '{"n": 1}')
    has(result.out, "signal release was left for run " .. WAITS)
    has(result.err, "nobody runs it now: it is taken when `orrery resume 0193f0e3-1`")
    assert.are.same({ n = 1 }, inbox().data)
    assert.are.equal("release", inbox().name)
    assert.is_true(math.abs(inbox().sent - os.time()) < 60)
    assert.are.equal("signal", query("SELECT name FROM inbox")[1].name)
  end)

  it("leaves approvals with who and why", function()
    ok("signal", WAITS, "release", "--approve", "--by", "ada", "--why", "tests are green")
    assert.are.same({ approved = true, by = "ada", why = "tests are green" }, inbox().data)
    ok("signal", WAITS, "release", "--reject")
    assert.is_false(inbox().data.approved)
    assert.are.equal("string", type(inbox().data.by))
  end)

  it("counts once what has the same id", function()
    for _ = 1, 2 do ok("signal", WAITS, "release", "--id", "x", "--json") end
    assert.are.equal(1, #query "SELECT 1 FROM inbox")
  end)

  it("says that nobody waits for that name", function()
    has(ok("signal", WAITS, "relaese").err, "did you mean 'release'?")
  end)

  it("refuses what makes no sense", function()
    refused(1, "has ended: it is completed", "signal", DONE, "release")
    refused(2, "is not JSON", "signal", WAITS, "release", "{")
    refused(2, [[a text is written '"yes"']], "signal", WAITS, "release", "yes")
    refused(2, "exclude each other", "signal", WAITS, "release", "--approve", "--reject")
    refused(2, "no other data", "signal", WAITS, "release", "1", "--approve")
    refused(2, "belong to --approve", "signal", WAITS, "release", "--why", "x")
  end)
end)

describe("orrery cancel and pause", function()
  each_test()

  it("leave a message, and say what happens to a run that nobody runs", function()
    local result = ok("cancel", "0193f0e3-1")
    has(result.out, "asked to cancel " .. WAITS)
    has(result.err, "nobody runs it now: it is cancelled when `orrery resume 0193f0e3-1` lets it go on")
    ok("pause", WAITS)
    assert.are.same({ { name = "cancel" }, { name = "pause" } }, query "SELECT name FROM inbox ORDER BY id")
  end)

  it("keep why with the message", function()
    ok("cancel", WAITS, "--why", "the source was wrong")
    assert.are.same({ { text = '{"reason":"the source was wrong"}' } }, query "SELECT text FROM inbox")
  end)

  it("say that a run has ended, and do the others", function()
    local result = orrery("cancel", DONE, WAITS)
    assert.are.equal(1, result.code)
    has(result.out, "asked to cancel " .. WAITS)
    has(result.err, DONE .. " has ended already: it is completed")
  end)

  it("take a filter, which means what has not ended", function()
    local said = json.decode(ok("cancel", "--workflow", "etl", "--json").out)
    assert.are.equal(1, said.count)
    assert.are.same({ { id = WAITS, workflow = "etl", owned = false } }, said.sent)
    has(ok("cancel", "--state", "failed").out, "asked to cancel: 0 runs")
    ok("pause", "--workflow", "etl", "--state", "waiting")
    assert.are.same({ { name = "cancel" }, { name = "pause" } }, query "SELECT name FROM inbox ORDER BY id")
    assert.are.equal(0, query("SELECT paused FROM workflows WHERE name = 'etl'")[1].paused)
  end)

  it("want to know which runs", function()
    refused(2, "which runs?", "cancel")
    refused(2, "which runs?", "pause", "--limit", "3")
    refused(2, "not both", "cancel", WAITS, "--workflow", "etl")
    refused(2, "give one of them", "pause", WAITS, "--pool", "db")
  end)

  it("pause a whole workflow and a pool", function()
    has(ok("pause", "--workflow", "etl").out,
      "workflow etl is paused; `orrery resume --workflow etl` lets it go on")
    has(ok("pause", "--workflow", "etl").out, "was paused already")
    assert.are.equal(1, query("SELECT paused FROM workflows WHERE name = 'etl'")[1].paused)
    assert.are.same({ pool = "db", paused = true, changed = true },
      json.decode(ok("pause", "--pool", "db", "--json").out))
    assert.are.same({ { name = "db", paused = 1 } }, query "SELECT * FROM pools")
    refused(2, "there are: etl, order", "pause", "--workflow", "zzz")
    local asked = query "SELECT DISTINCT name FROM inbox ORDER BY name"
    assert.are.same({ { name = "pause" }, { name = "pool" } }, asked)
  end)
end)

-- ---- tending ------------------------------------------------------------------------------------

describe("orrery prune", function()
  each_test()

  local function left()
    return query("SELECT group_concat(number) AS n FROM (SELECT number FROM runs ORDER BY number)")[1].n
  end

  it("removes what ended long ago with all that belongs to it, and nothing else", function()
    local cutoff = os.time() - T + 86400 .. "s"
    local made = json.decode(ok("prune", "--older", cutoff, "--json").out)
    assert.are.same({ 1, 1, 1, 1, 1, 5 },
      { made.runs, made.bundles, made.modules, made.cache, made.blobs, made.bytes })
    assert.are.equal("2,3,4,5", left())
    assert.are.equal(0, #query "SELECT 1 FROM nodes WHERE run = 1")
    assert.are.equal(past.nodes - 1, #query "SELECT 1 FROM nodes")
    assert.are.same({ { hash = "aaaa" }, { hash = "cccc" } }, query "SELECT hash FROM blobs ORDER BY hash")
    assert.are.same({ { hash = "b1" } }, query "SELECT hash FROM bundles")
  end)

  it("never removes what has not ended, nor what an unfinished caller may ask for again", function()
    local db = core.store(url())
    db:change { { "UPDATE runs SET parent = 4 WHERE number = 3" } }
    ok("prune", "--older", "0s")
    assert.are.equal("3,4", left())
    for _, name in ipairs { "nodes", "attempts", "steps", "signals", "logs", "journal" } do
      assert.are.equal(0, #db:query("SELECT 1 FROM " .. name .. " WHERE run NOT IN (3, 4)"), name)
    end
    db:close()
  end)

  it("leaves a run that somebody has just taken to retry it", function()
    local db = core.store(url())
    local owner, rt = past.live()
    db:change { { "UPDATE runs SET owner = ? WHERE number = 2", owner },
      { "UPDATE runs SET owner = 1 WHERE number = 3" } }
    db:close()
    ok("prune", "--older", "0s")
    rt:close()
    assert.are.equal("2,4", left())
    assert.are.equal(2, #query "SELECT 1 FROM bundles", "a process that lives may have one open")
  end)

  it("takes states and a workflow, and with --dry nothing at all", function()
    has(ok("prune", "--older", "1s", "--state", "failed,completed", "--workflow", "etl", "--dry").out,
      "would remove 3 runs")
    assert.are.equal("1,2,3,4,5", left())
    has(ok("prune", "--older", "1s", "--state", "failed").out, "removed 1 run,")
    assert.are.equal("1,2,4,5", left())
  end)

  it("goes by the second: what ended at the very time stays, and an entry that expires at it goes", function()
    local db = core.store(url())
    local ended = db:query("SELECT ended FROM runs WHERE number = 1")[1].ended
    local function would(now) return retention.prune(db, { older = 100, now = now, dry = true }).runs end
    assert.are.same({ 0, 1 }, { would(ended + 100), would(ended + 100.5) })
    local expires = db:query("SELECT min(expires) AS at FROM cache")[1].at
    local function gone(now) return retention.prune(db, { older = 1e9, now = now, dry = true }).cache end
    assert.are.same({ 0, 1 }, { gone(expires - 0.5), gone(expires) })
    db:close()
  end)

  it("removes nothing of what it only counts", function()
    local function count()
      local rows = {}
      for i, name in ipairs { "runs", "cache", "blobs", "bundles", "modules", "owners" } do
        rows[i] = query("SELECT count(*) AS n FROM " .. name)[1].n
      end
      return rows
    end
    local before, cutoff = count(), os.time() - T + 86400 .. "s"
    local told = json.decode(ok("prune", "--older", cutoff, "--json", "--dry").out)
    assert.is_true(told.runs > 0 and told.cache > 0 and told.blobs > 0)
    assert.are.same(before, count())
  end)

  it("leaves the newest of the processes that have gone, so that numbers go on from it", function()
    local db = core.store(url())
    db:change { { "DELETE FROM owners" }, { "UPDATE runs SET owner = NULL" } }
    for id = 7, 9 do
      db:change { { [[INSERT INTO owners(id, pid, host, command, started, ended)
        VALUES(?, 1, '', 'x', 1, 2)]], id } }
    end
    assert.are.equal(2, retention.prune(db, { older = 10 }).owners)
    assert.are.same({ { id = 9 } }, db:query "SELECT id FROM owners")
    db:close()
  end)

  it("works through many in slices", function()
    local db = core.store(url())
    db:change { { [[WITH RECURSIVE c(n) AS (SELECT 6 UNION ALL SELECT n + 1 FROM c WHERE n < 505)
      INSERT INTO runs(number, id, workflow, state, durability, created, ended)
      SELECT n, printf('0194%04d-0000-7000-8000-000000000000', n), 'many', 'cancelled', 'strict', 1,
        2 FROM c]] },
      { "INSERT INTO workflows VALUES('many', 0, 1, 1)" } }
    db:close()
    assert.are.equal(500, json.decode(ok("prune", "--older", "1d", "--workflow", "many", "--json").out).runs)
    assert.are.equal("1,2,3,4,5", left())
  end)

  it("keeps a setting, which hosts apply when they start", function()
    assert.are.equal("completed runs are kept for 30 days\n",
      ok("prune", "--keep", "30d", "--state", "completed").out)
    local db = core.store(url())
    assert.are.same({ older = 30 * 86400, states = { "completed" } }, retention.setting(db))
    assert.are.equal(json.decode(ok("prune", "--dry", "--json").out).runs, retention.apply(db).runs)
    assert.is_nil(left():find("2", 1, true) and os.time() > T + 30 * 86400 + 3 or nil)
    local later = ok("prune", "--keep", "90d", "--dry")
    assert.are.equal("would set: runs are kept for 90 days\n", later.out)
    has(later.err, "takes the place of: completed runs are kept for 30 days")
    local set = json.decode(ok("prune", "--keep", "12h", "--json", "--dry").out)
    assert.are.same({ 43200, 2592000, true }, { set.keep.older, set.before.older, set.dry })
    refused(2, "leave --state and --workflow out", "prune", "--keep", "forever", "--state", "failed")
    ok("prune", "--keep", "forever")
    assert.is_nil(retention.setting(db))
    assert.is_nil(retention.apply(db))
    db:close()
  end)

  it("wants to know how old", function()
    refused(2, "how old?", "prune")
    refused(2, "--older", "prune", "--state", "failed")
    refused(2, "unknown unit", "prune", "--older", "3x")
    refused(2, "did you mean 'completed'?", "prune", "--older", "3d", "--state", "complete")
    refused(2, "no state of a run that has ended", "prune", "--older", "3d", "--state", "running")
    refused(2, "give one of them", "prune", "--older", "3d", "--keep", "3d")
  end)
end)

describe("orrery backup", function()
  each_test()

  it("writes a store that can be looked at, and overwrites nothing", function()
    local copy = past.place() .. "/copy.db"
    has(ok("backup", copy).out, "copy.db")
    local result = command.run({ "runs", "--json", "--store", copy })
    assert.are.equal(5, #lines_of(result.out), result.err)
    assert.are.equal(384, require("luv").fs_stat(copy).mode & 511) -- 0600: as private as the store
    refused(2, "exists", "backup", copy)
    refused(2, "the folder /nowhere/at does not exist", "backup", "/nowhere/at/all.db")
  end)
end)

describe("orrery cache", function()
  each_test()

  it("lists what is stored, and clears it by workflow and node", function()
    golden("history_cache.txt", ok("cache").out)
    local rows = lines_of(ok("cache", "--json").out)
    assert.are.same({ "k-2", "k-1" }, { rows[1].key, rows[2].key })
    assert.are.same({ DONE, 7, T }, { rows[2].run, rows[2].size, rows[2].created })
    assert.are.same({ cleared = 0 }, json.decode(ok("cache", "clear", "--workflow", "order", "--json").out))
    has(ok("cache", "clear", "--node", "parse").out, "cleared 1 entry")
    has(ok("cache", "clear").out, "cleared 1 entry")
    has(ok("cache").err, "nothing is stored")
    refused(2, "none of list, clear", "cache", "empty")
  end)
end)

describe("an owner", function()
  each_test()

  it("lives while its process does, unless it left or was taken over", function()
    local owner, rt = past.live()
    local db = rt:store()
    local uv = require "luv"
    local function now(sql, ...)
      db:change {
        { "UPDATE owners SET lost = 0, ended = NULL, host = ?, pid = ? WHERE id = ?", uv.os_gethostname(),
          uv.os_getpid(), owner },
        { "UPDATE owners SET " .. sql .. " WHERE id = " .. owner, ... } }
      return db:owner(owner), owners.alive(db, owner)
    end
    assert.are.same({ "self", true }, { now "lost = 0" })
    assert.are.same({ "self", true }, { now "pid = 1" }) -- its lock counts, not its number
    assert.are.same({ "gone", false }, { now "ended = 1" })
    assert.are.same({ "gone", false }, { now "lost = 1" })
    assert.are.same({ "self", true }, { now("pid = 999999999, host = ?", "another container") })
    -- another process may have this one's number: an owner is not ours for that
    local look <close> = core.store((select(2, past.place())))
    assert.are.same({ "self", true }, { now "lost = 0" })
    assert.are.equal("lives", look:owner(owner))
    assert.are.equal("gone", db:owner(1))
    assert.is_nil(db:owner(99))
    rt:close()
    db = core.store((select(2, past.place())))
    assert.are.equal("gone", db:owner(owner))
    db:close()
  end)
end)

-- ---- real runs ----------------------------------------------------------------------------------

describe("what real runs have left", function()
  local WORKFLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "real", output = "${nodes.sum}" }
w.list = { run = function(ctx) ctx:log("warn", "listing", { n = 3 }) return { 1, 2, 3 } end }
w.twice = { each = "${nodes.list}", run = function(ctx) return 2 * ctx.item end }
w.sum = { after = "twice", retry = { max = 1, delay = 0.01 }, run = function(ctx, inputs)
  if ctx.attempt == 1 then error { code = "later", message = "not yet", retryable = true } end
  local n = ctx:step("count", function() return #inputs.twice end)
  return n * 10
end }
return w
]]

  local home

  setup(function()
    home = os.tmpname()
    os.remove(home)
    os.execute("mkdir " .. home)
    local file <close> = assert(io.open(home .. "/real.lua", "wb"))
    file:write(WORKFLOW)
  end)
  teardown(function() os.execute("rm -r " .. home) end)

  local function at_home(...)
    return command.run({ ... }, nil, ("cd %s; unset ORRERY_STORE;"):format(home))
  end

  it("is shown as it was", function()
    local result = at_home("run", "real.lua", "--store", "sqlite:.orrery/runs.db", "--label", "suite=real",
      "--key", "one", "--quiet")
    assert.are.equal(0, result.code, result.err)
    local listed = lines_of(at_home("runs", "--json").out)
    assert.are.same({ "real", "completed", "one", "real" },
      { listed[1].workflow, listed[1].state, listed[1].key, listed[1].labels.suite })
    assert.is_true(listed[1].ended >= listed[1].created)
    local shown = json.decode(at_home("show", listed[1].id, "--json").out)
    assert.are.equal(30, shown.output)
    assert.are.same({ "list", "twice", "sum" },
      { shown.nodes[1].name, shown.nodes[2].name, shown.nodes[3].name })
    assert.are.same({ 2, 4, 6 }, shown.nodes[2].output)
    assert.are.equal(3, #shown.nodes[2].items)
    assert.are.equal(2, #shown.nodes[3].tries)
    assert.are.equal("count", shown.steps[1].name)
    assert.are.equal(3, shown.steps[1].value)
    local logged = lines_of(at_home("logs", listed[1].id, "--json").out)
    assert.are.same({ "list", "warn", "listing" }, { logged[1].node, logged[1].level, logged[1].message })
    has(at_home("why", listed[1].id, "sum").out, "sum completed at attempt 2")
    local db <close> = core.store("sqlite:" .. home .. "/.orrery/runs.db")
    local sent, why = pcall(db.send, db, listed[1].id, "cancel", "{}")
    assert.is_false(sent)
    has(why, "has ended")
    local stats = json.decode(at_home("stats", "--workflow", "real", "--json").out)
    assert.are.equal(1, stats.workflows[1].completed)
  end)
end)
