/* test_core_recover_memory.c - every allocation fails in turn, alone or with all that follow, while
 * a run is read from its journal, recovered, set back, or begun with nodes of another run: nothing
 * crashes, leaks or is lost, and the run ends or is refused.
 */
#include "checked_core.h"
#include "chance.h"
#include "checked_heap.h"
#include "diary.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef enum { RECOVER, RETRY, ADOPT, ADMIT, RETRY_ADMIT } deal;

typedef struct world {
    wild w;
    diary d;
    bool writes;
} world;

static sim_deed deed(void *ud, const orr_run *run, const orr_task *task, uint8_t phase) {
    const world *w = ud;
    (void)run;
    return wild_deed(&w->w, task, phase);
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    const world *w = ud;
    (void)run;
    return wild_evaluate(&w->w, ask, answer);
}

static void on_record(void *ud, orr_run *run, const orr_record *rec) {
    world *w = ud;
    if (w->writes) diary_add(&w->d, run, rec);
}

static uint32_t ended, refused, folds_refused;

/* A record that is refused for lack of memory is taken when there is some. */
static bool fold_all(world *w, uint32_t n, orr_run *run) {
    for (uint32_t i = 0; i < n; i++) {
        orr_record r = diary_record(&w->d, i);
        orr_status status = orr_run_fold(run, &r);
        if (status == ORR_ENOMEM) {
            folds_refused++;
            assert_true(orr_run_seq(run) == i);
            status = orr_run_fold(run, &r);
        }
        if (status == ORR_ENOMEM) return false;
        assert_int_equal(status, ORR_OK);
    }
    return true;
}

static bool adopt(orr_run *run, uint32_t n) {
    const orr_task none = {0, ORR_NONE, 0, 1};
    for (uint32_t i = 0; i < n; i++) {
        orr_status status = orr_run_adopt(run, i, ORR_PORT_ANY, 1);
        assert_true(status == ORR_OK || status == ORR_ENOMEM);
        if (status != ORR_OK) return false;
    }
    orr_run_begin(run);
    assert_int_equal(orr_run_note(run, ORR_REC_STEP, &none, -1, 1, NULL), ORR_ESTATE);
    return true;
}

/* Where there was no memory it still waits, and is let begin when there is. */
static bool admit(orr_run *run) {
    orr_status status = orr_run_admit(run);
    if (status == ORR_ENOMEM) {
        assert_true(orr_run_waits(run));
        status = orr_run_admit(run);
    }
    return status == ORR_OK;
}

static orr_run *begin(world *w, sim *s, deal what, uint32_t n) {
    orr_run_options options = {.seed = w->w.seed};
    orr_core *core = sim_core(s);
    if (what == ADMIT) {
        options.waits = true;
        orr_run *run = orr_run_new(core, w->w.plan, &options);
        if (run != NULL) orr_run_begin(run);
        return run != NULL && admit(run) ? run : NULL;
    }
    if (what == ADOPT) {
        orr_run *fork = orr_run_new(core, w->w.plan, &options);
        return fork != NULL && adopt(fork, w->w.n / 2) ? fork : NULL;
    }
    orr_run *run = orr_run_rebuild(core, w->w.plan, &options);
    if (run == NULL || !fold_all(w, n, run)) return NULL;
    orr_status status = what == RECOVER ? orr_run_recover(run, false)
                                        : orr_run_retry(run, false, what == RETRY_ADMIT);
    assert_true(status == ORR_OK || status == ORR_ENOMEM);
    checked_core(core);
    return status == ORR_OK && (what != RETRY_ADMIT || admit(run)) ? run : NULL;
}

static uint64_t play(world *w, deal what, uint32_t n, uint64_t fail_at, bool and_after) {
    checked_heap heap = {.fail_at = fail_at, .fail_after = and_after};
    orr_alloc alloc = checked_heap_hook(&heap);
    sim_script script = {w, deed, evaluate, NULL, on_record, NULL};
    sim *s = sim_new_at(&alloc, &script, 10 * SECOND, 1000);
    orr_run *run = s != NULL && wild_limits(sim_core(s)) == ORR_OK ? begin(w, s, what, n) : NULL;
    if (run != NULL) {
        sim_run(s, INT64_MAX - 1);
        if (orr_run_get_state(run) == ORR_RUN_PAUSED) orr_run_resume(run);
        sim_run(s, INT64_MAX - 1);
        if (!orr_run_ended(orr_run_get_state(run)))
            fail_msg("seed %llu, %u nodes, flags %u, deal %d, after %u records: the run does not end when "
                     "request %llu%s fails",
                     (unsigned long long)w->w.seed, w->w.n, w->w.flags, what, n, (unsigned long long)fail_at,
                     and_after ? " and all later ones" : "");
        assert_int_equal(sim_busy(s), 0);
        ended++;
    } else {
        assert_true(fail_at > 0);
        refused++;
    }
    sim_free(s);
    assert_int_equal(heap.live_bytes, 0);
    assert_int_equal(heap.live_blocks, 0);
    return heap.requests;
}

static void every_request(world *w, deal what, uint32_t n) {
    uint64_t requests = play(w, what, n, 0, false);
    for (uint64_t k = 1; k <= requests; k++) {
        play(w, what, n, k, false);
        play(w, what, n, k, true);
    }
}

static void every_allocation(void **state) {
    static const orr_alloc libc = {orr_alloc_libc, NULL};
    chance c = chance_begin("memory that fails in a recovery");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(1000); i++) {
        world w = {.writes = true};
        w.w = wild_make(&libc, chance_next(&c), 3 + chance_below(&c, 22),
                        WILD_ALL | (chance_of(&c, 30) ? WILD_UNDO : 0));
        sim_script script = {&w, deed, evaluate, NULL, on_record, NULL};
        sim *s = sim_new(&libc, &script);
        assert_int_equal(wild_limits(sim_core(s)), ORR_OK);
        orr_run *run = sim_start(s, w.w.plan, w.w.seed);
        sim_run(s, INT64_MAX - 1);
        orr_run_state end = orr_run_get_state(run);
        sim_free(s);
        w.writes = false;
        every_request(&w, RECOVER, 1 + chance_below(&c, w.d.n - 1));
        if (end == ORR_RUN_FAILED || end == ORR_RUN_CANCELLED) {
            every_request(&w, RETRY, w.d.n);
            if (i % 4 == 0) every_request(&w, RETRY_ADMIT, w.d.n);
        }
        every_request(&w, ADOPT, 0);
        if (i % 4 == 0) every_request(&w, ADMIT, 0);
        diary_free(&w.d);
        wild_free(&w.w);
    }
    printf("%u runs ended, %u were refused, %u records were read twice\n", ended, refused, folds_refused);
    assert_true(ended > 1000 && refused > 1000 && folds_refused > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
