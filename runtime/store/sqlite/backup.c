/* backup.c - a copy of a store while runs go on. */
#include "store/sqlite/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The copy is of no file yet, and no log that is there belongs to it. */
static orr_status untag(const char *part, orr_reason *reason) {
    orr_connection c = {.lock = -1};
    int rc = sqlite3_open_v2(part, &c.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(c.db, "PRAGMA journal_mode = MEMORY", NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = orr_sqlite_untag(&c);
    orr_status status = ORR_OK;
    if (rc != SQLITE_OK) status = orr_sqlite_explain(c.db, rc, "be written", reason);
    orr_sqlite_disconnect(&c);
    return status;
}

/* A snapshot, as a reader has it, so nobody waits. VACUUM INTO reads one state of the file, log
 * included, and writes it without gaps into a new file, which it makes durable. */
static orr_status copy(const orr_sqlite *s, const char *part, orr_reason *reason) {
    orr_connection c = {.lock = -1};
    orr_status status = orr_sqlite_connect(s, &c, SQLITE_OPEN_READWRITE, 1024, reason);
    if (status != ORR_OK) return status;
    orr_field path = orr_field_text(part);
    int rc = orr_sqlite_run_once(&c, &(orr_statement){"VACUUM INTO ?1", &path, 1});
    if (rc != SQLITE_OK) status = orr_sqlite_explain(c.db, rc, "be copied", reason);
    orr_sqlite_disconnect(&c);
    return status == ORR_OK ? untag(part, reason) : status;
}

static bool flush_path(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    bool flushed = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    return flushed;
}

orr_status orr_sqlite_copy(const orr_sqlite *s, const char *part, orr_reason *reason) {
    unlink(part);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* as private as the store */
    if (fd < 0) {
        orr_reason_set(reason, "the file '%s' cannot be made (%s): %s", part, strerror(errno),
                       orr_sqlite_remedy(errno, "make its folder writable"));
        return ORR_EIO;
    }
    close(fd);
    orr_status status = copy(s, part, reason);
    if (status != ORR_OK || flush_path(part, O_RDONLY)) return status;
    orr_reason_set(reason, "the file '%s' cannot be flushed (%s): check the disk", part, strerror(errno));
    return ORR_EIO;
}

/* The directory too, so that the name is on disk with the file. */
void orr_sqlite_flush_names(const char *path) {
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
orr_status orr_sqlite_backup(orr_store *store, const char *path, orr_reason *reason) {
    orr_sqlite *s = (orr_sqlite *)store;
    char part[4096];
    if (access(path, F_OK) == 0) {
        orr_reason_set(
            reason, "the file '%s' is there already: remove it, or name another file for the backup", path);
        return ORR_ESTATE;
    }
    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part) {
        orr_reason_set(reason, "the path '%.60s...' is too long for a backup: use a shorter one", path);
        return ORR_EINVAL;
    }
    orr_status status = orr_sqlite_flush(s, reason);
    if (status == ORR_OK) status = orr_sqlite_copy(s, part, reason);
    /* a second name, even for a moment, would be refused as one of a store */
    if (status == ORR_OK && renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) != 0) {
        orr_reason_set(
            reason, "the backup '%s' cannot be given its name (%s): check that its directory can be written",
            path, strerror(errno));
        status = ORR_EIO;
    }
    orr_sqlite_flush_names(path);
    unlink(part);
    return status;
}
