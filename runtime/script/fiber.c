/* fiber.c - the one function that resumes handlers, the slots fibers live in, and how they start and end.
 *
 * The path of a node whose handler neither waits nor takes anything is: orr_fiber_start, resume, node_base,
 * node_done, orr_fiber_ended. It allocates nothing, makes no table and reads no clock.
 */
#include "state.h"
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* ---- base functions ------------------------------------------------------------------------------------------------ */

/* Fills the outcome of an attempt or a strand from the value at the top of the stack. Runs inside the coroutine, so
 * that what it allocates is protected by the resume. */
static void fail_with_top(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_outcome *out = &s->outcome;
    out->failed = true;
    out->result = (orr_result){.end = f->flags & FIBER_CANCELLED ? ORR_END_CANCELLED : ORR_END_FAILED,
                               .port = ORR_PORT_ANY};
    if (f->kind == FIBER_NODE) orr_keep_error(L, s, f, &out->result.error);
}

/* It came to its end while a wait of its has not: the yield went astray. Leaves the error at the top. */
static int escaped(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_wait_forget(s, f);
    f->state = FIBER_RUNNING;
    orr_push_escaped(L, s);
    return LUA_ERRRUN;
}

static int node_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_at(s, s->current);
    orr_outcome *out = &s->outcome;
    if (f->state == FIBER_STARTING_WAIT) status = escaped(L, s, f);
    out->done = true;
    if (status == LUA_OK || status == LUA_YIELD) {
        out->failed = false;
        out->result = (orr_result){.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
        bool undoes = f->phase == ORR_PHASE_COMPENSATE, fits = !f->run->stepped || !orr_step_misfits(L, s, f);
        if (fits && lua_isnil(L, -1) && f->task.iteration == 0) return 0;
        if (fits && (undoes ? orr_run_take_compensation(L, s, f, &out->result) : orr_run_take_output(L, s, f, &out->result))) return 0;
    }
    fail_with_top(L, s, f);
    return 0;
}

/* What has a bound, and what is shown to somebody, ends at its own time and not at that of its batch: a handler that blocked for
 * longer than its timeout has timed out. */
static void end_task(const orr_script *s, orr_fiber *f, const orr_result *result) {
    orr_runbox *r = f->run;
    if (!r->run) return;
    if (r->rt->n_listeners || r->plan->how[f->task.node] & NODE_TIMED) orr_engine_tick(r->rt->runtime);
    orr_task_end(r->run, &f->task, result);
    if (r->stepped && orr_run_node_state(r->run, f->task.node, f->task.item) == ORR_NODE_COMPLETED &&
        lua_checkstack(s->main, LUA_MINSTACK))
        orr_step_forget(s->main, r, &f->task);
}

/* The handler has ended and its node sleeps on without it; rt.c ends it when its time has come. */
static void end_later(const orr_fiber *f, int64_t delay) {
    const orr_runbox *r = f->run;
    int64_t now = orr_engine_now(r->rt->runtime);
    orr_status status = orr_task_wait(r->run, &f->task, delay < INT64_MAX - now ? now + delay : INT64_MAX);
    if (status == ORR_OK) return;
    orr_result result = {.end = ORR_END_CANCELLED, .port = ORR_PORT_ANY};
    if (status == ORR_ENOMEM) {
        result.end = ORR_END_FAILED;
        result.error = (orr_error){.code = "out_of_memory", .message = "not enough memory for a timer", .retry_after = -1};
    }
    orr_task_end(r->run, &f->task, &result);
}

static void end_attempt(const orr_script *s, orr_fiber *f) {
    if (s->outcome.later && !s->outcome.failed && f->run->run) end_later(f, s->outcome.delay);
    else end_task(s, f, &s->outcome.result);
}

/* The next handler comes from memory while this one runs, and meanwhile what says where the one after it is. */
static void fetch_ahead(const orr_planbox *plan, const orr_action *action) {
    if (!plan->fetch) return;
    if (action->next != ORR_NONE) __builtin_prefetch(plan->fetch[plan->how[action->next] >> NODE_HANDLER_SHIFT]);
    if (action->later == ORR_NONE) return;
    __builtin_prefetch(&plan->how[action->later]);
    __builtin_prefetch(&plan->fetch[action->later + 1]); /* where it is if every node has its own */
}

/* A handler that came to its end without a wait leaves its coroutine as it found it: where the core's next action is such a
 * node again, it runs right here, and the way out of the coroutine and back in is saved. */
static bool another(orr_script *s, orr_fiber *f) {
    orr_engine *engine = f->run->rt->runtime;
    orr_action a;
    if (s->outcome.failed || f->flags != FIBER_STARTED || f->run->rt->n_listeners || !f->run->run) return false;
    if (f->run->plan->how[f->task.node] & NODE_TIMED || orr_watchdog_fired(&s->watchdog)) return false;
    end_attempt(s, f);
    s->outcome.told = true;
    if (!orr_engine_next(engine, &a)) return false;
    const orr_runbox *r = orr_run_ud(a.run);
    if (a.kind != ORR_ACT_START || a.phase != ORR_PHASE_RUN || r->plan->natives ||
        r->plan->how[a.task.node] & NODE_TIMED) {
        orr_engine_give_back(engine, &a);
        return false;
    }
    f->gen++; /* a ctx that was kept belongs to the node before */
    f->run = orr_run_ud(a.run);
    f->task = a.task;
    f->ordinal = f->inner = f->newest = 0;
    f->alive = 0;
    s->outcome.done = s->outcome.told = s->outcome.later = false;
    fetch_ahead(r->plan, &a);
    return true;
}

/* Fetches the handler, gives it what it takes, and runs it under a pcall through which waits pass. */
static int run_handler(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_runbox *r = f->run;
    uint32_t node = f->task.node, how = r->plan->how[node];
    lua_pushcfunction(L, orr_error_trace);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->handlers);
    lua_rawgeti(L, 3, how >> NODE_HANDLER_SHIFT);
    if (how & TAKES_CTX) {
        orr_push_ctx(L, s, f);
        if (how & TAKES_INPUTS) orr_push_inputs(L, s, r, node);
    }
    int status = lua_pcallk(L, lua_gettop(L) - 4, 1, 2, (lua_KContext)s, node_done);
    return node_done(L, status, (lua_KContext)s);
}

/* An attempt, and those after it that need no coroutine of their own. One that waits comes back in node_done. */
static int node_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_at(s, s->current);
    do {
        lua_settop(L, 1);
        run_handler(L, s, f);
    } while (another(s, f));
    return 0;
}

/* The second chance of a node: a value, or a function that gets the error. */
static int fallback_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_at(s, s->current);
    lua_pushcfunction(L, orr_error_trace);
    if (!orr_push_fallback(L, s, f)) return node_done(L, LUA_OK, (lua_KContext)s);
    int status = lua_pcallk(L, 2, 1, 2, (lua_KContext)s, node_done);
    return node_done(L, status, (lua_KContext)s);
}

/* What undoes a node: its function gets ctx and the node's inputs. */
static int compensate_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_at(s, s->current);
    lua_pushcfunction(L, orr_error_trace);
    orr_push_compensate(L, f);
    orr_push_ctx(L, s, f);
    orr_push_inputs(L, s, f->run, f->task.node);
    int status = lua_pcallk(L, 2, 1, 2, (lua_KContext)s, node_done);
    return node_done(L, status, (lua_KContext)s);
}

static int strand_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_at(s, s->current);
    if (f->state == FIBER_STARTING_WAIT) status = escaped(L, s, f);
    s->outcome.done = true;
    s->outcome.failed = status != LUA_OK && status != LUA_YIELD;
    orr_gather_keep(L, s, f, s->outcome.failed);
    return 0;
}

static int free_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_at(s, s->current);
    if (f->state == FIBER_STARTING_WAIT) status = escaped(L, s, f);
    s->outcome.done = true;
    s->outcome.failed = status != LUA_OK && status != LUA_YIELD;
    if (!s->outcome.failed) return lua_gettop(L) - 2;
    orr_push_trace(L);
    return 2;
}

/* Strands and free fibers: (script, function, arguments). */
static int call_base(lua_State *L, int nresults, lua_KFunction done) {
    orr_script *s = lua_touserdata(L, 1);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, 2);
    int status = lua_pcallk(L, lua_gettop(L) - 3, nresults, 2, (lua_KContext)s, done);
    return done(L, status, (lua_KContext)s);
}

static int strand_base(lua_State *L) {
    return call_base(L, 1, strand_done);
}

static int free_base(lua_State *L) {
    return call_base(L, LUA_MULTRET, free_done);
}

/* ---- ends ------------------------------------------------------------------------------------------------------------ */

/* It came to its end by itself; the coroutine is dead and its stack holds `nres` values. */
static void finished(orr_script *s, orr_fiber *f, int nres) {
    bool failed = s->outcome.failed;
    switch (f->kind) {
    case FIBER_NODE:
        if (!s->outcome.told) end_attempt(s, f);
        orr_fiber_release(s, f, !failed);
        break;
    case FIBER_STRAND:
        orr_gather_ended(s, f);
        orr_fiber_release(s, f, !failed);
        break;
    default: /* whoever started it takes the results */
        f->flags |= FIBER_ENDED;
        if (failed) f->flags |= FIBER_FAILED;
        f->state = FIBER_PARKED;
        f->nargs = nres;
        break;
    }
}

typedef struct breaking {
    orr_script *s;
    orr_fiber *f;
    const char *code, *text;
} breaking;

/* Turns what broke the coroutine into the outcome: `code` and `text`, or the error at the top of its stack. */
static int keep_broken(lua_State *L) {
    breaking *b = lua_touserdata(L, 1);
    orr_fiber *f = b->f;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (b->code) {
        orr_push_error(L, b->s, b->code, b->text);
    } else {
        if (!lua_checkstack(f->co, 1)) return luaL_error(L, "not enough memory");
        lua_pushvalue(f->co, -1);
        lua_xmove(f->co, L, 1);
    }
    if (f->kind == FIBER_STRAND) orr_gather_keep(L, b->s, f, true);
    else if (f->kind == FIBER_NODE) fail_with_top(L, b->s, f);
    else orr_fiber_set_value(L, b->s, f);
    return 0;
}

/* Its coroutine cannot go on: an error outside the pcall (memory), a yield that is not ours, or the watchdog. */
static void broken(orr_script *s, orr_fiber *f, const char *code, const char *text) {
    breaking b = {s, f, code, text};
    if (f->wait != WAIT_NONE) orr_wait_forget(s, f);
    int status = orr_protect(s, keep_broken, &b);
    if (status != LUA_OK) {
        s->outcome.result = (orr_result){.end = ORR_END_FAILED,
                                         .port = ORR_PORT_ANY,
                                         .error = {.code = code ? code : "out_of_memory",
                                                   .message = code ? text : "not enough memory",
                                                   .retry_after = -1}};
        if (f->kind == FIBER_STRAND) orr_fiber_at(s, f->parent)->flags |= FIBER_FAILED;
    }
    s->outcome.failed = true;
    orr_result result = s->outcome.result;
    orr_fiber_close(s, f);
    s->outcome.result = result;
    s->outcome.failed = true;
    if (f->kind == FIBER_FREE) {
        orr_fiber_push_value(f->co, s, f);
        lua_pushnil(f->co);
        finished(s, f, 2);
        return;
    }
    if (f->kind == FIBER_STRAND) orr_gather_ended(s, f);
    else end_task(s, f, &s->outcome.result);
    orr_fiber_release(s, f, false);
}

/* Closes to-be-closed variables of a coroutine that is given up; they cannot wait, and are bounded as well. */
void orr_fiber_close(orr_script *s, orr_fiber *f) {
    orr_watchdog_frame frame;
    int64_t due = s->watching ? orr_watchdog_now() + ORR_CLOSE_BOUND : ORR_WATCHDOG_NEVER;
    uint32_t before = s->current;
    s->current = ORR_NONE;
    orr_watchdog_enter(&s->watchdog, &frame, f->co, due);
    s->guarded++;
    lua_resetthread(f->co);
    s->guarded--;
    orr_watchdog_leave(&s->watchdog, &frame);
    s->current = before;
    lua_settop(f->co, 0);
}

void orr_fiber_discard(orr_script *s, orr_fiber *f) {
    if (f->flags & FIBER_STARTED) orr_fiber_close(s, f);
    orr_fiber_release(s, f, false);
}

/* ---- the one resume -------------------------------------------------------------------------------------------------- */

static void stopped(orr_script *s, orr_fiber *f) {
    snprintf(s->text, sizeof s->text,
             "stopped after its time was over, at %s, in code that does not wait; give it more time, or let it wait "
             "now and then: ctx:sleep(0)",
             s->watchdog.where[0] ? s->watchdog.where : "a C function");
    broken(s, f, "timeout", s->text);
}

static void yielded(orr_script *s, orr_fiber *f, int nres, bool fired) {
    lua_State *co = f->co;
    if (nres == 1 && f->state == FIBER_STARTING_WAIT && lua_touserdata(co, -1) == ORR_WAIT_SENTINEL) {
        lua_pop(co, 1);
        f->state = FIBER_PARKED;
        if (f->run && !(f->flags & FIBER_MAPPED) && f->kind == FIBER_NODE) {
            orr_fiber_map(s, f);
            orr_watch_sign(f);
        }
        orr_wait_parked(s, f);
    } else if (fired && nres == 0) {
        stopped(s, f);
    } else {
        broken(s, f, "handler_error",
               "the handler called coroutine.yield outside of a coroutine of its own; what may leave a handler is a "
               "wait: ctx:sleep, flow.await");
    }
}

static int64_t slice_due(const orr_script *s, const orr_fiber *f) {
    if (!s->watching || !f->run || !f->run->run || !(f->run->plan->how[f->task.node] & NODE_TIMED))
        return ORR_WATCHDOG_NEVER;
    const orr_runbox *r = f->run;
    int64_t due = orr_task_due(r->run, &orr_fiber_at(s, f->root)->task);
    if (r->due < due) due = r->due;
    return orr_clock_monotonic(orr_engine_clock(r->rt->runtime), due);
}

/* Goes on with a fiber whose arguments are the `nargs` values at the top of its stack. */
static void resume(orr_script *s, orr_fiber *f, int nargs) {
    orr_watchdog_frame frame;
    lua_State *co = f->co;
    uint32_t before = s->current;
    int nres;
    f->state = FIBER_RUNNING;
    f->flags |= FIBER_STARTED;
    s->current = f->index;
    s->outcome.done = s->outcome.told = s->outcome.later = false;
    orr_watchdog_enter(&s->watchdog, &frame, co, slice_due(s, f));
    int status = lua_resume(co, s->from, nargs, &nres);
    bool fired = orr_watchdog_fired(&s->watchdog);
    orr_watchdog_leave(&s->watchdog, &frame);
    s->current = before;
    s->raising = false;
    if (status == LUA_OK) {
        assert(lua_gettop(co) == nres);
        finished(s, f, nres);
    } else if (status == LUA_YIELD) {
        yielded(s, f, nres, fired);
    } else if (fired && lua_touserdata(co, -1) == ORR_WATCHDOG_ERROR) {
        stopped(s, f);
    } else {
        broken(s, f, NULL, NULL);
    }
}

static const lua_CFunction bases[] = {[ORR_PHASE_RUN] = node_base, [ORR_PHASE_FALLBACK] = fallback_base,
                                      [ORR_PHASE_COMPENSATE] = compensate_base};

void orr_fiber_start(orr_script *s, orr_runbox *run, const orr_action *action) {
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
    f->run = run;
    f->task = action->task;
    f->kind = FIBER_NODE;
    f->phase = action->phase;
    assert(lua_gettop(f->co) == 0);
    fetch_ahead(run->plan, action);
    lua_pushcfunction(f->co, bases[action->phase]);
    lua_pushlightuserdata(f->co, s);
    resume(s, f, 1);
}

orr_fiber *orr_fiber_spawn(orr_script *s, lua_State *L, orr_fiber_kind kind, int nargs, orr_fiber *parent) {
    orr_fiber *f = orr_fiber_new(s, true);
    if (!f || !lua_checkstack(f->co, nargs + LUA_MINSTACK)) {
        if (f) orr_fiber_release(s, f, true);
        lua_pop(L, nargs + 1);
        return NULL;
    }
    f->kind = (uint8_t)kind;
    if (parent) {
        f->run = parent->run;
        f->task = parent->task;
        f->phase = parent->phase;
        f->root = parent->root;
        f->parent = parent->index;
        f->newest = parent->newest;
        f->flags |= parent->flags & FIBER_IN_STEP;
    }
    lua_pushcfunction(f->co, kind == FIBER_STRAND ? strand_base : free_base);
    lua_pushlightuserdata(f->co, s);
    lua_xmove(L, f->co, nargs + 1);
    f->nargs = nargs + 2;
    orr_ready_push(s, f);
    return f;
}

bool orr_fiber_next(orr_script *s) {
    if (s->ready_head == ORR_NONE) return false;
    orr_fiber *f = orr_fiber_at(s, s->ready_head);
    orr_ready_remove(s, f);
    int nargs = f->nargs;
    f->nargs = 0;
    if (f->flags & FIBER_RAISE) {
        f->flags &= (uint16_t)~FIBER_RAISE;
        s->raising = true;
    }
    resume(s, f, nargs);
    return true;
}
