/* costs.c - what earlier lives of a run have counted, as the store's log says. */
#include "durable/inner.h"

#include <lauxlib.h>

enum { NAME = 4, AMOUNT = 5 }; /* columns of the query */

typedef struct adding {
    lua_State *L;
    const orr_field *values;
    bool failed;
} adding;

/* (adding, sums) */
static int add_row(lua_State *L) {
    const adding *a = lua_touserdata(L, 1);
    const orr_field *name = &a->values[NAME], *amount = &a->values[AMOUNT];
    if (name->type != ORR_FIELD_TEXT) return 0;
    lua_pushlstring(L, name->bytes, name->size);
    if (amount->type == ORR_FIELD_INTEGER) lua_pushinteger(L, amount->integer);
    else if (amount->type == ORR_FIELD_REAL) lua_pushnumber(L, amount->real);
    else return 0;
    orr_cost_add(L, 2, 3, 4);
    return 0;
}

static bool visit(void *ud, const orr_field *values, size_t n) {
    adding *a = ud;
    (void)n;
    a->values = values;
    lua_pushcfunction(a->L, add_row);
    lua_pushlightuserdata(a->L, a);
    lua_pushvalue(a->L, -3);
    a->failed = lua_pcall(a->L, 2, 0, 0) != LUA_OK;
    if (a->failed) lua_pop(a->L, 1);
    return !a->failed;
}

/* Adds to the table at the top. What cannot be read is not counted. */
void orr_costs_load(lua_State *L, const orr_runbox *r) {
    orr_reason reason;
    adding a = {.L = L};
    orr_field key = orr_field_text(r->id);
    orr_store_reader reader = {.row = visit, .ud = &a};
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (r->rt->durable)
        orr_store_query(orr_storage_any(r->rt), ORR_QUERY_COSTS_OF_RUN, &key, &reader, &reason);
}
