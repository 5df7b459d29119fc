/* heap.c - see heap.h
 *
 * Sizes are rounded up to one of some classes, in steps of 16 bytes and then of a quarter, and
 * served from slabs of one class (Bonwick, "The slab allocator", 1994): a slab has its free blocks
 * in a list, and is found from a block by its address. Blocks of one size, which are mostly things
 * of one kind made one after another, lie side by side and share cache lines. Slabs are cut out of
 * regions; a region of which no slab is in use goes back, but for one. Nothing here depends on how
 * much there is: each call takes a bounded number of steps. What is larger goes to the allocator
 * below.
 */
#include "lua/heap.h"

#include <stdbool.h>
#include <string.h>

enum {
    STEP = 16,
    FINE = 1024, /* up to here classes are STEP apart */
    LARGEST = 8192,
    N_FINE = FINE / STEP,
    CLASSES = N_FINE + 12, /* four to each doubling */
    SLAB = 64 * 1024,
    SLABS = 16,                  /* of a region */
    REGION = SLAB * (SLABS + 1), /* one more, since they begin at multiples of their size */
    LINE = 64
};

typedef struct block {
    struct block *next;
} block;

typedef struct region {
    struct region *next, *prev;    /* of those with a slab that is not in use */
    struct region *after, *before; /* of all */
    unsigned char *from, *slabs;
    uint32_t unused; /* a bit for each slab */
} region;

/* The head of a slab. */
typedef struct slab {
    struct slab *next, *prev; /* of its class, of those that are not full */
    region *region;
    block *free;
    unsigned char *at, *end; /* what was never a block */
    uint32_t live, class;
    bool full;
} slab;
_Static_assert(sizeof(slab) <= LINE * 2, "a slab's head takes two cache lines");

struct orr_heap {
    orr_alloc alloc;
    slab *open[CLASSES];
    region *roomy, *regions;
    uint32_t n_idle; /* regions of which no slab is in use */
    size_t bytes;
};

/* ---- classes --------------------------------------------------------------------------------- */

static unsigned class_of(size_t size) {
    if (size <= FINE) return (unsigned)((size + STEP - 1) / STEP - 1);
    unsigned class = N_FINE;
    size_t base = FINE;
    while (size > base * 2) {
        base *= 2;
        class += 4;
    }
    return class + (unsigned)((size - base + base / 4 - 1) / (base / 4)) - 1;
}

static size_t size_of(unsigned class) {
    if (class < N_FINE) return (size_t)(class + 1) * STEP;
    size_t base = (size_t)FINE << (class - N_FINE) / 4;
    return base + base / 4 * ((class - N_FINE) % 4 + 1);
}

/* ---- regions and slabs ----------------------------------------------------------------------- */

/* The heads of slabs stand at different places, so that they do not meet in one set of the
 * processor's cache. */
static slab *head_of(uintptr_t base) {
    return (slab *)(base + base / SLAB % (4096 / LINE) * LINE); /* NOLINT(performance-no-int-to-ptr) */
}

static slab *slab_of(const void *ptr) {
    return head_of((uintptr_t)ptr & ~(uintptr_t)(SLAB - 1));
}

static void link_region(orr_heap *heap, region *r) {
    r->prev = NULL;
    r->next = heap->roomy;
    if (r->next != NULL) r->next->prev = r;
    heap->roomy = r;
}

static void unlink_region(orr_heap *heap, const region *r) {
    if (r->prev != NULL) r->prev->next = r->next;
    else heap->roomy = r->next;
    if (r->next != NULL) r->next->prev = r->prev;
}

static bool add_region(orr_heap *heap) {
    region *r = heap->alloc.fn(heap->alloc.ud, NULL, 0, sizeof *r);
    unsigned char *from = r != NULL ? heap->alloc.fn(heap->alloc.ud, NULL, 0, REGION) : NULL;
    if (from == NULL) {
        if (r != NULL) heap->alloc.fn(heap->alloc.ud, r, sizeof *r, 0);
        return false;
    }
    *r = (region){.from = from, .unused = (1u << SLABS) - 1, .after = heap->regions};
    if (r->after != NULL) r->after->before = r;
    heap->regions = r;
    r->slabs = from + (SLAB - (uintptr_t)from % SLAB) % SLAB;
    link_region(heap, r);
    heap->n_idle++;
    heap->bytes += REGION;
    return true;
}

static void drop_region(orr_heap *heap, region *r) {
    unlink_region(heap, r);
    if (r->before != NULL) r->before->after = r->after;
    else heap->regions = r->after;
    if (r->after != NULL) r->after->before = r->before;
    heap->alloc.fn(heap->alloc.ud, r->from, REGION, 0);
    heap->alloc.fn(heap->alloc.ud, r, sizeof *r, 0);
    heap->bytes -= REGION;
    heap->n_idle--;
}

static void link_slab(orr_heap *heap, slab *s) {
    s->prev = NULL;
    s->next = heap->open[s->class];
    if (s->next != NULL) s->next->prev = s;
    heap->open[s->class] = s;
}

static void unlink_slab(orr_heap *heap, const slab *s) {
    if (s->prev != NULL) s->prev->next = s->next;
    else heap->open[s->class] = s->next;
    if (s->next != NULL) s->next->prev = s->prev;
}

static slab *add_slab(orr_heap *heap, unsigned class) {
    if (heap->roomy == NULL && !add_region(heap)) return NULL;
    region *r = heap->roomy;
    unsigned i = (unsigned)__builtin_ctz(r->unused);
    if (r->unused == (1u << SLABS) - 1) heap->n_idle--;
    r->unused &= r->unused - 1;
    if (r->unused == 0) unlink_region(heap, r);
    unsigned char *base = r->slabs + (size_t)i * SLAB;
    slab *s = head_of((uintptr_t)base);
    *s = (slab){.region = r, .class = class, .end = base + SLAB};
    s->at = (unsigned char *)s + LINE * 2;
    link_slab(heap, s);
    return s;
}

static void drop_slab(orr_heap *heap, slab *s) {
    region *r = s->region;
    unsigned i = (unsigned)((size_t)((unsigned char *)s - r->slabs) / SLAB);
    unlink_slab(heap, s);
    if (r->unused == 0) link_region(heap, r);
    r->unused |= 1u << i;
    if (r->unused != (1u << SLABS) - 1) return;
    heap->n_idle++;
    if (heap->n_idle > 1) drop_region(heap, r);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void *take(orr_heap *heap, unsigned class) {
    size_t size = size_of(class);
    slab *s = heap->open[class];
    while (s == NULL || (s->free == NULL && (size_t)(s->end - s->at) < size)) {
        if (s == NULL) {
            if ((s = add_slab(heap, class)) == NULL) return NULL;
            continue;
        }
        unlink_slab(heap, s);
        s->full = true;
        s = heap->open[class];
    }
    s->live++;
    block *b = s->free;
    if (b != NULL) {
        s->free = b->next;
        return b;
    }
    b = (block *)(void *)s->at;
    s->at += size;
    return b;
}

static void give(orr_heap *heap, void *ptr) {
    block *b = ptr;
    slab *s = slab_of(ptr);
    b->next = s->free;
    s->free = b;
    s->live--;
    if (s->full) {
        s->full = false;
        link_slab(heap, s);
    }
    /* the last one of its class is kept: it would be wanted again at once */
    if (s->live == 0 && (s->next != NULL || s->prev != NULL)) drop_slab(heap, s);
}

static void *large(orr_heap *heap, void *ptr, size_t osize, size_t nsize) {
    void *to = heap->alloc.fn(heap->alloc.ud, ptr, osize, nsize);
    if (to != NULL || nsize == 0) heap->bytes += nsize - osize;
    return to;
}

/* ---- the heap -------------------------------------------------------------------------------- */

orr_heap *orr_heap_new(const orr_alloc *alloc) {
    orr_heap *heap = orr_mem_new(alloc, 1, sizeof *heap);
    if (heap != NULL) heap->alloc = *alloc;
    return heap;
}

void orr_heap_free(orr_heap *heap) {
    if (heap == NULL) return;
    orr_alloc alloc = heap->alloc;
    while (heap->regions != NULL) {
        region *r = heap->regions;
        heap->regions = r->after;
        alloc.fn(alloc.ud, r->from, REGION, 0);
        alloc.fn(alloc.ud, r, sizeof *r, 0);
    }
    orr_mem_free(&alloc, heap, 1, sizeof *heap);
}

size_t orr_heap_bytes(const orr_heap *heap) {
    return heap->bytes;
}

/* A block that stays where it is: its class, or its being large, does not change. */
static bool stays(size_t osize, size_t nsize) {
    return osize <= LARGEST && nsize <= LARGEST && class_of(osize) == class_of(nsize);
}

static void release(orr_heap *heap, void *ptr, size_t osize) {
    if (osize > LARGEST) large(heap, ptr, osize, 0);
    else if (ptr != NULL && osize > 0) give(heap, ptr);
}

void *orr_heap_lua(void *ud, void *ptr, size_t osize, size_t nsize) {
    orr_heap *heap = ud;
    if (ptr == NULL) osize = 0; /* Lua passes the kind of the object there */
    if (nsize == 0) {
        release(heap, ptr, osize);
        return NULL;
    }
    if (nsize > LARGEST && (osize > LARGEST || ptr == NULL)) return large(heap, ptr, osize, nsize);
    if (ptr != NULL && stays(osize, nsize)) return ptr;
    void *to = nsize > LARGEST ? large(heap, NULL, 0, nsize) : take(heap, class_of(nsize));
    if (to == NULL) /* Lua takes for granted that shrinking succeeds */
        return nsize < osize && osize <= LARGEST ? ptr : NULL;
    if (ptr != NULL) {
        memcpy(to, ptr, osize < nsize ? osize : nsize);
        release(heap, ptr, osize);
    }
    return to;
}
