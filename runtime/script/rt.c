/* rt.c - a runtime as a Lua value, and what is done with the actions of its core. */
#include "state.h"
#include <lauxlib.h>
#include <string.h>

/* ---- the driver ------------------------------------------------------------------------------------------------- */

static orr_fiber *fiber_of_action(orr_script *s, const orr_runbox *r, const orr_action *a) {
    return orr_fiber_of(s, r, &a->task);
}

/* A node that is a C function: no fiber, no Lua. */
static void run_native(const orr_runbox *r, const orr_action *a) {
    const orr_native *native = &r->plan->natives[a->task.node];
    orr_result result = {.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
    int status = native->fn(native->ud, a->task.node);
    if (status != ORR_OK) {
        result.end = ORR_END_FAILED;
        result.error = (orr_error){.code = "handler_error", .message = orr_strerror(status), .retry_after = -1};
    }
    orr_task_end(a->run, &a->task, &result);
}

/* A task without a fiber is one whose handler has ended and said `later`: its time has come, or it is no longer wanted. */
static void end_sleeper(const orr_action *a, orr_end end) {
    orr_result result = {.end = end, .port = ORR_PORT_ANY};
    orr_task_end(a->run, &a->task, &result);
}

static void act(void *ud, const orr_action *a) {
    orr_rtbox *rt = ud;
    orr_script *s = rt->script;
    orr_runbox *r = orr_run_ud(a->run);
    orr_fiber *f;
    switch (a->kind) {
    case ORR_ACT_START:
        if (r->plan->natives) run_native(r, a);
        else orr_fiber_start(s, r, a);
        break;
    case ORR_ACT_RESUME:
        if ((f = fiber_of_action(s, r, a))) orr_wait_slot(s, f);
        else end_sleeper(a, ORR_END_COMPLETED);
        break;
    case ORR_ACT_CANCEL:
        if ((f = fiber_of_action(s, r, a))) orr_fiber_cancel(s, f, a->reason);
        else end_sleeper(a, ORR_END_CANCELLED);
        break;
    case ORR_ACT_ABANDON:
        if ((f = fiber_of_action(s, r, a))) orr_fiber_abandon(s, f);
        break;
    case ORR_ACT_RUN_END:
        orr_run_over(s, r);
        break;
    case ORR_ACT_NONE:
        break;
    }
}

/* ORR_NEVER for a run that has lost a record: it is about to be dropped. */
static uint64_t ticket_of(void *ud, const orr_action *a) {
    (void)ud;
    const orr_runbox *r = orr_run_ud(a->run);
    return r->ticket;
}

static void wait_ticket(void *ud, uint64_t ticket) {
    orr_storage_wait(ud, ticket);
}

static void timer_due(void *ud, const orr_timer *timer) {
    orr_rtbox *rt = ud;
    if (timer->owner == rt->script) orr_wait_timer(rt->script, timer);
    else orr_uvtimer_due(timer->owner);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static void free_rt(orr_script *s, orr_owned *owned) {
    orr_rtbox *rt = (orr_rtbox *)owned;
    orr_storage_close(rt);
    orr_uvtimers_forget(s, rt);
    orr_engine_free(rt->runtime);
    orr_mem_free(&s->alloc, rt->tickets, rt->cap_tickets, sizeof *rt->tickets);
    orr_free_box(s, owned, sizeof(orr_rtbox));
}

static void collect_rt(orr_script *s, orr_owned *owned) {
    orr_rtbox *rt = (orr_rtbox *)owned;
    for (orr_rtbox **link = &s->runtimes; *link; link = &(*link)->next) {
        if (*link != rt) continue;
        *link = rt->next;
        break;
    }
    if (s->default_rt == rt) s->default_rt = NULL;
    for (orr_runbox *r = rt->runs; r; r = r->next) {
        orr_journal_drop(r);
        r->run = NULL;
        r->live = false;
    }
    if (rt->graves) orr_runs_bury(rt);
    free_rt(s, owned);
}

orr_rtbox *orr_check_rt(lua_State *L, int idx) {
    return orr_check_box(L, idx, orr_script_of(L)->at.rt_mt, "runtime");
}

static bool wants_virtual(lua_State *L, int opts) {
    lua_getfield(L, opts, "clock");
    const char *clock = luaL_optstring(L, -1, "real");
    bool is_virtual = strcmp(clock, "virtual") == 0;
    if (!is_virtual && strcmp(clock, "real") != 0)
        luaL_error(L, "clock: expected \"real\" or \"virtual\", got \"%s\"", clock);
    lua_pop(L, 1);
    return is_virtual;
}

#define WATCH INT64_C(30000000000) /* ns */

/* watch = seconds, a duration's text, 0 or false for never; output_limit = bytes */
static void read_limits(lua_State *L, orr_rtbox *rt, int opts) {
    if (lua_getfield(L, opts, "watch") == LUA_TBOOLEAN && !lua_toboolean(L, -1)) rt->watch = 0;
    else if (!lua_isnil(L, -1)) rt->watch = orr_check_duration(L, lua_gettop(L), "watch");
    lua_getfield(L, opts, "output_limit");
    lua_Integer limit = luaL_optinteger(L, -1, 0);
    if (limit < 0) luaL_error(L, "output_limit: expected a number of bytes, got %d", (int)limit);
    rt->output_limit = (size_t)limit;
    lua_pop(L, 2);
}

static void open_storage(lua_State *L, orr_rtbox *rt, int opts) {
    read_limits(L, rt, opts);
    static const char *const durabilities[] = {"strict", "relaxed", "none", NULL};
    lua_getfield(L, opts, "durability");
    int durability = lua_isnil(L, -1) ? 0 : luaL_checkoption(L, -1, NULL, durabilities);
    lua_getfield(L, opts, "store");
    if (!lua_isnil(L, -1)) orr_storage_open(L, rt, luaL_checkstring(L, -1), durability);
    lua_pop(L, 2);
}

static uint32_t count_field(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key);
    lua_Integer n = luaL_optinteger(L, -1, 0);
    if (n < 0 || n > UINT32_MAX) luaL_error(L, "%s is out of range", key);
    lua_pop(L, 1);
    return (uint32_t)n;
}

orr_rtbox *orr_rt_new(lua_State *L, orr_script *s, int opts) {
    orr_engine_options o = {.alloc = s->alloc};
    if (opts) {
        o.virtual_clock = wants_virtual(L, opts);
        o.now = orr_read_seconds(L, opts, "now");
        o.grace = orr_read_seconds(L, opts, "grace");
        o.crash_limit = count_field(L, opts, "crash_limit");
        lua_getfield(L, opts, "watchdog");
        if (lua_toboolean(L, -1) && !s->watching)
            s->watching = orr_watchdog_start(&s->watchdog) == ORR_OK;
        lua_pop(L, 1);
    }
    orr_rtbox *rt = orr_new_box(L, s, sizeof *rt, RT_VALUES, s->at.rt_mt,
                                &(orr_owned){.collect = collect_rt, .close = free_rt});
    rt->script = s;
    rt->is_virtual = o.virtual_clock;
    rt->watch = WATCH;
    rt->watch_due = INT64_MAX;
    rt->refill = LUA_NOREF;
    lua_newtable(L);
    lua_setiuservalue(L, -2, RT_LISTENERS);
    lua_newtable(L);
    lua_setiuservalue(L, -2, RT_QUEUE);
    o.hooks = (orr_hooks){.ud = rt, .evaluate = orr_on_evaluate, .event = orr_on_event};
    o.driver = (orr_driver){.ud = rt, .act = act, .timer = timer_due, .ticket = ticket_of, .wait = wait_ticket};
    rt->runtime = orr_engine_new(&o);
    if (!rt->runtime) luaL_error(L, "not enough memory for a runtime");
    if (rt->is_virtual) orr_uvtimers_install(L, s);
    if (opts) open_storage(L, rt, opts);
    return rt;
}

orr_rtbox *orr_rt_default(lua_State *L, orr_script *s) {
    if (!s->default_rt) {
        orr_rtbox *rt = orr_rt_new(L, s, 0);
        orr_rt_use(L, rt, 1); /* for good: fibers without a node keep their timers here */
        s->default_rt = rt;
        lua_pop(L, 1);
    }
    return s->default_rt;
}

/* core.runtime([{clock=, now=, grace=, watchdog=, store=, durability=, watch=, output_limit=, crash_limit=}]) -> rt; without options the default one. */
int orr_core_runtime(lua_State *L) {
    orr_script *s = orr_script_of(L);
    if (lua_isnoneornil(L, 1)) {
        orr_push_box(L, s, orr_rt_default(L, s));
        return 1;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    orr_rt_new(L, s, 1);
    return 1;
}

/* ---- methods ------------------------------------------------------------------------------------------------------- */

/* rt:start(plan, {input=, context=, seed=, concurrency=, id=, env=}) -> run */
static int rt_start(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    orr_check_plan(L, 2);
    if (lua_isnoneornil(L, 3)) {
        lua_settop(L, 2);
        lua_newtable(L);
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    orr_run_start(L, rt, 1, 2, 3);
    return 1;
}

static bool run_is_over(void *ud) {
    return !((orr_runbox *)ud)->live;
}

/* rt:wait(run) -> run. Inside a handler or under the command it yields; elsewhere it runs the loop. */
static int rt_wait(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    orr_runbox *r = orr_check_run(L, 2);
    orr_script *s = rt->script;
    if (r->live && !orr_wait_outside(L, s)) return orr_run_await(L, r, false);
    if (r->live && !orr_pump(s, L, run_is_over, r))
        return luaL_error(L, "run %s cannot go on: it is %s, and nothing is left that could end that", r->id,
                          orr_run_state_text(r));
    lua_settop(L, 2);
    return 1;
}

/* rt:step(seconds) -> whether there is more to do now */
static int rt_step(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    lua_Number budget = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, budget >= 0 && budget < 1e9, 2, "out of range");
    if (!orr_wait_outside(L, rt->script)) return luaL_error(L, "rt:step cannot be called in a handler or a callback");
    lua_pushboolean(L, orr_script_step(rt->script, L, (int64_t)(budget * 1e9)));
    return 1;
}

static void check_status(lua_State *L, orr_status status, const char *what) {
    if (status == ORR_OK) return;
    luaL_error(L, "%s: %s", what, status == ORR_ENOMEM ? "not enough memory" : "the settings are out of range");
}

/* rt:pool(name, {max=, rate=, per=}) */
static int rt_pool(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const char *name = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_getfield(L, 3, "max");
    lua_Integer max = luaL_optinteger(L, -1, UINT32_MAX);
    lua_getfield(L, 3, "rate");
    lua_Number rate = luaL_optnumber(L, -1, 0);
    if (max < 0 || !(rate >= 0)) return luaL_error(L, "pool %s: max and rate are not negative", name);
    int64_t per = orr_read_seconds(L, 3, "per");
    if (max > UINT32_MAX) max = UINT32_MAX;
    check_status(L, orr_core_pool(orr_engine_core(rt->runtime), name, (uint32_t)max, rate, per ? per : 1000000000),
                 name);
    return 0;
}

static int rt_has_pool(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    lua_pushboolean(L, orr_core_has_pool(orr_engine_core(rt->runtime), luaL_checkstring(L, 2)));
    return 1;
}

/* rt:pause_pool(name, paused) */
static int rt_pause_pool(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const char *name = luaL_checkstring(L, 2);
    if (orr_core_pool_pause(orr_engine_core(rt->runtime), name, lua_toboolean(L, 3)) != ORR_OK)
        return luaL_error(L, "no pool is called %s", name);
    return 0;
}

/* rt:breaker(name, {threshold=, window=, cooldown=, probes=}) */
static int rt_breaker(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const char *name = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    orr_breaker_options o = {.threshold = count_field(L, 3, "threshold"),
                             .window = orr_read_seconds(L, 3, "window"),
                             .cooldown = orr_read_seconds(L, 3, "cooldown"),
                             .probes = count_field(L, 3, "probes")};
    check_status(L, orr_core_breaker(orr_engine_core(rt->runtime), name, &o), name);
    return 0;
}

/* rt:now() -> seconds since the epoch on its clock */
static int rt_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)orr_engine_now(orr_check_rt(L, 1)->runtime) / 1e9);
    return 1;
}

/* rt:url() -> that of its store, or nil */
static int rt_url(lua_State *L) {
    lua_pushstring(L, orr_storage_url(orr_check_rt(L, 1)));
    return 1;
}

/* rt:durable() -> whether runs keep a journal in a store unless they ask for none */
static int rt_durable(lua_State *L) {
    lua_pushboolean(L, orr_storage_is_durable(orr_check_rt(L, 1)));
    return 1;
}

/* Dropping a run may run code of the user's, which may change the list: so it is begun anew each time. */
static orr_runbox *first_journaled(const orr_rtbox *rt) {
    orr_runbox *r = rt->runs;
    while (r && !(r->live && r->journal)) r = r->next;
    return r;
}

/* rt:close(): makes durable what was recorded and closes the store; runs that are live stay resumable. Blocks. */
static int rt_close(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    lua_settop(L, 1);
    orr_rt_refill(L);
    if (!rt->storage) return 0;
    orr_check_may_drop(L, rt, NULL, "rt:close");
    for (orr_runbox *r; (r = first_journaled(rt));) {
        orr_push_error(L, rt->script, "suspended", "the runtime was closed");
        orr_run_suspend(r->run);
        orr_run_drop(L, r);
    }
    for (orr_runbox *r = rt->runs; r; r = r->next) orr_journal_drop(r);
    rt->closed = true;
    orr_storage_close(rt);
    return 0;
}

void orr_open_rt(lua_State *L, orr_script *s) {
    static const luaL_Reg methods[] = {
        {"start", rt_start}, {"wait", rt_wait}, {"step", rt_step}, {"on", orr_rt_on}, {"pool", rt_pool},
        {"has_pool", rt_has_pool}, {"pause_pool", rt_pause_pool}, {"breaker", rt_breaker}, {"now", rt_now},
        {"restore", orr_rt_restore}, {"sync", orr_rt_sync}, {"keep_module", orr_rt_keep_module}, {"store", orr_rt_store},
        {"close", rt_close}, {"refill", orr_rt_refill}, {"durable", rt_durable}, {"url", rt_url},
        {NULL, NULL}};
    lua_newtable(L);
    orr_box_metatable(L);
    lua_pushliteral(L, "orrery.runtime");
    lua_setfield(L, -2, "__name");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    s->at.rt_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}
