--- One connection to a Redis server, in callback style: commands go out at once, one behind the
--- other, and each answer is given to the callback of its command. Nothing here waits.
local core = require "orrery.core"
local failure = require "orrery.redis.failure"
local uv = require "luv"

---@class orrery.redis.Pending
---@field callback fun(err: table|nil, reply: any)
---@field seconds number it may take
---@field late integer of uv.hrtime, when the answer is late

---@class orrery.redis.Connection
---@field settings orrery.redis.Settings
---@field failed table|nil the error it has ended with
---@field ready boolean
---@field first integer of `queue`, whose last is `last`
---@field last integer
---@field queue table<integer, orrery.redis.Pending>
---@field unsent string[]|nil commands until it is connected
---@field handle userdata|nil of luv
---@field listener fun(err: table|nil, reply: any)|nil what the server says by itself goes here
---@field paused boolean|nil
---@field on_read fun(err: string|nil, bytes: string|nil)
---@field idle_since integer|nil of uv.hrtime
local Connection = {}
Connection.__index = Connection

local connection = {}

-- ---- its end ------------------------------------------------------------------------------------

local function close(handle) if handle and not handle:is_closing() then handle:close() end end

-- Everybody who waits is told; there is nothing to be told twice.
local function fail(self, err)
  if self.failed then return end
  self.failed = err
  close(self.timer)
  close(self.handle)
  if self.lookup then uv.cancel(self.lookup) end
  if self.reader then self.reader:close() end
  local queue, first, last, listener = self.queue, self.first, self.last, self.listener
  self.queue, self.first, self.last, self.listener = {}, 1, 0, nil
  for i = first, last do queue[i].callback(err) end
  if listener then listener(err) end
end

--- Closes it. Who waits for an answer is told that it was closed.
function Connection:close() fail(self, failure.connection(self.settings, "the connection was closed")) end

-- ---- time ---------------------------------------------------------------------------------------

local function after(self, seconds, fn)
  uv.update_time() -- timers begin where the loop last looked at its clock
  self.timer:start(math.max(0, math.ceil(seconds * 1000)), 0, fn)
end

-- Answers come in order, so the first is the one that may be late.
local function watch_first(self)
  local first = self.queue[self.first]
  if not self.ready then return end
  if not first then
    self.timer:stop()
    return
  end
  after(self, (first.late - uv.hrtime()) / 1e9, function()
    fail(self, failure.timeout(self.settings, first.seconds))
  end)
end

-- A connection that nobody waits for keeps no process alive.
local function rest_or_not(self)
  if not self.handle then return end
  if self.first > self.last and self.ready and not self.listener then
    self.idle_since = self.idle_since or uv.hrtime()
    self.handle:unref()
  else
    self.idle_since = nil
    self.handle:ref()
  end
end

-- ---- reading ------------------------------------------------------------------------------------

local function take(self, reply)
  if self.listener and self.first > self.last then
    local err = type(reply) == "table" and reply.error and failure.answer(self.settings, reply.error)
    if err then reply = nil end
    return self.listener(err or nil, reply)
  end
  local pending = self.queue[self.first]
  if not pending then
    return fail(self, failure.connection(self.settings, "it answers what was not asked"))
  end
  self.queue[self.first] = nil
  self.first = self.first + 1
  watch_first(self)
  rest_or_not(self)
  if type(reply) == "table" and reply.error then
    pending.callback(failure.answer(self.settings, reply.error))
  else
    pending.callback(nil, reply)
  end
end

local function read(self, err, bytes)
  if self.failed then return end
  if err or not bytes then
    return fail(self, failure.connection(self.settings, err and "the connection is lost: " .. err
      or "the server has closed the connection"))
  end
  self.reader:feed(bytes)
  while not self.failed do
    local there, reply, too_large = self.reader:next()
    if there == nil then return fail(self, failure.reply(self.settings, reply, too_large)) end
    if not there then return end
    take(self, reply)
  end
end

-- ---- writing ------------------------------------------------------------------------------------

local function encoded(args)
  local parts = { ("*%d\r\n"):format(#args) }
  for _, arg in ipairs(args) do
    local text = type(arg) == "string" and arg or tostring(arg)
    parts[#parts + 1] = ("$%d\r\n"):format(#text)
    parts[#parts + 1] = text
    parts[#parts + 1] = "\r\n"
  end
  return table.concat(parts)
end

local function write(self, text)
  self.handle:write(text, function(err)
    if err and not self.failed then
      fail(self, failure.connection(self.settings, "the connection is lost: " .. err))
    end
  end)
end

--- Sends a command. One that is sent before it is connected goes out when it is.
---@param args (string|number)[]
---@param callback fun(err: table|nil, reply: any) once, also where the connection ends
---@param seconds? number that the answer may take: max_time of the settings
function Connection:send(args, callback, seconds)
  if self.failed then return callback(self.failed) end
  seconds = seconds or self.settings.max_time
  self.last = self.last + 1
  self.queue[self.last] = { callback = callback, seconds = seconds,
    late = uv.hrtime() + math.floor(seconds * 1e9) }
  if self.first == self.last then watch_first(self) end
  rest_or_not(self)
  if self.unsent then self.unsent[#self.unsent + 1] = encoded(args) else write(self, encoded(args)) end
end

--- From now on what the server says goes to a function, but for the answers that are waited for;
--- at the end of the connection that is an error.
---@param listener fun(err: table|nil, reply: any)
function Connection:listen(listener)
  self.listener = listener
  rest_or_not(self)
end

--- Sends a command whose answers go to the listener, such as SUBSCRIBE.
---@param args (string|number)[]
function Connection:tell(args)
  if self.failed then return end
  if self.unsent then self.unsent[#self.unsent + 1] = encoded(args) else write(self, encoded(args)) end
end

--- Reads nothing more from the server, or goes on.
---@param stop boolean
function Connection:pause(stop)
  if self.failed or not self.ready or self.paused == stop then return end
  self.paused = stop
  if stop then self.handle:read_stop() else self.handle:read_start(self.on_read) end
end

-- ---- connecting ---------------------------------------------------------------------------------

-- What is said first, and answered before all else.
local function introductions(settings)
  local list = {}
  if settings.password then
    list[1] = settings.user and { "AUTH", settings.user, settings.password } or { "AUTH", settings.password }
  end
  if settings.database > 0 then list[#list + 1] = { "SELECT", settings.database } end
  if #list == 0 then list[1] = { "PING" } end
  return list
end

local function become_ready(self)
  local now, unsent = uv.hrtime(), self.unsent
  self.ready, self.unsent = true, nil
  for i = self.first, self.last do
    self.queue[i].late = now + math.floor(self.queue[i].seconds * 1e9)
  end
  watch_first(self)
  rest_or_not(self)
  if #unsent > 0 then write(self, table.concat(unsent)) end
end

-- Commands go out when it is ready: until the server has let the client in, it would refuse them,
-- and of those that come at once it answers none before it has done all.
local function introduce(self)
  local list, queue = {}, self.queue
  for i, args in ipairs(introductions(self.settings)) do
    list[i] = encoded(args)
    self.first = self.first - 1
  end
  for i = 1, #list do
    queue[self.first + i - 1] = { seconds = self.settings.connect_timeout, late = 0, callback = function(err)
      if err then fail(self, err) elseif i == #list then become_ready(self) end
    end }
  end
  write(self, table.concat(list))
end

local function connected(self)
  if self.failed then return end
  self.lookup = nil
  if not self.settings.path then
    self.handle:nodelay(true)
    self.handle:keepalive(true, 30) -- seconds; a server that has vanished is found out
  end
  self.on_read = function(err, bytes) read(self, err, bytes) end
  self.handle:read_start(self.on_read)
  introduce(self)
end

-- Tries the addresses in their order.
local function connect(self, addresses, n)
  if self.failed then return end
  close(self.handle)
  self.handle = self.settings.path and uv.new_pipe(false) or uv.new_tcp()
  local function done(err)
    if self.failed then return end
    if not err then return connected(self) end
    if addresses[n + 1] then return connect(self, addresses, n + 1) end
    fail(self, failure.connection(self.settings, "it cannot be reached: " .. err))
  end
  local request, err
  if self.settings.path then request, err = self.handle:connect(self.settings.path, done)
  else request, err = self.handle:connect(addresses[n], self.settings.port, done) end
  if not request then done(err) end
end

local function find(self)
  local settings = self.settings
  if settings.path then return connect(self, { settings.path }, 1) end
  local host = settings.host
  if host:find "^[%d.]+$" or host:find ":" then return connect(self, { host }, 1) end
  local function found(err, list)
    if self.failed then return end
    if err then
      return fail(self, failure.connection(settings, ("%s has no address: %s"):format(host, err)))
    end
    local addresses = {}
    for i, one in ipairs(list) do addresses[i] = one.addr end
    connect(self, addresses, 1)
  end
  local request, err = uv.getaddrinfo(host, nil, { socktype = "stream" }, found)
  if request then self.lookup = request else found(err) end
end

--- Begins to connect. Errors are told to who has sent a command or listens.
---@param settings orrery.redis.Settings
---@return orrery.redis.Connection
function connection.open(settings)
  local self = setmetatable({ settings = settings, ready = false, queue = {}, first = 1, last = 0,
    unsent = {} }, Connection)
  local reader, why = core.redis_reader(settings.max_size)
  if not reader then
    self.failed = failure.unavailable(settings, why)
    return self
  end
  self.reader, self.timer = reader, uv.new_timer()
  after(self, settings.connect_timeout, function()
    fail(self, failure.connection(settings, ("it is not ready after %g s, connect_timeout")
      :format(settings.connect_timeout)))
  end)
  find(self)
  return self
end

return connection
