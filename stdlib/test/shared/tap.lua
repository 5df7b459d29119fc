--- The results of tests in TAP, the Test Anything Protocol, versions 13 and 14
--- (https://testanything.org/tap-version-14-specification.html), as cases.
local tap = {}

local MOST_SAID = 16384 -- bytes of what is said about a case that are kept

---@class stdlib.test.Group the tests of one level: of the whole, or of a subtest
---@field cases table[]
---@field problems string[]
---@field count integer tests that were seen
---@field plan? number
---@field planned? string the plan as it was written

local function new_group() return { cases = {}, problems = {}, count = 0 } end

local function trimmed(text) return text:match "^.*%S" or "" end

-- ---- one test -----------------------------------------------------------------------------------

-- What stands after a # that begins a directive, and the text before it. A # that is escaped is
-- none.
local function split_directive(text)
  local at = text:find("#", 1, true)
  while at do
    local before = text:sub(at - 1, at - 1)
    local word = (at == 1 or before == " " or before == "\t") and text:match("^#%s*([%a_]+)", at)
    local low = word and word:lower()
    if low and (low:find "^skip" or low == "todo" or low == "time") then
      return text:sub(1, at - 1), low, text:match("^#%s*[%a_]+%s*(.*)", at)
    end
    at = text:find("#", at + 1, true)
  end
  return text
end

local DIRECTIVES = {
  skip = function(case, reason) case.status, case.message = "skipped", reason ~= "" and reason or nil end,
  -- What is to be done yet is expected to fail; where it does not, it is a success.
  todo = function(case, reason)
    if case.status == "failed" then case.status, case.message = "skipped", trimmed("TODO " .. reason) end
  end,
  time = function(case, text) -- as node-tap writes it
    local ms = tonumber(text:match "^=%s*([%d.]+)%s*ms")
    case.seconds = ms and ms / 1000
  end,
}

local function new_case(ok, rest, number)
  local given, text = rest:match "^%s*(%d*)%s*(.*)$"
  local description, directive, reason = split_directive(text:gsub("^%-%s*", ""))
  local case = { name = trimmed(description):gsub("\\([\\#])", "%1"), status = ok and "passed" or "failed" }
  if case.name == "" then case.name = ("test %d"):format(number) end
  if directive then DIRECTIVES[directive:sub(1, 4)](case, trimmed(reason)) end
  return case, given
end

-- ---- what is said about it ----------------------------------------------------------------------

local function say(case, line)
  if not case or case.said and case.said > MOST_SAID then return end
  case.lines = case.lines or {}
  case.lines[#case.lines + 1] = line
  case.said = (case.said or 0) + #line + 1
end

local BLOCK = { ["|"] = true, ["|-"] = true, [">"] = true, [">-"] = true }

-- A line of the YAML block of a case: of all that may stand there, two keys are known widely.
local function take_yaml(case, line)
  say(case, line)
  local value = line:match "^%s*message:%s*(.+)$"
  if case.block then
    case.message, case.block = line:match "^%s*(.*)$", nil
  elseif value and BLOCK[trimmed(value)] then
    case.block = true
  elseif value then
    case.message = trimmed(value):gsub("^(['\"])(.*)%1$", "%2")
  end
  local ms = tonumber(line:match "^%s*duration_ms:%s*([%d.]+)")
  if ms then case.seconds = ms / 1000 end
end

-- ---- groups -------------------------------------------------------------------------------------

local function problem(group, format, ...)
  group.problems[#group.problems + 1] = format:format(...)
end

local function end_group(group)
  if group.plan and group.plan ~= group.count then
    problem(group, "it planned %s tests, and %d ran", group.planned, group.count)
  end
end

-- The tests of a subtest take the place of the one that sums them up, unless that says more.
local function put_subtest(group, case, inner)
  end_group(inner)
  local failed = false
  for _, text in ipairs(inner.problems) do problem(group, "%s: %s", case.name, text) end
  if case.status == "skipped" or #inner.cases == 0 then
    group.cases[#group.cases + 1] = case
    return
  end
  for _, child in ipairs(inner.cases) do
    failed = failed or child.status ~= "passed" and child.status ~= "skipped"
    child.name = case.name .. " > " .. child.name
    group.cases[#group.cases + 1] = child
  end
  if case.status == "failed" and not failed then group.cases[#group.cases + 1] = case end
end

-- ---- lines --------------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

-- The group of a level; those between are made, deeper ones wait for the test that sums them up.
function Reader:group(level)
  for i = #self.groups + 1, level + 1 do self.groups[i] = new_group() end
  return self.groups[level + 1]
end

-- Ends the groups below a level, whose tests belong to `case`.
function Reader:close(level, case)
  for i = #self.groups, level + 2, -1 do
    local inner, outer = self.groups[i], self.groups[i - 1]
    self.groups[i] = nil
    if i == level + 2 then return put_subtest(outer, case, inner) end
    put_subtest(outer, { name = "subtest", status = "passed" }, inner)
  end
  self.groups[level + 1].cases[#self.groups[level + 1].cases + 1] = case
end

function Reader:point(level, ok, rest)
  local group = self:group(level)
  local case, number = new_case(ok, rest, group.count + 1)
  group.count = group.count + 1
  if number ~= "" and tonumber(number) ~= group.count and not group.mixed then
    group.mixed = true
    problem(group, "test %s stands where test %d was expected", number, group.count)
  end
  self:close(level, case)
  self.last, self.last_level = case, level
end

function Reader:plan(level, last, rest)
  local group, _, directive, reason = self:group(level), split_directive(rest)
  if group.plan then return problem(group, "there is a second plan, 1..%s", last) end
  group.plan, group.planned = tonumber(last), last -- it may be a number of any length
  if group.plan == 0 and directive and directive:find "^skip" then
    group.cases[1] = { name = "all", status = "skipped", message = trimmed(reason) }
  end
end

-- What may stand in a line, by how it begins. The first that fits decides.
local LINES = {
  { "^ok%f[%W](.*)$", function(self, level, rest) self:point(level, true, rest) end },
  { "^not ok%f[%W](.*)$", function(self, level, rest) self:point(level, false, rest) end },
  { "^1%.%.(%d+)(.*)$", Reader.plan },
  { "^Bail out!%s*(.*)$", function(self, _, reason)
    self.bailed = true
    problem(self.groups[1], "it bailed out%s", reason ~= "" and ": " .. trimmed(reason) or "")
  end },
  { "^# ?(.*)$", function(self, level, text)
    if self.last and self.last.status == "failed" and self.last_level == level then say(self.last, text) end
  end },
}

function Reader:line(text)
  if self.yaml then
    if text:find "^%s*%.%.%.%s*$" then self.yaml = nil else take_yaml(self.last, text) end
    return
  end
  local spaces, rest = text:match "^( *)(.*)$"
  local level, over = #spaces // 4, #spaces % 4
  if over == 2 and rest:find "^%-%-%-" and self.last and self.last_level == level then
    self.yaml = true
  elseif over == 0 and level <= self.deepest then
    for _, entry in ipairs(LINES) do
      local a, b = rest:match(entry[1])
      if a then return entry[2](self, level, a, b) end
    end
  end
end

-- ---- all of it ----------------------------------------------------------------------------------

local function finish(case)
  if case.lines then case.output = table.concat(case.lines, "\n") end
  case.lines, case.said, case.block = nil, nil, nil
  return case
end

--- Reads a text.
---@param text string
---@return table[] cases { name, status, message?, output?, seconds? }
---@return string[] problems sentences: what is wrong with the whole of it
function tap.read(text)
  local reader = setmetatable({ groups = { new_group() }, deepest = 50 }, Reader)
  for line in text:gmatch "[^\n]*" do
    if line:sub(-1) == "\r" then line = line:sub(1, -2) end
    reader:line(line)
    if reader.bailed then break end
  end
  local whole = reader.groups[1]
  if #reader.groups > 1 then
    reader:close(0, { name = "subtest", status = "failed", message = "it ended without a result" })
  end
  if whole.count == 0 and not whole.plan and not reader.bailed then
    problem(whole, "there are no tests in it")
  elseif not whole.plan and not reader.bailed then
    problem(whole, "it has no plan (1..N), so it may have ended too early")
  end
  if not reader.bailed then end_group(whole) end
  for _, case in ipairs(whole.cases) do finish(case) end
  return whole.cases, whole.problems
end

return tap
