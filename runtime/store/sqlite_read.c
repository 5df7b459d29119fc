/* sqlite_read.c - reading journals, rows and tables, on the caller's connection. Readers never wait for the writer. */
#include "leb128.h"
#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- journals ----------------------------------------------------------------------------------------------------------------- */

/* Reading one journal: the rows of `journal`, then what `commits` has. */
typedef struct reading {
    uint64_t after, latest; /* latest: which number the first one it finds may have at most */
    uint64_t next;          /* the number of the one that is to come, 0: none was found yet */
    orr_store_visit visit;
    void *ud;
    bool enough; /* the visitor wants no more */
} reading;

/* Records that follow each other. False for bytes that are none, and where some are missing. */
static bool read_records(reading *r, const void *bytes, size_t size, uint64_t first)
{
    const unsigned char *at = bytes, *end = size > 0 ? at + size : at, *record;
    if (r->next != 0 ? first != r->next : first > r->latest)
        return false;
    r->next = first;
    for (size_t n; at < end && !r->enough; r->next++) {
        if (!orr_leb_block(&at, end, &record, &n))
            return false;
        r->enough = r->next > r->after && !r->visit(r->ud, r->next, record, n);
    }
    return true;
}

static bool read_rows(orr_connection *c, int64_t number, int64_t from, reading *r)
{
    orr_value key[] = {orr_value_integer(number), orr_value_integer(from)};
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_JOURNAL_READ, key, 2);
    int rc = q != NULL ? SQLITE_ROW : SQLITE_ERROR;
    bool good = true;
    while (good && !r->enough && rc == SQLITE_ROW && (rc = sqlite3_step(q)) == SQLITE_ROW)
        good = read_records(r, sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1), (uint64_t)sqlite3_column_int64(q, 0));
    sqlite3_reset(q);
    return good && (r->enough || rc == SQLITE_DONE);
}

/* Those of the run in one commit. What of it cannot be read may be of any run. */
static bool read_groups(reading *r, const unsigned char *at, size_t size, int64_t number)
{
    const unsigned char *end = size > 0 ? at + size : at;
    orr_group group;
    while (!r->enough && at < end)
        if (!orr_sqlite_group(&at, end, &group) ||
            (group.run == number && !read_records(r, group.bytes, group.size, group.first)))
            return false;
    return true;
}

static bool read_commits(orr_connection *c, int64_t number, reading *r)
{
    orr_value all = orr_value_integer(INT64_MAX);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_COMMITS, &all, 1);
    int rc = q != NULL ? SQLITE_ROW : SQLITE_ERROR;
    bool good = true;
    while (good && !r->enough && rc == SQLITE_ROW && (rc = sqlite3_step(q)) == SQLITE_ROW)
        good = read_groups(r, sqlite3_column_blob(q, 2), (size_t)sqlite3_column_bytes(q, 2), number);
    sqlite3_reset(q);
    return good && (r->enough || rc == SQLITE_DONE);
}

/* In one snapshot: meanwhile somebody may move records from one table to the other. */
static orr_status read_journal(orr_connection *c, int64_t number, int64_t from, reading *r)
{
    bool alone = sqlite3_get_autocommit(c->db) != 0;
    if (alone && orr_sql_run(c, ORR_SQL_SNAPSHOT, NULL, 0) != SQLITE_OK)
        return ORR_EIO;
    bool good = read_rows(c, number, from, r) && (r->enough || read_commits(c, number, r));
    if (alone)
        orr_sql_run(c, ORR_SQL_ROLLBACK, NULL, 0);
    return good ? ORR_OK : ORR_EIO;
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
    reading r = {.after = after, .latest = after + 1, .visit = visit, .ud = ud};
    return read_journal(c, number, after < INT64_MAX ? (int64_t)after + 1 : INT64_MAX, &r);
}

typedef struct last_record {
    uint64_t seq;
    bool ends;
} last_record;

static bool note_last(void *ud, uint64_t seq, const void *bytes, size_t size)
{
    *(last_record *)ud = (last_record){seq, orr_record_ends(bytes, size)};
    return true;
}

/* The tables may be a little behind, so they are not asked. */
orr_status orr_sqlite_last(orr_connection *c, int64_t number, uint64_t *seq, bool *ended)
{
    last_record last = {0};
    reading r = {.latest = UINT64_MAX, .visit = note_last, .ud = &last};
    orr_status status = read_journal(c, number, INT64_MAX, &r);
    *seq = last.seq;
    *ended = last.ends;
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
