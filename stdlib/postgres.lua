--- `postgres.query`, `postgres.load`: PostgreSQL databases. Values are parameters only, and nothing
--- blocks the loop.
local flow = require "orrery"
local keys = require "orrery.stdlib.shared.keys"
local statements = require "orrery.stdlib.shared.statements"
local sorted_names = require "orrery.stdlib.shared.sorted_names"

local function config_error(message, ...)
  flow.error { code = "config_error", message = "postgres: " .. message:format(...), retryable = false }
end

-- Closes it at the end of a handler, however that comes.
local function closing(database)
  return setmetatable({}, { __close = function() database:close() end })
end

local function words_of(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

-- Where the database is, and who connects.
local SETTINGS = {
  url = { type = "string", optional = true,
    doc = "postgres://USER@HOST:PORT/DATABASE?sslmode=…, instead of the next four" },
  host = { type = "string", optional = true, doc = "a name, an address, or the folder of a socket" },
  port = { type = "integer", optional = true, min = 1, max = 65535, doc = "5432" },
  database = "string?", user = "string?",
  password = { type = "string", optional = true, doc = "a secret" },
  sslmode = { optional = true, enum = words_of "disable allow prefer require verify-ca verify-full",
    doc = "prefer" },
  sslrootcert = { type = "string", optional = true, doc = "the file of whom verify-… trusts" },
  connect_timeout = { type = "duration", default = 10 },
  connections = { type = "integer", default = 10, min = 1, doc = "how many may be open to it at once" },
  keep = { type = "duration", default = 30, doc = "how long one is kept that nobody uses" },
}

local function with_settings(fields)
  for name, kind in pairs(SETTINGS) do fields[name] = kind end
  return flow.schema(fields)
end

-- ---- postgres.query -----------------------------------------------------------------------------

local ISOLATION = { ["read committed"] = "READ COMMITTED", ["repeatable read"] = "REPEATABLE READ",
  serializable = "SERIALIZABLE" }

local function begin(database, config)
  database:query(("BEGIN ISOLATION LEVEL %s, READ %s"):format(ISOLATION[config.isolation],
    config.read_only and "ONLY" or "WRITE"))
end

-- All rows of a statement.
local function all_rows(database, statement, config)
  local result = database:query(statement.sql, statement.params, { floats = config.numeric == "float" })
  local rows = result.rows
  while result.more and #rows <= config.max_rows do
    result = database:more()
    table.move(result.rows, 1, #result.rows, #rows + 1, rows)
  end
  if #rows > config.max_rows then
    flow.error { code = "too_many_rows", retryable = false,
      message = ("%s: the statement gives more than %d rows; raise max_rows, or let them stream through a "
        .. "pipe"):format(database:name(), config.max_rows) }
  end
  return { rows = flow.json.array(rows), columns = flow.json.array(result.columns), changes = result.changes }
end

local function run(_, config)
  local database = flow.rows.postgres(config)
  local _ <close> = closing(database)
  if not config.transaction then return all_rows(database, config, config) end
  local results = {}
  begin(database, config)
  for i, statement in ipairs(config.statements or { config }) do
    results[i] = all_rows(database, statement, config)
  end
  database:query "COMMIT"
  return config.sql and results[1] or flow.json.array(results)
end

flow.type {
  name = "postgres.query",
  errors = { "database_busy", "database_connection", "database_constraint", "database_denied",
    "database_error", "database_full", "database_unavailable", "invalid_content", "too_many_rows" },
  doc = "Runs a statement in a PostgreSQL database, and outputs { rows, columns, changes }; or several, "
    .. "statements, in one transaction, and outputs a list of these. params are the values of $1, $2, …, "
    .. "never text put together; a list fits an array, and any value json and jsonb. The first stage of a "
    .. "pipe may be one: then rows stream. A node that is cancelled cancels its statement at the server. "
    .. "Fails with \"database_error\", \"database_busy\", \"database_constraint\", "
    .. "\"database_connection\", \"database_denied\", \"database_full\", \"database_unavailable\", "
    .. "\"invalid_content\", \"too_many_rows\".",
  config = with_settings {
    sql = "string?", params = "array?", statements = "object[]?",
    isolation = { enum = { "read committed", "repeatable read", "serializable" },
      default = "read committed" },
    read_only = { type = "boolean", default = false, doc = "nothing can be changed" },
    transaction = { type = "boolean", default = true, doc = "false for what runs in none, such as VACUUM" },
    numeric = { enum = { "text", "float" }, default = "text", doc = "what values of the type numeric are" },
    max_rows = { type = "integer", default = 100000, min = 0, doc = "of an output" },
  },
  source = true,
  check = function(config)
    if config.transaction == false and config.statements then
      return "statements are one transaction; without it, give sql", "transaction"
    end
    return statements.problem(config, "$1")
  end,
  examples = {
    [[flow.postgres.query { url = "postgres://shop@db.example.org/shop", password = flow.secret "SHOP_PASSWORD",
  sql = "SELECT * FROM orders WHERE total > $1 AND state = ANY ($2)",
  params = { "${input.least}", { "new", "paid" } } }]],
    [[flow.postgres.query { host = "db.example.org", database = "shop", isolation = "serializable", retry = 3,
  statements = {
    { sql = "UPDATE stock SET n = n - 1 WHERE id = $1", params = { "${input.id}" } },
    { sql = "INSERT INTO sold (id, what) VALUES ($1, $2)", params = { "${input.id}", { by = "web" } } },
  } }]],
  },
  run = run,
  stage = function(config, _, stage)
    if not config.sql then config_error "a stage runs one statement, sql" end
    local database, result, ended = flow.rows.postgres(config), nil, false
    stage:on_close(function() database:close() end)
    return function()
      if ended then return nil end
      if result then
        result = database:more()
      else
        begin(database, { isolation = config.isolation, read_only = true })
        result = database:query(config.sql, config.params, { floats = config.numeric == "float" })
      end
      ended = not result.more
      stage:columns(result.columns)
      if ended then database:query "COMMIT" end
      return result.rows
    end
  end,
}

-- ---- postgres.load ------------------------------------------------------------------------------

local BATCH = 2000 -- rows of one COPY

-- Rows on their way to a table.
---@class orrery.stdlib.postgres.Load
local Load = {}
Load.__index = Load

local function quoted_list(database, names)
  local list = {}
  for i, name in ipairs(names) do list[i] = database.quoted(name) end
  return table.concat(list, ", ")
end

local function create_sql(self)
  local config, quoted, parts = self.config, self.database.quoted, {}
  for i, name in ipairs(self.columns) do
    parts[i] = quoted(name) .. " " .. ((config.types or {})[name] or "text")
  end
  if config.key then
    parts[#parts + 1] = ("PRIMARY KEY (%s)"):format(quoted_list(self.database, keys.names(config.key)))
  end
  return ("CREATE TABLE IF NOT EXISTS %s (%s)"):format(self.into, table.concat(parts, ", "))
end

-- What is in the table already is kept, or replaced by the last row of its key.
local function merge_sql(self)
  local config, database = self.config, self.database
  local names = quoted_list(database, self.columns)
  local insert = ("INSERT INTO %s (%s) "):format(self.into, names)
  if config.on_conflict == "ignore" then
    return insert .. ("SELECT %s FROM %s ORDER BY ctid ON CONFLICT DO NOTHING")
      :format(names, self.stage_table)
  end
  local names_of_key = keys.names(config.key)
  local key, is_key, sets = quoted_list(database, names_of_key), {}, {}
  for _, name in ipairs(names_of_key) do is_key[name] = true end
  for _, name in ipairs(self.columns) do
    local column = database.quoted(name)
    if not is_key[name] then sets[#sets + 1] = ("%s = EXCLUDED.%s"):format(column, column) end
  end
  local action = #sets > 0 and "DO UPDATE SET " .. table.concat(sets, ", ") or "DO NOTHING"
  return insert .. ("SELECT DISTINCT ON (%s) %s FROM %s ORDER BY %s, ctid DESC ON CONFLICT (%s) %s")
    :format(key, names, self.stage_table, key, key, action)
end

function Load:begin(first)
  local database, config = self.database, self.config
  self.columns = config.columns or self.stage:columns() or sorted_names(first)
  database:query "BEGIN"
  if #self.columns == 0 then return end
  if config.create then database:query(create_sql(self)) end
  if config.empty then database:query("DELETE FROM " .. self.into) end
  if config.on_conflict == "fail" then return end
  self.stage_table = "pg_temp.orrery_rows" -- rows come here by COPY, and go on from here
  database:query(("CREATE TEMPORARY TABLE orrery_rows ON COMMIT DROP AS SELECT %s FROM %s WITH NO DATA")
    :format(quoted_list(database, self.columns), self.into))
  self.merge = merge_sql(self)
end

function Load:copy(rows)
  local database = self.database
  if not self.merge then return database:copy(self.into, self.columns, rows) end
  database:copy(self.stage_table, self.columns, rows)
  local changed = database:query(self.merge).changes
  database:query("TRUNCATE " .. self.stage_table)
  return changed
end

-- Whether a row may be to blame, rather than the statement or the server.
local function is_of_row(e)
  local code, details = type(e) == "table" and e.code, type(e) == "table" and e.details
  return code == "invalid_content" or code == "database_constraint"
    or type(details) == "table" and details.sqlstate == "P0001" -- RAISE in a trigger
end

function Load:refuse(row, reason, e)
  if self.config.rejects then return self.stage:reject(row, reason) end
  e.details.row = row
  flow.error { code = e.code, retryable = false, details = e.details,
    message = ("%s; rejects = \"FILE\" keeps such rows apart and goes on"):format(e.message) }
end

-- All rows at once. Where one of them is refused, the halves, and so on down to that one.
function Load:put(rows)
  local database = self.database
  database:query "SAVEPOINT rows"
  local ok, e = pcall(self.copy, self, rows)
  if ok then
    database:query "RELEASE rows"
    self.stage.report.inserted = self.stage.report.inserted + e
    return
  end
  if not is_of_row(e) then error(e, 0) end
  database:query "ROLLBACK TO rows"
  if #rows == 1 then return self:refuse(rows[1], e.message, e) end
  local half = #rows // 2
  self:put(table.move(rows, 1, half, 1, {}))
  self:put(table.move(rows, half + 1, #rows, 1, {}))
end

function Load:flush()
  local rows = self.waiting
  self.waiting = {}
  if #rows > 0 then self:put(rows) end
end

function Load:add(chunk)
  if not self.columns then self:begin(chunk[1]) end
  table.move(chunk, 1, #chunk, #self.waiting + 1, self.waiting)
  if #self.waiting >= BATCH then self:flush() end
end

function Load:finish()
  if not self.columns then self:begin() end
  self:flush()
  self.stage:on_commit(function() self.database:query "COMMIT" end)
end

local function load_problem(config)
  for name, type in pairs(type(config.types) == "table" and config.types or {}) do
    if not tostring(type):find "^%a[%w ]*%(?[%d, ]*%)?[%w ]*[%[%]]*$" then
      return ('types.%s: expected a type such as "bigint", "numeric(10, 2)" or "text NOT NULL"')
        :format(name), "types"
    end
  end
  if config.on_conflict == "replace" and not config.key then
    return 'on_conflict = "replace" takes key, the columns by which rows are the same', "key"
  end
end

flow.type {
  name = "postgres.load",
  errors = { "database_busy", "database_connection", "database_constraint", "database_denied",
    "database_error", "database_full", "database_unavailable", "invalid_content", "file_error" },
  doc = "Loads rows into a table of a PostgreSQL database by COPY, in one transaction, and passes them on. "
    .. "Columns are those given, else those of the file that was read, else the fields of the first row; "
    .. "create = true makes the table, with types (text) and key, where it is not there. A row that the "
    .. "table does not take fails with \"database_constraint\" or \"invalid_content\", or is rejected where "
    .. "rejects is a file or true. Outputs the counts.",
  config = with_settings {
    schema = { type = "string", optional = true, doc = "of the table" }, table = "string",
    columns = "string[]?", rows = "array?",
    create = { type = "boolean", default = false }, types = { type = "object", optional = true,
      doc = 'column -> "bigint", "jsonb", …, where the table is made' },
    key = { type = "string|string[]", optional = true, doc = "the columns of the primary key" },
    on_conflict = { enum = { "fail", "ignore", "replace" }, default = "fail" },
    empty = { type = "boolean", default = false, doc = "what is in the table goes first, in the same "
      .. "transaction" },
    rejects = "string|boolean?",
  },
  sink = true,
  check = load_problem,
  examples = {
    [[flow.postgres.load { url = "postgres://shop@db.example.org/shop", password = flow.secret "SHOP_PASSWORD",
  table = "people", key = { "email" }, on_conflict = "replace", rejects = "refused.jsonl" }]],
  },
  stage = function(config, rows, stage)
    local database = flow.rows.postgres(config)
    local into = database.quoted(config.table)
    if config.schema then into = database.quoted(config.schema) .. "." .. into end
    local load = setmetatable({ config = config, stage = stage, database = database, into = into,
      waiting = {} }, Load)
    stage:on_close(function() database:close() end)
    stage.report.inserted = 0
    local finished = false
    return function()
      if finished then return nil end
      local chunk = rows()
      if not chunk then
        finished = true
        load:finish()
      elseif #chunk > 0 then
        load:add(chunk)
      end
      return chunk
    end
  end,
}
