/* test_core_fast_path.c - the fast path does what the general path does. The same run takes both (a
 * listener forces the general one), and its history, states and numbers are compared. Chance as
 * printed.
 */
#include "chance.h"
#include "shape.h"
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 60 };

typedef struct world {
    uint32_t n;
    uint64_t seed;
    uint32_t failing; /* percent of attempts */
    sim_meddling meddling;
    orr_run *run;
} world;

static chance of(const world *w, const orr_task *task) {
    return (chance){orr_chance(w->seed, task, 99)};
}

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    chance c = of(ud, task);
    const world *w = ud;
    (void)run;
    (void)phase;
    sim_deed d = {.takes = (int64_t)chance_below(&c, 4) * SECOND, .end = ORR_END_COMPLETED};
    if (chance_of(&c, w->failing)) d.end = ORR_END_FAILED;
    else if (chance_of(&c, 2)) d.end = ORR_END_CANCELLED;
    if (chance_of(&c, 5)) d.sleeps = SECOND;
    return d;
}

static void on_event(void *ud, const orr_event *event) {
    (void)ud;
    (void)event;
}

static void tick(void *ud, sim *s) {
    world *w = ud;
    sim_meddle(&w->meddling, w->run, s);
}

static orr_plan *random_plan(chance *c, uint32_t *n) {
    orr_policy policies[NODES];
    shape_edge edges[NODES * 4];
    uint32_t n_edges = 0;
    orr_plan_options options = {.name = "fast path", .on_error = (uint8_t)chance_below(c, 3)};
    bool same = chance_of(c, 50);
    *n = 1 + chance_below(c, NODES);
    for (uint32_t i = 0; i < *n; i++) {
        policies[i] = (orr_policy){.priority = same ? ORR_PRIO_NORMAL
                                                    : (uint8_t)chance_below(c, ORR_PRIO_COUNT)};
        if (!same && chance_of(c, 30))
            policies[i].retry = (orr_retry){.max = 1 + chance_below(c, 2), .delay = SECOND};
        if (!same && chance_of(c, 10)) policies[i].ignore_errors = true;
        for (uint32_t k = chance_below(c, 4), last = i; k > 0 && last > 0; k--) {
            last = chance_below(c, last);
            edges[n_edges++] = (shape_edge){last, i};
        }
    }
    return shape(&options, *n, policies, n_edges, edges);
}

static sim *go(world *w, orr_plan *plan, bool listened) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {w, deed, NULL, listened ? on_event : NULL, NULL, tick};
    sim *s = sim_new(&alloc, &script);
    assert_non_null(s);
    w->run = sim_start(s, plan, w->seed);
    sim_run(s, INT64_MAX - 1);
    return s;
}

static void compare(const world *a, sim *sa, const world *b, sim *sb) {
    uint32_t na, nb;
    const sim_line *la = sim_history(sa, &na), *lb = sim_history(sb, &nb);
    assert_int_equal(na, nb);
    for (uint32_t i = 0; i < na; i++) {
        assert_int_equal(la[i].time, lb[i].time);
        assert_int_equal(la[i].what, lb[i].what);
        assert_memory_equal(&la[i].task, &lb[i].task, sizeof la[i].task);
    }
    orr_run_stats x, y;
    orr_run_get_stats(a->run, &x);
    orr_run_get_stats(b->run, &y);
    assert_memory_equal(&x, &y, sizeof x);
    assert_int_equal(orr_run_get_state(a->run), orr_run_get_state(b->run));
    for (uint32_t i = 0; i < a->n; i++) {
        assert_int_equal(orr_run_node_state(a->run, i, ORR_NONE), orr_run_node_state(b->run, i, ORR_NONE));
        assert_int_equal(orr_run_outcome(a->run, i), orr_run_outcome(b->run, i));
    }
}

static void both_paths(void **state) {
    chance c = chance_begin("fast path");
    uint32_t fast = 0;
    (void)state;
    for (int round = 0; round < 4000; round++) {
        world a = {.seed = chance_next(&c), .failing = chance_of(&c, 50) ? 0 : chance_below(&c, 20)};
        orr_plan *plan = random_plan(&c, &a.n);
        if (chance_of(&c, 20)) a.meddling.cancel_at = 1 + (int64_t)chance_below(&c, 5) * SECOND;
        if (chance_of(&c, 20)) {
            a.meddling.pause_at = 1 + (int64_t)chance_below(&c, 5) * SECOND;
            a.meddling.resume_at = a.meddling.pause_at + SECOND;
        }
        fast += plan->fast_path;
        world b = a;
        sim *sa = go(&a, plan, false), *sb = go(&b, plan, true);
        if (!orr_run_ended(orr_run_get_state(a.run)) && a.meddling.pause_at == 0)
            assert_false(orr_run_ended(orr_run_get_state(b.run)));
        compare(&a, sa, &b, sb);
        sim_free(sa);
        sim_free(sb);
        orr_plan_unref(plan);
    }
    /* retries, priorities and ignored errors do not take a node off the fast path */
    assert_true(fast == 4000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
