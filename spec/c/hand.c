#include "hand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool answer(void *ud, orr_run *run, const orr_ask *ask, orr_answer *a) {
    const hand *h = ud;
    (void)run;
    a->truth = ask->kind != ORR_ASK_UNTIL || ask->task.iteration + 1 >= h->until;
    a->count = h->items;
    a->value = ask->kind == ORR_ASK_EACH ? 55 : 0;
    a->name = h->pool;
    a->error = (orr_error){"asked_in_vain", "there is no answer", false, -1, 0};
    return !h->refuses;
}

static void on_event(void *ud, const orr_event *e) {
    hand *h = ud;
    h->events[e->kind]++;
    h->last = *e;
    snprintf(h->code, sizeof h->code, "%s", e->error ? e->error->code : "");
}

void hand_take(hand *h) {
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL},
                                .hooks = {h, answer, NULL, on_event, NULL},
                                .now = 1};
    h->core = orr_core_new(&options);
    h->now = 1;
    assert_non_null(h->core);
    orr_core_listen(h->core, UINT32_MAX);
}

orr_run *hand_run(hand *h, orr_plan *plan, uint32_t concurrency) {
    assert_true(h->n_runs < HAND_MOST_RUNS);
    orr_run *run = orr_run_new(h->core, plan, &(orr_run_options){.seed = 1, .concurrency = concurrency});
    assert_non_null(run);
    h->plans[h->n_runs] = plan;
    h->runs[h->n_runs++] = run;
    orr_run_begin(run);
    return run;
}

orr_run *hand_run_one(hand *h, orr_policy policy) {
    return hand_run(h, shape(NULL, 1, &policy, 0, NULL), 0);
}

void hand_drop(hand *h) {
    char text[256];
    if (!orr_core_check(h->core, text, sizeof text)) fail_msg("%s", text);
    orr_core_free(h->core);
    for (uint32_t i = 0; i < h->n_runs; i++) orr_plan_unref(h->plans[i]);
}

void hand_pass_to(hand *h, int64_t at) {
    h->now = at + 1;
    orr_core_advance(h->core, h->now);
}

void hand_assert_idle(const hand *h) {
    orr_action a;
    if (orr_core_next(h->core, &a)) fail_msg("action %d of node %u is not expected", a.kind, a.task.node);
}

void hand_idle_until(hand *h, int64_t at) {
    hand_assert_idle(h);
    hand_pass_to(h, at - 1);
    hand_assert_idle(h);
    hand_pass_to(h, at);
}

orr_action hand_expect(const hand *h, orr_action_kind kind, const orr_run *run, uint32_t node) {
    orr_action a;
    if (!orr_core_next(h->core, &a)) fail_msg("there is nothing to do where action %d is expected", kind);
    assert_int_equal(a.kind, kind);
    assert_ptr_equal(a.run, run);
    assert_int_equal(a.task.node, node);
    return a;
}

orr_status hand_end_with(const orr_action *a, orr_end end, const char *code) {
    orr_result result = {.end = end,
                         .port = ORR_PORT_ANY,
                         .error = {.code = code, .message = code, .retry_after = -1, .value = 77}};
    return orr_task_end(a->run, &a->task, &result);
}

void hand_works(const orr_action *a) {
    assert_int_equal(hand_end_with(a, ORR_END_COMPLETED, NULL), ORR_OK);
}

void hand_fails(const orr_action *a) {
    assert_int_equal(hand_end_with(a, ORR_END_FAILED, "x"), ORR_OK);
}

void hand_ends_as(const hand *h, orr_run *run, orr_run_state state) {
    hand_expect(h, ORR_ACT_RUN_END, run, ORR_NONE);
    assert_int_equal(orr_run_get_state(run), state);
}
