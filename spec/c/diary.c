/* diary.c - see diary.h */
#include "diary.h"

#include "checked_core.h"

#include "core/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what a run looks like ------------------------------------------------------------------- */

enum {
    CELL_WORDS = 5,
    RUN_WORDS = sizeof((look *)NULL)->run / sizeof(uint64_t),
    FOLDED_FLAGS = CELL_FAILED_DEP | CELL_CANCELLED_DEP | CELL_GATE_SHUT | CELL_LIVE
};

/* Only what a record says. That a node is ready has no record of its own, so it looks like one that
 * is about to be; when it waits and what bounds it counts only while it does. */
static void look_at_cell(const orr_run *run, uint32_t t, uint64_t *w) {
    const orr_cell *cell = &run->cells[t];
    const orr_more *more = orr_more_of(run, t);
    bool node = t < run->plan->n_nodes, live = (cell->flags & CELL_LIVE) != 0;
    uint8_t state = cell->state;
    /* what becomes ready without a record is pending when it is rebuilt */
    bool silent = node || orr_policy_of(run, orr_node_of(run, t))->each_parallel > 0;
    if (silent && state == ORR_NODE_READY && !live && cell->attempt <= orr_base_of(run, t) &&
        (more == NULL || more->iteration == 0))
        state = ORR_NODE_PENDING;
    bool open = !orr_node_settled((orr_node_state)state);
    w[0] = (uint64_t)state << 32 | (uint64_t)cell->attempt << 8 | (cell->flags & FOLDED_FLAGS);
    w[1] = node ? (uint64_t)cell->pending << 32 | cell->completed : 0;
    w[2] = more != NULL && more->expanded ? (uint64_t)more->n_items << 32 | more->items_open : 0;
    w[3] = 0;
    if (open && more != NULL)
        w[3] = (uint64_t)more->iteration << 32 | (uint64_t)more->base << 24 | (uint64_t)more->crashes << 16 |
               (uint64_t)more->interrupted << 8 | more->phase;
    if (open && more != NULL && (state == ORR_NODE_WAITING || state == ORR_NODE_RETRYING))
        w[3] ^= (uint64_t)more->due << 8;
    if (open && silent && more != NULL && state != ORR_NODE_PENDING) w[3] ^= (uint64_t)more->deadline << 16;
    for (int i = 0; open && more != NULL && !more->expanded && i < ORR_RETRY_POLICIES; i++)
        w[3] += (uint64_t)more->tries[i] << (40 + i);
    w[4] = 0;
    if (orr_is_over(run, t)) {
        uint32_t of, item;
        orr_locate(run, t, &of, &item);
        bool there = orr_index(run, of, item) == t; /* not an item that was set back with its node */
        w[4] = (uint64_t)(there && orr_run_uncertain(run, of, item)) << 40 | (uint64_t)orr_settled_as(run, t);
    }
    if (more != NULL && cell->state >= ORR_NODE_COMPENSATING)
        w[4] |= (uint64_t)more->undo_base << 8 | (uint64_t)more->undo_open << 48;
}

static uint64_t mixed(uint64_t h, uint64_t x) {
    return (h ^ x) * 0x9fb21c651e98df25u;
}

/* What is to be undone, in which order, and how far that is. */
static void look_at_undo(const orr_run *run, uint64_t *w) {
    const orr_undo *undo = run->undo;
    if (undo == NULL) return;
    w[0] = (uint64_t)undo->n << 40 | (uint64_t)undo->left << 16 | (uint64_t)undo->step << 8 |
           (uint64_t)undo->on << 2 | (uint64_t)undo->closed << 1 | undo->failed;
    for (uint32_t i = 0; i < undo->n; i++) w[1] = mixed(w[1], undo->tasks[i] + 1u);
    uint32_t t = orr_undo_task(run);
    if (t != ORR_NONE && undo->step >= UNDO_WAITS) w[1] = mixed(w[1], (uint64_t)orr_more_of(run, t)->due);
}

look look_at(const orr_run *run) {
    look l = {.n_cells = run->n_cells};
    orr_run_stats st;
    orr_run_get_stats(run, &st);
    l.cells = calloc((size_t)run->n_cells * CELL_WORDS, sizeof *l.cells);
    for (uint32_t t = 0; t < run->n_cells; t++) look_at_cell(run, t, &l.cells[(size_t)t * CELL_WORDS]);
    l.run[0] = (uint64_t)run->mode << 32 | (uint64_t)run->cause << 8 | run->paused |
               (uint64_t)run->ended << 1 | (uint64_t)run->waits << 2;
    l.run[1] = (uint64_t)run->open << 32 | run->live;
    l.run[2] = (uint64_t)run->timed << 32 | run->running;
    l.run[3] = st.attempts;
    l.run[4] = st.retries << 32 | st.peak_running;
    l.run[5] = st.items;
    l.run[6] = run->ended ? run->state : 0;
    l.run[7] = run->live_cleanup;
    l.run[8] = run->ended ? run->failure_node << 1 | (uint64_t)run->failed : 0;
    look_at_undo(run, &l.run[9]);
    l.run[11] = (uint64_t)run->stood << 1 | run->still;
    l.run[12] = run->still ? (uint64_t)run->still_since : 0;
    l.run[13] = st.attempts > 0 ? (uint64_t)run->since : 0;
    l.run[14] = run->mode == MODE_CLEANUP ? (uint64_t)run->cleanup_since : 0;
    return l;
}

void assert_same_look(const look *a, const look *b, const char *when) {
    assert_int_equal(a->n_cells, b->n_cells);
    for (uint32_t i = 0; i < a->n_cells * CELL_WORDS; i++)
        if (a->cells[i] != b->cells[i])
            fail_msg("%s: word %u of task %u is %llx in the live run, %llx in the rebuilt one", when,
                     i % CELL_WORDS, i / CELL_WORDS, (unsigned long long)a->cells[i],
                     (unsigned long long)b->cells[i]);
    for (size_t i = 0; i < RUN_WORDS; i++)
        if (a->run[i] != b->run[i])
            fail_msg("%s: word %zu of the run is %llx in the live one, %llx in the rebuilt one", when, i,
                     (unsigned long long)a->run[i], (unsigned long long)b->run[i]);
}

void look_free(look *l) {
    free(l->cells);
    l->cells = NULL;
}

/* ---- records --------------------------------------------------------------------------------- */

static diary_entry *push(diary *d, const orr_record *rec) {
    if (d->n == d->cap) {
        d->cap = d->cap > 0 ? d->cap * 2 : 256;
        d->entries = realloc(d->entries, d->cap * sizeof *d->entries);
        if (d->entries == NULL) abort();
    }
    diary_entry *e = &d->entries[d->n++];
    *e = (diary_entry){.rec = *rec};
    if (rec->error != NULL) {
        e->error = *rec->error;
        e->error.code = strdup(rec->error->code);
        e->error.message = strdup(rec->error->message);
    }
    return e;
}

void diary_add(diary *d, const orr_run *run, const orr_record *rec) {
    diary_entry *e = push(d, rec);
    /* an attempt's number is raised before its record is written */
    if (d->looks && rec->kind != ORR_REC_ATTEMPT_STARTED && rec->kind != ORR_REC_RUN_CREATED)
        e->before = look_at(run);
}

orr_record diary_record(const diary *d, uint32_t at) {
    orr_record r = d->entries[at].rec;
    if (r.error != NULL) r.error = &d->entries[at].error;
    return r;
}

void diary_copy(diary *d, const diary *from, uint32_t n) {
    *d = (diary){.looks = from->looks};
    for (uint32_t i = 0; i < n; i++) {
        orr_record r = diary_record(from, i);
        push(d, &r);
    }
}

void diary_cut(diary *d, uint32_t n) {
    for (; d->n > n; d->n--) {
        diary_entry *e = &d->entries[d->n - 1];
        free((void *)(uintptr_t)e->error.code);
        free((void *)(uintptr_t)e->error.message);
        look_free(&e->before);
    }
}

void diary_free(diary *d) {
    diary_cut(d, 0);
    free(d->entries);
    *d = (diary){0};
}

/* ---- folding --------------------------------------------------------------------------------- */

void diary_fold(const diary *d, uint32_t n, orr_run *run, const char *what) {
    char when[256];
    for (uint32_t i = 0; i < n; i++) {
        orr_record r = diary_record(d, i);
        snprintf(when, sizeof when, "%s, before record %u (%s of node %u, item %u, attempt %u)", what, i + 1,
                 orr_record_name(r.kind), r.task.node, r.task.item, r.task.attempt);
        if (d->entries[i].before.cells != NULL) {
            look now = look_at(run);
            assert_same_look(&d->entries[i].before, &now, when);
            look_free(&now);
        }
        if (orr_run_fold(run, &r) != ORR_OK) fail_msg("%s: it is refused", when);
        /* journals are folded again and again, so that all records of a kind have their turn */
        if (i % 16 == 15 || i + 1 == n) checked_core(run->core);
    }
}

static void assert_same_errors(const orr_run *a, const orr_run *b, const char *what) {
    for (uint32_t i = 0; i < a->plan->n_nodes; i++) {
        orr_error x, y;
        bool has = orr_run_error(a, i, ORR_NONE, &x);
        if (has != orr_run_error(b, i, ORR_NONE, &y))
            fail_msg("%s: node %u, which is %s, has an error in one of them only: %s", what, i,
                     orr_node_state_name(orr_run_node_state(b, i, ORR_NONE)), has ? x.message : y.message);
        if (has) {
            assert_string_equal(x.code, y.code);
            assert_string_equal(x.message, y.message);
        }
        assert_int_equal(orr_run_items(a, i), orr_run_items(b, i));
    }
}

void diary_assert_same(const diary *d, const orr_run *run, const char *what) {
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL}, .now = 1};
    orr_core *core = orr_core_new(&options);
    orr_run_options o = {.seed = run->seed};
    orr_run *rebuilt = orr_run_rebuild(core, run->plan, &o);
    diary_fold(d, d->n, rebuilt, what);
    look a = look_at(run), b = look_at(rebuilt);
    assert_same_look(&a, &b, what);
    look_free(&a);
    look_free(&b);
    assert_same_errors(run, rebuilt, what);
    assert_int_equal(orr_run_get_state(run), orr_run_get_state(rebuilt));
    orr_core_free(core);
}
