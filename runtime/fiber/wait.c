/* wait.c - how a fiber suspends and goes on, whatever it waits for.
 *
 * A wait has three moments: it begins (orr_wait_begin, in user code), its yield arrives at the
 * scheduler (orr_wait_parked), it is done (orr_wait_done, from outside). `busy` of an attempt
 * counts the strands that need its slot; where none does, orr_client.rest gives the slot back, and
 * one is asked for again before any of them goes on.
 */
#include "fiber/inner.h"
#include <lauxlib.h>

/* ---- beginning ------------------------------------------------------------------------------- */

static void push_escaped(lua_State *L, const orr_script *s) {
    orr_push_error(
        L, s, "wait_escaped",
        "a wait was begun in a coroutine that a coroutine.resume or wrap kept from before orrery was loaded "
        "resumes; require orrery before the module that keeps it");
}

void orr_wait_escaped(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_wait_forget(s, f);
    f->state = FIBER_RUNNING;
    push_escaped(L, s);
}

bool orr_wait_outside(lua_State *L, orr_script *s) {
    (void)L;
    return !orr_fiber_current(s) && !orr_fibers_of(s)->pumping;
}

int orr_wait_in_fiber(lua_State *L, orr_script *s, lua_CFunction fn) {
    int nresults;
    lua_pushcfunction(L, fn);
    lua_insert(L, 1);
    if (orr_script_run(s, L, lua_gettop(L) - 1, &nresults) == LUA_OK) return nresults;
    lua_pop(L, 1);
    return lua_error(L);
}

orr_fiber *orr_wait_begin(lua_State *L, orr_script *s, const char *what) {
    orr_fiber *f = orr_fiber_current(s);
    if (!f) {
        luaL_error(L,
                   "%s cannot wait in a callback: nothing suspends it; do the wait in a handler, and let the "
                   "callback "
                   "call `resume` of flow.await",
                   what);
        return NULL;
    }
    if (f->state == FIBER_STARTING_WAIT) {
        orr_wait_escaped(L, s, f);
        lua_error(L);
    }
    if (f->wait)
        luaL_error(
            L,
            "%s cannot wait inside the start function of flow.await: it only starts the operation; wait "
            "before or after",
            what);
    if (!lua_isyieldable(L))
        luaL_error(
            L,
            "%s cannot wait here: a function called by table.sort, string.gsub, tostring, require or the "
            "garbage collector is not suspended; wait before it and pass the value in",
            what);
    if (f->flags & FIBER_RAISE_AT_WAIT) {
        f->flags &= (uint16_t)~FIBER_RAISE_AT_WAIT;
        orr_push_reason(L, s, f->reason);
        lua_error(L);
    }
    f->seq++;
    return f;
}

/* Where a wait goes on: on the coroutine, perhaps the user's, that began it. */
static int wait_over(lua_State *L, int status, lua_KContext k) {
    (void)status;
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_current(s);
    if (!f || f->state != FIBER_RUNNING) {
        if (f) orr_wait_escaped(L, s, f);
        else push_escaped(L, s);
        return lua_error(L);
    }
    orr_fibers *all = orr_fibers_of(s);
    if (!all->raising) return lua_gettop(L);
    all->raising = false;
    if (lua_gettop(L) == 0) orr_push_reason(L, s, f->reason);
    return lua_error(L);
}

int orr_wait_yield(lua_State *L, orr_script *s, orr_fiber *f) {
    f->state = FIBER_STARTING_WAIT;
    lua_settop(L, 0);
    lua_pushlightuserdata(L, ORR_WAIT_SENTINEL);
    return lua_yieldk(L, 1, (lua_KContext)s, wait_over);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static int64_t earliest(const orr_script *s, const orr_fiber *f) {
    int64_t due = f->wait && f->wait->timed ? f->due : INT64_MAX;
    for (uint32_t at = f->strands; at != ORR_NONE; at = orr_fiber_at(s, at)->sibling) {
        int64_t other = earliest(s, orr_fiber_at(s, at));
        if (other < due) due = other;
    }
    return due;
}

void orr_wait_rest(orr_script *s, orr_fiber *root) {
    if (root->busy || !root->client->rest || root->flags & FIBER_SLOTLESS) return;
    if (root->client->rest(s, root, earliest(s, root))) root->flags |= FIBER_SLOTLESS;
}

/* Which fiber: its slot, and the task that it belongs to. */
static void trace(const orr_script *s, const orr_fiber *f, const char *what) {
    const orr_trace *to = &orr_fibers_of(s)->trace;
    if (!orr_traces(to, ORR_TRACE_WAIT)) return;
    if (f->run) orr_trace_line(to, ORR_TRACE_WAIT, "fiber %u of node %u %s", f->index, f->task.node, what);
    else orr_trace_line(to, ORR_TRACE_WAIT, "fiber %u %s", f->index, what);
}

void orr_wait_parked(orr_script *s, orr_fiber *f) {
    trace(s, f, f->wait->begins);
    if (f->wait->keeps_slot) return;
    orr_fiber *root = orr_fiber_root(s, f);
    f->flags |= FIBER_DURABLE;
    root->busy--;
    orr_wait_rest(s, root);
    if (f->wait->parked) f->wait->parked(s, f);
}

/* ---- ending ---------------------------------------------------------------------------------- */

void orr_wait_forget(orr_script *s, orr_fiber *f) {
    if (f->wait && f->wait->forget) f->wait->forget(s, f);
    if (f->flags & FIBER_DURABLE) orr_fiber_root(s, f)->busy++;
    f->flags &= (uint16_t)~FIBER_DURABLE;
    f->wait = NULL;
    f->seq++;
    orr_fiber_clear_value(s, f);
}

void orr_wait_done(orr_script *s, orr_fiber *f, int nargs) {
    if (!ORR_HOLDS(s, f->state == FIBER_PARKED, "a fiber that does not wait was woken")) return;
    trace(s, f, f->flags & FIBER_RAISE ? "goes on with an error" : "goes on");
    orr_wait_forget(s, f);
    if (f->flags & FIBER_RAISE_AT_WAKE) {
        f->flags = (uint16_t)((f->flags & ~FIBER_RAISE_AT_WAKE) | FIBER_RAISE);
        lua_settop(f->co, lua_gettop(f->co) - nargs);
        nargs = 0;
    }
    f->nargs = nargs;
    orr_fiber *root = orr_fiber_root(s, f);
    if (!(root->flags & FIBER_SLOTLESS)) {
        orr_ready_push(s, f);
        return;
    }
    f->state = FIBER_HELD;
    f->next = ORR_NONE;
    uint32_t *link = &root->held;
    while (*link != ORR_NONE) link = &orr_fiber_at(s, *link)->next;
    *link = f->index;
    root->client->wake(s, root);
}

static void release_held(orr_script *s, orr_fiber *root) {
    while (root->held != ORR_NONE) {
        orr_fiber *f = orr_fiber_at(s, root->held);
        root->held = f->next;
        orr_ready_push(s, f);
    }
}

void orr_wait_slot(orr_script *s, orr_fiber *root) {
    root->flags &= (uint16_t)~FIBER_SLOTLESS;
    if (root->state == FIBER_PARKED && root->wait == &orr_wait_core_sleep) orr_wait_done(s, root, 0);
    release_held(s, root);
    orr_wait_rest(s, root);
}

void orr_wait_keep_slot(orr_script *s, orr_fiber *root) {
    root->flags &= (uint16_t)~FIBER_SLOTLESS;
    release_held(s, root);
}

/* ---- timers of waits ------------------------------------------------------------------------- */

static orr_engine *engine_of(const orr_script *s, const orr_fiber *f) {
    const orr_rt *rt = f->rt ? f->rt : orr_fibers_of(s)->default_rt;
    return rt->engine;
}

static int64_t comes(const orr_fiber *f) {
    return f->run ? f->rt->class->comes(f, f->due) : f->due;
}

void orr_wait_move_timer(const orr_script *s, const orr_fiber *f) {
    if (!f->wait || !f->wait->timed || f->timer == ORR_NONE) return;
    orr_engine_move_timer(engine_of(s, f), f->timer, comes(f));
}

void orr_wait_set_timer(orr_script *s, orr_fiber *f) {
    f->timer = orr_engine_timer(engine_of(s, f), comes(f), s, f->index);
    if (f->timer == ORR_NONE) orr_wake_with_reason(s, f, REASON_MEMORY);
}

void orr_wait_unset_timer(orr_script *s, orr_fiber *f) {
    if (f->timer != ORR_NONE) orr_engine_untimer(engine_of(s, f), f->timer);
    f->timer = ORR_NONE;
}

void orr_wait_timer(orr_script *s, const orr_timer *timer) {
    orr_fiber *f = orr_fiber_at(s, timer->task);
    f->timer = ORR_NONE;
    f->wait->timeout(s, f);
}
