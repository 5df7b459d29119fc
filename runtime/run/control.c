/* control.c - commands to a run: cancel, pause, resume, suspend. */
#include "run/inner.h"

orr_runbox *orr_check_open_run(lua_State *L, int idx) {
    orr_runbox *r = orr_check_run(L, idx);
    if (!r->run) luaL_error(L, "the runtime of this run is closed");
    return r;
}

/* A command takes effect now, so the clock is read: the last step may be long ago. */
static orr_run *check_now(lua_State *L) {
    const orr_runbox *r = orr_check_open_run(L, 1);
    orr_engine_tick(r->rt->base.engine);
    return r->run;
}

/* run:cancel([reason]) */
int orr_run_cancel_method(lua_State *L) {
    luaL_optstring(L, 2, NULL);
    lua_settop(L, 2);
    orr_mask(L, orr_script_of(L), 2);
    orr_run_cancel_because(check_now(L), lua_tostring(L, 2));
    return 0;
}

int orr_run_pause_method(lua_State *L) {
    orr_run_pause(check_now(L));
    return 0;
}

int orr_run_resume_method(lua_State *L) {
    orr_run_resume(check_now(L));
    return 0;
}

/* run:suspend(): lets a journaled run go in good order; it can be resumed from its journal, by
 * this or another process. */
int orr_run_suspend_method(lua_State *L) {
    orr_runbox *r = orr_check_open_run(L, 1);
    if (!r->live) return luaL_error(L, "the run has ended; only a live one can be suspended");
    if (!r->rt->durable || !r->journal)
        return luaL_error(L, "the run keeps no journal in a store, so nothing could resume it");
    orr_check_may_drop(L, r->rt, r, "run:suspend");
    orr_push_error(L, r->script, "suspended", "the run was suspended; it can be resumed");
    orr_run_suspend(r->run);
    orr_run_drop(L, r);
    return 0;
}

uint32_t orr_script_cancel_all(orr_script *s) {
    uint32_t n = 0;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next) {
        orr_engine_tick(rt->engine); /* the loop may have slept for long */
        for (orr_runbox *r = orr_rtbox_of(rt)->runs; r; r = r->next) {
            if (!r->live || !r->run) continue;
            orr_run_cancel(r->run);
            n++;
        }
    }
    return n;
}
