--- SQLite databases, used on a thread: no statement holds up the loop.
local core = require "orrery.core"
local errors = require "orrery.errors"

---@class orrery.rows.Database
---@field path string
---@field handle table of orrery.core
---@field failure table|nil what an insertion that nobody waits for has failed with
local Database = {}
Database.__index = Database

local database = {}

local function raise(self, e)
  errors.error { code = e.code, message = e.message, details = { path = self.path },
    retryable = e.code == "database_busy" or e.code == "database_full" }
end

--- A database, opened when it is first used. It must not be a store of runs.
---@param path string
---@param options? {write: boolean?, create: boolean?, busy: number?} busy: seconds that it waits for the lock of another
---@return orrery.rows.Database
function database.new(path, options)
  options = options or {}
  local handle = core.database(path, { write = options.write, create = options.create,
    busy = options.busy and math.floor(options.busy * 1000) })
  return setmetatable({ path = path, handle = handle }, Database)
end

local function wait(self, ...)
  local args = table.pack(...)
  local err, result = core.await(function(resume)
    args[args.n + 1] = resume
    self.handle:perform(table.unpack(args, 1, args.n + 1))
    return function()
      self.handle:cancel()
      return true
    end
  end)
  if err then raise(self, err) end
  return result
end

--- Runs one statement. Waits. Raises `database_error`, `database_busy`, `database_constraint`,
--- `database_full`, `database_is_store`.
---@param sql string
---@param parameters? table a list, or {name = value}
---@param most? integer rows; 1000 unless another number is given
---@return {rows: table[], columns: string[], more: boolean, changes: integer, last_id: integer}
function Database:query(sql, parameters, most)
  return wait(self, "query", sql, parameters or {}, most or 1000)
end

--- The next rows of the statement, where its result said `more`. Waits.
---@param most? integer
---@return table as of query
function Database:more(most) return wait(self, "more", most or 1000) end

--- Runs the statement once for each row, with these fields of it, on the thread while the caller
--- goes on. Waits for the insertion before it, and raises what that has failed with.
---@param sql string
---@param columns string[]
---@param rows table[]
---@param told fun(rows: table[], result: {inserted: integer, failures: any[]}) called when it is done, on the next wait
function Database:insert(sql, columns, rows, told)
  self:settle()
  local done, resumed = nil, nil
  self.handle:perform("insert", sql, columns, rows, function(err, result)
    done = { err = err, result = result }
    if resumed then resumed() end
  end)
  self.under_way = { rows = rows, told = told, wait = function()
    if not done then
      core.await(function(resume)
        resumed = resume
        return function()
          self.handle:cancel()
          return true
        end
      end)
    end
    return done
  end }
end

--- Waits for the insertion that is under way, and raises what it has failed with.
function Database:settle()
  local under_way = self.under_way
  if not under_way then return end
  local done = under_way.wait()
  self.under_way = nil
  if done.err then raise(self, done.err) end
  under_way.told(under_way.rows, done.result)
end

--- Closes it; what is not committed is rolled back. Never waits: where an operation is under way it
--- is interrupted, and the database is closed once nothing uses it.
function Database:close() self.handle:close() end

return database
