/* dependents.c - what the end of a node means to those that depend on it: how many of their
 * dependencies are left, which counted as what, which gates are shut. A part of the fold: it
 * changes counts and marks, never a state; decide.c works off what is touched.
 */
#include "core/inner.h"

/* ---- marking --------------------------------------------------------------------------------- */

void orr_touch(orr_run *run, uint32_t node) {
    orr_cell *cell = &run->cells[node];
    if ((cell->flags & CELL_TOUCHED) != 0 || cell->state != ORR_NODE_PENDING || run->rebuilding) return;
    cell->flags |= CELL_TOUCHED;
    orr_list_touched(run, node);
}

bool orr_mark_to_fail(orr_run *run, uint32_t node, const orr_error *error) {
    orr_more *more = orr_need_more(run, node);
    if (more == NULL) return false;
    if (more->failure == NULL) more->failure = orr_failure_new(run->core, error);
    orr_touch(run, node);
    return true;
}

/* One dependency of `to` counts as `outcome`. */
static void count(orr_run *run, uint32_t to, char outcome) {
    orr_cell *cell = &run->cells[to];
    cell->pending--;
    if (orr_is_over(run, to))
        return; /* it ended without this one; whether it handled a failure was decided then */
    if (outcome == 'C') cell->completed++;
    else if (outcome == 'F' || outcome == 'U') cell->flags |= CELL_FAILED_DEP;
    else if (outcome == 'X') cell->flags |= CELL_CANCELLED_DEP;
    if (cell->pending == 0 || (cell->flags & CELL_EARLY) != 0) orr_touch(run, to);
}

/* Under `any` and `need` an outcome edge is a dependency like others. */
static bool has_gates(const orr_run *run, uint32_t node) {
    uint8_t join = orr_policy_of(run, node)->join;
    return join != ORR_JOIN_ANY && join != ORR_JOIN_NEED;
}

/* The edges between a switch and one dependent are one dependency: it counts as C once, where
 * one of them was taken, and shuts the gate where none was. */
static void count_port(orr_run *run, uint32_t from, uint32_t to, bool taken) {
    if (!taken && !orr_is_over(run, to) && has_gates(run, to) && orr_gate_shut(run, from, to)) {
        run->cells[to].flags |= CELL_GATE_SHUT;
        orr_more *more = orr_need_more(run, to); /* only for `why`: without memory it says less */
        if (more != NULL && more->by == ORR_NONE) more->by = from;
        orr_touch(run, to); /* it can no longer handle a failure */
    }
    count(run, to, orr_port_outcome(run, from, taken));
}

static void propagate(orr_run *run, uint32_t from, char outcome, uint16_t port) {
    const orr_plan *plan = run->plan;
    uint32_t end = plan->out_first[from + 1];
    if (plan->plain) {
        for (uint32_t k = plan->out_first[from]; k < end; k++) count(run, plan->out_to[k], outcome);
        return;
    }
    for (uint32_t k = plan->out_first[from]; k < end; k++) {
        uint32_t edge = plan->out_edge[k], to = plan->out_to[k];
        uint16_t wanted = plan->edge_port[edge];
        bool taken = outcome == 'C' && wanted == port;
        if (plan->edge_when[edge] != 0) { /* counted by its own record */
            if (wanted != ORR_PORT_ANY && !taken && run->edge_done[edge] == EDGE_OPEN)
                run->edge_done[edge] = EDGE_PASSED_BY;
            continue;
        }
        if (wanted == ORR_PORT_ANY) {
            count(run, to, outcome);
            continue;
        }
        run->edge_done[edge] = taken ? EDGE_TRUE : EDGE_FALSE;
        count_port(run, from, to, taken);
    }
}

static void layer_down(orr_run *run, uint32_t node) {
    if (run->layer_open == NULL) return;
    uint32_t layer = run->plan->layer_of[node];
    if (--run->layer_open[layer] > 0) return;
    orr_event e = {.count = layer, .due = -1};
    orr_emit(run, ORR_EV_LAYER_COMPLETED, ORR_NONE, &e);
}

void orr_notify_dependents(orr_run *run, uint32_t node, uint16_t port) {
    run->open--;
    propagate(run, node, orr_outcome_at(run, node), port);
    layer_down(run, node);
}

/* ---- edges that are asked, and nodes that were set back -------------------------------------- */

void orr_apply_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth) {
    run->edge_done[edge] = truth ? EDGE_TRUE : EDGE_FALSE;
    if (run->plan->edge_port[edge] != ORR_PORT_ANY) count_port(run, from, to, truth);
    else count(run, to, truth ? orr_outcome_at(run, from) : 'S');
}

/* An edge whose source had settled before the cell was set back. */
static void recount_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge) {
    const orr_plan *plan = run->plan;
    uint8_t known = run->edge_done[edge];
    if (plan->edge_port[edge] == ORR_PORT_ANY && plan->edge_when[edge] == 0)
        count(run, to, orr_outcome_at(run, from));
    else if (known == EDGE_TRUE || known == EDGE_FALSE)
        orr_apply_edge(run, from, to, edge, known == EDGE_TRUE);
}

void orr_recount(orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        uint32_t from = plan->in_from[k];
        if (!orr_is_over(run, from)) continue;
        if (plan->plain) count(run, node, orr_outcome_at(run, from));
        else recount_edge(run, from, node, plan->in_edge[k]);
    }
}
