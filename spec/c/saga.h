/* saga.h - small workflows with compensations in one line a node, played in virtual time and
 * written down as short histories.
 */
#ifndef SPEC_SAGA_H
#define SPEC_SAGA_H

#include "diary.h"
#include "shape.h"
#include "sim.h"

enum { SAGA_NODES = 6, IGNORES = 64, PLAIN_NODE = 128 };

/* `is` says what its attempts do, after which nodes it comes (`-` for none), and what its
 * compensations do, which complete after 1 s where nothing is said. One letter an attempt, the last
 * one again and again:
 *   c completes after 1 s   C after 3 s     f fails after 1 s     F fails after 5 s
 *   x runs for 1000 s       X the same, deaf to a cancel          w waits 10 s half way
 *   k completes after 1 s from a cache      q ends cancelled, though nobody asked */
typedef struct saga_step {
    const char *is;
    uint32_t how; /* orr_join, IGNORES, PLAIN_NODE: has no compensation */
    orr_policy policy;
} saga_step;

typedef struct saga {
    const char *name;
    saga_step nodes[SAGA_NODES];
    orr_on_error on_error;
    int64_t cancel_at[2], timeout, cleanup_timeout; /* s */
    uint32_t items;
    const char *history; /* as below */
    orr_run_state end;
} saga;

typedef struct saga_world {
    const saga *saga;
    uint32_t tried[SAGA_NODES][8][2]; /* by node, item, and whether it is undone */
    char history[512];
    diary d;
    uint32_t events[ORR_EVENT_COUNT];
    sim *sim;
    orr_run *run;
    orr_plan *plan;
    uint32_t undoing, most_undoing;
    void (*at)(struct saga_world *w); /* at every tick */
} saga_world;

/* A history, from the compensation or the cleanup on: `(` the run is compensated, `<a` an
 * attempt to undo a, `~a` it failed and is tried again, `-a` a is undone, `!a` it could not be,
 * `|` cleanup begins, `/` it is skipped, `*a` an attempt of a, `=a` a completed, `%a` its
 * attempt was cut off, `)` the end. */

/* Makes the simulation and the plan; the run is the caller's to make where saga_begin does not. */
void saga_open(saga_world *w, const saga *g);
void saga_begin(saga_world *w, const saga *g);
/* Until nothing is left to do, begun if it has not been, and cancelled when the saga says so.
 * Fails the test where the history or the end is another than it says. */
void saga_play(saga_world *w, const saga *g);
void saga_end(saga_world *w);

void saga_play_all(const saga *sagas, size_t n);
#define SAGA_PLAY(sagas) saga_play_all(sagas, sizeof(sagas) / sizeof *(sagas))

/* The process ends; another goes on from the journal, `s` seconds later. Two interruptions are a
 * crash loop. */
void saga_again(saga_world *w, int64_t s, bool force);

/* Fails the test unless the n-th such line of the history was at that time, in ns after the
 * begin. */
void saga_at(const saga_world *w, char what, uint32_t node, uint32_t item, uint32_t nth, int64_t at);

#endif
