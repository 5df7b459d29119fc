--- `data.sort`: rows in order.
local flow = require "orrery"

-- For each name whether it descends.
local function directions(config, by)
  if config.descending == nil then return nil end
  local down, named = {}, {}
  local names = type(config.descending) == "table" and config.descending or {}
  for _, name in ipairs(names) do named[name] = true end
  for i, name in ipairs(by) do down[i] = config.descending == true or named[name] == true end
  return down
end

return flow.type {
  name = "data.sort",
  errors = { "spool_error" },
  doc = "Sorts rows by a field, or a list of fields: missing ones first, then false, true, numbers, and "
    .. "texts by their bytes. descending is true, or a list of those fields that descend. Rows with equal "
    .. "fields stay in their order. What does not fit in 16 MiB of memory lies in a file.",
  config = flow.schema { by = "string|string[]", descending = "boolean|string[]?", rows = "array?",
    memory = { type = "integer", default = 16 * 1024 * 1024, min = 0, doc = "bytes" } },
  positional = "by",
  examples = { [[flow.data.sort { by = "name" }]],
    [[flow.data.sort { rows = "${nodes.people}", by = { "country", "age" }, descending = { "age" } }]] },
  stage = function(config, rows, stage)
    local by, sort_key = type(config.by) == "table" and config.by or { config.by }, flow.rows.sort_key
    local down, sorter, next_chunk = directions(config, by), stage:sorter(config.memory), nil
    return function()
      if not next_chunk then
        for chunk in rows do
          for i = 1, #chunk do sorter:add(sort_key(chunk[i], by, down), chunk[i]) end
        end
        next_chunk = stage.sorted(sorter)
      end
      return (next_chunk())
    end
  end,
}
