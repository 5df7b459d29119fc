/* test_core_time.c - retries, timeouts, limits, breakers and waits in virtual time, with exact
 * times. */
#include "shape.h"
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- a world in which each node's attempts are written down ---------------------------------- */

typedef struct world {
    sim_deed deeds[32][8]; /* by node and attempt - 1; the last one given repeats */
    uint32_t given[32];
    uint32_t items;
    uint32_t until; /* a loop is done after so many iterations */
    char pool[32];
    /* after so many askings the pool is one that nobody defined; 0 = never */
    uint32_t pools_asked, pools_known;
    uint32_t events[ORR_EVENT_COUNT];
    sim *sim;
    orr_run *run;
    sim_meddling meddling;
} world;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const world *w = ud;
    uint32_t given = w->given[task->node], i = task->attempt - 1;
    (void)run;
    if (phase == ORR_PHASE_FALLBACK) return (sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED};
    if (given == 0) return (sim_deed){.takes = SECOND, .end = ORR_END_COMPLETED};
    return w->deeds[task->node][i < given ? i : given - 1];
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    world *w = ud;
    (void)run;
    answer->truth = ask->kind != ORR_ASK_UNTIL || ask->task.iteration + 1 >= w->until;
    answer->count = w->items;
    answer->name = w->pool;
    if (ask->kind == ORR_ASK_POOL && w->pools_known > 0 && w->pools_asked++ >= w->pools_known)
        answer->name = "gone";
    return true;
}

static void on_event(void *ud, const orr_event *event) {
    world *w = ud;
    w->events[event->kind]++;
}

static void tick(void *ud, sim *s) {
    world *w = ud;
    sim_meddle(&w->meddling, w->run, s);
}

static void give(world *w, uint32_t node, sim_deed d) {
    w->deeds[node][w->given[node]++] = d;
}

static const sim_deed fails = {.takes = SECOND, .end = ORR_END_FAILED};
static const sim_deed works = {.takes = SECOND, .end = ORR_END_COMPLETED};

static void begin(world *w) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {w, deed, evaluate, on_event, NULL, tick};
    w->sim = sim_new(&alloc, &script);
    assert_non_null(w->sim);
}

static void go(world *w, orr_plan *plan) {
    if (w->sim == NULL) begin(w);
    w->run = sim_start(w->sim, plan, 42);
    sim_run(w->sim, 1000000 * SECOND);
    orr_plan_unref(plan);
    assert_true(orr_run_ended(orr_run_get_state(w->run)));
}

/* The virtual clock starts at 1 ns, so that no time is 0. */
static void assert_at(const world *w, char what, uint32_t node, uint32_t item, uint32_t nth, int64_t at) {
    const sim_line *l = sim_find(w->sim, what, node, item, nth);
    if (l == NULL) fail_msg("no %c of node %u, number %u", what, node, nth);
    else if (l->time != at + 1)
        fail_msg("%c of node %u, number %u: at %.9f s, expected %.9f s", what, node, nth,
                 (double)(l->time - 1) / 1e9, (double)at / 1e9);
}

static void assert_none(const world *w, char what, uint32_t node, uint32_t nth) {
    if (sim_find(w->sim, what, node, ORR_NONE, nth) != NULL)
        fail_msg("unexpected %c of node %u, number %u", what, node, nth);
}

static void assert_code(const world *w, uint32_t node, const char *code) {
    orr_error e;
    assert_true(orr_run_error(w->run, node, ORR_NONE, &e));
    assert_string_equal(e.code, code);
}

static void assert_state(const world *w, uint32_t node, orr_node_state state) {
    assert_string_equal(orr_node_state_name(orr_run_node_state(w->run, node, ORR_NONE)),
                        orr_node_state_name(state));
}

static void end(world *w) {
    assert_int_equal(sim_busy(w->sim), 0);
    sim_free(w->sim);
}

/* ---- retry ----------------------------------------------------------------------------------- */

static void backoff(void **state) {
    static const struct {
        orr_retry retry;
        int64_t starts[4]; /* s after the start; 1 s an attempt */
    } rows[] = {
        {{.max = 3, .strategy = ORR_BACKOFF_FIXED, .delay = 2 * SECOND}, {0, 3, 6, 9}},
        {{.max = 3, .strategy = ORR_BACKOFF_LINEAR, .delay = 2 * SECOND}, {0, 3, 8, 15}},
        {{.max = 3, .strategy = ORR_BACKOFF_EXPONENTIAL, .delay = 2 * SECOND, .factor = 3}, {0, 3, 10, 29}},
        {{.max = 3, .strategy = ORR_BACKOFF_EXPONENTIAL, .delay = 2 * SECOND}, {0, 3, 8, 17}},
        {{.max = 3, .strategy = ORR_BACKOFF_EXPONENTIAL, .delay = 2 * SECOND, .max_delay = 3 * SECOND},
         {0, 3, 7, 11}},
        {{.max = 3, .strategy = ORR_BACKOFF_FIXED, .delay = 0}, {0, 1, 2, 3}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w = {0};
        orr_policy p = {.priority = ORR_PRIO_NORMAL, .retry = rows[i].retry};
        give(&w, 0, fails);
        go(&w, shape(NULL, 1, &p, 0, NULL));
        for (uint32_t k = 0; k < 4; k++) assert_at(&w, 'S', 0, ORR_NONE, k, rows[i].starts[k] * SECOND);
        assert_none(&w, 'S', 0, 4);
        assert_int_equal(orr_run_get_state(w.run), ORR_RUN_FAILED);
        end(&w);
    }
}

static void jitter_bounds(void **state) {
    (void)state;
    orr_retry r = {.max = 1, .strategy = ORR_BACKOFF_FIXED, .delay = SECOND};
    bool spread = false;
    for (uint32_t node = 0; node < 2000; node++) {
        orr_task t = {node, ORR_NONE, 0, 1};
        r.jitter = ORR_JITTER_FULL;
        int64_t full = orr_retry_delay(&r, 7, &t);
        assert_in_range((uint64_t)full, 0, SECOND - 1);
        assert_true(full == orr_retry_delay(&r, 7, &t));
        spread |= full < SECOND / 10;
        r.jitter = ORR_JITTER_EQUAL;
        assert_in_range((uint64_t)orr_retry_delay(&r, 7, &t), SECOND / 2, SECOND);
        orr_retry random = {.max = 1,
                            .strategy = ORR_BACKOFF_RANDOM,
                            .delay = SECOND,
                            .max_delay = 5 * SECOND};
        assert_in_range((uint64_t)orr_retry_delay(&random, 7, &t), SECOND, 5 * SECOND);
    }
    assert_true(spread);
}

static void retry_filters(void **state) {
    static const char *const net[] = {"net"};
    static const struct {
        const char *code;
        bool on, unless, not_retryable;
        uint32_t attempts;
    } rows[] = {
        {"net", true, false, false, 3},
        {"disk", true, false, false, 1},
        {"net", false, true, false, 1},
        {"disk", false, true, false, 3},
        {"net", true, true, false, 1},
        {"net", false, false, true, 1},
        {"config_error", false, false, false, 1},
        {"validation_error", false, false, false, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w = {0};
        orr_policy p = {.priority = ORR_PRIO_NORMAL, .retry = {.max = 2}};
        if (rows[i].on) p.retry.on = net, p.retry.n_on = 1;
        if (rows[i].unless) p.retry.unless = net, p.retry.n_unless = 1;
        give(&w, 0,
             (sim_deed){.takes = 1,
                        .end = ORR_END_FAILED,
                        .code = rows[i].code,
                        .not_retryable = rows[i].not_retryable});
        go(&w, shape(NULL, 1, &p, 0, NULL));
        assert_non_null(sim_find(w.sim, 'S', 0, ORR_NONE, rows[i].attempts - 1));
        assert_none(&w, 'S', 0, rows[i].attempts);
        end(&w);
    }
}

static void retry_after(void **state) {
    world w = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .retry = {.max = 1, .delay = 60 * SECOND}};
    (void)state;
    give(&w, 0, (sim_deed){.takes = SECOND, .end = ORR_END_FAILED, .retry_after = 7 * SECOND});
    give(&w, 0, works);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_at(&w, 'S', 0, ORR_NONE, 1, 8 * SECOND);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    end(&w);
}

/* ---- timeouts -------------------------------------------------------------------------------- */

static void attempt_timeout(void **state) {
    world w = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 5 * SECOND, .retry = {.max = 1, .delay = SECOND}};
    (void)state;
    give(&w, 0, (sim_deed){.takes = 60 * SECOND, .end = ORR_END_COMPLETED});
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_at(&w, 'C', 0, ORR_NONE, 0, 5 * SECOND);
    assert_at(&w, 'S', 0, ORR_NONE, 1, 6 * SECOND);
    assert_at(&w, 'C', 0, ORR_NONE, 1, 11 * SECOND);
    assert_code(&w, 0, "timeout");
    end(&w);
}

/* An attempt that ignores a cancel is given up after the grace; its late answer changes nothing. */
static void deaf_attempt(void **state) {
    world w = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .timeout = 5 * SECOND, .retry = {.max = 1}};
    (void)state;
    give(&w, 0, (sim_deed){.takes = 60 * SECOND, .end = ORR_END_COMPLETED, .deaf = true});
    give(&w, 0, works);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_at(&w, 'A', 0, ORR_NONE, 0, 10 * SECOND);
    assert_at(&w, 'S', 0, ORR_NONE, 1, 10 * SECOND);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    end(&w);
}

static void late_answer(void **state) {
    world w = {0};
    orr_task first = {0, ORR_NONE, 0, 1};
    orr_result r = {.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .retry = {.max = 1, .delay = SECOND}};
    (void)state;
    give(&w, 0, fails);
    give(&w, 0, works);
    begin(&w);
    orr_plan *plan = shape(NULL, 1, &p, 0, NULL);
    w.run = sim_start(w.sim, plan, 1);
    sim_run(w.sim, 2 * SECOND + 1); /* the second attempt is under way */
    assert_state(&w, 0, ORR_NODE_RUNNING);
    assert_int_equal(orr_task_end(w.run, &first, &r), ORR_ESTATE);
    assert_state(&w, 0, ORR_NODE_RUNNING);
    sim_run(w.sim, 10 * SECOND);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    assert_int_equal(orr_task_end(w.run, &first, &r), ORR_ESTATE);
    orr_plan_unref(plan);
    end(&w);
}

static void deadline(void **state) {
    static const struct {
        int64_t takes, delay, failed_at;
        uint32_t attempts;
    } rows[] = {
        {60, 1, 10, 1}, /* in the middle of an attempt */
        {3, 1, 7, 2},   /* 0-3, 4-7; the next would start at 8 and is cut at 10: it starts */
        {4, 20, 4, 1},  /* the next attempt could not start in time: no use in waiting */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w = {0};
        orr_policy p = {.priority = ORR_PRIO_NORMAL,
                        .deadline = 10 * SECOND,
                        .retry = {.max = 9, .delay = rows[i].delay * SECOND}};
        give(&w, 0, (sim_deed){.takes = rows[i].takes * SECOND, .end = ORR_END_FAILED});
        go(&w, shape(NULL, 1, &p, 0, NULL));
        assert_code(&w, 0, "deadline");
        orr_run_stats stats;
        orr_run_get_stats(w.run, &stats);
        if (i == 1) assert_int_equal(stats.ended - 1, 10 * SECOND);
        else assert_int_equal(stats.ended - 1, rows[i].failed_at * SECOND);
        end(&w);
    }
}

static void heartbeat(void **state) {
    world w = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .heartbeat = 3 * SECOND};
    (void)state;
    give(&w, 0, (sim_deed){.takes = 60 * SECOND, .end = ORR_END_COMPLETED});
    begin(&w);
    orr_plan *plan = shape(NULL, 1, &p, 0, NULL);
    w.run = sim_start(w.sim, plan, 1);
    orr_task t = {0, ORR_NONE, 0, 1};
    sim_run(w.sim, 2 * SECOND);
    orr_core_advance(sim_core(w.sim), 2 * SECOND + 1);
    assert_int_equal(orr_task_heartbeat(w.run, &t), ORR_OK); /* alive at 2 s: silent at 5 s */
    sim_run(w.sim, 100 * SECOND);
    assert_at(&w, 'C', 0, ORR_NONE, 0, 5 * SECOND);
    assert_code(&w, 0, "heartbeat");
    assert_int_equal(w.events[ORR_EV_NODE_SILENT], 1);
    orr_plan_unref(plan);
    end(&w);
}

static void run_timeout(void **state) {
    world w = {0};
    orr_plan_options o = {.name = "t", .timeout = 5 * SECOND};
    orr_policy p[] = {PLAIN, PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}};
    shape_edge e[] = {{0, 1}, {1, 2}};
    orr_error error;
    (void)state;
    give(&w, 0, (sim_deed){.takes = 60 * SECOND, .end = ORR_END_COMPLETED});
    go(&w, shape(&o, 3, p, 2, e));
    assert_state(&w, 0, ORR_NODE_CANCELLED);
    assert_state(&w, 1, ORR_NODE_SKIPPED);
    assert_at(&w, 'S', 2, ORR_NONE, 0, 5 * SECOND);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_FAILED);
    orr_run_failure(w.run, &error);
    assert_string_equal(error.code, "run_timeout");
    end(&w);
}

/* A sleeping attempt holds no slot, and its timeout stands still. */
static void sleeping(void **state) {
    world w = {0};
    orr_plan_options o = {.name = "s", .concurrency = 1};
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .timeout = 5 * SECOND}, PLAIN};
    (void)state;
    give(&w, 0, (sim_deed){.takes = 4 * SECOND, .end = ORR_END_COMPLETED, .sleeps = 100 * SECOND});
    give(&w, 1, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_COMPLETED});
    go(&w, shape(&o, 2, p, 0, NULL));
    assert_at(&w, 'S', 1, ORR_NONE, 0, 2 * SECOND);
    assert_at(&w, 'R', 0, ORR_NONE, 0, 102 * SECOND);
    assert_at(&w, 'E', 0, ORR_NONE, 0, 104 * SECOND);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    end(&w);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void concurrency_and_priority(void **state) {
    world w = {0};
    orr_plan_options o = {.name = "c", .concurrency = 1};
    orr_policy p[] = {
        {.priority = ORR_PRIO_LOW},      {.priority = ORR_PRIO_BACKGROUND}, {.priority = ORR_PRIO_NORMAL},
        {.priority = ORR_PRIO_CRITICAL}, {.priority = ORR_PRIO_NORMAL},     {.priority = ORR_PRIO_HIGH},
    };
    static const int64_t at[] = {4, 5, 2, 0, 3, 1};
    (void)state;
    go(&w, shape(&o, 6, p, 0, NULL));
    for (uint32_t i = 0; i < 6; i++) assert_at(&w, 'S', i, ORR_NONE, 0, at[i] * SECOND);
    end(&w);
}

static void pool_places(void **state) {
    world w = {0};
    orr_policy p[5];
    (void)state;
    for (int i = 0; i < 5; i++)
        p[i] = (orr_policy){.priority = i == 4 ? ORR_PRIO_HIGH : ORR_PRIO_NORMAL, .pool = "db"};
    begin(&w);
    assert_int_equal(orr_core_pool(sim_core(w.sim), "db", 2, 0, 0), ORR_OK);
    go(&w, shape(NULL, 5, p, 0, NULL));
    static const int64_t at[] = {0, 1, 1, 2, 0};
    for (uint32_t i = 0; i < 5; i++) assert_at(&w, 'S', i, ORR_NONE, 0, at[i] * SECOND);
    end(&w);
}

static void pool_rate(void **state) {
    world w = {0};
    orr_policy p[6];
    (void)state;
    for (int i = 0; i < 6; i++) p[i] = (orr_policy){.priority = ORR_PRIO_NORMAL, .pool = "api"};
    begin(&w);
    assert_int_equal(orr_core_pool(sim_core(w.sim), "api", 100, 2, SECOND), ORR_OK);
    go(&w, shape(NULL, 6, p, 0, NULL));
    static const int64_t ms[] = {0, 0, 500, 1000, 1500, 2000};
    for (uint32_t i = 0; i < 6; i++) assert_at(&w, 'S', i, ORR_NONE, 0, ms[i] * MS);
    end(&w);
}

static void pool_unknown(void **state) {
    world w = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "nowhere"};
    (void)state;
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_code(&w, 0, "config_error");
    end(&w);
}

/* Items of one node draw from pools of their own keys; each key has the places of the
 * definition. */
static bool keyed(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    world *w = ud;
    (void)run;
    answer->count = 6;
    snprintf(w->pool, sizeof w->pool, "tenant:%u", ask->task.item % 2);
    answer->name = w->pool;
    answer->truth = true;
    return true;
}

static void pool_keyed(void **state) {
    world w = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .has_each = true, .pool_is_dynamic = true};
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {&w, deed, keyed, on_event, NULL, NULL};
    (void)state;
    w.sim = sim_new(&alloc, &script);
    assert_int_equal(orr_core_pool(sim_core(w.sim), "tenant", 1, 0, 0), ORR_OK);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    for (uint32_t i = 0; i < 6; i++) assert_at(&w, 'S', 0, i, 0, (int64_t)(i / 2) * SECOND);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    end(&w);
}

/* Its place was given back while it waited, and there is none to go on in: the caller must learn
 * that the attempt is over, and the breaker that its probe is. */
static void pool_lost_while_waiting(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true, .breaker = "b"};
    world w = {.pool = "api:1", .pools_known = 1};
    (void)state;
    begin(&w);
    orr_core_pool(sim_core(w.sim), "api", 1, 0, 0);
    give(&w, 0, (sim_deed){.takes = 2 * SECOND, .sleeps = SECOND, .end = ORR_END_COMPLETED});
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_code(&w, 0, "config_error");
    assert_at(&w, 'A', 0, ORR_NONE, 0, 2 * SECOND);
    assert_none(&w, 'R', 0, 0);
    assert_true(orr_run_uncertain(w.run, 0, ORR_NONE));
    end(&w);
}

/* A pool without places: nothing can ever happen, and the run says so instead of hanging. */
static void stall(void **state) {
    world w = {0};
    orr_policy p[] = {PLAIN,
                      {.priority = ORR_PRIO_NORMAL, .pool = "shut"},
                      {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}};
    shape_edge e[] = {{0, 1}, {1, 2}};
    orr_error error;
    (void)state;
    begin(&w);
    assert_int_equal(orr_core_pool(sim_core(w.sim), "shut", 0, 0, 0), ORR_OK);
    go(&w, shape(NULL, 3, p, 2, e));
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_FAILED);
    orr_run_failure(w.run, &error);
    assert_string_equal(error.code, "stall");
    assert_non_null(strstr(error.message, "b waits for pool 'shut', which has no places"));
    assert_state(&w, 1, ORR_NODE_CANCELLED);
    assert_state(&w, 2, ORR_NODE_COMPLETED);
    end(&w);
}

/* A wide run does not starve another one. */
static void round_robin(void **state) {
    world w = {0};
    orr_policy p[20], q = {.priority = ORR_PRIO_NORMAL, .pool = "one"};
    (void)state;
    for (int i = 0; i < 20; i++) p[i] = q;
    begin(&w);
    orr_core_pool(sim_core(w.sim), "one", 1, 0, 0);
    orr_plan *wide = shape(NULL, 20, p, 0, NULL), *narrow = shape(NULL, 2, p, 0, NULL);
    orr_run *a = sim_start(w.sim, wide, 1), *b = sim_start(w.sim, narrow, 2);
    sim_run(w.sim, 100 * SECOND);
    uint32_t n, seen = 0;
    const sim_line *l = sim_history(w.sim, &n);
    for (uint32_t i = 0; i < n; i++)
        if (l[i].what == 'S' && l[i].run == b)
            assert_int_equal(l[i].time - 1, (int64_t)(1 + 2 * seen++) * SECOND);
    assert_int_equal(seen, 2);
    assert_int_equal(orr_run_get_state(a), ORR_RUN_COMPLETED);
    orr_plan_unref(wide);
    orr_plan_unref(narrow);
    end(&w);
}

/* ---- breakers -------------------------------------------------------------------------------- */

static void breaker_opens(void **state) {
    world w = {0};
    orr_breaker_options o = {.threshold = 2, .window = 60 * SECOND, .cooldown = 30 * SECOND, .probes = 1};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 5, .delay = SECOND}};
    (void)state;
    begin(&w);
    orr_core_breaker(sim_core(w.sim), "api", &o);
    give(&w, 0, fails);
    give(&w, 0, fails);
    give(&w, 0, works);
    go(&w, shape(NULL, 1, &p, 0, NULL));
    /* 0-1 fails, 2-3 fails: opens at 3, closed to it until 33, then a probe that works */
    assert_at(&w, 'S', 0, ORR_NONE, 1, 2 * SECOND);
    assert_at(&w, 'S', 0, ORR_NONE, 2, 33 * SECOND);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    assert_int_equal(w.events[ORR_EV_BREAKER_OPENED], 1);
    assert_int_equal(w.events[ORR_EV_BREAKER_HALF_OPEN], 1);
    assert_int_equal(w.events[ORR_EV_BREAKER_CLOSED], 1);
    end(&w);
}

static void breaker_refuses(void **state) {
    world w = {0};
    orr_breaker_options o = {.threshold = 1};
    orr_plan_options on = {.name = "b", .on_error = ORR_ON_ERROR_CONTINUE};
    orr_policy p[] = {
        {.priority = ORR_PRIO_NORMAL, .breaker = "api"},
        {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE},
        {.priority = ORR_PRIO_NORMAL, .breaker = "api"},
    };
    shape_edge e[] = {{0, 1}, {1, 2}};
    (void)state;
    begin(&w);
    orr_core_breaker(sim_core(w.sim), "api", &o);
    give(&w, 0, fails);
    go(&w, shape(&on, 3, p, 2, e));
    assert_code(&w, 2, "circuit_open");
    assert_none(&w, 'S', 2, 0);
    end(&w);
}

/* ---- items and iterations -------------------------------------------------------------------- */

static void items(void **state) {
    world w = {.items = 5};
    orr_plan_options o = {.name = "e", .concurrency = 2};
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .has_each = true}, PLAIN};
    shape_edge e[] = {{0, 1}};
    (void)state;
    go(&w, shape(&o, 2, p, 1, e));
    for (uint32_t i = 0; i < 5; i++) assert_at(&w, 'S', 0, i, 0, (int64_t)(i / 2) * SECOND);
    assert_at(&w, 'S', 1, ORR_NONE, 0, 3 * SECOND);
    assert_int_equal(orr_run_items(w.run, 0), 5);
    end(&w);
}

static void no_items(void **state) {
    world w = {.items = 0};
    orr_policy p[] = {{.priority = ORR_PRIO_NORMAL, .has_each = true}, PLAIN};
    shape_edge e[] = {{0, 1}};
    (void)state;
    go(&w, shape(NULL, 2, p, 1, e));
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    assert_at(&w, 'S', 1, ORR_NONE, 0, 0);
    end(&w);
}

static void items_that_fail(void **state) {
    static const struct {
        double allowed;
        bool percent;
        orr_node_state state;
    } rows[] = {
        {0, false, ORR_NODE_FAILED}, {4, false, ORR_NODE_FAILED},     {5, false, ORR_NODE_COMPLETED},
        {99, true, ORR_NODE_FAILED}, {100, true, ORR_NODE_COMPLETED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w = {.items = 5};
        orr_policy p = {.priority = ORR_PRIO_NORMAL,
                        .has_each = true,
                        .each_failures = rows[i].allowed,
                        .failures_percent = rows[i].percent};
        give(&w, 0, fails);
        go(&w, shape(NULL, 1, &p, 0, NULL));
        assert_state(&w, 0, rows[i].state);
        if (rows[i].state == ORR_NODE_FAILED) assert_code(&w, 0, "each_failed");
        end(&w);
    }
}

static void loops(void **state) {
    world w = {.until = 3};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .has_loop = true, .loop_max = 5, .loop_delay = 4 * SECOND};
    (void)state;
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_at(&w, 'S', 0, ORR_NONE, 1, 5 * SECOND);
    assert_at(&w, 'S', 0, ORR_NONE, 2, 10 * SECOND);
    assert_none(&w, 'S', 0, 3);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    end(&w);
}

static void loop_exhausted(void **state) {
    world w = {.until = 100};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .has_loop = true, .loop_max = 3, .retry = {.max = 2}};
    (void)state;
    go(&w, shape(NULL, 1, &p, 0, NULL));
    assert_none(&w, 'S', 0, 3);
    assert_code(&w, 0, "loop_exhausted");
    end(&w);
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void fallback(void **state) {
    world w = {0};
    orr_policy p[] = {
        {.priority = ORR_PRIO_NORMAL, .has_fallback = true, .retry = {.max = 1, .delay = SECOND}},
        PLAIN,
    };
    shape_edge e[] = {{0, 1}};
    (void)state;
    give(&w, 0, fails);
    go(&w, shape(NULL, 2, p, 1, e));
    assert_at(&w, 'S', 0, ORR_NONE, 2, 3 * SECOND);
    assert_int_equal(sim_find(w.sim, 'S', 0, ORR_NONE, 2)->phase, ORR_PHASE_FALLBACK);
    assert_state(&w, 0, ORR_NODE_COMPLETED);
    assert_at(&w, 'S', 1, ORR_NONE, 0, 4 * SECOND);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_COMPLETED);
    end(&w);
}

/* Three branches; the first one fails at 1 s, the second takes 5 s, the third 5 s and is
 * followed by another node. */
static void on_error(void **state) {
    static const struct {
        orr_on_error on_error;
        orr_node_state branch, next;
        int64_t cleanup;
    } rows[] = {
        {ORR_ON_ERROR_STOP, ORR_NODE_CANCELLED, ORR_NODE_SKIPPED, 1},
        {ORR_ON_ERROR_DRAIN, ORR_NODE_COMPLETED, ORR_NODE_CANCELLED, 5},
        {ORR_ON_ERROR_CONTINUE, ORR_NODE_COMPLETED, ORR_NODE_COMPLETED, 6},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w = {0};
        orr_plan_options o = {.name = "x", .on_error = (uint8_t)rows[i].on_error};
        orr_policy p[] = {PLAIN, PLAIN, PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}};
        shape_edge e[] = {{1, 2}, {0, 3}, {2, 3}};
        give(&w, 0, fails);
        give(&w, 1, (sim_deed){.takes = 5 * SECOND, .end = ORR_END_COMPLETED});
        go(&w, shape(&o, 4, p, 3, e));
        assert_state(&w, 1, rows[i].branch);
        assert_state(&w, 2, rows[i].next);
        assert_at(&w, 'S', 3, ORR_NONE, 0, rows[i].cleanup * SECOND);
        assert_state(&w, 3, ORR_NODE_COMPLETED);
        assert_int_equal(orr_run_get_state(w.run), ORR_RUN_FAILED);
        assert_int_equal(orr_run_failure(w.run, NULL), 0);
        end(&w);
    }
}

static void cancel_with_cleanup(void **state) {
    world w = {.meddling.cancel_at = 3 * SECOND + 1};
    orr_policy p[] = {PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}, PLAIN};
    shape_edge e[] = {{0, 1}, {1, 2}};
    (void)state;
    give(&w, 0, (sim_deed){.takes = 3 * SECOND + 1, .end = ORR_END_COMPLETED, .sleeps = SECOND});
    begin(&w);
    orr_plan *plan = shape(NULL, 3, p, 2, e);
    w.run = sim_start(w.sim, plan, 1);
    sim_run(w.sim, 2 * SECOND);
    w.meddling.cancel_at = 1;
    sim_run(w.sim, 1000 * SECOND);
    assert_state(&w, 0, ORR_NODE_CANCELLED);
    assert_state(&w, 1, ORR_NODE_COMPLETED);
    assert_state(&w, 2, ORR_NODE_CANCELLED);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_CANCELLED);
    orr_plan_unref(plan);
    end(&w);
}

static void cleanup_timeout(void **state) {
    world w = {0};
    orr_plan_options o = {.name = "c", .cleanup_timeout = 2 * SECOND};
    orr_policy p[] = {PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}};
    shape_edge e[] = {{0, 1}};
    (void)state;
    give(&w, 0, fails);
    give(&w, 1, (sim_deed){.takes = 60 * SECOND, .end = ORR_END_COMPLETED});
    go(&w, shape(&o, 2, p, 1, e));
    assert_at(&w, 'C', 1, ORR_NONE, 0, 3 * SECOND);
    assert_state(&w, 1, ORR_NODE_CANCELLED);
    end(&w);
}

static void need_cancels_the_rest(void **state) {
    world w = {0};
    orr_policy p[] = {PLAIN,
                      PLAIN,
                      PLAIN,
                      {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_NEED, .need = 2, .cancel_rest = true}};
    shape_edge e[] = {{0, 3}, {1, 3}, {2, 3}};
    (void)state;
    give(&w, 1, (sim_deed){.takes = 9 * SECOND, .end = ORR_END_COMPLETED});
    go(&w, shape(NULL, 4, p, 3, e));
    assert_at(&w, 'S', 3, ORR_NONE, 0, SECOND);
    assert_at(&w, 'C', 1, ORR_NONE, 0, SECOND);
    assert_state(&w, 1, ORR_NODE_CANCELLED);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_COMPLETED);
    end(&w);
}

static void pause_and_resume(void **state) {
    world w = {.meddling.pause_at = 1, .meddling.resume_at = 8 * SECOND};
    shape_edge e[] = {{0, 1}};
    orr_policy p[] = {PLAIN, PLAIN, PLAIN};
    (void)state;
    give(&w, 2, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_COMPLETED});
    begin(&w);
    /* it is paused when its first nodes have started: they go on, what follows them does not
     * start */
    go(&w, shape(NULL, 3, p, 1, e));
    assert_at(&w, 'E', 0, ORR_NONE, 0, SECOND);
    assert_at(&w, 'S', 1, ORR_NONE, 0, 10 * SECOND);
    end(&w);
}

/* Cancelling a paused run does not leave its cleanup nodes waiting for a resume. */
static void cancelled_while_paused(void **state) {
    world w = {.meddling.pause_at = 1, .meddling.cancel_at = SECOND};
    orr_policy p[] = {PLAIN, {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE}};
    shape_edge e[] = {{0, 1}};
    (void)state;
    give(&w, 0, (sim_deed){.takes = 10 * SECOND, .end = ORR_END_COMPLETED, .sleeps = SECOND});
    begin(&w);
    orr_plan *plan = shape(NULL, 2, p, 1, e);
    w.run = sim_start(w.sim, plan, 42);
    sim_run(w.sim, 5 * SECOND);
    w.meddling.cancel_at = 1;
    sim_run(w.sim, 1000 * SECOND);
    assert_state(&w, 1, ORR_NODE_COMPLETED);
    assert_int_equal(orr_run_get_state(w.run), ORR_RUN_CANCELLED);
    orr_plan_unref(plan);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff),
        cmocka_unit_test(jitter_bounds),
        cmocka_unit_test(retry_filters),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(attempt_timeout),
        cmocka_unit_test(deaf_attempt),
        cmocka_unit_test(late_answer),
        cmocka_unit_test(deadline),
        cmocka_unit_test(heartbeat),
        cmocka_unit_test(run_timeout),
        cmocka_unit_test(sleeping),
        cmocka_unit_test(concurrency_and_priority),
        cmocka_unit_test(pool_places),
        cmocka_unit_test(pool_rate),
        cmocka_unit_test(pool_unknown),
        cmocka_unit_test(pool_keyed),
        cmocka_unit_test(pool_lost_while_waiting),
        cmocka_unit_test(stall),
        cmocka_unit_test(round_robin),
        cmocka_unit_test(breaker_opens),
        cmocka_unit_test(breaker_refuses),
        cmocka_unit_test(items),
        cmocka_unit_test(no_items),
        cmocka_unit_test(items_that_fail),
        cmocka_unit_test(loops),
        cmocka_unit_test(loop_exhausted),
        cmocka_unit_test(fallback),
        cmocka_unit_test(on_error),
        cmocka_unit_test(cancel_with_cleanup),
        cmocka_unit_test(cleanup_timeout),
        cmocka_unit_test(need_cancels_the_rest),
        cmocka_unit_test(pause_and_resume),
        cmocka_unit_test(cancelled_while_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
