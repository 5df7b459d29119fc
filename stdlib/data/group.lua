--- `data.group`: the rows with one key, together.
local flow = require "orrery"

local SIZE = 64 -- groups of a chunk

return flow.type {
  name = "data.group",
  errors = { "spool_error" },
  doc = "Puts rows with the same key together: { KEY…, rows = list }, by the order of their keys; by names "
    .. "the field, or a list of fields. as names the list. What does not fit in 16 MiB of memory lies in a "
    .. "file; one group at a time has to fit.",
  config = flow.schema { by = "string|string[]", as = { type = "string", default = "rows" }, rows = "array?",
    memory = { type = "integer", default = 16 * 1024 * 1024, min = 0, doc = "bytes" } },
  positional = "by",
  examples = { [[flow.data.group { rows = "${nodes.orders}", by = "customer", as = "orders" }]] },
  stage = function(config, rows, stage)
    local by = type(config.by) == "table" and config.by or { config.by }
    local sorter, next_chunk, group, group_key = stage:sorter(config.memory), nil, nil, nil

    local function begin(row)
      group = { [config.as] = flow.json.array {} }
      for _, name in ipairs(by) do group[name] = row[name] end
    end

    -- Adds rows, and hands on the groups that are whole.
    local function take(items, keys, done)
      for i = 1, #items do
        if keys[i] ~= group_key then
          done[#done + 1] = group
          group_key = keys[i]
          begin(items[i])
        end
        local list = group[config.as]
        list[#list + 1] = items[i]
      end
    end

    local function fill()
      for chunk in rows do
        for i = 1, #chunk do sorter:add(flow.rows.sort_key(chunk[i], by), chunk[i]) end
      end
      next_chunk = stage.sorted(sorter)
      local names = table.move(by, 1, #by, 1, {})
      names[#names + 1] = config.as
      stage:columns(names)
    end

    local ended = false
    return function()
      if not next_chunk then fill() end
      local done = {}
      while not ended and #done < SIZE do
        local items, keys = next_chunk()
        if items then take(items, keys, done)
        else
          ended = true
          done[#done + 1] = group
        end
      end
      return #done > 0 and done or nil
    end
  end,
}
