/* why.c - why a node has not started, as a table: what the core explains, and what is known here of
 * signals and the cache.
 */
#include "run/inner.h"

#include <string.h>

/* The core knows that it waits; for which signal is known here. The table is at the top. */
static void push_signal(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item) {
    if (!orr_signal_push_name(L, r, node, item)) return;
    lua_setfield(L, -2, "name");
    orr_set_text(L, "kind", orr_why_kind_name(ORR_WHY_SIGNAL));
}

/* Pushes what the room above says of a task that runs, or whose items do; false and nothing where
 * it says nothing. */
static bool push_explained(lua_State *L, const orr_runbox *r, const orr_why *why, const orr_task *task) {
    int explain = orr_runs_of(r->script)->explain;
    if (explain == LUA_NOREF || (why->kind != ORR_WHY_RUNNING && why->kind != ORR_WHY_ITEMS)) return false;
    luaL_checkstack(L, 8, NULL);
    orr_push_anchor(L, explain);
    lua_pushstring(L, r->id);
    orr_push_node_name(L, r, task->node);
    if (task->item == ORR_NONE) lua_pushnil(L);
    else lua_pushinteger(L, (lua_Integer)task->item + 1);
    lua_call(L, 3, 1);
    if (lua_istable(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

/* The table is below what was explained, which is popped. */
static void take_explained(lua_State *L) {
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
}

bool orr_why_runs_not(lua_State *L, const orr_runbox *r, uint32_t node) {
    orr_why why = {.by = ORR_NONE, .left = -1};
    if (orr_runs_of(r->script)->explain == LUA_NOREF) return false;
    orr_run_why(r->run, node, ORR_NONE, &why);
    if (!push_explained(L, r, &why, &(orr_task){.node = node, .item = ORR_NONE})) return false;
    lua_pop(L, 1);
    return true;
}

/* FNV-1a (Fowler, Noll, Vo), of numbers a word at a time. */
static uint64_t mark_number(uint64_t mark, uint64_t number) {
    return (mark ^ number) * UINT64_C(0x100000001b3);
}

static uint64_t mark_text(uint64_t mark, const char *text) {
    for (const char *at = text; at != NULL && *at != '\0'; at++) mark = mark_number(mark, (unsigned char)*at);
    return mark_number(mark, 0);
}

/* What orr_push_why asks beside the core; takes a string or nothing off the stack. */
static uint64_t mark_top(lua_State *L, uint64_t mark) {
    mark = mark_text(mark, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
    lua_pop(L, 1);
    return mark;
}

uint64_t orr_why_mark(lua_State *L, const orr_runbox *r, uint32_t node) {
    orr_why why = {.by = ORR_NONE, .left = -1};
    orr_run_why(r->run, node, ORR_NONE, &why);
    const orr_runbox *other = why.by_run ? orr_run_ud(why.by_run) : r;
    int64_t due = why.left < 0 ? why.due : 0; /* in a pause it moves with the time */
    const int64_t numbers[] = {why.kind, why.state, why.by,   why.count, why.limit,
                               due,      why.left,  why.skip, why.cause};
    uint64_t mark = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        mark = mark_number(mark, (uint64_t)numbers[i]);
    mark = mark_text(mark_text(mark, why.name), other->id);
    if (orr_signal_push_name(L, r, node, ORR_NONE)) mark = mark_top(L, mark);
    if (push_explained(L, r, &why, &(orr_task){.node = node, .item = ORR_NONE})) {
        if (!orr_json_encode(L, -1, &(orr_json_writing){.binary = true})) lua_error(L);
        lua_remove(L, -2);
        mark = mark_top(L, mark);
    }
    orr_cache_push_noted(L, r, node, ORR_NONE);
    return mark_top(L, mark);
}

void orr_push_why(lua_State *L, orr_runbox *r, uint32_t node, uint32_t item) {
    orr_why why = {.by = ORR_NONE, .left = -1};
    orr_run_why(r->run, node, item, &why);
    lua_newtable(L);
    orr_set_text(L, "kind", orr_why_kind_name(why.kind));
    orr_set_text(L, "state", orr_node_state_name(why.state));
    orr_set_text(L, "name", why.name);
    orr_set_text(L, "skip", orr_skip_name(why.skip));
    orr_set_text(L, "cause", orr_stop_name(why.cause));
    orr_error error = {0};
    if (why.cause == ORR_STOP_CANCEL && orr_run_failure(r->run, &error) == ORR_NONE && error.code)
        orr_set_text(L, "reason", error.message);
    if (why.kind == ORR_WHY_SIGNAL || why.kind == ORR_WHY_TIMER) push_signal(L, r, node, item);
    if (why.kind == ORR_WHY_LOCK) orr_run_lock_explain(L, r);
    if (why.by != ORR_NONE) {
        orr_runbox *other = why.by_run ? orr_run_ud(why.by_run) : r;
        orr_push_node_name(L, other, why.by);
        lua_setfield(L, -2, "by");
        if (other != r) orr_set_text(L, "by_run", other->id);
    }
    if (why.count || why.limit) orr_set_integer(L, "count", why.count);
    if (why.limit) orr_set_integer(L, "limit", why.limit);
    if (why.left >= 0) orr_set_seconds(L, "left", why.left);
    else if (why.due > 0 && why.due != INT64_MAX) orr_set_seconds(L, "due", why.due);
    if (why.since) orr_set_seconds(L, "since", why.since);
    const int64_t *rank = r->plan->plan->rank;
    if (rank != NULL && why.state == ORR_NODE_READY) orr_set_seconds(L, "remaining", rank[node]);
    if (push_explained(L, r, &why, &(orr_task){.node = node, .item = item})) take_explained(L);
    orr_cache_explain(L, r, node, item);
}

/* Argument 3: none for the whole node, the number of an item, or its name. */
static uint32_t item_at(lua_State *L, const orr_runbox *r, uint32_t node) {
    if (lua_type(L, 3) == LUA_TSTRING) {
        uint32_t item = orr_item_by_name(L, r, node, 3);
        if (item == ORR_NONE)
            luaL_error(L, "no item of node %s is called '%s'", lua_tostring(L, 2), lua_tostring(L, 3));
        return item;
    }
    lua_Integer item = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, item >= 0 && item < UINT32_MAX, 3, "out of range");
    return (uint32_t)item - 1;
}

/* run:why(node name[, item]) -> {kind, state, by, by_run, name, count, limit, due, left, since,
 * skip, cause}; only what applies is there. `due` and `since` are seconds since the epoch; while
 * the run's clock stands still there is `left` in place of `due`: seconds. */
int orr_run_why_method(lua_State *L) {
    orr_runbox *r = orr_check_open_run(L, 1);
    luaL_checktype(L, 2, LUA_TSTRING);
    uint32_t node = orr_node_by_name(L, r, 2);
    if (node == ORR_NONE) return luaL_error(L, "no node is called %s", lua_tostring(L, 2));
    orr_push_why(L, r, node, item_at(L, r, node));
    return 1;
}
