/* script.c - the state that hangs on a lua_State, and calling Lua from where nothing may raise. */
#include "lua/lua.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script_key;

orr_script *orr_script_find(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &script_key);
    orr_script *s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

orr_script *orr_script_of(lua_State *L) {
    orr_script *s = orr_script_find(L);
    if (!s || s->closed) luaL_error(L, "orrery.core is not open in this Lua state; require it first");
    return s;
}

int orr_anchor_table(lua_State *L, const char *mode) {
    lua_newtable(L);
    if (mode) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* The struct is filled in before its finaliser is set, which frees whatever there is by then. */
orr_script *orr_script_new(lua_State *L, size_t size, const orr_alloc *alloc, lua_CFunction close) {
    orr_script *s = lua_newuserdatauv(L, size, 0);
    memset(s, 0, size);
    s->alloc = *alloc;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    s->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    s->boxes = orr_anchor_table(L, "v");
    orr_open_errors(L, s);
    return s;
}

void orr_script_publish(lua_State *L) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, &script_key);
}

/* Mostly boxes for which Lua had no memory to call __gc. */
void orr_script_close(orr_script *s) {
    while (s->owned) s->owned->close(s, s->owned);
}

lua_State *orr_script_main(orr_script *s) {
    lua_checkstack(s->main, LUA_MINSTACK);
    return s->main;
}

int orr_protect(orr_script *s, lua_CFunction fn, void *ud) {
    lua_State *L = s->main;
    if (!lua_checkstack(L, LUA_MINSTACK)) return LUA_ERRMEM;
    int top = lua_gettop(L);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, ud);
    int status = lua_pcall(L, 1, 0, 0);
    lua_settop(L, top);
    return status;
}

bool orr_holds_not(orr_script *s, const char *what) {
#ifdef ORR_CHECK
    fprintf(stderr, "%s\n", what);
    abort();
#endif
    orr_script_stray(s, "internal_error", what);
    return false;
}

void orr_script_stray(orr_script *s, const char *what, const char *message) {
    if (s->report && s->report(s, what, message)) return;
    lua_warning(s->main, "orrery: ", 1);
    lua_warning(s->main, what, 1);
    lua_warning(s->main, ": ", 1);
    lua_warning(s->main, message, 0);
}
