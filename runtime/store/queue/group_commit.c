/* group_commit.c - group commit, the caller's side: batches go to the writer whole, and all that
 * wait when it is ready are written as one. A submit never waits for the disk, unless too much
 * waits. */
#include "store/queue/inner.h"

#include <stdlib.h>
#include <string.h>

static const int64_t RELAXED_DELAY = 20000000; /* ns */

/* ---- handing over ---------------------------------------------------------------------------- */

void orr_queue_figures(const orr_store *store, orr_store_figures *figures) {
    const orr_queue *q = (const orr_queue *)store;
    *figures = (orr_store_figures){.commits = atomic_load(&q->writer.recorded),
                                   .late_since = atomic_load(&q->unprojected),
                                   .failing = atomic_load(&q->failing)};
}

uint64_t orr_queue_durable(const orr_store *store) {
    return atomic_load_explicit(&((const orr_queue *)store)->durable, memory_order_acquire);
}

/* Takes back what is on disk; called with the mutex held. */
static orr_batch *take_back(orr_queue *q) {
    orr_batch *back = q->back;
    q->back = NULL;
    return back;
}

/* Called with the mutex held. While the disk does not work the caller is not held up: it must
 * learn of that. */
static void wait_for_room(orr_queue *q) {
    while (q->queued > ORR_QUEUE_LIMIT && q->started && !atomic_load(&q->failing) && !atomic_load(&q->lost))
        orr_condition_wait(&q->done, &q->mutex, INT64_MAX);
}

/* Called with the mutex held. Whether the writer is to be woken, which is done without it: it
 * would wait for it at once. */
static bool enqueue(orr_queue *q, orr_batch *b, bool urgent) {
    int64_t due = urgent ? 0 : orr_port_now() + RELAXED_DELAY;
    bool news = due < q->due;
    if (b != NULL) {
        b->ticket = q->base.ticket;
        *q->queue_end = b;
        q->queue_end = &b->next;
        q->queued += b->used;
    }
    if (!news || q->queue == NULL) return false;
    q->due = due;
    return orr_writer_start(q);
}

void orr_queue_submit(orr_store *store, bool urgent) {
    orr_queue *q = (orr_queue *)store;
    orr_batch *b = q->filling;
    if (b != NULL && b->used == 0) b = NULL;
    if (atomic_load(&q->lost)) { /* nothing of ours is written any more */
        if (b != NULL) b->used = 0;
        return;
    }
    if (b == NULL && !urgent) return;
    if (b != NULL) q->filling = NULL;
    orr_mutex_lock(&q->mutex);
    bool news = enqueue(q, b, urgent), full = q->queued > ORR_QUEUE_LIMIT;
    if (full) {
        orr_writer_wake(q);
        wait_for_room(q);
    }
    orr_batch *back = take_back(q);
    orr_mutex_unlock(&q->mutex);
    if (news && !full) orr_writer_wake(q);
    q->submitted = q->base.ticket;
    orr_batch_spare(q, back);
    orr_queue_reap(q, orr_queue_durable(store));
}

orr_status orr_queue_sync(orr_store *store) {
    orr_queue *q = (orr_queue *)store;
    orr_queue_submit(store, true);
    orr_mutex_lock(&q->mutex);
    while (orr_queue_durable(store) < q->submitted && q->started && !atomic_load(&q->failing) &&
           !atomic_load(&q->lost))
        orr_condition_wait(&q->done, &q->mutex, INT64_MAX);
    orr_batch *back = take_back(q);
    orr_mutex_unlock(&q->mutex);
    orr_batch_spare(q, back);
    orr_queue_reap(q, orr_queue_durable(store));
    return orr_queue_durable(store) >= q->submitted && !atomic_load(&q->lost) ? ORR_OK : ORR_EIO;
}

orr_status orr_queue_flush(orr_queue *q) {
    return orr_queue_durable(&q->base) < q->base.ticket ? orr_queue_sync(&q->base) : ORR_OK;
}

/* ---- news ------------------------------------------------------------------------------------ */

/* A message for a run without a handle waits in the inbox for who claims the run. */
bool orr_queue_notice(orr_store *store, orr_notice *notice) {
    orr_queue *q = (orr_queue *)store;
    orr_note *note;
    orr_mutex_lock(&q->mutex);
    do {
        note = orr_notes_take(&q->notes);
        orr_notes_show(&q->notes, &orr_queue_heap, note, notice);
    } while (note != NULL && note->notice.kind == ORR_NOTICE_MESSAGE &&
             orr_journals_find(&q->journals, note->notice.run) == NULL);
    orr_mutex_unlock(&q->mutex);
    return note != NULL;
}

void orr_queue_look_now(orr_queue *q) {
    if (atomic_load(&q->live) == 0 && !q->base.wants_work) return;
    orr_mutex_lock(&q->mutex);
    q->look = true;
    orr_writer_wake(q);
    orr_mutex_unlock(&q->mutex);
}

/* ---- the queue ------------------------------------------------------------------------------- */

const orr_alloc orr_queue_heap = {orr_alloc_libc, NULL};

void orr_queue_init(orr_queue *q, const orr_queue_backend *backend, bool owns) {
    q->backend = backend;
    q->owns = owns;
    q->queue_end = &q->queue;
    q->due = INT64_MAX;
    q->writer.taken_end = &q->writer.taken;
    q->writer.bell = ORR_NO_BELL;
    orr_mutex_init(&q->mutex);
    orr_condition_init(&q->work);
    orr_condition_init(&q->done);
}

void orr_queue_free(orr_queue *q) {
    for (orr_journal *j; (j = orr_journals_any(&q->journals)) != NULL;)
        orr_queue_unhandle(q, (orr_queue_journal *)j);
    orr_journals_free(&q->journals, &q->base.alloc);
    orr_queue_reap(q, UINT64_MAX);
    orr_batch_free_all(q, &q->queue);
    orr_batch_free_all(q, &q->back);
    orr_batch_free_all(q, &q->spare);
    orr_batch_free_all(q, &q->filling);
    orr_batch_free_all(q, &q->writer.taken);
    orr_notes_free(&q->notes, &orr_queue_heap);
    free(q->forget);
    free(q->writer.late.bytes);
    free(q->writer.seen);
    orr_bell_close(&q->writer.bell);
    orr_condition_destroy(&q->work);
    orr_condition_destroy(&q->done);
    orr_mutex_destroy(&q->mutex);
}
