/* test_sqlite.c - what the store in a file adds to being a store: it outlives its process, and
 * shares its file with others. */
#include "chance.h"
#include "place.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Waits up to half a minute for a notice. */
static bool notice(orr_store *s, orr_notice *n) {
    for (int i = 0; i < 6000; i++) {
        if (orr_store_notice(s, n)) return true;
        usleep(5000);
    }
    return false;
}

/* Runs `body` in a process of its own, which tells by a pipe. */
static pid_t start(void (*body)(int out), int *in) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        body(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    *in = ends[0];
    return pid;
}

static int finish(pid_t pid, int in) {
    int status = 0;
    close(in);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static uint64_t hear(int in) {
    uint64_t word = 0;
    return read(in, &word, sizeof word) == (ssize_t)sizeof word ? word : 0;
}

static void say(int out, uint64_t word) {
    if (write(out, &word, sizeof word) != (ssize_t)sizeof word) _exit(9);
}

/* ---- what outlives the process --------------------------------------------------------------- */

static void comes_back(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    for (uint64_t seq = 1; seq <= 1000; seq++) place_append(j, seq);
    orr_store_release(j, false);
    orr_store_close(s); /* which submits */
    s = place_open(ORR_STORE_LOOK);
    assert_int_equal(place_last(s, 1), 1000);
    assert_int_equal(place_number(s, "SELECT count(*) FROM owners WHERE ended IS NULL"), 0);
    assert_int_equal(place_number(s, "SELECT count(*) FROM journal"), 1);
    assert_int_equal(place_number(s, "SELECT count(*) FROM workflows WHERE name = 'w' AND first = 1e-9"), 1);
    orr_store_close(s);
}

/* Appends to two runs in step, forever; tells what is durable. */
static void write_pairs(int out) {
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j[2];
    orr_reason reason;
    orr_status status;
    for (uint32_t n = 0; n < 2; n++) {
        j[n] = place_claim(s, n + 1, false, &status, &reason);
        if (j[n] == NULL) j[n] = place_create(s, n + 1);
    }
    for (uint64_t seq = place_last(s, 1) + 1;; seq++) {
        place_append(j[0], seq);
        place_append(j[1], seq);
        orr_store_submit(s, true);
        if (seq % 4 == 0 && orr_store_sync(s) == ORR_OK) say(out, seq);
    }
}

/* A submit is whole or not there, and what was durable is there. */
static void survives_kills(void **state) {
    enum { KILLS = 150 };
    chance c = chance_begin("kills of a writing process");
    uint64_t told = 0;
    (void)state;
    for (int i = 0; i < KILLS; i++) {
        int in;
        pid_t pid = start(write_pairs, &in);
        uint64_t first = hear(in);
        assert_true(first > told);
        told = first;
        usleep(chance_below(&c, 6000));
        kill(pid, SIGKILL);
        for (uint64_t word; (word = hear(in)) != 0;) told = word;
        assert_true(WIFSIGNALED(finish(pid, in)));
        orr_store *s = place_open(ORR_STORE_LOOK);
        uint64_t last = place_last(s, 1);
        assert_true(last >= told);
        assert_int_equal(place_last(s, 2), last);
        orr_store_close(s);
    }
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_int_equal(place_number(s, "SELECT count(*) FROM owners WHERE ended IS NULL AND lost = 0"), 0);
    /* what the dead left behind; the writer would do it in its time */
    assert_int_equal(orr_store_project(s, &(orr_reason){""}), ORR_OK);
    assert_int_equal(place_number(s, "SELECT (SELECT count(*) FROM commits) + (SELECT count(*) FROM journal "
                                     "WHERE id > (SELECT value FROM meta "
                                     "WHERE name = 'projected'))"),
                     0);
    orr_store_close(s);
}

/* Commits one by one, and tells how long the log is after each tenth. */
static void fill_the_log(int out) {
    char log[128];
    struct stat st;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    snprintf(log, sizeof log, "%s-wal", place_path);
    for (uint64_t seq = 1;; seq++) {
        place_append(j, seq);
        if (orr_store_sync(s) == ORR_OK && seq % 10 == 0)
            say(out, stat(log, &st) == 0 ? (uint64_t)st.st_size : 0);
    }
}

/* The log grows in a few steps and not with each commit, and what is ahead of the commits is
 * nothing to who reads it after a kill. */
static void log_is_ahead(void **state) {
    int in;
    uint64_t size = 0, steps = 0, tens = 0;
    (void)state;
    pid_t pid = start(fill_the_log, &in);
    for (; tens < 40; tens++) {
        uint64_t now = hear(in);
        steps += tens > 12 && now != size; /* from 64 pages on */
        size = now;
    }
    assert_true(steps < 5);
    kill(pid, SIGKILL);
    assert_true(WIFSIGNALED(finish(pid, in)));
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_true(place_last(s, 1) >= tens * 10);
    orr_store_close(s);
}

static void crash_at_five(int out, const char *when) {
    setenv("ORRERY_CRASH", when, 1);
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    for (uint64_t seq = 1;; seq++) {
        place_append(j, seq);
        say(out, orr_store_sync(s) == ORR_OK ? seq : 0);
    }
}

static void crash_before(int out) {
    crash_at_five(out, "5");
}

static void crash_after(int out) {
    crash_at_five(out, "5:after");
}

static void crashes_where_told(void **state) {
    (void)state;
    for (int after = 0; after < 2; after++) {
        int in;
        uint64_t told = 0;
        pid_t pid = start(after ? crash_after : crash_before, &in);
        for (uint64_t word; (word = hear(in)) != 0;) told = word;
        assert_true(WIFSIGNALED(finish(pid, in)));
        orr_store *s = place_open(ORR_STORE_LOOK);
        assert_int_equal(told, 4);
        assert_int_equal(place_last(s, 1), after ? 5 : 4);
        orr_store_close(s);
        assert_int_equal(place_remove(NULL), 0);
        assert_int_equal(place_make(NULL), 0);
    }
}

static void groups_commits(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j[50];
    for (uint32_t n = 0; n < 50; n++) j[n] = place_create(s, n + 1);
    for (uint64_t seq = 1; seq <= 20; seq++)
        for (uint32_t n = 0; n < 50; n++) place_append(j[n], seq);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(
        place_number(
            s, "SELECT (SELECT count(*) FROM commits) + (SELECT count(DISTINCT run) FROM journal) / 50"),
        1);
    for (uint32_t n = 0; n < 50; n++) orr_store_release(j[n], true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(place_number(s, "SELECT count(*) FROM runs WHERE owner IS NOT NULL"), 0);
    orr_store_close(s);
}

/* ---- other processes ------------------------------------------------------------------------- */

static void own_and_wait(int out) {
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    orr_notice n;
    place_append(j, 1);
    say(out, orr_store_sync(s) == ORR_OK);
    for (uint64_t seq = 2;; seq++) {
        place_append(j, seq);
        orr_store_submit(s, true);
        while (orr_store_notice(s, &n))
            if (n.kind == ORR_NOTICE_LOST) {
                say(out, 77);
                orr_store_release(j, true);
                orr_store_close(s);
                _exit(7);
            }
        usleep(5000);
    }
}

static void respects_the_living(void **state) {
    int in;
    orr_reason reason;
    char pid_text[32];
    orr_status status;
    uint8_t id[16];
    (void)state;
    pid_t pid = start(own_and_wait, &in);
    assert_int_equal(hear(in), 1);
    orr_store *s = place_open(ORR_STORE_OWN);
    assert_null(place_claim(s, 1, false, &status, &reason));
    assert_int_equal(status, ORR_ESTATE);
    snprintf(pid_text, sizeof pid_text, "process %d ", (int)pid);
    assert_non_null(strstr(reason.text, pid_text));
    place_id(id, 1);
    assert_int_equal(orr_store_drop(s, id), ORR_ESTATE);
    kill(pid, SIGKILL);
    finish(pid, in);
    uint64_t last = place_last(s, 1);
    orr_journal *j = place_claim(s, 1, false, &status, &reason);
    assert_non_null(j);
    assert_int_equal(place_append(j, last + 1), ORR_OK);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(place_last(s, 1), last + 1);
    orr_store_release(j, true);
    orr_store_close(s);
}

/* Whether every thread of the process has stopped: one that waits for the disk does so later. */
static bool is_stopped(pid_t pid) {
    char path[sizeof((struct dirent *)NULL)->d_name + 64], state;
    struct dirent *task;
    bool stopped = true;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    while (stopped && (task = readdir(tasks)) != NULL) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid, task->d_name);
        FILE *stat = fopen(path, "r");
        stopped = stat != NULL && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1 && state == 'T';
        if (stat != NULL) fclose(stat);
    }
    closedir(tasks);
    return stopped;
}

/* Stops the process; whether it was stopped while it held the commit lock. */
static bool stops_in_a_commit(pid_t pid) {
    char lock_path[128];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 2};
    snprintf(lock_path, sizeof lock_path, "%s-lock", place_path);
    kill(pid, SIGSTOP);
    while (!is_stopped(pid)) usleep(1000);
    int fd = open(lock_path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
    close(fd);
    return lock.l_type != F_UNLCK;
}

static void fences_the_stopped(void **state) {
    int in;
    orr_reason reason;
    orr_status status;
    (void)state;
    pid_t pid = start(own_and_wait, &in);
    assert_int_equal(hear(in), 1);
    orr_store *s = place_open(ORR_STORE_OWN);
    /* one stopped in a commit would be waited for in vain */
    while (stops_in_a_commit(pid)) {
        kill(pid, SIGCONT);
        usleep(3000);
    }
    orr_journal *j = place_claim(s, 1, true, &status, &reason);
    assert_non_null(j);
    uint64_t last = place_last(s, 1);
    place_append(j, last + 1);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    kill(pid, SIGCONT);
    assert_int_equal(hear(in), 77);
    assert_int_equal(WEXITSTATUS(finish(pid, in)), 7);
    assert_int_equal(place_last(s, 1), last + 1);
    orr_store_release(j, true);
    orr_store_close(s);
}

static void take_messages(int out) {
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_status status;
    orr_reason reason;
    orr_journal *j = place_claim(s, 1, false, &status, &reason);
    orr_notice n;
    if (j == NULL) j = place_create(s, 1);
    uint64_t seq = place_last(s, 1);
    place_append(j, ++seq);
    say(out, orr_store_sync(s) == ORR_OK);
    for (;;) {
        if (!notice(s, &n) || n.kind != ORR_NOTICE_MESSAGE) continue;
        orr_field taken = {.type = ORR_FIELD_INTEGER, .integer = n.message};
        orr_field log[] = {
            {.type = ORR_FIELD_BLOB, .bytes = n.run, .size = 16},
            {0},
            {0},
            {0},
            {0},
            {0},
            {0},
            {.type = ORR_FIELD_TEXT, .bytes = n.text, .size = strlen(n.text)},
            {0},
        };
        orr_store_put(s, ORR_ROW_TAKEN, &taken, 1);
        orr_store_put(s, ORR_ROW_LOG, log, 9);
        place_append(j, ++seq);
        orr_store_submit(s, true);
    }
}

/* Each message has its effect, once, however often the process dies. */
static void messages_count_once(void **state) {
    enum { KILLS = 25, EACH = 8 };
    chance c = chance_begin("kills of a process that takes messages");
    char text[32];
    orr_reason reason = {""};
    uint8_t id[16];
    uint32_t sent = 0;
    (void)state;
    place_id(id, 1);
    for (int i = 0; i <= KILLS; i++) {
        int in;
        pid_t pid = start(take_messages, &in);
        assert_int_equal(hear(in), 1);
        orr_store *s = place_open(ORR_STORE_LOOK);
        for (int k = 0; k < EACH && i < KILLS; k++) {
            snprintf(text, sizeof text, "%u", sent++);
            assert_int_equal(orr_store_send(s, id, "n", text, NULL, &reason), ORR_OK);
            usleep(chance_below(&c, 8000));
        }
        for (int k = 0; k < 6000 && i == KILLS && place_number(s, "SELECT count(*) FROM inbox") > 0; k++)
            usleep(5000);
        kill(pid, SIGKILL);
        finish(pid, in);
        orr_store_close(s);
    }
    orr_store *s = place_open(ORR_STORE_LOOK);
    assert_int_equal(place_number(s, "SELECT count(*) FROM logs"), KILLS * EACH);
    assert_int_equal(place_number(s, "SELECT count(DISTINCT message) FROM logs"), KILLS * EACH);
    orr_store_close(s);
}

/* ---- disks that fail ------------------------------------------------------------------------- */

/* Something fails and works again: nothing is lost, nothing is there twice. */
static void fails_and_works(orr_store *s, orr_journal *j, void (*repair)(void)) {
    orr_notice n;
    assert_int_equal(orr_store_sync(s), ORR_EIO);
    assert_true(notice(s, &n));
    assert_int_equal(n.kind, ORR_NOTICE_FAILED);
    assert_non_null(strstr(n.text, place_path));
    assert_true(orr_store_durable(s) < orr_store_ticket(s));
    assert_int_equal(place_append(j, 12), ORR_OK);
    orr_store_submit(s, true);
    repair();
    assert_true(notice(s, &n));
    assert_int_equal(n.kind, ORR_NOTICE_WORKS);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_int_equal(place_last(s, 1), 12);
}

static orr_store *with_ten(orr_journal **j) {
    orr_store *s = place_open(ORR_STORE_OWN);
    *j = place_create(s, 1);
    for (uint64_t seq = 1; seq <= 10; seq++) place_append(*j, seq);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    return s;
}

static void limit_files(rlim_t size) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void unlimit(void) {
    limit_files(RLIM_INFINITY);
}

static void full_disk(void **state) {
    orr_journal *j;
    (void)state;
    orr_store *s = with_ten(&j);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    limit_files(4096);
    place_append(j, 11);
    fails_and_works(s, j, unlimit);
    signal(SIGXFSZ, before);
    orr_store_release(j, true);
    orr_store_close(s);
}

static void move(const char *from, const char *to) {
    char a[128], b[128];
    snprintf(a, sizeof a, "%s%s", place_directory, from);
    snprintf(b, sizeof b, "%s%s", place_directory, to);
    assert_int_equal(rename(a, b), 0);
}

static void put_back(void) {
    move(".gone", "");
}

static void deleted_directory(void **state) {
    orr_journal *j;
    (void)state;
    orr_store *s = with_ten(&j);
    move("", ".gone");
    place_append(j, 11);
    fails_and_works(s, j, put_back);
    orr_store_release(j, true);
    orr_store_close(s);
}

static void write_file(const char *bytes, size_t size, long at) {
    FILE *f = fopen(place_path, at < 0 ? "w" : "r+");
    assert_non_null(f);
    if (at >= 0) fseek(f, at, SEEK_SET);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static void refused(orr_store_mode mode, const char *expected) {
    orr_reason reason;
    assert_null(place_try(mode, &reason));
    if (strstr(reason.text, expected) == NULL) print_error("expected '%s' in: %s\n", expected, reason.text);
    assert_non_null(strstr(reason.text, expected));
    assert_non_null(strstr(reason.text, place_path));
}

static void damaged_files(void **state) {
    orr_journal *j;
    char junk[8192];
    (void)state;
    memset(junk, 'x', sizeof junk);
    refused(ORR_STORE_LOOK, "there is no store");
    write_file("", 0, -1);
    refused(ORR_STORE_LOOK, "is empty");
    write_file(junk, sizeof junk, -1);
    refused(ORR_STORE_OWN, "no SQLite database");
    refused(ORR_STORE_LOOK, "restore a backup");
    assert_int_equal(unlink(place_path), 0);
    orr_store *s = with_ten(&j);
    orr_store_release(j, true);
    orr_store_close(s);
    assert_int_equal(truncate(place_path, 5000), 0);
    refused(ORR_STORE_OWN, "damaged");
}

static void change_file(const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void strange_files(void **state) {
    (void)state;
    change_file("CREATE TABLE t (a)");
    refused(ORR_STORE_OWN, "another program");
    assert_int_equal(unlink(place_path), 0);
    orr_store_close(place_open(ORR_STORE_OWN));
    change_file("PRAGMA user_version = 99");
    refused(ORR_STORE_OWN, "version 99");
    refused(ORR_STORE_LOOK, "up to 7");
}

/* Root may write everywhere, so root becomes somebody else for this. */
static void read_only(void **state) {
    enum { NOBODY = 65534 };
    uid_t me = geteuid();
    (void)state;
    orr_store_close(place_open(ORR_STORE_OWN));
    if (me == 0) {
        char command[128];
        snprintf(command, sizeof command, "chown -R %d '%s'", NOBODY, place_directory);
        assert_int_equal(system(command), 0);
        assert_int_equal(seteuid(NOBODY), 0);
    }
    assert_int_equal(chmod(place_path, 0400), 0);
    refused(ORR_STORE_OWN, "read-only");
    assert_int_equal(unlink(place_path), 0);
    assert_int_equal(chmod(place_directory, 0500), 0);
    refused(ORR_STORE_OWN, "cannot be made");
    assert_int_equal(chmod(place_directory, 0700), 0);
    assert_int_equal(seteuid(me), 0);
}

static void network_file_systems(void **state) {
    (void)state;
    assert_string_equal(orr_sqlite_network(0x6969), "NFS");
    assert_string_equal(orr_sqlite_network(0xff534d42), "CIFS");
    assert_non_null(orr_sqlite_network(0x65735546));
    assert_null(orr_sqlite_network(0xef53));     /* ext4 */
    assert_null(orr_sqlite_network(0x01021994)); /* tmpfs */
}

/* ---- tables ---------------------------------------------------------------------------------- */

static bool take_any(void *ud, const orr_field *values, size_t n) {
    (void)ud, (void)values, (void)n;
    return true;
}

static void queries_only_read(void **state) {
    static const char *const wrong[] = {
        "DELETE FROM runs", "PRAGMA user_version = 3",  "ATTACH 'x' AS x", "SELECT 1; SELECT 2", "",
        "SELEKT",           "SELECT nothing FROM runs", "SELECT ?1"};
    orr_reason reason;
    int64_t n = 0;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        orr_statement statement = {wrong[i], NULL, 0};
        orr_store_reader reader = {.row = take_any};
        assert_int_equal(orr_store_select(s, &statement, &reader, &reason), ORR_EINVAL);
        assert_true(reason.text[0] != '\0');
    }
    orr_field name = {.type = ORR_FIELD_TEXT, .bytes = "db", .size = 2};
    orr_statement good = {"INSERT INTO pools (name, paused) VALUES (?1, 1)", &name, 1},
                  bad = {"INSERT INTO nowhere VALUES (1)", NULL, 0};
    assert_int_equal(orr_store_execute(s, &good, 1, &n, &reason), ORR_OK);
    assert_int_equal(n, 1);
    orr_statement both[] = {{"DELETE FROM pools", NULL, 0}, bad};
    assert_int_equal(orr_store_execute(s, both, 2, &n, &reason), ORR_EINVAL);
    assert_int_equal(n, 0);
    assert_int_equal(place_number(s, "SELECT count(*) FROM pools WHERE paused = 1"), 1);
    orr_store_close(s);
}

static void tables_follow(void **state) {
    orr_journal *j;
    (void)state;
    orr_store *s = with_ten(&j);
    int64_t behind = -1;
    for (int i = 0; i < 200 && behind != 0; i++) {
        usleep(5000);
        behind = place_number(s, "SELECT (SELECT count(*) FROM commits) + (SELECT count(*) FROM journal "
                                 "WHERE id > (SELECT value FROM meta "
                                 "WHERE name = 'projected'))");
    }
    assert_int_equal(behind, 0);
    orr_store_release(j, true);
    orr_store_close(s);
}

static void backs_up_while_written(void **state) {
    char copy[128];
    orr_reason reason = {""};
    int in;
    (void)state;
    pid_t pid = start(write_pairs, &in);
    uint64_t told = hear(in);
    orr_store *s = place_open(ORR_STORE_LOOK);
    snprintf(copy, sizeof copy, "%s/copy.db", place_directory);
    assert_int_equal(orr_store_backup(s, copy, &reason), ORR_OK);
    /* nothing is overwritten */
    assert_int_equal(orr_store_backup(s, copy, &reason), ORR_ESTATE);
    orr_store_close(s);
    kill(pid, SIGKILL);
    finish(pid, in);
    snprintf(place_path, sizeof place_path, "%s/copy.db", place_directory);
    s = place_open(ORR_STORE_OWN);
    assert_true(place_last(s, 1) >= told);
    assert_int_equal(place_last(s, 2), place_last(s, 1));
    orr_store_close(s);
}

/* ---- one connection for two threads ---------------------------------------------------------- */

typedef struct visiting {
    orr_store *store;
    orr_journal *journal;
    size_t rows;
} visiting;

/* Has the writer start in the middle of reading, and work while the reading goes on. */
static bool begin_a_run(void *ud, const orr_field *values, size_t n) {
    visiting *v = ud;
    (void)values, (void)n;
    if (v->rows++ == 0) {
        v->journal = place_create(v->store, 3);
        place_append(v->journal, 1);
        assert_int_equal(orr_store_sync(v->store), ORR_OK);
    }
    return true;
}

static void writer_starts_while_one_reads(void **state) {
    static const orr_statement runs = {"SELECT id FROM runs ORDER BY number", NULL, 0};
    orr_reason reason;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    for (uint32_t run = 1; run <= 2; run++) {
        orr_journal *j = place_create(s, run);
        place_append(j, 1);
        orr_store_release(j, true);
    }
    orr_store_close(s);
    visiting v = {.store = s = place_open(ORR_STORE_OWN)};
    orr_store_reader reader = {.row = begin_a_run, .ud = &v};
    assert_int_equal(orr_store_select(s, &runs, &reader, &reason), ORR_OK);
    assert_int_equal(v.rows, 2); /* as they were when it began */
    assert_int_equal(place_number(s, "SELECT count(*) FROM runs"), 3);
    orr_store_release(v.journal, true);
    orr_store_close(s);
}

/* Once a store has been open for a moment, who reads needs the name of the file no more. */
static void reads_on_without_the_name(void **state) {
    static const orr_statement runs = {"SELECT id FROM runs", NULL, 0};
    orr_store_reader reader = {.row = take_any};
    orr_status status = ORR_EIO;
    orr_reason reason;
    orr_journal *j;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    j = place_create(s, 1);
    place_append(j, 1);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    for (int i = 0; i < 600 && status != ORR_OK; i++) {
        usleep(50000);
        move("", ".gone");
        status = orr_store_select(s, &runs, &reader, &reason);
        put_back();
    }
    assert_int_equal(status, ORR_OK);
    place_append(j, 2);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    orr_store_release(j, true);
    orr_store_close(s);
}

/* Where it has not been open for so long, it says so, and can do it as soon as the name is back. */
static void says_that_the_name_is_gone(void **state) {
    static const orr_statement runs = {"SELECT id FROM runs", NULL, 0};
    orr_store_reader reader = {.row = take_any};
    orr_reason reason = {""};
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    place_append(j, 1);
    orr_store_submit(s, true);                   /* which starts the writer */
    assert_int_equal(orr_store_sync(s), ORR_OK); /* it would rightly not write where the name is gone */
    move("", ".gone");
    orr_status status = orr_store_select(s, &runs, &reader, &reason);
    assert_true(status == ORR_OK || strstr(reason.text, "was deleted, moved or replaced") != NULL);
    put_back();
    assert_int_equal(place_number(s, "SELECT count(*) FROM runs"), 1);
    orr_store_release(j, true);
    orr_store_close(s);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
    const struct CMUnitTest tests[] = {TEST(comes_back),
                                       TEST(survives_kills),
                                       TEST(log_is_ahead),
                                       TEST(crashes_where_told),
                                       TEST(groups_commits),
                                       TEST(respects_the_living),
                                       TEST(fences_the_stopped),
                                       TEST(messages_count_once),
                                       TEST(full_disk),
                                       TEST(deleted_directory),
                                       TEST(damaged_files),
                                       TEST(strange_files),
                                       TEST(read_only),
                                       TEST(network_file_systems),
                                       TEST(queries_only_read),
                                       TEST(tables_follow),
                                       TEST(backs_up_while_written),
                                       TEST(writer_starts_while_one_reads),
                                       TEST(reads_on_without_the_name),
                                       TEST(says_that_the_name_is_gone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
