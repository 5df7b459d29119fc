/* start.c - orr_start: starts a run. */
#include "api/api.h"

#include <lauxlib.h>
#include <string.h>

void orr_start_options_init(orr_start_options *options) {
    if (options == NULL) return;
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
    options->durability = -1;
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
    if (text == NULL) return;
    orr_api_push_json(L, text, key);
    lua_setfield(L, at, key);
}

static void set_text(lua_State *L, int at, const char *key, const char *text) {
    if (text == NULL) return;
    lua_pushstring(L, text);
    lua_setfield(L, at, key);
}

/* A graph built in C has no input and no Lua: it goes to the runtime as it is, and nothing could
 * resume it. */
static void push_started(lua_State *L, const starting *s, int compiled, int options) {
    lua_getfield(L, compiled, "def");
    bool built = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!built) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, s->rt->host);
        lua_getfield(L, -1, "start");
        lua_rawgeti(L, LUA_REGISTRYINDEX, s->rt->rt);
        lua_pushvalue(L, compiled);
        lua_pushvalue(L, options);
        lua_call(L, 3, 1);
        return;
    }
    set_text(L, options, "durability", "none");
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->rt->rt);
    lua_getfield(L, -1, "start");
    lua_insert(L, -2);
    lua_getfield(L, compiled, "plan");
    lua_pushvalue(L, options);
    lua_call(L, 3, 1);
}

/* The options beside the input: how the run is kept, and by what it is found again. */
static void set_keeping(lua_State *L, orr_runtime *rt, int at, const orr_start_options *o) {
    static const char *const words[] = {"strict", "relaxed", "none"};
    char id[37];
    int top = lua_gettop(L);
    set_json(L, at, "labels", o->labels_json);
    set_text(L, at, "key", o->key);
    if (o->durability >= 0 && (size_t)o->durability < sizeof words / sizeof *words)
        set_text(L, at, "durability", words[o->durability]);
    else if (o->durability != -1)
        orr_api_raise_text(L, "orr_start: durability: expected an orr_durability or -1, got %d",
                           o->durability);
    if (orr_run_id_is_none(o->id)) return;
    orr_run_id_text(o->id, id);
    if (orr_api_push_run(L, &(orr_request){.rt = rt, .id = o->id})) {
        lua_pushfstring(L, "orr_start: there is a run %s already; an id is given once", id);
        orr_push_final_error(L, rt->script, "duplicate_id");
        lua_error(L);
    }
    lua_settop(L, top);
    set_text(L, at, "id", id);
}

/* The run that was started, or {id=, …} for a run that had the key already. The value is at the
 * top. */
static void take_id(lua_State *L, starting *s) {
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "id");
        orr_uuid_parse(luaL_checkstring(L, -1), s->id.bytes);
        return;
    }
    orr_runbox *r = orr_check_run(L, lua_gettop(L));
    memcpy(s->id.bytes, orr_run_id_of(r->run), sizeof s->id.bytes);
    r->data = s->options.data;
    orr_api_keep_run(L, s->rt, r);
}

static int start(lua_State *L) {
    starting *s = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->workflow->compiled);
    lua_createtable(L, 0, 8);
    if (orr_api_push_value(L, s->rt, s->options.input)) lua_setfield(L, 3, "input");
    else set_json(L, 3, "input", s->input);
    set_json(L, 3, "context", s->options.context_json);
    set_keeping(L, s->rt, 3, &s->options);
    if (s->options.seed != 0) {
        lua_pushinteger(L, (lua_Integer)s->options.seed);
        lua_setfield(L, 3, "seed");
    }
    if (s->options.concurrency != 0) {
        lua_pushinteger(L, s->options.concurrency);
        lua_setfield(L, 3, "concurrency");
    }
    push_started(L, s, 2, 3);
    take_id(L, s);
    return 0;
}

orr_run_id orr_start(orr_runtime *rt, orr_workflow *workflow, const char *input_json,
                     const orr_start_options *options) {
    starting s = {.rt = rt, .workflow = workflow, .input = input_json};
    static const orr_run_id none;
    const char *problem = NULL;
    if (rt == NULL) return none;
    orr_start_options_init(&s.options);
    if (workflow == NULL || workflow->rt != rt)
        problem = "orr_start: the workflow is NULL, or was loaded by another runtime";
    else if (options != NULL && options->size < offsetof(orr_start_options, key))
        problem = "orr_start: the size of the options is not set; call orr_start_options_init first";
    else if (options != NULL)
        memcpy(&s.options, options, options->size < sizeof s.options ? options->size : sizeof s.options);
    bool no_value = s.options.input.number != 0 && orr_value_is(rt, s.options.input) == ORR_VALUE_NONE;
    if (problem == NULL && no_value) problem = "orr_start: options.input: there is no such value";
    if (problem == NULL && s.options.key != NULL && !rt->box->durable)
        problem = "orr_start: a key needs a store, which knows the other runs; config.store names one";
    if (problem != NULL) orr_api_refuse(rt, problem);
    if (s.options.input.number != 0) orr_api_freeze_values(rt);
    if (problem != NULL || orr_api_call(rt, start, &s) != ORR_OK) return none;
    rt->busy = true;
    return s.id;
}
