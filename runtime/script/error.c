/* error.c - what a handler raises, as the core wants it and as Lua sees it.
 *
 * A structured error is a table with a string in `code`. Everything else becomes code `handler_error`, with the
 * traceback of the place where it was raised.
 */
#include "state.h"
#include "json.h"
#include <lauxlib.h>
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
    orr_push_anchor(L, s->at.error_mt);
    lua_setmetatable(L, -2);
}

/* Seconds or a duration's text at the top, popped, in ns; -1 where it is neither. */
static int64_t take_retry_after(lua_State *L) {
    int64_t ns = -1;
    if (lua_type(L, -1) == LUA_TSTRING) orr_parse_duration(L, -1);
    else lua_pushvalue(L, -1);
    if (lua_type(L, -1) == LUA_TNUMBER) {
        lua_Number seconds = lua_tonumber(L, -1);
        if (seconds >= 0 && seconds < 9.0e9) ns = (int64_t)(seconds * 1e9);
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

/* From a table with a code or a message. Details that are not plain data are left out, and the message says so. */
static void copy_structured(lua_State *L, int idx, int to, const char *code, orr_error *out) {
    bool odd_details = false;
    static const char *const copied[] = {"code", "retryable", "retry_after", "details", "traceback"};
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) copy_field(L, idx, to, copied[i]);
    out->not_retryable = raw_field(L, idx, "retryable") == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    raw_field(L, idx, "retry_after");
    out->retry_after = take_retry_after(L);
    if (raw_field(L, to, "code") != LUA_TSTRING) {
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

static void describe_plain(lua_State *L, orr_script *s, int idx, int to, const char *code) {
    bool stopped = lua_touserdata(L, idx) == ORR_WATCHDOG_ERROR;
    lua_pushstring(L, stopped ? "timeout" : code);
    lua_setfield(L, to, "code");
    if (stopped)
        lua_pushfstring(L, "stopped after its time was over, at %s, in code that does not wait",
                        s->watchdog.where[0] ? s->watchdog.where : "a C function");
    else luaL_tolstring(L, idx, NULL);
    lua_setfield(L, to, "message");
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
    orr_push_anchor(L, s->at.error_mt);
    lua_setmetatable(L, to);
    raw_field(L, to, "code");
    out->code = lua_tostring(L, -1);
    raw_field(L, to, "message");
    out->message = lua_tostring(L, -1);
    lua_settop(L, to);
}

void orr_keep_error(lua_State *L, orr_script *s, const orr_fiber *f, orr_error *out) {
    orr_runbox *r = f->run;
    uint64_t handle = orr_error_handle(&f->task, f->phase == ORR_PHASE_COMPENSATE);
    orr_error_table(L, s, -1, "handler_error", out);
    int to = lua_gettop(L);
    orr_push_node_name(L, r, f->task.node);
    lua_setfield(L, to, "node");
    orr_run_push_table(L, r, RUN_ERRORS, 0);
    lua_pushvalue(L, to);
    lua_rawseti(L, to + 1, (lua_Integer)handle);
    lua_settop(L, to - 1);
    out->value = handle;
}

/* Whether the table at the top has this text in a field. */
static bool field_is(lua_State *L, const char *key, const char *text) {
    lua_getfield(L, -1, key);
    const char *own = lua_tostring(L, -1);
    bool same = own && text && strcmp(own, text) == 0;
    lua_pop(L, 1);
    return same;
}

/* Pushes the table of the error that a handler raised, nil where there is none any more. */
static void push_raised(lua_State *L, orr_runbox *r, const orr_error *error) {
    if (!error->value || !r) {
        lua_pushnil(L);
        return;
    }
    orr_run_push_table(L, r, RUN_ERRORS, 0);
    lua_rawgeti(L, -1, (lua_Integer)error->value);
    lua_remove(L, -2);
    if (lua_istable(L, -1)) return;
    lua_pop(L, 1);
    lua_pushnil(L);
}

/* What the core says holds. An error that was raised and stands behind it, the last one before a deadline or that of an item,
 * is its `cause`. */
void orr_push_core_error(lua_State *L, orr_runbox *r, const orr_error *error, uint32_t node) {
    push_raised(L, r, error);
    if (lua_istable(L, -1) && field_is(L, "code", error->code) && field_is(L, "message", error->message)) return;
    lua_createtable(L, 0, 5);
    lua_insert(L, -2);
    if (lua_istable(L, -1)) lua_setfield(L, -2, "cause");
    else lua_pop(L, 1);
    lua_pushstring(L, error->code ? error->code : "error");
    lua_setfield(L, -2, "code");
    lua_pushstring(L, error->message ? error->message : "");
    lua_setfield(L, -2, "message");
    if (r) {
        orr_push_node_name(L, r, node);
        lua_setfield(L, -2, "node");
        orr_push_anchor(L, r->script->at.error_mt);
        lua_setmetatable(L, -2);
    }
}
