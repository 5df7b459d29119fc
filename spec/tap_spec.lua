-- TAP 13 and 14 as cases.
local tap = require "orrery.stdlib.test.shared.tap"

-- "passed a; failed b (message)", and the problems.
local function read(text)
  local cases, problems = tap.read(text)
  local parts = {}
  for i, case in ipairs(cases) do
    parts[i] = case.status .. " " .. case.name .. (case.message and (" (%s)"):format(case.message) or "")
  end
  return table.concat(parts, "; "), table.concat(problems, "; ")
end

describe("TAP", function()
  it("has tests, with and without numbers, names and dashes", function()
    assert.same({ "passed a; failed b; passed test 3; passed 4 eyes", "" },
      { read "TAP version 13\n1..4\nok 1 - a\nnot ok 2 b\nok\nok 4 - 4 eyes\n" })
    assert.same({ "passed a; passed b # c \\ d", "" }, { read "ok - a\r\nok - b \\# c \\\\ d\r\n1..2\r\n" })
    assert.same({ "", "there are no tests in it" }, { read "okay 1\nnot okay\nhello\n" })
  end)

  it("has directives", function()
    assert.same({ "skipped a (no network); skipped b; skipped c (TODO soon); passed d; passed e", "" },
      { read(
      "1..5\nok 1 - a # SKIP no network\nnot ok 2 - b # skipped\nnot ok 3 - c # TODO soon\nok 4 - d # todo\n"
      .. "ok 5 - e # time=12.5ms\n") })
    assert.equal(0.0125, tap.read("1..1\nok 1 - e # time=12.5ms\n")[1].seconds)
    assert.same({ "passed #1 is a # of # things", "" }, { read "1..1\nok 1 - #1 is a # of # things\n" })
    assert.same({ "skipped all (no database)", "" }, { read "1..0 # SKIP no database\n" })
    assert.same({ "", "" }, { read "1..0\n" })
  end)

  it("has a plan that holds", function()
    assert.same({ "passed a", "it planned 3 tests, and 1 ran" }, { read "1..3\nok 1 - a\n" })
    assert.same({ "passed a; passed b", "it planned 1 tests, and 2 ran" }, { read "1..1\nok - a\nok - b\n" })
    assert.same({ "passed a", "it has no plan (1..N), so it may have ended too early" },
      { read "ok 1 - a\n" })
    assert.same({ "passed a", "there is a second plan, 1..2" }, { read "1..1\nok - a\n1..2\n" })
    assert.same({ "passed a; passed b; passed c", "test 3 stands where test 2 was expected" },
      { read "1..3\nok 1 - a\nok 3 - b\nok 2 - c\n" })
    assert.same({ "passed a", "test 99999999999999999999 stands where test 1 was expected; "
      .. "it planned 99999999999999999999 tests, and 1 ran" },
      { read "1..99999999999999999999\nok 99999999999999999999 - a\n" })
  end)

  it("may bail out", function()
    assert.same({ "passed a", "it bailed out: no disk" },
      { read "1..3\nok 1 - a\nBail out! no disk\nok 2\n" })
    assert.same({ "", "it bailed out" }, { read "Bail out!\n" })
  end)

  it("says more of a test in YAML and in comments", function()
    local cases = tap.read("TAP version 14\n1..3\nok 1 - a\n# fine\nnot ok 2 - b\n  ---\n"
      .. "  message: 'expected 3'\n  duration_ms: 15.5\n  at:\n    line: 7\n  ...\n# got 4\n"
      .. "not ok 3 - c\n  ---\n  message: |-\n    two lines\n    more\n  ...\n")
    assert.same({ name = "a", status = "passed" }, cases[1])
    assert.same({ name = "b", status = "failed", message = "expected 3", seconds = 0.0155,
      output = "  message: 'expected 3'\n  duration_ms: 15.5\n  at:\n    line: 7\ngot 4" }, cases[2])
    assert.equal("two lines", cases[3].message)
  end)

  it("has subtests, which take the place of the test that sums them up", function()
    assert.same({ "passed x > a; failed x > b (bad); passed y", "" }, { read(
      "TAP version 14\n# Subtest: x\n    ok 1 - a\n    not ok 2 - b\n      ---\n      message: bad\n"
      .. "      ...\n    1..2\nnot ok 1 - x\nok 2 - y\n1..2\n") })
    assert.same({ "passed p > q > a; passed p > r", "" }, { read(
      "        ok 1 - a\n        1..1\n    ok 1 - q\n    ok 2 - r\n    1..2\nok 1 - p\n1..1\n") })
    assert.same({ "passed x > a; failed x", "x: it planned 2 tests, and 1 ran" },
      { read "    1..2\n    ok 1 - a\nnot ok 1 - x\n1..1\n" })
    assert.same({ "skipped x (later)", "" },
      { read "    1..1\n    not ok 1 - a\nok 1 - x # SKIP later\n1..1\n" })
    assert.same({ "passed subtest > a; failed subtest (it ended without a result)",
      "it planned 1 tests, and 0 ran" }, { read "1..1\n    ok 1 - a\n" })
  end)

  it("costs linear time whatever is in it", function()
    for _, text in ipairs { "1..1\nok 1 " .. ("# "):rep(500000), "1..1\nok 1" .. (" "):rep(1000000),
      "1..1\nok 1 - a " .. ("#"):rep(1000000), (" "):rep(1000000) .. "ok 1", ("ok\n"):rep(200000),
      "1..1\nnot ok 1\n  ---\n" .. ("  message: x\n"):rep(100000), ("    "):rep(50) .. "ok 1\nok 1\n1..1\n",
      "1..1\nnot ok 1\n" .. ("# x\n"):rep(200000) } do
      local begun = os.clock()
      local cases = tap.read(text)
      assert.is_true(os.clock() - begun < 20)
      assert.is_true(#cases <= 200000 and #(cases[1] and cases[1].output or "") < 20000)
    end
  end)
end)
