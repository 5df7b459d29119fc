/* runtime.c - a runtime as a Lua value. */
#include "run/inner.h"
#include <string.h>

#define WATCH INT64_C(30000000000)      /* ns of silence that are reported */
#define OUTPUT_LIMIT ((size_t)16 << 20) /* bytes of an output as JSON */
#define MEMORY_LIMIT ((size_t)1 << 30)  /* bytes of a run's outputs in memory */
#define LARGE_OUTPUT ((size_t)1 << 20)  /* bytes in memory */

/* ---- what the turn asks of it ---------------------------------------------------------------- */

static int64_t look_at(const orr_rt *rt) {
    return orr_rtbox_of(rt)->look_at;
}

static bool more_to_come(const orr_rt *rt) {
    return orr_rtbox_of(rt)->refill != LUA_NOREF;
}

static bool busy(const orr_rt *base) {
    const orr_rtbox *rt = orr_rtbox_of(base);
    return rt->storage && rt->keeper->busy(rt);
}

static void count(const orr_rt *base, bool counted) {
    const orr_rtbox *rt = orr_rtbox_of(base);
    if (rt->storage) rt->keeper->count(rt, counted);
}

static void tidy(orr_rt *rt) {
    orr_runs_free_unneeded(orr_rtbox_of(rt));
}

static const orr_rt_class class = {
    .look_at = look_at,
    .more_to_come = more_to_come,
    .busy = busy,
    .count = count,
    .tidy = tidy,
    .clock = orr_attempt_clock,
    .comes = orr_attempt_comes,
};

/* ---- making ---------------------------------------------------------------------------------- */

static void free_rt(orr_script *s, orr_owned *owned) {
    orr_rtbox *rt = (orr_rtbox *)owned;
    if (rt->storage) rt->keeper->close(rt);
    orr_uvtimers_forget(s, &rt->base);
    orr_run_table_free(rt);
    orr_engine_free(rt->base.engine);
    orr_mem_free(&s->alloc, rt->tickets, rt->cap_tickets, sizeof *rt->tickets);
    orr_tally_free(rt);
    orr_free_box(s, owned, sizeof(orr_rtbox));
}

static void collect_rt(orr_script *s, orr_owned *owned) {
    orr_rtbox *rt = (orr_rtbox *)owned;
    orr_rt_unlist(s, &rt->base);
    orr_host_closed(rt);
    orr_runs_drop_kept(s, rt);
    for (orr_runbox *r = rt->runs; r; r = r->next) {
        r->run = NULL;
        r->live = false;
    }
    if (rt->unneeded) orr_runs_free_unneeded(rt);
    free_rt(s, owned);
}

orr_rtbox *orr_check_rt(lua_State *L, int idx) {
    return orr_check_box(L, idx, orr_runs_of(orr_script_of(L))->rt_mt, "runtime");
}

enum { CLOCK_IS_REAL, CLOCK_JUMPS, CLOCK_IS_HOSTS };

static int read_clock(lua_State *L, int opts) {
    static const char *const clocks[] = {"real", "virtual", "host"};
    lua_getfield(L, opts, "clock");
    const char *clock = luaL_optstring(L, -1, "real");
    size_t i = 0, n = sizeof clocks / sizeof *clocks;
    while (i < n && strcmp(clock, clocks[i]) != 0) i++;
    if (i == n) luaL_error(L, "clock: expected \"real\", \"virtual\" or \"host\", got \"%s\"", clock);
    lua_pop(L, 1);
    return (int)i;
}

static bool holds_clock(lua_State *L, int opts) {
    lua_getfield(L, opts, "hold");
    bool holds = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return holds;
}

static size_t read_bytes(lua_State *L, int opts, const char *key, size_t otherwise) {
    lua_getfield(L, opts, key);
    lua_Integer limit = luaL_optinteger(L, -1, 0);
    if (limit < 0) luaL_error(L, "%s: expected a number of bytes, got %I", key, (LUAI_UACINT)limit);
    lua_pop(L, 1);
    return limit ? (size_t)limit : otherwise;
}

/* watch = seconds, a duration's text, 0 or false for never; the limits in bytes */
static void read_limits(lua_State *L, orr_rtbox *rt, int opts) {
    if (lua_getfield(L, opts, "watch") == LUA_TBOOLEAN && !lua_toboolean(L, -1)) rt->watch = 0;
    else if (!lua_isnil(L, -1)) rt->watch = orr_check_duration(L, lua_gettop(L), "watch");
    lua_pop(L, 1);
    rt->output_limit = read_bytes(L, opts, "output_limit", OUTPUT_LIMIT);
    rt->memory_limit = read_bytes(L, opts, "memory_limit", MEMORY_LIMIT);
    rt->large_output = read_bytes(L, opts, "large_output", LARGE_OUTPUT);
}

static void open_storage(lua_State *L, orr_rtbox *rt, int opts) {
    read_limits(L, rt, opts);
    lua_getfield(L, opts, "simulated");
    rt->simulated = lua_toboolean(L, -1);
    lua_pop(L, 1);
    static const char *const durabilities[] = {"strict", "relaxed", "none", NULL};
    lua_getfield(L, opts, "durability");
    int durability = lua_isnil(L, -1) ? 0 : luaL_checkoption(L, -1, NULL, durabilities);
    lua_getfield(L, opts, "store");
    if (!lua_isnil(L, -1)) rt->keeper->open(L, rt, luaL_checkstring(L, -1), durability);
    lua_pop(L, 2);
}

uint32_t orr_count_field(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key);
    lua_Integer n = luaL_optinteger(L, -1, 0);
    if (n < 0 || n > UINT32_MAX) luaL_error(L, "%s is out of range", key);
    lua_pop(L, 1);
    return (uint32_t)n;
}

orr_rtbox *orr_runtime_new(lua_State *L, orr_script *s, int opts) {
    orr_engine_options o = {.alloc = s->alloc, .budget = &orr_fibers_of(s)->budget};
    int clock = opts ? read_clock(L, opts) : CLOCK_IS_REAL;
    if (opts) {
        o.virtual_clock = clock != CLOCK_IS_REAL;
        o.now = orr_read_seconds(L, opts, "now");
        o.grace = orr_read_seconds(L, opts, "grace");
        o.crash_limit = orr_count_field(L, opts, "crash_limit");
        lua_getfield(L, opts, "watchdog");
        if (lua_toboolean(L, -1)) orr_fibers_watch(s);
        lua_getfield(L, opts, "contain");
        if (!lua_isnil(L, -1)) orr_fibers_of(s)->contain = lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (lua_getfield(L, opts, "callback_limit") == LUA_TBOOLEAN && !lua_toboolean(L, -1))
            orr_fibers_of(s)->callback_limit = 0;
        else if (!lua_isnil(L, -1))
            orr_fibers_of(s)->callback_limit = orr_check_duration(L, lua_gettop(L), "callback_limit");
        lua_pop(L, 2);
    }
    orr_rtbox *rt = orr_new_box(L, s,
                                &(orr_box_kind){.size = sizeof *rt,
                                                .values = RT_VALUES,
                                                .metatable = orr_runs_of(s)->rt_mt,
                                                .collect = collect_rt,
                                                .close = free_rt});
    rt->base.script = s;
    rt->base.is_virtual = o.virtual_clock;
    rt->base.jumps = clock == CLOCK_JUMPS;
    rt->base.class = &class;
    rt->base.stop = INT64_MAX;
    rt->base.stander = ORR_NONE;
    rt->records_left = UINT64_MAX;
    rt->keeper = orr_runs_of(s)->keeper;
    rt->durable_to = UINT64_MAX;
    rt->output_limit = OUTPUT_LIMIT;
    rt->memory_limit = MEMORY_LIMIT;
    rt->large_output = LARGE_OUTPUT;
    rt->watch = WATCH;
    rt->look_at = INT64_MAX;
    rt->refill = LUA_NOREF;
    lua_newtable(L);
    lua_setiuservalue(L, -2, RT_LISTENERS);
    lua_newtable(L);
    lua_setiuservalue(L, -2, RT_QUEUE);
    o.hooks =
        (orr_hooks){.ud = rt, .evaluate = orr_on_evaluate, .event = orr_on_event, .clock = orr_on_clock};
    o.driver = orr_actions_driver(rt);
    rt->base.engine = orr_engine_new(&o);
    if (!rt->base.engine) luaL_error(L, "not enough memory for a runtime");
    if (rt->base.is_virtual) orr_uvtimers_install(L, s);
    if (rt->base.is_virtual && holds_clock(L, opts)) orr_held_set(&rt->base, true);
    if (opts) open_storage(L, rt, opts);
    return rt;
}

/* It is never freed before the state is closed: fibers without a node keep their timers on it. */
void orr_runtime_make_default(lua_State *L, orr_script *s) {
    orr_rtbox *rt = orr_runtime_new(L, s, 0);
    orr_rt_use(L, &rt->base, 1);
    orr_fibers_of(s)->default_rt = &rt->base;
    lua_pop(L, 1);
}

/* core.runtime([{clock=, hold=, now=, grace=, watchdog=, store=, durability=, watch=,
 * output_limit=,
 * memory_limit=, crash_limit=, callback_limit=,
 * contain=, simulated=}]) -> rt; without options that of the embedding program, or else the
 * default one. */
int orr_core_runtime(lua_State *L) {
    orr_script *s = orr_script_of(L);
    if (lua_isnoneornil(L, 1)) {
        const orr_rtbox *host = orr_host_runtime(s);
        orr_push_box(L, s, host ? &host->base : orr_rt_default(L, s));
        return 1;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    orr_runtime_new(L, s, 1);
    return 1;
}

/* ---- methods --------------------------------------------------------------------------------- */

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

/* rt:wait(run) -> run. Inside a handler or under the command it yields; elsewhere it runs the
 * loop. */
static int rt_wait(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    orr_runbox *r = orr_check_run(L, 2);
    orr_script *s = rt->base.script;
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
    if (!orr_wait_outside(L, rt->base.script))
        return luaL_error(L, "rt:step cannot be called in a handler or a callback");
    lua_pushboolean(L, orr_script_step(rt->base.script, L, (int64_t)(budget * 1e9)));
    return 1;
}

/* rt:now() -> seconds since the epoch on its clock */
static int rt_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)orr_engine_now(orr_check_rt(L, 1)->base.engine) / 1e9);
    return 1;
}

/* rt:skip(seconds): a virtual clock goes on by so much at once, past what is due meanwhile */
static int rt_skip(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    lua_Number seconds = luaL_checknumber(L, 2);
    luaL_argcheck(L, seconds >= 0 && seconds < 9e9, 2, "out of range");
    luaL_argcheck(L, rt->base.is_virtual, 1, "the clock of this runtime is real, and is not set");
    orr_engine_advance(rt->base.engine, (int64_t)(seconds * 1e9));
    return 0;
}

/* rt:check() -> nil, or one sentence: which invariant of its core is broken */
static int rt_check(lua_State *L) {
    char text[512];
    const orr_core *core = orr_engine_core(orr_check_rt(L, 1)->base.engine);
    if (orr_core_check(core, text, sizeof text)) lua_pushnil(L);
    else lua_pushstring(L, text);
    return 1;
}

/* When a run goes on by itself: now, after a backoff, or not by what the core knows. */
static int64_t goes_on(const orr_runbox *r, int64_t now) {
    if (!r->live || !r->run) return INT64_MAX;
    orr_run_state state = orr_run_get_state(r->run);
    return state == ORR_RUN_RUNNING || state == ORR_RUN_COMPENSATING ? now : orr_run_backoff(r->run);
}

/* rt:idle() -> seconds until one of its live runs does something of its own: 0 where one runs, the
 * time until the first attempt after a backoff, nil where all wait for a time or a signal */
static int rt_idle(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    int64_t now = orr_engine_now(rt->base.engine), first = INT64_MAX;
    for (const orr_runbox *r = rt->runs; r; r = r->next) {
        int64_t due = goes_on(r, now);
        if (due < first) first = due;
    }
    if (first == INT64_MAX) return 0;
    lua_pushnumber(L, (lua_Number)(first - now) / 1e9);
    return 1;
}

/* rt:url() -> that of its store, or nil */
static int rt_url(lua_State *L) {
    lua_pushstring(L, orr_check_rt(L, 1)->url);
    return 1;
}

/* rt:durable() -> whether runs keep a journal in a store unless they ask for none */
static int rt_durable(lua_State *L) {
    lua_pushboolean(L, orr_check_rt(L, 1)->durable);
    return 1;
}

/* Dropping a run may run code of the user's, which may change the list: so the search begins anew
 * each time. */
static orr_runbox *first_journaled(const orr_rtbox *rt) {
    orr_runbox *r = rt->runs;
    while (r && !(r->live && r->journal)) r = r->next;
    return r;
}

/* rt:close(): makes durable what was recorded and closes the store; runs that are live stay
 * resumable. Blocks. */
static int rt_close(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    lua_settop(L, 1);
    orr_rt_refill(L);
    if (!rt->storage) return 0;
    orr_check_may_drop(L, rt, NULL, "rt:close");
    for (orr_runbox *r; (r = first_journaled(rt));) {
        orr_push_error(L, rt->base.script, "suspended", "the runtime was closed");
        orr_run_suspend(r->run);
        orr_run_drop(L, r);
    }
    orr_runs_drop_kept(rt->base.script, rt); /* also of those that were given up, which Lua still has */
    rt->closed = true;
    rt->keeper->close(rt);
    return 0;
}

void orr_open_rt(lua_State *L, orr_script *s) {
    static const luaL_Reg methods[] = {
        {"start", rt_start},
        {"wait", rt_wait},
        {"step", rt_step},
        {"on", orr_rt_on},
        {"tally", orr_rt_tally},
        {"now", rt_now},
        {"hold", orr_rt_hold},
        {"advance", orr_rt_advance},
        {"due", orr_rt_due},
        {"cut", orr_rt_cut},
        {"abandon", orr_rt_abandon},
        {"idle", rt_idle},
        {"skip", rt_skip},
        {"check", rt_check},
        {"close", rt_close},
        {"refill", orr_rt_refill},
        {"durable", rt_durable},
        {"url", rt_url},
        {NULL, NULL},
    };
    lua_newtable(L);
    orr_box_metatable(L);
    lua_pushliteral(L, "orrery.runtime");
    lua_setfield(L, -2, "__name");
    luaL_newlib(L, methods);
    orr_open_pools(L);
    lua_pushvalue(L, -1);
    orr_runs_of(s)->rt_methods = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_setfield(L, -2, "__index");
    orr_runs_of(s)->rt_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}
