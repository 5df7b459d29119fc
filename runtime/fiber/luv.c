/* luv.c - luv on our loop. */
#include "fiber/inner.h"
#include <lauxlib.h>
#include <luv/luv.h>

static const char luv_key;

/* How luv calls the functions given to it: never ends the process, unlike its own way. Returns
 * the number of results left on the stack, or a negative status. */
static int call_for_luv(lua_State *L, int nargs, int nresults, int flags) {
    (void)flags;
    orr_script *s = lua_checkstack(L, 2) ? orr_script_find(L) : NULL;
    int below = lua_gettop(L) - nargs - 1;
    if (!s) {
        lua_settop(L, below);
        return -LUA_ERRMEM;
    }
    int status = orr_call_safely(s, L, nargs, nresults);
    return status == LUA_OK ? lua_gettop(L) - below : -status;
}

static void require_luv(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "luv");
    lua_call(L, 1, 1);
}

void orr_luv_adopt(lua_State *L) {
    orr_luv_open_walk(L);
    /* a module table that is collected takes its loop along */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &luv_key);
    luv_set_callback(L, call_for_luv);
}

void orr_luv_set_loop(lua_State *L, uv_loop_t *loop) {
    luv_set_loop(L, loop);
}

uv_loop_t *orr_luv_open(lua_State *L, uv_loop_t *loop) {
    if (loop) luv_set_loop(L, loop);
    require_luv(L);
    orr_luv_adopt(L);
    lua_pop(L, 1);
    if (loop && luv_loop(L) != loop)
        luaL_error(L, "luv is already loaded on another loop; open orrery.core before luv is required");
    return luv_loop(L);
}

uv_loop_t *orr_luv_open_later(lua_State *L, uv_loop_t *loop) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "luv") != LUA_TNIL) {
        orr_luv_adopt(L);
        lua_pop(L, 2);
        return loop;
    }
    lua_pop(L, 2);
    lua_pushboolean(L, true);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &luv_key);
    return loop;
}

void orr_push_luv(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &luv_key) != LUA_TBOOLEAN) return;
    lua_pop(L, 1);
    require_luv(L);
}
