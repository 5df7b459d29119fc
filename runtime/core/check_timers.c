/* check_timers.c - who has which timer. A task has the timers that its state asks for and no
 * others; each timer is pointed to by the one whom it wakes. */
#include "core/check.h"

/* ---- one timer ------------------------------------------------------------------------------- */

/* Whether `id` is of a timer that wakes whom it should; NULL for none. */
static bool is_ours(orr_check *c, uint32_t id, const void *owner, uint32_t task, uint8_t kind) {
    if (id == ORR_NONE) return true;
    const orr_timer *timer = orr_timers_get(&c->core->timers, id);
    c->timers++;
    return timer != NULL && timer->owner == owner && timer->task == task && timer->kind == kind;
}

static int64_t time_of(const orr_check *c, uint32_t id) {
    return orr_timers_get(&c->core->timers, id)->time;
}

/* Set exactly while it is asked for. Where memory was short a timer may be missing. */
static bool is_right(const orr_check *c, uint32_t id, bool wanted) {
    return (id != ORR_NONE) == wanted || (id == ORR_NONE && c->core->timer_lost);
}

/* ---- timers of a task ------------------------------------------------------------------------ */

/* A task that runs, or whose compensation does, and was not asked to stop. */
static bool is_bounded(const orr_run *run, uint32_t t, const orr_more *more) {
    uint8_t state = run->cells[t].state;
    bool undoes = state == ORR_NODE_COMPENSATING && run->undo != NULL && run->undo->step == UNDO_LIVE;
    return orr_check_goes(run) && orr_check_live(run, t) && more->cancel == ORR_CANCEL_NONE &&
           (state == ORR_NODE_RUNNING || undoes);
}

/* Whether it goes on at a time. */
static bool is_woken(const orr_run *run, uint32_t t, const orr_more *more) {
    uint8_t state = run->cells[t].state;
    if (!orr_check_goes(run) || more->cancel != ORR_CANCEL_NONE) return false;
    if (state == ORR_NODE_COMPENSATING && run->undo != NULL)
        return t == orr_undo_task(run) && !run->undo->due &&
               (run->undo->step == UNDO_BACKOFF || (run->undo->step == UNDO_WAITS && more->due >= 0));
    return state == ORR_NODE_RETRYING || (state == ORR_NODE_WAITING && more->due >= 0);
}

/* Over all attempts of a task, until its fallback. It may have passed while an attempt that was
 * asked to stop has not ended. */
static bool is_due(const orr_run *run, uint32_t t, const orr_more *more) {
    bool passed = orr_check_live(run, t) && more->cancel != ORR_CANCEL_NONE &&
                  more->deadline <= orr_run_now(run);
    return orr_check_goes(run) && more->deadline > 0 && run->cells[t].state != ORR_NODE_PENDING &&
           !orr_is_over(run, t) && !passed;
}

static bool check_task(orr_check *c, const orr_run *run, uint32_t node, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    const orr_policy *policy = orr_policy_of(run, node);
    bool undoes = run->cells[t].state == ORR_NODE_COMPENSATING, bounded = is_bounded(run, t, more);
    int64_t timeout = undoes ? policy->compensate_timeout : policy->timeout;
    bool stopping = orr_check_live(run, t) && more->cancel != ORR_CANCEL_NONE && orr_check_goes(run);
    bool ours = is_ours(c, more->attempt_timer, run, t, TIMER_ATTEMPT);
    ours &= is_ours(c, more->beat_timer, run, t, TIMER_BEAT);
    ours &= is_ours(c, more->deadline_timer, run, t, TIMER_DEADLINE);
    ours &= is_ours(c, more->wake_timer, run, t, TIMER_WAKE);
    ours &= is_ours(c, more->grace_timer, run, t, TIMER_GRACE);
    PROVE(c, run, t, ours, "one of its timers is another's, or none");
    PROVE(c, run, t, is_right(c, more->attempt_timer, bounded && timeout > 0),
          "the timer of its attempt's timeout is missing, or left over");
    PROVE(c, run, t, is_right(c, more->beat_timer, bounded && policy->heartbeat > 0),
          "the timer of its heartbeat is missing, or left over");
    PROVE(c, run, t, is_right(c, more->wake_timer, is_woken(run, t, more)),
          "the timer that is to wake it is missing, or left over");
    PROVE(c, run, t, is_right(c, more->grace_timer, stopping),
          "the timer of its grace is missing, or left over");
    PROVE(c, run, t, is_right(c, more->deadline_timer, is_due(run, t, more)),
          "the timer of its deadline is missing, or left over");
    PROVE(c, run, t,
          more->wake_timer == ORR_NONE || time_of(c, more->wake_timer) == orr_run_comes(run, more->due),
          "it is woken at another time than it is due");
    PROVE(c, run, t,
          more->deadline_timer == ORR_NONE ||
              time_of(c, more->deadline_timer) == orr_run_comes(run, more->deadline),
          "the timer of its deadline has another time");
    return true;
}

/* A task with a bound has an orr_more, which holds its timers. */
static bool check_plain(orr_check *c, const orr_run *run, uint32_t node, uint32_t t) {
    const orr_policy *policy = orr_policy_of(run, node);
    bool runs = orr_check_goes(run) && orr_check_live(run, t) && run->cells[t].state == ORR_NODE_RUNNING;
    PROVE(c, run, t, !runs || (policy->timeout == 0 && policy->heartbeat == 0),
          "its attempt has a bound, but no timer");
    PROVE(c, run, t, run->cells[t].state != ORR_NODE_RETRYING && run->cells[t].state != ORR_NODE_WAITING,
          "it waits, but nothing says for what");
    return true;
}

static bool check_tasks(orr_check *c, const orr_run *run, uint32_t node, uint32_t first, uint32_t n) {
    for (uint32_t t = first; t < first + n; t++)
        if (!(orr_more_of(run, t) != NULL ? check_task : check_plain)(c, run, node, t)) return false;
    return true;
}

/* ---- timers of a run ------------------------------------------------------------------------- */

bool orr_check_run_timers(orr_check *c, const orr_run *run) {
    bool undoes = run->undo != NULL && run->undo->on;
    int64_t bound = orr_after(run->since, run->plan->timeout);
    bool bounded = orr_check_goes(run) && run->plan->timeout > 0 && !undoes && bound > orr_run_now(run);
    bool cleans = orr_check_goes(run) && run->mode == MODE_CLEANUP;
    PROVE(c, run, ORR_NONE, is_ours(c, run->timeout_timer, run, 0, TIMER_RUN),
          "the timer of its timeout is another's");
    PROVE(c, run, ORR_NONE, is_ours(c, run->cleanup_timer, run, 0, TIMER_CLEANUP),
          "the timer of its cleanup is another's");
    PROVE(c, run, ORR_NONE, is_right(c, run->timeout_timer, bounded),
          "the timer of its timeout is missing, or left over");
    /* a second cancel skips the cleanup before its time, and leaves the timer to fire */
    PROVE(c, run, ORR_NONE,
          is_right(c, run->cleanup_timer, cleans) || (run->mode == MODE_SKIP && orr_check_goes(run)),
          "the timer of its cleanup is missing, or left over");
    for (uint32_t node = 0; node < run->plan->n_nodes; node++)
        if (!check_tasks(c, run, node, node, 1)) return false;
    for (uint32_t i = 0; i < run->n_expansions; i++) {
        const orr_expansion *e = &run->expansions[i];
        if (!check_tasks(c, run, e->node, e->first, e->count)) return false;
    }
    return true;
}

/* ---- timers of the core ---------------------------------------------------------------------- */

bool orr_check_timers_left(orr_check *c) {
    const orr_core *core = c->core;
    for (const orr_pool *pool = core->pools; pool != NULL; pool = pool->next)
        PROVE_AT(c, "pool", pool->name, is_ours(c, pool->timer, pool, 0, TIMER_POOL),
                 "its timer is another's");
    for (const orr_breaker *b = core->breakers; b != NULL; b = b->next) {
        PROVE_AT(c, "breaker", b->name, is_ours(c, b->timer, b, 0, TIMER_BREAKER), "its timer is another's");
        PROVE_AT(c, "breaker", b->name, (b->timer != ORR_NONE) == (b->state == BREAKER_OPEN),
                 "the timer that is to half open it is missing, or left over");
    }
    PROVE_AT(c, NULL, NULL, c->timers == core->timers.count, "a timer is set of which nobody knows");
    return true;
}
