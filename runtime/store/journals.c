/* journals.c - journals by the id of their run; see backend.h */
#include "store/backend.h"

#include <string.h>

static uint32_t bucket_of(const uint8_t run[16], uint32_t n_buckets) {
    return (uint32_t)orr_id_hash(run) & (n_buckets - 1);
}

orr_journal *orr_journals_find(const orr_journals *t, const uint8_t run[16]) {
    if (t->n_buckets == 0) return NULL;
    orr_journal *j = t->buckets[bucket_of(run, t->n_buckets)];
    while (j != NULL && memcmp(j->run, run, sizeof j->run) != 0) j = j->next;
    return j;
}

/* Without memory for wider buckets the chains get longer: slower, never wrong. False only where
 * there are none yet. */
static bool widen(orr_journals *t, const orr_alloc *alloc) {
    uint32_t n = t->n_buckets > 0 ? t->n_buckets * 2 : 16;
    orr_journal **buckets = orr_mem_new(alloc, n, sizeof(orr_journal *));
    if (buckets == NULL) return t->n_buckets > 0;
    for (uint32_t i = 0; i < t->n_buckets; i++)
        for (orr_journal *j = t->buckets[i], *next; j != NULL; j = next) {
            next = j->next;
            uint32_t at = bucket_of(j->run, n);
            j->next = buckets[at];
            buckets[at] = j;
        }
    orr_mem_free(alloc, t->buckets, t->n_buckets, sizeof(orr_journal *));
    t->buckets = buckets;
    t->n_buckets = n;
    return true;
}

bool orr_journals_add(orr_journals *t, const orr_alloc *alloc, orr_journal *journal) {
    if (t->n >= t->n_buckets && !widen(t, alloc)) return false;
    orr_journal **bucket = &t->buckets[bucket_of(journal->run, t->n_buckets)];
    journal->next = *bucket;
    *bucket = journal;
    t->n++;
    return true;
}

void orr_journals_remove(orr_journals *t, orr_journal *journal) {
    orr_journal **link = &t->buckets[bucket_of(journal->run, t->n_buckets)];
    while (*link != journal) link = &(*link)->next;
    *link = journal->next;
    t->n--;
}

orr_journal *orr_journals_any(const orr_journals *t) {
    for (uint32_t i = 0; i < t->n_buckets; i++)
        if (t->buckets[i] != NULL) return t->buckets[i];
    return NULL;
}

void orr_journals_free(orr_journals *t, const orr_alloc *alloc) {
    orr_mem_free(alloc, t->buckets, t->n_buckets, sizeof(orr_journal *));
    *t = (orr_journals){0};
}
