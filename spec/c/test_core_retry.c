/* test_core_retry.c - a run that failed or was cancelled is set back and goes on: what runs again
 * and what does not, under which numbers, and in random workflows.
 */
#include "core/inner.h"
#include "chance.h"
#include "rerun.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const sim_deed slow = {.takes = 100 * SECOND, .end = ORR_END_COMPLETED};
static const sim_deed fails = {.takes = SECOND, .end = ORR_END_FAILED};
static const sim_deed works = {.takes = SECOND, .end = ORR_END_COMPLETED};

/* Reads the ended run in another process and sets it back. */
static void again(rerun *r, int64_t at) {
    rerun_read(r, at);
    assert_int_equal(orr_run_retry(r->run, false, false), ORR_OK);
    assert_int_equal(orr_run_get_state(r->run), ORR_RUN_RUNNING);
    rerun_to_end(r);
}

static void assert_ran(const rerun *r, uint32_t n, const char *which) {
    for (uint32_t i = 0; i < n; i++)
        if ((sim_find(r->s, 'S', i, ORR_NONE, 0) != NULL) != (which[i] == 'x'))
            fail_msg("node %u ran %s", i, which[i] == 'x' ? "not" : "again");
}

static uint32_t attempt_of(const rerun *r, uint32_t node, uint32_t item, uint32_t nth) {
    const sim_line *l = sim_find(r->s, 'S', node, item, nth);
    assert_non_null(l);
    return l->task.attempt;
}

/* ---- which nodes ----------------------------------------------------------------------------- */

/* a - b(fails) - c, and d beside them that completed, e that follows from both a and d. */
static void what_failed_and_what_follows(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    rerun_give(&r, 1, fails);
    rerun_give(&r, 1, works);
    rerun_begin(&r, shape(&(orr_plan_options){.on_error = ORR_ON_ERROR_CONTINUE}, 5, policies, 4,
                          (shape_edge[]){{0, 1}, {1, 2}, {0, 4}, {3, 4}}));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_assert_state(&r, 2, ORR_NODE_SKIPPED);
    again(&r, 10 * SECOND);
    assert_ran(&r, 5, ".xx..");
    rerun_assert_at(&r, 'S', 1, ORR_NONE, 0, 10 * SECOND);
    assert_int_equal(attempt_of(&r, 1, ORR_NONE, 0), 2);
    assert_int_equal(attempt_of(&r, 2, ORR_NONE, 0), 1);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_int_equal(orr_run_failure(r.run, NULL), ORR_NONE);
    assert_int_equal(rerun_count(&r, ORR_REC_RETRIED, ORR_NONE), 1);
    rerun_end(&r);
}

static void what_was_cancelled(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    rerun_give(&r, 1, slow);
    rerun_begin(&r, shape(NULL, 3, policies, 2, (shape_edge[]){{0, 1}, {1, 2}}));
    rerun_until(&r, 5 * SECOND);
    orr_run_cancel(r.run);
    rerun_assert_ended(&r, ORR_RUN_CANCELLED);
    again(&r, 10 * SECOND);
    assert_ran(&r, 3, ".xx");
    assert_int_equal(orr_run_cause(r.run), ORR_STOP_NONE);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* One that may fail stays as it is; one that was handled is tried again, and what handled it
 * too. */
static void ignored_and_handled(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[0].ignore_errors = true;
    policies[2].join = ORR_JOIN_FAILED;
    rerun_give(&r, 0, fails);
    rerun_give(&r, 1, fails);
    rerun_give(&r, 1, works);
    rerun_give(&r, 3, (sim_deed){.takes = 9 * SECOND, .end = ORR_END_FAILED});
    rerun_give(&r, 3, works);
    rerun_begin(&r, shape(NULL, 4, policies, 1, (shape_edge[]){{1, 2}}));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    assert_int_equal(orr_run_failure(r.run, NULL), 3);
    again(&r, 10 * SECOND);
    assert_ran(&r, 4, ".x.x"); /* nothing is left to handle */
    rerun_assert_state(&r, 0, ORR_NODE_FAILED);
    rerun_assert_state(&r, 2, ORR_NODE_SKIPPED);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

static void only_items_that_did_not_complete(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {.items = 3, .bad_item = 3, .good_from = 2};
    (void)state;
    policies[0].has_each = true;
    rerun_begin(&r, shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}}));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    again(&r, 10 * SECOND);
    assert_int_equal(r.asked[ORR_ASK_EACH], 0); /* the list is that of the journal */
    rerun_assert_none(&r, 'S', 0, 0, 0);
    rerun_assert_none(&r, 'S', 0, 1, 0);
    assert_int_equal(attempt_of(&r, 0, 2, 0), 2);
    rerun_assert_at(&r, 'S', 1, ORR_NONE, 0, 11 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    assert_int_equal(orr_run_items(r.run, 0), 3);
    rerun_end(&r);
}

/* What follows from a node that runs again gets its list anew, and no attempt of an item a
 * number that was used. */
static void lists_that_follow(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {.items = 2};
    (void)state;
    policies[0].join = ORR_JOIN_ALL;
    policies[1].has_each = true;
    policies[1].join = ORR_JOIN_DONE;
    rerun_give(&r, 0, fails);
    rerun_give(&r, 0, works);
    rerun_begin(&r, shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}}));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_assert_state(&r, 1, ORR_NODE_COMPLETED);
    r.items = 3;
    again(&r, 10 * SECOND);
    assert_int_equal(r.asked[ORR_ASK_EACH], 1);
    assert_int_equal(orr_run_items(r.run, 1), 3);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(attempt_of(&r, 1, i, 0), 2);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* ---- how they run again ---------------------------------------------------------------------- */

static void full_allowance(void **state) {
    orr_policy p = PLAIN;
    rerun r = {0};
    (void)state;
    p.retry = (orr_retry){.max = 2, .strategy = ORR_BACKOFF_EXPONENTIAL, .delay = SECOND};
    rerun_give(&r, 0, fails);
    rerun_begin(&r, shape(NULL, 1, &p, 0, NULL));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 2, 5 * SECOND); /* 1 s, then 2 s */
    again(&r, 10 * SECOND);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(attempt_of(&r, 0, ORR_NONE, i), 4 + i);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 1, 12 * SECOND);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 2, 15 * SECOND);
    rerun_assert_none(&r, 'S', 0, ORR_NONE, 3);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    again(&r, 20 * SECOND);
    assert_int_equal(attempt_of(&r, 0, ORR_NONE, 0), 7);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

static void times_begin_anew(void **state) {
    orr_policy p = PLAIN;
    rerun r = {0};
    (void)state;
    p.deadline = 5 * SECOND;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, shape(&(orr_plan_options){.timeout = 8 * SECOND}, 1, &p, 0, NULL));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_assert_at(&r, '!', ORR_NONE, ORR_NONE, 0, 5 * SECOND);
    again(&r, 100 * SECOND);
    rerun_assert_at(&r, 'C', 0, ORR_NONE, 0, 105 * SECOND);
    rerun_assert_code(&r, 0, "deadline");
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);

    orr_policy plain = PLAIN;
    r = (rerun){0};
    rerun_give(&r, 0, slow);
    rerun_begin(&r, shape(&(orr_plan_options){.timeout = 8 * SECOND}, 1, &plain, 0, NULL));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_read(&r, 100 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, false), ORR_OK);
    rerun_until(&r, 103 * SECOND);
    rerun_recover(&r, 106 * SECOND, false);
    rerun_to_end(&r);
    rerun_assert_at(&r, '!', ORR_NONE, ORR_NONE, 0, 108 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

static void deadline_of_items_begins_anew(void **state) {
    orr_policy p = PLAIN;
    rerun r = {.items = 1};
    (void)state;
    p.has_each = true;
    p.deadline = 5 * SECOND;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, shape(NULL, 1, &p, 0, NULL));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    again(&r, 100 * SECOND);
    rerun_assert_at(&r, 'C', 0, 0, 0, 105 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

/* A loop begins from its first iteration; numbers of attempts go on, so that none comes twice. */
static void loops_begin_anew(void **state) {
    orr_policy p = PLAIN;
    rerun r = {.until = 3};
    (void)state;
    p.has_loop = true;
    p.loop_max = 2;
    rerun_begin(&r, shape(NULL, 1, &p, 0, NULL));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_assert_code(&r, 0, "loop_exhausted");
    r.until = 2;
    again(&r, 10 * SECOND);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(attempt_of(&r, 0, ORR_NONE, i), 2);
        assert_int_equal(sim_find(r.s, 'S', 0, ORR_NONE, i)->task.iteration, i);
    }
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

static void after_a_crash_loop(void **state) {
    orr_policy p = PLAIN;
    rerun r = {.crash_limit = 1};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, shape(NULL, 1, &p, 0, NULL));
    rerun_until(&r, SECOND);
    rerun_recover(&r, 2 * SECOND, false);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    again(&r, 10 * SECOND);
    assert_int_equal(attempt_of(&r, 0, ORR_NONE, 0), 2);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* There was nothing to undo when it failed; what it does after that has to be undone when it
 * fails again. */
static void undone_after_all(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[1].has_compensate = true;
    policies[3].join = ORR_JOIN_DONE;
    rerun_give(&r, 0, fails);
    rerun_give(&r, 0, works);
    rerun_give(&r, 2, fails);
    rerun_begin(&r, shape(NULL, 4, policies, 3, (shape_edge[]){{0, 1}, {1, 2}, {2, 3}}));
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    again(&r, 10 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPENSATED);
    rerun_assert_state(&r, 1, ORR_NODE_COMPENSATED);
    rerun_end(&r);
}

static void not_these(void **state) {
    orr_policy p = PLAIN;
    rerun r = {0};
    (void)state;
    rerun_give(&r, 0, slow);
    rerun_begin(&r, shape(NULL, 1, &p, 0, NULL));
    rerun_until(&r, SECOND);
    rerun_read(&r, 2 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, false), ORR_ESTATE); /* it has not ended */
    assert_int_equal(orr_run_recover(r.run, false), ORR_OK);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);

    p.has_compensate = true;
    orr_policy policies[] = {p, PLAIN};
    r = (rerun){0};
    rerun_give(&r, 1, fails);
    rerun_begin(&r, shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}}));
    rerun_assert_ended(&r, ORR_RUN_COMPENSATED);
    rerun_read(&r, 10 * SECOND);
    assert_int_equal(orr_run_retry(r.run, false, false), ORR_ESTATE);
    rerun_end(&r);
}

/* ---- random workflows ------------------------------------------------------------------------ */

typedef struct wilder {
    wild w;
    sim *s;
    orr_run *run;
    diary d;
    bool *may_start;     /* nodes */
    uint64_t (*used)[4]; /* node, item, iteration, attempt of every start of all processes */
    uint32_t n_used, cap_used;
    bool retried, crashed;
    char what[160];
} wilder;

static sim_deed wild_act(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const wilder *x = ud;
    (void)run;
    return wild_deed(&x->w, task, phase);
}

static bool wild_say(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const wilder *x = ud;
    (void)run;
    return wild_evaluate(&x->w, ask, answer);
}

static void wild_record(void *ud, orr_run *run, const orr_record *rec) {
    wilder *x = ud;
    diary_add(&x->d, run, rec);
}

static void wild_watch(void *ud, const sim_line *line) {
    wilder *x = ud;
    const orr_task *t = &line->task;
    if (line->what != 'S') return;
    if (x->retried && line->phase != ORR_PHASE_COMPENSATE && !x->may_start[t->node])
        fail_msg("%s: node %u starts, though it neither failed nor follows", x->what, t->node);
    for (uint32_t i = 0; i < x->n_used && !x->crashed; i++)
        if (x->used[i][0] == t->node && x->used[i][1] == t->item && x->used[i][2] == t->iteration &&
            x->used[i][3] == t->attempt)
            fail_msg("%s: attempt %u.%u of node %u, item %u comes twice", x->what, t->iteration, t->attempt,
                     t->node, t->item);
    if (x->n_used == x->cap_used) {
        x->cap_used = x->cap_used > 0 ? x->cap_used * 2 : 64;
        x->used = realloc(x->used, x->cap_used * sizeof *x->used);
    }
    uint64_t *u = x->used[x->n_used++];
    u[0] = t->node, u[1] = t->item, u[2] = t->iteration, u[3] = t->attempt;
}

static void wild_open(wilder *x, int64_t now) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {x, wild_act, wild_say, NULL, wild_record, NULL};
    x->s = sim_new_at(&alloc, &script, now, 1000);
    sim_watch(x->s, wild_watch, x);
    assert_int_equal(wild_limits(sim_core(x->s)), ORR_OK);
}

static void wild_read(wilder *x) {
    int64_t end = x->d.entries[x->d.n - 1].rec.time;
    sim_free(x->s);
    wild_open(x, end + 5 * SECOND);
    x->run = orr_run_rebuild(sim_core(x->s), x->w.plan, &(orr_run_options){.seed = x->w.seed});
    diary_fold(&x->d, x->d.n, x->run, x->what);
}

static bool lacks_items(const wilder *x, uint32_t node) {
    uint32_t n = orr_run_items(x->run, node);
    if (orr_run_node_state(x->run, node, ORR_NONE) != ORR_NODE_COMPLETED || n == ORR_NONE) return false;
    for (uint32_t i = 0; i < n; i++)
        if (orr_run_node_state(x->run, node, i) == ORR_NODE_FAILED) return true;
    return false;
}

/* The nodes that failed or were cancelled, where it is asked for those that completed without all
 * of their items, and all that depends on them, in the simplest way. Whether there is any. */
static bool mark(wilder *x, bool items) {
    const orr_plan *plan = x->w.plan;
    bool any = false;
    for (uint32_t i = 0; i < x->w.n; i++) {
        orr_node_state state = orr_run_node_state(x->run, i, ORR_NONE);
        bool ignores = plan->policies[plan->policy_of[i]].ignore_errors;
        x->may_start[i] = state == ORR_NODE_CANCELLED || (state == ORR_NODE_FAILED && !ignores) ||
                          (items && lacks_items(x, i));
        any |= x->may_start[i];
        for (uint32_t k = plan->in_first[i]; k < plan->in_first[i + 1]; k++)
            x->may_start[i] |= x->may_start[plan->in_from[k]]; /* they stand before it */
    }
    return any;
}

static void end_it(wilder *x) {
    sim_run(x->s, INT64_MAX - 1);
    if (!orr_run_ended(orr_run_get_state(x->run))) fail_msg("%s: it does not end", x->what);
    if (orr_run_cause(x->run) == ORR_STOP_STALL) fail_msg("%s: it stalled", x->what);
    assert_int_equal(sim_busy(x->s), 0);
    diary_assert_same(&x->d, x->run, x->what);
}

static uint32_t set_back, completed_again;

static void once(uint64_t seed, uint32_t n, uint32_t flags, bool crashes) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    wilder x = {.w = wild_make(&alloc, seed, n, flags), .d = {.looks = true}, .may_start = calloc(n, 1)};
    snprintf(x.what, sizeof x.what, "seed %llu, %u nodes, flags %u", (unsigned long long)seed, n, flags);
    wild_open(&x, 1);
    x.run = orr_run_new(sim_core(x.s), x.w.plan, &(orr_run_options){.seed = seed});
    orr_run_begin(x.run);
    if (seed % 4 == 0) {
        sim_pass(x.s, 2 * SECOND);
        orr_run_cancel(x.run);
    }
    end_it(&x);
    bool items = seed % 3 == 0;
    for (uint32_t i = 0; i < 3 && (items || orr_run_get_state(x.run) != ORR_RUN_COMPLETED); i++) {
        orr_run_state before = orr_run_get_state(x.run);
        wild_read(&x);
        bool any = mark(&x, items);
        x.retried = true;
        if (before == ORR_RUN_COMPENSATED || before == ORR_RUN_COMPENSATION_FAILED ||
            (before == ORR_RUN_COMPLETED && !any)) {
            assert_int_equal(orr_run_retry(x.run, items, false), ORR_ESTATE);
            break;
        }
        if (before == ORR_RUN_COMPLETED) assert_int_equal(orr_run_retry(x.run, false, false), ORR_ESTATE);
        assert_int_equal(orr_run_retry(x.run, items, false), ORR_OK);
        completed_again += before == ORR_RUN_COMPLETED;
        set_back++;
        if (crashes) {
            x.crashed = true; /* what was cut off comes again */
            sim_pass(x.s, sim_now(x.s) + (int64_t)(seed % (uint64_t)(4 * SECOND)));
            if (orr_run_ended(orr_run_get_state(x.run))) continue;
            wild_read(&x);
            assert_int_equal(orr_run_recover(x.run, false), ORR_OK);
        }
        end_it(&x);
    }
    sim_free(x.s);
    diary_free(&x.d);
    wild_free(&x.w);
    free(x.may_start);
    free(x.used);
}

static void wild_ones(void **state) {
    chance c = chance_begin("random workflows that failed");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(4000); i++) {
        uint64_t seed = chance_next(&c);
        uint32_t n = 1 + chance_below(&c, 24),
                 flags = chance_below(&c, WILD_ALL + 1) | (chance_of(&c, 20) ? WILD_UNDO : 0);
        once(seed, n, flags, chance_of(&c, 30));
    }
    printf("%u runs set back, %u that had completed\n", set_back, completed_again);
    assert_true(set_back > 1000);
    assert_true(completed_again > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_failed_and_what_follows),
                                       cmocka_unit_test(what_was_cancelled),
                                       cmocka_unit_test(ignored_and_handled),
                                       cmocka_unit_test(only_items_that_did_not_complete),
                                       cmocka_unit_test(lists_that_follow),
                                       cmocka_unit_test(full_allowance),
                                       cmocka_unit_test(times_begin_anew),
                                       cmocka_unit_test(deadline_of_items_begins_anew),
                                       cmocka_unit_test(loops_begin_anew),
                                       cmocka_unit_test(after_a_crash_loop),
                                       cmocka_unit_test(undone_after_all),
                                       cmocka_unit_test(not_these),
                                       cmocka_unit_test(wild_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
