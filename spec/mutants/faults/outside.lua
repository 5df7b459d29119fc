-- Faults of what stands beside the engine: workers, rows, the bus and Redis, simulations, and a program
-- that is asked to stop.
local CALL, MAIN = "lua/orrery/worker/call.lua", "lua/orrery/worker/main.lua"

return {
  -- ---- workers -----------------------------------------------------------------------------------
  { name = "a step that failed in a worker has done its work", file = CALL,
    from = "    if not m[3] then message.raise(m[4]) end\n    return m[4]", to = "    return m[4]",
    by = "worker_spec" },
  { name = "a cancel does not reach the worker", file = CALL,
    from = "      self.job:cancel()\n      return true", to = "      return true", by = "worker_spec" },
  { name = "what a worker returns may be anything", file = MAIN,
    from = "local ok, why = core.json.check(value, \"output\", \"a node's output is plain data\")",
    to = "local ok, why = true, nil", by = "worker_spec" },
  { name = "the rows of a worker go to the loop as text", file = MAIN,
    from = "answer(value, self.spools)", to = "answer(value)", by = "spool_spec" },

  -- ---- rows --------------------------------------------------------------------------------------
  { name = "rows of an attempt that failed stay beside the store", file = "lua/orrery/rows/spool.lua",
    from = "if self.file and not self.stream.committed then core.fs(", to = "if false then core.fs(", by = "spool_spec" },
  { name = "two stages may write one file", file = "lua/orrery/rows/stage.lua",
    from = "    if other.path == path then", to = "    if other == path then", by = "pipe_spec" },
  { name = "a text goes on in the wrong place once rows were taken", file = "runtime/rows/xml_parse.c",
    from = "    if (x->text != NONE) x->text -= gone;\n", to = "", by = "xml_spec" },
  { name = "a text that memory is short for loses a part", file = "runtime/rows/xml_parse.c",
    from = "    if (add(x, ORR_XML_TEXT, \"\", 0, text, size)) note(x, \"not enough memory\");\n    stop(x);",
    to = "    (void)add(x, ORR_XML_TEXT, \"\", 0, text, size);", by = "test_xml" },

  -- ---- the bus and Redis -------------------------------------------------------------------------
  { name = "who has left the line is still in it", file = "lua/orrery/bus/line.lua",
    from = "  self[place], self.places[waiter] = nil, nil\n  self.size = self.size - 1",
    to = "  self.places[waiter] = nil", by = "bus_spec" },
  { name = "a stream keeps all that it was ever given", file = "lua/orrery/bus/memory.lua",
    from = "    stream.entries[stream.first] = nil\n    stream.first = stream.first + 1",
    to = "    break", by = "bus_spec" },
  { name = "a server that goes away leaves those who wait alone", file = "lua/orrery/redis/connection.lua",
    from = "  for i = first, last do queue[i].callback(err) end\n", to = "", by = "redis_spec" },
  { name = "a connection may take for ever to be made", file = "lua/orrery/redis/connection.lua",
    from = "  after(self, settings.connect_timeout, function()", to = "  after(self, 1e6, function()",
    by = "redis_spec" },

  -- ---- simulations -------------------------------------------------------------------------------
  { name = "the disk stalls, and no time passes", file = "lua/orrery/sim/outside.lua",
    from = "by = act.fault.by })\n  self.rt:skip(act.fault.by)\nend\n\nlocal ACT",
    to = "by = act.fault.by })\nend\n\nlocal ACT", by = "sim_spec" },
  { name = "no history is played twice", file = "lua/orrery/sim/init.lua",
    from = "(seed % TWICE == 0 or seed == first)", to = "seed ~= seed", by = "sim_spec" },
  { name = "a model of an unknown name is left out", file = "lua/orrery/sim/models.lua",
    from = "      if near ~= \"\" or played then", to = "      if false then", by = "sim_spec" },

  -- ---- a program that is asked to stop -----------------------------------------------------------
  { name = "a slice goes on though nobody has heard", file = "runtime/fiber/watchdog.c",
    from = "    bool slice = in_slice(w);", to = "    bool slice = in_slice(w) && !w->deaf;",
    by = "test_watchdog" },
  { name = "an attempt has failed before its run is suspended", file = "runtime/fiber/fiber.c",
    from = "    if (asked && !hear(s, f)) return;", to = "    if (asked && f == NULL) return;",
    by = "signals_spec" },
  { name = "teardown comes when all tests have run", file = "lua/orrery/testing/execute.lua",
    from = "return stops or last[block] == i end", to = "return stops or i == #selected end",
    by = "test_command_spec" },

  -- ---- what a server measures --------------------------------------------------------------------
  { name = "the buckets of a histogram do not add up", file = "lua/orrery/serve/metrics/text.lua",
    from = "    total = total + counts[i]\n", to = "    total = counts[i]\n", by = "serve_metrics_spec" },
  { name = "a retry is no failure", file = "runtime/run/tally.c",
    from = "e->kind == ORR_EV_NODE_FAILED || e->kind == ORR_EV_NODE_RETRYING;",
    to = "e->kind == ORR_EV_NODE_FAILED;", by = "serve_metrics_spec" },
  { name = "metrics are for tokens that are bound too", file = "lua/orrery/serve/routes.lua",
    from = 'does = "metrics", scope = "read", calls', to = 'does = "metrics", scope = "read", of = "some", calls',
    by = "serve_metrics_spec" },
}
