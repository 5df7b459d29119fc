/* test_blocking.c - work that blocks, in threads that nobody else waits for. What never comes back
 * is a read of a pipe that nobody writes to. */
#include "loop/blocking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { STUCK = 60, OTHERS = 200 };

static uv_loop_t loop;
static int pipe_ends[2];
static int n_done;
static atomic_int n_worked, n_dropped;

static void work(orr_job *job) {
    (void)job;
    atomic_fetch_add(&n_worked, 1);
}

static void get_stuck(orr_job *job) {
    char byte;
    (void)job;
    while (read(pipe_ends[0], &byte, 1) < 0) {
    }
}

static void done(orr_job *job) {
    n_done++;
    free(job);
}

static void drop(orr_job *job) {
    atomic_fetch_add(&n_dropped, 1);
    free(job);
}

static orr_job *submit(orr_blocking *b, void (*how)(orr_job *job), bool awaited) {
    orr_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    *job = (orr_job){.work = how, .done = done, .drop = drop};
    assert_true(orr_blocking_submit(b, job, awaited));
    return job;
}

static int setup(void **state) {
    n_done = 0;
    atomic_store(&n_worked, 0);
    atomic_store(&n_dropped, 0);
    *state = NULL;
    if (pipe(pipe_ends) || uv_loop_init(&loop)) return -1;
    *state = orr_blocking_open(&loop);
    return *state ? 0 : -1;
}

/* Closes it where the test has not, and ends what is stuck. */
static int teardown(void **state) {
    if (*state) orr_blocking_close(*state);
    uv_run(&loop, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&loop);
    close(pipe_ends[1]);
    usleep(20000); /* threads on their way out; nothing tells of their end */
    return busy;
}

static void all_is_done(void **state) {
    for (int i = 0; i < OTHERS; i++) submit(*state, work, true);
    assert_int_equal(n_done, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, OTHERS);
    assert_int_equal(atomic_load(&n_worked), OTHERS);
}

static void what_does_not_come_back_takes_no_thread_from_others(void **state) {
    for (int i = 0; i < STUCK; i++) orr_blocking_unref(*state, submit(*state, get_stuck, true));
    for (int i = 0; i < OTHERS; i++) submit(*state, work, true);
    uv_run(&loop, UV_RUN_DEFAULT); /* does not wait for them */
    assert_int_equal(n_done, OTHERS);
    submit(*state, work, true); /* and there are some for those who come later */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, OTHERS + 1);
}

static void what_comes_back_late_is_told(void **state) {
    submit(*state, get_stuck, true);
    for (int i = 0; i < OTHERS; i++) submit(*state, work, true);
    while (n_done < OTHERS) uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, OTHERS + 1);
}

static void nothing(uv_timer_t *timer) {
    (void)timer;
}

/* A loop that nothing keeps does not look at its threads, so a timer keeps it. */
static void turn_until_done(int n) {
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, nothing, 1, 1);
    for (int i = 0; i < 20000 && n_done < n; i++) uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void what_nobody_awaits_keeps_no_loop(void **state) {
    for (int i = 0; i < 10; i++) submit(*state, work, false);
    uv_run(&loop, UV_RUN_DEFAULT);
    submit(*state, get_stuck, true);
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    uv_run(&loop, UV_RUN_DEFAULT); /* until this one has come back */
    turn_until_done(11);
    assert_int_equal(n_done, 11);
}

static void what_is_under_way_at_the_end_is_dropped(void **state) {
    enum { WAITING = 10 };
    for (int i = 0; i < 4; i++) submit(*state, get_stuck, true);
    for (int i = 0; i < WAITING; i++) submit(*state, get_stuck, true);
    usleep(10000);
    orr_blocking_close(*state);
    *state = NULL;
    uv_run(&loop, UV_RUN_DEFAULT); /* does not wait for them */
    assert_int_equal(n_done, 0);
    close(pipe_ends[1]);
    for (int i = 0; i < 4000 && atomic_load(&n_dropped) < 4 + WAITING; i++) usleep(10000);
    assert_int_equal(atomic_load(&n_dropped), 4 + WAITING);
    pipe_ends[1] = -1;
}

#define LOOPED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOPED(all_is_done),
        LOOPED(what_does_not_come_back_takes_no_thread_from_others),
        LOOPED(what_comes_back_late_is_told),
        LOOPED(what_nobody_awaits_keeps_no_loop),
        LOOPED(what_is_under_way_at_the_end_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
