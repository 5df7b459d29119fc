/* change.c - small writes of the caller's own, each a transaction under the commit lock:
 * maintenance, and runs that are forgotten. */
#include "store/sqlite/inner.h"
#include "store/sqlite/queries.h"

#include <stdlib.h>
#include <string.h>

/* ---- maintenance ----------------------------------------------------------------------------- */

static int run_to_the_end(sqlite3_stmt *q, int rc) {
    while (rc == SQLITE_OK || rc == SQLITE_ROW) rc = sqlite3_step(q);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int orr_sqlite_run_once(orr_connection *c, const orr_statement *statement) {
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(c->db, statement->text, -1, &q, NULL);
    if (rc == SQLITE_OK) rc = run_to_the_end(q, orr_sql_bind(q, statement->parameters, statement->n));
    sqlite3_finalize(q);
    return rc;
}

/* Runs the statements of a change of the catalogue. */
static int run_named(orr_connection *c, const char *sql, const orr_operation *operation,
                     const orr_field *values) {
    int rc = SQLITE_OK;
    while (*sql != '\0' && rc == SQLITE_OK) {
        sqlite3_stmt *q = NULL;
        rc = sqlite3_prepare_v2(c->db, sql, -1, &q, &sql);
        if (rc == SQLITE_OK) rc = run_to_the_end(q, orr_sqlite_bind_named(q, operation, values));
        sqlite3_finalize(q);
    }
    return rc;
}

/* Rows that need another checksum, by number; from libc's heap. */
typedef struct row_list {
    int64_t *rows;
    size_t n, capacity;
} row_list;

/* What a transaction does to rows that have a checksum. */
typedef struct changing {
    bool covers;   /* the statement writes to a column of runs that its checksum is over */
    row_list runs; /* that were changed so */
    row_list sent; /* messages that were left in the inbox */
    bool no_memory;
} changing;

/* Called for each column that a statement writes to. */
static int note_column(void *ud, int action, const char *table, const char *column, const char *database,
                       const char *trigger) {
    static const char *const covered[] = {"id",     "workflow", "bundle",     "key",
                                          "parent", "labels",   "durability", "created"};
    changing *k = ud;
    (void)database, (void)trigger;
    if (action != SQLITE_UPDATE || strcmp(table, "runs") != 0) return SQLITE_OK;
    for (size_t i = 0; i < sizeof covered / sizeof covered[0]; i++)
        if (strcmp(column, covered[i]) == 0) k->covers = true;
    return SQLITE_OK;
}

static bool add_row(row_list *list, int64_t row) {
    if (list->n == list->capacity) {
        size_t capacity = list->capacity * 2 + 16;
        int64_t *rows = realloc(list->rows, capacity * sizeof *rows);
        if (rows == NULL) return false;
        list->rows = rows;
        list->capacity = capacity;
    }
    list->rows[list->n++] = row;
    return true;
}

/* Called for each row that a statement writes. */
static void note_row(void *ud, int action, const char *database, const char *table, sqlite3_int64 row) {
    changing *k = ud;
    (void)database;
    bool changed = k->covers && action == SQLITE_UPDATE && strcmp(table, "runs") == 0;
    bool sent = action == SQLITE_INSERT && strcmp(table, "inbox") == 0;
    if ((changed && !add_row(&k->runs, row)) || (sent && !add_row(&k->sent, row))) k->no_memory = true;
}

/* A table whose rows get the checksum of what they are now: the columns that it is over. */
typedef struct checked_table {
    orr_sql read, write;
    int columns;
} checked_table;

static int renew_checksum(orr_connection *c, const checked_table *table, int64_t number) {
    enum { MOST_COLUMNS = 8 };
    orr_field row[] = {orr_field_integer(number), {.type = ORR_FIELD_NULL}}, values[MOST_COLUMNS];
    sqlite3_stmt *q = orr_sql_start(c, table->read, row, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    bool there = rc == SQLITE_ROW;
    for (int i = 0; i < table->columns && there; i++) values[i] = orr_sql_column(q, i);
    if (there) row[1] = orr_field_integer(orr_row_checksum(values, (size_t)table->columns));
    sqlite3_reset(q);
    if (!there) return rc == SQLITE_DONE ? SQLITE_OK : rc;
    return orr_sql_run(c, table->write, row, 2);
}

/* A run that has moved to other code, say, and a message that a statement has left. */
static int renew_checksums(orr_connection *c, const changing *k) {
    static const checked_table runs = {ORR_SQL_RUN_ROW, ORR_SQL_RUN_CHECKSUM, 8},
                               inbox = {ORR_SQL_INBOX_ROW, ORR_SQL_INBOX_CHECKSUM, 5};
    int rc = k->no_memory ? SQLITE_NOMEM : SQLITE_OK;
    for (size_t i = 0; i < k->runs.n && rc == SQLITE_OK; i++) rc = renew_checksum(c, &runs, k->runs.rows[i]);
    for (size_t i = 0; i < k->sent.n && rc == SQLITE_OK; i++) rc = renew_checksum(c, &inbox, k->sent.rows[i]);
    return rc;
}

/* What is run: a user's statements, or a change of the catalogue. */
typedef struct work {
    const orr_statement *statements;
    size_t n;
    orr_change change; /* where there are no statements */
    const orr_field *values;
} work;

static orr_status explain(orr_connection *c, int rc, const char *sql, orr_reason *reason) {
    if (rc == SQLITE_OK) return ORR_OK;
    if (rc != SQLITE_ERROR && rc != SQLITE_RANGE && (rc & 0xff) != SQLITE_CONSTRAINT)
        return orr_sqlite_explain(c->db, rc, "be written", reason);
    orr_reason_set(reason, "the change is wrong: %s, in: %.200s", sqlite3_errmsg(c->db), sql);
    return ORR_EINVAL;
}

static orr_status run_change(orr_connection *c, const work *w, changing *k, orr_reason *reason) {
    const orr_operation *operation = &orr_changes[w->change];
    char *sql = orr_sqlite_expand(orr_sqlite_changes[w->change], operation, w->values);
    if (sql == NULL) return ORR_ENOMEM;
    k->covers = false;
    orr_status status = explain(c, run_named(c, sql, operation, w->values), sql, reason);
    free(sql);
    return status;
}

static orr_status run_statements(orr_connection *c, const work *w, changing *k, orr_reason *reason) {
    orr_status status = ORR_OK;
    for (size_t i = 0; i < w->n && status == ORR_OK; i++) {
        k->covers = false;
        status = explain(c, orr_sqlite_run_once(c, &w->statements[i]), w->statements[i].text, reason);
    }
    return status;
}

static orr_status run_watched(orr_connection *c, const work *w, changing *k, orr_reason *reason) {
    sqlite3_set_authorizer(c->db, note_column, k);
    sqlite3_update_hook(c->db, note_row, k);
    orr_status status = w->statements != NULL ? run_statements(c, w, k, reason) : run_change(c, w, k, reason);
    sqlite3_update_hook(c->db, NULL, NULL);
    sqlite3_set_authorizer(c->db, NULL, NULL);
    return status;
}

static orr_status change_all(orr_sqlite *s, const work *w, int64_t *changed, orr_reason *reason) {
    orr_connection *c = orr_sqlite_mine(s, reason);
    changing k = {0};
    orr_status status = c != NULL ? orr_sqlite_begin(s, c, reason) : ORR_EIO;
    if (status != ORR_OK) return status;
    int64_t before = sqlite3_total_changes64(c->db);
    status = run_watched(c, w, &k, reason);
    *changed = sqlite3_total_changes64(c->db) - before;
    int rc = status == ORR_OK ? renew_checksums(c, &k) : SQLITE_OK;
    if (rc != SQLITE_OK) status = orr_sqlite_explain(c->db, rc, "be written", reason);
    free(k.runs.rows);
    free(k.sent.rows);
    status = orr_sqlite_end(c, status, reason);
    if (status != ORR_OK) *changed = 0;
    else orr_sqlite_ring(c);
    return status;
}

orr_status orr_sqlite_change(orr_store *store, orr_change change, const orr_field *values, int64_t *changed,
                             orr_reason *reason) {
    work w = {.change = change, .values = values};
    return change_all((orr_sqlite *)store, &w, changed, reason);
}

orr_status orr_sqlite_execute(orr_store *store, const orr_statement *statements, size_t n, int64_t *changed,
                              orr_reason *reason) {
    work w = {.statements = statements, .n = n};
    if (n == 0) return ORR_OK;
    return change_all((orr_sqlite *)store, &w, changed, reason);
}

/* ---- runs that go ---------------------------------------------------------------------------- */

static int remove_run(orr_connection *c, int64_t number) {
#define REMOVE_FROM(name) "DELETE FROM " name " WHERE run = ?1",
    static const char *const removals[] = {
        ORR_TABLES_OF_RUNS(REMOVE_FROM) "DELETE FROM runs WHERE number = ?1"};
#undef REMOVE_FROM
    orr_field key = orr_field_integer(number);
    int rc = orr_sqlite_merge_all(c);
    for (size_t i = 0; i < sizeof removals / sizeof removals[0] && rc == SQLITE_OK; i++)
        rc = orr_sqlite_run_once(c, &(orr_statement){removals[i], &key, 1});
    return rc;
}

static bool owned(orr_sqlite *s, int64_t owner) {
    orr_field key = orr_field_integer(owner);
    int64_t open = 0;
    if (owner == 0 || orr_sql_number(&s->mine, ORR_SQL_OWNER_OPEN, &key, 1, &open) != SQLITE_OK) return false;
    return owner != atomic_load(&s->owner) && orr_sqlite_alive(&s->mine, owner);
}

orr_status orr_sqlite_drop(orr_store *store, const uint8_t run[16]) {
    orr_sqlite *s = (orr_sqlite *)store;
    char id[37];
    orr_reason reason = {""};
    int64_t number = 0, owner = 0;
    if (orr_queue_has(&s->queue, run)) return ORR_ESTATE;
    orr_status status = orr_queue_flush(&s->queue);
    if (status == ORR_OK && orr_sqlite_mine(s, &reason) == NULL) status = ORR_EIO;
    if (status == ORR_OK) status = orr_sqlite_begin(s, &s->mine, &reason);
    if (status != ORR_OK) return status;
    orr_run_text(run, id);
    status = orr_sqlite_find_run(&s->mine, id, &number, &owner, &reason);
    if (status == ORR_EIO && number != 0) status = ORR_OK; /* one that is damaged goes as well */
    if (status == ORR_OK && owned(s, owner)) status = ORR_ESTATE;
    if (status == ORR_OK && remove_run(&s->mine, number) != SQLITE_OK) status = ORR_EIO;
    return orr_sqlite_end(&s->mine, status, &reason);
}
