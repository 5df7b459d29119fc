-- What is asked of a store by name, from Lua; and that nothing outside of runtime/store holds SQL.
local core = require "orrery.core"
local past = require "spec.support.history"

describe("a query by its name", function()
  past.each_test { before_each = before_each, after_each = after_each }

  local function store()
    local _, url = past.place()
    return core.store(url, "own")
  end

  it("gives rows, the first row, or all in a loop", function()
    local db <close> = store()
    local rows, seen = db:rows("nodes_of_run", { run = 2 }), {}
    assert.is_true(#rows > 1)
    assert.same(rows[1], db:row("nodes_of_run", { run = 2 }))
    for row in db:each_row("nodes_of_run", { run = 2 }) do seen[#seen + 1] = row end
    assert.same(rows, seen)
    assert.is_nil(db:row("run", { id = "none" }))
    assert.same({}, db:rows("nodes_of_run", { run = 1000 }))
    assert.is_true(#db:rows "owners" >= 1)
  end)

  it("takes an array as a list, and false as no flag", function()
    local db <close> = store()
    local function chosen(fields)
      fields.state, fields.limit = "completed", 1000
      local numbers = {}
      for i, row in ipairs(db:rows("runs_in_state", fields)) do numbers[i] = row.number end
      return numbers
    end
    local all = chosen {}
    assert.same({ 2, 1 }, all)
    assert.same(all, chosen { unfinished = false })
    assert.same({}, chosen { unfinished = true })
    assert.same(all, chosen { states = { "failed", "completed" } })
    assert.same({}, chosen { states = { "failed", "cancelled" } })
    assert.same({}, chosen { states = {} })
    assert.same({}, chosen { labels = { { name = "\xff" } } })
    assert.equal(0, db:row("runs_left", { runs = {} }).n)
    assert.equal(2, db:row("runs_left", { runs = { 1, 2, 1000 } }).n)
  end)

  it("is refused where it is not known, or its parameters are not", function()
    local db <close> = store()
    local function says(message, ...)
      local ok, problem = pcall(...)
      assert.is_false(ok)
      assert.equal(message, (tostring(problem):gsub("^.-#1 to", "#1 to")))
    end
    local ok, problem = pcall(db.rows, db, "nodes_of_runs")
    assert.is_false(ok)
    past.has(problem, "the store has no query of that name")
    says("node has no parameter 'nod': expected run integer, node text, item integer", db.row, db, "node",
      { run = 1, nod = "a" })
    says("owners has no parameter '1': expected none", db.rows, db, "owners", { 1 })
    says("node: the value of item is of another type: expected run integer, node text, item integer", db.row,
      db, "node", { run = 1, node = "a" })
    says("a parameter is a table; a statement takes nil, booleans, numbers and strings", db.row, db, "run",
      { id = {} })
    ok, problem = pcall(db.perform, db, "owners")
    assert.is_false(ok)
    past.has(problem, "the store has no change of that name")
  end)

  it("cannot be asked of a store that was closed with its runtime", function()
    local _, url = past.place()
    local rt = require("orrery").runtime { store = url }
    local db = rt:store()
    assert.is_table(db:row "run_newest")
    rt:close()
    local ok, message = pcall(db.row, db, "run_newest")
    assert.is_false(ok)
    assert.matches("closed", tostring(message))
  end)

  it("cannot be asked of a store in memory, which has no tables", function()
    local db <close> = core.store("memory:", "own")
    for _, method in ipairs { "rows", "row", "each_row" } do
      local ok, problem = pcall(db[method], db, "owners")
      assert.is_false(ok)
      past.has(problem, "a store in memory has no tables")
    end
  end)
end)

describe("a change by its name", function()
  past.each_test { before_each = before_each, after_each = after_each }

  it("says how many rows it changed", function()
    local _, url = past.place()
    local db <close> = core.store(url, "own")
    assert.equal(1, db:perform("pool_pause", { name = "p' OR 1 --" }))
    assert.equal(0, db:perform("pool_pause", { name = "p' OR 1 --" }))
    assert.same({ { name = "p' OR 1 --" } }, db:rows "pools_paused")
    assert.equal(0, db:perform("cache_clear", { workflow = "other" }))
    assert.equal(1, db:perform("cache_clear", { workflow = "etl", node = "parse" }))
    assert.equal(1, db:perform "cache_clear")
  end)
end)

-- ---- SQL stands in one place -------------------------------------------------------------------

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function lines_of(shell)
  local lines = {}
  local pipe <close> = assert(io.popen(shell))
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines
end

-- The tables and views, as the schema makes them.
local function tables()
  local names = {}
  for _, path in ipairs { "runtime/store/sqlite/schema.c", "runtime/store/sqlite/views.c" } do
    for name in read(path):gmatch "CREATE %u+ ([%l_]+)" do names[name] = true end
  end
  return names
end

-- Comments may speak of SQL, and strings of what is no comment there.
local function without_comments(path, text)
  if not path:find "%.lua$" then
    return (text:gsub("/%*.-%*/", function(c) return (c:gsub("[^\n]", " ")) end))
  end
  return (("\n" .. text):gsub("\n%s*%-%-[^\n]*", "\n"):gsub("([;,%s])%-%- [^\n]*", "%1"):sub(2))
end

-- What begins a statement, and what in one is followed by a table's name.
local BEGINS = { "SELECT%s+[%w_(*'\"?:]", "INSERT%s+%u+", "REPLACE%s+INTO", "DELETE%s+FROM",
  "CREATE%s+%u", "ALTER%s+TABLE", "DROP%s+%u" }
local BEFORE_A_TABLE = { "FROM", "JOIN", "INTO", "UPDATE", "TABLE" }

-- The first SQL in a file as `line: text`, or nil.
local function sql_in(path, text, names)
  local n = 0
  for line in (without_comments(path, text) .. "\n"):gmatch "(.-)\n" do
    n = n + 1
    local found
    for _, pattern in ipairs(BEGINS) do found = found or line:find("%f[%u]" .. pattern) end
    for _, word in ipairs(BEFORE_A_TABLE) do
      local name = line:match("%f[%u]" .. word .. "%s+([%l_]+)")
      found = found or name and names[name]
    end
    if path:find "%.lua$" then found = found or line:find ":query%f[%W]" or line:find ":change%f[%W]" end
    if found then return ("%d: %s"):format(n, line) end
  end
end

describe("SQL", function()
  local names = tables()

  it("is known where it stands", function()
    assert.is_true(names.runs and names.nodes and names.commits and names.node_stats)
    local cases = {
      ['db:query("x")'] = true, ["local a = 'SELECT 1'"] = true, ['"DELETE FROM runs"'] = true,
      ['" FROM runs WHERE a"'] = true, ['"UPDATE workflows SET paused = 1"'] = true,
      ["-- SELECT 1 FROM runs"] = false,
      ["a = 1 -- a SELECT * of a user's"] = false,
      ['"FROM: nodes"'] = false, ['"the runs FROM here"'] = false,
      ['db:rows("runs_shown")'] = false, ["local UPDATE = runs"] = false,
    }
    for text, is_sql in pairs(cases) do
      assert.equal(is_sql, sql_in("a.lua", text, names) ~= nil, text)
    end
    assert.is_nil(sql_in("a.c", "/* SELECT 1\n * FROM runs */", names))
    assert.equal('2: "JOIN runs"', sql_in("a.c", '/* a */\n"JOIN runs"', names))
    assert.is_not_nil(sql_in("runtime/store/sqlite/queries.c", read "runtime/store/sqlite/queries.c", names))
  end)

  it("stands in runtime/store alone", function()
    local wrong = {}
    local paths = lines_of "find lua stdlib runtime -name '*.lua' -o -name '*.[ch]' | grep -v ^runtime/store/"
    assert.is_true(#paths > 100)
    for _, path in ipairs(paths) do
      -- the annotations of the public API name what a user may call, and these ask databases of
      -- the user's
      local others = path:find "^lua/orrery/library/" or path == "lua/orrery/rows/database.lua"
        or path == "stdlib/sqlite.lua" or path:find "^lua/orrery/rows/postgres/"
          or path == "stdlib/postgres.lua"
      local found = not others and sql_in(path, read(path), names)
      if found then wrong[#wrong + 1] = path .. ":" .. found end
    end
    assert.equal("", table.concat(wrong, "\n"))
  end)

  it("stands in the store of SQLite alone, within runtime/store", function()
    local wrong = {}
    for _, path in ipairs(lines_of "find runtime/store -name '*.[ch]' | grep -v ^runtime/store/sqlite/") do
      local found = sql_in(path, read(path), names)
      if found then wrong[#wrong + 1] = path .. ":" .. found end
    end
    assert.equal("", table.concat(wrong, "\n"))
  end)
end)
