/* lazy.c - lists whose items are read when they are asked for, as Lua sees them. */
#include "lua/lazy.h"
#include "lua/lua.h"

#include <lauxlib.h>

static const char metatable_key, list_key; /* in the registry; in each list */

/* The userdata of the list at 1. */
static orr_lazy *push_self(lua_State *L) {
    lua_rawgetp(L, 1, &list_key);
    orr_lazy *list = lua_touserdata(L, -1);
    if (!list) luaL_argerror(L, 1, "a list that is read when it is used expected");
    return list;
}

static int push_item(lua_State *L, const orr_lazy *list, lua_Integer i) {
    if (i < 1 || i > list->n) return 0;
    if (list->item(L, lua_gettop(L), i)) return 1;
    orr_push_error(L, orr_script_of(L), "spool_error", lua_tostring(L, -1));
    return lua_error(L);
}

static int list_index(lua_State *L) {
    int is_integer = 0;
    lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &is_integer) : 0;
    return is_integer ? push_item(L, push_self(L), i) : 0;
}

static int list_len(lua_State *L) {
    lua_pushinteger(L, push_self(L)->n);
    return 1;
}

static int list_newindex(lua_State *L) {
    return luaL_error(L, "these rows are read from where they are kept and cannot be changed; make a list of "
                         "your own: table.move(rows, 1, #rows, 1, {})");
}

static int list_next(lua_State *L) {
    lua_Integer i = luaL_optinteger(L, 2, 0) + 1;
    lua_pushinteger(L, i);
    if (push_item(L, push_self(L), i) == 0) return 0;
    lua_remove(L, -2);
    return 2;
}

static int list_pairs(lua_State *L) {
    lua_pushcfunction(L, list_next);
    lua_pushvalue(L, 1);
    return 2;
}

static void push_metatable(lua_State *L) {
    static const luaL_Reg events[] = {{"__index", list_index},
                                      {"__len", list_len},
                                      {"__newindex", list_newindex},
                                      {"__pairs", list_pairs},
                                      {NULL, NULL}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) != LUA_TNIL) return;
    lua_pop(L, 1);
    luaL_newlib(L, events);
    lua_pushliteral(L, "orrery.rows");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

void orr_lazy_push(lua_State *L) {
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, &list_key);
    push_metatable(L);
    lua_setmetatable(L, -2);
}

void orr_lazy_push_self(lua_State *L, int idx) {
    lua_rawgetp(L, idx, &list_key);
}

const void *orr_lazy_mark(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    const void *mark = lua_topointer(L, -1);
    lua_pop(L, 1);
    return mark;
}

orr_lazy *orr_lazy_at(lua_State *L, int idx) {
    if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    bool is = lua_rawequal(L, -1, -2) && lua_istable(L, -1);
    lua_pop(L, 2);
    if (!is) return NULL;
    lua_rawgetp(L, idx, &list_key);
    orr_lazy *list = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the list holds it */
    return list;
}

size_t orr_list_len(lua_State *L, int idx) {
    const orr_lazy *list = orr_lazy_at(L, idx);
    return list ? (size_t)list->n : lua_rawlen(L, idx);
}

void orr_list_get(lua_State *L, int idx, lua_Integer i) {
    if (orr_lazy_at(L, idx)) lua_geti(L, idx, i);
    else lua_rawgeti(L, idx, i);
}

bool orr_lazy_item(lua_State *L, int idx, lua_Integer i) {
    lua_rawgetp(L, idx, &list_key);
    const orr_lazy *list = lua_touserdata(L, -1);
    bool found = list->item(L, lua_gettop(L), i);
    lua_remove(L, -2);
    return found;
}

bool orr_lazy_place(lua_State *L, int idx, const char *folder) {
    lua_rawgetp(L, idx, &list_key);
    const orr_lazy *list = lua_touserdata(L, -1);
    bool found = list->place && list->place(L, lua_gettop(L), folder);
    lua_remove(L, found ? -2 : -1);
    return found;
}
