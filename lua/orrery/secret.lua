--- Secrets: `flow.secret("TOKEN")` stands for a value that is looked up when it is used: in the
--- environment, in a file, or by a command. Only its name is ever kept. Once a value has been
--- looked up, it is masked (`orrery.mask`) in what nodes output, log, report, emit and fail with,
--- before any of that is stored or shown.
local core = require "orrery.core"
local errors = require "orrery.errors"
local mask = require "orrery.mask"

local secret = {}

local LONGEST = 65536 -- bytes

---@class orrery.Secret parts: texts, and orrery.SecretSource
local Secret = { __name = "orrery.secret", __tostring = function() return mask.SHOWN end }
Secret.__index = Secret

---@class orrery.SecretSource one of
---@field name string|nil a variable of the environment
---@field file string|nil
---@field command string[]|nil a program and its arguments

--- Whether a value stands for a secret.
---@param value any
---@return boolean
function secret.is(value) return getmetatable(value) == Secret end

local function parts_of(value)
  if secret.is(value) then return value.parts end
  if type(value) == "string" or type(value) == "number" then return { tostring(value) } end
  error("a secret is joined to texts, got " .. errors.show(value), 3)
end

function Secret.__concat(a, b)
  local parts = table.move(parts_of(a), 1, #parts_of(a), 1, {})
  return setmetatable({ parts = table.move(parts_of(b), 1, #parts_of(b), #parts + 1, parts) }, Secret)
end

--- Texts and secrets joined.
---@param list (string|orrery.Secret)[]
---@return orrery.Secret
function secret.join(list)
  local joined = setmetatable({ parts = {} }, Secret)
  for _, part in ipairs(list) do joined = joined .. part end
  return joined
end

local function is_command(list)
  if type(list) ~= "table" or #list == 0 or list[1] == "" then return false end
  local n = 0
  for _, word in next, list do
    n = n + 1
    if type(word) ~= "string" or word:find("\0", 1, true) then return false end
  end
  return n == #list
end

local function source_of(from)
  if type(from) == "string" and from ~= "" then return { name = from } end
  if type(from) ~= "table" then return nil end
  for key in next, from do
    if key ~= "file" and key ~= "command" then return nil end
  end
  if from.command == nil then
    return type(from.file) == "string" and from.file ~= "" and { file = from.file } or nil
  end
  if from.file ~= nil or not is_command(from.command) then return nil end
  return { command = table.move(from.command, 1, #from.command, 1, {}) }
end

--- Makes one.
---@param from string|{file: string}|{command: string[]} the variable NAME, or else what NAME_FILE or NAME_COMMAND
--- say; a file; or a command, whose output is the value
---@return orrery.Secret
function secret.new(from)
  local source = source_of(from)
  if source then return setmetatable({ parts = { source } }, Secret) end
  error('flow.secret: expected the name of a variable, { file = "PATH" } or '
    .. '{ command = { "PROGRAM", "ARGUMENT", … } }, got ' .. errors.show(from), 3)
end

-- ---- looking it up ------------------------------------------------------------------------------

local function missing(what, why)
  errors.error { code = "config_error", retryable = false,
    message = ("there is no secret %s: %s"):format(what, why) }
end

local function without_end(text) -- that editors and `echo` put there
  return (text:gsub("\r?\n$", "", 1))
end

local function read(path, what)
  local file, why = io.open(path, "rb")
  local text = file and file:read(LONGEST + 1)
  if file then file:close() end
  if not text then
    missing(what, ("the file %s cannot be read (%s)"):format(path, tostring(why or "it is empty")))
  end
  if #text > LONGEST then missing(what, ("the file %s has more than 64 KiB"):format(path)) end
  return without_end(text)
end

-- ---- commands -----------------------------------------------------------------------------------

local commands = {} -- by their words: { value = … }, or { waiting = { resume, … }, process = … }

local function command_failed(what, why, details)
  errors.error { code = "secret_command", details = details,
    message = ("there is no secret %s: the command %s"):format(what, why) }
end

local function last_line(text)
  local last
  for line in (text or ""):gmatch "[^\r\n]+" do
    if line:find "%S" then last = line end
  end
  return last and ": " .. last:sub(1, 200) or ""
end

-- The value, or nil and why there is none. What it said on stdout may be a part of the secret.
local function judge(err, result)
  if err then return nil, "cannot be run: " .. tostring(err.message) end
  if result.signal then return nil, "was ended by " .. result.signal .. last_line(result.stderr) end
  if result.code ~= 0 then
    return nil, ("exited with code %d%s"):format(result.code, last_line(result.stderr)),
      { code = result.code }
  end
  if result.truncated then return nil, "printed more than 64 KiB" end
  local value = without_end(result.stdout)
  if value == "" then return nil, "printed nothing" end
  return value
end

-- Everybody who asks for it meanwhile waits for the same process; the last who is cancelled ends
-- it. A value is kept as long as the process lives, a failure is not.
local function begin(words, entry)
  entry.waiting = {}
  local function ended(err, result)
    entry.value, entry.why, entry.details = judge(err, result)
    if not entry.value and commands[words] == entry then commands[words] = nil end
    local waiting = entry.waiting
    entry.waiting, entry.process = nil, nil
    for resume in pairs(waiting) do resume() end
  end
  local ok, process = pcall(core.spawn, { argv = entry.argv, limit = LONGEST }, ended)
  if not ok then return ended({ message = process }) end
  entry.process = process
end

local function wait_for(words, entry)
  core.await(function(resume)
    entry.waiting[resume] = true
    return function()
      entry.waiting[resume] = nil
      if next(entry.waiting) == nil then
        commands[words] = nil
        entry.process:terminate()
      end
      return false
    end
  end)
end

local function by_command(argv, what)
  local words = core.json.encode(argv)
  local entry = commands[words]
  if not entry then
    entry = { argv = argv }
    commands[words] = entry
    begin(words, entry)
  end
  if entry.waiting then wait_for(words, entry) end
  if entry.value then return entry.value end
  return command_failed(what, ('"%s" %s'):format(argv[1], entry.why), entry.details)
end

-- ---- sources ------------------------------------------------------------------------------------

-- What NAME_COMMAND holds: words in JSON, so that no shell and no rules of quoting are needed.
local function words_of(text, name)
  local ok, list = pcall(core.json.decode, text)
  if ok and is_command(list) then return list end
  missing(name, ('%s_COMMAND is the program and its arguments as JSON, ["pass", "show", "token"]')
    :format(name))
end

local function by_name(name)
  local value = os.getenv(name)
  if value then return value end
  local path, command = os.getenv(name .. "_FILE"), os.getenv(name .. "_COMMAND")
  if path then return read(path, name) end
  if command then return by_command(words_of(command, name), name) end
  return missing(name, ("set %s in the environment, %s_FILE to a file that holds it, or %s_COMMAND to a "
    .. "command that prints it"):format(name, name, name))
end

--- The value of a source, looked up now, and masked from now on. May wait for a command. Raises
--- `config_error` where there is none, `secret_command` where its command fails. A worker has its
--- own in this place, which asks the loop.
---@param source orrery.SecretSource
---@return string
function secret.look_up(source)
  local value
  if source.file then value = read(source.file, source.file)
  elseif source.command then value = by_command(source.command, ("of `%s`"):format(source.command[1]))
  else value = by_name(source.name) end
  mask.protect(value)
  return value
end

--- The value, looked up now; see `secret.look_up`.
---@return string
function Secret:value()
  local values = {}
  for i, part in ipairs(self.parts) do
    values[i] = type(part) == "string" and part or secret.look_up(part)
  end
  return table.concat(values)
end

-- ---- config -------------------------------------------------------------------------------------

local MOST_LEVELS = 20

local function replaced(value, by, depth)
  if secret.is(value) then return by(value) end
  if type(value) ~= "table" or depth > MOST_LEVELS then return value end
  local meta, copy = getmetatable(value), nil
  if meta ~= nil and meta ~= core.json.array_mt and meta ~= core.json.object_mt then return value end
  for key, inner in next, value do
    local new = replaced(inner, by, depth + 1)
    if new ~= inner then
      copy = copy or {}
      copy[key] = new
    end
  end
  if not copy then return value end
  for key, inner in next, value do
    if copy[key] == nil then copy[key] = inner end
  end
  return setmetatable(copy, meta)
end

--- Config with the values of its secrets. May wait.
---@param config table
---@return table
function secret.resolve(config) return replaced(config, Secret.value, 1) end

--- Config with `•••` for its secrets; the very config where it has none.
---@param config table
---@return table
function secret.shown(config) return replaced(config, function() return mask.SHOWN end, 1) end

return secret
