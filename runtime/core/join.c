/* join.c - the join table, the gates of named outcomes, and which failures are handled. */
#include "core/inner.h"

#include <string.h>

char orr_outcome_at(const orr_run *run, uint32_t node) {
    switch (orr_settled_as(run, node)) {
    case ORR_NODE_COMPLETED: return 'C';
    case ORR_NODE_FAILED: return orr_policy_of(run, node)->ignore_errors ? 'C' : 'F';
    case ORR_NODE_SKIPPED: return (run->cells[node].flags & CELL_FAILED_DEP) != 0 ? 'U' : 'S';
    case ORR_NODE_CANCELLED: return 'X';
    default: return 0;
    }
}

/* Of a switch that completed, an outcome that was not taken counts as skipped, also where it failed
 * and its errors are ignored. */
char orr_port_outcome(const orr_run *run, uint32_t from, bool taken) {
    char outcome = orr_outcome_at(run, from);
    if (taken) return 'C';
    return outcome == 'C' ? 'S' : outcome;
}

bool orr_gate_shut(const orr_run *run, uint32_t from, uint32_t to) {
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->in_first[to]; k < plan->in_first[to + 1]; k++)
        if (plan->in_from[k] == from && run->edge_done[plan->in_edge[k]] != EDGE_FALSE) return false;
    return true;
}

/* Whether the k-th incoming edge is the first one from its source: the others belong to the same
 * dependency. */
bool orr_first_of_source(const orr_plan *plan, uint32_t node, uint32_t k) {
    if (plan->plain || plan->edge_port[plan->in_edge[k]] == ORR_PORT_ANY)
        return true; /* only outcome edges may be several */
    for (uint32_t i = plan->in_first[node]; i < k; i++)
        if (plan->in_from[i] == plan->in_from[k]) return false;
    return true;
}

uint32_t orr_dependencies(const orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    uint32_t n = plan->in_first[node + 1] - plan->in_first[node];
    if (plan->plain) return n;
    n = 0;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++)
        n += orr_first_of_source(plan, node, k);
    return n;
}

/* What the dependency over one edge counts as, 0 while it has not settled. */
static char effective(const orr_run *run, uint32_t from, uint32_t edge) {
    const orr_plan *plan = run->plan;
    char outcome = orr_outcome_at(run, from);
    if (outcome == 0 || plan->plain) return outcome;
    bool port = plan->edge_port[edge] != ORR_PORT_ANY;
    uint8_t known = run->edge_done[edge];
    if ((!port && plan->edge_when[edge] == 0) || known == EDGE_TRUE) return outcome;
    if (known == EDGE_OPEN || known == EDGE_PASSED_BY) return 0;
    return port ? orr_port_outcome(run, from, false) : 'S';
}

/* The first dependency that counts as one of these, and has settled as that. */
static uint32_t first_that_is(const orr_run *run, uint32_t node, const char *outcomes) {
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        uint32_t from = plan->in_from[k];
        char outcome = effective(run, from, plan->plain ? 0 : plan->in_edge[k]),
             own = orr_outcome_at(run, from);
        if (outcome == 0 || strchr(outcomes, outcome) == NULL) continue;
        /* a node that failed, over an edge whose `when` is false, is not why */
        if (outcome == own || own == 'C') return from;
    }
    return ORR_NONE;
}

/* Said once all dependencies have settled. */
orr_skip_reason orr_skip_because(const orr_run *run, uint32_t node, uint32_t *by) {
    const orr_cell *cell = &run->cells[node];
    if ((cell->flags & CELL_FAILED_DEP) != 0) {
        *by = first_that_is(run, node, "F");
        if (*by == ORR_NONE) *by = first_that_is(run, node, "U");
        return ORR_SKIP_UPSTREAM_FAILED;
    }
    if ((cell->flags & CELL_GATE_SHUT) != 0) {
        const orr_more *more = orr_more_of(run, node);
        *by = more != NULL ? more->by : ORR_NONE;
        return ORR_SKIP_OUTCOME;
    }
    /* under `failed` it waited for a failure, and no single dependency is why there was none */
    *by = orr_policy_of(run, node)->join == ORR_JOIN_FAILED ? ORR_NONE : first_that_is(run, node, "SX");
    return ORR_SKIP_UPSTREAM;
}

static bool satisfied(const orr_run *run, const orr_cell *cell, const orr_policy *policy, uint32_t node) {
    bool failed = (cell->flags & CELL_FAILED_DEP) != 0, cancelled = (cell->flags & CELL_CANCELLED_DEP) != 0;
    /* where something completed there are dependencies, and the graph need not be read */
    bool root = cell->completed == 0 && run->plan->in_first[node] == run->plan->in_first[node + 1];
    switch (policy->join) {
    case ORR_JOIN_ALL_COMPLETED: return root || cell->completed == orr_dependencies(run, node);
    case ORR_JOIN_ANY: return root || cell->completed > 0;
    case ORR_JOIN_NEED: return root || cell->completed >= policy->need;
    case ORR_JOIN_DONE: return true;
    case ORR_JOIN_FAILED: return root || failed || cancelled;
    default: return root || (!failed && cell->completed > 0);
    }
}

/* A positive answer of `any` and `need` may come early. All else is said when every dependency
 * has settled, so that what follows a skipped node never runs beside what came before it. */
orr_verdict orr_join_verdict(const orr_run *run, uint32_t node) {
    const orr_cell *cell = &run->cells[node];
    bool early = (cell->flags & CELL_EARLY) != 0, shut = (cell->flags & CELL_GATE_SHUT) != 0;
    if (cell->pending > 0 && !early) return VERDICT_WAIT;
    if (!shut && satisfied(run, cell, orr_policy_of(run, node), node)) return VERDICT_RUN;
    return cell->pending > 0 ? VERDICT_WAIT : VERDICT_SKIP;
}

/* Whether a node with `any` or `need` that is open has got, or may still get, as many completed
 * dependencies as it wants. */
bool orr_join_reachable(const orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    const orr_cell *cell = &run->cells[node];
    const orr_policy *policy = orr_policy_of(run, node);
    uint32_t need = policy->join == ORR_JOIN_NEED ? policy->need : 1, open = 0;
    if (cell->completed >= need) return true;
    if (plan->plain) return cell->completed + cell->pending >= need;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1] && cell->completed + open < need;
         k++)
        open += orr_first_of_source(plan, node, k) && effective(run, plan->in_from[k], plan->in_edge[k]) == 0;
    return cell->completed + open >= need;
}

/* ---- candidates ------------------------------------------------------------------------------ */

/* Whether an attempt of it has started. */
static bool has_begun(const orr_run *run, uint32_t node) {
    const orr_cell *cell = &run->cells[node];
    const orr_more *more = orr_more_of(run, node);
    if (more != NULL && (more->begun || more->iteration > 0)) return true;
    return !orr_policy_of(run, node)->has_each && cell->attempt > orr_base_of(run, node);
}

/* Whether a dependent of a failed node handles its failure, or still may. */
static bool is_candidate(const orr_run *run, uint32_t node) {
    const orr_policy *policy = orr_policy_of(run, node);
    orr_node_state state = orr_settled_as(run, node);
    bool early = policy->join == ORR_JOIN_ANY || policy->join == ORR_JOIN_NEED;
    if (policy->watches || (!early && policy->join != ORR_JOIN_FAILED)) return false;
    if (state == ORR_NODE_PENDING)
        return (run->cells[node].flags & CELL_GATE_SHUT) == 0 && (!early || orr_join_reachable(run, node));
    if (!orr_is_over(run, node) || state == ORR_NODE_COMPLETED) return true;
    return state != ORR_NODE_SKIPPED && has_begun(run, node);
}

/* Whether the failure counts as such over that edge. Edges have been asked by now: one that is
 * still open could not be, and has no record. */
static bool carries_failure(const orr_run *run, uint32_t edge) {
    const orr_plan *plan = run->plan;
    if (plan->plain || plan->edge_port[edge] != ORR_PORT_ANY)
        return true; /* a gate is shut, or there is none */
    return plan->edge_when[edge] == 0 || run->edge_done[edge] == EDGE_TRUE;
}

uint32_t orr_candidate(const orr_run *run, uint32_t node, uint32_t k) {
    const orr_plan *plan = run->plan;
    uint32_t first = plan->out_first[node], n = plan->out_first[node + 1] - first;
    for (; k < n; k++)
        if (carries_failure(run, plan->plain ? 0 : plan->out_edge[first + k]) &&
            is_candidate(run, plan->out_to[first + k]))
            return k;
    return UINT32_MAX;
}
