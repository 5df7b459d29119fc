--- What the commands that look at a store have in common: opening it, ending with a sentence,
--- advice, printing JSON.
local out = require "orrery.cli.shared.out"
local session = {}

-- The metatable of what `session.stop` raises.
local Stop = { __tostring = function(stop) return stop.message end }

--- Ends the command with a sentence on the standard error.
---@param code integer exit code: 1 failure, 2 what was asked for is wrong or not there
---@param message string
function session.stop(code, message) error(setmetatable({ code = code, message = message }, Stop), 0) end

--- Ends the command where the first value is nil; gives it otherwise.
---@generic T
---@param value T|nil
---@param message string|nil
---@return T
function session.need(value, message)
  if value == nil then session.stop(2, message) end
  return value
end

--- A word of a command as a shell wants it.
---@param word string
---@return string
function session.word(word)
  if word:find "^[%w_./:@%%+=,-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local suffix = "" -- of commands that are advised: the store of this one, where the command line named it

--- Remembers the store that the command line named, for advice.
---@param args { store: string|nil }
function session.advise_for(args) suffix = args.store and " --store " .. session.word(args.store) or "" end

--- A command to type next, with the same store.
---@param words string such as "resume 0193f0e2"; what a user has named goes through `session.word`
---@return string
function session.typed(words)
  return require("orrery.cli.display.printable").line("orrery " .. words .. suffix)
end

--- For `session.command`: the command only lists, whatever its arguments.
---@return boolean
function session.lists() return true end

local function complain(name, message) out.err("orrery ", name, ": ", message, "\n") end

--- Says something beside the result, on the standard error.
---@param text string
function session.note(text) out.err(text, "\n") end

-- What is neither a Stop, nor a mistake of the user's, nor a Ctrl-C is an error of the store, a
-- sentence, or a bug, which keeps its traceback.
local function caught(problem)
  if getmetatable(problem) == Stop then return problem end
  if require("orrery.history.mistake").is(problem) then return { code = 2, message = problem.message } end
  local text = tostring(problem)
  if text:find "interrupted!$" then return { code = 130, message = "interrupted" } end
  if text:find "^[^\n]-%.lua:%d+: " or text:find "^%[string " then text = debug.traceback(text, 2) end
  return { code = 1, message = text }
end

--- Calls `body`; what it raises is printed as a sentence.
---@param name string of the command, for messages
---@param body fun(...): integer|nil
---@return integer exit code
function session.guard(name, body, ...)
  local ok, result = xpcall(body, caught, ...)
  if ok then return result or 0 end
  complain(name, result.message)
  return result.code
end

--- Makes the function `main(args)` of a command that looks at a store.
---@param name string of the command, for messages
---@param body fun(db: orrery.Store, args: table): integer|nil exit code, 0 where it is nil
---@param lists? fun(args: table): boolean whether it only lists: where there is no store yet, there
---  is simply nothing
---@return fun(args: table): integer
function session.command(name, body, lists)
  return function(args)
    local store = require "orrery.store.open"
    local url, named = store.nearest(args)
    session.advise_for(args)
    local db, problem = store.look(url)
    if not db then
      complain(name, problem.message)
      if problem.absent and not named and lists and lists(args) then return 0 end
      return problem.usage and 2 or 1
    end
    local projected, why = pcall(db.project, db)
    if not projected then complain(name, "what was recorded last may be missing here: " .. tostring(why)) end
    local code = session.guard(name, body, db, args)
    db:close()
    return code
  end
end

--- Seconds since the epoch, now.
---@return number
function session.now() return require("orrery.core").time() end

--- Prints a value as one line of JSON. False where the reader of the output has gone.
---@param value any
---@return boolean
function session.json(value)
  local text = require("orrery.cli.display.printable").encode(require("orrery.core").json.encode, value)
  return out.write(text, "\n") ~= nil
end

--- Columns for people, and a function that colours.
---@return integer|nil width nil: no terminal, as wide as it gets
---@return fun(style: string, text: string): string
function session.screen()
  local term = require "orrery.cli.display.term"
  local tty = term.is_tty(out.fd)
  local paint = term.painter(term.wants_colour(tty))
  if not tty then return nil, paint end
  local size, close = require("orrery.cli.display.live").size_of(out.fd)
  local width = size()
  close()
  return width, paint
end

--- Writes a table for people.
---@param titles string[]
---@param rows table[] as of `orrery.cli.display.columns`
function session.table(titles, rows)
  local width, paint = session.screen()
  local lines = require("orrery.cli.display.columns").draw(titles, rows, { width = width, paint = paint })
  out.write(table.concat(lines, "\n"), "\n")
end

return session
