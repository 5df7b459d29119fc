/* host.c - runtimes of a program that embeds the engine: which one its scripts use where they name
 * none, and closing one in a state that goes on.
 */
#include "run/inner.h"

/* ---- whose it is ----------------------------------------------------------------------------- */

void orr_host_opened(orr_rtbox *rt) {
    orr_runs *runs = orr_runs_of(rt->base.script);
    rt->hosted = true;
    rt->opened_before = runs->host;
    runs->host = rt;
}

void orr_host_closed(orr_rtbox *rt) {
    if (!rt->hosted) return;
    orr_rtbox **link = &orr_runs_of(rt->base.script)->host;
    while (*link && *link != rt) link = &(*link)->opened_before;
    if (*link) *link = rt->opened_before;
    rt->opened_before = NULL;
    rt->hosted = false;
}

orr_rtbox *orr_host_runtime(const orr_script *s) {
    const orr_fiber *f = orr_fiber_current(s);
    if (f && f->run && f->run->rt->hosted) return f->run->rt;
    return orr_runs_of(s)->host;
}

int orr_core_host_runtime(lua_State *L) {
    orr_script *s = orr_script_of(L);
    const orr_rtbox *rt = orr_host_runtime(s);
    if (rt) orr_push_box(L, s, rt);
    else lua_pushnil(L);
    return 1;
}

/* ---- closing --------------------------------------------------------------------------------- */

static orr_runbox *first_live(const orr_rtbox *rt) {
    orr_runbox *r = rt->runs;
    while (r && !(r->live && r->run)) r = r->next;
    return r;
}

/* Sets what is there already, which needs no memory. */
static int forget_listeners(lua_State *L) {
    const orr_rtbox *rt = lua_touserdata(L, 1);
    orr_push_box(L, rt->base.script, rt);
    lua_getiuservalue(L, -1, RT_LISTENERS);
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i > 0; i--) {
        lua_pushboolean(L, false);
        lua_rawseti(L, -2, i);
    }
    return 0;
}

void orr_runtime_shut(orr_rtbox *rt) {
    orr_script *s = rt->base.script;
    rt->closed = true;
    rt->n_listeners = rt->n_queued = rt->queue_first = rt->listened = 0;
    rt->over = NULL;
    orr_core_listen(orr_engine_core(rt->base.engine), 0);
    orr_protect(s, forget_listeners, rt);
    for (orr_runbox *r; (r = first_live(rt));)
        if (!orr_run_give_up(s, r, "runtime_closed", "the runtime was closed")) break;
    orr_uvtimers_forget(s, &rt->base);
    orr_host_closed(rt);
}
