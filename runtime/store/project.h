/* project.h - the tables that people query, made from the journal.
 *
 * The journal is the truth. Each record of it is worked into the tables nodes, attempts, steps, signals and timers and into the
 * projected columns of runs; meta 'projected' is the id of the last journal row that was. All that is known between two calls is
 * in the database, so that several processes may take turns. docs/store.md describes the tables.
 *
 * What it relies on: the id of a journal row only grows and is never given twice, even after rows were deleted; a row of runs
 * stands there when the first journal row of the run does, with state 'pending' and seq 0; runs has the columns `running` and `waiting`
 * (INTEGER NOT NULL DEFAULT 0), which are kept here.
 *
 * A record that cannot be read, or does not follow the one before, ends the projection of its run: the row of the run
 * stays as it was and, unless the run has ended, its error says `damaged_journal` and where. All other runs go on.
 */
#ifndef ORR_STORE_PROJECT_H
#define ORR_STORE_PROJECT_H

#include "../core/core.h"

#include <sqlite3.h>

/* Statements and names of nodes, kept for one connection. Used from one thread at a time. */
typedef struct orr_projector orr_projector;

/* NULL when out of memory. The schema need not be there yet. */
orr_projector *orr_projector_new(sqlite3 *db);

/* Before the connection is closed; NULL is allowed. */
void orr_projector_free(orr_projector *p);

/* Works rows of the journal into the tables until that has cost enough, at least one, within a transaction that the caller has begun for
 * writing. A row, a record and each ORR_PROJECT_COST_BYTES of them cost 1. *more: there are others. ORR_ENOMEM, ORR_EIO (sqlite3_errmsg
 * says why): the transaction must be rolled back. */
enum { ORR_PROJECT_COST_BYTES = 2048 };
orr_status orr_sqlite_project(orr_projector *p, uint64_t cost, bool *more);

/* Empties the projections and makes them anew from the whole journal, within a transaction of the caller. What the owners of runs
 * published of blocked nodes (nodes.why) is gone until they publish it again. ORR_ENOMEM, ORR_EIO as above. */
orr_status orr_sqlite_rebuild(orr_projector *p);

/* Makes the views run_list, node_list, node_stats and workflow_stats; those that are there are made anew. ORR_EIO, ORR_ENOMEM. */
orr_status orr_sqlite_views(sqlite3 *db);

#endif
