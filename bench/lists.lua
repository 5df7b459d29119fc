-- Lists of a store of many runs, as the server reads them: by each filter and every pair of
-- filters.
-- usage: build/orrery bench/lists.lua make FILE RUNS   makes the store, straight into its tables
--        build/orrery bench/lists.lua measure FILE     prints the slowest pages, in milliseconds
--        build/orrery bench/lists.lua each FILE        and every one of them, on the standard error
--
-- Half of the runs have the workflow `a` and the label `l=a`, the others `b` and `l=b`; every
-- second one of `b` has failed. Twenty more, spread evenly, are of `a`, have failed and have both
-- labels: so for each pair of filters there are some that go with hundreds of thousands of runs
-- each and with twenty together, and some that have nothing in common.

local core = require "orrery.core"
local filter = require "orrery.history.filter"

local SPECIAL = 20 -- runs
local FIRST = 1790000000 -- when the first was created; one a second
local ROUNDS = 5

-- i counts from 1 to :n; every :n / 20th is special.
local FILL = [[
INSERT INTO runs (id, workflow, state, durability, labels, created, started, ended, seq, nodes, completed)
WITH RECURSIVE c(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM c WHERE i < ?2),
k AS (SELECT i, i % (?3 / 20) = 7 AS special, i % 2 = 0 AS b, i % 200 = 10 AS c FROM c)
SELECT printf('%08x-%04x-7%03x-8000-%012x', (?4 + i) >> 12, (i >> 3) & 65535, i & 4095, i),
  CASE WHEN special OR NOT b THEN 'a' ELSE 'b' END,
  CASE WHEN special THEN 'failed' WHEN i % (?3 / 20) = 8 THEN 'compensated' WHEN i % 4 = 0 THEN 'failed'
    WHEN c THEN 'cancelled' ELSE 'completed' END,
  'strict',
  CASE WHEN special THEN '{"l":"a","m":"b","rare":1}' WHEN b THEN '{"m":"b","l":"b"}' ELSE '{"l":"a"}' END,
  ?4 + i, ?4 + i, ?4 + i + 1.5, 9, 4, 4 FROM k]]

local LABELS = [[
INSERT OR IGNORE INTO run_labels SELECT j.key || iif(w.column1, '=' || j.value, ''), r.state, r.created,
r.number, r.workflow FROM runs AS r, json_each(r.labels) AS j, (VALUES (0), (1)) AS w
WHERE r.number BETWEEN ?1 AND ?2]]

local function make(path, n)
  local db <close> = core.store("sqlite:" .. path, "own")
  local PIECE = 50000
  for from = 1, n, PIECE do
    local to = math.min(from + PIECE - 1, n)
    db:change { { FILL, from, to, n, FIRST }, { LABELS, from, to } }
  end
  db:change { { "INSERT INTO workflows VALUES('a', 0, ?, ?2), ('b', 0, ?1, ?2), ('none', 0, ?1, ?2)", FIRST,
    FIRST + n } }
end

local TEXT = { WHEN = function(at) return os.date("!%Y-%m-%dT%H:%M:%SZ", at) end }

-- What is asked for, by the number of runs that it chooses.
local function questions(n)
  local when = TEXT.WHEN
  local newest, oldest = when(FIRST + n - SPECIAL + 1), when(FIRST + SPECIAL + 1)
  local half, future, past = when(FIRST + n // 2), when(FIRST + n + 10), when(FIRST)
  return {
    { "nothing" }, { "workflow", workflow = "a" }, { "state", state = { "failed" } },
    { "label", label = { "l=a" } }, { "name of a label", label = { "l" } }, { "since", since = half },
    { "until", ["until"] = half },
    { "workflow, 0", workflow = "none" },
    { "state, 20", state = { "compensated" } }, { "state, 0", state = { "compensation_failed" } },
    { "label, 20", label = { "rare=1" } }, { "label, 0", label = { "rare=2" } },
    { "since, 20", since = newest }, { "since, 0", since = future },
    { "until, 20", ["until"] = oldest }, { "until, 0", ["until"] = past },
    { "workflow and state, 20", workflow = "a", state = { "failed" } },
    { "workflow and state, 0", workflow = "a", state = { "cancelled" } },
    { "workflow and label, 20", workflow = "a", label = { "m=b" } },
    { "workflow and label, 0", workflow = "b", label = { "l=a" } },
    { "workflow and since, 20", workflow = "a", since = when(FIRST + n - 2 * SPECIAL) },
    { "workflow and since, 0", workflow = "a", since = future },
    { "workflow and until, 20", workflow = "a", ["until"] = when(FIRST + 2 * SPECIAL) },
    { "workflow and until, 0", workflow = "a", ["until"] = past },
    { "state and label, 20", state = { "failed" }, label = { "l=a" } },
    { "state and label, 0", state = { "cancelled" }, label = { "l=a" } },
    { "state and since, 20", state = { "failed" }, since = when(FIRST + n - 4 * SPECIAL) },
    { "state and since, 0", state = { "failed" }, since = future },
    { "state and until, 20", state = { "failed" }, ["until"] = when(FIRST + 4 * SPECIAL) },
    { "state and until, 0", state = { "failed" }, ["until"] = past },
    { "two labels, 20", label = { "l=a", "m=b" }, apart = true }, -- the one filter, twice
    { "two labels, 0", label = { "l=a", "m=c" } },
    { "label and since, 20", label = { "l=a" }, since = when(FIRST + n - 2 * SPECIAL) },
    { "label and since, 0", label = { "l=a" }, since = future },
    { "label and until, 20", label = { "l=a" }, ["until"] = when(FIRST + 2 * SPECIAL) },
    { "label and until, 0", label = { "l=a" }, ["until"] = past },
    { "since and until, 20", since = half, ["until"] = when(FIRST + n // 2 + SPECIAL) },
    { "since and until, 0", since = half, ["until"] = half },
    { "interrupted", state = { "interrupted" } },
    { "all unfinished", state = { "running,waiting,pending,paused" } },
  }
end

-- Pages until the last one: how long the first takes and the slowest of the others.
local function pages(db, question)
  local first, later, args = nil, 0, setmetatable({ limit = 10 }, { __index = question })
  for _ = 1, 3 do
    local from = core.hrtime()
    local page = filter.page(db, args)
    local took = (core.hrtime() - from) / 1e6
    if first then later = math.max(later, took) else first = took end
    args.cursor = page.next
    if not page.next then break end
  end
  return first, later
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function measure(path, tell)
  local db <close> = core.store("sqlite:" .. path, "look")
  local n = db:row("store_runs").runs
  local worst = { first = 0, later = 0 }
  for _, question in ipairs(questions(n)) do
    local first, later = {}, {}
    pages(db, question) -- warm
    for i = 1, ROUNDS do first[i], later[i] = pages(db, question) end
    local one, two = median(first), median(later)
    if question.apart then worst.labels = one
    else worst.first, worst.later = math.max(worst.first, one), math.max(worst.later, two) end
    if tell then io.stderr:write(("%-28s %8.2f %8.2f ms\n"):format(question[1], one, two)) end
  end
  print("runs " .. n)
  print("first " .. worst.first)
  print("next " .. worst.later)
  print("labels " .. worst.labels)
end

local action, file, runs = arg[1], arg[2], math.tointeger(tonumber(arg[3] or "1000000"))
assert(file and runs, "usage: lists.lua make FILE RUNS | measure FILE | each FILE")
if action == "make" then make(file, runs) else measure(file, action == "each") end
