/* test_corpus_graphs.c - plans of recorded workflows, of Task Bench's graphs and of builds
 * against figures that were computed elsewhere. Every graph is compiled twice, its nodes in the
 * order of the file and in the reverse one. */
#include "core/plan/plan.h"
#include "corpus.h"

#include <lua.h> /* corpus.c needs the library */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "skip.h"

/* ---- figures of a plan ----------------------------------------------------------------------- */

typedef enum {
    TASKS,
    EDGES,
    ROOTS,
    LEAVES,
    ISOLATED,
    COMPONENTS,
    LAYERS,
    WIDTH,
    MAX_IN,
    MAX_OUT,
    FIGURES
} figure;

typedef struct figures {
    uint32_t of[FIGURES];
} figures;

static uint32_t find_root(uint32_t *parent, uint32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static uint32_t count_components(const orr_plan *p) {
    uint32_t *parent = calloc(p->n_nodes + 1u, sizeof *parent), count = 0;
    assert_non_null(parent);
    for (uint32_t i = 0; i < p->n_nodes; i++) parent[i] = i;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        for (uint32_t s = p->out_first[i]; s < p->out_first[i + 1]; s++)
            parent[find_root(parent, i)] = find_root(parent, p->out_to[s]);
    for (uint32_t i = 0; i < p->n_nodes; i++) count += parent[i] == i;
    free(parent);
    return count;
}

static figures measure(const orr_plan *p) {
    figures f = {.of = {[TASKS] = p->n_nodes, [EDGES] = p->n_edges, [LAYERS] = p->n_layers}};
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        uint32_t in = p->in_first[i + 1] - p->in_first[i], out = p->out_first[i + 1] - p->out_first[i];
        f.of[ROOTS] += in == 0;
        f.of[LEAVES] += out == 0;
        f.of[ISOLATED] += in == 0 && out == 0;
        if (in > f.of[MAX_IN]) f.of[MAX_IN] = in;
        if (out > f.of[MAX_OUT]) f.of[MAX_OUT] = out;
    }
    for (uint32_t k = 0; k < p->n_layers; k++)
        if (p->layer_size[k] > f.of[WIDTH]) f.of[WIDTH] = p->layer_size[k];
    f.of[COMPONENTS] = count_components(p);
    return f;
}

/* ---- compiling ------------------------------------------------------------------------------- */

static orr_plan *compile(const corpus_graph *g, bool reverse) {
    orr_plan *plan;
    orr_plan_builder *b = orr_plan_begin(NULL, NULL);
    for (uint32_t k = 0; k < g->n; k++) {
        uint32_t i = reverse ? g->n - 1 - k : k;
        orr_policy p;
        uint16_t policy;
        orr_policy_init(&p);
        p.estimate = g->ns[i];
        assert_int_equal(orr_plan_policy(b, &p, &policy), ORR_OK);
        assert_int_equal(orr_plan_node(b, g->names[i], strlen(g->names[i]), policy, NULL), ORR_OK);
    }
    for (uint32_t e = 0; e < g->m; e++) {
        uint32_t from = g->edges[e][0], to = g->edges[e][1];
        if (reverse) from = g->n - 1 - from, to = g->n - 1 - to;
        assert_int_equal(orr_plan_edge(b, from, to, ORR_PORT_ANY, false), ORR_OK);
    }
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    return plan;
}

/* Layers must rise along every edge, and each node's name must be the file's. */
static void check_nodes(const orr_plan *p, const corpus_graph *g, bool reverse) {
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        assert_string_equal(orr_plan_name(p, i), g->names[reverse ? g->n - 1 - i : i]);
        for (uint32_t s = p->out_first[i]; s < p->out_first[i + 1]; s++)
            assert_true(p->layer_of[p->out_to[s]] > p->layer_of[i]);
    }
}

static double critical_seconds(const orr_plan *p) {
    uint32_t *path = malloc(p->n_layers * sizeof *path);
    int64_t total;
    assert_non_null(path);
    assert_true(orr_plan_critical_path(p, 0, path, &total) > 0);
    free(path);
    return (double)total / 1e9;
}

/* ---- against the oracles --------------------------------------------------------------------- */

/* Which column of an oracle holds which figure; NULL where it has none. */
typedef struct oracle {
    const char *part, *file, *name;
    const char *column[FIGURES];
    const char *seconds; /* critical path, to a thousandth */
} oracle;

static void check_row(corpus *c, const oracle *o) {
    corpus_graph g = corpus_read(c);
    for (int reverse = 0; reverse < 2; reverse++) {
        orr_plan *plan = compile(&g, reverse);
        figures f = measure(plan);
        for (figure k = 0; k < FIGURES; k++) {
            if (!o->column[k] || f.of[k] == (uint32_t)corpus_number(c, o->column[k])) continue;
            print_error("%s: ", corpus_text(c, o->name));
            print_error("%s is %s, not %u\n", o->column[k], corpus_text(c, o->column[k]), f.of[k]);
            fail();
        }
        if (o->seconds) assert_true(fabs(critical_seconds(plan) - corpus_number(c, o->seconds)) < 0.00051);
        check_nodes(plan, &g, reverse);
        orr_plan_unref(plan);
    }
    corpus_graph_free(&g);
}

static void check_part(const oracle *o) {
    corpus c;
    if (!corpus_open(&c, o->part, o->file)) skip_for("../shared/corpus/%s is absent", o->part);
    while (corpus_next(&c)) check_row(&c, o);
    printf("%s: %d graphs\n", o->part, c.row);
    assert_true(c.row > 0);
    corpus_close(&c);
}

static void test_recorded_workflows(void **state) {
    (void)state;
    check_part(&(oracle){"wfinstances",
                         "oracle.tsv",
                         "file",
                         {"tasks", "edges", "roots", "leaves", "isolated", "components", "layers", "maxwidth",
                          "maxindeg", "maxoutdeg"},
                         "cp_s"});
}

static void test_task_bench(void **state) {
    (void)state;
    check_part(&(oracle){"task-bench",
                         "oracle.tsv",
                         "graph",
                         {[TASKS] = "tasks",
                          [EDGES] = "edges",
                          [ROOTS] = "roots",
                          [LEAVES] = "leaves",
                          [LAYERS] = "layers_longest_path_tasks",
                          [MAX_IN] = "maxindeg",
                          [MAX_OUT] = "maxoutdeg"},
                         NULL});
}

static void test_builds(void **state) {
    (void)state;
    check_part(&(oracle){"build-graphs",
                         "oracle_graph.tsv",
                         "name",
                         {[TASKS] = "actions", [EDGES] = "edges", [LAYERS] = "layers"},
                         "critical_path_s(j1)"});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_workflows),
        cmocka_unit_test(test_task_bench),
        cmocka_unit_test(test_builds),
    };
    return cmocka_run_group_tests_name("corpus graphs", tests, NULL, NULL);
}
