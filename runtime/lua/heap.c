/* heap.c - see heap.h
 *
 * Sizes are rounded up to 16 bytes and served from lists of free blocks, one a size (segregated
 * free lists, Wilson et al., "Dynamic storage allocation", 1995). Lists are filled a run at a time,
 * so that blocks of one size, which are mostly things of one kind made one after another, lie side
 * by side and share cache lines. What is larger goes to the allocator below.
 */
#include "lua/heap.h"

#include <stdbool.h>
#include <string.h>

enum { STEP = 16, LARGEST = 1024, CLASSES = LARGEST / STEP, RUN = 4096, CHUNK = 64 * 1024 };

typedef struct block {
    struct block *next;
} block;

typedef struct chunk {
    struct chunk *next;
    size_t size;
} chunk;

/* Memory that is being cut into blocks. */
typedef struct span {
    unsigned char *at, *end;
} span;

struct orr_heap {
    orr_alloc alloc;
    block *lists[CLASSES];
    span runs[CLASSES];
    chunk *chunks;
    span rest; /* of the latest chunk */
    size_t bytes;
};

static unsigned class_of(size_t size) {
    return (unsigned)((size + STEP - 1) / STEP - 1);
}

orr_heap *orr_heap_new(const orr_alloc *alloc) {
    orr_heap *heap = orr_mem_new(alloc, 1, sizeof *heap);
    if (heap != NULL) heap->alloc = *alloc;
    return heap;
}

void orr_heap_free(orr_heap *heap) {
    if (heap == NULL) return;
    orr_alloc alloc = heap->alloc;
    while (heap->chunks != NULL) {
        chunk *c = heap->chunks;
        heap->chunks = c->next;
        orr_mem_free(&alloc, c, 1, c->size);
    }
    orr_mem_free(&alloc, heap, 1, sizeof *heap);
}

size_t orr_heap_bytes(const orr_heap *heap) {
    return heap->bytes;
}

static bool add_chunk(orr_heap *heap) {
    chunk *c = heap->alloc.fn(heap->alloc.ud, NULL, 0, CHUNK);
    if (c == NULL) return false;
    c->next = heap->chunks;
    c->size = CHUNK;
    heap->chunks = c;
    /* the chunk's own page loses its head; the runs after it begin where pages do, where the
     * allocator's block does */
    heap->rest = (span){(unsigned char *)c + STEP, (unsigned char *)c + CHUNK};
    heap->bytes += CHUNK;
    return true;
}

/* A run for blocks of `size` bytes: a page, or what is left of the chunk where that is less and
 * holds a block. */
static bool add_run(orr_heap *heap, unsigned class, size_t size) {
    size_t left = (size_t)(heap->rest.end - heap->rest.at);
    if (left < size) {
        if (!add_chunk(heap)) return false;
        left = CHUNK - STEP;
    }
    size_t run = left < 2 * RUN ? left : RUN;
    heap->runs[class] = (span){heap->rest.at, heap->rest.at + run};
    heap->rest.at += run;
    return true;
}

static void *take(orr_heap *heap, unsigned class) {
    block *b = heap->lists[class];
    size_t size = (size_t)(class + 1) * STEP;
    if (b != NULL) {
        heap->lists[class] = b->next;
        return b;
    }
    span *run = &heap->runs[class];
    if ((size_t)(run->end - run->at) < size && !add_run(heap, class, size)) return NULL;
    b = (block *)(void *)run->at;
    run->at += size;
    return b;
}

static void give(orr_heap *heap, void *ptr, size_t size) {
    block *b = ptr;
    if (ptr == NULL || size == 0) return;
    if (size > LARGEST) {
        heap->alloc.fn(heap->alloc.ud, ptr, size, 0);
        heap->bytes -= size;
        return;
    }
    b->next = heap->lists[class_of(size)];
    heap->lists[class_of(size)] = b;
}

static void *large(orr_heap *heap, void *ptr, size_t osize, size_t nsize) {
    void *to = heap->alloc.fn(heap->alloc.ud, ptr, osize, nsize);
    if (to != NULL) heap->bytes += nsize - osize;
    return to;
}

void *orr_heap_lua(void *ud, void *ptr, size_t osize, size_t nsize) {
    orr_heap *heap = ud;
    if (ptr == NULL) osize = 0; /* Lua passes the kind of the object there */
    if (nsize == 0) {
        give(heap, ptr, osize);
        return NULL;
    }
    if (nsize > LARGEST && (osize > LARGEST || ptr == NULL)) return large(heap, ptr, osize, nsize);
    if (ptr != NULL && osize <= LARGEST && nsize <= LARGEST && class_of(osize) == class_of(nsize)) return ptr;
    void *to = nsize > LARGEST ? large(heap, NULL, 0, nsize) : take(heap, class_of(nsize));
    if (to == NULL) /* Lua takes for granted that shrinking succeeds */
        return nsize < osize && osize <= LARGEST ? ptr : NULL;
    if (ptr != NULL) {
        memcpy(to, ptr, osize < nsize ? osize : nsize);
        give(heap, ptr, osize);
    }
    return to;
}
