--- Regular expressions of ECMA-262 (with the flag `u`, as JSON Schema has them) whose matching
--- takes linear time, so that no text and no expression of a stranger can hold the loop.
---
--- All of the syntax but: backreferences, lookbehind, and lookahead elsewhere than behind the `^`
--- that begins the expression; `\p{…}` knows the general categories. The automaton of an expression
--- is bounded. What is not known is refused by name when the expression is compiled.
local automaton = require "orrery.schema.regex.automaton"
local parse = require "orrery.schema.regex.parse"

local regex = {}

local MOST_COMPILED = 500

local compiled, count = {}, 0

local function all(conditions)
  return function(text)
    for _, each in ipairs(conditions) do
      if automaton.matches(each.a, text) == each.negated then return false end
    end
    return true
  end
end

local function compile(text)
  local tree, mistake = parse.read(text)
  if not tree then return nil, mistake end
  local main
  main, mistake = automaton.make(tree, false)
  if not main then return nil, mistake end
  local conditions = {}
  for i = 2, tree[1] == "seq" and #tree or 0 do
    local node = tree[i]
    if node[1] == "ahead" then
      local a
      a, mistake = automaton.make(node[2], true)
      if not a then return nil, mistake end
      conditions[#conditions + 1] = { a = a, negated = node[3] }
    end
  end
  if #conditions == 0 then return function(subject) return automaton.matches(main, subject) end end
  conditions[#conditions + 1] = { a = main, negated = false }
  return all(conditions)
end

--- Compiles an expression. Some hundred are kept, so that the same one costs nothing again.
---@param text string
---@return (fun(subject: string): boolean)|nil matches whether it is found somewhere in a text
---@return orrery.regex.Mistake|nil
function regex.compile(text)
  local found = compiled[text]
  if found then return found end
  local made, mistake = compile(text)
  if not made then return nil, mistake end
  if count >= MOST_COMPILED then compiled, count = {}, 0 end
  compiled[text], count = made, count + 1
  return made
end

return regex
