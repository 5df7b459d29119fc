---@meta orrery
-- luacheck: ignore 241 (the tables are declared, not used)
-- Annotations of the module `orrery` for editors with the Lua language server. Add this folder to `workspace.library`.

---A span of time: "250ms", "5s", "1h30m", "3d", ISO 8601 ("PT5S"), or a number of seconds.
---@alias orrery.Duration string|number

---A condition: an expression ("nodes.parse.wind > 100"), a template ("${input.force}"), or a function.
---@alias orrery.Condition string|boolean|fun(ctx: orrery.Context): any

---What may stand in `after`: a node's name, "switch:outcome", a node, or a list of these.
---@alias orrery.After string|table|(string|table)[]

---@alias orrery.RetryPreset "quick"|"standard"|"aggressive"|"conservative"

---@class orrery.RetryPolicy what is left out is as in "standard"
---@field max? integer retries after the first attempt (3)
---@field strategy? "fixed"|"linear"|"exponential"|"random" how the delay grows ("exponential")
---@field delay? orrery.Duration before the first retry (1 s)
---@field factor? number growth, for "exponential" (2)
---@field max_delay? orrery.Duration no delay is longer (30 s, or `delay` where that is more)
---@field jitter? "none"|"full"|"equal" ("equal")
---@field on? string|string[] only these error codes are retried
---@field unless? string|string[] these are not

---@class orrery.Need
---@field need integer how many dependencies must complete
---@field cancel_rest? boolean cancel those that have not settled then

---@class orrery.Loop
---@field until? orrery.Condition ends the loop; may use `output`, what the iteration returned. Written ["until"] = … in Lua
---@field max? integer fails with `loop_exhausted` after so many iterations
---@field delay? orrery.Duration between iterations

---@class orrery.Breaker
---@field name string nodes with the same name share one breaker
---@field threshold? integer failures within `window` that open it (5)
---@field window? orrery.Duration (60 s)
---@field cooldown? orrery.Duration (30 s)
---@field probes? integer attempts let through while half open (1)

---The keys that every node may have.
---@class orrery.NodeKeys
---@field after? orrery.After what it waits for, besides what its expressions mention
---@field when? orrery.Condition false: the node is skipped
---@field join? "all"|"all_completed"|"any"|"done"|"failed"|orrery.Need ("all")
---@field retry? integer|orrery.RetryPreset|orrery.RetryPolicy
---@field timeout? orrery.Duration of an attempt
---@field deadline? orrery.Duration of all attempts with their delays, from ready
---@field heartbeat? orrery.Duration longest silence between `ctx:progress` or `ctx:heartbeat`
---@field on_error? "ignore" a failure counts as completed with a nil output
---@field fallback? any a value, or function(ctx, err), that takes the place of a failure
---@field pool? string|fun(ctx: orrery.Context): string
---@field priority? "critical"|"high"|"normal"|"low"|"background" ("normal")
---@field breaker? string|orrery.Breaker
---@field each? string|table|fun(ctx: orrery.Context): table once for each item of a list
---@field each_failures? integer|string items that may fail: a number or "10%"
---@field loop? orrery.Loop
---@field estimate? orrery.Duration how long it takes, for the critical path
---@field doc? string

---@class orrery.LuaNode: orrery.NodeKeys a node that is a function
---@field run fun(ctx: orrery.Context, inputs: table<string, any>): any

---@class orrery.TypedNode: orrery.NodeKeys
---@field type? string a node type's name, where the type was not called
---@field with? table config

---@class orrery.Workflow assign nodes to its fields
---@field [string] orrery.LuaNode|orrery.TypedNode|table

---@class orrery.WorkflowOptions
---@field name? string the file's name where it is left out
---@field doc? string
---@field input? orrery.Schema|table what a run must be given
---@field output? any a template, a table of templates, or function(ctx)
---@field timeout? orrery.Duration of a run
---@field on_error? "stop"|"drain"|"continue" ("stop")
---@field concurrency? integer nodes of a run at a time
---@field cleanup_timeout? orrery.Duration of the cleanup nodes after a cancel (30 s)
---@field env? string[] environment variables that expressions may read as env.NAME

---@class orrery.RunInfo
---@field id string
---@field workflow string its name
---@field started number seconds since 1970

---What a handler is given. It is read only, and valid as long as its attempt.
---@class orrery.Context
---@field node string the node's name
---@field attempt integer from 1
---@field run orrery.RunInfo
---@field input any
---@field inputs table<string, any> outputs of its dependencies; another name raises
---@field context any
---@field env table<string, string> the environment variables named by the workflow's `env`
---@field nodes table<string, any> outputs by node
---@field states table<string, string>
---@field errors table<string, table>
---@field item any with `each`
---@field index integer|nil with `each`, from 1
---@field iteration integer from 1, with `loop`
---@field cancelled boolean whether it has been asked to stop
---@field idempotency_key string the same for all attempts
local Context = {}
---Waits; the node holds no slot meanwhile.
---@param duration orrery.Duration
function Context:sleep(duration) end
---Emits an event of your own.
---@param event string
---@param data any
function Context:emit(event, data) end
---@param level "debug"|"info"|"warn"|"error"
---@param message string
---@param fields? table
function Context:log(level, message, fields) end
---Shows how far the node is, and that it lives.
---@param fraction number 0 to 1
---@param message? string
function Context:progress(fraction, message) end
---Shows that the node lives.
function Context:heartbeat() end
---Runs another workflow and returns its output; waits.
---@param workflow orrery.Workflow|string
---@param input any
---@return any
function Context:call(workflow, input) end

---@class orrery.Problem
---@field message string
---@field where? string
---@field node? string
---@field field? string
---@field kind string

---@class orrery.Error
---@field code string
---@field message string
---@field node? string
---@field retryable? boolean
---@field details? any
---@field traceback? string

---@class orrery.Plan
local Plan = {}
---@return integer[] layer by node, from 1
function Plan:layers() end
---@return integer[] nodes
---@return number seconds
function Plan:critical() end
---@return integer
function Plan:bytes() end

---@class orrery.Compiled
---@field name string
---@field def table
---@field plan orrery.Plan
---@field workflow orrery.Workflow
---@field input? orrery.Schema
---@field env? table<string, string>
---@field groups? table

---@class orrery.Why
---@field kind string "settled", "running", "dependency", "run_limit", "pool", "rate", "breaker", "backoff", "timer", …
---@field state string of the node
---@field by? string a node, in `by_run` where that is another run
---@field by_run? string
---@field name? string of the pool or breaker
---@field count? integer
---@field limit? integer
---@field due? number seconds since 1970
---@field since? number seconds since 1970
---@field skip? "upstream"|"when"|"outcome"
---@field cause? "failure"|"cancel"|"timeout"|"stall"

---@class orrery.Stats
---@field by_state table<string, integer>
---@field attempts integer fallbacks among them
---@field retries integer
---@field items integer
---@field running integer
---@field peak_running integer
---@field created number seconds since 1970
---@field started? number
---@field ended? number

---@class orrery.Run
---@field id string
---@field workflow string its name
---@field state "pending"|"running"|"waiting"|"paused"|"completed"|"failed"|"cancelled"
---@field ended boolean
---@field output any
---@field error orrery.Error|nil
local Run = {}
---Cancels what runs, then cleanup nodes run; a second call skips those.
function Run:cancel() end
---Starts nothing more until `resume`.
function Run:pause() end
function Run:resume() end
---Why a node has not started, or how it ended.
---@param node string
---@param item? integer
---@return orrery.Why
function Run:why(node, item) end
---What the engine holds for it, values of Lua apart.
---@return integer
function Run:bytes() end
---The records of a run that was started with `journal = true`.
---@return table[] {seq, kind, time, node, item, attempt, value, …}
function Run:journal() end
---@return table<string, string>
function Run:states() end
---@return table<string, any>
function Run:outputs() end
---@return table<string, orrery.Error>
function Run:errors() end
---@return orrery.Stats
function Run:stats() end

---@class orrery.Runtime
local Runtime = {}
---Waits for the run's end.
---@param run orrery.Run
---@return orrery.Run
function Runtime:wait(run) end
---Works for about so long without blocking; not in a handler.
---@param seconds number
---@return boolean more whether there is more to do now
function Runtime:step(seconds) end
---@return number seconds since 1970 on its clock
function Runtime:now() end
---@param fn fun(event: table) for every event of every run on it
---@return fun() off
function Runtime:on(fn) end
---@param name string
---@param options {max: integer?, rate: number?, per: number?}
function Runtime:pool(name, options) end
---@param name string
---@return boolean
function Runtime:has_pool(name) end
---@param name string
---@param paused boolean
function Runtime:pause_pool(name, paused) end
---@param name string
---@param options {threshold: integer?, window: number?, cooldown: number?, probes: integer?}
function Runtime:breaker(name, options) end
---Starts a compiled plan; the input is not checked.
---@param plan orrery.Plan
---@param options? table
---@return orrery.Run
function Runtime:start(plan, options) end

---@class orrery.RunOptions
---@field input? any
---@field context? any seen by every node as ctx.context
---@field only? string|string[] these nodes and what they depend on
---@field from? string|string[] these nodes and what depends on them; outputs of what is upstream are nil
---@field concurrency? integer instead of the workflow's
---@field clock? "real"|"virtual" a runtime of its own with that clock
---@field runtime? orrery.Runtime
---@field seed? integer of every chance in the run
---@field id? string
---@field journal? boolean keep every record of the run, for run:journal()
---@field on_event? fun(event: table) told every event of this run

---@class orrery.NodeTypeOptions
---@field name string words joined by dots, "slack.post"
---@field doc? string
---@field config? orrery.Schema|table
---@field run fun(ctx: orrery.Context, config: table, inputs: table<string, any>): any
---@field pool? string nodes of the type draw from it unless they say otherwise
---@field outcomes? string[]|fun(config: table): string[] which `after = "node:outcome"` may name; the handler returns flow.outcome
---@field expressions? string[] config keys whose strings are expressions; the handler gets them as function(ctx)
---@field positional? string the config key meant by a value without a key, `flow.delay { "5s" }`; "argv[]": by all of them, as an array
---@field check? fun(config: table): string?, string? what is wrong with config that fits the schema, templates unresolved
---@field examples? string[]
---@field output? any schema or description of what it outputs

---@class orrery.NodeType
---@field name string
---@overload fun(config: table): any

---@class orrery.Schema
---@class orrery.Json
---@field null any null inside arrays and objects
---@field array_mt table marks arrays
---@field object_mt table marks objects
local json = {}
---@param value any
---@param options? {indent: integer?, sort: boolean?, depth: integer?, limit: integer?}
---@return string
function json.encode(value, options) end
---@param text string
---@param options? {name: string?, depth: integer?, duplicates: "error"|"last"|nil}
---@return any
function json.decode(text, options) end
---@param value any
---@return true|nil plain whether it is plain data
---@return string|nil what is not
function json.check(value) end
---@param t any
---@return boolean whether it is written as an array
function json.is_array(t) end
---@param t? table
---@return table
function json.array(t) end
---@param t? table
---@return table
function json.object(t) end

---@class orrery.SpawnOptions
---@field argv? string[] the program and its arguments; or `shell`
---@field shell? string a command for /bin/sh
---@field cwd? string
---@field env? table<string, string|false> set, or removed
---@field clean_env? boolean starts from an empty environment
---@field input? string the standard input; /dev/null where it is missing
---@field stdout? "capture"|"stream"|"inherit"|"discard" ("capture")
---@field stderr? "capture"|"stream"|"inherit"|"discard" ("capture")
---@field on_chunk? fun(name: "stdout"|"stderr", text: string) what is streamed
---@field limit? integer bytes kept of each captured output (16 MiB)
---@field grace? number seconds between TERM and KILL (2)
---@field linger? number seconds to wait for the outputs to close once it has exited (1)

---@class orrery.SpawnResult
---@field code integer 128 + signal where one ended it
---@field signal? string
---@field stdout? string
---@field stderr? string
---@field truncated? boolean
---@field dropped? integer bytes beyond the limit
---@field held? boolean another process kept an output open
---@field pid integer

---@class orrery.Process
local Process = {}
---Ends the group with TERM, then KILL.
function Process:terminate() end
---@param name? string a signal to the group ("TERM")
---@return boolean there whether it was there
function Process:kill(name) end
---@return integer
function Process:pid() end

---@class orrery.TransferOptions
---@field url string
---@field method? string ("GET")
---@field headers? table {Name = "value"}, {Name = {"value", …}}, or a list of {"Name", "value"}
---@field body? string
---@field limit? integer bytes of the decoded body (64 MiB)
---@field redirects? integer followed at most (10)
---@field timeout? number seconds
---@field connect_timeout? number seconds (30)
---@field idle_timeout? number seconds
---@field insecure? boolean certificates are not verified
---@field ca? string file of trusted certificates
---@field user_agent? string

---@class orrery.TransferResponse
---@field status integer
---@field headers table<string, string|string[]> by name in lower case
---@field body string
---@field url string
---@field seconds number
---@field redirects integer

---@class orrery.Transfer
local Transfer = {}
---Drops it; the callback is not called.
function Transfer:cancel() end

---@class orrery
---@field version string
---@field json orrery.Json
---@field retries table<orrery.RetryPreset, orrery.RetryPolicy>
---@field const orrery.NodeType
---@field delay orrery.NodeType
---@field exec orrery.NodeType
---@field log orrery.NodeType
---@field merge orrery.NodeType
---@field switch orrery.NodeType
---@field condition orrery.NodeType
---@field call orrery.NodeType the type "workflow"
---@field file {read: orrery.NodeType, write: orrery.NodeType, list: orrery.NodeType}
---@field http {get: orrery.NodeType, request: orrery.NodeType}
local flow = {}
---@param options orrery.WorkflowOptions
---@return orrery.Workflow
function flow.workflow(options) end
---@param fields table
---@return orrery.Schema
function flow.schema(fields) end
---@param options orrery.NodeTypeOptions
---@return orrery.NodeType
function flow.type(options) end
---@return orrery.NodeType[]
function flow.types() end
---Nodes side by side; the output is an array, or an object where all members have names.
---@param members table
---@return table
function flow.parallel(members) end
---Nodes one after another; the output is the last one's.
---@param members table
---@return table
function flow.sequence(members) end
---Declares a pool; without options it only asks for the declaration.
---@param name string
---@param options? {max: integer?, rate: (string|number)?}
---@return {max: integer?, rate: number?, per: number?}|nil
function flow.pool(name, options) end
---Starts a child process; what `exec` is made of. The callback gets an error or a result, once, later.
---@param options orrery.SpawnOptions
---@param callback fun(err: orrery.Error|nil, result: orrery.SpawnResult|nil)
---@return orrery.Process handle
function flow.spawn(options, callback) end
---Starts an HTTP transfer; what the `http` types are made of. The callback gets an error or a response, once, later.
---@param options orrery.TransferOptions
---@param callback fun(err: orrery.Error|nil, response: orrery.TransferResponse|nil)
---@return orrery.Transfer handle
function flow.transfer(options, callback) end
---Performs a node where the call stands and returns its output: in a script, at the prompt, in a handler. Waits. Raises the
---error that the node fails with. Inside a handler the output of a type's call is returned as it is.
---@param node table what a call of a node type makes, a table with `run` or `type`, a group
---@return any output
function flow.now(node) end
---Waits, in a handler or outside one.
---@param duration orrery.Duration
function flow.sleep(duration) end
---Raises a structured error.
---@param e {code: string?, message: string, retryable: boolean?, retry_after: orrery.Duration?, details: any}|string
function flow.error(e) end
---What a handler returns to end now and let its node complete that much later, without an output. The node keeps no
---coroutine meanwhile.
---@param duration orrery.Duration
---@return any
function flow.later(duration) end
---What a handler of a type with outcomes returns.
---@param name string
---@param value any the output
---@return any
function flow.outcome(name, value) end
---Waits for a callback: `start(resume)` is called at once and may return a function that is called on cancel.
---@param start fun(resume: fun(...)): (fun(): boolean?)?
---@return any ... what resume was called with
function flow.await(start) end
---Calls functions side by side and waits for all; an array of their results.
---@param list (fun(): any)[]
---@return any[]
function flow.gather(list) end
---The context of the handler that runs, or nil.
---@return orrery.Context|nil
function flow.running() end
---@param pattern string
---@param fn fun(event: table)
---@return fun() off
function flow.on(pattern, fn) end
---@param from string|{source: string, name: string?}
---@return orrery.Workflow
function flow.load(from) end
---@param what orrery.Workflow|string
---@return orrery.Problem[]
function flow.check(what) end
---@param w orrery.Workflow
---@return orrery.Compiled|nil
---@return orrery.Problem[]|nil
function flow.compile(w) end
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run
function flow.run(what, options) end
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run
function flow.start(what, options) end
---@param options? {clock: "real"|"virtual"|nil, grace: number?, watchdog: boolean?, now: number?}
---@return orrery.Runtime
function flow.runtime(options) end
---@param x orrery.Duration
---@return number seconds
function flow.duration(x) end

return flow
