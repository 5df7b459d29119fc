-- Faults in the bus, and in what speaks with Redis.
return {
  { name = "a message is acknowledged before its record is on disk", file = "lua/orrery/redis/init.lua",
    from = "  core.flushed()\n", to = "", by = "redis_spec" },
  { name = "a handler that runs again asks for another message", file = "lua/orrery/bus/init.lua",
    from = "  joining:stop()\n", to = "", by = "redis_spec" },
  { name = "what a cancelled run was given is gone", file = "lua/orrery/bus/memory.lua",
    from = "  give_back(group, waiter.taken)\n", to = "", by = "bus_spec" },
  { name = "who was cancelled when the message came keeps it", file = "lua/orrery/bus/init.lua",
    from = "  if ctx.cancelled then", to = "  if false then", by = "bus_spec" },
  { name = "a reply may announce any number of elements", file = "runtime/bind/redis.c",
    from = "if (elements > MOST_ELEMENTS - r->elements)", to = "if (elements > INT32_MAX - r->elements)",
    by = "redis_spec" },
}
