/* begin.c - a run begins: at once, or when it is let. Until then it does nothing. */
#include "core/inner.h"

/* ---- at once --------------------------------------------------------------------------------- */

static void start(orr_run *run) {
    const orr_plan *plan = run->plan;
    run->stats.started = orr_run_time(run, run->core->now);
    run->since = orr_run_now(run);
    orr_emit(run, ORR_EV_RUN_STARTED, ORR_NONE, NULL);
    run->deciding = true;
    if (plan->timeout > 0 &&
        !orr_run_timer(run, &run->timeout_timer, orr_after(run->since, plan->timeout), 0, TIMER_RUN)) {
        run->failed = true;
        orr_stop(run, ORR_STOP_TIMEOUT, &orr_no_memory);
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        if (plan->in_first[i] == plan->in_first[i + 1]) orr_consider(run, i);
        else if (run->adopted)
            orr_touch(run, i); /* what it depends on may have settled before the run began */
    run->deciding = false;
    orr_decide(run);
}

void orr_run_begin(orr_run *run) {
    if (run->state != ORR_RUN_PENDING || run->rebuilding) return;
    run->state = ORR_RUN_RUNNING;
    if (!run->waits) start(run);
    ORR_CHECKED(run->core);
}

/* ---- when it is let -------------------------------------------------------------------------- */

bool orr_run_waits(const orr_run *run) {
    return run->waits;
}

/* It may have been rebuilt, or set back, while it waited: so it goes on as those do. */
orr_status orr_run_admit(orr_run *run) {
    if (!run->waits || run->rebuilding || run->state != ORR_RUN_RUNNING) return ORR_ESTATE;
    if (!orr_reserve(run)) return ORR_ENOMEM;
    orr_put_run(run, ORR_REC_BEGUN, 0, NULL);
    orr_emit(run, ORR_EV_RUN_STARTED, ORR_NONE, NULL);
    orr_take_up(run, false);
    ORR_CHECKED(run->core);
    return ORR_OK;
}

/* May go on with what another process has begun. Nodes are settled in the usual way, and none may
 * start. */
void orr_refuse(orr_run *run, const orr_error *why) {
    run->deciding = true;
    orr_stop(run, ORR_STOP_CANCEL, why);
    orr_skip_cleanup(run, ORR_CANCEL_RUN);
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) orr_touch(run, node);
    run->deciding = false;
    orr_decide(run);
}
