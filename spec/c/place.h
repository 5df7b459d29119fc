/* place.h - a folder with a store in SQLite for a test, and what tests of it do all the time. */
#ifndef ORR_SPEC_PLACE_H
#define ORR_SPEC_PLACE_H

#include "../../runtime/store/journal.h"
#include "../../runtime/store/sqlite.h"

extern char place_directory[64], place_path[96]; /* the folder, and the file in it */

/* A setup and a teardown for cmocka. */
int place_make(void **state);
int place_remove(void **state);

/* NULL, and why in the message. */
orr_store *place_try(orr_store_mode mode, char *message, size_t size);
/* Fails the test where that is not possible. */
orr_store *place_open(orr_store_mode mode);

/* The id of run n, its journal made or claimed, and its record `seq`: the first one creates the run, others start its only node. */
void place_id(uint8_t id[16], uint32_t n);
orr_journal *place_create(orr_store *s, uint32_t n);
orr_journal *place_claim(orr_store *s, uint32_t n, bool force, orr_status *status, char message[ORR_SQLITE_MESSAGE]);
orr_status place_append(orr_journal *j, uint64_t seq);

/* The sequence number of the last record of run n, 0 without one; all from the first on must be there. */
uint64_t place_last(orr_store *s, uint32_t n);
/* What a SELECT gives that gives one number. */
int64_t place_number(orr_store *s, const char *sql);

#endif
