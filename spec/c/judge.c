/* judge.c - see judge.h */
#include "judge.h"

#include "checked_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RULE(r, holds, ...)                                                                                  \
    do {                                                                                                     \
        if (!(holds)) {                                                                                      \
            print_error("seed %llu, run %td of %u with %u nodes, flags %u, at %.9f s: ",                     \
                        (unsigned long long)(r)->judge->seed, (r) - (r)->judge->runs, (r)->judge->n_runs,    \
                        (r)->w.n, (r)->w.flags, (double)sim_now((r)->judge->s) / 1e9);                       \
            fail_msg(__VA_ARGS__);                                                                           \
        }                                                                                                    \
    } while (0)

static void digest(judge *j, uint64_t a, uint64_t b, uint64_t c) {
    j->digest = wild_hash(j->digest, a, b, c);
}

static void *grown(void *p, uint32_t n, uint32_t *cap, size_t size) {
    if (n < *cap) return p;
    *cap = *cap > 0 ? *cap * 2 : 64;
    p = realloc(p, *cap * size);
    if (p == NULL) abort();
    return p;
}

static const orr_policy *policy_of(const judge_run *r, uint32_t node) {
    return &r->w.plan->policies[r->w.plan->policy_of[node]];
}

static judge_live *find_live(judge_run *r, const orr_task *task) {
    for (uint32_t i = 0; i < r->n_live; i++)
        if (r->live[i].task.node == task->node && r->live[i].task.item == task->item) return &r->live[i];
    return NULL;
}

/* ---- an attempt begins ----------------------------------------------------------------------- */

/* The attempt counts on from the last one, or from 1 in a new iteration. */
static bool check_number(judge_run *r, const orr_task *task) {
    for (uint32_t i = 0; i < r->n_seen; i++) {
        orr_task *s = &r->seen[i];
        if (s->node != task->node || s->item != task->item) continue;
        bool next = task->iteration == s->iteration && task->attempt == s->attempt + 1;
        bool again = task->iteration == s->iteration + 1 && task->attempt == 1;
        RULE(r, next || again, "node %u: attempt %u.%u after %u.%u", task->node, task->iteration,
             task->attempt, s->iteration, s->attempt);
        *s = *task;
        return false;
    }
    RULE(r, task->iteration == 0 && task->attempt == 1, "node %u: first attempt is %u.%u", task->node,
         task->iteration, task->attempt);
    r->seen = grown(r->seen, r->n_seen, &r->cap_seen, sizeof *r->seen);
    r->seen[r->n_seen++] = *task;
    return true;
}

/* Every dependency has settled before the first start, but where `any` and `need` may come
 * early. */
static void check_dependencies(judge_run *r, uint32_t node) {
    const orr_plan *plan = r->w.plan;
    uint8_t join = policy_of(r, node)->join;
    uint32_t completed = 0, n = plan->in_first[node + 1] - plan->in_first[node];
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        char outcome = orr_run_outcome(r->run, plan->in_from[k]);
        completed += outcome == 'C';
        RULE(r, outcome != 0 || join == ORR_JOIN_ANY || join == ORR_JOIN_NEED,
             "node %u started before %u had settled", node, plan->in_from[k]);
    }
    if (join == ORR_JOIN_ANY || join == ORR_JOIN_NEED)
        RULE(r, n == 0 || completed >= (join == ORR_JOIN_ANY ? 1 : policy_of(r, node)->need),
             "node %u started with %u completed dependencies", node, completed);
}

/* Nobody of the same run waits with a higher priority for the same thing: a slot of the run
 * alone, or a place in the same pool. A rate or a breaker may let a later one pass; those are
 * left out. */
static void check_priority(judge_run *r, const orr_task *task) {
    const char *pool = wild_pool(&r->w, task->node, task->item);
    bool begun = task->attempt > 1 || task->iteration > 0;
    if (policy_of(r, task->node)->pool_hold && begun) pool = NULL; /* it has its place */
    for (uint32_t u = 0; u < r->w.n; u++) {
        const orr_policy *p = policy_of(r, u);
        if (p->priority >= policy_of(r, task->node)->priority || p->breaker != NULL) continue;
        uint32_t items = orr_run_items(r->run, u), n = items == ORR_NONE ? 1 : items;
        for (uint32_t i = 0; i < n; i++) {
            orr_task other = {u, items == ORR_NONE ? ORR_NONE : i, 0, 0};
            const char *its = wild_pool(&r->w, u, other.item);
            bool same = its == NULL || (pool != NULL && strcmp(its, pool) == 0 && strcmp(its, "rated") != 0 &&
                                        strcmp(its, "slow") != 0);
            const judge_live *live = find_live(r, &other);
            if (!same || (live != NULL && live->cancelled) ||
                orr_run_node_state(r->run, u, other.item) != ORR_NODE_READY)
                continue;
            fail_msg("seed %llu, %u nodes: node %u (priority %u) started before %u (priority %u)",
                     (unsigned long long)r->judge->seed, r->w.n, task->node,
                     policy_of(r, task->node)->priority, u, p->priority);
        }
    }
}

/* Neither a pool nor a breaker nor items stand between it and its run's own line. */
static bool is_alone(const orr_policy *p) {
    return p->pool == NULL && !p->pool_is_dynamic && p->breaker == NULL && !p->has_each;
}

/* Where nodes have estimates, none is passed over by one with a shorter path to the end. */
static void check_rank(judge_run *r, uint32_t node) {
    const int64_t *rank = r->w.plan->rank;
    for (uint32_t u = 0; u < r->w.n; u++) {
        const orr_policy *p = policy_of(r, u);
        orr_task other = {u, ORR_NONE, 0, 0};
        const judge_live *live = find_live(r, &other);
        if (!is_alone(p) || p->priority != policy_of(r, node)->priority ||
            (live != NULL && live->cancelled) || orr_run_node_state(r->run, u, ORR_NONE) != ORR_NODE_READY)
            continue;
        RULE(r, rank[u] < rank[node] || (rank[u] == rank[node] && u > node),
             "node %u was passed over by %u, whose path is shorter", u, node);
    }
}

/* Within one priority, nodes without a pool or breaker have their first turn in the order in
 * which they became ready. */
static void check_fifo(judge_run *r, uint32_t node) {
    const orr_policy *p = policy_of(r, node);
    if (!is_alone(p)) return;
    if (r->w.plan->rank != NULL) {
        check_rank(r, node);
        return;
    }
    uint64_t seq = r->nodes[node].ready_seq;
    RULE(r, seq > r->fifo[p->priority], "node %u was passed over by one that became ready later", node);
    r->fifo[p->priority] = seq;
}

static uint32_t pool_users(const judge *j, const char *name) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->n_runs; i++)
        for (uint32_t k = 0; k < j->runs[i].n_live; k++) {
            const judge_live *l = &j->runs[i].live[k];
            const char *pool = wild_pool(&j->runs[i].w, l->task.node, l->task.item);
            bool in = !l->asleep || policy_of(&j->runs[i], l->task.node)->pool_hold;
            n += in && pool != NULL && strcmp(pool, name) == 0;
        }
    return n;
}

static void check_pool(judge_run *r, const orr_task *task, bool starts) {
    judge *j = r->judge;
    const char *pool = wild_pool(&r->w, task->node, task->item);
    if (pool == NULL) return;
    for (uint32_t i = 0; i < wild_n_pools; i++) {
        const wild_pool_kind *k = &wild_pools[i];
        if (strncmp(pool, k->name, strlen(k->name)) != 0) continue;
        RULE(r, pool_users(j, pool) <= k->max, "%u in pool %s, which has %u places", pool_users(j, pool),
             pool, k->max);
        if (k->rate <= 0 || !starts) continue;
        uint32_t which = i - 2, n = j->n_starts[which];
        j->starts[which] = grown(j->starts[which], n, &j->cap_starts[which], sizeof(int64_t));
        j->starts[which][j->n_starts[which]++] = sim_now(j->s);
        for (uint32_t s = 0; s <= n; s++) {
            double time = (double)(sim_now(j->s) - j->starts[which][s]);
            double allowed = (k->rate > 1 ? k->rate : 1) + k->rate * time / (double)k->per;
            RULE(r, n + 1 - s <= allowed + 1e-6, "%u starts in %s within %.9f s", n + 1 - s, pool,
                 time / 1e9);
        }
    }
}

static judge_breaker *breaker_named(judge *j, const char *name) {
    return &j->breakers[strcmp(name, "quick") != 0];
}

static void check_breaker(judge_run *r, judge_live *l, uint8_t phase) {
    const char *name = policy_of(r, l->task.node)->breaker;
    if (name == NULL || phase != ORR_PHASE_RUN) return;
    judge_breaker *b = breaker_named(r->judge, name);
    uint32_t probes = 0;
    RULE(r, b->state != 1, "node %u started through the open breaker %s", l->task.node, name);
    l->probe = b->state == 2;
    l->period = b->period;
    for (uint32_t i = 0; i < r->judge->n_runs; i++)
        for (uint32_t k = 0; k < r->judge->runs[i].n_live; k++) {
            const judge_live *o = &r->judge->runs[i].live[k];
            const char *its = policy_of(&r->judge->runs[i], o->task.node)->breaker;
            probes += o->probe && o->period == b->period && its != NULL && strcmp(its, name) == 0;
        }
    RULE(r, probes <= b->probes, "%u probes of breaker %s at a time", probes, name);
}

static void slot(judge_run *r) {
    if (++r->slots > r->peak) r->peak = r->slots;
    RULE(r, r->concurrency == 0 || r->slots <= r->concurrency, "%u attempts at a time, %u may", r->slots,
         r->concurrency);
}

static void starts(judge_run *r, const sim_line *line) {
    RULE(r, find_live(r, &line->task) == NULL, "node %u: two attempts at a time", line->task.node);
    RULE(r, (!r->paused || r->cleans) && !r->ended, "node %u started in a run that is paused or over",
         line->task.node);
    RULE(r, !r->nodes[line->task.node].settled, "node %u started after it had settled", line->task.node);
    r->live = grown(r->live, r->n_live, &r->cap_live, sizeof *r->live);
    judge_live *l = &r->live[r->n_live++];
    *l = (judge_live){.task = line->task, .since = line->time};
    r->attempts++;
    slot(r);
    if (check_number(r, &line->task)) {
        check_dependencies(r, line->task.node);
        /* what missed its deadline in line stands at its end again, for its fallback */
        if (line->phase == ORR_PHASE_RUN) check_fifo(r, line->task.node);
    }
    check_priority(r, &line->task);
    check_pool(r, &line->task, true);
    check_breaker(r, l, line->phase);
}

/* ---- all lines of the history ---------------------------------------------------------------- */

static void gone(judge_run *r, judge_live *l) {
    RULE(r, l != NULL, "what ended was not under way");
    if (l == NULL) return;
    if (!l->asleep) r->slots--;
    *l = r->live[--r->n_live];
}

static void watch(void *ud, const sim_line *line) {
    judge *j = ud;
    judge_run *r = orr_run_ud(line->run);
    judge_live *l = line->task.node != ORR_NONE ? find_live(r, &line->task) : NULL;
    digest(j, (uint64_t)line->time, (uint64_t)(r - j->runs) << 8 | (uint64_t)line->what,
           (uint64_t)line->task.node << 32 | line->task.item);
    digest(j, line->task.iteration, line->task.attempt, line->phase);
    switch (line->what) {
    case 'S': starts(r, line); break;
    case 'W':
        RULE(r, l != NULL && !l->asleep, "node %u waits, but does not run", line->task.node);
        if (l == NULL) break;
        l->asleep = true;
        r->slots--;
        break;
    case 'R':
        RULE(r, l != NULL && l->asleep && (!r->paused || r->cleans), "node %u goes on, but was not asleep",
             line->task.node);
        if (l == NULL) break;
        l->asleep = false;
        slot(r);
        check_pool(r, &line->task, false);
        break;
    case 'C':
        RULE(r, l != NULL && !l->cancelled, "node %u is asked to stop, but does not run or was asked before",
             line->task.node);
        if (l == NULL) break;
        l->cancelled = true;
        break;
    case 'E':
    case 'A':
        RULE(r, line->what == 'E' || (l != NULL && l->cancelled), "node %u abandoned without being asked",
             line->task.node);
        gone(r, l);
        break;
    default:
        RULE(r, r->n_live == 0 && !r->ended, "the run ended twice, or with %u attempts under way", r->n_live);
        r->ended = true;
        break;
    }
}

/* ---- records and events ---------------------------------------------------------------------- */

static void on_record(void *ud, orr_run *run, const orr_record *rec) {
    judge_run *r = orr_run_ud(run);
    RULE(r, rec->seq == r->last_record + 1, "record %llu after %llu", (unsigned long long)rec->seq,
         (unsigned long long)r->last_record);
    RULE(r, rec->time == orr_core_now(orr_run_core(run)), "a record of another time");
    r->last_record = rec->seq;
    digest(ud, rec->seq, (uint64_t)rec->kind << 32 | rec->reason,
           (uint64_t)rec->task.node << 32 | rec->task.item);
    digest(ud, (uint64_t)rec->due, rec->count, rec->port);
}

static void node_event(judge_run *r, const orr_event *e) {
    judge_node *node = &r->nodes[e->task.node];
    bool whole = e->task.item == ORR_NONE;
    RULE(r, !node->settled, "%s of node %u after it had settled", orr_event_name(e->kind), e->task.node);
    switch (e->kind) {
    case ORR_EV_NODE_READY:
        RULE(r, !node->ready, "node %u is ready twice", e->task.node);
        node->ready = true;
        node->ready_seq = ++r->judge->ready_seq;
        break;
    case ORR_EV_NODE_SKIPPED:
        RULE(r, !node->ready && whole, "node %u was ready and is skipped", e->task.node);
        node->settled = true;
        break;
    case ORR_EV_NODE_COMPLETED:
    case ORR_EV_NODE_FAILED:
    case ORR_EV_NODE_CANCELLED:
        RULE(r, node->ready || e->kind != ORR_EV_NODE_COMPLETED, "node %u completed, but never was ready",
             e->task.node);
        node->settled = whole;
        break;
    default:
        RULE(r, node->ready, "%s of node %u before it was ready", orr_event_name(e->kind), e->task.node);
        break;
    }
}

static void on_event(void *ud, const orr_event *e) {
    judge *j = ud;
    digest(j, (uint64_t)e->kind, (uint64_t)e->task.node << 32 | e->task.item, (uint64_t)e->due);
    if (e->run == NULL) {
        judge_breaker *b = breaker_named(j, e->name);
        int state = e->kind == ORR_EV_BREAKER_OPENED ? 1 : e->kind == ORR_EV_BREAKER_HALF_OPEN ? 2 : 0;
        static const int next[3] = {1, 2, -1}; /* closed opens, open half opens, half open does either */
        if (next[b->state] != -1 ? state != next[b->state] : state == 2)
            fail_msg("breaker %s went from %d to %d", b->name, b->state, state);
        b->state = state;
        b->period += state == 2;
        return;
    }
    judge_run *r = orr_run_ud(e->run);
    RULE(r,
         !orr_run_ended(orr_run_get_state(e->run)) || e->kind == ORR_EV_RUN_COMPLETED ||
             e->kind == ORR_EV_RUN_FAILED || e->kind == ORR_EV_RUN_CANCELLED,
         "%s after the end", orr_event_name(e->kind));
    RULE(r, e->seq >= r->last_event && e->seq == r->last_record, "%s says seq %llu, the last record was %llu",
         orr_event_name(e->kind), (unsigned long long)e->seq, (unsigned long long)r->last_record);
    r->last_event = e->seq;
    if (e->task.node != ORR_NONE) node_event(r, e);
    else if (e->kind == ORR_EV_RUN_PAUSED || e->kind == ORR_EV_RUN_RESUMED)
        r->paused = e->kind == ORR_EV_RUN_PAUSED;
    else if (e->kind == ORR_EV_RUN_STOPPING)
        r->cleans = e->reason != ORR_STOP_FAILURE || orr_run_plan(e->run)->on_error != ORR_ON_ERROR_DRAIN;
}

/* ---- the world ------------------------------------------------------------------------------- */

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const judge_run *r = orr_run_ud(run);
    (void)ud;
    return wild_deed(&r->w, task, phase);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const judge_run *r = orr_run_ud(run);
    (void)ud;
    return wild_evaluate(&r->w, ask, answer);
}

static void tick(void *ud, sim *s) {
    judge *j = ud;
    uint64_t h = wild_hash(j->seed, 5, ++j->chances, 0);
    judge_run *r = &j->runs[h / 1024 % j->n_runs];
    uint64_t bound = 20000 + 4000 * (uint64_t)j->n_runs * r->w.n;
    (void)s;
    RULE(r, ++j->steps < bound, "no end after %llu steps", (unsigned long long)j->steps);
    if (!j->meddles) return;
    switch (h % 64) {
    case 0: orr_run_cancel(r->run); break;
    case 1: orr_run_pause(r->run); break;
    case 2:
    case 3: orr_run_resume(r->run); break;
    case 4:
        for (uint32_t i = 0; i < r->n_live; i++)
            if (r->live[i].asleep) orr_task_wake(r->run, &r->live[i].task);
        break;
    default:
        if (r->n_live > 0) orr_task_heartbeat(r->run, &r->live[h / 64 % r->n_live].task);
        break;
    }
}

void judge_begin(judge *j, uint64_t seed, uint32_t n_runs, uint32_t n_nodes, uint32_t flags, bool meddles) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {j, deed, evaluate, on_event, on_record, tick};
    memset(j, 0, sizeof *j);
    j->seed = seed;
    j->n_runs = n_runs;
    j->meddles = meddles;
    j->breakers[0] = (judge_breaker){"quick", 0, 1, 0};
    j->breakers[1] = (judge_breaker){"touchy", 0, 2, 0};
    j->s = sim_new(&alloc, &script);
    sim_watch(j->s, watch, j);
    assert_int_equal(wild_limits(sim_core(j->s)), ORR_OK);
    for (uint32_t i = 0; i < n_runs; i++) {
        judge_run *r = &j->runs[i];
        r->judge = j;
        r->w = wild_make(&alloc, wild_hash(seed, 9, i, 0), n_nodes, flags);
        r->nodes = calloc(n_nodes, sizeof *r->nodes);
        orr_run_options options = {.seed = seed + i, .ud = r};
        options.concurrency = wild_hash(seed, 10, i, 0) % 4 == 0 && (flags & WILD_LIMITS) != 0 ? 2 : 0;
        r->concurrency = options.concurrency > 0 ? options.concurrency : r->w.plan->concurrency;
        r->run = orr_run_new(sim_core(j->s), r->w.plan, &options);
        assert_non_null(r->run);
    }
    for (uint32_t i = 0; i < n_runs; i++) {
        orr_run_begin(j->runs[i].run);
        checked_core(sim_core(j->s));
    }
}

/* What keeps a run from its end. */
static void report_open(const judge_run *r) {
    for (uint32_t i = 0; i < r->w.n; i++) {
        orr_why why;
        orr_run_why(r->run, i, ORR_NONE, &why);
        if (why.kind != ORR_WHY_SETTLED)
            print_error("node %u is %s: why %d, by %u, name %s, %u of %u, due %lld, pool %s, breaker %s\n", i,
                        orr_node_state_name(why.state), why.kind, why.by, why.name != NULL ? why.name : "-",
                        why.count, why.limit, (long long)why.due,
                        policy_of(r, i)->pool != NULL ? policy_of(r, i)->pool : "-",
                        policy_of(r, i)->breaker != NULL ? policy_of(r, i)->breaker : "-");
    }
}

static void look_at_end(judge_run *r) {
    orr_run_stats st;
    uint32_t sum = 0, items = 0;
    if (!r->ended) report_open(r);
    RULE(r, orr_run_ended(orr_run_get_state(r->run)) && r->ended, "the run is %s and does not end",
         orr_run_state_name(orr_run_get_state(r->run)));
    orr_run_get_stats(r->run, &st);
    for (uint32_t i = 0; i < r->w.n; i++) {
        orr_node_state state = orr_run_node_state(r->run, i, ORR_NONE);
        RULE(r, orr_node_settled(state) && r->nodes[i].settled, "node %u is %s at the end", i,
             orr_node_state_name(state));
        uint32_t n = orr_run_items(r->run, i);
        items += n != ORR_NONE ? n : 0;
        for (uint32_t k = 0; n != ORR_NONE && k < n; k++)
            RULE(r, orr_node_settled(orr_run_node_state(r->run, i, k)), "item %u of node %u is %s at the end",
                 k, i, orr_node_state_name(orr_run_node_state(r->run, i, k)));
    }
    for (int s = 0; s < ORR_NODE_STATE_COUNT; s++) sum += st.by_state[s];
    RULE(r,
         sum == r->w.n && st.running == 0 && st.attempts == r->attempts && st.items == items &&
             st.peak_running == r->peak && st.ended >= st.started && st.started >= st.created &&
             st.retries <= st.attempts,
         "the statistics do not add up: %u nodes, %u running, %llu attempts of %llu, peak %u of %u, items "
         "%llu of %u",
         sum, st.running, (unsigned long long)st.attempts, (unsigned long long)r->attempts, st.peak_running,
         r->peak, (unsigned long long)st.items, items);
}

void judge_finish(judge *j) {
    sim_run(j->s, INT64_MAX - 1);
    j->meddles = false;
    for (uint32_t i = 0; i < j->n_runs; i++) {
        orr_run_resume(j->runs[i].run);
        checked_core(sim_core(j->s));
    }
    sim_run(j->s, INT64_MAX - 1);
    for (uint32_t i = 0; i < j->n_runs; i++) look_at_end(&j->runs[i]);
    RULE(&j->runs[0], sim_busy(j->s) == 0, "%u attempts are busy after the end", sim_busy(j->s));
    RULE(&j->runs[0], orr_core_deadline(sim_core(j->s)) == INT64_MAX, "a timer is left");
}

uint64_t judge_end(judge *j) {
    sim_free(j->s);
    for (uint32_t i = 0; i < j->n_runs; i++) {
        wild_free(&j->runs[i].w);
        free(j->runs[i].nodes);
        free(j->runs[i].live);
        free(j->runs[i].seen);
    }
    free(j->starts[0]);
    free(j->starts[1]);
    return j->digest;
}
