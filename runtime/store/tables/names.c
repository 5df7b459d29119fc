/* names.c - what a definition says: the names of nodes and outcomes, and what follows
 * from what. */
#include "store/tables/inner.h"

#include <stdlib.h>
#include <string.h>

/* Beyond these all names are read anew when they are needed. */
enum { MOST_BUNDLES = 64, MOST_NAMED = 1000 * 1000 };

/* ---- reading --------------------------------------------------------------------------------- */

static uint32_t length_of(orr_span list) {
    orr_json_walk w;
    orr_span value;
    uint32_t n = 0;
    if (orr_json_open(&w, list))
        while (orr_json_next(&w, NULL, &value)) n++;
    return n;
}

/* A node stands as an object with its name, an outcome as a string. */
static char *put_names(orr_span list, bool nodes, const char **names, char *text) {
    orr_json_walk w;
    orr_span value;
    if (!orr_json_open(&w, list)) return text;
    while (orr_json_next(&w, NULL, &value)) {
        orr_span name = nodes ? orr_json_member(value, "name") : value;
        *names++ = text;
        if (name.at != NULL) text += orr_json_text(name, text);
        *text++ = 0;
    }
    return text;
}

static int by_name(const void *a, const void *b) {
    return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

/* False when out of memory. */
static bool rank(orr_names *names) {
    const char ***sorted = malloc(((size_t)names->n_nodes + 1) * sizeof *sorted);
    if (sorted == NULL) return false;
    for (uint32_t i = 0; i < names->n_nodes; i++) sorted[i] = &names->nodes[i];
    qsort(sorted, names->n_nodes, sizeof *sorted, by_name);
    for (uint32_t i = 0; i < names->n_nodes; i++) names->ranks[sorted[i] - names->nodes] = i;
    free(sorted);
    return true;
}

static orr_names *names_new(const char *hash, orr_span definition) {
    orr_span nodes = orr_json_member(definition, "nodes"), ports = orr_json_member(definition, "ports");
    uint32_t n = length_of(nodes), m = length_of(ports);
    size_t hash_size = strlen(hash) + 1;
    /* a name takes no more room than its JSON with the quotes; one that is missing takes that of
     * "{}" or "," */
    size_t size = sizeof(orr_names) + ((size_t)n + m) * sizeof(char *) + n * sizeof(uint32_t) + hash_size +
                  nodes.size + ports.size;
    orr_names *names = malloc(size);
    if (names == NULL) return NULL;
    const char **list = (const char **)(names + 1);
    uint32_t *ranks = (uint32_t *)(void *)(list + n + m);
    char *text = (char *)(ranks + n);
    *names = (orr_names){.hash = text,
                         .nodes = list,
                         .ports = list + n,
                         .ranks = ranks,
                         .n_nodes = n,
                         .n_ports = m};
    memcpy(text, hash, hash_size);
    text = put_names(nodes, true, names->nodes, text + hash_size);
    put_names(ports, false, names->ports, text);
    if (rank(names)) return names;
    free(names);
    return NULL;
}

orr_status orr_read_definition(orr_projector *p, const char *hash, orr_store_row visit, void *ud) {
    orr_field key[] = {orr_field_text(hash)};
    return ORR_GET(p, ORR_READ_BUNDLE, key, visit, ud);
}

typedef struct reading {
    const char *hash;
    orr_names *names;
    bool there;
} reading;

static bool read_names(void *ud, const orr_field *values, size_t n) {
    reading *r = ud;
    orr_span definition = orr_field_words(&values[0]);
    (void)n;
    r->there = definition.at != NULL;
    if (r->there) r->names = names_new(r->hash, definition);
    return false;
}

orr_status orr_names_of(orr_projector *p, const char *hash, const orr_names **names) {
    *names = NULL;
    for (orr_names *n = p->names; n != NULL; n = n->next)
        if (strcmp(n->hash, hash) == 0) {
            *names = n;
            return ORR_OK;
        }
    reading r = {.hash = hash};
    orr_status status = orr_read_definition(p, hash, read_names, &r);
    if (status != ORR_OK || !r.there) return status;
    if (r.names == NULL) return ORR_ENOMEM;
    r.names->next = p->names;
    p->names = r.names;
    p->n_names++;
    p->n_named += r.names->n_nodes;
    *names = r.names;
    return ORR_OK;
}

void orr_names_free(orr_projector *p) {
    for (orr_names *n = p->names, *next; n != NULL; n = next) {
        next = n->next;
        free(n);
    }
    p->names = NULL;
    p->n_names = 0;
    p->n_named = 0;
}

void orr_names_trim(orr_projector *p) {
    if (p->n_names > MOST_BUNDLES || p->n_named > MOST_NAMED) orr_names_free(p);
}

const char *orr_node_name(const orr_run_entry *run, uint32_t idx, char room[16]) {
    if (run->names != NULL && idx < run->names->n_nodes) return run->names->nodes[idx];
    char *at = room + 15;
    *at = 0;
    for (uint64_t n = (uint64_t)idx + 1; n > 0; n /= 10) *--at = (char)('0' + n % 10);
    *--at = '#';
    return at;
}
