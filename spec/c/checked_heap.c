/* checked_heap.c - the C library's heap with every block's size written in front of it. */
#include "checked_heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef union header {
    size_t size;
    max_align_t align;
} header;

static void check_size(const header *block, size_t osize) {
    size_t size = block ? block->size : 0;
    if (size == osize) return;
    fprintf(stderr, "a block of %zu bytes came back as one of %zu\n", size, osize);
    abort();
}

static bool must_fail(checked_heap *heap, size_t osize, size_t nsize) {
    if (nsize <= osize) return false;
    heap->requests++;
    if (heap->fail_at == 0) return false;
    return heap->fail_after ? heap->requests >= heap->fail_at : heap->requests == heap->fail_at;
}

static void *hook(void *ud, void *ptr, size_t osize, size_t nsize) {
    checked_heap *heap = ud;
    header *old = ptr ? (header *)ptr - 1 : NULL;
    check_size(old, osize);
    if (must_fail(heap, osize, nsize)) return NULL;
    header *new = NULL;
    if (nsize) { /* always elsewhere, so that a pointer kept from before is caught by the sanitizer */
        new = malloc(sizeof *new + nsize);
        if (!new) abort();
        new->size = nsize;
        memset(new + 1, 0xa5, nsize);
        if (old) memcpy(new + 1, old + 1, osize < nsize ? osize : nsize);
    }
    free(old);
    heap->live_bytes += nsize - osize;
    heap->live_blocks += (size_t)(new != NULL) - (size_t)(old != NULL);
    if (heap->live_bytes > heap->peak_bytes) heap->peak_bytes = heap->live_bytes;
    return new ? new + 1 : NULL;
}

orr_alloc checked_heap_hook(checked_heap *heap) {
    return (orr_alloc){hook, heap};
}
