/* rows.c - rows that are made one after another, as a table that a statement can read.
 *
 * One statement that inserts thousands of rows costs a third of as many statements: it begins once,
 * nothing is bound, and its cursor stays where the last row went, which is where the next one goes.
 * So `orr_rows` is a virtual table (https://www.sqlite.org/vtab.html) whose argument is a pointer
 * that only C can bind; without one it is empty.
 */
#include "store/sqlite/inner.h"

#include <stdlib.h>

#define POINTER "orr_rows"

enum { ARGUMENT = ORR_SQLITE_ROW_COLUMNS };

typedef struct cursor {
    sqlite3_vtab_cursor base;
    orr_sqlite_rows *rows; /* NULL: there are none */
    int64_t at;
    bool more;
} cursor;

static int open_table(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **table,
                      char **error) {
    (void)aux, (void)argc, (void)argv, (void)error;
    int rc = sqlite3_declare_vtab(
        db, "CREATE TABLE x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, "
            "rows HIDDEN)");
    if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    if (rc != SQLITE_OK) return rc;
    *table = sqlite3_malloc(sizeof **table);
    if (*table == NULL) return SQLITE_NOMEM;
    **table = (sqlite3_vtab){0};
    return SQLITE_OK;
}

static int close_table(sqlite3_vtab *table) {
    sqlite3_free(table);
    return SQLITE_OK;
}

static int plan(sqlite3_vtab *table, sqlite3_index_info *info) {
    (void)table;
    info->estimatedCost = 1;
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].iColumn != ARGUMENT || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!info->aConstraint[i].usable) return SQLITE_CONSTRAINT;
        info->aConstraintUsage[i].argvIndex = 1;
        info->aConstraintUsage[i].omit = 1;
        break;
    }
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **opened) {
    cursor *c = sqlite3_malloc(sizeof *c);
    (void)table;
    if (c == NULL) return SQLITE_NOMEM;
    *c = (cursor){0};
    *opened = &c->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
    sqlite3_free(base);
    return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base) {
    cursor *c = (cursor *)base;
    c->more = c->rows != NULL && c->rows->next(c->rows->ud, c->rows->values);
    c->at++;
    return SQLITE_OK;
}

static int start(sqlite3_vtab_cursor *base, int number, const char *name, int argc, sqlite3_value **argv) {
    cursor *c = (cursor *)base;
    (void)number, (void)name;
    c->rows = argc > 0 ? sqlite3_value_pointer(argv[0], POINTER) : NULL;
    c->at = 0;
    return next(base);
}

static int at_end(sqlite3_vtab_cursor *base) {
    return !((cursor *)base)->more;
}

/* What is left alone is NULL. */
static int column(sqlite3_vtab_cursor *base, sqlite3_context *to, int i) {
    const orr_field *v = i < ARGUMENT ? &((cursor *)base)->rows->values[i] : NULL;
    if (v == NULL) return SQLITE_OK;
    const void *bytes = v->bytes != NULL ? v->bytes : "";
    switch (v->type) {
    case ORR_FIELD_INTEGER: sqlite3_result_int64(to, v->integer); break;
    case ORR_FIELD_REAL: sqlite3_result_double(to, v->real); break;
    case ORR_FIELD_TEXT: sqlite3_result_text64(to, bytes, v->size, SQLITE_STATIC, SQLITE_UTF8); break;
    case ORR_FIELD_BLOB: sqlite3_result_blob64(to, bytes, v->size, SQLITE_STATIC); break;
    case ORR_FIELD_NULL:
    default: break;
    }
    return SQLITE_OK;
}

static int number(sqlite3_vtab_cursor *base, sqlite3_int64 *row) {
    *row = ((cursor *)base)->at;
    return SQLITE_OK;
}

int orr_sqlite_rows_open(sqlite3 *db) {
    static const sqlite3_module module = {.xConnect = open_table,
                                          .xDisconnect = close_table,
                                          .xBestIndex = plan,
                                          .xOpen = open_cursor,
                                          .xClose = close_cursor,
                                          .xFilter = start,
                                          .xNext = next,
                                          .xEof = at_end,
                                          .xColumn = column,
                                          .xRowid = number};
    return sqlite3_create_module(db, "orr_rows", &module, NULL);
}

int orr_sqlite_rows_insert(sqlite3_stmt *s, orr_sqlite_rows *rows) {
    int rc = sqlite3_bind_pointer(s, 1, rows, POINTER, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc;
}
