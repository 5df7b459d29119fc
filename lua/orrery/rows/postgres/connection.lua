--- One connection to a PostgreSQL server: waits for its socket, and lets `orrery.core.postgres` go
--- on. All functions but `close` and those that say so wait.
local core = require "orrery.core"
local errors = require "orrery.errors"
local failure = require "orrery.rows.postgres.failure"
local uv = require "luv"

---@class orrery.rows.postgres.Connection
---@field settings orrery.rows.postgres.Settings
---@field handle table of orrery.core.postgres
---@field given_up boolean|nil what it does was cancelled, so nothing else can be asked of it
local Connection = {}
Connection.__index = Connection

local connection = {}

-- ---- waiting ------------------------------------------------------------------------------------

-- Calls `start(resume)`, whose answers are returned, or false once `late` (of uv.hrtime) has come.
-- It returns what ends that: without an argument where it is late, or with `resume` for a cancel.
local function await(late, start)
  return core.await(function(resume)
    local timer = late and uv.new_timer()
    local function stop() if timer and not timer:is_closing() then timer:close() end end
    local ended = start(function(...)
      stop()
      resume(...)
    end)
    if timer then
      uv.update_time() -- timers begin where the loop last looked at its clock
      timer:start(math.max(0, (late - uv.hrtime()) // 1000000), 0, function()
        stop()
        ended()
        resume(false)
      end)
    end
    return function()
      stop()
      return ended(resume)
    end
  end)
end

-- Waits until the socket may be read ("r"), written ("w"), either ("rw"). A node that is cancelled
-- meanwhile waits until the server has been told.
local function wait(self, events, late)
  local handle = self.handle
  if not handle:socket() then return true end -- lost, as what is done next says
  return await(late, function(resume)
    handle:watch(events, function() resume(true) end)
    return function(cancelled)
      handle:unwatch()
      self.given_up = true
      return cancelled and handle:state() == "active" and handle:cancel(cancelled)
    end
  end)
end

-- ---- connecting ---------------------------------------------------------------------------------

-- Where libpq looks no name up: a folder of sockets, or an address.
local function is_plain(host) return host:find "^[/@]" or host:find "^[%d.]+$" or host:find ":" end

local function addresses_of(settings, host, late)
  if is_plain(host) then return { host } end
  local ok, err, found = await(late, function(resume)
    local request, why = uv.getaddrinfo(host, nil, { socktype = "stream" }, function(e, list)
      resume(true, e, list)
    end)
    if not request then resume(true, why) end
    return function() if request then uv.cancel(request) end end
  end)
  if not ok then
    failure.connection(settings, ("%s has no address yet after connect_timeout"):format(host))
  end
  if err then failure.connection(settings, ("%s has no address: %s"):format(host, err)) end
  local list = {}
  for i, one in ipairs(found) do list[i] = one.addr end
  return list
end

-- All addresses of all hosts, in their order, as libpq takes them.
local function parameters_of(settings, late)
  local hosts, addresses, ports = {}, {}, {}
  for _, at in ipairs(settings.hosts) do
    for _, address in ipairs(addresses_of(settings, at.host, late)) do
      hosts[#hosts + 1], ports[#hosts + 1] = at.host, at.port or os.getenv "PGPORT" or "5432"
      addresses[#addresses + 1] = at.host:find "^[/@]" and "" or address
    end
  end
  local all = { host = table.concat(hosts, ","), port = table.concat(ports, ",") }
  local joined = table.concat(addresses, ",")
  if joined:find "[^,]" then all.hostaddr = joined end
  for name, value in pairs(settings.parameters) do all[name] = value end
  return all
end

local function connect(self, late)
  local next = "w" -- what libpq waits for first
  while next ~= "ok" do
    if not wait(self, next, late) then
      failure.connection(self.settings, ("it does not answer within %g s, connect_timeout")
        :format(self.settings.connect_timeout))
    end
    next = self.handle:poll()
    if next == "failed" then failure.connecting(self.settings, self.handle:problem()) end
  end
end

local function deadline(settings) return uv.hrtime() + math.floor(settings.connect_timeout * 1e9) end

--- Connects. Raises `database_connection`, `database_denied`, `database_unavailable`.
---@param settings orrery.rows.postgres.Settings
---@return orrery.rows.postgres.Connection
function connection.open(settings)
  local late = deadline(settings)
  local handle, why = core.postgres(parameters_of(settings, late))
  if not handle then
    errors.error { code = "database_unavailable", retryable = false,
      message = ("%s: %s"):format(settings.shown, why) }
  end
  local self = setmetatable({ settings = settings, handle = handle }, Connection)
  local ok, e = pcall(connect, self, late)
  if not ok then
    handle:close()
    error(e, 0)
  end
  self:begin()
  return self
end

-- ---- statements ---------------------------------------------------------------------------------

local function lost(self) failure.connection(self.settings, self.handle:problem()) end

-- What was sent goes out. What comes is read meanwhile, or both sides would wait for each other.
local function send(self, problem)
  if problem then failure.connection(self.settings, problem) end
  while true do
    local all = self.handle:flush()
    if all == nil then lost(self) end
    if all then return end
    wait(self, "rw")
    self.handle:consume()
  end
end

-- Goes on with a statement: until the list has `most` rows, it is over, or the server takes rows.
local function go_on(self, rows, most, floats, late)
  while true do
    local next = self.handle:fetch(rows, most, floats)
    if next ~= "wait" then return next end
    if not wait(self, "r", late) then return "late" end
    self.handle:consume()
  end
end

--- Adds rows to a list until it has `most`, or the statement is over.
---@param rows table[]
---@param most integer
---@param floats? boolean numeric as floats
---@return boolean more
function Connection:fetch(rows, most, floats)
  local next = go_on(self, rows, most, floats)
  if next == "copy" or next == "copies" then
    self.given_up = true -- there is no other way out of it
    errors.error { code = "database_error", retryable = false, message = self.settings.shown
      .. ": COPY is not taken as a statement; postgres.load loads rows, and SELECT gives them" }
  end
  return next == "more"
end

--- The names of the columns of the statement that `fetch` reads, once it has given rows.
---@return string[]|nil
function Connection:columns() return self.handle:columns() end

--- What a statement that is over has ended with. Raises what it has failed with. Does not wait.
---@param sql? string for the place in it
---@return {columns: string[]|nil, changes: integer, types: string|nil}
function Connection:result(sql)
  local result = self.handle:result()
  if result.error then failure.statement(self.settings, result.error, sql) end
  return result
end

local function finish(self, sql)
  self:fetch({}, math.maxinteger)
  return self:result(sql)
end

--- Runs statements of ours, which give no rows.
---@param sql string
function Connection:simple(sql)
  send(self, self.handle:simple(sql))
  finish(self, sql)
end

--- Lets the server read a statement, and tells the types of its parameters.
---@param sql string
---@return string types for `execute` and `put`
function Connection:describe(sql)
  send(self, self.handle:prepare(sql))
  finish(self, sql)
  send(self, self.handle:describe())
  return finish(self, sql).types
end

local OID = 4 -- bytes of a type

--- Begins a statement, whose rows `fetch` gives.
---@param sql string
---@param params any[]
function Connection:execute(sql, params)
  local types = ""
  if #params > 0 then
    types = self:describe(sql)
    if #types // OID ~= #params then
      errors.error { code = "database_error", retryable = false,
        message = ("%s: sql has %d parameters, and params %d values")
          :format(self.settings.shown, #types // OID, #params) }
    end
  else
    send(self, self.handle:prepare(sql))
    finish(self, sql)
  end
  local problem, kind = self.handle:execute(params, #params, types)
  if kind == "value" then
    errors.error { code = "invalid_content", retryable = false,
      message = ("%s: %s"):format(self.settings.shown, problem) }
  end
  send(self, problem)
end

--- Loads rows by COPY; all of them or none.
---@param into string the table and its columns as SQL
---@param columns string[] the fields
---@param types string
---@param rows table[]
---@return integer inserted
function Connection:copy(into, columns, types, rows)
  local sql = ("COPY %s FROM STDIN"):format(into)
  send(self, self.handle:simple(sql))
  if go_on(self, {}, 1) ~= "copy" then self:result(sql) end
  local from, wrong, row, column = self.handle:put(rows, 1, columns, types)
  while from do
    send(self)
    from, wrong, row, column = self.handle:put(rows, from, columns, types)
  end
  self.handle:put_end(wrong and "a value cannot be written")
  send(self)
  go_on(self, {}, 1)
  if wrong then
    self.handle:result()
    errors.error { code = "invalid_content", retryable = false, details = { row = row },
      message = ("%s: %s"):format(column or "the row", wrong) }
  end
  return self:result(sql).changes
end

-- ---- between two users --------------------------------------------------------------------------

--- What it is used for first, after it was connected or has rested.
function Connection:begin()
  local dates = self.handle:parameter "DateStyle"
  if dates and not dates:find "^ISO" then self:simple "SET datestyle TO ISO" end
end

--- Whether somebody else may use it: no statement and no transaction is open. Does not wait.
---@return boolean
function Connection:is_free() return not self.given_up and self.handle:state() == "idle" end

--- Begins to forget what its user has set, locked and made for the time of the connection, and
--- closes it where nobody wakes it within so many seconds. Does not wait: `wake` reads the answer.
---@param seconds number
---@return boolean
function Connection:rest(seconds)
  self.rests = true
  return not self.handle:simple "DISCARD ALL" and self.handle:flush() == true and self.handle:rest(seconds)
end

--- Whether it can be used after a rest: its server is still there.
---@return boolean
function Connection:wake()
  local handle = self.handle
  if handle:state() == "closed" then return false end
  handle:unwatch()
  handle:consume()
  local next = go_on(self, {}, 1, false, deadline(self.settings))
  -- a server that has ended it has said so behind that answer, and then closed its side
  if next ~= "done" or handle:result().error or not (handle:consume() and handle:consume()) then
    return false
  end
  self.rests = false
  if not self:is_free() then return false end
  self:begin()
  return true
end

--- Closes it. What the server does for it is cancelled. Does not wait.
function Connection:close()
  local handle = self.handle
  if handle:state() == "closed" then return end
  local busy = not self.given_up and not self.rests and handle:state() == "active"
  if busy and handle:cancel(function() handle:close() end) then return end
  handle:close()
end

return connection
