/* project_names.c - what a definition says: the names of nodes and outcomes, and what follows from what. */
#include "project_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond these all names are read anew when they are needed. */
enum { MOST_BUNDLES = 64, MOST_NAMED = 1000 * 1000 };

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

static uint32_t length_of(orr_span list)
{
    orr_json_walk w;
    orr_span value;
    uint32_t n = 0;
    if (orr_json_open(&w, list))
        while (orr_json_next(&w, NULL, &value))
            n++;
    return n;
}

/* A node stands as an object with its name, an outcome as a string. */
static char *put_names(orr_span list, bool nodes, const char **names, char *text)
{
    orr_json_walk w;
    orr_span value;
    if (!orr_json_open(&w, list))
        return text;
    while (orr_json_next(&w, NULL, &value)) {
        orr_span name = nodes ? orr_json_member(value, "name") : value;
        *names++ = text;
        if (name.at != NULL)
            text += orr_json_text(name, text);
        *text++ = 0;
    }
    return text;
}

static orr_names *names_new(const char *hash, orr_span definition)
{
    orr_span nodes = orr_json_member(definition, "nodes"), ports = orr_json_member(definition, "ports");
    uint32_t n = length_of(nodes), m = length_of(ports);
    size_t hash_size = strlen(hash) + 1;
    /* a name takes no more room than its JSON with the quotes; one that is missing takes that of "{}" or "," */
    size_t size = sizeof(orr_names) + ((size_t)n + m) * sizeof(char *) + hash_size + nodes.size + ports.size;
    orr_names *names = malloc(size);
    if (names == NULL)
        return NULL;
    const char **list = (const char **)(names + 1);
    char *text = (char *)(list + n + m);
    *names = (orr_names){.hash = text, .nodes = list, .ports = list + n, .n_nodes = n, .n_ports = m};
    memcpy(text, hash, hash_size);
    text = put_names(nodes, true, names->nodes, text + hash_size);
    put_names(ports, false, names->ports, text);
    return names;
}

orr_status orr_read_definition(orr_projector *p, const char *hash, sqlite3_stmt **s, orr_span *definition)
{
    orr_status status = ORR_OK;
    *definition = (orr_span){NULL, 0};
    *s = orr_projector_sql(p, SQL_READ_BUNDLE, &status);
    if (*s == NULL)
        return status;
    sqlite3_bind_text(*s, 1, hash, -1, SQLITE_TRANSIENT);
    int rc = sqlite3_step(*s);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(*s, 0);
        *definition = (orr_span){text, (size_t)sqlite3_column_bytes(*s, 0)};
    }
    return orr_sqlite_status(rc);
}

orr_status orr_names_of(orr_projector *p, const char *hash, const orr_names **names)
{
    sqlite3_stmt *s;
    orr_span definition;
    *names = NULL;
    for (orr_names *n = p->names; n != NULL; n = n->next)
        if (strcmp(n->hash, hash) == 0) {
            *names = n;
            return ORR_OK;
        }
    orr_status status = orr_read_definition(p, hash, &s, &definition);
    if (status == ORR_OK && definition.at != NULL) {
        orr_names *n = names_new(hash, definition);
        if (n != NULL) {
            n->next = p->names;
            p->names = n;
            p->n_names++;
            p->n_named += n->n_nodes;
            *names = n;
        } else {
            status = ORR_ENOMEM;
        }
    }
    sqlite3_reset(s);
    return status;
}

void orr_names_free(orr_projector *p)
{
    for (orr_names *n = p->names, *next; n != NULL; n = next) {
        next = n->next;
        free(n);
    }
    p->names = NULL;
    p->n_names = 0;
    p->n_named = 0;
}

void orr_names_trim(orr_projector *p)
{
    if (p->n_names > MOST_BUNDLES || p->n_named > MOST_NAMED)
        orr_names_free(p);
}

const char *orr_node_name(const orr_run_entry *run, uint32_t idx, char room[16])
{
    if (run->names != NULL && idx < run->names->n_nodes)
        return run->names->nodes[idx];
    snprintf(room, 16, "#%llu", (unsigned long long)idx + 1);
    return room;
}
