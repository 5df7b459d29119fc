/* wild.h - random workflows whose every chance is a hash of one seed: the same seed is the same
 * workflow, the same answers of its conditions and the same behaviour of its handlers, in
 * whatever order they are asked. */
#ifndef SPEC_WILD_H
#define SPEC_WILD_H

#include "shape.h"
#include "sim.h"

enum {
    WILD_TIMES = 1,  /* timeouts, deadlines, heartbeats, sleeps, deaf attempts */
    WILD_LIMITS = 2, /* run concurrency, pools, rates, keyed pools, breakers */
    WILD_BAD = 4,    /* conditions and lists that cannot be evaluated, pools that are not defined */
    WILD_ALL = 7,
    WILD_UNDO = 8,   /* compensations; not among all */
    WILD_STEADY = 16 /* how nodes end does not depend on when things happen; alone */
};

typedef struct wild {
    uint64_t seed;
    uint32_t n, flags;
    orr_plan *plan;
} wild;

/* NULL plan when out of memory (`alloc`). The plan is freed by wild_free. */
wild wild_make(const orr_alloc *alloc, uint64_t seed, uint32_t n, uint32_t flags);
void wild_free(wild *w);

/* Defines the pools and breakers that wild plans name. ORR_ENOMEM. */
orr_status wild_limits(orr_core *core);

/* What an attempt does, and what conditions say; `w` is the wild the run belongs to. */
sim_deed wild_deed(const wild *w, const orr_task *task, uint8_t phase);
bool wild_evaluate(const wild *w, const orr_ask *ask, orr_answer *answer);

/* The name of the pool a task draws from, or NULL. */
const char *wild_pool(const wild *w, uint32_t node, uint32_t item);

/* A hash for other chances of the same world. */
uint64_t wild_hash(uint64_t seed, uint64_t a, uint64_t b, uint64_t c);

/* The pools that are defined: `rate` 0 = none; a tenant's pools ("tenant:x") are as it says. */
typedef struct wild_pool_kind {
    const char *name;
    uint32_t max;
    double rate;
    int64_t per;
} wild_pool_kind;
extern const wild_pool_kind wild_pools[];
extern const uint32_t wild_n_pools;

/* ORR_HUNT=n makes the tests that take chances n times as long. */
uint32_t wild_hunt(uint32_t times);

#endif
