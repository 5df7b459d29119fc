-- Faults in what comes to hooks, and in what runs let be read.
local VERIFY, ACT, HOOKS = "lua/orrery/serve/hooks/verify.lua", "lua/orrery/serve/hooks/act.lua",
  "lua/orrery/serve/hooks/init.lua"

return {
  { name = "a delivery of any time is taken", file = VERIFY,
    from = "  return time and math.abs(now - time) <= WINDOW or false\n", to = "  return time ~= nil\n",
    by = "hook_verify_spec" },
  { name = "texts are the same where their beginning is", file = VERIFY,
    from = "  if #a ~= #b then return false end\n  local difference", to = "  local difference", by = "hook_verify_spec" },
  { name = "a delivery that comes again starts another run", file = ACT,
    from = "  if not id then return nil end\n  if #id", to = "  if id then return nil end\n  if #id", by = "hooks_spec" },
  { name = "a hook signals runs of other workflows", file = ACT,
    from = "  if row and row.workflow == trigger.workflow then return row end\n", to = "  if row then return row end\n",
    by = "hooks_spec" },
  { name = "what proves who has sent a delivery is kept", file = HOOKS,
    from = "    if not KEPT_BACK[name] then made[name] = value end\n", to = "    made[name] = value\n",
    by = "hooks_spec" },
  { name = "a handler that runs again publishes what it had before", file = "runtime/run/ctx.c",
    from = "    if (reported_before(L, f)) return 0;\n    if (!orr_json_encode(L, 3", to = "    if (!orr_json_encode(L, 3",
    by = "published_spec" },
  { name = "what earlier lives have published is forgotten", file = "runtime/run/published.c",
    from = "    if (!r->read_back || r->published_read) return;", to = "    if (r) return;", by = "published_spec" },
}
