/* test_engine.c - actions that wait for their records: in which order they are done, what is
 * forgotten, and what becomes of them where there is no memory to hold them. Chance as printed.
 */
#include "loop/engine.h"
#include "chance.h"
#include "checked_heap.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 4096, RUNS = 3 };

typedef struct deed {
    const orr_run *run;
    uint32_t node;
    uint64_t ticket;
} deed;

typedef struct world {
    checked_heap heap;
    orr_engine *engine;
    orr_plan *plan;
    orr_run *runs[RUNS];
    uint64_t ticket;        /* of the next action */
    const orr_run *never;   /* one that has lost a record */
    const orr_run *at_once; /* one that waits for nothing */
    uint64_t waited;        /* the last ticket that was waited for */
    uint32_t n_waits, n_decided, n_done;
    deed decided[MOST], done[MOST];
    bool takes_two; /* each action that is done takes the next one as well, and gives it back */
} world;

static void keep(deed *list, uint32_t *n, const orr_action *a, uint64_t ticket) {
    assert_true(*n < MOST);
    list[(*n)++] = (deed){a->run, a->task.node, ticket};
}

static void act(void *ud, const orr_action *a) {
    world *w = ud;
    orr_action next;
    if (a->kind != ORR_ACT_START) return;
    keep(w->done, &w->n_done, a, 0);
    if (w->takes_two && orr_engine_next(w->engine, &next)) orr_engine_give_back(w->engine, &next);
}

static void on_timer(void *ud, const orr_timer *timer) {
    (void)ud, (void)timer;
}

static uint64_t ticket_of(void *ud, const orr_action *a) {
    world *w = ud;
    uint64_t ticket = a->run == w->never ? UINT64_MAX : a->run == w->at_once ? 0 : w->ticket;
    if (a->kind == ORR_ACT_START) keep(w->decided, &w->n_decided, a, ticket);
    return ticket;
}

static void wait_for(void *ud, uint64_t ticket) {
    world *w = ud;
    w->waited = ticket;
    w->n_waits++;
}

/* A plan of `nodes` nodes without edges and `runs` runs of it, begun: each node is a START. */
static void begin(world *w, uint32_t nodes, uint32_t runs) {
    memset(w, 0, sizeof *w);
    orr_engine_options o = {
        .alloc = checked_heap_hook(&w->heap),
        .virtual_clock = true,
        .driver = {.ud = w, .act = act, .timer = on_timer, .ticket = ticket_of, .wait = wait_for}};
    w->engine = orr_engine_new(&o);
    assert_non_null(w->engine);
    orr_plan_builder *b = orr_plan_begin(&o.alloc, &(orr_plan_options){.name = "wide"});
    for (uint32_t i = 0; i < nodes; i++) assert_int_equal(orr_plan_node(b, NULL, 0, 0, NULL), ORR_OK);
    assert_int_equal(orr_plan_end(b, NULL, NULL, &w->plan), ORR_OK);
    for (uint32_t i = 0; i < runs; i++) {
        w->runs[i] = orr_run_new(orr_engine_core(w->engine), w->plan,
                                 &(orr_run_options){.id = {(uint8_t)i}, .seed = i});
        assert_non_null(w->runs[i]);
        orr_run_begin(w->runs[i]);
    }
}

static void end(world *w) {
    orr_engine_free(w->engine);
    orr_plan_unref(w->plan);
    assert_int_equal(w->heap.live_bytes, 0);
}

/* What was done are the decisions that were not for nobody, in their order, but that those of
 * the run that waits for nothing may come before others. */
static void check_order(const world *w, const orr_run *forgotten) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < w->n_decided; i++) {
        const deed *d = &w->decided[i];
        if (d->ticket == UINT64_MAX || d->ticket == 0 || d->run == forgotten) continue;
        while (at < w->n_done && w->done[at].run == w->at_once) at++;
        if (at == w->n_done) break;
        assert_ptr_equal(w->done[at].run, d->run);
        assert_int_equal(w->done[at].node, d->node);
        at++;
    }
    while (at < w->n_done && w->done[at].run == w->at_once) at++;
    assert_int_equal(at, w->n_done);
}

static void nothing_is_held_that_waits_for_nothing(void **state) {
    (void)state;
    world w;
    begin(&w, 100, 1);
    while (orr_engine_step(w.engine, 7)) continue;
    assert_int_equal(w.n_done, 100);
    assert_int_equal(orr_engine_held(w.engine), 0);
    end(&w);
}

static void actions_are_let_go_in_their_order(void **state) {
    (void)state;
    world w;
    begin(&w, 300, 2);
    while (w.n_decided < 600) {
        w.ticket = 1 + w.n_decided / 10;
        assert_true(orr_engine_step(w.engine, 10));
    }
    assert_int_equal(w.n_done, 0);
    assert_int_equal(orr_engine_held(w.engine), 600);
    assert_false(orr_engine_step(w.engine, 10));
    orr_engine_durable(w.engine, 5);
    while (orr_engine_step(w.engine, 7)) continue;
    assert_int_equal(w.n_done, 50);
    orr_engine_durable(w.engine, 3); /* an old number changes nothing */
    assert_false(orr_engine_step(w.engine, 7));
    orr_engine_durable(w.engine, 60);
    while (orr_engine_step(w.engine, 7)) continue;
    assert_int_equal(w.n_done, 600);
    assert_int_equal(orr_engine_held(w.engine), 0);
    check_order(&w, NULL);
    end(&w);
}

static void one_run_does_not_hold_up_another(void **state) {
    (void)state;
    world w;
    begin(&w, 50, 2);
    w.ticket = 1;
    w.at_once = w.runs[1];
    while (orr_engine_step(w.engine, 64)) continue;
    assert_int_equal(w.n_done, 50);
    for (uint32_t i = 0; i < 50; i++) assert_ptr_equal(w.done[i].run, w.runs[1]);
    assert_int_equal(orr_engine_held(w.engine), 50);
    end(&w);
}

/* What is decided ahead goes to the disk with what came before, and waits for it only where its own
 * run has to. */
static void what_is_decided_ahead_waits_for_no_other_run(void **state) {
    (void)state;
    world w;
    bool any = true;
    begin(&w, 50, 2);
    w.ticket = 1;
    w.at_once = w.runs[1];
    while (any) {
        any = orr_engine_step(w.engine, 1);
        any |= orr_engine_decide(w.engine, 64);
    }
    assert_int_equal(w.n_done, 50);
    for (uint32_t i = 0; i < 50; i++) {
        assert_ptr_equal(w.done[i].run, w.runs[1]);
        assert_int_equal(w.done[i].node, i);
    }
    assert_int_equal(orr_engine_held(w.engine), 50);
    orr_engine_durable(w.engine, 1);
    while (orr_engine_step(w.engine, 64)) continue;
    assert_int_equal(w.n_done, 100);
    check_order(&w, NULL);
    end(&w);
}

static void what_waits_for_ever_is_dropped(void **state) {
    (void)state;
    world w;
    begin(&w, 80, 2);
    w.ticket = 1;
    w.never = w.runs[0];
    while (orr_engine_step(w.engine, 64)) continue;
    assert_int_equal(orr_engine_held(w.engine), 80);
    orr_engine_durable(w.engine, 1);
    while (orr_engine_step(w.engine, 64)) continue;
    assert_int_equal(w.n_done, 80);
    check_order(&w, NULL);
    end(&w);
}

static void a_run_is_forgotten(void **state) {
    (void)state;
    world w;
    begin(&w, 100, 3);
    w.ticket = 1;
    while (orr_engine_step(w.engine, 64)) continue;
    assert_int_equal(orr_engine_held(w.engine), 300);
    orr_engine_forget(w.engine, w.runs[1]);
    assert_int_equal(orr_engine_held(w.engine), 200);
    const orr_run *gone = w.runs[1];
    orr_run_free(w.runs[1]);
    orr_engine_durable(w.engine, 1);
    while (orr_engine_step(w.engine, 64)) continue;
    assert_int_equal(w.n_done, 200);
    check_order(&w, gone);
    end(&w);
}

static void what_was_given_back_comes_first(void **state) {
    (void)state;
    world w;
    begin(&w, 200, 2);
    w.takes_two = true;
    w.ticket = 1;
    while (orr_engine_step(w.engine, 9)) continue;
    assert_int_equal(w.n_done, 0);
    orr_engine_durable(w.engine, 1);
    while (orr_engine_step(w.engine, 9)) continue;
    assert_int_equal(w.n_done, 400);
    check_order(&w, NULL);
    end(&w);
}

static void what_was_given_back_is_forgotten_as_well(void **state) {
    (void)state;
    world w;
    orr_action a;
    begin(&w, 10, 1);
    w.ticket = 1;
    while (orr_engine_step(w.engine, 64)) continue;
    orr_engine_durable(w.engine, 1);
    orr_engine_step(w.engine, 1); /* a batch that is over: nothing is left to take in it */
    assert_int_equal(w.n_done, 1);
    assert_false(orr_engine_next(w.engine, &a));
    a = (orr_action){.kind = ORR_ACT_START, .run = w.runs[0], .task = {.node = 99}};
    orr_engine_give_back(w.engine, &a);
    orr_engine_forget(w.engine, NULL); /* of another run it stays */
    orr_action same;
    assert_true(orr_engine_next(w.engine, &same));
    assert_int_equal(same.task.node, 99);
    orr_engine_give_back(w.engine, &same);
    orr_engine_forget(w.engine, w.runs[0]);
    assert_false(orr_engine_step(w.engine, 64));
    assert_int_equal(w.n_done, 1);
    end(&w);
}

/* Then the engine waits for the disk, and goes on in the order in which it had decided. */
static void without_memory_it_waits(void **state) {
    (void)state;
    for (uint32_t before = 0; before <= 200; before++) { /* so many are held when memory is out */
        world w;
        begin(&w, 150, 2);
        w.ticket = 1;
        for (; w.n_decided < before; w.ticket++) orr_engine_step(w.engine, 1);
        w.ticket++;
        w.heap.fail_at = w.heap.requests + 1;
        w.heap.fail_after = true;
        while (orr_engine_step(w.engine, 64)) w.ticket++;
        w.heap.fail_at = 0;
        w.heap.fail_after = false;
        assert_true(w.n_waits > 0);
        assert_true(w.waited <= w.ticket);
        orr_engine_durable(w.engine, w.ticket);
        while (orr_engine_step(w.engine, 64)) continue;
        assert_int_equal(w.n_done, 300);
        check_order(&w, NULL);
        end(&w);
    }
}

static void by_chance(void **state) {
    (void)state;
    chance c = chance_begin("held actions");
    for (uint32_t round = 0; round < 300; round++) {
        world w;
        begin(&w, 1 + chance_below(&c, 400), RUNS);
        w.takes_two = chance_of(&c, 50);
        if (chance_of(&c, 30)) w.at_once = w.runs[0];
        if (chance_of(&c, 30)) w.never = w.runs[1];
        const orr_run *gone = NULL;
        uint64_t durable = 0;
        for (uint32_t i = 0; i < 200; i++) {
            w.ticket += 1 + chance_below(&c, 3);
            orr_engine_step(w.engine, 1 + chance_below(&c, 30));
            if (chance_of(&c, 40)) orr_engine_decide(w.engine, 1 + chance_below(&c, 30));
            if (chance_of(&c, 40))
                orr_engine_durable(w.engine, durable += chance_below(&c, (uint32_t)(w.ticket - durable) + 1));
            for (uint32_t k = 0; k < w.n_done; k++) assert_ptr_not_equal(w.done[k].run, w.never);
            if (!gone && chance_of(&c, 1)) {
                gone = w.runs[2];
                orr_engine_forget(w.engine, gone);
                uint32_t done = w.n_done;
                orr_run_free(w.runs[2]);
                assert_int_equal(w.n_done, done);
            }
        }
        if (!gone) check_order(&w, NULL);
        orr_engine_durable(w.engine, w.ticket);
        while (orr_engine_step(w.engine, 64)) continue;
        assert_int_equal(orr_engine_held(w.engine), 0);
        end(&w);
    }
}

/* ---- waking up the loop ---------------------------------------------------------------------- */

typedef struct timed {
    orr_engine *engine;
    uint32_t fired;
} timed;

static void count_timer(void *ud, const orr_timer *timer) {
    timed *t = ud;
    (void)timer;
    t->fired++;
}

static void act_not(void *ud, const orr_action *action) {
    (void)ud, (void)action;
}

/* A budget that is spent leaves timers of the driver for the next step: the core's of the same
 * moment come after them all the same, and so does its time. */
static void the_cores_timers_come_after_the_drivers(void **state) {
    enum { TIMERS = 100 };
    timed t = {0};
    orr_budget budget;
    (void)state;
    orr_engine_options o = {.alloc = {orr_alloc_libc, NULL},
                            .virtual_clock = true,
                            .budget = &budget,
                            .driver = {.ud = &t, .act = act_not, .timer = count_timer}};
    t.engine = orr_engine_new(&o);
    assert_non_null(t.engine);
    int64_t due = orr_engine_now(t.engine) + 10;
    for (uint32_t i = 0; i < TIMERS; i++) orr_engine_timer(t.engine, due, NULL, i);
    orr_engine_advance(t.engine, 10);
    uint32_t steps = 0;
    for (; t.fired < TIMERS; steps++) {
        budget = (orr_budget){.ns = 1};
        assert_true(orr_engine_step(t.engine, 64)); /* there is more to be done */
        if (t.fired < TIMERS) assert_true(orr_core_now(orr_engine_core(t.engine)) < due);
    }
    assert_true(steps > 1);
    budget = (orr_budget){0};
    orr_engine_step(t.engine, 64);
    assert_true(orr_core_now(orr_engine_core(t.engine)) == due);
    orr_engine_free(t.engine);
}

static void on_guard(uv_timer_t *guard) {
    *(bool *)guard->data = true;
}

/* On a busy machine its time may have come when libuv looks at timers before it blocks. */
static void a_loop_that_is_woken_before_it_blocks_does_not(void **state) {
    orr_alloc alloc = {orr_alloc_libc, NULL};
    uv_loop_t loop;
    uv_timer_t guard;
    bool overslept = false;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    orr_wakeup *wakeup = orr_wakeup_new(&alloc, &loop);
    assert_non_null(wakeup);
    uv_timer_init(&loop, &guard);
    guard.data = &overslept;
    uv_timer_start(&guard, on_guard, 60000, 0);
    for (int64_t ms = 0; ms < 4; ms++) {
        orr_wakeup_arm(wakeup, ms * 1000000);
        uv_sleep(10);
        uv_run(&loop, UV_RUN_ONCE);
        assert_false(overslept);
        orr_wakeup_disarm(wakeup);
        orr_wakeup_arm(wakeup, ms * 1000000); /* and one that comes while it blocks */
        uv_run(&loop, UV_RUN_ONCE);
        assert_false(overslept);
        orr_wakeup_disarm(wakeup);
    }
    orr_wakeup_free(wakeup);
    uv_close((uv_handle_t *)&guard, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_held_that_waits_for_nothing),
        cmocka_unit_test(actions_are_let_go_in_their_order),
        cmocka_unit_test(one_run_does_not_hold_up_another),
        cmocka_unit_test(what_is_decided_ahead_waits_for_no_other_run),
        cmocka_unit_test(what_waits_for_ever_is_dropped),
        cmocka_unit_test(a_run_is_forgotten),
        cmocka_unit_test(what_was_given_back_comes_first),
        cmocka_unit_test(what_was_given_back_is_forgotten_as_well),
        cmocka_unit_test(without_memory_it_waits),
        cmocka_unit_test(by_chance),
        cmocka_unit_test(the_cores_timers_come_after_the_drivers),
        cmocka_unit_test(a_loop_that_is_woken_before_it_blocks_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
