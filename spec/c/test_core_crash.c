/* test_core_crash.c - the process ends after every record of thousands of random workflows, and
 * again while it recovers: each run goes on in a new core from what its journal says, and nothing
 * that was done is done again.
 *
 * `ORR_CRASH=seed,nodes,flags` runs one workflow alone.
 */
#include "core/inner.h"
#include "chance.h"
#include "diary.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENT = 1000 /* no crash loop */ };

/* The last attempt of a task, and what may come next. */
typedef struct last {
    uint32_t iteration, attempt;
    bool over, again;
    uint8_t phase; /* of the one that was cut off */
} last;

/* One process. */
typedef struct life {
    const wild *w;
    sim *s;
    orr_run *run;
    diary d;
    last *tasks;
    uint32_t n_tasks;
    bool meddles;
    uint64_t ticks, salt;
    uint32_t starts;
    char what[200];
} life;

/* ---- what it does ---------------------------------------------------------------------------- */

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
    if (rec->seq != l->d.n + 1)
        fail_msg("%s: record %llu comes after %u", l->what, (unsigned long long)rec->seq, l->d.n);
    diary_add(&l->d, run, rec);
}

static void tick(void *ud, sim *s) {
    life *l = ud;
    uint64_t h = wild_hash(l->w->seed, l->salt, ++l->ticks, 0) % 100;
    (void)s;
    if (l->ticks > 20000) fail_msg("%s: no end", l->what);
    if (h == 50 && !l->run->ended)
        assert_int_equal(orr_run_note(l->run, ORR_REC_SIGNAL, NULL, -1, 1, NULL), ORR_OK);
    if (!l->meddles) return;
    if (h == 0) orr_run_cancel(l->run);
    else if (h == 1) orr_run_pause(l->run);
    else if (h < 5) orr_run_resume(l->run);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static last *task_at(life *l, uint32_t t) {
    if (t >= l->n_tasks) {
        uint32_t n = l->run->n_cells;
        l->tasks = realloc(l->tasks, n * sizeof *l->tasks);
        memset(l->tasks + l->n_tasks, 0, (n - l->n_tasks) * sizeof *l->tasks);
        l->n_tasks = n;
    }
    return &l->tasks[t];
}

static void check_dependencies(const life *l, uint32_t node) {
    const orr_plan *plan = l->w->plan;
    uint8_t join = plan->policies[plan->policy_of[node]].join;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++)
        if (orr_run_outcome(l->run, plan->in_from[k]) == 0 && join != ORR_JOIN_ANY && join != ORR_JOIN_NEED)
            fail_msg("%s: node %u starts before %u has settled", l->what, node, plan->in_from[k]);
}

static void check_start(life *l, const orr_task *task, uint8_t phase) {
    last *t = task_at(l, orr_index(l->run, task->node, task->item));
    bool undo = phase == ORR_PHASE_COMPENSATE;
    if (t->over && !undo)
        fail_msg("%s: node %u, item %u starts again, though it had settled before the crash", l->what,
                 task->node, task->item);
    t->again = t->again && phase == t->phase; /* its fallback, or its compensation, is another */
    bool next = task->iteration == t->iteration && task->attempt == t->attempt + !t->again;
    bool first = task->iteration == t->iteration + 1 && task->attempt == 1 && !t->again;
    if (!next && !first)
        fail_msg("%s: node %u, item %u: attempt %u.%u after %u.%u%s", l->what, task->node, task->item,
                 task->iteration, task->attempt, t->iteration, t->attempt,
                 t->again ? ", which was cut off" : "");
    t->iteration = task->iteration;
    t->attempt = task->attempt;
    t->again = false;
    l->starts++;
    if (undo) return;
    check_dependencies(l, task->node);
    const orr_policy *policy = &l->w->plan->policies[l->w->plan->policy_of[task->node]];
    if (l->run->mode >= MODE_STOP && policy->join != ORR_JOIN_DONE && !policy->watches)
        fail_msg("%s: node %u starts, though the run has been stopped", l->what, task->node);
}

static void watch(void *ud, const sim_line *line) {
    life *l = ud;
    if (line->what != 'S') return;
    check_start(l, &line->task, line->phase);
    if (wild_hash(l->w->seed, l->salt, l->starts, 1) % 4 == 0)
        assert_int_equal(orr_run_note(l->run, ORR_REC_STEP, &line->task, -1, 1, NULL), ORR_OK);
}

/* What the journal says of each task. */
static void remember(life *l) {
    for (uint32_t t = 0; t < l->run->n_cells; t++) {
        const orr_cell *cell = &l->run->cells[t];
        const orr_more *more = orr_more_of(l->run, t);
        last *k = task_at(l, t);
        k->over = orr_is_over(l->run, t);
        k->again = (cell->flags & CELL_LIVE) != 0 || (more != NULL && more->interrupted);
        k->phase = more != NULL ? more->phase : ORR_PHASE_RUN;
        k->attempt = cell->attempt;
        k->iteration = more != NULL ? more->iteration : 0;
    }
}

/* ---- lives ----------------------------------------------------------------------------------- */

static void open_life(life *l, const wild *w, int64_t now, bool meddles, uint64_t salt) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {l, deed, evaluate, NULL, on_record, tick};
    *l = (life){.w = w, .meddles = meddles, .salt = salt};
    l->d.looks = w->n < 40;
    l->s = sim_new_at(&alloc, &script, now, PATIENT);
    sim_watch(l->s, watch, l);
    assert_int_equal(wild_limits(sim_core(l->s)), ORR_OK);
}

static void close_life(life *l) {
    sim_free(l->s);
    free(l->tasks);
    diary_free(&l->d);
}

static void live_on(life *l) {
    sim_run(l->s, INT64_MAX - 1);
    l->meddles = false;
    orr_run_resume(l->run);
    sim_run(l->s, INT64_MAX - 1);
    if (!orr_run_ended(orr_run_get_state(l->run))) {
        for (uint32_t i = 0; i < l->w->n; i++) {
            orr_why why;
            orr_run_why(l->run, i, ORR_NONE, &why);
            if (why.kind != ORR_WHY_SETTLED)
                print_error("node %u is %s: why %d, by %u, due %lld\n", i, orr_node_state_name(why.state),
                            why.kind, why.by, (long long)why.due);
        }
        fail_msg("%s: the run is %s and does not end", l->what,
                 orr_run_state_name(orr_run_get_state(l->run)));
    }
    if (l->run->cause == ORR_STOP_STALL) fail_msg("%s: it stalled", l->what);
    for (uint32_t t = 0; t < l->run->n_cells; t++)
        if (!orr_is_over(l->run, t))
            fail_msg("%s: task %u is %s at the end", l->what, t, orr_node_state_name(l->run->cells[t].state));
    if (sim_busy(l->s) != 0 || orr_core_deadline(sim_core(l->s)) != INT64_MAX)
        fail_msg("%s: %u attempts are busy after the end, or a timer is left", l->what, sim_busy(l->s));
    diary_assert_same(&l->d, l->run, l->what);
}

static void first_life(life *l, const wild *w, bool meddles) {
    orr_run_options options = {.seed = w->seed};
    open_life(l, w, 1, meddles, 1);
    snprintf(l->what, sizeof l->what, "ORR_CRASH=%llu,%u,%u, undisturbed", (unsigned long long)w->seed, w->n,
             w->flags);
    l->run = orr_run_new(sim_core(l->s), w->plan, &options);
    orr_run_begin(l->run);
    live_on(l);
}

/* Another process goes on from the first n records. False where nothing is left to do. */
static bool next_life(life *l, const life *before, uint32_t n, int64_t pause, uint64_t salt) {
    orr_run_options options = {.seed = before->w->seed};
    int64_t end = before->d.entries[n - 1].rec.time;
    open_life(l, before->w, end + pause, salt % 3 == 0 && before->w->flags != WILD_STEADY, salt);
    snprintf(l->what, sizeof l->what, "%.160s, crashed after %u", before->what, n);
    diary_copy(&l->d, &before->d, n);
    l->run = orr_run_rebuild(sim_core(l->s), l->w->plan, &options);
    diary_fold(&l->d, n, l->run, l->what);
    remember(l);
    bool left = salt % 7 == 0 && !l->run->ended;
    if (left) {
        orr_record r = {.kind = ORR_REC_SUSPENDED,
                        .seq = n + 1,
                        .time = end,
                        .task = {ORR_NONE, ORR_NONE, 0, 0}};
        assert_int_equal(orr_run_fold(l->run, &r), ORR_OK);
        diary_add(&l->d, l->run, &r);
    }
    if (l->run->ended) {
        assert_int_equal(orr_run_recover(l->run, false), ORR_ESTATE);
        return false;
    }
    uint32_t before_it = l->d.n;
    assert_int_equal(orr_run_recover(l->run, false), ORR_OK);
    assert_int_equal(orr_run_recover(l->run, false), ORR_ESTATE);
    for (uint32_t i = before_it; left && i < l->d.n; i++)
        if (l->d.entries[i].rec.kind == ORR_REC_INTERRUPTED && l->d.entries[i].rec.reason != 0)
            fail_msg("%s: the process left in good order, and is blamed", l->what);
    live_on(l);
    return true;
}

static void assert_same_end(const life *a, const life *b) {
    for (uint32_t i = 0; i < a->w->n; i++) {
        orr_node_state x = orr_run_node_state(a->run, i, ORR_NONE),
                       y = orr_run_node_state(b->run, i, ORR_NONE);
        if (x != y)
            fail_msg("%s: node %u is %s, undisturbed it is %s", b->what, i, orr_node_state_name(y),
                     orr_node_state_name(x));
    }
    if (orr_run_get_state(a->run) != orr_run_get_state(b->run))
        fail_msg("%s: the run is %s, undisturbed it is %s", b->what,
                 orr_run_state_name(orr_run_get_state(b->run)),
                 orr_run_state_name(orr_run_get_state(a->run)));
}

/* ---- crashes --------------------------------------------------------------------------------- */

static uint64_t lives;

typedef struct plot {
    const life *first;
    uint32_t depth;  /* crashes in a row */
    uint32_t points; /* at so many random points of each life; 0 = at every one */
} plot;

static void crash(const plot *p, const life *before, uint32_t from, uint32_t depth) {
    uint32_t points = p->points > 0 ? p->points : before->d.n - from;
    for (uint32_t i = 0; i < points; i++) {
        life l;
        uint64_t h = wild_hash(p->first->w->seed, 31 + depth, before->d.n, from + i);
        uint32_t n = p->points > 0 ? from + 1 + (uint32_t)(h % (before->d.n - from)) : from + 1 + i;
        int64_t pause = h / 64 % 4 == 0 ? (int64_t)(h / 256 % (uint64_t)(8 * SECOND)) : 0;
        bool on = next_life(&l, before, n, pause, h);
        lives++;
        if (on && p->first->w->flags == WILD_STEADY) assert_same_end(p->first, &l);
        if (on && depth < p->depth && l.d.n > n) crash(p, &l, n, depth + 1);
        close_life(&l);
    }
}

static void one(uint64_t seed, uint32_t n, uint32_t flags, uint32_t depth, uint32_t points) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    wild w = wild_make(&alloc, seed, n, flags);
    life first;
    first_life(&first, &w, flags != WILD_STEADY && seed % 4 == 0);
    crash(&(plot){&first, depth, points}, &first, 0, 1);
    close_life(&first);
    wild_free(&w);
}

static uint32_t any_flags(chance *c) {
    uint32_t flags = chance_below(c, WILD_ALL + 1) | (chance_of(c, 40) ? WILD_UNDO : 0);
    return chance_of(c, 40) ? WILD_STEADY : flags;
}

static void every_record(void **state) {
    chance c = chance_begin("a crash after every record");
    (void)state;
    lives = 0;
    for (uint32_t i = 0; i < wild_hunt(1500); i++) {
        uint64_t seed = chance_next(&c);
        uint32_t n = 1 + chance_below(&c, 14), flags = any_flags(&c);
        one(seed, n, flags, 1, 0);
    }
    printf("%llu crashes\n", (unsigned long long)lives);
}

static void again_and_again(void **state) {
    chance c = chance_begin("crashes while it recovers, at every record");
    (void)state;
    lives = 0;
    for (uint32_t i = 0; i < wild_hunt(250); i++) {
        uint64_t seed = chance_next(&c);
        uint32_t n = 1 + chance_below(&c, 4), flags = any_flags(&c);
        one(seed, n, flags, 2, 0);
    }
    printf("%llu crashes\n", (unsigned long long)lives);
}

static void in_a_row(void **state) {
    chance c = chance_begin("three crashes in a row");
    (void)state;
    lives = 0;
    for (uint32_t i = 0; i < wild_hunt(800); i++) {
        uint64_t seed = chance_next(&c);
        uint32_t n = 1 + chance_below(&c, 30), flags = any_flags(&c);
        one(seed, n, flags, 3, 3);
    }
    printf("%llu crashes\n", (unsigned long long)lives);
}

static void larger(void **state) {
    chance c = chance_begin("larger workflows");
    (void)state;
    lives = 0;
    for (uint32_t i = 0; i < wild_hunt(40); i++) {
        uint64_t seed = chance_next(&c);
        uint32_t n = 60 + chance_below(&c, 300), flags = any_flags(&c);
        one(seed, n, flags, 2, 4);
    }
    printf("%llu crashes\n", (unsigned long long)lives);
}

static void one_case(void **state) {
    unsigned long long seed = 0;
    unsigned nodes = 0, flags = 0;
    (void)state;
    if (sscanf(getenv("ORR_CRASH"), "%llu,%u,%u", &seed, &nodes, &flags) != 3)
        fail_msg("ORR_CRASH=seed,nodes,flags");
    one(seed, nodes, flags, 1, 0);
    one(seed, nodes, flags, 3, 3);
}

int main(void) {
    const struct CMUnitTest every[] = {cmocka_unit_test(every_record), cmocka_unit_test(again_and_again),
                                       cmocka_unit_test(in_a_row), cmocka_unit_test(larger)};
    const struct CMUnitTest alone[] = {cmocka_unit_test(one_case)};
    if (getenv("ORR_CRASH") != NULL) return cmocka_run_group_tests(alone, NULL, NULL);
    return cmocka_run_group_tests(every, NULL, NULL);
}
