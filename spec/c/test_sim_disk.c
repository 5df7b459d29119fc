/* test_sim_disk.c - the disk of a simulation: what is on it when its process dies, between any two
 * records, and what its faults say to the process. */
#include "store/backend.h"
#include "store/record/record.h"
#include "store/sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const orr_alloc heap = {orr_alloc_libc, NULL};
static int woken;

static void wake(void *ud) {
    (void)ud;
    woken++;
}

static orr_store *open_on(const orr_disk *disk) {
    orr_reason reason = {""};
    orr_store_options options = {.alloc = heap, .mode = ORR_STORE_OWN, .wake = wake};
    char url[32];
    snprintf(url, sizeof url, "sim:%llu", (unsigned long long)orr_disk_number(disk));
    orr_store *s = orr_store_open(url, &options, &reason);
    if (s == NULL) fail_msg("%s", reason.text);
    return s;
}

static orr_disk *new_disk(void) {
    orr_sim_register();
    orr_disk *disk = orr_disk_new(&heap);
    assert_non_null(disk);
    woken = 0;
    return disk;
}

static void id_of(uint8_t id[16], uint8_t n) {
    memset(id, 0, 16);
    id[15] = n;
}

static orr_journal *create(orr_store *s, uint8_t n) {
    orr_new_run run = {.workflow = "w"};
    id_of(run.id, n);
    orr_journal *j = orr_store_create(s, &run);
    assert_non_null(j);
    return j;
}

/* Record `seq`; the first creates the run, others begin its node. */
static void append(orr_journal *j, uint64_t seq) {
    orr_entry e = {.record = {.kind = seq == 1 ? ORR_REC_RUN_CREATED : ORR_REC_ATTEMPT_STARTED,
                              .seq = seq,
                              .task = {seq == 1 ? ORR_NONE : 0, ORR_NONE, 0, 1},
                              .due = -1,
                              .port = ORR_PORT_ANY}};
    unsigned char bytes[256];
    assert_true(orr_entry_bound(&e) <= sizeof bytes);
    size_t size = orr_entry_encode(&e, bytes);
    assert_int_equal(orr_store_append(j, seq, bytes, size), ORR_OK);
}

static uint64_t last(const orr_disk *disk, uint8_t n) {
    uint8_t id[16];
    bool ended;
    id_of(id, n);
    return orr_disk_last(disk, id, &ended);
}

static bool says(orr_store *s, orr_notice_kind kind) {
    orr_notice notice;
    while (orr_store_notice(s, &notice))
        if (notice.kind == kind) return true;
    return false;
}

/* So many turns of a loop. */
static void turn(orr_store *s, int n) {
    orr_notice notice;
    for (int i = 0; i < n; i++)
        while (orr_store_notice(s, &notice)) continue;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void is_durable_once_submitted(void **state) {
    (void)state;
    orr_disk *disk = new_disk();
    orr_store *s = open_on(disk);
    orr_journal *j = create(s, 1);
    append(j, 1);
    assert_true(orr_store_durable(s) < orr_store_ticket(s));
    assert_int_equal(last(disk, 1), 0);
    orr_store_submit(s, true);
    assert_int_equal(orr_store_durable(s), orr_store_ticket(s));
    assert_int_equal(last(disk, 1), 1);
    orr_store_release(j, false);
    orr_store_close(s);
    orr_disk_free(disk);
}

/* Dies with each record in turn, of two runs in one transaction: exactly those before it are there,
 * and another process goes on after them. */
static void dies_between_any_two(void **state) {
    enum { N = 6 };
    (void)state;
    for (uint64_t at = 1; at <= N; at++) {
        orr_disk *disk = new_disk();
        orr_store *s = open_on(disk);
        orr_status status;
        orr_reason reason;
        orr_notice_kind why;
        uint8_t id[16];
        orr_disk_crash_at(disk, at);
        orr_journal *one = create(s, 1), *two = create(s, 2);
        for (uint64_t seq = 1; seq <= N / 2; seq++) {
            append(one, seq);
            append(two, seq);
        }
        orr_store_submit(s, true);
        assert_true(orr_disk_crashed(disk));
        assert_true(orr_store_displaced(s, &why));
        assert_false(orr_store_owns(s));
        assert_true(says(s, ORR_NOTICE_LOST));
        assert_true(orr_store_durable(s) < orr_store_ticket(s));
        append(one, N / 2 + 1); /* who has died does not know it yet */
        orr_store_submit(s, true);
        assert_int_equal(orr_store_sync(s), ORR_EIO);
        assert_int_equal(last(disk, 1), (at + 1) / 2);
        assert_int_equal(last(disk, 2), at / 2);
        orr_store_release(one, false);
        orr_store_close(s); /* the other journal is still held, as by a process that was killed */
        s = open_on(disk);
        assert_false(orr_disk_crashed(disk));
        orr_disk_crash_at(disk, 0);
        id_of(id, 1);
        one = orr_store_claim(s, id, false, &status, &reason);
        assert_non_null(one);
        append(one, (at + 1) / 2 + 1);
        assert_int_equal(orr_store_sync(s), ORR_OK);
        assert_int_equal(last(disk, 1), (at + 1) / 2 + 1);
        orr_store_release(one, false);
        orr_store_close(s);
        orr_disk_free(disk);
    }
}

/* A message that is taken out goes with the record beside it, or stays. */
static void keeps_a_row_with_its_record(void **state) {
    (void)state;
    for (uint64_t at = 1; at <= 2; at++) {
        orr_disk *disk = new_disk();
        orr_store *s = open_on(disk);
        orr_status status;
        orr_reason reason;
        orr_notice notice;
        uint8_t id[16];
        id_of(id, 1);
        orr_journal *j = create(s, 1);
        append(j, 1);
        orr_store_submit(s, true);
        assert_int_equal(orr_disk_send(disk, id, "signal", "{}", &reason), ORR_OK);
        assert_true(woken > 0);
        assert_true(orr_store_notice(s, &notice));
        assert_int_equal(notice.kind, ORR_NOTICE_MESSAGE);
        orr_disk_crash_at(disk, at);
        orr_field taken = orr_field_integer(notice.message);
        if (at == 1) orr_disk_crash(disk);
        append(j, 2);
        assert_int_equal(orr_store_put(s, ORR_ROW_TAKEN, &taken, 1), ORR_OK);
        orr_store_submit(s, true);
        orr_store_close(s);
        s = open_on(disk);
        orr_disk_crash_at(disk, 0);
        j = orr_store_claim(s, id, false, &status, &reason);
        assert_non_null(j);
        assert_int_equal(last(disk, 1), at);
        assert_int_equal(says(s, ORR_NOTICE_MESSAGE), at == 1); /* it comes again where it was not taken */
        orr_store_release(j, false);
        orr_store_close(s);
        orr_disk_free(disk);
    }
}

static void has_faults(void **state) {
    static const struct {
        orr_disk_fault fault;
        bool there, told; /* on the disk at once; a failure is reported */
    } rows[] = {{ORR_DISK_SLOW, false, false}, {ORR_DISK_FAILS, false, true}, {ORR_DISK_UNSURE, true, true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        orr_disk *disk = new_disk();
        orr_store *s = open_on(disk);
        assert_int_equal(orr_disk_fault_at(disk, 1, rows[i].fault, 3), ORR_OK);
        orr_journal *j = create(s, 1);
        append(j, 1);
        orr_store_submit(s, true);
        assert_int_equal(last(disk, 1), rows[i].there);
        assert_int_equal(orr_store_durable(s), 0);
        orr_notice notice;
        assert_int_equal(orr_store_notice(s, &notice), rows[i].told);
        if (rows[i].told) assert_int_equal(notice.kind, ORR_NOTICE_FAILED);
        append(j, 2);
        orr_store_submit(s, true); /* behind the first */
        turn(s, 4);
        assert_int_equal(last(disk, 1), 2);
        assert_int_equal(orr_store_durable(s), orr_store_ticket(s));
        assert_int_equal(orr_disk_commits(disk), 2);
        orr_store_release(j, false);
        orr_store_close(s);
        orr_disk_free(disk);
    }
}

/* What nobody waits for is not on the disk for a while, and lost with the process. */
static void loses_what_is_not_flushed(void **state) {
    (void)state;
    orr_disk *disk = new_disk();
    orr_store *s = open_on(disk);
    orr_journal *j = create(s, 1);
    append(j, 1);
    orr_store_submit(s, true);
    append(j, 2);
    orr_store_submit(s, false);
    assert_int_equal(last(disk, 1), 1);
    orr_disk_crash(disk);
    turn(s, 10);
    assert_int_equal(last(disk, 1), 1);
    orr_store_release(j, false);
    orr_store_close(s);
    orr_disk_free(disk);
}

static void is_opened_by_its_number(void **state) {
    (void)state;
    orr_store_options options = {.alloc = heap, .mode = ORR_STORE_OWN};
    orr_disk *disk = new_disk();
    orr_store *s = open_on(disk);
    const char *const urls[] = {"sim:", "sim:x", "sim:999999999", "sim:1x"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        orr_reason reason = {""};
        assert_null(orr_store_open(urls[i], &options, &reason));
        assert_non_null(strstr(reason.text, "is that of a simulation"));
    }
    orr_disk_free(disk); /* a store is open on it: it goes with that */
    orr_store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_durable_once_submitted),   cmocka_unit_test(dies_between_any_two),
        cmocka_unit_test(keeps_a_row_with_its_record), cmocka_unit_test(has_faults),
        cmocka_unit_test(loses_what_is_not_flushed),   cmocka_unit_test(is_opened_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
