/* call.c - ctx:call: a workflow run as a part of a handler. */
#include "state.h"
#include <lauxlib.h>

static void inherit(lua_State *L, const orr_fiber *f, int opts, const char *key, int value) {
    if (lua_getfield(L, opts, key) == LUA_TNIL) {
        orr_run_push(L, f->run, value);
        lua_setfield(L, opts, key);
    }
    lua_pop(L, 1);
}

/* ctx:call(workflow[, input[, opts]]) -> the child's output. Raises `child_failed` where it does not complete; its
 * details say how: {run, state, error}. The child has the parent's context and environment unless `opts` gives
 * others, is cancelled with it, and the parent keeps no slot while it waits. */
int orr_ctx_call(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:call");
    orr_script *s = f->run->script;
    lua_settop(L, 4);
    if (s->at.compiler == LUA_NOREF) return luaL_error(L, "ctx:call needs the module orrery; require it first");
    orr_push_anchor(L, s->at.compiler);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_call(L, 2, 2); /* plan, options */
    orr_check_plan(L, 5);
    lua_newtable(L);
    int opts = lua_gettop(L);
    for (int from = 6; from >= 4; from -= 2) { /* the compiler's, then the caller's */
        if (!lua_istable(L, from)) continue;
        lua_pushnil(L);
        while (lua_next(L, from)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, opts);
        }
    }
    if (!lua_istable(L, 6)) {
        lua_pushvalue(L, 3);
        lua_setfield(L, opts, "input");
    }
    inherit(L, f, opts, "context", RUN_CONTEXT);
    inherit(L, f, opts, "env", RUN_ENV);
    orr_run_push(L, f->run, RUN_RT);
    orr_runbox *child = orr_run_start(L, f->run->rt, opts + 1, 5, opts);
    return orr_run_await(L, child, true);
}
