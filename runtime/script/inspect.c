/* inspect.c - what Lua can ask a run: state, output, error, why, statistics; and what it can tell it. */
#include "json.h"
#include "state.h"
#include <lauxlib.h>
#include <string.h>

static void set_seconds(lua_State *L, const char *key, int64_t ns) {
    lua_pushnumber(L, (lua_Number)ns / 1e9);
    lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, uint64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, key);
}

const char *orr_run_state_text(const orr_runbox *r) {
    if (r->dropped) return "interrupted"; /* this process goes on without it; its journal says what it really is */
    if (!r->run) return "cancelled"; /* its runtime was closed under it */
    return orr_run_state_name(r->output_failed ? ORR_RUN_FAILED : orr_run_get_state(r->run));
}

/* What stopped a run that no node failed. */
static const struct {
    const char *code, *message;
} causes[] = {
    [ORR_STOP_NONE] = {"error", "the run failed"},
    [ORR_STOP_FAILURE] = {"error", "a node failed"},
    [ORR_STOP_CANCEL] = {"cancelled", "the run was cancelled"},
    [ORR_STOP_TIMEOUT] = {"timeout", "the run took longer than the workflow's timeout"},
    [ORR_STOP_STALL] = {"stall", "nothing runs, waits or is due, but nodes are left"},
};

void orr_run_push_failure(lua_State *L, orr_runbox *r) {
    orr_error error = {0};
    uint32_t node = r->run ? orr_run_failure(r->run, &error) : ORR_NONE;
    orr_stop_cause cause = r->run ? orr_run_cause(r->run) : ORR_STOP_CANCEL;
    if (!error.code || cause == ORR_STOP_CANCEL) {
        error = (orr_error){.code = causes[cause].code, .message = causes[cause].message};
        node = ORR_NONE;
    }
    orr_push_core_error(L, r, &error, node);
}

static bool has_failed(const orr_runbox *r) {
    if (!r->run) return true;
    orr_run_state state = orr_run_get_state(r->run);
    return state == ORR_RUN_FAILED || state == ORR_RUN_CANCELLED || state >= ORR_RUN_COMPENSATING;
}

void orr_run_push_error(lua_State *L, orr_runbox *r) {
    if (r->output_failed || r->dropped) orr_run_push(L, r, RUN_ERROR);
    else if (has_failed(r)) orr_run_push_failure(L, r);
    else lua_pushnil(L);
}

void orr_run_push_stats(lua_State *L, const orr_runbox *r) {
    orr_run_stats stats = {0};
    if (r->run) orr_run_get_stats(r->run, &stats);
    lua_createtable(L, 0, 8);
    lua_newtable(L);
    for (int i = 0; i < ORR_NODE_STATE_COUNT; i++)
        if (stats.by_state[i]) set_integer(L, orr_node_state_name((orr_node_state)i), stats.by_state[i]);
    lua_setfield(L, -2, "by_state");
    set_integer(L, "attempts", stats.attempts);
    set_integer(L, "retries", stats.retries);
    set_integer(L, "items", stats.items);
    set_integer(L, "peak_running", stats.peak_running);
    set_integer(L, "running", stats.running);
    set_seconds(L, "created", stats.created);
    if (stats.started) set_seconds(L, "started", stats.started);
    if (stats.ended) set_seconds(L, "ended", stats.ended);
}

/* ---- methods ------------------------------------------------------------------------------------------------------- */

static orr_runbox *check_open(lua_State *L) {
    orr_runbox *r = orr_check_run(L, 1);
    if (!r->run) luaL_error(L, "the runtime of this run is closed");
    return r;
}

/* What is told to a run happens now: nobody may have stepped for long. */
static orr_run *check_now(lua_State *L) {
    const orr_runbox *r = check_open(L);
    orr_engine_tick(r->rt->runtime);
    return r->run;
}

static int run_cancel(lua_State *L) {
    orr_run_cancel(check_now(L));
    return 0;
}

static int run_pause(lua_State *L) {
    orr_run_pause(check_now(L));
    return 0;
}

static int run_resume(lua_State *L) {
    orr_run_resume(check_now(L));
    return 0;
}

/* run:suspend(): lets a journaled run go in good order; it can be resumed from its journal, by this or another process. */
static int run_suspend(lua_State *L) {
    orr_runbox *r = check_open(L);
    if (!r->live) return luaL_error(L, "the run has ended; only a live one can be suspended");
    if (!orr_storage_is_durable(r->rt) || !r->journal) return luaL_error(L, "the run keeps no journal in a store, so nothing could resume it");
    orr_check_may_drop(L, r->rt, r, "run:suspend");
    orr_push_error(L, r->script, "suspended", "the run was suspended; it can be resumed");
    orr_run_suspend(r->run);
    orr_run_drop(L, r);
    return 0;
}

static int run_stats(lua_State *L) {
    orr_run_push_stats(L, orr_check_run(L, 1));
    return 1;
}

/* run:bytes() -> bytes the engine holds for the run */
static int run_bytes(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)orr_run_bytes(check_open(L)->run));
    return 1;
}

static int run_states(lua_State *L) {
    orr_runbox *r = check_open(L);
    uint32_t n = r->plan->plan->n_nodes;
    lua_createtable(L, 0, (int)n);
    for (uint32_t i = 0; i < n; i++) {
        orr_push_node_name(L, r, i);
        lua_pushstring(L, orr_node_state_name(orr_run_node_state(r->run, i, ORR_NONE)));
        lua_rawset(L, -3);
    }
    return 1;
}

static int run_outputs(lua_State *L) {
    orr_runbox *r = check_open(L);
    lua_newtable(L);
    for (uint32_t i = 0; i < r->plan->plan->n_nodes; i++) {
        if (orr_run_outcome(r->run, i) != 'C') continue;
        orr_push_node_name(L, r, i);
        orr_run_push_output(L, r, i, ORR_NONE);
        lua_rawset(L, -3);
    }
    return 1;
}

static int run_errors(lua_State *L) {
    orr_runbox *r = check_open(L);
    lua_newtable(L);
    for (uint32_t i = 0; i < r->plan->plan->n_nodes; i++) {
        orr_error error;
        if (!orr_run_error(r->run, i, ORR_NONE, &error)) continue;
        orr_push_node_name(L, r, i);
        orr_push_core_error(L, r, &error, i);
        lua_rawset(L, -3);
    }
    return 1;
}

/* What became of undoing a task, or will. */
static const char *undone_state(const orr_runbox *r, const orr_task *task) {
    orr_node_state state = orr_run_node_state(r->run, task->node, task->item);
    return state < ORR_NODE_COMPENSATING ? "pending" : orr_node_state_name(state);
}

void orr_run_push_compensations(lua_State *L, orr_runbox *r) {
    orr_task task;
    lua_newtable(L);
    for (uint32_t i = 0; r->run && orr_run_undo(r->run, i, &task); i++) {
        orr_error error;
        lua_createtable(L, 0, 6);
        orr_push_node_name(L, r, task.node);
        lua_setfield(L, -2, "node");
        if (task.item != ORR_NONE) set_integer(L, "item", (uint64_t)task.item + 1);
        lua_pushstring(L, undone_state(r, &task));
        lua_setfield(L, -2, "state");
        lua_pushboolean(L, orr_run_uncertain(r->run, task.node, task.item));
        lua_setfield(L, -2, "uncertain");
        if (orr_run_compensation_error(r->run, task.node, task.item, &error)) {
            orr_push_core_error(L, r, &error, task.node);
            lua_setfield(L, -2, "error");
        }
        orr_push_compensation(L, r, &task);
        lua_setfield(L, -2, "value");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    orr_json_mark_array(L, -1);
}

/* run:compensations() -> {{node=, item=, state=, uncertain=, error=, value=}, …}: what was undone, in that order, and what could
 * not be */
static int run_compensations(lua_State *L) {
    orr_run_push_compensations(L, check_open(L));
    return 1;
}

static const char *const why_kinds[] = {
    [ORR_WHY_SETTLED] = "settled", [ORR_WHY_RUNNING] = "running", [ORR_WHY_DEPENDENCY] = "dependency",
    [ORR_WHY_RUN_LIMIT] = "run_limit", [ORR_WHY_POOL] = "pool", [ORR_WHY_RATE] = "rate", [ORR_WHY_BREAKER] = "breaker",
    [ORR_WHY_BACKOFF] = "backoff", [ORR_WHY_TIMER] = "timer", [ORR_WHY_SIGNAL] = "signal",
    [ORR_WHY_PRIORITY] = "priority", [ORR_WHY_PAUSED] = "paused", [ORR_WHY_STOPPED] = "stopped",
    [ORR_WHY_ITEMS] = "items",           [ORR_WHY_COMPENSATION] = "compensation",
};
static const char *const skip_names[] = {NULL, "upstream", "when", "outcome"};
static const char *const cause_names[] = {NULL, "failure", "cancel", "timeout", "stall"};

static void set_name(lua_State *L, const char *key, const char *name) {
    if (!name) return;
    lua_pushstring(L, name);
    lua_setfield(L, -2, key);
}

/* The core knows that it waits; for which signal is known here. The table is at the top. */
static void tell_signal(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item) {
    if (!orr_signal_push_name(L, r, node, item)) return;
    lua_setfield(L, -2, "name");
    set_name(L, "kind", why_kinds[ORR_WHY_SIGNAL]);
}

void orr_push_why(lua_State *L, orr_runbox *r, uint32_t node, uint32_t item) {
    orr_why why = {.by = ORR_NONE};
    orr_run_why(r->run, node, item, &why);
    lua_newtable(L);
    set_name(L, "kind", why_kinds[why.kind]);
    set_name(L, "state", orr_node_state_name(why.state));
    set_name(L, "name", why.name);
    set_name(L, "skip", skip_names[why.skip]);
    set_name(L, "cause", cause_names[why.cause]);
    if (why.kind == ORR_WHY_SIGNAL || why.kind == ORR_WHY_TIMER) tell_signal(L, r, node, item);
    if (why.by != ORR_NONE) {
        orr_runbox *other = why.by_run ? orr_run_ud(why.by_run) : r;
        orr_push_node_name(L, other, why.by);
        lua_setfield(L, -2, "by");
        if (other != r) set_name(L, "by_run", other->id);
    }
    if (why.count || why.limit) set_integer(L, "count", why.count);
    if (why.limit) set_integer(L, "limit", why.limit);
    if (why.due > 0 && why.due != INT64_MAX) set_seconds(L, "due", why.due);
    if (why.since) set_seconds(L, "since", why.since);
    orr_cache_tell(L, r, node, item);
}

/* run:why(node name[, item]) -> {kind, state, by, by_run, name, count, limit, due, since, skip, cause}; only what
 * applies is there. `due` and `since` are seconds since the epoch. */
static int run_why(lua_State *L) {
    orr_runbox *r = check_open(L);
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_Integer item = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, item >= 0 && item < UINT32_MAX, 3, "out of range");
    uint32_t node = orr_node_by_name(L, r, 2);
    if (node == ORR_NONE) return luaL_error(L, "no node is called %s", lua_tostring(L, 2));
    orr_push_why(L, r, node, (uint32_t)item - 1);
    return 1;
}

/* ---- fields ---------------------------------------------------------------------------------------------------------- */

static void get_id(lua_State *L, orr_runbox *r) {
    lua_pushstring(L, r->id);
}

static void get_state(lua_State *L, orr_runbox *r) {
    lua_pushstring(L, orr_run_state_text(r));
}

static void get_output(lua_State *L, orr_runbox *r) {
    orr_run_push(L, r, RUN_OUTPUT);
}

static void get_name(lua_State *L, orr_runbox *r) {
    lua_pushstring(L, r->plan->plan->name);
}

static void get_ended(lua_State *L, orr_runbox *r) {
    lua_pushboolean(L, !r->live);
}

static const struct {
    const char *name;
    void (*get)(lua_State *L, orr_runbox *r);
} fields[] = {
    {"id", get_id}, {"state", get_state}, {"output", get_output}, {"error", orr_run_push_error},
    {"workflow", get_name}, {"ended", get_ended},
};

static int run_index(lua_State *L) {
    orr_runbox *r = orr_check_run(L, 1);
    if (lua_type(L, 2) == LUA_TSTRING) {
        const char *key = lua_tostring(L, 2);
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            if (strcmp(fields[i].name, key) != 0) continue;
            fields[i].get(L, r);
            return 1;
        }
    }
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static int run_tostring(lua_State *L) {
    const orr_runbox *r = orr_check_run(L, 1);
    lua_pushfstring(L, "run %s (%s)", r->id, orr_run_state_text(r));
    return 1;
}

void orr_run_methods(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"cancel", run_cancel}, {"signal", orr_run_signal}, {"pause", run_pause}, {"resume", run_resume}, {"suspend", run_suspend}, {"why", run_why}, {"stats", run_stats},
        {"states", run_states}, {"outputs", run_outputs}, {"errors", run_errors}, {"bytes", run_bytes}, {"journal", orr_run_journal},
        {"compensations", run_compensations}, {NULL, NULL}};
    luaL_newlib(L, methods);
    lua_pushcclosure(L, run_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, run_tostring);
    lua_setfield(L, -2, "__tostring");
}
