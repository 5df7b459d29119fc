/* test_store.c - what every store must do, and the journal's records as bytes. */
#include "../../runtime/store/journal.h"
#include "../../runtime/store/store.h"
#include "chance.h"
#include "checked_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- stores --------------------------------------------------------------------------------------------------------- */

typedef struct implementation {
    const char *name;
    orr_store *(*open)(const orr_alloc *alloc);
} implementation;

static const implementation implementations[] = {{"memory", orr_store_memory}};

static void run_id(uint8_t id[16], uint32_t n)
{
    memset(id, 0, 16);
    memcpy(id + 12, &n, sizeof n);
}

typedef struct reading {
    uint64_t expected, stop_after;
    uint32_t run, seen;
} reading;

static size_t text_of(char text[64], uint32_t run, uint64_t seq)
{
    /* sizes from 0 on, so that an empty record is among them */
    int len = snprintf(text, 64, "run %u, record %llu", run, (unsigned long long)seq);
    return seq % 7 == 0 ? 0 : (size_t)len;
}

static bool check_record(void *ud, uint64_t seq, const void *bytes, size_t size)
{
    reading *r = ud;
    char text[64];
    assert_int_equal(seq, r->expected++);
    assert_int_equal(size, text_of(text, r->run, seq));
    assert_memory_equal(bytes, text, size);
    r->seen++;
    return r->stop_after == 0 || seq < r->stop_after;
}

static void keeps_what_it_is_given(orr_store *s)
{
    enum { RUNS = 100, RECORDS = 60 };
    uint8_t id[16];
    char text[64];
    for (uint64_t seq = 1; seq <= RECORDS; seq++)
        for (uint32_t run = 0; run < RUNS; run++) {
            run_id(id, run);
            size_t size = text_of(text, run, seq);
            assert_int_equal(orr_store_append(s, id, seq, text, size), ORR_OK);
        }
    for (uint32_t run = 0; run < RUNS; run++) {
        run_id(id, run);
        reading all = {1, 0, run, 0}, tail = {51, 0, run, 0}, some = {11, 20, run, 0};
        assert_int_equal(orr_store_read(s, id, 0, check_record, &all), ORR_OK);
        assert_int_equal(all.seen, RECORDS);
        assert_int_equal(orr_store_read(s, id, 50, check_record, &tail), ORR_OK);
        assert_int_equal(tail.seen, 10);
        assert_int_equal(orr_store_read(s, id, 10, check_record, &some), ORR_OK);
        assert_int_equal(some.seen, 10);
        assert_int_equal(orr_store_durable(s, id), RECORDS);
    }
}

static void refuses_gaps(orr_store *s)
{
    uint8_t id[16];
    reading none = {1, 0, 9999, 0};
    run_id(id, 9999);
    assert_int_equal(orr_store_append(s, id, 2, "x", 1), ORR_EINVAL);
    assert_int_equal(orr_store_durable(s, id), 0);
    assert_int_equal(orr_store_read(s, id, 0, check_record, &none), ORR_ENOTFOUND);
    assert_int_equal(orr_store_append(s, id, 1, "x", 1), ORR_OK);
    assert_int_equal(orr_store_append(s, id, 1, "x", 1), ORR_EINVAL);
    assert_int_equal(orr_store_append(s, id, 3, "x", 1), ORR_EINVAL);
}

static void forgets(orr_store *s)
{
    uint8_t id[16];
    reading none = {1, 0, 9999, 0};
    run_id(id, 9999);
    assert_int_equal(orr_store_drop(s, id), ORR_OK);
    assert_int_equal(orr_store_drop(s, id), ORR_ENOTFOUND);
    assert_int_equal(orr_store_read(s, id, 0, check_record, &none), ORR_ENOTFOUND);
    assert_int_equal(orr_store_append(s, id, 1, "x", 1), ORR_OK);
}

static void conformance(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++) {
        checked_heap heap = {0};
        orr_alloc alloc = checked_heap_hook(&heap);
        orr_store *s = implementations[i].open(&alloc);
        assert_non_null(s);
        assert_string_equal(s->class->name, implementations[i].name);
        keeps_what_it_is_given(s);
        refuses_gaps(s);
        forgets(s);
        orr_store_close(s);
        assert_int_equal(heap.live_blocks, 0);
    }
    orr_store_close(NULL);
}

/* An append that fails changed nothing, and may be repeated. */
static void out_of_memory(void **state)
{
    (void)state;
    for (uint64_t at = 1;; at++) {
        checked_heap heap = {0};
        orr_alloc alloc = checked_heap_hook(&heap);
        uint8_t id[16];
        heap.fail_at = at;
        orr_store *s = orr_store_memory(&alloc);
        for (uint32_t run = 0; run < 40 && s != NULL; run++) {
            run_id(id, run);
            for (uint64_t seq = 1; seq <= 5; seq++) {
                char text[64];
                size_t size = text_of(text, run, seq);
                orr_status status = orr_store_append(s, id, seq, text, size);
                if (status == ORR_ENOMEM)
                    status = orr_store_append(s, id, seq, text, size);
                assert_int_equal(status, ORR_OK);
            }
            reading all = {1, 0, run, 0};
            assert_int_equal(orr_store_read(s, id, 0, check_record, &all), ORR_OK);
            assert_int_equal(all.seen, 5);
        }
        bool done = heap.requests < at;
        orr_store_close(s);
        assert_int_equal(heap.live_blocks, 0);
        if (done)
            break;
    }
}

/* ---- records -------------------------------------------------------------------------------------------------------- */

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(conformance), cmocka_unit_test(out_of_memory),
                                       cmocka_unit_test(records_come_back), cmocka_unit_test(broken_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
