/* test_core_deadlock.c - waits for places that never come free: they are found, and nothing else is
 * taken for one. */
#include "failing_heap.h"
#include "hand.h"
#include "wild.h"

#include "chance.h"
#include "checked_core.h"
#include "core/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static orr_policy lock(void) {
    return (orr_policy){.priority = ORR_PRIO_NORMAL, .pool = "lock", .pool_hold = true};
}

static void drop_checked(hand *h) {
    checked_core(h->core);
    hand_drop(h);
}

/* ---- waits that can never end ---------------------------------------------------------------- */

static orr_plan *named(const char *name, orr_policy policy) {
    return shape(&(orr_plan_options){.name = name}, 1, &policy, 0, NULL);
}

/* A run whose node has started in that pool, or without any. */
static orr_run *holder(hand *h, const char *name, const char *pool, orr_action *a) {
    orr_policy policy = {.priority = ORR_PRIO_NORMAL, .pool = pool, .pool_hold = pool != NULL};
    orr_run *run = hand_run(h, named(name, policy), 0);
    *a = hand_expect(h, ORR_ACT_START, run, 0);
    return run;
}

/* A child of the task, which waits for it and for nothing else. */
static orr_run *child(hand *h, const orr_action *of, const char *name, const char *pool) {
    orr_policy policy = {.priority = ORR_PRIO_NORMAL, .pool = pool, .pool_hold = true};
    orr_run *run = hand_run(h, named(name, policy), 0);
    orr_run_awaited(run, of->run, &of->task);
    assert_int_equal(orr_task_await(of->run, &of->task), ORR_OK);
    return run;
}

static void assert_deadlock(const hand *h, orr_run *run, const char *message) {
    orr_error e;
    hand_ends_as(h, run, ORR_RUN_FAILED);
    assert_true(orr_run_error(run, 0, ORR_NONE, &e));
    assert_string_equal(e.code, "deadlock");
    assert_true(e.not_retryable);
    assert_string_equal(e.message, message);
}

static void needs_its_parents_place(void **state) {
    hand h = {0};
    orr_action a;
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    holder(&h, "outer", "lock", &a);
    orr_run *inner = child(&h, &a, "inner", "lock");
    assert_deadlock(
        &h, inner,
        "no place in pool 'lock' ever comes free for it: node 'a' of workflow 'outer' holds it and "
        "waits for this run; give one of them another pool, raise the pool's max, or leave out "
        "hold");
    drop_checked(&h);
}

/* At once, whatever else the child does: it ends when the node has started, and that never does. */
static void needs_it_beside_others(void **state) {
    hand h = {0};
    orr_action a;
    orr_policy policies[] = {PLAIN, lock()};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    orr_run *outer = holder(&h, "outer", "lock", &a);
    orr_run *inner = hand_run(&h, shape(NULL, 2, policies, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, inner, 0);
    hand_assert_idle(&h);
    orr_run_awaited(inner, outer, &a.task);
    assert_int_equal(orr_task_await(outer, &a.task), ORR_OK);
    hand_expect(&h, ORR_ACT_CANCEL, inner, 0);
    assert_int_equal(orr_run_node_state(inner, 1, ORR_NONE), ORR_NODE_FAILED);
    drop_checked(&h);
}

static void needs_its_grandparents_place(void **state) {
    hand h = {0};
    orr_action a, b;
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    holder(&h, "outer", "lock", &a);
    orr_run *middle = child(&h, &a, "middle", NULL);
    b = hand_expect(&h, ORR_ACT_START, middle, 0);
    hand_assert_idle(&h);
    orr_run *inner = child(&h, &b, "inner", "lock");
    hand_ends_as(&h, inner, ORR_RUN_FAILED);
    drop_checked(&h);
}

static void needs_it_beside_others_below(void **state) {
    hand h = {0};
    orr_action a;
    orr_policy policies[] = {PLAIN, lock()};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    holder(&h, "outer", "lock", &a);
    orr_run *middle = child(&h, &a, "middle", NULL);
    orr_action b = hand_expect(&h, ORR_ACT_START, middle, 0);
    orr_run *inner = hand_run(&h, shape(NULL, 2, policies, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, inner, 0);
    orr_run_awaited(inner, middle, &b.task);
    hand_expect(&h, ORR_ACT_CANCEL, inner, 0);
    assert_int_equal(orr_run_node_state(inner, 1, ORR_NONE), ORR_NODE_FAILED);
    drop_checked(&h);
}

/* There is another place, whose holder will end. */
static void another_place_comes_free(void **state) {
    hand h = {0};
    orr_action a, b;
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 2, 0, 0);
    holder(&h, "outer", "lock", &a);
    holder(&h, "beside", "lock", &b);
    orr_run *inner = child(&h, &a, "inner", "lock");
    hand_assert_idle(&h);
    hand_works(&b);
    hand_expect(&h, ORR_ACT_RUN_END, b.run, ORR_NONE);
    hand_expect(&h, ORR_ACT_START, inner, 0);
    drop_checked(&h);
}

/* A parent without `hold` gives its place to the child. */
static void no_hold_no_deadlock(void **state) {
    hand h = {0};
    orr_policy policy = {.priority = ORR_PRIO_NORMAL, .pool = "lock"};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    orr_run *outer = hand_run_one(&h, policy);
    orr_action a = hand_expect(&h, ORR_ACT_START, outer, 0);
    orr_run *inner = child(&h, &a, "inner", "lock");
    hand_expect(&h, ORR_ACT_START, inner, 0);
    drop_checked(&h);
}

/* Each of two waits for what the other has. */
typedef struct knot {
    hand h;
    orr_action a, b;
    orr_run *of_a, *of_b;
} knot;

static void two(knot *k) {
    hand_take(&k->h);
    orr_core_pool(k->h.core, "p", 1, 0, 0);
    orr_core_pool(k->h.core, "q", 1, 0, 0);
    holder(&k->h, "A", "p", &k->a);
    holder(&k->h, "B", "q", &k->b);
}

static void crosswise(void **state) {
    knot k = {0};
    (void)state;
    two(&k);
    k.of_a = child(&k.h, &k.a, "a's", "q");
    hand_assert_idle(&k.h);
    k.of_b = child(&k.h, &k.b, "b's", "p");
    assert_deadlock(
        &k.h, k.of_a,
        "no place in pool 'q' ever comes free for it: node 'a' of workflow 'B' holds it and waits "
        "for node 'a' of workflow 'b's', which waits for pool 'p'; node 'a' of workflow 'A' holds "
        "it and waits for this run; give one of them another pool, raise the pool's max, or leave "
        "out hold");
    orr_run_awaited(k.of_a, NULL, NULL);
    assert_int_equal(orr_task_wake(k.a.run, &k.a.task), ORR_OK);
    hand_expect(&k.h, ORR_ACT_RESUME, k.a.run, 0);
    hand_works(&k.a);
    hand_ends_as(&k.h, k.a.run, ORR_RUN_COMPLETED);
    hand_expect(&k.h, ORR_ACT_START, k.of_b, 0);
    drop_checked(&k.h);
}

/* As long as anything else goes on in one of the runs it may end otherwise. */
static void crosswise_and_busy(void **state) {
    knot k = {0};
    orr_policy policies[] = {PLAIN, {.priority = ORR_PRIO_NORMAL, .pool = "p"}};
    (void)state;
    two(&k);
    k.of_a = child(&k.h, &k.a, "a's", "q");
    k.of_b = hand_run(&k.h, shape(NULL, 2, policies, 0, NULL), 0);
    orr_run_awaited(k.of_b, k.b.run, &k.b.task);
    assert_int_equal(orr_task_await(k.b.run, &k.b.task), ORR_OK);
    orr_action busy = hand_expect(&k.h, ORR_ACT_START, k.of_b, 0);
    hand_assert_idle(&k.h);
    assert_int_equal(orr_task_wait(k.of_b, &busy.task, 5 * SECOND + 1), ORR_OK);
    hand_idle_until(&k.h, 5 * SECOND);
    hand_expect(&k.h, ORR_ACT_RESUME, k.of_b, 0);
    hand_assert_idle(&k.h);
    hand_works(&busy);
    hand_ends_as(&k.h, k.of_a, ORR_RUN_FAILED);
    drop_checked(&k.h);
}

/* The same a run further up: what ends there is the last that went on. */
static void crosswise_and_busy_above(void **state) {
    knot k = {0};
    orr_policy policies[] = {PLAIN, PLAIN};
    (void)state;
    two(&k);
    k.of_a = child(&k.h, &k.a, "a's", "q");
    k.of_b = hand_run(&k.h, shape(NULL, 2, policies, 0, NULL), 0);
    orr_run_awaited(k.of_b, k.b.run, &k.b.task);
    assert_int_equal(orr_task_await(k.b.run, &k.b.task), ORR_OK);
    orr_action calls = hand_expect(&k.h, ORR_ACT_START, k.of_b, 0);
    orr_action busy = hand_expect(&k.h, ORR_ACT_START, k.of_b, 1);
    child(&k.h, &calls, "below", "p");
    hand_assert_idle(&k.h);
    hand_works(&busy);
    hand_ends_as(&k.h, k.of_a, ORR_RUN_FAILED);
    drop_checked(&k.h);
}

/* One waits for a second run as well. Until it has learnt of that one's end it may go on. */
static void crosswise_and_one_has_ended(void **state) {
    knot k = {0};
    orr_policy plain = PLAIN;
    (void)state;
    two(&k);
    k.of_a = child(&k.h, &k.a, "a's", "q");
    orr_run *extra = hand_run(&k.h, named("extra", plain), 0);
    orr_action a = hand_expect(&k.h, ORR_ACT_START, extra, 0);
    orr_run_awaited(extra, k.a.run, &k.a.task);
    k.of_b = child(&k.h, &k.b, "b's", "p");
    hand_assert_idle(&k.h);
    hand_works(&a);
    hand_ends_as(&k.h, extra, ORR_RUN_COMPLETED);
    hand_assert_idle(&k.h);
    orr_run_awaited(extra, NULL, NULL);
    hand_ends_as(&k.h, k.of_a, ORR_RUN_FAILED);
    drop_checked(&k.h);
}

/* Somebody may still send what one of them waits for. */
static void crosswise_with_a_signal(void **state) {
    knot k = {0};
    orr_policy policy = {.priority = ORR_PRIO_NORMAL, .pool = "p", .pool_hold = true};
    (void)state;
    two(&k);
    k.of_a = child(&k.h, &k.a, "a's", "q");
    k.of_b = hand_run(&k.h, named("b's", policy), 0);
    orr_run_awaited(k.of_b, k.b.run, &k.b.task);
    assert_int_equal(orr_task_wait(k.b.run, &k.b.task, -1), ORR_OK);
    hand_assert_idle(&k.h);
    drop_checked(&k.h);
}

/* A paused run has time: it is looked at when it goes on. */
static void crosswise_and_paused(void **state) {
    knot k = {0};
    (void)state;
    two(&k);
    k.of_a = child(&k.h, &k.a, "a's", "q");
    orr_run_pause(k.of_a);
    k.of_b = child(&k.h, &k.b, "b's", "p");
    hand_expect(&k.h, ORR_ACT_RUN_END, k.of_b, ORR_NONE);
    drop_checked(&k.h);
}

/* All places are held by tasks that wait for runs which want one: neither is the other's. */
static void both_places_in_vain(void **state) {
    knot k = {0};
    orr_action a;
    (void)state;
    hand_take(&k.h);
    orr_core_pool(k.h.core, "p", 2, 0, 0);
    holder(&k.h, "A", "p", &k.a);
    holder(&k.h, "B", "p", &k.b);
    k.of_a = child(&k.h, &k.a, "a's", "p");
    hand_assert_idle(&k.h);
    k.of_b = child(&k.h, &k.b, "b's", "p");
    assert_true(orr_core_next(k.h.core, &a));
    assert_int_equal(a.kind, ORR_ACT_RUN_END);
    hand_assert_idle(&k.h); /* the other may have the place of whoever learns of it */
    drop_checked(&k.h);
}

/* A run that is freed, or that nobody waits for any more, is out of it. */
static void whoever_waited_is_gone(void **state) {
    hand h = {0};
    orr_action a;
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    orr_run *outer = holder(&h, "outer", "lock", &a), *inner = hand_run(&h, named("inner", lock()), 0);
    orr_run_awaited(inner, outer, &a.task);
    orr_run_awaited(outer, inner, &a.task); /* it is no part of itself */
    assert_null(outer->awaited_by);
    orr_run_free(outer);
    assert_null(inner->awaited_by);
    hand_expect(&h, ORR_ACT_START, inner, 0);
    drop_checked(&h);
}

static void its_fallback_needs_it_too(void **state) {
    hand h = {0};
    orr_action a;
    orr_error e;
    orr_policy policy = lock();
    (void)state;
    policy.has_fallback = true;
    hand_take(&h);
    orr_core_pool(h.core, "lock", 1, 0, 0);
    orr_run *outer = holder(&h, "outer", "lock", &a), *inner = hand_run(&h, named("inner", policy), 0);
    orr_run_awaited(inner, outer, &a.task);
    assert_int_equal(orr_task_await(outer, &a.task), ORR_OK);
    hand_ends_as(&h, inner, ORR_RUN_FAILED);
    assert_true(orr_run_error(inner, 0, ORR_NONE, &e));
    assert_string_equal(e.code, "deadlock");
    drop_checked(&h);
}

/* ---- without memory -------------------------------------------------------------------------- */

static bool answer(void *ud, orr_run *run, const orr_ask *ask, orr_answer *a) {
    (void)ud;
    (void)run;
    (void)ask;
    a->name = "tenant:a";
    return true;
}

/* A node takes a place of a keyed pool, keeps it in a backoff, and waits for a child that wants
 * it. */
static void with(failing_heap *heap) {
    orr_policy policy = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true, .pool_hold = true};
    policy.retry = (orr_retry){.max = 1};
    orr_plan *plan = shape(NULL, 1, &policy, 0, NULL);
    orr_core *core = orr_core_new(
        &(orr_core_options){.alloc = {failing_heap_fn, heap}, .hooks = {.evaluate = answer}, .now = 1});
    orr_run *outer = NULL, *inner = NULL;
    orr_action a;
    if (core != NULL && orr_core_pool(core, "tenant", 1, 0, 0) == ORR_OK)
        outer = orr_run_new(core, plan, &(orr_run_options){.seed = 1});
    if (outer != NULL) orr_run_begin(outer);
    for (int i = 0; outer != NULL && i < 20 && orr_core_next(core, &a); i++) {
        checked_core(core);
        if (a.kind == ORR_ACT_START && a.run == outer && a.task.attempt == 1) {
            hand_fails(&a);
        } else if (a.kind == ORR_ACT_START && a.run == outer) {
            inner = orr_run_new(core, plan, &(orr_run_options){.seed = 2});
            if (inner != NULL) {
                orr_run_begin(inner);
                orr_run_awaited(inner, outer, &a.task);
            }
            if (inner == NULL || orr_task_await(outer, &a.task) != ORR_OK) hand_works(&a);
        } else if (a.kind == ORR_ACT_START) {
            hand_works(&a);
        }
        checked_core(core);
    }
    if (inner != NULL && !heap->failed) assert_int_equal(orr_run_get_state(inner), ORR_RUN_FAILED);
    orr_core_free(core);
    orr_plan_unref(plan);
}

static void every_allocation_fails(void **state) {
    (void)state;
    for (long from = 1;; from++) {
        failing_heap once = {.fail_from = from, .fail_for = 1}, on = {.fail_from = from, .fail_for = 1000000};
        with(&once);
        with(&on);
        assert_true(once.bytes == 0 && on.bytes == 0);
        if (!once.failed) return;
    }
}

/* ---- any number of them ---------------------------------------------------------------------- */

enum { MOST_RUNS = 40, MOST_LIVE = 100, POOLS = 3, DEEPEST = 3 };

/* Runs whose nodes hold places of three pools and call others, at random. */
typedef struct crowd {
    chance c;
    orr_core *core;
    bool ordered; /* whoever holds a place calls only what wants one of a later pool */
    orr_run *runs[MOST_RUNS];
    orr_plan *plans[MOST_RUNS];
    uint32_t depth[MOST_RUNS], from[MOST_RUNS]; /* by run: how deep it is, and its first pool */
    uint32_t n;
    orr_action live[MOST_LIVE]; /* attempts that run */
    uint32_t n_live;
    uint32_t deadlocks;
} crowd;

static const char *const crowd_pools[] = {"one", "two", "three"};

static uint32_t index_of(const crowd *w, const orr_run *run) {
    uint32_t i = 0;
    while (w->runs[i] != run) i++;
    return i;
}

/* The number of a pool, or POOLS for a node without one. */
static uint32_t pool_of(const orr_run *run, uint32_t node) {
    const char *name = orr_policy_of(run, node)->pool;
    uint32_t i = 0;
    while (i < POOLS && (name == NULL || strcmp(name, crowd_pools[i]) != 0)) i++;
    return i;
}

static orr_run *join_crowd(crowd *w, uint32_t depth, uint32_t from) {
    orr_policy policies[3];
    uint32_t nodes = 1 + chance_below(&w->c, 3);
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t pool = from + chance_below(&w->c, POOLS + 1);
        policies[i] = (orr_policy){.priority = (uint8_t)chance_below(&w->c, 3)};
        if (pool < POOLS) policies[i].pool = crowd_pools[pool];
        policies[i].pool_hold = chance_of(&w->c, 70);
    }
    uint32_t n = w->n++;
    w->plans[n] = shape(&(orr_plan_options){.on_error = ORR_ON_ERROR_CONTINUE}, nodes, policies, 0, NULL);
    w->runs[n] = orr_run_new(w->core, w->plans[n], &(orr_run_options){.seed = n});
    assert_non_null(w->runs[n]);
    w->depth[n] = depth;
    w->from[n] = from;
    orr_run_begin(w->runs[n]);
    return w->runs[n];
}

/* An attempt calls up to two runs, or goes on running. */
static void goes_on_with(crowd *w, const orr_action *a) {
    uint32_t i = index_of(w, a->run), calls = w->depth[i] < DEEPEST ? chance_below(&w->c, 3) : 0;
    uint32_t pool = pool_of(a->run, a->task.node), from = w->from[i];
    if (w->ordered && pool < POOLS && pool + 1 > from) from = pool + 1;
    if (calls > MOST_RUNS - w->n) calls = 0;
    if (calls == 0) w->live[w->n_live++] = *a;
    for (uint32_t k = 0; k < calls; k++)
        orr_run_awaited(join_crowd(w, w->depth[i] + 1, from), a->run, &a->task);
    if (calls > 0) assert_int_equal(orr_task_await(a->run, &a->task), ORR_OK);
}

static void settle(crowd *w, const orr_action *a) {
    assert_int_equal(hand_end_with(a, chance_of(&w->c, 80) ? ORR_END_COMPLETED : ORR_END_FAILED, "x"),
                     ORR_OK);
}

/* What waited for a run goes on when it was the last. */
static void run_ended(orr_run *run) {
    orr_run *by = run->awaited_by;
    orr_task task = run->awaited_task;
    if (by == NULL) return;
    orr_run_awaited(run, NULL, NULL);
    for (const orr_run *other = by->awaits; other != NULL; other = other->awaited_next)
        if (orr_current(by, &other->awaited_task) == orr_current(by, &task)) return;
    orr_task_wake(by, &task);
}

static bool crowd_step(crowd *w) {
    orr_action a;
    if (w->n_live > 0 && chance_of(&w->c, 30)) {
        uint32_t i = chance_below(&w->c, w->n_live);
        a = w->live[i];
        w->live[i] = w->live[--w->n_live];
        settle(w, &a);
        return true;
    }
    if (!orr_core_next(w->core, &a)) {
        if (w->n_live == 0) return false;
        a = w->live[--w->n_live];
        settle(w, &a);
    } else if (a.kind == ORR_ACT_START) {
        goes_on_with(w, &a);
    } else if (a.kind == ORR_ACT_RESUME) {
        w->live[w->n_live++] = a;
    } else if (a.kind == ORR_ACT_RUN_END) {
        run_ended(a.run);
    } else { /* of an attempt that had waited, and cannot have its place again */
        assert_int_equal(a.kind, ORR_ACT_ABANDON);
    }
    return true;
}

static void count_deadlocks(crowd *w) {
    orr_error e;
    for (uint32_t i = 0; i < w->n; i++)
        for (uint32_t node = 0; node < w->plans[i]->n_nodes; node++)
            w->deadlocks += orr_run_error(w->runs[i], node, ORR_NONE, &e) && strcmp(e.code, "deadlock") == 0;
}

/* Nobody waits for a time or a signal: when nothing is left to do, all have ended. Gives how many
 * nodes failed with a deadlock. */
static uint32_t all_end(uint64_t seed, bool ordered) {
    crowd w = {.c = {seed}, .ordered = ordered};
    w.core = orr_core_new(&(orr_core_options){.alloc = {orr_alloc_libc, NULL}, .now = 1});
    assert_non_null(w.core);
    for (uint32_t i = 0; i < POOLS; i++)
        orr_core_pool(w.core, crowd_pools[i], 1 + chance_below(&w.c, 2), 0, 0);
    for (uint32_t i = 0; i < 4; i++) join_crowd(&w, 0, 0);
    while (crowd_step(&w)) checked_core(w.core);
    for (uint32_t i = 0; i < w.n; i++)
        if (!orr_run_ended(orr_run_get_state(w.runs[i])))
            fail_msg("seed %llu: run %u never ends", (unsigned long long)seed, i);
    count_deadlocks(&w);
    orr_core_free(w.core);
    for (uint32_t i = 0; i < w.n; i++) orr_plan_unref(w.plans[i]);
    return w.deadlocks;
}

static void none_is_left_out(void **state) {
    uint32_t found = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= wild_hunt(600); seed++) found += all_end(seed, false) > 0;
    assert_in_range(found, 60, wild_hunt(600));
}

static void none_is_found_that_is_not(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= wild_hunt(400); seed++)
        if (all_end(seed, true) > 0) fail_msg("seed %llu: a deadlock", (unsigned long long)seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_its_parents_place),
        cmocka_unit_test(needs_it_beside_others),
        cmocka_unit_test(needs_its_grandparents_place),
        cmocka_unit_test(needs_it_beside_others_below),
        cmocka_unit_test(another_place_comes_free),
        cmocka_unit_test(no_hold_no_deadlock),
        cmocka_unit_test(crosswise),
        cmocka_unit_test(crosswise_and_busy),
        cmocka_unit_test(crosswise_and_busy_above),
        cmocka_unit_test(crosswise_and_one_has_ended),
        cmocka_unit_test(crosswise_with_a_signal),
        cmocka_unit_test(crosswise_and_paused),
        cmocka_unit_test(both_places_in_vain),
        cmocka_unit_test(whoever_waited_is_gone),
        cmocka_unit_test(its_fallback_needs_it_too),
        cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(none_is_left_out),
        cmocka_unit_test(none_is_found_that_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
