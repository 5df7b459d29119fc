/* place.c - see place.h */
#include "place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

char place_directory[64], place_path[96];

int place_make(void **state) {
    (void)state;
    snprintf(place_directory, sizeof place_directory, "/tmp/orrery-sqlite-XXXXXX");
    if (mkdtemp(place_directory) == NULL) return -1;
    snprintf(place_path, sizeof place_path, "%s/runs.db", place_directory);
    return 0;
}

int place_remove(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", place_directory);
    return system(command);
}

orr_store *place_try(orr_store_mode mode, orr_reason *reason) {
    orr_store_options options = {.alloc = {orr_alloc_libc, NULL}, .mode = mode};
    *reason = (orr_reason){""};
    orr_sqlite_register();
    return orr_store_open(place_path, &options, reason);
}

orr_store *place_open(orr_store_mode mode) {
    orr_reason reason;
    orr_store *s = place_try(mode, &reason);
    if (s == NULL) print_error("%s\n", reason.text);
    assert_non_null(s);
    return s;
}

void place_id(uint8_t id[16], uint32_t n) {
    memset(id, 0, 16);
    for (int i = 0; i < 4; i++) id[12 + i] = (uint8_t)(n >> (8 * i)); /* in whatever byte order */
}

orr_journal *place_create(orr_store *s, uint32_t n) {
    orr_new_run run = {.workflow = "w", .created = 1};
    place_id(run.id, n);
    orr_journal *j = orr_store_create(s, &run);
    assert_non_null(j);
    return j;
}

orr_journal *place_claim(orr_store *s, uint32_t n, bool force, orr_status *status, orr_reason *reason) {
    uint8_t id[16];
    place_id(id, n);
    return orr_store_claim(s, id, force, status, reason);
}

orr_status place_append(orr_journal *j, uint64_t seq) {
    unsigned char bytes[256];
    orr_entry e = {.record = {.kind = seq == 1 ? ORR_REC_RUN_CREATED : ORR_REC_ATTEMPT_STARTED,
                              .seq = seq,
                              .time = 1,
                              .task = {seq == 1 ? ORR_NONE : 0, ORR_NONE, 0, 1},
                              .port = ORR_PORT_ANY}};
    return orr_store_append(j, seq, bytes, orr_entry_encode(&e, bytes));
}

static bool note_last(void *ud, uint64_t seq, const void *bytes, size_t size) {
    uint64_t *last = ud;
    (void)bytes;
    assert_true(size > 3);
    assert_int_equal(seq, *last + 1);
    *last = seq;
    return true;
}

uint64_t place_last(orr_store *s, uint32_t n) {
    uint8_t id[16];
    uint64_t last = 0;
    place_id(id, n);
    orr_status status = orr_store_read(s, id, 0, note_last, &last, &(orr_reason){""});
    assert_true(status == ORR_OK || status == ORR_ENOTFOUND);
    return last;
}

static bool note_number(void *ud, const orr_field *values, size_t n) {
    assert_int_equal(n, 1);
    *(int64_t *)ud = values[0].integer;
    return true;
}

int64_t place_number(orr_store *s, const char *sql) {
    orr_reason reason;
    int64_t n = -1;
    orr_statement statement = {sql, NULL, 0};
    orr_store_reader reader = {.row = note_number, .ud = &n};
    assert_int_equal(orr_store_select(s, &statement, &reader, &reason), ORR_OK);
    return n;
}
