/* http_server_options.c - the options of an HTTP server (http_server.c) from Lua. */
#include "bind/inner.h"
#include "loop/loop.h"

#include <lauxlib.h>
#include <string.h>

/* The text at the top, without a NUL byte; it stays there. NULL for nil. */
static const char *text(lua_State *L, const char *what) {
    size_t size;
    if (lua_isnil(L, -1)) return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: expected a string, got %s", what, luaL_typename(L, -1));
    const char *s = lua_tolstring(L, -1, &size);
    if (strlen(s) != size) luaL_error(L, "%s: the string has a NUL byte", what);
    return s;
}

static const char *field(lua_State *L, int table, const char *key, const char *what) {
    lua_getfield(L, table, key);
    return text(L, what);
}

/* A whole number of the table at the index; it does not stay. */
static lua_Integer integer(lua_State *L, int table, const char *key, lua_Integer missing, lua_Integer most) {
    int is_integer = 1;
    lua_Integer n = missing;
    if (lua_getfield(L, table, key) != LUA_TNIL) n = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || n < 0 || n > most)
        luaL_error(L, "%s: expected a whole number from 0 to %I, got %s", key, (LUAI_UACINT)most,
                   luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    return n;
}

/* Seconds as ms; more than none. */
static uint64_t duration(lua_State *L, int table, const char *key, double missing) {
    int is_number = 1;
    double s = missing;
    if (lua_getfield(L, table, key) != LUA_TNIL) s = lua_tonumberx(L, -1, &is_number);
    if (!is_number || !(s > 0 && s <= 86400))
        luaL_error(L, "%s: expected seconds, more than 0 and 86,400 at most, got %s", key,
                   luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    return s < 0.001 ? 1 : (uint64_t)(s * 1000);
}

static void check_keys(lua_State *L, int table, const char *const *known, const char *what) {
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0) i++;
        if (!known[i]) luaL_error(L, "%s: there is no option %s", what, key);
    }
}

/* The defaults are for a service on a machine of its own, behind a proxy or before strangers. */
static void read_limits(lua_State *L, orr_httpd_limits *limits) {
    static const char *const known[] = {"head_bytes",
                                        "head_seconds",
                                        "body_bytes",
                                        "body_seconds",
                                        "idle_seconds",
                                        "connections",
                                        "connections_per_address",
                                        "stream_bytes",
                                        NULL};
    if (lua_getfield(L, 1, "limits") == LUA_TNIL) lua_newtable(L);
    else luaL_argexpected(L, lua_istable(L, -1), 1, "limits as a table");
    int t = lua_gettop(L);
    check_keys(L, t, known, "limits");
    limits->head_bytes = (size_t)integer(L, t, "head_bytes", 16384, 1 << 20);
    limits->body_bytes = (size_t)integer(L, t, "body_bytes", 16 << 20, INT64_C(1) << 32);
    limits->stream_bytes = (size_t)integer(L, t, "stream_bytes", 256 << 10, INT64_C(1) << 32);
    limits->connections = (uint32_t)integer(L, t, "connections", 1024, 1 << 20);
    limits->per_address = (uint32_t)integer(L, t, "connections_per_address", 0, 1 << 20);
    limits->head_ms = duration(L, t, "head_seconds", 10);
    limits->body_ms = duration(L, t, "body_seconds", 60);
    limits->idle_ms = duration(L, t, "idle_seconds", 60);
    if (limits->head_bytes < 1024) luaL_error(L, "head_bytes: expected 1024 at least");
    if (!limits->connections) luaL_error(L, "connections: expected 1 at least");
}

/* The table at the top; its texts stay on the stack. */
static void read_place(lua_State *L, orr_httpd_listen *to) {
    static const char *const known[] = {"host", "port", "unix", "fd", NULL};
    if (!lua_istable(L, -1))
        luaL_error(L, "listen: expected a list of { host =, port = }, { unix = } and { fd = }, got a %s",
                   luaL_typename(L, -1));
    int t = lua_gettop(L);
    check_keys(L, t, known, "listen");
    to->host = field(L, t, "host", "host");
    to->path = field(L, t, "unix", "unix");
    to->port = (int)integer(L, t, "port", 0, 65535);
    to->fd = (int)integer(L, t, "fd", INT32_MAX, INT32_MAX);
    if (to->fd == INT32_MAX) to->fd = -1;
    if ((to->path && (to->host || to->fd >= 0)) || (to->fd >= 0 && to->host))
        luaL_error(L, "listen: an entry has one of host, unix and fd");
}

static void read_places(lua_State *L, orr_httpd_options *o) {
    if (lua_getfield(L, 1, "listen") != LUA_TTABLE || lua_rawlen(L, -1) == 0)
        luaL_error(L, "listen: expected a list of { host =, port = }, { unix = } and { fd = }");
    int list = lua_gettop(L);
    size_t n = lua_rawlen(L, list);
    if (n > 64) luaL_error(L, "listen: has more than 64 entries");
    orr_httpd_listen *places = lua_newuserdatauv(L, n * sizeof *places, 0);
    for (size_t i = 0; i < n; i++) {
        luaL_checkstack(L, 8, "listen");
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        read_place(L, &places[i]);
    }
    o->listen = places;
    o->n_listen = n;
}

void orr_read_server(lua_State *L, orr_httpd_options *o) {
    static const char *const known[] = {"listen", "tls", "limits", "on_request", "on_slow", NULL};
    static const char *const of_tls[] = {"cert", "key", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    check_keys(L, 1, known, "http_server");
    read_places(L, o);
    read_limits(L, &o->limits);
    if (lua_getfield(L, 1, "tls") == LUA_TNIL) return;
    luaL_argexpected(L, lua_istable(L, -1), 1, "tls as a table");
    int tls = lua_gettop(L);
    check_keys(L, tls, of_tls, "tls");
    o->cert = field(L, tls, "cert", "tls.cert");
    o->key = field(L, tls, "key", "tls.key");
    if (!o->cert || !o->key) luaL_error(L, "tls: expected cert and key, PEM texts");
}
