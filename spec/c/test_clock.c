/* test_clock.c - clocks that are set, that are ahead, and that go on while the machine is
 * suspended.
 *
 * This program's clock_gettime is its own: what the system says, and so much more as a test wants.
 * libuv and SQLite call it as well.
 */
#include "loop/loop.h"
#include "port/port.h"

#include <orrery.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static _Atomic int64_t wall_ahead, suspended; /* s */

int clock_gettime(clockid_t clock_id, struct timespec *tp) {
    int status = (int)syscall(SYS_clock_gettime, clock_id, tp);
    if (status != 0) return status;
    if (clock_id == CLOCK_REALTIME) tp->tv_sec += atomic_load(&wall_ahead) + atomic_load(&suspended);
    if (clock_id == CLOCK_BOOTTIME) tp->tv_sec += atomic_load(&suspended);
    return status;
}

#define SECOND INT64_C(1000000000)
#define LONG 1000 /* s, that nothing here takes by itself */

/* ---- the clock ------------------------------------------------------------------------------- */

static void nobody_moves_it(void **state) {
    orr_clock clock;
    (void)state;
    orr_clock_real(&clock);
    int64_t begun = orr_clock_now(&clock);
    assert_true(llabs(begun - orr_wall_time()) < SECOND);
    atomic_store(&wall_ahead, LONG);
    assert_true(orr_clock_now(&clock) - begun < LONG / 2 * SECOND);
    atomic_store(&wall_ahead, -LONG);
    assert_true(orr_clock_now(&clock) >= begun);
    atomic_store(&wall_ahead, 0);
}

static void goes_on_while_suspended(void **state) {
    orr_clock clock;
    (void)state;
    orr_clock_real(&clock);
    int64_t begun = orr_clock_now(&clock), until = begun + 2 * LONG * SECOND;
    atomic_fetch_add(&suspended, LONG);
    assert_true(orr_clock_now(&clock) - begun >= LONG * SECOND);
    /* what code that runs may still take */
    int64_t left = orr_clock_monotonic(&clock, until) - orr_monotonic_time();
    assert_true(left <= LONG * SECOND && left > LONG / 2 * SECOND);
}

/* ---- runs of a store ------------------------------------------------------------------------- */

typedef struct host {
    char folder[64], url[128];
    orr_runtime *rt;
} host;

static void on_error(void *ud, const orr_error_info *error) {
    (void)ud;
    print_error("%s: %s\n", error->code, error->message);
}

static void open_host(host *h) {
    orr_config config;
    orr_config_init(&config);
    config.on_error = on_error;
    config.store = h->url;
    h->rt = orr_open(&config);
    assert_non_null(h->rt);
}

static int set_up(void **state) {
    host *h = calloc(1, sizeof *h);
    if (h == NULL) return -1;
    snprintf(h->folder, sizeof h->folder, "/tmp/orrery-clock-XXXXXX");
    if (mkdtemp(h->folder) == NULL) return -1;
    snprintf(h->url, sizeof h->url, "sqlite:%s/runs.db", h->folder);
    open_host(h);
    *state = h;
    return 0;
}

static int tear_down(void **state) {
    host *h = *state;
    char line[128];
    orr_close(h->rt);
    snprintf(line, sizeof line, "rm -rf %s", h->folder);
    int status = system(line);
    free(h);
    atomic_store(&wall_ahead, 0);
    return status;
}

/* Whatever waits for a time, in all ways that there are. */
static const char source[] =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'w', on_error = 'continue', output = '${nodes.waits}' }\n"
    "w.sleeps = { run = function(ctx) local t = ctx:now() ctx:sleep(1000) return ctx:now() - t end }\n"
    "w.waits = { run = function(ctx)\n"
    "  local ok, e = pcall(ctx.wait, ctx, 'never', { timeout = 1000 }) return ok or e.code end }\n"
    "w.strands = { run = function(ctx)\n"
    "  flow.gather { function() ctx:sleep(1000) end, function() ctx:sleep(990) end } return true end }\n"
    "w.retried = { retry = { max = 1, delay = 1000, strategy = 'fixed', jitter = 'none', max_delay = 1000 "
    "},\n"
    "  run = function(ctx) if ctx.attempt == 1 then error 'x' end return ctx.attempt end }\n"
    "w.loops = { loop = { times = 2, delay = 1000 }, run = function() return true end }\n"
    "return w\n";

static orr_run_id start(const host *h) {
    orr_workflow *w = orr_load_string(h->rt, source, "w.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(h->rt));
    orr_run_id run = orr_start(h->rt, w, NULL, NULL);
    assert_false(orr_run_id_is_none(run));
    return run;
}

/* Steps until nothing more happens by itself, also once the disk has been waited for. */
static void settle(const host *h) {
    for (int quiet = 0; quiet < 20;) {
        if (orr_step(h->rt, 1000000) > 0) {
            quiet = 0;
            continue;
        }
        assert_int_equal(orr_sync(h->rt), ORR_OK);
        quiet++;
        usleep(1000);
    }
}

static void assert_state(const host *h, orr_run_id run, orr_run_state state) {
    assert_string_equal(orr_run_state_name(orr_state(h->rt, run)), orr_run_state_name(state));
}

static void again(host *h, orr_run_id run) {
    orr_close(h->rt);
    open_host(h);
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    settle(h);
}

/* All of it is still to come, and within the time that it was to take; then it is over. */
static void assert_takes(const host *h, orr_run_id run, int64_t most) {
    assert_state(h, run, ORR_RUN_WAITING);
    int64_t left = orr_next_deadline(h->rt);
    if (left > (most - 10) * SECOND || left < SECOND)
        fail_msg("%.3f s are left, expected %d s at most", (double)left / 1e9, (int)most - 10);
    atomic_fetch_add(&suspended, most + 1);
    settle(h);
    assert_state(h, run, ORR_RUN_COMPLETED);
    assert_non_null(strstr(orr_output(h->rt, run), "signal_timeout"));
}

static void the_date_is_set(void **state) {
    static const int64_t by[] = {-86400, 86400};
    host *h = *state;
    for (size_t i = 0; i < 2; i++) {
        orr_run_id run = start(h);
        settle(h);
        atomic_fetch_add(&wall_ahead, by[i]);
        settle(h);
        assert_takes(h, run, LONG);
        atomic_store(&wall_ahead, 0);
    }
}

/* The machine is suspended while the loop sleeps for a timer. */
static void *suspends(void *ud) {
    (void)ud;
    usleep(1500000); /* what the store is told a moment after a record wakes the loop as well */
    atomic_fetch_add(&suspended, LONG + 1);
    return NULL;
}

static void suspended_while_it_sleeps(void **state) {
    host *h = *state;
    orr_run_id run = start(h);
    pthread_t thread;
    settle(h);
    alarm(60); /* else it would sleep for long */
    assert_int_equal(pthread_create(&thread, NULL, suspends, NULL), 0);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    pthread_join(thread, NULL);
    alarm(0);
    assert_state(h, run, ORR_RUN_COMPLETED);
}

/* A sleep lasts no longer because the clock was ahead when its due time was written, by a little or
 * by decades. */
static void ahead_at_first(void **state) {
    static const int64_t ahead[] = {100, INT64_C(74) * 365 * 86400};
    host *h = *state;
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&wall_ahead, ahead[i]);
        orr_close(h->rt);
        open_host(h);
        orr_run_id run = start(h);
        settle(h);
        atomic_store(&wall_ahead, 0);
        again(h, run);
        assert_takes(h, run, LONG);
    }
}

/* Or in one process between: what elapsed by that clock has elapsed. */
static void ahead_in_between(void **state) {
    static const int64_t ahead[] = {100, 900};
    host *h = *state;
    for (size_t i = 0; i < 2; i++) {
        orr_run_id run = start(h);
        settle(h);
        atomic_store(&wall_ahead, ahead[i]);
        again(h, run);
        atomic_store(&wall_ahead, 0);
        again(h, run);
        assert_takes(h, run, LONG - ahead[i] + 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_moves_it),
        cmocka_unit_test(goes_on_while_suspended),
        cmocka_unit_test_setup_teardown(the_date_is_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(suspended_while_it_sleeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ahead_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ahead_in_between, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
