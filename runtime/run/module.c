/* module.c - what orrery.core offers of this room and of those below it. */
#include "run/alike.h"

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

/* core.running_run() -> run of the handler we are inside, or nil */
static int core_running_run(lua_State *L) {
    orr_script *s = orr_script_of(L);
    const orr_fiber *f = orr_fiber_current(s);
    if (f && f->run) orr_push_box(L, s, f->run);
    else lua_pushnil(L);
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
    orr_push_anchor(L, orr_runs_of(s)->outcome_mt);
    lua_setmetatable(L, -2);
    return 1;
}

/* core.later(duration) -> what a handler returns to end now and let its node complete that much
 * later, without an output */
static int core_later(lua_State *L) {
    orr_script *s = orr_script_of(L);
    int64_t ns = orr_check_duration(L, 1, "flow.later");
    lua_createtable(L, 1, 0);
    lua_pushinteger(L, ns);
    lua_rawseti(L, -2, 1);
    orr_push_anchor(L, orr_runs_of(s)->later_mt);
    lua_setmetatable(L, -2);
    return 1;
}

/* core.settled(value) -> value; what core.later made is slept through here instead, and is nil
 * then. May yield. */
static int core_settled(lua_State *L) {
    orr_script *s = orr_script_of(L);
    int64_t ns;
    lua_settop(L, 1);
    if (!orr_is_later(L, s, &ns)) return 1;
    orr_fiber *f = orr_fiber_current(s);
    lua_settop(L, 0);
    return f && f->run ? orr_step_sleep(L, s, f, ns) : orr_wait_sleep(L, s, ns);
}

/* core.busy(duration): a handler is at work for so long. No step: it is not recorded, and its node
 * keeps its place. Yields. */
static int core_busy(lua_State *L) {
    int64_t ns = orr_check_duration(L, 1, "core.busy");
    lua_settop(L, 0);
    return orr_wait_busy(L, orr_script_of(L), ns);
}

static void set_function(lua_State *L, int *ref, int at) {
    if (!lua_isnoneornil(L, at)) luaL_checktype(L, at, LUA_TFUNCTION);
    luaL_unref(L, LUA_REGISTRYINDEX, *ref);
    *ref = LUA_NOREF;
    if (lua_isnoneornil(L, at)) return;
    lua_pushvalue(L, at);
    *ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* core.set_compiler(fn[, orphans[, supersede]]): fn(workflow, input[, id]) -> plan, options of
 * rt:start; what ctx:call asks. With the id of a run that was begun it gives the plan of the code
 * that it began with, or nil where that is not known. orphans(rt, run, ids, force) lets children of
 * a restored run go on for which nobody waits any more. supersede(rt, run, lock) cancels the runs
 * of a store that stand before that one in line for its lock. */
static int core_set_compiler(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    set_function(L, &orr_runs_of(s)->compiler, 1);
    set_function(L, &orr_runs_of(s)->orphans, 2);
    set_function(L, &orr_runs_of(s)->supersede, 3);
    return 0;
}

/* core.set_mask(fn): fn(value) -> the value without what is not to be kept or shown; asked of what
 * handlers output, log, report and fail with. Nothing is asked before the first call. */
static int core_set_mask(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, orr_runs_of(s)->mask);
    orr_runs_of(s)->mask = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

void orr_mask(lua_State *L, const orr_script *s, int idx) {
    int mask = orr_runs_of(s)->mask;
    if (mask == LUA_NOREF || lua_isnoneornil(L, idx)) return;
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 4, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, mask);
    lua_pushvalue(L, idx);
    lua_call(L, 1, 1);
    lua_replace(L, idx);
}

/* core.set_explainer(explain, notice): explain(run id, node, item or nil) -> what run:why says of a
 * task that runs, in place of what the engine knows, or nil. notice(rt, over) -> whether to call it
 * again; called after rt:notice_later() or a record, every tenth of a second, for a runtime with a
 * store, and with `over` where a run of it is over. Neither may yield. */
static int core_set_explainer(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    set_function(L, &orr_runs_of(orr_script_of(L))->explain, 1);
    set_function(L, &orr_runs_of(orr_script_of(L))->notice, 2);
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
    const orr_script *s = orr_script_of(L);
    const orr_fibers *all = orr_fibers_of(s);
    lua_pushinteger(L, all->pending + (lua_Integer)all->awaits);
    return 1;
}

static void named_metatable(lua_State *L, const char *name, int *ref) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    *ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void orr_runs_open_module(lua_State *L, orr_script *s) {
    static const luaL_Reg functions[] = {
        {"runtime", orr_core_runtime},
        {"host_runtime", orr_core_host_runtime},
        {"await", orr_core_await},
        {"hide", orr_core_hide},
        {"gather", orr_core_gather},
        {"sleep", orr_core_sleep},
        {"running", core_running},
        {"running_runtime", core_running_runtime},
        {"running_run", core_running_run},
        {"running_plan", core_running_plan},
        {"outcome", core_outcome},
        {"later", core_later},
        {"settled", core_settled},
        {"busy", core_busy},
        {"spools", orr_core_spools},
        {"set_compiler", core_set_compiler},
        {"set_explainer", core_set_explainer},
        {"set_mask", core_set_mask},
        {"here", orr_core_here},
        {"copy", orr_core_copy},
        {"node_names", orr_core_node_names},
        {"node_setter", orr_core_node_setter},
        {"sha256", orr_core_sha256},
        {"hrtime", core_hrtime},
        {"time", core_time},
        {"pending", core_pending},
        {NULL, NULL},
    };
    orr_runs *runs = orr_runs_of(s);
    named_metatable(L, "orrery.outcome", &runs->outcome_mt);
    named_metatable(L, "orrery.later", &runs->later_mt);
    orr_open_ctx(L, s);
    orr_open_view(L, s);
    orr_open_run(L, s);
    orr_open_rt(L, s);
    orr_open_coroutines(L);
    luaL_newlib(L, functions);
    orr_open_plan(L, s);
    lua_setfield(L, -2, "plan");
    orr_open_alike(L, s);
    lua_setfield(L, -2, "alike");
    orr_open_json(L);
    lua_setfield(L, -2, "json");
    orr_push_anchor(L, s->error_mt);
    lua_setfield(L, -2, "error_mt");
}

static void add(lua_State *L, int methods, const luaL_Reg *more) {
    orr_push_anchor(L, methods);
    luaL_setfuncs(L, more, 0);
    lua_pop(L, 1);
}

void orr_runs_add_methods(lua_State *L, const orr_script *s, const luaL_Reg *rt, const luaL_Reg *run) {
    add(L, orr_runs_of(s)->rt_methods, rt);
    add(L, orr_runs_of(s)->run_methods, run);
}
