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
