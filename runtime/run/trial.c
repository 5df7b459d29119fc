/* trial.c - methods of a runtime for who tries a workflow out: its clock is held and let go on, and
 * its process is as if it had been killed, at any moment or between any two records.
 */
#include "run/inner.h"

static orr_rtbox *check_virtual(lua_State *L, const char *what) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    if (!rt->base.jumps)
        luaL_error(L, "%s: the clock %s; open the runtime with clock = \"virtual\"", what,
                   rt->base.is_virtual ? "is that of the program" : "is real and goes on by itself");
    return rt;
}

/* rt:hold([held]): a virtual clock stands where it is until it is advanced; false: it goes on by
 * itself again. */
int orr_rt_hold(lua_State *L) {
    orr_rtbox *rt = check_virtual(L, "rt:hold");
    orr_held_set(&rt->base, lua_isnone(L, 2) || lua_toboolean(L, 2));
    return 0;
}

/* How long a clock is to go on: to the next deadline where nothing is said. */
static int64_t how_long(lua_State *L, const orr_rtbox *rt) {
    if (!lua_isnoneornil(L, 2)) return orr_check_duration(L, 2, "rt:advance");
    int64_t due = orr_engine_deadline(rt->base.engine), now = orr_engine_now(rt->base.engine);
    return due == INT64_MAX || due < now ? 0 : due - now;
}

/* rt:advance([duration]): holds a virtual clock and lets it go on for so long, or to its next
 * deadline. What is due meanwhile happens at its time. Waits until nothing can run before the clock
 * moves again. */
int orr_rt_advance(lua_State *L) {
    orr_rtbox *rt = check_virtual(L, "rt:advance");
    const orr_fiber *f = orr_fiber_current(rt->base.script);
    int64_t ns = how_long(L, rt);
    if (f && f->rt == &rt->base)
        return luaL_error(L, "rt:advance cannot be called by a handler of the runtime, which it would wait "
                             "for; call it in the script that started the run");
    lua_settop(L, 0);
    return orr_held_advance(L, &rt->base, ns);
}

/* rt:due() -> seconds until its next deadline, nil where there is none */
int orr_rt_due(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    int64_t due = orr_engine_deadline(rt->base.engine);
    if (due == INT64_MAX) return 0;
    lua_pushnumber(L, (lua_Number)(due - orr_engine_now(rt->base.engine)) / 1e9);
    return 1;
}

/* rt:cut(n): its runs keep n more records; with the one after them the runtime is as if its process
 * had been killed: the record is not kept, nothing of what waits for it is done, and all its runs
 * are given up at the end of the turn. */
int orr_rt_cut(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n > 0, 2, "at least one record is kept, by which a run begins");
    rt->records_left = (uint64_t)n;
    return 0;
}

/* ---- killing --------------------------------------------------------------------------------- */

/* Dropping a run may call code of the user's, which may change the list, so the search begins anew
 * each time. */
static orr_runbox *first_live(const orr_rtbox *rt) {
    orr_runbox *r = rt->runs;
    while (r && !r->live) r = r->next;
    return r;
}

void orr_runs_kill(orr_rtbox *rt) {
    for (orr_runbox *r; (r = first_live(rt));) {
        bool counted = r->incomplete;
        if (!orr_run_give_up(rt->base.script, r, "killed", "its process is as if it had been killed")) return;
        if (counted && rt->n_incomplete > 0) rt->n_incomplete--;
    }
}

int orr_run_die(lua_State *L, orr_runbox *r) {
    if (!r->incomplete) {
        r->incomplete = true;
        r->ticket = ORR_NEVER;
        r->rt->n_incomplete++;
    }
    lua_pushnil(L);
    return r->rt->keeper->hold(L, r->script, r, false);
}

/* rt:abandon(): as if its process were killed now: none of its runs goes on, and nothing more is
 * recorded of them. What is in its store can be resumed once the runtime is closed. */
int orr_rt_abandon(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    orr_check_may_drop(L, rt, NULL, "rt:abandon");
    orr_runs_kill(rt);
    return 0;
}
