/* decide.c - what follows from a change: which nodes become ready or are skipped, and when the run is over. */
#include "engine.h"

/* ---- ready ---------------------------------------------------------------------------------------------------------- */

void orr_line_up(orr_run *run, uint32_t t)
{
    orr_error error;
    if (orr_needs_pool(run, t) && !orr_pool_resolve(run, t, &error)) {
        orr_give_up(run, t, &error);
        return;
    }
    if (!orr_enqueue(run, t))
        orr_end_failed(run, t, &orr_no_memory);
}

/* The deadline counts from ready. False when out of memory. */
static bool set_deadline(orr_run *run, uint32_t t, int64_t deadline)
{
    if (deadline <= 0)
        return true;
    orr_more *more = orr_need_more(run, t);
    if (more == NULL)
        return false;
    more->deadline = orr_from_now(run->core, deadline);
    return orr_timer_on(run->core, &more->deadline_timer, more->deadline, run, t, TIMER_DEADLINE);
}

/* A node with `each` is asked for its list once, when it becomes ready; each item is then a task of its own. */
static void expand(orr_run *run, uint32_t node)
{
    const orr_policy *policy = orr_policy_of(run, node);
    orr_ask ask = {ORR_ASK_EACH, orr_task_of(run, node), 0};
    orr_answer answer = {0};
    if (!run->core->hooks.evaluate(run->core->hooks.ud, run, &ask, &answer)) {
        orr_end_failed(run, node, &answer.error);
        return;
    }
    if (orr_put_expanded(run, node, answer.count, answer.value) != ORR_OK) {
        orr_end_failed(run, node, &orr_no_memory);
        return;
    }
    orr_event e = {.count = answer.count, .due = -1};
    orr_emit(run, ORR_EV_NODE_EXPANDED, node, &e);
    if (answer.count == 0) {
        orr_end_completed(run, node, ORR_PORT_ANY, answer.value, ORR_SOURCE_RUN);
        return;
    }
    uint32_t first = orr_more_of(run, node)->first_item;
    for (uint32_t t = first; t < first + answer.count; t++) {
        if (run->cells[t].state != ORR_NODE_READY)
            continue; /* the failure of an earlier one has ended the node */
        if (!set_deadline(run, t, policy->deadline))
            orr_end_failed(run, t, &orr_no_memory);
        else
            orr_line_up(run, t);
    }
}

void orr_make_ready(orr_run *run, uint32_t t)
{
    const orr_policy *policy = orr_policy_of(run, t);
    if (!policy->has_each && !set_deadline(run, t, policy->deadline)) {
        orr_end_failed(run, t, &orr_no_memory);
        return;
    }
    orr_put_ready(run, t);
    if (orr_listens(run->core, ORR_EV_NODE_READY))
        orr_emit(run, ORR_EV_NODE_READY, t, NULL);
    if (policy->has_each)
        expand(run, t);
    else
        orr_line_up(run, t);
}

/* A task that waited, or whose backoff is over, queues again. */
void orr_wake(orr_run *run, uint32_t t)
{
    orr_cell *cell = &run->cells[t];
    orr_more *more = orr_more_of(run, t);
    if (cell->state == ORR_NODE_COMPENSATING) {
        orr_compensate_call(run);
        return;
    }
    if (run->ended || more == NULL || (cell->state != ORR_NODE_WAITING && cell->state != ORR_NODE_RETRYING))
        return;
    bool live = (cell->flags & CELL_LIVE) != 0;
    if (live && more->cancel != ORR_CANCEL_NONE)
        return; /* it is being unwound */
    orr_timer_off(run->core, &more->wake_timer);
    more->resuming = live;
    orr_put_woken(run, t, ORR_NODE_READY);
    orr_line_up(run, t);
}

/* ---- the join has its answer -------------------------------------------------------------------------------------- */

void orr_cancel_rest(orr_run *run, uint32_t node)
{
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++)
        orr_cancel_task(run, plan->in_from[k], ORR_CANCEL_REST);
}

/* `when` is asked once the join would let the node run. */
static bool wanted(orr_run *run, uint32_t node)
{
    orr_ask ask = {ORR_ASK_WHEN, orr_task_of(run, node), 0};
    orr_answer answer = {0};
    if (!run->core->hooks.evaluate(run->core->hooks.ud, run, &ask, &answer)) {
        orr_end_failed(run, node, &answer.error);
        return false;
    }
    if (!answer.truth)
        orr_end_skipped(run, node, ORR_SKIP_WHEN, ORR_NONE);
    return answer.truth;
}

static void may_run(orr_run *run, uint32_t node)
{
    const orr_policy *policy = orr_policy_of(run, node);
    bool cleanup = policy->join == ORR_JOIN_DONE;
    if (run->mode == MODE_SKIP || (run->mode != MODE_OPEN && !cleanup)) {
        orr_end_cancelled(run, node);
        return;
    }
    if (policy->has_when && !wanted(run, node))
        return;
    orr_make_ready(run, node);
    if (policy->cancel_rest && run->cells[node].pending > 0)
        orr_cancel_rest(run, node);
}

void orr_consider(orr_run *run, uint32_t node)
{
    uint32_t by;
    run->cells[node].flags &= (uint8_t)~CELL_TOUCHED;
    if (run->cells[node].state != ORR_NODE_PENDING)
        return;
    const orr_more *more = orr_more_of(run, node);
    if (more != NULL && more->failure != NULL) {
        orr_error error = more->failure->error; /* orr_doom */
        orr_end_failed(run, node, &error);
        return;
    }
    switch (orr_join_verdict(run, node, &by)) {
    case VERDICT_RUN:
        may_run(run, node);
        break;
    case VERDICT_SKIP:
        orr_end_skipped(run, node, ORR_SKIP_UPSTREAM, by);
        break;
    case VERDICT_GATE:
        orr_end_skipped(run, node, ORR_SKIP_OUTCOME, by);
        break;
    default:
        if ((run->cells[node].flags & CELL_GATE_SHUT) == 0 &&
            ((run->cells[node].flags & CELL_EARLY) == 0 || orr_join_reachable(run, node)))
            break;
        /* it can no longer take care of what failed before it; nor can anything come early of it */
        run->cells[node].flags &= (uint8_t)~CELL_EARLY;
        orr_recheck_failures(run, node);
        break;
    }
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

orr_run_state orr_end_state(const orr_run *run)
{
    if (run->cause == ORR_STOP_CANCEL)
        return ORR_RUN_CANCELLED;
    return run->failed || run->cause != ORR_STOP_NONE ? ORR_RUN_FAILED : ORR_RUN_COMPLETED;
}

static const orr_event_kind end_events[ORR_RUN_STATE_COUNT] = {
    [ORR_RUN_COMPLETED] = ORR_EV_RUN_COMPLETED,
    [ORR_RUN_FAILED] = ORR_EV_RUN_FAILED,
    [ORR_RUN_CANCELLED] = ORR_EV_RUN_CANCELLED,
    [ORR_RUN_COMPENSATED] = ORR_EV_RUN_COMPENSATED,
    [ORR_RUN_COMPENSATION_FAILED] = ORR_EV_RUN_COMPENSATION_FAILED,
};

void orr_run_check_end(orr_run *run)
{
    orr_core *core = run->core;
    if (run->open > 0 || run->ended || orr_compensate_progress(run, true))
        return;
    if (run->failure_node != ORR_NONE)
        orr_first_failure(run); /* of all that are known by now, as a later process would find it */
    orr_run_state state = orr_end_state(run);
    orr_error error;
    bool with_error = state == ORR_RUN_FAILED && (run->failure != NULL || run->failure_node != ORR_NONE);
    if (with_error)
        orr_run_failure(run, &error);
    if (orr_compensating(run))
        state = run->undo->failed ? ORR_RUN_COMPENSATION_FAILED : ORR_RUN_COMPENSATED;
    orr_put_run(run, ORR_REC_RUN_ENDED, (uint8_t)state, with_error ? &error : NULL);
    orr_timer_off(core, &run->timeout_timer);
    orr_timer_off(core, &run->cleanup_timer);
    orr_event e = {.error = with_error ? &error : NULL, .due = -1, .reason = run->cause};
    orr_emit(run, end_events[state], ORR_NONE, &e);
    run->end_next = NULL;
    if (core->end_tail != NULL)
        core->end_tail->end_next = run;
    else
        core->end_head = run;
    core->end_tail = run;
}

/* An illegal transition is a bug of ours. Release builds end the run with an error that asks to be told. */
static void check_illegal(orr_run *run)
{
    static const orr_error error = {"internal_error", "the engine made a transition that its table does not have; please "
                                    "report it with the workflow", true, -1, 0};
    if (!run->illegal)
        return;
    run->illegal = false;
    run->failed = true;
    orr_stop(run, ORR_STOP_STALL, &error);
}

/* Works off all nodes whose dependencies changed, in the order in which they did, until nothing follows any more. Calls
 * from within only add to the list: the outermost one works it off, so that a chain of a million skipped nodes takes no
 * stack. */
void orr_decide(orr_run *run)
{
    if (run->deciding || run->state != ORR_RUN_RUNNING)
        return;
    run->deciding = true;
    while (run->touched_head != ORR_NONE) {
        uint32_t node = run->touched_head;
        run->touched_head = run->cells[node].next;
        if (run->touched_head == ORR_NONE)
            run->touched_tail = ORR_NONE;
        orr_consider(run, node);
    }
    check_illegal(run);
    orr_stop_progress(run);
    run->deciding = false;
    if (run->touched_head != ORR_NONE)
        orr_decide(run);
    else
        orr_run_check_end(run);
    if (!run->ended && run->open > 0 && run->live == 0 && run->queued == 0 && run->timed == 0 &&
        orr_undo_task(run) == ORR_NONE)
        orr_stalled(run);
}
