/* rows.c - entries for rows: found or read, changed by records, written once. */
#include "store/tables/inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding --------------------------------------------------------------------------------- */

/* Room for one more entry of an array, or false. */
static bool room_for(void **array, uint32_t n, uint32_t *cap, size_t size) {
    if (n < *cap) return true;
    uint32_t more = *cap > 0 ? *cap * 2 : 64;
    void *bigger = realloc(*array, more * size);
    if (bigger == NULL) return false;
    *array = bigger;
    *cap = more;
    return true;
}

#define ROOM_FOR(p, kind) room_for((void **)&(p)->kind, (p)->n_##kind, &(p)->cap_##kind, sizeof *(p)->kind)

static uint32_t read_count(const orr_field *v) {
    return (uint32_t)orr_field_number(v);
}

static uint32_t read_word(const orr_field *v, const char *(*name)(uint32_t), uint32_t n) {
    orr_span word = orr_field_words(v);
    for (uint32_t i = 0; word.at != NULL && i < n; i++)
        if (strlen(name(i)) == word.size && memcmp(word.at, name(i), word.size) == 0) return i;
    return 0;
}

static const char *node_word(uint32_t state) {
    return orr_node_state_name((orr_node_state)state);
}

static const char *run_word(uint32_t state) {
    return orr_run_state_name((orr_run_state)state);
}

typedef struct filling {
    orr_projector *p;
    orr_run_entry *run;
    orr_status status;
} filling;

static bool fill_run(void *ud, const orr_field *v, size_t n) {
    enum {
        STATE,
        BUNDLE,
        SEQ,
        NODES,
        FIRST_COUNT,
        RUNNING = FIRST_COUNT + COUNTS,
        WAITING,
        STARTED,
        ENDED,
        DAMAGED
    };
    filling *f = ud;
    orr_run_entry *run = f->run;
    (void)n;
    run->state = (orr_run_state)read_word(&v[STATE], run_word, ORR_RUN_STATE_COUNT);
    run->known = true;
    run->paused = run->state == ORR_RUN_PAUSED;
    run->compensating = run->state == ORR_RUN_COMPENSATING;
    run->seq = (uint64_t)orr_field_number(&v[SEQ]);
    run->nodes = read_count(&v[NODES]);
    for (int i = 0; i < COUNTS; i++) run->counts[i] = read_count(&v[FIRST_COUNT + i]);
    run->running = read_count(&v[RUNNING]);
    run->waiting = read_count(&v[WAITING]);
    run->started = orr_field_time(&v[STARTED]);
    run->ended = orr_field_time(&v[ENDED]);
    run->waits = run->seq > 0 && isnan(run->started) && isnan(run->ended);
    run->damaged = orr_field_number(&v[DAMAGED]) != 0;
    if (v[BUNDLE].type == ORR_FIELD_TEXT) f->status = orr_names_of(f->p, v[BUNDLE].bytes, &run->names);
    return false;
}

orr_status orr_run_load(orr_projector *p, orr_run_entry *run) {
    orr_field key[] = {orr_field_integer(run->number)};
    *run = (orr_run_entry){.number = run->number, .started = (double)NAN, .ended = (double)NAN};
    filling f = {.p = p, .run = run};
    orr_status status = ORR_GET(p, ORR_READ_RUN, key, fill_run, &f);
    return status == ORR_OK ? f.status : status;
}

orr_run_entry *orr_run_at(orr_projector *p, int64_t number, orr_status *status) {
    const orr_key key = {{(uint32_t)number, (uint32_t)((uint64_t)number >> 32), 0, 0, 0}};
    uint32_t at = orr_map_find(&p->run_map, &key);
    if (at != ORR_NONE) return &p->runs[at];
    if (!ROOM_FOR(p, runs)) {
        *status = ORR_ENOMEM;
        return NULL;
    }
    p->runs[p->n_runs].number = number;
    *status = orr_run_load(p, &p->runs[p->n_runs]);
    if (*status == ORR_OK && !orr_map_put(&p->run_map, &key, p->n_runs)) *status = ORR_ENOMEM;
    return *status == ORR_OK ? &p->runs[p->n_runs++] : NULL;
}

static bool fill_node(void *ud, const orr_field *v, size_t n) {
    enum { STATE, ATTEMPTS, ITERATION, STARTED, ENDED, DUE };
    orr_node_entry *node = ud;
    (void)n;
    node->state = (orr_node_state)read_word(&v[STATE], node_word, ORR_NODE_STATE_COUNT);
    node->attempts = read_count(&v[ATTEMPTS]);
    node->iteration = read_count(&v[ITERATION]);
    node->started = orr_field_time(&v[STARTED]);
    node->ended = orr_field_time(&v[ENDED]);
    node->due = orr_field_time(&v[DUE]);
    node->stands = true;
    node->had_timer = !isnan(node->due);
    return false;
}

static orr_status load_node(orr_projector *p, const orr_run_entry *run, orr_node_entry *node) {
    orr_field key[] = {orr_field_integer(run->number), orr_field_integer(node->idx),
                       orr_field_integer(node->item)};
    return ORR_GET(p, ORR_READ_NODE, key, fill_node, node);
}

orr_node_entry *orr_node_at(orr_projector *p, orr_run_entry *run, uint32_t idx, uint32_t item,
                            orr_status *status) {
    uint32_t r = (uint32_t)(run - p->runs);
    const orr_key key = {{r, idx, item, 0, 0}};
    uint32_t at = orr_map_find(&p->node_map, &key);
    if (at != ORR_NONE) return &p->nodes[at];
    if (!ROOM_FOR(p, nodes)) {
        *status = ORR_ENOMEM;
        return NULL;
    }
    orr_node_entry *node = &p->nodes[p->n_nodes];
    *node = (orr_node_entry){.run = r,
                             .idx = idx,
                             .item = item,
                             .iteration = 1,
                             .started = (double)NAN,
                             .ended = (double)NAN,
                             .due = (double)NAN};
    if (!run->fresh) *status = load_node(p, run, node);
    if (*status == ORR_OK && !orr_map_put(&p->node_map, &key, p->n_nodes)) *status = ORR_ENOMEM;
    if (*status != ORR_OK) return NULL;
    p->n_nodes++;
    if (idx >= run->nodes)
        run->nodes = idx + 1; /* of a run without a bundle as many are known as were seen */
    return node;
}

orr_attempt_entry *orr_attempt_at(orr_projector *p, const orr_run_entry *run, const orr_task *task,
                                  orr_status *status) {
    uint32_t r = (uint32_t)(run - p->runs), item = task->item + 1;
    const orr_key key = {{r, task->node, item, task->iteration, task->attempt}};
    uint32_t at = orr_map_find(&p->attempt_map, &key);
    if (at != ORR_NONE) return &p->attempts[at];
    if (!ROOM_FOR(p, attempts) || !orr_map_put(&p->attempt_map, &key, p->n_attempts)) {
        *status = ORR_ENOMEM;
        return NULL;
    }
    orr_attempt_entry *a = &p->attempts[p->n_attempts++];
    *a = (orr_attempt_entry){.run = r,
                             .idx = task->node,
                             .item = item,
                             .iteration = task->iteration + 1,
                             .attempt = task->attempt,
                             .state = "running",
                             .started = (double)NAN,
                             .ended = (double)NAN};
    return a;
}

/* ---- counting -------------------------------------------------------------------------------- */

/* By state: which count of its run a node is in; COUNTS for none. */
static int count_of(orr_node_state state) {
    switch (state) {
    case ORR_NODE_COMPLETED: return COUNT_COMPLETED;
    case ORR_NODE_FAILED: return COUNT_FAILED;
    case ORR_NODE_SKIPPED: return COUNT_SKIPPED;
    case ORR_NODE_CANCELLED: return COUNT_CANCELLED;
    default: return COUNTS;
    }
}

/* A node whose items run has no attempt of its own: it is no task. */
static bool runs_itself(const orr_node_entry *node) {
    return node->state == ORR_NODE_RUNNING && (node->item > 0 || node->attempts > 0);
}

static void count_node(orr_run_entry *run, const orr_node_entry *node, uint32_t by) {
    int count = count_of(node->state);
    if (node->item == 0 && count < COUNTS) run->counts[count] += by;
    if (runs_itself(node)) run->running += by;
    if (node->state == ORR_NODE_WAITING || node->state == ORR_NODE_RETRYING) run->waiting += by;
}

void orr_node_leave(orr_run_entry *run, const orr_node_entry *node) {
    count_node(run, node, UINT32_MAX);
}

void orr_node_enter(orr_run_entry *run, const orr_node_entry *node) {
    count_node(run, node, 1);
}

/* ---- writing --------------------------------------------------------------------------------- */

static orr_status write_timer(orr_projector *p, const orr_run_entry *run, const orr_node_entry *node,
                              const char *name) {
    orr_field row[] = {orr_field_integer(run->number), orr_field_text(name), orr_field_integer(node->item),
                       orr_field_text(node->timer), orr_field_real(node->due)};
    orr_status status = ORR_OK;
    bool has = !isnan(node->due);
    if (has && node->timer == NULL) return ORR_OK; /* it was there before, and nobody touched it */
    if (node->had_timer) status = orr_sink_put(p, ORR_WRITE_TIMER_GONE, row, 3);
    return status == ORR_OK && has ? ORR_PUT(p, ORR_WRITE_TIMER, row) : status;
}

enum { NODE_COLUMNS = 17, ATTEMPT_COLUMNS = 12 };

void orr_node_row(const orr_node_entry *node, const orr_run_entry *run, const char *name, orr_field *row) {
    const orr_field values[NODE_COLUMNS] = {orr_field_integer(run->number),
                                            orr_field_integer(node->idx),
                                            orr_field_integer(node->item),
                                            orr_field_text(name),
                                            orr_field_text(orr_node_state_name(node->state)),
                                            orr_field_integer(node->attempts),
                                            orr_field_integer(node->iteration),
                                            orr_field_real(node->started),
                                            orr_field_real(node->ended),
                                            orr_field_real(node->due),
                                            orr_field_span(node->output),
                                            orr_field_span(node->error),
                                            orr_field_text(node->source),
                                            orr_field_text(node->outcome),
                                            orr_field_span(node->why),
                                            (node->set & SET_ITEMS) != 0 ? orr_field_integer(node->items)
                                                                         : orr_field_text(NULL),
                                            orr_field_span(node->item_names)};
    memcpy(row, values, sizeof values);
}

void orr_attempt_row(const orr_attempt_entry *a, const orr_run_entry *run, const char *name, orr_field *row) {
    static const char *const phases[] = {"run", "fallback", "compensate"};
    const orr_field values[ATTEMPT_COLUMNS] = {
        orr_field_integer(run->number),    orr_field_text(name),
        orr_field_integer(a->item),        orr_field_integer(a->iteration),
        orr_field_integer(a->attempt),     orr_field_text(a->begun ? phases[a->phase] : NULL),
        orr_field_text(a->state),          orr_field_real(a->begun ? a->started : (double)NAN),
        orr_field_real(a->ended),          orr_field_span(a->error),
        orr_field_integer(a->interrupted), orr_field_span(a->output)};
    memcpy(row, values, sizeof values);
}

/* Its own row, where its run has some, and that of what it waits for. */
static orr_status write_node(orr_projector *p, const orr_node_entry *node) {
    const orr_run_entry *run = &p->runs[node->run];
    char room[16];
    if (run->fresh && isnan(node->due)) return ORR_OK; /* it was inserted */
    const char *name = orr_node_name(run, node->idx, room);
    orr_field row[NODE_COLUMNS + 1];
    orr_status status = ORR_OK;
    orr_node_row(node, run, name, row);
    row[NODE_COLUMNS] = orr_field_integer(node->set);
    if (node->stands) status = orr_sink_put(p, ORR_WRITE_NODE_CHANGED, row, NODE_COLUMNS + 1);
    else if (!run->fresh) status = orr_sink_put(p, ORR_WRITE_NODE, row, NODE_COLUMNS);
    return status == ORR_OK ? write_timer(p, run, node, name) : status;
}

static orr_status write_attempt(orr_projector *p, const orr_attempt_entry *a) {
    const orr_run_entry *run = &p->runs[a->run];
    char room[16];
    orr_field row[ATTEMPT_COLUMNS];
    if (run->fresh && a->begun) return ORR_OK; /* it was inserted */
    orr_attempt_row(a, run, orr_node_name(run, a->idx, room), row);
    return ORR_PUT(p, a->begun ? ORR_WRITE_ATTEMPT_BEGUN : ORR_WRITE_ATTEMPT_ENDED, row);
}

/* The state that people see: what the run says of itself, else what its tasks do. */
static orr_run_state shown_state(const orr_run_entry *run) {
    if (run->seq == 0 || (orr_run_ended(run->state) && !isnan(run->ended))) return run->state;
    if (run->compensating) return ORR_RUN_COMPENSATING;
    if (run->paused) return ORR_RUN_PAUSED;
    if (run->waits) return ORR_RUN_PENDING;
    return run->running == 0 && run->waiting > 0 ? ORR_RUN_WAITING : ORR_RUN_RUNNING;
}

static orr_status write_run(orr_projector *p, const orr_run_entry *run) {
    orr_field row[] = {orr_field_integer(run->number),
                       orr_field_text(orr_run_state_name(shown_state(run))),
                       orr_field_integer((int64_t)run->seq),
                       orr_field_integer(run->nodes),
                       orr_field_integer(run->counts[COUNT_COMPLETED]),
                       orr_field_integer(run->counts[COUNT_FAILED]),
                       orr_field_integer(run->counts[COUNT_SKIPPED]),
                       orr_field_integer(run->counts[COUNT_CANCELLED]),
                       orr_field_integer(run->running),
                       orr_field_integer(run->waiting),
                       orr_field_real(run->started),
                       orr_field_real(run->ended),
                       orr_field_integer(run->set_input),
                       orr_field_span(run->input),
                       orr_field_span(run->context),
                       orr_field_integer(run->set_end),
                       orr_field_span(run->output),
                       orr_field_span(run->error),
                       orr_field_span(run->forked_from)};
    return ORR_PUT(p, ORR_WRITE_RUN, row);
}

orr_status orr_rows_write_nodes(orr_projector *p) {
    orr_status status = orr_rows_insert_fresh(p);
    for (uint32_t i = 0; i < p->n_nodes && status == ORR_OK; i++) status = write_node(p, &p->nodes[i]);
    for (uint32_t i = 0; i < p->n_attempts && status == ORR_OK; i++)
        status = write_attempt(p, &p->attempts[i]);
    for (uint32_t i = 0; i < p->n_runs && status == ORR_OK; i++) p->runs[i].fresh = false;
    orr_map_clear(&p->node_map);
    orr_map_clear(&p->attempt_map);
    p->n_nodes = p->n_attempts = 0;
    return status;
}

orr_status orr_rows_write(orr_projector *p) {
    orr_status status = orr_rows_write_nodes(p);
    for (uint32_t i = 0; i < p->n_runs && status == ORR_OK; i++)
        if (p->runs[i].touched) status = write_run(p, &p->runs[i]);
    orr_rows_forget(p);
    return status;
}

void orr_rows_forget(orr_projector *p) {
    orr_map_clear(&p->run_map);
    orr_map_clear(&p->node_map);
    orr_map_clear(&p->attempt_map);
    p->n_runs = p->n_nodes = p->n_attempts = 0;
    orr_arena_clear(&p->arena);
}
