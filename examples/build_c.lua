-- A build as a workflow: a small C program written to a folder, its files compiled side by side,
-- linked and run. `exec` nodes draw from a pool as wide as the machine. A loop builds the graph,
-- one compile node for each file. Nodes that say what they read and make run only where that has
-- changed, so a second run in the same folder compiles nothing.
--   orrery run examples/build_c.lua --input out=/tmp/program
--   orrery graph examples/build_c.lua -o build.svg
local flow = require "orrery"

local SOURCES = {
  ["math.h"] = "long factorial(int n);\nlong fibonacci(int n);\n",
  ["factorial.c"] = '#include "math.h"\nlong factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); }\n',
  ["fibonacci.c"] = '#include "math.h"\n'
    .. "long fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }\n",
  ["main.c"] = '#include "math.h"\n#include <stdio.h>\n'
    .. 'int main(void) { printf("6! = %ld, fib(20) = %ld\\n", factorial(6), fibonacci(20)); return 0; }\n',
}

local w = flow.workflow {
  name = "build_c",
  input = flow.schema { out = "string?" },
  output = { program = "${nodes.folder}/program", says = "${nodes.run.stdout}" },
}

-- The folder: a new name where none is given, chosen once, so that all nodes use the same.
w.folder = { run = function(ctx)
  if ctx.input.out then return ctx.input.out end
  local uv = require "luv"
  return assert(uv.fs_mkdtemp(uv.os_tmpdir() .. "/build_c-XXXXXX"))
end }

local written, objects = {}, {}
for _, file in ipairs { "math.h", "factorial.c", "fibonacci.c", "main.c" } do
  local name = "write_" .. file:gsub("%.", "_")
  w[name] = flow.file.write { path = "${nodes.folder}/" .. file, content = SOURCES[file], mkdirs = true }
  written[#written + 1] = name
end

for _, unit in ipairs { "factorial", "fibonacci", "main" } do
  w["compile_" .. unit] = flow.exec {
    after = written,
    argv = { "cc", "-O2", "-c", unit .. ".c", "-o", unit .. ".o" },
    cwd = "${nodes.folder}",
    inputs = { unit .. ".c", "*.h" }, outputs = { unit .. ".o" },
  }
  objects[#objects + 1] = "compile_" .. unit
end

w.link = flow.exec {
  after = objects, cwd = "${nodes.folder}",
  argv = { "cc", "factorial.o", "fibonacci.o", "main.o", "-o", "program" },
  inputs = { "*.o" }, outputs = { "program" },
}

w.run = flow.exec { after = "link", argv = { "${nodes.folder}/program" } }

return w
