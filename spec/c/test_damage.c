/* test_damage.c - a row of the truth that is not what was written is an error with its place:
 * each bit of such rows is flipped, in the file as a disk would do it or in its columns. */
#include "chance.h"
#include "place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- the checksum ---------------------------------------------------------------------------- */

/* RFC 3720, B.4, and the check value of the catalogue of CRCs. */
static void checksum_of_the_standard(void **state) {
    unsigned char zeros[32] = {0}, ones[32], up[32], down[32];
    static const unsigned char read_command[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0};
    (void)state;
    memset(ones, 0xff, sizeof ones);
    for (unsigned char i = 0; i < 32; i++) {
        up[i] = i;
        down[i] = (unsigned char)(31 - i);
    }
    assert_int_equal(orr_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(orr_crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(orr_crc32c(0, up, 32), 0x46dd794e);
    assert_int_equal(orr_crc32c(0, down, 32), 0x113fdb5c);
    assert_int_equal(orr_crc32c(0, read_command, 48), 0xd9963a56);
    assert_int_equal(orr_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(orr_crc32c(orr_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void checksum_without_the_instruction(void **state) {
    unsigned char bytes[300];
    chance c = chance_begin("bytes of checksums");
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)chance_next(&c);
    for (size_t from = 0; from < 9; from++)
        for (size_t size = 0; from + size <= sizeof bytes; size++)
            assert_int_equal(orr_crc32c(7, bytes + from, size), orr_crc32c_by_table(7, bytes + from, size));
}

/* ---- a file under the store ------------------------------------------------------------------ */

static sqlite3 *connect(void) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place_path, &db), SQLITE_OK);
    return db;
}

static void run_sql(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void run_with(sqlite3 *db, const char *sql, const orr_field *values, size_t n) {
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(orr_sql_bind(q, values, n), SQLITE_OK);
    if (sqlite3_step(q) != SQLITE_DONE) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(q);
}

/* Run n with records 1 to `records`. */
static void make_run(orr_store *s, uint32_t n, uint64_t records) {
    orr_journal *j = place_create(s, n);
    for (uint64_t seq = 1; seq <= records; seq++) assert_int_equal(place_append(j, seq), ORR_OK);
    orr_store_release(j, false);
}

static void make_store(void) {
    orr_store *s = place_open(ORR_STORE_OWN);
    make_run(s, 1, 6);
    make_run(s, 2, 3);
    orr_store_close(s);
}

/* What was in `journal` of run 1 in `commits`, as it is right after a commit. */
static void put_back(void) {
    sqlite3 *db = connect();
    sqlite3_stmt *q;
    unsigned char bytes[1024];
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT first, fence, records FROM journal WHERE run = 1", -1, &q, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    orr_group group = {.run = 1,
                       .first = (uint64_t)sqlite3_column_int64(q, 0),
                       .size = (size_t)sqlite3_column_bytes(q, 2)};
    unsigned char *end = orr_group_put(bytes, &group);
    memcpy(end, sqlite3_column_blob(q, 2), group.size);
    orr_field row[] = {orr_field_integer(sqlite3_column_int64(q, 1)),
                       {.type = ORR_FIELD_BLOB, .bytes = bytes, .size = (size_t)(end - bytes) + group.size},
                       {.type = ORR_FIELD_NULL}};
    sqlite3_finalize(q);
    row[2] = orr_field_integer(orr_row_checksum(row, 2));
    run_with(db, "INSERT INTO commits (fence, records, checksum) VALUES (?1, ?2, ?3)", row, 3);
    run_sql(db, "DELETE FROM journal WHERE run = 1; PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(db);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct heard {
    unsigned char bytes[1024];
    size_t used;
} heard;

static bool hear(void *ud, uint64_t seq, const void *bytes, size_t size) {
    heard *h = ud;
    assert_true(h->used + sizeof seq + size <= sizeof h->bytes);
    memcpy(h->bytes + h->used, &seq, sizeof seq);
    if (size > 0) memcpy(h->bytes + h->used + sizeof seq, bytes, size);
    h->used += sizeof seq + size;
    return true;
}

static orr_status read_run(uint32_t n, heard *h, orr_reason *reason) {
    uint8_t id[16];
    orr_store *s = place_try(ORR_STORE_LOOK, reason);
    *h = (heard){0};
    if (s == NULL) return ORR_EIO;
    place_id(id, n);
    orr_status status = orr_store_read(s, id, 0, hear, h, reason);
    orr_store_close(s);
    return status;
}

/* ---- bits in the file ------------------------------------------------------------------------ */

typedef struct image {
    unsigned char *bytes;
    size_t size;
} image;

static image read_file(void) {
    image m = {malloc(1 << 20), 0};
    FILE *f = fopen(place_path, "rb");
    assert_non_null(m.bytes);
    assert_non_null(f);
    m.size = fread(m.bytes, 1, 1 << 20, f);
    assert_true(m.size > 0 && m.size < 1 << 20);
    fclose(f);
    return m;
}

static void write_byte(size_t at, unsigned char byte) {
    FILE *f = fopen(place_path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

/* Where the bytes that a query gives stand in the file. */
static size_t find_bytes(const image *m, const char *sql, size_t *size) {
    sqlite3 *db = connect();
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    *size = (size_t)sqlite3_column_bytes(q, 0);
    const unsigned char *at = memmem(m->bytes, m->size, sqlite3_column_blob(q, 0), *size);
    assert_non_null(at);
    assert_true(*size > 8);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return (size_t)(at - m->bytes);
}

/* Flips each bit of a row, whose longest value stands at `sql`: with what SQLite keeps of it, up
 * to `before` bytes before that value and `after` behind it. Reading run 1 then gives what it
 * did, or an error that says where; at least so many bits are told of with `place`. */
static void flip_row(const char *sql, size_t before, size_t after, size_t least, const char *place) {
    heard whole, now;
    orr_reason reason;
    size_t size, named = 0, failed = 0, flips = 0;
    sqlite3 *db = connect();
    run_sql(db, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"); /* each row stands there once */
    sqlite3_close(db);
    assert_int_equal(read_run(1, &whole, &reason), ORR_OK);
    image m = read_file();
    size_t at = find_bytes(&m, sql, &size);
    for (size_t i = at - before; i < at + size + after; i++)
        for (int bit = 0; bit < 8; bit++, flips++) {
            write_byte(i, (unsigned char)(m.bytes[i] ^ 1 << bit));
            orr_status status = read_run(1, &now, &reason);
            write_byte(i, m.bytes[i]);
            bool same = now.used == whole.used && memcmp(now.bytes, whole.bytes, now.used) == 0;
            if (status == ORR_OK && !same)
                fail_msg("%s: bit %d of byte %zu is a value that looks right", place, bit, i - at);
            failed += status != ORR_OK;
            named += status != ORR_OK && strstr(reason.text, place) != NULL;
            if (status == ORR_EIO && strstr(reason.text, place_path) == NULL)
                fail_msg("no place in: %s", reason.text);
        }
    free(m.bytes);
    if (named < least)
        fail_msg("%s: of %zu flips %zu failed, %zu with their place", place, flips, failed, named);
    assert_int_equal(read_run(1, &now, &reason), ORR_OK);
}

static void journal_rows(void **state) {
    (void)state;
    make_store();
    flip_row("SELECT records FROM journal WHERE run = 1", 3, 6, 60 * 8, "of journal");
}

static void commit_rows(void **state) {
    (void)state;
    make_store();
    put_back();
    flip_row("SELECT records FROM commits", 1, 6, 60 * 8, "of commits");
}

static void run_rows(void **state) {
    (void)state;
    make_store();
    flip_row("SELECT id || workflow || state FROM runs WHERE number = 1", 0, 40, 150, "row 1 of runs");
}

/* ---- bits in columns ------------------------------------------------------------------------- */

/* Row `at` of a table as values, the last of which is its checksum. */
typedef struct row {
    orr_field values[8];
    size_t n;
    unsigned char room[8][256];
} row;

static void set_value(row *r, size_t i, const orr_field *v) {
    r->values[i] = *v;
    if (v->type < ORR_FIELD_TEXT) return;
    assert_true(v->size < sizeof r->room[i]);
    if (v->size > 0) memcpy(r->room[i], v->bytes, v->size);
    r->values[i].bytes = r->room[i];
}

static size_t bits_of(const orr_field *v) {
    return v->type == ORR_FIELD_NULL ? 0 : v->type >= ORR_FIELD_TEXT ? v->size * 8 : 64;
}

static void flip_value(row *r, size_t i, size_t bit) {
    orr_field *v = &r->values[i];
    uint64_t bits;
    switch (v->type) {
    case ORR_FIELD_INTEGER: v->integer = (int64_t)((uint64_t)v->integer ^ UINT64_C(1) << bit); break;
    case ORR_FIELD_REAL:
        memcpy(&bits, &v->real, sizeof bits);
        bits ^= UINT64_C(1) << bit;
        memcpy(&v->real, &bits, sizeof bits);
        break;
    default: r->room[i][bit / 8] ^= (unsigned char)(1 << bit % 8); break;
    }
}

/* One message a flipped bit, and each is told of as damaged; those that are whole arrive. */
static void messages(void **state) {
    static const char insert[] = "INSERT INTO inbox (id, run, name, text, dedup, time, checksum) "
                                 "VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)";
    orr_status status;
    orr_reason reason;
    orr_notice notice;
    size_t sent = 0, whole = 0, damaged = 0;
    (void)state;
    make_store();
    sqlite3 *db = connect();
    run_sql(db, "BEGIN");
    for (size_t i = 0; i < 5; i++)
        for (size_t bit = 0;; bit++) {
            row r = {.n = 5};
            char dedup[64];
            /* thrice, so that one bit makes none that is another */
            snprintf(dedup, sizeof dedup, "%zu-%zu %zu-%zu %zu-%zu", i, bit, i, bit, i, bit);
            orr_field run = orr_field_integer(1), name = orr_field_text("signal"),
                      text = orr_field_text("{\"name\":\"go\"}"), once = orr_field_text(dedup),
                      time = orr_field_real(12.75);
            const orr_field checked[] = {run, name, text, once, time};
            orr_field sum = orr_field_integer(orr_row_checksum(checked, 5));
            const orr_field *const all[] = {&name, &text, &once, &time, &sum};
            for (size_t k = 0; k < 5; k++) set_value(&r, k, all[k]);
            if (bit >= bits_of(&r.values[i])) break;
            if (i == 3 && bit >= 52) break; /* a time that is none is NULL, which the table refuses */
            flip_value(&r, i, bit);
            orr_field values[6] = {orr_field_integer((int64_t)++sent)};
            memcpy(values + 1, r.values, 5 * sizeof *values);
            run_with(db, insert, values, 6);
        }
    run_sql(db, "COMMIT");
    sqlite3_close(db);
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_claim(s, 1, false, &status, &reason);
    assert_non_null(j);
    uint8_t id[16];
    place_id(id, 1);
    assert_int_equal(orr_store_send(s, id, "signal", "{}", "whole", &reason), ORR_OK);
    for (int tries = 0; tries < 60000 && damaged + whole < sent + 1; tries++) {
        while (orr_store_notice(s, &notice)) {
            whole += notice.kind == ORR_NOTICE_MESSAGE;
            damaged += notice.kind == ORR_NOTICE_DAMAGED;
            if (notice.kind == ORR_NOTICE_MESSAGE) assert_string_equal(notice.text, "{}");
            if (notice.kind == ORR_NOTICE_DAMAGED) assert_non_null(strstr(notice.text, "of inbox, of run "));
        }
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    assert_int_equal(whole, 1);
    assert_int_equal(damaged, sent);
    orr_store_release(j, true);
    orr_store_close(s);
}

/* A run cannot be taken while what is known of its owner is not what was written. */
static void owners(void **state) {
    static const char *const columns[] = {"pid", "host", "command", "started", "checksum"};
    orr_status status;
    orr_reason reason;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    make_run(s, 1, 2);
    orr_store_close(s);
    s = place_open(ORR_STORE_OWN);
    sqlite3 *db = connect();
    run_sql(db, "PRAGMA synchronous = OFF");
    for (size_t i = 0; i < 5; i++) {
        char get[96], set[96];
        sqlite3_stmt *q;
        row r = {.n = 1};
        snprintf(get, sizeof get, "SELECT %s FROM owners WHERE id = 1", columns[i]);
        snprintf(set, sizeof set, "UPDATE owners SET %s = ?1 WHERE id = 1", columns[i]);
        assert_int_equal(sqlite3_prepare_v2(db, get, -1, &q, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(q), SQLITE_ROW);
        orr_field v = orr_sql_column(q, 0);
        set_value(&r, 0, &v);
        sqlite3_finalize(q);
        for (size_t bit = 0; bit < bits_of(&v) && bit < 160; bit += i == 4 ? 1 : 3) {
            if (v.type == ORR_FIELD_REAL && bit >= 52) break;
            flip_value(&r, 0, bit);
            run_with(db, set, r.values, 1);
            assert_null(place_claim(s, 1, false, &status, &reason));
            assert_int_equal(status, ORR_EIO);
            assert_non_null(strstr(reason.text, "row 1 of owners"));
            flip_value(&r, 0, bit);
        }
        run_with(db, set, r.values, 1);
    }
    sqlite3_close(db);
    orr_journal *j = place_claim(s, 1, false, &status, &reason);
    assert_non_null(j);
    orr_store_release(j, true);
    orr_store_close(s);
}

/* ---- code and large values ------------------------------------------------------------------- */

static bool take_any(void *ud, const orr_field *values, size_t n) {
    (void)values, (void)n;
    ++*(int *)ud;
    return true;
}

static orr_status get(orr_store *s, orr_row_kind kind, const char *key, int *rows, orr_reason *reason) {
    *rows = 0;
    return orr_store_get(s, kind, key, take_any, rows, reason);
}

static void named_by_content(void **state) {
    /* of "abc": FIPS 180-4, the first example */
    static const char hash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    orr_field blob[] = {orr_field_text(hash), orr_field_text("abc")};
    orr_field module[] = {orr_field_text("b"), orr_field_text("m"), orr_field_text("m.lua"),
                          orr_field_text("return 1")};
    orr_reason reason;
    int rows;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_int_equal(orr_store_put(s, ORR_ROW_BLOB, blob, 2), ORR_OK);
    assert_int_equal(orr_store_put(s, ORR_ROW_MODULE, module, 4), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(get(s, ORR_ROW_BLOB, hash, &rows, &reason), ORR_OK);
    assert_int_equal(rows, 1);
    assert_int_equal(get(s, ORR_ROW_MODULE, "b", &rows, &reason), ORR_OK);
    assert_int_equal(rows, 1);
    sqlite3 *db = connect();
    run_sql(db, "UPDATE blobs SET data = 'abb'; UPDATE modules SET source = 'return 0'");
    sqlite3_close(db);
    assert_int_equal(get(s, ORR_ROW_BLOB, hash, &rows, &reason), ORR_EIO);
    assert_int_equal(rows, 0);
    assert_non_null(strstr(reason.text, hash));
    assert_int_equal(get(s, ORR_ROW_MODULE, "b", &rows, &reason), ORR_EIO);
    assert_int_equal(rows, 0);
    assert_non_null(strstr(reason.text, place_path));
    orr_store_close(s);
}

/* ---- what becomes of it ---------------------------------------------------------------------- */

/* The tables say it of the run, and of no other. */
static void tables_say_it(void **state) {
    orr_reason reason;
    (void)state;
    make_store();
    sqlite3 *db = connect();
    run_sql(db, "UPDATE journal SET records = CAST(records || x'00' AS BLOB) WHERE run = 1");
    orr_sink *sink = orr_sqlite_sink_new(db);
    orr_projector *p = orr_projector_new(sink);
    assert_non_null(p);
    run_sql(db, "BEGIN");
    assert_int_equal(orr_project_anew(p), ORR_OK);
    run_sql(db, "COMMIT");
    orr_projector_free(p);
    orr_sqlite_sink_free(sink);
    sqlite3_close(db);
    orr_store *s = place_try(ORR_STORE_LOOK, &reason);
    assert_non_null(s);
    assert_int_equal(place_number(s, "SELECT number FROM runs WHERE json_extract(error, '$.code') = "
                                     "'damaged_journal' AND error LIKE '%in row 1, which is damaged%'"),
                     1);
    assert_int_equal(place_number(s, "SELECT seq FROM runs WHERE number = 2"), 3);
    orr_store_close(s);
}

/* A commit that was damaged before it was sorted by run: a run that may miss something says so, one
 * that has its end goes on. */
static void lost_commit(void **state) {
    unsigned char end[256];
    heard h;
    orr_reason reason;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    make_run(s, 1, 4);
    make_run(s, 2, 2);
    orr_journal *j = place_create(s, 3);
    assert_int_equal(place_append(j, 1), ORR_OK);
    orr_entry e = {.record = {.kind = ORR_REC_RUN_ENDED,
                              .seq = 2,
                              .time = 2,
                              .task = {ORR_NONE, ORR_NONE, 0, 0},
                              .port = ORR_PORT_ANY,
                              .reason = ORR_RUN_COMPLETED}};
    assert_int_equal(orr_store_append(j, 2, end, orr_entry_encode(&e, end)), ORR_OK);
    orr_store_release(j, true);
    orr_store_close(s);
    put_back();
    sqlite3 *db = connect();
    run_sql(db, "UPDATE commits SET records = CAST(records || x'00' AS BLOB)");
    sqlite3_close(db);
    assert_int_equal(read_run(2, &h, &reason), ORR_EIO);
    assert_non_null(strstr(reason.text, "of commits, which may be of run "));
    s = place_open(ORR_STORE_OWN);
    assert_int_equal(orr_store_project(s, &reason), ORR_OK);
    assert_int_equal(place_number(s, "SELECT count(*) FROM commits"), 0);
    assert_int_equal(place_number(s, "SELECT count(*) FROM journal WHERE run = 0 AND checksum = 0"), 1);
    orr_store_close(s);
    assert_int_equal(read_run(1, &h, &reason), ORR_EIO);
    assert_int_equal(read_run(2, &h, &reason), ORR_EIO);
    assert_non_null(strstr(reason.text, "of journal, which may be of run "));
    assert_int_equal(read_run(3, &h, &reason), ORR_OK);
}

/* Who moves a run to other code gives it the checksum of what it is then. */
static void changes_are_meant(void **state) {
    orr_statement change = {"UPDATE runs SET bundle = 'b2' WHERE number = 1", NULL, 0};
    orr_reason reason;
    int64_t changed;
    heard h;
    (void)state;
    make_store();
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_int_equal(orr_store_execute(s, &change, 1, &changed, &reason), ORR_OK);
    assert_int_equal(changed, 1);
    orr_store_close(s);
    assert_int_equal(read_run(1, &h, &reason), ORR_OK);
    sqlite3 *db = connect();
    run_sql(db, "UPDATE runs SET bundle = 'b3' WHERE number = 1");
    sqlite3_close(db);
    assert_int_equal(read_run(1, &h, &reason), ORR_EIO);
}

/* A store of the version before goes on: its rows have no checksum, those that come have one. */
static void version_two(void **state) {
    orr_status status;
    orr_reason reason;
    heard h;
    (void)state;
    make_store();
    sqlite3 *db = connect();
    run_sql(db, PLACE_UNDO_4
            "ALTER TABLE commits DROP COLUMN checksum; ALTER TABLE journal DROP COLUMN checksum; "
            "ALTER TABLE runs DROP COLUMN checksum; ALTER TABLE inbox DROP COLUMN checksum; "
            "ALTER TABLE owners DROP COLUMN checksum; ALTER TABLE modules DROP COLUMN checksum; "
            "PRAGMA user_version = 2");
    sqlite3_close(db);
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_int_equal(place_last(s, 1), 6);
    orr_journal *j = place_claim(s, 1, false, &status, &reason);
    assert_non_null(j);
    assert_int_equal(place_append(j, 7), ORR_OK);
    orr_store_release(j, false);
    make_run(s, 3, 2);
    orr_store_close(s);
    s = place_open(ORR_STORE_LOOK);
    assert_int_equal(place_last(s, 1), 7);
    assert_int_equal(place_last(s, 3), 2);
    assert_int_equal(place_number(s, "SELECT count(*) FROM journal WHERE checksum IS NULL"), 2);
    assert_int_equal(place_number(s, "SELECT count(*) FROM journal WHERE checksum IS NOT NULL"), 2);
    assert_int_equal(place_number(s, "SELECT count(*) FROM runs WHERE checksum IS NULL"), 2);
    orr_store_close(s);
    db = connect();
    run_sql(db, "UPDATE journal SET fence = fence + 1 WHERE checksum IS NOT NULL");
    sqlite3_close(db);
    assert_int_equal(read_run(2, &h, &reason), ORR_OK);
    assert_int_equal(read_run(1, &h, &reason), ORR_EIO);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_of_the_standard),
        cmocka_unit_test(checksum_without_the_instruction),
        TEST(journal_rows),
        TEST(commit_rows),
        TEST(run_rows),
        TEST(messages),
        TEST(owners),
        TEST(named_by_content),
        TEST(tables_say_it),
        TEST(lost_commit),
        TEST(changes_are_meant),
        TEST(version_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
