/* shared.c - see impl.h: the tables of journals, the list of notices, and small things about rows and ids. */
#include "impl.h"

#include "journal.h"

#include <string.h>

/* ---- journals by run --------------------------------------------------------------------------------------------------- */

/* A run's id is a UUIDv7, whose last eight bytes are random enough to be their own hash. */
static uint32_t bucket_of(const uint8_t run[16], uint32_t n_buckets)
{
    uint64_t h;
    memcpy(&h, run + 8, sizeof h);
    h *= UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing (Knuth, TAOCP 3, 6.4) */
    return (uint32_t)(h >> 32) & (n_buckets - 1);
}

orr_journal *orr_journals_find(const orr_journals *t, const uint8_t run[16])
{
    if (t->n_buckets == 0)
        return NULL;
    orr_journal *j = t->buckets[bucket_of(run, t->n_buckets)];
    while (j != NULL && memcmp(j->run, run, sizeof j->run) != 0)
        j = j->next;
    return j;
}

/* Without memory for wider buckets the chains get longer: slower, never wrong. False only where there are none yet. */
static bool widen(orr_journals *t, const orr_alloc *alloc)
{
    uint32_t n = t->n_buckets > 0 ? t->n_buckets * 2 : 16;
    orr_journal **buckets = orr_mem_new(alloc, n, sizeof(orr_journal *));
    if (buckets == NULL)
        return t->n_buckets > 0;
    for (uint32_t i = 0; i < t->n_buckets; i++)
        for (orr_journal *j = t->buckets[i], *next; j != NULL; j = next) {
            next = j->next;
            uint32_t at = bucket_of(j->run, n);
            j->next = buckets[at];
            buckets[at] = j;
        }
    orr_mem_free(alloc, t->buckets, t->n_buckets, sizeof(orr_journal *));
    t->buckets = buckets;
    t->n_buckets = n;
    return true;
}

bool orr_journals_add(orr_journals *t, const orr_alloc *alloc, orr_journal *journal)
{
    if (t->n >= t->n_buckets && !widen(t, alloc))
        return false;
    orr_journal **bucket = &t->buckets[bucket_of(journal->run, t->n_buckets)];
    journal->next = *bucket;
    *bucket = journal;
    t->n++;
    return true;
}

void orr_journals_remove(orr_journals *t, orr_journal *journal)
{
    orr_journal **link = &t->buckets[bucket_of(journal->run, t->n_buckets)];
    while (*link != journal)
        link = &(*link)->next;
    *link = journal->next;
    t->n--;
}

orr_journal *orr_journals_any(const orr_journals *t)
{
    for (uint32_t i = 0; i < t->n_buckets; i++)
        if (t->buckets[i] != NULL)
            return t->buckets[i];
    return NULL;
}

void orr_journals_free(orr_journals *t, const orr_alloc *alloc)
{
    orr_mem_free(alloc, t->buckets, t->n_buckets, sizeof(orr_journal *));
    *t = (orr_journals){0};
}

/* ---- notices ------------------------------------------------------------------------------------------------------------ */

orr_note *orr_note_new(const orr_alloc *alloc, orr_notice_kind kind, const uint8_t *run, int64_t message, const char *name,
                       const char *text)
{
    size_t name_size = name != NULL ? strlen(name) + 1 : 0, text_size = text != NULL ? strlen(text) + 1 : 0;
    size_t size = sizeof(orr_note) + name_size + text_size;
    orr_note *note = orr_mem_new(alloc, size, 1);
    if (note == NULL)
        return NULL;
    note->size = size;
    note->notice.kind = kind;
    note->notice.message = message;
    if (run != NULL)
        memcpy(note->notice.run, run, 16);
    if (name != NULL)
        note->notice.name = memcpy(note->texts, name, name_size);
    if (text != NULL)
        note->notice.text = memcpy(note->texts + name_size, text, text_size);
    return note;
}

void orr_notes_add(orr_notes *notes, orr_note *note)
{
    note->next = NULL;
    if (notes->first == NULL)
        notes->end = &notes->first;
    *notes->end = note;
    notes->end = &note->next;
}

orr_note *orr_notes_take(orr_notes *notes)
{
    orr_note *note = notes->first;
    if (note != NULL)
        notes->first = note->next;
    return note;
}

static void free_note(const orr_alloc *alloc, orr_note *note)
{
    if (note != NULL)
        orr_mem_free(alloc, note, note->size, 1);
}

void orr_notes_show(orr_notes *notes, const orr_alloc *alloc, orr_note *note, orr_notice *notice)
{
    free_note(alloc, notes->shown);
    notes->shown = note;
    if (note != NULL)
        *notice = note->notice;
}

void orr_notes_forget(orr_notes *notes, const orr_alloc *alloc, const uint8_t run[16])
{
    orr_notes kept = {.shown = notes->shown};
    for (orr_note *note = notes->first, *next; note != NULL; note = next) {
        next = note->next;
        if (note->notice.kind == ORR_NOTICE_MESSAGE && memcmp(note->notice.run, run, 16) == 0)
            free_note(alloc, note);
        else
            orr_notes_add(&kept, note);
    }
    notes->first = kept.first;
    notes->end = kept.first != NULL ? kept.end : &notes->first;
}

void orr_notes_free(orr_notes *notes, const orr_alloc *alloc)
{
    for (orr_note *note; (note = orr_notes_take(notes)) != NULL;)
        free_note(alloc, note);
    free_note(alloc, notes->shown);
    *notes = (orr_notes){0};
}

/* ---- rows and ids --------------------------------------------------------------------------------------------------------- */

size_t orr_row_columns(orr_row_kind kind)
{
#define ORR_ROW_TEXT(id, columns) columns,
    static const char *const columns[] = {ORR_ROWS(ORR_ROW_TEXT)};
#undef ORR_ROW_TEXT
    size_t n = 1;
    for (const char *c = columns[kind]; *c != '\0'; c++)
        n += *c == ',';
    return n;
}

int orr_row_run(orr_row_kind kind)
{
    return kind == ORR_ROW_LOG || kind == ORR_ROW_WHY ? 0 : kind == ORR_ROW_CACHE ? 4 : -1;
}

void orr_run_text(const uint8_t run[16], char text[37])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[run[i] >> 4];
        *text++ = digits[run[i] & 15];
    }
    *text = '\0';
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool orr_run_parse(const char *text, uint8_t run[16])
{
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        int high = digit_of(text[0]), low = high < 0 ? -1 : digit_of(text[1]);
        if (low < 0)
            return false;
        run[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return *text == '\0';
}

bool orr_record_ends(const void *bytes, size_t size)
{
    orr_entry entry;
    orr_error error;
    return orr_entry_decode(bytes, size, &entry, &error) == ORR_OK && entry.record.kind == ORR_REC_RUN_ENDED;
}
