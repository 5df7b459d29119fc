/* await.c - flow.await, which turns any callback into a wait, and flow.gather, which waits for several functions. */
#include "state.h"
#include <lauxlib.h>

/* ---- await -------------------------------------------------------------------------------------------------------- */

/* `resume`: (upvalues) script, fiber id, number of the wait. Returns whether it was this call that counted. */
static int resume_await(lua_State *L) {
    orr_script *s = lua_touserdata(L, lua_upvalueindex(1));
    orr_fiber *f = orr_fiber_get(s, (orr_fiber_id)lua_tointeger(L, lua_upvalueindex(2)));
    int n = lua_gettop(L);
    if (s->closed || !f || f->wait != WAIT_AWAIT || f->seq != (uint32_t)lua_tointeger(L, lua_upvalueindex(3))) {
        lua_pushboolean(L, false);
        return 1;
    }
    if (f->state == FIBER_PARKED) {
        if (!lua_checkstack(f->co, n + LUA_MINSTACK)) return luaL_error(L, "too many results to resume with");
        lua_xmove(L, f->co, n);
        orr_wait_done(s, f, n);
    } else { /* called by the start function itself, or before the yield arrived: the results are kept */
        if (f->flags & FIBER_HAS_VALUE) return 0;
        lua_createtable(L, n, 1);
        lua_insert(L, 1);
        lua_pushinteger(L, n);
        lua_setfield(L, 1, "n");
        for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
        orr_fiber_set_value(L, s, f);
    }
    lua_pushboolean(L, true);
    return 1;
}

orr_fiber *orr_await_target(lua_State *L, orr_script *s, int idx) {
    if (lua_tocfunction(L, idx) != resume_await) return NULL;
    idx = lua_absindex(L, idx);
    lua_getupvalue(L, idx, 2);
    lua_getupvalue(L, idx, 3);
    orr_fiber *f = orr_fiber_get(s, (orr_fiber_id)lua_tointeger(L, -2));
    uint32_t seq = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return f && f->state == FIBER_PARKED && f->wait == WAIT_AWAIT && f->seq == seq ? f : NULL;
}

/* The results that came before the wait was a wait. */
static int early_results(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_fiber_push_value(L, s, f);
    orr_wait_forget(s, f);
    int results = lua_gettop(L);
    lua_getfield(L, results, "n");
    int n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n + 1, "too many results");
    for (int i = 1; i <= n; i++) lua_rawgeti(L, results, i);
    return n;
}

int orr_core_await(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    if (orr_wait_outside(L, s)) return orr_wait_in_fiber(L, s, orr_core_await);
    orr_fiber *f = orr_wait_begin(L, s, "flow.await");
    lua_pushlightuserdata(L, s);
    lua_pushinteger(L, (lua_Integer)orr_fiber_id_of(f));
    lua_pushinteger(L, f->seq);
    lua_pushcclosure(L, resume_await, 3);
    f->wait = WAIT_AWAIT;
    s->awaits++;
    int status = lua_pcall(L, 1, 1, 0);
    if (f->wait != WAIT_AWAIT) return luaL_error(L, "flow.await: the start function ended its own wait");
    if (status != LUA_OK) {
        orr_wait_forget(s, f);
        return lua_error(L);
    }
    if (f->flags & FIBER_HAS_VALUE) return early_results(L, s, f);
    if (!lua_isnil(L, -1) && !lua_isfunction(L, -1)) {
        const char *type = luaL_typename(L, -1);
        orr_wait_forget(s, f);
        return luaL_error(L, "flow.await: the start function returned a %s; expected a cleanup function or nothing", type);
    }
    if (lua_isfunction(L, -1)) orr_fiber_set_value(L, s, f);
    return orr_wait_yield(L, s, f);
}

/* ---- gather -------------------------------------------------------------------------------------------------------- */

/* Makes all strands or none: until the last one exists, nothing has been seen by others. */
static bool spawn_strands(lua_State *L, orr_script *s, orr_fiber *f, lua_Integer n) {
    uint32_t *link = &f->strands;
    orr_fiber *root = orr_fiber_at(s, f->root);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        orr_fiber *strand = orr_fiber_spawn(s, L, FIBER_STRAND, 0, f);
        if (!strand) return false;
        strand->place = (uint32_t)i;
        *link = strand->index;
        link = &strand->sibling;
        f->left++;
        root->busy++;
    }
    return true;
}

int orr_core_gather(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (orr_wait_outside(L, s)) return orr_wait_in_fiber(L, s, orr_core_gather);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, n < INT32_MAX, 1, "too many functions");
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, 1, i) != LUA_TFUNCTION)
            return luaL_error(L, "flow.gather: entry %d is a %s; expected a list of functions", (int)i,
                              luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    orr_fiber *f = orr_wait_begin(L, s, "flow.gather");
    lua_createtable(L, (int)n, 0);
    orr_step_count(f);
    if (n == 0) return 1;
    orr_fiber_set_value(L, s, f);
    f->wait = WAIT_GATHER;
    f->left = 0;
    if (!spawn_strands(L, s, f, n)) {
        orr_wait_forget(s, f);
        return luaL_error(L, "flow.gather: not enough memory for %d coroutines", (int)n);
    }
    return orr_wait_yield(L, s, f);
}

void orr_gather_keep(lua_State *L, orr_script *s, orr_fiber *strand, bool failed) {
    orr_fiber *parent = orr_fiber_at(s, strand->parent);
    if (parent->wait != WAIT_GATHER || (failed && parent->flags & FIBER_FAILED)) return;
    orr_fiber_push_value(L, s, parent);
    lua_pushvalue(L, -2);
    if (!failed) lua_rawseti(L, -2, (lua_Integer)strand->place);
    else lua_rawsetp(L, -2, ORR_WAIT_SENTINEL);
    lua_pop(L, 1);
    if (failed) parent->flags |= FIBER_FAILED;
}

static void unlink_strand(orr_script *s, orr_fiber *parent, const orr_fiber *strand) {
    uint32_t *link = &parent->strands;
    while (*link != strand->index) link = &orr_fiber_at(s, *link)->sibling;
    *link = strand->sibling;
    parent->left--;
}

/* All strands are over: the one that gathers goes on with the list, or with the first error. */
static void gathered(orr_script *s, orr_fiber *parent) {
    bool failed = parent->flags & FIBER_FAILED;
    parent->flags &= (uint16_t)~FIBER_FAILED;
    if (!lua_checkstack(parent->co, LUA_MINSTACK)) {
        orr_wake_with_reason(s, parent, REASON_MEMORY);
        return;
    }
    orr_fiber_push_value(parent->co, s, parent);
    if (failed) {
        lua_rawgetp(parent->co, -1, ORR_WAIT_SENTINEL);
        lua_remove(parent->co, -2);
        parent->flags |= FIBER_RAISE;
    }
    orr_wait_done(s, parent, 1);
}

void orr_gather_ended(orr_script *s, orr_fiber *strand) {
    orr_fiber *parent = orr_fiber_at(s, strand->parent), *root = orr_fiber_at(s, strand->root);
    bool failed = s->outcome.failed;
    unlink_strand(s, parent, strand);
    if (failed) {
        for (uint32_t at = parent->strands, next; at != ORR_NONE; at = next) {
            next = orr_fiber_at(s, at)->sibling;
            orr_fiber_cancel(s, orr_fiber_at(s, at), REASON_SIBLING);
        }
    }
    if (parent->left == 0 && parent->state == FIBER_PARKED && parent->wait == WAIT_GATHER) gathered(s, parent);
    root->busy--;
    orr_wait_rest(s, root);
}

void orr_gather_drop(orr_script *s, orr_fiber *strand) {
    orr_fiber *parent = orr_fiber_at(s, strand->parent);
    orr_fiber_at(s, strand->root)->busy--;
    unlink_strand(s, parent, strand);
}
