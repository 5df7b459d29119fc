/* decide.c - what follows from a change: which nodes become ready or are skipped, and when the
 * run is over. */
#include "core/inner.h"

#include <stdio.h>

/* ---- ready ----------------------------------------------------------------------------------- */

/* What the breaker wakes may overwrite the text of the error, so the error is used before the
 * breaker is notified. */
static void cannot_line_up(orr_run *run, uint32_t t, void (*end)(orr_run *, uint32_t, const orr_error *),
                           const orr_error *error) {
    orr_drop_attempt(run, t);
    end(run, t, error);
    orr_breaker_report(run, t, ORR_END_CANCELLED, NULL);
}

void orr_no_place(orr_run *run, uint32_t t, const orr_error *error) {
    cannot_line_up(run, t, orr_give_up, error);
}

void orr_hold_again(orr_run *run, uint32_t t) {
    orr_error error;
    if (!orr_pool_resolve(run, t, &error)) orr_no_place(run, t, &error);
    else if (orr_more_of(run, t)->pool != NULL && !orr_pool_take_back(run, t))
        cannot_line_up(run, t, orr_end_failed, &orr_no_memory);
}

void orr_line_up(orr_run *run, uint32_t t) {
    orr_error error;
    if (orr_needs_pool(run, t) && !orr_pool_resolve(run, t, &error))
        cannot_line_up(run, t, orr_give_up, &error);
    else if (!orr_enqueue(run, t)) cannot_line_up(run, t, orr_end_failed, &orr_no_memory);
}

/* The deadline counts from ready. False when out of memory. */
static bool set_deadline(orr_run *run, uint32_t t, int64_t deadline) {
    if (deadline <= 0) return true;
    orr_more *more = orr_need_more(run, t);
    if (more == NULL) return false;
    more->deadline = orr_after(orr_run_now(run), deadline);
    return orr_run_timer(run, &more->deadline_timer, more->deadline, t, TIMER_DEADLINE);
}

/* What has not begun does not begin any more in a run that stops, unless it cleans up. */
static bool gives_places(const orr_run *run, uint32_t node) {
    const orr_more *more = orr_more_of(run, node);
    if (more->items_idle == 0 || more->filling || more->cancel != ORR_CANCEL_NONE) return false;
    return run->mode == MODE_OPEN || (run->mode != MODE_SKIP && orr_is_cleanup(run, node));
}

static void give_place(orr_run *run, uint32_t item, const orr_policy *policy) {
    if (!set_deadline(run, item, policy->deadline)) {
        orr_end_failed(run, item, &orr_no_memory);
        return;
    }
    orr_put_ready(run, item);
    orr_line_up(run, item);
}

/* One that cannot line up ends at once, and its place goes to the next. What follows from that is
 * worked off by the caller. */
void orr_fill_places(orr_run *run, uint32_t node) {
    const orr_policy *policy = orr_policy_of(run, node);
    orr_more *more = orr_more_of(run, node);
    bool deciding = run->deciding;
    run->deciding = true;
    while (gives_places(run, node) && more->items_open - more->items_idle < policy->each_parallel) {
        while (run->cells[more->first_item + more->idle_at].state != ORR_NODE_PENDING) more->idle_at++;
        more->filling = true;
        give_place(run, more->first_item + more->idle_at, policy);
        more->filling = false;
    }
    run->deciding = deciding;
}

/* A node with `each` is asked for its list once, when it becomes ready; each item is then a task
 * of its own. */
static void expand(orr_run *run, uint32_t node) {
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
    if (policy->each_parallel > 0) {
        orr_fill_places(run, node);
        return;
    }
    uint32_t first = orr_more_of(run, node)->first_item;
    for (uint32_t t = first; t < first + answer.count; t++) {
        if (run->cells[t].state != ORR_NODE_READY)
            continue; /* the failure of an earlier one has ended the node */
        if (!set_deadline(run, t, policy->deadline)) orr_end_failed(run, t, &orr_no_memory);
        else orr_line_up(run, t);
    }
}

void orr_make_ready(orr_run *run, uint32_t t) {
    const orr_policy *policy = orr_policy_of(run, t);
    if (!policy->has_each && !set_deadline(run, t, policy->deadline)) {
        orr_end_failed(run, t, &orr_no_memory);
        return;
    }
    orr_put_ready(run, t);
    if (orr_listens(run->core, ORR_EV_NODE_READY)) orr_emit(run, ORR_EV_NODE_READY, t, NULL);
    if (policy->has_each) expand(run, t);
    else orr_line_up(run, t);
}

/* A task that waited, or whose backoff is over, queues again. */
void orr_wake(orr_run *run, uint32_t t) {
    orr_cell *cell = &run->cells[t];
    orr_more *more = orr_more_of(run, t);
    if (cell->state == ORR_NODE_COMPENSATING) {
        orr_compensate_call(run);
        return;
    }
    if (run->ended || more == NULL || (cell->state != ORR_NODE_WAITING && cell->state != ORR_NODE_RETRYING))
        return;
    bool live = (cell->flags & CELL_LIVE) != 0;
    if (live && more->cancel != ORR_CANCEL_NONE) return; /* it is being stopped */
    orr_timer_off(run->core, &more->wake_timer);
    more->resuming = live;
    orr_put_woken(run, t, ORR_NODE_READY);
    orr_line_up(run, t);
}

/* ---- the join has its answer ----------------------------------------------------------------- */

void orr_cancel_rest(orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++)
        orr_cancel_task(run, plan->in_from[k], ORR_CANCEL_REST);
}

/* `when` is asked once the join would let the node run. */
static bool wanted(orr_run *run, uint32_t node) {
    orr_ask ask = {ORR_ASK_WHEN, orr_task_of(run, node), 0};
    orr_answer answer = {0};
    if (!run->core->hooks.evaluate(run->core->hooks.ud, run, &ask, &answer)) {
        orr_end_failed(run, node, &answer.error);
        return false;
    }
    if (!answer.truth) orr_end_skipped(run, node, ORR_SKIP_WHEN, ORR_NONE);
    return answer.truth;
}

static void may_run(orr_run *run, uint32_t node) {
    const orr_policy *policy = orr_policy_of(run, node);
    if (run->mode == MODE_SKIP || (run->mode != MODE_OPEN && !orr_cleans_up(policy))) {
        orr_end_cancelled(run, node);
        return;
    }
    if (policy->has_when && !wanted(run, node)) return;
    orr_make_ready(run, node);
    if (policy->cancel_rest && run->cells[node].pending > 0) orr_cancel_rest(run, node);
}

void orr_consider(orr_run *run, uint32_t node) {
    uint32_t by;
    orr_skip_reason because;
    run->cells[node].flags &= (uint8_t)~CELL_TOUCHED;
    if (run->cells[node].state != ORR_NODE_PENDING) return;
    const orr_more *more = orr_more_of(run, node);
    if (more != NULL && more->failure != NULL) {
        orr_error error = more->failure->error; /* of orr_mark_to_fail */
        orr_end_failed(run, node, &error);
        return;
    }
    switch (orr_join_verdict(run, node)) {
    case VERDICT_RUN: may_run(run, node); break;
    case VERDICT_SKIP:
        because = orr_skip_because(run, node, &by);
        orr_end_skipped(run, node, because, by);
        break;
    default:
        if ((run->cells[node].flags & CELL_GATE_SHUT) == 0 &&
            ((run->cells[node].flags & CELL_EARLY) == 0 || orr_join_reachable(run, node)))
            break;
        /* it is no candidate any more, and its join cannot be decided early */
        run->cells[node].flags &= (uint8_t)~CELL_EARLY;
        orr_recheck_failures(run, node);
        break;
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

orr_run_state orr_end_state(const orr_run *run) {
    if (run->cause == ORR_STOP_CANCEL) return ORR_RUN_CANCELLED;
    return run->failed || run->cause != ORR_STOP_NONE ? ORR_RUN_FAILED : ORR_RUN_COMPLETED;
}

static const orr_event_kind end_events[ORR_RUN_STATE_COUNT] = {
    [ORR_RUN_COMPLETED] = ORR_EV_RUN_COMPLETED,
    [ORR_RUN_FAILED] = ORR_EV_RUN_FAILED,
    [ORR_RUN_CANCELLED] = ORR_EV_RUN_CANCELLED,
    [ORR_RUN_COMPENSATED] = ORR_EV_RUN_COMPENSATED,
    [ORR_RUN_COMPENSATION_FAILED] = ORR_EV_RUN_COMPENSATION_FAILED,
};

void orr_run_check_end(orr_run *run) {
    orr_core *core = run->core;
    if (run->open > 0 || run->ended || orr_compensate_progress(run, true)) return;
    orr_run_state state = orr_end_state(run);
    orr_error error;
    bool because = state == ORR_RUN_CANCELLED && run->failure != NULL;
    bool with_error = because ||
                      (state == ORR_RUN_FAILED && (run->failure != NULL || run->failure_node != ORR_NONE));
    if (with_error) orr_run_failure(run, &error);
    if (orr_compensating(run)) state = run->undo->failed ? ORR_RUN_COMPENSATION_FAILED : ORR_RUN_COMPENSATED;
    orr_put_run(run, ORR_REC_RUN_ENDED, (uint8_t)state, with_error ? &error : NULL);
    orr_timer_off(core, &run->timeout_timer);
    orr_timer_off(core, &run->cleanup_timer);
    orr_event e = {.error = with_error ? &error : NULL, .due = -1, .reason = run->cause};
    orr_emit(run, end_events[state], ORR_NONE, &e);
    run->end_next = NULL;
    if (core->end_tail != NULL) core->end_tail->end_next = run;
    else core->end_head = run;
    core->end_tail = run;
}

/* A broken invariant (ORR_INVARIANT) ends the run with an error that asks the user to report it. */
static void check_illegal(orr_run *run) {
    char text[256];
    if (!run->illegal) return;
    snprintf(text, sizeof text, "%s; please report it with the workflow", run->broken);
    orr_error error = {"internal_error", text, true, -1, 0};
    run->illegal = false;
    run->failed = true;
    orr_stop(run, ORR_STOP_STALL, &error);
}

/* Works off all nodes whose dependencies changed, in the order in which they did, until nothing
 * follows any more. Calls from within only add to the list: the outermost one works it off, so
 * that a chain of a million skipped nodes takes no stack. */
void orr_decide(orr_run *run) {
    if (run->deciding || run->state != ORR_RUN_RUNNING) return;
    if (run->awaited_by != NULL) run->core->pools_stuck = false; /* it may have been the last that went on */
    run->deciding = true;
    while (run->touched_head != ORR_NONE) {
        uint32_t node = run->touched_head;
        run->touched_head = run->cells[node].next;
        if (run->touched_head == ORR_NONE) run->touched_tail = ORR_NONE;
        orr_consider(run, node);
    }
    check_illegal(run);
    orr_stop_progress(run);
    run->deciding = false;
    if (run->touched_head != ORR_NONE) orr_decide(run);
    else orr_run_check_end(run);
    if (run->ended || run->open == 0 || run->live > 0 || run->timed > 0 || orr_undo_task(run) != ORR_NONE)
        return;
    if (run->queued == 0) orr_stalled(run);
    else run->core->pools_stuck = false; /* what is left may all stand in pools without places */
}
