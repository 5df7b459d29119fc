/* graphs.h - the graphs that every contestant runs, made by one generator for C and C++.
 *
 * A graph is its edges in two arrays, ordered by the node that depends and then by its
 * dependencies: the order in which a person writes them. Making it is not timed; what a contestant
 * builds from it is. graphs.lua makes the same shapes.
 *
 *   chain      i depends on i - 1
 *   tree       2i + 1 and 2i + 2 depend on i
 *   wavefront  (row, column) depends on (row - 1, column) and (row, column - 1)
 *   fan        node 0, then all the others but one, then the last one that depends on all of those
 */
#ifndef BENCH_GRAPHS_H
#define BENCH_GRAPHS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct graph {
    const char *shape;
    uint32_t nodes, edges;
    uint32_t *from, *to;
} graph;

static inline void graph_edge(graph *g, uint32_t from, uint32_t to) {
    g->from[g->edges] = from;
    g->to[g->edges++] = to;
}

static inline void graph_chain(graph *g) {
    for (uint32_t i = 1; i < g->nodes; i++) graph_edge(g, i - 1, i);
}

static inline void graph_tree(graph *g) {
    for (uint32_t i = 1; i < g->nodes; i++) graph_edge(g, (i - 1) / 2, i);
}

/* A square: the number of nodes is rounded down to one. */
static inline void graph_wavefront(graph *g) {
    uint32_t side = 1;
    while ((side + 1) * (side + 1) <= g->nodes) side++;
    g->nodes = side * side;
    for (uint32_t i = 0; i < g->nodes; i++) {
        if (i >= side) graph_edge(g, i - side, i);
        if (i % side != 0) graph_edge(g, i - 1, i);
    }
}

static inline void graph_fan(graph *g) {
    uint32_t last = g->nodes - 1;
    for (uint32_t i = 1; i < last; i++) graph_edge(g, 0, i);
    for (uint32_t i = 1; i < last; i++) graph_edge(g, i, last);
}

static const struct {
    const char *name;
    void (*make)(graph *g);
} graph_shapes[] = {
    {"chain", graph_chain},
    {"tree", graph_tree},
    {"wavefront", graph_wavefront},
    {"fan", graph_fan},
};

/* The graph of about `nodes` (4 to 100 million) nodes; ends the program with a sentence where
 * the shape is not known or memory is out. The caller frees it with graph_free. */
static inline graph graph_make(const char *shape, uint32_t nodes) {
    graph g = {shape, nodes, 0, NULL, NULL};
    if (nodes < 4 || nodes > 100000000) {
        fprintf(stderr, "bench: %u nodes, expected 4 to 100000000\n", nodes);
        exit(2);
    }
    g.from = (uint32_t *)malloc(2 * (size_t)nodes * sizeof *g.from);
    g.to = (uint32_t *)malloc(2 * (size_t)nodes * sizeof *g.to);
    if (g.from == NULL || g.to == NULL) {
        fprintf(stderr, "bench: out of memory for a graph of %u nodes\n", nodes);
        exit(1);
    }
    for (size_t i = 0; i < sizeof graph_shapes / sizeof *graph_shapes; i++) {
        if (strcmp(graph_shapes[i].name, shape) == 0) {
            graph_shapes[i].make(&g);
            return g;
        }
    }
    fprintf(stderr, "bench: no shape '%s', expected chain, tree, wavefront or fan\n", shape);
    exit(2);
}

/* The graph that a contestant's command line `SHAPE NODES ...` asks for. */
static inline graph graph_of_arguments(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s SHAPE NODES\n", argv[0]);
        exit(2);
    }
    return graph_make(argv[1], (uint32_t)strtoul(argv[2], NULL, 10));
}

/* A number that differs where edges or their order do, to show that all contestants run the same
 * graph. */
static inline uint32_t graph_mark(const graph *g) {
    uint32_t mark = 0;
    for (uint32_t e = 0; e < g->edges; e++) mark = mark * 31 + g->from[e] * 7 + g->to[e];
    return mark;
}

static inline void graph_free(graph *g) {
    free(g->from);
    free(g->to);
}

#endif
