/* restore.c - a run from its journal: its state is folded by the core, its values are read back,
 * and it goes on. */
#include "durable/inner.h"
#include "lua/lazy.h"
#include <string.h>

typedef struct restoring {
    orr_rtbox *rt;
    orr_runbox *r;        /* NULL before it is made */
    orr_journal *journal; /* NULL once the run has it */
    uint8_t id[16];
    int mode; /* of `modes` */
    bool force, child, orphan, items;
    const void *bytes; /* the record at hand */
    size_t size;
    unsigned char *slice; /* records as they were read */
    size_t room, used;
    uint64_t last; /* that was read */
    bool no_memory, is_empty;
} restoring;

/* ---- one record ------------------------------------------------------------------------------ */

static lua_Integer integer_field(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key);
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

static void take_field(lua_State *L, const orr_runbox *r, int idx, const char *key, int value) {
    lua_getfield(L, idx, key);
    orr_run_set(L, r, value);
}

/* The first record says what the run was started with; it is at the top. */
static void make_run(lua_State *L, restoring *x) {
    orr_runbox *r = x->r;
    int made = lua_gettop(L);
    if (!lua_istable(L, made)) luaL_error(L, "its first record says nothing of how it was started");
    orr_run_options o = {.ud = r,
                         .seed = (uint64_t)integer_field(L, made, "seed"),
                         .concurrency = (uint32_t)integer_field(L, made, "concurrency")};
    memcpy(o.id, x->id, sizeof o.id);
    lua_Integer durability = integer_field(L, made, "durability");
    if (durability < ORR_DURABLE_STRICT || durability > ORR_DURABLE_NONE)
        luaL_error(L, "its first record is damaged");
    r->durability = (uint8_t)durability;
    take_field(L, r, made, "input", RUN_INPUT);
    take_field(L, r, made, "context", RUN_CONTEXT);
    take_field(L, r, made, "labels", RUN_LABELS);
    take_field(L, r, made, "trigger", RUN_TRIGGER);
    orr_run_lock_read(L, r, made);
    r->run = orr_run_rebuild(orr_engine_core(x->rt->base.engine), r->plan->plan, &o);
    if (!r->run) luaL_error(L, "not enough memory for the run");
}

/* outputs[node + 1] = value at the top, or of an item; popped. */
static void keep_output(lua_State *L, const orr_runbox *r, const orr_task *task) {
    orr_run_push_table(L, r, RUN_OUTPUTS, 0);
    lua_insert(L, -2);
    if (task->item == ORR_NONE) {
        lua_rawseti(L, -2, (lua_Integer)task->node + 1);
    } else if (lua_rawgeti(L, -2, (lua_Integer)task->node + 1) == LUA_TTABLE) {
        lua_insert(L, -2);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            orr_json_push_null(L);
        }
        orr_item_output_set(L, task->item);
        lua_pop(L, 1);
    } else {
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

static void raise_unfit(lua_State *L, const orr_record *rec) {
    luaL_error(L, "record %I (%s) does not fit the workflow: the journal is another definition's, or damaged",
               (LUAI_UACINT)rec->seq, orr_record_name(rec->kind));
}

/* What the record of an expansion holds is at the top: the list, or an object of the list and the
 * names of its items. The list takes its place. */
static void take_expansion(lua_State *L, const orr_runbox *r, orr_record *rec) {
    int at = lua_gettop(L);
    if (lua_istable(L, at) && lua_getfield(L, at, "items") == LUA_TTABLE) {
        if (lua_getfield(L, at, "names") != LUA_TTABLE || lua_rawlen(L, -1) != rec->count)
            raise_unfit(L, rec);
        orr_item_names_keep(L, r, rec->task.node);
        lua_replace(L, at);
    }
    lua_settop(L, at);
    if (!lua_istable(L, at) || orr_list_len(L, at) != rec->count) raise_unfit(L, rec);
}

/* The list at the top is that of the node; an array of as many empty results is made. Popped. */
static void keep_list(lua_State *L, const orr_runbox *r, const orr_task *task, uint32_t n) {
    orr_run_push_table(L, r, RUN_LISTS, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)task->node + 1);
    lua_createtable(L, (int)n, 0); /* no longer than the list, which is in memory */
    for (uint32_t i = 1; i <= n; i++) {
        orr_json_push_null(L);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    orr_json_mark_array(L, -1);
    keep_output(L, r, task);
    lua_pop(L, 1);
}

static void copy_field(lua_State *L, int from, const char *key) {
    lua_getfield(L, from, key);
    lua_setfield(L, -2, key);
}

/* Code and message stand in the payload only where the record could not hold all of them. */
static void copy_whole(lua_State *L, int from, const char *key) {
    if (lua_getfield(L, from, key) == LUA_TSTRING) lua_setfield(L, -2, key);
    else lua_pop(L, 1);
}

/* An error as handlers and people see it; what the record's payload says of it is at the top and
 * is popped. */
static void keep_error(lua_State *L, const orr_runbox *r, orr_record *rec, orr_error *error) {
    int payload = lua_gettop(L);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, error->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, error->message);
    lua_setfield(L, -2, "message");
    orr_push_node_name(L, r, rec->task.node);
    lua_setfield(L, -2, "node");
    if (lua_istable(L, payload)) {
        copy_whole(L, payload, "code");
        copy_whole(L, payload, "message");
        copy_field(L, payload, "details");
        copy_field(L, payload, "traceback");
        copy_field(L, payload, "retryable");
        copy_field(L, payload, "retry_after");
    }
    orr_push_anchor(L, r->script->error_mt);
    lua_setmetatable(L, -2);
    error->value = orr_error_handle(&rec->task, rec->kind == ORR_REC_COMPENSATION_FAILED ||
                                                    rec->phase == ORR_PHASE_COMPENSATE);
    orr_run_push_table(L, r, RUN_ERRORS, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)error->value);
    lua_settop(L, payload - 1);
}

/* How a run ended, at the top; popped. */
static void keep_end(lua_State *L, orr_runbox *r) {
    int end = lua_gettop(L);
    r->output_known = true;
    if (!lua_istable(L, end)) {
        lua_pop(L, 1);
        return;
    }
    take_field(L, r, end, "output", RUN_OUTPUT);
    r->output_failed = lua_getfield(L, end, "error") == LUA_TTABLE;
    if (r->output_failed) orr_run_set(L, r, RUN_ERROR);
    else lua_pop(L, 1);
    lua_pop(L, 1);
}

/* A run that is retried has not ended yet. */
static void forget_end(lua_State *L, orr_runbox *r) {
    r->output_known = r->output_failed = false;
    lua_pushnil(L);
    orr_run_set(L, r, RUN_OUTPUT);
    lua_pushnil(L);
    orr_run_set(L, r, RUN_ERROR);
}

static void keep_value(lua_State *L, orr_runbox *r, orr_record *rec, orr_error *error) {
    switch (rec->kind) {
    case ORR_REC_RETRIED:
        lua_pop(L, 1);
        forget_end(L, r);
        r->retried = rec->time;
        break;
    case ORR_REC_COMPLETED:
        if (rec->reason == ORR_SOURCE_CACHE) orr_cache_note(L, r, &rec->task, NULL);
        keep_output(L, r, &rec->task);
        break;
    case ORR_REC_ITERATED: keep_output(L, r, &rec->task); break;
    case ORR_REC_EXPANDED:
        take_expansion(L, r, rec);
        keep_list(L, r, &rec->task, rec->count);
        break;
    case ORR_REC_STEP:
    case ORR_REC_SIGNAL: orr_steps_restore(L, r, rec); break;
    case ORR_REC_COMPENSATED: orr_keep_compensation(L, r, &rec->task); break;
    case ORR_REC_RUN_ENDED: keep_end(L, r); break;
    default:
        if (rec->error && rec->task.node != ORR_NONE) keep_error(L, r, rec, error);
        else lua_pop(L, 1);
        break;
    }
}

static bool settles(const orr_record *rec) {
    return rec->task.item == ORR_NONE && (rec->kind == ORR_REC_COMPLETED || rec->kind == ORR_REC_FAILED ||
                                          rec->kind == ORR_REC_SKIPPED || rec->kind == ORR_REC_CANCELLED);
}

/* Most of a long journal are steps, whose values few handlers ask for at once. */
static bool take_step(lua_State *L, const restoring *x, const orr_entry *e) {
    return e->record.kind == ORR_REC_STEP && !e->is_blob && x->r->run &&
           e->record.task.node < x->r->plan->plan->n_nodes &&
           orr_steps_restore_text(L, x->r, &e->record, e->payload, e->payload_size);
}

/* What the record holds is at the top, and is popped. */
static void keep_payload(lua_State *L, restoring *x, orr_entry *e, orr_error *error) {
    if (e->record.task.node != ORR_NONE && e->record.task.node >= x->r->plan->plan->n_nodes)
        raise_unfit(L, &e->record);
    if (!x->r->run) make_run(L, x);
    else keep_value(L, x->r, &e->record, error);
}

/* The output of an item that is a large value of the store is read when it is used. */
static void keep_apart(lua_State *L, restoring *x, const orr_entry *e) {
    const orr_task *task = &e->record.task;
    orr_push_payload(L, x->rt, e->payload, e->payload_size, false);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, "$blob") != LUA_TSTRING) raise_unfit(L, &e->record);
    orr_item_output_kept(L, x->r, task, lua_tostring(L, -1));
    orr_item_output_leave(L, x->r, task->node, task->item);
}

static void take_record(lua_State *L, restoring *x) {
    orr_entry e;
    orr_error error;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (orr_entry_decode(x->bytes, x->size, &e, &error) != ORR_OK)
        luaL_error(L, "a record cannot be read: it is damaged, or "
                      "a newer version of orrery wrote it");
    bool apart = e.is_blob && e.record.kind == ORR_REC_COMPLETED && e.record.task.item != ORR_NONE &&
                 x->r->run;
    if (!take_step(L, x, &e)) {
        if (apart) lua_pushnil(L);
        else orr_push_payload(L, x->rt, e.payload, e.payload_size, e.is_blob);
        keep_payload(L, x, &e, &error);
    }
    if (apart) keep_apart(L, x, &e);
    orr_status status = orr_run_fold(x->r->run, &e.record);
    if (status == ORR_ENOMEM) luaL_error(L, "not enough memory");
    if (status != ORR_OK) raise_unfit(L, &e.record);
    if (e.record.kind == ORR_REC_COMPLETED) orr_steps_forget(L, x->r, &e.record.task);
    if (e.record.kind == ORR_REC_RETRIED) orr_outputs_set_back(L, x->r);
    x->r->kept.size = e.is_blob ? ORR_BLOB_SIZE : e.payload_size;
    if (settles(&e.record)) orr_outputs_settled(L, x->r, &e.record);
}

/* ---- the whole journal ----------------------------------------------------------------------- */

#define SLICE ((size_t)256 << 10) /* bytes of records, or one that is longer, that are in memory at a time */

/* Records are copied before they are taken: a value may have to be read from the store, which a
 * visitor must not use. */
static bool gather(void *ud, uint64_t seq, const void *bytes, size_t size) {
    restoring *x = ud;
    size_t needed = x->used + sizeof size + size;
    if (x->used > 0 && needed > SLICE) return false;
    if (needed > x->room) {
        size_t room = needed > SLICE ? needed : SLICE;
        unsigned char *slice = orr_mem_resize(&x->rt->base.script->alloc, x->slice, x->room, room, 1);
        x->no_memory = slice == NULL;
        if (!slice) return false;
        x->slice = slice;
        x->room = room;
    }
    memcpy(x->slice + x->used, &size, sizeof size);
    if (size > 0) memcpy(x->slice + x->used + sizeof size, bytes, size);
    x->used = needed;
    x->last = seq;
    return true;
}

static void take_slice(lua_State *L, restoring *x) {
    int top = lua_gettop(L);
    for (size_t at = 0; at < x->used; at += sizeof x->size + x->size) {
        memcpy(&x->size, x->slice + at, sizeof x->size);
        x->bytes = x->slice + at + sizeof x->size;
        take_record(L, x);
        lua_settop(L, top);
    }
}

static void fold_all(lua_State *L, restoring *x) {
    do {
        x->used = 0;
        orr_reason reason;
        orr_status status = orr_store_read(orr_storage_any(x->rt), x->id, x->last, gather, x, &reason);
        if (x->no_memory) luaL_error(L, "not enough memory");
        if (status != ORR_OK)
            luaL_error(L, "its journal cannot be read: %s",
                       *reason.text ? reason.text : orr_strerror(status));
        x->is_empty = x->last == 0;
        if (x->is_empty) luaL_error(L, "its journal is empty: restore a backup of the store");
        take_slice(L, x);
    } while (x->used > 0);
}

/* (restoring, runtime, plan, options) -> run, live */
static int rebuild(lua_State *L) {
    restoring *x = lua_touserdata(L, 1);
    orr_rt_list(L, &x->rt->base);
    orr_runbox *r = x->r = orr_run_box(L, x->rt, 2, 3, 4);
    int box = lua_gettop(L);
    r->forced = x->force;
    r->read_back = true;
    orr_uuid_format(r->id, x->id);
    if (!orr_outputs_begin(L, r)) return luaL_error(L, "not enough memory for the run");
    fold_all(L, x);
    lua_settop(L, box);
    orr_run_live(L, r, 3, x->id);
    orr_journal_resume(x->rt, r, x->journal);
    x->journal = NULL;
    return 1;
}

/* The run could not be restored: gives it back, so that no process has it. */
static void give_back(restoring *x) {
    if (x->journal) orr_store_release(x->journal, true);
    if (!x->r) return;
    orr_outputs_end(x->r);
    if (x->r->run) orr_run_free(x->r->run);
    x->r->run = NULL;
}

static bool is_there(void *ud, const orr_field *values, size_t n) {
    (void)values, (void)n;
    *(bool *)ud = true;
    return false;
}

/* The process that made the run had no memory for its first record, and reported that: nothing was
 * begun, and nothing can go on. Its row is removed, so that its id and key are free again. Where
 * the tables know of records, the journal was lost instead. */
static bool remove_unbegun(const restoring *x) {
    char id[40];
    orr_reason reason = {""};
    bool unbegun = false;
    orr_store *store = orr_storage_any(x->rt);
    orr_uuid_format(id, x->id);
    orr_field key = orr_field_text(id);
    orr_store_reader reader = {.row = is_there, .ud = &unbegun};
    return x->is_empty && orr_store_query(store, ORR_QUERY_RUN_UNBEGUN, &key, &reader, &reason) == ORR_OK &&
           unbegun && orr_store_drop(store, x->id) == ORR_OK;
}

static const char *const modes[] = {"recover", "retry", NULL};

static void read_options(lua_State *L, restoring *x, int opts) {
    lua_getfield(L, opts, "mode");
    x->mode = lua_isnil(L, -1) ? 0 : luaL_checkoption(L, -1, NULL, modes);
    lua_getfield(L, opts, "force");
    x->force = lua_toboolean(L, -1);
    lua_getfield(L, opts, "child");
    x->child = lua_toboolean(L, -1);
    lua_getfield(L, opts, "orphan");
    x->orphan = lua_toboolean(L, -1);
    lua_getfield(L, opts, "items");
    x->items = lua_toboolean(L, -1);
    lua_pop(L, 5);
}

/* Why there is nothing in a run that has ended to be run again. */
static const char *why_not_again(const restoring *x) {
    const orr_run *run = x->r->run;
    if (orr_run_get_state(run) != ORR_RUN_COMPLETED)
        return "only a run that failed or was cancelled can be retried";
    if (x->items) return "no item of it failed, so there is nothing to run again";
    for (uint32_t i = 0; i < x->r->plan->plan->n_nodes; i++)
        if (orr_run_items_failed(run, i) > 0)
            return "only a run that failed or was cancelled can be retried; --items (in Lua items = true) "
                   "runs "
                   "its items again that failed";
    return "only a run that failed or was cancelled can be retried";
}

/* Drops the run at the top, which is live, and raises why it cannot go on. */
static void refuse(lua_State *L, const restoring *x, orr_status status) {
    orr_runbox *r = x->r;
    const char *why = status == ORR_ENOMEM ? "not enough memory"
                      : !orr_run_ended(orr_run_get_state(r->run))
                          ? "it has not ended, so it is resumed and not retried: orrery resume"
                      : x->mode == 1 ? why_not_again(x)
                                     : "it has ended already";
    bool ended = orr_run_ended(orr_run_get_state(r->run));
    lua_pushfstring(L, "run %s is %s: %s", r->id, orr_run_state_text(r), why);
    orr_push_error(L, r->script,
                   status == ORR_ENOMEM ? "out_of_memory"
                   : ended              ? "run_ended"
                                        : "run_not_ended",
                   lua_tostring(L, -1));
    lua_pushvalue(L, -1);
    orr_run_drop(L, r);
    lua_error(L);
}

static int check_lock(lua_State *L) {
    orr_locks_check(L, lua_touserdata(L, 1));
    return 0;
}

/* Drops the run, and raises, where its lock is another's and it does not wait. */
static void ask_again(lua_State *L, orr_runbox *r) {
    lua_pushcfunction(L, check_lock);
    lua_pushlightuserdata(L, r);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
    lua_pushvalue(L, -1);
    orr_run_drop(L, r);
    lua_error(L);
}

static orr_status go_on(lua_State *L, const restoring *x) {
    orr_runbox *r = x->r;
    if (x->mode == 0) return orr_run_recover(r->run, x->force);
    if (r->lock) ask_again(L, r);
    if (orr_run_ended(orr_run_get_state(r->run))) forget_end(L, r); /* first: it may end again at once */
    orr_status status = orr_run_retry(r->run, x->items, r->lock != NULL);
    if (status == ORR_OK && r->lock) orr_locks_enter(r);
    if (status == ORR_OK) {
        orr_outputs_set_back(L, r);
        r->retried = orr_run_time_now(r);
    }
    return status;
}

static void raise_unbegun(lua_State *L, const restoring *x) {
    char id[40];
    orr_uuid_format(id, x->id);
    lua_pushfstring(L,
                    "run %s never began: there was no memory for its first record; it was removed from the "
                    "store, start it again",
                    id);
    orr_push_error(L, x->rt->base.script, "run_not_begun", lua_tostring(L, -1));
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    lua_error(L);
}

/* Pushes the run. Where that fails the journal is released again. NULL, and nothing is pushed, for
 * a run that never began. */
static orr_runbox *restore(lua_State *L, int rt_idx, int plan, int opts, restoring *x) {
    lua_pushcfunction(L, rebuild);
    lua_pushlightuserdata(L, x);
    lua_pushvalue(L, rt_idx);
    lua_pushvalue(L, plan);
    lua_pushvalue(L, opts);
    int status = lua_pcall(L, 4, 1, 0);
    orr_mem_free(&x->rt->base.script->alloc, x->slice, x->room, 1);
    if (status != LUA_OK) {
        char id[40];
        orr_uuid_format(id, x->id);
        give_back(x);
        if (!x->rt->durable) orr_store_drop(orr_storage_any(x->rt), x->id); /* of a save, and of no use */
        if (remove_unbegun(x)) {
            lua_pop(L, 1);
            return NULL;
        }
        if (!x->rt->durable && orr_is_memory_error(L, -1)) lua_error(L);
        lua_pushfstring(L, "run %s cannot go on: %s", id, luaL_tolstring(L, -1, NULL));
        lua_error(L);
    }
    orr_runbox *r = x->r;
    if (x->child && orr_run_ended(orr_run_get_state(r->run))) { /* its parent does not know its result yet */
        orr_run_over(x->rt->base.script, r);
        return r;
    }
    orr_engine_tick(x->rt->base.engine); /* the last step may be long ago, and the run goes on now */
    orr_status went = go_on(L, x);
    if (went != ORR_OK) refuse(L, x, went);
    orr_outputs_read_back(L, r);
    orr_run_lock_wait(r);
    orr_inbox_take_left(x->rt->base.script, r);
    if (x->orphan) orr_run_cancel_once(r->run);
    orr_orphans_take(L, r);
    return r;
}

orr_runbox *orr_restore_journal(lua_State *L, const orr_restored *how, const uint8_t id[16]) {
    restoring x = {.rt = how->rt, .journal = how->journal};
    memcpy(x.id, id, sizeof x.id);
    return restore(L, how->rt_idx, how->plan, how->opts, &x);
}

static void join_parent(lua_State *L, orr_runbox *r, int opts) {
    if (lua_getfield(L, opts, "orphan_of") != LUA_TNIL) orr_orphan_join(r, orr_check_run(L, -1));
    lua_pop(L, 1);
}

/* rt:restore(plan, id, {force=, mode=, items=, env=, orphan=, orphan_of=}) -> run. Takes over a run
 * whose owner is gone and lets it go on with this plan; `mode` "retry" sets one that has ended back
 * first, with `items` also what completed though items of it failed. An orphan is cancelled if it
 * was not yet, and the run `orphan_of` does not end before it. Raises a structured error:
 * run_not_found, run_not_begun, run_owned, run_ended, store_error. */
int orr_rt_restore(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    restoring x = {.rt = rt};
    orr_reason reason;
    orr_status status;
    orr_check_plan(L, 2);
    if (!orr_uuid_parse(luaL_checkstring(L, 3), x.id))
        return luaL_argerror(L, 3, "the whole id of a run is expected");
    lua_settop(L, 4);
    if (lua_isnil(L, 4)) {
        lua_newtable(L);
        lua_replace(L, 4);
    }
    luaL_checktype(L, 4, LUA_TTABLE);
    if (!rt->durable)
        return luaL_error(L, "this runtime has no store; open it with flow.runtime { store = … }");
    read_options(L, &x, 4);
    x.journal = orr_store_claim(orr_storage_any(rt), x.id, x.force, &status, &reason);
    if (!x.journal) {
        const char *code = status == ORR_ENOTFOUND ? "run_not_found"
                           : status == ORR_ESTATE  ? "run_owned"
                                                   : "store_error";
        if (status == ORR_ENOMEM) return luaL_error(L, "not enough memory for a journal");
        orr_push_error(L, rt->base.script, code, reason.text);
        return lua_error(L);
    }
    orr_runbox *r = restore(L, 1, 2, 4, &x);
    if (!r) raise_unbegun(L, &x);
    else join_parent(L, r, 4);
    return 1;
}

orr_runbox *orr_run_restore_child(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts) {
    restoring x = {.rt = rt};
    orr_reason reason;
    orr_status status;
    read_options(L, &x, opts);
    lua_getfield(L, opts, "id");
    if (!orr_uuid_parse(luaL_checkstring(L, -1), x.id)) luaL_error(L, "the id of a child run is not whole");
    lua_pop(L, 1);
    /* it may have been resumed before its parent called it again */
    for (orr_runbox *r = rt->runs; r; r = r->next) {
        if (!r->run || memcmp(orr_run_id_of(r->run), x.id, sizeof x.id) != 0) continue;
        orr_push_box(L, rt->base.script, r);
        if (!lua_isnil(L, -1)) return r;
        lua_pop(L, 1); /* Lua is about to collect it: it has ended, and is read again */
    }
    x.journal = orr_store_claim(orr_storage_any(rt), x.id, false, &status, &reason);
    orr_runbox *r = x.journal ? restore(L, rt_idx, plan, opts, &x) : NULL;
    if (r) return r;
    if (!x.journal && status == ORR_ESTATE) return NULL;
    if (!x.journal && status != ORR_ENOTFOUND) luaL_error(L, "%s", reason.text);
    return orr_run_start(L, rt, rt_idx, plan, opts); /* the crash came before its first record */
}
