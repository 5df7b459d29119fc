/* database.c - orrery.core.database: SQLite databases for Lua, used on threads (loop/blocking.h).
 *
 * core.database(path, { write, create, busy }) -> database      nothing is opened yet
 *   write    it may be changed          create   it is made where it is not there
 *   busy     milliseconds that a statement waits for the lock of another
 * database:perform(operation, …, callback)
 *   "query", sql, parameters, most    runs one statement; parameters are a list or {name = value};
 *       {rows, columns, more, changes, last_id}; at most `most` rows, `more` where there are others
 *   "more", most                      the next rows of it
 *   "insert", sql, columns, rows      runs the statement once for each row, with these fields of it
 *       {inserted, failures}, a failure being {row's number, message}
 * callback(err, result) is called once, later; err is {code, message}. One operation at a time.
 * database:cancel(): interrupts what is under way; its callback comes all the same.
 * database:close(): the same, and closes it; what is not committed is rolled back. Nothing waits
 * for that.
 *
 * What a thread uses is of libc's heap. The database is closed by whoever is last: the userdata, or
 * the operation that is under way when that is collected.
 */
#include "bind/inner.h"
#include "bind/values.h"
#include "fiber/fiber.h"
#include "store/sqlite/sqlite.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE "orrery.database"
#define PIECE (256 * 1024) /* bytes of rows that one operation gives */
#define MOST_FAILURES 100000

typedef enum { QUERY, MORE, INSERT } operation;
static const char *const operations[] = {"query", "more", "insert", NULL};

typedef struct database {
    orr_job job; /* closes it */
    sqlite3 *db; /* NULL: not open */
    sqlite3_stmt *query, *insert;
    char *insert_sql;   /* what `insert` was made of */
    atomic_int users;   /* the userdata, and an operation */
    atomic_bool opened; /* db may be interrupted */
    bool write, create, busy;
    int patience; /* ms */
    char path[];
} database;

typedef struct work_item {
    orr_job job;
    database *of;
    operation op;
    char *sql;
    orr_packed in, names, out;     /* values given; names of parameters or columns; values made */
    uint32_t given, columns, rows; /* values in `in`; of a row in `out`; rows in `out` */
    uint32_t most;
    bool named, more;
    int64_t changes, last_id;
    const char *code; /* NULL: no error */
    char message[512];
    orr_script *script;
    orr_blocking *threads;
    int callback; /* registry */
} work_item;

/* ---- on a thread ----------------------------------------------------------------------------- */

static void fail(work_item *w, const char *code, const char *message) {
    if (w->code) return;
    w->code = code;
    snprintf(w->message, sizeof w->message, "%s: %s", w->of->path, message);
}

static void fail_with(work_item *w, int rc) {
    const char *text = w->of->db ? sqlite3_errmsg(w->of->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: fail(w, "database_busy", text); break;
    case SQLITE_CONSTRAINT: fail(w, "database_constraint", text); break;
    case SQLITE_FULL: fail(w, "database_full", text); break;
    default: fail(w, "database_error", text);
    }
}

static void close_database(database *d) {
    d->opened = false;
    sqlite3_finalize(d->query);
    sqlite3_finalize(d->insert);
    sqlite3_close(d->db);
    free(d->insert_sql);
    d->query = d->insert = NULL;
    d->insert_sql = NULL;
    d->db = NULL;
}

static void end_database(orr_job *job) {
    database *d = (database *)job;
    close_database(d);
}

static void free_database(orr_job *job) {
    database *d = (database *)job;
    close_database(d);
    free(d);
}

/* The last one has the database closed on a thread, because rolling back may take long; where there
 * is no thread, here. */
static void leave(database *d, orr_blocking *threads) {
    if (atomic_fetch_sub(&d->users, 1) > 1) return;
    d->job = (orr_job){.work = end_database, .done = free_database, .drop = free_database};
    if (!d->db || !threads || !orr_blocking_submit(threads, &d->job, false)) free_database(&d->job);
}

/* A store of ours is not opened: it has rules that a second connection would break. */
static bool is_store(sqlite3 *db) {
    sqlite3_stmt *s = NULL;
    bool is = sqlite3_prepare_v2(db, "PRAGMA application_id", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0) == ORR_SQLITE_APPLICATION;
    sqlite3_finalize(s);
    return is;
}

static bool open_database(work_item *w) {
    database *d = w->of;
    if (d->db) return true;
    int flags = d->write ? SQLITE_OPEN_READWRITE | (d->create ? SQLITE_OPEN_CREATE : 0)
                         : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(d->path, &d->db, flags | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(d->db, d->patience);
        sqlite3_limit(d->db, SQLITE_LIMIT_ATTACHED, 0); /* no other file by ATTACH */
        sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    }
    if (rc == SQLITE_OK && is_store(d->db)) {
        fail(w, "database_is_store", "it is a store of runs; give the data a file of its own");
    } else if (rc != SQLITE_OK) {
        fail_with(w, rc);
    }
    if (w->code) close_database(d);
    else d->opened = true;
    return w->code == NULL;
}

static bool prepare(work_item *w, sqlite3_stmt **statement) {
    const char *tail = NULL;
    int rc = sqlite3_prepare_v2(w->of->db, w->sql, -1, statement, &tail);
    if (rc != SQLITE_OK) return fail_with(w, rc), false;
    if (!*statement) return fail(w, "database_error", "there is no statement in sql"), false;
    while (*tail && strchr(" \t\r\n;", *tail)) tail++;
    if (*tail) return fail(w, "database_error", "sql has more than one statement"), false;
    return true;
}

static int bind_value(sqlite3_stmt *s, int i, const char **at) {
    orr_value_read v = orr_unpack(at);
    switch (v.kind) {
    case 'i': return sqlite3_bind_int64(s, i, v.integer);
    case 'd': return sqlite3_bind_double(s, i, v.number);
    case 's': return sqlite3_bind_text(s, i, v.text, (int)v.size, SQLITE_STATIC);
    default: return sqlite3_bind_null(s, i);
    }
}

static int index_of(sqlite3_stmt *s, const orr_value_read *name) {
    char text[128];
    for (const char *mark = ":@$"; *mark; mark++) {
        snprintf(text, sizeof text, "%c%.*s", *mark, (int)name->size, name->text);
        int i = sqlite3_bind_parameter_index(s, text);
        if (i > 0) return i;
    }
    return 0;
}

static void bind_all(work_item *w) {
    sqlite3_stmt *s = w->of->query;
    const char *at = w->in.data, *names = w->names.data;
    char text[256];
    if (w->given != (uint32_t)sqlite3_bind_parameter_count(s)) {
        snprintf(text, sizeof text, "sql has %d parameters, and params %u values",
                 sqlite3_bind_parameter_count(s), w->given);
        fail(w, "database_error", text);
        return;
    }
    for (uint32_t i = 1; i <= w->given && !w->code; i++) {
        int number = (int)i;
        if (w->named) {
            orr_value_read name = orr_unpack(&names);
            number = index_of(s, &name);
            snprintf(text, sizeof text, "sql has no parameter :%.*s", (int)name.size, name.text);
            if (number == 0) {
                fail(w, "database_error", text);
                return;
            }
        }
        int rc = bind_value(s, number, &at);
        if (rc != SQLITE_OK) fail_with(w, rc);
    }
}

static void pack_column(orr_packed *out, sqlite3_stmt *s, int i) {
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_NULL: orr_pack_null(out); break;
    case SQLITE_INTEGER: orr_pack_integer(out, sqlite3_column_int64(s, i)); break;
    case SQLITE_FLOAT: orr_pack_number(out, sqlite3_column_double(s, i)); break;
    default: {
        const void *data = sqlite3_column_blob(s, i);
        orr_pack_text(out, data ? data : "", (size_t)sqlite3_column_bytes(s, i));
    }
    }
}

static void fetch(work_item *w) {
    database *d = w->of;
    int rc = SQLITE_ROW;
    w->columns = (uint32_t)sqlite3_column_count(d->query);
    for (uint32_t i = 0; i < w->columns; i++) {
        const char *name = sqlite3_column_name(d->query, (int)i);
        orr_pack_text(&w->names, name ? name : "", name ? strlen(name) : 0);
    }
    while (w->rows < w->most && w->out.size < PIECE && (rc = sqlite3_step(d->query)) == SQLITE_ROW) {
        for (uint32_t i = 0; i < w->columns; i++) pack_column(&w->out, d->query, (int)i);
        w->rows++;
    }
    w->more = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) fail_with(w, rc);
    w->changes = sqlite3_changes64(d->db);
    w->last_id = sqlite3_last_insert_rowid(d->db);
    if (!w->more) sqlite3_finalize(d->query), d->query = NULL;
}

static void query(work_item *w) {
    sqlite3_finalize(w->of->query);
    w->of->query = NULL;
    if (!prepare(w, &w->of->query)) return;
    bind_all(w);
    orr_packed_free(&w->names);
    if (!w->code) {
        fetch(w);
    } else {
        sqlite3_finalize(w->of->query);
        w->of->query = NULL;
    }
}

static bool prepare_insert(work_item *w) {
    database *d = w->of;
    if (d->insert && strcmp(d->insert_sql, w->sql) == 0) return true;
    sqlite3_finalize(d->insert);
    free(d->insert_sql);
    d->insert = NULL;
    d->insert_sql = strdup(w->sql);
    if (!d->insert_sql) return fail(w, "database_error", "not enough memory"), false;
    return prepare(w, &d->insert);
}

/* A row that breaks a rule of the table is told, and the others go in; any other failure
 * ends it. */
static void insert(work_item *w) {
    database *d = w->of;
    if (!prepare_insert(w)) return;
    const char *at = w->in.data, *end = at + w->in.size;
    for (uint32_t row = 1; at < end && !w->code; row++) {
        int rc = SQLITE_OK;
        for (uint32_t i = 1; i <= w->given && rc == SQLITE_OK; i++) rc = bind_value(d->insert, (int)i, &at);
        if (rc == SQLITE_OK) rc = sqlite3_step(d->insert);
        if (rc == SQLITE_DONE) w->changes += sqlite3_changes64(d->db);
        else if ((rc & 0xff) == SQLITE_CONSTRAINT && w->rows < MOST_FAILURES) {
            const char *text = sqlite3_errmsg(d->db);
            orr_pack_integer(&w->out, row);
            orr_pack_text(&w->out, text, strlen(text));
            w->rows++;
        } else fail_with(w, rc);
        sqlite3_reset(d->insert);
    }
}

static void work(orr_job *job) {
    work_item *w = (work_item *)job;
    if (!open_database(w)) return;
    if (w->op == QUERY) query(w);
    else if (w->op == INSERT) insert(w);
    else if (w->of->query) fetch(w);
    if (w->out.failed || w->names.failed) fail(w, "database_error", "not enough memory");
}

/* ---- the end of an operation ----------------------------------------------------------------- */

static void free_item(work_item *w, orr_blocking *threads) {
    orr_packed_free(&w->in);
    orr_packed_free(&w->names);
    orr_packed_free(&w->out);
    free(w->sql);
    leave(w->of, threads);
    free(w);
}

static void drop(orr_job *job) {
    free_item((work_item *)job, NULL);
}

static void push_rows(lua_State *L, const work_item *w) {
    const char *names = w->names.data, *at = w->out.data;
    luaL_checkstack(L, (int)w->columns + LUA_MINSTACK, "too many columns");
    lua_createtable(L, (int)w->columns, 0);
    int first = lua_gettop(L) + 1;
    for (uint32_t i = 0; i < w->columns; i++) {
        orr_unpack_lua(L, &names);
        lua_pushvalue(L, -1);
        lua_rawseti(L, first - 1, (lua_Integer)i + 1);
    }
    lua_createtable(L, (int)w->rows, 0);
    for (uint32_t row = 1; row <= w->rows; row++) {
        lua_createtable(L, 0, (int)w->columns);
        for (uint32_t i = 0; i < w->columns; i++) {
            lua_pushvalue(L, first + (int)i);
            orr_unpack_lua(L, &at);
            lua_rawset(L, -3);
        }
        lua_rawseti(L, -2, row);
    }
    lua_insert(L, first);
    lua_settop(L, first); /* columns, rows */
}

static void push_failures(lua_State *L, const work_item *w) {
    const char *at = w->out.data;
    lua_createtable(L, (int)w->rows, 0);
    for (uint32_t i = 1; i <= w->rows; i++) {
        lua_createtable(L, 2, 0);
        for (int k = 1; k <= 2; k++) {
            orr_unpack_lua(L, &at);
            lua_rawseti(L, -2, k);
        }
        lua_rawseti(L, -2, i);
    }
}

/* (item) -> err, result */
static int build(lua_State *L) {
    const work_item *w = lua_touserdata(L, 1);
    if (w->code) {
        lua_createtable(L, 0, 2);
        orr_set_text(L, "code", w->code);
        orr_set_text(L, "message", w->message);
        lua_pushnil(L);
        return 2;
    }
    lua_pushnil(L);
    lua_createtable(L, 0, 5);
    if (w->op == INSERT) {
        push_failures(L, w);
        lua_setfield(L, -2, "failures");
        orr_set_integer(L, "inserted", w->changes);
        return 2;
    }
    push_rows(L, w);
    lua_setfield(L, -3, "rows");
    lua_setfield(L, -2, "columns");
    orr_set_flag(L, "more", w->more);
    orr_set_integer(L, "changes", w->changes);
    orr_set_integer(L, "last_id", w->last_id);
    return 2;
}

/* Runs inside orr_script_call. */
static int deliver(lua_State *L) {
    work_item *w = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->callback);
    luaL_unref(L, LUA_REGISTRYINDEX, w->callback);
    lua_pushcfunction(L, build);
    lua_pushlightuserdata(L, w);
    if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        orr_set_text(L, "code", "database_error");
        orr_set_text(L, "message", "not enough memory for rows");
        lua_pushnil(L);
    }
    lua_call(L, 2, 0);
    return 0;
}

static void done(orr_job *job) {
    work_item *w = (work_item *)job;
    lua_State *L = orr_script_main(w->script);
    w->of->busy = false;
    orr_script_pending(w->script, -1);
    if (lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, deliver);
        lua_pushlightuserdata(L, w);
        orr_script_call(w->script, 1);
    }
    free_item(w, w->threads);
}

/* ---- for Lua --------------------------------------------------------------------------------- */

static database *check_database(lua_State *L) {
    database *d = *(database **)luaL_checkudata(L, 1, DATABASE);
    if (!d) luaL_error(L, "the database is closed");
    return d;
}

static void add_name(lua_State *L, work_item *w, int idx) {
    size_t size;
    const char *name = lua_tolstring(L, idx, &size);
    orr_pack_text(&w->names, name, size);
}

/* The values of a list, or of {name = value}, at idx. False for what is no value of a database,
 * whose key is then at the top. */
static bool take_parameters(lua_State *L, work_item *w, int idx) {
    lua_Integer count = luaL_len(L, idx);
    for (lua_Integer i = 1; i <= count; i++, w->given++) {
        lua_pushinteger(L, i);
        lua_rawgeti(L, idx, i);
        if (!orr_pack_lua(&w->in, L, -1)) return lua_pop(L, 1), false;
        lua_pop(L, 2);
    }
    for (lua_pushnil(L); count == 0 && lua_next(L, idx); lua_pop(L, 1), w->given++) {
        if (lua_type(L, -2) != LUA_TSTRING || !orr_pack_lua(&w->in, L, -1)) return lua_pop(L, 1), false;
        add_name(L, w, -2);
        w->named = true;
    }
    return true;
}

/* Those fields of the rows at 5 that the list at 4 names. */
static bool take_rows(lua_State *L, work_item *w) {
    lua_Integer columns = luaL_len(L, 4), rows = luaL_len(L, 5);
    luaL_checkstack(L, (int)columns + LUA_MINSTACK, "too many columns");
    int first = lua_gettop(L) + 1;
    for (lua_Integer i = 1; i <= columns; i++) lua_rawgeti(L, 4, i);
    w->given = (uint32_t)columns;
    for (lua_Integer row = 1; row <= rows; row++) {
        if (lua_rawgeti(L, 5, row) != LUA_TTABLE) return lua_pushliteral(L, "a row"), false;
        for (int i = 0; i < (int)columns; i++) {
            lua_pushvalue(L, first + i);
            lua_rawget(L, -2);
            if (!orr_pack_lua(&w->in, L, -1)) return lua_pushvalue(L, first + i), false;
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_settop(L, first - 1);
    return true;
}

/* False with what is wrong at the top. */
static bool take_arguments(lua_State *L, work_item *w) {
    if (w->op == QUERY || w->op == INSERT) {
        size_t size;
        const char *sql = lua_tolstring(L, 3, &size);
        w->sql = malloc(size + 1);
        if (!w->sql || strlen(sql) != size) return lua_pushliteral(L, "sql has a NUL byte"), false;
        memcpy(w->sql, sql, size + 1);
    }
    bool good = w->op == QUERY ? take_parameters(L, w, 4) : w->op != INSERT || take_rows(L, w);
    if (!good) {
        lua_pushfstring(L, "%s is no value for a database: it takes texts, numbers, true, false and null",
                        luaL_tolstring(L, -1, NULL));
    }
    return good && !(w->in.failed || w->names.failed);
}

static void check_arguments(lua_State *L, operation op) {
    if (op == QUERY || op == INSERT) {
        luaL_checkstring(L, 3);
        luaL_checktype(L, 4, LUA_TTABLE);
    }
    if (op == INSERT) luaL_checktype(L, 5, LUA_TTABLE);
    luaL_checktype(L, -1, LUA_TFUNCTION);
}

static int perform(lua_State *L) {
    database *d = check_database(L);
    operation op = (operation)luaL_checkoption(L, 2, NULL, operations);
    check_arguments(L, op);
    lua_Integer most = 0;
    if (op == QUERY || op == MORE) most = luaL_checkinteger(L, op == MORE ? 3 : 5);
    orr_script *s = orr_script_of(L);
    orr_blocking *threads = *orr_threads_of(L);
    if (d->busy) return luaL_error(L, "the database has an operation under way");
    work_item *w = calloc(1, sizeof *w);
    if (!w) return luaL_error(L, "not enough memory");
    atomic_fetch_add(&d->users, 1);
    *w = (work_item){.job = {.work = work, .done = done, .drop = drop},
                     .of = d,
                     .op = op,
                     .most = (uint32_t)most,
                     .script = s,
                     .threads = threads};
    lua_pushvalue(L, -1);
    int callback = lua_gettop(L);
    if (!take_arguments(L, w)) {
        free_item(w, NULL);
        return luaL_error(L, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "not enough memory");
    }
    lua_pushvalue(L, callback);
    w->callback = luaL_ref(L, LUA_REGISTRYINDEX);
    if (!orr_blocking_submit(threads, &w->job, true)) {
        luaL_unref(L, LUA_REGISTRYINDEX, w->callback);
        free_item(w, NULL);
        return luaL_error(L, "the system gives no thread for the database");
    }
    d->busy = true;
    orr_script_pending(s, +1);
    return 0;
}

static void interrupt(const database *d) {
    if (d->busy && d->opened) sqlite3_interrupt(d->db);
}

static int cancel(lua_State *L) {
    const database *const *box = luaL_checkudata(L, 1, DATABASE);
    if (*box) interrupt(*box);
    return 0;
}

static int close_it(lua_State *L) {
    database **box = luaL_checkudata(L, 1, DATABASE), *d = *box;
    if (!d) return 0;
    interrupt(d);
    *box = NULL;
    leave(d, *orr_threads_of(L));
    return 0;
}

static int database_gc(lua_State *L) {
    database **box = luaL_checkudata(L, 1, DATABASE);
    if (*box) leave(*box, NULL);
    *box = NULL;
    return 0;
}

int orr_core_database(lua_State *L) {
    static const luaL_Reg methods[] = {{"perform", perform},
                                       {"cancel", cancel},
                                       {"close", close_it},
                                       {NULL, NULL}};
    size_t size;
    const char *path = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, strlen(path) == size, 1, "a path has no NUL byte");
    luaL_checktype(L, 2, LUA_TTABLE);
    database **box = lua_newuserdatauv(L, sizeof *box, 0), *d = calloc(1, sizeof *d + size + 1);
    *box = d;
    if (!d) return luaL_error(L, "not enough memory");
    d->users = 1;
    orr_push_kind(L, DATABASE, database_gc, methods);
    lua_setmetatable(L, -2);
    memcpy(d->path, path, size + 1);
    lua_getfield(L, 2, "write");
    lua_getfield(L, 2, "create");
    lua_getfield(L, 2, "busy");
    d->write = lua_toboolean(L, -3);
    d->create = lua_toboolean(L, -2);
    d->patience = (int)luaL_optinteger(L, -1, 5000);
    lua_pop(L, 3);
    return 1;
}
