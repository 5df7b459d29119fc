/* inspect.c - what Lua can ask a run: state, output, error, why, statistics; and the methods that
 * give it commands. */
#include "run/inner.h"
#include <string.h>

const char *orr_run_state_text(const orr_runbox *r) {
    /* this process goes on without it; its journal says what it really is */
    if (r->dropped) return "interrupted";
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
    if (!error.code || (cause == ORR_STOP_CANCEL && node != ORR_NONE)) {
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
    bool deadlock = r->lock && r->lock->deadlock;
    if (r->output_failed || r->dropped || deadlock) orr_run_push(L, r, RUN_ERROR);
    else if (has_failed(r)) orr_run_push_failure(L, r);
    else lua_pushnil(L);
}

void orr_run_push_stats(lua_State *L, const orr_runbox *r) {
    orr_run_stats stats = {0};
    if (r->run) orr_run_get_stats(r->run, &stats);
    lua_createtable(L, 0, 9);
    lua_newtable(L);
    for (int i = 0; i < ORR_NODE_STATE_COUNT; i++)
        if (stats.by_state[i]) orr_set_integer(L, orr_node_state_name((orr_node_state)i), stats.by_state[i]);
    lua_setfield(L, -2, "by_state");
    orr_set_integer(L, "attempts", (lua_Integer)stats.attempts);
    orr_set_integer(L, "retries", (lua_Integer)stats.retries);
    orr_set_integer(L, "items", (lua_Integer)stats.items);
    orr_set_integer(L, "peak_running", stats.peak_running);
    orr_set_integer(L, "running", stats.running);
    orr_set_seconds(L, "created", stats.created);
    if (stats.started) orr_set_seconds(L, "started", stats.started);
    if (stats.ended) orr_set_seconds(L, "ended", stats.ended);
}

/* ---- methods --------------------------------------------------------------------------------- */

static int run_stats(lua_State *L) {
    orr_runbox *r = orr_check_run(L, 1);
    orr_run_push_stats(L, r);
    orr_run_set_costs(L, r);
    return 1;
}

/* run:bytes() -> bytes the engine holds for the run */
static int run_bytes(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)orr_run_bytes(orr_check_open_run(L, 1)->run));
    return 1;
}

static int run_states(lua_State *L) {
    orr_runbox *r = orr_check_open_run(L, 1);
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
    orr_runbox *r = orr_check_open_run(L, 1);
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
    orr_runbox *r = orr_check_open_run(L, 1);
    lua_newtable(L);
    for (uint32_t i = 0; i < r->plan->plan->n_nodes; i++) {
        if (!orr_items_push_error(L, r, i)) continue;
        orr_push_node_name(L, r, i);
        lua_insert(L, -2);
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
        if (task.item != ORR_NONE) orr_set_integer(L, "item", (lua_Integer)task.item + 1);
        if (orr_item_name_push(L, r, &task)) lua_setfield(L, -2, "item_name");
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

/* run:compensations() -> {{node=, item=, state=, uncertain=, error=, value=}, …}: what was
 * undone, in that order, and what could not be */
static int run_compensations(lua_State *L) {
    orr_run_push_compensations(L, orr_check_open_run(L, 1));
    return 1;
}

/* ---- fields ---------------------------------------------------------------------------------- */

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

/* The run that is in its way, while it waits for its lock. */
static void get_holder(lua_State *L, orr_runbox *r) {
    char id[40];
    bool waits = r->run && r->lock && r->lock->behind && orr_run_waits(r->run);
    if (waits) orr_uuid_format(id, r->lock->other);
    lua_pushstring(L, waits ? id : NULL);
}

static void get_lock(lua_State *L, orr_runbox *r) {
    lua_pushstring(L, r->lock ? r->lock->value : NULL);
}

static void get_ended(lua_State *L, orr_runbox *r) {
    lua_pushboolean(L, !r->live);
}

static const struct {
    const char *name;
    void (*get)(lua_State *L, orr_runbox *r);
} fields[] = {
    {"id", get_id},         {"state", get_state}, {"output", get_output}, {"error", orr_run_push_error},
    {"workflow", get_name}, {"ended", get_ended}, {"lock", get_lock},     {"holder", get_holder},
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

void orr_open_run(lua_State *L, orr_script *s) {
    static const luaL_Reg methods[] = {
        {"cancel", orr_run_cancel_method},
        {"signal", orr_run_signal},
        {"pause", orr_run_pause_method},
        {"resume", orr_run_resume_method},
        {"suspend", orr_run_suspend_method},
        {"why", orr_run_why_method},
        {"stats", run_stats},
        {"published", orr_run_published_method},
        {"states", run_states},
        {"outputs", run_outputs},
        {"errors", run_errors},
        {"items", orr_run_items_method},
        {"bytes", run_bytes},
        {"compensations", run_compensations},
        {NULL, NULL},
    };
    lua_newtable(L);
    orr_box_metatable(L);
    lua_pushliteral(L, "orrery.run");
    lua_setfield(L, -2, "__name");
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    orr_runs_of(s)->run_methods = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcclosure(L, run_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, run_tostring);
    lua_setfield(L, -2, "__tostring");
    orr_runs_of(s)->run_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}
