#include "tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a database ------------------------------------------------------------------------------ */

void tables_run(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

tables tables_open(void) {
    tables f;
    orr_reason reason = {""};
    assert_int_equal(sqlite3_open(":memory:", &f.db), SQLITE_OK);
    if (orr_sqlite_migrate(f.db, &reason) != ORR_OK) fail_msg("%s", reason.text);
    f.sink = orr_sqlite_sink_new(f.db);
    assert_non_null(f.sink);
    f.p = orr_projector_new(f.sink);
    assert_non_null(f.p);
    return f;
}

void tables_close(tables *f) {
    orr_projector_free(f->p);
    orr_sqlite_sink_free(f->sink);
    assert_int_equal(sqlite3_close(f->db), SQLITE_OK); /* no statement is left */
}

sqlite3_stmt *tables_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    return s;
}

int64_t tables_new_run(sqlite3 *db, const char *bundle) {
    sqlite3_stmt *s = tables_prepare(db, "INSERT INTO runs(id, workflow, bundle, durability, created) "
                                         "VALUES(hex(randomblob(16)), 'w', ?1, 'strict', 0.5)");
    sqlite3_bind_text(s, 1, bundle, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
    return sqlite3_last_insert_rowid(db);
}

void tables_new_bundle(sqlite3 *db, const char *hash, const char *definition) {
    sqlite3_stmt *s = tables_prepare(db,
                                     "INSERT INTO bundles(hash, workflow, definition) VALUES(?1, 'w', ?2)");
    sqlite3_bind_text(s, 1, hash, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, definition, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
}

/* ---- text of rows ---------------------------------------------------------------------------- */

void rows_add(rows_text *t, const char *word, size_t size) {
    if (t->at == NULL || t->size + size + 1 > t->cap) {
        t->cap = (t->size + size + 1) * 2;
        t->at = realloc(t->at, t->cap);
        if (t->at == NULL) abort();
    }
    memcpy(t->at + t->size, word, size);
    t->size += size;
    t->at[t->size] = 0;
}

/* Values joined by "|" and rows by "; ", NULL is "-". */
static void add_rows(rows_text *t, sqlite3 *db, const char *sql) {
    sqlite3_stmt *s = tables_prepare(db, sql);
    int rc;
    for (bool first = true; (rc = sqlite3_step(s)) == SQLITE_ROW; first = false) {
        if (!first) rows_add(t, "; ", 2);
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            const char *word = (const char *)sqlite3_column_text(s, i);
            if (i > 0) rows_add(t, "|", 1);
            rows_add(t, word != NULL ? word : "-", word != NULL ? (size_t)sqlite3_column_bytes(s, i) : 1);
        }
    }
    if (rc != SQLITE_DONE) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    rows_add(t, "", 0);
    sqlite3_finalize(s);
}

void tables_expect(tables *f, const char *name, const char *sql, const char *wanted) {
    rows_text t = {0};
    add_rows(&t, f->db, sql);
    if (strcmp(t.at, wanted) != 0) fail_msg("%s: %s\n  gives  %s\n  not    %s", name, sql, t.at, wanted);
    free(t.at);
}

int64_t tables_number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *s = tables_prepare(db, sql);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* All that the projector makes. */
static rows_text all_tables(sqlite3 *db) {
    static const char *const all[] = {"SELECT * FROM runs ORDER BY number",
                                      "SELECT * FROM nodes ORDER BY run, idx, item",
                                      "SELECT * FROM attempts ORDER BY run, node, item, iteration, attempt",
                                      "SELECT * FROM steps ORDER BY 1, 2, 3, 4, 5, 6, 7",
                                      "SELECT * FROM signals ORDER BY run, seq",
                                      "SELECT * FROM timers ORDER BY run, node, item, kind",
                                      "SELECT value FROM meta WHERE name = 'projected'"};
    rows_text t = {0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        add_rows(&t, db, all[i]);
        rows_add(&t, "\n", 1);
    }
    return t;
}

/* ---- a journal ------------------------------------------------------------------------------- */

static size_t put_size(unsigned char *to, size_t size) {
    size_t n = 0;
    for (; size >= 0x80; size >>= 7) to[n++] = (unsigned char)(size | 0x80);
    to[n++] = (unsigned char)size;
    return n;
}

void tables_put_record(rows_text *row, const orr_entry *e) {
    unsigned char *bytes = malloc(orr_entry_bound(e)), head[10];
    size_t size = orr_entry_encode(e, bytes);
    rows_add(row, (const char *)head, put_size(head, size));
    rows_add(row, (const char *)bytes, size);
    free(bytes);
}

void tables_put_row(sqlite3 *db, int64_t run, uint64_t first, const void *bytes, size_t size) {
    sqlite3_stmt *s = tables_prepare(db,
                                     "INSERT INTO journal(run, first, fence, records) VALUES(?1, ?2, 1, ?3)");
    sqlite3_bind_int64(s, 1, run);
    sqlite3_bind_int64(s, 2, (int64_t)first);
    sqlite3_bind_blob(s, 3, bytes, (int)size, SQLITE_STATIC);
    if (sqlite3_step(s) != SQLITE_DONE) fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_finalize(s);
}

void tables_project(tables *f, uint32_t rows) {
    bool more = true;
    while (more) {
        tables_run(f->db, "BEGIN IMMEDIATE");
        if (orr_project(f->p, rows, &more) != ORR_OK) fail_msg("%s", sqlite3_errmsg(f->db));
        tables_run(f->db, "COMMIT");
    }
}

static void assert_same(const char *name, const char *how, const rows_text *got, const rows_text *wanted) {
    size_t at = 0, from;
    while (got->at[at] == wanted->at[at] && got->at[at] != 0) at++;
    from = at > 100 ? at - 100 : 0;
    if (strcmp(got->at, wanted->at) != 0)
        fail_msg("%s, %s: ...%.160s\nbut at once: ...%.160s", name, how, got->at + from, wanted->at + from);
}

/* Whatever the slices, by whichever of two projectors, and rebuilt: the tables are the same. */
void tables_same_in_slices(tables *f, const char *name) {
    static const uint32_t slices[] = {1, 7, 1000};
    orr_sink *second = orr_sqlite_sink_new(f->db);
    orr_projector *other = orr_projector_new(second);
    rows_text wanted = all_tables(f->db);
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        tables_run(f->db,
                   "DELETE FROM nodes; DELETE FROM attempts; DELETE FROM steps; DELETE FROM signals; "
                   "DELETE FROM timers;"
                   "UPDATE runs SET state = 'pending', input = NULL, output = NULL, error = NULL, "
                   "started = NULL, ended = NULL,"
                   "  seq = 0, nodes = 0, completed = 0, failed = 0, skipped = 0, cancelled = 0, running "
                   "= 0, waiting = 0;"
                   "UPDATE meta SET value = 0 WHERE name = 'projected'");
        bool more = true;
        for (int turn = 0; more; turn++) {
            tables_run(f->db, "BEGIN");
            assert_int_equal(orr_project(turn % 2 == 0 ? f->p : other, slices[i], &more), ORR_OK);
            tables_run(f->db, "COMMIT");
        }
        rows_text got = all_tables(f->db);
        assert_same(name,
                    slices[i] == 1   ? "row by row"
                    : slices[i] == 7 ? "in sevens"
                                     : "in thousands",
                    &got, &wanted);
        free(got.at);
    }
    tables_run(f->db, "BEGIN; UPDATE nodes SET state = 'nonsense'; UPDATE runs SET seq = 77, error = 'x'");
    assert_int_equal(orr_project_anew(f->p), ORR_OK);
    tables_run(f->db, "COMMIT");
    rows_text got = all_tables(f->db);
    assert_same(name, "rebuilt", &got, &wanted);
    free(got.at);
    free(wanted.at);
    orr_projector_free(other);
    orr_sqlite_sink_free(second);
}
