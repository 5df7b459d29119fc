/* by_id.c - the runs of a runtime that are not freed, by their ids: a hash table with chains, as
 * wide as it has runs. */
#include "run/inner.h"
#include <string.h>

enum { FIRST_BUCKETS = 16 };

static orr_runbox **bucket_of(const orr_run_table *t, const uint8_t id[16]) {
    return &t->buckets[orr_id_hash(id) & (t->n_buckets - 1)];
}

/* Without memory for wider buckets the chains get longer: slower, never wrong. False only where
 * there are none yet. */
static bool widen(orr_rtbox *rt) {
    orr_run_table old = rt->by_id, *t = &rt->by_id;
    const orr_alloc *alloc = &rt->base.script->alloc;
    uint32_t n = old.n_buckets > 0 ? old.n_buckets * 2 : FIRST_BUCKETS;
    orr_runbox **buckets = n > old.n_buckets ? orr_mem_new(alloc, n, sizeof(orr_runbox *)) : NULL;
    if (!buckets) return old.n_buckets > 0;
    t->buckets = buckets;
    t->n_buckets = n;
    for (uint32_t i = 0; i < old.n_buckets; i++)
        for (orr_runbox *r = old.buckets[i], *next; r; r = next) {
            orr_runbox **bucket = bucket_of(t, orr_run_id_of(r->run));
            next = r->same_bucket;
            r->same_bucket = *bucket;
            *bucket = r;
        }
    orr_mem_free(alloc, old.buckets, old.n_buckets, sizeof(orr_runbox *));
    return true;
}

bool orr_run_table_reserve(orr_rtbox *rt) {
    return rt->by_id.n < rt->by_id.n_buckets || widen(rt);
}

void orr_run_table_add(orr_rtbox *rt, orr_runbox *r) {
    orr_runbox **bucket = bucket_of(&rt->by_id, orr_run_id_of(r->run));
    r->same_bucket = *bucket;
    *bucket = r;
    rt->by_id.n++;
}

void orr_run_table_remove(orr_rtbox *rt, orr_runbox *r) {
    orr_runbox **link = bucket_of(&rt->by_id, orr_run_id_of(r->run));
    while (*link != r) link = &(*link)->same_bucket;
    *link = r->same_bucket;
    rt->by_id.n--;
}

void orr_run_table_free(orr_rtbox *rt) {
    orr_run_table *t = &rt->by_id;
    if (t->buckets) /* a runtime that could not be made has no script */
        orr_mem_free(&rt->base.script->alloc, t->buckets, t->n_buckets, sizeof(orr_runbox *));
    *t = (orr_run_table){0};
}

orr_runbox *orr_run_by_id(const orr_rtbox *rt, const uint8_t id[16]) {
    if (rt->by_id.n == 0) return NULL;
    for (orr_runbox *r = *bucket_of(&rt->by_id, id); r; r = r->same_bucket)
        if (r->live && memcmp(orr_run_id_of(r->run), id, 16) == 0) return r;
    return NULL;
}
