/* main.c - the command: makes a Lua state with everything in it, then runs a subcommand or the
 * interpreter. */
#include "host/host.h"

#include "bind/bind.h"
#include "run/run.h"
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <lua-lpeg.h>
#include <luv/luv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uv_loop_t loop;
static bool has_loop;

void host_make_loop(lua_State *L) {
    int error = has_loop ? 0 : uv_loop_init(&loop);
    if (error) luaL_error(L, "no event loop can be made: %s", uv_strerror(error));
    has_loop = true;
}

/* On the command's own loop, so that a run that needs nothing of luv does not load it, which is a
 * tenth of a cold start. There is one table of it, kept as long as the state, whatever a script
 * does with package.loaded. */
static int open_luv(lua_State *L) {
    static const char key = 0;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) != LUA_TNIL) return 1;
    host_make_loop(L);
    luaopen_luv(L);
    if (orr_script_find(L)) orr_luv_adopt(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    return 1;
}

/* Opened when they are first required, and never shadowed by a file of that name. */
static const luaL_Reg preloaded[] = {
    {"luv", open_luv},
    {"lpeg", luaopen_lpeg},
    {"orrery.core", host_open_core},
    {"orrery.host", luaopen_orrery_host},
};

/* Lua's `warn`, off until -W or warn "@on", as in its own interpreter (Lua 5.4 reference manual,
 * 4.6, lua_WarnFunction). The state's extra space keeps whether it is on and whether a message
 * is being continued. */
enum { WARN_ON = 1, WARN_CONTINUES = 2 };

static void warn(void *ud, const char *message, int to_be_continued) {
    unsigned char *state = lua_getextraspace((lua_State *)ud);
    if (!(*state & WARN_CONTINUES) && !to_be_continued && message[0] == '@') {
        if (strcmp(message, "@on") == 0) *state = WARN_ON;
        else if (strcmp(message, "@off") == 0) *state = 0;
        return;
    }
    /* what we say ourselves begins with our name, and a store that cannot be written is nothing
     * that Lua warns of */
    bool says_who = (*state & WARN_CONTINUES) != 0 || strncmp(message, "orrery: ", strlen("orrery: ")) == 0;
    if (*state & WARN_ON) {
        if (!says_who) fputs("Lua warning: ", stderr);
        host_say(message);
        if (!to_be_continued) fputc('\n', stderr);
    }
    *state = (unsigned char)((*state & WARN_ON) | (to_be_continued ? WARN_CONTINUES : 0));
}

static orr_trace trace; /* what ORRERY_TRACE asks for */

static void open_libraries(lua_State *L) {
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t i = 0; i < sizeof preloaded / sizeof *preloaded; i++) {
        lua_pushcfunction(L, preloaded[i].func);
        lua_setfield(L, -2, preloaded[i].name);
    }
    lua_pop(L, 1);
    orr_embedded_open(L);
    luv_set_loop(L, &loop); /* luv calls back where this is called: not in a coroutine that requires it */
    orr_script_configure(L, &(orr_script_options){.alloc = {orr_alloc_libc, NULL},
                                                  .loop = &loop,
                                                  .luv_later = true,
                                                  .watchdog = true,
                                                  .contain = true,
                                                  .alone = true,
                                                  .stuck = host_stuck,
                                                  .trace = trace});
}

static bool file_exists(const char *path) {
    FILE *file = fopen(path, "r");
    if (file) fclose(file);
    return file;
}

/* A word is a subcommand where its module is compiled in. Another word is a script if it looks
 * like a path or is one, and is otherwise left to the command line's own complaint, which knows
 * the nearest name. */
static bool is_subcommand(const char *word) {
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--version") == 0) return true;
    if (word[0] == '-' || strpbrk(word, "./")) return false;
    char module[64];
    snprintf(module, sizeof module, "orrery.cli.%s", word);
    return orr_embedded_find(module) || !file_exists(word);
}

/* (argc, argv) -> exit code, from orrery.cli */
static int run_subcommand(lua_State *L, int argc, char **argv) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.cli");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_createtable(L, argc - 1, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    /* a reader that goes is an error of the write; children get the default again from libuv */
    signal(SIGPIPE, SIG_IGN);
    lua_warning(L, "@on", 0); /* errors of listeners and callbacks are to be seen */
    if (host_call(L, 1, 1) != LUA_OK) {
        if (host_is_interruption(L)) {
            fputs(HOST_NAME ": interrupted\n", stderr);
            return 128 + SIGINT;
        }
        host_report(L);
        return EXIT_FAILURE;
    }
    return lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : EXIT_FAILURE;
}

/* Whether an option says that the environment does not count; Lua's libraries look at the mark
 * when they open. */
static bool ignores_environment(int argc, char **argv) {
    for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-E") == 0) return true;
        if ((argv[i][1] == 'e' || argv[i][1] == 'l') && !argv[i][2]) i++;
    }
    return false;
}

/* (argc, argv) -> exit code; in protected mode from its first allocation on. */
static int protected_main(lua_State *L) {
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    lua_settop(L, 0);
    luaL_checkversion(L);
    if (ignores_environment(argc, argv)) {
        lua_pushboolean(L, true);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    open_libraries(L);
    bool subcommand = argc > 1 && is_subcommand(argv[1]);
    lua_pushinteger(L, subcommand ? run_subcommand(L, argc, argv) : host_interpret(L, argc, argv));
    return 1;
}

/* __close of a value at the bottom of the stack: it comes before all finalisers. */
static int close_handles(lua_State *L) {
    (void)L;
    host_forget_loop();
    if (has_loop) orr_loop_finish_closing(&loop);
    return 0;
}

/* After the state: finalisers have closed what is theirs. */
static void close_loop(void) {
    if (!has_loop) return;
    orr_loop_finish_closing(&loop);
    uv_loop_close(&loop);
}

/* Nothing but the value to be closed, in protected mode because it is made. */
static int make_handle_closer(lua_State *L) {
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_handles);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    return 1;
}

static int cannot_start(void) {
    fputs(HOST_NAME ": cannot start: not enough memory\n", stderr);
    return EXIT_FAILURE;
}

/* Static, so that it is still reached from somewhere when the process ends without having closed
 * the state. */
static orr_heap *heap;

/* A closed standard descriptor would be given to the next file that is opened, and what is
 * written to it would go there. What takes its place fails as a closed one does: it cannot be
 * read, or not be written. */
static void fill_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            _exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
    /* a file that may grow no more is an error of the write, too, and waits for room */
    signal(SIGXFSZ, SIG_IGN);
    fill_descriptors();
    if (!host_trace(&trace)) return 2;
    host_leave_at_exit();
    heap = orr_heap_new(&(orr_alloc){orr_alloc_libc, NULL});
    lua_State *L = heap ? lua_newstate(orr_heap_lua, heap) : NULL;
    if (!L) return cannot_start();
    *(unsigned char *)lua_getextraspace(L) = 0; /* Lua leaves the main coroutine's as it was
    * allocated */
    lua_pushcfunction(L, make_handle_closer);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) return cannot_start();
    lua_toclose(L, -1);
    lua_setwarnf(L, warn, L);
    lua_pushcfunction(L, protected_main);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int code = EXIT_FAILURE;
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) code = (int)lua_tointeger(L, -1);
    else host_report(L);
    /* A subcommand is over with its answer; taking the state down would be a tenth of its time.
     * A script's finalisers run. */
    if ((argc > 1 && is_subcommand(argv[1])) || host_is_left()) exit(code);
    lua_close(L);
    close_loop();
    orr_heap_free(heap);
    return code;
}
