/* fold.c - state as a fold over records.
 *
 * Every change of a run's state is one of the apply functions below. A live run comes here through orr_put_*,
 * which writes the record and applies it; a run that is rebuilt comes through orr_run_fold, which applies what it reads.
 * So the two cannot differ. Nothing here decides anything, sets a timer or takes a limit: decide.c does.
 */
#include "engine.h"

#include <assert.h>
#include <string.h>

/* ---- changing one state ------------------------------------------------------------------------------------------ */

/* States that go on at a time or when woken. */
static const unsigned timed_states = 1u << ORR_NODE_WAITING | 1u << ORR_NODE_RETRYING;

/* An illegal step is a bug of ours: it asserts in debug builds and fails the run in release builds (decide.c). */
static void set_state(orr_run *run, uint32_t t, orr_node_state to)
{
    orr_cell *cell = &run->cells[t];
    orr_node_state from = (orr_node_state)cell->state;
    bool legal = (orr_node_next[from] >> to & 1) != 0;
    assert(legal);
    run->illegal |= !legal;
    cell->state = (uint8_t)to;
    if (t < run->plan->n_nodes) {
        run->stats.by_state[from]--;
        run->stats.by_state[to]++;
    }
    if (((timed_states >> from ^ timed_states >> to) & 1) != 0)
        run->timed += (timed_states >> to & 1) != 0 ? 1u : UINT32_MAX;
    if ((cell->flags & CELL_LIVE) == 0)
        return;
    run->running -= from == ORR_NODE_RUNNING;
    if (to == ORR_NODE_RUNNING && ++run->running > run->stats.peak_running)
        run->stats.peak_running = run->running;
}

bool orr_is_cleanup(const orr_run *run, uint32_t t)
{
    return run->has_cleanup && orr_policy_of(run, orr_node_of(run, t))->join == ORR_JOIN_DONE;
}

static void attempt_over(orr_run *run, uint32_t t)
{
    if ((run->cells[t].flags & CELL_LIVE) == 0)
        return;
    run->cells[t].flags &= (uint8_t)~CELL_LIVE;
    run->live--;
    if (orr_is_cleanup(run, t))
        run->live_cleanup--;
}

/* ---- telling the dependents -------------------------------------------------------------------------------------- */

void orr_touch(orr_run *run, uint32_t node)
{
    orr_cell *cell = &run->cells[node];
    if ((cell->flags & CELL_TOUCHED) != 0 || cell->state != ORR_NODE_PENDING)
        return;
    cell->flags |= CELL_TOUCHED;
    cell->next = ORR_NONE;
    if (run->touched_head == ORR_NONE)
        run->touched_head = node;
    else
        run->cells[run->touched_tail].next = node;
    run->touched_tail = node;
}

/* A pending node is to fail whatever comes: keeps the error until orr_consider sees it. False when out of memory. */
bool orr_doom(orr_run *run, uint32_t node, const orr_error *error)
{
    orr_more *more = orr_need_more(run, node);
    if (more == NULL)
        return false;
    if (more->failure == NULL)
        more->failure = orr_failure_new(run->core, error);
    orr_touch(run, node);
    return true;
}

/* One dependency of `to` counts as `outcome`. */
static void count(orr_run *run, uint32_t to, char outcome)
{
    orr_cell *cell = &run->cells[to];
    if (outcome == 'C')
        cell->completed++;
    else if (outcome == 'F')
        cell->flags |= CELL_FAILED_DEP;
    else if (outcome == 'X')
        cell->flags |= CELL_CANCELLED_DEP;
    cell->pending--;
    if (cell->pending == 0 || (cell->flags & CELL_EARLY) != 0)
        orr_touch(run, to);
}

/* The edges between a switch and one dependent are one dependency: it counts as C once, where one of them was taken, and
 * shuts the gate where none was. */
static void count_port(orr_run *run, uint32_t from, uint32_t to, bool taken, uint16_t port)
{
    if (!taken && orr_gate_shut(run, from, to, port)) {
        run->cells[to].flags |= CELL_GATE_SHUT;
        orr_more *more = orr_need_more(run, to); /* only for `why`: without memory it says less */
        if (more != NULL && more->by == ORR_NONE)
            more->by = from;
        orr_touch(run, to); /* it takes care of no failure any more */
    }
    count(run, to, taken ? 'C' : 'S');
}

static void propagate(orr_run *run, uint32_t from, char outcome, uint16_t port)
{
    const orr_plan *plan = run->plan;
    uint32_t end = plan->out_first[from + 1];
    if (plan->plain) {
        for (uint32_t k = plan->out_first[from]; k < end; k++)
            count(run, plan->out_to[k], outcome);
        return;
    }
    for (uint32_t k = plan->out_first[from]; k < end; k++) {
        uint32_t edge = plan->out_edge[k], to = plan->out_to[k];
        uint16_t wanted = plan->edge_port[edge];
        if (plan->edge_when[edge] != 0)
            continue; /* counted by its own record */
        if (wanted == ORR_PORT_ANY) {
            count(run, to, outcome);
            continue;
        }
        bool taken = outcome == 'C' && wanted == port;
        if (run->edge_done != NULL)
            run->edge_done[edge] = taken ? 2 : 1; /* beside it there may be one with a `when` */
        count_port(run, from, to, taken, port);
    }
}

static void layer_down(orr_run *run, uint32_t node)
{
    if (run->layer_open == NULL)
        return;
    uint32_t layer = run->plan->layer_of[node];
    if (--run->layer_open[layer] > 0)
        return;
    orr_event e = {.count = layer, .due = -1};
    orr_emit(run, ORR_EV_LAYER_COMPLETED, ORR_NONE, &e);
}

static void settled(orr_run *run, uint32_t node, uint16_t port)
{
    run->open--;
    propagate(run, node, orr_outcome_at(run, node), port);
    layer_down(run, node);
}

/* An item ended: its node keeps count. */
static void item_settled(orr_run *run, uint32_t t, orr_node_state state)
{
    orr_more *of = orr_more_of(run, orr_node_of(run, t));
    of->items_open--;
    of->items_failed += state == ORR_NODE_FAILED;
    of->items_cancelled += state == ORR_NODE_CANCELLED;
}

static void ended(orr_run *run, uint32_t t, orr_node_state state, uint16_t port)
{
    set_state(run, t, state);
    attempt_over(run, t);
    if (t < run->plan->n_nodes)
        settled(run, t, port);
    else
        item_settled(run, t, state);
}

/* ---- the fold ------------------------------------------------------------------------------------------------------ */

static void apply_started(orr_run *run, uint32_t t, uint32_t attempt, uint8_t phase)
{
    orr_cell *cell = &run->cells[t];
    cell->flags |= CELL_LIVE;
    run->live++;
    if (orr_is_cleanup(run, t))
        run->live_cleanup++;
    cell->attempt = (uint16_t)attempt;
    set_state(run, t, ORR_NODE_RUNNING);
    run->stats.attempts++;
    run->stats.retries += attempt > 1 && phase == ORR_PHASE_RUN;
    orr_more *more = orr_more_of(run, t);
    if (more != NULL)
        more->phase = phase;
}

static void apply_attempt_failed(orr_run *run, uint32_t t, uint8_t next, int64_t due, const orr_error *error)
{
    orr_more *more = orr_need_more(run, t);
    if (more != NULL) {
        orr_failure *before = more->failure; /* `error` may be it */
        more->failure = orr_failure_new(run->core, error);
        orr_failure_free(run->core, before);
        more->phase = next;
        more->due = due;
        if (next == ORR_PHASE_FALLBACK)
            more->deadline = 0; /* it bounded the attempts; the fallback is what follows them */
        more->cancel = ORR_CANCEL_NONE;
    }
    set_state(run, t, ORR_NODE_RETRYING);
    attempt_over(run, t);
}

static void apply_failed(orr_run *run, uint32_t t, const orr_error *error)
{
    orr_more *more = orr_need_more(run, t);
    if (more != NULL) {
        orr_failure *before = more->failure;
        more->failure = before != NULL && more->phase == ORR_PHASE_FALLBACK
                            ? orr_failure_join(run->core, &before->error, error)
                            : orr_failure_new(run->core, error);
        orr_failure_free(run->core, before);
    }
    ended(run, t, ORR_NODE_FAILED, ORR_PORT_ANY);
}

static void apply_because(orr_run *run, uint32_t t, orr_node_state state, uint8_t skip, uint32_t by)
{
    orr_more *more = orr_need_more(run, t);
    if (more != NULL) {
        more->skip = skip;
        if (by != ORR_NONE)
            more->by = by;
    }
    ended(run, t, state, ORR_PORT_ANY);
}

bool orr_room(orr_run *run, uint32_t items)
{
    const orr_alloc *a = &run->core->alloc;
    if (run->n_expansions == run->cap_expansions) {
        uint32_t cap = run->cap_expansions > 0 ? run->cap_expansions * 2 : 4;
        orr_expansion *e = orr_mem_resize(a, run->expansions, run->cap_expansions, cap, sizeof *e);
        if (e == NULL)
            return false;
        run->expansions = e;
        run->cap_expansions = cap;
    }
    if (items > run->cap_cells - run->n_cells) {
        uint64_t want = (uint64_t)run->n_cells + items, cap = run->cap_cells + (uint64_t)run->cap_cells / 2;
        if (cap < want)
            cap = want;
        if (cap >= ORR_NONE)
            return false;
        orr_cell *cells = orr_mem_resize(a, run->cells, run->cap_cells, (uint32_t)cap, sizeof *cells);
        if (cells == NULL)
            return false;
        run->cells = cells;
        run->cap_cells = (uint32_t)cap;
    }
    return true;
}

static orr_status apply_expanded(orr_run *run, uint32_t t, uint32_t n)
{
    orr_more *more = orr_need_more(run, t);
    if (more == NULL || !orr_room(run, n))
        return ORR_ENOMEM;
    more->expanded = true;
    more->first_item = run->n_cells;
    more->n_items = more->items_open = n;
    if (n > 0)
        run->expansions[run->n_expansions++] = (orr_expansion){run->n_cells, n, t};
    for (uint32_t i = 0; i < n; i++)
        run->cells[run->n_cells + i] =
            (orr_cell){.next = ORR_NONE, .more = ORR_NONE, .state = ORR_NODE_READY};
    run->n_cells += n;
    run->stats.items += n;
    if (n > 0)
        set_state(run, t, ORR_NODE_RUNNING);
    return ORR_OK;
}

static void apply_iterated(orr_run *run, uint32_t t, int64_t due)
{
    orr_more *more = orr_more_of(run, t);
    if (more != NULL) {
        more->iteration++;
        more->due = due;
        more->phase = ORR_PHASE_RUN;
        more->cancel = ORR_CANCEL_NONE;
        orr_failure_free(run->core, more->failure);
        more->failure = NULL;
    }
    run->cells[t].attempt = 0;
    set_state(run, t, due >= 0 ? ORR_NODE_WAITING : ORR_NODE_READY);
    attempt_over(run, t);
}

static void apply_waiting(orr_run *run, uint32_t t, int64_t due)
{
    orr_more *more = orr_need_more(run, t);
    if (more != NULL)
        more->due = due;
    set_state(run, t, ORR_NODE_WAITING);
}

static void apply_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth)
{
    run->edge_done[edge] = truth ? 2 : 1;
    if (run->plan->edge_port[edge] != ORR_PORT_ANY)
        count_port(run, from, to, truth, ORR_PORT_ANY);
    else
        count(run, to, truth ? orr_outcome_at(run, from) : 'S');
}

static void apply_run(orr_run *run, orr_record_kind kind, uint8_t reason, const orr_error *error)
{
    switch (kind) {
    case ORR_REC_STOPPING:
        run->cause = reason;
        run->mode = reason == ORR_STOP_FAILURE && run->plan->on_error == ORR_ON_ERROR_DRAIN ? MODE_DRAIN : MODE_STOP;
        if (error != NULL && run->failure == NULL)
            run->failure = orr_failure_new(run->core, error);
        break;
    case ORR_REC_CLEANUP:
        run->mode = reason != 0 ? MODE_SKIP : MODE_CLEANUP;
        break;
    case ORR_REC_PAUSED:
        run->paused = true;
        break;
    case ORR_REC_RESUMED:
        run->paused = false;
        break;
    case ORR_REC_RUN_ENDED:
        run->state = reason;
        run->ended = true;
        break;
    default:
        break;
    }
}

/* ---- live: write, then apply ------------------------------------------------------------------------------------- */

static void write(orr_run *run, orr_record_kind kind, uint32_t t, const orr_record *fields)
{
    orr_core *core = run->core;
    run->seq++;
    if (core->hooks.record == NULL)
        return;
    orr_record rec = *fields;
    rec.kind = kind;
    rec.seq = run->seq;
    rec.time = core->now;
    rec.task = orr_task_of(run, t);
    if (kind != ORR_REC_COMPLETED)
        rec.port = ORR_PORT_ANY;
    core->hooks.record(core->hooks.ud, run, &rec);
}

/* With nobody keeping a journal a record is only its number: the hot path pays for no more. */
#define WRITE(run, kind, t, ...)                                                                                       \
    do {                                                                                                               \
        if ((run)->core->hooks.record != NULL)                                                                         \
            write(run, kind, t, &(orr_record){__VA_ARGS__});                                                           \
        else                                                                                                           \
            (run)->seq++;                                                                                              \
    } while (0)

void orr_put_ready(orr_run *run, uint32_t t)
{
    /* journaled only where a later process must know since when: the deadline counts from here */
    const orr_more *more = orr_more_of(run, t);
    if (more != NULL && more->deadline > 0)
        WRITE(run, ORR_REC_READY, t, .due = more->deadline);
    set_state(run, t, ORR_NODE_READY);
}

void orr_put_started(orr_run *run, uint32_t t, orr_phase phase)
{
    uint16_t attempt = (uint16_t)(run->cells[t].attempt + 1);
    run->cells[t].attempt = attempt;
    WRITE(run, ORR_REC_ATTEMPT_STARTED, t, .phase = (uint8_t)phase);
    apply_started(run, t, attempt, (uint8_t)phase);
}

void orr_put_attempt_failed(orr_run *run, uint32_t t, orr_phase next, int64_t due, const orr_error *error)
{
    WRITE(run, ORR_REC_ATTEMPT_FAILED, t, .phase = (uint8_t)next, .due = due, .error = error, .value = error->value);
    apply_attempt_failed(run, t, (uint8_t)next, due, error);
}

void orr_put_completed(orr_run *run, uint32_t t, uint16_t port, uint64_t value)
{
    WRITE(run, ORR_REC_COMPLETED, t, .port = port, .value = value);
    ended(run, t, ORR_NODE_COMPLETED, port);
}

void orr_put_failed(orr_run *run, uint32_t t, const orr_error *error)
{
    WRITE(run, ORR_REC_FAILED, t, .error = error, .value = error->value);
    apply_failed(run, t, error);
}

void orr_put_skipped(orr_run *run, uint32_t t, orr_skip_reason reason, uint32_t by)
{
    WRITE(run, ORR_REC_SKIPPED, t, .reason = (uint8_t)reason, .count = by);
    apply_because(run, t, ORR_NODE_SKIPPED, (uint8_t)reason, by);
}

void orr_put_cancelled(orr_run *run, uint32_t t)
{
    orr_more *more = orr_more_of(run, t);
    if (more != NULL && run->cells[t].state == ORR_NODE_PENDING) { /* it was doomed, but a cancel came first */
        orr_failure_free(run->core, more->failure);
        more->failure = NULL;
    }
    WRITE(run, ORR_REC_CANCELLED, t, .reason = run->cause);
    ended(run, t, ORR_NODE_CANCELLED, ORR_PORT_ANY);
}

orr_status orr_put_expanded(orr_run *run, uint32_t t, uint32_t items, uint64_t value)
{
    /* memory first: a record that was written must be applied */
    if (orr_need_more(run, t) == NULL || !orr_room(run, items))
        return ORR_ENOMEM;
    WRITE(run, ORR_REC_EXPANDED, t, .count = items, .value = value);
    return apply_expanded(run, t, items);
}

void orr_put_iterated(orr_run *run, uint32_t t, int64_t due, uint64_t value)
{
    WRITE(run, ORR_REC_ITERATED, t, .due = due, .value = value);
    apply_iterated(run, t, due);
}

void orr_put_waiting(orr_run *run, uint32_t t, int64_t due)
{
    WRITE(run, ORR_REC_WAITING, t, .due = due);
    apply_waiting(run, t, due);
}

void orr_put_held(orr_run *run, uint32_t t)
{
    WRITE(run, ORR_REC_HELD, t, .due = -1);
    apply_waiting(run, t, -1);
}

void orr_put_woken(orr_run *run, uint32_t t, orr_node_state to)
{
    WRITE(run, ORR_REC_WOKEN, t, .due = -1, .reason = (uint8_t)to);
    set_state(run, t, to);
}

void orr_put_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth)
{
    WRITE(run, ORR_REC_EDGE, from, .count = edge, .reason = truth);
    apply_edge(run, from, to, edge, truth);
}

void orr_put_run(orr_run *run, orr_record_kind kind, uint8_t reason, const orr_error *error)
{
    WRITE(run, kind, ORR_NONE, .reason = reason, .error = error, .value = error != NULL ? error->value : 0);
    apply_run(run, kind, reason, error);
}

/* ---- rebuilt: read, then apply ------------------------------------------------------------------------------------ */

/* A node goes from pending to ready without a record where nothing must be remembered of it; the record that follows
 * says so. */
static void imply_ready(orr_run *run, uint32_t t, const orr_record *r)
{
    bool begins = r->kind == ORR_REC_ATTEMPT_STARTED || r->kind == ORR_REC_EXPANDED || r->kind == ORR_REC_HELD ||
                  r->kind == ORR_REC_ATTEMPT_FAILED;
    if (begins && run->cells[t].state == ORR_NODE_PENDING)
        set_state(run, t, ORR_NODE_READY);
}

static uint32_t edge_target(const orr_plan *plan, uint32_t node, uint32_t edge)
{
    uint32_t k = plan->out_first[node];
    while (plan->out_edge[k] != edge)
        k++;
    return plan->out_to[k];
}

static orr_status fold_task(orr_run *run, uint32_t t, const orr_record *r)
{
    imply_ready(run, t, r);
    switch (r->kind) {
    case ORR_REC_READY:
        orr_more_of(run, t)->deadline = r->due;
        set_state(run, t, ORR_NODE_READY);
        break;
    case ORR_REC_ATTEMPT_STARTED: apply_started(run, t, r->task.attempt, r->phase); break;
    case ORR_REC_ATTEMPT_FAILED: apply_attempt_failed(run, t, r->phase, r->due, r->error); break;
    case ORR_REC_COMPLETED: ended(run, t, ORR_NODE_COMPLETED, r->port); break;
    case ORR_REC_FAILED: apply_failed(run, t, r->error); break;
    case ORR_REC_SKIPPED: apply_because(run, t, ORR_NODE_SKIPPED, r->reason, r->count); break;
    case ORR_REC_CANCELLED: ended(run, t, ORR_NODE_CANCELLED, ORR_PORT_ANY); break;
    case ORR_REC_EXPANDED: return apply_expanded(run, t, r->count);
    case ORR_REC_ITERATED: apply_iterated(run, t, r->due); break;
    case ORR_REC_WAITING:
    case ORR_REC_HELD: apply_waiting(run, t, r->due); break;
    case ORR_REC_WOKEN: set_state(run, t, (orr_node_state)r->reason); break;
    default: apply_edge(run, t, edge_target(run->plan, t, r->count), r->count, r->reason != 0); break;
    }
    return ORR_OK;
}

/* Room for all that a record may want to keep, so that it is applied whole or not at all. */
static bool make_room(orr_run *run, uint32_t t, const orr_record *r)
{
    static const unsigned keeps = 1u << ORR_REC_READY | 1u << ORR_REC_ATTEMPT_FAILED | 1u << ORR_REC_FAILED |
                                  1u << ORR_REC_SKIPPED | 1u << ORR_REC_EXPANDED | 1u << ORR_REC_ITERATED |
                                  1u << ORR_REC_WAITING | 1u << ORR_REC_HELD;
    if ((keeps >> r->kind & 1) != 0 && orr_need_more(run, t) == NULL)
        return false;
    return r->kind != ORR_REC_EXPANDED || orr_room(run, r->count);
}

orr_status orr_run_fold(orr_run *run, const orr_record *record)
{
    orr_status status = ORR_OK;
    if ((unsigned)record->kind >= ORR_RECORD_COUNT || run->ended)
        return ORR_EINVAL;
    if (record->kind == ORR_REC_RUN_CREATED) {
        if (run->state != ORR_RUN_PENDING || record->seq != 1)
            return ORR_EINVAL;
        run->seq = 1;
        run->stats.created = record->time;
        run->state = ORR_RUN_RUNNING;
        return ORR_OK;
    }
    if (run->state != ORR_RUN_RUNNING || record->seq != run->seq + 1)
        return ORR_EINVAL;
    if (record->task.node == ORR_NONE) {
        if (!orr_run_record_fits(run, record))
            return ORR_EINVAL;
        apply_run(run, record->kind, record->reason, record->error);
    } else {
        uint32_t t = orr_index(run, record->task.node, record->task.item);
        if (t == ORR_NONE || !orr_record_fits(run, t, record))
            return ORR_EINVAL;
        if (!make_room(run, t, record))
            return ORR_ENOMEM;
        status = fold_task(run, t, record);
    }
    if (status == ORR_OK)
        run->seq = record->seq;
    return status;
}
