/* sqlite.c - a store in an SQLite file: opening and closing it. See sqlite.h for its parts. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

const orr_alloc orr_sqlite_heap = {orr_alloc_libc, NULL};

int64_t orr_sqlite_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double orr_sqlite_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- where the file is ----------------------------------------------------------------------------------------------------------- */

typedef struct file_system {
    uint64_t type; /* statfs f_type, statfs(2) */
    const char *name;
} file_system;

/* Those that leave file locks or shared memory to another machine, or to a program. */
static const file_system networks[] = {
    {0x6969, "NFS"},         {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},      {0x517b, "SMB"},        {0x01021997, "9P"},
    {0x65735546, "FUSE"},    {0x00c36400, "Ceph"},   {0x5346414f, "AFS"},       {0x6b414653, "AFS"},    {0x73757245, "Coda"},
    {0x564c, "NCP"},         {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},      {0x01161970, "GFS2"},   {0x7461636f, "OCFS2"},
    {0xaad7aaea, "PanFS"},   {0x786f4256, "a VirtualBox shared folder"},
};

const char *orr_sqlite_network(uint64_t type)
{
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (networks[i].type == type)
            return networks[i].name;
    return NULL;
}

/* Makes the directory of a new store, not those above it: a mistyped path is to be told. */
static bool make_directory(const char *directory, bool own)
{
    return access(directory, F_OK) == 0 || (own && mkdir(directory, 0700) == 0);
}

static orr_status check_directory(const char *directory, const char *path, char *message, size_t size)
{
    struct statfs fs;
    const char *network = statfs(directory, &fs) == 0 ? orr_sqlite_network((uint64_t)fs.f_type & 0xffffffff) : NULL;
    if (network == NULL)
        return ORR_OK;
    snprintf(message, size, "the store '%s' is on a network file system (%s), whose locks cannot be relied on: keep it on a local disk", path,
             network);
    return ORR_EINVAL;
}

/* The file's absolute path, links followed where it is there. From libc's heap; NULL with a message. */
static char *locate(const char *path, bool own, char *message, size_t size)
{
    char *full = realpath(path, NULL), *directory = full == NULL ? strdup(path) : NULL, *above = NULL;
    if (full != NULL || directory == NULL)
        return full;
    char *slash = strrchr(directory, '/');
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    if (slash != NULL)
        slash[slash == directory] = '\0'; /* of "/name" the root stays */
    const char *where = slash != NULL ? directory : ".";
    if (!own)
        snprintf(message, size, "there is no store '%s': name one that is there, or run a workflow with it first", path);
    else if (!make_directory(where, own) || (above = realpath(where, NULL)) == NULL)
        snprintf(message, size, "the directory '%s' of the store cannot be made or entered (%s): make it first, or name another", where, strerror(errno));
    else if (*name == '\0')
        snprintf(message, size, "the store '%s' is a directory: name a file in it", path);
    else if (asprintf(&full, "%s/%s", strcmp(above, "/") == 0 ? "" : above, name) < 0)
        full = NULL;
    free(directory);
    free(above);
    return full;
}

/* Only its user may read what runs work with. The file is made by us, since SQLite would let everybody. */
static orr_status make_file(const char *path, char *message, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        snprintf(message, size, "the store '%s' cannot be made (%s): make its directory writable, or name another", path, strerror(errno));
        return ORR_EIO;
    }
    if (fd >= 0)
        close(fd);
    return ORR_OK;
}

static orr_status find_file(orr_sqlite *s, const char *path, char *message, size_t size)
{
    bool own = s->mode == ORR_STORE_OWN;
    message[0] = '\0';
    s->path = locate(path, own, message, size);
    if (s->path == NULL || asprintf(&s->lock_path, "%s-lock", s->path) < 0 || asprintf(&s->wal_path, "%s-wal", s->path) < 0) {
        if (message[0] == '\0')
            snprintf(message, size, "there is no memory left for the store '%s'", path);
        return ORR_EIO;
    }
    char *slash = strrchr(s->path, '/');
    *slash = '\0';
    orr_status status = check_directory(slash == s->path ? "/" : s->path, path, message, size);
    *slash = '/';
    if (status == ORR_OK && own)
        status = make_file(s->path, message, size);
    if (status == ORR_OK && stat(s->path, &s->file) != 0) {
        snprintf(message, size, "the store '%s' cannot be found any more (%s): name another", s->path, strerror(errno));
        status = ORR_EIO;
    }
    if (status == ORR_OK && !S_ISREG(s->file.st_mode)) {
        snprintf(message, size, "the store '%s' is no file: name a file", s->path);
        status = ORR_EINVAL;
    }
    if (status == ORR_OK && s->file.st_size == 1) { /* which SQLite would take for an empty database, and write over */
        snprintf(message, size, "the store '%s' cannot be opened: the file is no SQLite database: restore a backup, or name another file",
                 s->path);
        status = ORR_EINVAL;
    }
    return status;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------ */

static orr_status use_log(orr_sqlite *s, char *message, size_t size)
{
    sqlite3_stmt *q = NULL;
    orr_status status = orr_sqlite_lock(s, &s->mine, message, size);
    if (status != ORR_OK)
        return status;
    int rc = sqlite3_prepare_v2(s->mine.db, "PRAGMA journal_mode = WAL", -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    bool log = rc == SQLITE_ROW && strcmp(orr_sql_text(q, 0), "wal") == 0;
    sqlite3_finalize(q);
    orr_sqlite_unlock(&s->mine);
    return log ? ORR_OK : orr_sqlite_explain(s->mine.db, rc == SQLITE_ROW ? SQLITE_READONLY : rc, "be written", message, size);
}

static orr_status prepare_tables(orr_sqlite *s, char *message, size_t size)
{
    bool current = false;
    orr_status status = orr_sqlite_version(s->mine.db, &current, message, size);
    if (status == ORR_OK && s->mode == ORR_STORE_OWN)
        status = use_log(s, message, size);
    if (status != ORR_OK || current)
        return status;
    if (s->mode == ORR_STORE_LOOK && s->file.st_size == 0) {
        snprintf(message, size, "the file '%s' is empty and no store yet: run a workflow with it first", s->path);
        return ORR_EINVAL;
    }
    status = orr_sqlite_lock(s, &s->mine, message, size);
    if (status != ORR_OK)
        return status;
    status = orr_sqlite_migrate(s->mine.db, message, size);
    orr_sqlite_unlock(&s->mine);
    return status;
}

/* What must be there as long as the store is open. */
static void remember_files(orr_sqlite *s)
{
    if (stat(s->wal_path, &s->log) != 0)
        s->log.st_ino = 0;
    if (stat(s->lock_path, &s->sidecar) != 0)
        s->sidecar.st_ino = 0;
}

static void read_crash(orr_sqlite *s)
{
    const char *text = getenv("ORRERY_CRASH");
    char *rest;
    if (text == NULL)
        return;
    s->writer.crash_at = strtoull(text, &rest, 10);
    s->writer.crash_after = strcmp(rest, ":after") == 0;
}

static orr_status open_store(orr_sqlite *s, const char *path, char *message, size_t size)
{
    enum { CALLER_CACHE = 2048, WRITER_CACHE = 8192 }; /* KiB, taken as they are used */
    if (sqlite3_threadsafe() == 0) {
        snprintf(message, size, "this SQLite was built without threads, which the store needs: use another build of it");
        return ORR_EINVAL;
    }
    orr_status status = find_file(s, path, message, size);
    if (status == ORR_OK)
        status = orr_sqlite_connect(s, &s->mine, SQLITE_OPEN_READWRITE, CALLER_CACHE, message, size);
    if (status == ORR_OK && s->mode == ORR_STORE_OWN && sqlite3_db_readonly(s->mine.db, "main") == 1)
        status = orr_sqlite_explain(s->mine.db, SQLITE_READONLY, "be written", message, size);
    if (status == ORR_OK)
        status = prepare_tables(s, message, size);
    if (status != ORR_OK || s->mode == ORR_STORE_LOOK)
        return status;
    remember_files(s);
    read_crash(s);
    status = orr_sqlite_bury(s, message, size);
    if (status == ORR_OK)
        status = orr_sqlite_connect(s, &s->writer.connection, SQLITE_OPEN_READWRITE, WRITER_CACHE, message, size);
    return status;
}

void orr_sqlite_disconnect(orr_connection *c)
{
    orr_projector_free(c->projector);
    for (size_t i = 0; i < ORR_SQL_COUNT; i++)
        sqlite3_finalize(c->statements[i]);
    sqlite3_close(c->db);
    if (c->lock >= 0)
        close(c->lock);
    *c = (orr_connection){.lock = -1};
}

static void free_store(orr_sqlite *s)
{
    orr_alloc alloc = s->base.alloc;
    orr_sqlite_disconnect(&s->writer.connection);
    orr_sqlite_disconnect(&s->mine);
    orr_sqlite_disown(s);
    orr_sqlite_free_queue(s);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s->lock_path);
    free(s->wal_path);
    orr_mem_free(&alloc, s, 1, sizeof *s);
}

static void close_store(orr_store *store)
{
    orr_sqlite *s = (orr_sqlite *)store;
    orr_sqlite_submit(store, true);
    orr_sqlite_stop(s);
    orr_sqlite_tidy(s, &s->mine);
    free_store(s);
}

static void init_locks(orr_sqlite *s)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->work, &monotonic);
    pthread_cond_init(&s->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

orr_store *orr_sqlite_open(const char *path, const orr_store_options *options, char *message, size_t size)
{
    static const orr_store_class class = {
        .kind = "sqlite", .close = close_store, .create = orr_sqlite_create, .claim = orr_sqlite_claim, .append = orr_sqlite_append,
        .release = orr_sqlite_release, .read = orr_sqlite_read, .drop = orr_sqlite_drop, .put = orr_sqlite_put, .get = orr_sqlite_get,
        .durable = orr_sqlite_durable, .submit = orr_sqlite_submit, .sync = orr_sqlite_sync, .notice = orr_sqlite_notice,
        .send = orr_sqlite_send, .project = orr_sqlite_project_now, .query = orr_sqlite_query, .change = orr_sqlite_change,
        .backup = orr_sqlite_backup};
    orr_sqlite *s = orr_mem_new(&options->alloc, 1, sizeof *s);
    if (s == NULL) {
        snprintf(message, size, "there is no memory left for the store '%s'", path);
        return NULL;
    }
    s->base = (orr_store){&class, options->alloc, 0, options->wake, options->ud};
    s->mode = options->mode;
    s->owner_lock = s->mine.lock = s->writer.connection.lock = -1;
    s->queue_end = &s->queue;
    s->due = INT64_MAX;
    init_locks(s);
    if (open_store(s, path, message, size) == ORR_OK)
        return &s->base;
    free_store(s);
    return NULL;
}
