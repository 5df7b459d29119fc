/* journal.c - the handles of journals: made, written to, let go. */
#include "store/queue/inner.h"

#include <stdlib.h>
#include <string.h>

/* ---- handles --------------------------------------------------------------------------------- */

/* The list runs from the last one released to the first,
 * so all after one that is are. */
void orr_queue_reap(orr_queue *q, uint64_t durable) {
    orr_queue_journal **link = &q->leaving;
    while (*link != NULL && (*link)->ticket > durable) link = &(*link)->leaving;
    orr_queue_journal *j = *link;
    *link = NULL;
    for (orr_queue_journal *next; j != NULL; j = next) {
        next = j->leaving;
        orr_mem_free(&q->base.alloc, j, 1, sizeof *j);
    }
}

/* Keeps room for one more number than there are handles to be claimed. */
static bool reserve_forget(orr_queue *q) {
    orr_mutex_lock(&q->mutex);
    bool room = q->n_forget < q->forget_capacity;
    if (!room) {
        size_t capacity = q->forget_capacity * 2 + 8;
        int64_t *forget = realloc(q->forget, capacity * sizeof *forget);
        room = forget != NULL;
        if (room) {
            q->forget = forget;
            q->forget_capacity = capacity;
        }
    }
    orr_mutex_unlock(&q->mutex);
    return room;
}

orr_queue_journal *orr_queue_handle(orr_queue *q, const uint8_t run[16]) {
    orr_queue_journal *j = reserve_forget(q) ? orr_mem_new(&q->base.alloc, 1, sizeof *j) : NULL;
    if (j == NULL) return NULL;
    j->base.store = &q->base;
    memcpy(j->base.run, run, 16);
    j->kept = true;
    if (orr_journals_add(&q->journals, &q->base.alloc, &j->base)) return j;
    orr_mem_free(&q->base.alloc, j, 1, sizeof *j);
    return NULL;
}

void orr_queue_unhandle(orr_queue *q, orr_queue_journal *journal) {
    orr_journals_remove(&q->journals, &journal->base);
    orr_mem_free(&q->base.alloc, journal, 1, sizeof *journal);
}

void orr_queue_claimed(orr_queue *q, orr_queue_journal *journal) {
    orr_mutex_lock(&q->mutex);
    orr_notes_forget(&q->notes, &orr_queue_heap, journal->base.run);
    q->forget[q->n_forget++] = journal->number;
    atomic_fetch_add(&q->live, 1);
    atomic_store(&q->claimed, orr_port_now());
    q->look = true;
    if (orr_writer_start(q)) orr_writer_wake(q);
    orr_mutex_unlock(&q->mutex);
}

bool orr_queue_has(const orr_queue *q, const uint8_t run[16]) {
    return orr_journals_find(&q->journals, run) != NULL;
}

bool orr_queue_is_leaving(const orr_queue *q, const uint8_t run[16]) {
    for (const orr_queue_journal *j = q->leaving; j != NULL; j = j->leaving)
        if (memcmp(j->base.run, run, 16) == 0) return true;
    return false;
}

/* ---- what is queued -------------------------------------------------------------------------- */

static orr_op *add_create(orr_queue *q, orr_queue_journal *j, const orr_new_run *run) {
    char id[37], parent[37];
    orr_run_text(run->id, id);
    if (run->parent != NULL) orr_run_text(run->parent, parent);
    orr_field row[ORR_NEW_VALUES] = {
        [ORR_NEW_ID] = orr_field_text(id),
        [ORR_NEW_WORKFLOW] = orr_field_text(run->workflow),
        [ORR_NEW_BUNDLE] = orr_field_text(run->bundle),
        [ORR_NEW_KEY] = orr_field_text(run->key),
        [ORR_NEW_PARENT] = orr_field_text(run->parent != NULL ? parent : NULL),
        [ORR_NEW_LABELS] = orr_field_text(run->labels),
        [ORR_NEW_CONTEXT] = orr_field_text(run->context),
        [ORR_NEW_DURABILITY] = orr_field_text(run->durability == ORR_DURABLE_RELAXED ? "relaxed" : "strict"),
        [ORR_NEW_CREATED] = orr_field_real((double)run->created / 1e9),
        [ORR_NEW_OWNER] = {.type = ORR_FIELD_NULL},
        [ORR_NEW_LOCK] = orr_field_text(run->lock),
        [ORR_NEW_LOCK_REFUSES] = orr_field_integer(run->lock_refuses)};
    return orr_batch_row(q, ORR_OP_CREATE, j, row, ORR_NEW_VALUES);
}

orr_journal *orr_queue_create(orr_store *store, const orr_new_run *run) {
    orr_queue *q = (orr_queue *)store;
    orr_queue_journal *j = q->owns ? orr_queue_handle(q, run->id) : NULL;
    if (j == NULL) return NULL;
    j->kept = run->durability != ORR_DURABLE_NONE;
    if (j->kept && add_create(q, j, run) == NULL) {
        orr_queue_unhandle(q, j);
        return NULL;
    }
    if (j->kept) atomic_fetch_add(&q->live, 1);
    return &j->base;
}

/* NULL when out of memory. */
static orr_op *add_record(orr_queue_journal *j, orr_record_when when, orr_bytes record) {
    orr_op *op = orr_batch_op((orr_queue *)j->base.store, ORR_OP_RECORD, j, record.size);
    if (op == NULL) return NULL;
    op->seq = j->base.last + 1;
    op->detail = when;
    if (record.size > 0) memcpy(op + 1, record.bytes, record.size);
    return op;
}

orr_status orr_queue_append(orr_journal *journal, const void *bytes, size_t size) {
    orr_queue_journal *j = (orr_queue_journal *)journal;
    if (!j->kept) return ORR_OK;
    if (size > ORR_QUEUE_RECORD_LIMIT) return ORR_EINVAL;
    return add_record(j, ORR_WHEN_ANY, (orr_bytes){bytes, size}) != NULL ? ORR_OK : ORR_ENOMEM;
}

/* Without memory for the op the run stays ours until the process ends; the handle is freed with
 * the store. */
void orr_queue_release(orr_journal *journal, bool done) {
    orr_queue_journal *j = (orr_queue_journal *)journal;
    orr_queue *q = (orr_queue *)journal->store;
    if (!j->kept) {
        orr_queue_unhandle(q, j);
        return;
    }
    orr_journals_remove(&q->journals, journal);
    orr_op *op = orr_batch_op(q, ORR_OP_RELEASE, j, 0);
    if (op != NULL) op->detail = done;
    j->ticket = op != NULL ? q->base.ticket : UINT64_MAX;
    j->leaving = q->leaving;
    q->leaving = j;
    atomic_fetch_sub(&q->live, 1);
}

orr_status orr_queue_put(orr_store *store, orr_row_kind kind, const orr_field *values, size_t n) {
    enum { MOST_COLUMNS = 16 };
    orr_field row[MOST_COLUMNS];
    char id[37];
    int run = orr_row_run(kind);
    if (!((orr_queue *)store)->owns) return ORR_ESTATE;
    memcpy(row, values, n * sizeof *values);
    if (run >= 0 && row[run].type == ORR_FIELD_BLOB) {
        orr_run_text(row[run].bytes, id);
        row[run] = orr_field_text(id);
    }
    orr_op *op = orr_batch_row((orr_queue *)store, ORR_OP_ROW, NULL, row, n);
    if (op == NULL) return ORR_ENOMEM;
    op->detail = (uint32_t)kind;
    return ORR_OK;
}

/* All three in one batch, so that one transaction has them, or none. */
orr_status orr_queue_append_state(orr_journal *journal, const orr_field *write, orr_bytes made,
                                  orr_bytes refused) {
    orr_queue_journal *j = (orr_queue_journal *)journal;
    orr_queue *q = (orr_queue *)journal->store;
    uint64_t ticket = q->base.ticket;
    size_t used = q->filling != NULL ? q->filling->used : 0;
    orr_status status = orr_queue_put(&q->base, ORR_ROW_STATE, write, ORR_STATE_COLUMNS);
    if (status != ORR_OK || !j->kept) return status;
    if (add_record(j, ORR_WHEN_MADE, made) != NULL && add_record(j, ORR_WHEN_REFUSED, refused) != NULL)
        return ORR_OK;
    q->filling->used = used;
    q->base.ticket = ticket;
    return ORR_ENOMEM;
}

/* ---- the chains of a commit ------------------------------------------------------------------ */

void orr_chains_begin(orr_chains *chains) {
    chains->first = NULL;
    chains->end = NULL;
    chains->commit++;
}

void orr_chains_add(orr_chains *chains, orr_op *op) {
    orr_queue_journal *j = op->journal;
    op->next = NULL;
    if (j->commit != chains->commit) {
        j->commit = chains->commit;
        j->end = &j->first;
        j->next_chain = NULL;
        if (chains->first == NULL) chains->first = j;
        else chains->end->next_chain = j;
        chains->end = j;
    }
    *j->end = op;
    j->end = &op->next;
}
