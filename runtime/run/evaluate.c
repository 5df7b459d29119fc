/* evaluate.c - the core asks: conditions, lists, `until`, names of pools. Pure and synchronous,
 * so they cannot wait. */
#include "lua/lazy.h"
#include "run/inner.h"

typedef struct question {
    orr_runbox *r;
    const orr_ask *ask;
    orr_answer *answer;
    orr_fiber *view;
    const char *part; /* of the node, for messages */
} question;

static const int tables[] = {
    [ORR_ASK_WHEN] = PLAN_WHENS,   [ORR_ASK_EDGE_WHEN] = PLAN_EDGES, [ORR_ASK_EACH] = PLAN_EACHS,
    [ORR_ASK_UNTIL] = PLAN_UNTILS, [ORR_ASK_POOL] = PLAN_POOLS,
};
static const char *const roots[] = {
    [ORR_ASK_WHEN] = "when",   [ORR_ASK_EDGE_WHEN] = "when", [ORR_ASK_EACH] = "each",
    [ORR_ASK_UNTIL] = "until", [ORR_ASK_POOL] = "pool",
};

/* The list at the top is kept for the items, and a list of as many results is made. */
static void keep_list(lua_State *L, orr_runbox *r, const orr_ask *ask, orr_answer *answer) {
    orr_script *s = r->script;
    if (!lua_istable(L, -1))
        luaL_error(L, "expected an array, got %s", lua_isnil(L, -1) ? "nothing" : luaL_typename(L, -1));
    if (!orr_value_check(L, -1, "each", "a list is plain data") ||
        (r->journal && !r->rt->keeper->takes(L, r, "each"))) {
        orr_push_error(L, s, "invalid_list", lua_tostring(L, -1));
        lua_error(L);
    }
    lua_Integer n = (lua_Integer)orr_list_len(L, -1), node = (lua_Integer)ask->task.node + 1;
    if (n == 0 && (lua_pushnil(L), lua_next(L, -2))) luaL_error(L, "expected an array, got an object");
    if (n >= UINT32_MAX) luaL_error(L, "the list is too long");
    orr_run_push_table(L, r, RUN_LISTS, 0);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, node);
    orr_run_push_table(L, r, RUN_OUTPUTS, (int)r->plan->plan->n_nodes);
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        orr_json_push_null(L);
        lua_rawseti(L, -2, i);
    }
    orr_json_mark_array(L, -1);
    lua_rawseti(L, -2, node);
    answer->count = (uint32_t)n;
    answer->value = orr_task_handle(ask->task.node, ORR_NONE);
}

static void name_items(lua_State *L, question *q) {
    q->part = "item_name";
    orr_item_names_make(L, q->r, q->view, q->answer->count);
}

static int evaluate(lua_State *L) {
    question *q = lua_touserdata(L, 1);
    orr_runbox *r = q->r;
    const orr_ask *ask = q->ask;
    orr_run_push_plan(L, r, tables[ask->kind]);
    uint32_t at = ask->kind == ORR_ASK_EDGE_WHEN ? ask->edge : ask->task.node;
    if (lua_istable(L, -1)) lua_rawgeti(L, -1, (lua_Integer)at + 1); /* no node has an `until`: nil */
    if (ask->kind == ORR_ASK_UNTIL && lua_isnil(L, -1)) {            /* a definition from before `times` */
        q->answer->truth = false;
        return 0;
    }
    orr_push_ctx(L, r->script, q->view);
    int nargs = 1;
    if (ask->kind == ORR_ASK_UNTIL) {
        orr_run_push_output(L, r, ask->task.node, ask->task.item);
        nargs = 2;
    }
    lua_call(L, nargs, 1);
    orr_mask(L, r->script, -1); /* of lists and names is kept and told what they are */
    switch (ask->kind) {
    case ORR_ASK_EACH:
        keep_list(L, r, ask, q->answer);
        name_items(L, q);
        break;
    case ORR_ASK_POOL: {
        const char *name = lua_tostring(L, -1);
        if (!name || !*name) luaL_error(L, "pool: expected a name, got %s", luaL_typename(L, -1));
        if (snprintf(r->script->text, sizeof r->script->text, "%s", name) >= (int)sizeof r->script->text)
            luaL_error(L, "pool: the name is longer than %d characters", (int)sizeof r->script->text - 1);
        q->answer->name = r->script->text;
        break;
    }
    default: q->answer->truth = lua_toboolean(L, -1); break;
    }
    return 0;
}

/* The error at index 2 as the node's. */
static int keep_evaluation_error(lua_State *L) {
    question *q = lua_touserdata(L, 1);
    orr_script *s = q->r->script;
    orr_mask(L, s, 2);
    orr_error_table(L, s, 2, "expression_error", &q->answer->error);
    int to = lua_gettop(L);
    lua_getfield(L, to, "message");
    lua_pushfstring(L, "%s: %s", q->part, lua_tostring(L, -1));
    q->answer->error.message = lua_tostring(L, -1);
    lua_setfield(L, to, "message");
    lua_pop(L, 1);
    orr_push_node_name(L, q->r, q->ask->task.node);
    lua_setfield(L, to, "node");
    uint64_t handle = orr_task_handle(q->ask->task.node, q->ask->task.item);
    orr_run_push_table(L, q->r, RUN_ERRORS, 0);
    lua_pushvalue(L, to);
    lua_rawseti(L, -2, (lua_Integer)handle);
    q->answer->error.value = handle;
    return 0;
}

enum { LEAST = 100000000 }; /* ns: what is asked late must still be answered */

/* It blocks the loop, so it ends when the node's attempt would have to, or the run. */
static int64_t answer_due(const orr_script *s, const orr_runbox *r, uint32_t node) {
    const orr_plan *plan = r->plan->plan;
    const orr_policy *policy = &plan->policies[plan->policy_of[node]];
    orr_engine *engine = r->rt->base.engine;
    if (!orr_fibers_of(s)->watching) return ORR_WATCHDOG_NEVER;
    int64_t now = orr_watchdog_now(),
            due = orr_clock_monotonic(orr_engine_clock(engine), orr_run_due(r->run));
    if (policy->timeout > 0 && policy->timeout < due - now) due = now + policy->timeout;
    int64_t least = now + (r->rt->simulated ? ORR_SIMULATED_SLICE : LEAST);
    return due < least ? least : due;
}

bool orr_on_evaluate(void *rtbox, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    orr_rtbox *rt = rtbox;
    orr_script *s = rt->base.script;
    lua_State *L = s->main;
    question q = {orr_run_ud(run), ask, answer, NULL, roots[ask->kind]};
    answer->error = (orr_error){.code = "out_of_memory", .message = "not enough memory", .retry_after = -1};
    q.view = orr_fiber_new(s, false);
    if (!q.view || !lua_checkstack(L, LUA_MINSTACK)) {
        if (q.view) orr_fiber_release(s, q.view, true);
        return false;
    }
    q.view->run = q.r;
    q.view->task = ask->task;
    int top = lua_gettop(L);
    orr_fibers *all = orr_fibers_of(s);
    uint32_t before = all->current;
    all->current = ORR_NONE;
    bool until = orr_runs_of(s)->until;
    orr_runs_of(s)->until = ask->kind == ORR_ASK_UNTIL;
    lua_pushcfunction(L, orr_error_trace);
    lua_pushcfunction(L, evaluate);
    lua_pushlightuserdata(L, &q);
    s->guarded++;
    int status = orr_call_bounded(L, s, 1, 0, top + 1, answer_due(s, q.r, ask->task.node));
    if (status != LUA_OK) {
        lua_pushcfunction(L, keep_evaluation_error);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, &q);
        lua_insert(L, -2);
        lua_pcall(L, 2, 0, 0);
    }
    if (ask->kind == ORR_ASK_UNTIL) orr_drop_previous(L);
    orr_runs_of(s)->until = until;
    lua_settop(L, top);
    s->guarded--;
    all->current = before;
    orr_fiber_release(s, q.view, true);
    return status == LUA_OK;
}
