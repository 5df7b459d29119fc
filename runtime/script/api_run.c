/* api_run.c - starting runs and asking them. */
#include "api.h"
#include "json.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* ---- ids ------------------------------------------------------------------------------------------------------------ */

bool orr_run_id_is_none(orr_run_id id) {
    static const orr_run_id none;
    return memcmp(&id, &none, sizeof id) == 0;
}

void orr_run_id_text(orr_run_id id, char text[37]) {
    static const char digits[] = "0123456789abcdef";
    char *to = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[id.bytes[i] >> 4];
        *to++ = digits[id.bytes[i] & 15];
    }
    *to = '\0';
}

/* ---- starting ------------------------------------------------------------------------------------------------------- */

void orr_start_options_init(orr_start_options *options) {
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

typedef struct starting {
    orr_runtime *rt;
    orr_workflow *workflow;
    const char *input;
    orr_start_options options;
    orr_run_id id;
} starting;

/* Sets field `key` of the table at `at` to a JSON text's value. */
static void set_json(lua_State *L, int at, const char *key, const char *text) {
    orr_json_reading how = {.name = key};
    if (text == NULL)
        return;
    if (!orr_json_decode(L, text, strlen(text), &how))
        lua_error(L);
    lua_setfield(L, at, key);
}

/* A graph built in C has no input and no Lua: it goes to the runtime as it is. */
static void push_started(lua_State *L, const starting *s, int compiled, int options) {
    lua_getfield(L, compiled, "def");
    bool built = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!built) {
        orr_api_flow(L, s->rt, "start");
        lua_pushvalue(L, compiled);
        lua_rawgeti(L, LUA_REGISTRYINDEX, s->rt->rt);
        lua_setfield(L, options, "runtime");
        lua_pushvalue(L, options);
        lua_call(L, 2, 1);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->rt->rt);
    lua_getfield(L, -1, "start");
    lua_insert(L, -2);
    lua_getfield(L, compiled, "plan");
    lua_pushvalue(L, options);
    lua_call(L, 3, 1);
}

static int start(lua_State *L) {
    starting *s = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->workflow->compiled);
    lua_createtable(L, 0, 5);
    set_json(L, 3, "input", s->input);
    set_json(L, 3, "context", s->options.context_json);
    if (s->options.seed != 0) {
        lua_pushinteger(L, (lua_Integer)s->options.seed);
        lua_setfield(L, 3, "seed");
    }
    if (s->options.concurrency != 0) {
        lua_pushinteger(L, s->options.concurrency);
        lua_setfield(L, 3, "concurrency");
    }
    push_started(L, s, 2, 3);
    const orr_runbox *r = orr_check_run(L, lua_gettop(L));
    memcpy(s->id.bytes, orr_run_id_of(r->run), sizeof s->id.bytes);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->rt->runs);
    lua_pushlstring(L, (const char *)s->id.bytes, sizeof s->id.bytes);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    return 0;
}

orr_run_id orr_start(orr_runtime *rt, orr_workflow *workflow, const char *input_json, const orr_start_options *options) {
    starting s = {.rt = rt, .workflow = workflow, .input = input_json};
    static const orr_run_id none;
    if (workflow == NULL) {
        orr_api_fail(rt, ORR_EINVAL, "invalid_argument", "orr_start: the workflow is NULL");
        return none;
    }
    orr_start_options_init(&s.options);
    if (options != NULL)
        memcpy(&s.options, options, options->size < sizeof s.options ? options->size : sizeof s.options);
    if (orr_api_call(rt, start, &s) != ORR_OK)
        return none;
    rt->busy = true;
    return s.id;
}

/* ---- asking --------------------------------------------------------------------------------------------------------- */

typedef struct asking {
    orr_runtime *rt;
    orr_run_id id;
    const char *name; /* a node, a field or a method */
    const char *answer;
    int number;
} asking;

/* Pushes the run; false where it is not there. */
static bool push_run(lua_State *L, const asking *a) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->rt->runs);
    lua_pushlstring(L, (const char *)a->id.bytes, sizeof a->id.bytes);
    return lua_rawget(L, -2) != LUA_TNIL;
}

static int ask(orr_runtime *rt, lua_CFunction fn, asking *a) {
    a->rt = rt;
    a->number = ORR_ENOTFOUND;
    int status = orr_api_call(rt, fn, a);
    if (status == ORR_OK && a->number == ORR_ENOTFOUND) {
        char text[64] = "no run has the id ";
        orr_run_id_text(a->id, text + strlen(text));
        return orr_api_fail(rt, ORR_ENOTFOUND, "not_found", text);
    }
    return status;
}

static int run_state(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (push_run(L, a)) {
        const orr_runbox *r = orr_check_run(L, lua_gettop(L));
        a->number = (int)orr_run_get_state(r->run);
        if (r->output_failed && a->number == ORR_RUN_COMPLETED)
            a->number = ORR_RUN_FAILED;
    }
    return 0;
}

orr_run_state orr_state(orr_runtime *rt, orr_run_id run) {
    asking a = {.id = run};
    return ask(rt, run_state, &a) == ORR_OK ? (orr_run_state)a.number : ORR_RUN_STATE_COUNT;
}

static uint32_t node_of(lua_State *L, const asking *a, const orr_runbox *r) {
    lua_pushstring(L, a->name);
    return orr_node_by_name(L, r, lua_gettop(L));
}

static int node_state(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (!push_run(L, a))
        return 0;
    const orr_runbox *r = orr_check_run(L, lua_gettop(L));
    uint32_t node = node_of(L, a, r);
    a->number = node == ORR_NONE ? ORR_NODE_STATE_COUNT : (int)orr_run_node_state(r->run, node, ORR_NONE);
    return 0;
}

orr_node_state orr_node(orr_runtime *rt, orr_run_id run, const char *node) {
    asking a = {.id = run, .name = node};
    return ask(rt, node_state, &a) == ORR_OK ? (orr_node_state)a.number : ORR_NODE_STATE_COUNT;
}

/* Pops a value and makes it the answer as JSON; nil is no answer. */
static void answer_json(lua_State *L, asking *a) {
    if (lua_isnil(L, -1))
        return;
    if (!orr_json_encode(L, lua_gettop(L), NULL))
        lua_error(L);
    a->answer = orr_api_answer(L, a->rt);
}

static int run_field(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (!push_run(L, a))
        return 0;
    a->number = ORR_OK;
    lua_getfield(L, -1, a->name);
    answer_json(L, a);
    return 0;
}

const char *orr_output(orr_runtime *rt, orr_run_id run) {
    asking a = {.id = run, .name = "output"};
    ask(rt, run_field, &a);
    return a.answer;
}

const char *orr_run_error_json(orr_runtime *rt, orr_run_id run) {
    asking a = {.id = run, .name = "error"};
    ask(rt, run_field, &a);
    return a.answer;
}

static int node_output(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (!push_run(L, a))
        return 0;
    a->number = ORR_OK;
    const orr_runbox *r = orr_check_run(L, lua_gettop(L));
    uint32_t node = node_of(L, a, r);
    if (node != ORR_NONE) {
        orr_run_push_output(L, r, node, ORR_NONE);
        answer_json(L, a);
    }
    return 0;
}

const char *orr_node_output(orr_runtime *rt, orr_run_id run, const char *node) {
    asking a = {.id = run, .name = node};
    ask(rt, node_output, &a);
    return a.answer;
}

static int node_why(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (!push_run(L, a))
        return 0;
    a->number = ORR_OK;
    lua_getfield(L, -1, "why");
    lua_insert(L, -2);
    lua_pushstring(L, a->name);
    lua_call(L, 2, 1);
    answer_json(L, a);
    return 0;
}

const char *orr_why_json(orr_runtime *rt, orr_run_id run, const char *node) {
    asking a = {.id = run, .name = node};
    ask(rt, node_why, &a);
    return a.answer;
}

/* ---- steering ------------------------------------------------------------------------------------------------------ */

static int call_method(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (!push_run(L, a))
        return 0;
    a->number = ORR_OK;
    lua_getfield(L, -1, a->name);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

static int steer(orr_runtime *rt, orr_run_id run, const char *method) {
    asking a = {.id = run, .name = method};
    rt->busy = true;
    return ask(rt, call_method, &a);
}

int orr_cancel(orr_runtime *rt, orr_run_id run) {
    return steer(rt, run, "cancel");
}

int orr_pause(orr_runtime *rt, orr_run_id run) {
    return steer(rt, run, "pause");
}

int orr_resume(orr_runtime *rt, orr_run_id run) {
    return steer(rt, run, "resume");
}

static int forget(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (!push_run(L, a))
        return 0;
    a->number = ORR_OK;
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->rt->runs);
    lua_pushlstring(L, (const char *)a->id.bytes, sizeof a->id.bytes);
    lua_pushnil(L);
    lua_rawset(L, -3);
    return 0;
}

int orr_forget(orr_runtime *rt, orr_run_id run) {
    asking a = {.id = run};
    return ask(rt, forget, &a);
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

static bool is_over(void *ud) {
    return !((const orr_runbox *)ud)->live;
}

static int wait_for(lua_State *L) {
    asking *a = lua_touserdata(L, 1);
    if (!push_run(L, a))
        return 0;
    orr_runbox *r = orr_check_run(L, lua_gettop(L));
    a->number = orr_pump(a->rt->script, L, is_over, r) ? ORR_OK : ORR_ESTUCK;
    return 0;
}

int orr_wait(orr_runtime *rt, orr_run_id run) {
    asking a = {.id = run};
    int status = ask(rt, wait_for, &a);
    if (status != ORR_OK || a.number == ORR_OK)
        return status;
    return orr_api_fail(rt, ORR_ESTUCK, "stuck", "the run cannot go on: nothing is left that could end what it waits for");
}
