/* drop.c - giving a run up before its end: this process goes on without it, and its journal lets it
 * be resumed.
 *
 * It is dropped because somebody asked for it (suspended, closed), because another process has
 * taken it, or because a record of its could not be kept: a journal with a hole is worth nothing,
 * so it ends before that record, and whoever waits for the run is notified.
 */
#include "run/inner.h"

static void abandon_all(orr_script *s, const orr_runbox *r) {
    for (uint32_t i = 0; i < orr_fiber_slots(s); i++) {
        orr_fiber *f = orr_fiber_at(s, i);
        if (f->state != FIBER_UNUSED && f->run == r && f->root == f->index && f->state != FIBER_VIEW)
            orr_fiber_abandon(s, f);
    }
}

void orr_run_drop(lua_State *L, orr_runbox *r) {
    orr_script *s = r->script;
    if (!r->live || r->dropped) {
        lua_pop(L, 1);
        return;
    }
    orr_run_set(L, r, RUN_ERROR);
    r->dropped = r->incomplete = true; /* nothing more is recorded */
    orr_engine_forget(r->rt->base.engine, r->run);
    abandon_all(s, r);
    orr_run_let_go(s, r);
    if (r->has_kept) r->rt->keeper->given_up(r);
}

/* ---- from where nothing may raise ------------------------------------------------------------ */

typedef struct giving_up {
    orr_runbox *r;
    const char *code, *message;
} giving_up;

static int drop_with_error(lua_State *L) {
    const giving_up *g = lua_touserdata(L, 1);
    orr_push_error(L, g->r->script, g->code, g->message);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    orr_run_drop(L, g->r);
    return 0;
}

static int drop_without(lua_State *L) {
    lua_pushnil(L);
    orr_run_drop(L, lua_touserdata(L, 1));
    return 0;
}

bool orr_run_give_up(orr_script *s, orr_runbox *r, const char *code, const char *message) {
    giving_up g = {r, code, message};
    if (orr_protect(s, drop_with_error, &g) != LUA_OK) orr_protect(s, drop_without, r);
    return !r->live;
}

/* ---- journals that could not be kept --------------------------------------------------------- */

/* RUN_ERROR was kept when the record was lost, where there was memory for it. */
static int drop_incomplete(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    orr_run_push(L, r, RUN_ERROR);
    if (!lua_istable(L, -1))
        orr_push_error(L, r->script, "out_of_memory", "not enough memory for a record of its journal");
    int error = lua_gettop(L);
    lua_getfield(L, error, "message");
    lua_pushfstring(L, "run %s was given up: %s; what its journal holds is kept", r->id, lua_tostring(L, -1));
    orr_log(L, r->rt, r, "error", lua_tostring(L, -1));
    lua_settop(L, error);
    orr_run_drop(L, r);
    return 0;
}

bool orr_runs_drop_incomplete(orr_rtbox *rt) {
    orr_script *s = rt->base.script;
    bool any = false;
    if (rt->records_left == 0) orr_runs_kill(rt);
    while (rt->n_incomplete > 0) {
        orr_runbox *r = rt->runs;
        while (r && !(r->incomplete && r->live)) r = r->next;
        if (!r) {
            rt->n_incomplete = 0;
            break;
        }
        if (orr_protect(s, drop_incomplete, r) != LUA_OK &&
            !orr_run_give_up(s, r, "out_of_memory", "not enough memory for a record of its journal"))
            break; /* it is tried again at the next turn */
        rt->n_incomplete--;
        any = true;
    }
    return any;
}

/* ---- who may --------------------------------------------------------------------------------- */

void orr_check_may_drop(lua_State *L, const orr_rtbox *rt, const orr_runbox *r, const char *what) {
    const orr_script *s = rt->base.script;
    const orr_fiber *f = orr_fiber_current(s);
    if (s->guarded)
        luaL_error(L,
                   "%s cannot be called here: a condition, an expression, a to-be-closed variable or a "
                   "finaliser runs inside the "
                   "engine; call it in the script that started the run",
                   what);
    if (f && f->run && (r ? f->run == r : f->run->rt == rt && f->run->journal))
        luaL_error(L,
                   "%s cannot be called by a handler of the run that it would drop; call it in the script "
                   "that started the run",
                   what);
}
