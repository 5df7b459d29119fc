/* inbox.c - messages for runs: left there, and looked for. */
#include "store/sqlite/inner.h"

/* ---- sending --------------------------------------------------------------------------------- */

/* Whether the run has had a message with the same `dedup`. SQLite's result code. */
static int was_sent(orr_connection *c, const orr_field *run, const orr_field *dedup, bool *sent) {
    const orr_field same[] = {*run, *dedup};
    int64_t one = 0;
    int rc = dedup->type == ORR_FIELD_NULL ? SQLITE_DONE
                                           : orr_sql_number(c, ORR_SQL_INBOX_SENT, same, 2, &one);
    *sent = rc == SQLITE_OK;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static orr_status add_message(orr_connection *c, const char *id, const char *name, const char *text,
                              const char *dedup, orr_reason *reason) {
    int64_t number = 0, owner;
    uint64_t seq;
    bool ended = false, sent = false;
    orr_status status = orr_sqlite_find_run(c, id, &number, &owner, reason);
    if (status != ORR_OK) return status;
    orr_field row[] = {
        orr_field_integer(number),       orr_field_text(name),    orr_field_text(text), orr_field_text(dedup),
        orr_field_real(orr_port_wall()), {.type = ORR_FIELD_NULL}};
    int rc = was_sent(c, &row[0], &row[3], &sent);
    if (rc == SQLITE_OK && sent) return ORR_OK;
    if (rc == SQLITE_OK) {
        status = orr_sqlite_last(c, number, id, &seq, &ended, reason);
        if (status != ORR_OK) return status;
    }
    if (rc == SQLITE_OK && ended) {
        orr_reason_set(reason, "the run %s has ended: nothing can be sent to it", id);
        return ORR_ESTATE;
    }
    row[5] = orr_field_integer(orr_row_checksum(row, 5));
    if (rc == SQLITE_OK) rc = orr_sql_run(c, ORR_SQL_INBOX_ADD, row, 6);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(c->db, rc, "be written", reason);
}

orr_status orr_sqlite_send(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                           const char *dedup, orr_reason *reason) {
    orr_sqlite *s = (orr_sqlite *)store;
    char id[37];
    orr_run_text(run, id);
    /* a run that was just created is to be found */
    orr_status status = orr_sqlite_flush(s, reason);
    if (status != ORR_OK) return status;
    orr_connection *c = orr_sqlite_mine(s, reason);
    status = c != NULL ? orr_sqlite_begin(s, c, reason) : ORR_EIO;
    if (status != ORR_OK) return status;
    status = orr_sqlite_end(c, add_message(c, id, name, text, dedup, reason), reason);
    if (status != ORR_OK) return status;
    orr_sqlite_ring(c);
    orr_queue_look_now(&s->queue); /* it may be for us */
    return ORR_OK;
}

void orr_sqlite_ring(const orr_connection *c) {
    orr_bell_ring(c->lock);
}

bool orr_sqlite_listen(orr_queue *q, orr_bell *bell) {
    return orr_bell_open(bell, ((orr_sqlite *)q)->lock_path);
}

/* ---- looking --------------------------------------------------------------------------------- */

static bool has_changed(orr_sqlite_writer *w) {
    int64_t version = 0;
    if (orr_sql_number(&w->connection, ORR_SQL_DATA_VERSION, NULL, 0, &version) != SQLITE_OK ||
        version == w->data_version)
        return false;
    w->data_version = version;
    return true;
}

enum { ID, RUN_ID, NUMBER, NAME, TEXT, DEDUP, TIME, CHECKSUM, MINE };

static bool report(sqlite3_stmt *q, sqlite3 *db, orr_queue_message visit, void *ud) {
    uint8_t run[16];
    orr_reason reason;
    orr_message m = {.kind = sqlite3_column_int(q, MINE) != 0 ? ORR_NOTICE_MESSAGE : ORR_NOTICE_WORK,
                     .id = sqlite3_column_int64(q, ID),
                     .number = sqlite3_column_int64(q, NUMBER),
                     .run = run,
                     .name = orr_sql_text(q, NAME),
                     .text = orr_sql_text(q, TEXT)};
    if (!orr_run_parse(orr_sql_text(q, RUN_ID), run)) return true;
    if (!orr_sql_intact(q, NUMBER, CHECKSUM - NUMBER + 1)) {
        orr_sqlite_damaged(db, "inbox", m.id, false, orr_sql_text(q, RUN_ID), &reason);
        m.kind = ORR_NOTICE_DAMAGED;
        m.name = NULL;
        m.text = reason.text;
    }
    return visit(ud, &m);
}

orr_status orr_sqlite_look(orr_queue *q, bool anyway, orr_queue_message visit, void *ud) {
    orr_sqlite *s = (orr_sqlite *)q;
    orr_sqlite_writer *w = &s->writer;
    bool wanted = atomic_load(&s->owner) != 0 || q->base.wants_work;
    orr_sqlite_make_spare(s);
    if (!wanted || (!has_changed(w) && !anyway)) return ORR_ESTATE;
    orr_field mine[] = {orr_field_integer(atomic_load(&s->owner)), orr_field_integer(q->base.wants_work)};
    sqlite3_stmt *found = orr_sql_start(&w->connection, ORR_SQL_INBOX_MINE, mine, 2);
    int rc = found != NULL ? SQLITE_ROW : SQLITE_ERROR;
    bool more = true;
    while (more && rc == SQLITE_ROW && (rc = sqlite3_step(found)) == SQLITE_ROW)
        more = report(found, w->connection.db, visit, ud);
    sqlite3_reset(found);
    return rc == SQLITE_DONE || !more ? ORR_OK : ORR_EIO;
}
