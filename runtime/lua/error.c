/* error.c - what a handler raises, as the core wants it and as Lua sees it.
 *
 * A structured error is a table with a string in `code`. Everything else becomes code
 * `handler_error`, with the traceback of the place where it was raised.
 */
#include "lua/lua.h"
#include <lauxlib.h>
#include <math.h>
#include <string.h>

static const char trace_key;

int orr_error_trace(lua_State *L) {
    if (lua_istable(L, 1)) {
        lua_pushliteral(L, "code");
        if (lua_rawget(L, 1) == LUA_TSTRING) {
            lua_settop(L, 1);
            return 1;
        }
        lua_settop(L, 1);
    }
    luaL_traceback(L, L, NULL, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &trace_key);
    return 1;
}

void orr_push_trace(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &trace_key) == LUA_TNIL) return;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &trace_key);
}

void orr_push_error(lua_State *L, const orr_script *s, const char *code, const char *message) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    orr_push_anchor(L, s->error_mt);
    lua_setmetatable(L, -2);
}

void orr_push_final_error(lua_State *L, const orr_script *s, const char *code) {
    orr_push_error(L, s, code, lua_tostring(L, -1));
    orr_set_flag(L, "retryable", false);
    lua_remove(L, -2);
}

static int error_tostring(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "code");
    lua_getfield(L, 1, "message");
    lua_pushfstring(L, "%s: %s", luaL_tolstring(L, 2, NULL), luaL_tolstring(L, 3, NULL));
    return 1;
}

void orr_open_errors(lua_State *L, orr_script *s) {
    lua_createtable(L, 0, 2);
    orr_set_text(L, "__name", "orrery.error");
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    s->error_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Seconds or a duration's text at the top, popped, in ns; -1 where it is neither. */
static int64_t take_retry_after(lua_State *L) {
    int64_t ns = -1;
    if (lua_type(L, -1) == LUA_TSTRING) orr_parse_duration(L, -1);
    else lua_pushvalue(L, -1);
    if (lua_type(L, -1) == LUA_TNUMBER) {
        lua_Number seconds = lua_tonumber(L, -1);
        /* about 285 years: what is longer is no different, for policies bound it */
        if (seconds >= 0) ns = (int64_t)((seconds < 9.0e9 ? seconds : 9.0e9) * 1e9);
    }
    lua_pop(L, 2);
    return ns;
}

static int raw_field(lua_State *L, int idx, const char *key) {
    lua_pushstring(L, key);
    return lua_rawget(L, idx);
}

static void copy_field(lua_State *L, int from, int to, const char *key) {
    if (raw_field(L, from, key) != LUA_TNIL) lua_setfield(L, to, key);
    else lua_pop(L, 1);
}

/* Whether the value at the top is what a field of an error holds. What is not would be no JSON. */
static bool fits(lua_State *L, int type) {
    if (type == LUA_TNUMBER && lua_type(L, -1) == LUA_TSTRING) return true; /* a duration's text */
    return lua_type(L, -1) == type && (type != LUA_TNUMBER || isfinite(lua_tonumber(L, -1)));
}

static void copy_fitting(lua_State *L, int from, int to, const char *key, int type) {
    raw_field(L, from, key);
    if (fits(L, type)) lua_setfield(L, to, key);
    else lua_pop(L, 1);
}

/* From a table with a code or a message. Details that are not plain data are left out, and the
 * message says so. */
static void copy_structured(lua_State *L, int idx, int to, const char *code, orr_error *out) {
    bool odd_details = false;
    copy_fitting(L, idx, to, "code", LUA_TSTRING);
    copy_fitting(L, idx, to, "retryable", LUA_TBOOLEAN);
    copy_fitting(L, idx, to, "retry_after", LUA_TNUMBER);
    copy_fitting(L, idx, to, "traceback", LUA_TSTRING);
    copy_field(L, idx, to, "details");
    out->not_retryable = raw_field(L, idx, "retryable") == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    raw_field(L, idx, "retry_after");
    out->retry_after = take_retry_after(L);
    if (raw_field(L, to, "code") == LUA_TNIL) {
        lua_pushstring(L, code);
        lua_setfield(L, to, "code");
    }
    lua_pop(L, 1);
    raw_field(L, to, "details");
    if (!orr_value_check(L, -1, "details", "an error's details are plain data")) {
        odd_details = true;
        lua_pop(L, 2);
        lua_pushnil(L);
        lua_setfield(L, to, "details");
    } else {
        lua_pop(L, 1);
    }
    if (raw_field(L, idx, "message") == LUA_TNIL) {
        lua_pop(L, 1);
        raw_field(L, to, "code");
    }
    luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
    if (odd_details) {
        lua_pushliteral(L, " (its details are not plain data and were left out)");
        lua_concat(L, 2);
    }
    lua_setfield(L, to, "message");
}

/* Lua's own text, which needs no memory, and those of ours that begin like it or do so after a
 * place. */
bool orr_is_memory_error(lua_State *L, int idx) {
    const char *text = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : "";
    const char *words = strstr(text, "not enough memory");
    bool after_place = words && words - text > 3 && strncmp(words - 2, ": ", 2) == 0 && words[-3] >= '0' &&
                       words[-3] <= '9';
    return words && (words == text || after_place);
}

static void describe_plain(lua_State *L, orr_script *s, int idx, int to, const char *code) {
    if (!s->describe || !s->describe(L, s, idx)) {
        lua_pushstring(L, orr_is_memory_error(L, idx) ? "out_of_memory" : code);
        luaL_tolstring(L, idx, NULL);
    }
    lua_setfield(L, to, "message");
    lua_setfield(L, to, "code");
    orr_push_trace(L);
    lua_setfield(L, to, "traceback");
}

void orr_error_table(lua_State *L, orr_script *s, int idx, const char *fallback_code, orr_error *out) {
    idx = lua_absindex(L, idx);
    lua_createtable(L, 0, 6);
    int to = lua_gettop(L);
    *out = (orr_error){.retry_after = -1};
    bool structured = lua_istable(L, idx) && (raw_field(L, idx, "code") == LUA_TSTRING ||
                                              raw_field(L, idx, "message") == LUA_TSTRING);
    lua_settop(L, to);
    if (structured) copy_structured(L, idx, to, fallback_code, out);
    else describe_plain(L, s, idx, to, fallback_code);
    orr_push_anchor(L, s->error_mt);
    lua_setmetatable(L, to);
    raw_field(L, to, "code");
    out->code = lua_tostring(L, -1);
    raw_field(L, to, "message");
    out->message = lua_tostring(L, -1);
    lua_settop(L, to);
}
