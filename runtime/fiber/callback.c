/* callback.c - calling Lua from callbacks, and whose wait it was when that fails. */
#include "fiber/inner.h"
#include <lauxlib.h>

uv_loop_t *orr_script_loop(orr_script *s) {
    return orr_fibers_of(s)->loop;
}

void orr_script_pending(orr_script *s, int by) {
    orr_fibers *all = orr_fibers_of(s);
    all->pending += by;
    if (!ORR_HOLDS(s, all->pending >= 0, "more operations have ended than were begun")) all->pending = 0;
}

orr_fiber *orr_fiber_behind(lua_State *L, orr_script *s, int fn, int depth) {
    orr_fiber *f = orr_await_target(L, s, fn);
    fn = lua_absindex(L, fn);
    for (int i = 1; !f && depth > 0 && i <= 60 && lua_getupvalue(L, fn, i); i++) {
        if (lua_isfunction(L, -1)) f = orr_fiber_behind(L, s, -1, depth - 1);
        lua_pop(L, 1);
    }
    return f;
}

typedef struct callback_error {
    orr_script *script;
    int fn, error;
} callback_error;

/* Fails the wait of the function at index 2 with the error at index 3. */
static int report_callback(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_fiber *f = orr_fiber_behind(L, s, 2, 3);
    if (f && lua_checkstack(f->co, 4)) {
        lua_settop(L, 3);
        lua_xmove(L, f->co, 1);
        f->flags |= FIBER_RAISE;
        orr_wait_done(s, f, 1);
        return 0;
    }
    const char *text = luaL_tolstring(L, 3, NULL);
    orr_push_trace(L);
    if (lua_isstring(L, -1)) text = lua_pushfstring(L, "%s\n%s", text, lua_tostring(L, -1));
    orr_script_stray(s, "a callback failed", text);
    return 0;
}

/* It holds up nothing but itself where no run is live. */
static int call_unawaited(lua_State *L, orr_script *s, int nargs, int nresults, int handler) {
    for (const orr_rt *rt = orr_rt_first(s); rt; rt = rt->next)
        if (rt->n_live) return orr_call_limited(L, s, nargs, nresults, handler);
    return lua_pcall(L, nargs, nresults, handler);
}

/* Calls the function below `nargs` arguments; leaves its results, or nothing where it failed. */
int orr_call_safely(orr_script *s, lua_State *L, int nargs, int nresults) {
    int fn = lua_gettop(L) - nargs;
    if (s->closed || !lua_checkstack(L, LUA_MINSTACK)) {
        lua_settop(L, fn - 1);
        return LUA_ERRMEM;
    }
    lua_pushvalue(L, fn);
    lua_insert(L, fn);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, fn);
    orr_stay_awake(s);
    /* now: handler, copy of the function, function, arguments */
    orr_fibers *all = orr_fibers_of(s);
    orr_rt *clock = all->timer_rt;
    int64_t due = orr_callback_due(L, s, fn + 1);
    int status = due ? orr_call_watched(L, s, nargs, nresults, fn, due)
                     : call_unawaited(L, s, nargs, nresults, fn);
    all->timer_rt = clock;
    if (status == LUA_OK) {
        lua_remove(L, fn);
        lua_remove(L, fn);
        return LUA_OK;
    }
    lua_pushcfunction(L, report_callback);
    lua_replace(L, fn);
    lua_pushlightuserdata(L, s);
    lua_insert(L, fn + 1);
    lua_pcall(L, 3, 0, 0); /* out of memory while reporting: nothing more can be said */
    lua_settop(L, fn - 1);
    return status;
}

void orr_script_call(orr_script *s, int nargs) {
    orr_call_safely(s, s->main, nargs, 0);
}
