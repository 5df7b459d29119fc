/* tables.h - a database in memory with the tables that people query, journals that are put into it,
 * and what the projector makes of them.
 */
#ifndef ORR_SPEC_TABLES_H
#define ORR_SPEC_TABLES_H

#include "store/record/record.h"
#include "store/sqlite/inner.h"
#include "store/tables/inner.h"

typedef struct tables {
    sqlite3 *db;
    orr_sink *sink;
    orr_projector *p;
} tables;

tables tables_open(void);
void tables_close(tables *f);
/* Fails the test where SQLite refuses the statements. */
void tables_run(sqlite3 *db, const char *sql);
/* A statement, to be finalized by the caller. */
sqlite3_stmt *tables_prepare(sqlite3 *db, const char *sql);
/* The number of a new run of workflow w, with the definition of that hash; NULL: without one. */
int64_t tables_new_run(sqlite3 *db, const char *bundle);
void tables_new_bundle(sqlite3 *db, const char *hash, const char *definition);

typedef struct rows_text {
    char *at;
    size_t size, cap;
} rows_text;

/* Adds bytes; `at` is the caller's to free, and ends with a 0 beyond `size`. */
void rows_add(rows_text *t, const char *word, size_t size);

/* Fails where the rows are not those wanted: values joined by "|" and rows by "; ", NULL is "-". */
void tables_expect(tables *f, const char *name, const char *sql, const char *wanted);
/* What a SELECT gives that gives one number. */
int64_t tables_number(sqlite3 *db, const char *sql);

/* Adds a record to the bytes of a row of the journal, and puts such a row into it. */
void tables_put_record(rows_text *row, const orr_entry *e);
void tables_put_row(sqlite3 *db, int64_t run, uint64_t first, const void *bytes, size_t size);
/* Projects all that is in the journal, so many rows at a time. */
void tables_project(tables *f, uint32_t rows);
/* Fails where the tables are others when they are projected in other slices, by two projectors in
 * turn, or rebuilt. */
void tables_same_in_slices(tables *f, const char *name);

#endif
