/* refill.c - more work for a runtime, taken a piece at a time: a function that is asked between two
 * turns whether it has any. It is how the unfinished runs of a store go on without a step that
 * takes as long as all of them.
 */
#include "run/inner.h"

static void set(lua_State *L, orr_rtbox *rt, int ref) {
    if (rt->refill != LUA_NOREF) {
        luaL_unref(L, LUA_REGISTRYINDEX, rt->refill);
        orr_rt_use(L, &rt->base, -1);
    }
    rt->refill = ref;
    if (ref != LUA_NOREF) orr_rt_use(L, &rt->base, 1); /* so that it is looked at, without a run */
}

/* rt:refill(fn): asks fn() before each turn from now on, until it answers nil. True: it has done
 * something; false: there is nothing to do now. nil takes it away. */
int orr_rt_refill(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) set(L, rt, LUA_NOREF);
    else set(L, rt, luaL_ref(L, LUA_REGISTRYINDEX));
    return 0;
}

typedef struct asking {
    orr_rtbox *rt;
    bool any;
} asking;

static int ask(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    orr_rtbox *rt = a->rt;
    int fn = rt->refill;
    lua_rawgeti(L, LUA_REGISTRYINDEX, fn);
    lua_pushvalue(L, -1);
    int status = lua_pcall(L, 0, 1, 0);
    a->any = lua_toboolean(L, -1);
    if (status == LUA_OK && !lua_isnil(L, -1)) return 0;
    if (rt->refill == fn) set(L, rt, LUA_NOREF);
    if (status != LUA_OK) return lua_error(L);
    return 0;
}

bool orr_refill(orr_rtbox *rt) {
    orr_script *s = rt->base.script;
    asking a = {rt, false};
    if (orr_protect(s, ask, &a) != LUA_OK)
        orr_script_stray(s, "what lets runs go on", "it failed; `orrery resume` goes on with the rest");
    return a.any;
}
