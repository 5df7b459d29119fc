/* sqlite_commit.c - batches as one transaction.
 *
 * First pass: the ops in order. Rows are put, runs made, and records chained to their journals. Second pass: one row of `commits` with
 * the records of all journals (sqlite_settle.c). Many bytes would only be copied twice by that, so a large commit makes a row of
 * `journal` for each journal itself, once what was committed before stands there. Nothing that is remembered from a transaction is believed before it is committed:
 * one that fails is tried again from the first op on.
 */
#include "leb128.h"
#include "sqlite.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- rows ------------------------------------------------------------------------------------------------------------------- */

static size_t op_size(const orr_op *op)
{
    return (sizeof *op + op->size + 7) & ~(size_t)7;
}

/* The values of a row with their offsets as pointers again. The op itself stays as it is, to be read once more. */
static void values_of(const orr_op *op, orr_value *values, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)(op + 1);
    memcpy(values, bytes, n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        if (values[i].type >= ORR_VALUE_TEXT)
            values[i].bytes = bytes + (uintptr_t)values[i].bytes;
}

/* A row that the tables do not take is left out: it must not keep everything else from being committed. */
static int forgive(int rc)
{
    int primary = rc & 0xff;
    return primary == SQLITE_CONSTRAINT || primary == SQLITE_TOOBIG || primary == SQLITE_MISMATCH ? SQLITE_OK : rc;
}

static int put_row(orr_connection *c, const orr_op *op)
{
    static const orr_sql statements[ORR_ROW_COUNT] = {
        [ORR_ROW_BUNDLE] = ORR_SQL_BUNDLE, [ORR_ROW_MODULE] = ORR_SQL_MODULE, [ORR_ROW_BLOB] = ORR_SQL_BLOB,
        [ORR_ROW_CACHE] = ORR_SQL_CACHE,   [ORR_ROW_LOG] = ORR_SQL_LOG,       [ORR_ROW_WHY] = ORR_SQL_WHY,
        [ORR_ROW_TAKEN] = ORR_SQL_TAKEN};
    orr_value values[16];
    size_t n = orr_row_columns((orr_row_kind)op->detail);
    values_of(op, values, n);
    int rc = forgive(orr_sql_run(c, statements[op->detail], values, n));
    if (rc == SQLITE_OK && op->detail == ORR_ROW_TAKEN)
        rc = orr_sql_run(c, ORR_SQL_TAKEN_GONE, values, n);
    return rc;
}

/* Why a node waits is told of a row that the projection makes, so it is kept until that has been. */
static void keep_why(orr_sqlite_writer *w, const orr_op *op)
{
    size_t more = op_size(op);
    if (more > w->whys_capacity - w->whys_used) {
        size_t capacity = (w->whys_capacity + more) * 2;
        unsigned char *whys = realloc(w->whys, capacity);
        if (whys == NULL)
            return; /* it is only told, and will be told again */
        w->whys = whys;
        w->whys_capacity = capacity;
    }
    memcpy(w->whys + w->whys_used, op, sizeof *op + op->size);
    w->whys_used += more;
}

static int put_whys(orr_sqlite_writer *w)
{
    int rc = SQLITE_OK;
    for (size_t at = 0; at < w->whys_used && rc == SQLITE_OK;) {
        const orr_op *op = (const orr_op *)(const void *)(w->whys + at);
        rc = put_row(&w->connection, op);
        at += op_size(op);
    }
    return rc;
}

/* ---- runs -------------------------------------------------------------------------------------------------------------------- */

static int refuse(orr_sqlite *s, orr_sqlite_journal *j, const orr_value *row)
{
    orr_sqlite_writer *w = &s->writer;
    orr_value key[] = {row[1], row[3]};
    sqlite3_stmt *q = orr_sql_start(&w->connection, ORR_SQL_RUN_KEYED, key, 2);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(w->connection.db);
    orr_note *note = rc == SQLITE_ROW || rc == SQLITE_DONE ? orr_note_new(&orr_sqlite_heap, ORR_NOTICE_REFUSED, j->base.run, 0, NULL,
                                                                         rc == SQLITE_ROW ? orr_sql_text(q, 0) : "") : NULL;
    sqlite3_reset(q);
    if (note == NULL)
        return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_NOMEM : rc;
    orr_notes_add(&w->pending, note);
    j->refused = true;
    return SQLITE_OK;
}

static int create(orr_sqlite *s, const orr_op *op)
{
    enum { COLUMNS = 10, WORKFLOW = 1, KEY = 3, CREATED = 8, OWNER = 9 };
    orr_sqlite_writer *w = &s->writer;
    orr_sqlite_journal *j = op->journal;
    orr_value row[COLUMNS];
    values_of(op, row, COLUMNS);
    row[OWNER] = orr_value_integer(atomic_load(&s->owner));
    j->refused = false;
    int rc = orr_sql_run(&w->connection, ORR_SQL_RUN_NEW, row, COLUMNS);
    if ((rc & 0xff) == SQLITE_CONSTRAINT) /* of its key, or of its id, which is as good a reason */
        return refuse(s, j, row);
    j->number = sqlite3_last_insert_rowid(w->connection.db);
    if (rc == SQLITE_OK && (w->workflow == NULL || strcmp(w->workflow, row[WORKFLOW].bytes) != 0)) {
        orr_value workflow[] = {row[WORKFLOW], row[CREATED]};
        rc = orr_sql_run(&w->connection, ORR_SQL_WORKFLOW, workflow, 2);
        w->workflow = row[WORKFLOW].bytes;
    }
    return rc;
}

static int release(orr_sqlite *s, const orr_op *op)
{
    orr_value row[] = {orr_value_integer(op->journal->number), orr_value_integer(atomic_load(&s->owner))};
    return op->detail != 0 && !op->journal->refused ? orr_sql_run(&s->writer.connection, ORR_SQL_RUN_FREE, row, 2) : SQLITE_OK;
}

/* ---- records ------------------------------------------------------------------------------------------------------------------- */

static void chain(orr_sqlite_writer *w, orr_op *op)
{
    orr_sqlite_journal *j = op->journal;
    op->next = NULL;
    if (j->commit != w->commits) {
        j->commit = w->commits;
        j->end = &j->first;
        j->next_group = NULL;
        *w->groups_end = j;
        w->groups_end = &j->next_group;
    }
    *j->end = op;
    j->end = &op->next;
}

static int reserve(orr_sqlite_writer *w, size_t more)
{
    if (more <= w->scratch_capacity - w->scratch_used)
        return SQLITE_OK;
    size_t capacity = (w->scratch_capacity + more) * 2;
    unsigned char *scratch = realloc(w->scratch, capacity);
    if (scratch == NULL)
        return SQLITE_NOMEM;
    w->scratch = scratch;
    w->scratch_capacity = capacity;
    return SQLITE_OK;
}

/* With room for ORR_LEB_LONGEST and the record. */
static void pack(orr_sqlite_writer *w, const orr_op *op)
{
    unsigned char *to = orr_leb_put(w->scratch + w->scratch_used, op->size);
    if (op->size > 0)
        memcpy(to, op + 1, op->size);
    w->scratch_used = (size_t)(to - w->scratch) + op->size;
}

/* A row of `journal`: as many records of the journal as go into one. *op: the first that did not. */
static int add_journal_row(orr_sqlite *s, const orr_sqlite_journal *j, const orr_op **op, int64_t id)
{
    orr_sqlite_writer *w = &s->writer;
    uint64_t first = (*op)->seq;
    w->scratch_used = 0;
    for (; *op != NULL && (w->scratch_used == 0 || w->scratch_used + (*op)->size < ORR_SQLITE_ROW_LIMIT); *op = (*op)->next) {
        if (reserve(w, (*op)->size + ORR_LEB_LONGEST) != SQLITE_OK)
            return SQLITE_NOMEM;
        pack(w, *op);
    }
    orr_value row[] = {orr_value_integer(id), orr_value_integer(j->number), orr_value_integer((int64_t)first),
                       orr_value_integer(atomic_load(&s->owner)),
                       {.type = ORR_VALUE_BLOB, .bytes = w->scratch, .size = w->scratch_used}};
    return orr_sql_run(&w->connection, ORR_SQL_JOURNAL_ADD, row, 5);
}

/* The number of a row is never one that the projection has seen, even where the last rows were dropped. */
static int add_journals(orr_sqlite *s)
{
    orr_sqlite_writer *w = &s->writer;
    int64_t id = 0;
    int rc = orr_sqlite_settle_all(&w->connection);
    if (rc == SQLITE_OK)
        rc = orr_sql_number(&w->connection, ORR_SQL_JOURNAL_NEXT, NULL, 0, &id);
    for (const orr_sqlite_journal *j = w->groups; j != NULL && rc == SQLITE_OK; j = j->next_group)
        for (const orr_op *op = j->refused ? NULL : j->first; op != NULL && rc == SQLITE_OK;)
            rc = add_journal_row(s, j, &op, id++);
    return rc;
}

static size_t bytes_of(const orr_sqlite_journal *j)
{
    unsigned char number[ORR_LEB_LONGEST];
    size_t bytes = 0;
    for (const orr_op *op = j->first; op != NULL; op = op->next)
        bytes += (size_t)(orr_leb_put(number, op->size) - number) + op->size;
    return bytes;
}

static int pack_group(orr_sqlite_writer *w, const orr_sqlite_journal *j)
{
    size_t bytes = bytes_of(j);
    if (reserve(w, bytes + 4 * ORR_LEB_LONGEST) != SQLITE_OK)
        return SQLITE_NOMEM;
    unsigned char *to = orr_leb_put(w->scratch + w->scratch_used, (uint64_t)j->number);
    to = orr_leb_put(orr_leb_put(to, j->first->seq), bytes);
    w->scratch_used = (size_t)(to - w->scratch);
    for (const orr_op *op = j->first; op != NULL; op = op->next)
        pack(w, op);
    return SQLITE_OK;
}

static int add_commit(orr_sqlite *s)
{
    orr_sqlite_writer *w = &s->writer;
    w->scratch_used = 0;
    for (const orr_sqlite_journal *j = w->groups; j != NULL; j = j->next_group)
        if (!j->refused && pack_group(w, j) != SQLITE_OK)
            return SQLITE_NOMEM;
    orr_value row[] = {orr_value_integer(atomic_load(&s->owner)), {.type = ORR_VALUE_BLOB, .bytes = w->scratch, .size = w->scratch_used}};
    return w->scratch_used > 0 ? orr_sql_run(&w->connection, ORR_SQL_COMMIT_ADD, row, 2) : SQLITE_OK;
}

static int add_records(orr_sqlite *s, bool *any)
{
    size_t bytes = 0;
    for (const orr_sqlite_journal *j = s->writer.groups; j != NULL; j = j->next_group)
        for (const orr_op *op = j->refused ? NULL : j->first; op != NULL; op = op->next, *any = true)
            bytes += op->size;
    return bytes < ORR_SQLITE_COMMIT_LIMIT ? add_commit(s) : add_journals(s);
}

/* ---- the transaction ------------------------------------------------------------------------------------------------------------- */

static int do_op(orr_sqlite *s, orr_op *op)
{
    switch (op->kind) {
    case ORR_OP_RECORD: chain(&s->writer, op); return SQLITE_OK;
    case ORR_OP_CREATE: return create(s, op);
    case ORR_OP_RELEASE: return release(s, op);
    case ORR_OP_ROW: break;
    }
    if (op->detail == ORR_ROW_WHY)
        return SQLITE_OK;
    return put_row(&s->writer.connection, op);
}

typedef int visit_op(orr_sqlite *s, orr_op *op);

static int each_op(orr_sqlite *s, visit_op *visit)
{
    int rc = SQLITE_OK;
    for (orr_batch *b = s->writer.taken; b != NULL; b = b->next)
        for (size_t at = 0; at < b->used && rc == SQLITE_OK;) {
            orr_op *op = (orr_op *)(void *)(b->bytes + at);
            at += op_size(op);
            rc = visit(s, op);
        }
    return rc;
}

static int keep_op(orr_sqlite *s, orr_op *op)
{
    if (op->kind == ORR_OP_ROW && op->detail == ORR_ROW_WHY)
        keep_why(&s->writer, op);
    return SQLITE_OK;
}

static orr_status write_all(orr_sqlite *s, bool *any, char *message, size_t size)
{
    orr_sqlite_writer *w = &s->writer;
    w->groups = NULL;
    w->groups_end = &w->groups;
    w->workflow = NULL;
    int rc = each_op(s, do_op);
    if (rc == SQLITE_OK)
        rc = add_records(s, any);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(w->connection.db, rc, "be written", message, size);
}

/* For tests of what a crash leaves: ORRERY_CRASH=n ends the process right before its n-th commit, n:after right after it. */
static void crash(const orr_sqlite_writer *w, bool after)
{
    if (w->crash_at == w->commits && w->crash_after == after && w->crash_at != 0)
        kill(getpid(), SIGKILL);
}

static orr_status transact(orr_sqlite *s, bool *any, bool *made, char *message, size_t size)
{
    orr_sqlite_writer *w = &s->writer;
    orr_status status = orr_sqlite_begin(s, &w->connection, message, size);
    if (status != ORR_OK)
        return status;
    orr_sqlite_lengthen(s);
    status = orr_sqlite_own(s, &w->connection, made, message, size);
    if (status == ORR_OK)
        status = write_all(s, any, message, size);
    if (status == ORR_OK)
        crash(w, false);
    status = orr_sqlite_end(&w->connection, status, message, size);
    if (status == ORR_OK)
        crash(w, true);
    return status;
}

static int not_release(orr_sqlite *s, orr_op *op)
{
    (void)s;
    return op->kind != ORR_OP_RELEASE;
}

/* Letting go of runs needs no flush of its own: whoever owned them is gone after a power cut. */
orr_status orr_sqlite_commit(orr_sqlite *s, char *message, size_t size)
{
    orr_sqlite_writer *w = &s->writer;
    bool made = false, any = false, relaxed = each_op(s, not_release) == 0;
    w->commits++;
    if (relaxed)
        orr_sqlite_relax(w->connection.db, true);
    orr_status status = transact(s, &any, &made, message, size);
    if (relaxed)
        orr_sqlite_relax(w->connection.db, false);
    if (status != ORR_OK) {
        if (made)
            orr_sqlite_disown(s);
        orr_notes_free(&w->pending, &orr_sqlite_heap);
        return status;
    }
    each_op(s, keep_op);
    w->last_commit = orr_sqlite_now();
    w->recorded += any;
    if (any && atomic_load(&s->unprojected) == 0)
        atomic_store(&s->unprojected, w->last_commit);
    return ORR_OK;
}

/* ---- afterwards --------------------------------------------------------------------------------------------------------------- */

void orr_sqlite_relax(sqlite3 *db, bool relaxed)
{
    sqlite3_exec(db, relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL", NULL, NULL, NULL);
}

/* What was committed is on disk, and the tables can be made again from it: nobody waits for the disk here. */
orr_status orr_sqlite_follow(orr_sqlite *s, uint64_t cost, int64_t *until, bool *more, char *message, size_t size)
{
    orr_sqlite_writer *w = &s->writer;
    orr_connection *c = &w->connection;
    orr_sqlite_relax(c->db, true);
    orr_status status = orr_sqlite_begin(s, c, message, size);
    if (status == ORR_OK) {
        status = orr_sqlite_bring(c, cost, until, more, message, size);
        if (status == ORR_OK && !*more && put_whys(w) == SQLITE_OK)
            w->whys_used = 0;
        status = orr_sqlite_end(c, status, message, size);
    }
    orr_sqlite_relax(c->db, false);
    return status;
}
