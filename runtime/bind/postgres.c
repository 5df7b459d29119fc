/* postgres.c - orrery.core.postgres: one connection to a PostgreSQL server for Lua, by libpq. No
 * function waits: Lua has the socket watched (orrery.rows.postgres.connection) and calls again.
 *
 * core.postgres(parameters) -> connection      parameters = {keyword = text} of libpq's manual,
 *                                              "Parameter Key Words"; hosts by `hostaddr`, so that
 *                                              libpq looks no name up
 *     nil, why                                 there is no libpq
 * connection:watch(events, callback)               callback() once the socket may be read ("r"),
 *                                                  written ("w"), either ("rw"), or is lost
 * connection:unwatch()                             the callback does not come
 * connection:rest(seconds) -> whether it will be closed then, unless it is watched before; nothing
 *                                                  waits for that
 * connection:poll() -> "r", "w", "ok", "failed"    goes on connecting; what it waits for
 * connection:socket() -> fd; nil where there is none
 * connection:problem() -> what libpq said last of the connection
 * connection:state() -> "idle", "active", "transaction", "broken" (a transaction that failed),
 *                       "lost", "closed"
 * connection:parameter(name) -> text that the server reports, such as DateStyle; or nil
 *
 * What sends returns nil, or what is wrong.
 * connection:simple(sql)                       sends several statements
 * connection:prepare(sql)                      sends one, without a name
 * connection:describe()                        asks for the types of its parameters
 * connection:execute(values, count, types)     runs it with these values, so that rows come one by
 *     one; also returns "value" where one of them is wrong
 * connection:flush() -> true once all is sent; nil where the connection is lost
 * connection:consume() -> false where the connection is lost
 * connection:fetch(rows, most, floats) -> what to do next; adds rows to the list, until it has
 *                                         `most`
 *     "wait"  for the socket   "more"  rows are there   "done"  the statement is over
 *     "copy"  put rows         "copies"  it sends them, which is not read
 * connection:columns() -> names, once a row was read
 * connection:result() -> {columns, changes, types, error} of the statement; forgets it
 *     error   {sqlstate, message, detail, hint, position, …}
 * connection:put(rows, from, columns, types) -> the next row to put, or nil
 *     false, what is wrong, row, column
 * connection:put_end(why)                      no more rows; `why`: the server is to forget them
 *
 * connection:cancel(callback)  asks the server, on a thread, to end what it does; callback() later
 * connection:close()
 */
#include "bind/inner.h"
#include "bind/postgres_lib.h"
#include "bind/postgres_values.h"
#include "bind/postgres_wait.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTION "orrery.postgres"
#define PIECE ((size_t)256 * 1024) /* bytes of rows that are put at once */

enum { COLUMNS = 1, TYPES, FAILURE }; /* user values: of the statement that runs */

typedef struct connection {
    const orr_pq_lib *lib;
    PGconn *pg;       /* NULL: closed */
    PGresult *result; /* what is being read; cleared later where an error is raised meanwhile */
    orr_pq_type *types;
    int n_columns; /* of which there are types */
    lua_Integer changes;
    orr_packed out, scratch;
    orr_pq_wait *watch; /* NULL: nobody waits for the socket */
} connection;

static void clear_result(connection *c) {
    if (c->result) c->lib->clear(c->result);
    c->result = NULL;
}

static void forget_columns(connection *c) {
    free(c->types);
    c->types = NULL;
    c->n_columns = 0;
}

static void close_connection(connection *c) {
    if (!c->pg) return;
    orr_pq_unwatch(&c->watch);
    clear_result(c);
    forget_columns(c);
    c->lib->finish(c->pg);
    orr_packed_free(&c->out);
    orr_packed_free(&c->scratch);
    c->pg = NULL;
}

static connection *check(lua_State *L) {
    connection *c = luaL_checkudata(L, 1, CONNECTION);
    if (!c->pg) luaL_error(L, "the connection is closed");
    return c;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int poll_connection(lua_State *L) {
    const connection *c = check(L);
    switch (c->lib->connectPoll(c->pg)) {
    case PGRES_POLLING_READING: lua_pushliteral(L, "r"); break;
    case PGRES_POLLING_WRITING: lua_pushliteral(L, "w"); break;
    case PGRES_POLLING_OK:
        c->lib->setnonblocking(c->pg, 1);
        lua_pushliteral(L, "ok");
        break;
    default: lua_pushliteral(L, "failed");
    }
    return 1;
}

static int socket_of(lua_State *L) {
    const connection *c = check(L);
    int fd = c->lib->socket(c->pg);
    if (fd < 0) lua_pushnil(L);
    else lua_pushinteger(L, fd);
    return 1;
}

static int problem(lua_State *L) {
    const connection *c = check(L);
    lua_pushstring(L, c->lib->errorMessage(c->pg));
    return 1;
}

static int state(lua_State *L) {
    const connection *c = luaL_checkudata(L, 1, CONNECTION);
    const char *text = c->pg ? "lost" : "closed";
    if (c->pg && c->lib->status(c->pg) != CONNECTION_BAD) {
        switch (c->lib->transactionStatus(c->pg)) {
        case PQTRANS_IDLE: text = "idle"; break;
        case PQTRANS_ACTIVE: text = "active"; break;
        case PQTRANS_INTRANS: text = "transaction"; break;
        case PQTRANS_INERROR: text = "broken"; break;
        default: break;
        }
    }
    lua_pushstring(L, text);
    return 1;
}

static int parameter(lua_State *L) {
    const connection *c = check(L);
    lua_pushstring(L, c->lib->parameterStatus(c->pg, luaL_checkstring(L, 2)));
    return 1;
}

/* ---- sending --------------------------------------------------------------------------------- */

static int sent(lua_State *L, const connection *c, int good) {
    if (!good) lua_pushstring(L, c->lib->errorMessage(c->pg));
    else lua_pushnil(L);
    return 1;
}

/* Statements are texts without a NUL byte. */
static const char *check_sql(lua_State *L) {
    size_t size;
    const char *sql = luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, strlen(sql) == size, 2, "sql has a NUL byte");
    return sql;
}

static int simple(lua_State *L) {
    const connection *c = check(L);
    return sent(L, c, c->lib->sendQuery(c->pg, check_sql(L)));
}

static int prepare(lua_State *L) {
    const connection *c = check(L);
    return sent(L, c, c->lib->sendPrepare(c->pg, "", check_sql(L), 0, NULL));
}

static int describe(lua_State *L) {
    const connection *c = check(L);
    return sent(L, c, c->lib->sendDescribePrepared(c->pg, ""));
}

/* The type of number i, from 0 on, among those that `result` gave. */
static Oid oid_at(const char *types, size_t size, int i) {
    Oid oid = 0;
    if (((size_t)i + 1) * sizeof oid <= size) memcpy(&oid, types + (size_t)i * sizeof oid, sizeof oid);
    return oid;
}

static bool no_value(lua_State *L, int idx) {
    return lua_isnil(L, idx) || orr_json_is_null(L, idx);
}

/* What is given for each parameter, as libpq takes it. */
typedef struct parameters {
    size_t *ends; /* of its text in `out` */
    const char **texts;
    int *sizes, *formats;
} parameters;

/* Pushes what holds them. */
static parameters new_parameters(lua_State *L, size_t count) {
    parameters p = {.ends = lua_newuserdatauv(L, (count + 1) * sizeof *p.ends, 0)};
    p.texts = lua_newuserdatauv(L, (count + 1) * sizeof *p.texts, 0);
    p.sizes = lua_newuserdatauv(L, (count + 1) * sizeof *p.sizes, 0);
    p.formats = lua_newuserdatauv(L, (count + 1) * sizeof *p.formats, 0);
    return p;
}

/* Writes the values at 2 into `out`, each with a NUL behind it. False with what is wrong pushed. */
static bool write_parameters(lua_State *L, connection *c, parameters *p, int count) {
    size_t size;
    const char *types = luaL_checklstring(L, 4, &size);
    c->out.size = 0;
    for (int i = 0; i < count; i++) {
        orr_pq_type type = orr_pq_type_of(oid_at(types, size, i));
        size_t from = c->out.size;
        lua_rawgeti(L, 2, i + 1);
        bool null = no_value(L, -1);
        if (!null && !orr_pq_write(L, -1, type, true, &c->out)) {
            lua_pushfstring(L, "$%d is %s", i + 1, lua_tostring(L, -1));
            return false;
        }
        lua_pop(L, 1);
        p->sizes[i] = (int)(c->out.size - from);
        p->formats[i] = type.kind == ORR_PQ_BYTES && !type.list; /* as it is, not as text */
        p->texts[i] = null ? NULL : "";
        orr_pack_bytes(&c->out, "", 1);
        p->ends[i] = c->out.size;
    }
    if (c->out.size > INT32_MAX) return lua_pushliteral(L, "values of more than 2 GB"), false;
    if (c->out.failed) return lua_pushliteral(L, "values for which there is no memory"), false;
    return true;
}

static int execute(lua_State *L) {
    connection *c = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer count = luaL_checkinteger(L, 3);
    luaL_argcheck(L, count >= 0 && count <= UINT16_MAX, 3, "there are too many parameters");
    parameters p = new_parameters(L, (size_t)count);
    if (!write_parameters(L, c, &p, (int)count)) {
        lua_pushliteral(L, "value");
        return 2;
    }
    for (lua_Integer i = 0; i < count; i++)
        if (p.texts[i]) p.texts[i] = c->out.data + p.ends[i] - 1 - p.sizes[i];
    int good = c->lib->sendQueryPrepared(c->pg, "", (int)count, p.texts, p.sizes, p.formats, 0);
    if (good) c->lib->setSingleRowMode(c->pg);
    return sent(L, c, good);
}

static int flush(lua_State *L) {
    const connection *c = check(L);
    int left = c->lib->flush(c->pg);
    if (left < 0) lua_pushnil(L);
    else lua_pushboolean(L, left == 0);
    return 1;
}

static int consume(lua_State *L) {
    const connection *c = check(L);
    lua_pushboolean(L, c->lib->consumeInput(c->pg));
    return 1;
}

/* ---- reading --------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    int field;
} error_fields[] = {
    {"sqlstate", PG_DIAG_SQLSTATE},
    {"message", PG_DIAG_MESSAGE_PRIMARY},
    {"detail", PG_DIAG_MESSAGE_DETAIL},
    {"hint", PG_DIAG_MESSAGE_HINT},
    {"context", PG_DIAG_CONTEXT},
    {"schema", PG_DIAG_SCHEMA_NAME},
    {"table", PG_DIAG_TABLE_NAME},
    {"column", PG_DIAG_COLUMN_NAME},
    {"constraint", PG_DIAG_CONSTRAINT_NAME},
};

/* Keeps the first error of a statement. */
static void note_error(lua_State *L, const connection *c) {
    if (lua_getiuservalue(L, 1, FAILURE) == LUA_TNIL) {
        lua_createtable(L, 0, 4);
        for (size_t i = 0; i < sizeof error_fields / sizeof *error_fields; i++)
            orr_set_text(L, error_fields[i].key, c->lib->resultErrorField(c->result, error_fields[i].field));
        const char *position = c->lib->resultErrorField(c->result, PG_DIAG_STATEMENT_POSITION);
        if (position) orr_set_integer(L, "position", strtol(position, NULL, 10));
        if (!c->lib->resultErrorField(c->result, PG_DIAG_MESSAGE_PRIMARY))
            orr_set_text(L, "message", c->lib->resultErrorMessage(c->result));
        lua_setiuservalue(L, 1, FAILURE);
    }
    lua_pop(L, 1);
}

/* The names and types of the columns, where they are not known yet; pushes the names. */
static void push_columns(lua_State *L, connection *c) {
    if (lua_getiuservalue(L, 1, COLUMNS) != LUA_TNIL) return;
    int n = c->lib->nfields(c->result);
    lua_pop(L, 1);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushstring(L, c->lib->fname(c->result, i));
        lua_rawseti(L, -2, i + 1);
    }
    forget_columns(c);
    c->types = calloc((size_t)n + 1, sizeof *c->types);
    if (!c->types) {
        luaL_error(L, "not enough memory");
        return;
    }
    c->n_columns = n;
    for (int i = 0; i < n; i++) c->types[i] = orr_pq_type_of(c->lib->ftype(c->result, i));
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, COLUMNS);
}

/* Pushes the row that the result holds; the names are at `names`. */
static void push_row(lua_State *L, const connection *c, int names, bool floats) {
    const orr_pq_lib *lib = c->lib;
    int n = lib->nfields(c->result);
    if (n > c->n_columns) n = c->n_columns;
    lua_createtable(L, 0, n);
    for (int i = 0; i < n; i++) {
        if (lib->getisnull(c->result, 0, i)) continue;
        lua_rawgeti(L, names, i + 1);
        orr_pq_push(L, c->types[i], lib->getvalue(c->result, 0, i), (size_t)lib->getlength(c->result, 0, i),
                    floats);
        lua_rawset(L, -3);
    }
}

/* The types of the parameters, as `execute` and `put` take them. */
static void note_types(lua_State *L, const connection *c) {
    luaL_Buffer b;
    int n = c->lib->nparams(c->result);
    luaL_buffinit(L, &b);
    for (int i = 0; i < n; i++) {
        Oid oid = c->lib->paramtype(c->result, i);
        luaL_addlstring(&b, (const char *)&oid, sizeof oid);
    }
    luaL_pushresult(&b);
    lua_setiuservalue(L, 1, TYPES);
}

/* How many rows a statement has changed, in its command tag; those that SELECT gives are not. */
static lua_Integer changes_of(const connection *c) {
    const char *tag = c->lib->cmdStatus(c->result);
    if (strncmp(tag, "SELECT", 6) == 0 || strncmp(tag, "FETCH", 5) == 0) return 0;
    return strtoll(c->lib->cmdTuples(c->result), NULL, 10);
}

/* What is to be done with a result that holds no row; NULL: read on. */
static const char *take_result(lua_State *L, connection *c) {
    switch (c->lib->resultStatus(c->result)) {
    case PGRES_COMMAND_OK:
        c->changes = changes_of(c);
        note_types(L, c);
        return NULL;
    case PGRES_TUPLES_OK:
        c->changes = changes_of(c);
        push_columns(L, c);
        lua_pop(L, 1);
        return NULL;
    case PGRES_EMPTY_QUERY: return NULL;
    case PGRES_COPY_IN: return "copy";
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: return "copies";
    default: note_error(L, c); return NULL;
    }
}

/* (connection, rows, most, floats) */
static int fetch(lua_State *L) {
    connection *c = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer most = luaL_checkinteger(L, 3), n = luaL_len(L, 2);
    bool floats = lua_toboolean(L, 4);
    const char *next = NULL;
    lua_settop(L, 4);
    lua_pushnil(L); /* the names */
    while (!next) {
        clear_result(c); /* of a connection that is lost, the next one says so, without a wait */
        if (n >= most) next = "more";
        else if (c->lib->status(c->pg) != CONNECTION_BAD && c->lib->isBusy(c->pg)) next = "wait";
        else if (!(c->result = c->lib->getResult(c->pg))) next = "done";
        else if (c->lib->resultStatus(c->result) != PGRES_SINGLE_TUPLE) next = take_result(L, c);
        else {
            lua_settop(L, 4);
            push_columns(L, c);
            push_row(L, c, 5, floats);
            lua_rawseti(L, 2, ++n);
        }
    }
    clear_result(c);
    lua_pushstring(L, next);
    return 1;
}

static int columns(lua_State *L) {
    check(L);
    lua_getiuservalue(L, 1, COLUMNS);
    return 1;
}

static int result(lua_State *L) {
    static const char *const keys[] = {NULL, "columns", "types", "error"};
    connection *c = check(L);
    lua_settop(L, 1);
    lua_createtable(L, 0, 4);
    for (int i = COLUMNS; i <= FAILURE; i++) {
        lua_getiuservalue(L, 1, i);
        lua_setfield(L, 2, keys[i]);
        lua_pushnil(L);
        lua_setiuservalue(L, 1, i);
    }
    orr_set_integer(L, "changes", c->changes);
    c->changes = 0;
    forget_columns(c);
    return 1;
}

/* ---- loading --------------------------------------------------------------------------------- */

/* Adds the row at the top to `out`; at the end of the stack, what is wrong with which column. */
static bool write_row(lua_State *L, connection *c, lua_Integer columns, const char *types, size_t size) {
    int row = lua_gettop(L);
    for (lua_Integer i = 1; i <= columns; i++) {
        lua_rawgeti(L, 4, i);
        lua_pushvalue(L, -1);
        lua_rawget(L, row);
        orr_pq_type type = orr_pq_type_of(oid_at(types, size, (int)i - 1));
        if (!orr_pq_write_field(L, -1, type, &c->scratch, &c->out)) return false;
        lua_settop(L, row);
        orr_pack_bytes(&c->out, i < columns ? "\t" : "\n", 1);
    }
    return true;
}

/* (connection, rows, from, columns, types) */
static int put(lua_State *L) {
    connection *c = check(L);
    size_t size;
    const char *types = luaL_checklstring(L, 5, &size);
    lua_Integer columns = luaL_len(L, 4), count = luaL_len(L, 2), row = luaL_checkinteger(L, 3);
    lua_settop(L, 5);
    c->out.size = 0;
    for (; row <= count && c->out.size < PIECE; row++) {
        const char *wrong = "is no row";
        bool good = lua_rawgeti(L, 2, row) == LUA_TTABLE;
        if (good && !(good = write_row(L, c, columns, types, size))) wrong = lua_tostring(L, -1);
        if (!good) {
            lua_pushboolean(L, false);
            lua_pushstring(L, wrong);
            lua_pushinteger(L, row);
            lua_pushvalue(L, 7); /* the column */
            return 4;
        }
        lua_pop(L, 1);
    }
    if (c->out.failed || c->scratch.failed) return luaL_error(L, "not enough memory");
    /* where the connection is lost, flush and consume say so */
    if (c->out.size > 0) c->lib->putCopyData(c->pg, c->out.data, (int)c->out.size);
    if (row > count) lua_pushnil(L);
    else lua_pushinteger(L, row);
    return 1;
}

static int put_end(lua_State *L) {
    const connection *c = check(L);
    c->lib->putCopyEnd(c->pg, luaL_optstring(L, 2, NULL));
    return 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int watch(lua_State *L) {
    static const char *const words[] = {"r", "w", "rw", NULL};
    static const int events[] = {UV_READABLE, UV_WRITABLE, UV_READABLE | UV_WRITABLE};
    connection *c = check(L);
    int which = luaL_checkoption(L, 2, NULL, words);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    orr_pq_unwatch(&c->watch);
    if (!orr_pq_watch(L, &c->watch, c->lib->socket(c->pg), events[which]))
        return luaL_error(L, "not enough memory");
    return 0;
}

static int unwatch(lua_State *L) {
    connection *c = check(L);
    orr_pq_unwatch(&c->watch);
    return 0;
}

static void rested(void *ud) {
    close_connection(ud);
}

static int rest(lua_State *L) {
    connection *c = check(L);
    lua_Number seconds = luaL_checknumber(L, 2);
    orr_pq_unwatch(&c->watch);
    lua_pushboolean(L, orr_pq_rest(L, &c->watch, seconds, rested, c));
    return 1;
}

static int cancel(lua_State *L) {
    const connection *c = check(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_pushboolean(L, orr_pq_cancel(L, c->lib, c->pg));
    return 1;
}

/* ---- the connection -------------------------------------------------------------------------- */

static int close_it(lua_State *L) {
    close_connection(luaL_checkudata(L, 1, CONNECTION));
    return 0;
}

/* What a server says besides, such as that a table is there already. libpq would print it. */
static void ignore(void *ud, const PGresult *r) {
    (void)ud, (void)r;
}

/* Begins to connect by the parameters at 1. */
static PGconn *begin(lua_State *L, const orr_pq_lib *lib) {
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1), n++)
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING, 1,
                      "parameters are texts");
    const char **words = lua_newuserdatauv(L, (n + 1) * 2 * sizeof *words, 0), **values = words + n + 1;
    n = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1), n++) {
        words[n] = lua_tostring(L, -2);
        values[n] = lua_tostring(L, -1);
    }
    words[n] = values[n] = NULL;
    return lib->connectStartParams(words, values, 0);
}

int orr_core_postgres(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"poll", poll_connection}, {"socket", socket_of}, {"problem", problem}, {"state", state},
        {"parameter", parameter},  {"simple", simple},    {"prepare", prepare}, {"describe", describe},
        {"execute", execute},      {"flush", flush},      {"consume", consume}, {"fetch", fetch},
        {"result", result},        {"put", put},          {"put_end", put_end}, {"cancel", cancel},
        {"columns", columns},      {"watch", watch},      {"unwatch", unwatch}, {"rest", rest},
        {"close", close_it},       {NULL, NULL},
    };
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *why;
    const orr_pq_lib *lib = orr_pq_lib_get(&why);
    if (!lib) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    connection *c = lua_newuserdatauv(L, sizeof *c, FAILURE);
    *c = (connection){.lib = lib};
    orr_push_kind(L, CONNECTION, close_it, methods);
    lua_setmetatable(L, -2);
    int made = lua_gettop(L);
    c->pg = begin(L, lib);
    if (!c->pg) return luaL_error(L, "not enough memory");
    lib->setNoticeReceiver(c->pg, ignore, NULL);
    lua_settop(L, made);
    return 1;
}
