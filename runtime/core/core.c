/* core.c - the core itself: time, and what to do next. */
#include "core/inner.h"

/* ---- making and freeing ---------------------------------------------------------------------- */

static const int64_t default_grace = INT64_C(5000000000);
static const uint32_t default_crash_limit = 3;

orr_core *orr_core_new(const orr_core_options *options) {
    orr_core *core = orr_mem_new(&options->alloc, 1, sizeof *core);
    if (core == NULL) return NULL;
    core->alloc = options->alloc;
    core->hooks = options->hooks;
    core->now = options->now;
    core->grace = options->grace > 0 ? options->grace : default_grace;
    core->crash_limit = options->crash_limit > 0 ? options->crash_limit : default_crash_limit;
    orr_timers_init(&core->timers, core->alloc);
    return core;
}

void orr_core_free(orr_core *core) {
    if (core == NULL) return;
    core->hooks.event = NULL;
    core->hooks.record = NULL;
    while (core->runs != NULL) orr_run_free(core->runs);
    while (core->pools != NULL) orr_pool_destroy(core->pools);
    while (core->breakers != NULL) {
        orr_breaker *b = core->breakers;
        core->breakers = b->next;
        orr_breaker_destroy(b);
    }
    orr_timers_free(&core->timers);
    orr_alloc alloc = core->alloc;
    orr_mem_free(&alloc, core, 1, sizeof *core);
}

void orr_core_listen(orr_core *core, uint32_t mask) {
    core->listen = mask;
}

void orr_core_record(orr_core *core, void (*record)(void *ud, orr_run *run, const orr_record *record)) {
    core->hooks.record = record;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Each timer sees its own time as the present one, so that a late call gives the same history as
 * a timely one. */
bool orr_core_advance_some(orr_core *core, int64_t now, uint32_t limit) {
    orr_timer timer;
    uint32_t id;
    for (; orr_timers_deadline(&core->timers) <= now && orr_timers_first(&core->timers, &timer, &id);
         limit--) {
        if (limit == 0) return false;
        orr_timers_remove(&core->timers, id);
        if (timer.time > core->now) core->now = timer.time;
        orr_fire(core, &timer);
    }
    if (now > core->now) core->now = now;
    ORR_CHECKED(core);
    return true;
}

void orr_core_advance(orr_core *core, int64_t now) {
    while (!orr_core_advance_some(core, now, UINT32_MAX)) {
    }
}

int64_t orr_core_now(const orr_core *core) {
    return core->now;
}

int64_t orr_core_deadline(const orr_core *core) {
    return orr_timers_deadline(&core->timers);
}

/* ---- starting -------------------------------------------------------------------------------- */

static void act(orr_action *action, orr_action_kind kind, orr_run *run, uint32_t t) {
    action->kind = kind;
    action->run = run;
    action->task = orr_task_of(run, t);
    action->seq = run->seq;
    action->phase = ORR_PHASE_RUN;
    action->reason = ORR_CANCEL_NONE;
    action->next = action->later = ORR_NONE;
}

/* An open breaker is not an attempt: a node that would be retried waits for it, any other fails
 * at once. */
static void refuse(orr_run *run, uint32_t t, orr_breaker *b) {
    static const orr_error error = {"circuit_open", "its breaker is open: what it calls has failed too often",
                                    false, -1, 0};
    if (orr_retry_choose(run, t, &error).retry == NULL || orr_need_more(run, t) == NULL ||
        !orr_breaker_hold(b, run, t)) {
        orr_give_up(run, t, &error);
    } else {
        orr_put_held(run, t);
        orr_rest(run, t); /* its keyed pool may go meanwhile */
        orr_event e = {.due = orr_run_time(run, b->until), .name = b->name};
        orr_emit(run, ORR_EV_NODE_WAITING, t, &e);
    }
    orr_decide(run);
}

static void take_place(orr_run *run, uint32_t t, bool token) {
    const orr_more *more = orr_more_of(run, t);
    if (more != NULL && more->pool != NULL) orr_pool_take(run, t, token);
}

static void go_on(orr_run *run, uint32_t t, orr_action *action) {
    orr_more *more = orr_more_of(run, t);
    more->resuming = false;
    take_place(run, t, false);
    orr_put_woken(run, t, ORR_NODE_RUNNING);
    if (!orr_arm_attempt(run, t, orr_policy_of(run, orr_node_of(run, t)), more->left))
        orr_cancel_live(run, t, ORR_CANCEL_TIMEOUT); /* without a timer it could run for ever */
    orr_emit(run, ORR_EV_NODE_RESUMED, t, NULL);
    act(action, ORR_ACT_RESUME, run, t);
}

/* It is the task's turn. Where it is refused or fails, the action stays as it was. */
static void begin(orr_run *run, uint32_t t, orr_action *action) {
    orr_more *more = orr_more_of(run, t);
    orr_phase phase = more != NULL ? (orr_phase)more->phase : ORR_PHASE_RUN;
    uint32_t node = orr_node_of(run, t);
    const orr_policy *policy = orr_policy_of(run, node);
    run->cells[t].flags &= (uint8_t)~CELL_QUEUED;
    run->queued--;
    if (more != NULL && more->resuming) {
        go_on(run, t, action);
        return;
    }
    orr_breaker *b = phase == ORR_PHASE_RUN ? orr_breaker_of(run, node) : NULL;
    orr_pass pass = b != NULL ? orr_breaker_ask(b) : PASS_YES;
    if (pass == PASS_NO) {
        refuse(run, t, b);
        return;
    }
    /* what may have to be undone is remembered; the memory for it is taken before it is done */
    bool kept = b != NULL || policy->has_compensate;
    if ((kept && orr_need_more(run, t) == NULL) || !orr_arm_attempt(run, t, policy, policy->timeout)) {
        orr_end_failed(run, t, &orr_no_memory);
        return;
    }
    take_place(run, t, true);
    if (b != NULL) orr_breaker_enter(run, t, b, pass == PASS_PROBE);
    orr_put_started(run, t, phase);
    if ((more = orr_more_of(run, t)) != NULL) more->since = orr_run_time(run, run->core->now);
    if (orr_listens(run->core, ORR_EV_NODE_STARTED)) {
        orr_event e = {.due = -1, .phase = (uint8_t)phase};
        orr_emit(run, ORR_EV_NODE_STARTED, t, &e);
    }
    act(action, ORR_ACT_START, run, t);
    action->seq = orr_early_seq(run, t, policy);
    action->phase = (uint8_t)phase;
}

/* The next task of a ring of a pool, where there is a token for a start. True when one had its
 * turn: the action says whether something came of it. Which pools there are may have changed
 * then, so the caller looks anew. */
static bool from_ring(orr_core *core, orr_pool *pool, orr_ring *ring, orr_priority p, orr_action *action) {
    orr_line *line = orr_ring_pick(ring, p);
    int64_t due;
    if (line == NULL) return false;
    orr_run *run = line->run;
    uint32_t t = line->head[p];
    bool token = orr_more_of(run, t)->resuming || orr_pool_token(pool, &due);
    if (!token && orr_pool_arm(pool, due)) return false;
    if (!token) { /* without a timer nothing would wake it for the next one */
        orr_dequeue(run, t);
        orr_end_failed(run, t, &orr_no_memory);
        return true;
    }
    orr_ring_turn(ring, line, p);
    orr_line_pop(ring, line, p);
    if (--pool->waiting == 0) core->pools_waiting--;
    begin(run, t, action);
    if (run->concurrency > 0) orr_run_gate(run);
    return true;
}

/* Whoever has its place needs none. */
static bool from_pool(orr_core *core, orr_pool *pool, orr_priority p, orr_action *action) {
    return from_ring(core, pool, &pool->kept, p, action) ||
           (orr_pool_free_place(pool) && from_ring(core, pool, &pool->ring, p, action));
}

static bool from_pools(orr_core *core, orr_priority p, orr_action *action) {
    for (orr_pool *pool = core->pools; pool != NULL; pool = pool->next)
        if (pool->waiting > 0 && from_pool(core, pool, p, action)) return true;
    return false;
}

/* The next task in line will have its turn shortly, so what its end will touch is prefetched.
 * Graphs larger than the cache would otherwise wait for memory at every node. */
static void fetch_ahead(const orr_run *run, uint32_t next) {
    const orr_plan *plan = run->plan;
    if (next >= plan->n_nodes) return;
    uint32_t edge = plan->out_first[next];
    if (edge < plan->n_edges) __builtin_prefetch(&run->cells[plan->out_to[edge]], 1);
}

static bool from_lines(orr_core *core, orr_priority p, orr_action *action) {
    orr_line *line = core->ready.at[p];
    if (line == NULL) return false;
    orr_run *run = line->run;
    orr_ring_turn(&core->ready, line, p);
    uint32_t t = run->links == NULL ? orr_line_shift(&core->ready, line, p)
                                    : orr_line_pop(&core->ready, line, p);
    fetch_ahead(run, line->head[p]);
    if (run->cells[t].more == ORR_NONE && orr_takes_fast_path(run)) {
        orr_fast_path_start(run, t, action);
        return true;
    }
    begin(run, t, action);
    if (run->concurrency > 0) orr_run_gate(run);
    return true;
}

/* ---- messages to the caller ------------------------------------------------------------------ */

static bool take_request(orr_core *core, orr_action *action) {
    orr_run *run = core->act_run;
    uint32_t t = core->act_task;
    orr_more *more = orr_more_of(run, t);
    core->act_run = more->act_run;
    core->act_task = more->act_task;
    act(action, more->act_abandon ? ORR_ACT_ABANDON : ORR_ACT_CANCEL, run, t);
    action->reason = more->cancel;
    bool stale = !more->act_abandon && (run->cells[t].flags & CELL_LIVE) == 0;
    more->act_cancel = more->act_abandon = false;
    if (run->cells[t].state == ORR_NODE_COMPLETED && !more->expanded) orr_drop_more(run, t);
    return !stale; /* it ended before it could be asked */
}

static bool take_message(orr_core *core, orr_action *action) {
    while (core->act_run != NULL)
        if (take_request(core, action)) return true;
    orr_run *run = core->end_head;
    if (run == NULL) return false;
    core->end_head = run->end_next;
    if (core->end_head == NULL) core->end_tail = NULL;
    act(action, ORR_ACT_RUN_END, run, ORR_NONE);
    return true;
}

/* ---- what next ------------------------------------------------------------------------------- */

/* All tasks of the run stand in pools that have no places at all, and nothing else of it is
 * under way. */
static bool shut_out(const orr_run *run) {
    uint32_t shut = 0;
    for (const orr_line *line = run->lines; line != NULL; line = line->of_run)
        if (line->pool->max == 0 && !line->pool->paused && !line->kept) shut += line->count;
    return shut > 0 && shut == run->queued && run->live == 0 && run->timed == 0 && !run->paused &&
           !run->ended && orr_undo_task(run) == ORR_NONE;
}

static bool look_for_stalls(orr_core *core) {
    bool found = false;
    for (orr_run *run = core->runs, *next; run != NULL && core->pools_waiting > 0; run = next) {
        next = run->next;
        if (!shut_out(run)) continue;
        orr_stalled(run);
        found = true;
    }
    return found;
}

/* One task has its turn: the first of the highest priority, those in pools before the others. */
static bool turn(orr_core *core, orr_action *action) {
    bool pools = core->pools_waiting > 0 && !core->pools_stuck;
    for (int p = 0; p < ORR_PRIO_COUNT; p++)
        if ((pools && from_pools(core, (orr_priority)p, action)) || from_lines(core, (orr_priority)p, action))
            return true;
    if (!pools) return false;
    core->pools_stuck = true;
    return look_for_stalls(core) || orr_break_deadlock(core);
}

bool orr_core_next(orr_core *core, orr_action *action) {
    bool any = true;
    action->kind = ORR_ACT_NONE;
    while (any && action->kind == ORR_ACT_NONE && !take_message(core, action)) {
        if (core->undo_head != NULL) orr_compensate_turn(core, action);
        else any = turn(core, action);
    }
    ORR_CHECKED(core);
    return any;
}

/* ---- events of tasks ------------------------------------------------------------------------- */

uint32_t orr_current(const orr_run *run, const orr_task *task) {
    uint32_t t = orr_index(run, task->node, task->item);
    if (t == ORR_NONE || (run->cells[t].flags & CELL_LIVE) == 0 || run->cells[t].attempt != task->attempt)
        return ORR_NONE;
    const orr_more *more = orr_more_of(run, t);
    return (more != NULL ? more->iteration : 0) == task->iteration ? t : ORR_NONE;
}

/* Whether its compensation is at that step; tasks that are current here are live. */
static bool undoing(const orr_run *run, uint32_t t, orr_undo_step step) {
    return run->cells[t].state == ORR_NODE_COMPENSATING && run->undo->step == step;
}

bool orr_task_is_open(const orr_run *run, const orr_task *task) {
    return orr_current(run, task) != ORR_NONE;
}

orr_status orr_task_end(orr_run *run, const orr_task *task, const orr_result *result) {
    uint32_t t = orr_current(run, task);
    if (t == ORR_NONE) return ORR_ESTATE;
    if (result->end == ORR_END_COMPLETED && run->cells[t].more == ORR_NONE && orr_takes_fast_path(run)) {
        orr_fast_path_end(run, t);
        if (run->awaited_by != NULL) run->core->pools_stuck = false; /* see orr_decide */
        ORR_CHECKED(run->core);
        return ORR_OK;
    }
    orr_end_attempt(run, t, result);
    if (run->concurrency > 0) orr_run_gate(run);
    orr_decide(run);
    ORR_CHECKED(run->core);
    return ORR_OK;
}

static orr_status wait(orr_run *run, const orr_task *task, int64_t due, bool for_runs) {
    orr_core *core = run->core;
    uint32_t t = orr_current(run, task);
    if (t == ORR_NONE || (run->cells[t].state != ORR_NODE_RUNNING && !undoing(run, t, UNDO_LIVE)))
        return ORR_ESTATE;
    orr_more *more = orr_need_more(run, t);
    if (more == NULL || orr_timers_reserve(&core->timers, 1) != ORR_OK) return ORR_ENOMEM;
    if (more->cancel != ORR_CANCEL_NONE) return ORR_ESTATE;
    const orr_timer *attempt = orr_timers_get(&core->timers, more->attempt_timer);
    if (attempt == NULL) more->left = 0;
    else if (!run->still) more->left = attempt->time - core->now;
    orr_timer_off(core, &more->attempt_timer);
    orr_timer_off(core, &more->beat_timer);
    orr_put_waiting(run, t, due);
    more->rests = for_runs;
    orr_rest(run, t);
    core->pools_stuck = core->pools_stuck && !for_runs;
    if (due >= 0) orr_run_timer(run, &more->wake_timer, due, t, TIMER_WAKE);
    if (run->concurrency > 0) orr_run_gate(run);
    orr_event e = {.due = orr_shown_due(run, due), .phase = more->phase};
    orr_emit(run, ORR_EV_NODE_WAITING, t, &e);
    ORR_CHECKED(core);
    return ORR_OK;
}

orr_status orr_task_wait(orr_run *run, const orr_task *task, int64_t due) {
    return wait(run, task, due, false);
}

orr_status orr_task_await(orr_run *run, const orr_task *task) {
    return wait(run, task, -1, true);
}

orr_status orr_task_wake(orr_run *run, const orr_task *task) {
    uint32_t t = orr_current(run, task);
    if (t == ORR_NONE || (run->cells[t].state != ORR_NODE_WAITING && !undoing(run, t, UNDO_WAITS)))
        return ORR_ESTATE;
    orr_wake(run, t);
    orr_decide(run);
    ORR_CHECKED(run->core);
    return ORR_OK;
}

orr_status orr_task_heartbeat(orr_run *run, const orr_task *task) {
    uint32_t t = orr_current(run, task);
    orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    if (t == ORR_NONE) return ORR_ESTATE;
    if (more != NULL) more->beat = orr_run_now(run);
    return ORR_OK;
}

orr_cancel_reason orr_task_cancelled(const orr_run *run, const orr_task *task) {
    uint32_t t = orr_current(run, task);
    const orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    return more != NULL ? (orr_cancel_reason)more->cancel : ORR_CANCEL_NONE;
}

static int64_t set_for(const orr_core *core, uint32_t timer) {
    return orr_timers_get(&core->timers, timer)->time;
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t orr_task_due(const orr_run *run, const orr_task *task) {
    uint32_t t = orr_current(run, task);
    const orr_more *more = t != ORR_NONE ? orr_more_of(run, t) : NULL;
    int64_t due = INT64_MAX;
    if (more == NULL) return due;
    const orr_core *core = run->core;
    int64_t heartbeat = orr_policy_of(run, orr_node_of(run, t))->heartbeat;
    if (more->attempt_timer != ORR_NONE)
        due = run->still ? orr_after(core->now, more->left) : set_for(core, more->attempt_timer);
    if (more->beat_timer != ORR_NONE) due = earlier(due, orr_core_due(run, orr_after(more->beat, heartbeat)));
    if (more->deadline_timer != ORR_NONE) due = earlier(due, orr_core_due(run, more->deadline));
    return more->grace_timer != ORR_NONE ? earlier(due, set_for(core, more->grace_timer)) : due;
}
