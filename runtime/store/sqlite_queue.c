/* sqlite_queue.c - the caller's side of commits: what is queued becomes bytes in a batch, and a batch goes to the writer whole.
 *
 * The batch being filled belongs to the caller alone, so queueing takes no lock. A submit passes it on; the writer gives it back when
 * it is on disk, for its memory to be used again. A journal's handle lives until its release is durable, because the writer
 * reads it.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

enum { SMALLEST_BATCH = 4 << 10, LARGEST_SPARE = 1 << 20, MOST_SPARES = 4 };

static const int64_t RELAXED_DELAY = 20000000; /* ns */

/* ---- batches ------------------------------------------------------------------------------------------------------------------ */

static void free_batch(orr_sqlite *s, orr_batch *b)
{
    orr_mem_free(&s->base.alloc, b->bytes, b->capacity, 1);
    orr_mem_free(&s->base.alloc, b, 1, sizeof *b);
}

static void free_batches(orr_sqlite *s, orr_batch **list)
{
    for (orr_batch *b; (b = *list) != NULL;) {
        *list = b->next;
        free_batch(s, b);
    }
}

static orr_batch *fresh_batch(orr_sqlite *s)
{
    orr_batch *b = s->spare;
    if (b == NULL)
        return orr_mem_new(&s->base.alloc, 1, sizeof *b);
    s->spare = b->next;
    b->next = NULL;
    b->used = 0;
    return b;
}

/* Room for an op and `size` bytes after it in the batch that is being filled; NULL when out of memory, nothing has changed then. */
static orr_op *add_op(orr_sqlite *s, orr_op_kind kind, orr_sqlite_journal *journal, size_t size)
{
    if (s->filling == NULL && (s->filling = fresh_batch(s)) == NULL)
        return NULL;
    orr_batch *b = s->filling;
    size_t more = (sizeof(orr_op) + size + 7) & ~(size_t)7; /* the next op is aligned */
    if (more > b->capacity - b->used) {
        size_t capacity = b->capacity * 2 > SMALLEST_BATCH ? b->capacity * 2 : SMALLEST_BATCH;
        if (capacity < b->used + more)
            capacity = b->used + more;
        unsigned char *bytes = orr_mem_resize(&s->base.alloc, b->bytes, b->capacity, capacity, 1);
        if (bytes == NULL)
            return NULL;
        b->bytes = bytes;
        b->capacity = capacity;
    }
    orr_op *op = (orr_op *)(void *)(b->bytes + b->used);
    *op = (orr_op){.kind = kind, .journal = journal, .size = size};
    b->used += more;
    s->base.ticket++;
    return op;
}

/* A row: its values as they are, then the bytes of its texts, each followed by a NUL. A pointer becomes an offset from the first
 * value, since the batch may move; the writer turns it back. */
static orr_op *add_row(orr_sqlite *s, orr_op_kind kind, orr_sqlite_journal *journal, const orr_value *values, size_t n)
{
    size_t at = n * sizeof *values, size = at;
    for (size_t i = 0; i < n; i++)
        if (values[i].type >= ORR_VALUE_TEXT)
            size += values[i].size + 1;
    orr_op *op = size < ORR_SQLITE_RECORD_LIMIT ? add_op(s, kind, journal, size) : NULL;
    if (op == NULL)
        return NULL;
    unsigned char *bytes = (unsigned char *)(op + 1);
    memcpy(bytes, values, n * sizeof *values);
    for (size_t i = 0; i < n; i++) {
        orr_value *v = (orr_value *)(void *)bytes + i;
        if (v->type < ORR_VALUE_TEXT)
            continue;
        if (v->size > 0)
            memcpy(bytes + at, v->bytes, v->size);
        bytes[at + v->size] = '\0';
        v->bytes = (const void *)(uintptr_t)at;
        at += v->size + 1;
    }
    return op;
}

/* ---- journals ------------------------------------------------------------------------------------------------------------------ */

/* Frees handles whose release is durable. The list runs from the last one released to the first, so all after one that is are. */
static void reap(orr_sqlite *s, uint64_t durable)
{
    orr_sqlite_journal **link = &s->leaving;
    while (*link != NULL && (*link)->ticket > durable)
        link = &(*link)->leaving;
    orr_sqlite_journal *j = *link;
    *link = NULL;
    for (orr_sqlite_journal *next; j != NULL; j = next) {
        next = j->leaving;
        orr_mem_free(&s->base.alloc, j, 1, sizeof *j);
    }
}

/* Keeps room for one more number than there are handles to be claimed. */
static bool reserve_forget(orr_sqlite *s)
{
    pthread_mutex_lock(&s->mutex);
    bool room = s->n_forget < s->forget_capacity;
    if (!room) {
        size_t capacity = s->forget_capacity * 2 + 8;
        int64_t *forget = realloc(s->forget, capacity * sizeof *forget);
        room = forget != NULL;
        if (room) {
            s->forget = forget;
            s->forget_capacity = capacity;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return room;
}

orr_sqlite_journal *orr_sqlite_handle(orr_sqlite *s, const uint8_t run[16])
{
    orr_sqlite_journal *j = reserve_forget(s) ? orr_mem_new(&s->base.alloc, 1, sizeof *j) : NULL;
    if (j == NULL)
        return NULL;
    j->base.store = &s->base;
    memcpy(j->base.run, run, 16);
    j->kept = true;
    if (orr_journals_add(&s->journals, &s->base.alloc, &j->base))
        return j;
    orr_mem_free(&s->base.alloc, j, 1, sizeof *j);
    return NULL;
}

void orr_sqlite_unhandle(orr_sqlite *s, orr_sqlite_journal *journal)
{
    orr_journals_remove(&s->journals, &journal->base);
    orr_mem_free(&s->base.alloc, journal, 1, sizeof *journal);
}

void orr_sqlite_expect(orr_sqlite *s, int64_t number, const uint8_t run[16])
{
    pthread_mutex_lock(&s->mutex);
    orr_notes_forget(&s->notes, &orr_sqlite_heap, run);
    s->forget[s->n_forget++] = number;
    atomic_fetch_add(&s->live, 1);
    atomic_store(&s->claimed, orr_sqlite_now());
    s->look = true;
    if (orr_sqlite_start(s))
        pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
}

static orr_op *add_create(orr_sqlite *s, orr_sqlite_journal *j, const orr_new_run *run)
{
    char id[37], parent[37];
    orr_run_text(run->id, id);
    if (run->parent != NULL)
        orr_run_text(run->parent, parent);
    orr_value row[] = {orr_value_text(id), orr_value_text(run->workflow), orr_value_text(run->bundle), orr_value_text(run->key),
                       orr_value_text(run->parent != NULL ? parent : NULL), orr_value_text(run->labels), orr_value_text(run->context),
                       orr_value_text(run->durability == ORR_DURABLE_RELAXED ? "relaxed" : "strict"),
                       orr_value_real((double)run->created / 1e9), {.type = ORR_VALUE_NULL}};
    return add_row(s, ORR_OP_CREATE, j, row, sizeof row / sizeof row[0]);
}

orr_journal *orr_sqlite_create(orr_store *store, const orr_new_run *run)
{
    orr_sqlite *s = (orr_sqlite *)store;
    orr_sqlite_journal *j = s->mode == ORR_STORE_OWN ? orr_sqlite_handle(s, run->id) : NULL;
    if (j == NULL)
        return NULL;
    j->kept = run->durability != ORR_DURABLE_NONE;
    if (j->kept && add_create(s, j, run) == NULL) {
        orr_sqlite_unhandle(s, j);
        return NULL;
    }
    if (j->kept)
        atomic_fetch_add(&s->live, 1);
    return &j->base;
}

orr_status orr_sqlite_append(orr_journal *journal, const void *bytes, size_t size)
{
    orr_sqlite_journal *j = (orr_sqlite_journal *)journal;
    if (!j->kept)
        return ORR_OK;
    if (size > ORR_SQLITE_RECORD_LIMIT)
        return ORR_EINVAL;
    orr_op *op = add_op((orr_sqlite *)journal->store, ORR_OP_RECORD, j, size);
    if (op == NULL)
        return ORR_ENOMEM;
    op->seq = journal->last + 1;
    if (size > 0)
        memcpy(op + 1, bytes, size);
    return ORR_OK;
}

/* Without memory for the op the run stays ours until the process ends; the handle is freed with the store. */
void orr_sqlite_release(orr_journal *journal, bool done)
{
    orr_sqlite_journal *j = (orr_sqlite_journal *)journal;
    orr_sqlite *s = (orr_sqlite *)journal->store;
    if (!j->kept) {
        orr_sqlite_unhandle(s, j);
        return;
    }
    orr_journals_remove(&s->journals, journal);
    orr_op *op = add_op(s, ORR_OP_RELEASE, j, 0);
    if (op != NULL)
        op->detail = done;
    j->ticket = op != NULL ? s->base.ticket : UINT64_MAX;
    j->leaving = s->leaving;
    s->leaving = j;
    atomic_fetch_sub(&s->live, 1);
}

orr_status orr_sqlite_put(orr_store *store, orr_row_kind kind, const orr_value *values, size_t n)
{
    enum { MOST_COLUMNS = 16 };
    orr_value row[MOST_COLUMNS];
    char id[37];
    int run = orr_row_run(kind);
    if (((orr_sqlite *)store)->mode != ORR_STORE_OWN)
        return ORR_ESTATE;
    memcpy(row, values, n * sizeof *values);
    if (run >= 0 && row[run].type == ORR_VALUE_BLOB) {
        orr_run_text(row[run].bytes, id);
        row[run] = orr_value_text(id);
    }
    orr_op *op = add_row((orr_sqlite *)store, ORR_OP_ROW, NULL, row, n);
    if (op == NULL)
        return ORR_ENOMEM;
    op->detail = (uint32_t)kind;
    return ORR_OK;
}

/* ---- handing over -------------------------------------------------------------------------------------------------------------- */

uint64_t orr_sqlite_durable(const orr_store *store)
{
    return atomic_load_explicit(&((const orr_sqlite *)store)->durable, memory_order_acquire);
}

/* Takes back what is on disk; called with the mutex held. */
static orr_batch *take_back(orr_sqlite *s)
{
    orr_batch *back = s->back;
    s->back = NULL;
    return back;
}

static void keep_spares(orr_sqlite *s, orr_batch *back)
{
    size_t n = 0;
    for (const orr_batch *b = s->spare; b != NULL; b = b->next)
        n++;
    for (orr_batch *b; (b = back) != NULL;) {
        back = b->next;
        if (n >= MOST_SPARES || b->capacity > LARGEST_SPARE) {
            free_batch(s, b);
            continue;
        }
        b->next = s->spare;
        s->spare = b;
        n++;
    }
}

/* Called with the mutex held. While the disk does not work the caller is not held up: it must hear of that. */
static void wait_for_room(orr_sqlite *s)
{
    while (s->queued > ORR_SQLITE_QUEUE_LIMIT && s->started && !atomic_load(&s->failing) && !atomic_load(&s->lost))
        pthread_cond_wait(&s->done, &s->mutex);
}

/* Called with the mutex held. Whether the writer is to be woken, which is done without it: it would wait for it at once. */
static bool enqueue(orr_sqlite *s, orr_batch *b, bool soon)
{
    int64_t due = soon ? 0 : orr_sqlite_now() + RELAXED_DELAY;
    bool news = due < s->due;
    if (b != NULL) {
        b->ticket = s->base.ticket;
        *s->queue_end = b;
        s->queue_end = &b->next;
        s->queued += b->used;
    }
    if (!news || s->queue == NULL)
        return false;
    s->due = due;
    return orr_sqlite_start(s);
}

void orr_sqlite_submit(orr_store *store, bool soon)
{
    orr_sqlite *s = (orr_sqlite *)store;
    orr_batch *b = s->filling;
    if (b != NULL && b->used == 0)
        b = NULL;
    if (atomic_load(&s->lost)) { /* nothing of ours is written any more */
        if (b != NULL)
            b->used = 0;
        return;
    }
    if (b == NULL && !soon)
        return;
    if (b != NULL)
        s->filling = NULL;
    pthread_mutex_lock(&s->mutex);
    bool news = enqueue(s, b, soon), full = s->queued > ORR_SQLITE_QUEUE_LIMIT;
    if (full) {
        pthread_cond_signal(&s->work);
        wait_for_room(s);
    }
    orr_batch *back = take_back(s);
    pthread_mutex_unlock(&s->mutex);
    if (news && !full)
        pthread_cond_signal(&s->work);
    s->submitted = s->base.ticket;
    keep_spares(s, back);
    reap(s, orr_sqlite_durable(store));
}

orr_status orr_sqlite_sync(orr_store *store)
{
    orr_sqlite *s = (orr_sqlite *)store;
    orr_sqlite_submit(store, true);
    pthread_mutex_lock(&s->mutex);
    while (orr_sqlite_durable(store) < s->submitted && s->started && !atomic_load(&s->failing) && !atomic_load(&s->lost))
        pthread_cond_wait(&s->done, &s->mutex);
    orr_batch *back = take_back(s);
    pthread_mutex_unlock(&s->mutex);
    keep_spares(s, back);
    reap(s, orr_sqlite_durable(store));
    return orr_sqlite_durable(store) >= s->submitted && !atomic_load(&s->lost) ? ORR_OK : ORR_EIO;
}

/* A message for a run without a handle waits in the inbox for who claims the run. */
bool orr_sqlite_notice(orr_store *store, orr_notice *notice)
{
    orr_sqlite *s = (orr_sqlite *)store;
    orr_note *note;
    pthread_mutex_lock(&s->mutex);
    do {
        note = orr_notes_take(&s->notes);
        orr_notes_show(&s->notes, &orr_sqlite_heap, note, notice);
    } while (note != NULL && note->notice.kind == ORR_NOTICE_MESSAGE && orr_journals_find(&s->journals, note->notice.run) == NULL);
    pthread_mutex_unlock(&s->mutex);
    return note != NULL;
}

void orr_sqlite_free_queue(orr_sqlite *s)
{
    for (orr_journal *j; (j = orr_journals_any(&s->journals)) != NULL;)
        orr_sqlite_unhandle(s, (orr_sqlite_journal *)j);
    orr_journals_free(&s->journals, &s->base.alloc);
    reap(s, UINT64_MAX);
    free_batches(s, &s->queue);
    free_batches(s, &s->back);
    free_batches(s, &s->spare);
    free_batches(s, &s->filling);
    free_batches(s, &s->writer.taken);
    orr_notes_free(&s->notes, &orr_sqlite_heap);
    free(s->forget);
}
