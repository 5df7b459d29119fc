/* test_core_why.c - the explanation of every state a node can be in, field by field. */
#include "shape.h"
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    sim *s;
    orr_run *run;
    sim_deed deeds[4];
    bool truth;
    uint32_t items;
    orr_run_state want; /* how the run ends */
} world;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const world *w = ud;
    (void)run;
    (void)phase;
    return w->deeds[task->node];
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const world *w = ud;
    (void)run;
    (void)ask;
    answer->truth = w->truth;
    answer->count = w->items;
    return true;
}

static void begin(world *w) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {.ud = w, .deed = deed, .evaluate = evaluate};
    for (int i = 0; i < 4; i++)
        if (w->deeds[i].takes == 0) w->deeds[i] = (sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED};
    w->s = sim_new(&alloc, &script);
}

static void until(world *w, orr_plan *plan, int64_t at) {
    if (w->s == NULL) begin(w);
    w->want = w->want == ORR_RUN_PENDING ? ORR_RUN_COMPLETED : w->want;
    w->run = sim_start(w->s, plan, 1);
    orr_plan_unref(plan);
    sim_pass(w->s, at + 1);
}

static orr_why why_of(const world *w, uint32_t node, uint32_t item, orr_why_kind kind, orr_node_state state) {
    orr_why why;
    orr_run_why(w->run, node, item, &why);
    assert_int_equal(why.kind, kind);
    assert_int_equal(why.state, state);
    return why;
}

static void end(world *w) {
    sim_run(w->s, INT64_MAX - 1);
    assert_int_equal(orr_run_get_state(w->run), w->want);
    sim_free(w->s);
}

static void running_and_dependency(void **state) {
    world w = {0};
    (void)state;
    until(&w, shape(NULL, 3, NULL, 2, (shape_edge[]){{0, 2}, {1, 2}}), MS);
    orr_why why = why_of(&w, 0, ORR_NONE, ORR_WHY_RUNNING, ORR_NODE_RUNNING);
    assert_int_equal(why.count, 1);
    why = why_of(&w, 2, ORR_NONE, ORR_WHY_DEPENDENCY, ORR_NODE_PENDING);
    assert_int_equal(why.by, 0);
    assert_int_equal(why.count, 2);
    sim_run(w.s, INT64_MAX - 1);
    why = why_of(&w, 2, ORR_NONE, ORR_WHY_SETTLED, ORR_NODE_COMPLETED);
    assert_int_equal(why.skip, ORR_SKIP_NONE);
    end(&w);
}

static void run_limit_and_priority(void **state) {
    world w = {.want = ORR_RUN_COMPLETED};
    orr_policy p[] = {PLAIN,
                      {.priority = ORR_PRIO_LOW},
                      {.priority = ORR_PRIO_HIGH},
                      {.priority = ORR_PRIO_LOW}};
    orr_plan_options options = {.concurrency = 1};
    (void)state;
    begin(&w);
    orr_plan *plan = shape(&options, 4, p, 0, NULL);
    w.run = sim_start(w.s, plan, 1); /* nobody has had a turn yet */
    assert_int_equal(why_of(&w, 2, ORR_NONE, ORR_WHY_PRIORITY, ORR_NODE_READY).count, 0);
    assert_int_equal(why_of(&w, 0, ORR_NONE, ORR_WHY_PRIORITY, ORR_NODE_READY).count, 1);
    assert_int_equal(why_of(&w, 3, ORR_NONE, ORR_WHY_PRIORITY, ORR_NODE_READY).count, 3);
    orr_plan_unref(plan);
    sim_pass(w.s, MS);
    orr_why why = why_of(&w, 0, ORR_NONE, ORR_WHY_RUN_LIMIT, ORR_NODE_READY);
    assert_int_equal(why.count, 1);
    assert_int_equal(why.limit, 1);
    orr_run_pause(w.run);
    why_of(&w, 0, ORR_NONE, ORR_WHY_PAUSED, ORR_NODE_READY);
    orr_run_resume(w.run);
    end(&w);
}

static void pool_and_rate(void **state) {
    world w = {0};
    orr_policy p[] = {
        {.priority = ORR_PRIO_NORMAL, .pool = "db"},
        {.priority = ORR_PRIO_NORMAL, .pool = "db"},
        {.priority = ORR_PRIO_NORMAL, .pool = "api"},
        {.priority = ORR_PRIO_NORMAL, .pool = "api"},
    };
    (void)state;
    begin(&w);
    assert_int_equal(orr_core_pool(sim_core(w.s), "db", 1, 0, 0), ORR_OK);
    assert_int_equal(orr_core_pool(sim_core(w.s), "api", 9, 1, 3 * SECOND), ORR_OK);
    until(&w, shape(NULL, 4, p, 0, NULL), MS);
    orr_why why = why_of(&w, 1, ORR_NONE, ORR_WHY_POOL, ORR_NODE_READY);
    assert_string_equal(why.name, "db");
    assert_int_equal(why.count, 1);
    assert_int_equal(why.limit, 1);
    assert_int_equal(why.by, 0);
    assert_ptr_equal(why.by_run, w.run);
    why = why_of(&w, 3, ORR_NONE, ORR_WHY_RATE, ORR_NODE_READY);
    assert_string_equal(why.name, "api");
    assert_int_equal(why.due, 3 * SECOND + 1);
    end(&w);
}

static void breaker_and_backoff(void **state) {
    world w = {
        .want = ORR_RUN_FAILED,
        .deeds = {{.takes = SECOND, .end = ORR_END_FAILED}, {0}, {.takes = SECOND, .end = ORR_END_FAILED}}};
    orr_policy p[] = {
        {.priority = ORR_PRIO_NORMAL, .breaker = "b"},
        {.priority = ORR_PRIO_NORMAL, .breaker = "b", .join = ORR_JOIN_FAILED, .retry = {.max = 1}},
        {.priority = ORR_PRIO_NORMAL, .retry = {.max = 1, .delay = 5 * SECOND}},
    };
    orr_plan_options options = {.on_error = ORR_ON_ERROR_CONTINUE};
    orr_breaker_options b = {1, SECOND, 10 * SECOND, 1};
    (void)state;
    begin(&w);
    assert_int_equal(orr_core_breaker(sim_core(w.s), "b", &b), ORR_OK);
    until(&w, shape(&options, 3, p, 1, (shape_edge[]){{0, 1}}), 2 * SECOND);
    orr_why why = why_of(&w, 1, ORR_NONE, ORR_WHY_BREAKER, ORR_NODE_WAITING);
    assert_string_equal(why.name, "b");
    assert_int_equal(why.due, 11 * SECOND + 1);
    assert_int_equal(why_of(&w, 2, ORR_NONE, ORR_WHY_BACKOFF, ORR_NODE_RETRYING).due, 6 * SECOND + 1);
    end(&w);
}

static void timer_and_signal(void **state) {
    world w = {.want = ORR_RUN_CANCELLED,
               .deeds = {{.takes = 2, .end = ORR_END_COMPLETED, .sleeps = 7 * SECOND}}};
    const orr_task task = {1, ORR_NONE, 0, 1};
    (void)state;
    until(&w, shape(NULL, 2, NULL, 0, NULL), MS);
    assert_int_equal(why_of(&w, 0, ORR_NONE, ORR_WHY_TIMER, ORR_NODE_WAITING).due, 7 * SECOND + 2);
    assert_int_equal(orr_task_wait(w.run, &task, -1), ORR_OK);
    assert_int_equal(orr_task_wait(w.run, &task, -1), ORR_ESTATE);
    assert_int_equal(why_of(&w, 1, ORR_NONE, ORR_WHY_SIGNAL, ORR_NODE_WAITING).due, -1);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_WAITING);
    assert_int_equal(orr_task_wake(w.run, &task), ORR_OK);
    assert_int_equal(orr_task_wake(w.run, &task), ORR_ESTATE);
    orr_run_cancel(w.run);
    end(&w);
}

static void items(void **state) {
    world w = {.items = 3};
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .has_each = true}};
    orr_plan_options options = {.concurrency = 1};
    (void)state;
    until(&w, shape(&options, 1, p, 0, NULL), SECOND + MS);
    orr_why why = why_of(&w, 0, ORR_NONE, ORR_WHY_ITEMS, ORR_NODE_RUNNING);
    assert_int_equal(why.count, 1);
    assert_int_equal(why.limit, 3);
    why_of(&w, 0, 0, ORR_WHY_SETTLED, ORR_NODE_COMPLETED);
    why_of(&w, 0, 1, ORR_WHY_RUNNING, ORR_NODE_RUNNING);
    why_of(&w, 0, 2, ORR_WHY_RUN_LIMIT, ORR_NODE_READY);
    end(&w);
}

static void skipped(void **state) {
    world w = {.want = ORR_RUN_FAILED, .deeds = {{.takes = SECOND, .end = ORR_END_FAILED}}};
    orr_policy p[] = {PLAIN, PLAIN, {.priority = ORR_PRIO_NORMAL, .has_when = true}};
    (void)state;
    until(&w, shape(NULL, 3, p, 1, (shape_edge[]){{0, 1}}), 2 * SECOND);
    orr_why why = why_of(&w, 1, ORR_NONE, ORR_WHY_SETTLED, ORR_NODE_SKIPPED);
    assert_int_equal(why.skip, ORR_SKIP_UPSTREAM_FAILED);
    assert_int_equal(why.by, 0);
    assert_int_equal(why.cause, ORR_STOP_FAILURE);
    why = why_of(&w, 2, ORR_NONE, ORR_WHY_SETTLED, ORR_NODE_SKIPPED);
    assert_int_equal(why.skip, ORR_SKIP_WHEN);
    assert_int_equal(why.by, ORR_NONE);
    end(&w);
}

/* A cleanup node that is ready while others are still being stopped. */
static void stopped(void **state) {
    world w = {.want = ORR_RUN_CANCELLED,
               .deeds = {{.takes = 100 * SECOND, .end = ORR_END_COMPLETED, .deaf = true}}};
    orr_policy p[] = {PLAIN, PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}};
    (void)state;
    until(&w, shape(NULL, 3, p, 1, (shape_edge[]){{1, 2}}), MS);
    orr_run_cancel(w.run);
    sim_pass(w.s, 2 * SECOND);
    assert_int_equal(why_of(&w, 2, ORR_NONE, ORR_WHY_STOPPED, ORR_NODE_READY).cause, ORR_STOP_CANCEL);
    end(&w);
}

/* Bounds of centuries are none, and do not come round to the past. */
static void far_future(void **state) {
    world w = {0};
    orr_policy p[] = {
        {.priority = ORR_PRIO_NORMAL,
         .timeout = INT64_MAX,
         .deadline = INT64_MAX,
         .heartbeat = INT64_MAX,
         .retry = {.max = 1, .delay = INT64_MAX, .max_delay = INT64_MAX, .factor = 9}},
    };
    orr_plan_options options = {.timeout = INT64_MAX, .cleanup_timeout = INT64_MAX};
    (void)state;
    until(&w, shape(&options, 1, p, 0, NULL), MS);
    orr_task_heartbeat(w.run, &(orr_task){0, ORR_NONE, 0, 1});
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(running_and_dependency),
                                       cmocka_unit_test(run_limit_and_priority),
                                       cmocka_unit_test(pool_and_rate),
                                       cmocka_unit_test(breaker_and_backoff),
                                       cmocka_unit_test(timer_and_signal),
                                       cmocka_unit_test(items),
                                       cmocka_unit_test(skipped),
                                       cmocka_unit_test(stopped),
                                       cmocka_unit_test(far_future)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
