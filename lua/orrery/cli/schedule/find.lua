--- Which schedule is meant, and its times.
local core = require "orrery.core"
local mistake = require "orrery.history.mistake"
local triggers = require "orrery.definition.triggers"

local find = {}

--- The trigger of a row. Raises what is wrong with it.
---@param row table of the query `schedules`
---@return orrery.Trigger
function find.trigger(row)
  local fields = core.json.decode(row.definition)
  return triggers.read(fields, row.workflow, row.id, function(_, _, message)
    mistake.raise(("schedule %s: %s"):format(row.id, message))
  end)
end

--- The row that an id names, or a workflow that has one.
---@param db orrery.Store
---@param word string|nil
---@return table
function find.one(db, word)
  if not word then mistake.raise "which schedule? Name it; `orrery schedule` lists them" end
  local found, names = {}, {}
  for _, row in ipairs(db:rows("schedules", {})) do
    if row.id == word then return row end
    if row.workflow == word then found[#found + 1] = row end
    names[#names + 1] = row.id
  end
  if #found == 1 then return found[1] end
  if #found > 1 then
    for i, row in ipairs(found) do found[i] = row.id end
    mistake.raise(("workflow '%s' has several: %s; name one"):format(word, table.concat(found, ", ")))
  end
  local near = require "orrery.nearest"(word, names)
  mistake.raise(("there is no schedule '%s'%s"):format(word, near and ("; did you mean '%s'?"):format(near)
    or #names == 0 and ": none is known here before `orrery schedule add`, or before a process runs its workflow"
    or "; there are: " .. table.concat(names, ", ", 1, math.min(#names, 10))))
end

--- The same, of a schedule alone.
---@return table row
---@return orrery.Trigger
function find.schedule(db, word)
  local row = find.one(db, word)
  if row.kind ~= "schedule" then
    mistake.raise(("%s is no schedule but starts runs by %s, which has no times"):format(row.id, row.kind))
  end
  return row, find.trigger(row)
end

--- When it comes next; nil: never.
---@param row table
---@param trigger orrery.Trigger
---@param now number
---@return number|nil
function find.next(row, trigger, now)
  if not trigger.times or row.paused then return nil end
  return trigger.times:next(math.max(now, row.watermark))
end

return find
