/* test_power_cut.c - what a disk holds after a power cut, where flushes and writes fail as well.
 *
 * The functions that write to files stand here in place of libc's, so that all that the store and
 * SQLite write passes by. A model of the disk follows: what was flushed is there, and of what was
 * not flushed yet a cut leaves any part. A flush that fails leaves its pages clean and not on the
 * disk, as Linux does. Two stores on one file, each with a run of its own, write in turn; a third
 * run goes to and fro between them. At some events the power goes: the files are written as a disk
 * could hold them, with what each store had said to be durable. Then everything that was durable
 * must be there.
 *
 * POWER_CUT_WORKLOADS: how many workloads (40).
 */
#include "chance.h"
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096, PAGES = 2048, SECTOR = 512, ROUNDS = 24, RUNS = 3, MOST_CUTS = 6 };

typedef enum { MAIN, LOG, FILES } file_name;
static const char *const endings[FILES] = {[MAIN] = "runs.db", [LOG] = "runs.db-wal"};

/* One file on the disk. */
typedef struct disk_file {
    unsigned char flushed[PAGES * PAGE];
    int64_t size; /* of what was flushed */
    bool dirty[PAGES];
} disk_file;

typedef enum { NOTHING, FLUSH_FAILS, WRITE_FAILS, DIES_IN_FLUSH, FLUSH_LOSES } fault;

/* In memory that a process shares with those it starts. */
typedef struct world {
    disk_file files[FILES];
    chance c;
    atomic_bool on; /* the writers of the stores go on while a test turns it on */
    fault fault;
    uint32_t fault_at, faults; /* which flush or write it is; how many there were */
    atomic_bool struck;
    uint32_t events, cut_every, cuts;
    uint64_t durable[MOST_CUTS][RUNS]; /* the last record of each run that was durable at a cut */
    uint64_t told[RUNS];               /* by now */
} world;

static world *w;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- the disk -------------------------------------------------------------------------------- */

static int raw_open(const char *path, int flags) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

/* Which of the files of the store it is; FILES for another. */
static file_name file_of(int fd) {
    char link[40], path[128] = "";
    if (w == NULL || !w->on) return FILES;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t directory = strlen(place_directory);
    if (n <= 0 || strncmp(path, place_directory, directory) != 0) return FILES;
    for (file_name f = MAIN; f < FILES; f++)
        if (strcmp(path + directory + 1, endings[f]) == 0) return f;
    return FILES;
}

static int64_t size_now(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_size : 0;
}

/* The file as a disk may hold it that lost its power now: of each page that is not flushed none,
 * all or some sectors are there. */
static void leave_file(file_name f, int in, int out) {
    disk_file *file = &w->files[f];
    int64_t now = size_now(in), size = chance_of(&w->c, 50) ? now : file->size;
    uint32_t percent = chance_below(&w->c, 3) * 50;
    for (int64_t at = 0; at < size; at += PAGE) {
        unsigned char page[PAGE];
        memcpy(page, file->flushed + at, PAGE);
        for (int64_t here = at; file->dirty[at / PAGE] && here < at + PAGE && here < size; here += SECTOR)
            if (here < now && chance_of(&w->c, percent))
                assert_true(syscall(SYS_pread64, in, page + (here - at), SECTOR, here) >= 0);
        assert_true(syscall(SYS_pwrite64, out, page, size - at < PAGE ? size - at : PAGE, at) > 0);
    }
}

static void cut_path(char *path, size_t room, uint32_t cut, const char *ending) {
    snprintf(path, room, "%s/cut%u%s%s", place_directory, cut, *ending != '\0' ? "/" : "", ending);
}

/* The power goes, in another world: this one goes on. */
static void cut_power(void) {
    char path[160];
    cut_path(path, sizeof path, w->cuts, "");
    if (syscall(SYS_mkdirat, AT_FDCWD, path, 0700) != 0) return;
    for (file_name f = MAIN; f < FILES; f++) {
        snprintf(path, sizeof path, "%s/%s", place_directory, endings[f]);
        int in = raw_open(path, O_RDONLY);
        cut_path(path, sizeof path, w->cuts, endings[f]);
        int out = in >= 0 ? raw_open(path, O_WRONLY | O_CREAT) : -1;
        if (out >= 0) leave_file(f, in, out);
        if (in >= 0) syscall(SYS_close, in);
        if (out >= 0) syscall(SYS_close, out);
    }
    memcpy(w->durable[w->cuts++], w->told, sizeof w->told);
}

/* Whether this event of a kind is to fail. */
static bool strikes(fault kind) {
    if (w->fault != kind || ++w->faults != w->fault_at) return false;
    w->struck = true;
    return true;
}

static void event(void) {
    w->events++;
    bool after = w->fault == NOTHING || w->struck;
    if (after && w->cuts < MOST_CUTS && chance_below(&w->c, w->cut_every) == 0) cut_power();
}

static ssize_t write_at(int fd, const void *bytes, size_t n, int64_t at) {
    file_name f = file_of(fd);
    if (f == FILES) return syscall(SYS_pwrite64, fd, bytes, n, at);
    pthread_mutex_lock(&mutex);
    event();
    bool fails = strikes(WRITE_FAILS);
    ssize_t done = fails ? -1 : syscall(SYS_pwrite64, fd, bytes, n, at);
    for (int64_t page = at / PAGE; done > 0 && page <= (at + done - 1) / PAGE && page < PAGES; page++)
        w->files[f].dirty[page] = true;
    pthread_mutex_unlock(&mutex);
    if (fails) errno = EIO;
    return done;
}

/* What could not be written is not read as it was either. */
static void lose_file(int fd) {
    static const unsigned char nothing[PAGE];
    for (int64_t at = PAGE, size = size_now(fd); at < size; at += PAGE)
        assert_true(syscall(SYS_pwrite64, fd, nothing, size - at < PAGE ? size - at : PAGE, at) > 0);
}

static int flush(int fd, long call) {
    file_name f = file_of(fd);
    if (f == FILES) return (int)syscall(call, fd);
    pthread_mutex_lock(&mutex);
    event();
    disk_file *file = &w->files[f];
    /* a checkpoint flushes the other file as well, which is written anew from the log */
    bool loses = f == LOG && strikes(FLUSH_LOSES), fails = strikes(FLUSH_FAILS) || loses,
         dies = strikes(DIES_IN_FLUSH);
    if (loses) lose_file(fd);
    file->size = fails || dies ? file->size : size_now(fd);
    for (int64_t page = 0; page < PAGES; page++) {
        if (file->dirty[page] && !fails && !dies)
            assert_true(syscall(SYS_pread64, fd, file->flushed + page * PAGE, PAGE, page * PAGE) >= 0);
        file->dirty[page] = false;
    }
    if (dies) syscall(SYS_kill, getpid(), SIGKILL);
    pthread_mutex_unlock(&mutex);
    if (fails) errno = EIO;
    return fails ? -1 : 0;
}

static int cut_file(int fd, int64_t size) {
    file_name f = file_of(fd);
    if (f == FILES) return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&mutex);
    event();
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_unlock(&mutex);
    return rc;
}

/* The names by which libc has them. */
ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset) {
    return write_at(fd, buf, n, offset);
}
ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset) {
    return write_at(fd, buf, n, offset);
}
int fdatasync(int fildes) {
    return flush(fildes, SYS_fdatasync);
}
int fsync(int fd) {
    return flush(fd, SYS_fsync);
}
int ftruncate(int fd, off_t length) {
    return cut_file(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    return cut_file(fd, length);
}

/* ---- the workload ---------------------------------------------------------------------------- */

enum { LIMIT = 12000 }; /* times that the store is waited for to work again */

/* Often at first, and then now and then, as it is tried again. */
static void wait_a_while(int times) {
    usleep(times < 20 ? 50 : times < 40 ? 1000 : 5000);
}

/* Waits until what was queued is durable, and tells the world of it. */
static void wait_durable(orr_store *s, uint32_t run, uint64_t seq) {
    uint64_t ticket = orr_store_ticket(s);
    orr_store_submit(s, true);
    for (int i = 0; orr_store_durable(s) < ticket && i < LIMIT; i++) wait_a_while(i);
    assert_true(orr_store_durable(s) >= ticket);
    pthread_mutex_lock(&mutex);
    w->told[run - 1] = seq;
    pthread_mutex_unlock(&mutex);
}

static orr_journal *take_over(orr_store *s, uint32_t run) {
    orr_status status;
    orr_reason reason = {""};
    orr_journal *j = NULL;
    for (int i = 0; i < LIMIT && (j = place_claim(s, run, false, &status, &reason)) == NULL; i++)
        wait_a_while(i);
    if (j == NULL) print_error("%s\n", reason.text);
    assert_non_null(j);
    return j;
}

static void append(orr_store *s, orr_journal *j, uint32_t run, uint64_t seq) {
    assert_int_equal(place_append(j, seq), ORR_OK);
    wait_durable(s, run, seq);
}

/* A flush may fail while the store is opened: then whoever opens it tries again. */
static orr_store *open_again(void) {
    orr_reason reason;
    orr_store *s = place_try(ORR_STORE_OWN, &reason);
    if (s != NULL) return s;
    assert_true(w->struck && w->fault != DIES_IN_FLUSH);
    return place_open(ORR_STORE_OWN);
}

/* Runs that are there are gone on with. */
static orr_journal *begin(orr_store *s, uint32_t run) {
    orr_status status;
    orr_reason reason;
    orr_journal *j = place_claim(s, run, false, &status, &reason);
    if (j != NULL) return j;
    return status == ORR_ENOTFOUND ? place_create(s, run) : take_over(s, run);
}

static void work(uint32_t rounds) {
    orr_store *s[2] = {open_again(), open_again()};
    orr_journal *j[RUNS] = {begin(s[0], 1), begin(s[1], 2), begin(s[0], 3)};
    uint64_t last[RUNS];
    for (uint32_t i = 0; i < RUNS; i++) last[i] = place_last(s[0], i + 1);
    for (uint32_t round = 0; round < rounds; round++) {
        orr_store *here = s[round / 3 % 2];
        append(s[0], j[0], 1, ++last[0]);
        append(s[1], j[1], 2, ++last[1]);
        append(here, j[2], 3, ++last[2]);
        if (round % 3 != 2) continue;
        orr_store_release(j[2], true);
        wait_durable(here, 3, last[2]);
        j[2] = take_over(s[(round / 3 + 1) % 2], 3);
    }
    for (uint32_t i = 0; i < RUNS; i++) orr_store_release(j[i], false);
    orr_store_close(s[0]);
    orr_store_close(s[1]);
}

/* ---- after the cut --------------------------------------------------------------------------- */

static void check_cut(uint32_t cut) {
    char kept[sizeof place_path];
    memcpy(kept, place_path, sizeof kept);
    cut_path(place_path, sizeof place_path, cut, endings[MAIN]);
    /* before that it may be half made: the journal that SQLite makes it with is not followed */
    if (w->durable[cut][0] + w->durable[cut][1] + w->durable[cut][2] > 0) {
        orr_store *s = place_open(ORR_STORE_OWN);
        for (uint32_t run = 1; run <= RUNS; run++)
            if (place_last(s, run) < w->durable[cut][run - 1])
                fail_msg("%s: fault %d, %u: cut %u: run %u has %llu records of %llu that were durable",
                         place_path, w->fault, w->fault_at, cut, run, (unsigned long long)place_last(s, run),
                         (unsigned long long)w->durable[cut][run - 1]);
        assert_int_equal(place_number(s, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check "
                                         "<> 'ok'"),
                         0);
        orr_store_close(s);
    }
    memcpy(place_path, kept, sizeof kept);
}

static void in_child(void (*body)(void)) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body();
        syscall(SYS_exit_group, 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) || (w->struck && WTERMSIG(status) == SIGKILL));
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
}

static void work_long(void) {
    work(ROUNDS);
}
static void work_short(void) {
    work(6);
}
static void check_all(void) {
    w->on = false;
    for (uint32_t cut = 0; cut < w->cuts; cut++) check_cut(cut);
}

static void new_world(void) {
    if (w != NULL) munmap(w, sizeof *w);
    w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(w, MAP_FAILED);
}

static void one_world(fault kind, uint32_t at, uint64_t seed) {
    place_make(NULL);
    new_world();
    w->c = (chance){seed};
    w->fault = kind;
    w->fault_at = at;
    w->cut_every = kind == NOTHING ? 200 : 60;
    w->on = true;
    in_child(work_long);
    if (kind == DIES_IN_FLUSH && w->struck) in_child(work_short); /* what the next process does */
    in_child(check_all);
    place_remove(NULL);
}

/* Some workloads at once: most of their time they wait for a store to be tried again. */
static void run_worlds(uint32_t n, const char *what, uint32_t (*make)(uint32_t i, fault *kind)) {
    enum { AT_ONCE = 8 };
    chance c = chance_begin(what);
    uint64_t seed = chance_next(&c);
    pid_t pids[AT_ONCE];
    for (uint32_t p = 0; p < AT_ONCE; p++) {
        if ((pids[p] = fork()) != 0) continue;
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check ends this process */
        for (uint32_t i = p; i < n; i += AT_ONCE) {
            fault kind;
            uint32_t at = make(i, &kind);
            one_world(kind, at, seed + i);
        }
        syscall(SYS_exit_group, 0);
    }
    for (uint32_t p = 0; p < AT_ONCE; p++) {
        int status = 0;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static uint32_t workloads(void) {
    const char *text = getenv("POWER_CUT_WORKLOADS");
    return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 40;
}

/* Spread over the events of a workload, of which there are about so many. */
static uint32_t spread(uint32_t i, uint32_t events) {
    uint32_t n = workloads();
    return n > events ? i % events + 1 : 1 + (uint32_t)((uint64_t)i * events / n);
}

static uint32_t no_fault(uint32_t i, fault *kind) {
    *kind = NOTHING;
    return i;
}
static uint32_t flush_fails(uint32_t i, fault *kind) {
    *kind = FLUSH_FAILS;
    return spread(i, 90);
}
static uint32_t write_fails(uint32_t i, fault *kind) {
    *kind = WRITE_FAILS;
    return spread(i, 600);
}
static uint32_t dies(uint32_t i, fault *kind) {
    *kind = DIES_IN_FLUSH;
    return spread(i, 90);
}

static void keeps_what_was_durable(void **state) {
    (void)state;
    run_worlds(workloads() / 2, "power cuts", no_fault);
}

static void keeps_it_after_a_flush_that_failed(void **state) {
    (void)state;
    run_worlds(workloads(), "power cuts after a flush that failed", flush_fails);
}

static void keeps_it_after_a_write_that_failed(void **state) {
    (void)state;
    run_worlds(workloads() / 2, "power cuts after a write that failed", write_fails);
}

static void keeps_it_after_a_death_in_a_flush(void **state) {
    (void)state;
    run_worlds(workloads() / 2, "power cuts after a death in a flush", dies);
}

/* The log that another store has cut may be back after a power cut. It is all there, or none. */
static void work_behind_a_log_that_was_cut(void) {
    enum { LONG = 40 };
    orr_store *s[2] = {open_again(), open_again()};
    orr_journal *j[2] = {begin(s[0], 1), NULL};
    for (uint64_t seq = 1; seq <= LONG; seq++) append(s[0], j[0], 1, seq);
    j[1] = begin(s[1], 2);
    append(s[1], j[1], 2, 1); /* it has seen how long the log is, and not made it longer */
    orr_store_release(j[0], false);
    orr_store_close(s[0]);
    pthread_mutex_lock(&mutex);
    w->fault = NOTHING; /* from here on the power may go at any event */
    pthread_mutex_unlock(&mutex);
    append(s[1], j[1], 2, 2);
    orr_store_release(j[1], false);
    orr_store_close(s[1]);
}

static void keeps_it_where_the_log_was_cut(void **state) {
    (void)state;
    chance c = chance_begin("power cuts where the log was cut");
    for (int i = 0; i < 8; i++) {
        place_make(NULL);
        new_world();
        w->c = (chance){chance_next(&c)};
        w->fault = WRITE_FAILS;
        w->fault_at = UINT32_MAX;
        w->cut_every = 1;
        w->on = true;
        in_child(work_behind_a_log_that_was_cut);
        assert_int_equal(w->cuts, MOST_CUTS);
        in_child(check_all);
        place_remove(NULL);
    }
}

/* The next flush of the log loses what is in it. What then comes: that the store works again, or is
 * broken. */
static void lose_the_log(orr_store *s, orr_journal *j, uint64_t seq, orr_notice *notice) {
    pthread_mutex_lock(&mutex);
    w->fault = FLUSH_LOSES;
    w->fault_at = w->faults + 1;
    pthread_mutex_unlock(&mutex);
    assert_int_equal(place_append(j, seq), ORR_OK);
    orr_store_submit(s, true);
    for (int i = 0; i < LIMIT && notice->kind != ORR_NOTICE_WORKS && notice->kind != ORR_NOTICE_BROKEN; i++)
        if (!orr_store_notice(s, notice)) wait_a_while(i);
}

/* Nobody can tell what is missing, so nothing is built on it. Where the writer had just written the
 * log back nothing is missing, and the next time decides. */
static void ends_where_the_log_lost_something(void **state) {
    (void)state;
    orr_notice notice = {.kind = ORR_NOTICE_WORKS};
    orr_reason reason;
    new_world();
    w->cut_every = 1;
    w->cuts = MOST_CUTS;
    place_make(NULL);
    orr_store *s = place_open(ORR_STORE_OWN);
    orr_journal *j = place_create(s, 1);
    uint64_t seq = 1;
    for (; seq < 6; seq++) append(s, j, 1, seq);
    w->on = true;
    for (; seq < 12 && notice.kind == ORR_NOTICE_WORKS; seq++) {
        notice = (orr_notice){0};
        lose_the_log(s, j, seq, &notice);
    }
    assert_int_equal(notice.kind, ORR_NOTICE_BROKEN);
    assert_non_null(strstr(notice.text, "is damaged: after a flush that failed"));
    assert_null(place_try(ORR_STORE_OWN, &reason));
    assert_non_null(strstr(reason.text, "damaged"));
    orr_store_release(j, false);
    orr_store_close(s);
    place_remove(NULL);
}

static void die_in_a_flush(void) {
    new_world();
    w->cut_every = 1;
    w->cuts = MOST_CUTS;
    w->fault = DIES_IN_FLUSH;
    w->fault_at = 20;
    w->on = true;
    in_child(work_long);
    assert_true(w->struck);
    w->on = false;
}

/* A process that reads the store for a tenth of a second; the pipe says when it has begun. */
static pid_t read_a_while(int pipe_end) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0) return pid;
    sqlite3 *db = NULL;
    bool reads = sqlite3_open_v2(place_path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                 sqlite3_exec(db, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) == SQLITE_OK;
    if (write(pipe_end, &reads, 1) == 1) usleep(100000);
    sqlite3_close(db);
    syscall(SYS_exit_group, 0);
    return 0;
}

/* Most commands look at a store for some milliseconds: they make nobody fail. */
static void waits_for_a_reader_after_a_death_in_a_flush(void **state) {
    (void)state;
    int ends[2];
    bool reads = false;
    place_make(NULL);
    die_in_a_flush();
    assert_int_equal(pipe(ends), 0);
    pid_t reader = read_a_while(ends[1]);
    assert_int_equal(read(ends[0], &reads, 1), 1);
    assert_true(reads);
    orr_reason reason = {""};
    orr_store *s = place_try(ORR_STORE_OWN, &reason);
    if (s == NULL) print_error("%s\n", reason.text);
    assert_non_null(s);
    assert_int_equal(waitpid(reader, NULL, 0), reader);
    orr_store_close(s);
    close(ends[0]);
    close(ends[1]);
    place_remove(NULL);
}

/* SQLite's own shell writes the log back and begins a new one: nothing is lost, and the mark of the
 * dead process says nothing of the new log. */
static void goes_on_where_another_program_wrote_the_log_back(void **state) {
    static const char *const programs[] = {
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE other (x); DROP TABLE other",
    };
    (void)state;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        sqlite3 *db = NULL;
        place_make(NULL);
        die_in_a_flush();
        assert_int_equal(sqlite3_open(place_path, &db), SQLITE_OK);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        assert_int_equal(sqlite3_exec(db, programs[i], NULL, NULL, NULL), SQLITE_OK);
        orr_store *s = place_open(ORR_STORE_OWN);
        assert_true(place_last(s, 1) >= w->told[0]);
        orr_store_close(s);
        sqlite3_close(db);
        place_remove(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_a_reader_after_a_death_in_a_flush),
        cmocka_unit_test(goes_on_where_another_program_wrote_the_log_back),
        cmocka_unit_test(ends_where_the_log_lost_something),
        cmocka_unit_test(keeps_what_was_durable),
        cmocka_unit_test(keeps_it_where_the_log_was_cut),
        cmocka_unit_test(keeps_it_after_a_flush_that_failed),
        cmocka_unit_test(keeps_it_after_a_write_that_failed),
        cmocka_unit_test(keeps_it_after_a_death_in_a_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
