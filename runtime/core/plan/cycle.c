/* cycle.c - which nodes lie on cycles, and a short cycle to show for them. Only for plans that
 * are refused.
 *
 * Strongly connected components are found as in Tarjan (1972), with stacks of our own, not
 * recursion. For each one of two nodes or more, a breadth-first search from each of its nodes,
 * cut off at the best length so far, finds its shortest cycle. That is quadratic, so all
 * searches together may look at so many edges and no more; when those are used up, a component
 * gets the one search that it must have. */
#include "core/plan/inner.h"

static const uint64_t MAX_LOOKS = UINT64_C(1) << 24;

/* ---- components ------------------------------------------------------------------------------ */

typedef struct tarjan {
    const orr_plan *plan;
    uint32_t *component; /* by node; ORR_NONE while it has none */
    uint32_t *number;    /* by node: order of the first visit, from 1; 0 = not visited */
    uint32_t *low;       /* by node: the lowest number known to be reachable within the stack */
    uint32_t *cursor;    /* by node: the next edge to follow */
    uint32_t *calls;     /* the path from the root of the search */
    uint32_t *stack;     /* visited nodes without a component */
    uint32_t n_calls, n_stack, n_visited, n_components;
} tarjan;

static void visit(tarjan *t, uint32_t node) {
    t->number[node] = t->low[node] = ++t->n_visited;
    t->cursor[node] = t->plan->out_first[node];
    t->calls[t->n_calls++] = node;
    t->stack[t->n_stack++] = node;
}

static void lower(uint32_t *low, uint32_t to) {
    if (to < *low) *low = to;
}

static void leave(tarjan *t, uint32_t node) {
    t->n_calls--;
    if (t->low[node] == t->number[node]) {
        uint32_t member;
        do {
            member = t->stack[--t->n_stack];
            t->component[member] = t->n_components;
        } while (member != node);
        t->n_components++;
    }
    if (t->n_calls) lower(&t->low[t->calls[t->n_calls - 1]], t->low[node]);
}

static void search_from(tarjan *t, uint32_t root) {
    visit(t, root);
    while (t->n_calls) {
        uint32_t node = t->calls[t->n_calls - 1];
        if (t->cursor[node] == t->plan->out_first[node + 1]) {
            leave(t, node);
            continue;
        }
        uint32_t to = t->plan->out_to[t->cursor[node]++];
        if (t->number[to] == 0) visit(t, to);
        else if (t->component[to] == ORR_NONE) lower(&t->low[node], t->number[to]);
    }
}

/* Numbers the components of what is left; the other nodes get none. */
static orr_status find_components(const orr_plan *plan, const uint32_t *left, uint32_t *component) {
    size_t n = plan->n_nodes;
    uint32_t *block = orr_mem_resize(&plan->alloc, NULL, 0, n, 5 * sizeof *block);
    if (!block) return ORR_ENOMEM;
    tarjan t = {.plan = plan,
                .component = component,
                .number = block,
                .low = block + n,
                .cursor = block + 2 * n,
                .calls = block + 3 * n,
                .stack = block + 4 * n};
    for (size_t i = 0; i < n; i++) {
        component[i] = ORR_NONE;
        t.number[i] = 0;
    }
    for (uint32_t i = 0; i < n; i++)
        if (left[i] && t.number[i] == 0) search_from(&t, i);
    orr_mem_free(&plan->alloc, block, n, 5 * sizeof *block);
    return ORR_OK;
}

/* ---- shortest cycles ------------------------------------------------------------------------- */

typedef struct cycles {
    const orr_plan *plan;
    const uint32_t *component;
    uint32_t *head;   /* by component: its lowest node */
    uint32_t *next;   /* by node: the next higher one of its component, or ORR_NONE */
    uint32_t *seen;   /* by node: 1 + the origin of the last search that visited it */
    uint32_t *parent; /* by node: where that search came from */
    uint32_t *depth;  /* by node: edges from the origin */
    uint32_t *queue;
    uint32_t *path;  /* the shortest cycle so far */
    uint32_t n_path; /* ORR_NONE while there is none */
    uint64_t looks;  /* edges that may still be looked at */
} cycles;

static void keep_path(cycles *c, uint32_t last) {
    c->n_path = c->depth[last] + 1;
    for (uint32_t i = c->n_path; i-- > 0; last = c->parent[last]) c->path[i] = last;
}

/* Breadth-first from `origin` until an edge leads back to it, unless that makes no shorter cycle
 * than is known. */
static void search_cycle(cycles *c, uint32_t origin) {
    const orr_plan *plan = c->plan;
    uint32_t head = 0, tail = 0;
    c->seen[origin] = origin + 1;
    c->parent[origin] = origin;
    c->depth[origin] = 0;
    c->queue[tail++] = origin;
    while (head < tail) {
        uint32_t node = c->queue[head++];
        if (c->depth[node] + 1 >= c->n_path) return;
        uint32_t degree = plan->out_first[node + 1] - plan->out_first[node];
        c->looks -= degree < c->looks ? degree : c->looks;
        for (uint32_t s = plan->out_first[node]; s < plan->out_first[node + 1]; s++) {
            uint32_t to = plan->out_to[s];
            if (to == origin) {
                keep_path(c, node);
                return;
            }
            if (c->component[to] != c->component[origin] || c->seen[to] == origin + 1) continue;
            c->seen[to] = origin + 1;
            c->parent[to] = node;
            c->depth[to] = c->depth[node] + 1;
            c->queue[tail++] = to;
        }
    }
}

static void report_component(cycles *c, uint32_t lowest, orr_problems *problems) {
    c->n_path = ORR_NONE;
    for (uint32_t i = lowest; i != ORR_NONE && c->n_path > 2; i = c->next[i]) {
        search_cycle(c, i);
        if (c->looks == 0) break;
    }
    orr_complain(problems, (orr_problem){.kind = ORR_BAD_CYCLE,
                                         .a = c->path[0],
                                         .b = c->path[c->n_path - 1],
                                         .path = c->path,
                                         .n_path = c->n_path});
}

static orr_status report_components(const orr_plan *plan, const uint32_t *component, orr_problems *problems) {
    uint32_t n = plan->n_nodes;
    uint32_t *block = orr_mem_resize(&plan->alloc, NULL, 0, n, 7 * sizeof *block);
    if (!block) return ORR_ENOMEM;
    size_t step = n;
    cycles c = {.plan = plan,
                .component = component,
                .looks = MAX_LOOKS,
                .head = block,
                .next = block + step,
                .seen = block + 2 * step,
                .parent = block + 3 * step,
                .depth = block + 4 * step,
                .queue = block + 5 * step,
                .path = block + 6 * step};
    for (uint32_t i = 0; i < n; i++) {
        c.head[i] = ORR_NONE;
        c.seen[i] = 0;
    }
    for (uint32_t i = n; i-- > 0;) { /* downwards, so that the lists go up */
        if (component[i] == ORR_NONE) continue;
        c.next[i] = c.head[component[i]];
        c.head[component[i]] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        bool lowest = component[i] != ORR_NONE && c.head[component[i]] == i;
        if (lowest && c.next[i] != ORR_NONE) report_component(&c, i, problems);
    }
    orr_mem_free(&plan->alloc, block, n, 7 * sizeof *block);
    return ORR_OK;
}

orr_status orr_report_cycles(const orr_plan *plan, const uint32_t *left, orr_problems *problems) {
    uint32_t *component = orr_mem_resize(&plan->alloc, NULL, 0, plan->n_nodes, sizeof *component);
    if (!component) return ORR_ENOMEM;
    orr_status status = find_components(plan, left, component);
    if (status == ORR_OK) status = report_components(plan, component, problems);
    orr_mem_free(&plan->alloc, component, plan->n_nodes, sizeof *component);
    return status;
}
