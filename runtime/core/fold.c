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

/* ---- ends -------------------------------------------------------------------------------------------------------------- */

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
    orr_more *more = orr_more_of(run, t);
    if (more != NULL)
        more->interrupted = false; /* what may be attempted next, its compensation, has a number of its own */
    set_state(run, t, state);
    attempt_over(run, t);
    if (t < run->plan->n_nodes)
        orr_tell_settled(run, t, port);
    else
        item_settled(run, t, state);
}

/* ---- the fold ------------------------------------------------------------------------------------------------------ */

/* A settled task is undone; with its first item its node is. */
static void apply_undoing(orr_run *run, uint32_t t, uint32_t attempt)
{
    uint32_t node = orr_node_of(run, t);
    orr_more *more = orr_more_of(run, t);
    if (run->cells[t].state != ORR_NODE_COMPENSATING) {
        more->was = run->cells[t].state;
        more->crashes = 0;
        more->undo_base = (uint16_t)(attempt - 1);
        more->cancel = ORR_CANCEL_NONE;
        set_state(run, t, ORR_NODE_COMPENSATING);
    }
    if (run->cells[node].state != ORR_NODE_COMPENSATING) {
        orr_more_of(run, node)->was = run->cells[node].state;
        set_state(run, node, ORR_NODE_COMPENSATING);
    }
    run->undo->step = UNDO_LIVE;
}

static void apply_started(orr_run *run, uint32_t t, uint32_t attempt, uint8_t phase)
{
    orr_cell *cell = &run->cells[t];
    orr_more *more = orr_more_of(run, t);
    bool again = more != NULL && more->interrupted; /* it is the attempt that was cut off */
    cell->flags |= CELL_LIVE;
    run->live++;
    if (orr_is_cleanup(run, t))
        run->live_cleanup++;
    cell->attempt = (uint16_t)attempt;
    run->stats.attempts += !again;
    if (more != NULL) {
        more->phase = phase;
        more->interrupted = false;
        more->crashes = again ? more->crashes : 0;
    }
    if (phase == ORR_PHASE_COMPENSATE) {
        apply_undoing(run, t, attempt);
        return;
    }
    set_state(run, t, ORR_NODE_RUNNING);
    run->stats.retries += attempt > 1 && phase == ORR_PHASE_RUN && !again;
    if (more != NULL && phase == ORR_PHASE_RUN)
        more->uncertain = false; /* a fallback does not tell what the attempt before it did */
}

static void apply_undo_failed(orr_run *run, uint32_t t, int64_t due, const orr_error *error)
{
    orr_more *more = orr_more_of(run, t);
    orr_failure *before = more->undo_failure; /* `error` may be it */
    more->undo_failure = orr_failure_new(run->core, error);
    orr_failure_free(run->core, before);
    more->due = due;
    more->cancel = ORR_CANCEL_NONE;
    attempt_over(run, t);
    run->undo->step = UNDO_BACKOFF;
}

/* It has been undone, or could not be; of a node with items that is said when it has been said of the last of them. */
static void apply_undone(orr_run *run, uint32_t t, orr_node_state state, const orr_error *error)
{
    orr_more *more = orr_more_of(run, t);
    orr_failure *before = more->undo_failure;
    more->undo_failure = error != NULL ? orr_failure_new(run->core, error) : NULL;
    orr_failure_free(run->core, before);
    set_state(run, t, state);
    attempt_over(run, t);
    run->undo->failed |= error != NULL;
    if (orr_undo_task(run) != t)
        return;
    run->undo->left--;
    run->undo->step = UNDO_IDLE;
    if (t >= run->plan->n_nodes)
        orr_more_of(run, orr_node_of(run, t))->undo_open--;
}

static void apply_attempt_failed(orr_run *run, uint32_t t, uint8_t next, int64_t due, bool uncertain,
                                 const orr_error *error)
{
    if (next == ORR_PHASE_COMPENSATE) {
        apply_undo_failed(run, t, due, error);
        return;
    }
    orr_more *more = orr_need_more(run, t);
    if (more != NULL) {
        more->uncertain = uncertain;
        orr_failure *before = more->failure; /* `error` may be it */
        more->failure = orr_failure_new(run->core, error);
        orr_failure_free(run->core, before);
        more->phase = next;
        more->interrupted = false;
        more->due = due;
        if (next == ORR_PHASE_FALLBACK)
            more->deadline = 0; /* it bounded the attempts; the fallback is what follows them */
        more->cancel = ORR_CANCEL_NONE;
    }
    set_state(run, t, ORR_NODE_RETRYING);
    attempt_over(run, t);
}

static void apply_completed(orr_run *run, uint32_t t, uint16_t port, uint8_t source)
{
    if (run->undo != NULL && source == ORR_SOURCE_RUN)
        orr_undo_note(run, t);
    if (source == ORR_SOURCE_FORK)
        set_state(run, t, ORR_NODE_READY); /* it did not run here; a node that has nothing to do may complete at once */
    ended(run, t, ORR_NODE_COMPLETED, port);
}

/* The end of its process cut the attempt off. */
static void apply_interrupted(orr_run *run, uint32_t t, bool counts)
{
    orr_more *more = orr_more_of(run, t);
    more->interrupted = more->uncertain = true;
    more->resuming = false;
    more->cancel = ORR_CANCEL_NONE;
    more->crashes = (uint8_t)(more->crashes + (counts && more->crashes < UINT8_MAX));
    if (run->cells[t].state == ORR_NODE_COMPENSATING)
        run->undo->step = UNDO_IDLE;
    else if (run->cells[t].state != ORR_NODE_READY) /* it had been woken already */
        set_state(run, t, ORR_NODE_READY);
    attempt_over(run, t);
}

/* A task whose attempt is under way when it is cancelled does not tell any more what it did. */
static void apply_cancelled(orr_run *run, uint32_t t)
{
    orr_more *more = orr_more_of(run, t);
    if (more != NULL && (run->cells[t].flags & CELL_LIVE) != 0)
        more->uncertain = true;
    if (run->undo != NULL && more != NULL && more->uncertain)
        orr_undo_note(run, t);
    ended(run, t, ORR_NODE_CANCELLED, ORR_PORT_ANY);
}

static void apply_failed(orr_run *run, uint32_t t, bool uncertain, const orr_error *error)
{
    orr_more *more = orr_need_more(run, t);
    if (more != NULL) {
        more->failed_seq = run->seq;
        more->uncertain = uncertain;
        if (run->undo != NULL && uncertain && !orr_policy_of(run, orr_node_of(run, t))->ignore_errors)
            orr_undo_note(run, t);
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
    if (run->undo != NULL && !orr_undo_room(run, run->n_cells + items))
        return false;
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

static orr_status apply_expanded(orr_run *run, uint32_t t, uint32_t n, int64_t now)
{
    orr_more *more = orr_need_more(run, t);
    if (more == NULL || !orr_room(run, n))
        return ORR_ENOMEM;
    more->expanded = true;
    more->since = now;
    more->first_item = run->n_cells;
    more->n_items = more->items_open = n;
    if (n > 0)
        run->expansions[run->n_expansions++] = (orr_expansion){run->n_cells, n, t};
    for (uint32_t i = 0; i < n; i++)
        run->cells[run->n_cells + i] =
            (orr_cell){.next = ORR_NONE, .more = ORR_NONE, .state = ORR_NODE_READY, .attempt = more->base};
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
        if (run->cells[t].attempt > more->most)
            more->most = run->cells[t].attempt;
        more->iteration++;
        more->due = due;
        more->phase = ORR_PHASE_RUN;
        more->cancel = ORR_CANCEL_NONE;
        more->uncertain = true; /* cut short now it has done some of its work */
        orr_failure_free(run->core, more->failure);
        more->failure = NULL;
    }
    run->cells[t].attempt = (uint16_t)orr_base_of(run, t);
    set_state(run, t, due >= 0 ? ORR_NODE_WAITING : ORR_NODE_READY);
    attempt_over(run, t);
}

static void apply_waiting(orr_run *run, uint32_t t, int64_t due)
{
    orr_more *more = orr_need_more(run, t);
    if (more != NULL)
        more->due = due;
    if (run->cells[t].state == ORR_NODE_COMPENSATING)
        run->undo->step = UNDO_WAITS;
    else
        set_state(run, t, ORR_NODE_WAITING);
}

static void apply_woken(orr_run *run, uint32_t t, orr_node_state to)
{
    if (to == ORR_NODE_COMPENSATING)
        run->undo->step = UNDO_LIVE;
    else
        set_state(run, t, to);
}

static void apply_run(orr_run *run, orr_record_kind kind, uint8_t reason, const orr_error *error, int64_t now)
{
    switch (kind) {
    case ORR_REC_STOPPING:
        run->cause = reason;
        run->mode = reason == ORR_STOP_FAILURE && run->plan->on_error == ORR_ON_ERROR_DRAIN ? MODE_DRAIN : MODE_STOP;
        if (error != NULL && run->failure == NULL)
            run->failure = orr_failure_new(run->core, error);
        if (reason == ORR_STOP_CANCEL && run->cancels == 0)
            run->cancels = 1;
        break;
    case ORR_REC_CLEANUP:
        run->mode = reason != 0 ? MODE_SKIP : MODE_CLEANUP;
        run->cleanup_since = now;
        if (run->undo != NULL && reason == 0)
            run->undo->closed = true;
        break;
    case ORR_REC_PAUSED:
        run->paused = true;
        break;
    case ORR_REC_RESUMED:
        run->paused = false;
        break;
    case ORR_REC_COMPENSATING:
        orr_undo_begin(run);
        break;
    case ORR_REC_SUSPENDED:
        run->suspended = true;
        break;
    case ORR_REC_RETRIED:
        orr_apply_retried(run, now);
        break;
    case ORR_REC_RUN_ENDED:
        run->state = reason;
        run->ended = true;
        run->stats.ended = now;
        break;
    default:
        break;
    }
}

/* ---- live: write, then apply ------------------------------------------------------------------------------------- */

/* The clock may have been set back since another process wrote the last record; the times of a journal never go back. */
static int64_t record_time(const orr_run *run)
{
    return run->core->now > run->last_read ? run->core->now : run->last_read;
}

/* The bounds that begin with such a record must not grow by as much as the clock was set back: it says in `due` from when they
 * count, where that is not its own time (0). */
static int64_t begins(const orr_run *run, orr_record_kind kind)
{
    static const unsigned bounding = 1u << ORR_REC_EXPANDED | 1u << ORR_REC_CLEANUP | 1u << ORR_REC_RETRIED;
    return (bounding >> kind & 1) != 0 && run->core->now < run->last_read ? run->core->now : 0;
}

static int64_t began(int64_t due, int64_t time)
{
    return due != 0 ? due : time;
}

static void write(orr_run *run, orr_record_kind kind, uint32_t t, const orr_record *fields)
{
    orr_core *core = run->core;
    run->seq++;
    if (core->hooks.record == NULL)
        return;
    orr_record rec = *fields;
    rec.kind = kind;
    rec.seq = run->seq;
    rec.time = record_time(run);
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
    const orr_more *more = orr_more_of(run, t);
    bool again = more != NULL && more->interrupted;
    uint16_t attempt = (uint16_t)(run->cells[t].attempt + !again);
    run->cells[t].attempt = attempt;
    WRITE(run, ORR_REC_ATTEMPT_STARTED, t, .phase = (uint8_t)phase);
    apply_started(run, t, attempt, (uint8_t)phase);
}

void orr_put_attempt_failed(orr_run *run, uint32_t t, orr_phase next, int64_t due, const orr_error *error)
{
    const orr_more *more = orr_more_of(run, t);
    bool uncertain = next != ORR_PHASE_COMPENSATE && more != NULL && more->uncertain;
    WRITE(run, ORR_REC_ATTEMPT_FAILED, t, .phase = (uint8_t)next, .due = due, .error = error, .value = error->value,
          .reason = uncertain);
    apply_attempt_failed(run, t, (uint8_t)next, due, uncertain, error);
}

void orr_put_completed(orr_run *run, uint32_t t, uint16_t port, uint64_t value, orr_source source)
{
    WRITE(run, ORR_REC_COMPLETED, t, .port = port, .value = value, .reason = (uint8_t)source);
    apply_completed(run, t, port, (uint8_t)source);
}

void orr_put_compensated(orr_run *run, uint32_t t, uint64_t value)
{
    WRITE(run, ORR_REC_COMPENSATED, t, .value = value);
    apply_undone(run, t, ORR_NODE_COMPENSATED, NULL);
}

void orr_put_compensation_failed(orr_run *run, uint32_t t, const orr_error *error)
{
    WRITE(run, ORR_REC_COMPENSATION_FAILED, t, .error = error, .value = error->value);
    apply_undone(run, t, ORR_NODE_COMPENSATION_FAILED, error);
}

void orr_put_failed(orr_run *run, uint32_t t, const orr_error *error)
{
    const orr_more *more = orr_more_of(run, t);
    bool uncertain = more != NULL && more->uncertain;
    WRITE(run, ORR_REC_FAILED, t, .error = error, .value = error->value, .reason = uncertain);
    apply_failed(run, t, uncertain, error);
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
    apply_cancelled(run, t);
}

orr_status orr_put_expanded(orr_run *run, uint32_t t, uint32_t items, uint64_t value)
{
    /* memory first: a record that was written must be applied */
    if (orr_need_more(run, t) == NULL || !orr_room(run, items))
        return ORR_ENOMEM;
    WRITE(run, ORR_REC_EXPANDED, t, .due = begins(run, ORR_REC_EXPANDED), .count = items, .value = value);
    return apply_expanded(run, t, items, run->core->now);
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
    apply_woken(run, t, to);
}

void orr_put_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth)
{
    WRITE(run, ORR_REC_EDGE, from, .count = edge, .reason = truth);
    orr_apply_edge(run, from, to, edge, truth);
}

void orr_put_run(orr_run *run, orr_record_kind kind, uint8_t reason, const orr_error *error)
{
    int64_t due = begins(run, kind);
    WRITE(run, kind, ORR_NONE, .due = due, .reason = reason, .error = error, .value = error != NULL ? error->value : 0);
    apply_run(run, kind, reason, error, began(due, record_time(run)));
}

void orr_put_interrupted(orr_run *run, uint32_t t, bool counts)
{
    WRITE(run, ORR_REC_INTERRUPTED, t, .due = -1, .reason = counts);
    apply_interrupted(run, t, counts);
}

/* A fact of the caller's: it changes nothing. */
void orr_put_note(orr_run *run, orr_record_kind kind, uint32_t t, int64_t due, uint64_t value)
{
    WRITE(run, kind, t, .due = due, .value = value);
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
    case ORR_REC_ATTEMPT_FAILED:
        apply_attempt_failed(run, t, r->phase, r->due, r->reason != 0, r->error);
        break;
    case ORR_REC_COMPLETED: apply_completed(run, t, r->port, r->reason); break;
    case ORR_REC_FAILED: apply_failed(run, t, r->reason != 0, r->error); break;
    case ORR_REC_COMPENSATED: apply_undone(run, t, ORR_NODE_COMPENSATED, NULL); break;
    case ORR_REC_COMPENSATION_FAILED: apply_undone(run, t, ORR_NODE_COMPENSATION_FAILED, r->error); break;
    case ORR_REC_SKIPPED: apply_because(run, t, ORR_NODE_SKIPPED, r->reason, r->count); break;
    case ORR_REC_CANCELLED: apply_cancelled(run, t); break;
    case ORR_REC_EXPANDED: return apply_expanded(run, t, r->count, began(r->due, r->time));
    case ORR_REC_INTERRUPTED: apply_interrupted(run, t, r->reason != 0); break;
    case ORR_REC_STEP: break;
    case ORR_REC_ITERATED: apply_iterated(run, t, r->due); break;
    case ORR_REC_WAITING:
    case ORR_REC_HELD: apply_waiting(run, t, r->due); break;
    case ORR_REC_WOKEN: apply_woken(run, t, (orr_node_state)r->reason); break;
    default: orr_apply_edge(run, t, edge_target(run->plan, t, r->count), r->count, r->reason != 0); break;
    }
    return ORR_OK;
}

/* Room for all that a record may want to keep, so that it is applied whole or not at all. */
static bool make_room(orr_run *run, uint32_t t, const orr_record *r)
{
    static const unsigned keeps = 1u << ORR_REC_READY | 1u << ORR_REC_ATTEMPT_FAILED | 1u << ORR_REC_FAILED |
                                  1u << ORR_REC_SKIPPED | 1u << ORR_REC_EXPANDED | 1u << ORR_REC_ITERATED |
                                  1u << ORR_REC_WAITING | 1u << ORR_REC_HELD | 1u << ORR_REC_INTERRUPTED;
    bool undoable = run->undo != NULL && r->kind == ORR_REC_ATTEMPT_STARTED; /* see begin in core.c */
    if (((keeps >> r->kind & 1) != 0 || undoable) && orr_need_more(run, t) == NULL)
        return false;
    return r->kind != ORR_REC_EXPANDED || orr_room(run, r->count);
}

static orr_status fold_run(orr_run *run, const orr_record *r)
{
    if (!orr_run_record_fits(run, r))
        return ORR_EINVAL;
    if (r->kind == ORR_REC_RETRIED) {
        orr_status status = orr_prepare_retry(run);
        if (status != ORR_OK)
            return status == ORR_ENOMEM ? status : ORR_EINVAL;
    }
    run->seq = r->seq;
    apply_run(run, r->kind, r->reason, r->error, began(r->due, r->time));
    if (r->kind == ORR_REC_RUN_ENDED)
        orr_first_failure(run);
    return ORR_OK;
}

static orr_status fold_node(orr_run *run, const orr_record *r)
{
    uint32_t t = orr_index(run, r->task.node, r->task.item);
    if (t == ORR_NONE || !orr_record_fits(run, t, r))
        return ORR_EINVAL;
    if (!make_room(run, t, r))
        return ORR_ENOMEM;
    run->seq = r->seq;
    return fold_task(run, t, r);
}

static orr_status fold_created(orr_run *run, const orr_record *r)
{
    if (run->state != ORR_RUN_PENDING || r->seq != 1)
        return ORR_EINVAL;
    run->seq = 1;
    run->rebuilding = true;
    run->stats.created = run->stats.started = run->since = run->last_read = r->time;
    run->state = ORR_RUN_RUNNING;
    return ORR_OK;
}

/* After the process left in good order nothing is written but what says so, until another goes on. */
static bool leaves_alone(orr_record_kind kind)
{
    return kind == ORR_REC_SUSPENDED || kind == ORR_REC_INTERRUPTED || kind == ORR_REC_SIGNAL;
}

orr_status orr_run_fold(orr_run *run, const orr_record *record)
{
    if ((unsigned)record->kind >= ORR_RECORD_COUNT || run->ended != (record->kind == ORR_REC_RETRIED))
        return ORR_EINVAL;
    if (record->kind == ORR_REC_RUN_CREATED)
        return fold_created(run, record);
    if (run->state == ORR_RUN_PENDING || !run->rebuilding || record->seq != run->seq + 1)
        return ORR_EINVAL;
    orr_status status = record->task.node == ORR_NONE ? fold_run(run, record) : fold_node(run, record);
    if (status != ORR_OK)
        return status;
    run->suspended = run->suspended && leaves_alone(record->kind);
    if (record->time > run->last_read)
        run->last_read = record->time;
    return status;
}
