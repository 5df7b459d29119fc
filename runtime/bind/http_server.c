/* http_server.c - orrery.core.http_server: an HTTP server for Lua (loop/httpd.h).
 *
 * http_server(options) -> server, or nil, message, code (listen_error, http_tls)
 *   options.listen      a list of {host = "127.0.0.1", port = 0}, {unix = path}, {fd = descriptor}
 *   options.tls         {cert = PEM, key = PEM}; unix sockets go without
 *   options.limits      {head_bytes = 16384, body_bytes = 16 MiB, stream_bytes = 256 KiB,
 *                       head_seconds = 10, body_seconds = 60, idle_seconds = 60,
 *                       connections = 1024, connections_per_address = 0 (none)}
 *   options.on_request  fn(request), in a coroutine of its own, which may wait. Where it raises or
 *                       returns without an answer, the client gets a 500 and the error is logged.
 *   options.on_slow     fn(target, ms): a stretch of code of a request took more than 10 ms, for
 *                       which nothing else went on. May not wait
 * server:addresses() -> {"http://127.0.0.1:43521", "unix:/path", ...}
 * server:stop(grace)    takes no more connections, ends streams, gives what is under way so many
 *                       seconds (default 0), and waits for the end; in a callback it does not wait
 * server:stats() -> {connections, requests, refused, streams, slow}
 *
 * request.method .target (as it came) .path (decoded once) .query (as it came) .headers (lower-case
 * names; repeated ones joined by ", ", cookies by "; ") .body .peer ("127.0.0.1:1234", "unix") .tls
 * request:respond(status, headers, body) -> whether the client was still there
 *   headers   {name = value or list of values}, or nil. Raises where one may not be sent
 * request:file(status, headers, path, offset, length) -> the same; nil, message where it cannot be
 *   read: then the request is not answered. Offset 0, and all that follows, unless given
 * request:stream(status, headers) -> stream. One of text/event-stream gets a comment every 15 s in
 *   which nothing was written: write whole lines
 * stream:write(text) -> true; false where it has ended, or more than stream_bytes would wait: the
 *   reader is slow; close it
 * stream:waiting() -> bytes that were written and wait for the reader: who has much to send looks
 * before, and is not taken for more than the reader can take
 * stream:on_close(fn)   fn() is called once, in a coroutine, when it has ended, whoever ended it
 * stream:close()        what was written is still sent, but to a reader that was too slow
 *
 * A server keeps the program alive until it has stopped. Virtual time stands still while the server
 * waits for a client in the middle of a request or an answer.
 */
#include "loop/loop.h"
#include "bind/inner.h"
#include "fiber/fiber.h"
#include "port/port.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVER "orrery.http_server"
#define REQUEST "orrery.http_request" /* a table, with a box in it */
#define BOX "orrery.http_request.box"
#define STREAM "orrery.http_stream"
#define SLOW 10000000 /* ns */

/* User values of a server: on_request, on_slow, functions that wait for its end. It stands in Lua's
 * registry, under its own address, while it runs or a job of it does. */
enum { ON_REQUEST = 1, ON_SLOW, WAITING };

typedef struct job job;

typedef struct server {
    orr_script *script;
    orr_httpd *http; /* NULL: it has stopped */
    job *jobs;
    lua_Integer slow;
} server;

/* A fiber that the server has begun. */
struct job {
    server *server;
    orr_httpd_request *request;
    int64_t since; /* its present slice */
    job *next, *prev;
};

static void settle(server *v) {
    lua_State *L = orr_script_main(v->script);
    if (v->http || v->jobs || !lua_checkstack(L, 2)) return;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, v);
}

static void free_job(job *j) {
    server *v = j->server;
    if (j->prev) j->prev->next = j->next;
    else v->jobs = j->next;
    if (j->next) j->next->prev = j->prev;
    orr_httpd_unref(j->request);
    free(j);
}

/* ---- fibers ---------------------------------------------------------------------------------- */

static void finish(orr_script *s, orr_fiber *f, bool clean) {
    job *j = (job *)(intptr_t)f->alive;
    server *v = j->server;
    orr_fiber_release(s, f, clean);
    if (!j->request->answered)
        orr_httpd_respond_problem(j->request, 500, "handler_error",
                                  "the server could not answer this request; its log says why");
    free_job(j);
    settle(v);
}

/* (script, function, arguments) */
static int work_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    const orr_fiber *f = orr_fiber_current(s);
    const job *j = (job *)(intptr_t)f->alive;
    orr_error error;
    orr_fiber_done(L, s, (orr_fiber *)(uintptr_t)f, status);
    if (orr_fibers_of(s)->failed) {
        orr_error_table(L, s, -1, "handler_error", &error);
        lua_getfield(L, -1, "traceback");
        const char *trace = lua_tostring(L, -1);
        lua_pushfstring(L, "%s: %s: %s%s%s", j->request->target, error.code, error.message, trace ? "\n" : "",
                        trace ? trace : "");
        orr_script_stray(s, "a handler of HTTP requests failed", lua_tostring(L, -1));
    } else if (!j->request->answered) {
        orr_script_stray(s, "a handler of HTTP requests returned without an answer", j->request->target);
    }
    return 0;
}

static int work(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, 2);
    int status = lua_pcallk(L, lua_gettop(L) - 3, 0, 2, (lua_KContext)s, work_done);
    return work_done(L, status, (lua_KContext)s);
}

static void ended(orr_script *s, orr_fiber *f, int nres) {
    (void)nres;
    finish(s, f, !orr_fibers_of(s)->failed);
}

static void broken(orr_script *s, orr_fiber *f, const char *code, const char *message) {
    (void)code;
    orr_script_stray(s, "a handler of HTTP requests failed", message ? message : "not enough memory");
    finish(s, f, false);
}

static int64_t slice_due(const orr_script *s, const orr_fiber *f) {
    (void)f;
    int64_t limit = orr_fibers_of(s)->callback_limit;
    return limit ? orr_watchdog_now() + limit : ORR_WATCHDOG_NEVER;
}

static int push_slow(lua_State *L) {
    const job *j = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, j->server);
    lua_getiuservalue(L, -1, ON_SLOW);
    lua_pushstring(L, j->request->target);
    lua_pushnumber(L, (lua_Number)j->since / 1e6);
    lua_call(L, 2, 0);
    return 0;
}

static void slice(orr_script *s, orr_fiber *f, bool begins) {
    job *j = (job *)(intptr_t)f->alive;
    int64_t now = orr_port_now();
    if (begins) {
        j->since = now;
        return;
    }
    j->since = now - j->since;
    if (j->since <= SLOW) return;
    j->server->slow++;
    lua_State *L = orr_script_main(s);
    if (!lua_checkstack(L, LUA_MINSTACK)) return;
    lua_pushcfunction(L, push_slow);
    lua_pushlightuserdata(L, j);
    orr_script_call(s, 1);
}

static const orr_client works = {.ended = ended, .broken = broken, .slice_due = slice_due, .slice = slice};

/* Begins the function below its arguments at the top, which are popped. May raise. */
static void begin(lua_State *L, server *v, orr_httpd_request *r, int nargs) {
    job *j = malloc(sizeof *j);
    if (!j) {
        luaL_error(L, "not enough memory");
        return;
    }
    orr_rt_default(L, v->script);
    orr_fiber *f = orr_fiber_spawn(v->script, L, work, nargs);
    if (!f) {
        free(j);
        luaL_error(L, "not enough memory for a coroutine");
        return;
    }
    *j = (job){.server = v, .request = r, .next = v->jobs};
    if (j->next) j->next->prev = j;
    v->jobs = j;
    orr_httpd_ref(r);
    f->client = &works;
    f->kind = FIBER_FREE;
    f->alive = (intptr_t)j;
}

/* ---- requests -------------------------------------------------------------------------------- */

typedef struct box {
    orr_httpd_request *request; /* NULL: it is not there yet, or not any more */
} box;

static void push_box(lua_State *L, orr_httpd_request *r, const char *kind) {
    box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->request = NULL;
    luaL_setmetatable(L, kind);
    b->request = r;
    orr_httpd_ref(r);
}

static int box_gc(lua_State *L) {
    box *b = lua_touserdata(L, 1);
    if (b->request) orr_httpd_unref(b->request);
    b->request = NULL;
    return 0;
}

/* Adds a field to the table at the top. */
static void add_field(void *ud, const char *name, const char *value) {
    lua_State *L = ud;
    luaL_Buffer b;
    size_t n = strlen(name);
    char *lower = luaL_buffinitsize(L, &b, n);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    luaL_pushresultsize(&b, n);
    bool cookie = !strcmp(lua_tostring(L, -1), "cookie");
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushstring(L, value);
    } else {
        lua_pushstring(L, cookie ? "; " : ", ");
        lua_pushstring(L, value);
        lua_concat(L, 3);
    }
    lua_rawset(L, -3);
}

static void push_request(lua_State *L, orr_httpd_request *r) {
    lua_createtable(L, 1, 9);
    luaL_setmetatable(L, REQUEST);
    push_box(L, r, BOX);
    lua_rawseti(L, -2, 1);
    const char *const texts[] = {"method", r->method, "target", r->target,
                                 "query",  r->query,  "peer",   r->peer};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i += 2) {
        lua_pushstring(L, texts[i + 1]);
        lua_setfield(L, -2, texts[i]);
    }
    lua_pushlstring(L, r->path, r->path_size);
    lua_setfield(L, -2, "path");
    lua_pushlstring(L, r->body, r->body_size);
    lua_setfield(L, -2, "body");
    lua_pushboolean(L, r->tls);
    lua_setfield(L, -2, "tls");
    lua_newtable(L);
    orr_httpd_each_field(r, add_field, L);
    lua_setfield(L, -2, "headers");
}

typedef struct asking {
    server *server;
    orr_httpd_request *request;
} asking;

static int ask(lua_State *L) {
    const asking *a = lua_touserdata(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, a->server);
    lua_getiuservalue(L, -1, ON_REQUEST);
    push_request(L, a->request);
    begin(L, a->server, a->request, 1);
    return 0;
}

static void on_request(void *ud, orr_httpd_request *r) {
    server *v = ud;
    asking a = {v, r};
    if (orr_protect(v->script, ask, &a) != LUA_OK)
        orr_httpd_respond_problem(r, 503, "out_of_memory", "the server has no memory for this request");
    orr_stay_awake(v->script);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The request at 1, which is not answered yet. */
static orr_httpd_request *open_request(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_rawgeti(L, 1, 1);
    const box *b = luaL_testudata(L, -1, BOX);
    luaL_argexpected(L, b && b->request, 1, "a request");
    if (b->request->answered) luaL_error(L, "%s was answered already", b->request->target);
    lua_pop(L, 1);
    return b->request;
}

/* Takes the name and the value at the top into the list. */
static void take_header(lua_State *L, int list) {
    size_t name_size, value_size;
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
        luaL_error(L, "headers: expected names and values as strings, got a %s and a %s",
                   luaL_typename(L, -2), luaL_typename(L, -1));
    const char *name = lua_tolstring(L, -2, &name_size), *value = lua_tolstring(L, -1, &value_size);
    const char *why = orr_httpd_check_header(name, name_size, value, value_size);
    if (why) luaL_error(L, "headers: %s: %s", name, why);
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    lua_pushvalue(L, -2);
    lua_rawseti(L, list, n + 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, list, n + 2);
}

/* Status and headers at 2 and 3; what is pushed keeps their texts. */
static void read_reply(lua_State *L, orr_httpd_reply *reply) {
    lua_Integer status = luaL_checkinteger(L, 2);
    luaL_argcheck(L, status >= 200 && status <= 599, 2, "a status from 200 to 599");
    *reply = (orr_httpd_reply){.status = (unsigned)status, .fd = -1};
    if (lua_isnoneornil(L, 3)) return;
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_newtable(L);
    int list = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
        size_t n = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
        for (size_t i = 1; i <= n; i++) {
            lua_pushvalue(L, -2);
            lua_rawgeti(L, -2, (lua_Integer)i);
            take_header(L, list);
            lua_pop(L, 2);
        }
        if (lua_istable(L, -1)) continue;
        lua_pushvalue(L, -2); /* a number must not become a text where lua_next goes on from it */
        lua_pushvalue(L, -2);
        take_header(L, list);
        lua_pop(L, 2);
    }
    size_t n = lua_rawlen(L, list);
    const char **texts = lua_newuserdatauv(L, (n + 1) * sizeof *texts, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        texts[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    reply->headers = texts;
    reply->n_headers = n / 2;
}

static int request_respond(lua_State *L) {
    orr_httpd_reply reply;
    orr_httpd_request *r = open_request(L);
    read_reply(L, &reply);
    reply.body = luaL_optlstring(L, 4, "", &reply.size);
    lua_pushboolean(L, orr_httpd_respond(r, &reply));
    return 1;
}

static int cannot_read(lua_State *L, int fd, const char *path, const char *why) {
    if (fd >= 0) close(fd);
    lua_pushnil(L);
    lua_pushfstring(L, "cannot read %s: %s", path, why);
    return 2;
}

static int request_file(lua_State *L) {
    orr_httpd_reply reply;
    orr_httpd_request *r = open_request(L);
    lua_settop(L, 6);
    const char *path = luaL_checkstring(L, 4);
    lua_Integer offset = luaL_optinteger(L, 5, 0), length = luaL_optinteger(L, 6, INT64_MAX);
    luaL_argcheck(L, offset >= 0, 5, "an offset of at least 0");
    luaL_argcheck(L, length >= 0, 6, "a length of at least 0");
    read_reply(L, &reply);
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st)) return cannot_read(L, fd, path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return cannot_read(L, fd, path, "it is no file");
    if (offset > st.st_size) return cannot_read(L, fd, path, "the offset is behind its end");
    lua_Integer left = (lua_Integer)st.st_size - offset;
    reply.size = (size_t)(length < left ? length : left);
    reply.offset = (uint64_t)offset;
    if (reply.size == 0) close(fd);
    else reply.fd = fd;
    bool sent = orr_httpd_respond(r, &reply);
    lua_pushboolean(L, sent);
    return 1;
}

static int request_stream(lua_State *L) {
    orr_httpd_reply reply;
    orr_httpd_request *r = open_request(L);
    read_reply(L, &reply);
    push_box(L, r, STREAM);
    orr_httpd_stream(r, &reply);
    r->answered = true; /* by a stream that has ended, where that could not be begun */
    return 1;
}

/* ---- streams --------------------------------------------------------------------------------- */

static orr_httpd_request *stream_of(lua_State *L) {
    return ((box *)luaL_checkudata(L, 1, STREAM))->request;
}

static int stream_write(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    lua_pushboolean(L, orr_httpd_write(stream_of(L), text, size));
    return 1;
}

static int stream_waiting(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)orr_httpd_waiting(stream_of(L)));
    return 1;
}

static int stream_close(lua_State *L) {
    orr_httpd_end(stream_of(L));
    return 0;
}

static int called(lua_State *L, int status, lua_KContext k) {
    (void)L, (void)status, (void)k;
    return 0;
}

/* The function is kept by the request, as a reference. */
static int stream_on_close(lua_State *L) {
    orr_httpd_request *r = stream_of(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (r->tag) luaL_error(L, "on_close was called already");
    if (r->client) {
        r->tag = luaL_ref(L, LUA_REGISTRYINDEX);
        return 0;
    }
    lua_callk(L, 0, 0, 0, called);
    return 0;
}

static int stream_gc(lua_State *L) {
    const box *b = lua_touserdata(L, 1);
    if (b->request) orr_httpd_end(b->request);
    return box_gc(L);
}

static int begin_on_close(lua_State *L) {
    const asking *a = lua_touserdata(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->request->tag);
    luaL_unref(L, LUA_REGISTRYINDEX, a->request->tag);
    a->request->tag = 0;
    begin(L, a->server, a->request, 0);
    return 0;
}

static void on_end(void *ud, orr_httpd_request *r) {
    server *v = ud;
    asking a = {v, r};
    if (!r->tag) return;
    orr_protect(v->script, begin_on_close, &a);
    orr_stay_awake(v->script);
}

/* ---- servers --------------------------------------------------------------------------------- */

static void on_busy(void *ud, int by) {
    orr_script_pending(((server *)ud)->script, by);
}

/* Runs inside orr_script_call. */
static int tell_stopped(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, lua_touserdata(L, 1));
    lua_getiuservalue(L, -1, WAITING);
    int list = lua_gettop(L);
    for (size_t i = 1, n = lua_rawlen(L, list); i <= n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i);
        lua_call(L, 0, 0);
    }
    return 0;
}

static void on_stopped(void *ud) {
    server *v = ud;
    lua_State *L = orr_script_main(v->script);
    v->http = NULL;
    if (lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, tell_stopped);
        lua_pushlightuserdata(L, v);
        orr_script_call(v->script, 1);
    }
    settle(v);
}

static server *server_of(lua_State *L) {
    return luaL_checkudata(L, 1, SERVER);
}

/* The start function of a wait. Upvalues: the server, ms. */
static int begin_stop(lua_State *L) {
    server *v = lua_touserdata(L, lua_upvalueindex(1));
    if (!v->http) {
        lua_call(L, 0, 0);
        return 0;
    }
    lua_getiuservalue(L, lua_upvalueindex(1), WAITING);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    orr_httpd_stop(v->http, (uint64_t)lua_tointeger(L, lua_upvalueindex(2)));
    return 0;
}

static int server_stop(lua_State *L) {
    server *v = server_of(L);
    lua_Number grace = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, grace >= 0 && grace <= 86400, 2, "seconds from 0 to 86,400");
    lua_Integer ms = (lua_Integer)(grace * 1000);
    bool in_fiber = orr_fiber_current(v->script) && lua_isyieldable(L);
    if (!in_fiber && !orr_wait_outside(L, v->script)) {
        if (v->http) orr_httpd_stop(v->http, (uint64_t)ms);
        return 0;
    }
    lua_settop(L, 1);
    lua_pushinteger(L, ms);
    lua_pushcclosure(L, begin_stop, 2);
    return orr_core_await(L);
}

static int server_addresses(lua_State *L) {
    const server *v = server_of(L);
    const char *address;
    lua_newtable(L);
    for (size_t i = 0; v->http && (address = orr_httpd_address(v->http, i)); i++) {
        lua_pushstring(L, address);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int server_stats(lua_State *L) {
    const server *v = server_of(L);
    orr_httpd_stats stats = {0};
    if (v->http) orr_httpd_read_stats(v->http, &stats);
    lua_createtable(L, 0, 5);
    orr_set_integer(L, "connections", stats.connections);
    orr_set_integer(L, "streams", stats.streams);
    orr_set_integer(L, "requests", (lua_Integer)stats.requests);
    orr_set_integer(L, "refused", (lua_Integer)stats.refused);
    orr_set_integer(L, "slow", v->slow);
    return 1;
}

/* One that runs is in the registry, so this finds it only when the whole state closes. */
static int server_gc(lua_State *L) {
    server *v = server_of(L);
    if (v->http) orr_httpd_close(v->http);
    v->http = NULL;
    for (job *j = v->jobs, *next; j; j = next) {
        next = j->next;
        orr_httpd_unref(j->request);
        free(j);
    }
    v->jobs = NULL;
    return 0;
}

static int nothing(lua_State *L) {
    (void)L;
    return 0;
}

static void keep_function(lua_State *L, int owner, const char *key, int place) {
    int type = lua_getfield(L, 1, key);
    if (type == LUA_TNIL && place == ON_SLOW) {
        lua_pop(L, 1);
        lua_pushcfunction(L, nothing);
    } else if (type != LUA_TFUNCTION) {
        luaL_error(L, "%s: expected a function, got %s", key, lua_typename(L, type));
    }
    lua_setiuservalue(L, owner, place);
}

static int open_server(lua_State *L) {
    orr_httpd_failure why;
    orr_script *s = orr_script_of(L);
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    server *v = lua_newuserdatauv(L, sizeof *v, 3); /* at 2 */
    *v = (server){.script = s};
    luaL_setmetatable(L, SERVER);
    keep_function(L, 2, "on_request", ON_REQUEST);
    keep_function(L, 2, "on_slow", ON_SLOW);
    lua_newtable(L);
    lua_setiuservalue(L, 2, WAITING);
    orr_httpd_options o = {.loop = orr_script_loop(s),
                           .ud = v,
                           .on_request = on_request,
                           .on_end = on_end,
                           .on_busy = on_busy,
                           .on_stopped = on_stopped};
    orr_read_server(L, &o);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, v);
    v->http = orr_httpd_open(&o, &why);
    lua_settop(L, 2);
    if (v->http) return 1;
    settle(v);
    lua_pushnil(L);
    lua_pushstring(L, why.message);
    lua_pushstring(L, why.code);
    return 3;
}

int orr_open_http_server(lua_State *L) {
    static const luaL_Reg of_servers[] = {{"addresses", server_addresses},
                                          {"stop", server_stop},
                                          {"stats", server_stats},
                                          {NULL, NULL}};
    static const luaL_Reg of_requests[] = {{"respond", request_respond},
                                           {"file", request_file},
                                           {"stream", request_stream},
                                           {NULL, NULL}};
    static const luaL_Reg of_streams[] = {{"write", stream_write},
                                          {"waiting", stream_waiting},
                                          {"on_close", stream_on_close},
                                          {"close", stream_close},
                                          {NULL, NULL}};
    orr_push_kind(L, SERVER, server_gc, of_servers);
    orr_push_kind(L, BOX, box_gc, NULL);
    orr_push_kind(L, STREAM, stream_gc, of_streams);
    luaL_newmetatable(L, REQUEST);
    lua_newtable(L);
    luaL_setfuncs(L, of_requests, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 4);
    lua_pushcfunction(L, open_server);
    return 1;
}
