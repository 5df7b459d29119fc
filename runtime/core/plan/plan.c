/* plan.c - a compiled plan: holding it, reading it, its critical path. */
#include "core/plan/inner.h"

#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------- */

/* One table of the plan's blocks, so that freeing and counting them cannot disagree. The plan
 * itself comes last. */
typedef void (*block_fn)(void *ud, const orr_alloc *alloc, void *block, size_t n, size_t size);

static void each_block(orr_plan *plan, block_fn visit, void *ud) {
    orr_alloc alloc = plan->alloc;
    size_t n = plan->n_nodes, m = plan->n_edges;
    const struct {
        void *block;
        size_t n, size;
    } blocks[] = {
        {plan->name, plan->name ? strlen(plan->name) + 1 : 0, 1},
        {plan->out_first, n + 1, sizeof *plan->out_first},
        {plan->out_to, m, sizeof *plan->out_to},
        {plan->in_first, n + 1, sizeof *plan->in_first},
        {plan->in_from, m, sizeof *plan->in_from},
        {plan->out_edge, m, sizeof *plan->out_edge},
        {plan->in_edge, m, sizeof *plan->in_edge},
        {plan->edge_port, m, sizeof *plan->edge_port},
        {plan->edge_when, m, sizeof *plan->edge_when},
        {plan->policy_of, n, sizeof *plan->policy_of},
        {plan->policies, plan->n_policies, sizeof *plan->policies},
        {plan->layer_of, n, sizeof *plan->layer_of},
        {plan->layer_size, plan->n_layers, sizeof *plan->layer_size},
        {plan->ports, plan->n_ports, sizeof *plan->ports},
        {plan->names, plan->names_size, 1},
        {plan->name_at, n, sizeof *plan->name_at},
        {plan, 1, sizeof *plan},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i].block) visit(ud, &alloc, blocks[i].block, blocks[i].n, blocks[i].size);
}

static void free_block(void *ud, const orr_alloc *alloc, void *block, size_t n, size_t size) {
    (void)ud;
    orr_mem_free(alloc, block, n, size);
}

static void count_block(void *ud, const orr_alloc *alloc, void *block, size_t n, size_t size) {
    (void)alloc;
    (void)block;
    *(size_t *)ud += n * size;
}

void orr_plan_ref(orr_plan *plan) {
    if (plan) plan->refs++;
}

void orr_plan_unref(orr_plan *plan) {
    if (!plan || --plan->refs > 0) return;
    orr_chunk_free(&plan->alloc, plan->strings);
    each_block(plan, free_block, NULL);
}

size_t orr_plan_bytes(const orr_plan *plan) {
    size_t bytes = orr_chunk_bytes(plan->strings);
    each_block((orr_plan *)plan, count_block, &bytes); /* count_block changes nothing */
    return bytes;
}

/* ---- names ----------------------------------------------------------------------------------- */

const char *orr_plan_name(const orr_plan *plan, uint32_t node) {
    if (!plan->name_at || plan->name_at[node] == ORR_NONE) return NULL;
    return plan->names + plan->name_at[node];
}

uint32_t orr_plan_find(const orr_plan *plan, const char *name) {
    for (uint32_t i = 0; i < plan->n_nodes && plan->name_at; i++) {
        const char *other = orr_plan_name(plan, i);
        if (other && strcmp(other, name) == 0) return i;
    }
    return ORR_NONE;
}

uint16_t orr_plan_find_port(const orr_plan *plan, const char *name, size_t len) {
    for (uint32_t i = 0; i < plan->n_ports; i++)
        if (strlen(plan->ports[i]) == len && memcmp(plan->ports[i], name, len) == 0) return (uint16_t)i;
    return ORR_PORT_ANY;
}

/* ---- critical path --------------------------------------------------------------------------- */

typedef struct longest {
    int64_t *total;  /* by node: duration of the longest path that ends with it */
    uint32_t *order; /* the nodes, layer by layer */
    uint32_t *prev;  /* by node: the one before it on that path, or ORR_NONE */
} longest;

/* A counting sort by layer, ascending within one. `prev` lends its room for the places where
 * layers begin. */
static void order_by_layer(const orr_plan *plan, longest *l) {
    uint32_t sum = 0;
    for (uint32_t k = 0; k < plan->n_layers; k++) {
        l->prev[k] = sum;
        sum += plan->layer_size[k];
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++) l->order[l->prev[plan->layer_of[i]]++] = i;
}

static int64_t add_capped(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static void extend_paths(const orr_plan *plan, int64_t unknown, longest *l) {
    for (uint32_t k = 0; k < plan->n_nodes; k++) {
        uint32_t i = l->order[k];
        const orr_policy *policy = &plan->policies[plan->policy_of[i]];
        int64_t estimate = policy->estimate > 0 || policy->instant ? policy->estimate : unknown;
        uint32_t best = ORR_NONE;
        for (uint32_t s = plan->in_first[i]; s < plan->in_first[i + 1]; s++)
            if (best == ORR_NONE || l->total[plan->in_from[s]] > l->total[best]) best = plan->in_from[s];
        l->prev[i] = best;
        l->total[i] = add_capped(estimate, best == ORR_NONE ? 0 : l->total[best]);
    }
}

static uint32_t read_path(const orr_plan *plan, const longest *l, uint32_t *path, int64_t *total) {
    uint32_t last = 0, n = 0;
    for (uint32_t i = 1; i < plan->n_nodes; i++)
        if (l->total[i] > l->total[last]) last = i;
    *total = l->total[last];
    for (uint32_t i = last; i != ORR_NONE; i = l->prev[i]) n++;
    for (uint32_t i = last, at = n; i != ORR_NONE; i = l->prev[i]) path[--at] = i;
    return n;
}

uint32_t orr_plan_critical_path(const orr_plan *plan, int64_t unknown, uint32_t *path, int64_t *total) {
    const size_t each = sizeof(int64_t) + 2 * sizeof(uint32_t);
    size_t n = plan->n_nodes;
    longest l = {.total = orr_mem_resize(&plan->alloc, NULL, 0, n, each)};
    *total = 0;
    if (!l.total) return 0;
    l.order = (uint32_t *)(l.total + n);
    l.prev = l.order + n;
    order_by_layer(plan, &l);
    extend_paths(plan, unknown > 0 ? unknown : 0, &l);
    uint32_t length = read_path(plan, &l, path, total);
    orr_mem_free(&plan->alloc, l.total, n, each);
    return length;
}
