/* heap.h - memory for a lua_State: blocks of equal size side by side, without headers.
 *
 * Lua says the size of a block when it gives it back, so none has to be kept beside it: a sleeping
 * coroutine, five blocks, costs about 90 bytes less than on the C library's heap, and taking a
 * block is a few instructions, however many there are. Small blocks are cut out of regions of 1 MB;
 * one in which nothing is used any more goes back, but for one.
 */
#ifndef ORR_LUA_HEAP_H
#define ORR_LUA_HEAP_H

#include "core/core.h"

typedef struct orr_heap orr_heap;

/* An empty heap on top of `alloc`, which is copied. NULL when out of memory. */
orr_heap *orr_heap_new(const orr_alloc *alloc);

/* Frees the heap with all its small blocks; those above 8 KB are to be given back before. NULL is
 * allowed. */
void orr_heap_free(orr_heap *heap);

/* A lua_Alloc; its ud is the heap. */
void *orr_heap_lua(void *ud, void *ptr, size_t osize, size_t nsize);

/* Bytes taken from the system. */
size_t orr_heap_bytes(const orr_heap *heap);

#endif
