/* earlier.c - what earlier lives of a run have counted and published, as the store has it. */
#include "durable/inner.h"

#include <lauxlib.h>

typedef struct reading {
    lua_State *L;
    lua_CFunction add; /* (row, table): adds the row to the table; may raise a memory error */
} reading;

static const orr_field *row_of(lua_State *L) {
    return lua_touserdata(L, 1);
}

/* This is a callback of the store, which an error must not leave. */
static bool visit(void *ud, const orr_field *values, size_t n) {
    const reading *a = ud;
    (void)n;
    lua_pushcfunction(a->L, a->add);
    lua_pushlightuserdata(a->L, (void *)(uintptr_t)values);
    lua_pushvalue(a->L, -3);
    bool ok = lua_pcall(a->L, 2, 0, 0) == LUA_OK;
    if (!ok) lua_pop(a->L, 1);
    return ok;
}

/* Adds the rows of a run to the table at the top. What cannot be read is left out. */
static void add_rows(lua_State *L, const orr_runbox *r, orr_query query, lua_CFunction add) {
    orr_reason reason;
    reading a = {.L = L, .add = add};
    orr_field key = orr_field_text(r->id);
    orr_store_reader reader = {.row = visit, .ud = &a};
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (r->rt->durable) orr_store_query(orr_storage_any(r->rt), query, &key, &reader, &reason);
}

/* ---- what was counted ------------------------------------------------------------------------ */

static int add_cost(lua_State *L) {
    enum { NAME = 4, AMOUNT = 5 }; /* columns of the query */
    const orr_field *name = &row_of(L)[NAME], *amount = &row_of(L)[AMOUNT];
    if (name->type != ORR_FIELD_TEXT) return 0;
    lua_pushlstring(L, name->bytes, name->size);
    if (amount->type == ORR_FIELD_INTEGER) lua_pushinteger(L, amount->integer);
    else if (amount->type == ORR_FIELD_REAL) lua_pushnumber(L, amount->real);
    else return 0;
    orr_cost_add(L, 2, 3, 4);
    return 0;
}

void orr_costs_load(lua_State *L, const orr_runbox *r) {
    add_rows(L, r, ORR_QUERY_COSTS_OF_RUN, add_cost);
}

/* ---- what was published ---------------------------------------------------------------------- */

static int add_published(lua_State *L) {
    enum { NAME, VALUE }; /* columns of the query */
    const orr_field *name = &row_of(L)[NAME], *value = &row_of(L)[VALUE];
    if (name->type != ORR_FIELD_TEXT || value->type != ORR_FIELD_TEXT) return 0;
    lua_pushlstring(L, name->bytes, name->size);
    lua_pushlstring(L, value->bytes, value->size);
    lua_rawset(L, 2);
    return 0;
}

void orr_published_load(lua_State *L, const orr_runbox *r) {
    add_rows(L, r, ORR_QUERY_PUBLISHED_OF_RUN, add_published);
}
