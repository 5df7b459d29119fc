/* duration.c - durations: seconds, or a text such as "1h30m", which orrery.duration reads. */
#include "lua/lua.h"
#include <lauxlib.h>

void orr_parse_duration(lua_State *L, int idx) {
    idx = lua_absindex(L, idx);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.duration");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "parse");
    lua_remove(L, -2);
    lua_pushvalue(L, idx);
    lua_call(L, 1, 1);
}

typedef struct parsing {
    const char *text;
    lua_Number seconds; /* below 0: it is none */
} parsing;

static int parse(lua_State *L) {
    parsing *p = lua_touserdata(L, 1);
    lua_pushstring(L, p->text);
    orr_parse_duration(L, 2);
    p->seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    return 0;
}

/* Read on the main thread: on the coroutine's own stack the calls would make it twice as large,
 * for as long as it sleeps. */
int64_t orr_check_duration(lua_State *L, int idx, const char *what) {
    lua_Number seconds;
    if (lua_type(L, idx) == LUA_TSTRING) {
        parsing p = {lua_tostring(L, idx), -1};
        if (orr_protect(orr_script_of(L), parse, &p) != LUA_OK) luaL_error(L, "%s: not enough memory", what);
        if (p.seconds < 0)
            luaL_error(L,
                       "%s: \"%s\" is no duration; expected seconds or a text such as \"250ms\" or \"1h30m\"",
                       what, p.text);
        seconds = p.seconds;
    } else {
        if (lua_type(L, idx) != LUA_TNUMBER)
            luaL_error(L, "%s: expected seconds or a text such as \"250ms\", got %s", what,
                       luaL_typename(L, idx));
        seconds = lua_tonumber(L, idx);
    }
    if (!(seconds <= 9.0e9)) luaL_error(L, "%s: the duration is out of range", what);
    return seconds <= 0 ? 0 : (int64_t)(seconds * 1e9);
}
