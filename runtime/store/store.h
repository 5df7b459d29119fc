/* store.h - where journals live: one interface, several implementations.
 *
 * A journal is an append-only list of records (journal.h), one list a run. The core makes the records; whoever drives it
 * appends them here and holds back what depends on a record until the store says that it is durable. The memory store
 * is durable at once and as long as the process.
 *
 * A store is used from one thread. Nothing here calls back but the visitor of orr_store_read.
 */
#ifndef ORR_STORE_H
#define ORR_STORE_H

#include "../core/alloc.h"
#include "../include/orrery.h"

typedef struct orr_store orr_store;

/* One record of a journal as it is read: `bytes` are those that were appended, valid during the call. False ends the
 * reading. */
typedef bool (*orr_store_visit)(void *ud, uint64_t seq, const void *bytes, size_t size);

/* What an implementation brings; callers use the functions below. */
typedef struct orr_store_class {
    const char *name;
    orr_status (*append)(orr_store *store, const uint8_t run[16], uint64_t seq, const void *bytes, size_t size);
    uint64_t (*durable)(orr_store *store, const uint8_t run[16]);
    orr_status (*read)(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud);
    orr_status (*drop)(orr_store *store, const uint8_t run[16]);
    void (*close)(orr_store *store);
} orr_store_class;

/* The head of every implementation's struct. */
struct orr_store {
    const orr_store_class *class;
    orr_alloc alloc;
};

/* A store that keeps journals in memory. NULL when out of memory. `alloc` is copied. */
orr_store *orr_store_memory(const orr_alloc *alloc);

/* Appends a record to a run's journal; `seq` is one more than that of the record before, from 1. The bytes are copied.
 * ORR_EINVAL when the sequence has a gap or goes back; ORR_ENOMEM: nothing was appended, and the same call may be
 * repeated. */
orr_status orr_store_append(orr_store *store, const uint8_t run[16], uint64_t seq, const void *bytes, size_t size);

/* The sequence number up to which the run's journal will survive whatever the store is to survive; 0 for none. */
uint64_t orr_store_durable(orr_store *store, const uint8_t run[16]);

/* Visits the records after sequence number `after`, in order. ORR_ENOTFOUND when there is no such run. The visitor must not use
 * the store. */
orr_status orr_store_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud);

/* Forgets a run's journal. ORR_ENOTFOUND. */
orr_status orr_store_drop(orr_store *store, const uint8_t run[16]);

/* Closes the store; NULL is allowed. */
void orr_store_close(orr_store *store);

#endif
