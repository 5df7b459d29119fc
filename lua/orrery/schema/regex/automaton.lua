--- From the tree of a regular expression to an automaton, and its simulation.
---
--- The automaton is Thompson's (Programming Techniques: Regular expression search algorithm, CACM
--- 11, 1968). It is simulated with the sets of its states at once, so that a text of n characters
--- takes at most n times its states, whatever the expression; sets that were met are kept as states
--- of a deterministic automaton (Cox, Regular Expression Matching Can Be Simple And Fast, 2007), so
--- that mostly a character is one look into a table.
local set = require "orrery.schema.regex.set"

local automaton = {}

local MOST_STATES = 10000 -- of the automaton; a counted repetition takes its count times its inside
local MOST_KEPT = 50000   -- transitions and members of sets that are kept; all are made anew beyond

-- ---- making -------------------------------------------------------------------------------------

-- Each state is { set, next } (takes a character), { false, next, other } (goes on by itself) or
-- { place, next } (goes on where the place is so); `next` is an index. The last, 1, has matched.

local build

local function add(a, first, following, other)
  local n = #a + 1
  if n > MOST_STATES then
    error { sort = "large",
      message = ("it needs more than %d states; repeat less, or something smaller"):format(MOST_STATES) }
  end
  a[n] = { first, following, other }
  return n
end

local function build_repeat(a, node, following)
  local inner, least, most = node[2], node[3], node[4]
  local start = following
  if most == math.huge then
    local loop = add(a, false, 0, following)
    a[loop][2] = build(a, inner, loop)
    start = loop
  else
    for _ = least + 1, most do start = add(a, false, build(a, inner, start), following) end
  end
  for _ = 1, least do start = build(a, inner, start) end
  return start
end

local BUILD = {
  set = function(a, node, following) return add(a, node[2], following) end,
  at = function(a, node, following) return add(a, node[2], following) end,
  ahead = function(_, _, following) return following end, -- an expression of its own
  ["repeat"] = build_repeat,
  seq = function(a, node, following)
    for i = #node, 2, -1 do following = build(a, node[i], following) end
    return following
  end,
  alt = function(a, node, following)
    local start = build(a, node[#node], following)
    for i = #node - 1, 2, -1 do start = add(a, false, build(a, node[i], following), start) end
    return start
  end,
}

--- The index of the state that `node` begins with, when `following` comes behind it.
function build(a, node, following) return BUILD[node[1]](a, node, following) end

-- Whether nothing matches but from the start of the text.
local function starts(node)
  if node[1] == "at" then return node[2] == "start" end
  if node[1] == "seq" then return node[2] ~= nil and starts(node[2]) end
  if node[1] ~= "alt" then return false end
  for i = 2, #node do
    if not starts(node[i]) then return false end
  end
  return true
end

--- Makes an automaton.
---@param tree table
---@param anchored boolean whether it matches from the start of the text only, without a ^ in it
---@return table|nil automaton
---@return orrery.regex.Mistake|nil
function automaton.make(tree, anchored)
  local a = { { true } }
  local good, start = pcall(build, a, tree, 1)
  if not good then
    if type(start) ~= "table" then error(start, 0) end
    return nil, start
  end
  return { states = a, start = start, anchored = anchored or starts(tree), kept = 0, sets = {} }
end

-- ---- simulating ---------------------------------------------------------------------------------

-- What stands on a side of a place: the end of the text, or a character that is part of a word or
-- not.
local END, WORD, OTHER = "e", "w", "o"

local function side_of(code) return set.has(set.WORD, code) and WORD or OTHER end

local HOLDS = {
  start = function(before) return before == END end,
  ["end"] = function(_, behind) return behind == END end,
  edge = function(before, behind) return (before == WORD) ~= (behind == WORD) end,
  inside = function(before, behind) return (before == WORD) == (behind == WORD) end,
}

-- The states with a character to take that are reached without one; true where it has matched.
local function closure(states, from, before, behind)
  local reached, stack, seen = {}, table.move(from, 1, #from, 1, {}), {}
  local n = #stack
  while n > 0 do
    local i = stack[n]
    n = n - 1
    if not seen[i] then
      seen[i] = true
      if i == 1 then return true end
      local state = states[i]
      local first = state[1]
      if first == false then
        stack[n + 1], stack[n + 2] = state[3], state[2]
        n = n + 2
      elseif HOLDS[first] then
        if HOLDS[first](before, behind) then
          n = n + 1
          stack[n] = state[2]
        end
      else
        reached[#reached + 1] = state
      end
    end
  end
  return reached
end

-- The set of states with what stands before it, one of each kind.
local function kept_set(a, list, before)
  table.sort(list)
  local key = before .. table.concat(list, ",")
  local found = a.sets[key]
  if not found then
    found = { list = list, before = before }
    a.sets[key] = found
    a.kept = a.kept + #list
  end
  return found
end

-- A search may begin at each character.
local function first_set(a) return kept_set(a, { a.start }, END) end

-- The set behind a character; true where a match has ended before it, false where none can come.
local function step(a, from, code)
  local reached = closure(a.states, from.list, from.before, side_of(code))
  if reached == true then return true end
  local list, seen = {}, {}
  if not a.anchored then list[1], seen[a.start] = a.start, true end
  for _, state in ipairs(reached) do
    local following = state[2]
    if not seen[following] and set.has(state[1], code) then
      seen[following] = true
      list[#list + 1] = following
    end
  end
  if #list == 0 then return false end
  return kept_set(a, list, side_of(code))
end

local function stepped(a, from, code)
  if a.kept >= MOST_KEPT then
    a.kept, a.sets, a.first = 0, {}, nil
    from = { list = from.list, before = from.before }
  end
  local to = step(a, from, code)
  from[code] = to
  a.kept = a.kept + 1
  return to
end

local function ends(a, at)
  if at.ends == nil then at.ends = closure(a.states, at.list, at.before, END) == true end
  return at.ends
end

-- Bytes that are not UTF-8 count as U+FFFD each.
local function next_code(text, at, byte)
  local length = byte >= 0xF0 and 4 or byte >= 0xE0 and 3 or 2
  if byte < 0xC2 or not utf8.len(text:sub(at, at + length - 1)) then return 0xFFFD, at + 1 end
  return utf8.codepoint(text, at), at + length
end

--- Whether the expression matches somewhere in the text, in time linear in its length.
---@param a table
---@param text string
---@return boolean
function automaton.matches(a, text)
  local state = a.first or first_set(a)
  a.first = state
  local at, last, byte = 1, #text, string.byte
  while at <= last do
    local code = byte(text, at)
    if code < 0x80 then at = at + 1 else code, at = next_code(text, at, code) end
    local following = state[code]
    if following == nil then following = stepped(a, state, code) end
    if following == true then return true end
    if not following then return false end
    state = following
  end
  return ends(a, state)
end

return automaton
