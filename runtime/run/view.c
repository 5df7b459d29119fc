/* view.c - what a ctx shows of its run: outputs, states and errors by node name, inputs, the
 * environment. */
#include "run/inner.h"
#include <stdlib.h>
#include <string.h>

void orr_push_node_name(lua_State *L, const orr_runbox *r, uint32_t node) {
    if (node == ORR_NONE) {
        lua_pushnil(L);
        return;
    }
    orr_run_push_plan(L, r, PLAN_NAMES);
    lua_rawgeti(L, -1, (lua_Integer)node + 1);
    lua_remove(L, -2);
}

/* The table from names to numbers is made when a name is first asked for. */
static void push_index(lua_State *L, const orr_runbox *r) {
    orr_run_push(L, r, RUN_PLAN);
    if (lua_getiuservalue(L, -1, PLAN_INDEX) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_getiuservalue(L, -1, PLAN_NAMES);
        uint32_t n = r->plan->plan->n_nodes;
        lua_createtable(L, 0, (int)n);
        for (uint32_t i = 0; i < n; i++) {
            if (lua_rawgeti(L, -2, (lua_Integer)i + 1) == LUA_TNIL) {
                lua_pop(L, 1);
                continue;
            }
            lua_pushinteger(L, i);
            lua_rawset(L, -3);
        }
        lua_remove(L, -2);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, -3, PLAN_INDEX);
    }
    lua_remove(L, -2);
}

uint32_t orr_node_by_name(lua_State *L, const orr_runbox *r, int name_idx) {
    name_idx = lua_absindex(L, name_idx);
    push_index(L, r);
    lua_pushvalue(L, name_idx);
    uint32_t node = lua_rawget(L, -2) == LUA_TNUMBER ? (uint32_t)lua_tointeger(L, -1) : ORR_NONE;
    lua_pop(L, 2);
    return node;
}

/* ---- nodes, states, errors ------------------------------------------------------------------- */

/* Upvalue 1 of each: the run. */
static orr_runbox *view_of(lua_State *L, uint32_t *node) {
    orr_runbox *r = orr_unbox(L, lua_upvalueindex(1));
    *node = r && r->run ? orr_node_by_name(L, r, 2) : ORR_NONE;
    return r;
}

static int nodes_index(lua_State *L) {
    uint32_t node;
    orr_runbox *r = view_of(L, &node);
    if (node == ORR_NONE || orr_run_outcome(r->run, node) != 'C') return 0;
    orr_run_push_output(L, r, node, ORR_NONE);
    return 1;
}

static int states_index(lua_State *L) {
    uint32_t node;
    orr_runbox *r = view_of(L, &node);
    if (node == ORR_NONE) return 0;
    lua_pushstring(L, orr_node_state_name(orr_run_node_state(r->run, node, ORR_NONE)));
    return 1;
}

static int errors_index(lua_State *L) {
    uint32_t node;
    orr_runbox *r = view_of(L, &node);
    return node != ORR_NONE && orr_items_push_error(L, r, node) ? 1 : 0;
}

/* pairs(view): all nodes of which it knows something, in order. Upvalues: the run, the index
 * function. */
static int view_next(lua_State *L) {
    orr_runbox *r = orr_unbox(L, lua_upvalueindex(1));
    if (!r || !r->run) return 0;
    uint32_t i = lua_isnil(L, 2) ? 0 : orr_node_by_name(L, r, 2) + 1;
    for (; i < r->plan->plan->n_nodes; i++) {
        lua_settop(L, 1);
        orr_push_node_name(L, r, i);
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushvalue(L, 1);
        lua_pushvalue(L, 2);
        lua_call(L, 2, 1);
        if (!lua_isnil(L, -1)) return 2;
    }
    return 0;
}

static int view_pairs(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushcclosure(L, view_next, 2);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int read_only(lua_State *L) {
    return luaL_error(L, "%s cannot be set: what ctx shows is read only", luaL_tolstring(L, 2, NULL));
}

static void make_view(lua_State *L, orr_runbox *r, lua_CFunction index) {
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    orr_push_box(L, r->script, r);
    lua_pushcclosure(L, index, 1);
    orr_push_box(L, r->script, r);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, view_pairs, 2);
    lua_setfield(L, -3, "__pairs");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
}

/* ---- the environment ------------------------------------------------------------------------- */

/* Upvalue 1: true for all names, or a table of the allowed ones. */
static int env_index(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    if (lua_istable(L, lua_upvalueindex(1))) {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
        if (!lua_toboolean(L, -1)) return 0;
    } else if (!lua_toboolean(L, lua_upvalueindex(1))) {
        return 0;
    }
    lua_pushstring(L, getenv(lua_tostring(L, 2)));
    return 1;
}

/* The option `env` of the run (true or a list of names) is at the top; the view takes its place. */
static void make_env(lua_State *L) {
    if (lua_istable(L, -1)) {
        lua_newtable(L);
        lua_Integer n = (lua_Integer)lua_rawlen(L, -2);
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, -2, i);
            if (lua_isnil(L, -1)) break;
            lua_pushboolean(L, true);
            lua_rawset(L, -3);
        }
    } else {
        lua_pushboolean(L, lua_toboolean(L, -1));
    }
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_rotate(L, -3, -1); /* what is allowed comes to the top */
    lua_pushcclosure(L, env_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

/* What changes while it runs. Upvalue 1: the run. */
static int info_index(lua_State *L) {
    orr_runbox *r = orr_unbox(L, lua_upvalueindex(1));
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!r || !r->run) return 0;
    orr_run_state outlook = orr_run_outlook(r->run);
    orr_stop_cause cause = orr_run_cause(r->run);
    if (cause == ORR_STOP_NONE && outlook == ORR_RUN_FAILED) cause = ORR_STOP_FAILURE;
    if (strcmp(key, "state") == 0) lua_pushstring(L, orr_run_state_name(outlook));
    else if (strcmp(key, "cause") == 0) lua_pushstring(L, orr_stop_name(cause));
    else if (strcmp(key, "error") == 0 && cause != ORR_STOP_NONE) orr_run_push_failure(L, r);
    else return 0;
    return 1;
}

static void set_default(lua_State *L, const char *key) {
    if (lua_getfield(L, -2, key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_setfield(L, -2, key);
    } else {
        lua_pop(L, 2);
    }
}

/* {kind=, time=, …}: what started it. A run that was set back was started by the retry. */
static void push_trigger(lua_State *L, const orr_runbox *r, int64_t created) {
    lua_createtable(L, 0, 4);
    int made = lua_gettop(L);
    orr_run_push(L, r, RUN_TRIGGER);
    if (!r->retried && lua_istable(L, -1)) {
        for (lua_pushnil(L); lua_next(L, made + 1); lua_pop(L, 1)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, made);
        }
    }
    lua_settop(L, made);
    lua_pushstring(L, r->retried ? "retry" : "script");
    set_default(L, "kind");
    lua_pushnumber(L, (lua_Number)(r->retried ? r->retried : created) / 1e9);
    set_default(L, "time");
}

static void make_info(lua_State *L, orr_runbox *r) {
    orr_run_stats stats;
    orr_run_get_stats(r->run, &stats);
    lua_createtable(L, 0, 4);
    push_trigger(L, r, stats.created);
    lua_setfield(L, -2, "trigger");
    lua_pushstring(L, r->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, r->plan->plan->name);
    lua_setfield(L, -2, "workflow");
    lua_pushnumber(L, (lua_Number)stats.started / 1e9);
    lua_setfield(L, -2, "started");
    lua_createtable(L, 0, 1);
    orr_push_box(L, r->script, r);
    lua_pushcclosure(L, info_index, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

/* Views are made once a run. The one of the environment replaces the option it was made from. */
void orr_push_view(lua_State *L, orr_runbox *r, int view) {
    orr_run_push(L, r, view);
    if (view == RUN_ENV) {
        if (lua_istable(L, -1) && luaL_getmetafield(L, -1, "__index") != LUA_TNIL) {
            lua_pop(L, 1);
            return;
        }
        make_env(L);
    } else {
        if (!lua_isnil(L, -1)) return;
        lua_pop(L, 1);
        if (view == RUN_INFO) make_info(L, r);
        else
            make_view(L, r,
                      view == RUN_NODES_VIEW    ? nodes_index
                      : view == RUN_STATES_VIEW ? states_index
                                                : errors_index);
    }
    lua_pushvalue(L, -1);
    orr_run_set(L, r, view);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

void orr_push_inputs(lua_State *L, orr_script *s, orr_runbox *r, uint32_t node) {
    const orr_plan *plan = r->plan->plan;
    uint32_t first = plan->in_first[node], end = plan->in_first[node + 1];
    lua_createtable(L, 0, (int)(end - first));
    int inputs = lua_gettop(L), read = 0;
    for (uint32_t i = first; i < end; i++) {
        uint32_t from = plan->in_from[i];
        if (orr_run_outcome(r->run, from) != 'C') continue;
        if (orr_large_is_handle(r, from) && read++ > 0) continue; /* read when it is asked for */
        orr_push_node_name(L, r, from);
        orr_run_push_output(L, r, from, ORR_NONE);
        if (lua_isnil(L, -1)) lua_pop(L, 2);
        else lua_rawset(L, inputs);
    }
    orr_push_anchor(L, orr_runs_of(s)->inputs_mt);
    lua_setmetatable(L, inputs);
}

/* A name that is not there: nil where it is a dependency without an output, else a mistake. */
static int inputs_index(lua_State *L) {
    orr_script *s = orr_script_of(L);
    const orr_fiber *f = orr_fiber_current(s);
    if (!f || !f->run || !f->run->run || f->task.node == ORR_NONE) return 0;
    orr_runbox *r = f->run;
    const orr_plan *plan = r->plan->plan;
    uint32_t first = plan->in_first[f->task.node], end = plan->in_first[f->task.node + 1];
    uint32_t asked = lua_type(L, 2) == LUA_TSTRING ? orr_node_by_name(L, r, 2) : ORR_NONE;
    for (uint32_t i = first; i < end; i++) {
        if (plan->in_from[i] != asked) continue;
        if (!orr_large_is_handle(r, asked) || orr_run_outcome(r->run, asked) != 'C') return 0;
        orr_run_push_output(L, r, asked, ORR_NONE);
        return 1;
    }
    luaL_Buffer names;
    luaL_buffinit(L, &names);
    for (uint32_t i = first; i < end && i < first + 20; i++) {
        if (i > first) luaL_addstring(&names, ", ");
        const char *name = orr_plan_name(plan, plan->in_from[i]);
        luaL_addstring(&names, name ? name : "?");
    }
    luaL_pushresult(&names);
    const char *list = lua_tostring(L, -1), *name = luaL_tolstring(L, 2, NULL);
    const char *own = orr_plan_name(plan, f->task.node);
    if (first == end)
        return luaL_error(L, "inputs.%s: node %s depends on nothing; add after = \"%s\" to it", name,
                          own ? own : "?", name);
    return luaL_error(L, "inputs.%s: node %s does not depend on it; its dependencies are %s", name,
                      own ? own : "?", list);
}

static int inputs_next(lua_State *L) {
    lua_settop(L, 2);
    return lua_next(L, 1) ? 2 : 0;
}

/* pairs(inputs): all of them, so those that were not read are. */
static int inputs_pairs(lua_State *L) {
    const orr_fiber *f = orr_fiber_current(orr_script_of(L));
    if (f && f->run && f->run->large && f->run->run && f->task.node != ORR_NONE) {
        orr_runbox *r = f->run;
        const orr_plan *plan = r->plan->plan;
        uint32_t node = f->task.node;
        for (uint32_t i = plan->in_first[node]; i < plan->in_first[node + 1]; i++) {
            uint32_t from = plan->in_from[i];
            if (!orr_large_is_handle(r, from) || orr_run_outcome(r->run, from) != 'C') continue;
            orr_push_node_name(L, r, from);
            orr_run_push_output(L, r, from, ORR_NONE);
            if (lua_isnil(L, -1)) lua_pop(L, 2);
            else lua_rawset(L, 1);
        }
    }
    lua_pushcfunction(L, inputs_next);
    lua_pushvalue(L, 1);
    return 2;
}

void orr_open_view(lua_State *L, orr_script *s) {
    lua_newtable(L);
    lua_pushliteral(L, "orrery.inputs");
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, inputs_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, inputs_pairs);
    lua_setfield(L, -2, "__pairs");
    orr_runs_of(s)->inputs_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}
