/* outputs.c - an output of a journaled run leaves memory once no dependent needs it. Asked for
 * later, it is read back from the journal.
 *
 * For each node the run keeps the number of the record that holds its output, and how many
 * dependents have not settled. An output that no dependent needs stays until its record is durable:
 * before that it could not be read back. A run in memory keeps its outputs, but for large ones
 * (run/large.c): its journal is in memory too.
 */
#include "durable/inner.h"
#include <string.h>

/* The output of a node that nothing depends on is needed, if at all, when the run ends: a short one
 * stays until then. */
#define SHORT_OUTPUT ((size_t)16 << 10)

/* What the run's output mentions is needed until the run ends. */
static void pin(lua_State *L, const orr_runbox *r) {
    orr_run_push_plan(L, r, PLAN_OUTPUT_NODES);
    lua_Integer n = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        lua_Integer node = lua_tointeger(L, -1);
        if (node >= 1 && node <= (lua_Integer)r->kept.n) r->kept.left[node - 1]++;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

bool orr_outputs_begin(lua_State *L, orr_runbox *r) {
    const orr_plan *plan = r->plan->plan;
    const orr_alloc *alloc = &r->script->alloc;
    if (!r->rt->durable) return true;
    r->kept.seq = orr_mem_new(alloc, plan->n_nodes, sizeof *r->kept.seq);
    r->kept.left = orr_mem_new(alloc, plan->n_nodes, sizeof *r->kept.left);
    r->kept.n = plan->n_nodes;
    r->unloads = true;
    if (!r->kept.seq || !r->kept.left) {
        orr_outputs_end(r);
        return false;
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        r->kept.left[i] = plan->out_first[i + 1] - plan->out_first[i];
    pin(L, r);
    return true;
}

static void forget(lua_State *L, orr_runbox *r, uint32_t node) {
    r->kept.seq[node] = 0;
    orr_run_push_table(L, r, RUN_OUTPUTS, 0);
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)node + 1);
    lua_pop(L, 1);
}

void orr_outputs_set_back(lua_State *L, orr_runbox *r) {
    const orr_plan *plan = r->plan->plan;
    if (!r->kept.n) return;
    memset(r->kept.left, 0, r->kept.n * sizeof *r->kept.left);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        if (orr_node_settled(orr_run_node_state(r->run, i, ORR_NONE))) continue;
        /* items that completed keep what they gave */
        if (!plan->policies[plan->policy_of[i]].has_each) forget(L, r, i);
        for (uint32_t k = plan->in_first[i]; k < plan->in_first[i + 1]; k++) r->kept.left[plan->in_from[k]]++;
    }
    pin(L, r);
}

void orr_outputs_end(orr_runbox *r) {
    /* a box that ran out of memory while it was made has no script either */
    if (!r->kept.seq && !r->kept.left) return;
    const orr_alloc *alloc = &r->script->alloc;
    orr_mem_free(alloc, r->kept.seq, r->kept.n, sizeof *r->kept.seq);
    orr_mem_free(alloc, r->kept.left, r->kept.n, sizeof *r->kept.left);
    orr_outputs_stay(r);
    r->kept.seq = NULL;
    r->kept.left = NULL;
    r->kept.n = 0;
    r->unloads = false;
}

/* A run that is read back may be retried, or has been: the items of a node that did not complete,
 * or of which some failed, may still be needed. */
static bool keeps_items(const orr_runbox *r, uint32_t node) {
    return !r->live && (orr_run_node_state(r->run, node, ORR_NONE) != ORR_NODE_COMPLETED ||
                        orr_run_items_failed(r->run, node) > 0);
}

/* Releases list and output of one node. Not where its items may have to be undone one by one, after
 * a failure too: the journal has the output of whole nodes only. */
static void release(lua_State *L, orr_runbox *r, uint32_t node) {
    const orr_plan *plan = r->plan->plan;
    const orr_policy *policy = &plan->policies[plan->policy_of[node]];
    if (policy->has_each && (policy->has_compensate || keeps_items(r, node))) return;
    static const int tables[] = {RUN_OUTPUTS, RUN_LISTS};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        orr_run_push(L, r, tables[i]);
        if (lua_istable(L, -1)) {
            lua_pushnil(L);
            lua_rawseti(L, -2, (lua_Integer)node + 1);
        }
        lua_pop(L, 1);
    }
}

void orr_outputs_read_back(lua_State *L, orr_runbox *r) {
    for (uint32_t i = 0; i < r->kept.n; i++)
        if (r->kept.left[i] == 0 && orr_run_items_failed(r->run, i) > 0 &&
            orr_run_node_state(r->run, i, ORR_NONE) == ORR_NODE_COMPLETED)
            release(L, r, i);
}

/* ---- releasing ------------------------------------------------------------------------------- */

static void link_run(orr_runbox *r) {
    orr_rtbox *rt = r->rt;
    r->kept.prev = NULL;
    r->kept.next = rt->leaving;
    if (rt->leaving) rt->leaving->kept.prev = r;
    rt->leaving = r;
}

static void unlink_run(orr_runbox *r) {
    orr_kept *kept = &r->kept;
    if (kept->prev) kept->prev->kept.next = kept->next;
    else r->rt->leaving = kept->next;
    if (kept->next) kept->next->kept.prev = kept->prev;
    kept->next = kept->prev = NULL;
}

void orr_outputs_stay(orr_runbox *r) {
    orr_kept *kept = &r->kept;
    if (kept->n_leaving > 0) unlink_run(r);
    if (kept->leaving)
        orr_mem_free(&r->script->alloc, kept->leaving, kept->cap_leaving, sizeof *kept->leaving);
    kept->leaving = NULL;
    kept->n_leaving = kept->cap_leaving = 0;
}

static bool reserve_leaving(orr_runbox *r) {
    orr_kept *kept = &r->kept;
    if (kept->n_leaving < kept->cap_leaving) return true;
    uint32_t cap = kept->cap_leaving ? kept->cap_leaving * 2 : 8;
    orr_leaving *grown = orr_mem_resize(&r->script->alloc, kept->leaving, kept->cap_leaving, cap,
                                        sizeof *grown);
    if (!grown) return false;
    kept->leaving = grown;
    kept->cap_leaving = cap;
    return true;
}

static void let_go(lua_State *L, orr_runbox *r, uint32_t node, uint32_t item) {
    if (item == ORR_NONE) release(L, r, node);
    else orr_item_output_leave(L, r, node, item);
}

/* Notes that the output can be released when its record is durable, which was queued just now at
 * the latest. Without memory for the note the output stays. */
static void leave(lua_State *L, orr_runbox *r, uint32_t node, uint32_t item) {
    /* what was read back is durable */
    uint64_t ticket = r->live ? orr_store_ticket(orr_storage_any(r->rt)) : 0;
    if (ticket <= r->rt->durable_to) {
        let_go(L, r, node, item);
        return;
    }
    if (!reserve_leaving(r)) return;
    if (r->kept.n_leaving == 0) link_run(r);
    r->kept.leaving[r->kept.n_leaving++] = (orr_leaving){ticket, node, item};
}

void orr_outputs_settled(lua_State *L, orr_runbox *r, const orr_record *rec) {
    const orr_plan *plan = r->plan->plan;
    uint32_t node = rec->task.node;
    if (!r->kept.n) return;
    r->kept.seq[node] = rec->kind == ORR_REC_COMPLETED && r->kept.size > 0 ? rec->seq : 0;
    if (r->kept.left[node] == 0 && r->kept.size > SHORT_OUTPUT) leave(L, r, node, ORR_NONE);
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        uint32_t from = plan->in_from[k];
        if (r->kept.left[from] > 0 && --r->kept.left[from] == 0 &&
            orr_node_settled(orr_run_node_state(r->run, from, ORR_NONE)))
            leave(L, r, from, ORR_NONE);
    }
}

void orr_outputs_leave(lua_State *L, orr_runbox *r, uint32_t node) {
    if (r->kept.seq[node] != 0) leave(L, r, node, ORR_NONE);
}

void orr_outputs_item_recorded(lua_State *L, orr_runbox *r, const orr_task *task) {
    leave(L, r, task->node, task->item);
}

/* (run) */
static int release_first(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    uint32_t n = 0;
    while (n < r->kept.n_leaving && r->kept.leaving[n].ticket <= r->rt->durable_to) {
        orr_leaving it = r->kept.leaving[n++];
        let_go(L, r, it.node, it.item);
    }
    r->kept.n_leaving -= n;
    memmove(r->kept.leaving, r->kept.leaving + n, r->kept.n_leaving * sizeof *r->kept.leaving);
    return 0;
}

void orr_outputs_durable(orr_rtbox *rt, uint64_t durable) {
    for (orr_runbox *r = rt->leaving, *next; r; r = next) {
        next = r->kept.next;
        if (r->kept.leaving[0].ticket > durable) continue;
        if (orr_protect(rt->base.script, release_first, r) == LUA_OK && r->kept.n_leaving == 0) unlink_run(r);
    }
}

/* ---- reading back ---------------------------------------------------------------------------- */

typedef struct loading {
    lua_State *L;
    orr_rtbox *rt;
    bool found, failed;
    const void *bytes;
    size_t size;
} loading;

static int decode(lua_State *L) {
    loading *l = lua_touserdata(L, 1);
    orr_entry e;
    orr_error error;
    if (orr_entry_decode(l->bytes, l->size, &e, &error) != ORR_OK)
        return luaL_error(L, "a record of the journal cannot be read");
    if (e.record.kind != ORR_REC_COMPLETED) return 0;
    if (!e.is_blob) {
        orr_push_payload(L, l->rt, e.payload, e.payload_size, false);
        return 1;
    }
    lua_pushlstring(L, e.payload, e.payload_size); /* looked up when the store is free again */
    lua_pushboolean(L, true);
    return 2;
}

static bool visit(void *ud, uint64_t seq, const void *bytes, size_t size) {
    loading *l = ud;
    (void)seq;
    l->bytes = bytes;
    l->size = size;
    l->found = true;
    lua_pushcfunction(l->L, decode);
    lua_pushlightuserdata(l->L, l);
    l->failed = lua_pcall(l->L, 1, 2, 0) != LUA_OK;
    return false;
}

/* (run, &node) -> the output */
static int read_back(lua_State *L) {
    const orr_runbox *r = lua_touserdata(L, 1);
    uint32_t node = *(const uint32_t *)lua_touserdata(L, 2);
    loading l = {.L = L, .rt = r->rt};
    if (!orr_storage_any(r->rt) || !r->run) return luaL_error(L, "its runtime is closed");
    if (orr_storage_busy(r->rt)) orr_storage_wait(r->rt, orr_store_ticket(orr_storage_any(r->rt)));
    orr_reason reason;
    orr_status status = orr_store_read(orr_storage_any(r->rt), orr_run_id_of(r->run), r->kept.seq[node] - 1,
                                       visit, &l, &reason);
    if (status != ORR_OK || !l.found)
        return luaL_error(L, "%s",
                          *reason.text ? reason.text
                          : l.found    ? orr_strerror(status)
                                       : "its record is not there");
    if (l.failed) return lua_error(L);
    bool is_blob = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (!is_blob) return 1;
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    orr_push_payload(L, r->rt, text, size, true);
    return 1;
}

void orr_outputs_load(lua_State *L, const orr_runbox *r, uint32_t node) {
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (!r->kept.n || r->kept.seq[node] == 0) {
        lua_pushnil(L);
        return;
    }
    lua_pushcfunction(L, read_back);
    lua_pushlightuserdata(L, (void *)(uintptr_t)r);
    lua_pushlightuserdata(L, &node);
    int status = lua_pcall(L, 2, 1, 0);
    if (status == LUA_OK) return;
    if (status == LUA_ERRMEM) lua_error(L);
    const char *name = orr_plan_name(r->plan->plan, node);
    luaL_error(L,
               "the output of node %s cannot be read back from the store: %s; restore a backup, or make it "
               "anew: orrery fork %s --from %s",
               name ? name : "?", lua_tostring(L, -1), r->id, name ? name : "NODE");
}

/* ---- payloads -------------------------------------------------------------------------------- */

typedef struct blob {
    lua_State *L;
    const orr_field *data;
    bool failed;
} blob;

static int push_blob(lua_State *L) {
    const blob *b = lua_touserdata(L, 1);
    lua_pushlstring(L, b->data->bytes, b->data->size);
    return 1;
}

/* This is a callback of the store, which an error must not leave. */
static bool take_blob(void *ud, const orr_field *values, size_t n) {
    blob *b = ud;
    (void)n;
    b->data = &values[1];
    lua_pushcfunction(b->L, push_blob);
    lua_pushlightuserdata(b->L, b);
    b->failed = lua_pcall(b->L, 1, 1, 0) != LUA_OK;
    return false;
}

static bool find_list(lua_State *L, void *rtbox) {
    orr_rtbox *rt = rtbox;
    return orr_item_outputs_find(L, rt->base.script, rt);
}

static void decode_json(lua_State *L, orr_rtbox *rt, const char *text, size_t size) {
    /* a value of the user's stands in one of ours */
    orr_json_reading how = {.name = "journal",
                            .binary = true,
                            .depth = ORR_JSON_DEPTH_MAX,
                            .spools = rt ? orr_storage_rows(rt) : NULL,
                            .list = rt ? find_list : NULL,
                            .ud = rt};
    if (!orr_json_decode(L, text, size, &how)) lua_error(L);
}

void orr_outputs_load_kept(lua_State *L, orr_rtbox *rt, const char *hash) {
    int top = lua_gettop(L);
    blob b = {.L = L};
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_reason reason;
    orr_status status = orr_store_get(orr_storage_any(rt), ORR_ROW_BLOB, hash, take_blob, &b, &reason);
    if (b.failed) lua_error(L);
    if (status != ORR_OK)
        luaL_error(L, "the value %s cannot be read from the table of blobs: %s", hash,
                   *reason.text ? reason.text : orr_strerror(status));
    size_t size;
    const char *value = lua_tolstring(L, -1, &size);
    decode_json(L, rt, value, size);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

void orr_push_payload(lua_State *L, orr_rtbox *rt, const void *text, size_t size, bool is_blob) {
    if (size == 0) {
        lua_pushnil(L);
        return;
    }
    decode_json(L, rt, text, size);
    if (!is_blob) return;
    int at = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (!lua_istable(L, at) || lua_getfield(L, at, "$blob") != LUA_TSTRING)
        luaL_error(L, "a value that stands in the table of blobs is not named");
    orr_outputs_load_kept(L, rt, lua_tostring(L, -1));
    lua_replace(L, at);
    lua_settop(L, at);
}
