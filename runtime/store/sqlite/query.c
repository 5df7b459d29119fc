/* query.c - reading rows and tables, on the caller's connection. Readers never wait for the
 * writer. */
#include "store/sqlite/inner.h"

#include "store/record/record.h"
#include "store/sqlite/queries.h"

#include <stdlib.h>
#include <string.h>

/* ---- rows ------------------------------------------------------------------------------------ */

enum { FEW = 16 };

/* Visits the rows of a statement that is bound; *any: there was one. */
static int visit_rows(sqlite3_stmt *q, int run, orr_store_row visit, void *ud, bool *any) {
    orr_field few[FEW], *values = few;
    uint8_t id[16];
    int n = sqlite3_column_count(q), rc = SQLITE_ROW;
    if (n > FEW && (values = malloc((size_t)n * sizeof *values)) == NULL) return SQLITE_NOMEM;
    while (rc == SQLITE_ROW && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        *any = true;
        for (int i = 0; i < n; i++) values[i] = orr_sql_column(q, i);
        if (run >= 0 && values[run].type == ORR_FIELD_TEXT && orr_run_parse(values[run].bytes, id))
            values[run] = (orr_field){.type = ORR_FIELD_BLOB, .bytes = id, .size = sizeof id};
        if (!visit(ud, values, (size_t)n)) rc = SQLITE_DONE;
    }
    if (values != few) free(values);
    return rc;
}

/* Rows that are named by their content, or have a checksum, are visited only where they are
 * whole. */
typedef struct checking {
    orr_connection *c;
    orr_row_kind kind;
    const char *key;
    orr_store_row visit;
    void *ud;
    bool damaged;
} checking;

static bool is_whole(const checking *k, const orr_field *values, size_t n) {
    if (k->kind == ORR_ROW_MODULE) return orr_row_intact(values, n);
    return k->kind != ORR_ROW_BLOB || orr_content_is(k->key, values[1].bytes, values[1].size);
}

static bool check_row(void *ud, const orr_field *values, size_t n) {
    checking *k = ud;
    k->damaged = !is_whole(k, values, n);
    return !k->damaged && k->visit(k->ud, values, orr_row_columns(k->kind));
}

static orr_status damaged(const checking *k, orr_reason *reason) {
    const char *path = sqlite3_db_filename(k->c->db, "main");
    orr_reason_set(
        reason, "the store '%s' is damaged: the %s '%.64s' is not what was written: restore a backup",
        path != NULL ? path : "", k->kind == ORR_ROW_BLOB ? "large value" : "module of bundle", k->key);
    return ORR_EIO;
}

orr_status orr_sqlite_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud,
                          orr_reason *reason) {
    static const orr_sql statements[ORR_ROW_COUNT] = {
        [ORR_ROW_BUNDLE] = ORR_SQL_BUNDLE_GET,
        [ORR_ROW_MODULE] = ORR_SQL_MODULE_GET,
        [ORR_ROW_BLOB] = ORR_SQL_BLOB_GET,
        [ORR_ROW_CACHE] = ORR_SQL_CACHE_GET,
    };
    orr_connection *c = orr_sqlite_mine((orr_sqlite *)store, reason);
    orr_field text = orr_field_text(key);
    bool any = false;
    if (c == NULL) return ORR_EIO;
    sqlite3_stmt *q = orr_sql_start(c, statements[kind], &text, 1);
    checking k = {.c = c, .kind = kind, .key = key, .visit = visit, .ud = ud};
    int rc = q != NULL ? visit_rows(q, orr_row_run(kind), check_row, &k, &any)
                       : sqlite3_extended_errcode(c->db);
    orr_status status = rc != SQLITE_DONE ? orr_sqlite_explain(c->db, rc, "be read", reason)
                        : k.damaged       ? damaged(&k, reason)
                        : any             ? ORR_OK
                                          : ORR_ENOTFOUND;
    sqlite3_reset(q);
    return status;
}

/* ---- queries --------------------------------------------------------------------------------- */

/* Only what reads, and nothing that could reach another file. The tables that json_each and the
 * like are declare themselves when they are first named, which SQLite shows as a change of the
 * schema; a statement that would really change it is not read-only. */
static int only_reading(void *ud, int action, const char *a, const char *b, const char *database,
                        const char *trigger) {
    (void)ud, (void)b, (void)database, (void)trigger;
    if (action == SQLITE_UPDATE)
        return a != NULL && strcmp(a, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    return action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_FUNCTION ||
                   action == SQLITE_RECURSIVE
               ? SQLITE_OK
               : SQLITE_DENY;
}

static bool is_blank(const char *sql) {
    return sql[strspn(sql, " \t\r\n;")] == '\0';
}

/* `foreign`: the text is not ours. Setting an authorizer has every statement of the connection
 * compiled anew when it is run next, so for our own texts none is. */
static orr_status prepare(orr_connection *c, const char *sql, bool foreign, sqlite3_stmt **q,
                          orr_reason *reason) {
    const char *rest = "";
    if (foreign) sqlite3_set_authorizer(c->db, only_reading, NULL);
    int rc = sqlite3_prepare_v3(c->db, sql, -1, foreign ? 0 : SQLITE_PREPARE_PERSISTENT, q, &rest);
    if (foreign) sqlite3_set_authorizer(c->db, NULL, NULL);
    if (rc == SQLITE_OK && *q != NULL && sqlite3_column_count(*q) > 0 && sqlite3_stmt_readonly(*q) &&
        is_blank(rest))
        return ORR_OK;
    if ((rc & 0xff) == SQLITE_AUTH || rc == SQLITE_OK)
        orr_reason_set(reason, "a query must be one SELECT; this is none: %.200s", sql);
    else if ((rc & 0xff) == SQLITE_ERROR)
        orr_reason_set(reason, "the query is wrong: %s, in: %.200s", sqlite3_errmsg(c->db), sql);
    else return orr_sqlite_explain(c->db, rc, "be read", reason);
    return ORR_EINVAL;
}

static orr_status give_names(sqlite3_stmt *q, const orr_store_reader *reader) {
    size_t n = (size_t)sqlite3_column_count(q);
    const char **columns = malloc(n * sizeof *columns);
    if (columns == NULL) return ORR_ENOMEM;
    for (size_t i = 0; i < n; i++) columns[i] = sqlite3_column_name(q, (int)i);
    reader->names(reader->ud, columns, n);
    free(columns);
    return ORR_OK;
}

/* `rc`: what binding gave. */
static orr_status give_rows(orr_connection *c, sqlite3_stmt *q, int rc, const orr_store_reader *reader,
                            orr_reason *reason) {
    bool any = false;
    if (reader->names != NULL) {
        orr_status status = give_names(q, reader);
        if (status != ORR_OK) return status;
    }
    if (rc == SQLITE_OK) rc = visit_rows(q, -1, reader->row, reader->ud, &any);
    return rc == SQLITE_DONE ? ORR_OK : orr_sqlite_explain(c->db, rc, "be read", reason);
}

/* The statement of the query as it was last asked, where that was with this text; NULL: it is to be
 * prepared. Nobody else finds it meanwhile: who visits a row may ask the same query. */
static sqlite3_stmt *take_kept(orr_connection *c, orr_query query, const char *sql) {
    sqlite3_stmt *q = c->queries[query];
    if (q == NULL || strcmp(sqlite3_sql(q), sql) != 0) return NULL;
    c->queries[query] = NULL;
    return q;
}

static void keep(orr_connection *c, orr_query query, sqlite3_stmt *q) {
    sqlite3_reset(q);
    sqlite3_clear_bindings(q); /* their bytes go */
    sqlite3_finalize(c->queries[query]);
    c->queries[query] = q;
}

orr_status orr_sqlite_query(orr_store *store, orr_query query, const orr_field *values,
                            const orr_store_reader *reader, orr_reason *reason) {
    orr_connection *c = orr_sqlite_mine((orr_sqlite *)store, reason);
    const orr_operation *operation = &orr_queries[query];
    if (c == NULL) return ORR_EIO;
    char *sql = orr_sqlite_expand(orr_sqlite_queries[query], operation, values);
    if (sql == NULL) return ORR_ENOMEM;
    sqlite3_stmt *q = take_kept(c, query, sql);
    orr_status status = q != NULL ? ORR_OK : prepare(c, sql, false, &q, reason);
    free(sql);
    if (status != ORR_OK) {
        sqlite3_finalize(q);
        return status;
    }
    status = give_rows(c, q, orr_sqlite_bind_named(q, operation, values), reader, reason);
    keep(c, query, q);
    return status;
}

/* Which moment that is, the first reading in it decides. */
orr_status orr_sqlite_snapshot(orr_store *store, bool begins, orr_reason *reason) {
    orr_connection *c = orr_sqlite_mine((orr_sqlite *)store, reason);
    if (c == NULL) return ORR_EIO;
    int rc = orr_sql_run(c, begins ? ORR_SQL_SNAPSHOT : ORR_SQL_ROLLBACK, NULL, 0);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(c->db, rc, "be read", reason);
}

orr_status orr_sqlite_select(orr_store *store, const orr_statement *statement, const orr_store_reader *reader,
                             orr_reason *reason) {
    orr_connection *c = orr_sqlite_mine((orr_sqlite *)store, reason);
    sqlite3_stmt *q = NULL;
    orr_status status = c != NULL ? prepare(c, statement->text, true, &q, reason) : ORR_EIO;
    if (status == ORR_OK && (size_t)sqlite3_bind_parameter_count(q) != statement->n) {
        orr_reason_set(reason, "the query has %d parameters, and %zu values were given",
                       sqlite3_bind_parameter_count(q), statement->n);
        status = ORR_EINVAL;
    }
    if (status == ORR_OK)
        status = give_rows(c, q, orr_sql_bind(q, statement->parameters, statement->n), reader, reason);
    sqlite3_finalize(q);
    return status;
}
