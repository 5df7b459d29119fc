--- Patterns for paths: `*` and `?` stand for a part of one name, `**`, as a whole name, for any
--- number of folders. A name that begins with a dot is found only by one that is written so.
---
--- A pattern is followed through folders as a set of places in it, so that each name is looked at
--- once, however many stars there are.
local flow = require "orrery"

local pattern = {}

---@class stdlib.file.Pattern
---@field names { match: (fun(name: string): boolean)?, dotted: boolean?, deep: boolean? }[]
---@field begin table<integer, boolean> places before the first name

local function refuse(text, why)
  flow.error { code = "config_error", retryable = false,
    message = ('pattern: "%s" %s; a pattern is a path inside the folder, such as "src/**/*.c"')
      :format(text, why) }
end

local function name_of(text, part)
  if part == "**" then return { deep = true } end
  local ok, match = pcall(flow.glob, part)
  if not ok then refuse(text, "is too long") end
  return { match = match, dotted = part:sub(1, 1) == "." }
end

-- `**` may stand for no folder at all.
local function add(names, places, i)
  places[i] = true
  if names[i] and names[i].deep then add(names, places, i + 1) end
end

--- Reads a pattern; raises `config_error`.
---@param text string
---@return stdlib.file.Pattern
function pattern.read(text)
  local names = {}
  if text:sub(1, 1) == "/" then refuse(text, "begins with a slash") end
  for part in text:gmatch "[^/]+" do
    if part == ".." then refuse(text, "leaves the folder") end
    if part ~= "." then names[#names + 1] = name_of(text, part) end
  end
  if #names == 0 then refuse(text, "names nothing") end
  if names[#names].deep then names[#names + 1] = name_of(text, "*") end
  local begin = {}
  add(names, begin, 1)
  return { names = names, begin = begin }
end

--- The places behind a name; empty where the pattern finds nothing there.
---@param p stdlib.file.Pattern
---@param places table<integer, boolean>
---@param name string
---@return table<integer, boolean>
function pattern.step(p, places, name)
  local found, hidden = {}, name:sub(1, 1) == "."
  for i in pairs(places) do
    local word = p.names[i]
    if word and word.deep then
      if not hidden then add(p.names, found, i) end
    elseif word and word.match(name) and (word.dotted or not hidden) then
      add(p.names, found, i + 1)
    end
  end
  return found
end

--- Whether the pattern ends at one of the places.
---@param p stdlib.file.Pattern
---@param places table<integer, boolean>
---@return boolean
function pattern.is_found(p, places) return places[#p.names + 1] == true end

return pattern
