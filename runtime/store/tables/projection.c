/* projection.c - see tables.h; inner.h says how the parts play together. */
#include "store/tables/inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond these what was collected is written before more is read, so that memory stays bounded
 * however long the journal is. */
enum { MOST_BYTES = 8 << 20, MOST_ENTRIES = 100 * 1000 };

/* ---- values ---------------------------------------------------------------------------------- */

orr_field orr_field_span(orr_span text) {
    return text.at == NULL ? (orr_field){.type = ORR_FIELD_NULL}
                           : (orr_field){.type = ORR_FIELD_TEXT, .bytes = text.at, .size = text.size};
}

double orr_field_time(const orr_field *v) {
    return v->type == ORR_FIELD_REAL      ? v->real
           : v->type == ORR_FIELD_INTEGER ? (double)v->integer
                                          : (double)NAN;
}

int64_t orr_field_number(const orr_field *v) {
    return v->type == ORR_FIELD_INTEGER ? v->integer : 0;
}

orr_span orr_field_words(const orr_field *v) {
    return v->type < ORR_FIELD_TEXT ? (orr_span){NULL, 0}
                                    : (orr_span){v->bytes != NULL ? v->bytes : "", v->size};
}

/* ---- rows ------------------------------------------------------------------------------------ */

orr_status orr_sink_put(orr_projector *p, orr_table_write what, const orr_field *values, size_t n) {
    return p->sink->write(p->sink, what, values, n, NULL);
}

orr_status orr_sink_get(orr_projector *p, orr_table_read what, const orr_field *keys, size_t n,
                        orr_store_row visit, void *ud) {
    return p->sink->read(p->sink, what, keys, n, visit, ud);
}

bool orr_note_any(void *ud, const orr_field *values, size_t n) {
    (void)values, (void)n;
    *(bool *)ud = true;
    return false;
}

orr_span orr_keep(orr_projector *p, orr_span text, orr_status *status) {
    char *copy = text.at != NULL ? orr_arena_take(&p->arena, text.size) : NULL;
    if (copy == NULL) {
        if (text.at != NULL) *status = ORR_ENOMEM;
        return (orr_span){NULL, 0};
    }
    memcpy(copy, text.at, text.size);
    return (orr_span){copy, text.size};
}

/* ---- making and freeing ---------------------------------------------------------------------- */

orr_projector *orr_projector_new(orr_sink *sink) {
    orr_projector *p = calloc(1, sizeof *p);
    if (p != NULL) p->sink = sink;
    return p;
}

void orr_projector_free(orr_projector *p) {
    if (p == NULL) return;
    orr_rows_forget(p);
    orr_arena_free(&p->arena);
    orr_names_free(p);
    orr_map_free(&p->run_map);
    orr_map_free(&p->node_map);
    orr_map_free(&p->attempt_map);
    free(p->runs);
    free(p->nodes);
    free(p->attempts);
    free(p->places);
    free(p);
}

/* ---- a row of the journal -------------------------------------------------------------------- */

static orr_status damaged(orr_projector *p, orr_run_entry *run, const char *what) {
    orr_status status = ORR_OK;
    char text[160];
    run->damaged = true;
    if (!isnan(run->ended)) return ORR_OK; /* how it ended is known */
    snprintf(text, sizeof text,
             "record %llu of the journal %s: what these tables say of the run ends before it",
             (unsigned long long)run->seq + 1, what);
    run->error = orr_error_text(p, "damaged_journal", text, (orr_span){NULL, 0}, &status);
    run->output = (orr_span){NULL, 0};
    run->set_end = run->touched = true;
    return status;
}

/* Works in one record; one that was worked in before is passed over. */
static orr_status take_record(orr_projector *p, orr_run_entry *run, const unsigned char *record,
                              size_t size) {
    orr_entry entry;
    orr_error error;
    bool fits = true;
    if (orr_entry_decode(record, size, &entry, &error) != ORR_OK) return damaged(p, run, "cannot be read");
    if (entry.record.seq <= run->seq) return ORR_OK;
    if (entry.record.seq != run->seq + 1) return damaged(p, run, "is missing");
    orr_status status = orr_project_record(p, run, &entry, &fits);
    if (status != ORR_OK) return status;
    if (!fits) return damaged(p, run, "does not fit the run");
    run->seq = entry.record.seq;
    run->touched = true;
    return ORR_OK;
}

static orr_status take_row(orr_projector *p, int64_t number, const void *records, size_t size,
                           uint64_t *cost) {
    orr_status status = ORR_OK;
    const unsigned char *at = records, *end = size > 0 ? at + size : at, *record;
    orr_run_entry *run = orr_run_at(p, number, &status);
    size_t length;
    *cost += 1 + size / ORR_PROJECT_COST_BYTES;
    /* an empty row has no bytes at all */
    for (; status == ORR_OK && run->known && !run->damaged && at < end; ++*cost) {
        if (orr_records_next(&at, end, &record, &length)) status = take_record(p, run, record, length);
        else status = damaged(p, run, "cannot be read");
    }
    return status;
}

/* Nothing of a row that is not what was written. */
static orr_status refuse_row(orr_projector *p, int64_t number, int64_t id, uint64_t *cost) {
    orr_status status = ORR_OK;
    char what[64];
    orr_run_entry *run = orr_run_at(p, number, &status);
    ++*cost;
    if (status != ORR_OK || !run->known || run->damaged) return status;
    snprintf(what, sizeof what, "is in row %lld, which is damaged", (long long)id);
    return damaged(p, run, what);
}

/* ---- projecting ------------------------------------------------------------------------------ */

static bool note_number(void *ud, const orr_field *values, size_t n) {
    (void)n;
    *(int64_t *)ud = orr_field_number(&values[0]);
    return false;
}

static bool is_much(const orr_projector *p) {
    return p->arena.bytes > MOST_BYTES || p->n_nodes > MOST_ENTRIES || p->n_attempts > MOST_ENTRIES;
}

/* Going through the journal. */
typedef struct taking {
    orr_projector *p;
    int64_t id; /* of the last row */
    uint64_t cost, enough;
    orr_status status;
} taking;

static bool take_next(void *ud, const orr_field *values, size_t n) {
    enum { ID, RUN, FIRST, FENCE, RECORDS, INTACT };
    taking *t = ud;
    (void)n;
    if (orr_field_number(&values[INTACT]) != 0)
        t->status = take_row(t->p, orr_field_number(&values[RUN]), values[RECORDS].bytes,
                             values[RECORDS].size, &t->cost);
    else
        t->status = refuse_row(t->p, orr_field_number(&values[RUN]), orr_field_number(&values[ID]), &t->cost);
    t->id = orr_field_number(&values[ID]);
    if (t->status == ORR_OK && is_much(t->p)) t->status = orr_rows_write(t->p);
    return t->status == ORR_OK && t->cost < t->enough;
}

/* Collects rows after *id until they have cost enough, and moves it. */
static orr_status take_rows(orr_projector *p, uint64_t enough, int64_t *id) {
    taking t = {.p = p, .id = *id, .enough = enough};
    orr_field after[] = {orr_field_integer(*id)};
    orr_status status = enough > 0 ? ORR_GET(p, ORR_READ_JOURNAL, after, take_next, &t) : ORR_OK;
    *id = t.id;
    if (status == ORR_OK) status = t.status;
    return status == ORR_OK ? orr_rows_write(p) : status;
}

orr_status orr_project(orr_projector *p, uint64_t cost, bool *more) {
    int64_t before = 0;
    *more = false;
    orr_rows_forget(p); /* what a call that failed has left */
    orr_names_trim(p);
    orr_status status = orr_sink_get(p, ORR_READ_PROJECTED, NULL, 0, note_number, &before);
    int64_t id = before;
    if (status == ORR_OK) status = take_rows(p, cost, &id);
    orr_field at[] = {orr_field_integer(id)};
    if (status == ORR_OK && id != before) status = ORR_PUT(p, ORR_WRITE_PROJECTED, at);
    if (status == ORR_OK) status = ORR_GET(p, ORR_READ_JOURNAL_MORE, at, orr_note_any, more);
    if (status != ORR_OK) orr_rows_forget(p);
    return status;
}

orr_status orr_project_anew(orr_projector *p) {
    enum { AT_ONCE = 10000 };
    orr_status status = orr_sink_put(p, ORR_WRITE_NOTHING, NULL, 0);
    bool more = status == ORR_OK;
    while (status == ORR_OK && more) status = orr_project(p, AT_ONCE, &more);
    return status;
}
