/* retry.c - the tables of a run that was set back, as runtime/core/setback.c sets the run
 * itself back: nodes that failed or were cancelled, and all that follows from them, are pending
 * again; of a node with items that no such node comes before only the items that did not complete,
 * where it is asked for also of one that completed.
 * What they did before stays in attempts.
 */
#include "store/tables/inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct edge {
    uint32_t from, to;
} edge;

typedef struct setback {
    uint32_t n;         /* nodes */
    const char **names; /* of the definition, sorted; the node's index stands in `index` */
    uint32_t *index;
    bool *ignored;        /* on_error = "ignore": its failure is none */
    bool *bounded;        /* each_parallel: an item has to get a place first */
    bool *back, *follows; /* it is set back; because of one before it */
    edge *edges;          /* by `from` */
    uint32_t n_edges, cap_edges;
    uint32_t *stack, depth;
} setback;

static void free_setback(setback *s) {
    free(s->names);
    free(s->index);
    free(s->ignored);
    free(s->bounded);
    free(s->back);
    free(s->follows);
    free(s->edges);
    free(s->stack);
}

/* ---- what follows from what ------------------------------------------------------------------ */

static int by_name(const void *a, const void *b, void *names) {
    const char *const *all = names;
    return strcmp(all[*(const uint32_t *)a], all[*(const uint32_t *)b]);
}

static uint32_t find(const setback *s, const char *name) {
    for (uint32_t low = 0, high = s->n; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(name, s->names[s->index[middle]]);
        if (order == 0) return s->index[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return ORR_NONE;
}

static orr_status add_edge(setback *s, orr_span from, uint32_t to) {
    char room[256], *name = from.size < sizeof room ? room : malloc(from.size + 1);
    if (name == NULL) return ORR_ENOMEM;
    name[orr_json_text(from, name)] = 0;
    uint32_t node = find(s, name);
    if (name != room) free(name);
    if (node == ORR_NONE) return ORR_OK;
    if (s->n_edges == s->cap_edges) {
        uint32_t cap = s->cap_edges > 0 ? s->cap_edges * 2 : 64;
        edge *bigger = realloc(s->edges, cap * sizeof *bigger);
        if (bigger == NULL) return ORR_ENOMEM;
        s->edges = bigger;
        s->cap_edges = cap;
    }
    s->edges[s->n_edges++] = (edge){node, to};
    return ORR_OK;
}

/* `after` is a list of names, or of objects with the name as `node`. */
static orr_status add_edges(setback *s, orr_span after, uint32_t to) {
    orr_status status = ORR_OK;
    orr_json_walk w;
    orr_span value;
    if (!orr_json_open(&w, after)) return after.at != NULL ? add_edge(s, after, to) : ORR_OK;
    while (status == ORR_OK && orr_json_next(&w, NULL, &value)) {
        orr_span name = *value.at == '{' ? orr_json_member(value, "node") : value;
        if (name.at != NULL) status = add_edge(s, name, to);
    }
    return status;
}

static orr_status read_nodes(setback *s, orr_span definition) {
    orr_status status = ORR_OK;
    orr_json_walk w;
    orr_span value;
    if (!orr_json_open(&w, orr_json_member(definition, "nodes"))) return ORR_OK;
    for (uint32_t i = 0; i < s->n && status == ORR_OK && orr_json_next(&w, NULL, &value); i++) {
        s->ignored[i] = orr_json_is(orr_json_member(value, "on_error"), "ignore");
        s->bounded[i] = orr_json_member(value, "each_parallel").at != NULL;
        status = add_edges(s, orr_json_member(value, "after"), i);
    }
    return status;
}

static int by_source(const void *a, const void *b) {
    uint32_t x = ((const edge *)a)->from, y = ((const edge *)b)->from;
    return x < y ? -1 : x > y;
}

static orr_status make_setback(setback *s, const orr_run_entry *run) {
    size_t n = run->nodes > 0 ? run->nodes : 1;
    *s = (setback){.n = run->nodes};
    s->names = calloc(n, sizeof *s->names);
    s->index = calloc(n, sizeof *s->index);
    s->ignored = calloc(n, sizeof *s->ignored);
    s->bounded = calloc(n, sizeof *s->bounded);
    s->back = calloc(n, sizeof *s->back);
    s->follows = calloc(n, sizeof *s->follows);
    s->stack = calloc(n, sizeof *s->stack);
    if (s->names == NULL || s->index == NULL || s->ignored == NULL || s->bounded == NULL || s->back == NULL ||
        s->follows == NULL || s->stack == NULL)
        return ORR_ENOMEM;
    for (uint32_t i = 0; i < s->n; i++) {
        s->names[i] = run->names != NULL && i < run->names->n_nodes ? run->names->nodes[i] : "";
        s->index[i] = i;
    }
    qsort_r(s->index, s->n, sizeof *s->index, by_name, s->names);
    return ORR_OK;
}

/* ---- setting back ---------------------------------------------------------------------------- */

static void mark(setback *s, uint32_t node) {
    if (s->back[node]) return;
    s->back[node] = true;
    s->stack[s->depth++] = node;
}

static void follow(setback *s, uint32_t node) {
    s->follows[node] = true;
    mark(s, node);
}

static void mark_what_follows(setback *s) {
    while (s->depth > 0) {
        uint32_t node = s->stack[--s->depth], low = 0, high = s->n_edges;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (s->edges[middle].from < node) low = middle + 1;
            else high = middle;
        }
        for (; low < s->n_edges && s->edges[low].from == node; low++) follow(s, s->edges[low].to);
    }
}

static bool is_word(orr_span word, const char *text) {
    return word.at != NULL && word.size == strlen(text) && memcmp(word.at, text, word.size) == 0;
}

static bool mark_root(void *ud, const orr_field *values, size_t n) {
    enum { IDX, STATE };
    setback *s = ud;
    int64_t idx = orr_field_number(&values[IDX]);
    orr_span state = orr_field_words(&values[STATE]);
    (void)n;
    if (idx < 0 || idx >= s->n) return true;
    bool failed = is_word(state, "failed") && !s->ignored[idx];
    if (failed || is_word(state, "cancelled")) mark(s, (uint32_t)idx);
    return true;
}

static bool mark_lacking(void *ud, const orr_field *values, size_t n) {
    setback *s = ud;
    int64_t idx = orr_field_number(&values[0]);
    (void)n;
    if (idx >= 0 && idx < s->n) mark(s, (uint32_t)idx);
    return true;
}

/* A node that has items and failed or was cancelled has at least one that did not complete. */
static orr_status reset_node(orr_projector *p, const orr_run_entry *run, uint32_t node, const setback *s,
                             double time) {
    orr_field row[] = {orr_field_integer(run->number), orr_field_integer(node), orr_field_text("pending"),
                       orr_field_real((double)NAN)};
    const orr_field items[] = {row[0], row[1], orr_field_text(s->bounded[node] ? "pending" : "ready")};
    uint64_t changed = 0;
    orr_status status = s->follows[node] ? p->sink->write(p->sink, ORR_WRITE_ITEMS_GONE, row, 2, NULL)
                                         : p->sink->write(p->sink, ORR_WRITE_ITEMS_RESET, items, 3, &changed);
    if (status != ORR_OK) return status;
    if (changed > 0) {
        row[2] = orr_field_text("running");
        row[3] = orr_field_real(time);
    }
    return ORR_PUT(p, ORR_WRITE_NODE_RESET, row);
}

static orr_status reset_nodes(orr_projector *p, const orr_run_entry *run, const setback *s, double time) {
    orr_status status = ORR_OK;
    for (uint32_t i = 0; i < s->n && status == ORR_OK; i++)
        if (s->back[i]) status = reset_node(p, run, i, s, time);
    return status;
}

static bool count_node(void *ud, const orr_field *values, size_t n) {
    orr_span state = orr_field_words(&values[1]);
    (void)n;
    for (int i = 0; i < ORR_NODE_STATE_COUNT; i++)
        if (is_word(state, orr_node_state_name((orr_node_state)i)))
            orr_node_enter(ud, &(orr_node_entry){.state = (orr_node_state)i});
    return true;
}

static orr_status count_again(orr_projector *p, orr_run_entry *run) {
    orr_field key[] = {orr_field_integer(run->number)};
    memset(run->counts, 0, sizeof run->counts);
    run->running = run->waiting = 0;
    return ORR_GET(p, ORR_READ_NODES, key, count_node, run);
}

typedef struct reading {
    setback *s;
    orr_status status;
} reading;

static bool read_definition(void *ud, const orr_field *values, size_t n) {
    reading *r = ud;
    orr_span definition = orr_field_words(&values[0]);
    (void)n;
    if (definition.at != NULL) r->status = read_nodes(r->s, definition);
    return false;
}

orr_status orr_project_retried(orr_projector *p, orr_run_entry *run, bool items, double time) {
    setback s;
    orr_field key[] = {orr_field_integer(run->number)};
    orr_status status = make_setback(&s, run);
    if (status == ORR_OK && run->names != NULL) {
        reading r = {.s = &s};
        status = orr_read_definition(p, run->names->hash, read_definition, &r);
        if (status == ORR_OK) status = r.status;
    }
    if (s.n_edges > 0) qsort(s.edges, s.n_edges, sizeof *s.edges, by_source);
    if (status == ORR_OK) status = ORR_GET(p, ORR_READ_NODES, key, mark_root, &s);
    if (status == ORR_OK && items) status = ORR_GET(p, ORR_READ_NODES_LACKING, key, mark_lacking, &s);
    if (status == ORR_OK) {
        mark_what_follows(&s);
        status = reset_nodes(p, run, &s, time);
    }
    free_setback(&s);
    return status == ORR_OK ? count_again(p, run) : status;
}
