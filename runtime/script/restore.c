/* restore.c - a run from its journal: its state is folded by the core, its values are read back, and it goes on. */
#include "../store/journal.h"
#include "../store/store.h"
#include "json.h"
#include "state.h"
#include <lauxlib.h>
#include <string.h>

typedef struct restoring {
    lua_State *L;
    orr_rtbox *rt;
    orr_runbox *r;
    int plan, options; /* stack indices of the plan and of the table that the run's options are read into */
    uint8_t id[16];
    bool failed;
    const void *bytes;
    size_t size;
} restoring;

/* ---- one record ------------------------------------------------------------------------------------------------------- */

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
    orr_run_options o = {.ud = r, .seed = (uint64_t)integer_field(L, made, "seed"),
                         .concurrency = (uint32_t)integer_field(L, made, "concurrency")};
    memcpy(o.id, x->id, sizeof o.id);
    r->durability = (uint8_t)integer_field(L, made, "durability");
    take_field(L, r, made, "input", RUN_INPUT);
    take_field(L, r, made, "context", RUN_CONTEXT);
    take_field(L, r, made, "labels", RUN_LABELS);
    r->run = orr_run_rebuild(orr_engine_core(x->rt->runtime), r->plan->plan, &o);
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
        lua_rawseti(L, -2, (lua_Integer)task->item + 1);
        lua_pop(L, 1);
    } else {
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

/* The list at the top is that of the node; an array of as many empty results is made. Popped. */
static void keep_list(lua_State *L, const orr_runbox *r, const orr_task *task, uint32_t n) {
    orr_run_push_table(L, r, RUN_LISTS, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)task->node + 1);
    lua_createtable(L, (int)n, 0);
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

/* An error as handlers and people see it; what the record's payload says of it is at the top and is popped. */
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
        copy_field(L, payload, "details");
        copy_field(L, payload, "traceback");
        copy_field(L, payload, "retryable");
        copy_field(L, payload, "retry_after");
    }
    orr_push_anchor(L, r->script->at.error_mt);
    lua_setmetatable(L, -2);
    error->value = orr_error_handle(&rec->task, rec->kind == ORR_REC_COMPENSATION_FAILED || rec->phase == ORR_PHASE_COMPENSATE);
    orr_run_push_table(L, r, RUN_ERRORS, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)error->value);
    lua_settop(L, payload - 1);
}

/* How a run ended, at the top; popped. */
static void keep_end(lua_State *L, orr_runbox *r) {
    int end = lua_gettop(L);
    r->judged = true;
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

static void keep_value(lua_State *L, orr_runbox *r, orr_record *rec, orr_error *error) {
    switch (rec->kind) {
    case ORR_REC_COMPLETED:
        if (rec->reason == ORR_SOURCE_CACHE) orr_cache_note(L, r, &rec->task, NULL);
        keep_output(L, r, &rec->task);
        break;
    case ORR_REC_ITERATED:
        keep_output(L, r, &rec->task);
        break;
    case ORR_REC_EXPANDED:
        keep_list(L, r, &rec->task, rec->count);
        break;
    case ORR_REC_STEP:
    case ORR_REC_SIGNAL:
        orr_step_restore(L, r, rec);
        break;
    case ORR_REC_COMPENSATED:
        orr_keep_compensation(L, r, &rec->task);
        break;
    case ORR_REC_RUN_ENDED:
        keep_end(L, r);
        break;
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

static int take_record(lua_State *L) {
    restoring *x = lua_touserdata(L, 1);
    orr_entry e;
    orr_error error;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (orr_entry_decode(x->bytes, x->size, &e, &error) != ORR_OK) return luaL_error(L, "a record cannot be read: it is damaged, or "
                                                                                     "a newer version of orrery wrote it");
    orr_push_payload(L, x->rt, e.payload, e.payload_size, e.is_blob);
    if (!x->r->run) make_run(L, x);
    else keep_value(L, x->r, &e.record, &error);
    orr_status status = orr_run_fold(x->r->run, &e.record);
    if (status == ORR_ENOMEM) return luaL_error(L, "not enough memory");
    if (status != ORR_OK)
        return luaL_error(L, "record %I (%s) does not fit the workflow: the journal is another definition's, or damaged",
                          (LUAI_UACINT)e.record.seq, orr_record_name(e.record.kind));
    if (e.record.kind == ORR_REC_COMPLETED) orr_step_forget(L, x->r, &e.record.task);
    x->r->kept.size = e.is_blob ? ORR_BLOB_SIZE : e.payload_size;
    if (settles(&e.record)) orr_outputs_settled(L, x->r, e.record.task.node, e.record.seq);
    return 0;
}

/* ---- the whole journal ------------------------------------------------------------------------------------------------ */

/* Records are copied before they are taken: a value may have to be read from the store, which a visitor must not use. */
typedef struct gathered {
    lua_State *L;
    luaL_Buffer *records;
    uint64_t n;
} gathered;

static bool gather(void *ud, uint64_t seq, const void *bytes, size_t size) {
    gathered *g = ud;
    (void)seq;
    luaL_addlstring(g->records, (const char *)&size, sizeof size);
    luaL_addlstring(g->records, bytes, size);
    g->n++;
    return true;
}

/* (restoring): raises what is wrong with it. */
static int fold_all(lua_State *L) {
    restoring *x = lua_touserdata(L, 1);
    luaL_Buffer records;
    gathered g = {L, &records, 0};
    luaL_buffinit(L, &records);
    orr_status status = orr_store_read(orr_storage_store(x->rt), x->id, 0, gather, &g);
    luaL_pushresult(&records);
    if (status != ORR_OK || g.n == 0) return luaL_error(L, "its journal cannot be read: %s", g.n ? orr_strerror(status) : "it is empty");
    size_t size;
    const char *at = lua_tolstring(L, -1, &size), *end = at + size;
    int top = lua_gettop(L);
    while (at < end) {
        memcpy(&x->size, at, sizeof x->size);
        x->bytes = at + sizeof x->size;
        at += sizeof x->size + x->size;
        lua_pushcfunction(L, take_record);
        lua_pushlightuserdata(L, x);
        lua_call(L, 1, 0);
        lua_settop(L, top);
    }
    return 0;
}

/* Gives the box up again, with the error at the top. */
static int give_up(lua_State *L, orr_runbox *r, orr_journal *journal) {
    orr_store_release(journal, false);
    orr_outputs_end(r);
    if (r->run) orr_run_free(r->run);
    r->run = NULL;
    lua_pushfstring(L, "run %s cannot go on: %s", r->id, luaL_tolstring(L, -1, NULL));
    return lua_error(L);
}

static const char *const modes[] = {"recover", "retry", NULL};

static orr_status go_on(orr_runbox *r, int mode, bool force) {
    return mode == 1 ? orr_run_retry(r->run) : orr_run_recover(r->run, force);
}

static orr_runbox *restore(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts, const uint8_t id[16],
                           orr_journal *journal) {
    lua_getfield(L, opts, "mode");
    int mode = lua_isnil(L, -1) ? 0 : luaL_checkoption(L, -1, NULL, modes);
    lua_getfield(L, opts, "force");
    bool force = lua_toboolean(L, -1);
    orr_runbox *r = orr_run_box(L, rt, rt_idx, plan, opts);
    int box = lua_gettop(L);
    restoring x = {.L = L, .rt = rt, .r = r, .plan = plan};
    memcpy(x.id, id, sizeof x.id);
    orr_format_uuid(r->id, id);
    if (!orr_outputs_begin(L, r)) luaL_error(L, "not enough memory for the run");
    lua_pushcfunction(L, fold_all);
    lua_pushlightuserdata(L, &x);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) give_up(L, r, journal);
    orr_journal_resume(rt, r, journal);
    lua_settop(L, box);
    orr_run_live(L, r, plan, id);
    lua_getfield(L, opts, "child");
    bool child = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (child && orr_run_ended(orr_run_get_state(r->run))) { /* its parent had not heard of it */
        orr_run_over(rt->script, r);
        return r;
    }
    orr_status status = go_on(r, mode, force);
    if (status == ORR_OK) return r;
    lua_pushfstring(L, "run %s is %s: %s", r->id, orr_run_state_text(r),
                    mode == 1 ? "only a run that failed or was cancelled can be retried" : "it has ended already");
    orr_run_drop(L, r);
    luaL_error(L, "%s", lua_tostring(L, -1));
    return r;
}

/* rt:restore(plan, id, {force=, mode=, env=}) -> run. Takes over a run whose owner is gone and lets it go on with this plan; `mode` "retry"
 * sets one that has ended back first. Raises a structured error: run_not_found, run_owned, store_error. */
int orr_rt_restore(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    uint8_t id[16];
    char message[512];
    orr_status status;
    orr_check_plan(L, 2);
    if (!orr_parse_uuid(luaL_checkstring(L, 3), id)) return luaL_argerror(L, 3, "the whole id of a run is expected");
    lua_settop(L, 4);
    if (lua_isnil(L, 4)) {
        lua_newtable(L);
        lua_replace(L, 4);
    }
    luaL_checktype(L, 4, LUA_TTABLE);
    if (!orr_storage_is_durable(rt)) return luaL_error(L, "this runtime has no store; open it with flow.runtime { store = … }");
    lua_getfield(L, 4, "force");
    bool force = lua_toboolean(L, -1);
    lua_pop(L, 1);
    orr_journal *journal = orr_store_claim(orr_storage_store(rt), id, force, &status, message, sizeof message);
    if (!journal) {
        const char *code = status == ORR_ENOTFOUND ? "run_not_found" : status == ORR_ESTATE ? "run_owned" : "store_error";
        if (status == ORR_ENOMEM) return luaL_error(L, "not enough memory for a journal");
        orr_push_error(L, rt->script, code, message);
        return lua_error(L);
    }
    restore(L, rt, 1, 2, 4, id, journal);
    return 1;
}

orr_runbox *orr_run_restore_child(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts) {
    uint8_t id[16];
    char message[512];
    orr_status status;
    lua_getfield(L, opts, "id");
    if (!orr_parse_uuid(luaL_checkstring(L, -1), id)) luaL_error(L, "the id of a child run is not whole");
    lua_pop(L, 1);
    for (orr_runbox *r = rt->runs; r; r = r->next) { /* it was resumed before its parent came here again */
        if (!r->run || memcmp(orr_run_id_of(r->run), id, sizeof id) != 0) continue;
        orr_push_box(L, rt->script, r);
        return r;
    }
    orr_journal *journal = orr_store_claim(orr_storage_store(rt), id, false, &status, message, sizeof message);
    if (journal) return restore(L, rt, rt_idx, plan, opts, id, journal);
    if (status == ORR_ENOTFOUND) return orr_run_start(L, rt, rt_idx, plan, opts); /* the crash came before its first record */
    luaL_error(L, "%s", message);
    return NULL;
}
