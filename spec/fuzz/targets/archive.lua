-- Archives: any bytes are extracted or refused, in the folder they are extracted to and nowhere
-- else.
local driver = require "spec.fuzz.driver"
local flow = require "orrery"
local uv = require "luv"

local LIMIT = 1 << 20

local base = os.tmpname()
os.remove(base)
assert(uv.fs_mkdir(base, 448))

local function sh(line, ...)
  assert(os.execute("cd " .. base .. " && " .. line:format(...)), line)
end

-- What real programs make of a few files.
local function seeds()
  sh "mkdir -p in/d/e && printf one >in/a && printf twotwo >in/d/e/b && ln -s ../a in/d/l"
  sh "head -c 3000 /dev/zero >in/z"
  sh "tar cf 1 -C in . && tar czf 2 -C in . && tar cJf 3 -C in a d"
  sh "tar cf 4 --format=posix -C in a"
  local list = {}
  for i = 1, 4 do
    local file <close> = io.open(base .. "/" .. i, "rb")
    list[i] = file:read "a"
  end
  flow.now(flow.file.archive { from = base .. "/in", to = base .. "/5.zip" })
  local file <close> = assert(io.open(base .. "/5.zip", "rb"))
  list[5] = file:read "a"
  sh "rm -rf in 1 2 3 4 5.zip"
  return list
end

local function names(folder)
  local list, scan = {}, uv.fs_scandir(folder)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    list[#list + 1] = name
  end
  table.sort(list)
  return table.concat(list, " ")
end

-- Bytes of all regular files, and no link that leads out.
local function measure(folder)
  local bytes, scan = 0, uv.fs_scandir(folder)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    local path = folder .. "/" .. name
    local stat = uv.fs_lstat(path)
    if stat.type == "directory" then bytes = bytes + measure(path)
    elseif stat.type == "link" then
      local target = uv.fs_readlink(path)
      assert(target:sub(1, 1) ~= "/", "a link leads out")
      local real = uv.fs_realpath(path)
      assert(not real or (real .. "/"):find(base .. "/out/", 1, true) == 1, "a link leads out")
    else
      assert(stat.type == "file", "it has made a " .. stat.type)
      bytes = bytes + stat.size
    end
  end
  return bytes
end

local target = {
  words = { "ustar\0", "ustar  \0", "PK\3\4", "PK\1\2", "PK\5\6", "\x1f\x8b\8", "\xfd7zXZ\0",
    "\x28\xb5\x2f\xfd", "../",
    "/etc/x", "\0", ("\0"):rep(512), "././@LongLink", "0000644\0", "77777777777\0", "1", "2", "5",
    "path=", "size=99\n",
    "\xff\xff\xff\xff", "18 path=../../x\n" },
  run = function(bytes)
    local file <close> = assert(io.open(base .. "/file", "wb"))
    file:write(bytes)
    file:close()
    local err, result = flow.await(function(resume)
      flow.archive("extract", { file = base .. "/file", folder = base .. "/out", limit = LIMIT,
        max_entries = 50,
        strip = 0, skip_refused = #bytes % 2 == 0 }, resume)
    end)
    assert(names(base):find "^file *o?u?t?$", "there is something beside the folder: " .. names(base))
    assert(measure(base .. "/out") <= LIMIT, "there is more than the limit")
    if uv.fs_stat(base .. "/out") then sh "chmod -R u+rwx out && rm -rf out" end
    if err then return driver.kind(err) end
    return ("extracts %d, skips %d"):format(math.min(result.entries, 9), math.min(result.skipped, 9))
  end,
}
target.seeds = seeds()
-- The folder goes with the process.
target.folder = setmetatable({}, { __gc = function() os.execute("rm -rf " .. base) end })
return target
