/* restore.c - a backup in the place of a store.
 *
 * The backup is copied beside the store and read whole there: every page, and the journal of every
 * run. Only then does it get the name. What is left of the store that was there, its log and what
 * its lock file says, goes after that: until then the log belongs to another file, and who opens
 * the store is told so (pair.c).
 */
#include "store/sqlite/inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct restoring {
    orr_sqlite from, to; /* of `to` the names alone */
    char *part;
    int lock; /* of the store: that of all users */
} restoring;

/* ---- the backup ------------------------------------------------------------------------------ */

static orr_status look(orr_sqlite *from, const char *backup, orr_reason *reason) {
    bool current;
    orr_status status = orr_sqlite_find(from, backup, false, reason);
    if (status == ORR_OK) status = orr_sqlite_check_file(from, reason);
    if (status == ORR_OK && from->file.st_size == 0) {
        orr_reason_set(reason, "the file '%s' is empty and no backup: name another", backup);
        return ORR_EINVAL;
    }
    if (status == ORR_OK) status = orr_sqlite_connect(from, &from->mine, SQLITE_OPEN_READWRITE, 1024, reason);
    return status == ORR_OK ? orr_sqlite_version(from->mine.db, &current, reason) : status;
}

static bool any_record(void *ud, uint64_t seq, const void *bytes, size_t size) {
    (void)ud, (void)seq, (void)bytes, (void)size;
    return true;
}

static orr_status read_journals(orr_store *store, orr_reason *reason) {
    orr_connection *c = &((orr_sqlite *)store)->mine;
    sqlite3_stmt *q = NULL;
    uint8_t run[16];
    int rc = sqlite3_prepare_v2(c->db, "SELECT id FROM runs ORDER BY number", -1, &q, NULL);
    orr_status status = ORR_OK;
    while (status == ORR_OK && (rc == SQLITE_OK || rc == SQLITE_ROW) && (rc = sqlite3_step(q)) == SQLITE_ROW)
        if (orr_run_parse(orr_sql_text(q, 0), run))
            status = orr_sqlite_read(store, run, 0, any_record, NULL, reason);
    if (status == ORR_OK && rc != SQLITE_DONE) status = orr_sqlite_explain(c->db, rc, "be read", reason);
    sqlite3_finalize(q);
    return status;
}

/* As a store, and whole. */
static orr_status verify(const char *part, const orr_alloc *alloc, orr_reason *reason) {
    orr_store_options o = {.alloc = *alloc, .mode = ORR_STORE_LOOK};
    orr_store *store = orr_sqlite_open(part, part, &o, reason);
    if (store == NULL) return ORR_EIO;
    orr_status status = ORR_OK;
    if (!orr_sqlite_is_whole(&((orr_sqlite *)store)->mine)) {
        orr_reason_set(reason, "its pages do not fit together");
        status = ORR_EIO;
    }
    if (status == ORR_OK) status = read_journals(store, reason);
    orr_store_close(store);
    return status;
}

/* ---- its place ------------------------------------------------------------------------------- */

/* Other programs share what SQLite calls the dead man's switch. */
static bool is_read(const orr_sqlite *to) {
    enum { SWITCH = 128 };
    char *index = NULL;
    if (asprintf(&index, "%s-shm", to->path) < 0) return true;
    int fd = orr_lock_open(index, false);
    bool taken = fd >= 0 && orr_lock_is_taken(fd, SWITCH);
    if (fd >= 0) close(fd);
    free(index);
    return taken;
}

static orr_status reserve(restoring *r, bool overwrite, orr_reason *reason) {
    const orr_sqlite *to = &r->to;
    if (!overwrite && access(to->path, F_OK) == 0) {
        orr_reason_set(reason,
                       "the store '%s' is there already: replace it with --overwrite, or name another",
                       to->path);
        return ORR_ESTATE;
    }
    r->lock = orr_lock_open(to->lock_path, true);
    int error = r->lock >= 0 ? orr_lock_try(r->lock, ORR_SQLITE_USERS_BYTE) : errno;
    if (error == 0) error = orr_lock_try(r->lock, ORR_SQLITE_LOOKERS_BYTE);
    if (error == 0 && is_read(to)) error = EAGAIN;
    if (error == 0) return ORR_OK;
    if (error == EAGAIN)
        orr_reason_set(reason, "processes use the store '%s': end them, and restore the backup then",
                       to->path);
    else
        orr_reason_set(reason,
                       "the lock file '%s' of the store cannot be locked (%s): make its folder writable",
                       to->lock_path, strerror(error));
    return error == EAGAIN ? ORR_ESTATE : ORR_EIO;
}

static void remove_beside(const char *path, const char *ending) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", path, ending) >= 0) unlink(name);
    free(name);
}

static orr_status take_place(const restoring *r, orr_reason *reason) {
    const char *path = r->to.path;
    remove_beside(path, "-journal"); /* SQLite would play it back */
    if (rename(r->part, path) != 0) {
        orr_reason_set(reason, "the store '%s' cannot be replaced (%s): make its folder writable", path,
                       strerror(errno));
        return ORR_EIO;
    }
    orr_sqlite_flush_names(path);
    remove_beside(path, "-wal");
    remove_beside(path, "-shm");
    orr_sqlite_flush_names(path);
    if (ftruncate(r->lock, 0) != 0) return ORR_OK; /* what it says is of a log that is not there */
    return ORR_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static orr_status restore(restoring *r, bool overwrite, const orr_alloc *alloc, orr_reason *reason) {
    orr_reason why = {""};
    orr_status status = reserve(r, overwrite, reason);
    if (status == ORR_OK) status = orr_sqlite_copy(&r->from, r->part, reason);
    if (status != ORR_OK) return status;
    status = verify(r->part, alloc, &why);
    if (status == ORR_OK) return take_place(r, reason);
    orr_reason_set(reason, "the backup '%s' is damaged, and nothing was restored: %s", r->from.path,
                   why.text);
    return status;
}

static void end(restoring *r) {
    static const char *const endings[] = {"", "-wal", "-shm", "-lock", "-journal"};
    for (size_t i = 0; r->part != NULL && i < sizeof endings / sizeof endings[0]; i++)
        remove_beside(r->part, endings[i]);
    if (r->lock >= 0) close(r->lock);
    orr_sqlite_disconnect(&r->from.mine);
    orr_sqlite *both[] = {&r->from, &r->to};
    for (size_t i = 0; i < 2; i++) {
        free(both[i]->path);
        free(both[i]->lock_path);
        free(both[i]->wal_path);
    }
    free(r->part);
}

orr_status orr_sqlite_restore(const char *backup, const char *path, bool overwrite, const orr_alloc *alloc,
                              orr_reason *reason) {
    restoring r = {.lock = -1};
    r.from.mine.lock = -1;
    orr_status status = look(&r.from, backup, reason);
    if (status == ORR_OK) status = orr_sqlite_find(&r.to, path, true, reason);
    if (status == ORR_OK && strcmp(r.from.path, r.to.path) == 0) {
        orr_reason_set(reason, "the backup and the store are one file, '%s': name another store", r.to.path);
        status = ORR_EINVAL;
    }
    if (status == ORR_OK && asprintf(&r.part, "%s.part", r.to.path) < 0) {
        r.part = NULL;
        orr_reason_set(reason, "there is no memory left for the store '%s'", path);
        status = ORR_ENOMEM;
    }
    if (status == ORR_OK) status = restore(&r, overwrite, alloc, reason);
    end(&r);
    return status;
}
