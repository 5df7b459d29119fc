/* test_core_edges.c - what only shows at an edge: the moment when a deadline comes, an answer that
 * comes for an iteration that is over, an error beside another, a run that is taken up elsewhere.
 */
#include "hand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- iterations ------------------------------------------------------------------------------ */

/* The first attempt of each iteration has the same number: an answer that comes twice must not end
 * the next iteration. */
static void an_answer_for_an_iteration_that_is_over(void **state) {
    hand h = {.until = 3};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .has_loop = true};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, p);
    orr_action first = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_works(&first);
    orr_action second = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(second.task.attempt, first.task.attempt);
    assert_int_equal(second.task.iteration, 1);
    assert_int_equal(hand_end_with(&first, ORR_END_COMPLETED, NULL), ORR_ESTATE);
    assert_int_equal(orr_task_wait(run, &first.task, -1), ORR_ESTATE);
    assert_int_equal(orr_task_heartbeat(run, &first.task), ORR_ESTATE);
    assert_int_equal(orr_run_node_state(run, 0, ORR_NONE), ORR_NODE_RUNNING);
    hand_drop(&h);
}

/* The work was done; that its condition cannot be asked is no reason to do it again. */
static void a_condition_that_fails(void **state) {
    hand h = {.until = 3};
    orr_error error;
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(
        &h, (orr_policy){.priority = ORR_PRIO_NORMAL, .has_loop = true, .retry = {.max = 9}});
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    h.refuses = true;
    hand_works(&a);
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    assert_true(orr_run_error(run, 0, ORR_NONE, &error));
    assert_string_equal(error.code, "asked_in_vain");
    hand_drop(&h);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* An attempt that was asked to stop is bounded by its grace. */
static void due_is_the_end_of_the_grace(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 3 * SECOND};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(orr_task_due(run, &a.task), 3 * SECOND + 1);
    hand_idle_until(&h, 3 * SECOND);
    hand_expect(&h, ORR_ACT_CANCEL, run, 0);
    assert_int_equal(orr_task_due(run, &a.task), 8 * SECOND + 1);
    hand_idle_until(&h, 8 * SECOND);
    hand_expect(&h, ORR_ACT_ABANDON, run, 0);
    hand_drop(&h);
}

/* A node that does not hear its timeout is dropped when its grace is over, and its slot is free. */
static void the_slot_of_one_that_is_dropped(void **state) {
    hand h = {0};
    orr_plan_options o = {.name = "deaf", .on_error = ORR_ON_ERROR_CONTINUE};
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .timeout = 3 * SECOND}, PLAIN};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run(&h, shape(&o, 2, p, 0, NULL), 1);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_idle_until(&h, 3 * SECOND);
    hand_expect(&h, ORR_ACT_CANCEL, run, 0);
    hand_idle_until(&h, 8 * SECOND);
    hand_expect(&h, ORR_ACT_ABANDON, run, 0);
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_drop(&h);
}

/* One that ends by itself in the moment of its timeout is not asked to stop any more. */
static void who_has_ended_is_not_asked_to_stop(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 3 * SECOND};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_pass_to(&h, 3 * SECOND);
    hand_works(&a);
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    hand_drop(&h);
}

/* A wait is no reason not to give signs of life. */
static void a_sign_of_life_while_it_waits(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .heartbeat = 3 * SECOND};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(orr_task_wait(run, &a.task, -1), ORR_OK);
    assert_int_equal(orr_task_heartbeat(run, &a.task), ORR_OK);
    hand_drop(&h);
}

/* The time of a run counts from when it began, not from when it was made. */
static void a_run_that_begins_late(void **state) {
    hand h = {0};
    orr_plan_options o = {.name = "late", .timeout = 5 * SECOND};
    orr_policy p = PLAIN;
    (void)state;
    hand_take(&h);
    h.plans[h.n_runs] = shape(&o, 1, &p, 0, NULL);
    orr_run *run = h.runs[h.n_runs] = orr_run_new(h.core, h.plans[h.n_runs], &(orr_run_options){.seed = 1});
    h.n_runs++;
    hand_pass_to(&h, 10 * SECOND);
    orr_run_begin(run);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_idle_until(&h, 15 * SECOND);
    hand_expect(&h, ORR_ACT_CANCEL, run, 0);
    assert_int_equal(orr_run_cause(run), ORR_STOP_TIMEOUT);
    hand_drop(&h);
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* People count from one. */
static void the_first_item_that_failed(void **state) {
    hand h = {.items = 3};
    orr_error error;
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, (orr_policy){.priority = ORR_PRIO_NORMAL, .has_each = true});
    for (uint32_t i = 0; i < 3; i++) {
        orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
        if (a.task.item == 1) {
            hand_fails(&a);
            break;
        }
        hand_works(&a);
    }
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    assert_true(orr_run_error(run, 0, ORR_NONE, &error));
    assert_string_equal(error.message, "1 of 3 items failed, 0 may; the first is item 2: x");
    hand_drop(&h);
}

/* What is the same at the next try is not tried again. */
static void hopeless_errors(void **state) {
    static const char *const codes[] = {"config_error", "validation_error", "loop_exhausted",
                                        "out_of_memory"};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        hand h = {0};
        hand_take(&h);
        orr_run *run = hand_run_one(&h, (orr_policy){.priority = ORR_PRIO_NORMAL, .retry = {.max = 9}});
        orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
        assert_int_equal(hand_end_with(&a, ORR_END_FAILED, codes[i]), ORR_OK);
        hand_ends_as(&h, run, ORR_RUN_FAILED);
        hand_drop(&h);
    }
}

/* The error of a deadline is that of the last attempt with other words: its handle leads to the
 * details that the attempt gave. */
static void a_deadline_keeps_the_last_error(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        hand h = {0};
        orr_policy p = {.priority = ORR_PRIO_NORMAL,
                        .deadline = 4 * SECOND,
                        .pool = "db",
                        .retry = {.max = 9, .delay = (early ? 10 : 2) * SECOND}};
        orr_error error;
        hand_take(&h);
        orr_core_pool(h.core, "db", 1, 0, 0);
        orr_run *run = hand_run_one(&h, p);
        orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
        orr_core_pool_pause(h.core, "db", true);
        hand_fails(&a);
        if (!early) hand_idle_until(&h, 4 * SECOND);
        hand_ends_as(&h, run, ORR_RUN_FAILED);
        assert_true(orr_run_error(run, 0, ORR_NONE, &error));
        assert_string_equal(error.code, "deadline");
        assert_int_equal(error.value, 77);
        hand_drop(&h);
    }
}

/* A failure that a node was to handle counts once that node was stopped, and it came first. */
static void the_first_failure_of_a_run(void **state) {
    const orr_policy p[] = {PLAIN, PLAIN, PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_FAILED}};
    const shape_edge edges[] = {{0, 3}, {1, 3}};
    hand h = {0};
    orr_error error;
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run(&h, shape(NULL, 4, p, 2, edges), 0);
    orr_action first = hand_expect(&h, ORR_ACT_START, run, 0), other = hand_expect(&h, ORR_ACT_START, run, 1),
               second = hand_expect(&h, ORR_ACT_START, run, 2);
    assert_int_equal(hand_end_with(&first, ORR_END_FAILED, "first"), ORR_OK);
    hand_assert_idle(&h);
    assert_int_equal(hand_end_with(&second, ORR_END_FAILED, "second"), ORR_OK);
    hand_expect(&h, ORR_ACT_CANCEL, run, 1);
    assert_int_equal(hand_end_with(&other, ORR_END_CANCELLED, "cancelled"), ORR_OK);
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    assert_int_equal(h.last.kind, ORR_EV_RUN_FAILED);
    assert_string_equal(h.code, "first");
    assert_int_equal(orr_run_failure(run, &error), 0);
    assert_string_equal(error.code, "first");
    hand_drop(&h);
}

/* An attempt that is due again exactly at the deadline could not do anything. */
static void a_retry_at_the_deadline(void **state) {
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, (orr_policy){.priority = ORR_PRIO_NORMAL,
                                                 .deadline = 4 * SECOND,
                                                 .retry = {.max = 9, .delay = 4 * SECOND}});
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    hand_drop(&h);
}

/* ---- another process ------------------------------------------------------------------------- */

enum { MOST_RECORDS = 32 };

typedef struct journal {
    orr_record records[MOST_RECORDS];
    orr_error errors[MOST_RECORDS];
    uint32_t n;
} journal;

static journal kept;

static void keep(void *ud, orr_run *run, const orr_record *r) {
    (void)ud;
    (void)run;
    assert_true(kept.n < MOST_RECORDS);
    kept.records[kept.n] = *r;
    if (r->error) {
        kept.errors[kept.n] = *r->error; /* its texts are literals here */
        kept.records[kept.n].error = &kept.errors[kept.n];
    }
    kept.n++;
}

/* The run goes on in another core, which is made for it. */
static orr_run *recover_in(hand *h, orr_plan *plan) {
    orr_run *run = orr_run_rebuild(h->core, plan, &(orr_run_options){.seed = 1});
    assert_non_null(run);
    h->plans[h->n_runs] = plan;
    h->runs[h->n_runs++] = run;
    for (uint32_t i = 0; i < kept.n; i++) assert_int_equal(orr_run_fold(run, &kept.records[i]), ORR_OK);
    assert_int_equal(orr_run_recover(run, false), ORR_OK);
    return run;
}

/* The error of a fallback may be one that a policy of the node's attempts would try again. */
static void a_fallback_that_fails_is_the_end(void **state) {
    static const char *const on[] = {"flaky"};
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, (orr_policy){.priority = ORR_PRIO_NORMAL,
                                                 .has_fallback = true,
                                                 .retry = {.max = 9, .on = on, .n_on = 1}});
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(hand_end_with(&a, ORR_END_FAILED, "other"), ORR_OK);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.phase, ORR_PHASE_FALLBACK);
    assert_int_equal(hand_end_with(&a, ORR_END_FAILED, "flaky"), ORR_OK);
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    hand_drop(&h);
}

/* The second attempt of two was cut off by the end of its process. It is to be made again, and one
 * that a breaker refuses meanwhile has not been made: it waits. */
static void an_attempt_that_was_cut_off_is_no_try(void **state) {
    hand h = {0}, other = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 1}};
    (void)state;
    kept.n = 0;
    hand_take(&h);
    orr_core_record(h.core, keep);
    orr_run *run = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_drop(&h);
    hand_take(&other);
    orr_core_breaker(other.core, "api",
                     &(orr_breaker_options){.threshold = 1, .cooldown = 10 * SECOND, .probes = 2});
    orr_run *opens = hand_run_one(&other, (orr_policy){.priority = ORR_PRIO_NORMAL, .breaker = "api"});
    a = hand_expect(&other, ORR_ACT_START, opens, 0);
    hand_fails(&a);
    hand_ends_as(&other, opens, ORR_RUN_FAILED);
    run = recover_in(&other, shape(NULL, 1, &p, 0, NULL));
    hand_assert_idle(&other);
    assert_int_equal(orr_run_node_state(run, 0, ORR_NONE), ORR_NODE_WAITING);
    hand_idle_until(&other, 10 * SECOND);
    a = hand_expect(&other, ORR_ACT_START, run, 0);
    assert_int_equal(a.task.attempt, 2);
    hand_drop(&other);
}

/* A list without items is an output like any other: its record leads to it. */
static void a_list_of_nothing(void **state) {
    hand h = {0};
    (void)state;
    kept.n = 0;
    hand_take(&h);
    orr_core_record(h.core, keep);
    orr_run *run = hand_run_one(&h, (orr_policy){.priority = ORR_PRIO_NORMAL, .has_each = true});
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    uint32_t found = 0;
    for (uint32_t i = 0; i < kept.n; i++) {
        if (kept.records[i].kind != ORR_REC_EXPANDED && kept.records[i].kind != ORR_REC_COMPLETED) continue;
        assert_int_equal(kept.records[i].value, 55);
        found++;
    }
    assert_int_equal(found, 2);
    hand_drop(&h);
}

/* One that is being unwound is not woken any more by what it waited for. */
static void a_wake_after_a_cancel(void **state) {
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run_one(&h, (orr_policy){.priority = ORR_PRIO_NORMAL, .deadline = 3 * SECOND});
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(orr_task_wait(run, &a.task, -1), ORR_OK);
    hand_idle_until(&h, 3 * SECOND);
    hand_expect(&h, ORR_ACT_CANCEL, run, 0);
    orr_task_wake(run, &a.task);
    hand_assert_idle(&h);
    assert_int_equal(hand_end_with(&a, ORR_END_CANCELLED, "cancelled"), ORR_OK);
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    hand_drop(&h);
}

/* ---- chance ---------------------------------------------------------------------------------- */

/* The least and the most of what a backoff of 10 s waits, over many seeds, in seconds. */
static void assert_spread(orr_retry retry, double least, double most) {
    orr_task task = {.node = 1, .item = ORR_NONE, .attempt = 1};
    double low = 1e9, high = 0;
    for (uint64_t seed = 0; seed < 4000; seed++) {
        double s = (double)orr_retry_delay(&retry, seed, &task) / 1e9;
        if (s < low) low = s;
        if (s > high) high = s;
    }
    if (low < least || low > least + 0.1 || high > most || high < most - 0.1)
        fail_msg("from %.3f to %.3f s, expected %.3f to %.3f", low, high, least, most);
}

static void how_far_chance_goes(void **state) {
    const int64_t delay = 10 * SECOND;
    (void)state;
    assert_spread((orr_retry){.delay = delay, .strategy = ORR_BACKOFF_RANDOM}, 10, 30);
    assert_spread((orr_retry){.delay = delay, .strategy = ORR_BACKOFF_RANDOM, .max_delay = 15 * SECOND}, 10,
                  15);
    assert_spread((orr_retry){.delay = delay, .strategy = ORR_BACKOFF_RANDOM, .max_delay = 5 * SECOND}, 5, 5);
    assert_spread((orr_retry){.delay = delay, .jitter = ORR_JITTER_FULL}, 0, 10);
    assert_spread((orr_retry){.delay = delay, .jitter = ORR_JITTER_EQUAL}, 5, 10);
    assert_spread((orr_retry){.delay = delay, .jitter = ORR_JITTER_EQUAL, .max_delay = 4 * SECOND}, 2, 4);
}

/* Tasks that differ in one number only have chances of their own, or all items of a list would come
 * back at one time. */
static void each_task_has_its_own_chance(void **state) {
    static const orr_task tasks[] = {{0, 0, 0, 1}, {1, 0, 0, 1}, {0, 1, 0, 1}, {0, 0, 1, 1}, {0, 0, 0, 2}};
    enum { N = sizeof tasks / sizeof *tasks };
    (void)state;
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < i; k++)
            assert_true(orr_chance(7, &tasks[i], 1) != orr_chance(7, &tasks[k], 1));
        assert_true(orr_chance(7, &tasks[i], 1) != orr_chance(8, &tasks[i], 1));
        assert_true(orr_chance(7, &tasks[i], 1) != orr_chance(7, &tasks[i], 2));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_for_an_iteration_that_is_over),
        cmocka_unit_test(a_condition_that_fails),
        cmocka_unit_test(due_is_the_end_of_the_grace),
        cmocka_unit_test(the_slot_of_one_that_is_dropped),
        cmocka_unit_test(who_has_ended_is_not_asked_to_stop),
        cmocka_unit_test(a_run_that_begins_late),
        cmocka_unit_test(a_sign_of_life_while_it_waits),
        cmocka_unit_test(the_first_item_that_failed),
        cmocka_unit_test(the_first_failure_of_a_run),
        cmocka_unit_test(hopeless_errors),
        cmocka_unit_test(a_deadline_keeps_the_last_error),
        cmocka_unit_test(a_retry_at_the_deadline),
        cmocka_unit_test(a_fallback_that_fails_is_the_end),
        cmocka_unit_test(an_attempt_that_was_cut_off_is_no_try),
        cmocka_unit_test(a_list_of_nothing),
        cmocka_unit_test(a_wake_after_a_cancel),
        cmocka_unit_test(how_far_chance_goes),
        cmocka_unit_test(each_task_has_its_own_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
