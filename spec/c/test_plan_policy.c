/* test_plan_policy.c - policies and outcome names: equal ones are shared, strings copied, bad
 * ones refused. */
#include "core/plan/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Changes one thing about a policy; each number another thing. False past the last one. */
static bool vary(orr_policy *p, int i) {
    static const char *const one[] = {"timeout"}, *const other[] = {"refused"},
                             *const two[] = {"timeout", "refused"};
    static const orr_retry more[] = {{.max = 1, .factor = 2, .on = one, .n_on = 1},
                                     {.max = 1, .factor = 2, .on = other, .n_on = 1}};
    switch (i) {
    case 0: p->join = ORR_JOIN_ANY; return true;
    case 1: p->priority = ORR_PRIO_HIGH; return true;
    case 2: p->cancel_rest = true; return true;
    case 3: p->ignore_errors = true; return true;
    case 4: p->has_when = true; return true;
    case 5: p->has_each = true; return true;
    case 6: p->has_loop = true; return true;
    case 7: p->has_fallback = true; return true;
    case 8: p->has_compensate = true; return true;
    case 9: p->pool_is_dynamic = true; return true;
    case 10: p->failures_percent = true; return true;
    case 11: p->need = 1; return true;
    case 12: p->each_failures = 0.5; return true;
    case 13: p->loop_max = 1; return true;
    case 14: p->loop_delay = 1; return true;
    case 15: p->timeout = 1; return true;
    case 16: p->deadline = 1; return true;
    case 17: p->heartbeat = 1; return true;
    case 18: p->estimate = 1; return true;
    case 19: p->pool = "a"; return true;
    case 20: p->pool = ""; return true;
    case 21: p->breaker = "a"; return true;
    case 22: p->retry.max = 1; return true;
    case 23: p->retry.strategy = ORR_BACKOFF_LINEAR; return true;
    case 24: p->retry.jitter = ORR_JITTER_FULL; return true;
    case 25: p->retry.delay = 1; return true;
    case 26: p->retry.max_delay = 1; return true;
    case 27: p->retry.factor = 3; return true;
    case 28: p->retry.on = one, p->retry.n_on = 1; return true;
    case 29: p->retry.on = other, p->retry.n_on = 1; return true;
    case 30: p->retry.on = two, p->retry.n_on = 2; return true;
    case 31: p->retry.unless = one, p->retry.n_unless = 1; return true;
    case 32: p->retry.unless = two, p->retry.n_unless = 2; return true;
    case 33: p->compensate_timeout = 1; return true;
    case 34: p->compensate_retry.max = 1; return true;
    case 35: p->compensate_retry.strategy = ORR_BACKOFF_LINEAR; return true;
    case 36: p->compensate_retry.jitter = ORR_JITTER_FULL; return true;
    case 37: p->compensate_retry.delay = 1; return true;
    case 38: p->compensate_retry.max_delay = 1; return true;
    case 39: p->compensate_retry.factor = 3; return true;
    case 40: p->compensate_retry.on = one, p->compensate_retry.n_on = 1; return true;
    case 41: p->compensate_retry.on = two, p->compensate_retry.n_on = 2; return true;
    case 42: p->compensate_retry.unless = one, p->compensate_retry.n_unless = 1; return true;
    case 43: p->compensate_retry.unless = other, p->compensate_retry.n_unless = 1; return true;
    case 44: p->watches = true; return true;
    case 45: p->each_on_failure = ORR_EACH_DRAIN; return true;
    case 46: p->each_parallel = 1; return true;
    case 47: p->loop_times = 1; return true;
    case 48: p->retries = &more[0], p->n_retries = 1; return true;
    case 49: p->retries = &more[1], p->n_retries = 1; return true;
    case 50: p->retries = more, p->n_retries = 2; return true;
    case 54: p->compensate_retries = &more[0], p->n_compensate_retries = 1; return true;
    case 55: p->compensate_retries = &more[1], p->n_compensate_retries = 1; return true;
    case 56: p->compensate_retries = more, p->n_compensate_retries = 2; return true;
    case 51: p->retry.after_max = 1; return true;
    case 53: p->instant = true; return true;
    case 52: p->compensate_retry.after_max = 1; return true;
    case 57: p->stops = true; return true;
    default: return false;
    }
}

static void test_equal_policies_are_shared(void **state) {
    (void)state;
    orr_plan *plan;
    orr_policy p;
    uint16_t index;
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    int n = 0;
    for (int round = 0; round < 2; round++) {
        for (n = 0;; n++) {
            memset(&p, round ? 0xff : 0, sizeof p); /* padding must not matter */
            orr_policy_init(&p);
            if (!vary(&p, n)) break;
            assert_int_equal(orr_plan_policy(b, &p, &index), ORR_OK);
            assert_int_equal(index, n + 1); /* 0 is the default */
        }
        assert_int_equal(orr_plan_policy(b, &p, &index), ORR_OK);
        assert_int_equal(index, 0);
    }
    p.retry.factor = 0; /* stands for 2 */
    p.retry.on = (const char *const[]){"unused"};
    assert_int_equal(orr_plan_policy(b, &p, &index), ORR_OK);
    assert_int_equal(index, 0);
    assert_int_equal(orr_plan_node(b, NULL, 0, (uint16_t)n, NULL), ORR_OK);
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    assert_int_equal(plan->n_policies, n + 1);
    assert_int_equal(plan->policy_of[0], n);
    orr_plan_unref(plan);
}

static void test_policy_strings_are_copied(void **state) {
    (void)state;
    char pool[] = "disk", breaker[] = "api", on1[] = "timeout", on2[] = "refused", unless[] = "denied",
         undo[] = "busy";
    const char *on_codes[] = {on1, on2}, *unless_codes[] = {unless}, *undo_codes[] = {undo};
    orr_plan *plan;
    orr_policy p;
    uint16_t index;
    orr_policy_init(&p);
    p.pool = pool, p.breaker = breaker;
    p.retry = (orr_retry){.max = 3, .on = on_codes, .n_on = 2, .unless = unless_codes, .n_unless = 1};
    p.compensate_retry =
        (orr_retry){.max = 2, .on = undo_codes, .n_on = 1, .unless = on_codes, .n_unless = 2};
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    assert_int_equal(orr_plan_policy(b, &p, &index), ORR_OK);
    char *const sources[] = {pool, breaker, on1, on2, unless, undo};
    for (size_t i = 0; i < 6; i++) sources[i][0] = '#';
    on_codes[0] = on_codes[1] = unless_codes[0] = undo_codes[0] = NULL;
    assert_int_equal(orr_plan_node(b, NULL, 0, index, NULL), ORR_OK);
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    const orr_policy *kept = &plan->policies[index];
    assert_string_equal(kept->pool, "disk");
    assert_string_equal(kept->breaker, "api");
    assert_string_equal(kept->retry.on[0], "timeout");
    assert_string_equal(kept->retry.on[1], "refused");
    assert_string_equal(kept->retry.unless[0], "denied");
    assert_string_equal(kept->compensate_retry.on[0], "busy");
    assert_string_equal(kept->compensate_retry.unless[0], "timeout");
    assert_string_equal(kept->compensate_retry.unless[1], "refused");
    assert_int_equal(kept->compensate_retry.max, 2);
    assert_int_equal(kept->retry.max, 3);
    assert_true(kept->retry.factor >= 2 && kept->retry.factor <= 2);
    orr_plan_unref(plan);
}

static void test_policies_out_of_range(void **state) {
    (void)state;
    static const char *const null_code[] = {NULL};
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    orr_policy bad[22];
    for (size_t i = 0; i < 22; i++) orr_policy_init(&bad[i]);
    bad[0].join = ORR_JOIN_NEED + 1;
    bad[1].priority = ORR_PRIO_COUNT;
    bad[2].retry.strategy = ORR_BACKOFF_RANDOM + 1;
    bad[3].retry.jitter = ORR_JITTER_EQUAL + 1;
    bad[4].timeout = -1;
    bad[5].deadline = -1;
    bad[6].heartbeat = -1;
    bad[7].estimate = -1;
    bad[8].loop_delay = -1;
    bad[9].retry.delay = -1;
    bad[10].retry.max_delay = -1;
    bad[11].retry.factor = (double)NAN;
    bad[12].retry.factor = (double)INFINITY;
    bad[13].each_failures = (double)NAN;
    bad[14].retry.n_on = 1;
    bad[15].retry.n_unless = 1, bad[15].retry.unless = null_code;
    bad[16].compensate_timeout = -1;
    bad[17].compensate_retry.delay = -1;
    bad[18].compensate_retry.max_delay = -1;
    bad[19].compensate_retry.factor = (double)NAN;
    bad[20].compensate_retry.strategy = ORR_BACKOFF_RANDOM + 1;
    bad[21].compensate_retry.n_on = 1, bad[21].compensate_retry.on = null_code;
    for (size_t i = 0; i < 22; i++) {
        uint16_t index = 7;
        assert_int_equal(orr_plan_policy(b, &bad[i], &index), ORR_EINVAL);
        assert_int_equal(index, 7);
    }
    orr_plan_abandon(b);
}

/* A policy that differs from others of the same parity in one string alone, so that strings must be
 * distinguished where hashes are not: among so many, some are equal. */
static orr_policy numbered(uint32_t i) {
    static char name[16];
    static const char *codes[1] = {name};
    orr_policy p;
    orr_policy_init(&p);
    snprintf(name, sizeof name, "%u", i);
    if (i % 2) p.pool = name;
    else p.retry.on = codes, p.retry.n_on = 1;
    return p;
}

static void test_as_many_policies_and_outcomes_as_fit(void **state) {
    (void)state;
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    uint16_t index = 0, port = 0;
    for (uint32_t i = 1; i < 65535; i++) {
        orr_policy p = numbered(i);
        assert_int_equal(orr_plan_policy(b, &p, &index), ORR_OK);
        assert_int_equal(index, i);
    }
    orr_policy more = numbered(65535);
    assert_int_equal(orr_plan_policy(b, &more, &index), ORR_EINVAL);
    orr_policy known = numbered(40000);
    assert_int_equal(orr_plan_policy(b, &known, &index), ORR_OK);
    assert_int_equal(index, 40000);
    for (uint32_t i = 0; i <= 65535; i++) {
        char name[8];
        int len = snprintf(name, sizeof name, "%u", i);
        assert_int_equal(orr_plan_port(b, name, (size_t)len, &port), i < 65535 ? ORR_OK : ORR_EINVAL);
        if (i < 65535) assert_int_equal(port, i);
    }
    orr_plan_abandon(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_policies_are_shared),
        cmocka_unit_test(test_policy_strings_are_copied),
        cmocka_unit_test(test_policies_out_of_range),
        cmocka_unit_test(test_as_many_policies_and_outcomes_as_fit),
    };
    return cmocka_run_group_tests_name("plan policies", tests, NULL, NULL);
}
