/* test_core_large.c - graphs of a million nodes, in seconds and on a small stack.
 *
 * What follows from a change must be worked off in a list, never by calls within calls, and nothing
 * may look through all of a line, a list or a fan for each of its members.
 */
#include "checked_core.h"
#include "shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { MILLION = 1000000, WIDE = 200000 };

typedef enum { CHAIN, FAN, FAN_BACKWARDS, FAN_IN, LONE } shape_kind;

typedef struct world {
    bool truth, broken; /* of conditions; whether they cannot be evaluated */
    uint32_t items;
    uint32_t fails_from, fails_to; /* nodes that fail */
    uint32_t cancel_after;         /* starts */
    uint32_t started;
} world;

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const world *w = ud;
    (void)run;
    answer->count = w->items;
    answer->name = "tenant:a";
    answer->truth = w->truth;
    if (w->broken && ask->kind == ORR_ASK_EDGE_WHEN) {
        answer->error = (orr_error){"config_error", "it cannot be evaluated", true, -1, 0};
        return false;
    }
    return true;
}

static void edge(orr_plan_builder *b, uint32_t from, uint32_t to, bool when) {
    assert_int_equal(orr_plan_edge(b, from, to, ORR_PORT_ANY, when), ORR_OK);
}

/* `p` is the policy of all nodes but of the hub of a fan. */
static orr_plan *build(shape_kind kind, uint32_t n, const orr_policy *p, orr_on_error on_error,
                       uint32_t concurrency, bool when) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    orr_plan_options options = {.on_error = (uint8_t)on_error, .concurrency = concurrency};
    orr_plan_builder *b = orr_plan_begin(&alloc, &options);
    orr_plan *plan = NULL;
    uint16_t policy = 0;
    if (p != NULL) assert_int_equal(orr_plan_policy(b, p, &policy), ORR_OK);
    for (uint32_t i = 0; i < n; i++) {
        bool hub = (kind == FAN_IN && i + 1 < n) || ((kind == FAN || kind == FAN_BACKWARDS) && i == 0);
        assert_int_equal(orr_plan_node(b, NULL, 0, hub ? 0 : policy, NULL), ORR_OK);
    }
    for (uint32_t i = 1; i < n && kind != LONE; i++) switch (kind) {
        case CHAIN: edge(b, i - 1, i, when); break;
        case FAN: edge(b, 0, i, when); break;
        case FAN_BACKWARDS: edge(b, 0, n - i, when); break;
        default: edge(b, i - 1, n - 1, when); break;
        }
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    return plan;
}

static void start(world *w, orr_action *a, orr_task *live, uint32_t *n_live) {
    orr_result r = {.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
    if (a->task.node >= w->fails_from && a->task.node < w->fails_to) {
        r.end = ORR_END_FAILED;
        r.error = (orr_error){"handler_error", "it failed", false, -1, 0};
    }
    w->started++;
    if (w->started == w->cancel_after) { /* it is still under way */
        live[(*n_live)++] = a->task;
        orr_run_cancel(a->run);
        return;
    }
    orr_task_end(a->run, &a->task, &r);
}

static orr_run_stats play(world *w, orr_plan *plan, orr_run_state want) {
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL},
                                .hooks = {w, evaluate, NULL, NULL, NULL},
                                .now = 1};
    orr_core *core = orr_core_new(&options);
    orr_run_options run_options = {.seed = 1};
    orr_run_stats st;
    orr_task live[1];
    uint32_t n_live = 0;
    orr_action a;
    assert_int_equal(orr_core_pool(core, "tenant", 1, 0, 0), ORR_OK);
    assert_int_equal(orr_core_breaker(core, "shy", &(orr_breaker_options){1, SECOND, SECOND, 1}), ORR_OK);
    orr_run *run = orr_run_new(core, plan, &run_options);
    orr_run_begin(run);
    for (;;) {
        checked_core(core);
        if (orr_core_next(core, &a)) {
            if (a.kind == ORR_ACT_START) start(w, &a, live, &n_live);
            else if (a.kind == ORR_ACT_CANCEL)
                orr_task_end(run, &a.task, &(orr_result){.end = ORR_END_CANCELLED, .port = ORR_PORT_ANY});
        } else if (orr_core_deadline(core) != INT64_MAX) {
            orr_core_advance(core, orr_core_deadline(core));
        } else {
            break;
        }
    }
    assert_int_equal(orr_run_get_state(run), want);
    orr_run_get_stats(run, &st);
    orr_core_free(core);
    orr_plan_unref(plan);
    return st;
}

static void chain(void **state) {
    world w = {0};
    (void)state;
    orr_run_stats st = play(&w, build(CHAIN, MILLION, NULL, ORR_ON_ERROR_STOP, 0, false), ORR_RUN_COMPLETED);
    assert_int_equal(st.by_state[ORR_NODE_COMPLETED], MILLION);
    assert_int_equal(st.attempts, MILLION);
}

static void fan(void **state) {
    world w = {0};
    (void)state;
    orr_run_stats st = play(&w, build(FAN, MILLION, NULL, ORR_ON_ERROR_STOP, 0, false), ORR_RUN_COMPLETED);
    assert_int_equal(st.by_state[ORR_NODE_COMPLETED], MILLION);
}

static void chain_cancelled_half_way(void **state) {
    world w = {.cancel_after = MILLION / 2};
    (void)state;
    orr_run_stats st = play(&w, build(CHAIN, MILLION, NULL, ORR_ON_ERROR_STOP, 0, false), ORR_RUN_CANCELLED);
    assert_int_equal(st.by_state[ORR_NODE_COMPLETED], MILLION / 2 - 1);
    assert_int_equal(st.by_state[ORR_NODE_CANCELLED] + st.by_state[ORR_NODE_SKIPPED], MILLION / 2 + 1);
}

static void fan_cancelled_half_way(void **state) {
    world w = {.cancel_after = MILLION / 2};
    (void)state;
    orr_run_stats st = play(&w, build(FAN, MILLION, NULL, ORR_ON_ERROR_STOP, 1, false), ORR_RUN_CANCELLED);
    assert_int_equal(st.by_state[ORR_NODE_CANCELLED], MILLION / 2 + 1);
}

/* The line stands in the opposite order of the nodes. */
static void backwards_fan_cancelled(void **state) {
    world w = {.cancel_after = 10};
    (void)state;
    orr_run_stats st = play(&w, build(FAN_BACKWARDS, MILLION, NULL, ORR_ON_ERROR_STOP, 1, false),
                            ORR_RUN_CANCELLED);
    assert_int_equal(st.by_state[ORR_NODE_CANCELLED], MILLION - 9);
}

static void backwards_fan_drained(void **state) {
    world w = {.fails_from = MILLION - 5, .fails_to = MILLION - 4};
    (void)state;
    orr_run_stats st = play(&w, build(FAN_BACKWARDS, MILLION, NULL, ORR_ON_ERROR_DRAIN, 1, false),
                            ORR_RUN_FAILED);
    assert_int_equal(st.by_state[ORR_NODE_COMPLETED] + st.by_state[ORR_NODE_CANCELLED], MILLION - 1);
}

static void skipped_chain(void **state) {
    world w = {.fails_from = 0, .fails_to = 1};
    (void)state;
    for (int on_error = 0; on_error <= ORR_ON_ERROR_CONTINUE; on_error++) {
        orr_run_stats st = play(&w, build(CHAIN, MILLION, NULL, (orr_on_error)on_error, 0, false),
                                ORR_RUN_FAILED);
        assert_int_equal(st.by_state[ORR_NODE_FAILED], 1);
        assert_int_equal(st.by_state[ORR_NODE_SKIPPED], MILLION - 1);
    }
}

static void chain_of_shut_edges(void **state) {
    world w = {.truth = false};
    (void)state;
    orr_run_stats st = play(&w, build(CHAIN, MILLION, NULL, ORR_ON_ERROR_STOP, 0, true), ORR_RUN_COMPLETED);
    assert_int_equal(st.by_state[ORR_NODE_SKIPPED], MILLION - 1);
}

static void chain_of_broken_edges(void **state) {
    world w = {.broken = true};
    (void)state;
    orr_run_stats st = play(&w, build(CHAIN, MILLION, NULL, ORR_ON_ERROR_CONTINUE, 0, true), ORR_RUN_FAILED);
    assert_int_equal(st.by_state[ORR_NODE_FAILED], MILLION - 1);
}

/* Each failure asks whether the one at the end can still be had. */
static void all_fail_into_any(void **state) {
    world w = {.fails_from = 0, .fails_to = WIDE - 1};
    orr_policy any = {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_ANY}, most = any;
    (void)state;
    most.join = ORR_JOIN_NEED;
    most.need = WIDE / 2;
    orr_run_stats st = play(&w, build(FAN_IN, WIDE, &any, ORR_ON_ERROR_CONTINUE, 0, false), ORR_RUN_FAILED);
    assert_int_equal(st.by_state[ORR_NODE_SKIPPED], 1);
    st = play(&w, build(FAN_IN, WIDE, &most, ORR_ON_ERROR_CONTINUE, 0, false), ORR_RUN_FAILED);
    assert_int_equal(st.by_state[ORR_NODE_SKIPPED], 1);
}

static void a_million_items(void **state) {
    world w = {.items = MILLION, .cancel_after = 10};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .has_each = true};
    (void)state;
    orr_run_stats st = play(&w, build(LONE, 1, &p, ORR_ON_ERROR_STOP, 1, false), ORR_RUN_CANCELLED);
    assert_int_equal(st.items, MILLION);
    assert_int_equal(st.by_state[ORR_NODE_CANCELLED], 1);
    w = (world){.items = MILLION};
    st = play(&w, build(LONE, 1, &p, ORR_ON_ERROR_STOP, 0, false), ORR_RUN_COMPLETED);
    assert_int_equal(st.attempts, MILLION);
}

static void keyed_pool_cancelled(void **state) {
    world w = {.cancel_after = 10};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true};
    (void)state;
    orr_run_stats st = play(&w, build(FAN_BACKWARDS, WIDE, &p, ORR_ON_ERROR_STOP, 0, false),
                            ORR_RUN_CANCELLED);
    assert_int_equal(st.by_state[ORR_NODE_CANCELLED], WIDE - 9);
}

/* All of them are held by one open breaker until their deadline. */
static void breaker_holds_many(void **state) {
    world w = {.fails_from = WIDE - 1, .fails_to = WIDE};
    orr_policy p = {.priority = ORR_PRIO_NORMAL,
                    .breaker = "shy",
                    .deadline = SECOND / 2,
                    .retry = {.max = 1, .delay = 1}};
    (void)state;
    orr_run_stats st = play(&w, build(FAN_BACKWARDS, WIDE, &p, ORR_ON_ERROR_CONTINUE, 0, false),
                            ORR_RUN_FAILED);
    assert_int_equal(st.by_state[ORR_NODE_FAILED], WIDE - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(chain),
                                       cmocka_unit_test(fan),
                                       cmocka_unit_test(chain_cancelled_half_way),
                                       cmocka_unit_test(fan_cancelled_half_way),
                                       cmocka_unit_test(backwards_fan_cancelled),
                                       cmocka_unit_test(backwards_fan_drained),
                                       cmocka_unit_test(skipped_chain),
                                       cmocka_unit_test(chain_of_shut_edges),
                                       cmocka_unit_test(chain_of_broken_edges),
                                       cmocka_unit_test(all_fail_into_any),
                                       cmocka_unit_test(a_million_items),
                                       cmocka_unit_test(keyed_pool_cancelled),
                                       cmocka_unit_test(breaker_holds_many)};
    struct rlimit stack = {INT64_C(256) << 10, INT64_C(256) << 10};
    if (setrlimit(RLIMIT_STACK, &stack) != 0) perror("setrlimit");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
