/* test_timer.c - the timer heap against a plain list of what is set. */
#include "core/timer.h"
#include "chance.h"
#include "checked_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint32_t add(orr_timers *t, int64_t time, uint32_t task) {
    uint32_t id = orr_timers_add(t, time, NULL, task, 0);
    assert_int_not_equal(id, ORR_NONE);
    return id;
}

/* Removes the first timer and returns its task. */
static uint32_t pop(orr_timers *t) {
    orr_timer timer;
    uint32_t id;
    assert_true(orr_timers_first(t, &timer, &id));
    assert_int_equal(timer.time, orr_timers_deadline(t));
    orr_timers_remove(t, id);
    assert_null(orr_timers_get(t, id));
    return timer.task;
}

static void test_empty(void **state) {
    (void)state;
    checked_heap heap = {0};
    orr_timers t;
    orr_timers_init(&t, checked_heap_hook(&heap));
    assert_false(orr_timers_first(&t, NULL, NULL));
    assert_int_equal(orr_timers_deadline(&t), INT64_MAX);
    assert_null(orr_timers_get(&t, 0));
    assert_null(orr_timers_get(&t, ORR_NONE));
    orr_timers_remove(&t, 0);
    orr_timers_remove(&t, ORR_NONE);
    assert_int_equal(heap.requests, 0);
    orr_timers_free(&t);
}

static void test_order_of_time_then_of_creation(void **state) {
    (void)state;
    static const struct {
        int64_t time;
        uint32_t task;
    } set[] = {
        {30, 7}, {10, 1}, {20, 3}, {10, 2}, {INT64_MAX, 8}, {20, 4}, {INT64_MIN, 0}, {20, 5}, {20, 6},
    };
    orr_timers t;
    orr_timers_init(&t, (orr_alloc){orr_alloc_libc, NULL});
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) add(&t, set[i].time, set[i].task);
    for (uint32_t task = 0; task < sizeof set / sizeof *set; task++) assert_int_equal(pop(&t), task);
    assert_false(orr_timers_first(&t, NULL, NULL));
    orr_timers_free(&t);
}

static void test_fields_come_back(void **state) {
    (void)state;
    int owner;
    orr_timers t;
    orr_timers_init(&t, (orr_alloc){orr_alloc_libc, NULL});
    uint32_t id = orr_timers_add(&t, 42, &owner, ORR_NONE, 255);
    const orr_timer *timer = orr_timers_get(&t, id);
    assert_non_null(timer);
    assert_int_equal(timer->time, 42);
    assert_ptr_equal(timer->owner, &owner);
    assert_int_equal(timer->task, ORR_NONE);
    assert_int_equal(timer->kind, 255);
    orr_timers_free(&t);
}

static void test_ids_are_used_again_and_seq_is_not(void **state) {
    (void)state;
    checked_heap heap = {0};
    orr_timers t;
    orr_timers_init(&t, checked_heap_hook(&heap));
    uint32_t a = add(&t, 1, 0), b = add(&t, 1, 1);
    uint64_t seq = orr_timers_get(&t, b)->seq;
    orr_timers_remove(&t, a);
    orr_timers_remove(&t, a); /* not set any more: no effect, the list of free ids stays sound */
    uint32_t c = add(&t, 1, 2), d = add(&t, 1, 3);
    assert_int_equal(c, a);
    assert_int_not_equal(d, a);
    assert_true(orr_timers_get(&t, c)->seq > seq);
    assert_int_equal(pop(&t), 1); /* b is the older one although c has the lower id */
    size_t bytes = heap.live_bytes;
    for (int i = 0; i < 10000; i++) orr_timers_remove(&t, add(&t, i, 0));
    assert_int_equal(heap.live_bytes, bytes);
    orr_timers_free(&t);
    assert_int_equal(heap.live_blocks, 0);
}

static void test_reserve_keeps_its_word(void **state) {
    (void)state;
    checked_heap heap = {0};
    orr_timers t;
    orr_timers_init(&t, checked_heap_hook(&heap));
    for (int i = 0; i < 5; i++) add(&t, i, 0);
    assert_int_equal(orr_timers_reserve(&t, 1000), ORR_OK);
    heap.fail_at = heap.requests + 1;
    heap.fail_after = true;
    uint32_t added = 0;
    for (int i = 0; i < 1000; i++) added += orr_timers_add(&t, i, NULL, 0, 0) != ORR_NONE;
    assert_int_equal(added, 1000);
    while (orr_timers_add(&t, 9, NULL, 0, 0) != ORR_NONE) added++; /* spare room, then failure */
    assert_true(added < 3000);
    assert_int_equal(t.count, added + 5);
    assert_int_equal(orr_timers_reserve(&t, UINT32_MAX), ORR_ENOMEM);
    orr_timers_free(&t);
    assert_int_equal(heap.live_blocks, 0);
}

/* Each allocation in turn fails; what was set before is still there, and the call works when
 * repeated. */
static void test_every_allocation_fails_once(void **state) {
    (void)state;
    uint64_t k = 1;
    for (bool failed = true; failed; k++) {
        checked_heap heap = {.fail_at = k};
        orr_timers t;
        orr_timers_init(&t, checked_heap_hook(&heap));
        failed = false;
        for (uint32_t i = 0; i < 300; i++) {
            if (orr_timers_add(&t, 300 - i, NULL, i, 0) != ORR_NONE) continue;
            failed = true;
            assert_int_equal(t.count, i--);
        }
        for (uint32_t i = 300; i-- > 0;) assert_int_equal(pop(&t), i);
        orr_timers_free(&t);
        assert_int_equal(heap.live_blocks, 0);
    }
    assert_true(k > 4); /* it did grow several times */
}

/* ---- against a list -------------------------------------------------------------------------- */

enum { SLOTS = 400 };

typedef struct model {
    struct {
        int64_t time;
        uint64_t order;
        uint32_t id;
        bool set;
    } slot[SLOTS];
    uint64_t order;
} model;

static uint32_t model_first(const model *m) {
    uint32_t best = ORR_NONE;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (!m->slot[i].set) continue;
        bool before = best == ORR_NONE || m->slot[i].time < m->slot[best].time ||
                      (m->slot[i].time == m->slot[best].time && m->slot[i].order < m->slot[best].order);
        if (before) best = i;
    }
    return best;
}

static void check_first(const orr_timers *t, const model *m) {
    uint32_t expected = model_first(m), id;
    orr_timer timer;
    assert_int_equal(orr_timers_first(t, &timer, &id), expected != ORR_NONE);
    if (expected == ORR_NONE) return;
    assert_int_equal(id, m->slot[expected].id);
    assert_int_equal(timer.task, expected);
    assert_int_equal(timer.time, m->slot[expected].time);
}

static void test_random_against_list(void **state) {
    (void)state;
    chance c = chance_begin("timers");
    for (int round = 0; round < 200; round++) {
        checked_heap heap = {0};
        model m = {0};
        orr_timers t;
        orr_timers_init(&t, checked_heap_hook(&heap));
        /* many equal times, or few */
        uint32_t spread = 1 + chance_below(&c, chance_of(&c, 50) ? 5 : 100000);
        uint32_t bias = 20 + chance_below(&c, 60);
        for (int step = 0; step < 600; step++) {
            uint32_t i = chance_below(&c, SLOTS);
            if (chance_of(&c, bias) && !m.slot[i].set) {
                m.slot[i].set = true;
                m.slot[i].time = chance_below(&c, spread);
                m.slot[i].order = ++m.order;
                m.slot[i].id = add(&t, m.slot[i].time, i);
            } else if (chance_of(&c, 50) && (i = model_first(&m)) != ORR_NONE) {
                assert_int_equal(pop(&t), i);
                m.slot[i].set = false;
            } else if (m.slot[i = chance_below(&c, SLOTS)].set) {
                assert_int_equal(orr_timers_get(&t, m.slot[i].id)->task, i);
                orr_timers_remove(&t, m.slot[i].id);
                m.slot[i].set = false;
            }
            check_first(&t, &m);
        }
        for (uint32_t i; (i = model_first(&m)) != ORR_NONE; m.slot[i].set = false)
            assert_int_equal(pop(&t), i);
        orr_timers_free(&t);
        assert_int_equal(heap.live_blocks, 0);
    }
}

static double ms_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void test_a_million(void **state) {
    (void)state;
    const uint32_t n = 1000000;
    chance c = chance_begin("a million timers");
    checked_heap heap = {0};
    orr_timers t;
    orr_timers_init(&t, checked_heap_hook(&heap));
    double t0 = ms_now();
    for (uint32_t i = 0; i < n; i++) add(&t, chance_below(&c, 1000), i);
    double t1 = ms_now();
    orr_timer last = {.time = -1}, timer;
    for (uint32_t id; orr_timers_first(&t, &timer, &id); last = timer) {
        assert_true(timer.time > last.time || (timer.time == last.time && timer.seq > last.seq));
        orr_timers_remove(&t, id);
    }
    double t2 = ms_now();
    printf("a million timers: add %.0f ns, remove the first %.0f ns, %.1f bytes each\n", (t1 - t0) * 1e6 / n,
           (t2 - t1) * 1e6 / n, (double)heap.live_bytes / n);
    assert_true(heap.live_bytes <= 64u * n);
    orr_timers_free(&t);
    assert_int_equal(heap.live_blocks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_order_of_time_then_of_creation),
        cmocka_unit_test(test_fields_come_back),
        cmocka_unit_test(test_ids_are_used_again_and_seq_is_not),
        cmocka_unit_test(test_reserve_keeps_its_word),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_random_against_list),
        cmocka_unit_test(test_a_million),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
