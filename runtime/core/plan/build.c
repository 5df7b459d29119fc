/* build.c - the builder: collects nodes and edges, then compiles them into compressed
 * sparse rows (CSR), both ways, with two counting sorts. */
#include "core/plan/inner.h"

#include <string.h>

static const int64_t DEFAULT_CLEANUP_TIMEOUT = 30 * INT64_C(1000000000);

/* ---- begin and abandon ----------------------------------------------------------------------- */

static orr_plan *new_plan(const orr_alloc *alloc, const orr_plan_options *options) {
    const char *name = options->name ? options->name : "workflow";
    size_t size = strlen(name) + 1;
    orr_plan *plan = orr_mem_new(alloc, 1, sizeof *plan);
    if (!plan) return NULL;
    plan->alloc = *alloc;
    plan->refs = 1;
    plan->on_error = (orr_on_error)options->on_error;
    plan->concurrency = options->concurrency;
    plan->timeout = options->timeout;
    plan->cleanup_timeout = options->cleanup_timeout ? options->cleanup_timeout : DEFAULT_CLEANUP_TIMEOUT;
    plan->name = orr_mem_resize(alloc, NULL, 0, size, 1);
    if (!plan->name) {
        orr_plan_unref(plan);
        return NULL;
    }
    memcpy(plan->name, name, size);
    return plan;
}

orr_plan_builder *orr_plan_begin(const orr_alloc *alloc, const orr_plan_options *options) {
    static const orr_alloc heap = {orr_alloc_libc, NULL};
    static const orr_plan_options defaults = {0};
    if (!alloc) alloc = &heap;
    orr_plan_builder *b = orr_mem_new(alloc, 1, sizeof *b);
    if (!b) return NULL;
    b->alloc = *alloc;
    b->policy_of.size = sizeof(uint16_t);
    b->name_at.size = sizeof(uint32_t);
    b->names.size = 1;
    b->policies.size = sizeof(orr_policy);
    b->ports.size = sizeof(char *);
    b->edges.size = sizeof(orr_edge);
    b->kinds.size = sizeof(orr_edge_kind);
    b->forward = true;
    /* Where the heap put the builder is hard to guess, so names chosen to collide do not;
     * nothing but the place of entries in tables depends on it. */
    b->hash_seed = (uint64_t)(uintptr_t)b * 0x9e3779b97f4a7c15u;
    b->plan = new_plan(alloc, options ? options : &defaults);
    if (!b->plan || orr_policies_begin(b) != ORR_OK) {
        orr_plan_abandon(b);
        return NULL;
    }
    return b;
}

void orr_plan_abandon(orr_plan_builder *b) {
    if (!b) return;
    orr_alloc alloc = b->alloc;
    orr_vec *vecs[] = {&b->policy_of, &b->name_at, &b->names, &b->policies, &b->ports, &b->edges, &b->kinds};
    for (size_t i = 0; i < sizeof vecs / sizeof *vecs; i++) orr_vec_free(&alloc, vecs[i]);
    orr_table_free(&alloc, &b->policy_index);
    orr_table_free(&alloc, &b->port_index);
    orr_chunk_free(&alloc, b->strings);
    orr_plan_unref(b->plan);
    orr_mem_free(&alloc, b, 1, sizeof *b);
}

orr_status orr_plan_reserve(orr_plan_builder *b, uint32_t nodes, uint32_t edges) {
    size_t n = b->policy_of.count, m = b->edges.count;
    if (nodes > n && orr_vec_reserve(&b->alloc, &b->policy_of, nodes - n) != ORR_OK) return ORR_ENOMEM;
    if (edges > m && orr_vec_reserve(&b->alloc, &b->edges, edges - m) != ORR_OK) return ORR_ENOMEM;
    return ORR_OK;
}

/* ---- nodes and edges ------------------------------------------------------------------------- */

/* Records a node's name, or that it has none once others have. */
static orr_status add_name(orr_plan_builder *b, const char *name, size_t len) {
    size_t node = b->policy_of.count;
    size_t missing = node - b->name_at.count;
    if (b->names.count + len + 1 >= ORR_NONE) return ORR_ENOMEM; /* offsets have 32 bits */
    if (orr_vec_reserve(&b->alloc, &b->name_at, missing + 1) != ORR_OK) return ORR_ENOMEM;
    if (len && orr_vec_reserve(&b->alloc, &b->names, len + 1) != ORR_OK) return ORR_ENOMEM;
    uint32_t *name_at = b->name_at.data;
    memset(name_at + b->name_at.count, 0xff, missing * sizeof *name_at); /* ORR_NONE */
    b->name_at.count = node + 1;
    name_at[node] = len ? (uint32_t)b->names.count : ORR_NONE;
    if (len) {
        char *at = (char *)b->names.data + b->names.count;
        memcpy(at, name, len);
        at[len] = 0;
        b->names.count += len + 1;
    }
    return ORR_OK;
}

orr_status orr_plan_node(orr_plan_builder *b, const char *name, size_t len, uint16_t policy,
                         uint32_t *index) {
    size_t node = b->policy_of.count;
    if (policy >= b->policies.count || (name && memchr(name, 0, len))) return ORR_EINVAL;
    if (node >= ORR_NONE - 1) return ORR_ENOMEM;
    if (node == b->policy_of.room && orr_vec_reserve(&b->alloc, &b->policy_of, 1) != ORR_OK)
        return ORR_ENOMEM;
    if (!name) len = 0;
    if ((len || b->name_at.count) && add_name(b, name, len) != ORR_OK) return ORR_ENOMEM;
    ((uint16_t *)b->policy_of.data)[node] = policy;
    b->policy_of.count++;
    if (index) *index = (uint32_t)node;
    return ORR_OK;
}

static orr_status add_kind(orr_plan_builder *b, uint16_t port, bool when) {
    size_t edge = b->edges.count;
    if (orr_vec_reserve(&b->alloc, &b->kinds, edge - b->kinds.count + 1) != ORR_OK) return ORR_ENOMEM;
    orr_edge_kind *kinds = b->kinds.data;
    /* the edges before the first one that needs a kind */
    while (b->kinds.count < edge) kinds[b->kinds.count++] = (orr_edge_kind){.port = ORR_PORT_ANY};
    kinds[b->kinds.count++] = (orr_edge_kind){.port = port, .when = when};
    return ORR_OK;
}

orr_status orr_plan_edge(orr_plan_builder *b, uint32_t from, uint32_t to, uint16_t port, bool when) {
    if (port != ORR_PORT_ANY && port >= b->ports.count) return ORR_EINVAL;
    size_t edge = b->edges.count;
    if (edge >= ORR_NONE - 1) return ORR_ENOMEM;
    if (edge == b->edges.room && orr_vec_reserve(&b->alloc, &b->edges, 1) != ORR_OK) return ORR_ENOMEM;
    if ((port != ORR_PORT_ANY || when || b->kinds.count) && add_kind(b, port, when) != ORR_OK)
        return ORR_ENOMEM;
    ((orr_edge *)b->edges.data)[edge] = (orr_edge){from, to};
    b->edges.count++;
    uint32_t higher = from > to ? from : to;
    if (higher > b->highest) b->highest = higher;
    if (from >= to) b->forward = false;
    if (from == to) b->has_self = true;
    return ORR_OK;
}

/* ---- compiling ------------------------------------------------------------------------------- */

/* Hands what the builder collected about nodes to the plan. */
static orr_status seal_nodes(orr_plan_builder *b) {
    orr_plan *plan = b->plan;
    orr_vec *vecs[] = {&b->policy_of, &b->name_at, &b->names, &b->policies, &b->ports};
    for (size_t i = 0; i < sizeof vecs / sizeof *vecs; i++)
        if (orr_vec_trim(&b->alloc, vecs[i]) != ORR_OK) return ORR_ENOMEM;
    plan->n_nodes = (uint32_t)b->policy_of.count;
    plan->policy_of = b->policy_of.data;
    plan->name_at = b->name_at.data;
    plan->names_size = b->names.count;
    plan->names = b->names.data;
    plan->n_policies = (uint32_t)b->policies.count;
    plan->policies = b->policies.data;
    plan->n_ports = (uint32_t)b->ports.count;
    plan->ports = b->ports.data;
    plan->strings = b->strings;
    b->strings = NULL;
    for (size_t i = 0; i < sizeof vecs / sizeof *vecs; i++) *vecs[i] = (orr_vec){0};
    return ORR_OK;
}

/* Whether every node, as long as it does not fail, only waits for all of its dependencies and
 * runs once, unbounded, and need not be remembered once it has. */
static bool policies_allow_fast_path(const orr_plan *plan) {
    for (uint32_t i = 0; i < plan->n_policies; i++) {
        const orr_policy *p = &plan->policies[i];
        bool asks = p->has_when || p->has_each || p->has_loop || p->pool_is_dynamic || p->has_compensate;
        bool bounded = p->timeout > 0 || p->deadline > 0 || p->heartbeat > 0 || p->pool != NULL ||
                       p->breaker != NULL;
        if (p->join != ORR_JOIN_ALL || p->watches || asks || bounded) return false;
    }
    return true;
}

/* Splits ports and flags by edge number. */
static orr_status seal_kinds(orr_plan_builder *b) {
    orr_plan *plan = b->plan;
    const orr_edge_kind *kinds = b->kinds.data;
    plan->plain = b->kinds.count == 0;
    plan->fast_path = plan->plain && policies_allow_fast_path(plan);
    if (plan->plain) return ORR_OK;
    plan->edge_port = orr_mem_resize(&b->alloc, NULL, 0, plan->n_edges, sizeof *plan->edge_port);
    plan->edge_when = orr_mem_resize(&b->alloc, NULL, 0, plan->n_edges, sizeof *plan->edge_when);
    if (!plan->edge_port || !plan->edge_when) return ORR_ENOMEM;
    for (uint32_t e = 0; e < plan->n_edges; e++) {
        plan->edge_port[e] = kinds[e].port;
        plan->edge_when[e] = kinds[e].when;
    }
    return ORR_OK;
}

/* One direction of the graph. `ends` holds from and to by turns; `key` says which of them (0 or
 * 1) the edges are grouped by. The sort is stable, so edges of a node keep the order of their
 * creation. */
typedef struct side {
    int key;
    uint32_t **first, **other, **edge;
} side;

static orr_status build_side(const orr_plan *plan, const uint32_t *ends, side s) {
    size_t n = plan->n_nodes, m = plan->n_edges;
    uint32_t *first = *s.first = orr_mem_new(&plan->alloc, n + 1, sizeof *first);
    if (!first) return ORR_ENOMEM;
    if (m == 0) return ORR_OK;
    uint32_t *other = *s.other = orr_mem_resize(&plan->alloc, NULL, 0, m, sizeof *other);
    uint32_t *edge = *s.edge = plan->plain ? NULL : orr_mem_resize(&plan->alloc, NULL, 0, m, sizeof *edge);
    if (!other || (!edge && !plan->plain)) return ORR_ENOMEM;
    const uint32_t *key = ends + s.key, *value = ends + !s.key;
    /* first[k + 1] is the number of edges of k, then where they begin, then, as each takes a
     * place, where they end, which is where those of k + 1 begin */
    for (size_t e = 0; e < m; e++) first[key[2 * e] + 1]++;
    uint32_t sum = 0;
    for (size_t k = 1; k <= n; k++) {
        uint32_t degree = first[k];
        first[k] = sum;
        sum += degree;
    }
    for (size_t e = 0; e < m; e++) {
        uint32_t at = first[key[2 * e] + 1]++;
        other[at] = value[2 * e];
        if (edge) edge[at] = (uint32_t)e;
    }
    return ORR_OK;
}

static orr_status seal_edges(orr_plan_builder *b) {
    orr_plan *plan = b->plan;
    plan->n_edges = (uint32_t)b->edges.count;
    plan->forward = b->forward;
    _Static_assert(sizeof(orr_edge) == 2 * sizeof(uint32_t), "edges are pairs of indices");
    const uint32_t *ends = b->edges.data;
    if (seal_kinds(b) != ORR_OK) return ORR_ENOMEM;
    orr_vec_free(&b->alloc, &b->kinds);
    side in = {1, &plan->in_first, &plan->in_from, &plan->in_edge};
    side out = {0, &plan->out_first, &plan->out_to, &plan->out_edge};
    if (build_side(plan, ends, in) != ORR_OK || build_side(plan, ends, out) != ORR_OK) return ORR_ENOMEM;
    orr_vec_free(&b->alloc, &b->edges);
    return ORR_OK;
}

static orr_status compile(orr_plan_builder *b, orr_problems *problems) {
    if (seal_nodes(b) != ORR_OK) return ORR_ENOMEM;
    if (b->plan->n_nodes == 0) orr_complain(problems, (orr_problem){.kind = ORR_BAD_EMPTY});
    orr_check_ends(b, problems);
    if (seal_edges(b) != ORR_OK) return ORR_ENOMEM;
    if (orr_check_names(b->plan, b->hash_seed, problems) != ORR_OK) return ORR_ENOMEM;
    if (orr_check_edges(b->plan, b->counts_need, problems) != ORR_OK) return ORR_ENOMEM;
    if (orr_plan_layers(b->plan, problems) != ORR_OK) return ORR_ENOMEM;
    return problems->count ? ORR_EINVAL : orr_plan_rank(b->plan);
}

orr_status orr_plan_end(orr_plan_builder *b, orr_problem_fn report, void *ud, orr_plan **plan) {
    orr_problems problems = {.report = report, .ud = ud};
    orr_status status = compile(b, &problems);
    *plan = NULL;
    if (status == ORR_OK) {
        *plan = b->plan;
        b->plan = NULL;
    }
    orr_plan_abandon(b);
    return status;
}
