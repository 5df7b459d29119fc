---@meta orrery
-- luacheck: ignore 241 (the tables are declared, not used)
-- Annotations of the module `orrery` for editors with the Lua language server. Add this folder to
-- `workspace.library`.

---A span of time: "250ms", "5s", "1h30m", "3d", ISO 8601 ("PT5S"), or a number of seconds.
---@alias orrery.Duration string|number

---A condition: an expression ("nodes.parse.wind > 100"), a template ("${input.force}"), or a
---function.
---@alias orrery.Condition string|boolean|fun(ctx: orrery.Context): any

---What may stand in `after`: a node's name, "switch:outcome", a node, or a list of these.
---@alias orrery.After string|table|(string|table)[]

---@alias orrery.RetryPreset "quick"|"standard"|"aggressive"|"conservative"

---@class orrery.RetryPolicy what is left out is as in "standard"
---@field max? integer retries after the first attempt (3)
---@field strategy? "fixed"|"linear"|"exponential"|"random" how the delay grows ("exponential")
---@field delay? orrery.Duration before the first retry (1 s)
---@field factor? number growth, with "exponential" only (2)
---@field max_delay? orrery.Duration no delay is longer (30 s, or `delay` where that is more), nor what an error asks for (1 h)
---@field jitter? "none"|"full"|"equal" ("equal")
---@field on? string|string[] only these error codes are retried
---@field unless? string|string[] these are not

---@class orrery.Need
---@field need integer how many dependencies must complete
---@field cancel_rest? boolean cancel those that have not settled then

---@class orrery.Loop
---@field until? orrery.Condition ends the loop; may use `output`, what the iteration returned. Written ["until"] = … in Lua
---@field max? integer fails with `loop_exhausted` after so many iterations
---@field times? integer repeats it so often, whatever comes of it; without `until` and `max`
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
---@field retry? integer|orrery.RetryPreset|"learned"|orrery.RetryPolicy|orrery.RetryPolicy[] of a list the first that fits decides
---@field timeout? orrery.Duration of an attempt
---@field deadline? orrery.Duration of all attempts with their delays, from ready
---@field heartbeat? orrery.Duration longest silence between `ctx:progress` or `ctx:heartbeat`
---@field on_error? "ignore"|"stop" ignore: a failure counts as completed with a nil output; stop: one
--- that nobody handles stops the run, also where the workflow continues
---@field handles? boolean (true) false: it handles no failure, and is a cleanup node whatever its join
---@field fallback? any a value, or function(ctx, err), that takes the place of a failure
---@field pool? string|(fun(ctx: orrery.Context): string)|{name: any, hold: boolean?} hold: until it has settled
---@field strategy? "direct"|"thread" where its handler runs: on the loop, or in a worker ("direct")
---@field priority? "critical"|"high"|"normal"|"low"|"background" ("normal")
---@field breaker? string|orrery.Breaker
---@field each? string|table|fun(ctx: orrery.Context): table once for each item of a list
---@field each_failures? integer|string items that may fail: a number or "10%"
---@field each_on_failure? "stop"|"drain"|"continue" ("stop") what becomes of the others at the one more that failed
---@field each_parallel? integer items that may have begun and not ended, waits included
---@field item_name? string|fun(ctx: orrery.Ctx): string what each item is called, by a template or a function
---@field loop? orrery.Loop
---@field compensate? orrery.Undo|orrery.Compensate undoes the node where the run fails or is cancelled
---@field cache? boolean|orrery.Duration|orrery.CacheKey takes an earlier output where there is one
---@field estimate? orrery.Duration how long it takes, for the critical path and the order of ready nodes
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
---@field pools? table<string, integer|{max: integer?, rate: (string|number)?, burst: integer?}>
---@field env? string[] environment variables that expressions may read as env.NAME
---@field triggers? table[] what starts its runs by itself: flow.schedule { … }, watch, after_run, hook, alert
---@field singleton? string|true a template of input, context and env: of the runs with one value one goes on at a time; nil: no lock
---@field on_conflict? "queue"|"cancel_running"|"skip"|"fail" ("queue") what becomes of a run whose lock another has
---@field estimates? "learned" nodes without an `estimate` take the median of earlier runs in the store

---@class orrery.Trigger
---@field kind string "command", "script", "c_api", "child", "fork", "retry", a trigger's type, or what flow.run was given
---@field schedule? string the id of the schedule or other trigger
---@field time number seconds since 1970
---@field payload? any
---@field run? string the run that has called it, or that it was forked from
---@field node? string the node that has called it

---@class orrery.RunInfo
---@field id string
---@field workflow string its name
---@field started number seconds since 1970
---@field trigger orrery.Trigger what has started it
---@field state string how the run would end now, for cleanup nodes: "running" while it goes on as it
--- should, "failed", "cancelled", "compensated", "compensation_failed"
---@field cause? "failure"|"cancel"|"timeout"|"stall" why, where it is not "running"
---@field error? orrery.Error with which it would end, where it is not "running"

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
---@field errors table<string, orrery.Error> of a node that completed without all of its items, too: `items_failed`
---@field item any with `each`
---@field index integer|nil with `each`, from 1
---@field item_name string|nil with `item_name`
---@field iteration integer from 1, with `loop`
---@field previous any with `loop`: the output of the iteration before, nil in the first
---@field restarted any what `ctx:restart` gave; nil where the handler did not begin anew
---@field cancelled boolean whether it has been asked to stop
---@field trigger orrery.Trigger what has started the run
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
---Lets others read a value of the run: the last one of each name is kept with it.
---@param name string of 1 to 128 bytes
---@param value any plain data, of at most 64 KiB as JSON
function Context:publish(name, value) end
---Counts what the attempt has used: tokens, money, requests. Kept with it, and added up by name.
---@param name string
---@param amount number from 0 to 1e15
function Context:cost(name, amount) end
---Shows how far the node is, and that it lives.
---@param fraction number 0 to 1
---@param message? string
function Context:progress(fraction, message) end
---Shows that the node lives.
function Context:heartbeat() end
---Runs another workflow and returns its output; waits.
---@param workflow orrery.Workflow|string
---@param input any
---@param options? { context: any } the child's, in the place of this one's
---@return any
function Context:call(workflow, input, options) end
---Calls fn(...) and keeps what it returned; where the handler runs again, that is returned and fn
---is not called. Waits.
---@param name string
---@param fn fun(...): any
---@param ... any
---@return any
function Context:step(name, fn, ...) end
---Ends the handler and begins it anew, without its steps; it finds the value as `ctx.restarted`.
---@param value any plain data
function Context:restart(value) end
---Waits for a signal and returns its data. Raises `signal_timeout`.
---@param signal string
---@param options? {timeout: orrery.Duration}
---@return any
function Context:wait(signal, options) end
---The items of a node with `each` as they are now; nil where its list is not known yet.
---@param node string
---@return orrery.Item[]|nil
function Context:items(node) end
---Seconds since the epoch; the same when the handler runs again. Waits.
---@return number
function Context:now() end
---Values that outlive runs: those of the workflow, or those that all workflows of the store share.
---@param options? {shared: boolean?}
---@return orrery.State
function Context:state(options) end
---As math.random; the same when the handler runs again. Not for secrets.
---@param m? integer
---@param n? integer
---@return number
function Context:random(m, n) end
---A UUID of version 4; the same when the handler runs again. Not for secrets.
---@return string
function Context:uuid() end

---@class orrery.State
local State = {}
---The value of a key and its version, the same when the handler runs again. Waits.
---@param key string 1 to 512 bytes of UTF-8 without control characters
---@return any value, string? version nothing where there is none
function State:get(key) end
---Sets it, with `version` only where that is still the one ("": where there is none). Waits. Raises
---`state_too_large`, `invalid_state`.
---@param key string
---@param value any at most 1 MiB as JSON
---@param options? {ttl: orrery.Duration?, version: string?}
---@return string|false version
function State:set(key, value, options) end
---Sets it to fn(value), anew where another run has written meanwhile. Waits. Raises
---`state_conflict`.
---@param key string
---@param fn fun(value: any): any nil: removes it
---@param options? {ttl: orrery.Duration?}
---@return any value, string version
function State:update(key, fn, options) end
---Removes it. Waits.
---@param key string
---@param options? {version: string?}
---@return boolean removed
function State:remove(key, options) end

---@class orrery.Item
---@field index integer from 1
---@field name string|nil with `item_name`
---@field state string
---@field error orrery.Error|nil

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
---@param name string of a query in docs/store.md
---@param parameters? table<string, any> by their names
---@return table[] rows by the names of their columns
function Store:rows(name, parameters) end
---@param name string
---@param parameters? table<string, any>
---@return table|nil row the first one
function Store:row(name, parameters) end
---@param name string
---@param parameters? table<string, any>
---@return fun(): table|nil
function Store:each_row(name, parameters) end
---@param name string of a change in docs/store.md
---@param parameters? table<string, any>
---@return integer changed rows
function Store:perform(name, parameters) end
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
---Calls a function; all that it reads is of one moment, that of the first where it takes another
---one. It may neither wait nor change or close the store. Raises what it raises.
---@param fn function
---@param ... any its arguments
---@return any ... what it gives
function Store:snapshot(fn, ...) end
---The records of a run's journal after one of them, as `run:journal` gives them, without values:
---`index` in place of `node`, from 1, and `port` in place of `outcome`. Raises where they cannot be
---read.
---@param run string id
---@param after integer sequence number, 0: from the first on
---@param most integer
---@return table[]|nil records nil where there is no such run
function Store:records(run, after, most) end
---Brings the tables up to date with the journal.
function Store:project() end
---@param kind "bundle"|"module"|"blob"|"cache"
---@param key string
---@return table|nil row, or the list of a bundle's modules
function Store:get(kind, key) end
---@param id integer of a process in `owners`
---@return "lives"|"self"|"gone"|nil
function Store:owner(id) end
--- What its writer has done: commits with records, seconds since the oldest record came that no
--- table shows yet, whether commits fail now. Nil of a store in memory.
---@return { commits: integer, late: number, failing: boolean }|nil
function Store:figures() end

--- Lets what a stopped process holds of the store go, where it stands in the way of taking its run.
--- Does not wait. Raises where the store cannot be read.
---@param id string of a run
function Store:unblock(id) end
--- Calls a function; all that it reads is of one moment. It may neither wait nor change the store.
---@generic T
---@param fn fun(...): T
---@return T ... what it gives
function Store:snapshot(fn, ...) end
--- Some records of a run, as `run:journal` gives them without values.
---@param run string id
---@param after integer sequence number
---@param most integer
---@return table[]|nil records nil: there is no such run
function Store:records(run, after, most) end
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
---@field kind string "settled", "running", "dependency", "run_limit", "pool", "rate", "breaker", "backoff", "timer", "worker", …
---@field state string of the node
---@field by? string a node, in `by_run` where that is another run
---@field by_run? string
---@field name? string of the pool, breaker or signal
---@field count? integer
---@field limit? integer
---@field due? number seconds since 1970
---@field since? number seconds since 1970
---@field skip? "upstream"|"upstream_failed"|"when"|"outcome"
---@field cause? "failure"|"cancel"|"timeout"|"stall"
---@field reason? string of "cancel": the one that was given
---@field busy? { node: string, item: integer?, run: string? }[] of "worker": what workers do; `run` where it is another
---@field worker? { waiting: integer, items: integer[], count: integer, limit: integer, busy: table[] } items that wait for a worker

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
---@field lock string|nil the value of its lock (`singleton`)
---@field holder string|nil while it waits for that: the id of the run that has it, or is before this one
local Run = {}
---Cancels what runs, then cleanup nodes run; a second call skips those.
---@param reason? string one sentence; kept as the run's error
function Run:cancel(reason) end
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
---The items of a node with `each` as they are now; nil where its list is not known yet.
---@param node string
---@return orrery.Item[]|nil
function Run:items(node) end
---@return orrery.Stats
function Run:stats() end
---What its handlers have published.
---@param name? string
---@return any value of the name, nil where it has none; without a name all of them, by name
function Run:published(name) end

---Lets a run of a store go in good order; this or another process can resume it.
function Run:suspend() end

---@class orrery.SkippedRun a run that was not made, because another has its lock (on_conflict = "skip")
---@field id string of the run that has the lock
---@field lock string
---@field workflow string
---@field state "skipped"
---@field skipped true
---@field ended true
local SkippedRun = {}
---@return orrery.SkippedRun itself
function SkippedRun:wait() end

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
---@param id string
---@return table|nil created what a run of the store was created with: `workflow`, `folder`, `input`, …
function Runtime:created(id) end
---Waits until everything that was recorded is durable; blocks the loop.
function Runtime:sync() end
---Waits, in a fiber, until everything that was recorded is durable; the loop goes on.
function Runtime:flushed() end
---@return table|nil what its workers do; nil before the first
function Runtime:workers() end
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
---Says in the store what the workers of a pool have done.
---@param pool integer
---@param figures string JSON
function Runtime:keep_workers(pool, figures) end
---Something begins that no record tells of, such as waiting for a worker: `why` is published soon.
function Runtime:notice_later() end
---Asks a function for more to do before each turn of the loop, until it answers nil: true where it
---has done something, false where there is nothing to do now.
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
---@return number|nil seconds until one of its runs does something: 0 where one runs, else the first backoff's end
function Runtime:idle() end
---@return number seconds since 1970 on its clock
function Runtime:now() end
---Holds a virtual clock and lets it go on for so long, or to its next deadline. Waits until nothing
---can run before it moves again.
---@param duration? orrery.Duration
function Runtime:advance(duration) end
---A virtual clock stands where it is; false: it goes on by itself again.
---@param held? boolean
function Runtime:hold(held) end
---@return number|nil seconds until its next deadline
function Runtime:due() end
---Gives its runs up as if the process had been killed now.
function Runtime:abandon() end
---Its runs keep so many more records; the one after them is lost, and the runtime is abandoned.
---@param records integer
function Runtime:cut(records) end
---Lets a virtual clock go on by so much at once, past what is due meanwhile.
---@param seconds number
function Runtime:skip(seconds) end
---Looks through the engine's own state, in time linear in its runs. For tests.
---@return string|nil problem one sentence: the first disagreement that was found
function Runtime:check() end
---@param fn fun(event: table) for every event of every run on it
---@return fun() off
function Runtime:on(fn) end
---@param name string
---@param options {max: integer?, rate: number?, per: number?, burst: number?}
function Runtime:pool(name, options) end

---@class orrery.PoolFigures
---@field name string
---@field max integer|nil places; nil: no bound
---@field used integer
---@field waiting integer tasks in line
---@field keyed boolean made from the definition of its prefix
---@field paused boolean
---@field rate number|nil tokens a second; nil: no rate
---@field burst number|nil
---@field tokens number|nil that there are now

---@return orrery.PoolFigures[]
function Runtime:pools() end
---@param name string
---@return boolean
function Runtime:has_pool(name) end
---@param name string
---@param paused boolean
function Runtime:pause_pool(name, paused) end
---Sets the places of a pool, until it is declared anew. What has a place keeps it.
---@param name string
---@param max integer
function Runtime:limit_pool(name, max) end
---@param name string
---@param options {threshold: integer?, window: number?, cooldown: number?, probes: integer?}
function Runtime:breaker(name, options) end

---@class orrery.BreakerFigures
---@field name string
---@field state "closed"|"open"|"half_open"
---@field until number|nil seconds since the epoch; of one that is open
---@field failures integer within its window
---@field probing integer attempts that are let through while it is half open
---@field waiting integer tasks that it holds back
---@field threshold integer
---@field window number seconds
---@field cooldown number seconds
---@field probes integer

---@return orrery.BreakerFigures[]
function Runtime:breakers() end
---@class orrery.Tally
---@field workflows table[] of each `events` by name, `runs` and `attempts` as histograms, `waits`
---@field codes table<string, integer> failures by the code of the error
---@field bounds number[]
---@field runs table<string, integer> live ones by state
---@field nodes table<string, integer> theirs by state
---@field running integer tasks that hold a slot
---@field pools table[]
---@field breakers table<string, string> states by name

--- What events have added up to, by workflow, since this was called first, and what there is now.
--- Counters only grow. A hundred workflows and codes are told apart, others share the name "other".
--- `bounds`: upper bounds of the buckets of the histograms, in seconds.
---@return orrery.Tally
function Runtime:tally() end
---@param name string
---@return "closed"|"open"|"half_open"|nil state nil: no run has asked for it yet
---@return number|nil until seconds since the epoch; of one that is open
function Runtime:breaker_state(name) end
---Closes a breaker and forgets what it counted; what it held back tries again.
---@param name string
---@return boolean there
function Runtime:reset_breaker(name) end
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
---@field trigger? {kind: string, time: number?, payload: any} what starts it ("script")
---@field on_event? fun(event: table) told every event of this run

---@class orrery.ResumeOptions
---@field store? string the store's URL; ORRERY_STORE where it is left out
---@field runtime? orrery.Runtime
---@field force? boolean also from a process that lives, and what was interrupted too often
---@field trust? boolean the store may belong to another user, whose code it then runs
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
---@field run? fun(ctx: orrery.Context, config: table, inputs: table<string, any>): any required but for stages
---@field stage? fun(config: table, rows: (fun(): any[]?)|nil, stage: table): (fun(): any[]?) pulls chunks of rows from the stage before it
---@field source? boolean a stage that takes no rows
---@field sink? boolean a stage that writes rows and passes them on
---@field nodes? string the config key whose list holds nodes; the handler gets { type, config } of each
---@field pool? string nodes of the type draw from it unless they say otherwise
---@field outcomes? string[]|fun(config: table): string[] which `after = "node:outcome"` may name; the handler returns flow.outcome
---@field expressions? string[]|table<string, string|table> keys with expressions: function(ctx); { where = "row" }: function(ctx, row);
--- { test = { names = true } }: it also returns the paths that it reads, { text, fn }, and its text
---@field becomes? fun(config: table): table, table? the node that one of the type stands for, and keys that it has
---@field place? "first"|"last" of such a type: where its nodes stand
---@field cleanup? fun(ctx: orrery.Context, config: table, node: string) undoes at the end of the run what a node has made
---@field files? { inputs: string?, outputs: string?, folder: string? } keys of config that name files, for nodes that are up to date
---@field own_timeout? boolean a node's `timeout` is config of the type, and no bound of the attempt
---@field strategy? "direct"|"thread" where its handler runs, if the node does not say ("direct")
---@field positional? string the config key meant by a value without a key, `flow.delay { "5s" }`; "argv[]": by all of them, as an array
---@field check? fun(config: table): string?, string? what is wrong with config that fits the schema, templates unresolved
---@field examples? string[]
---@field errors? string[] codes that it raises, beside those of any node
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
---@param options? {name: string?, depth: integer?, limit: integer?, duplicates: "error"|"last"|nil}
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
---@field detach? boolean what it leaves behind goes on
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
---@field body? string|(string|{fd: integer, size: integer})[] a text, or texts and files one after another
---@field to? integer descriptor of a file that the body of a status of 2xx is written to
---@field limit? integer bytes of the decoded body (64 MiB)
---@field redirects? integer followed at most (10)
---@field timeout? number seconds
---@field connect_timeout? number seconds (30)
---@field idle_timeout? number seconds
---@field insecure? boolean certificates are not verified
---@field ca? string file of trusted certificates
---@field user_agent? string
---@field proxy? string a URL; "": none (that of the environment)
---@field allow? string[] addresses and networks that alone may be connected to
---@field deny? string[] those that may not
---@field on_body? fun(piece: string) called with each piece of the body of a status of 2xx as it comes; not with `to`
---@field sigv4? string "aws:amz:REGION:SERVICE": signed with `user` and `password`
---@field user? string
---@field password? string

---@class orrery.TransferResponse
---@field status integer
---@field headers table<string, string|string[]> by name in lower case
---@field body string|integer with `to` the bytes that are in the file
---@field url string
---@field seconds number
---@field redirects integer
---@field version? string of HTTP: "1.0", "1.1", "2"

---@class orrery.Transfer
local Transfer = {}
---Drops it; the callback is not called.
function Transfer:cancel() end

---@class orrery.SmtpOptions
---@field url string smtp://HOST:PORT/NAME or smtps://, with the name by which this host calls itself
---@field from string an address alone, as those of `to`
---@field to string[]
---@field body (string|{fd: integer?, size: integer?, text: string?, base64: boolean?})[] the message; base64: it is sent so
---@field user? string
---@field password? string
---@field starttls? boolean the connection has to be encrypted before anything else is said
---@field timeout? number seconds for all of it
---@field connect_timeout? number seconds (30)
---@field idle_timeout? number seconds
---@field insecure? boolean certificates are not verified
---@field ca? string file of trusted certificates

---@class orrery.Secret stands for a value that is looked up when it is used; joined to texts by ..
local Secret = {}
---Looks it up; may wait for its command.
---@return string
function Secret:value() end

---@alias orrery.FileTypeName "read"|"write"|"list"|"find"|"stat"|"hash"|"copy"|"move"|"remove"|"mkdir"
---|"temp"|"watch"|"archive"|"extract"
---@alias orrery.FileTypes table<orrery.FileTypeName, orrery.NodeType>

---@class orrery.Url
---@field escape fun(value: string|number|boolean): string as a part of a URL
---@field query fun(values: table<string, any>): string "a=1&b=2", in the order of the names
---@field with fun(url: string, values: table<string, any>?): string a URL with more parameters
---@field join fun(base: string, reference: string): string where a reference leads to
---@field origin fun(url: string): string|nil "https://host:443"

---@class orrery
---@field version string
---@field json orrery.Json
---@field url orrery.Url
---@field retries table<orrery.RetryPreset, orrery.RetryPolicy>
---@field const orrery.NodeType
---@field delay orrery.NodeType
---@field exec orrery.NodeType
---@field log orrery.NodeType
---@field wait orrery.NodeType
---@field barrier orrery.NodeType
---@field sync orrery.NodeType the type "barrier"
---@field trigger orrery.NodeType
---@field setup orrery.NodeType
---@field cleanup orrery.NodeType
---@field fail orrery.NodeType
---@field assert orrery.NodeType
---@field merge orrery.NodeType data.merge; likewise the next ones
---@field map orrery.NodeType
---@field filter orrery.NodeType
---@field dedupe orrery.NodeType
---@field validate orrery.NodeType
---@field normalize orrery.NodeType
---@field switch orrery.NodeType
---@field condition orrery.NodeType
---@field call orrery.NodeType the type "workflow"
---@field file orrery.FileTypes
---@field pipe orrery.NodeType
---@field csv {read: orrery.NodeType, write: orrery.NodeType}
---@field jsonl {read: orrery.NodeType, write: orrery.NodeType}
---@field xml {read: orrery.NodeType, write: orrery.NodeType, decode: orrery.NodeType, encode: orrery.NodeType}
---@field sqlite {query: orrery.NodeType, load: orrery.NodeType}
---@field postgres {query: orrery.NodeType, load: orrery.NodeType}
---@field redis table<string, orrery.NodeType> get, set, command, publish, subscribe, stream_add, stream_read
---@field bus {publish: orrery.NodeType, wait: orrery.NodeType}
---@field data table<string, orrery.NodeType>
---@field http table<string, orrery.NodeType> get, post, put, patch, delete, request
---@field mail {send: orrery.NodeType}
---@field test {case: orrery.NodeType, suite: orrery.NodeType}
---@field s3 {put: orrery.NodeType, get: orrery.NodeType, list: orrery.NodeType}
---@field agent orrery.AgentType the type, or with a name and a definition what declares an agent
---@field notify table<string, orrery.NodeType> a type for each channel
---@field state {get: orrery.NodeType, set: orrery.NodeType, update: orrery.NodeType}
local flow = {}
---@param options orrery.WorkflowOptions
---@return orrery.Workflow
function flow.workflow(options) end
---@param fields table the shorthand, or a JSON Schema
---@param options? {draft: (string|integer)?, formats: boolean?, remotes: table<string, table>?} for a JSON Schema
---@return orrery.Schema
function flow.schema(fields, options) end
---@param options orrery.NodeTypeOptions
---@return orrery.NodeType
function flow.type(options) end
---@return orrery.NodeType[]
function flow.types() end
---@class orrery.AgentOptions who is asked by nodes of type `agent`
---@field url string the endpoint, up to "/chat/completions"
---@field model string
---@field key? string|orrery.Secret sent as a bearer token
---@field headers? table<string, string>
---@field system? string what it is told before every conversation
---@field temperature? number
---@field max_tokens? integer
---@field options? table further fields of the request
---@field format? "json_schema"|"json_object"|"none" how it is asked for JSON ("json_schema")
---@field prices? {input: number?, output: number?} of a million tokens
---@field max_time? orrery.Duration of one request (120 s)
---@field ca? string a file of trusted certificates

---@class orrery.AgentType: orrery.NodeType
---@field extract orrery.NodeType
---@field classify orrery.NodeType
---@overload fun(config: table): orrery.TypedNode
---@overload fun(name: string, agent: orrery.AgentOptions|fun(request: table, ctx: orrery.Context): any)

---@param connector orrery.ConnectorOptions
---@return table connector its node types by the operations' names, and `configure`
function flow.connector(connector) end

---@class orrery.ChannelOptions a channel of `notify`
---@field name string
---@field doc? string
---@field config? table the keys beside message, title, level and fields
---@field send? fun(ctx: orrery.Context, config: table): any
---@field like? string another channel, in place of `config` and `send`
---@field with? table what that one is given
---@field check? fun(config: table): string?, string?
---@field examples? string[]

---Declares `notify.NAME`.
---@param channel orrery.ChannelOptions
---@return orrery.NodeType
function flow.channel(channel) end
---Gives a function a name, by which nodes of the type `action` call it: declares `action.NAME`.
---Without a function it makes a node of that type.
---@param name string|table
---@param what? (fun(ctx: orrery.Context, input: table, inputs: table<string, any>): any)|orrery.NodeTypeOptions
---@return any
function flow.action(name, what) end
---Waits, in a handler, until as many as are needed have arrived at a barrier. Raises
---`barrier_timeout`.
---@param name string
---@param options {count: integer, across: "branches"|"runs"|nil, timeout: orrery.Duration?}
---@return {place: integer, count: integer} place in the order of arrival, from 1
function flow.arrive(name, options) end
---Publishes a message on the bus: to all who wait for its topic now, or with `stream` for each
---group that reads it.
---@param topic string
---@param message any plain data
---@param options? {stream: boolean?, max_length: integer?}
---@return {id: string, receivers: integer?}
function flow.publish(topic, message, options) end
---Waits, in a handler, for the next message of a topic, or with `group` of its stream. Raises
---`wait_timeout`.
---@param topic string
---@param options? {group: string?, timeout: orrery.Duration?}
---@return {id: string?, message: any}
function flow.receive(topic, options) end

---@class orrery.Redis a server; see docs/bus.md
local Redis = {}
---@param ... string|number the words of a command
---@return any reply
function Redis:call(...) end
---@return table own a connection for what blocks at the server
function Redis:own() end
---@param stream string
---@param group string
---@param ids string[]
function Redis:acknowledge(stream, group, ids) end
---@return string where it is
function Redis:name() end

---@class orrery.RedisSettings what is left out is as for the nodes
---@field url? string
---@field host? string
---@field port? integer
---@field database? integer
---@field user? string
---@field password? string
---@field connect_timeout? number seconds
---@field max_time? number seconds
---@field max_size? integer bytes
---@field keep? number seconds

---A server that speaks RESP, as Redis and Valkey do.
---@param settings orrery.RedisSettings
---@return orrery.Redis
function flow.resp(settings) end
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
---When runs are started; see docs/schedules.md.
---@class orrery.Schedule
---@field cron? string|string[]
---@field every? orrery.Duration
---@field anchor? string|integer
---@field zone? string
---@field except? string|string[]
---@field start? string|integer
---@field missed? "none"|"last"|"all"
---@field overlap? "skip"|"queue_one"|"queue_all"|"cancel"|"terminate"|"allow"
---@field jitter? orrery.Duration
---@field pause_on_failure? integer|boolean
---@field input? any
---@field name? string

---A trigger that starts runs at times; see docs/schedules.md.
---@param fields orrery.Schedule also `end`, as `start`
---@return table
function flow.schedule(fields) end
---Which files start runs.
---@class orrery.Watch
---@field path string
---@field pattern? string
---@field on? "change"|"create"|"remove"
---@field settle? orrery.Duration
---@field overlap? "skip"|"queue_one"|"allow"
---@field input? any
---@field name? string

---A trigger that starts a run when files change.
---@param fields orrery.Watch
---@return table
function flow.watch(fields) end
---A trigger that starts a run after each run of another workflow.
---@param fields {workflow: string, state: (string|string[])?, input: any, name: string?}
---@return table
function flow.after_run(fields) end
---What a request starts or signals.
---@class orrery.Hook
---@field name string
---@field verify? "none"|"standard"|"github"|"stripe"|"token" "standard" where it is left out
---@field secrets? orrery.Secret|orrery.Secret[] needed unless nothing is verified
---@field start? any whether a delivery starts a run; templates read `hook`
---@field signal? string the name of the signal that it is
---@field run? string the id of the run that the signal is for
---@field key? string the key of the run that it starts or that the signal is for
---@field wait? orrery.Duration answer when the run has ended
---@field input? any of the run, or the data of the signal; the body where it is left out

---Declares what a request to `/hooks/NAME` of `orrery serve` starts or signals.
---@param fields orrery.Hook
---@return table
function flow.hook(fields) end
---What starts a run that tells of something.
---@class orrery.Alert
---@field on "failures"|"slow"|"skipped"|"stalled"|"disk"
---@field workflow? string whose runs it is about: of "failures", "slow" and "stalled"
---@field schedule? string the id of the schedule that "skipped" is about; all where it is left out
---@field limit? integer|string|number see docs/alerts.md
---@field window? orrery.Duration ("1h") back from now
---@field least? integer (1) runs that have to have ended in the window
---@field every? orrery.Duration ("30s") between two looks
---@field remind? orrery.Duration tells it again while it lasts
---@field input? any of the run, with templates that read `alert`; all of `alert` where it is left out
---@field name? string

---A trigger that starts a run when something comes, and one when it is over.
---@param fields orrery.Alert
---@return table
function flow.alert(fields) end

---The headers by which a receiver knows who has sent a body, by Standard Webhooks. Raises
---`config_error` where the secret has not its form.
---@param secret string "whsec_…"
---@param id string of the message, the same when it is sent again
---@param time integer seconds since 1970
---@param body string as it is sent
---@return table<string, string> headers webhook-id, webhook-timestamp, webhook-signature
function flow.webhook_headers(secret, id, time, body) end

---Declares a pool; without options it only asks for the declaration.
---@param name string
---@param options? {max: integer?, rate: (string|number)?, burst: integer?, default: boolean?}
---@return {max: integer?, rate: number?, per: number?, burst: integer?}|nil
function flow.pool(name, options) end
---@class orrery.FileRequest
---@field unref fun(self) the process does not wait for it any more; the callback may still come
---@field cancel fun(self) "hash" and "remove" end soon
---@field close_after fun(self, fd: integer) closes a descriptor when the request is over

---One request to the file system, in a thread that nobody else waits for. The callback gets an
---error like luv's or a result, once, later; it may be left out.
---@param name string "open", "read", "write", "close", "fsync", "fchmod", "stat", "lstat", "fstat", "mkdir", …
---@param ... any arguments, and the callback
---@return orrery.FileRequest handle
function flow.fs(name, ...) end
---Writes or extracts an archive in a thread. The callback gets an error or `{ bytes, entries,
---skipped }`, once, later.
---@param name "write"|"extract"
---@param options table
---@param callback fun(err: table|nil, result: table|nil)
---@return { cancel: fun(self), unref: fun(self) } handle
function flow.archive(name, options, callback) end
---Starts a child process; what `exec` is made of. The callback gets an error or a result, once,
---later.
---@param options orrery.SpawnOptions
---@param callback fun(err: orrery.Error|nil, result: orrery.SpawnResult|nil)
---@return orrery.Process handle
function flow.spawn(options, callback) end
---Starts an HTTP transfer; what the `http` types are made of. The callback gets an error or a
---response, once, later.
---@param options orrery.TransferOptions
---@param callback fun(err: orrery.Error|nil, response: orrery.TransferResponse|nil)
---@return orrery.Transfer handle
function flow.transfer(options, callback) end
---Sends a mail; what `mail.send` is made of. The callback gets an error, whose details have the
---status, or nil.
---@param options orrery.SmtpOptions
---@param callback fun(err: orrery.Error|nil)
---@return orrery.Transfer handle
function flow.smtp(options, callback) end
---Performs a node where the call stands and returns its output: in a script, at the prompt, in a
---handler. Waits. Raises the error that the node fails with. Inside a handler the output of a
---type's call is returned as it is.
---@param node table what a call of a node type makes, a table with `run` or `type`, a group
---@return any output
function flow.now(node) end
---Declares what must hold of every history that `orrery sim` plays.
---@param name string
---@param fn fun(h: orrery.sim.End): boolean?, string? false and a text where it is broken
function flow.invariant(name, fn) end
---Says what stands in, when `orrery sim` plays, for a node, a node type (`"http.post"`) or who
---sends a signal (`"signal:NAME"`).
---@param what string
---@param model function|{run: function?, takes: orrery.Duration|orrery.Duration[]|nil, fails: number?, code: string?, data: any}
function flow.model(what, model) end
---Says that something was done outside: kept by `orrery sim` for invariants.
---@param name string
---@param data? any
function flow.effect(name, data) end
---Waits, in a handler or outside one.
---@param duration orrery.Duration
function flow.sleep(duration) end
---Raises a structured error.
---@param e {code: string?, message: string, retryable: boolean?, retry_after: orrery.Duration?, details: any}|string
function flow.error(e) end
---What a handler returns to end now and let its node complete that much later, without an output.
---The node keeps no coroutine meanwhile.
---@param duration orrery.Duration
---@return any
function flow.later(duration) end
---What a handler of a type with outcomes returns.
---@param name string
---@param value any the output
---@return any
function flow.outcome(name, value) end
---Waits for a callback: `start(resume)` is called at once and may return a function that is called
---on cancel.
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
---@param text string with `${…}`, that is no config
---@param options? {root: string?, name: string?} root: a further name that expressions may read; name: for messages
---@return fun(ctx: orrery.Context, value: any): string
function flow.template(text, options) end
---@param from string|{file: string}|{command: string[]} a variable's name, a file, or a command that prints it
---@return orrery.Secret
function flow.secret(from) end
---A value as it may be shown: `•••` stands for the secrets that have been looked up.
---@generic T
---@param value T
---@return T
function flow.masked(value) end
---@param pattern string at most 255 bytes, in which * is any text and ? one byte
---@return fun(name: string): boolean
function flow.glob(pattern) end
--- The type of a node, or of what a handler is given of a node in its config.
---@param item any
---@return orrery.NodeType|nil
function flow.type_of(item) end
--- What stages of pipes are made of; docs/data.md lists its functions.
---@type table<string, function>
flow.rows = {}
---@class orrery.LoadOptions what is not listed is not allowed; * in a name is any text
---@field source string
---@field name? string
---@field format? "json"|"lua"
---@field types? string[] node types that a JSON definition may use; otherwise those that reach nothing
---@field env? string[]
---@field secrets? string[] names that may stand in `${secret.NAME}`
---@field paths? string[] folders
---@field hosts? string[]
---@field commands? string[]

---@param from string|orrery.LoadOptions
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
---@return orrery.Run|orrery.RunRecord|orrery.SkippedRun a record where a run of another process has the key
function flow.run(what, options) end
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run|orrery.RunRecord|orrery.SkippedRun a record where a run has the key that is over, or that another process runs
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
---@field large_output? integer bytes; an output that takes more is read back when it is used
---@field trust? boolean the store may belong to another user, whose code it then runs
---@field memory_limit? integer bytes that the outputs of a run may take in memory, about
---@field bus? string where the bus of its runs is: "redis://HOST:PORT/DATABASE", "unix:///PATH" or "memory:"
---@field crash_limit? integer
---@field contain? boolean this program becomes a subreaper with its first command
---@field workers? { min: integer?, max: integer?, memory: integer?, idle: number? } threads for nodes with `strategy = "thread"`
---@field callback_limit? orrery.Duration|false processor time of a callback that no node waits for
---@field resume? boolean|orrery.RecoverOptions

---@param options? orrery.RuntimeOptions
---@return orrery.Runtime
function flow.runtime(options) end
---@param x orrery.Duration
---@return number seconds
function flow.duration(x) end

return flow
