/* error.c - structured errors that are kept with a node of a run, and what the core says of
 * them. */
#include "run/inner.h"
#include <string.h>

void orr_keep_error(lua_State *L, orr_script *s, const orr_fiber *f, orr_error *out) {
    orr_runbox *r = f->run;
    uint64_t handle = orr_error_handle(&f->task, f->phase == ORR_PHASE_COMPENSATE);
    orr_mask(L, s, -1);
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

/* What the core says holds. An error that was raised and stands behind it, the last one before a
 * deadline or that of an item, is its `cause`. */
void orr_push_core_error(lua_State *L, orr_runbox *r, const orr_error *error, uint32_t node) {
    push_raised(L, r, error);
    if (lua_istable(L, -1) && field_is(L, "code", error->code) && field_is(L, "message", error->message))
        return;
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
        orr_push_anchor(L, r->script->error_mt);
        lua_setmetatable(L, -2);
    }
}

bool orr_push_error_of(lua_State *L, orr_runbox *r, uint32_t node) {
    orr_error error;
    orr_why why = {.by = ORR_NONE};
    if (!orr_run_error(r->run, node, ORR_NONE, &error)) return false;
    if (orr_run_outcome(r->run, node) == 'U') {
        orr_run_why(r->run, node, ORR_NONE, &why);
        node = why.by;
    }
    orr_push_core_error(L, r, &error, node);
    return true;
}
