/* runtime.c - opening and closing a runtime, stepping it, and its errors. */
#include "api/api.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* Where the program is linked with them statically they are preloaded; otherwise `require` finds
 * the system's. */
extern int luaopen_luv(lua_State *L) __attribute__((weak));
extern int luaopen_lpeg(lua_State *L) __attribute__((weak));

const char *orr_version(void) {
    return ORR_VERSION;
}

void orr_config_init(orr_config *config) {
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void keep_message(orr_runtime *rt, const char *message) {
    size_t size = strlen(message) + 1;
    char *copy = orr_mem_new(&rt->alloc, size, 1);
    orr_mem_free(&rt->alloc, rt->error, rt->error_size, 1);
    rt->error = copy;
    rt->error_size = copy != NULL ? size : 0;
    if (copy != NULL) memcpy(copy, message, size);
}

int orr_api_fail(orr_runtime *rt, int status, const char *code, const char *message) {
    keep_message(rt, message);
    if (rt->config.on_error != NULL) {
        orr_error_info info = {status, code, message};
        rt->config.on_error(rt->config.ud, &info);
    }
    return status;
}

const char *orr_last_error(const orr_runtime *rt) {
    return rt->error != NULL ? rt->error : "";
}

/* (error) -> code, message: a structured error's own, the text of any other. */
static int explain(lua_State *L) {
    if (lua_istable(L, 1) && lua_getfield(L, 1, "code") == LUA_TSTRING) {
        luaL_tolstring(L, 1, NULL);
        return 2;
    }
    lua_settop(L, 1);
    lua_pushliteral(L, "script_error");
    luaL_tolstring(L, 1, NULL);
    return 2;
}

static int status_of(int lua_status, const char *code) {
    static const struct {
        const char *code;
        int status;
    } known[] = {
        {"definition_error", ORR_EDEFINITION},
        {"validation_error", ORR_EINVAL},
        {"run_not_found", ORR_ENOTFOUND},
        {"run_owned", ORR_ESTATE},
        {"duplicate_id", ORR_ESTATE},
        {"store_error", ORR_EIO},
        {"conflict", ORR_ESTATE},
    };
    if (lua_status == LUA_ERRMEM) return ORR_ENOMEM;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(code, known[i].code) == 0) return known[i].status;
    return ORR_ESCRIPT;
}

int orr_api_call(orr_runtime *rt, lua_CFunction fn, void *args) {
    lua_State *L = rt->L;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
    int top = lua_gettop(L);
    if (rt->script != NULL) orr_stay_awake(rt->script); /* none yet while it opens */
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, args);
    int status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK) return ORR_OK;
    lua_pushcfunction(L, explain);
    lua_insert(L, -2);
    int result;
    if (lua_pcall(L, 1, 2, 0) == LUA_OK) {
        const char *code = lua_tostring(L, -2);
        result = status_of(status, code);
        orr_api_fail(rt, result, result == ORR_ENOMEM ? "out_of_memory" : code, lua_tostring(L, -1));
    } else {
        result = orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
    }
    lua_settop(L, top);
    return result;
}

const char *orr_api_answer(lua_State *L, orr_runtime *rt) {
    const char *text = lua_tostring(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->answer);
    return text;
}

void orr_api_flow(lua_State *L, const orr_runtime *rt, const char *name) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->flow);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Lua gives the kind of a new object where others give a size of 0. */
static void *lua_memory(void *ud, void *ptr, size_t osize, size_t nsize) {
    const orr_alloc *alloc = ud;
    return alloc->fn(alloc->ud, ptr, ptr != NULL ? osize : 0, nsize);
}

static void preload(lua_State *L, const char *name, lua_CFunction open) {
    if (open == NULL) return;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pushcfunction(L, open);
        lua_setfield(L, -3, name);
    }
    lua_pop(L, 2);
}

static int notify_event(lua_State *L) {
    orr_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 1);
    if (orr_json_encode(L, 1, NULL)) rt->config.on_event(rt->config.ud, lua_tostring(L, -1));
    return 0;
}

static void push_required(lua_State *L, const char *module) {
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
}

/* Makes the runtime that the configuration describes and pushes it. */
static void push_runtime(lua_State *L, const orr_config *config) {
    static const char *const durabilities[] = {"strict", "relaxed", "none"};
    if (config->durability < 0 || (size_t)config->durability >= sizeof durabilities / sizeof *durabilities)
        luaL_error(L, "config.durability: expected an orr_durability, got %d", config->durability);
    push_required(L, "orrery");
    lua_getfield(L, -1, "runtime");
    lua_createtable(L, 0, 7);
    orr_set_text(L, "clock", config->clock == ORR_CLOCK_VIRTUAL ? "virtual" : "real");
    orr_set_seconds(L, "now", config->now);
    orr_set_seconds(L, "grace", config->grace);
    orr_set_text(L, "store", config->store);
    orr_set_text(L, "durability", durabilities[config->durability]);
    lua_pushinteger(L, config->output_limit < INT64_MAX ? (lua_Integer)config->output_limit : INT64_MAX);
    lua_setfield(L, -2, "output_limit");
    lua_pushinteger(L, config->large_output < INT64_MAX ? (lua_Integer)config->large_output : INT64_MAX);
    lua_setfield(L, -2, "large_output");
    lua_pushinteger(L, config->crash_limit);
    lua_setfield(L, -2, "crash_limit");
    if (config->callback_limit > 0) orr_set_seconds(L, "callback_limit", config->callback_limit);
    else if (config->callback_limit < 0) orr_set_flag(L, "callback_limit", false);
    if (config->watch != 0) orr_set_seconds(L, "watch", config->watch > 0 ? config->watch : 0);
    lua_call(L, 1, 1);
    lua_remove(L, -2);
}

static int open_modules(lua_State *L) {
    orr_runtime *rt = lua_touserdata(L, 1);
    luaL_checkversion(L);
    if (rt->own_lua) luaL_openlibs(L);
    preload(L, "luv", luaopen_luv);
    preload(L, "lpeg", luaopen_lpeg);
    orr_embedded_open(L);
    orr_script_configure(L, &(orr_script_options){.alloc = rt->alloc,
                                                  .loop = rt->loop,
                                                  .watchdog = rt->config.watchdog,
                                                  .contain = rt->config.contain});
    preload(L, "orrery.core", luaopen_orrery_core);
    push_required(L, "orrery");
    rt->flow = luaL_ref(L, LUA_REGISTRYINDEX);
    rt->script = orr_script_of(L);
    if (rt->loop != NULL && orr_script_loop(rt->script) != rt->loop)
        return luaL_error(L, "this lua_State already has a runtime on another loop");
    rt->loop = orr_script_loop(rt->script);
    push_required(L, "orrery.api.stored");
    rt->host = luaL_ref(L, LUA_REGISTRYINDEX);
    push_runtime(L, &rt->config);
    rt->box = orr_check_rt(L, lua_gettop(L));
    if (rt->config.on_event != NULL) {
        lua_getfield(L, -1, "on");
        lua_pushvalue(L, -2);
        lua_pushlightuserdata(L, rt);
        lua_pushcclosure(L, notify_event, 1);
        lua_call(L, 2, 0);
    }
    rt->rt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->host);
    lua_getfield(L, -1, "open");
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->rt);
    lua_call(L, 1, 0);
    lua_newtable(L);
    rt->runs = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    rt->tokens = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushboolean(L, false);
    rt->answer = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static bool make_loop(orr_runtime *rt) {
    if (rt->config.loop != NULL || rt->config.lua != NULL) {
        rt->loop = rt->config.loop; /* a borrowed state has luv's loop where none is given */
        return true;
    }
    rt->loop = orr_mem_new(&rt->alloc, 1, sizeof *rt->loop);
    if (rt->loop == NULL || uv_loop_init(rt->loop) != 0) return false;
    rt->own_loop = true;
    return true;
}

orr_runtime *orr_open(const orr_config *config) {
    orr_alloc alloc = {config->alloc != NULL ? config->alloc : orr_alloc_libc, config->alloc_ud};
    orr_runtime *rt = orr_mem_new(&alloc, 1, sizeof *rt);
    if (rt == NULL) return NULL;
    rt->alloc = alloc;
    orr_config_init(&rt->config);
    memcpy(&rt->config, config, config->size < sizeof rt->config ? config->size : sizeof rt->config);
    rt->flow = rt->host = rt->rt = rt->runs = rt->tokens = rt->answer = LUA_NOREF;
    rt->own_lua = rt->config.lua == NULL;
    bool loop = make_loop(rt);
    rt->L = rt->own_lua ? lua_newstate(lua_memory, &rt->alloc) : rt->config.lua;
    if (!loop || rt->L == NULL) {
        orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
        orr_close(rt);
        return NULL;
    }
    if (orr_api_call(rt, open_modules, rt) != ORR_OK ||
        (rt->config.resume && orr_resume_all(rt, 0) != ORR_OK)) {
        orr_close(rt);
        return NULL;
    }
    return rt;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Suspends the live runs of the store and flushes what was recorded. */
static int close_store(lua_State *L) {
    const orr_runtime *rt = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->rt);
    lua_getfield(L, -1, "close");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

static int unref_all(lua_State *L) {
    orr_runtime *rt = lua_touserdata(L, 1);
    const int refs[] = {rt->flow, rt->host, rt->rt, rt->runs, rt->tokens, rt->answer};
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) luaL_unref(L, LUA_REGISTRYINDEX, refs[i]);
    return 0;
}

static void close_handle(uv_handle_t *handle, void *ud) {
    (void)ud;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void close_loop(orr_runtime *rt) {
    /* closing the state closed luv's handles; what a native type left open would keep the loop
     * for ever */
    while (uv_loop_close(rt->loop) == UV_EBUSY) {
        uv_walk(rt->loop, close_handle, NULL);
        uv_run(rt->loop, UV_RUN_DEFAULT);
    }
}

void orr_close(orr_runtime *rt) {
    if (rt == NULL) return;
    if (rt->rt != LUA_NOREF) orr_api_call(rt, close_store, rt);
    while (rt->workflows != NULL) orr_workflow_free(rt->workflows);
    if (rt->own_lua && rt->L != NULL) {
        orr_loop_finish_closing(rt->loop);
        lua_close(rt->L);
    } else if (rt->L != NULL) orr_api_call(rt, unref_all, rt);
    if (rt->own_loop) close_loop(rt);
    if (rt->config.loop == NULL && rt->config.lua == NULL)
        orr_mem_free(&rt->alloc, rt->loop, 1, sizeof *rt->loop);
    orr_mem_free(&rt->alloc, rt->generations, rt->n_slots, sizeof *rt->generations);
    orr_mem_free(&rt->alloc, rt->error, rt->error_size, 1);
    orr_alloc alloc = rt->alloc;
    orr_mem_free(&alloc, rt, 1, sizeof *rt);
}

lua_State *orr_lua(orr_runtime *rt) {
    return rt->L;
}

uv_loop_t *orr_loop(orr_runtime *rt) {
    return rt->loop;
}

/* ---- stepping -------------------------------------------------------------------------------- */

typedef struct stepping {
    orr_runtime *rt;
    int64_t budget;
    bool more;
} stepping;

static int step(lua_State *L) {
    stepping *s = lua_touserdata(L, 1);
    s->more = orr_script_step(s->rt->script, L, s->budget);
    return 0;
}

int orr_step(orr_runtime *rt, int64_t budget) {
    stepping s = {rt, budget > 0 ? budget : 0, false};
    int status = orr_api_call(rt, step, &s);
    if (status != ORR_OK) return status;
    rt->busy = s.more;
    return s.more;
}

int64_t orr_next_deadline(orr_runtime *rt) {
    if (rt->busy) return 0;
    return orr_script_until_due(rt->script);
}
