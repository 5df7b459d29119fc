-- Lists of runs a page at a time: nothing twice and nothing left out, whatever comes and goes
-- between two pages; and pages of the parts of a run, and of its log.
local core = require "orrery.core"
local filter = require "orrery.history.filter"
local list = require "orrery.history.list"
local logs = require "orrery.history.logs"
local mistake = require "orrery.history.mistake"
local parts = require "orrery.history.parts"

local folder, url

local function fresh()
  folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  url = "sqlite:" .. folder .. "/runs.db"
end

local function gone() os.execute("rm -r " .. folder) end

local SEED = math.tointeger(tonumber(os.getenv "LIST_SEED" or "")) or os.time()

-- Says with which seed something failed.
local function seeded(seed, fn)
  local ok, problem = pcall(fn)
  if not ok then error(("LIST_SEED=%d: %s"):format(seed, tostring(problem)), 0) end
end

local function id_of(n) return ("0193f0e2-0000-7000-8000-%012x"):format(n) end

-- ---- a store that changes -----------------------------------------------------------------------

local STATES = { "pending", "running", "waiting", "completed", "failed", "cancelled" }
local ENDED = { completed = true, failed = true, cancelled = true }
local WORKFLOWS = { "a", "b", "c" }
local LABELS = { '{"team":"x"}', '{"team":"y","n":1}', '{"n":2,"ok":true}', "{}" }
local INSERT = "INSERT INTO runs(number, id, workflow, state, durability, labels, created, ended, seq, "
  .. "nodes) VALUES(?, ?, ?, 'pending', 'strict', ?, ?, NULL, 0, 1)"

local function pick(from) return from[math.random(#from)] end

local World = {}
World.__index = World

function World:add()
  self.last = self.last + 1
  local run = { number = self.last, workflow = pick(WORKFLOWS), labels = pick(LABELS), state = "pending",
    created = 1000 + math.random(12) + (math.random(4) == 1 and 0.5 or 0), changed = self.time }
  self.runs[run.number] = run
  self.db:change { { INSERT, run.number, id_of(run.number), run.workflow, run.labels, run.created },
    { "INSERT OR IGNORE INTO workflows VALUES(?, 0, 0, 0)", run.workflow } }
  if math.random(10) > 1 then self:move(run) end -- the others are not shown yet
end

function World:move(run)
  run.state, run.changed = pick(STATES), self.time
  self.db:change { { "UPDATE runs SET state = ?, ended = ?, seq = seq + 1 WHERE number = ?", run.state,
    ENDED[run.state] and 1013 + math.random(9000) / 7 or nil, run.number, n = 3 } }
end

function World:remove(run)
  self.runs[run.number] = nil
  self.db:change { { "DELETE FROM runs WHERE number = ?", run.number } }
end

function World:any()
  local numbers = {}
  for number in pairs(self.runs) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  return self.runs[pick(numbers)]
end

function World:stir(n)
  for _ = 1, n do
    self.time = self.time + 1
    local dice = math.random(4)
    local run = next(self.runs) and self:any()
    if dice == 1 or not run then self:add()
    elseif dice == 2 then self:remove(run)
    else self:move(run) end
  end
end

local function has_label(run, word)
  local name, value = word:match "^([^=]+)=?(.*)$"
  local own = core.json.decode(run.labels)[name]
  if own == nil then return false end
  return value == "" or tostring(own) == value or own == true and value == "1"
end

local function fits(run, args)
  if args.workflow and run.workflow ~= args.workflow then return false end
  if args.state then
    local any = false
    for _, state in ipairs(args.state) do any = any or state == run.state end
    if not any then return false end
  end
  for _, word in ipairs(args.label or {}) do
    if not has_label(run, word) then return false end
  end
  return (not args.from or run.created >= args.from) and (not args.to or run.created < args.to)
end

local function maybe(value) return math.random(3) == 1 and value or nil end

local function random_filter()
  local args = { workflow = maybe(pick(WORKFLOWS)), state = maybe { pick(STATES), pick(STATES) },
    label = maybe { pick { "team", "team=x", "n=2", "ok=true", "ok=1", "n" } },
    from = maybe(1000 + math.random(12)), to = maybe(1000 + math.random(12)) }
  if args.label and math.random(3) == 1 then args.label[2] = "n" end
  args.since = args.from and os.date("!%Y-%m-%dT%H:%M:%SZ", args.from)
  args["until"] = args.to and os.date("!%Y-%m-%dT%H:%M:%SZ", args.to)
  return args
end

-- The sums that are kept are those of the runs that are there.
local function figures_are_right(db)
  local function counted(rows)
    local made = {}
    for _, row in ipairs(rows) do
      made[row.workflow] = { row.runs, row.unfinished, row.completed, row.failed, row.cancelled, row.success }
    end
    return made
  end
  db:change { { "UPDATE runs SET state = state, seq = 1 WHERE seq = 0" } } -- they were in no sum yet
  local exact, kept = db:query "SELECT * FROM workflow_stats", db:rows "workflow_stats"
  assert.same(counted(exact), counted(kept))
  for i, row in ipairs(exact) do
    for _, p in ipairs { "p50", "p95", "p99" } do
      assert.is_true(row[p] == kept[i][p] or math.abs(row[p] / kept[i][p] - 1) < 0.006, p)
    end
  end
end

describe("a list of runs", function()
  before_each(fresh)
  after_each(gone)

  it("gives nothing twice and leaves nothing out, while runs come, go and change", function()
    for round = 0, 9 do
      local seed = SEED + round
      seeded(seed, function()
        math.randomseed(seed)
        local path = ("%s/%d.db"):format(folder, round)
        local db <close> = core.store("sqlite:" .. path, "own")
        local world = setmetatable({ db = db, runs = {}, last = 0, time = 0 }, World)
        for _ = 1, math.random(60) do world:add() end
        for _, name in ipairs(WORKFLOWS) do
          db:change { { "INSERT OR IGNORE INTO workflows VALUES(?, 0, 0, 0)", name } }
        end
        local args = random_filter()
        local begun, seen, last = world.time, {}, nil
        args.limit = math.random(7)
        repeat
          local page = filter.page(db, args)
          assert.is_true(#page.runs <= args.limit)
          for _, row in ipairs(page.runs) do
            local number = math.tointeger(tonumber(row.id:sub(-12), 16))
            local run = world.runs[number]
            assert.is_nil(seen[number], "twice: " .. number)
            assert.is_true(fits(run, args), "not chosen: " .. number)
            assert.equal(run.state, row.state)
            assert.is_true(not last or last.created > run.created
              or last.created == run.created and last.number > number, "out of order")
            seen[number], last = true, { created = run.created, number = number }
          end
          args.cursor = page.next
          if args.cursor then world:stir(math.random(0, 6)) end
        until not args.cursor
        figures_are_right(db)
        for number, run in pairs(world.runs) do
          if run.changed <= begun and fits(run, args) then
            assert.is_true(seen[number], "left out: " .. number)
          end
        end
      end)
    end
  end)

  it("finds a run by its labels from the moment on at which it is shown", function()
    local db <close> = core.store(url, "own")
    db:change { { INSERT, 1, id_of(1), "a", '{"team":"x","n":3.5,"ok":false,"no":null}', 1 } }
    local function found(word)
      return #filter.page(db, { label = { word } }).runs
    end
    assert.equal(1, found "team=x")
    for _, state in ipairs { "running", "completed" } do
      db:change { { "UPDATE runs SET state = ?, seq = seq + 1", state } }
      for _, word in ipairs { "team", "team=x", "n=3.5", "ok=false", "ok=0", "no" } do
        assert.equal(1, found(word), word)
      end
      for _, word in ipairs { "tea", "team=y", "n=3", "ok=true", "no=null", "x" } do
        assert.equal(0, found(word), word)
      end
    end
    db:change { { "DELETE FROM runs" } }
    assert.same({}, db:query "SELECT * FROM run_labels")
  end)

  it("is of some workflows alone where it is asked so", function()
    local db <close> = core.store(url, "own")
    for n = 1, 30 do
      db:change { { INSERT, n, id_of(n), WORKFLOWS[n % 3 + 1], "{}", 1000 + n } }
      if n % 2 == 0 then
        db:change { { "UPDATE runs SET state = 'running', seq = 1 WHERE number = ?", n } }
      end
    end
    local seen, cursor = {}, nil
    repeat
      local page = filter.page(db, { workflows = { "a", "c" }, limit = 4, cursor = cursor })
      for _, run in ipairs(page.runs) do seen[#seen + 1] = run.workflow == "b" and "b" or run.created end
      cursor = page.next
    until not cursor
    local expected = {}
    for n = 30, 1, -1 do
      if n % 3 ~= 1 then expected[#expected + 1] = 1000.0 + n end
    end
    assert.same(expected, seen)
  end)

  it("takes a cursor back as it was given, and no other text", function()
    math.randomseed(SEED)
    for _ = 1, 1000 do
      local place = { at = math.random() * 2 ^ math.random(-10, 40), before = math.random(0, 1 << 40) }
      assert.same(place, list.place(list.cursor(place)))
    end
    for _, text in ipairs { "", "1", "x", ("f"):rep(17), ("f"):rep(200), "7ff8000000000000" .. "1", "12 34",
      ("0"):rep(16), "\0" .. ("0"):rep(17) } do
      local ok, problem = pcall(list.place, text)
      assert.is_true(not ok and mistake.is(problem), text)
    end
  end)
end)

-- ---- parts --------------------------------------------------------------------------------------

-- All rows of a list of pages.
local function all_of(fn, name, args)
  local rows, pages = {}, 0
  repeat
    local page = fn(args)
    table.move(page[name], 1, #page[name], #rows + 1, rows)
    args.cursor, pages = page.next, pages + 1
    assert.is_true(#page[name] <= args.limit)
  until not args.cursor
  return rows, pages
end

describe("the parts of a run", function()
  before_each(fresh)
  after_each(gone)

  local RUN = { number = 1, id = id_of(1) }

  it("come in pages that are the whole together", function()
    local db <close> = core.store(url, "own")
    local changes = { { INSERT, 1, RUN.id, "a", "{}", 1 } }
    local function add(sql, ...) changes[#changes + 1] = { sql, ... } end
    for n = 0, 99 do
      local name = ("n%03d"):format((n * 37) % 100)
      add("INSERT INTO nodes(run, node, item, idx, state, attempts, iteration, output, items) "
        .. "VALUES(1, ?, 0, ?, ?, 1, 1, ?, ?)", name, n, n % 3 == 0 and "failed" or "completed",
        n == 5 and '"' .. ("x"):rep(20000) .. '"' or "[1]", n == 7 and 40 or core.json.null)
      for attempt = 1, n % 3 + 1 do
        add("INSERT INTO attempts(run, node, item, iteration, attempt, phase, state) "
          .. "VALUES(1, ?, 0, 1, ?, 'run', 'failed')", name, attempt)
        add("INSERT INTO steps(run, node, item, iteration, path, ordinal, name, kind, value, time) "
          .. "VALUES(1, ?, 0, 1, '', ?, 'it''s', 'step', '1', 0)", name, attempt)
      end
      add("INSERT INTO signals(run, seq, name) VALUES(1, ?, 'go')", n * 3 + 1)
    end
    for item = 1, 40, 2 do
      add("INSERT INTO nodes(run, node, item, idx, state, attempts, iteration) "
        .. "VALUES(1, 'n059', ?, 7, 'running', 1, 1)", item)
    end
    db:change(changes)
    for _, limit in ipairs { 1, 7, 100, 1000 } do
      local nodes = all_of(function(a) return parts.nodes(db, RUN, a) end, "nodes", { limit = limit })
      assert.equal(100, #nodes)
      for i, node in ipairs(nodes) do
        assert.equal(i, node.index)
        assert.equal(("n%03d"):format((i - 1) * 37 % 100), node.name)
        assert.is_nil(node.item)
      end
      assert.is_nil(nodes[6].output)
      assert.equal(20002, nodes[6].output_bytes)
      assert.same({ 1 }, nodes[7].output)
      local attempts = all_of(function(a) return parts.attempts(db, RUN, a) end, "attempts",
        { limit = limit })
      local steps = all_of(function(a) return parts.steps(db, RUN, a) end, "steps", { limit = limit })
      local signals = all_of(function(a) return parts.signals(db, RUN, a) end, "signals", { limit = limit })
      assert.equal(100, #signals)
      assert.equal(199, #attempts)
      assert.equal(199, #steps)
      for i = 2, #attempts do
        local a, b = attempts[i - 1], attempts[i]
        assert.is_true(a.node < b.node or a.node == b.node and a.attempt + 1 == b.attempt)
      end
      local items = all_of(function(a) return parts.items(db, RUN, a) end, "items",
        { limit = limit, node = "n059" })
      assert.equal(20, #items)
      assert.equal(39, items[20].item)
    end
    local failed = all_of(function(a) return parts.nodes(db, RUN, a) end, "nodes",
      { limit = 9, state = "failed" })
    assert.equal(34, #failed)
    assert.equal(2, #parts.attempts(db, RUN, { node = "n037" }).attempts)
    assert.equal(20002, #core.json.encode(parts.node(db, RUN, "n085").output))
    local ok, problem = pcall(parts.node, db, RUN, "n20")
    assert.same({ false, "node_not_found" }, { ok, problem.code })
    for _, cursor in ipairs { "x", "-1", "7b7d", "00", ("9"):rep(30) } do
      for _, name in ipairs { "nodes", "attempts", "steps", "signals" } do
        ok, problem = pcall(parts[name], db, RUN, { cursor = cursor })
        assert.is_true(ok or mistake.is(problem), name .. " " .. cursor .. ": " .. tostring(problem))
      end
    end
  end)

  it("have a log that is read in pieces, from any line on, or from its end", function()
    math.randomseed(SEED)
    local db <close> = core.store(url, "own")
    local changes, all = { { INSERT, 1, RUN.id, "a", "{}", 1 } }, {}
    for n = 1, 25000 do
      all[n] = { run = n % 7 == 0 and 2 or 1, text = n == 23456 and "The Needle" or "line " .. n }
      changes[#changes + 1] = { "INSERT INTO logs(id, run, node, item, time, level, message) "
        .. "VALUES(?, ?, ?, 0, 0, ?, ?)", n, all[n].run, n % 2 == 0 and "even" or "odd",
        n % 1000 == 1 and "error" or "info", all[n].text }
    end
    db:change(changes)
    local function read(args)
      local found, pages = {}, 0
      repeat
        local page = logs.page(db, RUN, args)
        for _, line in ipairs(page.lines) do found[#found + 1] = line.id end
        args.after, args.tail, pages = page.last, nil, pages + 1
      until not page.more
      return found, pages, args.after
    end
    local function expected(fn)
      local ids = {}
      for n, line in ipairs(all) do
        if line.run == 1 and fn(n, line) then ids[#ids + 1] = n end
      end
      return ids
    end
    for _ = 1, 5 do
      local from, limit = math.random(0, 25000), math.random(1, 1000)
      seeded(SEED, function()
        assert.same(expected(function(n) return n > from end), (read { after = from, limit = limit }))
      end)
    end
    assert.same({ 23456 }, (read { search = "the needle" }))
    assert.same({}, (read { search = "no such thing" }))
    assert.same(expected(function(n) return n % 2 == 0 end), (read { node = "even", limit = 1000 }))
    assert.same(expected(function(n) return n % 1000 == 1 end), (read { level = "warn" }))
    local whole = expected(function() return true end)
    assert.same(table.move(whole, #whole - 9, #whole, 1, {}), (read { tail = 10 }))
    local _, _, last = read { tail = 3 }
    assert.same({}, (read { after = last }))
  end)

  it("have lines of any length, of which a page has the beginning", function()
    local db <close> = core.store(url, "own")
    db:change { { INSERT, 1, RUN.id, "a", "{}", 1 } }
    for n = 1, 40 do
      db:change { { "INSERT INTO logs(id, run, level, message) VALUES(?, 1, 'info', ?)", n,
        ("é"):rep(n * 10000) } }
    end
    local seen, after = 0, 0
    repeat
      local page, size = logs.page(db, RUN, { after = after, limit = 1000 }), 0
      for _, line in ipairs(page.lines) do
        seen = seen + 1
        assert.equal(seen, line.id)
        assert.equal(math.min(seen * 10000, 65536), utf8.len(line.message))
        assert.equal(seen > 6 and seen * 20000 or nil, line.message_bytes)
        size = size + #line.message
      end
      assert.is_true(size < 3 << 20)
      after = page.last
    until not page.more
    assert.equal(40, seen)
  end)
end)
