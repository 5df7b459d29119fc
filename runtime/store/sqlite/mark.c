/* mark.c - what a flush that failed leaves behind, and how the log becomes one again that can be
 * built on.
 *
 * After a failed flush the system takes the pages that it could not write for clean: they are read
 * as they were written, are not on the disk, and are never written again. A commit on top of them
 * would be flushed, and a power cut would lose it, since SQLite reads a log up to its first hole.
 * So the lock file has a mark, set before whatever flushes and taken away when that has worked. It
 * stays where the flush failed or the process died in it. Whoever holds the commit lock next and
 * finds it does this before anything else:
 *
 *   - it checks the frames of the log, from the file, up to the last one that had been committed;
 *   - it writes the log once more as it is, so that its pages are flushed again, and flushes it:
 *     then what comes next may be cut off at any place;
 *   - it has the log written back whole and emptied. A checkpoint that stops at a reader would
 *     leave the next commit behind the hole;
 *   - its own commit, flushed, becomes the first of the new log and takes the mark away.
 *
 * A mark of another boot, or of another log, says nothing: what is on the disk is all there is.
 * The format of the index is that of https://www.sqlite.org/walformat.html.
 */
#include "store/sqlite/inner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint32_t SET = 0x4f52524d; /* "ORRM" */

enum { INDEX_HEADER = 48, FIRST_PAGE = 4096 };

enum { READERS_MS = 1000 }; /* how long readers are waited for: most look for some milliseconds */

/* As it stands in the lock file, in the byte order of the machine, which no other one reads. */
typedef struct mark {
    uint32_t set; /* SET, or 0 */
    uint32_t unused;
    uint8_t boot[16];
    uint64_t device, inode; /* of the log */
    /* frames of the log that were committed, the checksum of the last; 0: there may be none */
    uint32_t frames;
    uint32_t checksum[2];
    uint8_t salt[8];
} mark;

/* ---- the mark -------------------------------------------------------------------------------- */

static void read_boot(uint8_t boot[16]) {
    char text[40] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) close(fd);
    memset(boot, 0, 16);
    for (ssize_t i = 0, at = 0; i < n && at < 32; i++) {
        const char *digits = "0123456789abcdef", *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (digit == NULL) continue;
        boot[at / 2] = (uint8_t)(boot[at / 2] << 4 | (digit - digits));
        at++;
    }
}

static void write_mark(const orr_connection *c, const mark *m) {
    if (pwrite(c->lock, m, sizeof *m, ORR_SQLITE_MARK_AT) < 0)
        return; /* the disk is full: nothing is flushed */
}

static void clear(const orr_connection *c) {
    uint32_t none = 0;
    if (pwrite(c->lock, &none, sizeof none, ORR_SQLITE_MARK_AT) < 0) return; /* then it is heeded once more */
}

/* What was committed, from the index of the log, which only changes under the commit lock. Nothing
 * where all of it was written back: then the next commit begins a new log. */
static void take_frames(sqlite3 *db, mark *m) {
    enum { FRAMES = 16, CHECKSUM = 24, SALT = 32, WRITTEN_BACK = 2 * INDEX_HEADER, REGION = 32768 };
    sqlite3_file *file = NULL;
    void volatile *index = NULL;
    uint32_t written_back;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == NULL ||
        file->pMethods == NULL || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, REGION, 0, &index) != SQLITE_OK || index == NULL)
        return;
    const unsigned char *at = (const unsigned char *)index;
    memcpy(&m->frames, at + FRAMES, sizeof m->frames);
    memcpy(m->checksum, at + CHECKSUM, sizeof m->checksum);
    memcpy(m->salt, at + SALT, sizeof m->salt);
    memcpy(&written_back, at + WRITTEN_BACK, sizeof written_back);
    if (written_back == m->frames) m->frames = 0;
}

bool orr_sqlite_begins_log(const orr_connection *c) {
    mark m = {0};
    take_frames(c->db, &m);
    return m.frames == 0;
}

void orr_sqlite_mark(const orr_connection *c) {
    mark m = {.set = SET, .device = c->log_device, .inode = c->log_inode};
    memcpy(m.boot, c->boot, sizeof m.boot);
    take_frames(c->db, &m);
    write_mark(c, &m);
}

void orr_sqlite_unmark(orr_connection *c, int rc) {
    if ((rc & 0xff) == SQLITE_IOERR || (rc != SQLITE_OK && c->suspect)) return;
    clear(c);
    c->suspect = false;
}

bool orr_sqlite_is_marked(const orr_connection *c) {
    uint32_t set = 0;
    return pread(c->lock, &set, sizeof set, ORR_SQLITE_MARK_AT) == (ssize_t)sizeof set && set == SET;
}

/* ---- the log --------------------------------------------------------------------------------- */

static int read_file(void *file, void *to, size_t n, int64_t at) {
    return ((sqlite3_file *)file)->pMethods->xRead(file, to, (int)n, at);
}

/* SQLITE_CORRUPT where the log has not all the frames that were committed. One with another salt
 * was begun after all of the old one was written back, by us or by another program that uses
 * SQLite: a header is flushed before there are frames behind it. */
static int check_frames(sqlite3_file *log, const mark *m) {
    orr_frames f = {.read = read_file, .ud = log};
    int rc = orr_frames_begin(&f);
    bool same_log = rc == SQLITE_OK && memcmp(f.salt, m->salt, sizeof m->salt) == 0;
    while (same_log && rc == SQLITE_OK && f.n < m->frames) rc = orr_frames_next(&f);
    orr_frames_end(&f);
    bool same_end = f.sum[0] == m->checksum[0] && f.sum[1] == m->checksum[1];
    return rc == SQLITE_OK && same_log && !same_end ? SQLITE_CORRUPT : rc;
}

/* The same bytes at the same places: a reader sees no difference, and the system flushes them. */
static int write_again(sqlite3_file *file, sqlite3_int64 from, sqlite3_int64 size) {
    enum { PART = 64 << 10 };
    unsigned char *part = malloc(PART);
    int rc = part != NULL ? SQLITE_OK : SQLITE_NOMEM;
    for (sqlite3_int64 at = from, end = from + size, n; at < end && rc == SQLITE_OK; at += n) {
        n = end - at < PART ? end - at : PART;
        rc = read_file(file, part, (size_t)n, at);
        if (rc == SQLITE_OK) rc = file->pMethods->xWrite(file, part, (int)n, at);
    }
    free(part);
    return rc;
}

/* ---- mending --------------------------------------------------------------------------------- */

/* Of a new store the first page says that there is a log. And a checkpoint that stopped at a reader
 * has counted its pages as written back without a flush: where the flush of a later one fails,
 * nobody would write them again. So each page that stands in the log is. */
static int mend_pages(orr_connection *c, sqlite3_file *log, sqlite3_int64 log_size) {
    unsigned char head[ORR_LOG_HEADER] = {0};
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc == SQLITE_OK) rc = file->pMethods->xFileSize(file, &size);
    if (rc == SQLITE_OK && log_size > ORR_LOG_HEADER) rc = read_file(log, head, sizeof head, 0);
    sqlite3_int64 page = orr_big_endian(head + 8), at = ORR_LOG_HEADER, frame = ORR_FRAME_HEADER + page;
    if (rc == SQLITE_OK) rc = write_again(file, 0, size < FIRST_PAGE ? size : FIRST_PAGE);
    for (; page > 0 && at + frame <= log_size && rc == SQLITE_OK; at += frame) {
        rc = read_file(log, head, ORR_FRAME_HEADER, at);
        sqlite3_int64 from = ((sqlite3_int64)orr_big_endian(head) - 1) * page;
        if (rc == SQLITE_OK && from > 0 && from + page <= size) rc = write_again(file, from, page);
    }
    return rc == SQLITE_OK && size > 0 ? file->pMethods->xSync(file, SQLITE_SYNC_FULL) : rc;
}

static int mend_log(orr_connection *c, mark *m) {
    sqlite3_file *log = NULL;
    sqlite3_int64 size = 0;
    int rc = sqlite3_exec(c->db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL); /* which opens it */
    if (rc == SQLITE_OK) rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    bool any = log != NULL && log->pMethods != NULL;
    if (rc == SQLITE_OK && any) rc = log->pMethods->xFileSize(log, &size);
    /* pages that are lost make no file shorter: an empty log was written back and cut */
    if (rc == SQLITE_OK && m->frames > 0 && size > 0) rc = check_frames(log, m);
    if (rc == SQLITE_OK && any) rc = write_again(log, 0, size);
    if (rc == SQLITE_OK && any) rc = log->pMethods->xSync(log, SQLITE_SYNC_FULL);
    return rc == SQLITE_OK ? mend_pages(c, log, size) : rc;
}

/* A check of the file gets out of the way when it sees that the log is to be mended. */
static int write_back(orr_connection *c) {
    sqlite3_busy_timeout(c->db, READERS_MS); /* not for as long as others wait for our lock */
    int rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(c->db, ORR_SQLITE_PATIENCE);
    return rc;
}

static orr_status explain(orr_connection *c, int rc, orr_reason *reason) {
    const char *path = sqlite3_db_filename(c->db, "main");
    if (rc == SQLITE_CORRUPT) {
        c->broken = true;
        orr_reason_set(reason,
                       "the store '%s' is damaged: after a flush that failed its log has not all that was "
                       "committed: restore a backup",
                       path);
        return ORR_EIO;
    }
    if ((rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED)
        return orr_sqlite_explain(c->db, rc, "be written", reason);
    orr_reason_set(
        reason,
        "the store '%s' cannot be written: a flush of its log failed, and a program that reads the "
        "store keeps the log from being begun anew: end that program, or wait until it is done",
        path);
    return ORR_EIO;
}

/* A mark without a log is of the commit that made the log. */
static bool applies(const orr_connection *c, const mark *m) {
    return memcmp(m->boot, c->boot, sizeof m->boot) == 0 &&
           (m->inode == 0 || (m->device == c->log_device && m->inode == c->log_inode));
}

/* Of the log as it is: SQLite makes it with the first commit, and anew where it was away. */
static void find_log(const orr_sqlite *s, orr_connection *c) {
    struct stat log = s->log;
    if (log.st_ino == 0 && stat(s->wal_path, &log) != 0) log = (struct stat){0};
    c->log_device = log.st_dev;
    c->log_inode = log.st_ino;
    if (!c->booted) read_boot(c->boot);
    c->booted = true;
}

orr_status orr_sqlite_heed(const orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    mark m = {0};
    find_log(s, c);
    ssize_t n = pread(c->lock, &m, sizeof m, ORR_SQLITE_MARK_AT);
    bool set = n >= (ssize_t)sizeof m.set && m.set == SET;
    c->suspect = set && applies(c, &m);
    if (set && !c->suspect) clear(c);
    if (!c->suspect) return orr_sqlite_unchanged(s, c, reason);
    if (orr_sqlite_check_pair(s, c, reason) != ORR_OK) return ORR_EIO;
    int rc = mend_log(c, &m);
    if (rc == SQLITE_OK) {
        m.frames = 0; /* all of them are on the disk: the log may be emptied from here on */
        write_mark(c, &m);
        orr_sqlite_relax(c->db, false); /* the commit to come is flushed */
        rc = write_back(c);
        orr_sqlite_stamp(c);
    }
    if (rc != SQLITE_OK) return explain(c, rc, reason);
    orr_sqlite_note_crash(s, c, true);
    return ORR_OK;
}
