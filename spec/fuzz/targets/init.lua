-- The names of all targets.
return { "json", "expression", "template", "duration", "schema", "definition", "journal", "http",
  "command_line", "xml", "tap", "csv", "json_schema", "archive", "http_server" }
