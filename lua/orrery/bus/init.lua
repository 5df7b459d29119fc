--- The bus: messages between runs. `flow.publish` and `flow.receive`.
---
--- Who receives waits for a signal of its run, as for any other: it holds no slot, its timeout goes
--- on across restarts, and what it was given is a record of its journal. The bus sends that signal.
--- A message of a stream is acknowledged when the record is on disk.
local core = require "orrery.core"
local errors = require "orrery.errors"
local mask = require "orrery.mask"
local uv = require "luv"

local bus = {}

---@class orrery.bus.Message
---@field id string|nil the same wherever it comes twice
---@field message any
---@field entry string|nil by which it is acknowledged

---@class orrery.bus.Source what a bus is made of
---@field publish fun(self, topic: string, message: orrery.bus.Message): integer
---@field append fun(self, topic: string, message: orrery.bus.Message, most: integer)
---@field join fun(self, waiter: orrery.bus.Waiter)
---@field leave fun(self, waiter: orrery.bus.Waiter)
---@field acknowledge fun(self, waiter: orrery.bus.Waiter, message: orrery.bus.Message)

-- ---- which --------------------------------------------------------------------------------------

local IN_PROCESS = "memory:"

local by_url = {} ---@type table<string, orrery.bus.Source>
local url_of = setmetatable({}, { __mode = "k" }) -- runtime -> URL
local default = os.getenv "ORRERY_BUS"

local function refuse(message, ...)
  errors.error { code = "config_error", retryable = false, message = message:format(...) }
end

local function source_of(url)
  if by_url[url] then return by_url[url] end
  if url == IN_PROCESS then
    by_url[url] = require("orrery.bus.memory").new()
  elseif type(url) == "string" and (url:find "^rediss?://" or url:find "^unix://") then
    by_url[url] = require("orrery.bus.redis").new(url)
  else
    refuse 'bus: expected "memory:" (inside this process), "redis://HOST:PORT/DATABASE" or "unix:///PATH"'
  end
  return by_url[url]
end

-- What stands in the URL as a password is a secret.
local function check(url)
  if url == nil then return nil end
  local password = type(url) == "string" and url:match "^%a+://[^/?#]*:([^/?#]*)@"
  if password then mask.protect(password) end
  source_of(url)
  return url
end

--- The bus of a runtime's runs; nil: the default one. Does not connect. Raises `config_error`.
---@param rt orrery.Runtime
---@param url string|nil
function bus.set(rt, url) url_of[rt] = check(url) end

--- The bus of all runtimes that have none of their own. Raises `config_error`.
---@param url string|nil nil: that of ORRERY_BUS, else inside the process
function bus.set_default(url) default = check(url) or default end

local function of(rt)
  local url = rt and url_of[rt] or default
  return source_of(url ~= nil and url ~= "" and check(url) or IN_PROCESS)
end

-- ---- what is given ------------------------------------------------------------------------------

local LONGEST_TOPIC = 512 -- bytes

local function check_name(who, what, name)
  if type(name) ~= "string" or name == "" or #name > LONGEST_TOPIC or name:find "[%c{}]" then
    refuse("%s: %s: expected 1 to %d bytes without control characters and braces, got %s", who, what,
      LONGEST_TOPIC, errors.show(name))
  end
end

local function check_options(who, options, known)
  if options == nil then return {} end
  for key in pairs(options) do
    if not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      refuse("%s: unknown option %q%s", who, tostring(key), errors.suggest(tostring(key), names))
    end
  end
  return options
end

-- Chance, as text.
local function unique() return core.sha256(uv.random(32)):sub(1, 32) end

-- The same when the handler runs again, and for no other message.
local function id_of(ctx)
  if not ctx then return unique() end
  return core.sha256(ctx.idempotency_key .. ctx:uuid()):sub(1, 32)
end

-- What the receivers are given: later changes of the sender's table are none of it.
local function copied(message)
  local ok, text = pcall(core.json.encode, message)
  if not ok then refuse("flow.publish: message: %s", tostring(text):gsub("^[^:]*:%d+: ", "")) end
  return core.json.decode(text)
end

-- ---- publishing ---------------------------------------------------------------------------------

local PUBLISH = { stream = true, max_length = true }

--- Publishes a message: to all who wait for its topic now, or with `stream` for each group that
--- reads the topic, now or later. In a handler it is a step; what is kept in a stream is kept once,
--- whatever is tried again. Waits where the bus is a server.
---@param topic string
---@param message any plain data
---@param options? { stream: boolean?, max_length: integer? } about how many the stream keeps (100000)
---@return { id: string, receivers: integer|nil }
function bus.publish(topic, message, options)
  if core.ask_bus then return core.ask_bus("publish", topic, message, options) end -- in a worker
  check_name("flow.publish", "topic", topic)
  options = check_options("flow.publish", options, PUBLISH)
  local ctx = core.running()
  local source = of(core.running_runtime())
  local made = { id = id_of(ctx), message = copied(message) }
  local id = made.id
  local function publish()
    if not options.stream then return { id = id, receivers = source:publish(topic, made) } end
    source:append(topic, made, options.max_length or 100000)
    return { id = id }
  end
  if not ctx then return publish() end
  return ctx:step("bus.publish " .. topic, publish)
end

-- ---- receiving ----------------------------------------------------------------------------------

---@class orrery.bus.Waiter
---@field topic string
---@field group string|nil
---@field run orrery.Run
---@field signal string its name
---@field token string|nil of this attempt in this process: an error is for no other
---@field taken any the entry that it was given and has not acknowledged
---@field given boolean|nil it was sent something
local Waiter = {}
Waiter.__index = Waiter

-- False and the error where the run has ended meanwhile, or cannot be given that.
local function send(self, what)
  local ok, e = pcall(self.run.signal, self.run, self.signal, what)
  self.given = self.given or ok
  return ok, e
end

--- It has come.
---@param message orrery.bus.Message
---@return boolean whether the run has taken it
function Waiter:deliver(message)
  local ok, e = send(self, { id = message.id, message = message.message, entry = message.entry })
  if not ok and type(e) == "table" and e.code ~= "run_ended" then
    self:fail { code = e.code, message = e.message, retryable = false } -- it is too large to be recorded
  end
  return ok
end

--- Nothing comes any more.
---@param err table
function Waiter:fail(err)
  send(self, { failed = self.token, code = err.code, text = err.message, retryable = err.retryable })
end

-- What the wait is for is shown to people, so it says node and item.
local function signal_of(ctx, topic, group)
  local item = ctx.index and ("[%s]"):format(ctx.item_name or ctx.index) or ""
  local iteration = ctx.iteration > 1 and ("#%d"):format(ctx.iteration) or ""
  return mask.text(("bus %s%s: %s%s%s"):format(topic, group and " for " .. group or "", ctx.node, item,
    iteration))
end

-- Joins at the loop's next turn, unless `stop` is called before: of a wait that has ended before a
-- restart, nothing is asked any more.
---@class orrery.bus.Joining
local Joining = {}
Joining.__index = Joining

function Joining:stop() if not self.timer:is_closing() then self.timer:close() end end

function Joining:__close()
  self:stop()
  if self.joined then self.source:leave(self.waiter) end
end

local function join_later(source, waiter)
  local self = setmetatable({ source = source, waiter = waiter, timer = uv.new_timer() }, Joining)
  self.timer:start(0, 0, function()
    self:stop()
    self.joined = true
    source:join(waiter)
  end)
  return self
end

local function is_timeout(e) return type(e) == "table" and e.code == "signal_timeout" end

-- What was sent while the time was over is taken all the same.
local function wait(ctx, waiter, timeout)
  local ok, got = pcall(ctx.wait, ctx, waiter.signal, { timeout = timeout })
  if not ok and not is_timeout(got) then error(got, 0) end
  if not ok and waiter.given then ok, got = true, ctx:wait(waiter.signal) end
  if ok then return type(got) == "table" and got or { message = got } end -- people send what they like
  errors.error { code = "wait_timeout", retryable = true,
    details = { topic = waiter.topic, group = waiter.group },
    message = ("no message of %q came in time"):format(waiter.topic) }
end

local function once(ctx, source, waiter, timeout)
  local joining <close> = join_later(source, waiter)
  local got = wait(ctx, waiter, timeout)
  joining:stop()
  if got.failed or not waiter.group then return got end
  if ctx.cancelled then -- another is given the message
    errors.error { code = "cancelled", message = "it was cancelled when the message came", retryable = false }
  end
  if got.entry or waiter.taken then source:acknowledge(waiter, got) end
  return got
end

local RECEIVE = { group = true, timeout = true }

--- Waits, in a handler, for the next message of a topic: of those that are published from now on;
--- or with `group` of its stream, where each goes to one of the group. It is recorded with the run,
--- so that a handler that runs again sees the same, and acknowledged when the record is on disk.
--- Raises `wait_timeout`, and what a server raises.
---@param topic string
---@param options? { group: string?, timeout: orrery.Duration? }
---@return { id: string|nil, message: any } id: the same where it comes twice
function bus.receive(topic, options)
  if core.ask_bus then return core.ask_bus("receive", topic, options) end
  check_name("flow.receive", "topic", topic)
  options = check_options("flow.receive", options, RECEIVE)
  if options.group ~= nil then check_name("flow.receive", "group", options.group) end
  local ctx, run = core.running(), core.running_run()
  if not run then
    refuse "flow.receive waits in a handler; call it there, or write a node of the type bus.wait"
  end
  local source, token = of(core.running_runtime()), unique()
  while true do
    local waiter = setmetatable({ topic = topic, group = options.group, run = run, token = token,
      signal = signal_of(ctx, topic, options.group) }, Waiter)
    local got = once(ctx, source, waiter, options.timeout)
    if not got.failed then return { id = got.id, message = got.message } end
    if got.failed == token then
      errors.error { code = got.code, message = got.text, retryable = got.retryable }
    end
  end
end

return bus
