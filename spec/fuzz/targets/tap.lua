-- TAP: every text is cases and sentences about what is wrong.
local driver = require "spec.fuzz.driver"
local tap = require "orrery.stdlib.test.shared.tap"

local STATES = { passed = true, failed = true, skipped = true }

return {
  seeds = { "TAP version 14\n1..2\nok 1 - a\nnot ok 2 - b\n  ---\n  message: 'm'\n  ...\n",
    "1..0 # SKIP none\n",
    "    ok 1 - a\n    1..1\nok 1 - x\n1..1\n", "ok 1 # TODO later\n# said\n1..1\nBail out! now\n",
    "not ok 1 - a\n  ---\n  message: |-\n    x\n  duration_ms: 3\n  ...\n1..1\n" },
  words = { "ok", "not ok", " 1", " - ", "#", "# SKIP ", "# TODO", "# time=1ms", "\n", "    ", "  ---\n",
    "  ...\n",
    "1..", "1..1\n", "Bail out!", "\\#", "message: ", "|-", "'", "99999999999999999999", "\r", "\0", "\xff" },
  run = function(text)
    local cases, problems = tap.read(text)
    for _, case in ipairs(cases) do
      assert(STATES[case.status] and type(case.name) == "string", "a case has no name or no status")
    end
    if problems[1] then return driver.kind(problems[1]) end
    return "cases: " .. math.min(#cases, 20)
  end,
}
