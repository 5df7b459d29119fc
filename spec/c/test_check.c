/* test_check.c - a store is read whole where a crash may have left it damaged: once, beside the
 * work, and what is found ends the runs. */
#include "place.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 60000 }; /* ms that a check may take on a slow machine */

static orr_check_kind known(orr_store *s) {
    orr_sqlite *of = (orr_sqlite *)s;
    orr_reason reason;
    return orr_sqlite_checked(of, orr_sqlite_mine(of, &reason));
}

static bool has_checker(orr_store *s) {
    return ((orr_sqlite *)s)->checker != NULL;
}

/* Until it is known, or the time is over. */
static void wait_for(orr_store *s, orr_check_kind wanted) {
    for (int i = 0; i < LIMIT && known(s) != wanted; i++) usleep(1000);
    assert_int_equal(known(s), wanted);
}

static void append(orr_store *s, orr_journal *j, uint64_t from, uint64_t to) {
    for (uint64_t seq = from; seq <= to; seq++) assert_int_equal(place_append(j, seq), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
}

/* A store with runs 1 to n, each of some records, whose tables are up to date. */
static void make_store(uint32_t n) {
    orr_reason reason;
    orr_store *s = place_open(ORR_STORE_OWN);
    for (uint32_t i = 1; i <= n; i++) {
        orr_journal *j = place_create(s, i);
        append(s, j, 1, 12);
        orr_store_release(j, false);
    }
    assert_int_equal(orr_store_project(s, &reason), ORR_OK);
    orr_store_close(s);
}

/* A process has the store and is killed. */
static void crash(void) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        orr_store *s = place_open(ORR_STORE_OWN);
        append(s, place_create(s, 1000), 1, 2);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static int open_lock(void) {
    char path[sizeof place_path + 8];
    snprintf(path, sizeof path, "%s-lock", place_path);
    int fd = orr_lock_open(path, true);
    assert_true(fd >= 0);
    return fd;
}

/* ---- when ------------------------------------------------------------------------------------ */

static void nothing_without_a_reason(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_int_equal(known(s), ORR_CHECK_WHOLE);
    assert_false(has_checker(s));
    orr_store_close(s);
    make_store(3);
    s = place_open(ORR_STORE_OWN);
    assert_int_equal(known(s), ORR_CHECK_WHOLE);
    assert_false(has_checker(s));
    orr_store_close(s);
}

static void once_after_a_crash(void **state) {
    (void)state;
    make_store(3);
    crash();
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_true(has_checker(s));
    wait_for(s, ORR_CHECK_WHOLE);
    orr_store *other = place_open(ORR_STORE_OWN);
    assert_false(has_checker(other));
    orr_store_close(other);
    orr_store_close(s);
}

/* What another process has found out meanwhile about who lives holds no longer. */
static void of_a_process_that_lived_at_the_last_opening(void **state) {
    int ready[2];
    char byte = 0;
    (void)state;
    make_store(3);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check ends this process */
        orr_store *s = place_open(ORR_STORE_OWN);
        append(s, place_create(s, 1000), 1, 2);
        if (write(ready[1], &byte, 1) == 1) pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    for (int i = 0; i < 3; i++) {
        orr_store *s = place_open(ORR_STORE_OWN);
        assert_false(has_checker(s));
        append(s, place_create(s, 2000 + (uint32_t)i), 1, 2);
        orr_store_close(s);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ready[0]);
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_true(has_checker(s));
    wait_for(s, ORR_CHECK_WHOLE);
    orr_store_close(s);
}

/* The place of the boot's number in the lock file, and of the file's. */
static void after_another_boot_and_of_another_file(void **state) {
    static const off_t places[] = {ORR_SQLITE_CHECK_AT + 24, ORR_SQLITE_CHECK_AT + 16};
    static const uint32_t damaged = 1;
    (void)state;
    make_store(3);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        unsigned char byte;
        int fd = open_lock();
        assert_int_equal(pread(fd, &byte, 1, places[i]), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
        if (i == 1) /* that one was damaged, which says nothing of this one */
            assert_int_equal(pwrite(fd, &damaged, sizeof damaged, ORR_SQLITE_CHECK_AT + 56), sizeof damaged);
        close(fd);
        orr_store *s = place_open(ORR_STORE_OWN);
        assert_true(has_checker(s));
        wait_for(s, ORR_CHECK_WHOLE);
        orr_store_close(s);
    }
}

static void where_the_lock_file_is_away(void **state) {
    char path[sizeof place_path + 8];
    (void)state;
    make_store(3);
    snprintf(path, sizeof path, "%s-lock", place_path);
    assert_int_equal(unlink(path), 0);
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_true(has_checker(s));
    wait_for(s, ORR_CHECK_WHOLE);
    orr_store_close(s);
}

/* ---- by whom --------------------------------------------------------------------------------- */

/* While another checks, this one only waits, and closing waits for nothing. Whoever is left goes
 * on. */
static void by_one_of_all(void **state) {
    enum { CHECKING = ORR_SQLITE_CHECKING_BYTE };
    (void)state;
    make_store(3);
    crash();
    int fd = open_lock();
    assert_int_equal(orr_lock_try(fd, CHECKING), 0);
    orr_store *first = place_open(ORR_STORE_OWN), *second = place_open(ORR_STORE_OWN);
    assert_true(has_checker(first) && has_checker(second));
    orr_journal *j = place_create(first, 50);
    append(first, j, 1, 5); /* work goes on */
    orr_store_release(j, false);
    orr_store_close(first);
    assert_int_equal(known(second), ORR_CHECK_DUE);
    orr_lock_release(fd, CHECKING);
    close(fd);
    wait_for(second, ORR_CHECK_WHOLE);
    orr_store_close(second);
}

/* Reading whole takes longer than the store is open: each process does a part. */
static void bit_by_bit(void **state) {
    bool whole = false;
    (void)state;
    make_store(40);
    crash();
    for (int i = 0; i < LIMIT && !whole; i++) {
        orr_store *s = place_open(ORR_STORE_OWN);
        whole = known(s) == ORR_CHECK_WHOLE;
        usleep(i < 30 ? (useconds_t)i * 100 : 3000);
        orr_store_close(s);
    }
    assert_true(whole);
}

/* ---- what is found --------------------------------------------------------------------------- */

/* The last page of the file that is of the table, to be overwritten and put back. */
static off_t page_of(const char *table) {
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(place_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT max(pageno) FROM dbstat WHERE name = ?1", -1, &q, NULL),
                     SQLITE_OK);
    sqlite3_bind_text(q, 1, table, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    off_t at = ((off_t)sqlite3_column_int64(q, 0) - 1) * 4096;
    sqlite3_finalize(q);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    return at;
}

static void swap_page(off_t at, unsigned char page[4096]) {
    unsigned char was[4096];
    int fd = open(place_path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, was, sizeof was, at), sizeof was);
    assert_int_equal(pwrite(fd, page, sizeof was, at), sizeof was);
    memcpy(page, was, sizeof was);
    close(fd);
}

/* Nobody writes any more: neither who has found it, nor another process, nor who only looks in;
 * until it is mended. */
static void damage_ends_all_runs(void **state) {
    unsigned char page[4096];
    orr_reason reason;
    orr_notice notice = {0};
    uint8_t run[16];
    enum { CHECKING = ORR_SQLITE_CHECKING_BYTE };
    (void)state;
    memset(page, 0x5a, sizeof page);
    make_store(200);
    crash();
    off_t at = page_of("nodes"); /* which leaves the log empty */
    swap_page(at, page);
    int fd = open_lock(); /* until both are at work */
    assert_int_equal(orr_lock_try(fd, CHECKING), 0);
    orr_store *finder = place_open(ORR_STORE_OWN), *other = place_open(ORR_STORE_OWN);
    orr_journal *j[] = {place_create(finder, 500), place_create(other, 501)};
    append(finder, j[0], 1, 2);
    append(other, j[1], 1, 2);
    orr_lock_release(fd, CHECKING);
    close(fd);
    wait_for(other, ORR_CHECK_DAMAGED);
    orr_store *both[] = {finder, other};
    for (int i = 0; i < 2; i++) {
        notice.kind = ORR_NOTICE_MESSAGE;
        for (int k = 0; k < LIMIT && notice.kind != ORR_NOTICE_BROKEN; k++)
            if (!orr_store_notice(both[i], &notice)) usleep(1000);
        assert_int_equal(notice.kind, ORR_NOTICE_BROKEN);
        assert_non_null(strstr(notice.text, "the file is damaged (nodes: "));
        orr_notice_kind why;
        assert_true(orr_store_displaced(both[i], &why));
        assert_int_equal(why, ORR_NOTICE_BROKEN);
        orr_store_release(j[i], false);
    }
    assert_null(place_try(ORR_STORE_OWN, &reason));
    assert_non_null(strstr(reason.text, "the file is damaged (nodes: "));
    orr_store *looking = place_open(ORR_STORE_LOOK);
    place_id(run, 500);
    assert_int_equal(orr_store_send(looking, run, "signal", "{}", NULL, &reason), ORR_EIO);
    assert_non_null(strstr(reason.text, "the file is damaged (nodes: "));
    orr_store_close(looking);
    orr_store_close(finder);
    orr_store_close(other);
    swap_page(at, page); /* it is mended in its place */
    orr_store *s = place_open(ORR_STORE_OWN);
    wait_for(s, ORR_CHECK_WHOLE);
    orr_store_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(nothing_without_a_reason),
        TEST(once_after_a_crash),
        TEST(of_a_process_that_lived_at_the_last_opening),
        TEST(after_another_boot_and_of_another_file),
        TEST(where_the_lock_file_is_away),
        TEST(by_one_of_all),
        TEST(bit_by_bit),
        TEST(damage_ends_all_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
