-- patience.lua: for what only the real clock can show, on machines of any speed.
local patience = {}

local FACTORS = { 1, 4, 20 }

--- Calls `try` with `seconds`, and again with longer times until it gives something true.
---
--- It gives false, with the reason, where the machine may just have been too slow for so short a
--- time. The fault that a test is for must fail with every time.
---@param seconds number
---@param try fun(seconds: number): boolean?, string?
function patience.with(seconds, try)
  local ok, why
  for _, factor in ipairs(FACTORS) do
    ok, why = try(seconds * factor)
    if ok then return end
  end
  error(("not even with %g s: %s"):format(seconds * FACTORS[#FACTORS], why or "it was too late"), 2)
end

return patience
