--- The chosen runs as a tree: those that no chosen run has called, newest first, and under each the
--- ones that it called, oldest first.
local filter = require "orrery.history.filter"
local find = require "orrery.history.find"
local owners = require "orrery.history.owners"

local tree = {}

local PAGE = 500    -- parents whose children are asked for at a time
local CHILDREN = 10 -- of one parent, where not all are asked for

-- Children of a list of parents by the number of the parent.
local function children_of(db, parents, chosen, living)
  local under = {}
  for from = 1, #parents, PAGE do
    chosen.parents = table.move(parents, from, math.min(from + PAGE - 1, #parents), 1, {})
    for _, row in ipairs(db:rows("runs_under", chosen)) do
      local list = under[row.parent] or {}
      list[#list + 1], under[row.parent] = find.finish(row, living), list
    end
  end
  return under
end

-- Every generation is asked for at once: the children of all that the one before has.
local function descendants(db, tops, args)
  local chosen, living, under, generation = filter.chosen_by(db, args), owners.living(db), {}, tops
  if args.limit ~= 0 then chosen.limit = CHILDREN + 1 end
  while #generation > 0 do
    local parents, found = {}, {}
    for i, row in ipairs(generation) do parents[i] = row.number end
    for parent, list in pairs(children_of(db, parents, chosen, living)) do
      if chosen.limit and #list > CHILDREN then list[#list], list.more = nil, true end
      under[parent] = list
      table.move(list, 1, #list, #found + 1, found)
    end
    generation = found
  end
  return under
end

-- A parent before its children, without recursion: a run may be called from any depth.
local function flat(tops, under)
  local rows, open = {}, { { list = tops, at = 0 } }
  while #open > 0 do
    local level = open[#open]
    level.at = level.at + 1
    local row = level.list[level.at]
    if row then
      row.depth = #open - 1
      rows[#rows + 1] = row
      if under[row.number] then open[#open + 1] = { list = under[row.number], at = 0 } end
    else
      if level.list.more then rows[#rows + 1] = { more = true, depth = #open - 1 } end
      open[#open] = nil
    end
  end
  return rows
end

--- Reads the tree. `limit` counts the runs at its top; of the children of a run the first ten are
--- there, all of them where it is 0.
---@param db orrery.Store
---@param args table as for `filter.each`
---@return table[] rows as of `filter.each`, a parent before its children, each with `depth`, 0 at
---  the top; `{ more = true, depth }` stands for further children
function tree.select(db, args)
  local tops = filter.select(db, args, "tops")
  return flat(tops, descendants(db, tops, args))
end

return tree
