/* pools.c - the pools and breakers of a runtime, for Lua: what is defined, what they are at, and
 * what an operator changes while runs go on. */
#include "run/inner.h"

static void check_status(lua_State *L, orr_status status, const char *what) {
    if (status == ORR_OK) return;
    luaL_error(L, "%s: %s", what,
               status == ORR_ENOMEM ? "not enough memory" : "the settings are out of range");
}

static void check_pool(lua_State *L, orr_status status, const char *name) {
    if (status == ORR_ENOTFOUND) luaL_error(L, "no pool is called %s", name);
    check_status(L, status, name);
}

/* rt:pool(name, {max=, rate=, per=, burst=}) */
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
    lua_getfield(L, 3, "burst");
    lua_Number burst = luaL_optnumber(L, -1, 0);
    if (max > UINT32_MAX) max = UINT32_MAX;
    orr_core *core = orr_engine_core(rt->base.engine);
    check_status(L, orr_core_pool(core, name, (uint32_t)max, rate, per ? per : 1000000000), name);
    if (burst != 0) check_status(L, orr_core_pool_burst(core, name, burst), name);
    return 0;
}

static int rt_has_pool(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    lua_pushboolean(L, orr_core_has_pool(orr_engine_core(rt->base.engine), luaL_checkstring(L, 2)));
    return 1;
}

/* rt:pause_pool(name, paused) */
static int rt_pause_pool(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const char *name = luaL_checkstring(L, 2);
    check_pool(L, orr_core_pool_pause(orr_engine_core(rt->base.engine), name, lua_toboolean(L, 3)), name);
    return 0;
}

/* rt:limit_pool(name, max): its places from now on */
static int rt_limit_pool(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const char *name = luaL_checkstring(L, 2);
    lua_Integer max = luaL_checkinteger(L, 3);
    if (max < 0) return luaL_error(L, "pool %s: max is not negative; 0 closes it", name);
    if (max > UINT32_MAX) max = UINT32_MAX;
    check_pool(L, orr_core_pool_limit(orr_engine_core(rt->base.engine), name, (uint32_t)max), name);
    return 0;
}

static void set_number(lua_State *L, const char *key, lua_Number n) {
    lua_pushnumber(L, n);
    lua_setfield(L, -2, key);
}

/* Appends it to the list at the top. A bound that it does not have is left out. */
static void push_pool(void *ud, const orr_pool_view *pool) {
    lua_State *L = ud;
    lua_createtable(L, 0, 8);
    orr_set_text(L, "name", pool->name);
    if (pool->max != UINT32_MAX) orr_set_integer(L, "max", pool->max);
    orr_set_integer(L, "used", pool->used);
    orr_set_integer(L, "waiting", pool->waiting);
    orr_set_flag(L, "keyed", pool->keyed);
    orr_set_flag(L, "paused", pool->paused);
    if (pool->rate > 0) {
        set_number(L, "rate", pool->rate);
        set_number(L, "burst", pool->burst);
        set_number(L, "tokens", pool->tokens);
    }
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* rt:pools() -> {{name=, max=, used=, waiting=, keyed=, paused=, rate=, burst=, tokens=}, ...} */
static int rt_pools(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    lua_newtable(L);
    orr_core_pools(orr_engine_core(rt->base.engine), push_pool, L);
    return 1;
}

/* rt:breaker(name, {threshold=, window=, cooldown=, probes=}) */
static int rt_breaker(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const char *name = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    orr_breaker_options o = {.threshold = orr_count_field(L, 3, "threshold"),
                             .window = orr_read_seconds(L, 3, "window"),
                             .cooldown = orr_read_seconds(L, 3, "cooldown"),
                             .probes = orr_count_field(L, 3, "probes")};
    check_status(L, orr_core_breaker(orr_engine_core(rt->base.engine), name, &o), name);
    return 0;
}

/* rt:breaker_state(name) -> "closed", "open" or "half_open", and until when it stays open; nil:
 * there is none of that name */
static int rt_breaker_state(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    int64_t until = 0;
    const char *state = orr_core_breaker_state(orr_engine_core(rt->base.engine), luaL_checkstring(L, 2),
                                               &until);
    lua_pushstring(L, state);
    if (state) lua_pushnumber(L, (lua_Number)until / 1e9);
    return state ? 2 : 1;
}

/* rt:reset_breaker(name) -> whether there is one of that name: it is closed now */
static int rt_reset_breaker(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    orr_core *core = orr_engine_core(rt->base.engine);
    lua_pushboolean(L, orr_core_breaker_reset(core, luaL_checkstring(L, 2)) == ORR_OK);
    return 1;
}

static void push_breaker(void *ud, const orr_breaker_view *b) {
    lua_State *L = ud;
    lua_createtable(L, 0, 10);
    orr_set_text(L, "name", b->name);
    orr_set_text(L, "state", b->state);
    if (b->until > 0) set_number(L, "until", (lua_Number)b->until / 1e9);
    orr_set_integer(L, "failures", b->failures);
    orr_set_integer(L, "probing", b->probing);
    orr_set_integer(L, "waiting", b->waiting);
    orr_set_integer(L, "threshold", b->options.threshold);
    set_number(L, "window", (lua_Number)b->options.window / 1e9);
    set_number(L, "cooldown", (lua_Number)b->options.cooldown / 1e9);
    orr_set_integer(L, "probes", b->options.probes);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* rt:breakers() -> {{name=, state=, until=, failures=, probing=, waiting=, threshold=, window=,
 * cooldown=, probes=}, ...} */
static int rt_breakers(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    lua_newtable(L);
    orr_core_breakers(orr_engine_core(rt->base.engine), push_breaker, L);
    return 1;
}

void orr_open_pools(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"pool", rt_pool},
        {"pools", rt_pools},
        {"has_pool", rt_has_pool},
        {"pause_pool", rt_pause_pool},
        {"limit_pool", rt_limit_pool},
        {"breaker", rt_breaker},
        {"breakers", rt_breakers},
        {"breaker_state", rt_breaker_state},
        {"reset_breaker", rt_reset_breaker},
        {NULL, NULL},
    };
    luaL_setfuncs(L, methods, 0);
}
