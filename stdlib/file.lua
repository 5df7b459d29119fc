--- `file.read`, `file.write`, `file.list`: files, without blocking the loop.
local flow = require "orrery"
local uv = require "luv"

-- Runs one of luv's fs functions and waits for its callback. A cancelled wait asks libuv to drop the request and
-- stays until the callback has come, because the request is in use until then; a file that was opened all the
-- same is closed, since nobody will.
local function fs(name, ...)
  local args = table.pack(...)
  return flow.await(function(resume)
    local cancelled = false
    args[args.n + 1] = function(err, result)
      if cancelled and name == "open" and result then uv.fs_close(result) end
      resume(err, result)
    end
    local request, message = uv["fs_" .. name](table.unpack(args, 1, args.n + 1))
    if not request then
      resume(message)
      return nil
    end
    return function()
      cancelled = true
      uv.cancel(request)
      return true
    end
  end)
end

-- "ENOENT: no such file or directory: notes.txt" as code and words.
local function fail(what, path, message)
  local errno, words = tostring(message):match "^(%u+): ([^:]*)"
  flow.error {
    code = "file_error", message = ("cannot %s %s: %s"):format(what, path, words or tostring(message)),
    details = { path = path, errno = errno },
  }
end

local function must(what, path, err, ...)
  if err then fail(what, path, err) end
  return ...
end

-- ---- file.read ------------------------------------------------------------------------------------------

local CHUNK = 1024 * 1024

local function read_all(fd, path, limit)
  local parts, size = {}, 0
  while true do
    local data = must("read", path, fs("read", fd, CHUNK, -1))
    if data == "" then return table.concat(parts) end
    size = size + #data
    if size > limit then
      flow.error { code = "file_too_large", retryable = false, details = { path = path, limit = limit },
        message = ("%s is larger than %d bytes; raise max_size to read it"):format(path, limit) }
    end
    parts[#parts + 1] = data
  end
end

-- Closes without a wait: closing a file that was only read does not block, and it must also happen when the
-- handler is being cancelled.
local function closing(fd)
  return setmetatable({}, { __close = function() uv.fs_close(fd) end })
end

local function lines_of(text)
  local lines = {}
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch "(.-)\r?\n" do lines[#lines + 1] = line end
  if text == "" then lines = {} end
  return flow.json.array(lines)
end

local FORMS = {
  text = function(text) return text end,
  lines = lines_of,
  json = function(text, path) return flow.json.decode(text, { name = path }) end,
}

flow.type {
  name = "file.read",
  doc = 'Reads a file. as = "text" outputs its bytes as a string, "lines" an array of lines, "json" the decoded value.',
  config = flow.schema {
    path = "string",
    as = { enum = { "text", "lines", "json" }, default = "text" },
    max_size = { type = "integer", default = 64 * CHUNK, min = 1 },
  },
  positional = "path",
  examples = { [[flow.file.read { path = "/etc/hostname" }]], [[flow.file.read { path = "conf.json", as = "json" }]] },
  run = function(_, config)
    local fd = must("open", config.path, fs("open", config.path, "r", 0))
    local _ <close> = closing(fd)
    return FORMS[config.as](read_all(fd, config.path, config.max_size), config.path)
  end,
}

-- ---- file.write -----------------------------------------------------------------------------------------

local function parent_of(path)
  return path:match "^(.*)/[^/]+/*$"
end

local function make_folders(path)
  if not path or path == "" then return end
  local err = fs("mkdir", path, 493) -- 0755
  if not err or err:find "^EEXIST" then return end
  if not err:find "^ENOENT" then fail("create the folder", path, err) end
  make_folders(parent_of(path))
  err = fs("mkdir", path, 493)
  if err and not err:find "^EEXIST" then fail("create the folder", path, err) end
end

local function write_all(fd, path, data)
  local at = 1
  while at <= #data do
    local written = must("write", path, fs("write", fd, data:sub(at, at + CHUNK - 1), -1))
    at = at + written
  end
end

-- A name beside the file, so that the rename stays on one file system. The process and a counter make it unique.
local temporary = 0
local function temporary_name(path)
  temporary = temporary + 1
  return ("%s.%d-%d.tmp"):format(path, uv.os_getpid(), temporary)
end

-- The new content is written beside the file, flushed and renamed over it: whoever reads sees the old file or the new
-- one, never a part. A symbolic link keeps pointing where it did, and the file keeps its mode.
local function replace(path, data)
  local err, target = fs("realpath", path)
  if err then target = path end
  local stat_err, stat = fs("stat", target)
  local mode = not stat_err and stat.mode & 4095 or 420 -- 07777; 0644
  local beside = temporary_name(target)
  local fd = must("write", path, fs("open", beside, "wx", mode))
  local renamed = false
  local _ <close> = setmetatable({}, { __close = function()
    if fd then uv.fs_close(fd) end
    if not renamed then uv.fs_unlink(beside) end
  end })
  write_all(fd, path, data)
  must("flush", path, fs("fsync", fd))
  if not stat_err then must("write", path, fs("fchmod", fd, mode)) end
  must("write", path, fs("rename", beside, target))
  renamed = true
end

local function append(path, data)
  local fd = must("open", path, fs("open", path, "a", 420))
  local _ <close> = closing(fd)
  write_all(fd, path, data)
end

local function json_of(content, path)
  local ok, text = pcall(flow.json.encode, content, { indent = 2 })
  if ok then return text .. "\n" end
  flow.error { code = "invalid_content", retryable = false, details = { path = path },
    message = ("cannot write %s: as JSON, %s"):format(path, (tostring(text):gsub("^value", "content"))) }
end

flow.type {
  name = "file.write",
  doc = "Writes a file at once: readers see the old content or the new, never a part. What is not a string is written as "
    .. 'JSON; what JSON cannot hold fails with code "invalid_content". mkdirs = true makes missing folders; append = true '
    .. "adds to the end instead. Outputs { path, bytes }.",
  config = flow.schema {
    path = "string", content = "any", append = { type = "boolean", default = false }, mkdirs = { type = "boolean", default = false },
  },
  examples = { [[flow.file.write { path = "out/report.json", content = "${nodes.report}", mkdirs = true }]] },
  run = function(_, config)
    local path, data = config.path, config.content
    if type(data) ~= "string" then data = json_of(data, path) end
    if config.mkdirs then make_folders(parent_of(path)) end
    if config.append then append(path, data) else replace(path, data) end
    return { path = path, bytes = #data }
  end,
}

-- ---- file.list ------------------------------------------------------------------------------------------

-- A shell pattern for one name as a Lua pattern: * and ? as in a shell, the rest literal.
local function glob(pattern)
  return "^" .. pattern:gsub("[^%w_*?]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

local TYPES = { file = "file", directory = "directory", link = "link" }

local function join(folder, name)
  return folder:sub(-1) == "/" and folder .. name or folder .. "/" .. name
end

-- What is asked of the system at a time: enough to keep libuv's threads busy, few enough not to keep others from them.
local IN_FLIGHT = 64

local function is_hidden(config, name)
  return not config.hidden and name:sub(1, 1) == "."
end

local function wanted(config, match, item)
  return (config.kind == "any" or config.kind == item.type) and (not match or item.name:find(match) ~= nil)
end

---@class stdlib.file.Item a name in a folder, or the folder that is listed
---@field path string
---@field name string
---@field type string|nil what the folder says of it; some file systems say nothing
---@field entry table|nil as it is output
---@field items stdlib.file.Item[]|nil where it is a folder that was read

---@class stdlib.file.Walk
---@field todo any[] requests to come, in pairs: "scandir" or "lstat", and the item
local Walk = {}
Walk.__index = Walk

function Walk:ask(request, item)
  local n = #self.todo
  self.todo[n + 1], self.todo[n + 2] = request, item
end

function Walk:descend(item)
  if item.type == "directory" and self.config.recursive then self:ask("scandir", item) end
end

-- Most names need no look of their own: the folder says what they are.
function Walk.scandir(self, folder, request)
  local items = {}
  while true do
    local name, kind = uv.fs_scandir_next(request)
    if not name then break end
    if not is_hidden(self.config, name) then
      items[#items + 1] = { path = join(folder.path, name), name = name, type = kind ~= "unknown" and (TYPES[kind] or "other") or nil }
    end
  end
  table.sort(items, function(a, b) return a.name < b.name end)
  for _, item in ipairs(items) do
    if not item.type or wanted(self.config, self.match, item) then self:ask("lstat", item) end
    self:descend(item)
  end
  folder.items = items
end

function Walk.lstat(self, item, stat)
  local said = item.type
  item.type = TYPES[stat.type] or "other"
  if not said then self:descend(item) end
  if not wanted(self.config, self.match, item) then return end
  item.entry = { path = item.path, name = item.name, type = item.type, size = stat.size,
    modified = stat.mtime.sec + stat.mtime.nsec / 1e9 }
end

function Walk:may_skip(err)
  return self.config.on_denied == "skip" and (err:find "^EACCES" or err:find "^EPERM") ~= nil
end

-- Entries come and go while a folder is read; one that is gone is not listed.
function Walk:answer(request, item, err, result)
  if not err then
    Walk[request](self, item, result)
  elseif item == self.root or not (err:find "^ENOENT" or self:may_skip(err)) then
    self.failed, self.failed_at = err, item.path
  end
end

-- One wait for the whole walk: a wait for each name would cost several times what the system takes to answer.
function Walk:run()
  flow.await(function(resume)
    local under_way, going = 0, false
    local function go_on()
      if going then return end -- a request that was refused answers at once
      going = true
      while #self.todo > 0 and under_way < IN_FLIGHT and not self.failed do
        local item, request = table.remove(self.todo), table.remove(self.todo)
        under_way = under_way + 1
        local function answered(err, result)
          under_way = under_way - 1
          if not self.failed then self:answer(request, item, err, result) end
          go_on()
        end
        local sent, message = uv["fs_" .. request](item.path, answered)
        if not sent then answered(message) end
      end
      going = false
      if under_way == 0 then resume() end
    end
    go_on()
    return function()
      self.failed = "cancelled"
      return under_way > 0
    end
  end)
  if self.failed then fail("list", self.failed_at, self.failed) end
end

local function flatten(folder, found)
  for _, item in ipairs(folder.items or {}) do
    if item.entry then found[#found + 1] = item.entry end
    flatten(item, found)
  end
  return found
end

local list = flow.type {
  name = "file.list",
  doc = "Lists a folder, with recursive = true also those inside it (links are not followed), as an array of { path, name, type, "
    .. "size, modified } in the order of the names. pattern chooses names (*.txt), kind what is listed, hidden = true also "
    .. "names that begin with a dot. What it is not allowed to read inside the folder fails the node, and is left out with "
    .. "on_denied = \"skip\"; the folder itself must be readable.",
  config = flow.schema {
    path = { type = "string", default = "." },
    pattern = "string?",
    recursive = { type = "boolean", default = false },
    kind = { enum = { "file", "directory", "link", "any" }, default = "file" },
    hidden = { type = "boolean", default = false },
    on_denied = { enum = { "fail", "skip" }, default = "fail" },
  },
  positional = "path",
  examples = { [[flow.file.list { path = "/usr/share/common-licenses", pattern = "GPL*" }]] },
  run = function(_, config)
    local root = { path = config.path, name = "", type = "directory" }
    local walk = setmetatable({ config = config, match = config.pattern and glob(config.pattern), root = root,
      todo = { "scandir", root } }, Walk)
    walk:run()
    return flow.json.array(flatten(root, {}))
  end,
}

return list
