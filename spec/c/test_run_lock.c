/* test_run_lock.c - locks of runs in a store: whose turn it is, among runs of one process and of
 * several, some of which are killed.
 */
#include "chance.h"
#include "place.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- runs with a lock ------------------------------------------------------------------------ */

static orr_journal *create(orr_store *s, uint32_t n, const char *value, bool refuses) {
    orr_new_run run = {.workflow = "w", .created = 1, .lock = value, .lock_refuses = refuses};
    place_id(run.id, n);
    orr_journal *j = orr_store_create(s, &run);
    assert_non_null(j);
    assert_int_equal(place_append(j, 1), ORR_OK);
    orr_store_submit(s, true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    return j;
}

static void end(orr_store *s, orr_journal *j) {
    unsigned char bytes[256];
    orr_entry e = {.record = {.kind = ORR_REC_RUN_ENDED,
                              .seq = j->last + 1,
                              .time = 2,
                              .task = {ORR_NONE, ORR_NONE, 0, 0},
                              .reason = ORR_RUN_COMPLETED,
                              .port = ORR_PORT_ANY}};
    orr_field run = {.type = ORR_FIELD_BLOB, .bytes = j->run, .size = 16};
    assert_int_equal(orr_store_append(j, j->last + 1, bytes, orr_entry_encode(&e, bytes)), ORR_OK);
    assert_int_equal(orr_store_put(s, ORR_ROW_UNLOCK, &run, 1), ORR_OK);
    orr_store_release(j, true);
    orr_store_submit(s, true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
}

static orr_lock_answer ask(orr_journal *j, const char *value) {
    orr_lock_answer answer;
    orr_reason reason;
    orr_status status = orr_store_lock(j, "w", value, &answer, &reason);
    if (status != ORR_OK) fail_msg("%s", reason.text);
    return answer;
}

static void assert_held(orr_journal *j, const char *value) {
    assert_true(ask(j, value).held);
}

static void assert_behind(orr_journal *j, const char *value, uint32_t n, bool has_it, orr_owner_state owner) {
    uint8_t id[16];
    orr_lock_answer answer = ask(j, value);
    place_id(id, n);
    assert_false(answer.held);
    assert_memory_equal(answer.run, id, 16);
    assert_int_equal(answer.has_it, has_it);
    assert_int_equal(answer.owner, owner);
}

/* Waits up to half a minute for a notice of that kind. */
static bool heard(orr_store *s, orr_notice_kind kind, orr_notice *n) {
    for (int i = 0; i < 6000; i++) {
        while (orr_store_notice(s, n))
            if (n->kind == kind) return true;
        usleep(5000);
    }
    return false;
}

/* ---- in one process -------------------------------------------------------------------------- */

static void one_after_the_other(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *a = create(s, 1, "x", false), *b = create(s, 2, "x", false), *c = create(s, 3, "x", false),
                *other = create(s, 4, "y", false);
    assert_held(a, "x");
    assert_held(a, "x");
    assert_held(other, "y");
    assert_behind(c, "x", 1, true, ORR_OWNER_SELF);
    assert_behind(b, "x", 1, true, ORR_OWNER_SELF);
    end(s, a);
    assert_behind(c, "x", 2, false, ORR_OWNER_SELF);
    assert_held(b, "x");
    assert_behind(c, "x", 2, true, ORR_OWNER_SELF);
    end(s, b);
    assert_held(c, "x");
    end(s, c);
    end(s, other);
    assert_int_equal(place_number(s, "SELECT count(*) FROM run_locks"), 0);
    orr_store_close(s);
}

static void who_does_not_wait_is_not_made(void **state) {
    orr_notice n;
    uint8_t id[16];
    char text[37];
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *a = create(s, 1, "x", true), *b = create(s, 2, "x", true);
    assert_held(a, "x");
    assert_true(heard(s, ORR_NOTICE_CONFLICT, &n));
    place_id(id, 2);
    assert_memory_equal(n.run, id, 16);
    place_id(id, 1);
    orr_run_text(id, text);
    assert_string_equal(n.text, text);
    orr_store_release(b, true);
    assert_int_equal(place_number(s, "SELECT count(*) FROM runs"), 1);
    assert_int_equal(place_number(s, "SELECT count(*) FROM run_locks"), 1);
    end(s, a);
    orr_journal *c = create(s, 3, "x", true);
    assert_held(c, "x");
    end(s, c);
    orr_store_close(s);
}

/* A key names one run, whatever its lock. */
static void a_key_comes_first(void **state) {
    orr_notice n;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_new_run run = {.workflow = "w", .created = 1, .key = "k", .lock = "x", .lock_refuses = true};
    orr_journal *js[2];
    for (uint32_t i = 0; i < 2; i++) {
        place_id(run.id, i + 1);
        js[i] = orr_store_create(s, &run);
        place_append(js[i], 1);
        orr_store_submit(s, true);
        orr_store_sync(s);
    }
    assert_true(heard(s, ORR_NOTICE_REFUSED, &n));
    orr_store_release(js[1], true);
    assert_int_equal(place_number(s, "SELECT count(*) FROM runs"), 1);
    end(s, js[0]);
    orr_store_close(s);
}

/* It comes into line in the transaction with the record that sets it back. */
static void once_more_in_line(void **state) {
    orr_status status;
    orr_reason reason;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *a = create(s, 1, "x", false), *b = create(s, 2, "x", false);
    assert_held(a, "x");
    end(s, a);
    assert_held(b, "x");
    a = place_claim(s, 1, false, &status, &reason);
    assert_non_null(a);
    orr_field row[] = {{.type = ORR_FIELD_BLOB, .bytes = a->run, .size = 16},
                       orr_field_text("w"),
                       orr_field_text("x")};
    assert_int_equal(orr_store_put(s, ORR_ROW_LOCK, row, 3), ORR_OK);
    orr_store_submit(s, true);
    orr_store_sync(s);
    assert_behind(a, "x", 2, true, ORR_OWNER_SELF);
    end(s, b);
    assert_held(a, "x");
    end(s, a);
    orr_store_close(s);
}

/* Who waits is told of each that leaves. */
static void those_that_wait_are_notified(void **state) {
    orr_notice n;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *a = create(s, 1, "x", false), *b = create(s, 2, "x", false);
    assert_held(a, "x");
    orr_store_await(s, 1);
    assert_true(heard(s, ORR_NOTICE_LOCKS, &n)); /* once a second it comes by itself */
    usleep(100000);
    while (orr_store_notice(s, &n)) continue;
    end(s, a);
    assert_true(orr_store_notice(s, &n)); /* with the commit */
    assert_int_equal(n.kind, ORR_NOTICE_LOCKS);
    assert_held(b, "x");
    orr_store_await(s, 0);
    end(s, b);
    orr_store_close(s);
}

static void forgotten_with_its_run(void **state) {
    uint8_t id[16];
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *a = create(s, 1, "x", false), *b = create(s, 2, "x", false);
    assert_held(a, "x");
    orr_store_release(a, true); /* it was suspended */
    orr_store_submit(s, true);
    orr_store_sync(s);
    assert_behind(b, "x", 1, true, ORR_OWNER_GONE);
    place_id(id, 1);
    assert_int_equal(orr_store_drop(s, id), ORR_OK);
    assert_held(b, "x");
    end(s, b);
    orr_store_close(s);
}

/* ---- of a process that is gone --------------------------------------------------------------- */

/* Another process. It is forked before this one has a store and with it threads. */
typedef struct other {
    pid_t pid;
    int go, ready;
} other;

/* Once it may go, it has `n` runs in line, the first of which has the lock where nobody has it. */
static other start_other(const char *value, uint32_t first, uint32_t n) {
    int go[2], ready[2];
    char byte = 0;
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(go[1]);
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check ends this process */
        if (read(go[0], &byte, 1) != 1) _exit(1);
        orr_store *s = place_open(ORR_STORE_OWN);
        for (uint32_t i = 0; i < n; i++) ask(create(s, first + i, value, false), value);
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        pause();
    }
    close(go[0]);
    close(ready[1]);
    return (other){pid, go[1], ready[0]};
}

/* It gets in line and is killed. */
static void let_die(const other *o) {
    char byte = 0;
    assert_int_equal(write(o->go, &byte, 1), 1);
    assert_int_equal(read(o->ready, &byte, 1), 1);
    kill(o->pid, SIGKILL);
    waitpid(o->pid, NULL, 0);
    close(o->go);
    close(o->ready);
}

static void a_dead_holder_has_it_still(void **state) {
    orr_status status;
    orr_reason reason;
    (void)state;
    other o = start_other("x", 1, 2);
    let_die(&o);
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *c = create(s, 3, "x", false);
    assert_behind(c, "x", 1, true, ORR_OWNER_GONE);
    orr_journal *a = place_claim(s, 1, false, &status, &reason);
    assert_non_null(a);
    assert_held(a, "x");
    assert_behind(c, "x", 1, true, ORR_OWNER_SELF);
    end(s, a);
    assert_held(c, "x"); /* run 2 waits where nobody runs it, and keeps nobody waiting */
    orr_journal *b = place_claim(s, 2, false, &status, &reason);
    assert_behind(b, "x", 3, true, ORR_OWNER_SELF);
    end(s, c);
    assert_held(b, "x");
    end(s, b);
    orr_store_close(s);
}

/* Resumed in time it keeps its place. */
static void a_dead_waiter_that_is_resumed(void **state) {
    orr_status status;
    orr_reason reason;
    (void)state;
    other o = start_other("x", 2, 1);
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *a = create(s, 1, "x", false);
    assert_held(a, "x");
    let_die(&o);
    orr_journal *c = create(s, 3, "x", false);
    orr_journal *b = place_claim(s, 2, false, &status, &reason);
    assert_non_null(b);
    end(s, a);
    assert_behind(c, "x", 2, false, ORR_OWNER_SELF);
    assert_held(b, "x");
    end(s, b);
    assert_held(c, "x");
    end(s, c);
    orr_store_close(s);
}

/* Its process had no memory to take it away. */
static void left_by_a_run_that_has_ended(void **state) {
    orr_reason reason;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *a = create(s, 1, "x", false), *b = create(s, 2, "x", false);
    assert_held(a, "x");
    end(s, a);
    orr_store_project(s, &reason);
    orr_statement again = {
        "INSERT INTO run_locks (run, workflow, value, begun, checksum) SELECT number, 'w', 'x', 1, NULL "
        "FROM runs ORDER BY number LIMIT 1",
        NULL, 0};
    int64_t changed;
    assert_int_equal(orr_store_execute(s, &again, 1, &changed, &reason), ORR_OK);
    assert_held(b, "x");
    assert_int_equal(place_number(s, "SELECT count(*) FROM run_locks"), 1);
    end(s, b);
    orr_store_close(s);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void damaged_rows(void **state) {
    static const char *const spoils[] = {"UPDATE run_locks SET begun = 1 - begun WHERE place = 1",
                                         "UPDATE run_locks SET begun = 1 - begun WHERE place = 2"};
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        orr_lock_answer answer;
        orr_reason reason;
        int64_t changed;
        orr_store *s = place_open(ORR_STORE_OWN);
        orr_journal *a = create(s, 1, "x", false), *b = create(s, 2, "x", false);
        assert_held(a, "x");
        assert_int_equal(orr_store_execute(s, &(orr_statement){spoils[i], NULL, 0}, 1, &changed, &reason),
                         ORR_OK);
        assert_int_equal(orr_store_lock(b, "w", "x", &answer, &reason), ORR_EIO);
        assert_non_null(strstr(reason.text, "run_locks"));
        assert_false(answer.held);
        orr_store_release(a, true);
        orr_store_release(b, true);
        orr_store_close(s);
        place_remove(state);
        place_make(state);
    }
}

static void a_store_in_memory_keeps_none(void **state) {
    orr_store_options options = {.alloc = {orr_alloc_libc, NULL}, .mode = ORR_STORE_OWN};
    orr_lock_answer answer;
    orr_reason reason;
    (void)state;
    orr_store *s = orr_store_memory(&options);
    orr_journal *j = place_create(s, 1);
    assert_int_equal(orr_store_lock(j, "w", "x", &answer, &reason), ORR_ESTATE);
    orr_store_await(s, 1);
    orr_store_release(j, true);
    orr_store_close(s);
}

/* ---- many processes, some of which die ------------------------------------------------------- */

enum { WORKERS = 4, RUNS_EACH = 12 };

/* What all of them share: who is inside, and what was found wrong. */
static const char inside_path[] = "inside";

static void go_inside(uint64_t seed) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", place_directory, inside_path);
    if (mkdir(path, 0700) != 0) _exit(7); /* somebody else is */
    usleep((useconds_t)(seed % 3000));
    if (rmdir(path) != 0) _exit(8);
}

/* Each makes its runs one after the other, waits for its turn, and is alone then. */
static void work(uint32_t worker, uint64_t seed) {
    chance c = {seed + worker};
    orr_notice n;
    orr_store *s = place_open(ORR_STORE_OWN);
    for (uint32_t i = 0; i < RUNS_EACH; i++) {
        orr_journal *j = create(s, 1 + worker * RUNS_EACH + i, "x", false);
        orr_store_await(s, 1);
        while (!ask(j, "x").held)
            if (!heard(s, ORR_NOTICE_LOCKS, &n)) _exit(6);
        orr_store_await(s, 0);
        go_inside(chance_next(&c));
        end(s, j);
    }
    orr_store_close(s);
    _exit(0);
}

/* Of those that died some had the lock; theirs are ended, as by a cancel, by the one that looks. */
static bool take_from_the_dead(orr_store *s) {
    orr_status status;
    orr_reason reason;
    bool any = false;
    for (uint32_t n = 1; n <= WORKERS * RUNS_EACH; n++) {
        orr_journal *j = place_claim(s, n, false, &status, &reason);
        if (j == NULL) continue;
        char path[160];
        snprintf(path, sizeof path, "%s/%s", place_directory, inside_path);
        if (place_last(s, n) < 2 && ask(j, "x").held) rmdir(path);
        if (place_last(s, n) < 2) end(s, j);
        else orr_store_release(j, true);
        any = true;
    }
    return any;
}

static void never_two_at_once(void **state) {
    (void)state;
    chance c = chance_begin("processes with one lock");
    uint64_t seed = chance_next(&c);
    pid_t pids[WORKERS];
    for (uint32_t w = 0; w < WORKERS; w++)
        if ((pids[w] = fork()) == 0) work(w, seed);
    for (int i = 0; i < 2; i++) { /* two of them do not get to the end */
        usleep((useconds_t)(20000 + chance_below(&c, 80000)));
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    orr_store *s = place_open(ORR_STORE_OWN);
    uint32_t left = WORKERS - 2;
    for (int i = 0; left > 0 && i < 6000; i++) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
            left--;
        }
        take_from_the_dead(s);
        usleep(5000);
    }
    assert_int_equal(left, 0);
    take_from_the_dead(s);
    assert_int_equal(place_number(s, "SELECT count(*) FROM run_locks"), 0);
    orr_store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_after_the_other, place_make, place_remove),
        cmocka_unit_test_setup_teardown(who_does_not_wait_is_not_made, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_key_comes_first, place_make, place_remove),
        cmocka_unit_test_setup_teardown(once_more_in_line, place_make, place_remove),
        cmocka_unit_test_setup_teardown(those_that_wait_are_notified, place_make, place_remove),
        cmocka_unit_test_setup_teardown(forgotten_with_its_run, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_dead_holder_has_it_still, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_dead_waiter_that_is_resumed, place_make, place_remove),
        cmocka_unit_test_setup_teardown(left_by_a_run_that_has_ended, place_make, place_remove),
        cmocka_unit_test_setup_teardown(damaged_rows, place_make, place_remove),
        cmocka_unit_test(a_store_in_memory_keeps_none),
        cmocka_unit_test_setup_teardown(never_two_at_once, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
