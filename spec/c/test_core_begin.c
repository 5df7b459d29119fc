/* test_core_begin.c - a run that waits to be let begin: what it does until then, what counts from
 * then on, cancelling and pausing it, and all of that across processes.
 */
#include "core/inner.h"
#include "rerun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const sim_deed fails = {.takes = SECOND, .end = ORR_END_FAILED};
static const sim_deed works = {.takes = SECOND, .end = ORR_END_COMPLETED};
static const sim_deed slow = {.takes = 100 * SECOND, .end = ORR_END_COMPLETED};

/* Two nodes, one after the other, and a cleanup node. */
static orr_plan *plan_of(int64_t timeout) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    policies[2].join = ORR_JOIN_DONE;
    return shape(&(orr_plan_options){.timeout = timeout}, 3, policies, 2, (shape_edge[]){{0, 1}, {0, 2}});
}

static void begin(rerun *r, int64_t timeout) {
    *r = (rerun){.waits = true};
    rerun_begin(r, plan_of(timeout));
}

static void assert_pending(const rerun *r) {
    orr_run_stats stats;
    orr_why why;
    orr_run_get_stats(r->run, &stats);
    assert_int_equal(orr_run_get_state(r->run), ORR_RUN_PENDING);
    assert_true(orr_run_waits(r->run));
    assert_true(stats.started == 0);
    for (uint32_t i = 0; i < 3; i++) {
        orr_run_why(r->run, i, ORR_NONE, &why);
        assert_int_equal(why.kind, ORR_WHY_LOCK);
    }
    assert_int_equal(sim_busy(r->s), 0);
    assert_true(orr_core_deadline(sim_core(r->s)) == INT64_MAX);
}

/* ---- in one process -------------------------------------------------------------------------- */

static void begins_when_it_is_let(void **state) {
    rerun r;
    orr_run_stats stats;
    (void)state;
    begin(&r, 0);
    rerun_until(&r, 100 * SECOND);
    assert_pending(&r);
    assert_int_equal(r.events[ORR_EV_RUN_STARTED], 0);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    assert_int_equal(orr_run_admit(r.run), ORR_ESTATE);
    assert_int_equal(r.events[ORR_EV_RUN_STARTED], 1);
    assert_int_equal(orr_run_get_state(r.run), ORR_RUN_RUNNING);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, 100 * SECOND);
    orr_run_get_stats(r.run, &stats);
    assert_true(stats.created == 1 && stats.started == 100 * SECOND + 1);
    assert_int_equal(r.d.entries[0].rec.reason, 1);
    assert_int_equal(rerun_count(&r, ORR_REC_BEGUN, ORR_NONE), 1);
    rerun_end(&r);
}

static void one_that_does_not_wait(void **state) {
    rerun r = {0};
    (void)state;
    rerun_begin(&r, plan_of(0));
    assert_false(orr_run_waits(r.run));
    assert_int_equal(orr_run_admit(r.run), ORR_ESTATE);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_int_equal(r.d.entries[0].rec.reason, 0);
    assert_int_equal(rerun_count(&r, ORR_REC_BEGUN, ORR_NONE), 0);
    rerun_end(&r);
}

static void its_timeout_counts_from_then(void **state) {
    rerun r;
    (void)state;
    begin(&r, 5 * SECOND);
    rerun_give(&r, 0, slow);
    rerun_until(&r, 60 * SECOND);
    assert_pending(&r);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    assert_true(orr_run_due(r.run) == 65 * SECOND + 1);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    assert_int_equal(orr_run_cause(r.run), ORR_STOP_TIMEOUT);
    rerun_end(&r);
}

/* The lock that it waits for may guard what its cleanup nodes touch. */
static void cancelled_it_does_nothing(void **state) {
    rerun r;
    (void)state;
    begin(&r, 0);
    rerun_until(&r, 3 * SECOND);
    orr_run_cancel(r.run);
    rerun_assert_ended(&r, ORR_RUN_CANCELLED);
    for (uint32_t i = 0; i < 3; i++) rerun_assert_none(&r, 'S', i, ORR_NONE, 0);
    assert_int_equal(orr_run_admit(r.run), ORR_ESTATE);
    assert_false(orr_run_waits(r.run));
    assert_int_equal(r.events[ORR_EV_RUN_CANCELLED], 1);
    assert_int_equal(r.events[ORR_EV_RUN_STARTED], 0);
    rerun_end(&r);
}

/* It takes its turn all the same; its clock stands still. */
static void paused_it_begins_and_starts_nothing(void **state) {
    rerun r;
    (void)state;
    begin(&r, 5 * SECOND);
    orr_run_pause(r.run);
    assert_int_equal(orr_run_get_state(r.run), ORR_RUN_PAUSED);
    rerun_until(&r, 10 * SECOND);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    rerun_until(&r, 100 * SECOND);
    rerun_assert_none(&r, 'S', 0, ORR_NONE, 0);
    orr_run_resume(r.run);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, 100 * SECOND);
    rerun_end(&r);
}

static void paused_and_resumed_it_still_waits(void **state) {
    rerun r;
    (void)state;
    begin(&r, 5 * SECOND);
    orr_run_pause(r.run);
    rerun_until(&r, 10 * SECOND);
    orr_run_resume(r.run);
    rerun_until(&r, 20 * SECOND);
    assert_pending(&r);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    assert_true(orr_run_due(r.run) == 25 * SECOND + 1);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* ---- across processes ------------------------------------------------------------------------ */

static void waits_on_in_another_process(void **state) {
    rerun r;
    (void)state;
    begin(&r, 5 * SECOND);
    rerun_until(&r, 10 * SECOND);
    rerun_crash(&r);
    rerun_recover(&r, 50 * SECOND, false);
    assert_pending(&r);
    rerun_until(&r, 70 * SECOND);
    assert_pending(&r);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, 70 * SECOND);
    rerun_end(&r);
}

/* What it counts from is what its record says. */
static void goes_on_after_it_began(void **state) {
    rerun r;
    (void)state;
    begin(&r, 50 * SECOND);
    rerun_give(&r, 0, slow);
    rerun_until(&r, 10 * SECOND);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    rerun_until(&r, 20 * SECOND);
    rerun_crash(&r);
    rerun_recover(&r, 30 * SECOND, false);
    assert_false(orr_run_waits(r.run));
    assert_true(orr_run_due(r.run) == 60 * SECOND + 1);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

/* A process that ends anywhere while the run is cancelled: the next one ends it. */
static void a_cancel_that_was_cut_off(void **state) {
    rerun whole;
    (void)state;
    begin(&whole, 0);
    orr_run_cancel(whole.run);
    rerun_assert_ended(&whole, ORR_RUN_CANCELLED);
    for (uint32_t n = 2; n < whole.d.n; n++) {
        rerun r;
        begin(&r, 0);
        orr_run_cancel(r.run);
        rerun_crash(&r);
        diary_cut(&r.d, n);
        rerun_recover(&r, 10 * SECOND, false);
        assert_int_equal(orr_run_admit(r.run), ORR_ESTATE);
        rerun_assert_ended(&r, ORR_RUN_CANCELLED);
        for (uint32_t i = 0; i < 3; i++) rerun_assert_none(&r, 'S', i, ORR_NONE, 0);
        rerun_end(&r);
    }
    rerun_end(&whole);
}

static void suspended_it_waits_on(void **state) {
    rerun r;
    (void)state;
    begin(&r, 0);
    orr_run_suspend(r.run);
    rerun_crash(&r);
    rerun_recover(&r, 10 * SECOND, false);
    assert_pending(&r);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* ---- set back -------------------------------------------------------------------------------- */

static void retried_it_waits_again(void **state) {
    rerun r;
    (void)state;
    begin(&r, 20 * SECOND);
    rerun_give(&r, 1, fails);
    rerun_give(&r, 1, works);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_read(&r, 30 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, true), ORR_OK);
    assert_int_equal(orr_run_get_state(r.run), ORR_RUN_PENDING);
    rerun_until(&r, 90 * SECOND);
    rerun_assert_none(&r, 'S', 1, ORR_NONE, 0);
    rerun_crash(&r);
    rerun_recover(&r, 95 * SECOND, false);
    assert_int_equal(orr_run_get_state(r.run), ORR_RUN_PENDING);
    rerun_until(&r, 100 * SECOND);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    assert_true(orr_run_due(r.run) == 120 * SECOND + 1);
    rerun_assert_none(&r, 'S', 0, ORR_NONE, 0);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_assert_at(&r, 'S', 1, ORR_NONE, 0, 100 * SECOND);
    rerun_end(&r);
}

/* The deadline of what is set back counts from when the run began again. */
static void deadlines_of_items_count_from_then(void **state) {
    orr_policy policies[] = {PLAIN};
    rerun r = {.waits = true, .items = 2, .bad_item = 2, .good_from = 2};
    (void)state;
    policies[0].has_each = true;
    policies[0].deadline = 10 * SECOND;
    rerun_begin(&r, shape(NULL, 1, policies, 0, NULL));
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_read(&r, 20 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, true), ORR_OK);
    rerun_until(&r, 100 * SECOND);
    assert_int_equal(orr_run_admit(r.run), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_assert_at(&r, 'S', 0, 1, 0, 100 * SECOND);
    rerun_end(&r);
}

static void cancelled_and_retried(void **state) {
    rerun r;
    (void)state;
    begin(&r, 0);
    orr_run_cancel(r.run);
    rerun_assert_ended(&r, ORR_RUN_CANCELLED);
    rerun_read(&r, 10 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, true), ORR_OK);
    orr_run_cancel(r.run);
    rerun_assert_ended(&r, ORR_RUN_CANCELLED);
    rerun_read(&r, 20 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, false), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* ---- what does not fit ----------------------------------------------------------------------- */

/* Nothing of a run may have started before it was let begin. */
static void records_before_it_began(void **state) {
    static const orr_record_kind kinds[] = {ORR_REC_ATTEMPT_STARTED, ORR_REC_HELD, ORR_REC_READY};
    rerun r;
    (void)state;
    begin(&r, 0);
    rerun_crash(&r);
    rerun_read(&r, SECOND);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        orr_record rec = {.kind = kinds[i],
                          .seq = 2,
                          .time = SECOND,
                          .task = {0, ORR_NONE, 0, kinds[i] == ORR_REC_ATTEMPT_STARTED},
                          .due = SECOND,
                          .port = ORR_PORT_ANY};
        assert_int_equal(orr_run_fold(r.run, &rec), ORR_EINVAL);
    }
    orr_record begun = {.kind = ORR_REC_BEGUN, .seq = 2, .time = SECOND, .task = {ORR_NONE, ORR_NONE, 0, 0}};
    assert_int_equal(orr_run_fold(r.run, &begun), ORR_OK);
    begun.seq = 3;
    assert_int_equal(orr_run_fold(r.run, &begun), ORR_EINVAL);
    rerun_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_when_it_is_let),
        cmocka_unit_test(one_that_does_not_wait),
        cmocka_unit_test(its_timeout_counts_from_then),
        cmocka_unit_test(cancelled_it_does_nothing),
        cmocka_unit_test(paused_it_begins_and_starts_nothing),
        cmocka_unit_test(paused_and_resumed_it_still_waits),
        cmocka_unit_test(waits_on_in_another_process),
        cmocka_unit_test(goes_on_after_it_began),
        cmocka_unit_test(a_cancel_that_was_cut_off),
        cmocka_unit_test(suspended_it_waits_on),
        cmocka_unit_test(retried_it_waits_again),
        cmocka_unit_test(deadlines_of_items_count_from_then),
        cmocka_unit_test(cancelled_and_retried),
        cmocka_unit_test(records_before_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
