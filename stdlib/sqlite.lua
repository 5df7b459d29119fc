--- `sqlite.query`, `sqlite.load`: SQLite databases. Values are parameters only, and nothing blocks
--- the loop.
local flow = require "orrery"
local keys = require "orrery.stdlib.shared.keys"
local statements = require "orrery.stdlib.shared.statements"
local sorted_names = require "orrery.stdlib.shared.sorted_names"

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

local function new_database(config, write)
  return flow.rows.database(config.database, { write = write, create = write, busy = config.busy })
end

-- Closes it at the end of a handler, however that comes.
local function closing(database)
  return setmetatable({}, { __close = function() database:close() end })
end

-- ---- sqlite.query -------------------------------------------------------------------------------

-- All rows of a statement.
local function all_rows(database, sql, params, config)
  local result = database:query(sql, params)
  local rows, first = result.rows, result
  while result.more do
    if #rows > config.max_rows then break end
    result = database:more()
    table.move(result.rows, 1, #result.rows, #rows + 1, rows)
  end
  if #rows > config.max_rows then
    flow.error { code = "too_many_rows", retryable = false,
      message = ("%s: the statement gives more than %d rows; raise max_rows, or let them stream through a "
        .. "pipe")
        :format(config.database, config.max_rows) }
  end
  return { rows = flow.json.array(rows), columns = flow.json.array(first.columns), changes = result.changes,
    last_id = result.last_id }
end

local function run_one(database, config)
  if config.read_only then return all_rows(database, config.sql, config.params, config) end
  database:query "BEGIN IMMEDIATE"
  local result = all_rows(database, config.sql, config.params, config)
  database:query "COMMIT"
  return result
end

local function run_all(database, config)
  local results = {}
  database:query(config.read_only and "BEGIN" or "BEGIN IMMEDIATE")
  for i, statement in ipairs(config.statements) do
    results[i] = all_rows(database, statement.sql, statement.params, config)
  end
  database:query "COMMIT"
  return flow.json.array(results)
end

flow.type {
  name = "sqlite.query",
  errors = { "database_busy", "database_constraint", "database_error", "database_full",
    "database_is_store", "too_many_rows" },
  doc = "Runs a statement in an SQLite database, and outputs { rows, columns, changes, last_id }; or "
    .. "several, statements, in one transaction, and outputs a list of these. params are the values of ? "
    .. "(a list) or :name (an object), never text put together. The first stage of a pipe may be one: then "
    .. "rows stream. Fails with \"database_error\", \"database_busy\", \"database_constraint\", "
    .. "\"database_full\", \"database_is_store\", \"too_many_rows\".",
  config = flow.schema {
    database = "string", sql = "string?", params = "array|object?", statements = "object[]?",
    read_only = { type = "boolean", default = false, doc = "the file has to be there, and is not changed" },
    max_rows = { type = "integer", default = 100000, min = 0, doc = "of an output" },
    busy = { type = "duration", default = 5, doc = "how long it waits for the lock of another" },
  },
  source = true,
  check = function(config) return statements.problem(config, "?") end,
  examples = {
    [[flow.sqlite.query { database = "shop.db", sql = "SELECT * FROM orders WHERE total > ?", params = { "${input.least}" } }]],
    [[flow.sqlite.query { database = "shop.db", statements = {
  { sql = "UPDATE stock SET n = n - 1 WHERE id = :id", params = { id = "${input.id}" } },
  { sql = "INSERT INTO sold (id) VALUES (?)", params = { "${input.id}" } },
} }]],
  },
  run = function(_, config)
    local database = new_database(config, not config.read_only)
    local _ <close> = closing(database)
    return config.sql and run_one(database, config) or run_all(database, config)
  end,
  stage = function(config, _, stage)
    if not config.sql then
      flow.error { code = "config_error", retryable = false, message = "sqlite.query: a stage runs one "
        .. "statement, sql" }
    end
    local database, result = new_database(config, false), nil
    stage:on_close(function() database:close() end)
    return function()
      if result and not result.more then return nil end
      result = result and database:more() or database:query(config.sql, config.params)
      stage:columns(result.columns)
      return result.rows
    end
  end,
}

-- ---- sqlite.load --------------------------------------------------------------------------------

local CONFLICTS = { fail = "INSERT", ignore = "INSERT OR IGNORE", replace = "INSERT OR REPLACE" }

local function type_of(config, name)
  local type = (config.types or {})[name]
  return type and " " .. type or ""
end

local function create_sql(config, columns)
  local parts = {}
  for i, name in ipairs(columns) do parts[i] = quoted(name) .. type_of(config, name) end
  if config.key then
    local key = {}
    for i, name in ipairs(keys.names(config.key)) do key[i] = quoted(name) end
    parts[#parts + 1] = ("PRIMARY KEY (%s)"):format(table.concat(key, ", "))
  end
  return ("CREATE TABLE IF NOT EXISTS %s (%s)"):format(quoted(config.table), table.concat(parts, ", "))
end

local function insert_sql(config, columns)
  local names, marks = {}, {}
  for i, name in ipairs(columns) do names[i], marks[i] = quoted(name), "?" end
  return ("%s INTO %s (%s) VALUES (%s)"):format(CONFLICTS[config.on_conflict], quoted(config.table),
    table.concat(names, ", "), table.concat(marks, ", "))
end

local function load_problem(config)
  local types = type(config.types) == "table" and config.types or {} -- a template, where it is a text
  for name, kind in pairs(types) do
    if not tostring(kind):find "^[%a][%a ]*$" then
      return ('types.%s: expected a type such as "INTEGER", "REAL" or "TEXT NOT NULL"'):format(name), "types"
    end
  end
end

flow.type {
  name = "sqlite.load",
  errors = { "database_busy", "database_constraint", "database_error", "database_full",
    "database_is_store", "file_error" },
  doc = "Loads rows into a table of an SQLite database, in one transaction, and passes them on. Columns "
    .. "are those given, else those of the file that was read, else the fields of the first row; create = "
    .. "true makes the table, with types and key, where it is not there. A row that breaks a rule of the "
    .. "table fails with \"database_constraint\", or is rejected where rejects is a file or true. Outputs "
    .. "the counts.",
  config = flow.schema {
    database = "string", table = "string", columns = "string[]?", rows = "array?",
    create = { type = "boolean", default = false }, types = { type = "object", optional = true,
      doc = 'column -> "INTEGER", "REAL", "TEXT", …' },
    key = { type = "string|string[]", optional = true, doc = "the columns of the primary key" },
    on_conflict = { enum = { "fail", "ignore", "replace" }, default = "fail" },
    empty = { type = "boolean", default = false, doc = "what is in the table goes first, in the same "
      .. "transaction" },
    rejects = "string|boolean?", busy = { type = "duration", default = 5 },
  },
  sink = true,
  check = load_problem,
  examples = {
    [[flow.sqlite.load { database = "shop.db", table = "people", create = true, key = { "email" }, types = { age = "INTEGER" } }]],
  },
  stage = function(config, rows, stage)
    local database, columns, sql = new_database(config, true), config.columns, nil
    stage:on_close(function() database:close() end)
    stage.report.inserted = 0
    local function begin(first)
      columns = columns or stage:columns() or sorted_names(first)
      database:query "BEGIN IMMEDIATE"
      if config.create and #columns > 0 then database:query(create_sql(config, columns)) end
      if config.empty then database:query("DELETE FROM " .. quoted(config.table)) end
      sql = insert_sql(config, columns)
    end
    local function told(chunk, result)
      stage.report.inserted = stage.report.inserted + result.inserted
      for _, failure in ipairs(result.failures) do
        local i, reason = failure[1], failure[2]
        if not config.rejects then
          flow.error { code = "database_constraint", retryable = false, details = { row = chunk[i] },
            message = ("%s: %s: %s; rejects = \"FILE\" keeps such rows apart and goes on")
              :format(config.database, config.table, reason) }
        end
        stage:reject(chunk[i], reason)
      end
    end
    local function finish()
      if not sql then begin() end
      database:settle()
      stage:on_commit(function() database:query "COMMIT" end)
    end
    local finished = false
    return function()
      if finished then return nil end
      local chunk = rows()
      if not chunk then
        finished = true
        finish()
        return nil
      end
      if #chunk == 0 then return chunk end
      if not sql then begin(chunk[1]) end
      local ok, e = pcall(database.insert, database, sql, columns, table.move(chunk, 1, #chunk, 1, {}), told)
      if not ok then
        if type(e) == "table" then error(e, 0) end
        flow.error { code = "invalid_content", retryable = false,
          message = ("cannot load into %s: %s"):format(config.table, tostring(e)) }
      end
      return chunk
    end
  end,
}
