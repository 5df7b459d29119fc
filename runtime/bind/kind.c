/* kind.c - kinds of userdata of this room. */
#include "bind/inner.h"

void orr_push_kind(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods) {
    if (!luaL_newmetatable(L, name)) return;
    if (methods) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
    }
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
}

void orr_let_kind_go(lua_State *L, const void *key) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TUSERDATA &&
        luaL_getmetafield(L, -1, "__gc") != LUA_TNIL) {
        lua_pushvalue(L, -2);
        lua_call(L, 1, 0);
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    }
    lua_pop(L, 1);
}
