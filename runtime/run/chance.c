/* chance.c - ctx:random and ctx:uuid: chance that is the same when a handler runs again. */
#include "run/inner.h"

/* Chance needs no record: a hash of the run's seed and of the place in the handler is the same
 * whenever the handler comes there again, and costs neither a row nor a flush. The attempt is no
 * part of it, as it is none of a step's key. Who knows the seed knows the numbers: they are for
 * sampling and names, not for secrets. */
uint64_t orr_step_chance(const orr_script *s, const orr_fiber *f, uint64_t salt) {
    orr_task place = f->task;
    place.attempt = (uint32_t)f->phase;
    uint64_t seed = orr_run_seed(f->run->run);
    for (;; f = orr_fiber_at(s, f->parent)) {
        place.attempt = place.attempt * 31 + f->inner;
        bool strand = f->kind == FIBER_STRAND;
        salt = orr_chance(seed, &place, salt ^ (uint64_t)f->ordinal << 32 ^ (strand ? f->place : 0));
        if (!strand) return salt;
    }
}

static lua_Integer pick(lua_State *L, uint64_t chance, lua_Integer low, lua_Integer high) {
    luaL_argcheck(L, low <= high, lua_gettop(L), "the interval is empty");
    uint64_t n = (uint64_t)high - (uint64_t)low + 1;
    if (n == 0) return (lua_Integer)chance; /* all integers */
    /* the high word of chance * n: Lemire 2019, without the rejection */
    __extension__ typedef unsigned __int128 wide;
    uint64_t above = (uint64_t)((wide)chance * n >> 64);
    uint64_t picked = (uint64_t)low + above;
    return (lua_Integer)picked;
}

/* ctx:random([m[, n]]): as math.random, but the same when the handler runs again */
int orr_ctx_random(lua_State *L) {
    orr_fiber *f = orr_step_fiber(L, "ctx:random");
    int nargs = lua_gettop(L);
    lua_Integer low = 1, high = 0;
    if (nargs == 2) high = luaL_checkinteger(L, 2);
    if (nargs > 2) {
        low = luaL_checkinteger(L, 2);
        high = luaL_checkinteger(L, 3);
        lua_settop(L, 3);
    }
    orr_step_count(f);
    uint64_t chance = orr_step_chance(f->run->script, f, 1);
    if (nargs < 2) lua_pushnumber(L, (lua_Number)(chance >> 11) * 0x1p-53);
    else if (nargs == 2 && high == 0) lua_pushinteger(L, (lua_Integer)chance);
    else lua_pushinteger(L, pick(L, chance, low, high));
    return 1;
}

/* ctx:uuid() -> a UUIDv4 whose 122 bits of chance are the same when the handler runs again */
int orr_ctx_uuid(lua_State *L) {
    orr_fiber *f = orr_step_fiber(L, "ctx:uuid");
    const orr_script *s = f->run->script;
    orr_step_count(f);
    uint64_t half[2] = {orr_step_chance(s, f, 2), orr_step_chance(s, f, 3)};
    orr_push_uuid(L, half, 4);
    return 1;
}
