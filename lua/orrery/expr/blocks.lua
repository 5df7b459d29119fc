--- Blocks of templates: `${for x in list}…${end}` and `${if x}…${elseif y}…${else}…${end}`.
--- Loaded where the first stands.
---
--- A block that stands alone in its line leaves no line. The names of a loop are roots inside it;
--- their values stand in boxes, as evaluations never wait and none begins within another.
local expr = require "orrery.expr"
local json = require "orrery.core".json
local site = require "orrery.expr.site"

local blocks = {}

local DEEPEST = 20  -- blocks in blocks
local TURN = 8      -- items that one turn of a loop counts as
local BLOCK = 64    -- bytes of its body that count as one more, each time
local JOINED = 1000 -- texts

-- ---- reading ------------------------------------------------------------------------------------

---@class orrery.blocks.Reader a template that is being read
---@field pieces table where the next text goes: text, expression or block, text, …
---@field open table[] blocks that are not closed
---@field scope table|nil names of loops and their boxes
---@field extra string|nil
---@field say fun(at: integer, reason: string): nil notes a mistake
---@field compile fun(text: string, column: integer): orrery.expr.Compiled|nil column: of what stands before the text

local NAME = "[%a_][%w_]*"

-- The names and the list's place of "for i, x in list"; nil where it is written otherwise.
local function loop_head(text)
  local first, at = text:match("^%s*for%s+(" .. NAME .. ")%s*()")
  if not first then return nil end
  local second, after = text:match("^,%s*(" .. NAME .. ")%s*()", at)
  local list = text:match("^in%s+()", after or at)
  if not list then return nil end
  if second then return { index = first, item = second, list = list } end
  return { item = first, list = list }
end

-- The names of the loops around, with those of one more.
local function inner_scope(outer, names, extra)
  local scope = { boxes = setmetatable({}, { __index = outer and outer.boxes }), names = {}, outer = outer }
  if outer then table.move(outer.names, 1, #outer.names, 1, scope.names) end
  for _, name in ipairs(names) do
    scope.boxes[name] = {}
    scope.names[#scope.names + 1] = name
  end
  scope.language = expr.language(extra, scope.names)
  return scope
end

local OPEN = {}

OPEN["for"] = function(self, tag)
  local head = loop_head(tag.text)
  if not head then
    return self.say(tag.at, 'a loop is written "${for x in list}" or "${for i, x in list}"')
  end
  for _, name in ipairs { head.item, head.index } do
    if expr.is_root(name) then
      return self.say(tag.at, ('"%s" has a meaning already; give the loop another name'):format(name))
    end
  end
  local list = self.compile(tag.text:sub(head.list), tag.at + head.list)
  if not list then return nil end
  self.scope = inner_scope(self.scope, { head.item, head.index }, self.extra)
  local boxes = self.scope.boxes
  return { list = list, item = boxes[head.item], index = head.index and boxes[head.index], body = {} }
end

-- A condition and the pieces that it is for.
local function branch(self, tag, word)
  local from = tag.text:match("^%s*" .. word .. "()")
  local test = self.compile(tag.text:sub(from), tag.at + from)
  return test and { test = test, body = {} }
end

OPEN["if"] = function(self, tag)
  local first = branch(self, tag, "if")
  return first and { branches = { first }, body = first.body }
end

local function open(self, tag, word)
  if #self.open >= DEEPEST then
    return self.say(tag.at, ("blocks are nested deeper than %d; make it flatter"):format(DEEPEST))
  end
  local scope = self.scope
  local block = OPEN[word](self, tag)
  if not block then return nil end
  block.at, block.outer, block.scope = tag.at, self.pieces, scope
  self.pieces[#self.pieces + 1] = block
  self.open[#self.open + 1] = block
  self.pieces = block.body
  return true
end

local NEXT = {}

NEXT["elseif"] = function(self, tag, block)
  local more = branch(self, tag, "elseif")
  if more then block.branches[#block.branches + 1] = more end
  return more
end

NEXT["else"] = function(_, _, block)
  local last = { body = {} }
  block.branches[#block.branches + 1], block.has_else = last, true
  return last
end

local function go_on(self, tag, word)
  local block = self.open[#self.open]
  if not block or not block.branches or block.has_else then
    return self.say(tag.at, ('there is no "${if …}" before this "${%s}"'):format(word))
  end
  local next_branch = NEXT[word](self, tag, block)
  if not next_branch then return nil end
  self.pieces = next_branch.body
  return true
end

local function close(self, tag)
  local block = table.remove(self.open)
  if not block then
    return self.say(tag.at, 'there is no "${for …}" or "${if …}" that this "${end}" ends')
  end
  self.pieces, self.scope = block.outer, block.scope
  block.bytes = tag.at - block.at
  return true
end

local WORDS = { ["for"] = open, ["if"] = open, ["elseif"] = go_on, ["else"] = go_on, ["end"] = close }

--- Takes a part of a block: what is read next goes to `self.pieces`.
---@param self orrery.blocks.Reader
---@param word string
---@param tag {text: string, at: integer} what stands between "${" and "}", and where the "${" is
---@return true|nil nil: a mistake was noted
function blocks.take(self, word, tag)
  if (word == "else" or word == "end") and tag.text:find("%S", (tag.text:find(word, 1, true)) + #word) then
    return self.say(tag.at, ('"${%s}" takes nothing'):format(word))
  end
  return WORDS[word](self, tag, word)
end

--- Notes blocks that are not closed.
---@param self orrery.blocks.Reader
---@return boolean whether all are
function blocks.all_closed(self)
  local block = self.open[#self.open]
  if not block then return true end
  self.say(block.at, ('this "${%s …}" is not closed; write "${end}" where it ends')
    :format(block.list and "for" or "if"))
  return false
end

-- ---- evaluating ---------------------------------------------------------------------------------

local compile_pieces

local function not_a_list(here, list, value)
  local more = (value == nil or value == json.null)
    and '; put "${if …}" around the loop where it may be missing' or ""
  return site.fail(here, ("%s, and a loop takes a list%s"):format(site.operand(list.source, value), more))
end

local function compile_loop(here, block, as_text, count)
  local list, item, index = block.list, block.item, block.index
  local body, cost = compile_pieces(here, block.body, as_text, count), TURN + block.bytes // BLOCK
  return function(ctx, extra, parts)
    local value = list.bare(ctx, extra)
    if type(value) ~= "table" or not json.is_array(value) and next(value) ~= nil then
      return not_a_list(here, list, value)
    end
    for i = 1, #value do
      site.spend(here, cost)
      item[1] = value[i]
      if index then index[1] = i end
      body(ctx, extra, parts)
    end
    item[1] = nil
  end
end

local function compile_branches(here, block, as_text, count)
  local branches = {}
  for i, each in ipairs(block.branches) do
    branches[i] = { test = each.test, body = compile_pieces(here, each.body, as_text, count) }
  end
  return function(ctx, extra, parts)
    for i = 1, #branches do
      local test = branches[i].test
      local value = not test or test.bare(ctx, extra)
      if value and value ~= json.null then return branches[i].body(ctx, extra, parts) end
    end
  end
end

-- Adds a text. Many short ones are joined now and then, as a list takes more memory than they do.
local function put(parts, text)
  parts.n = parts.n + 1
  parts[parts.n] = text
  if parts.n == JOINED then
    parts.done[#parts.done + 1] = table.concat(parts, "", 1, JOINED)
    parts.n = 0
  end
end

-- A function(ctx, extra, parts) that adds the texts of pieces.
function compile_pieces(here, pieces, as_text, count)
  local writers = {}
  for i, piece in ipairs(pieces) do
    if type(piece) == "string" then
      writers[i] = function(_, _, parts)
        count(here, #piece)
        put(parts, piece)
      end
    elseif piece.body then
      writers[i] = (piece.list and compile_loop or compile_branches)(here, piece, as_text, count)
    else
      writers[i] = function(ctx, extra, parts)
        local text = as_text(here, piece, piece.bare(ctx, extra))
        count(here, #text)
        put(parts, text)
      end
    end
  end
  local n = #writers
  return function(ctx, extra, parts)
    for i = 1, n do writers[i](ctx, extra, parts) end
  end
end

--- A function that evaluates a template with blocks.
---@param here orrery.expr.Site
---@param pieces table as they were read
---@param as_text fun(here: orrery.expr.Site, compiled: orrery.expr.Compiled, value: any): string
---@param count fun(here: orrery.expr.Site, bytes: integer) raises where it is too much
---@return fun(ctx: table, extra: any): string
function blocks.compile(here, pieces, as_text, count)
  local write = compile_pieces(here, pieces, as_text, count)
  return function(ctx, extra)
    local parts = { n = 0, done = {} }
    write(ctx, extra, parts)
    parts.done[#parts.done + 1] = table.concat(parts, "", 1, parts.n)
    return table.concat(parts.done)
  end
end

return blocks
