/* test_project_runs.c - the tables that people query say of runs of the real engine what these say
 * of themselves, also while they go on, after crashes and retries.
 */
#include "tables.h"

#include "chance.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    tables f;
    wild w;
    sim *s;
    orr_run *run;
    chance c;
    int64_t number;
    rows_text bytes; /* of the row that is being made */
    uint64_t first, last, ticks, looks;
    orr_entry *entries; /* all, to rebuild the run from */
    orr_error *errors;
    uint32_t n, cap, crashes;
} world;

static char *define(const wild *w) {
    rows_text t = {0};
    char word[64];
#define ADD(...) rows_add(&t, word, (size_t)snprintf(word, sizeof word, __VA_ARGS__))
    ADD("{\"nodes\":[");
    for (uint32_t i = 0; i < w->plan->n_nodes; i++) {
        const orr_policy *policy = &w->plan->policies[w->plan->policy_of[i]];
        ADD("%s{\"name\":\"n%u\"%s%s,\"after\":[", i > 0 ? "," : "", i,
            policy->ignore_errors ? ",\"on_error\":\"ignore\"" : "",
            policy->each_parallel > 0 ? ",\"each_parallel\":1" : "");
        for (uint32_t k = w->plan->in_first[i]; k < w->plan->in_first[i + 1]; k++)
            ADD(k % 2 == 0 ? "%s\"n%u\"" : "%s{\"node\":\"n%u\"}", k > w->plan->in_first[i] ? "," : "",
                w->plan->in_from[k]);
        ADD("]}");
    }
    ADD("],\"ports\":[\"a\",\"b\",\"c\"]}");
#undef ADD
    return t.at;
}

static void cut_row(world *w) {
    if (w->bytes.size == 0) return;
    tables_put_row(w->f.db, w->number, w->first, w->bytes.at, w->bytes.size);
    w->bytes.size = 0;
    w->first = w->last + 1;
}

static void on_record(void *ud, orr_run *run, const orr_record *record) {
    world *w = ud;
    (void)run;
    if (w->n == w->cap) {
        w->cap = w->cap > 0 ? w->cap * 2 : 256;
        w->entries = realloc(w->entries, w->cap * sizeof *w->entries);
        w->errors = realloc(w->errors, w->cap * sizeof *w->errors);
    }
    w->entries[w->n] = (orr_entry){.record = *record};
    if (record->error != NULL) {
        w->errors[w->n] = *record->error;
        w->errors[w->n].code = strdup(record->error->code);
        w->errors[w->n].message = strdup(record->error->message);
    }
    tables_put_record(&w->bytes, &w->entries[w->n++]);
    w->last = record->seq;
    if (chance_of(&w->c, 30)) cut_row(w);
}

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    (void)run;
    return wild_deed(&((const world *)ud)->w, task, phase);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    (void)run;
    return wild_evaluate(&((const world *)ud)->w, ask, answer);
}

static void compare_state(world *w, uint32_t node, uint32_t item, const char *shown) {
    const char *is = orr_node_state_name(orr_run_node_state(w->run, node, item));
    /* that a node, or an item with its place, is ready has no record of its own */
    bool same = strcmp(shown, is) == 0 || (strcmp(shown, "pending") == 0 && strcmp(is, "ready") == 0);
    if (!same)
        fail_msg("seed %llu, after record %llu: node %u, item %d is %s, the table says %s",
                 (unsigned long long)w->w.seed, (unsigned long long)w->last, node, (int)item, is, shown);
}

static void compare_counts(world *w) {
    static const orr_node_state counted[] = {ORR_NODE_COMPLETED, ORR_NODE_FAILED, ORR_NODE_SKIPPED,
                                             ORR_NODE_CANCELLED};
    char wanted[128];
    orr_run_stats stats;
    orr_run_get_stats(w->run, &stats);
    snprintf(wanted, sizeof wanted, "%llu|%u|%u|%u|%u|%u", (unsigned long long)w->last, w->w.plan->n_nodes,
             stats.by_state[counted[0]], stats.by_state[counted[1]], stats.by_state[counted[2]],
             stats.by_state[counted[3]]);
    tables_expect(&w->f, "counts", "SELECT seq, nodes, completed, failed, skipped, cancelled FROM runs",
                  wanted);
    tables_expect(&w->f, "timers",
                  "SELECT count(*) FROM timers WHERE (run, node, item, due) NOT IN "
                  "(SELECT run, node, item, due FROM nodes WHERE due IS NOT NULL)",
                  "0");
    if (tables_number(w->f.db, "SELECT count(*) FROM timers") !=
        tables_number(w->f.db, "SELECT count(due) FROM nodes"))
        fail_msg("seed %llu: a node that is due has no timer", (unsigned long long)w->w.seed);
    if (tables_number(w->f.db, "SELECT running FROM runs") !=
        tables_number(w->f.db,
                      "SELECT count(*) FROM nodes WHERE state = 'running' AND (item > 0 OR attempts > 0)"))
        fail_msg("seed %llu: the count of what runs is wrong", (unsigned long long)w->w.seed);
}

/* The table as it is now against the run as it is now. */
static void compare(world *w) {
    cut_row(w);
    tables_project(&w->f, 1 + chance_below(&w->c, 20));
    sqlite3_stmt *s = tables_prepare(w->f.db, "SELECT idx, item, state FROM nodes");
    uint32_t wholes = 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
        uint32_t item = (uint32_t)sqlite3_column_int(s, 1);
        wholes += item == 0;
        compare_state(w, (uint32_t)sqlite3_column_int(s, 0), item - 1,
                      (const char *)sqlite3_column_text(s, 2));
    }
    sqlite3_finalize(s);
    assert_int_equal(wholes, w->w.plan->n_nodes);
    compare_counts(w);
    w->looks++;
}

static void tick(void *ud, sim *s) {
    world *w = ud;
    uint64_t h = wild_hash(w->w.seed, 21, ++w->ticks, 0) % 100;
    (void)s;
    if (w->n > 0 && chance_of(&w->c, 20)) compare(w);
    if (h == 0) orr_run_cancel(w->run);
    else if (h == 1) orr_run_pause(w->run);
    else if (h < 5) orr_run_resume(w->run);
}

static void finish(world *w) {
    sim_run(w->s, INT64_MAX - 1);
    /* it was paused, perhaps at the last tick again */
    for (int i = 0; i < 100 && !orr_run_ended(orr_run_get_state(w->run)); i++) {
        orr_run_resume(w->run);
        sim_run(w->s, INT64_MAX - 1);
    }
    compare(w);
    assert_string_equal(orr_run_state_name(orr_run_get_state(w->run)),
                        w->entries[w->n - 1].record.kind == ORR_REC_RUN_ENDED
                            ? orr_run_state_name((orr_run_state)w->entries[w->n - 1].record.reason)
                            : "?");
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s|0|0", orr_run_state_name(orr_run_get_state(w->run)));
    tables_expect(&w->f, "at the end", "SELECT state, running, waiting FROM runs", wanted);
    tables_expect(&w->f, "at the end", "SELECT count(*) FROM timers", "0");
    tables_expect(&w->f, "at the end", "SELECT count(*) FROM attempts WHERE state = 'running'", "0");
}

/* As a process does that is started again: a new core, and the run rebuilt from its journal. */
static void rebuild(world *w) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    sim_script script = {.ud = w, .deed = deed, .evaluate = evaluate, .record = on_record, .tick = tick};
    orr_run_options options = {.seed = w->w.seed};
    int64_t now = w->s != NULL ? sim_now(w->s) : 1;
    uint32_t n = w->n;
    sim_free(w->s);
    w->s = sim_new_at(&alloc, &script, now, 0);
    assert_int_equal(wild_limits(sim_core(w->s)), ORR_OK);
    w->run = orr_run_rebuild(sim_core(w->s), w->w.plan, &options);
    for (uint32_t i = 0; i < n; i++) {
        orr_record r = w->entries[i].record;
        r.error = r.error != NULL ? &w->errors[i] : NULL;
        assert_int_equal(orr_run_fold(w->run, &r), ORR_OK);
    }
}

/* The process ends every now and then, in good order or not. */
static void go_through_crashes(world *w) {
    for (uint32_t left = chance_below(&w->c, 4); left > 0; left--) {
        sim_run(w->s, sim_now(w->s) + 1 + (int64_t)(chance_next(&w->c) % (uint64_t)(3 * SECOND)));
        if (orr_run_ended(orr_run_get_state(w->run))) return;
        if (chance_of(&w->c, 30)) orr_run_suspend(w->run);
        compare(w);
        rebuild(w);
        assert_int_equal(orr_run_recover(w->run, false), ORR_OK);
        compare(w);
        w->crashes++;
    }
}

typedef struct totals {
    uint64_t records, looks;
    uint32_t retries, crashes, undone;
} totals;

static void play(chance *c, uint32_t n, uint32_t flags, totals *done) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    world w = {.f = tables_open(), .c = {chance_next(c)}, .first = 1};
    sim_script script = {.ud = &w, .deed = deed, .evaluate = evaluate, .record = on_record, .tick = tick};
    w.w = wild_make(&alloc, chance_next(c), n, flags);
    char *defined = define(&w.w);
    tables_new_bundle(w.f.db, "h", defined);
    w.number = tables_new_run(w.f.db, "h");
    w.s = sim_new(&alloc, &script);
    assert_int_equal(wild_limits(sim_core(w.s)), ORR_OK);
    w.run = orr_run_new(sim_core(w.s), w.w.plan, &(orr_run_options){.seed = w.w.seed});
    orr_run_begin(w.run);
    go_through_crashes(&w);
    finish(&w);
    for (int i = 0; i < 2; i++) {
        rebuild(&w);
        if (orr_run_retry(w.run, chance_of(&w.c, 50), false) != ORR_OK) break; /* there is nothing to retry */
        ++done->retries;
        go_through_crashes(&w);
        finish(&w);
    }
    tables_same_in_slices(&w.f, "a run of the engine");
    done->records += w.n;
    done->looks += w.looks;
    done->crashes += w.crashes;
    done->undone += (uint32_t)tables_number(
        w.f.db, "SELECT count(*) FROM nodes WHERE state IN ('compensated', 'compensation_failed')");
    for (uint32_t i = 0; i < w.n; i++)
        if (w.entries[i].record.error != NULL) {
            free((void *)(uintptr_t)w.errors[i].code);
            free((void *)(uintptr_t)w.errors[i].message);
        }
    free(w.entries);
    free(w.errors);
    free(w.bytes.at);
    free(defined);
    sim_free(w.s);
    wild_free(&w.w);
    tables_close(&w.f);
}

static void real_runs(void **state) {
    chance c = chance_begin("tables of runs of the engine");
    totals done = {0};
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(150); i++)
        play(&c, 1 + chance_below(&c, i % 10 == 0 ? 80 : 16), i % 2 == 0 ? WILD_ALL : WILD_ALL | WILD_UNDO,
             &done);
    printf("%llu records, %llu looks, %u crashes, %u retries, %u nodes undone\n",
           (unsigned long long)done.records, (unsigned long long)done.looks, done.crashes, done.retries,
           done.undone);
    assert_true(done.records > 1000 && done.looks > 1000 && done.crashes > 50 && done.retries > 10 &&
                done.undone > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(real_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
