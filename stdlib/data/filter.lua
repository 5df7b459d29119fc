--- `data.filter`: the rows for which an expression holds.
local flow = require "orrery"

local null = flow.json.null

-- Goes on with the rows from `i`; a row on which the expression fails is left to the caller.
local function keep(chunk, test, ctx, kept, refused, at)
  for i = at.i, #chunk do
    at.i = i
    local row = chunk[i]
    local value = test(ctx, row)
    if value and value ~= null then kept[#kept + 1] = row
    else refused[#refused + 1] = row end
  end
  at.i = #chunk + 1
end

return flow.type {
  name = "data.filter",
  errors = { "file_error" },
  doc = "Keeps the rows for which an expression holds, where = \"row.age >= 18\". The others are rejected: "
    .. "counted, and with rejects, a file or true, kept with the reason. So is a row on which the "
    .. "expression fails.",
  config = flow.schema { where = "any", rows = "array?", rejects = "string|boolean?" },
  expressions = { where = "row" },
  positional = "where",
  examples = {
    [[flow.data.filter { "row.age >= 18 and row.country == 'DE'" }]],
    [[flow.data.filter { rows = "${nodes.people}", where = "row.age >= input.least", rejects = true }]],
  },
  stage = function(config, rows, stage)
    local test = config.where
    if type(test) ~= "function" then
      local value = test
      test = function() return value end
    end
    return function()
      local chunk = rows()
      if not chunk then return nil end
      local kept, at = {}, { i = 1 }
      while at.i <= #chunk do
        local refused = {}
        local ok, e = pcall(keep, chunk, test, stage.ctx, kept, refused, at)
        for _, row in ipairs(refused) do stage:reject(row, "the condition does not hold") end
        if not ok then
          if type(e) ~= "table" or e.code ~= "config_error" then error(e, 0) end
          stage:reject(chunk[at.i], e.message)
          at.i = at.i + 1
        end
      end
      return kept
    end
  end,
}
