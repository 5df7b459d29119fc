--- Programs that are tests: run with a bound on their time, after which what they have said so far
--- is still there.
local flow = require "orrery"
local uv = require "luv"

local program = {}

local TAIL = 16384 -- bytes of each output that are kept of what has not passed
local LINE = 200   -- bytes of a line in a message

-- The last line of a text that has something in it.
local function last_line(text)
  local line = text:sub(-4096):match "([^\r\n]*%S[^\r\n]*)%s*$"
  return line and line:sub(1, LINE)
end

-- Calls `late` after so many seconds, unless the function that it returns is called before.
local function after(seconds, late)
  if not seconds then return function() end end
  local timer = uv.new_timer()
  timer:start(math.max(1, math.ceil(seconds * 1000)), 0, function() late() end)
  return function()
    if not timer:is_closing() then timer:close() end
  end
end

---@class stdlib.test.Ran
---@field code? integer
---@field signal? string
---@field stdout string
---@field stderr string
---@field late? boolean its time was over
---@field error? { code: string, message: string } it could not be run

--- Runs a program and waits for its end, also where it is cancelled.
---@param config { argv: string[]?, shell: string?, cwd: string?, env: table?, stdin: string?, limit: integer, grace: number? }
---@param env table<string, string> further variables
---@param seconds? number
---@return stdlib.test.Ran
function program.run(config, env, seconds)
  local late, refused = nil, nil
  for name, value in pairs(config.env or {}) do env[name] = value end
  local options = { argv = config.argv, shell = config.shell, cwd = config.cwd, env = env,
    input = config.stdin, stdout = "capture", stderr = "capture", limit = config.limit, grace = config.grace }
  local err, result = flow.await(function(resume)
    local stop = function() end
    local ok, handle = pcall(flow.spawn, options, function(...)
      stop()
      resume(...)
    end)
    if not ok then
      refused = tostring(handle):gsub("^[^:]*:%d+: ", "")
      resume()
      return nil
    end
    stop = after(seconds, function()
      late = true
      handle:terminate()
    end)
    return function()
      stop()
      handle:terminate()
      return true
    end
  end)
  if refused then err = { code = "config_error", message = refused } end
  if not result then
    return { error = { code = err and err.code or "out_of_memory", message = err and err.message
      or "there is no memory for the output of the command" }, stdout = "", stderr = "", late = late }
  end
  return { code = result.code, signal = result.signal, stdout = result.stdout or "",
    stderr = result.stderr or "", late = late }
end

--- How it ended, in words; nil where it did well.
---@param ran stdlib.test.Ran
---@param seconds? number its time
---@return string|nil message
---@return string|nil type
function program.complaint(ran, seconds)
  if ran.error then return ran.error.message, ran.error.code end
  local said = last_line(ran.stderr) or last_line(ran.stdout)
  local end_of_it = said and ": " .. said or ""
  if ran.late then return ("took longer than %gs%s"):format(seconds, end_of_it), "timeout" end
  if ran.signal then return ("was ended by %s%s"):format(ran.signal, end_of_it), "signal" end
  if ran.code ~= 0 then return ("exited with code %d%s"):format(ran.code, end_of_it), "exit_status" end
end

--- The ends of both its outputs.
---@param ran stdlib.test.Ran
---@return string|nil
function program.output(ran)
  local parts = {}
  for _, name in ipairs { "stdout", "stderr" } do
    if ran[name] ~= "" then parts[#parts + 1] = ran[name]:sub(-TAIL) end
  end
  return parts[1] and table.concat(parts, "\n") or nil
end

return program
