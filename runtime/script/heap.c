/* heap.c - see heap.h
 *
 * Sizes are rounded up to 16 bytes and served from lists of free blocks, one a size (segregated free lists, Wilson
 * et al., "Dynamic storage allocation", 1995). Lists are filled from chunks; what is larger goes to the allocator below.
 */
#include "heap.h"

#include <stdbool.h>
#include <string.h>

enum { STEP = 16, LARGEST = 1024, CLASSES = LARGEST / STEP, CHUNK = 64 * 1024 };

typedef struct block {
    struct block *next;
} block;

typedef struct chunk {
    struct chunk *next;
    size_t size;
} chunk;

struct orr_heap {
    orr_alloc alloc;
    block *lists[CLASSES];
    chunk *chunks;
    unsigned char *at, *end; /* of the chunk that is being cut */
    size_t bytes;
};

static unsigned class_of(size_t size)
{
    return (unsigned)((size + STEP - 1) / STEP - 1);
}

orr_heap *orr_heap_new(const orr_alloc *alloc)
{
    orr_heap *heap = orr_mem_new(alloc, 1, sizeof *heap);
    if (heap != NULL)
        heap->alloc = *alloc;
    return heap;
}

void orr_heap_free(orr_heap *heap)
{
    if (heap == NULL)
        return;
    orr_alloc alloc = heap->alloc;
    while (heap->chunks != NULL) {
        chunk *c = heap->chunks;
        heap->chunks = c->next;
        orr_mem_free(&alloc, c, 1, c->size);
    }
    orr_mem_free(&alloc, heap, 1, sizeof *heap);
}

size_t orr_heap_bytes(const orr_heap *heap)
{
    return heap->bytes;
}

/* What is left of the present chunk becomes a free block, so that nothing is lost between chunks. */
static void keep_rest(orr_heap *heap)
{
    size_t left = (size_t)(heap->end - heap->at);
    if (left < STEP)
        return;
    block *b = (block *)(void *)heap->at;
    unsigned class = (unsigned)(left / STEP - 1);
    if (class >= CLASSES)
        class = CLASSES - 1;
    b->next = heap->lists[class];
    heap->lists[class] = b;
}

static bool more(orr_heap *heap)
{
    chunk *c = heap->alloc.fn(heap->alloc.ud, NULL, 0, CHUNK);
    if (c == NULL)
        return false;
    keep_rest(heap);
    c->next = heap->chunks;
    c->size = CHUNK;
    heap->chunks = c;
    heap->at = (unsigned char *)c + STEP;
    heap->end = (unsigned char *)c + CHUNK;
    heap->bytes += CHUNK;
    return true;
}

static void *take(orr_heap *heap, unsigned class)
{
    block *b = heap->lists[class];
    size_t size = (size_t)(class + 1) * STEP;
    if (b != NULL) {
        heap->lists[class] = b->next;
        return b;
    }
    if ((size_t)(heap->end - heap->at) < size && !more(heap))
        return NULL;
    b = (block *)(void *)heap->at;
    heap->at += size;
    return b;
}

static void give(orr_heap *heap, void *ptr, size_t size)
{
    block *b = ptr;
    if (ptr == NULL || size == 0)
        return;
    if (size > LARGEST) {
        heap->alloc.fn(heap->alloc.ud, ptr, size, 0);
        heap->bytes -= size;
        return;
    }
    b->next = heap->lists[class_of(size)];
    heap->lists[class_of(size)] = b;
}

static void *large(orr_heap *heap, void *ptr, size_t osize, size_t nsize)
{
    void *to = heap->alloc.fn(heap->alloc.ud, ptr, osize, nsize);
    if (to != NULL)
        heap->bytes += nsize - osize;
    return to;
}

void *orr_heap_lua(void *ud, void *ptr, size_t osize, size_t nsize)
{
    orr_heap *heap = ud;
    if (ptr == NULL)
        osize = 0; /* Lua tells there what kind of object it is */
    if (nsize == 0) {
        give(heap, ptr, osize);
        return NULL;
    }
    if (nsize > LARGEST && (osize > LARGEST || ptr == NULL))
        return large(heap, ptr, osize, nsize);
    if (ptr != NULL && osize <= LARGEST && nsize <= LARGEST && class_of(osize) == class_of(nsize))
        return ptr;
    void *to = nsize > LARGEST ? large(heap, NULL, 0, nsize) : take(heap, class_of(nsize));
    if (to == NULL)
        return nsize < osize && osize <= LARGEST ? ptr : NULL; /* Lua takes for granted that shrinking succeeds */
    if (ptr != NULL) {
        memcpy(to, ptr, osize < nsize ? osize : nsize);
        give(heap, ptr, osize);
    }
    return to;
}
