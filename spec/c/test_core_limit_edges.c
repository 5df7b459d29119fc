/* test_core_limit_edges.c - what only shows at an edge of a limit: the moment when a token or a
 * probe comes, the last place, a pool or a breaker that is defined anew while a node waits for it.
 */
#include "hand.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- pools ----------------------------------------------------------------------------------- */

/* Half a token a second: one call each two seconds, and the first at once. */
static void a_rate_below_one(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "slow"}, all[] = {p, p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "slow", 9, 0.5, SECOND);
    orr_run *run = hand_run(&h, shape(NULL, 3, all, 0, NULL), 0);
    for (uint32_t i = 0; i < 3; i++) {
        if (i > 0) hand_idle_until(&h, (int64_t)i * 2 * SECOND);
        orr_action a = hand_expect(&h, ORR_ACT_START, run, i);
        hand_works(&a);
    }
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    hand_drop(&h);
}

/* Not a moment before the token is whole: it would be looked for again and again in that moment. */
static void the_time_of_a_token(void **state) {
    enum { AT_ONCE = 7 };
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "odd"}, all[] = {p, p, p, p, p, p, p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "odd", 9, AT_ONCE, SECOND);
    orr_run *run = hand_run(&h, shape(NULL, AT_ONCE + 1, all, 0, NULL), 0);
    for (uint32_t i = 0; i <= AT_ONCE; i++) {
        if (i == AT_ONCE) {
            hand_assert_idle(&h);
            assert_int_equal(orr_core_deadline(h.core), 1 + SECOND / AT_ONCE + 1);
            hand_idle_until(&h, SECOND / AT_ONCE + 1);
        }
        orr_action a = hand_expect(&h, ORR_ACT_START, run, i);
        hand_works(&a);
    }
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    hand_drop(&h);
}

/* The pool of a key is gone when nobody uses it, but not what it remembers: its rate. */
static void a_key_remembers_its_rate(void **state) {
    hand h = {.pool = "tenant:a"};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "tenant", 1, 1, 10 * SECOND);
    orr_run *first = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, first, 0);
    hand_works(&a);
    hand_ends_as(&h, first, ORR_RUN_COMPLETED);
    orr_run *second = hand_run_one(&h, p);
    hand_idle_until(&h, 10 * SECOND);
    a = hand_expect(&h, ORR_ACT_START, second, 0);
    hand_works(&a);
    hand_drop(&h);
}

/* One that was paused stays so, though its last user has gone. */
static void a_key_stays_paused(void **state) {
    hand h = {.pool = "tenant:a"};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "tenant", 1, 0, 0);
    orr_run *first = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, first, 0);
    assert_int_equal(orr_core_pool_pause(h.core, "tenant:a", true), ORR_OK);
    hand_works(&a);
    hand_ends_as(&h, first, ORR_RUN_COMPLETED);
    orr_run *second = hand_run_one(&h, p);
    hand_assert_idle(&h);
    assert_int_equal(orr_core_pool_pause(h.core, "tenant:a", false), ORR_OK);
    hand_expect(&h, ORR_ACT_START, second, 0);
    hand_drop(&h);
}

/* A key that nobody draws from yet is paused by itself. */
static void a_key_is_paused_before_its_first_use(void **state) {
    hand h = {.pool = "tenant:a"};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true};
    (void)state;
    hand_take(&h);
    assert_int_equal(orr_core_pool_pause(h.core, "tenant:a", true), ORR_ENOTFOUND);
    orr_core_pool(h.core, "tenant", 1, 0, 0);
    assert_int_equal(orr_core_pool_pause(h.core, "tenant:a", true), ORR_OK);
    orr_run *run = hand_run_one(&h, p);
    hand_assert_idle(&h);
    assert_int_equal(orr_core_pool_pause(h.core, "tenant:a", false), ORR_OK);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_drop(&h);
}

typedef struct seen {
    const char *name;
    orr_pool_view pool;
} seen;

static void see(void *ud, const orr_pool_view *pool) {
    seen *s = ud;
    if (strcmp(s->name, pool->name) == 0) s->pool = *pool;
}

static orr_pool_view view_of(const hand *h, const char *name) {
    seen s = {.name = name};
    orr_core_pools(h->core, see, &s);
    return s.pool;
}

/* More places are there at once; of fewer, those that are taken come free one by one, and the
 * tokens are what they were. */
static void the_places_of_a_pool_change(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "db"}, all[] = {p, p, p, p};
    (void)state;
    hand_take(&h);
    assert_int_equal(orr_core_pool_limit(h.core, "db", 1), ORR_ENOTFOUND);
    orr_core_pool(h.core, "db", 1, 10, 1000 * SECOND);
    orr_run *run = hand_run(&h, shape(NULL, 4, all, 0, NULL), 0);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_assert_idle(&h);
    assert_int_equal(orr_core_pool_limit(h.core, "db", 2), ORR_OK);
    orr_action b = hand_expect(&h, ORR_ACT_START, run, 1);
    hand_assert_idle(&h);
    orr_pool_view pool = view_of(&h, "db");
    assert_int_equal(pool.max, 2);
    assert_int_equal(pool.used, 2);
    assert_int_equal(pool.waiting, 2);
    assert_true(pool.tokens == 8 && pool.burst == 10 && pool.rate == 0.01);
    assert_int_equal(orr_core_pool_limit(h.core, "db", 1), ORR_OK);
    hand_works(&a);
    hand_assert_idle(&h);
    hand_works(&b);
    hand_expect(&h, ORR_ACT_START, run, 2);
    hand_assert_idle(&h);
    hand_drop(&h);
}

/* The places of the definition are those of its keys, but for one that was given its own. */
static void the_places_of_keys_change(void **state) {
    hand h = {.pool = "tenant:a"};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "tenant", 1, 0, 0);
    assert_int_equal(orr_core_pool_limit(h.core, "tenant:b", 7), ORR_OK);
    orr_run *first = hand_run_one(&h, p), *second = hand_run_one(&h, p), *third = hand_run_one(&h, p);
    hand_expect(&h, ORR_ACT_START, first, 0);
    hand_assert_idle(&h);
    orr_core_pool_limit(h.core, "tenant", 2);
    hand_expect(&h, ORR_ACT_START, second, 0);
    hand_assert_idle(&h);
    assert_int_equal(view_of(&h, "tenant:b").max, 7);
    orr_core_pool_limit(h.core, "tenant:a", 3);
    hand_expect(&h, ORR_ACT_START, third, 0);
    assert_int_equal(view_of(&h, "tenant").max, 2);
    hand_drop(&h);
}

/* The definition of `ten` is none of `tenant:a`. */
static void a_shorter_name_is_another_pool(void **state) {
    hand h = {.pool = "tenant:a"};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "tenant", 1, 0, 0);
    orr_run *first = hand_run_one(&h, p), *second = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, first, 0);
    orr_core_pool(h.core, "ten", 5, 0, 0);
    hand_assert_idle(&h);
    hand_works(&a);
    hand_ends_as(&h, first, ORR_RUN_COMPLETED);
    hand_expect(&h, ORR_ACT_START, second, 0);
    hand_drop(&h);
}

/* Who waits an hour for the next token of a pool that is opened wide need not wait any more, and
 * the token that would have come then is nobody's. */
static void a_new_rate_counts_from_now(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "api"}, all[] = {p, p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "api", 9, 1, 3600 * SECOND);
    orr_run *run = hand_run(&h, shape(NULL, 3, all, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_assert_idle(&h);
    hand_pass_to(&h, 10 * SECOND);
    orr_core_pool(h.core, "api", 9, 1, 5 * SECOND);
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_assert_idle(&h);
    assert_int_equal(orr_core_deadline(h.core), 15 * SECOND + 1);
    hand_idle_until(&h, 15 * SECOND);
    hand_expect(&h, ORR_ACT_START, run, 2);
    hand_drop(&h);
}

/* A token is for a start. Whoever goes on after a wait needs a place, and takes no token from who
 * comes next. */
static void going_on_takes_no_token(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "api"}, all[] = {p, p};
    shape_edge e = {0, 1};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "api", 9, 2, 20 * SECOND);
    orr_run *run = hand_run(&h, shape(NULL, 2, all, 1, &e), 0);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(orr_task_wait(run, &a.task, 6 * SECOND + 1), ORR_OK);
    hand_idle_until(&h, 6 * SECOND);
    hand_expect(&h, ORR_ACT_RESUME, run, 0);
    hand_works(&a);
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_drop(&h);
}

/* Three at once, and one every five seconds: the burst is its own number, and is full again after
 * fifteen. */
static void a_burst(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "api"}, all[] = {p, p, p, p, p, p, p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "api", 99, 2, 10 * SECOND);
    assert_int_equal(orr_core_pool_burst(h.core, "api", 3), ORR_OK);
    orr_run *run = hand_run(&h, shape(NULL, 8, all, 0, NULL), 0);
    for (uint32_t i = 0; i < 3; i++) hand_expect(&h, ORR_ACT_START, run, i);
    hand_idle_until(&h, 5 * SECOND);
    hand_expect(&h, ORR_ACT_START, run, 3);
    hand_pass_to(&h, 60 * SECOND); /* it has been full for long */
    hand_expect(&h, ORR_ACT_START, run, 4);
    hand_drop(&h);
}

/* A seventh of a second is no whole number of nanoseconds: the token is there after the next. */
static void a_token_is_whole_when_it_comes(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "api"}, all[] = {p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "api", 99, 7, SECOND);
    orr_core_pool_burst(h.core, "api", 1);
    orr_run *run = hand_run(&h, shape(NULL, 2, all, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_assert_idle(&h);
    assert_int_equal(orr_core_deadline(h.core), INT64_C(142857143) + 1);
    hand_idle_until(&h, INT64_C(142857143));
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_drop(&h);
}

/* What nobody takes is saved up as far as the burst goes, and no further. */
static void a_burst_is_saved_up(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "api"}, all[] = {p, p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "api", 99, 5, SECOND);
    assert_int_equal(orr_core_pool_burst(h.core, "api", 2), ORR_OK);
    hand_pass_to(&h, 3600 * SECOND);
    orr_run *run = hand_run(&h, shape(NULL, 3, all, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_idle_until(&h, 3600 * SECOND + 200 * MS);
    hand_expect(&h, ORR_ACT_START, run, 2);
    hand_drop(&h);
}

static void a_burst_that_is_none(void **state) {
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "api", 1, 1, SECOND);
    assert_int_equal(orr_core_pool_burst(h.core, "nowhere", 2), ORR_ENOTFOUND);
    assert_int_equal(orr_core_pool_burst(h.core, "api", 0.5), ORR_EINVAL);
    assert_int_equal(orr_core_pool_burst(h.core, "api", INFINITY), ORR_EINVAL);
    assert_int_equal(orr_core_pool_burst(h.core, "api", NAN), ORR_EINVAL);
    hand_drop(&h);
}

/* Keys have the burst of their definition, and theirs is their own. */
static void a_burst_of_keys(void **state) {
    hand h = {.pool = "tenant:a"};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool_is_dynamic = true}, all[] = {p, p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "tenant", 9, 1, 10 * SECOND);
    orr_run *first = hand_run_one(&h, p);
    hand_expect(&h, ORR_ACT_START, first, 0); /* it is there before the burst is said */
    assert_int_equal(orr_core_pool_burst(h.core, "tenant", 2), ORR_OK);
    orr_run *run = hand_run(&h, shape(NULL, 3, all, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_assert_idle(&h);
    hand_drop(&h);
}

/* The pools were looked at, and nothing could start; what comes into another one's line is looked
 * at all the same. */
static void a_task_for_another_pool(void **state) {
    hand h = {0};
    orr_policy a = {.priority = ORR_PRIO_NORMAL, .pool = "a"}, b = {.priority = ORR_PRIO_NORMAL, .pool = "b"},
               all[] = {a, a, PLAIN, b};
    shape_edge e = {2, 3};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "a", 1, 0, 0);
    orr_core_pool(h.core, "b", 1, 0, 0);
    orr_run *run = hand_run(&h, shape(NULL, 4, all, 1, &e), 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    orr_action plain = hand_expect(&h, ORR_ACT_START, run, 2);
    hand_assert_idle(&h);
    hand_works(&plain);
    hand_expect(&h, ORR_ACT_START, run, 3);
    hand_assert_idle(&h);
    hand_drop(&h);
}

/* Runs take turns. The turn of one that is paused goes to the one after it. */
static void the_turn_of_a_paused_run(void **state) {
    hand h = {0};
    orr_policy p[] = {PLAIN, PLAIN, PLAIN};
    (void)state;
    hand_take(&h);
    for (int i = 0; i < 4; i++) hand_run(&h, shape(NULL, 3, p, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, h.runs[0], 0);
    orr_run_pause(h.runs[1]);
    hand_expect(&h, ORR_ACT_START, h.runs[2], 0);
    hand_expect(&h, ORR_ACT_START, h.runs[3], 0);
    hand_expect(&h, ORR_ACT_START, h.runs[0], 1);
    orr_run_resume(h.runs[1]);
    hand_expect(&h, ORR_ACT_START, h.runs[2], 1);
    hand_drop(&h);
}

/* Both wait for the one place; when there are two, the other is looked at. */
static void a_wider_pool_is_looked_at(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "db"}, all[] = {p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "db", 1, 0, 0);
    orr_run *run = hand_run(&h, shape(NULL, 2, all, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_assert_idle(&h);
    orr_core_pool(h.core, "db", 2, 0, 0);
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_drop(&h);
}

/* A pool without places is a stall, unless it is paused: somebody will see to it. */
static void a_paused_pool_is_no_stall(void **state) {
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "db"};
    (void)state;
    for (uint32_t places = 0; places < 2; places++) {
        hand h = {0};
        hand_take(&h);
        orr_core_pool(h.core, "db", places, 0, 0);
        orr_core_pool_pause(h.core, "db", true);
        orr_run *run = hand_run_one(&h, p);
        hand_assert_idle(&h);
        assert_int_equal(orr_run_get_state(run), ORR_RUN_RUNNING);
        orr_core_pool_pause(h.core, "db", false);
        if (places == 0) hand_ends_as(&h, run, ORR_RUN_FAILED);
        else hand_expect(&h, ORR_ACT_START, run, 0);
        assert_int_equal(h.events[ORR_EV_RUN_STALLED], places == 0);
        hand_drop(&h);
    }
}

/* Nor is a run stalled of which a node will be tried again. */
static void a_backoff_is_no_stall(void **state) {
    hand h = {0};
    orr_policy all[] = {{.priority = ORR_PRIO_NORMAL, .retry = {.max = 1, .delay = 5 * SECOND}},
                        {.priority = ORR_PRIO_NORMAL, .pool = "shut"}};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "shut", 0, 0, 0);
    orr_run *run = hand_run(&h, shape(NULL, 2, all, 0, NULL), 0);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    hand_idle_until(&h, 5 * SECOND);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(h.events[ORR_EV_RUN_STALLED], 0);
    hand_works(&a);
    hand_ends_as(&h, run, ORR_RUN_FAILED);
    assert_int_equal(h.events[ORR_EV_RUN_STALLED], 1);
    hand_drop(&h);
}

/* Who looks at a pool before the token is whole finds none. */
static void more_than_half_a_token(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .pool = "api"}, all[] = {p, p};
    (void)state;
    hand_take(&h);
    orr_core_pool(h.core, "api", 9, 1, 10 * SECOND);
    orr_run *run = hand_run(&h, shape(NULL, 2, all, 0, NULL), 0);
    hand_expect(&h, ORR_ACT_START, run, 0);
    for (int i = 1; i < 10; i++) {
        hand_pass_to(&h, i * SECOND);
        orr_core_pool_pause(h.core, "api", false); /* it is looked at again */
        hand_assert_idle(&h);
    }
    hand_pass_to(&h, 10 * SECOND);
    hand_expect(&h, ORR_ACT_START, run, 1);
    hand_drop(&h);
}

/* ---- breakers -------------------------------------------------------------------------------- */

static const orr_breaker_options touchy = {.threshold = 1, .cooldown = 10 * SECOND, .probes = 2};
static const orr_policy careful = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 9}};

/* Half open at 10, where node 0 is a probe that takes long and node 1 one that fails; open again,
 * half open at 20, where nodes 1 and 2 are probes. That node 0 works in the end frees no place of
 * theirs, and does not count towards the two that close it. */
static void a_probe_of_an_earlier_time(void **state) {
    hand h = {0};
    orr_policy all[] = {careful, careful, careful, careful};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &touchy);
    orr_run *opens = hand_run_one(&h, (orr_policy){.priority = ORR_PRIO_NORMAL, .breaker = "api"});
    orr_action a = hand_expect(&h, ORR_ACT_START, opens, 0);
    hand_fails(&a);
    hand_ends_as(&h, opens, ORR_RUN_FAILED);
    orr_run *run = hand_run(&h, shape(NULL, 4, all, 0, NULL), 0);
    hand_idle_until(&h, 10 * SECOND);
    orr_action slow = hand_expect(&h, ORR_ACT_START, run, 0);
    a = hand_expect(&h, ORR_ACT_START, run, 1);
    hand_fails(&a);
    hand_idle_until(&h, 20 * SECOND);
    orr_action second = hand_expect(&h, ORR_ACT_START, run, 2),
               third = hand_expect(&h, ORR_ACT_START, run, 3);
    hand_works(&slow);
    hand_assert_idle(&h);
    assert_int_equal(h.events[ORR_EV_BREAKER_CLOSED], 0);
    hand_works(&second);
    hand_expect(&h, ORR_ACT_START, run, 1);
    assert_int_equal(h.events[ORR_EV_BREAKER_CLOSED], 0);
    hand_works(&third);
    assert_int_equal(h.events[ORR_EV_BREAKER_CLOSED], 1);
    hand_drop(&h);
}

/* To be refused is no attempt: one retry that was left is left, and waits for the breaker. */
static void a_refusal_costs_no_retry(void **state) {
    hand h = {0};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 1, .delay = 5 * SECOND}};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &touchy);
    orr_run *run = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    hand_idle_until(&h, 5 * SECOND);
    hand_assert_idle(&h);
    assert_int_equal(orr_run_node_state(run, 0, ORR_NONE), ORR_NODE_WAITING);
    hand_idle_until(&h, 10 * SECOND);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.task.attempt, 2);
    hand_works(&a);
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    hand_drop(&h);
}

/* A breaker that is defined again with another time to cool keeps what it has counted. */
static void a_breaker_defined_again(void **state) {
    hand h = {0};
    orr_breaker_options o = {.threshold = 2, .cooldown = 10 * SECOND};
    orr_policy p = {.priority = ORR_PRIO_NORMAL, .breaker = "api", .retry = {.max = 9}};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &o);
    orr_run *run = hand_run_one(&h, p);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    o.cooldown = 20 * SECOND;
    assert_int_equal(orr_core_breaker(h.core, "api", &o), ORR_OK);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    assert_int_equal(h.events[ORR_EV_BREAKER_OPENED], 1);
    hand_idle_until(&h, 20 * SECOND);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_drop(&h);
}

/* What a run that is gone held in a breaker is not woken with the others. */
static void a_run_that_goes_is_not_held(void **state) {
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &touchy);
    orr_run *first = hand_run_one(&h, careful);
    orr_action a = hand_expect(&h, ORR_ACT_START, first, 0);
    hand_fails(&a);
    orr_run *second = hand_run_one(&h, careful);
    hand_assert_idle(&h);
    orr_run_free(first);
    hand_idle_until(&h, 10 * SECOND);
    hand_expect(&h, ORR_ACT_START, second, 0);
    hand_assert_idle(&h);
    hand_drop(&h);
}

/* The fallback does not call what the breaker guards: it starts though that has just opened. */
static void a_fallback_behind_an_open_breaker(void **state) {
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &touchy);
    orr_run *run = hand_run_one(
        &h, (orr_policy){.priority = ORR_PRIO_NORMAL, .breaker = "api", .has_fallback = true});
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_fails(&a);
    a = hand_expect(&h, ORR_ACT_START, run, 0);
    assert_int_equal(a.phase, ORR_PHASE_FALLBACK);
    hand_works(&a);
    hand_ends_as(&h, run, ORR_RUN_COMPLETED);
    hand_drop(&h);
}

/* What fails while it is open had been begun before, and does not keep it open for longer. */
static void a_failure_while_it_is_open(void **state) {
    hand h = {0};
    orr_policy all[] = {careful, careful};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &touchy);
    orr_run *run = hand_run(&h, shape(NULL, 2, all, 0, NULL), 0);
    orr_action first = hand_expect(&h, ORR_ACT_START, run, 0),
               second = hand_expect(&h, ORR_ACT_START, run, 1);
    hand_fails(&first);
    hand_idle_until(&h, 5 * SECOND);
    hand_fails(&second);
    hand_idle_until(&h, 10 * SECOND);
    assert_int_equal(h.events[ORR_EV_BREAKER_HALF_OPEN], 1);
    hand_expect(&h, ORR_ACT_START, run, 0);
    hand_drop(&h);
}

/* That somebody cancels a run says nothing of the service that it called. */
static void a_cancel_is_no_failure_of_the_service(void **state) {
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &touchy);
    orr_run *run = hand_run_one(&h, careful);
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    orr_run_cancel(run);
    hand_expect(&h, ORR_ACT_CANCEL, run, 0);
    assert_int_equal(hand_end_with(&a, ORR_END_CANCELLED, "cancelled"), ORR_OK);
    hand_ends_as(&h, run, ORR_RUN_CANCELLED);
    assert_int_equal(h.events[ORR_EV_BREAKER_OPENED], 0);
    hand_drop(&h);
}

/* A service that does not answer in time has failed. */
static void a_timeout_is_a_failure_of_the_service(void **state) {
    hand h = {0};
    (void)state;
    hand_take(&h);
    orr_core_breaker(h.core, "api", &touchy);
    orr_run *run = hand_run_one(
        &h, (orr_policy){.priority = ORR_PRIO_NORMAL, .breaker = "api", .timeout = SECOND});
    orr_action a = hand_expect(&h, ORR_ACT_START, run, 0);
    hand_idle_until(&h, SECOND);
    hand_expect(&h, ORR_ACT_CANCEL, run, 0);
    assert_int_equal(hand_end_with(&a, ORR_END_CANCELLED, "cancelled"), ORR_OK);
    assert_int_equal(h.events[ORR_EV_BREAKER_OPENED], 1);
    hand_drop(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_below_one),
        cmocka_unit_test(the_time_of_a_token),
        cmocka_unit_test(a_key_remembers_its_rate),
        cmocka_unit_test(a_key_stays_paused),
        cmocka_unit_test(a_key_is_paused_before_its_first_use),
        cmocka_unit_test(the_places_of_a_pool_change),
        cmocka_unit_test(the_places_of_keys_change),
        cmocka_unit_test(a_shorter_name_is_another_pool),
        cmocka_unit_test(a_new_rate_counts_from_now),
        cmocka_unit_test(going_on_takes_no_token),
        cmocka_unit_test(a_burst),
        cmocka_unit_test(a_token_is_whole_when_it_comes),
        cmocka_unit_test(a_burst_is_saved_up),
        cmocka_unit_test(a_burst_that_is_none),
        cmocka_unit_test(a_burst_of_keys),
        cmocka_unit_test(a_task_for_another_pool),
        cmocka_unit_test(the_turn_of_a_paused_run),
        cmocka_unit_test(a_wider_pool_is_looked_at),
        cmocka_unit_test(a_paused_pool_is_no_stall),
        cmocka_unit_test(a_backoff_is_no_stall),
        cmocka_unit_test(a_probe_of_an_earlier_time),
        cmocka_unit_test(a_refusal_costs_no_retry),
        cmocka_unit_test(a_breaker_defined_again),
        cmocka_unit_test(a_run_that_goes_is_not_held),
        cmocka_unit_test(a_cancel_is_no_failure_of_the_service),
        cmocka_unit_test(a_timeout_is_a_failure_of_the_service),
        cmocka_unit_test(a_fallback_behind_an_open_breaker),
        cmocka_unit_test(a_failure_while_it_is_open),
        cmocka_unit_test(more_than_half_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
