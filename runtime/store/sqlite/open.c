/* open.c - a store in an SQLite file: opening and closing it. */
#include "store/sqlite/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- where the file is ----------------------------------------------------------------------- */

typedef struct file_system {
    uint64_t type; /* statfs f_type, statfs(2) */
    const char *name;
} file_system;

/* Those that leave file locks or shared memory to another machine, or to a program. */
static const file_system networks[] = {
    {0x6969, "NFS"},
    {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},
    {0x517b, "SMB"},
    {0x01021997, "9P"},
    {0x65735546, "FUSE"},
    {0x00c36400, "Ceph"},
    {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},
    {0x73757245, "Coda"},
    {0x564c, "NCP"},
    {0x0bd00bd0, "Lustre"},
    {0x47504653, "GPFS"},
    {0x01161970, "GFS2"},
    {0x7461636f, "OCFS2"},
    {0xaad7aaea, "PanFS"},
    {0x786f4256, "a VirtualBox shared folder"},
};

const char *orr_sqlite_network(uint64_t type) {
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (networks[i].type == type) return networks[i].name;
    return NULL;
}

/* Makes the directory of a new store, not those above it: a mistyped path is to be reported.
 * Another process may make it at the same time. */
static bool make_directory(const char *directory, bool own) {
    return access(directory, F_OK) == 0 || (own && (mkdir(directory, 0700) == 0 || errno == EEXIST));
}

static orr_status check_directory(const char *directory, const char *path, orr_reason *reason) {
    struct statfs fs;
    const char *network = statfs(directory, &fs) == 0 ? orr_sqlite_network((uint64_t)fs.f_type & 0xffffffff)
                                                      : NULL;
    if (network == NULL) return ORR_OK;
    orr_reason_set(
        reason,
        "the store '%s' is on a network file system (%s), whose locks cannot be relied on: keep it on a "
        "local disk",
        path, network);
    return ORR_EINVAL;
}

/* The file's absolute path, links followed where it is there. From libc's heap; NULL with a
 * reason. */
static char *locate(const char *path, bool own, orr_reason *reason) {
    char *full = realpath(path, NULL), *directory = full == NULL ? strdup(path) : NULL, *above = NULL;
    if (full != NULL || directory == NULL) return full;
    char *slash = strrchr(directory, '/');
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    if (slash != NULL) slash[slash == directory] = '\0'; /* of "/name" the root stays */
    const char *where = slash != NULL ? directory : ".";
    if (!own)
        orr_reason_set(
            reason, "there is no store '%s': name one that is there, or run a workflow with it first", path);
    else if (!make_directory(where, own) || (above = realpath(where, NULL)) == NULL)
        orr_reason_set(
            reason,
            "the directory '%s' of the store cannot be made or entered (%s): make it first, or name another",
            where, strerror(errno));
    else if (*name == '\0') orr_reason_set(reason, "the store '%s' is a directory: name a file in it", path);
    else if (asprintf(&full, "%s/%s", strcmp(above, "/") == 0 ? "" : above, name) < 0) full = NULL;
    free(directory);
    free(above);
    return full;
}

/* Only its user may read what runs work with. The file is made by us, since SQLite would let
 * everybody. */
static orr_status make_file(const char *path, orr_reason *reason) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        orr_reason_set(reason, "the store '%s' cannot be made (%s): %s", path, strerror(errno),
                       orr_sqlite_remedy(errno, "make its directory writable, or name another"));
        return ORR_EIO;
    }
    if (fd >= 0) close(fd);
    return ORR_OK;
}

/* A log and locks are of a name: under another one there would be others. */
static orr_status check_names(const orr_sqlite *s, orr_reason *reason) {
    struct statx x;
    bool mounted = statx(AT_FDCWD, s->path, 0, 0, &x) == 0 &&
                   (x.stx_attributes_mask & x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    if (s->file.st_nlink <= 1 && !mounted) return ORR_OK;
    if (mounted)
        orr_reason_set(
            reason,
            "the store '%s' is a file that is mounted by itself, so its log and its locks would be "
            "others than those of its other name: mount its folder",
            s->path);
    else
        orr_reason_set(
            reason,
            "the store '%s' has %llu names (hard links), and its log and its locks would be of one "
            "alone: remove the others, or make copies with `orrery backup`",
            s->path, (unsigned long long)s->file.st_nlink);
    return ORR_EINVAL;
}

orr_status orr_sqlite_find(orr_sqlite *s, const char *path, bool own, orr_reason *reason) {
    *reason = (orr_reason){""};
    s->path = locate(path, own, reason);
    if (s->path == NULL || asprintf(&s->lock_path, "%s-lock", s->path) < 0 ||
        asprintf(&s->wal_path, "%s-wal", s->path) < 0) {
        if (reason->text[0] == '\0')
            orr_reason_set(reason, "there is no memory left for the store '%s'", path);
        return ORR_EIO;
    }
    char *slash = strrchr(s->path, '/');
    *slash = '\0';
    orr_status status = check_directory(slash == s->path ? "/" : s->path, path, reason);
    *slash = '/';
    return status;
}

orr_status orr_sqlite_check_file(orr_sqlite *s, orr_reason *reason) {
    orr_status status = ORR_OK;
    if (stat(s->path, &s->file) != 0) {
        orr_reason_set(reason, "the store '%s' cannot be found any more (%s): name another", s->path,
                       strerror(errno));
        return ORR_EIO;
    }
    if (!S_ISREG(s->file.st_mode)) {
        orr_reason_set(reason, "the store '%s' is no file: name a file", s->path);
        status = ORR_EINVAL;
    }
    if (status == ORR_OK) status = check_names(s, reason);
    /* which SQLite would take for an empty database, and write over */
    if (status == ORR_OK && s->file.st_size == 1) {
        orr_reason_set(
            reason,
            "the store '%s' cannot be opened: the file is no SQLite database: restore a backup, or name "
            "another file",
            s->path);
        status = ORR_EINVAL;
    }
    return status;
}

static orr_status find_file(orr_sqlite *s, const char *path, orr_reason *reason) {
    bool own = s->mode == ORR_STORE_OWN;
    orr_status status = orr_sqlite_find(s, path, own, reason);
    if (status == ORR_OK && own) status = make_file(s->path, reason);
    return status == ORR_OK ? orr_sqlite_check_file(s, reason) : status;
}

/* ---- opening --------------------------------------------------------------------------------- */

static orr_status use_log(orr_sqlite *s, orr_reason *reason) {
    sqlite3_stmt *q = NULL;
    orr_status status = orr_sqlite_lock(s, &s->mine, reason);
    if (status != ORR_OK) return status;
    status = orr_sqlite_heed(s, &s->mine, reason);
    if (status != ORR_OK || (orr_sqlite_has_log(&s->mine) && !s->mine.suspect)) {
        orr_sqlite_unlock(&s->mine);
        return status;
    }
    orr_sqlite_mark(&s->mine);
    int rc = sqlite3_prepare_v2(s->mine.db, "PRAGMA journal_mode = WAL", -1, &q, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    bool log = rc == SQLITE_ROW && strcmp(orr_sql_text(q, 0), "wal") == 0;
    int end = sqlite3_finalize(q); /* which commits it */
    if (rc == SQLITE_ROW && end != SQLITE_OK) rc = end;
    log = log && rc == SQLITE_ROW;
    orr_sqlite_stamp(&s->mine);
    orr_sqlite_unmark(&s->mine, rc == SQLITE_ROW && !s->mine.suspect ? SQLITE_OK : rc);
    orr_sqlite_unlock(&s->mine);
    return log ? ORR_OK
               : orr_sqlite_explain(s->mine.db, rc == SQLITE_ROW ? SQLITE_READONLY : rc, "be written",
                                    reason);
}

static orr_status prepare_tables(orr_sqlite *s, orr_reason *reason) {
    bool current = false;
    orr_status status = orr_sqlite_version(s->mine.db, &current, reason);
    if (status == ORR_OK && s->mode == ORR_STORE_OWN) status = orr_sqlite_recheck(s, reason);
    if (status == ORR_OK && s->mode == ORR_STORE_OWN) status = use_log(s, reason);
    if (status != ORR_OK || current) return status;
    if (s->mode == ORR_STORE_LOOK && s->file.st_size == 0) {
        orr_reason_set(reason, "the file '%s' is empty and no store yet: run a workflow with it first",
                       s->path);
        return ORR_EINVAL;
    }
    status = orr_sqlite_lock(s, &s->mine, reason);
    if (status != ORR_OK) return status;
    status = orr_sqlite_heed(s, &s->mine, reason);
    if (status == ORR_OK) {
        orr_sqlite_mark(&s->mine);
        status = orr_sqlite_migrate(s->mine.db, reason);
        orr_sqlite_stamp(&s->mine);
        if (status == ORR_OK) orr_sqlite_unmark(&s->mine, SQLITE_OK);
    }
    orr_sqlite_unlock(&s->mine);
    return status;
}

/* What must be there as long as the store is open. */
static void remember_files(orr_sqlite *s) {
    if (stat(s->wal_path, &s->log) != 0) s->log.st_ino = 0;
    if (stat(s->lock_path, &s->sidecar) != 0) s->sidecar.st_ino = 0;
}

static void read_crash(orr_sqlite *s) {
    const char *text = getenv("ORRERY_CRASH");
    char *rest;
    if (text == NULL) return;
    s->writer.crash_at = strtoull(text, &rest, 10);
    s->writer.crash_after = strcmp(rest, ":after") == 0;
    s->writer.crash_stops = strcmp(rest, ":stop") == 0;
}

static orr_status open_store(orr_sqlite *s, const char *path, orr_reason *reason) {
    if (sqlite3_threadsafe() == 0) {
        orr_reason_set(
            reason, "this SQLite was built without threads, which the store needs: use another build of it");
        return ORR_EINVAL;
    }
    orr_status status = find_file(s, path, reason);
    if (status == ORR_OK) status = orr_sqlite_use(s, reason);
    if (status == ORR_OK) status = orr_sqlite_connect_mine(s, reason);
    if (status == ORR_OK && s->mode == ORR_STORE_OWN && sqlite3_db_readonly(s->mine.db, "main") == 1)
        status = orr_sqlite_explain(s->mine.db, SQLITE_READONLY, "be written", reason);
    if (status == ORR_OK) status = orr_sqlite_check_copy(s, &s->mine, reason);
    s->mine.stamps = s->mode == ORR_STORE_LOOK;
    if (status == ORR_OK) status = prepare_tables(s, reason);
    if (status != ORR_OK || s->mode == ORR_STORE_LOOK) return status;
    if (s->mode == ORR_STORE_OWN) status = orr_sqlite_open_owner(s, reason);
    if (status != ORR_OK) return status;
    remember_files(s);
    read_crash(s);
    status = orr_sqlite_tag(s, reason);
    if (status == ORR_OK) status = orr_sqlite_mark_dead(s, reason);
    if (status == ORR_OK) orr_sqlite_check(s);
    return status;
}

void orr_sqlite_disconnect(orr_connection *c) {
    orr_projector_free(c->projector);
    orr_sqlite_sink_free(c->sink);
    for (size_t i = 0; i < ORR_SQL_COUNT; i++) sqlite3_finalize(c->statements[i]);
    for (size_t i = 0; i < ORR_QUERY_COUNT; i++) sqlite3_finalize(c->queries[i]);
    sqlite3_close(c->db);
    if (c->lock >= 0) close(c->lock);
    *c = (orr_connection){.lock = -1};
}

/* SQLite has made a log for it, which the next look would take for its own. */
static void remove_log(const orr_sqlite *s) {
    struct stat log;
    if (stat(s->wal_path, &log) == 0 && log.st_size == 0) unlink(s->wal_path);
}

static void free_store(orr_sqlite *s) {
    orr_alloc alloc = s->queue.base.alloc;
    orr_sqlite_stop_check(s);
    orr_sqlite_disconnect(&s->writer.connection);
    orr_sqlite_disconnect(&s->mine);
    orr_sqlite_disconnect(&s->spare);
    if (s->lone) remove_log(s);
    orr_sqlite_disown(s);
    if (s->user_lock >= 0) close(s->user_lock);
    orr_queue_free(&s->queue);
    free(s->writer.scratch);
    free(s->path);
    free(s->lock_path);
    free(s->wal_path);
    orr_mem_free(&alloc, s, 1, sizeof *s);
}

static void close_store(orr_store *store) {
    orr_sqlite *s = (orr_sqlite *)store;
    orr_sqlite_stop_check(s); /* its snapshot would keep the log from being emptied */
    orr_queue_submit(store, true);
    orr_queue_stop(&s->queue);
    orr_sqlite_tidy(s, s->mine.db != NULL ? &s->mine : &s->writer.connection);
    free_store(s);
}

static const char *path_of(const orr_store *store) {
    return ((const orr_sqlite *)store)->path;
}

static const orr_store_class class = {.kind = "sqlite",
                                      .close = close_store,
                                      .create = orr_queue_create,
                                      .claim = orr_sqlite_claim,
                                      .unblock = orr_sqlite_unblock,
                                      .lock = orr_sqlite_run_lock,
                                      .await = orr_queue_await,
                                      .append = orr_queue_append,
                                      .append_state = orr_queue_append_state,
                                      .state = orr_sqlite_state,
                                      .release = orr_queue_release,
                                      .read = orr_sqlite_read,
                                      .drop = orr_sqlite_drop,
                                      .put = orr_queue_put,
                                      .get = orr_sqlite_get,
                                      .durable = orr_queue_durable,
                                      .submit = orr_queue_submit,
                                      .sync = orr_queue_sync,
                                      .notice = orr_queue_notice,
                                      .send = orr_sqlite_send,
                                      .project = orr_sqlite_project_now,
                                      .snapshot = orr_sqlite_snapshot,
                                      .query = orr_sqlite_query,
                                      .change = orr_sqlite_change,
                                      .select = orr_sqlite_select,
                                      .execute = orr_sqlite_execute,
                                      .path = path_of,
                                      .backup = orr_sqlite_backup,
                                      .owner = orr_sqlite_owner,
                                      .displaced = orr_sqlite_displaced,
                                      .figures = orr_queue_figures,
                                      .owns = orr_sqlite_owns};

static const orr_queue_backend operations = {orr_sqlite_start, orr_sqlite_write, orr_sqlite_project,
                                             orr_sqlite_look,  orr_sqlite_rest,  orr_sqlite_listen};

orr_store *orr_sqlite_open(const char *url, const char *path, const orr_store_options *options,
                           orr_reason *reason) {
    if (*path == '\0' || strcmp(path, ":memory:") == 0) {
        orr_reason_set(reason, "the store '%s' names no file: expected sqlite:PATH, a path, or memory:", url);
        return NULL;
    }
    orr_sqlite *s = orr_mem_new(&options->alloc, 1, sizeof *s);
    if (s == NULL) {
        orr_reason_set(reason, "there is no memory left for the store '%s'", path);
        return NULL;
    }
    s->queue.base = orr_store_base(&class, options);
    s->mode = options->mode;
    s->owner_lock = s->user_lock = s->mine.lock = s->spare.lock = s->writer.connection.lock = -1;
    orr_queue_init(&s->queue, &operations, s->mode == ORR_STORE_OWN);
    bool open = open_store(s, path, reason) == ORR_OK;
    if (open && (s->mode == ORR_STORE_LOOK || orr_queue_start(&s->queue))) return &s->queue.base;
    if (reason->text[0] == '\0') orr_reason_set(reason, "there is no thread left for the store '%s'", path);
    free_store(s);
    return NULL;
}

void orr_sqlite_alone(void) {
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

void orr_sqlite_register(void) {
    orr_store_register("sqlite", orr_sqlite_open);
}
