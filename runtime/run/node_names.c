/* node_names.c - which node a table is: `name_of` of a workflow, four bytes a slot.
 *
 * A table is found by its address among the numbers of the nodes (open addressing, linear probing;
 * Knuth, "Sorting and Searching", 6.4); the list of the tables says whether it is the one. Tables
 * are not moved by Lua, and none is forgotten.
 */
#include "run/inner.h"

#include <string.h>

#define NODE_NAMES "orrery.node_names"

struct orr_node_names {
    uint32_t *slots; /* numbers of nodes, 0: none */
    size_t room, n;  /* room is 0 or a power of two, at least twice n */
};

/* User values. */
enum { NAMES = 1, SPECS, VALUES = SPECS };

static size_t slot_of(const orr_node_names *s, const void *table) {
    uint64_t hash = (uint64_t)(uintptr_t)table * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash >> 32) & (s->room - 1);
}

static const void *table_at(lua_State *L, int specs, lua_Integer i) {
    lua_rawgeti(L, specs, i);
    const void *table = lua_topointer(L, -1);
    lua_pop(L, 1);
    return table;
}

uint32_t orr_node_names_find(lua_State *L, const orr_node_names *s, int specs, const void *table) {
    if (s->room == 0) return 0;
    size_t at = slot_of(s, table);
    while (s->slots[at] && table_at(L, specs, s->slots[at]) != table) at = (at + 1) & (s->room - 1);
    return s->slots[at];
}

static void put(orr_node_names *s, const void *table, uint32_t i) {
    size_t at = slot_of(s, table);
    while (s->slots[at]) at = (at + 1) & (s->room - 1);
    s->slots[at] = i;
}

static void resize(lua_State *L, orr_node_names *s, int specs, size_t room) {
    void *ud;
    lua_Alloc alloc = lua_getallocf(L, &ud);
    uint32_t *slots = alloc(ud, NULL, 0, room * sizeof *slots);
    if (!slots) {
        luaL_error(L, "not enough memory");
        return;
    }
    memset(slots, 0, room * sizeof *slots);
    alloc(ud, s->slots, s->room * sizeof *slots, 0);
    s->slots = slots;
    s->room = room;
    for (size_t i = 1; i <= s->n; i++) put(s, table_at(L, specs, (lua_Integer)i), (uint32_t)i);
}

void orr_node_names_add(lua_State *L, orr_node_names *s, int specs, const void *table) {
    if (s->n >= UINT32_MAX / 2) luaL_error(L, "too many nodes");
    if (2 * (s->n + 1) > s->room) resize(L, s, specs, s->room ? s->room * 2 : 16);
    put(s, table, (uint32_t)++s->n);
}

/* set[table] -> the name of the node, or nil */
static int names_index(lua_State *L) {
    orr_node_names *s = lua_touserdata(L, 1);
    lua_getiuservalue(L, 1, SPECS);
    uint32_t i = lua_istable(L, 2) ? orr_node_names_find(L, s, 3, lua_topointer(L, 2)) : 0;
    if (i == 0) return 0;
    lua_getiuservalue(L, 1, NAMES);
    lua_rawgeti(L, -1, i);
    return 1;
}

/* set[table] = name, of the node that has just been put at the end of both lists */
static int names_newindex(lua_State *L) {
    orr_node_names *s = lua_touserdata(L, 1);
    lua_getiuservalue(L, 1, SPECS);
    bool last = lua_rawlen(L, -1) == s->n + 1 &&
                table_at(L, -1, (lua_Integer)s->n + 1) == lua_topointer(L, 2);
    if (!lua_istable(L, 2) || !last) return luaL_error(L, "nodes are entered in their order");
    orr_node_names_add(L, s, lua_gettop(L), lua_topointer(L, 2));
    return 0;
}

static int names_gc(lua_State *L) {
    orr_node_names *s = lua_touserdata(L, 1);
    void *ud;
    lua_Alloc alloc = lua_getallocf(L, &ud);
    alloc(ud, s->slots, s->room * sizeof *s->slots, 0);
    *s = (orr_node_names){0};
    return 0;
}

orr_node_names *orr_check_node_names(lua_State *L, int idx) {
    return luaL_checkudata(L, idx, NODE_NAMES);
}

/* core.node_names(names, specs) -> what gives the name of a node for its table. Both are lists by
 * node, to which a node is added before it is entered here. */
int orr_core_node_names(lua_State *L) {
    static const luaL_Reg methods[] = {{"__index", names_index},
                                       {"__newindex", names_newindex},
                                       {"__gc", names_gc},
                                       {NULL, NULL}};
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    orr_node_names *s = lua_newuserdatauv(L, sizeof *s, VALUES);
    *s = (orr_node_names){0};
    if (luaL_newmetatable(L, NODE_NAMES)) luaL_setfuncs(L, methods, 0);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, NAMES);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, SPECS);
    return 1;
}
