-- Durations: seconds that are a number, or a sentence.
local driver = require "spec.fuzz.driver"
local duration = require "orrery.duration"

return {
  seeds = { "250ms", "5s", "1h30m", "3d", "1w", "PT5S", "P1DT2H30M", "P2W", "1.5s", "0", "1y", "+P1D",
    "-5s", "5 s", "1e3s",
    "90", "P1M", "PT0,5S" },
  words = { "ms", "us", "s", "m", "h", "d", "w", "y", "P", "T", "PT", "1", "0", ".", ",", "-", "+", "e",
    " ", "999999999999",
    "min", "hours", "\xc2\xb5s" },
  run = function(text)
    local seconds, message = duration.parse(text)
    if not seconds then return driver.kind(message) end
    assert(seconds >= 0 and seconds < math.huge, "no time: " .. seconds)
    assert(#duration.format(seconds) < 40, "a long text for a time")
    return "is " .. math.type(seconds)
  end,
}
