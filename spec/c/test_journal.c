/* test_journal.c - the journal's records as bytes. */
#include "../../runtime/store/journal.h"
#include "chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Numbers of all sizes, the ends among them. */
static uint64_t any(chance *c, uint64_t limit)
{
    static const uint64_t ends[] = {0, 1, 127, 128, 16383, 16384};
    switch (chance_below(c, 4)) {
    case 0: return limit;
    case 1: return ends[chance_below(c, 6)] <= limit ? ends[chance_below(c, 2)] : 0;
    default: return (chance_next(c) >> chance_below(c, 64)) & limit;
    }
}

static void random_entry(chance *c, orr_entry *e, orr_error *error, const char *payload)
{
    orr_record *r = &e->record;
    *e = (orr_entry){.record = {.kind = (orr_record_kind)chance_below(c, ORR_RECORD_COUNT)}};
    r->seq = any(c, UINT64_MAX);
    r->time = (int64_t)any(c, UINT64_MAX);
    r->task = (orr_task){ORR_NONE, ORR_NONE, 0, 0};
    if (chance_of(c, 80)) {
        r->task.node = (uint32_t)any(c, UINT32_MAX);
        if (r->task.node != ORR_NONE) {
            r->task.item = chance_of(c, 50) ? ORR_NONE : (uint32_t)any(c, UINT32_MAX);
            r->task.iteration = (uint32_t)any(c, UINT32_MAX);
            r->task.attempt = (uint32_t)any(c, UINT16_MAX);
        }
    }
    r->phase = (uint8_t)any(c, UINT8_MAX);
    r->reason = (uint8_t)any(c, UINT8_MAX);
    r->port = chance_of(c, 50) ? ORR_PORT_ANY : (uint16_t)any(c, UINT16_MAX);
    r->count = (uint32_t)any(c, UINT32_MAX);
    r->due = chance_of(c, 30) ? -1 : (int64_t)any(c, UINT64_MAX);
    if (chance_of(c, 30)) {
        *error = (orr_error){"code", chance_of(c, 50) ? "" : "a sentence, ünïcode", chance_of(c, 50),
                             chance_of(c, 50) ? -1 : (int64_t)any(c, INT64_MAX), 0};
        r->error = error;
    }
    if (chance_of(c, 40)) {
        e->payload = payload;
        e->payload_size = chance_below(c, 300);
    }
}

static void assert_same(const orr_entry *a, const orr_entry *b)
{
    assert_int_equal(a->record.kind, b->record.kind);
    assert_int_equal(a->record.seq, b->record.seq);
    assert_int_equal(a->record.time, b->record.time);
    assert_memory_equal(&a->record.task, &b->record.task, sizeof a->record.task);
    assert_int_equal(a->record.phase, b->record.phase);
    assert_int_equal(a->record.reason, b->record.reason);
    assert_int_equal(a->record.port, b->record.port);
    assert_int_equal(a->record.count, b->record.count);
    assert_int_equal(a->record.due, b->record.due);
    assert_int_equal(a->payload_size, b->payload_size);
    if (a->payload_size > 0)
        assert_memory_equal(a->payload, b->payload, a->payload_size);
    assert_int_equal(a->record.error != NULL, b->record.error != NULL);
    if (a->record.error == NULL || b->record.error == NULL)
        return;
    assert_string_equal(a->record.error->code, b->record.error->code);
    assert_string_equal(a->record.error->message, b->record.error->message);
    assert_int_equal(a->record.error->not_retryable, b->record.error->not_retryable);
    assert_int_equal(a->record.error->retry_after, b->record.error->retry_after);
}

static void records_come_back(void **state)
{
    chance c = chance_begin("journal records");
    char payload[300];
    (void)state;
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)chance_next(&c);
    for (int round = 0; round < 20000; round++) {
        orr_entry in, out;
        orr_error error_in, error_out;
        random_entry(&c, &in, &error_in, payload);
        size_t bound = orr_entry_bound(&in);
        unsigned char *bytes = malloc(bound);
        size_t size = orr_entry_encode(&in, bytes);
        assert_true(size <= bound);
        assert_int_equal(orr_entry_decode(bytes, size, &out, &error_out), ORR_OK);
        assert_same(&in, &out);
        free(bytes);
    }
}

/* Cut short, lengthened or changed: refused or read, never more than its bytes (the sanitizer watches the block's end). */
static void broken_bytes(void **state)
{
    chance c = chance_begin("broken journal records");
    char payload[300] = {0};
    uint32_t refused = 0;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        orr_entry in, out;
        orr_error error_in, error_out;
        random_entry(&c, &in, &error_in, payload);
        unsigned char *whole = malloc(orr_entry_bound(&in));
        size_t size = orr_entry_encode(&in, whole), cut = chance_below(&c, (uint32_t)size);
        unsigned char *part = malloc(cut > 0 ? cut : 1);
        memcpy(part, whole, cut);
        assert_int_equal(orr_entry_decode(part, cut, &out, &error_out), ORR_EINVAL);
        free(part);
        whole[chance_below(&c, (uint32_t)size)] ^= (unsigned char)(1u << chance_below(&c, 8));
        refused += orr_entry_decode(whole, size, &out, &error_out) != ORR_OK;
        free(whole);
    }
    assert_true(refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records_come_back), cmocka_unit_test(broken_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
