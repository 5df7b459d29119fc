/* alloc.c - the heap of the C library as a hook, and the three shapes in which the runtime asks
 * for memory. */
#include "core/alloc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void *orr_alloc_libc(void *ud, void *ptr, size_t osize, size_t nsize) {
    (void)ud;
    (void)osize;
    if (nsize == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, nsize);
}

/* True and the product in *bytes, or false when it does not fit. */
static bool product(size_t n, size_t size, size_t *bytes) {
    return !__builtin_mul_overflow(n, size, bytes) && *bytes <= PTRDIFF_MAX;
}

void *orr_mem_new(const orr_alloc *a, size_t n, size_t size) {
    void *block = orr_mem_resize(a, NULL, 0, n, size);
    if (block) memset(block, 0, n * size);
    return block;
}

void *orr_mem_resize(const orr_alloc *a, void *ptr, size_t on, size_t nn, size_t size) {
    size_t bytes;
    if (!product(nn, size, &bytes)) return NULL;
    if (bytes == 0) { /* an empty block is NULL, which is no failure: there is nothing to point at */
        orr_mem_free(a, ptr, on, size);
        return NULL;
    }
    return a->fn(a->ud, ptr, ptr ? on * size : 0, bytes);
}

void orr_mem_free(const orr_alloc *a, void *ptr, size_t n, size_t size) {
    if (ptr) a->fn(a->ud, ptr, n * size, 0);
}
