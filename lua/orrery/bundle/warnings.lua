--- Warnings about what may go wrong when runs of a workflow are resumed: handlers that assign
--- upvalues, and files that are read while it is loaded.
---
--- An upvalue is a variable from around a handler. After a restart it has the value that the file
--- gives it, not what an earlier node left in it, so a handler that assigns one behaves differently
--- in a resumed run.
local bytecode = require "orrery.bundle.bytecode"
local load_file = require "orrery.definition.load"
local types = require "orrery.definition.type"

-- The functions of a node as they were written, with the key they stand at.
local function functions_of(node, T)
  local list = {}
  local function add(key, fn)
    if type(fn) == "function" then list[#list + 1] = { key = key, fn = fn } end
  end
  if T then
    if not types.is_standard(T) then add("run", T.run) end
  else
    add("run", node.run)
  end
  add("when", node.when)
  add("each", node.each)
  add("pool", node.pool)
  for _, key in ipairs { "fallback", "compensate", "loop" } do
    local value = node[key]
    add(key, value)
    for name, fn in pairs(type(value) == "table" and value or {}) do
      add(name == "until_" and "loop.until" or name == "fn" and key or ("%s.%s"):format(key, name), fn)
    end
  end
  table.sort(list, function(a, b) return a.key < b.key end)
  return list
end

local function warning(node, where, upvalue)
  local file = where.source:match "^@(.*)$" or where.short_src
  return { kind = "assigned_upvalue", node = node.name, field = where.key,
    where = ("%s:%d"):format(file, upvalue.line),
    message = ('node "%s": %s assigns the variable `%s` from outside of it; a resumed run starts with the '
      .. 'value the file gives it, so'
      .. " keep what must survive in the node's output"):format(node.name, where.key, upvalue.name) }
end

-- Files that are read while the workflow is loaded, and are no code.
local function reads(compiled)
  local origin, list = load_file.origin(compiled.workflow), {}
  for _, read in ipairs(origin and origin.reads or {}) do
    list[#list + 1] = { kind = "reads_file", where = read.where or origin.name,
      message = ("reads %s while the workflow is loaded, which is not kept with its runs; a resumed run "
        .. "reads what is there then, so read it in a node, or make it a module and require that")
        :format(read.path) }
  end
  return list
end

--- The warnings about a compiled workflow, in the order of its nodes. A function that several nodes
--- share is reported once.
---@param compiled orrery.Compiled
---@return orrery.Problem[]
return function(compiled)
  local list, seen = reads(compiled), {}
  for _, node in ipairs(compiled.def.nodes) do
    local T = node.type ~= "lua" and types.find(node.type) or nil
    for _, entry in ipairs(functions_of(node, T)) do
      local info = not seen[entry.fn] and debug.getinfo(entry.fn, "S")
      seen[entry.fn] = true
      for _, upvalue in ipairs(info and bytecode.assigned(entry.fn) or {}) do
        list[#list + 1] = warning(node, { source = info.source, short_src = info.short_src, key = entry.key },
          upvalue)
      end
    end
  end
  return list
end
