/* test_journal.c - the journal's records as bytes. */
#include "store/record/record.h"
#include "chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 20000, PAYLOAD_MAX = 20000 };

/* A number of each size that LEB128 knows, and of its ends: 0, 1, the last and the first of so many
 * bytes, the limit. What is above the limit is cut to it. */
static uint64_t any(chance *c, uint64_t limit) {
    uint32_t bytes = 1 + chance_below(c, 10), shift = 7 * bytes;
    uint64_t first_longer = shift < 64 ? UINT64_C(1) << shift : UINT64_MAX, n = 0;
    switch (chance_below(c, 6)) {
    case 0: n = limit; break;
    case 1: n = chance_below(c, 2); break;
    case 2: n = first_longer - 1; break;
    case 3: n = first_longer; break;
    default: n = chance_next(c) >> chance_below(c, 64); break;
    }
    return n <= limit ? n : n & limit;
}

/* How many bytes a number takes. */
static uint32_t leb_size(uint64_t n) {
    uint32_t size = 1;
    for (; n > 127; n >>= 7) size++;
    return size;
}

/* Of none, and as numbers are: the ends of what one byte, two and three say. */
static size_t payload_size(chance *c) {
    static const size_t ends[] = {0, 1, 127, 128, 16383, 16384, PAYLOAD_MAX};
    return chance_of(c, 10) ? ends[chance_below(c, 7)] : chance_below(c, 300);
}

static void random_entry(chance *c, orr_entry *e, orr_error *error, const char *payload) {
    orr_record *r = &e->record;
    *e = (orr_entry){.record = {.kind = (orr_record_kind)chance_below(c, ORR_RECORD_COUNT)}};
    r->seq = any(c, UINT64_MAX);
    r->time = (int64_t)any(c, UINT64_MAX);
    r->task = (orr_task){ORR_NONE, ORR_NONE, 0, 0};
    if (chance_of(c, 80)) {
        r->task.node = (uint32_t)any(c, ORR_NONE - 1);
        r->task.item = chance_of(c, 50) ? ORR_NONE : (uint32_t)any(c, UINT32_MAX);
        r->task.iteration = (uint32_t)any(c, UINT32_MAX);
        r->task.attempt = (uint32_t)any(c, UINT16_MAX);
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
        e->payload_size = payload_size(c);
    }
}

/* ---- what the generator reaches -------------------------------------------------------------- */

/* By field: which lengths its numbers had, and which ends of these lengths were among them. */
typedef struct reach {
    const char *name;
    uint64_t limit;
    uint32_t sizes, firsts, lasts; /* bit n: a number of n bytes, the least of them, the greatest */
    bool limit_too;
} reach;

enum { SEQ, TIME, NODE, ITEM, ITERATION, ATTEMPT, PHASE, REASON, PORT, COUNT, DUE, PAYLOAD, FIELDS };

static void reached(reach *r, uint64_t n) {
    uint32_t size = leb_size(n), bit = 1u << size;
    r->sizes |= bit;
    if (n <= 1 || leb_size(n - 1) < size) r->firsts |= n == 1 ? 1 : bit; /* bit 0 for the number 1 */
    if (n < UINT64_MAX && leb_size(n + 1) > size) r->lasts |= bit;
    r->limit_too |= n == r->limit;
}

static void reached_by(reach *fields, const orr_entry *e) {
    const orr_record *r = &e->record;
    reached(&fields[SEQ], r->seq);
    reached(&fields[TIME], (uint64_t)r->time);
    if (r->task.node != ORR_NONE) {
        reached(&fields[NODE], r->task.node);
        reached(&fields[ITEM], r->task.item);
        reached(&fields[ITERATION], r->task.iteration);
        reached(&fields[ATTEMPT], r->task.attempt);
    }
    reached(&fields[PHASE], r->phase);
    reached(&fields[REASON], r->reason);
    reached(&fields[PORT], r->port);
    reached(&fields[COUNT], r->count);
    reached(&fields[DUE], (uint64_t)r->due);
    reached(&fields[PAYLOAD], e->payload_size);
}

/* Of each field every length up to that of its limit, and the ends. */
static void all_sizes(void **state) {
    reach fields[FIELDS] = {
        [SEQ] = {.name = "seq", .limit = UINT64_MAX},
        [TIME] = {.name = "time", .limit = UINT64_MAX},
        [NODE] = {.name = "node", .limit = ORR_NONE - 1},
        [ITEM] = {.name = "item", .limit = UINT32_MAX},
        [ITERATION] = {.name = "iteration", .limit = UINT32_MAX},
        [ATTEMPT] = {.name = "attempt", .limit = UINT16_MAX},
        [PHASE] = {.name = "phase", .limit = UINT8_MAX},
        [REASON] = {.name = "reason", .limit = UINT8_MAX},
        [PORT] = {.name = "port", .limit = UINT16_MAX},
        [COUNT] = {.name = "count", .limit = UINT32_MAX},
        [DUE] = {.name = "due", .limit = UINT64_MAX},
        [PAYLOAD] = {.name = "payload", .limit = PAYLOAD_MAX},
    };
    static const char payload[PAYLOAD_MAX];
    chance c = chance_begin("sizes of journal records");
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        orr_entry e;
        orr_error error;
        random_entry(&c, &e, &error, payload);
        reached_by(fields, &e);
    }
    for (const reach *r = fields; r < fields + FIELDS; r++) {
        uint32_t longest = 1u << leb_size(r->limit), all = 2 * longest - 2;
        if (r->sizes != all || r->firsts != (all | 1) || r->lasts != all - longest || !r->limit_too)
            fail_msg("%s: lengths %x, first ones %x, last ones %x of %x; the limit: %d", r->name, r->sizes,
                     r->firsts, r->lasts, all, r->limit_too);
    }
}

static void assert_same(const orr_entry *a, const orr_entry *b) {
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
    if (a->payload_size > 0) assert_memory_equal(a->payload, b->payload, a->payload_size);
    assert_int_equal(a->record.error != NULL, b->record.error != NULL);
    if (a->record.error == NULL || b->record.error == NULL) return;
    assert_string_equal(a->record.error->code, b->record.error->code);
    assert_string_equal(a->record.error->message, b->record.error->message);
    assert_int_equal(a->record.error->not_retryable, b->record.error->not_retryable);
    assert_int_equal(a->record.error->retry_after, b->record.error->retry_after);
}

static void records_come_back(void **state) {
    chance c = chance_begin("journal records");
    static char payload[PAYLOAD_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof payload; i++) payload[i] = (char)chance_next(&c);
    for (int round = 0; round < ROUNDS; round++) {
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

/* Cut short, lengthened or changed: refused or read, never more than its bytes (the sanitizer
 * watches the block's end). */
static void broken_bytes(void **state) {
    chance c = chance_begin("broken journal records");
    static const char payload[PAYLOAD_MAX];
    uint32_t refused = 0;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
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

/* Bytes behind the record are none of it, whatever they are. */
static void bytes_behind(void **state) {
    chance c = chance_begin("longer journal records");
    static const char payload[PAYLOAD_MAX];
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        orr_entry in, out;
        orr_error error_in, error_out;
        random_entry(&c, &in, &error_in, payload);
        unsigned char *whole = calloc(orr_entry_bound(&in) + 1, 1);
        size_t size = orr_entry_encode(&in, whole);
        assert_int_equal(orr_entry_decode(whole, size + 1, &out, &error_out), ORR_EINVAL);
        free(whole);
    }
}

/* Groups of a commit come back whatever the size of their numbers, below 2^63. */
static void groups_come_back(void **state) {
    unsigned char bytes[ORR_GROUP_HEAD + 8];
    (void)state;
    for (unsigned bit = 0; bit < 63; bit++)
        for (int less = 0; less < 2; less++) {
            uint64_t n = (UINT64_C(1) << bit) - (uint64_t)less;
            orr_group in = {.run = (int64_t)n, .first = n, .size = 3}, out;
            unsigned char *to = orr_group_put(bytes, &in);
            memcpy(to, "abc", 3);
            const unsigned char *at = bytes, *end = to + 3;
            assert_true(orr_group_next(&at, end, &out));
            assert_int_equal(out.run, in.run);
            assert_int_equal(out.first, in.first);
            assert_int_equal(out.size, 3);
            assert_memory_equal(out.bytes, "abc", 3);
            assert_ptr_equal(at, end);
            at = bytes;
            assert_false(orr_group_next(&at, end - 1, &out));
            assert_ptr_equal(at, bytes);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_sizes), cmocka_unit_test(records_come_back),
                                       cmocka_unit_test(broken_bytes), cmocka_unit_test(bytes_behind),
                                       cmocka_unit_test(groups_come_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
