/* recover.c - a run that was rebuilt from its journal goes on in this process; and how a run leaves
 * one, or begins with a part of another.
 *
 * A process may end between any two records, so what a live run does after one of them may not have
 * been done. Nothing of that is remembered as such: here it is found again from the state, by the
 * functions that a live run uses. What a live run keeps outside the fold is made anew:
 *   attempts under way    are cut off, and queue again under their number
 *   lines                 tasks that are ready queue again, in the order of their creation
 *   timers                of deadlines, backoffs, delays, the run and its cleanup nodes: from the
 *                         times in the fold
 *   who is asked to stop  from the mode of the run, from `cancel_rest`, and from items of which too
 *                         many failed
 *   failures              which of them are taken care of, and which was the first that is not
 *   edges and joins       edges that were not asked are; every node that is pending is considered
 *   places that tasks keep  a task with `hold` that has begun and not settled has its place again
 *   other places, tokens and breakers are of the process, and begin fresh with it
 */
#include "core/inner.h"

#include <stdio.h>

/* ---- failures -------------------------------------------------------------------------------- */

static uint64_t failed_seq(const orr_run *run, uint32_t node) {
    const orr_more *more = orr_more_of(run, node);
    return more != NULL ? more->failed_seq : UINT64_MAX;
}

bool orr_failed_before(const orr_run *run, uint32_t a, uint32_t b) {
    return b == ORR_NONE || failed_seq(run, a) < failed_seq(run, b);
}

/* Looks on from the candidate that was known, so that a failure with many of them is not read
 * through for each that drops out. */
bool orr_find_candidate(orr_run *run, uint32_t node) {
    orr_cell *cell = &run->cells[node];
    orr_more *more = orr_more_of(run, node);
    bool known = (cell->flags & CELL_HANDLED) != 0 && more != NULL;
    uint32_t k = orr_candidate(run, node, known ? more->care : 0);
    cell->flags &= (uint8_t)~CELL_HANDLED;
    if (k == UINT32_MAX) return false;
    if (more != NULL) more->care = k;
    cell->flags |= CELL_HANDLED;
    return true;
}

static bool is_unhandled(orr_run *run, uint32_t node) {
    return orr_settled_as(run, node) == ORR_NODE_FAILED && !orr_policy_of(run, node)->ignore_errors &&
           !orr_find_candidate(run, node);
}

void orr_first_failure(orr_run *run) {
    uint32_t first = ORR_NONE;
    for (uint32_t node = 0; node < run->plan->n_nodes; node++)
        if (is_unhandled(run, node) && orr_failed_before(run, node, first)) first = node;
    run->failure_node = first;
    run->failed = first != ORR_NONE || run->cause == ORR_STOP_TIMEOUT || run->cause == ORR_STOP_STALL;
}

/* ---- memory, before anything is written ------------------------------------------------------ */

static bool is_live(const orr_run *run, uint32_t t) {
    return (run->cells[t].flags & CELL_LIVE) != 0;
}

/* Whether the deadline of its attempts still counts. Those of items are counted from when they
 * became ready. */
static int64_t deadline_of(const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    if (orr_is_over(run, t) || (more != NULL && more->phase != ORR_PHASE_RUN)) return 0;
    if (t < run->plan->n_nodes)
        return more != NULL && run->cells[t].state != ORR_NODE_PENDING ? more->deadline : 0;
    uint32_t node = orr_node_of(run, t);
    const orr_policy *policy = orr_policy_of(run, node);
    if (policy->each_parallel > 0) return more != NULL ? more->deadline : 0; /* from its own place on */
    int64_t deadline = policy->deadline;
    return deadline > 0 ? orr_after(orr_more_of(run, node)->since, deadline) : 0;
}

static bool goes_on_at_a_time(const orr_run *run, uint32_t t) {
    uint8_t state = run->cells[t].state;
    return state == ORR_NODE_WAITING || state == ORR_NODE_RETRYING;
}

bool orr_reserve(orr_run *run) {
    uint32_t timers = 2; /* of the run and its cleanup nodes */
    for (uint32_t t = 0; t < run->n_cells; t++) {
        bool deadline = deadline_of(run, t) > 0;
        if ((deadline || is_live(run, t)) && orr_need_more(run, t) == NULL) return false;
        timers += (uint32_t)deadline + goes_on_at_a_time(run, t);
    }
    return orr_timers_reserve(&run->core->timers, timers) == ORR_OK;
}

/* ---- attempts that were under way ------------------------------------------------------------ */

/* One that waited, or waited for its turn to go on, is not to blame for the end of the process. */
static bool ran(const orr_run *run, uint32_t t) {
    if (run->cells[t].state == ORR_NODE_COMPENSATING) return run->undo->step == UNDO_LIVE;
    return run->cells[t].state == ORR_NODE_RUNNING;
}

static void interrupt(orr_run *run) {
    for (uint32_t t = 0; t < run->n_cells && run->live > 0; t++) {
        if (!is_live(run, t)) continue;
        orr_put_interrupted(run, t, ran(run, t) && !run->suspended);
        const orr_more *more = orr_more_of(run, t);
        orr_event e = {.due = -1, .count = more->crashes, .phase = more->phase};
        orr_emit(run, ORR_EV_NODE_INTERRUPTED, t, &e);
    }
    run->suspended = false;
}

/* An attempt that keeps ending its process would do so for ever. */
static void end_crash_loops(orr_run *run) {
    char what[24], text[192];
    for (uint32_t t = 0; t < run->n_cells; t++) {
        const orr_more *more = orr_more_of(run, t);
        if (more == NULL || !more->interrupted || more->crashes < run->core->crash_limit) continue;
        bool undoes = run->cells[t].state != ORR_NODE_READY;
        snprintf(what, sizeof what, "attempt %u", run->cells[t].attempt);
        snprintf(text, sizeof text,
                 "%s was cut off %u times by the end of its process: %s, and 'orrery resume --force' does "
                 "not give it "
                 "up in the first place",
                 undoes ? "undoing it" : what, more->crashes,
                 undoes ? "it is left to be undone by hand" : "'orrery retry' lets it try again");
        orr_error error = {"crash_loop", text, true, -1, 0};
        if (!undoes) orr_end_failed(run, t, &error);
        else if (t == orr_undo_task(run)) orr_compensate_lost(run, t, &error);
    }
}

/* ---- what had been decided, but not done ----------------------------------------------------- */

static void ask_edges(orr_run *run) {
    for (uint32_t node = 0; node < run->plan->n_nodes && run->edge_done != NULL; node++)
        if (orr_is_over(run, node)) orr_ask_edges(run, node);
}

/* One that stops a run that continues after others need not be the first. */
static void check_failures(orr_run *run) {
    orr_first_failure(run);
    if (run->failure_node != ORR_NONE) orr_unhandled(run, run->failure_node);
    if (run->failure_node == ORR_NONE || run->mode != MODE_OPEN) return;
    for (uint32_t node = 0; node < run->plan->n_nodes && run->mode == MODE_OPEN; node++)
        if (orr_policy_of(run, node)->stops && is_unhandled(run, node)) orr_unhandled(run, node);
}

static void check_items(orr_run *run) {
    for (uint32_t i = 0; i < run->n_expansions; i++) /* else it was set back, and will get another list */
        if (orr_more_of(run, run->expansions[i].node)->expanded)
            orr_check_items(run, run->expansions[i].node);
    /* a list without items is in no expansion */
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) {
        const orr_more *more = orr_more_of(run, node);
        if (more != NULL && more->expanded && more->n_items == 0) orr_check_items(run, node);
    }
}

/* A node that could do without the rest of its dependencies has begun, or has ended after it
 * began. */
static bool has_begun(const orr_run *run, uint32_t node) {
    orr_node_state state = orr_settled_as(run, node);
    return state != ORR_NODE_PENDING && state != ORR_NODE_SKIPPED && state != ORR_NODE_CANCELLED;
}

static void cancel_rests(orr_run *run) {
    for (uint32_t node = 0; node < run->plan->n_nodes; node++)
        if (orr_policy_of(run, node)->cancel_rest && run->cells[node].pending > 0 && has_begun(run, node))
            orr_cancel_rest(run, node);
}

/* ---- places ---------------------------------------------------------------------------------- */

/* That it has begun and not settled says that it held its place: no record has to. */
static void hold_again(orr_run *run) {
    for (uint32_t t = 0; t < run->n_cells; t++) {
        uint8_t state = run->cells[t].state;
        const orr_more *more = orr_more_of(run, t);
        bool goes_on = state == ORR_NODE_READY || goes_on_at_a_time(run, t);
        if (goes_on && more != NULL && orr_policy_of(run, orr_node_of(run, t))->pool_hold &&
            orr_has_begun(run, t))
            orr_hold_again(run, t);
    }
}

/* ---- lines and timers ------------------------------------------------------------------------ */

static void arm(orr_run *run) {
    if (run->plan->timeout > 0 && !orr_compensating(run))
        orr_run_timer(run, &run->timeout_timer, orr_after(run->since, run->plan->timeout), 0, TIMER_RUN);
    for (uint32_t t = 0; t < run->n_cells; t++) {
        int64_t deadline = deadline_of(run, t);
        orr_more *more = orr_more_of(run, t);
        if (deadline == 0) continue;
        more->deadline = deadline;
        orr_run_timer(run, &more->deadline_timer, deadline, t, TIMER_DEADLINE);
    }
}

/* Ready tasks queue again; those that wait for a time go on when it comes, and at once when it
 * has passed or they waited for something that went with the process. */
static void line_up(orr_run *run) {
    int64_t now = orr_run_now(run);
    for (uint32_t t = 0; t < run->n_cells; t++) {
        orr_more *more = orr_more_of(run, t);
        bool expanded = more != NULL && more->expanded;
        if (run->cells[t].state == ORR_NODE_READY && !expanded && (run->cells[t].flags & CELL_QUEUED) == 0)
            orr_line_up(run, t);
        else if (goes_on_at_a_time(run, t) && more != NULL && more->due > now)
            orr_run_timer(run, &more->wake_timer, more->due, t, TIMER_WAKE);
        else if (goes_on_at_a_time(run, t)) orr_wake(run, t);
    }
}

static void consider(orr_run *run) {
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) orr_touch(run, node);
}

/* What a live run drops when a node completes. */
static void drop_mores(orr_run *run) {
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) {
        const orr_more *more = orr_more_of(run, node);
        if (more != NULL && !more->expanded && run->cells[node].state == ORR_NODE_COMPLETED)
            orr_drop_more(run, node);
    }
}

/* ---- going on -------------------------------------------------------------------------------- */

void orr_take_up(orr_run *run, bool force) {
    run->deciding = true; /* what follows is worked off once, at the end */
    interrupt(run);
    arm(run);
    ask_edges(run);
    check_failures(run);
    orr_stop_again(run);
    if (!force) end_crash_loops(run);
    check_items(run);
    cancel_rests(run);
    hold_again(run);
    line_up(run);
    consider(run);
    drop_mores(run); /* when nobody asks about them any more */
    if (!orr_compensate_rearm(run)) orr_compensate_lost(run, orr_undo_task(run), &orr_no_memory);
    run->deciding = false;
    orr_run_gate(run);
    orr_decide(run);
    orr_core_advance(run->core, run->core->now); /* what was due while no process was there */
}

/* One that waits goes on doing so, unless it was being cancelled. */
static void go_on(orr_run *run, bool force) {
    run->rebuilding = false;
    orr_emit(run, ORR_EV_RUN_RECOVERED, ORR_NONE, NULL);
    if (!run->waits) orr_take_up(run, force);
    else run->suspended = false;
    if (run->waits && run->mode != MODE_OPEN) orr_refuse(run, NULL);
}

orr_status orr_run_recover(orr_run *run, bool force) {
    if (!run->rebuilding || run->ended || run->state != ORR_RUN_RUNNING) return ORR_ESTATE;
    if (!orr_reserve(run)) return ORR_ENOMEM;
    go_on(run, force);
    ORR_CHECKED(run->core);
    return ORR_OK;
}

bool orr_may_retry(const orr_run *run, bool items) {
    return run->state == ORR_RUN_FAILED || run->state == ORR_RUN_CANCELLED ||
           (items && run->state == ORR_RUN_COMPLETED);
}

orr_status orr_run_retry(orr_run *run, bool items, bool waits) {
    if (!run->rebuilding || !run->ended || !orr_may_retry(run, items)) return ORR_ESTATE;
    orr_status status = orr_prepare_retry(run, items);
    if (status != ORR_OK) return status;
    orr_put_run(run, ORR_REC_RETRIED,
                (uint8_t)((items ? ORR_RETRIED_ITEMS : 0) | (waits ? ORR_RETRIED_WAITS : 0)), NULL);
    if (!orr_reserve(run)) return ORR_ENOMEM;
    go_on(run, false);
    ORR_CHECKED(run->core);
    return ORR_OK;
}

bool orr_run_again(const orr_run *run, const orr_task *task) {
    uint32_t t = orr_index(run, task->node, task->item);
    const orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    return more != NULL && more->interrupted && run->cells[t].attempt == task->attempt &&
           more->iteration == task->iteration;
}

/* ---- leaving, and taking over ---------------------------------------------------------------- */

void orr_run_suspend(orr_run *run) {
    if (run->ended || run->rebuilding || run->suspended) return;
    orr_put_run(run, ORR_REC_SUSPENDED, 0, NULL);
    orr_run_gate(run);
    ORR_CHECKED(run->core);
}

orr_status orr_run_adopt(orr_run *run, uint32_t node, uint16_t port, uint64_t value) {
    const orr_plan *plan = run->plan;
    if (node >= plan->n_nodes || (port != ORR_PORT_ANY && port >= plan->n_ports)) return ORR_EINVAL;
    if (run->state != ORR_RUN_PENDING || run->rebuilding || run->cells[node].state != ORR_NODE_PENDING)
        return ORR_ESTATE;
    run->rebuilding = true; /* nobody is notified: it did not happen here */
    orr_put_completed(run, node, port, value, ORR_SOURCE_FORK);
    if (run->edge_done != NULL) orr_ask_edges(run, node);
    run->rebuilding = false;
    run->adopted = true;
    ORR_CHECKED(run->core);
    return ORR_OK;
}

orr_status orr_run_note(orr_run *run, orr_record_kind kind, const orr_task *task, int64_t due, uint64_t value,
                        uint64_t *seq) {
    uint32_t t = ORR_NONE;
    if (kind != ORR_REC_STEP && kind != ORR_REC_SIGNAL) return ORR_EINVAL;
    if ((kind == ORR_REC_STEP) != (task != NULL)) return ORR_EINVAL;
    if (task != NULL && (run->rebuilding || (t = orr_current(run, task)) == ORR_NONE)) return ORR_ESTATE;
    if (run->ended) return ORR_ESTATE;
    orr_put_note(run, kind, t, due, value);
    if (seq != NULL) *seq = run->seq;
    return ORR_OK;
}
