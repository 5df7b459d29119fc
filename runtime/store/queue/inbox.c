/* inbox.c - messages that others left for our runs, notified once each.
 *
 * A message stays in the inbox until the transaction that journals it takes it out. What we have
 * notified is remembered by its number: `seen` is what the last look found. A run that is claimed
 * again is forgotten there first.
 */
#include "store/queue/inner.h"

#include <stdlib.h>

typedef struct orr_seen {
    int64_t id, run;
    orr_note *note; /* what to notify; NULL: it was */
} seen;

/* What a look finds. */
typedef struct found {
    const orr_queue_writer *writer;
    seen *all;
    size_t n, capacity;
    size_t at;   /* how far the walk along what was seen before has come */
    bool failed; /* out of memory */
} found;

static void drop_notes(found *f) {
    for (size_t i = 0; i < f->n; i++)
        if (f->all[i].note != NULL) {
            orr_notes one = {.shown = f->all[i].note};
            orr_notes_free(&one, &orr_queue_heap);
        }
    free(f->all);
}

/* Both lists are in the order of the ids, so one walk along the old one finds what is new. */
static bool was_seen(found *f, int64_t id) {
    const orr_queue_writer *w = f->writer;
    while (f->at < w->n_seen && w->seen[f->at].id < id) f->at++;
    return f->at < w->n_seen && w->seen[f->at].id == id;
}

static bool grow(found *f) {
    if (f->n < f->capacity) return true;
    size_t capacity = f->capacity * 2 + 16;
    seen *all = realloc(f->all, capacity * sizeof *all);
    if (all == NULL) return false;
    f->all = all;
    f->capacity = capacity;
    return true;
}

static bool add_message(void *ud, const orr_message *m) {
    found *f = ud;
    seen one = {.id = m->id, .run = m->number};
    bool is_new = !was_seen(f, m->id);
    f->failed = !grow(f);
    if (!f->failed && is_new) {
        one.note = orr_note_new(&orr_queue_heap, m->kind, m->run, m->id, m->name, m->text);
        f->failed = one.note == NULL;
    }
    if (!f->failed) f->all[f->n++] = one;
    return !f->failed;
}

/* Called with the mutex held. True where there was something to forget: what was found before is
 * not to be used. */
static bool forget(orr_queue *q) {
    orr_queue_writer *w = &q->writer;
    bool any = q->n_forget > 0;
    for (size_t i = 0; i < q->n_forget; i++) {
        size_t n = 0;
        for (size_t k = 0; k < w->n_seen; k++)
            if (w->seen[k].run != q->forget[i]) w->seen[n++] = w->seen[k];
        w->n_seen = n;
    }
    q->n_forget = 0;
    return any;
}

/* Called with the mutex held. */
static bool notify(orr_queue *q, found *f) {
    bool any = false;
    for (size_t i = 0; i < f->n; i++)
        if (f->all[i].note != NULL) {
            orr_notes_add(&q->notes, f->all[i].note);
            f->all[i].note = NULL;
            any = true;
        }
    free(q->writer.seen);
    q->writer.seen = f->all;
    q->writer.n_seen = f->n;
    return any;
}

bool orr_queue_look(orr_queue *q, bool anyway) {
    orr_queue_writer *w = &q->writer;
    for (;;) {
        found f = {.writer = w};
        orr_status status = q->backend->look(q, anyway || w->look_anyway, add_message, &f);
        w->saw_change = status != ORR_ESTATE;
        if (status == ORR_ESTATE) return false; /* nothing was visited */
        w->look_anyway = status != ORR_OK || f.failed;
        if (w->look_anyway) {
            drop_notes(&f);
            return false;
        }
        orr_mutex_lock(&q->mutex);
        bool again = forget(q), any = !again && notify(q, &f);
        orr_mutex_unlock(&q->mutex);
        if (!again) return any;
        drop_notes(&f);
        anyway = true;
    }
}
