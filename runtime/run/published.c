/* published.c - what the attempts of a run let be read of it by ctx:publish: a value for each name,
 * the last one. It is kept as JSON, so that nobody can change it behind our back. A run that goes
 * on from its journal has what its earlier lives published, once somebody publishes or asks. */
#include "lua/json.h"
#include "run/inner.h"

/* Pushes the table of JSON by name. */
static void push_texts(lua_State *L, orr_runbox *r) {
    orr_run_push_table(L, r, RUN_PUBLISHED, 0);
    if (!r->read_back || r->published_read) return;
    r->published_read = true;
    r->rt->keeper->published(L, r);
}

void orr_run_publish(lua_State *L, orr_runbox *r, int name, int value) {
    push_texts(L, r);
    lua_pushvalue(L, name);
    lua_pushvalue(L, value);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* The value of the JSON at the top takes its place. */
static void decode(lua_State *L) {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    if (!orr_json_decode(L, text, size, &(orr_json_reading){.name = "published", .binary = true}))
        lua_error(L);
    lua_remove(L, -2);
}

/* run:published([name]) -> the value that was published last under the name, or nil; all by name.
 */
int orr_run_published_method(lua_State *L) {
    orr_runbox *r = orr_check_run(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checkstring(L, 2);
    lua_settop(L, 2);
    push_texts(L, r);
    if (!lua_isnil(L, 2)) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, 3) != LUA_TNIL) decode(L);
        return 1;
    }
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, 3);) {
        decode(L);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 4);
    }
    return 1;
}
