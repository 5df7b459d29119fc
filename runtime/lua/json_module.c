/* json_module.c - the JSON codec as Lua sees it: the table core.json. */
#include "lua/json_inner.h"

#include <lauxlib.h>
#include <string.h>

/* Both keys are addresses: each names one metatable in the registry. */
static const char array_key, object_key;

static void push_mark(lua_State *L, const void *key, const char *name) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void orr_json_push_array_mt(lua_State *L) {
    push_mark(L, &array_key, "array");
}

orr_jmarks orr_jmarks_of(lua_State *L) {
    orr_jmarks marks;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &object_key);
    marks.array = lua_topointer(L, -2);
    marks.object = lua_topointer(L, -1);
    lua_pop(L, 2);
    marks.lazy = orr_lazy_mark(L);
    return marks;
}

void orr_json_push_null(lua_State *L) {
    lua_pushlightuserdata(L, NULL);
}

bool orr_json_is_null(lua_State *L, int idx) {
    return lua_islightuserdata(L, idx) && lua_touserdata(L, idx) == NULL;
}

void orr_json_mark_array(lua_State *L, int idx) {
    idx = lua_absindex(L, idx);
    orr_json_push_array_mt(L);
    lua_setmetatable(L, idx);
}

/* ---- options --------------------------------------------------------------------------------- */

/* The options table at stack index 2, or nothing; a name that is none of `names` raises. */
static bool has_options(lua_State *L, const char *const names[]) {
    if (lua_isnoneornil(L, 2)) return false;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        const char *const *name = names;
        while (*name && !(lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), *name) == 0)) name++;
        if (!*name) {
            lua_pop(L, 1);
            return luaL_argerror(L, 2,
                                 lua_pushfstring(L, "unknown option '%s'", luaL_tolstring(L, -1, NULL)));
        }
        lua_pop(L, 1);
    }
    return true;
}

static lua_Integer integer_option(lua_State *L, const char *name, lua_Integer least, lua_Integer most) {
    lua_Integer value = 0;
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        int is_integer;
        value = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || value < least || value > most)
            luaL_argerror(L, 2,
                          lua_pushfstring(L, "option '%s' is an integer from %I to %I", name,
                                          (LUAI_UACINT)least, (LUAI_UACINT)most));
    }
    lua_pop(L, 1);
    return value;
}

static const char *string_option(lua_State *L, const char *name) {
    const char *value = NULL;
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_argerror(L, 2, lua_pushfstring(L, "option '%s' is a string", name));
        value = lua_tostring(L, -1); /* the options table keeps it */
    }
    lua_pop(L, 1);
    return value;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* Errors are raised without a position: they have their own, and the traceback has the caller's. */
static int result(lua_State *L, bool good) {
    return good ? 1 : lua_error(L);
}

static int json_encode(lua_State *L) {
    static const char *const names[] = {"indent", "sort", "depth", "limit", "root", "binary", "spools", NULL};
    orr_json_writing how = {.indent = 0};
    luaL_checkany(L, 1);
    if (has_options(L, names)) {
        how.indent = (int)integer_option(L, "indent", 0, 16);
        how.depth = (int)integer_option(L, "depth", 1, ORR_JSON_DEPTH_MAX);
        how.limit = (size_t)integer_option(L, "limit", 1, LUA_MAXINTEGER);
        how.root = string_option(L, "root");
        how.spools = string_option(L, "spools");
        how.unsorted = lua_getfield(L, 2, "sort") != LUA_TNIL && !lua_toboolean(L, -1);
        lua_getfield(L, 2, "binary");
        how.binary = lua_toboolean(L, -1);
    }
    return result(L, orr_json_encode(L, 1, &how));
}

/* decode's option lists = function(items, kept): what becomes of a list of which some items are
 * kept elsewhere, {"$list": {items, kept}} */
static bool call_lists(lua_State *L, void *ud) {
    int t = lua_gettop(L);
    (void)ud;
    lua_getfield(L, 2, "lists");
    lua_getfield(L, t, "items");
    lua_getfield(L, t, "kept");
    lua_call(L, 2, 1);
    lua_replace(L, t);
    return true;
}

static int json_decode(lua_State *L) {
    static const char *const names[] = {"depth",  "duplicates", "limit", "name",
                                        "binary", "spools",     "lists", NULL};
    orr_json_reading how = {.depth = 0};
    size_t len;
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &len);
    if (has_options(L, names)) {
        how.depth = (int)integer_option(L, "depth", 1, ORR_JSON_DEPTH_MAX);
        how.limit = (size_t)integer_option(L, "limit", 1, LUA_MAXINTEGER);
        how.name = string_option(L, "name");
        how.spools = string_option(L, "spools");
        if (lua_getfield(L, 2, "lists") == LUA_TFUNCTION) how.list = call_lists;
        const char *duplicates = string_option(L, "duplicates");
        how.duplicates = duplicates && strcmp(duplicates, "last") == 0;
        luaL_argcheck(L, !duplicates || how.duplicates || strcmp(duplicates, "error") == 0, 2,
                      "option 'duplicates' is \"error\" or \"last\"");
        lua_getfield(L, 2, "binary");
        how.binary = lua_toboolean(L, -1);
    }
    return result(L, orr_json_decode(L, text, len, &how));
}

static int json_check(lua_State *L) {
    const char *root = luaL_optstring(L, 2, "value");
    const char *rule = luaL_optstring(L, 3, NULL);
    luaL_checkany(L, 1);
    if (orr_value_check(L, 1, root, rule)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
}

/* Marks the table given, or a new one, with the metatable in upvalue 1. Another metatable is not
 * taken away. */
static int json_mark(lua_State *L) {
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1)) {
        orr_jmarks marks = orr_jmarks_of(L);
        const void *own = lua_topointer(L, -1);
        luaL_argcheck(L, own == marks.array || own == marks.object, 1,
                      "a table without a metatable of its own expected");
        lua_pop(L, 1);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, 1);
    return 1;
}

bool orr_json_is_array(lua_State *L, int idx) {
    bool is_array = false;
    int top = lua_gettop(L), t = lua_absindex(L, idx);
    if (orr_lazy_at(L, t)) return true;
    if (!lua_istable(L, t)) return false;
    lua_pushnil(L);
    if (lua_next(L, t)) is_array = lua_isinteger(L, -2);
    else if (lua_getmetatable(L, t)) is_array = lua_topointer(L, -1) == orr_jmarks_of(L).array;
    lua_settop(L, top);
    return is_array;
}

static int json_is_array(lua_State *L) {
    lua_settop(L, 1);
    lua_pushboolean(L, orr_json_is_array(L, 1));
    return 1;
}

int orr_open_json(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"encode", json_encode},
        {"decode", json_decode},
        {"check", json_check},
        {"is_array", json_is_array},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    orr_json_push_null(L);
    lua_setfield(L, -2, "null");
    orr_json_push_array_mt(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "array_mt");
    lua_pushcclosure(L, json_mark, 1);
    lua_setfield(L, -2, "array");
    push_mark(L, &object_key, "object");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "object_mt");
    lua_pushcclosure(L, json_mark, 1);
    lua_setfield(L, -2, "object");
    return 1;
}
