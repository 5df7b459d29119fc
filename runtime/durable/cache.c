/* cache.c - outputs that are kept for later runs, in the runtime's store; without one, in a store
 * in memory.
 *
 * Lua decides what a node's key is made of (orrery.definition.cached). Here outputs are looked up
 * and put, and the result is kept for run:why and for events: RUN_CACHED[task handle] = true for a
 * hit, or the reason of a miss.
 */
#include "durable/inner.h"
#include <string.h>

/* The same where other processes can read it. */
static void publish(lua_State *L, const orr_runbox *r, const orr_task *task, const char *reason) {
    if (!r->journal || !r->rt->durable) return;
    lua_createtable(L, 0, 2);
    lua_pushstring(L, reason ? "miss" : "hit");
    lua_setfield(L, -2, "cache");
    lua_pushstring(L, reason);
    lua_setfield(L, -2, "cache_reason");
    if (!orr_json_encode(L, -1, &(orr_json_writing){.root = "why"})) luaL_error(L, "%s", lua_tostring(L, -1));
    size_t size, len;
    const char *why = lua_tolstring(L, -1, &size);
    orr_push_node_name(L, r, task->node);
    const char *node = lua_tolstring(L, -1, &len);
    orr_field row[] = {
        {.type = ORR_FIELD_BLOB, .bytes = orr_run_id_of(r->run), .size = 16},
        {.type = ORR_FIELD_TEXT, .bytes = node, .size = len},
        {.type = ORR_FIELD_INTEGER, .integer = (int64_t)(uint32_t)(task->item + 1)},
        {.type = ORR_FIELD_TEXT, .bytes = why, .size = size},
    };
    if (orr_store_put(orr_storage_any(r->rt), ORR_ROW_WHY, row, sizeof row / sizeof *row) == ORR_ENOMEM)
        luaL_error(L, "not enough memory");
    lua_pop(L, 3);
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* The columns of ORR_ROW_CACHE. */
enum { C_KEY, C_WORKFLOW, C_NODE, C_TYPE, C_RUN, C_OUTPUT, C_CREATED, C_EXPIRES, C_COUNT };

typedef struct entry {
    lua_State *L;
    double now;
    bool expired, failed;
} entry;

static int push_text(lua_State *L) {
    const orr_field *value = lua_touserdata(L, 1);
    if (value->type == ORR_FIELD_NULL) lua_pushnil(L);
    else lua_pushlstring(L, value->bytes, value->size);
    return 1;
}

/* Leaves the output's text on the stack. This is a callback of the store: it may not use the store,
 * nor raise an error. */
static bool take(void *ud, const orr_field *values, size_t n) {
    entry *e = ud;
    const orr_field *expires = &values[C_EXPIRES];
    (void)n;
    double end = expires->type == ORR_FIELD_REAL ? expires->real : (double)expires->integer;
    e->expired = expires->type != ORR_FIELD_NULL && end <= e->now;
    if (e->expired) return false;
    lua_pushcfunction(e->L, push_text);
    lua_pushlightuserdata(e->L, (void *)(uintptr_t)&values[C_OUTPUT]);
    e->failed = lua_pcall(e->L, 1, 1, 0) != LUA_OK;
    return false;
}

static orr_store *store_of(lua_State *L, orr_rtbox *rt) {
    if (!rt->storage) orr_storage_open(L, rt, NULL, ORR_DURABLE_STRICT);
    return orr_storage_any(rt);
}

static double seconds_now(const orr_rtbox *rt) {
    return (double)orr_engine_now(rt->base.engine) / 1e9;
}

static int missed(lua_State *L, const char *reason) {
    lua_pushboolean(L, false);
    lua_pushstring(L, reason);
    return 2;
}

/* core.cache_get(ctx, key) -> true, output | false, why there is none */
int orr_core_cache_get(lua_State *L) {
    const orr_fiber *f = orr_check_own_ctx(L, 1, "core.cache_get");
    const char *key = luaL_checkstring(L, 2);
    entry e = {.L = L, .now = seconds_now(f->run->rt)};
    orr_store *store = store_of(L, f->run->rt);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_reason reason;
    orr_status status = orr_store_get(store, ORR_ROW_CACHE, key, take, &e, &reason);
    if (e.failed) return lua_error(L);
    if (e.expired) return missed(L, "expired");
    if (status == ORR_ENOTFOUND) return missed(L, "no entry");
    if (status != ORR_OK) return missed(L, "the store could not be read");
    size_t size = 0;
    const char *text = lua_tolstring(L, -1, &size);
    lua_pushboolean(L, true);
    orr_push_payload(L, f->run->rt, text, size, false);
    return 2;
}

/* core.cache_note(ctx[, reason]): the node takes its output from the cache and returns it next; or
 * the reason why it does not */
int orr_core_cache_note(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "core.cache_note");
    const char *reason = luaL_optstring(L, 2, NULL);
    orr_cache_note(L, f->run, &f->task, reason);
    publish(L, f->run, &f->task, reason);
    if (!reason) f->flags |= ATTEMPT_CACHED;
    return 0;
}

/* ---- keeping --------------------------------------------------------------------------------- */

static orr_field text_value(lua_State *L, int idx) {
    size_t size = 0;
    const char *text = lua_tolstring(L, idx, &size);
    return (orr_field){.type = text ? ORR_FIELD_TEXT : ORR_FIELD_NULL, .bytes = text, .size = size};
}

/* core.cache_put(ctx, key, type, output[, ttl in seconds]): keeps an output for later runs. One
 * that is no JSON is left out; its own run reports that. */
int orr_core_cache_put(lua_State *L) {
    const orr_fiber *f = orr_check_own_ctx(L, 1, "core.cache_put");
    luaL_checkstring(L, 2);
    luaL_checkstring(L, 3);
    lua_settop(L, 5);
    orr_runbox *r = f->run;
    double now = seconds_now(r->rt);
    orr_field row[C_COUNT] = {
        [C_KEY] = text_value(L, 2),
        [C_TYPE] = text_value(L, 3),
        [C_RUN] = {.type = ORR_FIELD_BLOB, .bytes = orr_run_id_of(r->run), .size = 16},
        [C_CREATED] = {.type = ORR_FIELD_REAL, .real = now},
    };
    if (!lua_isnil(L, 4)) {
        if (!orr_json_encode(
                L, 4,
                &(orr_json_writing){.root = "output", .binary = true, .spools = orr_storage_rows(r->rt)}))
            return 0;
        row[C_OUTPUT] = text_value(L, -1);
    }
    if (!lua_isnil(L, 5))
        row[C_EXPIRES] = (orr_field){.type = ORR_FIELD_REAL, .real = now + luaL_checknumber(L, 5)};
    lua_pushstring(L, r->plan->plan->name);
    row[C_WORKFLOW] = text_value(L, -1);
    orr_push_node_name(L, r, f->task.node);
    row[C_NODE] = text_value(L, -1);
    if (orr_store_put(store_of(L, r->rt), ORR_ROW_CACHE, row, C_COUNT) == ORR_ENOMEM)
        return luaL_error(L, "not enough memory for an entry of the cache");
    return 0;
}
