--- A storm: every command of the program on one store, several at a time, of which some are killed,
--- stopped or told to end. When it is over the runs are resumed until none is left, and then each
--- must have ended as one that nobody disturbed: no command crashed, hung or called the store
--- corrupt, no run failed, hangs or has another output.
local core = require "orrery.core"
local flow = require "orrery"
local world = require "spec.crash.world"

local storm = {}
storm.__index = storm

local CRASH_LIMIT = "1000000" -- an attempt may be cut off as often as it happens
local WAVE = 25               -- runs that are asked for at a time
local PATIENCE = 60           -- seconds that a command may take that does not wait for runs
local ROUNDS = 20             -- of resuming, until what is left counts as hanging

-- ---- commands -----------------------------------------------------------------------------------

local function of(word, ...)
  local words = { ... }
  return function(self, one) return { word, one.id, "--store", self.world.url, table.unpack(words) } end
end

local function all(word, ...)
  local words = { ... }
  return function(self) return { word, "--store", self.world.url, table.unpack(words) } end
end

local function start(...)
  local words = { ... }
  return function(self, one)
    local running = self.world:running(one)
    return table.move(words, 1, #words, #running + 1, running)
  end
end

local FORKED = { chain = "n5", fan = "square", choices = "way" }
local function fork(self, one)
  local from = FORKED[one.flow]
  return from and { "fork", one.id, "--from", from, "--store", self.world.url, "-q" }
end

local function cancel(self, one)
  one.cancelled = true
  return of "cancel" (self, one)
end

-- Only what needs no signal: one that is started again gets none.
local function prune(self)
  self.pruned = true
  return { "prune", "--workflow", "chain", "--older", "1s", "--store", self.world.url }
end

local function backup(self)
  return { "backup", self.world.folder .. "/backup.db", "--store", self.world.url }
end

-- Each with how often it comes beside the others, and whether it lets runs go on: then it may take
-- as long as these.
local COMMANDS = {
  { 12, start "-q", runs = true }, { 4, start "--no-wait", runs = true },
  { 6, all("resume", "-q", "--crash-limit", CRASH_LIMIT), runs = true },
  { 2, all("resume", "-q", "--no-wait", "--crash-limit", CRASH_LIMIT), runs = true },
  { 4, of("resume", "-q", "--crash-limit", CRASH_LIMIT), runs = true },
  { 2, of("resume", "-q", "--force", "--crash-limit", CRASH_LIMIT), runs = true },
  { 1, of("retry", "-q"), runs = true }, { 1, fork, runs = true },
  { 1, cancel }, { 2, of "pause" }, { 2, of("signal", "noise") }, { 1, prune }, { 1, backup },
  { 2, all "runs" }, { 1, all("runs", "--json") }, { 2, of "show" }, { 1, of("show", "--json") },
  { 1, of "logs" }, { 2, of "why" }, { 1, all "stats" }, { 1, all "doctor" }, { 1, all "cache" },
  { 1, all "state" },
}

local function some_command()
  local sum = 0
  for _, command in ipairs(COMMANDS) do sum = sum + command[1] end
  local dice = math.random() * sum
  for _, command in ipairs(COMMANDS) do
    dice = dice - command[1]
    if dice < 0 then return command end
  end
  return COMMANDS[1]
end

-- ---- what befalls a process ---------------------------------------------------------------------

-- The signal that it gets and after how many seconds; nothing befalls most. A Ctrl-C cancels the
-- runs of a process.
local function some_fate(runs)
  local dice, seconds = math.random(), math.random() * 0.3
  if dice < 0.12 then return "sigkill", seconds end
  if dice < 0.16 then return "sigterm", seconds end
  if dice < 0.18 then return runs and "sigterm" or "sigint", seconds end
  if dice < 0.24 then return "sigstop", seconds end
end

local function now() return core.hrtime() / 1e9 end

local EXPECTED = { sigkill = 9, sigterm = 15, sigint = 2 }
local BAD = { "internal_error", "stack traceback", "malformed", "corrupt", "checksum", "attempt to ",
  "disk I/O" }

local function complain(self, life, format, ...)
  self.broken[#self.broken + 1] = ("'%s' %s\n%s"):format(table.concat(life.arguments, " "),
    format:format(...), life:said())
end

local function judge(self, life)
  if life.signal ~= 0 and EXPECTED[life.fate] ~= life.signal then
    complain(self, life, "was ended by signal %d", life.signal)
  end
  local said = life:said()
  for _, word in ipairs(BAD) do
    if said:find(word, 1, true) then complain(self, life, "says '%s'", word) end
  end
end

-- Sends what is due, and says whether the process has ended.
local function attend(self, life)
  if life:ended() then
    judge(self, life)
    return true
  end
  local age = now() - life.began
  if life.fate and not life.met and age > life.after then
    life:signal_with(life.fate)
    life.met = true
    self.signals = self.signals + 1
  elseif life.fate == "sigstop" and age > life.after * 5 + 0.2 then
    life:signal_with "sigcont"
    life.fate = nil
  elseif not life.runs and not life.fate and age > PATIENCE then
    complain(self, life, "does not end")
    life:kill()
    life.fate, life.met = "sigkill", true
  end
end

local function begin(self, words, runs)
  local life = self.world:start(words)
  self.commands = self.commands + 1
  life.began, life.runs = now(), runs
  return life
end

local function some_life(self)
  local command = some_command()
  local words = command[2](self, self.plan[math.random(#self.plan)])
  if not words then return end
  local life = begin(self, words, command.runs)
  life.fate, life.after = some_fate(command.runs)
  return life
end

-- ---- signals that runs wait for -----------------------------------------------------------------

-- A run that was cancelled, or is not there yet, takes none.
local function deliver(self, one, chance)
  local name = (world.SIGNALS[one.flow] or {})[one.due]
  if name and math.random() < chance and self.world:send(one, name, one.due) then one.due = one.due + 1 end
end

local function deliver_all(self, chance)
  for _, one in ipairs(self.plan) do deliver(self, one, chance) end
end

-- ---- waves --------------------------------------------------------------------------------------

--- A storm in a folder of its own.
---@param folder string
---@param seed integer
function storm.new(folder, seed)
  math.randomseed(seed)
  assert(os.execute("mkdir -p " .. folder))
  local self = setmetatable({ folder = folder, seed = seed, runs = 0, commands = 0, signals = 0, waves = 0,
    gave_up = 0, broken = {} }, storm)
  self.twins = world.undisturbed(folder .. "/undisturbed")
  self.world = world.new(folder .. "/storm", {}, self.twins)
  return self
end

local function some_plan(self)
  local plan = {}
  for i = 1, WAVE do
    local name = world.FLOWS[math.random(#world.FLOWS)]
    plan[i] = world.one(name, math.random(3), ("%s:%d:%d"):format(name, self.waves, i))
  end
  return plan
end

local function each_life(lives, fn)
  for i = #lives, 1, -1 do
    if fn(lives[i]) then table.remove(lives, i) end
  end
end

-- So many commands at a time, for so long.
local function blow(self, seconds, hands)
  local lives, ends = {}, now() + seconds
  while now() < ends and #self.broken == 0 do
    each_life(lives, function(life) return attend(self, life) end)
    if #lives < hands then lives[#lives + 1] = some_life(self) end
    deliver_all(self, 0.02)
    flow.sleep(0.003)
  end
  return lives
end

local UNFINISHED = [[SELECT id FROM runs WHERE state NOT IN
  ('completed', 'failed', 'cancelled', 'compensated', 'compensation_failed') ORDER BY parent IS NOT NULL, number]]

local function missing(self)
  local list = {}
  for _, one in ipairs(self.plan) do
    local there = self.world.store:query("SELECT 1 FROM runs WHERE key = ?", one.key)[1]
    if not there then list[#list + 1] = one end
  end
  return list
end

-- What is to be done so that all that was asked for is there and has ended: commands, in order.
local function left(self)
  self.world.store:project()
  local list = {}
  for _, one in ipairs(missing(self)) do list[#list + 1] = self.world:running(one) end
  for _, row in ipairs(self.world.store:query(UNFINISHED)) do
    list[#list + 1] = { "resume", row.id, "--store", self.world.url, "-q", "--crash-limit", CRASH_LIMIT }
  end
  return list
end

-- Lets processes end, for so long at most; what has ended is taken out.
local function let_end(self, lives, seconds)
  local since = now()
  while #lives > 0 and now() - since < seconds do
    each_life(lives, function(life) return attend(self, life) end)
    deliver_all(self, 0.5)
    flow.sleep(0.003)
  end
end

-- What still lives where nothing is left to wait for.
local function give_up(self, lives)
  for _, life in ipairs(lives) do
    complain(self, life, "does not end")
    life:kill()
    life.fate, life.met = "sigkill", true
  end
  for _, words in ipairs(left(self)) do
    self.broken[#self.broken + 1] = "is not over: " .. table.concat(words, " ")
  end
  let_end(self, lives, PATIENCE)
end

-- All runs at the same time, as they would be after a storm. A process whose run was paused lives
-- until the run is resumed.
local function calm(self, lives)
  let_end(self, lives, 5)
  for _ = 1, ROUNDS do
    local work = left(self)
    if #work == 0 and #lives == 0 then return end
    for i = 1, #work, 8 do
      for j = i, math.min(i + 7, #work) do lives[#lives + 1] = begin(self, work[j], true) end
      let_end(self, lives, 10)
    end
    let_end(self, lives, 10)
  end
  give_up(self, lives)
end

-- ---- the verdict --------------------------------------------------------------------------------

local TOP = "SELECT number, id, state, output FROM runs WHERE key = ? AND parent IS NULL"
local GAVE_UP = [[
  WITH RECURSIVE kin(number) AS
    (SELECT ?1 UNION SELECT runs.number FROM runs JOIN kin ON runs.parent = kin.number)
  SELECT 1 FROM nodes JOIN kin ON nodes.run = kin.number WHERE json_extract(error, '$.code') = 'crash_loop']]

local function is_cancelled(state) return state == "cancelled" or state == "compensated" end

-- An attempt that was cut off three times fails a run, unless the limit is raised, which only some
-- commands can.
local function gave_up(self, row)
  if not self.world.store:query(GAVE_UP, row.number)[1] then return false end
  self.gave_up = self.gave_up + 1
  return true
end

local function compare(self, one)
  local row = self.world.store:query(TOP, one.key)[1]
  local was = self.twins.store:query(TOP, one.twin)[1]
  if not row then return "is missing" end
  if one.cancelled and is_cancelled(row.state) or gave_up(self, row) then return end
  if row.state ~= was.state then
    return ("is %s, undisturbed %s"):format(row.state, was.state)
  elseif row.output ~= was.output then
    return ("has the output %s, undisturbed %s"):format(row.output, was.output)
  end
end

local FORKS = [[SELECT id, workflow, state FROM runs WHERE parent IS NULL AND key IS NULL AND state = 'failed']]

local function verdict(self)
  for _, one in ipairs(self.plan) do
    local problem = compare(self, one)
    if problem then
      self.broken[#self.broken + 1] = ("run %s (%s) %s"):format(one.id, one.flow, problem)
    end
  end
  for _, row in ipairs(self.world.store:query(FORKS)) do
    self.broken[#self.broken + 1] = ("the fork %s of %s failed"):format(row.id, row.workflow)
  end
end

--- A wave: so many seconds of storm with so many commands at a time, then all that is left is
--- resumed and judged.
---@param seconds number
---@param hands integer
function storm:wave(seconds, hands)
  self.waves = self.waves + 1
  self.plan = some_plan(self)
  self.world.plan = self.plan
  calm(self, blow(self, seconds, hands))
  if #self.broken == 0 then verdict(self) end
  self.runs = self.runs + #self.plan
end

--- What was done and found, in a sentence.
---@return string
function storm:summary()
  return ("seed %d: %d runs in %d waves, %d commands, %d signals to them, %d runs given up as a crash loop, "
    .. "%d promises broken"):format(self.seed, self.runs, self.waves, self.commands, self.signals,
    self.gave_up, #self.broken)
end

--- Lets go of everything; what was found stays where something was broken.
function storm:close()
  self.world:close()
  self.twins:close()
  if #self.broken == 0 then os.execute("rm -rf " .. self.folder) end
end

return storm
