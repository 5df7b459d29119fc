/* sqlite_lock.c - one writer at a time, of all processes.
 *
 * SQLite has locks of its own; ours is around them because of a fault in its versions 3.7.0 to 3.51.2, by which two connections that
 * write and checkpoint at the same time can damage the file: whoever commits or checkpoints holds byte COMMIT of the lock file
 * (PATH-lock). It is an open file description lock (fcntl(2), F_OFD_SETLK): the kernel releases it when the process dies, and threads
 * of one process exclude each other as well, each having opened the file for itself.
 *
 * Byte TURN is the queue: who wants to commit takes it first and holds it until he has byte COMMIT. So a process that commits all
 * the time cannot take the lock again before one that waits for it. The file holds the number of the process that committed last, for the
 * message to who waits in vain.
 */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COMMIT = 0, TURN = 1 };

static const int64_t PATIENCE = INT64_C(10000000000), SHORTEST = 20000, LONGEST = 1000000; /* ns */

static int set(int fd, int byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int rc;
    do
        rc = fcntl(fd, F_OFD_SETLK, &lock);
    while (rc != 0 && errno == EINTR);
    return rc;
}

/* There is no wait with a bound, so this asks again and again. ETIMEDOUT, or what fcntl says. */
static int take(int fd, int byte, int64_t until)
{
    int64_t pause = SHORTEST;
    while (set(fd, byte, F_WRLCK) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return errno;
        if (orr_sqlite_now() >= until)
            return ETIMEDOUT;
        struct timespec t = {0, (long)pause};
        nanosleep(&t, NULL);
        pause = pause * 2 < LONGEST ? pause * 2 : LONGEST;
    }
    return 0;
}

static long holder(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

/* Leaves our number, where it is not there already. */
static void sign(int fd)
{
    char text[24];
    if (holder(fd) == (long)getpid())
        return;
    snprintf(text, sizeof text, "%-15ld\n", (long)getpid());
    if (pwrite(fd, text, strlen(text), 0) < 0)
        return; /* it only helps to tell who it was */
}

static orr_status open_file(const orr_sqlite *s, orr_connection *c, char *message, size_t size)
{
    if (c->lock < 0)
        c->lock = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock >= 0)
        return ORR_OK;
    snprintf(message, size, "the lock file '%s' of the store cannot be opened (%s): make it and its directory writable", s->lock_path,
             strerror(errno));
    return ORR_EIO;
}

orr_status orr_sqlite_lock(const orr_sqlite *s, orr_connection *c, char *message, size_t size)
{
    if (open_file(s, c, message, size) != ORR_OK)
        return ORR_EIO;
    int64_t patience = c->patience > 0 ? c->patience : PATIENCE, until = orr_sqlite_now() + patience;
    int error = take(c->lock, TURN, until);
    if (error == 0) {
        error = take(c->lock, COMMIT, until);
        set(c->lock, TURN, F_UNLCK);
    }
    if (error == 0) {
        sign(c->lock);
        return ORR_OK;
    }
    if (error == ETIMEDOUT)
        snprintf(message, size, "the store '%s' has been locked for more than %g s, last by process %ld: let that process go on if it is "
                 "stopped, or end it", s->path, (double)patience / 1e9, holder(c->lock));
    else
        snprintf(message, size, "the lock file '%s' of the store cannot be locked (%s): keep the store on a local disk", s->lock_path,
                 strerror(error));
    return ORR_EIO;
}

void orr_sqlite_unlock(orr_connection *c)
{
    set(c->lock, COMMIT, F_UNLCK);
}

/* ---- transactions under the lock --------------------------------------------------------------------------------------------- */

static bool same(const char *path, const struct stat *was)
{
    struct stat is;
    return stat(path, &is) == 0 && is.st_dev == was->st_dev && is.st_ino == was->st_ino;
}

/* SQLite writes on into a file that was deleted, and what it writes is lost with the last process. */
orr_status orr_sqlite_present(const orr_sqlite *s, char *message, size_t size)
{
    const char *gone = !same(s->path, &s->file) ? s->path
                       : s->log.st_ino != 0 && !same(s->wal_path, &s->log) ? s->wal_path
                       : s->sidecar.st_ino != 0 && !same(s->lock_path, &s->sidecar) ? s->lock_path : NULL;
    if (gone == NULL)
        return ORR_OK;
    snprintf(message, size, "the file '%s' of the store was deleted, moved or replaced while it was open: put it back, or end this process "
             "and start again", gone);
    return ORR_EIO;
}

orr_status orr_sqlite_begin(const orr_sqlite *s, orr_connection *c, char *message, size_t size)
{
    orr_status status = orr_sqlite_lock(s, c, message, size);
    if (status != ORR_OK)
        return status;
    status = orr_sqlite_present(s, message, size);
    if (status == ORR_OK) {
        int rc = orr_sql_run(c, ORR_SQL_BEGIN, NULL, 0);
        if (rc != SQLITE_OK)
            status = orr_sqlite_explain(c->db, rc, "be written", message, size);
    }
    if (status != ORR_OK)
        orr_sqlite_unlock(c);
    return status;
}

orr_status orr_sqlite_end(orr_connection *c, orr_status status, char *message, size_t size)
{
    if (status == ORR_OK) {
        int rc = orr_sql_run(c, ORR_SQL_COMMIT, NULL, 0);
        if (rc != SQLITE_OK)
            status = orr_sqlite_explain(c->db, rc, "be written", message, size);
    }
    if (status != ORR_OK && sqlite3_get_autocommit(c->db) == 0)
        orr_sql_run(c, ORR_SQL_ROLLBACK, NULL, 0);
    orr_sqlite_unlock(c);
    return status;
}
