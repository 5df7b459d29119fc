/* await.c - flow.await, which turns any callback into a wait. */
#include "fiber/inner.h"
#include <lauxlib.h>

/* ---- what is left under way ------------------------------------------------------------------ */

typedef struct leaving {
    orr_script *s;
    orr_fiber_id id;
    uint32_t seq;
    bool was;
} leaving;

static int enter_left(lua_State *L) {
    const leaving *l = lua_touserdata(L, 1);
    orr_push_anchor(L, orr_fibers_of(l->s)->left);
    lua_pushinteger(L, l->seq);
    lua_rawseti(L, -2, (lua_Integer)l->id);
    return 0;
}

static int take_left(lua_State *L) {
    leaving *l = lua_touserdata(L, 1);
    orr_push_anchor(L, orr_fibers_of(l->s)->left);
    l->was = lua_rawgeti(L, -1, (lua_Integer)l->id) != LUA_TNIL && lua_tointeger(L, -1) == l->seq;
    if (!l->was) return 0;
    lua_pushnil(L);
    lua_rawseti(L, -3, (lua_Integer)l->id);
    return 0;
}

/* Nobody waits for it any more, and it was not ended: a request to libuv may be among the threads
 * for good (a file system that does not answer). The process does not wait for it. */
static void leave(orr_script *s, const orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    leaving l = {s, orr_fiber_id_of(f), f->seq, false};
    if (all->loop->active_reqs.count == 0) return;
    orr_protect(s, take_left, &l); /* counted before? */
    bool again = l.was;
    if (orr_protect(s, enter_left, &l) == LUA_OK && !again) all->n_left++;
}

/* It has answered after all. */
static void come_late(lua_State *L, orr_script *s, orr_fiber_id id, uint32_t seq) {
    leaving l = {s, id, seq, false};
    if (s->closed || !orr_fibers_of(s)->n_left || !lua_checkstack(L, LUA_MINSTACK)) return;
    orr_protect(s, take_left, &l);
    if (l.was) orr_fibers_of(s)->n_left--;
}

/* ---- the wait -------------------------------------------------------------------------------- */

/* `resume`: (upvalues) script, fiber id, number of the wait. Returns whether it was this call
 * that counted. */
static int resume_await(lua_State *L) {
    orr_script *s = lua_touserdata(L, lua_upvalueindex(1));
    orr_fiber *f = orr_fiber_get(s, (orr_fiber_id)lua_tointeger(L, lua_upvalueindex(2)));
    int n = lua_gettop(L);
    if (s->closed || !f || f->wait != &orr_wait_await ||
        f->seq != (uint32_t)lua_tointeger(L, lua_upvalueindex(3))) {
        come_late(L, s, (orr_fiber_id)lua_tointeger(L, lua_upvalueindex(2)),
                  (uint32_t)lua_tointeger(L, lua_upvalueindex(3)));
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
    return f && f->state == FIBER_PARKED && f->wait == &orr_wait_await && f->seq == seq ? f : NULL;
}

/* The results that came before the fiber was suspended. */
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
    f->wait = &orr_wait_await;
    orr_fibers_of(s)->awaits++;
    unsigned before = orr_fibers_of(s)->loop->active_reqs.count;
    int status = lua_pcall(L, 1, 1, 0);
    if (f->wait != &orr_wait_await) return luaL_error(L, "flow.await: the start function ended its own wait");
    if (status != LUA_OK) {
        /* nobody will wait for what it has begun */
        if (orr_fibers_of(s)->loop->active_reqs.count > before) leave(s, f);
        orr_wait_forget(s, f);
        return lua_error(L);
    }
    if (f->flags & FIBER_HAS_VALUE) return early_results(L, s, f);
    if (!lua_isnil(L, -1) && !lua_isfunction(L, -1)) {
        const char *type = luaL_typename(L, -1);
        orr_wait_forget(s, f);
        return luaL_error(
            L, "flow.await: the start function returned a %s; expected a cleanup function or nothing", type);
    }
    if (lua_isfunction(L, -1)) orr_fiber_set_value(L, s, f);
    return orr_wait_yield(L, s, f);
}

/* ---- the cleanup slot ------------------------------------------------------------------------ */

typedef struct cleaning {
    orr_script *s;
    orr_fiber *f;
    bool stays;
    bool had; /* there was a function */
} cleaning;

static int call_cleanup(lua_State *L) {
    cleaning *c = lua_touserdata(L, 1);
    orr_fiber_push_value(L, c->s, c->f);
    if (!lua_isfunction(L, -1)) return 0;
    c->had = true;
    orr_fiber_clear_value(c->s, c->f);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, -2);
    if (orr_call_watched(L, c->s, 0, 1, lua_gettop(L) - 1, orr_close_due(c->s)) == LUA_OK) {
        c->stays = lua_toboolean(L, -1);
        return 0;
    }
    const char *text = luaL_tolstring(L, -1, NULL);
    orr_script_stray(c->s, "the cleanup function of a wait failed", text);
    return 0;
}

/* Calls the cleanup function of an await, once. True where the wait is to go on until `resume`
 * is called. The function may itself call `resume`: then the fiber does not wait any more. */
static bool clean_up(orr_script *s, orr_fiber *f, bool *had) {
    cleaning c = {s, f, false, false};
    orr_protect(s, call_cleanup, &c);
    *had = c.had;
    return c.stays;
}

static void forget(orr_script *s, orr_fiber *f) {
    (void)f;
    orr_fibers_of(s)->awaits--;
}

static void cancel(orr_script *s, orr_fiber *f, uint8_t reason) {
    bool had;
    f->flags |= FIBER_RAISE_AT_WAKE;
    if (clean_up(s, f, &had) || f->state != FIBER_PARKED) return;
    f->flags &= (uint16_t)~FIBER_RAISE_AT_WAKE;
    if (!had) leave(s, f);
    orr_wake_with_reason(s, f, reason);
}

static void abandon(orr_script *s, orr_fiber *f) {
    bool had;
    if (clean_up(s, f, &had) || !had) leave(s, f);
}

const orr_wait_kind orr_wait_await = {
    .begins = "waits for a callback",
    .keeps_slot = true,
    .stuck_reason = REASON_STUCK,
    .stuck_order = 1,
    .forget = forget,
    .cancel = cancel,
    .abandon = abandon,
};
