/* memory_state.h - state between runs in memory, for the store in memory. */
#ifndef ORR_STORE_MEMORY_STATE_H
#define ORR_STORE_MEMORY_STATE_H

#include "store/backend.h"

/* A hash table of what is kept, by workflow and key. Zeroed, it is empty. */
typedef struct orr_memory_state {
    struct orr_memory_value **buckets;
    uint32_t n_buckets, n;
} orr_memory_state;

/* The first ORR_STATE_KEPT columns of what is kept of the key, valid until the next write; NULL:
 * nothing. */
const orr_field *orr_memory_state_find(const orr_memory_state *t, const orr_field *workflow,
                                       const orr_field *key);
/* Decides about a write, and makes it where what it expects is there; *made says so. What it
 * replaces or removes is freed. False when out of memory: then nothing has changed. */
bool orr_memory_state_write(orr_memory_state *t, const orr_alloc *alloc, const orr_field *write, bool *made);
void orr_memory_state_free(orr_memory_state *t, const orr_alloc *alloc);

#endif
