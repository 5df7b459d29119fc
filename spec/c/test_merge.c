/* test_merge.c - what was committed comes into the journals of its runs, and is read the same
 * before, after and half way. */
#include "chance.h"
#include "place.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- below the store: a connection of our own ------------------------------------------------ */

/* The writer would bring the rows where they belong meanwhile, so a file that no store has open
 * is looked at. */
static orr_connection connect(void) {
    orr_connection c = {.lock = -1};
    assert_int_equal(sqlite3_open(place_path, &c.db), SQLITE_OK);
    return c;
}

static void run_sql(orr_connection *c, const char *sql) {
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(c->db));
}

static int64_t number_in(orr_connection *c, const char *sql) {
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(c->db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

/* A store with runs 1 to `runs` that have no records. */
static orr_connection with_runs(uint32_t runs) {
    orr_store *s = place_open(ORR_STORE_OWN);
    for (uint32_t n = 1; n <= runs; n++) orr_store_release(place_create(s, n), true);
    orr_store_close(s);
    return connect();
}

static unsigned char *put_number(unsigned char *to, uint64_t n) {
    for (; n >= 0x80; n >>= 7) *to++ = (unsigned char)(n | 0x80);
    *to++ = (unsigned char)n;
    return to;
}

/* When record seq of a run was written (ns): one each 10 ms. */
static int64_t time_of(uint64_t seq) {
    return INT64_C(1000000000000) + (int64_t)seq * 10000000;
}

/* A record whose bytes say which it is. */
static unsigned char *put_record(unsigned char *to, uint32_t run, uint64_t seq) {
    unsigned char name[20], bytes[256];
    orr_entry e = {.record = {.kind = ORR_REC_STEP,
                              .seq = seq,
                              .time = time_of(seq),
                              .task = {0, ORR_NONE, 0, 1},
                              .port = ORR_PORT_ANY},
                   .payload = name,
                   .payload_size = (size_t)(put_number(name, run) - name)};
    assert_true(orr_entry_bound(&e) <= sizeof bytes);
    size_t size = orr_entry_encode(&e, bytes);
    to = put_number(to, size);
    memcpy(to, bytes, size);
    return to + size;
}

static unsigned char *put_end(unsigned char *to, uint64_t seq) {
    unsigned char bytes[256];
    orr_entry e = {.record = {.kind = ORR_REC_RUN_ENDED,
                              .seq = seq,
                              .time = time_of(seq),
                              .task = {ORR_NONE, ORR_NONE, 0, 0},
                              .port = ORR_PORT_ANY}};
    size_t size = orr_entry_encode(&e, bytes);
    to = put_number(to, size);
    memcpy(to, bytes, size);
    return to + size;
}

static unsigned char *put_group(unsigned char *to, uint32_t run, uint64_t first, uint32_t n) {
    unsigned char bytes[1024], *end = bytes;
    for (uint32_t i = 0; i < n; i++) end = put_record(end, run, first + i);
    to = put_number(put_number(put_number(to, run), first), (uint64_t)(end - bytes));
    memcpy(to, bytes, (size_t)(end - bytes));
    return to + (end - bytes);
}

static void put_commit(orr_connection *c, int64_t fence, const unsigned char *bytes,
                       const unsigned char *end) {
    orr_field row[] = {
        {.type = ORR_FIELD_INTEGER, .integer = fence},
        {.type = ORR_FIELD_BLOB, .bytes = bytes, .size = (size_t)(end - bytes)},
    };
    assert_int_equal(orr_sql_run(c, ORR_SQL_COMMIT_ADD, row, 2), SQLITE_OK);
}

/* So much of it, but for what is young at that time; 0: nothing is. */
static orr_merging settle_at(orr_connection *c, uint64_t cost, int64_t now) {
    orr_merging how = {.cost = cost, .until = INT64_MAX, .now = now};
    run_sql(c, "BEGIN");
    assert_int_equal(orr_sqlite_merge(c, &how), SQLITE_OK);
    run_sql(c, "COMMIT");
    assert_true(how.more || number_in(c, "SELECT count(*) FROM commits") == (how.left > 0));
    return how;
}

static void settle(orr_connection *c, uint64_t cost) {
    settle_at(c, cost, 0);
}

/* What reads one run, and what it found. */
typedef struct reader {
    uint32_t run;
    uint64_t next;
} reader;

static bool expect_record(void *ud, uint64_t seq, const void *bytes, size_t size) {
    reader *r = ud;
    unsigned char wanted[256], *end = put_record(wanted, r->run, seq);
    assert_int_equal(seq, r->next++);
    assert_int_equal(size, end - wanted - 1);
    assert_memory_equal(bytes, wanted + 1, size);
    return true;
}

static void expect_runs(const uint64_t *last, uint32_t runs, chance *c) {
    orr_store *s = place_open(ORR_STORE_LOOK);
    for (uint32_t n = 1; n <= runs; n++) {
        uint8_t id[16];
        uint64_t after = chance_below(c, (uint32_t)last[n] + 2), seq = 0;
        bool ended;
        reader all = {n, 1}, some = {n, after + 1};
        place_id(id, n);
        assert_int_equal(orr_store_read(s, id, 0, expect_record, &all, &(orr_reason){""}), ORR_OK);
        assert_int_equal(all.next, last[n] + 1);
        assert_int_equal(orr_store_read(s, id, after, expect_record, &some, &(orr_reason){""}), ORR_OK);
        assert_int_equal(some.next, after >= last[n] ? after + 1 : last[n] + 1);
        assert_int_equal(
            orr_sqlite_last(&((orr_sqlite *)s)->mine, (int64_t)n, "", &seq, &ended, &(orr_reason){""}),
            ORR_OK);
        assert_int_equal(seq, last[n]);
    }
    orr_store_close(s);
}

/* ---- the tests ------------------------------------------------------------------------------- */

/* Commits of any of the runs, by owners that follow each other, settled now and then, by slices
 * of any size. */
static void any_mixture(void **state) {
    enum { RUNS = 12 };
    chance c = chance_begin("commits that are settled");
    (void)state;
    for (uint32_t round = 0; round < wild_hunt(12); round++) {
        uint64_t last[RUNS + 1] = {0};
        int64_t fence = 1, fences = 0;
        orr_connection db = with_runs(RUNS);
        for (uint32_t i = chance_below(&c, 120); i > 0; i--) {
            unsigned char bytes[RUNS * 1100], *end = bytes;
            fence += chance_of(&c, 5);
            for (uint32_t n = 1; n <= RUNS; n++)
                if (chance_of(&c, 40)) {
                    uint32_t records = 1 + chance_below(&c, 6);
                    end = put_group(end, n, last[n] + 1, records);
                    last[n] += records;
                }
            put_commit(&db, fence, bytes, end);
            if (chance_of(&c, 10)) settle(&db, 1 + chance_below(&c, 200));
            if (chance_of(&c, 20))
                settle_at(&db, 1 + chance_below(&c, 200), time_of(chance_below(&c, 4 * i + 4)));
        }
        expect_runs(last, RUNS, &c);
        while (number_in(&db, "SELECT count(*) FROM commits") > 0) settle(&db, 1 + chance_below(&c, 200));
        expect_runs(last, RUNS, &c);
        fences = number_in(&db, "SELECT count(*) FROM journal AS a JOIN journal AS b ON a.run = b.run AND "
                                "a.first < b.first AND a.fence > b.fence");
        assert_int_equal(fences, 0);
        orr_sqlite_disconnect(&db);
        assert_int_equal(place_remove(NULL), 0);
        assert_int_equal(place_make(NULL), 0);
    }
}

/* One row a run and owner, whatever the number of commits. */
static void rows_are_joined(void **state) {
    (void)state;
    orr_connection db = with_runs(2);
    for (uint64_t i = 0; i < 100; i++) {
        unsigned char bytes[256];
        put_commit(&db, i < 60 ? 1 : 2, bytes, put_group(put_group(bytes, 1, i * 2 + 1, 2), 2, i + 1, 1));
    }
    settle(&db, UINT64_MAX);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM journal"), 4);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM journal WHERE fence = 2 AND first IN (61, 121)"),
                     2);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM commits"), 0);
    orr_sqlite_disconnect(&db);
}

/* A run that began a moment ago and goes on stays where it is, what there is of it in one row; one
 * that has ended, or is older, or was begun by another owner, does not. */
static void young_ones_are_left(void **state) {
    unsigned char bytes[512], *end;
    (void)state;
    orr_connection db = with_runs(4);
    put_commit(&db, 1, bytes, put_group(bytes, 1, 1, 1));
    put_commit(&db, 2, bytes, put_group(put_group(bytes, 2, 1, 1), 3, 5, 1));
    end = put_group(put_group(bytes, 2, 2, 2), 3, 6, 1);
    unsigned char ended[256], *ended_end = put_end(ended, 5);
    end = put_number(put_number(put_number(end, 4), 5), (uint64_t)(ended_end - ended));
    memcpy(end, ended, (size_t)(ended_end - ended));
    put_commit(&db, 2, bytes, end + (ended_end - ended));

    orr_merging how = settle_at(&db, UINT64_MAX, time_of(5) + 5); /* run 2 began 40 ms before, run 3 now */
    assert_int_equal(how.left, 40000000 + 5 + 1);
    assert_false(how.more);
    assert_int_equal(number_in(&db, "SELECT sum(run = 1) * 10 + sum(run = 4) FROM journal"), 11);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM journal"), 2);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM commits WHERE id = 3 AND fence = 2"), 1);
    expect_runs((uint64_t[]){0, 1, 3}, 2, &(chance){1});

    how = settle_at(&db, UINT64_MAX, time_of(5)); /* the same again */
    assert_int_equal(how.left, 40000000 + 1);
    how = settle_at(&db, UINT64_MAX, time_of(1) + ORR_SQLITE_YOUNG);
    assert_int_equal(how.left, 20000000 + 1);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM journal WHERE run = 2 AND first = 1"), 1);
    expect_runs((uint64_t[]){0, 1, 3}, 2, &(chance){1});
    how = settle_at(&db, UINT64_MAX, time_of(4)); /* the clock was set back */
    assert_int_equal(how.left, 0);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM commits"), 0);
    orr_sqlite_disconnect(&db);
}

/* What belongs to a run that was removed goes; what nobody can read is kept, and who reads a run
 * before that hears of it. */
static void what_has_no_place(void **state) {
    unsigned char bytes[256], *end;
    uint8_t id[16];
    reader r = {1, 1};
    (void)state;
    orr_connection db = with_runs(1);
    end = put_group(put_group(bytes, 77, 1, 3), 1, 1, 1);
    put_commit(&db, 1, bytes, end);
    end = put_group(bytes, 1, 2, 2);
    memset(end, 0xff, 30);
    put_commit(&db, 1, bytes, end + 30);
    orr_store *s = place_open(ORR_STORE_LOOK);
    place_id(id, 1);
    assert_int_equal(orr_store_read(s, id, 0, expect_record, &r, &(orr_reason){""}), ORR_EIO);
    assert_int_equal(r.next, 4); /* what was before it is told all the same */
    settle(&db, UINT64_MAX);
    r.next = 1;
    assert_int_equal(orr_store_read(s, id, 0, expect_record, &r, &(orr_reason){""}), ORR_OK);
    orr_store_close(s);
    assert_int_equal(number_in(&db, "SELECT count(*) FROM journal WHERE run = 77"), 0);
    assert_int_equal(number_in(&db, "SELECT length(records) FROM journal WHERE run = 0"), 30);
    orr_sqlite_disconnect(&db);
}

/* Long records go into the journal at once, behind what was there before. */
static void long_records(void **state) {
    static char blank[ORR_SQLITE_COMMIT_LIMIT + 1];
    unsigned char *bytes = malloc(sizeof blank + 256);
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j[2] = {place_create(s, 1), place_create(s, 2)};
    memset(blank, ' ', sizeof blank);
    for (uint64_t seq = 1; seq <= 40; seq++) {
        orr_entry e = {.record = {.kind = ORR_REC_STEP,
                                  .seq = seq,
                                  .time = 1,
                                  .task = {0, ORR_NONE, 0, 1},
                                  .port = ORR_PORT_ANY},
                       .payload = blank,
                       .payload_size = seq % 7 == 3 ? sizeof blank : 10};
        for (int i = 0; i < 2; i++)
            assert_int_equal(orr_store_append(j[i], seq, bytes, orr_entry_encode(&e, bytes)), ORR_OK);
        assert_int_equal(orr_store_sync(s), ORR_OK);
        assert_int_equal(place_last(s, 1), seq);
        assert_int_equal(place_last(s, 2), seq);
        if (seq % 7 == 3) /* the writer may have settled it already, but nothing is left before it */
            assert_int_equal(place_number(s, "SELECT count(*) FROM commits"), 0);
    }
    for (int i = 0; i < 2; i++) orr_store_release(j[i], true);
    orr_store_close(s);
    free(bytes);
}

/* A run is removed with what it has in commits; others keep theirs. */
static void dropped(void **state) {
    uint8_t id[16];
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    for (uint32_t n = 1; n <= 3; n++) {
        orr_journal *j = place_create(s, n);
        for (uint64_t seq = 1; seq <= 5; seq++) place_append(j, seq);
        orr_store_release(j, true);
    }
    place_id(id, 2);
    assert_int_equal(orr_store_drop(s, id), ORR_OK);
    assert_int_equal(orr_store_project(s, &(orr_reason){""}), ORR_OK);
    assert_int_equal(place_last(s, 1), 5);
    assert_int_equal(place_last(s, 2), 0);
    assert_int_equal(place_last(s, 3), 5);
    assert_int_equal(place_number(s, "SELECT count(DISTINCT run) FROM journal"), 2);
    orr_store_close(s);
}

/* A store that an older version made, where each commit wrote the journal itself, goes on as it
 * is. */
static void version_one(void **state) {
    orr_reason reason;
    orr_status status;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    for (uint64_t seq = 1; seq <= 5; seq++) place_append(j, seq);
    orr_store_release(j, false);
    orr_store_close(s);
    orr_connection db = connect();
    assert_int_equal(number_in(&db, "SELECT count(*) FROM commits"), 0);
    run_sql(&db, PLACE_UNDO_4
            "DROP TABLE commits; ALTER TABLE attempts DROP COLUMN output; CREATE INDEX runs_owner ON "
            "runs (owner) WHERE owner IS NOT NULL; ALTER TABLE journal DROP COLUMN checksum; "
            "ALTER TABLE runs DROP COLUMN checksum; ALTER TABLE inbox DROP COLUMN checksum; "
            "ALTER TABLE owners DROP COLUMN checksum; ALTER TABLE modules DROP COLUMN checksum; "
            "PRAGMA user_version = 1");
    orr_sqlite_disconnect(&db);
    s = place_open(ORR_STORE_OWN);
    assert_int_equal(place_last(s, 1), 5);
    j = place_claim(s, 1, false, &status, &reason);
    assert_non_null(j);
    assert_int_equal(place_append(j, 6), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(place_last(s, 1), 6);
    orr_store_release(j, true);
    orr_store_close(s);
    db = connect();
    assert_int_equal(number_in(&db, "PRAGMA user_version"), 7);
    orr_sqlite_disconnect(&db);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        TEST(any_mixture),  TEST(rows_are_joined), TEST(young_ones_are_left), TEST(what_has_no_place),
        TEST(long_records), TEST(dropped),         TEST(version_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
