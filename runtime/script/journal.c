/* journal.c - runs whose journal is kept: each record of the core goes, with its value as JSON, to the runtime's store.
 *
 * A runtime without such a run has no hook in its core: a node of any other run pays nothing. Records without a value
 * are written without touching Lua.
 */
#include "../store/journal.h"
#include "../store/store.h"
#include "json.h"
#include "state.h"
#include <lauxlib.h>
#include <string.h>

typedef struct noting {
    orr_runbox *r;
    orr_run *run;
    const orr_record *record;
} noting;

/* ---- values ------------------------------------------------------------------------------------------------------- */

static void set_field(lua_State *L, const orr_runbox *r, const char *key, int value) {
    orr_run_push(L, r, value);
    lua_setfield(L, -2, key);
}

/* What a run's end says beside its state. */
static void push_end(lua_State *L, orr_runbox *r, const orr_record *rec) {
    orr_run_judge(L, r, (orr_run_state)rec->reason); /* the run is in that state once the record is folded */
    lua_createtable(L, 0, 1);
    if (r->output_failed) set_field(L, r, "error", RUN_ERROR);
    else set_field(L, r, "output", RUN_OUTPUT);
}

/* What an error says beside its code and message. */
static void push_error(lua_State *L, orr_runbox *r, const orr_record *rec) {
    static const char *const kept[] = {"details", "traceback", "retryable", "retry_after"};
    if (!rec->error || !rec->error->value) {
        lua_pushnil(L);
        return;
    }
    orr_push_core_error(L, r, rec->error, rec->task.node);
    int error = lua_gettop(L);
    lua_createtable(L, 0, 4);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_pushstring(L, kept[i]);
        lua_rawget(L, error);
        lua_setfield(L, -2, kept[i]);
    }
    lua_pushnil(L);
    if (!lua_next(L, -2)) lua_pushnil(L); /* nothing more to say */
    else lua_pop(L, 2);
}

/* Pushes what the record's value stands for, nil where it has none. */
static void push_value(lua_State *L, orr_runbox *r, const orr_record *rec) {
    switch (rec->kind) {
    case ORR_REC_RUN_ENDED:
        push_end(L, r, rec);
        break;
    case ORR_REC_EXPANDED:
        orr_run_push(L, r, RUN_LISTS);
        lua_rawgeti(L, -1, (lua_Integer)rec->task.node + 1);
        break;
    case ORR_REC_COMPLETED:
    case ORR_REC_ITERATED:
        orr_run_push_output(L, r, rec->task.node, rec->task.item);
        break;
    case ORR_REC_COMPENSATED:
        orr_push_compensation(L, r, &rec->task);
        break;
    default:
        push_error(L, r, rec);
        break;
    }
}

static const unsigned with_value = 1u << ORR_REC_RUN_CREATED | 1u << ORR_REC_RUN_ENDED | 1u << ORR_REC_EXPANDED |
                                   1u << ORR_REC_COMPLETED | 1u << ORR_REC_ITERATED | 1u << ORR_REC_STEP |
                                   1u << ORR_REC_SIGNAL | 1u << ORR_REC_COMPENSATED;

/* The value at the top as JSON, which stands above it. What holds a value of the user's is deeper than that. */
static const char *write_value(lua_State *L, const char *root, size_t *size) {
    orr_json_writing how = {.root = root, .binary = true, .depth = ORR_JSON_DEPTH_MAX};
    if (!orr_json_encode(L, -1, &how)) lua_error(L);
    return lua_tolstring(L, -1, size);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static orr_status append(orr_runbox *r, const orr_entry *entry) {
    unsigned char *bytes = orr_storage_buffer(r->rt, orr_entry_bound(entry));
    if (!bytes) return ORR_ENOMEM;
    r->kept.size = entry->payload_size;
    size_t size = orr_entry_encode(entry, bytes);
    orr_status status = orr_store_append(r->journal, entry->record.seq, bytes, size);
    if (status != ORR_OK) return status;
    r->acted = entry->record.time;
    if (r->durability != ORR_DURABLE_STRICT || !orr_storage_is_durable(r->rt)) return ORR_OK; /* nothing waits for it */
    r->ticket = orr_store_ticket(orr_storage_store(r->rt));
    r->rt->soon = true;
    return ORR_OK;
}

/* A long value goes to the table of blobs, under the hash of its text; the payload names it. */
static orr_status append_blob(lua_State *L, orr_runbox *r, orr_entry *entry) {
    lua_pushcfunction(L, orr_core_sha256);
    lua_pushlstring(L, entry->payload, entry->payload_size);
    lua_call(L, 1, 1);
    size_t len;
    const char *hash = lua_tolstring(L, -1, &len);
    orr_value row[] = {{.type = ORR_VALUE_TEXT, .bytes = hash, .size = len},
                       {.type = ORR_VALUE_BLOB, .bytes = entry->payload, .size = entry->payload_size}};
    orr_status status = orr_store_put(orr_storage_store(r->rt), ORR_ROW_BLOB, row, 2);
    if (status != ORR_OK) return status;
    lua_pushfstring(L, "{\"$blob\":\"%s\",\"size\":%I}", hash, (LUAI_UACINT)entry->payload_size);
    entry->payload = lua_tolstring(L, -1, &entry->payload_size);
    entry->is_blob = true;
    status = append(r, entry);
    r->kept.size = entry->payload_size > ORR_BLOB_SIZE ? entry->payload_size : ORR_BLOB_SIZE;
    return status;
}

/* Values that were written as JSON before their record was made. */
static bool take_text(const noting *n, orr_payload *text) {
    switch (n->record->kind) {
    case ORR_REC_COMPLETED:
        return orr_storage_take_payload(n->r->rt, n->r, &n->record->task, text);
    case ORR_REC_STEP:
    case ORR_REC_SIGNAL:
        *text = orr_step_payload(n->r);
        return true;
    default:
        return false;
    }
}

static int note(lua_State *L) {
    noting *n = lua_touserdata(L, 1);
    orr_entry entry = {.record = *n->record};
    orr_payload kept;
    if (take_text(n, &kept)) {
        entry.payload = kept.text;
        entry.payload_size = kept.size;
    } else if (n->record->kind == ORR_REC_RUN_CREATED) { /* as it was written when the run was begun */
        orr_run_push(L, n->r, RUN_OPTIONS);
        entry.payload = lua_tolstring(L, -1, &entry.payload_size);
        lua_pushnil(L);
        orr_run_set(L, n->r, RUN_OPTIONS);
    } else {
        push_value(L, n->r, n->record);
        if (!lua_isnil(L, -1)) entry.payload = write_value(L, "value", &entry.payload_size);
    }
    orr_status status = entry.payload_size > ORR_BLOB_SIZE && orr_storage_is_durable(n->r->rt) ? append_blob(L, n->r, &entry)
                                                                                               : append(n->r, &entry);
    if (status == ORR_ENOMEM) orr_push_error(L, n->r->script, "out_of_memory", "not enough memory for a record of its journal");
    else if (status != ORR_OK) orr_push_error(L, n->r->script, "journal_error", "the store does not take a record of its journal");
    return status == ORR_OK ? 0 : lua_error(L);
}

/* The same; why it cannot be kept becomes the error of the run, where there is memory for that. */
static int note_or_say(lua_State *L) {
    const noting *n = lua_touserdata(L, 1);
    lua_pushcfunction(L, note);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK) return 0;
    if (lua_type(L, -1) == LUA_TSTRING) orr_push_error(L, n->r->script, status == LUA_ERRMEM ? "out_of_memory" : "journal_error", lua_tostring(L, -1));
    orr_run_set(L, n->r, RUN_ERROR);
    lua_pushnil(L);
    return lua_error(L);
}

static bool note_plainly(const noting *n) {
    orr_entry entry = {.record = *n->record};
    orr_payload kept;
    if (take_text(n, &kept)) {
        if (kept.size > ORR_BLOB_SIZE) {
            if (n->record->kind == ORR_REC_COMPLETED) orr_storage_put_back(n->r->rt, n->r);
            return false;
        }
        entry.payload = kept.text;
        entry.payload_size = kept.size;
    } else if ((with_value >> n->record->kind & 1) != 0 || (n->record->error && n->record->error->value)) {
        return false;
    }
    return append(n->r, &entry) == ORR_OK;
}

/* A hook of the core calls Lua: nothing that runs in there, a finaliser say, may drop a run. */
static bool guarded(orr_script *s, lua_CFunction fn, noting *n) {
    s->guarded++;
    int status = orr_protect(s, fn, n);
    s->guarded--;
    return status == LUA_OK;
}

static const unsigned settling = 1u << ORR_REC_COMPLETED | 1u << ORR_REC_FAILED | 1u << ORR_REC_SKIPPED |
                                 1u << ORR_REC_CANCELLED;

static int settle(lua_State *L) {
    const noting *n = lua_touserdata(L, 1);
    orr_outputs_settled(L, n->r, n->record);
    return 0;
}

/* A journal with a hole is worth nothing: where a record could not be kept the journal ends before it, nothing of the run acts any
 * more, and at the end of the turn it is dropped. */
static void tear(orr_rtbox *rt, orr_runbox *r) {
    r->torn = true;
    r->ticket = ORR_NEVER;
    rt->n_torn++;
}

static void on_record(void *rtbox, orr_run *run, const orr_record *record) {
    orr_rtbox *rt = rtbox;
    noting n = {orr_run_ud(run), run, record};
    if (!n.r->journal || n.r->torn) return;
    if (note_plainly(&n) || guarded(rt->script, note_or_say, &n)) {
        if ((settling >> record->kind & 1) != 0 && record->task.item == ORR_NONE && n.r->kept.n)
            guarded(rt->script, settle, &n); /* without memory the output stays where it is */
        return;
    }
    tear(rt, n.r);
}

bool orr_journal_takes(lua_State *L, const orr_runbox *r, const char *what) {
    if (!r->journal || !lua_istable(L, -1)) return true;
    if (!orr_json_encode(L, -1, &(orr_json_writing){.root = what, .binary = true})) return false;
    lua_pop(L, 1);
    return true;
}

bool orr_journal_take_output(lua_State *L, orr_script *s, orr_runbox *r, const orr_task *task) {
    size_t limit = orr_storage_output_limit(r->rt), size;
    bool too_large = false;
    orr_json_writing how = {.root = "output", .binary = true, .limit = limit, .too_large = &too_large};
    if (lua_isnil(L, -1)) return orr_storage_keep_payload(r->rt, r, task, "", 0) || luaL_error(L, "not enough memory");
    if (!orr_json_encode(L, -1, &how)) {
        orr_push_error(L, s, too_large ? "output_too_large" : "invalid_output", lua_tostring(L, -1));
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "retryable");
        return false;
    }
    const char *text = lua_tolstring(L, -1, &size);
    bool ok = orr_storage_keep_payload(r->rt, r, task, text, size);
    lua_pop(L, 1);
    return ok || luaL_error(L, "not enough memory");
}

/* ---- beginning and ending ------------------------------------------------------------------------------------------- */

static const char *text_field(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key); /* stays: the text lives as long */
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

static orr_value text_value(lua_State *L, int idx, const char *key) {
    size_t size = 0;
    lua_getfield(L, idx, key);
    const char *text = lua_tolstring(L, -1, &size);
    return (orr_value){.type = text ? ORR_VALUE_TEXT : ORR_VALUE_NULL, .bytes = text, .size = size};
}

/* The bundle {hash, workflow, definition, sources, arguments, engine, modules = {{name, path, source}, …}} at the top. */
static void put_bundle(lua_State *L, orr_rtbox *rt) {
    orr_store *store = orr_storage_store(rt);
    int at = lua_gettop(L);
    orr_value row[] = {text_value(L, at, "hash"), text_value(L, at, "workflow"), text_value(L, at, "definition"),
                       text_value(L, at, "sources"), text_value(L, at, "arguments"), text_value(L, at, "engine"),
                       {.type = ORR_VALUE_REAL, .real = (double)orr_engine_now(rt->runtime) / 1e9}};
    if (orr_store_put(store, ORR_ROW_BUNDLE, row, sizeof row / sizeof *row) != ORR_OK)
        luaL_error(L, "not enough memory for the bundle");
    lua_settop(L, at);
}

static const char *json_field(lua_State *L, const orr_runbox *r, int value) {
    orr_run_push(L, r, value);
    if (lua_isnil(L, -1)) return NULL;
    if (!orr_json_encode(L, -1, &(orr_json_writing){.root = value == RUN_LABELS ? "labels" : "context", .binary = true}))
        lua_error(L);
    return lua_tostring(L, -1);
}

/* Seconds of chance and the rest that makes the run again, as the first record keeps it. */
static void keep_options(lua_State *L, const orr_runbox *r, int opts, const orr_run_options *o) {
    static const char *const copied[] = {"key", "only", "from", "env", "bundle_hash", "forked_from"};
    lua_createtable(L, 0, 8);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        lua_getfield(L, opts, copied[i]);
        lua_setfield(L, -2, copied[i]);
    }
    lua_pushstring(L, r->plan->plan->name);
    lua_setfield(L, -2, "workflow");
    lua_pushinteger(L, (lua_Integer)o->seed);
    lua_setfield(L, -2, "seed");
    lua_pushinteger(L, (lua_Integer)o->concurrency);
    lua_setfield(L, -2, "concurrency");
    lua_pushinteger(L, r->durability);
    lua_setfield(L, -2, "durability");
    set_field(L, r, "input", RUN_INPUT);
    set_field(L, r, "context", RUN_CONTEXT);
    set_field(L, r, "labels", RUN_LABELS);
    size_t size;
    write_value(L, "run", &size);
    lua_remove(L, -2);
    orr_run_set(L, r, RUN_OPTIONS);
}

void orr_journal_resume(orr_rtbox *rt, orr_runbox *r, orr_journal *journal) {
    r->journal = journal;
    r->journaled = true;
    orr_core_record(orr_engine_core(rt->runtime), on_record);
    orr_storage_use(rt, 1);
}

void orr_journal_begin(lua_State *L, orr_rtbox *rt, orr_runbox *r, int opts, const orr_run_options *o, const uint8_t *parent) {
    int top = lua_gettop(L);
    if (!rt->storage) orr_storage_open(L, rt, NULL, ORR_DURABLE_STRICT);
    orr_rt_list(L, rt);
    orr_new_run row = {.workflow = r->plan->plan->name, .parent = parent, .durability = (orr_durability)r->durability,
                       .created = orr_core_now(orr_engine_core(rt->runtime))};
    memcpy(row.id, o->id, sizeof row.id);
    if (lua_getfield(L, opts, "bundle") == LUA_TTABLE) {
        put_bundle(L, rt);
        row.bundle = text_field(L, -1, "hash");
    }
    row.key = text_field(L, opts, "key");
    row.labels = json_field(L, r, RUN_LABELS);
    row.context = json_field(L, r, RUN_CONTEXT);
    keep_options(L, r, opts, o);
    if (!orr_outputs_begin(L, r)) luaL_error(L, "not enough memory for the run");
    orr_journal *journal = orr_store_create(orr_storage_store(rt), &row);
    if (!journal) luaL_error(L, "not enough memory for a journal");
    orr_journal_resume(rt, r, journal);
    lua_settop(L, top);
}

/* One in memory is kept to be read until its run is collected. */
void orr_journal_over(orr_runbox *r) {
    if (!r->journal || !orr_storage_is_durable(r->rt)) return;
    orr_store_release(r->journal, true);
    r->journal = NULL;
    orr_storage_use(r->rt, -1);
}

void orr_journal_drop(orr_runbox *r) {
    orr_outputs_end(r);
    if (!r->journal) return;
    bool in_memory = !orr_storage_is_durable(r->rt);
    orr_store_release(r->journal, true);
    r->journal = NULL;
    orr_storage_use(r->rt, -1);
    if (in_memory && r->run) orr_store_drop(orr_storage_store(r->rt), orr_run_id_of(r->run));
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
    if (e.payload_size > 0) {
        orr_push_payload(L, NULL, e.payload, e.payload_size, false);
        lua_setfield(L, -2, "value");
    }
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
    if (!r->run || !r->rt->storage)
        return luaL_error(L, "the journal of this run cannot be read here: its runtime is closed, or the run was dropped");
    if (r->torn) return luaL_error(L, "the journal of this run is incomplete: memory ran out when a record was to be kept");
    orr_storage_wait(r->rt, orr_store_ticket(orr_storage_store(r->rt)));
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_newtable(L);
    orr_store_read(orr_storage_store(r->rt), orr_run_id_of(r->run), 0, visit, &l);
    return l.failed ? lua_error(L) : 1;
}
