/* test_core_memory.c - every allocation fails in turn, alone or with all that follow: nothing
 * crashes, nothing is lost, and the run ends, or could not be made.
 */
#include "chance.h"
#include "checked_heap.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    wild w;
    orr_run *run;
    int64_t cancel_at;
    uint64_t ticks;
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

static void on_event(void *ud, const orr_event *event) {
    world *w = ud;
    w->ticks += event->error != NULL ? strlen(event->error->message) : 1;
}

static void tick(void *ud, sim *s) {
    world *w = ud;
    if (w->cancel_at > 0 && w->run != NULL && sim_now(s) >= w->cancel_at) {
        w->cancel_at = 0;
        orr_run_cancel(w->run);
    }
}

static uint64_t ended, refused;

/* Returns how often memory was asked for. The plan takes most of it, so it is made from another
 * heap where `plan` is false. */
static uint64_t play(uint64_t seed, uint32_t n, bool plan, uint64_t fail_at, bool and_after) {
    static const orr_alloc other = {orr_alloc_libc, NULL};
    checked_heap heap = {.fail_at = fail_at, .fail_after = and_after};
    orr_alloc alloc = checked_heap_hook(&heap);
    world w = {.cancel_at = seed % 3 == 0 ? 4 * SECOND : 0};
    sim_script script = {&w, deed, evaluate, on_event, NULL, tick};
    sim *s = NULL;
    w.w = wild_make(plan ? &alloc : &other, seed, n, seed % 2 == 0 ? WILD_ALL : WILD_ALL | WILD_UNDO);
    if (w.w.plan != NULL) s = sim_new(&alloc, &script);
    if (s != NULL && wild_limits(sim_core(s)) == ORR_OK) w.run = sim_start(s, w.w.plan, seed);
    if (w.run != NULL) {
        sim_run(s, INT64_MAX - 1);
        if (!orr_run_ended(orr_run_get_state(w.run)))
            fail_msg("seed %llu, %u nodes: the run does not end when request %llu%s fails",
                     (unsigned long long)seed, n, (unsigned long long)fail_at,
                     and_after ? " and all later ones" : "");
        assert_int_equal(sim_busy(s), 0);
        ended++;
    } else {
        assert_true(fail_at > 0);
        refused++;
    }
    sim_free(s);
    wild_free(&w.w);
    assert_int_equal(heap.live_bytes, 0);
    assert_int_equal(heap.live_blocks, 0);
    return heap.requests;
}

static void every_allocation(void **state) {
    chance c = chance_begin("memory that fails");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(250); i++) {
        bool plan = i % 50 == 0;
        uint64_t seed = chance_next(&c);
        uint32_t n = 5 + chance_below(&c, 30);
        uint64_t requests = play(seed, n, plan, 0, false);
        for (uint64_t k = 1; k <= requests; k++) {
            play(seed, n, plan, k, false);
            play(seed, n, plan, k, true);
        }
    }
    printf("%llu runs ended, %llu could not be made\n", (unsigned long long)ended,
           (unsigned long long)refused);
    assert_true(ended > 1000 && refused > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
