--- The workflows that are served: those of folders and files, looked at again when something there
--- changes. New runs take new code; live ones keep theirs. A file that does not load is kept with
--- its mistakes and disturbs no other.
---
--- A file is first checked by a process of its own: one that never ends, or ends the process, is a
--- file with a mistake.
local core = require "orrery.core"
local errors = require "orrery.errors"
local uv = require "luv"

local folder = {}

---@class orrery.serve.Entry
---@field path string
---@field name string the workflow's, or the file's where it does not load
---@field compiled orrery.Compiled|nil
---@field origin orrery.Origin|nil
---@field problems orrery.Problem[]
---@field warnings orrery.Problem[]
---@field loaded number seconds since the epoch
---@field mark string what its files were

---@class orrery.serve.Workflows
---@field entries table<string, orrery.serve.Entry> by path
---@field by_name table<string, orrery.serve.Entry>
local Workflows = {}
Workflows.__index = Workflows

local CHECK_SECONDS = 30 -- that a file may take to load
local AT_A_TIME = 4

--- Makes the set; nothing is loaded yet.
---@param paths string[] folders and files
---@param say fun(text: string) for the log
---@return orrery.serve.Workflows
function folder.new(paths, say)
  return setmetatable({ paths = paths, say = say, entries = {}, by_name = {}, watches = {} }, Workflows)
end

-- ---- which files --------------------------------------------------------------------------------

local function is_workflow(name)
  return not name:find "^[._]" and name:find "%.lua$" and not name:find "_test%.lua$"
    or name:find "^[^._].*%.json$"
end

local function join(path, name) return (path:gsub("/+$", "")) .. "/" .. name end

local function in_folder(path)
  local names, scan = {}, uv.fs_scandir(path)
  while scan do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then break end
    if kind ~= "directory" and is_workflow(name) then names[#names + 1] = join(path, name) end
  end
  table.sort(names)
  return names
end

local function kind_of(path)
  local stat = uv.fs_stat(path)
  return stat and stat.type
end

function Workflows:files()
  local list, seen = {}, {}
  for _, path in ipairs(self.paths) do
    for _, file in ipairs(kind_of(path) == "directory" and in_folder(path) or { path }) do
      if not seen[file] then list[#list + 1] = file end
      seen[file] = true
    end
  end
  return list
end

-- ---- whether a file is another one now ----------------------------------------------------------

local function hash_of(path) return require("orrery.definition.files_read").hash(path) or "-" end

-- The contents of a file and of what it has loaded and read.
local function mark_of(path, origin)
  local parts = { hash_of(path) }
  for _, module in ipairs(origin and origin.modules or {}) do
    if module.path then parts[#parts + 1] = hash_of(module.path) end
  end
  for _, read in ipairs(origin and origin.reads or {}) do parts[#parts + 1] = hash_of(read.path) end
  return table.concat(parts, " ")
end

-- ---- loading ------------------------------------------------------------------------------------

-- What the process that has checked it says; nil and a sentence where it says nothing.
local function report_of(result)
  local ok, report = pcall(core.json.decode, (result.stdout or ""):match "([^\n]*)\n?$")
  if ok and type(report) == "table" and report.problems then return report end
  return nil, result.late and ("it has not come to its end within %d s of loading"):format(CHECK_SECONDS)
    or ("the process that loaded it ended %s"):format(result.signal and "by " .. result.signal
      or "with exit code " .. tostring(result.code))
end

--- All mistakes of a file and warnings, found by a process of its own. Waits.
---@param path string
---@return orrery.Problem[] problems
---@return orrery.Problem[] warnings
function folder.check(path)
  local result = require("orrery").await(function(resume)
    local timer, late = core.hide(uv.new_timer()), false
    local process = core.spawn({ argv = { uv.exepath(), "check", "--json", "--", path } }, function(err, done)
      timer:close()
      done = done or { stdout = "", code = err and err.message }
      done.late = late
      resume(done)
    end)
    timer:start(CHECK_SECONDS * 1000, 0, function()
      late = true
      process:kill "KILL"
    end)
  end)
  local report, why = report_of(result)
  if report then return report.problems, report.warnings end
  return { { kind = "load_error", message = why } }, {}
end

local function base(path) return path:match "([^/]*)$" end

-- What a file is, without the set: an entry.
local function load_entry(path)
  local entry = { path = path, name = base(path), problems = {}, warnings = {}, loaded = core.time() }
  entry.mark = mark_of(path)
  entry.problems, entry.warnings = folder.check(path)
  if #entry.problems > 0 then return entry end
  local ok, compiled, origin = pcall(require "orrery.bundle.fresh", path)
  if not ok then
    entry.problems = errors.problems_of(compiled) or { { kind = "load_error", message = tostring(compiled) } }
    return entry
  end
  entry.compiled, entry.origin, entry.name = compiled, origin, compiled.name
  entry.mark = mark_of(path, origin)
  return entry
end

local function changed_files(self)
  local list, there = {}, {}
  for _, path in ipairs(self:files()) do
    there[path] = true
    local known = self.entries[path]
    -- what a broken file needs is not known, so it is tried again
    if not known or #known.problems > 0 or known.mark ~= mark_of(path, known.origin) then
      list[#list + 1] = path
    end
  end
  return list, there
end

-- Loads the files, some at a time.
local function load_all(paths)
  local made, next_path, workers = {}, 0, {}
  for i = 1, math.min(AT_A_TIME, #paths) do
    workers[i] = function()
      while next_path < #paths do
        next_path = next_path + 1
        local path = paths[next_path]
        made[path] = load_entry(path)
      end
    end
  end
  if #workers > 0 then core.gather(workers) end
  return made
end

-- A file that others require is a module of theirs, and no workflow that is broken.
local function without_modules(self)
  local modules = {}
  for _, entry in pairs(self.entries) do
    for _, module in ipairs(entry.origin and entry.origin.modules or {}) do
      if module.path then modules[uv.fs_realpath(module.path) or module.path] = true end
    end
  end
  local shown = {}
  for path, entry in pairs(self.entries) do
    if entry.compiled or not modules[uv.fs_realpath(path) or path] then shown[#shown + 1] = entry end
  end
  table.sort(shown, function(a, b) return a.path < b.path end)
  return shown
end

-- The first file that makes a workflow of a name has it.
local function index(self)
  self.by_name, self.shown = {}, without_modules(self)
  for _, entry in ipairs(self.shown) do
    entry.other = nil
    local first = entry.compiled and self.by_name[entry.name]
    if first then entry.other = first.path end
    if entry.compiled and not first then self.by_name[entry.name] = entry end
  end
end

local function tell(self, entry)
  for _, each in ipairs(entry.problems) do
    self.say(("%s: %s"):format(each.where or entry.path, each.message))
  end
  if entry.compiled then self.say(("workflow %s of %s is served"):format(entry.name, entry.path)) end
end

local function is_same(entry, former)
  return former ~= nil and entry.mark == former.mark and #entry.problems > 0 and #former.problems > 0
    and errors.sentences(entry.problems) == errors.sentences(former.problems)
end

-- Takes what was loaded; the paths of what is another now.
local function take(self, made)
  local changed = {}
  for path, entry in pairs(made) do
    local former = self.entries[path]
    -- one that breaks is shown with its mistakes; the code that was served until now still is
    if not entry.compiled and former and former.compiled then
      entry.compiled, entry.origin, entry.name = former.compiled, former.origin, former.name
      entry.loaded = former.loaded
    end
    if not is_same(entry, former) then changed[#changed + 1] = path end
    self.entries[path] = entry
  end
  return changed
end

--- Looks at the files and loads those that have changed. Waits. A second call meanwhile waits for
--- the first, and looks once more.
---@return string[] changed paths
function Workflows:scan()
  while self.scanning do require("orrery").sleep(0.02) end
  self.scanning = true
  local _ <close> = setmetatable({}, { __close = function() self.scanning = false end })
  local files, there = changed_files(self)
  local changed = take(self, load_all(files))
  for path in pairs(self.entries) do
    if not there[path] then
      self.entries[path] = nil
      changed[#changed + 1] = path
    end
  end
  index(self)
  table.sort(changed)
  for _, path in ipairs(changed) do
    if self.entries[path] then tell(self, self.entries[path]) end
  end
  if self.on_change and #changed > 0 then self.on_change(changed) end
  return changed
end

-- ---- what is there ------------------------------------------------------------------------------

--- The workflow of that name as it is served now; nil: there is none.
---@param name string
---@return orrery.serve.Entry|nil
function Workflows:get(name) return self.by_name[name] end

--- All files with workflows, also those that do not load, by path.
---@return orrery.serve.Entry[]
function Workflows:list() return self.shown or {} end

--- How many are served, and how many files have mistakes.
---@return integer served
---@return integer broken
function Workflows:count()
  local served, broken = 0, 0
  for _ in pairs(self.by_name) do served = served + 1 end
  for _, entry in ipairs(self:list()) do
    if #entry.problems > 0 or entry.other then broken = broken + 1 end
  end
  return served, broken
end

-- ---- watching -----------------------------------------------------------------------------------

-- Folders of files that are named, the folders themselves, and those of modules.
local function places(self)
  local list = {}
  for _, path in ipairs(self.paths) do
    list[kind_of(path) == "directory" and path or path:match "^(.*)/[^/]*$" or "."] = true
  end
  for _, entry in pairs(self.entries) do
    for _, module in ipairs(entry.origin and entry.origin.modules or {}) do
      if module.path then list[module.path:match "^(.*)/[^/]*$" or "."] = true end
    end
  end
  return list
end

--- Calls `notice` when something changes in the folders. May be called again, when modules came.
---@param notice fun()
function Workflows:watch(notice)
  for path in pairs(places(self)) do
    if not self.watches[path] then
      local handle = core.hide(uv.new_fs_event())
      local function look(_, name)
        if not name or name:find "%.lua$" or name:find "%.json$" then notice() end
      end
      if handle:start(path, {}, look) == 0 then
        self.watches[path] = handle
      else
        handle:close()
        self.say(("the folder %s cannot be watched; SIGHUP has its files looked at again"):format(path))
        self.watches[path] = false
      end
    end
  end
end

--- Watches no more.
function Workflows:close()
  for _, handle in pairs(self.watches) do
    if handle and not handle:is_closing() then handle:close() end
  end
  self.watches = {}
end

return folder
