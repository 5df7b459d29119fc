/* coroutines.c - coroutine.resume, wrap, close and status through which our waits pass.
 *
 * A wait yields the sentinel. Where it was begun inside a coroutine of the user's, that coroutine's
 * resumer gets it: our resume yields it on, out of the handler, and when the wait is over resumes
 * the inner coroutine with what it was given. To the code on both sides it looks as if the wait had
 * blocked.
 */
#include "fiber/inner.h"
#include <lauxlib.h>

static bool is_waiting(lua_State *L, const orr_script *s, int co_idx) {
    if (!orr_fibers_of(s)->inner_waits) return false;
    co_idx = lua_absindex(L, co_idx);
    orr_push_anchor(L, orr_fibers_of(s)->inner);
    lua_pushvalue(L, co_idx);
    lua_rawget(L, -2);
    bool waiting = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return waiting;
}

static void set_waiting(lua_State *L, orr_script *s, int co_idx, bool waiting) {
    co_idx = lua_absindex(L, co_idx);
    orr_push_anchor(L, orr_fibers_of(s)->inner);
    lua_pushvalue(L, co_idx);
    if (waiting) lua_pushboolean(L, true);
    else lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    if (waiting) orr_fibers_of(s)->inner_waits++;
    else orr_fibers_of(s)->inner_waits--;
}

/* What a resume came to. */
enum { CAME_BACK, FAILED, WAITS };

/* Resumes `co` with the `nargs` values at the top of L; leaves its results, or one error, on L. */
static int resume_inner(lua_State *L, orr_script *s, lua_State *co, int nargs, int *nres) {
    *nres = 1;
    if (!lua_checkstack(co, nargs)) {
        lua_pushliteral(L, "too many arguments to resume");
        return FAILED;
    }
    lua_xmove(L, co, nargs);
    orr_watchdog_frame frame;
    orr_watchdog_push(&orr_fibers_of(s)->watchdog, &frame, co);
    int status = lua_resume(co, L, nargs, nres);
    orr_watchdog_pop(&orr_fibers_of(s)->watchdog, &frame);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        *nres = 1;
        return FAILED;
    }
    if (status == LUA_YIELD && *nres == 1 && lua_touserdata(co, -1) == ORR_WAIT_SENTINEL) {
        lua_pop(co, 1);
        return WAITS;
    }
    if (!lua_checkstack(L, *nres + 1)) {
        lua_pop(co, *nres);
        lua_pushliteral(L, "too many results to resume");
        *nres = 1;
        return FAILED;
    }
    lua_xmove(co, L, *nres);
    return CAME_BACK;
}

/* The functions of its to-be-closed variables run in `co`. */
static void push_closing(orr_script *s, orr_watchdog_frame *frame, lua_State *co) {
    orr_watchdog_push(&orr_fibers_of(s)->watchdog, frame, co);
    frame->closes = true;
}

/* Why the coroutine at index 1 cannot be resumed, or NULL. */
static const char *refusal(lua_State *L, const orr_script *s) {
    lua_State *co = lua_tothread(L, 1);
    if (is_waiting(L, s, 1))
        return "cannot resume a coroutine that is waiting; it goes on by itself when its wait ends";
    if (co == L) return "cannot resume non-suspended coroutine";
    if (lua_status(co) == LUA_YIELD) return NULL;
    lua_Debug ar;
    if (lua_status(co) != LUA_OK) return "cannot resume dead coroutine";
    if (lua_getstack(co, 0, &ar)) return "cannot resume non-suspended coroutine";
    return lua_gettop(co) == 0 ? "cannot resume dead coroutine" : NULL;
}

/* Both functions keep the coroutine at index 1 of their own stack, so that it is still at hand
 * when a wait that passed through them is over. */
static int finish_resume(lua_State *L, int status, lua_KContext k);
static int finish_wrap(lua_State *L, int status, lua_KContext k);

/* The common part: resumes with all values above index 1. Returns the outcome; on WAITS the
 * caller yields on. */
static int go_on(lua_State *L, orr_script *s, int *nres) {
    lua_State *co = lua_tothread(L, 1);
    int outcome = resume_inner(L, s, co, lua_gettop(L) - 1, nres);
    if (outcome != WAITS) return outcome;
    lua_settop(L, 1);
    /* begun on a yieldable coroutine, but this resume is called where none can pass */
    if (!lua_isyieldable(L)) {
        orr_fiber *f = orr_fiber_current(s);
        if (f) {
            orr_wait_forget(s, f);
            f->state = FIBER_RUNNING;
        }
        luaL_error(
            L, "a coroutine waits, but it is resumed where no wait can pass: by a function that table.sort, "
               "string.gsub, tostring or require calls; resume it before");
    }
    set_waiting(L, s, 1, true);
    lua_pushlightuserdata(L, ORR_WAIT_SENTINEL);
    return WAITS;
}

static int answer_resume(lua_State *L, orr_script *s) {
    int nres, outcome = go_on(L, s, &nres);
    if (outcome == WAITS) return lua_yieldk(L, 1, (lua_KContext)s, finish_resume);
    lua_pushboolean(L, outcome == CAME_BACK);
    lua_insert(L, -(nres + 1));
    return nres + 1;
}

static int finish_resume(lua_State *L, int status, lua_KContext k) {
    (void)status;
    orr_script *s = (orr_script *)k;
    set_waiting(L, s, 1, false);
    return answer_resume(L, s);
}

static void check_thread(lua_State *L, int idx) {
    luaL_argexpected(L, lua_isthread(L, idx), idx, "coroutine");
}

static int co_resume(lua_State *L) {
    orr_script *s = orr_script_of(L);
    check_thread(L, 1);
    const char *why = refusal(L, s);
    if (why) {
        lua_pushboolean(L, false);
        lua_pushstring(L, why);
        return 2;
    }
    return answer_resume(L, s);
}

/* An error that leaves a wrapped coroutine closes it and carries on, with the place added to a
 * message. */
static int answer_wrap(lua_State *L, orr_script *s) {
    int nres, outcome = go_on(L, s, &nres);
    if (outcome == WAITS) return lua_yieldk(L, 1, (lua_KContext)s, finish_wrap);
    if (outcome == CAME_BACK) return nres;
    lua_State *co = lua_tothread(L, 1);
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        orr_watchdog_frame frame;
        push_closing(s, &frame, co);
        status = lua_resetthread(co);
        orr_watchdog_pop(&orr_fibers_of(s)->watchdog, &frame);
        if (status != LUA_OK) lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int finish_wrap(lua_State *L, int status, lua_KContext k) {
    (void)status;
    orr_script *s = (orr_script *)k;
    set_waiting(L, s, 1, false);
    return answer_wrap(L, s);
}

static int call_wrapped(lua_State *L) {
    orr_script *s = orr_script_of(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    const char *why = refusal(L, s);
    if (why) return luaL_error(L, "%s", why);
    return answer_wrap(L, s);
}

static int co_wrap(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

/* close and status ask the library's own function (upvalue 1) unless the coroutine waits. */
static int co_close(lua_State *L) {
    orr_script *s = orr_script_of(L);
    check_thread(L, 1);
    if (is_waiting(L, s, 1))
        return luaL_error(L, "cannot close a coroutine that is waiting; let its wait end, or cancel the run");
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    orr_watchdog_frame frame;
    push_closing(s, &frame, lua_tothread(L, 1));
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    orr_watchdog_pop(&orr_fibers_of(s)->watchdog, &frame);
    return status == LUA_OK ? lua_gettop(L) - 1 : lua_error(L);
}

static int co_status(lua_State *L) {
    orr_script *s = orr_script_of(L);
    check_thread(L, 1);
    if (is_waiting(L, s, 1)) { /* seen from outside it has resumed the wait */
        lua_pushliteral(L, "normal");
        return 1;
    }
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

void orr_open_coroutines(lua_State *L) {
    /* a state without the library has no resume to escape through */
    if (lua_getglobal(L, "coroutine") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    lua_pushcfunction(L, co_resume);
    lua_setfield(L, -2, "resume");
    lua_pushcfunction(L, co_wrap);
    lua_setfield(L, -2, "wrap");
    lua_getfield(L, -1, "close");
    lua_pushcclosure(L, co_close, 1);
    lua_setfield(L, -2, "close");
    lua_getfield(L, -1, "status");
    lua_pushcclosure(L, co_status, 1);
    lua_setfield(L, -2, "status");
    lua_pop(L, 1);
}
