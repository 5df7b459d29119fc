/* test_core_waits.c - the bounds of an attempt that waits: they stand still, and what was left of
 * them counts on. The core is driven by hand, one action after the other.
 */
#include "shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct hand {
    orr_core *core;
    orr_plan *plan;
    orr_run *run;
    int64_t now;
} hand;

static bool two_items(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    (void)ud;
    (void)run;
    (void)ask;
    answer->truth = true;
    answer->count = 2;
    return true;
}

static hand take(orr_plan *plan, uint32_t concurrency) {
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL},
                                .hooks = {NULL, two_items, NULL, NULL, NULL},
                                .now = 1};
    orr_run_options run = {.seed = 1, .concurrency = concurrency};
    hand h = {orr_core_new(&options), plan, NULL, 1};
    assert_non_null(h.core);
    h.run = orr_run_new(h.core, plan, &run);
    assert_non_null(h.run);
    orr_run_begin(h.run);
    return h;
}

static void drop(hand *h) {
    orr_run_free(h->run);
    orr_core_free(h->core);
    orr_plan_unref(h->plan);
}

static void pass(hand *h, int64_t by) {
    h->now += by;
    orr_core_advance(h->core, h->now);
}

static void assert_idle(const hand *h) {
    orr_action a;
    if (orr_core_next(h->core, &a)) fail_msg("action %d of node %u is not expected", a.kind, a.task.node);
}

static orr_task expect(const hand *h, orr_action_kind kind) {
    orr_action a;
    if (!orr_core_next(h->core, &a)) fail_msg("there is nothing to do where action %d is expected", kind);
    assert_int_equal(a.kind, kind);
    return a.task;
}

static void finish(const hand *h, const orr_task *task, orr_end end) {
    orr_result result = {.end = end,
                         .port = ORR_PORT_ANY,
                         .error = {.code = "x", .message = "x", .retry_after = -1}};
    assert_int_equal(orr_task_end(h->run, task, &result), ORR_OK);
}

/* Waits a while, by time or until it is woken, and goes on. Nothing is due to it meanwhile. */
static void wait(hand *h, const orr_task *task, int64_t ns, bool by_time) {
    assert_int_equal(orr_task_wait(h->run, task, by_time ? h->now + ns : -1), ORR_OK);
    assert_true(orr_task_due(h->run, task) == INT64_MAX);
    pass(h, ns - 1);
    assert_idle(h);
    pass(h, 1);
    if (!by_time) assert_int_equal(orr_task_wake(h->run, task), ORR_OK);
    orr_task again = expect(h, ORR_ACT_RESUME);
    assert_memory_equal(&again, task, sizeof again);
}

/* The task is asked to stop in exactly so long, for that reason. */
static void assert_bound(hand *h, const orr_task *task, int64_t in, orr_cancel_reason reason) {
    assert_int_equal(orr_task_due(h->run, task) - h->now, in);
    pass(h, in - 1);
    assert_idle(h);
    pass(h, 1);
    expect(h, ORR_ACT_CANCEL);
    assert_int_equal(orr_task_cancelled(h->run, task), reason);
}

/* ---- the attempt's timeout ------------------------------------------------------------------- */

static void what_was_left(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 7 * SECOND};
    (void)state;
    for (int waits = 0; waits <= 3; waits++) {
        for (int by_time = 0; by_time < 2; by_time++) {
            hand h = take(shape(NULL, 1, &p, 0, NULL), 0);
            orr_task task = expect(&h, ORR_ACT_START);
            for (int i = 0; i < waits; i++) {
                pass(&h, 2 * SECOND);
                wait(&h, &task, 100 * SECOND, by_time);
            }
            assert_bound(&h, &task, (7 - 2 * waits) * SECOND, ORR_CANCEL_TIMEOUT);
            drop(&h);
        }
    }
}

/* One that begins to wait in the last nanosecond of its time has that nanosecond left. */
static void the_last_nanosecond(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 7 * SECOND};
    (void)state;
    hand h = take(shape(NULL, 1, &p, 0, NULL), 0);
    orr_task task = expect(&h, ORR_ACT_START);
    pass(&h, 7 * SECOND - 1);
    wait(&h, &task, SECOND, true);
    assert_bound(&h, &task, 1, ORR_CANCEL_TIMEOUT);
    assert_int_equal(orr_task_wait(h.run, &task, -1), ORR_ESTATE);
    drop(&h);
}

/* The time in which it stands in line for a slot, when its wait is over, does not count either. */
static void in_line_for_a_slot(void **state) {
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .timeout = 7 * SECOND}, PLAIN};
    (void)state;
    hand h = take(shape(NULL, 2, p, 0, NULL), 1);
    orr_task task = expect(&h, ORR_ACT_START);
    pass(&h, 3 * SECOND);
    assert_int_equal(orr_task_wait(h.run, &task, h.now + SECOND), ORR_OK);
    orr_task other = expect(&h, ORR_ACT_START);
    assert_int_equal(other.node, 1);
    pass(&h, 60 * SECOND);
    assert_idle(&h);
    finish(&h, &other, ORR_END_COMPLETED);
    expect(&h, ORR_ACT_RESUME);
    assert_bound(&h, &task, 4 * SECOND, ORR_CANCEL_TIMEOUT);
    drop(&h);
}

/* Each item has a time of its own. */
static void of_an_item(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 7 * SECOND, .has_each = true};
    (void)state;
    hand h = take(shape(NULL, 1, &p, 0, NULL), 0);
    orr_task one = expect(&h, ORR_ACT_START), two = expect(&h, ORR_ACT_START);
    pass(&h, 3 * SECOND);
    finish(&h, &two, ORR_END_COMPLETED);
    wait(&h, &one, 60 * SECOND, true);
    assert_bound(&h, &one, 4 * SECOND, ORR_CANCEL_TIMEOUT);
    drop(&h);
}

/* Another attempt has the whole time again, whatever the one before it had left. */
static void another_attempt(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 7 * SECOND, .retry = {.max = 1, .delay = SECOND}};
    (void)state;
    hand h = take(shape(NULL, 1, &p, 0, NULL), 0);
    orr_task task = expect(&h, ORR_ACT_START);
    pass(&h, 3 * SECOND);
    wait(&h, &task, SECOND, true);
    finish(&h, &task, ORR_END_FAILED);
    pass(&h, SECOND);
    task = expect(&h, ORR_ACT_START);
    assert_bound(&h, &task, 7 * SECOND, ORR_CANCEL_TIMEOUT);
    drop(&h);
}

static void of_a_compensation(void **state) {
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL,
                       .timeout = 2 * SECOND,
                       .has_compensate = true,
                       .compensate_timeout = 7 * SECOND},
                      PLAIN};
    shape_edge e[] = {{0, 1}};
    (void)state;
    hand h = take(shape(NULL, 2, p, 1, e), 0);
    orr_task task = expect(&h, ORR_ACT_START);
    finish(&h, &task, ORR_END_COMPLETED);
    task = expect(&h, ORR_ACT_START);
    finish(&h, &task, ORR_END_FAILED);
    task = expect(&h, ORR_ACT_START);
    assert_int_equal(task.node, 0);
    pass(&h, 3 * SECOND);
    wait(&h, &task, 60 * SECOND, true);
    pass(&h, 3 * SECOND);
    wait(&h, &task, 60 * SECOND, false);
    assert_bound(&h, &task, SECOND, ORR_CANCEL_TIMEOUT);
    drop(&h);
}

/* ---- bounds that count otherwise ------------------------------------------------------------- */

/* Silence is not counted in a wait, and going on is a sign of life. */
static void heartbeat(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .heartbeat = 3 * SECOND};
    (void)state;
    for (int waits = 0; waits <= 3; waits++) {
        hand h = take(shape(NULL, 1, &p, 0, NULL), 0);
        orr_task task = expect(&h, ORR_ACT_START);
        for (int i = 0; i < waits; i++) {
            pass(&h, 2 * SECOND);
            wait(&h, &task, 100 * SECOND, i % 2 == 0);
        }
        assert_bound(&h, &task, 3 * SECOND, ORR_CANCEL_HEARTBEAT);
        drop(&h);
    }
}

/* A sign of life from before the wait winds nothing after it. */
static void heartbeat_from_before(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .heartbeat = 3 * SECOND};
    (void)state;
    hand h = take(shape(NULL, 1, &p, 0, NULL), 0);
    orr_task task = expect(&h, ORR_ACT_START);
    pass(&h, 2 * SECOND);
    assert_int_equal(orr_task_heartbeat(h.run, &task), ORR_OK);
    pass(&h, 2 * SECOND);
    assert_idle(&h);
    wait(&h, &task, SECOND, true);
    pass(&h, 2 * SECOND);
    assert_int_equal(orr_task_heartbeat(h.run, &task), ORR_OK);
    pass(&h, SECOND); /* the timer finds the sign of life, 1 s old */
    assert_bound(&h, &task, 2 * SECOND, ORR_CANCEL_HEARTBEAT);
    drop(&h);
}

/* A node's deadline does not stand still. */
static void deadline(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 7 * SECOND, .deadline = 20 * SECOND};
    (void)state;
    hand h = take(shape(NULL, 1, &p, 0, NULL), 0);
    orr_task task = expect(&h, ORR_ACT_START);
    pass(&h, 2 * SECOND);
    assert_int_equal(orr_task_wait(h.run, &task, h.now + 100 * SECOND), ORR_OK);
    assert_bound(&h, &task, 18 * SECOND, ORR_CANCEL_DEADLINE);
    drop(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_left),      cmocka_unit_test(the_last_nanosecond),
        cmocka_unit_test(in_line_for_a_slot), cmocka_unit_test(of_an_item),
        cmocka_unit_test(another_attempt),    cmocka_unit_test(of_a_compensation),
        cmocka_unit_test(heartbeat),          cmocka_unit_test(heartbeat_from_before),
        cmocka_unit_test(deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
