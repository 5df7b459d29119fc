/* saga.c - see saga.h */
#include "saga.h"

#include "checked_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sim_deed deed_of(char letter) {
    sim_deed d = {.takes = SECOND, .end = ORR_END_COMPLETED};
    switch (letter) {
    case 'C': d.takes = 3 * SECOND; break;
    case 'f': d.end = ORR_END_FAILED; break;
    case 'F': d.end = ORR_END_FAILED, d.takes = 5 * SECOND; break;
    case 'x': d.takes = 1000 * SECOND; break;
    case 'X': d.takes = 1000 * SECOND, d.deaf = true; break;
    case 'w': d.takes = 2 * SECOND, d.sleeps = 10 * SECOND; break;
    case 'k': d.source = ORR_SOURCE_CACHE; break;
    case 'q': d.end = ORR_END_CANCELLED; break;
    default: break;
    }
    return d;
}

typedef struct words {
    char run[16], after[16], undo[16];
} words;

static words words_of(const saga_step *s) {
    words w = {.after = "-", .undo = "c"};
    assert_true(sscanf(s->is, "%15s %15s %15s", w.run, w.after, w.undo) >= 1);
    return w;
}

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    saga_world *w = ud;
    bool undo = phase == ORR_PHASE_COMPENSATE;
    words is = words_of(&w->saga->nodes[task->node]);
    const char *script = undo ? is.undo : is.run;
    uint32_t item = task->item == ORR_NONE ? 0 : task->item, given = (uint32_t)strlen(script);
    (void)run;
    if (phase == ORR_PHASE_FALLBACK) return deed_of('f');
    uint32_t i = w->tried[task->node][item][undo]++;
    if (!undo && task->item != ORR_NONE) i = item; /* of an item: its own letter */
    return deed_of(script[i < given ? i : given - 1]);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const saga_world *w = ud;
    (void)run;
    answer->truth = ask->kind != ORR_ASK_UNTIL || ask->task.iteration >= 1;
    answer->count = w->saga->items;
    return true;
}

static void write_down(saga_world *w, const char *mark, const orr_record *r) {
    size_t len = strlen(w->history);
    char task[16] = "";
    if (r->task.node != ORR_NONE && r->task.item != ORR_NONE)
        snprintf(task, sizeof task, "%c%u", 'a' + (int)r->task.node, r->task.item + 1);
    else if (r->task.node != ORR_NONE) snprintf(task, sizeof task, "%c", 'a' + (int)r->task.node);
    snprintf(w->history + len, sizeof w->history - len, "%s%s", mark, task);
}

static void on_record(void *ud, orr_run *run, const orr_record *r) {
    saga_world *w = ud;
    bool undo = r->phase == ORR_PHASE_COMPENSATE;
    diary_add(&w->d, run, r);
    if (r->kind == ORR_REC_COMPENSATING) write_down(w, "(", r);
    if (w->history[0] == '\0' && r->kind != ORR_REC_CLEANUP) return;
    switch (r->kind) {
    case ORR_REC_ATTEMPT_STARTED: write_down(w, undo ? "<" : "*", r); break;
    case ORR_REC_ATTEMPT_FAILED: write_down(w, undo ? "~" : "?", r); break;
    case ORR_REC_COMPENSATED: write_down(w, "-", r); break;
    case ORR_REC_COMPENSATION_FAILED: write_down(w, "!", r); break;
    case ORR_REC_COMPLETED: write_down(w, "=", r); break;
    case ORR_REC_CLEANUP: write_down(w, r->reason != 0 ? "/" : "|", r); break;
    case ORR_REC_INTERRUPTED: write_down(w, "%", r); break;
    case ORR_REC_RUN_ENDED: write_down(w, ")", r); break;
    default: break;
    }
}

static void on_event(void *ud, const orr_event *event) {
    saga_world *w = ud;
    w->events[event->kind]++;
}

static void tick(void *ud, sim *s) {
    saga_world *w = ud;
    (void)s;
    if (w->at != NULL) w->at(w);
}

static orr_plan *plan_of(const saga *g) {
    orr_plan_options options = {.name = "saga",
                                .on_error = (uint8_t)g->on_error,
                                .timeout = g->timeout * SECOND,
                                .cleanup_timeout = g->cleanup_timeout * SECOND};
    orr_policy policies[SAGA_NODES];
    shape_edge edges[SAGA_NODES * SAGA_NODES];
    uint32_t n = 0, n_edges = 0;
    for (; n < SAGA_NODES && g->nodes[n].is != NULL; n++) {
        words is = words_of(&g->nodes[n]);
        policies[n] = g->nodes[n].policy;
        policies[n].priority = ORR_PRIO_NORMAL;
        policies[n].join = (uint8_t)(g->nodes[n].how & 63);
        policies[n].ignore_errors = (g->nodes[n].how & IGNORES) != 0;
        policies[n].has_compensate = (g->nodes[n].how & PLAIN_NODE) == 0;
        for (const char *from = is.after; *from >= 'a'; from++)
            edges[n_edges++] = (shape_edge){(uint32_t)(*from - 'a'), n};
    }
    return shape(&options, n, policies, n_edges, edges);
}

void saga_open(saga_world *w, const saga *g) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script =
        {.ud = w, .deed = deed, .evaluate = evaluate, .event = on_event, .record = on_record, .tick = tick};
    w->saga = g;
    w->sim = sim_new(&alloc, &script);
    w->plan = plan_of(g);
}

void saga_begin(saga_world *w, const saga *g) {
    saga_open(w, g);
    w->run = sim_start(w->sim, w->plan, 42);
    assert_non_null(w->run);
}

void saga_end(saga_world *w) {
    assert_int_equal(sim_busy(w->sim), 0);
    sim_free(w->sim);
    orr_plan_unref(w->plan);
    diary_free(&w->d);
}

static void check(saga_world *w) {
    const saga *g = w->saga;
    orr_run_state state = orr_run_get_state(w->run);
    if (strcmp(w->history, g->history) != 0 || state != g->end)
        fail_msg("%s: %s and %s, expected %s and %s", g->name, w->history, orr_run_state_name(state),
                 g->history, orr_run_state_name(g->end));
}

void saga_play(saga_world *w, const saga *g) {
    if (w->run == NULL) saga_begin(w, g);
    for (int i = 0; i < 2 && g->cancel_at[i] > 0; i++) {
        sim_pass(w->sim, g->cancel_at[i] * SECOND);
        orr_run_cancel(w->run);
        checked_core(sim_core(w->sim));
    }
    sim_run(w->sim, 100000 * SECOND);
    check(w);
}

void saga_play_all(const saga *sagas, size_t n) {
    for (size_t i = 0; i < n; i++) {
        saga_world w = {0};
        saga_play(&w, &sagas[i]);
        saga_end(&w);
    }
}

void saga_at(const saga_world *w, char what, uint32_t node, uint32_t item, uint32_t nth, int64_t at) {
    const sim_line *l = sim_find(w->sim, what, node, item, nth);
    if (l == NULL) fail_msg("no %c of node %u, number %u", what, node, nth);
    else if (l->time != at + 1) /* the virtual clock starts at 1 ns */
        fail_msg("%c of node %u, number %u: at %.9f s, expected %.9f s", what, node, nth,
                 (double)(l->time - 1) / 1e9, (double)at / 1e9);
}

void saga_again(saga_world *w, int64_t s, bool force) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {.ud = w, .deed = deed, .evaluate = evaluate, .record = on_record};
    orr_run_options options = {.seed = 42};
    int64_t now = sim_now(w->sim) + s * SECOND;
    sim_free(w->sim);
    w->sim = sim_new_at(&alloc, &script, now, 2);
    w->run = orr_run_rebuild(sim_core(w->sim), w->plan, &options);
    diary_fold(&w->d, w->d.n, w->run, "again");
    assert_int_equal(orr_run_recover(w->run, force), ORR_OK);
    checked_core(sim_core(w->sim));
}
