/* alloc.h - the one door to memory for everything in runtime/.
 *
 * The hook has realloc's shape with sizes, like lua_Alloc: `ptr` NULL allocates, `nsize` 0 frees
 * and returns NULL, a failed growth returns NULL and leaves `ptr` valid. Every block is passed back
 * with the size it was asked for, so that a host's arena needs no headers of its own.
 */
#ifndef ORR_CORE_ALLOC_H
#define ORR_CORE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

typedef struct orr_alloc {
    void *(*fn)(void *ud, void *ptr, size_t osize, size_t nsize);
    void *ud;
} orr_alloc;

/* The C library's heap, used where the host gives no hook. */
void *orr_alloc_libc(void *ud, void *ptr, size_t osize, size_t nsize);

/* Zeroed block of `n * size` bytes, or NULL when the hook fails or the product overflows. */
void *orr_mem_new(const orr_alloc *a, size_t n, size_t size);

/* Block of `on` elements grown or shrunk to `nn`; new elements are not cleared. NULL on failure,
 * the old block then stays valid. */
void *orr_mem_resize(const orr_alloc *a, void *ptr, size_t on, size_t nn, size_t size);

/* Frees a block of `n` elements; NULL is allowed. */
void orr_mem_free(const orr_alloc *a, void *ptr, size_t n, size_t size);

#endif
