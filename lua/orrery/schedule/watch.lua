--- Runs that begin when files change: `flow.watch { path }`.
---
--- The system's events say when to look; what is there is compared with what was there at the last
--- look, which is kept, so that a change while no process ran is found as well. Looking is done
--- file by file off the loop's thread.
local book = require "orrery.schedule.book"
local core = require "orrery.core"
local uv = require "luv"

local watch = {}

local MOST = 10000 -- files of a folder
local SETTLE = 1 -- seconds without an event, after which files are taken to be whole

local function mark_of(stat)
  return ("%d %d %d.%09d"):format(stat.ino, stat.size, stat.mtime.sec, stat.mtime.nsec)
end

-- Marks of these paths by path, one after the other; calls back with them.
local function stat_all(paths, done)
  local marks, i = {}, 0
  local function step()
    i = i + 1
    if not paths[i] then return done(marks) end
    uv.fs_stat(paths[i], function(_, stat)
      if stat then marks[paths[i]] = mark_of(stat) end
      step()
    end)
  end
  step()
end

-- What is at a path: the file, or in a folder all that fits.
local function snapshot(trigger, done)
  uv.fs_stat(trigger.path, function(_, stat)
    if not stat then return done {} end
    if stat.type ~= "directory" then return done { [trigger.path] = mark_of(stat) } end
    uv.fs_scandir(trigger.path, function(_, request)
      local match = trigger.pattern and require "orrery.glob"(trigger.pattern)
      local paths = {}
      for name in function() return request and uv.fs_scandir_next(request) end do
        if (not match or match(name)) and #paths < MOST then paths[#paths + 1] = trigger.path .. "/"
          .. name end
      end
      table.sort(paths)
      stat_all(paths, done)
    end)
  end)
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
  for _, list in ipairs { created, changed, removed } do
    table.sort(list)
    core.json.array(list)
  end
  return { created = created, changed = changed, removed = removed }
end

local COUNTS = {
  change = function(d) return #d.created + #d.changed + #d.removed > 0 end,
  create = function(d) return #d.created > 0 end,
  remove = function(d) return #d.removed > 0 end,
}

local function text_of(marks)
  local paths, parts = {}, {}
  for path in pairs(marks) do paths[#paths + 1] = path end
  table.sort(paths)
  for i, path in ipairs(paths) do parts[i] = core.json.encode(path) .. ":"
    .. core.json.encode(marks[path]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- ---- watching -----------------------------------------------------------------------------------

local Watcher = {}
Watcher.__index = Watcher

function Watcher:close()
  self.closed = true
  self.event:close()
  self.timer:close()
end

-- Looks at the files, and has the ticker look once they are known.
local function examine(self)
  snapshot(self.trigger, function(marks)
    if self.closed then return end
    self.marks = marks
    self.ticker:soon()
  end)
end

local function settle(self)
  self.timer:start(math.floor((self.trigger.settle or SETTLE) * 1000), 0, function() examine(self) end)
  self.timer:unref()
end

-- A path that is not there yet is watched for in its folder.
local function listen(self)
  local path = self.trigger.path
  local ok = self.event:start(path, {}, function() settle(self) end)
  if not ok then self.event:start(path:match "^(.+)/[^/]*$" or ".", {}, function() settle(self) end) end
  self.event:unref()
end

local function open(ticker, trigger)
  local self = setmetatable({ ticker = ticker, trigger = trigger, event = uv.new_fs_event(),
    timer = uv.new_timer() }, Watcher)
  listen(self)
  examine(self)
  return self
end

local function note(ticker, entry, text)
  entry.seen = text
  ticker.book:mark(entry.id, { seen = text })
end

--- Starts a run where files have changed since the last look.
---@param ticker orrery.Ticker
---@param entry table
---@param now number
function watch.look(ticker, entry, now)
  entry.watcher = entry.watcher or open(ticker, entry.trigger)
  local marks = entry.watcher.marks
  if not marks or entry.paused then return nil end
  local text = text_of(marks)
  if not entry.seen then return note(ticker, entry, text) end -- what was there before is no change
  if text == entry.seen then return nil end
  local change = difference(core.json.decode(entry.seen), marks)
  if not COUNTS[entry.trigger.on or "change"](change) then return note(ticker, entry, text) end
  local overlap = entry.trigger.overlap or "queue_one"
  if overlap ~= "allow" and #ticker:alive(entry) > 0 then
    if overlap == "queue_one" then return nil end -- its end is followed by a look
    ticker.book:skip(entry.id, now, now, 1, "overlap")
    return note(ticker, entry, text)
  end
  local key = book.key(entry.id, core.sha256(entry.seen .. text):sub(1, 32))
  change.id, change.path = entry.id, entry.trigger.path
  local run, message = ticker:begin(entry, key, change, now)
  if not run then ticker.book:skip(entry.id, now, now, 1, "refused: " .. message) end
  note(ticker, entry, text)
end

return watch
