/* test_store.c - what every store must do. Each test runs against each implementation. */
#include "store/record/record.h"
#include "store/sqlite/sqlite.h"
#include "store/store.h"
#include "checked_heap.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the implementations --------------------------------------------------------------------- */

typedef struct implementation {
    const char *name, *scheme;
} implementation;

static const implementation implementations[] = {{"memory", "memory:"}, {"sqlite", "sqlite:"}};

typedef struct fixture {
    checked_heap heap;
    orr_alloc alloc;
    orr_store *store;
    char directory[64], url[128];
} fixture;

/* What a store tells of itself, on two threads. */
typedef struct reports {
    pthread_mutex_t mutex;
    uint32_t n[ORR_REPORT_TAKEN + 1], refused[ORR_REPORT_TAKEN + 1];
    orr_report last[ORR_REPORT_TAKEN + 1]; /* without its texts */
    uint32_t records, created, released, rows;
    size_t bytes;
    uint8_t run[16]; /* of the last one that had one */
} reports;

static void note_report(void *ud, const orr_report *r) {
    reports *all = ud;
    assert_non_null(r->reason);
    pthread_mutex_lock(&all->mutex);
    all->n[r->kind]++;
    all->refused[r->kind] += r->status != ORR_OK && r->reason[0] != '\0';
    all->last[r->kind] = *r;
    all->records += r->records;
    all->created += r->created;
    all->released += r->released;
    all->rows += r->rows;
    all->bytes += r->bytes;
    if (r->run != NULL) memcpy(all->run, r->run, 16);
    pthread_mutex_unlock(&all->mutex);
}

static void begin(fixture *f, const implementation *i, reports *told) {
    orr_reason reason = {""};
    *f = (fixture){0};
    f->alloc = checked_heap_hook(&f->heap);
    snprintf(f->directory, sizeof f->directory, "/tmp/orrery-store-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    bool file = strcmp(i->name, "memory") != 0;
    snprintf(f->url, sizeof f->url, "%s%s%s", i->scheme, file ? f->directory : "", file ? "/runs.db" : "");
    orr_store_options options = {.alloc = f->alloc,
                                 .mode = ORR_STORE_OWN,
                                 .trace = told != NULL ? note_report : NULL,
                                 .trace_ud = told};
    f->store = orr_store_open(f->url, &options, &reason);
    assert_string_equal(reason.text, "");
    assert_non_null(f->store);
    assert_string_equal(orr_store_kind(f->store), i->name);
}

static void end(fixture *f) {
    char command[128];
    orr_store_close(f->store);
    assert_int_equal(f->heap.live_blocks, 0);
    snprintf(command, sizeof command, "rm -r '%s'", f->directory);
    assert_int_equal(system(command), 0);
}

static void on_each(void (*test)(orr_store *s)) {
    for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++) {
        fixture f;
        begin(&f, &implementations[i], NULL);
        test(f.store);
        end(&f);
    }
}

/* ---- small things ---------------------------------------------------------------------------- */

static void run_id(uint8_t id[16], uint32_t n) {
    memset(id, 0, 16);
    for (int i = 0; i < 4; i++) id[12 + i] = (uint8_t)(n >> (8 * i)); /* in whatever byte order */
}

static orr_journal *create(orr_store *s, uint32_t n, const char *key) {
    orr_new_run run = {.workflow = "w", .key = key, .labels = "{}", .context = "null", .created = 1000000000};
    run_id(run.id, n);
    return orr_store_create(s, &run);
}

static orr_status claim(orr_store *s, uint32_t n, orr_journal **journal) {
    uint8_t id[16];
    orr_reason reason = {""};
    orr_status status;
    run_id(id, n);
    *journal = orr_store_claim(s, id, false, &status, &reason);
    assert_int_equal(*journal != NULL, status == ORR_OK);
    assert_int_equal(reason.text[0] == '\0', status == ORR_OK);
    return status;
}

typedef struct reading {
    uint64_t expected, stop_after;
    uint32_t run, seen;
} reading;

static size_t text_of(char text[64], uint32_t run, uint64_t seq) {
    int len = snprintf(text, 64, "run %u, record %llu", run, (unsigned long long)seq);
    return seq % 7 == 0 ? 0 : (size_t)len; /* empty ones are among them */
}

static bool check_record(void *ud, uint64_t seq, const void *bytes, size_t size) {
    reading *r = ud;
    char text[64];
    assert_int_equal(seq, r->expected++);
    assert_int_equal(size, text_of(text, r->run, seq));
    if (size > 0) assert_memory_equal(bytes, text, size);
    r->seen++;
    return r->stop_after == 0 || seq < r->stop_after;
}

static orr_status append(orr_journal *j, uint32_t run, uint64_t seq) {
    char text[64];
    size_t size = text_of(text, run, seq);
    return orr_store_append(j, seq, text, size);
}

static orr_status read_run(orr_store *s, uint32_t run, uint64_t after, uint64_t stop_after, uint32_t *seen) {
    uint8_t id[16];
    reading r = {after + 1, stop_after, run, 0};
    run_id(id, run);
    orr_status status = orr_store_read(s, id, after, check_record, &r, &(orr_reason){""});
    *seen = r.seen;
    return status;
}

static size_t ended(unsigned char *to) {
    orr_entry e = {.record = {.kind = ORR_REC_RUN_ENDED,
                              .seq = 2,
                              .task = {ORR_NONE, ORR_NONE, 0, 0},
                              .port = ORR_PORT_ANY}};
    return orr_entry_encode(&e, to);
}

/* The next notice, waited for up to half a minute where one is expected. */
static bool notice(orr_store *s, orr_notice *n) {
    for (int i = 0; i < 6000; i++) {
        if (orr_store_notice(s, n)) return true;
        usleep(5000);
    }
    return false;
}

static bool quiet(orr_store *s) {
    orr_notice n;
    usleep(strcmp(orr_store_kind(s), "memory") == 0 ? 0 : 120000); /* three looks into the inbox */
    return !orr_store_notice(s, &n);
}

/* ---- journals -------------------------------------------------------------------------------- */

static void keeps(orr_store *s) {
    enum { RUNS = 100, RECORDS = 60 };
    static orr_journal *journals[RUNS];
    uint32_t seen;
    for (uint32_t run = 0; run < RUNS; run++) assert_non_null(journals[run] = create(s, run, NULL));
    for (uint64_t seq = 1; seq <= RECORDS; seq++) {
        for (uint32_t run = 0; run < RUNS; run++) assert_int_equal(append(journals[run], run, seq), ORR_OK);
        orr_store_submit(s, seq % 2 == 0);
    }
    assert_int_equal(orr_store_sync(s), ORR_OK);
    for (uint32_t run = 0; run < RUNS; run++) {
        assert_int_equal(read_run(s, run, 0, 0, &seen), ORR_OK);
        assert_int_equal(seen, RECORDS);
        assert_int_equal(read_run(s, run, 50, 0, &seen), ORR_OK);
        assert_int_equal(seen, 10);
        assert_int_equal(read_run(s, run, 10, 20, &seen), ORR_OK);
        assert_int_equal(seen, 10);
        assert_int_equal(read_run(s, run, RECORDS, 0, &seen), ORR_OK);
        assert_int_equal(seen, 0);
        orr_store_release(journals[run], run % 2 == 0);
    }
    assert_int_equal(read_run(s, RUNS, 0, 0, &seen), ORR_ENOTFOUND);
}

static void refuses_gaps(orr_store *s) {
    orr_journal *j = create(s, 1, NULL);
    assert_int_equal(orr_store_append(j, 2, "x", 1), ORR_EINVAL);
    assert_int_equal(orr_store_append(j, 1, "x", 1), ORR_OK);
    assert_int_equal(orr_store_append(j, 1, "x", 1), ORR_EINVAL);
    assert_int_equal(orr_store_append(j, 3, "x", 1), ORR_EINVAL);
    orr_store_release(j, true);
}

static void forgets(orr_store *s) {
    uint8_t id[16];
    uint32_t seen;
    orr_journal *j = create(s, 1, "key");
    run_id(id, 1);
    assert_int_equal(append(j, 1, 1), ORR_OK);
    assert_int_equal(orr_store_drop(s, id), ORR_ESTATE);
    orr_store_release(j, true);
    assert_int_equal(orr_store_drop(s, id), ORR_OK);
    assert_int_equal(orr_store_drop(s, id), ORR_ENOTFOUND);
    assert_int_equal(read_run(s, 1, 0, 0, &seen), ORR_ENOTFOUND);
    assert_int_equal(claim(s, 1, &j), ORR_ENOTFOUND);
    j = create(s, 2, "key"); /* the key is free again */
    assert_int_equal(append(j, 2, 1), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(read_run(s, 2, 0, 0, &seen), ORR_OK);
    orr_store_release(j, true);
}

static void claims(orr_store *s) {
    orr_journal *j = create(s, 1, NULL), *again;
    uint32_t seen;
    assert_int_equal(append(j, 1, 1), ORR_OK);
    assert_int_equal(append(j, 1, 2), ORR_OK);
    orr_store_submit(s, true);
    assert_int_equal(claim(s, 1, &again), ORR_ESTATE);
    assert_int_equal(claim(s, 2, &again), ORR_ENOTFOUND);
    for (uint64_t round = 0; round < 4; round++) {
        orr_store_release(j, round % 2 == 0);
        assert_int_equal(claim(s, 1, &j), ORR_OK);
        assert_int_equal(append(j, 1, round + 4), ORR_EINVAL);
        assert_int_equal(append(j, 1, round + 3), ORR_OK);
    }
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(read_run(s, 1, 0, 0, &seen), ORR_OK);
    assert_int_equal(seen, 6);
    orr_store_release(j, true);
}

static void tickets(orr_store *s) {
    orr_journal *j = create(s, 1, NULL);
    uint64_t last = orr_store_ticket(s), shown = orr_store_durable(s);
    for (uint64_t seq = 1; seq <= 200; seq++) {
        assert_int_equal(append(j, 1, seq), ORR_OK);
        assert_true(orr_store_ticket(s) > last);
        last = orr_store_ticket(s);
        assert_true(orr_store_durable(s) >= shown && orr_store_durable(s) <= last);
        shown = orr_store_durable(s);
        orr_store_submit(s, seq % 3 == 0);
    }
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(orr_store_durable(s), last);
    append(j, 1, 201);
    orr_store_submit(s, false); /* nobody waits for it, and it is written all the same */
    for (int i = 0; i < 30000 && orr_store_durable(s) < orr_store_ticket(s); i++) usleep(1000);
    assert_int_equal(orr_store_durable(s), orr_store_ticket(s));
    orr_store_release(j, true);
}

static void keys(orr_store *s) {
    orr_notice n;
    uint8_t id[16];
    uint32_t seen;
    orr_journal *first = create(s, 1, "k"), *second = create(s, 2, "k"), *third = create(s, 3, "other");
    append(first, 1, 1);
    append(second, 2, 1);
    append(third, 3, 1);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_true(notice(s, &n));
    run_id(id, 2);
    assert_int_equal(n.kind, ORR_NOTICE_REFUSED);
    assert_memory_equal(n.run, id, 16);
    assert_string_equal(n.text, "00000000-0000-0000-0000-000001000000");
    /* goes nowhere, and is as durable as nothing can be */
    assert_int_equal(append(second, 2, 2), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(read_run(s, 2, 0, 0, &seen), ORR_ENOTFOUND);
    assert_int_equal(read_run(s, 3, 0, 0, &seen), ORR_OK);
    assert_int_equal(seen, 1);
    orr_store_release(second, true);
    orr_store_release(first, true);
    orr_store_release(third, true);
    orr_journal *fourth = create(s, 4, "k"); /* also where the run has ended */
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_true(notice(s, &n));
    assert_int_equal(n.kind, ORR_NOTICE_REFUSED);
    orr_store_release(fourth, true);
}

/* ---- messages -------------------------------------------------------------------------------- */

static orr_status send_to(orr_store *s, uint32_t run, const char *name, const char *text, const char *dedup) {
    uint8_t id[16];
    orr_reason reason = {""};
    run_id(id, run);
    orr_status status = orr_store_send(s, id, name, text, dedup, &reason);
    assert_int_equal(reason.text[0] == '\0', status == ORR_OK);
    return status;
}

static void messages(orr_store *s) {
    orr_notice n;
    unsigned char bytes[256];
    orr_journal *j = create(s, 1, NULL);
    assert_int_equal(append(j, 1, 1), ORR_OK);
    assert_int_equal(send_to(s, 9, "go", "1", NULL), ORR_ENOTFOUND);
    assert_int_equal(send_to(s, 1, "go", "{\"a\":1}", "once"), ORR_OK);
    assert_int_equal(send_to(s, 1, "go", "{\"a\":2}", "once"), ORR_OK);
    assert_int_equal(send_to(s, 1, "stop", NULL, NULL), ORR_OK);
    assert_true(notice(s, &n));
    assert_int_equal(n.kind, ORR_NOTICE_MESSAGE);
    assert_string_equal(n.name, "go");
    assert_string_equal(n.text, "{\"a\":1}");
    orr_field first = {.type = ORR_FIELD_INTEGER, .integer = n.message};
    assert_true(notice(s, &n));
    assert_string_equal(n.name, "stop");
    assert_true(quiet(s));
    assert_int_equal(orr_store_put(s, ORR_ROW_TAKEN, &first, 1), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    orr_store_release(j, false);
    assert_int_equal(claim(s, 1, &j), ORR_OK);
    assert_true(notice(s, &n)); /* what was not taken comes again, and only that */
    assert_string_equal(n.name, "stop");
    /* was taken, and still is the same message */
    assert_int_equal(send_to(s, 1, "go", "{\"a\":3}", "once"), ORR_OK);
    assert_true(quiet(s));
    assert_int_equal(orr_store_append(j, 2, bytes, ended(bytes)), ORR_OK);
    assert_int_equal(send_to(s, 1, "late", NULL, NULL), ORR_ESTATE);
    orr_store_release(j, true);
}

/* What was sent once to one run can be sent to another; and a run that was let go hears nothing
 * until somebody takes it over. */
static void messages_are_of_one_run(orr_store *s) {
    orr_notice n;
    uint8_t id[16];
    orr_journal *one = create(s, 1, NULL), *two = create(s, 2, NULL);
    assert_int_equal(append(one, 1, 1), ORR_OK);
    assert_int_equal(append(two, 2, 1), ORR_OK);
    assert_int_equal(send_to(s, 1, "go", "1", "once"), ORR_OK);
    assert_true(notice(s, &n));
    assert_int_equal(send_to(s, 2, "go", "2", "once"), ORR_OK);
    assert_true(notice(s, &n));
    run_id(id, 2);
    assert_memory_equal(n.run, id, sizeof id);
    assert_string_equal(n.text, "2");
    assert_int_equal(orr_store_sync(s), ORR_OK);
    orr_store_release(two, false);
    assert_int_equal(send_to(s, 2, "stop", NULL, NULL), ORR_OK);
    assert_true(quiet(s));
    assert_int_equal(claim(s, 2, &two), ORR_OK);
    assert_true(notice(s, &n));
    assert_string_equal(n.name, "go");
    assert_true(notice(s, &n));
    assert_string_equal(n.name, "stop");
    assert_true(quiet(s));
    orr_store_release(one, true);
    orr_store_release(two, true);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static orr_field text(const char *t) {
    return (orr_field){.type = ORR_FIELD_TEXT, .bytes = t, .size = strlen(t)};
}

typedef struct rows {
    uint32_t n;
    char last[4][64];
} rows;

static bool note_row(void *ud, const orr_field *values, size_t n) {
    rows *r = ud;
    for (size_t i = 0; i < n && i < 4; i++)
        snprintf(r->last[i], sizeof r->last[i], "%.*s", (int)values[i].size,
                 values[i].bytes != NULL ? (const char *)values[i].bytes : "");
    r->n++;
    return true;
}

static orr_status get(orr_store *s, orr_row_kind kind, const char *key, rows *r) {
    *r = (rows){0};
    return orr_store_get(s, kind, key, note_row, r, &(orr_reason){""});
}

static void put(orr_store *s, orr_row_kind kind, const orr_field *values, size_t n) {
    assert_int_equal(orr_store_put(s, kind, values, n), ORR_OK);
}

static void keeps_rows(orr_store *s) {
    const orr_field none = {.type = ORR_FIELD_NULL}, time = {.type = ORR_FIELD_REAL, .real = 1.5};
    rows r;
    /* bundles, modules and blobs stay, a row of the cache is replaced */
    for (int round = 0; round < 2; round++) {
        const char *word = round == 0 ? "first" : "second";
        put(s, ORR_ROW_BUNDLE, (orr_field[]){text("h"), text("w"), text(word), none, none, text("1"), time},
            7);
        put(s, ORR_ROW_MODULE, (orr_field[]){text("h"), text("a"), text("a.lua"), text(word)}, 4);
        put(s, ORR_ROW_MODULE, (orr_field[]){text("h"), text("b"), none, text(word)}, 4);
        put(s, ORR_ROW_BLOB,
            (orr_field[]){text("b"), {.type = ORR_FIELD_BLOB, .bytes = word, .size = strlen(word)}}, 2);
        put(s, ORR_ROW_CACHE,
            (orr_field[]){text("k"), text("w"), text(word), none, none, text("1"), time, none}, 8);
    }
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(get(s, ORR_ROW_BUNDLE, "h", &r), ORR_OK);
    assert_string_equal(r.last[2], "first");
    assert_int_equal(get(s, ORR_ROW_MODULE, "h", &r), ORR_OK);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.last[1], "b");
    assert_string_equal(r.last[3], "first");
    assert_int_equal(get(s, ORR_ROW_BLOB, "b", &r), ORR_OK);
    assert_string_equal(r.last[1], "first");
    assert_int_equal(get(s, ORR_ROW_CACHE, "k", &r), ORR_OK);
    assert_int_equal(r.n, 1);
    assert_string_equal(r.last[2], "second");
    assert_int_equal(get(s, ORR_ROW_BLOB, "h", &r), ORR_ENOTFOUND);
    assert_int_equal(get(s, ORR_ROW_LOG, "h", &r), ORR_EINVAL);
}

static void refuses_rows(orr_store *s) {
    const orr_field none = {.type = ORR_FIELD_NULL}, number = {.type = ORR_FIELD_INTEGER};
    assert_int_equal(orr_store_put(s, ORR_ROW_BLOB, (orr_field[]){text("b")}, 1), ORR_EINVAL);
    assert_int_equal(orr_store_put(s, ORR_ROW_BLOB, (orr_field[]){none, text("x")}, 2), ORR_EINVAL);
    assert_int_equal(orr_store_put(s, ORR_ROW_TAKEN, (orr_field[]){text("1")}, 1), ORR_EINVAL);
    assert_int_equal(orr_store_put(s, ORR_ROW_MODULE, (orr_field[]){text("h"), number, none, none}, 4),
                     ORR_EINVAL);
    assert_int_equal(orr_store_put(s, ORR_ROW_WHY, (orr_field[]){text("run"), text("n"), number, none}, 4),
                     ORR_EINVAL);
}

static void keeps_records_of_all_sizes(orr_store *s) {
    enum { BIG = 20 << 20 };
    static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, BIG, 3};
    orr_journal *j = create(s, 1, NULL);
    char *bytes = calloc(1, BIG);
    for (size_t i = 0; i < 8; i++) assert_int_equal(orr_store_append(j, i + 1, bytes, sizes[i]), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    free(bytes);
    orr_store_release(j, true);
    assert_int_equal(claim(s, 1, &j), ORR_OK); /* which reads the last row of them */
    assert_int_equal(orr_store_append(j, 9, "x", 1), ORR_OK);
    orr_store_release(j, true);
}

#define ON_EACH(X)                                                                                           \
    X(keeps)                                                                                                 \
    X(refuses_gaps)                                                                                          \
    X(forgets)                                                                                               \
    X(claims)                                                                                                \
    X(tickets)                                                                                               \
    X(keys)                                                                                                  \
    X(messages)                                                                                              \
    X(messages_are_of_one_run)                                                                               \
    X(keeps_rows)                                                                                            \
    X(refuses_rows)                                                                                          \
    X(keeps_records_of_all_sizes)

#define TEST_EACH(name)                                                                                      \
    static void test_##name(void **state) {                                                                  \
        (void)state;                                                                                         \
        on_each(name);                                                                                       \
    }
ON_EACH(TEST_EACH)

/* ---- not of one implementation --------------------------------------------------------------- */

/* Everything but commits, which only a store with a disk makes. */
static void tells_of(orr_store *s, const reports *told) {
    uint8_t one[16];
    orr_journal *j = create(s, 1, NULL), *again;
    orr_notice n;
    run_id(one, 1);
    assert_int_equal(append(j, 1, 1), ORR_OK);
    assert_int_equal(append(j, 1, 2), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(send_to(s, 9, "go", NULL, NULL), ORR_ENOTFOUND);
    assert_int_equal(send_to(s, 1, "go", NULL, NULL), ORR_OK);
    assert_int_equal(told->n[ORR_REPORT_SENT], 2);
    assert_int_equal(told->refused[ORR_REPORT_SENT], 1);
    assert_true(notice(s, &n));
    assert_int_equal(told->n[ORR_REPORT_COME], 1);
    assert_int_equal(told->last[ORR_REPORT_COME].message, n.message);
    assert_memory_equal(told->run, one, 16);
    orr_field taken = orr_field_integer(n.message);
    assert_int_equal(orr_store_put(s, ORR_ROW_TAKEN, &taken, 1), ORR_OK);
    assert_int_equal(told->n[ORR_REPORT_TAKEN], 1);
    assert_int_equal(told->last[ORR_REPORT_TAKEN].message, n.message);
    assert_int_equal(claim(s, 1, &again), ORR_ESTATE);
    assert_int_equal(claim(s, 9, &again), ORR_ENOTFOUND);
    orr_store_release(j, true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(claim(s, 1, &j), ORR_OK);
    assert_int_equal(told->n[ORR_REPORT_CLAIM], 3);
    assert_int_equal(told->refused[ORR_REPORT_CLAIM], 2);
    assert_int_equal(told->last[ORR_REPORT_CLAIM].status, ORR_OK);
    assert_true(told->last[ORR_REPORT_CLAIM].took >= 0);
    orr_store_release(j, false);
    assert_int_equal(orr_store_sync(s), ORR_OK);
}

static void tells_what_it_does(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++) {
        fixture f;
        reports told = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        bool commits = strcmp(implementations[i].name, "memory") != 0;
        begin(&f, &implementations[i], &told);
        tells_of(f.store, &told);
        uint64_t ticket = orr_store_ticket(f.store);
        end(&f); /* its thread is gone */
        assert_int_equal(told.n[ORR_REPORT_COMMIT] > 0, commits);
        if (!commits) continue;
        assert_int_equal(told.refused[ORR_REPORT_COMMIT], 0);
        assert_int_equal(told.records, 2);
        assert_int_equal(told.created, 1);
        assert_int_equal(told.released, 2);
        assert_int_equal(told.rows, 1);
        assert_true(told.bytes > 2 * strlen("run 1, record 1"));
        assert_int_equal(told.last[ORR_REPORT_COMMIT].ticket, ticket);
        assert_true(told.last[ORR_REPORT_COMMIT].took > 0);
    }
}

static void refuses_urls(void **state) {
    static const struct {
        const char *url, *expected;
    } urls[] = {
        {"postgres://x", "no known kind"},
        {"sqlite:", "names no file"},
        {"", "names no file"},
        {"sqlite::memory:", "names no file"},
        {"/tmp", "is no file"},
        {"/nowhere/at/all/runs.db", "cannot be made"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        orr_store_options options = {.alloc = {orr_alloc_libc, NULL}, .mode = ORR_STORE_OWN};
        orr_reason reason = {""};
        assert_null(orr_store_open(urls[i].url, &options, &reason));
        if (strstr(reason.text, urls[i].expected) == NULL)
            print_error("'%s' gave: %s\n", urls[i].url, reason.text);
        assert_non_null(strstr(reason.text, urls[i].expected));
    }
    orr_store_close(NULL);
}

/* An append that fails changed nothing, and may be repeated; what cannot be made is not there. */
static void out_of_memory(void **state) {
    (void)state;
    for (uint64_t at = 1;; at++) {
        checked_heap heap = {0};
        orr_store_options options = {.alloc = checked_heap_hook(&heap), .mode = ORR_STORE_OWN};
        heap.fail_at = at;
        orr_store *s = orr_store_memory(&options);
        for (uint32_t run = 0; run < 40 && s != NULL; run++) {
            uint32_t seen;
            orr_journal *j = create(s, run, run % 2 == 0 ? "k" : NULL);
            if (j == NULL) assert_non_null(j = create(s, run, run % 2 == 0 ? "k" : NULL));
            for (uint64_t seq = 1; seq <= 5; seq++) {
                orr_status status = append(j, run, seq);
                if (status == ORR_ENOMEM) status = append(j, run, seq);
                assert_int_equal(status, ORR_OK);
            }
            if (run % 2 == 1 || run == 0) {
                assert_int_equal(read_run(s, run, 0, 0, &seen), ORR_OK);
                assert_int_equal(seen, 5);
            }
            if (run % 2 == 1 && send_to(s, run, "n", "t", "d") == ORR_ENOMEM)
                assert_int_equal(send_to(s, run, "n", "t", "d"), ORR_OK);
            orr_store_release(j, true);
        }
        bool done = heap.requests < at;
        orr_store_close(s);
        assert_int_equal(heap.live_blocks, 0);
        if (done) break;
    }
}

int main(void) {
    orr_sqlite_register();
#define TEST_ROW(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {ON_EACH(TEST_ROW) cmocka_unit_test(tells_what_it_does),
                                       cmocka_unit_test(refuses_urls), cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
