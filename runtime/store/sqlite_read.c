/* sqlite_read.c - reading journals, rows and tables, on the caller's connection. Readers never wait for the writer. */
#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- journals ----------------------------------------------------------------------------------------------------------------- */

/* The size of a record, and where its bytes begin in *at. False when the row ends before. */
static bool record_size(const unsigned char *bytes, size_t size, size_t *at, size_t *record)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 63 && *at < size; shift += 7) {
        unsigned char byte = bytes[(*at)++];
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *record = (size_t)n;
            return n <= size - *at;
        }
    }
    return false;
}

orr_status orr_sqlite_records(const void *bytes, size_t size, uint64_t first, uint64_t after, orr_store_visit visit, void *ud,
                              uint64_t *next)
{
    const unsigned char *all = bytes;
    size_t record = 0;
    *next = first;
    for (size_t at = 0; at < size; at += record, ++*next) {
        if (!record_size(all, size, &at, &record))
            return ORR_EIO;
        if (*next > after && !visit(ud, *next, all + at, record)) {
            *next = 0; /* no record has this number: that was all the visitor wanted */
            return ORR_OK;
        }
    }
    return ORR_OK;
}

static orr_status read_rows(sqlite3_stmt *q, uint64_t after, orr_store_visit visit, void *ud)
{
    uint64_t next = 1;
    bool any = false;
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        uint64_t first = (uint64_t)sqlite3_column_int64(q, 0);
        if ((any && first != next) || (!any && first > after + 1))
            return ORR_EIO; /* a row is missing */
        any = true;
        if (orr_sqlite_records(sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1), first, after, visit, ud, &next) != ORR_OK)
            return ORR_EIO;
        if (next == 0)
            return ORR_OK;
    }
    return rc == SQLITE_DONE ? ORR_OK : ORR_EIO;
}

static int number_of(orr_connection *c, const uint8_t run[16], int64_t *number)
{
    char id[37];
    orr_run_text(run, id);
    orr_value key = orr_value_text(id);
    return orr_sql_number(c, ORR_SQL_RUN_GET, &key, 1, number);
}

orr_status orr_sqlite_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud)
{
    orr_connection *c = &((orr_sqlite *)store)->mine;
    int64_t number = 0;
    int rc = number_of(c, run, &number);
    if (rc != SQLITE_OK)
        return rc == SQLITE_DONE ? ORR_ENOTFOUND : ORR_EIO;
    int64_t from = after < INT64_MAX ? (int64_t)after + 1 : INT64_MAX;
    orr_value key[] = {orr_value_integer(number), orr_value_integer(from)};
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_JOURNAL_READ, key, 2);
    orr_status status = q != NULL ? read_rows(q, after, visit, ud) : ORR_EIO;
    sqlite3_reset(q);
    return status;
}

static bool note_end(void *ud, uint64_t seq, const void *bytes, size_t size)
{
    (void)seq;
    *(bool *)ud = orr_record_ends(bytes, size);
    return true;
}

/* By its last record: the tables may be a little behind. */
orr_status orr_sqlite_ended(orr_connection *c, int64_t number, bool *ended)
{
    orr_value key = orr_value_integer(number);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_JOURNAL_LAST, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : SQLITE_ERROR;
    orr_status status = rc == SQLITE_ROW || rc == SQLITE_DONE ? ORR_OK : ORR_EIO;
    uint64_t next;
    *ended = false;
    if (rc == SQLITE_ROW)
        status = orr_sqlite_records(sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1), 1, 0, note_end, ended, &next);
    sqlite3_reset(q);
    return status;
}

/* ---- rows ----------------------------------------------------------------------------------------------------------------------- */

enum { FEW = 16 };

/* Visits the rows of a statement that is bound; *any: there was one. */
static int visit_rows(sqlite3_stmt *q, int run, orr_store_row visit, void *ud, bool *any)
{
    orr_value few[FEW], *values = few;
    uint8_t id[16];
    int n = sqlite3_column_count(q), rc = SQLITE_ROW;
    if (n > FEW && (values = malloc((size_t)n * sizeof *values)) == NULL)
        return SQLITE_NOMEM;
    while (rc == SQLITE_ROW && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        *any = true;
        for (int i = 0; i < n; i++)
            values[i] = orr_sql_column(q, i);
        if (run >= 0 && values[run].type == ORR_VALUE_TEXT && orr_run_parse(values[run].bytes, id))
            values[run] = (orr_value){.type = ORR_VALUE_BLOB, .bytes = id, .size = sizeof id};
        if (!visit(ud, values, (size_t)n))
            rc = SQLITE_DONE;
    }
    if (values != few)
        free(values);
    return rc;
}

orr_status orr_sqlite_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud)
{
    static const orr_sql statements[ORR_ROW_COUNT] = {[ORR_ROW_BUNDLE] = ORR_SQL_BUNDLE_GET, [ORR_ROW_MODULE] = ORR_SQL_MODULE_GET,
                                                      [ORR_ROW_BLOB] = ORR_SQL_BLOB_GET,     [ORR_ROW_CACHE] = ORR_SQL_CACHE_GET};
    orr_connection *c = &((orr_sqlite *)store)->mine;
    orr_value text = orr_value_text(key);
    bool any = false;
    sqlite3_stmt *q = orr_sql_start(c, statements[kind], &text, 1);
    int rc = q != NULL ? visit_rows(q, orr_row_run(kind), visit, ud, &any) : SQLITE_ERROR;
    sqlite3_reset(q);
    return rc != SQLITE_DONE ? (rc == SQLITE_NOMEM ? ORR_ENOMEM : ORR_EIO) : any ? ORR_OK : ORR_ENOTFOUND;
}

/* ---- queries -------------------------------------------------------------------------------------------------------------------- */

/* Only what reads, and nothing that could reach another file. The tables that json_each and the like are declare themselves when they
 * are first named, which SQLite shows as a change of the schema; a statement that would really change it is not read-only. */
static int only_reading(void *ud, int action, const char *a, const char *b, const char *database, const char *trigger)
{
    (void)ud, (void)b, (void)database, (void)trigger;
    if (action == SQLITE_UPDATE)
        return a != NULL && strcmp(a, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    return action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_FUNCTION || action == SQLITE_RECURSIVE ? SQLITE_OK
                                                                                                                       : SQLITE_DENY;
}

static bool is_blank(const char *sql)
{
    return sql[strspn(sql, " \t\r\n;")] == '\0';
}

static orr_status prepare(orr_connection *c, const char *sql, sqlite3_stmt **q, char *message, size_t size)
{
    const char *rest = "";
    sqlite3_set_authorizer(c->db, only_reading, NULL);
    int rc = sqlite3_prepare_v2(c->db, sql, -1, q, &rest);
    sqlite3_set_authorizer(c->db, NULL, NULL);
    if (rc == SQLITE_OK && *q != NULL && sqlite3_column_count(*q) > 0 && sqlite3_stmt_readonly(*q) && is_blank(rest))
        return ORR_OK;
    if ((rc & 0xff) == SQLITE_AUTH || rc == SQLITE_OK)
        snprintf(message, size, "a query must be one SELECT; this is none: %.200s", sql);
    else if ((rc & 0xff) == SQLITE_ERROR)
        snprintf(message, size, "the query is wrong: %s, in: %.200s", sqlite3_errmsg(c->db), sql);
    else
        return orr_sqlite_explain(c->db, rc, "be read", message, size);
    return ORR_EINVAL;
}

static orr_status tell_names(sqlite3_stmt *q, void (*names)(void *ud, const char *const *columns, size_t n), void *ud)
{
    size_t n = (size_t)sqlite3_column_count(q);
    const char **columns = malloc(n * sizeof *columns);
    if (columns == NULL)
        return ORR_ENOMEM;
    for (size_t i = 0; i < n; i++)
        columns[i] = sqlite3_column_name(q, (int)i);
    names(ud, columns, n);
    free(columns);
    return ORR_OK;
}

orr_status orr_sqlite_query(orr_store *store, const char *sql, const orr_value *parameters, size_t n,
                            void (*names)(void *ud, const char *const *columns, size_t n), orr_store_row visit, void *ud,
                            char *message, size_t size)
{
    orr_connection *c = &((orr_sqlite *)store)->mine;
    sqlite3_stmt *q = NULL;
    bool any = false;
    orr_status status = prepare(c, sql, &q, message, size);
    if (status == ORR_OK && (size_t)sqlite3_bind_parameter_count(q) != n) {
        snprintf(message, size, "the query has %d parameters, and %zu values were given", sqlite3_bind_parameter_count(q), n);
        status = ORR_EINVAL;
    }
    if (status == ORR_OK && names != NULL)
        status = tell_names(q, names, ud);
    if (status == ORR_OK) {
        int rc = orr_sql_bind(q, parameters, n);
        if (rc == SQLITE_OK)
            rc = visit_rows(q, -1, visit, ud, &any);
        if (rc != SQLITE_DONE)
            status = orr_sqlite_explain(c->db, rc, "be read", message, size);
    }
    sqlite3_finalize(q);
    return status;
}
