/* test_core_hold.c - places in pools that are kept while a task waits, and after a restart; in
 * virtual time, with exact times. */
#include "hand.h"
#include "rerun.h"

#include "checked_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Two runs want the one place of a pool: `first` has it. */
typedef struct pair {
    hand h;
    orr_run *first, *other;
    orr_action a;
} pair;

static orr_policy lock(void) {
    return (orr_policy){.priority = ORR_PRIO_NORMAL, .pool = "lock", .pool_hold = true};
}

static void take(pair *p, orr_policy policy) {
    hand_take(&p->h);
    orr_core_pool(p->h.core, "lock", 1, 0, 0);
    p->first = hand_run_one(&p->h, policy);
    p->a = hand_expect(&p->h, ORR_ACT_START, p->first, 0);
    p->other = hand_run_one(&p->h, lock());
    hand_assert_idle(&p->h);
}

static void drop_checked(hand *h) {
    checked_core(h->core);
    hand_drop(h);
}

/* The first has settled: the other has its turn. */
static void passes_on(pair *p) {
    orr_action a;
    while (orr_core_next(p->h.core, &a) && a.kind == ORR_ACT_RUN_END) assert_ptr_equal(a.run, p->first);
    assert_int_equal(a.kind, ORR_ACT_START);
    assert_ptr_equal(a.run, p->other);
    drop_checked(&p->h);
}

/* ---- while it waits -------------------------------------------------------------------------- */

static void without_hold(void **state) {
    pair p = {0};
    orr_policy policy = {.priority = ORR_PRIO_NORMAL, .pool = "lock"};
    (void)state;
    take(&p, policy);
    assert_int_equal(orr_task_wait(p.first, &p.a.task, 5 * SECOND), ORR_OK);
    hand_expect(&p.h, ORR_ACT_START, p.other, 0);
    drop_checked(&p.h);
}

static void sleep_keeps(void **state) {
    pair p = {0};
    (void)state;
    take(&p, lock());
    assert_int_equal(orr_task_wait(p.first, &p.a.task, 5 * SECOND + 1), ORR_OK);
    hand_idle_until(&p.h, 5 * SECOND);
    hand_expect(&p.h, ORR_ACT_RESUME, p.first, 0);
    hand_assert_idle(&p.h);
    hand_works(&p.a);
    passes_on(&p);
}

static void signal_keeps(void **state) {
    pair p = {0};
    orr_why why;
    (void)state;
    take(&p, lock());
    assert_int_equal(orr_task_wait(p.first, &p.a.task, -1), ORR_OK);
    hand_idle_until(&p.h, 3600 * SECOND);
    hand_assert_idle(&p.h);
    orr_run_why(p.other, 0, ORR_NONE, &why);
    assert_int_equal(why.kind, ORR_WHY_POOL);
    assert_ptr_equal(why.by_run, p.first);
    assert_int_equal(orr_task_wake(p.first, &p.a.task), ORR_OK);
    orr_run_why(p.first, 0, ORR_NONE, &why);
    assert_int_equal(why.kind, ORR_WHY_PRIORITY); /* it waits for no place */
    hand_expect(&p.h, ORR_ACT_RESUME, p.first, 0);
    hand_works(&p.a);
    passes_on(&p);
}

static void backoff_keeps(void **state) {
    pair p = {0};
    orr_policy policy = lock();
    (void)state;
    policy.retry = (orr_retry){.max = 1, .delay = 3 * SECOND};
    take(&p, policy);
    hand_fails(&p.a);
    hand_idle_until(&p.h, 3 * SECOND);
    p.a = hand_expect(&p.h, ORR_ACT_START, p.first, 0);
    hand_fails(&p.a);
    passes_on(&p);
}

static void fallback_keeps(void **state) {
    pair p = {0};
    orr_policy policy = lock();
    (void)state;
    policy.has_fallback = true;
    take(&p, policy);
    hand_fails(&p.a);
    p.a = hand_expect(&p.h, ORR_ACT_START, p.first, 0);
    assert_int_equal(p.a.phase, ORR_PHASE_FALLBACK);
    hand_assert_idle(&p.h);
    hand_works(&p.a);
    passes_on(&p);
}

static void loop_keeps(void **state) {
    pair p = {.h = {.until = 2}};
    orr_policy policy = lock();
    (void)state;
    policy.has_loop = true;
    policy.loop_delay = 4 * SECOND;
    take(&p, policy);
    hand_works(&p.a);
    hand_idle_until(&p.h, 4 * SECOND);
    p.a = hand_expect(&p.h, ORR_ACT_START, p.first, 0);
    assert_int_equal(p.a.task.iteration, 1);
    hand_works(&p.a);
    passes_on(&p);
}

static void items_keep(void **state) {
    hand h = {.items = 2};
    orr_policy policy = lock();
    (void)state;
    policy.has_each = true;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    orr_run *run = hand_run_one(&h, policy);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(orr_task_wait(run, &a.task, 2 * SECOND + 1), ORR_OK);
    hand_idle_until(&h, 2 * SECOND);
    hand_expect(&h, ORR_ACT_RESUME, run, 0);
    hand_works(&a);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.task.item, 1);
    drop_checked(&h);
}

/* The pool of a key is kept as long as a place in it. */
static void key_keeps(void **state) {
    hand h = {.pool = "tenant:a"};
    orr_policy policy = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true, .pool_hold = true};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "tenant", 1, 0, 0);
    orr_run *first = hand_run_one(&h, policy), *other = hand_run_one(&h, policy);
    orr_action a = hand_expect(&h, ORR_ACT_START, first, 0);
    assert_int_equal(orr_task_wait(first, &a.task, SECOND + 1), ORR_OK);
    h.pool = "tenant:b"; /* it is not asked again */
    hand_idle_until(&h, SECOND);
    hand_expect(&h, ORR_ACT_RESUME, first, 0);
    hand_works(&a);
    hand_ends_as(&h, first, ORR_RUN_COMPLETED);
    hand_expect(&h, ORR_ACT_START, other, 0);
    drop_checked(&h);
}

static void concurrency_is_waited_for(void **state) {
    hand h = {0};
    orr_policy policies[] = {lock(), PLAIN};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    orr_run *run = hand_run(&h, shape(NULL, 2, policies, 0, NULL), 1), *other = hand_run_one(&h, lock());
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(orr_task_wait(run, &a.task, SECOND + 1), ORR_OK);
    orr_action b = hand_expect(&h, ORR_ACT_START, run, 1);
    hand_pass_to(&h, 2 * SECOND);
    hand_assert_idle(&h);
    hand_works(&b);
    hand_expect(&h, ORR_ACT_RESUME, run, 0);
    hand_works(&a);
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    hand_expect(&h, ORR_ACT_START, other, 0);
    drop_checked(&h);
}

/* Each attempt is a start, and takes a token. */
static void rate_counts_its_attempts(void **state) {
    hand h = {0};
    orr_policy policy = lock();
    (void)state;
    policy.retry = (orr_retry){.max = 1, .delay = SECOND};
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 1, 10 * SECOND);
    orr_run *first = hand_run_one(&h, policy), *other = hand_run_one(&h, lock());
    orr_action a = hand_expect(&h, ORR_ACT_START, first, 0);
    hand_fails(&a);
    hand_pass_to(&h, 9 * SECOND);
    hand_assert_idle(&h);
    hand_pass_to(&h, 10 * SECOND);
    a = hand_expect(&h, ORR_ACT_START, first, 0);
    hand_works(&a);
    hand_ends_as(&h, first, ORR_RUN_COMPLETED);
    hand_idle_until(&h, 20 * SECOND);
    hand_expect(&h, ORR_ACT_START, other, 0);
    drop_checked(&h);
}

/* ---- where it ends otherwise ----------------------------------------------------------------- */

static void cancel_gives_it_back(void **state) {
    pair p = {0};
    (void)state;
    take(&p, lock());
    assert_int_equal(orr_task_wait(p.first, &p.a.task, -1), ORR_OK);
    orr_run_cancel(p.first);
    hand_expect(&p.h, ORR_ACT_CANCEL, p.first, 0);
    hand_idle_until(&p.h, SECOND); /* it has its grace, and its place */
    assert_int_equal(hand_end_with(&p.a, ORR_END_CANCELLED, NULL), ORR_OK);
    passes_on(&p);
}

static void cancel_while_it_waits_for_its_turn(void **state) {
    pair p = {0};
    (void)state;
    take(&p, lock());
    assert_int_equal(orr_task_wait(p.first, &p.a.task, -1), ORR_OK);
    assert_int_equal(orr_task_wake(p.first, &p.a.task), ORR_OK);
    orr_run_cancel(p.first);
    hand_expect(&p.h, ORR_ACT_CANCEL, p.first, 0);
    hand_assert_idle(&p.h);
    assert_int_equal(hand_end_with(&p.a, ORR_END_CANCELLED, NULL), ORR_OK);
    passes_on(&p);
}

static void cancel_in_backoff_gives_it_back(void **state) {
    pair p = {0};
    orr_policy policy = lock();
    (void)state;
    policy.retry = (orr_retry){.max = 1, .delay = 3 * SECOND};
    take(&p, policy);
    hand_fails(&p.a);
    orr_run_cancel(p.first);
    passes_on(&p);
}

static void deadline_gives_it_back(void **state) {
    pair p = {0};
    orr_policy policy = lock();
    (void)state;
    policy.deadline = 2 * SECOND;
    take(&p, policy);
    assert_int_equal(orr_task_wait(p.first, &p.a.task, -1), ORR_OK);
    hand_idle_until(&p.h, 2 * SECOND);
    hand_expect(&p.h, ORR_ACT_CANCEL, p.first, 0);
    hand_assert_idle(&p.h);
    hand_works(&p.a);
    passes_on(&p);
}

static void drop_gives_it_back(void **state) {
    pair p = {0};
    (void)state;
    take(&p, lock());
    assert_int_equal(orr_task_wait(p.first, &p.a.task, -1), ORR_OK);
    orr_run_free(p.first);
    hand_expect(&p.h, ORR_ACT_START, p.other, 0);
    drop_checked(&p.h);
}

/* A breaker that refuses a first start has it hold nothing. */
static void refused_holds_nothing(void **state) {
    hand h = {0};
    orr_policy fails = {.priority = ORR_PRIO_NORMAL, .breaker = "b"}, policy = lock();
    (void)state;
    policy.breaker = "b";
    policy.retry = (orr_retry){.max = 3};
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    orr_core_breaker(h.core, "b", &(orr_breaker_options){.threshold = 1, .cooldown = 100 * SECOND});
    orr_run *broken = hand_run_one(&h, fails);
    orr_action a = hand_expect(&h, ORR_ACT_START, broken, 0);
    hand_fails(&a);
    hand_ends_as(&h, broken, ORR_RUN_FAILED);
    orr_run *refused = hand_run_one(&h, policy);
    hand_assert_idle(&h);
    assert_int_equal(orr_run_node_state(refused, 0, ORR_NONE), ORR_NODE_WAITING);
    orr_run *other = hand_run_one(&h, lock());
    hand_expect(&h, ORR_ACT_START, other, 0);
    drop_checked(&h);
}

/* ---- pauses ---------------------------------------------------------------------------------- */

static void pause_of_its_run_keeps(void **state) {
    pair p = {0};
    (void)state;
    take(&p, lock());
    assert_int_equal(orr_task_wait(p.first, &p.a.task, SECOND + 1), ORR_OK);
    orr_run_pause(p.first);
    hand_idle_until(&p.h, 100 * SECOND);
    hand_assert_idle(&p.h);
    orr_run_resume(p.first);
    hand_idle_until(&p.h, 101 * SECOND - 1);
    hand_pass_to(&p.h, 101 * SECOND);
    hand_expect(&p.h, ORR_ACT_RESUME, p.first, 0);
    hand_works(&p.a);
    passes_on(&p);
}

/* It gives no places; who has one needs none. */
static void pause_of_the_pool(void **state) {
    pair p = {0};
    (void)state;
    take(&p, lock());
    assert_int_equal(orr_task_wait(p.first, &p.a.task, SECOND + 1), ORR_OK);
    orr_core_pool_pause(p.h.core, "lock", true);
    hand_idle_until(&p.h, SECOND);
    hand_expect(&p.h, ORR_ACT_RESUME, p.first, 0);
    hand_works(&p.a);
    hand_ends_as(&p.h, p.first, ORR_RUN_COMPLETED);
    hand_assert_idle(&p.h);
    orr_core_pool_pause(p.h.core, "lock", false);
    passes_on(&p);
}

/* ---- after a restart ------------------------------------------------------------------------- */

/* Another run of the process that wants the place. */
static orr_run *rival(const rerun *r, orr_plan *plan) {
    orr_run *run = orr_run_new(sim_core(r->s), plan, &(orr_run_options){.seed = 1});
    assert_non_null(run);
    orr_run_begin(run);
    return run;
}

static int64_t time_of(const rerun *r, const orr_run *run, char what) {
    uint32_t n;
    const sim_line *lines = sim_history(r->s, &n);
    for (uint32_t i = n; i-- > 0;)
        if (lines[i].run == run && lines[i].what == what) return lines[i].time - 1;
    fail_msg("there is no %c", what);
    return 0;
}

/* A node that does `deed` first, crashes at 3 s and goes on at 10 s, in a process in which a rival
 * came before: it has its place all the same, and ends at `ends`. */
static void held_again(sim_deed deed, orr_policy policy, int64_t ends) {
    rerun r = {.until = 2, .pool = "lock"};
    orr_policy other = lock();
    orr_plan *plan = shape(NULL, 1, &other, 0, NULL);
    rerun_give(&r, 0, deed);
    rerun_give(&r, 0, (sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED});
    rerun_begin(&r, shape(NULL, 1, &policy, 0, NULL));
    rerun_until(&r, 3 * SECOND);
    rerun_read(&r, 10 * SECOND);
    orr_run *run = rival(&r, plan);
    assert_int_equal(orr_run_recover(r.run, false), ORR_OK);
    checked_core(sim_core(r.s));
    rerun_to_end(&r);
    assert_int_equal(time_of(&r, r.run, 'E'), ends);
    assert_int_equal(time_of(&r, run, 'S'), ends);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
    orr_plan_unref(plan);
}

static void crash_while_it_runs(void **state) {
    (void)state;
    held_again((sim_deed){.takes = 8 * SECOND, .end = ORR_END_COMPLETED}, lock(), 18 * SECOND);
}

static void crash_while_it_sleeps(void **state) {
    (void)state;
    held_again((sim_deed){.takes = 2 * SECOND, .sleeps = 20 * SECOND, .end = ORR_END_COMPLETED}, lock(),
               32 * SECOND);
}

static void crash_in_backoff(void **state) {
    orr_policy policy = lock();
    (void)state;
    policy.retry = (orr_retry){.max = 1, .delay = 60 * SECOND};
    held_again((sim_deed){.takes = SECOND, .end = ORR_END_FAILED}, policy, 62 * SECOND);
}

static void crash_between_iterations(void **state) {
    orr_policy policy = lock();
    (void)state;
    policy.has_loop = true;
    policy.loop_delay = 60 * SECOND;
    held_again((sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED}, policy, 62 * SECOND);
}

/* The rival had the place before the run was read: that has the next one, before others. */
static void taken_meanwhile(void **state) {
    rerun r = {.pool = "lock"};
    orr_policy policy = lock(), other = {.priority = ORR_PRIO_CRITICAL, .pool = "lock", .pool_hold = true};
    orr_plan *plan = shape(NULL, 1, &other, 0, NULL);
    (void)state;
    policy.retry = (orr_retry){.max = 1, .delay = 60 * SECOND};
    rerun_give(&r, 0, (sim_deed){.takes = SECOND, .end = ORR_END_FAILED});
    rerun_give(&r, 0, (sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED});
    rerun_begin(&r, shape(NULL, 1, &policy, 0, NULL));
    rerun_until(&r, 3 * SECOND);
    rerun_read(&r, 10 * SECOND);
    const orr_run *early = rival(&r, plan);
    sim_pass(r.s, 10 * SECOND + MS);
    const orr_run *late = rival(&r, plan);
    assert_int_equal(orr_run_recover(r.run, false), ORR_OK);
    checked_core(sim_core(r.s));
    rerun_to_end(&r);
    assert_int_equal(time_of(&r, early, 'E'), 11 * SECOND);
    assert_int_equal(time_of(&r, r.run, 'S'), 61 * SECOND);
    assert_int_equal(time_of(&r, late, 'S'), 62 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
    orr_plan_unref(plan);
}

/* What is owed a place stands in line for it, and is there first. */
static void owed_in_line(void **state) {
    rerun r = {.pool = "lock"};
    orr_policy policy = lock(), other = {.priority = ORR_PRIO_CRITICAL, .pool = "lock"};
    orr_plan *plan = shape(NULL, 1, &other, 0, NULL);
    (void)state;
    rerun_give(&r, 0, (sim_deed){.takes = 8 * SECOND, .end = ORR_END_COMPLETED});
    rerun_begin(&r, shape(NULL, 1, &policy, 0, NULL));
    rerun_until(&r, 3 * SECOND);
    rerun_read(&r, 10 * SECOND);
    const orr_run *early = rival(&r, plan);
    sim_pass(r.s, 10 * SECOND + MS);
    const orr_run *late = rival(&r, plan);
    assert_int_equal(orr_run_recover(r.run, false), ORR_OK);
    checked_core(sim_core(r.s));
    rerun_to_end(&r);
    assert_int_equal(time_of(&r, early, 'E'), 11 * SECOND);
    assert_int_equal(time_of(&r, r.run, 'S'), 11 * SECOND);
    assert_int_equal(time_of(&r, late, 'S'), 19 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
    orr_plan_unref(plan);
}

/* A wider pool pays at once what it owes. */
static void owed_by_a_pool_that_widens(void **state) {
    rerun r = {.pool = "lock"};
    orr_policy policy = lock();
    orr_plan *plan = shape(NULL, 1, &policy, 0, NULL);
    (void)state;
    rerun_give(&r, 0, (sim_deed){.takes = 8 * SECOND, .end = ORR_END_COMPLETED});
    rerun_begin(&r, shape(NULL, 1, &policy, 0, NULL));
    rerun_until(&r, 3 * SECOND);
    rerun_read(&r, 10 * SECOND);
    rival(&r, plan);
    sim_pass(r.s, 10 * SECOND + MS);
    assert_int_equal(orr_run_recover(r.run, false), ORR_OK);
    sim_pass(r.s, 10 * SECOND + 2 * MS);
    assert_int_equal(orr_core_pool(sim_core(r.s), "lock", 2, 0, 0), ORR_OK);
    checked_core(sim_core(r.s));
    rerun_to_end(&r);
    assert_int_equal(time_of(&r, r.run, 'S'), 10 * SECOND + 2 * MS - 1);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
    orr_plan_unref(plan);
}

/* What had not begun held nothing, and what has settled has given it back. */
static void what_has_not_begun(void **state) {
    rerun r = {.pool = "lock"};
    orr_policy policies[] = {lock(), lock(), lock()};
    shape_edge edges[] = {{0, 1}};
    (void)state;
    rerun_give(&r, 1, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_COMPLETED});
    rerun_give(&r, 2, (sim_deed){.takes = 2 * SECOND, .end = ORR_END_COMPLETED});
    rerun_begin(&r, shape(NULL, 3, policies, 1, edges));
    rerun_until(&r, 4 * SECOND); /* a has ended at 1 s, c at 3 s, and b runs */
    rerun_recover(&r, 10 * SECOND, false);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'S', 1, ORR_NONE, 0, 10 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_COMPLETED);
    rerun_end(&r);
}

/* A pool that is not there any more fails the node, as at a first start. */
static void the_pool_is_gone(void **state) {
    rerun r = {.pool = "lock"};
    orr_policy policy = lock();
    (void)state;
    policy.retry = (orr_retry){.max = 1, .delay = 60 * SECOND};
    rerun_give(&r, 0, (sim_deed){.takes = SECOND, .end = ORR_END_FAILED});
    rerun_begin(&r, shape(NULL, 1, &policy, 0, NULL));
    rerun_until(&r, 3 * SECOND);
    r.pool = NULL;
    rerun_recover(&r, 10 * SECOND, false);
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_assert_code(&r, 0, "config_error");
    rerun_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_hold),
        cmocka_unit_test(sleep_keeps),
        cmocka_unit_test(signal_keeps),
        cmocka_unit_test(backoff_keeps),
        cmocka_unit_test(fallback_keeps),
        cmocka_unit_test(loop_keeps),
        cmocka_unit_test(items_keep),
        cmocka_unit_test(key_keeps),
        cmocka_unit_test(concurrency_is_waited_for),
        cmocka_unit_test(rate_counts_its_attempts),
        cmocka_unit_test(cancel_gives_it_back),
        cmocka_unit_test(cancel_while_it_waits_for_its_turn),
        cmocka_unit_test(cancel_in_backoff_gives_it_back),
        cmocka_unit_test(deadline_gives_it_back),
        cmocka_unit_test(drop_gives_it_back),
        cmocka_unit_test(refused_holds_nothing),
        cmocka_unit_test(pause_of_its_run_keeps),
        cmocka_unit_test(pause_of_the_pool),
        cmocka_unit_test(crash_while_it_runs),
        cmocka_unit_test(crash_while_it_sleeps),
        cmocka_unit_test(crash_in_backoff),
        cmocka_unit_test(crash_between_iterations),
        cmocka_unit_test(taken_meanwhile),
        cmocka_unit_test(owed_in_line),
        cmocka_unit_test(owed_by_a_pool_that_widens),
        cmocka_unit_test(what_has_not_begun),
        cmocka_unit_test(the_pool_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
