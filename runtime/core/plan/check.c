/* check.c - mistakes in a plan other than cycles. Each check looks at everything and goes
 * on after a find. */
#include "core/plan/inner.h"

#include <string.h>

/* ---- ends of edges --------------------------------------------------------------------------- */

void orr_check_ends(orr_plan_builder *b, orr_problems *problems) {
    size_t n = b->plan->n_nodes, kept = 0;
    orr_edge *edges = b->edges.data;
    orr_edge_kind *kinds = b->kinds.data;
    if (b->edges.count == 0 || (b->highest < n && !b->has_self)) return;
    for (size_t e = 0; e < b->edges.count; e++) {
        orr_problem problem = {.a = edges[e].from, .b = edges[e].to};
        bool unknown = edges[e].from >= n || edges[e].to >= n;
        if (unknown || edges[e].from == edges[e].to) {
            problem.kind = unknown ? ORR_BAD_UNKNOWN_NODE : ORR_BAD_SELF_EDGE;
            orr_complain(problems, problem);
            continue;
        }
        edges[kept] = edges[e];
        if (kinds) kinds[kept] = kinds[e];
        kept++;
    }
    b->edges.count = kept;
    if (b->kinds.count) b->kinds.count = kept;
}

/* ---- names ----------------------------------------------------------------------------------- */

orr_status orr_check_names(const orr_plan *plan, uint64_t hash_seed, orr_problems *problems) {
    if (!plan->names) return ORR_OK;
    orr_table table = {0};
    if (orr_table_reserve(&plan->alloc, &table, plan->n_nodes) != ORR_OK) return ORR_ENOMEM;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const char *name = orr_plan_name(plan, i);
        if (!name) continue;
        uint32_t hash = orr_hash_fold(orr_hash_bytes(hash_seed, name, strlen(name)));
        size_t at = orr_table_start(&table, hash);
        uint32_t other;
        do other = orr_table_next(&table, hash, &at);
        while (other != ORR_NONE && strcmp(orr_plan_name(plan, other), name) != 0);
        if (other == ORR_NONE) orr_table_put(&table, at, hash, i);
        else orr_complain(problems, (orr_problem){.kind = ORR_BAD_DUPLICATE_NAME, .a = i, .b = other});
    }
    orr_table_free(&plan->alloc, &table);
    return ORR_OK;
}

/* ---- edges between the same two nodes -------------------------------------------------------- */

/* Marks are stamps that differ for each group looked at, so that nothing need be cleared between
 * two. */
typedef struct pairs {
    const orr_plan *plan;
    orr_problems *problems;
    uint32_t *from_mark; /* by node: 1 + the last dependent that was seen to depend on it */
    /* the rest is made only when some node depends on another one twice */
    uint32_t *chain;     /* by node: its first slot among the edges into the present node */
    uint32_t *next;      /* by slot: the next one with the same origin, or ORR_NONE */
    uint32_t *port_mark; /* by port, plain edges last: the last group it was seen in */
    uint32_t group;
} pairs;

static uint32_t count_origins(const pairs *p, uint32_t node) {
    uint32_t count = 0;
    for (uint32_t s = p->plan->in_first[node]; s < p->plan->in_first[node + 1]; s++) {
        uint32_t *mark = &p->from_mark[p->plan->in_from[s]];
        count += *mark != node + 1;
        *mark = node + 1;
    }
    return count;
}

static orr_status prepare_groups(pairs *p) {
    const orr_plan *plan = p->plan;
    if (!p->chain) p->chain = orr_mem_resize(&plan->alloc, NULL, 0, plan->n_nodes, sizeof *p->chain);
    if (!p->next) p->next = orr_mem_resize(&plan->alloc, NULL, 0, plan->n_edges, sizeof *p->next);
    if (!p->port_mark) p->port_mark = orr_mem_new(&plan->alloc, plan->n_ports + 1, sizeof *p->port_mark);
    return p->chain && p->next && p->port_mark ? ORR_OK : ORR_ENOMEM;
}

/* Looks at all edges from one node to another, which are chained from slot `s`. */
static void examine_group(pairs *p, uint32_t node, uint32_t s) {
    const orr_plan *plan = p->plan;
    orr_problem problem = {.kind = ORR_BAD_DUPLICATE_EDGE, .a = plan->in_from[s], .b = node};
    bool has_plain = false, has_port = false;
    p->group++;
    for (; s != ORR_NONE; s = p->next[s]) {
        uint16_t port = plan->plain ? ORR_PORT_ANY : plan->edge_port[plan->in_edge[s]];
        uint32_t *mark = &p->port_mark[port == ORR_PORT_ANY ? plan->n_ports : port];
        if (*mark == p->group) orr_complain(p->problems, problem);
        *mark = p->group;
        has_plain |= port == ORR_PORT_ANY;
        has_port |= port != ORR_PORT_ANY;
    }
    problem.kind = ORR_BAD_MIXED_EDGE;
    if (has_plain && has_port) orr_complain(p->problems, problem);
}

/* Groups the edges into a node by origin and looks at each group of more than one. */
static orr_status examine_repeats(pairs *p, uint32_t node) {
    const orr_plan *plan = p->plan;
    uint32_t begin = plan->in_first[node], end = plan->in_first[node + 1];
    if (prepare_groups(p) != ORR_OK) return ORR_ENOMEM;
    for (uint32_t s = begin; s < end; s++) p->chain[plan->in_from[s]] = ORR_NONE;
    for (uint32_t s = end; s-- > begin;) { /* from the end, so that chains are in order of creation */
        p->next[s] = p->chain[plan->in_from[s]];
        p->chain[plan->in_from[s]] = s;
    }
    for (uint32_t s = begin; s < end; s++)
        if (p->chain[plan->in_from[s]] == s && p->next[s] != ORR_NONE) examine_group(p, node, s);
    return ORR_OK;
}

orr_status orr_check_edges(const orr_plan *plan, bool counts_need, orr_problems *problems) {
    if (plan->n_edges == 0 && !counts_need) return ORR_OK;
    pairs p = {.plan = plan, .problems = problems};
    orr_status status = ORR_OK;
    p.from_mark = orr_mem_new(&plan->alloc, plan->n_nodes, sizeof *p.from_mark);
    if (!p.from_mark && plan->n_nodes) return ORR_ENOMEM;
    for (uint32_t i = 0; i < plan->n_nodes && status == ORR_OK; i++) {
        uint32_t origins = count_origins(&p, i);
        if (origins < plan->in_first[i + 1] - plan->in_first[i]) status = examine_repeats(&p, i);
        if (!counts_need) continue;
        const orr_policy *policy = &plan->policies[plan->policy_of[i]];
        if (policy->join == ORR_JOIN_NEED && (policy->need == 0 || policy->need > origins))
            orr_complain(problems, (orr_problem){.kind = ORR_BAD_NEED, .a = i, .b = i});
    }
    orr_mem_free(&plan->alloc, p.from_mark, plan->n_nodes, sizeof *p.from_mark);
    orr_mem_free(&plan->alloc, p.chain, plan->n_nodes, sizeof *p.chain);
    orr_mem_free(&plan->alloc, p.next, plan->n_edges, sizeof *p.next);
    orr_mem_free(&plan->alloc, p.port_mark, plan->n_ports + 1, sizeof *p.port_mark);
    return status;
}
