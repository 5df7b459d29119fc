/* journal.c - runs whose journal is kept: each record of the core goes, with its value as JSON, to the runtime's store.
 *
 * Runs are not journaled unless they ask (rt:start(plan, { journal = true })), and a runtime without such a run has no
 * hook in its core: a node of any other run pays nothing.
 */
#include "../store/journal.h"
#include "../store/store.h"
#include "json.h"
#include "state.h"
#include <lauxlib.h>

typedef struct noting {
    orr_runbox *r;
    orr_run *run;
    const orr_record *record;
} noting;

/* ---- writing -------------------------------------------------------------------------------------------------------- */

/* Pushes what the record's value stands for, nil where it has none. */
static void push_value(lua_State *L, const orr_runbox *r, const orr_record *rec) {
    switch (rec->kind) {
    case ORR_REC_RUN_CREATED:
        orr_run_push(L, r, RUN_INPUT);
        break;
    case ORR_REC_EXPANDED:
        orr_run_push(L, r, RUN_LISTS);
        lua_rawgeti(L, -1, (lua_Integer)rec->task.node + 1);
        break;
    case ORR_REC_COMPLETED:
    case ORR_REC_ITERATED:
        orr_run_push_output(L, r, rec->task.node, rec->task.item);
        break;
    default:
        lua_pushnil(L);
        break;
    }
}

static int note(lua_State *L) {
    noting *n = lua_touserdata(L, 1);
    orr_entry entry = {.record = *n->record};
    push_value(L, n->r, n->record);
    if (!lua_isnil(L, -1)) {
        if (!orr_json_encode(L, lua_gettop(L), &(orr_json_writing){.root = "value"})) return lua_error(L);
        entry.payload = lua_tolstring(L, -1, &entry.payload_size);
    }
    unsigned char *bytes = lua_newuserdatauv(L, orr_entry_bound(&entry), 0);
    size_t size = orr_entry_encode(&entry, bytes);
    orr_status status = orr_store_append(n->r->rt->store, orr_run_id_of(n->run), n->record->seq, bytes, size);
    if (status != ORR_OK) return luaL_error(L, "%s", orr_strerror(status));
    return 0;
}

/* A journal with a hole is worth nothing: it ends where a record could not be kept, and run:journal says so. */
static void on_record(void *rtbox, orr_run *run, const orr_record *record) {
    orr_rtbox *rt = rtbox;
    noting n = {orr_run_ud(run), run, record};
    if (!n.r->journaled || n.r->torn) return;
    n.r->torn = orr_protect(rt->script, note, &n) != LUA_OK;
}

void orr_journal_keep(lua_State *L, orr_rtbox *rt, orr_runbox *r) {
    if (!rt->store) rt->store = orr_store_memory(&rt->script->alloc);
    if (!rt->store) luaL_error(L, "not enough memory for a journal");
    orr_core_record(orr_engine_core(rt->runtime), on_record);
    r->journaled = true;
}

void orr_journal_drop(orr_runbox *r) {
    if (r->journaled && r->rt->store) orr_store_drop(r->rt->store, orr_run_id_of(r->run));
    r->journaled = false;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

typedef struct listing {
    lua_State *L;
    orr_runbox *r;
    lua_Integer n;
    const void *bytes;
    size_t size;
    bool failed;
} listing;

static void set_integer(lua_State *L, const char *key, lua_Integer n) {
    lua_pushinteger(L, n);
    lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static void set_task(lua_State *L, const orr_runbox *r, const orr_record *rec) {
    if (rec->task.node == ORR_NONE) return;
    orr_push_node_name(L, r, rec->task.node);
    lua_setfield(L, -2, "node");
    if (rec->task.item != ORR_NONE) set_integer(L, "item", (lua_Integer)rec->task.item + 1);
    if (rec->task.iteration > 0) set_integer(L, "iteration", (lua_Integer)rec->task.iteration + 1);
    if (rec->task.attempt > 0) set_integer(L, "attempt", rec->task.attempt);
}

/* (listing) with the table of records at 2: appends one. */
static int push_record(lua_State *L) {
    listing *l = lua_touserdata(L, 1);
    orr_entry e;
    orr_error error;
    if (orr_entry_decode(l->bytes, l->size, &e, &error) != ORR_OK) return luaL_error(L, "a record cannot be read");
    lua_createtable(L, 0, 8);
    set_integer(L, "seq", (lua_Integer)e.record.seq);
    set_string(L, "kind", orr_record_name(e.record.kind));
    lua_pushnumber(L, (lua_Number)e.record.time / 1e9);
    lua_setfield(L, -2, "time");
    set_task(L, l->r, &e.record);
    if (e.record.due > 0) {
        lua_pushnumber(L, (lua_Number)e.record.due / 1e9);
        lua_setfield(L, -2, "due");
    }
    if (e.record.kind == ORR_REC_EXPANDED) set_integer(L, "items", e.record.count);
    if (e.record.port != ORR_PORT_ANY) set_string(L, "outcome", l->r->plan->plan->ports[e.record.port]);
    if (e.record.kind == ORR_REC_RUN_ENDED) set_string(L, "state", orr_run_state_name((orr_run_state)e.record.reason));
    if (e.record.error) {
        lua_createtable(L, 0, 2);
        set_string(L, "code", error.code);
        set_string(L, "message", error.message);
        lua_setfield(L, -2, "error");
    }
    if (e.payload_size > 0 && orr_json_decode(L, e.payload, e.payload_size, NULL)) lua_setfield(L, -2, "value");
    lua_rawseti(L, 2, ++l->n);
    return 0;
}

static bool visit(void *ud, uint64_t seq, const void *bytes, size_t size) {
    listing *l = ud;
    (void)seq;
    l->bytes = bytes;
    l->size = size;
    lua_pushcfunction(l->L, push_record);
    lua_pushlightuserdata(l->L, l);
    lua_pushvalue(l->L, -3);
    l->failed = lua_pcall(l->L, 2, 0, 0) != LUA_OK;
    return !l->failed;
}

/* run:journal() -> {{seq=, kind=, time=, node=, item=, iteration=, attempt=, due=, items=, outcome=, state=, error=, value=}, …} */
int orr_run_journal(lua_State *L) {
    orr_runbox *r = orr_check_run(L, 1);
    listing l = {.L = L, .r = r};
    if (!r->journaled) return luaL_error(L, "this run keeps no journal; start it with { journal = true }");
    if (r->torn) return luaL_error(L, "the journal of this run is incomplete: memory ran out when a record was to be kept");
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_newtable(L);
    orr_store_read(r->rt->store, orr_run_id_of(r->run), 0, visit, &l);
    return l.failed ? lua_error(L) : 1;
}
