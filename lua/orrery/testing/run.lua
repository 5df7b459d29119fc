--- A run under test: its clock stands until the test lets it go on, and everything that happened
--- can be looked at.
local World = require "orrery.testing.world"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local events = require "orrery.events"
local start = require "orrery.start"
local types = require "orrery.definition.type"
local uv = require "luv"

local Run = {}

local LIMIT = 10 -- real seconds that a run under test may take for one control

local function fail(format, ...) error("testing: " .. format:format(...), 0) end

-- ---- starting -----------------------------------------------------------------------------------

-- Of the options of `testing.start`, those that a run takes.
local OF_RUN = { "input", "context", "only", "from", "concurrency", "seed", "id", "labels", "key", "trigger" }
local OF_WORLD = { nodes = true, types = true, failures = true, compensations = true, durable = true,
  env = true, now = true, kill_after = true, limit = true, sealed = true, resumes = true }

local function by_name(example)
  return { is = function(value) return type(value) == "table" end,
    words = "a table by name, " .. example }
end

local function of_type(name, example)
  return { is = function(value) return type(value) == name end, words = ("a %s, %s"):format(name, example) }
end

-- What options of the world are; those of the run are looked at where it starts.
local KINDS = {
  nodes = by_name "nodes = { fetch = { status = 200 } }",
  types = by_name "types = { [\"http.get\"] = function(ctx, config) … end }",
  failures = by_name "failures = { fetch = \"http_status\" }",
  compensations = by_name "compensations = { charge = function(ctx) … end }",
  env = by_name "env = { TOKEN = \"x\" }",
  durable = of_type("boolean", "durable = true"),
  resumes = of_type("boolean", "resumes = true"),
  sealed = of_type("boolean", "sealed = true"),
  now = of_type("number", "seconds since 1970, now = os.time { year = 2030, month = 1, day = 1 }"),
  limit = { is = function(value) return type(value) == "number" and value > 0 end,
    words = "a number of seconds above 0, limit = 30" },
  kill_after = { is = function(value) return math.type(value) == "integer" and value > 0 end,
    words = "a whole number of records from 1 on, kill_after = 3" },
}

local function check_options(options)
  if type(options) ~= "table" then
    error("testing.start: expected a table of options, got " .. errors.show(options), 0)
  end
  local known = {}
  for _, name in ipairs(OF_RUN) do known[name] = true end
  for name in pairs(OF_WORLD) do known[name] = true end
  for key in pairs(options) do
    if not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      error(("testing.start: unknown option %q%s"):format(tostring(key), errors.suggest(key, names)), 0)
    end
  end
  for key, kind in pairs(KINDS) do
    local value = options[key]
    if value ~= nil and not kind.is(value) then
      error(("testing.start: the option %s is %s, got %s"):format(key, kind.words, errors.show(value)), 0)
    end
  end
end

local function raw(self) return rawget(self, "raw") end

local function begin(self, go)
  local world = rawget(self, "world")
  local run = go(world.rt)
  world.id = run.id
  rawset(self, "raw", run)
end

--- Starts a run in a world of its own. Its clock stands: what is due now has happened when this
--- returns, and nothing else.
---@param compiled orrery.Compiled
---@param options table
---@return orrery.testing.Run
function Run.start(compiled, options)
  check_options(options)
  local durable = options.durable or options.kill_after ~= nil
  local settings = setmetatable({ durable = durable }, { __index = options })
  local world = World.new(compiled, settings)
  local self = setmetatable({ world = world, limit = options.limit or LIMIT, resumes = options.resumes,
    signals = 0, dead = false }, Run)
  local ok, problem = pcall(function()
    if options.kill_after then world.rt:cut(options.kill_after) end
    begin(self, function(rt)
      local given = { runtime = rt }
      for _, key in ipairs(OF_RUN) do given[key] = options[key] end
      return start.start(compiled, given)
    end)
    self:settle()
  end)
  if not ok then
    world:close()
    error(problem, 0)
  end
  return self
end

-- ---- the clock ----------------------------------------------------------------------------------

local methods = {}

local function check_alive(self, what)
  if self.world.closed then fail("%s: the test of this run is over", what) end
  if self.dead then fail("%s: the run was killed; run:resume() lets it go on", what) end
end

-- What the runtime's cut did: the run is given up, and its process counts as dead.
local function note_death(self)
  if self.dead or raw(self).state ~= "interrupted" then return end
  self.dead = true
  self.world:kill()
end

local timers = {} -- real ones that are stopped; they are kept for the next control

-- Calls `fn` after so long in real time, unless what is returned is called before.
local function real_timer(seconds, fn)
  local timer = table.remove(timers) or uv.new_timer()
  timer:start(math.ceil(seconds * 1000), 0, fn)
  return function()
    timer:stop()
    timers[#timers + 1] = timer
  end
end

-- Lets the clock go on, but not for longer than the limit of real time: then the run is given up.
local function let_go(self, time)
  local world, late = self.world, false
  local stop = real_timer(self.limit, function()
    late = true
    world.rt:abandon()
  end)
  local ok, problem = pcall(world.rt.advance, world.rt, time)
  stop()
  if late then
    note_death(self)
    fail("the run did not come to rest within %s seconds of real time; its clock is at %s. A handler that "
      .. "waits for something real? A loop without end? The option `limit` gives it longer",
      self.limit, duration.format(world:elapsed()))
  end
  if not ok then error(problem, 0) end
  note_death(self)
end

-- Where the option `resumes` is set, a run that was killed goes on at once.
local function resurrect(self)
  if not (self.dead and self.resumes) then return false end
  methods.resume(self)
  return true
end

local function seconds_of(time, what)
  local seconds, message = duration.parse(time)
  if not seconds then fail("%s: %s", what, message) end
  return seconds
end

--- Lets the clock go on for so long; what is due meanwhile happens at its time. *Waits* until
--- nothing can run before the clock moves again.
---@param time orrery.Duration
---@return orrery.testing.Run itself
function methods:advance(time)
  check_alive(self, "run:advance")
  local seconds = seconds_of(time, "run:advance")
  local target = self.world:elapsed() + seconds
  let_go(self, seconds)
  while resurrect(self) do
    let_go(self, math.max(0, target - self.world:elapsed()))
  end
  return self
end

--- Lets everything happen that is due now. *Waits.*
---@return orrery.testing.Run itself
function methods:settle() return methods.advance(self, 0) end

-- Why it cannot end by itself, in words.
local function open_nodes(self)
  local parts = {}
  for name, state in pairs(raw(self):states()) do
    if state == "waiting" or state == "running" or state == "ready" then
      local why = raw(self):why(name)
      parts[#parts + 1] = ("%s %s"):format(name,
        why.kind == "signal" and why.name and ('waits for the signal "%s"'):format(why.name)
        or "is " .. state)
    end
  end
  table.sort(parts)
  return #parts > 0 and table.concat(parts, ", ") or "it is " .. raw(self).state
end

--- Lets the run go on to its end. *Waits.* Raises where it cannot end by itself, because a node
--- waits for a signal without a timeout, say. A run that is killed meanwhile is left so.
---@return orrery.testing.Run itself
function methods:finish()
  if self.world.closed then fail "run:finish: the test of this run is over" end
  if self.dead then return self end
  local since = uv.hrtime()
  while not self.ended do
    if not self.dead and not self.world.rt:due() then
      fail("run:finish: the run does not end by itself: %s", open_nodes(self))
    end
    if (uv.hrtime() - since) / 1e9 > self.limit then
      fail("run:finish: the run has not ended within %s seconds of real time; its clock is at %s. The option "
        .. "`limit` gives it longer", self.limit, duration.format(self.world:elapsed()))
    end
    let_go(self)
    if self.dead and not resurrect(self) then return self end
  end
  return self
end

-- ---- commands -----------------------------------------------------------------------------------

local function signals_kept(self)
  local n = 0
  for _, record in ipairs(raw(self):journal()) do
    if record.kind == "signal" then n = n + 1 end
  end
  return n
end

--- Sends a signal, and lets everything happen that follows from it at this time. *Waits.*
---@param name string
---@param data? any
---@return orrery.testing.Run itself
function methods:signal(name, data)
  check_alive(self, "run:signal")
  self.signals = self.signals + 1
  local function send()
    local ok, problem = pcall(raw(self).signal, raw(self), name, data)
    note_death(self)
    if not ok and not self.dead then error(problem, 0) end
    if not self.dead then let_go(self, 0) end
  end
  send()
  -- a sender whose signal was lost with the process sends it again, as `orrery signal` would keep
  -- it
  while resurrect(self) do
    if not self.ended and signals_kept(self) < self.signals then send() end
  end
  return self
end

local function command(name)
  methods[name] = function(self)
    check_alive(self, "run:" .. name)
    raw(self)[name](raw(self))
    note_death(self)
    if not self.dead then let_go(self, 0) end
    resurrect(self)
    return self
  end
end

command "cancel"
command "pause"

--- As if the process were killed at this moment: handlers stop where they are, and only what was
--- recorded is left. The run must be durable (`durable = true`).
---@return orrery.testing.Run itself
function methods:kill()
  check_alive(self, "run:kill")
  if not self.world.folder then
    fail("run:kill: nothing of this run is kept; start it with durable = true")
  end
  if self.ended then fail("run:kill: the run has ended") end
  self.dead = true
  self.world:kill()
  return self
end

--- Lets a run go on that was killed, in a new runtime, or one that was paused. *Waits* until
--- everything has happened that is due then.
---@param options? { after: orrery.Duration?, kill_after: integer? } after: how long it was down; kill_after:
--- records until it is killed again
---@return orrery.testing.Run itself
function methods:resume(options)
  options = options or {}
  if type(options) ~= "table" then
    fail("run:resume: expected a table of options, { after = \"1h\" }, got %s", errors.show(options))
  end
  local world = self.world
  if world.closed then fail("run:resume: the test of this run is over") end
  if not self.dead then
    raw(self):resume()
    let_go(self, 0)
    resurrect(self)
    return self
  end
  local down = options.after and seconds_of(options.after, "run:resume: after") or 0
  world:open(world.died + down)
  if options.kill_after then world.rt:cut(options.kill_after) end
  self.dead = false
  begin(self, function(rt)
    return (require("orrery.store.resume").resume(world.id, { runtime = rt, compiled = world.compiled }))
  end)
  let_go(self, 0)
  return self
end

--- Ends the test of this run: what is still under way is given up, its store is removed. Tests of
--- `orrery test` do that by themselves.
function methods:close()
  self.world:close()
end

-- ---- looking ------------------------------------------------------------------------------------

for _, name in ipairs { "states", "outputs", "errors", "stats", "journal" } do
  methods[name] = function(self) return raw(self)[name](raw(self)) end
end

for _, name in ipairs { "items", "why" } do
  methods[name] = function(self, ...) return raw(self)[name](raw(self), ...) end
end

-- The names in a list, and those of a table's keys.
local function names_of(...)
  local names = {}
  for _, list in ipairs { ... } do
    for key, value in pairs(list) do names[#names + 1] = type(key) == "string" and key or value end
  end
  return names
end

local function quoted(name) return type(name) == "string" and ("%q"):format(name) or errors.show(name) end

--- Raises where the workflow has no such node.
---@param node any
---@param what string who asks
function methods:check_node(node, what)
  local known = self.world.known
  if known[node] then return end
  error(("%s: the workflow has no node %s%s"):format(what, quoted(node),
    errors.did_you_mean(node, names_of(known))), 0)
end

--- Raises where a name is neither a node of the workflow nor a node type nor what was called.
---@param name any
---@param what string who asks
function methods:check_called(name, what)
  local is_text = type(name) == "string"
  if is_text and (self.world.known[name] or types.find(name) or name:find("/", 1, true)) then return end
  for _, call in ipairs(self.world.calls) do
    if call.type == name then return end
  end
  error(("%s: there is neither a node nor a node type %s%s"):format(what, quoted(name),
    errors.did_you_mean(name, names_of(self.world.known, types.names()))), 0)
end

--- Calls of doubles and of handlers: of a node, of a node type, or all. Each is { node, type, item,
--- iteration, attempt, config, inputs, at }.
---@param name? string a node, "workflow/node", or a node type
---@return table[]
function methods:calls(name)
  local list = {}
  if name ~= nil then self:check_called(name, "run:calls") end
  for _, call in ipairs(self.world.calls) do
    if name == nil or call.node == name or call.type == name then list[#list + 1] = call end
  end
  return list
end

--- Events of the run and of those that it called, in their order, each with `at`: seconds since the
--- start.
---@param name? string only of this kind
---@param node? string only of this node
---@return table[]
function methods:events(name, node)
  local list = {}
  for _, event in ipairs(self.world.events) do
    if (name == nil or event.event == name) and (node == nil or event.node == node) then
      list[#list + 1] = event
    end
  end
  return list
end

--- How many attempts a node has had.
---@param node string
---@return integer
function methods:attempts(node)
  local most = 0
  self:check_node(node, "run:attempts")
  for _, event in ipairs(self:events("node_started", node)) do
    if event.run == self.id and not event.fallback then most = math.max(most, event.attempt) end
  end
  return most
end

local ENDS = { node_completed = true, node_failed = true, node_skipped = true, node_cancelled = true }

local function time_of(self, node, fits)
  for _, event in ipairs(self.world.events) do
    if event.run == self.id and event.node == node and fits(event) then return event.at end
  end
end

--- When a node's first attempt started, of one with items that of any, in seconds since the start
--- of the run; nil where none has.
---@param node string
---@return number|nil
function methods:started(node)
  self:check_node(node, "run:started")
  return time_of(self, node, function(event) return event.event == "node_started" end)
end

--- When a node was over, in seconds since the start of the run; nil where it is not.
---@param node string
---@return number|nil
function methods:settled(node)
  self:check_node(node, "run:settled")
  return time_of(self, node, function(event) return not event.item and ENDS[event.event] end)
end

--- What happened as a text, one line an event.
---@param options? orrery.testing.TraceOptions
---@return string
function methods:trace(options) return require("orrery.testing.trace").text(self, options) end

local FIELDS = { id = true, state = true, output = true, error = true, workflow = true, lock = true,
  holder = true }

-- Seconds that it has taken, by its clock.
local function elapsed(self)
  for _, event in ipairs(rawget(self, "world").events) do
    if event.run == raw(self).id and events.ENDS[event.event] and not event.node then return event.at end
  end
  return rawget(self, "world"):elapsed()
end

function Run:__index(key)
  if methods[key] then return methods[key] end
  if key == "ended" then return not rawget(self, "dead") and raw(self).ended end
  if key == "elapsed" then return elapsed(self) end
  if key == "state" and rawget(self, "dead") then return "killed" end
  if FIELDS[key] then return raw(self)[key] end
end

function Run:__tostring() return ("run of %s (%s)"):format(self.workflow, self.state) end

Run.__name = "orrery.testing.run"

--- Whether a value is a run under test.
---@param value any
---@return boolean
function Run.is(value) return getmetatable(value) == Run end

return Run
