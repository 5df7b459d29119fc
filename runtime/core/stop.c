/* stop.c - cancelling tasks, stopping a run, its cleanup nodes, and a run in which nothing can
 * happen any more. */
#include "core/inner.h"

#include <stdio.h>
#include <string.h>

static const int64_t default_cleanup = INT64_C(30000000000);

/* ---- asking the caller to stop --------------------------------------------------------------- */

static void enlist(orr_run *run, uint32_t t, orr_more *more) {
    orr_core *core = run->core;
    more->act_run = NULL;
    more->act_task = ORR_NONE;
    if (core->act_run == NULL) {
        core->act_run = run;
        core->act_task = t;
    } else {
        orr_more *last = orr_more_of(core->act_last_run, core->act_last_task);
        last->act_run = run;
        last->act_task = t;
    }
    core->act_last_run = run;
    core->act_last_task = t;
}

/* Asks an attempt to stop. Without memory to remember that it was asked it is left alone: it ends
 * by itself. */
void orr_cancel_live(orr_run *run, uint32_t t, orr_cancel_reason reason) {
    orr_core *core = run->core;
    orr_more *more = orr_need_more(run, t);
    if (more == NULL || more->cancel != ORR_CANCEL_NONE) return;
    more->cancel = (uint8_t)reason;
    orr_dequeue(run, t); /* it may have been waiting for a place to go on */
    orr_timer_off(core, &more->attempt_timer);
    orr_timer_off(core, &more->beat_timer);
    orr_timer_off(core, &more->wake_timer);
    orr_timer_on(core, &more->grace_timer, orr_wake_after(core->now, core->grace), run, t, TIMER_GRACE);
    if (!more->act_abandon) enlist(run, t, more);
    more->act_cancel = true;
}

/* The grace is over: the task is settled without its answer. */
void orr_abandon(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    orr_result result = {.end = ORR_END_CANCELLED, .port = ORR_PORT_ANY};
    if (!more->act_cancel) enlist(run, t, more);
    more->act_abandon = true;
    orr_end_attempt(run, t, &result);
}

void orr_drop_attempt(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    if ((run->cells[t].flags & CELL_LIVE) == 0) return;
    if (!more->act_cancel && !more->act_abandon) enlist(run, t, more);
    more->act_abandon = true;
    more->resuming = false;
    more->uncertain = true;
}

void orr_cancel_task(orr_run *run, uint32_t t, orr_cancel_reason reason) {
    orr_cell *cell = &run->cells[t];
    orr_more *more = orr_more_of(run, t);
    if (orr_is_over(run, t)) return;
    if ((cell->flags & CELL_LIVE) != 0) {
        orr_cancel_live(run, t, reason);
        return;
    }
    if (more != NULL && more->expanded) {
        more->cancel = (uint8_t)reason;
        for (uint32_t i = more->first_item, n = i + more->n_items; i < n; i++)
            orr_cancel_task(run, i, reason);
        return;
    }
    orr_dequeue(run, t);
    orr_end_cancelled(run, t);
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* The first tasks of a line. */
typedef struct heads {
    uint32_t at[ORR_PRIO_COUNT];
} heads;

static heads heads_of(const orr_line *line) {
    heads h;
    for (int p = 0; p < ORR_PRIO_COUNT; p++) h.at[p] = line != NULL ? line->head[p] : ORR_NONE;
    return h;
}

/* Tasks in line go first and in its order: taking them out of the middle would look through the
 * line for each. */
static void cancel_line(orr_run *run, heads first, bool (*wanted)(const orr_run *run, uint32_t t),
                        orr_cancel_reason reason) {
    for (int p = 0; p < ORR_PRIO_COUNT; p++)
        for (uint32_t t = first.at[p], next; t != ORR_NONE; t = next) {
            next = run->cells[t].next;
            if (wanted(run, t)) orr_cancel_task(run, t, reason);
        }
}

/* Both lines of a keyed pool may go with its last task, so they are read before. */
static void cancel_lines(orr_run *run, bool (*wanted)(const orr_run *run, uint32_t t),
                         orr_cancel_reason reason) {
    cancel_line(run, heads_of(&run->line), wanted, reason);
    for (orr_line *line = run->lines, *next; line != NULL; line = next) {
        next = line->of_run;
        const orr_line *other = next != NULL && next->pool == line->pool ? next : NULL;
        heads first = heads_of(line), second = heads_of(other);
        if (other != NULL) next = other->of_run;
        cancel_line(run, first, wanted, reason);
        cancel_line(run, second, wanted, reason);
    }
}

static bool any_task(const orr_run *run, uint32_t t) {
    return !orr_is_over(run, t);
}

static bool not_cleanup(const orr_run *run, uint32_t t) {
    return any_task(run, t) && !orr_is_cleanup(run, t);
}

/* What is under way or about to be. What still waits for its dependencies is settled by them.
 * Cleanup nodes go on unless `all`. */
static void cancel_active(orr_run *run, bool all, orr_cancel_reason reason) {
    bool (*wanted)(const orr_run *, uint32_t) = all ? any_task : not_cleanup;
    uint32_t n = run->plan->n_nodes;
    cancel_lines(run, wanted, reason);
    for (uint32_t t = 0; t < n; t++)
        if (run->cells[t].state != ORR_NODE_PENDING && wanted(run, t)) orr_cancel_task(run, t, reason);
}

bool orr_has_begun(const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    return run->cells[t].attempt > orr_base_of(run, t) || (more != NULL && more->iteration > 0);
}

bool orr_not_begun(const orr_run *run, uint32_t t) {
    const orr_cell *cell = &run->cells[t];
    bool waits = cell->state == ORR_NODE_READY || cell->state == ORR_NODE_WAITING ||
                 (cell->state == ORR_NODE_PENDING && t >= run->plan->n_nodes);
    return waits && (cell->flags & CELL_LIVE) == 0 && !orr_has_begun(run, t);
}

/* What has begun may finish while a run drains. */
static bool fresh(const orr_run *run, uint32_t t) {
    return orr_not_begun(run, t) && !orr_is_cleanup(run, t);
}

static void drain(orr_run *run) {
    cancel_lines(run, fresh, ORR_CANCEL_RUN);
    for (uint32_t t = 0; t < run->n_cells; t++) {
        const orr_more *more = orr_more_of(run, t);
        bool node_of_items = more != NULL && more->expanded;
        if (!node_of_items && fresh(run, t)) orr_cancel_task(run, t, ORR_CANCEL_RUN);
    }
}

void orr_stop(orr_run *run, orr_stop_cause cause, const orr_error *error) {
    bool outer = !run->deciding;
    if (run->ended || run->mode >= MODE_STOP || orr_compensating(run)) return;
    run->deciding = true; /* what follows from the cancels is worked off once, afterwards */
    if (cause != ORR_STOP_FAILURE && cause != ORR_STOP_CANCEL) run->failed = true;
    orr_put_run(run, ORR_REC_STOPPING, (uint8_t)cause, error);
    orr_event e = {.due = -1, .reason = (uint8_t)cause, .error = error};
    orr_emit(run, ORR_EV_RUN_STOPPING, ORR_NONE, &e);
    orr_run_gate(run);
    if (run->mode == MODE_DRAIN) drain(run);
    else cancel_active(run, false, ORR_CANCEL_RUN);
    if (outer) {
        run->deciding = false;
        orr_decide(run);
    }
}

void orr_unhandled(orr_run *run, uint32_t node) {
    run->failed = true;
    if (orr_failed_before(run, node, run->failure_node)) run->failure_node = node;
    bool goes_on = run->plan->on_error == ORR_ON_ERROR_CONTINUE && !orr_policy_of(run, node)->stops;
    if (!goes_on && run->mode == MODE_OPEN) orr_stop(run, ORR_STOP_FAILURE, NULL);
}

static int64_t cleanup_bound(const orr_run *run) {
    return run->plan->cleanup_timeout > 0 ? run->plan->cleanup_timeout : default_cleanup;
}

static int64_t cleanup_due(const orr_run *run) {
    return orr_after(run->cleanup_since, cleanup_bound(run));
}

/* By the core's time; INT64_MAX where it does not count, or no more. */
static int64_t timeout_due(const orr_run *run) {
    if (run->mode >= MODE_STOP || run->timeout_timer == ORR_NONE) return INT64_MAX;
    return orr_core_due(run, orr_after(run->since, run->plan->timeout));
}

int64_t orr_task_run_due(const orr_run *run, const orr_task *task) {
    uint32_t t = orr_current(run, task);
    if (t == ORR_NONE || run->cells[t].state == ORR_NODE_COMPENSATING) return INT64_MAX;
    int64_t timeout = timeout_due(run);
    if (!orr_is_cleanup(run, t)) return timeout;
    if (run->mode == MODE_CLEANUP) return orr_core_due(run, cleanup_due(run));
    if (run->mode == MODE_STOP) return orr_after(run->core->now, cleanup_bound(run));
    return timeout == INT64_MAX ? timeout : orr_after(timeout, cleanup_bound(run));
}

static void arm_cleanup(orr_run *run) {
    if (!orr_run_timer(run, &run->cleanup_timer, cleanup_due(run), 0, TIMER_CLEANUP))
        orr_skip_cleanup(run, ORR_CANCEL_CLEANUP_TIMEOUT);
}

int64_t orr_run_due(const orr_run *run) {
    if (run->mode == MODE_CLEANUP) return orr_core_due(run, cleanup_due(run));
    return timeout_due(run);
}

void orr_stop_again(orr_run *run) {
    if (run->mode == MODE_DRAIN) drain(run);
    else if (run->mode != MODE_OPEN) cancel_active(run, run->mode == MODE_SKIP, ORR_CANCEL_RUN);
    if (run->mode == MODE_CLEANUP) arm_cleanup(run);
}

/* When all else has ended what it did is undone, and then the cleanup nodes have their time. */
void orr_stop_progress(orr_run *run) {
    bool stopped = run->mode == MODE_STOP && run->live == run->live_cleanup && !run->ended && run->open > 0;
    if (orr_compensate_progress(run, stopped) || !stopped) return;
    orr_put_run(run, ORR_REC_CLEANUP, 0, NULL);
    arm_cleanup(run);
    orr_run_gate(run);
}

void orr_skip_cleanup(orr_run *run, orr_cancel_reason reason) {
    bool outer = !run->deciding;
    if (run->ended || run->mode == MODE_SKIP) return;
    run->deciding = true;
    orr_put_run(run, ORR_REC_CLEANUP, 1, NULL);
    orr_run_gate(run);
    cancel_active(run, true, reason);
    if (outer) {
        run->deciding = false;
        orr_decide(run);
    }
}

/* ---- stalled --------------------------------------------------------------------------------- */

/* Nothing runs, waits or is due, but nodes are left: the run fails, and says what each of them
 * waits for. */
void orr_stalled(orr_run *run) {
    static const uint32_t most = 5;
    char text[1024];
    uint32_t n = 0;
    int len = snprintf(text, sizeof text, "nothing runs, waits or is due, but %u of its nodes are left",
                       run->open);
    for (uint32_t i = 0; i < run->plan->n_nodes && n < most && len > 0 && (size_t)len < sizeof text; i++) {
        char why[160];
        if (orr_is_over(run, i)) continue;
        orr_why_text(run, i, why, sizeof why);
        len += snprintf(text + len, sizeof text - (size_t)len, "%s%s", n++ == 0 ? ": " : "; ", why);
    }
    orr_error error = {"stall", text, true, -1, 0};
    orr_event e = {.due = -1, .error = &error};
    orr_emit(run, ORR_EV_RUN_STALLED, ORR_NONE, &e);
    orr_stop(run, ORR_STOP_STALL, &error);
    /* what is left now cannot be settled by its dependencies */
    for (uint32_t t = 0; t < run->plan->n_nodes && !run->ended; t++)
        if (run->live == 0 && run->queued == 0 && run->timed == 0) orr_cancel_task(run, t, ORR_CANCEL_RUN);
}
