/* wait.c - how a fiber suspends and goes on: flow.await, sleeping, gathering.
 *
 * A wait has three moments: it begins (orr_wait_begin, in user code), its yield arrives at the scheduler
 * (orr_wait_parked), it is done (orr_wait_done, from outside). `busy` of an attempt counts the strands that need
 * its slot; where none does, the core is told that the attempt waits, and it asks for a slot again before any goes on.
 */
#include "state.h"
#include <lauxlib.h>

/* ---- beginning ------------------------------------------------------------------------------------------------ */

void orr_push_escaped(lua_State *L, const orr_script *s) {
    orr_push_error(L, s, "wait_escaped",
                   "a wait was begun in a coroutine that a coroutine.resume or wrap kept from before orrery was loaded "
                   "resumes; require orrery before the module that keeps it");
}

bool orr_wait_outside(lua_State *L, orr_script *s) {
    (void)L;
    return s->current == ORR_NONE && !s->pumping;
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
        luaL_error(L, "%s cannot wait in a callback: nothing suspends it; do the wait in a handler, and let the callback "
                      "call `resume` of flow.await", what);
        return NULL;
    }
    if (f->state == FIBER_STARTING_WAIT) {
        orr_wait_forget(s, f);
        f->state = FIBER_RUNNING;
        orr_push_escaped(L, s);
        lua_error(L);
    }
    if (f->wait != WAIT_NONE)
        luaL_error(L, "%s cannot wait inside the start function of flow.await: it only starts the operation; wait "
                      "before or after", what);
    if (!lua_isyieldable(L))
        luaL_error(L, "%s cannot wait here: a function called by table.sort, string.gsub, tostring, require or the "
                      "garbage collector is not suspended; wait before it and pass the value in", what);
    if (f->flags & FIBER_TELL) {
        f->flags &= (uint16_t)~FIBER_TELL;
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
        if (f) {
            orr_wait_forget(s, f);
            f->state = FIBER_RUNNING;
        }
        orr_push_escaped(L, s);
        return lua_error(L);
    }
    if (!s->raising) return lua_gettop(L);
    s->raising = false;
    if (lua_gettop(L) == 0) orr_push_reason(L, s, f->reason);
    return lua_error(L);
}

int orr_wait_yield(lua_State *L, orr_script *s, orr_fiber *f) {
    f->state = FIBER_STARTING_WAIT;
    lua_settop(L, 0);
    lua_pushlightuserdata(L, ORR_WAIT_SENTINEL);
    return lua_yieldk(L, 1, (lua_KContext)s, wait_over);
}

/* ---- slots ---------------------------------------------------------------------------------------------------- */

static orr_fiber *root_of(const orr_script *s, const orr_fiber *f) {
    return orr_fiber_at(s, f->root);
}

static int64_t earliest(const orr_script *s, const orr_fiber *f) {
    bool timed = f->wait == WAIT_SLEEP || f->wait == WAIT_TIMER || f->wait == WAIT_SIGNAL;
    int64_t due = timed ? f->due : INT64_MAX;
    for (uint32_t at = f->strands; at != ORR_NONE; at = orr_fiber_at(s, at)->sibling) {
        int64_t other = earliest(s, orr_fiber_at(s, at));
        if (other < due) due = other;
    }
    return due;
}

/* Gives the slot back where no strand of the attempt needs it. The core refuses while it stops the task: then the
 * attempt keeps it to its end. */
void orr_wait_rest(orr_script *s, orr_fiber *root) {
    if (root->busy || root->kind != FIBER_NODE || !root->run->run || root->flags & FIBER_SLOTLESS) return;
    int64_t due = earliest(s, root);
    if (orr_task_wait(root->run->run, &root->task, due == INT64_MAX ? -1 : due) == ORR_OK)
        root->flags |= FIBER_SLOTLESS;
}

void orr_wait_set_timer(orr_script *s, orr_fiber *f) {
    orr_rtbox *rt = f->run ? f->run->rt : s->default_rt;
    f->timer = orr_engine_timer(rt->runtime, f->due, s, f->index);
    if (f->timer == ORR_NONE) orr_wake_with_reason(s, f, REASON_MEMORY);
}

void orr_wait_parked(orr_script *s, orr_fiber *f) {
    if (f->wait == WAIT_AWAIT || f->wait == WAIT_RUN || f->wait == WAIT_DISK) return;
    orr_fiber *root = root_of(s, f);
    f->flags |= FIBER_DURABLE;
    root->busy--;
    orr_wait_rest(s, root);
    if (f->wait == WAIT_SLEEP && !(root->flags & FIBER_SLOTLESS)) f->wait = WAIT_TIMER;
    if (f->timer != ORR_NONE) return;
    if (f->wait == WAIT_TIMER || (f->wait == WAIT_SIGNAL && f->due != INT64_MAX)) orr_wait_set_timer(s, f);
}

/* ---- the disk ---------------------------------------------------------------------------------------------------- */

/* Tickets only grow with time, but a run's last record may be older than that of the one before it in the list. A torn journal has
 * a ticket that never comes. */
static void join_disk(orr_script *s, orr_fiber *f, orr_rtbox *rt, uint64_t ticket) {
    uint32_t before = rt->disk_last, after = 0;
    f->wait = WAIT_DISK;
    f->ticket = ticket;
    f->disk = rt;
    while (before && orr_fiber_at(s, before - 1)->ticket > ticket) {
        after = before;
        before = orr_fiber_at(s, before - 1)->prev + 1; /* ORR_NONE + 1 is 0 */
    }
    f->prev = before - 1;
    f->next = after - 1;
    if (before) orr_fiber_at(s, before - 1)->next = f->index;
    else rt->disk_first = f->index + 1;
    if (after) orr_fiber_at(s, after - 1)->prev = f->index;
    else rt->disk_last = f->index + 1;
}

static void leave_disk(orr_script *s, orr_fiber *f) {
    if (f->prev != ORR_NONE) orr_fiber_at(s, f->prev)->next = f->next;
    else f->disk->disk_first = f->next + 1;
    if (f->next != ORR_NONE) orr_fiber_at(s, f->next)->prev = f->prev;
    else f->disk->disk_last = f->prev + 1;
    f->next = f->prev = ORR_NONE;
    f->flags &= (uint16_t)~FIBER_FAILED;
}

/* The value that it goes on with is at the top; popped. */
static void wait_disk(lua_State *L, orr_script *s, orr_fiber *f, orr_rtbox *rt, uint64_t ticket, bool raise) {
    orr_fiber_set_value(L, s, f);
    join_disk(s, f, rt, ticket);
    if (raise) f->flags |= FIBER_FAILED;
    rt->soon = true;
}

int orr_wait_disk(lua_State *L, orr_script *s, const orr_runbox *r, bool raise) {
    uint64_t ticket = orr_journal_ticket(r);
    if (ticket == 0) return raise ? lua_error(L) : 1;
    orr_fiber *f = orr_wait_begin(L, s, "a step");
    wait_disk(L, s, f, r->rt, ticket, raise);
    return orr_wait_yield(L, s, f);
}

/* Where the attempt waits without a slot, the core lets it go on when the record of its waking is durable, and that comes after
 * the one that matters. */
void orr_wait_end_durably(lua_State *L, orr_script *s, orr_fiber *f, bool raise) {
    uint64_t ticket = orr_journal_ticket(f->run);
    if (!lua_checkstack(f->co, LUA_MINSTACK)) luaL_error(L, "not enough memory");
    if (ticket && !(root_of(s, f)->flags & FIBER_SLOTLESS)) {
        orr_wait_forget(s, f);
        wait_disk(L, s, f, f->run->rt, ticket, raise);
        return;
    }
    lua_xmove(L, f->co, 1);
    if (raise) f->flags |= FIBER_RAISE;
    orr_wait_done(s, f, 1);
}

void orr_wait_durable(orr_script *s, orr_rtbox *rt, uint64_t durable) {
    while (rt->disk_first) {
        orr_fiber *f = orr_fiber_at(s, rt->disk_first - 1);
        if (f->ticket > durable) return;
        if (!lua_checkstack(f->co, LUA_MINSTACK)) {
            orr_wake_with_reason(s, f, REASON_MEMORY);
            continue;
        }
        if (f->flags & FIBER_FAILED) f->flags |= FIBER_RAISE;
        orr_fiber_push_value(f->co, s, f);
        orr_wait_done(s, f, 1);
    }
}

void orr_wait_disk_gone(orr_script *s, orr_rtbox *rt) {
    while (rt->disk_first) orr_wake_with_reason(s, orr_fiber_at(s, rt->disk_first - 1), REASON_OWNER);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static void leave_waiters(orr_script *s, orr_fiber *f) {
    if (f->prev != ORR_NONE) orr_fiber_at(s, f->prev)->next = f->next;
    else if (f->other) f->other->waiters = f->next;
    if (f->next != ORR_NONE) orr_fiber_at(s, f->next)->prev = f->prev;
    f->next = f->prev = ORR_NONE;
    f->other = NULL;
}

void orr_wait_forget(orr_script *s, orr_fiber *f) {
    switch (f->wait) {
    case WAIT_AWAIT:
        s->awaits--;
        break;
    case WAIT_SIGNAL:
        s->signal_waits--;
        /* fall through */
    case WAIT_TIMER:
        if (f->timer != ORR_NONE) orr_engine_untimer((f->run ? f->run->rt : s->default_rt)->runtime, f->timer);
        f->timer = ORR_NONE;
        break;
    case WAIT_GATHER:
        while (f->strands != ORR_NONE) orr_fiber_abandon(s, orr_fiber_at(s, f->strands));
        f->flags &= (uint16_t)~FIBER_FAILED;
        break;
    case WAIT_DISK:
        leave_disk(s, f);
        break;
    case WAIT_RUN:
    case WAIT_CHILD:
        leave_waiters(s, f);
        break;
    default:
        break;
    }
    if (f->flags & FIBER_DURABLE) root_of(s, f)->busy++;
    f->flags &= (uint16_t)~FIBER_DURABLE;
    f->wait = WAIT_NONE;
    f->seq++;
    orr_fiber_clear_value(s, f);
}

void orr_wait_done(orr_script *s, orr_fiber *f, int nargs) {
    assert(f->state == FIBER_PARKED);
    orr_wait_forget(s, f);
    if (f->flags & FIBER_TELL_AT_WAKE) {
        f->flags = (uint16_t)((f->flags & ~FIBER_TELL_AT_WAKE) | FIBER_RAISE);
        lua_settop(f->co, lua_gettop(f->co) - nargs);
        nargs = 0;
    }
    f->nargs = nargs;
    orr_fiber *root = root_of(s, f);
    if (!(root->flags & FIBER_SLOTLESS)) {
        orr_ready_push(s, f);
        return;
    }
    f->state = FIBER_HELD;
    f->next = ORR_NONE;
    uint32_t *link = &root->held;
    while (*link != ORR_NONE) link = &orr_fiber_at(s, *link)->next;
    *link = f->index;
    orr_task_wake(root->run->run, &root->task);
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
    orr_watch_sign(root);
    if (root->state == FIBER_PARKED && root->wait == WAIT_SLEEP) orr_wait_done(s, root, 0);
    release_held(s, root);
    orr_wait_rest(s, root);
}

void orr_wait_keep_slot(orr_script *s, orr_fiber *root) {
    root->flags &= (uint16_t)~FIBER_SLOTLESS;
    release_held(s, root);
}

void orr_wait_timer(orr_script *s, const orr_timer *timer) {
    orr_fiber *f = orr_fiber_at(s, timer->task);
    f->timer = ORR_NONE;
    if (f->wait == WAIT_SIGNAL) orr_signal_timeout(s, f);
    else orr_wait_done(s, f, 0);
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------- */

orr_rtbox *orr_fiber_rt(lua_State *L, orr_script *s, const orr_fiber *f) {
    return f->run ? f->run->rt : orr_rt_default(L, s);
}

int orr_wait_sleep(lua_State *L, orr_script *s, int64_t ns) {
    const orr_fiber *f = orr_wait_begin(L, s, "sleep");
    int64_t now = orr_engine_now(orr_fiber_rt(L, s, f)->runtime);
    return orr_wait_until(L, s, ns <= 0 ? now : ns > INT64_MAX - now ? INT64_MAX - 1 : now + ns);
}

int orr_wait_until(lua_State *L, orr_script *s, int64_t due) {
    orr_fiber *f = orr_wait_begin(L, s, "sleep");
    f->due = due;
    f->timer = ORR_NONE;
    f->wait = f->kind == FIBER_NODE && f->strands == ORR_NONE ? WAIT_SLEEP : WAIT_TIMER;
    return orr_wait_yield(L, s, f);
}

int orr_core_sleep(lua_State *L) {
    orr_script *s = orr_script_of(L);
    int64_t ns = orr_check_duration(L, 1, "sleep");
    if (orr_wait_outside(L, s)) return orr_wait_in_fiber(L, s, orr_core_sleep);
    orr_fiber *f = orr_fiber_current(s);
    if (f && f->run) return orr_step_sleep(L, s, f, ns);
    return orr_wait_sleep(L, s, ns);
}
