/* hand.h - a core that is driven by hand, one action after the other.
 */
#ifndef ORR_SPEC_HAND_H
#define ORR_SPEC_HAND_H

#include "shape.h"

enum { HAND_MOST_RUNS = 8 };

/* A core, its runs, and what it is told when it asks. */
typedef struct hand {
    orr_core *core;
    orr_run *runs[HAND_MOST_RUNS];
    orr_plan *plans[HAND_MOST_RUNS];
    uint32_t n_runs;
    int64_t now;
    uint32_t items;
    uint32_t until; /* a loop is done after so many iterations */
    const char *pool;
    bool refuses; /* to answer at all */
    uint32_t events[ORR_EVENT_COUNT];
    orr_event last; /* without its pointers */
    char code[32];  /* of its error, "" for none */
} hand;

/* Makes the core, at the time 1; `hand_drop` checks and frees it with its runs. */
void hand_take(hand *h);
void hand_drop(hand *h);

/* Begins a run of the plan, which it takes over; of a plan with one node. */
orr_run *hand_run(hand *h, orr_plan *plan, uint32_t concurrency);
orr_run *hand_run_one(hand *h, orr_policy policy);

/* The time comes to just after `at`; to `at`, and nothing is to be done before. */
void hand_pass_to(hand *h, int64_t at);
void hand_idle_until(hand *h, int64_t at);

/* The next action, which must be that one; and that there is none. */
orr_action hand_expect(const hand *h, orr_action_kind kind, const orr_run *run, uint32_t node);
void hand_assert_idle(const hand *h);

/* Ends what an action has started: in any way, well, or with the error x. */
orr_status hand_end_with(const orr_action *a, orr_end end, const char *code);
void hand_works(const orr_action *a);
void hand_fails(const orr_action *a);

/* The next action is that the run is over, in that state. */
void hand_ends_as(const hand *h, orr_run *run, orr_run_state state);

#endif
