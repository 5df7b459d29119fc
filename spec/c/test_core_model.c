/* test_core_model.c - the core against the model: how every node and the run end, on tens of
 * thousands of small graphs. */
#include "chance.h"
#include "model.h"
#include "sim.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const port_names[] = {"gold", "silver"};

/* ---- the same world for the engine ----------------------------------------------------------- */

typedef struct world {
    model m;
    uint32_t at[MODEL_NODES][MODEL_ITEMS]; /* attempts so far */
    uint32_t edge[MODEL_EDGES];            /* the plan's edge to the model's */
    orr_run *run;
    uint32_t cancels;
} world;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    world *w = ud;
    uint32_t item = task->item == ORR_NONE ? 0 : task->item;
    const model_work *work = &w->m.nodes[task->node].work[item];
    const model_try *t = phase == ORR_PHASE_FALLBACK ? &work->fallback
                                                     : &work->tries[w->at[task->node][item]++ % MODEL_TRIES];
    sim_deed d = {.takes = t->takes, .port = t->port >= 0 ? port_names[t->port] : NULL};
    (void)run;
    d.end = t->end == 'C' ? ORR_END_COMPLETED : t->end == 'F' ? ORR_END_FAILED : ORR_END_CANCELLED;
    return d;
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const world *w = ud;
    const model_node *n = &w->m.nodes[ask->task.node];
    (void)run;
    switch (ask->kind) {
    case ORR_ASK_WHEN: answer->truth = n->when; break;
    case ORR_ASK_EDGE_WHEN: answer->truth = w->m.edges[ask->edge].when; break;
    case ORR_ASK_EACH: answer->count = n->items; break;
    default: answer->truth = ask->task.iteration + 1 >= n->iterations; break;
    }
    return true;
}

static orr_policy policy_of(const model_node *n) {
    orr_policy p;
    orr_policy_init(&p);
    p.join = n->join;
    p.need = n->need;
    p.cancel_rest = n->cancel_rest;
    p.ignore_errors = n->ignore;
    p.stops = n->stops;
    p.watches = n->watches;
    p.has_when = n->has_when;
    p.has_fallback = n->has_fallback;
    p.has_each = n->has_each;
    p.each_failures = n->allowed;
    p.each_parallel = n->parallel;
    p.each_on_failure = n->each_on_failure;
    p.has_loop = n->iterations > 0;
    p.loop_max = n->counts ? 0 : n->loop_max;
    p.loop_times = n->counts ? n->iterations : 0;
    p.loop_delay = n->loop_delay;
    p.retry = (orr_retry){.max = n->retries, .delay = n->delay};
    return p;
}

static orr_plan *plan_of(const model *m) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    orr_plan_options options = {.on_error = m->on_error};
    orr_plan_builder *b = orr_plan_begin(&alloc, &options);
    orr_plan *plan = NULL;
    uint16_t ports[2], policy;
    for (int i = 0; i < 2; i++)
        assert_int_equal(orr_plan_port(b, port_names[i], strlen(port_names[i]), &ports[i]), ORR_OK);
    for (uint32_t i = 0; i < m->n; i++) {
        orr_policy p = policy_of(&m->nodes[i]);
        assert_int_equal(orr_plan_policy(b, &p, &policy), ORR_OK);
        assert_int_equal(orr_plan_node(b, NULL, 0, policy, NULL), ORR_OK);
    }
    for (uint32_t i = 0; i < m->n_edges; i++) {
        const model_edge *e = &m->edges[i];
        assert_int_equal(
            orr_plan_edge(b, e->from, e->to, e->port >= 0 ? ports[e->port] : ORR_PORT_ANY, e->has_when),
            ORR_OK);
    }
    assert_int_equal(orr_plan_end(b, NULL, NULL, &plan), ORR_OK);
    return plan;
}

/* ---- small graphs by chance ------------------------------------------------------------------ */

/* Long and odd enough that no two things happen at a time. */
static int64_t span(chance *c) {
    return 1000 + (int64_t)(chance_next(c) % (uint64_t)SECOND);
}

static model_try any_try(chance *c, uint32_t failing) {
    model_try t = {span(c), 'C', (int)chance_below(c, 3) - 1};
    if (chance_of(c, failing)) t.end = 'F';
    else if (chance_of(c, 4)) t.end = 'X';
    return t;
}

static void any_node(chance *c, model_node *n, uint32_t failing) {
    *n = (model_node){.join = ORR_JOIN_ALL, .when = true};
    if (chance_of(c, 60)) n->join = (uint8_t)chance_below(c, 6);
    n->cancel_rest = (n->join == ORR_JOIN_ANY || n->join == ORR_JOIN_NEED) && chance_of(c, 30);
    n->ignore = chance_of(c, 8);
    n->stops = !n->ignore && chance_of(c, 20);
    n->watches = chance_of(c, 8);
    n->has_when = chance_of(c, 15);
    n->when = chance_of(c, 50);
    n->has_fallback = chance_of(c, 10);
    n->has_each = chance_of(c, 12);
    n->items = chance_below(c, MODEL_ITEMS + 1);
    n->allowed = n->has_each ? chance_below(c, 3) : 0;
    n->parallel = n->has_each ? chance_below(c, MODEL_ITEMS) : 0;
    n->each_on_failure = (uint8_t)(n->has_each ? chance_below(c, 3) : 0);
    n->retries = chance_of(c, 20) ? chance_below(c, 3) : 0;
    n->delay = n->retries > 0 ? span(c) : 0;
    if (chance_of(c, 10)) {
        n->iterations = 1 + chance_below(c, 4);
        n->loop_max = 1 + chance_below(c, 4);
        n->counts = chance_of(c, 30);
        n->loop_delay = chance_of(c, 50) ? span(c) : 0;
    }
    for (uint32_t i = 0; i < MODEL_ITEMS; i++) {
        for (uint32_t k = 0; k < MODEL_TRIES; k++) n->work[i].tries[k] = any_try(c, failing);
        n->work[i].fallback = any_try(c, failing);
    }
}

static void any_edge(chance *c, model *m, uint32_t from, uint32_t to) {
    uint32_t which = chance_of(c, 20) ? 1 + chance_below(c, 3) : 0;
    for (int port = -1; port < 2; port++) {
        if (which == 0 ? port >= 0 : port < 0 || (which >> port & 1) == 0) continue;
        m->edges[m->n_edges++] = (model_edge){from, to, port, chance_of(c, 15), chance_of(c, 50)};
    }
}

static void any_model(chance *c, model *m) {
    uint32_t failing = chance_below(c, 60);
    memset(m, 0, sizeof *m);
    m->n = 1 + chance_below(c, chance_of(c, 20) ? MODEL_NODES : 8);
    m->on_error = (uint8_t)chance_below(c, 3);
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t before = m->n_edges, most = 1 + chance_below(c, 4), deps = 0;
        any_node(c, &m->nodes[i], failing);
        for (uint32_t k = 0; k < i && deps < most; k++)
            if (chance_of(c, 40)) {
                any_edge(c, m, i - 1 - k, i);
                deps++;
            }
        if (m->n_edges == before && m->nodes[i].join == ORR_JOIN_NEED) m->nodes[i].join = ORR_JOIN_ALL;
        m->nodes[i].need = deps > 0 ? 1 + chance_below(c, deps) : 1;
    }
    if (chance_of(c, 25)) {
        m->cancel_at[0] = span(c) * 3;
        m->cancel_at[1] = chance_of(c, 50) ? m->cancel_at[0] + span(c) : 0;
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void print_model(const model *m) {
    for (uint32_t i = 0; i < m->n; i++) {
        const model_node *n = &m->nodes[i];
        print_error("  node %u: join %u need %u%s%s%s when %d/%d fallback %d each %d(%u, %u may fail, %u at "
                    "a time, then %u) retries "
                    "%u loop %u/%u, "
                    "tries %c%c%c %.6f\n",
                    i, n->join, n->need, n->cancel_rest ? " cancel_rest" : "", n->ignore ? " ignore" : "",
                    n->watches ? " watches" : "", n->has_when, n->when, n->has_fallback, n->has_each,
                    n->items, n->allowed, n->parallel, n->each_on_failure, n->retries, n->iterations,
                    n->loop_max, n->work[0].tries[0].end, n->work[0].tries[1].end, n->work[0].tries[2].end,
                    (double)n->work[0].tries[0].takes / 1e9);
    }
    for (uint32_t e = 0; e < m->n_edges; e++)
        print_error("  %u -> %u port %d when %d/%d\n", m->edges[e].from, m->edges[e].to, m->edges[e].port,
                    m->edges[e].has_when, m->edges[e].when);
}

static void tick_to(world *w, sim *s) {
    for (uint32_t i = 0; i < 2; i++) {
        if (w->m.cancel_at[i] == 0) break;
        /* the sim's clock begins at 1, so that of the model is behind by one */
        sim_pass(s, w->m.cancel_at[i] + 1);
        orr_run_cancel(w->run);
    }
    sim_run(s, INT64_MAX - 1);
}

static bool same(world *w, bool report) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {.ud = w, .deed = deed, .evaluate = evaluate};
    orr_plan *plan = plan_of(&w->m);
    sim *s = sim_new(&alloc, &script);
    bool equal = true;
    memset(w->at, 0, sizeof w->at);
    w->run = sim_start(s, plan, 1);
    tick_to(w, s);
    model_play(&w->m);
    for (uint32_t i = 0; i < w->m.n; i++) {
        orr_node_state got = orr_run_node_state(w->run, i, ORR_NONE);
        bool upstream = orr_run_outcome(w->run, i) == 'U';
        if (got == w->m.state[i] && upstream == w->m.upstream[i]) continue;
        equal = false;
        if (report)
            print_error("node %u is %s%s, the model says %s%s\n", i, orr_node_state_name(got),
                        upstream ? " (upstream)" : "", orr_node_state_name(w->m.state[i]),
                        w->m.upstream[i] ? " (upstream)" : "");
    }
    if (orr_run_get_state(w->run) != w->m.run) {
        equal = false;
        if (report)
            print_error("the run is %s, the model says %s\n", orr_run_state_name(orr_run_get_state(w->run)),
                        orr_run_state_name(w->m.run));
    }
    sim_free(s);
    orr_plan_unref(plan);
    return equal || w->m.racy;
}

static uint32_t dependencies(const model *m, uint32_t node) {
    uint32_t n = 0;
    for (uint32_t from = 0; from < node; from++)
        for (uint32_t e = 0; e < m->n_edges; e++)
            if (m->edges[e].from == from && m->edges[e].to == node) {
                n++;
                break;
            }
    return n;
}

static void drop_edge(model *m, uint32_t e) {
    uint32_t to = m->edges[e].to;
    memmove(&m->edges[e], &m->edges[e + 1], (m->n_edges - e - 1) * sizeof *m->edges);
    m->n_edges--;
    uint32_t n = dependencies(m, to);
    if (n == 0 && m->nodes[to].join == ORR_JOIN_NEED) m->nodes[to].join = ORR_JOIN_ALL;
    if (m->nodes[to].need > n) m->nodes[to].need = n > 0 ? n : 1;
}

static void drop_node(model *m, uint32_t node) {
    for (uint32_t e = m->n_edges; e-- > 0;)
        if (m->edges[e].from == node || m->edges[e].to == node) drop_edge(m, e);
    for (uint32_t e = 0; e < m->n_edges; e++) {
        m->edges[e].from -= m->edges[e].from > node;
        m->edges[e].to -= m->edges[e].to > node;
    }
    memmove(&m->nodes[node], &m->nodes[node + 1], (m->n - node - 1) * sizeof *m->nodes);
    m->n--;
}

/* Leaves out nodes and edges as long as the two still differ. */
static void shrink(world *w) {
    static world less;
    bool smaller = true;
    while (smaller) {
        smaller = false;
        for (uint32_t i = 0; i < w->m.n + w->m.n_edges && w->m.n > 1; i++) {
            less = *w;
            if (i < w->m.n) drop_node(&less.m, i);
            else drop_edge(&less.m, i - w->m.n);
            if (same(&less, false)) continue;
            *w = less;
            smaller = true;
        }
    }
}

static void against_the_model(void **state) {
    chance c = chance_begin("engine against model");
    static world w;
    uint32_t ends[ORR_NODE_STATE_COUNT] = {0}, runs[ORR_RUN_STATE_COUNT] = {0}, racy = 0;
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(60000); i++) {
        uint64_t seed = c.state;
        any_model(&c, &w.m);
        if (!same(&w, false)) {
            shrink(&w);
            same(&w, true);
            print_model(&w.m);
            fail_msg("ORR_SEED=%llu: on_error %u, cancelled at %lld and %lld", (unsigned long long)seed,
                     w.m.on_error, (long long)w.m.cancel_at[0], (long long)w.m.cancel_at[1]);
        }
        for (uint32_t k = 0; k < w.m.n; k++) ends[w.m.state[k]]++;
        racy += w.m.racy;
        runs[w.m.run]++;
    }
    printf("nodes: %u completed, %u failed, %u skipped, %u cancelled; runs: %u completed, %u failed, %u "
           "cancelled\n",
           ends[ORR_NODE_COMPLETED], ends[ORR_NODE_FAILED], ends[ORR_NODE_SKIPPED], ends[ORR_NODE_CANCELLED],
           runs[ORR_RUN_COMPLETED], runs[ORR_RUN_FAILED], runs[ORR_RUN_CANCELLED]);
    printf("%u left out\n", racy);
    assert_true(racy < wild_hunt(60000) / 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
