/* disk_limits.c - the limits of durable steps: how fast SQLite and the disk are for a program that
 * does nothing else.
 *
 * usage: disk_limits FILE commits STEPS STEPS_A_COMMIT
 *            a row a step, so many rows a transaction, each transaction on disk
 *        disk_limits FILE append STEPS
 *            4 KiB written at the end, and fdatasync
 *        disk_limits FILE overwrite STEPS
 *            4 KiB written over the same place, and fdatasync
 * FILE and the files SQLite keeps beside it are removed first. Pragmas and checkpoints are those of
 * the store (WAL, synchronous=FULL, the log is written back each 1,024 pages of 4 KiB). Prints
 * steps, seconds, cpu and peak_rss.
 */
#include "sample.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>

enum { BLOCK = 4096, WAL_PAGES = 1024 };

static const char PRAGMAS[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; "
    "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF";
static const char TABLE[] =
    "CREATE TABLE steps(run INTEGER, step INTEGER, state TEXT, output TEXT, PRIMARY KEY(run, step)) "
    "WITHOUT ROWID";

static double cpu_time(const struct rusage *usage) {
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "disk_limits: %s: %s\n", what, why);
    exit(1);
}

static void do_sql(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail(sql, sqlite3_errmsg(db));
}

/* Called after each commit with the pages in the log. */
static int on_commit(void *ud, sqlite3 *db, const char *name, int pages) {
    (void)ud;
    return pages < WAL_PAGES ? SQLITE_OK
                             : sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static sqlite3 *open_database(const char *path) {
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK) fail(path, sqlite3_errmsg(db));
    do_sql(db, PRAGMAS);
    do_sql(db, TABLE);
    sqlite3_wal_hook(db, on_commit, NULL);
    return db;
}

static void insert_step(sqlite3 *db, sqlite3_stmt *insert, long i) {
    sqlite3_bind_int64(insert, 1, i / 10);
    sqlite3_bind_int64(insert, 2, i % 10);
    sqlite3_bind_text(insert, 3, "completed", -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 4, "{\"value\":1}", -1, SQLITE_STATIC);
    if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)
        fail("INSERT", sqlite3_errmsg(db));
}

/* Statements are prepared once, so that as little as possible is SQLite's work and as much as
 * possible the disk's. */
static double commits(const char *path, long steps, long each) {
    sqlite3 *db = open_database(path);
    const char *sql[] = {"INSERT INTO steps VALUES (?, ?, ?, ?)", "BEGIN IMMEDIATE", "COMMIT"};
    sqlite3_stmt *q[3];
    for (int i = 0; i < 3; i++)
        if (sqlite3_prepare_v2(db, sql[i], -1, &q[i], NULL) != SQLITE_OK) fail(sql[i], sqlite3_errmsg(db));
    double start = sample_time();
    for (long done = 0; done < steps;) {
        if (sqlite3_step(q[1]) != SQLITE_DONE || sqlite3_reset(q[1]) != SQLITE_OK)
            fail(sql[1], sqlite3_errmsg(db));
        for (long i = 0; i < each && done < steps; i++) insert_step(db, q[0], done++);
        if (sqlite3_step(q[2]) != SQLITE_DONE || sqlite3_reset(q[2]) != SQLITE_OK)
            fail(sql[2], sqlite3_errmsg(db));
    }
    double seconds = sample_time() - start;
    for (int i = 0; i < 3; i++) sqlite3_finalize(q[i]);
    sqlite3_close(db);
    return seconds;
}

static double flushes(const char *path, long steps, off_t stride) {
    static char block[BLOCK];
    memset(block, 'x', sizeof block);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, block, sizeof block, 0) != BLOCK || fsync(fd) != 0)
        fail(path, "cannot be written");
    double start = sample_time();
    for (long i = 0; i < steps; i++)
        if (pwrite(fd, block, sizeof block, (off_t)i * stride) != BLOCK || fdatasync(fd) != 0)
            fail(path, "cannot be flushed");
    double seconds = sample_time() - start;
    close(fd);
    return seconds;
}

static void remove_files(const char *path) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[4096];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

int main(int argc, char **argv) {
    long steps = argc > 3 ? strtol(argv[3], NULL, 10) : 0, each = argc > 4 ? strtol(argv[4], NULL, 10) : 1;
    if (steps < 1 || each < 1) {
        fprintf(stderr, "usage: disk_limits FILE commits|append|overwrite STEPS [STEPS_A_COMMIT]\n");
        return 2;
    }
    struct rusage before, after;
    remove_files(argv[1]);
    getrusage(RUSAGE_SELF, &before);
    double seconds = strcmp(argv[2], "commits") == 0
                         ? commits(argv[1], steps, each)
                         : flushes(argv[1], steps, strcmp(argv[2], "append") == 0 ? BLOCK : 0);
    getrusage(RUSAGE_SELF, &after);
    remove_files(argv[1]);
    sample_say("steps", (double)steps);
    sample_say("seconds", seconds);
    sample_say("cpu", cpu_time(&after) - cpu_time(&before));
    sample_say("peak_rss", (double)after.ru_maxrss * 1024);
    return 0;
}
