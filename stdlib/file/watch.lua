--- `file.watch`: waits until a file, or what is in a folder, changes, comes or goes.
---
--- The system's events only say when to look; what is found is compared with what was there when
--- the node first ran, which is a step: a change while no process ran is found as well.
local flow = require "orrery"
local paths = require "orrery.stdlib.file.shared.paths"
local requests = require "orrery.stdlib.file.shared.requests"
local uv = require "luv"

-- ---- looking ------------------------------------------------------------------------------------

local function mark_of(stat)
  return ("%s %d %d %d.%09d"):format(stat.type, stat.ino, stat.size, stat.mtime.sec, stat.mtime.nsec)
end

-- Nil for what is not there, or has gone meanwhile.
local function look(path)
  local err, stat = requests.fs("stat", path)
  if requests.is_absent(err) then return nil end
  return requests.must("look at", path, err, stat)
end

local function matcher(pattern)
  local ok, match = pcall(flow.glob, pattern)
  if ok then return match end
  return flow.error { code = "config_error", message = tostring(match), retryable = false }
end

-- Marks by path: of the file, or of the names in a folder that fit.
local function snapshot(config)
  local marks, stat = {}, look(config.path)
  if not config.pattern and not (stat and stat.type == "directory" and config.on == "change") then
    marks[config.path] = stat and mark_of(stat)
    return flow.json.object(marks)
  end
  local match = config.pattern and matcher(config.pattern)
  local entries = stat and requests.perform("list", config.path, "scandir", config.path) or {}
  for _, entry in ipairs(entries) do
    if not match or match(entry[1]) then
      local path = paths.join(config.path, entry[1])
      local found = look(path)
      marks[path] = found and mark_of(found)
    end
  end
  return flow.json.object(marks)
end

-- ---- comparing ----------------------------------------------------------------------------------

local function sorted(list)
  table.sort(list)
  return flow.json.array(list)
end

local function difference(before, now)
  local created, changed, removed = {}, {}, {}
  for path, mark in pairs(now) do
    if not before[path] then created[#created + 1] = path
    elseif before[path] ~= mark then changed[#changed + 1] = path end
  end
  for path in pairs(before) do
    if not now[path] then removed[#removed + 1] = path end
  end
  return { created = sorted(created), changed = sorted(changed), removed = sorted(removed) }
end

local function is_equal(a, b)
  local d = difference(a, b)
  return #d.created + #d.changed + #d.removed == 0
end

local IS_DONE = {
  change = function(before, now) return not is_equal(before, now) end,
  create = function(_, now) return next(now) ~= nil end,
  remove = function(_, now) return next(now) == nil end,
}

-- ---- waiting ------------------------------------------------------------------------------------

---@class stdlib.file.Watcher
---@field event table|nil luv's; nil where the system has none to give
---@field touched boolean whether something has happened since the last look
---@field wake fun()|nil
local Watcher = {}
Watcher.__index = Watcher

function Watcher:__close()
  if self.event and not self.event:is_closing() then self.event:close() end
end

-- Without a watch of the system's, of which a user has a number, it is looked for every `poll`.
local function watch(folder)
  local self = setmetatable({ event = uv.new_fs_event(), touched = false }, Watcher)
  local started = self.event:start(folder, {}, function()
    self.touched = true
    if self.wake then self.wake() end
  end)
  if started then self.event:unref()
  else self:__close() end
  return self
end

-- Until something happens, or for so many seconds.
function Watcher:wait(seconds)
  flow.await(function(resume)
    local timer = uv.new_timer()
    local function close()
      self.wake = nil
      if not timer:is_closing() then timer:close() end
    end
    self.wake = function()
      close()
      resume()
    end
    timer:start(self.touched and 0 or math.max(1, math.ceil(seconds * 1000)), 0, self.wake)
    return close
  end)
  self.touched = false
end

-- Until nothing has changed for a while.
local function settle(config, watcher, now)
  while config.settle > 0 do
    local until_then = uv.now() + config.settle * 1000
    while uv.now() < until_then do watcher:wait((until_then - uv.now()) / 1000) end
    local later = snapshot(config)
    if is_equal(now, later) then break end
    now = later
  end
  return now
end

local function timed_out(config)
  if config.on_timeout == "continue" then return { path = config.path, timed_out = true } end
  return flow.error { code = "watch_timeout", retryable = false, details = { path = config.path },
    message = ("nothing was seen of %s within %g s"):format(config.path, config.timeout) }
end

local function folder_of(config)
  local stat = look(config.path)
  local is_folder = stat and stat.type == "directory"
  if is_folder and (config.pattern or config.on == "change") then return config.path end
  return paths.parent(config.path) or "."
end

-- Seconds that are left, also after the run was resumed.
local function time_left(ctx, config)
  if not config.timeout then return math.huge end
  local began = ctx:step("began", os.time)
  return config.timeout - math.max(0, os.time() - began)
end

return flow.type {
  name = "file.watch",
  errors = { "file_error", "watch_timeout" },
  doc = [[Waits until a file changes, comes or goes, or what is in a folder does. on = "change": until it
is not what it was when the node first ran, also while no process ran; "create": until it is there, at
once where it is; "remove": until it is not. `pattern` chooses names in the folder. With `settle` it has
not changed for so long when the node completes, as a file that is being written does. Outputs
{ path, created, changed, removed }, lists of paths. After `timeout` the node fails with code
"watch_timeout", or with on_timeout = "continue" outputs { path, timed_out = true }.]],
  own_timeout = true,
  config = flow.schema {
    path = "string", pattern = { type = "string", optional = true, doc = "such as *.csv" },
    on = { enum = { "change", "create", "remove" }, default = "change" },
    settle = { type = "duration", default = 0 },
    poll = { type = "duration", default = 2,
      doc = "how often it is looked where no event of the system comes" },
    timeout = { type = "duration", optional = true },
    on_timeout = { enum = { "fail", "continue" }, default = "fail" },
  },
  output = { path = "string", created = "string[]?", changed = "string[]?", removed = "string[]?",
    timed_out = "boolean?" },
  positional = "path",
  examples = { [[flow.file.watch { "inbox", pattern = "*.csv", on = "create", settle = "1s", timeout = "1h" }]],
    [[flow.file.watch { "app.conf" }]] },
  run = function(ctx, config)
    local watcher <close> = watch(folder_of(config))
    local left = time_left(ctx, config)
    local before = ctx:step("before", snapshot, config)
    local deadline = uv.now() + left * 1000
    while true do
      local now = snapshot(config)
      if IS_DONE[config.on](before, now) then
        local found = difference(config.on == "create" and {} or before, settle(config, watcher, now))
        found.path = config.path
        return found
      end
      if uv.now() >= deadline then return timed_out(config) end
      watcher:wait(math.min(math.max(config.poll, 0.01), (deadline - uv.now()) / 1000))
    end
  end,
}
