/* fold.c - state as a fold over records.
 *
 * Every change of a run's state is one of the apply functions below. A live run comes here through
 * orr_put_*, which writes the record and applies it; a run that is rebuilt comes through
 * orr_run_fold, which applies what it reads. So the two cannot differ. Nothing here decides
 * anything, sets a timer or takes a limit: decide.c does.
 */
#include "core/inner.h"

#include <string.h>

/* ---- changing one state ---------------------------------------------------------------------- */

/* States that go on at a time or when woken. */
static const unsigned timed_states = 1u << ORR_NODE_WAITING | 1u << ORR_NODE_RETRYING;

static void set_state(orr_run *run, uint32_t t, orr_node_state to) {
    orr_cell *cell = &run->cells[t];
    orr_node_state from = (orr_node_state)cell->state;
    bool legal = (orr_node_next[from] >> to & 1) != 0;
    ORR_INVARIANT(run, legal, "the engine made a transition that its table does not have");
    cell->state = (uint8_t)to;
    if (t < run->plan->n_nodes) {
        run->stats.by_state[from]--;
        run->stats.by_state[to]++;
    } else if (from == ORR_NODE_PENDING) {
        orr_more_of(run, orr_node_of(run, t))->items_idle--;
    }
    if (((timed_states >> from ^ timed_states >> to) & 1) != 0)
        run->timed += (timed_states >> to & 1) != 0 ? 1u : UINT32_MAX;
    if ((cell->flags & CELL_LIVE) == 0) return;
    run->running -= from == ORR_NODE_RUNNING;
    if (to == ORR_NODE_RUNNING && ++run->running > run->stats.peak_running)
        run->stats.peak_running = run->running;
}

bool orr_is_cleanup(const orr_run *run, uint32_t t) {
    return run->has_cleanup && orr_cleans_up(orr_policy_of(run, orr_node_of(run, t)));
}

static void attempt_over(orr_run *run, uint32_t t) {
    if ((run->cells[t].flags & CELL_LIVE) == 0) return;
    run->cells[t].flags &= (uint8_t)~CELL_LIVE;
    run->live--;
    if (orr_is_cleanup(run, t)) run->live_cleanup--;
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* An item ended: its node keeps count. */
static void item_settled(orr_run *run, uint32_t t, orr_node_state state) {
    orr_more *of = orr_more_of(run, orr_node_of(run, t));
    of->items_open--;
    of->items_failed += state == ORR_NODE_FAILED;
    of->items_cancelled += state == ORR_NODE_CANCELLED;
}

static void ended(orr_run *run, uint32_t t, orr_node_state state, uint16_t port) {
    orr_more *more = orr_more_of(run, t);
    if (more != NULL) /* what may be attempted next, its compensation, has a number of its own */
        more->interrupted = false;
    set_state(run, t, state);
    attempt_over(run, t);
    if (t < run->plan->n_nodes) orr_notify_dependents(run, t, port);
    else item_settled(run, t, state);
}

/* ---- the fold -------------------------------------------------------------------------------- */

/* A settled task is undone; with its first item its node is. */
static void apply_undoing(orr_run *run, uint32_t t, uint32_t attempt) {
    uint32_t node = orr_node_of(run, t);
    orr_more *more = orr_more_of(run, t);
    if (run->cells[t].state != ORR_NODE_COMPENSATING) {
        more->was = run->cells[t].state;
        more->crashes = 0;
        more->undo_base = (uint16_t)(attempt - 1);
        memset(more->tries, 0, sizeof more->tries);
        more->cancel = ORR_CANCEL_NONE;
        set_state(run, t, ORR_NODE_COMPENSATING);
    }
    if (run->cells[node].state != ORR_NODE_COMPENSATING) {
        orr_more_of(run, node)->was = run->cells[node].state;
        set_state(run, node, ORR_NODE_COMPENSATING);
    }
    run->undo->step = UNDO_LIVE;
}

static void apply_started(orr_run *run, uint32_t t, uint32_t attempt, uint8_t phase) {
    orr_cell *cell = &run->cells[t];
    orr_more *more = orr_more_of(run, t);
    bool again = more != NULL && more->interrupted; /* it is the attempt that was cut off */
    cell->flags |= CELL_LIVE;
    run->live++;
    if (orr_is_cleanup(run, t)) run->live_cleanup++;
    cell->attempt = (uint16_t)attempt;
    if (t >= run->plan->n_nodes) orr_more_of(run, orr_node_of(run, t))->begun = true;
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
        more->uncertain = false; /* a fallback says nothing about what the attempt before it did */
}

static void apply_undo_failed(orr_run *run, uint32_t t, int64_t due, const orr_error *error) {
    orr_more *more = orr_more_of(run, t);
    orr_failure *before = more->undo_failure; /* `error` may be it */
    more->undo_failure = orr_failure_new(run->core, error);
    orr_failure_free(run->core, before);
    more->due = due;
    more->cancel = ORR_CANCEL_NONE;
    attempt_over(run, t);
    run->undo->step = UNDO_BACKOFF;
}

/* It has been undone, or could not be; of a node with items that is said when it has been said
 * of the last of them. */
static void apply_undone(orr_run *run, uint32_t t, orr_node_state state, const orr_error *error) {
    orr_more *more = orr_more_of(run, t);
    orr_failure *before = more->undo_failure;
    more->undo_failure = error != NULL ? orr_failure_new(run->core, error) : NULL;
    orr_failure_free(run->core, before);
    set_state(run, t, state);
    attempt_over(run, t);
    run->undo->failed |= error != NULL;
    if (orr_undo_task(run) != t) return;
    run->undo->left--;
    run->undo->step = UNDO_IDLE;
    if (t >= run->plan->n_nodes) orr_more_of(run, orr_node_of(run, t))->undo_open--;
}

static void apply_attempt_failed(orr_run *run, uint32_t t, uint8_t next, int64_t due, bool uncertain,
                                 const orr_error *error) {
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

/* One of several retry policies has decided. */
static void count_try(orr_run *run, uint32_t t, uint32_t policy) {
    orr_more *more = orr_more_of(run, t);
    if (policy > 0 && more != NULL) more->tries[policy - 1]++;
}

static void apply_completed(orr_run *run, uint32_t t, uint16_t port, uint8_t source) {
    if (run->undo != NULL && source == ORR_SOURCE_RUN) orr_undo_note(run, t);
    if (source == ORR_SOURCE_FORK)
        /* it did not run here; a node that has nothing to do may complete at once */
        set_state(run, t, ORR_NODE_READY);
    ended(run, t, ORR_NODE_COMPLETED, port);
}

/* The end of its process cut the attempt off. */
static void apply_interrupted(orr_run *run, uint32_t t, bool counts) {
    orr_more *more = orr_more_of(run, t);
    more->interrupted = more->uncertain = true;
    more->resuming = false;
    more->cancel = ORR_CANCEL_NONE;
    more->crashes = (uint8_t)(more->crashes + (counts && more->crashes < UINT8_MAX));
    if (run->cells[t].state == ORR_NODE_COMPENSATING) run->undo->step = UNDO_IDLE;
    else if (run->cells[t].state != ORR_NODE_READY) /* it had been woken already */
        set_state(run, t, ORR_NODE_READY);
    attempt_over(run, t);
}

/* A task that is cancelled while its attempt is under way: nobody knows what that attempt did. */
static void apply_cancelled(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    if (more != NULL && (run->cells[t].flags & CELL_LIVE) != 0) more->uncertain = true;
    if (run->undo != NULL && more != NULL && more->uncertain) orr_undo_note(run, t);
    ended(run, t, ORR_NODE_CANCELLED, ORR_PORT_ANY);
}

static void apply_failed(orr_run *run, uint32_t t, bool uncertain, const orr_error *error) {
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

/* A journal from before there was `upstream_failed` has `upstream` in its place. One of today
 * names a node that failed, or counts as U, under no other reason. */
static uint8_t skip_of(const orr_run *run, const orr_record *r) {
    char outcome = r->reason == ORR_SKIP_UPSTREAM && r->count != ORR_NONE ? orr_outcome_at(run, r->count) : 0;
    return outcome == 'F' || outcome == 'U' ? ORR_SKIP_UPSTREAM_FAILED : r->reason;
}

static void apply_skipped(orr_run *run, uint32_t t, uint8_t skip, uint32_t by) {
    orr_more *more = orr_need_more(run, t);
    orr_cell *cell = &run->cells[t];
    if (more != NULL) {
        more->skip = skip;
        more->by = by;
    }
    cell->flags &= (uint8_t)~CELL_FAILED_DEP;
    if (skip == ORR_SKIP_UPSTREAM_FAILED) cell->flags |= CELL_FAILED_DEP;
    ended(run, t, ORR_NODE_SKIPPED, ORR_PORT_ANY);
}

static bool links_room(orr_run *run, uint32_t cap) {
    if (cap == run->cap_links) return true;
    orr_rank_link *links = orr_mem_resize(&run->core->alloc, run->links, run->cap_links, cap, sizeof *links);
    if (links == NULL) return false;
    run->links = links;
    run->cap_links = cap;
    return true;
}

bool orr_room(orr_run *run, uint32_t items) {
    const orr_alloc *a = &run->core->alloc;
    if (run->n_expansions == run->cap_expansions) {
        uint32_t cap = run->cap_expansions > 0 ? run->cap_expansions * 2 : 4;
        orr_expansion *e = orr_mem_resize(a, run->expansions, run->cap_expansions, cap, sizeof *e);
        if (e == NULL) return false;
        run->expansions = e;
        run->cap_expansions = cap;
    }
    if (run->undo != NULL && !orr_undo_room(run, run->n_cells + items)) return false;
    if (items > run->cap_cells - run->n_cells) {
        uint64_t want = (uint64_t)run->n_cells + items, cap = run->cap_cells + (uint64_t)run->cap_cells / 2;
        if (cap < want) cap = want;
        if (cap >= ORR_NONE) return false;
        orr_cell *cells = orr_mem_resize(a, run->cells, run->cap_cells, (uint32_t)cap, sizeof *cells);
        if (cells == NULL) return false;
        run->cells = cells;
        run->cap_cells = (uint32_t)cap;
    }
    return run->links == NULL || links_room(run, run->cap_cells);
}

static orr_status apply_expanded(orr_run *run, uint32_t t, uint32_t n, int64_t now) {
    orr_more *more = orr_need_more(run, t);
    if (more == NULL || !orr_room(run, n)) return ORR_ENOMEM;
    more->expanded = true;
    more->since = now;
    more->first_item = run->n_cells;
    more->n_items = more->items_open = n;
    bool bounded = orr_policy_of(run, t)->each_parallel > 0;
    more->items_idle = bounded ? n : 0;
    more->idle_at = 0;
    uint8_t state = bounded ? ORR_NODE_PENDING : ORR_NODE_READY;
    if (n > 0) run->expansions[run->n_expansions++] = (orr_expansion){run->n_cells, n, t};
    for (uint32_t i = 0; i < n; i++)
        run->cells[run->n_cells + i] =
            (orr_cell){.next = ORR_NONE, .more = ORR_NONE, .state = state, .attempt = more->base};
    run->n_cells += n;
    run->stats.items += n;
    if (n > 0) set_state(run, t, ORR_NODE_RUNNING);
    return ORR_OK;
}

static void apply_iterated(orr_run *run, uint32_t t, int64_t due) {
    orr_more *more = orr_more_of(run, t);
    if (more != NULL) {
        if (run->cells[t].attempt > more->most) more->most = run->cells[t].attempt;
        more->iteration++;
        more->due = due;
        more->phase = ORR_PHASE_RUN;
        memset(more->tries, 0, sizeof more->tries);
        more->cancel = ORR_CANCEL_NONE;
        more->uncertain = true; /* cut short now it has done some of its work */
        orr_failure_free(run->core, more->failure);
        more->failure = NULL;
    }
    run->cells[t].attempt = (uint16_t)orr_base_of(run, t);
    set_state(run, t, due >= 0 ? ORR_NODE_WAITING : ORR_NODE_READY);
    attempt_over(run, t);
}

static void apply_waiting(orr_run *run, uint32_t t, int64_t due) {
    orr_more *more = orr_need_more(run, t);
    if (more != NULL) more->due = due;
    if (run->cells[t].state == ORR_NODE_COMPENSATING) run->undo->step = UNDO_WAITS;
    else set_state(run, t, ORR_NODE_WAITING);
}

static void apply_woken(orr_run *run, uint32_t t, orr_node_state to) {
    if (to == ORR_NODE_COMPENSATING) run->undo->step = UNDO_LIVE;
    else set_state(run, t, to);
}

/* What a record about the run says. */
typedef struct applied {
    int64_t time;
    int64_t since; /* from when bounds that begin with it count; 0: from its time on */
    uint8_t reason;
    const orr_error *error;
} applied;

static int64_t begins(const orr_run *run, const applied *a) {
    return a->since != 0 ? a->since : orr_clock_at(run, a->time);
}

static void apply_stopping(orr_run *run, uint8_t cause, const orr_error *error) {
    bool drains = cause == ORR_STOP_FAILURE && run->plan->on_error == ORR_ON_ERROR_DRAIN;
    run->cause = cause;
    run->mode = drains ? MODE_DRAIN : MODE_STOP;
    if (error != NULL && run->failure == NULL) run->failure = orr_failure_new(run->core, error);
    if (cause == ORR_STOP_CANCEL && run->cancels == 0) run->cancels = 1;
}

static void apply_cleanup(orr_run *run, const applied *a) {
    run->mode = a->reason != 0 ? MODE_SKIP : MODE_CLEANUP;
    orr_clock_follow(run, a->time);
    run->cleanup_since = begins(run, a);
    if (run->undo != NULL && a->reason == 0) run->undo->closed = true;
}

/* What counts from the beginning counts from now on; also of lists that were set back while it
 * waited. */
static void apply_begun(orr_run *run, const applied *a) {
    run->waits = false;
    run->stats.started = a->time;
    run->since = begins(run, a);
    for (uint32_t i = 0; i < run->n_expansions; i++) {
        uint32_t node = run->expansions[i].node;
        orr_more *more = orr_more_of(run, node);
        if (!orr_is_over(run, node) && more != NULL && more->expanded) more->since = run->since;
    }
}

static void apply_run(orr_run *run, orr_record_kind kind, const applied *a) {
    switch (kind) {
    case ORR_REC_STOPPING: apply_stopping(run, a->reason, a->error); break;
    case ORR_REC_CLEANUP: apply_cleanup(run, a); break;
    case ORR_REC_PAUSED: run->paused = true; break;
    case ORR_REC_RESUMED: run->paused = false; break;
    case ORR_REC_COMPENSATING: orr_undo_begin(run); break;
    case ORR_REC_SUSPENDED: run->suspended = true; break;
    case ORR_REC_BEGUN: apply_begun(run, a); break;
    case ORR_REC_RETRIED:
        orr_apply_retried(run, begins(run, a));
        run->waits = (a->reason & ORR_RETRIED_WAITS) != 0;
        if (run->waits) run->stats.started = 0;
        else if (run->stats.started == 0) run->stats.started = a->time;
        break;
    case ORR_REC_RUN_ENDED:
        run->state = a->reason;
        run->ended = true;
        run->waits = false;
        run->stats.ended = a->time;
        break;
    default: break;
    }
    orr_clock_follow(run, a->time);
}

/* ---- live: write, then apply ----------------------------------------------------------------- */

/* What attempts do; all else is what is decided. A list completes without an attempt of its own. */
static bool is_of_attempt(const orr_run *run, orr_record_kind kind, uint32_t t) {
    static const unsigned kinds = 1u << ORR_REC_ATTEMPT_STARTED | 1u << ORR_REC_ATTEMPT_FAILED |
                                  1u << ORR_REC_ITERATED | 1u << ORR_REC_WAITING | 1u << ORR_REC_HELD |
                                  1u << ORR_REC_WOKEN | 1u << ORR_REC_READY | 1u << ORR_REC_STEP |
                                  1u << ORR_REC_SIGNAL;
    if (kind == ORR_REC_COMPLETED) return (run->cells[t].flags & CELL_LIVE) != 0;
    return (kinds >> kind & 1) != 0;
}

static void write(orr_run *run, orr_record_kind kind, uint32_t t, const orr_record *fields) {
    orr_core *core = run->core;
    run->seq++;
    if (!is_of_attempt(run, kind, t)) run->decided = run->seq;
    orr_record rec = *fields;
    rec.kind = kind;
    rec.seq = run->seq;
    rec.time = orr_run_time(run, core->now);
    rec.task = orr_task_of(run, t);
    if (kind != ORR_REC_COMPLETED) rec.port = ORR_PORT_ANY;
    if (kind != ORR_REC_RESUMED) rec.due = orr_run_recorded(run, rec.due);
    core->hooks.record(core->hooks.ud, run, &rec);
}

/* Where nobody keeps a journal a record is only its number: the hot path pays for no more. */
#define WRITE(run, kind, t, ...)                                                                             \
    do {                                                                                                     \
        if ((run)->core->hooks.record != NULL) write(run, kind, t, &(orr_record){__VA_ARGS__});              \
        else (run)->seq++;                                                                                   \
    } while (0)

void orr_put_ready(orr_run *run, uint32_t t) {
    /* journaled only where a later process must know since when: the deadline counts from here */
    const orr_more *more = orr_more_of(run, t);
    if (more != NULL && more->deadline > 0) WRITE(run, ORR_REC_READY, t, .due = more->deadline);
    set_state(run, t, ORR_NODE_READY);
}

void orr_put_started(orr_run *run, uint32_t t, orr_phase phase) {
    const orr_more *more = orr_more_of(run, t);
    bool again = more != NULL && more->interrupted;
    uint16_t attempt = (uint16_t)(run->cells[t].attempt + !again);
    run->cells[t].attempt = attempt;
    WRITE(run, ORR_REC_ATTEMPT_STARTED, t, .phase = (uint8_t)phase);
    apply_started(run, t, attempt, (uint8_t)phase);
}

void orr_put_attempt_failed(orr_run *run, uint32_t t, orr_phase next, int64_t due, const orr_error *error,
                            uint32_t policy) {
    const orr_more *more = orr_more_of(run, t);
    bool uncertain = next != ORR_PHASE_COMPENSATE && more != NULL && more->uncertain;
    WRITE(run, ORR_REC_ATTEMPT_FAILED, t, .phase = (uint8_t)next, .due = due, .error = error,
          .value = error->value, .reason = uncertain, .count = policy);
    apply_attempt_failed(run, t, (uint8_t)next, due, uncertain, error);
    count_try(run, t, policy);
}

void orr_put_completed(orr_run *run, uint32_t t, uint16_t port, uint64_t value, orr_source source) {
    WRITE(run, ORR_REC_COMPLETED, t, .port = port, .value = value, .reason = (uint8_t)source);
    apply_completed(run, t, port, (uint8_t)source);
}

void orr_put_compensated(orr_run *run, uint32_t t, uint64_t value) {
    WRITE(run, ORR_REC_COMPENSATED, t, .value = value);
    apply_undone(run, t, ORR_NODE_COMPENSATED, NULL);
}

void orr_put_compensation_failed(orr_run *run, uint32_t t, const orr_error *error) {
    WRITE(run, ORR_REC_COMPENSATION_FAILED, t, .error = error, .value = error->value);
    apply_undone(run, t, ORR_NODE_COMPENSATION_FAILED, error);
}

void orr_put_failed(orr_run *run, uint32_t t, const orr_error *error) {
    const orr_more *more = orr_more_of(run, t);
    bool uncertain = more != NULL && more->uncertain;
    WRITE(run, ORR_REC_FAILED, t, .error = error, .value = error->value, .reason = uncertain);
    apply_failed(run, t, uncertain, error);
}

void orr_put_skipped(orr_run *run, uint32_t t, orr_skip_reason reason, uint32_t by) {
    WRITE(run, ORR_REC_SKIPPED, t, .reason = (uint8_t)reason, .count = by);
    apply_skipped(run, t, (uint8_t)reason, by);
}

void orr_put_cancelled(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    /* it was marked to fail, but a cancel came first */
    if (more != NULL && run->cells[t].state == ORR_NODE_PENDING) {
        orr_failure_free(run->core, more->failure);
        more->failure = NULL;
    }
    WRITE(run, ORR_REC_CANCELLED, t, .reason = run->cause);
    apply_cancelled(run, t);
}

orr_status orr_put_expanded(orr_run *run, uint32_t t, uint32_t items, uint64_t value) {
    /* memory first: a record that was written must be applied */
    if (orr_need_more(run, t) == NULL || !orr_room(run, items)) return ORR_ENOMEM;
    WRITE(run, ORR_REC_EXPANDED, t, .count = items, .value = value);
    return apply_expanded(run, t, items, orr_run_now(run));
}

void orr_put_iterated(orr_run *run, uint32_t t, int64_t due, uint64_t value) {
    WRITE(run, ORR_REC_ITERATED, t, .due = due, .value = value);
    apply_iterated(run, t, due);
}

void orr_put_waiting(orr_run *run, uint32_t t, int64_t due) {
    WRITE(run, ORR_REC_WAITING, t, .due = due);
    apply_waiting(run, t, due);
}

void orr_put_held(orr_run *run, uint32_t t) {
    WRITE(run, ORR_REC_HELD, t, .due = -1);
    apply_waiting(run, t, -1);
}

void orr_put_woken(orr_run *run, uint32_t t, orr_node_state to) {
    WRITE(run, ORR_REC_WOKEN, t, .due = -1, .reason = (uint8_t)to);
    apply_woken(run, t, to);
}

void orr_put_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth) {
    WRITE(run, ORR_REC_EDGE, from, .count = edge, .reason = truth);
    orr_apply_edge(run, from, to, edge, truth);
}

void orr_put_run(orr_run *run, orr_record_kind kind, uint8_t reason, const orr_error *error) {
    int64_t time = orr_run_time(run, run->core->now);
    bool was_still = run->still;
    WRITE(run, kind, ORR_NONE, .due = kind == ORR_REC_RESUMED && was_still ? time - run->still_since : 0,
          .reason = reason, .error = error, .value = error != NULL ? error->value : 0);
    apply_run(run, kind, &(applied){time, 0, reason, error});
    if (run->still != was_still && !run->rebuilding) orr_clock_turned(run);
}

void orr_put_interrupted(orr_run *run, uint32_t t, bool counts) {
    WRITE(run, ORR_REC_INTERRUPTED, t, .due = -1, .reason = counts);
    apply_interrupted(run, t, counts);
}

/* A fact of the caller's: it changes nothing. */
void orr_put_note(orr_run *run, orr_record_kind kind, uint32_t t, int64_t due, uint64_t value) {
    WRITE(run, kind, t, .due = due, .value = value);
}

/* ---- rebuilt: read, then apply --------------------------------------------------------------- */

/* A node goes from pending to ready without a record where nothing must be remembered of it; the
 * record that follows says so. */
static void imply_ready(orr_run *run, uint32_t t, const orr_record *r) {
    bool begins = r->kind == ORR_REC_ATTEMPT_STARTED || r->kind == ORR_REC_EXPANDED ||
                  r->kind == ORR_REC_HELD || r->kind == ORR_REC_ATTEMPT_FAILED;
    if (begins && run->cells[t].state == ORR_NODE_PENDING) set_state(run, t, ORR_NODE_READY);
}

static uint32_t edge_target(const orr_plan *plan, uint32_t node, uint32_t edge) {
    uint32_t k = plan->out_first[node];
    while (plan->out_edge[k] != edge) k++;
    return plan->out_to[k];
}

static orr_status fold_task(orr_run *run, uint32_t t, const orr_record *r) {
    imply_ready(run, t, r);
    switch (r->kind) {
    case ORR_REC_READY:
        orr_more_of(run, t)->deadline = r->due;
        set_state(run, t, ORR_NODE_READY);
        break;
    case ORR_REC_ATTEMPT_STARTED: apply_started(run, t, r->task.attempt, r->phase); break;
    case ORR_REC_ATTEMPT_FAILED:
        apply_attempt_failed(run, t, r->phase, r->due, r->reason != 0, r->error);
        count_try(run, t, r->count);
        break;
    case ORR_REC_COMPLETED: apply_completed(run, t, r->port, r->reason); break;
    case ORR_REC_FAILED: apply_failed(run, t, r->reason != 0, r->error); break;
    case ORR_REC_COMPENSATED: apply_undone(run, t, ORR_NODE_COMPENSATED, NULL); break;
    case ORR_REC_COMPENSATION_FAILED: apply_undone(run, t, ORR_NODE_COMPENSATION_FAILED, r->error); break;
    case ORR_REC_SKIPPED: apply_skipped(run, t, skip_of(run, r), r->count); break;
    case ORR_REC_CANCELLED: apply_cancelled(run, t); break;
    case ORR_REC_EXPANDED:
        return apply_expanded(run, t, r->count, r->due != 0 ? r->due : orr_clock_at(run, r->time));
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
static bool make_room(orr_run *run, uint32_t t, const orr_record *r) {
    static const unsigned keeps = 1u << ORR_REC_READY | 1u << ORR_REC_ATTEMPT_FAILED | 1u << ORR_REC_FAILED |
                                  1u << ORR_REC_SKIPPED | 1u << ORR_REC_EXPANDED | 1u << ORR_REC_ITERATED |
                                  1u << ORR_REC_WAITING | 1u << ORR_REC_HELD | 1u << ORR_REC_INTERRUPTED;
    bool undoable = run->undo != NULL && r->kind == ORR_REC_ATTEMPT_STARTED; /* see begin in core.c */
    if (((keeps >> r->kind & 1) != 0 || undoable) && orr_need_more(run, t) == NULL) return false;
    return r->kind != ORR_REC_EXPANDED || orr_room(run, r->count);
}

static orr_status fold_run(orr_run *run, const orr_record *r) {
    if (!orr_run_record_fits(run, r)) return ORR_EINVAL;
    if (r->kind == ORR_REC_RETRIED) {
        orr_status status = orr_prepare_retry(run, (r->reason & ORR_RETRIED_ITEMS) != 0);
        if (status != ORR_OK) return status == ORR_ENOMEM ? status : ORR_EINVAL;
    }
    run->seq = r->seq;
    apply_run(run, r->kind, &(applied){r->time, r->due, r->reason, r->error});
    if (r->kind == ORR_REC_RUN_ENDED) orr_first_failure(run);
    return ORR_OK;
}

static orr_status fold_node(orr_run *run, const orr_record *r) {
    uint32_t t = orr_index(run, r->task.node, r->task.item);
    if (t == ORR_NONE || !orr_record_fits(run, t, r)) return ORR_EINVAL;
    if (!make_room(run, t, r)) return ORR_ENOMEM;
    run->seq = r->seq;
    return fold_task(run, t, r);
}

static orr_status fold_created(orr_run *run, const orr_record *r) {
    if (run->state != ORR_RUN_PENDING || r->seq != 1 || r->reason > 1) return ORR_EINVAL;
    run->seq = 1;
    run->rebuilding = true;
    run->waits = r->reason != 0;
    run->stats.created = run->since = r->time;
    run->stats.started = run->waits ? 0 : r->time;
    orr_clock_read(run, r->time);
    run->state = ORR_RUN_RUNNING;
    return ORR_OK;
}

/* After the process left in good order nothing is written but what says so, until another goes
 * on. */
static bool leaves_alone(orr_record_kind kind) {
    return kind == ORR_REC_SUSPENDED || kind == ORR_REC_INTERRUPTED || kind == ORR_REC_SIGNAL;
}

orr_status orr_run_fold(orr_run *run, const orr_record *record) {
    if ((unsigned)record->kind >= ORR_RECORD_COUNT || run->ended != (record->kind == ORR_REC_RETRIED))
        return ORR_EINVAL;
    if (record->kind == ORR_REC_RUN_CREATED) return fold_created(run, record);
    if (run->state == ORR_RUN_PENDING || !run->rebuilding || record->seq != run->seq + 1) return ORR_EINVAL;
    orr_record own = *record;
    own.due = orr_run_read(run, record->due);
    orr_status status = own.task.node == ORR_NONE ? fold_run(run, &own) : fold_node(run, &own);
    if (status != ORR_OK) return status;
    run->suspended = run->suspended && leaves_alone(record->kind);
    orr_clock_read(run, record->time);
    ORR_CHECKED(run->core);
    return status;
}
