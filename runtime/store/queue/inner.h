/* inner.h - what the parts of the queue share; private to it. */
#ifndef ORR_STORE_QUEUE_INNER_H
#define ORR_STORE_QUEUE_INNER_H

#include "store/queue/queue.h"

/* batch.c, on the caller's thread */

/* Room for an op and `size` bytes after it in the batch that is being filled; NULL when out of
 * memory, nothing has changed then. */
orr_op *orr_batch_op(orr_queue *q, orr_op_kind kind, orr_queue_journal *journal, size_t size);
/* An op with the values of a row after it, which are copied; NULL when out of memory. */
orr_op *orr_batch_row(orr_queue *q, orr_op_kind kind, orr_queue_journal *journal, const orr_field *values,
                      size_t n);
/* Keeps the memory of batches that came back, as far as it is likely to be used. */
void orr_batch_spare(orr_queue *q, orr_batch *back);
void orr_batch_free_all(orr_queue *q, orr_batch **list);
/* On the writer's thread: a copy of the op at the end of `to`, which is of libc's heap. Nothing
 * happens when out of memory. */
void orr_batch_copy(orr_batch *to, const orr_op *op);

/* journal.c */

/* Frees handles whose release is durable. */
void orr_queue_reap(orr_queue *q, uint64_t durable);

/* inbox.c, on the writer's thread */

/* Looks into the inbox and adds notices. True when there is any. */
bool orr_queue_look(orr_queue *q, bool anyway);

/* writer.c */

/* Has the writer see what is due now. On the caller's thread, with the mutex or without. */
void orr_writer_wake(orr_queue *q);
/* Starts the writer where it does not run; called with the mutex held. False when there is no
 * thread to be had. */
bool orr_writer_start(orr_queue *q);

#endif
