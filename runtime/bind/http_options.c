/* http_options.c - the options of a transfer (http.c) and of a mail (mail.c) from Lua. */
#include "loop/loop.h"
#include "bind/inner.h"

#include <lauxlib.h>
#include <string.h>

#define DEFAULT_LIMIT ((lua_Integer)64 << 20)
#define DEFAULT_REDIRECTS 10
#define DEFAULT_CONNECT_TIMEOUT 30000

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
            luaL_error(L, "%s: expected a whole number of at least 0, got %s", key,
                       luaL_tolstring(L, -1, NULL));
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
            luaL_error(L, "%s: expected seconds from 0 to 2,000,000, got %s", key,
                       luaL_tolstring(L, -1, NULL));
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

/* Appends the pair of the lua_next at the top: [1] = {"Name", "value"}, Name = "value" or Name =
 * {"value", …}. */
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

static lua_Integer number_of(lua_State *L, int table, const char *key, const char *what) {
    int is_integer;
    lua_getfield(L, table, key);
    lua_Integer n = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || n < 0) luaL_error(L, "%s: %s is a whole number of at least 0", what, key);
    lua_pop(L, 1);
    return n;
}

/* The list on the top as pieces, which keep it on the stack. */
static void read_pieces(lua_State *L, orr_http_request *r) {
    int list = lua_gettop(L);
    size_t n = lua_rawlen(L, list);
    orr_http_piece *pieces = lua_newuserdatauv(L, (n + 1) * sizeof *pieces, 0);
    for (size_t i = 0; i < n; i++) {
        orr_http_piece *p = &pieces[i];
        size_t size = 0;
        int type = lua_rawgeti(L, list, (lua_Integer)i + 1);
        *p = (orr_http_piece){0};
        if (type == LUA_TSTRING) {
            p->text = lua_tolstring(L, -1, &size);
            p->size = size;
        } else if (type == LUA_TTABLE) {
            p->fd = (int)number_of(L, lua_gettop(L), "fd", "body");
            p->size = (uint64_t)number_of(L, lua_gettop(L), "size", "body");
        } else {
            luaL_error(L, "body: a list has strings and files, {fd = , size = }, got %s",
                       lua_typename(L, type));
        }
        lua_pop(L, 1);
    }
    r->pieces = pieces;
    r->n_pieces = n;
}

static void read_body(lua_State *L, orr_http_request *r) {
    int type = lua_getfield(L, 1, "body");
    if (type == LUA_TNIL) return;
    if (type == LUA_TTABLE) read_pieces(L, r);
    else if (lua_isstring(L, -1)) r->body = lua_tolstring(L, -1, &r->size);
    else luaL_error(L, "body: expected a string or a list, got %s", luaL_typename(L, -1));
}

/* The list at `key` as texts; it stays on the stack, and keeps them alive. */
static const char *const *texts(lua_State *L, const char *key, size_t *n) {
    int type = lua_getfield(L, 1, key);
    *n = 0;
    if (type == LUA_TNIL) return NULL;
    if (type != LUA_TTABLE) luaL_error(L, "%s: expected a list, got %s", key, lua_typename(L, type));
    int list = lua_gettop(L);
    size_t count = lua_rawlen(L, list);
    const char **found = lua_newuserdatauv(L, (count + 1) * sizeof *found, 0);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "%s: a list of strings has a %s", key, luaL_typename(L, -1));
        found[i] = text(L, key);
        lua_pop(L, 1);
    }
    *n = count;
    return found;
}

static void read_strings(lua_State *L, orr_http_request *r) {
    const struct {
        const char *key, **to;
    } strings[] = {
        {"method", &r->method}, {"ca", &r->ca},     {"user_agent", &r->user_agent}, {"proxy", &r->proxy},
        {"sigv4", &r->sigv4},   {"user", &r->user}, {"password", &r->password},
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) *strings[i].to = field(L, strings[i].key);
}

void orr_read_request(lua_State *L, orr_http_request *r) {
    luaL_checkstack(L, 40, "transfer");
    r->url = field(L, "url");
    if (!r->url) luaL_error(L, "transfer needs url, a string");
    read_strings(L, r);
    r->allow = texts(L, "allow", &r->n_allow);
    r->deny = texts(L, "deny", &r->n_deny);
    read_body(L, r);
    read_headers(L, r);
    r->to = (int)integer(L, "to", 0);
    r->limit = (size_t)integer(L, "limit", DEFAULT_LIMIT);
    lua_Integer redirects = integer(L, "redirects", DEFAULT_REDIRECTS);
    r->redirects = (uint32_t)(redirects < 100 ? redirects : 100);
    r->timeout = duration(L, "timeout", 0);
    r->connect_timeout = duration(L, "connect_timeout", DEFAULT_CONNECT_TIMEOUT);
    r->idle_timeout = duration(L, "idle_timeout", 0);
    r->insecure = flag(L, "insecure");
}

/* ---- mails ----------------------------------------------------------------------------------- */

/* The value on the top, which keeps its text alive, as a piece of a message. */
static void read_mail_piece(lua_State *L, orr_mail_piece *p) {
    int top = lua_gettop(L), type = lua_type(L, top);
    size_t size = 0;
    *p = (orr_mail_piece){0};
    if (type == LUA_TTABLE) {
        lua_getfield(L, top, "base64");
        p->base64 = lua_toboolean(L, -1);
        type = lua_getfield(L, top, "text");
    } else if (type != LUA_TSTRING) {
        luaL_error(L, "body: a list has strings and tables, got %s", lua_typename(L, type));
    }
    if (type == LUA_TSTRING) {
        p->text = lua_tolstring(L, -1, &size);
        p->size = size;
    } else {
        p->fd = (int)number_of(L, top, "fd", "body");
        p->size = (uint64_t)number_of(L, top, "size", "body");
    }
    lua_settop(L, top);
}

static void read_message(lua_State *L, orr_mail_request *r) {
    if (lua_getfield(L, 1, "body") != LUA_TTABLE)
        luaL_error(L, "body: expected a list, got %s", luaL_typename(L, -1));
    int list = lua_gettop(L);
    size_t n = lua_rawlen(L, list);
    orr_mail_piece *pieces = lua_newuserdatauv(L, (n + 1) * sizeof *pieces, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        read_mail_piece(L, &pieces[i]);
        lua_pop(L, 1);
    }
    r->pieces = pieces;
    r->n_pieces = n;
}

void orr_read_mail(lua_State *L, orr_mail_request *r) {
    luaL_checkstack(L, 24, "smtp");
    r->url = field(L, "url");
    r->from = field(L, "from");
    if (!r->url || !r->from) luaL_error(L, "smtp needs url and from, strings");
    r->to = texts(L, "to", &r->n_to);
    r->user = field(L, "user");
    r->password = field(L, "password");
    r->ca = field(L, "ca");
    read_message(L, r);
    r->starttls = flag(L, "starttls");
    r->insecure = flag(L, "insecure");
    r->timeout = duration(L, "timeout", 0);
    r->connect_timeout = duration(L, "connect_timeout", DEFAULT_CONNECT_TIMEOUT);
    r->idle_timeout = duration(L, "idle_timeout", 0);
}
