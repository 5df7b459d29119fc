/* check_cells.c - the cells of a run: the state of each, what its flags may say in it, and whether
 * its counters agree with the states of its dependencies and items. */
#include "core/check.h"

#define S(id) (1u << ORR_NODE_##id)

static const unsigned live_states = S(READY) | S(RUNNING) | S(WAITING) | S(COMPENSATING);
static const unsigned timed_states = S(WAITING) | S(RETRYING);
static const unsigned item_states = ((1u << ORR_NODE_STATE_COUNT) - 1) & ~(S(PENDING) | S(SKIPPED));
static const unsigned undoable_states = S(COMPLETED) | S(FAILED) | S(CANCELLED);
static const uint8_t node_flags = CELL_FAILED_DEP | CELL_CANCELLED_DEP | CELL_GATE_SHUT | CELL_EARLY |
                                  CELL_TOUCHED | CELL_HANDLED;

static bool is_one_of(uint8_t state, unsigned states) {
    return (states >> state & 1) != 0;
}

/* ---- one cell -------------------------------------------------------------------------------- */

static bool check_state(orr_check *c, const orr_run *run, uint32_t t) {
    const orr_cell *cell = &run->cells[t];
    bool live = orr_check_live(run, t);
    PROVE(c, run, t, cell->state < ORR_NODE_STATE_COUNT, "its state is none of the table");
    PROVE(c, run, t, cell->more == ORR_NONE || cell->more < run->n_mores,
          "the rest of its data lies outside the run's");
    const orr_more *more = orr_more_of(run, t);
    bool expanded = more != NULL && more->expanded;
    PROVE(c, run, t, !live || is_one_of(cell->state, live_states),
          "an attempt is under way in a state that has none");
    PROVE(c, run, t, !live || !expanded, "it has items, and an attempt of its own is under way");
    PROVE(c, run, t, live || expanded || cell->state != ORR_NODE_RUNNING,
          "it is running, but no attempt is under way");
    PROVE(c, run, t, cell->state < ORR_NODE_COMPENSATING || (run->undo != NULL && run->undo->on),
          "it is being undone in a run that does not compensate");
    PROVE(c, run, t,
          cell->state < ORR_NODE_COMPENSATING || (more != NULL && is_one_of(more->was, undoable_states)),
          "it is being undone, but did not settle before");
    return true;
}

static bool check_queued(orr_check *c, const orr_run *run, uint32_t t) {
    const orr_cell *cell = &run->cells[t];
    const orr_more *more = orr_more_of(run, t);
    bool live = orr_check_live(run, t), queued = (cell->flags & CELL_QUEUED) != 0;
    PROVE(c, run, t, !queued || cell->state == ORR_NODE_READY, "it stands in line, but is not ready");
    PROVE(c, run, t, !queued || orr_check_goes(run), "it stands in line in a run that does not go on");
    if (cell->state != ORR_NODE_READY || !orr_check_goes(run) || queued) return true;
    if (!live) PROVE(c, run, t, more != NULL && more->expanded, "it is ready, but stands in no line");
    else
        PROVE(c, run, t, more != NULL && more->cancel != ORR_CANCEL_NONE,
              "its attempt is to go on, but stands in no line");
    return true;
}

static bool check_flags(orr_check *c, const orr_run *run, uint32_t node, uint32_t t) {
    const orr_cell *cell = &run->cells[t];
    const orr_policy *policy = orr_policy_of(run, node);
    if (t != node) {
        PROVE(c, run, t, (cell->flags & node_flags) == 0, "it is an item and has flags of nodes");
        PROVE(c, run, t,
              is_one_of(cell->state, item_states) ||
                  (cell->state == ORR_NODE_PENDING && policy->each_parallel > 0),
              "it is an item in a state of nodes");
        return true;
    }
    bool early = policy->join == ORR_JOIN_ANY || policy->join == ORR_JOIN_NEED;
    PROVE(c, run, t, (cell->flags & CELL_EARLY) == 0 || early,
          "its join may be decided early, but waits for all");
    PROVE(c, run, t, (cell->flags & CELL_GATE_SHUT) == 0 || !run->plan->plain,
          "a gate is shut in a plan without outcomes");
    PROVE(c, run, t, (cell->flags & CELL_HANDLED) == 0 || orr_settled_as(run, t) == ORR_NODE_FAILED,
          "its failure is handled, but it did not fail");
    return true;
}

/* What a task has in pools and breakers. */
static bool check_shares(orr_check *c, const orr_run *run, uint32_t node, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    const orr_policy *policy = orr_policy_of(run, node);
    bool live = orr_check_live(run, t), runs = live && run->cells[t].state == ORR_NODE_RUNNING;
    PROVE(c, run, t, more->pool == NULL || more->pool->core == c->core, "its pool is not of this core");
    PROVE(c, run, t, more->pool != NULL || !more->holds_pool, "it has a place in no pool");
    uint8_t state = run->cells[t].state;
    bool between = state == ORR_NODE_READY || is_one_of(state, timed_states);
    bool keeps = policy->pool_hold && between && orr_has_begun(run, t);
    PROVE(c, run, t, !more->holds_pool || runs || keeps, "it has a place in its pool, but does not run");
    PROVE(c, run, t, !more->owed || (keeps && more->pool != NULL && !more->holds_pool),
          "it is owed a place that it did not have");
    PROVE(c, run, t, more->pool == NULL || !keeps || !orr_check_goes(run) || more->holds_pool || more->owed,
          "it has lost the place that it keeps");
    PROVE(c, run, t, more->pool == NULL || !runs || more->holds_pool, "it runs without a place in its pool");
    PROVE(c, run, t, more->breaker == NULL || (live && more->breaker == orr_breaker_of(run, node)),
          "a breaker counts an attempt that is none");
    if (more->holds_pool) c->places += orr_check_mark_of(more->pool);
    if (more->holds_pool && policy->pool_hold) c->held += orr_check_mark_of(more->pool);
    if (more->owed) c->owed += orr_check_mark_of(more->pool);
    const orr_breaker *b = more->breaker;
    if (b != NULL && more->probe && b->state == BREAKER_HALF_OPEN && b->period == more->period)
        c->probes += orr_check_mark_of(b);
    if (!live && run->cells[t].state == ORR_NODE_WAITING && more->due < 0 && orr_check_goes(run))
        c->waiters += orr_check_mark(orr_check_mark_of(run) + t);
    return true;
}

static void count(const orr_run *run, uint32_t node, uint32_t t, orr_check_tally *n) {
    const orr_cell *cell = &run->cells[t];
    bool live = orr_check_live(run, t), over = orr_is_over(run, t);
    n->live += live;
    n->live_cleanup += live && orr_cleans_up(orr_policy_of(run, node));
    n->queued += (cell->flags & CELL_QUEUED) != 0;
    n->touched += (cell->flags & CELL_TOUCHED) != 0;
    n->timed += is_one_of(cell->state, timed_states);
    n->running += live && cell->state == ORR_NODE_RUNNING;
    if (cell->more != ORR_NONE) {
        n->mores++;
        n->more += orr_check_mark(cell->more);
    }
    if (t != node) return;
    n->by_state[cell->state]++;
    n->open += !over;
    if (!over) n->layers += orr_check_mark(run->plan->layer_of[node]);
}

static bool check_task(orr_check *c, const orr_run *run, uint32_t node, uint32_t t, orr_check_tally *n) {
    if (!check_state(c, run, t) || !check_flags(c, run, node, t) || !check_queued(c, run, t)) return false;
    const orr_more *more = orr_more_of(run, t);
    if (more != NULL) {
        if (!check_shares(c, run, node, t)) return false;
        c->acts += more->act_cancel || more->act_abandon;
    }
    count(run, node, t, n);
    return true;
}

/* ---- dependencies ---------------------------------------------------------------------------- */

/* The dependencies of a node: how many have not settled, and what the others count as. */
typedef struct dependency_counts {
    uint32_t pending, completed;
    uint8_t flags;
} dependency_counts;

static void count_outcome(dependency_counts *n, char outcome) {
    if (outcome == 'C') n->completed++;
    else if (outcome == 'F' || outcome == 'U') n->flags |= CELL_FAILED_DEP;
    else if (outcome == 'X') n->flags |= CELL_CANCELLED_DEP;
}

/* An edge that has a `when` counts with the answer, another with the end of its source. */
static void count_edge(const orr_run *run, uint32_t from, uint32_t edge, dependency_counts *n) {
    const orr_plan *plan = run->plan;
    uint8_t known = run->edge_done[edge];
    bool said = known == EDGE_TRUE || known == EDGE_FALSE;
    bool when = plan->edge_when[edge] != 0, port = plan->edge_port[edge] != ORR_PORT_ANY;
    char outcome = orr_outcome_at(run, from);
    if (when ? !said : outcome == 0) n->pending++;
    else if (!when && !port) count_outcome(n, outcome);
    else if (port) count_outcome(n, orr_port_outcome(run, from, known == EDGE_TRUE));
    else count_outcome(n, known == EDGE_TRUE ? outcome : 'S');
}

static bool check_dependencies(orr_check *c, const orr_run *run, uint32_t node) {
    static const uint8_t outcomes = CELL_FAILED_DEP | CELL_CANCELLED_DEP;
    const orr_plan *plan = run->plan;
    const orr_cell *cell = &run->cells[node];
    dependency_counts n = {0, 0, 0};
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        uint32_t from = plan->in_from[k];
        char outcome = orr_outcome_at(run, from);
        if (!plan->plain) count_edge(run, from, plan->in_edge[k], &n);
        else if (outcome == 0) n.pending++;
        else count_outcome(&n, outcome);
    }
    PROVE(c, run, node, cell->pending == n.pending,
          "the number of its dependencies that have not settled is wrong");
    if (cell->state != ORR_NODE_PENDING) {
        /* its join has been decided; what settled after its end was not counted, be it set back
         * since */
        PROVE(c, run, node, cell->completed <= n.completed,
              "it counts more completed dependencies than there are");
        return true;
    }
    PROVE(c, run, node, cell->completed == n.completed,
          "the number of its dependencies that completed is wrong");
    PROVE(c, run, node, (cell->flags & outcomes) == n.flags,
          "its flags do not say whether a dependency failed or was cancelled");
    return true;
}

/* ---- items ----------------------------------------------------------------------------------- */

static bool check_item_counts(orr_check *c, const orr_run *run, uint32_t node) {
    const orr_more *more = orr_more_of(run, node);
    uint32_t open = 0, failed = 0, cancelled = 0, idle = 0;
    PROVE(c, run, node, more->first_item >= run->plan->n_nodes, "its items stand among the nodes");
    PROVE(c, run, node, (uint64_t)more->first_item + more->n_items <= run->n_cells,
          "its items stand beyond the last cell");
    for (uint32_t t = more->first_item, end = t + more->n_items; t < end; t++) {
        PROVE(c, run, t, run->cells[t].state < ORR_NODE_STATE_COUNT, "its state is none of the table");
        orr_node_state state = orr_settled_as(run, t);
        open += !orr_is_over(run, t);
        idle += run->cells[t].state == ORR_NODE_PENDING;
        failed += state == ORR_NODE_FAILED;
        cancelled += state == ORR_NODE_CANCELLED;
    }
    PROVE(c, run, node, more->items_open == open, "the number of its items that have not settled is wrong");
    PROVE(c, run, node, more->items_idle == idle, "the number of its items without a place is wrong");
    PROVE(c, run, node, more->items_failed == failed, "the number of its items that failed is wrong");
    PROVE(c, run, node, more->items_cancelled == cancelled,
          "the number of its items that were cancelled is wrong");
    PROVE(c, run, node, !orr_check_goes(run) || open == 0 || !orr_is_over(run, node),
          "it has settled before its items");
    return true;
}

/* The items of all lists stand behind the nodes, one list after another. Those of a node that was
 * set back and got another list are nobody's. */
static bool check_expansions(orr_check *c, const orr_run *run, orr_check_tally *n) {
    uint32_t at = run->plan->n_nodes;
    for (uint32_t i = 0; i < run->n_expansions; i++) {
        const orr_expansion *e = &run->expansions[i];
        PROVE(c, run, ORR_NONE, e->node < run->plan->n_nodes, "a list of items is of no node");
        PROVE(c, run, e->node, e->first == at && e->count > 0 && e->count <= run->n_cells - at,
              "its items do not stand behind those of the list before");
        at += e->count;
    }
    PROVE(c, run, ORR_NONE, at == run->n_cells, "some cells are neither nodes nor items");
    for (uint32_t i = 0; i < run->n_expansions; i++) {
        const orr_expansion *e = &run->expansions[i];
        for (uint32_t t = e->first; t < e->first + e->count; t++)
            if (!check_task(c, run, e->node, t, n)) return false;
    }
    return true;
}

/* ---- all ------------------------------------------------------------------------------------- */

bool orr_check_cells(orr_check *c, const orr_run *run, orr_check_tally *n) {
    uint32_t n_nodes = run->plan->n_nodes;
    PROVE(c, run, ORR_NONE, run->n_cells >= n_nodes && run->n_cells <= run->cap_cells,
          "the number of its cells is wrong");
    for (uint32_t node = 0; node < n_nodes; node++)
        if (!check_task(c, run, node, node, n)) return false;
    if (!check_expansions(c, run, n)) return false;
    for (uint32_t node = 0; node < n_nodes; node++) {
        const orr_more *more = orr_more_of(run, node);
        if (!check_dependencies(c, run, node)) return false;
        if (more != NULL && more->expanded && !check_item_counts(c, run, node)) return false;
    }
    return true;
}
