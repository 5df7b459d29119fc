/* walk.c - luv's walk, which calls a function with each handle of luv's on the loop.
 *
 * luv's own takes every handle for one of its own. On our loop there are the engine's too, and they
 * are none: they are left out, as are those of luv's that the command itself has.
 */
#include "fiber/inner.h"
#include <lauxlib.h>

static const char hidden_key;

static void push_hidden(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hidden_key) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hidden_key);
}

void orr_luv_hide(lua_State *L, int idx) {
    idx = lua_absindex(L, idx);
    push_hidden(L);
    lua_pushvalue(L, idx);
    lua_pushboolean(L, true);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

int orr_core_hide(lua_State *L) {
    luaL_checktype(L, 1, LUA_TUSERDATA);
    lua_settop(L, 1);
    orr_luv_hide(L, 1);
    return 1;
}

enum { FUNCTION = 1, KINDS, HIDDEN, KNOWN }; /* indices on the stack of walk */

/* Whether the value at the top is a handle of luv's that may be shown: luv has a table of the
 * metatables of handles. */
static bool is_shown(lua_State *L) {
    uv_handle_t *const *handle = lua_touserdata(L, -1);
    if (lua_type(L, -1) != LUA_TUSERDATA || !lua_getmetatable(L, -1)) return false;
    lua_rawget(L, KINDS);
    bool shown = lua_toboolean(L, -1) && *handle;
    lua_pop(L, 1);
    if (!shown) return false;
    lua_pushvalue(L, -1);
    lua_rawget(L, HIDDEN);
    shown = lua_isnil(L, -1);
    lua_pop(L, 1);
    return shown;
}

/* The table at KNOWN gets [address of a handle] = luv's value for it. luv keeps each in the
 * registry until it is closed. */
static void find_known(lua_State *L) {
    lua_pushnil(L);
    while (lua_next(L, LUA_REGISTRYINDEX)) {
        if (is_shown(L)) {
            lua_pushvalue(L, -1);
            lua_rawsetp(L, KNOWN, *(uv_handle_t **)lua_touserdata(L, -1));
        }
        lua_pop(L, 1);
    }
}

typedef struct walked {
    uv_handle_t **handles; /* NULL: they are counted */
    size_t n;
} walked;

static void take(uv_handle_t *handle, void *ud) {
    walked *w = ud;
    if (w->handles) w->handles[w->n] = handle;
    w->n++;
}

/* uv.walk(fn). Those that there are at first are visited, whatever the function does. */
static int walk(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, FUNCTION, LUA_TFUNCTION);
    lua_settop(L, FUNCTION);
    if (lua_getfield(L, LUA_REGISTRYINDEX, "uv_handle") != LUA_TTABLE) return 0;
    push_hidden(L);
    lua_newtable(L);
    find_known(L);
    walked w = {NULL, 0};
    uv_walk(orr_script_loop(s), take, &w);
    uv_handle_t **handles = lua_newuserdatauv(L, (w.n + 1) * sizeof *handles, 0);
    size_t n = w.n;
    w = (walked){handles, 0};
    uv_walk(orr_script_loop(s), take, &w);
    for (size_t i = 0; i < n; i++) {
        lua_pushvalue(L, FUNCTION);
        if (lua_rawgetp(L, KNOWN, handles[i]) == LUA_TNIL) lua_pop(L, 2);
        else orr_call_safely(s, L, 1, 0);
    }
    return 0;
}

void orr_luv_open_walk(lua_State *L) {
    lua_pushcfunction(L, walk);
    lua_setfield(L, -2, "walk");
}
