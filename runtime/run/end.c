/* end.c - the end of a run: its own output, and whoever waits for it. */
#include "run/inner.h"

void orr_run_compute_output(lua_State *L, orr_runbox *r, orr_run_state state) {
    if (r->output_known || state != ORR_RUN_COMPLETED) return;
    r->output_known = true;
    orr_script *s = r->script;
    orr_run_push_plan(L, r, PLAN_OUTPUT);
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    orr_fiber *view = orr_fiber_new(s, false);
    if (!view) {
        luaL_error(L, "not enough memory");
        return;
    }
    view->run = r;
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, -2);
    orr_push_ctx(L, s, view);
    int status = lua_pcall(L, 1, 1, -3);
    orr_fiber_release(s, view, true);
    orr_mask(L, s, -1);
    if (status == LUA_OK && !(orr_value_check(L, -1, "output", "the output of a run is plain data") &&
                              (!r->journal || r->rt->keeper->takes(L, r, "output")))) {
        orr_push_error(L, s, "invalid_output", lua_tostring(L, -1));
        lua_replace(L, -3);
        lua_pop(L, 1);
        status = LUA_ERRRUN;
    }
    lua_remove(L, -2);
    if (status == LUA_OK) {
        orr_run_set(L, r, RUN_OUTPUT);
        return;
    }
    orr_error error;
    orr_error_table(L, s, -1, "expression_error", &error);
    orr_run_set(L, r, RUN_ERROR);
    lua_pop(L, 1);
    r->output_failed = true;
}

/* ---- who waits for it ------------------------------------------------------------------------ */

static void forget(orr_script *s, orr_fiber *f) {
    if (orr_fiber_awaits_child(f) && f->other && f->other->run) orr_run_awaited(f->other->run, NULL, NULL);
    if (f->prev != ORR_NONE) orr_fiber_at(s, f->prev)->next = f->next;
    else if (f->other) f->other->waiters = f->next;
    if (f->next != ORR_NONE) orr_fiber_at(s, f->next)->prev = f->prev;
    f->next = f->prev = ORR_NONE;
    f->other = NULL;
}

/* A child is cancelled with its parent; the handler waits on until that has ended. */
static void cancel_child(orr_script *s, orr_fiber *f, uint8_t reason) {
    (void)s;
    (void)reason;
    f->flags |= FIBER_RAISE_AT_WAKE;
    if (f->other->run) orr_run_cancel_once(f->other->run);
}

static void abandon_child(orr_script *s, orr_fiber *f) {
    (void)s;
    if (f->other && f->other->run && !f->run->dropped) orr_run_cancel(f->other->run);
}

static const orr_wait_kind wait_run = {
    .begins = "waits for a run",
    .keeps_slot = true,
    .stuck_reason = REASON_STUCK,
    .stuck_order = 3,
    .forget = forget,
};

static const orr_wait_kind wait_child = {
    .begins = "waits for its child",
    .forget = forget,
    .cancel = cancel_child,
    .abandon = abandon_child,
};

bool orr_fiber_awaits_child(const orr_fiber *f) {
    return f->wait == &wait_child;
}

/* Gives each fiber that waits what it waits for: the run, or of its own child the output or an
 * error. */
static void wake_waiter(lua_State *L, orr_runbox *r, orr_fiber *f) {
    orr_script *s = r->script;
    if (!lua_checkstack(f->co, LUA_MINSTACK)) luaL_error(L, "not enough memory");
    if (f->wait == &wait_run) orr_run_push_self(L, r);
    else if (!orr_run_push_result(L, r)) f->flags |= FIBER_RAISE;
    lua_xmove(L, f->co, 1);
    orr_wait_done(s, f, 1);
}

static int finish_run(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    orr_run_compute_output(L, r, orr_run_get_state(r->run));
    while (r->waiters != ORR_NONE) {
        lua_settop(L, 0);
        wake_waiter(L, r, orr_fiber_at(r->script, r->waiters));
    }
    return 0;
}

static void not_live(orr_script *s, orr_runbox *r) {
    r->live = false;
    r->rt->base.n_live--;
    orr_run_lock_over(r);
    if (r->journal) r->rt->keeper->over(r);
    orr_rt_use(s->main, &r->rt->base, -1);
    if (!lua_checkstack(s->main, LUA_MINSTACK)) return;
    luaL_unref(s->main, LUA_REGISTRYINDEX, r->handlers);
    luaL_unref(s->main, LUA_REGISTRYINDEX, r->self);
    r->handlers = r->self = LUA_NOREF;
}

static void notify_waiters(orr_script *s, orr_runbox *r) {
    if (orr_protect(s, finish_run, r) == LUA_OK) return;
    while (r->waiters != ORR_NONE) orr_wake_with_reason(s, orr_fiber_at(s, r->waiters), REASON_MEMORY);
}

void orr_run_over(orr_script *s, orr_runbox *r) {
    if (!r->live || orr_orphans_left(r)) return;
    notify_waiters(s, r);
    not_live(s, r);
    if (r->rt->over) r->rt->over(r->rt->over_ud, r, true);
    orr_orphan_over(s, r);
}

void orr_run_let_go(orr_script *s, orr_runbox *r) {
    notify_waiters(s, r);
    not_live(s, r);
    if (r->rt->over) r->rt->over(r->rt->over_ud, r, false);
    orr_orphan_over(s, r);
    orr_run_unlink(r);
    orr_run_free(r->run);
    r->run = NULL;
}

int orr_run_await(lua_State *L, orr_runbox *r, bool child) {
    orr_script *s = r->script;
    orr_fiber *f = orr_wait_begin(L, s, child ? "ctx:call" : "rt:wait");
    f->wait = child ? &wait_child : &wait_run;
    f->other = r;
    f->prev = f->next = ORR_NONE;
    uint32_t *link = &r->waiters;
    while (*link != ORR_NONE) {
        f->prev = *link;
        link = &orr_fiber_at(s, *link)->next;
    }
    *link = f->index;
    if (child && r->run && f->run && f->run->run) orr_run_awaited(r->run, f->run->run, &f->task);
    return orr_wait_yield(L, s, f);
}
