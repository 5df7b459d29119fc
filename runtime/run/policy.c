/* policy.c - the policies of a node, from its definition. */
#include "run/inner.h"
#include <string.h>

static const char *const joins[] = {
    [ORR_JOIN_ALL] = "all",
    [ORR_JOIN_ALL_COMPLETED] = "all_completed",
    [ORR_JOIN_ANY] = "any",
    [ORR_JOIN_DONE] = "done",
    [ORR_JOIN_FAILED] = "failed",
    [ORR_JOIN_NEED] = "need",
    NULL,
};
static const char *const priorities[] = {"critical", "high", "normal", "low", "background", NULL};
static const char *const each_on_failure[] = {"stop", "drain", "continue", NULL};
static const char *const strategies[] = {"fixed", "linear", "exponential", "random", NULL};
static const char *const jitters[] = {"none", "full", "equal", NULL};

/* The place of a field's value in a list of names; `otherwise` where it is missing. */
static uint8_t read_name(lua_State *L, int idx, const char *key, const char *const names[], int otherwise) {
    if (lua_getfield(L, idx, key) == LUA_TNIL) {
        lua_pop(L, 1);
        return (uint8_t)otherwise;
    }
    const char *name = lua_tostring(L, -1);
    for (int i = 0; name && names[i]; i++) {
        if (strcmp(name, names[i]) == 0) {
            lua_pop(L, 1);
            return (uint8_t)i;
        }
    }
    luaL_error(L, "%s: unknown value %s", key, luaL_tolstring(L, -1, NULL));
    return 0;
}

static uint32_t read_count(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key);
    lua_Integer n = 0;
    if (!lua_isnil(L, -1)) {
        int is_integer;
        n = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || n < 0 || n >= UINT32_MAX)
            luaL_error(L, "%s is out of range: expected a whole number", key);
    }
    lua_pop(L, 1);
    return (uint32_t)n;
}

static bool read_flag(lua_State *L, int idx, const char *key) {
    lua_getfield(L, idx, key);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static bool has(lua_State *L, int idx, const char *key) {
    bool there = lua_getfield(L, idx, key) != LUA_TNIL;
    lua_pop(L, 1);
    return there;
}

/* A list of codes; the array and its strings stay on the stack until the policy was copied. */
static const char *const *read_codes(lua_State *L, int idx, const char *key, uint32_t *n) {
    *n = 0;
    if (lua_getfield(L, idx, key) == LUA_TNIL) return NULL;
    if (!lua_istable(L, -1)) luaL_error(L, "retry.%s: expected a list of error codes", key);
    int list = lua_gettop(L);
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    luaL_argcheck(L, count < 10000, 1, "too many error codes");
    const char **codes = lua_newuserdatauv(L, (size_t)count * sizeof *codes, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, list, i) != LUA_TSTRING)
            luaL_error(L, "retry.%s: expected a list of error codes", key);
        codes[i - 1] = lua_tostring(L, -1);
        lua_pop(L, 1); /* the list holds it */
    }
    *n = (uint32_t)count;
    return codes;
}

static void read_retry_policy(lua_State *L, int at, orr_retry *retry) {
    retry->max = read_count(L, at, "max");
    retry->strategy = read_name(L, at, "strategy", strategies, ORR_BACKOFF_FIXED);
    retry->jitter = read_name(L, at, "jitter", jitters, ORR_JITTER_NONE);
    retry->delay = orr_read_seconds(L, at, "delay");
    retry->max_delay = orr_read_seconds(L, at, "max_delay");
    retry->after_max = orr_read_seconds(L, at, "after_max");
    lua_getfield(L, at, "factor");
    retry->factor = lua_isnil(L, -1) ? 2 : lua_tonumber(L, -1);
    if (!(retry->factor >= 1 && retry->factor <= 1e6))
        luaL_error(L, "retry.factor is out of range: expected 1 to 1e6");
    lua_pop(L, 1);
    retry->on = read_codes(L, at, "on", &retry->n_on);
    retry->unless = read_codes(L, at, "unless", &retry->n_unless);
}

/* The table of a policy is at the top; it stays there until the policy was copied. */
static bool push_retry(lua_State *L, int node) {
    if (lua_getfield(L, node, "retry") == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    if (!lua_istable(L, -1)) luaL_error(L, "retry: expected a table");
    return true;
}

/* One policy, or a list of them: the first, and those after it. */
static void read_retries(lua_State *L, int node, orr_retry *first, const orr_retry **rest, uint32_t *n_rest) {
    if (!push_retry(L, node)) return;
    int list = lua_gettop(L);
    lua_Unsigned n = lua_rawlen(L, list);
    if (n == 0) {
        read_retry_policy(L, list, first);
        return;
    }
    if (n > ORR_RETRY_POLICIES) luaL_error(L, "retry: at most %d policies", ORR_RETRY_POLICIES);
    luaL_checkstack(L, 8 * ORR_RETRY_POLICIES, NULL);
    orr_retry *others = lua_newuserdatauv(L, ORR_RETRY_POLICIES * sizeof *others, 0);
    memset(others, 0, ORR_RETRY_POLICIES * sizeof *others);
    for (lua_Unsigned i = 0; i < n; i++) {
        if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TTABLE) luaL_error(L, "retry: expected a table");
        read_retry_policy(L, lua_gettop(L), i == 0 ? first : &others[i - 1]);
    }
    *rest = others;
    *n_rest = (uint32_t)n - 1;
}

/* A number of items, or a text such as "10%". */
static void read_each_failures(lua_State *L, int node, orr_policy *p) {
    int type = lua_getfield(L, node, "each_failures");
    if (type == LUA_TNUMBER) {
        p->each_failures = lua_tonumber(L, -1);
    } else if (type == LUA_TSTRING) {
        size_t len;
        const char *text = lua_tolstring(L, -1, &len);
        if (len < 2 || text[len - 1] != '%')
            luaL_error(L, "each_failures: expected a number or a percentage, got %s", text);
        lua_pushlstring(L, text, len - 1);
        int is_number;
        p->each_failures = lua_tonumberx(L, -1, &is_number);
        if (!is_number) luaL_error(L, "each_failures: expected a number or a percentage, got %s", text);
        lua_pop(L, 1);
        p->failures_percent = true;
    } else if (type != LUA_TNIL) {
        luaL_error(L, "each_failures: expected a number or a percentage");
    }
    if (!(p->each_failures >= 0)) luaL_error(L, "each_failures is out of range");
    lua_pop(L, 1);
}

static void read_loop(lua_State *L, int node, orr_policy *p) {
    if (lua_getfield(L, node, "loop") == LUA_TTABLE) {
        int at = lua_gettop(L);
        p->has_loop = true;
        p->loop_max = read_count(L, at, "max");
        p->loop_times = read_count(L, at, "times");
        p->loop_delay = orr_read_seconds(L, at, "delay");
    }
    lua_pop(L, 1);
}

static void read_breaker(lua_State *L, int node, orr_policy *p) {
    int type = lua_getfield(L, node, "breaker");
    if (type == LUA_TTABLE) {
        lua_getfield(L, -1, "name");
        lua_remove(L, -2);
    } else if (type != LUA_TSTRING) {
        lua_pop(L, 1);
        return;
    }
    p->breaker = lua_tostring(L, -1); /* stays on the stack */
    if (!p->breaker) luaL_error(L, "breaker: expected a name");
}

static void read_compensate(lua_State *L, int node, orr_policy *p) {
    p->compensate_retry.factor = 2;
    if (lua_getfield(L, node, "compensate") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    int at = lua_gettop(L);
    p->has_compensate = true;
    p->compensate_timeout = orr_read_seconds(L, at, "timeout");
    read_retries(L, at, &p->compensate_retry, &p->compensate_retries, &p->n_compensate_retries);
}

void orr_read_policy(lua_State *L, int idx, orr_policy *p) {
    memset(p, 0, sizeof *p);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    p->join = read_name(L, idx, "join", joins, ORR_JOIN_ALL);
    p->priority = read_name(L, idx, "priority", priorities, ORR_PRIO_NORMAL);
    p->need = read_count(L, idx, "need");
    p->cancel_rest = read_flag(L, idx, "cancel_rest");
    lua_getfield(L, idx, "on_error");
    const char *on_error = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
    p->ignore_errors = strcmp(on_error, "ignore") == 0;
    p->stops = strcmp(on_error, "stop") == 0;
    lua_pop(L, 1);
    p->watches = lua_getfield(L, idx, "handles") == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    p->has_when = has(L, idx, "when");
    p->has_each = has(L, idx, "each");
    p->has_fallback = has(L, idx, "fallback");
    read_each_failures(L, idx, p);
    p->each_on_failure = read_name(L, idx, "each_on_failure", each_on_failure, ORR_EACH_STOP);
    p->each_parallel = read_count(L, idx, "each_parallel");
    read_loop(L, idx, p);
    p->timeout = orr_read_seconds(L, idx, "timeout");
    p->deadline = orr_read_seconds(L, idx, "deadline");
    p->heartbeat = orr_read_seconds(L, idx, "heartbeat");
    p->estimate = orr_read_seconds(L, idx, "estimate");
    p->instant = p->estimate == 0 && has(L, idx, "estimate");
    p->retry.factor = 2;
    read_retries(L, idx, &p->retry, &p->retries, &p->n_retries);
    read_compensate(L, idx, p);
    read_breaker(L, idx, p);
    p->pool_hold = read_flag(L, idx, "pool_hold");
    int pool = lua_getfield(L, idx, "pool");
    p->pool_is_dynamic = pool == LUA_TFUNCTION;
    p->pool = pool == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}
