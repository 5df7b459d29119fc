/* store.c - core.store: a store as Lua sees it, for the commands that show and maintain what
 * runs have left.
 *
 * core.store(url [, "look" | "own"]) -> store. Nothing here yields; whatever fails raises one
 * sentence, without a position.
 *
 *   store:rows(name [, parameters]), store:row(…), store:each_row(…)
 *       what a query of the catalogue (store/catalogue.h) gives, by its name, with a table of
 *       parameters: its rows as an array of tables by the names of the columns; the first of them,
 *       or nil; and all for a generic `for`, read before the first is given, so that the loop may
 *       change the store. Integers stay integers, NULL is nil, a blob is a string. Parameters are
 *       numbers and texts, an array for a `list`, true or false for a `flag`; one that may be NULL
 *       may be left out
 *   store:perform(name [, parameters])
 *       makes a change of the catalogue -> the number of rows that changed
 *   store:query(sql, ...), store:each(sql, ...)
 *       for users: the rows of their own SELECT, as `rows` and `each_row` give them. Parameters are
 *       nil or null, booleans (as 0 and 1), numbers and strings
 *   store:change{{sql, ...}, ...}
 *       for users: the statements in one transaction -> the number of rows that changed. A
 *       statement that has nil among its parameters says with a field `n` how many there are, or
 *       has null instead
 *   store:send(run, name, text, dedup)
 *       leaves a message in the inbox of the run with that id; returns once that is durable
 *   store:unblock(run)
 *       before that run is taken by force: where its process was stopped while it had the store
 *       locked, that process is displaced, and woken so that it lets go
 *   store:snapshot(fn, …)
 *       calls fn with the rest, and gives what it gives; all that it reads is of one moment, that
 *       of the first where it takes another one. It may neither wait nor change or close the store
 *   store:records(run, after, most)
 *       the records of the run with that id after a sequence number, at most so many, as
 *       run:journal gives them without values; nil where there is no such run
 *   store:project()
 *       brings the tables of the projection up to date with the journal
 *   store:get(kind, key)
 *       the row of a "bundle", "blob" or "cache" entry or nil, or the list of a bundle's "module"s
 *   store:owner(id)
 *       "lives", "self" (it is this process) or "gone" for a process that ran something; nil where
 *       there is none
 * core.restore(backup, path, overwrite)
 *       puts the file of a backup in the place of the store at a path, once it was read whole; one
 *       that is there is replaced only where `overwrite` says so, and never while it is used
 *
 *   store:backup(path), store:close(); the fields `url`, `kind` ("sqlite" or "memory"), `path`
 *       (absolute; nil where it is in no file) and `rows_folder`, the one beside it in which
 *       lists are kept that are too large for it
 */
#include "durable/durable.h"
#include "bind/inner.h"
#include "port/port.h"
#include "store/sqlite/sqlite.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define STORE "orrery.store"

typedef struct lstore {
    orr_store *store; /* NULL: closed */
    bool borrowed;    /* somebody else closes it */
    bool in_snapshot;
    orr_trace trace; /* what it tells by */
} lstore;

enum { URL = 1 }; /* its user value */

static orr_store *check_store(lua_State *L) {
    const lstore *s = luaL_checkudata(L, 1, STORE);
    if (!s->store) {
        lua_pushliteral(L, "the store is closed");
        lua_error(L);
    }
    return s->store;
}

/* What a status means, where the store gave no reason. */
static const char *sentence_of(orr_status status) {
    switch (status) {
    case ORR_ENOMEM: return "there is not enough memory to use the store";
    case ORR_ENOTFOUND: return "the store holds no such thing";
    case ORR_ESTATE: return "this store cannot do that: it has no tables, or the run has ended";
    case ORR_EINVAL: return "the store was asked for something that it does not know";
    default: return "the store cannot be read or written";
    }
}

static void check_status(lua_State *L, orr_status status, const char *message) {
    if (status == ORR_OK) return;
    lua_pushstring(L, message[0] ? message : sentence_of(status));
    lua_error(L);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The text of a value stays where it is: the caller keeps it on a stack or in a table. */
static void read_value(lua_State *L, int idx, const char *where, orr_field *v) {
    *v = (orr_field){.type = ORR_FIELD_NULL};
    switch (lua_type(L, idx)) {
    case LUA_TNIL: return;
    case LUA_TBOOLEAN: *v = (orr_field){.type = ORR_FIELD_INTEGER, .integer = lua_toboolean(L, idx)}; return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx))
            *v = (orr_field){.type = ORR_FIELD_INTEGER, .integer = lua_tointeger(L, idx)};
        else *v = (orr_field){.type = ORR_FIELD_REAL, .real = lua_tonumber(L, idx)};
        return;
    case LUA_TSTRING:
        v->type = ORR_FIELD_TEXT;
        v->bytes = lua_tolstring(L, idx, &v->size);
        return;
    default:
        if (orr_json_is_null(L, idx)) return;
        lua_pushfstring(L, "%s is a %s; a statement takes nil, booleans, numbers and strings", where,
                        luaL_typename(L, idx));
        lua_error(L);
    }
}

static void push_value(lua_State *L, const orr_field *v) {
    switch (v->type) {
    case ORR_FIELD_INTEGER: lua_pushinteger(L, v->integer); break;
    case ORR_FIELD_REAL: lua_pushnumber(L, v->real); break;
    case ORR_FIELD_TEXT:
    case ORR_FIELD_BLOB: lua_pushlstring(L, v->bytes ? v->bytes : "", v->size); break;
    case ORR_FIELD_NULL:
    default: lua_pushnil(L);
    }
}

/* ---- reading rows ---------------------------------------------------------------------------- */

/* The store calls back while a statement of its own is open: an error of Lua must not pass
 * through it. So what the callbacks do is protected, and the error waits on the stack until the
 * store has returned. */
typedef struct reading {
    lua_State *L;
    int rows, names; /* stack slots */
    bool failed;
    const char *const *columns; /* during a call of `names` */
    const orr_field *values;    /* during a call of `row` */
    size_t n;
} reading;

/* (names, reading): fills the array of names. */
static int add_names(lua_State *L) {
    const reading *r = lua_touserdata(L, 2);
    for (size_t i = 0; i < r->n; i++) {
        lua_pushstring(L, r->columns[i]);
        lua_rawseti(L, 1, (lua_Integer)i + 1);
    }
    return 0;
}

/* (rows, names, reading): adds a row. */
static int add_row(lua_State *L) {
    const reading *r = lua_touserdata(L, 3);
    lua_createtable(L, 0, (int)r->n);
    for (size_t i = 0; i < r->n; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        push_value(L, &r->values[i]);
        lua_rawset(L, 4);
    }
    lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
    return 0;
}

static void protect(reading *r, int nargs) {
    if (lua_pcall(r->L, nargs, 0, 0) != LUA_OK) r->failed = true; /* the error stays on the stack */
}

static void on_names(void *ud, const char *const *columns, size_t n) {
    reading *r = ud;
    r->columns = columns;
    r->n = n;
    lua_pushcfunction(r->L, add_names);
    lua_pushvalue(r->L, r->names);
    lua_pushlightuserdata(r->L, r);
    protect(r, 2);
}

static bool on_row(void *ud, const orr_field *values, size_t n) {
    reading *r = ud;
    if (r->failed) return false;
    r->values = values;
    r->n = n;
    lua_pushcfunction(r->L, add_row);
    lua_pushvalue(r->L, r->rows);
    lua_pushvalue(r->L, r->names);
    lua_pushlightuserdata(r->L, r);
    protect(r, 3);
    return !r->failed;
}

/* Pushes two new tables, for rows and names. */
static reading begin(lua_State *L) {
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_newtable(L);
    lua_newtable(L);
    return (reading){.L = L, .rows = lua_gettop(L) - 1, .names = lua_gettop(L)};
}

/* Leaves the rows at the top, or raises. */
static void finish(lua_State *L, const reading *r, orr_status status, const char *message) {
    if (r->failed) lua_error(L);
    check_status(L, status, message);
    lua_settop(L, r->rows);
}

/* store, sql, parameters... -> rows at the top */
static void query(lua_State *L) {
    orr_store *store = check_store(L);
    orr_reason reason = {""};
    char where[32];
    luaL_checktype(L, 2, LUA_TSTRING);
    int n = lua_gettop(L) - 2;
    orr_field *parameters = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *parameters, 0);
    for (int i = 0; i < n; i++) {
        snprintf(where, sizeof where, "parameter %d", i + 1);
        read_value(L, i + 3, where, &parameters[i]);
    }
    orr_statement statement = {lua_tostring(L, 2), parameters, (size_t)n};
    reading r = begin(L);
    orr_store_reader reader = {on_names, on_row, &r};
    finish(L, &r, orr_store_select(store, &statement, &reader, &reason), reason.text);
}

static int store_query(lua_State *L) {
    query(L);
    return 1;
}

/* Returns the next row of the list in upvalue 1 and removes it from there; upvalue 2 is its
 * index. */
static int next_row(lua_State *L) {
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(2)) + 1;
    lua_pushinteger(L, i);
    lua_replace(L, lua_upvalueindex(2));
    lua_rawgeti(L, lua_upvalueindex(1), i);
    lua_pushnil(L);
    lua_rawseti(L, lua_upvalueindex(1), i);
    return 1;
}

static int store_each(lua_State *L) {
    query(L);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_row, 2);
    return 1;
}

/* ---- the catalogue --------------------------------------------------------------------------- */

enum { NAME = 2, PARAMETERS, VALUES, KEPT }; /* stack slots */

/* A parameter that no operation of that name has would be without effect: it is an error. */
static void check_fields(lua_State *L, const orr_operation *operation) {
    for (lua_pushnil(L); lua_next(L, PARAMETERS); lua_pop(L, 1)) {
        size_t size;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &size) : NULL;
        if (name && orr_parameter_find(operation, name, size) >= 0) continue;
        lua_pushfstring(L, "%s has no parameter '%s': expected %s", operation->name,
                        luaL_tolstring(L, -2, NULL), *operation->parameters ? operation->parameters : "none");
        lua_error(L);
    }
}

/* The value at the top, which a table keeps where it was made here. */
static void read_parameter(lua_State *L, const orr_parameter *p, orr_field *v) {
    /* text that is not UTF-8 is no error: it is in no row */
    static const orr_json_writing writing = {.binary = true};
    if (p->type == ORR_PARAMETER_LIST && lua_istable(L, -1)) {
        if (!orr_json_encode(L, lua_gettop(L), &writing)) lua_error(L);
        lua_remove(L, -2);
        lua_pushvalue(L, -1);
        lua_rawseti(L, KEPT, (lua_Integer)lua_rawlen(L, KEPT) + 1);
    }
    read_value(L, lua_gettop(L), "a parameter", v);
    if (p->type == ORR_PARAMETER_FLAG && !lua_toboolean(L, -1)) *v = (orr_field){.type = ORR_FIELD_NULL};
}

/* store, name, parameters -> their values, which stay in slots of the stack. */
static const orr_field *read_parameters(lua_State *L, const orr_operation *operation) {
    orr_parameter p;
    lua_settop(L, PARAMETERS);
    if (lua_isnil(L, PARAMETERS)) {
        lua_newtable(L);
        lua_replace(L, PARAMETERS);
    }
    luaL_checktype(L, PARAMETERS, LUA_TTABLE);
    check_fields(L, operation);
    orr_field *values = lua_newuserdatauv(L, (orr_parameter_count(operation) + 1) * sizeof *values, 0);
    lua_newtable(L);
    size_t i = 0;
    for (const char *at = operation->parameters; orr_parameter_next(&at, &p); i++) {
        lua_pushlstring(L, p.name, p.size);
        lua_gettable(L, PARAMETERS);
        read_parameter(L, &p, &values[i]);
        lua_pop(L, 1);
    }
    return values;
}

/* store, name, parameters -> rows at the top */
static void ask(lua_State *L) {
    orr_store *store = check_store(L);
    orr_reason reason = {""};
    orr_query query;
    if (!orr_query_find(luaL_checkstring(L, NAME), &query))
        luaL_argerror(L, NAME, "the store has no query of that name");
    const orr_field *values = read_parameters(L, &orr_queries[query]);
    reading r = begin(L);
    orr_store_reader reader = {on_names, on_row, &r};
    finish(L, &r, orr_store_query(store, query, values, &reader, &reason), reason.text);
}

static int store_rows(lua_State *L) {
    ask(L);
    return 1;
}

static int store_row(lua_State *L) {
    ask(L);
    lua_rawgeti(L, -1, 1);
    return 1;
}

static int store_each_row(lua_State *L) {
    ask(L);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_row, 2);
    return 1;
}

static int store_perform(lua_State *L) {
    orr_store *store = check_store(L);
    orr_reason reason = {""};
    orr_change change;
    int64_t changed = 0;
    if (!orr_change_find(luaL_checkstring(L, NAME), &change))
        luaL_argerror(L, NAME, "the store has no change of that name");
    const orr_field *values = read_parameters(L, &orr_changes[change]);
    check_status(L, orr_store_change(store, change, values, &changed, &reason), reason.text);
    lua_pushinteger(L, changed);
    return 1;
}

/* ---- rows by their key ----------------------------------------------------------------------- */

static const struct {
    const char *name;
    orr_row_kind kind;
} kinds[] = {
    {"bundle", ORR_ROW_BUNDLE},
    {"module", ORR_ROW_MODULE},
    {"blob", ORR_ROW_BLOB},
    {"cache", ORR_ROW_CACHE},
};

#define COLUMNS_OF(id, columns) [ORR_ROW_##id] = columns,
static const char *const columns_of[] = {ORR_ROWS(COLUMNS_OF)};

/* Fills the table of names from "a, b, c". */
static void split_names(lua_State *L, int names, const char *columns) {
    for (lua_Integer i = 1; *columns; i++) {
        size_t n = strcspn(columns, ",");
        lua_pushlstring(L, columns, n);
        lua_rawseti(L, names, i);
        columns += n;
        columns += strspn(columns, ", ");
    }
}

/* Rows hold a run's id as 16 bytes; people know it as text. */
static void name_run(lua_State *L, int row) {
    char text[37];
    if (lua_getfield(L, row, "run") == LUA_TSTRING && lua_rawlen(L, -1) == 16) {
        orr_uuid_format(text, (const uint8_t *)lua_tostring(L, -1));
        lua_pushstring(L, text);
        lua_setfield(L, row, "run");
    }
    lua_pop(L, 1);
}

static int store_get(lua_State *L) {
    orr_store *store = check_store(L);
    static const char *const names[] = {"bundle", "module", "blob", "cache", NULL};
    orr_row_kind kind = kinds[luaL_checkoption(L, 2, NULL, names)].kind;
    const char *key = luaL_checkstring(L, 3);
    reading r = begin(L);
    split_names(L, r.names, columns_of[kind]);
    orr_reason reason;
    orr_status status = orr_store_get(store, kind, key, on_row, &r, &reason);
    finish(L, &r, status == ORR_ENOTFOUND ? ORR_OK : status, reason.text);
    if (kind == ORR_ROW_MODULE) return 1;
    if (lua_rawgeti(L, r.rows, 1) == LUA_TTABLE) name_run(L, lua_gettop(L));
    return 1;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* How many parameters the statement at the top of the stack has. */
static lua_Integer parameters_of(lua_State *L) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1) - 1;
    if (lua_getfield(L, -1, "n") != LUA_TNIL) n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n > 0 ? n : 0;
}

/* Reads the statement at the top. Its text and those of its parameters are kept by the table
 * itself. */
static void read_statement(lua_State *L, lua_Integer at, orr_statement *statement) {
    char where[64];
    int t = lua_gettop(L);
    if (!lua_istable(L, t) || lua_rawgeti(L, t, 1) != LUA_TSTRING) {
        lua_pushfstring(L, "change %I is no {sql, parameters...}", (LUAI_UACINT)at);
        lua_error(L);
    }
    statement->text = lua_tostring(L, -1);
    lua_pop(L, 1);
    statement->n = (size_t)parameters_of(L);
    orr_field *parameters = lua_newuserdatauv(L, (statement->n + 1) * sizeof *parameters, 0);
    statement->parameters = parameters;
    for (size_t i = 0; i < statement->n; i++) {
        snprintf(where, sizeof where, "parameter %zu of change %lld", i + 1, (long long)at);
        lua_rawgeti(L, t, (lua_Integer)i + 2);
        read_value(L, -1, where, &parameters[i]);
        lua_pop(L, 1);
    }
}

static int store_change(lua_State *L) {
    orr_store *store = check_store(L);
    orr_reason reason = {""};
    int64_t changed = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
    orr_statement *statements = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *statements, 0);
    lua_newtable(L); /* keeps the arrays of parameters */
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 2, i);
        read_statement(L, i, &statements[i - 1]);
        lua_rawseti(L, 4, i);
        lua_settop(L, 4);
    }
    check_status(L, orr_store_execute(store, statements, (size_t)n, &changed, &reason), reason.text);
    lua_pushinteger(L, changed);
    return 1;
}

static int store_owner(lua_State *L) {
    static const char *const words[] =
        {[ORR_OWNER_GONE] = "gone", [ORR_OWNER_LIVES] = "lives", [ORR_OWNER_SELF] = "self"};
    orr_reason reason = {""};
    orr_owner_state state = ORR_OWNER_GONE;
    orr_status status = orr_store_owner(check_store(L), luaL_checkinteger(L, 2), &state, &reason);
    if (status == ORR_ENOTFOUND) return 0;
    check_status(L, status, reason.text);
    lua_pushstring(L, words[state]);
    return 1;
}

/* store:figures() -> {commits, late, failing}: `late`, seconds since the oldest record came that no
 * table shows yet. Nil where the store does not commit by itself. */
static int store_figures(lua_State *L) {
    orr_store_figures figures;
    if (!orr_store_read_figures(check_store(L), &figures)) return 0;
    lua_createtable(L, 0, 3);
    orr_set_integer(L, "commits", (lua_Integer)figures.commits);
    orr_set_seconds(L, "late", figures.late_since ? orr_port_now() - figures.late_since : 0);
    orr_set_flag(L, "failing", figures.failing);
    return 1;
}

static int store_send(lua_State *L) {
    orr_store *store = check_store(L);
    orr_reason reason = {""};
    uint8_t run[16];
    const char *id = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
    const char *text = luaL_optstring(L, 4, NULL), *dedup = luaL_optstring(L, 5, NULL);
    if (!orr_uuid_parse(id, run)) {
        lua_pushfstring(L, "'%s' is no id of a run: it is a UUID", id);
        return lua_error(L);
    }
    check_status(L, orr_store_send(store, run, name, text, dedup, &reason), reason.text);
    return 0;
}

static int store_unblock(lua_State *L) {
    uint8_t run[16];
    orr_reason reason = {""};
    orr_store *store = check_store(L);
    const char *id = luaL_checkstring(L, 2);
    if (!orr_uuid_parse(id, run)) check_status(L, ORR_ENOTFOUND, "");
    check_status(L, orr_store_unblock(store, run, &reason), reason.text);
    return 0;
}

/* store, function, arguments… */
static int store_snapshot(lua_State *L) {
    orr_store *store = check_store(L);
    orr_reason reason = {""}, later = {""};
    lstore *own = lua_touserdata(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (own->in_snapshot) {
        lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
        return lua_gettop(L) - 1;
    }
    check_status(L, orr_store_snapshot(store, true, &reason), reason.text);
    own->in_snapshot = true;
    int failed = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    own->in_snapshot = false;
    orr_status status = orr_store_snapshot(store, false, &later);
    if (failed) return lua_error(L);
    check_status(L, status, later.text);
    return lua_gettop(L) - 1;
}

/* Reading some records of a run. */
typedef struct listing {
    lua_State *L;
    lua_Integer n, most;
    bool failed;
} listing;

static bool on_record(void *ud, uint64_t seq, const void *bytes, size_t size) {
    listing *l = ud;
    orr_written_record record = {.seq = seq, .bytes = bytes, .size = size};
    lua_pushcfunction(l->L, orr_record_push);
    lua_pushlightuserdata(l->L, &record);
    l->failed = lua_pcall(l->L, 1, 1, 0) != LUA_OK;
    if (l->failed) return false;
    lua_rawseti(l->L, -2, ++l->n);
    return l->n < l->most;
}

static int store_records(lua_State *L) {
    orr_store *store = check_store(L);
    orr_reason reason = {""};
    uint8_t run[16];
    const char *id = luaL_checkstring(L, 2);
    lua_Integer after = luaL_checkinteger(L, 3);
    listing l = {.L = L, .most = luaL_checkinteger(L, 4)};
    if (!orr_uuid_parse(id, run)) return 0;
    luaL_argcheck(L, after >= 0 && l.most > 0, 3, "expected a sequence number, and how many");
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_newtable(L);
    orr_status status = orr_store_read(store, run, (uint64_t)after, on_record, &l, &reason);
    if (l.failed) return lua_error(L);
    if (status == ORR_ENOTFOUND) return 0;
    check_status(L, status, reason.text);
    return 1;
}

static int store_project(lua_State *L) {
    orr_reason reason = {""};
    check_status(L, orr_store_project(check_store(L), &reason), reason.text);
    return 0;
}

static int store_backup(lua_State *L) {
    orr_reason reason = {""};
    check_status(L, orr_store_backup(check_store(L), luaL_checkstring(L, 2), &reason), reason.text);
    return 0;
}

/* ---- the userdata ---------------------------------------------------------------------------- */

/* Closing twice does nothing. */
static int store_close(lua_State *L) {
    lstore *s = luaL_checkudata(L, 1, STORE);
    orr_store *store = s->store;
    s->store = NULL;
    if (!s->borrowed) orr_store_close(store);
    return 0;
}

/* Nil where it has none. */
static void push_rows_folder(lua_State *L, const orr_store *store) {
    const char *path = orr_store_path(store);
    if (path) lua_pushfstring(L, "%s%s", path, ORR_ROWS_FOLDER);
    else lua_pushnil(L);
}

static int store_index(lua_State *L) {
    const lstore *s = luaL_checkudata(L, 1, STORE);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "url") == 0) lua_getiuservalue(L, 1, URL);
    else if (strcmp(key, "path") == 0 && s->store) lua_pushstring(L, orr_store_path(s->store));
    else if (strcmp(key, "rows_folder") == 0 && s->store) push_rows_folder(L, s->store);
    else if (strcmp(key, "kind") == 0 && s->store) lua_pushstring(L, orr_store_kind(s->store));
    else lua_getfield(L, lua_upvalueindex(1), key);
    return 1;
}

static int store_tostring(lua_State *L) {
    const lstore *s = luaL_checkudata(L, 1, STORE);
    lua_getiuservalue(L, 1, URL);
    lua_pushfstring(L, "store %s%s", lua_tostring(L, -1), s->store ? "" : " (closed)");
    return 1;
}

static void push_metatable(lua_State *L) {
    /* clang-format off */
    static const luaL_Reg methods[] = {
        {"rows", store_rows},
        {"row", store_row},
        {"each_row", store_each_row},
        {"perform", store_perform},
        {"query", store_query},
        {"each", store_each},
        {"change", store_change},
        {"send", store_send},
        {"snapshot", store_snapshot},
        {"records", store_records},
        {"project", store_project},
        {"unblock", store_unblock},
        {"get", store_get},
        {"backup", store_backup},
        {"close", store_close},
        {"owner", store_owner},
        {"figures", store_figures},
        {NULL, NULL},
    };
    /* clang-format on */
    static const luaL_Reg events[] = {
        {"__gc", store_close},
        {"__close", store_close},
        {"__tostring", store_tostring},
        {NULL, NULL},
    };
    if (!luaL_newmetatable(L, STORE)) return;
    luaL_setfuncs(L, events, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, store_index, 1);
    lua_setfield(L, -2, "__index");
}

static lstore *push_new(lua_State *L, const char *url) {
    lstore *s = lua_newuserdatauv(L, sizeof *s, URL);
    *s = (lstore){.store = NULL};
    push_metatable(L);
    lua_setmetatable(L, -2);
    lua_pushstring(L, url);
    lua_setiuservalue(L, -2, URL);
    return s;
}

static void forget(void *borrowed) {
    ((lstore *)borrowed)->store = NULL;
}

/* rt:store() -> the store of its runs, as core.store gives one; nil where it has none. It is closed
 * with the runtime. */
int orr_rt_store(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    orr_borrower *borrower = orr_storage_borrower(rt);
    if (!borrower) return 0;
    if (borrower->ref != LUA_NOREF) {
        orr_push_anchor(L, borrower->ref);
        return 1;
    }
    lstore *s = push_new(L, rt->url);
    lua_pushvalue(L, -1);
    borrower->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    borrower->ud = s;
    borrower->forget = forget;
    s->store = orr_storage_store(rt);
    s->borrowed = true;
    return 1;
}

/* core.store(url [, mode]): "look" (default) reads, sends and maintains a store that exists;
 * "own" makes it where it is missing. */
int orr_core_store(lua_State *L) {
    static const char *const names[] = {"look", "own", NULL};
    static const orr_store_mode modes[] = {ORR_STORE_LOOK, ORR_STORE_OWN};
    orr_reason reason = {""};
    orr_script *script = orr_script_of(L);
    const char *url = luaL_checkstring(L, 1);
    orr_store_options o = {.alloc = script->alloc, .mode = modes[luaL_checkoption(L, 2, "look", names)]};
    lstore *s = push_new(L, url);
    s->trace = orr_fibers_of(script)->trace;
    orr_trace_store(&o, &s->trace);
    s->store = orr_store_open(url, &o, &reason);
    if (!s->store) check_status(L, ORR_EIO, reason.text);
    return 1;
}

int orr_core_restore(lua_State *L) {
    orr_reason reason = {""};
    const char *backup = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
    orr_status status = orr_sqlite_restore(backup, path, lua_toboolean(L, 3), &orr_script_of(L)->alloc,
                                           &reason);
    check_status(L, status, reason.text);
    return 0;
}
