/* alarm.c - core.alarm: a function that is called when the calendar shows a time, or is set.
 *
 * core.alarm(fn) -> alarm, or nil where the system gives none. fn(set) is called on the loop and
 * may not wait; set: the calendar was set, or the machine was suspended, and the time may not have
 * come.
 *
 *   alarm:at(seconds)   the time, since the epoch, at which it is called next; once
 *   alarm:close()       it is never called again, and keeps the loop going no more
 */
#include "bind/inner.h"
#include "fiber/fiber.h"
#include "port/port.h"

#include <stdlib.h>
#include <unistd.h>

#define ALARM "orrery.alarm"

/* Outlives the userdata until libuv has let it go. */
typedef struct calendar_alarm {
    uv_poll_t poll;
    orr_script *script;
    int fd;
} calendar_alarm;

typedef struct handle {
    calendar_alarm *alarm; /* NULL: closed */
} handle;

static void on_closed(uv_handle_t *poll) {
    calendar_alarm *a = poll->data;
    close(a->fd);
    free(a);
}

static handle *check_handle(lua_State *L) {
    return luaL_checkudata(L, 1, ALARM);
}

static int handle_gc(lua_State *L) {
    handle *h = check_handle(L);
    if (h->alarm) uv_close((uv_handle_t *)&h->alarm->poll, on_closed);
    h->alarm = NULL;
    return 0;
}

static int handle_close(lua_State *L) {
    const handle *h = check_handle(L);
    if (!h->alarm) return 0;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h->alarm);
    return handle_gc(L);
}

/* (alarm, set), inside orr_script_call. */
static int ring(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, lua_touserdata(L, 1)) == LUA_TNIL) return 0; /* closed */
    lua_getiuservalue(L, -1, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 1, 0);
    return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    calendar_alarm *a = poll->data;
    (void)status, (void)events;
    bool set = orr_alarm_take(a->fd);
    lua_State *L = orr_script_main(a->script);
    if (!lua_checkstack(L, LUA_MINSTACK)) return;
    lua_pushcfunction(L, ring);
    lua_pushlightuserdata(L, a);
    lua_pushboolean(L, set);
    orr_script_call(a->script, 2);
}

static int handle_at(lua_State *L) {
    const handle *h = check_handle(L);
    lua_Number time = luaL_checknumber(L, 2);
    if (!h->alarm) return luaL_error(L, "the alarm is closed");
    if (!orr_alarm_set(h->alarm->fd, time)) return luaL_error(L, "the system refuses a time: %f", time);
    return 0;
}

static calendar_alarm *open_alarm(orr_script *s) {
    calendar_alarm *a = malloc(sizeof *a);
    if (!a) return NULL;
    a->script = s;
    a->fd = orr_alarm_open();
    if (a->fd < 0 || uv_poll_init(orr_script_loop(s), &a->poll, a->fd)) {
        if (a->fd >= 0) close(a->fd);
        free(a);
        return NULL;
    }
    a->poll.data = a;
    uv_poll_start(&a->poll, UV_READABLE, on_ready);
    return a;
}

int orr_core_alarm(lua_State *L) {
    static const luaL_Reg methods[] = {{"at", handle_at}, {"close", handle_close}, {NULL, NULL}};
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    handle *h = lua_newuserdatauv(L, sizeof *h, 1);
    h->alarm = NULL;
    orr_push_kind(L, ALARM, handle_gc, methods);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    h->alarm = open_alarm(orr_script_of(L));
    if (!h->alarm) return 0;
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h->alarm);
    return 1;
}
