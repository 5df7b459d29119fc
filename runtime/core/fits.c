/* fits.c - whether a record can follow what a run that is rebuilt has seen so far.
 *
 * A journal may be another plan's, or corrupt. Everything that a record says is checked here before
 * any of it is applied: one that is refused has changed nothing, and one that is applied cannot
 * lead out of the transition table.
 */
#include "core/inner.h"

static bool is_live(const orr_run *run, uint32_t t) {
    return (run->cells[t].flags & CELL_LIVE) != 0;
}

static bool is_expanded(const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    return more != NULL && more->expanded;
}

/* Ready, or about to be: a node becomes ready without a record where nothing must be remembered
 * of it. */
static bool is_ready(const orr_run *run, uint32_t t) {
    const orr_cell *cell = &run->cells[t];
    if (is_live(run, t) || is_expanded(run, t) || run->waits) return false;
    if (cell->state == ORR_NODE_PENDING) return cell->pending == 0 || (cell->flags & CELL_EARLY) != 0;
    return cell->state == ORR_NODE_READY;
}

/* What is attempted is a node without `each`, or an item. */
static bool is_attempted(const orr_run *run, uint32_t t) {
    return t >= run->plan->n_nodes || !orr_policy_of(run, t)->has_each;
}

static bool is_undone(const orr_run *run, uint32_t t) {
    return run->cells[t].state == ORR_NODE_COMPENSATING;
}

static bool error_fits(const orr_record *r) {
    return r->error != NULL && r->error->code != NULL && r->error->message != NULL;
}

/* ---- by kind --------------------------------------------------------------------------------- */

static bool ready_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    return run->cells[t].state == ORR_NODE_PENDING && is_attempted(run, t) && r->due > 0 && !run->waits;
}

static bool started_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    if (r->phase == ORR_PHASE_COMPENSATE)
        return orr_undo_task(run) == t && (run->undo->step == UNDO_IDLE || run->undo->step == UNDO_BACKOFF);
    return is_ready(run, t) && is_attempted(run, t) && r->phase <= ORR_PHASE_FALLBACK;
}

/* How many of a list of retry policies may have decided about an attempt of that phase. */
static uint32_t policies_of(const orr_policy *policy, uint8_t phase) {
    if (phase == ORR_PHASE_COMPENSATE) return policy->n_compensate_retries + 1;
    return phase == ORR_PHASE_RUN ? policy->n_retries + 1 : 0;
}

static bool attempt_failed_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    if (!is_attempted(run, t) || !error_fits(r) || r->reason > 1) return false;
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    if (r->count > policies_of(policy, r->phase)) return false;
    if (is_undone(run, t)) return is_live(run, t) && r->phase == ORR_PHASE_COMPENSATE;
    if (r->phase > ORR_PHASE_FALLBACK) return false;
    /* without an attempt: it was refused or its deadline passed, and its fallback is next */
    bool without = is_ready(run, t) ||
                   orr_node_may_go((orr_node_state)run->cells[t].state, ORR_NODE_RETRYING);
    return is_live(run, t) || (without && r->phase == ORR_PHASE_FALLBACK);
}

/* Whether anything happened in it but that nodes of another run were taken over. */
static bool has_begun(const orr_run *run) {
    const uint32_t *n = run->stats.by_state;
    return run->stats.attempts > 0 || run->mode != MODE_OPEN ||
           n[ORR_NODE_PENDING] + n[ORR_NODE_COMPLETED] != run->plan->n_nodes;
}

static bool completed_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    const orr_more *more = orr_more_of(run, t);
    if ((r->port != ORR_PORT_ANY && r->port >= run->plan->n_ports) || r->reason > ORR_SOURCE_FORK)
        return false;
    if (r->reason == ORR_SOURCE_FORK)
        return t < run->plan->n_nodes && run->cells[t].state == ORR_NODE_PENDING && !has_begun(run);
    if (!orr_node_may_go((orr_node_state)run->cells[t].state, ORR_NODE_COMPLETED)) return false;
    if (more != NULL && more->expanded) return more->items_open == 0;
    return is_live(run, t);
}

static bool interrupted_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    return is_live(run, t) && r->reason <= 1;
}

static bool step_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    (void)r;
    return is_live(run, t);
}

static bool failed_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    (void)run;
    (void)t;
    return error_fits(r) && r->reason <= 1;
}

/* The node of items is undone when they are. */
static bool compensated_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    (void)r;
    return is_expanded(run, t) ? orr_more_of(run, t)->undo_open == 0 : is_live(run, t);
}

/* Not live: it was interrupted too often. */
static bool compensation_failed_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    return error_fits(r) &&
           (is_expanded(run, t) ? orr_more_of(run, t)->undo_open == 0 : orr_undo_task(run) == t);
}

static bool skipped_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    return run->cells[t].state == ORR_NODE_PENDING && t < run->plan->n_nodes &&
           r->reason >= ORR_SKIP_UPSTREAM && r->reason < ORR_SKIP_COUNT &&
           (r->count == ORR_NONE || r->count < run->plan->n_nodes);
}

static bool cancelled_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    (void)run;
    (void)t;
    return r->reason <= ORR_STOP_STALL;
}

static bool expanded_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    return is_ready(run, t) && !is_attempted(run, t) && r->count < ORR_NONE - run->n_cells;
}

static bool iterated_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    (void)r;
    return is_live(run, t) && orr_policy_of(run, orr_node_of(run, t))->has_loop;
}

static bool waiting_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    (void)r;
    if (is_undone(run, t)) return is_live(run, t) && run->undo->step == UNDO_LIVE;
    return is_live(run, t) && orr_node_may_go((orr_node_state)run->cells[t].state, ORR_NODE_WAITING);
}

static bool held_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    (void)r;
    return is_ready(run, t) && is_attempted(run, t);
}

static bool woken_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    uint8_t state = run->cells[t].state;
    if (r->reason == ORR_NODE_COMPENSATING)
        return is_undone(run, t) && is_live(run, t) && run->undo->step == UNDO_WAITS;
    if (r->reason == ORR_NODE_RUNNING)
        return is_live(run, t) && (state == ORR_NODE_READY || state == ORR_NODE_WAITING);
    return r->reason == ORR_NODE_READY && (state == ORR_NODE_WAITING || state == ORR_NODE_RETRYING);
}

static bool edge_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    const orr_plan *plan = run->plan;
    if (run->edge_done == NULL || t >= plan->n_nodes || r->count >= plan->n_edges ||
        orr_outcome_at(run, t) == 0)
        return false;
    uint8_t known = run->edge_done[r->count];
    if (plan->edge_when[r->count] == 0 || (known != EDGE_OPEN && (known != EDGE_PASSED_BY || r->reason != 0)))
        return false;
    for (uint32_t k = plan->out_first[t]; k < plan->out_first[t + 1]; k++)
        if (plan->out_edge[k] == r->count) return true;
    return false;
}

/* ---- all ------------------------------------------------------------------------------------- */

typedef struct record_rule {
    bool (*fits)(const orr_run *run, uint32_t t, const orr_record *r);
    uint8_t to;   /* the state it brings about; PENDING: says nothing of one, or says it itself */
    bool current; /* it is about the current attempt of an unsettled task */
} record_rule;

static const record_rule rules[ORR_RECORD_COUNT] = {
    [ORR_REC_READY] = {ready_fits, ORR_NODE_READY, true},
    [ORR_REC_ATTEMPT_STARTED] = {started_fits, ORR_NODE_PENDING, false},
    [ORR_REC_ATTEMPT_FAILED] = {attempt_failed_fits, ORR_NODE_PENDING, true},
    [ORR_REC_COMPLETED] = {completed_fits, ORR_NODE_PENDING, true},
    [ORR_REC_FAILED] = {failed_fits, ORR_NODE_FAILED, true},
    [ORR_REC_SKIPPED] = {skipped_fits, ORR_NODE_SKIPPED, true},
    [ORR_REC_CANCELLED] = {cancelled_fits, ORR_NODE_CANCELLED, true},
    [ORR_REC_EXPANDED] = {expanded_fits, ORR_NODE_PENDING, true},
    [ORR_REC_ITERATED] = {iterated_fits, ORR_NODE_PENDING, true},
    [ORR_REC_WAITING] = {waiting_fits, ORR_NODE_PENDING, true},
    [ORR_REC_HELD] = {held_fits, ORR_NODE_PENDING, true},
    [ORR_REC_WOKEN] = {woken_fits, ORR_NODE_PENDING, true},
    [ORR_REC_EDGE] = {edge_fits, ORR_NODE_PENDING, false},
    [ORR_REC_INTERRUPTED] = {interrupted_fits, ORR_NODE_PENDING, true},
    [ORR_REC_STEP] = {step_fits, ORR_NODE_PENDING, true},
    [ORR_REC_COMPENSATED] = {compensated_fits, ORR_NODE_COMPENSATED, true},
    [ORR_REC_COMPENSATION_FAILED] = {compensation_failed_fits, ORR_NODE_COMPENSATION_FAILED, true},
};

bool orr_record_fits(const orr_run *run, uint32_t t, const orr_record *r) {
    const record_rule *rule = &rules[r->kind];
    const orr_cell *cell = &run->cells[t];
    const orr_more *more = orr_more_of(run, t);
    uint32_t iteration = more != NULL ? more->iteration : 0;
    uint32_t next = more != NULL && more->interrupted ? cell->attempt : cell->attempt + 1u;
    if (rule->fits == NULL ||
        (r->kind == ORR_REC_ATTEMPT_STARTED &&
         (r->task.attempt != next || r->task.attempt > UINT16_MAX || r->task.iteration != iteration)))
        return false;
    if (rule->current && (r->task.attempt != cell->attempt || r->task.iteration != iteration)) return false;
    if (rule->to != ORR_NODE_PENDING &&
        !orr_node_may_go((orr_node_state)cell->state, (orr_node_state)rule->to))
        return false;
    if (r->kind == ORR_REC_ITERATED &&
        !orr_node_may_go((orr_node_state)cell->state, r->due >= 0 ? ORR_NODE_WAITING : ORR_NODE_READY))
        return false;
    return rule->fits(run, t, r);
}

bool orr_run_record_fits(const orr_run *run, const orr_record *r) {
    if (r->error != NULL && !error_fits(r)) return false;
    switch (r->kind) {
    case ORR_REC_STOPPING:
        return run->mode < MODE_STOP && !orr_compensating(run) && r->reason > ORR_STOP_NONE &&
               r->reason <= ORR_STOP_STALL;
    case ORR_REC_CLEANUP:
        return r->reason == 0 ? run->mode == MODE_STOP && orr_undo_task(run) == ORR_NONE
                              : run->mode == MODE_STOP || run->mode == MODE_CLEANUP;
    case ORR_REC_SUSPENDED:
    case ORR_REC_SIGNAL: return true;
    case ORR_REC_BEGUN: return run->waits && run->mode == MODE_OPEN && r->due == 0;
    case ORR_REC_RETRIED:
        return r->reason <= (ORR_RETRIED_ITEMS | ORR_RETRIED_WAITS) &&
               orr_may_retry(run, (r->reason & ORR_RETRIED_ITEMS) != 0);
    case ORR_REC_PAUSED: return !run->paused;
    case ORR_REC_RESUMED: return run->paused;
    case ORR_REC_COMPENSATING:
        return !orr_compensating(run) &&
               (run->open == 0 || (run->mode == MODE_STOP && run->live == run->live_cleanup)) &&
               orr_undo_any(run);
    case ORR_REC_RUN_ENDED:
        if (orr_compensating(run))
            return run->open == 0 && run->undo->left == 0 &&
                   r->reason == (run->undo->failed ? ORR_RUN_COMPENSATION_FAILED : ORR_RUN_COMPENSATED);
        return run->open == 0 && (r->reason == ORR_RUN_COMPLETED || r->reason == ORR_RUN_FAILED ||
                                  r->reason == ORR_RUN_CANCELLED);
    default: return false;
    }
}
