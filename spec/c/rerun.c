/* rerun.c - see rerun.h */
#include "rerun.h"

#include "checked_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const sim_deed works = {.takes = SECOND, .end = ORR_END_COMPLETED};
static const sim_deed fails = {.takes = SECOND, .end = ORR_END_FAILED};

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const rerun *r = ud;
    uint32_t given = r->given[task->node], i = task->attempt - 1;
    if (r->run != NULL && run != r->run) return works;
    if (phase == ORR_PHASE_FALLBACK || given == 0) {
        bool bad = r->bad_item > 0 && task->item + 1 == r->bad_item && task->attempt < r->good_from;
        return bad ? fails : works;
    }
    return r->deeds[task->node][i < given ? i : given - 1];
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    rerun *r = ud;
    (void)run;
    r->asked[ask->kind]++;
    answer->truth = ask->kind != ORR_ASK_UNTIL || ask->task.iteration + 1 >= r->until;
    if (ask->kind == ORR_ASK_EDGE_WHEN) answer->truth = r->edges;
    answer->count = r->items;
    return true;
}

static void on_event(void *ud, const orr_event *event) {
    rerun *r = ud;
    r->events[event->kind]++;
    if (event->run != NULL) assert_true(event->seq == orr_run_seq(event->run));
}

static void on_record(void *ud, orr_run *run, const orr_record *rec) {
    rerun *r = ud;
    if (r->run != NULL && run != r->run) return;
    assert_int_equal(rec->seq, r->d.n + 1);
    diary_add(&r->d, run, rec);
}

static void open_process(rerun *r, int64_t at) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {r, deed, evaluate, on_event, on_record, NULL};
    memset(r->events, 0, sizeof r->events);
    memset(r->asked, 0, sizeof r->asked);
    r->s = sim_new_at(&alloc, &script, at + 1, r->crash_limit);
    assert_non_null(r->s);
    if (r->pool != NULL) assert_int_equal(orr_core_pool(sim_core(r->s), r->pool, 1, 0, 0), ORR_OK);
}

void rerun_give(rerun *r, uint32_t node, sim_deed d) {
    r->deeds[node][r->given[node]++] = d;
}

void rerun_begin(rerun *r, orr_plan *plan) {
    orr_run_options options = {.seed = 42, .waits = r->waits};
    r->d.looks = true;
    r->plan = plan;
    open_process(r, 0);
    r->run = orr_run_new(sim_core(r->s), plan, &options);
    assert_non_null(r->run);
    orr_run_begin(r->run);
    checked_core(sim_core(r->s));
}

void rerun_until(rerun *r, int64_t at) {
    sim_pass(r->s, at + 1);
}

void rerun_to_end(rerun *r) {
    sim_run(r->s, 1000000 * SECOND);
}

void rerun_crash(rerun *r) {
    sim_free(r->s);
    r->s = NULL;
    r->run = NULL;
}

void rerun_read(rerun *r, int64_t at) {
    orr_run_options options = {.seed = 42};
    if (r->s != NULL) rerun_crash(r);
    open_process(r, at);
    r->run = orr_run_rebuild(sim_core(r->s), r->plan, &options);
    assert_non_null(r->run);
    diary_fold(&r->d, r->d.n, r->run, "what was read");
    assert_int_equal(orr_run_seq(r->run), r->d.n);
}

void rerun_recover(rerun *r, int64_t at, bool force) {
    rerun_read(r, at);
    assert_int_equal(orr_run_recover(r->run, force), ORR_OK);
    checked_core(sim_core(r->s));
    assert_int_equal(r->events[ORR_EV_RUN_RECOVERED], 1);
}

void rerun_assert_ended(rerun *r, orr_run_state state) {
    rerun_to_end(r);
    assert_string_equal(orr_run_state_name(orr_run_get_state(r->run)), orr_run_state_name(state));
    assert_int_equal(sim_busy(r->s), 0);
    assert_true(orr_core_deadline(sim_core(r->s)) == INT64_MAX);
    diary_assert_same(&r->d, r->run, "at the end");
}

void rerun_end(rerun *r) {
    sim_free(r->s);
    diary_free(&r->d);
    orr_plan_unref(r->plan);
}

void rerun_assert_at(const rerun *r, char what, uint32_t node, uint32_t item, uint32_t nth, int64_t at) {
    const sim_line *l = sim_find(r->s, what, node, item, nth);
    if (l == NULL) fail_msg("no %c of node %u, number %u", what, node, nth);
    else if (l->time != at + 1)
        fail_msg("%c of node %u, number %u: at %.9f s, expected %.9f s", what, node, nth,
                 (double)(l->time - 1) / 1e9, (double)at / 1e9);
}

void rerun_assert_none(const rerun *r, char what, uint32_t node, uint32_t item, uint32_t nth) {
    const sim_line *l = sim_find(r->s, what, node, item, nth);
    if (l != NULL)
        fail_msg("unexpected %c of node %u, number %u at %.9f s", what, node, nth,
                 (double)(l->time - 1) / 1e9);
}

void rerun_assert_state(const rerun *r, uint32_t node, orr_node_state state) {
    assert_string_equal(orr_node_state_name(orr_run_node_state(r->run, node, ORR_NONE)),
                        orr_node_state_name(state));
}

void rerun_assert_code(const rerun *r, uint32_t node, const char *code) {
    orr_error e;
    assert_true(orr_run_error(r->run, node, ORR_NONE, &e));
    assert_string_equal(e.code, code);
}

uint32_t rerun_count(const rerun *r, orr_record_kind kind, uint32_t node) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->d.n; i++)
        n += r->d.entries[i].rec.kind == kind && (node == ORR_NONE || r->d.entries[i].rec.task.node == node);
    return n;
}
