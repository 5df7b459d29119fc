/* setback.c - a run that failed or was cancelled is set back: what failed, and all that followed
 * from it, is to run again; where it is asked for also items that were allowed to fail.
 *
 * The same function sets back a run that is retried and one whose journal says that it was. It is
 * only called on a run that is rebuilt and has ended: then no task stands in a list, and nodes that
 * are set back are linked by their cells.
 */
#include "core/inner.h"

/* Their usual meaning is of use only while a run goes on. */
enum {
    MARKED = CELL_TOUCHED, /* is set back */
    FOLLOWS = CELL_QUEUED  /* because of one before it */
};

/* ---- what is set back ------------------------------------------------------------------------ */

/* `items`: so is a node that completed though items of it failed. */
static bool is_root(const orr_run *run, uint32_t node, bool items) {
    uint8_t state = run->cells[node].state;
    return state == ORR_NODE_CANCELLED ||
           (state == ORR_NODE_FAILED && !orr_policy_of(run, node)->ignore_errors) ||
           (items && state == ORR_NODE_COMPLETED && orr_run_items_failed(run, node) > 0);
}

static void mark(orr_run *run, uint32_t node, uint8_t as) {
    orr_cell *cell = &run->cells[node];
    cell->flags |= as;
    if ((cell->flags & MARKED) != 0) return;
    cell->flags |= MARKED;
    orr_list_touched(run, node);
}

static void mark_all(orr_run *run, bool items) {
    const orr_plan *plan = run->plan;
    for (uint32_t node = 0; node < plan->n_nodes; node++)
        if (is_root(run, node, items)) mark(run, node, 0);
    for (uint32_t node = run->touched_head; node != ORR_NONE; node = run->cells[node].next)
        for (uint32_t k = plan->out_first[node]; k < plan->out_first[node + 1]; k++)
            if (orr_is_over(run, plan->out_to[k])) mark(run, plan->out_to[k], FOLLOWS);
}

static void unmark(orr_run *run) {
    for (uint32_t node = run->touched_head; node != ORR_NONE; node = run->cells[node].next)
        run->cells[node].flags &= (uint8_t) ~(MARKED | FOLLOWS);
    run->touched_head = run->touched_tail = ORR_NONE;
}

/* A node whose list still holds keeps it, and the items that completed. One that follows may get
 * another list. */
static bool keeps_items(const orr_run *run, uint32_t node) {
    const orr_more *more = orr_more_of(run, node);
    return more != NULL && more->expanded && (run->cells[node].flags & FOLLOWS) == 0;
}

/* Attempts go on counting where they were; a task that has made so many that its numbers might
 * run out stays as it is. */
static orr_status prepare_task(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    if (run->cells[t].attempt == 0 || more != NULL)
        return run->cells[t].attempt < UINT16_MAX / 2 ? ORR_OK : ORR_ESTATE;
    bool uncertain = run->cells[t].state == ORR_NODE_CANCELLED && run->cells[t].attempt > orr_base_of(run, t);
    more = orr_need_more(run, t);
    if (more == NULL) return ORR_ENOMEM;
    more->uncertain = uncertain; /* as orr_run_uncertain says of a task without */
    return ORR_OK;
}

static orr_status prepare_node(orr_run *run, uint32_t node) {
    const orr_more *more = orr_more_of(run, node);
    orr_status status = prepare_task(run, node);
    if (more == NULL || !more->expanded) return status;
    for (uint32_t i = 0; i < more->n_items && status == ORR_OK; i++)
        status = prepare_task(run, more->first_item + i);
    return status;
}

orr_status orr_prepare_retry(orr_run *run, bool items) {
    orr_status status = ORR_OK;
    mark_all(run, items);
    if (run->state == ORR_RUN_COMPLETED && run->touched_head == ORR_NONE) return ORR_ESTATE;
    for (uint32_t node = run->touched_head; node != ORR_NONE && status == ORR_OK;
         node = run->cells[node].next)
        status = prepare_node(run, node);
    if (status != ORR_OK) unmark(run);
    return status;
}

/* ---- setting back ---------------------------------------------------------------------------- */

static uint16_t highest(const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    uint16_t most = more != NULL ? more->most : 0;
    return run->cells[t].attempt > most ? run->cells[t].attempt : most;
}

/* As if it had never run, but for the numbers of its attempts. */
static void forget(orr_run *run, uint32_t t, uint16_t base) {
    orr_more *more = orr_more_of(run, t);
    if (more == NULL) return;
    uint32_t undo_open = more->undo_open;
    orr_failure_free(run->core, more->failure);
    orr_init_more(more);
    more->base = base;
    more->undo_open = undo_open; /* orr_undo_retried counts it down */
}

/* Settled nodes go back to a state that the transition table does not lead to. */
static void reopen(orr_run *run, uint32_t node, orr_node_state state) {
    orr_cell *cell = &run->cells[node];
    run->stats.by_state[cell->state]--;
    run->stats.by_state[state]++;
    cell->state = (uint8_t)state;
    run->open++;
    if (run->layer_open != NULL) run->layer_open[run->plan->layer_of[node]]++;
}

static void set_back_node(orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    orr_cell *cell = &run->cells[node];
    const orr_more *more = orr_more_of(run, node);
    uint16_t base = highest(run, node);
    if (more != NULL && more->base > base) base = more->base;
    for (uint32_t i = 0; more != NULL && more->expanded && i < more->n_items; i++) {
        uint16_t most = highest(run, more->first_item + i);
        base = most > base ? most : base;
    }
    forget(run, node, base);
    reopen(run, node, ORR_NODE_PENDING);
    cell->attempt = orr_policy_of(run, node)->has_each ? 0 : base; /* of a list it is that of its items */
    cell->pending = plan->in_first[node + 1] - plan->in_first[node];
    cell->completed = 0;
    cell->flags = orr_first_flags(run, node);
}

static void set_back_item(orr_run *run, uint32_t t, uint8_t state) {
    orr_cell *cell = &run->cells[t];
    cell->attempt = highest(run, t);
    cell->state = state;
    forget(run, t, cell->attempt);
}

static void set_back_items(orr_run *run, uint32_t node, int64_t now) {
    orr_more *more = orr_more_of(run, node);
    orr_failure_free(run->core, more->failure);
    more->failure = NULL;
    more->failed_seq = 0;
    more->begun = false;
    more->cancel = ORR_CANCEL_NONE;
    more->by = ORR_NONE;
    more->since = now;
    more->items_open = more->items_failed = more->items_cancelled = 0;
    more->items_idle = more->idle_at = 0;
    bool bounded = orr_policy_of(run, node)->each_parallel > 0;
    for (uint32_t t = more->first_item, end = t + more->n_items; t < end; t++) {
        if (run->cells[t].state == ORR_NODE_COMPLETED) continue;
        set_back_item(run, t, bounded ? ORR_NODE_PENDING : ORR_NODE_READY);
        more->items_open++;
        more->items_idle += bounded;
    }
    run->cells[node].flags &= (uint8_t)~CELL_HANDLED;
    reopen(run, node, ORR_NODE_RUNNING);
}

static void forget_edges(orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    for (uint32_t k = plan->out_first[node]; k < plan->out_first[node + 1] && run->edge_done != NULL; k++)
        run->edge_done[plan->out_edge[k]] = EDGE_OPEN;
}

static void set_back_run(orr_run *run, int64_t now) {
    run->state = ORR_RUN_RUNNING;
    run->mode = MODE_OPEN;
    run->cause = ORR_STOP_NONE;
    run->ended = run->failed = run->paused = run->suspended = false;
    run->cancels = 0;
    run->since = now;
    run->stats.ended = 0;
    run->failure_node = ORR_NONE;
    orr_failure_free(run->core, run->failure);
    run->failure = NULL;
}

void orr_apply_retried(orr_run *run, int64_t now) {
    uint32_t first = run->touched_head, next;
    run->touched_head = run->touched_tail = ORR_NONE;
    set_back_run(run, now);
    for (uint32_t node = first; node != ORR_NONE; node = run->cells[node].next) {
        forget_edges(run, node);
        if (keeps_items(run, node)) set_back_items(run, node, now);
        else set_back_node(run, node);
    }
    orr_undo_retried(run);
    for (uint32_t node = first; node != ORR_NONE; node = next) { /* when all are back that are set back */
        bool whole = run->cells[node].state == ORR_NODE_PENDING;
        next = run->cells[node].next;
        run->cells[node].next = ORR_NONE;
        run->cells[node].flags &= (uint8_t) ~(MARKED | FOLLOWS);
        if (whole) orr_recount(run, node);
    }
}
