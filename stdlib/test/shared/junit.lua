--- The results of tests in JUnit's XML: read as Ant, Maven, pytest, CTest and others write it, and
--- written as the schema of Ant's (https://github.com/windyroad/JUnit-Schema) has it.
local xml_text = require "orrery.stdlib.shared.xml_text"

local junit = {}

-- ---- reading ------------------------------------------------------------------------------------

local function text_in(element)
  local parts = {}
  for _, item in ipairs(element.content) do
    if type(item) == "string" then parts[#parts + 1] = item end
  end
  return table.concat(parts)
end

local function some(text) return text and text:find "%S" and text or nil end

-- "1,234.5" as well.
local function seconds_of(element)
  local text = (element.attributes.time or ""):gsub(",", "")
  return tonumber(text)
end

local function judged(status)
  return function(case, element)
    if case.status ~= "passed" and status == "skipped" then return end
    local said = text_in(element)
    case.status, case.type = status, element.attributes.type
    case.message = some(element.attributes.message) or some(said:match "[^\r\n]*%S[^\r\n]*")
    case.output = some(said)
  end
end

-- A case that has passed at another try, as Maven's Surefire tells it.
local function flaky(case) case.tries = (case.tries or 1) + 1 end

local IN_CASE = {
  failure = judged "failed", error = judged "error", skipped = judged "skipped",
  flakyFailure = flaky, flakyError = flaky, rerunFailure = flaky, rerunError = flaky,
}

local function case_of(element, suite)
  local case = { name = element.attributes.name or "?", suite = suite,
    class = some(element.attributes.classname),
    status = "passed", seconds = seconds_of(element) }
  for _, inner in ipairs(element.content) do
    local take = type(inner) == "table" and IN_CASE[inner.name]
    if take then take(case, inner) end
  end
  if case.tries and case.status == "passed" then case.flaky = true end
  return case
end

-- A suite may say that more has failed than its cases show: what failed was outside of them.
local function check_counts(reader, element, from)
  local said, found = 0, 0
  for _, key in ipairs { "failures", "errors" } do
    said = said + (tonumber(element.attributes[key]) or 0)
  end
  for i = from, #reader.cases do
    local status = reader.cases[i].status
    if status == "failed" or status == "error" then found = found + 1 end
  end
  if said > found then
    reader.problems[#reader.problems + 1] = ("the suite %s says that %d cases failed, and %d in it did")
      :format(element.attributes.name or "without a name", said, found)
  end
end

local function read_suite(reader, element, outer)
  local name, from = some(element.attributes.name) or outer, #reader.cases + 1
  for _, inner in ipairs(element.content) do
    if type(inner) == "table" and inner.name == "testcase" then
      reader.cases[#reader.cases + 1] = case_of(inner, name)
    elseif type(inner) == "table" and inner.name == "testsuite" then
      read_suite(reader, inner, name)
    end
  end
  if element.name == "testsuite" then check_counts(reader, element, from) end
end

--- Reads a document.
---@param tree table as `flow.xml.decode { form = "tree" }` gives it
---@return table[] cases { name, suite?, class?, status, seconds?, type?, message?, output?, tries?, flaky? }
---@return string[] problems sentences
function junit.read(tree)
  local reader = { cases = {}, problems = {} }
  if tree.name == "testsuites" or tree.name == "testsuite" then
    read_suite(reader, tree, nil)
  else
    reader.problems[1] = ("its outermost element is <%s>, and that of a JUnit report <testsuites> or "
      .. "<testsuite>"):format(tree.name)
  end
  return reader.cases, reader.problems
end

-- ---- what XML cannot hold -----------------------------------------------------------------------

local REPLACEMENT = "\u{FFFD}"

local function valid_utf8(text)
  local parts, from = {}, 1
  while true do
    local _, bad = utf8.len(text, from)
    if not bad then break end
    parts[#parts + 1] = text:sub(from, bad - 1)
    parts[#parts + 1] = REPLACEMENT
    from = bad + 1
  end
  parts[#parts + 1] = text:sub(from)
  return table.concat(parts)
end

-- What programs print is put into the report whatever it is; colours are left out.
local function clean(text)
  text = valid_utf8((tostring(text):gsub("\27%[[%d;]*%a", "")))
  text = text:gsub("[%z\1-\8\11\12\14-\31]", REPLACEMENT)
  return (text:gsub("\xEF\xBF[\xBE\xBF]", REPLACEMENT))
end

-- ---- writing ------------------------------------------------------------------------------------

local function element(name, attributes, content)
  return { name = name, attributes = attributes, content = content or {} }
end

local function time_of(seconds) return ("%.3f"):format(seconds or 0) end

local ELEMENTS = { failed = "failure", error = "error", skipped = "skipped" }

local function verdict_of(case)
  local name = ELEMENTS[case.status]
  if not name then return nil end
  local attributes = { message = clean(case.message or case.status) }
  if name ~= "skipped" then attributes.type = clean(case.type or case.status) end
  return element(name, attributes, case.output and name ~= "skipped" and { clean(case.output) } or nil)
end

local function some_name(text, otherwise)
  text = clean(text or "")
  return text:find "%S" and text or otherwise
end

local function case_element(case, suite)
  return element("testcase", { name = some_name(case.name, "?"), classname = some_name(case.class, suite),
    time = time_of(case.seconds) }, { verdict_of(case) })
end

-- Cases by the suite they belong to, in the order in which these come.
local function by_suite(report)
  local list, known = {}, {}
  for _, case in ipairs(report.cases) do
    local name = some_name(case.suite, some_name(report.name, "tests"))
    if not known[name] then
      known[name] = { name = name, cases = {}, failed = 0, error = 0, skipped = 0, passed = 0, seconds = 0 }
      list[#list + 1] = known[name]
    end
    local suite = known[name]
    suite.cases[#suite.cases + 1] = case
    suite[case.status] = suite[case.status] + 1
    suite.seconds = suite.seconds + (case.seconds or 0)
  end
  return list
end

-- The schema knows no tries, so a case that needed several is told by a property.
local function properties_of(suite, report)
  local list = {}
  for _, name in ipairs(report.property_names) do
    list[#list + 1] = element("property", { name = clean(name), value = clean(report.properties[name]) })
  end
  for _, case in ipairs(suite.cases) do
    if case.flaky then
      list[#list + 1] = element("property", { name = "flaky",
        value = clean(("%s passed at try %d"):format(case.name, case.tries)) })
    end
  end
  return element("properties", {}, list)
end

local function suite_element(suite, report, id)
  local content = { properties_of(suite, report) }
  for _, case in ipairs(suite.cases) do content[#content + 1] = case_element(case, suite.name) end
  content[#content + 1] = element "system-out"
  content[#content + 1] = element "system-err"
  return element("testsuite", { id = id, name = suite.name, package = "", hostname = report.host,
    timestamp = os.date("!%Y-%m-%dT%H:%M:%S", math.floor(report.began)),
    tests = #suite.cases, failures = suite.failed, errors = suite.error, skipped = suite.skipped,
    time = time_of(suite.seconds) }, content)
end

---@class stdlib.test.Report
---@field name string of cases that belong to no other suite
---@field cases table[]
---@field seconds? number how long all of it took
---@field began number seconds since 1970
---@field host string
---@field properties? table<string, any>

--- Makes the text of a report.
---@param report stdlib.test.Report
---@return string
function junit.text(report)
  report.properties, report.property_names = report.properties or {}, {}
  for name in pairs(report.properties) do report.property_names[#report.property_names + 1] = name end
  table.sort(report.property_names)
  local list, suites = by_suite(report), {}
  if #list == 1 then list[1].seconds = report.seconds or list[1].seconds end
  for i, suite in ipairs(list) do suites[i] = suite_element(suite, report, i - 1) end
  return xml_text.document(element("testsuites", {}, suites), { form = "tree", max_size = 1 << 30 })
end

return junit
