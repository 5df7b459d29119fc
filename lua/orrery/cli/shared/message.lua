--- Messages to runs: `cancel` and `pause` leave them in the inbox, where the owner of the run finds
--- them within 50 ms.
local out = require "orrery.cli.shared.out"
local owners = require "orrery.history.owners"
local session = require "orrery.cli.shared.session"

local message = {}

---@class orrery.cli.Sent
---@field id string
---@field workflow string
---@field owned boolean whether a process that lives runs it, which will act on it now

--- Leaves a message for each of the runs that have not ended.
---@param db orrery.Store
---@param rows table[] as `filter.select` gives
---@param name string "cancel", "pause" or "resume"
---@param fields? table what the message says
---@return table[] sent those that got it; each with `owned`
---@return table[] ended those that had ended
function message.send(db, rows, name, fields)
  local sent, ended = {}, {}
  local text = fields and require("orrery.core").json.encode(fields) or "{}"
  for _, row in ipairs(rows) do
    if row.ended then
      ended[#ended + 1] = row
    else
      local owner = owners.of(db, row)
      row.owned = owner ~= nil and owner.alive
      db:send(row.id, name, text)
      sent[#sent + 1] = row
    end
  end
  return sent, ended
end

--- What was sent, as JSON.
---@param name string
---@param sent table[]
---@param ended table[]
function message.json(name, sent, ended)
  local json = require("orrery.core").json
  local list, late = {}, {}
  for i, row in ipairs(sent) do list[i] = { id = row.id, workflow = row.workflow, owned = row.owned } end
  for i, row in ipairs(ended) do late[i] = { id = row.id, workflow = row.workflow, state = row.state } end
  session.json { message = name, sent = json.array(list), ended = json.array(late), count = #list }
end

---@class orrery.cli.MessageWords
---@field done string "asked to cancel"
---@field one string of a run that nobody runs: "it is cancelled when"
---@field several string of more of them: "they are cancelled when"

local SHOWN = 20

--- What was sent, in words: a line for each of the first runs, the count where there are several,
--- and what to do about those that no process runs.
---@param words orrery.cli.MessageWords
---@param sent table[]
---@param ended table[]
function message.text(words, sent, ended)
  local term = require "orrery.cli.display.term"
  local idle = {}
  for i, row in ipairs(sent) do
    if i <= SHOWN then out.line(("%s %s (%s)"):format(words.done, row.id, term.clean(row.workflow))) end
    if not row.owned then idle[#idle + 1] = row end
  end
  if #sent > 1 or #ended == 0 and #sent == 0 then
    out.line(("%s: %s"):format(words.done, term.plural(#sent, "run")))
  end
  for _, row in ipairs(ended) do
    session.note(("run %s has ended already: it is %s"):format(row.id, row.state))
  end
  if #idle > 0 then
    local one = #idle == 1 and idle[1]
    session.note(("nobody runs %s now: %s `%s` lets %s go on"):format(
      one and (#sent == 1 and "it" or one.short) or #idle == #sent and "them"
        or term.count(#idle) .. " of them",
      one and words.one or words.several, session.typed("resume " .. (one and one.short or "RUN")),
      one and "it" or "them"))
  end
end

--- Sends the message to the runs that the command line names, and prints what was sent.
---@param db orrery.Store
---@param args table
---@param name string
---@param words orrery.cli.MessageWords
---@param fields? table what the message says
---@return integer exit code
function message.command(db, args, name, words, fields)
  local rows = require("orrery.cli.shared.chosen").meant(db, args, name, "unfinished")
  local sent, ended = message.send(db, rows, name, fields)
  if args.json then message.json(name, sent, ended) else message.text(words, sent, ended) end
  return #ended > 0 and 1 or 0
end

return message
