-- pack.lua: turns the files of the page into a Lua module, `lua5.4 pack.lua plain|packed FILE...
-- >MODULE.lua`.
--
-- The module is a table by the files' names: of `plain` their texts, of `packed` { body, etag },
-- the body compressed by gzip (RFC 1952, with neither name nor time, so that the same text gives
-- the same bytes) for whoever takes it so.

local how = table.remove(arg, 1)

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function output_of(line)
  local pipe <close> = assert(io.popen(line, "r"))
  return pipe:read "a"
end

local function packed(path)
  local body = output_of(("gzip -9nc <'%s'"):format(path))
  assert(body:sub(1, 2) == "\31\139", "pack.lua: gzip failed")
  return ("{ body = %q, etag = %q }"):format(body, output_of(("sha256sum <'%s'"):format(path)):sub(1, 32))
end

io.write "return {\n"
for _, path in ipairs(arg) do
  local value = how == "packed" and packed(path) or ("%q"):format(read(path))
  io.write(("[%q] = %s,\n"):format(path:match "[^/]+$", value))
end
io.write "}\n"
