--- What handlers of a workflow in a file share with the spec that runs it: gates, which it opens,
--- and how many ran.
local flow = require "orrery"

local gates = { ran = 0 }

--- A handler that ends when its gate, the next in the list, is called.
function gates.gate() flow.await(function(resume) gates[#gates + 1] = resume end) end

return gates
