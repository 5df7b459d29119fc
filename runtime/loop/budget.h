/* budget.h - the time that one step of a host may take. It is looked at between two pieces of work,
 * after the first one has been done: so a step goes over it by one piece at most, and never does
 * nothing although there was something to do. */
#ifndef ORR_LOOP_BUDGET_H
#define ORR_LOOP_BUDGET_H

#include "loop/clock.h"

typedef struct orr_budget {
    int64_t ns;  /* 0: there is no budget */
    int64_t end; /* by the monotonic clock; 0: the clock was not read yet */
    bool used;   /* a piece of work was begun */
} orr_budget;

/* When `ns` from now are over, by the monotonic clock. */
static inline int64_t orr_budget_end(int64_t ns) {
    int64_t now = orr_monotonic_time();
    return ns < INT64_MAX - now ? now + ns : INT64_MAX;
}

/* Something is about to be done: from now on it counts. A step with nothing to do reads no
 * clock. */
static inline void orr_budget_begin(orr_budget *b) {
    if (b->ns && !b->end) b->end = orr_budget_end(b->ns);
}

/* The same for a piece of work. */
static inline void orr_budget_use(orr_budget *b) {
    orr_budget_begin(b);
    b->used = true;
}

static inline bool orr_budget_spent(const orr_budget *b) {
    return b->ns && b->used && orr_monotonic_time() >= b->end;
}

#endif
