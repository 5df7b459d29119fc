/* runtime.c - opening and closing a runtime, stepping it, and its errors. */
#include "api/api.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* They are linked with the library, so `require` need not find them: a program may have been
 * linked statically, or have opened the library for itself alone. */
extern int luaopen_luv(lua_State *L);
extern int luaopen_lpeg(lua_State *L);

const char *orr_version(void) {
    return ORR_VERSION;
}

void orr_config_init(orr_config *config) {
    if (config == NULL) return;
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

/* A call that fails inside on_error is not reported to it: it could go on for ever. */
int orr_api_fail(orr_runtime *rt, int status, const char *code, const char *message) {
    if (rt == NULL) return status;
    keep_message(rt, message);
    if (rt->config.on_error != NULL && !rt->reporting) {
        orr_error_info info = {status, code, message};
        rt->reporting = true;
        rt->depth++;
        rt->config.on_error(rt->config.ud, &info);
        rt->depth--;
        rt->reporting = false;
    }
    return status;
}

int orr_api_refuse(orr_runtime *rt, const char *message) {
    return orr_api_fail(rt, ORR_EINVAL, "invalid_argument", message);
}

const char *orr_last_error(const orr_runtime *rt) {
    if (rt == NULL) return "the runtime is NULL: orr_open failed, and config.on_error was told why";
    return rt->error != NULL ? rt->error : "";
}

int orr_api_outside(orr_runtime *rt, const char *message) {
    if (rt == NULL) return ORR_EINVAL;
    bool inside = rt->depth > 0;
    if (rt->script != NULL)
        inside = inside || orr_fibers_of(rt->script)->pumping || orr_fiber_current(rt->script) != NULL ||
                 rt->script->guarded > 0;
    return inside ? orr_api_fail(rt, ORR_ESTATE, "inside_callback", message) : ORR_OK;
}

int orr_api_raise(lua_State *L) {
    orr_push_error(L, orr_script_of(L), "invalid_argument", lua_tostring(L, -1));
    return lua_error(L);
}

int orr_api_raise_text(lua_State *L, const char *format, ...) {
    va_list list;
    va_start(list, format);
    lua_pushvfstring(L, format, list);
    va_end(list);
    return orr_api_raise(L);
}

void orr_api_push_json(lua_State *L, const char *text, const char *name) {
    orr_json_reading how = {.name = name};
    if (text == NULL) lua_pushnil(L);
    else if (!orr_json_decode(L, text, strlen(text), &how)) orr_api_raise(L);
}

/* (error) -> code, message: a structured error's own, the text of any other. */
static int explain(lua_State *L) {
    if (lua_istable(L, 1) && lua_getfield(L, 1, "code") == LUA_TSTRING) {
        luaL_tolstring(L, 1, NULL);
        return 2;
    }
    lua_settop(L, 1);
    lua_pushstring(L, orr_is_memory_error(L, 1) ? "out_of_memory" : "script_error");
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
        {"invalid_argument", ORR_EINVAL},
        {"not_found", ORR_ENOTFOUND},
        {"out_of_memory", ORR_ENOMEM},
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
    if (rt == NULL) return ORR_EINVAL;
    /* one inside a step or a wait, by a callback, leaves the pace to them */
    if (rt->script != NULL && rt->depth == 0) orr_gc_lend(rt);
    return orr_api_work(rt, fn, args);
}

int orr_api_work(orr_runtime *rt, lua_CFunction fn, void *args) {
    if (rt == NULL) return ORR_EINVAL;
    lua_State *L = rt->L;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
    int top = lua_gettop(L);
    if (rt->script != NULL) orr_stay_awake(rt->script); /* none yet while it opens */
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, args);
    rt->depth++;
    int status = lua_pcall(L, 1, 0, 0);
    rt->depth--;
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

static void preload(lua_State *L, const char *name, lua_CFunction open) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pushcfunction(L, open);
        lua_setfield(L, -3, name);
    }
    lua_pop(L, 2);
}

static void push_required(lua_State *L, const char *module) {
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
}

/* Makes the runtime that the configuration describes and pushes it. */
static void push_runtime(lua_State *L, const orr_config *config) {
    static const char *const durabilities[] = {"strict", "relaxed", "none"};
    push_required(L, "orrery");
    lua_getfield(L, -1, "runtime");
    lua_createtable(L, 0, 8);
    static const char *const clocks[] = {"real", "virtual", "host"};
    orr_set_text(L, "clock", clocks[config->clock]);
    orr_set_seconds(L, "now", config->now);
    orr_set_seconds(L, "grace", config->grace);
    orr_set_text(L, "store", config->store);
    orr_set_text(L, "bus", config->bus);
    orr_set_text(L, "durability", durabilities[config->durability]);
    lua_pushinteger(L, config->output_limit < INT64_MAX ? (lua_Integer)config->output_limit : INT64_MAX);
    lua_setfield(L, -2, "output_limit");
    lua_pushinteger(L,
                    config->run_memory_limit < INT64_MAX ? (lua_Integer)config->run_memory_limit : INT64_MAX);
    lua_setfield(L, -2, "memory_limit");
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
    orr_api_open_print(L, rt);
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
    if (rt->own_lua && rt->memory.run_limit > 0)
        orr_fibers_on_slice(rt->script, orr_memory_slice, &rt->memory);
    push_required(L, "orrery.api.stored");
    rt->host = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    rt->natives = luaL_ref(L, LUA_REGISTRYINDEX);
    push_runtime(L, &rt->config);
    lua_pushvalue(L, -1);
    rt->rt = luaL_ref(L, LUA_REGISTRYINDEX); /* first: the box goes with it where the rest fails */
    rt->box = orr_check_rt(L, lua_gettop(L));
    orr_host_opened(rt->box);
    rt->box->saveable = rt->config.saveable;
    orr_api_open_events(L, rt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->host);
    lua_getfield(L, -1, "open");
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->rt);
    lua_call(L, 1, 0);
    lua_newtable(L);
    rt->runs = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    rt->tokens = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    rt->values.table = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushboolean(L, false);
    rt->answer = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int refuse_loop(orr_runtime *rt, int status) {
    char text[160];
    if (status == UV_ENOMEM) return orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
    snprintf(text, sizeof text, "the event loop cannot be made: %s", uv_strerror(status));
    return orr_api_fail(rt, ORR_ESYSTEM, "system_error", text);
}

static int make_loop(orr_runtime *rt) {
    if (rt->config.loop != NULL || rt->config.lua != NULL) {
        rt->loop = rt->config.loop; /* a borrowed state has luv's loop where none is given */
        return ORR_OK;
    }
    uv_loop_t *loop = orr_mem_new(&rt->alloc, 1, sizeof *loop);
    int status = loop != NULL ? uv_loop_init(loop) : UV_ENOMEM;
    if (status == 0) {
        rt->loop = loop;
        rt->own_loop = true;
        return ORR_OK;
    }
    orr_mem_free(&rt->alloc, loop, 1, sizeof *loop);
    return refuse_loop(rt, status);
}

static int make_state(orr_runtime *rt) {
    rt->L = rt->own_lua ? lua_newstate(orr_memory_lua, &rt->memory) : rt->config.lua;
    if (rt->L != NULL) return ORR_OK;
    return orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
}

static int check_config(orr_runtime *rt) {
    const orr_config *c = &rt->config;
    if (c->clock < 0 || c->clock > ORR_CLOCK_HOST)
        return orr_api_refuse(rt, "config.clock: expected an orr_clock_kind");
    if (c->durability < 0 || c->durability > ORR_DURABLE_NONE)
        return orr_api_refuse(rt, "config.durability: expected an orr_durability");
    if (c->now < 0 || c->grace < 0)
        return orr_api_refuse(rt, "config.now and config.grace: expected 0 or more nanoseconds");
    return ORR_OK;
}

/* The struct of another version of the header, as this one's; false for one whose size was not
 * set. */
static bool read_config(orr_config *to, const orr_config *from) {
    orr_config_init(to);
    if (from == NULL) return true;
    if (from->size < offsetof(orr_config, store)) return false;
    memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    return true;
}

static orr_runtime *make(const orr_config *config) {
    orr_alloc alloc = {config->alloc != NULL ? config->alloc : orr_alloc_libc, config->alloc_ud};
    orr_runtime *rt = orr_mem_new(&alloc, 1, sizeof *rt);
    if (rt == NULL) {
        orr_error_info info = {ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM)};
        if (config->on_error != NULL) config->on_error(config->ud, &info);
        return NULL;
    }
    rt->memory.alloc = alloc;
    rt->config = *config;
    rt->flow = rt->host = rt->rt = rt->runs = rt->tokens = rt->answer = rt->natives = LUA_NOREF;
    rt->values.table = rt->events.table = LUA_NOREF;
    rt->own_lua = rt->config.lua == NULL;
    /* what stays in a borrowed state is freed after the runtime, and so by the host's own function
     * */
    rt->alloc = rt->own_lua ? (orr_alloc){orr_memory_engine, &rt->memory} : alloc;
    rt->memory.limit = rt->config.memory_limit;
    rt->memory.run_limit = rt->config.run_memory_limit;
    return rt;
}

static void shut(orr_runtime *rt);

orr_runtime *orr_open(const orr_config *given) {
    orr_config config;
    if (!read_config(&config, given)) return NULL;
    orr_runtime *rt = make(&config);
    if (rt == NULL) return NULL;
    int status = check_config(rt);
    if (status == ORR_OK) status = make_loop(rt);
    if (status == ORR_OK) status = make_state(rt);
    if (status == ORR_OK) status = orr_api_call(rt, open_modules, rt);
    if (status == ORR_OK) status = orr_api_open_posts(rt);
    if (status == ORR_OK && rt->config.resume) status = orr_resume_all(rt, 0);
    if (status == ORR_OK) {
        orr_gc_open(rt);
        return rt;
    }
    shut(rt);
    return NULL;
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
    const int refs[] = {rt->flow,   rt->host,    rt->rt,           rt->runs,        rt->tokens,
                        rt->answer, rt->natives, rt->values.table, rt->events.table};
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

/* Of what a runtime has used on the loop of a state that goes on: its workers, and with the last
 * runtime what all of them share. */
static int let_loop_go(lua_State *L) {
    const orr_runtime *rt = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->host);
    lua_getfield(L, -1, "close");
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->rt);
    lua_call(L, 1, 0);
    if (orr_host_runtime(rt->script) == NULL) orr_bind_let_loop_go(L);
    return 0;
}

/* From here on nothing of the host's is called any more, but config.on_error where the store cannot
 * be written. */
static void close_runs(orr_runtime *rt) {
    orr_api_close_posts(rt);
    orr_api_close_events(rt);
    if (rt->script != NULL) orr_api_close_types(rt);
    if (rt->rt != LUA_NOREF) orr_api_call(rt, close_store, rt);
    if (rt->box != NULL && !rt->own_lua) {
        orr_runtime_shut(rt->box);
        orr_api_call(rt, let_loop_go, rt);
    }
    orr_api_free_workflows(rt);
}

static void shut(orr_runtime *rt) {
    close_runs(rt);
    if (rt->own_lua && rt->L != NULL) {
        if (rt->own_loop || rt->config.loop != NULL) orr_loop_finish_closing(rt->loop);
        lua_close(rt->L);
        /* handles that Lua's objects had are freed by this runtime's allocator */
        if (rt->config.loop != NULL) orr_loop_finish_closing(rt->loop);
    } else if (rt->L != NULL) orr_api_call(rt, unref_all, rt);
    if (rt->own_loop) {
        close_loop(rt);
        orr_mem_free(&rt->alloc, rt->loop, 1, sizeof *rt->loop);
    }
    orr_mem_free(&rt->alloc, rt->generations, rt->n_slots, sizeof *rt->generations);
    orr_mem_free(&rt->alloc, rt->values.slots, rt->values.room, sizeof *rt->values.slots);
    orr_mem_free(&rt->alloc, rt->error, rt->error_size, 1);
    orr_alloc alloc = rt->memory.alloc;
    orr_mem_free(&alloc, rt, 1, sizeof *rt);
}

int orr_close(orr_runtime *rt) {
    if (rt == NULL) return ORR_OK;
    int status = orr_api_outside(
        rt,
        "orr_close: the runtime is at work; close it once the call that called this callback has returned");
    if (status != ORR_OK) return status;
    rt->depth++; /* finalisers run while it closes */
    shut(rt);
    return ORR_OK;
}

lua_State *orr_lua(orr_runtime *rt) {
    return rt != NULL ? rt->L : NULL;
}

uv_loop_t *orr_loop(orr_runtime *rt) {
    return rt != NULL ? rt->loop : NULL;
}

/* ---- stepping -------------------------------------------------------------------------------- */

typedef struct stepping {
    orr_runtime *rt;
    int64_t budget;
    bool more;
} stepping;

static int step(lua_State *L) {
    stepping *s = lua_touserdata(L, 1);
    orr_gc_step(s->rt);
    orr_api_take_posts(s->rt);
    s->more = orr_script_step(s->rt->script, L, s->budget);
    return 0;
}

int orr_step(orr_runtime *rt, int64_t budget) {
    int status = orr_api_outside(
        rt, "orr_step: it is at work already; a callback returns, and what it has begun is gone on with");
    if (status != ORR_OK) return status;
    orr_api_drop_values(rt, 0);
    int64_t reserve = budget > 0 ? orr_gc_reserve(rt, budget) : 0;
    stepping s = {rt, budget > 0 ? budget - reserve : 0, false};
    status = orr_api_work(rt, step, &s);
    if (status != ORR_OK) return status;
    rt->busy = s.more;
    orr_gc_leftover(rt, reserve, budget);
    return s.more;
}

int orr_advance(orr_runtime *rt, int64_t dt) {
    if (rt == NULL) return ORR_EINVAL;
    if (rt->config.clock != ORR_CLOCK_HOST)
        return orr_api_fail(
            rt, ORR_ESTATE, "wrong_state",
            "orr_advance: the clock is not the host's; config.clock = ORR_CLOCK_HOST makes it so");
    if (dt < 0)
        return orr_api_fail(rt, ORR_EINVAL, "invalid_argument",
                            "orr_advance: dt is below 0; time does not go back");
    orr_engine_advance(rt->box->base.engine, dt);
    return ORR_OK;
}

int64_t orr_time(orr_runtime *rt) {
    return rt != NULL ? orr_engine_now(rt->box->base.engine) : 0;
}

int64_t orr_next_deadline(orr_runtime *rt) {
    if (rt == NULL) return INT64_MAX;
    if (rt->busy || orr_api_has_posts(rt)) return 0;
    return orr_script_until_due(rt->script);
}
