/* sleep.c - sleeping.
 *
 * Where the attempt's only strand sleeps, the core keeps the time, as it does for nodes that wait
 * without a coroutine. Any other sleep has a timer of its runtime's.
 */
#include "fiber/inner.h"

static void set_timer(orr_script *s, orr_fiber *f) {
    if (f->timer == ORR_NONE) orr_wait_set_timer(s, f);
}

static void slept(orr_script *s, orr_fiber *f) {
    orr_wait_done(s, f, 0);
}

static const orr_wait_kind timer_sleep = {
    .begins = "sleeps",
    .timed = true,
    .parked = set_timer,
    .forget = orr_wait_unset_timer,
    .timeout = slept,
};

/* The core refuses to keep the time of an attempt that it stops. */
static void core_sleep_parked(orr_script *s, orr_fiber *f) {
    if (orr_fiber_root(s, f)->flags & FIBER_SLOTLESS) return;
    f->wait = &timer_sleep;
    set_timer(s, f);
}

const orr_wait_kind orr_wait_core_sleep = {.begins = "sleeps", .timed = true, .parked = core_sleep_parked};

int64_t orr_sleep_due(lua_State *L, orr_script *s, const orr_fiber *f, int64_t ns) {
    const orr_rt *rt = f->rt ? f->rt : orr_rt_default(L, s);
    int64_t now = f->run ? rt->class->clock(f) : orr_engine_now(rt->engine);
    return ns <= 0 ? now : ns > INT64_MAX - 1 - now ? INT64_MAX - 1 : now + ns;
}

int orr_wait_sleep(lua_State *L, orr_script *s, int64_t ns) {
    const orr_fiber *f = orr_wait_begin(L, s, "sleep");
    return orr_wait_until(L, s, orr_sleep_due(L, s, f, ns));
}

int orr_wait_busy(lua_State *L, orr_script *s, int64_t ns) {
    orr_fiber *f = orr_wait_begin(L, s, "sleep");
    f->due = orr_sleep_due(L, s, f, ns);
    f->timer = ORR_NONE;
    f->wait = &timer_sleep;
    return orr_wait_yield(L, s, f);
}

int orr_wait_until(lua_State *L, orr_script *s, int64_t due) {
    orr_fiber *f = orr_wait_begin(L, s, "sleep");
    f->due = due;
    f->timer = ORR_NONE;
    f->wait = f->kind == FIBER_NODE && f->strands == ORR_NONE ? &orr_wait_core_sleep : &timer_sleep;
    return orr_wait_yield(L, s, f);
}
