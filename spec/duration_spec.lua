local duration = require "orrery.duration"

local function rows(name)
  local file = io.open("../shared/corpus/durations/" .. name)
  if not file then return nil end
  local list = {}
  file:read "l"
  for line in file:lines() do
    local fields = {}
    for field in (line .. "\t"):gmatch "([^\t]*)\t" do fields[#fields + 1] = field end
    list[#list + 1] = fields
  end
  file:close()
  return list
end

local function refused(x)
  local seconds, message = duration.parse(x)
  assert.is_nil(seconds, tostring(x))
  assert.is_string(message)
  return message
end

describe("the corpus", function()
  it("of Prometheus's short forms", function()
    local list = rows "short_prometheus.tsv"
    if not list then
      pending("../shared/corpus/durations is absent")
      return
    end
    for _, row in ipairs(list) do
      local text, ns, _, negative = table.unpack(row)
      if ns == "ERROR" or negative == "true" then
        refused(text)
      else
        assert.are.equal(tonumber(ns) / 1e9, duration.parse(text), text)
      end
    end
  end)

  it("of ISO 8601", function()
    local list = rows "iso8601_isodate.tsv"
    if not list then
      pending("../shared/corpus/durations is absent")
      return
    end
    for _, row in ipairs(list) do
      local text, years, months, seconds = table.unpack(row)
      if tonumber(years) ~= 0 or tonumber(months) ~= 0 or tonumber(seconds) < 0 then
        refused(text)
      else
        assert.is_true(math.abs(tonumber(seconds) - duration.parse(text)) < 1e-9, text)
      end
    end
  end)

  it("of sums", function()
    local list = rows "iso8601_isodate_math.tsv"
    if not list then
      pending("../shared/corpus/durations is absent")
      return
    end
    local compared = 0
    for _, row in ipairs(list) do
      local a, b, sum = duration.parse(row[1]), duration.parse(row[2]), duration.parse(row[3])
      if a and b then
        compared = compared + 1
        assert.is_true(math.abs(a + b - sum) < 1e-6, row[1])
        assert.are.equal(row[5], a > b and "True" or "False")
      end
    end
    assert.is_true(compared >= 3)
  end)
end)

describe("parse", function()
  local GOOD = {
    { 0, 0 }, { 1.5, 1.5 }, { "250ms", 0.25 }, { "5s", 5 }, { "1h30m", 5400 }, { "3d", 259200 },
    { "2w", 1209600 },
    { "1y", 31536000 }, { "1s500ms", 1.5 },
    { "1y2w3d4h5m6s7ms", 31536000 + 1209600 + 259200 + 14400 + 300 + 6.007 },
    { "PT5S", 5 }, { "P1DT2H", 93600 }, { "P1W", 604800 }, { "PT1.5S", 1.5 }, { "PT1,5M", 90 },
    { "P0Y0M1D", 86400 },
    { "P1W2D", 777600 }, { "292y", 292 * 31536000 }, { "9ms", 0.009 }, { 9223372036, 9223372036 },
    { "9223372036s", 9223372036 },
  }
  for _, case in ipairs(GOOD) do
    it("reads " .. tostring(case[1]), function()
      assert.are.equal(case[2], duration.parse(case[1]))
    end)
  end

  local BAD = {
    { "", "got an empty string" }, { " 5s", "is not a duration" }, { "5 s", '5 has no unit; write "5s"' },
    { "1", '1 has no unit; write "1s" for seconds' }, { "5sec", 'unknown unit "sec"; did you mean "s"?' },
    { "5S", 'unknown unit "S"; did you mean "s"?' }, { "2sm", 'unknown unit "sm"; did you mean "ms"?' },
    { "30m1h", '"h" comes after "m"' }, { "1h1h", '"h" comes after "h"' }, { "1.5d", "numbers are whole" },
    { "-5s", "negative" }, { -1, "negative" }, { 0 / 0, "NaN" }, { math.huge, "292 years" },
    { "300y", "292 years" },
    { ("9"):rep(63) .. "s", "292 years" },
    { ("9"):rep(64) .. "s", "65 bytes, and 64 is the most" }, { "9223372036854775807d", "292 years" },
    { "P9223372036854775807D", "292 years" }, { "P1M", "an ISO month has no fixed length" },
    { "P1Y", "an ISO year has no fixed length" }, { "P", "no part" }, { "PT", "expected ISO 8601" },
    { "P1DT", "expected ISO 8601" }, { "PT1.5H3M", "a fraction only in the last" },
    { "PT1S2H", "falling order" },
    { "P1H", "expected ISO 8601" }, { "PT1D", "expected ISO 8601" }, { "PT1.S", "expected ISO 8601" },
    { "P0018-09-04T11:09:08", "expected ISO 8601" }, { {}, "got a table" }, { true, "got a boolean" },
    { ("x"):rep(1e6), "..." },
    { 9223372037, "292 years" }, { "9223372036s1ms", "292 years" },
  }
  for _, case in ipairs(BAD) do
    it("refuses " .. tostring(case[1]):sub(1, 20):gsub("table: .*", "a table"), function()
      local message = refused(case[1])
      assert.is_truthy(message:find(case[2], 1, true), message)
      assert.is_true(#message < 200)
    end)
  end

  it("refuses nil, and seconds() raises", function()
    assert.is_truthy(refused(nil):find("got nothing", 1, true))
    assert.are.equal(5, duration.seconds "5s")
    assert.has_error(function() duration.seconds "5" end)
  end)
end)

describe("format", function()
  local CASES = {
    { 0, "0s" }, { 0.00001, "0.1ms" }, { 0.0025, "2.5ms" }, { 0.0099, "9.9ms" }, { 0.00996, "10ms" },
    { 0.25, "250ms" },
    { 0.9996, "1s" }, { 1, "1s" }, { 1.5, "1.5s" }, { 42.25, "42.2s" }, { 59.94, "59.9s" },
    { 59.96, "1m00s" },
    { 60, "1m00s" },
    { 125, "2m05s" }, { 3599.6, "1h00m" }, { 3720, "1h02m" }, { 86399, "1d00h" }, { 273600, "3d04h" },
    { math.huge, "forever" },
  }
  for _, case in ipairs(CASES) do
    it("shows " .. case[1], function()
      assert.are.equal(case[2], duration.format(case[1]))
    end)
  end
end)
