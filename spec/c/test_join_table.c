/* test_join_table.c - every row of the join table with every combination of up to three
 * dependencies.
 *
 * A dependency ends completed, failed, skipped because of a failure before it, skipped otherwise,
 * or cancelled, and stands behind no gate, an open one or a shut one. Each is tried under each
 * `when`, each `on_error` of the workflow, each join, and for nodes that handle failures and that
 * do not. The expectation is written down here from the manual's table, in a shape of its own, so
 * that it can disagree with the engine.
 */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { GATE_NONE, GATE_OPEN, GATE_SHUT, GATES };
enum { WHEN_NONE, WHEN_TRUE, WHEN_FALSE, WHENS };

/* Node n is the one that is looked at; then follow, for each dependency that is to be skipped
 * because of a failure, a node that fails and one that handles this. */
typedef struct world {
    uint32_t n;
    char want[3]; /* C F U S X: how each dependency ends where nothing interferes */
    int gate[3];
    int when;
    uint32_t root[3]; /* of a U: the node that fails before it */
} world;

/* They end one after another. */
static int64_t takes(const world *w, uint32_t node) {
    for (uint32_t i = 0; i < w->n; i++)
        if (node == i || (w->want[i] == 'U' && node == w->root[i])) return 10 + i;
    return 10;
}

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const world *w = ud;
    (void)run;
    (void)phase;
    sim_deed d = {.takes = takes(w, task->node), .end = ORR_END_COMPLETED};
    for (uint32_t i = 0; i < w->n; i++)
        if (w->want[i] == 'U' && task->node == w->root[i]) d.end = ORR_END_FAILED;
    if (task->node >= w->n) return d;
    if (w->want[task->node] == 'F') d.end = ORR_END_FAILED;
    else if (w->want[task->node] == 'X') d.end = ORR_END_CANCELLED;
    else d.port = w->gate[task->node] == GATE_SHUT ? "silver" : "gold";
    return d;
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const world *w = ud;
    (void)run;
    answer->truth = ask->task.node < w->n ? w->want[ask->task.node] != 'S' : w->when == WHEN_TRUE;
    return true;
}

static void edge(orr_plan_builder *b, uint32_t from, uint32_t to, uint16_t port) {
    assert_int_equal(orr_plan_edge(b, from, to, port, false), ORR_OK);
}

static orr_plan *build(world *w, const orr_policy *last, orr_on_error on_error) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    orr_plan_options options = {.name = "table", .on_error = (uint8_t)on_error};
    orr_plan_builder *b = orr_plan_begin(&alloc, &options);
    orr_plan *plan = NULL;
    uint16_t gold, silver, plain = 0, skipped, handler, policy;
    uint32_t index;
    orr_policy with_when = {.priority = ORR_PRIO_NORMAL, .has_when = true};
    orr_policy handles = {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_FAILED};
    assert_int_equal(orr_plan_port(b, "gold", 4, &gold), ORR_OK);
    assert_int_equal(orr_plan_port(b, "silver", 6, &silver), ORR_OK);
    assert_int_equal(orr_plan_policy(b, &with_when, &skipped), ORR_OK);
    assert_int_equal(orr_plan_policy(b, &handles, &handler), ORR_OK);
    assert_int_equal(orr_plan_policy(b, last, &policy), ORR_OK);
    for (uint32_t i = 0; i < w->n; i++)
        assert_int_equal(orr_plan_node(b, NULL, 0, w->want[i] == 'S' ? skipped : plain, &index), ORR_OK);
    assert_int_equal(orr_plan_node(b, NULL, 0, policy, &index), ORR_OK);
    for (uint32_t i = 0; i < w->n; i++) {
        edge(b, i, w->n, w->gate[i] == GATE_NONE ? ORR_PORT_ANY : gold);
        if (w->want[i] != 'U') continue;
        assert_int_equal(orr_plan_node(b, NULL, 0, plain, &w->root[i]), ORR_OK);
        assert_int_equal(orr_plan_node(b, NULL, 0, handler, &index), ORR_OK);
        edge(b, w->root[i], i, ORR_PORT_ANY);
        edge(b, w->root[i], index, ORR_PORT_ANY);
    }
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    return plan;
}

/* ---- what the manual says -------------------------------------------------------------------- */

typedef struct tally {
    uint32_t c, f, x, left; /* f: failed, or skipped because of a failure; left: not settled yet */
    bool shut;              /* a gate */
} tally;

static bool is_early(const orr_policy *p) {
    return p->join == ORR_JOIN_ANY || p->join == ORR_JOIN_NEED;
}

static bool join_wants(const orr_policy *p, const tally *t, uint32_t n) {
    switch (p->join) {
    case ORR_JOIN_ALL: return t->left == 0 && t->f == 0 && (t->c > 0 || n == 0);
    case ORR_JOIN_ALL_COMPLETED: return t->left == 0 && t->c == n;
    case ORR_JOIN_ANY: return t->c >= 1 || n == 0;
    case ORR_JOIN_NEED: return t->c >= p->need || n == 0;
    case ORR_JOIN_DONE: return t->left == 0;
    default: return t->left == 0 && (t->f + t->x > 0 || n == 0);
    }
}

typedef struct verdict {
    orr_node_state state;
    char outcome;
    bool run_failed;
} verdict;

typedef struct course {
    tally t;
    uint32_t provisional; /* failures that the node may still handle */
    bool ran, decided, stopping, failed;
    verdict v;
} course;

static void unhandled(course *c, orr_on_error on_error) {
    c->failed = true;
    c->stopping |= on_error != ORR_ON_ERROR_CONTINUE;
}

static void drop_out(course *c, orr_on_error on_error) {
    if (c->provisional > 0) unhandled(c, on_error);
    c->provisional = 0;
}

/* Whether the node can still come to handle a failure before it. */
static bool open_to_failures(const course *c, const orr_policy *p) {
    if (p->watches || c->t.shut) return false;
    if (p->join == ORR_JOIN_FAILED) return true;
    return is_early(p) && c->t.c + c->t.left >= (p->join == ORR_JOIN_NEED ? p->need : 1);
}

/* A dependency has ended. Over an outcome that was not taken a switch that completed counts as
 * skipped; and that shuts a gate, unless the join is `any` or `need`. */
static void settle(course *c, const world *w, const orr_policy *p, uint32_t i, char end,
                   orr_on_error on_error) {
    bool taken = w->gate[i] == GATE_NONE || (end == 'C' && w->gate[i] == GATE_OPEN);
    c->t.left--;
    c->t.c += end == 'C' && taken;
    c->t.f += end == 'F' || end == 'U';
    c->t.x += end == 'X';
    c->t.shut |= !taken && !is_early(p);
    if (end != 'F' || (c->ran && !p->watches && is_early(p))) return;
    if (!c->decided && open_to_failures(c, p)) c->provisional++;
    else unhandled(c, on_error);
}

static void decide(course *c, const world *w, const orr_policy *p, orr_on_error on_error) {
    bool cleans_up = p->join == ORR_JOIN_DONE || p->watches;
    bool runs = !c->t.shut && join_wants(p, &c->t, w->n);
    if (!c->decided && !open_to_failures(c, p)) drop_out(c, on_error);
    if (c->decided || (c->t.left > 0 && !runs)) return;
    c->decided = true;
    if (!runs) c->v = (verdict){ORR_NODE_SKIPPED, c->t.f > 0 ? 'U' : 'S', false};
    else if (c->stopping && !cleans_up) c->v = (verdict){ORR_NODE_CANCELLED, 'X', false};
    else if (w->when == WHEN_FALSE) c->v = (verdict){ORR_NODE_SKIPPED, 'S', false};
    else c->v = (verdict){ORR_NODE_COMPLETED, 'C', false};
    c->ran = c->v.outcome == 'C';
    if (!c->ran) drop_out(c, on_error);
}

/* What comes to its end after the run was stopped. */
static char stopped(char want) {
    return want == 'U' ? 'S' : 'X'; /* what would have failed was cancelled */
}

static verdict expected(const world *w, const orr_policy *p, orr_on_error on_error) {
    course c = {.t.left = w->n};
    for (uint32_t i = 0; i < w->n; i++) /* those whose `when` is false settle before anything runs */
        if (w->want[i] == 'S') settle(&c, w, p, i, 'S', on_error);
    decide(&c, w, p, on_error);
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->want[i] == 'S') continue;
        bool stop = c.stopping && on_error == ORR_ON_ERROR_STOP;
        settle(&c, w, p, i, stop ? stopped(w->want[i]) : w->want[i], on_error);
        decide(&c, w, p, on_error);
    }
    c.v.run_failed = c.failed;
    return c.v;
}

/* ---- trying them all ------------------------------------------------------------------------- */

static unsigned tried;

static void try_one(world *w, const orr_policy *policy, orr_on_error on_error) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {.ud = (void *)(uintptr_t)w, .deed = deed, .evaluate = evaluate};
    orr_plan *plan = build(w, policy, on_error);
    sim *s = sim_new(&alloc, &script);
    orr_run *run = sim_start(s, plan, 1);
    sim_run(s, INT64_MAX - 1);
    verdict want = expected(w, policy, on_error);
    orr_node_state got = orr_run_node_state(run, w->n, ORR_NONE);
    bool got_failed = orr_run_get_state(run) == ORR_RUN_FAILED;
    tried++;
    char outcome = orr_run_outcome(run, w->n);
    if (got != want.state || outcome != want.outcome || got_failed != want.run_failed)
        fail_msg(
            "join %d need %u%s, dependencies %.*s gates %d%d%d, when %d, on_error %d: node %s %c, run %s; "
            "expected node %s %c, run %s",
            policy->join, policy->need, policy->watches ? " watches" : "", (int)w->n, w->want, w->gate[0],
            w->gate[1], w->gate[2], w->when, (int)on_error, orr_node_state_name(got), outcome,
            orr_run_state_name(orr_run_get_state(run)), orr_node_state_name(want.state), want.outcome,
            want.run_failed ? "failed" : "completed");
    sim_free(s);
    orr_plan_unref(plan);
}

static void try_joins(world *w, orr_policy *p, orr_on_error on_error) {
    static const uint8_t joins[] = {ORR_JOIN_ALL, ORR_JOIN_ALL_COMPLETED, ORR_JOIN_ANY, ORR_JOIN_DONE,
                                    ORR_JOIN_FAILED};
    p->need = 0;
    for (size_t j = 0; j < sizeof joins; j++) {
        p->join = joins[j];
        try_one(w, p, on_error);
    }
    p->join = ORR_JOIN_NEED;
    for (p->need = 1; p->need <= w->n; p->need++) try_one(w, p, on_error);
}

static void try_policies(world *w) {
    for (w->when = 0; w->when < WHENS; w->when++)
        for (int on_error = 0; on_error <= ORR_ON_ERROR_CONTINUE; on_error++)
            for (int watches = 0; watches < 2; watches++) {
                orr_policy p = {.priority = ORR_PRIO_NORMAL,
                                .has_when = w->when != WHEN_NONE,
                                .watches = watches != 0};
                try_joins(w, &p, (orr_on_error)on_error);
            }
}

static void every_row(void **state) {
    static const char outcomes[] = "CFUSX";
    (void)state;
    for (uint32_t n = 0; n <= 3; n++) {
        uint32_t kinds = 5 * GATES, combinations = 1;
        for (uint32_t i = 0; i < n; i++) combinations *= kinds;
        for (uint32_t c = 0; c < combinations; c++) {
            world w = {.n = n};
            for (uint32_t i = 0, rest = c; i < n; i++, rest /= kinds) {
                w.want[i] = outcomes[rest % 5];
                w.gate[i] = (int)(rest / 5 % GATES);
            }
            try_policies(&w);
        }
    }
    printf("%u combinations\n", tried);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
