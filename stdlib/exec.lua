--- `exec`: runs a program, without a shell unless one is asked for.
local flow = require "orrery"
local uv = require "luv"

-- As many commands at a time as the machine has processors, unless the user declares the pool.
flow.pool("exec", { max = uv.available_parallelism(), default = true })

local MEGABYTE = 1024 * 1024

-- How much of a failed command's output goes into the error: lines of each stream and bytes of a
-- line into its sentence, bytes into its details.
local TAIL_LINES, LINE_BYTES, TAIL_BYTES = 3, 300, 2000

-- A line with one of these words tells of an error; the first is often the cause of those after it.
-- Only so many bytes of a stream are searched.
local ERROR_WORDS = { "error", "fatal", "panic", "exception", "traceback", "failed", "failure", "undefined",
  "cannot", "denied" }
local SEARCHED_BYTES = 1 << 20

-- ---- words for messages -------------------------------------------------------------------------

local function shown_word(word)
  word = tostring(word)
  if word:find "^[%w%%+,%-./:=@_]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- The command as one would type it, on one line and not longer than a line.
local function shown(config)
  local text = config.shell
  if not text then
    local words = {}
    for i, word in ipairs(config.argv) do words[i] = shown_word(word) end
    text = table.concat(words, " ")
  end
  text = flow.masked(text):gsub("%s+", " ") -- before a part is cut off, which would not be known
  return #text > 120 and text:sub(1, 117) .. "..." or text
end

local function shortened(line)
  line = line:gsub("^%s+", ""):sub(1, LINE_BYTES + 1)
  return #line > LINE_BYTES and line:sub(1, LINE_BYTES - 3) .. "..." or line
end

-- The last lines, as a list.
local function tail(text)
  local lines = {}
  for line in text:sub(-TAIL_BYTES):gmatch "[^\r\n]+" do
    if line:find "%S" then lines[#lines + 1] = shortened(line) end
  end
  return table.move(lines, math.max(1, #lines - TAIL_LINES + 1), #lines, 1, {})
end

-- Whether it looks like the report of an error, and not like "0 errors".
local function tells_of_error(line)
  local low = line:sub(1, LINE_BYTES):lower()
  for _, word in ipairs(ERROR_WORDS) do
    local from, to = low:find(word, 1, true)
    if from and not low:sub(1, from - 1):find "%f[%w]n?[o0]%s+$" and (from == 1 or low:find("^%W", from - 1))
      and low:find("^s?%f[%W]", to + 1) then
      return true
    end
  end
  return false
end

local function first_error(text)
  for line in text:sub(1, SEARCHED_BYTES):gmatch "[^\r\n]+" do
    if tells_of_error(line) then return shortened(line) end
  end
end

-- The end of a text, for the details of an error.
local function kept(text)
  return text and text ~= "" and text:sub(-TAIL_BYTES) or nil
end

-- Some programs complain on stdout, and some go on for long after the first error.
local function last_words(result)
  local parts = {}
  for _, name in ipairs { "stderr", "stdout" } do
    local text = result[name] or ""
    local lines, first = tail(text), result.errors and result.errors[name] or first_error(text)
    for _, line in ipairs(lines) do if line == first then first = nil end end
    if first then parts[#parts + 1] = ("; the first error on %s: %s"):format(name, first) end
    if lines[1] then parts[#parts + 1] = ("; %s ends: %s"):format(name, table.concat(lines, " | ")) end
  end
  return table.concat(parts)
end

local function fail_status(config, result)
  result = flow.masked(result)
  local how = result.signal and "was ended by " .. result.signal
    or ("exited with code %d"):format(result.code)
  flow.error {
    code = "exit_status",
    message = ("`%s` %s%s"):format(shown(config), how, last_words(result)),
    details = { code = result.code, signal = result.signal, stdout = kept(result.stdout),
      stderr = result.stderr and result.stderr:sub(-TAIL_BYTES) },
  }
end

-- ---- running ------------------------------------------------------------------------------------

local function config_error(message)
  flow.error { code = "config_error", message = "exec: " .. message, retryable = false }
end

local function check_command(config)
  if (config.argv == nil) == (config.shell == nil) then
    return 'give the command either as a list, { "program", "argument", … }, or as shell, one string for '
      .. '/bin/sh'
  end
  if config.argv and #config.argv == 0 then return "argv is empty; its first word is the program", "argv" end
end

-- A command that is cancelled is waited for until it is gone: nothing of it runs on after the node
-- has ended.
local function run(options)
  local refused
  local err, result = flow.await(function(resume)
    local ok, handle = pcall(flow.spawn, options, resume)
    if not ok then
      refused = tostring(handle):gsub("^[^:]*:%d+: ", "")
      resume()
      return nil
    end
    return function()
      handle:terminate()
      return true
    end
  end)
  if refused then config_error(refused) end
  if result then return result end
  flow.error(err or { code = "out_of_memory",
    message = "there is no memory for the output of the command; lower its limit" })
end

-- ---- streams ------------------------------------------------------------------------------------

-- A line that does not end is logged in pieces.
local LONGEST = 65536

-- Tells lines as they come. Of each stream the first line that looks like an error and the end are
-- kept, for the error that the command may end with.
local Log = {}
Log.__index = Log

-- Who is told the lines of a command; nil where they are not read one by one. On the terminal they
-- are where the command was given secrets, which it may print.
local function teller(ctx, config)
  if config.output == "log" then -- what comes after its attempt has been given up belongs to no run
    return function(name, line) pcall(ctx.log, ctx, "info", line, { stream = name }) end
  end
  if config.output == "inherit" and flow.masked(config) ~= config then
    return function(name, line) io[name]:write(line, "\n"):flush() end
  end
end

local function new_log(tell)
  return tell and setmetatable({ tell = tell, rest = {}, ends = {}, errors = {} }, Log)
end

function Log:line(name, line)
  if line:sub(-1) == "\r" then line = line:sub(1, -2) end
  line = flow.masked(line)
  if not self.errors[name] and tells_of_error(line) then self.errors[name] = shortened(line) end
  self.ends[name] = ((self.ends[name] or "") .. line .. "\n"):sub(-TAIL_BYTES)
  self.tell(name, line)
end

function Log:take(name, text)
  local rest, from = (self.rest[name] or "") .. text, 1
  for at in rest:gmatch "()\n" do
    self:line(name, rest:sub(from, at - 1))
    from = at + 1
  end
  while #rest - from + 1 >= LONGEST do
    self:line(name, rest:sub(from, from + LONGEST - 1))
    from = from + LONGEST
  end
  self.rest[name] = rest:sub(from)
end

-- Also where the command was cancelled: a last line that does not end.
function Log:__close()
  for name, rest in pairs(self.rest) do
    if rest ~= "" then self:line(name, rest) end
  end
  self.rest = {}
end

function Log:finish(result)
  self:__close()
  result.stdout, result.stderr, result.errors = self.ends.stdout, self.ends.stderr, self.errors
end

-- What is done with stdout and stderr, by `output`. With "none" stderr is still read, for the error
-- that the command may end with.
local STREAMS = {
  inherit = { stdout = "inherit", stderr = "inherit" },
  none = { stdout = "discard", stderr = "capture", limit = 65536 },
  log = { stdout = "stream", stderr = "stream" },
}

-- A call inside a handler, with no context of its own, tells nobody.
local function tell_left(ctx, config, n)
  if not (ctx and ctx.log) then return end
  ctx:log("warn", ("`%s` left %s running, which %s ended; detach = true lets them go on")
    :format(shown(config), n == 1 and "a process" or n .. " processes", n == 1 and "was" or "were"))
end

local function options_of(config, log)
  local streams = STREAMS[log and "log" or config.output] or { stdout = "capture", stderr = "capture" }
  return {
    argv = config.argv, shell = config.shell, cwd = config.cwd, env = config.env,
    clean_env = config.clean_env,
    input = config.stdin, stdout = streams.stdout, stderr = streams.stderr,
    limit = streams.limit or config.limit,
    grace = config.grace, detach = config.detach,
    on_chunk = log and function(name, text) log:take(name, text) end,
  }
end

-- ---- output -------------------------------------------------------------------------------------

local function output_error(config, message)
  flow.error { code = "exec_output", retryable = false,
    message = ("`%s`: %s"):format(shown(config), message) }
end

local function lines_of(text)
  local lines = {}
  if text ~= "" and text:sub(-1) ~= "\n" then text = text .. "\n" end
  for line in text:gmatch "(.-)\r?\n" do lines[#lines + 1] = line end
  return flow.json.array(lines)
end

local FORMS = {
  text = function(text) return text end,
  lines = lines_of,
  json = function(text, config, result)
    if result.truncated then
      output_error(config, ("its output is longer than limit = %d bytes, so it is no whole JSON text; raise "
        .. "limit")
        :format(config.limit))
    end
    local ok, value = pcall(flow.json.decode, text)
    if not ok then output_error(config, "its output is not JSON: " .. tostring(value)) end
    return value
  end,
}

local function output_of(config, result)
  local out = { code = result.code, signal = result.signal }
  local form = FORMS[config.output]
  if form then
    out.stdout, out.stderr = form(result.stdout, config, result), result.stderr
    out.truncated, out.dropped = result.truncated, result.dropped
  end
  return out
end

return flow.type {
  name = "exec",
  errors = { "exit_status", "exec_cwd", "exec_not_found", "exec_output", "exec_permission", "exec_system",
    "exec_too_large", "exec_unknown" },
  doc = [[Runs a program: the program and its arguments as a list, in argv or without a key, and no shell touches them; or
shell, one string for /bin/sh. Outputs { code, stdout, stderr }. output = "lines" makes stdout an array of lines, "json" the decoded value;
"inherit" passes both on to the terminal (line by line where it is given secrets, and without these), "log" puts their
lines into the run's log, "none" drops them. An exit code that is not 0 fails the node with code
"exit_status", unless check = false. env adds to the environment (false removes a variable), clean_env = true starts from an
empty one. Of stdout and stderr `limit` bytes each are kept. A cancelled command gets TERM, all it started
included, and KILL after `grace`. What it leaves running is ended as well, unless detach = true. inputs and outputs are
patterns of files that it reads and makes: it is not run again while neither they nor its config have changed, and what it
has made of its outputs is removed where it fails.]],
  config = flow.schema {
    argv = "array?", shell = "string?", cwd = "string?", env = "object?",
    clean_env = { type = "boolean", default = false }, stdin = "string?",
    output = { enum = { "text", "lines", "json", "inherit", "log", "none" }, default = "text" },
    limit = { type = "integer", default = 16 * MEGABYTE, min = 0 },
    check = { type = "boolean", default = true },
    grace = { type = "duration", default = "2s" },
    detach = { type = "boolean", default = false },
    inputs = "string[]?", outputs = "string[]?",
  },
  output = { code = "integer", signal = "any?", stdout = "any?", stderr = "string?", truncated = "any?",
    dropped = "any?" },
  files = { inputs = "inputs", outputs = "outputs", folder = "cwd" },
  positional = "argv[]",
  pool = "exec",
  examples = {
    [[flow.exec { "git", "rev-parse", "HEAD", cwd = "${input.folder}" }]],
    [[flow.exec { shell = "sort names.txt | uniq -c", output = "lines" }]],
    [[flow.exec { "cc", "-c", "a.c", inputs = { "a.c", "include/**" }, outputs = { "a.o" } }]],
  },
  check = check_command,
  run = function(ctx, config)
    local log <close> = new_log(teller(ctx, config))
    local result = run(options_of(config, log))
    if log then log:finish(result) end
    if result.left then tell_left(ctx, config, result.left) end
    if config.check and result.code ~= 0 then fail_status(config, result) end
    return output_of(config, result)
  end,
}
