/* rerun.h - one run that goes from process to process, with handlers that are written down.
 * Times are in nanoseconds since the first process began. */
#ifndef SPEC_RERUN_H
#define SPEC_RERUN_H

#include "diary.h"
#include "shape.h"
#include "sim.h"

enum { RERUN_NODES = 16, RERUN_TRIES = 8 };

typedef struct rerun {
    /* by node and attempt - 1; the last one given repeats; none: 1 s, completes */
    sim_deed deeds[RERUN_NODES][RERUN_TRIES];
    uint32_t given[RERUN_NODES];
    uint32_t items;    /* of every list */
    uint32_t until;    /* loops are done after so many iterations */
    uint32_t bad_item; /* from 1: this item fails in attempts below `good_from` */
    uint32_t good_from;
    bool edges; /* what edges say */
    bool waits; /* the run is to be let begin */
    uint32_t crash_limit;
    const char *pool; /* that each process has, with one place; or NULL */
    orr_plan *plan;
    sim *s;
    orr_run *run; /* others of a process are not written down, and their nodes take a second */
    diary d;
    uint32_t events[ORR_EVENT_COUNT], asked[5]; /* in this process, by kind */
} rerun;

void rerun_give(rerun *r, uint32_t node, sim_deed deed);
/* Begins the run; the plan is freed by rerun_end. */
void rerun_begin(rerun *r, orr_plan *plan);
void rerun_until(rerun *r, int64_t at);
void rerun_to_end(rerun *r);
/* The process ends now, without a word. */
void rerun_crash(rerun *r);
/* Another process begins and reads the journal, but does nothing yet. */
void rerun_read(rerun *r, int64_t at);
/* And one that goes on. */
void rerun_recover(rerun *r, int64_t at, bool force);
/* Fails the test unless the run has ended like this and is what its journal says. */
void rerun_assert_ended(rerun *r, orr_run_state state);
void rerun_end(rerun *r);

/* The nth line of that kind in this process is at that time; or there is none. */
void rerun_assert_at(const rerun *r, char what, uint32_t node, uint32_t item, uint32_t nth, int64_t at);
void rerun_assert_none(const rerun *r, char what, uint32_t node, uint32_t item, uint32_t nth);
void rerun_assert_state(const rerun *r, uint32_t node, orr_node_state state);
void rerun_assert_code(const rerun *r, uint32_t node, const char *code);
/* How many records of that kind there are, about a node (ORR_NONE: any). */
uint32_t rerun_count(const rerun *r, orr_record_kind kind, uint32_t node);

#endif
