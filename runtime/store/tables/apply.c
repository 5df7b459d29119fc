/* apply.c - what each kind of record does to the tables; runtime/core/fold.c is the same
 * for the engine's own state. */
#include "store/tables/inner.h"

#include <math.h>
#include <string.h>

/* ---- errors ---------------------------------------------------------------------------------- */

static orr_span error_of(orr_applying *c) {
    const orr_error *e = c->record->error;
    return e == NULL ? (orr_span){NULL, 0}
                     : orr_error_text(c->p, e->code, e->message, orr_payload_text(c->entry), &c->status);
}

/* ---- attempts -------------------------------------------------------------------------------- */

/* The attempt that ended; NULL where it had none, or that had ended before: what was refused, or
 * failed while it waited, is no attempt. */
static orr_attempt_entry *end_attempt(orr_applying *c, const char *state) {
    orr_attempt_entry *a = NULL;
    if (c->record->task.attempt > 0) a = orr_attempt_at(c->p, c->run, &c->record->task, &c->status);
    if (a == NULL || strcmp(a->state, "running") != 0) return NULL;
    a->state = state;
    a->ended = c->time;
    if (c->record->error != NULL) a->error = error_of(c);
    return a;
}

static void begin_attempt(orr_applying *c) {
    orr_attempt_entry *a = orr_attempt_at(c->p, c->run, &c->record->task, &c->status);
    if (a == NULL) return;
    if (!a->begun) a->started = c->time; /* where it was interrupted, its row keeps the first time */
    a->begun = true;
    a->phase = c->record->phase;
    a->state = "running";
    a->ended = (double)NAN;
    a->error = (orr_span){NULL, 0};
}

/* ---- records about a node -------------------------------------------------------------------- */

static void set_due(orr_applying *c, int64_t due, const char *timer) {
    c->node->due = due > 0 ? orr_seconds(due) : (double)NAN;
    c->node->timer = timer;
}

/* A node that is compensated stays `compensating` while its compensation starts, waits and is
 * tried again. */
static void go(orr_applying *c, orr_node_state state) {
    if (c->node->state != ORR_NODE_COMPENSATING) c->node->state = state;
}

static void set_error(orr_applying *c) {
    c->node->error = error_of(c);
    c->node->set |= SET_ERROR;
}

static void set_settled(orr_applying *c, orr_node_state state) {
    orr_node_entry *node = c->node;
    node->state = state;
    node->ended = c->time;
    node->output = node->why = (orr_span){NULL, 0};
    node->source = node->outcome = NULL;
    node->set |= SET_END | SET_WHY;
    set_due(c, 0, NULL);
}

static void on_ready(orr_applying *c) {
    go(c, ORR_NODE_READY);
    set_due(c, 0, NULL);
}

static void on_started(orr_applying *c) {
    begin_attempt(c);
    set_due(c, 0, NULL);
    if (c->record->phase == ORR_PHASE_COMPENSATE) {
        c->node->state = ORR_NODE_COMPENSATING;
        return;
    }
    c->node->state = ORR_NODE_RUNNING;
    c->node->attempts = c->record->task.attempt;
    c->node->iteration = c->record->task.iteration + 1;
    if (isnan(c->node->started)) c->node->started = c->time;
}

/* A compensation that is tried again is no reason why the node failed. */
static void on_attempt_failed(orr_applying *c) {
    end_attempt(c, "failed");
    if (c->node->state != ORR_NODE_COMPENSATING) set_error(c);
    go(c, ORR_NODE_RETRYING);
    set_due(c, c->record->due, "retry");
}

static void on_completed(orr_applying *c) {
    static const char *const sources[] = {"run", "cache", "fork"};
    const orr_names *names = c->run->names;
    c->fits = c->record->reason <= ORR_SOURCE_FORK;
    if (!c->fits) return;
    end_attempt(c, "completed");
    set_settled(c, ORR_NODE_COMPLETED);
    c->node->output = orr_kept_text(c, orr_payload_text(c->entry));
    c->node->source = sources[c->record->reason];
    c->node->error = (orr_span){NULL, 0};
    c->node->set |= SET_ERROR;
    if (names != NULL && c->record->port < names->n_ports) c->node->outcome = names->ports[c->record->port];
}

static void on_failed(orr_applying *c) {
    end_attempt(c, "failed");
    set_settled(c, ORR_NODE_FAILED);
    set_error(c);
}

static void on_cancelled(orr_applying *c) {
    end_attempt(c, "cancelled");
    set_settled(c, ORR_NODE_CANCELLED);
    if (c->record->error != NULL) set_error(c);
}

static void on_skipped(orr_applying *c) {
    char room[16];
    uint32_t by = c->record->count;
    const char *reason = orr_skip_name(c->record->reason);
    bool has_by = by != ORR_NONE && reason != NULL && c->record->reason != ORR_SKIP_WHEN;
    c->fits = reason != NULL && (!has_by || c->run->names == NULL || by < c->run->names->n_nodes);
    if (!c->fits) return;
    set_settled(c, ORR_NODE_SKIPPED);
    const char *name = has_by ? orr_node_name(c->run, by, room) : NULL;
    c->node->why = orr_skip_text(c->p, reason, name, &c->status);
}

static void on_expanded(orr_applying *c) {
    c->node->state = ORR_NODE_RUNNING;
    if (isnan(c->node->started)) c->node->started = c->time;
    c->node->items = c->record->count;
    c->node->item_names = orr_shown(c, orr_resolved(c), "names");
    c->node->set |= SET_ITEMS;
    set_due(c, 0, NULL);
}

static void on_iterated(orr_applying *c) {
    end_attempt(c, "completed");
    c->node->state = c->record->due > 0 ? ORR_NODE_WAITING : ORR_NODE_READY;
    c->node->attempts = 0;
    c->node->iteration = c->record->task.iteration + 2; /* that which comes next, from 1 */
    set_due(c, c->record->due, "loop");
}

static bool note_kind(void *ud, const orr_field *values, size_t n) {
    (void)n;
    *(const char **)ud = orr_timer_kind(orr_field_words(&values[0]));
    return false;
}

/* What kind of step it waits for was said by the step's own record, perhaps in an earlier call. */
static const char *kind_of_wait(orr_applying *c) {
    orr_node_entry *node = c->node;
    char room[16];
    const char *kind = isnan(node->due) ? "wait" : node->timer;
    if (kind != NULL) return kind;
    orr_field key[] = {orr_field_integer(c->run->number),
                       orr_field_text(orr_node_name(c->run, node->idx, room)), orr_field_integer(node->item)};
    kind = "wait";
    c->status = ORR_GET(c->p, ORR_READ_TIMER, key, note_kind, &kind);
    return kind;
}

static void on_waiting(orr_applying *c) {
    set_due(c, c->record->due, c->record->due > 0 ? kind_of_wait(c) : NULL);
    go(c, ORR_NODE_WAITING);
}

static void on_woken(orr_applying *c) {
    c->fits = c->record->reason == ORR_NODE_READY || c->record->reason == ORR_NODE_RUNNING ||
              c->record->reason == ORR_NODE_COMPENSATING;
    if (!c->fits) return;
    go(c, (orr_node_state)c->record->reason);
    set_due(c, 0, NULL);
}

/* Whether the attempt, which no record of this call is about, is under way. */
static bool is_running(orr_applying *c) {
    const orr_task *task = &c->record->task;
    char room[16];
    bool runs = false;
    orr_field key[] = {orr_field_integer(c->run->number),
                       orr_field_text(orr_node_name(c->run, task->node, room)),
                       orr_field_integer(c->node->item), orr_field_integer((int64_t)task->iteration + 1),
                       orr_field_integer(task->attempt)};
    c->status = ORR_GET(c->p, ORR_READ_ATTEMPT_RUNS, key, orr_note_any, &runs);
    return runs;
}

/* An attempt that was cut off goes on under its number; only one that is under way can be. */
static void on_interrupted(orr_applying *c) {
    uint32_t before = c->p->n_attempts;
    orr_attempt_entry *a = orr_attempt_at(c->p, c->run, &c->record->task, &c->status);
    if (a == NULL) return;
    bool is_new = c->p->n_attempts > before;
    c->fits = strcmp(a->state, "running") == 0 && (!is_new || is_running(c));
    if (!c->fits) return;
    a->state = "interrupted";
    a->ended = c->time;
    a->interrupted += c->record->reason != 0; /* not where the run was suspended */
    on_ready(c);
}

/* The output of the node stays what it was, so what its compensation returned stands with the
 * attempt. */
static void on_compensated(orr_applying *c) {
    orr_attempt_entry *a = end_attempt(c, "completed");
    if (a != NULL) a->output = orr_kept_text(c, orr_payload_text(c->entry));
    c->node->state = ORR_NODE_COMPENSATED;
    set_due(c, 0, NULL);
}

static void on_compensation_failed(orr_applying *c) {
    end_attempt(c, "failed");
    c->node->state = ORR_NODE_COMPENSATION_FAILED;
    set_due(c, 0, NULL);
    set_error(c);
}

static void on_nothing(orr_applying *c) {
    (void)c;
}

/* ---- records about the run ------------------------------------------------------------------- */

static void on_run_created(orr_applying *c) {
    orr_run_entry *run = c->run;
    orr_span payload = orr_resolved(c);
    c->fits = run->seq == 0 && c->record->reason <= 1;
    if (!c->fits) return;
    run->fresh = true;
    run->waits = c->record->reason != 0;
    run->state = ORR_RUN_RUNNING;
    run->started = run->waits ? (double)NAN : c->time;
    run->nodes = run->names != NULL ? run->names->n_nodes : 0;
    run->input = orr_shown(c, payload, "input");
    run->context = orr_shown(c, payload, "context");
    run->forked_from = orr_shown(c, payload, "forked_from");
    run->set_input = true;
}

/* It has waited, from its creation on or since it was set back. */
static void on_run_begun(orr_applying *c) {
    c->run->waits = false;
    c->run->started = c->time;
}

static void on_run_paused(orr_applying *c) {
    c->run->paused = true;
}

/* What waits for a time is due later by as much as the pause took. */
static void on_run_resumed(orr_applying *c) {
    orr_field later[] = {orr_field_integer(c->run->number), orr_field_real(orr_seconds(c->record->due))};
    c->run->paused = false;
    if (c->record->due <= 0) return;
    c->status = orr_rows_write_nodes(c->p);
    if (c->status == ORR_OK) c->status = ORR_PUT(c->p, ORR_WRITE_NODES_LATER, later);
    if (c->status == ORR_OK) c->status = ORR_PUT(c->p, ORR_WRITE_TIMERS_LATER, later);
}

static void on_run_compensating(orr_applying *c) {
    c->run->compensating = true;
}

static void on_run_retried(orr_applying *c) {
    orr_run_entry *run = c->run;
    c->status = orr_rows_write_nodes(c->p);
    if (c->status == ORR_OK)
        c->status = orr_project_retried(c->p, run, (c->record->reason & ORR_RETRIED_ITEMS) != 0, c->time);
    run->waits = (c->record->reason & ORR_RETRIED_WAITS) != 0;
    run->state = ORR_RUN_RUNNING;
    run->paused = run->compensating = false;
    if (run->waits) run->started = (double)NAN;
    else if (isnan(run->started)) run->started = c->time;
    run->ended = (double)NAN;
    run->output = run->error = (orr_span){NULL, 0};
    run->set_end = true;
}

/* An output that could not be computed makes a run fail all of whose nodes did well. */
static void on_run_ended(orr_applying *c) {
    orr_run_entry *run = c->run;
    orr_span payload = orr_resolved(c), error = orr_shown(c, payload, "error");
    const orr_error *e = c->record->error;
    c->fits = c->record->reason < ORR_RUN_STATE_COUNT && orr_run_ended((orr_run_state)c->record->reason);
    if (!c->fits) return;
    run->waits = false;
    run->state = (orr_run_state)c->record->reason;
    if (error.at != NULL && run->state == ORR_RUN_COMPLETED) run->state = ORR_RUN_FAILED;
    if (error.at == NULL && e != NULL)
        error = orr_error_text(c->p, e->code, e->message, orr_shown(c, payload, "whole"), &c->status);
    run->paused = run->compensating = false;
    run->ended = c->time;
    run->output = orr_shown(c, payload, "output");
    run->error = error;
    run->set_end = true;
}

/* ---- by kind --------------------------------------------------------------------------------- */

static const struct {
    void (*node)(orr_applying *c); /* of a record with a task */
    void (*run)(orr_applying *c);  /* of one without */
    bool error;                    /* it must have one */
} kinds[ORR_RECORD_COUNT] = {
    [ORR_REC_RUN_CREATED] = {NULL, on_run_created, false},
    [ORR_REC_ATTEMPT_STARTED] = {on_started, NULL, false},
    [ORR_REC_ATTEMPT_FAILED] = {on_attempt_failed, NULL, true},
    [ORR_REC_COMPLETED] = {on_completed, NULL, false},
    [ORR_REC_FAILED] = {on_failed, NULL, true},
    [ORR_REC_SKIPPED] = {on_skipped, NULL, false},
    [ORR_REC_CANCELLED] = {on_cancelled, NULL, false},
    [ORR_REC_EXPANDED] = {on_expanded, NULL, false},
    [ORR_REC_ITERATED] = {on_iterated, NULL, false},
    [ORR_REC_WAITING] = {on_waiting, NULL, false},
    [ORR_REC_WOKEN] = {on_woken, NULL, false},
    [ORR_REC_READY] = {on_ready, NULL, false},
    [ORR_REC_EDGE] = {on_nothing, NULL, false},
    [ORR_REC_STOPPING] = {NULL, on_nothing, false},
    [ORR_REC_CLEANUP] = {NULL, on_nothing, false},
    [ORR_REC_PAUSED] = {NULL, on_run_paused, false},
    [ORR_REC_RESUMED] = {NULL, on_run_resumed, false},
    [ORR_REC_HELD] = {on_waiting, NULL, false},
    [ORR_REC_RUN_ENDED] = {NULL, on_run_ended, false},
    [ORR_REC_INTERRUPTED] = {on_interrupted, NULL, false},
    [ORR_REC_SUSPENDED] = {NULL, on_nothing, false},
    [ORR_REC_STEP] = {orr_apply_step, NULL, false},
    [ORR_REC_SIGNAL] = {NULL, orr_apply_signal, false},
    [ORR_REC_RETRIED] = {NULL, on_run_retried, false},
    [ORR_REC_BEGUN] = {NULL, on_run_begun, false},
    [ORR_REC_COMPENSATING] = {NULL, on_run_compensating, false},
    [ORR_REC_COMPENSATED] = {on_compensated, NULL, false},
    [ORR_REC_COMPENSATION_FAILED] = {on_compensation_failed, NULL, true},
};

/* With its first item a node is compensated; that has no record of its own. */
static void begin_whole(orr_applying *c) {
    orr_node_entry *whole = orr_node_at(c->p, c->run, c->record->task.node, 0, &c->status);
    if (whole == NULL) return;
    orr_node_leave(c->run, whole);
    whole->state = ORR_NODE_COMPENSATING;
    orr_node_enter(c->run, whole);
}

static void apply_to_node(orr_applying *c) {
    const orr_task *task = &c->record->task;
    if (task->item != ORR_NONE && c->record->kind == ORR_REC_ATTEMPT_STARTED &&
        c->record->phase == ORR_PHASE_COMPENSATE)
        begin_whole(c);
    if (c->status == ORR_OK) c->node = orr_node_at(c->p, c->run, task->node, task->item + 1, &c->status);
    if (c->node == NULL) return;
    orr_node_leave(c->run, c->node);
    kinds[c->record->kind].node(c);
    orr_node_enter(c->run, c->node);
}

orr_status orr_project_record(orr_projector *p, orr_run_entry *run, const orr_entry *entry, bool *fits) {
    const orr_record *r = &entry->record;
    orr_applying c =
        {.p = p, .run = run, .entry = entry, .record = r, .time = orr_seconds(r->time), .fits = true};
    bool on_node = r->task.node != ORR_NONE;
    bool known = !on_node || run->names == NULL || r->task.node < run->names->n_nodes;
    bool begun = run->seq > 0 || r->kind == ORR_REC_RUN_CREATED;
    *fits = known && begun && (on_node ? kinds[r->kind].node : kinds[r->kind].run) != NULL &&
            (!kinds[r->kind].error || r->error != NULL) && r->phase <= ORR_PHASE_COMPENSATE;
    if (!*fits) return ORR_OK;
    if (on_node) apply_to_node(&c);
    else kinds[r->kind].run(&c);
    *fits = c.fits && !c.damaged;
    return c.status;
}
