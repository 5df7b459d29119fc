/* sqlite_owner.c - which process owns a run, and whether it lives.
 *
 * A process that runs something has a row in `owners` and, as long as it lives, a lock on byte OWNER_BYTE + id of the lock file, through
 * a descriptor of its own that nothing else is done with. The kernel releases the lock when the process dies, however it dies. So
 * an owner whose byte can be locked is dead. The number of the row is the fence: every commit of ours asks, within its transaction,
 * whether the row is still good. Who takes runs from a dead owner, or by force from a live one, marks the row as lost; a process that was
 * stopped meanwhile and wakes up finds that it can write nothing.
 */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- our own row ------------------------------------------------------------------------------------------------------------- */

static struct flock byte_of(int64_t owner)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = ORR_SQLITE_OWNER_BYTE + owner, .l_len = 1};
}

/* The command line with blanks between its words, as far as it fits. */
static void command_line(char *text, size_t size)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;
    if (fd >= 0)
        close(fd);
    while (n > 0 && text[n - 1] == '\0')
        n--;
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    text[n > 0 ? n : 0] = '\0';
}

static int insert_owner(orr_connection *c, int64_t *id)
{
    char host[256] = "", command[512] = "";
    gethostname(host, sizeof host - 1);
    command_line(command, sizeof command);
    orr_value row[] = {orr_value_integer(getpid()), orr_value_text(host), orr_value_text(command), orr_value_real(orr_sqlite_wall())};
    int rc = orr_sql_run(c, ORR_SQL_OWNER_NEW, row, 4);
    *id = sqlite3_last_insert_rowid(c->db);
    return rc;
}

static orr_status become_owner(orr_sqlite *s, orr_connection *c, char *message, size_t size)
{
    int64_t id = 0;
    int rc = insert_owner(c, &id);
    if (rc != SQLITE_OK)
        return orr_sqlite_explain(c->db, rc, "be written", message, size);
    struct flock lock = byte_of(id);
    int fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        snprintf(message, size, "the lock file '%s' of the store cannot be locked (%s): keep the store on a local disk", s->lock_path,
                 strerror(errno));
        if (fd >= 0)
            close(fd);
        return ORR_EIO;
    }
    s->owner_lock = fd;
    atomic_store(&s->owner, id);
    return ORR_OK;
}

void orr_sqlite_disown(orr_sqlite *s)
{
    if (s->owner_lock >= 0)
        close(s->owner_lock);
    s->owner_lock = -1;
    atomic_store(&s->owner, 0);
}

static void who_took(orr_sqlite *s, orr_connection *c, char *message, size_t size)
{
    orr_value mine = orr_value_integer(atomic_load(&s->owner));
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_OWNER_NEXT, &mine, 1);
    if (q != NULL && sqlite3_step(q) == SQLITE_ROW)
        snprintf(message, size, "the runs of this process were taken over by process %lld on %s: it can write nothing to the store '%s' any more; "
                 "start it again", (long long)sqlite3_column_int64(q, 0), orr_sql_text(q, 1), s->path);
    else
        snprintf(message, size, "the runs of this process were taken over by another process: it can write nothing to the store '%s' any more; "
                 "start it again", s->path);
    sqlite3_reset(q);
}

orr_status orr_sqlite_own(orr_sqlite *s, orr_connection *c, bool *made, char *message, size_t size)
{
    int64_t fit = 0;
    *made = false;
    if (atomic_load(&s->owner) == 0) {
        orr_status status = become_owner(s, c, message, size);
        *made = status == ORR_OK;
        return status;
    }
    orr_value mine = orr_value_integer(atomic_load(&s->owner));
    int rc = orr_sql_number(c, ORR_SQL_OWNER_FIT, &mine, 1, &fit);
    if (rc == SQLITE_OK)
        return ORR_OK;
    if (rc != SQLITE_DONE)
        return orr_sqlite_explain(c->db, rc, "be read", message, size);
    who_took(s, c, message, size);
    return ORR_ESTATE;
}

/* ---- others -------------------------------------------------------------------------------------------------------------------- */

bool orr_sqlite_alive(orr_connection *c, int64_t owner)
{
    struct flock lock = byte_of(owner);
    return fcntl(c->lock, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK; /* in doubt it lives */
}

/* The dead among those that look as if they ran, at most `most`. Their rows in *dead. */
static int find_dead(orr_connection *c, int64_t *dead, size_t most, size_t *n)
{
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_OWNERS_OPEN, NULL, 0);
    int rc = SQLITE_ERROR;
    *n = 0;
    while (q != NULL && *n < most && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(q, 0);
        if (!orr_sqlite_alive(c, id))
            dead[(*n)++] = id;
    }
    sqlite3_reset(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : sqlite3_extended_errcode(c->db);
}

/* The process died in the middle of something. SQLite keeps the file whole, disks and memory do not always. */
static orr_status check_file(orr_sqlite *s, char *message, size_t size)
{
    sqlite3_stmt *q;
    int rc = sqlite3_prepare_v2(s->mine.db, "PRAGMA quick_check(1)", -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    bool good = rc == SQLITE_ROW && strcmp(orr_sql_text(q, 0), "ok") == 0;
    sqlite3_finalize(q);
    if (good)
        return ORR_OK;
    return orr_sqlite_explain(s->mine.db, rc == SQLITE_ROW ? SQLITE_CORRUPT : rc, "be used", message, size);
}

/* The commit lock is held, or the id may be one that is about to be locked: an owner's row becomes visible only once it is. */
orr_status orr_sqlite_bury(orr_sqlite *s, char *message, size_t size)
{
    enum { MOST = 64 };
    int64_t dead[MOST];
    size_t n = 0;
    orr_status status = orr_sqlite_lock(s, &s->mine, message, size);
    if (status != ORR_OK)
        return status;
    int rc = find_dead(&s->mine, dead, MOST, &n);
    orr_sqlite_unlock(&s->mine);
    if (rc != SQLITE_OK)
        return orr_sqlite_explain(s->mine.db, rc, "be read", message, size);
    if (n == 0)
        return ORR_OK;
    status = check_file(s, message, size);
    if (status == ORR_OK)
        status = orr_sqlite_begin(s, &s->mine, message, size);
    if (status != ORR_OK)
        return status;
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
        orr_value id = orr_value_integer(dead[i]);
        rc = orr_sql_run(&s->mine, ORR_SQL_OWNER_LOSE, &id, 1);
    }
    if (rc == SQLITE_OK) /* who claims many runs now need not look for each of them in what was committed */
        rc = orr_sqlite_settle_all(&s->mine);
    if (rc != SQLITE_OK)
        status = orr_sqlite_explain(s->mine.db, rc, "be written", message, size);
    status = orr_sqlite_end(&s->mine, status, message, size);
    if (status == ORR_OK) /* the tables may be behind what it committed: the writer brings them on when it has time */
        atomic_store(&s->unprojected, orr_sqlite_now());
    return status;
}

/* ---- taking a run over ------------------------------------------------------------------------------------------------------- */

static void say_owner(sqlite3_stmt *q, const char *id, char *message, size_t size)
{
    time_t since = (time_t)sqlite3_column_double(q, 2);
    struct tm tm;
    char when[32] = "";
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&since, &tm));
    snprintf(message, size, "process %lld on %s runs %s since %s: wait for it or end it, or take the run with force",
             (long long)sqlite3_column_int64(q, 0), orr_sql_text(q, 1), id, when);
}

/* Whether the owner is gone, or is made to be. ORR_ESTATE for one that lives. */
static orr_status displace(orr_sqlite *s, int64_t owner, bool force, const char *id, char *message, size_t size)
{
    orr_connection *c = &s->mine;
    orr_value key = orr_value_integer(owner);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_OWNER_GET, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    bool known = rc == SQLITE_ROW, gone = !known || sqlite3_column_int(q, 3) != 0 || sqlite3_column_type(q, 4) != SQLITE_NULL;
    bool lives = !gone && orr_sqlite_alive(c, owner);
    if (lives && !force)
        say_owner(q, id, message, size);
    sqlite3_reset(q);
    if (!known && rc != SQLITE_DONE)
        return orr_sqlite_explain(c->db, rc, "be read", message, size);
    if (lives && !force)
        return ORR_ESTATE;
    rc = gone ? SQLITE_OK : orr_sql_run(c, ORR_SQL_OWNER_LOSE, &key, 1);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(c->db, rc, "be written", message, size);
}

static orr_status find_run(orr_connection *c, const char *id, int64_t *number, int64_t *owner, char *message, size_t size)
{
    orr_value key = orr_value_text(id);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_RUN_GET, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    if (rc == SQLITE_ROW) {
        *number = sqlite3_column_int64(q, 0);
        *owner = sqlite3_column_int64(q, 1);
    }
    sqlite3_reset(q);
    if (rc == SQLITE_DONE)
        snprintf(message, size, "there is no run %s in this store", id);
    return rc == SQLITE_ROW ? ORR_OK : rc == SQLITE_DONE ? ORR_ENOTFOUND : orr_sqlite_explain(c->db, rc, "be read", message, size);
}

static orr_status last_record(orr_connection *c, int64_t number, uint64_t *last, char *message, size_t size)
{
    bool ended;
    return orr_sqlite_last(c, number, last, &ended) == ORR_OK ? ORR_OK : orr_sqlite_explain(c->db, SQLITE_CORRUPT, "be read", message, size);
}

/* Within the transaction. */
static orr_status take(orr_sqlite *s, orr_sqlite_journal *j, const char *id, bool force, bool *made, char *message, size_t size)
{
    int64_t owner = 0;
    orr_status status = find_run(&s->mine, id, &j->number, &owner, message, size);
    if (status == ORR_OK)
        status = orr_sqlite_own(s, &s->mine, made, message, size);
    if (status == ORR_OK && owner != 0 && owner != atomic_load(&s->owner))
        status = displace(s, owner, force, id, message, size);
    if (status == ORR_OK)
        status = last_record(&s->mine, j->number, &j->base.last, message, size);
    if (status != ORR_OK || owner == atomic_load(&s->owner))
        return status;
    orr_value row[] = {orr_value_integer(j->number), orr_value_integer(atomic_load(&s->owner))};
    int rc = orr_sql_run(&s->mine, ORR_SQL_RUN_OWNER, row, 2);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(s->mine.db, rc, "be written", message, size);
}

/* Who owns a run matters only to processes that run now, so nobody waits for the disk: the next commit takes this one along, and a
 * power cut ends all owners. */
static orr_status claim(orr_sqlite *s, orr_sqlite_journal *j, const char *id, bool force, char *message, size_t size)
{
    bool made = false;
    orr_sqlite_relax(s->mine.db, true);
    orr_status status = orr_sqlite_begin(s, &s->mine, message, size);
    if (status == ORR_OK)
        status = orr_sqlite_end(&s->mine, take(s, j, id, force, &made, message, size), message, size);
    orr_sqlite_relax(s->mine.db, false);
    if (status != ORR_OK && made)
        orr_sqlite_disown(s);
    return status;
}

/* Whether this process has let go of the run and the file does not say so yet. */
static bool is_leaving(const orr_sqlite *s, const uint8_t run[16])
{
    for (const orr_sqlite_journal *j = s->leaving; j != NULL; j = j->leaving)
        if (memcmp(j->base.run, run, 16) == 0)
            return true;
    return false;
}

orr_journal *orr_sqlite_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status, char *message, size_t size)
{
    orr_sqlite *s = (orr_sqlite *)store;
    char id[37];
    orr_run_text(run, id);
    *status = ORR_ESTATE;
    if (s->mode != ORR_STORE_OWN)
        snprintf(message, size, "the store '%s' was opened to look at only: open it to keep runs", s->path);
    else if (orr_journals_find(&s->journals, run) != NULL)
        snprintf(message, size, "this process runs %s already", id);
    else if (is_leaving(s, run) && (*status = orr_sqlite_sync(store)) != ORR_OK)
        snprintf(message, size, "the store '%s' cannot be written now: see the reason it gave", s->path);
    else {
        orr_sqlite_journal *j = orr_sqlite_handle(s, run);
        *status = j != NULL ? claim(s, j, id, force, message, size) : ORR_ENOMEM;
        if (*status == ORR_OK) {
            orr_sqlite_expect(s, j->number, run);
            return &j->base;
        }
        if (j != NULL)
            orr_sqlite_unhandle(s, j);
    }
    return NULL;
}
