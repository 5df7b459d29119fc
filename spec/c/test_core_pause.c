/* test_core_pause.c - the clock of a run: what a pause stops and what it does not, within a process
 * and over the end of one; and clocks of processes that do not agree. What moves in time is checked
 * in exact times, and as a property: a run that was paused is the run that was not, only later.
 *
 * `ORR_PAUSE=seed,nodes,flags` tries one random workflow alone.
 */
#include "core/inner.h"
#include "chance.h"
#include "rerun.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- in exact times -------------------------------------------------------------------------- */

static const sim_deed slow = {.takes = 1000 * SECOND, .end = ORR_END_COMPLETED};
static const sim_deed deaf = {.takes = 1000 * SECOND, .end = ORR_END_COMPLETED, .deaf = true};

/* One node that is paused from 2 s to 102 s; a thing that would happen at 5 s happens at 105 s. */
typedef struct row {
    const char *name;
    orr_policy policy;
    sim_deed deed;
    int64_t timeout; /* of the run, s */
    char what;       /* the line that is looked for, its item and its place */
    uint32_t item, nth;
    bool alive; /* an attempt is under way: over the end of a process it begins again */
} row;

static const row rows[] = {
    {"timeout", {.timeout = 5 * SECOND}, {.takes = 1000 * SECOND}, 0, 'C', ORR_NONE, 0, true},
    {"heartbeat", {.heartbeat = 5 * SECOND}, {.takes = 1000 * SECOND}, 0, 'C', ORR_NONE, 0, true},
    {"deadline", {.deadline = 5 * SECOND}, {.takes = 1000 * SECOND}, 0, 'C', ORR_NONE, 0, false},
    {"deadline of an item",
     {.has_each = true, .deadline = 5 * SECOND},
     {.takes = 1000 * SECOND},
     0,
     'C',
     0,
     0,
     false},
    {"deadline of an item with a place",
     {.has_each = true, .each_parallel = 1, .deadline = 5 * SECOND},
     {.takes = 1000 * SECOND},
     0,
     'C',
     0,
     0,
     false},
    {"timeout of the run", {0}, {.takes = 1000 * SECOND}, 5, 'C', ORR_NONE, 0, false},
    {"backoff",
     {.retry = {.max = 1, .strategy = ORR_BACKOFF_FIXED, .delay = 4 * SECOND}},
     {.takes = SECOND, .end = ORR_END_FAILED},
     0,
     'S',
     ORR_NONE,
     1,
     false},
    {"loop", {.has_loop = true, .loop_delay = 4 * SECOND}, {.takes = SECOND}, 0, 'S', ORR_NONE, 1, false},
    {"sleep", {0}, {.takes = 2 * SECOND, .sleeps = 4 * SECOND}, 0, 'R', ORR_NONE, 0, true},
};

static void begin_row(rerun *r, const row *at) {
    orr_policy policy = at->policy;
    orr_plan_options options = {.timeout = at->timeout * SECOND};
    policy.priority = ORR_PRIO_NORMAL;
    *r = (rerun){.items = 1, .until = 2};
    rerun_give(r, 0, at->deed);
    rerun_begin(r, shape(&options, 1, &policy, 0, NULL));
}

static void assert_row(const rerun *r, const row *at, uint32_t nth, int64_t when) {
    const sim_line *l = sim_find(r->s, at->what, 0, at->item, nth);
    if (l == NULL) fail_msg("%s: nothing of the kind happened", at->name);
    if (l != NULL && l->time != when + 1)
        fail_msg("%s: at %.9f s, expected %.9f s", at->name, (double)(l->time - 1) / 1e9, (double)when / 1e9);
}

static void stands_still(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rerun r;
        begin_row(&r, &rows[i]);
        rerun_until(&r, 2 * SECOND);
        orr_run_pause(r.run);
        assert_true(orr_core_deadline(sim_core(r.s)) == INT64_MAX);
        rerun_until(&r, 102 * SECOND);
        orr_run_resume(r.run);
        rerun_until(&r, 105 * SECOND);
        assert_row(&r, &rows[i], rows[i].nth, 105 * SECOND);
        rerun_end(&r);
    }
}

/* The same over two processes, the second of which finds it paused, and has a clock that is right
 * or, with the rest of the pause, half a minute behind. */
static void stands_still_without_a_process(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        const row *at = &rows[i / 2];
        int64_t behind = i % 2 ? 30 * SECOND : 0, resumed = (behind ? 32 : 102) * SECOND - behind;
        rerun r;
        if (at->alive) continue;
        begin_row(&r, at);
        rerun_until(&r, 2 * SECOND);
        orr_run_pause(r.run);
        rerun_recover(&r, behind ? 0 : 50 * SECOND, false);
        assert_int_equal(orr_run_get_state(r.run), ORR_RUN_PAUSED);
        assert_true(orr_core_deadline(sim_core(r.s)) == INT64_MAX);
        rerun_until(&r, resumed);
        orr_run_resume(r.run);
        rerun_until(&r, resumed + 3 * SECOND);
        assert_row(&r, at, at->what == 'S' ? 0 : at->nth, resumed + 3 * SECOND);
        rerun_end(&r);
    }
}

static void pauses_add_up(void **state) {
    rerun r;
    (void)state;
    begin_row(&r, &rows[2]);
    for (int64_t at = 1; at <= 4; at++) { /* 1 s of each of four pieces of 10 s */
        rerun_until(&r, (at - 1) * 10 * SECOND + SECOND);
        orr_run_pause(r.run);
        orr_run_pause(r.run); /* which changes nothing */
        rerun_until(&r, at * 10 * SECOND);
        if (at == 2) rerun_recover(&r, at * 10 * SECOND, false);
        orr_run_resume(r.run);
        orr_run_resume(r.run);
    }
    rerun_until(&r, 41 * SECOND);
    assert_row(&r, &rows[2], 0, 41 * SECOND);
    assert_int_equal(rerun_count(&r, ORR_REC_PAUSED, ORR_NONE), 4);
    rerun_end(&r);
}

/* What runs goes on while its run is paused, and counts by a clock that stands still. */
static void happens_in_a_pause(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    /* its attempt fails at 3 s, and there are 4 s to wait from when it goes on */
    policies[0].retry = (orr_retry){.max = 1, .strategy = ORR_BACKOFF_FIXED, .delay = 4 * SECOND};
    rerun_give(&r, 0, (sim_deed){.takes = 3 * SECOND, .end = ORR_END_FAILED});
    /* it waits from 4 s on, and has 3 s left of its timeout */
    policies[1].timeout = 5 * SECOND;
    rerun_give(&r, 1, (sim_deed){.takes = 8 * SECOND, .end = ORR_END_COMPLETED, .sleeps = SECOND});
    /* it completes at 6 s, so what follows is ready, with a deadline that has not begun to count */
    policies[2].deadline = 5 * SECOND;
    rerun_give(&r, 2, slow);
    rerun_begin(&r, shape(&(orr_plan_options){.on_error = ORR_ON_ERROR_CONTINUE}, 3, policies, 0, NULL));
    rerun_until(&r, 2 * SECOND);
    orr_run_pause(r.run);
    rerun_until(&r, 102 * SECOND);
    rerun_assert_none(&r, 'S', 0, ORR_NONE, 1);
    rerun_assert_none(&r, 'R', 1, ORR_NONE, 0);
    orr_run_resume(r.run);
    rerun_until(&r, 120 * SECOND);
    rerun_assert_at(&r, 'S', 0, ORR_NONE, 1, 106 * SECOND);
    rerun_assert_at(&r, 'R', 1, ORR_NONE, 0, 103 * SECOND);
    rerun_assert_at(&r, 'C', 1, ORR_NONE, 0, 106 * SECOND);
    rerun_assert_at(&r, 'C', 2, ORR_NONE, 0, 105 * SECOND);
    rerun_end(&r);
}

/* A node that becomes ready in a pause has its whole deadline when it is over. */
static void ready_in_a_pause(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[1].deadline = 5 * SECOND;
    rerun_give(&r, 0, (sim_deed){.takes = 3 * SECOND, .end = ORR_END_COMPLETED});
    rerun_give(&r, 1, slow);
    rerun_begin(&r, shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}}));
    rerun_until(&r, 2 * SECOND);
    orr_run_pause(r.run);
    rerun_until(&r, 50 * SECOND);
    rerun_recover(&r, 60 * SECOND, false);
    rerun_until(&r, 102 * SECOND);
    orr_run_resume(r.run);
    rerun_until(&r, 120 * SECOND);
    rerun_assert_at(&r, 'C', 1, ORR_NONE, 0, 107 * SECOND);
    rerun_end(&r);
}

/* A sign of life in a pause or after it counts from the clock. */
static void signs_of_life(void **state) {
    static const int64_t beats[] = {50, 103}, ends[] = {107, 108};
    const orr_task task = {0, ORR_NONE, 0, 1};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        rerun r;
        begin_row(&r, &rows[1]);
        rerun_until(&r, 2 * SECOND);
        orr_run_pause(r.run);
        for (int64_t at = 50; at <= 103; at += 1) {
            rerun_until(&r, at * SECOND);
            if (at == 102) orr_run_resume(r.run);
            if (at == beats[i]) assert_int_equal(orr_task_heartbeat(r.run, &task), ORR_OK);
        }
        rerun_until(&r, 200 * SECOND);
        assert_row(&r, &rows[1], 0, ends[i] * SECOND);
        rerun_end(&r);
    }
}

/* ---- what a pause does not stop -------------------------------------------------------------- */

static void grace_goes_on(void **state) {
    rerun r = {0};
    orr_policy policy = {.timeout = SECOND, .priority = ORR_PRIO_NORMAL};
    (void)state;
    rerun_give(&r, 0, deaf);
    rerun_begin(&r, shape(NULL, 1, &policy, 0, NULL));
    rerun_until(&r, 2 * SECOND); /* it was asked to stop at 1 s */
    orr_run_pause(r.run);
    rerun_until(&r, 50 * SECOND);
    rerun_assert_at(&r, 'A', 0, ORR_NONE, 0, 6 * SECOND);
    rerun_end(&r);
}

/* What was due before the pause has come, also where a process finds it paused. */
static void what_was_due_comes(void **state) {
    rerun r = {0};
    orr_policy policy = {.deadline = SECOND, .priority = ORR_PRIO_NORMAL};
    (void)state;
    rerun_give(&r, 0, deaf);
    rerun_begin(&r, shape(NULL, 1, &policy, 0, NULL));
    rerun_until(&r, 2 * SECOND); /* it was asked to stop at 1 s, and has not answered */
    orr_run_pause(r.run);
    rerun_recover(&r, 3 * SECOND, false);
    rerun_assert_code(&r, 0, "deadline");
    rerun_assert_ended(&r, ORR_RUN_FAILED);
    rerun_end(&r);
}

/* A run that is cancelled while it is paused is cleaned up, in the time that there is for it. */
static void cleaning_up_goes_on(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN};
    rerun r = {0};
    (void)state;
    policies[1].join = policies[2].join = ORR_JOIN_DONE;
    rerun_give(&r, 0, slow);
    rerun_give(&r, 1, (sim_deed){.takes = 2 * SECOND, .end = ORR_END_COMPLETED, .sleeps = 4 * SECOND});
    rerun_give(&r, 2, slow);
    rerun_begin(&r, shape(&(orr_plan_options){.cleanup_timeout = 10 * SECOND}, 3, policies, 2,
                          (shape_edge[]){{0, 1}, {0, 2}}));
    rerun_until(&r, 2 * SECOND);
    orr_run_pause(r.run);
    rerun_until(&r, 50 * SECOND);
    orr_run_cancel(r.run);
    rerun_to_end(&r);
    rerun_assert_at(&r, 'R', 1, ORR_NONE, 0, 55 * SECOND);
    rerun_assert_at(&r, 'C', 2, ORR_NONE, 0, 60 * SECOND);
    rerun_assert_at(&r, '!', ORR_NONE, ORR_NONE, 0, 60 * SECOND);
    rerun_assert_ended(&r, ORR_RUN_CANCELLED);
    rerun_end(&r);
}

/* A pool that is paused gives no places and stops no clock. */
static void pool_stops_no_clock(void **state) {
    orr_policy policy = {.pool = "db", .deadline = 5 * SECOND, .priority = ORR_PRIO_NORMAL};
    (void)state;
    orr_plan *plan = shape(NULL, 1, &policy, 0, NULL);
    sim_script script = {0};
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim *s = sim_new(&alloc, &script);
    assert_int_equal(orr_core_pool(sim_core(s), "db", 1, 0, 0), ORR_OK);
    assert_int_equal(orr_core_pool_pause(sim_core(s), "db", true), ORR_OK);
    orr_run *run = sim_start(s, plan, 1);
    sim_run(s, 100 * SECOND);
    assert_int_equal(sim_now(s), 5 * SECOND + 1);
    assert_int_equal(orr_run_get_state(run), ORR_RUN_FAILED);
    sim_free(s);
    orr_plan_unref(plan);
}

/* ---- what is said of it ---------------------------------------------------------------------- */

static void says_what_is_left(void **state) {
    rerun r;
    orr_why why;
    (void)state;
    begin_row(&r, &rows[6]); /* tried again at 5 s */
    rerun_until(&r, 2 * SECOND);
    orr_run_why(r.run, 0, ORR_NONE, &why);
    assert_int_equal(why.kind, ORR_WHY_BACKOFF);
    assert_true(why.due == 5 * SECOND + 1 && why.left == -1);
    orr_run_pause(r.run);
    rerun_until(&r, 40 * SECOND);
    orr_run_why(r.run, 0, ORR_NONE, &why);
    assert_true(why.left == 3 * SECOND);
    assert_true(why.due == 43 * SECOND + 1); /* if it went on now */
    orr_run_resume(r.run);
    orr_run_why(r.run, 0, ORR_NONE, &why);
    assert_true(why.due == 43 * SECOND + 1 && why.left == -1);
    orr_record resumed = diary_record(&r.d, r.d.n - 1);
    assert_int_equal(resumed.kind, ORR_REC_RESUMED);
    assert_true(resumed.due == 38 * SECOND);
    rerun_end(&r);
}

/* Code that does not wait has what is left of its bounds, from when it began. */
static void bounds_of_running_code(void **state) {
    rerun r;
    const orr_task task = {0, ORR_NONE, 0, 1};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        begin_row(&r, &rows[i]);
        rerun_until(&r, 2 * SECOND);
        assert_true(orr_task_due(r.run, &task) == 5 * SECOND + 1);
        orr_run_pause(r.run);
        rerun_until(&r, 40 * SECOND);
        assert_true(orr_task_due(r.run, &task) == 43 * SECOND + 1);
        rerun_end(&r);
    }
    begin_row(&r, &rows[5]);
    rerun_until(&r, 2 * SECOND);
    orr_run_pause(r.run);
    rerun_until(&r, 40 * SECOND);
    assert_true(orr_task_run_due(r.run, &task) == 43 * SECOND + 1);
    rerun_end(&r);
}

/* ---- clocks that do not agree ---------------------------------------------------------------- */

/* 3 s are left of what would come at 5 s, whatever the clock of the next process says, if it says
 * less than the last record. */
static void a_clock_that_was_ahead(void **state) {
    static const int64_t clocks[] = {2, 1, 0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows * 3; i++) {
        const row *at = &rows[i / 3];
        int64_t now = clocks[i % 3] * SECOND;
        rerun r;
        if (at->alive) continue;
        begin_row(&r, at);
        rerun_until(&r, 2 * SECOND);
        assert_int_equal(orr_run_note(r.run, ORR_REC_SIGNAL, NULL, -1, 1, NULL), ORR_OK);
        rerun_recover(&r, now, false);
        assert_true(orr_run_time(r.run, now + 1) == 2 * SECOND + 1);
        rerun_until(&r, now + 3 * SECOND);
        assert_row(&r, at, at->what == 'S' ? 0 : at->nth, now + 3 * SECOND);
        orr_record last = diary_record(&r.d, r.d.n - 1);
        if (at->what == 'S') assert_true(last.time == 5 * SECOND + 1);
        rerun_end(&r);
    }
}

/* Once a clock was ahead, all records after it are as well: each process goes on from there. */
static void ahead_for_good(void **state) {
    rerun r;
    (void)state;
    begin_row(&r, &rows[2]); /* a deadline at 5 s */
    rerun_until(&r, SECOND);
    rerun_recover(&r, 4 * SECOND, false);
    for (int64_t i = 0; i < 5; i++) {
        rerun_recover(&r, i, false);
        assert_true(orr_core_deadline(sim_core(r.s)) == SECOND + i + 1);
    }
    rerun_until(&r, 2 * SECOND);
    assert_row(&r, &rows[2], 0, SECOND + 4);
    rerun_end(&r);
}

/* ---- random workflows ------------------------------------------------------------------------ */

/* One run, until a moment and after it. */
typedef struct world {
    wild w;
    sim *s;
    orr_run *run;
    diary d;
    char what[120];
} world;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const world *o = ud;
    (void)run;
    return wild_deed(&o->w, task, phase);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const world *o = ud;
    (void)run;
    return wild_evaluate(&o->w, ask, answer);
}

static void on_record(void *ud, orr_run *run, const orr_record *rec) {
    world *o = ud;
    diary_add(&o->d, run, rec);
}

static const orr_alloc heap = {orr_alloc_libc, NULL};

static void open_at(world *o, int64_t now) {
    sim_script script = {o, deed, evaluate, NULL, on_record, NULL};
    o->s = sim_new_at(&heap, &script, now, UINT32_MAX);
}

static void open_world(world *o, uint64_t seed, uint32_t n, uint32_t flags, int64_t until) {
    orr_run_options options = {.seed = seed};
    *o = (world){.w = wild_make(&heap, seed, n, flags)};
    snprintf(o->what, sizeof o->what, "ORR_PAUSE=%llu,%u,%u", (unsigned long long)seed, n, flags);
    open_at(o, 1);
    o->run = orr_run_new(sim_core(o->s), o->w.plan, &options);
    orr_run_begin(o->run);
    sim_pass(o->s, until);
}

/* The process ends, and one begins whose clock says `now`. */
static void again(world *o, int64_t now) {
    orr_run_options options = {.seed = o->w.seed};
    sim_free(o->s);
    open_at(o, now);
    o->run = orr_run_rebuild(sim_core(o->s), o->w.plan, &options);
    diary_fold(&o->d, o->d.n, o->run, o->what);
    assert_int_equal(orr_run_recover(o->run, false), ORR_OK);
}

static void close_world(world *o) {
    sim_free(o->s);
    diary_free(&o->d);
    wild_free(&o->w);
}

/* What happened after the first `from` lines of it is what happened in `a`, only later. */
static void assert_later(const world *a, const world *b, uint32_t from, int64_t by) {
    uint32_t n, m;
    const sim_line *x = sim_history(a->s, &n), *y = sim_history(b->s, &m);
    for (uint32_t i = 0; i < n || i < m; i++) {
        int64_t shift = i < from ? 0 : by;
        if (i >= n || i >= m) fail_msg("%s: %u lines, in the other %u", b->what, m, n);
        if (y[i].what != x[i].what || y[i].task.node != x[i].task.node || y[i].task.item != x[i].task.item ||
            y[i].task.attempt != x[i].task.attempt || y[i].time != x[i].time + shift)
            fail_msg("%s: line %u: %c of node %u at %.9f s, in the other %c of node %u at %.9f s + %.9f s",
                     b->what, i, y[i].what, y[i].task.node, (double)y[i].time / 1e9, x[i].what,
                     x[i].task.node, (double)x[i].time / 1e9, (double)shift / 1e9);
    }
    assert_int_equal(orr_run_get_state(a->run), orr_run_get_state(b->run));
    diary_assert_same(&b->d, b->run, b->what);
}

static uint32_t quiet;

/* A run that is paused now, and of which nothing is being stopped: for that has its time. */
static bool is_quiet(const world *o) {
    return orr_core_deadline(sim_core(o->s)) == INT64_MAX && o->run->still && o->run->mode < MODE_STOP;
}

/* Paused for a while, with what its attempts do standing still as well. */
static void paused_in_a_process(uint64_t seed, uint32_t n, uint32_t flags, int64_t at, int64_t length) {
    world a, b;
    uint32_t from, then;
    open_world(&a, seed, n, flags, at);
    open_world(&b, seed, n, flags, at);
    orr_run_pause(b.run);
    if (is_quiet(&b)) {
        quiet++;
        sim_history(b.s, &from);
        sim_delay(b.s, b.run, length);
        sim_pass(b.s, at + length - 1);
        sim_history(b.s, &then);
        if (then != from) fail_msg("%s: something happened while it was paused", b.what);
        sim_pass(b.s, at + length);
        orr_run_resume(b.run);
        sim_run(a.s, INT64_MAX - 1);
        sim_run(b.s, INT64_MAX - 1);
        assert_later(&a, &b, from, length);
    }
    close_world(&a);
    close_world(&b);
}

/* The process ends in the pause, and another finds it; beside one in which a process follows at
 * once. */
static void paused_between_processes(uint64_t seed, uint32_t n, uint32_t flags, int64_t at, int64_t length) {
    world a, b;
    uint32_t then;
    open_world(&a, seed, n, flags, at);
    open_world(&b, seed, n, flags, at);
    orr_run_pause(b.run);
    if (is_quiet(&b)) {
        again(&a, at);
        again(&b, at + length / 2);
        sim_pass(b.s, at + length);
        sim_history(b.s, &then);
        if (then != 0) fail_msg("%s: something happened while it was paused", b.what);
        orr_run_resume(b.run);
        sim_run(a.s, INT64_MAX - 1);
        sim_run(b.s, INT64_MAX - 1);
        assert_later(&a, &b, 0, length);
    }
    close_world(&a);
    close_world(&b);
}

/* The next process has a clock that is behind the last record: for the run it makes no
 * difference. */
static void set_back(uint64_t seed, uint32_t n, uint32_t flags, int64_t at, int64_t by) {
    world a, b;
    open_world(&a, seed, n, flags, at);
    open_world(&b, seed, n, flags, at);
    if (!a.run->ended) {
        int64_t last = a.d.entries[a.d.n - 1].rec.time, now = last > by ? last - by : 1;
        again(&a, last);
        again(&b, now);
        sim_run(a.s, INT64_MAX - 1);
        sim_run(b.s, INT64_MAX - 1);
        assert_later(&a, &b, 0, now - last);
        assert_int_equal(a.d.n, b.d.n);
        for (uint32_t i = 0; i < a.d.n; i++)
            if (a.d.entries[i].rec.time != b.d.entries[i].rec.time ||
                a.d.entries[i].rec.due != b.d.entries[i].rec.due)
                fail_msg("%s: record %u (%s) has another time", b.what, i + 1,
                         orr_record_name(a.d.entries[i].rec.kind));
    }
    close_world(&a);
    close_world(&b);
}

static void one(uint64_t seed, uint32_t n, uint32_t flags) {
    uint64_t h = wild_hash(seed, 41, n, flags);
    int64_t at = 1 + (int64_t)(h % (uint64_t)(6 * SECOND)),
            length = 2 + (int64_t)(h / 64 % (uint64_t)(900 * SECOND));
    paused_in_a_process(seed, n, flags, at, length);
    paused_between_processes(seed, n, flags, at, length);
    set_back(seed, n, flags, at, length);
}

static void only_later(void **state) {
    chance c = chance_begin("paused, and with clocks that are behind");
    uint32_t all = wild_hunt(3000);
    (void)state;
    quiet = 0;
    for (uint32_t i = 0; i < all; i++) {
        uint64_t seed = chance_next(&c);
        uint32_t n = 1 + chance_below(&c, 16);
        one(seed, n, WILD_TIMES | (chance_of(&c, 40) ? WILD_UNDO : 0) | (chance_of(&c, 20) ? WILD_BAD : 0));
    }
    printf("%u of %u were paused in a quiet moment\n", quiet, all);
    assert_true(quiet > all / 4);
}

static void one_case(void **state) {
    unsigned long long seed = 0;
    unsigned nodes = 0, flags = 0;
    (void)state;
    if (sscanf(getenv("ORR_PAUSE"), "%llu,%u,%u", &seed, &nodes, &flags) != 3)
        fail_msg("ORR_PAUSE=seed,nodes,flags");
    one(seed, nodes, flags);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stands_still),
        cmocka_unit_test(stands_still_without_a_process),
        cmocka_unit_test(pauses_add_up),
        cmocka_unit_test(happens_in_a_pause),
        cmocka_unit_test(ready_in_a_pause),
        cmocka_unit_test(signs_of_life),
        cmocka_unit_test(grace_goes_on),
        cmocka_unit_test(what_was_due_comes),
        cmocka_unit_test(cleaning_up_goes_on),
        cmocka_unit_test(pool_stops_no_clock),
        cmocka_unit_test(says_what_is_left),
        cmocka_unit_test(bounds_of_running_code),
        cmocka_unit_test(a_clock_that_was_ahead),
        cmocka_unit_test(ahead_for_good),
        cmocka_unit_test(only_later),
    };
    const struct CMUnitTest alone[] = {cmocka_unit_test(one_case)};
    if (getenv("ORR_PAUSE") != NULL) return cmocka_run_group_tests(alone, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
