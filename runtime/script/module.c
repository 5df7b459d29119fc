/* module.c - the module table of orrery.core. */
#include "state.h"
#include "json.h"
#include <lauxlib.h>

/* core.running() -> ctx of the handler we are inside, or nil */
static int core_running(lua_State *L) {
    orr_script *s = orr_script_of(L);
    const orr_fiber *f = orr_fiber_current(s);
    if (f && f->run) orr_push_ctx(L, s, orr_fiber_at(s, f->root));
    else lua_pushnil(L);
    return 1;
}

/* core.running_plan() -> the plan of the run whose handler or condition we are inside, or nil */
static int core_running_plan(lua_State *L) {
    orr_script *s = orr_script_of(L);
    const orr_fiber *f = orr_fiber_current(s);
    if (f && f->run) orr_push_box(L, s, f->run->plan);
    else lua_pushnil(L);
    return 1;
}

/* core.running_runtime() -> runtime of the handler we are inside, or nil */
static int core_running_runtime(lua_State *L) {
    orr_script *s = orr_script_of(L);
    const orr_fiber *f = orr_fiber_current(s);
    if (f && f->run) orr_push_box(L, s, f->run->rt);
    else lua_pushnil(L);
    return 1;
}

/* A function that core.noting made. Upvalues: that of the function it stands for, the one to call first, the function. */
static int call_noted(lua_State *L) {
    int n = lua_gettop(L);
    luaL_checkstack(L, n + 1, NULL);
    lua_pushvalue(L, lua_upvalueindex(2));
    for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
    lua_call(L, n, 0);
    return lua_tocfunction(L, lua_upvalueindex(3))(L);
}

/* core.noting(fn, note) -> a function like the C function fn, which calls note with its arguments first; nil where fn is none or
 * has not exactly one upvalue. It runs fn in its own frame, so that fn's errors and tracebacks are what they were: a function
 * that called fn would stand between it and its caller. */
static int core_noting(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (!lua_iscfunction(L, 1) || !lua_getupvalue(L, 1, 1) || lua_getupvalue(L, 1, 2)) {
        lua_pushnil(L);
        return 1;
    }
    lua_insert(L, 1);  /* its upvalue, the function, note */
    lua_insert(L, -2); /* its upvalue, note, the function */
    lua_pushcclosure(L, call_noted, 3);
    return 1;
}

/* core.outcome(name, value) -> what a handler returns to take a named outcome */
static int core_outcome(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 2);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 2);
    orr_push_anchor(L, s->at.outcome_mt);
    lua_setmetatable(L, -2);
    return 1;
}

/* core.later(duration) -> what a handler returns to end now and let its node complete that much later, without an output */
static int core_later(lua_State *L) {
    orr_script *s = orr_script_of(L);
    int64_t ns = orr_check_duration(L, 1, "flow.later");
    lua_createtable(L, 1, 0);
    lua_pushinteger(L, ns);
    lua_rawseti(L, -2, 1);
    orr_push_anchor(L, s->at.later_mt);
    lua_setmetatable(L, -2);
    return 1;
}

/* core.settled(value) -> value; what core.later made is slept through here instead, and is nil then. May yield. */
static int core_settled(lua_State *L) {
    orr_script *s = orr_script_of(L);
    int64_t ns;
    lua_settop(L, 1);
    if (!orr_is_later(L, s, &ns)) return 1;
    lua_settop(L, 0);
    return orr_wait_sleep(L, s, ns);
}

/* core.set_compiler(fn[, orphans]): fn(workflow, input[, id]) -> plan, options of rt:start; what ctx:call asks. With the id of a run that
 * was begun it gives the plan of the code that it began with, or nil where that is not known. orphans(rt, run, ids, force) lets children of a restored run go on for which nobody waits any more. */
static int core_set_compiler(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    luaL_unref(L, LUA_REGISTRYINDEX, s->at.orphans);
    s->at.orphans = LUA_NOREF;
    if (lua_isnil(L, 2)) lua_pop(L, 1);
    else s->at.orphans = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_unref(L, LUA_REGISTRYINDEX, s->at.compiler);
    s->at.compiler = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* core.hrtime() -> ns on the monotonic clock */
static int core_hrtime(lua_State *L) {
    lua_pushinteger(L, orr_monotonic_time());
    return 1;
}

/* core.time() -> seconds since the epoch */
static int core_time(lua_State *L) {
    lua_pushnumber(L, (lua_Number)orr_wall_time() / 1e9);
    return 1;
}

/* core.pending() -> operations under way outside */
static int core_pending(lua_State *L) {
    orr_script *s = orr_script_of(L);
    lua_pushinteger(L, s->pending + (lua_Integer)s->awaits);
    return 1;
}

static int error_tostring(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "code");
    lua_getfield(L, 1, "message");
    lua_pushfstring(L, "%s: %s", luaL_tolstring(L, 2, NULL), luaL_tolstring(L, 3, NULL));
    return 1;
}

static void named_metatable(lua_State *L, const char *name, int *ref) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    *ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

int luaopen_orrery_core(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"runtime", orr_core_runtime}, {"await", orr_core_await}, {"gather", orr_core_gather},
        {"sleep", orr_core_sleep}, {"running", core_running}, {"running_runtime", core_running_runtime}, {"outcome", core_outcome}, {"later", core_later},
        {"settled", core_settled}, {"running_plan", core_running_plan}, {"noting", core_noting}, {"sha256", orr_core_sha256}, {"store", orr_core_store},
        {"cache_get", orr_core_cache_get}, {"cache_skip", orr_core_cache_skip}, {"cache_put", orr_core_cache_put},
        {"set_compiler", core_set_compiler}, {"hrtime", core_hrtime}, {"time", core_time}, {"pending", core_pending},
        {NULL, NULL}};
    orr_script *s = orr_script_open(L);
    named_metatable(L, "orrery.outcome", &s->at.outcome_mt);
    named_metatable(L, "orrery.later", &s->at.later_mt);
    named_metatable(L, "orrery.error", &s->at.error_mt);
    orr_push_anchor(L, s->at.error_mt);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
    orr_open_ctx(L, s);
    orr_open_view(L, s);
    orr_open_run(L, s);
    orr_open_rt(L, s);
    orr_open_coroutines(L);
    luaL_newlib(L, functions);
    orr_open_plan(L, s);
    lua_setfield(L, -2, "plan");
    orr_open_json(L);
    lua_setfield(L, -2, "json");
    orr_open_process(L);
    lua_setfield(L, -2, "spawn");
    orr_open_http(L);
    lua_setfield(L, -2, "transfer");
    orr_push_anchor(L, s->at.error_mt);
    lua_setfield(L, -2, "error_mt");
    return 1;
}
