/* test_bell.c - a process that waits for a message sleeps until it is sent. */
#include "place.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 60000 }; /* ms that something may take on a slow machine */

static bool listens(orr_store *s) {
    return atomic_load(&((orr_sqlite *)s)->queue.listens);
}

static orr_journal *begin(orr_store *s, uint32_t n) {
    orr_journal *j = place_create(s, n);
    for (uint64_t seq = 1; seq <= 2; seq++) assert_int_equal(place_append(j, seq), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    return j;
}

static void wait_until_it_listens(orr_store *s) {
    for (int i = 0; i < LIMIT && !listens(s); i++) usleep(1000);
    assert_true(listens(s));
}

static bool comes(orr_store *s, orr_notice_kind kind) {
    orr_notice notice = {0};
    for (int i = 0; i < LIMIT; i++) {
        if (orr_store_notice(s, &notice) && notice.kind == kind) return true;
        usleep(1000);
    }
    return false;
}

static void send_to(orr_store *s, uint32_t n) {
    uint8_t run[16];
    orr_reason reason;
    place_id(run, n);
    assert_int_equal(orr_store_send(s, run, "signal", "{}", NULL, &reason), ORR_OK);
}

/* How often the threads of this process have gone to sleep, but for the one that asks. */
static long sleeps(void) {
    DIR *tasks = opendir("/proc/self/task");
    long all = 0;
    assert_non_null(tasks);
    for (const struct dirent *e; (e = readdir(tasks)) != NULL;) {
        char path[300], line[128];
        if (e->d_name[0] == '.' || atol(e->d_name) == (long)getpid()) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0) all += atol(line + 24);
        if (file != NULL) fclose(file);
    }
    closedir(tasks);
    return all;
}

/* The thread sanitizer has a thread of its own, which wakes up ten times a second. */
#ifdef __SANITIZE_THREAD__
enum { OTHERS = 40 };
#else
enum { OTHERS = 0 };
#endif

/* 25 times a second would be 75. */
static void sleeps_while_nothing_comes(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = begin(s, 1);
    wait_until_it_listens(s);
    long before = sleeps();
    assert_true(before > 0);
    sleep(3);
    assert_in_range(sleeps() - before, 0, 10 + OTHERS);
    orr_store_release(j, false);
    orr_store_close(s);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Without a bell each would take a second on average. */
static void is_woken_by_other_processes(void **state) {
    enum { MESSAGES = 20 };
    int go[2];
    char byte = 0;
    (void)state;
    assert_int_equal(pipe(go), 0);
    pid_t sender = fork();
    assert_true(sender >= 0);
    if (sender == 0) {
        close(go[1]);
        while (read(go[0], &byte, 1) == 1) {
            orr_store *s = place_open(ORR_STORE_LOOK);
            send_to(s, 1);
            orr_store_close(s);
        }
        _exit(0);
    }
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = begin(s, 1);
    wait_until_it_listens(s);
    double since = seconds();
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(write(go[1], &byte, 1), 1);
        assert_true(comes(s, ORR_NOTICE_MESSAGE));
    }
    assert_true(seconds() - since < MESSAGES * 0.5);
    close(go[1]);
    close(go[0]);
    assert_int_equal(waitpid(sender, NULL, 0), sender);
    orr_store_release(j, false);
    orr_store_close(s);
}

/* What is queued while it listens is written, and what is sent then comes. */
static void works_as_before(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN), *other = place_open(ORR_STORE_OWN);
    orr_journal *j = begin(s, 1), *k = begin(other, 2);
    wait_until_it_listens(s);
    wait_until_it_listens(other);
    for (uint64_t seq = 3; seq < 300; seq++) {
        assert_int_equal(place_append(j, seq), ORR_OK);
        assert_int_equal(orr_store_sync(s), ORR_OK);
        if (seq % 50 == 0) send_to(seq % 100 == 0 ? s : other, seq % 100 == 0 ? 2 : 1);
    }
    for (int i = 0; i < 3; i++) assert_true(comes(s, ORR_NOTICE_MESSAGE));
    for (int i = 0; i < 2; i++) assert_true(comes(other, ORR_NOTICE_MESSAGE));
    assert_int_equal(place_last(other, 1), 299);
    orr_store_release(k, false);
    orr_store_close(other);
    orr_store_release(j, false);
    orr_store_close(s);
}

/* A process whose runs are taken by force is told, although it does nothing. */
static void is_told_that_it_is_displaced(void **state) {
    orr_status status;
    orr_reason reason;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN), *other = place_open(ORR_STORE_OWN);
    orr_journal *j = begin(s, 1);
    wait_until_it_listens(s);
    orr_journal *taken = place_claim(other, 1, true, &status, &reason);
    assert_non_null(taken);
    assert_true(comes(s, ORR_NOTICE_LOST));
    orr_store_release(taken, false);
    orr_store_close(other);
    orr_store_release(j, false);
    orr_store_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sleeps_while_nothing_comes),
        TEST(is_woken_by_other_processes),
        TEST(works_as_before),
        TEST(is_told_that_it_is_displaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
