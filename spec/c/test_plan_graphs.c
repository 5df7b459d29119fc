/* test_plan_graphs.c - plans of random graphs against naive oracles, and graphs of a million
 * nodes. */
#include "core/plan/plan.h"
#include "chance.h"
#include "checked_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- random graphs --------------------------------------------------------------------------- */

enum { MAX_NODES = 20, MAX_EDGES = 80, MAX_FOUND = 4 * MAX_EDGES, FAR = 1000, ROUNDS = 6000 };

typedef struct edge {
    uint32_t from, to;
    uint16_t port;
    bool when;
} edge;

typedef struct graph {
    uint32_t n, m;
    edge edges[MAX_EDGES];
    int64_t estimate[MAX_NODES];
    uint32_t need[MAX_NODES]; /* ORR_NONE: join `all` */
} graph;

typedef enum { FORWARD, ACYCLIC, CYCLIC, BROKEN, FLAVOURS } flavour;

static bool has_pair(const graph *g, uint32_t from, uint32_t to) {
    for (uint32_t e = 0; e < g->m; e++)
        if (g->edges[e].from == from && g->edges[e].to == to) return true;
    return false;
}

/* FORWARD and ACYCLIC graphs are without mistakes; CYCLIC ones may have cycles, BROKEN ones
 * everything. */
static graph random_graph(chance *c, flavour f) {
    graph g = {.n = 1 + chance_below(c, MAX_NODES)};
    uint32_t rank[MAX_NODES], tries = chance_below(c, MAX_EDGES + 1);
    bool outcomes = chance_of(c, 40);
    for (uint32_t i = 0; i < g.n; i++) {
        uint32_t j = chance_below(c, i + 1); /* a shuffle */
        rank[i] = rank[j];
        rank[j] = i;
        g.estimate[i] = chance_below(c, 6);
        g.need[i] = f == BROKEN && chance_of(c, 20) ? chance_below(c, 4) : ORR_NONE;
    }
    for (; tries > 0; tries--) {
        uint32_t a = chance_below(c, g.n), b = chance_below(c, g.n);
        edge e = {a, b, ORR_PORT_ANY, outcomes && chance_of(c, 10)};
        if (outcomes && chance_of(c, 50)) e.port = (uint16_t)chance_below(c, 3);
        if (f == FORWARD ? a > b : f == ACYCLIC ? rank[a] > rank[b] : false) e.from = b, e.to = a;
        if (f == BROKEN && chance_of(c, 3)) e.to = g.n + chance_below(c, 3);
        if (f != BROKEN && (e.from == e.to || has_pair(&g, e.from, e.to))) continue;
        g.edges[g.m++] = e;
    }
    return g;
}

static orr_plan_builder *begin(const graph *g, const orr_alloc *alloc, bool names) {
    orr_plan_builder *b = orr_plan_begin(alloc, NULL);
    for (uint16_t p = 0; p < 3; p++) {
        uint16_t port;
        assert_int_equal(orr_plan_port(b, &"abc"[p], 1, &port), ORR_OK);
        assert_int_equal(port, p);
    }
    for (const edge *x = g->edges; x < g->edges + g->m; x++) { /* before the nodes, which is allowed */
        assert_int_equal(orr_plan_edge(b, x->from, x->to, x->port, x->when), ORR_OK);
    }
    for (uint32_t i = 0; i < g->n; i++) {
        orr_policy p;
        uint16_t policy;
        char name = (char)('A' + i);
        orr_policy_init(&p);
        p.estimate = g->estimate[i];
        if (g->need[i] != ORR_NONE) p.join = ORR_JOIN_NEED, p.need = g->need[i];
        assert_int_equal(orr_plan_policy(b, &p, &policy), ORR_OK);
        assert_int_equal(orr_plan_node(b, names ? &name : NULL, names, policy, NULL), ORR_OK);
    }
    return b;
}

/* ---- oracles --------------------------------------------------------------------------------- */

static bool edge_ok(const graph *g, const edge *e) {
    return e->from < g->n && e->to < g->n && e->from != e->to;
}

/* Length of the shortest way of one edge or more between any two nodes (Floyd-Warshall), FAR for
 * none. */
typedef struct distances {
    uint32_t d[MAX_NODES][MAX_NODES];
} distances;

static distances all_distances(const graph *g) {
    distances m;
    for (uint32_t i = 0; i < g->n; i++)
        for (uint32_t j = 0; j < g->n; j++) m.d[i][j] = FAR;
    for (uint32_t e = 0; e < g->m; e++)
        if (edge_ok(g, &g->edges[e])) m.d[g->edges[e].from][g->edges[e].to] = 1;
    for (uint32_t k = 0; k < g->n; k++)
        for (uint32_t i = 0; i < g->n; i++)
            for (uint32_t j = 0; j < g->n; j++)
                if (m.d[i][k] + m.d[k][j] < m.d[i][j]) m.d[i][j] = m.d[i][k] + m.d[k][j];
    return m;
}

static void check_rows(const orr_plan *p, const graph *g) {
    uint32_t out = 0, in = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        assert_int_equal(p->out_first[i], out);
        assert_int_equal(p->in_first[i], in);
        for (uint32_t e = 0; e < g->m; e++) {
            if (g->edges[e].from == i) {
                if (!p->plain) assert_int_equal(p->out_edge[out], e);
                assert_int_equal(p->out_to[out++], g->edges[e].to);
            }
            if (g->edges[e].to == i) {
                if (!p->plain) assert_int_equal(p->in_edge[in], e);
                assert_int_equal(p->in_from[in++], g->edges[e].from);
            }
        }
    }
    assert_int_equal(p->out_first[g->n], g->m);
    assert_int_equal(p->in_first[g->n], g->m);
    bool plain = true, forward = true;
    for (uint32_t e = 0; e < g->m; e++) {
        plain &= g->edges[e].port == ORR_PORT_ANY && !g->edges[e].when;
        forward &= g->edges[e].from < g->edges[e].to;
        if (p->plain) continue;
        assert_int_equal(p->edge_port[e], g->edges[e].port);
        assert_int_equal(p->edge_when[e], g->edges[e].when);
    }
    assert_int_equal(p->plain, plain);
    assert_int_equal(p->forward, forward);
}

/* Lengthens paths until nothing changes: layers in edges, totals in estimates. */
static void check_layers_and_path(const orr_plan *p, const graph *g) {
    uint32_t layer[MAX_NODES] = {0}, size[MAX_NODES] = {0}, n_layers = 0, path[MAX_NODES];
    int64_t total[MAX_NODES], longest = 0, found, sum = 0;
    for (uint32_t i = 0; i < g->n; i++) total[i] = g->estimate[i] ? g->estimate[i] : 2;
    for (bool changed = true; changed;) {
        changed = false;
        for (const edge *e = g->edges; e < g->edges + g->m; e++) {
            int64_t through = total[e->from] + (g->estimate[e->to] ? g->estimate[e->to] : 2);
            if (layer[e->to] <= layer[e->from]) layer[e->to] = layer[e->from] + 1, changed = true;
            if (total[e->to] < through) total[e->to] = through, changed = true;
        }
    }
    for (uint32_t i = 0; i < g->n; i++) {
        assert_int_equal(p->layer_of[i], layer[i]);
        size[layer[i]]++;
        if (layer[i] >= n_layers) n_layers = layer[i] + 1;
        if (total[i] > longest) longest = total[i];
    }
    assert_int_equal(p->n_layers, n_layers);
    assert_memory_equal(p->layer_size, size, n_layers * sizeof *size);
    uint32_t length = orr_plan_critical_path(p, 2, path, &found);
    assert_true(length >= 1 && length <= n_layers);
    assert_int_equal(found, longest);
    for (uint32_t i = 0; i < length; i++) {
        sum += g->estimate[path[i]] ? g->estimate[path[i]] : 2;
        if (i) assert_true(has_pair(g, path[i - 1], path[i]));
    }
    assert_int_equal(sum, longest);
    assert_int_equal(p->in_first[path[0]], p->in_first[path[0] + 1]);
}

/* What was reported, cycles apart. */
typedef struct found {
    const graph *g;
    distances far;
    uint32_t n, expected_n, n_cycles;
    uint32_t problem[MAX_FOUND][3], expected[MAX_FOUND][3];
    uint32_t cycle_of[MAX_NODES]; /* by node: how many cycles were reported for its component */
} found;

/* A cycle must be one, as short as its component has, and begin with its lowest node. */
static void check_cycle(found *f, const orr_problem *p) {
    uint32_t shortest = FAR, start = p->path[0];
    for (uint32_t i = 0; i < p->n_path; i++) {
        assert_true(has_pair(f->g, p->path[i], p->path[(i + 1) % p->n_path]));
        assert_true(p->path[i] >= start);
        for (uint32_t j = 0; j < i; j++) assert_int_not_equal(p->path[i], p->path[j]);
    }
    for (uint32_t i = 0; i < f->g->n; i++) {
        bool together = i == start || (f->far.d[i][start] < FAR && f->far.d[start][i] < FAR);
        if (!together) continue;
        f->cycle_of[i]++;
        if (f->far.d[i][i] < shortest) shortest = f->far.d[i][i];
    }
    assert_int_equal(p->n_path, shortest);
    f->n_cycles++;
}

static void collect(void *ud, const orr_problem *p) {
    found *f = ud;
    if (p->kind == ORR_BAD_CYCLE) {
        check_cycle(f, p);
        return;
    }
    assert_true(f->n < MAX_FOUND);
    memcpy(f->problem[f->n++], (uint32_t[]){p->kind, p->a, p->b}, sizeof *f->problem);
}

static void expect(found *f, orr_bad kind, uint32_t a, uint32_t b) {
    assert_true(f->expected_n < MAX_FOUND);
    memcpy(f->expected[f->expected_n++], (uint32_t[]){kind, a, b}, sizeof *f->expected);
}

/* What edge `e` adds to the mistakes, given those before it. */
static void expect_of_edge(found *f, uint32_t number) {
    const graph *g = f->g;
    const edge *e = &g->edges[number];
    bool twice = false, first = true, mixed = false;
    for (uint32_t k = 0; k < number; k++) {
        if (g->edges[k].from != e->from || g->edges[k].to != e->to) continue;
        first = false;
        twice |= g->edges[k].port == e->port;
    }
    for (uint32_t k = number; k < g->m; k++)
        mixed |= g->edges[k].from == e->from && g->edges[k].to == e->to &&
                 (g->edges[k].port == ORR_PORT_ANY) != (e->port == ORR_PORT_ANY);
    if (e->from >= g->n || e->to >= g->n) expect(f, ORR_BAD_UNKNOWN_NODE, e->from, e->to);
    else if (e->from == e->to) expect(f, ORR_BAD_SELF_EDGE, e->from, e->to);
    else {
        if (twice) expect(f, ORR_BAD_DUPLICATE_EDGE, e->from, e->to);
        if (first && mixed) expect(f, ORR_BAD_MIXED_EDGE, e->from, e->to);
    }
}

static void expect_all(found *f) {
    const graph *g = f->g;
    for (uint32_t e = 0; e < g->m; e++) expect_of_edge(f, e);
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t origins = 0;
        for (uint32_t j = 0; j < g->n; j++) origins += i != j && has_pair(g, j, i);
        if (g->need[i] != ORR_NONE && (g->need[i] == 0 || g->need[i] > origins))
            expect(f, ORR_BAD_NEED, i, i);
    }
}

static int by_words(const void *a, const void *b) {
    const uint32_t *x = a, *y = b;
    for (int i = 0; i < 3; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

static void check_found(found *f) {
    expect_all(f);
    assert_int_equal(f->n, f->expected_n);
    qsort(f->problem, f->n, sizeof *f->problem, by_words);
    qsort(f->expected, f->n, sizeof *f->expected, by_words);
    assert_memory_equal(f->problem, f->expected, f->n * sizeof *f->problem);
    for (uint32_t i = 0; i < f->g->n; i++) /* once for each component with a cycle, never for others */
        assert_int_equal(f->cycle_of[i], f->far.d[i][i] < FAR);
}

static void test_random_graphs(void **state) {
    (void)state;
    chance c = chance_begin("random graphs");
    uint32_t good = 0, bad = 0, cycles = 0;
    for (int round = 0; round < ROUNDS; round++) {
        flavour how = (flavour)(round % FLAVOURS);
        checked_heap heap = {0};
        orr_alloc alloc = checked_heap_hook(&heap);
        graph g = random_graph(&c, how);
        found f = {.g = &g, .far = all_distances(&g)};
        orr_plan *plan;
        orr_status status = orr_plan_end(begin(&g, &alloc, round % 3 == 0), collect, &f, &plan);
        check_found(&f);
        assert_int_equal(status, f.n || f.n_cycles ? ORR_EINVAL : ORR_OK);
        if (how == FORWARD || how == ACYCLIC) assert_int_equal(status, ORR_OK);
        cycles += f.n_cycles;
        if (status == ORR_OK) {
            good++;
            check_rows(plan, &g);
            check_layers_and_path(plan, &g);
            assert_int_equal(orr_plan_bytes(plan), heap.live_bytes);
        } else bad++;
        orr_plan_unref(plan);
        assert_int_equal(heap.live_blocks, 0);
    }
    printf("random graphs: %u plans, %u refused, %u cycles\n", good, bad, cycles);
    /* the mix is what it should be */
    assert_true(good > ROUNDS / 2 && bad > ROUNDS / 4 && cycles > ROUNDS / 10);
}

/* ---- a million nodes ------------------------------------------------------------------------- */

static const uint32_t MILLION = 1000000;

static double ms_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Ends the builder, prints what it took since `start` and returns the plan. */
static orr_plan *finish(orr_plan_builder *b, const char *what, double start) {
    orr_plan *plan;
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    printf("%s: %u nodes, %u edges, %.0f ms, %.1f bytes a node\n", what, plan->n_nodes, plan->n_edges,
           ms_now() - start, (double)orr_plan_bytes(plan) / plan->n_nodes);
    return plan;
}

static void add_node(orr_plan_builder *b) {
    if (orr_plan_node(b, NULL, 0, 0, NULL) != ORR_OK) fail();
}

static void add_edge(orr_plan_builder *b, uint32_t from, uint32_t to) {
    if (orr_plan_edge(b, from, to, ORR_PORT_ANY, false) != ORR_OK) fail();
}

static void test_wavefront(void **state) {
    (void)state;
    const uint32_t side = 1000;
    double start = ms_now();
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    for (uint32_t i = 0; i < side * side; i++) {
        add_node(b);
        if (i % side) add_edge(b, i - 1, i);
        if (i >= side) add_edge(b, i - side, i);
    }
    orr_plan *plan = finish(b, "wavefront", start);
    assert_int_equal(plan->n_layers, 2 * side - 1);
    assert_int_equal(plan->layer_size[side - 1], side);
    for (uint32_t i = 0; i < side * side; i++)
        if (plan->layer_of[i] != i / side + i % side) fail();
    assert_true(orr_plan_bytes(plan) < 31u * side * side);
    orr_plan_unref(plan);
}

static void test_chain_upwards_and_downwards(void **state) {
    (void)state;
    uint32_t *path = malloc(MILLION * sizeof *path);
    for (int down = 0; down < 2; down++) {
        double start = ms_now();
        orr_plan_builder *b = orr_plan_begin(NULL, NULL);
        for (uint32_t i = 0; i < MILLION; i++) {
            add_node(b);
            if (i) add_edge(b, down ? i : i - 1, down ? i - 1 : i);
        }
        orr_plan *plan = finish(b, down ? "chain downwards" : "chain", start);
        int64_t total;
        assert_int_equal(plan->n_layers, MILLION);
        assert_int_equal(orr_plan_critical_path(plan, 3, path, &total), MILLION);
        assert_int_equal(total, 3 * (int64_t)MILLION);
        assert_int_equal(path[0], down ? MILLION - 1 : 0);
        orr_plan_unref(plan);
    }
    free(path);
}

static void test_fan_with_names(void **state) {
    (void)state;
    double start = ms_now();
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    for (uint32_t i = 0; i < MILLION; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "n%u", i);
        if (orr_plan_node(b, name, (size_t)len, 0, NULL) != ORR_OK) fail();
        if (i == 0 || i == MILLION - 1) continue;
        add_edge(b, 0, i);
        add_edge(b, i, MILLION - 1);
    }
    orr_plan *plan = finish(b, "fan with names", start);
    assert_int_equal(plan->n_layers, 3);
    assert_int_equal(plan->layer_size[1], MILLION - 2);
    assert_int_equal(orr_plan_find(plan, "n999999"), 999999);
    orr_plan_unref(plan);
}

typedef struct cycle_seen {
    uint32_t times, n, first;
} cycle_seen;

static void see_cycle(void *ud, const orr_problem *p) {
    cycle_seen *seen = ud;
    assert_int_equal(p->kind, ORR_BAD_CYCLE);
    *seen = (cycle_seen){seen->times + 1, p->n_path, p->path[0]};
}

/* A ring of a million has one cycle; one with a chord back from every node has a million, all
 * equally short, so that no search is cut off early and only the bound on work ends it. */
static void test_huge_cycles_are_found_in_time(void **state) {
    (void)state;
    const uint32_t back = 500; /* the ring of chords alone is longer than a chord and the way back */
    for (uint32_t chord = 0; chord < 2; chord++) {
        double start = ms_now();
        cycle_seen seen = {0};
        orr_plan *plan;
        orr_plan_builder *b = orr_plan_begin(NULL, NULL);
        for (uint32_t i = 0; i < MILLION; i++) {
            add_node(b);
            add_edge(b, i, (i + 1) % MILLION);
            if (chord) add_edge(b, i, (i + MILLION - back) % MILLION);
        }
        assert_int_equal(orr_plan_end(b, see_cycle, &seen, &plan), ORR_EINVAL);
        assert_int_equal(seen.times, 1);
        assert_int_equal(seen.first, 0);
        assert_int_equal(seen.n, chord ? back + 1 : MILLION);
        printf("ring%s: refused after %.0f ms\n", chord ? " with chords" : "", ms_now() - start);
    }
}

static void test_many_components(void **state) {
    (void)state;
    cycle_seen seen = {0};
    orr_plan *plan;
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    for (uint32_t i = 0; i < MILLION; i++) {
        add_node(b);
        add_edge(b, i, i % 2 ? i - 1 : i + 1);
        if (i > 1) add_edge(b, i - 2, i);
    }
    assert_int_equal(orr_plan_end(b, see_cycle, &seen, &plan), ORR_EINVAL);
    assert_int_equal(seen.times, MILLION / 2);
    assert_int_equal(seen.n, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_wavefront),
        cmocka_unit_test(test_chain_upwards_and_downwards),
        cmocka_unit_test(test_fan_with_names),
        cmocka_unit_test(test_huge_cycles_are_found_in_time),
        cmocka_unit_test(test_many_components),
    };
    return cmocka_run_group_tests_name("plan graphs", tests, NULL, NULL);
}
