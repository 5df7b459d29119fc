-- What docs/errors.md says of each kind of mistake in a definition: what it means, and what to do.
return {
  pool_conflict = {
    "Two workflows declare a pool of the same name with different numbers. There is one of a name.",
    "Say the same in both, declare it once with `flow.pool`, or give one of them another name.",
  },
  reads_file = {
    "A file is read by `io` while the workflow is loaded. It is not kept with its runs: a resumed run reads"
      .. " what is there then.",
    "Read it in a node, or make it a module and `require` it; what `dofile` and `loadfile` run is kept.",
  },
  assigned_upvalue = {
    "A handler assigns a variable from outside of it. That is a warning: a run that is resumed begins"
      .. " with the value that the file gives it.",
    "Keep what must survive in the node's output.",
  },
  bad_config = {
    "The config of a typed node does not go together.",
    "The message names the key and what the type takes; `orrery types NAME` shows its config.",
  },
  bad_expression = {
    "An expression cannot be read.",
    "The message has the column; [expressions](expressions.md) has the language.",
  },
  bad_fork = {
    "A run cannot be forked so.",
    "Name a node that the workflow has, and set the outputs that decide where it goes.",
  },
  bad_group = {
    "A group (`flow.parallel`, `flow.sequence`) is made of the wrong things.",
    "Give it a table of nodes.",
  },
  bad_input = {
    "The input does not fit the workflow's schema.",
    "Mend the input; the message names the path and what was expected.",
  },
  bad_json = {
    "A file is no JSON, or no JSON object.",
    "See [JSON definitions](json-definitions.md).",
  },
  bad_name = {
    "A node or a type has a name that it cannot have.",
    "Nodes: a letter or `_`, then letters, digits, `_` and `-`; types: words joined by dots.",
  },
  bad_schema = {
    "A schema of the workflow's input or of a type's config has a mistake.",
    "See [`schema`](#schema).",
  },
  bad_step = {
    "A step of a saga is not written as it should be.",
    "`saga:step(name, action, undo, { retry = 3 })`.",
  },
  bad_template = {
    "A text with `${…}` cannot be read.",
    "Close what is open; `$${` is a literal `${`.",
  },
  bad_value = {
    "A value is of the right type and cannot be.",
    "The message says which values there are.",
  },
  cycle = {
    "Nodes wait for each other.",
    "Remove one of the dependencies that the message lists.",
  },
  dashed_name = {
    "`nodes.a-b` is a difference, and there is a node `a-b`.",
    "Write `nodes[\"a-b\"]`.",
  },
  deep = {
    "A value is nested too deeply for its JSON Schema, or the schema refers to itself without going into the"
      .. " value (an input or config).",
    "Make the value flatter, or mend the `$ref` that leads to itself.",
  },
  definition_changed = {
    "The code of today does not fit the run.",
    "See the code [`definition_changed`](#error-codes).",
  },
  duplicate_edge = {
    "A node depends on the same node twice.",
    "Keep one.",
  },
  duplicate_id = {
    "The id is another run's.",
    "Leave `id` out, or give another one.",
  },
  duplicate_key = {
    "A key of config stands in the node and in its `with`.",
    "Keep one.",
  },
  duplicate_name = {
    "The name is taken.",
    "Rename one of the two; a node is assigned once.",
  },
  empty = {
    "A workflow has no node, or a group no member.",
    "Give it one.",
  },
  enum = {
    "A value is none of those that there are (an input or config).",
    "Choose one that the message lists.",
  },
  env = {
    "An expression reads a variable of the environment that the workflow does not allow.",
    "Add it to the workflow's `env`.",
  },
  load_error = {
    "The file of the workflow raised an error while it was loaded.",
    "Mend the line that the message names.",
  },
  lua_in_json = {
    "A JSON definition is data, and holds no Lua.",
    "Declare a node type (`flow.type`) and name it, or write a Lua file.",
  },
  not_allowed = {
    "A JSON definition uses a node type or a variable that its loader does not allow.",
    "Add it to `types` or `env` of `flow.load`, see"
      .. " [what a definition may do](json-definitions.md#what-a-definition-may-do).",
  },
  mention_outside_after = {
    "An expression mentions a node that is not waited for.",
    "Add it to `after`, or use `join = \"all\"`.",
  },
  missing = {
    "Something that is needed is not there.",
    "Add what the message names.",
  },
  mixed_edge = {
    "A node depends on another as a whole and by an outcome.",
    "Keep one.",
  },
  more = {
    "There are more mistakes than are listed.",
    "Mend those first, and check again.",
  },
  need = {
    "`join.need` is more than the node has dependencies.",
    "Lower it, or add to `after`.",
  },
  no_module = {
    "A JSON definition requires a module that is not there, or that cannot be loaded.",
    "Modules are looked for beside the definition and in package.path; the message has the module's own "
    .. "error.",
  },
  no_file = {
    "The file cannot be read.",
    "Mind the path; it is looked for from where the command is called.",
  },
  no_outcomes = {
    "A name with a colon (`node:outcome`) is used of a node that has no outcomes.",
    "Write the node's name alone.",
  },
  not_a_node = {
    "What is assigned to a workflow is no node.",
    "Assign a table with `run`, or call a node type.",
  },
  not_a_workflow = {
    "What is given is no workflow.",
    "End the file with `return w`, its one workflow.",
  },
  pattern = {
    "A text does not match the regular expression, or is not of the format, that a JSON Schema wants (an "
      .. "input"
      .. " or config).",
    "The message has the expression or the format.",
  },
  range = {
    "A number, or a length, is out of range (an input or config).",
    "The message has the bounds.",
  },
  refused = {
    "The runtime does not take the plan, though nothing else was found.",
    "The message says why; where it does not help, please report it with the definition.",
  },
  reserved_key = {
    "A type's config has a key that every node has.",
    "Give the config another name.",
  },
  rule = {
    "A rule of `data.validate` does not hold for an item.",
    "The message is the reason that the rule gave.",
  },
  schema = {
    "A schema is not written as it should be.",
    "The message has the place in it; [schemas](lua-api.md#flowschema).",
  },
  self_edge = {
    "A node depends on itself.",
    "Remove it from its own `after` and expressions.",
  },
  shared_table = {
    "The same table is two nodes.",
    "Make a table for each.",
  },
  syntax = {
    "The file is not valid Lua.",
    "Mend the line that the message names.",
  },
  type = {
    "A value has the wrong type (an input or config).",
    "The message says which it should have.",
  },
  unique = {
    "A list has two equal items where a JSON Schema wants each once (an input or config).",
    "Remove one; the message says which they are.",
  },
  unknown = {
    "A field is not in the schema (an input or config).",
    "Remove it, or take the name that the message offers.",
  },
  unknown_field = {
    "An expression reads a field of the input, or of a node's output, that cannot be there: the schema of"
      .. " the input, or the `output` of the node's type, has no such field and lets no others through.",
    "The message names the nearest field; where others may come, let them through with `[\"...\"] = "
    .. "\"any\"`.",
  },
  unknown_key = {
    "A key, field or option is not known here.",
    "Remove it, or take the name that the message offers.",
  },
  unknown_node = {
    "There is no such node.",
    "Take the name that the message offers, or assign the node first.",
  },
  unknown_outcome = {
    "The node has no such outcome.",
    "Take one that the message lists.",
  },
  unknown_pool = {
    "No such pool is declared.",
    "Declare it with the workflow, in `pools`, or with `flow.pool` before the workflow is loaded.",
  },
  unknown_type = {
    "There is no such node type.",
    "Require the module that declares it (`orrery … -l MODULE`); `orrery types` lists them.",
  },
  way = {
    "A value fits none of the alternatives of a JSON Schema, or more than one, or what it must not be (an"
      .. " input or config).",
    "The message says what the nearest alternative lacks.",
  },
  wrong_type = {
    "A key has a value of the wrong type.",
    "The message says what it takes.",
  },
}
