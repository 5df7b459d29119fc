/* model.h - the semantics of a workflow once more, written down from the manual in the simplest
 * way: how each node ends, and the run.
 *
 * It knows nothing of limits, and of time only when things happen. Whoever compares it with the
 * core must see to it that no two things happen at the same time.
 */
#ifndef SPEC_MODEL_H
#define SPEC_MODEL_H

#include "core/core.h"

enum { MODEL_NODES = 24, MODEL_EDGES = 120, MODEL_TRIES = 24, MODEL_ITEMS = 4 };

typedef struct model_try {
    int64_t takes;
    char end; /* C F X */
    int port; /* of a C; -1 none */
} model_try;

/* What one item, or a node without items, does: attempts one after another, in iterations where
 * it loops. */
typedef struct model_work {
    model_try tries[MODEL_TRIES]; /* try k is the k-th attempt, over all iterations */
    model_try fallback;
} model_work;

typedef struct model_node {
    uint8_t join; /* orr_join */
    uint32_t need;
    bool watches; /* handles = false */
    bool cancel_rest, ignore, stops, has_when, when, has_fallback, has_each;
    uint32_t items, allowed, parallel; /* of `each` */
    uint8_t each_on_failure;           /* orr_each_on_failure */
    uint32_t retries;
    int64_t delay;                 /* between attempts */
    uint32_t iterations, loop_max; /* the loop is done after so many; 0 = no loop */
    bool counts;                   /* `times`: no maximum */
    int64_t loop_delay;
    model_work work[MODEL_ITEMS];
} model_node;

typedef struct model_edge {
    uint32_t from, to;
    int port; /* -1 = a plain edge */
    bool has_when, when;
} model_edge;

typedef struct model {
    uint32_t n, n_edges;
    uint8_t on_error;     /* orr_on_error */
    int64_t cancel_at[2]; /* 0 = never */
    model_node nodes[MODEL_NODES];
    model_edge edges[MODEL_EDGES];
    /* the answer */
    orr_node_state state[MODEL_NODES];
    bool upstream[MODEL_NODES]; /* skipped because of a failure before it */
    orr_run_state run;
    /* two rules wanted different things of a node at one moment; which comes first is the
     * engine's to choose */
    bool racy;
} model;

void model_play(model *m);

#endif
