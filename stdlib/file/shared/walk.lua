--- Goes through folders, many requests at a time.
local flow = require "orrery"
local paths = require "orrery.stdlib.file.shared.paths"
local requests = require "orrery.stdlib.file.shared.requests"

local TYPES = { file = "file", directory = "directory", link = "link" }

-- Requests at a time: enough to keep the threads busy, few enough to leave some to others.
local IN_FLIGHT = 64

---@class stdlib.file.Item a name in a folder, or the folder that is walked
---@field path string
---@field name string
---@field type string|nil what the folder says of it; some file systems say nothing
---@field stat table|nil where it was asked for
---@field items stdlib.file.Item[]|nil where it is a folder that was read, in the order of the names
---@field parent stdlib.file.Item|nil

---@class stdlib.file.Rules
---@field what string for errors, "list"
---@field takes fun(item: stdlib.file.Item): boolean whether a name is looked at; its type may not be known yet
---@field wants fun(item: stdlib.file.Item): boolean whether its stat is asked for
---@field enters fun(item: stdlib.file.Item): boolean whether a folder is read
---@field skips_denied boolean whether what may not be read is left out

---@class stdlib.file.Walk
---@field rules stdlib.file.Rules
---@field todo any[] requests to come, in pairs: "scandir" or "lstat", and the item
local Walk = {}
Walk.__index = Walk

function Walk:ask(name, item)
  local n = #self.todo
  self.todo[n + 1], self.todo[n + 2] = name, item
end

function Walk:descend(item)
  if item.type == "directory" and self.rules.enters(item) then self:ask("scandir", item) end
end

-- Most names need no stat of their own: the folder says what they are.
function Walk.scandir(self, folder, entries)
  local items = {}
  for _, entry in ipairs(entries) do
    local name, kind = entry[1], entry[2]
    local item = { path = paths.join(folder.path, name), name = name, parent = folder,
      type = kind ~= "unknown" and (TYPES[kind] or "other") or nil }
    if self.rules.takes(item) then items[#items + 1] = item end
  end
  table.sort(items, function(a, b) return a.name < b.name end)
  for _, item in ipairs(items) do
    if not item.type or self.rules.wants(item) then self:ask("lstat", item) end
    self:descend(item)
  end
  folder.items = items
end

function Walk.lstat(self, item, stat)
  local said = item.type
  item.type = TYPES[stat.type] or "other"
  if not said then self:descend(item) end
  if self.rules.wants(item) then item.stat = stat end
end

function Walk:may_skip(err)
  return self.rules.skips_denied and (err:find "^EACCES" or err:find "^EPERM") ~= nil
end

-- Entries come and go while a folder is read; one that is gone is not there.
function Walk:answer(name, item, err, result)
  if not err then
    Walk[name](self, item, result)
  elseif item == self.root or not (err:find "^ENOENT" or self:may_skip(err)) then
    self.failed, self.failed_at = err, item.path
  end
end

-- One wait for the whole walk: a wait for each name would cost several times what the system takes
-- to answer.
function Walk:run()
  flow.await(function(resume)
    local handles, under_way, begun = {}, 0, false
    local go_on
    local function send(name, item)
      local handle
      handle = flow.fs(name, item.path, function(err, result)
        if not begun then return end -- the watchdog has ended it: nobody waits
        handles[handle] = nil
        under_way = under_way - 1
        if not self.failed then self:answer(name, item, err, result) end
        go_on()
      end)
      handles[handle] = true
      under_way = under_way + 1
    end
    function go_on()
      while #self.todo > 0 and under_way < IN_FLIGHT and not self.failed do
        local item, name = table.remove(self.todo), table.remove(self.todo)
        send(name, item)
      end
      if under_way == 0 then resume() end
    end
    go_on()
    begun = true
    return function()
      self.failed = "cancelled"
      for handle in pairs(handles) do handle:unref() end
      return under_way > 0
    end
  end)
  if self.failed then requests.fail(self.rules.what, self.failed_at, self.failed) end
end

local function flatten(folder, found)
  for _, item in ipairs(folder.items or {}) do
    if item.stat then found[#found + 1] = item end
    flatten(item, found)
  end
  return found
end

local walk = {}

--- What is in a folder and those inside it, each folder before what it holds, in the order of the
--- names: the items whose stat was asked for. *Waits.*
---@param path string
---@param rules stdlib.file.Rules
---@return stdlib.file.Item[]
function walk.items(path, rules)
  local root = { path = path, name = "", type = "directory" }
  setmetatable({ rules = rules, root = root, todo = { "scandir", root } }, Walk):run()
  return flatten(root, {})
end

--- What types output of an item.
---@param item stdlib.file.Item
---@return table
function walk.entry(item)
  return { path = item.path, name = item.name, type = item.type, size = item.stat.size,
    modified = item.stat.mtime.sec + item.stat.mtime.nsec / 1e9 }
end

return walk
