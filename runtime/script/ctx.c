/* ctx.c - what a handler or a condition is given: `ctx`.
 *
 * A ctx is a small userdata that names a fiber by its id. Every use looks the fiber up, so that one kept beyond its
 * attempt raises instead of reaching into another.
 */
#include "state.h"
#include "step.h"
#include <lauxlib.h>
#include <string.h>

void orr_push_ctx(lua_State *L, orr_script *s, const orr_fiber *f) {
    orr_ctx *ctx = lua_newuserdatauv(L, sizeof *ctx, 0);
    ctx->script = s;
    ctx->fiber = orr_fiber_id_of(f);
    orr_push_anchor(L, s->at.ctx_mt);
    lua_setmetatable(L, -2);
}

static orr_fiber *live(lua_State *L, const orr_ctx *ctx) {
    orr_fiber *f = ctx->script->closed ? NULL : orr_fiber_get(ctx->script, ctx->fiber);
    if (!f || !f->run || !f->run->run)
        luaL_error(L, "this ctx is no longer valid: the attempt it belongs to has ended; take what is needed out of it "
                      "before");
    return f;
}

orr_fiber *orr_check_ctx(lua_State *L, int idx) {
    orr_script *s = orr_script_of(L);
    bool ok = lua_type(L, idx) == LUA_TUSERDATA && lua_getmetatable(L, idx);
    if (ok) {
        orr_push_anchor(L, s->at.ctx_mt);
        ok = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    if (!ok) luaL_error(L, "expected ctx; call its functions with a colon: ctx:sleep(1)");
    return live(L, lua_touserdata(L, idx));
}

orr_fiber *orr_check_own_ctx(lua_State *L, int idx, const char *what) {
    orr_fiber *f = orr_check_ctx(L, idx);
    orr_script *s = f->run->script;
    const orr_fiber *current = orr_fiber_current(s);
    if (f->state == FIBER_VIEW) luaL_error(L, "%s cannot be used in a condition or an expression; only in a handler", what);
    if (current && current->root != f->index)
        luaL_error(L, "%s: this ctx belongs to another node's attempt; use the one this handler was given", what);
    return f;
}

/* ---- durations ------------------------------------------------------------------------------------------------------- */

void orr_parse_duration(lua_State *L, int idx) {
    idx = lua_absindex(L, idx);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.duration");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "parse");
    lua_remove(L, -2);
    lua_pushvalue(L, idx);
    lua_call(L, 1, 1);
}

typedef struct parsing {
    const char *text;
    lua_Number seconds; /* below 0: it is none */
} parsing;

static int parse(lua_State *L) {
    parsing *p = lua_touserdata(L, 1);
    lua_pushstring(L, p->text);
    orr_parse_duration(L, 2);
    p->seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    return 0;
}

/* Read on the main thread: on the coroutine's own stack the calls would make it twice as large, for as long as it sleeps. */
int64_t orr_check_duration(lua_State *L, int idx, const char *what) {
    lua_Number seconds;
    if (lua_type(L, idx) == LUA_TSTRING) {
        parsing p = {lua_tostring(L, idx), -1};
        if (orr_protect(orr_script_of(L), parse, &p) != LUA_OK) luaL_error(L, "%s: not enough memory", what);
        if (p.seconds < 0)
            luaL_error(L, "%s: \"%s\" is no duration; expected seconds or a text such as \"250ms\" or \"1h30m\"", what,
                       p.text);
        seconds = p.seconds;
    } else {
        if (lua_type(L, idx) != LUA_TNUMBER)
            luaL_error(L, "%s: expected seconds or a text such as \"250ms\", got %s", what, luaL_typename(L, idx));
        seconds = lua_tonumber(L, idx);
    }
    if (!(seconds <= 9.0e9)) luaL_error(L, "%s: the duration is out of range", what);
    return seconds <= 0 ? 0 : (int64_t)(seconds * 1e9);
}

/* ---- methods ---------------------------------------------------------------------------------------------------------- */

/* Whether this was told before: the handler runs again, and has not come to its replay point. */
static bool told_before(lua_State *L, const orr_fiber *f) {
    const orr_fiber *current = orr_fiber_current(f->run->script);
    return current && current->root == f->index && orr_step_replaying(L, f->run->script, current);
}

/* Whether anybody is told. */
static bool listening(lua_State *L, const orr_fiber *f) {
    return f->run->rt->n_listeners > 0 && !told_before(L, f);
}

static void push_event(lua_State *L, const orr_fiber *f, const char *name) {
    orr_event_push(L, f->run->rt, f->run, name, &f->task, orr_engine_now(f->run->rt->runtime));
}

static void set_arg(lua_State *L, int arg, const char *key) {
    if (lua_isnoneornil(L, arg)) return;
    lua_pushvalue(L, arg);
    lua_setfield(L, -2, key);
}

/* ctx:log(level, message[, fields]) */
static int ctx_log(lua_State *L) {
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:log");
    luaL_checkoption(L, 2, NULL, levels);
    luaL_tolstring(L, 3, NULL);
    lua_replace(L, 3);
    lua_settop(L, 4); /* a field that is not given is not the event itself */
    orr_watch_sign(f);
    if (told_before(L, f)) return 0;
    orr_publish_log(L, f, 2, 3, 4);
    if (f->run->rt->n_listeners == 0) return 0;
    push_event(L, f, "log");
    set_arg(L, 2, "level");
    set_arg(L, 3, "message");
    set_arg(L, 4, "fields");
    orr_event_queue(L, f->run->rt);
    return 0;
}

/* ctx:heartbeat(): a sign of life */
static int ctx_heartbeat(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:heartbeat");
    orr_task_heartbeat(f->run->run, &f->task);
    orr_watch_sign(f);
    return 0;
}

void orr_progress_tell(lua_State *L, orr_fiber *f, lua_Number fraction, const char *message) {
    orr_task_heartbeat(f->run->run, &f->task);
    orr_watch_sign(f);
    if (!listening(L, f)) return;
    push_event(L, f, "progress");
    if (fraction >= 0) {
        lua_pushnumber(L, fraction);
        lua_setfield(L, -2, "fraction");
    }
    if (message) {
        lua_pushstring(L, message);
        lua_setfield(L, -2, "message");
    }
    orr_event_queue(L, f->run->rt);
}

/* ctx:progress(fraction[, message]): a sign of life that is shown */
static int ctx_progress(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:progress");
    lua_Number fraction = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, fraction >= 0 && fraction <= 1, 2, "a fraction from 0 to 1");
    lua_settop(L, 3);
    orr_progress_tell(L, f, lua_isnil(L, 2) ? -1 : fraction, lua_isnil(L, 3) ? NULL : luaL_tolstring(L, 3, NULL));
    return 0;
}

/* ctx:emit(name[, data]) */
static int ctx_emit(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:emit");
    const char *name = luaL_checkstring(L, 2);
    luaL_argcheck(L, !orr_event_is_ours(name), 2, "this is the name of an event of the engine's; choose another");
    lua_settop(L, 3);
    if (!listening(L, f)) return 0;
    push_event(L, f, name);
    set_arg(L, 3, "data");
    orr_event_queue(L, f->run->rt);
    return 0;
}

/* ---- fields ----------------------------------------------------------------------------------------------------------- */

static void get_attempt(lua_State *L, orr_fiber *f) {
    if (!f->task.attempt) lua_pushnil(L);
    else if (f->phase != ORR_PHASE_COMPENSATE) lua_pushinteger(L, f->task.attempt);
    else lua_pushinteger(L, orr_task_undo_try(f->run->run, &f->task));
}

static void get_index(lua_State *L, orr_fiber *f) {
    if (f->task.item != ORR_NONE) lua_pushinteger(L, (lua_Integer)f->task.item + 1);
    else lua_pushnil(L);
}

static void get_item(lua_State *L, orr_fiber *f) {
    if (f->task.item == ORR_NONE) {
        lua_pushnil(L);
        return;
    }
    orr_run_push_table(L, f->run, RUN_LISTS, 0);
    lua_rawgeti(L, -1, (lua_Integer)f->task.node + 1);
    if (lua_istable(L, -1)) lua_rawgeti(L, -1, (lua_Integer)f->task.item + 1);
}

static void get_iteration(lua_State *L, orr_fiber *f) {
    lua_pushinteger(L, (lua_Integer)f->task.iteration + 1);
}

static void get_node(lua_State *L, orr_fiber *f) {
    orr_push_node_name(L, f->run, f->task.node);
}

static void get_input(lua_State *L, orr_fiber *f) {
    orr_run_push(L, f->run, RUN_INPUT);
}

static void get_context(lua_State *L, orr_fiber *f) {
    orr_run_push(L, f->run, RUN_CONTEXT);
}

static void get_inputs(lua_State *L, orr_fiber *f) {
    if (f->task.node == ORR_NONE) lua_pushnil(L);
    else orr_push_inputs(L, f->run->script, f->run, f->task.node);
}

static void get_nodes(lua_State *L, orr_fiber *f) {
    orr_push_view(L, f->run, RUN_NODES_VIEW);
}

static void get_states(lua_State *L, orr_fiber *f) {
    orr_push_view(L, f->run, RUN_STATES_VIEW);
}

static void get_errors(lua_State *L, orr_fiber *f) {
    orr_push_view(L, f->run, RUN_ERRORS_VIEW);
}

static void get_env(lua_State *L, orr_fiber *f) {
    orr_push_view(L, f->run, RUN_ENV);
}

static void get_run(lua_State *L, orr_fiber *f) {
    orr_push_view(L, f->run, RUN_INFO);
}

/* The same for every attempt of (run, node, item, iteration), and for nothing else. */
static void get_idempotency_key(lua_State *L, orr_fiber *f) {
    orr_push_derived_id(L, f, 0);
}

static void get_cancelled(lua_State *L, orr_fiber *f) {
    lua_pushboolean(L, f->flags & FIBER_CANCELLED);
}

static bool undoes(const orr_fiber *f) {
    return f->phase == ORR_PHASE_COMPENSATE && f->state != FIBER_VIEW;
}

/* In a compensation: what the node had returned; nil where it is not known whether it did anything. */
static void get_output(lua_State *L, orr_fiber *f) {
    if (!undoes(f) || orr_run_uncertain(f->run->run, f->task.node, f->task.item)) lua_pushnil(L);
    else orr_run_push_output(L, f->run, f->task.node, f->task.item);
}

static void get_uncertain(lua_State *L, orr_fiber *f) {
    lua_pushboolean(L, undoes(f) && orr_run_uncertain(f->run->run, f->task.node, f->task.item));
}

/* In a compensation: why the run is undone. */
static void get_error(lua_State *L, orr_fiber *f) {
    if (undoes(f)) orr_run_push_failure(L, f->run);
    else lua_pushnil(L);
}

static const struct {
    const char *name;
    void (*get)(lua_State *L, orr_fiber *f);
} fields[] = {
    {"input", get_input}, {"inputs", get_inputs}, {"nodes", get_nodes}, {"states", get_states}, {"errors", get_errors},
    {"context", get_context}, {"env", get_env}, {"run", get_run}, {"node", get_node}, {"item", get_item},
    {"index", get_index}, {"attempt", get_attempt}, {"iteration", get_iteration},
    {"idempotency_key", get_idempotency_key}, {"cancelled", get_cancelled},
    {"output", get_output}, {"uncertain", get_uncertain}, {"error", get_error},
};

/* Upvalue 1: name -> function of ctx, or number of a field. */
static int ctx_index(lua_State *L) {
    lua_settop(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNUMBER) return 1;
    orr_fiber *f = live(L, lua_touserdata(L, 1));
    fields[lua_tointeger(L, -1)].get(L, f);
    return 1;
}

static int ctx_newindex(lua_State *L) {
    return luaL_error(L, "ctx.%s cannot be set: ctx is read only; keep values in locals, or return them as output",
                      luaL_tolstring(L, 2, NULL));
}

void orr_open_ctx(lua_State *L, orr_script *s) {
    static const luaL_Reg methods[] = {{"sleep", orr_ctx_sleep}, {"log", ctx_log}, {"progress", ctx_progress},
                                       {"heartbeat", ctx_heartbeat}, {"emit", ctx_emit}, {"call", orr_ctx_call},
                                       {"step", orr_ctx_step}, {"wait", orr_ctx_wait}, {"now", orr_ctx_now},
                                       {"random", orr_ctx_random}, {"uuid", orr_ctx_uuid},
                                       {NULL, NULL}};
    lua_newtable(L);
    lua_pushliteral(L, "orrery.ctx");
    lua_setfield(L, -2, "__name");
    luaL_newlib(L, methods);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_setfield(L, -2, fields[i].name);
    }
    lua_pushcclosure(L, ctx_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, ctx_newindex);
    lua_setfield(L, -2, "__newindex");
    s->at.ctx_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}
