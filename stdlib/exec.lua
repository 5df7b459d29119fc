--- `exec`: runs a program, without a shell unless one is asked for.
local flow = require "orrery"
local uv = require "luv"

-- As many commands at a time as the machine runs, unless the user has said otherwise.
if not flow.pool "exec" then flow.pool("exec", { max = uv.available_parallelism() }) end

local MEGABYTE = 1024 * 1024

-- How much of a failed command's stderr goes into the error: lines into its sentence, bytes into its details.
local TAIL_LINES, TAIL_BYTES = 3, 2000

-- ---- words for messages -----------------------------------------------------------------------------------

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
  text = text:gsub("%s+", " ")
  return #text > 120 and text:sub(1, 117) .. "..." or text
end

local function tail(text)
  local lines = {}
  for line in text:sub(-TAIL_BYTES):gmatch "[^\r\n]+" do
    if line:find "%S" then lines[#lines + 1] = line end
  end
  return table.concat(lines, " | ", math.max(1, #lines - TAIL_LINES + 1))
end

-- Some programs complain on stdout.
local function last_words(result)
  for _, name in ipairs { "stderr", "stdout" } do
    local words = result[name] and tail(result[name]) or ""
    if words ~= "" then return ("; %s ends: %s"):format(name, words) end
  end
  return ""
end

local function fail_status(config, result)
  local how = result.signal and "was ended by " .. result.signal or ("exited with code %d"):format(result.code)
  flow.error {
    code = "exit_status",
    message = ("`%s` %s%s"):format(shown(config), how, last_words(result)),
    details = { code = result.code, signal = result.signal, stderr = result.stderr and result.stderr:sub(-TAIL_BYTES) },
  }
end

-- ---- running ------------------------------------------------------------------------------------------------

local function config_error(message)
  flow.error { code = "config_error", message = "exec: " .. message, retryable = false }
end

local function check_command(config)
  if (config.argv == nil) == (config.shell == nil) then
    return 'give the command either as a list, { "program", "argument", … }, or as shell, one string for /bin/sh'
  end
  if config.argv and #config.argv == 0 then return "argv is empty; its first word is the program", "argv" end
end

-- A command that is cancelled is waited for until it is gone: nothing of it runs on after the node has ended.
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
  flow.error(err or { code = "out_of_memory", message = "there is no memory for the output of the command; lower its limit" })
end

-- What the system is told, by `output`. Of a command without output stderr is still read, for the error it may end in.
local STREAMS = {
  inherit = { stdout = "inherit", stderr = "inherit" },
  none = { stdout = "discard", stderr = "capture", limit = 65536 },
}

local function options_of(config)
  local streams = STREAMS[config.output] or { stdout = "capture", stderr = "capture" }
  return {
    argv = config.argv, shell = config.shell, cwd = config.cwd, env = config.env, clean_env = config.clean_env,
    input = config.stdin, stdout = streams.stdout, stderr = streams.stderr, limit = streams.limit or config.limit,
    grace = config.grace,
  }
end

-- ---- output -------------------------------------------------------------------------------------------------

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
      output_error(config, ("its output is longer than limit = %d bytes, so it is no whole JSON text; raise limit")
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
  doc = [[Runs a program: the program and its arguments as a list, in argv or without a key, and no shell touches them; or
shell, one string for /bin/sh. Outputs { code, stdout, stderr }. output = "lines" makes stdout an array of lines, "json" the decoded value;
"inherit" passes both on to the terminal, "none" drops them. An exit code that is not 0 fails the node with code
"exit_status", unless check = false. env adds to the environment (false removes a variable), clean_env = true starts from an
empty one. Of stdout and stderr `limit` bytes each are kept. A cancelled command gets TERM, all it started
included, and KILL after `grace`.]],
  config = flow.schema {
    argv = "array?", shell = "string?", cwd = "string?", env = "object?",
    clean_env = { type = "boolean", default = false }, stdin = "string?",
    output = { enum = { "text", "lines", "json", "inherit", "none" }, default = "text" },
    limit = { type = "integer", default = 16 * MEGABYTE, min = 0 }, check = { type = "boolean", default = true },
    grace = { type = "duration", default = "2s" },
  },
  positional = "argv[]",
  pool = "exec",
  examples = {
    [[flow.exec { "git", "rev-parse", "HEAD", cwd = "${input.folder}" }]],
    [[flow.exec { shell = "sort names.txt | uniq -c", output = "lines" }]],
  },
  check = check_command,
  run = function(_, config)
    local result = run(options_of(config))
    if config.check and result.code ~= 0 then fail_status(config, result) end
    return output_of(config, result)
  end,
}
