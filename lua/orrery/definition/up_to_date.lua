--- Nodes whose type says which files they read and make: one is not run where nothing has changed
--- since it completed last, and leaves no half-made files where it fails.
---
--- What is known of a node stands in the table `cache`, under a hash over its type, its folder and
--- its resolved config:
---
---   { inputs = { { path, hash, signature? }, … }, outputs = as inputs, output = what it output }
---
--- `inputs` are as they were before the command began: a file that is also an output, or that
--- somebody changes meanwhile, makes it run once more, until it leaves it as it was. Where the
--- node has a `cache` key as well, its outputs stand under that key and the content of its inputs,
--- and the first entry only tells which files need not be read again.
local core = require "orrery.core"
local fileset = require "orrery.fileset"

local up_to_date = {}

---@class orrery.FileKeys which keys of the config name files: `{ inputs = "inputs", outputs = "outputs", folder = "cwd" }`
---@field inputs string|nil
---@field outputs string|nil
---@field folder string|nil

---@class orrery.Files
---@field folder string absolute
---@field inputs orrery.Pattern[]
---@field outputs orrery.Pattern[]

local LISTS = { "inputs", "outputs" }

-- ---- what the config says -----------------------------------------------------------------------

--- Whether a node's config, as written, names files.
---@param keys orrery.FileKeys
---@param config table
---@return boolean
function up_to_date.concerns(keys, config)
  for _, list in ipairs(LISTS) do
    if keys[list] and config[keys[list]] ~= nil then return true end
  end
  return false
end

--- Says what is wrong with patterns that have no templates.
---@param keys orrery.FileKeys
---@param config table
---@param say fun(field: string, message: string)
function up_to_date.check(keys, config, say)
  for _, list in ipairs(LISTS) do
    local given = config[keys[list]]
    for _, text in ipairs(type(given) == "table" and given or {}) do
      if type(text) ~= "string" or not text:find("${", 1, true) then
        local _, message = fileset.pattern(text)
        if message then say(keys[list], ("%s: %s"):format(keys[list], message)) end
      end
    end
  end
end

local function absolute(path)
  local cwd = require("luv").cwd()
  if not path or path == "" then return cwd end
  return path:sub(1, 1) == "/" and path or cwd .. "/" .. path
end

--- The files that resolved config names, or nil where it names none. Raises `config_error`.
---@param T orrery.NodeType
---@param config table
---@return orrery.Files|nil
function up_to_date.files(T, config)
  local keys = T.files
  if not up_to_date.concerns(keys, config) then return nil end
  local files = { folder = absolute(keys.folder and config[keys.folder]) }
  for _, list in ipairs(LISTS) do
    files[list] = {}
    for i, text in ipairs(keys[list] and config[keys[list]] or {}) do
      local pattern, message = fileset.pattern(text)
      if not pattern then
        require("orrery.errors").error { code = "config_error", retryable = false,
          message = ("%s: %s: %s"):format(T.name, keys[list], message) }
      end
      files[list][i] = pattern
    end
  end
  return files
end

-- ---- what has changed ---------------------------------------------------------------------------

-- Why two sets of files are not the same, by the first path that tells; nil where they are.
local function difference(before, now)
  local first, how
  local function note(path, text)
    if not first or path < first then first, how = path, text end
  end
  for path, content in pairs(now) do
    local was = before[path]
    if not was then note(path, "is new")
    elseif was[1] ~= content[1] then note(path, "has changed") end
  end
  for path in pairs(before) do
    if not now[path] then note(path, "is gone") end
  end
  return first and first .. " " .. how
end

-- What was read of a file with the same signature before.
local function memory_of(record)
  return function(path, signature)
    for _, list in ipairs(LISTS) do
      local content = record[list] and record[list][path]
      if content and content[2] == signature then return content[1] end
    end
  end
end

local function look(patterns, folder, record)
  local found = fileset.find(patterns, folder, { links = true })
  local contents, read, problem = fileset.contents(found, folder, memory_of(record))
  return { contents = contents, read = read, problem = found.problem or problem }
end

-- A hash over the names and contents of files.
local function digest(contents)
  local lines = {}
  for path, content in pairs(contents) do lines[#lines + 1] = content[1] .. path end
  table.sort(lines)
  return core.sha256(table.concat(lines, "\0"))
end

-- ---- what is left of a failure ------------------------------------------------------------------

-- The files themselves, whatever names lead to them.
local function identities(found, into)
  for _, stat in pairs(found.files) do into[stat.dev .. ":" .. stat.ino] = true end
  return into
end

-- Removes the files among the outputs that this attempt has created or changed. No input is
-- removed, by whatever name it is called, and nothing that is no regular file.
local function remove_made(files, before, at_once)
  local options = { links = true, at_once = at_once }
  local inputs = identities(fileset.find(files.inputs, files.folder, options), before.inputs)
  local now = fileset.find(files.outputs, files.folder, { at_once = at_once })
  for path, stat in pairs(now.files) do
    local was = before.outputs.files[path]
    local made = not was or fileset.signature(was) ~= fileset.signature(stat)
    if made and not inputs[stat.dev .. ":" .. stat.ino] then fileset.remove(path, files.folder) end
  end
end

-- Calls work() and looks at what it has made. Where that fails or is cancelled, what was made by
-- then is removed; where there is no time to wait for that any more, without waiting.
local function guarded(files, work)
  local before = {
    inputs = identities(fileset.find(files.inputs, files.folder, { links = true }), {}),
    outputs = fileset.find(files.outputs, files.folder),
  }
  local done = false
  local _ <close> = setmetatable({}, { __close = function()
    if not done and not pcall(remove_made, files, before) then remove_made(files, before, true) end
  end })
  local value = core.settled(work())
  local outputs = look(files.outputs, files.folder, {})
  done = true
  return value, outputs
end

-- ---- running ------------------------------------------------------------------------------------

---@class orrery.UpToDate
---@field ctx orrery.Context
---@field type string
---@field files orrery.Files
---@field config string|nil as text; nil: it may not be kept, and `reason` says why
---@field reason string|nil
---@field key string|nil of the `cache` key
---@field ttl number|nil seconds
---@field note fun(reason: string|nil) is told that it does not run, or why it does
---@field warn fun(message: string)
---@field work fun(): any
---@field pack fun(output: any): any
---@field unpack fun(packed: any): any

local function identity(given)
  local parts = { given.key and "files" or "up to date", given.type, given.files.folder, given.config }
  for i, part in ipairs(parts) do parts[i] = #part .. ":" .. part end
  return core.sha256(table.concat(parts, ","))
end

-- Why it has to run, or nil. `kept` is what its outputs are compared with.
local function verdict(given, record, kept, inputs, outputs)
  if inputs.problem or outputs.problem then return inputs.problem or outputs.problem end
  if not kept then return record.reason end
  if not given.key then
    local changed = difference(kept.inputs, inputs.contents)
    if changed then return changed end
  end
  return difference(kept.outputs, outputs.contents)
end

-- Lists, because a name that is no UTF-8 is no key in JSON.
local function stored(contents)
  local list = core.json.array {}
  for path, content in pairs(contents) do list[#list + 1] = { path, content[1], content[2] } end
  return list
end

local function by_path(list)
  local contents = {}
  for _, entry in ipairs(list) do contents[entry[1]] = { entry[2], entry[3] } end
  return contents
end

local function put(given, key, record, ttl)
  core.cache_put(given.ctx, key, given.type,
    { inputs = stored(record.inputs), outputs = stored(record.outputs), output = record.output }, ttl)
end

local function fetch(ctx, key)
  local found, value = core.cache_get(ctx, key)
  if not found then return nil, value end
  return { inputs = by_path(value.inputs), outputs = by_path(value.outputs), output = value.output }
end

local function run_and_keep(given, key, own, inputs)
  local files = given.files
  local value, outputs = guarded(files, given.work)
  if inputs.problem or outputs.problem then
    given.warn((inputs.problem or outputs.problem) .. ", so it is never up to date")
    return value
  end
  local kept = { inputs = inputs.contents, outputs = outputs.contents, output = given.pack(value) }
  put(given, own or key, kept, given.ttl)
  if own then put(given, key, { inputs = kept.inputs, outputs = kept.outputs }) end
  return value
end

--- The output of a node: what it output last, where its files and all that it is given are as they
--- were then, else by calling `work()`. May wait.
---@param given orrery.UpToDate
---@return any
function up_to_date.through(given)
  local files, ctx = given.files, given.ctx
  if not given.config then
    given.note(given.reason)
    return (guarded(files, given.work))
  end
  local key = identity(given)
  local record, reason = fetch(ctx, key)
  local known = record or { reason = reason }
  local inputs = look(files.inputs, files.folder, known)
  local outputs = look(files.outputs, files.folder, known)
  local own = given.key and core.sha256(given.key .. digest(inputs.contents))
  local kept = record
  if own then
    kept, known.reason = fetch(ctx, own)
  end
  reason = verdict(given, known, kept, inputs, outputs)
  given.note(reason)
  if reason then return run_and_keep(given, key, own, inputs) end
  if inputs.read + outputs.read > 0 then -- their signatures are known now
    put(given, key, { inputs = inputs.contents, outputs = outputs.contents,
      output = record and record.output })
  end
  return given.unpack(kept.output)
end

return up_to_date
