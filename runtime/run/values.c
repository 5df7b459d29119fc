/* values.c - what a run keeps on the side of Lua: its user values, and those of its plan. */
#include "run/inner.h"

void orr_run_push_self(lua_State *L, const orr_runbox *r) {
    if (r->self != LUA_NOREF) lua_rawgeti(L, LUA_REGISTRYINDEX, r->self);
    else orr_push_box(L, r->script, r);
}

void orr_run_push(lua_State *L, const orr_runbox *r, int value) {
    orr_run_push_self(L, r);
    if (lua_isnil(L, -1)) return;
    lua_getiuservalue(L, -1, value);
    lua_remove(L, -2);
}

void orr_run_set(lua_State *L, const orr_runbox *r, int value) {
    orr_run_push_self(L, r);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, value);
    lua_pop(L, 1);
}

void orr_run_push_table(lua_State *L, const orr_runbox *r, int value, int narr) {
    orr_run_push(L, r, value);
    if (lua_istable(L, -1)) return;
    lua_pop(L, 1);
    lua_createtable(L, narr, 0);
    lua_pushvalue(L, -1);
    orr_run_set(L, r, value);
}

void orr_run_push_plan(lua_State *L, const orr_runbox *r, int value) {
    orr_run_push(L, r, RUN_PLAN);
    lua_getiuservalue(L, -1, value);
    lua_remove(L, -2);
}

orr_runbox *orr_check_run(lua_State *L, int idx) {
    return orr_check_box(L, idx, orr_runs_of(orr_script_of(L))->run_mt, "run");
}
