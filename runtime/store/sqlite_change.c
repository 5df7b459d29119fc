/* sqlite_change.c - small writes of the caller's own, each a transaction under the commit lock: messages, maintenance, backups. */
#include "sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static orr_status wrong(orr_connection *c, int rc, char *message, size_t size)
{
    return orr_sqlite_explain(c->db, rc, "be written", message, size);
}

static int find_run(orr_connection *c, const char *id, int64_t *number, int64_t *owner)
{
    orr_value key = orr_value_text(id);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_RUN_GET, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    if (rc == SQLITE_ROW) {
        *number = sqlite3_column_int64(q, 0);
        *owner = sqlite3_column_int64(q, 1);
        rc = SQLITE_OK;
    }
    sqlite3_reset(q);
    return rc;
}

/* ---- messages ------------------------------------------------------------------------------------------------------------------- */

static orr_status add_message(orr_connection *c, const char *id, const char *name, const char *text, const char *dedup, char *message,
                              size_t size)
{
    int64_t number = 0, owner, one = 0;
    uint64_t seq;
    bool ended = false;
    int rc = find_run(c, id, &number, &owner);
    if (rc == SQLITE_DONE) {
        snprintf(message, size, "there is no run %s in this store", id);
        return ORR_ENOTFOUND;
    }
    orr_value row[] = {orr_value_integer(number), orr_value_text(name), orr_value_text(text), orr_value_text(dedup),
                       orr_value_real(orr_sqlite_wall())};
    orr_value same[] = {row[0], row[3]};
    if (rc == SQLITE_OK && dedup != NULL) {
        rc = orr_sql_number(c, ORR_SQL_INBOX_SENT, same, 2, &one);
        if (rc == SQLITE_OK)
            return ORR_OK;
        rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    if (rc == SQLITE_OK && orr_sqlite_last(c, number, &seq, &ended) != ORR_OK)
        rc = SQLITE_CORRUPT;
    if (rc == SQLITE_OK && ended) {
        snprintf(message, size, "the run %s has ended: nothing can be sent to it", id);
        return ORR_ESTATE;
    }
    if (rc == SQLITE_OK)
        rc = orr_sql_run(c, ORR_SQL_INBOX_ADD, row, 5);
    return rc == SQLITE_OK ? ORR_OK : wrong(c, rc, message, size);
}

orr_status orr_sqlite_send(orr_store *store, const uint8_t run[16], const char *name, const char *text, const char *dedup,
                           char *message, size_t size)
{
    orr_sqlite *s = (orr_sqlite *)store;
    orr_connection *c = &s->mine;
    char id[37];
    orr_run_text(run, id);
    /* a run that was just created is to be found */
    orr_status status = orr_sqlite_durable(store) < store->ticket ? orr_sqlite_sync(store) : ORR_OK;
    if (status != ORR_OK) {
        snprintf(message, size, "the store '%s' cannot be written now: see the reason it gave", s->path);
        return status;
    }
    status = orr_sqlite_begin(s, c, message, size);
    if (status != ORR_OK)
        return status;
    status = orr_sqlite_end(c, add_message(c, id, name, text, dedup, message, size), message, size);
    if (status == ORR_OK && atomic_load(&s->live) > 0) { /* it may be for us */
        pthread_mutex_lock(&s->mutex);
        s->look = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->mutex);
    }
    return status;
}

/* ---- maintenance ---------------------------------------------------------------------------------------------------------------- */

static int change_once(orr_connection *c, const orr_change *change)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(c->db, change->sql, -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = orr_sql_bind(q, change->parameters, change->n);
    while (rc == SQLITE_OK || rc == SQLITE_ROW)
        rc = sqlite3_step(q);
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

orr_status orr_sqlite_change(orr_store *store, const orr_change *changes, size_t n, int64_t *changed, char *message, size_t size)
{
    orr_sqlite *s = (orr_sqlite *)store;
    orr_connection *c = &s->mine;
    orr_status status = orr_sqlite_begin(s, c, message, size);
    if (status != ORR_OK)
        return status;
    int64_t before = sqlite3_total_changes64(c->db);
    for (size_t i = 0; i < n && status == ORR_OK; i++) {
        int rc = change_once(c, &changes[i]);
        if (rc == SQLITE_ERROR || rc == SQLITE_RANGE || (rc & 0xff) == SQLITE_CONSTRAINT) {
            snprintf(message, size, "the change is wrong: %s, in: %.200s", sqlite3_errmsg(c->db), changes[i].sql);
            status = ORR_EINVAL;
        } else if (rc != SQLITE_OK) {
            status = wrong(c, rc, message, size);
        }
    }
    *changed = sqlite3_total_changes64(c->db) - before;
    status = orr_sqlite_end(c, status, message, size);
    if (status != ORR_OK)
        *changed = 0;
    return status;
}

/* Everything that says whose run it is. */
static const char *const belongings[] = {"journal", "nodes", "attempts", "steps", "signals", "timers", "logs", "inbox"};

static int remove_run(orr_connection *c, int64_t number)
{
    char sql[96];
    orr_value key = orr_value_integer(number);
    int rc = orr_sqlite_settle_all(c);
    for (size_t i = 0; i < sizeof belongings / sizeof belongings[0] && rc == SQLITE_OK; i++) {
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE run = ?1", belongings[i]);
        rc = change_once(c, &(orr_change){sql, &key, 1});
    }
    return rc == SQLITE_OK ? change_once(c, &(orr_change){"DELETE FROM runs WHERE number = ?1", &key, 1}) : rc;
}

static bool owned(orr_sqlite *s, int64_t owner)
{
    orr_value key = orr_value_integer(owner);
    int64_t fit = 0;
    if (owner == 0 || orr_sql_number(&s->mine, ORR_SQL_OWNER_FIT, &key, 1, &fit) != SQLITE_OK)
        return false;
    return owner != atomic_load(&s->owner) && orr_sqlite_alive(&s->mine, owner);
}

orr_status orr_sqlite_drop(orr_store *store, const uint8_t run[16])
{
    orr_sqlite *s = (orr_sqlite *)store;
    char id[37], message[ORR_SQLITE_MESSAGE];
    int64_t number = 0, owner = 0;
    if (orr_journals_find(&s->journals, run) != NULL)
        return ORR_ESTATE;
    orr_status status = orr_sqlite_durable(store) < store->ticket ? orr_sqlite_sync(store) : ORR_OK;
    if (status == ORR_OK)
        status = orr_sqlite_begin(s, &s->mine, message, sizeof message);
    if (status != ORR_OK)
        return status;
    orr_run_text(run, id);
    int rc = find_run(&s->mine, id, &number, &owner);
    if (rc == SQLITE_DONE)
        status = ORR_ENOTFOUND;
    else if (rc == SQLITE_OK && owned(s, owner))
        status = ORR_ESTATE;
    else if (rc != SQLITE_OK || remove_run(&s->mine, number) != SQLITE_OK)
        status = ORR_EIO;
    return orr_sqlite_end(&s->mine, status, message, sizeof message);
}

/* ---- tables ---------------------------------------------------------------------------------------------------------------------- */

/* In slices, so that commits of others need not wait for long, and none of them flushed: it can be done again. */
static orr_status bring_all(orr_sqlite *s, orr_connection *c, char *message, size_t size)
{
    int64_t until = -1;
    bool more = true;
    orr_status status = ORR_OK;
    while (more && status == ORR_OK) {
        status = orr_sqlite_begin(s, c, message, size);
        if (status == ORR_OK)
            status = orr_sqlite_end(c, orr_sqlite_bring(c, ORR_SQLITE_SLICE, &until, &more, message, size), message, size);
    }
    return status;
}

orr_status orr_sqlite_project_now(orr_store *store, char *message, size_t size)
{
    static const int64_t PATIENCE = 500000000; /* ns: who only wants to look is not held up by one that does not go on */
    orr_sqlite *s = (orr_sqlite *)store;
    orr_connection *c = &s->mine;
    int64_t behind = 0;
    orr_status status = orr_sqlite_durable(store) < store->ticket ? orr_sqlite_sync(store) : ORR_OK;
    if (status != ORR_OK) {
        snprintf(message, size, "the store '%s' cannot be written now: see the reason it gave", s->path);
        return status;
    }
    int rc = orr_sql_number(c, ORR_SQL_BEHIND, NULL, 0, &behind);
    if (rc != SQLITE_OK)
        return orr_sqlite_explain(c->db, rc, "be read", message, size);
    if (behind == 0)
        return ORR_OK;
    c->patience = PATIENCE;
    orr_sqlite_relax(c->db, true);
    status = bring_all(s, c, message, size);
    orr_sqlite_relax(c->db, false);
    c->patience = 0;
    return status;
}

/* ---- backups --------------------------------------------------------------------------------------------------------------------- */

/* Copies a snapshot, as a reader does, so nobody waits. VACUUM INTO reads one state of the file, log included, and writes
 * it without gaps into a new file, which it makes durable. */
static orr_status copy(orr_sqlite *s, const char *part, char *message, size_t size)
{
    orr_connection c = {.lock = -1};
    orr_status status = orr_sqlite_connect(s, &c, SQLITE_OPEN_READWRITE, 1024, message, size);
    if (status != ORR_OK)
        return status;
    orr_value path = orr_value_text(part);
    int rc = change_once(&c, &(orr_change){"VACUUM INTO ?1", &path, 1});
    if (rc != SQLITE_OK)
        status = orr_sqlite_explain(c.db, rc, "be copied", message, size);
    orr_sqlite_disconnect(&c);
    return status;
}

static void flush_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* The directory too, so that the name is on disk with the file. */
static void flush_names(const char *path)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash - path) >= sizeof directory - 1) {
        flush_path(".", O_RDONLY | O_DIRECTORY);
        return;
    }
    memcpy(directory, path, (size_t)(slash - path) + 1);
    directory[slash - path + 1] = '\0';
    flush_path(directory, O_RDONLY | O_DIRECTORY);
}

/* The name appears when the copy is whole. */
orr_status orr_sqlite_backup(orr_store *store, const char *path, char *message, size_t size)
{
    orr_sqlite *s = (orr_sqlite *)store;
    char part[4096];
    if (access(path, F_OK) == 0) {
        snprintf(message, size, "the file '%s' is there already: remove it, or name another file for the backup", path);
        return ORR_ESTATE;
    }
    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part) {
        snprintf(message, size, "the path '%.60s...' is too long for a backup: use a shorter one", path);
        return ORR_EINVAL;
    }
    orr_status status = orr_sqlite_durable(store) < store->ticket ? orr_sqlite_sync(store) : ORR_OK;
    if (status != ORR_OK) {
        snprintf(message, size, "the store '%s' cannot be written now: see the reason it gave", s->path);
        return status;
    }
    unlink(part);
    status = copy(s, part, message, size);
    if (status == ORR_OK) {
        flush_path(part, O_RDONLY);
        if (link(part, path) != 0) {
            snprintf(message, size, "the backup '%s' cannot be given its name: check that its directory can be written", path);
            status = ORR_EIO;
        }
        flush_names(path);
    }
    unlink(part);
    return status;
}
