/* run_clock.c - the time of a run, and its clock, which stands still while the run is paused.
 *
 * There are three times.
 *   the core's   goes on with the process; the timers of the core are set by it
 *   the run's    is what its records, its events and people see: the core's, or ahead of it by a
 *                skew where records were written under a clock that was ahead of this process's
 *   its clock    is what bounds and waits count on: the run's time less what pauses took
 * Whatever a run remembers of when something is due, or since when a bound counts, is by its clock.
 * So a pause and a skew change nothing that is remembered; here alone the times are converted:
 *   time of the run = time of the core + skew
 *   its clock       = time of the run - stood, and does not move while it stands still
 */
#include "core/inner.h"

/* ---- converting ------------------------------------------------------------------------------ */

/* Times at the end of the range stay there: they never come, or come last. */
static int64_t moved(int64_t time, int64_t by) {
    if (time >= INT64_MAX - 1) return time;
    return by > 0 && time > INT64_MAX - 2 - by ? INT64_MAX - 2 : time + by;
}

int64_t orr_run_time(const orr_run *run, int64_t now) {
    return now + run->skew;
}

int64_t orr_run_clock(const orr_run *run, int64_t now) {
    return orr_clock_at(run, orr_run_time(run, now));
}

int64_t orr_clock_at(const orr_run *run, int64_t time) {
    return (run->still ? run->still_since : time) - run->stood;
}

int64_t orr_run_comes(const orr_run *run, int64_t due) {
    if (run->still && due > run->still_since - run->stood) return INT64_MAX;
    return moved(due, run->stood - run->skew); /* what came before it stood still has come */
}

int64_t orr_run_recorded(const orr_run *run, int64_t due) {
    return due > 0 ? moved(due, run->stood) : due;
}

int64_t orr_run_read(const orr_run *run, int64_t due) {
    return due > 0 ? moved(due, -run->stood) : due;
}

/* How long the pause has lasted by now. */
static int64_t stands_for(const orr_run *run) {
    return run->still ? orr_run_time(run, run->core->now) - run->still_since : 0;
}

int64_t orr_shown_due(const orr_run *run, int64_t due) {
    return due > 0 ? moved(due, run->stood + stands_for(run)) : due;
}

int64_t orr_core_due(const orr_run *run, int64_t due) {
    return moved(due, run->stood - run->skew + stands_for(run));
}

/* ---- changing -------------------------------------------------------------------------------- */

/* A run that is stopped cleans up, paused or not, and is not kept waiting by its clock. */
void orr_clock_follow(orr_run *run, int64_t time) {
    bool still = run->paused && run->mode < MODE_CLEANUP && !run->ended;
    if (still == run->still) return;
    if (still) run->still_since = time;
    else run->stood += time - run->still_since;
    run->still = still;
}

void orr_clock_read(orr_run *run, int64_t time) {
    if (time > orr_run_time(run, run->core->now)) run->skew = time - run->core->now;
}

/* ---- timers ---------------------------------------------------------------------------------- */

bool orr_run_timer(orr_run *run, uint32_t *timer, int64_t due, uint32_t t, uint8_t kind) {
    return orr_timer_on(run->core, timer, orr_run_comes(run, due), run, t, kind);
}

/* The end of an attempt's timeout is known by its timer alone; while that does not come it is
 * remembered as what is left. */
static void turn_attempt(orr_run *run, orr_more *more) {
    orr_core *core = run->core;
    const orr_timer *timer = orr_timers_get(&core->timers, more->attempt_timer);
    if (timer == NULL) return;
    if (run->still) more->left = timer->time - core->now;
    orr_timers_move(&core->timers, more->attempt_timer,
                    run->still ? INT64_MAX : orr_after(core->now, more->left));
}

static void turn_task(orr_run *run, uint32_t t, orr_more *more) {
    orr_timers *timers = &run->core->timers;
    int64_t silent_at = orr_after(more->beat, orr_policy_of(run, orr_node_of(run, t))->heartbeat);
    turn_attempt(run, more);
    orr_timers_move(timers, more->beat_timer, orr_run_comes(run, silent_at));
    orr_timers_move(timers, more->deadline_timer, orr_run_comes(run, more->deadline));
    orr_timers_move(timers, more->wake_timer, orr_run_comes(run, more->due));
}

/* No memory is needed: while the clock stands still, its timers are there and do not come. The
 * grace of what was asked to stop is none of them. */
void orr_clock_turned(orr_run *run) {
    orr_core *core = run->core;
    for (uint32_t t = 0; t < run->n_cells; t++) {
        orr_more *more = orr_more_of(run, t);
        if (more != NULL) turn_task(run, t, more);
    }
    orr_timers_move(&core->timers, run->timeout_timer,
                    orr_run_comes(run, orr_after(run->since, run->plan->timeout)));
    if (core->hooks.clock != NULL) core->hooks.clock(core->hooks.ud, run);
}
