/* pool.c - the heap that hosts may give to their runtimes: that of runtime/lua/heap.c. */
#include "api/api.h"

static orr_heap *heap_of(const orr_pool *pool) {
    return (orr_heap *)(uintptr_t)pool;
}

orr_pool *orr_pool_open(void) {
    const orr_alloc alloc = {orr_alloc_libc, NULL};
    return (orr_pool *)(void *)orr_heap_new(&alloc);
}

void orr_pool_close(orr_pool *pool) {
    orr_heap_free(heap_of(pool));
}

void *orr_pool_alloc(void *pool, void *ptr, size_t osize, size_t nsize) {
    return orr_heap_lua(pool, ptr, osize, nsize);
}

size_t orr_pool_bytes(const orr_pool *pool) {
    return orr_heap_bytes(heap_of(pool));
}
