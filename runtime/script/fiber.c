/* fiber.c - the one function that resumes handlers, the slots fibers live in, and how they start and end.
 *
 * The path of a node whose handler neither waits nor takes anything is: orr_fiber_start, resume, node_base,
 * node_done, orr_fiber_ended. It allocates nothing, makes no table and reads no clock.
 */
#include "state.h"
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* ---- slots --------------------------------------------------------------------------------------------------- */

orr_fiber *orr_fiber_get(const orr_script *s, orr_fiber_id id) {
    uint32_t index = (uint32_t)id, gen = (uint32_t)(id >> 32);
    if (index >= s->n_slots) return NULL;
    orr_fiber *f = orr_fiber_at(s, index);
    return f->gen == gen && f->state != FIBER_UNUSED ? f : NULL;
}

static bool grow(orr_script *s) {
    orr_fiber **chunks = orr_mem_resize(&s->alloc, s->chunks, s->n_chunks, s->n_chunks + 1, sizeof *chunks);
    if (!chunks) return false;
    s->chunks = chunks;
    orr_fiber *chunk = orr_mem_new(&s->alloc, ORR_FIBER_CHUNK, sizeof *chunk);
    if (!chunk) {
        orr_fiber **less = orr_mem_resize(&s->alloc, chunks, s->n_chunks + 1, s->n_chunks, sizeof *chunks);
        if (less || !s->n_chunks) s->chunks = less;
        return false;
    }
    s->chunks[s->n_chunks++] = chunk;
    for (uint32_t i = ORR_FIBER_CHUNK; i-- > 0;) {
        chunk[i].index = s->n_slots + i;
        chunk[i].gen = 1;
        chunk[i].next = s->cold;
        s->cold = s->n_slots + i;
    }
    s->n_slots += ORR_FIBER_CHUNK;
    return true;
}

typedef struct making {
    orr_script *s;
    orr_fiber *f;
} making;

static int make_coroutine(lua_State *L) {
    making *m = lua_touserdata(L, 1);
    orr_push_anchor(L, m->s->at.threads);
    lua_State *co = lua_newthread(L);
    lua_rawseti(L, -2, (lua_Integer)m->f->index + 1);
    m->f->co = co;
    return 0;
}

orr_fiber *orr_fiber_new(orr_script *s, bool with_coroutine) {
    orr_fiber *f;
    if (with_coroutine && s->warm != ORR_NONE) {
        f = orr_fiber_at(s, s->warm);
        s->warm = f->next;
        s->n_warm--;
    } else {
        if (s->cold == ORR_NONE && !grow(s)) return NULL;
        f = orr_fiber_at(s, s->cold);
        making m = {s, f};
        if (with_coroutine && orr_protect(s, make_coroutine, &m) != LUA_OK) return NULL;
        s->cold = f->next;
    }
    f->run = NULL;
    f->task = (orr_task){ORR_NONE, ORR_NONE, 0, 0};
    f->root = f->index;
    f->parent = f->strands = f->sibling = f->next = f->prev = f->chain = f->timer = f->held = ORR_NONE;
    f->left = 0;
    f->busy = 1;
    f->nargs = 0;
    f->flags = 0;
    f->state = FIBER_VIEW;
    f->kind = FIBER_FREE;
    f->wait = WAIT_NONE;
    f->phase = f->reason = 0;
    return f;
}

/* A table place that holds a value is emptied without allocating. */
static void clear_place(orr_script *s, int anchor, uint32_t index) {
    lua_State *L = s->main;
    if (!lua_checkstack(L, 4)) return;
    orr_push_anchor(L, anchor);
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)index + 1);
    lua_pop(L, 1);
}

static void drop_coroutine(orr_script *s, orr_fiber *f) {
    clear_place(s, s->at.threads, f->index);
    f->co = NULL;
}

/* ---- the map from tasks to fibers that have waited ---------------------------------------------------------------- */

static uint32_t bucket_of(const orr_script *s, const orr_runbox *run, const orr_task *task) {
    uint64_t h = (uint64_t)(uintptr_t)run >> 4;
    h = (h ^ orr_task_handle(task->node, task->item)) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32) & (s->map_size - 1);
}

/* Where memory for a wider map is missing, the chains get longer: slower, never wrong. */
static void widen_map(orr_script *s) {
    uint32_t size = s->map_size * 2;
    uint32_t *map = size ? orr_mem_new(&s->alloc, size, sizeof *map) : NULL;
    if (!map) return;
    uint32_t *old = s->map, old_size = s->map_size;
    memset(map, 0xff, size * sizeof *map);
    s->map = map;
    s->map_size = size;
    for (uint32_t i = 0; i < old_size; i++) {
        for (uint32_t at = old[i], next; at != ORR_NONE; at = next) {
            orr_fiber *f = orr_fiber_at(s, at);
            next = f->chain;
            uint32_t *bucket = &map[bucket_of(s, f->run, &f->task)];
            f->chain = *bucket;
            *bucket = at;
        }
    }
    orr_mem_free(&s->alloc, old, old_size, sizeof *old);
}

static void map_add(orr_script *s, orr_fiber *f) {
    if (s->map_count >= s->map_size) widen_map(s);
    uint32_t *bucket = &s->map[bucket_of(s, f->run, &f->task)];
    f->chain = *bucket;
    *bucket = f->index;
    f->flags |= FIBER_MAPPED;
    s->map_count++;
}

static void map_remove(orr_script *s, orr_fiber *f) {
    uint32_t *link = &s->map[bucket_of(s, f->run, &f->task)];
    while (*link != f->index) link = &orr_fiber_at(s, *link)->chain;
    *link = f->chain;
    s->map_count--;
}

orr_fiber *orr_fiber_of(const orr_script *s, const orr_runbox *run, const orr_task *task) {
    for (uint32_t at = s->map[bucket_of(s, run, task)]; at != ORR_NONE;) {
        orr_fiber *f = orr_fiber_at(s, at);
        if (f->run == run && f->task.node == task->node && f->task.item == task->item)
            return f->task.attempt == task->attempt && f->task.iteration == task->iteration ? f : NULL;
        at = f->chain;
    }
    return NULL;
}

void orr_fiber_release(orr_script *s, orr_fiber *f, bool clean) {
    if (f->flags & FIBER_HAS_VALUE) orr_fiber_clear_value(s, f);
    if (f->flags & FIBER_MAPPED) map_remove(s, f);
    f->gen++;
    f->state = FIBER_UNUSED;
    f->flags = 0;
    if (f->co && clean && s->n_warm < ORR_WARM_FIBERS) {
        lua_settop(f->co, 0);
        f->next = s->warm;
        s->warm = f->index;
        s->n_warm++;
        return;
    }
    if (f->co) drop_coroutine(s, f);
    f->next = s->cold;
    s->cold = f->index;
}

/* ---- the value of a wait ------------------------------------------------------------------------------------------- */

void orr_fiber_set_value(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_push_anchor(L, s->at.values);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)f->index + 1);
    lua_pop(L, 1);
    f->flags |= FIBER_HAS_VALUE;
}

void orr_fiber_push_value(lua_State *L, const orr_script *s, const orr_fiber *f) {
    if (!(f->flags & FIBER_HAS_VALUE)) {
        lua_pushnil(L);
        return;
    }
    orr_push_anchor(L, s->at.values);
    lua_rawgeti(L, -1, (lua_Integer)f->index + 1);
    lua_remove(L, -2);
}

void orr_fiber_clear_value(orr_script *s, orr_fiber *f) {
    if (!(f->flags & FIBER_HAS_VALUE)) return;
    f->flags &= (uint16_t)~FIBER_HAS_VALUE;
    clear_place(s, s->at.values, f->index);
}

/* ---- the queue ------------------------------------------------------------------------------------------------------ */

void orr_ready_push(orr_script *s, orr_fiber *f) {
    f->state = FIBER_READY;
    f->next = ORR_NONE;
    f->prev = s->ready_tail;
    if (s->ready_tail == ORR_NONE) s->ready_head = f->index;
    else orr_fiber_at(s, s->ready_tail)->next = f->index;
    s->ready_tail = f->index;
}

void orr_ready_remove(orr_script *s, orr_fiber *f) {
    if (f->prev == ORR_NONE) s->ready_head = f->next;
    else orr_fiber_at(s, f->prev)->next = f->next;
    if (f->next == ORR_NONE) s->ready_tail = f->prev;
    else orr_fiber_at(s, f->next)->prev = f->prev;
    f->next = f->prev = ORR_NONE;
}

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
        if (lua_isnil(L, -1) && f->task.iteration == 0) return 0;
        if (orr_run_take_output(L, s, f, &out->result)) return 0;
    }
    fail_with_top(L, s, f);
    return 0;
}

/* An attempt: fetches the handler, gives it what it takes, and runs it under a pcall through which waits pass. */
static int node_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_at(s, s->current);
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

/* The second chance of a node: a value, or a function that gets the error. */
static int fallback_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fiber *f = orr_fiber_at(s, s->current);
    lua_pushcfunction(L, orr_error_trace);
    if (!orr_push_fallback(L, s, f)) return node_done(L, LUA_OK, (lua_KContext)s);
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

static void end_task(orr_fiber *f, const orr_result *result) {
    if (f->run->run) orr_task_end(f->run->run, &f->task, result);
}

/* It came to its end by itself; the coroutine is dead and its stack holds `nres` values. */
static void finished(orr_script *s, orr_fiber *f, int nres) {
    bool failed = s->outcome.failed;
    switch (f->kind) {
    case FIBER_NODE:
        end_task(f, &s->outcome.result);
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
    else end_task(f, &s->outcome.result);
    orr_fiber_release(s, f, false);
}

/* Closes to-be-closed variables of a coroutine that is given up; they cannot wait, and are bounded as well. */
void orr_fiber_close(orr_script *s, orr_fiber *f) {
    orr_watchdog_frame frame;
    int64_t due = s->watching ? orr_watchdog_now() + ORR_CLOSE_BOUND : ORR_WATCHDOG_NEVER;
    uint32_t before = s->current;
    s->current = ORR_NONE;
    orr_watchdog_enter(&s->watchdog, &frame, f->co, due);
    lua_resetthread(f->co);
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
        if (f->run && !(f->flags & FIBER_MAPPED) && f->kind == FIBER_NODE) map_add(s, f);
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
    s->outcome.done = false;
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
    lua_pushcfunction(f->co, action->phase == ORR_PHASE_RUN ? node_base : fallback_base);
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
