/* settle.c - how attempts and tasks end: another attempt, a fallback, an iteration more, or a
 * settled node. */
#include "core/inner.h"

#include <stdio.h>
#include <string.h>

/* ---- after a task has settled ---------------------------------------------------------------- */

/* Edges with a `when` are asked as soon as their source has settled; one of an outcome only
 * where that was taken. A dependent whose edge cannot be evaluated fails when its turn comes,
 * not here: edges may be in a row by the million. */
void orr_ask_edges(orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->out_first[node]; k < plan->out_first[node + 1]; k++) {
        uint32_t edge = plan->out_edge[k], to = plan->out_to[k];
        uint8_t known = run->edge_done[edge];
        if (plan->edge_when[edge] == 0 || (known != EDGE_OPEN && known != EDGE_PASSED_BY)) continue;
        if (known == EDGE_PASSED_BY) {
            orr_put_edge(run, node, to, edge, false);
            continue;
        }
        orr_ask ask = {ORR_ASK_EDGE_WHEN, orr_task_of(run, node), edge};
        orr_answer answer = {0};
        bool answered = run->core->hooks.evaluate(run->core->hooks.ud, run, &ask, &answer);
        if (answered || run->cells[to].state != ORR_NODE_PENDING || !orr_mark_to_fail(run, to, &answer.error))
            orr_put_edge(run, node, to, edge, answered && answer.truth);
        else /* no record: what it would have counted for fails with the next one */
            run->edge_done[edge] = EDGE_BROKEN;
    }
}

/* A candidate may have dropped out: is there another for the failures before it? */
void orr_recheck_failures(orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        uint32_t from = plan->in_from[k];
        if ((run->cells[from].flags & CELL_HANDLED) != 0 && !orr_find_candidate(run, from))
            orr_unhandled(run, from);
    }
}

static void after_failure(orr_run *run, uint32_t node) {
    if (!orr_policy_of(run, node)->ignore_errors && !orr_find_candidate(run, node)) orr_unhandled(run, node);
}

/* Whether it could have been a candidate. */
static bool drops_out(const orr_run *run, uint32_t node) {
    uint8_t join = orr_policy_of(run, node)->join;
    return run->cells[node].state != ORR_NODE_COMPLETED &&
           (join == ORR_JOIN_FAILED || join == ORR_JOIN_ANY || join == ORR_JOIN_NEED);
}

static uint32_t allowed_failures(const orr_run *run, uint32_t node, uint32_t items) {
    const orr_policy *policy = orr_policy_of(run, node);
    double allowed = policy->failures_percent ? (double)items * policy->each_failures / 100
                                              : policy->each_failures;
    return allowed >= (double)items ? items : (uint32_t)allowed;
}

static void end_expanded(orr_run *run, uint32_t node, uint32_t allowed) {
    const orr_more *more = orr_more_of(run, node);
    if (more->items_failed <= allowed) {
        if (more->items_cancelled > 0) orr_end_cancelled(run, node);
        else orr_end_completed(run, node, ORR_PORT_ANY, 0, ORR_SOURCE_RUN);
        return;
    }
    uint32_t first = 0;
    while (run->cells[more->first_item + first].state != ORR_NODE_FAILED) first++;
    orr_error item = orr_no_memory;
    orr_run_error(run, node, first, &item);
    char text[512];
    snprintf(text, sizeof text, "%u of %u items failed, %u may; the first is item %u: %s", more->items_failed,
             more->n_items, allowed, first + 1, item.message);
    orr_error error = {"each_failed", text, true, -1, item.value};
    orr_end_failed(run, node, &error);
}

/* More items have failed than may. What follows from their cancels is worked off by the caller,
 * once all are asked; the last one to end comes to orr_check_items again. */
static void cancel_items(orr_run *run, uint32_t node, bool begun_too) {
    orr_more *more = orr_more_of(run, node);
    bool deciding = run->deciding;
    run->deciding = true;
    more->cancel = ORR_CANCEL_REST;
    for (uint32_t i = more->first_item, n = i + more->n_items; i < n; i++)
        if (begun_too || orr_not_begun(run, i)) orr_cancel_task(run, i, ORR_CANCEL_REST);
    run->deciding = deciding;
}

void orr_check_items(orr_run *run, uint32_t node) {
    const orr_more *more = orr_more_of(run, node);
    uint32_t allowed = allowed_failures(run, node, more->n_items);
    uint8_t on_failure = orr_policy_of(run, node)->each_on_failure;
    bool acts = more->items_failed > allowed && on_failure != ORR_EACH_CONTINUE;
    if (orr_is_over(run, node)) return;
    if (more->items_open == 0) end_expanded(run, node, allowed);
    else if (acts && more->cancel == ORR_CANCEL_NONE) cancel_items(run, node, on_failure == ORR_EACH_STOP);
    else if (!acts) orr_fill_places(run, node);
}

static void after(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    uint8_t state = run->cells[t].state;
    if (more != NULL) {
        orr_release(run, t);
        orr_clear_timers(run, t);
    }
    if (t >= run->plan->n_nodes) {
        orr_check_items(run, orr_node_of(run, t));
    } else {
        if (run->edge_done != NULL) orr_ask_edges(run, t);
        if (state == ORR_NODE_FAILED) after_failure(run, t);
        if (drops_out(run, t)) orr_recheck_failures(run, t);
        if (more != NULL && state == ORR_NODE_COMPLETED && !more->expanded) orr_drop_more(run, t);
    }
    orr_decide(run);
}

/* ---- the four ways to settle ----------------------------------------------------------------- */

void orr_end_completed(orr_run *run, uint32_t t, uint16_t port, uint64_t value, orr_source source) {
    orr_put_completed(run, t, port, value, source);
    if (orr_listens(run->core, ORR_EV_NODE_COMPLETED)) {
        orr_event e = {.due = -1, .name = port == ORR_PORT_ANY ? NULL : run->plan->ports[port]};
        orr_emit(run, ORR_EV_NODE_COMPLETED, t, &e);
    }
    after(run, t);
}

void orr_end_failed(orr_run *run, uint32_t t, const orr_error *error) {
    orr_put_failed(run, t, error);
    orr_error kept = *error;
    uint32_t node, item;
    orr_locate(run, t, &node, &item);
    orr_run_error(run, node, item, &kept);
    orr_event e = {.due = -1, .error = &kept};
    orr_emit(run, ORR_EV_NODE_FAILED, t, &e);
    after(run, t);
}

void orr_end_skipped(orr_run *run, uint32_t t, orr_skip_reason reason, uint32_t by) {
    orr_put_skipped(run, t, reason, by);
    orr_event e = {.due = -1, .reason = (uint8_t)reason, .count = by};
    orr_emit(run, ORR_EV_NODE_SKIPPED, t, &e);
    after(run, t);
}

void orr_end_cancelled(orr_run *run, uint32_t t) {
    orr_put_cancelled(run, t);
    orr_event e = {.due = -1, .reason = run->cause};
    orr_emit(run, ORR_EV_NODE_CANCELLED, t, &e);
    after(run, t);
}

/* ---- failure, and what may mend it ----------------------------------------------------------- */

/* What began may go on while the run drains; while it is stopped only cleanup nodes may. */
static bool goes_on(const orr_run *run, uint32_t t) {
    if (run->mode == MODE_OPEN || run->mode == MODE_DRAIN) return true;
    return run->mode != MODE_SKIP && orr_is_cleanup(run, t);
}

static void retry_at(orr_run *run, uint32_t t, orr_phase phase, int64_t due, const orr_error *error,
                     uint32_t policy) {
    orr_more *more = orr_need_more(run, t);
    if (more == NULL || orr_timers_reserve(&run->core->timers, 1) != ORR_OK) {
        orr_end_failed(run, t, error);
        return;
    }
    orr_put_attempt_failed(run, t, phase, due, error, policy);
    orr_rest(run, t);
    orr_event e = {.due = orr_shown_due(run, due),
                   .error = &more->failure->error,
                   .phase = (uint8_t)phase,
                   .count = policy};
    orr_emit(run, ORR_EV_NODE_RETRYING, t, &e);
    if (due > orr_run_now(run)) orr_run_timer(run, &more->wake_timer, due, t, TIMER_WAKE);
    else orr_wake(run, t);
}

void orr_give_up(orr_run *run, uint32_t t, const orr_error *error) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    orr_more *more = orr_more_of(run, t);
    bool in_fallback = more != NULL && more->phase == ORR_PHASE_FALLBACK;
    if (!policy->has_fallback || in_fallback || !goes_on(run, t)) {
        orr_end_failed(run, t, error);
        return;
    }
    if (more != NULL) orr_timer_off(run->core, &more->deadline_timer);
    retry_at(run, t, ORR_PHASE_FALLBACK, orr_run_now(run), error, 0);
}

void orr_retry_or_fail(orr_run *run, uint32_t t, const orr_error *error) {
    const orr_more *more = orr_more_of(run, t);
    orr_task task = orr_task_of(run, t);
    bool in_fallback = more != NULL && more->phase == ORR_PHASE_FALLBACK;
    orr_retry_choice choice = orr_retry_choose(run, t, error);
    if (in_fallback || !goes_on(run, t) || choice.retry == NULL) {
        orr_give_up(run, t, error);
        return;
    }
    int64_t delay = error->retry_after >= 0 ? orr_retry_after(choice.retry, error)
                                            : orr_retry_wait(choice.retry, run->seed, &task, choice.tries);
    int64_t due = orr_wake_after(orr_run_now(run), delay);
    if (more != NULL && more->deadline > 0 && due >= more->deadline) {
        char text[512];
        snprintf(text, sizeof text,
                 "its deadline would pass before another attempt could start; the last error was: %s",
                 error->message);
        orr_error late = {"deadline", text, true, -1, error->value};
        orr_give_up(run, t, &late);
        return;
    }
    retry_at(run, t, ORR_PHASE_RUN, due, error, choice.number);
}

/* ---- the end of an attempt ------------------------------------------------------------------- */

void orr_release(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    if (more == NULL || more->pool == NULL) return;
    orr_pool *pool = more->pool;
    orr_pool_give(run, t);
    if (pool->keyed) {
        /* it may go when idle; who comes back asks for it again */
        more->pool = NULL;
        more->pool_known = false;
        orr_pool_idle(pool);
    }
}

void orr_rest(orr_run *run, uint32_t t) {
    if (!orr_pool_keeps(run, t)) orr_release(run, t);
}

static void iterate_again(orr_run *run, uint32_t t, const orr_policy *policy, uint64_t value) {
    orr_more *more = orr_more_of(run, t);
    int64_t due = policy->loop_delay > 0 ? orr_wake_after(orr_run_now(run), policy->loop_delay) : -1;
    if (due >= 0 && orr_timers_reserve(&run->core->timers, 1) != ORR_OK) {
        orr_end_failed(run, t, &orr_no_memory);
        return;
    }
    orr_rest(run, t);
    orr_put_iterated(run, t, due, value);
    orr_event e = {.due = orr_shown_due(run, due)};
    orr_emit(run, ORR_EV_NODE_ITERATED, t, &e);
    if (due >= 0) orr_run_timer(run, &more->wake_timer, due, t, TIMER_WAKE);
    else orr_line_up(run, t);
}

static void exhausted(orr_run *run, uint32_t t, uint32_t max) {
    char text[96];
    snprintf(text, sizeof text, "its loop was not done after %u iterations", max);
    orr_error error = {"loop_exhausted", text, true, -1, 0};
    orr_give_up(run, t, &error);
}

/* Loops: after an iteration completed `until` is asked, with its output at hand; one that only
 * counts asks nothing. */
static void iterate(orr_run *run, uint32_t t, const orr_result *result) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    const orr_more *more = orr_need_more(run, t);
    uint32_t done = more != NULL ? more->iteration + 1 : 0;
    orr_ask ask = {ORR_ASK_UNTIL, orr_task_of(run, t), 0};
    orr_answer answer = {.truth = policy->loop_times > 0 && done >= policy->loop_times};
    bool asks = policy->loop_times == 0;
    if (more == NULL) orr_end_failed(run, t, &orr_no_memory);
    else if (asks && !run->core->hooks.evaluate(run->core->hooks.ud, run, &ask, &answer))
        orr_end_failed(run, t, &answer.error);
    else if (answer.truth) orr_end_completed(run, t, result->port, result->value, (orr_source)result->source);
    else if (asks && policy->loop_max > 0 && done >= policy->loop_max) exhausted(run, t, policy->loop_max);
    else if (!goes_on(run, t)) orr_end_cancelled(run, t);
    else iterate_again(run, t, policy, result->value);
}

static void end_as_answered(orr_run *run, uint32_t t, const orr_result *result) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    const orr_more *more = orr_more_of(run, t);
    switch (result->end) {
    case ORR_END_COMPLETED:
        if (policy->has_loop && (more == NULL || more->phase == ORR_PHASE_RUN)) iterate(run, t, result);
        else orr_end_completed(run, t, result->port, result->value, (orr_source)result->source);
        break;
    case ORR_END_FAILED: orr_retry_or_fail(run, t, &result->error); break;
    default: orr_end_cancelled(run, t); break;
    }
}

static orr_error stopped_error(const orr_run *run, uint32_t t, uint8_t reason, char *text, size_t size) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    switch (reason) {
    case ORR_CANCEL_DEADLINE:
        snprintf(text, size, "it did not end within its deadline of %.9g s", (double)policy->deadline / 1e9);
        return (orr_error){"deadline", text, true, -1, 0};
    case ORR_CANCEL_HEARTBEAT:
        snprintf(text, size, "it gave no sign of life for %.9g s", (double)policy->heartbeat / 1e9);
        return (orr_error){"heartbeat", text, false, -1, 0};
    default:
        snprintf(text, size, "the attempt did not end within its timeout of %.9g s",
                 (double)policy->timeout / 1e9);
        return (orr_error){"timeout", text, false, -1, 0};
    }
}

/* A task that was asked to stop ends as the asking says, whatever it answered: a result that
 * comes after its timeout is late, and one that comes after a cancel is no longer wanted. */
void orr_end_attempt(orr_run *run, uint32_t t, const orr_result *result) {
    orr_more *more = orr_more_of(run, t);
    uint8_t reason = more != NULL ? more->cancel : ORR_CANCEL_NONE;
    char text[160];
    orr_error error;
    if (run->cells[t].state == ORR_NODE_COMPENSATING) {
        orr_compensate_end(run, t, result);
        return;
    }
    orr_dequeue(run, t);
    if (more != NULL) {
        uint32_t deadline_timer = more->deadline_timer; /* goes on over all attempts */
        more->deadline_timer = ORR_NONE;
        orr_clear_timers(run, t);
        more->deadline_timer = deadline_timer;
        more->cancel = ORR_CANCEL_NONE;
        more->resuming = false;
    }
    switch (reason) {
    case ORR_CANCEL_NONE:
        orr_breaker_report(run, t, result->end, &result->error);
        end_as_answered(run, t, result);
        break;
    case ORR_CANCEL_TIMEOUT:
    case ORR_CANCEL_HEARTBEAT:
    case ORR_CANCEL_DEADLINE:
        more->uncertain = true;
        error = stopped_error(run, t, reason, text, sizeof text);
        orr_breaker_report(run, t, ORR_END_FAILED, &error);
        orr_retry_or_fail(run, t, &error);
        break;
    default:
        orr_breaker_report(run, t, ORR_END_CANCELLED, NULL);
        orr_end_cancelled(run, t);
        break;
    }
}
