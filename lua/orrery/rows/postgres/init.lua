--- PostgreSQL databases: `flow.rows.postgres`.
local pool = require "orrery.rows.postgres.pool"
local settings = require "orrery.rows.postgres.settings"

---@class orrery.rows.Postgres
---@field settings orrery.rows.postgres.Settings
---@field connection orrery.rows.postgres.Connection|nil what it uses, from the first statement on
---@field give fun()|nil
---@field sql string|nil the statement, and whether numeric is for floats
---@field floats boolean|nil
---@field unread boolean|nil it has more rows
---@field into string|nil what `types` belongs to
local Postgres = {}
Postgres.__index = Postgres

local postgres = {}

--- A database; a connection is taken from those that are kept, or made, at the first statement. Up
--- to `close` it is used by nobody else, so what begins a transaction works.
---@param from orrery.rows.postgres.Given
---@return orrery.rows.Postgres
function postgres.new(from) return setmetatable({ settings = settings.read(from) }, Postgres) end

--- Where it is, without user and password.
---@return string
function Postgres:name() return self.settings.shown end

local function connection_of(self)
  if self.closed then error("the database is closed", 3) end
  if not self.connection then self.connection, self.give = pool.take(self.settings) end
  local connection = self.connection
  while self.unread do self.unread = connection:fetch({}, 1000) end
  connection.handle:result()
  return connection
end

-- The next rows of the statement.
local function fetch(self, most)
  local connection, rows = self.connection, {}
  self.unread = connection:fetch(rows, most or 1000, self.floats)
  if self.unread then
    return { rows = rows, columns = connection:columns(), more = true, changes = 0 }
  end
  local result = connection:result(self.sql)
  return { rows = rows, columns = result.columns or {}, more = false, changes = result.changes }
end

--- Runs one statement; what is left of the rows of the one before is dropped. Waits. Raises
--- `database_error`, `database_busy`, `database_constraint`, `database_connection`,
--- `database_denied`, `database_full`, `invalid_content`.
---@param sql string
---@param params? any[] values of $1, $2, …; their types are what the server takes them for
---@param options? {most: integer?, floats: boolean?} at most so many rows (1000); numeric as floats, not as text
---@return {rows: table[], columns: string[], more: boolean, changes: integer}
function Postgres:query(sql, params, options)
  local connection = connection_of(self)
  self.sql, self.floats = sql, options and options.floats
  connection:execute(sql, params or {})
  return fetch(self, options and options.most)
end

--- The next rows of the statement, where its result said `more`. Waits.
---@param most? integer
---@return table as of query
function Postgres:more(most) return fetch(self, most) end

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

--- A name as SQL: in quotes.
---@param name string
---@return string
Postgres.quoted = quoted

--- Loads rows by COPY, all of them or none. Waits. Raises as query; what is wrong with a value is
--- `invalid_content`.
---@param into string the name of a table as SQL
---@param columns string[] the fields that are loaded
---@param rows table[]
---@return integer inserted
function Postgres:copy(into, columns, rows)
  local connection = connection_of(self)
  local names, marks = {}, {}
  for i, name in ipairs(columns) do names[i], marks[i] = quoted(name), "$" .. i end
  local list = table.concat(names, ", ")
  if self.into ~= into .. list then
    self.types = connection:describe(("INSERT INTO %s (%s) VALUES (%s)")
      :format(into, list, table.concat(marks, ", ")))
    self.into = into .. list
  end
  return connection:copy(("%s (%s)"):format(into, list), columns, self.types, rows)
end

--- Gives its connection back; what is not committed is rolled back. Never waits.
function Postgres:close()
  self.closed = true
  if self.give then self.give() end
  self.give, self.connection = nil, nil
end

return postgres
