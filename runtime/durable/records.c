/* records.c - records as plain data, for who reads journals of runs that are not here. */
#include "durable/inner.h"

#include "store/record/record.h"

#include <lauxlib.h>

static void set_time(lua_State *L, const char *key, int64_t ns) {
    lua_pushnumber(L, (lua_Number)ns / 1e9);
    lua_setfield(L, -2, key);
}

static void set_task(lua_State *L, const orr_record *r) {
    if (r->task.node == ORR_NONE) return;
    orr_set_integer(L, "index", (lua_Integer)r->task.node + 1);
    if (r->task.item != ORR_NONE) orr_set_integer(L, "item", (lua_Integer)r->task.item + 1);
    if (r->task.iteration > 0) orr_set_integer(L, "iteration", (lua_Integer)r->task.iteration + 1);
    if (r->task.attempt > 0) orr_set_integer(L, "attempt", r->task.attempt);
}

static void set_rest(lua_State *L, const orr_record *r) {
    if (r->due > 0) set_time(L, "due", r->due);
    if (r->kind == ORR_REC_EXPANDED) orr_set_integer(L, "items", r->count);
    if (r->port != ORR_PORT_ANY) orr_set_integer(L, "port", (lua_Integer)r->port + 1);
    if (r->kind == ORR_REC_RUN_ENDED) orr_set_text(L, "state", orr_run_state_name((orr_run_state)r->reason));
    if (!r->error) return;
    lua_createtable(L, 0, 2);
    orr_set_text(L, "code", r->error->code);
    orr_set_text(L, "message", r->error->message);
    lua_setfield(L, -2, "error");
}

int orr_record_push(lua_State *L) {
    const orr_written_record *w = lua_touserdata(L, 1);
    orr_entry e;
    orr_error error;
    if (orr_entry_decode(w->bytes, w->size, &e, &error) != ORR_OK)
        return luaL_error(L, "record %I cannot be read: restore a backup of the store", (LUAI_UACINT)w->seq);
    lua_createtable(L, 0, 8);
    orr_set_integer(L, "seq", (lua_Integer)w->seq);
    orr_set_text(L, "kind", orr_record_name(e.record.kind));
    set_time(L, "time", e.record.time);
    set_task(L, &e.record);
    set_rest(L, &e.record);
    return 1;
}

int orr_core_records(lua_State *L) {
    size_t size;
    const unsigned char *at = (const unsigned char *)luaL_checklstring(L, 1, &size), *end = at + size;
    lua_Integer seq = luaL_checkinteger(L, 2), after = luaL_checkinteger(L, 3);
    lua_Integer most = luaL_checkinteger(L, 4), n = 0;
    const unsigned char *record;
    lua_newtable(L);
    for (size_t length; at < end && n < most; seq++) {
        if (!orr_records_next(&at, end, &record, &length))
            return luaL_error(L, "the journal cannot be read: restore a backup of the store");
        if (seq <= after) continue;
        orr_written_record w = {.seq = (uint64_t)seq, .bytes = record, .size = length};
        lua_pushcfunction(L, orr_record_push);
        lua_pushlightuserdata(L, &w);
        lua_call(L, 1, 1);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}
