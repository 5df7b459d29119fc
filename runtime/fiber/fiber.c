/* fiber.c - the one function that resumes coroutines of the user's, and how they end.
 *
 * The path of a node whose handler neither waits nor takes anything is: orr_fiber_begin, resume,
 * its base function, orr_client.ended. Nothing here allocates, makes a table or reads a clock on
 * it.
 */
#include "fiber/inner.h"
#include <lauxlib.h>
#include <stdio.h>

#define CLOSE_BOUND INT64_C(1000000000) /* ns that closing a coroutine's variables may take */

int orr_fiber_done(lua_State *L, orr_script *s, orr_fiber *f, int status) {
    if (f->state == FIBER_STARTING_WAIT) {
        orr_wait_escaped(L, s, f);
        status = LUA_ERRRUN;
    } else if (status == LUA_ERRMEM && orr_watchdog_fired(&orr_fibers_of(s)->watchdog)) {
        lua_pushlightuserdata(L, ORR_WATCHDOG_ERROR);
        lua_replace(L, -2);
    }
    orr_fibers_of(s)->failed = status != LUA_OK && status != LUA_YIELD;
    return status;
}

/* ---- coroutines that cannot go on ------------------------------------------------------------ */

typedef struct breaking {
    orr_script *s;
    orr_fiber *f;
    const char *code, *text;
} breaking;

/* What broke the coroutine becomes the fiber's value: `code` and `text`, or the error at the top of
 * its stack. */
static int keep_broken(lua_State *L) {
    breaking *b = lua_touserdata(L, 1);
    orr_fiber *f = b->f;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (b->code) {
        orr_push_error(L, b->s, b->code, b->text);
    } else {
        if (!lua_checkstack(f->co, 1)) return luaL_error(L, "not enough memory");
        lua_pushvalue(f->co, -1);
        lua_xmove(f->co, L, 1);
    }
    orr_fiber_set_value(L, b->s, f);
    return 0;
}

/* An error outside the pcall (memory), a yield that is not ours, or the watchdog. */
static void broken(orr_script *s, orr_fiber *f, const char *code, const char *text) {
    if (f->wait) orr_wait_forget(s, f);
    breaking b = {s, f, code, text};
    orr_protect(s, keep_broken, &b);
    orr_fiber_close(s, f);
    orr_fibers_of(s)->failed = true;
    f->client->broken(s, f, code ? code : "out_of_memory", code ? text : "not enough memory");
}

/* The functions of its to-be-closed variables cannot wait, and have a time limit (CLOSE_BOUND). */
void orr_fiber_close(orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    orr_watchdog_frame frame;
    uint32_t before = all->current;
    all->current = ORR_NONE;
    orr_watchdog_enter(&all->watchdog, &frame, f->co, orr_close_due(s));
    frame.closes = true;
    s->guarded++;
    lua_resetthread(f->co);
    s->guarded--;
    orr_watchdog_leave(&all->watchdog, &frame);
    all->current = before;
    lua_settop(f->co, 0);
}

void orr_fiber_discard(orr_script *s, orr_fiber *f) {
    if (f->flags & FIBER_STARTED) orr_fiber_close(s, f);
    orr_fiber_release(s, f, false);
}

/* ---- the one resume -------------------------------------------------------------------------- */

static const char *stopped_at(const orr_script *s) {
    const char *where = orr_fibers_of(s)->watchdog.where;
    return where[0] ? where : "a C function";
}

static const char stopped_late[] = "after its time was over",
                  stopped_asked[] = "because the program was asked to stop";

static const char *stopped_why(const orr_script *s) {
    return orr_watchdog_unheard(&orr_fibers_of(s)->watchdog) ? stopped_asked : stopped_late;
}

bool orr_describe_stopped(lua_State *L, orr_script *s, int idx) {
    if (!orr_is_stopped(L, idx)) return false;
    const char *why = stopped_why(s);
    lua_pushstring(L, why == stopped_asked ? "cancelled" : "timeout");
    lua_pushfstring(L, "stopped %s, at %s, in code that does not wait", why, stopped_at(s));
    return true;
}

/* The slice kept the loop from hearing that the program is to stop. It hears before the end of the
 * slice is told: whoever suspends the run, or cancels it, is to find the attempt open. False where
 * the fiber was given up for that. */
static bool hear(orr_script *s, orr_fiber *f) {
    orr_fiber_id id = orr_fiber_id_of(f);
    orr_fibers_of(s)->hear(s);
    if (orr_fiber_get(s, id) != f) return false;
    f->flags |= FIBER_CANCELLED;
    return true;
}

static void stopped(orr_script *s, orr_fiber *f) {
    char text[sizeof s->text];
    const char *why = stopped_why(s);
    bool asked = why == stopped_asked;
    snprintf(text, sizeof text, "stopped %s, at %s, in code that does not wait; %s", why, stopped_at(s),
             asked ? "let it wait now and then, and it sees that: ctx:sleep(0)"
                   : "give it more time, or let it wait now and then: ctx:sleep(0)");
    if (asked && !hear(s, f)) return;
    broken(s, f, asked ? "cancelled" : "timeout", text);
}

static void yielded(orr_script *s, orr_fiber *f, int nres, bool fired) {
    lua_State *co = f->co;
    if (nres == 1 && f->state == FIBER_STARTING_WAIT && lua_touserdata(co, -1) == ORR_WAIT_SENTINEL) {
        lua_pop(co, 1);
        f->state = FIBER_PARKED;
        if (!(f->flags & FIBER_MAPPED) && f->client->parked) f->client->parked(s, f);
        orr_wait_parked(s, f);
    } else if (fired && nres == 0) {
        stopped(s, f);
    } else {
        broken(s, f, "handler_error",
               "the handler called coroutine.yield outside of a coroutine of its own; what may leave a "
               "handler is a wait: ctx:sleep, flow.await");
    }
}

static int64_t slice_due(const orr_script *s, const orr_fiber *f) {
    if (!orr_fibers_of(s)->watching) return ORR_WATCHDOG_NEVER;
    const orr_client *client = orr_fiber_root(s, f)->client;
    return client->slice_due ? client->slice_due(s, f) : ORR_WATCHDOG_NEVER;
}

int64_t orr_callback_due(lua_State *L, orr_script *s, int fn) {
    const orr_fibers *all = orr_fibers_of(s);
    if (!all->watching || !all->awaits) return 0;
    const orr_fiber *f = orr_fiber_behind(L, s, fn, 1);
    return f ? slice_due(s, f) : 0;
}

int64_t orr_close_due(const orr_script *s) {
    return orr_fibers_of(s)->watching ? orr_watchdog_now() + CLOSE_BOUND : ORR_WATCHDOG_NEVER;
}

/* Ends the slice as well; the error of what was stopped is the watchdog's. */
static int pcall_in_slice(lua_State *L, int nargs, int nresults, int handler, orr_watchdog *watchdog,
                          orr_watchdog_frame *frame) {
    int status = lua_pcall(L, nargs, nresults, handler);
    bool fired = orr_watchdog_fired(watchdog);
    orr_watchdog_leave(watchdog, frame);
    if (status != LUA_OK && fired && (status == LUA_ERRMEM || orr_is_stopped(L, -1))) {
        lua_pop(L, 1);
        lua_pushlightuserdata(L, ORR_WATCHDOG_ERROR);
    }
    return status;
}

int orr_call_bounded(lua_State *L, orr_script *s, int nargs, int nresults, int handler, int64_t due) {
    orr_watchdog *watchdog = &orr_fibers_of(s)->watchdog;
    orr_watchdog_frame frame;
    if (!orr_fibers_of(s)->watching) return lua_pcall(L, nargs, nresults, handler);
    orr_watchdog_enter(watchdog, &frame, L, due);
    return pcall_in_slice(L, nargs, nresults, handler, watchdog, &frame);
}

static void push_seconds(lua_State *L, int64_t ns) {
    char text[32];
    snprintf(text, sizeof text, "%g s", (double)ns / 1e9);
    lua_pushstring(L, text);
}

int orr_call_limited(lua_State *L, orr_script *s, int nargs, int nresults, int handler) {
    orr_watchdog *watchdog = &orr_fibers_of(s)->watchdog;
    int64_t limit = orr_fibers_of(s)->callback_limit;
    if (!limit) return orr_call_watched(L, s, nargs, nresults, handler, ORR_WATCHDOG_NEVER);
    if (!orr_fibers_of(s)->watching) return lua_pcall(L, nargs, nresults, handler);
    orr_watchdog_frame frame;
    orr_watchdog_enter_limited(watchdog, &frame, L, limit);
    int status = pcall_in_slice(L, nargs, nresults, handler, watchdog, &frame);
    if (status != LUA_OK && orr_is_stopped(L, -1)) {
        lua_pop(L, 1);
        if (stopped_why(s) == stopped_asked) {
            lua_pushfstring(L, "stopped %s, at %s", stopped_asked, stopped_at(s));
            return status;
        }
        push_seconds(L, limit);
        lua_pushfstring(L,
                        "stopped after %s of processor time, at %s: while a callback runs, nothing else does",
                        lua_tostring(L, -1), stopped_at(s));
        lua_remove(L, -2);
    }
    return status;
}

int orr_call_watched(lua_State *L, orr_script *s, int nargs, int nresults, int handler, int64_t due) {
    int status = orr_call_bounded(L, s, nargs, nresults, handler, due);
    if (status != LUA_OK && orr_is_stopped(L, -1)) {
        lua_pop(L, 1);
        lua_pushfstring(L, "stopped %s, at %s", stopped_why(s), stopped_at(s));
    }
    return status;
}

/* Goes on with a fiber whose arguments are the `nargs` values at the top of its stack. */
static void resume(orr_script *s, orr_fiber *f, int nargs) {
    orr_fibers *all = orr_fibers_of(s);
    orr_watchdog_frame frame;
    lua_State *co = f->co;
    uint32_t before = all->current;
    int nres;
    f->state = FIBER_RUNNING;
    f->flags |= FIBER_STARTED;
    all->current = f->index;
    orr_watchdog_enter(&all->watchdog, &frame, co, slice_due(s, f));
    orr_fibers_next_slice(s);
    if (f->client->slice) f->client->slice(s, f, true);
    int status = lua_resume(co, all->from, nargs, &nres);
    if (all->slice) all->slice(all->slice_ud, false);
    bool fired = orr_watchdog_fired(&all->watchdog);
    orr_watchdog_leave(&all->watchdog, &frame);
    all->current = before;
    all->raising = false;
    if (f->client->slice) f->client->slice(s, f, false);
    if (status == LUA_OK) {
        if (ORR_HOLDS(s, lua_gettop(co) == nres, "a coroutine ended with more than its results"))
            f->client->ended(s, f, nres);
        else broken(s, f, "internal_error", "its coroutine ended with more than its results");
    } else if (status == LUA_YIELD) {
        yielded(s, f, nres, fired);
    } else if (fired && (status == LUA_ERRMEM || orr_is_stopped(co, -1))) {
        stopped(s, f);
    } else {
        broken(s, f, NULL, NULL);
    }
}

void orr_fiber_begin(orr_script *s, orr_fiber *f, lua_CFunction base) {
    if (!ORR_HOLDS(s, lua_gettop(f->co) == 0, "a coroutine was used again that is not empty"))
        lua_settop(f->co, 0);
    lua_pushcfunction(f->co, base);
    lua_pushlightuserdata(f->co, s);
    resume(s, f, 1);
}

bool orr_fiber_next(orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    if (all->ready_head == ORR_NONE) return false;
    orr_fiber *f = orr_fiber_at(s, all->ready_head);
    orr_ready_remove(s, f);
    int nargs = f->nargs;
    f->nargs = 0;
    if (f->flags & FIBER_RAISE) {
        f->flags &= (uint16_t)~FIBER_RAISE;
        all->raising = true;
    }
    resume(s, f, nargs);
    return true;
}
