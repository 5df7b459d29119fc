/* clock.c - the time of a run, and the clock that its handlers wait by (core/run_clock.c). */
#include "run/inner.h"

int64_t orr_run_time_now(const orr_runbox *r) {
    int64_t now = orr_engine_now(r->rt->base.engine);
    return r->run ? orr_run_time(r->run, now) : now;
}

int64_t orr_run_clock_now(const orr_runbox *r) {
    int64_t now = orr_engine_now(r->rt->base.engine);
    return r->run ? orr_run_clock(r->run, now) : now;
}

int64_t orr_run_due_in(const orr_runbox *r, int64_t ns) {
    int64_t now = orr_run_clock_now(r);
    return ns > INT64_MAX - 1 - now ? INT64_MAX - 1 : now + ns;
}

/* ---- waits of fibers ------------------------------------------------------------------------- */

int64_t orr_attempt_clock(const orr_fiber *f) {
    return orr_run_clock_now(f->run);
}

/* Code that was asked to stop has its grace, paused or not, and may wait in it. */
int64_t orr_attempt_comes(const orr_fiber *f, int64_t due) {
    const orr_runbox *r = f->run;
    if (!r->run) return due;
    if (f->flags & FIBER_CANCELLED && due != INT64_MAX)
        return orr_engine_now(r->rt->base.engine) + (due - orr_run_clock_now(r));
    return orr_run_comes(r->run, due);
}

void orr_on_clock(void *rtbox, orr_run *run) {
    const orr_rtbox *rt = rtbox;
    const orr_script *s = rt->base.script;
    for (uint32_t i = 0; i < orr_fiber_slots(s); i++) {
        const orr_fiber *f = orr_fiber_at(s, i);
        if (f->state == FIBER_PARKED && f->run && f->run->run == run && !(f->flags & FIBER_CANCELLED))
            orr_wait_move_timer(s, f);
    }
}
