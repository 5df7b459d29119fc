/* timers.c - what each timer of the core does when it is due. */
#include "core/inner.h"

#include <stdio.h>

void orr_timer_off(orr_core *core, uint32_t *timer) {
    if (*timer != ORR_NONE) orr_timers_remove(&core->timers, *timer);
    *timer = ORR_NONE;
}

bool orr_timer_on(orr_core *core, uint32_t *timer, int64_t time, void *owner, uint32_t task, uint8_t kind) {
    orr_timer_off(core, timer);
    *timer = orr_timers_add(&core->timers, time, owner, task, kind);
    core->timer_lost |= *timer == ORR_NONE;
    return *timer != ORR_NONE;
}

void orr_clear_timers(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    if (more == NULL) return;
    orr_timer_off(run->core, &more->attempt_timer);
    orr_timer_off(run->core, &more->beat_timer);
    orr_timer_off(run->core, &more->deadline_timer);
    orr_timer_off(run->core, &more->wake_timer);
    orr_timer_off(run->core, &more->grace_timer);
}

bool orr_arm_timers(orr_run *run, uint32_t t, int64_t timeout, int64_t heartbeat) {
    orr_core *core = run->core;
    orr_more *more = orr_need_more(run, t);
    if (more == NULL || orr_timers_reserve(&core->timers, 2) != ORR_OK) return false;
    if (timeout > 0)
        orr_run_timer(run, &more->attempt_timer, orr_after(orr_run_now(run), timeout), t, TIMER_ATTEMPT);
    more->left = timeout;
    more->beat = orr_run_now(run);
    if (heartbeat > 0) orr_run_timer(run, &more->beat_timer, orr_after(more->beat, heartbeat), t, TIMER_BEAT);
    return true;
}

/* A heartbeat only stores its time; the timer finds out here whether there was one. So a heartbeat
 * is cheap. */
static void beat(orr_run *run, uint32_t t, orr_more *more) {
    int64_t due = orr_after(more->beat, orr_policy_of(run, orr_node_of(run, t))->heartbeat);
    if (due > orr_run_now(run)) {
        orr_run_timer(run, &more->beat_timer, due, t, TIMER_BEAT);
        return;
    }
    orr_emit(run, ORR_EV_NODE_SILENT, t, NULL);
    orr_cancel_live(run, t, ORR_CANCEL_HEARTBEAT);
}

static void deadline(orr_run *run, uint32_t t) {
    static const orr_error error = {"deadline", "its deadline passed before it could start", true, -1, 0};
    if ((run->cells[t].flags & CELL_LIVE) != 0) {
        orr_cancel_live(run, t, ORR_CANCEL_DEADLINE);
        return;
    }
    orr_dequeue(run, t);
    const orr_more *more = orr_more_of(run, t);
    if (more->failure == NULL) {
        orr_give_up(run, t, &error);
        return;
    }
    char text[512];
    snprintf(text, sizeof text,
             "its deadline passed while it waited for another attempt; the last error was: %s",
             more->failure->error.message);
    orr_error last = {"deadline", text, true, -1, more->failure->error.value};
    orr_give_up(run, t, &last);
}

static void task_timer(orr_run *run, uint32_t t, uint8_t kind) {
    orr_more *more = orr_more_of(run, t);
    switch (kind) {
    case TIMER_ATTEMPT:
        more->attempt_timer = ORR_NONE;
        orr_cancel_live(run, t, ORR_CANCEL_TIMEOUT);
        break;
    case TIMER_BEAT:
        more->beat_timer = ORR_NONE;
        beat(run, t, more);
        break;
    case TIMER_DEADLINE:
        more->deadline_timer = ORR_NONE;
        deadline(run, t);
        break;
    case TIMER_WAKE:
        more->wake_timer = ORR_NONE;
        orr_wake(run, t);
        break;
    default:
        more->grace_timer = ORR_NONE;
        orr_abandon(run, t);
        break;
    }
}

static void run_timeout(orr_run *run) {
    char text[96];
    snprintf(text, sizeof text, "the run did not end within its timeout of %.9g s",
             (double)run->plan->timeout / 1e9);
    orr_error error = {"run_timeout", text, true, -1, 0};
    run->timeout_timer = ORR_NONE;
    orr_stop(run, ORR_STOP_TIMEOUT, &error);
}

void orr_fire(orr_core *core, const orr_timer *timer) {
    (void)core;
    orr_run *run = timer->owner;
    switch (timer->kind) {
    case TIMER_POOL: orr_pool_fired(timer->owner); return;
    case TIMER_BREAKER: orr_breaker_fired(timer->owner); return;
    case TIMER_RUN: run_timeout(run); break;
    case TIMER_CLEANUP:
        run->cleanup_timer = ORR_NONE;
        orr_skip_cleanup(run, ORR_CANCEL_CLEANUP_TIMEOUT);
        break;
    default:
        task_timer(run, timer->task, timer->kind);
        if (run->concurrency > 0) orr_run_gate(run); /* one that was abandoned has left its slot */
        break;
    }
    orr_decide(run);
}
