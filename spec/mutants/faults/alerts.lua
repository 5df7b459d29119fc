-- Faults in what alerts tell, and in what is signed.
local ALERT = "lua/orrery/schedule/alert.lua"

return {
  { name = "an alert tells what it has told where the note of it was lost", file = ALERT,
    from = "number = status.number + 1, since", to = "number = now // 1 | 0, since", by = "alerts_spec" },
  { name = "an alert is never over", file = ALERT, from = "  elseif not finding and status.since then",
    to = "  elseif false then", by = "alerts_spec" },
  { name = "what is posted to a webhook is signed without its id", file = "lua/orrery/signature.lua",
    from = 'local text = ("%s.%d.%s"):format(id, time, body)', to = 'local text = ("%d.%s"):format(time, body)',
    by = "notify_spec" },
}
