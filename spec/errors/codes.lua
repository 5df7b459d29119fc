-- What docs/errors.md says of each error code: what it means, what to do, and whether an attempt
-- that ends so is tried again: "by policy" (its `retry`), "no", or "–" for what is no node's error
-- but a call's, a command's or a run's.
return {
  actor_failed = {
    "A run of an actor at Apify ended otherwise than it should. `details.run` is what Apify says of it.",
    "Look at the run at Apify; mend the actor's input, or give the node a `retry` where its time was over.",
    "by policy where its time was over",
  },
  agent_answer = {
    "What a model's endpoint answered is no answer: no JSON, no message, an error of its own, or a"
      .. " stream that stopped in the middle.",
    "Retry; mind `url` and `model`.",
    "yes, but for what the service says is the request's fault",
  },
  agent_output = {
    "The answer of an agent does not fit the schema, also after it was asked for `repairs` times.",
    "Say more in the prompt, take a larger model, or raise `repairs` or `max_tokens`;"
      .. " `details.answer` is what came.",
    "yes",
  },
  agent_rounds = {
    "An agent wanted more rounds, of tools or repairs, than `max_rounds` allows.",
    "Raise `max_rounds`, or give it fewer tools.",
    "no",
  },
  aggregate_error = {
    "A figure of `data.aggregate` needs numbers, and a row has another value there.",
    "Give the columns types where they are read, or leave such rows out with `data.filter`.",
    "no",
  },
  answer_too_large = {
    "What was asked of a server has more bytes than an answer may have.",
    "Ask for a smaller page (`limit`), for a node alone, or for the log in pieces.",
    "–",
  },
  archive_error = {
    "What was to be extracted is no archive that can be read, or a damaged one; or a name cannot be put "
      .. "into an archive of this format.",
    "The message says what was found; fetch the archive anew, or make it another format.",
    "no",
  },
  archive_too_large = {
    "The contents of an archive are larger, or more, than `limit` and `max_entries` allow.",
    "Raise the one that the message names, where you trust the archive.",
    "no",
  },
  archive_unavailable = {
    "libarchive is not there, or was built without what is needed.",
    "Install it (Debian's package `libarchive13`); `orrery doctor` says whether it is found.",
    "no",
  },
  archive_unsafe = {
    "An entry of an archive would leave the folder, by its name or through a link, or is a device, a FIFO "
      .. "or a socket.",
    "Do not extract it; `on_unsafe = \"skip\"` leaves such entries out.",
    "no",
  },
  assertion_failed = {
    "The expression of an `assert` does not hold. The message, and `details.values`, have the values of"
      .. " what it names.",
    "Look at the values, and at the nodes that they come from.",
    "no",
  },
  bad_request = {
    "A request to the server is wrong: its path, query, header or body is not what the route takes,"
      .. " or a filter names nothing.",
    "The message names the place and what was expected; `/api/v1/openapi.json` describes every route.",
    "no",
  },
  barrier_timeout = {
    "Not all of those that a `barrier` waits for arrived within its `timeout`. `details` says how many did.",
    "Look for who did not come, or raise `timeout`; `on_timeout = \"continue\"` goes on without them.",
    "by policy",
  },
  body_too_large = {
    "A delivery to a hook has more than 1 MiB.",
    "Have its sender send less, or send where the rest is.",
    "–",
  },
  cancelled = {
    "It was asked to stop: by `orrery cancel`, `run:cancel`, a failure elsewhere under `on_error ="
      .. " \"stop\"`, or because enough of its siblings had completed.",
    "Nothing, or see the run's own error for why it stopped.",
    "no",
  },
  child_failed = {
    "A workflow that a node calls (`ctx:call`, `flow.call`, `flow.now`) did not complete. `details`"
      .. " has its run and state, `cause` its error.",
    "Look at the child: `orrery show RUN`. Mend its cause; retry the parent.",
    "by policy",
  },
  circuit_open = {
    "The node's breaker is open: what it calls has failed too often.",
    "Wait for `cooldown`, mend the service, or raise `threshold` or `window` of the breaker. `orrery"
      .. " why` says until when.",
    "no",
  },
  compensation_failed = {
    "What undoes a node failed for good, so the run ends as `compensation_failed`. The message has"
      .. " the node and its cause.",
    "Undo it by hand: the run is over, and neither resumed nor retried. `orrery fork` does its work anew.",
    "no",
  },
  config_error = {
    "Config, a template or an expression does not fit the values of this run.",
    "The message names the part and its value: mend the definition or what it is given; `default(a,"
      .. " b)` where it may be missing.",
    "no",
  },
  conflict = {
    "Another run has the lock of the run (`singleton`), and the workflow does not wait for it"
      .. " (`on_conflict = \"fail\"`). `details` names that run.",
    "Wait for its end, or cancel it; `on_conflict = \"queue\"` lets runs wait for their turn.",
    "no",
  },
  crash_loop = {
    "An attempt was cut off by the end of its process as often as `crash_limit` allows.",
    "Find what kills the process (memory, a C module). `orrery retry` tries again; with `orrery"
      .. " resume --force` it is not given up in the first place.",
    "no",
  },
  csv_error = {
    "A row of a CSV file is broken, or does not fit the types that were given; the message has"
      .. " file and line.",
    "Mend the file, or keep such rows apart: `rejects = \"FILE\"`.",
    "no",
  },
  database_busy = {
    "Another connection had the database, or what a statement needs of it, locked for too long; or "
      .. "transactions were in each other's way (a deadlock, a serialization failure).",
    "Try again: `retry`. For SQLite, raise `busy`.",
    "yes",
  },
  database_connection = {
    "A database server cannot be reached, is not ready, has too many connections, or the connection was "
      .. "lost.",
    "Try again: `retry`. Look whether the server runs, and at `host` and `port`.",
    "yes",
  },
  database_constraint = {
    "A row breaks a rule of its table, such as a key that is there already.",
    "Mend the row, keep such rows apart with `rejects`, or say `on_conflict`.",
    "no",
  },
  database_denied = {
    "A database server does not let this user in, or do this, or not in this way; or there is no such "
      .. "database.",
    "Mend user, password, database or `sslmode`, or what the user may do.",
    "no",
  },
  database_error = {
    "SQLite or PostgreSQL did not do what the statement says; the message has its words.",
    "Mend the statement or the file.",
    "no",
  },
  database_full = {
    "The disk of the database is full.",
    "Make room; nothing of the transaction was kept.",
    "yes",
  },
  database_is_store = {
    "The file is a store of runs, which only the engine may write.",
    "Give the data a database of its own.",
    "no",
  },
  database_unavailable = {
    "libpq, by which PostgreSQL is spoken to, is not there.",
    "Install it (Debian's package `libpq5`); `orrery doctor` says whether it is found.",
    "no",
  },
  deadlock = {
    "What it waits for is held by tasks that wait for its own run, directly or through other runs: a"
      .. " place in a pool with `hold`, whose message is the chain of nodes and pools; or the lock"
      .. " (`singleton`) of a run that has called it, which `details` names.",
    "Give one of them another pool or another value of the lock, raise the pool's `max`, leave out"
      .. " `hold` in the outer node, or take pools in the same order everywhere.",
    "no",
  },
  damaged_journal = {
    "A record of the run in the store is not what was written.",
    "Restore a backup of the store (`orrery backup` makes them); `orrery doctor` looks at the store.",
    "–",
  },
  deadline = {
    "All attempts of the node together took longer than its `deadline`, or the next one could not"
      .. " start before it.",
    "Raise `deadline`, or lower `retry` and its delays. `cause` is the last failure.",
    "no",
  },
  definition_changed = {
    "The code of today does not fit what the run has done already, or a source makes another workflow"
      .. " each time it is loaded.",
    "Resume with the code that the run began with, or `orrery fork` it from a node before the change."
      .. " A source must not depend on files, the environment or the time.",
    "–",
  },
  definition_error = {
    "The definition has mistakes; `problems` lists them.",
    "See [mistakes](#mistakes-in-a-definition); `orrery check FILE` shows all at once.",
    "no",
  },
  draining = {
    "The server is being stopped and begins no more runs.",
    "Ask again in a moment, when it, or another one, is there.",
    "yes",
  },
  duplicate_id = {
    "A run with this id is in the store already, and it is another run.",
    "Give an id once, or leave it out; to start only once, give a `key`.",
    "–",
  },
  duplicate_key = {
    "A run with this idempotency key is in the store already.",
    "That is the run you want: the error's `details` name it. For another run give another key.",
    "–",
  },
  failed = {
    "A node of the type `fail` has failed, which gives no other code.",
    "The message says what is wrong; give it a code of its own, so that it can be told apart.",
    "no",
  },
  hook_unverified = {
    "A delivery to a hook has not shown that it comes from who has the hook's secret. Why, is told to nobody"
      .. " but who reads `GET /api/v1/hooks` (`refused_why`).",
    "Mind that both sides have the same secret and the same `verify`, and that the clock is right.",
    "–",
  },
  jsonl_error = {
    "A line of a JSON Lines file is no JSON; the message has file and line.",
    "Mend the file, or keep such lines apart: `rejects = \"FILE\"`.",
    "no",
  },
  listen_error = {
    "An HTTP server cannot listen: the address is in use or not this machine's, a file is in the "
      .. "way, or libmicrohttpd is absent.",
    "The message says which; take another address, or install what is missing.",
    "no",
  },
  request_malformed = {
    "What came to an HTTP server is not HTTP, or may be understood in two ways: a path with dot "
      .. "segments, two lengths, a folded line.",
    "Mend the client, or the proxy before it.",
    "no",
  },
  request_too_large = {
    "The head or the body of a request is larger than the server's limit.",
    "Send less, or raise the limit.",
    "no",
  },
  request_too_slow = {
    "A request did not come whole in the time that the server gives it.",
    "Send it at once; mind the network between.",
    "no",
  },
  server_busy = {
    "The server has as many connections as it may have, or is being stopped.",
    "Try again later, or raise the limit.",
    "no",
  },
  node_not_found = {
    "The run has no such node, or the node no such item.",
    "The message names the nearest one; an item is `fetch[3]`, or `fetch[NAME]`.",
    "–",
  },
  simulated = {
    "`orrery sim` has failed the attempt, by a fault or by a model that has no `code`; only in simulations.",
    "See what the workflow makes of it; `code` of a model gives another.",
    "yes",
  },
  spool_error = {
    "Rows that do not fit in memory could not be kept in a file, or not be read back from it.",
    "Make room in the folder that the message names, or name another by `TMPDIR`; a file that is gone or was "
      .. "changed comes back with a backup of the store and its folder, or by a fork from its node.",
    "yes",
  },
  too_busy = {
    "More questions about runs wait for their answer than a server lets wait.",
    "Ask again in a moment, and for less.",
    "yes",
  },
  too_many_rows = {
    "Rows should become an output, and are too many for one.",
    "Let them stream: end the pipe with a stage that writes them; or raise `max_rows`. "
      .. "Outside of workers, in a run that keeps no journal in memory, any number may be an output.",
    "no",
  },
  upstream_failed = {
    "No error of its own: the node was skipped because of a failure before it. `node` names the dependency"
      .. " because of which.",
    "Mend the failure that the run's error names.",
    "–",
  },
  each_failed = {
    "More items of `each` failed than `each_failures` allows. `details` and `cause` are those of the"
      .. " first.",
    "Mend the first item that failed, give the node a `retry` (each item has its own), or raise"
      .. " `each_failures`.",
    "no",
  },
  items_failed = {
    "No failure: what `errors` says of a node that completed without all of its items, because"
      .. " `each_failures` allows it.",
    "Its `items` are those that failed; `orrery retry --items` runs them again.",
    "–",
  },
  error = {
    "A handler raised `flow.error` with a message and no code.",
    "The message says it; give the error a code of its own so that `retry.on` can tell it apart.",
    "by policy",
  },
  exec_cwd = {
    "The command was not started: its `cwd` is no folder that can be entered.",
    "Make the folder first, or mend `cwd`.",
    "no",
  },
  exec_not_found = {
    "There is no such program.",
    "Install it, give its path, or mend PATH.",
    "no",
  },
  exec_output = {
    "The output of the command is not the JSON that `output = \"json\"` asks for, or is cut at"
      .. " `limit`.",
    "Raise `limit`, or read the output as text.",
    "no",
  },
  exec_permission = {
    "The program is there and may not be run.",
    "`chmod +x` it, or run it by its interpreter.",
    "no",
  },
  exec_system = {
    "The system could not start a process now (processes, files or memory are at their limit).",
    "Lower `concurrency` or a pool's `max`, or raise the limits (`ulimit -u`, `ulimit -n`).",
    "by policy",
  },
  exec_too_large = {
    "The arguments of the command, with its variables, are longer than the system takes (128 KiB for one of"
      .. " them, some MiB for all).",
    "Hand the value over as `stdin`, or write it into a file; of many arguments give some at a time.",
    "no",
  },
  exec_unknown = {
    "How the command ended is not known: the program that runs Orrery has waited for it.",
    "Let that program wait only for its own children (`waitpid` with their ids), and not ignore `SIGCHLD`.",
    "no",
  },
  exit_status = {
    "The command ended with an exit code other than 0, or by a signal. `details` has `code`, `signal`"
      .. " and the ends of `stdout` and `stderr`.",
    "Read `stderr`. Where other codes are fine, `check = false` and look at `code`.",
    "by policy",
  },
  expression_error = {
    "A condition, list, pool or output that is given as a function raised an error.",
    "The message names the function and its cause; mend it, or write it as an expression.",
    "no",
  },
  file_error = {
    "What was to be done with a file or a folder could not be done. `details` has `path` and `errno`.",
    "Mind the path and its permissions; `mkdirs = true` makes missing folders.",
    "by policy",
  },
  file_exists = {
    "Something bears the name already, and is not replaced. `details` has `path`.",
    "Give another name, or `overwrite = true`; without it a folder with something in it is never replaced.",
    "no",
  },
  file_too_large = {
    "The file is larger than `max_size`.",
    "Raise `max_size`, or hand its path on and read parts of it.",
    "no",
  },
  forbidden = {
    "Who asks the server may not do this: their scope is too small, or their token is bound to other"
      .. " workflows.",
    "Use a token with the scope that the message names.",
    "no",
  },
  forged_request = {
    "A browser says that a page of another origin has made it send the request to the server.",
    "Use the page that the server itself shows; behind a proxy, let it pass on the header Host as it"
      .. " came.",
    "no",
  },
  handler_error = {
    "A handler raised something that is no structured error. `traceback` says where.",
    "Mend the handler; raise what is expected to happen with `flow.error { code = … }`.",
    "by policy",
  },
  hash_mismatch = {
    "The digest of a file is not the one that was expected. `details` has `path`, `hash` and `expected`.",
    "Fetch or make the file anew; mind that `algorithm` is the one of the digest.",
    "no",
  },
  heartbeat = {
    "The handler gave no sign of life within `heartbeat`.",
    "Call `ctx:heartbeat()` or `ctx:progress()` more often, or raise `heartbeat`.",
    "by policy",
  },
  http_address = {
    "The address that the name or a redirect leads to is not one that `allow` and `deny` let through.",
    "Name the address or its network in `allow`, or take it out of `deny`, where it is meant.",
    "no",
  },
  http_connect = {
    "Nobody listens there, or the connection broke.",
    "Mind host, port and proxy; retry.",
    "by policy",
  },
  http_json = {
    "The response claims to be JSON and is not.",
    "`parse = \"text\"` leaves the body alone.",
    "no",
  },
  http_pages = {
    "What follows a page cannot be fetched: there are more pages than `max_pages`, the page has no list, "
      .. "or it names a page"
      .. " that was fetched already or is at another place.",
    "The message says which; `items` and `next` say where the list and the next page are.",
    "no",
  },
  http_protocol = {
    "What came is not HTTP, or there were too many redirects.",
    "Mind the URL: `http` or `https`, and the port.",
    "no",
  },
  http_resolve = {
    "There is no address for the name.",
    "Mind the host's name and the resolver.",
    "by policy",
  },
  http_status = {
    "The server answered with a status that `expect` does not have. `details` has `status`, `headers`"
      .. " and the beginning of `body`.",
    "Read the body; where the status is fine, name it in `expect`.",
    "408, 425, 429 and 5xx by policy",
  },
  http_timeout = {
    "The request took longer than `connect_timeout`, `idle_timeout` or `max_time`.",
    "Raise the one that the message names, and retry.",
    "by policy",
  },
  http_tls = {
    "The certificate is not trusted or not the server's, there is no common cipher, or a server "
      .. "cannot use its own.",
    "Give the authority's certificate as `ca`; mind the clock and the host's name.",
    "no",
  },
  http_too_large = {
    "The body is longer than `limit`.",
    "Raise `limit`, or fetch it with a command into a file.",
    "no",
  },
  inside_callback = {
    "A call of the C API that does the runtime's work, or ends it, was made within one of its callbacks.",
    "Do it when the call has returned that called the callback.",
    "–",
  },
  internal_error = {
    "A fault of Orrery: what must hold did not. The process goes on; the run or the call is given up.",
    "Please report it with the message and the workflow; `orrery resume` the run where it is kept.",
    "–",
  },
  invalid_argument = {
    "A call of the C API was given NULL or a value that it does not take.",
    "The message names the function and the argument; see `orrery.h`.",
    "–",
  },
  invalid_content = {
    "What should be written as JSON, CSV or XML holds what that cannot (a function, NaN, a table within "
      .. "itself; in XML a control character, or a name that is none); or a value does not fit the type of "
      .. "its column or parameter in a database.",
    "Write plain data, or a text; for a database, what its type takes, or keep such rows apart with"
      .. " `rejects`.",
    "no",
  },
  invalid_data = {
    "A row does not fit what `data.validate`, `data.normalize` or `data.flatten` asks of it, and the node is "
      .. "not told to keep such rows.",
    "The message has the row and what is wrong with it; `rejects = true`, or a file, keeps such rows apart.",
    "no",
  },
  invalid_list = {
    "The list of `each` is not plain data.",
    "Return a list of plain data; the message names the place in it.",
    "no",
  },
  invalid_output = {
    "An output or a step's result is not plain data, or, from C, not JSON.",
    "Return nil, booleans, numbers, texts and tables of these; the message names the place.",
    "no",
  },
  invalid_save = {
    "What is to be loaded is no saved game, is cut off or was changed, or is of another version.",
    "Load a save as it was written; the message says what is wrong with this one.",
    "–",
  },
  invalid_state = {
    "What was to be kept between runs cannot be: the key is no text of 1 to 512 printable bytes, the value"
      .. " no plain data, or an option of `ctx:state()` is wrong.",
    "The message says which: mend it in the handler or in what it is given.",
    "no",
  },
  journal_error = {
    "The store did not take a record of the run's journal, so the run stops where it is.",
    "Mind the disk's space and the store's folder; then `orrery resume`.",
    "–",
  },
  key_conflict = {
    "A run of the workflow has this idempotency key, and was asked for otherwise.",
    "Send the same request again, or choose another key.",
    "no",
  },
  killed = {
    "A test killed the run, as the end of its process would have.",
    "`run:resume()` of the test lets it go on; see docs/testing.md.",
    "–",
  },
  loop_exhausted = {
    "A `loop` ran `max` times and its `until` was never true.",
    "Raise `max`, or mend `until`.",
    "no",
  },
  mail_connect = {
    "There is no address for the mail server's name, nobody listens there, or the connection broke.",
    "Mind host and port (587, with `tls = \"tls\"` 465); retry. What broke at the very end may have been "
      .. "taken.",
    "by policy",
  },
  mail_deferred = {
    "The mail server does not take the mail for now. `details.status` has its number, the message its words.",
    "Retry later: servers ask strangers to.",
    "by policy",
  },
  mail_protocol = {
    "What answers is no mail server, or it does not do what was asked for.",
    "Mind the port and `tls`.",
    "no",
  },
  mail_refused = {
    "The mail server refuses the mail, a recipient or the log-in for good. `details.status` has its "
      .. "number, the message its words.",
    "Mind the addresses, `user` and `password`; 535 is the log-in, 550 a recipient.",
    "no",
  },
  mail_timeout = {
    "The mail was not sent within `connect_timeout`, `idle_timeout` or `max_time`.",
    "Raise the one that was too short, and retry; the server may have taken it.",
    "by policy",
  },
  mail_tls = {
    "The mail server has no encryption where `tls` asks for it, or its certificate is not trusted or not "
      .. "its own.",
    "Give the authority's certificate as `ca`; `tls = \"tls\"` is for servers that speak it from the "
      .. "beginning.",
    "no",
  },
  merge_error = {
    "`flow.data.merge` was given inputs that do not go together as `as` says.",
    "Choose another `as`, or mend what comes in.",
    "no",
  },
  method_not_allowed = {
    "The path is there, and takes other methods.",
    "The header Allow says which.",
    "no",
  },
  no_agent = {
    "The agent that a node names is not configured.",
    "Declare it, `flow.agent(\"NAME\", { url = …, model = … })`, or give the node `url` and `model`;"
      .. " `simulate = true` asks nobody.",
    "no",
  },
  no_approval = {
    "The run waits for no approval of that name, or for several and none was named.",
    "`orrery why` says what it waits for.",
    "yes",
  },
  no_bundle = {
    "The store does not have the code of the run: it was made by a script, a prompt or a program.",
    "Start runs that must survive from a file, or name the file of today's code: `orrery resume RUN"
      .. " --with-current-code --code FILE`.",
    "–",
  },
  no_source = {
    "The run was not loaded from a file, so today's code cannot be found.",
    "Name the file: `--with-current-code --code FILE`.",
    "–",
  },
  no_store = {
    "The runtime has no store, and this needs one.",
    "Open it with one: `flow.runtime { store = \"sqlite:PATH\" }`, or `config.store` in C.",
    "–",
  },
  nondeterminism = {
    "A handler took other steps than those that were recorded when it ran before.",
    "What a handler decides by comes from recorded steps, its input and `ctx:random`; not from time,"
      .. " files or globals.",
    "no",
  },
  not_approver = {
    "A decision was sent by somebody who may not decide, or in another's name.",
    "Those whom the node names in `by` decide, each with a token of that name.",
    "no",
  },
  not_durable = {
    "The run has ended, or is kept in no store, so it cannot be suspended.",
    "Start it on a runtime with a store, or cancel it.",
    "–",
  },
  not_replaced = {
    "A node would do something real, and its test is sealed (`sealed = true`).",
    "Give a double for the node or its type.",
    "no",
  },
  not_found = {
    "No run has this id, here or in the store; or the run has no such node, the runtime no such type; of "
      .. "a server: it has nothing there, no such path, workflow, token or breaker.",
    "Mind the id, the name and the store; a pruned run is gone.",
    "–",
  },
  not_here = {
    "The run is in the store and this runtime does not run it.",
    "Wait in the process that has it, or let it go on here with `orr_resume`.",
    "–",
  },
  no_tests = {
    "A `test.suite` had no test to run: its list is empty, its `filter` leaves none, or a report has none.",
    "Look at `filter` and at what writes the report; `allow_empty = true` takes it for well.",
    "no",
  },
  out_of_memory = {
    "There was no memory for it; nothing was begun that is not kept.",
    "Lower `concurrency`, `limit` or what outputs hold, or give the process more memory; then `orrery"
      .. " retry`.",
    "no",
  },
  not_allowed = {
    "A node of a JSON definition reaches a path, a host or a command that its loader does not allow, or Lua.",
    "Add it to `paths`, `hosts` or `commands` of `flow.load`, see"
      .. " [what a definition may do](json-definitions.md#what-a-definition-may-do).",
    "no",
  },
  untrusted_store = {
    "A store belongs to another user, and going on with its run would run the code in it as you.",
    "Where you trust that user, resume with `--trust`, or `trust = true`.",
    "–",
  },
  memory_limit = {
    "The outputs of a run would take more memory than one run may.",
    "Write what is large to files and return the paths, or raise `memory_limit` of the runtime.",
    "no",
  },
  output_too_large = {
    "An output is longer than the store's limit for one value.",
    "Write it to a file and return the path, or raise `output_limit`.",
    "no",
  },
  ownership_lost = {
    "Another process took this one's runs over, with `--force` or because it seemed to be gone; this"
      .. " one can write nothing more to them.",
    "Nothing: the other process goes on with them.",
    "–",
  },
  read_only = {
    "The server was started with `--read-only`, and the request would change something.",
    "Ask another server of the store, or use the command.",
    "no",
  },
  redis_busy = {
    "A Redis server cannot do it now: it loads its data, runs a long script, has no memory left, or is a "
      .. "replica. The message begins with its word for that, as does `details.error`.",
    "Try again: `retry`.",
    "yes",
  },
  redis_connection = {
    "A Redis server cannot be reached, is not ready within `connect_timeout`, says what is no Redis, or the "
      .. "connection was lost; whether it did what it was asked for then, is not known.",
    "Look at `url`, or `host` and `port`, and whether the server runs; `retry` tries again.",
    "yes",
  },
  redis_denied = {
    "A Redis server takes no commands without a password, not this user or password, or allows the user no "
      .. "such command.",
    "Give `user` and `password`, a secret; allow the command (`ACL SETUSER`).",
    "no",
  },
  redis_error = {
    "A Redis server has answered with an error; `details.error` is its first word, such as WRONGTYPE.",
    "Mend the key or the command; the message is the server's.",
    "no",
  },
  redis_timeout = {
    "A Redis server has not answered within `max_time`. Its connection is closed.",
    "Raise `max_time`, or ask for less; `retry` tries again.",
    "yes",
  },
  redis_too_large = {
    "A reply of a Redis server has more bytes than `max_size`, or more than 1,048,576 elements.",
    "Ask for less at once, as SCAN and GETRANGE do, or raise `max_size`.",
    "no",
  },
  redis_unavailable = {
    "hiredis, by which Redis is understood, is not there.",
    "Install it (Debian's package `libhiredis0.14`); `orrery doctor` says whether it is found.",
    "no",
  },
  rejected = {
    "Whoever decides an `approval` said no. `details` is the decision.",
    "`on_reject = \"continue\"` makes the decision the output; else it is as it should be.",
    "no",
  },
  run_ended = {
    "The run has ended, and takes no signal and cannot be resumed.",
    "`orrery retry` or `orrery fork` it.",
    "–",
  },
  run_not_begun = {
    "There was no memory for the run's first record, so it never began and was removed.",
    "Start it again.",
    "–",
  },
  run_not_ended = {
    "Only a run that has ended can be retried.",
    "`orrery resume` it, or `orrery cancel` it first.",
    "–",
  },
  run_not_found = {
    "The store has no such run.",
    "`orrery runs` lists those it has; mind `--store`.",
    "–",
  },
  run_owned = {
    "A living process runs it.",
    "Signals, pause and cancel reach it there. End that process to take it over; `--force` takes a"
      .. " run from one that hangs.",
    "–",
  },
  run_paused = {
    "Somebody paused the run, so resuming all leaves it alone.",
    "`orrery resume RUN` lets it go on.",
    "–",
  },
  run_timeout = {
    "The run took longer than the workflow's `timeout`.",
    "Raise `timeout` of the workflow; `orrery show` says where the time went.",
    "–",
  },
  s3_error = {
    "A server of objects refuses. `details.code` is its word, `details.status` the status.",
    "`NoSuchKey`: mind bucket and key; `SignatureDoesNotMatch`, `InvalidAccessKeyId`: the keys and the "
      .. "region;"
      .. " `RequestTimeTooSkewed`: the clock.",
    "408, 429, 5xx and what passes by policy",
  },
  secret_command = {
    "The command that gives a secret could not be run, failed, or printed nothing.",
    "The message has its exit code and the last line that it wrote to stderr: run it by hand as the user"
      .. " that runs Orrery.",
    "by policy",
  },
  runtime_closed = {
    "The runtime was closed: that of the run, or the one whose program declared the node type.",
    "Open another one, register the type there, and start or resume the run.",
    "by policy",
  },
  script_error = {
    "Lua that a call of the C API ran raised an error without a code.",
    "The message has the place; mend the script.",
    "–",
  },
  scripted = {
    "The attempt fails because the test says so (`failures`, `testing.fails`).",
    "Nothing: it is what the test tries out.",
    "by policy",
  },
  signal_timeout = {
    "No signal came within `timeout` of `ctx:wait` or `flow.wait`.",
    "Raise `timeout`, or give `on_timeout = \"continue\"`; `orrery signal` sends one.",
    "no",
  },
  stale_token = {
    "The attempt that a token names is over: it timed out, was cancelled, or was answered before.",
    "Nothing: drop the answer. A C handler answers each token once.",
    "–",
  },
  stall = {
    "Nothing runs, waits or is due that could let it go on: a wait that nothing can end, or nodes"
      .. " that nothing starts.",
    "Give `ctx:wait` a timeout, keep the run in a store, or end what the wait is for.",
    "a wait's by policy",
  },
  state_conflict = {
    "A value that runs share was to be changed only where it is still the one that was read, and another"
      .. " run has written it.",
    "Let `change` of `state.update`, or `state:update` in a handler, make the new value of whatever is"
      .. " there; or run what read it again.",
    "of `state:update` by policy, of a `version` no",
  },
  state_too_large = {
    "A value that is to be kept between runs has more than 1 MiB as JSON.",
    "Keep it in a file, and its path in the state.",
    "no",
  },
  store_error = {
    "The store cannot be read or written, or what is in it is not what was written, or its files went"
      .. " away and did not come back. The message has the file and the row.",
    "`orrery doctor` says what is wrong: space, permissions, damage. Put the files back where they are"
      .. " gone, `orrery restore` a backup where they are damaged, then `orrery resume`.",
    "–",
  },
  stuck = {
    "`orr_wait`: the run cannot go on, since nothing is left that could end what it waits for.",
    "Send the signal (`orr_signal`), or `orr_cancel` it.",
    "–",
  },
  suspended = {
    "The run was let go of here and is kept in the store.",
    "`orrery resume` lets it go on.",
    "–",
  },
  test_failed = {
    "A `test.case` did not pass: it failed, or came to no verdict. `details` has its status, message and"
      .. " output.",
    "Mend what it tests; a test that is flaky may have `retries`.",
    "by policy",
  },
  tests_failed = {
    "Cases of a `test.suite` did not pass. The message names the first, `details` has the counts and all of"
      .. " them; the report is written all the same.",
    "Mend what they test; `check = false` outputs the counts instead.",
    "by policy",
  },
  system_error = {
    "The system refused what an embedded runtime needs, such as a descriptor for its loop.",
    "The message says what; raise the limit (`ulimit -n`) or close what is not used.",
    "–",
  },
  timeout = {
    "One attempt took longer than the node's `timeout`, or code that never waits was stopped by the"
      .. " watchdog.",
    "Raise `timeout`; let long code wait now and then: `ctx:sleep(0)`.",
    "by policy",
  },
  template_error = {
    "What was read is no template: an expression or a block in it is wrong, or it reads a node's output.",
    "The message names the line; what a template in a file needs stands in `values`.",
    "no",
  },
  too_many_calls = {
    "A double of a test was called more often than its `testing.sequence` has answers.",
    "Add answers, or find out why it is called so often: `run:calls(name)`.",
    "no",
  },
  unauthorized = {
    "A request to the server has no token, or one that is wrong, revoked or has expired.",
    "Send `Authorization: Bearer TOKEN`; `orrery token create` makes one.",
    "no",
  },
  unicode_unavailable = {
    "utf8proc is not there, which texts with other letters than those of ASCII need in `data.normalize`.",
    "Install it (Debian's package `libutf8proc2`); `orrery doctor` says whether it is found.",
    "no",
  },
  validation_error = {
    "The input does not fit the workflow's schema. `problems` lists what is wrong.",
    "Mend the input; the message names the path and what was expected.",
    "no",
  },
  verification_timeout = {
    "Hunter had not verified an address after five minutes.",
    "Try again later: verifying goes on there meanwhile.",
    "by policy",
  },
  wait_escaped = {
    "A wait in a coroutine that is resumed by a `coroutine.resume` kept from before Orrery was"
      .. " loaded.",
    "Require `orrery` before the module that keeps it.",
    "by policy",
  },
  watch_timeout = {
    "Nothing was seen of a file, or in a folder, within the `timeout` of `file.watch`.",
    "Give it longer, or `on_timeout = \"continue\"`.",
    "no",
  },
  workflow_broken = {
    "The workflow does not load, so no run of it begins.",
    "Mend the mistakes that the answer lists; the server looks at the file again by itself.",
    "no",
  },
  workflow_paused = {
    "The workflow is paused, so its runs are not resumed.",
    "`orrery resume --workflow NAME` takes that back.",
    "–",
  },
  wrong_host = {
    "The request calls the server by a name that it does not know, as a page does that has its own"
      .. " name lead to this machine.",
    "Use an address or `localhost`, or start the server with `--host NAME`.",
    "no",
  },
  wrong_state = {
    "The run is in a state in which this cannot be done; mostly it has ended.",
    "Ask `orr_state` first.",
    "–",
  },
  worker_failed = {
    "No worker could be had for a handler with `strategy = \"thread\"`: no thread was to be had, or its Lua"
      .. " state could not be opened. The message says why.",
    "Lower `workers.max` of the runtime, or give the process more memory or threads.",
    "by policy",
  },
  wait_timeout = {
    "What a `bus.wait`, `flow.receive`, `redis.subscribe` or `redis.stream_read` waits for did not come "
      .. "within its `timeout`.",
    "Raise `timeout`, or give `on_timeout = \"continue\"`; see that somebody publishes under that name.",
    "yes",
  },
  wrong_type_of_body = {
    "The body of the request is not JSON, by its header Content-Type.",
    "Send `Content-Type: application/json`.",
    "no",
  },
  xml_error = {
    "A text is no XML, is nested too deep or too large, or refers to what stands outside of it; the message "
      .. "has file, line and column.",
    "Mend the document; where it is right and large, raise the bound that the message names.",
    "no",
  },
  xml_unavailable = {
    "libexpat, which reads XML, is not there, or is too old.",
    "Install it (Debian's package `libexpat1`); `orrery doctor` says whether it is found.",
    "no",
  },
}
