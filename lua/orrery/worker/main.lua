--- The worker's side: runs in the state of a worker and does jobs, each in a fiber of its own.
---
--- A job says which node of which bundle is to be run, and with what. The handler runs here;
--- what it
--- asks of its `ctx` (a sleep, a step, a log line) is done by the loop's thread, for which it
--- waits. `orrery.worker.call` is the other side, and says what the messages mean. Or it says which
--- function of which module is to be called with what (`orrery.serve.reads`).
local core = require "orrery.core"
local mask = require "orrery.mask"
local message = require "orrery.worker.message"
local secret = require "orrery.secret"

local unpack = table.unpack

---@class orrery.WorkerJob one job here
---@field job userdata see runtime/worker/module.c
---@field waiting table<integer, function> by channel: resumes who waits for its next message
---@field queues table<integer, table[]>
---@field channels integer how many there are
local Job = {}
Job.__index = Job

-- Secrets that were looked up here are not known over there: what the loop would mask before it is
-- kept or shown is masked on its way.
local function masked(value)
  if #mask.values() == 0 then return value end
  return mask.value(value)
end

-- A warning becomes a line of the log over there.
local lua_warn = warn
function _G.warn(...)
  if #mask.values() == 0 then return lua_warn(...) end
  lua_warn(mask.text(table.concat { ... }))
end

local here = {} -- fiber -> { job, channel }

local function place() return here[core.current_fiber()] end

-- ---- messages -----------------------------------------------------------------------------------

local function route(self, text)
  local m = message.decode(text)
  local channel = m[1]
  local resume = self.waiting[channel]
  if resume then
    self.waiting[channel] = nil
    return resume(m)
  end
  local queue = self.queues[channel] or {}
  self.queues[channel] = queue
  queue[#queue + 1] = m
end

local function listen(self)
  local function on(text)
    route(self, text)
    self.job:on(on)
  end
  self.job:on(on)
end

function Job:send(channel, ...) self.job:send(message.encode { channel, ... }) end

function Job:receive(channel)
  local queue = self.queues[channel]
  if queue and queue[1] then return table.remove(queue, 1) end
  return core.await(function(resume) self.waiting[channel] = resume end)
end

-- The answer to what was asked: its values, or its error is raised. Meanwhile the loop may have the
-- function of a step run.
function Job:answer(channel, run)
  while true do
    local m = self:receive(channel)
    local kind, value = m[2], m[3]
    if kind == "return" then return message.unpack(value) end
    if kind == "raise" then message.raise(value) end
    run(channel)
  end
end

-- ---- ctx ----------------------------------------------------------------------------------------

local function ask(op, ...)
  local at = place()
  if not at then
    error("this ctx cannot be used here: the handler that it belongs to is not the one that runs", 3)
  end
  at.job:send(at.channel, op, ...)
  return at.job:answer(at.channel)
end

local function report(name)
  return function(_, ...)
    local at = place()
    if not at then error(("ctx:%s: the attempt that it belongs to has ended"):format(name), 2) end
    at.job:send(at.channel, "report", name, masked(message.pack(...)))
  end
end

local function method(name)
  return function(_, ...) return ask("call", name, message.pack(...)) end
end

local methods = {
  log = report "log", cost = report "cost", publish = report "publish", progress = report "progress",
  heartbeat = report "heartbeat", emit = report "emit",
  sleep = method "sleep", wait = method "wait", now = method "now", random = method "random",
  uuid = method "uuid", items = method "items",
}

local function caught(e)
  return masked(message.of_error(e, debug.traceback(nil, 2):gsub("^stack traceback:\n", "", 1)))
end

function methods.step(_, name, fn, ...)
  local args = table.pack(...)
  local at = place()
  if not at then error("ctx:step: the attempt that this ctx belongs to has ended", 2) end
  at.job:send(at.channel, "step", name)
  local own, hidden
  local recorded = at.job:answer(at.channel, function(channel)
    local ok, value = xpcall(fn, caught, unpack(args, 1, args.n))
    local shown = ok and masked(value) or value
    if shown ~= value then own, hidden = value, true end
    at.job:send(channel, "did", ok, shown)
  end)
  if hidden then return own end -- only what is recorded is masked
  return recorded
end

function methods.restart()
  error("ctx:restart cannot be used in a worker; leave out strategy = \"thread\" of the node", 2)
end

function methods.call(_, what, ...)
  if type(what) == "string" then return ask("call", "call", message.pack(what, ...)) end
  local named, reason = require("orrery.bundle.reference").of(what)
  if not named then error("ctx:call in a worker: " .. reason, 2) end
  return ask("child", named, message.pack(...))
end

local function of_state(name)
  return function(_, ...) return ask("state", name, message.pack(...)) end
end

local STATE = { get = of_state "state_get", set = of_state "state_set" }

function methods.state(ctx, options) return require("orrery.state").of(ctx, options, STATE) end

-- Runs and their records are the loop's.
function core.ask_bus(name, ...) return ask("bus", name, message.pack(...)) end
function core.flushed() return ask "flushed" end

-- Where the rows of an output are kept, the loop's run says; once for each job.
local spools = core.spools
function core.spools(ctx)
  local at = place()
  if not at then return spools(ctx) end
  if at.job.spools == nil then at.job.spools, at.job.most = ask "spools" end
  return at.job.spools, at.job.most
end

-- Secrets are looked up by the loop, which masks them in all that comes from here; known here too,
-- they are masked before a type cuts a text. What a file asks for while it is loaded, it has to
-- look up itself.
local look_up = secret.look_up
function secret.look_up(source)
  if not place() then return look_up(source) end
  local value = ask("secret", source)
  mask.protect(value)
  return value
end

-- A table whose fields the loop knows: looked up once each.
local function view(name)
  return setmetatable({}, {
    __index = function(known, key)
      local value = ask("field", name, key)
      rawset(known, key, value)
      return value
    end,
    __pairs = function() return next, ask("fields", name) end,
  })
end

-- Asking for what is no dependency is the same mistake as on the loop, which knows them.
local inputs_meta = {
  __name = "orrery.inputs",
  __index = function(_, key)
    local mistake = place() and ask("absent", key)
    if mistake then error(mistake, 2) end
    return nil
  end,
}

local function with_mistakes(inputs) return inputs and setmetatable(inputs, inputs_meta) end

local VIEWS = { nodes = true, states = true, errors = true, env = true, run = true }
local LATER = { input = true, context = true, previous = true, trigger = true }

local ctx_meta = {
  __name = "orrery.ctx",
  __index = function(ctx, key)
    if methods[key] then return methods[key] end
    local value
    if VIEWS[key] then value = view(key)
    elseif key == "inputs" then value = with_mistakes(ask("field", key))
    elseif LATER[key] then value = ask("field", key)
    elseif key == "cancelled" then return ask("field", key) end
    rawset(ctx, key, value)
    return value
  end,
  __newindex = function(_, key)
    error(("ctx.%s cannot be set: ctx is read only; keep values in locals, or return them as output")
      :format(tostring(key)), 2)
  end,
}

-- ---- gathering ----------------------------------------------------------------------------------

local gather = core.gather

-- Functions of a gather run here, and the loop has a strand for each, so that their steps have
-- names of their own and none waits for another.
local function strand(job, channel, fn)
  return function()
    local id = core.current_fiber()
    here[id] = { job = job, channel = channel }
    local ok, value = xpcall(fn, caught)
    here[id] = nil
    job:send(channel, "end", ok, not ok and value or nil)
    if not ok then message.raise(value) end
    return value
  end
end

function core.gather(fns)
  local at = place()
  if not at or type(fns) ~= "table" then return gather(fns) end
  local channels, own = {}, {}
  for i, fn in ipairs(fns) do
    at.job.channels = at.job.channels + 1
    channels[i] = at.job.channels
    own[i] = strand(at.job, channels[i], fn)
  end
  at.job:send(at.channel, "gather", channels)
  local result = table.pack(pcall(gather, own))
  at.job:answer(at.channel)
  if not result[1] then message.raise(result[2]) end
  return unpack(result, 2, result.n)
end

-- ---- code ---------------------------------------------------------------------------------------

local loaded = {} -- hash of a bundle -> its handlers by node

local function handlers(job, hash)
  if loaded[hash] then return loaded[hash] end
  job.job:loads(true)
  job:send(0, "code")
  local row = message.unpack { n = 1, ["1"] = job:answer(0) }
  job.job:loads(false)
  loaded[hash] = require("orrery.bundle").load(row, row.modules).threaded
  return loaded[hash]
end

-- What the handler returned as text; nil and the error where it is no plain data.
local function answer(value, folder)
  local meta, named = getmetatable(value), nil
  if type(meta) == "table" and meta.__name == "orrery.outcome" then named, value = value[1], value[2] end
  local ok, why = core.json.check(value, "output", "a node's output is plain data")
  if not ok then return nil, { code = "invalid_output", message = why, retryable = false } end
  return message.encode_end({ outcome = named, value = masked(value) }, folder)
end

local function run(job, given)
  if given.module then return require(given.module)[given.name](message.unpack(given.args)) end
  for _, value in ipairs(given.masked) do mask.protect(value) end
  local handler = handlers(job, given.bundle)[given.node]
  local ctx, inputs = setmetatable(given.ctx, ctx_meta), with_mistakes(given.inputs)
  if given.typed then return handler(ctx, given.config, inputs) end
  return handler(ctx, inputs)
end

--- Does one job, in its fiber.
---@param job userdata see runtime/worker/module.c
---@param text string
---@return string answer
return function(job, text)
  local self = setmetatable({ job = job, waiting = {}, queues = {}, channels = 0 }, Job)
  local id = core.current_fiber()
  listen(self)
  here[id] = { job = self, channel = 0 }
  local ok, value = xpcall(run, caught, self, message.decode(text))
  here[id] = nil
  local said
  if ok then said, value = answer(value, self.spools) end
  if said then return said end
  if type(value) == "string" then value = message.of_error(value) end -- no handler sees the lack of memory
  job:fails()
  return message.encode { error = value }
end
