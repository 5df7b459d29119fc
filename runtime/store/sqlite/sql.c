/* sql.c - statements, values, and why SQLite could not do something. */
#include "store/sqlite/inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The bytes must stay until the statement is reset. */
int orr_sql_bind_one(sqlite3_stmt *s, int at, const orr_field *v) {
    const void *bytes = v->bytes != NULL ? v->bytes : "";
    switch (v->type) {
    case ORR_FIELD_INTEGER: return sqlite3_bind_int64(s, at, v->integer);
    case ORR_FIELD_REAL: return sqlite3_bind_double(s, at, v->real);
    case ORR_FIELD_TEXT: return sqlite3_bind_text64(s, at, bytes, v->size, SQLITE_STATIC, SQLITE_UTF8);
    case ORR_FIELD_BLOB: return sqlite3_bind_blob64(s, at, bytes, v->size, SQLITE_STATIC);
    case ORR_FIELD_NULL:
    default: return sqlite3_bind_null(s, at);
    }
}

int orr_sql_bind(sqlite3_stmt *s, const orr_field *values, size_t n) {
    int rc = SQLITE_OK;
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++) rc = orr_sql_bind_one(s, (int)i + 1, &values[i]);
    return rc;
}

orr_field orr_sql_column(sqlite3_stmt *s, int column) {
    orr_field v = {.type = ORR_FIELD_NULL};
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_INTEGER: return orr_field_integer(sqlite3_column_int64(s, column));
    case SQLITE_FLOAT: return orr_field_real(sqlite3_column_double(s, column));
    case SQLITE_TEXT:
        v.type = ORR_FIELD_TEXT;
        v.bytes = sqlite3_column_text(s, column);
        break;
    case SQLITE_BLOB:
        v.type = ORR_FIELD_BLOB;
        v.bytes = sqlite3_column_blob(s, column);
        break;
    default: return v;
    }
    v.size = (size_t)sqlite3_column_bytes(s, column);
    return v;
}

bool orr_sql_intact(sqlite3_stmt *s, int first, size_t n) {
    enum { MOST_COLUMNS = 16 };
    orr_field values[MOST_COLUMNS];
    for (size_t i = 0; i < n; i++) values[i] = orr_sql_column(s, first + (int)i);
    return orr_row_intact(values, n);
}

const char *orr_sql_text(sqlite3_stmt *s, int column) {
    const unsigned char *text = sqlite3_column_text(s, column);
    return text != NULL ? (const char *)text : "";
}

sqlite3_stmt *orr_sql_start(orr_connection *c, orr_sql sql, const orr_field *values, size_t n) {
#define ORR_SQL_TEXT(id, text) text,
    static const char *const texts[] = {ORR_SQLS(ORR_SQL_TEXT)};
#undef ORR_SQL_TEXT
    sqlite3_stmt **s = &c->statements[sql];
    if (*s == NULL &&
        sqlite3_prepare_v3(c->db, texts[sql], -1, SQLITE_PREPARE_PERSISTENT, s, NULL) != SQLITE_OK)
        return NULL;
    return orr_sql_bind(*s, values, n) == SQLITE_OK ? *s : NULL;
}

int orr_sql_run(orr_connection *c, orr_sql sql, const orr_field *values, size_t n) {
    sqlite3_stmt *s = orr_sql_start(c, sql, values, n);
    if (s == NULL) return sqlite3_extended_errcode(c->db);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_DONE || rc == SQLITE_ROW) rc = SQLITE_OK;
    else rc = sqlite3_extended_errcode(c->db);
    sqlite3_reset(s);
    return rc;
}

int orr_sql_number(orr_connection *c, orr_sql sql, const orr_field *values, size_t n, int64_t *number) {
    sqlite3_stmt *s = orr_sql_start(c, sql, values, n);
    if (s == NULL) return sqlite3_extended_errcode(c->db);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        *number = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    int end = sqlite3_reset(s);
    return rc == SQLITE_OK || rc == SQLITE_DONE ? rc : end;
}

/* ---- errors ---------------------------------------------------------------------------------- */

typedef struct cause {
    int code; /* primary result code */
    const char *text;
    const char *remedy;
} cause;

static const cause causes[] = {
    {SQLITE_FULL, "the disk is full", "free some space"},
    {SQLITE_READONLY, "the file or its directory is read-only", "make both writable, or use another store"},
    {SQLITE_CANTOPEN, "it cannot be opened",
     "check that its directory exists and that you may read and write there"},
    {SQLITE_PERM, "you may not use it", "change its permissions, or use another store"},
    {SQLITE_AUTH, "only reading is allowed here", "use a SELECT"},
    {SQLITE_CORRUPT, "the file is damaged",
     "restore a backup, or save what can be read with `sqlite3 FILE .recover`"},
    {SQLITE_NOTADB, "the file is no SQLite database", "restore a backup, or name another file"},
    {SQLITE_BUSY, "another program has locked it", "end that program, or wait until it is done"},
    {SQLITE_LOCKED, "another program has locked it", "end that program, or wait until it is done"},
    {SQLITE_NOMEM, "there is no memory left", "end other programs"},
    {SQLITE_TOOBIG, "a value is too big", "keep it in a file, and its path here"},
    {SQLITE_IOERR, "reading or writing failed", "check the disk"},
};

typedef struct errno_remedy {
    int error;
    const char *remedy;
} errno_remedy;

static const errno_remedy remedies[] = {
    {EMFILE, "close some, or raise the limit (`ulimit -n`)"},
    {ENFILE, "end programs that have many files open"},
    {EFBIG, "raise the limit of a file's size (`ulimit -f`)"},
    {EDQUOT, "free some space, or have the quota raised"},
    {ENOSPC, "free some space"},
    {EROFS, "make the file system writable, or use another store"},
};

const char *orr_sqlite_remedy(int error, const char *otherwise) {
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (remedies[i].error == error) return remedies[i].remedy;
    return otherwise;
}

static int errno_of_file(sqlite3 *db, int pointer) {
    sqlite3_file *file = NULL;
    int error = 0;
    if (sqlite3_file_control(db, "main", pointer, &file) == SQLITE_OK && file != NULL &&
        file->pMethods != NULL)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* What the system said. SQLite forgets it where a commit fails, but not the file that failed. */
static int errno_of(sqlite3 *db, int code) {
    int primary = code & 0xff;
    if (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN) return 0;
    int error = sqlite3_system_errno(db);
    if (error == 0) error = errno_of_file(db, SQLITE_FCNTL_JOURNAL_POINTER);
    return error != 0 ? error : errno_of_file(db, SQLITE_FCNTL_FILE_POINTER);
}

static orr_status explain(sqlite3 *db, int code, const char *path, const char *what, orr_reason *reason) {
    int primary = code & 0xff, system = errno_of(db, code);
    const cause *r = NULL;
    for (size_t i = 0; i < sizeof causes / sizeof causes[0] && r == NULL; i++)
        if (causes[i].code == primary) r = &causes[i];
    orr_reason_set(reason, "the store '%s' cannot %s: %s%s%s%s: %s", path, what,
                   r != NULL ? r->text : sqlite3_errmsg(db), system != 0 ? " (" : "",
                   system != 0 ? strerror(system) : "", system != 0 ? ")" : "",
                   orr_sqlite_remedy(system, r != NULL ? r->remedy : "run `orrery doctor`"));
    return primary == SQLITE_NOMEM ? ORR_ENOMEM : ORR_EIO;
}

orr_status orr_sqlite_explain(sqlite3 *db, int code, const char *what, orr_reason *reason) {
    const char *path = sqlite3_db_filename(db, "main");
    return explain(db, code, path != NULL ? path : "", what, reason);
}

orr_status orr_sqlite_damaged(sqlite3 *db, const char *table, int64_t row, bool perhaps, const char *run,
                              orr_reason *reason) {
    const char *path = sqlite3_db_filename(db, "main");
    orr_reason_set(
        reason, "the store '%s' is damaged: row %lld of %s%s%s%s is not what was written: restore a backup",
        path != NULL ? path : "", (long long)row, table,
        run == NULL ? ""
        : perhaps   ? ", which may be of run "
                    : ", of run ",
        run != NULL ? run : "", run != NULL ? "," : "");
    return ORR_EIO;
}

/* ---- connections ----------------------------------------------------------------------------- */

void orr_sqlite_keep(sqlite3 *db, int cache_kib) {
    char sql[40];
    snprintf(sql, sizeof sql, "PRAGMA cache_size = -%d", cache_kib);
    sqlite3_exec(db, sql, NULL, NULL, NULL);
}

orr_status orr_sqlite_connect(const orr_sqlite *s, orr_connection *c, int flags, int cache_kib,
                              orr_reason *reason) {
    /* FULL: a commit returns when it is on disk. No automatic checkpoint, and none at the end:
     * they run under our lock only. No mapping of the file: a page that another process damages
     * stays away from it. */
    static const char sql[] =
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0; "
        "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF";
    c->lock = -1;
    int rc = sqlite3_open_v2(s->path, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK && c == &s->mine && orr_sqlite_check_pair(s, c, reason) != ORR_OK) {
        orr_sqlite_disconnect(c);
        return ORR_EIO;
    }
    if (rc == SQLITE_OK) rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    /* a file may come from anybody: its schema calls no function of ours, and SQL of ours does not
     * change what holds the tables */
    if (rc == SQLITE_OK) rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    if (rc == SQLITE_OK) rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(c->db, ORR_SQLITE_PATIENCE);
    if (rc == SQLITE_OK) rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        orr_sqlite_keep(c->db, cache_kib);
        return ORR_OK;
    }
    orr_status status = ORR_ENOMEM;
    if (c->db == NULL) orr_reason_set(reason, "there is no memory left for the store '%s'", s->path);
    else status = explain(c->db, rc, s->path, "be opened", reason);
    orr_sqlite_disconnect(c);
    return status;
}
