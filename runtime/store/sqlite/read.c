/* read.c - reading journals, on the caller's connection. Readers never wait for the writer. */
#include "store/sqlite/inner.h"

#include "store/record/record.h"

/* ---- journals -------------------------------------------------------------------------------- */

/* Reading one journal: the rows of `journal`, then what `commits` has. */
typedef struct reading {
    orr_connection *c;
    int64_t number;
    const char *id;
    uint64_t after, latest; /* latest: which number the first one it finds may have at most */
    uint64_t next;          /* the number of the one that is to come, 0: none was found yet */
    orr_store_visit visit;
    void *ud;
    bool enough;  /* the visitor wants no more */
    int64_t lost; /* a row of `journal` of which nobody knows whose it is, 0: there is none */
    bool ends;    /* the last record ends the run; only known where something is lost */
    orr_reason *reason;
} reading;

static bool unreadable(const reading *r) {
    const char *path = sqlite3_db_filename(r->c->db, "main");
    orr_reason_set(
        r->reason,
        "the store '%s' is damaged: the journal of run %s cannot be read after record %llu: restore "
        "a backup",
        path != NULL ? path : "", r->id, (unsigned long long)(r->next > 0 ? r->next - 1 : 0));
    return false;
}

/* Records that follow each other. False for bytes that are none, and where some are missing. */
static bool read_records(reading *r, const void *bytes, size_t size, uint64_t first) {
    const unsigned char *at = bytes, *end = size > 0 ? at + size : at, *record;
    if (r->next != 0 ? first != r->next : first > r->latest) return unreadable(r);
    r->next = first;
    for (size_t n; at < end && !r->enough; r->next++) {
        if (!orr_records_next(&at, end, &record, &n)) return unreadable(r);
        if (r->lost != 0) r->ends = orr_record_ends(record, n);
        r->enough = r->next > r->after && !r->visit(r->ud, r->next, record, n);
    }
    return true;
}

/* Steps through a statement with the rows of which `take` makes records. */
static bool each_row(reading *r, sqlite3_stmt *q, bool (*take)(reading *r, sqlite3_stmt *q)) {
    int rc = q != NULL ? SQLITE_ROW : sqlite3_extended_errcode(r->c->db);
    bool good = true;
    while (good && !r->enough && rc == SQLITE_ROW && (rc = sqlite3_step(q)) == SQLITE_ROW) good = take(r, q);
    if (good && !r->enough && rc != SQLITE_DONE) {
        orr_sqlite_explain(r->c->db, rc, "be read", r->reason);
        good = false;
    }
    sqlite3_reset(q);
    return good;
}

static bool take_row(reading *r, sqlite3_stmt *q) {
    enum { ID, RUN, FIRST, FENCE, RECORDS, CHECKSUM };
    if (!orr_sql_intact(q, RUN, CHECKSUM - RUN + 1)) {
        orr_sqlite_damaged(r->c->db, "journal", sqlite3_column_int64(q, ID), false, r->id, r->reason);
        return false;
    }
    return read_records(r, sqlite3_column_blob(q, RECORDS), (size_t)sqlite3_column_bytes(q, RECORDS),
                        (uint64_t)sqlite3_column_int64(q, FIRST));
}

static bool read_rows(reading *r, int64_t from) {
    orr_field key[] = {orr_field_integer(r->number), orr_field_integer(from)};
    return each_row(r, orr_sql_start(r->c, ORR_SQL_JOURNAL_READ, key, 2), take_row);
}

/* Those of the run in one commit. What of it cannot be read may be of any run. */
static bool take_commit(reading *r, sqlite3_stmt *q) {
    enum { ID, FENCE, RECORDS, CHECKSUM };
    const unsigned char *at = sqlite3_column_blob(q, RECORDS);
    size_t size = (size_t)sqlite3_column_bytes(q, RECORDS);
    const unsigned char *end = size > 0 ? at + size : at;
    orr_group group;
    if (!orr_sql_intact(q, FENCE, CHECKSUM - FENCE + 1)) {
        orr_sqlite_damaged(r->c->db, "commits", sqlite3_column_int64(q, ID), true, r->id, r->reason);
        return false;
    }
    while (!r->enough && at < end) {
        if (!orr_group_next(&at, end, &group)) return unreadable(r);
        if (group.run == r->number && !read_records(r, group.bytes, group.size, group.first)) return false;
    }
    return true;
}

static bool read_commits(reading *r) {
    orr_field all = orr_field_integer(INT64_MAX);
    return each_row(r, orr_sql_start(r->c, ORR_SQL_COMMITS, &all, 1), take_commit);
}

/* A row that was damaged before it was sorted by run may hold the end of any journal that has no
 * end. */
static bool is_whole(const reading *r) {
    if (r->lost == 0 || r->ends || r->enough) return true;
    orr_sqlite_damaged(r->c->db, "journal", r->lost, true, r->id, r->reason);
    return false;
}

static bool read_all(reading *r, int64_t from) {
    int rc = orr_sql_number(r->c, ORR_SQL_JOURNAL_LOST, NULL, 0, &r->lost);
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        orr_sqlite_explain(r->c->db, rc, "be read", r->reason);
        return false;
    }
    return read_rows(r, from) && (r->enough || read_commits(r)) && is_whole(r);
}

/* In one snapshot: meanwhile somebody may move records from one table to the other. */
static orr_status read_journal(reading *r, int64_t from) {
    orr_connection *c = r->c;
    bool alone = sqlite3_get_autocommit(c->db) != 0;
    int rc = alone ? orr_sql_run(c, ORR_SQL_SNAPSHOT, NULL, 0) : SQLITE_OK;
    if (rc != SQLITE_OK) return orr_sqlite_explain(c->db, rc, "be read", r->reason);
    bool good = read_all(r, from);
    if (alone) orr_sql_run(c, ORR_SQL_ROLLBACK, NULL, 0);
    return good ? ORR_OK : ORR_EIO;
}

/* ---- runs ------------------------------------------------------------------------------------ */

orr_status orr_sqlite_find_run(orr_connection *c, const char *id, int64_t *number, int64_t *owner,
                               orr_reason *reason) {
    enum { NUMBER, OWNER, ID, CHECKSUM = 10 };
    orr_field key = orr_field_text(id);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_RUN_GET, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    orr_status status = ORR_OK;
    if (rc == SQLITE_ROW) {
        *number = sqlite3_column_int64(q, NUMBER);
        *owner = sqlite3_column_int64(q, OWNER);
        if (!orr_sql_intact(q, ID, CHECKSUM - ID + 1))
            status = orr_sqlite_damaged(c->db, "runs", *number, false, id, reason);
    } else if (rc == SQLITE_DONE) {
        orr_reason_set(reason, "there is no run %s in this store", id);
        status = ORR_ENOTFOUND;
    } else {
        status = orr_sqlite_explain(c->db, rc, "be read", reason);
    }
    sqlite3_reset(q);
    return status;
}

orr_status orr_sqlite_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit,
                           void *ud, orr_reason *reason) {
    orr_connection *c = orr_sqlite_mine((orr_sqlite *)store, reason);
    int64_t number = 0, owner;
    char id[37];
    if (c == NULL) return ORR_EIO;
    orr_run_text(run, id);
    orr_status status = orr_sqlite_find_run(c, id, &number, &owner, reason);
    if (status != ORR_OK) return status == ORR_ENOTFOUND ? status : ORR_EIO;
    reading r = {.c = c,
                 .number = number,
                 .id = id,
                 .after = after,
                 .latest = after + 1,
                 .visit = visit,
                 .ud = ud,
                 .reason = reason};
    return read_journal(&r, after < INT64_MAX ? (int64_t)after + 1 : INT64_MAX);
}

typedef struct last_record {
    uint64_t seq;
    bool ends;
} last_record;

static bool note_last(void *ud, uint64_t seq, const void *bytes, size_t size) {
    *(last_record *)ud = (last_record){seq, orr_record_ends(bytes, size)};
    return true;
}

/* The tables may be a little behind, so they are not asked. */
orr_status orr_sqlite_last(orr_connection *c, int64_t number, const char *id, uint64_t *seq, bool *ended,
                           orr_reason *reason) {
    last_record last = {0};
    reading r = {.c = c,
                 .number = number,
                 .id = id,
                 .latest = UINT64_MAX,
                 .visit = note_last,
                 .ud = &last,
                 .reason = reason};
    orr_status status = read_journal(&r, INT64_MAX);
    *seq = last.seq;
    *ended = last.ends;
    return status;
}
