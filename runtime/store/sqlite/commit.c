/* commit.c - batches as one transaction.
 *
 * First pass: the ops in order. Rows are put, runs made, and records chained to their journals.
 * Second pass: one row of `commits` with the records of all journals (merge.c). Many bytes
 * would only be copied twice by that, so a large commit makes a row of `journal` for each journal
 * itself, once what was committed before stands there. Nothing that is remembered from a
 * transaction is believed before it is committed: one that fails is tried again from the first op
 * on.
 */
#include "store/sqlite/inner.h"

#include "store/record/record.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- rows ------------------------------------------------------------------------------------ */

/* A row that the tables do not take is left out: it must not keep everything else from being
 * committed. */
static int forgive(int rc) {
    int primary = rc & 0xff;
    return primary == SQLITE_CONSTRAINT || primary == SQLITE_TOOBIG || primary == SQLITE_MISMATCH ? SQLITE_OK
                                                                                                  : rc;
}

int orr_sqlite_put_row(orr_connection *c, const orr_op *op) {
    static const orr_sql statements[ORR_ROW_COUNT] = {
        [ORR_ROW_BUNDLE] = ORR_SQL_BUNDLE, [ORR_ROW_MODULE] = ORR_SQL_MODULE,
        [ORR_ROW_BLOB] = ORR_SQL_BLOB,     [ORR_ROW_CACHE] = ORR_SQL_CACHE,
        [ORR_ROW_LOG] = ORR_SQL_LOG,       [ORR_ROW_WHY] = ORR_SQL_WHY,
        [ORR_ROW_TAKEN] = ORR_SQL_TAKEN,   [ORR_ROW_PUBLISHED] = ORR_SQL_PUBLISHED,
    };
    orr_field values[16];
    size_t n = orr_row_columns((orr_row_kind)op->detail);
    orr_op_values(op, values, n);
    if (op->detail == ORR_ROW_LOCK) return orr_sqlite_put_lock(c, values);
    if (op->detail == ORR_ROW_UNLOCK) return orr_sqlite_put_unlock(c, values);
    if (op->detail == ORR_ROW_MODULE) {
        values[n] = orr_field_integer(orr_row_checksum(values, n));
        n++;
    }
    int rc = forgive(orr_sql_run(c, statements[op->detail], values, n));
    if (rc == SQLITE_OK && op->detail == ORR_ROW_TAKEN) rc = orr_sql_run(c, ORR_SQL_TAKEN_GONE, values, n);
    return rc;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static int refuse(orr_sqlite *s, orr_queue_journal *j, const orr_field *row) {
    orr_connection *c = &s->writer.connection;
    orr_field key[] = {row[ORR_NEW_WORKFLOW], row[ORR_NEW_KEY]};
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_RUN_KEYED, key, 2);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    bool known = rc == SQLITE_ROW || rc == SQLITE_DONE;
    const char *id = rc == SQLITE_ROW ? orr_sql_text(q, 0) : "";
    bool noted = known && orr_queue_refuse(&s->queue, j, ORR_NOTICE_REFUSED, id);
    sqlite3_reset(q);
    return noted ? SQLITE_OK : known ? SQLITE_NOMEM : rc;
}

/* The parent is named by its number, NULL where it is not there. */
static int find_parent(orr_connection *c, orr_field *parent) {
    int64_t number = 0;
    if (parent->type == ORR_FIELD_NULL) return SQLITE_OK;
    int rc = orr_sql_number(c, ORR_SQL_RUN_NUMBER, parent, 1, &number);
    *parent = rc == SQLITE_OK ? orr_field_integer(number) : (orr_field){.type = ORR_FIELD_NULL};
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static orr_field checksum_of(const orr_field *row) {
    const orr_field kept[] = {row[ORR_NEW_ID],         row[ORR_NEW_WORKFLOW], row[ORR_NEW_BUNDLE],
                              row[ORR_NEW_KEY],        row[ORR_NEW_PARENT],   row[ORR_NEW_LABELS],
                              row[ORR_NEW_DURABILITY], row[ORR_NEW_CREATED]};
    return orr_field_integer(orr_row_checksum(kept, sizeof kept / sizeof *kept));
}

/* With its lock taken and no wish to wait nothing of the run stays. */
static int line_up(orr_sqlite *s, orr_queue_journal *j, const orr_field *row, const orr_field *lock,
                   bool refuses) {
    orr_connection *c = &s->writer.connection;
    orr_field number = orr_field_integer(j->number);
    char id[37] = "";
    int rc = orr_sqlite_line_up(s, c, &(orr_lock_wish){j->number, row[ORR_NEW_WORKFLOW], *lock}, refuses, id);
    if (rc != SQLITE_OK || *id == '\0') return rc;
    rc = orr_sql_run(c, ORR_SQL_RUN_GONE, &number, 1);
    if (rc != SQLITE_OK) return rc;
    return orr_queue_refuse(&s->queue, j, ORR_NOTICE_CONFLICT, id) ? SQLITE_OK : SQLITE_NOMEM;
}

static int create(orr_sqlite *s, const orr_op *op) {
    enum { CHECKSUM = ORR_NEW_COLUMNS, COLUMNS };
    orr_sqlite_writer *w = &s->writer;
    orr_queue_journal *j = op->journal;
    orr_field row[ORR_NEW_VALUES], lock;
    orr_op_values(op, row, ORR_NEW_VALUES);
    lock = row[ORR_NEW_LOCK];
    bool refuses = row[ORR_NEW_LOCK_REFUSES].integer != 0;
    row[ORR_NEW_OWNER] = orr_field_integer(atomic_load(&s->owner));
    j->refused = false;
    int rc = find_parent(&w->connection, &row[ORR_NEW_PARENT]);
    if (rc != SQLITE_OK) return rc;
    row[CHECKSUM] = checksum_of(row);
    rc = orr_sql_run(&w->connection, ORR_SQL_RUN_NEW, row, COLUMNS);
    if ((rc & 0xff) == SQLITE_CONSTRAINT) /* of its key, or of its id, which is as good a reason */
        return refuse(s, j, row);
    j->number = sqlite3_last_insert_rowid(w->connection.db);
    const char *name = row[ORR_NEW_WORKFLOW].bytes;
    if (rc == SQLITE_OK && (w->workflow == NULL || strcmp(w->workflow, name) != 0)) {
        orr_field workflow[] = {row[ORR_NEW_WORKFLOW], row[ORR_NEW_CREATED]};
        rc = orr_sql_run(&w->connection, ORR_SQL_WORKFLOW, workflow, 2);
        w->workflow = name;
    }
    if (rc == SQLITE_OK && lock.type != ORR_FIELD_NULL) rc = line_up(s, j, row, &lock, refuses);
    return rc;
}

static int release(orr_sqlite *s, const orr_op *op) {
    orr_field row[] = {orr_field_integer(op->journal->number), orr_field_integer(atomic_load(&s->owner))};
    return op->detail != 0 && !op->journal->refused
               ? orr_sql_run(&s->writer.connection, ORR_SQL_RUN_FREE, row, 2)
               : SQLITE_OK;
}

/* ---- records --------------------------------------------------------------------------------- */

static int reserve(orr_sqlite_writer *w, size_t more) {
    if (more <= w->scratch_capacity - w->scratch_used) return SQLITE_OK;
    size_t capacity = (w->scratch_capacity + more) * 2;
    unsigned char *scratch = realloc(w->scratch, capacity);
    if (scratch == NULL) return SQLITE_NOMEM;
    w->scratch = scratch;
    w->scratch_capacity = capacity;
    return SQLITE_OK;
}

/* With room for orr_records_size. */
static void pack(orr_sqlite_writer *w, const orr_op *op) {
    unsigned char *end = orr_records_put(w->scratch + w->scratch_used, op + 1, op->size);
    w->scratch_used = (size_t)(end - w->scratch);
}

/* A row of `journal`: as many records of the journal as go into one. *op: the first that did
 * not. */
static int add_journal_row(orr_sqlite *s, const orr_queue_journal *j, const orr_op **op, int64_t id) {
    orr_sqlite_writer *w = &s->writer;
    uint64_t first = (*op)->seq;
    w->scratch_used = 0;
    for (; *op != NULL && (w->scratch_used == 0 || w->scratch_used + (*op)->size < ORR_SQLITE_ROW_LIMIT);
         *op = (*op)->next) {
        if (reserve(w, orr_records_size((*op)->size)) != SQLITE_OK) return SQLITE_NOMEM;
        pack(w, *op);
    }
    orr_field row[] = {orr_field_integer(id),
                       orr_field_integer(j->number),
                       orr_field_integer((int64_t)first),
                       orr_field_integer(atomic_load(&s->owner)),
                       {.type = ORR_FIELD_BLOB, .bytes = w->scratch, .size = w->scratch_used},
                       {.type = ORR_FIELD_NULL}};
    row[5] = orr_field_integer(orr_row_checksum(row + 1, 4));
    return orr_sql_run(&w->connection, ORR_SQL_JOURNAL_ADD, row, 6);
}

/* The number of a row is never one that the projection has seen, even where the last rows were
 * dropped. */
static int add_journals(orr_sqlite *s) {
    orr_sqlite_writer *w = &s->writer;
    int64_t id = 0;
    int rc = orr_sqlite_merge_all(&w->connection);
    if (rc == SQLITE_OK) rc = orr_sql_number(&w->connection, ORR_SQL_JOURNAL_NEXT, NULL, 0, &id);
    for (const orr_queue_journal *j = w->chains.first; j != NULL && rc == SQLITE_OK; j = j->next_chain)
        for (const orr_op *op = j->refused ? NULL : j->first; op != NULL && rc == SQLITE_OK;)
            rc = add_journal_row(s, j, &op, id++);
    return rc;
}

static size_t bytes_of(const orr_queue_journal *j) {
    size_t bytes = 0;
    for (const orr_op *op = j->first; op != NULL; op = op->next) bytes += orr_records_size(op->size);
    return bytes;
}

static int pack_group(orr_sqlite_writer *w, const orr_queue_journal *j) {
    orr_group group = {.run = j->number, .first = j->first->seq, .size = bytes_of(j)};
    if (reserve(w, ORR_GROUP_HEAD + group.size) != SQLITE_OK) return SQLITE_NOMEM;
    w->scratch_used = (size_t)(orr_group_put(w->scratch + w->scratch_used, &group) - w->scratch);
    for (const orr_op *op = j->first; op != NULL; op = op->next) pack(w, op);
    return SQLITE_OK;
}

static int add_commit(orr_sqlite *s) {
    orr_sqlite_writer *w = &s->writer;
    w->scratch_used = 0;
    for (const orr_queue_journal *j = w->chains.first; j != NULL; j = j->next_chain)
        if (!j->refused && pack_group(w, j) != SQLITE_OK) return SQLITE_NOMEM;
    orr_field row[] = {orr_field_integer(atomic_load(&s->owner)),
                       {.type = ORR_FIELD_BLOB, .bytes = w->scratch, .size = w->scratch_used},
                       {.type = ORR_FIELD_NULL}};
    if (w->scratch_used == 0) return SQLITE_OK;
    row[2] = orr_field_integer(orr_row_checksum(row, 2));
    return orr_sql_run(&w->connection, ORR_SQL_COMMIT_ADD, row, 3);
}

static int add_records(orr_sqlite *s, bool *any) {
    size_t bytes = 0;
    for (const orr_queue_journal *j = s->writer.chains.first; j != NULL; j = j->next_chain)
        for (const orr_op *op = j->refused ? NULL : j->first; op != NULL; op = op->next, *any = true)
            bytes += op->size;
    return bytes < ORR_SQLITE_COMMIT_LIMIT ? add_commit(s) : add_journals(s);
}

/* ---- workers --------------------------------------------------------------------------------- */

static int put_workers(orr_sqlite *s, const orr_op *op) {
    orr_field row[3] = {orr_field_integer(atomic_load(&s->owner))};
    orr_op_values(op, row + 1, 2);
    return orr_sql_run(&s->writer.connection, ORR_SQL_WORKERS, row, 3);
}

/* ---- the transaction ------------------------------------------------------------------------- */

/* Of the two records behind a write of state, the one that says what was decided about it. */
static bool is_written(const orr_sqlite_writer *w, const orr_op *op) {
    return op->detail == ORR_WHEN_ANY || (op->detail == ORR_WHEN_MADE) == w->made;
}

static int do_op(void *ud, orr_op *op) {
    orr_sqlite *s = ud;
    switch (op->kind) {
    case ORR_OP_RECORD:
        if (is_written(&s->writer, op)) orr_chains_add(&s->writer.chains, op);
        return SQLITE_OK;
    case ORR_OP_CREATE: return create(s, op);
    case ORR_OP_RELEASE: return release(s, op);
    case ORR_OP_ROW: break;
    }
    if (op->detail == ORR_ROW_WHY) return SQLITE_OK; /* it is put with the projection */
    if (op->detail == ORR_ROW_STATE) return orr_sqlite_put_state(s, op);
    if (op->detail == ORR_ROW_WORKERS) return put_workers(s, op);
    if (op->detail == ORR_ROW_UNLOCK) s->writer.unlocks = true;
    return orr_sqlite_put_row(&s->writer.connection, op);
}

static orr_status write_all(orr_sqlite *s, orr_batch *first, bool *recorded, orr_reason *reason) {
    orr_sqlite_writer *w = &s->writer;
    w->workflow = NULL;
    w->unlocks = false;
    int rc = orr_queue_each(first, do_op, s);
    if (rc == SQLITE_OK) rc = add_records(s, recorded);
    if (rc == SQLITE_OK && w->unlocks) orr_queue_unlocked(&s->queue);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(w->connection.db, rc, "be written", reason);
}

/* For tests of what a crash leaves: ORRERY_CRASH=n ends the process right before its n-th
 * commit, n:after right after it; n:stop stops it there, with the lock. */
static void crash(const orr_sqlite_writer *w, bool after) {
    if (w->crash_at == w->chains.commit && w->crash_after == after && w->crash_at != 0)
        kill(getpid(), w->crash_stops ? SIGSTOP : SIGKILL);
}

static orr_status transact(orr_sqlite *s, orr_batch *first, bool *recorded, orr_reason *reason) {
    orr_sqlite_writer *w = &s->writer;
    bool made = false;
    orr_status status = orr_sqlite_begin(s, &w->connection, reason);
    if (status != ORR_OK) return status;
    orr_sqlite_lengthen(s);
    status = orr_sqlite_own(s, &w->connection, &made, reason);
    if (status == ORR_OK) status = write_all(s, first, recorded, reason);
    if (status == ORR_OK) crash(w, false);
    status = orr_sqlite_finish(&w->connection, status, reason);
    if (status == ORR_OK) crash(w, true);
    if (status != ORR_OK && made) orr_sqlite_disown(s);
    if (status == ORR_OK && w->unlocks) orr_sqlite_ring(&w->connection);
    orr_sqlite_unlock(&w->connection);
    return status;
}

static int is_no_release(void *ud, orr_op *op) {
    (void)ud;
    return op->kind != ORR_OP_RELEASE;
}

/* A file that was taken away may be put back, but is not waited for for ever. */
static bool given_up(orr_sqlite *s, orr_reason *reason) {
    enum { SECONDS = 5 };
    orr_sqlite_writer *w = &s->writer;
    int64_t now = orr_port_now();
    if (!w->connection.missing) w->missing = 0;
    else if (w->missing == 0) w->missing = now;
    if (w->missing == 0 || now - w->missing < SECONDS * INT64_C(1000000000)) return false;
    orr_reason_set(reason,
                   "the files of the store '%s' were deleted, replaced or overwritten, and did not come back "
                   "within %d s: the runs of this process are given up; resume them from a backup",
                   s->path, SECONDS);
    return true;
}

/* Letting go of runs needs no flush of its own: whoever owned them is gone after a power cut. */
orr_status orr_sqlite_write(orr_queue *q, orr_batch *first, bool *recorded, orr_reason *reason) {
    orr_sqlite *s = (orr_sqlite *)q;
    orr_sqlite_writer *w = &s->writer;
    bool relaxed = orr_queue_each(first, is_no_release, NULL) == 0;
    orr_chains_begin(&w->chains);
    if (relaxed) orr_sqlite_relax(w->connection.db, true);
    orr_status status = transact(s, first, recorded, reason);
    if (relaxed) orr_sqlite_relax(w->connection.db, false);
    /* no other try would be better */
    return w->connection.broken || given_up(s, reason) ? ORR_EINVAL : status;
}
