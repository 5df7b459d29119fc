--- The files that a workflow reads while it is loaded, beside its modules: what `dofile` and
--- `loadfile` run, and what `io.open` and `io.lines` read.
---
--- For as long as a workflow is loaded these four are replaced by functions that do the same and
--- note it. A program that keeps one of them has a function that goes on doing the same.
local core = require "orrery.core"

local files_read = {}

local real = { dofile = dofile, loadfile = loadfile, open = io.open, lines = io.lines }
--- `io.open` as it was: what Orrery itself reads is not noted.
files_read.open = real.open

local noted -- while a workflow is loaded

--- What a file that was run is called among the modules of a bundle.
---@param path string
---@return string
function files_read.name(path) return "file:" .. path end

local function text_at(path)
  local file <close> = real.open(path, "rb")
  return file and file:read "a"
end

-- Without what `loadfile` skips; nil for what is no source text.
local function code_at(path)
  local text = type(path) == "string" and text_at(path)
  if not text or text:byte() == 27 then return nil end
  return (text:gsub("^\xEF\xBB\xBF", "", 1):gsub("^#[^\n]*", "", 1)), text
end

local function note_code(path, text)
  local name = files_read.name(path)
  if noted.seen[name] then return end
  noted.seen[name] = true
  table.insert(noted.code, { name = name, path = path, text = text })
end

local function noting_loadfile(path, mode, ...)
  local code, text = nil, nil
  if noted then code, text = code_at(path) end
  if not code then return real.loadfile(path, mode, ...) end
  note_code(path, text)
  return load(code, "@" .. path, mode, ...)
end

local function noting_dofile(path)
  local code, text = nil, nil
  if noted then code, text = code_at(path) end
  if not code then return real.dofile(path) end
  note_code(path, text)
  local chunk, message = load(code, "@" .. path)
  if not chunk then error(message, 0) end
  return chunk()
end

-- A regular file; what a device or a pipe gives cannot be compared later.
local function note_read(path)
  local stat = type(path) == "string" and require("luv").fs_stat(path)
  if not stat or stat.type ~= "file" or noted.seen[path] then return end
  noted.seen[path] = true
  local info = debug.getinfo(3, "Sl")
  local source = info and info.source:match "^@(.*)$"
  local where = source and ("%s:%d"):format(source, info.currentline) or nil
  table.insert(noted.reads, { path = path, where = where })
end

local function noting_open(path, mode, ...)
  if noted and (mode == nil or type(mode) == "string" and mode:find "^r") then note_read(path) end
  return real.open(path, mode, ...)
end

local function noting_lines(path, ...)
  if noted and path ~= nil then note_read(path) end
  return real.lines(path, ...)
end

local function replace(from, to)
  for _, at in ipairs { { _G, "dofile" }, { _G, "loadfile" }, { io, "open" }, { io, "lines" } } do
    local holder, name = at[1], at[2]
    if rawget(holder, name) == from[name] then rawset(holder, name, to[name]) end
  end
end

local NOTING = { dofile = noting_dofile, loadfile = noting_loadfile, open = noting_open,
  lines = noting_lines }

--- The content of a file, for comparing; nil where it cannot be read.
---@param path string
---@return string|nil SHA-256, hexadecimal
function files_read.hash(path)
  local text = text_at(path)
  return text and core.sha256(text)
end

--- Calls a function and notes what is read meanwhile.
---@generic T
---@param load fun(): T
---@return {code: table[], reads: {path: string, where: string?}[]} read code that was run, as modules are kept; other files
---@return T ... what the function returned
function files_read.during(load)
  local former, own = noted, { code = {}, reads = {}, seen = {} }
  if not former then replace(real, NOTING) end
  noted = own
  local _ <close> = setmetatable({}, { __close = function()
    noted = former
    if not former then replace(NOTING, real) end
  end })
  return own, load()
end

return files_read
