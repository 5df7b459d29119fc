/* failing_heap.h - a heap that fails on demand, in the shape that Lua and the engine take, and
 * counts what is in use. */
#ifndef ORR_SPEC_FAILING_HEAP_H
#define ORR_SPEC_FAILING_HEAP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct failing_heap {
    long calls;     /* allocations and growths so far */
    long fail_from; /* the first one that fails, from 1; 0 = none */
    long fail_for;  /* how many in a row */
    bool failed;    /* one has */
    size_t bytes;   /* in use */
} failing_heap;

/* A lua_Alloc and an orr_alloc_fn; `ud` is a failing_heap. Shrinking never fails: Lua takes that
 * for granted. */
void *failing_heap_fn(void *ud, void *ptr, size_t osize, size_t nsize);

#endif
