-- Time zones against zdump(8), which reads the same files by the system's own code: some of them,
-- or with ZONES=all (`make zones`) every one, from 1970 to 2100.
local zones = require "orrery.calendar.zone"

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10,
  Nov = 11,
  Dec = 12 }
local SAMPLE = 12

local function lines_of(command)
  local list = {}
  local pipe <close> = assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

-- Without posix/ and right/, whose clocks count other seconds.
local function all_names()
  return lines_of [[cd "${TZDIR:-/usr/share/zoneinfo}" && find -L . -type f | cut -c3- |
    grep -v -e '^right/' -e '^posix/' -e '\.' -e '^leap' -e '^posixrules$' -e '^localtime$' | LC_ALL=C sort]]
end

local function chosen()
  local names = all_names()
  if os.getenv "ZONES" == "all" then return names, "all" end
  local seed = tonumber(os.getenv "CALENDAR_SEED") or os.time()
  math.randomseed(seed)
  local list = {}
  for _ = 1, math.min(SAMPLE, #names) do list[#list + 1] = table.remove(names, math.random(#names)) end
  return list, seed
end

-- What zdump says: zone -> { time, offset }, in order of time.
local function said(names)
  local by_zone = {}
  for _, line in ipairs(lines_of("zdump -v -c 1970,2101 " .. table.concat(names, " "))) do
    local name, month, day, h, m, s, year, offset = line:match
      "^(%S+)%s+%a+ (%a+)%s+(%d+) (%d+):(%d+):(%d+) (%-?%d+) UTC? = .* gmtoff=(%-?%d+)$"
    if name and math.tointeger(year) >= 1970 and math.tointeger(year) <= 2101 then
      local time = assert(zones.UTC:parse(("%04d-%02d-%02d %s:%s:%s"):format(year, MONTHS[month], day, h, m,
        s)))
      by_zone[name] = by_zone[name] or {}
      table.insert(by_zone[name], { time = time, offset = math.tointeger(offset) })
    end
  end
  return by_zone
end

-- The changes of a zone's offset between two times.
local function changes(zone, from, to)
  local list = {}
  local offset, _, at = zone:segment(from)
  while at <= to do
    local after, _, stop = zone:segment(at)
    if after ~= offset then list[#list + 1] = at end
    offset, at = after, stop
  end
  return list
end

describe("a zone of the system", function()
  it("has the offsets that zdump says, and changes when it says", function()
    if not os.execute "command -v zdump >/dev/null 2>&1" then return pending "there is no zdump here" end
    local names, seed = chosen()
    assert.is_true(#names >= 10, "there are no time zones here; the package tzdata has them")
    local by_zone, compared = said(names), 0
    for _, name in ipairs(names) do
      local zone, words = assert(zones.find(name)), ("seed %s: %s"):format(seed, name)
      local known = {}
      for _, each in ipairs(by_zone[name] or {}) do
        local offset = zone:segment(each.time)
        assert.equal(each.offset, offset, ("%s at %d"):format(words, each.time))
        -- what the clock shows leads back to it, where it shows that once
        local back = zone:instant(each.time + offset)
        assert.is_true(back == each.time or back < each.time, words)
        known[each.time], compared = true, compared + 1
      end
      for _, change in ipairs(changes(zone, 0, 4102444800)) do
        assert.is_true(known[change] or false, ("%s changes at %d, which zdump does not say"):format(words,
          change))
      end
    end
    print(("%d zones, %d times, seed %s"):format(#names, compared, seed))
    assert.is_true(compared > 0)
  end)
end)
