/* step.c - what a handler does once: ctx:step, and the implicit steps ctx:sleep, ctx:now, ctx:random, ctx:uuid.
 *
 * In a run with a journal each has its place in its coroutine's sequence, and a handler that runs again gets what was recorded
 * there. A run without one records nothing: ctx:step calls its function. Inside that function nothing is recorded by itself, for
 * the step stands for all of it.
 */
#include "json.h"
#include "step.h"
#include <lauxlib.h>
#include <stdio.h>

orr_fiber *orr_step_fiber(lua_State *L, const char *what) {
    orr_fiber *owner = orr_check_own_ctx(L, 1, what);
    orr_fiber *f = orr_fiber_current(owner->run->script);
    if (!f) luaL_error(L, "%s cannot be used in a callback; use it in the handler, and let the callback call `resume` of "
                          "flow.await", what);
    return f;
}

orr_fiber *orr_step_outer_fiber(lua_State *L, const char *what) {
    orr_fiber *f = orr_step_fiber(L, what);
    if (f->flags & FIBER_IN_STEP)
        luaL_error(L, "%s cannot be used inside ctx:step: it is recorded by itself, and a step that runs again would do it "
                      "twice; call it before or after the step", what);
    return f;
}

void orr_step_count(orr_fiber *f) {
    if (f->flags & FIBER_IN_STEP) {
        f->inner++;
        return;
    }
    f->ordinal++;
    f->inner = 0;
}

static bool is_recorded(const orr_fiber *f) {
    return f->run->journal && !(f->flags & FIBER_IN_STEP);
}

/* ---- ctx:step ---------------------------------------------------------------------------------------------------------- */

bool orr_step_failed(lua_State *L, const orr_fiber *f, int status) {
    return status != LUA_ERRMEM && !(f->flags & FIBER_CANCELLED) && lua_touserdata(L, -1) != ORR_WATCHDOG_ERROR;
}

int orr_step_end(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step) {
    orr_step_record(L, s, f, step);
    return orr_wait_disk(L, s, f->run, step->state == STEP_ERROR);
}

/* Its stack: ctx, name, message handler, value or error. */
static int step_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_current(s);
    orr_step_ref step = {.kind = STEP_CALLED, .state = STEP_VALUE, .name = 2, .due = -1};
    f->flags &= (uint16_t)~FIBER_IN_STEP;
    if (f->state == FIBER_STARTING_WAIT) {
        orr_wait_forget(s, f);
        f->state = FIBER_RUNNING;
        orr_push_escaped(L, s);
        status = LUA_ERRRUN;
    }
    if (status != LUA_OK && status != LUA_YIELD) {
        orr_error error;
        if (!orr_step_failed(L, f, status)) return lua_error(L);
        orr_error_table(L, s, -1, "handler_error", &error);
        step.state = STEP_ERROR;
    } else if (!orr_value_check(L, -1, "step", "what a step returns is plain data")) {
        orr_push_error(L, s, "invalid_output", lua_tostring(L, -1));
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "retryable");
        step.state = STEP_ERROR;
    }
    if (f->run->journal && f->run->run) return orr_step_end(L, s, f, &step);
    return step.state == STEP_ERROR ? lua_error(L) : 1;
}

/* Where a step is called by a step: the outer one is the one that counts. */
static int inner_done(lua_State *L, int status, lua_KContext k) {
    (void)L;
    (void)status;
    (void)k;
    return 1;
}

/* ctx:step(name, fn, ...) -> what fn(...) returned, now or when it was recorded. One value, plain data. May wait. */
int orr_ctx_step(lua_State *L) {
    orr_fiber *f = orr_step_fiber(L, "ctx:step");
    orr_script *s = f->run->script;
    luaL_checktype(L, 2, LUA_TSTRING);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    int nargs = lua_gettop(L) - 3;
    if (f->flags & FIBER_IN_STEP) {
        lua_callk(L, nargs, 1, 0, inner_done);
        return 1;
    }
    orr_step_count(f);
    if (f->run->journal) {
        orr_step_ref step = {.kind = STEP_CALLED, .name = 2};
        switch (orr_step_find(L, s, f, &step)) {
        case STEP_VALUE:
            return 1;
        case STEP_ERROR:
            return lua_error(L);
        default:
            break;
        }
        orr_wait_begin(L, s, "ctx:step"); /* where it could not wait for its record it is not begun */
    }
    f->flags |= FIBER_IN_STEP;
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, 3);
    int status = lua_pcallk(L, nargs, 1, 3, (lua_KContext)s, step_done);
    return step_done(L, status, (lua_KContext)s);
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

/* (due) */
static int sleep_until(lua_State *L) {
    return orr_wait_until(L, orr_script_of(L), lua_tointeger(L, 1));
}

/* The time may have come before the record of it is on disk, and what follows depends on it. */
static int slept(lua_State *L, int status, lua_KContext k) {
    (void)status;
    orr_script *s = (orr_script *)k;
    lua_settop(L, 0);
    lua_pushnil(L);
    return orr_wait_disk(L, s, orr_fiber_current(s)->run, false);
}

/* An attempt that waits as a whole goes on by the core, whose record of that comes after the one of the sleep. */
static int sleep_durably(lua_State *L, orr_script *s, const orr_fiber *f, int64_t due) {
    if (f->kind == FIBER_NODE && f->strands == ORR_NONE) return orr_wait_until(L, s, due);
    lua_pushcfunction(L, sleep_until);
    lua_pushinteger(L, due);
    lua_callk(L, 1, 0, (lua_KContext)s, slept);
    return slept(L, LUA_OK, (lua_KContext)s);
}

int orr_step_sleep(lua_State *L, orr_script *s, orr_fiber *f, int64_t ns) {
    bool recorded = is_recorded(f);
    orr_step_count(f);
    if (!recorded || ns == 0) return orr_wait_sleep(L, s, ns); /* letting others go on is nothing to remember */
    lua_settop(L, 0);
    lua_pushliteral(L, "sleep");
    orr_step_ref step = {.kind = STEP_SLEEP, .state = STEP_BEGUN, .name = 1};
    int64_t now = orr_engine_now(f->run->rt->runtime);
    if (orr_step_find(L, s, f, &step) == STEP_BEGUN) {
        if (step.due <= now) return 0;
        return orr_wait_until(L, s, step.due);
    }
    orr_wait_begin(L, s, "ctx:sleep");
    step.due = ns > INT64_MAX - now ? INT64_MAX - 1 : now + ns;
    lua_pushnil(L);
    orr_step_record(L, s, f, &step);
    return sleep_durably(L, s, f, step.due);
}

/* ctx:sleep(duration): other nodes go on meanwhile; the node holds no slot. Its due time is recorded when it begins, so that
 * after a restart only the rest is slept. */
int orr_ctx_sleep(lua_State *L) {
    const orr_fiber *owner = orr_check_own_ctx(L, 1, "ctx:sleep");
    orr_script *s = owner->run->script;
    int64_t ns = orr_check_duration(L, 2, "ctx:sleep");
    orr_fiber *f = orr_fiber_current(s);
    return f ? orr_step_sleep(L, s, f, ns) : orr_wait_sleep(L, s, ns);
}

/* ctx:now() -> seconds since the epoch; the same when the handler runs again */
int orr_ctx_now(lua_State *L) {
    orr_fiber *f = orr_step_fiber(L, "ctx:now");
    orr_script *s = f->run->script;
    bool recorded = is_recorded(f);
    orr_step_count(f);
    lua_settop(L, 1);
    lua_pushliteral(L, "now");
    orr_step_ref step = {.kind = STEP_NOW, .state = STEP_VALUE, .name = 2, .due = -1};
    if (recorded && orr_step_find(L, s, f, &step) == STEP_VALUE) return 1;
    lua_pushnumber(L, (lua_Number)orr_engine_now(f->run->rt->runtime) / 1e9);
    if (!recorded) return 1;
    step.due = -1;
    return orr_step_end(L, s, f, &step);
}

/* ---- chance -------------------------------------------------------------------------------------------------------------- */

/* Chance needs no record: a hash of the run's seed and of the place in the handler is the same whenever the handler comes there
 * again, and costs neither a row nor a flush. The attempt is no part of it, as it is none of a step's key. Who knows the seed knows
 * the numbers: they are for sampling and names, not for secrets. */
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
    __extension__ typedef unsigned __int128 wide; /* the high word of chance * n: Lemire 2019, without the rejection */
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

/* Sets version and variant (RFC 9562, 4) and pushes the text. */
static void push_uuid(lua_State *L, const uint64_t half[2], unsigned version) {
    uint8_t id[16];
    char text[40];
    for (int i = 0; i < 16; i++) id[i] = (uint8_t)(half[i / 8] >> (56 - 8 * (i % 8)));
    id[6] = (uint8_t)((id[6] & 0x0f) | version << 4);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    orr_format_uuid(text, id);
    lua_pushstring(L, text);
}

/* ctx:uuid() -> a UUIDv4 whose 122 bits of chance are the same when the handler runs again */
int orr_ctx_uuid(lua_State *L) {
    orr_fiber *f = orr_step_fiber(L, "ctx:uuid");
    const orr_script *s = f->run->script;
    orr_step_count(f);
    uint64_t half[2] = {orr_step_chance(s, f, 2), orr_step_chance(s, f, 3)};
    push_uuid(L, half, 4);
    return 1;
}

/* splitmix64's finaliser (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void orr_push_derived_id(lua_State *L, const orr_fiber *f, uint64_t salt) {
    const orr_task *t = &f->task;
    uint64_t half[2];
    size_t len = 0;
    orr_push_node_name(L, f->run, t->node);
    const char *name = lua_tolstring(L, -1, &len);
    for (uint64_t k = 0; k < 2; k++) {
        uint64_t h = mix(k + UINT64_C(0x9e3779b97f4a7c15));
        for (const char *c = f->run->id; *c; c++) h = mix(h + (uint8_t)*c);
        for (size_t i = 0; i < len; i++) h = mix(h + (uint8_t)name[i]);
        h = mix(h + len);
        h = mix(h + ((uint64_t)t->item << 32 | t->iteration));
        if (f->phase == ORR_PHASE_COMPENSATE) h = mix(~h); /* a refund is not the charge again */
        if (salt) h = mix(h ^ salt);
        half[k] = h;
    }
    lua_pop(L, 1);
    push_uuid(L, half, 8);
}
