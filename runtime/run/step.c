/* step.c - what a handler does once: ctx:step, and the implicit steps ctx:sleep, ctx:now,
 * ctx:random, ctx:uuid.
 *
 * In a run with a journal each has its place in its coroutine's sequence, and a handler that runs
 * again gets what was recorded there. A run without one records nothing: ctx:step calls its
 * function. Inside that function nothing is recorded by itself, for the step stands for all of it.
 */
#include "run/inner.h"
#include <stdio.h>

orr_fiber *orr_step_fiber(lua_State *L, const char *what) {
    orr_fiber *owner = orr_check_own_ctx(L, 1, what);
    orr_fiber *f = orr_fiber_current(owner->run->script);
    if (!f)
        luaL_error(
            L,
            "%s cannot be used in a callback; use it in the handler, and let the callback call `resume` of "
            "flow.await",
            what);
    return f;
}

orr_fiber *orr_step_outer_fiber(lua_State *L, const char *what) {
    orr_fiber *f = orr_step_fiber(L, what);
    if (f->flags & ATTEMPT_IN_STEP)
        luaL_error(L,
                   "%s cannot be used inside ctx:step: it is recorded by itself, and a step that runs again "
                   "would do it "
                   "twice; call it before or after the step",
                   what);
    return f;
}

void orr_step_count(orr_fiber *f) {
    if (f->flags & ATTEMPT_IN_STEP) {
        f->inner++;
        return;
    }
    f->ordinal++;
    f->inner = 0;
}

int orr_run_hold(lua_State *L, orr_script *s, const orr_runbox *r, bool raise) {
    if (orr_run_ticket(r) > r->rt->durable_to) return r->rt->keeper->hold(L, s, r, raise);
    return raise ? lua_error(L) : 1;
}

static bool is_recorded(const orr_fiber *f) {
    return f->run->journal && !(f->flags & ATTEMPT_IN_STEP);
}

/* ---- ctx:step -------------------------------------------------------------------------------- */

bool orr_step_failed(lua_State *L, const orr_fiber *f, int status) {
    return status != LUA_ERRMEM && !(f->flags & FIBER_CANCELLED) && !orr_is_stopped(L, -1);
}

int orr_step_end(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step) {
    f->run->rt->keeper->record(L, s, f, step);
    return orr_run_hold(L, s, f->run, step->state == STEP_ERROR);
}

/* Its stack: ctx, name, message handler, value or error. */
static int step_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_current(s);
    orr_step_ref step = {.kind = STEP_CALLED, .state = STEP_VALUE, .name = 2, .due = -1};
    f->flags &= (uint16_t)~ATTEMPT_IN_STEP;
    if (f->state == FIBER_STARTING_WAIT) {
        orr_wait_escaped(L, s, f);
        status = LUA_ERRRUN;
    }
    if (status != LUA_OK && status != LUA_YIELD) {
        orr_error error;
        if (!orr_step_failed(L, f, status)) return lua_error(L);
        orr_error_table(L, s, -1, "handler_error", &error);
        step.state = STEP_ERROR;
    } else if (!orr_value_check(L, -1, "step", "what a step returns is plain data")) {
        orr_push_error(L, s, "invalid_output", lua_tostring(L, -1));
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "retryable");
        step.state = STEP_ERROR;
    }
    if (f->run->journal && f->run->run) return orr_step_end(L, s, f, &step);
    return step.state == STEP_ERROR ? lua_error(L) : 1;
}

/* A step that is called inside a step: only the outer one is recorded. */
static int inner_done(lua_State *L, int status, lua_KContext k) {
    (void)L;
    (void)status;
    (void)k;
    return 1;
}

/* A function, or what can be called as one: a node type. */
static void check_callable(lua_State *L, int index) {
    if (luaL_getmetafield(L, index, "__call") == LUA_TNIL) luaL_checktype(L, index, LUA_TFUNCTION);
    else lua_pop(L, 1);
}

/* ctx:step(name, fn, ...) -> what fn(...) returned, now or when it was recorded. One value,
 * plain data. May wait. */
int orr_ctx_step(lua_State *L) {
    orr_fiber *f = orr_step_fiber(L, "ctx:step");
    orr_script *s = f->run->script;
    luaL_checktype(L, 2, LUA_TSTRING);
    orr_mask(L, s, 2);
    check_callable(L, 3);
    int nargs = lua_gettop(L) - 3;
    if (f->flags & ATTEMPT_IN_STEP) {
        lua_callk(L, nargs, 1, 0, inner_done);
        return 1;
    }
    orr_step_count(f);
    if (f->run->journal) {
        orr_step_ref step = {.kind = STEP_CALLED, .name = 2};
        switch (f->run->rt->keeper->find(L, s, f, &step)) {
        case STEP_VALUE: return 1;
        case STEP_ERROR: return lua_error(L);
        default: break;
        }
        orr_wait_begin(L, s, "ctx:step"); /* where it could not wait for its record it is not begun */
    }
    f->flags |= ATTEMPT_IN_STEP;
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, 3);
    int status = lua_pcallk(L, nargs, 1, 3, (lua_KContext)s, step_done);
    return step_done(L, status, (lua_KContext)s);
}

/* ---- beginning anew -------------------------------------------------------------------------- */

void orr_push_restarting(lua_State *L, const orr_script *s) {
    orr_push_error(L, s, "cancelled", "ctx:restart was called: the handler ends here and begins anew");
}

/* ctx:restart(value): ends the handler, which begins anew with an empty list of steps and finds the
 * value, plain data, as ctx.restarted. It raises; a handler that catches that begins anew where it
 * ends. May wait. */
int orr_ctx_restart(lua_State *L) {
    orr_fiber *f = orr_step_outer_fiber(L, "ctx:restart");
    orr_script *s = f->run->script;
    if (f->kind != FIBER_NODE)
        luaL_error(L, "ctx:restart cannot be used inside flow.gather, whose other functions go on; call it "
                      "when flow.gather has returned");
    if (f->phase != ORR_PHASE_RUN)
        luaL_error(L,
                   "ctx:restart can be used in a node's handler only, not in its fallback or compensation");
    lua_settop(L, 2);
    if (f->flags & FIBER_CANCELLED) {
        orr_push_error(L, s, "cancelled", "the handler was asked to stop, so that it cannot begin anew");
        return lua_error(L);
    }
    if (!orr_value_check(L, 2, "restart", "what a handler begins anew with is plain data")) {
        orr_push_error(L, s, "invalid_output", lua_tostring(L, -1));
        return lua_error(L);
    }
    orr_step_count(f);
    if (f->run->journal) {
        lua_pushliteral(L, "restart");
        orr_step_ref step = {.kind = STEP_RESTART, .name = 3};
        f->run->rt->keeper->find(L, s, f, &step); /* raises where other steps were recorded from here on */
        orr_wait_begin(L, s, "ctx:restart");
        lua_settop(L, 2);
    }
    f->run->rt->keeper->restart(L, s, f);
    f->flags |= ATTEMPT_RESTARTS;
    orr_push_restarting(L, s);
    if (f->run->journal) return orr_run_hold(L, s, f->run, true);
    return lua_error(L);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* (due) */
static int sleep_until(lua_State *L) {
    return orr_wait_until(L, orr_script_of(L), lua_tointeger(L, 1));
}

/* The time may have come before the record of it is on disk, and what follows depends on it. */
static int slept(lua_State *L, int status, lua_KContext k) {
    (void)status;
    orr_script *s = (orr_script *)k;
    lua_settop(L, 0);
    lua_pushnil(L);
    return orr_run_hold(L, s, orr_fiber_current(s)->run, false);
}

/* An attempt that waits as a whole goes on by the core, whose record of that comes after the one
 * of the sleep. */
static int sleep_durably(lua_State *L, orr_script *s, const orr_fiber *f, int64_t due) {
    if (f->kind == FIBER_NODE && f->strands == ORR_NONE) return orr_wait_until(L, s, due);
    lua_pushcfunction(L, sleep_until);
    lua_pushinteger(L, due);
    lua_callk(L, 1, 0, (lua_KContext)s, slept);
    return slept(L, LUA_OK, (lua_KContext)s);
}

int64_t orr_step_rest(lua_State *L, orr_script *s, orr_fiber *f, int64_t ns) {
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_step_count(f);
    lua_pushliteral(L, "sleep");
    orr_step_ref step = {.kind = STEP_SLEEP, .state = STEP_BEGUN, .name = top + 1};
    if (f->run->rt->keeper->find(L, s, f, &step) != STEP_BEGUN) {
        step.state = STEP_BEGUN;
        step.due = orr_run_due_in(f->run, ns);
        lua_pushnil(L);
        f->run->rt->keeper->record(L, s, f, &step);
    }
    lua_settop(L, top);
    int64_t now = orr_run_clock_now(f->run);
    return step.due > now ? step.due - now : 0;
}

int orr_step_sleep(lua_State *L, orr_script *s, orr_fiber *f, int64_t ns) {
    bool recorded = is_recorded(f);
    orr_step_count(f);
    /* a sleep of no time only lets others go on, which needs no record */
    if (!recorded || ns == 0) return orr_wait_sleep(L, s, ns);
    lua_settop(L, 0);
    lua_pushliteral(L, "sleep");
    orr_step_ref step = {.kind = STEP_SLEEP, .state = STEP_BEGUN, .name = 1};
    if (f->run->rt->keeper->find(L, s, f, &step) == STEP_BEGUN) {
        if (step.due <= orr_run_clock_now(f->run)) return 0;
        return orr_wait_until(L, s, step.due);
    }
    orr_wait_begin(L, s, "ctx:sleep");
    step.due = orr_run_due_in(f->run, ns);
    lua_pushnil(L);
    f->run->rt->keeper->record(L, s, f, &step);
    return sleep_durably(L, s, f, step.due);
}

/* core.sleep(duration): in a handler as ctx:sleep, elsewhere a wait like others. */
int orr_core_sleep(lua_State *L) {
    orr_script *s = orr_script_of(L);
    int64_t ns = orr_check_duration(L, 1, "sleep");
    if (orr_wait_outside(L, s)) return orr_wait_in_fiber(L, s, orr_core_sleep);
    orr_fiber *f = orr_fiber_current(s);
    if (f && f->run) return orr_step_sleep(L, s, f, ns);
    return orr_wait_sleep(L, s, ns);
}

/* ctx:sleep(duration): other nodes go on meanwhile; the node holds no slot. Its due time is
 * recorded when it begins, so that after a restart only the rest is slept. */
int orr_ctx_sleep(lua_State *L) {
    const orr_fiber *owner = orr_check_own_ctx(L, 1, "ctx:sleep");
    orr_script *s = owner->run->script;
    int64_t ns = orr_check_duration(L, 2, "ctx:sleep");
    orr_fiber *f = orr_fiber_current(s);
    return f ? orr_step_sleep(L, s, f, ns) : orr_wait_sleep(L, s, ns);
}

/* ctx:now() -> seconds since the epoch; the same when the handler runs again */
int orr_ctx_now(lua_State *L) {
    orr_fiber *f = orr_step_fiber(L, "ctx:now");
    orr_script *s = f->run->script;
    bool recorded = is_recorded(f);
    orr_step_count(f);
    lua_settop(L, 1);
    lua_pushliteral(L, "now");
    orr_step_ref step = {.kind = STEP_NOW, .state = STEP_VALUE, .name = 2, .due = -1};
    if (recorded && f->run->rt->keeper->find(L, s, f, &step) == STEP_VALUE) return 1;
    lua_pushnumber(L, (lua_Number)orr_run_time_now(f->run) / 1e9);
    if (!recorded) return 1;
    step.due = -1;
    return orr_step_end(L, s, f, &step);
}
