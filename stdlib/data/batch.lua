--- `data.batch`: rows in lists of so many.
local flow = require "orrery"

return flow.type {
  name = "data.batch",
  doc = "Puts rows together in lists of size rows, the last one shorter, in their order. So a node with "
    .. "each takes many at a time. data.flatten undoes it.",
  config = flow.schema { size = { type = "integer", min = 1, doc = "rows of a list" }, rows = "array?" },
  positional = "size",
  examples = { [[flow.data.batch { rows = "${nodes.people}", size = 100 }]] },
  stage = function(config, rows, stage)
    local batch, ended = flow.json.array {}, false
    return function()
      if ended then return nil end
      local chunk, made = rows(), {}
      stage:columns(false)
      for i = 1, #(chunk or {}) do
        batch[#batch + 1] = chunk[i]
        if #batch == config.size then
          made[#made + 1], batch = batch, flow.json.array {}
        end
      end
      ended = chunk == nil
      if ended and #batch > 0 then made[1] = batch end
      return made
    end
  end,
}
