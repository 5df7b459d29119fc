/* join.c - the join table, the gates of named outcomes, and which failures are taken care of. */
#include "engine.h"

char orr_outcome_at(const orr_run *run, uint32_t node)
{
    switch (orr_settled_as(run, node)) {
    case ORR_NODE_COMPLETED:
        return 'C';
    case ORR_NODE_FAILED:
        return orr_policy_of(run, node)->ignore_errors ? 'C' : 'F';
    case ORR_NODE_SKIPPED:
        return 'S';
    case ORR_NODE_CANCELLED:
        return 'X';
    default:
        return 0;
    }
}

bool orr_gate_shut(const orr_run *run, uint32_t from, uint32_t to, uint16_t port)
{
    const orr_plan *plan = run->plan;
    bool completed = orr_outcome_at(run, from) == 'C' && port != ORR_PORT_ANY;
    for (uint32_t k = plan->in_first[to]; k < plan->in_first[to + 1]; k++) {
        uint32_t edge = plan->in_edge[k];
        if (plan->in_from[k] != from)
            continue;
        /* where edges are asked each says itself whether it was taken */
        if (run->edge_done != NULL ? run->edge_done[edge] != EDGE_FALSE : completed && plan->edge_port[edge] == port)
            return false;
    }
    return true;
}

/* Whether the k-th incoming edge is the first one from its source: the others belong to the same dependency. */
bool orr_first_of_source(const orr_plan *plan, uint32_t node, uint32_t k)
{
    if (plan->plain || plan->edge_port[plan->in_edge[k]] == ORR_PORT_ANY)
        return true; /* only outcome edges may be several */
    for (uint32_t i = plan->in_first[node]; i < k; i++)
        if (plan->in_from[i] == plan->in_from[k])
            return false;
    return true;
}

uint32_t orr_dependencies(const orr_run *run, uint32_t node)
{
    const orr_plan *plan = run->plan;
    uint32_t n = plan->in_first[node + 1] - plan->in_first[node];
    if (plan->plain)
        return n;
    n = 0;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++)
        n += orr_first_of_source(plan, node, k);
    return n;
}

/* What the dependency over one edge counts as, 0 while it has not settled. */
static char effective(const orr_run *run, uint32_t from, uint32_t edge)
{
    char outcome = orr_outcome_at(run, from);
    if (outcome == 0 || run->plan->plain)
        return outcome;
    if (run->plan->edge_when[edge] == 0 || run->edge_done[edge] == EDGE_TRUE)
        return outcome;
    return run->edge_done[edge] == EDGE_OPEN || run->edge_done[edge] == EDGE_PASSED_BY ? 0 : 'S';
}

/* A dependency that explains why the join could not be satisfied: one that failed, else one that did not complete. */
static uint32_t culprit(const orr_run *run, uint32_t node)
{
    const orr_plan *plan = run->plan;
    uint32_t other = ORR_NONE;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        char outcome = effective(run, plan->in_from[k], plan->plain ? 0 : plan->in_edge[k]);
        if (outcome == 'F')
            return plan->in_from[k];
        if (outcome != 'C' && outcome != 0 && other == ORR_NONE)
            other = plan->in_from[k];
    }
    return other;
}

static bool satisfied(const orr_run *run, const orr_cell *cell, const orr_policy *policy, uint32_t node)
{
    bool failed = (cell->flags & CELL_FAILED_DEP) != 0, cancelled = (cell->flags & CELL_CANCELLED_DEP) != 0;
    /* where something completed there are dependencies, and the graph need not be read */
    bool root = cell->completed == 0 && run->plan->in_first[node] == run->plan->in_first[node + 1];
    switch (policy->join) {
    case ORR_JOIN_ALL_COMPLETED:
        return root || cell->completed == orr_dependencies(run, node);
    case ORR_JOIN_ANY:
        return root || cell->completed > 0;
    case ORR_JOIN_NEED:
        return root || cell->completed >= policy->need;
    case ORR_JOIN_DONE:
        return true;
    case ORR_JOIN_FAILED:
        return root || failed || cancelled;
    default:
        return root || (!failed && cell->completed > 0);
    }
}

/* A positive answer of `any` and `need` may come early. All else is said when every dependency has settled, so that what
 * follows a skipped node never runs beside what came before it. */
orr_verdict orr_join_verdict(const orr_run *run, uint32_t node, uint32_t *by)
{
    const orr_cell *cell = &run->cells[node];
    const orr_policy *policy = orr_policy_of(run, node);
    *by = ORR_NONE;
    if (cell->pending > 0 && ((cell->flags & CELL_EARLY) == 0 || !satisfied(run, cell, policy, node)))
        return VERDICT_WAIT;
    if ((cell->flags & CELL_GATE_SHUT) != 0) {
        const orr_more *more = orr_more_of(run, node);
        *by = more != NULL ? more->by : ORR_NONE;
        return cell->pending > 0 ? VERDICT_WAIT : VERDICT_GATE;
    }
    if (cell->pending > 0 && !run->plan->plain) {
        /* an outcome it depends on may still not be taken, and then it must not have run */
        const orr_plan *plan = run->plan;
        for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++)
            if (plan->edge_port[plan->in_edge[k]] != ORR_PORT_ANY && orr_outcome_at(run, plan->in_from[k]) == 0)
                return VERDICT_WAIT;
    }
    if (satisfied(run, cell, policy, node))
        return VERDICT_RUN;
    *by = culprit(run, node);
    return VERDICT_SKIP;
}

/* Whether a node with `any` or `need` has got, or may still get, as many completed dependencies as it wants. */
bool orr_join_reachable(const orr_run *run, uint32_t node)
{
    const orr_plan *plan = run->plan;
    const orr_cell *cell = &run->cells[node];
    const orr_policy *policy = orr_policy_of(run, node);
    uint32_t need = policy->join == ORR_JOIN_NEED ? policy->need : 1, open = 0;
    if (cell->state == ORR_NODE_SKIPPED || (cell->flags & CELL_GATE_SHUT) != 0)
        return false;
    if (cell->completed >= need)
        return true;
    if (orr_is_over(run, node))
        return false; /* cancelled before it had them */
    if (plan->plain)
        return cell->completed + cell->pending >= need;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1] && cell->completed + open < need; k++)
        open += orr_first_of_source(plan, node, k) && effective(run, plan->in_from[k], plan->in_edge[k]) == 0;
    return cell->completed + open >= need;
}

bool orr_is_handled(const orr_run *run, uint32_t node)
{
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->out_first[node]; k < plan->out_first[node + 1]; k++) {
        uint32_t to = plan->out_to[k], edge = plan->plain ? 0 : plan->out_edge[k];
        uint8_t join = orr_policy_of(run, to)->join;
        /* its edges have been asked by now: one that is still open could not be, and has no record */
        if (!plan->plain && (plan->edge_port[edge] != ORR_PORT_ANY ||
                             (plan->edge_when[edge] != 0 && run->edge_done[edge] != EDGE_TRUE)))
            continue;
        if (join == ORR_JOIN_FAILED && (run->cells[to].flags & CELL_GATE_SHUT) == 0)
            return true;
        if ((join == ORR_JOIN_ANY || join == ORR_JOIN_NEED) && orr_join_reachable(run, to))
            return true;
    }
    return false;
}
