--- Errors of PostgreSQL as errors of nodes.
local errors = require "orrery.errors"

local failure = {}

-- SQLSTATEs ("PostgreSQL Error Codes" in its manual), or the classes that they begin with.
local CONNECTION = "08000 08001 08003 08004 08006 08007 57P01 57P02 57P03 57P05 53300 25P03"
local BUSY = "40 55P03 57014" -- serialization, deadlock, a lock that is not free, the server's own timeout
local DENIED, CONSTRAINT, CONTENT, FULL = "28 42501 3D000", "23", "22", "53100"

local function is(sqlstate, list)
  for state in list:gmatch "%S+" do
    if sqlstate:sub(1, #state) == state then return true end
  end
  return false
end

local function one_line(text) return (text:match "^%s*(.-)%s*$":gsub("%s*\n%s*", "; ")) end

-- "line 2, column 5" of character n of a text.
local function place_in(sql, n)
  local from = utf8.len(sql) and utf8.offset(sql, n)
  if not from then return "character " .. n end
  local before = sql:sub(1, from - 1)
  local _, lines = before:gsub("\n", "")
  local last = before:match "[^\n]*$"
  return ("line %d, column %d"):format(lines + 1, utf8.len(last) + 1)
end

local function sentence(e, sql)
  local text = one_line(e.message)
  if e.position and sql then text = text .. (" (%s of sql)"):format(place_in(sql, e.position)) end
  if e.detail then text = text .. ": " .. e.detail end
  return text
end

--- Raises what a connection has failed with: refused, lost, or too late.
---@param settings orrery.rows.postgres.Settings
---@param message string
function failure.connection(settings, message)
  errors.error { code = "database_connection", retryable = true,
    message = ("%s: %s"):format(settings.shown, one_line(message)) }
end

-- Of an attempt to connect libpq tells no SQLSTATE. These words refuse whoever tries again, too.
local REFUSALS = { "authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry",
  "permission denied", "certificate", "does not support SSL", "invalid sslmode" }

--- Raises what an attempt to connect has failed with.
---@param settings orrery.rows.postgres.Settings
---@param message string
function failure.connecting(settings, message)
  for _, words in ipairs(REFUSALS) do
    if message:find(words, 1, true) then
      errors.error { code = "database_denied", retryable = false,
        message = ("%s: %s"):format(settings.shown, one_line(message)) }
    end
  end
  failure.connection(settings, message)
end

--- Raises what a statement has failed with. `details` has sqlstate, detail, hint, position (of a
--- character of the statement, from 1), schema, table, column, constraint, as far as the server
--- says them.
---@param settings orrery.rows.postgres.Settings
---@param e table of orrery.core
---@param sql string|nil
function failure.statement(settings, e, sql)
  if not e.sqlstate then failure.connection(settings, e.message) end
  local state = e.sqlstate
  errors.error {
    code = is(state, CONNECTION) and "database_connection" or is(state, BUSY) and "database_busy"
      or is(state, DENIED) and "database_denied" or is(state, CONSTRAINT) and "database_constraint"
      or is(state, CONTENT) and "invalid_content" or is(state, FULL) and "database_full" or "database_error",
    retryable = is(state, CONNECTION) or is(state, BUSY) or is(state, FULL),
    message = ("%s: %s"):format(settings.shown, sentence(e, sql)),
    details = { sqlstate = state, detail = e.detail, hint = e.hint, position = e.position, schema = e.schema,
      table = e.table, column = e.column, constraint = e.constraint },
  }
end

return failure
