/* path.c - paths through a plan by its nodes' estimates: the longest of all, and for each node the
 * longest from it to the end. */
#include "core/plan/inner.h"

static bool has_estimate(const orr_policy *policy) {
    return policy->estimate > 0 || policy->instant;
}

static int64_t estimate_of(const orr_plan *plan, uint32_t node, int64_t unknown) {
    const orr_policy *policy = &plan->policies[plan->policy_of[node]];
    return has_estimate(policy) ? policy->estimate : unknown;
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
        int64_t estimate = estimate_of(plan, i, unknown);
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

/* ---- ranks ----------------------------------------------------------------------------------- */

/* What a node without an estimate counts as: the mean of those that have one. */
static int64_t mean_estimate(const orr_plan *plan) {
    double sum = 0;
    uint32_t known = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const orr_policy *policy = &plan->policies[plan->policy_of[i]];
        if (!has_estimate(policy)) continue;
        sum += (double)policy->estimate;
        known++;
    }
    double mean = known > 0 ? sum / known : 0;
    return mean < 9e18 ? (int64_t)mean : INT64_MAX;
}

static void rank_node(const orr_plan *plan, uint32_t node, int64_t unknown) {
    int64_t rest = 0;
    for (uint32_t s = plan->out_first[node]; s < plan->out_first[node + 1]; s++)
        if (plan->rank[plan->out_to[s]] > rest) rest = plan->rank[plan->out_to[s]];
    plan->rank[node] = add_capped(estimate_of(plan, node, unknown), rest);
}

/* From the last layer to the first: what depends on a node lies in a later one. */
static orr_status rank_by_layer(const orr_plan *plan, int64_t unknown) {
    const size_t each = 2 * sizeof(uint32_t);
    longest l = {.order = orr_mem_resize(&plan->alloc, NULL, 0, plan->n_nodes, each)};
    if (!l.order) return ORR_ENOMEM;
    l.prev = l.order + plan->n_nodes;
    order_by_layer(plan, &l);
    for (uint32_t k = plan->n_nodes; k-- > 0;) rank_node(plan, l.order[k], unknown);
    orr_mem_free(&plan->alloc, l.order, plan->n_nodes, each);
    return ORR_OK;
}

orr_status orr_plan_rank(orr_plan *plan) {
    bool any = false;
    for (uint32_t i = 0; i < plan->n_policies && !any; i++) any = has_estimate(&plan->policies[i]);
    if (!any) return ORR_OK;
    plan->rank = orr_mem_resize(&plan->alloc, NULL, 0, plan->n_nodes, sizeof *plan->rank);
    if (!plan->rank) return ORR_ENOMEM;
    plan->fast_path = false;
    int64_t unknown = mean_estimate(plan);
    if (!plan->forward) return rank_by_layer(plan, unknown);
    for (uint32_t i = plan->n_nodes; i-- > 0;) rank_node(plan, i, unknown);
    return ORR_OK;
}
