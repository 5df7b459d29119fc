/* cost.c - what the attempts of a run have counted by ctx:cost, added up by name. A run that goes
 * on from its journal adds what its earlier lives counted, once somebody counts or asks. */
#include "run/inner.h"

/* The table of sums is pushed; nothing where nothing was counted and `make` is false. */
static bool push_sums(lua_State *L, orr_runbox *r, bool make) {
    bool before = r->read_back && !r->costs_read;
    if (!before && !make) {
        orr_run_push(L, r, RUN_COSTS);
        if (lua_istable(L, -1)) return true;
        lua_pop(L, 1);
        return false;
    }
    orr_run_push_table(L, r, RUN_COSTS, 0);
    if (before) {
        r->costs_read = true;
        r->rt->keeper->costs(L, r);
    }
    return true;
}

void orr_cost_add(lua_State *L, int sums, int name, int amount) {
    sums = lua_absindex(L, sums);
    lua_pushvalue(L, name);
    lua_pushvalue(L, name);
    if (lua_rawget(L, sums) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, amount);
    } else {
        lua_pushvalue(L, amount);
        lua_arith(L, LUA_OPADD);
    }
    lua_rawset(L, sums);
}

void orr_run_add_cost(lua_State *L, orr_runbox *r, int name, int amount) {
    push_sums(L, r, true);
    orr_cost_add(L, -1, name, amount);
    lua_pop(L, 1);
}

void orr_run_set_costs(lua_State *L, orr_runbox *r) {
    if (!push_sums(L, r, false)) return;
    lua_newtable(L); /* a copy, which the caller may change */
    lua_insert(L, -2);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    lua_setfield(L, -2, "costs");
}
