/* items.c - what is seen of the items of a node with `each`: their states, and the errors of those
 * that failed, also where the node completed without them.
 */
#include "run/inner.h"
#include <stdio.h>
#include <string.h>

static void push_item(lua_State *L, orr_runbox *r, uint32_t node, uint32_t item) {
    const orr_task task = {.node = node, .item = item};
    orr_error error;
    lua_createtable(L, 0, 4);
    orr_set_integer(L, "index", (lua_Integer)item + 1);
    orr_set_text(L, "state", orr_node_state_name(orr_run_node_state(r->run, node, item)));
    if (orr_item_name_push(L, r, &task)) lua_setfield(L, -2, "name");
    if (!orr_run_error(r->run, node, item, &error)) return;
    orr_push_core_error(L, r, &error, node);
    lua_setfield(L, -2, "error");
}

/* Pushes those items, all of them or those alone that failed. */
static void push_items(lua_State *L, orr_runbox *r, uint32_t node, bool failed) {
    uint32_t n = orr_run_items(r->run, node);
    lua_Integer at = 0;
    lua_createtable(L, failed ? 0 : (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        if (failed && orr_run_node_state(r->run, node, i) != ORR_NODE_FAILED) continue;
        push_item(L, r, node, i);
        lua_rawseti(L, -2, ++at);
    }
    orr_json_mark_array(L, -1);
}

/* "2 of 5 items failed, which each_failures allows; the first is item 2 (Rome): it is siesta", of
 * the list of failed items at the top. */
static void push_message(lua_State *L, orr_runbox *r, uint32_t node) {
    const char *name = NULL, *message = "?";
    lua_rawgeti(L, -1, 1);
    int first = lua_gettop(L);
    lua_getfield(L, first, "index");
    if (lua_getfield(L, first, "name") == LUA_TSTRING) name = lua_tostring(L, -1);
    if (lua_getfield(L, first, "error") == LUA_TTABLE && lua_getfield(L, -1, "message") == LUA_TSTRING)
        message = lua_tostring(L, -1);
    lua_pushfstring(L, "%I of %I items failed, which each_failures allows; the first is item %I%s%s%s: %s",
                    (LUAI_UACINT)orr_run_items_failed(r->run, node), (LUAI_UACINT)orr_run_items(r->run, node),
                    (LUAI_UACINT)lua_tointeger(L, first + 1), name ? " (" : "", name ? name : "",
                    name ? ")" : "", message);
    lua_replace(L, first);
    lua_settop(L, first);
}

/* The error of a node that completed without all of its items. */
static void push_lacking(lua_State *L, orr_runbox *r, uint32_t node) {
    push_items(L, r, node, true);
    push_message(L, r, node);
    orr_error error = {"items_failed", lua_tostring(L, -1), true, -1, 0};
    orr_push_core_error(L, r, &error, node);
    lua_replace(L, -2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "items");
}

bool orr_items_push_error(lua_State *L, orr_runbox *r, uint32_t node) {
    if (orr_run_items_failed(r->run, node) == 0) return orr_push_error_of(L, r, node);
    if (orr_push_error_of(L, r, node)) {
        push_items(L, r, node, true);
        lua_setfield(L, -2, "items");
        return true;
    }
    if (orr_run_outcome(r->run, node) != 'C') return false;
    push_lacking(L, r, node);
    return true;
}

/* ctx:items(node name) -> {{index=, name=, state=, error=}, …}, nil where its list is not known */
int orr_ctx_items(lua_State *L) {
    const orr_fiber *f = orr_check_ctx(L, 1);
    luaL_checktype(L, 2, LUA_TSTRING);
    uint32_t node = orr_node_by_name(L, f->run, 2);
    if (node == ORR_NONE) return luaL_error(L, "ctx:items: no node is called %s", lua_tostring(L, 2));
    if (orr_run_items(f->run->run, node) == ORR_NONE) return 0;
    push_items(L, f->run, node, false);
    return 1;
}

/* run:items(node name): the same of a run */
int orr_run_items_method(lua_State *L) {
    orr_runbox *r = orr_check_open_run(L, 1);
    luaL_checktype(L, 2, LUA_TSTRING);
    uint32_t node = orr_node_by_name(L, r, 2);
    if (node == ORR_NONE) return luaL_error(L, "no node is called %s", lua_tostring(L, 2));
    if (orr_run_items(r->run, node) == ORR_NONE) return 0;
    push_items(L, r, node, false);
    return 1;
}
