/* test_core_check.c - each kind of thing that orr_core_check proves is spoiled once, and it says
 * so.
 *
 * A core that was spoiled cannot be freed as others are: all its memory lies in an arena that
 * goes as a whole. */
#include "checked_core.h"
#include "shape.h"

#include "core/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- memory ---------------------------------------------------------------------------------- */

static _Alignas(16) unsigned char arena[1 << 20];
static size_t arena_used;

static void *from_arena(void *ud, void *ptr, size_t osize, size_t nsize) {
    (void)ud;
    if (nsize <= osize) return nsize > 0 ? ptr : NULL;
    assert_true(nsize < sizeof arena - arena_used);
    unsigned char *p = arena + arena_used;
    arena_used += (nsize + 15) & ~(size_t)15;
    if (ptr != NULL) memcpy(p, ptr, osize);
    return p;
}

/* ---- scenes ---------------------------------------------------------------------------------- */

static orr_core *core;
static orr_run *run, *other;
static orr_plan *plans[2];

/* The nodes of the busy scene. */
enum { DONE, A, POOLED, SLEEPS, READY, LIST, LATER, N_NODES, ITEM = N_NODES };

static bool evaluate(void *ud, orr_run *of, const orr_ask *ask, orr_answer *answer) {
    (void)ud, (void)of, (void)ask;
    answer->truth = true;
    answer->count = 2;
    return true;
}

static void on_event(void *ud, const orr_event *event) {
    (void)ud, (void)event;
}

static orr_run *start(orr_plan *plan) {
    orr_run *r = orr_run_new(core, plan, &(orr_run_options){.seed = 1});
    assert_non_null(r);
    orr_run_begin(r);
    return r;
}

static void begin(orr_plan *plan) {
    orr_core_options options = {.alloc = {from_arena, NULL},
                                .hooks = {NULL, evaluate, NULL, on_event, NULL},
                                .now = 1};
    arena_used = 0;
    core = orr_core_new(&options);
    assert_non_null(core);
    orr_core_listen(core, ORR_EV_BIT(ORR_EV_LAYER_COMPLETED));
    assert_int_equal(orr_core_pool(core, "p", 1, 0, 0), ORR_OK);
    assert_int_equal(orr_core_breaker(core, "b", &(orr_breaker_options){.threshold = 1, .cooldown = SECOND}),
                     ORR_OK);
    plans[0] = plan;
    plans[1] = shape(NULL, 1, (orr_policy[]){PLAIN}, 0, NULL);
    other = start(plans[1]);
    orr_run_pause(other); /* it keeps out of the way of the other */
    run = start(plan);
}

/* The plans are not in the arena: ours, and what the runs hold of them. */
static void forget(void) {
    for (int i = 0; i < 4; i++) orr_plan_unref(plans[i % 2]);
}

static void starts(uint32_t node) {
    orr_action a;
    assert_true(orr_core_next(core, &a));
    assert_int_equal(a.kind, ORR_ACT_START);
    assert_int_equal(a.task.node, node);
}

static orr_task task(uint32_t node, uint32_t attempt) {
    return (orr_task){node, ORR_NONE, 0, attempt};
}

static void ends(uint32_t node, uint32_t attempt, orr_end how) {
    orr_task t = task(node, attempt);
    orr_result r = {.end = how, .port = ORR_PORT_ANY, .error = {"code", "message", false, -1, 0}};
    assert_int_equal(orr_task_end(run, &t, &r), ORR_OK);
}

/* One node has completed, one runs with every timer there is, one waits for its place in a pool,
 * one sleeps, one is ready, one has two items, and one waits for the first two. */
static void busy(void) {
    orr_policy bound = {.priority = ORR_PRIO_HIGH, .pool = "p", .timeout = SECOND, .heartbeat = SECOND};
    orr_policy p[N_NODES] = {[DONE] = {.priority = ORR_PRIO_CRITICAL},
                             [A] = bound,
                             [POOLED] = {.priority = ORR_PRIO_NORMAL, .pool = "p"},
                             [SLEEPS] = {.priority = ORR_PRIO_HIGH},
                             [READY] = PLAIN,
                             [LIST] = {.priority = ORR_PRIO_LOW, .has_each = true},
                             [LATER] = PLAIN};
    p[A].deadline = 9 * SECOND;
    orr_plan_options options = {.name = "busy", .timeout = 99 * SECOND};
    shape_edge e[] = {{DONE, LATER}, {A, LATER}};
    begin(shape(&options, N_NODES, p, 2, e));
    starts(DONE);
    starts(A);
    starts(SLEEPS);
    ends(DONE, 1, ORR_END_COMPLETED);
    orr_task sleeps = task(SLEEPS, 1);
    assert_int_equal(orr_task_wait(run, &sleeps, 5 * SECOND), ORR_OK);
}

static void cancelled(void) {
    busy();
    orr_run_cancel(run);
}

static void over(void) {
    begin(shape(NULL, 1, (orr_policy[]){PLAIN}, 0, NULL));
    starts(0);
    ends(0, 1, ORR_END_COMPLETED);
}

static void undoing(void) {
    orr_policy done = {.priority = ORR_PRIO_NORMAL, .has_compensate = true};
    begin(shape(NULL, 3, (orr_policy[]){done, done, PLAIN}, 2, (shape_edge[]){{0, 1}, {1, 2}}));
    for (uint32_t node = 0; node < 3; node++) {
        starts(node);
        ends(node, 1, node < 2 ? ORR_END_COMPLETED : ORR_END_FAILED);
    }
}

/* One waits and keeps its place, the other wants it. */
static void keeping(void) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "p", .pool_hold = true};
    begin(shape(NULL, 2, (orr_policy[]){p, p}, 0, NULL));
    starts(0);
    orr_task waits = task(0, 1);
    assert_int_equal(orr_task_wait(run, &waits, -1), ORR_OK);
}

static void held(void) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "b", .retry = {.max = 9}};
    orr_action a;
    begin(shape(NULL, 1, &p, 0, NULL));
    starts(0);
    ends(0, 1, ORR_END_FAILED);
    assert_false(orr_core_next(core, &a));
    assert_int_equal(core->breakers->n_held, 1);
}

static void probing(void) {
    held();
    orr_core_advance(core, 2 * SECOND);
    starts(0);
    assert_int_equal(core->breakers->probing, 1);
}

/* ---- how each is spoiled --------------------------------------------------------------------- */

static orr_cell *cell(uint32_t t) {
    return &run->cells[t];
}

static orr_more *more(uint32_t t) {
    orr_more *m = orr_more_of(run, t);
    assert_non_null(m);
    return m;
}

static orr_pool *pool(void) {
    return core->pools;
}

/* Nobody would ever go on with it. */
static void park(void) {
    for (uint32_t t = 0; t < run->n_cells; t++) {
        orr_dequeue(run, t);
        orr_release(run, t);
        orr_clear_timers(run, t);
        cell(t)->flags &= (uint8_t)~CELL_LIVE;
        if (t < N_NODES && t != DONE && t != LIST) cell(t)->state = ORR_NODE_PENDING;
    }
    for (uint32_t t = ITEM; t < run->n_cells; t++) cell(t)->state = ORR_NODE_CANCELLED;
    more(LIST)->items_open = 0;
    more(LIST)->items_cancelled = 2;
    cell(LIST)->state = ORR_NODE_RUNNING;
    memset(run->stats.by_state, 0, sizeof run->stats.by_state);
    for (uint32_t t = 0; t < N_NODES; t++) run->stats.by_state[cell(t)->state]++;
    run->live = run->running = run->timed = 0;
}

static void spoil_number_of_state(void) {
    cell(A)->state = 77;
}

static void spoil_lost_data(void) {
    cell(A)->more = 1000;
}

static void spoil_live_while_pending(void) {
    cell(LATER)->flags |= CELL_LIVE;
}

static void spoil_running_without_attempt(void) {
    cell(A)->flags &= (uint8_t)~CELL_LIVE;
}

static void spoil_items_and_attempt(void) {
    cell(LIST)->flags |= CELL_LIVE;
}

static void spoil_undone_in_peace(void) {
    cell(A)->state = ORR_NODE_COMPENSATING;
}

static void spoil_queued_while_pending(void) {
    cell(LATER)->flags |= CELL_QUEUED;
}

static void spoil_ready_in_no_line(void) {
    cell(READY)->flags &= (uint8_t)~CELL_QUEUED;
}

static void spoil_early_all(void) {
    cell(LATER)->flags |= CELL_EARLY;
}

static void spoil_gate_without_outcomes(void) {
    cell(LATER)->flags |= CELL_GATE_SHUT;
}

static void spoil_handled_success(void) {
    cell(DONE)->flags |= CELL_HANDLED;
}

static void spoil_item_with_flags(void) {
    cell(ITEM)->flags |= CELL_HANDLED;
}

static void spoil_item_skipped(void) {
    cell(ITEM)->state = ORR_NODE_SKIPPED;
}

static void spoil_pending(void) {
    cell(LATER)->pending++;
}

static void spoil_completed(void) {
    cell(LATER)->completed--;
}

static void spoil_failed_dependency(void) {
    cell(LATER)->flags |= CELL_FAILED_DEP;
}

static void spoil_completed_after(void) {
    cell(A)->completed++;
}

static void spoil_items_open(void) {
    more(LIST)->items_open--;
}

static void spoil_items_failed(void) {
    more(LIST)->items_failed++;
}

static void spoil_items_cancelled(void) {
    more(LIST)->items_cancelled++;
}

static void spoil_expansion(void) {
    run->expansions[0].first++;
}

static void spoil_cells_of_nobody(void) {
    run->expansions[0].count--;
}

static void spoil_free_data(void) {
    run->n_mores++;
}

static void spoil_by_state(void) {
    run->stats.by_state[ORR_NODE_RUNNING]++;
}

static void spoil_open(void) {
    run->open--;
}

static void spoil_live(void) {
    run->live++;
}

static void spoil_live_cleanup(void) {
    run->live_cleanup++;
}

static void spoil_queued(void) {
    run->queued--;
}

static void spoil_timed(void) {
    run->timed++;
}

static void spoil_running(void) {
    run->running++;
}

static void spoil_peak(void) {
    run->stats.peak_running = 0;
}

static void spoil_layer(void) {
    run->layer_open[0]++;
}

static void spoil_run_state(void) {
    run->state = ORR_RUN_WAITING;
}

static void spoil_deciding(void) {
    run->deciding = true;
}

static void spoil_illegal(void) {
    run->illegal = true;
}

static void spoil_stop_cause(void) {
    run->cause = ORR_STOP_CANCEL;
}

static void spoil_first_failure(void) {
    run->failure_node = DONE;
}

static void spoil_touched_flag(void) {
    cell(LATER)->flags |= CELL_TOUCHED;
}

static void spoil_touched_list(void) {
    run->touched_head = run->touched_tail = A;
}

static void spoil_touched_tail(void) {
    run->touched_tail = A;
}

static void spoil_line_head(void) {
    run->line.head[ORR_PRIO_NORMAL] = ORR_NONE;
}

static void spoil_line_tail(void) {
    run->line.tail[ORR_PRIO_NORMAL] = A;
}

static void spoil_line_count(void) {
    run->line.count++;
}

static void spoil_line_circle(void) {
    cell(READY)->next = READY;
}

static void spoil_line_priority(void) {
    run->line.head[0] = run->line.tail[0] = READY;
    run->line.head[ORR_PRIO_NORMAL] = run->line.tail[ORR_PRIO_NORMAL] = ORR_NONE;
}

static void spoil_line_pool(void) {
    more(POOLED)->pool = NULL;
}

static void spoil_ring_left(void) {
    orr_line_leave(&core->ready, &run->line);
}

static void spoil_ring_paused(void) {
    run->paused = true;
}

static void spoil_ring_back(void) {
    run->line.prev[ORR_PRIO_NORMAL] = &other->line;
}

static void spoil_ring_of_core(void) {
    core->ready.at[ORR_PRIO_NORMAL] = NULL;
}

static void spoil_pool_ring(void) {
    pool()->ring.at[ORR_PRIO_NORMAL] = NULL;
}

static void spoil_pool_waiting(void) {
    pool()->waiting++;
}

static void spoil_pool_used(void) {
    pool()->used++;
}

static void spoil_pools_waiting(void) {
    core->pools_waiting = 0;
}

static void spoil_pool_place(void) {
    more(A)->holds_pool = false;
}

static void spoil_pool_place_kept(void) {
    more(POOLED)->holds_pool = true;
}

static void spoil_kept_place(void) {
    more(0)->holds_pool = false;
    pool()->used--;
    pool()->held--;
}

static void spoil_kept_line(void) {
    run->lines->kept = true;
}

static void spoil_kept_count(void) {
    pool()->held++;
}

static void spoil_owed(void) {
    more(0)->owed = true;
}

static void spoil_owed_and_free(void) {
    pool()->owed = 1;
    pool()->max = 2;
}

static void spoil_pool_list(void) {
    pool()->prev = pool();
}

static void spoil_timeout_missing(void) {
    orr_timer_off(core, &more(A)->attempt_timer);
}

static void spoil_heartbeat_missing(void) {
    orr_timer_off(core, &more(A)->beat_timer);
}

static void spoil_deadline_missing(void) {
    orr_timer_off(core, &more(A)->deadline_timer);
}

static void spoil_deadline_moved(void) {
    more(A)->deadline++;
}

static void spoil_wake_missing(void) {
    orr_timer_off(core, &more(SLEEPS)->wake_timer);
}

static void spoil_wake_moved(void) {
    more(SLEEPS)->due++;
}

static void spoil_wake_left(void) {
    orr_timer_on(core, &more(A)->wake_timer, 9 * SECOND, run, A, TIMER_WAKE);
}

static void spoil_grace_left(void) {
    orr_timer_on(core, &more(A)->grace_timer, 9 * SECOND, run, A, TIMER_GRACE);
}

static void spoil_timer_of_another(void) {
    more(A)->attempt_timer = more(A)->beat_timer;
}

static void spoil_timer_of_nobody(void) {
    orr_timers_add(&core->timers, 9 * SECOND, run, A, TIMER_WAKE);
}

static void spoil_run_timeout(void) {
    orr_timer_off(core, &run->timeout_timer);
}

static void spoil_run_cleanup(void) {
    orr_timer_on(core, &run->cleanup_timer, SECOND, run, 0, TIMER_CLEANUP);
}

static void spoil_heap_order(void) {
    core->timers.heap[0].time = INT64_MAX;
}

static void spoil_heap_id(void) {
    core->timers.where[core->timers.id_at[0]] = 1;
}

static void spoil_heap_count(void) {
    core->timers.used = 0;
}

static void spoil_heap_free(void) {
    core->timers.free_id = core->timers.id_at[0];
}

static void spoil_runs_back(void) {
    core->runs->next->prev = NULL;
}

static void spoil_actions_lost(void) {
    core->act_run = NULL;
}

static void spoil_actions_none(void) {
    more(A)->act_cancel = false;
}

static void spoil_actions_last(void) {
    core->act_last_task = DONE;
}

static void spoil_actions_circle(void) {
    more(A)->act_run = run;
    more(A)->act_task = A;
}

static void spoil_grace_missing(void) {
    orr_timer_off(core, &more(A)->grace_timer);
}

static void spoil_stall(void) {
    park();
}

static void spoil_not_ended(void) {
    run->ended = false;
    run->state = ORR_RUN_RUNNING;
}

static void spoil_end_list(void) {
    core->end_tail = other;
}

static void spoil_end_early(void) {
    run->end_next = core->end_tail = other;
}

static void spoil_end_circle(void) {
    run->end_next = run;
}

static void spoil_ended_with_nodes(void) {
    cell(0)->state = ORR_NODE_PENDING;
    run->stats.by_state[ORR_NODE_PENDING]++;
    run->stats.by_state[ORR_NODE_COMPLETED]--;
    run->open++;
    run->layer_open[0]++;
}

static void spoil_undo_too_many(void) {
    run->undo->left = 9;
}

static void spoil_undo_no_task(void) {
    run->undo->tasks[0] = 99;
}

static void spoil_undo_no_compensation(void) {
    run->undo->tasks[0] = 2;
}

static void spoil_undo_unasked(void) {
    run->undo->queued = false;
}

static void spoil_undo_forgotten(void) {
    run->undo->queued = run->undo->due = false;
}

static void spoil_undo_not_due(void) {
    run->undo->due = false;
}

static void spoil_undo_step(void) {
    run->undo->step = UNDO_LIVE;
}

static void spoil_undo_items(void) {
    more(0)->undo_open++;
}

static void spoil_undo_list(void) {
    core->undo_head = core->undo_tail = NULL;
}

static void spoil_undo_tail(void) {
    core->undo_tail = other;
}

static void spoil_undo_skipped(void) {
    run->undo->left--;
}

static void spoil_breaker_timer(void) {
    orr_timer_off(core, &core->breakers->timer);
}

static void spoil_breaker_room(void) {
    core->breakers->n_failures = 99;
}

static void spoil_breaker_lost(void) {
    core->breakers->n_held = 0;
}

static void spoil_breaker_twice(void) {
    core->breakers->held[core->breakers->n_held++] = core->breakers->held[0];
}

static void spoil_breaker_closed(void) {
    core->breakers->state = BREAKER_CLOSED;
}

static void spoil_breaker_no_task(void) {
    core->breakers->held[0].task = 99;
}

static void spoil_breaker_probes(void) {
    core->breakers->probing++;
}

static void spoil_breaker_not_live(void) {
    more(0)->breaker = NULL;
}

typedef struct spoilt {
    void (*scene)(void);
    void (*spoil)(void);
    const char *says;
} spoilt;

static const spoilt all[] = {
    {busy, spoil_number_of_state, "its state is none of the table"},
    {busy, spoil_lost_data, "the rest of its data lies outside"},
    {busy, spoil_live_while_pending, "an attempt is under way in a state that has none"},
    {busy, spoil_running_without_attempt, "it is running, but no attempt is under way"},
    {busy, spoil_items_and_attempt, "it has items, and an attempt of its own"},
    {busy, spoil_undone_in_peace, "in a run that does not compensate"},
    {busy, spoil_queued_while_pending, "it stands in line, but is not ready"},
    {busy, spoil_ready_in_no_line, "it is ready, but stands in no line"},
    {busy, spoil_early_all, "its join may be decided early, but waits for all"},
    {busy, spoil_gate_without_outcomes, "a gate is shut in a plan without outcomes"},
    {busy, spoil_handled_success, "its failure is handled, but it did not fail"},
    {busy, spoil_item_with_flags, "it is an item and has flags of nodes"},
    {busy, spoil_item_skipped, "it is an item in a state of nodes"},
    {busy, spoil_pending, "the number of its dependencies that have not settled is wrong"},
    {busy, spoil_completed, "the number of its dependencies that completed is wrong"},
    {busy, spoil_failed_dependency, "its flags do not say whether a dependency failed"},
    {busy, spoil_completed_after, "it counts more completed dependencies than there are"},
    {busy, spoil_items_open, "the number of its items that have not settled is wrong"},
    {busy, spoil_items_failed, "the number of its items that failed is wrong"},
    {busy, spoil_items_cancelled, "the number of its items that were cancelled is wrong"},
    {busy, spoil_expansion, "its items do not stand behind those of the list before"},
    {busy, spoil_cells_of_nobody, "some cells are neither nodes nor items"},
    {busy, spoil_free_data, "two of its tasks share the rest of their data"},
    {busy, spoil_by_state, "the number of its nodes in one of the states is wrong"},
    {busy, spoil_open, "the number of its nodes that have not settled is wrong"},
    {busy, spoil_live, "the number of its attempts under way is wrong"},
    {busy, spoil_live_cleanup, "the number of its attempts of cleanup nodes is wrong"},
    {busy, spoil_queued, "the number of its tasks in line is wrong"},
    {busy, spoil_timed, "the number of its tasks that wait is wrong"},
    {busy, spoil_running, "the number of its tasks that run is wrong"},
    {busy, spoil_peak, "more of its tasks run than ever before"},
    {busy, spoil_layer, "the number of nodes left in one of its layers is wrong"},
    {over, spoil_run_state, "its state is none that is recorded"},
    {busy, spoil_deciding, "it is still deciding what follows"},
    {busy, spoil_illegal, "a transition was made that the table does not have"},
    {busy, spoil_stop_cause, "its mode does not say whether something stopped it"},
    {busy, spoil_first_failure, "the node of its first failure did not fail"},
    {busy, spoil_touched_flag, "a touched node stands outside the list"},
    {busy, spoil_touched_list, "it stands in the list of touched nodes, but is not touched"},
    {busy, spoil_touched_tail, "its list of touched nodes has another last node"},
    {busy, spoil_line_head, "one of its lines has another last task"},
    {busy, spoil_line_tail, "one of its lines has another last task"},
    {busy, spoil_line_count, "the number of tasks in one of its lines is wrong"},
    {busy, spoil_line_circle, "it stands in a line that is longer than it says"},
    {busy, spoil_line_priority, "it stands in a line of another priority"},
    {busy, spoil_line_pool, "it stands in a line of another pool"},
    {busy, spoil_ring_left, "one of its lines has tasks, but does not stand in the ring"},
    {busy, spoil_ring_paused, "stands in the ring without a task that may start"},
    {busy, spoil_ring_back, "the ring of one of its lines does not lead back"},
    {busy, spoil_ring_of_core, "a line of ready tasks does not stand in the ring"},
    {busy, spoil_pool_ring, "the number of tasks that wait for it is wrong"},
    {busy, spoil_pool_waiting, "pool 'p': the number of tasks that wait for it is wrong"},
    {busy, spoil_pool_used, "a pool has lent another number of places than tasks hold"},
    {busy, spoil_pools_waiting, "the number of pools with tasks in line is wrong"},
    {busy, spoil_pool_place, "it runs without a place in its pool"},
    {busy, spoil_pool_place_kept, "it has a place in its pool, but does not run"},
    {keeping, spoil_kept_place, "it has lost the place that it keeps"},
    {keeping, spoil_kept_line, "it has a place and stands in line for one, or the other way round"},
    {keeping, spoil_kept_count,
     "a pool counts another number of places that tasks keep or are owed than there are"},
    {keeping, spoil_owed, "it is owed a place that it did not have"},
    {keeping, spoil_owed_and_free, "it owes a place and has one"},
    {busy, spoil_pool_list, "pool 'p': the list of pools does not lead back from it"},
    {busy, spoil_timeout_missing, "the timer of its attempt's timeout is missing, or left over"},
    {busy, spoil_heartbeat_missing, "the timer of its heartbeat is missing, or left over"},
    {busy, spoil_deadline_missing, "the timer of its deadline is missing, or left over"},
    {busy, spoil_deadline_moved, "the timer of its deadline has another time"},
    {busy, spoil_wake_missing, "the timer that is to wake it is missing, or left over"},
    {busy, spoil_wake_moved, "it is woken at another time than it is due"},
    {busy, spoil_wake_left, "the timer that is to wake it is missing, or left over"},
    {busy, spoil_grace_left, "the timer of its grace is missing, or left over"},
    {busy, spoil_timer_of_another, "one of its timers is another's, or none"},
    {busy, spoil_timer_of_nobody, "core: a timer is set of which nobody knows"},
    {busy, spoil_run_timeout, "the timer of its timeout is missing, or left over"},
    {busy, spoil_run_cleanup, "the timer of its cleanup is missing, or left over"},
    {busy, spoil_heap_order, "core: a timer stands behind one that is due later"},
    {busy, spoil_heap_id, "core: a timer's id leads to another timer"},
    {busy, spoil_heap_count, "core: the number of timers is wrong"},
    {busy, spoil_heap_free, "core: the list of free ids of timers is broken"},
    {busy, spoil_runs_back, "the list of runs does not lead back from it"},
    {cancelled, spoil_actions_lost, "a task with an action stands outside the list of actions"},
    {cancelled, spoil_actions_none, "it stands in the list of actions, but has no action"},
    {cancelled, spoil_actions_last, "the list of actions has another last task"},
    {cancelled, spoil_actions_circle, "the list of actions comes back to it"},
    {cancelled, spoil_grace_missing, "the timer of its grace is missing, or left over"},
    {busy, spoil_stall, "nothing of it runs, waits or is due"},
    {over, spoil_not_ended, "all its nodes have settled, but it has not ended"},
    {over, spoil_end_list, "the list of runs that ended has another last run"},
    {over, spoil_end_early, "it stands in the list of runs that ended, but has not"},
    {over, spoil_end_circle, "the list of runs that ended comes back to it"},
    {over, spoil_ended_with_nodes, "it has ended, but nodes are left"},
    {undoing, spoil_undo_too_many, "more is to be undone than was noted"},
    {undoing, spoil_undo_no_task, "a note of what is to be undone is of no task"},
    {undoing, spoil_undo_no_compensation, "it is noted to be undone, but has no compensation"},
    {undoing, spoil_undo_unasked, "its compensation is to start, but the run stands in no list"},
    {undoing, spoil_undo_forgotten, "the turn of its next compensation was forgotten"},
    {undoing, spoil_undo_not_due, "it stands in the list of compensations, but none is to start"},
    {undoing, spoil_undo_step, "the step of its compensation does not say"},
    {undoing, spoil_undo_items, "the number of items to be undone of one of its nodes is wrong"},
    {undoing, spoil_undo_list, "a run whose compensation is to start stands outside the list"},
    {undoing, spoil_undo_tail, "the list of compensations has another last run"},
    {undoing, spoil_undo_skipped, "its turn to be undone is over, but it was not"},
    {held, spoil_breaker_timer, "breaker 'b': the timer that is to half open it is missing"},
    {held, spoil_breaker_room, "breaker 'b': it counts more failures than it has room for"},
    {held, spoil_breaker_lost, "core: a task waits for a breaker that does not hold it back"},
    {held, spoil_breaker_twice, "core: a task waits for a breaker that does not hold it back"},
    {held, spoil_breaker_closed, "breaker 'b': it lets attempts through, but holds tasks back"},
    {held, spoil_breaker_no_task, "breaker 'b': it holds back what is no task"},
    {probing, spoil_breaker_probes, "core: a half open breaker counts another number of probes"},
    {probing, spoil_breaker_not_live, "core: a half open breaker counts another number of probes"},
};

static void each_is_named(void **state) {
    uint32_t wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char text[512] = "as it was";
        all[i].scene();
        if (!orr_core_check(core, text, sizeof text)) fail_msg("before %s: %s", all[i].says, text);
        assert_string_equal(text, "");
        all[i].spoil();
        bool found = !orr_core_check(core, text, sizeof text);
        if (!found || strstr(text, all[i].says) == NULL) {
            print_error("%s, expected: %s\n", found ? text : "nothing was found", all[i].says);
            wrong++;
        }
        forget();
    }
    assert_int_equal(wrong, 0);
}

/* The sentence names the run, the node and the item, and ends where its room does. */
static void names(void **state) {
    char text[512], small[8];
    (void)state;
    busy();
    memcpy(run->id, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16);
    cell(LATER)->pending++;
    assert_false(orr_core_check(core, text, sizeof text));
    assert_string_equal(text, "run 01234567-89ab-cdef-0123-456789abcdef, node 6 'g': the number of its "
                              "dependencies that have not settled is wrong");
    assert_false(orr_core_check(core, small, sizeof small));
    assert_string_equal(small, "run 012");
    cell(LATER)->pending--;
    cell(ITEM)->flags |= CELL_EARLY;
    assert_false(orr_core_check(core, text, sizeof text));
    assert_string_equal(text, "run 01234567-89ab-cdef-0123-456789abcdef, node 5 'f', item 0: it is an item "
                              "and has flags of nodes");
    forget();
}

#ifndef ORR_CHECK /* which stops at once */
/* A step that the table does not have: the run fails and says where, and all else goes on. */
static void illegal_step(void **state) {
    orr_error error = {0};
    orr_action a;
    (void)state;
    busy();
    orr_put_woken(run, LATER, ORR_NODE_RUNNING);
    ends(A, 1, ORR_END_COMPLETED);
    orr_core_advance(core, 99 * SECOND); /* what sleeps is abandoned when its grace is over */
    while (orr_core_next(core, &a)) assert_int_not_equal(a.kind, ORR_ACT_START);
    assert_int_equal(orr_run_get_state(run), ORR_RUN_FAILED);
    orr_run_failure(run, &error);
    assert_string_equal(error.code, "internal_error");
    assert_non_null(strstr(error.message, "a transition that its table does not have (runtime/core/fold.c:"));
    orr_run_resume(other);
    starts(0);
    forget();
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
#ifndef ORR_CHECK
        cmocka_unit_test(illegal_step),
#endif
        cmocka_unit_test(each_is_named), cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
