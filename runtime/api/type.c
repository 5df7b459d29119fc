/* type.c - node types whose work is done by C, and the tokens that name their attempts.
 *
 * A native type is an ordinary node type: orrery.api.native_type declares it, and its handler
 * awaits the answer from C. A token is a slot and its generation, so that an answer to an attempt
 * that has ended finds nothing.
 */
#include "api/api.h"

#include <lauxlib.h>
#include <string.h>

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool grow(orr_runtime *rt) {
    uint32_t n = rt->n_slots > 0 ? rt->n_slots * 2 : 16;
    uint64_t *generations = orr_mem_resize(&rt->alloc, rt->generations, rt->n_slots, n, sizeof *generations);
    if (generations == NULL) return false;
    for (uint32_t i = rt->n_slots; i < n; i++) generations[i] = 2; /* even: free */
    rt->generations = generations;
    rt->n_slots = n;
    return true;
}

/* Keeps the two values at the top (resume, ctx; popped) under a new token. Raises when out of
 * memory. */
static orr_token take(lua_State *L, orr_runtime *rt) {
    uint32_t slot = rt->free_slots;
    while (slot < rt->n_slots && (rt->generations[slot] & 1) != 0) slot++;
    if (slot == rt->n_slots && !grow(rt)) luaL_error(L, "not enough memory");
    lua_createtable(L, 2, 0);
    lua_insert(L, -3);
    lua_rawseti(L, -3, 2);
    lua_rawseti(L, -2, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->tokens);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)slot + 1);
    lua_pop(L, 1);
    rt->free_slots = slot + 1;
    orr_fibers_of(rt->script)->n_native++;
    return (orr_token){slot, ++rt->generations[slot]};
}

static bool is_current(const orr_runtime *rt, orr_token token) {
    return token.a < rt->n_slots && rt->generations[token.a] == token.b && (token.b & 1) != 0;
}

/* Pushes {resume, ctx} of a token. */
static void push_kept(lua_State *L, const orr_runtime *rt, orr_token token) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->tokens);
    lua_rawgeti(L, -1, (lua_Integer)token.a + 1);
    lua_remove(L, -2);
}

static void give_back(lua_State *L, orr_runtime *rt, orr_token token) {
    rt->generations[token.a]++;
    orr_fibers_of(rt->script)->n_native--;
    if (token.a < rt->free_slots) rt->free_slots = (uint32_t)token.a;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->tokens);
    lua_pushboolean(L, false);
    lua_rawseti(L, -2, (lua_Integer)token.a + 1);
    lua_pop(L, 1);
}

/* ---- declaring ------------------------------------------------------------------------------- */

typedef struct registration {
    orr_runtime *rt;
    orr_type type;
} registration;

/* A userdata, held by the functions of the type and, while the runtime is open, by the runtime. */
struct orr_native_type {
    orr_runtime *rt; /* NULL once that is closed: scripts of its state may still have the type */
    orr_native_type *next;
    orr_type type;
};

static orr_native_type *upvalue(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* What is known of the attempt whose ctx is at 2; it has a key at the top. */
static void describe(lua_State *L, orr_call *call) {
    orr_fiber *f = orr_check_ctx(L, 2);
    const orr_run *run = f->run->run;
    int64_t due = orr_task_due(run, &f->task);
    memcpy(call->run.bytes, orr_run_id_of(run), sizeof call->run.bytes);
    call->run_data = f->run->data;
    call->node = orr_plan_name(f->run->plan->plan, f->task.node);
    call->item = f->task.item != ORR_NONE ? f->task.item + 1 : 0;
    call->iteration = f->task.iteration + 1;
    call->deadline = due;
    orr_push_derived_id(L, f, 0);
    call->idempotency_key = lua_tostring(L, -1);
}

/* start(resume, ctx, config, inputs, attempt, config_json, inputs_json) -> slot, generation. The
 * texts are nil where the type asks for none. */
static int start_attempt(lua_State *L) {
    const orr_native_type *native = upvalue(L);
    if (native->rt == NULL) {
        orr_push_error(L, orr_script_of(L), "runtime_closed",
                       "the runtime that registered this node type is closed");
        return lua_error(L);
    }
    orr_runtime *rt = native->rt;
    uint32_t values = rt->values.n;
    orr_call call = {.attempt = (uint32_t)luaL_checkinteger(L, 5),
                     .config = luaL_optstring(L, 6, NULL),
                     .inputs = luaL_optstring(L, 7, NULL)};
    describe(L, &call);
    lua_pushvalue(L, 3);
    call.config_value = orr_api_keep_value(L, rt);
    lua_pushvalue(L, 4);
    call.inputs_value = orr_api_keep_value(L, rt);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    call.token = take(L, rt);
    native->type.start(native->type.ud, rt, &call);
    orr_api_drop_values(rt, values);
    lua_pushinteger(L, (lua_Integer)call.token.a);
    lua_pushinteger(L, (lua_Integer)call.token.b);
    return 2;
}

static orr_token check_token(lua_State *L, int idx) {
    return (orr_token){(uint64_t)luaL_checkinteger(L, idx), (uint64_t)luaL_checkinteger(L, idx + 1)};
}

/* cancel(slot, generation) -> whether an answer will still come */
static int cancel_attempt(lua_State *L) {
    const orr_native_type *native = upvalue(L);
    orr_token token = check_token(L, 1);
    bool current = native->rt != NULL && is_current(native->rt, token);
    if (current && native->type.cancel != NULL) native->type.cancel(native->type.ud, native->rt, token);
    else if (current) give_back(L, native->rt, token);
    lua_pushboolean(L, current && native->type.cancel != NULL);
    return 1;
}

static void push_native_function(lua_State *L, lua_CFunction fn, int native) {
    lua_pushvalue(L, native);
    lua_pushcclosure(L, fn, 1);
}

static int declare(lua_State *L) {
    registration *r = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.api.native_type");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "declare");
    lua_pushstring(L, r->type.name);
    lua_pushstring(L, r->type.doc);
    orr_native_type *native = lua_newuserdatauv(L, sizeof *native, 0);
    *native = (orr_native_type){.rt = r->rt, .type = r->type};
    int at = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->rt->natives);
    lua_pushvalue(L, at);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    native->next = r->rt->native; /* held from here on, also where declaring it fails */
    r->rt->native = native;
    push_native_function(L, start_attempt, at);
    push_native_function(L, cancel_attempt, at);
    lua_pushvalue(L, at);
    lua_remove(L, at);
    lua_pushboolean(L, !r->type.values);
    lua_call(L, 6, 0);
    return 0;
}

int orr_register(orr_runtime *rt, const orr_type *type) {
    registration r = {.rt = rt};
    if (type == NULL || type->size < offsetof(orr_type, cancel))
        return orr_api_refuse(rt, "orr_register: the type is NULL, or its size is not set");
    memcpy(&r.type, type, type->size < sizeof r.type ? type->size : sizeof r.type);
    if (r.type.name == NULL || r.type.start == NULL)
        return orr_api_refuse(rt, "orr_register: a type has a name and a start function");
    int status = orr_api_call(rt, declare, &r);
    return status == ORR_ESCRIPT || status == ORR_EDEFINITION ? ORR_EINVAL : status;
}

/* ---- taking back ----------------------------------------------------------------------------- */

typedef struct removal {
    orr_runtime *rt;
    const char *name;
    bool found;
} removal;

static int take_back(lua_State *L) {
    removal *r = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.api.native_type");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "take_back");
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->rt->natives);
    lua_pushstring(L, r->name);
    lua_call(L, 2, 1);
    r->found = lua_toboolean(L, -1);
    return 0;
}

int orr_unregister(orr_runtime *rt, const char *name) {
    removal r = {rt, name, false};
    if (name == NULL) return orr_api_refuse(rt, "orr_unregister: the name is NULL");
    int status = orr_api_call(rt, take_back, &r);
    if (status != ORR_OK || r.found) return status;
    return orr_api_fail(rt, ORR_ENOTFOUND, "not_found",
                        "orr_unregister: this runtime has registered no such type");
}

/* ---- closing --------------------------------------------------------------------------------- */

/* orrery.api.native_type knows the types of this state by their start functions' userdata. */
static int undeclare(lua_State *L) {
    const orr_runtime *rt = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.api.native_type");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "undeclare");
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->natives);
    lua_call(L, 1, 0);
    return 0;
}

void orr_api_close_types(orr_runtime *rt) {
    for (uint32_t slot = 0; slot < rt->n_slots; slot++)
        if ((rt->generations[slot] & 1) != 0) orr_fibers_of(rt->script)->n_native--;
    bool any = rt->native != NULL;
    for (orr_native_type *native = rt->native; native != NULL; native = native->next) native->rt = NULL;
    rt->native = NULL;
    if (any && !rt->own_lua) orr_api_call(rt, undeclare, rt);
}

/* ---- answering ------------------------------------------------------------------------------- */

typedef struct answering {
    orr_runtime *rt;
    orr_token token;
    const char *json, *code, *message;
    orr_value value;
    bool retryable, bad_json;
    double fraction;
} answering;

/* Calls resume(true, value) or resume(false, error) with the two values at the top. That only
 * queues the fiber. */
static void answer(lua_State *L, const answering *a) {
    push_kept(L, a->rt, a->token);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
    lua_insert(L, -3);
    give_back(L, a->rt, a->token);
    a->rt->busy = true;
    lua_call(L, 2, 0);
}

static void push_failure(lua_State *L, const char *code, const char *message, bool retryable) {
    lua_pushboolean(L, false);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, retryable);
    lua_setfield(L, -2, "retryable");
}

static int complete(lua_State *L) {
    answering *a = lua_touserdata(L, 1);
    orr_json_reading how = {.name = "output"};
    lua_pushboolean(L, true);
    if (orr_api_push_value(L, a->rt, a->value)) {
        answer(L, a);
        return 0;
    }
    lua_pop(L, 1);
    if (a->json == NULL) {
        lua_pushboolean(L, true);
        lua_pushnil(L);
    } else if (orr_json_decode(L, a->json, strlen(a->json), &how)) {
        lua_pushboolean(L, true);
        lua_insert(L, -2);
    } else {
        a->bad_json = true;
        push_failure(L, "invalid_output", lua_tostring(L, -1), false);
    }
    answer(L, a);
    return 0;
}

static int fail(lua_State *L) {
    answering *a = lua_touserdata(L, 1);
    push_failure(L, a->code != NULL ? a->code : "handler_error",
                 a->message != NULL ? a->message : "it failed", a->retryable);
    answer(L, a);
    return 0;
}

static int progress(lua_State *L) {
    answering *a = lua_touserdata(L, 1);
    push_kept(L, a->rt, a->token);
    lua_rawgeti(L, -1, 2);
    orr_fiber *f = orr_check_ctx(L, lua_gettop(L));
    orr_progress_report(L, f, a->fraction, a->message);
    return 0;
}

static int answer_with(orr_runtime *rt, lua_CFunction fn, answering *a) {
    if (rt != NULL && !is_current(rt, a->token))
        return orr_api_fail(rt, ORR_ESTATE, "stale_token", "the attempt that this token names is over");
    return orr_api_call(rt, fn, a);
}

int orr_complete(orr_runtime *rt, orr_token token, const char *output_json) {
    answering a = {.rt = rt, .token = token, .json = output_json};
    int status = answer_with(rt, complete, &a);
    if (status != ORR_OK || !a.bad_json) return status;
    return orr_api_fail(rt, ORR_EINVAL, "invalid_output",
                        "orr_complete: the output is not JSON; the attempt fails with that");
}

int orr_complete_value(orr_runtime *rt, orr_token token, orr_value output) {
    answering a = {.rt = rt, .token = token, .value = output};
    if (orr_value_is(rt, output) == ORR_VALUE_NONE)
        return orr_api_refuse(rt, "orr_complete_value: there is no such value");
    orr_api_freeze_values(rt);
    return answer_with(rt, complete, &a);
}

int orr_fail(orr_runtime *rt, orr_token token, const char *code, const char *message, bool retryable) {
    answering a = {.rt = rt, .token = token, .code = code, .message = message, .retryable = retryable};
    return answer_with(rt, fail, &a);
}

int orr_progress(orr_runtime *rt, orr_token token, double fraction, const char *message) {
    answering a = {.rt = rt, .token = token, .message = message, .fraction = fraction};
    return answer_with(rt, progress, &a);
}
