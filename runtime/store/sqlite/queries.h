/* queries.h - the SQL of the catalogue's queries and changes; private to the store in SQLite.
 *
 * A text names its parameters as :name. `@` stands for the columns of the catalogue, and
 * `[:name …]` for what is left out where that parameter is NULL; it may stand within another. A
 * change may have several statements. Values are always bound: no text of a caller ever becomes
 * part of a statement.
 */
#ifndef ORR_STORE_SQLITE_QUERIES_H
#define ORR_STORE_SQLITE_QUERIES_H

#include "store/store.h"

#include <sqlite3.h>

extern const char *const orr_sqlite_queries[ORR_QUERY_COUNT], *const orr_sqlite_changes[ORR_CHANGE_COUNT];

/* The statement of a text for these values, from libc's heap; NULL when out of memory. */
char *orr_sqlite_expand(const char *text, const orr_operation *operation, const orr_field *values);

/* Binds the values that the statement has parameters for. SQLite's result code. */
int orr_sqlite_bind_named(sqlite3_stmt *s, const orr_operation *operation, const orr_field *values);

#endif
