/* batch.c - batches: what is queued as bytes in the order in which it was. */
#include "store/queue/inner.h"

#include <stdlib.h>
#include <string.h>

enum { SMALLEST_BATCH = 4 << 10, LARGEST_SPARE = 1 << 20, MOST_SPARES = 4 };

/* With what makes the next one aligned. */
static size_t size_of(size_t size) {
    return (sizeof(orr_op) + size + 7) & ~(size_t)7;
}

/* ---- filling --------------------------------------------------------------------------------- */

static void free_batch(orr_queue *q, orr_batch *b) {
    orr_mem_free(&q->base.alloc, b->bytes, b->capacity, 1);
    orr_mem_free(&q->base.alloc, b, 1, sizeof *b);
}

void orr_batch_free_all(orr_queue *q, orr_batch **list) {
    for (orr_batch *b; (b = *list) != NULL;) {
        *list = b->next;
        free_batch(q, b);
    }
}

static orr_batch *fresh_batch(orr_queue *q) {
    orr_batch *b = q->spare;
    if (b == NULL) return orr_mem_new(&q->base.alloc, 1, sizeof *b);
    q->spare = b->next;
    b->next = NULL;
    b->used = 0;
    return b;
}

orr_op *orr_batch_op(orr_queue *q, orr_op_kind kind, orr_queue_journal *journal, size_t size) {
    if (q->filling == NULL && (q->filling = fresh_batch(q)) == NULL) return NULL;
    orr_batch *b = q->filling;
    size_t more = size_of(size);
    if (more > b->capacity - b->used) {
        size_t capacity = b->capacity * 2 > SMALLEST_BATCH ? b->capacity * 2 : SMALLEST_BATCH;
        if (capacity < b->used + more) capacity = b->used + more;
        unsigned char *bytes = orr_mem_resize(&q->base.alloc, b->bytes, b->capacity, capacity, 1);
        if (bytes == NULL) return NULL;
        b->bytes = bytes;
        b->capacity = capacity;
    }
    orr_op *op = (orr_op *)(void *)(b->bytes + b->used);
    *op = (orr_op){.kind = kind, .journal = journal, .size = size};
    b->used += more;
    q->base.ticket++;
    return op;
}

/* A row: its values as they are, then the bytes of its texts, each followed by a NUL. A pointer
 * becomes an offset from the first value, since the batch may move; the writer turns it back. */
orr_op *orr_batch_row(orr_queue *q, orr_op_kind kind, orr_queue_journal *journal, const orr_field *values,
                      size_t n) {
    size_t at = n * sizeof *values, size = at;
    for (size_t i = 0; i < n; i++)
        if (values[i].type >= ORR_FIELD_TEXT) size += values[i].size + 1;
    orr_op *op = size < ORR_QUEUE_RECORD_LIMIT ? orr_batch_op(q, kind, journal, size) : NULL;
    if (op == NULL) return NULL;
    unsigned char *bytes = (unsigned char *)(op + 1);
    memcpy(bytes, values, n * sizeof *values);
    for (size_t i = 0; i < n; i++) {
        orr_field *v = (orr_field *)(void *)bytes + i;
        if (v->type < ORR_FIELD_TEXT) continue;
        if (v->size > 0) memcpy(bytes + at, v->bytes, v->size);
        bytes[at + v->size] = '\0';
        v->bytes = (const void *)(uintptr_t)at;
        at += v->size + 1;
    }
    return op;
}

void orr_batch_spare(orr_queue *q, orr_batch *back) {
    size_t n = 0;
    for (const orr_batch *b = q->spare; b != NULL; b = b->next) n++;
    for (orr_batch *b; (b = back) != NULL;) {
        back = b->next;
        if (n >= MOST_SPARES || b->capacity > LARGEST_SPARE) {
            free_batch(q, b);
            continue;
        }
        b->next = q->spare;
        q->spare = b;
        n++;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

int orr_queue_each(const orr_batch *first, int (*visit)(void *ud, orr_op *op), void *ud) {
    int rc = 0;
    for (const orr_batch *b = first; b != NULL; b = b->next)
        for (size_t at = 0; at < b->used && rc == 0;) {
            orr_op *op = (orr_op *)(void *)(b->bytes + at);
            at += size_of(op->size);
            rc = visit(ud, op);
        }
    return rc;
}

/* The op itself stays as it is, to be read once more. */
void orr_op_values(const orr_op *op, orr_field *values, size_t n) {
    const unsigned char *bytes = (const unsigned char *)(op + 1);
    memcpy(values, bytes, n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        if (values[i].type >= ORR_FIELD_TEXT) values[i].bytes = bytes + (uintptr_t)values[i].bytes;
}

void orr_batch_copy(orr_batch *to, const orr_op *op) {
    size_t more = size_of(op->size);
    if (more > to->capacity - to->used) {
        size_t capacity = (to->capacity + more) * 2;
        unsigned char *bytes = realloc(to->bytes, capacity);
        if (bytes == NULL) return;
        to->bytes = bytes;
        to->capacity = capacity;
    }
    memcpy(to->bytes + to->used, op, sizeof *op + op->size);
    to->used += more;
}
