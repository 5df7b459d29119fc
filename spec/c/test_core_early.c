/* test_core_early.c - which record a start waits for. One that may come before its own record is
 * made again, as it was, wherever between the two the process ends; and what is to wait for its own
 * record does.
 *
 * `ORR_EARLY=seed,nodes,flags` runs one workflow alone.
 */
#include "core/inner.h"
#include "chance.h"
#include "diary.h"
#include "hand.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- at random ------------------------------------------------------------------------------- */

/* A start, the record that it waited for, and its own. */
typedef struct start {
    orr_task task;
    uint8_t phase;
    uint64_t seq, own;
} start;

typedef struct life {
    const wild *w;
    sim *s;
    orr_run *run;
    diary d;
    start *starts;
    uint32_t n_starts, cap_starts;
    bool meddles, rebuilt;
    uint64_t ticks;
    char what[160];
} life;

static uint64_t n_early, n_crashes;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const life *l = ud;
    (void)run;
    return wild_deed(l->w, task, phase);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const life *l = ud;
    (void)run;
    return wild_evaluate(l->w, ask, answer);
}

static void on_record(void *ud, orr_run *run, const orr_record *rec) {
    life *l = ud;
    assert_int_equal(rec->seq, l->d.n + 1);
    diary_add(&l->d, run, rec);
}

static void tick(void *ud, sim *s) {
    life *l = ud;
    uint64_t h = wild_hash(l->w->seed, 77, ++l->ticks, 0) % 100;
    (void)s;
    if (!l->meddles) return;
    if (h == 0) orr_run_cancel(l->run);
    else if (h < 5) orr_run_pause(l->run);
    else if (h < 30) orr_run_resume(l->run);
}

/* What is at stake, from the plan alone. */
static bool waits_for_own(const life *l, const orr_task *task, uint8_t phase) {
    const orr_policy *p = &l->w->plan->policies[l->w->plan->policy_of[task->node]];
    const char *pool = wild_pool(l->w, task->node, task->item);
    return l->rebuilt || phase == ORR_PHASE_COMPENSATE || p->has_compensate || p->has_when ||
           p->pool_is_dynamic || p->pool_hold || p->deadline > 0 ||
           l->w->plan->on_error == ORR_ON_ERROR_DRAIN ||
           (p->has_each && p->each_on_failure == ORR_EACH_DRAIN) ||
           (pool != NULL && strcmp(pool, "narrow") == 0) || l->run->concurrency == 1;
}

static void watch(void *ud, const sim_line *line) {
    life *l = ud;
    if (line->what != 'S') return;
    uint64_t own = orr_run_seq(l->run);
    if (l->n_starts == l->cap_starts) {
        l->cap_starts = l->cap_starts > 0 ? l->cap_starts * 2 : 64;
        l->starts = realloc(l->starts, l->cap_starts * sizeof *l->starts);
        assert_non_null(l->starts);
    }
    l->starts[l->n_starts++] = (start){line->task, line->phase, line->seq, own};
    orr_record mine = diary_record(&l->d, (uint32_t)own - 1);
    assert_int_equal(mine.kind, ORR_REC_ATTEMPT_STARTED);
    assert_int_equal(mine.task.node, line->task.node);
    if (line->seq == 0 || line->seq > own) fail_msg("%s: a start waits for what is not there", l->what);
    if (waits_for_own(l, &line->task, line->phase) && line->seq != own)
        fail_msg("%s: node %u waits for record %llu, and not for its own, %llu", l->what, line->task.node,
                 (unsigned long long)line->seq, (unsigned long long)own);
}

static void open_life(life *l, const wild *w, int64_t now) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {l, deed, evaluate, NULL, on_record, tick};
    *l = (life){.w = w};
    l->s = sim_new_at(&alloc, &script, now, 0);
    sim_watch(l->s, watch, l);
    assert_int_equal(wild_limits(sim_core(l->s)), ORR_OK);
    snprintf(l->what, sizeof l->what, "ORR_EARLY=%llu,%u,%u", (unsigned long long)w->seed, w->n, w->flags);
}

static void close_life(life *l) {
    sim_free(l->s);
    free(l->starts);
    diary_free(&l->d);
}

/* Another process goes on after the first n records and, where it is `told`, the start; after a
 * while, now and then, or with a cancel that was left for it. */
static void recover(life *l, const life *first, const start *s, uint32_t n, bool told) {
    orr_run_options options = {.seed = first->w->seed};
    uint64_t h = wild_hash(first->w->seed, 6, s->own, n);
    int64_t end = first->d.entries[n - 1].rec.time, pause = (int64_t)(h / 64 % (uint64_t)(8 * SECOND));
    open_life(l, first->w, h % 4 == 0 ? end + pause : end);
    l->rebuilt = true;
    diary_copy(&l->d, &first->d, n);
    l->run = orr_run_rebuild(sim_core(l->s), l->w->plan, &options);
    diary_fold(&l->d, n, l->run, l->what);
    if (told) {
        orr_record started = diary_record(&first->d, (uint32_t)s->own - 1);
        started.seq = n + 1;
        started.time = end;
        if (orr_run_fold(l->run, &started) != ORR_OK)
            fail_msg("%s: node %u does not start after record %u", l->what, s->task.node, n);
        diary_add(&l->d, l->run, &started);
    }
    assert_int_equal(orr_run_recover(l->run, false), ORR_OK);
    if (h / 4 % 8 == 0) orr_run_cancel(l->run);
    if (h / 4 % 8 == 1) orr_run_pause(l->run);
}

/* It is ready for the same attempt, or has come to the same end before it. */
static bool same_task(const life *a, const life *b, uint32_t t) {
    const orr_cell *x = &a->run->cells[t], *y = &b->run->cells[t];
    static const orr_more none = {.phase = ORR_PHASE_RUN};
    const orr_more *more = orr_more_of(a->run, t), *other = orr_more_of(b->run, t);
    if (more == NULL) more = &none;
    if (other == NULL) other = &none;
    if (x->state != y->state) return false;
    if (x->state != ORR_NODE_READY) return true;
    bool begun = other->interrupted && !more->interrupted;
    return x->attempt + begun == y->attempt && more->iteration == other->iteration &&
           more->phase == other->phase;
}

/* The process has ended after n records: what another makes of the run is the same whether the
 * journal has the start or not. */
static void crash(const life *first, const start *s, uint32_t n) {
    life without, with;
    recover(&without, first, s, n, false);
    recover(&with, first, s, n, true);
    assert_int_equal(without.run->n_cells, with.run->n_cells);
    for (uint32_t t = 0; t < with.run->n_cells; t++)
        if (!same_task(&without, &with, t))
            fail_msg("%s: node %u, item %u, attempt %u waited for record %llu and its own was %llu; after %u "
                     "task %u is %s, and with its start %s",
                     without.what, s->task.node, s->task.item, s->task.attempt, (unsigned long long)s->seq,
                     (unsigned long long)s->own, n, t,
                     orr_node_state_name((orr_node_state)without.run->cells[t].state),
                     orr_node_state_name((orr_node_state)with.run->cells[t].state));
    assert_int_equal(without.run->mode, with.run->mode);
    if (n % 8 == 0) sim_run(without.s, sim_now(without.s) + 3 * SECOND); /* its starts are looked at */
    n_crashes++;
    close_life(&without);
    close_life(&with);
}

enum { MOST_POINTS = 12 };

static void crash_between(const life *first, const start *s) {
    uint32_t from = (uint32_t)s->seq, n = (uint32_t)(s->own - s->seq);
    for (uint32_t i = 0; i < n && i < MOST_POINTS; i++) {
        uint64_t h = wild_hash(first->w->seed, s->own, i, 5);
        uint32_t at = n <= MOST_POINTS || i < 2 ? i : (uint32_t)(h % n);
        crash(first, s, from + at);
    }
    n_early += n > 0;
}

static void one(uint64_t seed, uint32_t n, uint32_t flags) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    orr_run_options options = {.seed = seed};
    wild w = wild_make(&alloc, seed, n, flags);
    life l;
    open_life(&l, &w, 1);
    l.meddles = seed % 3 == 0;
    l.run = orr_run_new(sim_core(l.s), w.plan, &options);
    orr_run_begin(l.run);
    sim_run(l.s, 300 * SECOND);
    for (uint32_t i = 0; i < l.n_starts; i++) crash_between(&l, &l.starts[i]);
    close_life(&l);
    wild_free(&w);
}

static void it_is_made_again(void **state) {
    chance c = chance_begin("starts before their records");
    (void)state;
    n_early = n_crashes = 0;
    for (uint32_t i = 0; i < wild_hunt(1200); i++) {
        uint64_t seed = chance_next(&c);
        uint32_t n = 1 + chance_below(&c, 24), flags = chance_below(&c, WILD_ALL + 1);
        one(seed, n, flags | (chance_of(&c, 30) ? WILD_UNDO : 0));
    }
    printf("%llu starts before their record, %llu crashes\n", (unsigned long long)n_early,
           (unsigned long long)n_crashes);
    assert_true(n_early > 2000);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void keep(void *ud, orr_run *run, const orr_record *rec) {
    (void)ud, (void)run, (void)rec;
}

static orr_run *run_two(hand *h, orr_policy a, orr_policy b, bool after, uint32_t concurrency) {
    orr_policy policies[] = {a, b};
    shape_edge edge = {0, 1};
    hand_take(h);
    orr_core_record(h->core, keep); /* of a run without a journal nothing is counted */
    h->until = 3;
    h->items = 2;
    orr_core_pool(h->core, "one", 1, 0, 0);
    orr_core_pool(h->core, "two", 2, 0, 0);
    return hand_run(h, shape(NULL, 2, policies, after, &edge), concurrency);
}

/* Node 1 starts second: whether its own record is waited for, or which. */
static void second_waits_for(orr_policy b, uint32_t concurrency, bool own) {
    hand h = {0};
    orr_policy a = PLAIN;
    a.pool = b.pool;
    orr_run *run = run_two(&h, a, b, false, concurrency);
    orr_action first = hand_expect(&h, ORR_ACT_START, run, 0);
    if (concurrency == 1 || (b.pool != NULL && strcmp(b.pool, "one") == 0)) hand_works(&first);
    orr_action second = hand_expect(&h, ORR_ACT_START, run, 1);
    assert_int_equal(second.seq, own ? orr_run_seq(run) : 1);
    hand_drop(&h);
}

static void nothing_is_at_stake(void **state) {
    orr_policy plain = PLAIN, pooled = {.priority = ORR_PRIO_NORMAL, .pool = "two"};
    (void)state;
    second_waits_for(plain, 0, false);
    second_waits_for(plain, 2, false);
    second_waits_for(pooled, 0, false);
}

static void much_is_at_stake(void **state) {
    orr_policy plain = PLAIN, undone = PLAIN, asked = PLAIN, alone = PLAIN, holds = PLAIN, timed = PLAIN;
    undone.has_compensate = asked.has_when = holds.pool_hold = true;
    timed.deadline = SECOND;
    alone.pool = "one";
    holds.pool = "two";
    (void)state;
    second_waits_for(undone, 0, true);
    second_waits_for(asked, 0, true);
    second_waits_for(alone, 0, true);
    second_waits_for(holds, 0, true);
    second_waits_for(timed, 0, true);
    second_waits_for(plain, 1, true);
}

/* An item, and a node of a workflow, that would not begin any more where another fails. */
static void what_drains(void **state) {
    hand h = {0};
    orr_policy each = {.priority = ORR_PRIO_NORMAL, .has_each = true, .each_on_failure = ORR_EACH_DRAIN};
    orr_policy plain = PLAIN;
    orr_plan_options drain = {.name = "drains", .on_error = ORR_ON_ERROR_DRAIN};
    (void)state;
    orr_run *run = run_two(&h, each, plain, true, 0);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.seq, orr_run_seq(run));
    run = hand_run(&h, shape(&drain, 1, &plain, 0, NULL), 0);
    while (orr_core_next(h.core, &a) && a.run != run) assert_int_equal(a.kind, ORR_ACT_START);
    assert_ptr_equal(a.run, run);
    assert_int_equal(a.seq, orr_run_seq(run));
    hand_drop(&h);
}

/* What follows waits for what it follows. */
static void a_dependent(void **state) {
    hand h = {0};
    orr_policy plain = PLAIN;
    (void)state;
    orr_run *run = run_two(&h, plain, plain, true, 0);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.seq, 1);
    hand_works(&a);
    uint64_t completed = orr_run_seq(run);
    a = hand_expect(&h, ORR_ACT_START, run, 1);
    assert_int_equal(a.seq, completed);
    assert_int_equal(orr_run_seq(run), completed + 1);
    hand_drop(&h);
}

static void another_attempt(void **state) {
    hand h = {0};
    orr_policy again = {.priority = ORR_PRIO_NORMAL, .retry = {.max = 1}}, plain = PLAIN;
    (void)state;
    orr_run *run = run_two(&h, again, plain, true, 0);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    uint64_t failed = orr_run_seq(run);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.task.attempt, 2);
    assert_int_equal(a.seq, failed);
    hand_drop(&h);
}

static void another_iteration(void **state) {
    hand h = {0};
    orr_policy loop = {.priority = ORR_PRIO_NORMAL, .has_loop = true}, plain = PLAIN;
    (void)state;
    orr_run *run = run_two(&h, loop, plain, true, 0);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_works(&a);
    uint64_t iterated = orr_run_seq(run);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.task.iteration, 1);
    assert_int_equal(a.seq, iterated);
    hand_drop(&h);
}

/* Its list is on disk before an item starts; then no item waits for another. */
static void an_item(void **state) {
    hand h = {0};
    orr_policy each = {.priority = ORR_PRIO_NORMAL, .has_each = true}, plain = PLAIN;
    (void)state;
    orr_run *run = run_two(&h, each, plain, true, 0);
    uint64_t expanded = orr_run_seq(run);
    assert_int_equal(hand_expect(&h, ORR_ACT_START, run, 0).seq, expanded);
    assert_int_equal(hand_expect(&h, ORR_ACT_START, run, 0).seq, expanded);
    hand_drop(&h);
}

static void after_a_pause(void **state) {
    hand h = {0};
    orr_policy pooled = {.priority = ORR_PRIO_NORMAL, .pool = "two"};
    (void)state;
    orr_run *run = run_two(&h, pooled, pooled, false, 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    orr_run_pause(run);
    hand_assert_idle(&h);
    orr_run_resume(run);
    uint64_t resumed = orr_run_seq(run);
    assert_int_equal(hand_expect(&h, ORR_ACT_START, run, 1).seq, resumed);
    hand_drop(&h);
}

/* A cleanup node that is ready already starts because the run stops. */
static void when_it_stops(void **state) {
    hand h = {0};
    orr_policy plain = PLAIN, cleanup = {.priority = ORR_PRIO_NORMAL, .join = ORR_JOIN_DONE};
    (void)state;
    orr_run *run = run_two(&h, plain, cleanup, false, 2);
    hand_expect(&h, ORR_ACT_START, run, 0);
    orr_run_pause(run);
    orr_run_cancel(run);
    orr_action a = {.kind = ORR_ACT_NONE};
    while (orr_core_next(h.core, &a) && a.kind == ORR_ACT_CANCEL) hand_end_with(&a, ORR_END_CANCELLED, NULL);
    assert_int_equal(a.kind, ORR_ACT_START);
    assert_int_equal(a.task.node, 1);
    assert_int_equal(a.seq, orr_run_seq(run) - 1); /* that cleaning up began */
    hand_drop(&h);
}

static void one_case(void **state) {
    unsigned long long seed = 0;
    unsigned nodes = 0, flags = 0;
    (void)state;
    if (sscanf(getenv("ORR_EARLY"), "%llu,%u,%u", &seed, &nodes, &flags) != 3)
        fail_msg("ORR_EARLY=seed,nodes,flags");
    one(seed, nodes, flags);
}

int main(void) {
    const struct CMUnitTest every[] = {
        cmocka_unit_test(nothing_is_at_stake),
        cmocka_unit_test(much_is_at_stake),
        cmocka_unit_test(what_drains),
        cmocka_unit_test(a_dependent),
        cmocka_unit_test(another_attempt),
        cmocka_unit_test(another_iteration),
        cmocka_unit_test(an_item),
        cmocka_unit_test(after_a_pause),
        cmocka_unit_test(when_it_stops),
        cmocka_unit_test(it_is_made_again),
    };
    const struct CMUnitTest alone[] = {cmocka_unit_test(one_case)};
    if (getenv("ORR_EARLY") != NULL) return cmocka_run_group_tests(alone, NULL, NULL);
    return cmocka_run_group_tests(every, NULL, NULL);
}
