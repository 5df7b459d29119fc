/* fields.c - fields of tables, set and read. */
#include "lua/lua.h"
#include <lauxlib.h>

void orr_set_text(lua_State *L, const char *key, const char *text) {
    if (!text) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

void orr_set_integer(lua_State *L, const char *key, lua_Integer n) {
    lua_pushinteger(L, n);
    lua_setfield(L, -2, key);
}

void orr_set_flag(lua_State *L, const char *key, bool flag) {
    lua_pushboolean(L, flag);
    lua_setfield(L, -2, key);
}

void orr_set_seconds(lua_State *L, const char *key, int64_t ns) {
    lua_pushnumber(L, (lua_Number)ns / 1e9);
    lua_setfield(L, -2, key);
}

int64_t orr_read_seconds(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key);
    int64_t ns = 0;
    if (!lua_isnil(L, -1)) {
        int is_number;
        lua_Number seconds = lua_tonumberx(L, -1, &is_number);
        if (!is_number || !(seconds >= 0 && seconds <= ORR_MAX_SECONDS))
            luaL_error(L, "%s is out of range: expected seconds from 0 to %f", key, ORR_MAX_SECONDS);
        ns = (int64_t)(seconds * 1e9);
    }
    lua_pop(L, 1);
    return ns;
}
