/* fast_path.c - the fast path for nodes that have nothing but dependencies.
 *
 * Most nodes of a large graph wait for all their dependencies, run once and complete. What happens
 * then is defined by the general path (core.c, fold.c, settle.c, decide.c). This is the same,
 * written out for that case alone, at a third of the instructions. It is taken only while nobody
 * listens and no journal is kept, so there is nothing to report. spec/c/test_core_fast_path.c runs
 * both paths and compares their histories.
 */
#include "core/inner.h"

bool orr_takes_fast_path(const orr_run *run) {
    const orr_core *core = run->core;
    return run->plan->fast_path && run->mode == MODE_OPEN && run->concurrency == 0 && !run->paused &&
           run->layer_open == NULL && core->listen == 0 && core->hooks.record == NULL;
}

void orr_fast_path_start(orr_run *run, uint32_t t, orr_action *action) {
    orr_cell *cell = &run->cells[t];
    cell->flags = (uint8_t)((cell->flags & ~CELL_QUEUED) | CELL_LIVE);
    cell->state = ORR_NODE_RUNNING;
    cell->attempt = 1;
    run->queued--;
    run->live++;
    run->seq++;
    run->stats.by_state[ORR_NODE_READY]--;
    run->stats.by_state[ORR_NODE_RUNNING]++;
    run->stats.attempts++;
    if (++run->running > run->stats.peak_running) run->stats.peak_running = run->running;
    uint32_t next = run->line.head[orr_policy_of(run, t)->priority];
    *action = (orr_action){.kind = ORR_ACT_START,
                           .run = run,
                           .task = {t, ORR_NONE, 0, 1},
                           .next = next,
                           .later = next != ORR_NONE ? run->cells[next].next : ORR_NONE,
                           .seq = run->seq};
}

/* A dependency of `to` has completed: where it was the last one, and none failed, the node
 * stands in line. */
static void count(orr_run *run, uint32_t to) {
    orr_cell *cell = &run->cells[to];
    cell->completed++;
    if (--cell->pending > 0) return;
    if ((cell->flags & CELL_FAILED_DEP) != 0 || cell->state != ORR_NODE_PENDING) {
        orr_touch(run, to);
        return;
    }
    cell->state = ORR_NODE_READY;
    cell->flags |= CELL_QUEUED;
    run->queued++;
    run->stats.by_state[ORR_NODE_PENDING]--;
    run->stats.by_state[ORR_NODE_READY]++;
    orr_line_append(&run->core->ready, &run->line, (orr_priority)orr_policy_of(run, to)->priority, to);
}

void orr_fast_path_end(orr_run *run, uint32_t t) {
    const orr_plan *plan = run->plan;
    orr_cell *cell = &run->cells[t];
    cell->flags &= (uint8_t)~CELL_LIVE;
    cell->state = ORR_NODE_COMPLETED;
    run->live--;
    run->running--;
    run->open--;
    run->seq++;
    run->stats.by_state[ORR_NODE_RUNNING]--;
    run->stats.by_state[ORR_NODE_COMPLETED]++;
    for (uint32_t k = plan->out_first[t], end = plan->out_first[t + 1]; k < end; k++)
        count(run, plan->out_to[k]);
    if (run->touched_head != ORR_NONE) orr_decide(run);
    else if (run->open == 0) orr_run_check_end(run);
}
