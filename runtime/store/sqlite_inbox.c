/* sqlite_inbox.c - messages that others left for our runs.
 *
 * A message stays in the inbox until the transaction that journals it takes it out. What we have told of is remembered by its
 * number, so that each is told of once: `seen` is what the last look found. A run that is claimed again is forgotten there first.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

typedef struct orr_seen {
    int64_t id, run;
    orr_note *note; /* what to tell; NULL: told */
} seen;

typedef struct found {
    seen *all;
    size_t n, capacity;
} found;

static void drop_notes(found *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->all[i].note != NULL) {
            orr_notes one = {.shown = f->all[i].note};
            orr_notes_free(&one, &orr_sqlite_heap);
        }
    free(f->all);
}

/* Both lists are in the order of the ids, so one walk along the old one finds what is new. */
static bool was_seen(const orr_sqlite_writer *w, size_t *at, int64_t id)
{
    while (*at < w->n_seen && w->seen[*at].id < id)
        ++*at;
    return *at < w->n_seen && w->seen[*at].id == id;
}

static bool add_found(found *f, const orr_sqlite_writer *w, size_t *at, sqlite3_stmt *q)
{
    seen one = {.id = sqlite3_column_int64(q, 0), .run = sqlite3_column_int64(q, 1)};
    uint8_t run[16];
    if (f->n == f->capacity) {
        size_t capacity = f->capacity * 2 + 16;
        seen *all = realloc(f->all, capacity * sizeof *all);
        if (all == NULL)
            return false;
        f->all = all;
        f->capacity = capacity;
    }
    if (!was_seen(w, at, one.id) && orr_run_parse(orr_sql_text(q, 2), run)) {
        one.note = orr_note_new(&orr_sqlite_heap, ORR_NOTICE_MESSAGE, run, one.id, orr_sql_text(q, 3), orr_sql_text(q, 4));
        if (one.note == NULL)
            return false;
    }
    f->all[f->n++] = one;
    return true;
}

/* False when it could not be read, or there was no memory: the next look tries again. */
static bool find(orr_sqlite *s, found *f)
{
    orr_sqlite_writer *w = &s->writer;
    orr_value mine = orr_value_integer(atomic_load(&s->owner));
    sqlite3_stmt *q = orr_sql_start(&w->connection, ORR_SQL_INBOX_MINE, &mine, 1);
    int rc = q != NULL ? SQLITE_ROW : SQLITE_ERROR;
    size_t at = 0;
    bool good = true;
    while (good && rc == SQLITE_ROW && (rc = sqlite3_step(q)) == SQLITE_ROW)
        good = add_found(f, w, &at, q);
    sqlite3_reset(q);
    return good && rc == SQLITE_DONE;
}

/* Called with the mutex held. True where there was something to forget: what was found before is not to be used. */
static bool forget(orr_sqlite *s)
{
    orr_sqlite_writer *w = &s->writer;
    bool any = s->n_forget > 0;
    for (size_t i = 0; i < s->n_forget; i++) {
        size_t n = 0;
        for (size_t k = 0; k < w->n_seen; k++)
            if (w->seen[k].run != s->forget[i])
                w->seen[n++] = w->seen[k];
        w->n_seen = n;
    }
    s->n_forget = 0;
    return any;
}

/* Called with the mutex held. */
static bool tell(orr_sqlite *s, found *f)
{
    bool any = false;
    for (size_t i = 0; i < f->n; i++)
        if (f->all[i].note != NULL) {
            orr_notes_add(&s->notes, f->all[i].note);
            f->all[i].note = NULL;
            any = true;
        }
    free(s->writer.seen);
    s->writer.seen = f->all;
    s->writer.n_seen = f->n;
    return any;
}

static bool changed(orr_sqlite_writer *w)
{
    int64_t version = 0;
    if (orr_sql_number(&w->connection, ORR_SQL_DATA_VERSION, NULL, 0, &version) != SQLITE_OK || version == w->data_version)
        return false;
    w->data_version = version;
    return true;
}

bool orr_sqlite_look(orr_sqlite *s, bool anyway)
{
    if (atomic_load(&s->owner) == 0 || (!changed(&s->writer) && !anyway))
        return false;
    for (;;) {
        found f = {0};
        if (!find(s, &f)) {
            drop_notes(&f);
            s->writer.data_version = -1;
            return false;
        }
        pthread_mutex_lock(&s->mutex);
        bool again = forget(s), any = !again && tell(s, &f);
        pthread_mutex_unlock(&s->mutex);
        if (!again)
            return any;
        drop_notes(&f);
    }
}
