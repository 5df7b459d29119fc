--- `data.dedupe`: of the rows with one key, one.
local flow = require "orrery"

local function list_of(value) return type(value) == "table" and value or { value } end

local function count_duplicates(stage, n) stage.report.duplicates = (stage.report.duplicates or 0) + n end

-- Rows go on as they come; their keys are kept.
local function first_of_each(config, rows, stage)
  local by, sort_key = list_of(config.by), flow.rows.sort_key
  local seen = flow.rows.keys { memory = config.memory, folder = stage.folder() }
  stage:on_close(function() seen:close() end)
  return function()
    local chunk = rows()
    if not chunk then return nil end
    local kept, n = {}, 0
    for i = 1, #chunk do
      local row = chunk[i]
      if seen:add(sort_key(row, by)) then
        n = n + 1
        kept[n] = row
      end
    end
    count_duplicates(stage, #chunk - n)
    return kept
  end
end

-- Rows are sorted by their keys, and those that stay are sorted by where they stood.
local ORDER = { "at" }

local function best_of_each(config, rows, stage)
  local by, better = list_of(config.by), flow.rows.sort_key
  local value = config.best and list_of(config.best)
  local places, n = stage:sorter(config.memory), 0
  local winner, winner_key, winner_rank

  local function settle()
    if winner then places:add(better(winner, ORDER), winner.row) end
    winner = nil
  end

  local function take(item, key)
    if key ~= winner_key then
      settle()
      winner, winner_key, winner_rank = item, key, value and better(item.row, value)
      return
    end
    count_duplicates(stage, 1)
    local rank = value and better(item.row, value)
    if value and rank <= winner_rank then return end -- of equal ones the first
    winner, winner_rank = item, rank
  end

  local function choose()
    local sorter = stage:sorter(config.memory)
    for chunk in rows do
      for i = 1, #chunk do
        n = n + 1
        sorter:add(better(chunk[i], by), { at = n, row = chunk[i] })
      end
    end
    for items, keys in stage.sorted(sorter) do
      for i = 1, #items do take(items[i], keys[i]) end
    end
    settle()
    sorter:close()
  end

  local next_chunk
  return function()
    if not next_chunk then
      choose()
      next_chunk = stage.sorted(places)
    end
    return (next_chunk())
  end
end

return flow.type {
  name = "data.dedupe",
  errors = { "spool_error" },
  doc = "Keeps of all rows with the same key one: the first, or the last, or with best = FIELD, or a list "
    .. "of fields, the one in which that is the largest. by names the field, or a list of fields, that are "
    .. "the key. Keys are compared exactly, however many there are; what does not fit in 16 MiB of memory "
    .. "lies in a file. The order of the rows stays.",
  config = flow.schema { by = "string|string[]", rows = "array?",
    keep = { enum = { "first", "last", "best" }, default = "first" }, best = "string|string[]?",
    memory = { type = "integer", default = 16 * 1024 * 1024, min = 0, doc = "bytes" } },
  positional = "by",
  check = function(config)
    if (config.keep == "best") ~= (config.best ~= nil) then
      return 'keep = "best" and best = FIELD stand together', "best"
    end
  end,
  examples = { [[flow.data.dedupe { by = "email" }]],
    [[flow.data.dedupe { rows = "${nodes.people}", by = { "name", "city" }, keep = "best", best = "updated" }]] },
  stage = function(config, rows, stage)
    count_duplicates(stage, 0)
    if config.keep == "first" then return first_of_each(config, rows, stage) end
    return best_of_each(config, rows, stage)
  end,
}
