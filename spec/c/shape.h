/* shape.h - small plans for tests in one line. */
#ifndef SPEC_SHAPE_H
#define SPEC_SHAPE_H

#include "core/core.h"

typedef struct shape_edge {
    uint32_t from, to;
} shape_edge;

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)
#define PLAIN                                                                                                \
    { .priority = ORR_PRIO_NORMAL }

/* A plan of `n` nodes named "a", "b", ... with these policies and edges; it must be right, or
 * this aborts. */
orr_plan *shape(const orr_plan_options *options, uint32_t n, const orr_policy *policies, uint32_t n_edges,
                const shape_edge *edges);

#endif
