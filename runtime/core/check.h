/* check.h - what the files of orr_core_check share; nobody else includes it.
 *
 * check.c         the order of the proof, the report, and the lists of the core
 * check_cells.c   cells of a run: states, flags, counters of dependencies and items
 * check_run.c     counts of a run, and what it is to undo
 * check_lines.c   lines of ready tasks, the rings they stand in, pools and breakers
 * check_timers.c  who has which timer, and who needs one
 *
 * The walk allocates nothing and leaves no mark, so a count that is kept by pool, layer or breaker
 * cannot be tallied by pool, layer or breaker. What is compared in their place are sums of marks:
 * each unit adds a hash of what it belongs to, and two sums of 64 bits agree by chance once in
 * 2^64 times. So every count is proven in one pass, whatever the number of pools.
 */
#ifndef ORR_CORE_CHECK_H
#define ORR_CORE_CHECK_H

#include "core/mix.h"
#include "core/inner.h"

/* What the walk over the runs has found so far, to be compared with what stands in the core. */
typedef struct orr_check {
    const orr_core *core;
    char *text;
    size_t size;
    uint32_t timers;  /* timers that somebody points to */
    uint32_t acts;    /* tasks with a cancel or an abandon to hand out */
    uint32_t pools;   /* all pools: a run has at most two lines in each */
    uint32_t ends;    /* runs that have ended */
    uint32_t undos;   /* runs that say they stand in the list of compensations */
    uint32_t pooled;  /* places of lines in rings of pools, one for each priority */
    uint32_t ready;   /* places of runs' own lines in the ring of the core */
    uint64_t places;  /* marks of the pools in which tasks have a place */
    uint64_t held;    /* of those in which tasks keep it until they have settled */
    uint64_t owed;    /* and of those that owe one */
    uint64_t probes;  /* marks of the half open breakers that tasks are probes of */
    uint64_t waiters; /* marks of the tasks that wait for a breaker */
} orr_check;

/* What the walk over the cells of one run has found. */
typedef struct orr_check_tally {
    uint32_t by_state[ORR_NODE_STATE_COUNT]; /* nodes */
    uint32_t open, live, live_cleanup, queued, timed, running, touched, mores;
    uint64_t layers; /* marks of the layers of open nodes */
    uint64_t more;   /* marks of the orr_mores in use */
    uint64_t undo;   /* marks of nodes by their items that are to be undone */
} orr_check_tally;

/* Spreads what is counted over the whole word. */
static inline uint64_t orr_check_mark(uint64_t key) {
    return orr_mix(key + UINT64_C(0x9e3779b97f4a7c15));
}
static inline uint64_t orr_check_mark_of(const void *thing) {
    return orr_check_mark((uint64_t)(uintptr_t)thing);
}

static inline bool orr_check_live(const orr_run *run, uint32_t t) {
    return (run->cells[t].flags & CELL_LIVE) != 0;
}

/* Whether the run does things: it has begun, has not ended and is not being read back. */
static inline bool orr_check_goes(const orr_run *run) {
    return run->state == ORR_RUN_RUNNING && !run->rebuilding && !run->ended && !run->waits;
}

/* Writes the sentence, after the name of what it is about; both give false. A task of ORR_NONE is
 * the run as a whole. `kind` is "pool" or "breaker"; NULL is the core itself. */
bool orr_check_broken(orr_check *c, const orr_run *run, uint32_t t, const char *what);
bool orr_check_broken_at(orr_check *c, const char *kind, const char *name, const char *what);

/* Each gives false when something is broken and has been reported. */
bool orr_check_cells(orr_check *c, const orr_run *run, orr_check_tally *n);
bool orr_check_counts(orr_check *c, const orr_run *run, const orr_check_tally *n);
bool orr_check_undo(orr_check *c, const orr_run *run, orr_check_tally *n);
bool orr_check_run_lines(orr_check *c, const orr_run *run);
bool orr_check_pools(orr_check *c); /* the list of them, before all runs */
bool orr_check_rings(orr_check *c); /* after all runs */
bool orr_check_breakers(orr_check *c);
bool orr_check_run_timers(orr_check *c, const orr_run *run);
bool orr_check_timers_left(orr_check *c); /* after all runs */

/* The fact that must hold, and the sentence that says it does not. */
#define PROVE(c, run, t, fact, what)                                                                         \
    do {                                                                                                     \
        if (!(fact)) return orr_check_broken(c, run, t, what);                                               \
    } while (0)
#define PROVE_AT(c, kind, name, fact, what)                                                                  \
    do {                                                                                                     \
        if (!(fact)) return orr_check_broken_at(c, kind, name, what);                                        \
    } while (0)

#endif
