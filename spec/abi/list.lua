-- The ABI of the library as a short text, from what abidw (Debian's abigail-tools) writes:
--   abidw … liborrery.so | lua5.4 spec/abi/list.lua [OLD]
-- Prints the list; with OLD, a list that was kept, says what of it is gone or has changed, and ends
-- with 1 where a program that was linked before would break. What is only new may be added.
--
-- A line is `function NAME RESULT (PARAMETERS)`, `struct NAME MEMBER OFFSET TYPE` (bits) or
-- `enum NAME CONSTANT VALUE`. Types have their name or, where they have none, their shape. The
-- size of a struct is no part: those that programs fill may grow at their end. One that is passed
-- by value may not (`size NAME BITS`).
local xml = io.read "a"
local types, stack, functions, exported = {}, {}, {}, {}

local function attributes(text)
  local list = {}
  for key, value in text:gmatch "([%w_-]+)='([^']*)'" do list[key] = value end
  return list
end

for closing, tag, text, empty in xml:gmatch "<(/?)([%w-]+)([^>]-)(/?)>" do
  if closing == "/" then
    stack[#stack] = nil
  else
    local node = attributes(text)
    node.tag, node.children = tag, {}
    local parent = stack[#stack]
    if parent then parent.children[#parent.children + 1] = node end
    if node.id and not types[node.id] then types[node.id] = node end
    if tag == "elf-symbol" then exported[node.name] = true end
    -- some are listed twice, and only one of the two names its symbol
    if tag == "function-decl" and exported[node.name] then functions[#functions + 1] = node end
    if empty == "" then stack[#stack + 1] = node end
  end
end

-- What the header defines; what it only names is the library's own.
local public = {}
local header <close> = assert(io.open "runtime/include/orrery.h")
for name in header:read("a"):gmatch "typedef %l+ (orr_[%w_]+) {" do public[name] = true end

local lines, wanted, queue = {}, {}, {}
local name_of

local function parameters(node)
  local list, result = {}, "void"
  for _, child in ipairs(node.children) do
    if child.tag == "parameter" then
      list[#list + 1] = child["is-variadic"] and "..." or name_of(child["type-id"], true)
    elseif child.tag == "return" then
      result = name_of(child["type-id"], true)
    end
  end
  return result, table.concat(list, ", ")
end

local function want(node, name, by_value)
  local key = node.tag .. name
  if not wanted[key] then
    wanted[key] = { node = node, name = name }
    queue[#queue + 1] = wanted[key]
  end
  if by_value and not wanted[key].by_value then
    wanted[key].by_value = true
    lines[#lines + 1] = ("size %s %s"):format(name, node["size-in-bits"])
  end
end

-- A type's name, and what else is to be told of it. `by_value`: it crosses a call as it is.
function name_of(id, by_value, alias)
  local node = types[id]
  local tag = node and node.tag
  if not node then return "?" end
  if tag == "typedef-decl" then
    local aim = types[node["type-id"]]
    if aim.tag == "class-decl" or aim.tag == "enum-decl" then
      name_of(node["type-id"], by_value, node.name)
    end
    if aim.tag == "pointer-type-def" then return name_of(node["type-id"]) end
    return node.name
  elseif tag == "qualified-type-def" then
    return (node.const and "const " or "") .. name_of(node["type-id"], by_value)
  elseif tag == "pointer-type-def" then
    return name_of(node["type-id"]) .. " *"
  elseif tag == "array-type-def" then
    local size = tonumber(node["size-in-bits"])
    return ("%s[%s bits]"):format(name_of(node["type-id"], by_value), size and ("%d"):format(size) or "?")
  elseif tag == "function-type" then
    local result, list = parameters(node)
    return ("%s (%s)"):format(result, list)
  elseif (tag == "class-decl" or tag == "enum-decl") and public[alias or node.name] then
    if #node.children > 0 then want(node, alias or node.name, by_value and tag == "class-decl") end
  end
  return alias or node.name or "?"
end

local told = {}
for _, node in ipairs(functions) do
  local result, list = parameters(node)
  local line = ("function %s %s (%s)"):format(node.name, result, list)
  if not told[line] then lines[#lines + 1] = line end
  told[line] = true
end
for _, one in ipairs(queue) do -- which grows
  for _, child in ipairs(one.node.children) do
    if child.tag == "enumerator" and not child.name:find "_COUNT$" then
      lines[#lines + 1] = ("enum %s %s %s"):format(one.name, child.name, child.value)
    elseif child.tag == "data-member" then
      local member = child.children[1]
      lines[#lines + 1] = ("struct %s %s %s %s"):format(one.name, member.name,
        child["layout-offset-in-bits"], name_of(member["type-id"], wanted[one.node.tag .. one.name].by_value))
    end
  end
end
table.sort(lines)

if not arg[1] then
  print(table.concat(lines, "\n"))
  return
end

local now, code = {}, 0
for _, line in ipairs(lines) do now[line] = true end
for line in io.lines(arg[1]) do
  if not now[line] then
    io.stderr:write("gone or changed: ", line, "\n")
    code = 1
  end
end
if #lines < 300 or not now["struct orr_config size 0 size_t"] then
  io.stderr:write("abidw lists too little: was the library built with -g?\n")
  code = 1
end
os.exit(code)
