/* test_core_rank.c - ready nodes of equal priority start in the order of their longest remaining
 * paths, where a node has an estimate. */
#include "chance.h"
#include "hand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static orr_policy takes(int64_t seconds) {
    return (orr_policy){.priority = ORR_PRIO_NORMAL, .estimate = seconds * SECOND, .instant = seconds == 0};
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void assert_order(const orr_policy *policies, uint32_t n, uint32_t n_edges, const shape_edge *edges,
                         const uint32_t *order) {
    hand h = {0};
    hand_take(&h);
    orr_run *run = hand_run(&h, shape(NULL, n, policies, n_edges, edges), 1);
    for (uint32_t i = 0; i < n; i++) {
        orr_action a = hand_expect(&h, ORR_ACT_START, run, order[i]);
        hand_works(&a);
    }
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    hand_drop(&h);
}

/* 0 and 1 are short, but 1 leads to 4, which is long. */
static void long_paths_come_first(void **state) {
    const orr_policy p[] = {takes(2), takes(1), takes(3), takes(3), takes(9)};
    const shape_edge edges[] = {{1, 4}};
    (void)state;
    assert_order(p, 5, 1, edges, (const uint32_t[]){1, 4, 2, 3, 0});
}

static void priorities_count_more(void **state) {
    orr_policy p[] = {takes(9), takes(1), takes(5), takes(2)};
    (void)state;
    p[1].priority = p[3].priority = ORR_PRIO_HIGH;
    assert_order(p, 4, 0, NULL, (const uint32_t[]){3, 1, 0, 2});
}

static void without_estimates_first_come_first_served(void **state) {
    const orr_policy p[] = {PLAIN, PLAIN, PLAIN, PLAIN};
    const shape_edge edges[] = {{0, 3}};
    (void)state;
    assert_order(p, 4, 1, edges, (const uint32_t[]){0, 1, 2, 3});
}

/* The two that are known are 8 and 2, so one that is not counts 5. */
static void an_unknown_node_counts_as_the_mean(void **state) {
    const orr_policy p[] = {takes(2), PLAIN, takes(8), PLAIN};
    (void)state;
    assert_order(p, 4, 0, NULL, (const uint32_t[]){2, 1, 3, 0});
}

static void an_instant_node_is_known(void **state) {
    const orr_policy p[] = {takes(0), takes(0), takes(1)};
    (void)state;
    assert_order(p, 3, 0, NULL, (const uint32_t[]){2, 0, 1});
}

/* Not every edge goes up, so layers say what comes last. */
static void backward_edges_count_as_well(void **state) {
    const orr_policy p[] = {takes(7), takes(1), takes(3), takes(2)};
    const shape_edge edges[] = {{3, 0}};
    (void)state;
    assert_order(p, 4, 1, edges, (const uint32_t[]){3, 0, 2, 1});
}

/* Runs take turns, whatever the paths of one. */
static void runs_still_take_turns(void **state) {
    const orr_policy slow[] = {takes(9), takes(8)}, quick[] = {takes(1), takes(2)};
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_run *a = hand_run(&h, shape(NULL, 2, slow, 0, NULL), 0);
    orr_run *b = hand_run(&h, shape(NULL, 2, quick, 0, NULL), 0);
    const struct {
        orr_run *run;
        uint32_t node;
    } order[] = {{a, 0}, {b, 1}, {a, 1}, {b, 0}};
    orr_action started[4];
    for (int i = 0; i < 4; i++) started[i] = hand_expect(&h, ORR_ACT_START, order[i].run, order[i].node);
    for (int i = 0; i < 4; i++) hand_works(&started[i]);
    hand_ends_as(&h, a, ORR_RUN_COMPLETED);
    hand_ends_as(&h, b, ORR_RUN_COMPLETED);
    hand_drop(&h);
}

static void why_counts_those_before_it(void **state) {
    const orr_policy p[] = {takes(1), takes(5), takes(3)};
    orr_why why;
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run(&h, shape(NULL, 3, p, 0, NULL), 0);
    const uint32_t before[] = {2, 0, 1};
    for (uint32_t i = 0; i < 3; i++) {
        orr_run_why(run, i, ORR_NONE, &why);
        assert_int_equal(why.kind, ORR_WHY_PRIORITY);
        assert_int_equal(why.count, before[i]);
    }
    hand_drop(&h);
}

/* The items of a node wait with its path, in their own order; they need more room than the plan. */
static void items_wait_with_their_node(void **state) {
    const orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .estimate = 5 * SECOND, .has_each = true},
                            takes(9),
                            takes(1)};
    hand h = {.items = 40};
    (void)state;
    hand_take(&h);
    orr_run *run = hand_run(&h, shape(NULL, 3, p, 0, NULL), 1);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 1);
    hand_works(&a);
    for (uint32_t i = 0; i < 40; i++) {
        a = hand_expect(&h, ORR_ACT_START, run, 0);
        assert_int_equal(a.task.item, i);
        hand_works(&a);
    }
    a = hand_expect(&h, ORR_ACT_START, run, 2);
    hand_works(&a);
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    hand_drop(&h);
}

/* ---- by chance ------------------------------------------------------------------------------- */

enum { MOST = 26, ROUNDS = 400 };

typedef struct graph {
    uint32_t n, n_edges;
    orr_policy policies[MOST];
    shape_edge edges[MOST * 3];
    int64_t path[MOST];
} graph;

static void draw(graph *g, chance *c) {
    uint32_t place[MOST]; /* edges go up in this order, not in that of the nodes */
    *g = (graph){.n = 1 + chance_below(c, MOST)};
    for (uint32_t i = 0; i < g->n; i++) {
        g->policies[i] = takes(chance_below(c, 6));
        if (chance_of(c, 30)) g->policies[i].priority = (uint8_t)chance_below(c, ORR_PRIO_COUNT);
        if (chance_of(c, 30)) g->policies[i].pool = "db";
        uint32_t at = chance_below(c, i + 1);
        place[i] = i;
        place[i] = place[at];
        place[at] = i;
    }
    for (uint32_t i = 1; i < g->n; i++)
        for (uint32_t j = 0; j < i; j++)
            if (chance_of(c, 12) && g->n_edges < MOST * 3)
                g->edges[g->n_edges++] = (shape_edge){place[j], place[i]};
}

/* Lengthens paths until nothing changes. */
static void measure(graph *g) {
    bool changed = true;
    for (uint32_t i = 0; i < g->n; i++) g->path[i] = g->policies[i].estimate;
    while (changed) {
        changed = false;
        for (uint32_t e = 0; e < g->n_edges; e++) {
            uint32_t from = g->edges[e].from;
            int64_t through = g->policies[from].estimate + g->path[g->edges[e].to];
            if (through <= g->path[from]) continue;
            g->path[from] = through;
            changed = true;
        }
    }
}

/* Of the nodes that wait in the same line none should have started before this one. */
static void assert_first(const graph *g, const orr_run *run, uint32_t started) {
    const orr_policy *own = &g->policies[started];
    for (uint32_t i = 0; i < g->n; i++) {
        const orr_policy *other = &g->policies[i];
        if (orr_run_node_state(run, i, ORR_NONE) != ORR_NODE_READY) continue;
        if (other->priority != own->priority || !other->pool != !own->pool) continue;
        if (g->path[i] > g->path[started] || (g->path[i] == g->path[started] && i < started))
            fail_msg("node %u started, whose path takes %d s, before %u with %d s", started,
                     (int)(g->path[started] / SECOND), i, (int)(g->path[i] / SECOND));
    }
}

/* Ends one of the attempts that are under way; now and then with an error, so that what waits is
 * taken out of its line. */
static void end_one(hand *h, chance *c, orr_action *live, uint32_t *n_live) {
    uint32_t at = chance_below(c, *n_live);
    char text[256];
    if (chance_of(c, 3)) hand_end_with(&live[at], ORR_END_FAILED, "x");
    else hand_end_with(&live[at], ORR_END_COMPLETED, NULL);
    live[at] = live[--*n_live];
    if (!orr_core_check(h->core, text, sizeof text)) fail_msg("%s", text);
}

static void play(const graph *g, chance *c) {
    hand h = {0};
    hand_take(&h);
    assert_int_equal(orr_core_pool(h.core, "db", 1 + chance_below(c, 2), 0, 0), ORR_OK);
    orr_run *run = hand_run(&h, shape(NULL, g->n, g->policies, g->n_edges, g->edges), 1 + chance_below(c, 3));
    orr_action live[MOST], a;
    uint32_t n_live = 0;
    while (!orr_run_ended(orr_run_get_state(run))) {
        while (orr_core_next(h.core, &a)) {
            if (a.kind != ORR_ACT_START) continue;
            assert_first(g, run, a.task.node);
            live[n_live++] = a;
        }
        if (n_live > 0) end_one(&h, c, live, &n_live);
    }
    while (orr_core_next(h.core, &a)) {
    }
    hand_drop(&h);
}

static void any_graph_starts_by_its_paths(void **state) {
    chance c = chance_begin("orders of ready nodes");
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        graph g;
        draw(&g, &c);
        measure(&g);
        play(&g, &c);
    }
}

/* What goes in and out of one line in any order leaves it by the order of the paths: a wide run
 * that is cancelled half way, which takes out each that waits. */
static void a_wide_line_is_emptied(void **state) {
    enum { WIDE = 26 };
    chance c = chance_begin("a wide line");
    (void)state;
    for (int i = 0; i < 50; i++) {
        graph g = {.n = WIDE};
        hand h = {0};
        char text[256];
        for (uint32_t k = 0; k < WIDE; k++) g.policies[k] = takes(chance_below(&c, 9));
        hand_take(&h);
        orr_run *run = hand_run(&h, shape(NULL, g.n, g.policies, 0, NULL), 1);
        measure(&g);
        for (uint32_t k = chance_below(&c, WIDE); k > 0; k--) {
            orr_action a;
            assert_true(orr_core_next(h.core, &a));
            assert_first(&g, run, a.task.node);
            hand_works(&a);
        }
        orr_run_cancel(run);
        if (!orr_core_check(h.core, text, sizeof text)) fail_msg("%s", text);
        hand_ends_as(&h, run, ORR_RUN_CANCELLED);
        hand_drop(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_paths_come_first),
        cmocka_unit_test(priorities_count_more),
        cmocka_unit_test(without_estimates_first_come_first_served),
        cmocka_unit_test(an_unknown_node_counts_as_the_mean),
        cmocka_unit_test(an_instant_node_is_known),
        cmocka_unit_test(backward_edges_count_as_well),
        cmocka_unit_test(runs_still_take_turns),
        cmocka_unit_test(why_counts_those_before_it),
        cmocka_unit_test(items_wait_with_their_node),
        cmocka_unit_test(any_graph_starts_by_its_paths),
        cmocka_unit_test(a_wide_line_is_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
