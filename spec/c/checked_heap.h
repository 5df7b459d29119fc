/* checked_heap.h - an allocator for tests: it counts, it fails on demand, and it aborts when
 * a block comes back with another size than it was asked for. */
#ifndef SPEC_CHECKED_HEAP_H
#define SPEC_CHECKED_HEAP_H

#include "core/alloc.h"

#include <stdbool.h>

typedef struct checked_heap {
    size_t live_bytes, live_blocks, peak_bytes;
    /* allocations and growths so far; shrinking and freeing cannot fail and do not count */
    uint64_t requests;
    uint64_t fail_at; /* the request that fails, from 1; 0 = none */
    bool fail_after;  /* all later requests fail too */
} checked_heap;

/* The hook; `heap` must outlive it. */
orr_alloc checked_heap_hook(checked_heap *heap);

#endif
