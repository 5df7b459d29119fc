/* state.c - values that outlive runs: writes that are decided in the transaction that commits them,
 * under the lock of those who write, and reading. */
#include "store/sqlite/inner.h"

#include <string.h>

static bool same_text(const orr_field *v, const orr_field *w) {
    return v->size == w->size && memcmp(v->bytes, w->bytes, v->size) == 0;
}

static double seconds_of(const orr_field *v) {
    return v->type == ORR_FIELD_INTEGER ? (double)v->integer : v->real;
}

/* Whether what the write expects is there. What has expired is not. SQLite's result code. */
static int look(orr_connection *c, const orr_field *write, bool *holds) {
    const orr_field *expected = &write[ORR_STATE_EXPECTED];
    *holds = true;
    if (expected->type == ORR_FIELD_NULL) return SQLITE_OK;
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_STATE_NOW, write, 2);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    bool there = rc == SQLITE_ROW;
    if (there) {
        orr_field version = orr_sql_column(q, 0), expires = orr_sql_column(q, 1);
        there = expires.type == ORR_FIELD_NULL ||
                seconds_of(&expires) > seconds_of(&write[ORR_STATE_WRITTEN]);
        *holds = there ? same_text(&version, expected) : expected->size == 0;
    } else {
        *holds = expected->size == 0;
    }
    sqlite3_reset(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int make(orr_connection *c, const orr_field *write) {
    enum { CHECKSUM = ORR_STATE_KEPT, COLUMNS };
    orr_field row[COLUMNS];
    if (write[ORR_STATE_VALUE].type == ORR_FIELD_NULL) return orr_sql_run(c, ORR_SQL_STATE_GONE, write, 2);
    memcpy(row, write, ORR_STATE_KEPT * sizeof *row);
    /* as a column of numbers gives them back */
    row[ORR_STATE_WRITTEN] = orr_field_real(seconds_of(&write[ORR_STATE_WRITTEN]));
    if (write[ORR_STATE_EXPIRES].type != ORR_FIELD_NULL)
        row[ORR_STATE_EXPIRES] = orr_field_real(seconds_of(&write[ORR_STATE_EXPIRES]));
    row[CHECKSUM] = orr_field_integer(orr_row_checksum(row, ORR_STATE_KEPT));
    return orr_sql_run(c, ORR_SQL_STATE_PUT, row, COLUMNS);
}

int orr_sqlite_put_state(orr_sqlite *s, const orr_op *op) {
    orr_connection *c = &s->writer.connection;
    orr_field write[ORR_STATE_COLUMNS];
    orr_op_values(op, write, ORR_STATE_COLUMNS);
    int rc = look(c, write, &s->writer.made);
    if (rc == SQLITE_OK && s->writer.made) rc = make(c, write);
    if (rc != SQLITE_OK) return rc;
    bool noted = orr_queue_decided(&s->queue, write[ORR_STATE_TOKEN].integer, s->writer.made);
    return noted ? SQLITE_OK : SQLITE_NOMEM;
}

orr_status orr_sqlite_state(orr_store *store, const char *workflow, const char *key, orr_store_row visit,
                            void *ud, orr_reason *reason) {
    enum { CHECKSUM = ORR_STATE_KEPT, ROWID };
    orr_connection *c = orr_sqlite_mine((orr_sqlite *)store, reason);
    const orr_field place[] = {orr_field_text(workflow), orr_field_text(key)};
    orr_field row[CHECKSUM + 1];
    orr_status status = ORR_OK;
    if (c == NULL) return ORR_EIO;
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_STATE_GET, place, 2);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    if (rc == SQLITE_ROW) {
        for (int i = 0; i <= CHECKSUM; i++) row[i] = orr_sql_column(q, i);
        if (orr_row_intact(row, CHECKSUM + 1)) visit(ud, row, ORR_STATE_KEPT);
        else status = orr_sqlite_damaged(c->db, "state", sqlite3_column_int64(q, ROWID), false, NULL, reason);
    } else {
        status = rc == SQLITE_DONE ? ORR_ENOTFOUND : orr_sqlite_explain(c->db, rc, "be read", reason);
    }
    sqlite3_reset(q);
    return status;
}
