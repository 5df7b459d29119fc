/* sqlite_sql.c - statements, values, and why SQLite could not do something. */
#include "sqlite.h"

#include <stdio.h>
#include <string.h>

orr_value orr_value_text(const char *text)
{
    return text == NULL ? (orr_value){.type = ORR_VALUE_NULL}
                        : (orr_value){.type = ORR_VALUE_TEXT, .bytes = text, .size = strlen(text)};
}

/* The bytes must stay until the statement is reset. */
int orr_sql_bind(sqlite3_stmt *s, const orr_value *values, size_t n)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
        const orr_value *v = &values[i];
        const void *bytes = v->bytes != NULL ? v->bytes : "";
        int at = (int)i + 1;
        switch (v->type) {
        case ORR_VALUE_INTEGER: rc = sqlite3_bind_int64(s, at, v->integer); break;
        case ORR_VALUE_REAL: rc = sqlite3_bind_double(s, at, v->real); break;
        case ORR_VALUE_TEXT: rc = sqlite3_bind_text64(s, at, bytes, v->size, SQLITE_STATIC, SQLITE_UTF8); break;
        case ORR_VALUE_BLOB: rc = sqlite3_bind_blob64(s, at, bytes, v->size, SQLITE_STATIC); break;
        case ORR_VALUE_NULL: rc = sqlite3_bind_null(s, at); break;
        }
    }
    return rc;
}

orr_value orr_sql_column(sqlite3_stmt *s, int column)
{
    orr_value v = {.type = ORR_VALUE_NULL};
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_INTEGER: return orr_value_integer(sqlite3_column_int64(s, column));
    case SQLITE_FLOAT: return orr_value_real(sqlite3_column_double(s, column));
    case SQLITE_TEXT:
        v.type = ORR_VALUE_TEXT;
        v.bytes = sqlite3_column_text(s, column);
        break;
    case SQLITE_BLOB:
        v.type = ORR_VALUE_BLOB;
        v.bytes = sqlite3_column_blob(s, column);
        break;
    default: return v;
    }
    v.size = (size_t)sqlite3_column_bytes(s, column);
    return v;
}

const char *orr_sql_text(sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);
    return text != NULL ? (const char *)text : "";
}

sqlite3_stmt *orr_sql_start(orr_connection *c, orr_sql sql, const orr_value *values, size_t n)
{
#define ORR_SQL_TEXT(id, text) text,
    static const char *const texts[] = {ORR_SQLS(ORR_SQL_TEXT)};
#undef ORR_SQL_TEXT
    sqlite3_stmt **s = &c->statements[sql];
    if (*s == NULL && sqlite3_prepare_v3(c->db, texts[sql], -1, SQLITE_PREPARE_PERSISTENT, s, NULL) != SQLITE_OK)
        return NULL;
    return orr_sql_bind(*s, values, n) == SQLITE_OK ? *s : NULL;
}

int orr_sql_run(orr_connection *c, orr_sql sql, const orr_value *values, size_t n)
{
    sqlite3_stmt *s = orr_sql_start(c, sql, values, n);
    if (s == NULL)
        return sqlite3_extended_errcode(c->db);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_DONE || rc == SQLITE_ROW)
        rc = SQLITE_OK;
    else
        rc = sqlite3_extended_errcode(c->db);
    sqlite3_reset(s);
    return rc;
}

int orr_sql_number(orr_connection *c, orr_sql sql, const orr_value *values, size_t n, int64_t *number)
{
    sqlite3_stmt *s = orr_sql_start(c, sql, values, n);
    if (s == NULL)
        return sqlite3_extended_errcode(c->db);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        *number = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    int end = sqlite3_reset(s);
    return rc == SQLITE_OK || rc == SQLITE_DONE ? rc : end;
}

/* ---- errors ------------------------------------------------------------------------------------------------------------- */

typedef struct reason {
    int code; /* primary result code */
    const char *text;
    const char *remedy;
} reason;

static const reason reasons[] = {
    {SQLITE_FULL, "the disk is full", "free some space"},
    {SQLITE_READONLY, "the file or its directory is read-only", "make both writable, or use another store"},
    {SQLITE_CANTOPEN, "it cannot be opened", "check that its directory exists and that you may read and write there"},
    {SQLITE_PERM, "you may not use it", "change its permissions, or use another store"},
    {SQLITE_AUTH, "only reading is allowed here", "use a SELECT"},
    {SQLITE_CORRUPT, "the file is damaged", "restore a backup, or save what can be read with `sqlite3 FILE .recover`"},
    {SQLITE_NOTADB, "the file is no SQLite database", "restore a backup, or name another file"},
    {SQLITE_BUSY, "another program has locked it", "end that program, or wait until it is done"},
    {SQLITE_LOCKED, "another program has locked it", "end that program, or wait until it is done"},
    {SQLITE_NOMEM, "there is no memory left", "end other programs"},
    {SQLITE_TOOBIG, "a value is too big", "keep it in a file, and its path here"},
    {SQLITE_IOERR, "reading or writing failed", "check the disk"},
};

orr_status orr_sqlite_explain(sqlite3 *db, int code, const char *what, char *message, size_t size)
{
    const char *path = sqlite3_db_filename(db, "main");
    int primary = code & 0xff, system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
    const reason *r = NULL;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0] && r == NULL; i++)
        if (reasons[i].code == primary)
            r = &reasons[i];
    snprintf(message, size, "the store '%s' cannot %s: %s%s%s%s: %s", path != NULL ? path : "", what,
             r != NULL ? r->text : sqlite3_errmsg(db), system != 0 ? " (" : "", system != 0 ? strerror(system) : "",
             system != 0 ? ")" : "", r != NULL ? r->remedy : "run `orrery doctor`");
    return primary == SQLITE_NOMEM ? ORR_ENOMEM : ORR_EIO;
}

/* ---- connections ---------------------------------------------------------------------------------------------------------- */

orr_status orr_sqlite_connect(const orr_sqlite *s, orr_connection *c, int flags, int cache_kib, char *message, size_t size)
{
    /* FULL: a commit returns when it is on disk. No automatic checkpoint, and none at the end: they run under our lock only. No
     * mapping of the file: a page that another process damages stays away from it. */
    char sql[256];
    snprintf(sql, sizeof sql, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0; "
             "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%d; PRAGMA foreign_keys = OFF", cache_kib);
    c->lock = -1;
    int rc = sqlite3_open_v2(s->path, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(c->db, ORR_SQLITE_PATIENCE);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return ORR_OK;
    orr_status status = ORR_ENOMEM;
    if (c->db == NULL)
        snprintf(message, size, "there is no memory left for the store '%s'", s->path);
    else
        status = orr_sqlite_explain(c->db, rc, "be opened", message, size);
    orr_sqlite_disconnect(c);
    return status;
}
