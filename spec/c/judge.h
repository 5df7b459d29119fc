/* judge.h - watches wild runs on one core and fails the test at the first rule that is broken. */
#ifndef SPEC_JUDGE_H
#define SPEC_JUDGE_H

#include "wild.h"

enum { JUDGE_RUNS = 4 };

/* An attempt under way. */
typedef struct judge_live {
    orr_task task;
    int64_t since;
    bool asleep, cancelled, probe;
    uint64_t period; /* of its breaker, where it is a probe */
} judge_live;

typedef struct judge_node {
    bool ready, settled;
    uint64_t ready_seq; /* order of its node_ready */
} judge_node;

typedef struct judge_run {
    struct judge *judge;
    wild w;
    orr_run *run;
    uint32_t concurrency, slots, peak;
    judge_node *nodes;
    judge_live *live;
    uint32_t n_live, cap_live;
    orr_task *seen; /* the last attempt of each task */
    uint32_t n_seen, cap_seen;
    uint64_t last_record, last_event, attempts;
    uint64_t fifo[ORR_PRIO_COUNT]; /* the latest node_ready that has had its turn */
    bool paused, stopping, ended;
    bool cleans; /* it ends: cleanup nodes run, paused or not */
} judge_run;

typedef struct judge_breaker {
    const char *name;
    int state; /* 0 closed, 1 open, 2 half open */
    uint32_t probes;
    uint64_t period;
} judge_breaker;

typedef struct judge {
    sim *s;
    judge_run runs[JUDGE_RUNS];
    uint32_t n_runs;
    judge_breaker breakers[2];
    int64_t *starts[2]; /* times of starts in pools with a rate */
    uint32_t n_starts[2], cap_starts[2];
    uint64_t seed, digest, ready_seq, steps, chances;
    bool meddles; /* cancels, pauses and resumes at random */
} judge;

/* A core with the limits of wild plans, and `n_runs` runs of which each has a workflow of its
 * own. */
void judge_begin(judge *j, uint64_t seed, uint32_t n_runs, uint32_t n_nodes, uint32_t flags, bool meddles);
/* Runs them to their end and looks at what is left. */
void judge_finish(judge *j);
/* Frees all; returns a digest of the history, records and events. */
uint64_t judge_end(judge *j);

#endif
