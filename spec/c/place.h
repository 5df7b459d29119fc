/* place.h - a folder with a store in SQLite for a test, and what tests of it do all the time. */
#ifndef ORR_SPEC_PLACE_H
#define ORR_SPEC_PLACE_H

#include "store/record/record.h"
#include "store/sqlite/inner.h"

extern char place_directory[64], place_path[96]; /* the folder, and the file in it */

/* A setup and a teardown for cmocka. */
int place_make(void **state);
int place_remove(void **state);

/* NULL, and why in the reason. */
orr_store *place_try(orr_store_mode mode, orr_reason *reason);
/* Fails the test where that is not possible. */
orr_store *place_open(orr_store_mode mode);

/* The id of run n, its journal made or claimed, and its record `seq`: the first one creates the
 * run, others start its only node. */
void place_id(uint8_t id[16], uint32_t n);
orr_journal *place_create(orr_store *s, uint32_t n);
orr_journal *place_claim(orr_store *s, uint32_t n, bool force, orr_status *status, orr_reason *reason);
orr_status place_append(orr_journal *j, uint64_t seq);

/* The sequence number of the last record of run n, 0 without one; all from the first on must be
 * there. */
uint64_t place_last(orr_store *s, uint32_t n);
/* What a SELECT gives that gives one number. */
int64_t place_number(orr_store *s, const char *sql);

/* Makes a store one of version 5, 4 or 3: what came later goes. */
#define PLACE_UNDO_7 "DROP TABLE IF EXISTS hook_deliveries; DROP TABLE IF EXISTS published; "
#define PLACE_UNDO_6                                                                                         \
    PLACE_UNDO_7                                                                                             \
    "DROP TRIGGER runs_figures_move; DROP TRIGGER runs_figures_leave; DROP TABLE run_figures; "              \
    "DROP TRIGGER runs_labels_move; DROP TRIGGER runs_labels_leave; DROP TABLE run_labels; "                 \
    "DROP INDEX runs_by_state; DROP INDEX runs_by_workflow; "                                                \
    "CREATE INDEX runs_created ON runs (workflow, created); "                                                \
    "DROP TABLE IF EXISTS schedules; DROP TABLE IF EXISTS schedule_skips; "                                  \
    "DROP TABLE IF EXISTS schedule_asked; DROP INDEX IF EXISTS runs_ended; "                                 \
    "DROP TABLE IF EXISTS tokens; DROP TABLE IF EXISTS audit; "
#define PLACE_UNDO_5 PLACE_UNDO_6 "DROP TABLE IF EXISTS state; DROP TABLE IF EXISTS arrivals; "
#define PLACE_UNDO_4                                                                                         \
    PLACE_UNDO_5                                                                                             \
    "ALTER TABLE nodes DROP COLUMN items; ALTER TABLE nodes DROP COLUMN item_names; "                        \
    "DROP TABLE IF EXISTS run_locks; "

#endif
