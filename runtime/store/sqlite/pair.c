/* pair.c - that the log beside a file is of that file, and the file still the one it was.
 *
 * SQLite replays a log into whatever file has its name: a backup that was copied over the store of
 * a process that crashed would be mixed with the pages of another time. So the store has a tag, the
 * row `log` of `meta`: a number that grows, a random number of its own and that of the tag before.
 * The first commit of each log writes the next tag. What was written back of a log is of that log
 * or of the one before, so the file has the tag of one of them; else the two do not belong
 * together, and nothing is read. It is looked for in the bytes, before SQLite has seen either.
 *
 * A tag says, too, which file it was written for (device and inode; 0 in a backup, which may become
 * any). A copy of a file that was in use shows by that: without its log it lacks what was committed
 * last, and may be of several moments.
 *
 * While a store is open only we write to its file, under the commit lock. The lock file says what
 * its size and time were then. So one that was overwritten is found out before the next commit.
 */
#include "store/sqlite/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- tags ------------------------------------------------------------------------------------ */

#define MAGIC "orrery log "

enum { MAGIC_SIZE = sizeof MAGIC - 1, TAG_SIZE = MAGIC_SIZE + 5 * 17 - 1 };

typedef struct tag {
    uint64_t number, before, own;
    uint64_t device, inode;
} tag;

static void write_tag(char text[TAG_SIZE + 1], const tag *t) {
    snprintf(text, TAG_SIZE + 1, MAGIC "%016llx %016llx %016llx %016llx %016llx",
             (unsigned long long)t->number, (unsigned long long)t->before, (unsigned long long)t->own,
             (unsigned long long)t->device, (unsigned long long)t->inode);
}

static bool read_tag(const char *text, tag *t) {
    uint64_t *fields[] = {&t->number, &t->before, &t->own, &t->device, &t->inode};
    for (size_t i = 0; i < 5; i++) {
        char digits[17] = "", *end;
        memcpy(digits, text + MAGIC_SIZE + i * 17, 16);
        *fields[i] = strtoull(digits, &end, 16);
        if (end != digits + 16) return false;
    }
    return true;
}

/* The newest one in the bytes of a page: what was deleted may still be there. */
static bool find_tag(const unsigned char *bytes, size_t size, tag *t) {
    const unsigned char *at = bytes, *end = bytes + size;
    bool found = false;
    for (tag one; (at = memmem(at, (size_t)(end - at), MAGIC, MAGIC_SIZE)) != NULL; at += MAGIC_SIZE) {
        if (end - at < TAG_SIZE) break;
        if (!read_tag((const char *)at, &one) || (found && one.number <= t->number)) continue;
        *t = one;
        found = true;
    }
    return found;
}

/* The tag as SQLite sees it; all zeros where there is none. */
static int current_tag(orr_connection *c, tag *t) {
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_TAG, NULL, 0);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    *t = (tag){0};
    if (rc == SQLITE_ROW && sqlite3_column_bytes(q, 0) == TAG_SIZE && !read_tag(orr_sql_text(q, 0), t))
        *t = (tag){0};
    sqlite3_reset(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The last tag that was written, and the one before, which counts where that was not committed. */
static void note_tags(const orr_connection *c, const tag *t) {
    uint64_t last[] = {t->before, t->own};
    if (c->lock < 0 || pwrite(c->lock, last, sizeof last, ORR_SQLITE_TAGS_AT) < 0)
        return; /* then it is not known */
}

/* SQLite's own shell writes the log back when it is the last to leave. */
static bool has_last_tag(orr_connection *c) {
    uint64_t last[2] = {0, 0};
    tag t;
    return pread(c->lock, last, sizeof last, ORR_SQLITE_TAGS_AT) == (ssize_t)sizeof last &&
           current_tag(c, &t) == SQLITE_OK && t.own != 0 && (t.own == last[0] || t.own == last[1]);
}

/* The next tag, for that file (NULL: for any). */
static int next_tag(orr_connection *c, const struct stat *file) {
    char text[TAG_SIZE + 1];
    tag t;
    int rc = current_tag(c, &t);
    if (rc != SQLITE_OK) return rc;
    t.number++;
    t.before = t.own;
    sqlite3_randomness(sizeof t.own, &t.own);
    t.device = file != NULL ? file->st_dev : 0;
    t.inode = file != NULL ? file->st_ino : 0;
    write_tag(text, &t);
    note_tags(c, &t);
    orr_field value = orr_field_text(text);
    return orr_sql_run(c, ORR_SQL_TAG_PUT, &value, 1);
}

static bool is_of(const tag *t, const struct stat *file) {
    return t->own != 0 && t->device == file->st_dev && t->inode == file->st_ino;
}

int orr_sqlite_begin_log(const orr_sqlite *s, orr_connection *c) {
    return orr_sqlite_begins_log(c) ? next_tag(c, &s->file) : SQLITE_OK;
}

int orr_sqlite_untag(orr_connection *c) {
    return next_tag(c, NULL);
}

/* ---- the log and the file -------------------------------------------------------------------- */

typedef enum {
    UNKNOWN, /* nothing is in the log, or nothing that says whose it is */
    PAIRED,
    FOREIGN
} pairing;

/* What was seen of a log; when it changes meanwhile, what was found of it is worth nothing. */
typedef struct glance {
    uint8_t salt[8];
    uint32_t committed;
} glance;

static int read_log(void *ud, void *to, size_t n, int64_t at) {
    ssize_t got = pread(*(const int *)ud, to, n, at);
    return got == (ssize_t)n ? SQLITE_OK : got >= 0 ? SQLITE_IOERR_SHORT_READ : SQLITE_IOERR;
}

/* Through SQLite's own descriptor: closing another one of the file would end SQLite's locks. */
static bool read_file(const orr_connection *c, void *to, size_t size, int64_t at) {
    sqlite3_file *file = NULL;
    return sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
           file != NULL && file->pMethods != NULL &&
           file->pMethods->xRead(file, to, (int)size, at) == SQLITE_OK;
}

static bool tag_of_file(const orr_connection *c, int64_t at, size_t size, tag *t) {
    unsigned char *page = malloc(size);
    bool found = page != NULL && read_file(c, page, size, at) && find_tag(page, size, t);
    free(page);
    return found;
}

/* One without a log is written by SQLite itself, also when it is opened after a crash. */
bool orr_sqlite_has_log(const orr_connection *c) {
    enum { READ_VERSION = 19, WITH_LOG = 2 };
    unsigned char version = 0;
    return read_file(c, &version, 1, READ_VERSION) && version == WITH_LOG;
}

/* Whether the page of a frame has a tag, and the file one of the same log or of that before. */
static pairing compare(const orr_connection *c, const orr_frames *f) {
    tag of_log, of_file;
    if (!find_tag(f->frame + ORR_FRAME_HEADER, f->page, &of_log)) return UNKNOWN;
    int64_t at = ((int64_t)orr_big_endian(f->frame) - 1) * (int64_t)f->page;
    if (!tag_of_file(c, at, f->page, &of_file)) return of_log.before == 0 ? PAIRED : FOREIGN;
    return of_file.own == of_log.own || of_file.own == of_log.before ? PAIRED : FOREIGN;
}

/* Only what was committed counts: the rest is no part of the log. */
static pairing look(const orr_connection *c, int fd, glance *g) {
    orr_frames f = {.read = read_log, .ud = &fd};
    pairing found = UNKNOWN, pending = UNKNOWN;
    *g = (glance){0};
    int rc = orr_frames_begin(&f);
    if (rc == SQLITE_OK) memcpy(g->salt, f.salt, sizeof g->salt);
    while (rc == SQLITE_OK && found != PAIRED && (rc = orr_frames_next(&f)) == SQLITE_OK) {
        pairing one = compare(c, &f);
        if (one == PAIRED || pending == UNKNOWN) pending = one;
        if (orr_big_endian(f.frame + 4) == 0) continue;
        g->committed = f.n;
        if (pending != UNKNOWN) found = pending;
    }
    orr_frames_end(&f);
    return found;
}

/* Other processes may be writing. */
static pairing check(const orr_sqlite *s, const orr_connection *c, bool *logged) {
    enum { TRIES = 20 };
    const struct timespec pause = {0, 10000000};
    glance before = {{0}, 0}, now;
    int fd = open(s->wal_path, O_RDONLY | O_CLOEXEC);
    pairing found = UNKNOWN;
    *logged = fd >= 0;
    if (fd < 0) return UNKNOWN;
    for (int i = 0; i < TRIES; i++) {
        found = look(c, fd, &now);
        if (found != FOREIGN || (i > 0 && memcmp(&before, &now, sizeof now) == 0)) break;
        before = now;
        nanosleep(&pause, NULL);
    }
    close(fd);
    return found;
}

static orr_status foreign(const orr_sqlite *s, orr_reason *reason) {
    orr_reason_set(reason,
                   "the log '%s' belongs to another file than '%s' is now: put back the file that it belongs "
                   "to, or restore a backup with `orrery restore BACKUP --overwrite`",
                   s->wal_path, s->path);
    return ORR_EIO;
}

orr_status orr_sqlite_check_pair(const orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    return check(s, c, &c->logged) != FOREIGN ? ORR_OK : foreign(s, reason);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static int64_t number(orr_connection *c, orr_sql sql) {
    int64_t n = 0;
    return orr_sql_number(c, sql, NULL, 0, &n) == SQLITE_OK ? n : 0;
}

bool orr_sqlite_is_whole(orr_connection *c) {
    sqlite3_stmt *q = NULL;
    bool whole = sqlite3_prepare_v2(c->db, "PRAGMA integrity_check(1)", -1, &q, NULL) == SQLITE_OK &&
                 sqlite3_step(q) == SQLITE_ROW && strcmp(orr_sql_text(q, 0), "ok") == 0;
    sqlite3_finalize(q);
    return whole;
}

orr_status orr_sqlite_check_copy(orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    enum { READ_WHOLE = 64 << 20 }; /* bytes; a larger one is checked by who looks at the runs in it */
    tag t;
    s->tagged = current_tag(c, &t) == SQLITE_OK && is_of(&t, &s->file);
    bool copied = t.inode != 0 && !s->tagged;
    if (!copied || number(c, ORR_SQL_IN_USE) == 0) return ORR_OK;
    s->lone = !c->logged;
    if (c->logged && (s->file.st_size > READ_WHOLE || orr_sqlite_is_whole(c))) return ORR_OK;
    orr_reason_set(reason,
                   "the store '%s' is a copy that was made while a process used the store, and %s: copy it "
                   "with `orrery backup`, or take what is in it with `orrery restore %s --store NEW`",
                   s->path, c->logged ? "is not whole" : "lacks its log", s->path);
    return ORR_EIO;
}

orr_status orr_sqlite_tag(orr_sqlite *s, orr_reason *reason) {
    if (s->tagged) return ORR_OK;
    orr_status status = orr_sqlite_begin(s, &s->mine, reason);
    if (status != ORR_OK) return status;
    tag t;
    int rc = current_tag(&s->mine, &t); /* the log may have been begun just now */
    if (rc == SQLITE_OK && !is_of(&t, &s->file)) rc = next_tag(&s->mine, &s->file);
    if (rc != SQLITE_OK) status = orr_sqlite_explain(s->mine.db, rc, "be written", reason);
    s->tagged = rc == SQLITE_OK;
    return orr_sqlite_end(&s->mine, status, reason);
}

/* ---- the file as it was left ----------------------------------------------------------------- */

static const uint32_t SET = 0x4f525253; /* "ORRS" */

/* In the byte order of the machine, which no other one reads. */
typedef struct stamp {
    uint32_t set;
    uint32_t unused;
    uint8_t boot[16];
    uint64_t device, inode;
    int64_t size, seconds, nanoseconds;
    int64_t has_log; /* the file is one with a log */
} stamp;

static stamp stamp_of(const orr_connection *c, const struct stat *file) {
    stamp m = {.set = SET,
               .device = file->st_dev,
               .inode = file->st_ino,
               .size = file->st_size,
               .seconds = file->st_mtim.tv_sec,
               .nanoseconds = file->st_mtim.tv_nsec};
    memcpy(m.boot, c->boot, sizeof m.boot);
    return m;
}

void orr_sqlite_stamp(const orr_connection *c) {
    struct stat file;
    if (stat(sqlite3_db_filename(c->db, "main"), &file) != 0) return;
    stamp m = stamp_of(c, &file);
    m.has_log = orr_sqlite_has_log(c);
    if (pwrite(c->lock, &m, sizeof m, ORR_SQLITE_STAMP_AT) < 0)
        return; /* the disk is full, so nothing is written */
}

/* Whether nobody else has the store open to keep runs, as far as that is said (orr_sqlite_use). */
static bool is_alone(const orr_sqlite *s) {
    return s->user_lock < 0 || !orr_lock_is_taken(s->user_lock, ORR_SQLITE_USERS_BYTE);
}

orr_status orr_sqlite_unchanged(const orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    struct stat file;
    stamp was = {0}, is;
    bool logged;
    if (stat(s->path, &file) != 0) return ORR_OK; /* orr_sqlite_present has looked */
    is = stamp_of(c, &file);
    bool same = pread(c->lock, &was, sizeof was, ORR_SQLITE_STAMP_AT) == (ssize_t)sizeof was &&
                memcmp(&was, &is, offsetof(stamp, has_log)) == 0;
    bool first = !c->met;
    c->met = true;
    if (same) return ORR_OK;
    bool known = was.set == SET && memcmp(was.boot, is.boot, sizeof is.boot) == 0 && was.has_log != 0;
    pairing found = known ? check(s, c, &logged) : PAIRED;
    if (found == FOREIGN && first) return foreign(s, reason);
    if (found == PAIRED || (first && (has_last_tag(c) || is_alone(s)))) {
        orr_sqlite_stamp(c);
        return ORR_OK;
    }
    c->missing = true;
    orr_reason_set(reason,
                   "the file '%s' of the store was overwritten while it was open: end the processes that use "
                   "it, and restore a backup with `orrery restore BACKUP --overwrite`",
                   s->path);
    return ORR_EIO;
}

/* ---- who uses the store ---------------------------------------------------------------------- */

orr_status orr_sqlite_use(orr_sqlite *s, orr_reason *reason) {
    bool own = s->mode == ORR_STORE_OWN;
    int64_t byte = own ? ORR_SQLITE_USERS_BYTE : ORR_SQLITE_LOOKERS_BYTE;
    s->user_lock = orr_lock_open(s->lock_path, own);
    /* who only looks may have no lock file, and who cannot open one is told when it commits */
    if (s->user_lock < 0 || orr_lock_share(s->user_lock, byte) != EAGAIN) return ORR_OK;
    orr_reason_set(reason, "the store '%s' is being restored: wait until that is done", s->path);
    return ORR_EIO;
}
