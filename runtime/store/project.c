/* project.c - see project.h; project_impl.h says how the parts play together. */
#include "leb128.h"
#include "project_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond these what was collected is written before more is read, so that memory stays bounded however long the journal is. */
enum { MOST_BYTES = 8 << 20, MOST_ENTRIES = 100 * 1000 };

static const char *const texts[SQL_COUNT] = {
#define TEXT(id, text) [SQL_##id] = (text),
    ORR_PROJECT_SQL(TEXT)
#undef TEXT
};

/* ---- SQLite ------------------------------------------------------------------------------------------------------------ */

orr_status orr_sqlite_status(int rc)
{
    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
        return ORR_OK;
    return (rc & 0xff) == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM ? ORR_ENOMEM : ORR_EIO; /* codes may be extended ones */
}

sqlite3_stmt *orr_projector_sql(orr_projector *p, orr_project_sql which, orr_status *status)
{
    if (p->statements[which] == NULL)
        *status = orr_sqlite_status(
            sqlite3_prepare_v3(p->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &p->statements[which], NULL));
    return p->statements[which];
}

orr_status orr_projector_do(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return orr_sqlite_status(rc);
}

/* Bound texts outlive the step: they stand in the arena, in names or in constants. */
void orr_bind_span(sqlite3_stmt *s, int at, orr_span text)
{
    if (text.at == NULL)
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_text64(s, at, text.at, text.size, SQLITE_STATIC, SQLITE_UTF8);
}

void orr_bind_word(sqlite3_stmt *s, int at, const char *word)
{
    orr_bind_span(s, at, (orr_span){word, word != NULL ? strlen(word) : 0});
}

orr_span orr_keep(orr_projector *p, orr_span text, orr_status *status)
{
    char *copy = text.at != NULL ? orr_arena_take(&p->arena, text.size) : NULL;
    if (copy == NULL) {
        if (text.at != NULL)
            *status = ORR_ENOMEM;
        return (orr_span){NULL, 0};
    }
    memcpy(copy, text.at, text.size);
    return (orr_span){copy, text.size};
}

/* ---- making and freeing ------------------------------------------------------------------------------------------------ */

orr_projector *orr_projector_new(sqlite3 *db)
{
    orr_projector *p = calloc(1, sizeof *p);
    if (p != NULL)
        p->db = db;
    return p;
}

void orr_projector_free(orr_projector *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(p->statements[i]);
    orr_rows_forget(p);
    orr_arena_free(&p->arena);
    orr_names_free(p);
    orr_map_free(&p->run_map);
    orr_map_free(&p->node_map);
    orr_map_free(&p->attempt_map);
    free(p->runs);
    free(p->nodes);
    free(p->attempts);
    free(p);
}

/* ---- a row of the journal ---------------------------------------------------------------------------------------------- */

static orr_status damaged(orr_projector *p, orr_run_entry *run, const char *what)
{
    orr_status status = ORR_OK;
    char text[160];
    run->damaged = true;
    if (!isnan(run->ended))
        return ORR_OK; /* how it ended is known */
    snprintf(text, sizeof text, "record %llu of the journal %s: what these tables say of the run ends before it",
             (unsigned long long)run->seq + 1, what);
    run->error = orr_error_text(p, "damaged_journal", text, (orr_span){NULL, 0}, &status);
    run->output = (orr_span){NULL, 0};
    run->set_end = run->touched = true;
    return status;
}

/* Works in one record; one that was worked in before is passed over. */
static orr_status take_record(orr_projector *p, orr_run_entry *run, const unsigned char *record, size_t size)
{
    orr_entry entry;
    orr_error error;
    bool fits = true;
    if (orr_entry_decode(record, size, &entry, &error) != ORR_OK)
        return damaged(p, run, "cannot be read");
    if (entry.record.seq <= run->seq)
        return ORR_OK;
    if (entry.record.seq != run->seq + 1)
        return damaged(p, run, "is missing");
    orr_status status = orr_project_record(p, run, &entry, &fits);
    if (status != ORR_OK)
        return status;
    if (!fits)
        return damaged(p, run, "does not fit the run");
    run->seq = entry.record.seq;
    run->touched = true;
    return ORR_OK;
}

static orr_status take_row(orr_projector *p, int64_t number, const void *records, size_t size, uint64_t *cost)
{
    orr_status status = ORR_OK;
    const unsigned char *at = records, *end = size > 0 ? at + size : at, *record;
    orr_run_entry *run = orr_run_at(p, number, &status);
    size_t length;
    *cost += 1 + size / ORR_PROJECT_COST_BYTES;
    for (; status == ORR_OK && run->known && !run->damaged && at < end; ++*cost) { /* an empty row has no bytes at all */
        if (orr_leb_block(&at, end, &record, &length))
            status = take_record(p, run, record, length);
        else
            status = damaged(p, run, "cannot be read");
    }
    return status;
}

/* ---- projecting ---------------------------------------------------------------------------------------------------------- */

static orr_status read_projected(orr_projector *p, int64_t *id)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *s = orr_projector_sql(p, SQL_READ_META, &status);
    *id = 0;
    if (s == NULL)
        return status;
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *id = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return orr_sqlite_status(rc);
}

static orr_status write_projected(orr_projector *p, int64_t id)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *s = orr_projector_sql(p, SQL_WRITE_META, &status);
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, id);
    return orr_projector_do(s);
}

static bool is_much(const orr_projector *p)
{
    return p->arena.bytes > MOST_BYTES || p->n_nodes > MOST_ENTRIES || p->n_attempts > MOST_ENTRIES;
}

/* Collects rows after *id until they have cost enough, and moves it. */
static orr_status take_rows(orr_projector *p, uint64_t enough, int64_t *id)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *s = orr_projector_sql(p, SQL_READ_JOURNAL, &status);
    uint64_t cost = 0;
    int rc;
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, *id);
    while (status == ORR_OK && cost < enough && (rc = sqlite3_step(s)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW) {
            status = orr_sqlite_status(rc);
            break;
        }
        const void *records = sqlite3_column_blob(s, 2);
        status = take_row(p, sqlite3_column_int64(s, 1), records, (size_t)sqlite3_column_bytes(s, 2), &cost);
        *id = sqlite3_column_int64(s, 0);
        if (status == ORR_OK && is_much(p))
            status = orr_rows_write(p);
    }
    sqlite3_reset(s);
    return status == ORR_OK ? orr_rows_write(p) : status;
}

static orr_status are_more(orr_projector *p, int64_t id, bool *more)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *s = orr_projector_sql(p, SQL_MORE_JOURNAL, &status);
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, id);
    int rc = sqlite3_step(s);
    *more = rc == SQLITE_ROW;
    sqlite3_reset(s);
    return orr_sqlite_status(rc);
}

orr_status orr_sqlite_project(orr_projector *p, uint64_t cost, bool *more)
{
    int64_t before, id;
    *more = false;
    orr_rows_forget(p); /* what a call that failed has left */
    orr_names_trim(p);
    orr_status status = read_projected(p, &before);
    id = before;
    if (status == ORR_OK)
        status = take_rows(p, cost, &id);
    if (status == ORR_OK && id != before)
        status = write_projected(p, id);
    if (status == ORR_OK)
        status = are_more(p, id, more);
    if (status != ORR_OK)
        orr_rows_forget(p);
    return status;
}

orr_status orr_sqlite_rebuild(orr_projector *p)
{
    static const char empty[] =
        "DELETE FROM nodes; DELETE FROM attempts; DELETE FROM steps; DELETE FROM signals; DELETE FROM timers;"
        "UPDATE runs SET state = 'pending', input = NULL, output = NULL, error = NULL, started = NULL, ended = NULL, seq = 0,"
        " nodes = 0, completed = 0, failed = 0, skipped = 0, cancelled = 0, running = 0, waiting = 0;"
        "UPDATE meta SET value = 0 WHERE name = 'projected'";
    enum { AT_ONCE = 10000 };
    orr_status status = orr_sqlite_status(sqlite3_exec(p->db, empty, NULL, NULL, NULL));
    bool more = status == ORR_OK;
    while (status == ORR_OK && more)
        status = orr_sqlite_project(p, AT_ONCE, &more);
    return status;
}
