--- What the commands that look at a store have in common: opening it, ending with a sentence, times, JSON of what is stored.
local history = {}

-- The metatable of what `history.stop` raises.
local Stop = { __tostring = function(stop) return stop.message end }

--- Ends the command with a sentence on the standard error.
---@param code integer exit code: 1 failure, 2 what was asked for is wrong or not there
---@param message string
function history.stop(code, message) error(setmetatable({ code = code, message = message }, Stop), 0) end

--- Ends the command where the first value is nil; gives it otherwise.
---@generic T
---@param value T|nil
---@param message string|nil
---@return T
function history.need(value, message)
  if value == nil then history.stop(2, message) end
  return value
end

--- A word of a command as a shell wants it.
---@param word string
---@return string
function history.word(word)
  if word:find "^[%w_./:@%%+=,-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local suffix = "" -- of commands that are advised: the store of this one, where the command line named it

--- Remembers the store that the command line named, for advice.
---@param args { store: string|nil }
function history.advise_for(args) suffix = args.store and " --store " .. history.word(args.store) or "" end

--- A command to type next, with the same store.
---@param words string such as "resume 0193f0e2"; what a user has named goes through `history.word`
---@return string
function history.typed(words) return "orrery " .. words .. suffix end

--- For `history.command`: the command only lists, whatever its arguments.
---@return boolean
function history.lists() return true end

local function complain(name, message) io.stderr:write("orrery ", name, ": ", message, "\n") end

--- Says something beside the result, on the standard error.
---@param text string
function history.note(text) io.stderr:write(text, "\n") end

-- What is not a Stop is a sentence of the store, or a mistake of ours, which keeps its traceback.
local function caught(problem)
  if getmetatable(problem) == Stop then return problem end
  local text = tostring(problem)
  if text:find "^[^\n]-%.lua:%d+: " or text:find "^%[string " then text = debug.traceback(text, 2) end
  return { code = 1, message = text }
end

--- Calls `body`; what it raises is said in a sentence.
---@param name string of the command, for messages
---@param body fun(...): integer|nil
---@return integer exit code
function history.guard(name, body, ...)
  local ok, result = xpcall(body, caught, ...)
  if ok then return result or 0 end
  complain(name, result.message)
  return result.code
end

--- Makes the function `main(args)` of a command that looks at a store.
---@param name string of the command, for messages
---@param body fun(db: orrery.Store, args: table): integer|nil exit code, 0 where it is nil
---@param lists? fun(args: table): boolean whether it only lists: where there is no store yet, there is simply nothing
---@return fun(args: table): integer
function history.command(name, body, lists)
  return function(args)
    local store = require "orrery.store"
    local url, named = store.url(args)
    history.advise_for(args)
    local db, problem = store.look(url)
    if not db then
      complain(name, problem.message)
      if problem.absent and not named and lists and lists(args) then return 0 end
      return problem.usage and 2 or 1
    end
    local projected, why = pcall(db.project, db)
    if not projected then complain(name, "what was recorded last may be missing here: " .. tostring(why)) end
    local code = history.guard(name, body, db, args)
    db:close()
    return code
  end
end

--- Seconds since the epoch, now.
---@return number
function history.now() return require("orrery.core").time() end

--- A time for people, in this machine's zone.
---@param seconds number|nil since the epoch
---@return string
function history.time(seconds)
  return seconds and os.date("%Y-%m-%d %H:%M:%S", math.floor(seconds)) --[[@as string]] or ""
end

--- The time of day, with milliseconds.
---@param seconds number|nil since the epoch
---@return string
function history.clock(seconds)
  if not seconds then return "" end
  local ms = math.floor(seconds * 1000 + 0.5)
  return os.date("%H:%M:%S", ms // 1000) .. (".%03d"):format(ms % 1000)
end

--- A column that holds JSON, as a value; what is no JSON stands for itself.
---@param text string|nil
---@return any
function history.value(text)
  if text == nil then return nil end
  local ok, value = pcall(require("orrery.core").json.decode, text, { binary = true })
  if ok then return value end
  return text
end

--- Prints a value as one line of JSON. False: whoever read them has gone.
---@param value any
---@return boolean
function history.json(value)
  local text = require("orrery.cli.printable").encode(require("orrery.core").json.encode, value)
  return io.stdout:write(text, "\n") ~= nil
end

--- Columns for people, and a function that colours.
---@return integer|nil width nil: no terminal, as wide as it gets
---@return fun(style: string, text: string): string
function history.screen()
  local term = require "orrery.cli.term"
  local tty = term.is_tty(1)
  local paint = term.painter(term.wants_colour(tty))
  if not tty then return nil, paint end
  local size, close = require("orrery.cli.live").size_of(1)
  local width = size()
  close()
  return width, paint
end

local STYLES = {
  completed = "green", compensated = "green", failed = "red", compensation_failed = "red", cancelled = "yellow",
  paused = "yellow", waiting = "cyan", running = "cyan", compensating = "cyan", retrying = "yellow", skipped = "dim", pending = "dim",
  interrupted = "yellow",
}

--- The colour of a state.
---@param state string
---@return string|nil
function history.style(state) return STYLES[state] end

--- "a=b c=d", in the order of the names.
---@param labels string|nil JSON object
---@return string
function history.labels(labels)
  local value, parts = history.value(labels), {}
  if type(value) ~= "table" then return "" end
  for name, label in pairs(value) do
    parts[#parts + 1] = name .. "=" .. (type(label) == "table" and require("orrery.core").json.encode(label) or tostring(label))
  end
  table.sort(parts)
  return table.concat(parts, " ")
end

-- How many letters two texts share from the start.
local function common(a, b)
  local n = math.min(#a, #b)
  for i = 1, n do
    if a:byte(i) ~= b:byte(i) then return i - 1 end
  end
  return n
end

local SHORTEST = 8

--- The shortest beginning of an id that no other run has.
---@param id string
---@param before string|nil the id before it in the order of ids
---@param after string|nil
---@return string
function history.short(id, before, after)
  local n = SHORTEST
  if before then n = math.max(n, common(id, before) + 1) end
  if after then n = math.max(n, common(id, after) + 1) end
  if id:sub(n, n) == "-" then n = n + 1 end
  return id:sub(1, n)
end

--- A run as plain data: what every command with --json calls a run.
---@param row table of `runs`
---@return table
function history.run(row)
  return {
    id = row.id, workflow = row.workflow, state = row.state, created = row.created, started = row.started, ended = row.ended,
    labels = history.value(row.labels) or require("orrery.core").json.object(), context = history.value(row.context), key = row.key,
    parent = row.parent_id, durability = row.durability, nodes = row.nodes, completed = row.completed, failed = row.failed,
    skipped = row.skipped, cancelled = row.cancelled, running = row.running, waiting = row.waiting, owned = row.owned,
    error = history.value(row.error),
  }
end

-- States of runs that need a process.
local ACTIVE = { pending = true, running = true, compensating = true }

--- States of nodes that need a process: without one, their attempt was cut off.
history.INTERRUPTED = { running = true, compensating = true }

--- The state of a run as a person is told it: what was under way when its process ended is `interrupted`.
---@param run { state: string, owned: boolean|nil }
---@return string
function history.state(run) return run.owned == false and ACTIVE[run.state] and "interrupted" or run.state end

--- The ids of the owners that live, as far as can be seen from here.
---@param db orrery.Store
---@return table<integer, true>
function history.living(db)
  local living, alive = {}, require("orrery.retention").alive
  for row in db:each "SELECT id, pid, host, ended, lost FROM owners WHERE ended IS NULL AND lost = 0" do
    if alive(row) then living[row.id] = true end
  end
  return living
end

--- The process that runs a run, and whether it lives as far as can be seen from here: a process of another machine is taken to.
---@param db orrery.Store
---@param row { owner?: integer }
---@return { pid: integer, host?: string, command?: string, started: number, alive: boolean }|nil
function history.owner(db, row)
  if not row.owner then return nil end
  local owner = db:query("SELECT pid, host, command, started, lost, ended FROM owners WHERE id = ?", row.owner)[1]
  if owner then owner.alive = require("orrery.retention").alive(owner) end
  return owner
end

return history
