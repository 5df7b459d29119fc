/* sink.c - the rows of the projection (store/tables) as statements of SQLite. */
#include "store/sqlite/inner.h"

#include "store/record/record.h"

#include <stdlib.h>
#include <string.h>

/* ---- statements ------------------------------------------------------------------------------ */

static const char *const writes[ORR_WRITE_COUNT] = {
    [ORR_WRITE_PROJECTED] = "INSERT OR REPLACE INTO meta(name, value) VALUES('projected', ?1)",
    [ORR_WRITE_RUN] =
        "UPDATE runs SET state = ?2, seq = ?3, nodes = ?4, completed = ?5, failed = ?6, skipped = "
        "?7, cancelled = ?8, running = ?9, waiting = ?10, started = ?11, ended = ?12, input = "
        "iif(?13, ?14, input), context = iif(?13, coalesce(?15, context), context), forked_from = "
        "iif(?13, json_extract(?19, '$'), forked_from), output = iif(?16, ?17, output), error = "
        "iif(?16, ?18, error) WHERE number = ?1",
    [ORR_WRITE_NODE] =
        "INSERT OR REPLACE INTO nodes(run, idx, item, node, state, attempts, iteration, started, "
        "ended, due, output, error, source, outcome, why, items, item_names) VALUES(?1, ?2, ?3, "
        "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    [ORR_WRITE_NODE_NEW] =
        "INSERT INTO nodes(run, idx, item, node, state, attempts, iteration, started, ended, due, "
        "output, error, source, outcome, why, items, item_names) SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, "
        "c10, c11, c12, c13, c14, c15, c16, c17 FROM orr_rows(?1)",
    [ORR_WRITE_NODE_CHANGED] =
        "UPDATE nodes SET state = ?5, attempts = ?6, iteration = ?7, started = ?8, ended = ?9, "
        "due = ?10, output = iif(?18 & 1, ?11, output), error = iif(?18 & 2, ?12, error), source "
        "= iif(?18 & 1, ?13, source), outcome = iif(?18 & 1, ?14, outcome), why = iif(?18 & 4, "
        "coalesce(?15, iif(json_extract(why, '$.cache') IS NULL, NULL, why)), why), "
        "items = iif(?18 & 8, ?16, items), item_names = iif(?18 & 8, ?17, item_names) "
        "WHERE run = ?1 AND idx = ?2 AND item = ?3",
    [ORR_WRITE_ATTEMPT_NEW] =
        "INSERT INTO attempts(run, node, item, iteration, attempt, phase, state, started, ended, "
        "error, interrupted, output) SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12 FROM "
        "orr_rows(?1)",
    [ORR_WRITE_ATTEMPT_BEGUN] =
        "INSERT INTO attempts(run, node, item, iteration, attempt, phase, state, started, ended, "
        "error, interrupted, output) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON "
        "CONFLICT DO UPDATE SET state = excluded.state, ended = excluded.ended, error = "
        "excluded.error, interrupted = interrupted + excluded.interrupted, output = "
        "excluded.output",
    [ORR_WRITE_ATTEMPT_ENDED] =
        "UPDATE attempts SET state = ?7, ended = ?9, error = ?10, interrupted = interrupted + "
        "?11, output = ?12 WHERE run = ?1 AND node = ?2 AND item = ?3 AND iteration = ?4 AND "
        "attempt = ?5 AND state = 'running'",
    [ORR_WRITE_TIMER_GONE] = "DELETE FROM timers WHERE run = ?1 AND node = ?2 AND item = ?3",
    [ORR_WRITE_TIMER] = "INSERT INTO timers(run, node, item, kind, due) VALUES(?1, ?2, ?3, ?4, ?5)",
    [ORR_WRITE_STEPS_GONE] =
        "DELETE FROM steps WHERE run = ?1 AND node = ?2 AND item = ?3 AND iteration = ?4",
    [ORR_WRITE_STEP] =
        "INSERT OR REPLACE INTO steps(run, node, item, iteration, path, ordinal, name, kind, "
        "attempt, value, error, time) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [ORR_WRITE_SIGNAL] =
        "INSERT OR REPLACE INTO signals(run, seq, name, data, sent, received, taken) VALUES(?1, "
        "?2, ?3, ?4, ?5, ?6, NULL)",
    [ORR_WRITE_SIGNAL_TAKEN] =
        "UPDATE signals SET taken = ?3 WHERE run = ?1 AND seq = (SELECT min(seq) FROM signals "
        "WHERE run = ?1 AND name = ?2 AND taken IS NULL)",
    [ORR_WRITE_NODE_RESET] =
        "UPDATE nodes SET state = ?3, started = ?4, ended = NULL, due = NULL, output = NULL, "
        "error = NULL, source = NULL, outcome = NULL, why = NULL, "
        "items = iif(?3 = 'pending', NULL, items), item_names = iif(?3 = 'pending', NULL, item_names) "
        "WHERE run = ?1 AND idx = ?2 AND item = 0",
    [ORR_WRITE_ITEMS_RESET] =
        "UPDATE nodes SET state = ?3, started = NULL, ended = NULL, due = NULL, output = "
        "NULL, error = NULL, source = NULL, outcome = NULL, why = NULL WHERE run = ?1 AND idx = "
        "?2 AND item > 0 AND state <> 'completed'",
    [ORR_WRITE_ITEMS_GONE] = "DELETE FROM nodes WHERE run = ?1 AND idx = ?2 AND item > 0",
    [ORR_WRITE_NODES_LATER] = "UPDATE nodes SET due = due + ?2 WHERE run = ?1 AND due IS NOT NULL",
    [ORR_WRITE_TIMERS_LATER] = "UPDATE timers SET due = due + ?2 WHERE run = ?1",
    [ORR_WRITE_NOTHING] =
        "DELETE FROM nodes; DELETE FROM attempts; DELETE FROM steps; DELETE FROM signals; "
        "DELETE FROM timers; "
        "UPDATE runs SET state = 'pending', input = NULL, output = NULL, error = NULL, started = NULL, "
        "ended = NULL, seq = 0, nodes = 0, completed = 0, failed = 0, skipped = 0, cancelled = 0, "
        "running = 0, waiting = 0; "
        "UPDATE meta SET value = 0 WHERE name = 'projected'",
};

static const char *const reads[ORR_READ_COUNT] = {
    [ORR_READ_PROJECTED] = "SELECT value FROM meta WHERE name = 'projected'",
    [ORR_READ_JOURNAL] =
        "SELECT id, run, first, fence, records, checksum FROM journal WHERE id > ?1 ORDER BY id",
    [ORR_READ_JOURNAL_MORE] = "SELECT 1 FROM journal WHERE id > ?1 LIMIT 1",
    [ORR_READ_RUN] = "SELECT state, bundle, seq, nodes, completed, failed, skipped, cancelled, running, "
                     "waiting, started, ended, error LIKE '{\"code\":\"damaged_journal\",%' FROM runs WHERE "
                     "number = ?1",
    [ORR_READ_NODE] =
        "SELECT state, attempts, iteration, started, ended, due FROM nodes WHERE run = ?1 AND idx "
        "= ?2 AND item = ?3",
    [ORR_READ_NODES] = "SELECT idx, state FROM nodes WHERE run = ?1 AND item = 0",
    [ORR_READ_NODES_LACKING] =
        "SELECT idx FROM nodes AS n WHERE run = ?1 AND item = 0 AND state = 'completed' AND items > 0 AND "
        "EXISTS (SELECT 1 FROM nodes AS i WHERE i.run = n.run AND i.idx = n.idx AND i.item > 0 AND "
        "i.state = 'failed')",
    [ORR_READ_ATTEMPT_RUNS] =
        "SELECT 1 FROM attempts WHERE run = ?1 AND node = ?2 AND item = ?3 AND iteration = ?4 AND "
        "attempt = ?5 AND state = 'running'",
    [ORR_READ_TIMER] = "SELECT kind FROM timers WHERE run = ?1 AND node = ?2 AND item = ?3",
    [ORR_READ_BUNDLE] = "SELECT definition FROM bundles WHERE hash = ?1",
    [ORR_READ_BLOB] = "SELECT data, hash FROM blobs WHERE hash = ?1",
};

/* ---- the sink -------------------------------------------------------------------------------- */

typedef struct sqlite_sink {
    orr_sink base;
    sqlite3 *db;
    sqlite3_stmt *writing[ORR_WRITE_COUNT], *reading[ORR_READ_COUNT];
} sqlite_sink;

orr_status orr_sqlite_status(int rc) {
    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE) return ORR_OK;
    /* codes may be extended ones */
    return (rc & 0xff) == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM ? ORR_ENOMEM : ORR_EIO;
}

/* The statement with its values, made at its first use. */
static int start(sqlite3 *db, sqlite3_stmt **s, const char *text, const orr_field *values, size_t n) {
    int rc = *s == NULL ? sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, s, NULL) : SQLITE_OK;
    return rc == SQLITE_OK ? orr_sql_bind(*s, values, n) : rc;
}

static orr_status write_row(orr_sink *sink, orr_table_write what, const orr_field *values, size_t n,
                            uint64_t *changed) {
    sqlite_sink *s = (sqlite_sink *)sink;
    if (what == ORR_WRITE_NOTHING)
        return orr_sqlite_status(sqlite3_exec(s->db, writes[what], NULL, NULL, NULL));
    int rc = start(s->db, &s->writing[what], writes[what], values, n);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s->writing[what]);
        sqlite3_reset(s->writing[what]);
    }
    if (changed != NULL) *changed = (uint64_t)sqlite3_changes64(s->db);
    return orr_sqlite_status(rc);
}

static orr_status insert_rows(orr_sink *sink, orr_table_write what, orr_next_row next, void *ud) {
    sqlite_sink *s = (sqlite_sink *)sink;
    orr_sqlite_rows rows = {.next = next, .ud = ud};
    int rc = start(s->db, &s->writing[what], writes[what], NULL, 0);
    return orr_sqlite_status(rc == SQLITE_OK ? orr_sqlite_rows_insert(s->writing[what], &rows) : rc);
}

/* In place of what a row is checked by: whether it is whole. */
static void check_row(orr_table_read what, orr_field *values) {
    enum { RUN = 1, CHECKSUM = 5, DATA = 0, HASH = 1 };
    if (what == ORR_READ_JOURNAL)
        values[CHECKSUM] = orr_field_integer(orr_row_intact(values + RUN, CHECKSUM - RUN + 1));
    if (what == ORR_READ_BLOB)
        values[HASH] = orr_field_integer(
            orr_content_is(values[HASH].bytes, values[DATA].bytes, values[DATA].size));
}

static orr_status read_rows(orr_sink *sink, orr_table_read what, const orr_field *keys, size_t n,
                            orr_store_row visit, void *ud) {
    enum { MOST_COLUMNS = 16 };
    sqlite_sink *s = (sqlite_sink *)sink;
    orr_field values[MOST_COLUMNS] = {{0}};
    int rc = start(s->db, &s->reading[what], reads[what], keys, n);
    if (rc != SQLITE_OK) return orr_sqlite_status(rc);
    sqlite3_stmt *q = s->reading[what];
    int columns = sqlite3_column_count(q);
    bool more = true;
    while (more && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++) values[i] = orr_sql_column(q, i);
        check_row(what, values);
        more = visit(ud, values, (size_t)columns);
    }
    sqlite3_reset(q);
    return orr_sqlite_status(rc);
}

orr_sink *orr_sqlite_sink_new(sqlite3 *db) {
    sqlite_sink *s = calloc(1, sizeof *s);
    if (s == NULL || orr_sqlite_rows_open(db) != SQLITE_OK) {
        free(s);
        return NULL;
    }
    s->base = (orr_sink){write_row, insert_rows, read_rows};
    s->db = db;
    return &s->base;
}

void orr_sqlite_sink_free(orr_sink *sink) {
    sqlite_sink *s = (sqlite_sink *)sink;
    if (s == NULL) return;
    for (size_t i = 0; i < ORR_WRITE_COUNT; i++) sqlite3_finalize(s->writing[i]);
    for (size_t i = 0; i < ORR_READ_COUNT; i++) sqlite3_finalize(s->reading[i]);
    free(s);
}
