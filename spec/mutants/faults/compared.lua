-- Faults in what is said of two runs beside each other.
local COMPARED = "lua/orrery/serve/reads/compared.lua"

return {
  { name = "a node that only the second run has is not told", file = COMPARED,
    from = "    if not nodes.has(db, run, node.name) then\n", to = "    if false then\n",
    by = "serve_compare_spec" },
  { name = "large outputs of one size are taken for the same", file = COMPARED,
    from = "  return same_text(text_of(db, pair_of.run, a.name), text_of(db, pair_of.other, b.name))\n",
    to = "  return true\n", by = "serve_compare_spec" },
  { name = "a token sees runs of other workflows beside its own", file = "lua/orrery/serve/api/runs.lua",
    from = "    call:must(other.workflow)\n", to = "", by = "serve_reads_spec" },
}
