--- Which runs a bulk action is about: called on the slow thread, because it looks at all of them.
local core = require "orrery.core"
local filter = require "orrery.history.filter"
local find = require "orrery.history.find"
local list = require "orrery.history.list"
local owners = require "orrery.history.owners"
local plain_run = require "orrery.history.plain_run"

local chosen = {}

local PAGE, EXAMPLES = 500, 20

-- What an action can be done to: `also` as in `filter.each`; `state` where the filter names none.
local ABOUT = {
  cancel = { also = "unfinished" },
  pause = { also = "unfinished", state = { "pending", "running", "waiting", "compensating" } },
  resume = { also = "unfinished", state = { "paused", "interrupted" } },
  signal = { also = "unfinished" },
  retry = { also = "retryable" },
}

local function examples_of(db, rows)
  local living, made = owners.living(db), {}
  for i = 1, math.min(#rows, EXAMPLES) do
    made[i] = plain_run.of(find.finish(rows[i], living))
    made[i].short = rows[i].short
  end
  return core.json.array(made)
end

local function choose(db, args)
  local about, ids, examples, place = ABOUT[args.action], {}, nil, nil
  if not args.state or #args.state == 0 then args.state = about.state end
  local wanted = filter.chosen_by(db, args)
  wanted[about.also] = true
  if args.workflows then wanted = filter.of_each(wanted, args.workflows) end
  while true do
    local rows = list.page(db, wanted, place, PAGE)
    examples = examples or examples_of(db, rows)
    for _, row in ipairs(rows) do
      if #ids == args.most then return ids, examples, true end
      ids[#ids + 1] = row.id
    end
    if #rows < PAGE then return ids, examples, false end
    place = list.behind(rows[#rows])
  end
end

--- The runs of one moment that a filter chooses and an action can be done to, newest first.
---@param db orrery.Store
---@param args table as for `filter.page`, with `action` and `most`, how many at most
---@return { ids: string, count: integer, examples: table[], more: boolean } ids: one behind the other
function chosen.runs(db, args)
  local ids, examples, more = db:snapshot(choose, db, args)
  return { ids = table.concat(ids), count = #ids, examples = examples, more = more }
end

return chosen
