/* owner.c - this process as an owner of runs, and whether others live.
 *
 * A process that runs something has a row in `owners` and, as long as it lives, a lock on byte
 * OWNER_BYTE + id of the lock file, through a descriptor of its own that nothing else is done with.
 * The kernel releases the lock when the process dies, however it dies. So an owner whose byte can
 * be locked is dead. The number of the row is the fence: every commit of ours asks, within its
 * transaction, whether the row is still good. Who takes runs from a dead owner, or by force from a
 * live one, marks the row as lost; a process that was stopped meanwhile and wakes up finds that it
 * can write nothing.
 */
#include "store/sqlite/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- our own row ----------------------------------------------------------------------------- */

/* What stands in a URL as a password, "://USER:PASSWORD@", is not kept; of one that was cut off the
 * end is not there. */
static void hide_passwords(char *text, bool cut) {
    for (char *at = text; (at = strstr(at, "://"));) {
        at += 3;
        size_t n = strcspn(at, "/?# ");
        char *colon = memchr(at, ':', n), *end = at + n;
        while (end > at && *end != '@' && !(cut && !*end)) end--;
        if (colon && colon < end) memset(colon + 1, '*', (size_t)(end - colon - 1));
    }
}

/* The command line with blanks between its words, as far as it fits. */
static void command_line(char *text, size_t size) {
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;
    if (fd >= 0) close(fd);
    while (n > 0 && text[n - 1] == '\0') n--;
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\0') text[i] = ' ';
    text[n > 0 ? n : 0] = '\0';
    hide_passwords(text, n == (ssize_t)size - 1);
}

static int insert_owner(orr_connection *c, int64_t *id) {
    char host[256] = "", command[512] = "";
    gethostname(host, sizeof host - 1);
    command_line(command, sizeof command);
    orr_field row[] = {orr_field_integer(getpid()),
                       orr_field_text(host),
                       orr_field_text(command),
                       orr_field_real(orr_port_wall()),
                       {.type = ORR_FIELD_NULL}};
    row[4] = orr_field_integer(orr_row_checksum(row, 4));
    int rc = orr_sql_run(c, ORR_SQL_OWNER_NEW, row, 5);
    *id = sqlite3_last_insert_rowid(c->db);
    return rc;
}

static orr_status explain_lock(const orr_sqlite *s, int error, orr_reason *reason) {
    orr_reason_set(reason, "the lock file '%s' of the store cannot be locked (%s): %s", s->lock_path,
                   strerror(error), orr_sqlite_remedy(error, "keep the store on a local disk"));
    return ORR_EIO;
}

orr_status orr_sqlite_open_owner(orr_sqlite *s, orr_reason *reason) {
    if (s->owner_lock < 0) s->owner_lock = orr_lock_open(s->lock_path, true);
    return s->owner_lock >= 0 ? ORR_OK : explain_lock(s, errno, reason);
}

static orr_status become_owner(orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    int64_t id = 0;
    int rc = insert_owner(c, &id);
    if (rc != SQLITE_OK) return orr_sqlite_explain(c->db, rc, "be written", reason);
    orr_status status = orr_sqlite_open_owner(s, reason);
    if (status != ORR_OK) return status;
    int error = orr_lock_try(s->owner_lock, ORR_SQLITE_OWNER_BYTE + id);
    if (error != 0) return explain_lock(s, error, reason);
    orr_sqlite_displace(c, id, false);
    atomic_store(&s->owner, id);
    return ORR_OK;
}

/* ---- being displaced ------------------------------------------------------------------------- */

/* A byte for each owner in the lock file, behind the mark. */
enum { WORDS_AT = 4096 };

enum { STAYS, DISPLACED, DAMAGED };

static void write_word(const orr_connection *c, int64_t owner, unsigned char word) {
    if (pwrite(c->lock, &word, 1, WORDS_AT + owner) < 0) return; /* its next commit tells it */
}

void orr_sqlite_displace(const orr_connection *c, int64_t owner, bool displaced) {
    write_word(c, owner, displaced ? DISPLACED : STAYS);
}

/* The system gives any of the locks in a range. */
static void displace_between(const orr_connection *c, int64_t from, int64_t to) {
    int64_t byte;
    while (from <= to && (byte = orr_lock_find(c->lock, from, to)) >= 0) {
        write_word(c, byte - ORR_SQLITE_OWNER_BYTE, DAMAGED);
        displace_between(c, from, byte - 1);
        from = byte + 1;
    }
}

void orr_sqlite_displace_all(const orr_connection *c) {
    displace_between(c, ORR_SQLITE_OWNER_BYTE + 1, INT64_MAX - 1);
    orr_sqlite_ring(c);
}

bool orr_sqlite_displaced(const orr_store *store, orr_notice_kind *why) {
    const orr_sqlite *s = (const orr_sqlite *)store;
    int64_t owner = atomic_load(&s->owner);
    unsigned char word = STAYS;
    if (owner == 0 || pread(s->owner_lock, &word, 1, WORDS_AT + owner) != 1) return false;
    *why = word == DAMAGED ? ORR_NOTICE_BROKEN : ORR_NOTICE_LOST;
    return word != STAYS;
}

/* Where the lock file is away or another, the next process finds nobody's lock and takes the runs
 * without a word here. */
bool orr_sqlite_owns(const orr_store *store) {
    const orr_sqlite *s = (const orr_sqlite *)store;
    orr_notice_kind why;
    struct stat is;
    return atomic_load(&s->owner) != 0 && !orr_sqlite_displaced(store, &why) &&
           stat(s->lock_path, &is) == 0 && is.st_dev == s->sidecar.st_dev && is.st_ino == s->sidecar.st_ino;
}

void orr_sqlite_disown(orr_sqlite *s) {
    if (s->owner_lock >= 0) close(s->owner_lock);
    s->owner_lock = -1;
    atomic_store(&s->owner, 0);
}

static void who_took(orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    orr_field mine = orr_field_integer(atomic_load(&s->owner));
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_OWNER_NEXT, &mine, 1);
    if (q != NULL && sqlite3_step(q) == SQLITE_ROW)
        orr_reason_set(
            reason,
            "the runs of this process were taken over by process %lld on %s: it can write nothing to "
            "the store '%s' any more; "
            "start it again",
            (long long)sqlite3_column_int64(q, 0), orr_sql_text(q, 1), s->path);
    else
        orr_reason_set(
            reason,
            "the runs of this process were taken over by another process: it can write nothing to the "
            "store '%s' any more; "
            "start it again",
            s->path);
    sqlite3_reset(q);
}

orr_status orr_sqlite_own(orr_sqlite *s, orr_connection *c, bool *made, orr_reason *reason) {
    int64_t open = 0;
    *made = false;
    if (atomic_load(&s->owner) == 0) {
        orr_status status = become_owner(s, c, reason);
        *made = status == ORR_OK;
        return status;
    }
    orr_field mine = orr_field_integer(atomic_load(&s->owner));
    int rc = orr_sql_number(c, ORR_SQL_OWNER_OPEN, &mine, 1, &open);
    if (rc == SQLITE_OK) return ORR_OK;
    if (rc != SQLITE_DONE) return orr_sqlite_explain(c->db, rc, "be read", reason);
    who_took(s, c, reason);
    return ORR_ESTATE;
}

static bool has_row(const orr_sqlite *s) {
    return atomic_load(&s->owner) != 0 && !atomic_load(&s->queue.lost);
}

int orr_sqlite_put_end(orr_sqlite *s, orr_connection *c) {
    orr_field row[] = {orr_field_integer(atomic_load(&s->owner)), orr_field_real(orr_port_wall())};
    return has_row(s) ? orr_sql_run(c, ORR_SQL_OWNER_END, row, 2) : SQLITE_OK;
}

void orr_sqlite_end_owner(orr_sqlite *s, orr_connection *c) {
    orr_reason reason;
    if (!has_row(s) || orr_sqlite_begin(s, c, &reason) != ORR_OK) return;
    int rc = orr_sqlite_put_end(s, c);
    orr_sqlite_end(c, rc == SQLITE_OK ? ORR_OK : ORR_EIO, &reason);
}

/* ---- others ---------------------------------------------------------------------------------- */

bool orr_sqlite_alive(orr_connection *c, int64_t owner) {
    return orr_lock_is_taken(c->lock, ORR_SQLITE_OWNER_BYTE + owner); /* in doubt it lives */
}

/* By the lock, through a descriptor of its own: the store may be one that only looks. */
static bool has_lock(const orr_sqlite *s, int64_t owner) {
    int fd = orr_lock_open(s->lock_path, false);
    if (fd < 0) return errno != ENOENT;
    bool taken = orr_lock_is_taken(fd, ORR_SQLITE_OWNER_BYTE + owner);
    close(fd);
    return taken;
}

orr_status orr_sqlite_owner(orr_store *store, int64_t owner, orr_owner_state *state, orr_reason *reason) {
    enum { LOST, ENDED };
    orr_sqlite *s = (orr_sqlite *)store;
    orr_field key = orr_field_integer(owner);
    if (orr_sqlite_mine(s, reason) == NULL) return ORR_EIO;
    sqlite3_stmt *q = orr_sql_start(&s->mine, ORR_SQL_OWNER_GET, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(s->mine.db);
    bool gone = rc != SQLITE_ROW || sqlite3_column_int(q, LOST) != 0 ||
                sqlite3_column_type(q, ENDED) != SQLITE_NULL;
    sqlite3_reset(q);
    /* containers that share the file share neither process numbers nor a host name, but locks */
    *state = gone || !has_lock(s, owner)       ? ORR_OWNER_GONE
             : owner == atomic_load(&s->owner) ? ORR_OWNER_SELF
                                               : ORR_OWNER_LIVES;
    if (rc == SQLITE_ROW) return ORR_OK;
    if (rc != SQLITE_DONE) return orr_sqlite_explain(s->mine.db, rc, "be read", reason);
    orr_reason_set(reason, "there is no owner %lld in the store '%s'", (long long)owner, s->path);
    return ORR_ENOTFOUND;
}

enum { MOST_DEAD = 64 };

typedef struct dead_owners {
    int64_t ids[MOST_DEAD];
    size_t n;
    int64_t next; /* with these marked, no owner with a lower number looks as if it ran */
} dead_owners;

/* Those that look as if they ran and are dead, as many as there is room for. */
static int find_dead(const orr_sqlite *s, orr_connection *c, dead_owners *dead) {
    int64_t last = 0, lives = 0;
    orr_field from = orr_field_integer(orr_sqlite_first_owner(s, c));
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_OWNERS_OPEN, &from, 1);
    int rc = SQLITE_ERROR;
    while (q != NULL && dead->n < MOST_DEAD && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(q, 0);
        if (!orr_sqlite_alive(c, id)) dead->ids[dead->n++] = id;
        else if (lives == 0) lives = id;
    }
    sqlite3_reset(q);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return sqlite3_extended_errcode(c->db);
    rc = orr_sql_number(c, ORR_SQL_OWNERS_LAST, NULL, 0, &last);
    dead->next = lives != 0 ? lives : dead->n == MOST_DEAD ? dead->ids[MOST_DEAD - 1] : last + 1;
    return rc;
}

static orr_status lose(orr_connection *c, const dead_owners *dead, orr_reason *reason) {
    int rc = SQLITE_OK;
    for (size_t i = 0; i < dead->n && rc == SQLITE_OK; i++) {
        orr_field id = orr_field_integer(dead->ids[i]);
        rc = orr_sql_run(c, ORR_SQL_OWNER_LOSE, &id, 1);
    }
    /* who claims many runs now need not look for each of them in what was committed */
    if (rc == SQLITE_OK) rc = orr_sqlite_merge_all(c);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(c->db, rc, "be written", reason);
}

/* The commit lock is held, or the id may be one that is about to be locked: an owner's row
 * becomes visible only once it is. */
orr_status orr_sqlite_mark_dead(orr_sqlite *s, orr_reason *reason) {
    orr_connection *c = &s->mine;
    dead_owners dead = {0};
    orr_status status = orr_sqlite_lock(s, c, reason);
    if (status != ORR_OK) return status;
    int rc = find_dead(s, c, &dead);
    orr_sqlite_note_crash(s, c, dead.n > 0);
    if (rc == SQLITE_OK && dead.n == 0) orr_sqlite_note_owner(c, dead.next);
    orr_sqlite_unlock(c);
    if (rc != SQLITE_OK) return orr_sqlite_explain(c->db, rc, "be read", reason);
    if (dead.n == 0) return ORR_OK;
    status = orr_sqlite_begin(s, c, reason);
    if (status != ORR_OK) return status;
    status = orr_sqlite_end(c, lose(c, &dead, reason), reason);
    if (status != ORR_OK) return status;
    orr_sqlite_note_owner(c, dead.next);
    /* the tables may be behind what it committed: the writer brings them on when it has time */
    orr_queue_behind(&s->queue);
    return ORR_OK;
}
