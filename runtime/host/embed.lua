-- embed.lua: turns Lua files into a C array,
-- `lua5.4 embed.lua [--lines] PLAIN FILE... NAME=FILE... >embedded.c`.
--
-- A file of ours takes its module's name from its path: lua/orrery/init.lua is `orrery`,
-- lua/orrery/x/y.lua is `orrery.x.y`, stdlib/file.lua is `orrery.stdlib.file`. Files of others are
-- named outright. Code is compiled here, so that a cold start parses nothing, and without line
-- numbers and local names (a fifth of a cold start) unless --lines asks for them. PLAIN is a Lua
-- file with the names of the modules that stay as they are; all others are compressed by gzip
-- (RFC 1952), which halves them.

local function module_name(path)
  local inside = path:match("^lua/(.*)%.lua$")
  if inside then return (inside:gsub("/init$", ""):gsub("/", ".")) end
  local stdlib = path:match("^stdlib/(.*)%.lua$")
  if stdlib then return "orrery.stdlib." .. stdlib:gsub("/", ".") end
  error(("embed.lua: %s is neither under lua/ nor stdlib/; name it as NAME=FILE"):format(path), 0)
end

local keep_lines = arg[1] == "--lines"
if keep_lines then table.remove(arg, 1) end

local function compile(path)
  local file <close> = assert(io.open(path, "rb"))
  local source = file:read("a"):gsub("^#[^\n]*", "")
  return string.dump(assert(load(source, "@" .. path, "t")), not keep_lines)
end

local function compress(data)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  assert(file:write(data))
  assert(file:close())
  local pipe = assert(io.popen(("gzip -9nc <'%s'"):format(name), "r"))
  local packed = pipe:read "a"
  assert(pipe:close(), "embed.lua: gzip failed")
  os.remove(name)
  return packed
end

-- The bytes as the body of an initialiser. Numbers, because a string literal may not hold so many
-- characters.
local function bytes(data)
  local lines = {}
  for at = 1, #data, 32 do
    lines[#lines + 1] = table.concat({ data:byte(at, math.min(at + 31, #data)) }, ",") .. ","
  end
  return table.concat(lines, "\n")
end

local plain = {}
for _, name in ipairs(dofile(table.remove(arg, 1))) do plain[name] = true end

local modules = {}
for _, argument in ipairs(arg) do
  local name, path = argument:match("^([%w_.]+)=(.+)$")
  path = path or argument
  name = name or module_name(path)
  local code = compile(path)
  modules[#modules + 1] = { name = name, length = #code, code = plain[name] and code or compress(code) }
  plain[name] = nil
end
assert(not next(plain), "embed.lua: there is no module " .. tostring(next(plain)))
table.sort(modules, function(a, b) return a.name < b.name end)

local out = { '/* Made by runtime/host/embed.lua. */\n#include "lua/embedded.h"\n' }
for i, module in ipairs(modules) do
  out[#out + 1] = ("static const unsigned char code_%d[] = {\n%s\n};\n"):format(i, bytes(module.code))
end
out[#out + 1] = "const orr_embedded orr_embedded_modules[] = {\n"
for i, module in ipairs(modules) do
  out[#out + 1] = ('    {"%s", code_%d, sizeof code_%d, %d},\n'):format(module.name, i, i, module.length)
end
out[#out + 1] = ("    {NULL, NULL, 0, 0}};\nconst size_t orr_embedded_count = %d;\n"):format(#modules)
io.write(table.concat(out))
