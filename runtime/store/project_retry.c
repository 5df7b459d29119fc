/* project_retry.c - the tables of a run that was set back, as runtime/core/setback.c sets the run itself back: nodes that failed or
 * were cancelled, and all that follows from them, are pending again; of a node with items that no such node comes before only
 * the items that did not complete. What they did before stays in attempts.
 */
#include "project_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct edge {
    uint32_t from, to;
} edge;

typedef struct setback {
    uint32_t n;        /* nodes */
    const char **names; /* of the definition, sorted; the node's index stands in `index` */
    uint32_t *index;
    bool *ignored;     /* on_error = "ignore": its failure is none */
    bool *back, *follows; /* it is set back; because of one before it */
    edge *edges;       /* by `from` */
    uint32_t n_edges, cap_edges;
    uint32_t *stack, depth;
} setback;

static void free_setback(setback *s)
{
    free(s->names);
    free(s->index);
    free(s->ignored);
    free(s->back);
    free(s->follows);
    free(s->edges);
    free(s->stack);
}

/* ---- what follows from what ---------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b, void *names)
{
    const char *const *all = names;
    return strcmp(all[*(const uint32_t *)a], all[*(const uint32_t *)b]);
}

static uint32_t find(const setback *s, const char *name)
{
    for (uint32_t low = 0, high = s->n; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(name, s->names[s->index[middle]]);
        if (order == 0)
            return s->index[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return ORR_NONE;
}

static orr_status add_edge(setback *s, orr_span from, uint32_t to)
{
    char room[256], *name = from.size < sizeof room ? room : malloc(from.size + 1);
    if (name == NULL)
        return ORR_ENOMEM;
    name[orr_json_text(from, name)] = 0;
    uint32_t node = find(s, name);
    if (name != room)
        free(name);
    if (node == ORR_NONE)
        return ORR_OK;
    if (s->n_edges == s->cap_edges) {
        uint32_t cap = s->cap_edges > 0 ? s->cap_edges * 2 : 64;
        edge *bigger = realloc(s->edges, cap * sizeof *bigger);
        if (bigger == NULL)
            return ORR_ENOMEM;
        s->edges = bigger;
        s->cap_edges = cap;
    }
    s->edges[s->n_edges++] = (edge){node, to};
    return ORR_OK;
}

/* `after` is a list of names, or of objects with the name as `node`. */
static orr_status add_edges(setback *s, orr_span after, uint32_t to)
{
    orr_status status = ORR_OK;
    orr_json_walk w;
    orr_span value;
    if (!orr_json_open(&w, after))
        return after.at != NULL ? add_edge(s, after, to) : ORR_OK;
    while (status == ORR_OK && orr_json_next(&w, NULL, &value)) {
        orr_span name = *value.at == '{' ? orr_json_member(value, "node") : value;
        if (name.at != NULL)
            status = add_edge(s, name, to);
    }
    return status;
}

static orr_status read_nodes(setback *s, orr_span definition)
{
    orr_status status = ORR_OK;
    orr_json_walk w;
    orr_span value;
    if (!orr_json_open(&w, orr_json_member(definition, "nodes")))
        return ORR_OK;
    for (uint32_t i = 0; i < s->n && status == ORR_OK && orr_json_next(&w, NULL, &value); i++) {
        s->ignored[i] = orr_json_is(orr_json_member(value, "on_error"), "ignore");
        status = add_edges(s, orr_json_member(value, "after"), i);
    }
    return status;
}

static int by_source(const void *a, const void *b)
{
    uint32_t x = ((const edge *)a)->from, y = ((const edge *)b)->from;
    return x < y ? -1 : x > y;
}

static orr_status make_setback(setback *s, const orr_run_entry *run)
{
    size_t n = run->nodes > 0 ? run->nodes : 1;
    *s = (setback){.n = run->nodes};
    s->names = calloc(n, sizeof *s->names);
    s->index = calloc(n, sizeof *s->index);
    s->ignored = calloc(n, sizeof *s->ignored);
    s->back = calloc(n, sizeof *s->back);
    s->follows = calloc(n, sizeof *s->follows);
    s->stack = calloc(n, sizeof *s->stack);
    if (s->names == NULL || s->index == NULL || s->ignored == NULL || s->back == NULL || s->follows == NULL || s->stack == NULL)
        return ORR_ENOMEM;
    for (uint32_t i = 0; i < s->n; i++) {
        s->names[i] = run->names != NULL && i < run->names->n_nodes ? run->names->nodes[i] : "";
        s->index[i] = i;
    }
    qsort_r(s->index, s->n, sizeof *s->index, by_name, s->names);
    return ORR_OK;
}

/* ---- setting back ------------------------------------------------------------------------------------------------------------ */

static void mark(setback *s, uint32_t node)
{
    if (s->back[node])
        return;
    s->back[node] = true;
    s->stack[s->depth++] = node;
}

static void follow(setback *s, uint32_t node)
{
    s->follows[node] = true;
    mark(s, node);
}

static void mark_what_follows(setback *s)
{
    while (s->depth > 0) {
        uint32_t node = s->stack[--s->depth], low = 0, high = s->n_edges;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (s->edges[middle].from < node)
                low = middle + 1;
            else
                high = middle;
        }
        for (; low < s->n_edges && s->edges[low].from == node; low++)
            follow(s, s->edges[low].to);
    }
}

static orr_status mark_roots(orr_projector *p, const orr_run_entry *run, setback *s)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *q = orr_projector_sql(p, SQL_READ_STATES, &status);
    int rc = SQLITE_DONE;
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, run->number);
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        int64_t idx = sqlite3_column_int64(q, 0);
        const char *state = (const char *)sqlite3_column_text(q, 1);
        if (idx < 0 || idx >= s->n || state == NULL)
            continue;
        bool failed = strcmp(state, "failed") == 0 && !s->ignored[idx];
        if (failed || strcmp(state, "cancelled") == 0)
            mark(s, (uint32_t)idx);
    }
    sqlite3_reset(q);
    return orr_sqlite_status(rc);
}

/* One of the statements below, about the node or its items. */
static orr_status change(orr_projector *p, const orr_run_entry *run, orr_project_sql which, uint32_t node, const char *state,
                         double started)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *q = orr_projector_sql(p, which, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, run->number);
    sqlite3_bind_int64(q, 2, node);
    if (state != NULL) {
        orr_bind_word(q, 3, state);
        sqlite3_bind_double(q, 4, started);
    }
    return orr_projector_do(q);
}

/* A node that has items and failed or was cancelled has at least one that did not complete. */
static orr_status reset_node(orr_projector *p, const orr_run_entry *run, uint32_t node, bool follows, double time)
{
    orr_status status = change(p, run, follows ? SQL_FORGET_ITEMS : SQL_RESET_ITEMS, node, NULL, 0);
    bool goes_on = !follows && sqlite3_changes(p->db) > 0;
    if (status != ORR_OK)
        return status;
    return change(p, run, SQL_RESET_NODE, node, goes_on ? "running" : "pending", goes_on ? time : (double)NAN);
}

static orr_status reset_nodes(orr_projector *p, const orr_run_entry *run, const setback *s, double time)
{
    orr_status status = ORR_OK;
    for (uint32_t i = 0; i < s->n && status == ORR_OK; i++)
        if (s->back[i])
            status = reset_node(p, run, i, s->follows[i], time);
    return status;
}

static orr_status count_again(orr_projector *p, orr_run_entry *run)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *q = orr_projector_sql(p, SQL_READ_STATES, &status);
    int rc;
    if (q == NULL)
        return status;
    memset(run->counts, 0, sizeof run->counts);
    run->running = run->waiting = 0;
    sqlite3_bind_int64(q, 1, run->number);
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        const char *state = (const char *)sqlite3_column_text(q, 1);
        for (int i = 0; state != NULL && i < ORR_NODE_STATE_COUNT; i++)
            if (strcmp(state, orr_node_state_name((orr_node_state)i)) == 0)
                orr_node_enter(run, &(orr_node_entry){.state = (orr_node_state)i});
    }
    sqlite3_reset(q);
    return orr_sqlite_status(rc);
}

orr_status orr_project_retried(orr_projector *p, orr_run_entry *run, double time)
{
    setback s;
    sqlite3_stmt *q = NULL;
    orr_span definition;
    orr_status status = make_setback(&s, run);
    if (status == ORR_OK && run->names != NULL) {
        status = orr_read_definition(p, run->names->hash, &q, &definition);
        if (status == ORR_OK && definition.at != NULL)
            status = read_nodes(&s, definition);
        sqlite3_reset(q);
    }
    if (s.n_edges > 0)
        qsort(s.edges, s.n_edges, sizeof *s.edges, by_source);
    if (status == ORR_OK)
        status = mark_roots(p, run, &s);
    if (status == ORR_OK) {
        mark_what_follows(&s);
        status = reset_nodes(p, run, &s, time);
    }
    free_setback(&s);
    return status == ORR_OK ? count_again(p, run) : status;
}
