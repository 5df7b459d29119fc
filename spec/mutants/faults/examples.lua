-- Faults in the programs of examples/ that have tests of their own.
return {
  { name = "a day has another chance each time", file = "examples/game/days.c",
    from = "options.seed = world_mix(t->world.seed, who, ++p->day);", to = "p->day++;", by = "game_spec" },
  { name = "people of a saved game do not know their runs", file = "examples/game/saves.c",
    from = "if (p->awake) orr_set_run_data(t->rt, p->run, p);", to = "if (p->awake) continue;", by = "game_spec" },
  { name = "a pause stops only the picture", file = "examples/game/main.c",
    from = "g->wish.paused ? 0 : TICK_US", to = "g->wish.paused ? TICK_US : TICK_US", by = "game_spec" },
  { name = "a script with a mistake takes the place of the others", file = "examples/game/town.c",
    from = "if (!good) return false;", to = "if (days[0] == NULL) return false;", by = "game_spec" },
  { name = "a page is kept where the template has changed", file = "examples/site/site.lua",
    from = "${item.hash} ${nodes.template}", to = "${item.hash}", by = "site_spec" },
  { name = "what is there already is written again", file = "examples/site/site.c",
    from = "memcmp(old, content, size) == 0;", to = "memcmp(old, content, size) != 0;", by = "site_spec" },
}
