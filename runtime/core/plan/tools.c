/* tools.c - growing arrays, a hash table of indices and a string store, for those who build
 * plans. */
#include "core/plan/inner.h"

#include <string.h>

/* ---- arrays ---------------------------------------------------------------------------------- */

enum { FIRST_ROOM = 8 };

orr_status orr_vec_reserve(const orr_alloc *alloc, orr_vec *vec, size_t more) {
    size_t need;
    if (__builtin_add_overflow(vec->count, more, &need)) return ORR_ENOMEM;
    if (need <= vec->room) return ORR_OK;
    size_t room = vec->room < FIRST_ROOM ? FIRST_ROOM : vec->room * 2;
    if (room < need) room = need;
    void *data = orr_mem_resize(alloc, vec->data, vec->room, room, vec->size);
    if (!data) return ORR_ENOMEM;
    vec->data = data;
    vec->room = room;
    return ORR_OK;
}

orr_status orr_vec_trim(const orr_alloc *alloc, orr_vec *vec) {
    if (vec->count == vec->room) return ORR_OK;
    void *data = orr_mem_resize(alloc, vec->data, vec->room, vec->count, vec->size);
    if (!data && vec->count) return ORR_ENOMEM;
    vec->data = data;
    vec->room = vec->count;
    return ORR_OK;
}

void orr_vec_free(const orr_alloc *alloc, orr_vec *vec) {
    orr_mem_free(alloc, vec->data, vec->room, vec->size);
    vec->data = NULL;
    vec->count = vec->room = 0;
}

/* ---- table ----------------------------------------------------------------------------------- */

static void rehash(orr_table *table, const struct orr_slot *old, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (old[i].index == ORR_NONE) continue;
        size_t at = orr_table_start(table, old[i].hash);
        while (table->slots[at].index != ORR_NONE) at = (at + 1) & (table->room - 1);
        table->slots[at] = old[i];
    }
}

orr_status orr_table_reserve(const orr_alloc *alloc, orr_table *table, size_t n) {
    size_t room = table->room ? table->room : FIRST_ROOM;
    while (room / 4 * 3 < n) { /* at most three quarters full */
        if (room > SIZE_MAX / 2) return ORR_ENOMEM;
        room *= 2;
    }
    if (room == table->room) return ORR_OK;
    struct orr_slot *slots = orr_mem_resize(alloc, NULL, 0, room, sizeof *slots);
    if (!slots) return ORR_ENOMEM;
    memset(slots, 0xff, room * sizeof *slots); /* index ORR_NONE: a free slot */
    orr_table old = *table;
    table->slots = slots;
    table->room = room;
    rehash(table, old.slots, old.room);
    orr_table_free(alloc, &old);
    return ORR_OK;
}

size_t orr_table_start(const orr_table *table, uint32_t hash) {
    return hash & (table->room - 1);
}

uint32_t orr_table_next(const orr_table *table, uint32_t hash, size_t *at) {
    for (;; *at = (*at + 1) & (table->room - 1)) {
        struct orr_slot slot = table->slots[*at];
        if (slot.index == ORR_NONE) return ORR_NONE;
        if (slot.hash != hash) continue;
        *at = (*at + 1) & (table->room - 1);
        return slot.index;
    }
}

void orr_table_put(orr_table *table, size_t at, uint32_t hash, uint32_t index) {
    table->slots[at] = (struct orr_slot){hash, index};
    table->count++;
}

void orr_table_free(const orr_alloc *alloc, orr_table *table) {
    orr_mem_free(alloc, table->slots, table->room, sizeof *table->slots);
    *table = (orr_table){0};
}

/* Multiply and shift over words of eight bytes, the golden ratio being the factor (Knuth, TAOCP
 * 3, 6.4). The lowest byte of a word comes first, so that it is the same on every system. */
uint64_t orr_hash_bytes(uint64_t seed, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    uint64_t h = seed ^ n;
    for (; n > 0;) {
        uint64_t word = 0;
        size_t k = n < sizeof word ? n : sizeof word;
        memcpy(&word, p, k);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
        p += k;
        n -= k;
    }
    return h * 0x9e3779b97f4a7c15u;
}

/* ---- strings --------------------------------------------------------------------------------- */

enum { FIRST_CHUNK = 256, LAST_CHUNK = 65536 };

static orr_chunk *add_chunk(const orr_alloc *alloc, orr_chunk **chunks, size_t bytes) {
    size_t room = *chunks ? (*chunks)->room * 2 : FIRST_CHUNK;
    if (room > LAST_CHUNK) room = LAST_CHUNK;
    if (room < bytes) room = bytes;
    orr_chunk *chunk = room > SIZE_MAX - sizeof *chunk
                           ? NULL
                           : orr_mem_resize(alloc, NULL, 0, sizeof *chunk + room, 1);
    if (!chunk) return NULL;
    *chunk = (orr_chunk){.next = *chunks, .room = room};
    return *chunks = chunk;
}

void *orr_chunk_take(const orr_alloc *alloc, orr_chunk **chunks, size_t bytes) {
    size_t align = sizeof(void *);
    if (bytes > SIZE_MAX - align) return NULL;
    bytes = (bytes + align - 1) / align * align;
    orr_chunk *chunk = *chunks;
    if (!chunk || chunk->room - chunk->used < bytes) chunk = add_chunk(alloc, chunks, bytes);
    if (!chunk) return NULL;
    void *at = (char *)(chunk + 1) + chunk->used;
    chunk->used += bytes;
    return at;
}

void orr_chunk_free(const orr_alloc *alloc, orr_chunk *chunks) {
    while (chunks) {
        orr_chunk *next = chunks->next;
        orr_mem_free(alloc, chunks, sizeof *chunks + chunks->room, 1);
        chunks = next;
    }
}

size_t orr_chunk_bytes(const orr_chunk *chunks) {
    size_t bytes = 0;
    for (; chunks; chunks = chunks->next) bytes += sizeof *chunks + chunks->room;
    return bytes;
}
