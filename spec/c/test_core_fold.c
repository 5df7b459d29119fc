/* test_core_fold.c - a run rebuilt from its records is the run that wrote them, at every point; and
 * records that do not fit are refused and change nothing.
 */
#include "checked_core.h"
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

/* ---- a live run that keeps its journal ------------------------------------------------------- */

typedef struct journal {
    wild w;
    sim *s;
    orr_run *run;
    diary d;
    uint64_t ticks;
} journal;

static void on_record(void *ud, orr_run *run, const orr_record *rec) {
    journal *j = ud;
    diary_add(&j->d, run, rec);
}

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const journal *j = ud;
    (void)run;
    return wild_deed(&j->w, task, phase);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const journal *j = ud;
    (void)run;
    return wild_evaluate(&j->w, ask, answer);
}

static void tick(void *ud, sim *s) {
    journal *j = ud;
    uint64_t h = wild_hash(j->w.seed, 21, ++j->ticks, 0) % 100;
    (void)s;
    if (h == 0) orr_run_cancel(j->run);
    else if (h == 1) orr_run_pause(j->run);
    else if (h < 5) orr_run_resume(j->run);
}

/* It is let begin after a while, in which it may have been paused or cancelled. */
static void be_let(journal *j, uint64_t seed) {
    uint64_t h = wild_hash(seed, 22, 0, 0) % 8;
    sim_pass(j->s, 1 + (int64_t)h * SECOND);
    if (h == 0) orr_run_cancel(j->run);
    if (h == 1 || h == 2) orr_run_pause(j->run);
    sim_pass(j->s, 20 * SECOND);
    orr_status expected = orr_run_waits(j->run) ? ORR_OK : ORR_ESTATE;
    assert_int_equal(orr_run_admit(j->run), expected);
    if (h == 1) orr_run_resume(j->run);
}

static void live(journal *j, uint64_t seed, uint32_t n, bool looks) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {j, deed, evaluate, NULL, on_record, tick};
    orr_run_options options = {.seed = seed, .waits = seed % 4 == 1};
    *j = (journal){.d = {.looks = looks}};
    j->w = wild_make(&alloc, seed, n, seed % 2 == 0 ? WILD_ALL : WILD_ALL | WILD_UNDO);
    j->s = sim_new(&alloc, &script);
    assert_int_equal(wild_limits(sim_core(j->s)), ORR_OK);
    j->run = orr_run_new(sim_core(j->s), j->w.plan, &options);
    orr_run_begin(j->run);
    if (options.waits) be_let(j, seed);
    sim_run(j->s, INT64_MAX - 1);
    orr_run_resume(j->run);
    sim_run(j->s, INT64_MAX - 1);
}

static void close_journal(journal *j) {
    sim_free(j->s);
    wild_free(&j->w);
    diary_free(&j->d);
}

static orr_core *still_core(void) {
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL}, .now = 1};
    orr_core *core = orr_core_new(&options);
    assert_int_equal(wild_limits(core), ORR_OK);
    return core;
}

static orr_run *empty_run(orr_core *core, const journal *j) {
    orr_run_options options = {.seed = j->w.seed};
    return orr_run_new(core, j->w.plan, &options);
}

/* ---- the same at every point ----------------------------------------------------------------- */

static void rebuild(const journal *j) {
    char what[96];
    snprintf(what, sizeof what, "seed %llu, %u nodes", (unsigned long long)j->w.seed, j->w.n);
    diary_assert_same(&j->d, j->run, what);
}

static void every_point(void **state) {
    chance c = chance_begin("every prefix of small journals");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(1500); i++) {
        journal j;
        live(&j, chance_next(&c), 1 + chance_below(&c, 16), true);
        rebuild(&j);
        close_journal(&j);
    }
}

static void at_the_end(void **state) {
    chance c = chance_begin("larger journals");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(150); i++) {
        journal j;
        live(&j, chance_next(&c), 60 + chance_below(&c, 200), false);
        rebuild(&j);
        close_journal(&j);
    }
}

/* ---- what does not fit ----------------------------------------------------------------------- */

static orr_record any_record(chance *c, const journal *j, uint64_t seq) {
    static const orr_error error = {"code", "message", false, -1, 0};
    orr_record r = {.kind = (orr_record_kind)chance_below(c, ORR_RECORD_COUNT + 1), .seq = seq, .time = 5};
    r.task.node = chance_of(c, 15) ? ORR_NONE : chance_below(c, j->w.n + 1);
    r.task.item = chance_of(c, 70) ? ORR_NONE : chance_below(c, 4);
    r.task.iteration = chance_of(c, 85) ? 0 : chance_below(c, 3);
    r.task.attempt = chance_below(c, 3);
    r.phase = (uint8_t)chance_below(c, 4);
    r.reason = (uint8_t)chance_below(c, 13);
    r.port = chance_of(c, 50) ? ORR_PORT_ANY : (uint16_t)chance_below(c, 5);
    r.count = chance_of(c, 80) ? chance_below(c, 6) : chance_of(c, 50) ? ORR_NONE : chance_below(c, 100);
    r.due = chance_of(c, 50) ? -1 : (int64_t)chance_below(c, 1000);
    r.error = chance_of(c, 80) ? &error : NULL;
    return r;
}

/* A real record with one field changed. */
static orr_record spoiled(chance *c, const journal *j, uint32_t at) {
    orr_record r = diary_record(&j->d, at), other = any_record(c, j, r.seq);
    switch (chance_below(c, 10)) {
    case 0: r.kind = other.kind; break;
    case 1: r.seq += chance_below(c, 3) - 1u; break;
    case 2: r.task.node = other.task.node; break;
    case 3: r.task.item = other.task.item; break;
    case 4: r.task.attempt = other.task.attempt; break;
    case 5: r.task.iteration = other.task.iteration; break;
    case 6: r.reason = other.reason; break;
    case 7: r.count = other.count; break;
    case 8: r.due = other.due; break;
    default: r.error = NULL; break;
    }
    return r;
}

static uint32_t refused, taken;

static void offer(orr_run *run, const orr_record *r) {
    look before = look_at(run);
    uint64_t seq = run->seq;
    orr_status status = orr_run_fold(run, r);
    if (status != ORR_OK) {
        look after = look_at(run);
        assert_int_equal(status, ORR_EINVAL);
        assert_same_look(&before, &after, "after a record that was refused");
        assert_true(run->seq == seq);
        look_free(&after);
        refused++;
    } else {
        taken++;
    }
    look_free(&before);
    checked_core(run->core);
    assert_false(run->illegal);
    assert_true(run->open <= run->plan->n_nodes && run->live <= run->n_cells && run->timed <= run->n_cells &&
                run->running <= run->live);
    for (uint32_t i = 0; i < run->plan->n_nodes; i++) {
        orr_why why;
        orr_run_why(run, i, ORR_NONE, &why);
        assert_true(run->cells[i].pending <= run->plan->n_edges);
    }
}

static void refuses(void **state) {
    chance c = chance_begin("records that do not fit");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(800); i++) {
        journal j;
        live(&j, chance_next(&c), 1 + chance_below(&c, 10), false);
        orr_core *core = still_core();
        orr_run *run = empty_run(core, &j);
        for (uint32_t k = 0; k < j.d.n; k++) {
            /* every other time what was spoiled takes the place of the right one */
            bool mixed = i % 2 == 0;
            for (uint32_t tries = chance_below(&c, 4); tries > 0; tries--) {
                orr_record r = chance_of(&c, 50) ? spoiled(&c, &j, k) : any_record(&c, &j, run->seq + 1);
                if (!mixed && r.seq == run->seq + 1) /* cannot be taken, whatever it says */
                    r.seq = run->seq + (chance_of(&c, 50) ? 0 : 2);
                offer(run, &r);
            }
            orr_record r = diary_record(&j.d, k);
            if (mixed) r.seq = run->seq + 1;
            offer(run, &r);
        }
        orr_core_free(core);
        close_journal(&j);
    }
    printf("%u records refused, %u taken\n", refused, taken);
    assert_true(refused > 10000 && taken > 1000);
}

/* Each field that a record must get right, one by one. */
static void each_field(void **state) {
    orr_policy policies[] = {PLAIN, PLAIN};
    orr_plan *plan = shape(NULL, 2, policies, 1, (shape_edge[]){{0, 1}});
    orr_core *core = still_core();
    orr_run_options options = {.seed = 1};
    orr_run *run = orr_run_new(core, plan, &options);
    const orr_task none = {ORR_NONE, ORR_NONE, 0, 0}, a1 = {0, ORR_NONE, 0, 1}, a2 = {0, ORR_NONE, 0, 2},
                   b1 = {1, ORR_NONE, 0, 1}, item = {0, 0, 0, 1}, far = {2, ORR_NONE, 0, 1};
    const orr_record created = {.kind = ORR_REC_RUN_CREATED, .seq = 1, .task = none};
    const orr_record start = {.kind = ORR_REC_ATTEMPT_STARTED, .seq = 2, .task = a1, .port = ORR_PORT_ANY};
    const orr_record done = {.kind = ORR_REC_COMPLETED, .seq = 3, .task = a1, .port = ORR_PORT_ANY};
    orr_record r;
    (void)state;
    assert_int_equal(orr_run_fold(run, &start), ORR_EINVAL); /* not created */
    assert_int_equal(orr_run_fold(run, &created), ORR_OK);
    assert_int_equal(orr_run_fold(run, &created), ORR_EINVAL);
    const orr_task wrong[] = {a2, b1, item, far, none};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        r = start;
        r.task = wrong[i];
        assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL);
    }
    assert_int_equal(orr_run_fold(run, &start), ORR_OK);
    r = done;
    r.port = 0; /* the plan has no outcomes */
    assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL);
    r = done;
    r.seq = 4;
    assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL);
    r = (orr_record){.kind = ORR_REC_FAILED, .seq = 3, .task = a1};
    assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL); /* without an error */
    r = (orr_record){.kind = ORR_REC_EXPANDED, .seq = 3, .task = a1, .count = 3};
    assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL);
    r = (orr_record){.kind = ORR_REC_RUN_ENDED, .seq = 3, .task = none, .reason = ORR_RUN_COMPLETED};
    assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL); /* nodes are left */
    assert_int_equal(orr_run_fold(run, &done), ORR_OK);
    r = (orr_record){.kind = ORR_REC_SKIPPED,
                     .seq = 4,
                     .task = {1, ORR_NONE, 0, 0},
                     .reason = ORR_SKIP_WHEN,
                     .count = ORR_NONE};
    assert_int_equal(orr_run_fold(run, &r), ORR_OK);
    r = (orr_record){.kind = ORR_REC_RUN_ENDED, .seq = 5, .task = none, .reason = ORR_RUN_PAUSED};
    assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL);
    r.reason = ORR_RUN_COMPLETED;
    assert_int_equal(orr_run_fold(run, &r), ORR_OK);
    assert_int_equal(orr_run_get_state(run), ORR_RUN_COMPLETED);
    r.seq = 6;
    assert_int_equal(orr_run_fold(run, &r), ORR_EINVAL);
    orr_core_free(core);
    orr_plan_unref(plan);
}

/* Before U was told from S, journals had `upstream` for both. What was decided then stays, and
 * counts by whom it was skipped for; what is undecided is decided by that. */
static void journals_from_before(void **state) {
    const shape_edge edges[] = {{0, 1}, {1, 2}, {3, 4}, {2, 5}, {4, 5}};
    orr_policy policies[] = {PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, {.join = ORR_JOIN_FAILED}};
    orr_plan *plan = shape(&(orr_plan_options){.on_error = ORR_ON_ERROR_CONTINUE}, 6, policies, 5, edges);
    orr_run_options options = {.seed = 1};
    orr_core *core = still_core();
    orr_run *run = orr_run_rebuild(core, plan, &options);
    orr_error error = {"e", "m", false, -1, 0};
    const struct {
        orr_record_kind kind;
        uint32_t node, attempt;
        uint8_t reason;
        uint32_t count;
    } records[] = {{ORR_REC_RUN_CREATED, ORR_NONE, 0, 0, 0},
                   {ORR_REC_ATTEMPT_STARTED, 0, 1, 0, 0},
                   {ORR_REC_SKIPPED, 3, 0, ORR_SKIP_WHEN, ORR_NONE},
                   {ORR_REC_SKIPPED, 4, 0, ORR_SKIP_UPSTREAM, 3},
                   {ORR_REC_FAILED, 0, 1, 0, 0},
                   {ORR_REC_SKIPPED, 1, 0, ORR_SKIP_UPSTREAM, 0},
                   {ORR_REC_SKIPPED, 2, 0, ORR_SKIP_UPSTREAM, 1}};
    (void)state;
    for (uint32_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        bool whole = records[i].node == ORR_NONE, failed = records[i].kind == ORR_REC_FAILED;
        orr_record r = {.kind = records[i].kind,
                        .seq = i + 1,
                        .task = {records[i].node, ORR_NONE, 0, whole ? 0 : records[i].attempt},
                        .reason = records[i].reason,
                        .count = records[i].count,
                        .port = ORR_PORT_ANY,
                        .error = failed ? &error : NULL};
        assert_int_equal(orr_run_fold(run, &r), ORR_OK);
    }
    for (uint32_t node = 0; node < 5; node++) assert_int_equal(orr_run_outcome(run, node), "FUUSS"[node]);
    assert_int_equal(orr_run_recover(run, false), ORR_OK);
    assert_int_equal(orr_run_node_state(run, 5, ORR_NONE), ORR_NODE_READY);
    orr_core_free(core);
    orr_plan_unref(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_point), cmocka_unit_test(at_the_end),
                                       cmocka_unit_test(refuses), cmocka_unit_test(journals_from_before),
                                       cmocka_unit_test(each_field)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
