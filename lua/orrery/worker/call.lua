--- The loop's side of a handler that runs in a worker: gives it to one, does what it asks for, and
--- ends as it ends.
---
--- A message is a list: the channel (0 for the handler itself, another for each function that it
--- gathers), a word, and what belongs to it.
---
--- | from the worker | |
--- |---|---|
--- | `code` | it has not loaded this bundle yet |
--- | `report` name, arguments | a method of `ctx` without a result |
--- | `call` name, arguments | a method of `ctx` |
--- | `child` reference, arguments | `ctx:call` of a workflow that is a value |
--- | `state` function, arguments | `core.state_get` or `core.state_set` |
--- | `bus` function, arguments | `flow.publish` or `flow.receive` |
--- | `flushed` | `core.flushed` |
--- | `spools` | `core.spools`: where rows are kept that are many |
--- | `field` name, key | a field of `ctx`, or one of a field |
--- | `fields` name | all fields of a field |
--- | `secret` source | the value of a secret |
--- | `absent` key | why `inputs` has no such field, where that is a mistake |
--- | `step` name | `ctx:step` |
--- | `did` ok, value | the function of the step has run |
--- | `gather` channels | `flow.gather`; each function ends with `end` ok, error |
---
--- The loop answers with `return` values or `raise` error, and of a step with `do` where its
--- function is to run.
local bundle = require "orrery.bundle"
local core = require "orrery.core"
local mask = require "orrery.mask"
local message = require "orrery.worker.message"
local pools = require "orrery.worker.pools"
local secret = require "orrery.secret"
local waiting = require "orrery.worker.waiting"

local unpack = table.unpack

---@class orrery.WorkerCall
---@field ctx orrery.Context
---@field run string id of its run
---@field task table fields of its ctx: `node`, `index`, …
---@field job userdata see runtime/worker/module.c
---@field waiting table<integer, function> by channel: resumes who waits for its next message
---@field queues table<integer, table[]>
---@field over table|nil its last message
local Call = {}
Call.__index = Call

-- ---- messages -----------------------------------------------------------------------------------

local function hand(self, channel, m)
  local resume = self.waiting[channel]
  if resume then
    resume(m) -- first: where there is no memory for that, the message comes once more
    self.waiting[channel] = nil
    return
  end
  local queue = self.queues[channel] or {}
  self.queues[channel] = queue
  queue[#queue + 1] = m
end

local LOST = { error = { code = "out_of_memory", retryable = true,
  message = "not enough memory for what the worker has returned" } }

-- The job's end ends whatever waits for a message. It is decoded once, also where nobody waits for
-- it, for it may hold a file; where memory was short it comes again, and the file is gone.
local function finish(self, m)
  if m[2] == "ended" and not self.ended then
    self.ended = LOST
    self.ended = message.decode_end(m[3], self.spools)
  end
  self.over = m
  waiting.leave(self)
  for channel, resume in pairs(self.waiting) do
    resume(m)
    self.waiting[channel] = nil
  end
end

local function on(self, kind, text, said)
  if kind == "text" then
    local m = message.decode(text)
    return hand(self, m[1], m)
  end
  if kind == "warning" then return hand(self, 0, { 0, "report", "log", message.pack("warn", text) }) end
  finish(self, { 0, kind, text, said })
end

function Call:reply(channel, ...) self.job:send(message.encode { channel, ... }) end

function Call:receive(channel)
  local queue = self.queues[channel]
  if queue and queue[1] then return table.remove(queue, 1) end
  if self.over then return self.over end
  return core.await(function(resume)
    self.waiting[channel] = resume
    return function()
      if channel ~= 0 then
        self.waiting[channel] = nil
        return false
      end
      self.job:cancel()
      return true -- until its end comes
    end
  end)
end

local function copy(view)
  local made = {}
  for name, value in pairs(view or {}) do made[name] = value end
  return made
end

-- ---- what is asked for --------------------------------------------------------------------------

function Call:answer(channel, ok, ...)
  if ok then
    local good, text = pcall(message.encode, { channel, "return", message.pack(...) })
    if good then return self.job:send(text) end
    return self:reply(channel, "raise", { code = "handler_error", message = tostring(text) })
  end
  self:reply(channel, "raise", message.of_error((...)))
end

local ASKED = {}

function ASKED.code(self, channel)
  local row = {}
  for key, value in pairs(self.bundle) do row[key] = value end
  self:reply(channel, "return", message.pack(row))
end

function ASKED.report(self, _, name, args) self.ctx[name](self.ctx, message.unpack(args)) end

function ASKED.call(self, channel, name, args)
  self:answer(channel, pcall(self.ctx[name], self.ctx, message.unpack(args)))
end

function ASKED.state(self, channel, name, args)
  self:answer(channel, pcall(core[name], self.ctx, message.unpack(args)))
end

function ASKED.bus(self, channel, name, args)
  self:answer(channel, pcall(require("orrery.bus")[name], message.unpack(args)))
end

function ASKED.spools(self, channel) self:answer(channel, pcall(core.spools, self.ctx)) end

function ASKED.flushed(self, channel) self:answer(channel, pcall(core.flushed)) end

function ASKED.child(self, channel, named, args)
  local w = require("orrery.bundle.reference").find(named)
  if w then return self:answer(channel, pcall(self.ctx.call, self.ctx, w, message.unpack(args))) end
  self:reply(channel, "raise", { code = "config_error", message = ('ctx:call in a worker: workflow "%s" of '
    .. "%s, as the worker has it, is not here: the file has changed since it was loaded; call it by its path")
    :format(named.name, named.file) })
end

-- The function itself says what is wrong without a place; the handler's is known over there.
function ASKED.absent(self, channel, key)
  local inputs = self.ctx.inputs
  local ok, mistake = pcall(getmetatable(inputs).__index, inputs, key)
  self:answer(channel, true, not ok and tostring(mistake) or nil)
end

local function field(ctx, name, key)
  local value = ctx[name]
  if key ~= nil then return value[key] end
  return name == "inputs" and copy(value) or value
end

function ASKED.field(self, channel, name, key) self:answer(channel, pcall(field, self.ctx, name, key)) end

function ASKED.fields(self, channel, name)
  self:answer(channel, pcall(copy, self.ctx[name]))
end

function ASKED.secret(self, channel, source) self:answer(channel, pcall(secret.look_up, source)) end

function ASKED.step(self, channel, name)
  self:answer(channel, pcall(self.ctx.step, self.ctx, name, function()
    self:reply(channel, "do")
    local m = self:serve(channel)
    if m[2] ~= "did" then message.raise(self:failure()) end
    if not m[3] then message.raise(m[4]) end
    return m[4]
  end))
end

function ASKED.gather(self, channel, channels)
  local fns = {}
  for i, inner in ipairs(channels) do
    fns[i] = function()
      local m = self:serve(inner)
      if m[2] == "end" and not m[3] then message.raise(m[4]) end
    end
  end
  local ok, e = pcall(core.gather, fns)
  self:answer(channel, ok, not ok and e or nil)
end

--- Does what is asked for on a channel until something else comes, which is returned.
function Call:serve(channel)
  while true do
    local m = self:receive(channel)
    local asked = ASKED[m[2]]
    if not asked then return m end
    asked(self, channel, unpack(m, 3))
  end
end

-- ---- one attempt --------------------------------------------------------------------------------

-- What the job ended with as an error.
function Call:failure()
  local kind, code, said = self.over[2], self.over[3], self.over[4] -- code and message of what has failed
  if kind == "failed" then return { code = code, message = said } end
  return self.ended.error
end

local FIELDS = { "node", "item", "index", "item_name", "attempt", "iteration", "idempotency_key" }

local function task_of(ctx)
  local known = {}
  for _, name in ipairs(FIELDS) do known[name] = ctx[name] end
  return known
end

local function job_text(self, how, config, inputs)
  return message.encode { bundle = self.bundle.hash, node = how.name, typed = how.typed, config = config,
    inputs = how.takes_inputs and copy(inputs) or nil, ctx = self.task, masked = mask.values() }
end

local function bundle_of(compiled)
  local made, reason = bundle.running(), nil
  if not made then made, reason = bundle.of(compiled) end
  if made then return made end
  message.raise { code = "config_error",
    message = "strategy = \"thread\": a worker loads the workflow's file, " .. reason }
end

--- Runs the handler of a node in a worker; waits for its end.
---@param compiled orrery.Compiled
---@param how {name: string, typed: boolean, takes_inputs: boolean}
---@param ctx orrery.Context
---@param config table|nil of a node that has a type
---@param inputs table|nil
---@return any output
return function(compiled, how, ctx, config, inputs)
  local self = setmetatable({ ctx = ctx, run = ctx.run.id, task = task_of(ctx), bundle = bundle_of(compiled),
    waiting = {}, queues = {}, spools = (core.spools(ctx)) }, Call)
  local rt = core.running_runtime()
  local pool = pools.of(rt)
  self.job = pool:start(job_text(self, how, config, inputs), function(...) on(self, ...) end)
  waiting.enter(self, pool, rt)
  local ok, e = pcall(self.serve, self, 0)
  if not ok then
    self.job:cancel()
    message.raise(e)
  end
  local answer = self.ended
  if not answer or answer.error then message.raise(self:failure()) end
  if answer.outcome then return core.outcome(answer.outcome, answer.value) end
  return answer.value
end
