/* orphans.c - child runs that have not ended and that no attempt will ask for again: the attempt
 * that called them was given up while no process had the run, because it was cancelled or its time
 * was over. They are resumed beside their parent, to be cancelled and undone. Whoever waits for the
 * parent waits for them too, as if its process had never ended.
 */
#include "durable/inner.h"

void orr_orphans_take(lua_State *L, orr_runbox *r) {
    const orr_script *s = r->script;
    int top = lua_gettop(L);
    if (!r->stepped || !r->rt->durable || orr_runs_of(s)->orphans == LUA_NOREF) return;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_push_anchor(L, orr_runs_of(s)->orphans);
    orr_run_push(L, r, RUN_RT);
    orr_push_box(L, s, r);
    orr_steps_push_orphans(L, r);
    bool any = lua_rawlen(L, -1) > 0;
    lua_pushboolean(L, r->forced);
    if (any && lua_pcall(L, 4, 0, 0) != LUA_OK) orr_log(L, r->rt, r, "error", luaL_tolstring(L, -1, NULL));
    lua_settop(L, top);
}
