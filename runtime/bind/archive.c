/* archive.c - orrery.core.archive: archives are written and extracted in a thread (loop/archive.h).
 *
 * archive("write", options, callback) -> handle
 *   file, folder, names (a list), format ("tar"), filter (""), level (0), prefix ("")
 * archive("extract", options, callback) -> handle
 *   file, folder, limit, max_entries, strip (0), skip_refused (false)
 * callback(err, result) is called once, later, with {code, message, errno} or {bytes, entries,
 * skipped}.
 *
 * handle:cancel(): it ends soon, with code "cancelled". handle:unref(): neither the loop nor
 * virtual time waits for it any more; the callback may come.
 */
#include "bind/inner.h"
#include "fiber/fiber.h"
#include "loop/loop.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define HANDLE "orrery.archive"

typedef struct handle handle;

/* A block of libc's, with its names and texts behind it. */
typedef struct archive_job {
    orr_job job;
    orr_archive_order order;
    orr_archive_outcome outcome;
    atomic_bool stop;
    void (*perform)(const orr_archive_order *o, orr_archive_outcome *out);
    handle *handle;
    orr_blocking *pool;
    char *free; /* where the next text goes, up to `end` */
    const char *end;
    const char *names[];
} archive_job;

/* Stands in Lua's registry, under its own address, until the callback is called. */
struct handle {
    orr_script *script;
    archive_job *job; /* NULL once it has ended */
    orr_blocking *const *threads;
    bool sent, waited;
};

/* ---- on a thread ----------------------------------------------------------------------------- */

static void work(orr_job *job) {
    archive_job *a = (archive_job *)job;
    a->perform(&a->order, &a->outcome);
}

static void drop(orr_job *job) {
    free(job);
}

/* ---- results --------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *key, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static void set_count(lua_State *L, const char *key, int64_t n) {
    lua_pushinteger(L, n);
    lua_setfield(L, -2, key);
}

static void push_error(lua_State *L, const orr_archive_outcome *out) {
    lua_createtable(L, 0, 3);
    set_text(L, "code", out->code);
    set_text(L, "message", out->message);
    if (out->error) set_text(L, "errno", uv_err_name(-out->error));
}

/* (job) -> err, result */
static int build(lua_State *L) {
    const archive_job *a = lua_touserdata(L, 1);
    if (a->outcome.code) {
        push_error(L, &a->outcome);
        return 1;
    }
    lua_pushnil(L);
    lua_createtable(L, 0, 3);
    set_count(L, "bytes", a->outcome.bytes);
    set_count(L, "entries", a->outcome.entries);
    set_count(L, "skipped", a->outcome.skipped);
    return 2;
}

/* Runs inside orr_script_call. */
static int deliver(lua_State *L) {
    archive_job *a = lua_touserdata(L, 1);
    handle *h = a->handle;
    lua_rawgetp(L, LUA_REGISTRYINDEX, h);
    lua_getiuservalue(L, -1, 1);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    lua_pushcfunction(L, build);
    lua_pushlightuserdata(L, a);
    lua_call(L, 1, 2);
    lua_call(L, 2, 0);
    return 0;
}

static void stop_waiting(handle *h) {
    if (h->waited) orr_script_pending(h->script, -1);
    h->waited = false;
}

static void done(orr_job *job) {
    archive_job *a = (archive_job *)job;
    handle *h = a->handle;
    lua_State *L = orr_script_main(h->script);
    h->job = NULL;
    stop_waiting(h);
    if (lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, deliver);
        lua_pushlightuserdata(L, a);
        orr_script_call(h->script, 1);
    }
    free(a);
}

/* ---- options --------------------------------------------------------------------------------- */

/* An option, without what its table's metatable may do. */
static int get(lua_State *L, const char *key) {
    lua_pushstring(L, key);
    return lua_rawget(L, 2);
}

/* The text of an option, which stays on the stack; "" where it may be left out and is. Adds its
 * length to *size. */
static const char *check_text(lua_State *L, const char *key, bool needed, size_t *size) {
    size_t n = 0;
    int type = get(L, key);
    if (type == LUA_TNIL && !needed) lua_pushliteral(L, "");
    else if (type != LUA_TSTRING) luaL_error(L, "archive: %s: expected a text", key);
    const char *text = lua_tolstring(L, -1, &n);
    if (strlen(text) != n) luaL_error(L, "archive: %s: a name has no NUL byte", key);
    *size += n + 1;
    return text;
}

static int64_t check_number(lua_State *L, const char *key, int64_t least, int64_t most, int64_t otherwise) {
    int whole = 1;
    int64_t n = otherwise;
    if (get(L, key) != LUA_TNIL) n = lua_tointegerx(L, -1, &whole);
    lua_pop(L, 1);
    if (!whole || n < least || n > most)
        luaL_error(L, "archive: %s: expected a whole number in its range", key);
    return n;
}

/* The names, a list of texts; how many. */
static size_t check_names(lua_State *L, size_t *size) {
    if (get(L, "names") != LUA_TTABLE) luaL_error(L, "archive: names: expected a list");
    size_t n = lua_rawlen(L, -1);
    for (size_t i = 1; i <= n; i++) {
        size_t length;
        if (lua_rawgeti(L, -1, (lua_Integer)i) != LUA_TSTRING)
            luaL_error(L, "archive: names: expected texts");
        const char *name = lua_tolstring(L, -1, &length);
        if (strlen(name) != length) luaL_error(L, "archive: names: a name has no NUL byte");
        *size += length + 1;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

/* NULL where it has become longer than it was. */
static const char *keep(archive_job *a, const char *text) {
    char *kept = a->free;
    size_t n = text ? strlen(text) + 1 : 0;
    if (!text || n > (size_t)(a->end - kept)) return NULL;
    memcpy(kept, text, n);
    a->free += n;
    return kept;
}

static void keep_names(lua_State *L, archive_job *a) {
    get(L, "names");
    for (size_t i = 0; i < a->order.count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        a->names[i] = keep(a, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL);
        if (!a->names[i]) luaL_error(L, "archive: names: the list has changed");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static const char *one_of(lua_State *L, const char *key, const char *text, const char *const *words) {
    for (; *words; words++)
        if (strcmp(text, *words) == 0) return *words;
    luaL_error(L, "archive: %s: there is no \"%s\"", key, text);
    return NULL;
}

/* The block is the handle's until it is sent. NULL where there is no memory for it. */
static archive_job *read_job(lua_State *L, bool extracts, handle *h) {
    static const char *const formats[] = {"tar", "zip", NULL};
    static const char *const filters[] = {"", "gzip", "xz", "zstd", NULL};
    size_t size = 0, count = extracts ? 0 : check_names(L, &size);
    const char *file = check_text(L, "file", true, &size), *folder = check_text(L, "folder", true, &size);
    const char *format = check_text(L, "format", false, &size),
               *filter = check_text(L, "filter", false, &size);
    const char *prefix = check_text(L, "prefix", false, &size);
    orr_archive_order o = {
        .format = one_of(L, "format", *format ? format : "tar", formats),
        .filter = one_of(L, "filter", filter, filters),
        .level = (int)check_number(L, "level", 0, 22, 0),
        .limit = check_number(L, "limit", 0, INT64_MAX, INT64_C(1) << 30),
        .most_entries = check_number(L, "max_entries", 0, INT64_MAX, 100000),
        .strip = (int)check_number(L, "strip", 0, 1000, 0),
        .count = count,
    };
    get(L, "skip_refused");
    o.skip_refused = lua_toboolean(L, -1);
    lua_pop(L, 1);
    archive_job *a = calloc(1, sizeof *a + count * sizeof *a->names + size);
    if (!a) return NULL;
    h->job = a;
    a->handle = h;
    a->pool = *h->threads;
    a->free = (char *)(a->names + count);
    a->end = a->free + size;
    a->order = o;
    a->order.file = keep(a, file);
    a->order.folder = keep(a, folder);
    a->order.prefix = keep(a, prefix);
    a->order.stop = &a->stop;
    a->order.names = a->names;
    if (count) keep_names(L, a);
    a->job = (orr_job){.work = work, .done = done, .drop = drop};
    a->perform = extracts ? orr_archive_extract : orr_archive_write;
    return a;
}

/* ---- the functions --------------------------------------------------------------------------- */

static int archive(lua_State *L) {
    static const char *const what[] = {"write", "extract", NULL};
    bool extracts = luaL_checkoption(L, 1, NULL, what) == 1;
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    orr_blocking *const *threads = orr_threads_of(L);
    handle *h = lua_newuserdatauv(L, sizeof *h, 1);
    *h = (handle){.script = orr_script_of(L), .threads = threads};
    luaL_setmetatable(L, HANDLE);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, 1);
    archive_job *a = read_job(L, extracts, h);
    if (!a) return luaL_error(L, "not enough memory for an archive");
    lua_settop(L, 4);
    lua_pushvalue(L, 4);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    if (!orr_blocking_submit(a->pool, &a->job, true)) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, h);
        return luaL_error(L, "EAGAIN: the system gives no thread for an archive");
    }
    h->sent = h->waited = true;
    orr_script_pending(h->script, +1);
    return 1;
}

static handle *check_handle(lua_State *L) {
    handle *h = luaL_checkudata(L, 1, HANDLE);
    if (!*h->threads) h->job = NULL; /* dropped */
    return h;
}

static int handle_cancel(lua_State *L) {
    const handle *h = check_handle(L);
    if (h->job) h->job->stop = true;
    return 0;
}

static int handle_unref(lua_State *L) {
    handle *h = check_handle(L);
    if (!h->job) return 0;
    stop_waiting(h);
    orr_blocking_unref(h->job->pool, &h->job->job);
    return 0;
}

/* What could not be sent. */
static int handle_gc(lua_State *L) {
    const handle *h = luaL_checkudata(L, 1, HANDLE);
    if (h->job && !h->sent) free(h->job);
    return 0;
}

int orr_open_archive(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"cancel", handle_cancel},
        {"unref", handle_unref},
        {NULL, NULL},
    };
    orr_push_kind(L, HANDLE, handle_gc, methods);
    lua_pop(L, 1);
    lua_pushcfunction(L, archive);
    return 1;
}
