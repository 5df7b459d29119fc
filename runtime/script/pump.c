/* pump.c - the loop: who goes on when, and when the process sleeps. */
#include "state.h"
#include <lauxlib.h>

#define BATCH 64                        /* actions, and fibers, between two looks at the clock */
#define POLL_EVERY INT64_C(1000000)     /* ns between two looks at the loop while there is work */

void orr_rt_list(lua_State *L, orr_rtbox *rt) {
    orr_script *s = rt->script;
    if (rt->listed) return;
    orr_push_anchor(L, s->at.active);
    orr_push_box(L, s, rt);
    lua_rawsetp(L, -2, rt);
    lua_pop(L, 1);
    orr_rtbox **link = &s->runtimes;
    while (*link) link = &(*link)->next;
    *link = rt;
    rt->next = NULL;
    rt->listed = true;
}

void orr_rt_use(lua_State *L, orr_rtbox *rt, int by) {
    if (by > 0) orr_rt_list(L, rt);
    rt->users = (uint32_t)((int64_t)rt->users + by);
}

/* Runtimes leave the list here only, so that none is collected while it is stepped. */
static void sweep(orr_script *s) {
    for (orr_rtbox **link = &s->runtimes; *link;) {
        orr_rtbox *rt = *link;
        orr_runs_bury(rt);
        if (rt->users || !lua_checkstack(s->main, LUA_MINSTACK)) {
            link = &rt->next;
            continue;
        }
        *link = rt->next;
        rt->listed = false;
        orr_push_anchor(s->main, s->at.active);
        lua_pushnil(s->main);
        lua_rawsetp(s->main, -2, rt);
        lua_pop(s->main, 1);
    }
}

/* What follows from what has just been done goes to disk with it: "completed n" and "started n + 1" in one commit. */
static bool submit(orr_rtbox *rt) {
    bool any = orr_storage_is_durable(rt) && orr_engine_decide(rt->runtime, BATCH);
    orr_storage_submit(rt);
    return any;
}

/* One round: a batch of each runtime's actions, a batch of fibers, the events of both. True when anything was done. */
static bool turn(orr_script *s) {
    bool any = false;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) any |= orr_storage_news(rt);
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) any |= orr_refill(s, rt);
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) any |= orr_engine_step(rt->runtime, BATCH);
    any |= orr_uvtimers_fire(s);
    for (int i = 0; i < BATCH && orr_fiber_next(s); i++) any = true;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) any |= orr_runs_drop_torn(s, rt);
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) any |= orr_watch_look(rt);
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) any |= submit(rt);
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) any |= orr_events_flush(s, rt);
    sweep(s);
    return any;
}

/* Whether its clock has somewhere to go: timers that keep nothing going, and any that a run has left behind, are no reason. */
static bool can_jump(const orr_rtbox *rt) {
    uint32_t idle = rt->n_live ? rt->n_loose : rt->n_timers;
    if (!rt->is_virtual || orr_engine_deadline(rt->runtime) == INT64_MAX) return false;
    return orr_engine_n_timers(rt->runtime) > idle || orr_core_deadline(orr_engine_core(rt->runtime)) != INT64_MAX;
}

/* Whether any clock has, and no commit is on its way. */
static bool may_jump(const orr_script *s) {
    bool any = false;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) {
        if (orr_storage_busy(rt)) return false;
        any |= can_jump(rt);
    }
    return any && !s->n_native;
}

/* Virtual time goes on when nothing can run and nothing outside is under way. What has come on the loop by now comes first. */
static bool jump(orr_script *s) {
    if (!may_jump(s)) return false;
    if (orr_outside_alive(s)) {
        uv_run(s->loop, UV_RUN_NOWAIT);
        if (turn(s)) return true;
        if (!may_jump(s) || (orr_outside_alive(s) && orr_outside_busy(s))) return false;
    }
    bool any = false;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next)
        if (can_jump(rt)) any |= orr_engine_jump(rt->runtime, rt->watch_due);
    return any;
}

/* ns until the next real timer, INT64_MAX for none. */
static int64_t until_due(const orr_script *s) {
    int64_t least = INT64_MAX;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) {
        int64_t due = rt->is_virtual ? INT64_MAX : orr_engine_deadline(rt->runtime);
        if (due == INT64_MAX) continue;
        int64_t left = due - orr_engine_now(rt->runtime);
        if (left < least) least = left;
    }
    return least < 0 ? 0 : least;
}

/* The same with the times at which runtimes look for what is silent: nothing to stay awake for, only to wake up earlier. */
static int64_t until_look(const orr_script *s, int64_t least) {
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) {
        if (rt->is_virtual || rt->watch_due == INT64_MAX) continue;
        int64_t left = rt->watch_due - orr_engine_now(rt->runtime);
        if (left < least) least = left;
    }
    return least < 0 ? 0 : least;
}

/* Sleeps until a timer is due or something happens on the loop. False where neither ever will. */
static bool sleep_on_loop(orr_script *s) {
    int64_t left = until_due(s);
    if (left == INT64_MAX && !uv_loop_alive(s->loop)) return false;
    left = until_look(s, left);
    if (left != INT64_MAX) orr_wakeup_arm(s->wakeup, left);
    uv_run(s->loop, UV_RUN_ONCE);
    orr_wakeup_disarm(s->wakeup);
    return true;
}

bool orr_pump(orr_script *s, lua_State *L, bool (*done)(void *ud), void *ud) {
    lua_State *from = s->from;
    int64_t polled = orr_monotonic_time();
    bool ended = true;
    assert(!s->pumping);
    s->pumping = true;
    s->from = L;
    while (!done(ud)) {
        if (turn(s)) {
            int64_t now = orr_monotonic_time();
            if (now - polled < POLL_EVERY) continue;
            uv_run(s->loop, UV_RUN_NOWAIT);
            polled = now;
        } else if (!done(ud) && !jump(s) && !sleep_on_loop(s) && !orr_fail_stuck(s)) {
            ended = false;
            break;
        }
    }
    s->from = from;
    s->pumping = false;
    return ended;
}

/* ---- for the host ------------------------------------------------------------------------------------------------ */

static bool fiber_ended(void *ud) {
    return ((orr_fiber *)ud)->flags & FIBER_ENDED;
}

static int push_text(lua_State *L) {
    lua_pushstring(L, lua_touserdata(L, 1));
    return 1;
}

/* Pushes a message, or Lua's own that memory is out: that one exists from the start. */
static void push_message(lua_State *L, const char *text) {
    lua_pushcfunction(L, push_text);
    lua_pushlightuserdata(L, (void *)(uintptr_t)text);
    lua_pcall(L, 1, 1, 0);
}

static int cannot_run(lua_State *L, int nargs, const char *why) {
    lua_pop(L, nargs + 1);
    push_message(L, why);
    lua_pushnil(L);
    return LUA_ERRERR;
}

static int make_default(lua_State *L) {
    orr_rt_default(L, lua_touserdata(L, 1));
    return 0;
}

int orr_script_run(orr_script *s, lua_State *L, int nargs, int *nresults) {
    *nresults = 2;
    if (!lua_checkstack(L, LUA_MINSTACK)) { /* not even room for an error: the function itself stays as one */
        lua_settop(L, lua_gettop(L) - nargs + 1);
        return LUA_ERRMEM;
    }
    if (s->pumping || s->current != ORR_NONE)
        return cannot_run(L, nargs, "the loop is already running; a callback or a handler cannot run it again");
    if (orr_protect(s, make_default, s) != LUA_OK) return cannot_run(L, nargs, "not enough memory");
    orr_fiber *f = orr_fiber_spawn(s, L, FIBER_FREE, nargs, NULL);
    if (!f) return cannot_run(L, -1, "not enough memory for a coroutine");
    if (!orr_pump(s, L, fiber_ended, f)) {
        orr_fiber_abandon(s, f);
        return cannot_run(L, -1, "it waits for what can no longer come");
    }
    bool failed = f->flags & FIBER_FAILED;
    int n = f->nargs;
    if (!lua_checkstack(L, n + LUA_MINSTACK)) {
        orr_fiber_release(s, f, false);
        return cannot_run(L, -1, "too many results");
    }
    lua_xmove(f->co, L, n);
    orr_fiber_release(s, f, !failed);
    *nresults = n;
    return failed ? LUA_ERRRUN : LUA_OK;
}

static bool drained(void *ud) {
    orr_script *s = ud;
    if (s->ready_head != ORR_NONE || uv_loop_alive(s->loop)) return false;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next)
        if (rt->n_live || rt->refill != LUA_NOREF) return false;
    return true;
}

int orr_script_drain(orr_script *s, lua_State *L) {
    if (s->pumping || s->current != ORR_NONE) {
        push_message(L, "the loop is already running; a callback or a handler cannot run it again");
        return LUA_ERRERR;
    }
    if (orr_pump(s, L, drained, s)) return LUA_OK;
    push_message(L, "a run is left that can no longer go on");
    return LUA_ERRRUN;
}

bool orr_script_step(orr_script *s, lua_State *L, int64_t budget) {
    if (s->pumping || s->current != ORR_NONE) return false;
    lua_State *from = s->from;
    s->pumping = true;
    s->from = L;
    if (uv_loop_alive(s->loop)) uv_run(s->loop, UV_RUN_NOWAIT);
    int64_t end = 0;
    bool more;
    do {
        more = turn(s) || jump(s);
        if (!more) break;
        int64_t now = orr_monotonic_time();
        if (!end) end = now + budget;
        if (now >= end) break;
    } while (more);
    s->from = from;
    s->pumping = false;
    return more;
}

int64_t orr_script_deadline(orr_script *s) {
    int64_t least = INT64_MAX;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) {
        int64_t due = orr_engine_deadline(rt->runtime);
        if (due < least) least = due;
        if (!rt->is_virtual && rt->watch_due < least) least = rt->watch_due;
    }
    return least;
}

uint32_t orr_script_cancel_all(orr_script *s) {
    uint32_t n = 0;
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) {
        orr_engine_tick(rt->runtime); /* the loop may have slept for long */
        for (orr_runbox *r = rt->runs; r; r = r->next) {
            if (!r->live || !r->run) continue;
            orr_run_cancel(r->run);
            n++;
        }
    }
    return n;
}
