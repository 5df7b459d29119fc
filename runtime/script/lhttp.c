/* lhttp.c - orrery.core.transfer: HTTP for Lua, in callback style.
 *
 * transfer(options, callback) -> handle
 *   options.url, options.method ("GET")
 *   options.headers   {Name = "value" or {"value", …}}, or a list of {"Name", "value"}
 *   options.body      string
 *   options.limit     bytes of the decoded response body, default 64 MiB
 *   options.redirects followed at most, default 10; 0: none
 *   options.timeout, options.connect_timeout (default 30), options.idle_timeout    seconds; 0 or missing: none
 *   options.insecure  true: certificates are not verified
 *   options.ca        file of trusted certificates, default the system's
 *   options.user_agent
 * callback(err, response) is called once, later:
 *   err       {code, message, retryable}; codes as in http.h. False (and no response) where it found no memory
 *   response  {status, headers, body, url, seconds, redirects}. `headers` maps names in lower case to values; one
 *             that came more than once has them joined by ", " (RFC 9110, section 5.3), but set-cookie, whose
 *             values may not be joined, is always a list
 * handle:cancel() drops the transfer: the callback is not called. After the callback it does nothing.
 *
 * All transfers of a Lua state share one client, which is made at the first one and closed with the state.
 */
#include "../loop/http.h"
#include "script.h"

#include <lauxlib.h>
#include <string.h>

#define HANDLE "orrery.transfer"
#define CLIENT "orrery.http"
#define DEFAULT_LIMIT ((lua_Integer)64 << 20)
#define DEFAULT_REDIRECTS 10
#define DEFAULT_CONNECT_TIMEOUT 30000

static const char client_key = 0;

/* In Lua's registry, under its own address, while the transfer lives. Its user value is the callback. */
typedef struct handle {
    orr_script *script;
    orr_transfer *transfer; /* NULL once it has ended */
} handle;

/* ---- results --------------------------------------------------------------------------------------------- */

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
    for (size_t i = 0; i < n; i++) out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    luaL_pushresultsize(&b, n);
}

/* Adds a header to the table at the top. */
static void add_header(lua_State *L, const orr_http_header *h) {
    push_lower(L, h->name);
    bool cookie = !strcmp(lua_tostring(L, -1), "set-cookie");
    lua_pushvalue(L, -1);
    int known = lua_rawget(L, -3);
    if (cookie) {
        if (known == LUA_TNIL) {
            lua_pop(L, 1);
            lua_newtable(L);
        }
        lua_pushstring(L, h->value);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    } else {
        if (known != LUA_TNIL)
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), h->value);
        else
            lua_pushstring(L, h->value);
        lua_remove(L, -2);
    }
    lua_rawset(L, -3);
}

static void push_response(lua_State *L, const orr_http_response *r) {
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
    lua_createtable(L, 0, (int)r->n_headers);
    for (size_t i = 0; i < r->n_headers; i++) add_header(L, &r->headers[i]);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, r->body ? r->body : "", r->size);
    lua_setfield(L, -2, "body");
    lua_pushstring(L, r->url);
    lua_setfield(L, -2, "url");
    lua_pushnumber(L, r->seconds);
    lua_setfield(L, -2, "seconds");
    lua_pushinteger(L, r->redirects);
    lua_setfield(L, -2, "redirects");
}

/* Pushes the error and the response. */
static int build(lua_State *L) {
    const delivery *d = lua_touserdata(L, 1);
    if (d->response->failure != ORR_HTTP_NONE) {
        push_error(L, d->response);
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        push_response(L, d->response);
    }
    return 2;
}

/* Runs inside orr_script_call. Without memory for the response the callback is called all the same. */
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

/* ---- options --------------------------------------------------------------------------------------------- */

/* The value on the top as a string without a NUL byte; it stays there. */
static const char *text(lua_State *L, const char *what) {
    size_t len;
    if (!lua_isstring(L, -1)) luaL_error(L, "%s: expected a string, got %s", what, luaL_typename(L, -1));
    const char *s = lua_tolstring(L, -1, &len);
    if (strlen(s) != len) luaL_error(L, "%s: the string has a NUL byte", what);
    return s;
}

/* The field as a string, which stays on the stack, or NULL and nil there. */
static const char *field(lua_State *L, const char *key) {
    return lua_getfield(L, 1, key) == LUA_TNIL ? NULL : text(L, key);
}

static lua_Integer integer(lua_State *L, const char *key, lua_Integer missing) {
    lua_Integer n = missing;
    if (lua_getfield(L, 1, key) != LUA_TNIL) {
        int is_integer;
        n = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || n < 0)
            luaL_error(L, "%s: expected a whole number of at least 0, got %s", key, luaL_tolstring(L, -1, NULL));
    }
    lua_pop(L, 1);
    return n;
}

/* Seconds as ms. */
static uint64_t duration(lua_State *L, const char *key, uint64_t missing) {
    uint64_t ms = missing;
    if (lua_getfield(L, 1, key) != LUA_TNIL) {
        int is_number;
        lua_Number s = lua_tonumberx(L, -1, &is_number);
        /* libcurl refuses ms that do not fit an int; 23 days are enough for a request */
        if (!is_number || !(s >= 0 && s <= 2000000))
            luaL_error(L, "%s: expected seconds from 0 to 2,000,000, got %s", key, luaL_tolstring(L, -1, NULL));
        ms = s > 0 && s < 0.001 ? 1 : (uint64_t)(s * 1000);
    }
    lua_pop(L, 1);
    return ms;
}

static bool flag(lua_State *L, const char *key) {
    lua_getfield(L, 1, key);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

/* Appends name and value, both at the top (popped), to the flat list at `list`. */
static void keep_header(lua_State *L, int list) {
    text(L, "the value of a header");
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    lua_rawseti(L, list, n + 2);
    text(L, "the name of a header");
    lua_rawseti(L, list, n + 1);
}

/* Appends the pair of the lua_next at the top: [1] = {"Name", "value"}, Name = "value" or Name = {"value", …}. */
static void flatten_header(lua_State *L, int list) {
    bool pair = lua_type(L, -2) == LUA_TNUMBER;
    if (pair && lua_istable(L, -1)) {
        lua_geti(L, -1, 1);
        lua_geti(L, -2, 2);
        keep_header(L, list);
    } else if (pair) {
        luaL_error(L, "headers: an entry of a list is {\"Name\", \"value\"}, got %s", luaL_typename(L, -1));
    } else if (lua_istable(L, -1)) {
        for (lua_Integer i = 1, n = luaL_len(L, -1); i <= n; i++) {
            lua_pushvalue(L, -2);
            lua_geti(L, -2, i);
            keep_header(L, list);
        }
    } else {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        keep_header(L, list);
    }
}

/* Pushes values that keep the headers alive. */
static void read_headers(lua_State *L, orr_http_request *r) {
    int type = lua_getfield(L, 1, "headers");
    if (type == LUA_TNIL) return;
    if (type != LUA_TTABLE) luaL_error(L, "headers: expected a table, got %s", lua_typename(L, type));
    int given = lua_gettop(L), list = given + 1;
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, given); lua_pop(L, 1)) flatten_header(L, list);
    size_t n = lua_rawlen(L, list) / 2;
    orr_http_header *headers = lua_newuserdatauv(L, (n + 1) * sizeof *headers, 0);
    lua_Integer at = 1;
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, at++);
        lua_rawgeti(L, list, at++);
        headers[i] = (orr_http_header){lua_tostring(L, -2), lua_tostring(L, -1)};
        lua_pop(L, 2);
    }
    r->headers = headers;
    r->n_headers = n;
}

static void read_request(lua_State *L, orr_http_request *r) {
    luaL_checkstack(L, 16, "transfer");
    r->url = field(L, "url");
    if (!r->url) luaL_error(L, "transfer needs url, a string");
    r->method = field(L, "method");
    r->ca = field(L, "ca");
    r->user_agent = field(L, "user_agent");
    if (lua_getfield(L, 1, "body") != LUA_TNIL) {
        if (!lua_isstring(L, -1)) luaL_error(L, "body: expected a string, got %s", luaL_typename(L, -1));
        r->body = lua_tolstring(L, -1, &r->size);
    }
    read_headers(L, r);
    r->limit = (size_t)integer(L, "limit", DEFAULT_LIMIT);
    lua_Integer redirects = integer(L, "redirects", DEFAULT_REDIRECTS);
    r->redirects = (uint32_t)(redirects < 100 ? redirects : 100);
    r->timeout = duration(L, "timeout", 0);
    r->connect_timeout = duration(L, "connect_timeout", DEFAULT_CONNECT_TIMEOUT);
    r->idle_timeout = duration(L, "idle_timeout", 0);
    r->insecure = flag(L, "insecure");
}

/* ---- the client and the functions ------------------------------------------------------------------------ */

static int client_gc(lua_State *L) {
    orr_http **box = luaL_checkudata(L, 1, CLIENT);
    if (*box) orr_http_close(*box);
    *box = NULL;
    return 0;
}

/* Pushes the client's box. It is made before any handle, so that Lua, which finalises in reverse order, closes it
 * after them. */
static orr_http *client_of(lua_State *L, orr_script *s) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &client_key) == LUA_TNIL) {
        lua_pop(L, 1);
        orr_http **box = lua_newuserdatauv(L, sizeof *box, 0);
        const char *why = NULL;
        *box = NULL;
        luaL_setmetatable(L, CLIENT);
        *box = orr_http_open(orr_script_loop(s), orr_script_alloc(s), &why);
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
    orr_http *client = client_of(L, s); /* at 3 */
    handle *h = lua_newuserdatauv(L, sizeof *h, 1); /* at 4 */
    *h = (handle){.script = s};
    luaL_setmetatable(L, HANDLE);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
    orr_http_request r = {.ud = h, .on_end = on_end};
    read_request(L, &r);

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
    if (luaL_newmetatable(L, CLIENT)) {
        lua_pushcfunction(L, client_gc);
        lua_setfield(L, -2, "__gc");
    }
    if (luaL_newmetatable(L, HANDLE)) {
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, handle_cancel);
        lua_setfield(L, -2, "cancel");
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, handle_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 2);
    lua_pushcfunction(L, transfer);
    return 1;
}
