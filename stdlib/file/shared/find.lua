--- Finds files by patterns.
local pattern = require "orrery.stdlib.file.shared.pattern"
local walk = require "orrery.stdlib.file.shared.walk"

local function read_all(texts)
  local list = {}
  for i, text in ipairs(texts or {}) do list[i] = pattern.read(text) end
  return list
end

-- Where each pattern stands behind the item: `item.at`, by the number of the pattern. The folder
-- that is walked is where they begin.
local function places_of(patterns, item, key)
  if item[key] then return item[key] end
  local places = {}
  for i, p in ipairs(patterns) do
    places[i] = item.parent and pattern.step(p, places_of(patterns, item.parent, key)[i], item.name)
      or p.begin
  end
  item[key] = places
  return places
end

local function is_found(patterns, item, key)
  local places = places_of(patterns, item, key)
  for i, p in ipairs(patterns) do
    if pattern.is_found(p, places[i]) then return true end
  end
  return false
end

local function leads_on(patterns, item)
  local places = places_of(patterns, item, "at")
  for i in ipairs(patterns) do
    if next(places[i]) then return true end
  end
  return false
end

---@class stdlib.file.Search
---@field what string for errors, "list"
---@field path string the folder
---@field patterns? string[] nil: all, also what begins with a dot
---@field exclude? string[] what is left out, a folder with all that is in it
---@field kind string "file", "directory", "link" or "any"
---@field skips_denied? boolean

local find = {}

--- What patterns find in a folder and those inside it, in the order of the names. *Waits.*
---@param search stdlib.file.Search
---@return stdlib.file.Item[]
function find.items(search)
  local patterns, excluded = search.patterns and read_all(search.patterns), read_all(search.exclude)
  return walk.items(search.path, {
    what = search.what, skips_denied = search.skips_denied or false,
    takes = function(item)
      return (not patterns or leads_on(patterns, item)) and not is_found(excluded, item, "out")
    end,
    wants = function(item)
      return (search.kind == "any" or search.kind == item.type)
        and (not patterns or is_found(patterns, item, "at"))
    end,
    enters = function() return true end,
  })
end

--- The path of an item from the folder that was walked.
---@param item stdlib.file.Item
---@return string
function find.relative(item)
  local parent = item.parent
  return parent.parent and find.relative(parent) .. "/" .. item.name or item.name
end

return find
