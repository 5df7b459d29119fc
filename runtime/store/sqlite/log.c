/* log.c - the write-ahead log: made longer ahead of the commits, written back, and cut.
 *
 * A flush of a file that has grown also writes its new size, which on ext4 is one write more to the
 * disk and doubles the time of a commit. A log that was written back is overwritten from its start,
 * but until then it grows. So it is made longer by as much as it has, ahead of the commits, with
 * zeros. To SQLite those are nothing: it reads a log up to the first frame whose salt or checksum
 * is wrong (https://www.sqlite.org/fileformat2.html, 4.4). A store that writes little never gets
 * that far.
 *
 * Zeros stand behind a header that was flushed, never in place of one. A log that was cut may be
 * back after a power cut, whole, which does no harm; with zeros in its middle only its first frames
 * would count, and they are older than what was written back.
 */
#include "store/sqlite/inner.h"

#include <fcntl.h>
#include <unistd.h>

/* bytes of a frame; frames */
enum { FRAME = 24 + 4096, FIRST = 64, AHEAD = 32, MOST = ORR_SQLITE_WAL_PAGES * 5 / 4 };

/* ---- how long it is -------------------------------------------------------------------------- */

/* How long the log is after a commit; called by SQLite within it. */
static int count_frames(void *ud, sqlite3 *db, const char *name, int frames) {
    orr_sqlite_writer *w = ud;
    (void)db, (void)name;
    if (frames < w->frames) { /* it was begun anew */
        w->checkpoint_at = ORR_SQLITE_WAL_PAGES;
        w->log_size = w->log_size < INT64_MAX ? 0 : INT64_MAX; /* and perhaps cut */
    }
    w->frames = frames;
    return SQLITE_OK;
}

void orr_sqlite_watch_log(orr_sqlite *s) {
    s->writer.checkpoint_at = ORR_SQLITE_WAL_PAGES;
    sqlite3_wal_hook(s->writer.connection.db, count_frames, &s->writer);
}

/* ---- longer ---------------------------------------------------------------------------------- */

/* False where not all of it could be written; then the file is as it was. */
static bool append_zeros(const char *path, int64_t from, int64_t to) {
    static const char zeros[64 << 10];
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int64_t at = from;
    while (fd >= 0 && at < to) {
        size_t size = to - at < (int64_t)sizeof zeros ? (size_t)(to - at) : sizeof zeros;
        ssize_t n = pwrite(fd, zeros, size, at);
        if (n <= 0) break;
        at += n;
    }
    bool done = fd >= 0 && at == to;
    if (fd >= 0 && !done && ftruncate(fd, from) != 0) done = false; /* zeros do no harm but take room */
    if (fd >= 0) close(fd);
    return done;
}

void orr_sqlite_lengthen(orr_sqlite *s) {
    orr_sqlite_writer *w = &s->writer;
    struct stat log;
    int64_t used = (int64_t)w->frames * FRAME;
    if (w->frames < FIRST || used + AHEAD * FRAME <= w->log_size || w->log_size >= MOST * (int64_t)FRAME ||
        stat(s->wal_path, &log) != 0)
        return;
    if (log.st_size < used) { /* another process cut it: the next commit begins it with a header */
        w->frames = 0;
        return;
    }
    w->log_size = log.st_size;
    int64_t wanted = used * 2 < MOST * (int64_t)FRAME ? used * 2 : MOST * (int64_t)FRAME;
    if (wanted > w->log_size) /* where the disk is full commits will say so, and need what is left */
        w->log_size = append_zeros(s->wal_path, w->log_size, wanted) ? wanted : INT64_MAX;
}

/* ---- shorter --------------------------------------------------------------------------------- */

/* A log that was written back whole is overwritten from its start, which is faster than making
 * the file longer and keeps it small. */
void orr_sqlite_checkpoint(const orr_sqlite *s, orr_connection *c, bool all) {
    orr_reason reason;
    if (orr_sqlite_lock(s, c, &reason) != ORR_OK) return;
    if (orr_sqlite_present(s, &reason) == ORR_OK && orr_sqlite_heed(s, c, &reason) == ORR_OK && !c->suspect) {
        sqlite3_busy_timeout(c->db, 0); /* a reader is not waited for: others wait for our lock */
        orr_sqlite_mark(c);
        int rc = sqlite3_wal_checkpoint_v2(
            c->db, NULL, all ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        orr_sqlite_stamp(c);
        orr_sqlite_unmark(c, rc);
        sqlite3_busy_timeout(c->db, ORR_SQLITE_PATIENCE);
    }
    orr_sqlite_unlock(c);
}

void orr_sqlite_tidy(const orr_sqlite *s, orr_connection *c) {
    struct stat log;
    if (stat(s->wal_path, &log) == 0 && log.st_size > ORR_SQLITE_WAL_LIMIT) orr_sqlite_checkpoint(s, c, true);
}

/* ---- when ------------------------------------------------------------------------------------ */

/* While a reader is in the way, each try is made a little later: one that cannot finish costs
 * time as well. */
static void bound(orr_sqlite *s) {
    orr_sqlite_writer *w = &s->writer;
    if (w->frames < w->checkpoint_at) return;
    orr_sqlite_checkpoint(s, &w->connection, false);
    w->checkpoint_at = w->frames + ORR_SQLITE_WAL_PAGES / 4;
}

/* A copy of the file alone is to be seen as one of a file in use: the row of this process goes into
 * it as soon as there is time. */
static void show(orr_sqlite *s) {
    orr_sqlite_writer *w = &s->writer;
    if (!w->is_shown && atomic_load(&s->owner) != 0) orr_sqlite_checkpoint(s, &w->connection, false);
    w->is_shown = w->is_shown || atomic_load(&s->owner) != 0;
}

/* The row of this process says that it has ended, and the log is empty. */
static void leave(orr_sqlite *s) {
    orr_connection *c = &s->writer.connection;
    orr_sqlite_relax(c->db, true); /* the checkpoint flushes it */
    if (!s->writer.has_left) orr_sqlite_end_owner(s, c);
    orr_sqlite_checkpoint(s, c, true);
}

void orr_sqlite_rest(orr_queue *q, orr_queue_rest when) {
    orr_sqlite *s = (orr_sqlite *)q;
    switch (when) {
    case ORR_REST_WRITTEN: bound(s); break;
    case ORR_REST_PROJECTED:
        show(s);
        orr_sqlite_tidy(s, &s->writer.connection);
        break;
    case ORR_REST_LEAVING: leave(s); break;
    }
}
