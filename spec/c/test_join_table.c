/* test_join_table.c - every row of the join table with every combination of up to three dependencies.
 *
 * A dependency ends completed, failed, skipped or cancelled, and stands behind no gate, an open one or a shut one. Each is
 * tried under each `when`, each `on_error` of the workflow, and each join. The expectation is written down here from the
 * manual's table, in a shape of its own, so that it can disagree with the engine.
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

typedef struct world {
    uint32_t n;
    char want[3]; /* C F S X: how each dependency ends where nothing interferes */
    int gate[3];
    int when;
} world;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase)
{
    const world *w = ud;
    (void)run;
    (void)phase;
    sim_deed d = {.takes = 10, .end = ORR_END_COMPLETED};
    if (task->node >= w->n)
        return d;
    if (w->want[task->node] == 'F')
        d.end = ORR_END_FAILED;
    else if (w->want[task->node] == 'X')
        d.end = ORR_END_CANCELLED;
    else
        d.port = w->gate[task->node] == GATE_SHUT ? "silver" : "gold";
    return d;
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer)
{
    const world *w = ud;
    (void)run;
    answer->truth = ask->task.node < w->n ? w->want[ask->task.node] != 'S' : w->when == WHEN_TRUE;
    return true;
}

static orr_plan *build(const world *w, const orr_policy *last, orr_on_error on_error)
{
    orr_alloc alloc = {orr_alloc_libc, NULL};
    orr_plan_options options = {.name = "table", .on_error = (uint8_t)on_error};
    orr_plan_builder *b = orr_plan_begin(&alloc, &options);
    orr_plan *plan = NULL;
    uint16_t gold, silver, plain = 0, skipped, policy;
    uint32_t index;
    orr_policy with_when = {.priority = ORR_PRIO_NORMAL, .has_when = true};
    assert_int_equal(orr_plan_port(b, "gold", 4, &gold), ORR_OK);
    assert_int_equal(orr_plan_port(b, "silver", 6, &silver), ORR_OK);
    assert_int_equal(orr_plan_policy(b, &with_when, &skipped), ORR_OK);
    assert_int_equal(orr_plan_policy(b, last, &policy), ORR_OK);
    for (uint32_t i = 0; i < w->n; i++)
        assert_int_equal(orr_plan_node(b, NULL, 0, w->want[i] == 'S' ? skipped : plain, &index), ORR_OK);
    assert_int_equal(orr_plan_node(b, NULL, 0, policy, &index), ORR_OK);
    for (uint32_t i = 0; i < w->n; i++)
        assert_int_equal(orr_plan_edge(b, i, w->n, w->gate[i] == GATE_NONE ? ORR_PORT_ANY : gold, false), ORR_OK);
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    return plan;
}

/* ---- what the manual says ------------------------------------------------------------------------------------------ */

typedef struct tally {
    uint32_t c, f, s, x, left; /* left: not settled yet */
    bool shut, gate_left;
} tally;

static bool join_wants(const orr_policy *p, const tally *t, uint32_t n)
{
    switch (p->join) {
    case ORR_JOIN_ALL: return t->left == 0 && t->f == 0 && (t->c > 0 || n == 0);
    case ORR_JOIN_ALL_COMPLETED: return t->left == 0 && t->c == n;
    case ORR_JOIN_ANY: return t->c >= 1 || n == 0;
    case ORR_JOIN_NEED: return t->c >= p->need || n == 0;
    case ORR_JOIN_DONE: return t->left == 0;
    default: return t->left == 0 && (t->f + t->x > 0 || n == 0);
    }
}

static bool takes_care(const orr_policy *p, const tally *t, bool ran)
{
    if (p->join == ORR_JOIN_FAILED)
        return true;
    if (p->join != ORR_JOIN_ANY && p->join != ORR_JOIN_NEED)
        return false;
    return ran || t->c + t->left >= (p->join == ORR_JOIN_NEED ? p->need : 1);
}

typedef struct verdict {
    orr_node_state state;
    bool run_failed;
} verdict;

static verdict expected(const world *w, const orr_policy *p, orr_on_error on_error)
{
    tally t = {.left = w->n};
    char end[3];
    bool decided = false, ran = false, stopping = false, failed = false, plain_failure = false;
    verdict v = {ORR_NODE_PENDING, false};
    for (uint32_t i = 0; i < w->n; i++) /* those whose `when` is false have settled before anything ran */
        t.left -= w->want[i] == 'S', t.s += w->want[i] == 'S', t.shut |= w->want[i] == 'S' && w->gate[i] != GATE_NONE,
            t.gate_left |= w->want[i] != 'S' && w->gate[i] != GATE_NONE;
    for (uint32_t i = 0; i <= w->n; i++) {
        if (i < w->n && w->want[i] == 'S')
            continue;
        if (i < w->n) {
            end[i] = stopping && on_error == ORR_ON_ERROR_STOP ? 'X' : w->want[i];
            bool open = end[i] == 'C' && w->gate[i] != GATE_SHUT;
            t.left--;
            t.shut |= w->gate[i] != GATE_NONE && !open;
            t.c += w->gate[i] == GATE_NONE ? end[i] == 'C' : open;
            t.f += w->gate[i] == GATE_NONE && end[i] == 'F';
            t.x += w->gate[i] == GATE_NONE && end[i] == 'X';
            t.gate_left = false;
            for (uint32_t k = i + 1; k < w->n; k++)
                t.gate_left |= w->want[k] != 'S' && w->gate[k] != GATE_NONE;
            /* whether the failure is cared for is asked before the join is: a dependent that waits may still be had */
            if (end[i] == 'F') {
                bool cared = w->gate[i] == GATE_NONE && !t.shut && takes_care(p, &t, ran);
                plain_failure |= cared;
                if (!cared) {
                    failed = true;
                    stopping |= on_error != ORR_ON_ERROR_CONTINUE;
                }
            }
        }
        if (decided)
            continue;
        bool early = join_wants(p, &t, w->n) && !t.shut && !t.gate_left;
        if (t.left > 0 && !early)
            continue;
        decided = true;
        if (t.shut || !join_wants(p, &t, w->n))
            v.state = ORR_NODE_SKIPPED;
        else if (stopping && p->join != ORR_JOIN_DONE)
            v.state = ORR_NODE_CANCELLED;
        else if (w->when == WHEN_FALSE)
            v.state = ORR_NODE_SKIPPED;
        else
            v.state = ORR_NODE_COMPLETED, ran = true;
    }
    /* a failure that only this node was to care for is nobody's once it is out */
    if (plain_failure && v.state == ORR_NODE_SKIPPED &&
        (p->join == ORR_JOIN_ANY || p->join == ORR_JOIN_NEED || t.shut))
        failed = true;
    v.run_failed = failed;
    return v;
}

/* ---- trying them all ------------------------------------------------------------------------------------------------ */

static unsigned tried;

static void try_one(const world *w, const orr_policy *policy, orr_on_error on_error)
{
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
    if (got != want.state || got_failed != want.run_failed)
        fail_msg("join %d need %u, dependencies %.*s gates %d%d%d, when %d, on_error %d: node %s, run %s; expected "
                 "node %s, run %s", policy->join, policy->need, (int)w->n, w->want, w->gate[0], w->gate[1], w->gate[2],
                 w->when, (int)on_error, orr_node_state_name(got), orr_run_state_name(orr_run_get_state(run)),
                 orr_node_state_name(want.state), want.run_failed ? "failed" : "completed");
    sim_free(s);
    orr_plan_unref(plan);
}

static void try_policies(world *w)
{
    static const uint8_t joins[] = {ORR_JOIN_ALL, ORR_JOIN_ALL_COMPLETED, ORR_JOIN_ANY, ORR_JOIN_DONE, ORR_JOIN_FAILED};
    for (w->when = 0; w->when < WHENS; w->when++)
        for (int on_error = 0; on_error <= ORR_ON_ERROR_CONTINUE; on_error++) {
            orr_policy p = {.priority = ORR_PRIO_NORMAL, .has_when = w->when != WHEN_NONE};
            for (size_t j = 0; j < sizeof joins; j++) {
                p.join = joins[j];
                p.need = 0;
                try_one(w, &p, (orr_on_error)on_error);
            }
            p.join = ORR_JOIN_NEED;
            for (p.need = 1; p.need <= w->n; p.need++)
                try_one(w, &p, (orr_on_error)on_error);
        }
}

static void every_row(void **state)
{
    static const char outcomes[] = "CFSX";
    (void)state;
    for (uint32_t n = 0; n <= 3; n++) {
        uint32_t kinds = 4 * GATES, combinations = 1;
        for (uint32_t i = 0; i < n; i++)
            combinations *= kinds;
        for (uint32_t c = 0; c < combinations; c++) {
            world w = {.n = n};
            for (uint32_t i = 0, rest = c; i < n; i++, rest /= kinds) {
                w.want[i] = outcomes[rest % 4];
                w.gate[i] = (int)(rest / 4 % GATES);
            }
            try_policies(&w);
        }
    }
    printf("%u combinations\n", tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
