/* process.c - orrery.core.spawn: child processes for Lua, in callback style.
 *
 * spawn(options, callback) -> handle
 *   options.argv      {program, argument…}, or
 *   options.shell     a command for /bin/sh -c
 *   options.cwd       directory; this program's where it is missing
 *   options.env       {NAME = value or false}: set or removed in the child's environment
 *   options.clean_env true: start from an empty environment
 *   options.input     standard input as a string; /dev/null where it is missing
 *   options.stdout, options.stderr   "capture" (default), "stream", "inherit" or "discard"
 *   options.limit     bytes kept of each captured output, default 16 MiB
 *   options.grace     seconds between TERM and KILL, default 2
 *   options.linger    seconds to wait for the outputs to close once it has exited, default 1
 *   options.detach    true: what it leaves behind goes on after its end, and after this program's
 *   options.on_chunk  function(name, text), called with "stdout" or "stderr" for streamed output
 * callback(err, result) is called once, later:
 *   err     {code, message, retryable}: the child never ran. Codes: exec_not_found,
 *           exec_permission, exec_too_large, exec_cwd, exec_system, out_of_memory; or
 *           exec_unknown, where the program that we are in has waited for the child. False (and
 *           no result) where there was no memory for that table
 *   result  {code = integer (128 + signal where one ended it), signal = "SIGKILL" or nil, stdout,
 *           stderr = string, or nil where it was not captured, truncated = true where a limit was
 *           reached, dropped = bytes, held = true where another process kept an output open, left =
 *           number of processes that it left behind and that were ended, pid = integer}
 * handle:terminate() ends it and all that it has started with TERM, then KILL;
 * handle:kill([name]) sends one signal to the group ("TERM" by default) and returns whether it was
 * there; handle:pid(). After the callback all three do nothing.
 *
 * core.commands([what]) -> number of children that have not ended; "terminate" ends all of them as
 * above, "kill" at once.
 *
 * A watcher process is started with the first child: see loop/watcher.h. A child with clean_env
 * gets no mark.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* environ */
#endif
#include "loop/loop.h"
#include "bind/inner.h"
#include "fiber/fiber.h"

#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#define HANDLE "orrery.process"
#define NURSERY "orrery.processes"
#define DEFAULT_LIMIT ((lua_Integer)16 << 20)

/* User values of a handle. */
enum { CALLBACK = 1, ON_CHUNK, USER_VALUES = ON_CHUNK };

typedef struct handle handle;

/* All living children of a Lua state. It is made before any handle, so that Lua, which finalises in
 * reverse order, closes it after them. */
typedef struct nursery {
    handle *first;
    orr_watcher *watcher; /* NULL before the first child, or where it could not be started */
    orr_reaper *reaper;   /* NULL where none was asked for */
    orr_cgroup *cgroup;   /* NULL where none may be made */
    bool opened;
} nursery;

static const char nursery_key = 0;

/* Stands in Lua's registry, under its own address, while the child lives. */
struct handle {
    orr_script *script;
    nursery *nursery;
    handle *next, *prev;
    orr_process *process; /* NULL once it has ended */
    int pid;
    orr_output_kind output[2];
    char program[128]; /* for messages */
};

static void leave_nursery(handle *h) {
    if (h->prev) h->prev->next = h->next;
    else if (h->nursery->first == h) h->nursery->first = h->next;
    if (h->next) h->next->prev = h->prev;
    h->next = h->prev = NULL;
    h->process = NULL;
}

/* ---- results --------------------------------------------------------------------------------- */

typedef struct delivery {
    handle *h;
    const orr_process_result *result;
    int descriptor;
    const char *data;
    size_t size;
} delivery;

typedef struct fault {
    const char *code;
    bool retryable;
} fault;

static fault fault_of(const orr_process_result *r) {
    if (r->unknown) return (fault){"exec_unknown", false};
    if (r->error == UV_ENOMEM) return (fault){"out_of_memory", true};
    if (r->failed == ORR_SPAWN_CWD) return (fault){"exec_cwd", false};
    if (r->failed == ORR_SPAWN_SYSTEM) return (fault){"exec_system", true};
    if (r->error == UV_E2BIG) return (fault){"exec_too_large", false};
    return r->error == UV_ENOENT ? (fault){"exec_not_found", false} : (fault){"exec_permission", false};
}

static void push_message(lua_State *L, const handle *h, const orr_process_result *r) {
    char reason[128]; /* what libuv makes of a number that it does not know would have to be freed */
    uv_strerror_r(r->error, reason, sizeof reason);
    if (r->unknown)
        lua_pushfstring(
            L,
            "how %s ended is not known, for the program that runs Orrery has waited for it; let it "
            "wait only for children of its own",
            h->program);
    else if (r->failed == ORR_SPAWN_OK)
        lua_pushfstring(L, "the output of %s found no memory, so it was ended", h->program);
    else if (r->failed == ORR_SPAWN_CWD)
        lua_pushfstring(L, "%s was not started: its cwd is no directory that can be entered", h->program);
    else if (r->failed == ORR_SPAWN_SYSTEM)
        lua_pushfstring(L, "%s was not started: %s%s", h->program, reason,
                        r->error == UV_EMFILE || r->error == UV_ENFILE
                            ? "; run fewer commands at a time, or raise the limit (`ulimit -n`)"
                            : "");
    else if (r->error == UV_E2BIG)
        lua_pushfstring(L, "%s cannot be given so much: the system bounds its arguments and variables",
                        h->program);
    else if (r->error != UV_ENOENT) lua_pushfstring(L, "%s cannot be run: %s", h->program, reason);
    else if (strchr(h->program, '/'))
        lua_pushfstring(L, "there is no program %s; check the path", h->program);
    else
        lua_pushfstring(L, "there is no program %s in the directories of PATH; install it or give its path",
                        h->program);
}

static void push_error(lua_State *L, const handle *h, const orr_process_result *r) {
    fault f = fault_of(r);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, f.code);
    lua_setfield(L, -2, "code");
    push_message(L, h, r);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, f.retryable);
    lua_setfield(L, -2, "retryable");
}

static void push_signal(lua_State *L, int number) {
    const char *name = orr_signal_name(number);
    if (name) lua_pushstring(L, name);
    else lua_pushfstring(L, "SIG%d", number);
}

static void push_result(lua_State *L, const handle *h, const orr_process_result *r) {
    static const char *const names[2] = {"stdout", "stderr"};
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, r->signal ? 128 + r->signal : (lua_Integer)r->code);
    lua_setfield(L, -2, "code");
    lua_pushinteger(L, h->pid);
    lua_setfield(L, -2, "pid");
    if (r->signal) {
        push_signal(L, r->signal);
        lua_setfield(L, -2, "signal");
    }
    for (int i = 0; i < 2; i++)
        if (h->output[i] == ORR_OUTPUT_CAPTURE) {
            lua_pushlstring(L, r->output[i].data ? r->output[i].data : "", r->output[i].size);
            lua_setfield(L, -2, names[i]);
        }
    uint64_t dropped = r->output[0].dropped + r->output[1].dropped;
    if (dropped) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "truncated");
        lua_pushinteger(L, (lua_Integer)dropped);
        lua_setfield(L, -2, "dropped");
    }
    if (r->left) {
        lua_pushinteger(L, (lua_Integer)r->left);
        lua_setfield(L, -2, "left");
    }
    if (r->held) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "held");
    }
}

/* Pushes the error and the result. */
static int build(lua_State *L) {
    const delivery *d = lua_touserdata(L, 1);
    if (d->result->error || d->result->unknown) {
        push_error(L, d->h, d->result);
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        push_result(L, d->h, d->result);
    }
    return 2;
}

/* Runs inside orr_script_call. Without memory for the result the callback is called without one. */
static int deliver_end(lua_State *L) {
    delivery *d = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, d->h);
    lua_getiuservalue(L, -1, CALLBACK);
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

static int deliver_chunk(lua_State *L) {
    delivery *d = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, d->h);
    if (lua_getiuservalue(L, -1, ON_CHUNK) != LUA_TFUNCTION) return 0;
    lua_pushstring(L, d->descriptor == 1 ? "stdout" : "stderr");
    lua_pushlstring(L, d->data, d->size);
    lua_call(L, 2, 0);
    return 0;
}

static void deliver(delivery *d, lua_CFunction fn) {
    lua_State *L = orr_script_main(d->h->script);
    if (!lua_checkstack(L, LUA_MINSTACK)) return;
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, d);
    orr_script_call(d->h->script, 1);
}

static void on_end(void *ud, const orr_process_result *result) {
    handle *h = ud;
    if (result->failed != ORR_SPAWN_OK) h->pid = 0;
    leave_nursery(h);
    orr_script_pending(h->script, -1);
    delivery d = {.h = h, .result = result};
    deliver(&d, deliver_end);
}

static void on_chunk(void *ud, int descriptor, const char *data, size_t size) {
    delivery d = {.h = ud, .descriptor = descriptor, .data = data, .size = size};
    deliver(&d, deliver_chunk);
}

/* ---- options --------------------------------------------------------------------------------- */

/* A string without a NUL byte, which the system could not take; the value stays on the stack of
 * its table. */
static const char *text_at(lua_State *L, int idx, const char *what) {
    size_t len;
    if (lua_type(L, idx) != LUA_TSTRING && lua_type(L, idx) != LUA_TNUMBER)
        luaL_error(L, "%s: expected a string, got %s", what, luaL_typename(L, idx));
    const char *s = lua_tolstring(L, idx, &len);
    if (strlen(s) != len) luaL_error(L, "%s: the string has a NUL byte, which no program can be given", what);
    return s;
}

/* Pushes what keeps the strings alive and a NULL-terminated array of them. */
static const char **read_argv(lua_State *L) {
    if (lua_getfield(L, 1, "shell") != LUA_TNIL) {
        const char **argv = lua_newuserdatauv(L, 4 * sizeof *argv, 0);
        argv[0] = "/bin/sh";
        argv[1] = "-c";
        argv[2] = text_at(L, -2, "shell");
        argv[3] = NULL;
        return argv;
    }
    lua_pop(L, 1);
    if (lua_getfield(L, 1, "argv") != LUA_TTABLE)
        luaL_error(L, "spawn needs argv, a list, or shell, a string");
    lua_Integer n = luaL_len(L, -1);
    if (n < 1) luaL_error(L, "argv is empty; it begins with the program");
    lua_createtable(L, (int)n, 0); /* holds the texts of numbers */
    const char **argv = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *argv, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, -3, i);
        argv[i - 1] = text_at(L, -1, "argv");
        lua_rawseti(L, -3, i);
    }
    argv[n] = NULL;
    if (!argv[0][0]) luaL_error(L, "argv[1], the program, is empty");
    return argv;
}

/* Appends "name=value" to the list at `list`. */
static void add_variable(lua_State *L, int list, int key, int value) {
    const char *name = text_at(L, key, "env");
    if (!*name || strchr(name, '=')) luaL_error(L, "env: '%s' is no name of a variable", name);
    lua_pushfstring(L, "%s=%s", name, text_at(L, value, name));
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

/* This program's variables that `env` (at idx) does not name. */
static void inherit_variables(lua_State *L, int list, int env) {
    for (char **e = environ; e && *e; e++) {
        const char *eq = strchr(*e, '=');
        if (!eq) continue;
        lua_pushlstring(L, *e, (size_t)(eq - *e));
        bool named = lua_istable(L, env) && lua_rawget(L, env) != LUA_TNIL;
        lua_pop(L, 1);
        if (named) continue;
        lua_pushstring(L, *e);
        lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    }
}

/* Pushes values; NULL where the environment is inherited as it is. */
static const char **read_env(lua_State *L) {
    lua_getfield(L, 1, "clean_env");
    bool clean = lua_toboolean(L, -1);
    int kind = lua_getfield(L, 1, "env");
    if (kind != LUA_TNIL && kind != LUA_TTABLE)
        luaL_error(L, "env: expected a table, got %s", lua_typename(L, kind));
    if (kind == LUA_TNIL && !clean) return NULL;
    int env = lua_gettop(L), list = env + 1;
    lua_newtable(L);
    if (!clean) inherit_variables(L, list, env);
    if (kind == LUA_TTABLE)
        for (lua_pushnil(L); lua_next(L, env); lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING)
                luaL_error(L, "env: its keys are names of variables, got a %s", luaL_typename(L, -2));
            if (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1)) continue;
            add_variable(L, list, lua_gettop(L) - 1, lua_gettop(L));
        }
    size_t n = lua_rawlen(L, list);
    const char **out = lua_newuserdatauv(L, (n + 1) * sizeof *out, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        out[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    out[n] = NULL;
    return out;
}

static orr_output_kind read_output(lua_State *L, const char *key) {
    static const char *const names[] = {
        [ORR_OUTPUT_DISCARD] = "discard",
        [ORR_OUTPUT_CAPTURE] = "capture",
        [ORR_OUTPUT_STREAM] = "stream",
        [ORR_OUTPUT_INHERIT] = "inherit",
    };
    orr_output_kind found = ORR_OUTPUT_CAPTURE;
    if (lua_getfield(L, 1, key) != LUA_TNIL) {
        const char *given = text_at(L, -1, key);
        int i = 0;
        while (i < 4 && strcmp(names[i], given)) i++;
        if (i == 4) luaL_error(L, "%s: expected capture, stream, inherit or discard, got '%s'", key, given);
        found = (orr_output_kind)i;
    }
    lua_pop(L, 1);
    return found;
}

/* Seconds as ms, at least 1. */
static uint64_t read_ms(lua_State *L, const char *key) {
    uint64_t ms = 0;
    if (lua_getfield(L, 1, key) != LUA_TNIL) {
        int is_number;
        lua_Number s = lua_tonumberx(L, -1, &is_number);
        if (!is_number || !(s >= 0 && s < 1e9))
            luaL_error(L, "%s: expected seconds, got %s", key, luaL_tolstring(L, -1, NULL));
        ms = s < 0.001 ? 1 : (uint64_t)(s * 1000);
    }
    lua_pop(L, 1);
    return ms;
}

static size_t read_limit(lua_State *L) {
    lua_Integer limit = DEFAULT_LIMIT;
    if (lua_getfield(L, 1, "limit") != LUA_TNIL) {
        int is_integer;
        limit = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || limit < 0)
            luaL_error(L, "limit: expected a number of bytes, got %s", luaL_tolstring(L, -1, NULL));
    }
    lua_pop(L, 1);
    return (size_t)limit;
}

/* ---- the functions --------------------------------------------------------------------------- */

static int nursery_gc(lua_State *L) {
    nursery *n = luaL_checkudata(L, 1, NURSERY);
    if (n->watcher) orr_watcher_close(n->watcher);
    n->watcher = NULL;
    if (n->reaper) orr_reaper_close(n->reaper);
    n->reaper = NULL;
    if (n->cgroup) orr_cgroup_close(n->cgroup);
    n->cgroup = NULL;
    return 0;
}

void orr_process_let_loop_go(lua_State *L) {
    nursery *n = lua_rawgetp(L, LUA_REGISTRYINDEX, &nursery_key) == LUA_TUSERDATA ? lua_touserdata(L, -1)
                                                                                  : NULL;
    lua_pop(L, 1);
    while (n && n->first) {
        handle *h = n->first;
        orr_process_abandon(h->process);
        leave_nursery(h);
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    }
    if (n) orr_let_kind_go(L, &nursery_key);
}

static nursery *nursery_of(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &nursery_key) == LUA_TNIL) {
        lua_pop(L, 1);
        nursery *n = lua_newuserdatauv(L, sizeof *n, 0);
        *n = (nursery){0};
        luaL_setmetatable(L, NURSERY);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &nursery_key);
    }
    nursery *n = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the registry holds it */
    return n;
}

static handle *new_handle(lua_State *L) {
    handle *h = lua_newuserdatauv(L, sizeof *h, USER_VALUES);
    memset(h, 0, sizeof *h);
    h->script = orr_script_of(L);
    h->nursery = nursery_of(L);
    luaL_setmetatable(L, HANDLE);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, CALLBACK);
    if (lua_getfield(L, 1, "on_chunk") != LUA_TNIL) luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_setiuservalue(L, -2, ON_CHUNK);
    return h;
}

static bool read_flag(lua_State *L, const char *key) {
    lua_getfield(L, 1, key);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static void join_nursery(handle *h) {
    nursery *n = h->nursery;
    h->next = n->first;
    if (h->next) h->next->prev = h;
    n->first = h;
}

/* The watcher comes first: it is an orphan, and would be this program's. */
static void open_nursery(const handle *h) {
    nursery *n = h->nursery;
    const orr_script *s = h->script;
    if (!n->opened) n->cgroup = orr_cgroup_open(&s->alloc);
    n->opened = true;
    if (!n->watcher) n->watcher = orr_watcher_open(&s->alloc, n->cgroup ? orr_cgroup_path(n->cgroup) : NULL);
    if (!n->reaper && orr_fibers_of(s)->contain)
        n->reaper = orr_reaper_open(&s->alloc, orr_fibers_of(s)->loop);
}

static int spawn(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    handle *h = new_handle(L); /* at 3 */
    orr_process_options o = {.ud = h, .on_end = on_end, .on_chunk = on_chunk};
    o.argv = read_argv(L);
    o.env = read_env(L);
    if (lua_getfield(L, 1, "cwd") != LUA_TNIL) o.cwd = text_at(L, -1, "cwd");
    if (lua_getfield(L, 1, "input") != LUA_TNIL) {
        if (!lua_isstring(L, -1)) luaL_error(L, "input: expected a string, got %s", luaL_typename(L, -1));
        o.input = lua_tolstring(L, -1, &o.input_size);
    }
    h->output[0] = o.output[0] = read_output(L, "stdout");
    h->output[1] = o.output[1] = read_output(L, "stderr");
    o.limit = read_limit(L);
    o.grace = read_ms(L, "grace");
    o.linger = read_ms(L, "linger");
    o.detach = read_flag(L, "detach");
    o.unmarked = read_flag(L, "clean_env");
    open_nursery(h);
    o.watcher = h->nursery->watcher;
    o.reaper = h->nursery->reaper;
    o.cgroup = h->nursery->cgroup;
    strncpy(h->program, o.argv[0], sizeof h->program - 1);

    lua_pushvalue(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    h->process = orr_process_spawn(orr_script_loop(h->script), &h->script->alloc, &o);
    if (!h->process) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, h);
        return luaL_error(L, "not enough memory to start %s", h->program);
    }
    h->pid = orr_process_id(h->process);
    join_nursery(h);
    orr_script_pending(h->script, +1);
    lua_settop(L, 3);
    return 1;
}

static handle *check_handle(lua_State *L) {
    return luaL_checkudata(L, 1, HANDLE);
}

static int handle_terminate(lua_State *L) {
    handle *h = check_handle(L);
    if (h->process) orr_process_terminate(h->process);
    return 0;
}

static int handle_kill(lua_State *L) {
    handle *h = check_handle(L);
    const char *name = luaL_optstring(L, 2, "TERM");
    int number = orr_signal_number(name);
    if (!number) return luaL_error(L, "kill: '%s' is no signal; use a name like \"TERM\" or \"HUP\"", name);
    lua_pushboolean(L, h->process && orr_process_kill(h->process, number) == 0);
    return 1;
}

static int handle_pid(lua_State *L) {
    lua_pushinteger(L, check_handle(L)->pid);
    return 1;
}

/* A live handle is in the registry, so this finds one only when the whole state closes. */
static int handle_gc(lua_State *L) {
    handle *h = check_handle(L);
    if (!h->process) return 0;
    orr_process_abandon(h->process);
    leave_nursery(h);
    return 0;
}

static int commands(lua_State *L) {
    const char *what = luaL_optstring(L, 1, "");
    lua_Integer n = 0;
    nursery *all = nursery_of(L);
    void (*end)(orr_process *) = NULL;
    if (!strcmp(what, "terminate")) end = orr_process_terminate;
    else if (!strcmp(what, "kill")) end = orr_process_kill_all;
    for (handle *h = all->first, *next; end && h; h = next) {
        next = h->next;
        end(h->process);
        if (!h->process) next = all->first; /* it had ended, and its callback may have done anything */
    }
    for (handle *h = all->first; h; h = h->next) n++;
    lua_pushinteger(L, n);
    return 1;
}

static int handle_tostring(lua_State *L) {
    handle *h = check_handle(L);
    lua_pushfstring(L, "%s (pid %d, %s)", h->program, h->pid, h->process ? "running" : "ended");
    return 1;
}

int orr_open_process(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"terminate", handle_terminate},
        {"kill", handle_kill},
        {"pid", handle_pid},
        {NULL, NULL},
    };
    orr_push_kind(L, NURSERY, nursery_gc, NULL);
    orr_push_kind(L, HANDLE, handle_gc, methods);
    lua_pushcfunction(L, handle_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 2);
    lua_pushcfunction(L, spawn);
    lua_pushcfunction(L, commands);
    return 2;
}
