/* lock.c - locks of runs: of the runs of a workflow with one value of its `singleton` one goes on
 * at a time.
 *
 * Where runs are kept in a store, the lock is the store's, and holds between processes: the run is
 * created in line, and asks when its creation is durable. Otherwise it holds among the runs of the
 * runtime. Either way a run that has to wait was created so (orr_run_waits), stands in the list
 * `waiting` of its runtime, and is let begin in the phase orr_locks_look, which is asked for
 * whenever something may have changed.
 */
#include "run/inner.h"
#include <stdio.h>
#include <string.h>

static const char *const conflicts[] = {"queue", "cancel_running", "skip", "fail", NULL};

/* ---- what a run says of its lock ------------------------------------------------------------- */

static bool same_lock(const orr_runbox *r, const orr_runbox *other) {
    return r->lock && other->lock && strcmp(r->lock->value, other->lock->value) == 0 &&
           strcmp(r->plan->plan->name, other->plan->plan->name) == 0;
}

static bool refuses(const orr_runbox *r) {
    return r->lock->on_conflict == ORR_CONFLICT_SKIP || r->lock->on_conflict == ORR_CONFLICT_FAIL;
}

bool orr_run_lock_refuses(const orr_runbox *r) {
    return r->lock && refuses(r);
}

static bool in_store(const orr_runbox *r) {
    return r->rt->durable && r->journal;
}

void orr_run_lock_read(lua_State *L, orr_runbox *r, int at) {
    size_t size;
    if (lua_getfield(L, at, "lock") == LUA_TSTRING) {
        orr_mask(L, r->script, -1);
        const char *value = lua_tolstring(L, -1, &size);
        lua_getfield(L, at, "on_conflict");
        int kind = lua_isnil(L, -1) ? ORR_CONFLICT_QUEUE : luaL_checkoption(L, -1, NULL, conflicts);
        if (strlen(value) != size) luaL_error(L, "lock: the value has a NUL in it");
        r->lock = orr_mem_new(&r->script->alloc, 1, sizeof *r->lock + size + 1);
        if (!r->lock) {
            luaL_error(L, "not enough memory for the run");
            return;
        }
        *r->lock = (orr_run_lock){.size = size, .on_conflict = (uint8_t)kind};
        memcpy(r->lock->value, value, size + 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void orr_run_lock_free(orr_runbox *r) {
    if (!r->lock) return;
    orr_mem_free(&r->script->alloc, r->lock, 1, sizeof *r->lock + r->lock->size + 1);
    r->lock = NULL;
}

const char *orr_run_lock_mode(const orr_runbox *r) {
    return conflicts[r->lock->on_conflict];
}

/* ---- who waits for whom ---------------------------------------------------------------------- */

enum { DEEPEST = 2 * ORR_DEEPEST_RUN };

/* Whether the end of a run has to wait for that of `r`: a handler of it called r, or it waits for a
 * lock that r has; itself, or what it waits for. Of the first r, which only waits, nobody needs a
 * lock. */
static bool waits_for(const orr_runbox *who, const orr_runbox *r, int depth) {
    const orr_script *s = r->script;
    if (depth > DEEPEST) return false;
    for (uint32_t i = r->waiters; i != ORR_NONE; i = orr_fiber_at(s, i)->next) {
        const orr_runbox *caller = orr_fiber_at(s, i)->run;
        if (caller && (caller == who || waits_for(who, caller, depth + 1))) return true;
    }
    for (const orr_runbox *w = depth > 0 && r->lock ? r->rt->waiting : NULL; w; w = w->lock->next)
        if (r->run && w->lock->behind && memcmp(w->lock->other, orr_run_id_of(r->run), 16) == 0 &&
            (w == who || waits_for(who, w, depth + 1)))
            return true;
    return false;
}

static void push_details(lua_State *L, const orr_runbox *r, const char *holder) {
    lua_createtable(L, 0, 2);
    orr_set_text(L, "run", holder);
    orr_set_text(L, "lock", r->lock->value);
    lua_setfield(L, -2, "details");
}

void orr_run_lock_push_conflict(lua_State *L, const orr_runbox *r, const char *holder) {
    lua_pushfstring(L,
                    "run %s has the lock '%s' of workflow %s: wait for its end, or cancel it "
                    "(on_conflict = \"%s\")",
                    holder, r->lock->value, r->plan->plan->name, orr_run_lock_mode(r));
    orr_push_final_error(L, r->script, "conflict");
    push_details(L, r, holder);
}

static void push_deadlock(lua_State *L, const orr_runbox *r, const char *holder) {
    lua_pushfstring(L,
                    "it would wait for ever for the lock '%s' of workflow %s: run %s has it, and waits for "
                    "this one; give it another value, or call it after that run",
                    r->lock->value, r->plan->plan->name, holder);
    orr_push_final_error(L, r->script, "deadlock");
    push_details(L, r, holder);
}

/* ---- in memory ------------------------------------------------------------------------------- */

/* The list of runs begins with the newest, so the last that fits is the oldest. */
static orr_runbox *holder_in_memory(const orr_runbox *r) {
    orr_runbox *found = NULL;
    for (orr_runbox *other = r->rt->runs; other; other = other->next) {
        if (other == r || !other->live || !other->run || !same_lock(r, other)) continue;
        if (!found || !orr_run_waits(other->run) || orr_run_waits(found->run)) found = other;
    }
    return found;
}

/* Whether it is the turn of one that waits. */
static orr_lock_outcome ask_in_memory(const orr_runbox *r, orr_lock_found *found) {
    const orr_runbox *in_way = NULL;
    for (const orr_runbox *other = r->rt->runs; other && !in_way; other = other->next)
        if (other != r && other->live && other->run && !orr_run_waits(other->run) && same_lock(r, other))
            in_way = other;
    found->has_it = in_way != NULL;
    for (const orr_runbox *w = r->rt->waiting; w != r && !in_way; w = w->lock->next)
        if (same_lock(r, w)) in_way = w;
    if (!in_way) return ORR_LOCK_HELD;
    found->alive = true;
    memcpy(found->other, orr_run_id_of(in_way->run), 16);
    return ORR_LOCK_TAKEN;
}

/* All that are older, whether they have begun or not. */
static void cancel_in_memory(const orr_runbox *r) {
    for (orr_runbox *other = r->next; other; other = other->next)
        if (other->live && other->run && same_lock(r, other)) orr_run_cancel_once(other->run);
}

bool orr_run_lock_skips(lua_State *L, orr_rtbox *rt, int plan, int opts) {
    bool skips = false;
    lua_getfield(L, opts, "lock");
    lua_getfield(L, opts, "on_conflict");
    const char *value = lua_tostring(L, -2), *mode = lua_tostring(L, -1);
    const char *name = orr_check_plan(L, plan)->plan->name;
    if (!rt->durable && value && mode && strcmp(mode, "skip") == 0)
        for (const orr_runbox *r = rt->runs; r && !skips; r = r->next)
            skips = r->live && r->run && r->lock && strcmp(r->lock->value, value) == 0 &&
                    strcmp(r->plan->plan->name, name) == 0;
    lua_pop(L, 2);
    return skips;
}

/* ---- coming into line ------------------------------------------------------------------------ */

void orr_run_lock_enter(lua_State *L, const orr_runbox *r, orr_run_options *o) {
    if (!r->lock) return;
    const orr_runbox *holder = r->rt->durable ? NULL : holder_in_memory(r);
    if (holder && refuses(r)) {
        orr_run_lock_push_conflict(L, r, holder->id);
        lua_error(L);
    }
    o->waits = r->rt->durable || holder;
}

static void await(orr_rtbox *rt, int by) {
    rt->n_waiting = (uint32_t)((int64_t)rt->n_waiting + by);
    if (rt->durable && rt->storage) rt->keeper->await(rt, rt->n_waiting);
}

void orr_run_lock_wait(orr_runbox *r) {
    orr_rtbox *rt = r->rt;
    if (!r->lock || !r->live || r->lock->waits || !orr_run_waits(r->run)) return;
    r->lock->prev = rt->last_waiting;
    r->lock->next = NULL;
    if (rt->last_waiting) rt->last_waiting->lock->next = r;
    else rt->waiting = r;
    rt->last_waiting = r;
    r->lock->waits = rt->ask_locks = true;
    await(rt, 1);
}

static void leave(orr_runbox *r) {
    orr_run_lock *lock = r->lock;
    if (!lock->waits) return;
    if (lock->prev) lock->prev->lock->next = lock->next;
    else r->rt->waiting = lock->next;
    if (lock->next) lock->next->lock->prev = lock->prev;
    else r->rt->last_waiting = lock->prev;
    lock->next = lock->prev = NULL;
    lock->waits = lock->behind = false;
    await(r->rt, -1);
}

void orr_run_lock_over(orr_runbox *r) {
    if (!r->lock) return;
    leave(r);
    r->rt->ask_locks |= r->rt->waiting != NULL;
}

/* ---- being told ------------------------------------------------------------------------------ */

/* {event = "run_waiting", run, workflow, lock, holder, alive} */
static void tell(lua_State *L, orr_runbox *r, const char *holder, bool alive) {
    if (!r->rt->n_listeners) return;
    orr_event_push(L, r, "run_waiting", NULL, orr_run_time_now(r));
    orr_set_text(L, "lock", r->lock->value);
    orr_set_text(L, "holder", holder);
    lua_pushboolean(L, alive);
    lua_setfield(L, -2, "alive");
    orr_event_queue(L, r->rt);
}

/* Those before it are cancelled; in a store by supersede(rt, run, lock). */
static void supersede(lua_State *L, orr_runbox *r) {
    const orr_script *s = r->script;
    if (!in_store(r)) cancel_in_memory(r);
    if (!in_store(r) || orr_runs_of(s)->supersede == LUA_NOREF) return;
    orr_push_anchor(L, orr_runs_of(s)->supersede);
    orr_run_push(L, r, RUN_RT);
    orr_push_box(L, s, r);
    lua_pushstring(L, r->lock->value);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK) orr_log(L, r->rt, r, "error", luaL_tolstring(L, -1, NULL));
}

static orr_runbox *live_run(const orr_rtbox *rt, const uint8_t id[16]) {
    orr_runbox *r = orr_run_by_id(rt, id);
    return r && r->live && r->run ? r : NULL;
}

typedef struct telling {
    orr_runbox *r;
    orr_lock_found found;
} telling;

static int tell_behind(lua_State *L) {
    const telling *t = lua_touserdata(L, 1);
    orr_runbox *r = t->r;
    char holder[40];
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_uuid_format(holder, t->found.other);
    const orr_runbox *other = live_run(r->rt, t->found.other);
    tell(L, r, holder, t->found.alive);
    if (other && waits_for(other, r, 0)) {
        push_deadlock(L, r, holder);
        orr_run_set(L, r, RUN_ERROR);
        r->lock->deadlock = true;
        orr_run_cancel_once(r->run);
        return 0;
    }
    if (r->lock->on_conflict == ORR_CONFLICT_CANCEL_RUNNING) {
        supersede(L, r);
    } else if (!t->found.alive && !r->rt->n_listeners) { /* those were told by the event */
        lua_pushfstring(
            L,
            "run %s waits for the lock '%s': run %s has it, and no process runs that; let it go on, "
            "or cancel it and let it go on: orrery resume %s",
            r->id, r->lock->value, holder, holder);
        orr_log(L, r->rt, r, "warn", lua_tostring(L, -1));
    }
    return 0;
}

/* Says so once, and once more when nobody runs who is in the way any longer; to the first in line
 * of each that is. */
static void stay_behind(orr_runbox *r, const orr_lock_found *found, bool first) {
    orr_run_lock *lock = r->lock;
    bool known = lock->behind && lock->alive == found->alive;
    bool same = memcmp(lock->other, found->other, 16) == 0;
    lock->behind = true;
    lock->has_it = found->has_it;
    lock->alive = found->alive;
    memcpy(lock->other, found->other, 16);
    if (known && (same || !first)) return;
    telling t = {r, *found};
    r->script->guarded++; /* what runs in there may drop no run */
    bool told = orr_protect(r->script, tell_behind, &t) == LUA_OK;
    r->script->guarded--;
    if (told) return;
    lock->behind = false; /* once more, the next time */
    r->rt->ask_locks = true;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* One before it in the list has asked for the same lock just now, and waits for who has it. */
static const orr_run_lock *asked_before(const orr_runbox *r) {
    for (const orr_runbox *w = r->rt->waiting; w != r; w = w->lock->next)
        if (same_lock(w, r)) return w->lock->behind && w->lock->has_it ? w->lock : NULL;
    return NULL;
}

static void ask(orr_runbox *r) {
    const orr_run_lock *known = asked_before(r);
    orr_lock_found found = {0};
    orr_lock_outcome outcome = ORR_LOCK_TAKEN;
    if (known) {
        found = (orr_lock_found){.has_it = true, .alive = known->alive};
        memcpy(found.other, known->other, 16);
    } else {
        outcome = in_store(r) ? r->rt->keeper->lock(r, &found) : ask_in_memory(r, &found);
    }
    if (outcome == ORR_LOCK_HELD) orr_engine_tick(r->rt->base.engine); /* its time counts from now on */
    if (outcome == ORR_LOCK_TAKEN) stay_behind(r, &found, !known);
    else if (outcome == ORR_LOCK_HELD && orr_run_admit(r->run) == ORR_OK) leave(r);
    else if (outcome != ORR_LOCK_UNKNOWN) r->rt->ask_locks = true;
}

/* What is told may run code of the user's, and a cancel may end any run that stands in the list:
 * after one that left it the walk begins anew. */
bool orr_locks_look(orr_rtbox *rt) {
    uint32_t before = rt->n_waiting, pass = ++rt->lock_pass;
    rt->ask_locks = false;
    for (orr_runbox *r = rt->waiting; r;) {
        if (r->lock->pass == pass) {
            r = r->lock->next;
            continue;
        }
        r->lock->pass = pass;
        if (orr_run_waits(r->run)) ask(r);
        else leave(r); /* it was cancelled */
        r = r->lock->waits ? r->lock->next : rt->waiting;
    }
    return rt->n_waiting != before;
}

/* ---- why ------------------------------------------------------------------------------------- */

void orr_run_lock_explain(lua_State *L, const orr_runbox *r) {
    char holder[40];
    if (!r->lock) return;
    orr_set_text(L, "name", r->lock->value);
    if (!r->lock->behind) return;
    orr_uuid_format(holder, r->lock->other);
    orr_set_text(L, "by_run", holder);
    lua_pushboolean(L, r->lock->alive);
    lua_setfield(L, -2, "alive");
}
