/* setter.c - what assigning a field of a workflow calls: the usual case, a plain table or a node
 * of a type under a new name, without a call into Lua. */
#include "run/inner.h"

#include <string.h>

/* Upvalues of the setter. */
enum { STATE = 1, NAMES, SPECS, INDEX, NAME_OF, LINES, SOURCE, SLOW, SEEN, LINE, LATEST, UPVALUES = LATEST };

enum { LINES_EACH = 64 }; /* as in definition/workflow.lua */

/* Nodes after which the collector gets credit, and how much: no more than they take. */
enum { CREDIT_EACH = 1024, CREDIT_KIB = 256 };

static const char *const fields[] = {"names", "specs", "index", "name_of", "lines", "source"};

/* As NAME in definition/workflow.lua. */
static bool is_name(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-'))) return false;
    }
    return len > 0;
}

/* The line of the assignment, where it stands in the chunk in which the workflow was made; else -1.
 * Whether it does is asked once for each function in turn: the answer makes a text. */
static int line_of_caller(lua_State *L) {
    lua_Debug ar;
    if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "lf", &ar)) return -1;
    if (ar.currentline >= 0 && !lua_rawequal(L, -1, lua_upvalueindex(SEEN))) {
        lua_Debug of;
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">S", &of);
        const char *source = lua_tostring(L, lua_upvalueindex(SOURCE));
        if (!source || strcmp(of.short_src, source) != 0) return -1;
        lua_copy(L, -1, lua_upvalueindex(SEEN));
    }
    return ar.currentline;
}

/* Whether a node has the name, or is the very table. */
static bool is_taken(lua_State *L, int name, int spec) {
    lua_pushvalue(L, name);
    bool has = lua_rawget(L, lua_upvalueindex(INDEX)) != LUA_TNIL;
    lua_pop(L, 1);
    return has || orr_node_names_find(L, lua_touserdata(L, lua_upvalueindex(NAME_OF)),
                                      lua_upvalueindex(SPECS), lua_topointer(L, spec));
}

static void append(lua_State *L, int upvalue, lua_Integer i, int idx) {
    lua_pushvalue(L, idx);
    lua_rawseti(L, lua_upvalueindex(upvalue), i);
}

/* Notes the line of node i, unless it is that of the node before it, which came this way, too. */
static void note_line(lua_State *L, lua_Integer i, int line) {
    bool same = lua_tointeger(L, lua_upvalueindex(LATEST)) == i - 1 &&
                lua_tointeger(L, lua_upvalueindex(LINE)) == line && i % LINES_EACH != 1;
    lua_pushinteger(L, i);
    lua_replace(L, lua_upvalueindex(LATEST));
    if (same) return;
    lua_pushinteger(L, line);
    lua_copy(L, -1, lua_upvalueindex(LINE));
    lua_rawseti(L, lua_upvalueindex(LINES), i);
}

/* What a workflow keeps is no garbage, and going through a large one again and again while it grows
 * would be a tenth of the time it takes to build it. So the collector does not count the nodes by
 * which a workflow is larger than all before it in this state: what is garbage of theirs is
 * collected that much later, once. A step of a negative size puts the collector into credit. */
static void give_credit(lua_State *L, lua_Integer i) {
    if (i % CREDIT_EACH != 0) return;
    orr_runs *r = orr_runs_of(orr_script_of(L));
    if (i <= r->most_nodes || !lua_gc(L, LUA_GCISRUNNING)) return;
    r->most_nodes = i;
    lua_gc(L, LUA_GCSTEP, -CREDIT_KIB);
}

/* The same as `add` in definition/workflow.lua. */
static void add(lua_State *L, int line) {
    enum { NAME_AT = 2, SPEC_AT, NUMBER_AT };
    lua_Integer i = (lua_Integer)lua_rawlen(L, lua_upvalueindex(NAMES)) + 1;
    lua_settop(L, SPEC_AT);
    lua_pushinteger(L, i);
    note_line(L, i, line);
    give_credit(L, i);
    append(L, SPECS, i, SPEC_AT);
    orr_node_names_add(L, lua_touserdata(L, lua_upvalueindex(NAME_OF)), lua_upvalueindex(SPECS),
                       lua_topointer(L, SPEC_AT));
    lua_pushvalue(L, NAME_AT);
    lua_pushvalue(L, NUMBER_AT);
    lua_rawset(L, lua_upvalueindex(INDEX));
    append(L, NAMES, i, NAME_AT);
    lua_pushliteral(L, "count");
    lua_pushvalue(L, NUMBER_AT);
    lua_rawset(L, lua_upvalueindex(STATE));
}

/* Whether the value at idx is a plain table or a node of a type. */
static bool is_node(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TTABLE) return false;
    if (!lua_getmetatable(L, idx)) return true;
    lua_pushliteral(L, "orrery_type");
    bool typed = lua_rawget(L, -2) == LUA_TTABLE;
    lua_pop(L, 2);
    return typed;
}

/* (workflow, name, spec) */
static int set(lua_State *L) {
    enum { NAME_AT = 2, SPEC_AT };
    size_t len;
    lua_settop(L, SPEC_AT);
    bool usual = lua_type(L, NAME_AT) == LUA_TSTRING && is_node(L, SPEC_AT);
    const char *name = usual ? lua_tolstring(L, NAME_AT, &len) : NULL;
    if (usual && is_name(name, len) && !is_taken(L, NAME_AT, SPEC_AT)) {
        int line = line_of_caller(L);
        if (line >= 0) {
            add(L, line);
            return 0;
        }
    }
    lua_settop(L, SPEC_AT);
    lua_pushvalue(L, lua_upvalueindex(SLOW));
    lua_insert(L, 1);
    lua_call(L, SPEC_AT, 0);
    return 0;
}

/* core.copy(t, meta) -> a table with the fields of t, and with the metatable. No metamethod is
 * called. */
int orr_core_copy(lua_State *L) {
    enum { FROM = 1, META, MADE };
    luaL_checktype(L, FROM, LUA_TTABLE);
    luaL_checktype(L, META, LUA_TTABLE);
    lua_settop(L, META);
    int n = 0;
    lua_pushnil(L);
    for (; lua_next(L, FROM); n++) lua_pop(L, 1);
    lua_createtable(L, 0, n);
    lua_pushnil(L);
    while (lua_next(L, FROM)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, MADE);
    }
    lua_pushvalue(L, META);
    lua_setmetatable(L, MADE);
    return 1;
}

/* core.here(level) -> the name of the chunk, the line: see lua/orrery/where.lua */
int orr_core_here(lua_State *L) {
    int level = (int)luaL_checkinteger(L, 1);
    lua_Debug ar;
    while (lua_getstack(L, level, &ar) && lua_getinfo(L, "Sl", &ar)) {
        if (ar.currentline >= 0 || *ar.what != 'C') {
            lua_pushstring(L, ar.short_src);
            lua_pushinteger(L, ar.currentline);
            return 2;
        }
        level++;
    }
    lua_pushliteral(L, "?");
    lua_pushinteger(L, -1);
    return 2;
}

/* core.node_setter(state, assign) -> a workflow's __newindex. It calls assign(workflow, name, spec)
 * for what is neither a plain table nor a node of a type under a new name, or comes from another
 * chunk. `state` is a workflow's, as definition/workflow.lua makes it. */
int orr_core_node_setter(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) lua_getfield(L, 1, fields[f]);
    orr_check_node_names(L, 2 + NAME_OF - 1);
    lua_pushvalue(L, 2);
    lua_remove(L, 2);
    lua_pushnil(L);
    lua_pushinteger(L, -1);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, set, UPVALUES);
    return 1;
}
