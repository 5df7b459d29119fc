/* stored.c - runs that are kept in a store: answering for those that this runtime does not hold,
 * and resuming them. */
#include "api/api.h"

#include <lauxlib.h>
#include <string.h>

/* ---- the store's answers --------------------------------------------------------------------- */

static void push_host(lua_State *L, const orr_runtime *rt, const char *name) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->host);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->rt);
}

static void push_id(lua_State *L, const orr_request *a) {
    char text[37];
    orr_run_id_text(a->id, text);
    lua_pushstring(L, text);
}

bool orr_api_push_stored(lua_State *L, const orr_request *a, const char *name) {
    push_host(L, a->rt, name);
    push_host(L, a->rt, "row");
    push_id(L, a);
    lua_call(L, 2, 1);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 3);
    return false;
}

/* The store has words for the states of runs and nodes: the number of the one at idx, or `n`. */
static int state_number(lua_State *L, int idx, int n, const char *(*name_of)(int state)) {
    const char *name = lua_tostring(L, idx);
    int state = 0;
    while (state < n && (name == NULL || strcmp(name_of(state), name) != 0)) state++;
    return state;
}

static const char *run_word(int state) {
    return orr_run_state_name((orr_run_state)state);
}

static const char *node_word(int state) {
    return orr_node_state_name((orr_node_state)state);
}

void orr_api_stored_state(lua_State *L, orr_request *a) {
    if (!orr_api_push_stored(L, a, "row")) return;
    lua_getfield(L, -1, "state");
    a->number = state_number(L, -1, ORR_RUN_STATE_COUNT, run_word);
}

/* Pushes what host.node gives; false where there is no such run. */
static bool push_node(lua_State *L, orr_request *a) {
    if (!orr_api_push_stored(L, a, "node")) return false;
    lua_pushstring(L, a->name);
    lua_call(L, 3, 2);
    return true;
}

void orr_api_stored_node(lua_State *L, orr_request *a) {
    if (push_node(L, a)) a->number = state_number(L, -2, ORR_NODE_STATE_COUNT, node_word);
}

/* The text at the top is the answer, where it is one. */
static void answer_text(lua_State *L, orr_request *a) {
    a->number = ORR_OK;
    if (!lua_isstring(L, -1)) return;
    if (!a->as_value) {
        a->answer = orr_api_answer(L, a->rt);
        return;
    }
    orr_api_push_json(L, lua_tostring(L, -1), "output");
    a->value = orr_api_keep_value(L, a->rt);
}

void orr_api_stored_node_output(lua_State *L, orr_request *a) {
    if (push_node(L, a)) answer_text(L, a);
}

void orr_api_stored_column(lua_State *L, orr_request *a) {
    if (!orr_api_push_stored(L, a, "column")) return;
    lua_pushstring(L, a->name);
    lua_call(L, 3, 1);
    answer_text(L, a);
}

static int info(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_stored(L, a, "info")) return 0;
    lua_call(L, 2, 1);
    a->number = ORR_OK;
    orr_api_answer_json(L, a);
    return 0;
}

const char *orr_run_json(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run};
    orr_api_ask(rt, info, &a);
    return a.answer;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Sets ORR_ESTATE for a run that has ended: no process would read the message. The row is at the
 * top. */
static bool has_ended(lua_State *L, orr_request *a) {
    lua_getfield(L, -1, "state");
    int state = state_number(L, -1, ORR_RUN_STATE_COUNT, run_word);
    lua_pop(L, 1);
    bool ended = orr_run_ended((orr_run_state)state);
    a->number = ended ? ORR_ESTATE : ORR_OK;
    return ended;
}

void orr_api_send(lua_State *L, orr_request *a) {
    if (!orr_api_push_stored(L, a, "send") || has_ended(L, a)) return;
    lua_pushstring(L, a->name);
    lua_pushnil(L);
    lua_pushstring(L, a->data);
    lua_call(L, 5, 0);
}

static int signal_run(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_value(L, a->rt, a->value)) orr_api_push_json(L, a->data, "data");
    if (orr_api_push_run(L, a)) {
        a->number = orr_check_run(L, -1)->live ? ORR_OK : ORR_ESTATE;
        if (a->number != ORR_OK) return 0;
        lua_getfield(L, -1, "signal");
        lua_insert(L, -2);
        lua_pushstring(L, a->name);
        lua_pushvalue(L, 2);
        lua_call(L, 3, 0);
    } else if (orr_api_push_stored(L, a, "send") && !has_ended(L, a)) {
        lua_pushliteral(L, "signal");
        lua_pushstring(L, a->name);
        lua_pushvalue(L, 2);
        lua_call(L, 5, 0);
    }
    return 0;
}

int orr_api_request(orr_runtime *rt, lua_CFunction fn, orr_request *a, const char *message) {
    int status = orr_api_ask(rt, fn, a);
    if (rt != NULL) rt->busy = true;
    if (status != ORR_OK || a->number != ORR_ESTATE) return status;
    return orr_api_fail(rt, ORR_ESTATE, "wrong_state", message);
}

int orr_signal(orr_runtime *rt, orr_run_id run, const char *name, const char *data_json) {
    orr_request a = {.id = run, .name = name, .data = data_json};
    if (name == NULL) return orr_api_refuse(rt, "orr_signal: the name is NULL");
    return orr_api_request(rt, signal_run, &a, "the run has ended and takes no signal");
}

int orr_signal_value(orr_runtime *rt, orr_run_id run, const char *name, orr_value data) {
    orr_request a = {.id = run, .name = name, .value = data};
    if (name == NULL) return orr_api_refuse(rt, "orr_signal_value: the name is NULL");
    if (orr_value_is(rt, data) == ORR_VALUE_NONE)
        return orr_api_refuse(rt, "orr_signal_value: there is no such value");
    orr_api_freeze_values(rt);
    return orr_api_request(rt, signal_run, &a, "the run has ended and takes no signal");
}

/* ---- resuming -------------------------------------------------------------------------------- */

/* The states, one bit each, from which a run of the store can be resumed in this way. */
_Static_assert(ORR_RUN_STATE_COUNT <= 32, "the masks of states have a bit for each");
static const unsigned resumable = 1u << ORR_RUN_PENDING | 1u << ORR_RUN_RUNNING | 1u << ORR_RUN_WAITING |
                                  1u << ORR_RUN_PAUSED | 1u << ORR_RUN_COMPENSATING;
static const unsigned retriable = 1u << ORR_RUN_FAILED | 1u << ORR_RUN_CANCELLED;

/* `how` is what the host's go_on takes. */
static unsigned from_states(const char *how) {
    if (strcmp(how, "resume") == 0) return resumable;
    return strcmp(how, "retry") == 0 ? retriable : retriable | 1u << ORR_RUN_COMPLETED;
}

static int go_on(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_stored(L, a, "go_on")) return 0;
    lua_getfield(L, -1, "state");
    unsigned state = 1u << state_number(L, -1, ORR_RUN_STATE_COUNT, run_word);
    lua_pop(L, 1);
    a->number = (state & from_states(a->name)) != 0 ? ORR_OK : ORR_ESTATE;
    if (a->number != ORR_OK) return 0;
    lua_pushstring(L, a->name);
    lua_call(L, 3, 1);
    orr_api_keep_run(L, a->rt, orr_check_run(L, -1));
    return 0;
}

static int resume_run(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) return go_on(L);
    a->number = ORR_OK;
    lua_getfield(L, -1, "resume");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

int orr_resume(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run, .name = "resume"};
    return orr_api_request(rt, resume_run, &a,
                           "the run has ended; orr_retry_run runs what failed in it again");
}

int orr_retry_run(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run, .name = "retry"};
    return orr_api_request(rt, go_on, &a, "only a run that failed or was cancelled can be retried");
}

int orr_retry_items(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run, .name = "retry_items"};
    return orr_api_request(rt, go_on, &a,
                           "only a run that failed, was cancelled or completed can be retried");
}

static int suspend(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) return 0;
    const orr_runbox *r = orr_check_run(L, -1);
    a->number = r->live && r->journal != NULL && r->rt->durable ? ORR_OK : ORR_ESTATE;
    if (a->number != ORR_OK) return 0;
    lua_getfield(L, -1, "suspend");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

int orr_suspend(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run};
    int status = orr_api_outside(rt, "orr_suspend: the runtime is at work; suspend the run once the call "
                                     "that called this callback has returned");
    if (status == ORR_OK) status = orr_api_ask(rt, suspend, &a);
    if (rt != NULL) rt->busy = true;
    if (status != ORR_OK || a.number == ORR_OK) return status;
    return orr_api_fail(rt, ORR_ESTATE, "not_durable",
                        "the run has ended, or is kept in no store that it could be resumed from");
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool is_awaited(const orr_runtime *rt, const char *id) {
    char text[37];
    if (rt->awaited == NULL) return false;
    orr_run_id_text(rt->awaited->id, text);
    return strcmp(text, id) == 0;
}

/* on_run(run), upvalue 1: the runtime. A run that orr_wait waits for is kept: it may have ended
 * before anybody asks. */
static int resumed(lua_State *L) {
    const orr_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    const orr_runbox *r = orr_check_run(L, 1);
    lua_settop(L, 1);
    if (!is_awaited(rt, r->id)) return 0;
    rt->awaited->decided = true;
    if (r->run != NULL) orr_api_keep_run(L, rt, r);
    return 0;
}

/* on_elsewhere(id), upvalue 1: the runtime */
static int elsewhere(lua_State *L) {
    const orr_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    if (is_awaited(rt, luaL_checkstring(L, 1))) rt->awaited->decided = true;
    return 0;
}

/* on_refused(id, workflow, problem), upvalue 1: the runtime */
static int refused(lua_State *L) {
    orr_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    elsewhere(L);
    const char *code = "script_error";
    if (lua_istable(L, 3) && lua_getfield(L, 3, "code") == LUA_TSTRING) code = lua_tostring(L, -1);
    orr_api_fail(rt, ORR_ESCRIPT, code, luaL_tolstring(L, 3, NULL));
    return 0;
}

typedef struct resuming {
    orr_runtime *rt;
    uint32_t limit;
    bool durable;
} resuming;

/* Sets the callbacks by which orrery.store.recover reports each run, in the table of options at the
 * top. */
static void set_callbacks(lua_State *L, orr_runtime *rt) {
    static const luaL_Reg callbacks[] = {
        {"on_run", resumed},
        {"on_elsewhere", elsewhere},
        {"on_refused", refused},
        {NULL, NULL},
    };
    lua_pushlightuserdata(L, rt);
    luaL_setfuncs(L, callbacks, 1);
}

static int resume_all(lua_State *L) {
    resuming *x = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, x->rt->rt);
    x->durable = orr_check_rt(L, -1)->durable;
    if (!x->durable) return 0;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.store.recover");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "begin");
    lua_rawgeti(L, LUA_REGISTRYINDEX, x->rt->rt);
    lua_createtable(L, 0, 4);
    if (x->limit > 0) {
        lua_pushinteger(L, x->limit);
        lua_setfield(L, -2, "limit");
    }
    set_callbacks(L, x->rt);
    lua_call(L, 2, 0);
    return 0;
}

int orr_resume_all(orr_runtime *rt, uint32_t limit) {
    resuming x = {rt, limit, false};
    int status = orr_api_call(rt, resume_all, &x);
    if (rt != NULL) rt->busy = true;
    if (status != ORR_OK || x.durable) return status;
    return orr_api_fail(rt, ORR_ESTATE, "no_store",
                        "orr_resume_all: the runtime has no store; config.store names one");
}

bool orr_resuming(const orr_runtime *rt) {
    return rt != NULL && rt->box->refill != LUA_NOREF;
}

static int sync_store(lua_State *L) {
    const orr_runtime *rt = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->rt);
    lua_getfield(L, -1, "sync");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

int orr_sync(orr_runtime *rt) {
    int status = orr_api_call(rt, sync_store, rt);
    return status == ORR_ESCRIPT ? ORR_EIO : status;
}

/* ---- a copy ---------------------------------------------------------------------------------- */

static int back_up(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    push_host(L, a->rt, "backup");
    a->number = ORR_ESTATE;
    if (!orr_check_rt(L, -1)->durable) return 0;
    lua_pushstring(L, a->name);
    lua_call(L, 2, 1);
    a->number = lua_isnil(L, -1) ? ORR_OK : orr_api_refuse(a->rt, lua_tostring(L, -1));
    return 0;
}

int orr_backup(orr_runtime *rt, const char *path) {
    orr_request a = {.rt = rt, .name = path};
    if (path == NULL) return orr_api_refuse(rt, "orr_backup: the path is NULL");
    int status = orr_api_call(rt, back_up, &a);
    if (status != ORR_OK) return status == ORR_ESCRIPT ? ORR_EIO : status;
    if (a.number != ORR_ESTATE) return a.number;
    return orr_api_fail(rt, ORR_ESTATE, "no_store",
                        "orr_backup: the runtime has no store; config.store names one");
}
