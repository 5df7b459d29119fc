/* compensate.c - undoing what a run did, before it ends as failed or cancelled (a saga:
 * Garcia-Molina and Salem, 1987).
 *
 * What may have to be undone is noted when it ends (orr_undo_note, part of the fold), so that a run
 * that is rebuilt knows the order as well. When a run is to end otherwise than completed, its notes
 * are worked off from the last to the first, one at a time:
 *
 * - where the run is stopped: once all that ran has ended, and before the cleanup nodes begin. One
 * that runs already when the
 *   run is stopped may go on meanwhile; what it does is cleanup and not undone.
 * - where the run drains or continues: when nothing is left; its cleanup nodes had their turn among
 * the others then.
 *
 * Noted is what completed in the run itself and what ended uncertain, not what failed by an error
 * of its own. Undoing goes on whatever comes: no second cancel, no timeout of the run or of its
 * cleanup ends it; a second cancel skips the cleanup nodes after it. It draws on no pool, breaker
 * or concurrency, but a pause holds it. Attempts of a compensation count on from those of the task,
 * so that no two attempts of a task share a number; retries and backoff count from `undo_base`.
 * Their node is `compensating` all the time, be it that the compensation runs, waits, or is to be
 * tried again: the step says which.
 */
#include "core/inner.h"

#include <stdio.h>

/* ---- notes ----------------------------------------------------------------------------------- */

bool orr_undo_make(orr_run *run) {
    const orr_alloc *a = &run->core->alloc;
    const orr_plan *plan = run->plan;
    uint32_t i = 0;
    while (i < plan->n_policies && !plan->policies[i].has_compensate) i++;
    if (i == plan->n_policies) return true;
    run->undo = orr_mem_new(a, 1, sizeof *run->undo);
    return run->undo != NULL && orr_undo_room(run, plan->n_nodes);
}

bool orr_undo_room(orr_run *run, uint32_t tasks) {
    orr_undo *undo = run->undo;
    uint32_t cap = undo->cap + undo->cap / 2;
    if (tasks <= undo->cap) return true;
    if (cap < tasks) cap = tasks;
    uint32_t *grown = orr_mem_resize(&run->core->alloc, undo->tasks, undo->cap, cap, sizeof *grown);
    if (grown == NULL) return false;
    undo->tasks = grown;
    undo->cap = cap;
    return true;
}

static void leave_list(orr_run *run) {
    orr_core *core = run->core;
    orr_run *before = NULL, *at = core->undo_head;
    while (at != NULL && at != run) {
        before = at;
        at = at->undo->next;
    }
    if (at == NULL) return;
    if (before != NULL) before->undo->next = run->undo->next;
    else core->undo_head = run->undo->next;
    if (core->undo_tail == run) core->undo_tail = before;
    run->undo->queued = false;
}

void orr_undo_free(orr_run *run) {
    const orr_alloc *a = &run->core->alloc;
    if (run->undo == NULL) return;
    leave_list(run);
    orr_mem_free(a, run->undo->tasks, run->undo->cap, sizeof *run->undo->tasks);
    orr_mem_free(a, run->undo, 1, sizeof *run->undo);
    run->undo = NULL;
}

void orr_undo_note(orr_run *run, uint32_t t) {
    orr_undo *undo = run->undo;
    uint32_t node = orr_node_of(run, t);
    const orr_more *more = orr_more_of(run, t);
    /* without an orr_more it was never attempted */
    if (undo->on || undo->closed || more == NULL || more->expanded ||
        !orr_policy_of(run, node)->has_compensate)
        return;
    ORR_INVARIANT(run, undo->n < undo->cap, "the engine made no room for what is to be undone");
    if (undo->n == undo->cap) return;
    undo->tasks[undo->n++] = t;
    if (t != node) orr_more_of(run, node)->undo_open++;
}

/* Of a node that is still under way (it is a cleanup node, then) no item is undone; nor of one
 * that failed and ignores it. */
static bool to_be_undone(const orr_run *run, uint32_t t) {
    uint32_t node = orr_node_of(run, t);
    bool ignored = run->cells[node].state == ORR_NODE_FAILED && orr_policy_of(run, node)->ignore_errors;
    return orr_is_over(run, node) && !ignored;
}

/* Items of a node that was set back as a whole do not count, though their cells are still there. */
static bool has_ended(const orr_run *run, uint32_t t) {
    return orr_is_over(run, t) && run->cells[orr_node_of(run, t)].state != ORR_NODE_PENDING;
}

static void keep(orr_run *run, bool (*wanted)(const orr_run *run, uint32_t t)) {
    orr_undo *undo = run->undo;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < undo->n; i++) {
        uint32_t t = undo->tasks[i], node = orr_node_of(run, t);
        if (wanted(run, t)) undo->tasks[kept++] = t;
        else if (t != node) orr_more_of(run, node)->undo_open--;
    }
    undo->n = kept;
}

bool orr_undo_any(const orr_run *run) {
    const orr_undo *undo = run->undo;
    if (undo == NULL || undo->on || undo->closed) return false;
    for (uint32_t i = 0; i < undo->n; i++)
        if (to_be_undone(run, undo->tasks[i])) return true;
    return false;
}

void orr_undo_begin(orr_run *run) {
    keep(run, to_be_undone);
    run->undo->on = true;
    run->undo->left = run->undo->n;
    run->undo->step = UNDO_IDLE;
}

void orr_undo_retried(orr_run *run) {
    if (run->undo == NULL) return;
    keep(run, has_ended);
    run->undo->closed = false;
}

uint32_t orr_undo_task(const orr_run *run) {
    const orr_undo *undo = run->undo;
    return undo != NULL && undo->on && undo->left > 0 ? undo->tasks[undo->left - 1] : ORR_NONE;
}

bool orr_run_uncertain(const orr_run *run, uint32_t node, uint32_t item) {
    uint32_t t = orr_index(run, node, item);
    const orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    if (t == ORR_NONE || orr_settled_as(run, t) == ORR_NODE_COMPLETED) return false;
    if (more != NULL) return more->uncertain;
    return run->cells[t].state == ORR_NODE_CANCELLED && run->cells[t].attempt > orr_base_of(run, t);
}

bool orr_run_compensation_error(const orr_run *run, uint32_t node, uint32_t item, orr_error *error) {
    uint32_t t = orr_index(run, node, item);
    const orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    if (more == NULL || more->undo_failure == NULL) return false;
    *error = more->undo_failure->error;
    return true;
}

bool orr_run_undo(const orr_run *run, uint32_t i, orr_task *task) {
    const orr_undo *undo = run->undo;
    if (undo == NULL || !undo->on || i >= undo->n) return false;
    *task = orr_task_of(run, undo->tasks[undo->n - 1 - i]);
    return true;
}

uint32_t orr_task_undo_try(const orr_run *run, const orr_task *task) {
    uint32_t t = orr_index(run, task->node, task->item);
    const orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    return more != NULL && task->attempt > more->undo_base ? task->attempt - more->undo_base : task->attempt;
}

/* ---- the next one ---------------------------------------------------------------------------- */

static bool begin(orr_run *run) {
    if (!orr_undo_any(run) || orr_end_state(run) == ORR_RUN_COMPLETED) return false;
    orr_put_run(run, ORR_REC_COMPENSATING, 0, NULL);
    orr_timer_off(run->core, &run->timeout_timer); /* what it bounded is over */
    orr_event e = {.due = -1, .reason = run->cause, .count = run->undo->n};
    orr_emit(run, ORR_EV_RUN_COMPENSATING, ORR_NONE, &e);
    return true;
}

/* With its last item a node is undone too: compensated, or failed where an item failed. */
static void close_node(orr_run *run, uint32_t node) {
    const orr_more *more = orr_more_of(run, node);
    uint32_t undone = 0, failed = 0, first = 0;
    char text[512];
    orr_error item = orr_no_memory;
    for (uint32_t i = 0; i < more->n_items; i++) {
        uint8_t state = run->cells[more->first_item + i].state;
        undone += state == ORR_NODE_COMPENSATED;
        if (state == ORR_NODE_COMPENSATION_FAILED && failed++ == 0) first = i;
    }
    if (failed == 0) {
        orr_put_compensated(run, node, 0);
        orr_emit(run, ORR_EV_NODE_COMPENSATED, node, &(orr_event){.due = -1, .phase = ORR_PHASE_COMPENSATE});
        return;
    }
    orr_run_compensation_error(run, node, first, &item);
    snprintf(text, sizeof text, "%u of %u items could not be undone; the first is item %u: %s", failed,
             failed + undone, first + 1, item.message);
    orr_error error = {"compensation_failed", text, true, -1, item.value};
    orr_put_compensation_failed(run, node, &error);
    orr_event e = {.due = -1, .phase = ORR_PHASE_COMPENSATE, .error = &error};
    orr_emit(run, ORR_EV_NODE_COMPENSATION_FAILED, node, &e);
}

bool orr_compensate_progress(orr_run *run, bool may_begin) {
    orr_undo *undo = run->undo;
    if (undo == NULL || run->ended || (!undo->on && !(may_begin && begin(run)))) return false;
    if (undo->left < undo->n) {
        uint32_t t = undo->tasks[undo->left], node = orr_node_of(run, t);
        if (t != node && run->cells[node].state == ORR_NODE_COMPENSATING &&
            orr_more_of(run, node)->undo_open == 0)
            close_node(run, node);
    }
    if (undo->left == 0) return false;
    if (undo->step == UNDO_IDLE && !undo->due) orr_compensate_call(run);
    return true;
}

void orr_compensate_call(orr_run *run) {
    orr_core *core = run->core;
    orr_undo *undo = run->undo;
    orr_more *more = orr_more_of(run, orr_undo_task(run));
    orr_timer_off(core, &more->wake_timer);
    undo->due = true;
    if (undo->queued || run->paused || run->suspended) return;
    undo->queued = true;
    undo->next = NULL;
    if (core->undo_tail != NULL) core->undo_tail->undo->next = run;
    else core->undo_head = run;
    core->undo_tail = run;
}

static bool arm(orr_run *run, uint32_t t, int64_t timeout) {
    int64_t heartbeat = orr_policy_of(run, orr_node_of(run, t))->heartbeat;
    return (timeout | heartbeat) == 0 || orr_arm_timers(run, t, timeout, heartbeat);
}

static void issue(orr_run *run, uint32_t t, orr_event_kind event, orr_action_kind kind, orr_action *action) {
    orr_event e = {.due = -1, .phase = ORR_PHASE_COMPENSATE};
    orr_emit(run, event, t, &e);
    *action = (orr_action){.kind = kind,
                           .run = run,
                           .task = orr_task_of(run, t),
                           .phase = ORR_PHASE_COMPENSATE,
                           .next = ORR_NONE,
                           .later = ORR_NONE,
                           .seq = run->seq};
}

static void start(orr_run *run, uint32_t t, orr_action *action) {
    orr_put_started(run, t, ORR_PHASE_COMPENSATE);
    orr_more_of(run, t)->since = orr_run_time(run, run->core->now);
    if (arm(run, t, orr_policy_of(run, orr_node_of(run, t))->compensate_timeout)) {
        issue(run, t, ORR_EV_NODE_COMPENSATING, ORR_ACT_START, action);
    } else {
        orr_compensate_lost(run, t, &orr_no_memory);
        orr_decide(run);
    }
}

static void go_on(orr_run *run, uint32_t t, orr_action *action) {
    orr_put_woken(run, t, ORR_NODE_COMPENSATING);
    if (!arm(run, t, orr_more_of(run, t)->left))
        orr_cancel_live(run, t, ORR_CANCEL_TIMEOUT); /* without a timer it could run for ever */
    issue(run, t, ORR_EV_NODE_RESUMED, ORR_ACT_RESUME, action);
}

/* The run at the head of the list starts its next compensation or lets it go on. The action
 * stays as it was where the run is paused; who resumes it calls again. */
void orr_compensate_turn(orr_core *core, orr_action *action) {
    orr_run *run = core->undo_head;
    orr_undo *undo = run->undo;
    core->undo_head = undo->next;
    if (core->undo_head == NULL) core->undo_tail = NULL;
    undo->queued = false;
    if (run->paused || run->suspended) return;
    undo->due = false;
    if (undo->step == UNDO_WAITS) go_on(run, orr_undo_task(run), action);
    else start(run, orr_undo_task(run), action);
}

bool orr_compensate_rearm(orr_run *run) {
    uint32_t t = orr_undo_task(run);
    if (t == ORR_NONE || run->undo->step != UNDO_BACKOFF) return true;
    orr_more *more = orr_more_of(run, t);
    if (more->due > orr_run_now(run)) return orr_run_timer(run, &more->wake_timer, more->due, t, TIMER_WAKE);
    orr_compensate_call(run);
    return true;
}

/* ---- its end --------------------------------------------------------------------------------- */

void orr_compensate_lost(orr_run *run, uint32_t t, const orr_error *error) {
    uint32_t node, item;
    orr_error kept = *error;
    orr_clear_timers(run, t);
    orr_put_compensation_failed(run, t, error);
    orr_locate(run, t, &node, &item);
    orr_run_compensation_error(run, node, item, &kept);
    orr_event e = {.due = -1, .phase = ORR_PHASE_COMPENSATE, .error = &kept};
    orr_emit(run, ORR_EV_NODE_COMPENSATION_FAILED, t, &e);
}

static void retry_or_lose(orr_run *run, uint32_t t, const orr_error *error) {
    orr_core *core = run->core;
    orr_retry_choice choice = orr_retry_choose_undo(run, t, error);
    orr_more *more = orr_more_of(run, t);
    orr_task task = orr_task_of(run, t);
    if (choice.retry == NULL || orr_timers_reserve(&core->timers, 1) != ORR_OK) {
        orr_compensate_lost(run, t, error);
        return;
    }
    int64_t delay = error->retry_after >= 0 ? orr_retry_after(choice.retry, error)
                                            : orr_retry_wait(choice.retry, run->seed, &task, choice.tries);
    int64_t due = orr_wake_after(orr_run_now(run), delay);
    orr_put_attempt_failed(run, t, ORR_PHASE_COMPENSATE, due, error, choice.number);
    orr_event e = {.due = orr_shown_due(run, due),
                   .phase = ORR_PHASE_COMPENSATE,
                   .error = &more->undo_failure->error,
                   .count = choice.number};
    orr_emit(run, ORR_EV_NODE_RETRYING, t, &e);
    if (due > orr_run_now(run)) orr_run_timer(run, &more->wake_timer, due, t, TIMER_WAKE);
    else orr_compensate_call(run);
}

static orr_error stopped(const orr_run *run, uint32_t t, uint8_t reason, char *text, size_t size) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    if (reason == ORR_CANCEL_HEARTBEAT)
        snprintf(text, size, "the compensation gave no sign of life for %.9g s",
                 (double)policy->heartbeat / 1e9);
    else
        snprintf(text, size, "the compensation did not end within its timeout of %.9g s",
                 (double)policy->compensate_timeout / 1e9);
    return (orr_error){reason == ORR_CANCEL_HEARTBEAT ? "heartbeat" : "timeout", text, false, -1, 0};
}

/* As with any attempt, one that was asked to stop ends as the asking says. */
void orr_compensate_end(orr_run *run, uint32_t t, const orr_result *result) {
    static const orr_error cancelled = {
        "cancelled", "the compensation ended as cancelled, though nobody cancels one", false, -1, 0};
    orr_more *more = orr_more_of(run, t);
    uint8_t reason = more->cancel;
    char text[160];
    orr_clear_timers(run, t);
    run->undo->due = false;
    more->cancel = ORR_CANCEL_NONE;
    if (reason != ORR_CANCEL_NONE) {
        orr_error error = stopped(run, t, reason, text, sizeof text);
        retry_or_lose(run, t, &error);
    } else if (result->end == ORR_END_COMPLETED) {
        orr_put_compensated(run, t, result->value);
        orr_emit(run, ORR_EV_NODE_COMPENSATED, t, &(orr_event){.due = -1, .phase = ORR_PHASE_COMPENSATE});
    } else {
        retry_or_lose(run, t, result->end == ORR_END_FAILED ? &result->error : &cancelled);
    }
}
