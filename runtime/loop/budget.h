/* budget.h - the time that one step of a host may take. It is looked at between two pieces of work,
 * after the first one has been done: so a step goes over it by one piece at most, and never does
 * nothing although there was something to do. */
#ifndef ORR_LOOP_BUDGET_H
#define ORR_LOOP_BUDGET_H

#include "loop/clock.h"

typedef struct orr_budget {
    int64_t end; /* by the monotonic clock; 0: there is no budget */
    bool used;   /* a piece of work has been done */
} orr_budget;

static inline bool orr_budget_spent(const orr_budget *b) {
    return b->end && b->used && orr_monotonic_time() >= b->end;
}

#endif
