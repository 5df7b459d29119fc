--- The ways to kill: at every commit, at random moments, and two processes on one store at random
--- moments.
local core = require "orrery.core"
local flow = require "orrery"
local world = require "spec.crash.world"

local harness = {}
harness.__index = harness

--- A campaign in a folder of its own.
---@param folder string
---@param seed integer
function harness.new(folder, seed)
  math.randomseed(seed)
  assert(os.execute("mkdir -p " .. folder))
  local self = { folder = folder, seed = seed, worlds = 0, kills = 0, at_commits = 0, resumes = 0, runs = 0,
    records = 0, commits = 0,
    repeated = 0, steps = 0, ahead = 0, signals = 0, broken = {} }
  self.twins = world.undisturbed(folder .. "/undisturbed")
  return setmetatable(self, harness)
end

function harness:enter(plan)
  self.worlds = self.worlds + 1
  return world.new(("%s/%d"):format(self.folder, self.worlds), plan, self.twins)
end

function harness:leave(w)
  local broken = w:verdict()
  local watch = w.watch
  self.kills, self.resumes, self.signals = self.kills + w.kills, self.resumes + w.resumes,
    self.signals + w.signals
  self.runs, self.records, self.commits = self.runs + #watch.facts.list, self.records + watch.facts.records,
    self.commits + watch.facts.rows
  self.repeated, self.steps = self.repeated + watch.repeated, self.steps + watch.steps_repeated
  self.ahead = self.ahead + watch.ahead
  for _, text in ipairs(broken) do self.broken[#self.broken + 1] = ("%s (in %s)"):format(text, w.folder) end
  w:close()
  if #broken == 0 then os.execute("rm -rf " .. w.folder) end
end

-- ---- at every commit ----------------------------------------------------------------------------

-- The command that resumes a run or, where it has ended, the children that it did not wait for; nil
-- where nothing is left.
local function next_work(w, one)
  local run = w.watch.facts.runs[one.id]
  local force = w.watch.facts:in_danger() and "--force" or nil
  if not run then return w:running(one) end
  if not run.over then return w:resuming(one.id, force) end
  if #w.watch.facts:unfinished() > 0 then return w:resuming(force) end
end

-- Resumes a run until it has ended, killed again at a commit now and then.
local function finish(w, one)
  local again = math.random() < 0.4
  while not w.hung and #w.watch.broken == 0 do
    w.watch:mark()
    local work = next_work(w, one)
    if not work then return end
    local crash = again and ("%d%s"):format(math.random(12), math.random(2) == 1 and ":after" or "") or nil
    again = again and math.random() < 0.5
    w:outlive(w:start(work, crash))
  end
end

--- Kills one flow at its n-th commit, for each n until there are no more: before it, and after it.
---@param name string
---@param most? integer kills at most, spread over the commits
function harness:boundaries(name, most)
  local w = self:enter {}
  for _, moment in ipairs { "", ":after" } do
    local n, killed = most and math.random(most) or 1, true
    while killed and #w.watch.broken == 0 do
      local one = world.one(name, n, ("%s%d%s"):format(name, n, moment))
      w.plan[#w.plan + 1] = one
      local life = w:start(w:running(one), n .. moment)
      w:outlive(life)
      killed = life.signal == 9
      finish(w, one)
      n = n + (most or 1)
    end
  end
  self.at_commits = self.at_commits + w.kills
  self:leave(w)
end

-- ---- at random moments --------------------------------------------------------------------------

local function some_plan(size)
  local plan = {}
  for i = 1, size do
    local name = world.FLOWS[math.random(#world.FLOWS)]
    plan[i] = world.one(name, math.random(3), ("%s:%d"):format(name, i))
  end
  return plan
end

-- How long a process may live, in seconds; now and then it dies at a commit instead.
local function some_time()
  local dice = math.random()
  if dice < 0.15 then return math.random() * 0.01 end
  if dice < 0.75 then return 0.008 + math.random() * 0.05 end
  if dice < 0.85 then return 0.05 + math.random() * 0.2 end
  return 5, ("%d%s"):format(math.random(30), math.random(2) == 1 and ":after" or "")
end

local function all_there(w)
  for _, one in ipairs(w.plan) do
    if not w.watch.facts.runs[one.id] then return false end
  end
  return true
end

-- What a process is to do: start what is missing, or resume all runs, or one.
local function some_work(w)
  local unfinished = w.watch.facts:unfinished()
  local dice = math.random()
  if #unfinished == 0 or (not all_there(w) and dice < 0.6) then return w:starting() end
  if dice < 0.15 then return w:starting() end
  if dice < 0.3 then
    local run = unfinished[math.random(#unfinished)]
    for _, one in ipairs(w.plan) do
      if one.id == run.id then
        return math.random(2) == 1 and not w.shared and w:running(one) or w:resuming(one.id)
      end
    end
  end
  return w:resuming(dice < 0.4 and not w.shared and "--force" or nil)
end

--- Runs on one store, in one process at a time, killed at random until all have ended.
---@param size integer runs
function harness:random(size)
  local w = self:enter(some_plan(size))
  repeat
    local seconds, crash = some_time()
    local work = w.watch.facts:in_danger() and w:resuming "--force" or some_work(w)
    w:kill_after(w:start(work, crash), seconds, 0.15)
    w.watch:mark()
  until w:done() or #w.watch.broken > 0
  self:leave(w)
end

-- ---- two processes on one store -----------------------------------------------------------------

local function seconds_now() return core.hrtime() / 1e9 end

local function begin_life(w)
  local seconds, crash = some_time()
  return { process = w:start(some_work(w), crash), ends = seconds_now() + seconds }
end

local function keep_two(w, lives)
  for i = 1, 2 do
    local life = lives[i]
    if life and life.process:ended() then
      w:ended(life.process)
      lives[i] = nil
    elseif life and seconds_now() >= life.ends then
      life.process:kill()
    end
    lives[i] = lives[i] or begin_life(w)
  end
end

local function end_both(w, lives)
  for i = 1, 2 do
    if lives[i] then w:kill_after(lives[i].process, 0, 0) end
    lives[i] = nil
  end
end

--- Runs on one store, in two processes at a time that know nothing of each other.
---@param size integer runs
function harness:pair(size)
  local w, lives = self:enter(some_plan(size)), {}
  -- one may die for the third time before anybody has seen the second
  w.shared, w.crash_limit = true, "1000000"
  repeat
    keep_two(w, lives)
    w:deliver(0.15)
    flow.sleep(0.003)
    w.watch:mark()
  until w:done() or #w.watch.broken > 0
  end_both(w, lives)
  self:leave(w)
end

-- ---- telling ------------------------------------------------------------------------------------

--- What was done and found, in a sentence.
---@return string
function harness:summary()
  return ("seed %d: %d kills (%d of them at commits), %d resumes, %d runs, %d records in %d commits, %d "
    .. "signals, %d attempts and "
    .. "%d steps done again, %d starts seen ahead of their records, %d promises broken")
      :format(self.seed, self.kills, self.at_commits, self.resumes, self.runs, self.records,
    self.commits, self.signals, self.repeated, self.steps, self.ahead, #self.broken)
end

--- Lets go of everything; what was found stays where something was broken.
function harness:close()
  self.twins:close()
  if #self.broken == 0 then os.execute("rm -rf " .. self.folder) end
end

return harness
