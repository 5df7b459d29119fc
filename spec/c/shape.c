/* shape.c - see shape.h */
#include "shape.h"

#include <stdlib.h>

static void must(orr_status status) {
    if (status != ORR_OK) abort();
}

orr_plan *shape(const orr_plan_options *options, uint32_t n, const orr_policy *policies, uint32_t n_edges,
                const shape_edge *edges) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    orr_plan_options none = {.name = "shape"};
    orr_plan_builder *b = orr_plan_begin(&alloc, options != NULL ? options : &none);
    orr_plan *plan = NULL;
    if (b == NULL) abort();
    for (uint32_t i = 0; i < n; i++) {
        char name[2] = {(char)('a' + i % 26), 0};
        uint16_t policy = 0;
        uint32_t index;
        if (policies != NULL) must(orr_plan_policy(b, &policies[i], &policy));
        must(orr_plan_node(b, name, n <= 26 ? 1 : 0, policy, &index));
    }
    for (uint32_t i = 0; i < n_edges; i++)
        must(orr_plan_edge(b, edges[i].from, edges[i].to, ORR_PORT_ANY, false));
    must(orr_plan_end(b, NULL, NULL, &plan));
    return plan;
}
