/* lock.c - one writer at a time, of all processes.
 *
 * SQLite has locks of its own; ours is around them because of a fault in its versions 3.7.0 to
 * 3.51.2, by which two connections that write and checkpoint at the same time can damage the file:
 * whoever commits or checkpoints holds byte COMMIT of the lock file (PATH-lock; port/lock.c). The
 * system releases it when the process dies, and threads of one process exclude each other as well,
 * each having opened the file for itself.
 *
 * Byte TURN is the queue: who wants to commit takes it first and holds it until he has byte COMMIT.
 * So a process that commits all the time cannot take the lock again before one that waits for it.
 * The file holds the number of the process that committed last, for the reason that who waits in
 * vain is given.
 */
#include "store/sqlite/inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t PATIENCE = INT64_C(10000000000); /* ns */

static long number_in(int fd) {
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

long orr_sqlite_holder(const orr_connection *c) {
    return number_in(c->lock);
}

/* Leaves our number, where it is not there already. */
static void sign(int fd) {
    char text[24];
    if (number_in(fd) == (long)getpid()) return;
    snprintf(text, sizeof text, "%-15ld\n", (long)getpid());
    if (pwrite(fd, text, strlen(text), 0) < 0) return; /* it only helps to say who it was */
}

static orr_status open_file(const orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    if (c->lock < 0) c->lock = orr_lock_open(s->lock_path, true);
    if (c->lock >= 0) return ORR_OK;
    orr_reason_set(reason, "the lock file '%s' of the store cannot be opened (%s): %s", s->lock_path,
                   strerror(errno), orr_sqlite_remedy(errno, "make it and its directory writable"));
    return ORR_EIO;
}

orr_status orr_sqlite_lock(const orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    if (open_file(s, c, reason) != ORR_OK) return ORR_EIO;
    int64_t patience = c->patience > 0 ? c->patience : PATIENCE, until = orr_port_now() + patience;
    int error = orr_lock_wait(c->lock, ORR_SQLITE_TURN_BYTE, until);
    if (error == 0) {
        error = orr_lock_wait(c->lock, ORR_SQLITE_COMMIT_BYTE, until);
        orr_lock_release(c->lock, ORR_SQLITE_TURN_BYTE);
    }
    if (error == 0) {
        sign(c->lock);
        return ORR_OK;
    }
    if (error == ETIMEDOUT)
        orr_reason_set(
            reason,
            "the store '%s' has been locked for more than %g s, last by process %ld: let that process "
            "go on if it is "
            "stopped, or end it",
            s->path, (double)patience / 1e9, number_in(c->lock));
    else
        orr_reason_set(reason, "the lock file '%s' of the store cannot be locked (%s): %s", s->lock_path,
                       strerror(error), orr_sqlite_remedy(error, "keep the store on a local disk"));
    return ORR_EIO;
}

void orr_sqlite_unlock(orr_connection *c) {
    orr_lock_release(c->lock, ORR_SQLITE_COMMIT_BYTE);
}

/* ---- transactions under the lock ------------------------------------------------------------- */

static bool same(const char *path, const struct stat *was) {
    struct stat is;
    return stat(path, &is) == 0 && is.st_dev == was->st_dev && is.st_ino == was->st_ino;
}

/* SQLite writes on into a file that was deleted, and what it writes is lost with the last
 * process. */
orr_status orr_sqlite_present(const orr_sqlite *s, orr_reason *reason) {
    const char *gone = !same(s->path, &s->file)                                     ? s->path
                       : s->log.st_ino != 0 && !same(s->wal_path, &s->log)          ? s->wal_path
                       : s->sidecar.st_ino != 0 && !same(s->lock_path, &s->sidecar) ? s->lock_path
                                                                                    : NULL;
    if (gone == NULL) return ORR_OK;
    orr_reason_set(
        reason,
        "the file '%s' of the store was deleted, moved or replaced while it was open: put it back, or "
        "end this process "
        "and start again",
        gone);
    return ORR_EIO;
}

static void roll_back(orr_connection *c) {
    if (sqlite3_get_autocommit(c->db) == 0) orr_sql_run(c, ORR_SQL_ROLLBACK, NULL, 0);
}

orr_status orr_sqlite_begin(const orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    orr_status status = orr_sqlite_lock(s, c, reason);
    if (status != ORR_OK) return status;
    status = orr_sqlite_present(s, reason);
    c->missing = status != ORR_OK;
    if (status == ORR_OK) status = orr_sqlite_sound(s, c, reason);
    if (status == ORR_OK) status = orr_sqlite_heed(s, c, reason);
    if (status == ORR_OK) {
        int rc = orr_sql_run(c, ORR_SQL_BEGIN, NULL, 0);
        if (rc == SQLITE_OK && (rc = orr_sqlite_begin_log(s, c)) != SQLITE_OK) roll_back(c);
        if (rc != SQLITE_OK) status = orr_sqlite_explain(c->db, rc, "be written", reason);
    }
    if (status != ORR_OK) orr_sqlite_unlock(c);
    return status;
}

orr_status orr_sqlite_finish(orr_connection *c, orr_status status, orr_reason *reason) {
    if (status == ORR_OK) {
        orr_sqlite_mark(c);
        int rc = orr_sql_run(c, ORR_SQL_COMMIT, NULL, 0);
        if (rc != SQLITE_OK) status = orr_sqlite_explain(c->db, rc, "be written", reason);
        else if (c->stamps) orr_sqlite_stamp(c);
        orr_sqlite_unmark(c, rc);
    } else if ((sqlite3_errcode(c->db) & 0xff) == SQLITE_IOERR)
        orr_sqlite_mark(c); /* what did not fit into memory is written before the commit */
    if (status != ORR_OK) roll_back(c);
    return status;
}

orr_status orr_sqlite_end(orr_connection *c, orr_status status, orr_reason *reason) {
    status = orr_sqlite_finish(c, status, reason);
    orr_sqlite_unlock(c);
    return status;
}
