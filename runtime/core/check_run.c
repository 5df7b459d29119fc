/* check_run.c - whether the counts of a run agree with its cells, its modes with each other, and
 * what it is to undo with what it did. */
#include "core/check.h"

/* ---- modes ----------------------------------------------------------------------------------- */

static bool check_modes(orr_check *c, const orr_run *run) {
    static const unsigned recorded = 1u << ORR_RUN_PENDING | 1u << ORR_RUN_RUNNING | 1u << ORR_RUN_COMPLETED |
                                     1u << ORR_RUN_FAILED | 1u << ORR_RUN_CANCELLED |
                                     1u << ORR_RUN_COMPENSATED | 1u << ORR_RUN_COMPENSATION_FAILED;
    bool known = run->state < ORR_RUN_STATE_COUNT && (recorded >> run->state & 1) != 0;
    PROVE(c, run, ORR_NONE, known, "its state is none that is recorded");
    PROVE(c, run, ORR_NONE, run->ended == orr_run_ended((orr_run_state)run->state),
          "its state does not say whether it has ended");
    PROVE(c, run, ORR_NONE, !run->deciding, "it is still deciding what follows");
    PROVE(c, run, ORR_NONE, !run->illegal, "a transition was made that the table does not have");
    PROVE(c, run, ORR_NONE, run->mode <= MODE_SKIP && run->cause <= ORR_STOP_STALL,
          "its mode or the cause of its stop is none");
    PROVE(c, run, ORR_NONE, (run->mode == MODE_OPEN) == (run->cause == ORR_STOP_NONE),
          "its mode does not say whether something stopped it");
    PROVE(c, run, ORR_NONE,
          run->failure_node == ORR_NONE || (run->failure_node < run->plan->n_nodes &&
                                            orr_settled_as(run, run->failure_node) == ORR_NODE_FAILED),
          "the node of its first failure did not fail");
    return true;
}

/* What goes on has something to wait for: otherwise it should have ended, or stalled. */
static bool check_progress(orr_check *c, const orr_run *run, const orr_check_tally *n) {
    bool undoes = orr_undo_task(run) != ORR_NONE;
    PROVE(c, run, ORR_NONE, !run->ended || n->open == 0, "it has ended, but nodes are left");
    PROVE(c, run, ORR_NONE, !run->ended || (n->live == 0 && !undoes),
          "it has ended, but an attempt is under way");
    if (!orr_check_goes(run)) return true;
    PROVE(c, run, ORR_NONE, n->open > 0 || undoes, "all its nodes have settled, but it has not ended");
    PROVE(c, run, ORR_NONE, n->live > 0 || n->queued > 0 || n->timed > 0 || undoes,
          "nothing of it runs, waits or is due, but it has not ended");
    PROVE(c, run, ORR_NONE, n->touched == 0, "nodes whose dependencies changed were not looked at");
    return true;
}

/* ---- counts ---------------------------------------------------------------------------------- */

/* The list runs through the cells, so one that comes back to itself is longer than there are
 * cells that say they stand in it. */
static bool check_touched(orr_check *c, const orr_run *run, uint32_t flagged) {
    uint32_t n = 0, last = ORR_NONE;
    for (uint32_t t = run->touched_head; t != ORR_NONE; t = run->cells[t].next) {
        PROVE(c, run, ORR_NONE, t < run->plan->n_nodes, "its list of touched nodes leads out of the nodes");
        PROVE(c, run, t, (run->cells[t].flags & CELL_TOUCHED) != 0,
              "it stands in the list of touched nodes, but is not touched");
        PROVE(c, run, t, n++ < flagged, "the list of touched nodes comes back to it");
        last = t;
    }
    PROVE(c, run, ORR_NONE, n == flagged, "a touched node stands outside the list of touched nodes");
    PROVE(c, run, ORR_NONE, run->touched_tail == last, "its list of touched nodes has another last node");
    return true;
}

static bool check_mores(orr_check *c, const orr_run *run, const orr_check_tally *n) {
    uint64_t used = n->more, all = 0;
    uint32_t left = run->n_mores - n->mores;
    PROVE(c, run, ORR_NONE, n->mores <= run->n_mores, "two of its tasks share the rest of their data");
    for (uint32_t m = run->free_more; m != ORR_NONE; left--) {
        PROVE(c, run, ORR_NONE, m < run->n_mores && left > 0, "its list of free data is broken");
        used += orr_check_mark(m);
        m = orr_more_at(run, m)->act_task;
    }
    for (uint32_t m = 0; m < run->n_mores; m++) all += orr_check_mark(m);
    PROVE(c, run, ORR_NONE, left == 0 && used == all, "two of its tasks share the rest of their data");
    return true;
}

static bool check_layers(orr_check *c, const orr_run *run, const orr_check_tally *n) {
    uint64_t layers = 0;
    if (run->layer_open == NULL) return true;
    for (uint32_t i = 0; i < run->plan->n_layers; i++) layers += run->layer_open[i] * orr_check_mark(i);
    PROVE(c, run, ORR_NONE, layers == n->layers, "the number of nodes left in one of its layers is wrong");
    return true;
}

bool orr_check_counts(orr_check *c, const orr_run *run, const orr_check_tally *n) {
    for (int s = 0; s < ORR_NODE_STATE_COUNT; s++)
        PROVE(c, run, ORR_NONE, run->stats.by_state[s] == n->by_state[s],
              "the number of its nodes in one of the states is wrong");
    PROVE(c, run, ORR_NONE, run->open == n->open, "the number of its nodes that have not settled is wrong");
    PROVE(c, run, ORR_NONE, run->live == n->live, "the number of its attempts under way is wrong");
    PROVE(c, run, ORR_NONE, run->live_cleanup == n->live_cleanup,
          "the number of its attempts of cleanup nodes is wrong");
    PROVE(c, run, ORR_NONE, run->queued == n->queued, "the number of its tasks in line is wrong");
    PROVE(c, run, ORR_NONE, run->timed == n->timed, "the number of its tasks that wait is wrong");
    PROVE(c, run, ORR_NONE, run->running == n->running, "the number of its tasks that run is wrong");
    PROVE(c, run, ORR_NONE, run->running <= run->stats.peak_running,
          "more of its tasks run than ever before");
    return check_modes(c, run) && check_touched(c, run, n->touched) && check_mores(c, run, n) &&
           check_layers(c, run, n) && check_progress(c, run, n);
}

/* ---- undoing --------------------------------------------------------------------------------- */

static bool check_step(orr_check *c, const orr_run *run, uint32_t t) {
    const orr_undo *undo = run->undo;
    bool live = orr_check_live(run, t), undoes = run->cells[t].state == ORR_NODE_COMPENSATING;
    bool steps = undo->step == UNDO_LIVE || undo->step == UNDO_WAITS;
    PROVE(c, run, t, live == steps,
          "the step of its compensation does not say whether an attempt is under way");
    PROVE(c, run, t, undoes || undo->step == UNDO_IDLE, "its compensation has begun, but not its state");
    PROVE(c, run, t, undoes || orr_is_over(run, t), "it is to be undone, but has not settled");
    PROVE(c, run, t, undo->step != UNDO_LIVE || !undo->due, "its compensation is to start and under way");
    return true;
}

static bool check_due(orr_check *c, const orr_run *run) {
    const orr_undo *undo = run->undo;
    bool held = run->paused || run->suspended;
    PROVE(c, run, ORR_NONE, !undo->queued || (undo->due && orr_undo_task(run) != ORR_NONE),
          "it stands in the list of compensations, but none is to start");
    PROVE(c, run, ORR_NONE, !undo->due || undo->queued || held || !orr_check_goes(run),
          "its compensation is to start, but the run stands in no list");
    PROVE(c, run, ORR_NONE,
          orr_undo_task(run) == ORR_NONE || undo->due || undo->step != UNDO_IDLE || !orr_check_goes(run),
          "the turn of its next compensation was forgotten");
    return true;
}

/* Notes are of settled tasks whose node has a compensation; of those behind the turn it is over. */
static bool check_notes(orr_check *c, const orr_run *run, orr_check_tally *n) {
    const orr_undo *undo = run->undo;
    for (uint32_t i = 0; i < undo->n; i++) {
        uint32_t t = undo->tasks[i];
        PROVE(c, run, ORR_NONE, t < run->n_cells, "a note of what is to be undone is of no task");
        uint32_t node = orr_node_of(run, t);
        PROVE(c, run, t, orr_policy_of(run, node)->has_compensate,
              "it is noted to be undone, but has no compensation");
        PROVE(c, run, t, !undo->on || i < undo->left || run->cells[t].state > ORR_NODE_COMPENSATING,
              "its turn to be undone is over, but it was not");
        if (t != node && (!undo->on || i < undo->left)) n->undo += orr_check_mark(node);
    }
    return true;
}

bool orr_check_undo(orr_check *c, const orr_run *run, orr_check_tally *n) {
    const orr_undo *undo = run->undo;
    uint64_t open = 0;
    if (undo == NULL) return true;
    PROVE(c, run, ORR_NONE, undo->n <= undo->cap && undo->left <= undo->n,
          "more is to be undone than was noted");
    PROVE(c, run, ORR_NONE, undo->on || (undo->left == 0 && !undo->due && !undo->queued),
          "a compensation is to start in a run that does not compensate");
    PROVE(c, run, ORR_NONE, undo->left > 0 || undo->step == UNDO_IDLE,
          "the compensation of nothing is under way");
    if (!check_notes(c, run, n)) return false;
    for (uint32_t node = 0; node < run->plan->n_nodes; node++) {
        const orr_more *more = orr_more_of(run, node);
        if (more != NULL) open += more->undo_open * orr_check_mark(node);
    }
    PROVE(c, run, ORR_NONE, open == n->undo, "the number of items to be undone of one of its nodes is wrong");
    if (orr_undo_task(run) != ORR_NONE && !check_step(c, run, orr_undo_task(run))) return false;
    c->undos += undo->queued;
    return check_due(c, run);
}
