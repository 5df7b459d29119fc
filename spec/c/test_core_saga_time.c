/* test_core_saga_time.c - compensation in exact times: retries, bounds, waits and pauses, its
 * events, and the end of its process.
 */
#include "saga.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- retries, timeouts and waits in exact times ---------------------------------------------- */

static void retries(void **state) {
    static const saga s = {
        "tried again",
        {{.is = "fc - ffc",
          .policy = {.retry = {.max = 1},
                     .compensate_retry = {.max = 2, .strategy = ORR_BACKOFF_LINEAR, .delay = 2 * SECOND}}},
         {.is = "f a"}},
        .history = "(<a~a<a~a<a-a)",
        .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    (void)state;
    saga_play(&w, &s);
    /* 1 s + 1 s of a, 1 s of b; then 1 s each, with 2 s and 4 s between: retries count anew */
    const int64_t starts[] = {0, 1, 3, 6, 11};
    for (uint32_t i = 0; i < 5; i++) {
        saga_at(&w, 'S', 0, ORR_NONE, i, starts[i] * SECOND);
        /* numbers count on */
        assert_int_equal(sim_find(w.sim, 'S', 0, ORR_NONE, i)->task.attempt, i + 1);
        assert_int_equal(sim_find(w.sim, 'S', 0, ORR_NONE, i)->phase,
                         i < 2 ? ORR_PHASE_RUN : ORR_PHASE_COMPENSATE);
    }
    orr_error e;
    /* what its first attempt died of is no error of the node */
    assert_false(orr_run_error(w.run, 0, ORR_NONE, &e));
    assert_int_equal(w.events[ORR_EV_NODE_COMPENSATING], 3);
    assert_int_equal(w.events[ORR_EV_NODE_RETRYING], 3); /* one of the run */
    assert_int_equal(w.events[ORR_EV_NODE_COMPENSATED], 1);
    saga_end(&w);
}

static void retries_run_out(void **state) {
    static const saga s = {
        "tried too often",
        {{.is = "c - f", .policy = {.compensate_retry = {.max = 1, .delay = SECOND}}}, {.is = "f a"}},
        .history = "(<a~a<a!a)",
        .end = ORR_RUN_COMPENSATION_FAILED};
    static const char *const unless[] = {"handler_error"};
    saga filtered = s;
    saga_world w = {0}, v = {0};
    orr_error e;
    (void)state;
    saga_play(&w, &s);
    assert_true(orr_run_compensation_error(w.run, 0, ORR_NONE, &e));
    assert_string_equal(e.code, "handler_error");
    assert_false(orr_run_error(w.run, 0, ORR_NONE, &e)); /* it completed */
    assert_int_equal(orr_run_failure(w.run, &e), 1);     /* what the run failed of stays */
    assert_int_equal(w.events[ORR_EV_NODE_COMPENSATION_FAILED], 1);
    assert_int_equal(w.events[ORR_EV_RUN_COMPENSATION_FAILED], 1);
    assert_int_equal(w.events[ORR_EV_RUN_FAILED], 0);
    saga_end(&w);
    filtered.nodes[0].policy.compensate_retry.unless = unless;
    filtered.nodes[0].policy.compensate_retry.n_unless = 1;
    filtered.history = "(<a!a)";
    saga_play(&v, &filtered);
    saga_end(&v);
}

/* Each policy of a list counts for itself, whatever came between, and from the first attempt of the
 * compensation: those of the task itself are no concern of it. */
static void retries_by_error(void **state) {
    static const char *const timeout[] = {"timeout"}, *const error[] = {"handler_error"};
    static const orr_retry second = {.max = 2, .delay = SECOND, .on = error, .n_on = 1};
    static const orr_policy policy = {
        .retry = {.max = 9},
        .compensate_timeout = 2 * SECOND,
        .compensate_retry = {.max = 1, .delay = 3 * SECOND, .on = timeout, .n_on = 1},
        .compensate_retries = &second,
        .n_compensate_retries = 1};
    static const orr_policy twice = {.retry = {.max = 1, .on = timeout, .n_on = 1},
                                     .retries = &second,
                                     .n_retries = 1,
                                     .compensate_retry = {.max = 1, .on = timeout, .n_on = 1},
                                     .compensate_retries = &second,
                                     .n_compensate_retries = 1};
    const saga sagas[] = {
        {"the task had used up its own",
         {{.is = "ffc - ffc", .policy = twice}, {.is = "f a"}},
         .history = "(<a~a<a~a<a-a)",
         .end = ORR_RUN_COMPENSATED},
        {"by its own policy",
         {{.is = "ffc - fxfc", .policy = policy}, {.is = "f a"}},
         .history = "(<a~a<a~a<a~a<a-a)",
         .end = ORR_RUN_COMPENSATED},
        {"one is used up",
         {{.is = "c - xfx", .policy = policy}, {.is = "f a"}},
         .history = "(<a~a<a~a<a!a)",
         .end = ORR_RUN_COMPENSATION_FAILED},
        {"none takes it",
         {{.is = "c - qc", .policy = policy}, {.is = "f a"}},
         .history = "(<a!a)",
         .end = ORR_RUN_COMPENSATION_FAILED},
    };
    (void)state;
    SAGA_PLAY(sagas);
    saga_world w = {0};
    saga_play(&w, &sagas[2]);
    orr_record first = {0}, next = {0};
    for (uint32_t i = 0; i < w.d.n; i++) {
        orr_record r = diary_record(&w.d, i);
        if (r.kind != ORR_REC_ATTEMPT_FAILED || r.phase != ORR_PHASE_COMPENSATE) continue;
        if (first.seq == 0) first = r;
        else next = r;
    }
    assert_int_equal(first.count, 1);
    assert_true(first.due == first.time + 3 * SECOND);
    assert_int_equal(next.count, 2);
    assert_true(next.due == next.time + SECOND);
    saga_end(&w);
}

static void bounded(void **state) {
    static const saga sagas[] = {
        {"its timeout",
         {{.is = "c - xc", .policy = {.compensate_timeout = 2 * SECOND, .compensate_retry = {.max = 1}}},
          {.is = "f a"}},
         .history = "(<a~a<a-a)",
         .end = ORR_RUN_COMPENSATED},
        {"its timeout, without a retry",
         {{.is = "c - x", .policy = {.compensate_timeout = 2 * SECOND}}, {.is = "f a"}},
         .history = "(<a!a)",
         .end = ORR_RUN_COMPENSATION_FAILED},
        {"deaf",
         {{.is = "c - X", .policy = {.compensate_timeout = 2 * SECOND}}, {.is = "f a"}},
         .history = "(<a!a)",
         .end = ORR_RUN_COMPENSATION_FAILED},
        {"no sign of life",
         {{.is = "c - x", .policy = {.heartbeat = 3 * SECOND}}, {.is = "f a"}},
         .history = "(<a!a)",
         .end = ORR_RUN_COMPENSATION_FAILED},
        {"the node's own bounds do not hold",
         {{.is = "c - C", .policy = {.timeout = 2 * SECOND, .deadline = 2 * SECOND}}, {.is = "f a"}},
         .history = "(<a-a)",
         .end = ORR_RUN_COMPENSATED},
        {"a wait is not counted",
         {{.is = "c - w", .policy = {.compensate_timeout = 3 * SECOND}}, {.is = "f a"}},
         .history = "(<a-a)",
         .end = ORR_RUN_COMPENSATED},
        {"ends cancelled of itself",
         {{.is = "c - qc", .policy = {.compensate_retry = {.max = 1}}}, {.is = "f a"}},
         .history = "(<a~a<a-a)",
         .end = ORR_RUN_COMPENSATED},
    };
    static const struct {
        const char *code;
        int64_t at;
        char what;
    } ends[] = {
        {NULL, 4, 'C'}, {"timeout", 4, 'C'}, {"timeout", 9, 'A'}, {"heartbeat", 5, 'C'},
        {NULL, 5, 'E'}, {NULL, 14, 'E'},     {NULL, 4, 'E'},
    };
    (void)state;
    for (size_t i = 0; i < sizeof sagas / sizeof *sagas; i++) {
        saga_world w = {0};
        orr_error e;
        saga_play(&w, &sagas[i]);
        saga_at(&w, ends[i].what, 0, ORR_NONE, ends[i].what == 'E' ? i == 6 ? 2 : 1 : 0, ends[i].at * SECOND);
        assert_int_equal(orr_run_compensation_error(w.run, 0, ORR_NONE, &e), ends[i].code != NULL);
        if (ends[i].code != NULL) assert_string_equal(e.code, ends[i].code);
        saga_end(&w);
    }
}

/* It draws on no limit of its node: a cleanup node that does not end has the only place of the
 * pool and of the run. */
static void no_limits(void **state) {
    static const saga s = {"limits",
                           {{.is = "c", .policy = {.pool = "narrow", .breaker = "b"}},
                            {.is = "f a", .how = PLAIN_NODE},
                            {.is = "X a", .how = ORR_JOIN_DONE | PLAIN_NODE, .policy = {.pool = "narrow"}}},
                           .history = "(<a-a|/)",
                           .cancel_at = {20, 21},
                           .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    orr_run_options options = {.seed = 1, .concurrency = 1};
    (void)state;
    saga_open(&w, &s);
    assert_int_equal(orr_core_pool(sim_core(w.sim), "narrow", 1, 0, 0), ORR_OK);
    w.run = orr_run_new(sim_core(w.sim), w.plan, &options);
    orr_run_begin(w.run);
    saga_play(&w, &s);
    saga_at(&w, 'S', 0, ORR_NONE, 1, 20 * SECOND - 1);
    saga_end(&w);
}

/* Cleanup nodes that are being cancelled, and one that can never start, hold it up no more than
 * those that wait. */
static void beside_cleanup(void **state) {
    enum { DONE = ORR_JOIN_DONE | PLAIN_NODE };
    static const saga s = {"beside one that is deaf",
                           {{.is = "c"}, {.is = "c a C"}, {.is = "X a", .how = DONE}, {.is = "f b"}},
                           .cancel_at = {4, 5},
                           .history = "(<b/-b<a-a)",
                           .end = ORR_RUN_COMPENSATED};
    static const saga shut = {
        "beside one in a closed pool",
        {{.is = "c - fc", .policy = {.compensate_retry = {.max = 1, .delay = 9 * SECOND}}},
         {.is = "f a"},
         {.is = "c b", .how = DONE, .policy = {.pool = "shut"}}},
        .history = "(<a~a<a-a|/)",
        .end = ORR_RUN_COMPENSATED};
    saga_world w = {0}, v = {0};
    orr_run_options options = {.seed = 1};
    (void)state;
    saga_begin(&w, &s);
    saga_play(&w, &s);
    saga_at(&w, 'S', 0, ORR_NONE, 1, 6 * SECOND);
    saga_at(&w, 'A', 2, ORR_NONE, 0, 10 * SECOND - 1);
    saga_end(&w);
    saga_open(&v, &shut);
    assert_int_equal(orr_core_pool(sim_core(v.sim), "shut", 0, 0, 0), ORR_OK);
    v.run = orr_run_new(sim_core(v.sim), v.plan, &options);
    orr_run_begin(v.run);
    sim_pass(v.sim, 5 * SECOND);
    assert_int_equal(orr_core_pool(sim_core(v.sim), "shut", 0, 0, 0), ORR_OK); /* looked at again */
    sim_pass(v.sim, 6 * SECOND);
    assert_int_equal(v.events[ORR_EV_RUN_STALLED], 0); /* something is due */
    saga_play(&v, &shut);
    saga_end(&v);
}

/* ---- pause ----------------------------------------------------------------------------------- */

static void paused(void **state) {
    static const saga s = {"paused",
                           {{.is = "c"}, {.is = "c a C"}, {.is = "f b"}},
                           .history = "(<b-b<a-a)",
                           .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    (void)state;
    saga_begin(&w, &s);
    sim_pass(w.sim, 4 * SECOND);
    orr_run_pause(w.run);
    sim_pass(w.sim, 20 * SECOND);
    assert_string_equal(w.history, "(<b-b"); /* what runs goes on, the next one waits */
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_COMPENSATING);
    orr_why why;
    orr_run_why(w.run, 0, ORR_NONE, &why);
    assert_int_equal(why.kind, ORR_WHY_COMPENSATION);
    orr_run_resume(w.run);
    saga_play(&w, &s);
    saga_at(&w, 'S', 0, ORR_NONE, 1, 20 * SECOND - 1);
    saga_end(&w);
}

static void paused_wait(void **state) {
    static const saga s = {"paused while it waits",
                           {{.is = "c - w"}, {.is = "f a"}},
                           .history = "(<a-a)",
                           .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    (void)state;
    saga_begin(&w, &s);
    sim_pass(w.sim, 4 * SECOND);
    orr_run_pause(w.run);
    sim_pass(w.sim, 30 * SECOND); /* it was due at 13 s, and has 9 s left */
    orr_run_resume(w.run);
    saga_play(&w, &s);
    saga_at(&w, 'R', 0, ORR_NONE, 0, 39 * SECOND);
    saga_end(&w);
}

static bool next_is(orr_core *core, orr_action_kind kind, uint32_t node, uint8_t phase) {
    orr_action a = {.kind = ORR_ACT_NONE};
    bool any = orr_core_next(core, &a);
    if (kind == ORR_ACT_NONE) return !any;
    return a.kind == kind && a.task.node == node && (kind != ORR_ACT_START || a.phase == phase);
}

/* Its turn has come, but not yet been taken: then the run is paused, or dropped, or left. */
static void before_its_turn(void **state) {
    static const saga s = {"by hand",
                           {{.is = "c"}, {.is = "f a"}},
                           .history = "",
                           .end = ORR_RUN_COMPENSATED};
    const orr_task a = {0, ORR_NONE, 0, 1}, b = {1, ORR_NONE, 0, 1}, undo = {0, ORR_NONE, 0, 2};
    const orr_result done = {.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
    const orr_result failed = {.end = ORR_END_FAILED,
                               .port = ORR_PORT_ANY,
                               .error = {"code", "message", false, -1, 0}};
    (void)state;
    for (int how = 0; how < 3; how++) {
        saga_world w = {0};
        saga_begin(&w, &s);
        orr_core *core = sim_core(w.sim);
        assert_true(next_is(core, ORR_ACT_START, 0, ORR_PHASE_RUN));
        assert_int_equal(orr_task_end(w.run, &a, &done), ORR_OK);
        assert_true(next_is(core, ORR_ACT_START, 1, ORR_PHASE_RUN));
        assert_int_equal(orr_task_end(w.run, &b, &failed), ORR_OK);
        if (how == 0) orr_run_pause(w.run);
        else if (how == 1) orr_run_suspend(w.run);
        else orr_run_free(w.run);
        assert_true(next_is(core, ORR_ACT_NONE, 0, 0));
        if (how == 0) {
            orr_run_resume(w.run);
            assert_true(next_is(core, ORR_ACT_START, 0, ORR_PHASE_COMPENSATE));
            assert_int_equal(orr_task_end(w.run, &undo, &done), ORR_OK);
            assert_true(next_is(core, ORR_ACT_RUN_END, ORR_NONE, 0));
            assert_int_equal(orr_run_get_state(w.run), ORR_RUN_COMPENSATED);
        }
        saga_end(&w);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void events(void **state) {
    static const saga s = {"events",
                           {{.is = "c"},
                            {.is = "w a fw", .policy = {.compensate_retry = {.max = 1, .delay = 5 * SECOND}}},
                            {.is = "x b", .policy = {.timeout = SECOND}},
                            {.is = "c c", .how = ORR_JOIN_DONE | PLAIN_NODE}},
                           .history = "(<c-c<b~b<b-b<a-a|*d=d)",
                           .end = ORR_RUN_COMPENSATED};
    static const struct {
        int64_t at; /* s */
        uint32_t node;
        orr_why_kind kind;
        orr_node_state state;
        uint32_t by, count;
    } rows[] = {
        {14, 2, ORR_WHY_RUNNING, ORR_NODE_COMPENSATING, ORR_NONE, 1},
        {14, 1, ORR_WHY_COMPENSATION, ORR_NODE_COMPLETED, 2, 1},
        {14, 0, ORR_WHY_COMPENSATION, ORR_NODE_COMPLETED, 2, 2},
        {14, 3, ORR_WHY_COMPENSATION, ORR_NODE_READY, 2, 0},
        {17, 1, ORR_WHY_BACKOFF, ORR_NODE_COMPENSATING, ORR_NONE, 0},
        {17, 2, ORR_WHY_SETTLED, ORR_NODE_COMPENSATED, ORR_NONE, 0},
        {21, 1, ORR_WHY_RUNNING, ORR_NODE_COMPENSATING, ORR_NONE, 2},
        {25, 1, ORR_WHY_TIMER, ORR_NODE_COMPENSATING, ORR_NONE, 0},
    };
    saga_world w = {0};
    orr_error e;
    (void)state;
    saga_begin(&w, &s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        orr_why why;
        sim_pass(w.sim, rows[i].at * SECOND + SECOND / 2);
        orr_run_why(w.run, rows[i].node, ORR_NONE, &why);
        if (why.kind != rows[i].kind || why.state != rows[i].state || why.by != rows[i].by ||
            why.count != rows[i].count)
            fail_msg("row %zu: kind %d, %s, by %d, count %u", i, (int)why.kind,
                     orr_node_state_name(why.state), (int)why.by, why.count);
        assert_int_equal(orr_run_get_state(w.run), ORR_RUN_COMPENSATING);
    }
    saga_play(&w, &s);
    assert_int_equal(orr_run_outcome(w.run, 0), 'C'); /* how it ended for others stays */
    assert_int_equal(orr_run_outcome(w.run, 2), 'F');
    assert_true(orr_run_uncertain(w.run, 2, ORR_NONE));
    assert_false(orr_run_uncertain(w.run, 0, ORR_NONE));
    assert_false(orr_run_uncertain(w.run, 3, ORR_NONE));
    assert_true(orr_run_error(w.run, 2, ORR_NONE, &e));
    assert_string_equal(e.code, "timeout");
    assert_int_equal(orr_run_failure(w.run, &e), 2);
    assert_int_equal(w.events[ORR_EV_RUN_COMPENSATING], 1);
    assert_int_equal(w.events[ORR_EV_NODE_COMPENSATING], 4);
    assert_int_equal(w.events[ORR_EV_NODE_COMPENSATED], 3);
    assert_int_equal(w.events[ORR_EV_RUN_COMPENSATED], 1);
    assert_int_equal(w.events[ORR_EV_RUN_FAILED], 0);
    saga_end(&w);
}

/* Of the items' node: how many of them are undone, and why it could not be. */
static void events_of_items(void **state) {
    static const saga s = {"events of items",
                           {{.is = "ccc - fc", .policy = {.has_each = true}}, {.is = "f a"}},
                           .items = 3,
                           .history = "(<a3!a3<a2!a2<a1!a1!a)",
                           .end = ORR_RUN_COMPENSATION_FAILED};
    saga_world w = {0};
    orr_why why;
    orr_error e;
    (void)state;
    saga_begin(&w, &s);
    sim_pass(w.sim, 3 * SECOND + SECOND / 2);
    orr_run_why(w.run, 0, ORR_NONE, &why);
    assert_int_equal(why.kind, ORR_WHY_ITEMS);
    assert_int_equal(why.count, 1);
    assert_int_equal(why.limit, 3);
    assert_int_equal(orr_run_node_state(w.run, 0, ORR_NONE), ORR_NODE_COMPENSATING);
    assert_int_equal(orr_run_node_state(w.run, 0, 0), ORR_NODE_COMPLETED);
    assert_int_equal(orr_run_node_state(w.run, 0, 2), ORR_NODE_COMPENSATION_FAILED);
    saga_play(&w, &s);
    assert_true(orr_run_compensation_error(w.run, 0, ORR_NONE, &e));
    assert_string_equal(e.code, "compensation_failed");
    assert_string_equal(e.message, "3 of 3 items could not be undone; the first is item 1: it failed");
    saga_end(&w);
}

/* Its attempts answer as any other: late ones are refused, a sign of life resets the heartbeat, a
 * wait may be ended early. */
static void live_at(saga_world *w) {
    orr_task first = {0, ORR_NONE, 0, 1}, second = {0, ORR_NONE, 0, 2};
    orr_result result = {.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
    if (orr_run_node_state(w->run, 0, ORR_NONE) != ORR_NODE_COMPENSATING) return;
    assert_int_equal(orr_task_end(w->run, &first, &result), ORR_ESTATE); /* the attempt that completed */
    orr_task_heartbeat(w->run, &second);
    if (w->undoing++ == 0) assert_true(orr_task_due(w->run, &second) == sim_now(w->sim) + 4 * SECOND);
    if (sim_now(w->sim) > 5 * SECOND && orr_task_wake(w->run, &second) == ORR_OK) w->most_undoing++;
}

static void answers(void **state) {
    static const saga s = {"answers",
                           {{.is = "c - w", .policy = {.heartbeat = 4 * SECOND}},
                            {.is = "f a"},
                            {.is = "x", .how = ORR_JOIN_DONE | PLAIN_NODE}},
                           .cancel_at = {6, 40},
                           .history = "(<a-a|/)",
                           .end = ORR_RUN_COMPENSATED};
    saga_world w = {.at = live_at};
    (void)state;
    saga_play(&w, &s);
    assert_int_equal(w.most_undoing, 1);
    saga_at(&w, 'E', 0, ORR_NONE, 1, 7 * SECOND - 1); /* it would have waited until 13 s */
    saga_end(&w);
}

/* Several runs at a time, each one after the other in itself. */
static void several_runs(void **state) {
    static const saga s = {"several",
                           {{.is = "c"}, {.is = "c a"}, {.is = "f b"}},
                           .history = "",
                           .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    orr_run *runs[3];
    (void)state;
    saga_open(&w, &s);
    for (int i = 0; i < 3; i++) runs[i] = sim_start(w.sim, w.plan, (uint64_t)i);
    sim_pass(w.sim, 3 * SECOND + SECOND / 2);
    sim_drop(w.sim, runs[1]); /* one that is dropped in the middle */
    sim_run(w.sim, 1000 * SECOND);
    assert_int_equal(orr_run_get_state(runs[0]), ORR_RUN_COMPENSATED);
    assert_int_equal(orr_run_get_state(runs[2]), ORR_RUN_COMPENSATED);
    assert_int_equal(w.events[ORR_EV_RUN_COMPENSATED], 2);
    saga_end(&w);
}

/* ---- what comes from elsewhere --------------------------------------------------------------- */

static void forked(void **state) {
    static const saga s = {"forked",
                           {{.is = "c"}, {.is = "c a"}, {.is = "f b"}},
                           .history = "(<b-b)",
                           .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    orr_run_options options = {.seed = 1};
    (void)state;
    saga_open(&w, &s);
    w.run = orr_run_new(sim_core(w.sim), w.plan, &options);
    assert_int_equal(orr_run_adopt(w.run, 0, ORR_PORT_ANY, 7), ORR_OK);
    orr_run_begin(w.run);
    saga_play(&w, &s);
    saga_end(&w);
}

/* ---- across processes ------------------------------------------------------------------------ */

static void cut_off(void **state) {
    static const saga s = {"cut off",
                           {{.is = "c"}, {.is = "c a C"}, {.is = "f b"}},
                           .history = "(<b%b<b-b<a%a<a-a)",
                           .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    (void)state;
    saga_begin(&w, &s);
    sim_pass(w.sim, 4 * SECOND); /* b is being undone */
    saga_again(&w, 10, false);
    sim_pass(w.sim, 14 * SECOND);
    assert_int_equal(sim_find(w.sim, 'S', 1, ORR_NONE, 0)->task.attempt, 2); /* under its number */
    sim_pass(w.sim, 17 * SECOND + SECOND / 2);
    assert_string_equal(w.history, "(<b%b<b-b<a");
    saga_again(&w, 0, false);
    saga_play(&w, &s);
    saga_end(&w);
}

static void crash_loop(void **state) {
    static const saga s = {
        "crash loop",
        {{.is = "c"}, {.is = "c a x", .policy = {.compensate_retry = {.max = 9}}}, {.is = "f b"}},
        .history = "(<b%b<b%b!b<a-a)",
        .end = ORR_RUN_COMPENSATION_FAILED};
    static const saga forced = {"forced",
                                {{.is = "c"}, {.is = "c a xxc"}, {.is = "f b"}},
                                .history = "(<b%b<b%b<b-b<a-a)",
                                .end = ORR_RUN_COMPENSATED};
    (void)state;
    for (int i = 0; i < 2; i++) {
        const saga *g = i == 0 ? &s : &forced;
        saga_world w = {0};
        orr_error e;
        saga_begin(&w, g);
        sim_pass(w.sim, 4 * SECOND);
        saga_again(&w, 0, false);
        sim_pass(w.sim, 5 * SECOND);
        saga_again(&w, 0, g == &forced);
        saga_play(&w, g);
        assert_int_equal(orr_run_compensation_error(w.run, 1, ORR_NONE, &e), g == &s);
        if (g == &s) {
            assert_string_equal(e.code, "crash_loop");
            assert_non_null(strstr(e.message, "undoing it was cut off"));
            assert_null(strstr(e.message, "orrery retry")); /* which refuses a run that was undone */
        }
        saga_end(&w);
    }
}

/* A backoff and a wait keep their time. */
static void times_kept(void **state) {
    static const saga s = {
        "times",
        {{.is = "c - w"},
         {.is = "c a fc", .policy = {.compensate_retry = {.max = 1, .delay = 20 * SECOND}}},
         {.is = "f b"}},
        .end = ORR_RUN_COMPENSATED};
    saga_world w = {0};
    (void)state;
    saga_begin(&w, &s);
    sim_pass(w.sim, 5 * SECOND); /* b failed at 4 s and is due at 24 s */
    saga_again(&w, 5, false);
    sim_pass(w.sim, 27 * SECOND);
    saga_at(&w, 'S', 1, ORR_NONE, 0, 24 * SECOND);
    for (int64_t i = 0; i < 3; i++) {
        saga_again(&w, 0, false); /* a waits: that is nobody's fault */
        sim_pass(w.sim, (29 + 2 * i) * SECOND);
    }
    assert_int_equal(orr_run_node_state(w.run, 0, ORR_NONE), ORR_NODE_COMPENSATING);
    sim_run(w.sim, 1000 * SECOND);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_COMPENSATED); /* not a crash loop */
    saga_end(&w);
}

/* One that is left undone is undone by whoever tries it, not twice: a compensated run is not
 * retried. */
static void not_retried(void **state) {
    static const saga s = {"not retried",
                           {{.is = "c"}, {.is = "f a"}},
                           .history = "(<a-a)",
                           .end = ORR_RUN_COMPENSATED};
    orr_run_options options = {.seed = 42};
    saga_world w = {0};
    (void)state;
    saga_begin(&w, &s);
    saga_play(&w, &s);
    orr_run *run = orr_run_rebuild(sim_core(w.sim), w.plan, &options);
    diary_fold(&w.d, w.d.n, run, "not retried");
    assert_int_equal(orr_run_retry(run, false, false), ORR_ESTATE);
    assert_int_equal(orr_run_recover(run, false), ORR_ESTATE);
    saga_end(&w);
}

/* Records of a compensation that do not fit where they stand. */
static void refused(void **state) {
    static const saga s = {
        "refused",
        {{.is = "c"}, {.is = "c a fc", .policy = {.compensate_retry = {.max = 1}}}, {.is = "f b"}},
        .history = "(<b~b<b-b<a-a)",
        .end = ORR_RUN_COMPENSATED};
    static const orr_error error = {"code", "message", false, -1, 0};
    const orr_task none = {ORR_NONE, ORR_NONE, 0, 0}, a2 = {0, ORR_NONE, 0, 2}, b1 = {1, ORR_NONE, 0, 1},
                   b2 = {1, ORR_NONE, 0, 2}, b3 = {1, ORR_NONE, 0, 3}, c2 = {2, ORR_NONE, 0, 2};
    const struct {
        orr_record_kind before; /* is offered before the first record of that kind */
        orr_record rec;
    } rows[] = {
        {ORR_REC_FAILED, {.kind = ORR_REC_COMPENSATING, .task = none}}, /* nodes are left */
        {ORR_REC_COMPENSATING, {.kind = ORR_REC_ATTEMPT_STARTED, .task = b2, .phase = ORR_PHASE_COMPENSATE}},
        {ORR_REC_COMPENSATING, {.kind = ORR_REC_COMPENSATED, .task = b1}},
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_COMPENSATING, .task = none}}, /* twice */
        {ORR_REC_ATTEMPT_FAILED,
         {.kind = ORR_REC_ATTEMPT_STARTED, .task = a2, .phase = ORR_PHASE_COMPENSATE}},
        {ORR_REC_ATTEMPT_FAILED,
         {.kind = ORR_REC_ATTEMPT_STARTED, .task = b3, .phase = ORR_PHASE_COMPENSATE}},
        /* phase */
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_ATTEMPT_FAILED, .task = b2, .error = &error}},
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_COMPENSATED, .task = b1}},
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_COMPLETED, .task = b2, .port = ORR_PORT_ANY}},
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_FAILED, .task = b2, .error = &error}},
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_CANCELLED, .task = b2}},
        /* without an error */
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_COMPENSATION_FAILED, .task = b2}},
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_STOPPING, .task = none, .reason = ORR_STOP_CANCEL}},
        {ORR_REC_ATTEMPT_FAILED, {.kind = ORR_REC_RUN_ENDED, .task = none, .reason = ORR_RUN_COMPENSATED}},
        {ORR_REC_COMPENSATED, {.kind = ORR_REC_WOKEN, .task = b3, .reason = ORR_NODE_COMPENSATING}},
        /* not the current attempt */
        {ORR_REC_COMPENSATED, {.kind = ORR_REC_WAITING, .task = b2, .due = -1}},
        {ORR_REC_RUN_ENDED, {.kind = ORR_REC_ATTEMPT_STARTED, .task = c2, .phase = ORR_PHASE_COMPENSATE}},
        {ORR_REC_RUN_ENDED, {.kind = ORR_REC_RUN_ENDED, .task = none, .reason = ORR_RUN_FAILED}},
        {ORR_REC_RUN_ENDED, {.kind = ORR_REC_RUN_ENDED, .task = none, .reason = ORR_RUN_COMPENSATION_FAILED}},
    };
    orr_run_options options = {.seed = 42};
    saga_world w = {0};
    size_t offered = 0;
    (void)state;
    saga_begin(&w, &s);
    saga_play(&w, &s);
    orr_run *run = orr_run_rebuild(sim_core(w.sim), w.plan, &options);
    uint32_t seen[ORR_RECORD_COUNT] = {0};
    for (uint32_t i = 0; i < w.d.n; i++) {
        orr_record r = diary_record(&w.d, i);
        for (size_t k = 0; k < sizeof rows / sizeof *rows && seen[r.kind] == 0; k++) {
            orr_record wrong = rows[k].rec;
            wrong.seq = r.seq;
            if (rows[k].before != r.kind) continue;
            offered++;
            if (orr_run_fold(run, &wrong) != ORR_EINVAL) fail_msg("row %zu is taken", k);
        }
        seen[r.kind]++;
        assert_int_equal(orr_run_fold(run, &r), ORR_OK);
    }
    assert_int_equal(offered, sizeof rows / sizeof *rows);
    assert_int_equal(orr_run_get_state(run), ORR_RUN_COMPENSATED);
    saga_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries),         cmocka_unit_test(retries_by_error),
        cmocka_unit_test(retries_run_out), cmocka_unit_test(bounded),
        cmocka_unit_test(no_limits),       cmocka_unit_test(beside_cleanup),
        cmocka_unit_test(before_its_turn), cmocka_unit_test(paused),
        cmocka_unit_test(paused_wait),     cmocka_unit_test(events),
        cmocka_unit_test(events_of_items), cmocka_unit_test(answers),
        cmocka_unit_test(several_runs),    cmocka_unit_test(forked),
        cmocka_unit_test(cut_off),         cmocka_unit_test(crash_loop),
        cmocka_unit_test(times_kept),      cmocka_unit_test(not_retried),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
