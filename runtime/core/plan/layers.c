/* layers.c - layers, and with them the proof that there is no cycle. A node's layer is the
 * number of edges on the longest path that leads to it. */
#include "core/plan/inner.h"

/* Where every edge goes up, each node's dependencies have their layers before it. */
static void layer_in_order(orr_plan *plan) {
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        uint32_t layer = 0;
        for (uint32_t s = plan->in_first[i]; s < plan->in_first[i + 1]; s++) {
            uint32_t below = plan->layer_of[plan->in_from[s]] + 1;
            if (below > layer) layer = below;
        }
        plan->layer_of[i] = layer;
    }
}

/* Kahn (1962): takes away nodes that depend on nothing left. `open[i]` counts i's dependencies
 * that are left; nodes for which it stays above 0 lie on a cycle or depend on one. Returns how
 * many were taken away. The queue is first in, first out, so the dependency taken away last is
 * one of the deepest. */
static uint32_t layer_by_kahn(orr_plan *plan, uint32_t *open, uint32_t *queue) {
    uint32_t head = 0, tail = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        open[i] = plan->in_first[i + 1] - plan->in_first[i];
        plan->layer_of[i] = 0;
        if (open[i] == 0) queue[tail++] = i;
    }
    while (head < tail) {
        uint32_t i = queue[head++];
        for (uint32_t s = plan->out_first[i]; s < plan->out_first[i + 1]; s++) {
            uint32_t to = plan->out_to[s];
            if (--open[to] > 0) continue;
            plan->layer_of[to] = plan->layer_of[i] + 1;
            queue[tail++] = to;
        }
    }
    return tail;
}

static orr_status layer_or_report(orr_plan *plan, orr_problems *problems) {
    uint32_t *open = orr_mem_resize(&plan->alloc, NULL, 0, plan->n_nodes, 2 * sizeof *open);
    if (!open) return ORR_ENOMEM;
    orr_status status = ORR_OK;
    if (layer_by_kahn(plan, open, open + plan->n_nodes) < plan->n_nodes)
        status = orr_report_cycles(plan, open, problems);
    orr_mem_free(&plan->alloc, open, plan->n_nodes, 2 * sizeof *open);
    return status;
}

static orr_status count_layers(orr_plan *plan) {
    uint32_t last = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        if (plan->layer_of[i] > last) last = plan->layer_of[i];
    plan->layer_size = orr_mem_new(&plan->alloc, (size_t)last + 1, sizeof *plan->layer_size);
    if (!plan->layer_size) return ORR_ENOMEM;
    plan->n_layers = last + 1;
    for (uint32_t i = 0; i < plan->n_nodes; i++) plan->layer_size[plan->layer_of[i]]++;
    return ORR_OK;
}

orr_status orr_plan_layers(orr_plan *plan, orr_problems *problems) {
    if (plan->n_nodes == 0) return ORR_OK;
    plan->layer_of = orr_mem_resize(&plan->alloc, NULL, 0, plan->n_nodes, sizeof *plan->layer_of);
    if (!plan->layer_of) return ORR_ENOMEM;
    uint64_t before = problems->count;
    if (plan->forward) layer_in_order(plan);
    else if (layer_or_report(plan, problems) != ORR_OK) return ORR_ENOMEM;
    return problems->count == before ? count_layers(plan) : ORR_OK;
}
