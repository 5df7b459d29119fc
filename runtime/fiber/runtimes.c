/* runtimes.c - which runtimes are stepped: those with live runs or set timers, and the default
 * one. */
#include "fiber/inner.h"

orr_rt *orr_rt_default(lua_State *L, orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    if (!all->default_rt) all->make_default(L, s);
    return all->default_rt;
}

void orr_rt_list(lua_State *L, orr_rt *rt) {
    orr_fibers *all = orr_fibers_of(rt->script);
    if (rt->listed) return;
    orr_push_anchor(L, all->active);
    orr_push_box(L, rt->script, rt);
    lua_rawsetp(L, -2, rt);
    lua_pop(L, 1);
    orr_rt **link = &all->runtimes;
    while (*link) link = &(*link)->next;
    *link = rt;
    rt->next = NULL;
    rt->listed = true;
}

void orr_rt_unlist(orr_script *s, orr_rt *rt) {
    orr_fibers *all = orr_fibers_of(s);
    for (orr_rt **link = &all->runtimes; *link; link = &(*link)->next) {
        if (*link != rt) continue;
        *link = rt->next;
        break;
    }
    if (all->default_rt == rt) all->default_rt = NULL;
}

void orr_rt_use(lua_State *L, orr_rt *rt, int by) {
    if (by > 0) orr_rt_list(L, rt);
    rt->users = (uint32_t)((int64_t)rt->users + by);
}

void orr_runtimes_sweep(orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    for (orr_rt **link = &all->runtimes; *link;) {
        orr_rt *rt = *link;
        rt->class->tidy(rt);
        if (rt->users || !lua_checkstack(s->main, LUA_MINSTACK)) {
            link = &rt->next;
            continue;
        }
        *link = rt->next;
        rt->listed = false;
        orr_push_anchor(s->main, all->active);
        lua_pushnil(s->main);
        lua_rawsetp(s->main, -2, rt);
        lua_pop(s->main, 1);
    }
}
