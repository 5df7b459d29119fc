/* sim.h - runs plans on the core in virtual time, with handlers that only have an outcome and a
 * duration. */
#ifndef ORR_SPEC_SIM_H
#define ORR_SPEC_SIM_H

#include "core/core.h"

/* What one attempt does. */
typedef struct sim_deed {
    int64_t takes; /* ns of virtual time */
    orr_end end;
    const char *code; /* of the error where it fails; NULL = "handler_error" */
    const char *port; /* outcome it takes, or NULL */
    bool not_retryable;
    int64_t retry_after; /* ns; 0 = none */
    bool deaf;           /* ignores a cancel: goes on until its time is over */
    int64_t sleeps;      /* waits so long without a slot, half way */
    uint8_t source;      /* orr_source of what it completes with */
} sim_deed;

/* One line of the history. */
typedef struct sim_line {
    int64_t time;
    char what; /* 'S'tart, 'R'esume, 'E'nd, 'C'ancel, 'A'bandon, '!' run end */
    orr_run *run;
    orr_task task;
    uint8_t phase;
    uint64_t seq; /* of 'S': the record that it waits for */
} sim_line;

typedef struct sim sim;

/* Answers for the conditions and lists of a plan; by default everything is true and lists have
 * no items. */
typedef struct sim_script {
    void *ud;
    sim_deed (*deed)(void *ud, const orr_run *run, const orr_task *task, uint8_t phase);
    /* NULL: the default */
    bool (*evaluate)(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer);
    void (*event)(void *ud, const orr_event *event);
    void (*record)(void *ud, orr_run *run, const orr_record *record);
    void (*tick)(void *ud, sim *s); /* before time moves on */
} sim_script;

sim *sim_new(const orr_alloc *alloc, const sim_script *script); /* NULL when out of memory */
/* One that begins at a time, as a process does that is started again; `crash_limit` is the
 * core's. */
sim *sim_new_at(const orr_alloc *alloc, const sim_script *script, int64_t now, uint32_t crash_limit);
void sim_free(sim *s);
orr_core *sim_core(sim *s);

/* Tells `watch` of each line of the history as it is written, and of waits ('W'), which are not
 * in it. */
void sim_watch(sim *s, void (*watch)(void *ud, const sim_line *line), void *ud);

/* Starts a run; NULL when out of memory. */
orr_run *sim_start(sim *s, orr_plan *plan, uint64_t seed);
/* Forgets what a run does, as the end of its process would; the run is freed. */
void sim_drop(sim *s, orr_run *run);

/* What attempts of the run do takes so much longer from now on. */
void sim_delay(sim *s, const orr_run *run, int64_t by);

/* Runs until nothing is left to do or `until` is reached. The time moves from one thing that
 * happens to the next. */
void sim_run(sim *s, int64_t until);
int64_t sim_now(const sim *s);
/* Runs until `at`, and lets the time be `at` then, though nothing happens at it. */
void sim_pass(sim *s, int64_t at);

const sim_line *sim_history(const sim *s, uint32_t *n);
/* The n-th line (from 0) of that kind about a node and item (ORR_NONE for none); NULL if there
 * is none. */
const sim_line *sim_find(const sim *s, char what, uint32_t node, uint32_t item, uint32_t nth);
/* Tasks between start (or resume) and end (or wait). */
uint32_t sim_busy(const sim *s);

/* What somebody does to a run from outside, each once, at the first tick not before its time; 0
 * = never. */
typedef struct sim_meddling {
    int64_t cancel_at, pause_at, resume_at;
} sim_meddling;

/* For a script's tick. */
void sim_meddle(sim_meddling *m, orr_run *run, const sim *s);

#endif
