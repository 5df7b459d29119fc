/* mail.c - orrery.core.smtp: mails for Lua, in callback style.
 *
 * smtp(options, callback) -> handle
 *   options.url       "smtp://host:port/name" or "smtps://…"
 *   options.from, options.to       an address alone; a list of them
 *   options.body      a list of strings, of files {fd = descriptor, size = bytes} and of {text =
 *                     string}; with base64 = true a table's bytes are sent in lines of base64
 *   options.user, options.password, options.ca
 *   options.starttls, options.insecure   booleans
 *   options.timeout, options.connect_timeout (default 30), options.idle_timeout   seconds
 * callback(err) is called once, later. err is nil or {code, message, retryable, details = {status
 * = number}}; false where there was no memory.
 * handle:cancel() gives it up: the callback is not called.
 */
#include "loop/loop.h"
#include "bind/inner.h"
#include "fiber/fiber.h"

#include <lauxlib.h>

#define HANDLE "orrery.mail"

/* Stands in Lua's registry, under its own address, while the mail is under way. Its user value is
 * the callback. */
typedef struct handle {
    orr_script *script;
    orr_mail *mail; /* NULL once it has ended */
} handle;

typedef struct delivery {
    handle *h;
    const orr_mail_result *result;
} delivery;

/* Pushes the error, or nil. */
static int build(lua_State *L) {
    const orr_mail_result *r = ((const delivery *)lua_touserdata(L, 1))->result;
    lua_settop(L, 0);
    lua_pushnil(L);
    if (r->failure == ORR_MAIL_NONE) return 1;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, orr_mail_failure_code(r->failure));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, r->message);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, orr_mail_failure_retryable(r->failure));
    lua_setfield(L, -2, "retryable");
    if (!r->status) return 1;
    lua_createtable(L, 0, 1);
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
    lua_setfield(L, -2, "details");
    return 1;
}

/* Runs inside orr_script_call. */
static int deliver(lua_State *L) {
    delivery *d = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, d->h);
    lua_getiuservalue(L, -1, 1);
    lua_pushcfunction(L, build);
    lua_pushlightuserdata(L, d);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushboolean(L, 0);
    }
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, d->h);
    lua_call(L, 1, 0);
    return 0;
}

static void on_end(void *ud, const orr_mail_result *result) {
    handle *h = ud;
    delivery d = {h, result};
    h->mail = NULL;
    orr_script_pending(h->script, -1);
    lua_State *L = orr_script_main(h->script);
    if (!lua_checkstack(L, LUA_MINSTACK)) return;
    lua_pushcfunction(L, deliver);
    lua_pushlightuserdata(L, &d);
    orr_script_call(h->script, 1);
}

static int smtp(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    orr_script *s = orr_script_of(L);
    orr_blocking *threads = *orr_threads_of(L);
    handle *h = lua_newuserdatauv(L, sizeof *h, 1); /* at 3 */
    *h = (handle){.script = s};
    luaL_setmetatable(L, HANDLE);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
    orr_mail_request r = {.ud = h, .on_end = on_end};
    orr_read_mail(L, &r);

    const char *why = NULL;
    lua_pushvalue(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    h->mail = orr_mail_start(threads, &r, &why);
    if (!h->mail) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, h);
        return luaL_error(L, "%s", why);
    }
    orr_script_pending(s, +1);
    lua_settop(L, 3);
    return 1;
}

static void give_up(handle *h) {
    if (h->mail) orr_mail_cancel(h->mail);
    h->mail = NULL;
}

static int handle_cancel(lua_State *L) {
    handle *h = luaL_checkudata(L, 1, HANDLE);
    if (!h->mail) return 0;
    give_up(h);
    orr_script_pending(h->script, -1);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    return 0;
}

/* A live handle is in the registry, so this finds one only when the whole state closes; the
 * threads, which were there before it, are closed after it. */
static int handle_gc(lua_State *L) {
    give_up(luaL_checkudata(L, 1, HANDLE));
    return 0;
}

int orr_open_mail(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"cancel", handle_cancel},
        {NULL, NULL},
    };
    orr_push_kind(L, HANDLE, handle_gc, methods);
    lua_pop(L, 1);
    lua_pushcfunction(L, smtp);
    return 1;
}
