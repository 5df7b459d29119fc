--- From one page of an API to the next.
local flow = require "orrery"

local paging = {}

local function fail(message, ...)
  flow.error { code = "http_pages", retryable = false, message = "http.pages: " .. message:format(...) }
end

local function config_error(message)
  flow.error { code = "config_error", retryable = false, message = "http.pages: " .. message }
end

--- A value inside another, by a path such as "data.items"; nil where there is none.
---@param value any
---@param path string
---@return any
function paging.at(value, path)
  for name in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    local index = math.tointeger(tonumber(name))
    value = value[index or name]
  end
  if value == flow.json.null then return nil end
  return value
end

-- The target of a link whose relation is "next" (RFC 8288, section 3), at most so many of them.
local MOST_LINKS = 100

local function next_link(header)
  local at, count = 1, 0
  while count < MOST_LINKS do
    local _, finish, target = header:find("<([^>]*)>", at)
    if not target then return nil end
    local stop = header:find("<", finish, true) or #header + 1
    local relation = header:sub(finish + 1, stop - 1):lower():match ';%s*rel%s*=%s*"?([^";,]*)'
    for word in (relation or ""):gmatch "%S+" do
      if word == "next" then return target end
    end
    at, count = stop, count + 1
  end
  return nil
end

-- What each way makes of a page: nil at the end, a URL, or parameters for the query.
local WAYS = {}

function WAYS.link(_, page)
  local header = page.headers.link
  return header and next_link(header) or nil
end

function WAYS.cursor(way, page)
  local cursor = paging.at(page.json, way.cursor)
  if cursor == nil or cursor == "" or cursor == false then return nil end
  if type(cursor) == "table" then fail("what stands at %q is no cursor but a table", way.cursor) end
  if not way.query then return tostring(cursor) end -- a URL
  return { [way.query] = cursor }
end

function WAYS.page(way, page, number)
  if way.more then
    if not paging.at(page.json, way.more) then return nil end
  elseif #page.items == 0 then
    return nil
  end
  return { [way.page] = way.first + number * way.step }
end

WAYS["function"] = function(way, page, number)
  local found = way.fn(page, number)
  if found ~= nil and type(found) ~= "string" and type(found) ~= "table" then
    config_error("next: the function returns a URL, parameters or nil, got a " .. type(found))
  end
  return found
end

local KEYS = { cursor = { query = "string" }, page = { first = "integer", step = "integer",
  more = "string" } }

local function check_keys(given, kind)
  for key, value in pairs(given) do
    local expected = key == kind and "string" or KEYS[kind][key]
    local found = expected == "integer" and math.type(value) or type(value)
    if expected ~= found then
      config_error(("next: %s"):format(expected and ("%s is a %s"):format(key, expected)
        or ("%q is not known"):format(tostring(key))))
    end
  end
end

--- Reads `next` of the config.
---@param given any "link", { cursor = PATH, query = NAME }, { page = NAME, first, step, more = PATH } or a function
---@return table way
function paging.way(given)
  if given == "link" then return { kind = "link" } end
  if type(given) == "function" then return { kind = "function", fn = given } end
  local kind = type(given) == "table" and (given.cursor and "cursor" or given.page and "page")
  if not kind then
    config_error('next is "link", { cursor = "PATH", query = "NAME" }, { page = "NAME" } or a function')
  end
  check_keys(given, kind)
  return { kind = kind, cursor = given.cursor, query = given.query, page = given.page,
    first = given.first or 1, step = given.step or 1, more = given.more }
end

--- The first page's parameters.
---@param way table
---@return table|nil
function paging.first(way)
  return way.kind == "page" and { [way.page] = way.first } or nil
end

--- The URL of the page after one, or nil at the end. A page of another origin is refused: what is
--- sent along is meant for the first.
---@param way table
---@param page table with its url, headers, json and items
---@param number integer of the page, from 1
---@param base string the first page's URL, without what the way adds
---@return string|nil
function paging.next(way, page, number, base)
  local found = WAYS[way.kind](way, page, number)
  if not found then return nil end
  local url = type(found) == "table" and flow.url.with(base, found) or flow.url.join(page.url, found)
  local origin = flow.url.origin(url)
  if not origin or origin ~= flow.url.origin(base) then
    fail("page %d names a next one at another place, %s; only pages of %s are fetched", number,
      (origin or "no URL"), flow.url.origin(base) or "the first URL's origin")
  end
  return url
end

--- Seconds between two pages, from "10/s", "100/1m" or a number a second.
---@param rate string|number|nil
---@return number
function paging.interval(rate)
  if rate == nil then return 0 end
  local count, unit = tostring(rate):match "^(%d+%.?%d*)/(%w+)$"
  count = tonumber(count or rate)
  if unit and not unit:find "^%d" then unit = "1" .. unit end
  local ok, seconds = pcall(flow.duration, unit or 1)
  if not count or count <= 0 or not ok or not seconds then
    config_error(('rate is like "10/s", "100/1m" or a number a second, got %s'):format(tostring(rate)))
  end
  return seconds / count
end

paging.fail = fail

return paging
