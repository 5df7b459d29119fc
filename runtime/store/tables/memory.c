/* memory.c - the projector's arena and its map. */
#include "store/tables/inner.h"

#include <stdlib.h>
#include <string.h>

/* ---- the arena ------------------------------------------------------------------------------- */

enum { BLOCK = 64 * 1024 };

void *orr_arena_take(orr_arena *a, size_t size) {
    const size_t align = _Alignof(max_align_t);
    orr_block *b = a->blocks;
    size = (size + align - 1) / align * align;
    if (b == NULL || b->size - b->used < size) {
        size_t room = size > BLOCK ? size : BLOCK;
        b = malloc(sizeof *b + align + room);
        if (b == NULL) return NULL;
        *b = (orr_block){a->blocks, 0, room};
        a->blocks = b;
    }
    char *start = (char *)b + (sizeof *b + align - 1) / align * align;
    void *at = start + b->used;
    b->used += size;
    a->bytes += size;
    return at;
}

void orr_arena_clear(orr_arena *a) {
    orr_block *kept = NULL;
    for (orr_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        if (kept == NULL && b->size == BLOCK) kept = b;
        else free(b);
    }
    if (kept != NULL) *kept = (orr_block){NULL, 0, BLOCK};
    *a = (orr_arena){kept, 0};
}

void orr_arena_free(orr_arena *a) {
    for (orr_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *a = (orr_arena){NULL, 0};
}

/* ---- the map --------------------------------------------------------------------------------- */

/* FNV-1a over words instead of bytes (Fowler, Noll, Vo), its high half folded in. */
static uint32_t hash(const orr_key *key) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < 5; i++) h = (h ^ key->part[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h ^ h >> 29);
}

static bool same_key(const orr_key *a, const orr_key *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* The slot of the key, or the free one where it belongs. */
static uint32_t slot_of(const orr_key *keys, const uint32_t *slots, uint32_t cap, const orr_key *key) {
    uint32_t at = hash(key) & (cap - 1);
    while (slots[at] != 0 && !same_key(&keys[at], key)) at = (at + 1) & (cap - 1);
    return at;
}

static bool grow_map(orr_map *m) {
    uint32_t cap = m->cap > 0 ? m->cap * 2 : 256;
    orr_key *keys = malloc(cap * sizeof *keys);
    uint32_t *slots = calloc(cap, sizeof *slots);
    if (keys == NULL || slots == NULL) {
        free(keys);
        free(slots);
        return false;
    }
    for (uint32_t i = 0; i < m->cap; i++)
        if (m->slots[i] != 0) {
            uint32_t at = slot_of(keys, slots, cap, &m->keys[i]);
            keys[at] = m->keys[i];
            slots[at] = m->slots[i];
        }
    free(m->keys);
    free(m->slots);
    m->keys = keys;
    m->slots = slots;
    m->cap = cap;
    return true;
}

uint32_t orr_map_find(const orr_map *m, const orr_key *key) {
    /* 0 becomes ORR_NONE */
    return m->cap == 0 ? ORR_NONE : m->slots[slot_of(m->keys, m->slots, m->cap, key)] - 1;
}

bool orr_map_put(orr_map *m, const orr_key *key, uint32_t index) {
    if (m->n * 2 >= m->cap && !grow_map(m)) return false;
    uint32_t at = slot_of(m->keys, m->slots, m->cap, key);
    m->keys[at] = *key;
    m->slots[at] = index + 1;
    m->n++;
    return true;
}

void orr_map_clear(orr_map *m) {
    /* emptying what one large call left would cost every small one */
    if (m->cap > 4096 && m->n < m->cap / 16) {
        orr_map_free(m);
        return;
    }
    if (m->n > 0) memset(m->slots, 0, m->cap * sizeof *m->slots);
    m->n = 0;
}

void orr_map_free(orr_map *m) {
    free(m->keys);
    free(m->slots);
    *m = (orr_map){0};
}
