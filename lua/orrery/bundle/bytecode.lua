--- Which upvalues a function assigns and which workflows it calls, read from its bytecode as
--- string.dump gives it.
---
--- The layout is that of Lua 5.4 (ldump.c and lopcodes.h describe it); code of another version is
--- not looked at. A function inside the function assigns the outer one's upvalue where its own is
--- bound to that; where it is bound to a local variable of the outer one, nothing is kept from one
--- call to the next.
local bytecode = {}

-- signature, version 5.4, the official format, and bytes that show a corrupt file
local HEADER = "\27Lua\x54\0\x19\x93\r\n\x1a\n"
local LOADK, GETUPVAL, SETUPVAL, SELF = 3, 9, 10, 20
local INTEGER, FLOAT, SHORT_STRING, LONG_STRING = 0x03, 0x13, 0x04, 0x14
local ABSOLUTE = -128 -- in the list of differences between lines: look in the list of absolute lines

---@class orrery.Chunk what reads a dump
---@field text string
---@field at integer

-- Seven bits a byte, the most significant first; the last byte has its eighth set.
local function read_size(c)
  local value = 0
  while true do
    local byte = c.text:byte(c.at)
    c.at = c.at + 1
    value = value << 7 | byte & 0x7f
    if byte & 0x80 ~= 0 then return value end
  end
end

local function read_string(c)
  local size = read_size(c)
  if size == 0 then return nil end
  local text = c.text:sub(c.at, c.at + size - 2)
  c.at = c.at + size - 1
  return text
end

local function read_code(c)
  local code = {}
  for i = 1, read_size(c) do
    code[i] = string.unpack("<I4", c.text, c.at)
    c.at = c.at + 4
  end
  return code
end

-- The strings among the constants, by their places from 0.
local function read_strings(c)
  local strings = {}
  for i = 0, read_size(c) - 1 do
    local kind = c.text:byte(c.at)
    c.at = c.at + 1
    if kind == INTEGER or kind == FLOAT then
      c.at = c.at + 8
    elseif kind == SHORT_STRING or kind == LONG_STRING then
      strings[i] = read_string(c)
    end
  end
  return strings
end

local function read_upvalues(c)
  local list = {}
  for i = 1, read_size(c) do
    local in_stack, index = c.text:byte(c.at, c.at + 1)
    list[i] = { is_local = in_stack == 1, index = index + 1 }
    c.at = c.at + 3
  end
  return list
end

-- The line of each instruction: the one before and a difference, or, now and then, the line itself.
local function read_lines(c, first)
  local steps, absolute, lines = {}, {}, {}
  for i = 1, read_size(c) do
    steps[i] = string.unpack("b", c.text, c.at)
    c.at = c.at + 1
  end
  for _ = 1, read_size(c) do
    local pc = read_size(c)
    absolute[pc + 1] = read_size(c)
  end
  local line = first
  for i, step in ipairs(steps) do
    line = step == ABSOLUTE and absolute[i] or line + step
    lines[i] = line
  end
  return lines
end

local function read_function(c)
  read_string(c)
  local f = { line = read_size(c), inner = {} }
  read_size(c) -- the last line
  c.at = c.at + 3 -- parameters, varargs, stack
  f.code = read_code(c)
  f.strings = read_strings(c)
  f.upvalues = read_upvalues(c)
  for i = 1, read_size(c) do f.inner[i] = read_function(c) end
  f.lines = read_lines(c, f.line)
  for _ = 1, read_size(c) do -- local variables
    read_string(c)
    read_size(c)
    read_size(c)
  end
  for _ = 1, read_size(c) do read_string(c) end
  return f
end

-- Calls `found(index, line)` for each assignment to the function's upvalues, in the order of the
-- code.
local function walk(f, found)
  for pc, instruction in ipairs(f.code) do
    if instruction & 0x7f == SETUPVAL then found((instruction >> 16 & 0xff) + 1, f.lines[pc]) end
  end
  for _, inner in ipairs(f.inner) do
    walk(inner, function(index, line)
      local upvalue = inner.upvalues[index]
      if not upvalue.is_local then found(upvalue.index, line) end
    end)
  end
end

-- The function's code; nil for a C function, and for code of another version of Lua.
local function read(fn)
  local ok, dump = pcall(string.dump, fn)
  if not ok or dump:sub(1, #HEADER) ~= HEADER or string.pack("I4", 1) ~= "\1\0\0\0" then return nil end
  -- after the header: three sizes (4, 8, 8 bytes), an integer and a float to compare with, the
  -- number of upvalues
  if dump:sub(#HEADER + 1, #HEADER + 3) ~= "\4\8\8" then return nil end
  return read_function({ text = dump, at = #HEADER + 3 + 16 + 2 })
end

-- ---- what is assigned ---------------------------------------------------------------------------

--- The upvalues that a function assigns, itself or through functions inside it.
---@param fn function
---@return {name: string, line: integer}[] each once, with the first line where it is assigned; none for a C function, and
--- for code without line numbers
function bytecode.assigned(fn)
  local read_of, list, seen = read(fn), {}, {}
  if not read_of then return list end
  walk(read_of, function(index, line)
    local name = debug.getupvalue(fn, index)
    if seen[index] or not line or not name or name == "(no name)" then return end
    seen[index] = true
    list[#list + 1] = { name = name, line = line }
  end)
  table.sort(list, function(a, b) return a.line < b.line or a.line == b.line and a.name < b.name end)
  return list
end

-- ---- what is called -----------------------------------------------------------------------------

-- An upvalue of an inner function as the outermost knows it: `false, index` for an upvalue of that,
-- `true, register` for a local variable of it; nil for what a function between them has.
local function outermost(f, index)
  while f.outer do
    local upvalue = f.upvalues[index]
    if not upvalue then return nil end
    if upvalue.is_local then
      if f.outer.outer then return nil end
      return true, upvalue.index - 1
    end
    f, index = f.outer, upvalue.index
  end
  return false, index
end

local function fields_of(instruction)
  return instruction & 0x7f, instruction >> 7 & 0xff, instruction >> 16 & 0xff, instruction >> 24
end

-- Whether the object of a call is the first parameter of the outermost function.
local function is_first_parameter(f, pc, register)
  if not f.outer then return register == 0 end
  local op, into, index = fields_of(f.code[pc - 1] or 0)
  if op ~= GETUPVAL or into ~= register then return false end
  local is_local, at = outermost(f, index + 1)
  return is_local == true and at == 0
end

-- The first argument of the call whose function is fetched at pc, where it is a string that is
-- written there, or an upvalue of `fn`.
local function argument(fn, f, pc, register)
  local instruction = f.code[pc + 1] or 0
  local op, into, index = fields_of(instruction)
  if into ~= register then return nil end
  if op == LOADK then return f.strings[instruction >> 15] end
  if op ~= GETUPVAL then return nil end
  local is_local, at = outermost(f, index + 1)
  if is_local ~= false then return nil end
  local _, value = debug.getupvalue(fn, at)
  return value
end

--- The values that a function, itself or in functions inside it, gives first to a method of its
--- first parameter, `ctx:call("child.lua")`: strings that are written there, and upvalues.
---@param fn function
---@param method string
---@return {value: any, line: integer|nil}[] in the order of the code; none for a C function
function bytecode.calls(fn, method)
  local list = {}
  local function visit(f)
    for pc, instruction in ipairs(f.code) do
      local op, into, object, key = fields_of(instruction)
      local is_named = op == SELF and instruction >> 15 & 1 == 1 and f.strings[key] == method
      if is_named and is_first_parameter(f, pc, object) then
        local value = argument(fn, f, pc, into + 2)
        if value ~= nil then list[#list + 1] = { value = value, line = f.lines[pc] } end
      end
    end
    for _, inner in ipairs(f.inner) do
      inner.outer = f
      visit(inner)
    end
  end
  local outer = read(fn)
  if outer then visit(outer) end
  return list
end

return bytecode
