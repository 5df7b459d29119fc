--- From the text of a regular expression to a tree: the syntax of ECMA-262 with the flag `u`, by
--- code points, and lenient where Annex B of the standard is (`\-`, a single `{` or `]`).
---
--- Nodes: { "set", ranges }, { "seq", node… }, { "alt", node… }, { "repeat", node, least, most },
--- { "at", "start" | "end" | "edge" | "inside" }, { "ahead", node, negated }. A lookahead stands
--- only right behind the `^` that begins the whole expression: there it is one more expression
--- which fits, or does not, from the start of the text, and costs linear time as well.
local set = require "orrery.schema.regex.set"

local parse = {}

local DEPTH = 200        -- groups in groups
local LONGEST = 10000    -- bytes of an expression
local MOST_TIMES = 10000 -- a count of {n,m}

---@class orrery.regex.Mistake
---@field message string what is wrong, without the expression
---@field sort "syntax"|"unsupported"|"large"

local function fail(kind, message, ...) error { sort = kind, message = message:format(...) } end

-- ---- escapes ------------------------------------------------------------------------------------

local CONTROL = { t = 0x09, n = 0x0A, v = 0x0B, f = 0x0C, r = 0x0D }
local CLASS = { d = set.DIGIT, D = set.complement(set.DIGIT), w = set.WORD, W = set.complement(set.WORD),
  s = set.SPACE, S = set.complement(set.SPACE) }

local function hex(p, digits)
  local text = p.text:match("^" .. ("%x"):rep(digits), p.at)
  if not text then
    fail("syntax", "after \\%s there are not %d hexadecimal digits", p.text:sub(p.at - 1, p.at - 1), digits)
  end
  p.at = p.at + digits
  return tonumber(text, 16)
end

local function unicode_escape(p)
  local braced = p.text:match("^{(%x+)}", p.at)
  if braced then
    p.at = p.at + #braced + 2
    local code = #braced <= 8 and tonumber(braced, 16)
    if not code or code > 0x10FFFF then fail("syntax", "\\u{%s} is no character", braced) end
    return code
  end
  local code = hex(p, 4)
  local low = code >= 0xD800 and code <= 0xDBFF and p.text:match("^\\u([dD][c-fC-F]%x%x)", p.at)
  if not low then return code end
  p.at = p.at + 6
  return 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00
end

local function property(p, letter)
  local name = p.text:match("^{([^}]*)}", p.at)
  if not name then fail("syntax", "\\%s needs the name of a property, as in \\%s{L}", letter, letter) end
  p.at = p.at + #name + 2
  local ranges, message = require "orrery.schema.regex.property".ranges(name)
  if not ranges then fail("unsupported", "%s", message) end
  return letter == "P" and set.complement(ranges) or ranges
end

-- What stands behind a backslash: a code point, or a set.
local function escape(p)
  local c = p.text:sub(p.at, p.at)
  if c == "" then fail("syntax", "it ends in a single \\") end
  p.at = p.at + 1
  if CONTROL[c] then return CONTROL[c] end
  if CLASS[c] then return nil, CLASS[c] end
  if c == "p" or c == "P" then return nil, property(p, c) end
  if c == "x" then return hex(p, 2) end
  if c == "u" then return unicode_escape(p) end
  if c == "c" then
    local letter = p.text:match("^%a", p.at)
    if not letter then fail("syntax", "after \\c there is no letter") end
    p.at = p.at + 1
    return letter:byte() % 32
  end
  if c == "0" and not p.text:find("^%d", p.at) then return 0 end
  if c:find "%d" or c == "k" then
    fail("unsupported", "a backreference (\\%s) cannot be matched in linear time", c)
  end
  if c:find "%a" then fail("syntax", "there is no escape \\%s", c) end
  p.at = p.at - 1
  return p:character()
end

-- ---- parts --------------------------------------------------------------------------------------

local Parser = {}
Parser.__index = Parser

-- The code point at the place, which moves behind it.
function Parser:character()
  local code = utf8.codepoint(self.text, self.at)
  self.at = utf8.offset(self.text, 2, self.at)
  return code
end

function Parser:takes(text)
  if self.text:sub(self.at, self.at + #text - 1) ~= text then return false end
  self.at = self.at + #text
  return true
end

-- One of a class: a code point, or a set.
function Parser:class_atom()
  if not self:takes "\\" then return self:character() end
  if self:takes "b" then return 0x08 end
  if self:takes "-" then return 0x2D end
  return escape(self)
end

function Parser:class()
  local negated, ranges = self:takes "^", {}
  while not self:takes "]" do
    if self.at > #self.text then fail("syntax", "a [ is not closed; write \\[ for the character") end
    local from, several = self:class_atom()
    local is_range = from and self.text:find("^%-[^%]]", self.at)
    local before = self.at
    local to = from
    if is_range then
      self.at = self.at + 1
      to = self:class_atom()
      if not to then self.at, to = before, from end -- [a-\d] has a dash in it
    end
    if from and to < from then
      fail("syntax", "the range %s is the wrong way round", self.text:sub(before - 1, self.at - 1))
    end
    if several then table.move(several, 1, #several, #ranges + 1, ranges)
    else ranges[#ranges + 1], ranges[#ranges + 2] = from, to end
  end
  local made = set.of(ranges)
  return { "set", negated and set.complement(made) or made }
end

function Parser:lookahead(negated)
  if not self.first then
    fail("unsupported", "a lookahead is known only behind the ^ that begins the expression: "
      .. "elsewhere it cannot be matched in linear time")
  end
  self.first = false
  local inner = self:alternatives()
  if not self:takes ")" then fail("syntax", "a ( is not closed; write \\( for the character") end
  self.first = true
  return { "ahead", inner, negated }
end

function Parser:group()
  self.depth = self.depth + 1
  if self.depth > DEPTH then fail("large", "groups are nested deeper than %d", DEPTH) end
  local made
  if self:takes "?=" then made = self:lookahead(false)
  elseif self:takes "?!" then made = self:lookahead(true)
  else
    if self:takes "?<=" or self:takes "?<!" then
      fail("unsupported", "a lookbehind cannot be matched in linear time")
    end
    local name = self.text:match("^%?<[%a_$][%w_$]*>", self.at)
    if name then self.at = self.at + #name
    elseif not self:takes "?:" and self:takes "?" then
      fail(self.text:find("^[ims%-]+:", self.at) and "unsupported" or "syntax",
        "(?%s is no group that is known", self.text:sub(self.at, self.at))
    end
    self.first = false
    made = self:alternatives()
    if not self:takes ")" then fail("syntax", "a ( is not closed; write \\( for the character") end
    self.first = false
  end
  self.depth = self.depth - 1
  return made
end

local PLACES = { ["^"] = "start", ["$"] = "end" }

function Parser:atom()
  local c = self.text:sub(self.at, self.at)
  if c == "(" then
    self.at = self.at + 1
    return self:group()
  end
  local begins = self.at == 1
  self.first = false
  if PLACES[c] then
    self.at = self.at + 1
    self.first = begins and c == "^"
    return { "at", PLACES[c] }
  end
  if c == "[" or c == "." then
    self.at = self.at + 1
    return c == "." and { "set", set.complement(set.NEW_LINE) } or self:class()
  end
  if self:takes "\\b" then return { "at", "edge" } end
  if self:takes "\\B" then return { "at", "inside" } end
  if self:takes "\\" then
    local code, several = escape(self)
    return { "set", several or { code, code } }
  end
  if c == "*" or c == "+" or c == "?" or self.text:find("^{%d+,?%d*}", self.at) then
    fail("syntax", "there is nothing before the %s that it could repeat; write \\%s for the character", c, c)
  end
  local code = self:character()
  return { "set", { code, code } }
end

local TIMES = { ["*"] = { 0, math.huge }, ["+"] = { 1, math.huge }, ["?"] = { 0, 1 } }

-- How often what stands before is repeated: least, most; nil where it is not.
function Parser:times()
  local times = TIMES[self.text:sub(self.at, self.at)]
  if times then
    self.at = self.at + 1
    return times[1], times[2]
  end
  local least, comma, most, behind = self.text:match("^{(%d+)(,?)(%d*)}()", self.at)
  if not least or comma == "" and most ~= "" then return nil end
  self.at = behind
  local from = tonumber(least)
  local to = comma == "" and from or most == "" and math.huge or tonumber(most)
  if from > to then fail("syntax", "{%d,%d} is the wrong way round", from, to) end
  if from > MOST_TIMES or to ~= math.huge and to > MOST_TIMES then
    fail("large", "a repetition counts at most to %d", MOST_TIMES)
  end
  return from, to
end

function Parser:sequence()
  local made = { "seq" }
  while self.at <= #self.text and not self.text:find("^[|)]", self.at) do
    local atom = self:atom()
    local least, most = self:times()
    if least then
      if atom[1] == "at" or atom[1] == "ahead" then
        fail("syntax", "a place in the text, such as ^ or a lookahead, cannot be repeated")
      end
      self:takes "?" -- as few as possible: whether it matches is the same
      atom = { "repeat", atom, least, most }
    end
    made[#made + 1] = atom
  end
  return made
end

function Parser:alternatives()
  local made = { "alt" }
  repeat
    made[#made + 1] = self:sequence()
    self.first = false
  until not self:takes "|"
  return #made == 2 and made[2] or made
end

local function has_ahead(sequence)
  for i = 2, #sequence do
    if sequence[i][1] == "ahead" then return true end
  end
  return false
end

--- Reads an expression.
---@param text string
---@return table|nil tree
---@return orrery.regex.Mistake|nil
function parse.read(text)
  if #text > LONGEST then
    return nil, { sort = "large", message = ("it is longer than %d bytes"):format(LONGEST) }
  end
  if not utf8.len(text) then return nil, { sort = "syntax", message = "it is not UTF-8" } end
  local p = setmetatable({ text = text, at = 1, depth = 0 }, Parser)
  local good, result = pcall(function()
    local tree = p:alternatives()
    if p.at <= #text then fail("syntax", "a ) has no ( before it; write \\) for the character") end
    if tree[1] == "alt" then
      for i = 2, #tree do
        if has_ahead(tree[i]) then
          fail("unsupported", "a lookahead is known only where the expression has no | beside it")
        end
      end
    end
    return tree
  end)
  if good then return result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result
end

return parse
