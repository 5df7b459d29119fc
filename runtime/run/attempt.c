/* attempt.c - what runs in the fiber of a node: its handler, its fallback, its compensation; and
 * how its end is reported to the core.
 *
 * The path of a node whose handler neither waits nor takes anything is: orr_attempt_start,
 * orr_fiber_begin, node_base, node_done, end_task. It allocates nothing, makes no table and reads
 * no clock.
 */
#include "run/inner.h"

/* Makes the result of a failed attempt from the error at the top of the stack. Runs inside the
 * coroutine, so that the resume protects what it allocates. */
static void fail_with_top(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_runs *runs = orr_runs_of(s);
    orr_fibers_of(s)->failed = true;
    runs->result = (orr_result){.end = f->flags & FIBER_CANCELLED ? ORR_END_CANCELLED : ORR_END_FAILED,
                                .port = ORR_PORT_ANY};
    orr_keep_error(L, s, f, &runs->result.error);
}

static int call_handler(lua_State *L, orr_script *s, orr_fiber *f);

/* Whether the handler that has ended, with its value or error at the top, begins anew: it called
 * ctx:restart, and was not asked to stop since. */
static bool begins_anew(lua_State *L, orr_fiber *f) {
    if (!(f->flags & ATTEMPT_RESTARTS)) return false;
    f->flags &= (uint16_t)~ATTEMPT_RESTARTS;
    return !(f->flags & (FIBER_CANCELLED | ATTEMPT_DIVERGED)) && f->run->run && !orr_is_stopped(L, -1);
}

static int node_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_current(s);
    orr_runs *runs = orr_runs_of(s);
    runs->reported = runs->later = false;
    status = orr_fiber_done(L, s, f, status);
    while (begins_anew(L, f)) {
        f->inner = f->newest = 0;
        status = orr_fiber_done(L, s, f, call_handler(L, s, f));
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        runs->result = (orr_result){.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
        bool undoes = f->phase == ORR_PHASE_COMPENSATE,
             fits = !f->run->stepped || !f->run->rt->keeper->diverged(L, s, f);
        if (fits && lua_isnil(L, -1) && f->task.iteration == 0) return 0;
        if (fits && (undoes ? orr_run_take_compensation(L, s, f, &runs->result)
                            : orr_run_take_output(L, s, f, &runs->result)))
            return 0;
    }
    fail_with_top(L, s, f);
    return 0;
}

void orr_attempt_ended(const orr_script *s, orr_runbox *r, const orr_task *task) {
    if (r->stepped && orr_run_node_state(r->run, task->node, task->item) == ORR_NODE_COMPLETED &&
        lua_checkstack(s->main, LUA_MINSTACK))
        r->rt->keeper->forget(s->main, r, task);
}

/* What has a bound, and what is shown to somebody, ends at its own time and not at that of its
 * batch: a handler that blocked for longer than its timeout has timed out. */
static void end_task(const orr_script *s, orr_fiber *f, const orr_result *result) {
    orr_runbox *r = f->run;
    if (!r->run) return;
    if (r->rt->n_listeners || r->plan->how[f->task.node] & NODE_TIMED) orr_engine_tick(r->rt->base.engine);
    orr_task_end(r->run, &f->task, result);
    orr_attempt_ended(s, r, &f->task);
}

/* The handler has ended and its node sleeps on without it; actions.c ends it when its time has
 * come. */
static void end_later(const orr_fiber *f, int64_t delay) {
    const orr_runbox *r = f->run;
    orr_status status = orr_task_wait(r->run, &f->task, orr_run_due_in(r, delay));
    if (status == ORR_OK) return;
    orr_result result = {.end = ORR_END_CANCELLED, .port = ORR_PORT_ANY};
    if (status == ORR_ENOMEM) {
        result.end = ORR_END_FAILED;
        result.error = (orr_error){.code = "out_of_memory",
                                   .message = "not enough memory for a timer",
                                   .retry_after = -1};
    }
    orr_task_end(r->run, &f->task, &result);
}

static void end_attempt(const orr_script *s, orr_fiber *f) {
    if (orr_runs_of(s)->later && !orr_fibers_of(s)->failed && f->run->run)
        end_later(f, orr_runs_of(s)->delay);
    else end_task(s, f, &orr_runs_of(s)->result);
}

/* The next handler comes from memory while this one runs, and meanwhile what says where the one
 * after it is. */
static void fetch_ahead(const orr_planbox *plan, const orr_action *action) {
    if (!plan->fetch) return;
    if (action->next != ORR_NONE)
        __builtin_prefetch(plan->fetch[plan->how[action->next] >> NODE_HANDLER_SHIFT]);
    if (action->later == ORR_NONE) return;
    __builtin_prefetch(&plan->how[action->later]);
    __builtin_prefetch(&plan->fetch[action->later + 1]); /* where it is if every node has its own */
}

/* A handler that came to its end without a wait leaves its coroutine as it found it: where the
 * core's next action is such a node again, it runs right here, and the way out of the coroutine
 * and back in is saved. */
static bool another(orr_script *s, orr_fiber *f) {
    orr_engine *engine = f->run->rt->base.engine;
    orr_action a;
    if (orr_fibers_of(s)->failed || f->flags != FIBER_STARTED || f->run->rt->n_listeners || !f->run->run ||
        orr_fibers_of(s)->trace.topics)
        return false;
    if (f->run->plan->how[f->task.node] & NODE_TIMED || orr_watchdog_fired(&orr_fibers_of(s)->watchdog))
        return false;
    end_attempt(s, f);
    orr_runs_of(s)->reported = true;
    if (!orr_engine_next(engine, &a)) return false;
    const orr_runbox *r = orr_run_ud(a.run);
    bool ahead = orr_run_ticket(r) > r->rt->durable_to; /* it may be: see actions.c */
    if (a.kind != ORR_ACT_START || a.phase != ORR_PHASE_RUN || r->plan->natives ||
        r->plan->how[a.task.node] & NODE_TIMED || (ahead && r->rt->keeper->displaced(r->rt))) {
        orr_engine_give_back(engine, &a);
        return false;
    }
    f->gen++; /* a ctx that was kept belongs to the node before */
    f->run = orr_run_ud(a.run);
    f->task = a.task;
    f->ordinal = f->inner = f->newest = 0;
    f->alive = 0;
    fetch_ahead(r->plan, &a);
    orr_fibers_next_slice(s);
    return true;
}

/* Fetches the handler, gives it what it takes, and runs it under a pcall through which waits
 * pass. The stack holds the script alone then; the status. */
static int call_handler(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_runbox *r = f->run;
    uint32_t node = f->task.node, how = r->plan->how[node];
    lua_settop(L, 1);
    if (r->stepped) f->ordinal = r->rt->keeper->first(L, f);
    lua_pushcfunction(L, orr_error_trace);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->handlers);
    lua_rawgeti(L, 3, how >> NODE_HANDLER_SHIFT);
    if (how & TAKES_CTX) {
        orr_push_ctx(L, s, f);
        if (how & TAKES_INPUTS) orr_push_inputs(L, s, r, node);
    }
    return lua_pcallk(L, lua_gettop(L) - 4, 1, 2, (lua_KContext)s, node_done);
}

/* An attempt, and those after it that need no coroutine of their own. One that waits comes back
 * in node_done. */
static int node_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_current(s);
    do {
        node_done(L, call_handler(L, s, f), (lua_KContext)s);
    } while (another(s, f));
    return 0;
}

/* The second chance of a node: a value, or a function that gets the error. */
static int fallback_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_current(s);
    lua_pushcfunction(L, orr_error_trace);
    if (!orr_push_fallback(L, s, f)) return node_done(L, LUA_OK, (lua_KContext)s);
    int status = lua_pcallk(L, 2, 1, 2, (lua_KContext)s, node_done);
    return node_done(L, status, (lua_KContext)s);
}

/* What undoes a node: its function gets ctx and the node's inputs. */
static int compensate_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_current(s);
    lua_pushcfunction(L, orr_error_trace);
    orr_push_compensate(L, f);
    orr_push_ctx(L, s, f);
    orr_push_inputs(L, s, f->run, f->task.node);
    int status = lua_pcallk(L, 2, 1, 2, (lua_KContext)s, node_done);
    return node_done(L, status, (lua_KContext)s);
}

/* ---- the client of its fibers ---------------------------------------------------------------- */

static void ended(orr_script *s, orr_fiber *f, int nres) {
    (void)nres;
    bool failed = orr_fibers_of(s)->failed;
    if (!orr_runs_of(s)->reported) end_attempt(s, f);
    orr_fiber_release(s, f, !failed);
}

typedef struct breaking {
    orr_script *s;
    orr_fiber *f;
} breaking;

static int keep_broken(lua_State *L) {
    const breaking *b = lua_touserdata(L, 1);
    orr_fiber_push_value(L, b->s, b->f);
    if (lua_isnil(L, -1)) return lua_error(L); /* there was no memory to keep it */
    fail_with_top(L, b->s, b->f);
    return 0;
}

static void broken(orr_script *s, orr_fiber *f, const char *code, const char *message) {
    breaking b = {s, f};
    if (orr_protect(s, keep_broken, &b) != LUA_OK)
        orr_runs_of(s)->result = (orr_result){.end = ORR_END_FAILED,
                                              .port = ORR_PORT_ANY,
                                              .error = {.code = code, .message = message, .retry_after = -1}};
    end_task(s, f, &orr_runs_of(s)->result);
    orr_fiber_release(s, f, false);
}

static void parked(orr_script *s, orr_fiber *f) {
    orr_fiber_map(s, f);
    orr_attempt_sign(f);
}

/* What has a timeout of its own or of its run, what was asked to stop (a grace is left to it) and
 * what is undone (compensate has a timeout). */
static int64_t slice_due(const orr_script *s, const orr_fiber *f) {
    const orr_runbox *r = f->run;
    const orr_fiber *root = orr_fiber_root(s, f);
    bool timed = root->flags & FIBER_CANCELLED || f->phase == ORR_PHASE_COMPENSATE;
    if (!r->run || !(timed || r->plan->how[f->task.node] & NODE_TIMED)) return ORR_WATCHDOG_NEVER;
    if (r->rt->simulated) return orr_watchdog_now() + ORR_SIMULATED_SLICE;
    int64_t due = orr_task_due(r->run, &root->task), of_run = orr_task_run_due(r->run, &root->task);
    if (of_run < due) due = of_run;
    return orr_clock_monotonic(orr_engine_clock(r->rt->base.engine), due);
}

/* Whether nothing but the end of a run lets it go on; of one that gathers, each of its strands. */
static bool awaits_runs(const orr_script *s, const orr_fiber *f) {
    if (f->strands == ORR_NONE) return orr_fiber_awaits_child(f);
    for (uint32_t at = f->strands; at != ORR_NONE; at = orr_fiber_at(s, at)->sibling)
        if (!awaits_runs(s, orr_fiber_at(s, at))) return false;
    return true;
}

static bool rest(orr_script *s, orr_fiber *root, int64_t due) {
    orr_run *run = root->run->run;
    if (!run) return false;
    if (awaits_runs(s, root)) return orr_task_await(run, &root->task) == ORR_OK;
    return orr_task_wait(run, &root->task, due == INT64_MAX ? -1 : due) == ORR_OK;
}

static void wake(orr_script *s, orr_fiber *root) {
    (void)s;
    orr_task_wake(root->run->run, &root->task);
}

static const orr_client attempts = {
    .ended = ended,
    .broken = broken,
    .parked = parked,
    .slice_due = slice_due,
    .rest = rest,
    .wake = wake,
    .gathers = orr_step_count,
};

/* ---- starting -------------------------------------------------------------------------------- */

static const lua_CFunction bases[] = {
    [ORR_PHASE_RUN] = node_base,
    [ORR_PHASE_FALLBACK] = fallback_base,
    [ORR_PHASE_COMPENSATE] = compensate_base,
};

void orr_attempt_start(orr_script *s, orr_runbox *run, const orr_action *action) {
    orr_fiber *f = orr_fiber_new(s, true);
    if (!f) {
        orr_result result = {.end = ORR_END_FAILED,
                             .port = ORR_PORT_ANY,
                             .error = {.code = "out_of_memory",
                                       .message = "not enough memory for a coroutine",
                                       .retry_after = -1}};
        orr_task_end(run->run, &action->task, &result);
        return;
    }
    f->client = &attempts;
    f->rt = &run->rt->base;
    f->run = run;
    f->task = action->task;
    f->kind = FIBER_NODE;
    f->phase = action->phase;
    fetch_ahead(run->plan, action);
    orr_fiber_begin(s, f, bases[action->phase]);
}
