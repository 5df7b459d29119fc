/* project_rows.c - entries for rows: found or read, changed by records, written once. */
#include "project_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding --------------------------------------------------------------------------------------------------------- */

/* Room for one more entry of an array, or false. */
static bool room_for(void **array, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    uint32_t more = *cap > 0 ? *cap * 2 : 64;
    void *bigger = realloc(*array, more * size);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *cap = more;
    return true;
}

#define ROOM_FOR(p, kind) room_for((void **)&(p)->kind, (p)->n_##kind, &(p)->cap_##kind, sizeof *(p)->kind)

static double read_time(sqlite3_stmt *s, int column)
{
    return sqlite3_column_type(s, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(s, column);
}

static uint32_t read_count(sqlite3_stmt *s, int column)
{
    return (uint32_t)sqlite3_column_int64(s, column);
}

static uint32_t read_word(sqlite3_stmt *s, int column, const char *(*name)(uint32_t), uint32_t n)
{
    const char *word = (const char *)sqlite3_column_text(s, column);
    for (uint32_t i = 0; word != NULL && i < n; i++)
        if (strcmp(word, name(i)) == 0)
            return i;
    return 0;
}

static const char *node_word(uint32_t state)
{
    return orr_node_state_name((orr_node_state)state);
}

static const char *run_word(uint32_t state)
{
    return orr_run_state_name((orr_run_state)state);
}

static orr_status fill_run(orr_projector *p, orr_run_entry *run, sqlite3_stmt *s)
{
    orr_status status = ORR_OK;
    const char *bundle = (const char *)sqlite3_column_text(s, 1);
    run->state = (orr_run_state)read_word(s, 0, run_word, ORR_RUN_STATE_COUNT);
    run->known = true;
    run->paused = run->state == ORR_RUN_PAUSED;
    run->compensating = run->state == ORR_RUN_COMPENSATING;
    run->seq = (uint64_t)sqlite3_column_int64(s, 2);
    run->nodes = read_count(s, 3);
    for (int i = 0; i < COUNTS; i++)
        run->counts[i] = read_count(s, 4 + i);
    run->running = read_count(s, 8);
    run->waiting = read_count(s, 9);
    run->started = read_time(s, 10);
    run->ended = read_time(s, 11);
    run->damaged = sqlite3_column_int(s, 12) != 0;
    if (bundle != NULL)
        status = orr_names_of(p, bundle, &run->names);
    return status;
}

orr_status orr_run_load(orr_projector *p, orr_run_entry *run)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *s = orr_projector_sql(p, SQL_READ_RUN, &status);
    if (s == NULL)
        return status;
    *run = (orr_run_entry){.number = run->number, .started = (double)NAN, .ended = (double)NAN};
    sqlite3_bind_int64(s, 1, run->number);
    int rc = sqlite3_step(s);
    status = rc == SQLITE_ROW ? fill_run(p, run, s) : orr_sqlite_status(rc);
    sqlite3_reset(s);
    return status;
}

orr_run_entry *orr_run_at(orr_projector *p, int64_t number, orr_status *status)
{
    const orr_key key = {{(uint32_t)number, (uint32_t)((uint64_t)number >> 32), 0, 0, 0}};
    uint32_t at = orr_map_find(&p->run_map, &key);
    if (at != ORR_NONE)
        return &p->runs[at];
    if (!ROOM_FOR(p, runs)) {
        *status = ORR_ENOMEM;
        return NULL;
    }
    p->runs[p->n_runs].number = number;
    *status = orr_run_load(p, &p->runs[p->n_runs]);
    if (*status == ORR_OK && !orr_map_put(&p->run_map, &key, p->n_runs))
        *status = ORR_ENOMEM;
    return *status == ORR_OK ? &p->runs[p->n_runs++] : NULL;
}

static orr_status load_node(orr_projector *p, const orr_run_entry *run, orr_node_entry *node)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *s = orr_projector_sql(p, SQL_READ_NODE, &status);
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, run->number);
    sqlite3_bind_int64(s, 2, node->idx);
    sqlite3_bind_int64(s, 3, node->item);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        node->state = (orr_node_state)read_word(s, 0, node_word, ORR_NODE_STATE_COUNT);
        node->attempts = read_count(s, 1);
        node->iteration = read_count(s, 2);
        node->started = read_time(s, 3);
        node->ended = read_time(s, 4);
        node->due = read_time(s, 5);
        node->in_db = true;
        node->had_timer = !isnan(node->due);
    }
    status = orr_sqlite_status(rc);
    sqlite3_reset(s);
    return status;
}

orr_node_entry *orr_node_at(orr_projector *p, orr_run_entry *run, uint32_t idx, uint32_t item, orr_status *status)
{
    uint32_t r = (uint32_t)(run - p->runs);
    const orr_key key = {{r, idx, item, 0, 0}};
    uint32_t at = orr_map_find(&p->node_map, &key);
    if (at != ORR_NONE)
        return &p->nodes[at];
    if (!ROOM_FOR(p, nodes)) {
        *status = ORR_ENOMEM;
        return NULL;
    }
    orr_node_entry *node = &p->nodes[p->n_nodes];
    *node = (orr_node_entry){.run = r, .idx = idx, .item = item, .iteration = 1, .started = (double)NAN,
                             .ended = (double)NAN, .due = (double)NAN};
    if (!run->fresh)
        *status = load_node(p, run, node);
    if (*status == ORR_OK && !orr_map_put(&p->node_map, &key, p->n_nodes))
        *status = ORR_ENOMEM;
    if (*status != ORR_OK)
        return NULL;
    p->n_nodes++;
    if (idx >= run->nodes)
        run->nodes = idx + 1; /* of a run without a bundle as many are known as were seen */
    return node;
}

orr_attempt_entry *orr_attempt_at(orr_projector *p, const orr_run_entry *run, const orr_task *task, orr_status *status)
{
    uint32_t r = (uint32_t)(run - p->runs), item = task->item + 1;
    const orr_key key = {{r, task->node, item, task->iteration, task->attempt}};
    uint32_t at = orr_map_find(&p->attempt_map, &key);
    if (at != ORR_NONE)
        return &p->attempts[at];
    if (!ROOM_FOR(p, attempts) || !orr_map_put(&p->attempt_map, &key, p->n_attempts)) {
        *status = ORR_ENOMEM;
        return NULL;
    }
    orr_attempt_entry *a = &p->attempts[p->n_attempts++];
    *a = (orr_attempt_entry){.run = r, .idx = task->node, .item = item, .iteration = task->iteration + 1,
                             .attempt = task->attempt, .state = "running", .started = (double)NAN, .ended = (double)NAN};
    return a;
}

/* ---- counting -------------------------------------------------------------------------------------------------------- */

/* By state: which count of its run a node is in; COUNTS for none. */
static int count_of(orr_node_state state)
{
    switch (state) {
    case ORR_NODE_COMPLETED: return COUNT_COMPLETED;
    case ORR_NODE_FAILED: return COUNT_FAILED;
    case ORR_NODE_SKIPPED: return COUNT_SKIPPED;
    case ORR_NODE_CANCELLED: return COUNT_CANCELLED;
    default: return COUNTS;
    }
}

/* A node whose items run has no attempt of its own: it is no task. */
static bool runs_itself(const orr_node_entry *node)
{
    return node->state == ORR_NODE_RUNNING && (node->item > 0 || node->attempts > 0);
}

static void count_node(orr_run_entry *run, const orr_node_entry *node, uint32_t by)
{
    int count = count_of(node->state);
    if (node->item == 0 && count < COUNTS)
        run->counts[count] += by;
    if (runs_itself(node))
        run->running += by;
    if (node->state == ORR_NODE_WAITING || node->state == ORR_NODE_RETRYING)
        run->waiting += by;
}

void orr_node_leave(orr_run_entry *run, const orr_node_entry *node)
{
    count_node(run, node, UINT32_MAX);
}

void orr_node_enter(orr_run_entry *run, const orr_node_entry *node)
{
    count_node(run, node, 1);
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static orr_status write_timer(orr_projector *p, const orr_run_entry *run, const orr_node_entry *node, const char *name)
{
    orr_status status = ORR_OK;
    bool has = !isnan(node->due);
    if (has && node->timer == NULL)
        return ORR_OK; /* it was there before, and nobody touched it */
    for (int i = 0; i < 2 && status == ORR_OK; i++) {
        if (!(i == 0 ? node->had_timer : has))
            continue;
        sqlite3_stmt *s = orr_projector_sql(p, i == 0 ? SQL_CLEAR_TIMER : SQL_MAKE_TIMER, &status);
        if (s == NULL)
            return status;
        sqlite3_bind_int64(s, 1, run->number);
        orr_bind_word(s, 2, name);
        sqlite3_bind_int64(s, 3, node->item);
        if (i == 1) {
            orr_bind_word(s, 4, node->timer);
            sqlite3_bind_double(s, 5, node->due);
        }
        status = orr_projector_do(s);
    }
    return status;
}

static orr_status write_node(orr_projector *p, const orr_run_entry *run, const orr_node_entry *node)
{
    orr_status status = ORR_OK;
    char room[16];
    const char *name = orr_node_name(run, node->idx, room);
    sqlite3_stmt *s = orr_projector_sql(p, node->in_db ? SQL_WRITE_NODE : run->fresh ? SQL_NEW_NODE : SQL_MAKE_NODE, &status);
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, run->number);
    sqlite3_bind_int64(s, 2, node->idx);
    sqlite3_bind_int64(s, 3, node->item);
    orr_bind_word(s, 4, node->in_db ? NULL : name);
    orr_bind_word(s, 5, orr_node_state_name(node->state));
    sqlite3_bind_int64(s, 6, node->attempts);
    sqlite3_bind_int64(s, 7, node->iteration);
    sqlite3_bind_double(s, 8, node->started);
    sqlite3_bind_double(s, 9, node->ended);
    sqlite3_bind_double(s, 10, node->due);
    orr_bind_span(s, 11, node->output);
    orr_bind_span(s, 12, node->error);
    orr_bind_word(s, 13, node->source);
    orr_bind_word(s, 14, node->outcome);
    orr_bind_span(s, 15, node->why);
    if (node->in_db)
        sqlite3_bind_int(s, 16, node->set);
    status = orr_projector_do(s);
    return status == ORR_OK ? write_timer(p, run, node, name) : status;
}

/* The nodes of a new run that no record has touched yet. */
static orr_status write_pending(orr_projector *p, uint32_t r)
{
    const orr_run_entry *run = &p->runs[r];
    orr_status status = ORR_OK;
    sqlite3_stmt *s = run->names != NULL ? orr_projector_sql(p, SQL_MAKE_PENDING, &status) : NULL;
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, run->number);
    for (uint32_t i = 0; i < run->names->n_nodes && status == ORR_OK; i++) {
        const orr_key key = {{r, i, 0, 0, 0}};
        if (orr_map_find(&p->node_map, &key) != ORR_NONE)
            continue;
        sqlite3_bind_int64(s, 2, i);
        orr_bind_word(s, 3, run->names->nodes[i]);
        status = orr_projector_do(s);
    }
    return status;
}

static orr_status write_attempt(orr_projector *p, const orr_attempt_entry *a)
{
    static const char *const phases[] = {"run", "fallback", "compensate"};
    const orr_run_entry *run = &p->runs[a->run];
    orr_status status = ORR_OK;
    char room[16];
    sqlite3_stmt *s = orr_projector_sql(p, !a->begun ? SQL_END_ATTEMPT : run->fresh ? SQL_NEW_ATTEMPT : SQL_BEGIN_ATTEMPT, &status);
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, run->number);
    orr_bind_word(s, 2, orr_node_name(run, a->idx, room));
    sqlite3_bind_int64(s, 3, a->item);
    sqlite3_bind_int64(s, 4, a->iteration);
    sqlite3_bind_int64(s, 5, a->attempt);
    if (a->begun) {
        orr_bind_word(s, 6, phases[a->phase]);
        sqlite3_bind_double(s, 8, a->started);
    }
    orr_bind_word(s, 7, a->state);
    sqlite3_bind_double(s, 9, a->ended);
    orr_bind_span(s, 10, a->error);
    sqlite3_bind_int64(s, 11, a->interrupted);
    orr_bind_span(s, 12, a->output);
    return orr_projector_do(s);
}

/* The state that people see: what the run says of itself, else what its tasks do. */
static orr_run_state shown_state(const orr_run_entry *run)
{
    if (run->seq == 0 || (orr_run_ended(run->state) && !isnan(run->ended)))
        return run->state;
    if (run->compensating)
        return ORR_RUN_COMPENSATING;
    if (run->paused)
        return ORR_RUN_PAUSED;
    return run->running == 0 && run->waiting > 0 ? ORR_RUN_WAITING : ORR_RUN_RUNNING;
}

static orr_status write_run(orr_projector *p, const orr_run_entry *run)
{
    orr_status status = ORR_OK;
    sqlite3_stmt *s = orr_projector_sql(p, SQL_WRITE_RUN, &status);
    if (s == NULL)
        return status;
    sqlite3_bind_int64(s, 1, run->number);
    orr_bind_word(s, 2, orr_run_state_name(shown_state(run)));
    sqlite3_bind_int64(s, 3, (int64_t)run->seq);
    sqlite3_bind_int64(s, 4, run->nodes);
    for (int i = 0; i < COUNTS; i++)
        sqlite3_bind_int64(s, 5 + i, run->counts[i]);
    sqlite3_bind_int64(s, 9, run->running);
    sqlite3_bind_int64(s, 10, run->waiting);
    sqlite3_bind_double(s, 11, run->started);
    sqlite3_bind_double(s, 12, run->ended);
    sqlite3_bind_int(s, 13, run->set_input);
    orr_bind_span(s, 14, run->input);
    orr_bind_span(s, 15, run->context);
    sqlite3_bind_int(s, 16, run->set_end);
    orr_bind_span(s, 17, run->output);
    orr_bind_span(s, 18, run->error);
    orr_bind_span(s, 19, run->forked_from);
    return orr_projector_do(s);
}

orr_status orr_rows_write_nodes(orr_projector *p)
{
    orr_status status = ORR_OK;
    for (uint32_t i = 0; i < p->n_nodes && status == ORR_OK; i++)
        status = write_node(p, &p->runs[p->nodes[i].run], &p->nodes[i]);
    for (uint32_t i = 0; i < p->n_attempts && status == ORR_OK; i++)
        status = write_attempt(p, &p->attempts[i]);
    for (uint32_t i = 0; i < p->n_runs && status == ORR_OK; i++)
        if (p->runs[i].fresh) {
            status = write_pending(p, i);
            p->runs[i].fresh = false;
        }
    orr_map_clear(&p->node_map);
    orr_map_clear(&p->attempt_map);
    p->n_nodes = p->n_attempts = 0;
    return status;
}

orr_status orr_rows_write(orr_projector *p)
{
    orr_status status = orr_rows_write_nodes(p);
    for (uint32_t i = 0; i < p->n_runs && status == ORR_OK; i++)
        if (p->runs[i].touched)
            status = write_run(p, &p->runs[i]);
    orr_rows_forget(p);
    return status;
}

void orr_rows_forget(orr_projector *p)
{
    orr_map_clear(&p->run_map);
    orr_map_clear(&p->node_map);
    orr_map_clear(&p->attempt_map);
    p->n_runs = p->n_nodes = p->n_attempts = 0;
    orr_arena_clear(&p->arena);
}
