/* fresh.c - the rows of runs that have none yet: all of them at once, in the order of their keys,
 * so that a back end adds each behind the one before.
 */
#include "store/tables/inner.h"

#include <math.h>
#include <stdlib.h>

/* ---- in order -------------------------------------------------------------------------------- */

static int in_order(const void *a, const void *b) {
    const orr_key *x = &((const orr_place *)a)->key, *y = &((const orr_place *)b)->key;
    for (size_t i = 0; i < sizeof x->part / sizeof *x->part; i++)
        if (x->part[i] != y->part[i]) return x->part[i] < y->part[i] ? -1 : 1;
    return 0;
}

static orr_status reserve(orr_projector *p, uint32_t n) {
    if (n <= p->cap_places) return ORR_OK;
    orr_place *places = realloc(p->places, (size_t)n * 2 * sizeof *places);
    if (places == NULL) return ORR_ENOMEM;
    p->places = places;
    p->cap_places = n * 2;
    return ORR_OK;
}

static void sort(orr_place *places, uint32_t n) {
    uint32_t i = 1;
    while (i < n && in_order(&places[i - 1], &places[i]) < 0) i++;
    if (i < n) qsort(places, n, sizeof *places, in_order);
}

static uint32_t find_nodes(orr_projector *p) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const orr_node_entry *node = &p->nodes[i];
        if (p->runs[node->run].fresh) p->places[n++] = (orr_place){{{node->run, node->idx, node->item}}, i};
    }
    sort(p->places, n);
    return n;
}

/* By the names of their nodes, as the key of the table has them. */
static uint32_t find_attempts(orr_projector *p) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_attempts; i++) {
        const orr_attempt_entry *a = &p->attempts[i];
        const orr_run_entry *run = &p->runs[a->run];
        if (!run->fresh || !a->begun) continue;
        bool named = run->names != NULL && a->idx < run->names->n_nodes;
        uint32_t rank = named ? run->names->ranks[a->idx] : a->idx;
        p->places[n++] = (orr_place){{{a->run, rank, a->item, a->iteration, a->attempt}}, i};
    }
    sort(p->places, n);
    return n;
}

/* ---- one after another ----------------------------------------------------------------------- */

/* What is left of the places, and of the nodes of a run that no record has touched. */
typedef struct walk {
    orr_projector *p;
    uint32_t at, n;
    uint32_t run, pending;
    char room[16];
} walk;

static uint32_t names_in(const orr_run_entry *run) {
    return run->fresh && run->names != NULL ? run->names->n_nodes : 0;
}

/* The entry that is next where it is of the run and no pending node stands before it. */
static const orr_node_entry *next_entry(const walk *w) {
    const orr_node_entry *node = w->at < w->n ? &w->p->nodes[w->p->places[w->at].index] : NULL;
    if (node == NULL || node->run != w->run) return NULL;
    bool waits = w->pending < names_in(&w->p->runs[w->run]) &&
                 (w->pending < node->idx || (w->pending == node->idx && node->item > 0));
    return waits ? NULL : node;
}

static bool next_node(void *ud, orr_field *row) {
    walk *w = ud;
    for (; w->run < w->p->n_runs; w->run++, w->pending = 0) {
        const orr_run_entry *run = &w->p->runs[w->run];
        const orr_node_entry *node = next_entry(w);
        if (node == NULL && w->pending >= names_in(run)) continue;
        orr_node_entry none = {.idx = w->pending,
                               .iteration = 1,
                               .started = (double)NAN,
                               .ended = (double)NAN,
                               .due = (double)NAN};
        if (node != NULL) w->at++;
        else node = &none;
        if (w->pending <= node->idx) w->pending = node->idx + 1;
        orr_node_row(node, run, orr_node_name(run, node->idx, w->room), row);
        return true;
    }
    return false;
}

static bool next_attempt(void *ud, orr_field *row) {
    walk *w = ud;
    if (w->at == w->n) return false;
    const orr_attempt_entry *a = &w->p->attempts[w->p->places[w->at++].index];
    const orr_run_entry *run = &w->p->runs[a->run];
    orr_attempt_row(a, run, orr_node_name(run, a->idx, w->room), row);
    return true;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool any_fresh(const orr_projector *p) {
    bool any = false;
    for (uint32_t i = 0; i < p->n_runs && !any; i++) any = p->runs[i].fresh;
    return any;
}

orr_status orr_rows_insert_fresh(orr_projector *p) {
    if (!any_fresh(p)) return ORR_OK;
    orr_status status = reserve(p, p->n_nodes > p->n_attempts ? p->n_nodes : p->n_attempts);
    if (status != ORR_OK) return status;
    walk nodes = {.p = p, .n = find_nodes(p)};
    status = p->sink->insert(p->sink, ORR_WRITE_NODE_NEW, next_node, &nodes);
    if (status != ORR_OK) return status;
    walk attempts = {.p = p, .n = find_attempts(p)};
    return attempts.n > 0 ? p->sink->insert(p->sink, ORR_WRITE_ATTEMPT_NEW, next_attempt, &attempts) : ORR_OK;
}
