/* recover.c - a run that was rebuilt from its journal goes on in this process; and how a run leaves one, or begins with a part of
 * another.
 *
 * A process may end between any two records, so what a live run does after one of them may not have been done. Nothing of that
 * is remembered as such: here it is found again from the state, by the functions that a live run uses. What a live run keeps
 * outside the fold is made anew:
 *   attempts under way    are cut off, and queue again under their number
 *   lines                 tasks that are ready queue again, in the order of their creation
 *   timers                of deadlines, backoffs, delays, the run and its cleanup nodes: from the times in the fold
 *   who is asked to stop  from the mode of the run, from `cancel_rest`, and from items of which too many failed
 *   failures              which of them are taken care of, and which was the first that is not
 *   edges and joins       edges that were not asked are; every node that is pending is considered
 *   places, tokens and breakers are of the process, and begin fresh with it
 */
#include "engine.h"

#include <stdio.h>

/* ---- failures ----------------------------------------------------------------------------------------------------------- */

static uint64_t failed_seq(const orr_run *run, uint32_t node)
{
    const orr_more *more = orr_more_of(run, node);
    return more != NULL ? more->failed_seq : UINT64_MAX;
}

void orr_first_failure(orr_run *run)
{
    uint32_t first = ORR_NONE;
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) {
        if (orr_settled_as(run, node) != ORR_NODE_FAILED || orr_policy_of(run, node)->ignore_errors)
            continue;
        if (orr_is_handled(run, node)) {
            run->cells[node].flags |= CELL_HANDLED;
            continue;
        }
        run->cells[node].flags &= (uint8_t)~CELL_HANDLED;
        if (first == ORR_NONE || failed_seq(run, node) < failed_seq(run, first))
            first = node;
    }
    run->failure_node = first;
    run->failed = first != ORR_NONE || run->cause == ORR_STOP_TIMEOUT || run->cause == ORR_STOP_STALL;
}

/* ---- memory, before anything is written --------------------------------------------------------------------------------- */

static bool is_live(const orr_run *run, uint32_t t)
{
    return (run->cells[t].flags & CELL_LIVE) != 0;
}

/* Whether the deadline of its attempts still counts. Those of items are counted from when they became ready. */
static int64_t deadline_of(const orr_run *run, uint32_t t)
{
    const orr_more *more = orr_more_of(run, t);
    if (orr_is_over(run, t) || (more != NULL && more->phase != ORR_PHASE_RUN))
        return 0;
    if (t < run->plan->n_nodes)
        return more != NULL && run->cells[t].state != ORR_NODE_PENDING ? more->deadline : 0;
    uint32_t node = orr_node_of(run, t);
    int64_t deadline = orr_policy_of(run, node)->deadline;
    return deadline > 0 ? orr_after(orr_more_of(run, node)->since, deadline) : 0;
}

static bool goes_on_at_a_time(const orr_run *run, uint32_t t)
{
    uint8_t state = run->cells[t].state;
    return state == ORR_NODE_WAITING || state == ORR_NODE_RETRYING;
}

static bool reserve(orr_run *run)
{
    uint32_t timers = 2; /* of the run and its cleanup nodes */
    for (uint32_t t = 0; t < run->n_cells; t++) {
        bool deadline = deadline_of(run, t) > 0;
        if ((deadline || is_live(run, t)) && orr_need_more(run, t) == NULL)
            return false;
        timers += (uint32_t)deadline + goes_on_at_a_time(run, t);
    }
    return orr_timers_reserve(&run->core->timers, timers) == ORR_OK;
}

/* ---- attempts that were under way ---------------------------------------------------------------------------------------- */

/* One that waited, or waited for its turn to go on, is not to blame for the end of the process. */
static bool ran(const orr_run *run, uint32_t t)
{
    if (run->cells[t].state == ORR_NODE_COMPENSATING)
        return run->undo->step == UNDO_LIVE;
    return run->cells[t].state == ORR_NODE_RUNNING;
}

static void interrupt(orr_run *run)
{
    for (uint32_t t = 0; t < run->n_cells && run->live > 0; t++) {
        if (!is_live(run, t))
            continue;
        orr_put_interrupted(run, t, ran(run, t) && !run->suspended);
        const orr_more *more = orr_more_of(run, t);
        orr_event e = {.due = -1, .count = more->crashes, .phase = more->phase};
        orr_emit(run, ORR_EV_NODE_INTERRUPTED, t, &e);
    }
    run->suspended = false;
}

/* An attempt that keeps ending its process would do so for ever. */
static void end_crash_loops(orr_run *run)
{
    char what[24], text[192];
    for (uint32_t t = 0; t < run->n_cells; t++) {
        const orr_more *more = orr_more_of(run, t);
        if (more == NULL || !more->interrupted || more->crashes < run->core->crash_limit)
            continue;
        bool undoes = run->cells[t].state != ORR_NODE_READY;
        snprintf(what, sizeof what, "attempt %u", run->cells[t].attempt);
        snprintf(text, sizeof text, "%s was cut off %u times by the end of its process: %s, and 'orrery resume --force' does not give it "
                 "up in the first place", undoes ? "undoing it" : what, more->crashes,
                 undoes ? "it is left to be undone by hand" : "'orrery retry' lets it try again");
        orr_error error = {"crash_loop", text, true, -1, 0};
        if (!undoes)
            orr_end_failed(run, t, &error);
        else if (t == orr_undo_task(run))
            orr_compensate_lost(run, t, &error);
    }
}

/* ---- what had been decided, but not done ---------------------------------------------------------------------------------- */

static void ask_edges(orr_run *run)
{
    for (uint32_t node = 0; node < run->plan->n_nodes && run->edge_done != NULL; node++)
        if (orr_is_over(run, node))
            orr_ask_edges(run, node);
}

static void check_failures(orr_run *run)
{
    orr_first_failure(run);
    if (run->failure_node != ORR_NONE)
        orr_unhandled(run, run->failure_node);
}

static void check_items(orr_run *run)
{
    for (uint32_t i = 0; i < run->n_expansions; i++)
        if (orr_more_of(run, run->expansions[i].node)->expanded) /* else it was set back, and will get another list */
            orr_check_items(run, run->expansions[i].node);
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) { /* a list without items is in no expansion */
        const orr_more *more = orr_more_of(run, node);
        if (more != NULL && more->expanded && more->n_items == 0)
            orr_check_items(run, node);
    }
}

/* A node that could do without the rest of its dependencies has begun, or has ended after it began. */
static bool has_begun(const orr_run *run, uint32_t node)
{
    orr_node_state state = orr_settled_as(run, node);
    return state != ORR_NODE_PENDING && state != ORR_NODE_SKIPPED && state != ORR_NODE_CANCELLED;
}

static void cancel_rests(orr_run *run)
{
    for (uint32_t node = 0; node < run->plan->n_nodes; node++)
        if (orr_policy_of(run, node)->cancel_rest && run->cells[node].pending > 0 && has_begun(run, node))
            orr_cancel_rest(run, node);
}

/* ---- lines and timers ------------------------------------------------------------------------------------------------------ */

static void arm(orr_run *run)
{
    orr_core *core = run->core;
    if (run->plan->timeout > 0 && !orr_compensating(run))
        orr_timer_on(core, &run->timeout_timer, orr_after(run->since, run->plan->timeout), run, 0, TIMER_RUN);
    for (uint32_t t = 0; t < run->n_cells; t++) {
        int64_t deadline = deadline_of(run, t);
        orr_more *more = orr_more_of(run, t);
        if (deadline == 0)
            continue;
        more->deadline = deadline;
        orr_timer_on(core, &more->deadline_timer, deadline, run, t, TIMER_DEADLINE);
    }
}

/* Ready tasks queue again; those that wait for a time go on when it comes, and at once when it has passed or they waited for
 * something that went with the process. */
static void line_up(orr_run *run)
{
    int64_t now = run->core->now;
    for (uint32_t t = 0; t < run->n_cells; t++) {
        orr_more *more = orr_more_of(run, t);
        bool expanded = more != NULL && more->expanded;
        if (run->cells[t].state == ORR_NODE_READY && !expanded && (run->cells[t].flags & CELL_QUEUED) == 0)
            orr_line_up(run, t);
        else if (goes_on_at_a_time(run, t) && more != NULL && more->due > now)
            orr_timer_on(run->core, &more->wake_timer, more->due, run, t, TIMER_WAKE);
        else if (goes_on_at_a_time(run, t))
            orr_wake(run, t);
    }
}

static void consider(orr_run *run)
{
    for (uint32_t node = 0; node < run->plan->n_nodes; node++)
        orr_touch(run, node);
}

/* What a live run drops when a node completes. */
static void drop_mores(orr_run *run)
{
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) {
        const orr_more *more = orr_more_of(run, node);
        if (more != NULL && !more->expanded && run->cells[node].state == ORR_NODE_COMPLETED)
            orr_drop_more(run, node);
    }
}

/* ---- going on --------------------------------------------------------------------------------------------------------------- */

static void go_on(orr_run *run, bool force)
{
    run->rebuilding = false;
    run->deciding = true; /* what follows is worked off once, at the end */
    orr_emit(run, ORR_EV_RUN_RECOVERED, ORR_NONE, NULL);
    interrupt(run);
    arm(run);
    ask_edges(run);
    check_failures(run);
    orr_stop_again(run);
    if (!force)
        end_crash_loops(run);
    check_items(run);
    cancel_rests(run);
    line_up(run);
    consider(run);
    drop_mores(run); /* when nobody asks about them any more */
    if (!orr_compensate_rearm(run))
        orr_compensate_lost(run, orr_undo_task(run), &orr_no_memory);
    run->deciding = false;
    orr_run_gate(run);
    orr_decide(run);
    orr_core_advance(run->core, run->core->now); /* what was due while no process was there */
}

orr_status orr_run_recover(orr_run *run, bool force)
{
    if (!run->rebuilding || run->ended || run->state != ORR_RUN_RUNNING)
        return ORR_ESTATE;
    if (!reserve(run))
        return ORR_ENOMEM;
    go_on(run, force);
    return ORR_OK;
}

orr_status orr_run_retry(orr_run *run)
{
    if (!run->rebuilding || !run->ended || (run->state != ORR_RUN_FAILED && run->state != ORR_RUN_CANCELLED))
        return ORR_ESTATE;
    orr_status status = orr_prepare_retry(run);
    if (status != ORR_OK)
        return status;
    orr_put_run(run, ORR_REC_RETRIED, 0, NULL);
    if (!reserve(run))
        return ORR_ENOMEM;
    go_on(run, false);
    return ORR_OK;
}

bool orr_run_again(const orr_run *run, const orr_task *task)
{
    uint32_t t = orr_index(run, task->node, task->item);
    const orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    return more != NULL && more->interrupted && run->cells[t].attempt == task->attempt && more->iteration == task->iteration;
}

/* ---- leaving, and taking over ------------------------------------------------------------------------------------------------ */

void orr_run_suspend(orr_run *run)
{
    if (run->ended || run->rebuilding || run->suspended)
        return;
    orr_put_run(run, ORR_REC_SUSPENDED, 0, NULL);
    orr_run_gate(run);
}

orr_status orr_run_adopt(orr_run *run, uint32_t node, uint16_t port, uint64_t value)
{
    const orr_plan *plan = run->plan;
    if (node >= plan->n_nodes || (port != ORR_PORT_ANY && port >= plan->n_ports))
        return ORR_EINVAL;
    if (run->state != ORR_RUN_PENDING || run->rebuilding || run->cells[node].state != ORR_NODE_PENDING)
        return ORR_ESTATE;
    run->rebuilding = true; /* nobody is told: it did not happen here */
    orr_put_completed(run, node, port, value, ORR_SOURCE_FORK);
    if (run->edge_done != NULL)
        orr_ask_edges(run, node);
    run->rebuilding = false;
    run->adopted = true;
    return ORR_OK;
}

orr_status orr_run_note(orr_run *run, orr_record_kind kind, const orr_task *task, int64_t due, uint64_t value, uint64_t *seq)
{
    uint32_t t = ORR_NONE;
    if (kind != ORR_REC_STEP && kind != ORR_REC_SIGNAL)
        return ORR_EINVAL;
    if ((kind == ORR_REC_STEP) != (task != NULL))
        return ORR_EINVAL;
    if (task != NULL && (run->rebuilding || (t = orr_current(run, task)) == ORR_NONE))
        return ORR_ESTATE;
    if (run->ended)
        return ORR_ESTATE;
    orr_put_note(run, kind, t, due, value);
    if (seq != NULL)
        *seq = run->seq;
    return ORR_OK;
}
