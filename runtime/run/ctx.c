/* ctx.c - what a handler or a condition is given: `ctx`.
 *
 * A ctx is a small userdata that names a fiber by its id. Every use looks the fiber up, so that one
 * kept beyond its attempt raises instead of reaching into another.
 */
#include "lua/json.h"
#include "lua/lazy.h"
#include "run/inner.h"
#include <string.h>

void orr_push_ctx(lua_State *L, orr_script *s, const orr_fiber *f) {
    orr_ctx *ctx = lua_newuserdatauv(L, sizeof *ctx, 0);
    ctx->script = s;
    ctx->fiber = orr_fiber_id_of(f);
    orr_push_anchor(L, orr_runs_of(s)->ctx_mt);
    lua_setmetatable(L, -2);
}

static orr_fiber *live(lua_State *L, const orr_ctx *ctx) {
    orr_fiber *f = ctx->script->closed ? NULL : orr_fiber_get(ctx->script, ctx->fiber);
    if (!f || !f->run || !f->run->run)
        luaL_error(
            L,
            "this ctx is no longer valid: the attempt it belongs to has ended; take what is needed out of it "
            "before");
    return f;
}

orr_fiber *orr_check_ctx(lua_State *L, int idx) {
    orr_script *s = orr_script_of(L);
    bool ok = lua_type(L, idx) == LUA_TUSERDATA && lua_getmetatable(L, idx);
    if (ok) {
        orr_push_anchor(L, orr_runs_of(s)->ctx_mt);
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
    if (f->state == FIBER_VIEW)
        luaL_error(L, "%s cannot be used in a condition or an expression; only in a handler", what);
    if (current && current->root != f->index)
        luaL_error(L, "%s: this ctx belongs to another node's attempt; use the one this handler was given",
                   what);
    return f;
}

/* ---- methods --------------------------------------------------------------------------------- */

/* Whether this was reported before: the handler runs again, and has not come to its replay point.
 */
static bool reported_before(lua_State *L, const orr_fiber *f) {
    const orr_fiber *current = orr_fiber_current(f->run->script);
    return current && current->root == f->index && f->run->stepped &&
           f->run->rt->keeper->replaying(L, f->run->script, current);
}

/* Whether anybody listens to what is new. */
static bool listening(lua_State *L, const orr_fiber *f) {
    return f->run->rt->n_listeners > 0 && !reported_before(L, f);
}

static void push_event(lua_State *L, const orr_fiber *f, const char *name) {
    orr_event_push(L, f->run, name, &f->task, orr_run_time_now(f->run));
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
    orr_mask(L, f->run->script, 3);
    orr_mask(L, f->run->script, 4);
    orr_attempt_sign(f);
    if (reported_before(L, f)) return 0;
    if (f->run->journal) f->run->rt->keeper->log(L, f, 2, 3, 4);
    if (f->run->rt->n_listeners == 0) return 0;
    push_event(L, f, "log");
    set_arg(L, 2, "level");
    set_arg(L, 3, "message");
    set_arg(L, 4, "fields");
    orr_event_queue(L, f->run->rt);
    return 0;
}

/* ctx:cost(name, amount): what the attempt has used, added up by name */
static int ctx_cost(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:cost");
    size_t size;
    luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, size > 0 && size <= ORR_COST_NAME, 2, "a name of 1 to 128 bytes, such as \"tokens\"");
    lua_Number amount = luaL_checknumber(L, 3);
    luaL_argcheck(L, amount >= 0 && amount <= ORR_COST_MAX, 3, "a number from 0 to 1e15");
    lua_settop(L, 3);
    orr_mask(L, f->run->script, 2);
    orr_attempt_sign(f);
    if (reported_before(L, f)) return 0;
    orr_run_add_cost(L, f->run, 2, 3);
    lua_pushliteral(L, "cost");
    if (f->run->journal) f->run->rt->keeper->log(L, f, 4, 2, 3);
    if (f->run->rt->n_listeners == 0) return 0;
    push_event(L, f, "cost");
    set_arg(L, 2, "name");
    set_arg(L, 3, "amount");
    orr_event_queue(L, f->run->rt);
    return 0;
}

/* ctx:publish(name, value): what others may read of the run, the last value of each name */
static int ctx_publish(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:publish");
    size_t size;
    luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, size > 0 && size <= ORR_PUBLISHED_NAME, 2,
                  "a name of 1 to 128 bytes, such as \"progress\"");
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    orr_mask(L, f->run->script, 2);
    orr_mask(L, f->run->script, 3);
    orr_attempt_sign(f);
    if (reported_before(L, f)) return 0;
    if (!orr_json_encode(L, 3, &(orr_json_writing){.root = "value", .binary = true})) return lua_error(L);
    luaL_argcheck(L, lua_rawlen(L, 4) <= ORR_PUBLISHED_VALUE, 3,
                  "a value of at most 64 KiB as JSON: publish where the rest is");
    orr_run_publish(L, f->run, 2, 4);
    if (f->run->journal) f->run->rt->keeper->publish(L, f, 2, 4);
    return 0;
}

/* ctx:heartbeat(): a sign of life */
static int ctx_heartbeat(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:heartbeat");
    orr_task_heartbeat(f->run->run, &f->task);
    orr_attempt_sign(f);
    return 0;
}

void orr_progress_report(lua_State *L, orr_fiber *f, lua_Number fraction, const char *message) {
    orr_task_heartbeat(f->run->run, &f->task);
    orr_attempt_sign(f);
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

/* core.spools(ctx) -> folder, bytes: where a list that takes more than so many bytes of memory is
 * kept: the path of a folder, "" for a file without a name, or false where it is not. */
int orr_core_spools(lua_State *L) {
    const orr_script *s = orr_script_of(L);
    bool own = lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1);
    if (own) orr_push_anchor(L, orr_runs_of(s)->ctx_mt);
    if (!own || !lua_rawequal(L, -1, -2)) { /* of whom nobody knows where its rows go */
        lua_pushboolean(L, false);
        return 1;
    }
    const orr_runbox *r = orr_check_ctx(L, 1)->run;
    const char *folder = r->journal ? r->rt->keeper->rows(r->rt) : NULL;
    lua_pushstring(L, folder ? folder : "");
    lua_pushinteger(L, (lua_Integer)r->rt->large_output);
    return 2;
}

/* ctx:progress(fraction[, message]): a sign of life that is shown */
static int ctx_progress(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:progress");
    lua_Number fraction = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, fraction >= 0 && fraction <= 1, 2, "a fraction from 0 to 1");
    lua_settop(L, 3);
    orr_mask(L, f->run->script, 3);
    orr_progress_report(L, f, lua_isnil(L, 2) ? -1 : fraction,
                        lua_isnil(L, 3) ? NULL : luaL_tolstring(L, 3, NULL));
    return 0;
}

/* ctx:emit(name[, data]) */
static int ctx_emit(lua_State *L) {
    orr_fiber *f = orr_check_own_ctx(L, 1, "ctx:emit");
    luaL_checkstring(L, 2);
    orr_mask(L, f->run->script, 2);
    const char *name = lua_tostring(L, 2);
    luaL_argcheck(L, !orr_event_is_ours(name), 2,
                  "this is the name of an event of the engine's; choose another");
    lua_settop(L, 3);
    if (!listening(L, f)) return 0;
    orr_mask(L, f->run->script, 3);
    push_event(L, f, name);
    set_arg(L, 3, "data");
    orr_event_queue(L, f->run->rt);
    return 0;
}

/* ---- fields ---------------------------------------------------------------------------------- */

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
    if (lua_istable(L, -1)) orr_list_get(L, -1, (lua_Integer)f->task.item + 1);
}

static void get_item_name(lua_State *L, orr_fiber *f) {
    if (!orr_item_name_push(L, f->run, &f->task)) lua_pushnil(L);
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

static void get_trigger(lua_State *L, orr_fiber *f) {
    get_run(L, f);
    lua_getfield(L, -1, "trigger");
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

/* In a compensation: what the node had returned; nil where it is not known whether it did
 * anything. */
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

static void get_previous(lua_State *L, orr_fiber *f) {
    bool until = f->state == FIBER_VIEW && orr_runs_of(f->run->script)->until;
    if (undoes(f)) lua_pushnil(L);
    else orr_push_previous(L, f, until);
}

static void get_restarted(lua_State *L, orr_fiber *f) {
    bool may = f->run->stepped && f->phase == ORR_PHASE_RUN && f->state != FIBER_VIEW;
    if (may) f->run->rt->keeper->restarted(L, f);
    else lua_pushnil(L);
}

static const struct {
    const char *name;
    void (*get)(lua_State *L, orr_fiber *f);
} fields[] = {
    {"input", get_input},
    {"inputs", get_inputs},
    {"nodes", get_nodes},
    {"states", get_states},
    {"errors", get_errors},
    {"context", get_context},
    {"env", get_env},
    {"run", get_run},
    {"trigger", get_trigger},
    {"node", get_node},
    {"item", get_item},
    {"index", get_index},
    {"item_name", get_item_name},
    {"attempt", get_attempt},
    {"iteration", get_iteration},
    {"previous", get_previous},
    {"restarted", get_restarted},
    {"idempotency_key", get_idempotency_key},
    {"cancelled", get_cancelled},
    {"output", get_output},
    {"uncertain", get_uncertain},
    {"error", get_error},
};

/* Upvalue 1: name -> function of ctx, or number of a field. */
static int ctx_index(lua_State *L) {
    lua_settop(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNUMBER) return 1;
    orr_fiber *f = live(L, lua_touserdata(L, 1));
    fields[lua_tointeger(L, -1)].get(L, f);
    return 1;
}

/* ctx:state([options]) -> what outlives runs; see orrery.state. */
static int ctx_state(lua_State *L) {
    lua_settop(L, 2);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.state");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "of");
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 1);
    return 1;
}

static int ctx_newindex(lua_State *L) {
    return luaL_error(
        L, "ctx.%s cannot be set: ctx is read only; keep values in locals, or return them as output",
        luaL_tolstring(L, 2, NULL));
}

void orr_open_ctx(lua_State *L, orr_script *s) {
    static const luaL_Reg methods[] = {
        {"sleep", orr_ctx_sleep},     {"log", ctx_log},       {"progress", ctx_progress},
        {"heartbeat", ctx_heartbeat}, {"emit", ctx_emit},     {"call", orr_ctx_call},
        {"step", orr_ctx_step},       {"wait", orr_ctx_wait}, {"now", orr_ctx_now},
        {"random", orr_ctx_random},   {"uuid", orr_ctx_uuid}, {"items", orr_ctx_items},
        {"state", ctx_state},         {"cost", ctx_cost},     {"publish", ctx_publish},
        {"restart", orr_ctx_restart}, {NULL, NULL},
    };
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
    orr_runs_of(s)->ctx_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}
