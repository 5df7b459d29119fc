-- A node type of one's own: a module that returns it. Its config is checked against the schema
-- before a run starts.
local flow = require "orrery"

return flow.type {
  name = "text.words",
  doc = "Counts the words of a text. The output has the number of words, of different ones, and the most "
    .. "frequent.",
  config = flow.schema { text = "string", least = "integer?" },
  run = function(_, config)
    local counts, total, different, best = {}, 0, 0, nil
    for word in config.text:lower():gmatch("%a+") do
      if #word >= (config.least or 1) then
        total = total + 1
        if not counts[word] then different = different + 1 end
        counts[word] = (counts[word] or 0) + 1
      end
    end
    for word, n in pairs(counts) do
      if not best or n > counts[best] or (n == counts[best] and word < best) then best = word end
    end
    return { words = total, different = different, most_frequent = best }
  end,
}
