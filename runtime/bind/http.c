/* http.c - orrery.core.transfer: HTTP for Lua, in callback style.
 *
 * transfer(options, callback) -> handle
 *   options.url, options.method ("GET")
 *   options.headers   {Name = "value" or {"value", …}}, or a list of {"Name", "value"}
 *   options.body      string, or a list of strings and of files {fd = descriptor, size = bytes}
 *   options.to        descriptor of a file that the body of a status of 2xx is written to, from its
 *                     beginning; response.body is then a number, its bytes
 *   options.limit     bytes of the decoded response body, default 64 MiB
 *   options.redirects followed at most, default 10; 0: none
 *   options.timeout, options.connect_timeout (default 30), options.idle_timeout
 *                     seconds; 0 or missing: none
 *   options.insecure  true: certificates are not verified
 *   options.ca        file of trusted certificates, default the system's
 *   options.user_agent, options.proxy (a URL, "": none, default the environment's)
 *   options.allow, options.deny   lists of addresses and networks, "10.0.0.0/8", and of the word
 *                     "private"
 *   options.sigv4     "aws:amz:REGION:SERVICE" signs with options.user and options.password
 * callback(err, response) is called once, later:
 *   err       {code, message, retryable}; codes as in http.h. False (and no response) where
 *             there was no memory. Beside it stands the response, where its headers had come, with
 *             what there is of its body
 *   response  {status, headers, body, url, seconds, redirects, version ("1.1")}. `headers` maps
 *             names in lower case to values; one that came more than once has them joined by ", "
 *             (RFC 9110, section 5.3), but set-cookie, whose values may not be joined, is a list
 * options.on_body(piece), where it is given, is called with each piece of the body of a status of
 * 2xx as it comes (not with `to`); the response has the whole body all the same. A piece that there
 * was no memory for comes with the next one, or only with the response.
 * handle:cancel() drops the transfer: the callback is not called. After the callback it does
 * nothing.
 *
 * All transfers of a Lua state share one client, which is made at the first one and closed with the
 * state.
 */
#include "loop/loop.h"
#include "bind/inner.h"
#include "fiber/fiber.h"

#include <lauxlib.h>
#include <string.h>

#define HANDLE "orrery.transfer"
#define CLIENT "orrery.http"

static const char client_key = 0;

/* Stands in Lua's registry, under its own address, while the transfer lives. Its user values are
 * the callback and `on_body`. */
typedef struct handle {
    orr_script *script;
    orr_transfer *transfer; /* NULL once it has ended */
    size_t given;           /* bytes of the body that on_body has got */
} handle;

/* ---- results --------------------------------------------------------------------------------- */

typedef struct delivery {
    handle *h;
    const orr_http_response *response;
} delivery;

static void push_error(lua_State *L, const orr_http_response *r) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, orr_http_failure_code(r->failure));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, r->message);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, orr_http_failure_retryable(r->failure));
    lua_setfield(L, -2, "retryable");
}

/* In ASCII only: what tolower says depends on the locale. */
static void push_lower(lua_State *L, const char *name) {
    luaL_Buffer b;
    size_t n = strlen(name);
    char *out = luaL_buffinitsize(L, &b, n);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    luaL_pushresultsize(&b, n);
}

/* Adds a header to the table at the top: its value, or a list of values where it is there already
 * or a cookie. */
static void add_header(lua_State *L, const orr_http_header *h) {
    push_lower(L, h->name);
    bool cookie = !strcmp(lua_tostring(L, -1), "set-cookie");
    lua_pushvalue(L, -1);
    int known = lua_rawget(L, -3);
    if (known == LUA_TNIL && !cookie) {
        lua_pop(L, 1);
        lua_pushstring(L, h->value);
        lua_rawset(L, -3);
        return;
    }
    if (known != LUA_TTABLE) {
        lua_newtable(L);
        lua_insert(L, -2);
        if (known == LUA_TNIL) lua_pop(L, 1);
        else lua_rawseti(L, -2, 1);
    }
    lua_pushstring(L, h->value);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_rawset(L, -3);
}

/* Pushes the values of the list at `list` joined by ", ". */
static void push_joined(lua_State *L, int list) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n; i++) {
        if (i > 1) luaL_addstring(&b, ", ");
        lua_rawgeti(L, list, i);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
}

static void push_headers(lua_State *L, const orr_http_response *r) {
    lua_createtable(L, 0, (int)r->n_headers);
    int headers = lua_gettop(L);
    for (size_t i = 0; i < r->n_headers; i++) add_header(L, &r->headers[i]);
    for (lua_pushnil(L); lua_next(L, headers); lua_pop(L, 1)) {
        if (!lua_istable(L, -1) || !strcmp(lua_tostring(L, -2), "set-cookie")) continue;
        lua_pushvalue(L, -2);
        push_joined(L, headers + 2);
        lua_rawset(L, headers);
    }
}

static void push_response(lua_State *L, const orr_http_response *r) {
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
    push_headers(L, r);
    lua_setfield(L, -2, "headers");
    if (r->in_file) lua_pushinteger(L, (lua_Integer)r->size);
    else lua_pushlstring(L, r->body ? r->body : "", r->size);
    lua_setfield(L, -2, "body");
    lua_pushstring(L, r->url);
    lua_setfield(L, -2, "url");
    lua_pushnumber(L, r->seconds);
    lua_setfield(L, -2, "seconds");
    if (r->version) {
        lua_pushfstring(L, r->version == 20 ? "2" : "1.%d", (int)(r->version % 10));
        lua_setfield(L, -2, "version");
    }
    lua_pushinteger(L, r->redirects);
    lua_setfield(L, -2, "redirects");
}

/* Pushes the error and the response. */
static int build(lua_State *L) {
    const delivery *d = lua_touserdata(L, 1);
    if (d->response->failure != ORR_HTTP_NONE) {
        push_error(L, d->response);
        if (d->response->status) push_response(L, d->response);
        else lua_pushnil(L);
    } else {
        lua_pushnil(L);
        push_response(L, d->response);
    }
    return 2;
}

typedef struct growth {
    handle *h;
    const char *body;
    size_t size;
} growth;

/* Runs inside orr_script_call. */
static int deliver_piece(lua_State *L) {
    const growth *g = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, g->h);
    lua_getiuservalue(L, -1, 2);
    lua_pushlstring(L, g->body + g->h->given, g->size - g->h->given);
    g->h->given = g->size;
    lua_call(L, 1, 0);
    return 0;
}

static void on_body(void *ud, const char *body, size_t size) {
    handle *h = ud;
    growth g = {h, body, size};
    lua_State *L = orr_script_main(h->script);
    if (!lua_checkstack(L, LUA_MINSTACK)) return;
    lua_pushcfunction(L, deliver_piece);
    lua_pushlightuserdata(L, &g);
    orr_script_call(h->script, 1);
}

/* Runs inside orr_script_call. Without memory for the response the callback is called without
 * one. */
static int deliver(lua_State *L) {
    delivery *d = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, d->h);
    lua_getiuservalue(L, -1, 1);
    lua_pushcfunction(L, build);
    lua_pushlightuserdata(L, d);
    if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushboolean(L, 0);
        lua_pushnil(L);
    }
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, d->h);
    lua_call(L, 2, 0);
    return 0;
}

static void on_end(void *ud, const orr_http_response *response) {
    handle *h = ud;
    delivery d = {h, response};
    h->transfer = NULL;
    orr_script_pending(h->script, -1);
    lua_State *L = orr_script_main(h->script);
    if (!lua_checkstack(L, LUA_MINSTACK)) return;
    lua_pushcfunction(L, deliver);
    lua_pushlightuserdata(L, &d);
    orr_script_call(h->script, 1);
}

/* ---- the client and the functions ------------------------------------------------------------ */

static int client_gc(lua_State *L) {
    orr_http **box = luaL_checkudata(L, 1, CLIENT);
    if (*box) orr_http_close(*box);
    *box = NULL;
    return 0;
}

/* Transfers of scripts that nobody has ended keep it. */
void orr_http_let_loop_go(lua_State *L) {
    bool idle = lua_rawgetp(L, LUA_REGISTRYINDEX, &client_key) == LUA_TUSERDATA &&
                orr_http_is_idle(*(orr_http **)lua_touserdata(L, -1));
    lua_pop(L, 1);
    if (idle) orr_let_kind_go(L, &client_key);
}

/* Pushes the client's box. It is made before any handle, so that Lua, which finalises in reverse
 * order, closes it after them. */
static orr_http *client_of(lua_State *L, orr_script *s) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &client_key) == LUA_TNIL) {
        lua_pop(L, 1);
        orr_http **box = lua_newuserdatauv(L, sizeof *box, 0);
        const char *why = NULL;
        *box = NULL;
        luaL_setmetatable(L, CLIENT);
        *box = orr_http_open(orr_script_loop(s), &s->alloc, &why);
        if (!*box) luaL_error(L, "%s", why);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &client_key);
    }
    return *(orr_http **)lua_touserdata(L, -1);
}

static int transfer(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    orr_script *s = orr_script_of(L);
    orr_http *client = client_of(L, s);             /* at 3 */
    handle *h = lua_newuserdatauv(L, sizeof *h, 2); /* at 4 */
    *h = (handle){.script = s};
    luaL_setmetatable(L, HANDLE);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
    orr_http_request r = {.ud = h, .on_end = on_end};
    if (lua_getfield(L, 1, "on_body") == LUA_TFUNCTION) r.on_body = on_body;
    else if (!lua_isnil(L, -1)) return luaL_error(L, "on_body: a function, got %s", luaL_typename(L, -1));
    lua_setiuservalue(L, 4, 2);
    orr_read_request(L, &r);

    lua_pushvalue(L, 4);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    h->transfer = orr_http_start(client, &r);
    if (!h->transfer) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, h);
        return luaL_error(L, "not enough memory for a transfer");
    }
    orr_script_pending(s, +1);
    lua_settop(L, 4);
    return 1;
}

static int handle_cancel(lua_State *L) {
    handle *h = luaL_checkudata(L, 1, HANDLE);
    if (!h->transfer) return 0;
    orr_transfer_cancel(h->transfer);
    h->transfer = NULL;
    orr_script_pending(h->script, -1);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    return 0;
}

/* A live handle is in the registry, so this finds one only when the whole state closes. */
static int handle_gc(lua_State *L) {
    handle *h = luaL_checkudata(L, 1, HANDLE);
    if (h->transfer) orr_transfer_cancel(h->transfer);
    h->transfer = NULL;
    return 0;
}

int orr_open_http(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"cancel", handle_cancel},
        {NULL, NULL},
    };
    orr_push_kind(L, CLIENT, client_gc, NULL);
    orr_push_kind(L, HANDLE, handle_gc, methods);
    lua_pop(L, 2);
    lua_pushcfunction(L, transfer);
    return 1;
}
