--- What to try where a node has failed, and which lines of a traceback are the user's.
local trim = require("orrery.text").trim

local remedies = {}

-- By the error's code.
local REMEDIES = {
  timeout = "raise the node's `timeout`, or find out why it takes so long",
  deadline = "raise the node's `deadline`, or lower its retries",
  heartbeat = "call ctx:progress or ctx:heartbeat more often, or raise the node's `heartbeat`",
  run_timeout = "raise the workflow's `timeout`, or run the slow part on its own with --only",
  validation_error = "correct the input or the output that the sentence names",
  config_error = "correct the node's configuration; `orrery types TYPE` shows what its type takes",
  circuit_open = "wait for the breaker's cooldown, or mend what it protects",
  loop_exhausted = "raise the loop's `max`, or correct its `until`",
  stall = "look at what each blocked node waits for",
  wait_escaped = "wait only inside a handler and not inside a coroutine of a library loaded before Orrery",
  http_status = "look at the answer; `expect` names the statuses to take",
  http_json = "the answer is not JSON: read it as text",
  output_too_large = "write it to a file and return its path, or raise --output-limit (`output_limit` of the "
    .. "runtime)",
  memory_limit = "write what is large to files, or raise --memory-limit (`memory_limit` of the runtime)",
  crash_loop = "find out what ends the process; `orrery retry RUN` then lets it try again",
  nondeterminism = "take the recorded steps again, then `orrery retry RUN --with-current-code`; or let it "
    .. "begin anew: `orrery fork RUN`",
  invalid_output = "return numbers, strings, booleans, arrays and objects only",
  rejected = 'set on_reject = "output" where a rejection is to be a way on',
  signal_timeout = 'send the signal in time with `orrery signal`, raise the wait\'s `timeout`, or set '
    .. 'on_timeout = "continue"',
  each_failed = "raise `each_failures`, or mend the items that failed",
  file_error = "check the path and who may read or write it",
  file_too_large = "raise the node's `max_size`",
  handler_error = "read the lines above, innermost first, and correct the first that is yours",
  exit_status = "run the command by hand, in the same folder; check = false takes any exit code",
  exec_not_found = "install the program, or give its full path",
  exec_permission = "make the program executable",
  exec_too_large = "hand large values over as `stdin`, or by a file",
  exec_cwd = "make the folder that `cwd` names",
}

-- What is nil in Lua is null in what came from JSON.
local OF_NULL = "a null, such as the output of an item that failed, is flow.json.null: compare with it first"

local LINES = 8

--- The lines of an error's traceback that belong to the user: not C, not the engine.
---@param err { traceback: string|nil }
---@return string[]
function remedies.lines(err)
  local lines = {}
  for line in tostring(err.traceback or ""):gmatch("[^\n]+") do
    local text = trim(line)
    local foreign = text == "stack traceback:" or text:find("^%[C%]") or text:find("^%?: in ")
      or text:find("orrery/", 1, true)
      or text:find("stdlib/", 1, true) or text:find("^%.%.%. *%(") or text:find("(...tail calls...)", 1, true)
    if not foreign then lines[#lines + 1] = text end
    if #lines == LINES then break end
  end
  return lines
end

--- What may help against an error; nil where nothing is known.
---@param err { code: string|nil, message: string|nil, retryable: boolean|nil }
---@param attempts integer|nil how many there were
---@return string|nil
function remedies.of(err, attempts)
  local is_null = err.code == "handler_error" and tostring(err.message):find("userdata value", 1, true)
  if is_null then return OF_NULL end
  local remedy = REMEDIES[err.code]
  if not remedy and err.retryable and (attempts or 1) <= 1 then
    remedy = "give the node `retry`: the error may pass"
  end
  return remedy
end

return remedies
