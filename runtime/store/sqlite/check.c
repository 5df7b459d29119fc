/* check.c - the file is read whole where a crash may have left it damaged: in the background, once
 * for each crash, by one process of all.
 *
 * After a kill the files are what was written, since the system goes on; after a power cut, or a
 * copy, they may be anything. To tell takes as long as reading the file, which no handler waits
 * for. So who opens the store notes in the lock file that there is something to check, and a thread
 * of low priority does it, table by table. It holds a byte of the lock file while it does;
 * threads of other processes wait for that. What was found whole is noted as well, so that a
 * process that ends early leaves only the rest to the next one.
 *
 * A reader keeps the log from being begun anew. The check of a large table is therefore given up,
 * and tried again later, where the log grows beyond its bound meanwhile, or is to be mended
 * (mark.c). The second try finds the pages in memory, and comes farther.
 *
 * What is found ends the runs of all processes: each is told by its word in the lock file
 * (owner.c), and whoever wants to write is refused (orr_sqlite_sound).
 */
#include "store/sqlite/inner.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME = 64, FINDING = 192 };

static const int64_t MS = 1000000;

/* ms: how often the log is looked at; how soon a check that was given up is tried again */
enum { WATCH_EVERY = 50, SHORTEST_REST = 1000, LONGEST_REST = 60000 };

/* As it stands in the lock file, in the byte order of the machine. A part is written by one process
 * at a time: the first by who has the commit lock, the second by who has the byte of the check. */
typedef struct check_state {
    uint64_t version;       /* of what stands here */
    uint64_t device, inode; /* of the file of the store */
    uint8_t boot[16];
    int64_t owners;   /* from this number on there may be owners that are at work */
    uint32_t crashes; /* how often there was reason to check */

    uint32_t whole;   /* all was found whole after that crash */
    uint32_t damaged; /* 1: `table` is not whole */
    uint32_t since;   /* after that crash the tables up to `table`, by their names, were found whole */
    char table[NAME];
    char finding[FINDING];
} check_state;

struct orr_checker {
    const orr_sqlite *store;
    orr_connection connection;
    check_state state; /* as the thread has read it */
    orr_thread thread, watch;
    orr_mutex mutex;
    orr_condition news;
    bool started, stopping, done;
    bool running; /* a statement, which may be interrupted */
};

/* ---- what is known --------------------------------------------------------------------------- */

/* "ORRCHK" and a number, which grows when the bytes mean something else: then nothing is known. */
static const uint64_t VERSION = UINT64_C(0x4f525243484b0001);

static void read_state(int fd, check_state *state) {
    ssize_t n = pread(fd, state, sizeof *state, ORR_SQLITE_CHECK_AT);
    if (n < (ssize_t)offsetof(check_state, whole) || state->version != VERSION) *state = (check_state){0};
    else if (n < (ssize_t)sizeof *state) memset((char *)state + n, 0, sizeof *state - (size_t)n);
    state->table[NAME - 1] = state->finding[FINDING - 1] = '\0';
}

static bool is_of(const check_state *state, const orr_sqlite *s) {
    return state->version == VERSION && state->crashes != 0 && state->device == s->file.st_dev &&
           state->inode == s->file.st_ino;
}

static bool is_of_boot(const check_state *state, const orr_sqlite *s, const orr_connection *c) {
    return is_of(state, s) && memcmp(state->boot, c->boot, sizeof state->boot) == 0;
}

static void write_found(int fd, const check_state *state) {
    enum { FROM = offsetof(check_state, whole) };
    if (pwrite(fd, (const char *)state + FROM, sizeof *state - FROM, ORR_SQLITE_CHECK_AT + FROM) < 0)
        return; /* the disk is full: it is checked once more */
}

void orr_sqlite_note_crash(const orr_sqlite *s, const orr_connection *c, bool crashed) {
    check_state state;
    read_state(c->lock, &state);
    bool same = is_of_boot(&state, s, c);
    if (same && !crashed) return;
    bool other = !is_of(&state, s);
    if (!same) state.owners = 0;
    state.version = VERSION;
    state.device = s->file.st_dev;
    state.inode = s->file.st_ino;
    memcpy(state.boot, c->boot, sizeof state.boot);
    state.crashes = state.crashes + 1 != 0 ? state.crashes + 1 : 1;
    if (pwrite(c->lock, &state, offsetof(check_state, whole), ORR_SQLITE_CHECK_AT) < 0) return; /* as above */
    if (!other) return;
    state.whole = s->file.st_size == 0 ? state.crashes : 0; /* it has just been made */
    state.damaged = state.since = 0;
    write_found(c->lock, &state);
}

int64_t orr_sqlite_first_owner(const orr_sqlite *s, const orr_connection *c) {
    check_state state;
    read_state(c->lock, &state);
    return is_of_boot(&state, s, c) ? state.owners : 0;
}

void orr_sqlite_note_owner(const orr_connection *c, int64_t first) {
    if (pwrite(c->lock, &first, sizeof first, ORR_SQLITE_CHECK_AT + offsetof(check_state, owners)) < 0)
        return; /* then more is looked through */
}

orr_check_kind orr_sqlite_checked(const orr_sqlite *s, const orr_connection *c) {
    check_state state;
    read_state(c->lock, &state);
    if (!is_of(&state, s)) return ORR_CHECK_DUE;
    return state.damaged != 0             ? ORR_CHECK_DAMAGED
           : state.whole == state.crashes ? ORR_CHECK_WHOLE
                                          : ORR_CHECK_DUE;
}

static orr_status refuse(const orr_sqlite *s, const check_state *state, orr_reason *reason) {
    orr_reason_set(reason,
                   "the store '%s' cannot be used: the file is damaged (%s: %s): restore a backup, or save "
                   "what can be read with `sqlite3 FILE .recover`",
                   s->path, state->table, state->finding);
    return ORR_EIO;
}

orr_status orr_sqlite_sound(const orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    check_state state;
    if (pread(c->lock, &state, offsetof(check_state, since), ORR_SQLITE_CHECK_AT) <
            (ssize_t)offsetof(check_state, since) ||
        !is_of(&state, s) || state.damaged == 0)
        return ORR_OK;
    read_state(c->lock, &state);
    c->broken = true;
    return refuse(s, &state, reason);
}

/* ---- one table ------------------------------------------------------------------------------- */

typedef enum { WHOLE, DAMAGED, UNKNOWN } verdict;

static verdict judge(orr_connection *c, int rc, sqlite3_stmt *q, char finding[FINDING]) {
    int primary = rc & 0xff;
    const char *text = rc == SQLITE_ROW ? orr_sql_text(q, 0) : sqlite3_errmsg(c->db);
    if (rc == SQLITE_ROW && strcmp(text, "ok") == 0) return WHOLE;
    if (rc != SQLITE_ROW && primary != SQLITE_CORRUPT && primary != SQLITE_NOTADB) return UNKNOWN;
    const char *second = strchr(text, '\n'); /* the first line only says of which database it is */
    if (strncmp(text, "***", 3) == 0 && second != NULL) text = second + 1;
    size_t n = strcspn(text, "\n");
    snprintf(finding, FINDING, "%.*s", (int)(n < FINDING ? n : FINDING - 1), text);
    return DAMAGED;
}

static verdict check_table(orr_connection *c, const char *table, char finding[FINDING]) {
    sqlite3_stmt *q = NULL;
    char *sql = sqlite3_mprintf("PRAGMA quick_check(%Q)", table);
    int rc = sql != NULL ? sqlite3_prepare_v2(c->db, sql, -1, &q, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    verdict v = judge(c, rc, q, finding);
    sqlite3_finalize(q);
    return v;
}

/* The next table by its name, "" after the last. */
static verdict next_table(orr_connection *c, char table[NAME], char finding[FINDING]) {
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(
        c->db, "SELECT min(name) FROM sqlite_schema WHERE type = 'table' AND name > ?1", -1, &q, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text(q, 1, table, -1, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    verdict v = rc == SQLITE_ROW ? WHOLE : judge(c, rc, q, finding);
    snprintf(table, NAME, "%s", v == WHOLE ? orr_sql_text(q, 0) : "schema");
    sqlite3_finalize(q);
    return v;
}

orr_status orr_sqlite_recheck(orr_sqlite *s, orr_reason *reason) {
    check_state state = {0};
    int fd = orr_lock_open(s->lock_path, false);
    if (fd >= 0) {
        read_state(fd, &state);
        close(fd);
    }
    if (!is_of(&state, s) || state.damaged == 0) return ORR_OK;
    if (check_table(&s->mine, state.table, state.finding) != WHOLE) return refuse(s, &state, reason);
    orr_status status = orr_sqlite_lock(s, &s->mine, reason);
    if (status != ORR_OK) return status;
    state.damaged = state.whole = state.since = 0; /* it was mended in its place: all is checked anew */
    write_found(s->mine.lock, &state);
    orr_sqlite_unlock(&s->mine);
    return ORR_OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Waits for so long (ns), or until it is to stop: then false. */
static bool rest(orr_checker *k, int64_t time) {
    int64_t until = orr_port_now() + time;
    orr_mutex_lock(&k->mutex);
    while (!k->stopping && orr_port_now() < until) orr_condition_wait(&k->news, &k->mutex, until);
    bool goes_on = !k->stopping;
    orr_mutex_unlock(&k->mutex);
    return goes_on;
}

/* False where it is to stop. */
static bool set_running(orr_checker *k, bool running) {
    orr_mutex_lock(&k->mutex);
    k->running = running;
    bool goes_on = !k->stopping;
    orr_condition_wake_all(&k->news);
    orr_mutex_unlock(&k->mutex);
    return goes_on;
}

/* The tables after state.table, each noted when it is known to be whole. */
static verdict check_tables(orr_checker *k) {
    check_state *state = &k->state;
    for (char table[NAME];;) {
        memcpy(table, state->table, NAME);
        verdict v = set_running(k, true) ? next_table(&k->connection, table, state->finding) : UNKNOWN;
        bool last = v == WHOLE && table[0] == '\0';
        if (v == WHOLE && !last) v = check_table(&k->connection, table, state->finding);
        set_running(k, false);
        if (v == UNKNOWN) return v;
        if (last) state->whole = state->since;
        else memcpy(state->table, table, NAME);
        if (v == DAMAGED) state->damaged = 1;
        write_found(k->connection.lock, state);
        if (last || v == DAMAGED) return v;
    }
}

/* Everything from the crash on that is the last one now. */
static verdict check_file(orr_checker *k) {
    check_state *state = &k->state;
    verdict v = WHOLE;
    while (v == WHOLE) {
        read_state(k->connection.lock, state);
        if (!is_of(state, k->store) || state->whole == state->crashes || state->damaged != 0) break;
        if (state->since != state->crashes) state->table[0] = '\0';
        state->since = state->crashes;
        v = check_tables(k);
    }
    return v;
}

/* Until there is nothing left to check, or it is to stop. */
static void check(orr_checker *k) {
    int64_t pause = SHORTEST_REST * MS;
    int fd = k->connection.lock;
    for (;;) {
        verdict v = UNKNOWN;
        bool mine = orr_lock_try(fd, ORR_SQLITE_CHECKING_BYTE) == 0;
        if (mine) {
            v = check_file(k);
            orr_lock_release(fd, ORR_SQLITE_CHECKING_BYTE);
        }
        if (v == DAMAGED) orr_sqlite_displace_all(&k->connection);
        if (v != UNKNOWN || !rest(k, pause)) return;
        if (orr_sqlite_checked(k->store, &k->connection) != ORR_CHECK_DUE) return;
        if (mine) pause = pause * 2 < LONGEST_REST * MS ? pause * 2 : LONGEST_REST * MS;
    }
}

/* ---- the threads ----------------------------------------------------------------------------- */

static off_t log_size(const orr_checker *k) {
    struct stat log;
    return stat(k->store->wal_path, &log) == 0 ? log.st_size : 0;
}

/* Whether others wait for the snapshot to go: *size is of the log at its beginning, *marked that
 * the log was to be mended at the last look. */
static bool is_in_the_way(const orr_checker *k, off_t size, bool *marked) {
    bool before = *marked;
    off_t now = log_size(k);
    *marked = orr_sqlite_is_marked(&k->connection);
    return (now > ORR_SQLITE_WAL_LIMIT && now > size) || (before && *marked);
}

/* SQLite calls nobody while it goes through the pages of a table, but may be interrupted. */
static void *watch(void *ud) {
    orr_checker *k = ud;
    orr_mutex_lock(&k->mutex);
    while (!k->done) {
        off_t size = log_size(k);
        bool marked = false;
        while (k->running && !k->stopping) {
            orr_condition_wait(&k->news, &k->mutex, orr_port_now() + WATCH_EVERY * MS);
            if (k->running && is_in_the_way(k, size, &marked)) sqlite3_interrupt(k->connection.db);
        }
        if (!k->done) orr_condition_wait(&k->news, &k->mutex, INT64_MAX);
    }
    orr_mutex_unlock(&k->mutex);
    return NULL;
}

static bool connect(orr_checker *k) {
    enum { CACHE = 256 }; /* KiB: a page is looked at once */
    orr_reason reason;
    orr_connection *c = &k->connection;
    if (orr_sqlite_connect(k->store, c, SQLITE_OPEN_READWRITE, CACHE, &reason) != ORR_OK) return false;
    c->lock = orr_lock_open(k->store->lock_path, true);
    return c->lock >= 0;
}

static void *run(void *ud) {
    orr_checker *k = ud;
    bool large = k->store->file.st_size > ORR_SQLITE_WAL_LIMIT, connected = connect(k);
    bool watched = large && connected && orr_thread_start(&k->watch, watch, k);
    orr_thread_stand_back(); /* this one alone: who watches is not to be late */
    if (connected) check(k);
    orr_mutex_lock(&k->mutex);
    k->done = true;
    orr_condition_wake_all(&k->news);
    orr_mutex_unlock(&k->mutex);
    if (watched) orr_thread_join(k->watch);
    orr_sqlite_disconnect(&k->connection);
    return NULL;
}

void orr_sqlite_check(orr_sqlite *s) {
    if (orr_sqlite_checked(s, &s->mine) != ORR_CHECK_DUE) return;
    orr_checker *k = calloc(1, sizeof *k);
    if (k == NULL) return; /* who opens the store next checks it */
    k->store = s;
    k->connection.lock = -1;
    orr_mutex_init(&k->mutex);
    orr_condition_init(&k->news);
    k->started = orr_thread_start(&k->thread, run, k); /* which may be done by now */
    if (!k->started) k->done = true;
    s->checker = k;
}

/* An interruption reaches only what runs, so it is repeated until the thread is done. */
void orr_sqlite_stop_check(orr_sqlite *s) {
    orr_checker *k = s->checker;
    if (k == NULL) return;
    orr_mutex_lock(&k->mutex);
    k->stopping = true;
    orr_condition_wake_all(&k->news);
    while (!k->done) {
        if (k->running) sqlite3_interrupt(k->connection.db);
        orr_condition_wait(&k->news, &k->mutex, orr_port_now() + MS);
    }
    orr_mutex_unlock(&k->mutex);
    if (k->started) orr_thread_join(k->thread);
    orr_condition_destroy(&k->news);
    orr_mutex_destroy(&k->mutex);
    free(k);
    s->checker = NULL;
}
