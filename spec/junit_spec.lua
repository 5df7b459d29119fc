-- Reports in JUnit's XML: those of others as cases, and ours, judged by the schema.
local flow = require "orrery"
local junit = require "orrery.stdlib.test.shared.junit"
local one = require "spec.support.one_node"
local place = require "spec.support.place"

local SCHEMA = "../shared/corpus/validators/JUnit.xsd"

local function read(text)
  return junit.read(one.output(flow.xml.decode { text = text, form = "tree" }))
end

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

describe("a JUnit report", function()
  it("of pytest, of CTest, and of suites in suites", function()
    local cases, problems = read [[<?xml version="1.0" encoding="utf-8"?>
      <testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.052">
        <testcase classname="test_a" name="test_one" time="0.001"/>
        <testcase classname="test_a" name="test_two" time="1,234.5"><failure message="assert 1 == 2">def test_two():
        &gt; assert 1 == 2</failure></testcase>
        <testcase classname="test_a" name="test_three"><skipped type="pytest.skip" message="no">x.py:3: no</skipped></testcase>
        <testcase classname="test_a" name="test_four"><error message="failed on setup"/><system-out>x</system-out></testcase>
      </testsuite></testsuites>]]
    assert.same({}, problems)
    assert.same({ name = "test_one", suite = "pytest", class = "test_a", status = "passed",
      seconds = 0.001 }, cases[1])
    assert.same({ 1234.5, "failed", "assert 1 == 2" }, { cases[2].seconds, cases[2].status,
      cases[2].message })
    assert.matches("def test_two", cases[2].output)
    assert.same({ "skipped", "no" }, { cases[3].status, cases[3].message })
    assert.same({ "error", "failed on setup" }, { cases[4].status, cases[4].message })
    cases = read [[<testsuite name="(empty)" tests="1" failures="1">
      <testcase name="smoke" classname="smoke" time="0.1" status="fail"><failure message=""/><system-out>
        assertion failed</system-out></testcase></testsuite>]]
    assert.same({ "failed", "(empty)" }, { cases[1].status, cases[1].suite })
    cases, problems = read [[<testsuites><testsuite name="outer"><testcase name="a"/><testsuite name="inner">
      <testcase name="b"/></testsuite><testsuite><testcase/></testsuite></testsuite></testsuites>]]
    assert.same({}, problems)
    assert.same({ "outer", "inner", "outer", "?" }, { cases[1].suite, cases[2].suite, cases[3].suite,
      cases[3].name })
  end)

  it("tells of tries, as Surefire writes them", function()
    local cases = read [[<testsuite name="s"><testcase name="a"><flakyFailure message="x"/><flakyError/></testcase>
      <testcase name="b"><failure message="y">trace</failure><rerunFailure message="y"/></testcase></testsuite>]]
    assert.same({ "passed", 3, true }, { cases[1].status, cases[1].tries, cases[1].flaky })
    assert.same({ "failed", 2, nil, "y" }, { cases[2].status, cases[2].tries, cases[2].flaky,
      cases[2].message })
  end)

  it("that counts more failures than it has, or is none, is told", function()
    local _, problems = read [[<testsuite name="s" tests="1" failures="0" errors="2"><testcase name="a"/>
      </testsuite>]]
    assert.same({ "the suite s says that 2 cases failed, and 0 in it did" }, problems)
    _, problems = read "<html/>"
    assert.same({ "its outermost element is <html>, and that of a JUnit report <testsuites> or <testsuite>" },
      problems)
  end)
end)

describe("the report that is written", function()
  local HOSTILE = "\27[31mred\27[0m \0\1\8 \xFF\xC3 ]]> <a b='c'> &x; \u{FFFE} \"q\" ä\r\n\t"

  local function report()
    return { name = "unit", began = 1700000000.5, host = "box", properties = { b = 1, ["a\0"] = HOSTILE },
      cases = {
      { name = "a", status = "passed", seconds = 1.5 },
      { name = HOSTILE, class = HOSTILE, status = "failed", message = HOSTILE, output = HOSTILE,
        type = HOSTILE },
      { name = "", status = "skipped", message = HOSTILE, suite = "other" },
      { name = "d", status = "error", suite = HOSTILE },
      { name = "e", status = "passed", tries = 3, flaky = true, seconds = 0 },
    } }
  end

  it("reads as what was written, whatever tests have said", function()
    local cases, problems = read(junit.text(report()))
    assert.same({}, problems)
    assert.equal(5, #cases)
    assert.same({ name = "a", suite = "unit", class = "unit", status = "passed", seconds = 1.5 }, cases[1])
    assert.equal("failed", cases[2].status)
    assert.equal("red \u{FFFD}\u{FFFD}\u{FFFD} \u{FFFD}\u{FFFD} ]]> <a b='c'> &x; \u{FFFD} \"q\" ä\r\n\t",
      cases[2].output)
    assert.same({ "other", "?", "skipped" }, { cases[4].suite, cases[4].name, cases[4].status })
    assert.matches('<property name="flaky" value="e passed at try 3"/>', junit.text(report()), 1, true)
    assert.matches('timestamp="2023-11-14T22:13:20"', junit.text(report()), 1, true)
  end)

  it("keeps to the schema", function()
    if not exists(SCHEMA) then return pending "../shared/corpus/validators is absent" end
    local p <close> = place.new { ["a.xml"] = junit.text(report()),
      ["b.xml"] = junit.text { name = "", began = 0, host = "x", cases = {} } }
    for _, name in ipairs { "a.xml", "b.xml" } do
      local pipe <close> = io.popen(("xmllint --noout --schema %s %s/%s 2>&1"):format(SCHEMA, p.folder, name))
      assert.equal(("%s/%s validates\n"):format(p.folder, name), pipe:read "a")
    end
  end)

  it("costs linear time whatever is in it", function()
    for _, text in ipairs { ("\xFF"):rep(300000), ("\27["):rep(300000), ("ä\xC3"):rep(200000) } do
      local begun = os.clock()
      junit.text { name = "x", began = 0, host = "x", cases = { { name = "a", status = "failed",
        output = text } } }
      assert.is_true(os.clock() - begun < 20)
    end
  end)
end)
