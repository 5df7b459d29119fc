/* test_core_late.c - a late turn of the loop gives the history that a timely one gives: what
 * follows from a timer is measured from when that was due, not from when it was noticed.
 */
#include "shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LINES = 64, LATE = 100 };

/* A record or an event, as a line of text each. */
typedef struct story {
    char lines[LINES][96];
    uint32_t n;
} story;

static void add(story *s, const char *name, const orr_task *task, int64_t time, int64_t due) {
    assert_true(s->n < LINES);
    int node = task->node == ORR_NONE ? -1 : (int)task->node;
    snprintf(s->lines[s->n++], sizeof s->lines[0], "%s of %d at %.9f, due %.9f", name, node,
             (double)(time - 1) / 1e9, due > 0 ? (double)(due - 1) / 1e9 : -1.0);
}

static void on_record(void *ud, orr_run *run, const orr_record *r) {
    (void)run;
    add(ud, orr_record_name(r->kind), &r->task, r->time, r->due);
}

static void on_event(void *ud, const orr_event *e) {
    add(ud, orr_event_name(e->kind), &e->task, e->time, e->due);
}

typedef struct scene {
    const char *name;
    orr_plan_options options;
    orr_policy policies[3];
    shape_edge edges[2];
    uint32_t n_nodes, n_edges;
    int64_t wait;            /* s for which the first attempt waits, from the start on */
    const char *expected[3]; /* lines of the story */
} scene;

#define AT(what, node, time) what " of " node " at " time ".000000000, due -1.000000000"
#define DUE(what, node, time, due) what " of " node " at " time ".000000000, due " due ".000000000"

static const scene scenes[] = {
    {"an attempt that is deaf: timeout, grace, backoff",
     .policies = {{.timeout = 5 * SECOND, .retry = {.max = 1, .delay = 3 * SECOND}}}, .n_nodes = 1,
     .expected = {DUE("attempt_failed", "0", "10", "13"), DUE("node_retrying", "0", "10", "13"),
                  AT("woken", "0", "13")}},
    {"one without a sign of life", .policies = {{.heartbeat = 3 * SECOND}}, .n_nodes = 1,
     .expected = {AT("node_silent", "0", "3"), AT("failed", "0", "8"), AT("run_ended", "-1", "8")}},
    {"deadlines of nodes of which one follows the other", .options = {.on_error = ORR_ON_ERROR_CONTINUE},
     .policies = {{.pool = "narrow", .deadline = 3 * SECOND},
                  {.pool = "narrow", .deadline = 4 * SECOND, .join = ORR_JOIN_DONE},
                  {.pool = "narrow", .deadline = 5 * SECOND, .join = ORR_JOIN_DONE}},
     .edges = {{0, 1}, {1, 2}}, .n_nodes = 3, .n_edges = 2,
     .expected = {AT("failed", "0", "3"), AT("failed", "1", "7"), AT("failed", "2", "12")}},
    {"the end of a run in time, and the time of its cleanup",
     .options = {.timeout = 5 * SECOND, .cleanup_timeout = 12 * SECOND},
     .policies = {{.priority = 0}, {.pool = "narrow", .join = ORR_JOIN_DONE}}, .edges = {{0, 1}},
     .n_nodes = 2, .n_edges = 1,
     .expected = {AT("cancelled", "0", "10"), AT("cancelled", "1", "22"), AT("run_ended", "-1", "22")}},
    {"one that is woken and has no place in its pool",
     .policies = {{.deadline = 9 * SECOND, .pool = "narrow", .retry = {.max = 3}}}, .n_nodes = 1, .wait = 6,
     .expected = {AT("woken", "0", "6"), AT("failed", "0", "14"), AT("run_ended", "-1", "14")}},
};

/* Starts what can start. What starts first may wait. */
static void start_all(orr_core *core, int64_t wait) {
    orr_action a;
    while (orr_core_next(core, &a))
        if (wait > 0) assert_int_equal(orr_task_wait(a.run, &a.task, wait * SECOND + 1), ORR_OK);
}

static orr_run *begin(orr_core *core, orr_plan *plan, int64_t wait) {
    orr_run_options options = {.seed = 1};
    orr_run *run = orr_run_new(core, plan, &options);
    orr_run_begin(run);
    start_all(core, wait);
    return run;
}

/* A run of another workflow holds the only place of the pool: from the start on, or as soon as one
 * that waits has left it. Nobody answers and nothing starts: what happens is what timers do. */
static void play(const scene *sc, story *s, bool late) {
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL},
                                .hooks = {s, NULL, on_record, on_event, NULL},
                                .now = 1};
    orr_policy holder_policy = {.pool = "narrow"};
    int64_t end = LATE * SECOND + 1, due;
    orr_core *core = orr_core_new(&options);
    orr_core_listen(core, UINT32_MAX);
    orr_core_pool(core, "narrow", 1, 0, 0);
    orr_plan *plan = shape(&sc->options, sc->n_nodes, sc->policies, sc->n_edges, sc->edges);
    orr_plan *other = shape(NULL, 1, &holder_policy, 0, NULL);
    orr_run *run = sc->wait > 0 ? begin(core, plan, sc->wait) : NULL;
    orr_run *holder = begin(core, other, 0);
    if (run == NULL) run = begin(core, plan, 0);
    while (!late && (due = orr_core_deadline(core)) < end) orr_core_advance(core, due);
    orr_core_advance(core, end);
    assert_true(orr_core_now(core) == end);
    orr_run_free(run);
    orr_run_free(holder);
    orr_core_free(core);
    orr_plan_unref(plan);
    orr_plan_unref(other);
}

static bool has(const story *s, const char *line) {
    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->lines[i], line) == 0) return true;
    return false;
}

static void late_as_timely(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        story timely = {.n = 0}, late = {.n = 0};
        play(&scenes[i], &timely, false);
        play(&scenes[i], &late, true);
        for (uint32_t k = 0; k < timely.n && k < late.n; k++)
            if (strcmp(timely.lines[k], late.lines[k]) != 0)
                fail_msg("%s: '%s' where a timely turn has '%s'", scenes[i].name, late.lines[k],
                         timely.lines[k]);
        assert_int_equal(timely.n, late.n);
        for (size_t k = 0; k < 3; k++) {
            if (has(&late, scenes[i].expected[k])) continue;
            for (uint32_t j = 0; j < late.n; j++) print_message("%s\n", late.lines[j]);
            fail_msg("%s: no '%s'", scenes[i].name, scenes[i].expected[k]);
        }
    }
}

/* The clock of the core is not set back by an earlier time. */
static void time_stands_still(void **state) {
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL}, .now = 5 * SECOND};
    (void)state;
    orr_core *core = orr_core_new(&options);
    orr_core_advance(core, 3 * SECOND);
    assert_true(orr_core_now(core) == 5 * SECOND);
    orr_core_free(core);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(late_as_timely), cmocka_unit_test(time_stands_still)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
