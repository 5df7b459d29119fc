/* journal.c - runs whose journal is kept: each record of the core goes, with its value as JSON, to
 * the runtime's store.
 *
 * A runtime without such a run has no hook in its core: a node of any other run pays nothing.
 * Records without a value are written without touching Lua.
 */
#include "durable/inner.h"
#include <string.h>

typedef struct noting {
    orr_runbox *r;
    orr_run *run;
    const orr_record *record;
} noting;

/* ---- values ---------------------------------------------------------------------------------- */

static void set_field(lua_State *L, const orr_runbox *r, const char *key, int value) {
    orr_run_push(L, r, value);
    lua_setfield(L, -2, key);
}

/* The text of a record ends at its first NUL; what has one is kept beside it. The error is at
 * `error`, what is kept of it at the top. Whether there is such a one. */
static bool keep_whole(lua_State *L, int error, const char *key, const char *kept) {
    size_t size;
    lua_pushstring(L, key);
    lua_rawget(L, error);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
    bool cut = text && size != strlen(kept);
    if (cut) lua_setfield(L, -2, key);
    else lua_pop(L, 1);
    return cut;
}

/* whole = {code, message} of a run's error, where the record cannot hold all of them. */
static void keep_whole_error(lua_State *L, orr_runbox *r, const orr_record *rec) {
    if (!rec->error || !rec->error->value) return;
    int top = lua_gettop(L);
    orr_push_core_error(L, r, rec->error, rec->task.node);
    lua_createtable(L, 0, 2);
    bool cut = keep_whole(L, top + 1, "code", rec->error->code);
    cut |= keep_whole(L, top + 1, "message", rec->error->message);
    if (cut) lua_setfield(L, top, "whole");
    lua_settop(L, top);
}

/* What the record of a run's end holds beside the state. */
static void push_end(lua_State *L, orr_runbox *r, const orr_record *rec) {
    /* the run is in that state once the record is folded */
    orr_run_compute_output(L, r, (orr_run_state)rec->reason);
    lua_createtable(L, 0, 1);
    if (r->output_failed) set_field(L, r, "error", RUN_ERROR);
    else set_field(L, r, "output", RUN_OUTPUT);
    keep_whole_error(L, r, rec);
}

/* What the record of an error holds beside code and message. */
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
    keep_whole(L, error, "code", rec->error->code);
    keep_whole(L, error, "message", rec->error->message);
    lua_pushnil(L);
    if (!lua_next(L, -2)) lua_pushnil(L); /* nothing more to say */
    else lua_pop(L, 2);
}

/* The list; where its items have names an object of both. */
static void push_expansion(lua_State *L, const orr_runbox *r, uint32_t node) {
    orr_run_push(L, r, RUN_LISTS);
    lua_rawgeti(L, -1, (lua_Integer)node + 1);
    if (!orr_item_names_push(L, r, node)) return;
    lua_createtable(L, 0, 2);
    lua_insert(L, -3);
    lua_setfield(L, -3, "names");
    lua_setfield(L, -2, "items");
}

/* Pushes what the record's value stands for, nil where it has none. */
static void push_value(lua_State *L, orr_runbox *r, const orr_record *rec) {
    switch (rec->kind) {
    case ORR_REC_RUN_ENDED: push_end(L, r, rec); break;
    case ORR_REC_EXPANDED: push_expansion(L, r, rec->task.node); break;
    case ORR_REC_COMPLETED:
    case ORR_REC_ITERATED: orr_run_push_output(L, r, rec->task.node, rec->task.item); break;
    case ORR_REC_COMPENSATED: orr_push_compensation(L, r, &rec->task); break;
    default: push_error(L, r, rec); break;
    }
}

_Static_assert(ORR_RECORD_COUNT <= 32, "the masks of records have a bit for each kind");

static const unsigned with_value = 1u << ORR_REC_RUN_CREATED | 1u << ORR_REC_RUN_ENDED |
                                   1u << ORR_REC_EXPANDED | 1u << ORR_REC_COMPLETED | 1u << ORR_REC_ITERATED |
                                   1u << ORR_REC_STEP | 1u << ORR_REC_SIGNAL | 1u << ORR_REC_COMPENSATED;

/* Pushes the value at the top as JSON. The depth allowed is more than that of a user's value, which
 * stands inside one of ours. */
static const char *write_value(lua_State *L, const orr_rtbox *rt, const char *root, size_t *size) {
    orr_json_writing how = {.root = root,
                            .binary = true,
                            .depth = ORR_JSON_DEPTH_MAX,
                            .spools = orr_storage_rows(rt),
                            .lists = true};
    if (!orr_json_encode(L, -1, &how)) lua_error(L);
    return lua_tolstring(L, -1, size);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The record of a step that writes state, both as it is to be where the write is made and where it
 * is not. Their payloads are short. */
static orr_status append_write(orr_runbox *r, const orr_entry *entry, size_t *size) {
    const orr_noted *noted = orr_storage_noted(r->rt);
    orr_entry other = *entry;
    other.payload = noted->refused.text;
    other.payload_size = noted->refused.size;
    unsigned char *bytes = orr_storage_buffer(r->rt, orr_entry_bound(entry) + orr_entry_bound(&other));
    if (!bytes) return ORR_ENOMEM;
    *size = orr_entry_encode(entry, bytes);
    orr_bytes made = {bytes, *size}, refused = {bytes + *size, orr_entry_encode(&other, bytes + *size)};
    return orr_store_append_state(r->journal, entry->record.seq, noted->write, made, refused);
}

static orr_status append_entry(orr_runbox *r, const orr_entry *entry, size_t *size) {
    if (entry->record.kind == ORR_REC_STEP && orr_storage_noted(r->rt)->write)
        return append_write(r, entry, size);
    unsigned char *bytes = orr_storage_buffer(r->rt, orr_entry_bound(entry));
    if (!bytes) return ORR_ENOMEM;
    *size = orr_entry_encode(entry, bytes);
    return orr_store_append(r->journal, entry->record.seq, bytes, *size);
}

static orr_status append(orr_runbox *r, const orr_entry *entry) {
    size_t size = 0;
    r->kept.size = entry->payload_size;
    orr_status status = append_entry(r, entry, &size);
    if (status != ORR_OK) return status;
    r->kept.last_record = orr_core_now(orr_engine_core(r->rt->base.engine));
    if (entry->record.kind == ORR_REC_RUN_ENDED) orr_locks_leave(r);
    orr_storage_appended(r, &entry->record, size);
    orr_storage_queued(r->rt, size);
    return ORR_OK;
}

/* A long value goes to the table of blobs, under the hash of its text; the payload names it. */
static orr_status append_blob(lua_State *L, orr_runbox *r, orr_entry *entry) {
    lua_pushcfunction(L, orr_core_sha256);
    lua_pushlstring(L, entry->payload, entry->payload_size);
    lua_call(L, 1, 1);
    size_t len;
    const char *hash = lua_tolstring(L, -1, &len);
    const orr_record *rec = &entry->record;
    bool is_item = rec->kind == ORR_REC_COMPLETED && rec->task.item != ORR_NONE;
    if (is_item) orr_item_output_kept(L, r, &rec->task, hash);
    orr_field row[] = {
        {.type = ORR_FIELD_TEXT, .bytes = hash, .size = len},
        {.type = ORR_FIELD_BLOB, .bytes = entry->payload, .size = entry->payload_size},
    };
    orr_status status = orr_store_put(orr_storage_any(r->rt), ORR_ROW_BLOB, row, 2);
    if (status != ORR_OK) return status;
    orr_storage_queued(r->rt, entry->payload_size);
    lua_pushfstring(L, "{\"$blob\":\"%s\",\"size\":%I}", hash, (LUAI_UACINT)entry->payload_size);
    entry->payload = lua_tolstring(L, -1, &entry->payload_size);
    entry->is_blob = true;
    status = append(r, entry);
    r->kept.item_apart = is_item && status == ORR_OK;
    r->kept.size = entry->payload_size > ORR_BLOB_SIZE ? entry->payload_size : ORR_BLOB_SIZE;
    return status;
}

/* Takes a value that was written as JSON before its record was made. */
static bool take_text(const noting *n, orr_payload *text) {
    switch (n->record->kind) {
    case ORR_REC_COMPLETED: return orr_storage_take_payload(n->r, &n->record->task, text);
    case ORR_REC_STEP:
    case ORR_REC_SIGNAL: *text = orr_storage_noted(n->r->rt)->payload; return true;
    default: return false;
    }
}

static bool of_large_item(const noting *n) {
    return n->r->kept.large_item && n->record->kind == ORR_REC_COMPLETED && n->record->task.item != ORR_NONE;
}

static bool take_large_item(const noting *n) {
    bool is = of_large_item(n);
    if (is) n->r->kept.large_item = false;
    return is;
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
        if (!lua_isnil(L, -1)) entry.payload = write_value(L, n->r->rt, "value", &entry.payload_size);
    }
    bool apart = entry.payload_size > ORR_BLOB_SIZE || take_large_item(n);
    orr_status status = apart && n->r->rt->durable ? append_blob(L, n->r, &entry) : append(n->r, &entry);
    if (status == ORR_ENOMEM)
        orr_push_error(L, n->r->script, "out_of_memory", "not enough memory for a record of its journal");
    else if (status != ORR_OK)
        orr_push_error(L, n->r->script, "journal_error", "the store does not take a record of its journal");
    return status == ORR_OK ? 0 : lua_error(L);
}

/* As `note`; where the record cannot be kept, the reason becomes the error of the run, if there is
 * memory for it. */
static int note_or_say(lua_State *L) {
    const noting *n = lua_touserdata(L, 1);
    lua_pushcfunction(L, note);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK) return 0;
    if (lua_type(L, -1) == LUA_TSTRING)
        orr_push_error(L, n->r->script, status == LUA_ERRMEM ? "out_of_memory" : "journal_error",
                       lua_tostring(L, -1));
    orr_run_set(L, n->r, RUN_ERROR);
    lua_pushnil(L);
    return lua_error(L);
}

static bool note_plainly(const noting *n) {
    orr_entry entry = {.record = *n->record};
    orr_payload kept;
    if (take_text(n, &kept)) {
        if (kept.size > ORR_BLOB_SIZE || of_large_item(n)) {
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

/* Calls Lua from a hook of the core: what runs in there, such as a finaliser, may not drop a
 * run. */
static bool guarded(orr_script *s, lua_CFunction fn, noting *n) {
    s->guarded++;
    int status = orr_protect(s, fn, n);
    s->guarded--;
    return status == LUA_OK;
}

static const unsigned settles = 1u << ORR_REC_COMPLETED | 1u << ORR_REC_FAILED | 1u << ORR_REC_SKIPPED |
                                1u << ORR_REC_CANCELLED;

static int release_outputs(lua_State *L) {
    const noting *n = lua_touserdata(L, 1);
    if (n->record->task.item == ORR_NONE) orr_outputs_settled(L, n->r, n->record);
    else orr_outputs_item_recorded(L, n->r, &n->record->task);
    return 0;
}

/* A journal with a gap is worth nothing. Where a record could not be kept, the journal ends before
 * it, the run does nothing more, and it is dropped at the end of the turn. */
static void end_journal(orr_rtbox *rt, orr_runbox *r) {
    r->incomplete = true;
    r->ticket = ORR_NEVER;
    rt->n_incomplete++;
}

/* A test lets the process die before this record. A child is created with the record of its
 * parent's call: where that was the last one, the first of the child is kept all the same. */
static bool is_cut(orr_rtbox *rt, const orr_record *record) {
    if (rt->records_left == UINT64_MAX) return false;
    if (rt->records_left == 0) return record->kind != ORR_REC_RUN_CREATED;
    rt->records_left--;
    return false;
}

static void on_record(void *rtbox, orr_run *run, const orr_record *record) {
    orr_rtbox *rt = rtbox;
    noting n = {orr_run_ud(run), run, record};
    if (!n.r->journal || n.r->incomplete) return;
    if (is_cut(rt, record)) {
        end_journal(rt, n.r);
        return;
    }
    n.r->kept.item_apart = false;
    if (note_plainly(&n) || guarded(rt->base.script, note_or_say, &n)) {
        bool settled = (settles >> record->kind & 1) != 0 && record->task.item == ORR_NONE;
        if ((settled || n.r->kept.item_apart) && n.r->kept.n)
            guarded(rt->base.script, release_outputs, &n); /* without memory the output stays where it is */
        return;
    }
    end_journal(rt, n.r);
}

bool orr_journal_takes(lua_State *L, const orr_runbox *r, const char *what) {
    if (!r->journal || !lua_istable(L, -1)) return true;
    if (!orr_json_encode(L, -1,
                         &(orr_json_writing){.root = what,
                                             .binary = true,
                                             .spools = orr_storage_rows(r->rt),
                                             .lists = true}))
        return false;
    lua_pop(L, 1);
    return true;
}

bool orr_journal_take_output(lua_State *L, orr_script *s, orr_runbox *r, const orr_task *task) {
    size_t limit = r->rt->output_limit, size;
    bool too_large = false;
    orr_json_writing how = {.root = "output",
                            .binary = true,
                            .limit = limit,
                            .too_large = &too_large,
                            .spools = orr_storage_rows(r->rt),
                            .lists = true};
    if (lua_isnil(L, -1))
        return orr_storage_keep_payload(r, task, "", 0) || luaL_error(L, "not enough memory");
    if (!orr_json_encode(L, -1, &how)) {
        orr_push_error(L, s, too_large ? "output_too_large" : "invalid_output", lua_tostring(L, -1));
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "retryable");
        return false;
    }
    const char *text = lua_tolstring(L, -1, &size);
    bool ok = orr_storage_keep_payload(r, task, text, size);
    lua_pop(L, 1);
    return ok || luaL_error(L, "not enough memory");
}

/* ---- beginning and ending -------------------------------------------------------------------- */

static const char *text_field(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key); /* stays: the text lives as long */
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

static orr_field text_value(lua_State *L, int idx, const char *key) {
    size_t size = 0;
    lua_getfield(L, idx, key);
    const char *text = lua_tolstring(L, -1, &size);
    return (orr_field){.type = text ? ORR_FIELD_TEXT : ORR_FIELD_NULL, .bytes = text, .size = size};
}

/* The bundle {hash, workflow, definition, sources, arguments, engine, modules = {{name, path,
 * source}, …}} at the top. */
static void put_bundle(lua_State *L, orr_rtbox *rt) {
    orr_store *store = orr_storage_any(rt);
    int at = lua_gettop(L);
    orr_field row[] = {text_value(L, at, "hash"),
                       text_value(L, at, "workflow"),
                       text_value(L, at, "definition"),
                       text_value(L, at, "sources"),
                       text_value(L, at, "arguments"),
                       text_value(L, at, "engine"),
                       {.type = ORR_FIELD_REAL, .real = (double)orr_engine_now(rt->base.engine) / 1e9}};
    if (orr_store_put(store, ORR_ROW_BUNDLE, row, sizeof row / sizeof *row) != ORR_OK)
        luaL_error(L, "not enough memory for the bundle");
    lua_settop(L, at);
}

static const char *json_field(lua_State *L, const orr_runbox *r, int value) {
    orr_run_push(L, r, value);
    if (lua_isnil(L, -1)) return NULL;
    if (!orr_json_encode(
            L, -1, &(orr_json_writing){.root = value == RUN_LABELS ? "labels" : "context", .binary = true}))
        lua_error(L);
    return lua_tostring(L, -1);
}

/* The seed and everything else that makes the run again, as the first record keeps it. */
static void keep_options(lua_State *L, const orr_runbox *r, int opts, const orr_run_options *o) {
    static const char *const copied[] = {"key",         "only",        "from",  "env",
                                         "bundle_hash", "forked_from", "folder"};
    lua_createtable(L, 0, 11);
    if (r->lock) {
        orr_set_text(L, "lock", r->lock->value);
        orr_set_text(L, "on_conflict", orr_run_lock_mode(r));
    }
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
    set_field(L, r, "trigger", RUN_TRIGGER);
    size_t size;
    write_value(L, r->rt, "run", &size);
    lua_remove(L, -2);
    orr_run_set(L, r, RUN_OPTIONS);
}

void orr_journal_resume(orr_rtbox *rt, orr_runbox *r, orr_journal *journal) {
    r->has_kept = true;
    r->journal = journal;
    r->journaled = true;
    orr_core_record(orr_engine_core(rt->base.engine), on_record);
    orr_storage_use(rt, 1);
}

void orr_journal_begin(lua_State *L, const orr_beginning *b) {
    orr_rtbox *rt = b->rt;
    orr_runbox *r = b->run;
    const orr_run_options *o = b->o;
    const int opts = b->opts;
    int top = lua_gettop(L);
    r->has_kept = true;
    if (!rt->storage) orr_storage_open(L, rt, NULL, ORR_DURABLE_STRICT);
    orr_rt_list(L, &rt->base);
    orr_new_run row = {.workflow = r->plan->plan->name,
                       .parent = b->parent,
                       .durability = (orr_durability)r->durability,
                       .created = orr_core_now(orr_engine_core(rt->base.engine))};
    memcpy(row.id, o->id, sizeof row.id);
    if (lua_getfield(L, opts, "bundle") == LUA_TTABLE) {
        put_bundle(L, rt);
        row.bundle = text_field(L, -1, "hash");
    }
    row.key = text_field(L, opts, "key");
    lua_getfield(L, opts, "id");
    if (r->lock) {
        row.lock = r->lock->value;
        row.lock_refuses = orr_run_lock_refuses(r);
    }
    r->claims = row.key != NULL || r->lock != NULL || (!lua_isnil(L, -1) && !b->parent);
    row.labels = json_field(L, r, RUN_LABELS);
    row.context = json_field(L, r, RUN_CONTEXT);
    keep_options(L, r, opts, o);
    if (!orr_outputs_begin(L, r)) luaL_error(L, "not enough memory for the run");
    orr_journal *journal = orr_store_create(orr_storage_any(rt), &row);
    if (!journal) luaL_error(L, "not enough memory for a journal");
    orr_journal_resume(rt, r, journal);
    lua_settop(L, top);
}

/* A journal in memory can be read until its run is collected; of a run that was given up nobody can
 * read it. */
void orr_journal_over(orr_runbox *r) {
    if (r->journal && !r->rt->durable && r->dropped) orr_journal_drop(r);
    if (!r->journal || !r->rt->durable) return;
    orr_publish_workers(r->rt, true);
    orr_store_release(r->journal, true);
    r->journal = NULL;
    orr_storage_use(r->rt, -1);
}

void orr_journal_drop(orr_runbox *r) {
    r->has_kept = false;
    orr_outputs_end(r);
    if (!r->journal) return;
    bool in_memory = !r->rt->durable;
    orr_store_release(r->journal, true);
    r->journal = NULL;
    orr_storage_use(r->rt, -1);
    if (in_memory && r->run) orr_store_drop(orr_storage_any(r->rt), orr_run_id_of(r->run));
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct listing {
    lua_State *L;
    const orr_planbox *plan;
    int names; /* stack index of those of its nodes */
    lua_Integer n;
    const void *bytes;
    size_t size;
    bool failed;
} listing;

/* The record is at the top, the names of nodes are at that index. */
static void set_task(lua_State *L, int names, const orr_record *rec) {
    if (rec->task.node == ORR_NONE) return;
    lua_rawgeti(L, names, (lua_Integer)rec->task.node + 1);
    lua_setfield(L, -2, "node");
    if (rec->task.item != ORR_NONE) orr_set_integer(L, "item", (lua_Integer)rec->task.item + 1);
    if (rec->task.iteration > 0) orr_set_integer(L, "iteration", (lua_Integer)rec->task.iteration + 1);
    if (rec->task.attempt > 0) orr_set_integer(L, "attempt", rec->task.attempt);
}

/* (listing, records, names): appends one. */
static int push_record(lua_State *L) {
    listing *l = lua_touserdata(L, 1);
    orr_entry e;
    orr_error error;
    if (orr_entry_decode(l->bytes, l->size, &e, &error) != ORR_OK)
        return luaL_error(L, "a record cannot be read");
    lua_createtable(L, 0, 8);
    orr_set_integer(L, "seq", (lua_Integer)e.record.seq);
    orr_set_text(L, "kind", orr_record_name(e.record.kind));
    lua_pushnumber(L, (lua_Number)e.record.time / 1e9);
    lua_setfield(L, -2, "time");
    set_task(L, 3, &e.record);
    if (e.record.due > 0) {
        lua_pushnumber(L, (lua_Number)e.record.due / 1e9);
        lua_setfield(L, -2, "due");
    }
    if (e.record.kind == ORR_REC_EXPANDED) orr_set_integer(L, "items", e.record.count);
    if (e.record.kind == ORR_REC_ATTEMPT_FAILED && e.record.count > 0)
        orr_set_integer(L, "policy", e.record.count);
    if (e.record.port != ORR_PORT_ANY) orr_set_text(L, "outcome", l->plan->plan->ports[e.record.port]);
    if (e.record.kind == ORR_REC_RUN_ENDED)
        orr_set_text(L, "state", orr_run_state_name((orr_run_state)e.record.reason));
    if (e.record.error) {
        lua_createtable(L, 0, 2);
        orr_set_text(L, "code", error.code);
        orr_set_text(L, "message", error.message);
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
    lua_pushvalue(l->L, l->names);
    l->failed = lua_pcall(l->L, 3, 0, 0) != LUA_OK;
    return !l->failed;
}

orr_status orr_journal_push(lua_State *L, orr_store *store, const uint8_t id[16], int plan,
                            orr_reason *reason) {
    plan = lua_absindex(L, plan);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_getiuservalue(L, plan, PLAN_NAMES);
    listing l = {.L = L, .plan = orr_check_plan(L, plan), .names = lua_gettop(L)};
    lua_newtable(L);
    orr_status status = orr_store_read(store, id, 0, visit, &l, reason);
    if (l.failed) lua_error(L);
    lua_remove(L, l.names);
    return status;
}

/* run:journal() -> {{seq=, kind=, time=, node=, item=, iteration=, attempt=, due=, items=,
 * outcome=, state=, error=, value=}, …} */
int orr_run_journal(lua_State *L) {
    orr_runbox *r = orr_check_run(L, 1);
    orr_reason reason;
    if (!r->journaled) return luaL_error(L, "this run keeps no journal; start it with { journal = true }");
    if (!r->run || !r->rt->storage)
        return luaL_error(
            L, "the journal of this run cannot be read here: its runtime is closed, or the run was dropped");
    if (r->incomplete)
        return luaL_error(
            L, "the journal of this run is incomplete: memory ran out when a record was to be kept");
    orr_storage_wait(r->rt, orr_store_ticket(orr_storage_any(r->rt)));
    orr_run_push(L, r, RUN_PLAN);
    orr_status status = orr_journal_push(L, orr_storage_any(r->rt), orr_run_id_of(r->run), -1, &reason);
    if (status == ORR_EIO) return luaL_error(L, "the journal of this run cannot be read: %s", reason.text);
    return 1;
}
