/* postgres_wait.c - see postgres_wait.h. */
#include "bind/postgres_wait.h"
#include "bind/inner.h"
#include "fiber/fiber.h"
#include "loop/blocking.h"

#include <stdlib.h>

struct orr_pq_wait {
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_timer_t timer;
    } handle;
    orr_pq_wait **at;
    orr_script *script;
    int callback; /* registry; LUA_NOREF: fn */
    void (*fn)(void *ud);
    void *ud;
};

static orr_pq_wait *new_wait(lua_State *L, orr_pq_wait **at) {
    orr_pq_wait *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->script = orr_script_of(L);
    w->callback = LUA_NOREF;
    w->handle.any.data = w;
    w->at = at;
    return w;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* Runs inside orr_script_call. */
static int call_back(lua_State *L) {
    int callback = (int)lua_tointeger(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, callback);
    luaL_unref(L, LUA_REGISTRYINDEX, callback);
    lua_call(L, 0, 0);
    return 0;
}

static void call(orr_script *s, int callback) {
    lua_State *L = orr_script_main(s);
    if (!lua_checkstack(L, LUA_MINSTACK)) return;
    lua_pushcfunction(L, call_back);
    lua_pushinteger(L, callback);
    orr_script_call(s, 1);
}

/* ---- the socket, and time -------------------------------------------------------------------- */

void orr_pq_unwatch(orr_pq_wait **at) {
    orr_pq_wait *w = *at;
    if (!w) return;
    *at = NULL;
    if (w->callback != LUA_NOREF) luaL_unref(orr_script_main(w->script), LUA_REGISTRYINDEX, w->callback);
    uv_close(&w->handle.any, on_closed);
}

/* Whatever has come, libpq finds out what it is. */
static void on_ready(uv_poll_t *poll, int status, int events) {
    orr_pq_wait *w = poll->data;
    orr_script *s = w->script;
    int callback = w->callback;
    (void)status, (void)events;
    w->callback = LUA_NOREF;
    orr_pq_unwatch(w->at);
    call(s, callback);
}

bool orr_pq_watch(lua_State *L, orr_pq_wait **at, int fd, int events) {
    orr_pq_wait *w = new_wait(L, at);
    if (!w) return false;
    if (uv_poll_init(orr_script_loop(w->script), &w->handle.poll, fd)) {
        free(w);
        return false;
    }
    w->handle.any.data = w;
    w->callback = luaL_ref(L, LUA_REGISTRYINDEX);
    *at = w;
    uv_poll_start(&w->handle.poll, events, on_ready);
    return true;
}

static void on_time(uv_timer_t *timer) {
    orr_pq_wait *w = timer->data;
    void (*fn)(void *ud) = w->fn;
    void *ud = w->ud;
    orr_pq_unwatch(w->at);
    fn(ud);
}

bool orr_pq_rest(lua_State *L, orr_pq_wait **at, double seconds, void (*fn)(void *ud), void *ud) {
    orr_pq_wait *w = new_wait(L, at);
    if (!w) return false;
    w->fn = fn;
    w->ud = ud;
    uv_timer_init(orr_script_loop(w->script), &w->handle.timer);
    w->handle.any.data = w;
    *at = w;
    uv_timer_start(&w->handle.timer, on_time, (uint64_t)(seconds * 1000), 0);
    uv_unref(&w->handle.any);
    return true;
}

/* ---- cancelling ------------------------------------------------------------------------------ */

typedef struct canceling {
    orr_job job;
    const orr_pq_lib *lib;
    PGcancel *cancel;
    orr_script *script;
    int callback; /* registry */
} canceling;

/* On a thread: connects to the server, and waits until it has read what is asked. */
static void work(orr_job *job) {
    const canceling *k = (canceling *)job;
    char why[256];
    k->lib->cancel(k->cancel, why, sizeof why);
}

static void drop(orr_job *job) {
    canceling *k = (canceling *)job;
    k->lib->freeCancel(k->cancel);
    free(k);
}

static void done(orr_job *job) {
    const canceling *k = (canceling *)job;
    orr_script_pending(k->script, -1);
    call(k->script, k->callback);
    drop(job);
}

bool orr_pq_cancel(lua_State *L, const orr_pq_lib *lib, PGconn *pg) {
    orr_script *s = orr_script_of(L);
    orr_blocking *threads = *orr_threads_of(L);
    canceling *k = threads ? calloc(1, sizeof *k) : NULL;
    PGcancel *how = k ? lib->getCancel(pg) : NULL;
    if (!how) {
        free(k);
        return false;
    }
    *k = (canceling){{.work = work, .done = done, .drop = drop}, lib, how, s, LUA_NOREF};
    k->callback = luaL_ref(L, LUA_REGISTRYINDEX);
    if (!orr_blocking_submit(threads, &k->job, true)) {
        luaL_unref(L, LUA_REGISTRYINDEX, k->callback);
        drop(&k->job);
        return false;
    }
    orr_script_pending(s, +1);
    return true;
}
