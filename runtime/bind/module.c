/* module.c - the module table of orrery.core: the functions of all rooms. */
#include "bind/bind.h"
#include "bind/inner.h"
#include "durable/durable.h"
#include "port/port.h"
#include "rows/rows.h"
#include "store/sqlite/sqlite.h"
#include "worker/worker.h"
#include <lauxlib.h>
#include <limits.h>
#include <string.h>

static const char options_key;

void orr_script_configure(lua_State *L, const orr_script_options *options) {
    orr_script_options *copy = lua_newuserdatauv(L, sizeof *copy, 0);
    *copy = *options;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &options_key);
}

/* A function that core.noting made. Upvalues: that of the wrapped function, the function to call
 * first, the wrapped function. */
static int call_noted(lua_State *L) {
    int n = lua_gettop(L);
    luaL_checkstack(L, n + 1, NULL);
    lua_pushvalue(L, lua_upvalueindex(2));
    for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
    lua_call(L, n, 0);
    return lua_tocfunction(L, lua_upvalueindex(3))(L);
}

/* core.noting(fn, note) -> a function like the C function fn, which calls note with its arguments
 * first; nil where fn is none or has not exactly one upvalue. It runs fn in its own frame, so that
 * fn's errors and tracebacks stay the same: a function that called fn would be one level more. */
static int core_noting(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (!lua_iscfunction(L, 1) || !lua_getupvalue(L, 1, 1) || lua_getupvalue(L, 1, 2)) {
        lua_pushnil(L);
        return 1;
    }
    lua_insert(L, 1);  /* its upvalue, the function, note */
    lua_insert(L, -2); /* its upvalue, note, the function */
    lua_pushcclosure(L, call_noted, 3);
    return 1;
}

/* core.cwd() -> the folder of this process; nil where it is not there any more */
static int core_cwd(lua_State *L) {
    char path[PATH_MAX];
    size_t size = sizeof path;
    if (uv_cwd(path, &size) == 0) lua_pushlstring(L, path, size);
    else lua_pushnil(L);
    return 1;
}

/* core.notify(path, text) -> true, or nil and why: sends the text as a datagram to the unix socket,
 * as systemd's services say that they are ready. Never waits. */
static int core_notify(lua_State *L) {
    int error = orr_port_notify(luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    if (error == 0) lua_pushboolean(L, true);
    else lua_pushnil(L);
    if (error == 0) return 1;
    lua_pushstring(L, strerror(error));
    return 2;
}

/* luv is opened first: finalisers run in the reverse order, and luv's closes the loop that holds
 * our timer. */
static orr_script *open_script(lua_State *L) {
    orr_script *s = orr_script_find(L);
    if (s) return s;
    orr_script_options options = {.alloc = {orr_alloc_libc, NULL}};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &options_key);
    if (lua_isuserdata(L, -1)) options = *(orr_script_options *)lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!options.alloc.fn) options.alloc.fn = orr_alloc_libc;
    if (options.alone) orr_sqlite_alone();
    orr_runs_options runs = {.alloc = options.alloc,
                             .loop = options.no_luv      ? options.loop
                                     : options.luv_later ? orr_luv_open_later(L, options.loop)
                                                         : orr_luv_open(L, options.loop),
                             .watchdog = options.watchdog,
                             .contain = options.contain,
                             .stuck = options.stuck,
                             .trace = options.trace,
                             .keeper = &orr_durable_keeper};
    s = orr_runs_new(L, &runs);
    orr_script_publish(L);
    return s;
}

/* A worker has a loop and a heap of its own. What its commands leave behind is left to the system:
 * one thread of a process waits for orphans. */
static void configure_worker(lua_State *L, const void *ud) {
    const orr_script_options *own = ud;
    orr_script_options options = {.alloc = {orr_alloc_libc, NULL}};
    if (own) {
        options.watchdog = own->watchdog;
        options.stuck = own->stuck;
        options.trace = own->trace;
    }
    orr_script_configure(L, &options);
}

static void open_workers(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &options_key);
    orr_worker_setup setup = {configure_worker, lua_touserdata(L, -1)};
    lua_pop(L, 1);
    orr_open_workers(L, &setup);
}

/* rt:workers() -> what its workers do; see orrery.worker.pools. */
static int rt_workers(lua_State *L) {
    lua_settop(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.worker.pools");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "stats");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

void orr_bind_let_loop_go(lua_State *L) {
    orr_process_let_loop_go(L);
    orr_http_let_loop_go(L);
    orr_files_let_loop_go(L);
    orr_fibers_let_loop_go(orr_script_of(L));
}

int luaopen_orrery_core(lua_State *L) {
    /* clang-format off */
    static const luaL_Reg functions[] = {
        {"noting", core_noting},
        {"rows", orr_open_rows},
        {"database", orr_core_database},
        {"postgres", orr_core_postgres},
        {"redis_reader", orr_core_redis_reader},
        {"cwd", core_cwd},
        {"notify", core_notify},
        {"store", orr_core_store},
        {"restore", orr_core_restore},
        {"disk", orr_core_disk},
        {"alarm", orr_core_alarm},
        {"cache_get", orr_core_cache_get},
        {"cache_note", orr_core_cache_note},
        {"cache_put", orr_core_cache_put},
        {"flushed", orr_core_flushed},
        {"state_get", orr_core_state_get},
        {"state_set", orr_core_state_set},
        {"records", orr_core_records},
        {"trace", orr_core_trace},
        {"traced", orr_core_traced},
        {NULL, NULL},
    };
    /* clang-format on */
    static const luaL_Reg of_runtimes[] = {
        {"store", orr_rt_store},
        {"workers", rt_workers},
        {NULL, NULL},
    };
    static const luaL_Reg of_runs[] = {
        {NULL, NULL},
    };
    orr_sqlite_register(); /* registers the scheme sqlite: */
    orr_script *s = open_script(L);
    orr_runs_open_module(L, s);
    luaL_setfuncs(L, functions, 0);
    orr_durable_open(L, s);
    orr_runs_add_methods(L, s, of_runtimes, of_runs);
    orr_open_process(L);
    lua_setfield(L, -3, "commands");
    lua_setfield(L, -2, "spawn");
    orr_open_http(L);
    lua_setfield(L, -2, "transfer");
    orr_open_http_server(L);
    lua_setfield(L, -2, "http_server");
    orr_open_mail(L);
    lua_setfield(L, -2, "smtp");
    orr_open_files(L);
    lua_setfield(L, -2, "fs");
    orr_open_archive(L);
    lua_setfield(L, -2, "archive");
    open_workers(L);
    return 1;
}
