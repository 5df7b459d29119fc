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
---@field compensate? orrery.Undo|orrery.Compensate undoes the node where the run fails or is cancelled
---@field cache? boolean|orrery.Duration|orrery.CacheKey takes an earlier output where there is one
---@field estimate? orrery.Duration how long it takes, for the critical path
---@field doc? string

---@alias orrery.Undo fun(ctx: orrery.Context, inputs: table<string, any>): any

---@class orrery.Compensate
---@field run? orrery.Undo this, or a node type and its config
---@field type? string
---@field with? table may mention the output of the node itself
---@field retry? integer|orrery.RetryPreset|orrery.RetryPolicy
---@field timeout? orrery.Duration of an attempt

---@class orrery.CacheKey
---@field key? string|fun(ctx: orrery.Context): any what the output depends on; nil: the cache is not asked
---@field ttl? orrery.Duration how old it may be

---@class orrery.LuaNode: orrery.NodeKeys a node that is a function
---@field run fun(ctx: orrery.Context, inputs: table<string, any>): any

---@class orrery.TypedNode: orrery.NodeKeys
---@field type? string a node type's name, where the type was not called
---@field with? table config

---@class orrery.Workflow assign nodes to its fields
---@field [string] orrery.LuaNode|orrery.TypedNode|table

---@class orrery.Saga a workflow that is written as a chain of steps
local Saga = {}
---Adds a step after the one before it.
---@param name string
---@param action orrery.Undo|orrery.LuaNode|orrery.TypedNode
---@param undo? orrery.Undo|orrery.Compensate
---@param keys? orrery.NodeKeys
---@return orrery.Saga
function Saga:step(name, action, undo, keys) end

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
---@field output any in a compensation: what the node had returned
---@field uncertain boolean in a compensation: whether it is unknown what the node's last attempt did
---@field error orrery.Error|nil in a compensation: why the run is undone
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
---Calls fn(...) and keeps what it returned; where the handler runs again, that is returned and fn is not called. Waits.
---@param name string
---@param fn fun(...): any
---@param ... any
---@return any
function Context:step(name, fn, ...) end
---Waits for a signal and returns its data. Raises `signal_timeout`.
---@param signal string
---@param options? {timeout: orrery.Duration}
---@return any
function Context:wait(signal, options) end
---Seconds since the epoch; the same when the handler runs again. Waits.
---@return number
function Context:now() end
---As math.random; the same when the handler runs again. Not for secrets.
---@param m? integer
---@param n? integer
---@return number
function Context:random(m, n) end
---A UUID of version 4; the same when the handler runs again. Not for secrets.
---@return string
function Context:uuid() end

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

---@class orrery.Store
---@field url string
---@field kind "sqlite"|"memory"
local Store = {}
---@param sql string a SELECT
---@param ... string|number|boolean|nil its parameters
---@return table[] rows by the names of their columns
function Store:query(sql, ...) end
---@param sql string
---@param ... string|number|boolean|nil
---@return fun(): table|nil
function Store:each(sql, ...) end
---@param changes any[][] { sql, parameters... }, in one transaction; `n` says how many parameters where nil is among them
---@return integer changed rows
function Store:change(changes) end
---@param run string id
---@param name string
---@param text? string JSON
---@param dedup? string a second message with the same is none
function Store:send(run, name, text, dedup) end
---Brings the tables up to date with the journal.
function Store:project() end
---@param kind "bundle"|"module"|"blob"|"cache"
---@param key string
---@return table|nil row, or the list of a bundle's modules
function Store:get(kind, key) end
---@param path string
function Store:backup(path) end
function Store:close() end

---@class orrery.Plan
local Plan = {}
---@return integer[] layer by node, from 1
function Plan:layers() end
---@return integer[] nodes
---@return number seconds
function Plan:critical() end
---@return string[] names of outcomes that are depended on, in the order of their numbers
function Plan:ports() end
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
---@field state "pending"|"running"|"waiting"|"paused"|"completed"|"failed"|"cancelled"|"compensating"|"compensated"|"compensation_failed"
---@field ended boolean
---@field output any
---@field error orrery.Error|nil
local Run = {}
---Cancels what runs, then cleanup nodes run; a second call skips those.
function Run:cancel() end
---Sends it a signal; each is taken once, by the first `ctx:wait` for that name. Raises `run_ended`.
---@param name string
---@param data? any
function Run:signal(name, data) end
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
---What was undone, in that order, and what could not be.
---@return {node: string, item: integer|nil, state: string, uncertain: boolean, error: orrery.Error|nil, value: any}[]
function Run:compensations() end
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

---Lets a run of a store go in good order; this or another process can resume it.
function Run:suspend() end

---@class orrery.RunRecord a run that has a key already, as things stand: it is over, or another process runs it
---@field id string
---@field workflow string
---@field state string
---@field ended boolean
---@field output any
---@field error orrery.Error|nil
---@field existing true
local RunRecord = {}
---Waits until it has ended, and goes on with it here where its process is gone.
---@return orrery.RunRecord
function RunRecord:wait() end

---@class orrery.Runtime
local Runtime = {}
---Takes over a run of the store and lets it go on with this plan.
---@param plan orrery.Plan
---@param id string
---@param options? {force: boolean?, mode: "recover"|"retry"|nil, env: string[]?}
---@return orrery.Run
function Runtime:restore(plan, id, options) end
---Waits until everything that was recorded is durable; blocks the loop.
function Runtime:sync() end
---Makes durable what was recorded and closes the store; live runs stay resumable.
function Runtime:close() end
---@return boolean whether runs keep a journal in a store unless they ask for none
function Runtime:durable() end
---@return string|nil of its store
function Runtime:url() end
---@return orrery.Store|nil the store of its runs, to look at
function Runtime:store() end
---Adds a module to a bundle of the store.
---@param bundle string hash
---@param name string
---@param path string|nil
---@param source string
function Runtime:keep_module(bundle, name, path, source) end
---Asks a function for more to do before each turn of the loop, until it answers nil: true where it has done something, false where there
---is nothing to do now.
---@param fn? fun(): boolean|nil
function Runtime:refill(fn) end
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
---@field store? string where the run is kept, "sqlite:PATH" or "memory:"; ORRERY_STORE where it is left out, else memory
---@field durability? "strict"|"relaxed"|"none" what is waited for before what depends on a result starts
---@field key? string idempotency key: the same one never starts two runs of a workflow
---@field labels? table<string, any> to find the run by
---@field on_event? fun(event: table) told every event of this run

---@class orrery.ResumeOptions
---@field store? string the store's URL; ORRERY_STORE where it is left out
---@field runtime? orrery.Runtime
---@field force? boolean also from a process that lives, and what was interrupted too often
---@field code? boolean|string with today's code: true for the file it began with, or another file
---@field on_event? fun(event: table)

---@class orrery.ForkOptions: orrery.ResumeOptions
---@field from? string|string[] these nodes run again, and all that follows from them
---@field input? any laid over the old input
---@field set? table<string, any> outputs of nodes that are not run but given

---@class orrery.NodeTypeOptions
---@field name string words joined by dots, "slack.post"
---@field doc? string
---@field config? orrery.Schema|table
---@field run fun(ctx: orrery.Context, config: table, inputs: table<string, any>): any
---@field pool? string nodes of the type draw from it unless they say otherwise
---@field outcomes? string[]|fun(config: table): string[] which `after = "node:outcome"` may name; the handler returns flow.outcome
---@field expressions? string[] config keys whose strings are expressions; the handler gets them as function(ctx)
---@field own_timeout? boolean a node's `timeout` is config of the type, and no bound of the attempt
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
---@field wait orrery.NodeType
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
---A workflow of steps in sequence, each with what undoes it.
---@param name string
---@param options? orrery.WorkflowOptions
---@return orrery.Saga
function flow.saga(name, options) end
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
---@return orrery.Run|orrery.RunRecord a record where a run of another process has the key
function flow.run(what, options) end
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run|orrery.RunRecord a record where a run has the key that is over, or that another process runs
function flow.start(what, options) end
---Lets a run of a store go on whose process is gone.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
function flow.resume(id, options) end
---Runs what failed in an ended run, and what follows from it, again.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
function flow.retry(id, options) end
---Starts a run that takes over what another has completed.
---@param id string
---@param options? orrery.ForkOptions
---@return orrery.Run
function flow.fork(id, options) end
---@class orrery.RuntimeOptions
---@field clock? "real"|"virtual"
---@field now? number
---@field store? string
---@field durability? "strict"|"relaxed"|"none"
---@field grace? number
---@field watchdog? boolean
---@field watch? orrery.Duration|false
---@field output_limit? integer
---@field crash_limit? integer
---@field resume? boolean|orrery.RecoverOptions

---@param options? orrery.RuntimeOptions
---@return orrery.Runtime
function flow.runtime(options) end
---@param x orrery.Duration
---@return number seconds
function flow.duration(x) end

return flow
