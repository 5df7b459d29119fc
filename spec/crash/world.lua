--- A store, the runs that are to be on it, the signals that they are to get, and the watch over all
--- of it.
local check = require "spec.crash.check"
local core = require "orrery.core"
local final = require "spec.crash.final"
local flow = require "orrery"
local process = require "spec.crash.process"

local world = {}
world.__index = world

world.FLOWS = { "chain", "fan", "saga", "undo", "steps", "signals", "parent", "tree", "choices", "wide" }
local INPUTS = 3 -- so many inputs each
world.SIGNALS = { signals = { "go", "go", "ok", "go", "late" } }

local function file_of(name) return ("spec/crash/flows/%s.lua"):format(name) end

local made = 0

local function new_id()
  made = made + 1
  return ("0%07x-%04x-7%03x-8%03x-%012x")
    :format(math.random(0xfffffff), math.random(0xffff), math.random(0xfff), math.random(0xfff), made)
end

--- A run to be: its flow, its input, its key, and the key of its undisturbed twin.
---@param name string of the flow
---@param n integer from 1
---@param key? string
function world.one(name, n, key)
  n = (n - 1) % INPUTS + 1
  local twin = ("%s-%d"):format(name, n)
  return { flow = name, file = file_of(name), n = n, key = key or twin, twin = twin, id = new_id(),
    seed = 7919 * n, sent = {}, due = 1 }
end

local function create(folder)
  assert(os.execute("rm -rf " .. folder .. " && mkdir -p " .. folder))
  assert(io.open(folder .. "/log", "w")):close()
  core.store("sqlite:" .. folder .. "/runs.db", "own"):close()
end

--- A new store in a folder with these runs to be started.
---@param folder string
---@param plan table[]
---@param twins? table the world of the undisturbed runs
function world.new(folder, plan, twins)
  create(folder)
  local self = setmetatable({ folder = folder, url = "sqlite:" .. folder .. "/runs.db", plan = plan,
    twins = twins, lives = 0, kills = 0,
    resumes = 0, signals = 0, complaints = {} }, world)
  self.store = core.store(self.url)
  self.watch = check.new(self.store, folder .. "/log")
  return self
end

function world:close() self.store:close() end

-- ---- lives --------------------------------------------------------------------------------------

--- The words that start what is not there of the plan and take up what is.
function world:starting()
  local list = {}
  for i, one in ipairs(self.plan) do
    list[i] = { file = one.file, key = one.key, id = one.id, seed = one.seed, n = one.n }
  end
  return { "spec/crash/child.lua", self.url, flow.json.encode(list), self.crash_limit }
end

--- The words that let runs go on: all, or the one that is named.
---@param ... string
function world:resuming(...)
  local words = { "resume", "--store", self.url, "-q", ... }
  if self.crash_limit then table.move({ "--crash-limit", self.crash_limit }, 1, 2, #words + 1, words) end
  return words
end

--- The words that run one of the plan by itself.
function world:running(one)
  return { "run", one.file, "--store", self.url, "-q", "--key", one.key, "--id", one.id, "--seed",
    tostring(one.seed), "-i",
    ("n:=%d"):format(one.n) }
end

--- Starts a process on the store.
---@param arguments string[]
---@param crash? string ORRERY_CRASH
function world:start(arguments, crash)
  self.lives = self.lives + 1
  if arguments[1] == "resume" then self.resumes = self.resumes + 1 end
  local env = { CRASH_LOG = self.folder .. "/log" }
  env.ORRERY_CRASH = crash
  return process.start(arguments, env, ("%s/out-%d"):format(self.folder, self.lives % 8))
end

-- A failed run makes a command fail; what else is not 0 and no kill should not be.
local function is_good(self, life)
  if life.signal ~= 0 then return false end
  if life.code == 1 then return life.arguments[1] ~= "spec/crash/child.lua" end
  local said = self.shared and life.code ~= 0 and life:said() or "" -- the other one was faster
  return life.code == 0 or said:find("has ended", 1, true) or said:find("take the run with force", 1, true)
end

--- Takes note of how a process ended.
function world:ended(life)
  if life.signal == 9 then
    self.kills = self.kills + 1
  elseif not is_good(self, life) then
    self.watch:complain("'%s' ended with code %d and signal %d:\n%s", table.concat(life.arguments, " "),
      life.code, life.signal,
      life:said())
  end
end

-- ---- signals ------------------------------------------------------------------------------------

--- Sends a run a signal, once for each `at`. False and why where it was not taken.
function world:send(one, name, at)
  local text = flow.json.encode { name = name, data = { n = at }, sent = core.time() }
  return pcall(self.store.send, self.store, one.id, "signal", text, one.key .. "#" .. at)
end

--- Sends what is due, each with this probability, some twice under one id.
---@param chance number
function world:deliver(chance)
  for _, one in ipairs(self.plan) do
    local names = world.SIGNALS[one.flow] or {}
    local name = names[one.due]
    if name and math.random() < chance then
      local ok, problem = self:send(one, name, one.due)
      if ok then
        if math.random() < 0.3 then self:send(one, name, one.due) end
        one.sent[name] = (one.sent[name] or 0) + 1
        one.due, self.signals = one.due + 1, self.signals + 1
      elseif not tostring(problem):find("no run", 1, true) then
        self.watch:complain("signal '%s' to run %s: %s", name, one.id, tostring(problem))
      end
    end
  end
end

-- ---- time ---------------------------------------------------------------------------------------

--- Lives on until a process has ended or this many seconds are over, and sends signals meanwhile.
---@param life table
---@param seconds number
---@param chance number of each signal, at each look
function world:attend(life, seconds, chance)
  local deadline = core.hrtime() / 1e9 + seconds
  repeat
    self:deliver(chance)
    flow.sleep(math.min(0.003, seconds))
  until life:ended() or core.hrtime() / 1e9 >= deadline
end

local PATIENCE = 120 -- seconds that a process may take that nobody kills

--- Lets a process live until it ends by itself.
function world:outlive(life)
  self:attend(life, PATIENCE, 0.5)
  if not life:ended() then
    self.watch:complain("'%s' does not end:\n%s", table.concat(life.arguments, " "), life:said())
    life:signal_with "sigquit"
    self.hung = true
  end
  while not life:ended() do flow.sleep(0.002) end
  self:ended(life)
end

--- Lets it live for so many seconds at most.
function world:kill_after(life, seconds, chance)
  self:attend(life, seconds, chance)
  life:kill()
  while not life:ended() do flow.sleep(0.001) end
  self:ended(life)
end

-- ---- the end ------------------------------------------------------------------------------------

--- Whether all runs of the plan are there and have ended.
function world:done()
  for _, one in ipairs(self.plan) do
    local run = self.watch.facts.runs[one.id]
    if not run or not run.over then return false end
  end
  return #self.watch.facts:unfinished() == 0
end

--- Checks all that must hold at the end.
---@return string[] what was broken
function world:verdict()
  if #self.watch.broken == 0 then final.check(self.watch, self.store, self.twins.store, self.plan) end
  return self.watch.broken
end

--- The world of runs that nobody disturbs, one for each flow and input.
---@param folder string
function world.undisturbed(folder)
  local plan = {}
  for _, name in ipairs(world.FLOWS) do
    for n = 1, INPUTS do plan[#plan + 1] = world.one(name, n) end
  end
  local self = world.new(folder, plan)
  self:outlive(self:start(self:starting()))
  self.watch:mark()
  self.store:project()
  assert(self:done() and #self.watch.broken == 0, table.concat(self.watch.broken, "\n"))
  return self
end

return world
