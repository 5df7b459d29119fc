--- One HTTP transfer: waiting for it, what a status means, and errors that show no credentials.
local flow = require "orrery"

local transfer = {}

local function config_error(message)
  flow.error { code = "config_error", message = message, retryable = false }
end

-- Where the user and password of a URL end: behind the last "@" before its path. A password may
-- hold what ends that part; then what stands for the port is no number, and all up to the last "@"
-- goes.
local function credentials_of(url)
  local _, at = url:find "^%a[%w+.-]*://"
  if not at then return nil end
  local first = url:match("^[^/?#\\]*", at + 1)
  local inside = first:match "^(.*@)" or first:find ":%D*$" and not first:find "^%[.*%]:$" and first:find ":."
    and url:match("^(.*@)", at + 1)
  return inside, at
end

--- A URL without its user and password.
---@param url string
---@return string
function transfer.shown_url(url)
  local inside, at = credentials_of(url)
  return inside and url:sub(1, at) .. url:sub(at + #inside + 1) or url
end

-- A text in which the URL may stand, without its user and password.
local function without_credentials(text, url)
  local inside = credentials_of(url)
  if not inside or type(text) ~= "string" then return text end
  local parts, at = {}, 1
  while true do
    local from, to = text:find(inside, at, true)
    parts[#parts + 1] = text:sub(at, from and from - 1)
    if not from then return table.concat(parts) end
    at = to + 1
  end
end

local shown_url = transfer.shown_url

-- What went wrong, and what the user may see of the response.
local function shown(options, err, response)
  if err then err.message = without_credentials(err.message, options.url) end
  if not response then
    flow.error(err or { code = "out_of_memory",
      message = "there is no memory for the response; lower limit" })
  end
  response.url = shown_url(response.url)
  local location = response.headers.location
  if type(location) == "string" then response.headers.location = shown_url(location) end
  return response, err
end

local function begin(options, done)
  local ok, handle = pcall(flow.transfer, options, done)
  if ok then return handle end
  local why = tostring(handle):gsub("^[^:]*:%d+: ", "")
  return nil, "http: " .. without_credentials(why, options.url)
end

--- Performs a transfer.
---@param options orrery.TransferOptions
---@return orrery.TransferResponse response
---@return orrery.Error|nil broken what went wrong after its headers had come
function transfer.perform(options)
  local refused
  local err, response = flow.await(function(resume)
    local handle, why = begin(options, resume)
    if handle then return function() handle:cancel() end end
    refused = why
    resume()
    return nil
  end)
  if refused then config_error(refused) end
  return shown(options, err, response)
end

--- Performs a transfer whose body is looked at while it comes. The response has all of it, too.
---@param options orrery.TransferOptions
---@param take fun(piece: string) called in the handler, with each piece of the body of a 2xx; it may wait
---@return orrery.TransferResponse response
---@return orrery.Error|nil broken what went wrong after its headers had come
function transfer.stream(options, take)
  local pieces, given, wake, ended = {}, 0, nil, nil
  local function notify()
    local resume = wake
    wake = nil
    if resume then resume() end
  end
  local all = {}
  for key, value in pairs(options) do all[key] = value end
  function all.on_body(piece)
    pieces[#pieces + 1] = piece
    notify()
  end
  local handle, why = begin(all, function(...)
    ended = table.pack(...)
    notify()
  end)
  if not handle then config_error(why) end
  local _ <close> = setmetatable({}, { __close = function() handle:cancel() end })
  while not ended or #pieces > 0 do
    if #pieces == 0 then flow.await(function(resume) wake = resume end) end
    local now = table.concat(pieces)
    pieces, given = {}, given + #now
    if now ~= "" then take(now) end
  end
  local response, broken = shown(options, table.unpack(ended, 1, 2))
  local rest = response.status // 100 == 2 and response.body:sub(given + 1) or ""
  if rest ~= "" then take(rest) end
  return response, broken
end

-- ---- the status ---------------------------------------------------------------------------------

local REASONS = {
  [301] = "moved", [302] = "moved", [303] = "see other", [304] = "not modified", [307] = "moved",
  [308] = "moved",
  [400] = "bad request", [401] = "not authorised", [403] = "forbidden", [404] = "not found",
  [405] = "method not allowed",
  [408] = "timeout", [409] = "conflict", [410] = "gone", [413] = "too large", [422] = "invalid",
  [429] = "too many requests",
  [500] = "server error", [502] = "bad gateway", [503] = "unavailable", [504] = "gateway timeout",
}

-- One expected status: 304, "304", "2xx" or "any".
local function fits(status, expected)
  if expected == "any" then return true end
  local class = type(expected) == "string" and expected:match "^([1-5])xx$"
  if class then return status // 100 == tonumber(class) end
  local number = math.tointeger(tonumber(expected) or "")
  if not number then
    config_error(('http: expect is a status, a class like "2xx", "any" or a list of these; got %s')
      :format(tostring(expected)))
  end
  return status == number
end

--- Whether a status is one that `expect` has. Raises where that makes no sense.
---@param status integer
---@param expect any
---@return boolean
function transfer.is_expected(status, expect)
  if type(expect) ~= "table" then return fits(status, expect) end
  local found = false
  for _, one in ipairs(expect) do found = fits(status, one) or found end
  return found
end

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10,
  Nov = 11, Dec = 12 }

-- Days from 1970-01-01 in the Gregorian calendar; years are taken to begin in March, so that a leap
-- day is a year's last.
local function days_since_epoch(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
end

-- More digits than a date has make no number that can be reckoned with.
local LONGEST_DATE = 40

-- The three forms of a date that RFC 9110, section 5.6.7, has a client accept.
local DATES = {
  { "^%a+, (%d%d?) (%a+) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$",
    "day", "month", "year", "hour", "minute", "second" },
  { "^%a+, (%d%d?)%-(%a+)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$",
    "day", "month", "year", "hour", "minute", "second" },
  { "^%a+ (%a+) +(%d%d?) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$",
    "month", "day", "hour", "minute", "second", "year" },
}

local function full_year(text, now)
  local year = math.tointeger(tonumber(text))
  if #text > 2 then return year end
  local this = tonumber(os.date("!%Y", now))
  year = this - this % 100 + year
  return year > this + 50 and year - 100 or year
end

local function epoch_of(date, now)
  if #date > LONGEST_DATE then return nil end
  for _, form in ipairs(DATES) do
    local found = table.pack(date:match(form[1]))
    if found[1] then
      local at = {}
      for i = 2, #form do at[form[i]] = found[i - 1] end
      local month = MONTHS[at.month]
      if not month then return nil end
      return days_since_epoch(full_year(at.year, now), month, math.tointeger(tonumber(at.day))) * 86400
        + tonumber(at.hour) * 3600 + tonumber(at.minute) * 60 + tonumber(at.second)
    end
  end
  return nil
end

-- Longer waits are the same to every policy: it bounds them by its max_delay, or by an hour.
local LONGEST_WAIT = 365 * 86400

-- Retry-After (RFC 9110, section 10.2.3) in seconds from now; nil where it is missing or no such
-- value.
local function retry_after(headers)
  local value = headers["retry-after"]
  if not value then return nil end
  if value:find "^%d+$" then return math.min(tonumber(value), LONGEST_WAIT) end
  local now = os.time()
  local at = epoch_of(value, now)
  return at and math.min(math.max(0, at - now), LONGEST_WAIT)
end

local RETRYABLE = { [408] = true, [425] = true, [429] = true }
local SHOWN_BODY = 160
local KEPT_BODY = 2000
transfer.KEPT_BODY = KEPT_BODY -- bytes of a body that an error has in its details

local function shown_body(response)
  if type(response.body) ~= "string" then return "" end -- in a file
  local text = flow.masked(response.body):sub(1, SHOWN_BODY + 1):gsub("[%s%c]+", " "):gsub("^ ", "")
  if text == "" or not utf8.len(text:sub(1, -5)) then return "" end
  return ("; it says: %s"):format(#text > SHOWN_BODY and text:sub(1, SHOWN_BODY - 3) .. "..." or text)
end

--- Raises the error of a status that was not expected.
---@param method string
---@param expect any
---@param response orrery.TransferResponse
function transfer.fail_status(method, expect, response)
  local status = response.status
  local reason = REASONS[status] and (" (%s)"):format(REASONS[status]) or ""
  local location = status // 100 == 3 and response.headers.location
  flow.error {
    code = "http_status",
    message = ("%s %s answered %d%s%s%s"):format(method, shown_url(response.url), status, reason,
      location and ("; it points to %s, and redirects are not followed here (follow = true)"):format(location)
        or "",
      shown_body(response)),
    retryable = RETRYABLE[status] or status >= 500,
    retry_after = retry_after(response.headers),
    details = { status = status, url = shown_url(response.url), expect = expect,
      headers = response.headers,
      body = type(response.body) == "string" and flow.masked(response.body):sub(1, KEPT_BODY)
        or nil },
  }
end

return transfer
