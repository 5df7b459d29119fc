/* unblock.c - a process that was stopped while it committed, and keeps the commit lock.
 *
 * Nobody can take a lock from a process that lives. But one whose run is taken by force is
 * displaced anyway: its word in the lock file says so before it is woken. Then it ends its commit,
 * lets go of the lock, and finds the word before it does anything else.
 */
#include "store/sqlite/inner.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t SHORT = 200000000, LONG = 5000000000; /* ns */

/* Stopped by a signal, and no other's process that has the same number here. */
static bool is_stopped(long pid) {
    char path[40], text[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL) fclose(file);
    text[n] = '\0';
    const char *state = strrchr(text, ')');
    return state != NULL && state[1] == ' ' && state[2] == 'T';
}

static bool has_open(long pid, const char *wanted) {
    char path[40], link[4096];
    snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    DIR *directory = opendir(path);
    bool found = false;
    for (const struct dirent *e; !found && directory != NULL && (e = readdir(directory)) != NULL;) {
        ssize_t n = readlinkat(dirfd(directory), e->d_name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        found = strcmp(link, wanted) == 0;
    }
    if (directory != NULL) closedir(directory);
    return found;
}

static bool is_locked(const orr_sqlite *s, orr_connection *c, int64_t patience, orr_reason *reason) {
    c->patience = patience;
    bool locked = orr_sqlite_lock(s, c, reason) != ORR_OK;
    if (!locked) orr_sqlite_unlock(c);
    c->patience = 0;
    return locked;
}

orr_status orr_sqlite_unblock(orr_store *store, const uint8_t run[16], orr_reason *reason) {
    orr_sqlite *s = (orr_sqlite *)store;
    orr_connection *c = orr_sqlite_mine(s, reason);
    char id[37];
    int64_t number = 0, owner = 0;
    if (c == NULL) return ORR_EIO;
    orr_run_text(run, id);
    if (!is_locked(s, c, SHORT, reason)) return ORR_OK;
    orr_status status = orr_sqlite_find_run(c, id, &number, &owner, reason);
    if (status != ORR_OK) return status;
    orr_field key = orr_field_integer(owner);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_OWNER_GET, &key, 1);
    enum { PID = 2 };
    long pid = q != NULL && sqlite3_step(q) == SQLITE_ROW ? (long)sqlite3_column_int64(q, PID) : 0;
    sqlite3_reset(q);
    if (pid == 0 || pid != orr_sqlite_holder(c) || pid == getpid() || !orr_sqlite_alive(c, owner) ||
        !has_open(pid, s->lock_path) || !is_stopped(pid))
        return ORR_OK; /* who wants the lock waits for it */
    orr_sqlite_displace(c, owner, true);
    if (kill((pid_t)pid, SIGCONT) == 0 && !is_locked(s, c, LONG, reason)) return ORR_OK;
    orr_sqlite_displace(c, owner, false);
    return ORR_EIO;
}
