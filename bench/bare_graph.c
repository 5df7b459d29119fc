/* bare_graph.c - the least that a graph costs: Kahn's algorithm over plain arrays, with a call
 * through a pointer for each node.
 *
 * No states, limits, errors or events; this is what remains when an engine does nothing but keep
 * the order.
 */
#include "graphs.h"
#include "sample.h"

typedef void (*handler)(uint64_t *handled);

typedef struct csr {
    uint32_t *first, *to, *in; /* `in` counts the dependencies of each node */
    handler *handlers;
} csr;

static void handle(uint64_t *handled) {
    ++*handled;
}

static void *block(size_t n, size_t size) {
    void *p = calloc(n, size);
    if (p == NULL) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return p;
}

static csr build(const graph *g) {
    csr c = {block(g->nodes + 1u, sizeof *c.first), block(g->edges, sizeof *c.to),
             block(g->nodes, sizeof *c.in), block(g->nodes, sizeof *c.handlers)};
    for (uint32_t i = 0; i < g->nodes; i++) c.handlers[i] = handle;
    for (uint32_t e = 0; e < g->edges; e++) {
        c.first[g->from[e] + 1]++;
        c.in[g->to[e]]++;
    }
    for (uint32_t i = 0; i < g->nodes; i++) c.first[i + 1] += c.first[i];
    uint32_t *at = block(g->nodes, sizeof *at);
    for (uint32_t e = 0; e < g->edges; e++) c.to[c.first[g->from[e]] + at[g->from[e]]++] = g->to[e];
    free(at);
    return c;
}

static uint64_t run(const csr *c, uint32_t nodes) {
    uint32_t *left = block(nodes, sizeof *left);
    uint32_t *queue = block(nodes, sizeof *queue);
    uint32_t tail = 0;
    uint64_t handled = 0;
    memcpy(left, c->in, nodes * sizeof *left);
    for (uint32_t i = 0; i < nodes; i++)
        if (left[i] == 0) queue[tail++] = i;
    for (uint32_t head = 0; head < tail; head++) {
        uint32_t node = queue[head];
        c->handlers[node](&handled);
        for (uint32_t e = c->first[node]; e < c->first[node + 1]; e++)
            if (--left[c->to[e]] == 0) queue[tail++] = c->to[e];
    }
    free(left);
    free(queue);
    return handled;
}

int main(int argc, char **argv) {
    graph g = graph_of_arguments(argc, argv);
    double start = sample_time();
    csr c = build(&g);
    sample_say("build", sample_time() - start);
    sample_say("nodes", g.nodes);
    sample_say("mark", graph_mark(&g));
    sample_expect("nodes handled", run(&c, g.nodes), g.nodes); /* warms up */
    start = sample_time();
    uint64_t handled = run(&c, g.nodes);
    sample_say("run", sample_time() - start);
    sample_expect("nodes handled", handled, g.nodes);
    free(c.first);
    free(c.to);
    free(c.in);
    free(c.handlers);
    graph_free(&g);
    return 0;
}
