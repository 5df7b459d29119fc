/* orphans.c - child runs that were begun, have not ended, and whose caller is not going to ask for them again: its attempt was given
 * up while no process had the run, because it was cancelled, say, or its time was over. They go on beside their parent, to be
 * cancelled and undone, and it is not over for those who wait for it before they are, as if its process had never ended.
 */
#include "state.h"
#include <lauxlib.h>

void orr_orphans_take(lua_State *L, orr_runbox *r) {
    const orr_script *s = r->script;
    int top = lua_gettop(L);
    if (!r->stepped || s->at.orphans == LUA_NOREF) return;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_push_anchor(L, s->at.orphans);
    orr_run_push(L, r, RUN_RT);
    orr_push_box(L, s, r);
    orr_step_push_orphans(L, r);
    bool any = lua_rawlen(L, -1) > 0;
    lua_pushboolean(L, r->forced);
    if (any && lua_pcall(L, 4, 0, 0) != LUA_OK) orr_storage_log(L, r->rt, r, "error", luaL_tolstring(L, -1, NULL));
    lua_settop(L, top);
}

void orr_orphan_join(orr_runbox *r, orr_runbox *parent) {
    if (!r->live || !parent->live || r->parent) return;
    r->parent = parent;
    parent->n_orphans++;
}

bool orr_orphans_left(orr_runbox *r) {
    r->ends_later = r->n_orphans > 0;
    return r->ends_later;
}

void orr_orphan_over(orr_script *s, orr_runbox *r) {
    orr_runbox *parent = r->parent;
    r->parent = NULL;
    for (orr_runbox *child = r->n_orphans > 0 ? r->rt->runs : NULL; child; child = child->next)
        if (child->parent == r) child->parent = NULL;
    r->n_orphans = 0;
    if (parent && --parent->n_orphans == 0 && parent->ends_later) orr_run_over(s, parent);
}
