/* plan.c - a compiled plan: holding it, and reading it. */
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
        {plan->rank, n, sizeof *plan->rank},
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
