--- Files by patterns, and what is in them: found and read without blocking the loop.
---
--- A pattern is a path. `*` and `?` in it stand for a part of one name, and `**`, as a whole name,
--- for any number of folders. A name that begins with a dot is found only by one that is written
--- so. Behind the first name with a star, links to folders are not followed, so all that a pattern
--- finds lies below the folder before it.
local core = require "orrery.core"
local glob = require "orrery.glob"
local uv = require "luv"

local fileset = {}

-- Requests at a time: libuv has four threads, and others need some. Bytes that are hashed at a
-- time, which takes about a millisecond.
local IN_FLIGHT, SLICE = 8, 256 * 1024

-- A file that was changed less than so many seconds before it was read may be changed again without
-- another time: some file systems have no finer clock.
local UNSURE = 2

---@class orrery.Pattern
---@field text string as it was written
---@field root string "/" or "", which is the folder that it is looked for in
---@field names { text: string?, match: (fun(name: string): boolean)?, deep: boolean?, dotted: boolean? }[]

---@class orrery.FileStat luv's
---@field type string
---@field ino integer
---@field dev integer
---@field size integer
---@field mtime { sec: integer, nsec: integer }
---@field ctime { sec: integer, nsec: integer }

-- ---- patterns -----------------------------------------------------------------------------------

local function name_of(text)
  if text == "**" then return { deep = true } end
  if not text:find "[*?]" then return { text = text } end
  local match, message = glob(text)
  if not match then return nil, message end
  return { match = match, dotted = text:sub(1, 1) == "." }
end

--- Reads a pattern.
---@param text string
---@return orrery.Pattern|nil
---@return string|nil message the rest of a sentence
function fileset.pattern(text)
  if type(text) ~= "string" or text == "" or text:find("\0", 1, true) then
    return nil, 'expected a path or a pattern such as "src/*.c", got ' .. require("orrery.errors").show(text)
  end
  local names, starred = {}, false
  for part in text:gmatch "[^/]+" do
    if part == ".." and starred then
      return nil, ('"%s" goes up again behind a star; write the folder itself'):format(text)
    end
    if part ~= "." then
      local name, message = name_of(part)
      if not name then return nil, message end
      starred = starred or name.text == nil
      names[#names + 1] = name
    end
  end
  if #names == 0 or names[#names].text == ".." or text:sub(-1) == "/" then
    return nil, ('"%s" is a folder; name files, such as "%s"'):format(text, (text:gsub("/*$", "/**")))
  end
  if names[#names].deep then names[#names + 1] = name_of "*" end
  return { text = text, root = text:sub(1, 1) == "/" and "/" or "", names = names }
end

local function join(folder, name)
  if folder == "" or folder:sub(-1) == "/" then return folder .. name end
  return folder .. "/" .. name
end

--- The folder, or file, below which all lies that the pattern finds.
---@param pattern orrery.Pattern
---@return string path
function fileset.base(pattern)
  local path = pattern.root
  for _, name in ipairs(pattern.names) do
    if not name.text then break end
    path = join(path, name.text)
  end
  return path == "" and "." or path
end

-- ---- many at a time -----------------------------------------------------------------------------

-- Calls `start(i, done, send, is_stopped)` for each i up to n, a few at a time, and waits once
-- until all are done. `send` is core.fs, which answers from the loop; nothing else waits for that.
local function together(n, start)
  if n == 0 then return end
  core.await(function(resume)
    local at, under_way, begun, stopped = 0, 0, false, false
    local handles, go_on = {}, nil
    local function is_stopped() return stopped end
    local function done()
      if not begun then return end -- the watchdog has ended it: nobody waits
      under_way = under_way - 1
      go_on()
    end
    local function send(...)
      local args, handle = table.pack(...), nil
      local answer = args[args.n]
      args[args.n] = function(err, result)
        if handle then handles[handle] = nil end
        answer(err, result)
      end
      handle = core.fs(table.unpack(args, 1, args.n))
      handles[handle] = true
      if stopped then handle:unref() end
    end
    function go_on()
      while at < n and under_way < IN_FLIGHT and not stopped do
        at, under_way = at + 1, under_way + 1
        start(at, done, send, is_stopped)
      end
      if under_way == 0 then resume() end
    end
    go_on()
    begun = true
    return function()
      stopped = true
      for handle in pairs(handles) do handle:unref() end
      return under_way > 0
    end
  end)
end

---@class orrery.Search
---@field folder string
---@field at_once boolean whether it may not wait
---@field problem string|nil what could not be read, a sentence
local Search = {}
Search.__index = Search

function Search:full(path)
  return path:sub(1, 1) == "/" and path or join(self.folder, path)
end

function Search:fail(path, err)
  local words = err:match "^%u+: ([^:]*)" or err
  self.problem = self.problem or ("%s cannot be read: %s"):format(path, words)
end

local ABSENT = { ENOENT = true, ENOTDIR = true }

-- Sends one request about each path, and calls `answer(i, result)` where there is one.
function Search:ask(request, paths, answer)
  local function take(i, err, result)
    if not err then return answer(i, result) end
    if not ABSENT[err:match "^%u+"] then self:fail(paths[i], err) end
  end
  if self.at_once then
    for i, path in ipairs(paths) do
      local result, err = uv["fs_" .. request](self:full(path))
      take(i, not result and err or nil, result)
    end
    return
  end
  together(#paths, function(i, done, send)
    send(request, self:full(paths[i]), function(err, result)
      take(i, err, result)
      done()
    end)
  end)
end

-- ---- finding ------------------------------------------------------------------------------------

-- What is in folders: `each(folder, name, kind)`.
function Search:list(folders, each)
  local paths = {}
  for i, folder in ipairs(folders) do paths[i] = folder == "" and "." or folder end
  self:ask("scandir", paths, function(i, listing)
    if self.at_once then
      for name, kind in uv.fs_scandir_next, listing do each(folders[i], name, kind) end
    else
      for _, entry in ipairs(listing) do each(folders[i], entry[1], entry[2]) end
    end
  end)
end

-- Of these paths those that are folders themselves, and no links.
function Search:folders(paths)
  local found = {}
  self:ask("lstat", paths, function(i, stat)
    if stat.type == "directory" then found[#found + 1] = paths[i] end
  end)
  return found
end

function Search:literal(places, name, starred, last)
  local found = {}
  for i, place in ipairs(places) do found[i] = join(place, name.text) end
  return starred and not last and self:folders(found) or found
end

-- Some file systems do not say what a name is; that is asked.
function Search:matching(places, name, _, last)
  local found, unsure = {}, {}
  self:list(places, function(folder, entry, kind)
    if not name.match(entry) or (entry:sub(1, 1) == "." and not name.dotted) then return end
    if last then
      if kind ~= "directory" then found[#found + 1] = join(folder, entry) end
    elseif kind == "directory" then
      found[#found + 1] = join(folder, entry)
    elseif kind == "unknown" then
      unsure[#unsure + 1] = join(folder, entry)
    end
  end)
  return table.move(self:folders(unsure), 1, #unsure, #found + 1, found)
end

-- The folders and all in them.
function Search:deep(places)
  local found, level = table.move(places, 1, #places, 1, {}), places
  local any = { match = function() return true end }
  while #level > 0 do
    level = self:matching(level, any, true, false)
    table.move(level, 1, #level, #found + 1, found)
  end
  return found
end

function Search:expand(pattern)
  local places, starred = { pattern.root }, false
  for i, name in ipairs(pattern.names) do
    local step = name.text and self.literal or name.deep and self.deep or self.matching
    places = step(self, places, name, starred, i == #pattern.names)
    starred = starred or not name.text
  end
  return places
end

---@class orrery.Found
---@field files table<string, orrery.FileStat> by path
---@field problem string|nil why that is not all, a sentence: what cannot be read, or a pattern that finds nothing

--- The files that patterns find. May wait, unless told to do it at once.
---@param patterns orrery.Pattern[]
---@param folder string absolute; where relative ones are looked for
---@param options? { links: boolean?, at_once: boolean? } links: what links lead to is taken for the file
---@return orrery.Found
function fileset.find(patterns, folder, options)
  options = options or {}
  local search = setmetatable({ folder = folder, at_once = options.at_once or false }, Search)
  local files, missing = {}, nil
  for _, pattern in ipairs(patterns) do
    local paths, any = search:expand(pattern), false
    search:ask(options.links and "stat" or "lstat", paths, function(i, stat)
      if stat.type ~= "file" then return end
      files[paths[i]], any = stat, true
    end)
    if not any then missing = missing or ("nothing matches %s"):format(pattern.text) end
  end
  return { files = files, problem = search.problem or missing }
end

-- ---- reading ------------------------------------------------------------------------------------

--- What tells that a file was not touched: its inode, size and times.
---@param stat orrery.FileStat
---@return string
function fileset.signature(stat)
  return ("%d:%d:%d.%d:%d.%d"):format(stat.ino, stat.size, stat.mtime.sec, stat.mtime.nsec, stat.ctime.sec,
    stat.ctime.nsec)
end

local O = uv.constants

-- Reads a file slice by slice and calls `answer(err, hash)`. It is a regular one; where that has
-- changed meanwhile, O_NONBLOCK keeps a thread from waiting for somebody.
local function hash_file(path, send, is_stopped, answer)
  local parts, fd = {}, nil
  local function finish(err)
    send("close", fd, function() answer(err, core.sha256(table.concat(parts))) end)
  end
  local function read(err, data)
    if err or is_stopped() or data == "" then return finish(err or is_stopped() and "ECANCELED" or nil) end
    if data then parts[#parts + 1] = core.sha256(data) end
    send("read", fd, SLICE, -1, read)
  end
  send("open", path, O.O_RDONLY | O.O_NONBLOCK | O.O_NOCTTY, 0, function(err, opened)
    if err then return answer(err) end
    fd = opened
    read()
  end)
end

---@class orrery.Content of a file
---@field [1] string hash of what is in it
---@field [2] string|nil its signature, where an equal one says that the content is the same

--- What is in files. One whose signature is known is not read. May wait.
---@param found orrery.Found
---@param folder string
---@param known fun(path: string, signature: string): string|nil the hash of a file with that signature
---@return table<string, orrery.Content>
---@return integer n how many were read
---@return string|nil problem which could not be read, a sentence
function fileset.contents(found, folder, known)
  local search = setmetatable({ folder = folder }, Search)
  local contents, unread, now = {}, {}, uv.gettimeofday()
  for path, stat in pairs(found.files) do
    local signature = fileset.signature(stat)
    local hash = known(path, signature)
    if hash then contents[path] = { hash, signature }
    else unread[#unread + 1] = path end
  end
  table.sort(unread)
  together(#unread, function(i, done, send, is_stopped)
    local path = unread[i]
    hash_file(search:full(path), send, is_stopped, function(err, hash)
      if err then
        search:fail(path, err)
      else
        local stat = found.files[path]
        local settled = now - math.max(stat.mtime.sec, stat.ctime.sec) >= UNSURE
        contents[path] = { hash, settled and fileset.signature(stat) or nil }
      end
      done()
    end)
  end)
  return contents, #unread, search.problem
end

--- Removes a file at once.
---@param path string
---@param folder string
function fileset.remove(path, folder)
  uv.fs_unlink(Search.full({ folder = folder }, path))
end

return fileset
