/* held.c - a virtual clock that is held: it goes as far as it is let, and there it stands.
 *
 * Whoever lets it go on waits until it stands still: nothing can run before it moves again, and
 * nothing outside is under way.
 */
#include "fiber/inner.h"
#include <lauxlib.h>

bool orr_held_can_move(const orr_rt *rt) {
    return rt->is_virtual && rt->stop != INT64_MAX && rt->moves;
}

/* The next time at which there is something to do: a timer, or a look at the runtime. */
static int64_t next_time(const orr_rt *rt, int64_t now) {
    int64_t due = orr_engine_deadline(rt->engine), look = rt->class->look_at(rt);
    if (look > now && look < due) due = look;
    return due < rt->stop ? due : rt->stop;
}

/* While it moves it is looked at, though it may have no run. */
static void end_move(orr_rt *rt) {
    if (!rt->moves) return;
    rt->moves = false;
    orr_rt_use(rt->script->main, rt, -1);
}

static void stand(orr_rt *rt) {
    end_move(rt);
    if (rt->stander != ORR_NONE) orr_wait_done(rt->script, orr_fiber_at(rt->script, rt->stander), 0);
}

bool orr_held_move(orr_rt *rt) {
    int64_t now = orr_engine_now(rt->engine), next = next_time(rt, now);
    if (next > now) {
        orr_engine_pass(rt->engine, next);
        return true;
    }
    stand(rt);
    return true;
}

/* ---- waiting for it -------------------------------------------------------------------------- */

static void forget(orr_script *s, orr_fiber *f) {
    (void)s;
    if (f->standing) {
        f->standing->stander = ORR_NONE;
        end_move(f->standing);
    }
    f->standing = NULL;
}

static const orr_wait_kind wait_stand = {
    .begins = "waits until a virtual clock stands still",
    .keeps_slot = true,
    .forget = forget,
};

static bool stands(void *ud) {
    return !((const orr_rt *)ud)->moves;
}

static int await(lua_State *L, orr_rt *rt) {
    orr_script *s = rt->script;
    orr_fiber *f = orr_wait_begin(L, s, "rt:advance");
    f->wait = &wait_stand;
    f->standing = rt;
    rt->stander = f->index;
    return orr_wait_yield(L, s, f);
}

int orr_held_advance(lua_State *L, orr_rt *rt, int64_t ns) {
    int64_t now = orr_engine_now(rt->engine);
    if (rt->stander != ORR_NONE) return luaL_error(L, "rt:advance: another waits for this clock already");
    if (rt->stop == INT64_MAX || rt->stop < now) rt->stop = now;
    rt->stop = ns < INT64_MAX - 1 - rt->stop ? rt->stop + ns : INT64_MAX - 1;
    if (!rt->moves) orr_rt_use(L, rt, 1);
    rt->moves = true;
    if (!orr_wait_outside(L, rt->script)) return await(L, rt);
    bool stood = orr_pump(rt->script, L, stands, rt);
    end_move(rt);
    return stood ? 0 : luaL_error(L, "rt:advance: nothing is left that could let the clock go on");
}

void orr_held_set(orr_rt *rt, bool held) {
    if (!held) stand(rt); /* who waits for it to stand waits no longer */
    rt->stop = held ? orr_engine_now(rt->engine) : INT64_MAX;
}
