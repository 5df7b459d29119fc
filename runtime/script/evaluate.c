/* evaluate.c - the core asks: conditions, lists, `until`, names of pools. Pure and synchronous, so they cannot wait. */
#include "state.h"
#include "json.h"
#include <lauxlib.h>

typedef struct question {
    orr_runbox *r;
    const orr_ask *ask;
    orr_answer *answer;
    orr_fiber *view;
} question;

static const int tables[] = {[ORR_ASK_WHEN] = PLAN_WHENS, [ORR_ASK_EDGE_WHEN] = PLAN_EDGES, [ORR_ASK_EACH] = PLAN_EACHS,
                             [ORR_ASK_UNTIL] = PLAN_UNTILS, [ORR_ASK_POOL] = PLAN_POOLS};
static const char *const roots[] = {[ORR_ASK_WHEN] = "when", [ORR_ASK_EDGE_WHEN] = "when", [ORR_ASK_EACH] = "each",
                                    [ORR_ASK_UNTIL] = "until", [ORR_ASK_POOL] = "pool"};

/* The list at the top is kept for the items, and a list of as many results is made. */
static void keep_list(lua_State *L, orr_runbox *r, const orr_ask *ask, orr_answer *answer) {
    orr_script *s = r->script;
    if (!lua_istable(L, -1))
        luaL_error(L, "expected an array, got %s", lua_isnil(L, -1) ? "nothing" : luaL_typename(L, -1));
    if (!orr_value_check(L, -1, "each", "a list is plain data") || !orr_journal_takes(L, r, "each")) {
        orr_push_error(L, s, "invalid_list", lua_tostring(L, -1));
        lua_error(L);
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1), node = (lua_Integer)ask->task.node + 1;
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

static int evaluate(lua_State *L) {
    question *q = lua_touserdata(L, 1);
    orr_runbox *r = q->r;
    const orr_ask *ask = q->ask;
    orr_run_push_plan(L, r, tables[ask->kind]);
    lua_rawgeti(L, -1, ask->kind == ORR_ASK_EDGE_WHEN ? (lua_Integer)ask->edge + 1 : (lua_Integer)ask->task.node + 1);
    if (ask->kind == ORR_ASK_UNTIL && lua_isnil(L, -1)) { /* `loop` with nothing but a maximum */
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
    switch (ask->kind) {
    case ORR_ASK_EACH:
        keep_list(L, r, ask, q->answer);
        break;
    case ORR_ASK_POOL: {
        const char *name = lua_tostring(L, -1);
        if (!name || !*name) luaL_error(L, "pool: expected a name, got %s", luaL_typename(L, -1));
        if (snprintf(r->script->text, sizeof r->script->text, "%s", name) >= (int)sizeof r->script->text)
            luaL_error(L, "pool: the name is longer than %d characters", (int)sizeof r->script->text - 1);
        q->answer->name = r->script->text;
        break;
    }
    default:
        q->answer->truth = lua_toboolean(L, -1);
        break;
    }
    return 0;
}

/* The error at index 2 as the node's. */
static int keep_evaluation_error(lua_State *L) {
    question *q = lua_touserdata(L, 1);
    orr_script *s = q->r->script;
    orr_error_table(L, s, 2, "expression_error", &q->answer->error);
    int to = lua_gettop(L);
    lua_getfield(L, to, "message");
    lua_pushfstring(L, "%s: %s", roots[q->ask->kind], lua_tostring(L, -1));
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

bool orr_on_evaluate(void *rtbox, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    orr_rtbox *rt = rtbox;
    orr_script *s = rt->script;
    lua_State *L = s->main;
    question q = {orr_run_ud(run), ask, answer, NULL};
    answer->error = (orr_error){.code = "out_of_memory", .message = "not enough memory", .retry_after = -1};
    q.view = orr_fiber_new(s, false);
    if (!q.view || !lua_checkstack(L, LUA_MINSTACK)) {
        if (q.view) orr_fiber_release(s, q.view, true);
        return false;
    }
    q.view->run = q.r;
    q.view->task = ask->task;
    int top = lua_gettop(L);
    uint32_t before = s->current;
    s->current = ORR_NONE;
    lua_pushcfunction(L, orr_error_trace);
    lua_pushcfunction(L, evaluate);
    lua_pushlightuserdata(L, &q);
    s->guarded++;
    int status = lua_pcall(L, 1, 0, top + 1);
    if (status != LUA_OK) {
        lua_pushcfunction(L, keep_evaluation_error);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, &q);
        lua_insert(L, -2);
        lua_pcall(L, 2, 0, 0);
    }
    lua_settop(L, top);
    s->guarded--;
    s->current = before;
    orr_fiber_release(s, q.view, true);
    return status == LUA_OK;
}
