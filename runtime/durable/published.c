/* published.c - what earlier lives of a run have published, as the store has it. */
#include "durable/inner.h"

#include <lauxlib.h>

enum { NAME, VALUE }; /* columns of the query */

typedef struct reading {
    lua_State *L;
    const orr_field *values;
    bool failed;
} reading;

/* (reading, texts) */
static int add_row(lua_State *L) {
    const reading *a = lua_touserdata(L, 1);
    const orr_field *name = &a->values[NAME], *value = &a->values[VALUE];
    if (name->type != ORR_FIELD_TEXT || value->type != ORR_FIELD_TEXT) return 0;
    lua_pushlstring(L, name->bytes, name->size);
    lua_pushlstring(L, value->bytes, value->size);
    lua_rawset(L, 2);
    return 0;
}

static bool visit(void *ud, const orr_field *values, size_t n) {
    reading *a = ud;
    (void)n;
    a->values = values;
    lua_pushcfunction(a->L, add_row);
    lua_pushlightuserdata(a->L, a);
    lua_pushvalue(a->L, -3);
    a->failed = lua_pcall(a->L, 2, 0, 0) != LUA_OK;
    if (a->failed) lua_pop(a->L, 1);
    return !a->failed;
}

/* Adds to the table at the top. What cannot be read is left out. */
void orr_published_load(lua_State *L, const orr_runbox *r) {
    orr_reason reason;
    reading a = {.L = L};
    orr_field key = orr_field_text(r->id);
    orr_store_reader reader = {.row = visit, .ud = &a};
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (r->rt->durable)
        orr_store_query(orr_storage_any(r->rt), ORR_QUERY_PUBLISHED_OF_RUN, &key, &reader, &reason);
}
