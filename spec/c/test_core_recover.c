/* test_core_recover.c - runs that go on in another process: what counts as a crash, and when
 * things happen, with exact times. */
#include "rerun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const sim_deed slow = {.takes = 100 * SECOND, .end = ORR_END_COMPLETED};
static const sim_deed fails = {.takes = SECOND, .end = ORR_END_FAILED};
static const sim_deed works = {.takes = SECOND, .end = ORR_END_COMPLETED};

static orr_plan *single(orr_policy p) {
    return shape(NULL, 1, &p, 0, NULL);
}

static void crash_times(rerun *r, uint32_t n, int64_t every, bool force) {
    for (uint32_t i = 1; i <= n; i++) {
        rerun_until(r, i * every - every / 2);
        rerun_recover(r, i * every, force);
    }
}

/* ---- crash loops ----------------------------------------------------------------------------- */

static void three_times(void **state) {
    orr_policy p = PLAIN;
    rerun r = {0};
    orr_error e;
    (void)state;
    p.has_fallback = true;
    p.retry.max = 5;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single(p));
    crash_times(&r, 2, 10 * SECOND, false);
    assert_int_equal(r.events[ORR_EV_NODE_INTERRUPTED], 1);
    rerun_until(&r, 25 * SECOND);
    assert_int_equal(sim_find(r.s, 'S', 0, ORR_NONE, 0)->task.attempt, 1);
    rerun_recover(&r, 30 * SECOND, false);
    rerun_assert_none(&r, 'S', 0, ORR_NONE, 0); /* neither again nor its fallback */
    rerun_assert_code(&r, 0, "crash_loop");
    assert_true(orr_run_error(r.run, 0, ORR_NONE, &e) && e.not_retryable);
    assert_non_null(strstr(e.message, "3 times"));
    assert_non_null(strstr(e.message, "'orrery retry' lets it try again"));
    assert_non_null(strstr(e.message, "'orrery resume --force' does not give it up"));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    assert_int_equal(orr_run_failure(r.run, NULL), 0);
    assert_int_equal(rerun_count(&r, ORR_REC_INTERRUPTED, 0), 3);
    rerun_end(&r);
}

static void limit_is_set(void **state) {
    rerun r = {.crash_limit = 1};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single((orr_policy)PLAIN));
    rerun_until(&r, SECOND);
    /* the last record clears nobody */
    assert_int_equal(orr_run_note(r.run, ORR_REC_SIGNAL, NULL, -1, 7, NULL), ORR_OK);
    rerun_recover(&r, 2 * SECOND, false);
    rerun_assert_code(&r, 0, "crash_loop");
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

static void forced(void **state) {
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single((orr_policy)PLAIN));
    crash_times(&r, 6, 10 * SECOND, true);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, 60 * SECOND);
    rerun_assert_at(&r, 'E', 0, ORR_NONE, 0, 160 * SECOND);
    assert_int_equal(sim_find(r.s, 'S', 0, ORR_NONE, 0)->task.attempt, 1);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* The process ended after the third interruption was written, and before it had failed the node. */
static void between(void **state) {
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single((orr_policy)PLAIN));
    crash_times(&r, 2, 10 * SECOND, false);
    rerun_until(&r, 25 * SECOND);
    rerun_recover(&r, 30 * SECOND, true);
    rerun_recover(&r, 31 * SECOND, false);
    rerun_assert_code(&r, 0, "crash_loop");
    assert_int_equal(rerun_count(&r, ORR_REC_INTERRUPTED, 0), 3);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

static void each_attempt_counts_anew(void **state) {
    orr_policy p = PLAIN;
    rerun r = {0};
    (void)state;
    p.retry.max = 3;
    rerun_give(&r, 0, (sim_deed){.takes = 8 * SECOND, .end = ORR_END_FAILED});
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single(p));
    crash_times(&r, 2, 10 * SECOND, false); /* recovered at 20 s, fails at 28 s */
    rerun_until(&r, 30 * SECOND);
    assert_int_equal(sim_find(r.s, 'S', 0, ORR_NONE, 1)->task.attempt, 2);
    rerun_recover(&r, 40 * SECOND, false);
    rerun_until(&r, 41 * SECOND);
    rerun_recover(&r, 50 * SECOND, false);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    orr_run_stats st;
    orr_run_get_stats(r.run, &st);
    assert_int_equal(st.attempts, 2); /* one that is cut off and begins again is one */
    assert_int_equal(st.retries, 1);
    rerun_end(&r);
}

static void handled(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {.crash_limit = 1};
    (void)state;
    policies[1].join = ORR_JOIN_FAILED;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}}));
    rerun_until(&r, SECOND);
    rerun_recover(&r, 2 * SECOND, false);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_assert_state(&r, 0, ORR_NODE_FAILED);
    rerun_assert_state(&r, 1, ORR_NODE_COMPLETED);
    rerun_end(&r);
}

static void left_in_good_order(void **state) {
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single((orr_policy)PLAIN));
    for (uint32_t i = 1; i <= 5; i++) {
        rerun_until(&r, i * 10 * SECOND - SECOND);
        orr_run_suspend(r.run);
        orr_run_suspend(r.run); /* says it once */
        assert_int_equal(rerun_count(&r, ORR_REC_SUSPENDED, ORR_NONE), i);
        assert_int_equal(orr_run_note(r.run, ORR_REC_SIGNAL, NULL, -1, 7, NULL), ORR_OK);
        rerun_recover(&r, i * 10 * SECOND, false);
        assert_int_equal(r.events[ORR_EV_NODE_INTERRUPTED], 1);
    }
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* Two attempts were under way; the next process ends as well when it has written of one of them. */
static void left_and_cut_short(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {.crash_limit = 1};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_give(&r, 1, slow);
    rerun_begin(&r, shape(NULL, 2, policies, 0, NULL));
    rerun_until(&r, SECOND);
    orr_run_suspend(r.run);
    rerun_recover(&r, 2 * SECOND, false);
    assert_int_equal(r.d.entries[r.d.n - 1].rec.kind, ORR_REC_INTERRUPTED);
    diary_cut(&r.d, r.d.n - 1); /* that of the second one is lost */
    rerun_recover(&r, 3 * SECOND, false);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

static void nothing_starts_after_it_left(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    rerun_begin(&r, shape(&(orr_plan_options){.concurrency = 1}, 2, policies, 0, NULL));
    rerun_until(&r, SECOND / 2);
    orr_run_suspend(r.run);
    rerun_until(&r, 5 * SECOND);
    rerun_assert_none(&r, 'S', 1, ORR_NONE, 0);
    rerun_end(&r);
}

static void waiting_is_no_crash(void **state) {
    rerun r = {.crash_limit = 1};
    (void)state;
    rerun_give(&r, 0, (sim_deed){.takes = 2 * SECOND, .end = ORR_END_COMPLETED, .sleeps = 50 * SECOND});
    rerun_begin(&r, single((orr_policy)PLAIN));
    crash_times(&r, 4, 10 * SECOND, false);
    rerun_until(&r, 40 * SECOND);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, 40 * SECOND); /* it begins again, and waits again */
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_int_equal(rerun_count(&r, ORR_REC_INTERRUPTED, 0), 4);
    rerun_end(&r);
}

/* One that was woken, but had no place to go on. */
static void woken_is_no_crash(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {.crash_limit = 1};
    (void)state;
    rerun_give(&r, 0, (sim_deed){.takes = 2 * SECOND, .end = ORR_END_COMPLETED, .sleeps = 5 * SECOND});
    rerun_give(&r, 1, (sim_deed){.takes = 20 * SECOND, .end = ORR_END_COMPLETED, .sleeps = 9 * SECOND});
    rerun_begin(&r, shape(&(orr_plan_options){.concurrency = 1}, 2, policies, 0, NULL));
    rerun_until(&r, 8 * SECOND); /* the first one is woken at 6 s, while the second one runs */
    assert_int_equal(rerun_count(&r, ORR_REC_WOKEN, 0), 1);
    rerun_recover(&r, 9 * SECOND, false);
    assert_int_equal(orr_run_node_state(r.run, 0, ORR_NONE), ORR_NODE_CANCELLED);
    rerun_assert_code(&r, 1, "crash_loop");
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

/* ---- times ----------------------------------------------------------------------------------- */

static void deadline(void **state) {
    orr_policy p = PLAIN;
    static const int64_t rows[][3] = {{4, 6, 10}, {4, 12, 12}}; /* crash, recovery, the end */
    (void)state;
    p.deadline = 10 * SECOND;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rerun r = {0};
        rerun_give(&r, 0, slow);
        rerun_begin(&r, single(p));
        rerun_until(&r, rows[i][0] * SECOND);
        rerun_recover(&r, rows[i][1] * SECOND, false);
        rerun_to_end(&r);
        if (rows[i][1] < 10) rerun_assert_at(&r, 'C', 0, ORR_NONE, 0, rows[i][2] * SECOND);
        else rerun_assert_none(&r, 'S', 0, ORR_NONE, 0);
        rerun_assert_at(&r, '!', ORR_NONE, ORR_NONE, 0, rows[i][2] * SECOND);
        rerun_assert_code(&r, 0, "deadline");
        rerun_assert_ended(&r, ORR_RUN_FAILED);
        rerun_end(&r);
    }
}

static void deadline_of_items(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {.items = 2};
    (void)state;
    policies[1].has_each = true;
    policies[1].each_failures = 2;
    policies[1].deadline = 10 * SECOND;
    rerun_give(&r, 1, slow);
    rerun_begin(&r, shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}}));
    rerun_until(&r, 3 * SECOND); /* its items became ready at 1 s */
    rerun_recover(&r, 5 * SECOND, false);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'C', 1, 0, 0, 11 * SECOND);
    rerun_assert_at(&r, 'C', 1, 1, 0, 11 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_int_equal(rerun_count(&r, ORR_REC_EXPANDED, 1), 1);
    rerun_end(&r);
}

/* A deadline bounds attempts, not the fallback that follows them. */
static void deadline_is_not_of_the_fallback(void **state) {
    orr_policy p = PLAIN;
    rerun r = {.items = 1};
    (void)state;
    p.has_each = true;
    p.has_fallback = true;
    p.deadline = 2 * SECOND;
    rerun_give(&r, 0, fails);
    rerun_begin(&r, single(p));
    rerun_until(&r, SECOND + SECOND / 2); /* the fallback runs */
    rerun_recover(&r, 5 * SECOND, false);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'S', 0, 0, 0, 5 * SECOND);
    rerun_assert_at(&r, 'E', 0, 0, 0, 6 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

static void backoff(void **state) {
    orr_policy p = PLAIN;
    static const int64_t rows[][2] = {{3, 11}, {20, 20}}; /* recovery, the next attempt */
    (void)state;
    p.retry = (orr_retry){.max = 2, .delay = 10 * SECOND};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rerun r = {0};
        rerun_give(&r, 0, fails);
        rerun_give(&r, 0, works);
        rerun_begin(&r, single(p));
        rerun_until(&r, 2 * SECOND);
        rerun_recover(&r, rows[i][0] * SECOND, false);
        rerun_to_end(&r);
        rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, rows[i][1] * SECOND);
        assert_int_equal(sim_find(r.s, 'S', 0, ORR_NONE, 0)->task.attempt, 2);
        rerun_assert_ended(&r, ORR_RUN_COMPLETED);
        rerun_end(&r);
    }
}

static void loop_delay(void **state) {
    orr_policy p = PLAIN;
    rerun r = {.until = 2};
    (void)state;
    p.has_loop = true;
    p.loop_delay = 10 * SECOND;
    rerun_begin(&r, single(p));
    rerun_until(&r, 2 * SECOND);
    rerun_recover(&r, 5 * SECOND, false);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, 11 * SECOND);
    assert_int_equal(sim_find(r.s, 'S', 0, ORR_NONE, 0)->task.iteration, 1);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

static void run_timeout(void **state) {
    static const int64_t rows[][2] = {{8, 20}, {30, 30}}; /* recovery, the end */
    orr_policy policies[] = {PLAIN, PLAIN};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rerun r = {0};
        rerun_give(&r, 0, slow);
        rerun_begin(
            &r, shape(&(orr_plan_options){.timeout = 20 * SECOND}, 2, policies, 1, (shape_edge[]){{0, 1}}));
        rerun_until(&r, 5 * SECOND);
        rerun_recover(&r, rows[i][0] * SECOND, false);
        rerun_to_end(&r);
        rerun_assert_at(&r, '!', ORR_NONE, ORR_NONE, 0, rows[i][1] * SECOND);
        assert_int_equal(orr_run_cause(r.run), ORR_STOP_TIMEOUT);
        rerun_assert_ended(&r, ORR_RUN_FAILED);
        rerun_end(&r);
    }
}

static void cleanup_timeout(void **state) {
    static const int64_t rows[][2] = {{4, 6}, {9, 9}}; /* recovery, the end */
    orr_policy policies[] = {PLAIN, PLAIN};
    (void)state;
    policies[1].join = ORR_JOIN_DONE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rerun r = {0};
        rerun_give(&r, 0, fails);
        rerun_give(&r, 1, slow);
        rerun_begin(&r, shape(&(orr_plan_options){.cleanup_timeout = 5 * SECOND}, 2, policies, 1,
                              (shape_edge[]){{0, 1}}));
        rerun_until(&r, 2 * SECOND);
        rerun_recover(&r, rows[i][0] * SECOND, false);
        rerun_to_end(&r);
        rerun_assert_at(&r, '!', ORR_NONE, ORR_NONE, 0, rows[i][1] * SECOND);
        rerun_assert_state(&r, 1, ORR_NODE_CANCELLED);
        rerun_assert_ended(&r, ORR_RUN_FAILED);
        rerun_end(&r);
    }
}

/* ---- a clock that was set back --------------------------------------------------------------- */

static void assert_never_back(const rerun *r) {
    for (uint32_t i = 1; i < r->d.n; i++)
        assert_true(diary_record(&r->d, i).time >= diary_record(&r->d, i - 1).time);
}

/* The run goes on from the last time of its journal, and so does what is bounded. */
static void items_after_set_back(void **state) {
    static const sim_deed first = {.takes = 50 * SECOND, .end = ORR_END_COMPLETED};
    static const sim_deed second = {.takes = 20 * SECOND, .end = ORR_END_COMPLETED};
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    orr_run_stats stats;
    rerun r = {.items = 2};
    (void)state;
    policies[2].has_each = true;
    policies[2].each_failures = 2;
    policies[2].deadline = 30 * SECOND;
    rerun_give(&r, 0, first);
    rerun_give(&r, 1, second);
    rerun_give(&r, 2, slow);
    rerun_begin(&r, shape(NULL, 3, policies, 2, (shape_edge[]){{0, 1}, {1, 2}}));
    rerun_until(&r, 60 * SECOND);          /* node 1 runs since 50 s */
    rerun_recover(&r, 10 * SECOND, false); /* which is 50 s for the run */
    rerun_until(&r, 40 * SECOND);          /* the items are there since 30 s, 70 s for the run */
    rerun_recover(&r, 45 * SECOND, false); /* 70 s for the run */
    rerun_to_end(&r);
    rerun_assert_at(&r, 'C', 2, 0, 0, 75 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_never_back(&r);
    orr_run_get_stats(r.run, &stats);
    assert_true(stats.ended >= stats.created);
    rerun_end(&r);
}

static void cleanup_after_set_back(void **state) {
    static const sim_deed first = {.takes = 50 * SECOND, .end = ORR_END_COMPLETED};
    static const sim_deed second = {.takes = 20 * SECOND, .end = ORR_END_FAILED};
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[2].join = ORR_JOIN_DONE;
    rerun_give(&r, 0, first);
    rerun_give(&r, 1, second);
    rerun_give(&r, 2, slow);
    rerun_begin(&r, shape(&(orr_plan_options){.cleanup_timeout = 20 * SECOND}, 3, policies, 2,
                          (shape_edge[]){{0, 1}, {1, 2}}));
    rerun_until(&r, 60 * SECOND);
    rerun_recover(&r, 10 * SECOND, false);
    rerun_until(&r, 40 * SECOND);          /* cleanup since 30 s, 70 s for the run */
    rerun_recover(&r, 45 * SECOND, false); /* 70 s for the run */
    rerun_to_end(&r);
    rerun_assert_at(&r, '!', ORR_NONE, ORR_NONE, 0, 65 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    assert_never_back(&r);
    rerun_end(&r);
}

/* A retried run has its whole timeout, however far ahead the clock was when it failed. */
static void retried_after_set_back(void **state) {
    orr_policy p = PLAIN;
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, fails);
    rerun_give(&r, 0, slow);
    rerun_begin(&r, shape(&(orr_plan_options){.timeout = 1000 * SECOND}, 1, &p, 0, NULL));
    rerun_until(&r, SECOND / 2);
    rerun_recover(&r, 900 * SECOND, false);
    rerun_to_end(&r); /* fails at 901 s */
    rerun_read(&r, 10 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, false), ORR_OK); /* at 901 s for the run */
    rerun_until(&r, 20 * SECOND);
    rerun_recover(&r, 30 * SECOND, false); /* 901 s again */
    assert_true(orr_core_deadline(sim_core(r.s)) == 1030 * SECOND + 1);
    rerun_to_end(&r);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_never_back(&r);
    rerun_end(&r);
}

/* ---- what a run was about to do -------------------------------------------------------------- */

static void stays_paused(void **state) {
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single((orr_policy)PLAIN));
    rerun_until(&r, SECOND);
    orr_run_pause(r.run);
    rerun_recover(&r, 2 * SECOND, false);
    rerun_until(&r, 9 * SECOND);
    assert_int_equal(orr_run_get_state(r.run), ORR_RUN_PAUSED);
    rerun_assert_none(&r, 'S', 0, ORR_NONE, 0);
    orr_run_resume(r.run);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 0, 9 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

static void rest_is_cancelled(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[2].join = ORR_JOIN_ANY;
    policies[2].cancel_rest = true;
    rerun_give(&r, 1, (sim_deed){.takes = 100 * SECOND, .end = ORR_END_COMPLETED, .deaf = true});
    rerun_begin(&r, shape(NULL, 3, policies, 2, (shape_edge[]){{0, 2}, {1, 2}}));
    rerun_until(&r, 3 * SECOND); /* it was asked to stop at 1 s, and has not answered */
    rerun_assert_state(&r, 1, ORR_NODE_RUNNING);
    rerun_recover(&r, 4 * SECOND, false);
    rerun_assert_state(&r, 1, ORR_NODE_CANCELLED);
    rerun_assert_none(&r, 'S', 1, ORR_NONE, 0);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

static void second_cancel(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[1].join = ORR_JOIN_DONE;
    rerun_give(&r, 0, slow);
    rerun_give(&r, 1, slow);
    rerun_begin(&r, shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}}));
    rerun_until(&r, SECOND);
    orr_run_cancel(r.run);
    rerun_until(&r, 2 * SECOND);
    rerun_assert_state(&r, 1, ORR_NODE_RUNNING);
    rerun_read(&r, 3 * SECOND);
    orr_run_cancel(r.run); /* too early: it is only read */
    assert_int_equal(orr_run_recover(r.run, false), ORR_OK);
    rerun_until(&r, 4 * SECOND);
    rerun_assert_state(&r, 1, ORR_NODE_RUNNING);
    orr_run_cancel_once(r.run); /* asked before, by the process before */
    rerun_until(&r, 4 * SECOND);
    rerun_assert_state(&r, 1, ORR_NODE_RUNNING);
    orr_run_cancel(r.run);
    rerun_until(&r, 4 * SECOND);
    rerun_assert_state(&r, 1, ORR_NODE_CANCELLED);
    rerun_assert_ended(&r, ORR_RUN_CANCELLED);
    rerun_end(&r);
}

static void runs_again(void **state) {
    const orr_task first = {0, ORR_NONE, 0, 1}, second = {0, ORR_NONE, 0, 2};
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, single((orr_policy)PLAIN));
    rerun_until(&r, SECOND);
    assert_false(orr_run_again(r.run, &first));
    rerun_recover(&r, 2 * SECOND, false);
    assert_true(orr_run_again(r.run, &first));
    assert_false(orr_run_again(r.run, &second));
    rerun_until(&r, 3 * SECOND);
    assert_false(orr_run_again(r.run, &first)); /* it runs */
    orr_run_cancel_once(r.run);
    rerun_recover(&r, 4 * SECOND, false);
    assert_false(orr_run_again(r.run, &first)); /* it is cancelled */
    rerun_assert_ended(&r, ORR_RUN_CANCELLED);
    rerun_end(&r);
}

/* What had begun when the run began to drain goes on, cut off or not; what had not does not
 * begin. */
static void drains_on(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_FAILED});
    rerun_give(&r, 1, (sim_deed){.takes = 40 * SECOND, .end = ORR_END_COMPLETED});
    rerun_begin(&r, shape(&(orr_plan_options){.on_error = ORR_ON_ERROR_DRAIN}, 3, policies, 1,
                          (shape_edge[]){{1, 2}}));
    rerun_until(&r, 5 * SECOND);
    rerun_recover(&r, 6 * SECOND, false); /* both begin again; the first fails at 16 s */
    rerun_until(&r, 17 * SECOND);
    rerun_recover(&r, 20 * SECOND, false);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'E', 1, ORR_NONE, 0, 60 * SECOND);
    rerun_assert_state(&r, 2, ORR_NODE_CANCELLED);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

/* A process that ends between the failure that stops a run and the record that it stops: also where
 * another failure came first. */
static void stops_all_the_same(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[1].stops = true;
    rerun_give(&r, 0, fails);
    rerun_give(&r, 1, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_FAILED});
    rerun_give(&r, 2, slow);
    rerun_begin(&r, shape(&(orr_plan_options){.on_error = ORR_ON_ERROR_CONTINUE}, 3, policies, 0, NULL));
    rerun_until(&r, 11 * SECOND);
    uint32_t at = 0;
    while (at < r.d.n && r.d.entries[at].rec.kind != ORR_REC_STOPPING) at++;
    assert_in_range(at, 1, r.d.n - 1);
    rerun_crash(&r);
    diary_cut(&r.d, at);
    rerun_recover(&r, 12 * SECOND, false);
    rerun_to_end(&r);
    rerun_assert_state(&r, 2, ORR_NODE_CANCELLED);
    assert_int_equal(orr_run_failure(r.run, NULL), 0);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

/* ---- taken over from another run ------------------------------------------------------------- */

static orr_run *fresh(rerun *r, orr_plan *plan) {
    rerun_begin(r, plan);
    sim_drop(r->s, r->run); /* another one is made, and not begun */
    r->run = NULL;
    diary_free(&r->d);
    r->d.looks = true;
    memset(r->events, 0, sizeof r->events);
    r->run = orr_run_new(sim_core(r->s), plan, &(orr_run_options){.seed = 42});
    return r->run;
}

static void adopted(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    orr_run *run = fresh(&r, shape(NULL, 3, policies, 2, (shape_edge[]){{0, 1}, {1, 2}}));
    (void)state;
    assert_int_equal(orr_run_adopt(run, 3, ORR_PORT_ANY, 1), ORR_EINVAL);
    assert_int_equal(orr_run_adopt(run, 0, 0, 1), ORR_EINVAL); /* there are no outcomes */
    assert_int_equal(orr_run_adopt(run, 0, ORR_PORT_ANY, 11), ORR_OK);
    assert_int_equal(orr_run_adopt(run, 0, ORR_PORT_ANY, 11), ORR_ESTATE);
    assert_int_equal(orr_run_adopt(run, 1, ORR_PORT_ANY, 12), ORR_OK);
    assert_int_equal(r.events[ORR_EV_NODE_COMPLETED], 0);
    orr_run_begin(run);
    assert_int_equal(orr_run_adopt(run, 2, ORR_PORT_ANY, 1), ORR_ESTATE);
    rerun_until(&r, SECOND / 2);
    rerun_assert_none(&r, 'S', 0, ORR_NONE, 0);
    rerun_assert_at(&r, 'S', 2, ORR_NONE, 0, 0);
    assert_int_equal(r.d.entries[1].rec.reason, ORR_SOURCE_FORK);
    assert_int_equal(r.d.entries[1].rec.value, 11);
    rerun_recover(&r, SECOND, false);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    orr_run_stats st;
    orr_run_get_stats(r.run, &st);
    assert_int_equal(st.attempts, 1);
    rerun_end(&r);
}

static void all_adopted(void **state) {
    rerun r = {0};
    orr_run *run = fresh(&r, single((orr_policy)PLAIN));
    (void)state;
    assert_int_equal(orr_run_adopt(run, 0, ORR_PORT_ANY, 11), ORR_OK);
    orr_run_begin(run);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* A node is only taken over before anything has begun; and the source of a live one reaches the
 * record. */
static void sources(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, (sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED, .source = ORR_SOURCE_CACHE});
    rerun_begin(&r, shape(NULL, 2, policies, 0, NULL));
    rerun_until(&r, SECOND);
    orr_record first = diary_record(&r.d, 3); /* created, two starts, the first end */
    assert_int_equal(first.kind, ORR_REC_COMPLETED);
    assert_int_equal(first.reason, ORR_SOURCE_CACHE);
    orr_run *run = orr_run_rebuild(sim_core(r.s), r.plan, &(orr_run_options){.seed = 42});
    orr_record fork = {.kind = ORR_REC_COMPLETED,
                       .seq = 2,
                       .task = {0, ORR_NONE, 0, 0},
                       .reason = ORR_SOURCE_FORK,
                       .port = ORR_PORT_ANY};
    diary_fold(&r.d, 1, run, "created");
    fork.reason = ORR_SOURCE_CACHE;
    assert_int_equal(orr_run_fold(run, &fork), ORR_EINVAL);
    fork.reason = ORR_SOURCE_FORK;
    assert_int_equal(orr_run_fold(run, &fork), ORR_OK);
    orr_record start = {.kind = ORR_REC_ATTEMPT_STARTED, .seq = 3, .task = {1, ORR_NONE, 0, 1}};
    assert_int_equal(orr_run_fold(run, &start), ORR_OK);
    orr_run_free(run);
    run = orr_run_rebuild(sim_core(r.s), r.plan, &(orr_run_options){.seed = 42});
    diary_fold(&r.d, 2, run, "the first one has begun");
    fork.seq = 3;
    fork.task.node = 1;
    assert_int_equal(orr_run_fold(run, &fork), ORR_EINVAL);
    orr_run_free(run);
    rerun_end(&r);
}

/* ---- facts of the caller's ------------------------------------------------------------------- */

static void notes(void **state) {
    const orr_task now = {0, ORR_NONE, 0, 1}, next = {0, ORR_NONE, 0, 2};
    rerun r = {0};
    uint64_t seq = 0;
    (void)state;
    rerun_begin(&r, single((orr_policy)PLAIN));
    /* it has not begun */
    assert_int_equal(orr_run_note(r.run, ORR_REC_STEP, &now, -1, 5, &seq), ORR_ESTATE);
    rerun_until(&r, SECOND / 2);
    assert_int_equal(orr_run_note(r.run, ORR_REC_STEP, &now, 77, 5, &seq), ORR_OK);
    assert_int_equal(seq, 3);
    assert_int_equal(r.d.entries[2].rec.due, 77);
    assert_int_equal(r.d.entries[2].rec.value, 5);
    assert_int_equal(r.d.entries[2].rec.task.attempt, 1);
    assert_int_equal(orr_run_note(r.run, ORR_REC_STEP, &next, -1, 5, NULL), ORR_ESTATE);
    assert_int_equal(orr_run_note(r.run, ORR_REC_STEP, NULL, -1, 5, NULL), ORR_EINVAL);
    assert_int_equal(orr_run_note(r.run, ORR_REC_SIGNAL, &now, -1, 5, NULL), ORR_EINVAL);
    assert_int_equal(orr_run_note(r.run, ORR_REC_COMPLETED, &now, -1, 5, NULL), ORR_EINVAL);
    assert_int_equal(orr_run_note(r.run, ORR_REC_SIGNAL, NULL, -1, 6, &seq), ORR_OK);
    assert_int_equal(seq, 4);
    assert_int_equal(orr_run_seq(r.run), 4);
    rerun_read(&r, SECOND);
    /* nobody runs it */
    assert_int_equal(orr_run_note(r.run, ORR_REC_STEP, &now, -1, 5, NULL), ORR_ESTATE);
    assert_int_equal(orr_run_recover(r.run, false), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_int_equal(orr_run_note(r.run, ORR_REC_SIGNAL, NULL, -1, 6, NULL), ORR_ESTATE);
    rerun_end(&r);
}

static void wrong_calls(void **state) {
    rerun r = {0};
    (void)state;
    rerun_begin(&r, single((orr_policy)PLAIN));
    assert_int_equal(orr_run_recover(r.run, false), ORR_ESTATE); /* it is live */
    assert_int_equal(orr_run_retry(r.run, false, false), ORR_ESTATE);
    orr_run *empty = orr_run_rebuild(sim_core(r.s), r.plan, &(orr_run_options){.seed = 1});
    orr_run_begin(empty); /* must not be */
    assert_int_equal(orr_run_get_state(empty), ORR_RUN_PENDING);
    assert_int_equal(orr_run_recover(empty, false), ORR_ESTATE); /* its journal is empty */
    assert_int_equal(orr_run_adopt(empty, 0, ORR_PORT_ANY, 0), ORR_ESTATE);
    orr_run_suspend(empty);
    assert_int_equal(orr_run_seq(empty), 0);
    orr_run_free(empty);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_read(&r, 5 * SECOND);
    assert_int_equal(orr_run_recover(r.run, false), ORR_ESTATE);
    assert_int_equal(orr_run_retry(r.run, false, false), ORR_ESTATE); /* it completed */
    rerun_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_times),
                                       cmocka_unit_test(limit_is_set),
                                       cmocka_unit_test(forced),
                                       cmocka_unit_test(between),
                                       cmocka_unit_test(each_attempt_counts_anew),
                                       cmocka_unit_test(handled),
                                       cmocka_unit_test(left_in_good_order),
                                       cmocka_unit_test(left_and_cut_short),
                                       cmocka_unit_test(nothing_starts_after_it_left),
                                       cmocka_unit_test(waiting_is_no_crash),
                                       cmocka_unit_test(woken_is_no_crash),
                                       cmocka_unit_test(deadline),
                                       cmocka_unit_test(deadline_of_items),
                                       cmocka_unit_test(deadline_is_not_of_the_fallback),
                                       cmocka_unit_test(backoff),
                                       cmocka_unit_test(loop_delay),
                                       cmocka_unit_test(run_timeout),
                                       cmocka_unit_test(cleanup_timeout),
                                       cmocka_unit_test(items_after_set_back),
                                       cmocka_unit_test(cleanup_after_set_back),
                                       cmocka_unit_test(retried_after_set_back),
                                       cmocka_unit_test(stays_paused),
                                       cmocka_unit_test(rest_is_cancelled),
                                       cmocka_unit_test(second_cancel),
                                       cmocka_unit_test(runs_again),
                                       cmocka_unit_test(drains_on),
                                       cmocka_unit_test(stops_all_the_same),
                                       cmocka_unit_test(adopted),
                                       cmocka_unit_test(all_adopted),
                                       cmocka_unit_test(sources),
                                       cmocka_unit_test(notes),
                                       cmocka_unit_test(wrong_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
