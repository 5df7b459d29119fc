/* test_core_saga_rules.c - thousands of random workflows with random compensations, stopped by all
 * that can stop a run, and cut off by the end of their process: from the journal alone another,
 * simpler model says what has to be undone, and in which order.
 *
 * `ORR_SAGA=seed,nodes,flags` runs one workflow alone.
 */
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

enum { ITEMS = 6, MOST = 4096 };

/* ---- what the journal says ------------------------------------------------------------------- */

typedef struct seen {
    char over;   /* C, F, X, S; 0 = it has not ended */
    char undone; /* + or -; 0 = it has not been */
    bool live, uncertain, expanded, cut_off;
    uint32_t attempt, iteration;
} seen;

typedef struct judge {
    const orr_plan *plan;
    seen *tasks; /* by node and item, the node itself first */
    seen *notes[MOST];
    uint32_t n_notes, left;
    bool on, closed, failed, ended;
    seen *undoing;
    uint32_t n_undone;
    char what[160];
} judge;

static seen *seen_at(judge *j, const orr_task *task) {
    uint32_t item = task->item == ORR_NONE ? 0 : task->item + 1;
    assert_true(item < ITEMS);
    return &j->tasks[task->node * ITEMS + item];
}

static const orr_policy *policy_of(const judge *j, const seen *s) {
    return &j->plan->policies[j->plan->policy_of[(uint32_t)(s - j->tasks) / ITEMS]];
}

static seen *node_of(const judge *j, const seen *s) {
    return &j->tasks[(uint32_t)(s - j->tasks) / ITEMS * ITEMS];
}

#define RULE(j, holds, ...)                                                                                  \
    do {                                                                                                     \
        if (!(holds)) {                                                                                      \
            char rule[200];                                                                                  \
            snprintf(rule, sizeof rule, __VA_ARGS__);                                                        \
            fail_msg("%s: %s", (j)->what, rule);                                                             \
        }                                                                                                    \
    } while (0)

/* ---- the rules ------------------------------------------------------------------------------- */

static void over(judge *j, seen *s, char how, bool undo) {
    const orr_policy *policy = policy_of(j, s);
    s->over = how;
    s->live = s->cut_off = false;
    if (undo && policy->has_compensate && !s->expanded && !j->on && !j->closed &&
        !(how == 'F' && policy->ignore_errors))
        j->notes[j->n_notes++] = s;
}

/* Of what was noted only what is to be undone. */
static uint32_t sift(judge *j) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->n_notes; i++) {
        const seen *node = node_of(j, j->notes[i]);
        if (node->over != 0 && !(node->over == 'F' && policy_of(j, node)->ignore_errors))
            j->notes[n++] = j->notes[i];
    }
    return j->n_notes = n;
}

static void starts(judge *j, seen *s, const orr_record *r) {
    bool undo = r->phase == ORR_PHASE_COMPENSATE;
    uint32_t next = s->attempt + (r->task.iteration == s->iteration && !s->cut_off);
    RULE(j, r->task.attempt == (r->task.iteration > s->iteration ? 1 : next) || !undo,
         "node %u: attempt %u after %u", r->task.node, r->task.attempt, s->attempt);
    s->attempt = r->task.attempt;
    s->iteration = r->task.iteration;
    s->cut_off = false;
    if (!undo) {
        RULE(j, j->left == 0, "node %u starts while the run is undone", r->task.node);
        s->live = true;
        s->uncertain &= r->phase == ORR_PHASE_FALLBACK;
        return;
    }
    RULE(j, j->left > 0 && j->notes[j->left - 1] == s, "node %u, item %u is undone out of turn", r->task.node,
         r->task.item);
    RULE(j, j->undoing == NULL, "two are undone at a time");
    RULE(j, s->undone == 0, "node %u is undone twice", r->task.node);
    j->undoing = s;
}

static void undone(judge *j, seen *s, bool failed) {
    RULE(j, s->undone == 0, "it is undone twice");
    s->undone = failed ? '-' : '+';
    j->failed |= failed;
    j->undoing = NULL;
    if (s->expanded) {
        bool all = true, any = false;
        for (uint32_t i = 0; i < j->left; i++) all &= node_of(j, j->notes[i]) != s;
        for (uint32_t i = 1; i < ITEMS; i++) any |= s[i].undone == '-';
        RULE(j, all && any == failed, "a node is %s before or otherwise than its items",
             failed ? "lost" : "undone");
        return;
    }
    RULE(j, j->left > 0 && j->notes[j->left - 1] == s, "it is not its turn");
    j->left--;
    j->n_undone++;
}

static void ends(judge *j, const orr_record *r) {
    bool completed = r->reason == ORR_RUN_COMPLETED;
    uint8_t want = j->failed ? ORR_RUN_COMPENSATION_FAILED : ORR_RUN_COMPENSATED;
    j->ended = true;
    if (j->on) RULE(j, r->reason == want, "it ends as %s", orr_run_state_name((orr_run_state)r->reason));
    else
        RULE(j, completed || r->reason == ORR_RUN_FAILED || r->reason == ORR_RUN_CANCELLED, "it ends as %u",
             r->reason);
    RULE(j, j->left == 0, "%u are not undone", j->left);
    RULE(j, j->on || completed || j->closed || sift(j) == 0, "%u were to be undone", j->n_notes);
}

static void of_run(judge *j, const orr_record *r) {
    switch (r->kind) {
    case ORR_REC_COMPENSATING:
        RULE(j, !j->on && !j->closed, "it is compensated twice, or after its cleanup began");
        for (uint32_t i = 0; i < j->plan->n_nodes * ITEMS; i++) {
            const orr_policy *policy = policy_of(j, &j->tasks[i]);
            RULE(j, !j->tasks[i].live || policy->join == ORR_JOIN_DONE || policy->watches,
                 "something runs still");
        }
        RULE(j, sift(j) > 0, "there is nothing to undo");
        j->on = true;
        j->left = j->n_notes;
        break;
    case ORR_REC_CLEANUP:
        if (r->reason != 0) break;
        RULE(j, j->left == 0, "cleanup begins while the run is undone");
        RULE(j, j->on || sift(j) == 0, "cleanup begins before the run is undone");
        j->closed = true;
        break;
    case ORR_REC_RUN_ENDED: ends(j, r); break;
    default: break;
    }
}

static void of_task(judge *j, seen *s, const orr_record *r) {
    bool undo = s == j->undoing;
    switch (r->kind) {
    case ORR_REC_EXPANDED: s->expanded = true; break;
    case ORR_REC_ATTEMPT_STARTED: starts(j, s, r); break;
    case ORR_REC_INTERRUPTED:
        s->cut_off = true;
        s->live = false;
        s->uncertain |= !undo;
        j->undoing = undo ? NULL : j->undoing;
        break;
    case ORR_REC_ATTEMPT_FAILED:
        s->live = false;
        s->uncertain = undo ? s->uncertain : r->reason != 0;
        j->undoing = undo ? NULL : j->undoing;
        break;
    case ORR_REC_ITERATED: s->live = false, s->uncertain = true; break;
    case ORR_REC_COMPLETED: over(j, s, 'C', r->reason == ORR_SOURCE_RUN); break;
    case ORR_REC_FAILED: over(j, s, 'F', r->reason != 0); break;
    case ORR_REC_CANCELLED: over(j, s, 'X', s->live || s->uncertain); break;
    case ORR_REC_SKIPPED: over(j, s, 'S', false); break;
    case ORR_REC_COMPENSATED: undone(j, s, false); break;
    case ORR_REC_COMPENSATION_FAILED: undone(j, s, true); break;
    default: break;
    }
}

static uint32_t judge_diary(const diary *d, const orr_plan *plan, const char *what) {
    static judge j;
    j = (judge){.plan = plan};
    j.tasks = calloc((size_t)plan->n_nodes * ITEMS, sizeof *j.tasks);
    for (uint32_t i = 0; i < d->n; i++) {
        orr_record r = diary_record(d, i);
        snprintf(j.what, sizeof j.what, "%s, record %u", what, i + 1);
        RULE(&j, !j.ended, "a record after the end");
        if (r.task.node == ORR_NONE) of_run(&j, &r);
        else of_task(&j, seen_at(&j, &r.task), &r);
    }
    RULE(&j, j.ended, "it does not end");
    free(j.tasks);
    return j.n_undone;
}

/* ---- a run ----------------------------------------------------------------------------------- */

typedef struct life {
    wild w;
    sim *s;
    orr_run *run;
    diary d;
    bool meddles, asked[64][ITEMS]; /* by node and item: its attempt was asked to stop */
    uint32_t end_at;                /* the process ends after so many records; 0 = it does not */
    uint64_t ticks;
    char what[100];
} life;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const life *l = ud;
    (void)run;
    return wild_deed(&l->w, task, phase);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const life *l = ud;
    (void)run;
    return wild_evaluate(&l->w, ask, answer);
}

static bool *asked(life *l, const orr_task *task) {
    return &l->asked[task->node][task->item == ORR_NONE ? 0 : task->item + 1];
}

/* That an attempt ends uncertain is in its record; the harness knows whether that is right, since
 * it saw which attempts were asked to stop. */
static void on_record(void *ud, orr_run *run, const orr_record *r) {
    life *l = ud;
    bool fails = r->kind == ORR_REC_FAILED ||
                 (r->kind == ORR_REC_ATTEMPT_FAILED && r->phase == ORR_PHASE_RUN);
    diary_add(&l->d, run, r);
    if (r->task.node != ORR_NONE && r->kind == ORR_REC_ATTEMPT_STARTED && r->phase == ORR_PHASE_RUN)
        *asked(l, &r->task) = false;
    if (r->task.node != ORR_NONE && r->kind == ORR_REC_ITERATED) *asked(l, &r->task) = true;
    if (fails && *asked(l, &r->task) != (r->reason != 0) && l->end_at == 0)
        fail_msg("%s: node %u fails as if it were %scertain", l->what, r->task.node,
                 r->reason != 0 ? "un" : "");
}

static void watch(void *ud, const sim_line *line) {
    life *l = ud;
    if (line->what == 'C') *asked(l, &line->task) = true;
}

static void tick(void *ud, sim *s) {
    life *l = ud;
    uint64_t h = wild_hash(l->w.seed, 31, ++l->ticks, 0) % 100;
    (void)s;
    if (l->ticks > 20000) fail_msg("%s: no end", l->what);
    if (!l->meddles) return;
    if (h < 2) orr_run_cancel(l->run);
    else if (h < 4) orr_run_pause(l->run);
    else if (h < 12) orr_run_resume(l->run);
}

static void open_life(life *l, int64_t now) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {.ud = l, .deed = deed, .evaluate = evaluate, .record = on_record, .tick = tick};
    l->s = sim_new_at(&alloc, &script, now, 0);
    sim_watch(l->s, watch, l);
    assert_int_equal(wild_limits(sim_core(l->s)), ORR_OK);
}

static void live_on(life *l) {
    bool meddles = l->meddles;
    sim_run(l->s, INT64_MAX - 1);
    l->meddles = false;
    orr_run_resume(l->run);
    sim_run(l->s, INT64_MAX - 1);
    l->meddles = meddles;
    if (!orr_run_ended(orr_run_get_state(l->run)) || sim_busy(l->s) != 0 ||
        orr_core_deadline(sim_core(l->s)) != INT64_MAX)
        fail_msg("%s: the run is %s, %u attempts are busy", l->what,
                 orr_run_state_name(orr_run_get_state(l->run)), sim_busy(l->s));
}

static void begin(life *l, uint64_t seed, uint32_t n, uint32_t flags) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    *l = (life){.meddles = seed % 3 == 0, .d.looks = n < 30};
    l->w = wild_make(&alloc, seed, n, flags);
    snprintf(l->what, sizeof l->what, "ORR_SAGA=%llu,%u,%u", (unsigned long long)seed, n, flags);
    open_life(l, 1);
    l->run = sim_start(l->s, l->w.plan, seed);
}

/* Another process goes on from the first `n` records. */
static void recover(life *l, uint32_t n) {
    diary before = l->d;
    int64_t now = sim_now(l->s);
    orr_run_options options = {.seed = l->w.seed};
    sim_free(l->s);
    diary_copy(&l->d, &before, n);
    diary_free(&before);
    l->end_at = n;
    open_life(l, now);
    l->run = orr_run_rebuild(sim_core(l->s), l->w.plan, &options);
    diary_fold(&l->d, n, l->run, l->what);
    if (orr_run_recover(l->run, false) != ORR_OK) fail_msg("%s: it cannot go on from record %u", l->what, n);
    live_on(l);
}

static void end(life *l) {
    sim_free(l->s);
    diary_free(&l->d);
    wild_free(&l->w);
}

static uint64_t compensated, undone_tasks;

static void play(uint64_t seed, uint32_t n, uint32_t flags, uint32_t crashes) {
    life l;
    chance c = {seed};
    begin(&l, seed, n, flags);
    live_on(&l);
    for (uint32_t i = 0;; i++) {
        uint32_t undone_now = judge_diary(&l.d, l.w.plan, l.what);
        diary_assert_same(&l.d, l.run, l.what);
        undone_tasks += undone_now;
        compensated += undone_now > 0;
        if (i == crashes || l.d.n < 3) break;
        recover(&l, 2 + chance_below(&c, l.d.n - 2));
    }
    end(&l);
}

static void one_case(void **state) {
    unsigned long long seed = 0;
    unsigned n = 0, flags = 0;
    const char *wanted = getenv("ORR_SAGA");
    (void)state;
    if (wanted == NULL || sscanf(wanted, "%llu,%u,%u", &seed, &n, &flags) != 3)
        fail_msg("ORR_SAGA is not 'seed,nodes,flags'");
    play(seed, n, flags, 8);
}

static void small(void **state) {
    chance c = chance_begin("small sagas");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(4000); i++)
        play(chance_next(&c), 1 + chance_below(&c, 24), WILD_UNDO | chance_below(&c, WILD_ALL + 1), 0);
    printf("%llu runs compensated, %llu tasks undone\n", (unsigned long long)compensated,
           (unsigned long long)undone_tasks);
    assert_true(compensated > 1000 && undone_tasks > 4000);
}

static void cut_off(void **state) {
    chance c = chance_begin("sagas cut off by the end of their process");
    (void)state;
    compensated = undone_tasks = 0;
    for (uint32_t i = 0; i < wild_hunt(1000); i++)
        play(chance_next(&c), 1 + chance_below(&c, 24), WILD_UNDO | chance_below(&c, WILD_ALL + 1), 8);
    printf("%llu runs compensated, %llu tasks undone\n", (unsigned long long)compensated,
           (unsigned long long)undone_tasks);
    assert_true(compensated > 2000);
}

static void large(void **state) {
    chance c = chance_begin("large sagas");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(40); i++)
        play(chance_next(&c), 60, WILD_UNDO | chance_below(&c, WILD_ALL + 1), 2);
}

int main(void) {
    const struct CMUnitTest every[] = {cmocka_unit_test(small), cmocka_unit_test(cut_off),
                                       cmocka_unit_test(large)};
    const struct CMUnitTest one[] = {cmocka_unit_test(one_case)};
    if (getenv("ORR_SAGA") != NULL) return cmocka_run_group_tests(one, NULL, NULL);
    return cmocka_run_group_tests(every, NULL, NULL);
}
