/* tables.h - the tables that people query, made from the journal.
 *
 * The journal is the truth. Each record of it is worked into the tables nodes, attempts, steps,
 * signals and timers and into the projected columns of runs; the position up to which that was done
 * is kept with them. All that is known between two calls is in the tables, so that several
 * processes may take turns. docs/store.md describes them.
 *
 * This room knows what the rows are, not where they stand: it reads and writes them through a sink,
 * which a back end implements, each row or change being one of the lists below.
 *
 * What it relies on: the id of a journal row only grows and is never given twice, even after rows
 * were deleted; a row of runs stands there when the first journal row of the run does, with state
 * 'pending' and seq 0.
 *
 * A record that cannot be read, or does not follow the one before, ends the projection of its run:
 * the row of the run stays as it was and, unless the run has ended, its error says
 * `damaged_journal` and where. All other runs go on.
 *
 * Used by back ends. Uses core, store, record.
 */
#ifndef ORR_STORE_TABLES_H
#define ORR_STORE_TABLES_H

#include "store/store.h"

/* ---- the sink -------------------------------------------------------------------------------- */

/* What is written: its values in their order. Times are seconds, a NAN is no time. `item` is 0 for
 * the node as a whole, else the item from 1; `iteration` counts from 1. */
#define ORR_TABLE_WRITES(X)                                                                                  \
    /* the journal row up to which all is projected */                                                       \
    X(PROJECTED, "id")                                                                                       \
    /* the projected columns of a run; `input`, `context` and `forked_from` only where set_input, and */     \
    /* the last two only where they are given; `output` and `error` only where set_end */                    \
    X(RUN, "number, state, seq, nodes, completed, failed, skipped, cancelled, running, waiting, started, "   \
           "ended, set_input, input, context, set_end, output, error, forked_from")                          \
    /* a node of which nobody knows whether it is there; `insert`: those of new runs */                      \
    X(NODE, "run, idx, item, node, state, attempts, iteration, started, ended, due, output, error, "         \
            "source, outcome, why, items, item_names")                                                       \
    X(NODE_NEW, "run, idx, item, node, state, attempts, iteration, started, ended, due, output, error, "     \
                "source, outcome, why, items, item_names")                                                   \
    /* a node that is there; `set` says which of the texts are new: 1 output, source and outcome, 2 */       \
    /* error, 4 why (without one, what is said of a cache stays), 8 items and item_names */                  \
    X(NODE_CHANGED, "run, idx, item, (nothing), state, attempts, iteration, started, ended, due, output, "   \
                    "error, source, outcome, why, items, item_names, set")                                   \
    /* `insert`: attempts of new runs; one that may be there, and goes on; the end of one that runs */       \
    X(ATTEMPT_NEW, "run, node, item, iteration, attempt, phase, state, started, ended, error, "              \
                   "interrupted, output")                                                                    \
    X(ATTEMPT_BEGUN, "run, node, item, iteration, attempt, phase, state, started, ended, error, "            \
                     "interrupted, output")                                                                  \
    X(ATTEMPT_ENDED, "run, node, item, iteration, attempt, (nothing), state, (nothing), ended, error, "      \
                     "interrupted, output")                                                                  \
    X(TIMER_GONE, "run, node, item")                                                                         \
    X(TIMER, "run, node, item, kind, due")                                                                   \
    X(STEPS_GONE, "run, node, item, iteration")                                                              \
    X(STEP, "run, node, item, iteration, path, ordinal, name, kind, attempt, value, error, time")            \
    X(SIGNAL, "run, seq, name, data, sent, received")                                                        \
    /* the first signal of that name that was not taken is */                                                \
    X(SIGNAL_TAKEN, "run, name, time")                                                                       \
    /* a retried run: a node as a whole; its items that did not complete; all of them are forgotten */       \
    X(NODE_RESET, "run, idx, state, started")                                                                \
    X(ITEMS_RESET, "run, idx, state")                                                                        \
    X(ITEMS_GONE, "run, idx")                                                                                \
    /* what waits for a time is due later */                                                                 \
    X(NODES_LATER, "run, seconds")                                                                           \
    X(TIMERS_LATER, "run, seconds")                                                                          \
    /* all that is projected goes, to be made anew */                                                        \
    X(NOTHING, "")

/* What is read: the keys, and the columns of the rows that are given. */
#define ORR_TABLE_READS(X)                                                                                   \
    X(PROJECTED, "", "id")                                                                                   \
    /* in their order, those after `id`; intact: they are what was written */                                \
    X(JOURNAL, "id", "id, run, first, fence, records, intact")                                               \
    /* whether there is one */                                                                               \
    X(JOURNAL_MORE, "id", "1")                                                                               \
    X(RUN, "number",                                                                                         \
      "state, bundle, seq, nodes, completed, failed, skipped, cancelled, running, waiting, "                 \
      "started, ended, damaged")                                                                             \
    X(NODE, "run, idx, item", "state, attempts, iteration, started, ended, due")                             \
    /* the nodes of a run as a whole */                                                                      \
    X(NODES, "run", "idx, state")                                                                            \
    /* those that completed though items of them failed */                                                   \
    X(NODES_LACKING, "run", "idx")                                                                           \
    /* whether that attempt runs */                                                                          \
    X(ATTEMPT_RUNS, "run, node, item, iteration, attempt", "1")                                              \
    X(TIMER, "run, node, item", "kind")                                                                      \
    X(BUNDLE, "hash", "definition")                                                                          \
    X(BLOB, "hash", "data, intact")

#define ORR_ENUM_WRITE(id, values) ORR_WRITE_##id,
typedef enum { ORR_TABLE_WRITES(ORR_ENUM_WRITE) ORR_WRITE_COUNT } orr_table_write;
#undef ORR_ENUM_WRITE

#define ORR_ENUM_READ(id, keys, columns) ORR_READ_##id,
typedef enum { ORR_TABLE_READS(ORR_ENUM_READ) ORR_READ_COUNT } orr_table_read;
#undef ORR_ENUM_READ

/* Fills in the values of the next row; false where there is none. They stay until it is called
 * again. */
typedef bool (*orr_next_row)(void *ud, orr_field *values);

/* What a back end gives; it puts an orr_sink first in a struct of its own. All are called within a
 * transaction that whoever projects has begun for writing, and what was written is read again.
 * ORR_ENOMEM, ORR_EIO: the transaction must be rolled back. */
typedef struct orr_sink {
    /* *changed: how many rows there were to change; NULL where nobody wants to know. The values
     * need not stay. */
    orr_status (*write)(struct orr_sink *sink, orr_table_write what, const orr_field *values, size_t n,
                        uint64_t *changed);

    /* Adds rows that are not there, of a kind that says so above. They come in the order of their
     * table's key. */
    orr_status (*insert)(struct orr_sink *sink, orr_table_write what, orr_next_row next, void *ud);

    /* Visits the rows until there is none or the visitor wants no more. The visitor may read and
     * write what it is not visiting; what it is given is valid during its call. */
    orr_status (*read)(struct orr_sink *sink, orr_table_read what, const orr_field *keys, size_t n,
                       orr_store_row visit, void *ud);
} orr_sink;

/* ---- the projector --------------------------------------------------------------------------- */

/* Names of nodes, and room for rows, kept for one sink. Used from one thread at a time. */
typedef struct orr_projector orr_projector;

/* NULL when out of memory. The tables need not be there yet. The sink must stay. */
orr_projector *orr_projector_new(orr_sink *sink);

/* NULL is allowed. */
void orr_projector_free(orr_projector *p);

/* Works rows of the journal into the tables until that has cost enough, at least one, within a
 * transaction of the caller. A row, a record and each ORR_PROJECT_COST_BYTES of them cost 1.
 * *more: there are others. ORR_ENOMEM, ORR_EIO: the transaction must be rolled back. */
enum { ORR_PROJECT_COST_BYTES = 2048 };
orr_status orr_project(orr_projector *p, uint64_t cost, bool *more);

/* Empties the projections and makes them anew from the whole journal, within a transaction of
 * the caller. What the owners of runs published of blocked nodes (nodes.why) is gone until they
 * publish it again. ORR_ENOMEM, ORR_EIO as above. */
orr_status orr_project_anew(orr_projector *p);

#endif
