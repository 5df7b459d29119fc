/* memory.c - the store that keeps journals in memory: one growing block of bytes a run. */
#include "store.h"

#include <string.h>

/* A run's records one after another, each behind its size. */
typedef struct journal {
    uint8_t run[16];
    struct journal *next; /* in its bucket */
    uint64_t last;        /* sequence number of the last record */
    unsigned char *bytes;
    size_t used, capacity;
} journal;

typedef struct memory_store {
    orr_store base;
    journal **buckets;
    uint32_t n_buckets, n_journals;
} memory_store;

/* A run's id is a UUIDv7, whose last eight bytes are random enough to be their own hash. */
static uint32_t bucket_of(const uint8_t run[16], uint32_t n_buckets)
{
    uint64_t h;
    memcpy(&h, run + 8, sizeof h);
    h *= UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing (Knuth, TAOCP 3, 6.4) */
    return (uint32_t)(h >> 32) & (n_buckets - 1);
}

static journal *find(const memory_store *s, const uint8_t run[16])
{
    if (s->n_buckets == 0)
        return NULL;
    journal *j = s->buckets[bucket_of(run, s->n_buckets)];
    while (j != NULL && memcmp(j->run, run, sizeof j->run) != 0)
        j = j->next;
    return j;
}

/* Without memory for wider buckets the chains get longer: slower, never wrong. False only where there are none yet. */
static bool widen(memory_store *s)
{
    uint32_t n = s->n_buckets > 0 ? s->n_buckets * 2 : 16;
    journal **buckets = orr_mem_new(&s->base.alloc, n, sizeof(journal *));
    if (buckets == NULL)
        return s->n_buckets > 0;
    for (uint32_t i = 0; i < s->n_buckets; i++)
        for (journal *j = s->buckets[i], *next; j != NULL; j = next) {
            next = j->next;
            uint32_t at = bucket_of(j->run, n);
            j->next = buckets[at];
            buckets[at] = j;
        }
    orr_mem_free(&s->base.alloc, s->buckets, s->n_buckets, sizeof(journal *));
    s->buckets = buckets;
    s->n_buckets = n;
    return true;
}

static journal *create(memory_store *s, const uint8_t run[16])
{
    if (s->n_journals >= s->n_buckets && !widen(s))
        return NULL;
    journal *j = orr_mem_new(&s->base.alloc, 1, sizeof *j);
    if (j == NULL)
        return NULL;
    memcpy(j->run, run, sizeof j->run);
    journal **bucket = &s->buckets[bucket_of(run, s->n_buckets)];
    j->next = *bucket;
    *bucket = j;
    s->n_journals++;
    return j;
}

static bool reserve(memory_store *s, journal *j, size_t more)
{
    if (more <= j->capacity - j->used)
        return true;
    if (more > SIZE_MAX / 2 - j->capacity)
        return false;
    size_t capacity = j->capacity * 2 > j->used + more ? j->capacity * 2 : j->used + more;
    unsigned char *bytes = orr_mem_resize(&s->base.alloc, j->bytes, j->capacity, capacity, 1);
    if (bytes == NULL)
        return false;
    j->bytes = bytes;
    j->capacity = capacity;
    return true;
}

static orr_status append(orr_store *store, const uint8_t run[16], uint64_t seq, const void *bytes, size_t size)
{
    memory_store *s = (memory_store *)store;
    journal *j = find(s, run);
    if (seq != (j != NULL ? j->last + 1 : 1))
        return ORR_EINVAL;
    if (j == NULL && (j = create(s, run)) == NULL)
        return ORR_ENOMEM;
    if (size > SIZE_MAX - sizeof size || !reserve(s, j, sizeof size + size))
        return ORR_ENOMEM;
    memcpy(j->bytes + j->used, &size, sizeof size);
    memcpy(j->bytes + j->used + sizeof size, bytes, size);
    j->used += sizeof size + size;
    j->last = seq;
    return ORR_OK;
}

static uint64_t durable(orr_store *store, const uint8_t run[16])
{
    const journal *j = find((memory_store *)store, run);
    return j != NULL ? j->last : 0;
}

static orr_status read_journal(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud)
{
    const journal *j = find((memory_store *)store, run);
    if (j == NULL)
        return ORR_ENOTFOUND;
    uint64_t seq = 0;
    for (size_t at = 0; at < j->used;) {
        size_t size;
        memcpy(&size, j->bytes + at, sizeof size);
        at += sizeof size;
        if (++seq > after && !visit(ud, seq, j->bytes + at, size))
            break;
        at += size;
    }
    return ORR_OK;
}

static void free_journal(memory_store *s, journal *j)
{
    orr_mem_free(&s->base.alloc, j->bytes, j->capacity, 1);
    orr_mem_free(&s->base.alloc, j, 1, sizeof *j);
}

static orr_status drop(orr_store *store, const uint8_t run[16])
{
    memory_store *s = (memory_store *)store;
    journal *j = find(s, run);
    if (j == NULL)
        return ORR_ENOTFOUND;
    journal **link = &s->buckets[bucket_of(run, s->n_buckets)];
    while (*link != j)
        link = &(*link)->next;
    *link = j->next;
    s->n_journals--;
    free_journal(s, j);
    return ORR_OK;
}

static void close_store(orr_store *store)
{
    memory_store *s = (memory_store *)store;
    orr_alloc alloc = store->alloc;
    for (uint32_t i = 0; i < s->n_buckets; i++)
        while (s->buckets[i] != NULL) {
            journal *j = s->buckets[i];
            s->buckets[i] = j->next;
            free_journal(s, j);
        }
    orr_mem_free(&alloc, s->buckets, s->n_buckets, sizeof(journal *));
    orr_mem_free(&alloc, s, 1, sizeof *s);
}

orr_store *orr_store_memory(const orr_alloc *alloc)
{
    static const orr_store_class class = {"memory", append, durable, read_journal, drop, close_store};
    memory_store *s = orr_mem_new(alloc, 1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->base.class = &class;
    s->base.alloc = *alloc;
    return &s->base;
}
