/* memory_state.c - state between runs in memory: a hash table with chains, as wide as it is
 * full. */
#include "store/memory_state.h"

#include <string.h>

typedef struct orr_memory_value {
    struct orr_memory_value *next;
    uint64_t hash;
    size_t size; /* of the block */
    orr_field values[ORR_STATE_KEPT];
    char bytes[];
} orr_memory_value;

/* ---- looking up ------------------------------------------------------------------------------ */

/* FNV-1a (Fowler, Noll, Vo). */
static uint64_t add_bytes(uint64_t hash, const orr_field *v) {
    const unsigned char *bytes = v->bytes;
    for (size_t i = 0; i < v->size; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3); /* no text has this byte: it ends the first */
}

static uint64_t hash_of(const orr_field *workflow, const orr_field *key) {
    return add_bytes(add_bytes(UINT64_C(0xcbf29ce484222325), workflow), key);
}

static bool same_text(const orr_field *v, const orr_field *w) {
    return v->size == w->size && memcmp(v->bytes, w->bytes, v->size) == 0;
}

/* The link to the value of that key, or to where one would stand; the table has buckets. */
static orr_memory_value **link_to(const orr_memory_state *t, const orr_field *workflow,
                                  const orr_field *key) {
    uint64_t hash = hash_of(workflow, key);
    orr_memory_value **link = &t->buckets[hash & (t->n_buckets - 1)];
    for (; *link != NULL; link = &(*link)->next) {
        const orr_field *kept = (*link)->values;
        if ((*link)->hash == hash && same_text(&kept[ORR_STATE_WORKFLOW], workflow) &&
            same_text(&kept[ORR_STATE_KEY], key))
            break;
    }
    return link;
}

const orr_field *orr_memory_state_find(const orr_memory_state *t, const orr_field *workflow,
                                       const orr_field *key) {
    const orr_memory_value *v = t->n_buckets > 0 ? *link_to(t, workflow, key) : NULL;
    return v != NULL ? v->values : NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

static double seconds_of(const orr_field *v) {
    return v->type == ORR_FIELD_INTEGER ? (double)v->integer : v->real;
}

/* What has expired is not there. */
static bool holds(const orr_field *kept, const orr_field *write) {
    const orr_field *expected = &write[ORR_STATE_EXPECTED];
    if (expected->type == ORR_FIELD_NULL) return true;
    bool there = kept != NULL &&
                 (kept[ORR_STATE_EXPIRES].type == ORR_FIELD_NULL ||
                  seconds_of(&kept[ORR_STATE_EXPIRES]) > seconds_of(&write[ORR_STATE_WRITTEN]));
    return there ? same_text(&kept[ORR_STATE_VERSION], expected) : expected->size == 0;
}

static bool widen(orr_memory_state *t, const orr_alloc *alloc) {
    uint32_t n_buckets = t->n_buckets > 0 ? t->n_buckets * 2 : 16;
    orr_memory_value **buckets = orr_mem_new(alloc, n_buckets, sizeof(orr_memory_value *));
    if (buckets == NULL) return false;
    for (uint32_t i = 0; i < t->n_buckets; i++)
        for (orr_memory_value *v = t->buckets[i], *next; v != NULL; v = next) {
            orr_memory_value **bucket = &buckets[v->hash & (n_buckets - 1)];
            next = v->next;
            v->next = *bucket;
            *bucket = v;
        }
    orr_mem_free(alloc, t->buckets, t->n_buckets, sizeof(orr_memory_value *));
    t->buckets = buckets;
    t->n_buckets = n_buckets;
    return true;
}

/* Frees what the link leads to. */
static void drop(orr_memory_state *t, const orr_alloc *alloc, orr_memory_value **link) {
    orr_memory_value *v = *link;
    *link = v->next;
    t->n--;
    orr_mem_free(alloc, v, v->size, 1);
}

static orr_memory_value *copy(const orr_alloc *alloc, const orr_field *write) {
    size_t size = sizeof(orr_memory_value);
    for (int i = 0; i < ORR_STATE_KEPT; i++)
        if (write[i].type >= ORR_FIELD_TEXT) size += write[i].size;
    orr_memory_value *v = orr_mem_new(alloc, size, 1);
    if (v == NULL) return NULL;
    v->size = size;
    v->hash = hash_of(&write[ORR_STATE_WORKFLOW], &write[ORR_STATE_KEY]);
    char *at = v->bytes;
    for (int i = 0; i < ORR_STATE_KEPT; i++) {
        v->values[i] = write[i];
        if (write[i].type < ORR_FIELD_TEXT) continue;
        v->values[i].bytes = at;
        if (write[i].size > 0) memcpy(at, write[i].bytes, write[i].size);
        at += write[i].size;
    }
    return v;
}

bool orr_memory_state_write(orr_memory_state *t, const orr_alloc *alloc, const orr_field *write, bool *made) {
    const orr_field *workflow = &write[ORR_STATE_WORKFLOW], *key = &write[ORR_STATE_KEY];
    *made = holds(orr_memory_state_find(t, workflow, key), write);
    if (!*made) return true;
    bool removes = write[ORR_STATE_VALUE].type == ORR_FIELD_NULL;
    if (t->n >= t->n_buckets && !widen(t, alloc)) return false;
    orr_memory_value *v = removes ? NULL : copy(alloc, write);
    if (v == NULL && !removes) return false;
    orr_memory_value **link = link_to(t, workflow, key);
    if (*link != NULL) drop(t, alloc, link);
    if (v == NULL) return true;
    v->next = *link;
    *link = v;
    t->n++;
    return true;
}

void orr_memory_state_free(orr_memory_state *t, const orr_alloc *alloc) {
    for (uint32_t i = 0; i < t->n_buckets; i++)
        while (t->buckets[i] != NULL) drop(t, alloc, &t->buckets[i]);
    orr_mem_free(alloc, t->buckets, t->n_buckets, sizeof(orr_memory_value *));
    *t = (orr_memory_state){0};
}
