/* test_core_limits.c - pools and breakers at their edges, and what a second cancel, a drain and a
 * deadline leave alone; in virtual time, with exact times. */
#include "shape.h"
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- a world with one script ----------------------------------------------------------------- */

typedef struct world {
    sim_deed deeds[8][8]; /* by node and attempt - 1; the last one given repeats */
    uint32_t given[8];
    uint32_t items;
    uint32_t until; /* a loop is done after so many iterations */
    char pool[32];
    sim *sim;
    orr_run *run;
    void (*at)(struct world *w, int64_t now); /* before the time moves on */
    uint32_t calls;
} world;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const world *w = ud;
    uint32_t given = w->given[task->node];
    uint32_t i = (w->until ? task->iteration : 0) + task->attempt - 1;
    (void)run;
    if (phase == ORR_PHASE_FALLBACK) return (sim_deed){.takes = 5 * SECOND, .end = ORR_END_COMPLETED};
    if (given == 0) return (sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED};
    return w->deeds[task->node][i < given ? i : given - 1];
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    world *w = ud;
    (void)run;
    snprintf(w->pool, sizeof w->pool, "tenant:%u", ask->task.item % 2);
    answer->truth = ask->kind != ORR_ASK_UNTIL || ask->task.iteration + 1 >= w->until;
    answer->count = w->items;
    answer->name = w->pool;
    return true;
}

static void tick(void *ud, sim *s) {
    world *w = ud;
    if (w->at) w->at(w, sim_now(s) - 1);
}

static void begin(world *w) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    w->sim = sim_new(&alloc, &(sim_script){w, deed, evaluate, NULL, NULL, tick});
    assert_non_null(w->sim);
}

static void go(world *w, orr_plan *plan) {
    w->run = sim_start(w->sim, plan, 42);
    sim_run(w->sim, 100000 * SECOND);
    orr_plan_unref(plan);
    assert_true(orr_run_ended(orr_run_get_state(w->run)));
}

static void give(world *w, uint32_t node, sim_deed d) {
    w->deeds[node][w->given[node]++] = d;
}

static void assert_started(const world *w, uint32_t node, uint32_t item, uint32_t nth, int64_t at) {
    const sim_line *l = sim_find(w->sim, 'S', node, item, nth);
    if (l == NULL) fail_msg("node %u was not started %u times", node, nth + 1);
    else if (l->time != at + 1)
        fail_msg("start %u of node %u: at %.9f s, expected %.9f s", nth, node, (double)(l->time - 1) / 1e9,
                 (double)at / 1e9);
}

static void assert_not_started(const world *w, uint32_t node, uint32_t nth) {
    if (sim_find(w->sim, 'S', node, ORR_NONE, nth)) fail_msg("node %u was started %u times", node, nth + 1);
}

static void assert_code(const world *w, uint32_t node, const char *code) {
    orr_error e;
    assert_true(orr_run_error(w->run, node, ORR_NONE, &e));
    assert_string_equal(e.code, code);
}

static const sim_deed fails = {.takes = SECOND, .end = ORR_END_FAILED};
static const sim_deed works = {.takes = SECOND, .end = ORR_END_COMPLETED};

static void end(world *w) {
    assert_int_equal(sim_busy(w->sim), 0);
    sim_free(w->sim);
}

/* ---- pools ----------------------------------------------------------------------------------- */

static void open_after_ten(world *w, int64_t now) {
    if (now < 10 * SECOND || w->calls++ > 0) return;
    orr_core_pool_pause(sim_core(w->sim), "db", false);
}

/* Something else goes on meanwhile, or the run would be said to be stuck. */
static void paused_pool(void **state) {
    world w = {.at = open_after_ten};
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .pool = "db"}, PLAIN};
    (void)state;
    give(&w, 1, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_COMPLETED});
    begin(&w);
    orr_core_pool(sim_core(w.sim), "db", 5, 0, 0);
    assert_int_equal(orr_core_pool_pause(sim_core(w.sim), "db", true), ORR_OK);
    go(&w, shape(NULL, 2, p, 0, NULL));
    assert_started(&w, 0, ORR_NONE, 0, 10 * SECOND);
    end(&w);
}

/* A pool of 2 a second that nobody used for an hour has saved up a burst of 2, not of 7,200. */
static void tokens_are_not_saved_up(void **state) {
    world w = {0};
    orr_policy p[6] = {PLAIN};
    shape_edge e[5];
    (void)state;
    for (uint32_t i = 1; i < 6; i++) {
        p[i] = (orr_policy){.priority = ORR_PRIO_NORMAL, .pool = "api"};
        e[i - 1] = (shape_edge){0, i};
    }
    give(&w, 0, (sim_deed){.takes = 3600 * SECOND, .end = ORR_END_COMPLETED});
    begin(&w);
    orr_core_pool(sim_core(w.sim), "api", 100, 2, SECOND);
    go(&w, shape(NULL, 6, p, 5, e));
    static const int64_t ms[] = {0, 0, 500, 1000, 1500};
    for (uint32_t i = 0; i < 5; i++) assert_started(&w, i + 1, ORR_NONE, 0, 3600 * SECOND + ms[i] * MS);
    end(&w);
}

static void widen_after_two(world *w, int64_t now) {
    if (now < 2 * SECOND || w->calls++ > 0) return;
    orr_core_pool(sim_core(w->sim), "tenant", 3, 0, 0);
}

/* Two keys of one place each, two items a second; from the third second on three places each. */
static void keyed_pools_follow_their_definition(void **state) {
    world w = {.items = 10, .at = widen_after_two};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .has_each = true, .pool_is_dynamic = true};
    (void)state;
    begin(&w);
    orr_core_pool(sim_core(w.sim), "tenant", 1, 0, 0);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    static const int64_t at[] = {0, 0, 1, 1, 2, 2, 2, 2, 2, 2};
    for (uint32_t i = 0; i < 10; i++) assert_started(&w, 0, i, 0, at[i] * SECOND);
    end(&w);
}

/* A node that loops gives its place back while it waits for its next iteration. */
static void a_loop_holds_no_place_between(void **state) {
    world w = {.until = 2};
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL,
                       .pool = "db",
                       .has_loop = true,
                       .loop_max = 5,
                       .loop_delay = 10 * SECOND},
                      {.priority = ORR_PRIO_NORMAL, .pool = "db"}};
    (void)state;
    begin(&w);
    orr_core_pool(sim_core(w.sim), "db", 1, 0, 0);
    go(&w, shape(NULL, 2, p, 0, NULL));
    assert_started(&w, 1, ORR_NONE, 0, SECOND);
    assert_started(&w, 0, ORR_NONE, 1, 11 * SECOND);
    end(&w);
}

/* ---- breakers -------------------------------------------------------------------------------- */

/* Three failures open it, but not within the window of two seconds: each is 2 s after the other. */
static void breaker_forgets(void **state) {
    world w = {0};
    orr_breaker_options o = {.threshold = 3, .window = 3 * SECOND, .cooldown = 100 * SECOND, .probes = 1};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 4, .delay = SECOND}};
    (void)state;
    begin(&w);
    orr_core_breaker(sim_core(w.sim), "api", &o);
    for (int i = 0; i < 4; i++) give(&w, 0, fails);
    give(&w, 0, works);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    for (uint32_t i = 0; i < 5; i++) assert_started(&w, 0, ORR_NONE, i, (int64_t)i * 2 * SECOND);
    end(&w);
}

/* Four failures at once in ten seconds' time are within the window of three. */
static void breaker_counts_within_its_window(void **state) {
    world w = {0};
    orr_breaker_options o = {.threshold = 3, .window = 4 * SECOND, .cooldown = 100 * SECOND, .probes = 1};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 4, .delay = SECOND}};
    (void)state;
    begin(&w);
    orr_core_breaker(sim_core(w.sim), "api", &o);
    for (int i = 0; i < 3; i++) give(&w, 0, fails);
    give(&w, 0, works);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_started(&w, 0, ORR_NONE, 2, 4 * SECOND);
    assert_started(&w, 0, ORR_NONE, 3, 105 * SECOND);
    end(&w);
}

/* Mistakes of the workflow say nothing of the service. */
static void config_errors_do_not_count(void **state) {
    static const char *const codes[] = {"config_error", "validation_error", "cancelled"};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        world w = {0};
        orr_breaker_options o = {.threshold = 1};
        orr_plan_options on = {.name = "b", .on_error = ORR_ON_ERROR_CONTINUE};
        orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .breaker = "api"},
                          {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE, .breaker = "api"}};
        shape_edge e = {0, 1};
        begin(&w);
        orr_core_breaker(sim_core(w.sim), "api", &o);
        give(&w, 0, (sim_deed){.takes = SECOND, .end = ORR_END_FAILED, .code = codes[i]});
        go(&w, shape(&on, 2, p, 1, &e));
        assert_started(&w, 1, ORR_NONE, 0, SECOND);
        end(&w);
    }
}

/* Opened at 1 by node 0, half open at 31 with two probes wanted: two may call, and whoever comes
 * next takes the place of one that has ended. It is closed by the second that works, and not
 * before. */
static void two_probes(void **state) {
    world w = {0};
    orr_breaker_options o = {.threshold = 1, .window = 60 * SECOND, .cooldown = 30 * SECOND, .probes = 2};
    orr_plan_options on = {.name = "b", .on_error = ORR_ON_ERROR_CONTINUE};
    orr_policy first = {.priority = ORR_PRIO_NORMAL, .breaker = "api"}, p[5] = {first};
    shape_edge e[4];
    (void)state;
    give(&w, 0, fails);
    for (uint32_t i = 1; i < 5; i++) {
        p[i] = first;
        p[i].join = ORR_JOIN_DONE;
        p[i].retry.max = 9;
        e[i - 1] = (shape_edge){0, i};
        give(&w, i, (sim_deed){.takes = i == 1 ? SECOND : 10 * SECOND, .end = ORR_END_COMPLETED});
    }
    begin(&w);
    orr_core_breaker(sim_core(w.sim), "api", &o);
    go(&w, shape(&on, 5, p, 4, e));
    static const int64_t at[] = {31, 31, 32, 41};
    for (uint32_t i = 0; i < 4; i++) assert_started(&w, i + 1, ORR_NONE, 0, at[i] * SECOND);
    end(&w);
}

/* The probe of a run that is cancelled leaves its place to another run's. */
static void cancelled_probe(void **state) {
    world w = {0};
    orr_breaker_options o = {.threshold = 1, .window = 60 * SECOND, .cooldown = 30 * SECOND, .probes = 1};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 9, .delay = SECOND}};
    (void)state;
    give(&w, 0, fails);
    give(&w, 0, (sim_deed){.takes = 100 * SECOND, .end = ORR_END_COMPLETED});
    begin(&w);
    orr_core_breaker(sim_core(w.sim), "api", &o);
    orr_plan *plan = shape(NULL, 1, &p, 0, NULL);
    w.run = sim_start(w.sim, plan, 1);
    sim_run(w.sim, 31 * SECOND + SECOND / 2);
    w.given[0] = 1;
    w.deeds[0][0] = works;
    const orr_run *other = sim_start(w.sim, plan, 2);
    sim_pass(w.sim, 32 * SECOND);
    assert_null(sim_find(w.sim, 'S', 0, ORR_NONE, 2));
    orr_run_cancel(w.run);
    sim_run(w.sim, 1000 * SECOND);
    orr_plan_unref(plan);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_CANCELLED);
    assert_int_equal(orr_run_get_state(other), ORR_RUN_COMPLETED);
    end(&w);
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* The first cancel lets the cleanup node run, the second ends it. */
static void second_cancel(void **state) {
    world w = {0};
    orr_policy p[] = {PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}};
    shape_edge e = {0, 1};
    (void)state;
    give(&w, 0, (sim_deed){.takes = 100 * SECOND, .end = ORR_END_COMPLETED});
    give(&w, 1, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_COMPLETED, .sleeps = 2 * SECOND});
    begin(&w);
    orr_plan *plan = shape(NULL, 2, p, 1, &e);
    w.run = sim_start(w.sim, plan, 1);
    sim_pass(w.sim, SECOND);
    orr_run_cancel(w.run);
    sim_pass(w.sim, 3 * SECOND);
    assert_int_equal(orr_run_node_state(w.run, 1, ORR_NONE), ORR_NODE_RUNNING);
    orr_run_cancel(w.run);
    sim_run(w.sim, 1000 * SECOND);
    orr_plan_unref(plan);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_CANCELLED);
    assert_int_equal(orr_run_node_state(w.run, 1, ORR_NONE), ORR_NODE_CANCELLED);
    end(&w);
}

/* What has begun goes on to its end under `drain`: node 0 failed once, and queues for its next
 * attempt behind node 3 when node 1 fails. What has not begun is cancelled. */
static void drain_lets_attempts_go_on(void **state) {
    world w = {0};
    orr_plan_options o = {.name = "d", .on_error = ORR_ON_ERROR_DRAIN};
    orr_policy pooled = {.priority = ORR_PRIO_NORMAL, .pool = "db", .retry = {.max = 1, .delay = SECOND}};
    orr_policy p[] = {pooled, PLAIN, PLAIN, pooled};
    shape_edge e = {0, 2};
    (void)state;
    give(&w, 0, fails);
    give(&w, 0, works);
    give(&w, 1, (sim_deed){.takes = 5 * SECOND, .end = ORR_END_FAILED});
    give(&w, 3, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_COMPLETED});
    begin(&w);
    orr_core_pool(sim_core(w.sim), "db", 1, 0, 0);
    go(&w, shape(&o, 4, p, 1, &e));
    assert_started(&w, 0, ORR_NONE, 1, 11 * SECOND);
    assert_int_equal(orr_run_node_state(w.run, 0, ORR_NONE), ORR_NODE_COMPLETED);
    assert_not_started(&w, 2, 0);
    end(&w);
}

/* The deadline bounds the attempts; the fallback that follows them has its own time. */
static void fallback_outlives_the_deadline(void **state) {
    world w = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .deadline = 3 * SECOND, .has_fallback = true};
    (void)state;
    give(&w, 0, fails);
    begin(&w);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_int_equal(orr_run_node_state(w.run, 0, ORR_NONE), ORR_NODE_COMPLETED);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_COMPLETED);
    end(&w);
}

/* The second iteration ends by its deadline: what it says of the error before is its own, not that
 * of the first iteration. */
static void an_iteration_begins_without_errors(void **state) {
    world w = {.until = 9};
    orr_policy p = {.priority = ORR_PRIO_NORMAL,
                    .has_loop = true,
                    .loop_max = 3,
                    .loop_delay = 10 * SECOND,
                    .deadline = 8 * SECOND,
                    .retry = {.max = 1, .delay = SECOND}};
    orr_error error;
    (void)state;
    give(&w, 0, fails);
    give(&w, 0, works);
    begin(&w);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_code(&w, 0, "deadline");
    orr_run_error(w.run, 0, ORR_NONE, &error);
    assert_null(strstr(error.message, "last error"));
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paused_pool),
        cmocka_unit_test(tokens_are_not_saved_up),
        cmocka_unit_test(keyed_pools_follow_their_definition),
        cmocka_unit_test(a_loop_holds_no_place_between),
        cmocka_unit_test(breaker_forgets),
        cmocka_unit_test(breaker_counts_within_its_window),
        cmocka_unit_test(config_errors_do_not_count),
        cmocka_unit_test(two_probes),
        cmocka_unit_test(cancelled_probe),
        cmocka_unit_test(second_cancel),
        cmocka_unit_test(drain_lets_attempts_go_on),
        cmocka_unit_test(fallback_outlives_the_deadline),
        cmocka_unit_test(an_iteration_begins_without_errors),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
