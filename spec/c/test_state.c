/* test_state.c - state between runs: what is decided about a write, in memory and in SQLite, by one
 * process and by several, some of which are killed.
 */
#include "chance.h"
#include "checked_heap.h"
#include "place.h"

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

/* ---- writes ---------------------------------------------------------------------------------- */

typedef struct writing {
    const char *key, *value, *version, *expected;
    double written, expires; /* expires 0: never */
} writing;

static int64_t tokens;

static void fill(orr_field *row, const writing *w) {
    static const uint8_t run[16] = {1};
    row[ORR_STATE_WORKFLOW] = orr_field_text("w");
    row[ORR_STATE_KEY] = orr_field_text(w->key);
    row[ORR_STATE_VALUE] = orr_field_text(w->value);
    row[ORR_STATE_VERSION] = orr_field_text(w->version);
    row[ORR_STATE_RUN] = (orr_field){.type = ORR_FIELD_BLOB, .bytes = run, .size = 16};
    row[ORR_STATE_NODE] = orr_field_text("n");
    row[ORR_STATE_WRITTEN] = orr_field_real(w->written);
    row[ORR_STATE_EXPIRES] = w->expires > 0 ? orr_field_real(w->expires)
                                            : (orr_field){.type = ORR_FIELD_NULL};
    row[ORR_STATE_EXPECTED] = orr_field_text(w->expected);
    row[ORR_STATE_TOKEN] = orr_field_integer(++tokens);
}

/* The record of a step, whose value is the word. */
static orr_bytes record(unsigned char *room, uint64_t seq, const char *word) {
    char payload[64];
    int size = snprintf(payload, sizeof payload, "{\"k\":\"step\",\"o\":%u,\"n\":\"s\",\"v\":%s}",
                        (unsigned)seq, word);
    orr_entry e = {.record = {.kind = ORR_REC_STEP,
                              .seq = seq,
                              .time = 1,
                              .task = {0, ORR_NONE, 0, 1},
                              .port = ORR_PORT_ANY,
                              .count = 1},
                   .payload = payload,
                   .payload_size = (size_t)size};
    return (orr_bytes){room, orr_entry_encode(&e, room)};
}

/* What the notice of the last token says. */
static bool was_made(orr_store *s) {
    orr_notice n;
    orr_store_submit(s, true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    while (orr_store_notice(s, &n))
        if (n.kind == ORR_NOTICE_STATE && n.message == tokens) return n.name != NULL;
    fail_msg("nothing was said of a write");
    return false;
}

static bool put(orr_store *s, const writing *w) {
    orr_field row[ORR_STATE_COLUMNS];
    fill(row, w);
    assert_int_equal(orr_store_put(s, ORR_ROW_STATE, row, ORR_STATE_COLUMNS), ORR_OK);
    return was_made(s);
}

static orr_status append(orr_journal *j, const writing *w) {
    unsigned char made[128], refused[128];
    orr_field row[ORR_STATE_COLUMNS];
    uint64_t seq = j->last + 1;
    fill(row, w);
    return orr_store_append_state(j, seq, row, record(made, seq, "true"), record(refused, seq, "false"));
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct kept {
    char value[64], version[64];
    double expires;
} kept;

static bool take(void *ud, const orr_field *row, size_t n) {
    kept *k = ud;
    assert_int_equal(n, ORR_STATE_KEPT);
    snprintf(k->value, sizeof k->value, "%.*s", (int)row[ORR_STATE_VALUE].size,
             (const char *)row[ORR_STATE_VALUE].bytes);
    snprintf(k->version, sizeof k->version, "%.*s", (int)row[ORR_STATE_VERSION].size,
             (const char *)row[ORR_STATE_VERSION].bytes);
    k->expires = row[ORR_STATE_EXPIRES].type == ORR_FIELD_NULL ? 0 : row[ORR_STATE_EXPIRES].real;
    return true;
}

static void assert_kept(orr_store *s, const char *key, const char *value) {
    kept k = {{0}, {0}, 0};
    orr_reason reason;
    orr_status status = orr_store_state(s, "w", key, take, &k, &reason);
    assert_int_equal(status, value != NULL ? ORR_OK : ORR_ENOTFOUND);
    if (value != NULL) assert_string_equal(k.value, value);
}

static void assert_there(orr_store *s, const char *key, bool there) {
    kept k = {{0}, {0}, 0};
    orr_reason reason;
    assert_int_equal(orr_store_state(s, "w", key, take, &k, &reason), there ? ORR_OK : ORR_ENOTFOUND);
}

/* How many records of the journal say that a write was made, and how many that it was not. */
typedef struct said {
    uint32_t made, refused;
    uint64_t last;
} said;

static bool look_at(void *ud, uint64_t seq, const void *bytes, size_t size) {
    static const char yes[] = "\"v\":true", no[] = "\"v\":false";
    said *all = ud;
    assert_int_equal(seq, all->last + 1);
    all->last = seq;
    all->made += memmem(bytes, size, yes, sizeof yes - 1) != NULL;
    all->refused += memmem(bytes, size, no, sizeof no - 1) != NULL;
    return true;
}

static said read_journal(orr_store *s, uint32_t n) {
    said all = {0};
    uint8_t id[16];
    orr_reason reason;
    place_id(id, n);
    orr_store_read(s, id, 0, look_at, &all, &reason);
    return all;
}

/* ---- what is decided, in both stores --------------------------------------------------------- */

static orr_store *open_memory(const orr_alloc *alloc) {
    orr_store_options options = {.alloc = alloc != NULL ? *alloc : (orr_alloc){orr_alloc_libc, NULL},
                                 .mode = ORR_STORE_OWN};
    orr_store *s = orr_store_memory(&options);
    assert_non_null(s);
    return s;
}

static void decides(orr_store *s) {
    assert_kept(s, "k", NULL);
    assert_false(put(s, &(writing){"k", "1", "v1", "v0", 10, 0})); /* there is none */
    assert_kept(s, "k", NULL);
    assert_true(put(s, &(writing){"k", "1", "v1", "", 10, 0}));
    assert_false(put(s, &(writing){"k", "2", "v2", "", 10, 0})); /* there is one */
    assert_false(put(s, &(writing){"k", "2", "v2", "v0", 10, 0}));
    assert_kept(s, "k", "1");
    assert_true(put(s, &(writing){"k", "2", "v2", "v1", 10, 0}));
    assert_kept(s, "k", "2");
    assert_true(put(s, &(writing){"k", "3", "v3", NULL, 10, 0})); /* whatever is there */
    assert_true(put(s, &(writing){"l", "4", "v4", NULL, 10, 0}));
    assert_kept(s, "k", "3");
    assert_kept(s, "l", "4");
    assert_false(put(s, &(writing){"k", NULL, "v5", "v2", 10, 0}));
    assert_true(put(s, &(writing){"k", NULL, "v5", "v3", 10, 0}));
    assert_kept(s, "k", NULL);
    assert_kept(s, "l", "4");
    assert_true(put(s, &(writing){"k", NULL, "v6", NULL, 10, 0})); /* nothing to remove */
}

/* What is over counts as nothing, from its time on. */
static void expires(orr_store *s) {
    assert_true(put(s, &(writing){"k", "1", "v1", NULL, 10, 20}));
    assert_false(put(s, &(writing){"k", "2", "v2", "", 19.5, 0}));
    assert_false(put(s, &(writing){"k", "2", "v2", "v1", 20, 0}));
    assert_kept(s, "k", "1"); /* who reads looks after it */
    assert_true(put(s, &(writing){"k", "2", "v2", "", 20, 0}));
    assert_kept(s, "k", "2");
}

/* Of two records the one that says what was decided, and those around it. */
static void says(orr_store *s) {
    orr_journal *j = place_create(s, 1);
    assert_int_equal(place_append(j, 1), ORR_OK);
    assert_int_equal(append(j, &(writing){"s", "1", "a", "", 10, 0}), ORR_OK);
    assert_int_equal(append(j, &(writing){"s", "2", "b", "", 10, 0}), ORR_OK);
    assert_int_equal(append(j, &(writing){"s", "2", "b", "a", 10, 0}), ORR_OK);
    assert_int_equal(place_append(j, 5), ORR_OK);
    assert_true(was_made(s));
    said all = read_journal(s, 1);
    assert_int_equal(all.last, 5);
    assert_int_equal(all.made, 2);
    assert_int_equal(all.refused, 1);
    assert_kept(s, "s", "2");
    orr_store_release(j, true);
}

static void many_keys(orr_store *s) {
    char key[16], value[16];
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "%d", i);
        orr_field row[ORR_STATE_COLUMNS];
        fill(row, &(writing){key, value, value, NULL, 10, 0});
        assert_int_equal(orr_store_put(s, ORR_ROW_STATE, row, ORR_STATE_COLUMNS), ORR_OK);
    }
    assert_true(was_made(s));
    for (int i = 0; i < 300; i += 7) {
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "%d", i);
        assert_kept(s, key, value);
    }
}

static void (*const rules[])(orr_store *) = {decides, expires, says, many_keys};

static void in_memory(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        orr_store *s = open_memory(NULL);
        rules[i](s);
        orr_store_close(s);
    }
}

static void in_sqlite(void **state) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        orr_store *s = place_open(ORR_STORE_OWN);
        rules[i](s);
        orr_store_close(s);
        place_remove(state);
        place_make(state);
    }
}

static void is_kept(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_true(put(s, &(writing){"k", "1", "v1", NULL, 10, 0}));
    orr_store_close(s);
    s = place_open(ORR_STORE_LOOK);
    assert_kept(s, "k", "1");
    orr_field row[ORR_STATE_COLUMNS];
    fill(row, &(writing){"k", "2", "v2", NULL, 10, 0});
    assert_int_equal(orr_store_put(s, ORR_ROW_STATE, row, ORR_STATE_COLUMNS), ORR_ESTATE);
    orr_store_close(s);
}

static void version_four(void **state) {
    sqlite3 *db;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    assert_int_equal(place_append(j, 1), ORR_OK);
    orr_store_release(j, false);
    orr_store_close(s);
    assert_int_equal(sqlite3_open(place_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, PLACE_UNDO_5 "PRAGMA user_version = 4", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    s = place_open(ORR_STORE_OWN);
    assert_int_equal(place_last(s, 1), 1);
    assert_true(put(s, &(writing){"k", "1", "v1", "", 10, 0}));
    assert_kept(s, "k", "1");
    orr_store_close(s);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void damage(void **state) {
    sqlite3 *db;
    kept k = {{0}, {0}, 0};
    orr_reason reason;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_true(put(s, &(writing){"k", "17", "v1", NULL, 10, 0}));
    orr_store_close(s);
    assert_int_equal(sqlite3_open(place_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE state SET value = '18'", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    s = place_open(ORR_STORE_OWN);
    assert_int_equal(orr_store_state(s, "w", "k", take, &k, &reason), ORR_EIO);
    assert_non_null(strstr(reason.text, "row 1 of state"));
    assert_string_equal(k.value, "");
    orr_store_close(s);
}

/* A write is made with its record or not at all, at whichever request memory is short. False where
 * it was not short. */
static bool is_short(orr_store *s, checked_heap *heap, uint64_t at, const char *value) {
    orr_journal *j = place_create(s, 1);
    assert_int_equal(place_append(j, 1), ORR_OK);
    orr_store_submit(s, true); /* what follows needs a batch of its own */
    assert_int_equal(orr_store_sync(s), ORR_OK);
    heap->fail_at = heap->requests + at;
    orr_status status = append(j, &(writing){"k", value, "v1", "", 10, 0});
    heap->fail_at = 0;
    orr_store_submit(s, true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    bool made = status == ORR_OK;
    assert_there(s, "k", made);
    assert_int_equal(read_journal(s, 1).made, made);
    assert_int_equal(place_append(j, made ? 3 : 2), ORR_OK);
    orr_store_release(j, true);
    return !made;
}

static bool is_short_in(bool in_file, uint64_t at, const char *value) {
    checked_heap heap = {0};
    orr_reason reason;
    orr_store_options options = {.alloc = checked_heap_hook(&heap), .mode = ORR_STORE_OWN};
    orr_sqlite_register();
    orr_store *s = in_file ? orr_store_open(place_path, &options, &reason) : open_memory(&options.alloc);
    assert_non_null(s);
    bool was_short = is_short(s, &heap, at, value);
    orr_store_close(s);
    assert_int_equal(heap.live_blocks, 0);
    return was_short;
}

/* Values of such lengths that a batch of 4 KiB ends behind the row, and behind the first record. */
static void without_memory(void **state) {
    char value[4096];
    for (size_t size = 3000; size < 4000; size += 90)
        for (int in_file = 0; in_file <= 1; in_file++) {
            bool was_short = true;
            memset(value, '1', size);
            value[size] = '\0';
            for (uint64_t at = 1; was_short; at++) {
                was_short = is_short_in(in_file, at, value);
                place_remove(state);
                place_make(state);
            }
        }
}

/* ---- many processes, some of which die ------------------------------------------------------- */

enum { WORKERS = 4, STEPS_EACH = 40 };

/* Counts up what all of them count up, until each of its steps was made. */
static void count(uint32_t worker) {
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, worker);
    if (place_append(j, 1) != ORR_OK) _exit(6);
    tokens = (int64_t)worker * 1000000;
    for (int made = 0; made < STEPS_EACH;) {
        kept k = {"0", "", 0};
        char value[32], version[48];
        orr_reason reason;
        orr_status status = orr_store_state(s, "w", "n", take, &k, &reason);
        if (status != ORR_OK && status != ORR_ENOTFOUND) _exit(7);
        snprintf(value, sizeof value, "%d", atoi(k.value) + 1);
        snprintf(version, sizeof version, "%u-%llu", worker, (unsigned long long)j->last);
        if (append(j, &(writing){"n", value, version, k.version, 10, 0}) != ORR_OK) _exit(8);
        made += was_made(s);
    }
    orr_store_release(j, true);
    orr_store_close(s);
    _exit(0);
}

static void each_is_made_once(void **state) {
    (void)state;
    chance c = chance_begin("processes that count up one value");
    pid_t pids[WORKERS];
    orr_store_close(place_open(ORR_STORE_OWN));
    for (uint32_t w = 0; w < WORKERS; w++)
        if ((pids[w] = fork()) == 0) count(w + 1);
    for (int i = 0; i < 2; i++) { /* two of them do not get to the end */
        usleep((useconds_t)(10000 + chance_below(&c, 60000)));
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    for (int i = 2; i < WORKERS; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    orr_store *s = place_open(ORR_STORE_OWN);
    uint32_t made = 0;
    for (uint32_t w = 1; w <= WORKERS; w++) {
        said all = read_journal(s, w);
        if (w > 2) assert_int_equal(all.made, STEPS_EACH);
        made += all.made;
    }
    char value[16];
    snprintf(value, sizeof value, "%u", made);
    assert_kept(s, "n", value);
    orr_store_close(s);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        TEST(in_memory), TEST(in_sqlite),      TEST(is_kept),           TEST(version_four),
        TEST(damage),    TEST(without_memory), TEST(each_is_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
