-- The modules that `orrery run` loads for a workflow of one Lua node, with and without a store,
-- piped and on a terminal. They stand in the command as they are, so that a cold start unpacks
-- nothing; all others are compressed (embed.lua). spec/cold_start_spec.lua compares this with what
-- a start loads.
return {
  "orrery", "orrery.bundle", "orrery.bundle.canonical", "orrery.cli", "orrery.cli.display.board",
  "orrery.cli.display.gather", "orrery.cli.display.json_lines", "orrery.cli.display.live",
  "orrery.cli.display.live_watcher", "orrery.cli.display.printable", "orrery.cli.display.programs",
  "orrery.cli.display.progress", "orrery.cli.display.summary", "orrery.cli.display.term",
  "orrery.cli.display.watch", "orrery.cli.run", "orrery.cli.shared.files", "orrery.cli.shared.input",
  "orrery.cli.shared.interrupts", "orrery.cli.shared.out", "orrery.cli.shared.plain", "orrery.defer",
  "orrery.definition.compile", "orrery.definition.groups", "orrery.definition.load",
  "orrery.definition.node", "orrery.definition.nodes", "orrery.definition.pools",
  "orrery.definition.prepare", "orrery.definition.type", "orrery.definition.type_registry",
  "orrery.definition.workflow", "orrery.errors", "orrery.events", "orrery.expr.output_path",
  "orrery.history.pauses", "orrery.history.remedies", "orrery.runtime.launch",
  "orrery.runtime.of_store", "orrery.runtime.pools",
  "orrery.start", "orrery.store.open", "orrery.text", "orrery.version", "orrery.where",
}
